package importer

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestBackstage_references_are_relative_to_their_entity(t *testing.T) {
	dir := write(t, map[string]string{"c.yaml": `kind: Component
metadata: {name: web, namespace: shop}
spec: {dependsOn: ["component:store", "component:default/mail"], consumesApis: [stock], owner: "group:shop/web-team"}
---
kind: Component
metadata: {name: store, namespace: shop}
spec: {providesApis: [stock]}
---
kind: Component
metadata: {name: store}
spec: {providesApis: [stock]}
---
kind: Component
metadata: {name: mail}
`})
	r, err := Backstage(filepath.Join(dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "web -> component:shop/store hard startup+runtime", "web -> mail hard startup+runtime")
}

func TestBackstage_a_bad_reference_costs_one_edge(t *testing.T) {
	dir := write(t, map[string]string{"c.yaml": `kind: Component
metadata: {name: web}
spec:
  dependsOn: ["component:", "component:shop/", ":x", null, {a: b}, "component:good"]
  consumesApis: stock
`})
	r, err := Backstage(filepath.Join(dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "web -> good hard startup+runtime")
	all := strings.Join(r.Warnings, "\n")
	for _, want := range []string{
		`c.yaml:4: the reference "component:" has no name`, `c.yaml:4: the reference "component:shop/" has no name`,
		`:x is neither a component nor a resource`, `the reference "" needs a kind`, "c.yaml:5: consumesApis: expected a list",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings\n%s\nwant %s", all, want)
		}
	}
}

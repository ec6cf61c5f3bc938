package main

import (
	"strings"
	"testing"
)

func TestQuery_views_and_exports(t *testing.T) {
	dir := tree(t, map[string]string{
		"s/depgraph.yaml": `service: web
owner: front
criticality: high
depends: [{on: Cart Service}, {on: ads, soft: true, evidence: drill/x}, {on: tool, phase: deploy}]
---
{service: Cart Service, owner: pay, depends: [{on: db}]}
---
{service: ads, owner: front, depends: [{on: db, soft: true}]}
---
{service: db, owner: pay, kind: datastore, depends: [{on: disk}]}
---
{service: disk, owner: infra, kind: infra}
---
{service: tool, owner: infra}
`,
		"hub.json": `{"dependencySummaries":[
{"serviceArn":"arn:aws:resiliencehub:eu-west-1:123456789012:service/web","dependencyId":"11111111-1111-4111-8111-111111111111","dependencyName":"ads","dnsName":"ads.example.com","criticality":"HARD","provider":"x"},
{"serviceArn":"arn:aws:resiliencehub:eu-west-1:123456789012:service/web","dependencyId":"22222222-2222-4222-8222-222222222222","dependencyName":"Cart Service","dnsName":"c","criticality":"HARD"},
{"serviceArn":"arn:aws:resiliencehub:eu-west-1:123456789012:service/web","dependencyId":"33333333-3333-4333-8333-333333333333","dependencyName":"s3","dnsName":"s3.amazonaws.com","criticality":"UNKNOWN","provider":"AWS"}]}`,
		"bad.json": `{"dependencySummaries":[{"serviceArn":"a","dependencyName":"b","criticality":"MAYBE"}]}`, "other.json": `{}`,
	})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"query rdeps(db)&owner(front) -d s", 0, "ads\nweb\n"},
		{"query deps(web,1) -d s -f csv", 0, "web,Cart Service,hard"},
		{"query deps(web,1) -d s -f json", 0, `"version": 1`},
		{"query rdep(db) -d s", 2, "did you mean \"rdeps\"?\n  rdep(db)\n  ^"},
		{"export -d s -f csv --focus ads", 0, "ads,db,soft"},
		{"export -d s -f csv --reaches db", 0, "Cart Service,db,hard"},
		{"export -d s -f csv --collapse owner", 0, "front,pay,hard"},
		{"export -d s -f mermaid --collapse kind", 0, `["datastore"]`},
		{"export -d s -f html --focus db", 0, "<!DOCTYPE html>"},
		{"export -d s -f svg --focus db --collapse owner", 0, "<svg"},
		{"export -d s -f dot --focus dbb", 2, `did you mean "db"?`},
		{"export -d s --collapse team", 2, `collapse "team" is not one of`},
		{"export -d s --focus web --reaches db", 2, "exclude each other"},
		{"export -d s --focus web --depth -1", 2, "below 0"},
		{"export -d s --depth 2", 2, "--depth goes with --focus"},
		{"export -d s -f backstage", 0, "kind: Resource\nmetadata:\n  name: db\n  annotations:\n    depgraph/kind: datastore\nspec:\n  type: database\n  owner: pay\n  dependsOn:\n    - \"resource:default/disk\""},
		{"export -d s -f backstage", 0, "  title: Cart Service\n"},
		{"export -d s -f backstage", 0, "depgraph/soft: \"component:default/ads\""},
		{"export -d s -f resilience-hub --list hub.json", 0, `{"serviceArn":"arn:aws:resiliencehub:eu-west-1:123456789012:service/web","dependencyId":"11111111-1111-4111-8111-111111111111","criticality":"SOFT","comment":"depgraph: drill/x"}` + "\n"},
		{"export -d s -f resilience-hub --list hub.json", 0, "not declared: web -> s3"},
		{"export -d s -f resilience-hub", 2, "--list names what"},
		{"export -d s -f resilience-hub --list bad.json", 3, `bad.json:1: dependency b: criticality "MAYBE" is not one of HARD, SOFT, UNKNOWN`},
		{"import resilience-hub other.json", 3, "no dependencySummaries here"},
		{"import resilience-hub hub.json", 0, "service: web\nkind: app\nsource: hub.json\ndepends:\n  - on: Cart Service\n    phase: [runtime]\n"},
		{"import resilience-hub hub.json", 0, "  - on: s3\n    phase: [runtime]\n    assumed: true\n"},
		{"import resilience-hub hub.json", 0, "service: s3\nkind: cloud\n"},
	} {
		code, out, errs := in(t, dir, "", strings.Fields(c.args)...)
		if code == 0 && strings.HasPrefix(c.args, "query rdeps") && out != c.want {
			t.Errorf("%s: %q, want %q", c.args, out, c.want)
		}
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%.3000s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
	// What Backstage is told comes back by an import.
	if code, _, errs := in(t, dir, "", "export", "s", "-f", "backstage", "-o", "catalog.yaml"); code != 0 {
		t.Fatal(errs)
	}
	code, out, errs := in(t, dir, "", "import", "backstage", "catalog.yaml")
	if code != 0 || strings.Contains(errs, "warning") || strings.Count(out, "  - on: ") != 5 || strings.Count(out, "service: ") != 6 {
		t.Errorf("the way back: %d\n%s%s", code, out, errs)
	}
}

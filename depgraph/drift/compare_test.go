package drift_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
)

func graphOf(t testing.TB, manifest string) *depgraph.Graph {
	t.Helper()
	services, err := depgraph.ParseManifest("m.yaml", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func recording(edges string) string {
	return `{"failopen_observed":1,"services":{"web":300},"edges":[` + edges + `]}`
}

func TestCompare_states(t *testing.T) {
	g := graphOf(t, `
service: web
depends:
  - {on: db}
  - {on: cache, soft: true}
  - {on: vault, phase: startup}
  - {on: builder, phase: deploy}
  - {on: gone}
  - any-of: [east, west]
---
service: silent
depends: [{on: db}]
---
{service: db}
---
{service: cache}
---
{service: vault}
---
{service: builder}
---
{service: gone}
---
{service: east}
---
{service: west}
`)
	o := seen(t, "r.json", recording(`{"from":"web","to":"DB:5432","calls":9,"errors":1},{"from":"web","to":"cache.shop.svc.cluster.local","calls":1},
		{"from":"web","to":"vault","calls":2},{"from":"web","to":"east","calls":1},{"from":"web","to":"fraud","calls":4},{"from":"batch","to":"db","calls":1}`))
	r := drift.Compare(g, o, drift.Options{})
	var got []string
	for _, d := range r.Dependencies {
		got = append(got, fmt.Sprintf("%s -> %s: %s", d.From, d.To, d.State))
	}
	same(t, "states", got, "batch -> db: undeclared", "silent -> db: not concluded", "web -> builder: not concluded", "web -> cache: declared and seen", "web -> db: declared and seen",
		"web -> east: declared and seen", "web -> fraud: undeclared", "web -> gone: unobserved", "web -> vault: declared for another phase", "web -> west: not concluded")
	var found []string
	for _, f := range r.Findings {
		found = append(found, f.Severity.String()+" "+f.Rule+" "+f.Message)
	}
	same(t, "findings", found,
		"warn DG015 batch calls db once; no manifest declares batch",
		"warn DG015 web calls fraud 4 times; no manifest declares fraud, nor the dependency",
		"info DG015 web declares vault for startup alone, and calls vault 2 times",
		"info DG016 web declares gone: not seen in 300 requests of web; a call that fewer than 1 in 100 of them make would be missed with a chance of 1 in 20 or more")
	if i := slices.IndexFunc(r.Notes, func(n string) bool { return strings.Contains(n, "nothing was recorded of silent") }); i < 0 {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestCompare_harder_than_declared(t *testing.T) {
	for name, c := range map[string]struct {
		soft     bool
		effect   string
		strength drift.Strength
		found    bool
	}{
		"it goes through":              {true, `"propagated":9,"absorbed":1,"fine":500,"otherwise":2`, drift.Hard, true},
		"declared hard anyway":         {false, `"propagated":9,"fine":500`, drift.Hard, false},
		"few, and a low base":          {true, `"propagated":3,"fine":100`, drift.Hard, true},
		"few, and no base":             {true, `"propagated":3`, drift.Suspected, false},
		"less than three":              {true, `"propagated":2,"fine":5000`, drift.Suspected, false},
		"web fails all the time":       {true, `"propagated":9,"absorbed":1,"fine":10,"otherwise":90`, drift.Suspected, false},
		"it absorbs":                   {true, `"absorbed":7,"fine":100`, drift.FailsOpen, false},
		"nothing failed":               {true, `"fine":100,"otherwise":3`, drift.NotJudged, false},
		"nothing that could be judged": {true, `"unclear":50,"fine":100`, drift.NotJudged, false},
	} {
		g := graphOf(t, fmt.Sprintf("service: web\nowner: x\ndepends: [{on: ads, soft: %v}]\n---\nservice: ads\n", c.soft))
		r := drift.Compare(g, seen(t, "r.json", recording(`{"from":"web","to":"ads","calls":1000,"errors":100,`+c.effect+`}`)), drift.Options{})
		if d := r.Dependencies[0]; d.Strength != c.strength {
			t.Errorf("%s: %q, want %q: %s", name, d.Strength, c.strength, d.Why)
		}
		found := slices.ContainsFunc(r.Findings, func(f depgraph.Finding) bool { return f.Rule == "DG019" && f.Severity == depgraph.Error })
		if found != c.found {
			t.Errorf("%s: found %v, want %v", name, found, c.found)
		}
	}
}

func TestCompare_policy_and_rules(t *testing.T) {
	g := graphOf(t, "service: web\n")
	o := seen(t, "r.json", recording(`{"from":"web","to":"db","calls":1}`))
	policy, err := depgraph.ParsePolicy("p.yaml", []byte("rules:\n  DG015: error\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := drift.Compare(g, o, drift.Options{Policy: policy}); len(r.Findings) != 1 || r.Findings[0].Severity != depgraph.Error {
		t.Errorf("findings %+v", r.Findings)
	}
	if r := drift.Compare(g, o, drift.Options{Skip: []string{"drift-undeclared"}}); len(r.Findings) != 0 {
		t.Errorf("findings %+v", r.Findings)
	}
}

func TestCompare_waivers(t *testing.T) {
	g := graphOf(t, "service: web\nwaivers: [{rule: DG015, reason: it goes in May, until: 2026-05-31}]\n")
	o := seen(t, "r.json", recording(`{"from":"web","to":"db","calls":1}`))
	day := time.Date(2026, 5, 31, 12, 0, 0, 0, time.UTC)
	if r := drift.Compare(g, o, drift.Options{Now: day}); len(r.Findings) != 0 || !slices.Contains(r.Notes, "findings that a waiver tolerates: 1") {
		t.Errorf("%+v, %q", r.Findings, r.Notes)
	}
	if r := drift.Compare(g, o, drift.Options{Now: day.AddDate(0, 0, 1)}); len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Message, "the waiver has expired") {
		t.Errorf("%+v", r.Findings)
	}
}

// TestCompare_waiver_of_one_dependency names something that is not declared:
// another undeclared dependency is still found.
func TestCompare_waiver_of_one_dependency(t *testing.T) {
	g := graphOf(t, "service: web\nwaivers: [{rule: DG015, on: db, reason: it goes in May, until: 2026-05-31}]\n")
	o := seen(t, "r.json", recording(`{"from":"web","to":"db","calls":1},{"from":"web","to":"ads","calls":1}`))
	r := drift.Compare(g, o, drift.Options{Now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)})
	if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Message, "web calls ads") {
		t.Errorf("%+v", r.Findings)
	}
}

// TestNames_of_several_namespaces would hide a dependency on a namesake.
func TestNames_of_several_namespaces(t *testing.T) {
	g := graphOf(t, "service: web\ndepends: [{on: db}]\n---\nservice: db\n")
	const want = "names of several namespaces that are taken for one service; map them if they are not: db (db.audit.svc:80, db.shop.svc.cluster.local)"
	for other, said := range map[string]bool{"db.audit.svc:80": true, "db.shop.svc:80": false, "db": false, "db.audit.internal": false} {
		o := seen(t, "r", recording(`{"from":"web","to":"db.shop.svc.cluster.local","calls":1},{"from":"web","to":"`+other+`","calls":1}`))
		if r := drift.Compare(g, o, drift.Options{}); slices.Contains(r.Notes, want) != said {
			t.Errorf("%s: notes %q", other, r.Notes)
		}
	}
	n := &drift.Names{}
	if err := n.Set("db.audit.svc:80", "audit-db"); err != nil {
		t.Fatal(err)
	}
	o := seen(t, "r", recording(`{"from":"web","to":"db.shop.svc.cluster.local","calls":1},{"from":"web","to":"db.audit.svc:80","calls":1}`))
	if r := drift.Compare(g, o, drift.Options{Names: n}); slices.Contains(r.Notes, want) || len(r.Findings) != 1 {
		t.Errorf("mapped: %q, %+v", r.Notes, r.Findings)
	}
}

func TestNames(t *testing.T) {
	n := &drift.Names{}
	err := n.Read("names.txt", strings.NewReader("# comment\ncheckoutservice: checkout   # why\n\n\"db:5432\": \"store #1\"\npay-*: payments\n10.*: -\n"))
	if err != nil {
		t.Fatal(err)
	}
	g := graphOf(t, "service: checkout\ndepends: [{on: \"store #1\"}, {on: payments}]\n---\nservice: \"store #1\"\n---\nservice: payments\n")
	o := seen(t, "r", recording(`{"from":"checkoutservice","to":"db:5432","calls":1},{"from":"checkoutservice","to":"pay-eu-1","calls":2},{"from":"Checkout","to":"pay-us","calls":3},{"from":"checkoutservice","to":"10.1.2.3","calls":1}`))
	r := drift.Compare(g, o, drift.Options{Names: n})
	var got []string
	for _, d := range r.Dependencies {
		got = append(got, fmt.Sprintf("%s -> %s: %s %d", d.From, d.To, d.State, d.Calls))
	}
	same(t, "mapped", got, "checkout -> payments: declared and seen 5", "checkout -> store #1: declared and seen 1")
	for text, want := range map[string]string{
		"a\n":        `names.txt:1: expected "observed: declared"`,
		"\n: b":      "names.txt:2: a name is empty",
		"a:":         "a name is empty",
		"\"a: b":     "does not end",
		"\"a\" b: c": `expected "observed: declared"`,
		"a: b\na: c": `names.txt:2: "a" is mapped to "b" and to "c"`,
	} {
		if err := (&drift.Names{}).Read("names.txt", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

package depgraph_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

const market = `
service: web
owner: front
criticality: critical
depends: [{on: cart-service}, {on: ads, soft: true}, {on: pipeline, phase: deploy}]
---
service: cart-service
owner: pay
depends: [{on: db}, {any-of: [east, west]}]
---
{service: ads, owner: front, criticality: low, depends: [{on: db, soft: true}]}
---
{service: db, owner: pay, kind: datastore}
---
{service: east, depends: [{on: iam, plane: control, phase: startup}]}
---
{service: west, depends: [{on: iam, phase: runtime}]}
---
{service: iam, kind: cloud}
---
{service: pipeline, depends: [{on: west}]}
---
{service: "my service", depends: [{on: loop}]}
---
{service: loop, depends: [{on: "my service"}]}
`

func TestQuery(t *testing.T) {
	g := graphOf(t, market)
	for expr, want := range map[string]string{
		"web":                             "web",
		`"my service"`:                    "my service",
		`'my service' | web`:              "my service,web",
		"cart-service":                    "cart-service",
		"*a*":                             "ads,cart-service,east,iam",
		"nothing*":                        "",
		"deps(ads)":                       "ads,db",
		"deps(web, 1)":                    "ads,cart-service,pipeline,web",
		"deps(web, 0)":                    "web",
		"deps(web, hard)":                 "cart-service,db,iam,pipeline,web,west",
		"deps(web, hard, runtime)":        "cart-service,db,web",
		"deps(web, soft)":                 "ads,db,web",
		"deps(web, deploy)":               "pipeline,web",
		"deps(east | west, control)":      "east,iam,west",
		"deps(east | west, data)":         "east,iam,west",
		"deps(east, data)":                "east",
		"rdeps(db)":                       "ads,cart-service,db,web",
		"rdeps(db, 1, hard)":              "cart-service,db",
		"rdeps(iam) & owner(pay)":         "cart-service",
		"owner(pay) | owner(front) - web": "ads,cart-service,db",
		"owner(front) | owner(pay) & kind(datastore)":   "ads,db,web",
		"(owner(front) | owner(pay)) & kind(datastore)": "db",
		"web - web":                         "",
		"somepath(web, iam)":                "cart-service,east,iam,web",
		"path(web, db)":                     "ads,db,web",
		"somepath(web, db, hard)":           "cart-service,db,web",
		"somepath(web, iam, 2)":             "",
		"somepath(db, web)":                 "",
		"somepath(web, web)":                "web",
		"allpaths(web, db)":                 "ads,cart-service,db,web",
		"allpaths(web, db, 1)":              "",
		"allpaths(web, db, 2)":              "ads,cart-service,db,web",
		"allpaths(web, iam, 2)":             "",
		"down(db)":                          "cart-service,db,web",
		"down(east)":                        "east",
		"down(east | west)":                 "cart-service,east,pipeline,web,west",
		"down(nothing*)":                    "",
		"tier(critical) | criticality(low)": "ads,web",
		`owner("") & roots()`:               "",
		"leaves()":                          "db,iam",
		"cycles()":                          "loop,my service",
		"name(w*)":                          "web,west",
		"undeclared()":                      "",
		"all() - deps(web)":                 "loop,my service",
		" ( ( web ) ) ":                     "web",
	} {
		got, err := g.Query(t.Context(), expr)
		if err != nil || strings.Join(got, ",") != want {
			t.Errorf("%s: %q, %v, want %q", expr, strings.Join(got, ","), err, want)
		}
	}
}

func TestQuery_faults_have_a_place(t *testing.T) {
	g := graphOf(t, market)
	for expr, want := range map[string]struct {
		at      int
		message string
	}{
		"":                         {0, "the query is empty"},
		"   ":                      {0, "the query is empty"},
		"wbe":                      {0, `there is no service "wbe"; did you mean "web"?`},
		"web | dbb":                {6, `did you mean "db"?`},
		"web-cart-ads":             {0, "put spaces around the dash"},
		"rdep(web)":                {0, `there is no function "rdep"; did you mean "rdeps"?`},
		"frobnicate(web)":          {0, "there are deps, rdeps"},
		"deps(web":                 {8, `the query ends too early; expected ")"`},
		"deps(web))":               {9, `expected &, |, - or the end, found ")"`},
		"deps()":                   {5, `expected a name, a function or (, found ")"`},
		"down(web, 3)":             {8, "down takes no limits: a failure spreads as far as it does"},
		"deps(web, hard, soft)":    {16, "no dependency is hard and soft"},
		"deps(web, data, control)": {16, "no dependency is on two planes"},
		"deps(web, 1, 2)":          {13, "the number of steps is 1 already"},
		"deps(web, x)":             {10, `limit "x" is not one of`},
		"deps(web, hrad)":          {10, `did you mean "hard"?`},
		"deps(web, -1)":            {10, "is not one of"},
		"deps(web,)":               {9, "expected a number of steps"},
		"somepath(web)":            {12, `expected ",", found ")"`},
		"web &":                    {5, "the query ends too early"},
		"web web":                  {4, "expected &, |, - or the end"},
		"| web":                    {0, "expected a name"},
		`"web`:                     {0, "the quote does not end"},
		"kind(databse)":            {5, `kind "databse" is not one of`},
		"tier(hihg)":               {5, `did you mean "high"?`},
		"owner()":                  {6, "owner takes a pattern"},
		"roots(web)":               {6, `expected ")", found "web"`},
		strings.Repeat("(", 500):   {200, "nested deeper than 200"},
		strings.Repeat("a", 1<<17): {0, "longer than 65536 bytes"},
	} {
		_, err := g.Query(t.Context(), expr)
		var q *depgraph.QueryError
		if !errors.As(err, &q) || !errors.Is(err, depgraph.ErrQuery) || q.Offset != want.at || !strings.Contains(q.Message, want.message) {
			t.Errorf("%.40s: %v, want %q at %d", expr, err, want.message, want.at)
		}
	}
	_, err := g.Query(t.Context(), "web | dbb")
	if want := "query: there is no service \"dbb\"; did you mean \"db\"?\n  web | dbb\n        ^"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func FuzzQuery(f *testing.F) {
	for _, expr := range []string{"deps(web, 2, hard) & owner(pay)", `"my service" - (a | b)`, "somepath(web, iam)", "down(*)"} {
		f.Add(expr)
	}
	g := graphOf(f, market)
	f.Fuzz(func(t *testing.T, expr string) {
		names, err := g.Query(t.Context(), expr)
		if err != nil {
			_ = err.Error()
			return
		}
		if !slices.IsSorted(names) {
			t.Errorf("%q: %v", expr, names)
		}
		if _, err := g.Slice(names); err != nil {
			t.Errorf("%q: %v", expr, err)
		}
	})
}

func TestSlice_and_collapse(t *testing.T) {
	g := graphOf(t, market)
	s, err := g.Slice([]string{"cart-service", "east", "iam"})
	if err != nil {
		t.Fatal(err)
	}
	if got := edgesText(s); got != "cart-service>east any 1 of 1, east>iam hard" && got != "cart-service>east hard, east>iam hard" {
		t.Errorf("slice: %s", got)
	}
	if _, err := g.Slice([]string{"wbe"}); err == nil || !strings.Contains(err.Error(), `did you mean "web"`) {
		t.Errorf("an unknown service: %v", err)
	}
	for by, want := range map[depgraph.CollapseBy]string{
		depgraph.ByOwner:       "front>(no owner) hard, front>pay hard, pay>(no owner) soft",
		depgraph.ByKind:        "(no kind)>cloud hard, (no kind)>datastore hard",
		depgraph.ByCriticality: "critical>(no criticality) hard, critical>low soft, low>(no criticality) soft",
	} {
		c, err := g.Collapse(by)
		if err != nil {
			t.Fatal(err)
		}
		if got := edgesText(c); got != want {
			t.Errorf("collapse by %s: %s, want %s", by, got, want)
		}
	}
	front, err := g.Collapse(depgraph.ByOwner)
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := front.Service("front"); s.Note != "2 services" || s.Criticality != depgraph.Critical {
		t.Errorf("front: %+v", s)
	}
	if _, err := depgraph.ParseCollapse("ownr"); err == nil || !strings.Contains(err.Error(), `did you mean "owner"`) {
		t.Errorf("collapse: %v", err)
	}
}

func edgesText(g *depgraph.Graph) string {
	var parts []string
	for e := range g.Edges() {
		if text := e.From + ">" + e.To + " " + e.Strength(); !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

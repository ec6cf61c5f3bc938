package depgraph_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

const bazaar = `
service: web
depends:
  - {on: api, phase: startup, until: started}
  - {on: api, phase: runtime}
---
service: api
depends:
  - {on: db, until: ready, phase: startup}
  - {on: db, phase: runtime}
  - {on: migrate, until: done, phase: startup}
  - any-of: [east, west]
    phase: [startup]
  - {on: ads, soft: true}
---
service: migrate
depends: [{on: db, phase: startup, until: ready}]
---
{service: db}
---
{service: east}
---
{service: west}
---
{service: ads}
`

func TestWhyBlocked(t *testing.T) {
	g := graphOf(t, bazaar)
	for _, c := range []struct{ of, running, want string }{
		{"web", `[]`, "web api db; db down; roots db east west"},
		{"web", `{"db":"started"}`, "web api db; db started; roots db east west"},
		{"web", `{"db":"ready"}`, "web api east; east down; roots east migrate west"},
		{"web", `["db","migrate"]`, "web api east; east down; roots east west"},
		{"web", `["db","migrate","west"]`, "web api; api down; roots api"},
		{"web", `{"db":true,"migrate":"done","west":true,"api":"started"}`, "web; web down; roots web"},
		{"web", `{"db":true,"migrate":"done","west":true,"api":"started","web":"ready"}`, "web api; api started; roots api"},
		{"web", `{"db":false,"api":"ready","web":"ready","west":true}`, "web api db; db down; roots db"},
		{"api", `["db","migrate","west"]`, "api; api down; roots api"},
		{"web", `["web"]`, "web; ; roots "},
		{"db", `["nobody","x"]`, "db; db down; roots db; unknown nobody x"},
		{"api", `{"db":true,"east":"started","migrate":"started"}`, "api east; east started; roots east migrate west"},
	} {
		running, err := depgraph.ParseRunning([]byte(c.running))
		if err != nil {
			t.Fatal(err)
		}
		b, err := g.WhyBlocked(c.of, running)
		if err != nil {
			t.Fatal(err)
		}
		chain := []string{c.of}
		for _, h := range b.Chain {
			chain = append(chain, h.Edge.To)
		}
		got := strings.Join(chain, " ") + "; "
		if b.Root != "" {
			got += b.Root + " " + b.RootState.String()
		}
		got += "; roots " + strings.Join(b.Roots, " ")
		if len(b.Unknown) > 0 {
			got += "; unknown " + strings.Join(b.Unknown, " ")
		}
		if got != c.want {
			t.Errorf("%s with %s: %q, want %q", c.of, c.running, got, c.want)
		}
	}
	if _, err := g.WhyBlocked("wbe", nil); err == nil || !strings.Contains(err.Error(), `did you mean "web"`) {
		t.Errorf("an unknown service: %v", err)
	}
}

func TestWhyBlocked_circle(t *testing.T) {
	g := graphOf(t, "service: web\ndepends: [{on: a}]\n"+ring("a b c"))
	b, err := g.WhyBlocked("web", nil)
	if err != nil {
		t.Fatal(err)
	}
	var circle []string
	for _, e := range b.Circle {
		circle = append(circle, e.From+">"+e.To)
	}
	if b.Root != "" || len(b.Roots) != 0 || !slices.Equal(circle, []string{"a>b", "b>c", "c>a"}) || len(b.Chain) != 1 {
		t.Errorf("%+v", b)
	}
	var many strings.Builder
	many.WriteString("service: s0\ndepends: [{on: s1}]\n")
	for i := 1; i < 5000; i++ {
		fmt.Fprintf(&many, "---\nservice: s%d\ndepends: [{on: s%d}]\n", i, i%4999+1)
	}
	b, err = graphOf(t, many.String()).WhyBlocked("s0", nil)
	if err != nil || len(b.Circle) != 4999 {
		t.Errorf("a circle of 4,999: %d, %v", len(b.Circle), err)
	}
}

// TestWhyBlocked_a_root_that_is_mended_helps starts the roots one after the
// other: as long as there is one, a system comes up.
func TestWhyBlocked_a_root_that_is_mended_helps(t *testing.T) {
	g := graphOf(t, bazaar)
	running := depgraph.Running{}
	for range 20 {
		b, err := g.WhyBlocked("web", running)
		if err != nil {
			t.Fatal(err)
		}
		if b.State >= depgraph.IsServing {
			return
		}
		if b.Root == "" {
			t.Fatalf("nothing to mend: %+v with %v", b, running)
		}
		running[b.Root] = depgraph.IsDone
	}
	t.Error("web does not come up")
}

// TestWhyBlocked_circle_behind_a_root mends all roots of random systems again
// and again: the service serves in the end, but where a circle was announced at
// the beginning.
func TestWhyBlocked_circle_behind_a_root(t *testing.T) {
	circles := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		n := 3 + r.IntN(6)
		var services []depgraph.Service
		for i := range n {
			s := depgraph.Service{Name: fmt.Sprint("s", i)}
			for range r.IntN(3) {
				d := depgraph.Dependency{On: fmt.Sprint("s", r.IntN(n)), Soft: r.IntN(6) == 0}
				if other := fmt.Sprint("s", r.IntN(n)); other != d.On && r.IntN(3) == 0 {
					d.AnyOf, d.On = []string{d.On, other}, ""
				}
				if d.On != s.Name && !slices.Contains(d.AnyOf, s.Name) {
					s.Depends = append(s.Depends, d)
				}
			}
			services = append(services, s)
		}
		g, err := depgraph.Compile(services, depgraph.Options{})
		if err != nil {
			continue // the same dependency twice
		}
		running := depgraph.Running{}
		first, err := g.WhyBlocked("s0", running)
		if err != nil {
			t.Fatal(err)
		}
		b := first
		for b.State < depgraph.IsServing && len(b.Roots) > 0 {
			for _, name := range b.Roots {
				running[name] = depgraph.IsDone
			}
			if b, err = g.WhyBlocked("s0", running); err != nil {
				t.Fatal(err)
			}
		}
		if len(first.Circle) > 0 {
			circles++
		}
		if serves := b.State >= depgraph.IsServing; serves != (len(first.Circle) == 0) {
			t.Fatalf("seed %d: serves in the end: %v, but the circle was %v\n%+v", seed, serves, first.Circle, services)
		}
	}
	if circles < 100 {
		t.Errorf("only %d circles", circles)
	}
}

func TestParseRunning(t *testing.T) {
	compose := `{"Service":"db","State":"running","Health":"starting"}
{"Service":"db","State":"running","Health":"healthy"}
{"Service":"job","State":"exited","ExitCode":0}
{"Service":"bad","State":"exited","ExitCode":1}
{"Service":"web","State":"running","Health":""}`
	r, err := depgraph.ParseRunning([]byte(compose))
	if err != nil || r["db"] != depgraph.IsServing || r["job"] != depgraph.IsDone || r["bad"] != depgraph.IsDown || r["web"] != depgraph.IsServing {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := depgraph.ParseRunning([]byte(`[{"Service":"db","State":"running","Health":"starting"}]`)); err != nil || r["db"] != depgraph.IsStarted {
		t.Errorf("%v, %v", r, err)
	}
	again := `{"Service":"job","State":"exited","ExitCode":0}` + "\n" + `{"Service":"job","State":"running"}`
	if r, err := depgraph.ParseRunning([]byte(again)); err != nil || r["job"] != depgraph.IsServing {
		t.Errorf("a job that runs again: %v, %v; it is not done", r, err)
	}
	for text, want := range map[string]string{
		"null":                             "expected a list of names",
		`{"a":null}`:                       "a: expected true, false",
		`["a",""]`:                         "a name is empty",
		`{"a":true,` + "\n" + `"a":false}`: "a is done and down",
		"{\"a\":true}\n{\"a\":false}":      "line 2: a is done and down",
		"[\n\"a\",\n!":                     "line 3: ",
		"":                                 "the input is empty",
		"[1]":                              "expected a list of names",
		`{"a":"up"}`:                       `a: state "up" is not one of down, started`,
		`{"a":3}`:                          "a: expected true, false, or one of down",
		`{"Service":1}`:                    "cannot unmarshal",
		`{"Service":""}`:                   "a container has no Service",
		`["a"`:                             "unexpected EOF",
		`"a"`:                              "expected a list of names",
	} {
		if _, err := depgraph.ParseRunning([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

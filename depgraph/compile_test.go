package depgraph

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCompile_says_what_is_wrong_with_each_declaration(t *testing.T) {
	at := func(line int) Position { return Position{"f.yaml", line} }
	on := func(d Dependency) []Service {
		d.At = at(2)
		return []Service{{Name: "a", At: at(1), Depends: []Dependency{d}}, {Name: "b", At: at(9)}, {Name: "c", At: at(10)}}
	}
	for name, c := range map[string]struct {
		services []Service
		want     string
	}{
		"no name":                     {[]Service{{Name: " \t", At: at(1)}}, "f.yaml:1: a service has an empty name"},
		"twice":                       {[]Service{{Name: "a", At: at(7)}, {Name: "b", At: at(2)}, {Name: "a", At: at(1)}}, `f.yaml:7: service "a" is declared twice; the other declaration is at f.yaml:1`},
		"three times":                 {[]Service{{Name: "a", At: at(7)}, {Name: "a", At: at(2)}, {Name: "a", At: at(1)}}, `f.yaml:2: service "a" is declared twice; the other declaration is at f.yaml:1` + "\n" + `f.yaml:7: service "a" is declared twice; the other declaration is at f.yaml:1`},
		"a negative target":           {[]Service{{Name: "a", At: at(1), Availability: Availability{Target: -1}}}, "f.yaml:1: a: availability.target is -1; it is a percentage between 0 and 100"},
		"more than all":               {[]Service{{Name: "a", At: at(1), Availability: Availability{Own: 100.1}}}, "f.yaml:1: a: availability.own is 100.1; it is a percentage between 0 and 100"},
		"no number":                   {[]Service{{Name: "a", At: at(1), Availability: Availability{Own: math.NaN()}}}, "f.yaml:1: a: availability.own is NaN; it is a percentage between 0 and 100"},
		"before it began":             {[]Service{{Name: "a", At: at(1), Start: -1}}, "f.yaml:1: a: start is -1ns; it is the time to ready, between 0 and 720h0m0s"},
		"longer than a month":         {[]Service{{Name: "a", At: at(1), Start: 30*24*time.Hour + 1}}, "f.yaml:1: a: start is 720h0m0.000000001s; it is the time to ready, between 0 and 720h0m0s"},
		"exactly as much":             {[]Service{{Name: "a", At: at(1), Start: 30 * 24 * time.Hour, Availability: Availability{Target: 100, Own: 100}}}, ""},
		"on nobody":                   {on(Dependency{On: "x"}), `f.yaml:2: a: depends on "x", which is not declared`},
		"on a typing error":           {on(Dependency{On: "bb"}), `f.yaml:2: a: depends on "bb", which is not declared; did you mean "b"?`},
		"on an empty name":            {on(Dependency{}), "f.yaml:2: a: depends on an empty name"},
		"on itself":                   {on(Dependency{On: "a"}), "f.yaml:2: a: depends on itself"},
		"on itself, among others":     {on(Dependency{AnyOf: []string{"b", "a"}}), "f.yaml:2: a: depends on itself"},
		"on one and on any":           {on(Dependency{On: "b", AnyOf: []string{"c"}}), "f.yaml:2: a: a dependency has both on and any-of; it takes one of them"},
		"a need of one":               {on(Dependency{On: "b", Need: 1}), `f.yaml:2: a: need goes with any-of; "b" is a single service`},
		"more than there are":         {on(Dependency{AnyOf: []string{"b", "c"}, Need: 3}), "f.yaml:2: a: need is 3, but any-of has 2 members"},
		"less than one":               {on(Dependency{AnyOf: []string{"b", "c"}, Need: -1}), "f.yaml:2: a: need is -1, but any-of has 2 members"},
		"one member twice":            {on(Dependency{AnyOf: []string{"b", "c", "b"}}), `f.yaml:2: a: any-of names "b" twice`},
		"soft and pinned":             {on(Dependency{On: "b", Soft: true, Pinned: true}), "f.yaml:2: a: a soft dependency is pinned; pinned says that it cannot be soft"},
		"an unknown until":            {on(Dependency{On: "b", Until: 9}), "f.yaml:2: a: unknown until 9"},
		"an unknown phase":            {on(Dependency{On: "b", Phase: 8}), "f.yaml:2: a: unknown phase 8"},
		"until without a start":       {on(Dependency{On: "b", Phase: Runtime, Until: Ready}), "f.yaml:2: a: until goes with the phase startup"},
		"a job at run time":           {on(Dependency{On: "b", Phase: Startup | Runtime, Until: Done}), "f.yaml:2: a: a job that is done is not there at run time; until: done goes with the phase startup"},
		"an order without a start":    {on(Dependency{On: "b", Phase: Runtime, Weak: true}), "f.yaml:2: a: order goes with the phase startup"},
		"a pinned order":              {on(Dependency{On: "b", Phase: Startup, Weak: true, Pinned: true}), "f.yaml:2: a: a weak order is pinned; it never blocks anything"},
		"a pinned need with an order": {on(Dependency{On: "b", Phase: Startup | Runtime, Weak: true, Pinned: true}), ""},
		"one edge twice": {
			[]Service{{Name: "a", At: at(1), Depends: []Dependency{{On: "b", Phase: Startup | Runtime, At: at(2)}, {On: "b", Phase: Runtime | Deploy, At: at(3)}}}, {Name: "b"}},
			`f.yaml:3: a: depends on "b" twice in phase runtime; the other place is f.yaml:2`,
		},
		"one edge in two phases":      {[]Service{{Name: "a", Depends: []Dependency{{On: "b", Phase: Startup}, {On: "b", Phase: Runtime, Soft: true}}}, {Name: "b"}}, ""},
		"a member that is needed too": {[]Service{{Name: "a", Depends: []Dependency{{On: "b"}, {AnyOf: []string{"b", "c"}}}}, {Name: "b"}, {Name: "c"}}, ""},
	} {
		_, err := Compile(c.services, Options{})
		got := ""
		var ps Problems
		if errors.As(err, &ps) {
			var lines []string
			for _, p := range ps {
				lines = append(lines, fmt.Sprintf("%s: %s", p.At, p.Message))
			}
			got = strings.Join(lines, "\n")
		} else if err != nil {
			t.Errorf("%s: the error is no Problems: %v", name, err)
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// All that an order of the input could show in: rows, group numbers, places.
func TestCompile_gives_one_graph_for_any_order_of_declarations(t *testing.T) {
	deps := []Dependency{
		{AnyOf: []string{"c", "b"}, Phase: Startup},
		{AnyOf: []string{"b", "d"}, Phase: Runtime},
		{AnyOf: []string{"b", "c"}, Phase: Runtime},
		{AnyOf: []string{"b", "c", "d"}, Need: 3},
	}
	for i := range 14 { // a row that is long enough for a general sort
		deps = append(deps, Dependency{On: fmt.Sprintf("s%02d", (i*5)%14)})
	}
	want := []string{
		"b 1:3/3 startup+runtime", "b 2:1/2 startup", "b 3:1/2 runtime", "b 4:1/2 runtime",
		"c 1:3/3 startup+runtime", "c 2:1/2 startup", "c 3:1/2 runtime", "d 1:3/3 startup+runtime", "d 4:1/2 runtime",
	}
	for i := range 14 {
		want = append(want, fmt.Sprintf("s%02d 0:0/0 startup+runtime", i))
	}
	for turn := range deps {
		turned := append(slices.Clone(deps[turn:]), deps[:turn]...)
		services := []Service{{Name: "a", Depends: turned}, {Name: "b"}, {Name: "c"}, {Name: "d"}}
		for i := range 14 {
			services = append(services, Service{Name: fmt.Sprintf("s%02d", 13-i)})
		}
		var got []string
		for _, e := range mustCompile(t, services).EdgesFrom("a") {
			got = append(got, fmt.Sprintf("%s %d:%d/%d %s", e.To, e.Group, e.Need, e.Of, e.Phase))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("from %d on: got\n%s\nwant\n%s", turn, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Names that nobody declares are put between the others, each with the first place that
// names it.
func TestCompile_undeclared_names_are_services_in_their_place(t *testing.T) {
	services := []Service{
		{Name: "m", At: Position{"b.yaml", 1}, Depends: []Dependency{{On: "z", At: Position{"b.yaml", 5}}, {On: "a", At: Position{"b.yaml", 3}}}},
		{Name: "c", At: Position{"a.yaml", 1}, Depends: []Dependency{{AnyOf: []string{"z", "n", "m"}, At: Position{"a.yaml", 7}}, {On: "b", At: Position{"a.yaml", 2}}}},
		{Name: "y", At: Position{"c.yaml", 1}, Depends: []Dependency{{On: "a", At: Position{"b.yaml", 2}}}},
	}
	g, err := Compile(services, Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for s := range g.Services() {
		got = append(got, fmt.Sprintf("%s %v %s", s.Name, s.Undeclared, s.At))
	}
	want := []string{"a true b.yaml:2", "b true a.yaml:2", "c false a.yaml:1", "m false b.yaml:1", "n true a.yaml:7", "y false c.yaml:1", "z true a.yaml:7"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var edges []Edge
	for e := range g.Edges() {
		edges = append(edges, e)
	}
	if got, want := ways(edges), "c>b c>m c>n c>z m>a m>z y>a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := ways(slices.Concat(g.Dependents("a"), g.Dependents("z"), g.Dependents("m"), g.Dependents("c"), g.Dependents("nobody"))), "m>a y>a c>z m>z c>m"; got != want {
		t.Errorf("the other way round: %s, want %s", got, want)
	}
	for name := range map[string]bool{"a": true, "z": true, "y": true} {
		if s, ok := g.Service(name); !ok || s.Name != name {
			t.Errorf("%s is %+v", name, s)
		}
	}
}

// A look at services or edges that stops is not called again.
func TestGraph_iterators_stop_when_told(t *testing.T) {
	g := system(t, "a: / on: b / on: c\nb:\nc:")
	for s := range g.Services() {
		if s.Name != "a" {
			t.Errorf("the first service is %s", s.Name)
		}
		break
	}
	for e := range g.Edges() {
		if e.To != "b" {
			t.Errorf("the first edge is %+v", e)
		}
		break
	}
}

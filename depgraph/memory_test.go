package depgraph

import (
	"fmt"
	"testing"
)

// A long chain of services must not cost memory or time that grows with the square
// of its length: what is kept for each step is the step, never the way to it.

// chain returns n services, each of which needs the next one.
func chain(t *testing.T, n int) *Graph {
	t.Helper()
	services := make([]Service, n)
	for i := range services {
		services[i].Name = fmt.Sprintf("s%05d", i)
		if i+1 < n {
			services[i].Depends = []Dependency{{On: fmt.Sprintf("s%05d", i+1)}}
		}
	}
	g, err := Compile(services, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestWhy_allocates_nothing_for_each_step(t *testing.T) {
	g := chain(t, 4000)
	allocs := testing.AllocsPerRun(1, func() {
		if path := g.shortestPath(0, 3999, hardAny); len(path) != 3999 || path[0] != 0 || path[3998] != 3998 {
			t.Errorf("%d edges", len(path))
		}
	})
	if allocs > 2000 {
		t.Errorf("%v allocations for a path of 3999 edges", allocs)
	}
}

func TestPolicy_a_rule_that_reaches_far_keeps_no_way_for_each_target(t *testing.T) {
	g := chain(t, 4000)
	r := CustomRule{Name: "far", Mode: Forbidden, Reach: true, Severity: Error, From: Match{Service: []string{"s00000"}}, To: Match{Service: []string{"s03999", "s00001"}}}
	c := checker{ctx: t.Context(), g: g}
	if allocs := testing.AllocsPerRun(1, func() { c.targets(&r, 0) }); allocs > 1000 {
		t.Errorf("%v allocations for 3999 targets", allocs)
	}
	c.custom(&r)
	if len(c.found) != 2 || len(c.found[0].Edges) != 1 || len(c.found[1].Edges) != 3999 {
		t.Fatalf("%d findings", len(c.found))
	}
	want := "s00000 must not depend on s03999 (over s00001)"
	if f := c.found[1]; f.Message != want || f.Edges[0].From != "s00000" || f.Edges[3998].To != "s03999" {
		t.Errorf("%s, from %s to %s", f.Message, f.Edges[0].From, f.Edges[3998].To)
	}
}

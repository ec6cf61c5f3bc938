package depgraph

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// component returns the one cyclic component of a graph, and the weights of its arcs.
func component(t *testing.T, g *Graph) (*subgraph, []int32) {
	t.Helper()
	b := g.blocking(fStartup | fRuntime)
	nodes := b.cyclic()
	if len(nodes) != 1 {
		t.Fatalf("%d components", len(nodes))
	}
	s := b.ev.subgraph(nodes[0], b.keeps)
	return s, s.weights()
}

// tangle is a ring of n services with as many chords again, all needed at run time, or
// at startup, or on a control plane.
func tangle(t *testing.T, n int, seed uint64) *Graph {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 5))
	var b strings.Builder
	for v := range n {
		fmt.Fprintf(&b, "---\nservice: s%02d\ndepends:\n", v)
		seen := map[int]bool{v: true}
		for _, w := range []int{(v + 1) % n, r.IntN(n), r.IntN(n)} {
			if !seen[w] {
				seen[w] = true
				fmt.Fprintf(&b, "  - {on: s%02d, %s}\n", w, []string{"phase: startup", "phase: runtime", "plane: control"}[r.IntN(3)])
			}
		}
	}
	return graphOf(t, b.String())
}

// backwardCost is what an order costs: the weights of needs of what comes later.
func backwardCost(s *subgraph, order, weights []int32) int {
	rank := make([]int32, len(order))
	for i, v := range order {
		rank[v] = int32(i)
	}
	return cost(s.backward(rank), weights)
}

// After the search, no single service can be moved to a better place; it never makes an
// order worse.
func TestSoften_search_ends_where_no_move_helps(t *testing.T) {
	better := 0
	for seed := range uint64(8) {
		s, weights := component(t, tangle(t, 24, seed))
		order := s.eadesLinSmyth(weights)
		before := backwardCost(s, order, weights)
		s.insertionSearch(t.Context(), order, weights)
		after := backwardCost(s, order, weights)
		if after > before {
			t.Errorf("seed %d: %d before, %d after", seed, before, after)
		}
		if after < before {
			better++
		}
		for from := range order {
			for to := range order {
				moved := slices.Clone(order)
				if move(moved, from, to); backwardCost(s, moved, weights) < after {
					t.Fatalf("seed %d: moving %d to %d is better", seed, from, to)
				}
			}
		}
	}
	if better == 0 {
		t.Error("the search never had anything to do")
	}
}

// The heuristic's set leaves no cycle, and each of its edges is needed for that.
func TestSoften_heuristic_takes_no_edge_too_many(t *testing.T) {
	for seed := range uint64(8) {
		s, weights := component(t, tangle(t, 30, seed))
		chosen := s.heuristic(t.Context(), weights)
		if !s.comesUpAlone(chosen) {
			t.Fatalf("seed %d: a cycle is left", seed)
		}
		for i := range chosen {
			if !chosen[i] {
				continue
			}
			if chosen[i] = false; s.comesUpAlone(chosen) {
				t.Fatalf("seed %d: arc %d is not needed", seed, i)
			}
			chosen[i] = true
		}
		if bound := s.disjointCycles(t.Context(), weights); bound <= 0 || bound > cost(chosen, weights) {
			t.Errorf("seed %d: bound %d, cost %d", seed, bound, cost(chosen, weights))
		}
	}
}

// Sinks come first, sources last, and between them what is needed most for the little
// that it needs.
func TestSoften_first_order(t *testing.T) {
	for lines, want := range map[string]string{
		"a: / on: b, phase: runtime\nb: / on: a, phase: startup": "b a",
		// hub is needed by three and needs one of them.
		"a: / on: hub\nb: / on: hub\nc: / on: hub / on: b\nhub: / on: a, phase: startup / on: c, phase: startup": "hub a b c",
		// Without p, what is left is a chain.
		"p: / on: q\nq: / on: r\nr: / on: s\ns: / on: p, plane: control": "s r q p",
	} {
		s, weights := component(t, system(t, lines))
		if got := strings.Join(s.g.namesOf(s.ev.services(s.verts)), " "); len(strings.Fields(want)) != len(s.verts) {
			t.Fatalf("%s\nconsists of %s", lines, got)
		}
		var names []string
		for _, v := range s.eadesLinSmyth(weights) {
			names = append(names, s.g.names[s.verts[v]])
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s\n%s, want %s", lines, got, want)
		}
	}
}

// Cycles that share no edge are counted with their cheapest one; the bound needs
// neither more nor less.
func TestSoften_bound_of_cycles_that_share_nothing(t *testing.T) {
	for lines, want := range map[string]int{
		"a: / on: b\nb: / on: a":                 4,
		"a: / on: b, phase: startup\nb: / on: a": 2,
		"a: / on: hub\nb: / on: hub\nhub: / on: a, plane: control / on: b, phase: startup":                           3,
		"a: / on: b\nb: / on: c, plane: control\nc: / on: a / on: d\nd: / on: e\ne: / on: d, phase: startup / on: c": 1 + 4, // d>e is in two of them
		"a: / on: b / on: c\nb: / on: d\nc: / on: d\nd: / on: a, plane: control":                                     1,     // both go over one edge
	} {
		s, weights := component(t, system(t, lines))
		if got := s.disjointCycles(t.Context(), weights); got != want {
			t.Errorf("%s\n%d, want %d", lines, got, want)
		}
		exact := cost(s.exact(weights), weights)
		if exact != want {
			t.Errorf("%s\nthe least is %d, want %d", lines, exact, want)
		}
	}
}

// Of 20 units there are 15504 sets of 5. The search tries each once, and stops after
// maxTries, when its context ends, and before sets that cost too much.
func TestSoften_groups_are_tried_within_bounds(t *testing.T) {
	var lines strings.Builder
	for v := range 20 {
		fmt.Fprintf(&lines, "s%02d: / on: s%02d, phase: startup\n", v, (v+1)%20)
	}
	s, weights := component(t, system(t, lines.String()))
	all := func(chosen []bool) bool { return !slices.Contains(chosen, false) } // a demand that only the whole set meets
	units := s.units(weights)
	counted := 0
	set, cost, complete := s.trySets(t.Context(), units, 5, 1000, &counted, all)
	if set != nil || cost != 1000 || !complete || counted != 15504 {
		t.Errorf("sets of 5: %v for %d, complete %v, %d tries", set, cost, complete, counted)
	}
	counted = maxTries - 100
	if _, _, complete := s.trySets(t.Context(), units, 5, 1000, &counted, all); complete || counted != maxTries+1 {
		t.Errorf("complete %v after %d tries, want it cut after %d", complete, counted, maxTries)
	}
	counted = 0
	if set, cost, complete := s.trySets(t.Context(), units, 20, 1000, &counted, all); len(set) != 20 || cost != 40 || !complete || counted != 1 {
		t.Errorf("sets of 20: %v for %d, complete %v, %d tries", set, cost, complete, counted)
	}
	counted = 0
	if _, _, complete := s.trySets(t.Context(), units, 5, 10, &counted, all); !complete || counted != 0 { // each costs 10
		t.Errorf("complete %v after %d tries of sets that are too expensive", complete, counted)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	counted = 0
	if _, _, complete := s.trySets(ended, units, 5, 1000, &counted, all); complete || counted != 1 {
		t.Errorf("complete %v after %d tries with a context that has ended", complete, counted)
	}
}

// An edge of a group is softened with all of its group, for the weight of one.
func TestSoften_units_are_edges_and_whole_groups(t *testing.T) {
	s, weights := component(t, system(t, `
		a: / any-of: [b, c], phase: startup / any-of: [b, d], need: 2, plane: control / on: c, phase: runtime
		b: / on: a, phase: startup
		c: / on: a
		d: / on: a, pinned: true`))
	var got []string
	for _, u := range s.units(weights) {
		var edges []Edge
		for _, i := range u.edges {
			edges = append(edges, s.g.edgeOf(s.edgeID[i]))
		}
		got = append(got, fmt.Sprintf("%s for %d", ways(edges), u.weight))
	}
	want := []string{"a>b for 1", "a>d for 1", "a>b a>c for 2", "b>a for 2", "a>c for 4", "c>a for 4", "d>a for 65536"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestComponents_dependencies_have_lower_numbers(t *testing.T) {
	for lines, want := range map[string]string{
		"a: / on: b\nb: / on: c\nc:":                                         "[2 1 0] 3 []",
		"a: / on: b\nb: / on: a\nc: / on: a":                                 "[0 0 1] 2 [[0 1]]",
		"a: / on: c\nb: / on: a\nc: / on: d\nd: / on: b\ne:":                 "[0 0 0 0 1] 2 [[0 1 2 3]]",
		"a: / on: b\nb: / on: c / on: a\nc: / on: d\nd: / on: c / on: e\ne:": "[2 2 1 1 0] 3 [[0 1] [2 3]]",
		"a: / on: b, soft: true\nb: / on: a":                                 "[0 1] 2 []",
		"a: / any-of: [b, c]\nb: / on: a\nc: / on: a":                        "[0 1 2] 3 []", // members of a group are not hard
	} {
		comp, count := system(t, lines).components(hardAny)
		if got := fmt.Sprint(comp, count, gather(comp, count)); got != want {
			t.Errorf("%s\n%s, want %s", lines, got, want)
		}
	}
}

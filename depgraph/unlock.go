package depgraph

import (
	"cmp"
	"context"
	"slices"
)

// unlock finds a cheapest set of edges without which a deadlock comes up: services may
// still need each other at run time, and are started together. Fewer edges do than for
// no cycle at all. It reports whether none is cheaper.
//
// It begins with a set that leaves no cycle at all, which certainly works, takes back
// what is not needed, and searches for something cheaper within a bound.
func (s *subgraph) unlock(ctx context.Context) (chosen []bool, proven bool) {
	weights := s.weights()
	if s.groups {
		set, total, bound := s.softenGroups(ctx, weights, s.comesUp)
		return set, total == bound
	}
	// A cycle of the run time alone may stay, so what leaves no cycle at all is more
	// than needed: an upper bound to begin with.
	set, _, _ := s.acyclicSet(ctx)
	h := hitting{s: s, ctx: ctx, weights: weights, best: s.thin(set, weights), chosen: make([]bool, len(set)), fixed: make([]bool, len(set))}
	h.cost = cost(h.best, weights)
	h.search(0)
	return h.best, !h.cut
}

// thin takes edges back, the most expensive first, while no cycle with a startup edge
// returns. It changes chosen and returns it.
func (s *subgraph) thin(chosen []bool, weights []int32) []bool {
	var order []int
	for i, soft := range chosen {
		if soft {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
	for _, i := range order {
		// Out, and in again if a cycle with a startup edge comes back.
		chosen[i] = false
		chosen[i] = s.startupCycle(chosen) != nil
	}
	return chosen
}

// startupCycle returns the local arcs of a shortest cycle with a startup edge,
// over arcs that are not gone, or nil.
func (s *subgraph) startupCycle(gone []bool) []int32 {
	flags := make([]flag, len(s.to))
	for i := range flags {
		if !gone[i] {
			flags[i] = fStartup
		}
	}
	// A cycle lies inside one component of what is left. If no startup edge does, there
	// is none, and no search is needed.
	comp, _ := components(s.out, s.to, flags, sel{any: fStartup})
	inside := func(i int32) bool { return !gone[i] && comp[s.from[i]] == comp[s.to[i]] }
	n := int32(len(s.verts))
	c := cycleSearch{s: s, dist: make([]int32, n), via: make([]int32, n), limit: n + 2, skip: func(i int32) bool { return !inside(i) }}
	c.must = func(e int32) bool { return s.g.flags[e]&fStartup != 0 }
	for i := range int32(len(s.to)) {
		if s.flags(int(i))&fStartup != 0 && inside(i) && c.steps <= maxCycleSteps {
			c.from(s.from[i])
			// Two edges: there is no shorter one.
			if c.limit <= 3 {
				break
			}
		}
	}
	return c.best
}

// hitting searches a cheapest set of edges that hits every cycle with a
// startup edge: one edge of the shortest cycle left must be in it.
type hitting struct {
	s       *subgraph
	ctx     context.Context
	weights []int32
	best    []bool
	cost    int
	chosen  []bool
	fixed   []bool // not to be chosen: sets with it have been tried
	tries   int
	cut     bool
}

// maxHits bounds the search in cycles looked for.
const maxHits = 5000

// search is branch and bound: it takes the edges of the shortest cycle that is left one
// after the other, the cheapest first, and never again in later branches one that was
// tried before them. Shortest cycles branch least. sum is what is chosen already.
func (h *hitting) search(sum int) {
	if h.tries++; h.tries*len(h.s.to) > maxHits*200 || h.tries > maxHits || h.ctx.Err() != nil {
		h.cut = true
		return
	}
	cycle := h.s.startupCycle(h.chosen)
	if cycle == nil {
		if sum < h.cost {
			h.best, h.cost = slices.Clone(h.chosen), sum
		}
		return
	}
	cycle = slices.DeleteFunc(slices.Clone(cycle), func(i int32) bool { return h.s.edgeID[i] < 0 || h.fixed[i] })
	slices.SortStableFunc(cycle, func(a, b int32) int { return cmp.Compare(h.weights[a], h.weights[b]) })
	// One edge of this cycle must be chosen. Branches: with the first; without it and
	// with the second; and so on. fixed keeps a set from being tried once for each
	// order of its edges.
	for _, i := range cycle {
		if sum+int(h.weights[i]) < h.cost && !h.cut {
			h.chosen[i] = true
			h.search(sum + int(h.weights[i]))
			h.chosen[i] = false
		}
		h.fixed[i] = true
	}
	for _, i := range cycle {
		h.fixed[i] = false
	}
}

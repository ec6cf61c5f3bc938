package depgraph

import (
	"cmp"
	"context"
	"slices"
)

// unit is what is softened as a whole: an edge, or all edges of a group.
type unit struct {
	edges  []int // local edges
	weight int32
}

// maxTries bounds how many sets of units are tried exactly.
const maxTries = 20_000

// softenGroups finds a cheap set that works in a component with alternatives, where a
// cycle through one member of a group is harmless as long as enough others
// remain. It tries sets in order of size, which is exact for the few that real
// systems need, and otherwise reduces the plain solution greedily.
func (s *subgraph) softenGroups(ctx context.Context, weights []int32, works func([]bool) bool) (chosen []bool, total, bound int) {
	units := s.units(weights)
	cheapest := int(units[0].weight) // units are sorted
	bound = cheapest
	best, bestCost := s.greedyGroups(ctx, units, weights, works)
	// Before each round, every set of fewer units has been tried, so what is cheaper
	// than best has at least size units and costs at least size times the cheapest.
	// When that reaches best, best is proven.
	for size, tries := 1, 0; size*cheapest < bestCost; size++ {
		found, cost, complete := s.trySets(ctx, units, size, bestCost, &tries, works)
		if found != nil {
			best, bestCost = found, cost
		}
		if !complete {
			return best, bestCost, min(bound, bestCost)
		}
		bound = (size + 1) * cheapest
	}
	return best, bestCost, bestCost
}

// units lists what can be softened, the cheapest first. All edges of a group that can
// lose a member are one unit, with the weight of one of them.
func (s *subgraph) units(weights []int32) []unit {
	byGroup := map[int32]int{}
	var units []unit
	for i, e := range s.edgeID {
		if e < 0 {
			continue
		}
		gr := s.g.group[e]
		if s.g.flags[e]&fGroup == 0 {
			units = append(units, unit{edges: []int{i}, weight: weights[i]})
			continue
		}
		at, ok := byGroup[gr]
		if !ok {
			at = len(units)
			byGroup[gr] = at
			units = append(units, unit{weight: weights[i]})
		}
		units[at].edges = append(units[at].edges, i)
	}
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(a.weight, b.weight) })
	return units
}

// greedyGroups softens everything a plain order would, then takes units back,
// the most expensive first, while the component still comes up.
func (s *subgraph) greedyGroups(ctx context.Context, units []unit, weights []int32, works func([]bool) bool) (chosen []bool, total int) {
	plain := s.heuristic(ctx, weights)
	chosen = make([]bool, len(s.to))
	var used []unit
	for _, u := range units {
		if slices.ContainsFunc(u.edges, func(i int) bool { return plain[i] }) {
			used = append(used, u)
			mark(chosen, u, true)
			total += int(u.weight)
		}
	}
	for _, u := range slices.Backward(used) {
		if ctx.Err() != nil {
			break
		}
		mark(chosen, u, false)
		if works(chosen) {
			total -= int(u.weight)
		} else {
			mark(chosen, u, true)
		}
	}
	return chosen, total
}

// trySets tries every set of exactly size units that costs less than limit and returns
// the cheapest that works. It reports whether it tried all; tries counts over all
// sizes, so that the whole search has one bound. Units are sorted by weight, which lets
// it leave a branch as soon as the rest must cost too much.
func (s *subgraph) trySets(ctx context.Context, units []unit, size, limit int, tries *int, works func([]bool) bool) (best []bool, bestCost int, complete bool) {
	bestCost, complete = limit, true
	chosen := make([]bool, len(s.to))
	var try func(first, left, cost int)
	try = func(first, left, cost int) {
		if left == 0 {
			if *tries++; *tries > maxTries || ctx.Err() != nil {
				complete = false
			} else if works(chosen) {
				best, bestCost = slices.Clone(chosen), cost
			}
			return
		}
		for i := first; i+left <= len(units) && complete; i++ {
			// Units are sorted, so each of the left ones costs at least as much as this
			// one.
			if cost+left*int(units[i].weight) >= bestCost {
				return // the rest costs at least as much
			}
			mark(chosen, units[i], true)
			try(i+1, left-1, cost+int(units[i].weight))
			mark(chosen, units[i], false)
		}
	}
	try(0, size, 0)
	return best, bestCost, complete
}

// mark sets or clears all edges of a unit.
func mark(chosen []bool, u unit, soft bool) {
	for _, i := range u.edges {
		chosen[i] = soft
	}
}

package depgraph

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"
)

// Weights of softening an edge. An edge is cheap to soften if it is only
// needed at startup (a default or a retry will do), expensive if it is needed at
// run time, and on a control plane it should not have been hard at all.
const (
	weightStartup = 2
	weightRuntime = 4
	weightDeploy  = 2
	weightControl = 1
	weightPinned  = 1 << 16 // more than the rest of any component that is solved exactly
	weightFixed   = 1 << 22 // serving needs the launch: nothing can change that
)

// maxExact is the number of services up to which the minimum is computed
// exactly; time and memory double with each.
const maxExact = 20

// weightOf is the cost of softening an edge by its worst property: what makes it
// impossible, then what makes it cheap, then the phases, run time before startup.
func weightOf(f flag) int32 {
	switch {
	case f&fPinned != 0:
		return weightPinned
	case f&fControl != 0:
		return weightControl
	case f&fRuntime != 0:
		return weightRuntime
	case f&fStartup != 0:
		return weightStartup
	}
	return weightDeploy
}

// soften fills the fix of a component: a minimum feedback arc set, a cheapest set of
// edges without which no cycle is left. If the set that was found has a pinned edge,
// which weighs so much that none is taken without need, pinned edges alone form a
// cycle, and nothing is proposed.
func (s *subgraph) soften(ctx context.Context, c *Component) {
	chosen, total, bound := s.acyclicSet(ctx)
	c.Cost, c.LowerBound = total, bound
	c.ProvenMinimum = c.Cost == c.LowerBound
	for i, soft := range chosen {
		if soft {
			c.Pinned = c.Pinned || s.flags(i)&fPinned != 0
			c.Soften = append(c.Soften, s.g.edgeOf(s.edgeID[i]))
		}
	}
	// A set with a pinned edge is no advice: that edge cannot be softened, as its owner
	// says.
	if c.Pinned {
		c.Soften, c.Cost, c.LowerBound = nil, 0, 0
	}
}

// weights are those of all local arcs. The arc from serving to the launch of the same
// service is fixed: no edge stands for it.
func (s *subgraph) weights() []int32 {
	weights := make([]int32, len(s.edgeID))
	for i, e := range s.edgeID {
		if weights[i] = weightFixed; e >= 0 {
			weights[i] = weightOf(s.g.flags[e])
		}
	}
	return weights
}

// acyclicSet finds a cheap set of edges without which no cycle is left, and what every
// such set costs at least; if the two are equal, none is cheaper. Groups need a search
// of their own, small components are solved exactly, and large ones by a heuristic
// beside a lower bound.
func (s *subgraph) acyclicSet(ctx context.Context) (chosen []bool, total, bound int) {
	weights := s.weights()
	switch {
	case s.groups:
		return s.softenGroups(ctx, weights, s.comesUpAlone)
	// 2^20 sets are some 20 million steps and 5 MB of tables; each service
	// more doubles both.
	case len(s.verts) <= maxExact:
		chosen = s.exact(weights)
		total = cost(chosen, weights)
		return chosen, total, total
	}
	chosen = s.heuristic(ctx, weights)
	return chosen, cost(chosen, weights), s.disjointCycles(ctx, weights)
}

// cost is the weight of a set.
func cost(chosen []bool, weights []int32) int {
	total := 0
	for i, soft := range chosen {
		if soft {
			total += int(weights[i])
		}
	}
	return total
}

// exact solves the problem by dynamic programming over the sets of services
// that are already up (Lawler 1964): adding v to the set S costs the edges of
// v to services outside S. It takes 2^n steps of n.
func (s *subgraph) exact(weights []int32) []bool {
	n := len(s.verts)
	half := (n + 1) / 2
	// What v pays for all services not yet up is the sum of two look-ups, one for each
	// half of the set: tables of 2^(n/2) instead of 2^n for each service.
	low, high := s.sums(weights, 0, half), s.sums(weights, half, n)
	mask, full := uint32(1)<<half-1, uint32(1)<<n-1
	addCost := func(v int, up uint32) int32 {
		missing := full &^ up &^ (1 << v)
		return low[v][missing&mask] + high[v][missing>>half]
	}
	best := make([]int32, full+1)
	last := make([]uint8, full+1)
	// Every set is greater than its subsets, so those are solved when its turn comes.
	// best[up] is the least cost to bring exactly these up first, last[up] which of
	// them came last.
	for up := uint32(1); up <= full; up++ {
		best[up] = math.MaxInt32
		for rest := up; rest != 0; rest &= rest - 1 {
			v := bits.TrailingZeros32(rest)
			if c := best[up&^(1<<v)]; c < best[up] {
				if c += addCost(v, up&^(1<<v)); c < best[up] {
					best[up], last[up] = c, uint8(v)
				}
			}
		}
	}
	// Back from the full set, the last one first, gives the order.
	rank := make([]int32, n)
	for up, i := full, n-1; up != 0; i-- {
		rank[last[up]] = int32(i)
		up &^= 1 << last[up]
	}
	return s.backward(rank)
}

// sums returns, for each vertex, the weight of its edges into every subset of
// the vertices from lo to hi. Pinned weights are capped to stay in range.
func (s *subgraph) sums(weights []int32, lo, hi int) [][]int32 {
	all := make([][]int32, len(s.verts))
	for v := range all {
		single := make([]int32, hi-lo)
		for i := s.out[v]; i < s.out[v+1]; i++ {
			if w := int(s.to[i]); w >= lo && w < hi {
				single[w-lo] += weights[i]
			}
		}
		sum := make([]int32, 1<<(hi-lo))
		for set := 1; set < len(sum); set++ {
			sum[set] = min(sum[set&(set-1)]+single[bits.TrailingZeros(uint(set))], 4*weightFixed)
		}
		all[v] = sum
	}
	return all
}

// backward marks the edges to services that come up later.
func (s *subgraph) backward(rank []int32) []bool {
	chosen := make([]bool, len(s.to))
	for i := range chosen {
		chosen[i] = rank[s.to[i]] > rank[s.from[i]]
	}
	return chosen
}

// heuristic orders the services with the method of Eades, Lin and Smyth
// (1993), then moves single services to better places while that helps.
func (s *subgraph) heuristic(ctx context.Context, weights []int32) []bool {
	order := s.eadesLinSmyth(weights)
	s.insertionSearch(ctx, order, weights)
	rank := make([]int32, len(order))
	for i, v := range order {
		// Odd ranks leave a place before each for a launch that has to be moved there.
		rank[v] = int32(2*i + 1)
	}
	for v := range order { // no launch after what it leads to
		if l := s.launchOf(v); l >= 0 && rank[l] > rank[v] {
			rank[l] = rank[v] - 1
		}
	}
	return s.prune(s.backward(rank), weights)
}

// eadesLinSmyth returns an order in which dependencies tend to come first.
// Sinks (nothing needed any more) go to the front, sources to the back, and
// where there is neither, the vertex that gains the most goes to the front.
func (s *subgraph) eadesLinSmyth(weights []int32) []int32 {
	n := len(s.verts)
	// Sums of the weights of edges to and from what is still there. At 0, a vertex is a
	// sink or a source, and its place costs nothing.
	needs, needed := make([]int32, n), make([]int32, n)
	incoming := make([][]int32, n)
	for i := range s.to {
		needs[s.from[i]] += weights[i]
		needed[s.to[i]] += weights[i]
		incoming[s.to[i]] = append(incoming[s.to[i]], int32(i))
	}
	gone := make([]bool, n)
	var front, back, ready []int32
	remove := func(v int32) {
		gone[v] = true
		for i := s.out[v]; i < s.out[v+1]; i++ {
			if w := s.to[i]; !gone[w] {
				if needed[w] -= weights[i]; needed[w] == 0 {
					ready = append(ready, w)
				}
			}
		}
		for _, i := range incoming[v] {
			if u := s.from[i]; !gone[u] {
				if needs[u] -= weights[i]; needs[u] == 0 {
					ready = append(ready, u)
				}
			}
		}
	}
	queue := newGainQueue(n, func(v int32) int32 { return needed[v] - needs[v] })
	for len(front)+len(back) < n {
		for len(ready) > 0 {
			v := ready[0]
			ready = ready[1:]
			if gone[v] {
				continue
			}
			// It needs nothing that is left: it goes to the front at no cost. Otherwise
			// nothing left needs it, and it goes to the back.
			if needs[v] == 0 {
				front = append(front, v)
			} else {
				back = append(back, v)
			}
			remove(v)
		}
		// Neither is left: the vertex that others need most, for the little that it
		// needs itself, goes first, and its own needs are softened.
		if v, ok := queue.pop(gone); ok {
			front = append(front, v)
			remove(v)
		}
	}
	slices.Reverse(back)
	return append(front, back...)
}

// gainQueue yields the vertex with the greatest gain, the smallest on a tie.
// Gains change while it is used, so it looks at all that are left; a component
// above maxScan is taken in a fixed order of the first gains.
type gainQueue struct {
	left []int32
	gain func(int32) int32
	scan bool
}

// maxScan is up to how many vertices the greatest gain is looked for anew each time:
// that is quadratic.
const maxScan = 4000

// newGainQueue holds all n vertices. gain is asked whenever it matters, as it changes
// while vertices are removed.
func newGainQueue(n int, gain func(int32) int32) *gainQueue {
	q := &gainQueue{left: make([]int32, n), gain: gain, scan: n <= maxScan}
	for v := range q.left {
		q.left[v] = int32(v)
	}
	if !q.scan {
		slices.SortStableFunc(q.left, func(a, b int32) int { return cmp.Compare(gain(b), gain(a)) })
	}
	return q
}

// pop takes the next vertex that is not gone. O(vertices left) with scan, and else
// amortized O(1).
func (q *gainQueue) pop(gone []bool) (best int32, ok bool) {
	q.left = slices.DeleteFunc(q.left, func(v int32) bool { return q.scan && gone[v] })
	for i, v := range q.left {
		if gone[v] {
			continue
		}
		if !q.scan {
			q.left = q.left[i+1:]
			return v, true
		}
		if !ok || q.gain(v) > q.gain(best) {
			best, ok = v, true
		}
	}
	return best, ok
}

// maxMoves bounds the steps of the local search, to about a second.
const maxMoves = 200_000_000

// insertionSearch moves each vertex to its best place until nothing improves.
func (s *subgraph) insertionSearch(ctx context.Context, order, weights []int32) {
	n := len(order)
	delta := make([]int64, n) // delta[w]: weight of v->w minus weight of w->v
	for moves, improved := 0, true; improved && moves < maxMoves && ctx.Err() == nil; {
		improved = false
		for v := int32(0); v < int32(n) && moves < maxMoves; v++ {
			// gain is what is saved by each place on the way, from v's neighbours
			// outwards; best is where it was greatest. O(vertices + edges) for each v.
			at := slices.Index(order, v)
			s.pull(v, weights, delta, 1)
			best, bestGain := at, int64(0)
			for gain, j := int64(0), at-1; j >= 0; j-- { // v before order[j]: v->order[j] turns backward
				if gain -= delta[order[j]]; gain > bestGain {
					best, bestGain = j, gain
				}
			}
			for gain, j := int64(0), at+1; j < n; j++ { // v after order[j]: v->order[j] turns forward
				if gain += delta[order[j]]; gain > bestGain {
					best, bestGain = j, gain
				}
			}
			s.pull(v, weights, delta, 0)
			moves += n + len(s.to)
			if best != at {
				move(order, at, best)
				improved = true
			}
		}
	}
}

// pull sets, or with factor 0 clears, the weights between v and the others.
func (s *subgraph) pull(v int32, weights []int32, delta []int64, factor int64) {
	if factor == 0 {
		clear(delta)
		return
	}
	for i := range s.to {
		switch v {
		case s.from[i]:
			delta[s.to[i]] += int64(weights[i])
		case s.to[i]:
			delta[s.from[i]] -= int64(weights[i])
		}
	}
}

// move takes the item at from to the place to, and closes the gap.
func move(order []int32, from, to int) {
	v := order[from]
	if from < to {
		copy(order[from:], order[from+1:to+1])
	} else {
		copy(order[to+1:], order[to:from])
	}
	order[to] = v
}

// prune takes edges back, the most expensive first, while no cycle returns.
func (s *subgraph) prune(chosen []bool, weights []int32) []bool {
	var order []int
	for i, soft := range chosen {
		if soft {
			order = append(order, i)
		}
	}
	if len(order)*len(s.to) > maxCycleSteps {
		return chosen
	}
	// An edge is needed in the set if a path back exists without the set. Trying the
	// expensive ones first leaves the cheap ones in it.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
	for _, i := range order {
		chosen[i] = s.reaches(s.to[i], s.from[i], chosen)
	}
	return chosen
}

// reaches reports whether a path without chosen edges leads from v to w.
func (s *subgraph) reaches(v, w int32, chosen []bool) bool {
	seen := make([]bool, len(s.verts))
	seen[v] = true
	for stack := []int32{v}; len(stack) > 0; {
		u := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if u == w {
			return true
		}
		for i := s.out[u]; i < s.out[u+1]; i++ {
			if !chosen[i] && !seen[s.to[i]] {
				seen[s.to[i]] = true
				stack = append(stack, s.to[i])
			}
		}
	}
	return false
}

// disjointCycles returns a lower bound: as many cycles as a greedy search finds that
// share no weight, each counted with its cheapest edge, since every set has to pay for
// an edge of each. Short cycles are looked for first, as they use up least. It stops at
// a bound on steps; the bound that it has by then still holds.
func (s *subgraph) disjointCycles(ctx context.Context, weights []int32) int {
	left := slices.Clone(weights)
	bound, steps := 0, 0
	prev := make([]int32, len(s.verts))
	// Rising limits instead of one search for the shortest: that would look at every
	// vertex for each cycle.
	for _, limit := range []int{2, 3, 4, 6, 10, len(s.verts)} {
		for v := range int32(len(s.verts)) {
			for steps < maxCycleSteps && ctx.Err() == nil {
				cycle := s.cycleThrough(v, left, prev, limit, &steps)
				if cycle == nil {
					break
				}
				// Whoever breaks this cycle pays at least for its cheapest edge. That
				// much is taken from every edge of it, so that no other cycle counts on
				// the same money.
				least := int32(math.MaxInt32)
				for _, i := range cycle {
					least = min(least, left[i])
				}
				for _, i := range cycle {
					left[i] -= least
				}
				bound += int(least)
			}
		}
	}
	return bound
}

// cycleThrough finds a shortest cycle through v over edges with weight left,
// of at most limit edges.
func (s *subgraph) cycleThrough(v int32, left, prev []int32, limit int, steps *int) []int32 {
	for i := range prev {
		prev[i] = -1
	}
	queue, depth := []int32{v}, []int{0}
	for head := 0; head < len(queue); head++ {
		u := queue[head]
		if depth[head] == limit {
			return nil
		}
		for i := s.out[u]; i < s.out[u+1]; i++ {
			*steps++
			w := s.to[i]
			if left[i] <= 0 || prev[w] >= 0 {
				continue
			}
			prev[w] = i
			if w == v {
				// prev leads back from v to v; the arc into v is the last one that was
				// found.
				var cycle []int32
				for at, more := v, true; more; more = at != v {
					cycle = append(cycle, prev[at])
					at = s.from[prev[at]]
				}
				return cycle
			}
			queue, depth = append(queue, w), append(depth, depth[head]+1)
		}
	}
	return nil
}

package depgraph

import "slices"

// subgraph is the part of a graph inside one component, with vertices
// renumbered from 0 in order of name.
type subgraph struct {
	g      *Graph
	verts  []int32 // the vertex in g
	out    []int32 // offsets into to and edgeID
	to     []int32
	edgeID []int32 // the edge in g
	from   []int32
	groups bool // an edge belongs to a group that can lose a member
}

// subgraph cuts the members (sorted) out, with the edges for which keep holds.
func (g *Graph) subgraph(members []int32, keep func(e int32) bool) *subgraph {
	s := &subgraph{g: g, verts: members, out: make([]int32, len(members)+1)}
	local := make(map[int32]int32, len(members))
	for i, v := range members {
		local[v] = int32(i)
	}
	for i, v := range members {
		for e := g.out[v]; e < g.out[v+1]; e++ {
			w, inside := local[g.to[e]]
			if !inside || !keep(e) {
				continue
			}
			s.to, s.edgeID, s.from = append(s.to, w), append(s.edgeID, e), append(s.from, int32(i))
			s.groups = s.groups || g.flags[e]&fGroup != 0
		}
		s.out[i+1] = int32(len(s.to))
	}
	return s
}

// cyclic returns the cyclic components inside the subgraph, as vertices of g.
func (s *subgraph) cyclic() [][]int32 {
	all := make([]flag, len(s.to))
	for i := range all {
		all[i] = fStartup
	}
	found := gather(components(s.out, s.to, all, sel{any: fStartup}))
	for _, members := range found {
		for i, v := range members {
			members[i] = s.verts[v]
		}
	}
	return found
}

// deadlocked reports whether some member never starts even though everything
// outside is up. Without groups, one startup edge inside is enough: whoever
// waits for it waits for itself.
func (s *subgraph) deadlocked() bool {
	startup := false
	for _, e := range s.edgeID {
		startup = startup || s.g.flags[e]&fStartup != 0
	}
	return startup && (!s.groups || !s.comesUp(nil))
}

// comesUp reports whether all members come up in a black start with everything
// outside up, where soft[i] removes edge i. Starting is a least fixpoint, as a
// service must wait; serving is a greatest one inside it, as services that
// have started may begin to serve together.
func (s *subgraph) comesUp(soft []bool) bool {
	n := len(s.verts)
	started, serves := make([]bool, n), make([]bool, n)
	for up := 0; up < n; {
		copy(serves, started)
		for changed := true; changed; {
			changed = false
			for v := range n {
				if serves[v] && !s.satisfied(v, fRuntime, serves, soft) {
					serves[v], changed = false, true
				}
			}
		}
		before := up
		for v := range n {
			if !started[v] && s.satisfied(v, fStartup, serves, soft) {
				started[v] = true
				up++
			}
		}
		if up == before {
			return false
		}
	}
	return true
}

// comesUpAlone is comesUp without services that begin to serve together: it
// reports whether no cycle of any kind is left.
func (s *subgraph) comesUpAlone(soft []bool) bool {
	n := len(s.verts)
	up := make([]bool, n)
	for count := 0; count < n; {
		before := count
		for v := range n {
			if !up[v] && s.satisfied(v, fStartup|fRuntime|fDeploy, up, soft) {
				up[v] = true
				count++
			}
		}
		if count == before {
			return false
		}
	}
	return true
}

// satisfied reports whether what v needs in the phases is up.
func (s *subgraph) satisfied(v int, phases flag, up, soft []bool) bool {
	g := s.g
	for i := s.out[v]; i < s.out[v+1]; i++ {
		f := g.flags[s.edgeID[i]]
		if f&phases == 0 || up[s.to[i]] || soft != nil && soft[i] {
			continue
		}
		if f&fGroup == 0 {
			return false
		}
		if !s.quorum(v, g.group[s.edgeID[i]], up, soft) {
			return false
		}
	}
	return true
}

// quorum reports whether a group of v has its quorum. Members outside the
// subgraph, or not kept in it, count as what the subgraph's maker decided:
// members that can come up on their own were not kept, and count as up.
func (s *subgraph) quorum(v int, group int32, up, soft []bool) bool {
	gr := &s.g.groups[group]
	missing := 0
	for i := s.out[v]; i < s.out[v+1]; i++ {
		if s.g.group[s.edgeID[i]] == group && !up[s.to[i]] && (soft == nil || !soft[i]) {
			missing++
		}
	}
	return len(gr.members)-missing >= int(gr.need)
}

// maxCycleSteps bounds the search for a shortest cycle in a huge component.
const maxCycleSteps = 50_000_000

// shortestCycle returns a shortest cycle, as edges of g, that begins at its
// smallest vertex. If must is set, the cycle contains an edge for which it
// holds; nil means that there is none. It searches from every vertex, each
// time no further than the best length so far, so a result is proven shortest
// unless the bound on steps was reached.
func (s *subgraph) shortestCycle(must func(e int32) bool) (cycle []int32, proven bool) {
	n := int32(len(s.verts))
	search := cycleSearch{s: s, must: must, dist: make([]int32, n), via: make([]int32, n), limit: n + 1}
	for v := int32(0); v < n && search.limit > 2 && search.steps <= maxCycleSteps; v++ {
		search.from(v)
	}
	return s.rotate(search.best), search.steps <= maxCycleSteps
}

type cycleSearch struct {
	s     *subgraph
	must  func(e int32) bool
	dist  []int32 // length of the path from the start; 0 means not seen
	via   []int32 // the local edge by which a vertex was reached
	queue []int32
	limit int32 // length of the best cycle
	best  []int32
	steps int
}

// from looks for a cycle through start whose first edge satisfies must. With
// no must, every cycle is found from its smallest vertex, so smaller ones are
// left out.
func (c *cycleSearch) from(start int32) {
	s := c.s
	c.queue = c.queue[:0]
	for i := s.out[start]; i < s.out[start+1]; i++ {
		if c.must == nil || c.must(s.edgeID[i]) {
			c.visit(s.to[i], i, 1, start)
		}
	}
	for head := 0; head < len(c.queue) && c.dist[start] == 0; head++ {
		v := c.queue[head]
		if c.dist[v]+1 >= c.limit {
			break
		}
		for i := s.out[v]; i < s.out[v+1]; i++ {
			c.visit(s.to[i], i, c.dist[v]+1, start)
		}
	}
	if d := c.dist[start]; d > 0 && d < c.limit {
		c.limit, c.best = d, c.best[:0]
		for v, more := start, true; more; more = v != start {
			c.best = append(c.best, c.via[v])
			v = s.from[c.via[v]]
		}
		slices.Reverse(c.best)
	}
	c.dist[start] = 0
	for _, v := range c.queue {
		c.dist[v] = 0
	}
}

func (c *cycleSearch) visit(w, edge, dist, start int32) {
	c.steps++
	if c.dist[w] == 0 && (c.must != nil || w >= start) {
		c.dist[w], c.via[w] = dist, edge
		c.queue = append(c.queue, w)
	}
}

// rotate turns a cycle of local edges into one of g that begins at its
// smallest vertex.
func (s *subgraph) rotate(cycle []int32) []int32 {
	if len(cycle) == 0 {
		return nil
	}
	start := 0
	for i, e := range cycle {
		if s.from[e] < s.from[cycle[start]] {
			start = i
		}
	}
	rotated := make([]int32, 0, len(cycle))
	for i := range cycle {
		rotated = append(rotated, s.edgeID[cycle[(start+i)%len(cycle)]])
	}
	return rotated
}

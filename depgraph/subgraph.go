package depgraph

import "slices"

// subgraph is the part of the graph of events inside one component, with nodes
// renumbered from 0: first what serves, in order of name, then launches.
//
// Everything that explains a component works on one: whether it is a deadlock
// (deadlocked, comesUp), its shortest cycle (cycleSearch, below), and the cheapest way
// out (soften.go, softengroups.go, unlock.go). What lies outside counts as up, since a
// component has to be judged by itself. An arc is an edge, or the step from the serving
// of a service to its own launch, which no edge stands for. A []bool by arc, called soft,
// chosen or gone, is a set of arcs that are taken away.
type subgraph struct {
	g     *Graph
	ev    *events
	verts []int32 // the node in ev
	// Arcs in rows, as in Graph: the arcs of node v run from out[v] to out[v+1].
	out    []int32 // offsets into to and edgeID
	to     []int32
	edgeID []int32 // the edge in g; -1 for the arc from serving to the launch
	from   []int32
	launch []int32 // the launch of a serving node, if both are here, else -1; nil: none
	groups bool    // an edge belongs to a group that can lose a member

	// The rest is made by reverse when it is first asked for: most components are
	// explained without.
	// Of reverse: incoming rows, and the groups by numbers of their own.
	in, inFrom, inArc []int32
	inGroup           []int32 // of each arc, or -1
	needs             []int32 // members inside that must come up; 0 or less: none
	groupOwner        []int32
}

// subgraph cuts the members (sorted) out, with the edges for which keep holds.
func (ev *events) subgraph(members []int32, keep func(e int32) bool) *subgraph {
	s := &subgraph{g: ev.g, ev: ev, verts: members, out: make([]int32, len(members)+1)}
	local := make(map[int32]int32, len(members))
	for i, v := range members {
		local[v] = int32(i)
	}
	if ev.launch != nil {
		s.launch = slices.Repeat([]int32{-1}, len(members))
	}
	for i, v := range members {
		for a := ev.out[v]; a < ev.out[v+1]; a++ {
			// Arcs that leave the component are dropped, and with them every group member that
			// is outside; quorum takes those as up.
			e := ev.edge(a)
			w, inside := local[ev.to[a]]
			if !inside || e >= 0 && !keep(e) {
				continue
			}
			s.to, s.edgeID, s.from = append(s.to, w), append(s.edgeID, e), append(s.from, int32(i))
			if e < 0 {
				s.launch[i] = w
			} else {
				s.groups = s.groups || ev.g.flags[e]&fGroup != 0
			}
		}
		s.out[i+1] = int32(len(s.to))
	}
	return s
}

// edges returns the edges of g inside.
//
// The order is that of the arcs, by node; fill sorts them for the reader.
func (s *subgraph) edges() []int32 {
	return slices.DeleteFunc(slices.Clone(s.edgeID), func(e int32) bool { return e < 0 })
}

// flags returns those of a local arc.
//
// The arc inside a service has none: it is no edge, cannot be softened, and no phase is
// said of it.
func (s *subgraph) flags(i int) flag {
	if e := s.edgeID[i]; e >= 0 {
		return s.g.flags[e]
	}
	return 0
}

// cyclic returns the cyclic components inside the subgraph, as nodes of ev.
//
// Removing arcs can split a component, so one set of nodes may give several, or none.
// O(nodes + arcs).
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
// outside is up. Without groups, one startup edge inside is enough: what waits
// for it waits for itself.
//
// With groups that is not enough, since the edge may belong to an alternative that is
// not needed, and only the simulation tells.
func (s *subgraph) deadlocked() bool {
	startup := false
	for i := range s.edgeID {
		startup = startup || s.flags(i)&fStartup != 0
	}
	return startup && (!s.groups || !s.comesUp(nil))
}

// comesUp reports whether all members come up in a black start with everything
// outside up, where soft[i] removes edge i. Starting is a least fixpoint, as a
// service must wait; serving is a greatest one inside it, as services that
// have started may begin to serve together.
//
// Both alternate until nothing moves. O(nodes × arcs) in the worst case, a chain in which
// each round starts one service; components are small, and the simulation of a whole
// graph is in start.go.
func (s *subgraph) comesUp(soft []bool) bool {
	n := len(s.verts)
	launched, up := make([]bool, n), make([]bool, n) // the launch of a node's service; its own event
	for moved := true; moved; {
		s.serveTogether(launched, up, soft)
		moved = false
		// Two kinds of nodes: one with a launch of its own inside waits for that; one
		// that shares it, l < 0, is held by its own startup edges.
		for v := range n {
			if l := s.launchOf(v); !launched[v] && (l >= 0 && launched[l] || l < 0 && s.satisfied(v, fStartup, up, soft)) {
				launched[v], moved = true, true
				up[v] = s.verts[v] >= s.ev.n
			}
		}
	}
	return !slices.Contains(up, false)
}

// launchOf returns the node that must come before v's, or -1.
func (s *subgraph) launchOf(v int) int32 {
	if s.launch == nil {
		return -1
	}
	return s.launch[v]
}

// serveTogether marks the greatest set of launched services each of which has
// what it needs at run time.
//
// It begins with all that are launched and takes out what lacks a need, until nothing
// changes: what is left supports itself.
func (s *subgraph) serveTogether(launched, up, soft []bool) {
	copy(up, launched)
	for changed := true; changed; {
		changed = false
		for v := range up {
			if s.verts[v] < s.ev.n && up[v] && !s.satisfied(v, fRuntime, up, soft) {
				up[v], changed = false, true
			}
		}
	}
}

// comesUpAlone is comesUp without services that begin to serve together: it
// reports whether no cycle of any kind is left.
//
// It is the counting of fix.go and linear, unlike comesUp: every arc is waited for,
// whatever its phase.
func (s *subgraph) comesUpAlone(soft []bool) bool {
	s.reverse()
	x := fixpoint{in: s.in, from: s.inFrom, left: make([]int32, len(s.verts)), groupLeft: slices.Clone(s.needs)}
	gone := func(i int32) bool { return soft != nil && soft[i] }
	for i := range int32(len(s.to)) {
		// An arc of a group counts for the group; one that is gone has been met, so the group
		// needs one member less.
		switch {
		case s.inGroup[i] < 0 && !gone(i):
			x.left[s.from[i]]++
		case s.inGroup[i] >= 0 && gone(i):
			x.groupLeft[s.inGroup[i]]--
		}
	}
	// A group is one thing to wait for, and none at all if it has its quorum already.
	for k, owner := range s.groupOwner {
		if x.groupLeft[k] > 0 {
			x.left[owner]++
		}
	}
	x.start()
	// A group whose need is 0 or less was not counted above, so its arcs must not be
	// counted off.
	x.run(func(at, _ int32) (group int32, is bool) {
		i := s.inArc[at]
		if gone(i) || s.inGroup[i] >= 0 && x.groupLeft[s.inGroup[i]] <= 0 {
			return 0, false
		}
		return s.inGroup[i], true
	})
	return len(x.fired) == len(s.verts)
}

// reverse builds the rows of incoming arcs, and numbers the groups, once.
func (s *subgraph) reverse() {
	if s.in != nil {
		return
	}
	n := len(s.verts)
	s.in, s.inFrom, s.inArc, s.inGroup = make([]int32, n+1), make([]int32, len(s.to)), make([]int32, len(s.to)), make([]int32, len(s.to))
	for _, w := range s.to {
		s.in[w+1]++
	}
	for v := range n {
		s.in[v+1] += s.in[v]
	}
	next, numbers := slices.Clone(s.in[:n]), map[int32]int32{}
	for i, w := range s.to {
		at := next[w]
		next[w]++
		s.inFrom[at], s.inArc[at], s.inGroup[i] = s.from[i], int32(i), -1
		if s.flags(i)&fGroup == 0 {
			continue
		}
		id := s.g.group[s.edgeID[i]]
		k, seen := numbers[id]
		if !seen {
			k = int32(len(s.needs))
			numbers[id] = k
			gr := &s.g.groups[id]
			// Members that are not here count as up; see quorum.
			s.needs, s.groupOwner = append(s.needs, gr.need-int32(len(gr.members))), append(s.groupOwner, s.from[i])
		}
		s.needs[k]++
		s.inGroup[i] = k
	}
}

// satisfied reports whether what v needs in the phases is up.
//
// A member of a group that is down is no reason by itself: the quorum decides, and is
// asked once for each such member, which a group has few of.
func (s *subgraph) satisfied(v int, phases flag, up, soft []bool) bool {
	g := s.g
	for i := s.out[v]; i < s.out[v+1]; i++ {
		f := s.flags(int(i))
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
		if e := s.edgeID[i]; e >= 0 && s.g.group[e] == group && !up[s.to[i]] && (soft == nil || !soft[i]) {
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
//
// O(nodes × arcs). The loop ends early with a cycle of two edges, limit 3: there is no
// shorter one. Of several shortest cycles the first found is told, which is the same for
// every order of the input, as nodes are numbered by name.
func (s *subgraph) shortestCycle(must func(e int32) bool) (cycle []int32, proven bool) {
	n := int32(len(s.verts))
	search := cycleSearch{s: s, must: must, dist: make([]int32, n), via: make([]int32, n), limit: n + 2}
	for v := int32(0); v < n && search.limit > 3 && search.steps <= maxCycleSteps; v++ {
		search.from(v)
	}
	return s.rotate(search.best), search.steps <= maxCycleSteps
}

// cycleSearch is a breadth-first search that is run from many vertices. Its slices are
// used again; limit and best carry the shortest cycle from one run to the next.
//
// dist is 0 between two runs, so that a run costs what it touches and not the whole
// component.
type cycleSearch struct {
	s     *subgraph
	must  func(e int32) bool
	skip  func(arc int32) bool // nil: none
	dist  []int32              // 1 + edges from the start; 0 means not seen
	via   []int32              // the local edge by which a vertex was reached
	queue []int32
	limit int32 // 1 + length of the best cycle
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
		if e := s.edgeID[i]; c.must == nil || e >= 0 && c.must(e) {
			c.visit(s.to[i], i, 1, start)
		}
	}
	// Breadth first, so the first time that start is reached is over a shortest way.
	for head := 0; head < len(c.queue) && c.dist[start] == 0; head++ {
		v := c.queue[head]
		// All that follows in the queue is as far away or farther.
		if c.dist[v]+1 >= c.limit {
			break
		}
		for i := s.out[v]; i < s.out[v+1]; i++ {
			c.visit(s.to[i], i, c.dist[v], start)
		}
	}
	// via leads back from start, whose own via is the arc that closed the cycle.
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

// visit reaches w over an arc from a node with the given dist, and at once the
// launch that w needs, which is no step.
//
// Without that, a shortest cycle would be looked for in events, where a reader counts
// services. The recursion is one deep: a launch has no launch.
func (c *cycleSearch) visit(w, arc, dist, start int32) {
	c.steps++
	if c.skip != nil && c.skip(arc) {
		return
	}
	if c.dist[w] != 0 || c.must == nil && w < start {
		return
	}
	if c.s.edgeID[arc] >= 0 {
		dist++
	}
	c.dist[w], c.via[w] = dist, arc
	c.queue = append(c.queue, w)
	if c.s.launch == nil || c.s.launch[w] < 0 {
		return
	}
	for i := c.s.out[w]; i < c.s.out[w+1]; i++ {
		if c.s.edgeID[i] < 0 {
			c.visit(c.s.to[i], i, dist, start)
		}
	}
}

// rotate turns a cycle of local arcs into one of edges of g that begins at the
// service with the smallest name.
//
// Any rotation is the same cycle; a fixed one keeps reports and baselines equal from run
// to run.
func (s *subgraph) rotate(cycle []int32) []int32 {
	cycle = slices.DeleteFunc(slices.Clone(cycle), func(i int32) bool { return s.edgeID[i] < 0 })
	if len(cycle) == 0 {
		return nil
	}
	start := 0
	service := func(i int32) int32 { return s.ev.service(s.verts[s.from[i]]) }
	for i, e := range cycle {
		if service(e) < service(cycle[start]) {
			start = i
		}
	}
	rotated := make([]int32, 0, len(cycle))
	for i := range cycle {
		rotated = append(rotated, s.edgeID[cycle[(start+i)%len(cycle)]])
	}
	return rotated
}

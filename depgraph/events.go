package depgraph

import "slices"

// events is the graph of what waits for what, as cycles see it. A service v
// has an event "serves", node v, and an event "is launched". The second one is
// a node of its own only if something waits for the launch, or for the end of
// v's own start, alone; otherwise whatever reaches v reaches it through node v,
// and both may share it. A ready service adds nothing to its launch here: only
// a clock tells them apart.
//
// Every edge of the graph is at most one arc: from the launch of its owner if
// the phase of startup is looked at, else from its serving. One more arc leads
// from each serving node to the launch that it needs.
//
// Example: a waits until b is started, and b needs a to serve. b has a launch of its own,
// to which the arc of a's edge leads, and b's serving leads to a; but nothing leads from
// b's launch on to its serving, so there is no cycle.
//
// arc, flags and to are parallel, by arc; in, inArc and inFrom are the same arcs by their
// ends.
type events struct {
	g       *Graph
	n       int32   // services; nodes from n on are launches
	launch  []int32 // the launch node of each service; nil: all are shared
	owner   []int32 // the service of node n+i
	out, to []int32
	arc     []int32 // the edge of each arc, or -1 inside a service; nil: the same number
	flags   []flag
	in      []int32
	inArc   []int32 // numbers of arcs
	inFrom  []int32
}

// events builds the graph for some phases. With a graph that has no edges of
// fEarly it is the graph of services itself, and nothing is copied.
//
// The services with a launch of their own are those that an early edge leads to. Nodes
// keep the order of services, and launches follow in the order in which edges name them,
// so components come out in the same order every time. O(services + edges).
func (g *Graph) events(phases flag) *events {
	ev := &events{g: g, n: int32(len(g.services))}
	if g.union&fEarly == 0 || phases&fStartup == 0 {
		ev.out, ev.to, ev.flags = g.out, g.to, g.flags
		ev.in, ev.inArc, ev.inFrom = g.in, g.inEdge, g.from
		return ev
	}
	ev.launch = make([]int32, ev.n)
	for v := range ev.launch {
		ev.launch[v] = int32(v)
	}
	for e, f := range g.flags {
		if w := g.to[e]; f&fEarly != 0 && ev.launch[w] == w {
			ev.launch[w] = ev.n + int32(len(ev.owner))
			ev.owner = append(ev.owner, w)
		}
	}
	ev.out = make([]int32, 1, ev.nodes()+1)
	for v := range ev.n {
		// With a launch of its own, only what does not belong to the start stays at the
		// serving node; the rest moves to the launch, one step before it.
		shared := ev.launch[v] == v
		ev.row(v, func(f flag) bool { return shared || f&fStartup == 0 })
		if !shared {
			ev.add(ev.launch[v], -1, fStartup|fRuntime|fDeploy)
		}
		ev.out = append(ev.out, int32(len(ev.to)))
	}
	for _, v := range ev.owner {
		ev.row(v, func(f flag) bool { return f&fStartup != 0 })
		ev.out = append(ev.out, int32(len(ev.to)))
	}
	ev.reverse()
	return ev
}

// nodes is how many there are, launches included.
func (ev *events) nodes() int32 { return ev.n + int32(len(ev.owner)) }

// row adds the arcs of v's edges for which own holds.
//
// An early edge ends at the launch of the other service: whether ready is a little later
// makes no difference to a cycle.
func (ev *events) row(v int32, own func(flag) bool) {
	g := ev.g
	for e := g.out[v]; e < g.out[v+1]; e++ {
		f, w := g.flags[e], g.to[e]
		if !own(f) {
			continue
		}
		if f&fEarly != 0 {
			w = ev.launch[w]
		}
		ev.add(w, e, f)
	}
}

// add appends an arc to the row that is being built.
func (ev *events) add(to, edge int32, f flag) {
	ev.to, ev.arc, ev.flags = append(ev.to, to), append(ev.arc, edge), append(ev.flags, f)
}

// reverse builds the rows of incoming arcs by counting, as Graph.reverse does.
func (ev *events) reverse() {
	n := ev.nodes()
	ev.in, ev.inArc, ev.inFrom = make([]int32, n+1), make([]int32, len(ev.to)), make([]int32, len(ev.to))
	for _, w := range ev.to {
		ev.in[w+1]++
	}
	for v := range n {
		ev.in[v+1] += ev.in[v]
	}
	next := slices.Clone(ev.in[:n])
	for v := range n {
		for a := ev.out[v]; a < ev.out[v+1]; a++ {
			i := next[ev.to[a]]
			next[ev.to[a]]++
			ev.inArc[i], ev.inFrom[i] = a, v
		}
	}
}

// edge returns the edge of an arc, or -1.
func (ev *events) edge(a int32) int32 {
	if ev.arc == nil {
		return a
	}
	return ev.arc[a]
}

// service returns the service that a node belongs to.
func (ev *events) service(node int32) int32 {
	if node < ev.n {
		return node
	}
	return ev.owner[node-ev.n]
}

// services returns the services of some nodes, sorted.
func (ev *events) services(nodes []int32) []int32 {
	vs := make([]int32, len(nodes))
	for i, node := range nodes {
		vs[i] = ev.service(node)
	}
	slices.Sort(vs)
	return slices.Compact(vs)
}

// cyclic returns the cyclic components over the selected arcs, as nodes.
func (ev *events) cyclic(keep sel) [][]int32 {
	return gather(components(ev.out, ev.to, ev.flags, keep))
}

// cyclicOver is cyclic for a selection that is no sel.
//
// Arcs inside a service are always kept, or its launch would not hold back its serving.
// The kept ones get one flag, so that the search is the same as for a sel.
func (ev *events) cyclicOver(keep func(flag) bool) [][]int32 {
	flags := make([]flag, len(ev.flags))
	for a, f := range ev.flags {
		if ev.edge(int32(a)) < 0 || keep(f) {
			flags[a] = fStartup
		}
	}
	return gather(components(ev.out, ev.to, flags, sel{any: fStartup}))
}

// waiter returns the node that waits for the quorum of a group.
//
// A group of the run time alone holds back the serving, any other one the launch.
func (ev *events) waiter(gr *group) int32 {
	if ev.launch != nil && gr.flags&fStartup != 0 {
		return ev.launch[gr.owner]
	}
	return gr.owner
}

package depgraph

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// ComponentKind says how bad a cycle is.
type ComponentKind string

// The kinds of cycles, the worst first.
const (
	// BootstrapDeadlock: after a full stop, these services wait for each other
	// and none of them ever starts.
	BootstrapDeadlock ComponentKind = "bootstrap-deadlock"
	// RuntimeCycle: the services need each other to serve, but can be started
	// together. When one fails, all do.
	RuntimeCycle ComponentKind = "runtime"
	// OrderingCycle: weak orders contradict each other, or a need. Nothing is
	// blocked, but the order that was asked for cannot be kept.
	OrderingCycle ComponentKind = "ordering"
	// SoftCycle: a cycle that at least one soft dependency keeps open.
	SoftCycle ComponentKind = "soft"
	// DeployCycle: a fix to one of the services cannot be shipped while it is
	// down. Only CyclesOptions.Deploy asks for these.
	DeployCycle ComponentKind = "deploy"
)

// Component is a set of services each of which depends on all others, directly
// or not.
type Component struct {
	Kind     ComponentKind // what kind of cycle it is
	Services []string      // their names, sorted
	// Edges are all dependencies inside the component.
	Edges []Edge
	// Cycle is a shortest cycle that makes the component what it is: in a
	// deadlock it has a startup edge, in an ordering cycle a weak one, in a soft
	// cycle a soft one. It begins at the service with the smallest name.
	// CycleProven is false only if the search was cut short in a very large
	// component.
	Cycle       []Edge
	CycleProven bool
	// Soften is a set of edges which, made soft, leave no cycle inside the
	// component. A group of alternatives is softened as a whole. It is empty
	// for soft and ordering cycles, and where pinned edges alone form a cycle.
	Soften []Edge
	// Drop are the weak orders of an ordering cycle that Order does not keep.
	Drop []Edge
	// ProvenMinimum says that no cheaper set exists. Cost is the sum of the
	// weights of Soften (startup 2, runtime 4, control plane 1), LowerBound
	// what every set must cost at least.
	ProvenMinimum    bool
	Cost, LowerBound int
	// BreakGlass lists the edges of a deadlock that people can get past by hand,
	// if that is enough to bring the component up; nil otherwise.
	BreakGlass []Edge
	// Pinned says that pinned edges alone form a cycle: nothing can be softened.
	Pinned bool
	// Assumed counts the assumed edges without which the component would not be
	// what it is; zero if it stands without any of them.
	Assumed int
}

// CyclesOptions limits what counts as a cycle. The zero value looks at hard
// and soft edges of startup and run time.
type CyclesOptions struct {
	// Phase limits the edges; zero means Startup|Runtime.
	Phase Phase
	// Deploy asks for cycles through at least one deploy edge instead.
	Deploy bool
	// HardOnly leaves soft cycles out.
	HardOnly bool
	Progress func(Progress)
}

// Cycles returns every cyclic component, the worst kinds first, then in order
// of name. Hard components never overlap; a soft one may contain them.
func (g *Graph) Cycles(ctx context.Context, o CyclesOptions) ([]Component, error) {
	phases := flag(o.Phase)
	if phases == 0 {
		phases = fStartup | fRuntime
	}
	var found []Component
	var err error
	if o.Deploy {
		found, err = g.deployCycles(ctx)
	} else {
		found, err = g.runCycles(ctx, phases, o)
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b Component) int {
		if d := kindRank(a.Kind) - kindRank(b.Kind); d != 0 {
			return d
		}
		return strings.Compare(a.Services[0], b.Services[0])
	})
	return found, nil
}

// kindRank orders kinds by how bad they are, 0 the worst.
func kindRank(k ComponentKind) int {
	return slices.Index([]ComponentKind{BootstrapDeadlock, RuntimeCycle, DeployCycle, OrderingCycle, SoftCycle}, k)
}

// runCycles finds the cycles of a run of the system: hard ones first, which the search
// for the others takes as known. Explaining a component can take long, so the context
// is asked between any two.
func (g *Graph) runCycles(ctx context.Context, phases flag, o CyclesOptions) ([]Component, error) {
	blocking := g.blocking(phases)
	var found []Component
	hard := blocking.cyclic()
	for i, nodes := range hard {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found = append(found, blocking.component(ctx, nodes))
		if o.Progress != nil && i%64 == 0 {
			o.Progress(Progress{Stage: "explaining cycles", Done: i, Total: len(hard)})
		}
	}
	ordering, err := g.orderingCycles(ctx, blocking.ev, phases)
	if err != nil {
		return nil, err
	}
	found = append(found, ordering...)
	if !o.HardOnly {
		soft, err := g.softCycles(ctx, blocking.ev, phases, hard)
		if err != nil {
			return nil, err
		}
		found = append(found, soft...)
	}
	return found, ctx.Err()
}

// orderingCycles finds contradictions among what orders the starts: weak and
// soft edges, together with what is needed. A cycle counts if it has a weak edge.
func (g *Graph) orderingCycles(ctx context.Context, ev *events, phases flag) ([]Component, error) {
	weak := func(e int32) bool { return g.flags[e]&fWeak != 0 }
	if phases&fStartup == 0 || g.union&fWeak == 0 {
		return nil, nil
	}
	dropped := newStarter(g, false).drops()
	orders := func(f flag) bool { return f&fStartup != 0 || f&phases != 0 && f&fSoft == 0 }
	var found []Component
	for _, nodes := range ev.cyclicOver(orders) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sub := ev.subgraph(nodes, func(e int32) bool { return orders(g.flags[e]) })
		cycle, proven := sub.shortestCycle(weak)
		if cycle == nil {
			continue
		}
		c := Component{Kind: OrderingCycle, Cycle: g.edgeList(cycle), CycleProven: proven, ProvenMinimum: true}
		c.fill(sub)
		guesses := true
		for _, e := range sub.edges() {
			if f := g.flags[e]; f&fWeak != 0 {
				guesses = guesses && f&fAssumed != 0
				c.Assumed++
			}
			if dropped[e] {
				c.Drop = append(c.Drop, g.edgeOf(e))
			}
		}
		if !guesses {
			c.Assumed = 0
		}
		found = append(found, c)
	}
	return found, nil
}

// softCycles finds cycles that soft edges, or alternatives, keep open.
func (g *Graph) softCycles(ctx context.Context, ev *events, phases flag, hard [][]int32) ([]Component, error) {
	hardComp := map[int32]int{} // node -> 1 + index of its hard component
	for i, nodes := range hard {
		for _, v := range nodes {
			hardComp[v] = i + 1
		}
	}
	var found []Component
	all := sel{any: phases, none: fWeak}
	for _, nodes := range ev.cyclic(all) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i := hardComp[nodes[0]]; i != 0 && len(hard[i-1]) == len(nodes) {
			continue
		}
		sub := ev.subgraph(nodes, func(e int32) bool { return all.has(g.flags[e]) })
		cycle, proven := sub.shortestCycle(func(e int32) bool { return g.flags[e]&(fSoft|fGroup) != 0 })
		c := Component{Kind: SoftCycle, Cycle: g.edgeList(cycle), CycleProven: proven, ProvenMinimum: true}
		c.fill(sub)
		found = append(found, c)
	}
	return found, nil
}

// fill lists what the component consists of.
func (c *Component) fill(s *subgraph) {
	c.Services = s.g.namesOf(s.ev.services(s.verts))
	edges := s.edges()
	slices.Sort(edges)
	c.Edges = s.g.edgeList(edges)
}

// deployCycles finds cycles with at least one deploy edge.
func (g *Graph) deployCycles(ctx context.Context) ([]Component, error) {
	var found []Component
	keep := sel{fStartup | fRuntime | fDeploy, fSoft | fGroup}
	ev := g.events(keep.any)
	for _, nodes := range ev.cyclic(keep) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sub := ev.subgraph(nodes, func(e int32) bool { return keep.has(g.flags[e]) })
		deploy := func(e int32) bool { return g.flags[e]&fDeploy != 0 && g.flags[e]&(fStartup|fRuntime) == 0 }
		cycle, proven := sub.shortestCycle(deploy)
		if cycle == nil {
			continue
		}
		c := Component{Kind: DeployCycle, Cycle: g.edgeList(cycle), CycleProven: proven}
		c.fill(sub)
		c.assumed(sub, (*subgraph).comesUpAlone)
		sub.soften(ctx, &c)
		found = append(found, c)
	}
	return found, nil
}

// blockingGraph is the graph of events reduced to what can really block: hard
// edges, and those members of a group that keep it from its quorum.
type blockingGraph struct {
	g      *Graph
	ev     *events
	phases flag
	stuck  []bool  // node cannot be brought up one after the other; nil without groups
	short  []int32 // members that each group lacks; 0 or less: it has its quorum
}

// blocking finds, as a least fixpoint, what can be brought up one event after
// the other, and from it the groups that stay short of their quorum.
func (g *Graph) blocking(phases flag) *blockingGraph {
	b := &blockingGraph{g: g, ev: g.events(phases), phases: phases}
	if len(g.groups) == 0 {
		return b
	}
	ev, n := b.ev, b.ev.nodes()
	x := fixpoint{in: ev.in, from: ev.inFrom, left: make([]int32, n), groupLeft: make([]int32, len(g.groups))}
	hard := sel{phases, fSoft | fGroup}
	for v := range n {
		for _, f := range ev.flags[ev.out[v]:ev.out[v+1]] {
			if hard.has(f) {
				x.left[v]++
			}
		}
	}
	for i := range g.groups {
		x.groupLeft[i] = g.groups[i].need
		if gr := &g.groups[i]; g.partial(i) && gr.flags&phases != 0 && gr.flags&fSoft == 0 {
			x.left[ev.waiter(gr)]++
		}
	}
	x.start()
	x.run(func(i, _ int32) (group int32, is bool) {
		a := ev.inArc[i]
		f := ev.flags[a]
		switch {
		case f&phases == 0 || f&fSoft != 0:
			return 0, false
		case f&fGroup != 0:
			return g.group[ev.edge(a)], true
		}
		return -1, true
	})
	b.stuck, b.short = slices.Repeat([]bool{true}, int(n)), x.groupLeft
	for _, v := range x.fired {
		b.stuck[v] = false
	}
	return b
}

// partial reports whether the group can lose a member.
func (g *Graph) partial(i int) bool { return int(g.groups[i].need) < len(g.groups[i].members) }

// keeps reports whether edge e takes part in a deadlock or mutual dependency.
func (b *blockingGraph) keeps(e int32) bool {
	f := b.g.flags[e]
	if f&b.phases == 0 || f&fSoft != 0 {
		return false
	}
	if f&fGroup == 0 {
		return true
	}
	gr := b.g.group[e]
	return b.short[gr] > 0 && b.stuck[b.g.to[e]]
}

// cyclic returns the sets of events that block each other. Without groups these are the
// strongly connected components over hard edges. With groups, a component over all
// members may be no circle after all, so it is cut down to what keeps a quorum from
// being reached, and looked at again.
func (b *blockingGraph) cyclic() [][]int32 {
	if b.stuck == nil {
		return b.ev.cyclic(sel{b.phases, fSoft | fGroup})
	}
	// Components over the wider selection contain those of the narrow one.
	var found [][]int32
	for _, nodes := range b.ev.cyclic(sel{b.phases, fSoft}) {
		for _, inner := range b.ev.subgraph(nodes, b.keeps).cyclic() {
			// A group may be short of its quorum only because of another
			// component; then this one comes up once the other one is fixed.
			if sub := b.ev.subgraph(inner, b.keeps); !sub.groups || !sub.comesUpAlone(nil) {
				found = append(found, inner)
			}
		}
	}
	return found
}

// component explains one set of mutually dependent services.
func (b *blockingGraph) component(ctx context.Context, nodes []int32) Component {
	g := b.g
	sub := b.ev.subgraph(nodes, b.keeps)
	c := Component{Kind: RuntimeCycle}
	c.fill(sub)
	var cycle []int32
	startup := func(e int32) bool { return g.flags[e]&fStartup != 0 }
	if b.phases&fStartup != 0 && sub.deadlocked() {
		c.Kind = BootstrapDeadlock
		c.BreakGlass = sub.breakGlass()
		cycle, c.CycleProven = sub.shortestCycle(startup)
		c.assumed(sub, (*subgraph).comesUp)
	} else {
		cycle, c.CycleProven = sub.shortestCycle(nil)
		c.assumed(sub, (*subgraph).comesUpAlone)
	}
	c.Cycle = g.edgeList(cycle)
	sub.soften(ctx, &c)
	return c
}

// assumed counts the assumed edges if the component is harmless without them.
func (c *Component) assumed(s *subgraph, harmless func(*subgraph, []bool) bool) {
	without := make([]bool, len(s.edgeID))
	n := 0
	for i := range s.edgeID {
		if without[i] = s.flags(i)&fAssumed != 0; without[i] {
			n++
		}
	}
	if n > 0 && harmless(s, without) {
		c.Assumed = n
	}
}

// breakGlass returns the break-glass edges if the component comes up without them.
func (s *subgraph) breakGlass() (edges []Edge) {
	jumped := make([]bool, len(s.edgeID))
	for i, e := range s.edgeID {
		if jumped[i] = s.flags(i)&fBreakGlass != 0; jumped[i] {
			edges = append(edges, s.g.edgeOf(e))
		}
	}
	if edges == nil || !s.comesUp(jumped) {
		return nil
	}
	return edges
}

// edgeList turns numbers of edges into edges, in the same order.
func (g *Graph) edgeList(ids []int32) []Edge {
	edges := make([]Edge, len(ids))
	for i, e := range ids {
		edges[i] = g.edgeOf(e)
	}
	return edges
}

// FixText says in one line which edges to soften, and how sure that is; "" if nothing
// can be said. Of many edges the first 20 are named.
func (k *Component) FixText() string {
	if k.Pinned {
		return "pinned edges form a cycle of their own: unpin one of them, or write a break-glass procedure"
	}
	if k.Kind == OrderingCycle {
		return k.dropText()
	}
	if len(k.Soften) == 0 {
		return ""
	}
	names := make([]string, 0, len(k.Soften))
	for i, e := range k.Soften {
		if i == 20 {
			names = append(names, fmt.Sprintf("and %d more", len(k.Soften)-20))
			break
		}
		names = append(names, e.From+" -> "+e.To)
	}
	sure := "proven minimum"
	if !k.ProvenMinimum {
		sure = fmt.Sprintf("cost %d, no set costs less than %d", k.Cost, k.LowerBound)
	}
	noun := "edges"
	if len(k.Soften) == 1 {
		noun = "edge"
	}
	return fmt.Sprintf("make %d %s soft (%s): %s", len(k.Soften), noun, sure, strings.Join(names, ", "))
}

// dropText says which orders a start does not keep.
func (k *Component) dropText() string {
	names := make([]string, 0, len(k.Drop))
	for i, e := range k.Drop {
		if i == 20 {
			names = append(names, fmt.Sprintf("and %d more", len(k.Drop)-20))
			break
		}
		names = append(names, e.From+" after "+e.To)
	}
	if len(names) == 0 {
		return "remove one of these orders"
	}
	return "a start does not keep " + strings.Join(names, ", ") + "; remove the order that is wrong"
}

package depgraph

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// DiffOptions says what Diff computes.
type DiffOptions struct {
	// Check is how both graphs are checked, each with its own waivers. Waived is called
	// for the second one alone.
	Check CheckOptions
}

// Diff is what changed from one graph to another.
//
// It is what a reviewer of a pull request wants to know: not which lines changed, but which
// answers of an outage. Everything is in a fixed order, so that two runs print the same.
type Diff struct {
	// Before and After count the services and edges of each.
	Before, After Size
	// Added and Removed are services, in order of name.
	Added, Removed []string
	// Edges are what changed between two services, in order of From, then To.
	Edges []EdgeChange
	// Cycles are components that are new, grew, shrank or healed.
	Cycles []CycleChange
	// Services are those that both graphs have and for which the answers of an
	// outage changed, in order of name.
	Services []ServiceChange
	// Total and Critical are the time of a full start and its critical path.
	Total    [2]time.Duration
	Critical [2][]string
	// Blocked lists what never comes up as declared, before and after.
	Blocked [2][]string
	// New are findings that the first graph does not have; one that became more
	// severe is new as well. Gone are those that the second one does not have.
	// Known counts what both have.
	New, Gone []Finding
	Known     int
	// Limits says what was not compared, because the graphs are too large.
	Limits []string
}

// Size counts what a graph holds.
type Size struct{ Services, Edges int }

// ChangeKind says how an edge or a component changed.
//
// The first five are of edges, the last four of components.
type ChangeKind string

// The kinds of changes.
const (
	Added    ChangeKind = "added"
	Removed  ChangeKind = "removed"
	Hardened ChangeKind = "hardened" // needed in more phases, or by more than before
	Softened ChangeKind = "softened"
	// Changed: harder in one phase and softer in another; or as hard as before, in
	// another manner or with other alternatives beside it.
	Changed ChangeKind = "changed"

	NewCycle ChangeKind = "new"
	Grown    ChangeKind = "grown"
	Shrunk   ChangeKind = "shrunk"
	Healed   ChangeKind = "healed"
)

// EdgeChange is what changed between two services. Before and After hold all
// edges of the pair, one for each phase or group that differs.
//
// Edges are compared by pair, since one need may be written as one edge or as two.
type EdgeChange struct {
	Kind          ChangeKind // added, removed or changed
	From, To      string     // the two services
	Before, After []Edge     // their edges in the two graphs; empty: none
}

// CycleChange is what happened to a component. Of a new one, Before is nil; of
// one that healed, After.
type CycleChange struct {
	Kind          ChangeKind // added, removed or changed
	Before, After *Component // the components in the two graphs; nil: none
}

// ServiceChange is how the answers for one service changed, before and after.
type ServiceChange struct {
	Service string // its name
	// Down is the number of others that go down with it; GoesDown and StaysUp
	// name who is new among them and who is no more, if that was compared.
	Down              [2]int
	GoesDown, StaysUp []string
	// Wave counts from 1 in a full start.
	Wave [2]int
	// Availability is the composite one, between 0 and 1; zero if unknown.
	Availability [2]float64
	// Estimated says that an availability is no exact number.
	Estimated bool
	// Critical says whether the service is on the critical path of the start.
	Critical [2]bool
}

// What Diff looks at one by one; beyond it, it counts only.
const (
	maxDiffBlasts = 3000
	maxDiffAvail  = 1000
)

// Compare computes what changed from before to after. Either may be empty.
//
// It checks both graphs, orders both, and asks for blast radii and availabilities where a
// change can be felt; see diffservices.go. An error is that of ctx or of a check.
func Compare(ctx context.Context, before, after *Graph, o DiffOptions) (*Diff, error) {
	c := comparison{ctx: ctx, g: [2]*Graph{before, after}, o: o, d: &Diff{
		Before: Size{before.Len(), before.EdgeCount()}, After: Size{after.Len(), after.EdgeCount()},
	}}
	c.names()
	c.edges()
	for _, step := range []func() error{c.cycles, c.services, c.findings} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.d, ctx.Err()
}

// comparison computes a Diff, one part after the other; common are the services that
// both graphs have.
type comparison struct {
	ctx    context.Context
	g      [2]*Graph
	o      DiffOptions
	d      *Diff
	common []string
}

// names compares the services. One that is only named by others is not there.
func (c *comparison) names() {
	// A service that is only named by others becomes one when somebody declares it.
	declared := func(g *Graph, name string) bool {
		v, ok := g.index[name]
		return ok && !g.services[v].Undeclared
	}
	for _, name := range c.g[0].names {
		if declared(c.g[0], name) && !declared(c.g[1], name) {
			c.d.Removed = append(c.d.Removed, name)
		}
		if c.g[1].Has(name) {
			c.common = append(c.common, name)
		}
	}
	for _, name := range c.g[1].names {
		if declared(c.g[1], name) && !declared(c.g[0], name) {
			c.d.Added = append(c.d.Added, name)
		}
	}
}

// pairs collects the edges between each two services.
//
// The edges of a pair are next to each other in a row, so each list is in a fixed order.
func pairs(g *Graph) map[EdgeRef][]Edge {
	all := make(map[EdgeRef][]Edge, g.EdgeCount())
	for e := range g.Edges() {
		ref := EdgeRef{e.From, e.To}
		all[ref] = append(all[ref], e)
	}
	return all
}

// compareRefs orders edges.
// By From, then To.
func compareRefs(a, b EdgeRef) int {
	return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
}

// edges compares what lies between each two services, in order of their names. O(edges
// log edges).
func (c *comparison) edges() {
	before, after := pairs(c.g[0]), pairs(c.g[1])
	refs := slices.Collect(maps.Keys(before))
	for ref := range after {
		if _, ok := before[ref]; !ok {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, compareRefs)
	kinds, told := make([]ChangeKind, len(refs)), map[string]bool{}
	for i, ref := range refs {
		if kinds[i] = changeOf(before[ref], after[ref]); kinds[i] != "" {
			told[ref.From] = true
		}
	}
	for i, ref := range refs {
		// Where a service needs each of the others as much as before, its groups may still
		// have exchanged their members. If anything about it changed, that says enough: a
		// group that gains a member is told at that member.
		if kinds[i] == "" && !told[ref.From] && !slices.Equal(c.g[0].standIns(before[ref]), c.g[1].standIns(after[ref])) {
			kinds[i] = Changed
		}
		if kinds[i] != "" {
			c.d.Edges = append(c.d.Edges, EdgeChange{Kind: kinds[i], From: ref.From, To: ref.To, Before: before[ref], After: after[ref]})
		}
	}
}

// standIns lists the groups to which the edges of one pair belong, each by its quorum and
// its members, sorted; nil if there are none, as for nearly every pair.
func (g *Graph) standIns(edges []Edge) (groups []string) {
	for i := range edges {
		if e := &edges[i]; e.Group > 0 {
			gr := &g.groups[g.ownGroup[g.index[e.From]]+int32(e.Group)-1]
			groups = append(groups, itoa(e.Need)+"\x00"+strings.Join(g.namesOf(gr.members), "\x00"))
		}
	}
	slices.Sort(groups)
	return groups
}

// changeOf says how the need between two services changed; "" if it did not.
//
// What says nothing of an outage is no change: a note, a source, a place, the text of an
// evidence or of a fallback.
func changeOf(before, after []Edge) ChangeKind {
	switch {
	case len(before) == 0:
		return Added
	case len(after) == 0:
		return Removed
	}
	// Phase by phase, since a need may move from one to another: that is neither harder
	// nor softer, and is told as changed.
	harder, softer := false, false
	for _, p := range []Phase{Startup, Runtime, Deploy} {
		a, b := needIn(before, p), needIn(after, p)
		harder, softer = harder || b > a, softer || b < a
	}
	switch {
	case harder && !softer:
		return Hardened
	case softer && !harder:
		return Softened
	case harder, !slices.Equal(manners(before), manners(after)):
		return Changed
	}
	return ""
}

// How much a service needs another one in one phase, in order.
const (
	needNone = iota
	needWeak
	needSoft
	needGroup           // one of more alternatives than have to be up
	needHard  = 1 << 20 // without any other one
)

// needIn is the strongest need of a phase. Of two groups that can lose
// members, the one that can lose fewer is needed more.
//
// Edges of one pair need as much as the strongest of them: a soft edge beside a hard one
// changes nothing.
func needIn(edges []Edge, p Phase) (need int) {
	for _, e := range edges {
		if e.Phase&p == 0 {
			continue
		}
		level := needHard
		switch spare := e.Of - e.Need; {
		case e.Weak:
			level = needWeak
		case e.Soft:
			level = needSoft
		case e.Group > 0 && spare > 0:
			level = max(needHard-spare, needGroup)
		}
		need = max(need, level)
	}
	return need
}

// manner is what an edge says besides how strong it is.
type manner struct {
	phase                       Phase
	plane                       Plane
	until                       Until
	assumed, pinned, live, hand bool
}

// manners lists what the edges of a pair say besides their strength, in an order that
// does not depend on that of the edges.
func manners(edges []Edge) []manner {
	all := make([]manner, len(edges))
	for i, e := range edges {
		all[i] = manner{e.Phase, max(e.Plane, Data), e.Until, e.Assumed, e.Pinned, e.Liveness, e.BreakGlass != ""}
	}
	slices.SortFunc(all, func(a, b manner) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), cmp.Compare(a.plane, b.plane), cmp.Compare(a.until, b.until))
	})
	return all
}

// allCycles are the components of all kinds.
//
// Deploy cycles are asked for by themselves, since they run over other edges.
func (c *comparison) allCycles(g *Graph) ([]Component, error) {
	all, err := g.Cycles(c.ctx, CyclesOptions{Progress: c.o.Check.Progress})
	if err != nil {
		return nil, err
	}
	deploy, err := g.Cycles(c.ctx, CyclesOptions{Deploy: true})
	return append(all, deploy...), err
}

// kindEdge is an edge of a component of one kind.
type kindEdge struct {
	kind ComponentKind
	ref  EdgeRef
}

// edgesOfKinds is in which kinds of components an edge lies.
//
// Components of different kinds can overlap: a soft one contains hard ones.
func edgesOfKinds(components []Component) map[kindEdge]bool {
	in := map[kindEdge]bool{}
	for i := range components {
		for _, e := range components[i].Edges {
			in[kindEdge{components[i].Kind, EdgeRef{e.From, e.To}}] = true
		}
	}
	return in
}

// shared counts the edges of a component that are in one of the same kind on
// the other side, and those that are not.
func (k *Component) shared(other map[kindEdge]bool) (in, out int) {
	for _, e := range k.Edges {
		if other[kindEdge{k.Kind, EdgeRef{e.From, e.To}}] {
			in++
		} else {
			out++
		}
	}
	return in, out
}

// cycles compares components edge by edge, as a baseline does.
func (c *comparison) cycles() error {
	before, err := c.allCycles(c.g[0])
	if err != nil {
		return err
	}
	after, err := c.allCycles(c.g[1])
	if err != nil {
		return err
	}
	was, is := edgesOfKinds(before), edgesOfKinds(after)
	for i := range after {
		// By edges, not by services: a component that was two before, or is two now, is
		// told once for each of the new ones, as grown or shrunk.
		switch in, out := after[i].shared(was); {
		case in == 0:
			c.d.Cycles = append(c.d.Cycles, CycleChange{Kind: NewCycle, After: &after[i]})
		case out > 0:
			c.d.Cycles = append(c.d.Cycles, CycleChange{Kind: Grown, Before: meets(&after[i], before), After: &after[i]})
		}
	}
	for i := range before {
		switch in, out := before[i].shared(is); {
		case in == 0:
			c.d.Cycles = append(c.d.Cycles, CycleChange{Kind: Healed, Before: &before[i]})
		case out > 0:
			c.d.Cycles = append(c.d.Cycles, CycleChange{Kind: Shrunk, Before: &before[i], After: meets(&before[i], after)})
		}
	}
	return nil
}

// meets finds the component of the same kind that shares an edge with k.
//
// It is the other side of one that grew or shrank. If it was split or merged there are
// several; the first is enough to show what it was.
func meets(k *Component, others []Component) *Component {
	own := edgesOfKinds([]Component{*k})
	for i := range others {
		if in, _ := others[i].shared(own); in > 0 && others[i].Kind == k.Kind {
			return &others[i]
		}
	}
	return nil
}

// findings compares the results of both checks by rule and edge.
//
// A known finding that became more severe is new: a warning that turns into an error
// fails a build. A rule of one's own that could not be run is never known.
func (c *comparison) findings() error {
	var all [2][]Finding
	for i, g := range c.g {
		o := c.o.Check
		if i == 0 {
			o.Waived = nil // what the pull request sees is what counts
		}
		var err error
		if all[i], err = g.Check(c.ctx, o); err != nil {
			return err
		}
	}
	was, is := severities(all[0]), severities(all[1])
	for _, f := range all[1] {
		if f.Rule != ruleFailed && f.within(was) { // what a broken rule would find is not known
			c.d.Known++
		} else {
			c.d.New = append(c.d.New, f)
		}
	}
	for _, f := range all[0] {
		if !f.within(is) {
			c.d.Gone = append(c.d.Gone, f)
		}
	}
	return nil
}

// severities is a baseline that knows how bad each entry was.
func severities(findings []Finding) map[BaselineEntry]Severity {
	worst := map[BaselineEntry]Severity{}
	for i := range findings {
		for _, e := range findings[i].entries() {
			worst[e] = max(worst[e], findings[i].Severity)
		}
	}
	return worst
}

// within reports whether all of a finding was there already, and as bad.
func (f *Finding) within(known map[BaselineEntry]Severity) bool {
	return !slices.ContainsFunc(f.entries(), func(e BaselineEntry) bool { return known[e] < f.Severity })
}

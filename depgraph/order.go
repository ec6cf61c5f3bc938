package depgraph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// OrderOptions says which order is wanted. The zero value orders a full start.
type OrderOptions struct {
	// Cold orders a black start in which people help: edges with a break-glass
	// procedure do not block, and are listed in Order.ByHand.
	Cold bool
	// Restart limits the order to one service and what it needs to start and to
	// serve, all alternatives included.
	Restart string
	// Shutdown orders a full stop: dependents first. There is no timeline, as
	// manifests say nothing about how long stopping takes.
	Shutdown bool
	// MaxParallel limits how many services start at the same time in the
	// timeline; zero means no limit. With a limit the waves follow the clock: a
	// wave is what begins at the same time, and at most MaxParallel services.
	MaxParallel int
}

// Order is an order in which a dead system comes up.
type Order struct {
	// Waves holds what can be started at the same time, in order. A service is
	// in the first wave in which all that it waits for has happened. They hold
	// everything, also where a cycle blocks: see Broken.
	Waves [][]string
	// Timeline is the same with start durations, in order of begin.
	Timeline []Slot
	// Critical is the chain of services that determines Total, from the first that
	// begins to the one that is ready last. There may be several: it ends at what
	// serves last, of equals in the last wave, of these the first by name; and each
	// step back leads to what was ready last of all that was waited for, of equals
	// the last by name. It is the same for every order of the input.
	Critical []string
	// Total is the time until everything serves.
	Total time.Duration
	// Blocked lists what never serves as declared: members of deadlocks, and all
	// that waits for them.
	Blocked []string
	// Broken are the edges that somebody must get past for Waves to work: their
	// owners are started without waiting. It is empty unless something is
	// Blocked. BrokenProven says that no cheaper set does it, by the weights of
	// Component.Cost.
	Broken       []Edge
	BrokenProven bool
	// Dropped are weak and soft edges whose order Waves does not keep, because
	// it contradicts a need or other orders.
	Dropped []Edge
	// ByHand lists the break-glass edges that Cold jumps.
	ByHand []Edge
}

// Slot is the time in which one service starts.
type Slot struct {
	Service string // its name
	// Begin and Ready are counted from the start of the whole system. Serves
	// is when everything it needs at run time serves as well.
	Begin, Ready, Serves time.Duration
	Wave                 int // from 0
	Critical             bool
}

// Order computes waves, timeline and critical path. A cycle is not an error:
// the order then breaks as few edges as it can, and names them.
//
// It is linear but for the clock and for deadlocks: breaking one costs what Cycles does for
// it. An error is that of ctx, of options that exclude each other, or ErrUnknownService.
func (g *Graph) Order(ctx context.Context, o OrderOptions) (*Order, error) {
	if o.MaxParallel < 0 {
		return nil, fmt.Errorf("depgraph: OrderOptions.MaxParallel is %d", o.MaxParallel)
	}
	if o.Shutdown {
		if o.Cold || o.Restart != "" {
			return nil, errors.New("depgraph: OrderOptions.Shutdown goes with neither Cold nor Restart")
		}
		return g.shutdown(), nil
	}
	s := newStarter(g, o.Cold)
	if o.Restart != "" {
		v, ok := g.index[o.Restart]
		if !ok {
			return nil, g.unknown(o.Restart)
		}
		s.limitTo(v)
	}
	waves := s.waves()
	// The first simulation says what is blocked as declared. If anything is, a second
	// one runs without the edges that somebody has to get past, and all the rest is
	// told of that one.
	res := &Order{Blocked: g.sortedNames(func(v int32) bool { return s.active[v] && !s.serves[v] })}
	if len(res.Blocked) > 0 {
		broken := g.breaks(ctx, s, res)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, waves = broken, broken.waves()
	}
	// What is launched and never serves is in no wave: it is among the blocked ones.
	waves = s.servingOnly(waves)
	g.mention(res, s, o.Cold)
	t := newTimeline(s, waves)
	t.run(o.MaxParallel)
	// With a limit, waves of what could start would be longer than what may; they are
	// cut by the clock instead.
	if o.MaxParallel > 0 {
		waves = t.byClock(o.MaxParallel)
	}
	for _, w := range waves {
		res.Waves = append(res.Waves, g.namesOf(w))
	}
	t.report(res)
	return res, ctx.Err()
}

// mention lists the edges that people get past by hand, and those whose order
// is not kept.
//
// They are told of the start as it was ordered in the end, with broken edges left out.
func (g *Graph) mention(res *Order, s *starter, cold bool) {
	for e, f := range g.flags {
		if cold && f&fBreakGlass != 0 && hardAny.has(f&^fGroup) {
			res.ByHand = append(res.ByHand, g.edgeOf(int32(e)))
		}
		if s.dropped != nil && s.dropped[e] && f&fSoft != 0 {
			res.Dropped = append(res.Dropped, g.edgeOf(int32(e)))
		}
	}
}

// maxRounds bounds how often breaks looks again; once is enough unless a group
// reaches from one deadlock into another.
const maxRounds = 100

// breaks finds the edges to break so that all of s comes up, and returns a
// simulation without them.
//
// res gets Broken and BrokenProven. On cancellation the result is worth nothing, and the
// caller asks the context.
func (g *Graph) breaks(ctx context.Context, s *starter, res *Order) *starter {
	whole := g
	if s.skip != 0 { // what people get past by hand need not be broken
		byHand := map[int32]bool{}
		for e, f := range g.flags {
			if f&s.skip != 0 {
				g.softenEdge(g.owner(int32(e)), int32(e), byHand)
			}
		}
		whole = g.withSoftEdges(byHand)
	}
	// soft grows with every round, and a round that adds nothing is the last. A set is
	// proven cheapest for one deadlock by itself, so after a second round there is no
	// proof for the sum.
	soft := map[int32]bool{}
	res.BrokenProven = true
	for round := 0; round < maxRounds && ctx.Err() == nil; round++ {
		h, before := whole.withSoftEdges(soft), len(soft)
		b := h.blocking(fStartup | fRuntime)
		for _, nodes := range b.cyclic() {
			sub := b.ev.subgraph(nodes, b.keeps)
			// A restart of one service does not care about deadlocks elsewhere, nor
			// does a start about cycles of the run time, which come up together.
			if !s.active[b.ev.service(nodes[0])] || !sub.deadlocked() {
				continue
			}
			chosen, proven := sub.unlock(ctx)
			res.BrokenProven = res.BrokenProven && proven && round == 0
			for i, e := range sub.edgeID {
				if chosen[i] {
					// Of a group, all edges: a quorum is got past as a whole.
					h.softenEdge(h.owner(e), e, soft)
				}
			}
		}
		if len(soft) == before {
			break
		}
	}
	for _, e := range slices.Sorted(maps.Keys(soft)) {
		res.Broken = append(res.Broken, g.edgeOf(e))
	}
	// The same start as the one that was stuck, of the same services, without the
	// broken edges. Soft ones would still order; gone ones do not even that, since the
	// order is what blocks.
	t := newStarter(g.withSoftEdges(soft), s.skip != 0)
	t.active, t.limited, t.gone = s.active, s.limited, soft
	return t
}

// shutdown orders a full stop: a service stops after everything that needs it
// at any time. Services that need each other stop together.
//
// A member of a group keeps running as long as its owner does: while the others are taken
// down it may be the one that is needed.
func (g *Graph) shutdown() *Order {
	keep := sel{fStartup | fRuntime, fSoft}
	comp, count := g.components(keep)
	level := make([]int32, count)
	deepest := int32(-1)
	byComp := make([][]int32, count)
	for v, c := range comp {
		byComp[c] = append(byComp[c], int32(v))
	}
	// A component's number is above those of all it depends on. Counting down,
	// everything that needs c is behind when c comes, and its level is final: the
	// longest chain of dependents above it. O(services + edges).
	for c := count - 1; c >= 0; c-- { // dependents first
		deepest = max(deepest, level[c])
		for _, v := range byComp[c] {
			for e := g.out[v]; e < g.out[v+1]; e++ {
				if w := comp[g.to[e]]; keep.has(g.flags[e]) && w != c {
					level[w] = max(level[w], level[c]+1)
				}
			}
		}
	}
	res := &Order{Blocked: []string{}, Waves: make([][]string, deepest+1)}
	for v, c := range comp {
		res.Waves[level[c]] = append(res.Waves[level[c]], g.services[v].Name)
	}
	return res
}

// servingOnly drops what can be started but never serves.
func (s *starter) servingOnly(waves [][]int32) [][]int32 {
	for i, w := range waves {
		waves[i] = slices.DeleteFunc(w, func(v int32) bool { return !s.serves[v] })
	}
	return slices.DeleteFunc(waves, func(w []int32) bool { return len(w) == 0 })
}

// Waves returns what can be started at the same time, in order, and what is
// blocked. It is Order without the timeline.
//
// It holds what comes up as declared, and breaks no edge.
func (g *Graph) Waves() (waves [][]string, blocked []string) {
	s := newStarter(g, false)
	for _, w := range s.servingOnly(s.waves()) {
		waves = append(waves, g.namesOf(w))
	}
	return waves, g.sortedNames(func(v int32) bool { return !s.serves[v] })
}

// unknown is the error for a name that the graph does not have.
func (g *Graph) unknown(name string) error {
	if near := nearest(name, g.Names()); near != "" {
		return fmt.Errorf("%w: %q; did you mean %q?", ErrUnknownService, name, near)
	}
	return fmt.Errorf("%w: %q", ErrUnknownService, name)
}

package depgraph

import (
	"context"
	"errors"
	"fmt"
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
	// timeline; zero means no limit. Waves are not limited.
	MaxParallel int
}

// Order is an order in which a dead system comes up.
type Order struct {
	// Waves holds what can be started at the same time, in order. A service is
	// in the first wave in which all that it needs at startup serves.
	Waves [][]string
	// Timeline is the same with start durations, in order of begin.
	Timeline []Slot
	// Critical is the chain of services that determines Total.
	Critical []string
	// Total is the time until everything serves.
	Total time.Duration
	// Blocked lists what never serves: members of deadlocks, and all that
	// waits for them. They are not in Waves.
	Blocked []string
	// ByHand lists the break-glass edges that Cold jumps.
	ByHand []Edge
}

// Slot is the time in which one service starts.
type Slot struct {
	Service string
	// Begin and Ready are counted from the start of the whole system. Serves
	// is when everything it needs at run time serves as well.
	Begin, Ready, Serves time.Duration
	Wave                 int // from 0
	Critical             bool
}

// Order computes waves, timeline and critical path. A cycle is not an error:
// what can be ordered is, and the rest is in Blocked.
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
	waves := s.servingOnly(s.waves())
	res := &Order{Blocked: g.sortedNames(func(v int32) bool { return s.active[v] && !s.serves[v] })}
	for _, w := range waves {
		res.Waves = append(res.Waves, g.namesOf(w))
	}
	if o.Cold {
		for e := range g.to {
			if g.flags[e]&fBreakGlass != 0 && hardAny.has(g.flags[e]&^fGroup) {
				res.ByHand = append(res.ByHand, g.edgeOf(int32(e)))
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := newTimeline(s, waves)
	t.run(o.MaxParallel)
	t.report(res)
	return res, ctx.Err()
}

// shutdown orders a full stop: a service stops after everything that needs it
// at any time. Services that need each other stop together.
func (g *Graph) shutdown() *Order {
	keep := sel{fStartup | fRuntime, fSoft}
	comp, count := g.components(keep)
	level := make([]int32, count)
	deepest := int32(-1)
	byComp := make([][]int32, count)
	for v, c := range comp {
		byComp[c] = append(byComp[c], int32(v))
	}
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

// starter simulates a start. A service starts when all that it needs at
// startup serves. It serves when it has started and all that it needs at run
// time serves; services that need each other at run time serve together.
type starter struct {
	g         *Graph
	skip      flag    // edges with this flag do not count
	active    []bool  // what takes part
	limited   bool    // active is not all true
	startWait []int32 // what v still waits for before it can start
	serveWait []int32 // what v still waits for before it serves, itself included
	groupHave []int32
	serves    []bool
	started   []bool
	unit      []int32   // mutual runtime component of v, once computed
	unitWait  []int32   // sum of serveWait over the unit
	members   [][]int32 // of each unit
	eager     bool      // alternatives are part of a mutual runtime dependency
}

func newStarter(g *Graph, cold bool) *starter {
	n := len(g.services)
	s := &starter{g: g, serves: make([]bool, n), started: make([]bool, n), active: make([]bool, n)}
	if cold {
		s.skip = fBreakGlass
	}
	for v := range s.active {
		s.active[v] = true
	}
	return s
}

// limitTo keeps only v and what it needs to start and to serve.
func (s *starter) limitTo(v int32) {
	clear(s.active)
	s.active[v], s.limited = true, true
	for stack := []int32{v}; len(stack) > 0; {
		u := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for e := s.g.out[u]; e < s.g.out[u+1]; e++ {
			w, f := s.g.to[e], s.g.flags[e]
			if s.counts(f) && !s.active[w] {
				s.active[w] = true
				stack = append(stack, w)
			}
		}
	}
}

// counts reports whether e holds back a start or only the serving.
func (s *starter) counts(f flag) bool {
	return f&(fStartup|fRuntime) != 0 && f&(fSoft|s.skip) == 0
}

func (s *starter) reset() {
	g, n := s.g, len(s.g.services)
	s.startWait, s.serveWait = make([]int32, n), make([]int32, n)
	s.groupHave = make([]int32, len(g.groups))
	for v := range n {
		s.serveWait[v] = 1
		for e := g.out[v]; e < g.out[v+1]; e++ {
			if f := g.flags[e]; !s.counts(f) || f&fGroup != 0 {
				continue
			} else if f&fStartup != 0 {
				s.startWait[v]++
			} else if s.unit == nil || s.unit[v] != s.unit[g.to[e]] {
				s.serveWait[v]++
			}
		}
	}
	for i := range g.groups {
		if gr := &g.groups[i]; !s.counts(gr.flags) || !g.partial(i) {
			continue
		} else if gr.flags&fStartup != 0 {
			s.startWait[gr.owner]++
		} else {
			s.serveWait[gr.owner]++
		}
	}
	clear(s.serves)
	clear(s.started)
}

// waves runs the simulation in steps of one wave. Units are only computed if
// services wait for each other at run time.
func (s *starter) waves() [][]int32 {
	if !s.runtimeGroups() {
		s.reset()
		if waves, complete := s.run(); complete {
			return waves
		}
	}
	s.makeUnits()
	s.reset()
	s.sumUnits()
	waves, _ := s.run()
	return waves
}

// runtimeGroups reports whether alternatives are needed only to serve. Then a
// cycle may come up through one member late, or together at once.
func (s *starter) runtimeGroups() bool {
	for i := range s.g.groups {
		if f := s.g.groups[i].flags; s.counts(f) && f&fStartup == 0 && s.g.partial(i) {
			return true
		}
	}
	return false
}

// makeUnits groups services that need each other at run time.
func (s *starter) makeUnits() {
	comp, count := s.g.components(sel{fRuntime, fSoft | fGroup | s.skip})
	s.unit = comp
	s.members = make([][]int32, count)
	for v, c := range comp {
		s.members[c] = append(s.members[c], int32(v))
	}
	if s.runtimeGroups() {
		_, wider := s.g.components(sel{fRuntime, fSoft | s.skip})
		s.eager = wider != count
	}
}

func (s *starter) sumUnits() {
	s.unitWait = make([]int32, len(s.members))
	for v, c := range s.unit {
		if s.active[v] {
			s.unitWait[c] += s.serveWait[v]
		}
	}
}

// run starts wave after wave until nothing moves.
func (s *starter) run() (waves [][]int32, complete bool) {
	n, total, served := len(s.g.services), 0, 0
	var ready []int32
	for v := range n {
		if !s.active[v] {
			continue
		}
		total++
		if s.startWait[v] == 0 {
			ready = append(ready, int32(v))
		}
	}
	serving := make([]int32, 0, n)
	for len(ready) > 0 {
		sortVertices(ready, len(s.active))
		waves = append(waves, ready)
		serving = serving[:0]
		for _, v := range ready {
			s.started[v] = true
			serving = s.count(v, serving)
		}
		ready = nil
		for {
			for head := 0; head < len(serving); head++ {
				served++
				serving, ready = s.serve(serving[head], serving, ready)
			}
			if !s.eager {
				break
			}
			if serving = s.together(serving[:0]); len(serving) == 0 {
				break
			}
		}
	}
	return waves, served == total
}

// count takes one from what v waits for, and queues what serves because of it.
func (s *starter) count(v int32, serving []int32) []int32 {
	s.serveWait[v]--
	if s.unit == nil {
		if s.serveWait[v] == 0 && s.started[v] {
			serving = s.mark(v, serving)
		}
		return serving
	}
	c := s.unit[v]
	if s.unitWait[c]--; s.unitWait[c] == 0 {
		for _, w := range s.members[c] {
			if s.active[w] {
				serving = s.mark(w, serving)
			}
		}
	}
	return serving
}

func (s *starter) mark(v int32, serving []int32) []int32 {
	if s.serves[v] {
		return serving
	}
	s.serves[v] = true
	return append(serving, v)
}

// serve tells the dependents of w that it serves.
func (s *starter) serve(w int32, serving, ready []int32) (_, _ []int32) {
	g, drop := s.g, fSoft|s.skip
	for i := g.in[w]; i < g.in[w+1]; i++ {
		f := g.inFlags[i]
		if f&(fStartup|fRuntime) == 0 || f&drop != 0 {
			continue
		}
		v := g.from[i]
		if s.limited && !s.active[v] {
			continue
		}
		if f&fGroup != 0 {
			gr := g.group[g.inEdge[i]]
			if s.groupHave[gr]++; s.groupHave[gr] != g.groups[gr].need {
				continue
			}
		}
		switch {
		case f&fStartup != 0:
			if s.startWait[v]--; s.startWait[v] == 0 {
				ready = append(ready, v)
			}
		case f&fGroup != 0 || s.unit == nil || s.unit[v] != s.unit[w]:
			serving = s.count(v, serving)
		}
	}
	return serving, ready
}

// together finds started services that serve as soon as all of them do: the
// greatest set each of whose members is satisfied by the set and by what
// serves already. Only mutual dependencies through alternatives need it.
func (s *starter) together(serving []int32) []int32 {
	in := slices.Clone(s.started)
	for changed := true; changed; {
		changed = false
		for v := range in {
			if in[v] && !s.serves[v] && !s.servesWith(int32(v), in) {
				in[v], changed = false, true
			}
		}
	}
	for v := range in {
		if in[v] {
			serving = s.mark(int32(v), serving)
		}
	}
	return serving
}

func (s *starter) servesWith(v int32, in []bool) bool {
	g := s.g
	for e := g.out[v]; e < g.out[v+1]; e++ {
		if f := g.flags[e]; f&fRuntime != 0 && f&(fSoft|fGroup|s.skip) == 0 && !in[g.to[e]] {
			return false
		}
	}
	for i := g.ownGroup[v]; i < g.ownGroup[v+1]; i++ {
		gr := &g.groups[i]
		if gr.flags&fRuntime == 0 || gr.flags&(fSoft|s.skip) != 0 {
			continue
		}
		up := int32(0)
		for _, m := range gr.members {
			if in[m] {
				up++
			}
		}
		if up < gr.need {
			return false
		}
	}
	return true
}

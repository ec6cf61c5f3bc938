package depgraph

import "slices"

// starter simulates a start. A service is launched when all that it needs at
// startup has happened, then it is ready, and it serves when all that it needs
// at run time serves too. Launches are a least fixpoint, since a service must
// wait; serving is a greatest one inside it, since services that are ready may
// begin to serve together.
//
// An order that never blocks, of a weak or a soft edge, is kept if both ends
// are part of the start, unless it contradicts others; see release.
//
// One simulation is: reset, then run (in waves) or timeline.run (by the clock). Both call
// the same events: launch, finish, settle; tell passes each on to what waits for it, and
// met counts it off. startorder.go decides which orders are kept. Nothing here is shared,
// so one starter belongs to one goroutine.
type starter struct {
	g       *Graph
	skip    flag           // hard edges with this flag do not count
	gone    map[int32]bool // edges that do not even order
	active  []bool         // what takes part
	limited bool           // active is not all true

	// Counters of what has not happened yet; at 0 the step is taken.
	launchWait []int32 // needs of v that keep it from being launched
	weakWait   []int32 // orders of v that do so for now; nil: there are none
	serveWait  []int32 // what v waits for before it serves, its being ready included
	have       []int32 // members of each group that have happened
	launched   []bool
	ready      []bool
	serves     []bool

	honoured            []bool // soft startup edges that order; nil: none does
	dropped             []bool // those that contradict others
	canLaunch, canServe []bool // what happens in the end, orders or not; set with honoured

	// Services that need each other at run time are a unit and serve at once. A
	// tangled unit has alternatives inside: part of it may serve before the rest.
	unit     []int32 // nil: no service waits for itself
	unitWait []int32 // sum of serveWait over the unit
	members  [][]int32
	tangled  []bool
	dirty    []int32 // tangled units to look at again
	isDirty  []bool

	launchable []int32 // found since the caller last took them
	queue      []int32 // what serves, for the others to learn
}

// newStarter simulates a start of all services. cold leaves out what people get past by
// hand.
//
// The caller may then limit it, and must call waves, or reset and run.
func newStarter(g *Graph, cold bool) *starter {
	n := len(g.services)
	s := &starter{g: g, active: make([]bool, n), launched: make([]bool, n), ready: make([]bool, n), serves: make([]bool, n)}
	if cold {
		s.skip = fBreakGlass
	}
	for v := range s.active {
		s.active[v] = true
	}
	return s
}

// limitTo keeps only v and what it needs to start and to serve.
//
// Soft dependencies are left out, as a restart does not need them; of a group, all members
// are kept, since it is not known which of them is up.
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

// counts reports whether an edge holds back a launch or only the serving.
//
// Edges to ship a fix alone, soft ones, and what people get past by hand hold nothing.
func (s *starter) counts(f flag) bool {
	return f&(fStartup|fRuntime) != 0 && f&(fSoft|s.skip) == 0
}

// orders reports whether edge e holds back a launch, for good or for a while.
//
// Only edges of the startup phase can.
func (s *starter) orders(e int32, f flag) bool {
	return f&fStartup != 0 && (s.counts(f) || s.honoured != nil && s.honoured[e])
}

// waves runs the simulation in steps of one wave. The first run leaves the
// orders out, and finds what is part of the start; units are only computed if
// services wait for each other at run time.
//
// Up to four runs, each linear: without units, with them, with orders, and without the
// orders that were dropped. A graph without cycles of the run time, alternatives and soft
// edges, which is most of the large ones, needs one.
func (s *starter) waves() [][]int32 {
	var waves [][]int32
	complete := false
	if !s.runtimeGroups() {
		s.reset()
		waves, complete = s.run()
	}
	if !complete {
		s.makeUnits()
		s.reset()
		waves, _ = s.run()
	}
	if s.honour() {
		s.reset()
		waves, _ = s.run()
		if slices.Contains(s.dropped, true) { // what was dropped on the way holds nothing back from the beginning
			s.reset()
			waves, _ = s.run()
		}
	}
	return waves
}

// drops returns the orders that contradict others, by edge.
//
// All false if nothing is ordered at all.
func (s *starter) drops() []bool {
	s.waves()
	if s.dropped == nil {
		return make([]bool, len(s.g.to))
	}
	return s.dropped
}

// groupEdges returns the edges of a group.
func (g *Graph) groupEdges(i int32) (edges []int32) {
	v := g.groups[i].owner
	for e := g.out[v]; e < g.out[v+1]; e++ {
		if g.group[e] == i {
			edges = append(edges, e)
		}
	}
	return edges
}

// reset counts what each service waits for.
//
// It can be called again at any time; honoured, dropped and the units stay.
func (s *starter) reset() {
	g, n := s.g, len(s.g.services)
	s.launchWait, s.serveWait, s.have = make([]int32, n), make([]int32, n), make([]int32, len(g.groups))
	if s.honoured != nil {
		s.weakWait = make([]int32, n)
	}
	for v := range n {
		// From here on, a count is always the number of events that v still waits for;
		// a group counts as one event, that of reaching its quorum. The 1 is for being
		// ready.
		s.serveWait[v] = 1
		for e := g.out[v]; e < g.out[v+1]; e++ {
			switch f := g.flags[e]; {
			case f&(fStartup|fSoft|fGroup|s.skip) == fStartup: // nearly all edges
				s.launchWait[v]++
			// Counted below, once for all its members.
			case f&fGroup != 0:
			case s.honoured != nil && s.honoured[e]:
				s.weakWait[v]++
			// A need of the start is in the first case, so what is left is one of the
			// run time. What is inside the unit serves at the same moment, so there is nothing to
			// wait for.
			case s.counts(f) && !s.inside(int32(v), g.to[e]):
				s.serveWait[v]++
			}
		}
	}
	for i := range g.groups {
		gr := &g.groups[i]
		switch {
		case !g.partial(i):
		case s.honoured != nil && slices.ContainsFunc(g.groupEdges(int32(i)), func(e int32) bool { return s.honoured[e] }):
			s.weakWait[gr.owner]++
		case !s.counts(gr.flags):
		case gr.flags&fStartup != 0:
			s.launchWait[gr.owner]++
		case !s.innerGroup(gr):
			s.serveWait[gr.owner]++
		}
	}
	if s.unit != nil {
		s.unitWait = make([]int32, len(s.members))
		for v, c := range s.unit {
			if s.active[v] {
				s.unitWait[c] += s.serveWait[v]
			}
		}
	}
	clear(s.launched)
	clear(s.ready)
	clear(s.serves)
}

// begin returns what nothing holds back.
//
// In order of name.
func (s *starter) begin() []int32 {
	var free []int32
	for v := range s.active {
		if s.active[v] && s.held(int32(v)) == 0 {
			free = append(free, int32(v))
		}
	}
	return free
}

// held counts what keeps v from being launched.
func (s *starter) held(v int32) int32 {
	if s.weakWait == nil {
		return s.launchWait[v]
	}
	return s.launchWait[v] + s.weakWait[v]
}

// run starts wave after wave until nothing moves, and reports whether everything that
// takes part serves in the end. A wave is launched as a whole before any of it is
// ready, so that what waits for a launch is in the next wave, never in the same one.
func (s *starter) run() (waves [][]int32, complete bool) {
	total, served := 0, 0
	for _, a := range s.active {
		if a {
			total++
		}
	}
	// Every round launches at least one service or is the last, so there are at most as
	// many rounds as services. Nothing left over can move: what is not launched waits
	// for something that is not either.
	for wave := s.begin(); ; wave = s.take() {
		if len(wave) == 0 && s.weakWait != nil {
			// Needs hold nothing back that could go; if orders do, one of them gives
			// way.
			s.release()
			wave = s.take()
		}
		if len(wave) == 0 {
			return waves, served == total
		}
		sortVertices(wave, len(s.active))
		waves = append(waves, wave)
		for _, v := range wave {
			s.launch(v)
		}
		for _, v := range wave {
			s.finish(v)
		}
		served += s.settle(nil)
	}
}

// take returns what was found launchable since the last call.
//
// They are in the order in which they were found, and run sorts them.
func (s *starter) take() []int32 {
	taken := s.launchable
	s.launchable = nil
	return taken
}

// launch tells the others that v is launched.
//
// Without an early edge in the whole graph nobody waits for that.
func (s *starter) launch(v int32) {
	s.launched[v] = true
	if s.g.union&fEarly != 0 {
		s.tell(v, fStarted)
	}
}

// finish tells the others that v is ready.
//
// Being ready is the last thing but its needs that it waits for before it serves.
func (s *starter) finish(v int32) {
	s.ready[v] = true
	if s.g.union&fEarly != 0 {
		s.tell(v, fReady)
	}
	s.count(v)
}

// settle lets everything serve that can, and returns how much that was. each
// sees them in the order of their discovery.
//
// It ends, as each service serves once and a unit becomes dirty only when one does.
func (s *starter) settle(each func(v int32)) (served int) {
	for {
		// The queue grows while it is walked: each that serves may let others serve.
		// Only when it is empty are tangled units looked at, since a later event can
		// only help them.
		for head := 0; head < len(s.queue); head++ {
			v := s.queue[head]
			served++
			if each != nil {
				each(v)
			}
			s.tell(v, 0)
		}
		s.queue = s.queue[:0]
		if len(s.dirty) == 0 {
			return served
		}
		c := s.dirty[len(s.dirty)-1]
		s.dirty, s.isDirty[c] = s.dirty[:len(s.dirty)-1], false
		s.untangle(c)
	}
}

// tell passes an event of w on to everything that waits for it: a launch, being ready,
// or serving, which is 0. O(edges into w). The first case of the switch is nearly all
// edges, so it does without the calls that the others need.
func (s *starter) tell(w int32, event flag) {
	g := s.g
	for i := g.in[w]; i < g.in[w+1]; i++ {
		f := g.inFlags[i]
		if f&(fStartup|fRuntime) == 0 || f&s.skip != 0 && f&fSoft == 0 {
			continue
		}
		// Being ready also ends a job, which is what both bits together wait for.
		if early := f & fEarly; early != event && (early != fEarly || event != fReady) {
			continue
		}
		v := g.from[i]
		switch {
		case s.limited && !s.active[v]:
		case f&(fStartup|fSoft|fGroup) == fStartup: // nearly all edges
			if s.launchWait[v]--; s.launchWait[v] == 0 && s.held(v) == 0 {
				s.launchable = append(s.launchable, v)
			}
		default:
			s.met(v, w, g.inEdge[i], f)
		}
	}
}

// met takes one from what v waits for, as the end w of edge e is far enough. An order
// that is not honoured holds nothing, a group counts once it has its quorum and not
// again, and a need inside a unit is met together with v.
func (s *starter) met(v, w, e int32, f flag) {
	weak := f&fSoft != 0
	if weak && (s.honoured == nil || !s.honoured[e]) {
		return
	}
	serving := f&fStartup == 0
	if f&fGroup != 0 {
		i := s.g.group[e]
		gr := &s.g.groups[i]
		if s.have[i]++; serving && s.innerGroup(gr) {
			s.touch(s.unit[v])
			return
		}
		if s.have[i] != gr.need {
			return
		}
	} else if serving && s.inside(v, w) {
		return
	}
	switch {
	case serving:
		s.count(v)
		return
	case weak:
		s.weakWait[v]--
	default:
		s.launchWait[v]--
	}
	if s.held(v) == 0 {
		s.launchable = append(s.launchable, v)
	}
}

// count takes one from what v waits for before it serves.
//
// With units, the members of one serve at the moment at which none of them waits for
// anything outside it.
func (s *starter) count(v int32) {
	s.serveWait[v]--
	if s.unit == nil {
		if s.serveWait[v] == 0 {
			s.serve(v)
		}
		return
	}
	c := s.unit[v]
	s.unitWait[c]--
	switch {
	case s.tangled[c]:
		s.touch(c)
	case s.unitWait[c] == 0:
		for _, w := range s.members[c] {
			if s.active[w] {
				s.serve(w)
			}
		}
	}
}

// serve lets v serve; settle tells the others.
func (s *starter) serve(v int32) {
	if !s.serves[v] {
		s.serves[v] = true
		s.queue = append(s.queue, v)
	}
}

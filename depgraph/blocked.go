package depgraph

import "slices"

// This file says what keeps a service from serving, given how far every service is.
// running.go reads that; the walk is over goals, each of which is a service and how
// far somebody waits for it to be.

// Hold is one step of what holds a service: it waits for an edge.
//
// Read in a row, holds are sentences: "web is down; it waits for db, which is starting and
// must serve".
type Hold struct {
	Edge Edge // the edge that holds it up
	// State is how far the service at the end of the edge is, and Wanted how far
	// it must be.
	State, Wanted RunState
}

// Blocked says what keeps a service from serving.
//
// A root is what somebody has to go and look at; a circle is what has to be broken, as in
// Order.Broken.
type Blocked struct {
	Service string   // its name
	State   RunState // how far it comes
	// Chain is a shortest way from the service to something that holds it and is
	// not held itself; to where a circle closes if there is no such thing.
	Chain []Hold
	// Root is what has to be looked at first, and RootState how far it is. It is
	// "" if there is nothing but services that wait for each other.
	Root      string
	RootState RunState
	// Circle are the edges of services that wait for each other, if the service
	// will not serve although all Roots do.
	Circle []Edge
	// Roots are all services that hold it and are not held themselves, by name.
	Roots []string
	// Unknown are names in the state that the graph does not have.
	Unknown []string
}

// WhyBlocked finds what keeps a service from serving, given who is up.
//
// A service that serves is held by nothing, and its answer has no roots. Assumed edges count
// like any other; soft and weak ones never hold a service.
func (g *Graph) WhyBlocked(name string, running Running) (*Blocked, error) {
	v, ok := g.index[name]
	if !ok {
		return nil, g.unknown(name)
	}
	b := &Blocked{Service: name, State: running[name]}
	// A state of something that is not in the graph is no error: what runs is often
	// more than what is declared. It may also be a name that was misspelt, so it is
	// told.
	for n := range running {
		if !g.Has(n) {
			b.Unknown = append(b.Unknown, n)
		}
	}
	slices.Sort(b.Unknown)
	if b.State >= IsServing {
		return b, nil
	}
	w := waiting{g: g, running: running, from: map[goal]step{}}
	w.search(goal{v, IsServing}, b)
	return b, nil
}

// goal is how far a service must be.
//
// The state that is wanted is one of IsStarted to IsDone.
type goal struct {
	v    int32
	want RunState
}

// step is how a goal was first come to: from which goal, over which edge; -1 for the
// one that was asked about.
type step struct {
	prev goal
	edge int32
}

// waiting is a search over goals. A service may be in it twice, once as something that
// has to be ready and once as something that has to serve: they wait for different
// things. order holds the goals as they were found, stuck those that will not be
// reached although every root is.
type waiting struct {
	g       *Graph
	running Running
	from    map[goal]step
	order   []goal
	stuck   map[goal]bool
}

func (w *waiting) state(v int32) RunState { return w.running[w.g.names[v]] }

// search goes breadth first from what is wanted over unmet needs, so that the first
// goal without any is a nearest root, and its chain a shortest one. Whether a circle
// holds the service is asked afterwards: waiting for a root and waiting in a circle are
// both possible. O(goals × their edges).
func (w *waiting) search(first goal, b *Blocked) {
	w.from[first] = step{edge: -1}
	roots := map[string]bool{}
	w.order = []goal{first}
	var nearest *goal
	// order is the queue, too: goals are appended as they are found. A goal is found
	// once, over the shortest way.
	for i := 0; i < len(w.order); i++ {
		at := w.order[i]
		unmet := w.unmet(at)
		// Nothing holds it but itself: it is down or starting for a reason of its own.
		if len(unmet) == 0 {
			roots[w.g.names[at.v]] = true
			if nearest == nil {
				nearest = &at
			}
		}
		for _, e := range unmet {
			next := goal{w.g.to[e], w.wants(e, at)}
			if _, seen := w.from[next]; !seen {
				w.from[next] = step{at, e}
				w.order = append(w.order, next)
			}
		}
	}
	for n := range roots {
		b.Roots = append(b.Roots, n)
	}
	slices.Sort(b.Roots)
	if nearest != nil {
		b.Root, b.RootState = w.g.names[nearest.v], w.state(nearest.v)
		b.Chain = w.chain(*nearest)
	}
	w.stuck = w.deadlocked()
	if w.stuck[first] {
		w.circle(b)
	}
}

// deadlocked are the goals that are not reached although every root is: everything is
// taken as stuck at first, and what nothing stuck holds is set free until nothing
// changes, a least fixpoint as in a start.
func (w *waiting) deadlocked() map[goal]bool {
	// waiters are the goals to look at again when one is set free, so each edge is
	// looked at a bounded number of times.
	stuck := make(map[goal]bool, len(w.order))
	waiters := make(map[goal][]goal, len(w.order))
	for _, at := range w.order {
		stuck[at] = true
		for _, e := range w.unmet(at) {
			next := goal{w.g.to[e], w.wants(e, at)}
			waiters[next] = append(waiters[next], at)
		}
	}
	queue := slices.Clone(w.order)
	for len(queue) > 0 {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if stuck[at] && w.comes(at, stuck) {
			delete(stuck, at)
			queue = append(queue, waiters[at]...)
		}
	}
	return stuck
}

// comes reports whether nothing that is stuck holds a goal.
//
// It asks about the members of a group one by one: which of them is free changes while
// deadlocked runs.
func (w *waiting) comes(at goal, stuck map[goal]bool) bool {
	// A plain edge that is stuck decides at once. A group is decided at the end: it
	// needs as many of its free members as its quorum lacks.
	missing := map[int32]int32{} // of groups, how many members
	for _, e := range w.unmet(at) {
		free := !stuck[goal{w.g.to[e], w.wants(e, at)}]
		switch i := w.g.group[e]; {
		case i < 0 && !free:
			return false
		case i >= 0:
			if _, ok := missing[i]; !ok {
				missing[i] = w.missing(e, at)
			}
			if free {
				missing[i]--
			}
		}
	}
	for _, n := range missing {
		if n > 0 {
			return false
		}
	}
	return true
}

// missing is how many more members the group of e needs.
func (w *waiting) missing(e int32, at goal) int32 {
	i := w.g.group[e]
	n := w.g.groups[i].need
	for other := w.g.out[at.v]; other < w.g.out[at.v+1]; other++ {
		if w.g.group[other] == i && w.reached(other, at) {
			n--
		}
	}
	return n
}

// wants is how far the end of an edge must be for the owner's next step.
//
// The owner's state decides which phase matters, not what the edge says alone.
func (w *waiting) wants(e int32, at goal) RunState {
	// What is started has all that it needed for that.
	if w.state(at.v) >= IsStarted {
		return IsServing // a need of run time
	}
	switch untilOf(w.g.flags[e]) {
	case Started:
		return IsStarted
	case Ready:
		return IsReady
	case Done:
		return IsDone
	}
	return IsServing
}

// unmet lists the edges that hold a service on its way to a goal; none if
// nothing but itself does. A group that lacks its quorum holds with every
// member that is not far enough.
//
// O(edges of the service). It is asked more than once for a goal, as nothing is kept.
func (w *waiting) unmet(at goal) (edges []int32) {
	g, state := w.g, w.state(at.v)
	needs := hardStartup
	switch {
	case state >= at.want || state >= IsServing:
		return nil
	case state == IsStarted: // its own start is not over
		return nil
	case state == IsReady:
		needs = hardRuntime
	}
	needs.none &^= fGroup
	// Two passes: whether a member that is not there holds the service depends on how
	// many others are.
	short := map[int32]int32{} // groups, and how many of their members are there
	for e := g.out[at.v]; e < g.out[at.v+1]; e++ {
		if needs.has(g.flags[e]) && g.group[e] >= 0 && w.reached(e, at) {
			short[g.group[e]]++
		}
	}
	for e := g.out[at.v]; e < g.out[at.v+1]; e++ {
		if !needs.has(g.flags[e]) || w.reached(e, at) {
			continue
		}
		if i := g.group[e]; i < 0 || short[i] < g.groups[i].need {
			edges = append(edges, e)
		}
	}
	return edges
}

// reached reports whether the end of an edge is far enough.
func (w *waiting) reached(e int32, at goal) bool { return w.state(w.g.to[e]) >= w.wants(e, at) }

// chain is the way on which a goal was found, from the service that was asked about.
func (w *waiting) chain(end goal) (holds []Hold) {
	for at := end; ; {
		s := w.from[at]
		if s.edge < 0 {
			slices.Reverse(holds)
			return holds
		}
		holds = append(holds, Hold{Edge: w.g.edgeOf(s.edge), State: w.state(at.v), Wanted: at.want})
		at = s.prev
	}
}

// maxCircleSearch is how many goals are tried for a shortest circle.
const maxCircleSearch = 2000

// circle finds a service that waits for itself, the nearest one unless very
// many wait: what is stuck waits for something that is, so every walk closes.
//
// If there is no root at all, the chain leads to where the circle closes.
func (w *waiting) circle(b *Blocked) {
	var starts []goal
	for _, at := range w.order {
		if w.stuck[at] {
			starts = append(starts, at)
		}
	}
	if len(starts) > maxCircleSearch {
		// A search from each would be quadratic. One goal that is certainly on a circle
		// is enough then, if not the nearest.
		starts = []goal{w.walk()}
	}
	for _, at := range starts {
		path := w.loop(at)
		if path == nil {
			continue
		}
		if b.Root == "" {
			b.Chain = w.chain(at)
		}
		for _, e := range path {
			b.Circle = append(b.Circle, w.g.edgeOf(e))
		}
		return
	}
}

// walk follows the first needs that are stuck until it comes to a goal for the second time.
//
// What is stuck has a need that is stuck, so it never runs out.
func (w *waiting) walk() goal {
	seen := map[goal]bool{}
	at := w.order[0]
	for !seen[at] {
		seen[at] = true
		for _, e := range w.unmet(at) {
			if next := (goal{w.g.to[e], w.wants(e, at)}); w.stuck[next] {
				at = next
				break
			}
		}
	}
	return at
}

// loop is a shortest way from a goal over unmet needs back to it.
//
// nil if start is held by a circle and not on it.
func (w *waiting) loop(start goal) []int32 {
	from := map[goal]step{}
	for queue := []goal{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, e := range w.unmet(at) {
			next := goal{w.g.to[e], w.wants(e, at)}
			if _, seen := from[next]; seen || !w.stuck[next] {
				continue
			}
			from[next] = step{at, e}
			if next == start {
				var path []int32
				for {
					s := from[next]
					path = append(path, s.edge)
					if next = s.prev; next == start {
						slices.Reverse(path)
						return path
					}
				}
			}
			queue = append(queue, next)
		}
	}
	return nil
}

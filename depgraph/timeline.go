package depgraph

import (
	"container/heap"
	"slices"
	"time"
)

// timeline adds durations to the waves. Without a limit on parallel starts, a
// service begins as soon as it can; with one, those with the longest way to
// the end of the whole start go first (list scheduling).
//
// All slices are by vertex. List scheduling (Graham 1966) is no optimum with a limit, but
// never takes twice as long as one, and needs no search.
type timeline struct {
	s                    *starter
	wave                 []int32
	begin, ready, serves []time.Duration
	because              []int32 // the service whose readiness let v begin, or -1
	lastOf               []int32 // the service whose readiness let v serve
	remaining            []time.Duration
	order                []int32 // in order of begin
	// unit replaces durations if there are none, so that the critical path is
	// the longest chain.
	unit time.Duration
}

// newTimeline takes the waves of a finished simulation, of which it needs an order in
// which everything comes after what it waits for, to compute how long the chain behind
// each service is. Without any declared duration each start takes one unit, and the
// critical path is the longest chain.
func newTimeline(s *starter, waves [][]int32) *timeline {
	n := len(s.g.services)
	t := &timeline{
		s: s, wave: make([]int32, n), begin: make([]time.Duration, n), ready: make([]time.Duration, n),
		serves: make([]time.Duration, n), because: make([]int32, n), lastOf: make([]int32, n), remaining: make([]time.Duration, n),
	}
	for v := range n {
		t.wave[v], t.because[v], t.lastOf[v] = -1, -1, int32(v)
	}
	for i, w := range waves {
		for _, v := range w {
			t.wave[v] = int32(i)
		}
	}
	// One declared duration is enough for the clock to mean something; services without
	// one then start at once.
	t.unit = 1
	for v := range n {
		if s.active[v] && s.g.services[v].Start > 0 {
			t.unit = 0
		}
	}
	// What waits for v is in a later wave, so its chain is known when v's turn comes: a
	// longest path in one pass. O(services + edges).
	for _, w := range slices.Backward(waves) {
		for _, v := range w {
			t.remaining[v] = t.longestAfter(v) + t.duration(v)
		}
	}
	return t
}

// duration is the start of one service by the clock.
func (t *timeline) duration(v int32) time.Duration { return t.s.g.services[v].Start + t.unit }

// longestAfter is the longest chain of starts that waits for v directly.
//
// Orders that were dropped do not count, needs of the run time neither: they hold back no
// launch.
func (t *timeline) longestAfter(v int32) (longest time.Duration) {
	g := t.s.g
	for i := g.in[v]; i < g.in[v+1]; i++ {
		if e := g.inEdge[i]; t.s.orders(e, g.flags[e]) {
			longest = max(longest, t.remaining[g.from[i]])
		}
	}
	return longest
}

// startQueue orders services that could begin: the longest remaining chain
// first, then by wave, then by name.
//
// It is a heap of container/heap, in which a comparison decides every tie, so that the
// clock runs the same way each time.
type startQueue struct {
	t  *timeline
	vs []int32
}

func (q *startQueue) Len() int      { return len(q.vs) }
func (q *startQueue) Swap(i, j int) { q.vs[i], q.vs[j] = q.vs[j], q.vs[i] }
func (q *startQueue) Push(x any)    { q.vs = append(q.vs, x.(int32)) }

// Less is the order of list scheduling: who holds up the most begins first.
func (q *startQueue) Less(i, j int) bool {
	a, b := q.vs[i], q.vs[j]
	if q.t.remaining[a] != q.t.remaining[b] {
		return q.t.remaining[a] > q.t.remaining[b]
	}
	return a < b
}

// Pop takes the last one of the slice, where container/heap has put the first in order.
func (q *startQueue) Pop() any {
	v := q.vs[len(q.vs)-1]
	q.vs = q.vs[:len(q.vs)-1]
	return v
}

// readyQueue orders services that are starting: the first to be ready first.
type readyQueue struct{ startQueue }

// Less is the order of events: who is ready first, then by name.
func (q *readyQueue) Less(i, j int) bool {
	a, b := q.vs[i], q.vs[j]
	if q.t.ready[a] != q.t.ready[b] {
		return q.t.ready[a] < q.t.ready[b]
	}
	return a < b
}

// run simulates the start by the clock. Two queues, in a loop over events: what could
// begin, as far as there is room, and what is starting, of which the first to be ready
// moves the clock. because notes, for the critical path, whose readiness let a service
// begin: that of a need, or of the one that made room.
//
// O((services + edges) log services).
func (t *timeline) run(maxParallel int) {
	s := t.s
	s.reset()
	waiting, starting := &startQueue{t: t}, &readyQueue{startQueue{t: t}}
	waiting.vs = s.begin()
	heap.Init(waiting)
	now, freed := time.Duration(0), int32(-1)
	for waiting.Len()+starting.Len() > 0 {
		// As many begin as there is room for. A launch may let others begin at the same
		// time, so they are queued inside this loop.
		for waiting.Len() > 0 && (maxParallel == 0 || starting.Len() < maxParallel) {
			v := heap.Pop(waiting).(int32)
			t.begin[v], t.ready[v] = now, now+t.duration(v)
			if b := t.because[v]; now > 0 && (b < 0 || t.ready[b] < now) {
				t.because[v] = freed // it could have begun earlier, had there been room
			}
			t.order = append(t.order, v)
			heap.Push(starting, v)
			s.launch(v)
			t.free(waiting, t.because[v]) // what waits for no more than the launch begins with it
		}
		// The clock jumps to the next service that is ready. Of several at the same
		// time, one is taken now and the others in the rounds to come, at the same now.
		v := heap.Pop(starting).(int32)
		now, freed = t.ready[v], v
		s.finish(v)
		s.settle(func(u int32) { t.serves[u], t.lastOf[u] = now, v })
		t.free(waiting, v)
	}
}

// free queues what nothing holds back any more.
//
// because is the service whose event did that.
func (t *timeline) free(waiting *startQueue, because int32) {
	for _, u := range t.s.launchable {
		t.because[u] = because
		heap.Push(waiting, u)
	}
	t.s.launchable = t.s.launchable[:0]
}

// byClock returns waves of what begins at the same time, at most limit
// services each. What waits for the launch of another one comes after it.
//
// What never serves is in no wave, as everywhere.
func (t *timeline) byClock(limit int) (waves [][]int32) {
	// A wave ends when the clock moves, when it is full, and before what waits for one
	// of its own: two services may begin at one time in this order alone.
	in := make([]int32, len(t.begin)) // 1 + the wave of a service
	for _, v := range t.order {
		if !t.s.serves[v] {
			continue
		}
		last := len(waves)
		if last == 0 || len(waves[last-1]) == limit || t.begin[waves[last-1][0]] != t.begin[v] || t.waitsFor(v, in, last) {
			waves = append(waves, nil)
			last++
		}
		waves[last-1] = append(waves[last-1], v)
		in[v], t.wave[v] = int32(last), int32(last-1)
	}
	for _, w := range waves {
		slices.Sort(w)
	}
	return waves
}

// waitsFor reports whether v is launched after some service of a wave.
func (t *timeline) waitsFor(v int32, in []int32, wave int) bool {
	g := t.s.g
	for e := g.out[v]; e < g.out[v+1]; e++ {
		if in[g.to[e]] == int32(wave) && t.s.orders(e, g.flags[e]) {
			return true
		}
	}
	return false
}

// report fills the result: slots, total and critical path. The path runs backwards from
// what serves last, over what let each service begin. What never serves is left out.
func (t *timeline) report(res *Order) {
	// The end of the whole is what serves last; of several, one of the highest wave,
	// whose chain has the most to look at, and of these the first by name.
	last := int32(-1)
	t.order = slices.DeleteFunc(t.order, func(v int32) bool { return !t.s.serves[v] })
	for _, v := range t.order {
		if last < 0 || t.endsLater(v, last) {
			last = v
		}
	}
	critical := map[int32]bool{}
	if last >= 0 {
		res.Total = t.serves[last]
		// lastOf may be another service than last, if that only waited for it. The way
		// cannot turn back on itself, and critical would end it if it did.
		for v := t.lastOf[last]; v >= 0 && !critical[v]; v = t.because[v] {
			critical[v] = true
			res.Critical = append(res.Critical, t.s.g.services[v].Name)
		}
		slices.Reverse(res.Critical)
	}
	if t.unit > 0 {
		// Without durations a time is a count of starts, which nobody asked for: the
		// chain stays, the numbers go.
		if chain := t.waveChain(); len(chain) > len(critical) {
			clear(critical)
			res.Critical = t.s.g.namesOf(chain)
			for _, v := range chain {
				critical[v] = true
			}
		}
		res.Total = 0
		clear(t.begin)
		clear(t.ready)
		clear(t.serves)
	}
	for _, v := range t.order {
		res.Timeline = append(res.Timeline, Slot{
			Service: t.s.g.services[v].Name, Begin: t.begin[v], Ready: t.ready[v], Serves: t.serves[v],
			Wave: int(t.wave[v]), Critical: critical[v],
		})
	}
}

// endsLater reports whether v rather than w is where the critical path ends.
func (t *timeline) endsLater(v, w int32) bool {
	if t.serves[v] != t.serves[w] {
		return t.serves[v] > t.serves[w]
	}
	return t.wave[v] > t.wave[w] || t.wave[v] == t.wave[w] && v < w
}

// waveChain is a chain of starts through the waves, from the last one down.
// Without durations the clock says nothing about a service that others wait
// for no longer than until it is launched; the waves do.
func (t *timeline) waveChain() (chain []int32) {
	g, at := t.s.g, int32(-1)
	for _, v := range t.order {
		if at < 0 || t.wave[v] > t.wave[at] || t.wave[v] == t.wave[at] && v < at {
			at = v
		}
	}
	for at >= 0 {
		chain = append(chain, at)
		next := int32(-1)
		for e := g.out[at]; e < g.out[at+1]; e++ {
			w := g.to[e]
			if t.s.orders(e, g.flags[e]) && t.s.serves[w] && t.wave[w] < t.wave[at] && (next < 0 || t.wave[w] > t.wave[next]) {
				next = w
			}
		}
		at = next
	}
	slices.Reverse(chain)
	return chain
}

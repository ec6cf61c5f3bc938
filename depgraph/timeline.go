package depgraph

import (
	"container/heap"
	"slices"
	"time"
)

// timeline adds durations to the waves. Without a limit on parallel starts, a
// service begins as soon as it can; with one, those with the longest way to
// the end of the whole start go first (list scheduling).
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
	t.unit = 1
	for v := range n {
		if s.active[v] && s.g.services[v].Start > 0 {
			t.unit = 0
		}
	}
	for _, w := range slices.Backward(waves) {
		for _, v := range w {
			t.remaining[v] = t.longestAfter(v) + t.duration(v)
		}
	}
	return t
}

func (t *timeline) duration(v int32) time.Duration { return t.s.g.services[v].Start + t.unit }

// longestAfter is the longest chain of starts that waits for v directly.
func (t *timeline) longestAfter(v int32) (longest time.Duration) {
	g := t.s.g
	for i := g.in[v]; i < g.in[v+1]; i++ {
		if f := g.flags[g.inEdge[i]]; f&fStartup != 0 && t.s.counts(f) {
			longest = max(longest, t.remaining[g.from[i]])
		}
	}
	return longest
}

// startQueue orders services that could begin: the longest remaining chain
// first, then by wave, then by name.
type startQueue struct {
	t  *timeline
	vs []int32
}

func (q *startQueue) Len() int      { return len(q.vs) }
func (q *startQueue) Swap(i, j int) { q.vs[i], q.vs[j] = q.vs[j], q.vs[i] }
func (q *startQueue) Push(x any)    { q.vs = append(q.vs, x.(int32)) }
func (q *startQueue) Less(i, j int) bool {
	a, b := q.vs[i], q.vs[j]
	if q.t.remaining[a] != q.t.remaining[b] {
		return q.t.remaining[a] > q.t.remaining[b]
	}
	return a < b
}

func (q *startQueue) Pop() any {
	v := q.vs[len(q.vs)-1]
	q.vs = q.vs[:len(q.vs)-1]
	return v
}

// readyQueue orders services that are starting: the first to be ready first.
type readyQueue struct{ startQueue }

func (q *readyQueue) Less(i, j int) bool {
	a, b := q.vs[i], q.vs[j]
	if q.t.ready[a] != q.t.ready[b] {
		return q.t.ready[a] < q.t.ready[b]
	}
	return a < b
}

// run simulates the start by the clock.
func (t *timeline) run(maxParallel int) {
	s := t.s
	s.reset()
	if s.unit != nil {
		s.sumUnits()
	}
	waiting, starting := &startQueue{t: t}, &readyQueue{startQueue{t: t}}
	for v := range s.active {
		if s.active[v] && s.startWait[v] == 0 {
			waiting.vs = append(waiting.vs, int32(v))
		}
	}
	heap.Init(waiting)
	now, freed := time.Duration(0), int32(-1)
	var serving, ready []int32
	for waiting.Len()+starting.Len() > 0 {
		for waiting.Len() > 0 && (maxParallel == 0 || starting.Len() < maxParallel) {
			v := heap.Pop(waiting).(int32)
			t.begin[v], t.ready[v] = now, now+t.duration(v)
			if b := t.because[v]; now > 0 && (b < 0 || t.ready[b] < now) {
				t.because[v] = freed // it could have begun earlier, had there been room
			}
			t.order = append(t.order, v)
			heap.Push(starting, v)
		}
		v := heap.Pop(starting).(int32)
		now, freed = t.ready[v], v
		s.started[v] = true
		serving, ready = s.count(v, serving[:0]), ready[:0]
		for {
			t.serving(serving, v, now)
			for head := 0; head < len(serving); head++ {
				before := len(serving)
				serving, ready = s.serve(serving[head], serving, ready)
				t.serving(serving[before:], v, now)
			}
			if !s.eager {
				break
			}
			if serving = s.together(serving[:0]); len(serving) == 0 {
				break
			}
		}
		for _, u := range ready {
			t.because[u] = v
			heap.Push(waiting, u)
		}
	}
}

// serving notes when services began to serve, and whose readiness did it.
func (t *timeline) serving(vs []int32, because int32, now time.Duration) {
	for _, v := range vs {
		t.serves[v], t.lastOf[v] = now, because
	}
}

// report fills the result: slots, total and critical path.
func (t *timeline) report(res *Order) {
	last := int32(-1)
	t.order = slices.DeleteFunc(t.order, func(v int32) bool { return !t.s.serves[v] })
	for _, v := range t.order {
		if last < 0 || t.serves[v] > t.serves[last] || t.serves[v] == t.serves[last] && t.wave[v] > t.wave[last] {
			last = v
		}
	}
	critical := map[int32]bool{}
	if last >= 0 {
		res.Total = t.serves[last]
		for v := t.lastOf[last]; v >= 0 && !critical[v]; v = t.because[v] {
			critical[v] = true
			res.Critical = append(res.Critical, t.s.g.services[v].Name)
		}
		slices.Reverse(res.Critical)
	}
	if t.unit > 0 {
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

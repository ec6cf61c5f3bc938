package drill

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Second is what happened to the requests that were made in one second. In the
// sparse part of a long phase there are seconds without any.
// OK, Wrong, Slow, Failed and Excused add up to Asked: see summary for which counts
// where a request is several of them.
type Second struct {
	At      float64 `json:"at_s"`              // since the drill began
	Phase   string  `json:"phase"`             // steady, watch or recovery
	Asked   int     `json:"asked"`             // requests that were made
	OK      int     `json:"ok"`                // within the budget, and not wrong
	Wrong   int     `json:"wrong,omitempty"`   // answered with something that is not true
	Slow    int     `json:"slow,omitempty"`    // answered too late, or not at all
	Failed  int     `json:"failed,omitempty"`  // answered with an error
	Excused int     `json:"excused,omitempty"` // too late because the machine stood still
	P50     float64 `json:"p50_ms"`            // median of the times, in milliseconds
	Max     float64 `json:"max_ms"`            // the longest
	Error   string  `json:"error,omitempty"`   // one of those that came
}

// result is one request.
// took is also set for one that was given up, and zero for one that was never sent.
type result struct {
	began   time.Time
	took    time.Duration
	answer  Answer
	late    bool
	excused bool
	phase   string
}

// maxInFlight bounds how many requests wait at once. A request that comes when there
// are so many is not served, which is what its user would see.
// Each costs a few goroutines and often a connection.
const maxInFlight = 1024

// load makes requests at a rate, whether or not they are answered.
//
// That is an open loop: a closed one, which asks again when it is answered, would
// ask a slow service less and hide how many users waited ("coordinated omission").
// n belongs to the goroutine that calls run; results is guarded by mu, and each is
// appended when its request ends.
type load struct {
	e     Experiment
	began time.Time
	stall *Stalls

	inFlight atomic.Int64
	inside   atomic.Int64 // calls of the target that have not returned
	all      sync.WaitGroup
	n        int64

	mu      sync.Mutex
	results []result
}

var errFull = errors.New("too many requests are waiting for an answer")

// ask makes one request in the background.
// It does not block. The request outlives ctx, up to its budget: one that was sent
// before the drill was interrupted would otherwise count as failed. A request over
// the budget is late whatever its answer; one with an error at the very end of the
// budget is late and not failed, since most clients report a deadline as an error.
// It is excused if the time over the budget is less than what the machine stood
// still meanwhile.
func (l *load) ask(ctx context.Context, phase string) {
	n, began := l.n, time.Now()
	l.n++
	if l.inFlight.Add(1) > maxInFlight {
		l.inFlight.Add(-1)
		l.add(result{began: began, answer: Answer{Err: errFull}, phase: phase})
		return
	}
	l.all.Go(func() {
		defer l.inFlight.Add(-1)
		var answer Answer
		var mu sync.Mutex
		// The target may return after contained has given it up: answer is then written while nobody reads it.
		err := contained(context.WithoutCancel(ctx), l.e.Budget, func(ctx context.Context) error {
			l.inside.Add(1)
			defer l.inside.Add(-1)
			a := l.e.Target.Ask(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			answer = a
			return a.Err
		})
		mu.Lock()
		a := answer
		mu.Unlock()
		if err != nil {
			a.Err = err
		}
		r := result{began: began, took: time.Since(began), answer: a, phase: phase}
		r.late = r.took > l.e.Budget || a.Err != nil && r.took >= l.e.Budget
		r.excused = r.late && l.stall.Within(began, began.Add(r.took)) > r.took-l.e.Budget
		l.add(r)
	})
}

// add appends one that has ended; safe for concurrent use.
func (l *load) add(r result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = append(l.results, r)
}

// denseFor is how long after a change requests come at the full rate.
const denseFor = 2 * time.Minute

// run makes requests for d, or until done or ctx is, and calls each second.
//
// Requests are due at start plus multiples of the gap, not a gap after the last one:
// a late wake-up is made up for at once, so that the rate holds on the average.
// What was missed for more than a second is skipped, or it would come as a flood.
// each is called on this goroutine, and what it takes is made up for in the same
// way. run returns with requests still on their way; load.all waits for
// them. One timer serves both the next request and the next second.
func (l *load) run(ctx context.Context, phase string, d time.Duration, each func(Second) (stop bool)) {
	start := time.Now()
	next, second := start, start.Add(time.Second)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		for !next.After(now) && next.Sub(start) < d {
			l.ask(ctx, phase)
			rate := l.e.Rate
			if next.Sub(start) >= denseFor {
				rate = l.e.Sparse
			}
			next = next.Add(gap(rate))
			if behind := now.Sub(next); behind > time.Second { // do not catch up for ever
				next = now
			}
		}
		if !second.After(now) {
			if each(l.second(phase, second.Add(-time.Second), second)) {
				return
			}
			for !second.After(now) {
				second = second.Add(time.Second)
			}
			if quiet := next.Sub(second); quiet > time.Second { // nothing happens before that
				second = second.Add(quiet.Truncate(time.Second))
			}
		}
		if now.Sub(start) >= d {
			return
		}
		timer.Reset(min(next.Sub(now), second.Sub(now), start.Add(d).Sub(now)))
	}
}

// gap is the time between two requests: never more than any phase.
// The minimum is taken as a float: a Duration of more than 292 years would be
// negative.
func gap(rate float64) time.Duration {
	return time.Duration(min(float64(time.Second)/rate, float64(maxPhase)))
}

// second sums up the requests that began in a second and are answered.
// It reads backwards from the newest, and stops at one that began two budgets
// before the second: everything older was answered earlier still. That makes it
// O(requests in the last seconds) however long the drill is. Those still on their
// way are missing here, and are in the report's timeline.
func (l *load) second(phase string, from, until time.Time) Second {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []result
	for i := len(l.results) - 1; i >= 0; i-- {
		r := l.results[i]
		if r.began.Before(from.Add(-2 * l.e.Budget)) {
			break
		}
		if !r.began.Before(from) && r.began.Before(until) {
			list = append(list, r)
		}
	}
	return summary(list, phase, from.Sub(l.began))
}

// summary counts what came of some requests. Each counts once, for the gravest:
// the machine's fault, too late, an error, a wrong answer. The error is the
// first one's.
func summary(list []result, phase string, at time.Duration) Second {
	s := Second{At: round(at.Seconds()), Phase: phase, Asked: len(list)}
	var took []time.Duration
	for _, r := range list {
		took = append(took, r.took)
		switch {
		case r.excused:
			s.Excused++
		case r.late:
			s.Slow++
		case r.answer.Err != nil:
			s.Failed++
		case r.answer.Wrong:
			s.Wrong++
		default:
			s.OK++
		}
		if r.answer.Err != nil && !r.excused && s.Error == "" {
			s.Error = text(r.answer.Err)
		}
	}
	slices.Sort(took)
	s.P50, s.Max = ms(percentile(took, 0.5)), ms(percentile(took, 1))
	return s
}

// ms is a duration in milliseconds, the unit of all latencies in the journal.
func ms(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// percentile is the nearest-rank percentile of a sorted list; 0 of none.
// The nearest rank is the smallest value that at least q of all are not above: no
// value is made up between two. The 0.999999 rounds up, and does not let 0.99 times
// 100 in binary become rank 100.
func percentile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// Stalls measures when this machine stands still: a goroutine that sleeps for a
// moment and wakes up late. What is late by no more than that is no fault of
// the service. In virtual time nothing is ever late. The zero value is ready;
// it is safe for concurrent use.
type Stalls struct {
	mu   sync.Mutex
	list []stall
}

// stall is from when the goroutine should have woken to when it did.
type stall struct {
	from, until time.Time
}

// stallTick is how long the goroutine sleeps; keepStalls how many of the latest
// stalls are known.
// A tick of 10 ms finds the pauses that matter for budgets of 100 ms and more, and
// costs nothing that can be measured.
const (
	stallTick  = 10 * time.Millisecond
	keepStalls = 100_000
)

// Run measures until ctx is done.
// It returns early in virtual time, where it would keep a bubble awake every 10 ms
// of an outage of hours. Of more than keepStalls the older half is forgotten.
func (s *Stalls) Run(ctx context.Context) {
	timer := time.NewTimer(stallTick)
	defer timer.Stop()
	last, exact := time.Now(), 0
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if now.Sub(last) != stallTick {
			exact = 0
		} else if exact++; exact == 3 {
			return // to the nanosecond, again and again: this is virtual time
		}
		if late := now.Sub(last) - stallTick; late > stallTick {
			s.mu.Lock()
			if len(s.list) >= keepStalls {
				s.list = append(s.list[:0], s.list[keepStalls/2:]...)
			}
			s.list = append(s.list, stall{now.Add(-late), now})
			s.mu.Unlock()
		}
		last = now
		timer.Reset(stallTick)
	}
}

// Within is for how long the machine stood still in a stretch of time.
// Stalls are in the order of time, so it reads from the newest and stops at the
// first that was over before from.
func (s *Stalls) Within(from, until time.Time) (sum time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.list) - 1; i >= 0 && s.list[i].until.After(from); i-- {
		a, b := s.list[i].from, s.list[i].until
		if a.Before(from) {
			a = from
		}
		if b.After(until) {
			b = until
		}
		sum += max(0, b.Sub(a))
	}
	return sum
}

package cache

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// breaker is gobreaker behind a gate of one word, so that a miss during an
// outage costs one atomic load instead of a mutex. The gate also draws each
// wait anew, so that a fleet does not probe in step.
type breaker struct {
	// shutUntil is 0 while closed, else the time on the cache's clock at
	// which the next probe may go to gobreaker.
	shutUntil atomic.Int64

	cb        *gobreaker.TwoStepCircuitBreaker[struct{}]
	now       func() int64  // the cache's clock
	cooldown  time.Duration // Options.Cooldown, of which each wait draws 80 to 120 %
	permanent bool          // of the last fault; written and read under gobreaker's mutex
	opened    atomic.Int64  // how often, for Stats

	// gobreaker tells of a change with its mutex held. Changes wait here
	// until it is not, since a hook may ask for the state.
	changed func(from, to gobreaker.State)
	mu      sync.Mutex
	pending []change

	remind oneTimer // while it is open; see logBreaker
}

// oneTimer is a timer that replaces the one before.
// The zero value has none. It is safe for concurrent use.
type oneTimer struct {
	mu sync.Mutex
	t  *time.Timer
}

// set replaces the timer, whose predecessor must not fire any more.
func (o *oneTimer) set(t *time.Timer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.t != nil {
		o.t.Stop()
	}
	o.t = t
}

// What gobreaker is told of a call that did not just succeed.
var (
	errNoVerdict      = errors.New("cache: no verdict") // neither for nor against the store
	errFault          = errors.New("cache: fault")
	errPermanentFault = errors.New("cache: permanent fault")
)

// verdictOf is what gobreaker is told of o. Only an answer is an answer: the
// text in a panic is not.
func verdictOf(o outcome) error {
	switch {
	case o.err == nil || o.has(isNotFound):
		return nil
	case o.has(isRejected | isStarting):
		return errNoVerdict
	case o.has(isPermanent):
		return errPermanentFault
	}
	return errFault
}

// change is one that gobreaker told of, and the hooks do not know yet.
type change struct{ from, to gobreaker.State }

// newBreaker returns a closed breaker. changed is called after each change of
// state, with no lock held.
func newBreaker(name string, now func() int64, trip int, cooldown time.Duration, changed func(from, to gobreaker.State)) *breaker {
	b := &breaker{now: now, cooldown: cooldown, changed: changed}
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         name,
		MaxRequests:  1, // one probe at a time, and one success closes
		Interval:     10 * time.Second,
		BucketPeriod: time.Second,
		// The gate opens between 80% and 120% of cooldown, and
		// gobreaker must be ready when it does.
		Timeout: cooldown * 7 / 10,
		// Three reasons: a fault that waiting does not fix; trip faults in a row; or half of at
		// least 20 calls within the interval, for a store that fails now and then.
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return b.permanent || int64(n.ConsecutiveFailures) >= int64(trip) ||
				(n.Requests >= 20 && n.TotalFailures*2 >= n.Requests)
		},
		// Both are called with gobreaker's mutex held: err is one of ours.
		IsExcluded: func(err error) bool { return err == errNoVerdict },
		IsSuccessful: func(err error) bool {
			// by identity, as no method of a foreign error may run under this mutex
			b.permanent = err == errPermanentFault
			return err == nil
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				b.opened.Add(1)
				wait := float64(b.cooldown) * (0.8 + 0.4*rand.Float64())
				b.shutUntil.Store(b.now() + int64(wait))
			case gobreaker.StateClosed:
				b.shutUntil.Store(0)
			}
			b.mu.Lock()
			b.pending = append(b.pending, change{from, to})
			b.mu.Unlock()
		},
	})
	return b
}

// tell reports the changes that wait.
// In their order. Two goroutines may each tell a part at the same time.
func (b *breaker) tell() {
	b.mu.Lock()
	pending := b.pending
	b.pending = nil
	b.mu.Unlock()
	for _, c := range pending {
		b.changed(c.from, c.to)
	}
}

// open reports whether calls are being skipped right now. It allocates
// nothing and takes no lock.
func (b *breaker) open(now int64) bool {
	return now < b.shutUntil.Load()
}

// allow asks for permission to make one call. If ok, report must be called
// with the call's verdict (see verdictOf), exactly once.
func (b *breaker) allow(now int64) (report func(error), ok bool) {
	if b.open(now) {
		return nil, false
	}
	done, err := b.cb.Allow()
	// the gate has just opened, and this is the probe, or comes beside it
	if now >= b.shutUntil.Load() && b.shutUntil.Load() != 0 {
		b.tell() // it became half-open
	}
	if err != nil {
		return nil, false
	}
	return func(err error) {
		done(err)
		b.tell()
	}, true
}

// state returns "closed", "half-open" or "open".
func (b *breaker) state() string { return b.cb.State().String() }

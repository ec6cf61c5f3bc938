package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// question is one call of the origin: for one flight with its loader, or for
// many with LoadMany.
type question[V any] struct {
	c       *Cache[V]
	flights []*flight[V]
	one     [1]*flight[V] // flights and keys of a single one, in place
	key     [1]string
	many    bool // ask with LoadMany

	asked    time.Time     // when it was put; later, when the loader was called
	patience time.Duration // LoadTimeout, less what was spent in the queue
	ticket   ticket        // its place in admission
	inside   loading       // the load, as what it asks for sees it
}

// answer is what the origin said: one value, or many.
type answer[V any] struct {
	one    V
	many   map[string]V
	failed map[string]outcome // of many, with a *KeysError
}

// put asks the origin at once, or queues for a slot. Flights that have been
// given up, or for which a failing origin has been asked enough, end here.
func (q *question[V]) put() {
	c := q.c
	q.asked, q.patience = time.Now(), c.opts.LoadTimeout
	q.prepare()
	// all have ended: by their fallback, by the gate's error, or for want of callers
	if len(q.flights) == 0 {
		return
	}
	first := q.flights[0]
	q.inside = loading{cache: c, parent: first.parent, keys: q.key[:0]}
	// for Previous; a LoadMany has no one key whose value that could be
	if old := first.fallback; !q.many && old != nil && old.kind == kindValue {
		q.inside.previous = old
	}
	t := &q.ticket
	t.parent = first.parent.of(c)
	for _, f := range q.flights {
		q.inside.keys = append(q.inside.keys, f.key)
		f.inside.Store(&q.inside)
	}
	// the usual case: a slot is free, and none of the queue's bookkeeping is needed
	if c.slots.try(t) {
		q.ask()
		return
	}
	// begin is called with admission's mutex held, so the load starts on another goroutine
	t.begin = func() { c.do(q.ask) }
	t.late = q.busy
	t.giveUp = func() {
		for _, f := range q.flights {
			f.abandon()
		}
	}
	t.claims = 1 // our own, until all flights have theirs
	for _, f := range q.flights {
		q.claim(f)
	}
	c.slots.disclaim(t)
	if !c.slots.enter(t, q.patience) {
		t.giveUp()
		return
	}
	c.n.loadsQueued.Add(1)
}

// prepare keeps the flights that are to be asked for.
// In place: kept shares the array of q.flights. A flight that is refused here has ended,
// and must not be touched again.
func (q *question[V]) prepare() {
	c := q.c
	kept := q.flights[:0]
	for _, f := range q.flights {
		if f.isOver() {
			f.abandon()
			continue
		}
		if err := c.gate.admit(f.hash, c.now()); err != nil {
			c.n.loadsThrottled.Add(1)
			f.fail(err)
			continue
		}
		f.serveStaleAfterSoftTimeout(q.asked)
		kept = append(kept, f)
	}
	q.flights = kept
}

// claim makes f wait for the ticket. A refresh that nobody waits for has no
// claim: it gives way to what is missed.
func (q *question[V]) claim(f *flight[V]) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.state == over {
		return
	}
	f.state, f.ticket = queued, &q.ticket
	if f.waiters > 0 {
		q.c.slots.claim(&q.ticket, f.until, true)
	}
}

// ask calls the loader, in its slot. It is the last moment at which a flight
// that nobody waits for ends without a load.
func (q *question[V]) ask() {
	c := q.c
	// What was spent in the queue is not the loader's: its time-out is what is left of the
	// patience, and the load's version is the moment when it really begins.
	waited := time.Since(q.asked)
	if waited > 0 {
		q.asked = q.asked.Add(waited)
		q.patience -= waited
	}
	wanted := false
	for _, f := range q.flights {
		wanted = f.asking() || wanted
	}
	switch {
	case q.patience <= 0:
		c.slots.exit(&q.ticket, 0)
		q.busy()
		return
	case !wanted:
		c.slots.exit(&q.ticket, 0)
		for _, f := range q.flights {
			f.abandon()
		}
		return
	}
	c.n.loads.Add(1)
	// before the origin is asked: a tag that ends while it answers ends the answer
	q.inside.seq = c.tags.seq.Load()
	version, created := q.asked.UnixMilli(), int64(q.asked.Sub(c.epoch))
	first := q.flights[0]
	b := bounded[answer[V]]{
		callContext: callContext{inside: &q.inside},
		began:       q.asked, timeout: q.patience, where: "loader", late: ErrLoadTimeout, zombies: &c.n.zombies,
		call: func(ctx context.Context) (a answer[V], err error) {
			// when the loader has returned, and not when its time is over: a slot is for a call
			// that the origin is really busy with. exit counts once, so then may come first.
			defer func() { c.slots.exit(&q.ticket, c.now()-created) }()
			if q.many {
				a.many, err = c.opts.LoadMany(ctx, q.inside.keys)
				if some := (*KeysError)(nil); errors.As(err, &some) && some != nil {
					a.failed, err = make(map[string]outcome, len(some.Errs)), nil
					for key, err := range some.Errs {
						a.failed[key] = judge(inTime(ctx, err))
					}
				}
			} else {
				a.one, err = first.load(ctx, first.key)
			}
			// the origin says that what there was is right: the answer is that value, as new
			if o := judge(err); o.has(isNotModified) && !q.many {
				var ok bool
				if a.one, ok = Previous[V](ctx); !ok {
					return a, errNothingToKeep
				}
				q.inside.keepTags()
				return a, nil
			}
			return a, inTime(ctx, err)
		},
		then: func(a answer[V], o outcome) {
			// A loader that is stuck keeps its slot only when as many are.
			if o.moved && c.n.zombies.Load() <= int64(c.opts.Concurrency) {
				c.slots.exit(&q.ticket, c.now()-created)
			}
			q.answered(a, o, version, created)
		},
	}
	b.run(first.ctx)
}

// busy ends the wait for a slot.
// Each caller gets its fallback, if there is one, or ErrOriginBusy.
func (q *question[V]) busy() {
	q.c.n.loadsBusy.Add(1)
	for _, f := range q.flights {
		f.fail(ErrOriginBusy)
	}
}

// answered hands out what the origin said.
func (q *question[V]) answered(a answer[V], o outcome, version, created int64) {
	if !q.many {
		q.flights[0].loaded(a.one, o, version, created)
		return
	}
	// Of many: what is in neither map is absent if the call succeeded, and shares its error
	// if it did not.
	absent := o
	if o.err == nil {
		absent = outcome{err: ErrNotFound, is: isNotFound}
	}
	for _, f := range q.flights {
		v, ok := a.many[f.key]
		failure, failed := a.failed[f.key]
		switch {
		case ok:
			f.loaded(v, outcome{}, version, created)
		case failed && failure.err != nil:
			f.loaded(a.one, failure, version, created)
		default:
			f.loaded(a.one, absent, version, created)
		}
	}
}

// passThrough answers a miss after Close: it asks the origin, once for each
// caller.
func (c *Cache[V]) passThrough(ctx context.Context, key string, load loader[V]) Result[V] {
	c.n.loads.Add(1)
	answer := make(chan Result[V], 1)
	b := bounded[V]{
		began: time.Now(), timeout: c.opts.LoadTimeout, where: "loader", late: ErrLoadTimeout, zombies: &c.n.zombies,
		callContext: callContext{inside: &loading{cache: c, keys: []string{key}, parent: parentOf(ctx)}},
		call: func(ctx context.Context) (V, error) {
			v, err := load(ctx, key)
			return v, inTime(ctx, err)
		},
		then: func(v V, o outcome) {
			r := Result[V]{Value: v, Err: o.err}
			if o.err == nil || o.has(isNotFound) {
				r.Source = SourceOrigin
			} else {
				c.loadFailed(o)
			}
			answer <- r
		},
	}
	go b.run(ctx)
	select {
	case r := <-answer:
		return c.arrived(r)
	case <-ctx.Done():
		c.n.canceled.Add(1)
		return Result[V]{Err: ctx.Err()}
	}
}

// SetTTL is for loaders: it says how long what they return is fresh, in place
// of Options.TTL, up to Options.MaxTTL; for a LoadMany, all of it. A ttl that is
// not positive is ignored. It returns false if ctx is not, or not derived from,
// the context that a loader was given.
func SetTTL(ctx context.Context, ttl time.Duration) bool {
	l := parentOf(ctx)
	if l != nil && ttl > 0 {
		l.ttl.Store(int64(ttl))
	}
	return l != nil
}

// Previous is for loaders of one key: it returns the value that the cache has,
// past its TTL, if there is one. A loader may ask the origin whether that is
// still right (an ETag, a modification time), and return ErrNotModified to keep
// it for another TTL.
func Previous[V any](ctx context.Context) (v V, ok bool) {
	if l := parentOf(ctx); l != nil {
		if e, is := l.previous.(*entry[V]); is {
			return e.value, true
		}
	}
	return v, false
}

// errNothingToKeep is the fault of a loader.
var errNothingToKeep = errors.New("cache: the loader said ErrNotModified, but had no Previous value")

// inTime makes the error of a loader whose context has ended ErrLoadTimeout,
// unless it is an answer: its context.DeadlineExceeded is not the caller's.
func inTime(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() == nil || errors.Is(err, ErrNotFound):
		return err
	case errors.Is(err, ctx.Err()):
		return ErrLoadTimeout
	}
	return fmt.Errorf("%w: %w", ErrLoadTimeout, err)
}

// Hands wait for the next step a moment longer than a burst of misses has gaps, and
// a few of them are enough: while all are busy, a new goroutine does as well.
const (
	maxIdleHands = 4
	handLinger   = 100 * time.Millisecond
)

// do runs a step of a flight on a goroutine other than the caller's: an idle
// hand, if there is one. A new goroutine would do, but for the growth of its
// stack, which takes longer than all the rest of a miss.
func (c *Cache[V]) do(step func()) {
	select {
	case c.hands <- step:
	default:
		go c.hand(step)
	}
}

// hand runs steps until there has been none for handLinger.
func (c *Cache[V]) hand(step func()) {
	linger := time.NewTimer(handLinger)
	defer linger.Stop()
	for {
		step()
		step = nil // and what it holds
		if c.idle.Add(1) <= maxIdleHands {
			linger.Reset(handLinger)
			select {
			case step = <-c.hands:
			case <-linger.C:
			case <-c.life.closed:
			}
		}
		c.idle.Add(-1)
		if step == nil {
			return
		}
	}
}

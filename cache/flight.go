package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// staleRetry is how long a stale value that was served in place of a failing
// origin keeps the next caller from trying again.
const staleRetry = 2 * time.Second

// errAbandoned ends a flight that nobody waits for.
var errAbandoned = errors.New("cache: abandoned")

// flight is the one search for a missing key, detached from every caller.
// Its steps run one after the other, though not always on one goroutine:
// run, landFrom or fromOrigin, loaded, land.
type flight[V any] struct {
	c    *Cache[V]
	s    *shard[V]
	hash uint64
	key  string
	load loader[V]
	ctx  context.Context // of the caller that came first, for run
	seen int64           // version of what the local tier had: an older item of the store is of no use

	// fallback is what may be served if the origin fails and it is still
	// usable then: what the local tier had, or the store. Nil: nothing.
	fallback *entry[V]
	soft     *time.Timer // until the fallback is served (SoftTimeout)
	early    bool        // begun while the fallback was fresh (EarlyRefresh)
	absent   bool        // the store had nothing

	done   chan struct{}
	result Result[V] // written before done is closed

	// Guarded by s.mu.
	landed    bool // the result is decided, and done about to be closed
	waiters   int
	loading   bool          // the origin is being asked: the flight goes on to its end
	detached  bool          // overtaken by Set or Invalidate, or abandoned: the result is not kept
	abandoned bool          // the last waiter left before the origin was asked
	quit      chan struct{} // made when the flight queues for a slot; closed when it is abandoned
}

// join adds a caller to the flight of key. leads says that the flight is new
// and has to be run; there is none after Close. The caller holds s.mu.
func (c *Cache[V]) join(s *shard[V], hash uint64, key string, load loader[V], now int64) (f *flight[V], leads bool) {
	f = s.flights[key]
	if f != nil && f.landed && !f.fallback.servable(now) { // its stale answer has had its time
		s.overtake(key)
		f = nil
	}
	switch {
	case f != nil:
		c.n.coalesced.Add(1)
	case !c.life.enter():
		return nil, false
	default:
		leads = true
		f = &flight[V]{c: c, s: s, hash: hash, key: key, load: load, fallback: s.find(hash, key), done: make(chan struct{})}
		if f.fallback != nil {
			f.seen = f.fallback.version
		}
		s.flights[key] = f
	}
	f.waiters++
	return f, leads
}

// wait returns the flight's result, or the caller's error if its context ends
// first. A flight that nobody waits for any more, and that has not asked the
// origin yet, ends.
func (f *flight[V]) wait(ctx context.Context) Result[V] {
	select {
	case <-f.done:
		return f.c.arrived(f.result)
	case <-ctx.Done():
	}
	f.s.mu.Lock()
	landed := f.landed
	f.waiters--
	if f.waiters == 0 && !f.loading && !f.abandoned {
		f.abandoned, f.detached = true, true
		f.leave()
		if f.quit != nil {
			close(f.quit)
		}
	}
	f.s.mu.Unlock()
	if landed { // both at once: the value is here, so give it
		<-f.done
		return f.c.arrived(f.result)
	}
	f.c.n.canceled.Add(1)
	return Result[V]{Err: ctx.Err()}
}

// arrived counts a result that a caller gets from a flight.
func (c *Cache[V]) arrived(r Result[V]) Result[V] {
	switch r.Source {
	case SourceLocal:
		c.n.local.inc()
	case SourceRemote:
		c.n.remote.Add(1)
	case SourceOrigin:
		c.n.origin.Add(1)
	case SourceStale:
		c.n.stale.Add(1)
	default:
		c.n.failed.Add(1)
	}
	return r
}

// leave takes the flight out of its shard, so that nobody joins it. The
// caller holds s.mu.
func (f *flight[V]) leave() {
	if f.s.flights[f.key] == f {
		delete(f.s.flights, f.key)
	}
}

const (
	maxIdleHands = 4
	handLinger   = 100 * time.Millisecond
)

// start runs the flight on a goroutine other than the caller's: an idle hand,
// if there is one. A new goroutine would do, but for the growth of its stack,
// which takes longer than all the rest of a miss.
func (c *Cache[V]) start(f *flight[V]) {
	select {
	case c.hands <- f:
	default:
		go c.hand(f)
	}
}

// hand runs flights until there has been none for handLinger.
func (c *Cache[V]) hand(f *flight[V]) {
	linger := time.NewTimer(handLinger)
	defer linger.Stop()
	for {
		f.run(f.ctx)
		f = nil // and what it holds
		if c.idle.Add(1) <= maxIdleHands {
			linger.Reset(handLinger)
			select {
			case f = <-c.hands:
			case <-linger.C:
			case <-c.life.closed:
			}
		}
		c.idle.Add(-1)
		if f == nil {
			return
		}
	}
}

// run asks the store, within its budget, and goes on with the origin.
func (f *flight[V]) run(ctx context.Context) {
	c := f.c
	if c.remote == nil {
		f.fromOrigin(ctx)
		return
	}
	budget := c.budget(ctx)
	if budget == 0 {
		c.n.reads.skipped.Add(1)
		f.fromOrigin(ctx)
		return
	}
	storeKey := c.keys.store(f.key)
	c.remote.get(ctx, f.key, storeKey, budget, func(item Item, o outcome) {
		f.absent = o.has(isNotFound)
		if o.err != nil || !f.landFrom(storeKey, item) {
			f.fromOrigin(ctx)
		}
	})
}

// budget is how long a Get with this context may wait for the store; 0 means
// that it should not ask.
func (c *Cache[V]) budget(ctx context.Context) time.Duration {
	budget := c.opts.RemoteBudget
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left < 2*time.Millisecond {
			return 0
		}
		budget = min(budget, left/4)
	}
	return budget
}

// landFrom judges an item of the store. Only a fresh one that can be trusted
// ends the flight; after everything else, whatever it is, the origin is asked.
func (f *flight[V]) landFrom(storeKey string, item Item) bool {
	c := f.c
	e, err := c.open(f.key, storeKey, item)
	switch now := c.now(); {
	case err != nil:
		c.n.poison.Add(1)
		c.emit(EventPoison, "read", f.key, err)
	case e == nil || e.version < max(f.seen, c.over.bar(f.hash)):
		if !f.early { // else it is just not newer
			c.n.outdated.Add(1)
		}
	case e.kind == kindTombstone || (e.kind == kindGone && now >= e.fresh):
		f.ended(e.version)
	case now < e.fresh:
		e.hash = f.hash
		if e.kind == kindGone {
			f.ended(e.version)
		}
		f.land(e, Result[V]{Value: e.value, Err: e.err(), Source: SourceRemote, Age: time.Duration(now - e.created)}, now)
		return true
	default:
		f.fallback = e
	}
	return false
}

// ended takes note of an ending that the store knows of: what the local tier
// has of before is not served any more, whatever becomes of the flight.
func (f *flight[V]) ended(version int64) {
	c := f.c
	if version <= c.over.version(f.hash) {
		return // known: what there is has come since
	}
	c.over.add(f.hash, f.key, version, told)
	f.s.mu.Lock()
	if e := f.s.find(f.hash, f.key); e != nil && e.version < version {
		f.s.remove(e)
	}
	f.s.mu.Unlock()
	if f.fallback != nil && f.fallback.version < version {
		f.fallback = nil
	}
}

// fromOrigin waits for a slot and loads.
func (f *flight[V]) fromOrigin(ctx context.Context) {
	c := f.c
	asked, patience := time.Now(), c.opts.LoadTimeout
	f.serveStaleAfterSoftTimeout(asked)
	if queued, err := f.takeSlot(patience); err != nil {
		f.fail(err)
		return
	} else if queued {
		patience -= time.Since(asked)
		asked = time.Now()
	}
	c.n.loads.Add(1)
	version, created := asked.UnixMilli(), int64(asked.Sub(c.epoch))
	b := bounded[V]{
		began: asked, timeout: patience, where: "loader", late: ErrLoadTimeout, zombies: &c.n.zombies,
		call: func(ctx context.Context) (V, error) {
			defer func() { <-c.slots }() // held by a stuck loader for as long as it is stuck
			v, err := f.load(ctx, f.key)
			return v, inTime(ctx, err)
		},
		then: func(v V, o outcome) { f.loaded(v, o, version, created) },
	}
	b.run(ctx)
}

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

// loaded judges what the origin said.
func (f *flight[V]) loaded(v V, o outcome, version, created int64) {
	c := f.c
	now := c.now()
	age := time.Duration(now - created)
	switch {
	case o.err == nil:
		f.land(c.fresh(f.key, f.hash, v, version, created, now), Result[V]{Value: v, Source: SourceOrigin, Age: age}, now)
	case o.has(isNotFound) && c.opts.NegativeTTL < 0 && f.fallback == nil && (f.absent || c.remote == nil): // nothing to remember, or to end
		f.land(nil, Result[V]{Err: o.err, Source: SourceOrigin, Age: age}, now)
	case o.has(isNotFound):
		// Later than a value that another process began to load in the
		// same millisecond.
		f.land(c.gone(f.key, f.hash, max(version, f.seen)+1, created, now), Result[V]{Err: o.err, Source: SourceOrigin, Age: age}, now)
	default:
		c.loadFailed(o)
		f.fail(o.err)
	}
}

// loadFailed counts an error of the origin.
func (c *Cache[V]) loadFailed(o outcome) {
	c.n.loadErrors.Add(1)
	if o.has(isLate) {
		c.n.loadsLate.Add(1)
	}
}

// takeSlot waits for one of the Concurrency slots: at most for patience, and
// only as long as somebody waits for the flight. queued says that it had to
// wait.
func (f *flight[V]) takeSlot(patience time.Duration) (queued bool, err error) {
	c := f.c
	f.s.mu.Lock()
	if f.abandoned {
		f.s.mu.Unlock()
		return false, errAbandoned
	}
	select {
	case c.slots <- struct{}{}:
		f.loading = true
		f.s.mu.Unlock()
		return false, nil
	default:
	}
	if f.early && f.waiters == 0 { // no slot is free: a refresh gives way to what is missed
		f.abandoned, f.detached = true, true
		f.leave()
		f.s.mu.Unlock()
		return false, errAbandoned
	}
	f.quit = make(chan struct{})
	f.s.mu.Unlock()

	c.n.loadsQueued.Add(1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
	case <-f.quit:
		return true, errAbandoned
	case <-timer.C:
		c.n.loadsBusy.Add(1)
		return true, ErrOriginBusy
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.abandoned { // at the same moment
		<-c.slots
		return true, errAbandoned
	}
	f.loading = true
	return true, nil
}

// fail ends the flight with the fallback, if that may still be served, or
// with err.
func (f *flight[V]) fail(err error) {
	c := f.c
	now := c.now()
	old := f.fallback
	switch {
	case err == errAbandoned:
		f.land(nil, Result[V]{Err: err}, now)
		return
	case f.early && old != nil && now < old.fresh: // do not try again before it is not
		c.emit(EventLoadFailed, "", f.key, err)
		e := old.again()
		e.early = 0
		f.land(e, Result[V]{Value: e.value, Source: SourceLocal, Age: time.Duration(now - e.created)}, now)
		return
	case !old.servable(now):
		c.emit(EventLoadFailed, "", f.key, err)
		f.land(nil, Result[V]{Err: err}, now)
		return
	}
	c.emit(EventServedStale, "", f.key, err)
	e := old.again()
	e.hash, e.early, e.stale = f.hash, 0, true
	e.fresh = min(now+jitter(staleRetry), old.usable)
	f.land(e, Result[V]{Value: e.value, Source: SourceStale, Age: time.Duration(now - e.created)}, now)
}

// land keeps e (unless the flight was overtaken, or e is nil), gives the
// result to everybody who waits, and queues what the origin said for the
// store.
func (f *flight[V]) land(e *entry[V], r Result[V], now int64) {
	c := f.c
	if f.soft != nil {
		f.soft.Stop()
	}
	f.s.mu.Lock()
	f.leave()
	dropped := false
	if keep := e != nil && !f.detached; keep {
		if e.kind == kindTombstone {
			f.s.drop(f.hash, f.key)
		} else {
			c.local.put(f.s, e, now)
		}
		if r.Source == SourceOrigin {
			if e.kind != kindValue && c.over != nil {
				c.over.add(e.hash, e.key, e.version, carried)
			}
			dropped = !c.enqueue(e, now)
		}
	}
	landed := f.landed
	f.landed = true
	f.s.mu.Unlock()
	if !landed {
		f.result = r
		close(f.done)
	}
	if dropped {
		c.emit(EventWriteDropped, "write", e.key, nil)
	}
	c.life.exit()
}

// passThrough answers a miss after Close: it asks the origin, once for each
// caller.
func (c *Cache[V]) passThrough(ctx context.Context, key string, load loader[V]) Result[V] {
	c.n.loads.Add(1)
	answer := make(chan Result[V], 1)
	b := bounded[V]{
		began: time.Now(), timeout: c.opts.LoadTimeout, where: "loader", late: ErrLoadTimeout, zombies: &c.n.zombies,
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

package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// staleRetry is how long a stale value that was served in place of a failing
// origin keeps the next caller from trying again.
const staleRetry = 2 * time.Second

// One miss, step by step:
//
//	lookup    the local tier has nothing fresh
//	join      find the key's flight, or make it, and count in
//	run       ask the store, within its budget          searching
//	landFrom  judge what it had: a fresh value lands the flight
//	question  ask the origin, once there is a slot      queued, asking
//	loaded    judge what it said
//	land      keep the result, give it to all who wait, queue it for the store
//
// The steps run one after the other, though not always on one goroutine. What
// may be served at all is decided in two places: landFrom, for what the store
// has, by [endings]; and servable, for what is past its TTL.

// flight is the one search for a missing key, detached from every caller.
type flight[V any] struct {
	c      *Cache[V]
	s      *shard[V]
	hash   uint64
	key    string
	load   loader[V]
	ctx    context.Context // of the caller that came first, for its values
	parent *loading        // the load that asked for it, if one did
	seen   int64           // version of what the local tier had: an older item of the store is of no use
	early  bool            // begun while the fallback was fresh (EarlyRefresh)
	direct bool            // to the origin, whatever the store has (Refresh)

	// The flight's own, from step to step.
	fallback *entry[V]   // what may be served if the origin fails, if it is still usable then; or nil
	soft     *time.Timer // until the fallback is served (SoftTimeout)
	absent   bool        // the store had nothing

	inside atomic.Pointer[loading] // its load, once that is to be made
	own    question[V]             // unless it is asked for together with others

	done   chan struct{}
	result Result[V] // written before done is closed

	// Guarded by s.mu.
	state    flightState
	outlived int64        // if not 0, a tag of the result has ended since its load began, when tags stood below that; written before done is closed
	answered bool         // the result is decided, and done about to be closed; a load may go on
	detached bool         // overtaken by Set or Invalidate, or abandoned: the result is not kept
	bar      int64        // what is older is over, since the flight began: another one has said so
	waiters  int          // callers
	until    int64        // when the last of them leaves, on the cache's clock
	read     *callContext // of the store, while searching
	ticket   *ticket      // while queued
	next     *flight[V]   // a direct one that begins when this one has landed
}

// flightState is where a flight is. It only goes forward.
//
//	state      goes on to                     when the last caller leaves
//	searching  queued, asking, or it is over  over, once the read has ended
//	queued     asking, or ErrOriginBusy       over, at once
//	asking     over                           goes on: the next caller has the value
type flightState uint8

const (
	searching flightState = iota
	queued
	asking
	over
)

// join adds a caller, who waits until then, to the flight of key. leads says
// that the flight is new and has to be run; there is none after Close. The
// caller holds s.mu.
func (c *Cache[V]) join(s *shard[V], hash uint64, key string, load loader[V], until, now int64) (f *flight[V], leads bool) {
	f = s.flights[key]
	// Three ways not to join a flight that is there: its stale answer is past its time, it
	// has just been given up, or there is none. The old one lands by itself, detached.
	if f != nil && f.answered && (!c.servable(f.fallback, now) || f.fallback.version < f.bar) { // its stale answer has had its time
		s.overtake(key)
		f = nil
	}
	if f != nil && !f.admit(until, now) {
		s.overtake(key)
		f = nil
	}
	if f != nil {
		c.n.coalesced.Add(1)
		return f, false
	}
	if !c.life.enter() {
		return nil, false
	}
	f = &flight[V]{
		c: c, s: s, hash: hash, key: key, load: load,
		fallback: s.find(hash, key), done: make(chan struct{}), waiters: 1, until: until,
	}
	if f.fallback != nil {
		f.seen = f.fallback.version
	}
	s.flights[key] = f
	return f, true
}

// admit counts a caller in; false if the flight has just been given up. The
// caller holds s.mu.
func (f *flight[V]) admit(until, now int64) bool {
	if f.state == queued && !f.c.slots.claim(f.ticket, until, f.waiters == 0) {
		return false
	}
	// A read goes on with the budget of the caller who began it; one with less time
	// must not spend it on the store.
	if f.read != nil && until != forever { // it wants to have time for the origin, too
		f.read.hasten(time.Duration(until-now) / 4)
	}
	f.waiters++
	f.until = max(f.until, until)
	return true
}

// wait returns the flight's result, or the caller's error if its context ends
// first. A flight that nobody waits for any more, and that has not asked the
// origin yet, ends.
func (f *flight[V]) wait(ctx context.Context, seq int64) Result[V] {
	select {
	case <-f.done:
		return f.taken(ctx, seq)
	case <-ctx.Done():
	}
	if f.cancel() { // both at once: the value is here, so give it
		<-f.done
		return f.taken(ctx, seq)
	}
	f.c.n.canceled.Add(1)
	return Result[V]{Err: ctx.Err()}
}

// taken is the result, for a caller who came when c.tags stood at seq: if a tag
// of the value may have ended before that, and after the load began, there has to
// be another load. (Only its last end is known, and it may have had others.)
func (f *flight[V]) taken(ctx context.Context, seq int64) Result[V] {
	c := f.c
	if f.outlived != 0 && f.outlived <= seq {
		return c.miss(ctx, f.hash, f.s, f.key, f.load, c.now())
	}
	return c.arrived(f.result)
}

// cancel counts a caller out. It returns true if the result is decided.
func (f *flight[V]) cancel() (answered bool) {
	f.s.mu.Lock()
	answered = f.answered
	f.waiters--
	var given *ticket // up
	if f.waiters == 0 && !answered {
		switch f.state {
		case searching:
			f.state, f.detached = over, true
			f.leave()
		case queued:
			if f.c.slots.disclaim(f.ticket) {
				given = f.ticket
			}
		}
	}
	f.s.mu.Unlock()
	if given != nil {
		given.giveUp()
	}
	return answered
}

// arrived counts a result that a caller gets from a flight.
func (c *Cache[V]) arrived(r Result[V]) Result[V] {
	c.tally(r.Source, 1)
	return r
}

// refused takes back that r arrived: its caller does not take it.
func (c *Cache[V]) refused(r Result[V]) { c.tally(r.Source, -1) }

// leave takes the flight out of its shard, so that nobody joins it. The
// caller holds s.mu.
func (f *flight[V]) leave() {
	if f.s.flights[f.key] == f {
		delete(f.s.flights, f.key)
	}
}

// run asks the store, within its budget, and goes on with the origin.
func (f *flight[V]) run() {
	f.search(func(landed, _ bool) {
		if !landed {
			f.fromOrigin()
		}
	})
}

// search asks the store, within its budget, and calls then. It returns true if
// that was on this goroutine; else it is on another one, moved.
func (f *flight[V]) search(then func(landed, moved bool)) (here bool) {
	c := f.c
	if c.remote == nil || f.direct {
		then(false, false)
		return true
	}
	budget := f.budget()
	if budget == 0 {
		c.n.reads.skipped.Add(1)
		then(false, false)
		return true
	}
	reading := func(read *callContext) {
		f.s.mu.Lock()
		f.read = read
		f.s.mu.Unlock()
	}
	return c.remote.get(f.ctx, f.key, budget, reading, func(storeKey string, item Item, o outcome) {
		reading(nil)
		f.absent = o.has(isNotFound)
		then(o.err == nil && f.landFrom(storeKey, item), o.moved)
	})
}

// budget is how long the flight may wait for the store; 0 means that it should
// not ask.
func (f *flight[V]) budget() time.Duration {
	f.s.mu.Lock()
	until := f.until
	f.s.mu.Unlock()
	return f.c.budget(until)
}

// budget is how long the store may take for a caller who leaves at until:
// RemoteBudget, but at most a quarter of what the caller has left, as the
// origin needs the rest. Zero: there is no time to ask the store at all.
func (c *Cache[V]) budget(until int64) time.Duration {
	budget := c.opts.RemoteBudget
	if until != forever {
		left := time.Duration(until - c.now())
		if left < 2*time.Millisecond {
			return 0
		}
		budget = min(budget, left/4)
	}
	return budget
}

// until is when a caller with this context leaves, on the cache's clock.
func (c *Cache[V]) until(ctx context.Context) int64 {
	if deadline, ok := ctx.Deadline(); ok {
		return int64(deadline.Sub(c.epoch)) // saturates
	}
	return forever
}

// landFrom judges an item of the store. Only a fresh one that can be trusted
// ends the flight; after everything else, whatever it is, the origin is asked.
func (f *flight[V]) landFrom(storeKey string, item Item) bool {
	c := f.c
	e, err := c.open(f.key, storeKey, item)
	// In this order: an item that cannot be read; one that is over, by any of the reasons
	// that this process knows; one that is itself an ending; one that is fresh; and what
	// is left is past its TTL, and good for want of a better one.
	switch now := c.now(); {
	case err != nil:
		c.n.poison.Add(1)
		c.emit(EventPoison, "read", f.key, err)
	case e == nil || e.version < max(f.seen, c.bulletin.version(storeKey)) || c.over.has(f.hash, e.version, e.kind) || c.over.forgot(f.hash, e.version, e.kind, begunIn(item.Value)) || !c.tagsKnown(e) || c.endedByTag(e):
		if !f.early { // else it is just not newer
			c.n.outdated.Add(1)
		}
	case e.kind == kindTombstone || (e.kind == kindGone && now >= e.shared):
		f.ended(e.version)
	case now < e.shared:
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
	c.over.add(f.hash, f.key, version, told, false)
	f.s.mu.Lock()
	f.s.outdate(f.hash, f.key, version)
	f.s.mu.Unlock()
	if f.fallback != nil && f.fallback.version < version {
		f.fallback = nil
	}
}

// outdate drops the entry of key if it is older than version, and keeps the flight
// of key from falling back on such a one. The caller holds s.mu.
func (s *shard[V]) outdate(hash uint64, key string, version int64) {
	if e := s.find(hash, key); e != nil && e.version < version {
		s.remove(e)
	}
	if f := s.flights[key]; f != nil {
		f.bar = max(f.bar, version)
	}
}

func (f *flight[V]) asks() *loading { return f.inside.Load() }

func (f *flight[V]) isOver() bool {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return f.state == over
}

// asking takes note that the origin is about to be asked; false if nobody
// waits for that.
func (f *flight[V]) asking() bool {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.state == over || (f.waiters == 0 && !f.early) {
		return false
	}
	f.state = asking
	return true
}

// fromOrigin loads, once there is a slot.
func (f *flight[V]) fromOrigin() {
	q := &f.own
	q.c, q.one[0] = f.c, f
	q.flights = q.one[:]
	q.put()
}

// loaded judges what the origin said.
func (f *flight[V]) loaded(v V, o outcome, version, created int64) {
	c := f.c
	now := c.now()
	age := time.Duration(now - created)
	if o.err == nil || o.has(isNotFound) {
		c.gate.answered(f.hash)
	} else {
		c.gate.failed(f.hash, o.err, now)
	}
	switch {
	case o.err == nil:
		f.land(c.fresh(f.key, f.hash, v, version, created, now, f.asks().said()), Result[V]{Value: v, Source: SourceOrigin, Age: age}, now)
	case o.has(isNotFound) && c.opts.NegativeTTL < 0 && f.fallback == nil && (f.absent || c.remote == nil): // nothing to remember, or to end
		if c.over != nil {
			f.endedByOrigin(time.UnixMilli(version).Add(endingLead).UnixMilli(), told)
		}
		f.land(nil, Result[V]{Err: o.err, Source: SourceOrigin, Age: age}, now)
	case o.has(isNotFound):
		// Later than any value that was loaded or set before, anywhere.
		version = max(time.UnixMilli(version).Add(endingLead).UnixMilli(), f.seen+1)
		f.land(c.gone(f.key, f.hash, version, created, now), Result[V]{Err: o.err, Source: SourceOrigin, Age: age}, now)
	default:
		c.loadFailed(o)
		f.fail(o.err)
	}
}

// endedByOrigin takes note of a "gone".
func (f *flight[V]) endedByOrigin(version int64, state endingState) (news bool) {
	c := f.c
	if f.absent && f.fallback == nil {
		return c.over.addWeak(f.hash, f.key, version, state)
	}
	if !c.over.add(f.hash, f.key, version, state, false) {
		return false
	}
	c.bulletin.postKey(f.key, version)
	return true
}

// loadFailed counts an error of the origin.
func (c *Cache[V]) loadFailed(o outcome) {
	c.n.loadErrors.Add(1)
	if o.has(isLate) {
		c.n.loadsLate.Add(1)
	}
}

// fail ends the flight with the fallback, if that may still be served, or
// with err.
func (f *flight[V]) fail(err error) {
	c := f.c
	now := c.now()
	old := f.fallback
	switch {
	case (f.early || f.direct) && old != nil && old.kind == kindValue && !old.stale && now < old.fresh: // do not try again before it is not
		c.emit(EventLoadFailed, "", f.key, err)
		e := old.again()
		e.early = 0
		f.land(e, Result[V]{Value: e.value, Source: SourceLocal, Age: time.Duration(now - e.created), why: err}, now)
		return
	case !c.servable(old, now):
		c.emit(EventLoadFailed, "", f.key, err)
		f.land(nil, Result[V]{Err: err}, now)
		return
	}
	c.emit(EventServedStale, "", f.key, err)
	e := old.again()
	e.hash, e.early, e.stale, e.why = f.hash, 0, true, err
	// for a moment it is as good as fresh, so that each caller does not wait for the same
	// failure; but never past what StaleIfError allows
	e.fresh = min(now+jitter(staleRetry), old.usable)
	f.land(e, Result[V]{Value: e.value, Source: SourceStale, Age: time.Duration(now - e.created), why: err}, now)
}

// abandon ends a flight that nobody waits for.
func (f *flight[V]) abandon() {
	f.s.mu.Lock()
	f.detached = true
	f.s.mu.Unlock()
	f.land(nil, Result[V]{Err: errAbandoned}, f.c.now())
}

// errAbandoned is the result of a flight that nobody waits for.
var errAbandoned = errors.New("cache: abandoned")

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
	f.state = over
	dropped := false
	// What follows is one step under s.mu, so that an Invalidate comes either before it, and
	// detaches the flight, or after it, and finds the entry.
	keep := e != nil && !f.detached
	answered := f.answered
	if e != nil {
		if c.endedByTag(e) { // while it was loaded
			keep = false
			if !answered {
				f.outlived = e.tags.seq + 1
			}
		}
		if r.Source != SourceOrigin && e.version < f.bar { // while it was not
			keep = false
			if r.why != nil {
				r = Result[V]{Err: r.why}
			}
		}
	}
	switch {
	case !keep:
	case e.kind == kindTombstone:
		f.s.drop(f.hash, f.key)
	default:
		c.local.put(f.s, e)
	}
	if e != nil && r.Source == SourceOrigin {
		// "Gone" is an ending also for those who wait for a flight that
		// was overtaken.
		if e.kind != kindValue {
			f.s.outdate(f.hash, f.key, e.version)
			if c.over != nil && f.endedByOrigin(e.version, carried) {
				keep = true
			}
		}
		dropped = keep && !c.enqueue(e, now)
	}
	f.answered = true
	next := f.next
	f.s.mu.Unlock()
	if next != nil {
		c.do(next.run)
	}
	if !answered {
		f.result = r
		close(f.done)
	}
	if dropped {
		c.emit(EventWriteDropped, "write", e.key, nil)
	}
	c.life.exit()
}

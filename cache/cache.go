package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// staleRetry is how long a stale value that was served in place of a failing
// origin keeps the next caller from trying again.
const staleRetry = 2 * time.Second

// Cache is a two-tier read-through cache whose remote tier cannot hurt: a
// fault of the [Store] never reaches a caller.
//
// Get returns the value, or the origin's error, or the caller's own
// ctx.Err(), ErrLoadTimeout or ErrOriginBusy: nothing else. What a Get costs
// when the Store is gone is at most RemoteBudget until its breaker opens,
// and nothing after.
//
// Values are shared between callers and must not be changed by them. A Cache
// is safe for concurrent use. Make it with New; whoever made it calls Close.
// Most callers want Get.
type Cache[V any] struct {
	opts  Options[V]
	local *local[V]
	floor atomic.Int64 // InvalidateAll: older items of the store are misses

	remote *remote // nil without a Store
	queue  *writeback[V]
	owed   owed[V]
	codec  Codec[V]
	sealer sealer
	keys   keyer

	epoch time.Time
	slots chan struct{}   // one for each load in progress
	hands chan *flight[V] // to idle hands
	idle  atomic.Int64    // idle hands
	life  *life
	n     counters
}

// New makes a cache. It calls neither the store nor the origin, so a service
// starts while both are down.
func New[V any](o Options[V]) (*Cache[V], error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache[V]{
		opts:   o,
		local:  newLocal[V](o.MaxEntries, o.MaxBytes),
		codec:  o.Codec,
		sealer: sealer{schema: o.Schema, aead: o.AEAD},
		keys:   keyer{name: o.Name, secret: append([]byte(nil), o.KeySecret...)},
		epoch:  time.Now(),
		slots:  make(chan struct{}, o.Concurrency),
		hands:  make(chan *flight[V]),
		life:   newLife(),
	}
	if o.KeySecret == nil {
		c.keys.secret = nil
	}
	if o.Store != nil {
		c.remote = newRemote(c)
		c.queue = newWriteback(o.WriteQueue, c.write)
	}
	return c, nil
}

// Source says where a result came from.
type Source uint8

// The sources of a [Result].
const (
	SourceUnknown Source = iota // there is no value: an error
	SourceLocal                 // fresh in the local tier
	SourceRemote                // fresh in the store
	SourceOrigin                // just loaded
	SourceStale                 // past its TTL; the origin failed (StaleIfError)
)

var sourceNames = [...]string{"unknown", "local", "remote", "origin", "stale"}

func (s Source) String() string {
	if int(s) < len(sourceNames) {
		return sourceNames[s]
	}
	return sourceNames[0]
}

// Result is the outcome of a lookup. Err is what Get returns; an ErrNotFound
// has a Source too, since it can be remembered like a value.
type Result[V any] struct {
	Value  V
	Err    error
	Source Source
	Age    time.Duration // since the load of the value began
}

// Get returns the value of key: from the local tier, the store or the
// origin, whichever has it first. A nil ctx stands for context.Background.
func (c *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	r := c.lookup(ctx, key, c.opts.Load)
	return r.Value, r.Err
}

// GetOrLoad is Get with a loader of this call's own. Callers that miss the
// same key at the same time share one load, the first one's.
func (c *Cache[V]) GetOrLoad(ctx context.Context, key string, load func(ctx context.Context, key string) (V, error)) (V, error) {
	if load == nil {
		var zero V
		return zero, errNilLoad
	}
	r := c.lookup(ctx, key, load)
	return r.Value, r.Err
}

// Lookup is Get that also tells where the value came from, and its age.
func (c *Cache[V]) Lookup(ctx context.Context, key string) Result[V] {
	return c.lookup(ctx, key, c.opts.Load)
}

// now is the cache's monotonic clock: nanoseconds since New.
func (c *Cache[V]) now() int64 { return int64(time.Since(c.epoch)) }

// errAbandoned ends a flight that nobody waits for.
var errAbandoned = errors.New("cache: abandoned")

var background = context.Background()

type loader[V any] func(ctx context.Context, key string) (V, error)

// lookup is the hot path. A hit writes nothing that another core reads, and
// allocates nothing.
func (c *Cache[V]) lookup(ctx context.Context, key string, load loader[V]) Result[V] {
	now := c.now()
	hash := maphash.String(c.local.seed, key)
	s := c.local.shard(hash)
	if e := s.find(hash, key); e != nil && now < e.fresh {
		s.touch(e, now)
		if e.early != 0 && now >= e.early {
			c.refreshEarly(ctx, s, e, load, now)
		}
		return c.hit(e, now)
	}
	return c.miss(ctx, hash, s, key, load, now)
}

// hit makes the result of a fresh entry.
func (c *Cache[V]) hit(e *entry[V], now int64) Result[V] {
	if e.stale {
		c.n.stale.Add(1)
		return Result[V]{Value: e.value, Source: SourceStale, Age: time.Duration(now - e.created)}
	}
	c.n.local.inc()
	if e.kind == kindGone {
		return Result[V]{Err: ErrNotFound, Source: SourceLocal, Age: time.Duration(now - e.created)}
	}
	return Result[V]{Value: e.value, Source: SourceLocal, Age: time.Duration(now - e.created)}
}

// miss joins the flight of key, or starts it, and waits for its result or
// for the caller's context.
func (c *Cache[V]) miss(ctx context.Context, hash uint64, s *shard[V], key string, load loader[V], now int64) Result[V] {
	if ctx == nil {
		ctx = context.Background()
	}
	if err := ctx.Err(); err != nil {
		c.n.canceled.Add(1)
		return Result[V]{Err: err}
	}
	s.mu.Lock()
	if e := s.find(hash, key); e != nil && now < e.fresh { // came meanwhile
		s.mu.Unlock()
		return c.hit(e, now)
	}
	f, leads := c.join(s, hash, key, load)
	s.mu.Unlock()
	if f == nil {
		return c.passThrough(ctx, key, load)
	}
	if leads {
		f.ctx = ctx
		c.start(f)
	}
	return f.wait(ctx)
}

// join adds a caller to the flight of key. leads says that the flight is new
// and has to be run; there is none after Close. The caller holds s.mu.
func (c *Cache[V]) join(s *shard[V], hash uint64, key string, load loader[V]) (f *flight[V], leads bool) {
	f = s.flights[key]
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
	early    *entry[V]   // that this flight refreshes before its time; nil: it is a miss

	done   chan struct{}
	result Result[V] // written before done is closed

	// Guarded by s.mu.
	landed    bool // done is closed
	waiters   int
	loading   bool          // the origin is being asked: the flight goes on to its end
	detached  bool          // overtaken by Set or Invalidate, or abandoned: the result is not kept
	abandoned bool          // the last waiter left before the origin was asked
	quit      chan struct{} // made when the flight queues for a slot; closed when it is abandoned
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
	f.waiters--
	if f.waiters == 0 && !f.loading && !f.abandoned {
		f.abandoned, f.detached = true, true
		f.leave()
		if f.quit != nil {
			close(f.quit)
		}
	}
	f.s.mu.Unlock()
	select {
	case <-f.done: // both at once: the value is here, so give it
		return f.c.arrived(f.result)
	default:
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
	c.remote.get(ctx, f.key, storeKey, budget, func(item Item, err error) {
		if err != nil || !f.landFrom(storeKey, item) {
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
	case e == nil || e.version < max(f.seen, c.floor.Load(), c.owed.version(f.key)):
		if f.early == nil { // else it is just not newer
			c.n.outdated.Add(1)
		}
	case e.kind == kindTombstone:
		f.fallback = nil
	case now < e.fresh:
		e.hash = f.hash
		f.land(e, Result[V]{Value: e.value, Err: e.err(), Source: SourceRemote, Age: time.Duration(now - e.created)}, now)
		return true
	default:
		f.fallback = e
	}
	return false
}

func (e *entry[V]) err() error {
	if e.kind == kindGone {
		return ErrNotFound
	}
	return nil
}

// fromOrigin waits for a slot and loads.
func (f *flight[V]) fromOrigin(ctx context.Context) {
	c := f.c
	asked, patience := time.Now(), c.opts.LoadTimeout
	if soft := c.opts.SoftTimeout; soft > 0 && f.fallback.servable(int64(asked.Sub(c.epoch)+soft)) {
		f.soft = time.AfterFunc(soft, f.serveStale)
	}
	if queued, err := f.takeSlot(patience); err != nil {
		f.fail(err)
		return
	} else if queued {
		patience -= time.Since(asked)
		asked = time.Now()
	}
	c.n.loads.Add(1)
	version, created := asked.UnixMilli(), int64(asked.Sub(c.epoch))
	bounded(ctx, asked, patience, "loader", ErrLoadTimeout, &c.n.zombies,
		func(ctx context.Context) (V, error) {
			defer func() { <-c.slots }() // held by a stuck loader for as long as it is stuck
			return f.load(ctx, f.key)
		},
		func(v V, err error) { f.loaded(v, err, version, created) })
}

// errSlow is the cause of a stale answer for want of a quicker one.
var errSlow = errors.New("cache: the origin did not answer within SoftTimeout")

// serveStale gives the fallback to everybody who waits, and to those who come
// until the load, which goes on, is done.
func (f *flight[V]) serveStale() {
	old := f.fallback
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.landed {
		return
	}
	f.landed = true
	f.c.emit(EventServedStale, "", f.key, errSlow)
	f.result = Result[V]{Value: old.value, Source: SourceStale, Age: time.Duration(f.c.now() - old.created)}
	close(f.done)
}

// loaded judges what the origin said.
func (f *flight[V]) loaded(v V, err error, version, created int64) {
	c := f.c
	now := c.now()
	age := time.Duration(now - created)
	switch {
	case err == nil:
		f.land(c.fresh(f.key, f.hash, v, version, created, now), Result[V]{Value: v, Source: SourceOrigin, Age: age}, now)
	case errors.Is(err, ErrNotFound):
		f.land(c.gone(f.key, f.hash, version, created, now), Result[V]{Err: err, Source: SourceOrigin, Age: age}, now)
	default:
		c.n.loadErrors.Add(1)
		if errors.Is(err, ErrLoadTimeout) || errors.Is(err, context.DeadlineExceeded) {
			c.n.loadsLate.Add(1)
		}
		f.fail(err)
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
	case f.early != nil: // it is still fresh; do not try again before it is not
		e := f.early.again()
		e.early = 0
		c.emit(EventLoadFailed, "", f.key, err)
		f.land(e, Result[V]{Err: err}, now)
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
	keep := e != nil && !f.detached
	if keep {
		c.local.put(f.s, e, now)
		if r.Source == SourceOrigin {
			c.enqueue(e, now)
		}
	}
	landed := f.landed
	f.landed = true
	f.s.mu.Unlock()
	if !landed {
		f.result = r
		close(f.done)
	}
	c.life.exit()
}

// again is a copy of e that can be put into the local tier.
func (e *entry[V]) again() *entry[V] {
	return &entry[V]{
		key: e.key, hash: e.hash, value: e.value, kind: e.kind, cost: e.cost, stale: e.stale,
		fresh: e.fresh, early: e.early, usable: e.usable,
		created: e.created, version: e.version, took: e.took,
	}
}

// servable reports whether e may be served in place of what the origin does
// not give. e may be nil.
func (e *entry[V]) servable(now int64) bool {
	return e != nil && e.kind == kindValue && now < e.usable
}

// refreshEarly starts a flight for an entry that is still fresh, with the
// probability of the XFetch rule: now − took · β · ln(random) ≥ fresh.
func (c *Cache[V]) refreshEarly(ctx context.Context, s *shard[V], e *entry[V], load loader[V], now int64) {
	if float64(now)-float64(e.took)*c.opts.EarlyRefresh*math.Log(1-rand.Float64()) < float64(e.fresh) {
		return
	}
	if ctx == nil {
		ctx = background
	}
	s.mu.Lock()
	var f *flight[V]
	if s.flights[e.key] == nil && s.find(e.hash, e.key) == e {
		if f, _ = c.join(s, e.hash, e.key, load); f != nil {
			f.waiters-- // nobody waits for it
			f.seen = e.version + 1
			f.fallback, f.early = nil, e
			f.ctx = ctx
		}
	}
	s.mu.Unlock()
	if f != nil {
		c.n.earlyRefreshes.Add(1)
		c.start(f)
	}
}

// earliest is when refreshEarly can begin to say yes: −ln(random) is above 20
// less often than once in 10⁸.
func (c *Cache[V]) earliest(e *entry[V]) int64 {
	if c.opts.EarlyRefresh == 0 || e.kind != kindValue {
		return 0
	}
	return max(e.fresh-int64(20*c.opts.EarlyRefresh*float64(e.took)), 1)
}

// fresh makes the entry of a value that was loaded, or set, just now.
func (c *Cache[V]) fresh(key string, hash uint64, v V, version, created, now int64) *entry[V] {
	e := &entry[V]{key: key, hash: hash, value: v, version: version, created: created, took: now - created}
	e.fresh = now + jitter(c.opts.TTL)
	e.usable = e.fresh + int64(c.opts.StaleIfError)
	if c.opts.Expires != nil {
		err := contain("Expires", func() error {
			if end := c.opts.Expires(v); !end.IsZero() {
				last := now + int64(time.Until(end))
				e.fresh, e.usable = min(e.fresh, last), min(e.usable, last)
			}
			return nil
		})
		if err != nil { // its end is unknown: do not serve it again
			c.callbackFailed(key, err)
			e.fresh, e.usable = now, now
		}
	}
	e.early = c.earliest(e)
	c.weigh(e)
	return e
}

// weigh sets the cost of e.
func (c *Cache[V]) weigh(e *entry[V]) {
	if c.opts.Cost == nil {
		return
	}
	err := contain("Cost", func() error {
		e.cost = int64(max(c.opts.Cost(e.value), 0) + len(e.key) + entryOverhead)
		return nil
	})
	if err != nil { // its size is unknown: larger than any bound
		c.callbackFailed(e.key, err)
		e.cost = math.MaxInt64
	}
}

func (c *Cache[V]) callbackFailed(key string, err error) {
	c.n.callbackPanics.Add(1)
	c.emit(EventCallback, "", key, err)
}

// gone makes the entry of a key that the origin does not know: "not found"
// for NegativeTTL, or, without one, a tombstone for whatever was there.
func (c *Cache[V]) gone(key string, hash uint64, version, created, now int64) *entry[V] {
	e := &entry[V]{key: key, hash: hash, kind: kindTombstone, version: version, created: created, cost: int64(len(key) + entryOverhead)}
	if c.opts.NegativeTTL > 0 {
		e.kind = kindGone
		e.fresh = now + jitter(c.opts.NegativeTTL)
		e.usable = e.fresh
	}
	return e
}

// jitter draws from d ± 10 %.
func jitter(d time.Duration) int64 {
	return int64(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// passThrough answers a miss after Close: it asks the origin, within the
// caller's own context.
func (c *Cache[V]) passThrough(ctx context.Context, key string, load loader[V]) Result[V] {
	c.n.loads.Add(1)
	answer := make(chan Result[V], 1)
	go bounded(ctx, time.Now(), c.opts.LoadTimeout, "loader", ErrLoadTimeout, &c.n.zombies,
		func(ctx context.Context) (V, error) { return load(ctx, key) },
		func(v V, err error) {
			r := Result[V]{Value: v, Err: err}
			if err == nil || errors.Is(err, ErrNotFound) {
				r.Source = SourceOrigin
			}
			answer <- r
		})
	select {
	case r := <-answer:
		return c.arrived(r)
	case <-ctx.Done():
		c.n.canceled.Add(1)
		return Result[V]{Err: ctx.Err()}
	}
}

// Set makes v the value of key, as if it had just been loaded: at once in the
// local tier, and soon in the store. A load that began before does not
// overwrite it. The error is ctx's own or nil; what becomes of the write to
// the store is in Stats.
func (c *Cache[V]) Set(ctx context.Context, key string, v V) error {
	if ctx != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	hash := maphash.String(c.local.seed, key)
	now := c.now()
	e := c.fresh(key, hash, v, time.Now().UnixMilli(), now, now)
	s := c.local.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overtake(key)
	c.local.put(s, e, now)
	c.enqueue(e, now)
	return nil
}

// overtake keeps the flight of key, if there is one, from storing its result
// and from being joined. The caller holds s.mu.
func (s *shard[V]) overtake(key string) {
	if f := s.flights[key]; f != nil {
		f.detached = true
		f.leave()
	}
}

// Invalidate forgets the value of key, here and in the store. From its
// return on, this process does not serve a value whose load began before the
// call, even if the store still holds it. What the store could not be told it
// is told later, with the next write that succeeds.
//
// It is the one method that reports a fault of the store, since its caller
// must know that other processes may serve the old value (a session that was
// logged out) until it expires there.
func (c *Cache[V]) Invalidate(ctx context.Context, key string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	hash := maphash.String(c.local.seed, key)
	now := c.now()
	tombstone := &entry[V]{
		key: key, hash: hash, kind: kindTombstone, version: invalidationVersion(),
		created: now, cost: int64(len(key) + entryOverhead),
		usable: now + int64(c.opts.TTL)*11/10 + int64(c.opts.StaleIfError+MaxSkew),
	}
	s := c.local.shard(hash)
	s.mu.Lock()
	s.overtake(key)
	c.local.put(s, tombstone, now)
	if c.remote != nil {
		c.queue.forget(key)
		if !c.owed.add(tombstone, now) { // too many to remember: distrust everything older
			c.floor.Store(tombstone.version)
		}
	}
	s.mu.Unlock()
	if c.remote == nil {
		return nil
	}
	return c.invalidateRemote(ctx, tombstone)
}

// invalidationVersion is later than the version of every load that began
// before now on a machine whose clock is at most MaxSkew/2 ahead.
func invalidationVersion() int64 { return time.Now().Add(MaxSkew / 2).UnixMilli() }

// invalidateRemote writes the tombstone and waits for the outcome.
func (c *Cache[V]) invalidateRemote(ctx context.Context, tombstone *entry[V]) error {
	item, err := c.item(tombstone)
	if err != nil {
		return err
	}
	outcome := make(chan error, 1)
	go c.remote.set(ctx, tombstone.key, item.key, item.Item, c.opts.WriteTimeout,
		func(err error) {
			if err == nil {
				c.owed.paid(tombstone)
			}
			outcome <- err
		})
	select {
	case err = <-outcome:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("cache: invalidated in this process; the store does not know yet: %w", err)
	}
	return nil
}

// InvalidateAll forgets everything that was loaded before the call, in this
// process: its local tier is emptied, and older items of the store are
// misses to it from now on. The store itself is not touched.
func (c *Cache[V]) InvalidateAll() {
	c.floor.Store(invalidationVersion())
	for i := range c.local.shards {
		s := &c.local.shards[i]
		s.mu.Lock()
		for key := range s.flights {
			s.overtake(key)
		}
		s.reset()
		s.mu.Unlock()
	}
}

// Close stops the cache. It waits for loads and writes in progress until ctx
// is done, then drops and counts what is left, and returns ctx's error. A
// Get after Close still works: it asks the origin. Close again does nothing.
func (c *Cache[V]) Close(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	c.life.close()
	var err error
	select {
	case <-c.life.idle:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if c.queue != nil {
		if dropped := c.queue.drain(ctx); dropped > 0 {
			c.n.writesDropped.Add(int64(dropped))
			err = fmt.Errorf("cache: closed with %d values unwritten: %w", dropped, ctx.Err())
		}
	}
	return err
}

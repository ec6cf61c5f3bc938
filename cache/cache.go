package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"sync/atomic"
	"time"
)

// Cache is a two-tier read-through cache whose remote tier cannot take you
// down: a fault of the [Store] never reaches a caller.
//
// Get returns the value, or the origin's error (or ErrOriginFailing, which wraps
// it), or the caller's own ctx.Err(), ErrLoadTimeout, ErrOriginBusy or
// ErrRecursiveLoad: nothing else. While the Store is gone, a Get takes at most
// RemoteBudget longer until the breaker opens, and no longer after that.
//
// Values are shared between callers and must not be changed by them. A Cache
// is safe for concurrent use. Make it with New, and Close it.
// Most callers want Get.
type Cache[V any] struct {
	// Set by New and never changed; each has its own lock, or needs none.
	opts  Options[V] // with their defaults
	local *local[V]  // the first tier
	// remote is the second tier and what guards it, queue what is to be written there,
	// and over what may not be served any more, from there or from anywhere. All three
	// are nil without a Store: then what is gone is gone.
	remote *remote
	queue  *writeback[V]
	over   *endings
	codec  Codec[V]
	plain  bool       // the codec is Raw, whose code is our own and needs no containing
	sealer sealer     // of envelopes
	calls  *callbacks // contains the user's functions
	keys   keyer      // names of keys in the store

	bulletin *bulletin[V] // nil without a BulletinStore; its methods take that
	tags     tags

	// epoch is when the cache's clock, now, was 0. Deadlines within the process are on
	// that clock, which no change of the machine's time moves.
	epoch   time.Time
	slots   *admission   // for loads in progress
	gate    gate         // to an origin that fails
	circles circles      // of loads that ask for loads
	hands   chan func()  // to idle hands, unbuffered; see do
	idle    atomic.Int64 // idle hands
	life    *life        // work in progress, for Close
	n       counters     // of Stats
}

// New makes a cache. It calls neither the store nor the origin, so a service
// starts while both are down.
func New[V any](o Options[V]) (*Cache[V], error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache[V]{
		opts:  o,
		local: newLocal[V](o.MaxEntries, o.localBytes()),
		codec: o.Codec,
		plain: isRaw(o.Codec),
		calls: &callbacks{timeout: o.LoadTimeout},
		keys:  keyer{name: o.Name, secret: append([]byte(nil), o.KeySecret...)},
		epoch: time.Now(),
		hands: make(chan func()),
		life:  newLife(),
	}
	c.sealer = sealer{schema: o.Schema, aead: o.AEAD, calls: c.calls}
	c.slots = newAdmission(o.Concurrency, c.now)
	c.gate.errorTTL = o.ErrorTTL
	if o.KeySecret == nil {
		c.keys.secret = nil
	}
	if o.Name == "" {
		t := reflect.TypeFor[V]()
		c.sealer.goType = t.PkgPath() + " " + t.String()
	}
	if o.Store != nil {
		c.remote = newRemote(c)
		c.queue = newWriteback(o.WriteQueue, o.MaxBytes/queueShare, c.write, c.deliver)
		c.over = newEndings(c.endingLife(), c.now, c.queue.wake)
		if store, ok := o.Store.(BulletinStore); ok {
			c.bulletin = newBulletin(c, store)
		}
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
	Value  V             // zero if Err is not nil
	Err    error         // as from Get
	Source Source        // where the value was found
	Age    time.Duration // since the load of the value began

	why error // of a value in place of the origin's answer: its error
}

// Get returns the value of key: from the local tier, the store or the
// origin, whichever has it first. A nil ctx stands for context.Background.
func (c *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	r := c.share(c.lookup(ctx, key, c.opts.Load))
	return r.Value, r.Err
}

// GetOrLoad is Get with a loader of this call's own. Callers that miss the
// same key at the same time share one load, the first one's.
func (c *Cache[V]) GetOrLoad(ctx context.Context, key string, load func(ctx context.Context, key string) (V, error)) (V, error) {
	if load == nil {
		var zero V
		return zero, errNilLoad
	}
	r := c.share(c.lookup(ctx, key, load))
	return r.Value, r.Err
}

// Lookup is Get that also tells where the value came from, and its age.
func (c *Cache[V]) Lookup(ctx context.Context, key string) Result[V] {
	return c.share(c.lookup(ctx, key, c.opts.Load))
}

// now is the cache's monotonic clock: nanoseconds since New.
func (c *Cache[V]) now() int64 { return int64(time.Since(c.epoch)) }

var background = context.Background()

// loader is Options.Load, or what GetOrLoad was given.
type loader[V any] func(ctx context.Context, key string) (V, error)

// lookup is the hot path. A hit writes nothing that another core reads, and
// allocates nothing.
func (c *Cache[V]) lookup(ctx context.Context, key string, load loader[V]) Result[V] {
	now := c.now()
	hash := maphash.String(c.local.seed, key)
	s := c.local.shard(hash)
	if e := s.find(hash, key); e != nil && now < e.fresh {
		return c.hit(ctx, s, e, load, now)
	}
	return c.miss(ctx, hash, s, key, load, now)
}

// hit makes the result of a fresh entry, which is in use.
func (c *Cache[V]) hit(ctx context.Context, s *shard[V], e *entry[V], load loader[V], now int64) Result[V] {
	s.touch(e)
	if e.early != 0 && now >= e.early {
		c.refreshEarly(ctx, s, e, load, now)
	}
	if e.stale {
		c.n.stale.Add(1)
		return Result[V]{Value: e.value, Source: SourceStale, Age: time.Duration(now - e.created), why: e.why}
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
	until, parent, seq := c.until(ctx), parentOf(ctx).of(c), c.tags.seq.Load()
	if parent.has(c, key) {
		c.n.failed.Add(1)
		return Result[V]{Err: ErrRecursiveLoad}
	}
	s.mu.Lock()
	if e := s.find(hash, key); e != nil && now < e.fresh { // came meanwhile
		s.mu.Unlock()
		return c.hit(ctx, s, e, load, now)
	}
	f, leads := c.join(s, hash, key, load, until, now)
	if f != nil && parent != nil && f.state == queued {
		c.slots.lend(f.ticket, parent)
	}
	s.mu.Unlock()
	if f == nil {
		return c.passThrough(ctx, key, load)
	}
	if leads {
		f.ctx, f.parent = ctx, parentOf(ctx)
		c.do(f.run)
	}
	return f.await(ctx, parent, seq)
}

// Set makes v the value of key, as if it had just been loaded: at once in the
// local tier, and soon in the store. A load that began before does not
// overwrite it. The error is ctx's own or nil; what becomes of the write to
// the store is in Stats.
func (c *Cache[V]) Set(ctx context.Context, key string, v V) error {
	if ctx != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	c.set(key, v, said{}, true)
	return nil
}

// set puts v into the local tier and, if queued, hands it to the write-back;
// else the caller writes what it returns.
func (c *Cache[V]) set(key string, v V, said said, queued bool) *entry[V] {
	if c.opts.Clone != nil {
		if own, err := c.clone(v); err == nil {
			v = own
		} else {
			c.emit(EventCallback, "", key, err)
		}
	}
	hash := maphash.String(c.local.seed, key)
	now := c.now()
	e := c.fresh(key, hash, v, 0, now, now, said)
	s := c.local.shard(hash)
	e.ends = true
	s.mu.Lock()
	e.version = c.later(s, hash, key)
	c.outliveTags(e)
	s.overtake(key)
	c.local.put(s, e)
	dropped := false
	if c.remote != nil {
		c.over.add(hash, key, e.version, carried, true)
		c.bulletin.postKey(key, e.version)
		if queued {
			dropped = !c.enqueue(e, now)
		} else {
			c.queue.forget(key)
		}
	}
	s.mu.Unlock()
	if dropped {
		c.emit(EventWriteDropped, "write", key, nil)
	}
	return e
}

// overtake keeps the flight of key, if there is one, from storing its result
// and from being joined. The caller holds s.mu.
func (s *shard[V]) overtake(key string) {
	if f := s.flights[key]; f != nil {
		f.detached = true
		f.leave()
	}
}

// Invalidate forgets the value of key, here and in the store. A Get that
// begins after its return is not served a value whose load began before the
// call, even if the store still holds it. What has not reached
// the store is delivered later, with the next write that succeeds.
//
// It is the one method that reports a fault of the store, since its caller
// must know that other processes may serve the old value (a session that was
// logged out) until it expires there.
func (c *Cache[V]) Invalidate(ctx context.Context, key string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	tombstone := c.end(key)
	if c.remote == nil {
		return nil
	}
	return c.through(ctx, tombstone, "invalidated")
}

// end ends the value of key in this process, and returns the tombstone that
// the store is to be told of. It is one step under the shard's lock: after it no
// lookup here finds the old value, and no load that began before keeps its result.
func (c *Cache[V]) end(key string) *entry[V] {
	hash := maphash.String(c.local.seed, key)
	s := c.local.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	version := c.later(s, hash, key)
	s.overtake(key)
	s.drop(hash, key)
	if c.remote != nil {
		c.queue.forget(key)
		c.over.addAfter(hash, key, version, carried)
		c.bulletin.postKey(key, version)
	}
	return &entry[V]{key: key, hash: hash, kind: kindTombstone, version: version, ends: true}
}

// endingLead is how far the version of an ending (Invalidate, Set, "gone") leads
// the clock, so that it is later than that of any load which began before, on a
// machine whose clock is ahead by up to that much. Of two endings the later one
// has the later version, if clocks agree or the one knows of the other; if not,
// a ConditionalStore tells.
const endingLead = MaxSkew / 2

// later returns a version for key that leads the clock, and is later than all
// that were seen or given for it, unless that would be the mark of a broken
// clock. The caller holds s.mu.
func (c *Cache[V]) later(s *shard[V], hash uint64, key string) int64 {
	now := time.Now()
	version := now.Add(endingLead).UnixMilli()
	if e := s.find(hash, key); e != nil {
		version = max(version, e.version+1)
	}
	if c.over != nil {
		version = max(version, c.over.version(hash)+1, c.over.floor.Load())
	}
	return min(version, now.Add(MaxSkew).UnixMilli())
}

// through writes e to the store and waits for the outcome, or for the caller's
// context: the write goes on without him, and what becomes of it is counted. The
// error wraps the store's, and says what is owed. Only Invalidate and its like wait
// for the store; the path of a Get does not come through here.
func (c *Cache[V]) through(ctx context.Context, e *entry[V], what string) error {
	outcomes := make(chan outcome, 1)
	entered := c.life.enter() // Close waits for it
	go c.put(ctx, e, false, func(e *entry[V], o outcome) {
		switch {
		case o.err == nil:
			c.over.written(e.hash, e.version)
		case o.has(isRejected) && e.kind == kindValue:
			c.rejected(e, o.err)
		default:
			c.over.refused(e.hash, e.version)
		}
		if entered {
			c.life.exit()
		}
		outcomes <- o
	})
	var err error
	c.pausing(ctx, func() {
		select {
		case o := <-outcomes:
			err = o.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}, func() {})
	if err == nil {
		return nil
	}
	return &owedError{what, err}
}

// InvalidateAll forgets everything that was loaded before the call, in this
// process: its local tier is emptied, and older items of the store are
// misses to it from now on. The store itself is not touched.
func (c *Cache[V]) InvalidateAll() {
	if c.over != nil {
		// Later than what was set in this very millisecond, or several
		// times in it, or came from a machine whose clock is ahead.
		lead := time.Now().Add(endingLead).UnixMilli()
		latest := max(lead, c.over.top.Load(), c.local.latest())
		c.over.distrust(latest + 1)
		raise(&c.over.all, lead)
	}
	c.dropAll()
}

// dropAll empties the local tier, and keeps loads in progress out of it.
func (c *Cache[V]) dropAll() {
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

// Close stops the cache. It waits for loads and writes in progress, and tells
// the store of the endings that it does not know of (see Invalidate), until
// ctx is done or the store has failed several times in a row. What is left
// then is dropped and counted, and Close returns an error. After Close nothing
// is written but tombstones, and a Get still works: what is not in the local
// tier comes from the origin. A second Close only waits.
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
	if c.queue == nil {
		return err
	}
	c.remote.reads.remind.set(nil)
	c.remote.writes.remind.set(nil)
	c.bulletin.close(ctx)
	c.over.hurry()
	dropped, done := c.queue.drain(ctx)
	for _, e := range dropped {
		c.n.writesDropped.Add(1)
		c.over.refused(e.hash, e.version)
	}
	if !done {
		left := "writes"
		if err != nil {
			left = "loads or writes"
		}
		err = fmt.Errorf("cache: closed with %d values unwritten, and %s in progress: %w", len(dropped), left, ctx.Err())
	}
	if lost := c.over.close(); lost > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d", ErrEndingsLost, lost))
	}
	return err
}

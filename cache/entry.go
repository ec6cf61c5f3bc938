package cache

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// kind says what an entry stands for. The zero value is a value.
type kind uint8

const (
	kindValue     kind = iota
	kindGone           // the origin said ErrNotFound
	kindTombstone      // over, and older items are too; only on the way to the store, and there
)

// entry is immutable but for its links and moved. Deadlines are on the
// cache's monotonic clock (nanoseconds since New).
type entry[V any] struct {
	// What a hit reads comes first, to lie in as few cache lines as can be.
	chain   atomic.Pointer[entry[V]]
	hash    uint64
	key     string
	fresh   int64        // served from the local tier without question before this
	moved   atomic.Int64 // shard.moves when it was put in front
	created int64        // when the load of the value began; may be negative
	kind    kind
	ends    bool // an Invalidate or a Set: what came before is over, whatever its version
	stale   bool // re-armed because the origin failed
	tag     bool // a tombstone of a tag: key is that of the store, hash the tag's id
	value   V

	shared  int64 // fresh for others before this: the end of its TTL; fresh may be earlier (LocalTTL)
	early   int64 // from here on a hit may refresh it (EarlyRefresh); 0: never
	usable  int64 // served if the origin fails before this
	took    int64 // how long the load took
	version int64 // created as Unix milliseconds: orders writers
	cost    int64

	why error // stale: what the origin said

	digest uint64 // of its key in the store, with a bulletin
	tags   *tagged[V]

	newer *entry[V] // LRU list, under shard.mu
	older *entry[V]
}

// err is what a caller gets with the entry: a remembered absence is an error
// like the origin's own.
func (e *entry[V]) err() error {
	if e.kind == kindGone {
		return ErrNotFound
	}
	return nil
}

// again is a copy of e that can be put into the local tier.
func (e *entry[V]) again() *entry[V] {
	return &entry[V]{
		key: e.key, hash: e.hash, value: e.value, kind: e.kind, cost: e.cost, stale: e.stale,
		fresh: e.fresh, shared: e.shared, early: e.early, usable: e.usable,
		created: e.created, version: e.version, took: e.took, digest: e.digest, tags: e.tags.again(),
	}
}

// servable reports whether e may be served in place of what the origin does
// not give. e may be nil.
func (c *Cache[V]) servable(e *entry[V], now int64) bool {
	return e != nil && e.kind == kindValue && now < e.usable && !c.endedByTag(e)
}

// earliest is when refreshEarly can begin to say yes: −ln(random) is above 20
// less often than once in 10⁸.
func (c *Cache[V]) earliest(e *entry[V]) int64 {
	if c.opts.EarlyRefresh == 0 || e.kind != kindValue {
		return 0
	}
	return max(e.shared-int64(20*c.opts.EarlyRefresh*float64(e.took)), 1)
}

// fresh makes the entry of a value that was loaded, or set, just now. A ttl of
// 0 stands for Options.TTL.
func (c *Cache[V]) fresh(key string, hash uint64, v V, version, created, now int64, said said) *entry[V] {
	e := &entry[V]{key: key, hash: hash, value: v, version: version, created: created, took: now - created}
	ttl := said.ttl
	if ttl == 0 {
		ttl = c.opts.TTL
	}
	e.shared = now + jitter(min(ttl, c.opts.MaxTTL))
	e.usable = e.shared + int64(c.opts.StaleIfError)
	if c.opts.Expires != nil {
		end, err := contain(c.calls, "Expires", func() (time.Time, error) { return c.opts.Expires(v), nil })
		switch {
		case err != nil: // its end is unknown: do not serve it again
			c.callbackFailed(key, err)
			e.shared, e.usable = now, now
		case !end.IsZero():
			left := int64(time.Until(end)) // centuries, if end means "never": now + left may overflow
			e.shared, e.usable = now+min(e.shared-now, left), now+min(e.usable-now, left)
		}
	}
	var err error
	if e.tags, err = c.tagsOf(key, v, said); err != nil { // nobody could end it: do not serve it again
		c.callbackFailed(key, err)
		e.shared, e.usable = now, now
	}
	if e.tags != nil {
		e.tags.since = version
	}
	c.keepLocally(e, now)
	c.mark(e)
	e.early = c.earliest(e)
	c.weigh(e)
	return e
}

// mark gives e what notes of endings are compared with.
func (c *Cache[V]) mark(e *entry[V]) {
	if c.bulletin != nil {
		e.digest = digest(c.keys.store(e.key))
	}
}

// keepLocally sets how long the local tier serves e: until the end of its TTL,
// or of LocalTTL. After that only StaleIfError allows it.
func (c *Cache[V]) keepLocally(e *entry[V], now int64) {
	e.fresh = e.shared
	if c.opts.LocalTTL == 0 {
		return
	}
	e.fresh = min(e.fresh, now+jitter(c.opts.LocalTTL))
	if c.opts.StaleIfError == 0 {
		e.usable = e.fresh
	}
}

// weigh sets the cost of e.
func (c *Cache[V]) weigh(e *entry[V]) {
	if c.opts.Cost == nil {
		return
	}
	cost, err := contain(c.calls, "Cost", func() (int, error) { return c.opts.Cost(e.value), nil })
	if err != nil { // its size is unknown: larger than any bound
		c.callbackFailed(e.key, err)
		e.cost = math.MaxInt64
		return
	}
	e.cost = min(int64(max(cost, 0)), math.MaxInt64/2) + int64(len(e.key)+entryOverhead)
	if e.tags != nil {
		e.cost += int64(len(e.tags.nodes) * tagOverhead)
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
		e.shared = now + jitter(c.opts.NegativeTTL)
		e.fresh, e.usable = e.shared, e.shared
	}
	c.mark(e)
	return e
}

// jitter draws from d ± 10%.
func jitter(d time.Duration) int64 {
	return int64(float64(d) * (0.9 + 0.2*rand.Float64()))
}

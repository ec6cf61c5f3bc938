package cache

import (
	"context"
	"fmt"
	"time"
)

// What passes between the two tiers: entries on the one side, with deadlines
// on the cache's own monotonic clock, and items on the other, with deadlines
// in Unix milliseconds that other machines can read.

// endingLife is how long after an ending a copy of what it ended can be
// somewhere and be served: a load that had begun, the longest TTL with its
// jitter, and StaleIfError, by clocks that differ. All instances are held to
// have the same options.
func (c *Cache[V]) endingLife() time.Duration {
	o := &c.opts
	return o.LoadTimeout + o.MaxTTL + o.MaxTTL/10 + o.StaleIfError + 2*MaxSkew
}

// keyedItem is an Item and the key under which it is stored.
type keyedItem struct {
	Item
	key string
}

// encode is the codec's, contained, unless it runs no code but our own.
func (c *Cache[V]) encode(v V) (b []byte, err error) {
	if c.plain {
		return c.codec.Encode(v)
	}
	return contain(c.calls, "codec", func() ([]byte, error) { return c.codec.Encode(v) })
}

// decode is the codec's, likewise.
func (c *Cache[V]) decode(b []byte) (v V, err error) {
	if c.plain {
		return c.codec.Decode(b)
	}
	return contain(c.calls, "codec", func() (V, error) { return c.codec.Decode(b) })
}

// item seals e for the store. The error is the codec's.
func (c *Cache[V]) item(e *entry[V]) (keyedItem, error) {
	env := envelope{kind: e.kind, version: e.version, took: time.Duration(e.took), tags: e.tags.ids()}
	if len(env.tags) > maxTags {
		return keyedItem{}, fmt.Errorf("cache: a value has %d tags; the store takes at most %d", len(env.tags), maxTags)
	}
	if e.kind == kindValue {
		payload, err := c.encode(e.value)
		env.payload = payload
		if err == nil && c.opts.CompressAbove > 0 && len(env.payload) >= c.opts.CompressAbove {
			if small := compress(env.payload); len(small) < len(env.payload) {
				env.payload, env.compressed = small, true
			}
		}
		if err != nil {
			return keyedItem{}, err
		}
	}
	now, wall := c.now(), time.Now()
	fresh := wall.Add(time.Duration(e.shared - now))
	usable := wall.Add(time.Duration(max(e.usable, e.shared) - now))
	expires := usable
	if e.kind != kindValue { // an ending outlives what it ends, wherever that is
		expires = wall.Add(c.endingLife())
	}
	if e.kind == kindTombstone {
		fresh, usable = expires, expires
	}
	env.fresh, env.usable = fresh.UnixMilli(), usable.UnixMilli()
	env.created = wall.Add(time.Duration(e.created - now)).UnixMilli()
	if e.tags != nil {
		env.since = e.tags.since
	}
	key := e.key
	if !e.tag {
		key = c.keys.store(key)
	}
	b, err := c.sealer.seal(key, env)
	return keyedItem{Item{Value: b, Version: e.version, Expires: expires}, key}, err
}

// open makes an entry of an item. It returns nil for an item whose writer's
// clock is ahead of ours by more than MaxSkew, and an error that wraps
// ErrPoison for one that cannot be used.
func (c *Cache[V]) open(key, storeKey string, item Item) (*entry[V], error) {
	env, err := c.sealer.open(storeKey, item.Value)
	if err != nil {
		return nil, err
	}
	now, wall := c.now(), time.Now()
	left := func(ms int64) int64 { return int64(time.UnixMilli(ms).Sub(wall)) } // Sub saturates
	if left(env.version) > int64(MaxSkew) {
		return nil, nil
	}
	e := &entry[V]{
		key: key, kind: env.kind, version: env.version,
		created: now + min(left(env.created), 0),
		cost:    int64(len(key) + entryOverhead),
	}
	if c.bulletin != nil {
		e.digest = digest(storeKey)
	}
	// A store may know the writer's clock better than the writer did, and
	// keep another version beside the item (as cache/dynamo does): an ending
	// counts with the later one.
	if e.kind != kindValue && left(item.Version) <= int64(MaxSkew) {
		e.version = max(e.version, item.Version)
	}
	if e.kind == kindTombstone {
		return e, nil // without deadlines: it is never served
	}
	// However the clocks stand, an item is not fresh for longer here than
	// if it had been loaded here.
	e.shared = now + min(left(env.fresh), int64(c.opts.MaxTTL)*11/10)
	e.usable = now + min(left(env.usable), e.shared-now+int64(c.opts.StaleIfError))
	e.fresh = e.shared
	if e.kind != kindValue {
		return e, nil
	}
	if e.tags = newTagged[V](env.tags, 0); e.tags != nil {
		e.tags.since = min(env.since, wall.Add(MaxSkew).UnixMilli())
		if item.Version > 0 { // the earlier one, since what has not ended is served
			e.tags.since += min(item.Version-env.version, 0)
		}
	}
	c.keepLocally(e, now)
	if env.compressed {
		if env.payload, err = decompress(env.payload); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPoison, err)
		}
	}
	if e.value, err = c.decode(env.payload); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPoison, err)
	}
	e.took = int64(env.took)
	e.early = c.earliest(e)
	c.weigh(e)
	return e, nil
}

// enqueue hands e to the write-back, unless it would be of no use. It returns
// false if the queue is full; the caller, once it holds no lock, tells the
// hook.
func (c *Cache[V]) enqueue(e *entry[V], now int64) (ok bool) {
	if c.queue == nil {
		return true
	}
	useless := now >= max(e.usable, e.shared) && e.kind == kindValue
	open := c.remote.writes.open(now)
	if !useless && !open && c.queue.add(e) {
		return true
	}
	c.over.refused(e.hash, e.version)
	if useless {
		return true
	}
	c.n.writesDropped.Add(1)
	if open {
		c.n.writes.skipped.Add(1)
	}
	return open
}

// write is the write-back's work: one entry, sealed and written within
// WriteTimeout.
func (c *Cache[V]) write(queued *entry[V]) (here bool) {
	force := c.life.over() && queued.kind == kindTombstone // the last chance
	return c.put(background, queued, force, func(e *entry[V], o outcome) {
		switch {
		case o.err == nil:
			c.over.written(e.hash, e.version)
		case o.has(isRejected):
			c.rejected(e, o.err)
		default:
			c.n.writesDropped.Add(1)
			c.over.refused(e.hash, e.version)
		}
		c.queue.written(queued, o.moved)
	})
}

// put seals e and writes it within WriteTimeout, and calls then with the entry
// that was written at last. It returns true if that was on this goroutine; else
// it is on another one, moved.
//
// If the store keeps an item with a later version, that may come from a machine
// whose clock is ahead; or it is indeed later, and this write was slow. Nobody
// can tell, so an ending ends it, too: with a tombstone, also for a Set, since
// its value may be the older one, and of the same version, which replaces. (One
// that is later would also be later than what others end in the meantime.) An
// item so late that it must have been written after the ending stays.
func (c *Cache[V]) put(ctx context.Context, e *entry[V], force bool, then func(*entry[V], outcome)) (here bool) {
	item, err := c.item(e)
	if err != nil { // the codec's, or there are too many tags
		then(e, outcome{err: fmt.Errorf("%w: %w", ErrRejected, err), is: isRejected})
		return true
	}
	again := true // whether what was done again was done here
	here = c.remote.set(ctx, e.key, item.key, item.Item, c.opts.WriteTimeout, force, func(stays int64, o outcome) {
		if !e.ends || stays <= e.version || stays > e.version+int64(MaxSkew-endingLead)/int64(time.Millisecond) {
			then(e, o)
			return
		}
		later := &entry[V]{key: e.key, hash: e.hash, kind: kindTombstone, version: stays, ends: true, tag: e.tag}
		if e.tag {
			later.version++ // what was set after the one that stays is over, too
			c.over.addTag(e.hash, e.key, later.version, carried)
			c.tags.add(e.hash, later.version, c.now(), c.now()+int64(c.endingLife()))
		} else {
			c.over.add(e.hash, e.key, stays, carried, false)
		}
		again = c.put(ctx, later, force, func(e *entry[V], then2 outcome) {
			then2.moved = then2.moved || o.moved
			then(e, then2)
		})
	})
	return here && again
}

// rejected takes note of an entry that cannot be stored. What it was to end is
// still there.
func (c *Cache[V]) rejected(e *entry[V], err error) {
	c.n.rejected.Add(1)
	c.over.refused(e.hash, e.version)
	c.emit(EventRejected, "write", e.key, err)
}

// deliver returns the tombstone of an ending that the store is to be told of.
func (c *Cache[V]) deliver() *entry[V] {
	owes, ok := c.over.next()
	if !ok {
		return nil
	}
	return &entry[V]{key: owes.key, hash: owes.hash, kind: kindTombstone, version: owes.version, ends: true, tag: owes.tag}
}

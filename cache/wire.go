package cache

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// What passes between the two tiers: entries on the one side, with deadlines
// on the cache's own monotonic clock, and items on the other, with deadlines
// in Unix milliseconds that other machines can read.

// keyedItem is an Item and the key under which it is stored.
type keyedItem struct {
	Item
	key string
}

// item seals e for the store. The error is the codec's.
func (c *Cache[V]) item(e *entry[V]) (keyedItem, error) {
	env := envelope{kind: e.kind, version: e.version, took: time.Duration(e.took)}
	if e.kind == kindValue {
		err := contain("codec", func() (err error) {
			env.payload, err = c.codec.Encode(e.value)
			return err
		})
		if err != nil {
			return keyedItem{}, err
		}
	}
	now, wall := c.now(), time.Now()
	fresh := wall.Add(time.Duration(e.fresh - now))
	usable := wall.Add(time.Duration(e.usable - now))
	if e.kind == kindTombstone {
		// It has to outlive every load that began before it, and the
		// write that may follow, on a machine whose clock is behind.
		fresh = wall.Add(c.opts.LoadTimeout + c.opts.WriteTimeout + 2*MaxSkew)
		usable = fresh
	}
	env.fresh, env.usable = fresh.UnixMilli(), usable.UnixMilli()
	key := c.keys.store(e.key)
	b, err := c.sealer.seal(key, env)
	return keyedItem{Item{Value: b, Version: e.version, Expires: usable}, key}, err
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
		created: now + min(left(env.version), 0),
		cost:    int64(len(key) + entryOverhead),
	}
	if e.kind == kindTombstone {
		return e, nil // without deadlines: it is never served
	}
	// However the clocks stand, an item is not fresh for longer here than
	// if it had been loaded here.
	e.fresh = now + min(left(env.fresh), int64(c.opts.TTL)*11/10)
	e.usable = now + min(left(env.usable), e.fresh-now+int64(c.opts.StaleIfError))
	if e.kind != kindValue {
		return e, nil
	}
	err = contain("codec", func() (err error) {
		e.value, err = c.codec.Decode(env.payload)
		return err
	})
	if err != nil {
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
func (c *Cache[V]) enqueue(e *entry[V], now int64) bool {
	switch {
	case c.queue == nil || (now >= e.usable && e.kind != kindTombstone):
	case c.remote.writes.open(now):
		c.n.writes.skipped.Add(1)
		c.n.writesDropped.Add(1)
	case !c.queue.add(e):
		c.n.writesDropped.Add(1)
		return false
	}
	return true
}

// write is the write-back's work: one entry, sealed and written within
// WriteTimeout. It sets replaced if the store is stuck and the watchdog's
// goroutine has become the worker.
func (c *Cache[V]) write(e *entry[V], replaced *atomic.Bool) {
	item, err := c.item(e)
	if err != nil {
		c.n.rejected.Add(1)
		c.emit(EventRejected, "write", e.key, err)
		return
	}
	c.remote.set(background, e.key, item.key, item.Item, c.opts.WriteTimeout, func(err error) {
		switch {
		case err == nil:
			c.owed.paid(e)
			if e.kind != kindTombstone { // else one of a row: the others are queued, or will be
				c.payOwed()
			}
			return
		case errors.Is(err, ErrRejected):
			c.n.rejected.Add(1)
			c.emit(EventRejected, "write", e.key, err)
		default:
			c.n.writesDropped.Add(1)
		}
		if err == ErrStoreTimeout { // only the watchdog says so, on its own goroutine
			replaced.Store(true)
			c.queue.work()
		}
	})
}

// payOwed queues what the store has not been told, now that a write of
// something else has succeeded.
func (c *Cache[V]) payOwed() {
	for _, t := range c.owed.due(c.now()) {
		if !c.queue.add(t) {
			return
		}
	}
}

package cache

import (
	"context"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"
)

// maxBatch is how many keys GetMany asks for in one call: as many as DynamoDB
// takes. More would be calls one after the other, within one budget.
const maxBatch = 100

// board looks for key in the local tier, or finds the flight that searches
// for it. leads says that the flight is new, and that the caller has to run
// it. After Close there are no flights, only results.
func (c *Cache[V]) board(ctx context.Context, key string, until int64, parent *loading) (r Result[V], f *flight[V], leads bool) {
	hash := maphash.String(c.local.seed, key)
	s := c.local.shard(hash)
	s.mu.Lock()
	now := c.now()
	if e := s.find(hash, key); e != nil && now < e.fresh {
		s.mu.Unlock()
		return c.hit(ctx, s, e, c.opts.Load, now), nil, false
	}
	// a loader that asks for what it is loading would wait for itself
	if parent.has(c, key) {
		s.mu.Unlock()
		c.n.failed.Add(1)
		return Result[V]{Err: ErrRecursiveLoad}, nil, false
	}
	f, leads = c.join(s, hash, key, c.opts.Load, until, now)
	if f != nil && parent != nil && f.state == queued {
		c.slots.lend(f.ticket, parent)
	}
	s.mu.Unlock()
	if leads {
		f.ctx, f.parent = ctx, parentOf(ctx)
	}
	if f == nil {
		return c.passThrough(ctx, key, c.opts.Load), nil, false
	}
	return r, f, leads
}

// searchMany runs new flights: as many together as the store takes in a call.
func (c *Cache[V]) searchMany(flights []*flight[V]) {
	if _, ok := c.opts.Store.(BatchStore); !ok && c.remote != nil && len(flights) > 0 {
		c.runMany(flights)
		return
	}
	for part := range slices.Chunk(flights, maxBatch) {
		c.do(func() { c.runMany(part) })
	}
}

// runMany is flight.run for many flights at once.
func (c *Cache[V]) runMany(flights []*flight[V]) {
	batch, ok := c.opts.Store.(BatchStore)
	// the most patient caller of any flight decides how long the store may take
	until := int64(0)
	for _, f := range flights {
		f.s.mu.Lock()
		until = max(until, f.until)
		f.s.mu.Unlock()
	}
	budget := c.budget(until)
	switch {
	case c.remote == nil:
		c.fromOriginMany(flights)
	case budget == 0:
		c.n.reads.skipped.Add(1)
		c.fromOriginMany(flights)
	case ok && len(flights) > 1:
		c.searchBatch(batch, flights, budget)
	default:
		c.searchEach(flights)
	}
}

// searchBatch asks the store once.
// What came in spite of an error is used; for what did not come, it is not known whether
// the store has it, so only a call without an error makes a key absent.
func (c *Cache[V]) searchBatch(batch BatchStore, flights []*flight[V], budget time.Duration) {
	storeKeys := make([]string, len(flights))
	for i, f := range flights {
		storeKeys[i] = c.keys.store(f.key)
	}
	c.remote.getMany(flights[0].ctx, batch, flights[0].key, storeKeys, budget, func(items map[string]Item, o outcome) {
		var rest []*flight[V]
		for i, f := range flights {
			item, found := items[storeKeys[i]]
			switch {
			// the fresh ones are done; the others ask the origin, those with a fallback, too
			case found && f.landFrom(storeKeys[i], item):
				continue
			case !found && o.err == nil:
				f.absent = true
				c.n.reads.misses.Add(1)
			}
			rest = append(rest, f)
		}
		c.fromOriginMany(rest)
	})
}

// maxReads is how many reads of a plain Store one GetMany makes at once: as
// many as a client has connections, or else they would wait for each other and
// time out together.
const maxReads = 64

// searchEach asks the store for each flight apart, and the origin for what is
// missing: at once, or, with LoadMany, when all answers are here.
func (c *Cache[V]) searchEach(flights []*flight[V]) {
	var next, done atomic.Int64
	rest := make([]*flight[V], len(flights)) // each with a place of its own
	searched := func(i int, landed bool) {
		switch {
		case landed:
		case c.opts.LoadMany == nil:
			c.do(flights[i].fromOrigin)
		default:
			rest[i] = flights[i]
		}
		if done.Add(1) == int64(len(flights)) {
			c.fromOriginMany(slices.DeleteFunc(rest, func(f *flight[V]) bool { return f == nil }))
		}
	}
	var work func()
	work = func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(flights) {
				return
			}
			here := flights[i].search(func(landed, moved bool) {
				searched(i, landed)
				if moved { // the goroutine that asked is stuck: go on in its place
					work()
				}
			})
			if !here {
				return
			}
		}
	}
	for range min(maxReads, len(flights)) {
		c.do(work)
	}
}

// fromOriginMany loads, with LoadMany if there is one.
func (c *Cache[V]) fromOriginMany(flights []*flight[V]) {
	if len(flights) > 1 && c.opts.LoadMany != nil {
		for part := range slices.Chunk(flights, maxBatch) {
			q := &question[V]{c: c, flights: part, many: true}
			c.do(q.put)
		}
		return
	}
	for _, f := range flights {
		c.do(f.fromOrigin)
	}
}

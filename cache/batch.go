package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"
)

// maxBatch is how many keys GetMany asks for in one call: as many as DynamoDB
// takes. More would be calls one after the other, within one budget.
const maxBatch = 100

// GetMany is Get for many keys: one read of the store, if it is a
// [BatchStore], and one load of what is missing, if Options.LoadMany is set,
// for every 100 keys that are not in the local tier.
//
// The map holds what was found; keys that do not exist are absent from it. If
// some keys failed, the error wraps the first failure, and the map still holds
// the others. Keys may repeat.
func (c *Cache[V]) GetMany(ctx context.Context, keys []string) (map[string]V, error) {
	if ctx == nil {
		ctx = background
	}
	if err := ctx.Err(); err != nil {
		c.n.canceled.Add(1)
		return nil, err
	}
	found := make(map[string]V, len(keys))
	waiting := make(map[string]*flight[V])
	var mine []*flight[V]
	var failures failures
	for _, key := range keys {
		if _, again := waiting[key]; again {
			continue
		}
		r, f, leads := c.board(ctx, key)
		switch {
		case f == nil && r.Err == nil:
			found[key] = r.Value
		case f != nil:
			waiting[key] = f
			if leads {
				mine = append(mine, f)
			}
		default:
			failures.add(r.Err)
		}
	}
	for part := range slices.Chunk(mine, maxBatch) {
		go c.runMany(ctx, part)
	}
	for key, f := range waiting {
		r := f.wait(ctx)
		if r.Err == nil {
			found[key] = r.Value
		}
		failures.add(r.Err)
	}
	return found, failures.err()
}

// board looks for key in the local tier, or finds the flight that searches
// for it. leads says that the flight is new, and that the caller has to run
// it. After Close there are no flights, only results.
func (c *Cache[V]) board(ctx context.Context, key string) (r Result[V], f *flight[V], leads bool) {
	hash := maphash.String(c.local.seed, key)
	s := c.local.shard(hash)
	s.mu.Lock()
	now := c.now()
	if e := s.find(hash, key); e != nil && now < e.fresh {
		s.mu.Unlock()
		return c.hit(ctx, s, e, c.opts.Load, now), nil, false
	}
	f, leads = c.join(s, hash, key, c.opts.Load, now)
	s.mu.Unlock()
	if f == nil {
		return c.passThrough(ctx, key, c.opts.Load), nil, false
	}
	return r, f, leads
}

// failures are the keys of a GetMany that could not be answered.
type failures struct {
	n     int
	first error
}

// add counts err, unless it is nil or an answer.
func (f *failures) add(err error) {
	if err == nil || errors.Is(err, ErrNotFound) {
		return
	}
	f.n++
	if f.first == nil {
		f.first = err
	}
}

func (f *failures) err() error {
	if f.n == 0 {
		return nil
	}
	return fmt.Errorf("cache: %d keys failed, the first with: %w", f.n, f.first)
}

// runMany is flight.run for many flights at once.
func (c *Cache[V]) runMany(ctx context.Context, flights []*flight[V]) {
	batch, ok := c.opts.Store.(BatchStore)
	budget := c.budget(ctx)
	if len(flights) > 1 && c.opts.LoadMany != nil && (c.remote == nil || budget == 0) {
		if c.remote != nil {
			c.n.reads.skipped.Add(1)
		}
		c.loadMany(ctx, flights)
		return
	}
	if len(flights) == 1 || !ok || budget == 0 {
		for _, f := range flights {
			go f.run(ctx)
		}
		return
	}
	storeKeys := make([]string, len(flights))
	for i, f := range flights {
		storeKeys[i] = c.keys.store(f.key)
	}
	c.remote.getMany(ctx, batch, flights[0].key, storeKeys, budget, func(items map[string]Item, o outcome) {
		c.fromStoreMany(ctx, flights, storeKeys, items, o.err)
	})
}

// fromStoreMany lands what the store had and goes on to the origin with the
// rest.
func (c *Cache[V]) fromStoreMany(ctx context.Context, flights []*flight[V], storeKeys []string, items map[string]Item, err error) {
	var rest []*flight[V]
	for i, f := range flights {
		item, ok := items[storeKeys[i]]
		switch {
		case ok && f.landFrom(storeKeys[i], item):
			continue
		case !ok && err == nil:
			f.absent = true
			c.n.reads.misses.Add(1)
		}
		rest = append(rest, f)
	}
	switch {
	case len(rest) == 0:
	case len(rest) == 1 || c.opts.LoadMany == nil:
		for _, f := range rest {
			go f.fromOrigin(ctx)
		}
	default:
		c.loadMany(ctx, rest)
	}
}

// loadMany asks the origin once, in one slot, for all flights.
func (c *Cache[V]) loadMany(ctx context.Context, flights []*flight[V]) {
	asked, patience := time.Now(), c.opts.LoadTimeout
	for _, f := range flights {
		f.serveStaleAfterSoftTimeout(asked)
	}
	if queued, err := flights[0].takeSlot(patience); err != nil {
		for _, f := range flights {
			if err == errAbandoned && f != flights[0] {
				go f.fromOrigin(ctx) // only the first one's callers have left
				continue
			}
			f.fail(err)
		}
		return
	} else if queued {
		patience -= time.Since(asked)
		asked = time.Now()
	}
	keys := make([]string, len(flights))
	for i, f := range flights {
		keys[i] = f.key
		f.s.mu.Lock()
		f.loading = true
		f.s.mu.Unlock()
	}
	c.n.loads.Add(1)
	version, created := asked.UnixMilli(), int64(asked.Sub(c.epoch))
	b := bounded[map[string]V]{
		began: asked, timeout: patience, where: "loader", late: ErrLoadTimeout, zombies: &c.n.zombies,
		call: func(ctx context.Context) (map[string]V, error) {
			defer func() { <-c.slots }()
			values, err := c.opts.LoadMany(ctx, keys)
			return values, inTime(ctx, err)
		},
		then: func(values map[string]V, o outcome) {
			absent := o
			if o.err == nil {
				absent = outcome{err: ErrNotFound, is: isNotFound}
			}
			for _, f := range flights {
				if v, ok := values[f.key]; ok {
					f.loaded(v, outcome{}, version, created)
				} else {
					f.loaded(v, absent, version, created)
				}
			}
		},
	}
	b.run(ctx)
}

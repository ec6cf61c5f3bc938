package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// readTags makes sure that it is known what has become of the tags of items,
// and returns an error if the store does not say. It runs where calls of the
// store are contained, within the time of the read that found the items.
func (c *Cache[V]) readTags(ctx context.Context, items ...Item) error {
	var ids []uint64
	for _, item := range items {
		ids = append(ids, c.sealer.tags(item.Value)...)
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	ids = c.tags.unknown(slices.Compact(ids), c.now(), tagTrust)
	if len(ids) == 0 {
		return nil
	}
	c.tags.used.Store(true)
	var (
		next   atomic.Int64
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	read := func() (struct{}, error) {
		for i := next.Add(1) - 1; int(i) < len(ids) && failed.Load() == nil && ctx.Err() == nil; i = next.Add(1) - 1 {
			if err := c.readTag(ctx, ids[i]); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, ctx.Err()
	}
	for range min(tagReaders, len(ids)) {
		wg.Go(func() {
			if _, err := contain(c.calls, "store", read); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return fmt.Errorf("cache: reading what became of a tag: %w", *err)
	}
	return nil
}

// readTag asks the store for one tag, or waits for someone who does.
func (c *Cache[V]) readTag(ctx context.Context, id uint64) error {
	for {
		turn := c.tags.turn(id)
		if turn == nil {
			defer c.tags.turnEnds(id)
			if len(c.tags.unknown([]uint64{id}, c.now(), tagTrust)) == 0 {
				return nil
			}
			return c.askTag(ctx, id)
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// turn returns nil if it is the caller's turn to read a tag; turnEnds ends it.
func (t *tags) turn(id uint64) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.reading[id]; before != nil {
		return before
	}
	if t.reading == nil {
		t.reading = make(map[uint64]chan struct{})
	}
	t.reading[id] = make(chan struct{})
	return nil
}

// turnEnds lets those go on who wait for somebody else's question about id.
func (t *tags) turnEnds(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.reading[id])
	delete(t.reading, id)
}

// askTag asks the store when the tag last ended, and learns it. The error is
// the store's. An answer that makes no sense counts as "just now", and is
// repaired: too many misses, and nothing served that is over.
func (c *Cache[V]) askTag(ctx context.Context, id uint64) error {
	c.tags.reads.Add(1)
	key, now := c.keys.tag(id), c.now()
	item, err := c.opts.Store.Get(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		c.tags.learn(id, 0, now, 0)
		return nil
	case err != nil:
		return err
	}
	env, err := c.sealer.header(key, item.Value)
	if err == nil && env.kind != kindTombstone {
		err = fmt.Errorf("%w: it should say when a tag ended", ErrPoison)
	}
	if err == nil && env.version > time.Now().Add(MaxSkew).UnixMilli() {
		err = fmt.Errorf("%w: it is from a machine whose clock is wrong", ErrPoison)
	}
	if err != nil { // it may have ended: end it, which also mends the item
		c.n.poison.Add(1)
		c.emit(EventPoison, "read", key, err)
		c.endTag(id, owed)
		c.tags.learn(id, 0, now, 0)
		return nil
	}
	version := env.version // see open
	if item.Version <= time.Now().Add(MaxSkew).UnixMilli() {
		version = max(version, item.Version)
	}
	c.tags.learn(id, version, now, c.now()+int64(c.endingLife()))
	return nil
}

// tagsKnown reports whether it is known what became of the tags of an item, as
// of a moment ago.
func (c *Cache[V]) tagsKnown(e *entry[V]) bool {
	return e.tags == nil || len(c.tags.unknown(e.tags.ids(), c.now(), 2*tagTrust)) == 0
}

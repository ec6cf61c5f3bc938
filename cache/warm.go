package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Warmed counts the keys that Warm has looked up.
type Warmed struct {
	Keys    int // in all; the sum of the others
	Found   int // a value is in the local tier now
	Missing int // the origin says that there is no such thing
	Failed  int // neither
}

func (w Warmed) String() string {
	return fmt.Sprintf("%d keys: %d found, %d missing, %d failed", w.Keys, w.Found, w.Missing, w.Failed)
}

// errWarmClosed is what Warm says after Close.
var errWarmClosed = errors.New("cache: Warm: the cache is closed")

// Warm looks keys up before anybody asks for them, so that they are in the local
// tier: at a start, with the keys that the process before had (see All), the most
// important ones first. It goes in steps of up to 100 keys (without LoadMany at most
// a quarter of Concurrency, so that requests come through): what is in the Store is
// read there, in one call if it is a BatchStore, and the rest is loaded. It calls
// progress, if that is not nil, after each step, on the caller's goroutine.
//
// Warm stops when keys ends, after MaxEntries keys (more would only push out the
// first ones), when ctx ends, with its error, after Close, or when all keys of a
// step have failed: then the error is their *KeysError, and the origin is best
// left alone. A key that fails among others is only counted. Keys that are in the
// local tier cost nothing; keys may repeat, and are then counted again unless it
// was in the same step. Its lookups count in Stats as all others do. A service
// should not wait for it before it takes requests.
func (c *Cache[V]) Warm(ctx context.Context, keys iter.Seq[string], progress func(Warmed)) (Warmed, error) {
	if ctx == nil {
		ctx = background
	}
	var all Warmed
	if keys == nil {
		return all, nil
	}
	step := c.warmStep()
	var batch []string
	var err error
	taken := 0
	for key := range keys {
		batch = append(batch, key)
		taken++
		if full := taken >= c.opts.MaxEntries; full || len(batch) == step {
			if err = c.warm(ctx, batch, &all, progress); err != nil || full {
				return all, err
			}
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		err = c.warm(ctx, batch, &all, progress)
	}
	return all, err
}

// warmStep is how many keys are looked up at once.
func (c *Cache[V]) warmStep() int {
	if c.opts.LoadMany != nil {
		return maxBatch
	}
	return min(maxBatch, max(1, c.opts.Concurrency/4))
}

// warm looks one batch up, and adds what came of it to all. The error says that
// going on makes no sense: the context is done, the cache closed, or not one
// key of the batch could be had.
func (c *Cache[V]) warm(ctx context.Context, keys []string, all *Warmed, progress func(Warmed)) error {
	if c.life.over() {
		return errWarmClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	failed := make(map[string]error)
	results := c.LookupMany(ctx, keys)
	for key, r := range results {
		switch {
		case r.Err == nil:
			all.Found++
		case r.Source == SourceUnknown:
			all.Failed++
			failed[key] = r.Err
		default:
			all.Missing++
		}
	}
	all.Keys += len(results)
	if progress != nil {
		progress(*all)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(failed) == len(results):
		return keysError(failed)
	}
	return nil
}

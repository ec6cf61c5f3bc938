package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"time"
)

// LookupOptions restrict which answers one lookup accepts.
type LookupOptions struct {
	// MaxAge, if set, is how old the answer may be, counted from when its
	// load began; what is older is loaded anew.
	MaxAge time.Duration

	// NoStale takes nothing that is past its TTL: if the origin fails, the
	// answer is its error, whatever StaleIfError says. For decisions that
	// must not be made on old news, such as permissions.
	NoStale bool
}

func (o LookupOptions) takes(age time.Duration, stale bool) bool {
	return (o.MaxAge == 0 || age <= o.MaxAge) && !(o.NoStale && stale)
}

// LookupWith is Lookup for a caller who does not accept every answer. A negative
// MaxAge takes only that of a load which begins after the call.
func (c *Cache[V]) LookupWith(ctx context.Context, key string, o LookupOptions) Result[V] {
	if ctx == nil {
		ctx = context.Background()
	}
	now := c.now()
	hash := maphash.String(c.local.seed, key)
	s := c.local.shard(hash)
	e := s.find(hash, key)
	if e != nil && now < e.fresh {
		if o.takes(time.Duration(now-e.created), e.stale) {
			return c.share(c.hit(ctx, s, e, c.opts.Load, now))
		}
		return c.share(c.refresh(ctx, hash, s, key, o))
	}
	if o.MaxAge < 0 {
		return c.share(c.refresh(ctx, hash, s, key, o))
	}
	r := c.miss(ctx, hash, s, key, c.opts.Load, now)
	switch {
	case r.Err != nil && r.Source == SourceUnknown:
		return r
	case o.takes(r.Age, r.Source == SourceStale):
		return c.share(r)
	}
	c.refused(r)
	if r.Source == SourceStale { // the origin has just been asked
		c.n.failed.Add(1)
		return Result[V]{Err: r.why}
	}
	return c.share(c.refresh(ctx, hash, s, key, o))
}

// Refresh asks the origin now, whatever the cache has, and keeps the answer in
// both tiers. It returns no value whose load began before the call: if the
// origin fails, its error. Callers who refresh one key at the same time share
// a load.
func (c *Cache[V]) Refresh(ctx context.Context, key string) (V, error) {
	r := c.LookupWith(ctx, key, LookupOptions{MaxAge: -1, NoStale: true})
	return r.Value, r.Err
}

// refresh joins or starts a flight to the origin that has not asked it yet.
func (c *Cache[V]) refresh(ctx context.Context, hash uint64, s *shard[V], key string, o LookupOptions) Result[V] {
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
	before := s.flights[key]
	if before != nil && !(before.direct && before.state <= queued) {
		s.overtake(key)
	}
	f, leads := c.join(s, hash, key, c.opts.Load, until, c.now())
	waits := false
	if leads {
		f.direct, f.ctx, f.parent = true, ctx, parentOf(ctx)
		if before != nil && before.direct && before.state == asking && before.next == nil {
			before.next, waits = f, true // one load after the other
		}
	}
	s.mu.Unlock()
	if f == nil {
		return c.passThrough(ctx, key, c.opts.Load)
	}
	if leads && !waits {
		c.do(f.run)
	}
	r := f.await(ctx, parent, seq)
	if r.why != nil && !o.takes(r.Age, r.Source == SourceStale) {
		c.refused(r) // it is what there was; the origin failed
		c.n.failed.Add(1)
		return Result[V]{Err: r.why}
	}
	return r
}

// LookupMany is GetMany with a result for each key: for callers who must tell
// "does not exist" from "could not be read", or want to know the sources.
func (c *Cache[V]) LookupMany(ctx context.Context, keys []string) map[string]Result[V] {
	if ctx == nil {
		ctx = background
	}
	results := make(map[string]Result[V], len(keys))
	if err := ctx.Err(); err != nil {
		for _, key := range keys {
			results[key] = Result[V]{Err: err}
		}
		c.n.canceled.Add(int64(len(results)))
		return results
	}
	waiting := make(map[string]*flight[V])
	var mine []*flight[V]
	until, parent, seq := c.until(ctx), parentOf(ctx).of(c), c.tags.seq.Load()
	for _, key := range keys {
		if _, again := waiting[key]; again {
			continue
		}
		if _, again := results[key]; again {
			continue
		}
		r, f, leads := c.board(ctx, key, until, parent)
		if f == nil {
			results[key] = c.share(r)
			continue
		}
		waiting[key] = f
		if leads {
			mine = append(mine, f)
		}
	}
	c.searchMany(mine)
	for key, f := range waiting {
		results[key] = c.share(f.await(ctx, parent, seq))
	}
	return results
}

// GetMany is Get for many keys: one read of the store for every 100 keys that
// are not in the local tier, if it is a [BatchStore] (else at most 64 reads at
// once), and one load of what is missing, if Options.LoadMany is set.
//
// The map holds what was found; keys that do not exist are absent from it. If
// some keys failed, the error is a *KeysError that tells which, and the map
// still holds the others. Keys may repeat.
func (c *Cache[V]) GetMany(ctx context.Context, keys []string) (map[string]V, error) {
	over := ctx != nil && ctx.Err() != nil
	results := c.LookupMany(ctx, keys)
	if over {
		return nil, ctx.Err()
	}
	found := make(map[string]V, len(keys))
	failed := make(map[string]error)
	for key, r := range results {
		switch {
		case r.Err == nil:
			found[key] = r.Value
		case r.Source == SourceUnknown: // else an answer: it does not exist
			failed[key] = r.Err
		}
	}
	return found, keysError(failed)
}

// KeysError is the error of a call for many keys of which some failed. A
// LoadMany may return one, too, to say which of the absent keys failed: the
// other ones do not exist.
type KeysError struct {
	Errs map[string]error // by key; what is not in here was done
}

// Error names no key, since keys may be secret.
func (e *KeysError) Error() string {
	if err := e.first(); err != nil {
		return fmt.Sprintf("cache: %d keys failed, the first with: %v", len(e.Errs), err)
	}
	return "cache: no key failed"
}

// Unwrap returns the errors, in the order of their keys.
func (e *KeysError) Unwrap() []error {
	errs := make([]error, 0, len(e.Errs))
	for _, key := range e.keys() {
		errs = append(errs, e.Errs[key])
	}
	return errs
}

// keys are sorted, so that the text of the error and what it unwraps to do not
// depend on the order of a map.
func (e *KeysError) keys() []string {
	keys := make([]string, 0, len(e.Errs))
	for key := range e.Errs {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// first stands for all in the text of the error: the error of the first key in
// order. Nil if there are none.
func (e *KeysError) first() error {
	for _, key := range e.keys() {
		return e.Errs[key]
	}
	return nil
}

// keysError returns nil if there are no errors.
func keysError(errs map[string]error) error {
	if len(errs) == 0 {
		return nil
	}
	return &KeysError{Errs: errs}
}

// ErrOwed is in the chain of an error of Invalidate and SetThrough that says:
// it is done in this process; the store does not know yet, and will be told.
var ErrOwed = errors.New("cache: the store does not know yet")

// owedError is what is owed, and why.
type owedError struct {
	what string
	err  error
}

func (e *owedError) Error() string {
	return "cache: " + e.what + " in this process; the store does not know yet: " + e.err.Error()
}

func (e *owedError) Unwrap() []error { return []error{ErrOwed, e.err} }

// SetThrough is Set that waits for the store (write-through). The error tells
// what became of it there: nil, the store has it, or the news of a later change
// elsewhere; one that wraps ErrRejected,
// it cannot take the value; one that wraps ErrOwed, it has not been told yet, or
// not in time. In every case v is the value in this process, and what it
// replaced does not come back; other instances get v, or, later, the news that
// the old value is over.
func (c *Cache[V]) SetThrough(ctx context.Context, key string, v V) error {
	return c.SetWith(ctx, key, v, SetOptions{Through: true})
}

// SetOptions are what SetWith is told beside a value.
type SetOptions struct {
	// TTL is how long the value is fresh, in place of Options.TTL, up to
	// Options.MaxTTL. Default 0: Options.TTL.
	TTL time.Duration

	// Tags are tags of the value beside those of Options.Tags.
	Tags []string

	// Through waits for the store, as SetThrough does.
	Through bool
}

// SetWith is Set, or with Through SetThrough, of a value with a TTL and tags of
// its own. A negative TTL is an error, and sets nothing.
func (c *Cache[V]) SetWith(ctx context.Context, key string, v V, o SetOptions) error {
	if ctx == nil {
		ctx = background
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.TTL < 0 {
		return fmt.Errorf("cache: SetOptions.TTL is %v: it must not be negative", o.TTL)
	}
	e := c.set(key, v, said{ttl: o.TTL, tags: c.tagIDs(o.Tags)}, !o.Through)
	if !o.Through || c.remote == nil {
		return nil
	}
	return c.through(ctx, e, "set")
}

// manyWrites is how many writes SetMany and InvalidateMany make at once.
const manyWrites = 32

// SetMany is SetThrough for many keys. The error is a *KeysError.
func (c *Cache[V]) SetMany(ctx context.Context, values map[string]V) error {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	return each(keys, func(key string) error { return c.SetThrough(ctx, key, values[key]) })
}

// InvalidateMany is Invalidate for many keys: at once in this process, and in
// the store with up to 32 writes at a time. The error is a *KeysError.
func (c *Cache[V]) InvalidateMany(ctx context.Context, keys []string) error {
	if ctx == nil {
		ctx = context.Background()
	}
	tombstones := make(map[string]*entry[V], len(keys))
	for _, key := range keys {
		if tombstones[key] == nil {
			tombstones[key] = c.end(key)
		}
	}
	if c.remote == nil {
		return nil
	}
	distinct := make([]string, 0, len(tombstones))
	for key := range tombstones {
		distinct = append(distinct, key)
	}
	return each(distinct, func(key string) error { return c.through(ctx, tombstones[key], "invalidated") })
}

// each calls f for all keys, some at once.
func each(keys []string, f func(key string) error) error {
	var mu sync.Mutex
	failed := make(map[string]error)
	var wg sync.WaitGroup
	next := make(chan string)
	for range min(manyWrites, len(keys)) {
		wg.Go(func() {
			for key := range next {
				if err := f(key); err != nil {
					mu.Lock()
					failed[key] = err
					mu.Unlock()
				}
			}
		})
	}
	for _, key := range keys {
		next <- key
	}
	close(next)
	wg.Wait()
	return keysError(failed)
}

// All iterates over the values that are fresh in the local tier, in no order,
// without counting as use: to save them at the end of a process, or to look at
// them. Values that come or go meanwhile may be seen or not.
func (c *Cache[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for i := range c.local.shards {
			s := &c.local.shards[i]
			var entries []*entry[V]
			s.mu.Lock()
			for e := s.lru.older; e != &s.lru; e = e.older {
				entries = append(entries, e)
			}
			s.mu.Unlock()
			now := c.now()
			for _, e := range entries {
				if e.kind != kindValue || e.stale || now >= e.fresh {
					continue
				}
				if r := c.share(Result[V]{Value: e.value}); r.Err == nil && !yield(e.key, r.Value) {
					return
				}
			}
		}
	}
}

// share makes the value of a result the caller's own, with Options.Clone.
func (c *Cache[V]) share(r Result[V]) Result[V] {
	if c.opts.Clone == nil || r.Err != nil {
		return r
	}
	v, err := c.clone(r.Value)
	if err != nil {
		return Result[V]{Err: err}
	}
	r.Value = v
	return r
}

// clone copies v with Options.Clone, which is the program's own code: a panic
// in it is the error, and v is not handed out instead, since somebody else may
// have it already.
func (c *Cache[V]) clone(v V) (copied V, err error) {
	copied, err = contain(c.calls, "Clone", func() (V, error) { return c.opts.Clone(v), nil })
	if err != nil {
		c.n.callbackPanics.Add(1)
	}
	return copied, err
}

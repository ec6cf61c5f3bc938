package cache

import (
	"context"
	"sync"
)

// await is wait for a caller that may be a load of the same cache, and who came
// when c.tags stood at seq.
func (f *flight[V]) await(ctx context.Context, parent *loading, seq int64) Result[V] {
	if c := f.c; c.opts.Wait != nil {
		var r Result[V]
		c.pausing(ctx, func() { r = f.awaited(ctx, parent, seq) }, func() { f.cancel() })
		return r
	}
	return f.awaited(ctx, parent, seq)
}

// awaited waits for f on behalf of a load of this cache, if parent is one,
// unless f waits for that load itself: then nobody would ever wake, and the
// answer is ErrRecursiveLoad at once.
func (f *flight[V]) awaited(ctx context.Context, parent *loading, seq int64) Result[V] {
	c := f.c
	if parent == nil {
		return f.wait(ctx, seq)
	}
	if !c.circles.wait(parent, f) {
		f.cancel()
		c.n.failed.Add(1)
		return Result[V]{Err: ErrRecursiveLoad}
	}
	defer c.circles.waited(parent, f)
	return f.wait(ctx, seq)
}

// pausing calls wait inside of Options.Wait, if there is one; once, whatever
// that does. If it ends this goroutine before that, leave is called instead.
func (c *Cache[V]) pausing(ctx context.Context, wait, leave func()) {
	if c.opts.Wait == nil {
		wait()
		return
	}
	var once sync.Once
	if !c.paused(func() { c.opts.Wait(ctx, func() { once.Do(wait) }) }, func() { once.Do(leave) }) {
		c.n.callbackPanics.Add(1)
	}
	once.Do(func() { // it did not call f
		c.n.callbackPanics.Add(1)
		wait()
	})
}

// paused reports whether f returned. It contains a panic of f; a Goexit goes on
// after left.
func (c *Cache[V]) paused(f, left func()) (returned bool) {
	defer func() {
		if !returned && recover() == nil {
			c.n.callbackPanics.Add(1)
			left()
		}
	}()
	f()
	return true
}

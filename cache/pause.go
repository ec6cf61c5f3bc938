package cache

import (
	"context"
	"sync"
)

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

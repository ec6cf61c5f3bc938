package cache

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// The two ways not to wait for the origin: to answer with what is past its
// TTL while a slow load goes on (SoftTimeout), and to renew a value before its
// TTL has ended (EarlyRefresh).

// serveStaleAfterSoftTimeout starts the timer of SoftTimeout, if there will be
// something to serve.
func (f *flight[V]) serveStaleAfterSoftTimeout(asked time.Time) {
	soft := f.c.opts.SoftTimeout
	if soft > 0 && f.soft == nil && f.c.servable(f.fallback, int64(asked.Sub(f.c.epoch)+soft)) {
		f.soft = time.AfterFunc(soft, f.serveStale)
	}
}

// errSlow is the cause of a stale answer for want of a quicker one.
var errSlow = errors.New("cache: the origin did not answer within SoftTimeout")

// serveStale gives the fallback to everybody who waits, and to those who come
// until the load, which goes on, is done.
func (f *flight[V]) serveStale() {
	old := f.fallback
	f.s.mu.Lock()
	serves := !f.answered && !f.c.endedByTag(old) && old.version >= f.bar
	f.answered = f.answered || serves
	f.s.mu.Unlock()
	if !serves {
		return
	}
	f.result = Result[V]{Value: old.value, Source: SourceStale, Age: time.Duration(f.c.now() - old.created), why: errSlow}
	close(f.done)
	f.c.emit(EventServedStale, "", f.key, errSlow)
}

// dueEarly is the XFetch rule: now − took · β · ln(random) ≥ fresh.
func (c *Cache[V]) dueEarly(e *entry[V], now int64) bool {
	return float64(now)-float64(e.took)*c.opts.EarlyRefresh*math.Log(1-rand.Float64()) >= float64(e.shared)
}

// refreshEarly starts a flight for an entry that is still fresh, if chance
// says so.
func (c *Cache[V]) refreshEarly(ctx context.Context, s *shard[V], e *entry[V], load loader[V], now int64) {
	if !c.dueEarly(e, now) {
		return
	}
	if ctx == nil {
		ctx = background
	}
	s.mu.Lock()
	var f *flight[V]
	if s.flights[e.key] == nil && s.find(e.hash, e.key) == e {
		if f, _ = c.join(s, e.hash, e.key, load, forever, now); f != nil {
			f.waiters-- // nobody waits for it
			f.seen = e.version + 1
			f.early, f.ctx, f.parent = true, ctx, parentOf(ctx)
		}
	}
	s.mu.Unlock()
	if f != nil {
		c.n.earlyRefreshes.Add(1)
		c.do(f.run)
	}
}

package cache

import (
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

// What someone reads at night: a record when a breaker opens, one a minute
// while it does not close, and one when it does. The probes in between are
// events, not records.

// LogAttrer is a [Store] that knows what to add to the log records about it:
// a table, a region.
type LogAttrer interface{ LogAttrs() []slog.Attr }

const remindEvery = time.Minute

// logBreaker logs a change of a breaker's state.
func (c *Cache[V]) logBreaker(op string, n *storeCounters, b *breaker, from, to gobreaker.State) {
	if c.opts.Logger == nil {
		return
	}
	switch {
	case from == gobreaker.StateClosed && to == gobreaker.StateOpen:
		loads := c.n.loads.Load()
		c.log(slog.LevelWarn, "cache: the store is failing and is bypassed; lookups go to the origin", op, n)
		b.remind.set(time.AfterFunc(remindEvery, func() { c.remind(op, n, b, time.Now().Add(-remindEvery), loads) }))
	case to == gobreaker.StateClosed:
		b.remind.set(nil)
		c.log(slog.LevelInfo, "cache: the store has recovered", op, n)
	}
}

// remind logs that the breaker has still not closed.
func (c *Cache[V]) remind(op string, n *storeCounters, b *breaker, since time.Time, loads int64) {
	if c.life.over() || b.state() == gobreaker.StateClosed.String() {
		return
	}
	c.log(slog.LevelWarn, "cache: the store is still failing", op, n,
		slog.Duration("for", time.Since(since).Round(time.Second)), slog.Int64("loads", c.n.loads.Load()-loads))
	b.remind.set(time.AfterFunc(remindEvery, func() { c.remind(op, n, b, since, loads) }))
}

// log writes one record. Whatever Logger does is contained.
func (c *Cache[V]) log(level slog.Level, msg, op string, n *storeCounters, more ...slog.Attr) {
	attrs := []slog.Attr{slog.String("cache", c.opts.Name), slog.String("op", op)}
	if last := n.last.Load(); last != nil && level > slog.LevelInfo {
		attrs = append(attrs, slog.String("error", last.text))
	}
	attrs = append(attrs, more...)
	err := c.aside("logger", func() {
		if s, ok := c.opts.Store.(LogAttrer); ok {
			attrs = append(attrs, s.LogAttrs()...)
		}
		c.opts.Logger.LogAttrs(background, level, msg, attrs...)
	})
	if err != nil {
		c.tell(Event{Kind: EventCallback, Cache: c.opts.Name, Err: err})
	}
}

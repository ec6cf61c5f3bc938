package cache_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// blocked is a slog.Handler whose pipe is full.
type blocked struct {
	slog.Handler
	until <-chan struct{}
}

func (blocked) Enabled(context.Context, slog.Level) bool { return true }

func (b blocked) Handle(context.Context, slog.Record) error { <-b.until; return nil }

// A hook or a logger that does not return costs one Get 50 ms, and no other one
// anything.
func TestHooks_that_block(t *testing.T) {
	for _, what := range []string{"hook", "logger"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until := make(chan struct{})
				var called atomic.Int64
				w := newWorld(t, new(cachetest.Store), func(o *cache.Options[string]) {
					tiny(o)
					if what == "hook" {
						o.OnEvent = func(cache.Event) { called.Add(1); <-until }
					} else {
						o.OnEvent, o.Logger = nil, slog.New(blocked{slog.DiscardHandler, until})
					}
				})
				w.store.Inject(denied)
				const own = 12 * time.Millisecond // the origin's 10
				began := time.Now()
				for range 30 {
					for _, key := range []string{"a", "b", "c", "d"} {
						w.get(key, own+2*50*time.Millisecond) // of the fault, of the breaker
					}
				}
				if took := time.Since(began); took > 120*own+2*50*time.Millisecond {
					t.Errorf("120 misses took %v", took)
				}
				s := w.Stats()
				if s.HooksStuck == 0 || s.HooksStuck > 64 {
					t.Errorf("%d hooks are stuck, want 1 to 64", s.HooksStuck)
				}
				if n := called.Load(); n > 64 {
					t.Errorf("the hook was called %d times while it was stuck", n)
				}
				close(until)
				settle()
				if s := w.Stats(); s.HooksStuck != 0 {
					t.Errorf("%d hooks are stuck after they have returned", s.HooksStuck)
				}
				w.close()
			})
		})
	}
	t.Run("asks for the key that it is told of", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var w *world
			w = newWorld(t, new(cachetest.Store), func(o *cache.Options[string]) {
				o.OnEvent = func(cache.Event) { _, _ = w.Get(bg, "a") }
			})
			w.store.Inject(cachetest.Fail(errDown))
			w.get("a", time.Second)
			w.close()
		})
	})
	t.Run("more than 64", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			until := make(chan struct{})
			w := newWorld(t, new(cachetest.Store), func(o *cache.Options[string]) {
				tiny(o)
				o.OnEvent = func(cache.Event) { <-until }
			})
			for i := range 100 { // one event each: garbage
				key := []string{"a", "b"}[i%2]
				w.store.Put("="+key, cache.Item{Value: []byte("garbage")})
				w.get(key, time.Second)
			}
			if s := w.Stats(); s.HooksStuck != 64 || s.EventsDropped < 36 {
				t.Errorf("%d stuck, %d dropped; want 64 and the rest", s.HooksStuck, s.EventsDropped)
			}
			close(until)
			w.close()
		})
	})
}

package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

func TestHook_panics(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.OnEvent = func(cache.Event) { panic("hook") } }, func(w *world) {
		w.store.Inject(cachetest.Fail(cache.ErrPermanent))
		for _, key := range []string{"a", "b", "c"} {
			w.want(key, cache.SourceOrigin)
		}
		settle()
		if n := w.Stats().CallbackPanics; n == 0 {
			t.Error("the panics of the hook were not counted")
		}
	})
}

// TestHook_asks has a hook that uses the cache, at every kind of event: no
// lock may be held meanwhile.
func TestHook_asks(t *testing.T) {
	var w *world
	kinds := make(map[cache.EventKind]bool)
	var mu sync.Mutex
	inWorld(t, func(o *cache.Options[string]) {
		o.WriteQueue, o.StaleIfError, o.SoftTimeout = 1, time.Hour, 5*time.Millisecond
		o.OnEvent = func(e cache.Event) {
			_ = w.Stats()
			w.InvalidateAll()
			mu.Lock()
			defer mu.Unlock()
			kinds[e.Kind] = true
		}
	}, func(made *world) {
		w = made
		for i, fault := range []cachetest.Fault{
			nil, cachetest.Hang, cachetest.Fail(cache.ErrPermanent), cachetest.Hang, cachetest.Fail(cache.ErrRejected),
		} {
			w.store.Inject(fault)
			w.store.Put("=b", cache.Item{Value: []byte("garbage")})
			for range 20 {
				for i := range 9 {
					_ = w.Set(context.Background(), fmt.Sprint(i), "v")
				}
				for _, key := range []string{"a", "b", "c"} {
					_, _ = w.Get(context.Background(), key)
				}
			}
			w.origin.Fail(map[bool]error{true: errDown}[i == 0])
			pass(90 * time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, kind := range []cache.EventKind{cache.EventStoreFault, cache.EventPoison, cache.EventBreaker, cache.EventWriteDropped, cache.EventRejected, cache.EventLoadFailed} {
			if !kinds[kind] {
				t.Errorf("%v was not seen", kind)
			}
		}
	})
}

func TestBreaker(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Fail(fmt.Errorf("access denied: %w", cache.ErrPermanent)), cachetest.Get)
		w.want("a", cache.SourceOrigin)
		if s := w.Stats().Reads; s.Breaker != "open" || s.Calls != 1 {
			t.Errorf("after one permanent fault the breaker is %s after %d calls; want open, 1", s.Breaker, s.Calls)
		}
		w.want("b", cache.SourceOrigin)
		if s := w.Stats(); s.Reads.Skipped != 1 || s.Writes.Breaker != "closed" {
			t.Errorf("%d reads skipped, write breaker %s; want 1, closed", s.Reads.Skipped, s.Writes.Breaker)
		}
		settle()
		w.store.Inject(nil)
		pass(1300 * time.Millisecond)
		other := newWorld(t, w.store, nil)
		other.want("c", cache.SourceOrigin)
		other.close()
		w.want("c", cache.SourceRemote)
		if s := w.Stats().Reads; s.Breaker != "closed" || s.Opened != 1 {
			t.Errorf("after recovery: %s, opened %d; want closed, 1", s.Breaker, s.Opened)
		}
		var changes []string
		for _, e := range w.events {
			if e.Kind == cache.EventBreaker {
				changes = append(changes, e.Op+" "+e.From+">"+e.To)
			}
		}
		if got := strings.Join(changes, ", "); got != "read closed>open, read open>half-open, read half-open>closed" {
			t.Errorf("changes: %s", got)
		}
	})
	// Half of many calls failing opens it too, though no three in a row.
	inWorld(t, nil, func(w *world) {
		for i := range 40 {
			if i%2 == 0 {
				w.store.Inject(cachetest.Fail(errDown), cachetest.Get)
			} else {
				w.store.Inject(nil)
			}
			_, _ = w.Get(context.Background(), fmt.Sprint(i))
		}
		if s := w.Stats().Reads; s.Opened != 1 {
			t.Errorf("opened %d times, want once: %+v", s.Opened, s)
		}
	})
}

func TestStrings(t *testing.T) {
	if got := fmt.Sprint(cache.SourceLocal, cache.SourceStale, cache.Source(99), cache.EventPoison, cache.EventKind(99)); got != "local stale unknown poison unknown" {
		t.Error(got)
	}
}

package cache_test

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// world is a cache between a store and an origin that can both be broken.
type world struct {
	*cache.Cache[string]
	t      *testing.T
	store  *cachetest.Store
	origin *cachetest.Origin[string]

	lossy bool // the test has closed it without a store: endings are lost

	mu     sync.Mutex
	events []cache.Event
}

// short is n, and a quarter of it under the race detector, which looks for
// something else than more of the same would find.
func short(n int) int {
	if b, ok := debug.ReadBuildInfo(); ok && slices.Contains(b.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return n / 4
	}
	return n
}

// inWorld runs f in a bubble of virtual time, with a cache whose origin knows
// the keys "a" to "e", and checks afterwards that the cache closes and leaves
// nothing behind.
func inWorld(t *testing.T, change func(*cache.Options[string]), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, new(cachetest.Store), change)
		f(w)
		w.close()
	})
}

// newWorld makes one; call it in a bubble.
func newWorld(t *testing.T, store *cachetest.Store, change func(*cache.Options[string])) *world {
	t.Helper()
	w := &world{t: t, store: store, origin: new(cachetest.Origin[string])}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		w.origin.Put(key, "value of "+key)
	}
	w.origin.Slow(10 * time.Millisecond)
	o := cache.Options[string]{
		Load: w.origin.Load, Store: store, TTL: time.Minute,
		OnEvent: func(e cache.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	if change != nil {
		change(&o)
	}
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Cache = c
	return w
}

// close recovers the store, closes the cache, and checks that nothing is lost or
// left.
func (w *world) close() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if w.store != nil {
		w.store.Inject(nil)
	}
	if err := w.Close(ctx); err != nil && !(w.lossy && errors.Is(err, cache.ErrEndingsLost)) {
		w.t.Errorf("Close: %v", err)
	}
	if z := w.Stats().Zombies; z != 0 {
		w.t.Errorf("%d zombies are left", z)
	}
}

// get wants the origin's value for key, no matter what, within limit.
func (w *world) get(key string, limit time.Duration) cache.Result[string] {
	w.t.Helper()
	return w.getWithin(context.Background(), key, limit)
}

func (w *world) getWithin(ctx context.Context, key string, limit time.Duration) cache.Result[string] {
	w.t.Helper()
	began := time.Now()
	r := w.Lookup(ctx, key)
	took := time.Since(began)
	if r.Err != nil || r.Value != "value of "+key {
		w.t.Errorf("Lookup(%q) = %q, %v; want its value", key, r.Value, r.Err)
	}
	if took > limit {
		w.t.Errorf("Lookup(%q) took %v, more than %v", key, took, limit)
	}
	return r
}

// want is get that also checks the source.
func (w *world) want(key string, source cache.Source) {
	w.t.Helper()
	if r := w.get(key, time.Hour); r.Source != source {
		w.t.Errorf("source of %q: %v, want %v", key, r.Source, source)
	}
}

// wantErr wants a lookup to fail with an error that is target.
func (w *world) wantErr(key string, target error) {
	w.t.Helper()
	if r := w.Lookup(context.Background(), key); !errors.Is(r.Err, target) {
		w.t.Errorf("Lookup(%q) = %q, %v; want error %v", key, r.Value, r.Err, target)
	}
}

// saw reports whether an event of this kind was emitted.
func (w *world) saw(kind cache.EventKind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

// pass lets virtual time go by, and everything come to rest.
func pass(d time.Duration) {
	idle(d)
	synctest.Wait()
}

// idle lets virtual time go by for this goroutine. It waits on a context, not
// on a timer's channel: with thousands of the latter in a bubble, the race
// detector of Go 1.26 crashes (golang/go issue 78156).
func idle(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
}

// settle lets everything that is under way come to rest.
func settle() { synctest.Wait() }

// goroutines is runtime.NumGoroutine without those that are just ending.
func goroutines() int {
	least := runtime.NumGoroutine()
	for range 100 {
		runtime.Gosched()
		least = min(least, runtime.NumGoroutine())
	}
	return least
}

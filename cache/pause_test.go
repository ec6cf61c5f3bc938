package cache_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// Options.Wait surrounds what a caller waits for, and nothing else; whatever it
// does, the caller gets its result.
func TestWait(t *testing.T) {
	type waiter = func(ctx context.Context, f func())
	for name, c := range map[string]struct {
		wait   waiter
		panics int64 // for each wait
	}{
		"calls f":       {func(_ context.Context, f func()) { f() }, 0},
		"calls f twice": {func(_ context.Context, f func()) { f(); f() }, 0},
		"calls f elsewhere": {func(_ context.Context, f func()) {
			done := make(chan struct{})
			go func() { f(); close(done) }()
			<-done
		}, 0},
		"does not call f":           {func(context.Context, func()) {}, 1},
		"panics":                    {func(context.Context, func()) { panic("wait") }, 2},
		"panics after f":            {func(_ context.Context, f func()) { f(); panic("wait") }, 1},
		"a panic that is an error":  {func(context.Context, func()) { panic(errors.ErrUnsupported) }, 2},
		"panics with nothing (nil)": {func(_ context.Context, f func()) { f(); panic(nil) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waits := 0
				s, err := cache.New(cache.Options[string]{
					TTL: time.Minute, Store: new(cachetest.Store),
					Load: func(context.Context, string) (string, error) { time.Sleep(time.Second); return "v", nil },
					Wait: func(ctx context.Context, f func()) {
						waits++
						if ctx != t.Context() {
							t.Error("another context than the caller's")
						}
						c.wait(ctx, f)
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // a miss, and a hit, which does not wait
					if v, err := s.Get(t.Context(), "k"); v != "v" || err != nil {
						t.Error(v, err)
					}
				}
				if waits != 1 {
					t.Errorf("%d waits for a miss and a hit", waits)
				}
				if err := s.Invalidate(t.Context(), "k"); err != nil {
					t.Error(err)
				}
				if got := s.Stats().CallbackPanics; waits != 2 || got != 2*c.panics {
					t.Errorf("%d waits, %d counted, want %d", waits, got, 2*c.panics)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A Wait that ends the caller's goroutine leaves nobody behind who waits.
func TestWait_ends_the_goroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		s, err := cache.New(cache.Options[string]{
			TTL: time.Minute, Concurrency: 1,
			Load: func(context.Context, string) (string, error) { loads++; time.Sleep(time.Second); return "v", nil },
			Wait: func(ctx context.Context, f func()) { runtime.Goexit() },
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "b", "c"} { // b and c wait for the one slot, for nobody
			done := make(chan struct{})
			go func() { defer close(done); s.Get(t.Context(), key) }()
			<-done
		}
		time.Sleep(10 * time.Second)
		if loads > 1 || s.Stats().CallbackPanics != 3 {
			t.Errorf("%d loads, %d counted", loads, s.Stats().CallbackPanics)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

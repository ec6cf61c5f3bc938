package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// wantMany asks for "a" to "e" and "nobody", and wants all but the last.
func (w *world) wantMany() {
	w.t.Helper()
	got, err := w.GetMany(context.Background(), []string{"a", "b", "nobody", "c", "d", "a", "e"})
	if err != nil {
		w.t.Errorf("GetMany: %v", err)
	}
	if len(got) != 5 {
		w.t.Errorf("GetMany found %d, want 5", len(got))
	}
	for key, v := range got {
		if v != "value of "+key {
			w.t.Errorf("GetMany: %q is %q", key, v)
		}
	}
}

// loadMany is an origin with a batch interface.
func loadMany(w **world, calls *[][]string) func(*cache.Options[string]) {
	var mu sync.Mutex
	return func(o *cache.Options[string]) {
		o.LoadMany = func(ctx context.Context, keys []string) (map[string]string, error) {
			mu.Lock()
			*calls = append(*calls, keys)
			mu.Unlock()
			found := make(map[string]string)
			for _, key := range keys {
				v, err := (*w).origin.Load(ctx, key)
				if err != nil && !errors.Is(err, cache.ErrNotFound) {
					return found, err
				} else if err == nil {
					found[key] = v
				}
			}
			return found, nil
		}
	}
}

func TestGetMany(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.wantMany()
		settle()
		if reads := w.store.Calls(cachetest.GetMany); reads != 1 || w.store.Calls(cachetest.Get) != 0 {
			t.Errorf("%d batch reads, %d single ones; want 1, 0", reads, w.store.Calls(cachetest.Get))
		}
		w.wantMany() // all local, "nobody" included
		if loads := w.origin.Total(); loads != 6 {
			t.Errorf("%d loads, want 6", loads)
		}
		other := newWorld(t, w.store, nil)
		other.wantMany()
		if loads := other.origin.Total(); loads != 0 {
			t.Errorf("the other process loaded %d keys that the store had", loads)
		}
		other.close()
	})
}

func TestGetMany_loads_once(t *testing.T) {
	var w *world
	var calls [][]string
	inWorld(t, func(o *cache.Options[string]) { loadMany(&w, &calls)(o) }, func(made *world) {
		w = made
		w.wantMany()
		if len(calls) != 1 || len(calls[0]) != 6 {
			t.Errorf("loads: %v, want one of 6 keys", calls)
		}
		settle()
		// A key that someone else is loading is waited for, not loaded.
		calls = nil
		pass(5 * time.Minute)
		var wg sync.WaitGroup
		wg.Go(func() { w.get("b", time.Second) })
		settle()
		w.wantMany()
		wg.Wait()
		if len(calls) != 1 || slices.Contains(calls[0], "b") {
			t.Errorf("loads: %v, want one, without b", calls)
		}
	})
}

func TestGetMany_store_faults(t *testing.T) {
	for name, fault := range map[string]cachetest.Fault{
		"error": cachetest.Fail(errDown), "hang": cachetest.Hang, "panic": cachetest.Panic, "Goexit": cachetest.Goexit,
	} {
		inWorld(t, nil, func(w *world) {
			w.store.Inject(fault)
			began := time.Now()
			w.wantMany()
			if took := time.Since(began); took > overBudget {
				t.Errorf("%s: took %v", name, took)
			}
			if faults := w.Stats().Reads.Faults; faults != 1 {
				t.Errorf("%s: %d faults, want 1", name, faults)
			}
		})
	}
}

func TestGetMany_origin_faults(t *testing.T) {
	inWorld(t, staleFor(time.Hour), func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		w.origin.Fail(errDown)
		pass(2 * time.Minute)
		got, err := w.GetMany(context.Background(), []string{"a", "b", "c"})
		if !errors.Is(err, errDown) || len(got) != 1 || got["a"] != "value of a" {
			t.Errorf("GetMany: %v, %v; want a (stale), and the origin's error", got, err)
		}
	})
	var w *world
	var calls [][]string
	inWorld(t, func(o *cache.Options[string]) { loadMany(&w, &calls)(o) }, func(made *world) {
		w = made
		w.origin.Fail(errDown)
		if got, err := w.GetMany(context.Background(), []string{"a", "b"}); !errors.Is(err, errDown) || len(got) != 0 {
			t.Errorf("GetMany: %v, %v; want the origin's error", got, err)
		}
		w.origin.Fail(nil)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		defer cancel()
		if _, err := w.GetMany(ctx, []string{"c", "d"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("GetMany with too short a deadline: %v", err)
		}
		if _, err := w.GetMany(ctx, []string{"c", "d"}); err != ctx.Err() {
			t.Errorf("GetMany with a dead context: %v", err)
		}
	})
}

func TestGetMany_after_Close(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.close()
		w.wantMany()
		w.origin.Fail(errDown)
		if _, err := w.GetMany(context.Background(), []string{"a"}); !errors.Is(err, errDown) {
			t.Errorf("GetMany: %v, want the origin's error", err)
		}
	})
}

func TestGetMany_invalidated_meanwhile(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(time.Second)
		var wg sync.WaitGroup
		wg.Go(w.wantMany)
		pass(500 * time.Millisecond)
		w.origin.Remove("a")
		if err := w.Invalidate(context.Background(), "a"); err != nil {
			t.Error(err)
		}
		wg.Wait()
		w.wantErr("a", cache.ErrNotFound)
		w.want("b", cache.SourceLocal)
	})
}

func BenchmarkGetMany(b *testing.B) {
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key ", i)
	}
	c := newBench(b, cache.Options[string]{Load: load})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.GetMany(context.Background(), keys); err != nil {
			b.Fatal(err)
		}
	}
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// numbered yields n keys, and counts how many were taken.
func numbered(n int, taken *int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range n {
			*taken++
			if !yield(fmt.Sprint(i)) {
				return
			}
		}
	}
}

func TestWarm(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Concurrency = 8; o.MaxEntries = 1000 }, func(w *world) {
		for i := range 10 {
			w.origin.Put(fmt.Sprint(i), "x")
		}
		w.origin.Slow(100 * time.Millisecond)
		var steps []cache.Warmed
		got, err := w.Warm(bg, numbered(15, new(int)), func(p cache.Warmed) { steps = append(steps, p) })
		if want := (cache.Warmed{Keys: 15, Found: 10, Missing: 5}); got != want || err != nil {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		if len(steps) != 8 || steps[0].Keys != 2 || steps[7] != got {
			t.Errorf("progress: %v", steps)
		}
		if n := w.origin.Busiest(); n != 2 {
			t.Errorf("%d loads at once, want 2: a quarter of Concurrency", n)
		}
		settle()
		if r := w.Lookup(bg, "3"); r.Source != cache.SourceLocal {
			t.Errorf("source %v", r.Source)
		}
		loads := w.origin.Total()
		other := newWorld(t, w.store, nil)
		got, err = other.Warm(bg, slices.Values([]string{"0", "1", "1", "2"}), nil)
		if want := (cache.Warmed{Keys: 3, Found: 3}); got != want || err != nil || w.origin.Total() != loads || other.Stats().Remote != 3 {
			t.Errorf("from the store: %v, %v, %v", got, err, other.Stats())
		}
		other.close()
		if got, err = other.Warm(bg, numbered(1, new(int)), nil); err == nil {
			t.Errorf("after Close: %v, no error", got)
		}
	})
}

func TestWarm_stops(t *testing.T) {
	many := func(o *cache.Options[string]) {
		o.MaxEntries = 300
		o.LoadMany = func(ctx context.Context, keys []string) (map[string]string, error) {
			found := make(map[string]string)
			for _, key := range keys {
				found[key] = "x"
			}
			return found, nil
		}
	}
	inWorld(t, many, func(w *world) {
		taken := 0
		got, err := w.Warm(bg, numbered(1_000_000, &taken), nil)
		if got.Found != 300 || err != nil || taken != 300 {
			t.Errorf("%v, %v, %d keys taken; want 300: as many as fit", got, err, taken)
		}
	})
	inWorld(t, many, func(w *world) { // though it is always the same key
		got, err := w.Warm(bg, func(yield func(string) bool) {
			for yield("a") {
			}
		}, nil)
		if got.Found != 3 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
	inWorld(t, many, func(w *world) { // by its context
		ctx, cancel := context.WithCancel(bg)
		taken := 0
		got, err := w.Warm(ctx, numbered(1_000_000, &taken), func(cache.Warmed) { cancel() })
		if got.Keys != 100 || !errors.Is(err, context.Canceled) || taken != 100 {
			t.Errorf("%v, %v, %d keys taken", got, err, taken)
		}
	})
	inWorld(t, nil, func(w *world) { // by an origin that fails
		w.origin.Fail(errDown)
		taken := 0
		got, err := w.Warm(bg, numbered(1_000_000, &taken), nil)
		var failed *cache.KeysError
		if !errors.As(err, &failed) || !errors.Is(err, errDown) || got.Failed != 64 || taken != 64 {
			t.Errorf("%v, %v, %d keys taken", got, err, taken)
		}
		if got, err = w.Warm(bg, nil, nil); err != nil || got.Keys != 0 {
			t.Errorf("without keys: %v, %v", got, err)
		}
	})
}

// While a cache is warmed, requests are served.
func TestWarm_gives_way(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Concurrency = 4 }, func(w *world) {
		w.origin.Slow(time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = w.Warm(bg, numbered(20, new(int)), nil)
		}()
		pass(time.Millisecond)
		began := time.Now()
		w.want("a", cache.SourceOrigin)
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("a request took %v beside the warm-up", took)
		}
		<-done
	})
}

func TestAll_while_it_changes(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.StaleIfError = time.Hour }, func(w *world) {
		for _, key := range []string{"a", "b", "c", "none"} {
			w.Lookup(bg, key)
		}
		before := w.Stats()
		all := maps.Collect(w.All())
		if want := map[string]string{"a": "value of a", "b": "value of b", "c": "value of c"}; !maps.Equal(all, want) {
			t.Errorf("%v", all)
		}
		for key := range w.All() { // what is done meanwhile does no harm
			_ = w.Invalidate(bg, key)
			_ = w.Set(bg, key+key, "x")
			if len(key) > 2 {
				break
			}
		}
		if after := w.Stats(); after.Local != before.Local {
			t.Error("an iteration counts as use")
		}
		pass(2 * time.Minute)
		for key := range w.All() {
			t.Errorf("%q is past its TTL", key)
		}
	})
	// A Clone that panics costs one value, not the iteration.
	inWorld(t, func(o *cache.Options[string]) {
		o.Clone = func(v string) string {
			if v == "value of a" {
				panic(v)
			}
			return v
		}
	}, func(w *world) {
		for _, key := range []string{"a", "b"} {
			w.Lookup(bg, key)
		}
		if all := maps.Collect(w.All()); len(all) != 1 || all["b"] == "" {
			t.Errorf("%v", all)
		}
	})
}

// The keys of one process warm the next one up.
func ExampleCache_Warm() {
	store := new(cachetest.Store)
	open := func() *cache.Cache[string] {
		c, err := cache.New(cache.Options[string]{
			Load:  func(_ context.Context, key string) (string, error) { return "value of " + key, nil },
			Store: store, TTL: time.Hour,
		})
		if err != nil {
			panic(err)
		}
		return c
	}
	ctx := context.Background()
	old := open()
	_, _ = old.GetMany(ctx, []string{"a", "b", "c"})
	var keys []string // to a file, say
	for key := range old.All() {
		keys = append(keys, key)
	}
	_ = old.Close(ctx)

	next := open()
	warmed, err := next.Warm(ctx, slices.Values(keys), nil)
	fmt.Println(warmed, err)
	fmt.Println("from the store:", next.Stats().Remote)
	_ = next.Close(ctx)
	// Output:
	// 3 keys: 3 found, 0 missing, 0 failed <nil>
	// from the store: 3
}

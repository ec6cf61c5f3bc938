package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// overload sends times what the origin can take: 160 loads a second, of 100 ms.
func overload(t *testing.T, times float64, change func(*cachetest.Overload)) (g cachetest.Goodput, ofCapacity float64) {
	t.Helper()
	const capacity = 160
	o := cachetest.Overload{Rate: times * capacity, For: 8 * time.Second, WarmUp: 2 * time.Second, Deadline: time.Second}
	if change != nil {
		change(&o)
	}
	inWorld(t, func(o *cache.Options[string]) {
		o.Concurrency = 16
		o.Load = func(ctx context.Context, key string) (string, error) { idle(100 * time.Millisecond); return key, nil }
	}, func(w *world) {
		w.store.Inject(cachetest.Fail(errDown))
		began := time.Now()
		var n atomic.Int64 // served in the time that counts
		g = o.Run(func(ctx context.Context, i int) error {
			_, err := w.Get(ctx, fmt.Sprint(i))
			if at := time.Since(began); err == nil && at >= o.WarmUp && at < o.For {
				n.Add(1)
			}
			return err
		})
		ofCapacity = float64(n.Load()) / (capacity * (o.For - o.WarmUp).Seconds())
		w.lossy = true
	})
	return g, ofCapacity
}

// The store is gone, the local tier cold, and more is asked than the origin
// can take: what it can take is served.
func TestOverload_goodput(t *testing.T) {
	for _, c := range []struct{ times, share, ofCapacity float64 }{
		{0.5, 1, 0}, {0.9, 1, 0}, {1.17, 0.80, 0.95}, {1.5, 0, 0.95}, {3, 0, 0.95}, {10, 0, 0.95},
	} {
		g, ofCapacity := overload(t, c.times, nil)
		t.Logf("%4.2f × capacity: %.0f %% of what was asked served, %.0f %% of capacity", c.times, 100*g.Share(), 100*ofCapacity)
		if g.Share() < c.share || ofCapacity < c.ofCapacity {
			t.Errorf("%v × capacity: %.2f of what was asked served, %.2f of capacity; want at least %v, %v", c.times, g.Share(), ofCapacity, c.share, c.ofCapacity)
		}
	}
	g, _ := overload(t, 1.56, func(o *cachetest.Overload) { o.Tries = 3 })
	t.Logf("1.56 ×, up to three tries: %.0f %%", 100*g.Share())
	if g.Share() < 0.60 { // 64% is all that the origin can do
		t.Errorf("with three tries %.2f served", g.Share())
	}
}

// No slot goes to a load whose callers will have left when it is done.
func TestOverload_no_load_for_those_who_leave(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Concurrency = 1; o.Store = nil }, func(w *world) {
		w.origin.Slow(100 * time.Millisecond)
		for range 5 {
			w.get("a", time.Second) // how long loads take is known
			_ = w.Invalidate(context.Background(), "a")
		}
		var wg sync.WaitGroup
		wg.Go(func() { w.get("a", time.Second) })
		settle()
		for _, key := range []string{"b", "c"} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
				defer cancel()
				_, _ = w.Get(ctx, key)
			})
		}
		settle()
		wg.Go(func() { w.get("d", time.Second) }) // has all the time in the world
		wg.Wait()
		pass(time.Second)
		if b, c, d := w.origin.Calls("b"), w.origin.Calls("c"), w.origin.Calls("d"); b != 0 || c != 0 || d != 1 {
			t.Errorf("loads: b %d, c %d, d %d; want 0, 0, 1", b, c, d)
		}
	})
}

// A flight that waits for a slot costs no goroutine beside its caller's.
func TestOverload_queue_without_goroutines(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Concurrency = 1; o.Store = nil }, func(w *world) {
		w.origin.Slow(time.Second)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		before := goroutines()
		for i := range 1000 {
			wg.Go(func() { _, _ = w.Get(ctx, fmt.Sprint(i)) })
		}
		pass(500 * time.Millisecond)
		if n := goroutines() - before - 1000; n > 6 {
			t.Errorf("%d goroutines beside the 1,000 callers'", n)
		}
		if s := w.Stats(); s.Loads != 1 || s.LoadsQueued != 999 {
			t.Errorf("%d loads, %d queued; want 1, 999", s.Loads, s.LoadsQueued)
		}
		cancel()
		wg.Wait()
		pass(2 * time.Second)
	})
}

// Loads that ask the same cache: however many, they do not wait for each
// other's slots.
func TestNested_loads(t *testing.T) {
	for _, c := range []struct{ callers, concurrency, depth int }{{20, 8, 1}, {600, 256, 1}, {50, 1, 4}} {
		for _, shared := range []bool{false, true} {
			inWorld(t, nil, func(outer *world) {
				var w *world
				w = newWorld(t, outer.store, func(o *cache.Options[string]) {
					o.Concurrency = c.concurrency
					o.Load = func(ctx context.Context, key string) (string, error) {
						idle(10 * time.Millisecond)
						var level, i int
						if _, err := fmt.Sscanf(key, "%d/%d", &level, &i); err != nil || level == 0 {
							return key, err
						}
						parent := fmt.Sprint(level-1, "/", i)
						if shared {
							parent = fmt.Sprint(level-1, "/", i%3)
						}
						v, err := w.Get(ctx, parent)
						return key + " of " + v, err
					}
				})
				began := time.Now()
				var wg sync.WaitGroup
				var failed atomic.Int64
				for i := range c.callers {
					wg.Go(func() {
						if _, err := w.Get(context.Background(), fmt.Sprint(c.depth, "/", i)); err != nil {
							failed.Add(1)
							t.Log(err)
						}
					})
				}
				wg.Wait()
				if n, took := failed.Load(), time.Since(began); n != 0 || took > 6*time.Second {
					t.Errorf("%+v, shared %t: %d of %d failed, in %v", c, shared, n, c.callers, took)
				}
				settle()
				w.close()
			})
		}
	}
}

// Many ask for what only a load that waits for them could make room for: the
// parents hold all slots, and what they wait for was queued by others before.
func TestNested_waits_for_what_others_queued(t *testing.T) {
	inWorld(t, nil, func(outer *world) {
		ask := make(chan struct{})
		var w *world
		w = newWorld(t, outer.store, func(o *cache.Options[string]) {
			o.Concurrency, o.Store = 4, nil
			o.Load = func(ctx context.Context, key string) (string, error) {
				if key == "shared" {
					return key, nil
				}
				<-ask
				return w.Get(ctx, "shared")
			}
		})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if _, err := w.Get(context.Background(), fmt.Sprint(i)); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		settle()
		wg.Go(func() { _, _ = w.Get(context.Background(), "shared") }) // queues: all slots are taken
		settle()
		began := time.Now()
		close(ask)
		wg.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
		w.store = nil
		w.close()
	})
}

// Loads that wait for themselves get an error, at once.
func TestNested_circles(t *testing.T) {
	for name, next := range map[string]map[string]string{
		"itself":         {"a": "a"},
		"two":            {"a": "b", "b": "a"},
		"three":          {"a": "b", "b": "c", "c": "a"},
		"after a detour": {"a": "b", "b": "c", "c": "b"},
	} {
		inWorld(t, nil, func(outer *world) {
			var w *world
			w = newWorld(t, outer.store, func(o *cache.Options[string]) {
				o.Load = func(ctx context.Context, key string) (string, error) {
					idle(10 * time.Millisecond)
					if name == "two" && key == "b" { // by way of GetMany
						_, err := w.GetMany(ctx, []string{"d", next[key]})
						return "", err
					}
					return w.Get(ctx, next[key])
				}
			})
			// Alone, and all at once: then each joins the other's flight.
			for _, keys := range [][]string{{"a"}, {"a", "b", "c"}} {
				began := time.Now()
				var wg sync.WaitGroup
				for _, key := range keys {
					if next[key] == "" {
						continue
					}
					wg.Go(func() { w.wantErr(key, cache.ErrRecursiveLoad) })
				}
				wg.Wait()
				if took := time.Since(began); took > time.Second {
					t.Errorf("%s, %v: took %v", name, keys, took)
				}
			}
			w.close()
		})
	}
}

// An origin that fails is asked at a bounded rate, and at once again when it
// answers.
func TestOrigin_failing_is_asked_at_a_bounded_rate(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Store = nil }, func(w *world) {
		w.origin.Slow(0)
		w.origin.Fail(errDown)
		for range 1000 {
			w.wantErr("a", errDown)
		}
		if n := w.origin.Calls("a"); n != 32 {
			t.Errorf("1,000 Gets in turn of a failing key: %d loads, want 32", n)
		}
		for range 1000 { // ten seconds
			w.wantErr("a", errDown)
			pass(10 * time.Millisecond)
		}
		if n := w.origin.Calls("a"); n < 37 || n > 57 {
			t.Errorf("%d loads after ten seconds more, want about 44", n)
		}
		w.origin.Fail(nil)
		pass(1200 * time.Millisecond)
		w.want("a", cache.SourceOrigin)
		if s := w.Stats(); s.LoadsThrottled < 1000 {
			t.Errorf("%d loads counted as throttled", s.LoadsThrottled)
		}

		// Many keys.
		w.origin.Fail(errDown)
		before := w.origin.Total()
		for i := range 10_000 { // ten seconds
			key := fmt.Sprint("k", i)
			if _, err := w.Get(context.Background(), key); !errors.Is(err, errDown) {
				t.Fatalf("%v, want an error that is the origin's", err)
			}
			pass(time.Millisecond)
		}
		if n := w.origin.Total() - before; n > 32+500+10 {
			t.Errorf("%d loads of 10,000 keys in ten seconds, want at most 50 a second", n)
		}
		w.origin.Fail(nil)
		pass(20 * time.Millisecond)
		w.want("b", cache.SourceOrigin)
		w.want("c", cache.SourceOrigin)
	})
	// One bad key does not speak for the others.
	inWorld(t, func(o *cache.Options[string]) {
		load := o.Load
		o.Load = func(ctx context.Context, key string) (string, error) {
			if key == "bad" {
				return "", errDown
			}
			return load(ctx, key)
		}
	}, func(w *world) {
		for range 1000 {
			w.wantErr("bad", errDown)
		}
		w.want("a", cache.SourceOrigin)
	})
}

// A loader that honours its context, and one that wraps what it got: the
// caller, who is alive, is told of LoadTimeout.
func TestLoad_timeout_is_told_as_such(t *testing.T) {
	other := errors.New("driver: i/o timeout")
	for _, fail := range []func(ctx context.Context) error{
		context.Context.Err,
		func(ctx context.Context) error { return fmt.Errorf("asking: %w", ctx.Err()) },
		func(context.Context) error { return other },
	} {
		inWorld(t, func(o *cache.Options[string]) {
			o.LoadTimeout = time.Second
			o.Load = func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", fail(ctx) }
			o.LoadMany = func(ctx context.Context, _ []string) (map[string]string, error) {
				<-ctx.Done()
				return nil, fail(ctx)
			}
		}, func(w *world) {
			_, err := w.Get(context.Background(), "a")
			_, many := w.GetMany(context.Background(), []string{"b", "c"})
			for _, err := range []error{err, many} {
				if !errors.Is(err, cache.ErrLoadTimeout) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v; want ErrLoadTimeout, and not context.DeadlineExceeded", err)
				}
			}
			if late := w.Stats().LoadsLate; late != 3 {
				t.Errorf("%d keys late, want 3", late)
			}
		})
	}
}

// A caller with little time joins one with much: the store hangs, and it still
// has its value.
func TestGet_follower_with_a_short_deadline(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Hang, cachetest.Get)
		var wg sync.WaitGroup
		wg.Go(func() { w.get("a", overBudget) })
		settle()
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Millisecond)
		defer cancel()
		w.getWithin(ctx, "a", 22*time.Millisecond)
		wg.Wait()
	})
}

// Loads that are stuck forever take their slots with them once, not forever.
func TestConcurrency_stuck_loads(t *testing.T) {
	released := make(chan struct{})
	inWorld(t, func(o *cache.Options[string]) {
		released = make(chan struct{})
		load := o.Load
		o.Concurrency = 8
		o.Load = func(ctx context.Context, key string) (string, error) {
			if len(key) > 1 {
				<-released
			}
			return load(ctx, key)
		}
	}, func(w *world) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { w.wantErr(fmt.Sprint("stuck", i), cache.ErrLoadTimeout) })
		}
		wg.Wait()
		w.want("a", cache.SourceOrigin)
		close(released)
		settle()
	})
}

// GetMany of very many keys on a plain Store, behind a client with 64
// connections, does not time itself out.
func TestGetMany_10000_keys_on_a_plain_store(t *testing.T) {
	for _, many := range []bool{false, true} {
		inWorld(t, nil, func(outer *world) {
			connections := make(chan struct{}, 64)
			outer.store.Inject(func(ctx context.Context, _ cachetest.Op, _ string) error {
				select {
				case connections <- struct{}{}:
				case <-ctx.Done():
					return ctx.Err()
				}
				defer func() { <-connections }()
				idle(time.Millisecond)
				return nil
			}, cachetest.Get)
			w := newWorld(t, outer.store, func(o *cache.Options[string]) {
				o.Store = struct{ cache.Store }{outer.store}
				o.Load = func(_ context.Context, key string) (string, error) { return "value of " + key, nil }
				if many {
					o.LoadMany = func(_ context.Context, keys []string) (map[string]string, error) {
						m := make(map[string]string)
						for _, key := range keys {
							m[key] = "value of " + key
						}
						return m, nil
					}
				}
			})
			var keys []string
			for i := range short(10_000) {
				keys = append(keys, fmt.Sprint(i))
			}
			found, err := w.GetMany(context.Background(), keys)
			if err != nil || len(found) != len(keys) {
				t.Errorf("%d found, %v; want all", len(found), err)
			}
			s := w.Stats()
			if s.Reads.Late != 0 || s.Reads.Opened != 0 {
				t.Errorf("%d reads late, breaker opened %d times; want 0, 0", s.Reads.Late, s.Reads.Opened)
			}
			if want := map[bool]int64{true: int64(len(keys)) / 100, false: int64(len(keys))}[many]; s.Loads != want {
				t.Errorf("%d loads, want %d", s.Loads, want)
			}
			settle()
			w.close()
		})
	}
}

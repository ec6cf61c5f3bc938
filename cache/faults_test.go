package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// TestFaults is the fault matrix: each row is a way in which a tier, the
// origin or the caller fails, and what must come of it.
func TestFaults(t *testing.T) {
	for _, row := range append(faultRows, awsRows...) {
		t.Run(row.name, row.test)
	}
}

type faultRow struct {
	name string
	test func(*testing.T)
}

var (
	errDown    = errors.New("everything is broken")
	overBudget = 60 * time.Millisecond // what a hanging store may cost, the origin's 10 ms included
)

var faultRows = []faultRow{
	{"A_error", faultA},
	{"B_hang_no_deadline", faultB},
	{"C_hang_deadline_200ms", faultC},
	{"D_hang_ignores_context", faultD},
	{"E_garbage", faultE},
	{"F_garbage_and_write_denied", faultF},
	{"G_store_panics", faultG},
	{"H_origin_down_stale_in_L1", faultH},
	{"I_origin_down_stale_in_L2", faultI},
	{"J_write_hangs", faultJ},
	{"K_write_hangs_20000_keys", faultK},
	{"L_10000_concurrent_misses", faultL},
	{"M_leader_canceled", faultM},
	{"N_follower_deadline", faultN},
	{"O_origin_panics", faultO},
	{"P_hang_5_keys", faultP},
	{"Q_expired_item_in_L2", faultQ},
	{"R_second_wave", faultR},
	{"S_gone_beats_stale", faultS},
	{"T_invalidate_during_load", faultT},
	{"U_old_after_new", faultU},
	{"W_clock_skew", faultW},
	{"X_oversize_empty_long", faultX},
	{"Y_codec_panics", faultY},
	{"AD_close_during_outage", faultAD},
	{"AE_random_faults", faultAE},
}

func faultA(t *testing.T) {
	for _, err := range []error{
		errDown, context.DeadlineExceeded, context.Canceled,
		fmt.Errorf("denied: %w", cache.ErrPermanent), fmt.Errorf("no: %w", cache.ErrRejected),
	} {
		inWorld(t, nil, func(w *world) {
			w.store.Inject(cachetest.Fail(err))
			if r := w.get("a", 10*time.Millisecond); r.Source != cache.SourceOrigin {
				t.Errorf("%v: source %v, want origin", err, r.Source)
			}
			w.want("a", cache.SourceLocal)
			if s := w.Stats(); s.Reads.Faults != 1 || !w.saw(cache.EventStoreFault) {
				t.Errorf("%v: %d faults counted, event %t; want 1, true", err, s.Reads.Faults, w.saw(cache.EventStoreFault))
			}
		})
	}
}

func faultB(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Hang, cachetest.Get)
		w.get("a", overBudget)
		if s := w.Stats().Reads; s.Late != 1 || s.Faults != 1 {
			t.Errorf("late %d, faults %d; want 1, 1", s.Late, s.Faults)
		}
	})
}

func faultC(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Hang, cachetest.Get)
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		w.getWithin(ctx, "a", overBudget)

		// The store gets a quarter of what is left of a shorter deadline, so
		// that the origin has the rest.
		ctx, cancel = context.WithTimeout(context.Background(), 40*time.Millisecond)
		defer cancel()
		w.getWithin(ctx, "b", 21*time.Millisecond)

		// With no time left to speak of, the store is not even asked.
		w.origin.Slow(0)
		ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		calls := w.store.Calls(cachetest.Get)
		w.getWithin(ctx, "c", 0)
		if w.store.Calls(cachetest.Get) != calls {
			t.Error("the store was asked with 1 ms left")
		}
	})
}

func faultD(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		released := make(chan struct{})
		w.store.Inject(cachetest.Deaf(released))
		w.get("a", overBudget+2*time.Millisecond)
		if z := w.Stats().Zombies; z != 1 {
			t.Errorf("zombies: %d, want 1", z)
		}
		// Zombies are capped, also when every call of a probe becomes one.
		for i := range 400 {
			w.origin.Put(fmt.Sprint(i), fmt.Sprint("value of ", i))
			w.get(fmt.Sprint(i), overBudget+2*time.Millisecond)
			pass(2 * time.Second)
		}
		if active := w.store.Active(); active > 64+4 {
			t.Errorf("%d calls are stuck, want at most 68", active)
		}
		close(released)
		settle()
	})
}

func faultE(t *testing.T) {
	for _, garbage := range []string{"", "x", "null", "{}", strings.Repeat("\xff", 100), "fO\x01\x00" + strings.Repeat("\x00", 60)} {
		inWorld(t, nil, func(w *world) {
			w.store.Put("=a", cache.Item{Value: []byte(garbage), Version: time.Now().UnixMilli()})
			w.want("a", cache.SourceOrigin)
			settle()
			if w.Stats().Poison != 1 || !w.saw(cache.EventPoison) {
				t.Errorf("%q was not counted as poison", garbage)
			}
			other := newWorld(t, w.store, nil)
			other.want("a", cache.SourceRemote) // overwritten
			other.close()
		})
	}
	// An intact item of another key, of another schema, or cut short.
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		good, _ := w.store.Item("=a")
		w.store.Put("=b", good)
		w.want("b", cache.SourceOrigin)
		cut := good
		cut.Value = good.Value[:len(good.Value)-1]
		w.store.Put("=c", cut)
		w.want("c", cache.SourceOrigin)
		if p := w.Stats().Poison; p != 2 {
			t.Errorf("poison: %d, want 2", p)
		}
		schema2 := newWorld(t, w.store, func(o *cache.Options[string]) { o.Schema = 2 })
		schema2.want("a", cache.SourceOrigin)
		schema2.close()
	})
}

func faultF(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Put("=a", cache.Item{Value: []byte("garbage"), Version: 1})
		w.store.Inject(cachetest.Fail(cache.ErrPermanent), cachetest.Set)
		w.want("a", cache.SourceOrigin)
		settle()
		w.want("a", cache.SourceLocal)
		if calls := w.store.Calls(cachetest.Get); calls != 1 {
			t.Errorf("the store was read %d times, want 1: poison is not fetched again while its key is fresh", calls)
		}
		if s := w.Stats(); s.Writes.Breaker != "open" || s.Reads.Breaker != "closed" {
			t.Errorf("breakers: reads %s, writes %s; want closed, open", s.Reads.Breaker, s.Writes.Breaker)
		}
	})
}

func faultG(t *testing.T) {
	for _, fault := range []cachetest.Fault{cachetest.Panic, cachetest.Goexit} {
		inWorld(t, nil, func(w *world) {
			w.store.Inject(fault)
			for _, key := range []string{"a", "b", "c", "d", "e"} {
				w.get(key, 10*time.Millisecond)
			}
			settle()
			w.store.Inject(nil)
			pass(2 * time.Second)
			w.origin.Put("f", "value of f")
			w.want("f", cache.SourceOrigin)
			settle()
			if len(w.store.Keys()) != 1 {
				t.Errorf("after the store healed it holds %v, want the one new key", w.store.Keys())
			}
		})
	}
}

func staleFor(d time.Duration) func(*cache.Options[string]) {
	return func(o *cache.Options[string]) { o.StaleIfError = d }
}

func faultH(t *testing.T) {
	inWorld(t, staleFor(10*time.Minute), func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(2 * time.Minute)
		w.origin.Fail(errDown)
		w.store.Inject(cachetest.Fail(errDown))
		w.want("a", cache.SourceStale)
		calls := w.origin.Calls("a")
		for range 100 { // retries of the failing origin are throttled
			w.want("a", cache.SourceStale)
		}
		if w.origin.Calls("a") != calls {
			t.Errorf("the failing origin was asked %d times more", w.origin.Calls("a")-calls)
		}
		pass(3 * time.Second)
		w.origin.Fail(nil)
		w.want("a", cache.SourceOrigin)
		w.origin.Fail(errDown)
		pass(12 * time.Minute) // past TTL and StaleIfError: an error beats unbounded stale
		w.wantErr("a", errDown)
	})
	// Off by default.
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(2 * time.Minute)
		w.origin.Fail(errDown)
		w.wantErr("a", errDown)
	})
}

func faultI(t *testing.T) {
	inWorld(t, staleFor(10*time.Minute), func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(2 * time.Minute)
		other := newWorld(t, w.store, staleFor(10*time.Minute))
		other.origin.Fail(errDown)
		other.want("a", cache.SourceStale)
		other.close()
		strict := newWorld(t, w.store, nil) // the reader's own bound counts
		strict.origin.Fail(errDown)
		strict.wantErr("a", errDown)
		strict.close()
	})
}

func faultJ(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Hang, cachetest.Set)
		w.get("a", 10*time.Millisecond)
		w.get("b", 10*time.Millisecond)
		pass(2 * time.Second)
		if s := w.Stats(); s.Writes.Late != 2 || s.WritesDropped != 2 {
			t.Errorf("late writes %d, dropped %d; want 2, 2", s.Writes.Late, s.WritesDropped)
		}
	})
}

func faultK(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.Load = func(_ context.Context, key string) (string, error) { return "value of " + key, nil }
	}, func(w *world) {
		released := make(chan struct{})
		w.store.Inject(cachetest.Deaf(released), cachetest.Set)
		before := runtime.NumGoroutine()
		var wg sync.WaitGroup
		var served atomic.Int64
		for caller := range 64 {
			wg.Go(func() {
				for i := caller; i < 20_000; i += 64 {
					if v, err := w.Get(context.Background(), fmt.Sprint(i)); err == nil && v == fmt.Sprint("value of ", i) {
						served.Add(1)
					}
				}
			})
		}
		wg.Wait()
		settle()
		if n := goroutines() - before; n > 8 {
			t.Errorf("%d goroutines more, want at most 8", n)
		}
		if served.Load() != 20_000 {
			t.Errorf("%d served, want 20,000", served.Load())
		}
		if s := w.Stats(); s.WritesQueued > 1024 || s.WritesDropped == 0 {
			t.Errorf("%d writes queued, %d dropped; want at most 1,024, and the rest dropped", s.WritesQueued, s.WritesDropped)
		}
		close(released)
		pass(2 * time.Second)
	})
}

func faultL(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(50 * time.Millisecond)
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() { w.get("a", 65*time.Millisecond) })
		}
		wg.Wait()
		if calls := w.origin.Calls("a"); calls != 1 {
			t.Errorf("%d loads, want 1", calls)
		}
		if s := w.Stats(); s.Coalesced != 9_999 || s.Origin != 10_000 {
			t.Errorf("coalesced %d, origin %d; want 9,999, 10,000", s.Coalesced, s.Origin)
		}
	})
}

func faultM(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(time.Second)
		leader, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.Get(leader, "a"); !errors.Is(err, context.Canceled) {
				t.Errorf("leader: %v, want context.Canceled", err)
			}
		})
		settle()
		wg.Go(func() { w.get("a", time.Second) })
		settle()
		cancel()
		wg.Wait()
		if calls := w.origin.Calls("a"); calls != 1 {
			t.Errorf("%d loads, want 1", calls)
		}
	})
	// With nobody left, a load that has begun completes for the next caller;
	// one that waits for a slot does not begin.
	inWorld(t, func(o *cache.Options[string]) { o.Concurrency = 1 }, func(w *world) {
		w.origin.Slow(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for _, key := range []string{"a", "b"} {
			wg.Go(func() {
				if _, err := w.Get(ctx, key); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v, want context.DeadlineExceeded", key, err)
				}
			})
			settle()
		}
		wg.Wait()
		pass(2 * time.Second)
		if a, b := w.origin.Calls("a"), w.origin.Calls("b"); a != 1 || b != 0 {
			t.Errorf("loads of a: %d, of b: %d; want 1, 0", a, b)
		}
		w.want("a", cache.SourceLocal)
		w.want("b", cache.SourceOrigin)
	})
}

func faultN(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(2 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { w.get("a", 2*time.Second) })
		settle()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := w.Get(ctx, "a")
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 50*time.Millisecond {
			t.Errorf("follower: %v after %v; want context.DeadlineExceeded after 50 ms", err, took)
		}
		wg.Wait()
	})
}

func faultO(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic(errDown) }, "Goexit": runtime.Goexit} {
		var broken atomic.Bool
		inWorld(t, func(o *cache.Options[string]) {
			load := o.Load
			o.Load = func(ctx context.Context, key string) (string, error) {
				if broken.Load() {
					fail()
				}
				return load(ctx, key)
			}
		}, func(w *world) {
			broken.Store(true)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					var p *cache.PanicError
					if _, err := w.Get(context.Background(), "a"); !errors.As(err, &p) || p.Where != "loader" {
						t.Errorf("%s: %v, want a *PanicError in the loader", name, err)
					} else if name == "panic" && !errors.Is(err, errDown) {
						t.Errorf("%v does not unwrap to the value of the panic", err)
					}
				})
			}
			wg.Wait()
			broken.Store(false)
			w.want("a", cache.SourceOrigin)
		})
	}
	// A loader that ignores its context holds its slot, but nobody else.
	released := make(chan struct{})
	synctest.Test(t, func(t *testing.T) {
		released = make(chan struct{})
		w := newWorld(t, new(cachetest.Store), func(o *cache.Options[string]) {
			o.LoadTimeout = time.Second
			o.Load = func(context.Context, string) (string, error) { <-released; return "", errDown }
		})
		began := time.Now()
		w.wantErr("a", cache.ErrLoadTimeout)
		if took := time.Since(began); took > 1020*time.Millisecond {
			t.Errorf("released after %v, want about 1 s", took)
		}
		close(released)
		settle()
		w.close()
	})
}

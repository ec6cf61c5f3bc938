package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// What is over stays over, whatever is evicted, denied, lost, late or decided
// by a clock that is a little wrong.

var denied = cachetest.Fail(fmt.Errorf("denied: %w", cache.ErrPermanent))

func tiny(o *cache.Options[string]) { o.MaxEntries, o.TTL = 1, 5*time.Minute }

// old puts a value of key into the store that another instance loaded.
func (w *world) old(key, value string) {
	w.t.Helper()
	other := newWorld(w.t, w.store, func(o *cache.Options[string]) { o.TTL = 5 * time.Minute })
	other.origin.Put(key, value)
	if v, err := other.Get(context.Background(), key); v != value || err != nil {
		w.t.Fatalf("Get(%q) = %q, %v", key, v, err)
	}
	settle()
	other.close()
}

// wantValue wants value for key, from anywhere but the stale.
func (w *world) wantValue(key, value string) {
	w.t.Helper()
	if r := w.Lookup(context.Background(), key); r.Err != nil || r.Value != value || r.Source == cache.SourceStale {
		w.t.Errorf("Lookup(%q) = %q, %v from %v; want %q", key, r.Value, r.Err, r.Source, value)
	}
}

// The origin says "gone"; that cannot be written, and the local tier evicts
// it. The item in the store does not come back when reads have recovered.
func TestEndings_gone_is_not_forgotten_by_eviction(t *testing.T) {
	for name, change := range map[string]func(*cache.Options[string]){
		"remembered": tiny,
		"not at all": func(o *cache.Options[string]) { tiny(o); o.NegativeTTL = -1 },
	} {
		for _, pause := range []time.Duration{0, time.Second} { // in the same millisecond, too
			inWorld(t, change, func(w *world) {
				w.old("a", "the session")
				pass(pause)
				w.store.Inject(denied, cachetest.Set)
				w.store.Inject(cachetest.Fail(errDown), cachetest.Get)
				w.origin.Remove("a")
				w.wantErr("a", cache.ErrNotFound)
				settle()
				w.store.Inject(nil, cachetest.Get)
				w.want("b", cache.SourceOrigin) // evicts
				pass(2 * time.Second)
				if r := w.Lookup(context.Background(), "a"); !errors.Is(r.Err, cache.ErrNotFound) {
					t.Errorf("%s, after %v: %q from %v; want ErrNotFound", name, pause, r.Value, r.Source)
				}
				settle()
				if owed := w.Stats().Owed; owed != 1 {
					t.Errorf("%s: %d endings owed, want 1", name, owed)
				}
			})
		}
	}
}

// Set replaces a value; the write is denied, dropped or refused, and the
// local tier evicts. The older value does not come back.
func TestEndings_what_Set_replaced_does_not_come_back(t *testing.T) {
	for name, fault := range map[string]cachetest.Fault{
		"denied": denied, "lost": cachetest.Fail(errDown), "slow": cachetest.Hang,
		"rejected": cachetest.Fail(cache.ErrRejected), "Goexit": cachetest.Goexit,
	} {
		inWorld(t, tiny, func(w *world) {
			w.old("a", "role=admin")
			w.want("b", cache.SourceOrigin)
			pass(time.Second)
			w.store.Inject(fault, cachetest.Set)
			w.origin.Put("a", "role=none")
			if err := w.Set(context.Background(), "a", "role=none"); err != nil {
				t.Fatal(err)
			}
			w.want("b", cache.SourceRemote) // evicts, perhaps before the write ends
			w.wantValue("a", "role=none")
			pass(3 * time.Second)
			w.want("b", cache.SourceRemote)
			w.wantValue("a", "role=none")

			w.store.Inject(nil)
			pass(20 * time.Second)
			if owed := w.Stats().Owed; owed != 0 {
				t.Errorf("%s: %d endings owed after the store healed, want none", name, owed)
			}
			other := newWorld(t, w.store, nil)
			other.origin.Put("a", "role=none")
			other.wantValue("a", "role=none")
			other.close()
		})
	}
}

// Two Sets in one millisecond, of which the first takes longer on the wire.
func TestEndings_the_later_of_two_Sets_stays(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		first := true
		w.store.Inject(func(context.Context, cachetest.Op, string) error {
			if first {
				first = false
				idle(20 * time.Millisecond)
			}
			return nil
		}, cachetest.Set)
		for _, v := range []string{"first", "second"} {
			_ = w.Set(context.Background(), "a", v)
			settle()
		}
		pass(time.Second)
		other := newWorld(t, w.store, nil)
		other.wantValue("a", "second")
		other.close()
	})
}

// Invalidate returned nil; an eventually consistent read still finds the
// value, and the local tier has no room to know better.
func TestEndings_reads_lag_behind(t *testing.T) {
	inWorld(t, tiny, func(w *world) {
		w.store.Lag(300 * time.Millisecond)
		w.want("a", cache.SourceOrigin)
		pass(time.Second)
		w.origin.Remove("a")
		if err := w.Invalidate(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			w.get("b", time.Second) // evicts
			w.wantErr("a", cache.ErrNotFound)
			pass(10 * time.Millisecond)
		}
	})
}

// A log-out is owed; the store has recovered, and nothing else is written.
func TestEndings_delivered_by_their_own_timer(t *testing.T) {
	inWorld(t, tiny, func(w *world) {
		w.old("a", "the session")
		w.store.Inject(denied, cachetest.Set)
		if err := w.Invalidate(context.Background(), "a"); err == nil {
			t.Error("Invalidate: no error")
		}
		pass(10 * time.Minute) // longer than the TTL, and than any number of tries
		w.store.Inject(nil)
		pass(13 * time.Second)
		if owed := w.Stats().Owed; owed != 0 {
			t.Errorf("%d endings owed, want none", owed)
		}
	})
	// Meanwhile the store is not worn out.
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Fail(errDown), cachetest.Set)
		_ = w.Invalidate(context.Background(), "a")
		before := w.store.Calls(cachetest.Set)
		pass(time.Minute)
		if n := w.store.Calls(cachetest.Set) - before; n < 5 || n > 15 {
			t.Errorf("%d tries in a minute, want about 10", n)
		}
	})
}

// Or by Close, also while the breaker is still open.
func TestEndings_delivered_by_Close(t *testing.T) {
	inWorld(t, tiny, func(w *world) {
		for i := range 100 {
			w.old(fmt.Sprint(i), "the session")
		}
		w.store.Inject(denied, cachetest.Set)
		for i := range 100 {
			_ = w.Invalidate(context.Background(), fmt.Sprint(i))
		}
		w.store.Inject(nil)
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		next := newWorld(t, w.store, nil)
		for i := range 100 {
			next.wantErr(fmt.Sprint(i), cache.ErrNotFound)
		}
		next.close()
	})
	// If the store is still broken, Close says how many are lost, and does
	// not try forever.
	inWorld(t, tiny, func(w *world) {
		w.lossy = true
		for name, fault := range map[string]cachetest.Fault{"denied": denied, "hangs": cachetest.Hang} {
			w.store.Inject(fault, cachetest.Set)
			for i := range 100 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				_ = w.Invalidate(ctx, name+fmt.Sprint(i))
				cancel()
			}
		}
		pass(2 * time.Second)
		began := time.Now()
		err := w.Close(context.Background())
		if took := time.Since(began); !errors.Is(err, cache.ErrEndingsLost) || took > 5*time.Second {
			t.Errorf("Close: %v after %v; want ErrEndingsLost within 5 s", err, took)
		}
		if s := w.Stats(); s.EndingsLost != 200 || s.Owed != 0 {
			t.Errorf("%d lost, %d owed; want 200, 0", s.EndingsLost, s.Owed)
		}
	})
}

// An outage with more log-outs than many: none is lost.
func TestEndings_6000_log_outs_in_an_outage(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.WriteQueue = 10_000 }, func(w *world) {
		key := func(i int) string { return fmt.Sprint("k", i) }
		for i := range 6000 {
			w.origin.Put(key(i), "value of "+key(i))
			_ = w.Set(context.Background(), key(i), "value of "+key(i))
		}
		settle()
		w.store.Inject(denied, cachetest.Set)
		for i := range 6000 {
			_ = w.Invalidate(context.Background(), key(i))
		}
		if s := w.Stats(); s.Owed != 6000 || s.EndingsLost != 0 {
			t.Errorf("%d owed, %d lost; want 6,000, 0", s.Owed, s.EndingsLost)
		}
		w.store.Inject(nil)
		pass(30 * time.Second)
		other := newWorld(t, w.store, func(o *cache.Options[string]) { o.TTL = time.Hour })
		other.origin.Fail(errDown)
		for i := range 6000 {
			other.wantErr(key(i), errDown)
		}
		other.close()
	})
}

// Another instance has a copy. The table's TTL deletes the tombstone; the
// origin goes down. The copy is not served as stale.
func TestEndings_outlive_every_copy(t *testing.T) {
	change := func(o *cache.Options[string]) { o.TTL, o.StaleIfError = time.Minute, time.Hour }
	for _, how := range []string{"Invalidate", "gone"} {
		for after := 70 * time.Second; after < time.Hour; after *= 2 {
			inWorld(t, change, func(w *world) {
				b := newWorld(t, w.store, change)
				w.want("a", cache.SourceOrigin)
				settle()
				b.want("a", cache.SourceRemote)
				pass(5 * time.Second)
				w.origin.Remove("a")
				b.origin.Remove("a")
				if how == "gone" {
					pass(65 * time.Second)
					w.wantErr("a", cache.ErrNotFound)
				} else if err := w.Invalidate(context.Background(), "a"); err != nil {
					t.Error(err)
				}
				pass(after)
				w.store.Sweep(0)
				b.origin.Fail(errDown)
				b.wantErr("a", errDown)
				b.close()
			})
		}
	}
}

// Clocks differ by up to half of MaxSkew. A Set there is known from what the
// store answers.
func TestEndings_clocks_differ(t *testing.T) {
	for _, skew := range []time.Duration{time.Second, 3 * time.Second, cache.MaxSkew/2 - 2*time.Second} {
		for _, how := range []string{"Set", "Invalidate", "Invalidate after Set"} {
			store := new(cachetest.Store)
			// All bubbles begin at the same instant: to sleep is to be ahead.
			synctest.Test(t, func(t *testing.T) {
				pass(10*time.Second + skew)
				w := newWorld(t, store, nil)
				w.origin.Put("a", "old")
				if how == "Invalidate after Set" {
					_ = w.Set(context.Background(), "a", "old")
				}
				_, _ = w.Get(context.Background(), "a")
				w.close()
			})
			synctest.Test(t, func(t *testing.T) {
				pass(11 * time.Second)
				w := newWorld(t, store, tiny)
				w.origin.Put("a", "new")
				if how == "Set" {
					_ = w.Set(context.Background(), "a", "new")
				} else if err := w.Invalidate(context.Background(), "a"); err != nil {
					t.Error(err)
				}
				for range 10 {
					w.get("b", time.Second) // evicts
					if r := w.Lookup(context.Background(), "a"); r.Value != "new" {
						t.Errorf("%s, %v behind: its own %q from %v, want new", how, skew, r.Value, r.Source)
					}
					pass(time.Second)
				}
				w.close()
			})
		}
	}
}

// A Set by a clock that is ahead has a version above InvalidateAll's floor.
func TestEndings_InvalidateAll_clocks_differ(t *testing.T) {
	for _, skew := range []time.Duration{0, 3 * time.Second, cache.MaxSkew/2 - time.Second} {
		store := new(cachetest.Store)
		synctest.Test(t, func(t *testing.T) {
			pass(11*time.Second + skew)
			w := newWorld(t, store, nil)
			_ = w.SetThrough(bg, "a", "old")
			_ = w.SetThrough(bg, "a", "old") // 1 ms later, by its version
			w.close()
		})
		synctest.Test(t, func(t *testing.T) {
			pass(11 * time.Second)
			w := newWorld(t, store, tiny)
			w.InvalidateAll()
			w.want("a", cache.SourceOrigin)
			_ = w.SetThrough(bg, "b", "value of b") // evicts a
			w.want("c", cache.SourceOrigin)
			w.want("b", cache.SourceRemote)
			pass(10 * time.Second)
			w.want("a", cache.SourceOrigin)
			w.close()
		})
	}
}

// After it the endings of others count as before.
func TestEndings_InvalidateAll_and_a_tombstone(t *testing.T) {
	inWorld(t, staleFor(time.Hour), func(w *world) {
		other := newWorld(t, w.store, nil)
		w.InvalidateAll()
		w.want("a", cache.SourceOrigin)
		if err := other.Invalidate(bg, "a"); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		w.origin.Fail(errDown)
		w.wantErr("a", errDown)
		other.close()
	})
}

// InvalidateAll ends what was set in the same millisecond, too, and what
// several times in it, here or elsewhere.
func TestEndings_InvalidateAll_in_the_same_millisecond(t *testing.T) {
	for _, sets := range []int{1, 3} {
		inWorld(t, tiny, func(w *world) {
			other := newWorld(t, w.store, nil)
			for range sets {
				if err := w.SetThrough(bg, "a", "old"); err != nil {
					t.Fatal(err)
				}
				if err := other.SetThrough(bg, "b", "old"); err != nil {
					t.Fatal(err)
				}
			}
			if r := w.Lookup(bg, "b"); r.Value != "old" { // evicts a
				t.Errorf("b is %q, want the other instance's", r.Value)
			}
			w.InvalidateAll()
			for range 2 {
				for _, key := range []string{"a", "b"} {
					w.get(key, time.Second)
				}
			}
			// What is set afterwards is not over, in the store neither.
			if err := w.SetThrough(bg, "c", "value of c"); err != nil {
				t.Fatal(err)
			}
			w.want("d", cache.SourceOrigin) // evicts c
			w.want("c", cache.SourceRemote)
			other.close()
		})
	}
}

// What the origin says is gone is over, also when the load that hears it has been
// overtaken by another one: the older value does not come back when that one fails,
// nor while it goes on.
func TestEndings_gone_of_a_load_that_was_overtaken(t *testing.T) {
	for _, tiers := range []string{"two tiers", "local"} {
		change := func(o *cache.Options[string]) {
			o.StaleIfError, o.SoftTimeout = time.Hour, 100*time.Millisecond
			if tiers == "local" {
				o.Store = nil
			}
		}
		begin := func(w *world) {
			w.want("a", cache.SourceOrigin)
			settle()
			w.origin.Remove("a")
			w.origin.Slow(time.Second)
		}
		refresh := func(w *world) { _, _ = w.Refresh(bg, "a") }
		over := func(w *world, when string) {
			t.Helper()
			if r := w.Lookup(bg, "a"); r.Err == nil {
				t.Errorf("%s, %s: %q from %v: it is gone", tiers, when, r.Value, r.Source)
			}
		}
		inWorld(t, change, func(w *world) {
			begin(w)
			go refresh(w)
			pass(500 * time.Millisecond)
			w.origin.Fail(errDown)
			go refresh(w) // asks when the first one has its answer
			pass(time.Second)
			over(w, "while the second load goes on")
			pass(time.Second)
			over(w, "after it has failed")
		})
		inWorld(t, change, func(w *world) {
			begin(w)
			pass(2 * time.Minute)
			w.want("a", cache.SourceStale) // the load goes on, for 900 ms
			w.origin.Slow(3 * time.Second)
			go refresh(w)
			pass(500 * time.Millisecond)
			w.want("a", cache.SourceStale)
			pass(500 * time.Millisecond)
			over(w, "while a slow load goes on")
		})
	}
}

// A key that is set so often that its versions have run ahead of the clock as far as
// they may, and then ended, in one millisecond: the value in the store, of the same
// version, is over all the same, and the store is told once it can be.
func TestInvalidate_whose_version_cannot_rise(t *testing.T) {
	inThree(t, nil, func(store *cachetest.Store, w []*world) {
		a, late := w[0], w[2]
		a.origin.Slow(0)
		for range cache.MaxSkew/2/time.Millisecond + 10 {
			_ = a.Set(bg, "a", "was set")
		}
		settle() // it is in the store
		store.Inject(denied, cachetest.Set)
		if err := a.Invalidate(bg, "a"); !errors.Is(err, cache.ErrOwed) {
			t.Errorf("Invalidate: %v, want ErrOwed", err)
		}
		a.want("a", cache.SourceOrigin)
		if n := a.Stats().Owed; n != 1 {
			t.Errorf("%d endings are owed, want 1", n)
		}
		store.Inject(nil)
		pass(20 * time.Second)
		late.want("a", cache.SourceOrigin)
		if s := a.Stats(); s.Owed+s.EndingsLost != 0 {
			t.Errorf("owed %d, lost %d", s.Owed, s.EndingsLost)
		}
	})
}

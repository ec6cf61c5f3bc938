package cache_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// The tests of this file are named after what someone would be paged for.

// An origin whose calls get stuck is no reason to leave a healthy store alone.
func TestOrigin_hangs_and_the_store_is_still_read(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.LoadTimeout = 100 * time.Millisecond }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		released := make(chan struct{})
		load := func(context.Context, string) (string, error) { <-released; return "", errDown }
		other := newWorld(t, w.store, func(o *cache.Options[string]) { o.LoadTimeout, o.Load = 100*time.Millisecond, load })
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if _, err := other.Get(context.Background(), fmt.Sprint("new ", i)); !errors.Is(err, cache.ErrLoadTimeout) {
					t.Errorf("%v, want ErrLoadTimeout", err)
				}
			})
		}
		wg.Wait()
		if z := other.Stats().Zombies; z != 100 {
			t.Errorf("%d zombies, want 100", z)
		}
		other.want("a", cache.SourceRemote)
		close(released)
		settle()
		other.close()
	})
}

// Close must not say that all is well while a write is still stuck.
func TestClose_during_the_last_write(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Hang, cachetest.Set)
		_ = w.Set(context.Background(), "a", "value of a")
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want context.DeadlineExceeded", err)
		}
		pass(time.Second)
		w.lossy = true
	})
}

// What a load brings after Close has given up waiting is not written any
// more: nothing runs on.
func TestClose_before_the_last_load(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { w.want("a", cache.SourceOrigin) })
		settle()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want context.DeadlineExceeded", err)
		}
		wg.Wait()
		_ = w.Set(context.Background(), "b", "value of b")
		w.lossy = true
		settle()
		if n, dropped := w.store.Calls(cachetest.Set), w.Stats().WritesDropped; n != 0 || dropped != 2 {
			t.Errorf("%d writes after Close, %d dropped; want 0, 2", n, dropped)
		}
	})
}

// A session ends while its validation hangs: SoftTimeout's stale answer ends
// with it.
func TestSoftTimeout_session_ends_while_the_origin_hangs(t *testing.T) {
	var end time.Time
	inWorld(t, func(o *cache.Options[string]) {
		o.StaleIfError, o.SoftTimeout = time.Hour, 50*time.Millisecond
		o.Expires = func(string) time.Time { return end }
	}, func(w *world) {
		end = time.Now().Add(65*time.Second + 3*time.Second)
		w.want("a", cache.SourceOrigin)
		pass(67 * time.Second)
		w.origin.Slow(9 * time.Second)
		w.want("a", cache.SourceStale)
		w.want("a", cache.SourceStale)
		pass(3 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if r := w.Lookup(ctx, "a"); r.Err != context.DeadlineExceeded {
			t.Errorf("after its end: %q, %v from %v; want context.DeadlineExceeded", r.Value, r.Err, r.Source)
		}
		pass(20 * time.Second)
	})
}

// Once this process has seen in the store that a key was invalidated, the
// stale value it has is not served, even if the store is gone a moment later.
func TestInvalidate_elsewhere_seen_then_everything_is_down(t *testing.T) {
	inWorld(t, staleFor(time.Hour), func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(2 * time.Minute)
		other := newWorld(t, w.store, nil)
		if err := other.Invalidate(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		other.close()
		w.origin.Fail(errDown)
		w.wantErr("a", errDown)
		w.store.Inject(cachetest.Fail(errDown))
		w.wantErr("a", errDown)
		w.origin.Fail(nil)
		w.want("a", cache.SourceOrigin)
	})
}

// "Never" is often written as the year 9999.
func TestExpires_in_the_year_9999(t *testing.T) {
	for _, end := range []time.Time{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0)} {
		inWorld(t, func(o *cache.Options[string]) {
			o.Expires = func(string) time.Time { return end }
		}, func(w *world) {
			pass(time.Hour)
			w.want("a", cache.SourceOrigin)
			w.want("a", cache.SourceLocal)
		})
	}
}

// "For ever" is often written as the longest duration.
func TestNew_refuses_to_remember_for_ever(t *testing.T) {
	for _, set := range []func(*cache.Options[string]){
		func(o *cache.Options[string]) { o.TTL = math.MaxInt64 },
		func(o *cache.Options[string]) { o.StaleIfError = math.MaxInt64 },
		func(o *cache.Options[string]) { o.LoadTimeout = math.MaxInt64 },
	} {
		o := cache.Options[string]{TTL: time.Minute, Load: new(cachetest.Origin[string]).Load}
		set(&o)
		if _, err := cache.New(o); err == nil || !strings.Contains(err.Error(), "2562047h47m16.854775807s") {
			t.Errorf("New: %v, want an error that names the duration", err)
		}
	}
}

// A log-out that the store did not learn of, and an item there from a machine
// whose clock is 4 s ahead. A load's write that changes nothing there is no
// reason to forget the log-out.
func TestInvalidate_owed_is_not_paid_by_a_write_that_lost(t *testing.T) {
	store := new(cachetest.Store)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store, nil)
		pass(4 * time.Second)
		w.origin.Put("a", "value from before the log-out")
		_, _ = w.Get(context.Background(), "a")
		w.close()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store, func(o *cache.Options[string]) { o.MaxEntries = 1 })
		w.store.Inject(cachetest.Fail(errDown), cachetest.Set)
		if err := w.Invalidate(context.Background(), "a"); !errors.Is(err, errDown) {
			t.Errorf("Invalidate: %v, want the store's error", err)
		}
		w.store.Inject(nil)
		for _, key := range []string{"a", "b", "a"} { // "b" takes the only place in memory
			w.want(key, cache.SourceOrigin)
			settle()
		}
		if owed := w.Stats().Owed; owed != 0 {
			t.Errorf("%d invalidations are owed, want none", owed)
		}
		w.close()
	})
}

// A service that only logs users out, and reads what it has, writes nothing
// else: a log-out that succeeds brings the others along.
func TestInvalidate_brings_what_is_owed(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Fail(errDown), cachetest.Set)
		_ = w.Invalidate(context.Background(), "a")
		_ = w.Invalidate(context.Background(), "b")
		w.store.Inject(nil)
		if err := w.Invalidate(context.Background(), "c"); err != nil {
			t.Fatal(err)
		}
		settle()
		if owed := w.Stats().Owed; owed != 0 {
			t.Errorf("%d invalidations are owed, want none", owed)
		}
	})
}

// A write that gets stuck, is given up, and then takes its goroutine with it,
// leaves the write-back in order: Close still waits for the next one.
func TestClose_waits_after_a_late_Goexit(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(func(ctx context.Context, op cachetest.Op, key string) error {
			w.store.Inject(nil)
			idle(2 * time.Second)
			return cachetest.Goexit(ctx, op, key)
		}, cachetest.Set)
		_ = w.Set(context.Background(), "a", "value of a")
		pass(3 * time.Second)
		w.store.Inject(func(context.Context, cachetest.Op, string) error { idle(500 * time.Millisecond); return nil }, cachetest.Set)
		_ = w.Set(context.Background(), "b", "value of b")
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, ok := w.store.Item("=b"); !ok {
			t.Error("Close did not wait for the write")
		}
	})
}

// Callers with next to no time left find a healthy store too slow. That says
// nothing of the store, and must not close it to all others.
func TestBreaker_impatient_callers_do_not_open_it(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(func(ctx context.Context, _ cachetest.Op, _ string) error {
			answer, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			<-answer.Done()
			return ctx.Err()
		}, cachetest.Get, cachetest.GetMany)
		for i := range 30 {
			ctx, cancel := context.WithTimeout(context.Background(), 8*time.Millisecond)
			_, _ = w.Get(ctx, fmt.Sprint("x", i))
			_, _ = w.GetMany(ctx, []string{fmt.Sprint("y", i), fmt.Sprint("z", i)})
			cancel()
		}
		if s := w.Stats().Reads; s.Late == 0 || s.Opened != 0 {
			t.Errorf("late %d, opened %d; want more than 0, 0", s.Late, s.Opened)
		}
		// A probe that had no chance leaves the breaker half-open, for the
		// next one.
		w.store.Inject(cachetest.Fail(cache.ErrPermanent), cachetest.Get)
		w.want("a", cache.SourceOrigin)
		w.store.Inject(nil)
		settle()
		other := newWorld(t, w.store, nil)
		other.want("b", cache.SourceOrigin)
		other.close()
		w.store.Inject(cachetest.Hang, cachetest.Get)
		pass(1300 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Millisecond)
		_, _ = w.Get(ctx, "c")
		cancel()
		w.store.Inject(nil)
		w.want("b", cache.SourceRemote)
	})
}

type panicAEAD struct{ cipher.AEAD }

func (panicAEAD) NonceSize() int                                   { return 12 }
func (panicAEAD) Seal(dst, nonce, plain, extra []byte) []byte      { panic("seal") }
func (panicAEAD) Open(dst, nonce, b, extra []byte) ([]byte, error) { panic("open") }

// The key service behind an AEAD is down, and its client panics.
func TestAEAD_panics(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, func(o *cache.Options[string]) { o.AEAD = aead }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		broken := newWorld(t, w.store, func(o *cache.Options[string]) { o.AEAD = panicAEAD{} })
		broken.want("a", cache.SourceOrigin)
		settle()
		if err := broken.Invalidate(context.Background(), "a"); err == nil {
			t.Error("Invalidate: no error, though the tombstone cannot be made")
		}
		settle()
		if s := broken.Stats(); s.Poison != 1 || s.Rejected != 1 {
			t.Errorf("poison %d, rejected %d; want 1, 1", s.Poison, s.Rejected)
		}
		broken.lossy = true
		broken.close()
	})
}

type panicHandler struct{ slog.Handler }

func (panicHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (panicHandler) Handle(context.Context, slog.Record) error { panic("disk full") }

func TestLogger_panics(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Logger = slog.New(panicHandler{}) }, func(w *world) {
		w.store.Inject(cachetest.Fail(cache.ErrPermanent), cachetest.Get)
		w.want("a", cache.SourceOrigin)
		if n := w.Stats().CallbackPanics; n != 1 || !w.saw(cache.EventBreaker) {
			t.Errorf("%d panics counted, event %t; want 1, true", n, w.saw(cache.EventBreaker))
		}
	})
}

// A panic is a fault, whatever its value is: it is not the origin's word that
// the user has logged out, nor the store's that there is nothing.
func TestPanic_with_a_sentinel_is_a_fault(t *testing.T) {
	inWorld(t, staleFor(time.Hour), func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		pass(2 * time.Minute)
		w.store.Inject(func(context.Context, cachetest.Op, string) error { panic(cache.ErrNotFound) }, cachetest.Get)
		v, err := w.GetOrLoad(context.Background(), "a", func(context.Context, string) (string, error) { panic(cache.ErrNotFound) })
		if v != "value of a" || err != nil {
			t.Errorf("%q, %v; want the stale value", v, err)
		}
		if s := w.Stats().Reads; s.Faults != 1 {
			t.Errorf("%d faults of the store, want 1", s.Faults)
		}
	})
}

// The first caller has left, and the load runs into LoadTimeout: those who
// wait get that, not the first one's cancellation.
func TestLoad_times_out_after_its_first_caller_left(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.Load = func(ctx context.Context, _ string) (string, error) { // as net/http does
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
	}, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = w.Get(ctx, "a") })
		settle()
		wg.Go(func() { w.wantErr("a", cache.ErrLoadTimeout) })
		settle()
		cancel()
		wg.Wait()
	})
}

// "Do not keep this one" may be said with the largest int.
func TestMaxBytes_cost_is_the_largest_int(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.MaxBytes, o.Store = 1<<20, nil
		o.Cost = func(string) int { return math.MaxInt }
	}, func(w *world) {
		w.want("a", cache.SourceOrigin)
		w.want("a", cache.SourceOrigin)
		if s := w.Stats(); s.Entries != 0 || s.Bytes != 0 {
			t.Errorf("%d entries, %d bytes; want 0, 0", s.Entries, s.Bytes)
		}
	})
}

// Without negative caching, made-up keys do not push real ones out of memory.
func TestNegative_off_without_a_store(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Store, o.NegativeTTL = nil, -1 }, func(w *world) {
		for i := range 10 {
			w.wantErr(fmt.Sprint("nobody ", i), cache.ErrNotFound)
		}
		if n := w.Stats().Entries; n != 0 {
			t.Errorf("%d entries, want 0", n)
		}
	})
}

// What is read only with GetMany is in use: it stays in memory, and is
// refreshed early.
func TestGetMany_hits_count_as_use(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.MaxEntries = 2 }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		w.want("b", cache.SourceOrigin)
		pass(2 * time.Second)
		if _, err := w.GetMany(context.Background(), []string{"a"}); err != nil {
			t.Error(err)
		}
		w.want("c", cache.SourceOrigin)
		w.want("a", cache.SourceLocal)
	})
	inWorld(t, func(o *cache.Options[string]) { o.EarlyRefresh = 100 }, func(w *world) {
		w.origin.Slow(100 * time.Millisecond)
		w.want("a", cache.SourceOrigin)
		for range 120 {
			pass(time.Second)
			_, _ = w.GetMany(context.Background(), []string{"a"})
		}
		if s := w.Stats(); s.Origin != 1 || s.EarlyRefreshes == 0 {
			t.Errorf("%d misses, %d early refreshes; want 1, some", s.Origin, s.EarlyRefreshes)
		}
	})
}

// A slow origin that loads many at once is as slow as one that does not.
func TestGetMany_soft_timeout(t *testing.T) {
	var w *world
	var calls [][]string
	load := loadMany(&w, &calls)
	inWorld(t, func(o *cache.Options[string]) {
		o.StaleIfError, o.SoftTimeout = time.Hour, 50*time.Millisecond
		load(o)
	}, func(made *world) {
		w = made
		w.wantMany()
		pass(2 * time.Minute)
		w.origin.Slow(time.Second)
		began := time.Now()
		w.wantAll("a", "b", "c")
		if took := time.Since(began); took > 60*time.Millisecond {
			t.Errorf("GetMany took %v, want SoftTimeout", took)
		}
		pass(5 * time.Second)
	})
}

// plain is a Store without GetMany.
type plain struct{ cache.Store }

// A Store that cannot read many at once is still read.
func TestGetMany_reads_a_plain_store(t *testing.T) {
	var w *world
	var calls [][]string
	load := loadMany(&w, &calls)
	inWorld(t, nil, func(first *world) {
		first.wantAll("a", "b", "c")
		settle()
		w = newWorld(t, first.store, func(o *cache.Options[string]) { o.Store = plain{first.store}; load(o) })
		w.wantAll("a", "b", "c")
		if s := w.Stats(); s.Remote != 3 || s.Loads != 0 {
			t.Errorf("%d from the store, %d loads; want 3, 0", s.Remote, s.Loads)
		}
		w.close()
	})
}

// wantAll wants the values of these keys from GetMany.
func (w *world) wantAll(keys ...string) {
	w.t.Helper()
	got, err := w.GetMany(context.Background(), keys)
	if err != nil || len(got) != len(keys) {
		w.t.Errorf("GetMany found %d of %d, %v", len(got), len(keys), err)
	}
}

// After Close, too, the statistics tell of a failing origin.
func TestClose_loads_that_fail_are_counted(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.close()
		w.origin.Fail(errDown)
		w.wantErr("a", errDown)
		if s := w.Stats(); s.Loads != 1 || s.LoadErrors != 1 {
			t.Errorf("%d loads, %d failed; want 1, 1", s.Loads, s.LoadErrors)
		}
	})
}

// pagewise is a Store that needs 10 ms for every 100 keys, one after the
// other, as DynamoDB does.
type pagewise struct{ *cachetest.Store }

func (p pagewise) GetMany(ctx context.Context, keys []string) (map[string]cache.Item, error) {
	idle(10 * time.Millisecond * time.Duration((len(keys)+99)/100))
	return p.Store.GetMany(ctx, keys)
}

// A thousand keys at once are no fault of the store.
func TestGetMany_1000_keys_open_no_breaker(t *testing.T) {
	var keys []string
	inWorld(t, nil, func(w *world) {
		for i := range 1000 {
			keys = append(keys, fmt.Sprint(i))
			w.origin.Put(keys[i], "value of "+keys[i])
		}
		w.wantAll(keys...)
		settle()
		for range 3 {
			other := newWorld(t, w.store, func(o *cache.Options[string]) { o.Store = pagewise{w.store} })
			other.wantAll(keys...)
			if s := other.Stats(); s.Remote != 1000 || s.Reads.Faults != 0 {
				t.Errorf("%d keys from the store with %d faults, want 1,000 and none", s.Remote, s.Reads.Faults)
			}
			other.close()
		}
	})
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// The tests of this file are named after what somebody would be paged for.

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

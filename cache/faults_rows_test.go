package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

func faultP(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(0)
		w.store.Inject(cachetest.Hang)
		began := time.Now()
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			w.get(key, overBudget)
		}
		if took := time.Since(began); took > 160*time.Millisecond {
			t.Errorf("5 keys in turn took %v, want at most 160 ms", took)
		}
		if calls := w.store.Calls(cachetest.Get); calls != 3 {
			t.Errorf("%d reads of the store, want 3, and none once the breaker is open", calls)
		}
	})
}

func faultQ(t *testing.T) {
	inWorld(t, staleFor(10*time.Minute), func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		for range 3 { // past the TTL, and past everything
			pass(5 * time.Minute)
			other := newWorld(t, w.store, nil)
			other.store.Inject(cachetest.Fail(errDown), cachetest.Set)
			other.want("a", cache.SourceOrigin)
			other.close()
		}
	})
}

func faultR(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Hang)
		wave := func(n int) (calls int) {
			before := w.store.Calls(cachetest.Get)
			var wg sync.WaitGroup
			for i := range 200 {
				key := fmt.Sprint(n, "-", i)
				w.origin.Put(key, "value of "+key)
				wg.Go(func() { w.get(key, overBudget) })
			}
			wg.Wait()
			return w.store.Calls(cachetest.Get) - before
		}
		wave(1)
		pass(1300 * time.Millisecond) // the longest wait: 1 s + 20 %
		if calls := wave(2); calls != 1 {
			t.Errorf("the second wave made %d reads, want 1 probe", calls)
		}
		w.store.Inject(nil)
		pass(1300 * time.Millisecond)
		wave(3)
		if calls := wave(4); calls != 200 {
			t.Errorf("after recovery 200 misses made %d reads, want 200", calls)
		}
	})
}

func faultS(t *testing.T) {
	for _, negative := range []time.Duration{0, -1} {
		inWorld(t, func(o *cache.Options[string]) { o.StaleIfError, o.NegativeTTL = time.Hour, negative }, func(w *world) {
			w.want("a", cache.SourceOrigin)
			settle()
			pass(2 * time.Minute)
			w.origin.Remove("a") // logged out
			w.wantErr("a", cache.ErrNotFound)
			settle()
			w.origin.Fail(errDown)
			pass(10 * time.Second) // past NegativeTTL
			w.wantErr("a", errDown)
			other := newWorld(t, w.store, staleFor(time.Hour)) // nor anywhere else
			other.origin.Fail(errDown)
			other.wantErr("a", errDown)
			other.close()
		})
	}
}

func faultT(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { w.get("a", 2*time.Second) }) // began before: may get the old value
		pass(500 * time.Millisecond)
		w.origin.Remove("a")
		if err := w.Invalidate(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		w.wantErr("a", cache.ErrNotFound) // began after: may not
		wg.Wait()
		settle()
		w.wantErr("a", cache.ErrNotFound)
		other := newWorld(t, w.store, nil)
		other.origin.Fail(errDown)
		other.wantErr("a", cache.ErrNotFound) // the old load did not reach the store either; what the origin said did
		other.close()
	})
	// The store cannot be told: the caller hears of it, and this process
	// still does not serve the old value that it finds there.
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		w.store.Inject(cachetest.Fail(errDown), cachetest.Set)
		w.origin.Remove("a")
		if err := w.Invalidate(context.Background(), "a"); !errors.Is(err, errDown) {
			t.Errorf("Invalidate: %v, want the store's error", err)
		}
		w.wantErr("a", cache.ErrNotFound)
		pass(10 * time.Second)
		w.origin.Fail(errDown)
		w.wantErr("a", errDown)
		if w.Stats().Outdated == 0 {
			t.Error("the store's old item was not counted as outdated")
		}
	})
	// Nor when the local tier has forgotten the key: a session that was
	// logged out during an outage does not come back after it.
	inWorld(t, func(o *cache.Options[string]) { o.MaxEntries = 1 }, func(w *world) {
		for _, key := range []string{"a", "b"} {
			w.want(key, cache.SourceOrigin)
			settle()
		}
		w.store.Inject(cachetest.Fail(errDown), cachetest.Set)
		w.origin.Remove("a")
		_ = w.Invalidate(context.Background(), "a")
		w.want("b", cache.SourceLocal)
		w.wantErr("a", cache.ErrNotFound) // evicts b
		w.want("b", cache.SourceRemote)   // evicts that again
		w.origin.Fail(errDown)
		w.wantErr("a", errDown)
		if owed := w.Stats().Owed; owed != 1 {
			t.Errorf("%d invalidations are owed, want 1", owed)
		}
		// The next write that succeeds takes the news along.
		w.store.Inject(nil)
		w.origin.Fail(nil)
		pass(2 * time.Second)
		w.want("c", cache.SourceOrigin)
		settle()
		other := newWorld(t, w.store, nil)
		other.origin.Fail(errDown)
		other.wantErr("a", errDown)
		other.close()
		if owed := w.Stats().Owed; owed != 0 {
			t.Errorf("%d invalidations are still owed, want none", owed)
		}
	})
	// More than can be remembered: everything older is distrusted.
	inWorld(t, func(o *cache.Options[string]) { o.MaxEntries = 1 }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		w.store.Inject(cachetest.Fail(errDown), cachetest.Set)
		w.lossy = true
		for i := range 40_000 {
			_ = w.Invalidate(context.Background(), fmt.Sprint(i))
		}
		if s := w.Stats(); s.Owed > 8<<20/256 || s.Owed+s.EndingsLost != 40_000 {
			t.Errorf("%d invalidations are owed, %d lost; want at most 32,768, and 40,000 together", s.Owed, s.EndingsLost)
		}
		w.want("b", cache.SourceOrigin) // evicts a
		w.want("a", cache.SourceOrigin)
		other := newWorld(t, w.store, nil)
		other.want("a", cache.SourceRemote)
		other.close()
	})
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		w.InvalidateAll()
		w.want("a", cache.SourceOrigin)
	})
}

func faultU(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		slow := newWorld(t, w.store, nil)
		slow.origin.Put("a", "value of a, old")
		slow.origin.Slow(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = slow.Get(context.Background(), "a") })
		pass(500 * time.Millisecond)
		w.want("a", cache.SourceOrigin) // loaded later, stored earlier
		wg.Wait()
		settle()
		other := newWorld(t, w.store, nil)
		other.want("a", cache.SourceRemote)
		other.close()
		slow.close()
	})
}

func faultW(t *testing.T) {
	store := new(cachetest.Store)
	synctest.Test(t, func(t *testing.T) { // a writer whose clock is an hour ahead
		pass(time.Hour)
		w := newWorld(t, store, staleFor(time.Hour))
		w.origin.Put("a", "value of a, written an hour ahead")
		_, _ = w.Get(context.Background(), "a")
		w.close()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store, staleFor(time.Hour))
		w.want("a", cache.SourceOrigin) // its item is not trusted
		if w.Stats().Outdated != 1 {
			t.Error("the item from the future was not counted")
		}
		w.close()
		other := newWorld(t, store, nil) // and was replaced
		other.want("a", cache.SourceRemote)
		other.close()
	})
	synctest.Test(t, func(t *testing.T) { // to this reader that item is an hour old
		pass(time.Hour)
		w := newWorld(t, store, nil)
		w.want("a", cache.SourceOrigin)
		w.close()
	})
	synctest.Test(t, func(t *testing.T) { // a writer two seconds ahead is nothing unusual
		w := newWorld(t, store, nil)
		pass(2 * time.Second)
		w.want("b", cache.SourceOrigin)
		w.close()
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store, nil)
		if r := w.get("b", time.Second); r.Source != cache.SourceRemote || r.Age < 0 {
			t.Errorf("source %v, age %v; want remote, not negative", r.Source, r.Age)
		}
		w.close()
	})
}

func faultX(t *testing.T) {
	long := strings.Repeat("k", 3*1024)
	for _, key := range []string{"", long, "\x00", "\xff\xfe", "ключ"} {
		inWorld(t, nil, func(w *world) {
			w.origin.Put(key, "value of "+key)
			w.want(key, cache.SourceOrigin)
			settle()
			other := newWorld(t, w.store, nil)
			other.want(key, cache.SourceRemote)
			other.close()
			if keys := w.store.Keys(); len(keys) != 1 || len(keys[0]) > 2048 || keys[0] == "" {
				t.Errorf("the key of %d bytes is stored under %d keys, the first of %d bytes", len(key), len(keys), len(keys[0]))
			}
		})
	}
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Fail(fmt.Errorf("500 KB: %w", cache.ErrRejected)), cachetest.Set)
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			w.want(key, cache.SourceOrigin)
			settle()
		}
		if s := w.Stats(); s.Rejected != 5 || s.Writes.Breaker != "closed" || s.Writes.Faults != 0 {
			t.Errorf("rejected %d, breaker %s, faults %d; want 5, closed, 0", s.Rejected, s.Writes.Breaker, s.Writes.Faults)
		}
	})
}

// badCodec panics.
type badCodec struct{ encode, decode bool }

func (c badCodec) Encode(v string) ([]byte, error) {
	if c.encode {
		panic("encode")
	}
	return cache.JSON[string]{}.Encode(v)
}

func (c badCodec) Decode(b []byte) (string, error) {
	if c.decode {
		panic("decode")
	}
	return cache.JSON[string]{}.Decode(b)
}

func faultY(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		decode := newWorld(t, w.store, func(o *cache.Options[string]) { o.Codec = badCodec{decode: true} })
		decode.want("a", cache.SourceOrigin)
		if decode.Stats().Poison != 1 {
			t.Error("the panic in Decode was not counted")
		}
		decode.close()
		encode := newWorld(t, w.store, func(o *cache.Options[string]) { o.Codec = badCodec{encode: true} })
		encode.want("b", cache.SourceOrigin)
		settle()
		if encode.Stats().Rejected != 1 {
			t.Error("the panic in Encode was not counted")
		}
		encode.close()
	})
}

func faultAD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, new(cachetest.Store), func(o *cache.Options[string]) { o.WriteTimeout = time.Minute })
		w.store.Inject(cachetest.Hang)
		for i := range 100 {
			if err := w.Set(context.Background(), fmt.Sprint(i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want context.DeadlineExceeded", err)
		}
		if took := time.Since(began); took > 1010*time.Millisecond {
			t.Errorf("Close took %v, want 1 s", took)
		}
		if s := w.Stats(); s.WritesDropped != 96 || s.WritesQueued != 0 {
			t.Errorf("dropped %d, queued %d; want 96 (4 are being written), 0", s.WritesDropped, s.WritesQueued)
		}
		w.get("a", 10*time.Millisecond) // passes through, and keeps nothing
		w.want("a", cache.SourceOrigin)
		w.store.Inject(nil)
		pass(2 * time.Minute)
		if err := w.Close(context.Background()); !errors.Is(err, cache.ErrEndingsLost) {
			t.Errorf("second Close: %v, want ErrEndingsLost: nobody was told what 100 Sets replaced", err)
		}
		if lost := w.Stats().EndingsLost; lost != 100 {
			t.Errorf("%d endings lost, want 100", lost)
		}
	})
}

// faultAE is the property that everything else is for: whatever the store
// does, a result is the origin's value, the origin's error or the caller's
// own ctx.Err(), and nothing is left behind. Two processes share the store.
func faultAE(t *testing.T) {
	change := func(o *cache.Options[string]) {
		o.TTL, o.StaleIfError, o.Cooldown = 200*time.Millisecond, time.Second, 20*time.Millisecond
	}
	inWorld(t, change, func(w *world) {
		other := newWorld(t, w.store, change)
		worlds := []*world{w, other}
		deaf := func(context.Context, cachetest.Op, string) error { idle(150 * time.Millisecond); return nil }
		faults := []cachetest.Fault{
			nil, nil, nil, nil, nil, nil, nil, nil, cachetest.Hang, cachetest.Panic, cachetest.Goexit, deaf,
			cachetest.Fail(errDown), cachetest.Fail(cache.ErrPermanent), cachetest.Fail(cache.ErrRejected), cachetest.Fail(context.Canceled),
		}
		const keys = 500
		for i := range keys {
			for _, w := range worlds {
				w.origin.Put(fmt.Sprint(i), fmt.Sprint("value of ", i))
			}
		}
		weather, clear := context.WithCancel(context.Background())
		go func() {
			rnd := rand.New(rand.NewPCG(1, 2))
			for round := 0; ; round++ {
				idle(20 * time.Millisecond)
				if weather.Err() != nil {
					return // it changes nothing any more
				}
				if round%8 < 2 { // between two squalls: time for values to reach the store, and to be read there
					w.store.Inject(nil)
					continue
				}
				w.store.Inject(faults[rnd.IntN(len(faults))], cachetest.Get)
				w.store.Inject(faults[rnd.IntN(len(faults))], cachetest.Set)
				for _, key := range w.store.Keys() {
					if rnd.IntN(50) == 0 {
						w.store.Put(key, cache.Item{Value: []byte("garbage")})
					}
				}
				for _, w := range worlds {
					w.origin.Fail(map[bool]error{true: errDown}[rnd.IntN(5) == 0])
				}
			}
		}()
		var wg sync.WaitGroup
		for g := range 2 * short(500) {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(3, uint64(g)))
				for range 100 {
					ae(t, worlds[rnd.IntN(2)], rnd, rnd.IntN(keys))
				}
			})
		}
		wg.Wait()
		clear()
		pass(20 * time.Millisecond) // the weather has heard it
		if s := w.Stats(); s.Remote == 0 || s.Stale == 0 || s.Poison == 0 || s.Reads.Late == 0 || s.Reads.Opened == 0 || s.Writes.Opened == 0 {
			t.Errorf("the storm was too tame to prove anything: %+v", s)
		}
		w.store.Inject(nil)
		for _, w := range worlds {
			w.origin.Fail(nil)
		}
		pass(30 * time.Second)
		for _, w := range worlds {
			for i := range keys {
				w.get(fmt.Sprint(i), time.Second)
			}
			settle()
			if s := w.Stats(); s.Zombies != 0 || s.WritesQueued != 0 || s.Owed != 0 || s.Reads.Breaker != "closed" || s.CallbackPanics != 0 {
				t.Errorf("after the storm: %+v", s)
			}
		}
		other.close()
	})
}

// ae is one operation of faultAE and the judgement of its result.
func ae(t *testing.T, w *world, rnd *rand.Rand, i int) {
	key := fmt.Sprint(i)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if rnd.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(30))*time.Millisecond)
		defer cancel()
	}
	switch rnd.IntN(1000) {
	case 0, 1:
		_ = w.Invalidate(ctx, key)
	case 2, 3, 4, 5, 6:
		_ = w.Set(ctx, key, "value of "+key)
	default:
		began := time.Now()
		v, err := w.Get(ctx, key)
		took := time.Since(began)
		switch {
		case err == nil && v == "value of "+key:
		case errors.Is(err, errDown) && v == "":
		case err != nil && err == ctx.Err():
		default:
			t.Errorf("Get(%s) = %q, %v with ctx.Err() = %v", key, v, err, ctx.Err())
		}
		if took > 200*time.Millisecond {
			t.Errorf("Get(%s) took %v", key, took)
		}
	}
	idle(time.Duration(rnd.IntN(50)) * time.Millisecond)
}

package cache_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

func TestNew_refuses(t *testing.T) {
	good := func() cache.Options[string] { return cache.Options[string]{Load: load, TTL: time.Minute} }
	if c, err := cache.New(good()); err != nil {
		t.Fatal(err)
	} else if err := c.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*cache.Options[string]){
		"Load is nil":                       func(o *cache.Options[string]) { o.Load = nil },
		"TTL is 0s":                         func(o *cache.Options[string]) { o.TTL = 0 },
		"TTL is -1s":                        func(o *cache.Options[string]) { o.TTL = -time.Second },
		"StaleIfError is -1s":               func(o *cache.Options[string]) { o.StaleIfError = -time.Second },
		"LoadTimeout is -1s":                func(o *cache.Options[string]) { o.LoadTimeout = -time.Second },
		"RemoteBudget is -1s":               func(o *cache.Options[string]) { o.RemoteBudget = -time.Second },
		"WriteTimeout is -1s":               func(o *cache.Options[string]) { o.WriteTimeout = -time.Second },
		"Cooldown is -1s":                   func(o *cache.Options[string]) { o.Cooldown = -time.Second },
		"Concurrency is -1":                 func(o *cache.Options[string]) { o.Concurrency = -1 },
		"WriteQueue is -1":                  func(o *cache.Options[string]) { o.WriteQueue = -1 },
		"Trip is -1":                        func(o *cache.Options[string]) { o.Trip = -1 },
		"MaxEntries is -1":                  func(o *cache.Options[string]) { o.MaxEntries = -1 },
		"MaxBytes is -1":                    func(o *cache.Options[string]) { o.MaxBytes = -1 },
		"MaxBytes is set but Cost is not":   func(o *cache.Options[string]) { o.MaxBytes = 1 },
		"Cost is set but MaxBytes is not":   func(o *cache.Options[string]) { o.Cost = func(string) int { return 1 } },
		"SoftTimeout is -1s":                func(o *cache.Options[string]) { o.SoftTimeout = -time.Second },
		"SoftTimeout is set but StaleIfErr": func(o *cache.Options[string]) { o.SoftTimeout = time.Second },
		"SoftTimeout (10s) is not shorter":  func(o *cache.Options[string]) { o.SoftTimeout, o.StaleIfError = 10*time.Second, time.Hour },
		"Name \"a:\" has a colon":           func(o *cache.Options[string]) { o.Name = "a:" },
		"EarlyRefresh is -1":                func(o *cache.Options[string]) { o.EarlyRefresh = -1 },
		"EarlyRefresh is NaN":               func(o *cache.Options[string]) { o.EarlyRefresh = math.NaN() },
		"NegativeTTL (1h0m0s) is longer":    func(o *cache.Options[string]) { o.NegativeTTL = time.Hour },
		"KeySecret has 3 bytes":             func(o *cache.Options[string]) { o.KeySecret = []byte("abc") },
		"KeySecret has 0 bytes: it needs":   func(o *cache.Options[string]) { o.KeySecret = []byte{} },
		"TTL is 0s: it must be > 0, how lo": func(o *cache.Options[string]) { *o = cache.Options[string]{} },
	} {
		o := good()
		change(&o)
		c, err := cache.New(o)
		if c != nil || err == nil || !strings.Contains(err.Error(), "cache: Options."+want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}

func TestGet_bad_input(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		//lint:ignore SA1012 that is what is tested
		if v, err := w.Get(nil, "a"); err != nil || v != "value of a" { //nolint:staticcheck // nil on purpose
			t.Errorf("Get with a nil context: %q, %v", v, err)
		}
		if _, err := w.GetOrLoad(context.Background(), "b", nil); err == nil || !strings.Contains(err.Error(), "load is nil") {
			t.Errorf("GetOrLoad without a loader: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := w.Get(ctx, "c"); err != context.Canceled {
			t.Errorf("Get with a canceled context: %v, want context.Canceled", err)
		}
		if v, err := w.Get(ctx, "a"); err != nil || v != "value of a" {
			t.Errorf("a local hit with a canceled context: %q, %v; want the value", v, err)
		}
		if err := w.Set(ctx, "a", "x"); err != context.Canceled {
			t.Errorf("Set with a canceled context: %v", err)
		}
	})
}

func TestGetOrLoad(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		own := func(context.Context, string) (string, error) { return "my own", nil }
		for range 2 {
			if v, err := w.GetOrLoad(context.Background(), "a", own); v != "my own" || err != nil {
				t.Errorf("GetOrLoad: %q, %v", v, err)
			}
		}
		if w.origin.Total() != 0 {
			t.Error("the cache's own loader was asked")
		}
	})
}

func TestLookup_tells_source_and_age(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if r := w.get("a", time.Second); r.Source != cache.SourceOrigin || r.Age != 10*time.Millisecond {
			t.Errorf("source %v, age %v; want origin, the 10 ms of the load", r.Source, r.Age)
		}
		pass(20 * time.Second)
		if r := w.get("a", 0); r.Source != cache.SourceLocal || r.Age != 20*time.Second+10*time.Millisecond {
			t.Errorf("source %v, age %v; want local, 20.01 s", r.Source, r.Age)
		}
		other := newWorld(t, w.store, nil)
		if r := other.get("a", 0); r.Source != cache.SourceRemote || r.Age.Round(time.Second) != 20*time.Second {
			t.Errorf("source %v, age %v; want remote, about 20 s", r.Source, r.Age)
		}
		// What was 20 s old in the store is not fresh for a whole TTL here.
		pass(50 * time.Second)
		other.store.Inject(cachetest.Fail(errDown))
		other.want("a", cache.SourceOrigin)
		other.close()
	})
}

func TestNegative(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.NegativeTTL = 10 * time.Second }, func(w *world) {
		for range 3 {
			w.wantErr("nobody", cache.ErrNotFound)
		}
		settle()
		other := newWorld(t, w.store, nil)
		other.wantErr("nobody", cache.ErrNotFound)
		if own, others := w.origin.Total(), other.origin.Total(); own != 1 || others != 0 {
			t.Errorf("loads: %d here, %d in the other process; want 1, 0", own, others)
		}
		other.close()
		w.origin.Put("nobody", "value of nobody")
		pass(12 * time.Second)
		w.want("nobody", cache.SourceOrigin)
	})
	inWorld(t, func(o *cache.Options[string]) { o.NegativeTTL = -1 }, func(w *world) {
		for range 3 {
			w.wantErr("nobody", cache.ErrNotFound)
		}
		if loads := w.origin.Total(); loads != 3 {
			t.Errorf("%d loads, want 3: not found is not remembered", loads)
		}
		_, _ = w.GetMany(context.Background(), []string{"nobody", "nor him", "nor her"})
		settle()
		if keys := w.store.Keys(); len(keys) != 0 || w.Stats().Entries != 0 {
			t.Errorf("unknown keys left %v in the store, and %d entries", keys, w.Stats().Entries)
		}
	})
}

func TestSet(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = w.Get(context.Background(), "a") })
		pass(500 * time.Millisecond)
		w.origin.Put("a", "something else")
		if err := w.Set(context.Background(), "a", "value of a"); err != nil {
			t.Fatal(err)
		}
		w.want("a", cache.SourceLocal)
		wg.Wait() // the load that was under way does not overwrite it
		w.want("a", cache.SourceLocal)
		settle()
		other := newWorld(t, w.store, nil)
		other.want("a", cache.SourceRemote)
		other.close()
	})
}

func TestExpires(t *testing.T) {
	end := time.Time{}
	inWorld(t, func(o *cache.Options[string]) {
		o.StaleIfError = time.Hour
		o.Expires = func(string) time.Time { return end }
	}, func(w *world) {
		end = time.Now().Add(20 * time.Second)
		w.want("a", cache.SourceOrigin)
		pass(15 * time.Second)
		w.want("a", cache.SourceLocal)
		pass(6 * time.Second)
		w.origin.Fail(errDown)
		w.wantErr("a", errDown) // not even stale
		other := newWorld(t, w.store, staleFor(time.Hour))
		other.origin.Fail(errDown)
		other.wantErr("a", errDown) // nor elsewhere
		other.close()
	})
}

func TestSoftTimeout(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.StaleIfError, o.SoftTimeout = time.Hour, 50*time.Millisecond }, func(w *world) {
		w.origin.Slow(time.Second)
		w.want("a", cache.SourceOrigin) // nothing to serve instead: it waits
		settle()
		pass(2 * time.Minute)
		for range 3 { // the first waits for SoftTimeout, the others for nothing
			if r := w.get("a", 50*time.Millisecond); r.Source != cache.SourceStale {
				t.Errorf("source %v, want stale", r.Source)
			}
		}
		pass(time.Second)
		w.want("a", cache.SourceLocal) // the load went on
		if calls := w.origin.Calls("a"); calls != 2 {
			t.Errorf("%d loads, want 2", calls)
		}
		// The wait for a slot counts too, and an authoritative "gone" that
		// comes late still ends the value.
		pass(2 * time.Minute)
		w.origin.Remove("a")
		w.want("a", cache.SourceStale)
		pass(time.Second)
		w.wantErr("a", cache.ErrNotFound)
	})
	inWorld(t, func(o *cache.Options[string]) {
		o.StaleIfError, o.SoftTimeout, o.Concurrency = time.Hour, 50*time.Millisecond, 1
	}, func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(2 * time.Minute)
		w.origin.Slow(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { w.get("b", time.Second) })
		settle()
		w.get("a", 50*time.Millisecond) // "b" holds the only slot
		wg.Wait()
		pass(2 * time.Second)
	})
}

func TestEarlyRefresh(t *testing.T) {
	// Hits every second, loads of 100 ms: an expiry is never noticed.
	inWorld(t, func(o *cache.Options[string]) { o.EarlyRefresh = 100 }, func(w *world) {
		w.origin.Slow(100 * time.Millisecond)
		w.want("a", cache.SourceOrigin)
		for range 600 {
			pass(time.Second)
			w.want("a", cache.SourceLocal)
		}
		settle()
		s := w.Stats()
		if s.Origin != 1 || s.EarlyRefreshes < 8 || s.EarlyRefreshes > 60 || s.Loads != s.EarlyRefreshes+1 {
			t.Errorf("in ten minutes: %d misses, %d early refreshes, %d loads; want 1, about 11, one more", s.Origin, s.EarlyRefreshes, s.Loads)
		}
		// A failing origin is not asked again before the TTL has ended.
		w.origin.Fail(errDown)
		loads := w.origin.Calls("a")
		for range 40 {
			pass(time.Second)
			_, _ = w.Get(context.Background(), "a")
			if r := w.Lookup(context.Background(), "a"); r.Err != nil {
				break
			}
		}
		if n := w.origin.Calls("a") - loads; n > 3 {
			t.Errorf("%d loads from a failing origin, want at most one before and two after the end of the TTL", n)
		}
	})
	// When all slots are taken it gives way.
	inWorld(t, func(o *cache.Options[string]) { o.EarlyRefresh, o.Concurrency = 100, 1 }, func(w *world) {
		w.origin.Slow(100 * time.Millisecond)
		w.want("a", cache.SourceOrigin)
		w.origin.Slow(3 * time.Second)
		pass(50 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { w.get("b", 3*time.Second) })
		settle()
		for w.Stats().EarlyRefreshes == 0 {
			w.want("a", cache.SourceLocal)
		}
		settle()
		if s := w.Stats(); s.LoadsQueued != 0 || w.origin.Calls("a") != 1 {
			t.Errorf("%d loads queued, %d of a; want 0, 1", s.LoadsQueued, w.origin.Calls("a"))
		}
		wg.Wait()
	})
	// A refresh that fails after its value has expired is a miss like any
	// other to those who wait for it by then.
	inWorld(t, func(o *cache.Options[string]) { o.EarlyRefresh, o.StaleIfError = 100, time.Hour }, func(w *world) {
		w.origin.Slow(5 * time.Second)
		w.want("a", cache.SourceOrigin)
		w.origin.Fail(errDown)
		for w.Stats().EarlyRefreshes == 0 {
			w.want("a", cache.SourceLocal)
			pass(100 * time.Millisecond)
		}
		for range 70 {
			if r := w.get("a", 6*time.Second); r.Source != cache.SourceLocal && r.Source != cache.SourceStale {
				t.Errorf("source %v", r.Source)
			}
			pass(time.Second)
		}
		w.want("a", cache.SourceStale)
	})
	// Off by default.
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(53 * time.Second)
		w.want("a", cache.SourceLocal)
		if n := w.Stats().EarlyRefreshes; n != 0 {
			t.Errorf("%d early refreshes", n)
		}
	})
	// What another process refreshed is taken from the store.
	inWorld(t, func(o *cache.Options[string]) { o.EarlyRefresh = 100 }, func(w *world) {
		w.origin.Slow(100 * time.Millisecond)
		w.want("a", cache.SourceOrigin)
		settle()
		other := newWorld(t, w.store, nil)
		pass(30 * time.Second)
		if err := other.Set(context.Background(), "a", "value of a"); err != nil {
			t.Error(err)
		}
		settle()
		for range 230 { // so often that chance does not matter
			pass(100 * time.Millisecond)
			w.want("a", cache.SourceLocal)
		}
		settle()
		if s := w.Stats(); s.Loads != 1 || s.EarlyRefreshes == 0 {
			t.Errorf("%d loads, %d early refreshes; want 1 load, the refreshes from the store", s.Loads, s.EarlyRefreshes)
		}
		other.close()
	})
}

func TestJitter(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Store = nil }, func(w *world) {
		w.origin.Slow(0)
		for i := range 1000 {
			w.origin.Put(fmt.Sprint(i), "v")
			_, _ = w.Get(context.Background(), fmt.Sprint(i))
		}
		loads := w.origin.Total()
		pass(53 * time.Second)
		for i := range 1000 {
			_, _ = w.Get(context.Background(), fmt.Sprint(i))
		}
		if n := w.origin.Total() - loads; n != 0 {
			t.Errorf("%d of 1,000 expired before 90 %% of the TTL", n)
		}
		pass(7 * time.Second)
		for i := range 1000 {
			_, _ = w.Get(context.Background(), fmt.Sprint(i))
		}
		if n := w.origin.Total() - loads; n < 300 || n > 700 {
			t.Errorf("%d of 1,000 expired around the TTL; want about half of them", n)
		}
	})
}

func TestConcurrency_protects_the_origin(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Concurrency, o.LoadTimeout = 8, time.Second }, func(w *world) {
		w.origin.Slow(100 * time.Millisecond)
		var wg sync.WaitGroup
		var mu sync.Mutex
		outcomes := make(map[error]int)
		for i := range 100 {
			key := fmt.Sprint(i)
			w.origin.Put(key, "value of "+key)
			wg.Go(func() {
				_, err := w.Get(context.Background(), key)
				if errors.Is(err, context.DeadlineExceeded) { // got its slot with less than 100 ms left
					err = cache.ErrLoadTimeout
				}
				mu.Lock()
				outcomes[err]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if busiest := w.origin.Busiest(); busiest != 8 {
			t.Errorf("%d loads at once, want 8", busiest)
		}
		if outcomes[nil] < 72 || outcomes[nil]+outcomes[cache.ErrOriginBusy]+outcomes[cache.ErrLoadTimeout] != 100 {
			t.Errorf("outcomes %v; want at least 9 rounds of 8 served, and ErrOriginBusy or ErrLoadTimeout for the rest", outcomes)
		}
		if s := w.Stats(); s.LoadsQueued != 92 || s.LoadsBusy != int64(outcomes[cache.ErrOriginBusy]) {
			t.Errorf("%d queued, %d busy; want 92, %d", s.LoadsQueued, s.LoadsBusy, outcomes[cache.ErrOriginBusy])
		}
	})
}

func TestMaxEntries(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Store, o.MaxEntries = nil, 100 }, func(w *world) {
		for i := range 1000 {
			_ = w.Set(context.Background(), fmt.Sprint(i), "v")
		}
		if s := w.Stats(); s.Entries != 100 || s.Evicted != 900 {
			t.Errorf("%d entries, %d evicted; want 100, 900", s.Entries, s.Evicted)
		}
		_, _ = w.Get(context.Background(), "950")
		if s := w.Stats(); s.Local != 1 {
			t.Error("a recent entry is not there")
		}
	})
}

func TestMaxBytes(t *testing.T) {
	change := func(o *cache.Options[string]) {
		o.Store, o.MaxBytes = nil, 64<<10
		o.Cost = func(v string) int {
			if v == "panic" {
				panic("no idea")
			}
			return len(v)
		}
	}
	inWorld(t, change, func(w *world) {
		for i := range 1000 {
			_ = w.Set(context.Background(), fmt.Sprint(i), strings.Repeat("x", 1000))
		}
		if s := w.Stats(); s.Bytes > 64<<10 || s.Bytes < 32<<10 || s.Entries > 64 {
			t.Errorf("%d bytes in %d entries; want at most %d bytes", s.Bytes, s.Entries, 64<<10)
		}
		_ = w.Set(context.Background(), "huge", strings.Repeat("x", 1<<20))
		_ = w.Set(context.Background(), "0", "panic")
		if s := w.Stats(); s.Entries < 30 || s.CallbackPanics != 1 || !w.saw(cache.EventCallback) {
			t.Errorf("a value that cannot be kept drove out the others, or its panic was not counted: %+v", s)
		}
		w.want("a", cache.SourceOrigin)
	})
}

func TestKeySecret(t *testing.T) {
	change := func(o *cache.Options[string]) { o.Name, o.KeySecret = "sessions", []byte("0123456789abcdef") }
	inWorld(t, change, func(w *world) {
		w.store.Inject(cachetest.Fail(errDown), cachetest.Get)
		w.origin.Put("secret-token", "value of secret-token")
		w.want("secret-token", cache.SourceOrigin)
		settle()
		keys := w.store.Keys()
		if len(keys) != 1 || !strings.HasPrefix(keys[0], "sessions:#") || strings.Contains(keys[0], "secret-token") {
			t.Errorf("stored under %q", keys)
		}
		for _, e := range w.events {
			if s := fmt.Sprintf("%+v", e); strings.Contains(s, "secret-token") {
				t.Errorf("the key is in an event: %s", s)
			}
		}
		other := newWorld(t, w.store, func(o *cache.Options[string]) { o.Name, o.KeySecret = "sessions", []byte("another secret 1") })
		other.origin.Put("secret-token", "value of secret-token")
		other.want("secret-token", cache.SourceOrigin)
		other.close()
	})
}

func TestAEAD(t *testing.T) {
	change := func(b byte) func(*cache.Options[string]) {
		block, err := aes.NewCipher([]byte(strings.Repeat(string(b), 16)))
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		return func(o *cache.Options[string]) { o.AEAD = aead }
	}
	inWorld(t, change('k'), func(w *world) {
		w.want("a", cache.SourceOrigin)
		w.wantErr("nobody", cache.ErrNotFound)
		settle()
		item, _ := w.store.Item("=a")
		if strings.Contains(string(item.Value), "value of") {
			t.Error("the value is stored in clear")
		}
		same := newWorld(t, w.store, change('k'))
		same.want("a", cache.SourceRemote)
		same.wantErr("nobody", cache.ErrNotFound)
		if same.origin.Total() != 0 {
			t.Error("with the same key the items cannot be read")
		}
		same.close()
		for name, other := range map[string]func(*cache.Options[string]){"another key": change('x'), "no key": nil} {
			other := newWorld(t, w.store, other)
			other.store.Inject(cachetest.Fail(errDown), cachetest.Set)
			other.want("a", cache.SourceOrigin)
			if other.Stats().Poison != 1 {
				t.Errorf("%s: the item was not counted as poison", name)
			}
			other.close()
		}
	})
}

package cache_test

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// Code that the cache is given may panic, end its goroutine (a t.FailNow in a
// fake is enough) or both. Whatever it does, callers get their value, and the
// cache closes.

type exitCodec struct{ encode, decode func() }

func (c exitCodec) Encode(v string) ([]byte, error) {
	if c.encode != nil {
		c.encode()
	}
	return []byte(v), nil
}

func (c exitCodec) Decode(b []byte) (string, error) {
	if c.decode != nil {
		c.decode()
	}
	return string(b), nil
}

type badAEAD struct {
	cipher.AEAD
	fail func()
}

func (a badAEAD) NonceSize() int                                   { a.fail(); return 12 }
func (a badAEAD) Overhead() int                                    { a.fail(); return 16 }
func (a badAEAD) Seal(dst, nonce, plain, extra []byte) []byte      { a.fail(); return dst }
func (a badAEAD) Open(dst, nonce, b, extra []byte) ([]byte, error) { a.fail(); return nil, nil }

type badHandler struct {
	slog.Handler
	fail func()
}

func (h badHandler) Enabled(context.Context, slog.Level) bool  { h.fail(); return true }
func (h badHandler) Handle(context.Context, slog.Record) error { h.fail(); return nil }

// badError is an error whose methods are as bad as any callback.
type badError struct{ fail func() }

func (e badError) Error() string   { return "bad error" }
func (e badError) Is(error) bool   { e.fail(); return false }
func (e badError) As(any) bool     { e.fail(); return false }
func (e badError) Unwrap() []error { e.fail(); return nil }

func TestCallbacks_that_do_not_return(t *testing.T) {
	for how, fail := range map[string]func(){
		"panic": func() { panic("callback") }, "Goexit": runtime.Goexit,
		"panic(nil)":            func() { panic(nil) }, //nolint:govet // on purpose
		"panic with a sentinel": func() { panic(cache.ErrNotFound) },
		"panic with an error that panics": func() {
			panic(badError{func() { panic("again") }})
		},
		"panic with an error that exits": func() { panic(badError{runtime.Goexit}) },
		"Goexit after a panic":           func() { defer runtime.Goexit(); panic("callback") },
	} {
		for where, change := range map[string]func(*cache.Options[string]){
			"OnEvent": func(o *cache.Options[string]) { o.OnEvent = func(cache.Event) { fail() } },
			"Encode":  func(o *cache.Options[string]) { o.Codec = exitCodec{encode: fail} },
			"Decode":  func(o *cache.Options[string]) { o.Codec = exitCodec{decode: fail} },
			"Expires": func(o *cache.Options[string]) { o.Expires = func(string) time.Time { fail(); return time.Time{} } },
			"Cost":    func(o *cache.Options[string]) { o.MaxBytes, o.Cost = 1<<20, func(string) int { fail(); return 1 } },
			"AEAD":    func(o *cache.Options[string]) { o.AEAD = badAEAD{fail: fail} },
			"Logger":  func(o *cache.Options[string]) { o.Logger = slog.New(badHandler{fail: fail}) },
		} {
			t.Run(how+" in "+where, func(t *testing.T) {
				inWorld(t, nil, func(healthy *world) {
					healthy.want("a", cache.SourceOrigin) // for Decode
					settle()
					w := newWorld(t, healthy.store, change)
					w.get("a", time.Second)
					w.get("b", time.Second)
					_ = w.Set(context.Background(), "c", "value of c")
					_, _ = w.GetMany(context.Background(), []string{"c", "d", "e"})
					w.store.Inject(cachetest.Fail(errDown)) // events, and breakers that open
					for _, key := range []string{"a", "b", "c", "d", "e"} {
						_ = w.Invalidate(context.Background(), key)
						w.get(key, time.Second)
					}
					pass(10 * time.Second)
					w.lossy = true // without a codec or an AEAD, some cannot be told
					w.close()
				})
			})
		}
		t.Run(how+" in an error's methods", func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.store.Inject(cachetest.Fail(badError{fail}))
				for _, key := range []string{"a", "b", "c", "d"} {
					w.get(key, time.Second)
				}
				_ = w.Invalidate(context.Background(), "a")
				settle()
				w.store.Inject(nil)
				w.origin.Fail(badError{fail})
				for range 3 {
					if r := w.Lookup(context.Background(), "e"); r.Err == nil || r.Value != "" {
						t.Errorf("%q, %v from an origin that fails", r.Value, r.Err)
					}
				}
				w.origin.Fail(nil)
				w.get("e", time.Second)
			})
		})
	}
}

// A write is given up and returns a moment later, while the hook is busy with
// the news: there is one worker, as before.
func TestWriteback_late_write_returns_while_the_hook_is_busy(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.Trip = 1000
		o.OnEvent = func(cache.Event) { idle(20 * time.Millisecond) }
	}, func(w *world) {
		w.store.Inject(func(context.Context, cachetest.Op, string) error { idle(1015 * time.Millisecond); return nil }, cachetest.Set)
		for i := range 20 {
			w.origin.Put(fmt.Sprint(i), fmt.Sprint("value of ", i))
			w.get(fmt.Sprint(i), time.Second)
			pass(time.Second)
		}
		pass(time.Minute)
		var mu sync.Mutex
		active, most := 0, 0
		w.store.Inject(func(context.Context, cachetest.Op, string) error {
			mu.Lock()
			active++
			most = max(most, active)
			mu.Unlock()
			idle(500 * time.Millisecond)
			mu.Lock()
			active--
			mu.Unlock()
			return nil
		}, cachetest.Set)
		for i := range 100 {
			_ = w.Set(context.Background(), fmt.Sprint("x", i), "v")
		}
		pass(time.Minute)
		if most != 4 {
			t.Errorf("%d writes at once, want 4", most)
		}
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// Large values and a slow table: what waits to be written is within MaxBytes.
func TestWriteback_bytes(t *testing.T) {
	const size = 300 << 10
	large := strings.Repeat("x", size)
	inWorld(t, func(o *cache.Options[string]) {
		o.MaxBytes, o.Cost, o.WriteTimeout = 8<<20, func(v string) int { return len(v) }, 20*time.Second
		o.Load = func(context.Context, string) (string, error) { return large, nil }
	}, func(w *world) {
		released := make(chan struct{})
		w.store.Inject(func(context.Context, cachetest.Op, string) error { <-released; return nil }, cachetest.Set)
		for i := range 1500 {
			if _, err := w.Get(context.Background(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		s := w.Stats()
		if held := s.Bytes + (s.WritesQueued+int64(w.store.Active()))*size; held > 8<<20 || held < 6<<20 {
			t.Errorf("%d bytes are held (%d writes wait), want nearly 8 MiB", held, s.WritesQueued)
		}
		if s.WritesDropped < 1490 {
			t.Errorf("%d writes dropped", s.WritesDropped)
		}
		close(released)
		settle()
		// One that is larger than the queue's share still gets through alone.
		large = strings.Repeat("x", 1100<<10)
		if _, err := w.Get(context.Background(), "large"); err != nil {
			t.Fatal(err)
		}
		settle()
		if _, ok := w.store.Item("=large"); !ok {
			t.Error("the large value was not written")
		}
	})
}

// Writes that end at about their time-out, in every way, by the thousand:
// Close always ends. Virtual time makes the coincidences, many rounds the rest.
func TestClose_always_ends(t *testing.T) {
	for round := range 20 {
		inWorld(t, func(o *cache.Options[string]) {
			o.WriteTimeout, o.RemoteBudget, o.Cooldown = 10*time.Millisecond, 5*time.Millisecond, time.Millisecond
			o.Trip = math.MaxInt
			if round%2 == 0 {
				o.OnEvent = func(cache.Event) { idle(200 * time.Microsecond) }
			}
		}, func(w *world) {
			var mu sync.Mutex
			n := 0
			w.store.Inject(func(_ context.Context, _ cachetest.Op, key string) error {
				mu.Lock()
				n++
				i := n + round
				mu.Unlock()
				// 9.8 to 10.6 ms: before, at and after the end of the
				// context (10 ms) and of the watchdog's grace (10.2 ms).
				idle(9800*time.Microsecond + time.Duration(i%9)*100*time.Microsecond)
				switch i % 7 {
				case 0:
					runtime.Goexit()
				case 1:
					panic(key)
				case 2:
					return errDown
				case 3:
					return cache.ErrStoreTimeout // the watchdog's own word, from a store
				}
				return nil
			}, cachetest.Set)
			var wg sync.WaitGroup
			for g := range 16 {
				wg.Go(func() {
					for i := range 50 {
						key := fmt.Sprint((g + i) % 40)
						switch i % 3 {
						case 0:
							_ = w.Set(context.Background(), key, "v")
						case 1:
							_ = w.Invalidate(context.Background(), key)
						default:
							_, _ = w.Get(context.Background(), key)
						}
						idle(time.Duration(i%5) * time.Millisecond)
					}
				})
			}
			wg.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := w.Close(ctx); errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("round %d: Close: %v", round, err)
			}
			w.lossy = true
			pass(time.Second)
			if s := w.Stats(); s.WritesQueued != 0 || s.Owed != 0 {
				t.Errorf("round %d: after Close %d queued, %d owed", round, s.WritesQueued, s.Owed)
			}
		})
	}
}

// Every option at its extremes is refused in words, or works.
func TestOptions_extremes(t *testing.T) {
	var store *cachetest.Store
	var aead *badAEAD
	var codec *exitCodec
	for want, change := range map[string]func(*cache.Options[string]){
		"Options.TTL is 5ns: it must be at least 100µs":          func(o *cache.Options[string]) { o.TTL = 5 },
		"so write 300*time.Second":                               func(o *cache.Options[string]) { o.TTL = 300 },
		"Options.NegativeTTL is 5ns":                             func(o *cache.Options[string]) { o.NegativeTTL = 5 },
		"Options.RemoteBudget is 1h0m0s: it must not be more":    func(o *cache.Options[string]) { o.RemoteBudget = time.Hour },
		"Options.RemoteBudget is 50ns":                           func(o *cache.Options[string]) { o.RemoteBudget = 50 },
		"Options.WriteTimeout is 2h0m0s: it must not be more":    func(o *cache.Options[string]) { o.WriteTimeout = 2 * time.Hour },
		"Options.LoadTimeout is 2h0m0s: it must not be more":     func(o *cache.Options[string]) { o.LoadTimeout = 2 * time.Hour },
		"Options.Cooldown is 48h0m0s: it must not be more":       func(o *cache.Options[string]) { o.Cooldown = 48 * time.Hour },
		"Options.StaleIfError is 2562047h47m16.854775807s":       func(o *cache.Options[string]) { o.StaleIfError = math.MaxInt64 },
		"Options.Store is a nil *cachetest.Store":                func(o *cache.Options[string]) { o.Store = store },
		"Options.AEAD is a nil *cache_test.badAEAD":              func(o *cache.Options[string]) { o.AEAD = aead },
		"Options.Codec is a nil *cache_test.exitCodec":           func(o *cache.Options[string]) { o.Codec = codec },
		"Options.Name has 256 bytes":                             func(o *cache.Options[string]) { o.Name = strings.Repeat("x", 256) },
		"Options.Name has 1 bytes, or is not UTF-8":              func(o *cache.Options[string]) { o.Name = "\xff" },
		"Options.EarlyRefresh is +Inf: it must be between 0 and": func(o *cache.Options[string]) { o.EarlyRefresh = math.Inf(1) },
	} {
		o := cache.Options[string]{Load: load, TTL: time.Minute}
		change(&o)
		if c, err := cache.New(o); c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want an error about %q", err, want)
		}
	}
	for name, change := range map[string]func(*cache.Options[string]){
		"MaxEntries":   func(o *cache.Options[string]) { o.MaxEntries = math.MaxInt },
		"MaxEntries 1": func(o *cache.Options[string]) { o.MaxEntries = 1 },
		"MaxBytes": func(o *cache.Options[string]) {
			o.MaxEntries, o.MaxBytes, o.Cost = math.MaxInt, math.MaxInt64, func(string) int { return math.MaxInt }
		},
		"MaxBytes 1":    func(o *cache.Options[string]) { o.MaxBytes, o.Cost = 1, func(string) int { return math.MinInt } },
		"Trip":          func(o *cache.Options[string]) { o.Trip = 1 << 32 },
		"Trip MaxInt":   func(o *cache.Options[string]) { o.Trip = math.MaxInt },
		"Concurrency":   func(o *cache.Options[string]) { o.Concurrency = math.MaxInt },
		"Concurrency 1": func(o *cache.Options[string]) { o.Concurrency = 1 },
		"WriteQueue":    func(o *cache.Options[string]) { o.WriteQueue = math.MaxInt },
		"WriteQueue 1":  func(o *cache.Options[string]) { o.WriteQueue = 1 },
		"NegativeTTL":   func(o *cache.Options[string]) { o.NegativeTTL = math.MinInt64 },
		"shortest": func(o *cache.Options[string]) {
			const d = 100 * time.Microsecond
			o.TTL, o.NegativeTTL, o.WriteTimeout, o.Cooldown, o.RemoteBudget = d, d, d, d, d
		},
		"longest": func(o *cache.Options[string]) {
			const years = 10 * 365 * 24 * time.Hour
			o.TTL, o.NegativeTTL, o.StaleIfError = years, years, years
			o.LoadTimeout, o.WriteTimeout, o.Cooldown, o.RemoteBudget = time.Hour, time.Hour, 24*time.Hour, 10*time.Second
			o.EarlyRefresh = 100
		},
		"Expires never": func(o *cache.Options[string]) { o.Expires = func(string) time.Time { return time.Unix(1<<62, 0) } },
		"Expires ended": func(o *cache.Options[string]) { o.Expires = func(string) time.Time { return time.Unix(-1<<62, 0) } },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, change, func(w *world) {
				for round := range 3 {
					for _, key := range []string{"a", "b", "c", "d", "e"} {
						w.get(key, time.Second)
					}
					_ = w.Set(context.Background(), "a", "value of a")
					w.store.Inject(cachetest.Fail(errDown), cachetest.Get)
					w.origin.Put("f", "value of f")
					w.get("f", time.Second)
					if opened := w.Stats().Reads.Opened; round == 0 && opened != 0 {
						t.Errorf("the breaker opened at %d faults", w.Stats().Reads.Faults)
					}
					if err := w.Invalidate(context.Background(), "f"); err != nil {
						t.Errorf("Invalidate: %v", err)
					}
					w.store.Inject(nil)
					pass(time.Second)
				}
			})
		})
	}
}

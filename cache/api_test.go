package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

var bg = context.Background()

// LocalTTL bounds how long another instance serves what has ended, without a
// shorter TTL in the shared tier.
func TestLocalTTL(t *testing.T) {
	change := func(o *cache.Options[string]) { o.TTL, o.LocalTTL = time.Hour, 5*time.Second }
	inWorld(t, change, func(w *world) {
		b := newWorld(t, w.store, change)
		w.want("a", cache.SourceOrigin)
		settle()
		b.want("a", cache.SourceRemote)
		b.want("a", cache.SourceLocal)
		pass(6 * time.Second)
		b.want("a", cache.SourceRemote) // looks again: still the same
		b.want("a", cache.SourceLocal)
		if n := b.origin.Calls("a"); n != 0 {
			t.Errorf("%d loads, want none", n)
		}
		w.origin.Remove("a")
		b.origin.Remove("a")
		if err := w.Invalidate(bg, "a"); err != nil {
			t.Fatal(err)
		}
		pass(5500 * time.Millisecond)
		b.wantErr("a", cache.ErrNotFound)
		// Neither store nor origin: only StaleIfError would allow it.
		b.want("c", cache.SourceOrigin)
		pass(6 * time.Second)
		b.store.Inject(cachetest.Fail(errDown))
		b.origin.Fail(errDown)
		b.wantErr("c", errDown)
		b.close()
	})
	inWorld(t, func(o *cache.Options[string]) { change(o); o.StaleIfError = time.Minute }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		pass(6 * time.Second)
		w.store.Inject(cachetest.Fail(errDown))
		w.origin.Fail(errDown)
		w.want("a", cache.SourceStale)
	})
}

func TestSetTTL(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.MaxTTL = time.Hour
		load := o.Load
		o.Load = func(ctx context.Context, key string) (string, error) {
			ttl := map[string]time.Duration{"a": time.Second, "b": 30 * time.Minute, "c": 24 * time.Hour, "d": -1}[key]
			if !cache.SetTTL(context.WithValue(ctx, new(int), 1), ttl) {
				t.Error("SetTTL: not a loader's context")
			}
			return load(ctx, key)
		}
	}, func(w *world) {
		if cache.SetTTL(bg, time.Second) {
			t.Error("SetTTL outside a loader returned true")
		}
		for _, c := range []struct {
			key      string
			min, max time.Duration
		}{{"a", time.Second, time.Second}, {"b", 30 * time.Minute, 30 * time.Minute}, {"c", time.Hour, time.Hour}, {"d", time.Minute, time.Minute}, {"e", time.Minute, time.Minute}} {
			w.want(c.key, cache.SourceOrigin)
			settle()
			other := newWorld(t, w.store, func(o *cache.Options[string]) { o.MaxTTL = time.Hour })
			pass(c.min * 8 / 10)
			w.want(c.key, cache.SourceLocal)
			other.want(c.key, cache.SourceRemote)
			pass(c.max * 4 / 10)
			w.want(c.key, cache.SourceOrigin)
			other.close()
		}
	})
}

// The origin says "not modified": what there was is good for another TTL.
func TestErrNotModified(t *testing.T) {
	var full atomic.Int64
	inWorld(t, func(o *cache.Options[string]) {
		load := o.Load
		o.Load = func(ctx context.Context, key string) (string, error) {
			old, ok := cache.Previous[string](ctx)
			if _, wrong := cache.Previous[int](ctx); wrong {
				t.Error("Previous of another type")
			}
			if key == "e" {
				return "", cache.ErrNotModified // without anything to keep
			}
			if ok && old == "value of "+key {
				return "", fmt.Errorf("304: %w", cache.ErrNotModified)
			}
			full.Add(1)
			return load(ctx, key)
		}
	}, func(w *world) {
		for range 5 {
			w.want("a", cache.SourceOrigin)
			w.want("a", cache.SourceLocal)
			pass(2 * time.Minute)
		}
		if n := full.Load(); n != 1 {
			t.Errorf("%d full loads, want 1", n)
		}
		if r := w.Lookup(bg, "e"); r.Err == nil || errors.Is(r.Err, cache.ErrNotFound) {
			t.Errorf("%q, %v; want an error that says what is wrong", r.Value, r.Err)
		}
	})
}

func TestLookupMany(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.Load = func(_ context.Context, key string) (string, error) {
			switch key {
			case "gone":
				return "", cache.ErrNotFound
			case "down":
				return "", errDown
			}
			return "value of " + key, nil
		}
	}, func(w *world) {
		w.want("a", cache.SourceOrigin)
		for range 2 {
			r := w.LookupMany(bg, []string{"a", "b", "gone", "down", "a", "gone"})
			if len(r) != 4 || r["a"].Source != cache.SourceLocal || r["b"].Value != "value of b" ||
				!errors.Is(r["gone"].Err, cache.ErrNotFound) || r["gone"].Source == cache.SourceUnknown ||
				!errors.Is(r["down"].Err, errDown) || errors.Is(r["down"].Err, cache.ErrNotFound) {
				t.Errorf("got %+v", r)
			}
		}
		m, err := w.GetMany(bg, []string{"a", "gone", "down"})
		var failed *cache.KeysError
		if len(m) != 1 || !errors.As(err, &failed) || len(failed.Errs) != 1 || !errors.Is(failed.Errs["down"], errDown) || !errors.Is(err, errDown) {
			t.Errorf("GetMany: %v, %v", m, err)
		}
		if strings.Contains(err.Error(), "down:") {
			t.Errorf("the error names a key: %v", err)
		}
		ctx, cancel := context.WithCancel(bg)
		cancel()
		if r := w.LookupMany(ctx, []string{"x"}); r["x"].Err != context.Canceled {
			t.Errorf("got %+v", r)
		}
	})
}

// Two of four shards answer: one product does not exist, another could not be
// had, and each is told apart, and kept.
func TestLoadMany_partial(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.LoadMany = func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"1": "one"}, fmt.Errorf("partly: %w", &cache.KeysError{Errs: map[string]error{"4": errDown}})
		}
	}, func(w *world) {
		r := w.LookupMany(bg, []string{"1", "3", "4"})
		if r["1"].Value != "one" || !errors.Is(r["3"].Err, cache.ErrNotFound) || !errors.Is(r["4"].Err, errDown) || errors.Is(r["4"].Err, cache.ErrNotFound) {
			t.Errorf("got %+v", r)
		}
		if r := w.Lookup(bg, "3"); r.Source != cache.SourceLocal {
			t.Errorf("that 3 does not exist was not kept: %+v", r)
		}
	})
}

func TestRefresh(t *testing.T) {
	inWorld(t, staleFor(time.Hour), func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		w.origin.Put("a", "new")
		writes := w.store.Calls(cachetest.Set)
		if v, err := w.Refresh(bg, "a"); v != "new" || err != nil {
			t.Errorf("Refresh: %q, %v", v, err)
		}
		w.wantValue("a", "new")
		settle()
		if n := w.store.Calls(cachetest.Set) - writes; n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
		// Many at once: no answer from before, and few loads.
		before := w.origin.Calls("a")
		w.origin.Slow(100 * time.Millisecond)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				idle(time.Duration(i) * 2 * time.Millisecond)
				w.origin.Put("a", fmt.Sprint(i))
				v, err := w.Refresh(bg, "a")
				var n int
				if _, _ = fmt.Sscan(v, &n); err != nil || n < i {
					t.Errorf("Refresh %d: %q, %v; want nothing older", i, v, err)
				}
			})
		}
		wg.Wait()
		if n := w.origin.Calls("a") - before; n > 5 {
			t.Errorf("%d loads for 100 refreshes in 200 ms, want at most 5", n)
		}
		// The origin fails: an error, and what there is stays as it is.
		w.origin.Fail(errDown)
		if v, err := w.Refresh(bg, "a"); !errors.Is(err, errDown) {
			t.Errorf("Refresh: %q, %v; want the origin's error", v, err)
		}
		if r := w.Lookup(bg, "a"); r.Source != cache.SourceLocal {
			t.Errorf("after a refresh that failed: %+v", r)
		}
		pass(3 * time.Minute)
		if r := w.Lookup(bg, "a"); r.Source != cache.SourceStale {
			t.Errorf("%+v, want stale", r)
		}
		for _, o := range []cache.LookupOptions{{NoStale: true}, {MaxAge: time.Minute}, {MaxAge: -1}} {
			if r := w.LookupWith(bg, "a", o); !errors.Is(r.Err, errDown) {
				t.Errorf("%+v: %q, %v from %v; want the origin's error", o, r.Value, r.Err, r.Source)
			}
		}
		if r := w.LookupWith(bg, "a", cache.LookupOptions{MaxAge: time.Hour}); r.Source != cache.SourceStale {
			t.Errorf("%+v, want stale", r)
		}
	})
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(10 * time.Second)
		if r := w.LookupWith(bg, "a", cache.LookupOptions{MaxAge: 11 * time.Second}); r.Source != cache.SourceLocal {
			t.Errorf("young enough: %+v", r)
		}
		if r := w.LookupWith(bg, "a", cache.LookupOptions{MaxAge: 9 * time.Second}); r.Source != cache.SourceOrigin || r.Age > time.Second {
			t.Errorf("too old: %+v", r)
		}
	})
}

// What the codec cannot encode, and what has too many tags, the store cannot take.
func TestSetThrough_rejected_before_the_store(t *testing.T) {
	for name, change := range map[string]func(*cache.Options[string]){
		"an error":      func(o *cache.Options[string]) { o.Codec = failingCodec{} },
		"a panic":       func(o *cache.Options[string]) { o.Codec = exitCodec{encode: func() { panic("no") }} },
		"too many tags": func(o *cache.Options[string]) { o.Tags = func(string, string) []string { return numbers(101) } },
	} {
		inWorld(t, change, func(w *world) {
			err := w.SetThrough(bg, "a", "value of a")
			if s := w.Stats(); !errors.Is(err, cache.ErrRejected) || s.Rejected != 1 || !w.saw(cache.EventRejected) {
				t.Errorf("%s: %v, and %d rejected; want ErrRejected, 1, and an event", name, err, s.Rejected)
			}
			w.want("a", cache.SourceLocal)
			pass(time.Second)
			if n := w.Stats().Owed; n != 0 { // a tombstone, in its place
				t.Errorf("%s: %d endings are owed", name, n)
			}
		})
	}
}

type failingCodec struct{ cache.Raw[string] }

func (failingCodec) Encode(string) ([]byte, error) { return nil, errDown }

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestSetThrough(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if err := w.SetThrough(bg, "a", "value of a"); err != nil {
			t.Error(err)
		}
		if _, ok := w.store.Item("=a"); !ok {
			t.Error("the store has nothing")
		}
		w.store.Inject(cachetest.Fail(fmt.Errorf("too large: %w", cache.ErrRejected)), cachetest.Set)
		if err := w.SetThrough(bg, "b", "value of b"); !errors.Is(err, cache.ErrRejected) {
			t.Errorf("%v, want ErrRejected", err)
		}
		if s := w.Stats(); s.Rejected != 1 || !w.saw(cache.EventRejected) {
			t.Errorf("%d rejected, want 1, and an event", s.Rejected)
		}
		w.store.Inject(cachetest.Hang, cachetest.Set)
		ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
		defer cancel()
		if err := w.SetThrough(ctx, "c", "value of c"); !errors.Is(err, cache.ErrOwed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want ErrOwed, and why", err)
		}
		for _, key := range []string{"a", "b", "c"} {
			w.want(key, cache.SourceLocal)
		}
		if err := w.SetThrough(ctx, "d", "x"); err != context.DeadlineExceeded {
			t.Errorf("%v, want the caller's own error", err)
		}
		w.want("d", cache.SourceOrigin)
	})
}

func TestSetMany_and_InvalidateMany(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.TTL = time.Hour }, func(w *world) {
		w.store.Inject(func(context.Context, cachetest.Op, string) error { idle(4 * time.Millisecond); return nil }, cachetest.Set)
		values, keys := map[string]string{}, []string{}
		for i := range 500 {
			values[fmt.Sprint(i)] = "session"
			keys = append(keys, fmt.Sprint(i))
		}
		began := time.Now()
		if err := w.SetMany(bg, values); err != nil {
			t.Error(err)
		}
		if m, err := w.GetMany(bg, keys); err != nil || !maps.Equal(m, values) {
			t.Errorf("%d of 500 are there, %v", len(m), err)
		}
		if err := w.InvalidateMany(bg, append(keys, keys[0])); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("500 Sets and 500 log-outs at 4 ms took %v", took)
		}
		other := newWorld(t, w.store, nil)
		if m, err := other.GetMany(bg, keys); err != nil || len(m) != 0 {
			t.Errorf("%d sessions are left, %v", len(m), err)
		}
		w.store.Inject(func(_ context.Context, _ cachetest.Op, key string) error {
			if key == "=7" {
				return errDown
			}
			return nil
		}, cachetest.Set)
		var failed *cache.KeysError
		err := w.InvalidateMany(bg, keys[:20])
		if !errors.As(err, &failed) || len(failed.Errs) != 1 || !errors.Is(failed.Errs["7"], cache.ErrOwed) {
			t.Errorf("InvalidateMany: %v", err)
		}
		other.close()
	})
}

type box struct{ n []int }

func TestClone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := cache.Options[*box]{
			Load:  func(context.Context, string) (*box, error) { return &box{[]int{1}}, nil },
			TTL:   time.Minute,
			Clone: func(b *box) *box { return &box{append([]int(nil), b.n...)} },
		}
		c, err := cache.New(o)
		if err != nil {
			t.Fatal(err)
		}
		mine := &box{[]int{1}}
		_ = c.Set(bg, "set", mine)
		mine.n[0] = 99
		for _, key := range []string{"a", "a", "set", "b"} {
			got, err := c.Get(bg, key)
			if err != nil || got.n[0] != 1 {
				t.Errorf("%s: %v, %v; want 1", key, got, err)
				continue
			}
			got.n[0] = 2
			for _, b := range c.All() {
				b.n[0] = 3
			}
			many, _ := c.GetMany(bg, []string{key, "c"})
			many[key].n[0] = 4
		}
		_ = c.Close(bg)
		o.Clone = func(*box) *box { panic("clone") }
		c, _ = cache.New(o)
		if _, err := c.Get(bg, "a"); err == nil {
			t.Error("no error of a Clone that panics")
		}
		_ = c.Close(bg)
	})
}

func TestCompressAbove(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.CompressAbove = 1000 }, func(w *world) {
		long := strings.Repeat("a long text, ", 10_000)
		values := map[string]string{"short": "short", "long": long, "random": string(randomBytes(5000))}
		for key, v := range values {
			w.origin.Put(key, v)
			_ = w.SetThrough(bg, key, v)
		}
		if it, _ := w.store.Item("=long"); len(it.Value) > len(long)/10 {
			t.Errorf("%d bytes are stored of %d", len(it.Value), len(long))
		}
		if it, _ := w.store.Item("=random"); len(it.Value) > 5000+54 {
			t.Errorf("%d bytes are stored of 5,000 that do not compress", len(it.Value))
		}
		plain := newWorld(t, w.store, nil) // reads both
		for key, v := range values {
			if r := plain.Lookup(bg, key); r.Value != v || r.Source != cache.SourceRemote {
				t.Errorf("%s: %d bytes, %v from %v", key, len(r.Value), r.Err, r.Source)
			}
		}
		plain.close()
	})
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestBinary(t *testing.T) {
	u, _ := url.Parse("https://example.com/a?b=c")
	b, err := cache.Binary[*url.URL]{}.Encode(u)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (cache.Binary[*url.URL]{}).Decode(b); err != nil || *got != *u {
		t.Errorf("pointer: %v, %v", got, err)
	}
	now := time.Unix(1e9, 0).UTC()
	b, err = cache.Binary[time.Time]{}.Encode(now)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (cache.Binary[time.Time]{}).Decode(b); err != nil || !got.Equal(now) {
		t.Errorf("value: %v, %v", got, err)
	}
	if _, err := (cache.Binary[int]{}).Encode(1); err == nil {
		t.Error("no error of a type without the methods")
	}
	if _, err := (cache.Binary[int]{}).Decode(b); err == nil {
		t.Error("no error of a type without the methods")
	}
}

type (
	grant struct{ Admin bool }
	token struct{ Admin bool }
)

// Two caches on one table, neither with a Name: the one's JSON is not taken
// for the other's.
func TestName_none_and_types_are_not_confused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(cachetest.Store)
		tokens, err := cache.New(cache.Options[token]{Store: store, TTL: time.Minute, Load: func(context.Context, string) (token, error) { return token{true}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		grants, err := cache.New(cache.Options[grant]{Store: store, TTL: time.Minute, Load: func(context.Context, string) (grant, error) { return grant{}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = tokens.Get(bg, "u")
		synctest.Wait()
		if r := grants.Lookup(bg, "u"); r.Value.Admin || r.Source != cache.SourceOrigin {
			t.Errorf("%+v; want the origin's", r)
		}
		_, _ = tokens.Close(bg), grants.Close(bg)
	})
}

func TestErrorTTL(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.ErrorTTL = time.Second }, func(w *world) {
		w.origin.Fail(errDown)
		for range 100 {
			w.wantErr("a", errDown)
		}
		if n := w.origin.Calls("a"); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
		w.origin.Fail(nil)
		pass(time.Second)
		w.want("a", cache.SourceOrigin)
	})
}

func TestAll(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, key := range []string{"a", "b", "x"} {
			_, _ = w.Get(bg, key)
		}
		got := maps.Collect(w.All())
		if !maps.Equal(got, map[string]string{"a": "value of a", "b": "value of b"}) {
			t.Errorf("got %v", got)
		}
		for range w.All() {
			break
		}
		pass(2 * time.Minute)
		if n := len(maps.Collect(w.All())); n != 0 {
			t.Errorf("%d that are not fresh", n)
		}
	})
}

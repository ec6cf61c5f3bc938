package cache_test

import (
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
)

// A load that began before its tag ended is not kept, nor given to those who
// came after; those who came before may have it. They share loads all the same.
func TestInvalidateTag_during_a_load(t *testing.T) {
	for name, noStore := range map[string]bool{"two tiers": false, "local": true} {
		inWorld(t, func(o *cache.Options[string]) {
			everyTag(o)
			if noStore {
				o.Store = nil
			}
		}, func(w *world) {
			w.origin.Slow(time.Second)
			before := make(chan cache.Result[string])
			go func() { before <- w.Lookup(bg, "a") }()
			pass(500 * time.Millisecond)
			if err := w.InvalidateTag(bg, "all"); err != nil {
				t.Error(err)
			}
			w.origin.Put("a", "new")
			after := make(chan cache.Result[string])
			for range 10 {
				go func() { after <- w.Lookup(bg, "a") }()
			}
			many := make(chan cache.Result[string])
			go func() { many <- w.LookupMany(bg, []string{"a", "b"})["a"] }()
			if r := <-before; r.Err != nil {
				t.Errorf("%s: before: %v", name, r.Err)
			}
			for range 10 {
				if r := <-after; r.Value != "new" {
					t.Errorf("%s: after: %q, %v", name, r.Value, r.Err)
				}
			}
			if r := <-many; r.Value != "new" {
				t.Errorf("%s: many: %q, %v", name, r.Value, r.Err)
			}
			if r := w.Lookup(bg, "a"); r.Value != "new" || r.Source != cache.SourceLocal {
				t.Errorf("%s: later: %q from %v", name, r.Value, r.Source)
			}
			if n := w.origin.Calls("a"); n != 2 {
				t.Errorf("%s: %d loads, want 2", name, n)
			}
			s := w.Stats()
			if sum := s.Local + s.Remote + s.Origin; sum != 14 {
				t.Errorf("%s: %d results of 14 lookups", name, sum)
			}
		})
	}
}

// A value that is served stale while a slow load goes on is not, once its tag
// has ended.
func TestInvalidateTag_beats_stale(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		everyTag(o)
		o.StaleIfError, o.SoftTimeout = time.Hour, 100*time.Millisecond
	}, func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(2 * time.Minute)
		w.origin.Slow(5 * time.Second)
		w.want("a", cache.SourceStale)
		w.want("a", cache.SourceStale)
		_ = w.InvalidateTag(bg, "all")
		if r := w.Lookup(bg, "a"); r.Source == cache.SourceStale {
			t.Error("it was served stale after its tag had ended")
		}
		_ = w.InvalidateTag(bg, "all")
		w.origin.Fail(errDown)
		w.wantErr("a", errDown)
	})
}

// A tag that ends twice during a load: who came between the two is not served what
// was loaded before the first.
func TestInvalidateTag_twice_during_a_load(t *testing.T) {
	inWorld(t, everyTag, func(w *world) {
		w.origin.Slow(time.Second)
		go w.Lookup(bg, "a")
		pass(100 * time.Millisecond)
		_ = w.InvalidateTag(bg, "all")
		w.origin.Put("a", "new")
		between := make(chan cache.Result[string])
		go func() { between <- w.Lookup(bg, "a") }()
		pass(100 * time.Millisecond)
		_ = w.InvalidateTag(bg, "all")
		if r := <-between; r.Value != "new" {
			t.Errorf("%q from %v, loaded before its tag had ended", r.Value, r.Source)
		}
	})
}

// A tag that ends so often that its versions have run ahead of the clock as far as they
// may, as after a clock that was set back: each end counts here all the same, also for
// what came since the last one.
func TestInvalidateTag_whose_version_cannot_rise(t *testing.T) {
	for name, change := range map[string]func(*cache.Options[string]){
		"with a store": everyTag,
		"memory only":  func(o *cache.Options[string]) { everyTag(o); o.Store = nil },
	} {
		inWorld(t, change, func(w *world) {
			w.origin.Slow(0) // all of it is within one millisecond
			for range cache.MaxSkew/2/time.Millisecond + 10 {
				_ = w.InvalidateTag(bg, "all")
			}
			_ = w.Set(bg, "a", "was set")
			_ = w.InvalidateTag(bg, "all")
			if r := w.Lookup(bg, "a"); r.Source != cache.SourceOrigin {
				t.Errorf("%s: after a Set and InvalidateTag: %q from %v", name, r.Value, r.Source)
			}
			_ = w.InvalidateTag(bg, "all")
			w.origin.Put("a", "new")
			if r := w.Lookup(bg, "a"); r.Value != "new" {
				t.Errorf("%s: after a load and InvalidateTag: %q from %v", name, r.Value, r.Source)
			}
		})
	}
}

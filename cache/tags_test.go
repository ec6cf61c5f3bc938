package cache_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// everyTag gives each value the tags "all" and "tag of <key>".
func everyTag(o *cache.Options[string]) {
	o.Name = "t"
	o.Tags = func(key, _ string) []string { return []string{"all", "tag of " + key} }
}

// inThree runs f with three instances on one store, all with tags.
func inThree(t *testing.T, change func(*cache.Options[string]), f func(store *cachetest.Store, w []*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := new(cachetest.Store)
		all := make([]*world, 3)
		for i := range all {
			all[i] = newWorld(t, store, func(o *cache.Options[string]) {
				everyTag(o)
				if change != nil {
					change(o)
				}
			})
		}
		f(store, all)
		for _, w := range all {
			w.close()
		}
	})
}

// One write ends every value with the tag: here at once, in the store for
// everyone who has no copy, and for those who have one when its time is over.
func TestInvalidateTag_ends_all_with_it(t *testing.T) {
	for name, change := range map[string]func(*cache.Options[string]){
		"plain":      nil,
		"encrypted":  withAEAD,
		"secret":     func(o *cache.Options[string]) { o.KeySecret = []byte("0123456789abcdef") },
		"compressed": func(o *cache.Options[string]) { o.CompressAbove = 1 },
		"stale":      staleFor(time.Hour),
	} {
		inThree(t, change, func(store *cachetest.Store, w []*world) {
			a, b, late := w[0], w[1], w[2]
			for _, key := range []string{"a", "b", "c"} {
				a.want(key, cache.SourceOrigin)
			}
			settle()
			b.want("a", cache.SourceRemote)
			pass(6 * time.Second)
			writes := store.Calls(cachetest.Set)
			if err := a.InvalidateTag(bg, "tag of b"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			a.want("a", cache.SourceLocal)
			a.want("b", cache.SourceOrigin)
			if err := a.InvalidateTag(bg, "all"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n := store.Calls(cachetest.Set) - writes; n > 3 {
				t.Errorf("%s: %d writes for two tags and a load", name, n)
			}
			for _, key := range []string{"a", "b", "c"} {
				late.want(key, cache.SourceOrigin)
				a.want(key, cache.SourceOrigin)
				a.want(key, cache.SourceLocal)
			}
			if s := late.Stats(); s.Outdated != 3 || s.TagReads == 0 {
				t.Errorf("%s: %d outdated, %d reads of tags", name, s.Outdated, s.TagReads)
			}
			b.want("a", cache.SourceLocal) // it has a copy
			pass(6 * time.Second)          // the lead is over: what is loaded is shared again
			a.Refresh(bg, "a")
			settle()
			pass(70 * time.Second)
			b.origin.Fail(errDown)
			if r := b.Lookup(bg, "c"); r.Err == nil {
				t.Errorf("%s: %q, %v", name, r.Value, r.Source)
			}
			b.origin.Fail(nil)
			b.get("a", time.Hour)
			for _, key := range store.Keys() {
				if strings.Contains(key, "tag of") {
					t.Errorf("%s: a tag's name is in the store: %q", name, key)
				}
			}
		})
	}
}

func withAEAD(o *cache.Options[string]) {
	block, _ := aes.NewCipher(make([]byte, 16))
	o.AEAD, _ = cipher.NewGCM(block)
}

// A store that is down: the tag is over here, owed, and delivered later.
func TestInvalidateTag_is_delivered_later(t *testing.T) {
	inThree(t, func(o *cache.Options[string]) { o.TTL = time.Hour }, func(store *cachetest.Store, w []*world) {
		a, late := w[0], w[2]
		a.want("a", cache.SourceOrigin)
		pass(6 * time.Second)
		store.Inject(denied, cachetest.Set)
		if err := a.InvalidateTag(bg, "all"); !errors.Is(err, cache.ErrOwed) {
			t.Errorf("InvalidateTag: %v, want ErrOwed", err)
		}
		if s := a.Stats(); s.Owed != 1 {
			t.Errorf("%d owed, want 1", s.Owed)
		}
		a.origin.Fail(errDown)
		a.wantErr("a", errDown) // though the store still has it
		a.origin.Fail(nil)
		pass(time.Minute / 2)
		a.want("a", cache.SourceOrigin)
		settle()
		store.Inject(nil)
		pass(time.Minute)
		if s := a.Stats(); s.Owed != 0 || s.EndingsLost != 0 {
			t.Errorf("owed %d, lost %d", s.Owed, s.EndingsLost)
		}
		late.origin.Fail(errDown)
		late.wantErr("a", errDown)
		late.origin.Fail(nil)
		late.want("a", cache.SourceOrigin)
	})
	// Or by Close.
	inThree(t, nil, func(store *cachetest.Store, w []*world) {
		a, late := w[0], w[2]
		a.want("a", cache.SourceOrigin)
		pass(6 * time.Second)
		store.Inject(denied, cachetest.Set)
		_ = a.InvalidateTag(bg, "all")
		store.Inject(nil)
		a.close()
		late.want("a", cache.SourceOrigin)
	})
}

// What cannot be learned of a tag is not assumed: the origin is asked, and the
// store is at fault if it is.
func TestInvalidateTag_unreadable(t *testing.T) {
	for name, fault := range map[string]cachetest.Fault{"error": cachetest.Fail(errDown), "hang": cachetest.Hang, "panic": cachetest.Panic, "Goexit": cachetest.Goexit, "denied": denied} {
		inThree(t, func(o *cache.Options[string]) { o.StaleIfError = time.Hour }, func(store *cachetest.Store, w []*world) {
			a, late := w[0], w[2]
			a.want("a", cache.SourceOrigin)
			pass(6 * time.Second)
			store.Inject(func(ctx context.Context, op cachetest.Op, key string) error {
				if strings.Contains(key, "!tag/") {
					return fault(ctx, op, key)
				}
				return nil
			}, cachetest.Get)
			late.want("a", cache.SourceOrigin)
			if s := late.Stats(); s.Reads.Faults != 1 || s.Reads.LastError == "" {
				t.Errorf("%s: %+v", name, s.Reads)
			}
			late.InvalidateAll()
			late.origin.Fail(errDown)
			late.wantErr("a", errDown) // not stale out of the store, either
			late.origin.Fail(nil)
		})
		inThree(t, nil, func(store *cachetest.Store, w []*world) { // in a batch
			a, late := w[0], w[2]
			a.want("a", cache.SourceOrigin)
			a.want("b", cache.SourceOrigin)
			pass(6 * time.Second)
			store.Inject(func(ctx context.Context, op cachetest.Op, key string) error {
				if strings.Contains(key, "!tag/") {
					return fault(ctx, op, key)
				}
				return nil
			}, cachetest.Get)
			for key, r := range late.LookupMany(bg, []string{"a", "b"}) {
				if r.Err != nil || r.Source != cache.SourceOrigin {
					t.Errorf("%s: %s: %v from %v", name, key, r.Err, r.Source)
				}
			}
		})
	}
	// Garbage under a tag's key: it may have ended. It is over, and mended.
	inThree(t, nil, func(store *cachetest.Store, w []*world) {
		a, late := w[0], w[2]
		a.want("a", cache.SourceOrigin)
		pass(6 * time.Second)
		_ = a.InvalidateTag(bg, "all")
		a.want("a", cache.SourceOrigin)
		for _, key := range store.Keys() {
			if strings.Contains(key, "!tag/") {
				store.Put(key, cache.Item{Value: []byte("garbage"), Version: 1})
			}
		}
		pass(6 * time.Second)
		late.want("a", cache.SourceOrigin)
		if s := late.Stats(); s.Poison != 1 {
			t.Errorf("%d poison, want 1", s.Poison)
		}
		pass(6 * time.Second)
		late.Refresh(bg, "a")
		settle()
		w[1].want("a", cache.SourceRemote)
		if s := w[1].Stats(); s.Poison != 0 {
			t.Errorf("%d poison, want 0", s.Poison)
		}
	})
}

// What ended under another schema, or with another key, has ended: instances of
// two versions run side by side during a deploy.
func TestInvalidateTag_other_schema(t *testing.T) {
	inThree(t, nil, func(store *cachetest.Store, w []*world) {
		newer := newWorld(t, store, func(o *cache.Options[string]) {
			everyTag(o)
			withAEAD(o)
			o.Schema = 7
		})
		newer.want("a", cache.SourceOrigin)
		pass(6 * time.Second)
		_ = w[0].InvalidateTag(bg, "all") // an old one
		last := newWorld(t, store, func(o *cache.Options[string]) {
			everyTag(o)
			withAEAD(o)
			o.Schema = 7
		})
		for range 5 {
			pass(6 * time.Second)
			last.get("a", time.Hour)
			w[1].get("b", time.Hour)
		}
		if s := last.Stats(); s.Poison != 0 || s.Outdated != 1 || s.Origin != 1 || s.Local != 4 {
			t.Errorf("%+v", s)
		}
		last.close()
		newer.close()
	})
}

// A store that knows better than a writer whose clock is slow when something ended
// is believed: cache/dynamo measures its host's clock.
func TestInvalidateTag_by_the_clock_of_the_store(t *testing.T) {
	inThree(t, nil, func(store *cachetest.Store, w []*world) {
		a, late := w[0], w[2]
		_ = a.InvalidateTag(bg, "tag of a")
		pass(6 * time.Second)
		a.want("a", cache.SourceOrigin)
		settle()
		for _, key := range store.Keys() {
			if item, _ := store.Item(key); strings.Contains(key, "!tag/") {
				item.Version += 4000
				store.Put(key, item)
			}
		}
		late.want("a", cache.SourceOrigin)
		if s := late.Stats(); s.Outdated != 1 {
			t.Errorf("%d outdated, want 1: it was loaded before the tag ended", s.Outdated)
		}
	})
}

// Who says which tags a value has: the options, the loader, the caller of
// SetWith; a later Set has its own.
func TestTags_sources(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.Name, o.MaxTTL = "t", time.Hour
		load := o.Load
		o.Load = func(ctx context.Context, key string) (string, error) {
			if !cache.SetTags(ctx, "loaded") || !cache.SetTags(ctx, "twice", "twice") {
				t.Error("SetTags: false")
			}
			return load(ctx, key)
		}
		o.LoadMany = func(ctx context.Context, keys []string) (map[string]string, error) {
			cache.SetTags(ctx, "many")
			found := make(map[string]string)
			for _, key := range keys {
				found[key] = "value of " + key
			}
			return found, nil
		}
	}, func(w *world) {
		if cache.SetTags(bg, "x") {
			t.Error("SetTags outside of a loader: true")
		}
		for _, tag := range []string{"loaded", "twice"} {
			w.get("a", time.Hour)
			_ = w.InvalidateTag(bg, tag)
			w.want("a", cache.SourceOrigin)
		}
		_ = w.InvalidateTag(bg, "other")
		w.want("a", cache.SourceLocal)

		_, _ = w.GetMany(bg, []string{"b", "c"})
		_ = w.InvalidateTag(bg, "many")
		w.want("b", cache.SourceOrigin)

		if err := w.SetWith(bg, "d", "value of d", cache.SetOptions{Tags: []string{"set", ""}, TTL: 10 * time.Minute, Through: true}); err != nil {
			t.Error(err)
		}
		pass(5 * time.Minute)
		w.want("d", cache.SourceLocal)
		_ = w.InvalidateTag(bg, "loaded")
		w.want("d", cache.SourceLocal)
		_ = w.InvalidateTag(bg, "")
		w.want("d", cache.SourceOrigin)
		_ = w.SetWith(bg, "d", "value of d", cache.SetOptions{Tags: []string{"set"}})
		_ = w.Set(bg, "d", "value of d") // and has no tags any more
		_ = w.InvalidateTag(bg, "set")
		w.want("d", cache.SourceLocal)
		// After the end of a tag, in the very same moment.
		_ = w.SetWith(bg, "e", "value of e", cache.SetOptions{Tags: []string{"set"}})
		_ = w.InvalidateTag(bg, "set")
		_ = w.SetWith(bg, "d", "value of d", cache.SetOptions{Tags: []string{"set"}})
		settle()
		w.want("d", cache.SourceLocal)
		w.want("e", cache.SourceOrigin)
		other := newWorld(t, w.store, func(o *cache.Options[string]) { o.Name = "t" })
		other.want("d", cache.SourceRemote)
		other.close()
		if err := w.SetWith(bg, "d", "x", cache.SetOptions{TTL: -1}); err == nil {
			t.Error("a negative TTL was taken")
		}
		w.want("d", cache.SourceLocal)
	})
}

// ErrNotModified keeps the tags, too.
func TestTags_not_modified(t *testing.T) {
	loads := 0
	inWorld(t, func(o *cache.Options[string]) {
		o.Load = func(ctx context.Context, key string) (string, error) {
			loads++
			if _, ok := cache.Previous[string](ctx); ok {
				return "", cache.ErrNotModified
			}
			cache.SetTags(ctx, "x")
			return "value of " + key, nil
		}
	}, func(w *world) {
		w.want("a", cache.SourceOrigin)
		pass(2 * time.Minute)
		w.want("a", cache.SourceOrigin)
		_ = w.InvalidateTag(bg, "x")
		w.want("a", cache.SourceOrigin)
		if loads != 3 {
			t.Errorf("%d loads, want 3", loads)
		}
	})
}

// A value with more tags than the store takes is kept here, and ends here.
func TestTags_too_many(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.Tags = func(string, string) (tags []string) {
			for i := range 101 {
				tags = append(tags, fmt.Sprint(i))
			}
			return tags
		}
	}, func(w *world) {
		w.want("a", cache.SourceOrigin)
		w.want("a", cache.SourceLocal)
		settle()
		if s := w.Stats(); s.Rejected != 1 || !w.saw(cache.EventRejected) {
			t.Errorf("%d rejected, want 1, and an event", s.Rejected)
		}
		_ = w.InvalidateTag(bg, "100")
		w.want("a", cache.SourceOrigin)
	})
	// If it is not known which tags it has, it is not kept.
	inWorld(t, func(o *cache.Options[string]) {
		o.Tags = func(string, string) []string { panic("no tags") }
	}, func(w *world) {
		w.want("a", cache.SourceOrigin)
		w.want("a", cache.SourceOrigin)
		if s := w.Stats(); s.CallbackPanics != 2 || !w.saw(cache.EventCallback) {
			t.Errorf("%d panics", s.CallbackPanics)
		}
	})
}

// With a bulletin the others know within two seconds, also of a load that was
// in progress, and of what lies in the store.
func TestInvalidateTag_bulletin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := &cachetest.Bulletin{Store: new(cachetest.Store)}
		board.Lag(300 * time.Millisecond)
		with := func(o *cache.Options[string]) { hour(board)(o); everyTag(o) }
		a, b := newWorld(t, board.Store, with), newWorld(t, board.Store, with)
		a.want("a", cache.SourceOrigin)
		a.want("b", cache.SourceOrigin)
		pass(6 * time.Second)
		b.want("a", cache.SourceRemote)
		b.want("c", cache.SourceOrigin)
		b.origin.Slow(5 * time.Second)
		slow := make(chan string)
		go func() { slow <- b.Lookup(bg, "d").Value }()
		pass(time.Second)
		_ = a.InvalidateTag(bg, "all")
		pass(2 * time.Second)
		b.origin.Put("d", "new")
		if s := b.Stats(); s.Bulletin.Ended != 2 || s.Bound > 6*time.Second {
			t.Errorf("%d ended, bound %v; want 2, some 5 s", s.Bulletin.Ended, s.Bound)
		}
		go func() { slow <- b.Lookup(bg, "d").Value }()
		values := []string{<-slow, <-slow}
		slices.Sort(values)
		if !slices.Equal(values, []string{"new", "value of d"}) {
			t.Errorf("%q", values)
		}
		b.origin.Slow(0)
		b.want("a", cache.SourceOrigin)
		b.want("b", cache.SourceOrigin)
		b.want("c", cache.SourceOrigin)
		a.close()
		b.close()
	})
}

// A tag of many values is read once a second, however many ask at once; a read that
// fails is made again by the next one.
func TestTags_are_read_once(t *testing.T) {
	inThree(t, nil, func(store *cachetest.Store, w []*world) {
		a, b := w[0], w[1]
		var keys []string
		for i := range 200 {
			keys = append(keys, fmt.Sprint(i))
			a.origin.Put(keys[i], "value of "+keys[i])
			b.origin.Put(keys[i], "value of "+keys[i])
			a.want(keys[i], cache.SourceOrigin)
		}
		settle()
		var first atomic.Bool
		store.Inject(func(ctx context.Context, _ cachetest.Op, key string) error {
			idle(3 * time.Millisecond)
			if strings.Contains(key, "!tag/") && first.CompareAndSwap(false, true) {
				return errDown
			}
			return nil
		}, cachetest.Get)
		var wg sync.WaitGroup
		for _, key := range keys {
			wg.Go(func() { b.get(key, time.Second) })
		}
		wg.Wait()
		s := b.Stats()
		if s.TagReads > 202 || s.Reads.Faults != 1 || s.Remote != 199 {
			t.Errorf("%d reads of 201 tags, %d faults, %d from the store; want 202, 1, 199", s.TagReads, s.Reads.Faults, s.Remote)
		}
	})
}

// Many tags that end at once do not run ahead of the clock: what is loaded
// afterwards is shared when the lead is over.
func TestInvalidateTag_many_at_once(t *testing.T) {
	inThree(t, nil, func(store *cachetest.Store, w []*world) {
		a, b := w[0], w[1]
		for i := range 50_000 {
			if err := a.InvalidateTag(bg, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		_ = a.InvalidateTag(bg, "all")
		pass(5100 * time.Millisecond)
		a.want("a", cache.SourceOrigin)
		settle()
		b.want("a", cache.SourceRemote)
		if s := a.Stats(); s.Owed+s.EndingsLost != 0 {
			t.Errorf("owed %d, lost %d", s.Owed, s.EndingsLost)
		}
	})
}

// Who uses no tags pays nothing: no read, no byte in the store.
func TestTags_unused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		w.InvalidateAll()
		pass(time.Minute)
		w.get("a", time.Hour)
		if s := w.Stats(); s.TagReads != 0 || s.Bound != 77*time.Second {
			t.Errorf("%d reads of tags, bound %v", s.TagReads, s.Bound)
		}
	})
}

// A Set's version leads the clock, as that of a tag's end does; what was set before
// the end is over all the same, in the same millisecond and by clocks that differ.
// What is set after it is not, if this process knows of it.
func TestInvalidateTag_after_a_Set_elsewhere(t *testing.T) {
	inThree(t, nil, func(_ *cachetest.Store, w []*world) {
		a, b, late := w[0], w[1], w[2]
		_ = a.SetThrough(bg, "a", "old")
		if err := b.InvalidateTag(bg, "all"); err != nil {
			t.Error(err)
		}
		b.want("a", cache.SourceOrigin)
		late.want("a", cache.SourceOrigin)
		_ = b.SetThrough(bg, "b", "value of b")
		late.want("b", cache.SourceRemote)
	})
	for _, ended := range []bool{false, true} {
		for _, skew := range []time.Duration{500 * time.Millisecond, 3 * time.Second, cache.MaxSkew/2 - 2*time.Second} {
			store := new(cachetest.Store)
			// All bubbles begin at the same instant: to sleep is to be ahead.
			synctest.Test(t, func(t *testing.T) {
				pass(10*time.Second + skew)
				w := newWorld(t, store, everyTag)
				if ended { // there before: the Set is later than that
					_ = w.InvalidateTag(bg, "all")
				}
				_ = w.SetThrough(bg, "a", "old")
				w.close()
			})
			synctest.Test(t, func(t *testing.T) {
				pass(11 * time.Second)
				w := newWorld(t, store, everyTag)
				if err := w.InvalidateTag(bg, "all"); err != nil {
					t.Error(err)
				}
				if r := w.Lookup(bg, "a"); r.Value != "value of a" {
					t.Errorf("%v behind, ended before: %t: %q from %v", skew, ended, r.Value, r.Source)
				}
				w.close()
			})
		}
	}
}

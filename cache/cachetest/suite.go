package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
)

// TestStore checks that a Store keeps the contract that package cache relies
// on. open returns a working, empty or shared Store; the suite uses keys of
// its own. Run it against the real thing, or what stands for it in tests.
func TestStore(t *testing.T, open func(t *testing.T) cache.Store) {
	t.Helper()
	for _, c := range storeCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			key := fmt.Sprintf("cachetest/%s/%d", t.Name(), time.Now().UnixNano())
			c.run(ctx, t, open(t), key)
		})
	}
}

// storeCases are the promises of Store, and of the two interfaces that a store may
// have besides; a case for one that it has not is skipped. ctx ends after 30 s, and
// key is one that no other run uses. To add a promise, add a row, and a store that
// breaks it to bad_test.go.
var storeCases = []struct {
	name string
	run  func(ctx context.Context, t *testing.T, s cache.Store, key string)
}{
	{"missing", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		if _, err := s.Get(ctx, key); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("Get of a missing key: %v, want ErrNotFound", err)
		}
	}},
	{"round trip", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		want := item(1, "\x00\xff binary \n")
		set(ctx, t, s, key, want)
		got := get(ctx, t, s, key)
		if !bytes.Equal(got.Value, want.Value) || got.Version != want.Version {
			t.Errorf("got %q version %d, want %q version %d", got.Value, got.Version, want.Value, want.Version)
		}
	}},
	{"newer replaces older", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		set(ctx, t, s, key, item(1, "old"))
		set(ctx, t, s, key, item(2, "new"))
		wantValue(ctx, t, s, key, "new")
	}},
	{"older does not replace newer, and is no error", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		set(ctx, t, s, key, item(2, "new"))
		set(ctx, t, s, key, item(1, "old"))
		wantValue(ctx, t, s, key, "new")
	}},
	{"what stays is told", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		c, ok := s.(cache.ConditionalStore)
		if !ok {
			t.Skip("not a ConditionalStore")
		}
		newer := item(2, "new")
		for i, step := range []struct {
			item cache.Item
			want int64
		}{{newer, 0}, {newer, 0}, {item(1, "old"), newer.Version}} {
			if stays, err := c.SetNewer(ctx, key, step.item); err != nil || stays != step.want {
				t.Errorf("SetNewer %d: %d, %v; want %d", i, stays, err, step.want)
			}
		}
		wantValue(ctx, t, s, key, "new")
	}},
	{"same version replaces", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		set(ctx, t, s, key, item(1, "first"))
		set(ctx, t, s, key, item(1, "second"))
		wantValue(ctx, t, s, key, "second")
	}},
	{"a version from a broken clock is replaced", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		future := item(0, "from the future")
		future.Version = time.Now().Add(time.Hour).UnixMilli()
		set(ctx, t, s, key, future)
		set(ctx, t, s, key, item(1, "now"))
		wantValue(ctx, t, s, key, "now")
	}},
	{"caller keeps its bytes", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		it := item(1, "abc")
		set(ctx, t, s, key, it)
		it.Value[0] = 'X'
		get(ctx, t, s, key).Value[1] = 'Y'
		wantValue(ctx, t, s, key, "abc")
	}},
	{"keys are exact", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		keys := []string{key, key + " ", strings.ToUpper(key), key + "/é", key + "/e\u0301", key + "/%2F", key + "/'\"\\<&>"}
		for i, k := range keys {
			set(ctx, t, s, k, item(1, fmt.Sprint(i)))
		}
		for i, k := range keys {
			wantValue(ctx, t, s, k, fmt.Sprint(i))
		}
	}},
	{"a canceled context is an error, not a miss", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.Get(ctx, key); err == nil || errors.Is(err, cache.ErrNotFound) {
			t.Errorf("Get: %v, want an error that is not ErrNotFound", err)
		}
		if err := s.Set(ctx, key, item(1, "x")); err == nil {
			t.Error("Set: no error")
		}
	}},
	{"concurrent use", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				k := fmt.Sprint(key, i%2)
				if err := s.Set(ctx, k, item(int64(i), "v")); err != nil {
					t.Errorf("Set: %v", err)
				}
				if _, err := s.Get(ctx, k); err != nil {
					t.Errorf("Get: %v", err)
				}
			})
		}
		wg.Wait()
	}},
	{"batch", func(ctx context.Context, t *testing.T, s cache.Store, key string) {
		b, ok := s.(cache.BatchStore)
		if !ok {
			t.Skip("not a BatchStore")
		}
		var keys []string
		for i := range 130 { // more than DynamoDB takes in one call
			k := fmt.Sprint(key, i)
			keys = append(keys, k)
			if i%2 == 0 {
				set(ctx, t, s, k, item(1, k))
			}
		}
		got, err := b.GetMany(ctx, keys)
		if err != nil {
			t.Fatalf("GetMany: %v", err)
		}
		for i, k := range keys {
			it, ok := got[k]
			if ok != (i%2 == 0) || ok && (string(it.Value) != k || it.Version != item(1, k).Version) {
				t.Errorf("key %d: found %t, value %q, version %d", i, ok, it.Value, it.Version)
			}
		}
		for _, it := range got {
			clear(it.Value)
		}
		wantValue(ctx, t, s, keys[0], keys[0])
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := b.GetMany(ctx, keys); err == nil {
			t.Error("GetMany with a canceled context: no error")
		}
	}},
}

// item makes an item with the n-th of a row of versions, all in the past.
func item(n int64, value string) cache.Item {
	first := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	return cache.Item{Value: []byte(value), Version: first + n, Expires: time.Now().Add(time.Hour)}
}

// set, get and wantValue end the case at the first error of the store: what follows
// would only repeat it.
func set(ctx context.Context, t *testing.T, s cache.Store, key string, it cache.Item) {
	t.Helper()
	if err := s.Set(ctx, key, it); err != nil {
		t.Fatalf("Set(version %d): %v", it.Version, err)
	}
}

func get(ctx context.Context, t *testing.T, s cache.Store, key string) cache.Item {
	t.Helper()
	it, err := s.Get(ctx, key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return it
}

func wantValue(ctx context.Context, t *testing.T, s cache.Store, key, want string) {
	t.Helper()
	if got := get(ctx, t, s, key); string(got.Value) != want {
		t.Errorf("got %q, want %q", got.Value, want)
	}
}

// TestBulletin checks that a BulletinStore keeps the contract that package
// cache relies on. open returns a working one; the suite uses keys of its own.
//
// Notes may come back in any order and more than once: they are a set. What is
// checked is that none is lost, also of those who append at the same time, and that
// none is invented.
func TestBulletin(t *testing.T, open func(t *testing.T) cache.BulletinStore) {
	t.Helper()
	note := func(i int) []byte { return fmt.Appendf(nil, "%016d", i) }
	run := func(name string, f func(ctx context.Context, t *testing.T, s cache.BulletinStore, key string)) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			f(ctx, t, open(t), fmt.Sprintf("cachetest/%s/%d", t.Name(), time.Now().UnixNano()))
		})
	}
	want := func(ctx context.Context, t *testing.T, s cache.BulletinStore, key string, n int) {
		t.Helper()
		sets, err := s.Notes(ctx, []string{key, key + "/absent"})
		if err != nil {
			t.Fatalf("Notes: %v", err)
		}
		got := make(map[string]bool)
		for _, n := range sets[key] {
			got[string(n)] = true
		}
		for i := range n {
			if !got[string(note(i))] {
				t.Errorf("note %d is missing", i)
			}
		}
		if len(got) != n || len(sets[key+"/absent"]) != 0 {
			t.Errorf("%d notes, and %d of an absent set; want %d, 0", len(got), len(sets[key+"/absent"]), n)
		}
	}
	expires := time.Now().Add(time.Hour)
	run("append and read", func(ctx context.Context, t *testing.T, s cache.BulletinStore, key string) {
		want(ctx, t, s, key, 0)
		for _, notes := range [][][]byte{{note(0)}, {note(1), note(2)}, {note(1)}} {
			if err := s.Append(ctx, key, notes, expires); err != nil {
				t.Fatalf("Append: %v", err)
			}
		}
		want(ctx, t, s, key, 3)
	})
	run("appends at the same time", func(ctx context.Context, t *testing.T, s cache.BulletinStore, key string) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if err := s.Append(ctx, key, [][]byte{note(i)}, expires); err != nil {
					t.Errorf("Append: %v", err)
				}
			})
		}
		wg.Wait()
		want(ctx, t, s, key, 50)
	})
	run("many sets", func(ctx context.Context, t *testing.T, s cache.BulletinStore, key string) {
		var keys []string
		for i := range 130 {
			keys = append(keys, fmt.Sprint(key, i))
			if err := s.Append(ctx, keys[i], [][]byte{note(i)}, expires); err != nil {
				t.Fatalf("Append: %v", err)
			}
		}
		sets, err := s.Notes(ctx, keys)
		if err != nil || len(sets) != 130 {
			t.Errorf("%d sets, %v; want 130", len(sets), err)
		}
	})
	run("a canceled context is an error", func(ctx context.Context, t *testing.T, s cache.BulletinStore, key string) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if err := s.Append(ctx, key, [][]byte{note(0)}, expires); err == nil {
			t.Error("Append: no error")
		}
		if _, err := s.Notes(ctx, []string{key}); err == nil {
			t.Error("Notes: no error")
		}
	})
}

package cache_test

import (
	"context"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// The way of a Get that misses through the files of this package, as flight.go
// tells it step by step: at each station the stack of the goroutine that is
// there, from the outside in, beginning with who started it. A way that gets
// longer, or comes back to a file more often, changes a line here, and has to be
// worth it.
func TestWalk(t *testing.T) {
	ways := walk(t)
	for name, want := range map[string]string{
		"Store.Get":    "load flight remote bounded remote",
		"Codec.Decode": "errors wire",
		"Load":         "load flight remote bounded remote flight load bounded load",
		"Codec.Encode": "errors wire",
		"Store.Set":    "writeback wire remote bounded remote",
	} {
		if got := ways[name]; got != want {
			t.Errorf("the way to %s is\n%q; it was\n%q", name, got, want)
		}
	}
}

var framesOfCache = regexp.MustCompile(`(?m)^\t.*/cache/([a-z]+)\.go:\d+`)

// here is the way to the caller, without files outside the package.
func here() string {
	b := make([]byte, 64<<10)
	b = b[:runtime.Stack(b, false)]
	var files []string
	for _, m := range framesOfCache.FindAllSubmatch(b, -1) {
		files = append(files, string(m[1]))
	}
	slices.Reverse(files)
	return strings.Join(slices.Compact(files), " ")
}

type stations struct {
	mu  sync.Mutex
	way map[string]string
}

func (s *stations) at(name string) {
	way := here()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.way[name] == "" {
		s.way[name] = way
	}
}

type walkedStore struct {
	cache.Store
	*stations
}

func (s walkedStore) Get(ctx context.Context, key string) (cache.Item, error) {
	s.at("Store.Get")
	return s.Store.Get(ctx, key)
}

func (s walkedStore) Set(ctx context.Context, key string, item cache.Item) error {
	s.at("Store.Set")
	return s.Store.Set(ctx, key, item)
}

type walkedCodec struct {
	cache.JSON[string]
	*stations
}

func (c walkedCodec) Encode(v string) ([]byte, error) {
	c.at("Codec.Encode")
	return c.JSON.Encode(v)
}

func (c walkedCodec) Decode(b []byte) (string, error) {
	c.at("Codec.Decode")
	return c.JSON.Decode(b)
}

// walk has one instance load a value, and another one find it in the store.
func walk(t *testing.T) map[string]string {
	s := &stations{way: map[string]string{}}
	synctest.Test(t, func(t *testing.T) {
		store := walkedStore{new(cachetest.Store), s}
		for range 2 {
			c, err := cache.New(cache.Options[string]{
				Name: "walk", TTL: time.Minute, Store: store, Codec: walkedCodec{stations: s},
				Load: func(context.Context, string) (string, error) { s.at("Load"); return "value", nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			if v, err := c.Get(t.Context(), "key"); v != "value" || err != nil {
				t.Fatal(v, err)
			}
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
	return s.way
}

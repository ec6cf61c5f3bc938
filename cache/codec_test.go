package cache_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// moody is a codec that embeds Raw and does something of its own.
type moody struct{ cache.Raw[string] }

func (moody) Decode([]byte) (string, error) { panic("moody") }

// Bytes come back from the store as they were, also those of a named type.
func TestRaw(t *testing.T) {
	for _, value := range []string{"", "\x00\xff not UTF-8", `{"a": 1 }`} {
		store := new(cachetest.Store)
		loads := 0
		for range 2 {
			c, err := cache.New(cache.Options[json.RawMessage]{
				Load:  func(context.Context, string) (json.RawMessage, error) { loads++; return json.RawMessage(value), nil },
				Store: store, TTL: time.Hour, Codec: cache.Raw[json.RawMessage]{},
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Get(bg, "k")
			if err != nil || string(got) != value {
				t.Errorf("%q, %v; want %q", got, err, value)
			}
			if err := c.Close(bg); err != nil {
				t.Error(err)
			}
		}
		if loads != 1 {
			t.Errorf("%q: %d loads, want 1: the second cache reads the store", value, loads)
		}
	}
	inWorld(t, func(o *cache.Options[string]) { o.Codec = moody{} }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		other := newWorld(t, w.store, func(o *cache.Options[string]) { o.Codec = moody{} })
		other.want("a", cache.SourceOrigin)
		if s := other.Stats(); s.Poison != 1 {
			t.Errorf("%d poison, want 1: Decode panics", s.Poison)
		}
		other.close()
	})
}

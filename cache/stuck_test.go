package cache_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
)

// block waits until released is closed, and counts who waits.
type block struct {
	on       atomic.Bool
	waiting  atomic.Int64
	released chan struct{}
}

func (b *block) here() {
	if b.on.Load() {
		b.waiting.Add(1)
		<-b.released
	}
}

type blockingCodec struct {
	cache.JSON[string]
	encode, decode *block
}

func (c blockingCodec) Encode(v string) ([]byte, error) { c.encode.here(); return c.JSON.Encode(v) }
func (c blockingCodec) Decode(data []byte) (string, error) {
	c.decode.here()
	return c.JSON.Decode(data)
}

// A callback that does not return is given up after LoadTimeout: lookups, Set and
// Close go on. Once many are stuck, it is not called any more.
func TestCallbacks_that_block(t *testing.T) {
	for name, put := range map[string]func(*cache.Options[string], *block){
		"Expires": func(o *cache.Options[string], b *block) {
			o.Expires = func(string) time.Time { b.here(); return time.Time{} }
		},
		"Cost": func(o *cache.Options[string], b *block) {
			o.MaxBytes, o.Cost = 1<<20, func(string) int { b.here(); return 1 }
		},
		"Tags": func(o *cache.Options[string], b *block) {
			o.Tags = func(string, string) []string { b.here(); return nil }
		},
		"Encode": func(o *cache.Options[string], b *block) {
			o.Codec = blockingCodec{encode: b, decode: new(block)}
		},
		"Decode": func(o *cache.Options[string], b *block) {
			o.Codec = blockingCodec{encode: new(block), decode: b}
		},
	} {
		b := new(block)
		inWorld(t, func(o *cache.Options[string]) {
			b.released = make(chan struct{})
			o.LoadTimeout, o.WriteTimeout, o.Cooldown = 2*time.Second, time.Second, time.Second
			put(o, b)
		}, func(w *world) {
			w.want("e", cache.SourceOrigin)
			settle()
			b.on.Store(true)
			if name == "Decode" { // of an item that another instance wrote
				other := newWorld(t, w.store, func(o *cache.Options[string]) { o.Codec = cache.JSON[string]{} })
				other.want("a", cache.SourceOrigin)
				other.close()
			}
			w.get("a", 3*time.Second)
			began := time.Now()
			if err := w.Set(bg, "b", "value of b"); err != nil || time.Since(began) > 5*time.Second {
				t.Errorf("%s: Set took %v, %v", name, time.Since(began), err)
			}
			pass(3 * time.Second)
			if s := w.Stats(); s.Zombies == 0 || s.Zombies != b.waiting.Load() {
				t.Errorf("%s: %d zombies, %d are stuck", name, s.Zombies, b.waiting.Load())
			}
			if name != "Decode" {
				for i := range 300 {
					w.origin.Put(fmt.Sprint(i), "value of "+fmt.Sprint(i))
					go w.Lookup(bg, fmt.Sprint(i))
				}
				pass(time.Minute)
				if n := b.waiting.Load(); n > 64+300 {
					t.Errorf("%s: %d calls are stuck", name, n)
				}
				before := b.waiting.Load()
				w.origin.Put("last", "value of last")
				w.get("last", time.Second)
				settle()
				if b.waiting.Load() != before {
					t.Errorf("%s: it is called although %d calls are stuck", name, before)
				}
			}
			close(b.released)
			b.on.Store(false)
			pass(time.Second)
			w.want("c", cache.SourceOrigin)
			w.want("c", cache.SourceLocal)
		})
	}
}

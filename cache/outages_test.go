package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// The tests of this file are named after what somebody would be paged for.

// An origin whose calls get stuck is no reason to leave a healthy store alone.
func TestOrigin_hangs_and_the_store_is_still_read(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.LoadTimeout = 100 * time.Millisecond }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		settle()
		released := make(chan struct{})
		load := func(context.Context, string) (string, error) { <-released; return "", errDown }
		other := newWorld(t, w.store, func(o *cache.Options[string]) { o.LoadTimeout, o.Load = 100*time.Millisecond, load })
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if _, err := other.Get(context.Background(), fmt.Sprint("new ", i)); !errors.Is(err, cache.ErrLoadTimeout) {
					t.Errorf("%v, want ErrLoadTimeout", err)
				}
			})
		}
		wg.Wait()
		if z := other.Stats().Zombies; z != 100 {
			t.Errorf("%d zombies, want 100", z)
		}
		other.want("a", cache.SourceRemote)
		close(released)
		settle()
		other.close()
	})
}

// Close must not say that all is well while a write is still stuck.
func TestClose_during_the_last_write(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.store.Inject(cachetest.Hang, cachetest.Set)
		_ = w.Set(context.Background(), "a", "value of a")
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want context.DeadlineExceeded", err)
		}
		pass(time.Second)
	})
}

// What a load brings after Close has given up waiting is not written any
// more: nothing runs on.
func TestClose_before_the_last_load(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.origin.Slow(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { w.want("a", cache.SourceOrigin) })
		settle()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want context.DeadlineExceeded", err)
		}
		wg.Wait()
		_ = w.Set(context.Background(), "b", "value of b")
		settle()
		if n, dropped := w.store.Calls(cachetest.Set), w.Stats().WritesDropped; n != 0 || dropped != 2 {
			t.Errorf("%d writes after Close, %d dropped; want 0, 2", n, dropped)
		}
	})
}

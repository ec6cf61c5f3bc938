package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
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

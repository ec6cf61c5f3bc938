package cache_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
)

// TestGet_callers_give_up_while_the_origin_is_busy: a caller that leaves gets the
// error of their own context, also when the search ends at the same moment
// because nobody waits for it any more.
func TestGet_callers_give_up_while_the_origin_is_busy(t *testing.T) {
	busy := make(chan struct{})
	c, err := cache.New(cache.Options[string]{
		TTL: time.Minute, Concurrency: 1,
		Load: func(context.Context, string) (string, error) { <-busy; return "", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	var holder sync.WaitGroup
	holder.Go(func() { _, _ = c.Get(context.Background(), "holds the slot") })
	for c.Stats().Loads == 0 {
		runtime.Gosched()
	}
	for i := range 5000 {
		queued := c.Stats().LoadsQueued
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := c.Get(ctx, "a"); err != context.Canceled {
					t.Errorf("round %d: %v, want context.Canceled", i, err)
				}
			})
		}
		for c.Stats().LoadsQueued == queued {
			runtime.Gosched()
		}
		cancel()
		wg.Wait()
	}
	close(busy)
	holder.Wait()
}

package cachetest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// A store that hangs costs a Get its budget, and the value comes from the
// origin. In a testing/synctest bubble such a test takes no time.
func Example() {
	var store cachetest.Store
	var origin cachetest.Origin[string]
	origin.Put("k", "v")

	c, err := cache.New(cache.Options[string]{
		Load: origin.Load, Store: &store, TTL: time.Minute,
		RemoteBudget: 5 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = c.Close(ctx) }()

	store.Inject(cachetest.Hang, cachetest.Get)
	r := c.Lookup(ctx, "k")
	fmt.Println(r.Value, "from", r.Source, "after", origin.Calls("k"), "load")
	// Output: v from origin after 1 load
}

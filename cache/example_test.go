package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// The shared tier fails, and nobody notices: the value comes from the origin.
func Example() {
	store := new(cachetest.Store) // in production: cache/dynamo
	sessions, err := cache.New(cache.Options[string]{
		Load: func(_ context.Context, token string) (string, error) { // the system of record
			if token != "token-1" {
				return "", cache.ErrNotFound
			}
			return "user 1", nil
		},
		Store: store,
		TTL:   5 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = sessions.Close(ctx) }()

	store.Inject(cachetest.Fail(errors.New("AccessDeniedException")))

	user, err := sessions.Get(ctx, "token-1")
	fmt.Println(user, err)
	_, err = sessions.Get(ctx, "stolen")
	fmt.Println(err)
	fmt.Println("faults seen:", sessions.Stats().Reads.Faults)
	// Output:
	// user 1 <nil>
	// cache: not found
	// faults seen: 2
}

// Lookup tells where a value came from, for a metric or a header.
func ExampleCache_Lookup() {
	c, err := cache.New(cache.Options[string]{
		Load: func(_ context.Context, key string) (string, error) { return "value of " + key, nil },
		TTL:  time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = c.Close(ctx) }()

	for range 2 {
		r := c.Lookup(ctx, "k")
		fmt.Println(r.Value, "from", r.Source)
	}
	// Output:
	// value of k from origin
	// value of k from local
}

// A loader says ErrNotFound when it knows that there is no such thing, and
// anything else when it does not know. The difference decides what happens to
// a value that is past its TTL.
func ExampleOptions_staleIfError() {
	session, down := "user 1", error(nil)
	c, err := cache.New(cache.Options[string]{
		Load: func(context.Context, string) (string, error) {
			if down != nil {
				return "", down // a fault: the last value will do for a while
			}
			if session == "" {
				return "", cache.ErrNotFound // an answer: logged out
			}
			return session, nil
		},
		TTL:          time.Millisecond, // so that each Get below asks the origin
		NegativeTTL:  -1,
		StaleIfError: time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = c.Close(ctx) }()

	show := func() {
		<-time.After(2 * time.Millisecond)
		r := c.Lookup(ctx, "token-1")
		fmt.Printf("%q %v, from %v\n", r.Value, r.Err, r.Source)
	}
	show()
	session = ""
	show()
	down = errors.New("the origin is down")
	show() // "gone" was an answer: nothing stale is served after it
	// Output:
	// "user 1" <nil>, from origin
	// "" cache: not found, from origin
	// "" the origin is down, from unknown
}

// Invalidate ends a session everywhere; its error means that other instances
// could not be updated.
func ExampleCache_Invalidate() {
	store := new(cachetest.Store)
	c, err := cache.New(cache.Options[string]{
		Load:  func(context.Context, string) (string, error) { return "user 1", nil },
		Store: store,
		TTL:   time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = c.Close(ctx) }()

	store.Inject(cachetest.Fail(errors.New("access denied")), cachetest.Set)
	fmt.Println(c.Invalidate(ctx, "token-1"))
	// Output:
	// cache: invalidated in this process; the store does not know yet: access denied
}

// A permission check fails closed: a fault of the store costs nothing, one of
// the origin denies, and old news never lets anybody in.
func ExampleCache_LookupWith() {
	type grant struct{ Allow bool }
	down := error(nil)
	grants, err := cache.New(cache.Options[grant]{
		Load:         func(context.Context, string) (grant, error) { return grant{Allow: true}, down },
		TTL:          time.Millisecond,
		StaleIfError: time.Hour, // for others than this check
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = grants.Close(ctx) }()

	allowed := func(user, action string) bool {
		r := grants.LookupWith(ctx, user+"\x00"+action, cache.LookupOptions{NoStale: true, MaxAge: 10 * time.Second})
		return r.Err == nil && r.Value.Allow
	}
	fmt.Println(allowed("ann", "pay"))
	down = errors.New("the origin is down")
	<-time.After(2 * time.Millisecond) // past its TTL
	fmt.Println(allowed("ann", "pay"))
	// Output:
	// true
	// false
}

// A catalogue page needs to know what does not exist, and what could not be
// had.
func ExampleCache_LookupMany() {
	products, err := cache.New(cache.Options[string]{
		Load: func(context.Context, string) (string, error) { return "", errors.New("not used here") },
		LoadMany: func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"1": "a chair"}, &cache.KeysError{Errs: map[string]error{"3": errors.New("shard 3 is down")}}
		},
		TTL: time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = products.Close(ctx) }()

	found := products.LookupMany(ctx, []string{"1", "2", "3"})
	for _, id := range []string{"1", "2", "3"} {
		switch r := found[id]; {
		case r.Err == nil:
			fmt.Println(id, r.Value)
		case errors.Is(r.Err, cache.ErrNotFound):
			fmt.Println(id, "does not exist")
		default:
			fmt.Println(id, "could not be had:", r.Err)
		}
	}
	// Output:
	// 1 a chair
	// 2 does not exist
	// 3 could not be had: shard 3 is down
}

// All sessions of a user end with one call.
func ExampleCache_InvalidateTag() {
	type session struct{ User string }
	users := map[string]string{"token-1": "7", "token-2": "7", "token-3": "8"}
	c, err := cache.New(cache.Options[session]{
		Name: "sessions",
		Load: func(_ context.Context, token string) (session, error) {
			user, ok := users[token]
			if !ok {
				return session{}, cache.ErrNotFound
			}
			return session{user}, nil
		},
		Tags: func(_ string, s session) []string { return []string{"user " + s.User} },
		TTL:  time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer func() { _ = c.Close(ctx) }()
	for token := range users {
		_, _ = c.Get(ctx, token)
	}

	delete(users, "token-1")
	delete(users, "token-2")
	fmt.Println(c.InvalidateTag(ctx, "user 7"))
	for _, token := range []string{"token-1", "token-2", "token-3"} {
		r := c.Lookup(ctx, token)
		fmt.Println(r.Value.User, r.Err, r.Source)
	}
	// Output:
	// <nil>
	//  cache: not found origin
	//  cache: not found origin
	// 8 <nil> local
}

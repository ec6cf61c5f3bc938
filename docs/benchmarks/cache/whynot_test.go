package cache

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/viccon/sturdyc"
	"golang.org/x/sync/singleflight"

	failopen "github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// twoTiers is a shared tier and an origin that each of the caches sits in front
// of. get is what its callers do.
type twoTiers struct {
	hang    bool          // the shared tier answers when its context ends
	garbage bool          // or with what is no value
	origin  time.Duration // how long the origin takes
}

func (w twoTiers) load(ctx context.Context) (string, error) {
	timer := time.NewTimer(w.origin)
	defer timer.Stop()
	select {
	case <-timer.C:
		return "value", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// shared reads the shared tier.
func (w twoTiers) shared(ctx context.Context) ([]byte, bool) {
	if w.hang {
		<-ctx.Done()
	}
	if w.garbage {
		return []byte("\xff{not a value"), true
	}
	return nil, false
}

// byHand is the pattern of golang.org/x/sync/singleflight around an LRU: the
// first caller loads for all.
func (w twoTiers) byHand(t *testing.T) getter {
	local, err := lru.New[string, string](100)
	if err != nil {
		t.Fatal(err)
	}
	var flights singleflight.Group
	return func(ctx context.Context, key string) (string, error) {
		if v, ok := local.Get(key); ok {
			return v, nil
		}
		v, err, _ := flights.Do(key, func() (any, error) {
			if data, ok := w.shared(ctx); ok {
				return string(data), nil
			}
			return w.load(ctx)
		})
		if err != nil {
			return "", err
		}
		local.Add(key, v.(string))
		return v.(string), nil
	}
}

// sturdycStore is the shared tier as sturdyc's DistributedStorage.
type sturdycStore struct{ twoTiers }

func (s sturdycStore) Get(ctx context.Context, _ string) ([]byte, bool)            { return s.shared(ctx) }
func (s sturdycStore) Set(context.Context, string, []byte)                         {}
func (s sturdycStore) GetBatch(context.Context, []string) (none map[string][]byte) { return none }
func (s sturdycStore) SetBatch(context.Context, map[string][]byte)                 {}

func (w twoTiers) sturdyc(*testing.T) getter {
	c := sturdyc.New[string](100, 1, time.Hour, 10, sturdyc.WithNoContinuousEvictions(), sturdyc.WithDistributedStorage(sturdycStore{w}))
	return func(ctx context.Context, key string) (string, error) {
		return c.GetOrFetch(ctx, key, w.load)
	}
}

func (w twoTiers) failopen(t *testing.T) getter {
	store := new(cachetest.Store)
	if w.hang {
		store.Inject(cachetest.Hang)
	}
	c, err := failopen.New(failopen.Options[string]{
		Store: store, TTL: time.Hour,
		Load: func(ctx context.Context, _ string) (string, error) { return w.load(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		store.Inject(nil)
		_ = c.Close(context.Background()) // of a store in memory
	})
	if w.garbage {
		store.Put("=key", failopen.Item{Value: []byte("\xff{not a value"), Version: time.Now().UnixMilli()})
	}
	return c.Get
}

// TestWhyNot holds the table of docs/comparison.md about caches: what a caller
// gets from each, in virtual time. The origin is well in all of them.
func TestWhyNot(t *testing.T) {
	const value, fault = "value", "error"
	for _, c := range []struct {
		name                   string
		tiers                  twoTiers
		ask                    func(get getter) (string, error)
		byHand, sturdyc, wants string
	}{
		{"the shared tier hangs, and the caller waits for 200 ms", twoTiers{hang: true, origin: 10 * time.Millisecond}, patient, fault, fault, value},
		{"the shared tier returns garbage", twoTiers{garbage: true, origin: 10 * time.Millisecond}, patient, "garbage", fault, value},
		{"the first of two callers leaves", twoTiers{origin: 100 * time.Millisecond}, second, fault, fault, value},
	} {
		for name, x := range map[string]struct {
			make func(*testing.T) getter
			want string
		}{
			"singleflight + LRU": {c.tiers.byHand, c.byHand}, "sturdyc": {c.tiers.sturdyc, c.sturdyc}, "failopen": {c.tiers.failopen, c.wants},
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v, err := c.ask(x.make(t))
					got := "garbage"
					switch {
					case err != nil:
						got = fault
					case v == "value":
						got = value
					}
					if got != x.want {
						t.Errorf("the caller gets %q, %v; docs/comparison.md says %s", v, err, x.want)
					}
				})
			})
		}
	}
}

// patient waits for 200 ms.
func patient(get getter) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	return get(ctx, "key")
}

// second asks just after another caller, who leaves before the answer.
func second(get getter) (string, error) {
	ctx, leave := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		_, err := get(ctx, "key")
		first <- err
	}()
	synctest.Wait()
	type answer struct {
		v   string
		err error
	}
	got := make(chan answer, 1)
	go func() {
		v, err := get(context.Background(), "key")
		got <- answer{v, err}
	}()
	synctest.Wait()
	leave()
	a := <-got
	if err := <-first; !errors.Is(err, context.Canceled) && err != nil {
		return "", err
	}
	return a.v, a.err
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	gocache "github.com/eko/gocache/lib/v4/cache"
	gostore "github.com/eko/gocache/lib/v4/store"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"
	"github.com/viccon/sturdyc"

	"github.com/failopen/failopen/cache"
)

type getter func(ctx context.Context, key string) (string, error)

// peer makes a cache of two tiers, fresh for ttl, with values that may be served
// for an hour if the origin fails, where the peer can do that: each set up as its
// documentation does it best.
type peer struct {
	name string
	open func(t *tier, o *origin, ttl time.Duration) getter
}

const stale = time.Hour

var peers = []peer{
	{"failopen", openFailopen},
	{"sturdyc", openSturdyc},
	{"gocache", openGocache},
	{"go-redis/cache", openRedisCache},
}

func openFailopen(t *tier, o *origin, ttl time.Duration) getter {
	c, err := cache.New(cache.Options[session]{
		Name: "s", Load: o.session, Store: failopenStore{t}, TTL: ttl, StaleIfError: stale,
	})
	if err != nil {
		panic(err)
	}
	return func(ctx context.Context, key string) (string, error) {
		s, err := c.Get(ctx, key)
		return s.User, err
	}
}

type failopenStore struct{ t *tier }

func (s failopenStore) Get(ctx context.Context, key string) (cache.Item, error) {
	it, ok, err := s.t.get(ctx, key)
	if err == nil && !ok {
		err = cache.ErrNotFound
	}
	return cache.Item{Value: it.bytes, Version: it.version, Expires: it.expires}, err
}

func (s failopenStore) Set(ctx context.Context, key string, i cache.Item) error {
	return s.t.set(ctx, key, item{i.Value, i.Version, i.Expires})
}

// openSturdyc refreshes after ttl and keeps what it has for an hour, which is its
// way to have something when the origin fails.
func openSturdyc(t *tier, o *origin, ttl time.Duration) getter {
	c := sturdyc.New[session](100_000, 10, stale, 10,
		sturdyc.WithEarlyRefreshes(ttl, ttl+ttl/10, ttl+ttl/5, time.Millisecond),
		sturdyc.WithDistributedStorageEarlyRefreshes(sturdyStore{t}, ttl),
		sturdyc.WithLog(slog.New(slog.DiscardHandler)))
	return func(ctx context.Context, key string) (string, error) {
		s, err := c.GetOrFetch(ctx, key, func(ctx context.Context) (session, error) { return o.session(ctx, key) })
		return s.User, err
	}
}

type sturdyStore struct{ t *tier }

func (s sturdyStore) Get(ctx context.Context, key string) ([]byte, bool) {
	it, ok, err := s.t.get(ctx, key)
	return it.bytes, ok && err == nil
}

func (s sturdyStore) Set(ctx context.Context, key string, value []byte) {
	_ = s.t.set(ctx, key, item{bytes: value})
}
func (s sturdyStore) Delete(ctx context.Context, key string) { _ = s.t.remove(ctx, key) }
func (s sturdyStore) GetBatch(ctx context.Context, keys []string) map[string][]byte {
	found := make(map[string][]byte)
	for _, key := range keys {
		if b, ok := s.Get(ctx, key); ok {
			found[key] = b
		}
	}
	return found
}

func (s sturdyStore) SetBatch(ctx context.Context, records map[string][]byte) {
	for key, b := range records {
		s.Set(ctx, key, b)
	}
}

func (s sturdyStore) DeleteBatch(ctx context.Context, keys []string) {
	for _, key := range keys {
		s.Delete(ctx, key)
	}
}

// openGocache is a loadable chain of a local and a shared store, of strings: it
// leaves other types to its stores.
func openGocache(t *tier, o *origin, ttl time.Duration) getter {
	local := gocache.New[string](&goStore{name: "local", local: true, tier: new(tier)})
	shared := gocache.New[string](&goStore{name: "shared", tier: t})
	c := gocache.NewLoadable(func(ctx context.Context, key any) (string, []gostore.Option, error) {
		v, err := o.load(ctx, key.(string))
		return v, []gostore.Option{gostore.WithExpiration(ttl)}, err
	}, gocache.NewChain[string](local, shared))
	return func(ctx context.Context, key string) (string, error) { return c.Get(ctx, key) }
}

// goStore returns strings, as gocache's Redis store does. The local one does not
// return what has expired; the shared one does, like DynamoDB.
type goStore struct {
	name  string
	local bool
	tier  *tier
}

func (s *goStore) Get(ctx context.Context, key any) (any, error) {
	v, _, err := s.GetWithTTL(ctx, key)
	return v, err
}

func (s *goStore) GetWithTTL(ctx context.Context, key any) (any, time.Duration, error) {
	it, ok, err := s.tier.get(ctx, key.(string))
	left := time.Until(it.expires)
	switch {
	case err != nil:
		return nil, 0, err
	case !ok, s.local && left <= 0:
		return nil, 0, gostore.NotFoundWithCause(fmt.Errorf("%v", key))
	}
	return string(it.bytes), left, nil
}

func (s *goStore) Set(ctx context.Context, key, value any, options ...gostore.Option) error {
	o := gostore.ApplyOptions(options...)
	return s.tier.set(ctx, key.(string), item{bytes: []byte(value.(string)), expires: time.Now().Add(o.Expiration)})
}

func (s *goStore) Delete(ctx context.Context, key any) error { return s.tier.remove(ctx, key.(string)) }

func (s *goStore) Invalidate(context.Context, ...gostore.InvalidateOption) error {
	return nil
}
func (s *goStore) Clear(context.Context) error { return nil }
func (s *goStore) GetType() string             { return s.name }

// openRedisCache has its TinyLFU for a local tier.
func openRedisCache(t *tier, o *origin, ttl time.Duration) getter {
	c := rediscache.New(&rediscache.Options{Redis: redisTier{t}, LocalCache: rediscache.NewTinyLFU(100_000, ttl)})
	return func(ctx context.Context, key string) (string, error) {
		var s session
		err := c.Once(&rediscache.Item{Ctx: ctx, Key: key, Value: &s, TTL: max(ttl, time.Second), Do: func(i *rediscache.Item) (any, error) {
			return o.session(i.Context(), key)
		}})
		return s.User, err
	}
}

// redisTier is what it needs of Redis.
type redisTier struct{ t *tier }

func (r redisTier) Get(ctx context.Context, key string) *redis.StringCmd {
	cmd := redis.NewStringCmd(ctx, "get", key)
	switch it, ok, err := r.t.get(ctx, key); {
	case err != nil:
		cmd.SetErr(err)
	case !ok:
		cmd.SetErr(redis.Nil)
	default:
		cmd.SetVal(string(it.bytes))
	}
	return cmd
}

func (r redisTier) Set(ctx context.Context, key string, value any, ttl time.Duration) *redis.StatusCmd {
	cmd := redis.NewStatusCmd(ctx, "set", key)
	b, ok := value.([]byte)
	if !ok {
		b = fmt.Append(nil, value)
	}
	if err := r.t.set(ctx, key, item{bytes: b, expires: time.Now().Add(ttl)}); err != nil {
		cmd.SetErr(err)
	}
	return cmd
}

func (r redisTier) SetXX(ctx context.Context, _ string, _ any, _ time.Duration) *redis.BoolCmd {
	return redis.NewBoolCmd(ctx)
}

func (r redisTier) SetNX(ctx context.Context, _ string, _ any, _ time.Duration) *redis.BoolCmd {
	return redis.NewBoolCmd(ctx)
}

func (r redisTier) Del(ctx context.Context, keys ...string) *redis.IntCmd {
	cmd := redis.NewIntCmd(ctx, "del")
	for _, key := range keys {
		if err := r.t.remove(ctx, key); err != nil {
			cmd.SetErr(err)
		}
	}
	return cmd
}

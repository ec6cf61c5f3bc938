package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// BenchmarkGet measures the paths of a Get. Beside each stands what it is
// built on, in the same run, since absolute times mean little on a shared
func BenchmarkGet(b *testing.B) {
	b.Run("local-hit", benchLocalHit)
	b.Run("breaker-open", benchBreakerOpen)
	b.Run("stampede", benchStampede)
	b.Run("remote-hit", benchRemoteHit)
}

func newBench(b *testing.B, o cache.Options[string]) *cache.Cache[string] {
	b.Helper()
	o.TTL = time.Hour
	c, err := cache.New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func load(_ context.Context, key string) (string, error) { return key, nil }

// zipfKeys are 65,536 keys like session tokens, and a row of indexes in which
// few of them come often.
func zipfKeys() (keys []string, row []int) {
	keys = make([]string, 65536)
	for i := range keys {
		keys[i] = fmt.Sprintf("session-%016x", uint64(i)*0x9e3779b97f4a7c15)
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, uint64(len(keys)-1))
	row = make([]int, 1<<18)
	for i := range row {
		row[i] = int(zipf.Uint64())
	}
	return keys, row
}

func benchLocalHit(b *testing.B) {
	keys, row := zipfKeys()
	ctx := context.Background()
	b.Run("floor-sync.Map", func(b *testing.B) {
		var m sync.Map
		for _, key := range keys {
			m.Store(key, key)
		}
		parallelRow(b, keys, row, func(key string) bool {
			_, ok := m.Load(key)
			return ok
		})
	})
	b.Run("failopen", func(b *testing.B) {
		c := newBench(b, cache.Options[string]{Load: load, MaxEntries: 2 * len(keys)})
		for _, key := range keys {
			_ = c.Set(ctx, key, key)
		}
		parallelRow(b, keys, row, func(key string) bool {
			_, err := c.Get(ctx, key)
			return err == nil
		})
		if loads := c.Stats().Loads; loads != 0 {
			b.Errorf("%d loads, want 0: not every Get was a hit", loads)
		}
	})
	b.Run("failopen-one-hot-key", func(b *testing.B) {
		c := newBench(b, cache.Options[string]{Load: load})
		_ = c.Set(ctx, keys[0], "v")
		parallelRow(b, keys[:1], make([]int, len(row)), func(key string) bool {
			_, err := c.Get(ctx, key)
			return err == nil
		})
	})
}

func parallelRow(b *testing.B, keys []string, row []int, get func(key string) bool) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := rand.IntN(len(row))
		for pb.Next() {
			if !get(keys[row[i&(len(row)-1)]]) {
				b.Error("a miss")
				return
			}
			i++
		}
	})
}

// benchBreakerOpen is a whole miss while the store is down: gate, flight,
// load, insert into the local tier.
func benchBreakerOpen(b *testing.B) {
	keys := make([]string, 1<<20)
	for i := range keys {
		keys[i] = fmt.Sprintf("session-%08d", i)
	}
	miss := func(ctx context.Context) func(b *testing.B) {
		return func(b *testing.B) {
			store := new(cachetest.Store)
			store.Inject(cachetest.Fail(cache.ErrPermanent))
			c := newBench(b, cache.Options[string]{Load: load, Store: store, Cooldown: time.Hour, MaxEntries: 4096})
			_, _ = c.Get(ctx, "opens the breaker for reads")
			for c.Stats().Writes.Breaker != "open" {
				_ = c.Set(ctx, "opens the breaker for writes", "")
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				_, _ = c.Get(ctx, keys[i&(len(keys)-1)])
			}
			b.StopTimer()
			if s := c.Stats(); s.Loads < int64(b.N) || s.Reads.Calls != 1 {
				b.Errorf("%d loads, %d reads of the store; want at least %d, 1", s.Loads, s.Reads.Calls, b.N)
			}
		}
	}
	b.Run("floor-loader", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			_, _ = load(context.Background(), keys[i&(len(keys)-1)])
		}
	})
	b.Run("failopen", miss(context.Background()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	b.Run("failopen-caller-with-deadline", miss(ctx))
}

// benchStampede is 10,000 concurrent misses of one key, with an origin that
// takes 50 ms.
func benchStampede(b *testing.B) {
	const callers, delay = 10_000, 50 * time.Millisecond
	for b.Loop() {
		var origin cachetest.Origin[string]
		origin.Put("a", "v")
		origin.Slow(delay)
		c := newBench(b, cache.Options[string]{Load: origin.Load})
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() { _, _ = c.Get(context.Background(), "a") })
		}
		wg.Wait()
		if n := origin.Total(); n != 1 {
			b.Fatalf("%d loads, want 1", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6-float64(delay.Milliseconds()), "ms-over-origin")
	b.ReportMetric(1, "loads")
}

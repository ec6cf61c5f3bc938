// Package cache measures package cache beside its peers, in one run.
package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"
	"github.com/viccon/sturdyc"

	"github.com/failopen/failopen/cache"
)

// getter is what is measured: a Get with a loader.
type getter func(ctx context.Context, key string) (string, error)

type loader = func(ctx context.Context, key string) (string, error)

const (
	keyCount = 65536
	capacity = 2 * keyCount
)

// peers make a cache in front of load. golang-lru has no loader, so its Get
// is what a user would write around it.
var peers = []struct {
	name string
	make func(b *testing.B, load loader, capacity int) getter
}{
	{"failopen", func(b *testing.B, load loader, capacity int) getter {
		c, err := cache.New(cache.Options[string]{Load: load, TTL: time.Hour, MaxEntries: capacity})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close(context.Background()) })
		return c.Get
	}},
	{"otter", func(b *testing.B, load loader, capacity int) getter {
		c, err := otter.New(&otter.Options[string, string]{
			MaximumSize: capacity, ExpiryCalculator: otter.ExpiryWriting[string, string](time.Hour),
		})
		if err != nil {
			b.Fatal(err)
		}
		return func(ctx context.Context, key string) (string, error) {
			return c.Get(ctx, key, otter.LoaderFunc[string, string](load))
		}
	}},
	{"sturdyc", func(_ *testing.B, load loader, capacity int) getter {
		c := sturdyc.New[string](capacity, 64, time.Hour, 10)
		return func(ctx context.Context, key string) (string, error) {
			return c.GetOrFetch(ctx, key, func(ctx context.Context) (string, error) { return load(ctx, key) })
		}
	}},
	{"golang-lru-expirable", func(_ *testing.B, load loader, capacity int) getter {
		c := expirable.NewLRU[string, string](capacity, nil, time.Hour)
		return func(ctx context.Context, key string) (string, error) {
			if v, ok := c.Get(key); ok {
				return v, nil
			}
			v, err := load(ctx, key)
			if err == nil {
				c.Add(key, v)
			}
			return v, err
		}
	}},
	{"floor-sync.Map", func(_ *testing.B, load loader, _ int) getter {
		var m sync.Map
		return func(ctx context.Context, key string) (string, error) {
			if v, ok := m.Load(key); ok {
				return v.(string), nil
			}
			v, err := load(ctx, key)
			m.Store(key, v)
			return v, err
		}
	}},
}

func echo(_ context.Context, key string) (string, error) { return key, nil }

// BenchmarkLocalHit reads 65,536 keys of 24 bytes, few of them often (Zipf,
// s = 1.01), from all cores.
func BenchmarkLocalHit(b *testing.B) {
	keys := make([]string, keyCount)
	for i := range keys {
		keys[i] = fmt.Sprintf("session-%016x", uint64(i)*0x9e3779b97f4a7c15)
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, keyCount-1)
	row := make([]int, 1<<18)
	for i := range row {
		row[i] = int(zipf.Uint64())
	}
	ctx := context.Background()
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			get := p.make(b, echo, capacity)
			for _, key := range keys {
				_, _ = get(ctx, key)
			}
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(row)); pb.Next(); i++ {
					if _, err := get(ctx, keys[row[i&(len(row)-1)]]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkMiss loads a new key each time: what a cache adds to its loader.
func BenchmarkMiss(b *testing.B) {
	keys := make([]string, 1<<20)
	for i := range keys {
		keys[i] = fmt.Sprintf("session-%08d", i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			get := p.make(b, echo, capacity)
			b.ReportAllocs()
			for i := range b.N {
				_, _ = get(ctx, keys[i&(len(keys)-1)])
			}
		})
	}
}

// BenchmarkStampede is 10,000 callers that miss one key at the same moment,
// with an origin that takes 50 ms. It reports the loads and the time beyond
// the origin's.
func BenchmarkStampede(b *testing.B) {
	const callers, delay = 10_000, 50 * time.Millisecond
	for _, p := range peers {
		if p.name == "floor-sync.Map" || p.name == "golang-lru-expirable" {
			continue // nothing is coalesced
		}
		b.Run(p.name, func(b *testing.B) {
			var mu sync.Mutex
			loads := 0
			for range b.N {
				get := p.make(b, func(context.Context, string) (string, error) {
					mu.Lock()
					loads++
					mu.Unlock()
					<-time.After(delay)
					return "v", nil
				}, capacity)
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() { _, _ = get(context.Background(), "k") })
				}
				wg.Wait()
			}
			b.ReportMetric(float64(loads)/float64(b.N), "loads/op")
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/1e6-float64(delay)/1e6, "ms-over-origin/op")
		})
	}
}

// BenchmarkMemory tells what the heap holds for each of a million entries, keys (24
// bytes) and values (32) included. One round is enough:
//
//	go test -run '^$' -bench Memory -benchtime 1x -count 3 ./cache
func BenchmarkMemory(b *testing.B) {
	const entries = 1_000_000
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				get := p.make(b, func(_ context.Context, key string) (string, error) { return key + "-value00", nil }, 2*entries)
				ctx := context.Background()
				for i := range entries {
					_, _ = get(ctx, fmt.Sprintf("session-%016x", uint64(i)*0x9e3779b97f4a7c15))
				}
				b.ReportMetric(float64(heap()-before)/entries, "B/entry")
				b.ReportMetric(0, "ns/op")
				runtime.KeepAlive(get)
			}
		})
	}
}

// BenchmarkGetMany reads 100 keys that are in the local tier, one call for each or
// all in one.
func BenchmarkGetMany(b *testing.B) {
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprintf("session-%016x", uint64(i)*0x9e3779b97f4a7c15)
	}
	ctx := context.Background()
	ours, err := cache.New(cache.Options[string]{Load: echo, TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ours.Close(ctx) }()
	theirs := sturdyc.New[string](capacity, 64, time.Hour, 10)
	same := func(id string) string { return id }
	for _, c := range []struct {
		name string
		get  func() (map[string]string, error)
	}{
		{"failopen", func() (map[string]string, error) { return ours.GetMany(ctx, keys) }},
		{"sturdyc", func() (map[string]string, error) {
			return theirs.GetOrFetchBatch(ctx, keys, same, func(_ context.Context, ids []string) (map[string]string, error) {
				found := make(map[string]string, len(ids))
				for _, id := range ids {
					found[id] = id
				}
				return found, nil
			})
		}},
		{"floor-100-gets", func() (map[string]string, error) {
			found := make(map[string]string, len(keys))
			for _, key := range keys {
				v, err := ours.Get(ctx, key)
				if err != nil {
					return nil, err
				}
				found[key] = v
			}
			return found, nil
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if found, err := c.get(); err != nil || len(found) != len(keys) {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}

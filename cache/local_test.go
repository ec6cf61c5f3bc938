package cache

import (
	"container/list"
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// lruModel is the plainest LRU that promotes lazily, to compare with.
type lruModel struct {
	limit int
	order list.List // of keys, most recent first
	at    map[string]*list.Element
	value map[string]int
	moved map[string]int64
	moves int64
}

func (m *lruModel) put(key string, v int) {
	if e, ok := m.at[key]; ok {
		m.order.Remove(e)
	}
	m.moves++
	m.at[key], m.value[key], m.moved[key] = m.order.PushFront(key), v, m.moves
	if m.order.Len() > m.limit {
		last := m.order.Remove(m.order.Back()).(string)
		delete(m.at, last)
	}
}

func (m *lruModel) get(key string) (int, bool) {
	e, ok := m.at[key]
	if !ok {
		return 0, false
	}
	if m.moves-m.moved[key] > int64(m.order.Len()/promoteShare) {
		m.order.MoveToFront(e)
		m.moves++
		m.moved[key] = m.moves
	}
	return m.value[key], true
}

// TestLocal_model compares random operations with the model, step by step.
func TestLocal_model(t *testing.T) {
	const limit, keys = 100, 300
	l := newLocal[int](limit, 0)
	m := &lruModel{limit: limit, at: make(map[string]*list.Element), value: make(map[string]int), moved: make(map[string]int64)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for step := range 200_000 {
		key := fmt.Sprint(rnd.IntN(keys))
		hash := maphash.String(l.seed, key)
		s := l.shard(hash)
		switch op := rnd.IntN(1000); {
		case op == 0:
			s.reset()
			m.order.Init()
			clear(m.at)
		case op < 400:
			s.mu.Lock()
			l.put(s, &entry[int]{key: key, hash: hash, value: step})
			s.mu.Unlock()
			m.put(key, step)
		case op < 450:
			s.mu.Lock()
			if e := s.find(hash, key); e != nil {
				s.remove(e)
				m.order.Remove(m.at[key])
				delete(m.at, key)
			}
			s.mu.Unlock()
		default:
			want, there := m.get(key)
			e := s.find(hash, key)
			if (e != nil) != there || (there && e.value != want) {
				t.Fatalf("step %d: get(%s): found %t, want %t with %d", step, key, e != nil, there, want)
			}
			if e != nil {
				s.touch(e)
			}
		}
		if n, _ := l.size(); n != m.order.Len() {
			t.Fatalf("step %d: %d entries, want %d", step, n, m.order.Len())
		}
	}
}

// TestLocal_readers lets readers walk chains that are relinked under them. A
// reader may overlook an entry, but must not find a wrong one or get lost; and
// one that is never removed must be found under the mutex.
func TestLocal_readers(t *testing.T) {
	l := newLocal[string](64, 0)
	key := func(i int) (string, uint64) {
		k := fmt.Sprint(i)
		return k, maphash.String(l.seed, k)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k, hash := key(i % 200)
				s := l.shard(hash)
				if e := s.find(hash, k); e != nil {
					if e.value != k {
						t.Errorf("found %q under %q", e.value, k)
						return
					}
					s.touch(e)
				}
			}
		})
	}
	for i := range 100_000 {
		k, hash := key(i % 200)
		s := l.shard(hash)
		s.mu.Lock()
		l.put(s, &entry[string]{key: k, hash: hash, value: k})
		if s.find(hash, k) == nil {
			t.Error("an entry cannot be found right after put")
		}
		if i%5000 == 0 {
			s.reset()
		}
		s.mu.Unlock()
	}
	close(stop)
	wg.Wait()
}

func TestLocal_hit_allocates_nothing(t *testing.T) {
	c, err := New(Options[string]{Load: func(context.Context, string) (string, error) { return "v", nil }, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(background) }()
	_, _ = c.Get(background, "a")
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Get(background, "a") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// A small tier that turns over many times a second still is an LRU: what is hot
// stays, whatever is scanned.
func TestLocal_small_and_fast_is_an_LRU(t *testing.T) {
	for _, c := range []struct{ limit, hot, scan int }{{10, 5, 1000}, {100, 50, 10_000}, {1000, 500, 100_000}} {
		l := newLocal[int](c.limit, 0)
		rnd := rand.New(rand.NewPCG(1, 2))
		hits, asks := 0, 0
		get := func(key string) bool {
			hash := maphash.String(l.seed, key)
			s := l.shard(hash)
			if e := s.find(hash, key); e != nil {
				s.touch(e)
				return true
			}
			s.mu.Lock()
			l.put(s, &entry[int]{key: key, hash: hash})
			s.mu.Unlock()
			return false
		}
		for i := range c.scan {
			asks++
			if get(fmt.Sprint("hot", rnd.IntN(c.hot))) {
				hits++
			}
			if i%4 == 0 {
				get(fmt.Sprint("scanned", i))
			}
		}
		if share := float64(hits) / float64(asks); share < 0.9 {
			t.Errorf("%d entries: %.2f of the hot half hit beside a scan, want 0.9", c.limit, share)
		}
	}
}

// A tier with room for everything is only read; when it fills up, what is in use
// stays.
func TestLocal_room(t *testing.T) {
	l := newLocal[int](shardMinimum, 0)
	s := &l.shards[0]
	put := func(i int) {
		key := fmt.Sprint(i)
		s.mu.Lock()
		l.put(s, &entry[int]{key: key, hash: maphash.String(l.seed, key), value: i})
		s.mu.Unlock()
	}
	hit := func(i int) bool {
		key := fmt.Sprint(i)
		e := s.find(maphash.String(l.seed, key), key)
		if e != nil {
			s.touch(e)
		}
		return e != nil
	}
	for i := range shardMinimum * 3 / 4 {
		put(i)
	}
	moves := s.moves.Load()
	for i := range shardMinimum * 3 / 4 {
		hit(i)
	}
	if s.moves.Load() != moves {
		t.Errorf("%d entries were moved in a tier with room", s.moves.Load()-moves)
	}
	for i := range 10 * shardMinimum { // ten of the oldest are in use
		put(1_000_000 + i)
		for old := range 10 {
			if !hit(old) {
				t.Fatalf("entry %d is in use, and was evicted after %d new ones", old, i)
			}
		}
	}
}

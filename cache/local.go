package cache

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// The local tier is a sharded LRU with lazy promotion. A reader walks a hash
// chain of atomic pointers and writes nothing that another reader reads, so a
// hot key costs the same on every core. Writers hold the shard's mutex. A hit
// moves an entry to the front of its shard's LRU list unless it is in the first
// eighth or so of it (fewer entries than that have moved in front since), and
// unless the mutex is taken. A shard of some size whose last eighth is free is only
// read: until it is full, what is in use has time to move. So a tier that has room
// for everything takes no lock, and a small one that turns over quickly is an LRU
// all the same.
//
// A chain may be relinked (growth) or shortened (eviction) under a reader's
// feet; the worst that can happen to the reader is to miss an entry that is
// there. The miss path looks again under the mutex, so no load is wasted.

const (
	maxShards     = 64
	promoteShare  = 8   // of the list: entries in the first such part stay where they are
	shardMinimum  = 256 // entries for each shard, so that LRU order means something
	shardBytes    = 1 << 20
	entryOverhead = 160 // bytes of an entry beside its key and value, roughly
)

// table is the buckets of a shard, a power of two of them, each the head of a chain.
type table[V any] []atomic.Pointer[entry[V]]

func (t table[V]) bucket(hash uint64) *atomic.Pointer[entry[V]] {
	return &t[hash&uint64(len(t)-1)]
}

// shard is a part of the local tier. table, moves and slack are read without the lock;
// the room is set by newLocal and never changed; what is below mu is guarded by it.
// Never are two shards' mutexes held at the same time.
type shard[V any] struct {
	table atomic.Pointer[table[V]]
	moves atomic.Int64 // entries that were put in front, ever
	slack atomic.Int64 // entries / promoteShare, or more than moves while there is room

	roomEntries int   // as long as there are fewer, there is room
	roomBytes   int64 // and fewer bytes; 0: no bound

	mu      sync.Mutex
	lru     entry[V] // sentinel of a ring: lru.older is the most recent, lru.newer the least
	entries int
	bytes   int64
	flights map[string]*flight[V]
	byTag   map[uint64]*tagNode[V] // the first of the entries with a tag; nil while there are none

	_ [64]byte // a neighbour's mutex does not share our cache line
}

// local is the local tier. Its own fields are set by newLocal and not changed, but for
// evicted; there is no lock for all of it, so sums over shards are of several moments.
type local[V any] struct {
	seed       maphash.Seed
	shards     []shard[V]
	shift      int
	maxEntries int   // of one shard
	maxBytes   int64 // of one shard; 0: no bound
	evicted    atomic.Int64
}

// newLocal divides the room into as many shards, a power of two, as leave each
// of them a useful size: a lock a shard, and no shard so small that a few large
// entries empty it. The limits are rounded up, so that all together hold at
// least what was asked for.
func newLocal[V any](maxEntries int, maxBytes int64) *local[V] {
	maxEntries, maxBytes = min(maxEntries, math.MaxInt/2), min(maxBytes, math.MaxInt64/2) // sums must not overflow
	shards := 1
	for shards < maxShards && maxEntries/(shards*2) >= shardMinimum && (maxBytes == 0 || maxBytes/int64(shards*2) >= shardBytes) {
		shards *= 2
	}
	l := &local[V]{
		seed:       maphash.MakeSeed(),
		shards:     make([]shard[V], shards),
		shift:      64 - bits.TrailingZeros(uint(shards)),
		maxEntries: (maxEntries + shards - 1) / shards,
		maxBytes:   (maxBytes + int64(shards) - 1) / int64(shards),
	}
	for i := range l.shards {
		s := &l.shards[i]
		if l.maxEntries >= shardMinimum {
			s.roomEntries, s.roomBytes = l.maxEntries-l.maxEntries/promoteShare, l.maxBytes-l.maxBytes/promoteShare
		}
		s.reset()
		s.flights = make(map[string]*flight[V])
	}
	return l
}

// shard takes the highest bits of the hash; the buckets within it take the lowest.
func (l *local[V]) shard(hash uint64) *shard[V] {
	return &l.shards[hash>>l.shift]
}

// find returns the entry of key, fresh or not, or nil. It needs no lock; with
// the lock held it never overlooks an entry.
func (s *shard[V]) find(hash uint64, key string) *entry[V] {
	for e := s.table.Load().bucket(hash).Load(); e != nil; e = e.chain.Load() {
		if e.hash == hash && e.key == key {
			return e
		}
	}
	return nil
}

// touch moves e to the front of the LRU list if it is not near it.
func (s *shard[V]) touch(e *entry[V]) {
	if s.moves.Load()-e.moved.Load() <= s.slack.Load() || !s.mu.TryLock() {
		return
	}
	// it may have been removed since find returned it, without the lock
	if e.newer != nil { // still in the list
		s.unlink(e)
		s.link(e)
	}
	s.mu.Unlock()
}

// put makes e the entry of its key and evicts what exceeds the shard's
// bounds. The caller holds s.mu.
func (l *local[V]) put(s *shard[V], e *entry[V]) {
	if old := s.find(e.hash, e.key); old != nil {
		s.remove(old)
	}
	// larger than the shard: it would push everything out and not fit even then. The old
	// entry of the key is gone all the same, as it is not what the key has now.
	if l.maxBytes > 0 && e.cost > l.maxBytes {
		l.evicted.Add(1)
		return
	}
	if t := *s.table.Load(); s.entries*2 >= len(t) { // chains of one entry, mostly
		s.grow(len(t) * 2)
	}
	b := s.table.Load().bucket(e.hash)
	// first the entry's own link and then the bucket: a reader sees the whole chain, with
	// the entry or without it
	e.chain.Store(b.Load())
	b.Store(e)
	s.link(e)
	s.linkTags(e)
	s.count(1, e.cost)
	// the newest stays, whatever it costs: it is what somebody waits for
	for s.entries > 1 && (s.entries > l.maxEntries || (l.maxBytes > 0 && s.bytes > l.maxBytes)) {
		s.remove(s.lru.newer)
		l.evicted.Add(1)
	}
}

// drop removes the entry of key, if there is one. The caller holds s.mu.
func (s *shard[V]) drop(hash uint64, key string) {
	if e := s.find(hash, key); e != nil {
		s.remove(e)
	}
}

// remove takes e out of the shard. The caller holds s.mu. Readers that stand
// on e still find their way to the end of its chain.
func (s *shard[V]) remove(e *entry[V]) {
	for p := s.table.Load().bucket(e.hash); ; {
		at := p.Load()
		if at == e {
			p.Store(e.chain.Load())
			break
		}
		p = &at.chain
	}
	s.unlink(e)
	s.unlinkTags(e)
	e.newer, e.older = nil, nil
	s.count(-1, -e.cost)
}

// count adds to what the shard holds, and sets how many hits an entry may go
// without being moved to the front (slack). A shard with room to spare never
// evicts, so nobody has to move anything, and a hit does not take the lock. The
// caller holds s.mu.
func (s *shard[V]) count(entries int, bytes int64) {
	s.entries += entries
	s.bytes += bytes
	slack := int64(s.entries / promoteShare)
	if s.entries < s.roomEntries && (s.roomBytes == 0 || s.bytes < s.roomBytes) {
		slack = math.MaxInt64
	}
	s.slack.Store(slack)
}

// reset empties the shard. The caller holds s.mu, or is its only user.
func (s *shard[V]) reset() {
	t := make(table[V], 16)
	s.table.Store(&t)
	for e := s.lru.older; e != nil && e != &s.lru; {
		next := e.older
		e.newer, e.older = nil, nil
		e = next
	}
	s.lru.newer, s.lru.older = &s.lru, &s.lru
	s.byTag = nil
	s.count(-s.entries, -s.bytes)
}

// grow relinks every entry into a table of n buckets. The caller holds s.mu.
func (s *shard[V]) grow(n int) {
	t := make(table[V], n)
	for e := s.lru.older; e != &s.lru; e = e.older {
		b := t.bucket(e.hash)
		e.chain.Store(b.Load())
		b.Store(e)
	}
	s.table.Store(&t)
}

// link puts e at the front of the LRU list.
func (s *shard[V]) link(e *entry[V]) {
	e.moved.Store(s.moves.Add(1))
	e.newer, e.older = &s.lru, s.lru.older
	e.newer.older, e.older.newer = e, e
}

// unlink takes e out of the LRU list; its own links stay. The caller holds s.mu.
func (s *shard[V]) unlink(e *entry[V]) {
	e.newer.older, e.older.newer = e.older, e.newer
}

// size returns the number of entries and the sum of their costs.
// It locks one shard after the other, so the sums are those of no single moment.
// O(shards).
func (l *local[V]) size() (entries int, bytes int64) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		entries += s.entries
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}

// latest is the greatest version of all entries.
// 0 if there are none. O(entries): for InvalidateAll, and not for a request's path.
func (l *local[V]) latest() (version int64) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for e := s.lru.older; e != &s.lru; e = e.older {
			version = max(version, e.version)
		}
		s.mu.Unlock()
	}
	return version
}

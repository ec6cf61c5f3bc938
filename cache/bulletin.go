package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// BulletinStore is a [Store] in which instances tell each other of endings,
// with sets of short notes. A cache whose Store is one drops its copies of what
// was ended elsewhere within about two seconds, instead of at the end of
// their LocalTTL or TTL.
//
// Each second has a set. A cache appends what it has ended, twice a second if
// there was anything, and reads the sets of the last seconds once a second,
// four of them at rest.
type BulletinStore interface {
	Store

	// Append adds notes, of at most 17 bytes each, to the set under key,
	// and makes it if there is none. Two that append at the same time must
	// not undo each other. The set may be discarded after expires.
	Append(ctx context.Context, key string, notes [][]byte, expires time.Time) error

	// Notes returns the sets that are there, by key. Reads may be eventually
	// consistent. Any error means that nothing was learned.
	Notes(ctx context.Context, keys []string) (map[string][][]byte, error)
}

// bulletin is a cache's part in telling and hearing of endings. It calls the
// store from a timer, at most twice a second, one call after the other.
//
//	note   8 bytes of SHA-256 of the store's key, or a tag's id, 8 of the version
//	       or a byte, and 8 of the name of a set of its own: many notes
//
// Many notes of one instance go into a set of their own, since a write costs as
// much as the whole set is large; the second's set then has its name.
//
// What it misses while the store cannot be read it reads afterwards; if that is
// more than maxMissed, it distrusts every copy it has.
type bulletin[V any] struct {
	c      *Cache[V]
	store  BulletinStore
	prefix string

	looked atomic.Int64 // on the cache's clock: what was told before has been heard
	count  atomic.Int64 // len(recent), so that the usual case takes no lock

	mu      sync.Mutex       // guards what follows; not held while the store is called
	pending []note           // to be told, at most maxPending
	since   int64            // the oldest of pending came
	recent  map[uint64]heard // by digest, tag or name: what was read, for a while
	timer   *time.Timer      // of the next tick
	closed  bool

	// The timer's own: work runs on one goroutine at a time.
	tick    int   // counts on; the odd ones only write
	second  int64 // up to which all sets have been read
	waits   int   // ticks, after Append has failed
	backoff int   // 1, 3, 7 … 20 ticks

	// For Stats: what was told, and heard.
	posted, postFaults, looks, lookFaults, ended, lost, distrusted atomic.Int64
}

// note says that values of a key, or with a tag, below a version are over.
type note struct {
	digest  uint64
	version int64
}

// heard is a note's version, until when it is of use to know it, and when it
// came, in the count of tags.
type heard struct{ version, until, seq int64 }

const (
	bulletinTick = 500 * time.Millisecond
	maxPending   = 1 << 16 // notes: 1 MiB of them, an outage of the store long
	maxMissed    = 300     // seconds; to read more sets costs more than to load anew
	ownSet       = 16      // notes; more go into a set of their own
	noteBytes    = 16
	// told is how long an ending takes to every instance that reads: a tick
	// to be written, two to be read, and as much again.
	bulletinTold = 2 * time.Second
	bulletinKeep = time.Hour // of the sets
)

// newBulletin begins to read, every bulletinTick, what the other instances have
// ended. Instances that start together are spread over one tick, so that a
// deployment is no burst at the table.
func newBulletin[V any](c *Cache[V], store BulletinStore) *bulletin[V] {
	b := &bulletin[V]{c: c, store: store, prefix: c.keys.store("") + "!endings/", recent: make(map[uint64]heard)}
	b.second = time.Now().Unix()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(rand.N(bulletinTick), b.work)
	return b
}

// digest is the same in every process.
// Eight bytes: two keys with one digest cost a load.
func digest(storeKey string) uint64 {
	sum := sha256.Sum256([]byte(storeKey))
	return binary.BigEndian.Uint64(sum[:])
}

// postKey tells the others, soon, that values of key below version are over.
func (b *bulletin[V]) postKey(key string, version int64) {
	if b != nil {
		b.post(digest(b.c.keys.store(key)), version)
	}
}

// post is postKey for the digest of a key, or a tag's id.
func (b *bulletin[V]) post(digest uint64, version int64) {
	if b == nil {
		return
	}
	n := note{digest, version}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed, len(b.pending) >= maxPending:
		b.lost.Add(1)
		return
	case len(b.pending) == 0:
		b.since = b.c.now()
	}
	b.pending = append(b.pending, n)
}

// version is the bar of what was heard lately: a read of the store may lag
// behind it.
func (b *bulletin[V]) version(storeKey string) int64 {
	if b == nil || b.count.Load() == 0 {
		return 0
	}
	return b.heard(digest(storeKey))
}

// heard is version for the digest of a key, or a tag's id.
func (b *bulletin[V]) heard(digest uint64) int64 {
	if b == nil || b.count.Load() == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.recent[digest].version
}

// work is one tick.
func (b *bulletin[V]) work() {
	if !b.c.life.enter() { // Close waits for this one, and there are no more
		return
	}
	defer b.c.life.exit()
	b.flush(background)
	if b.tick++; b.tick%2 == 0 {
		b.look()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.timer.Reset(bulletinTick)
	}
}

// flush appends what is pending to this second's set.
func (b *bulletin[V]) flush(ctx context.Context) {
	// after a failure: what is pending stays, and grows up to maxPending
	if b.waits > 0 {
		b.waits--
		return
	}
	b.mu.Lock()
	pending := b.pending
	b.pending = nil
	b.mu.Unlock()
	if len(pending) == 0 {
		return
	}
	notes := make([][]byte, len(pending))
	for i, n := range pending {
		notes[i] = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, n.digest), uint64(n.version))
	}
	expires := time.Now().Add(bulletinKeep)
	err := error(nil)
	if len(notes) > ownSet {
		// nine bytes, by which a reader tells it from a note; the set first and its name after,
		// so that nobody finds a name without a set
		name := binary.BigEndian.AppendUint64([]byte{'>'}, rand.Uint64())
		if err = b.append(ctx, b.own(name), notes, expires); err == nil {
			notes = [][]byte{name}
		}
	}
	if err == nil {
		err = b.append(ctx, b.set(time.Now().Unix()), notes, expires)
	}
	if err == nil {
		b.posted.Add(int64(len(pending)))
		b.backoff = 0
		return
	}
	b.postFaults.Add(1)
	b.backoff = min(2*b.backoff+1, 20)
	b.waits = b.backoff
	b.mu.Lock()
	defer b.mu.Unlock()
	// in front again, oldest first; what there is no room for is lost, the oldest first
	b.pending = append(pending, b.pending...)
	if over := len(b.pending) - maxPending; over > 0 {
		b.pending = b.pending[over:]
		b.lost.Add(int64(over))
	}
}

// set and own are the keys of a second's set and of a set with a name.
func (b *bulletin[V]) set(second int64) string { return fmt.Sprint(b.prefix, second) }
func (b *bulletin[V]) own(name []byte) string  { return fmt.Sprintf("%s%x", b.prefix, name[1:]) }

// append tells the other instances of the notes, as one call of the store with
// its bounds; it stays readable until expires.
func (b *bulletin[V]) append(ctx context.Context, key string, notes [][]byte, expires time.Time) error {
	_, err := guarded(ctx, b.c, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, b.store.Append(ctx, key, notes, expires)
	})
	return err
}

// read is one call of Notes, with the bounds of a write: it is nobody's request.
func (b *bulletin[V]) read(keys []string) (map[string][][]byte, error) {
	return guarded(background, b.c, func(ctx context.Context) (map[string][][]byte, error) {
		return b.store.Notes(ctx, keys)
	})
}

// guarded makes one call of the store within WriteTimeout, and waits for it.
func guarded[V, T any](ctx context.Context, c *Cache[V], call func(context.Context) (T, error)) (v T, err error) {
	if c.remote.zombies.Load() >= maxZombies {
		return v, ErrStoreSkipped
	}
	done := make(chan struct{})
	q := bounded[T]{
		began: time.Now(), timeout: c.opts.WriteTimeout, where: "store", late: ErrStoreTimeout, zombies: &c.remote.zombies,
		call: call,
		then: func(got T, o outcome) {
			v, err = got, o.err
			close(done)
		},
	}
	go q.run(ctx)
	<-done
	return v, err
}

// look reads the sets of the last seconds, each of which it reads three times
// since reads may lag behind, of those that were missed, and
// one more of a second near by, for instances whose clocks differ.
func (b *bulletin[V]) look() {
	began, now := b.c.now(), time.Now().Unix()
	// seconds by which another instance's clock, and so the set that it writes to, may be
	// off; each look takes one of them in turn
	skew := int64(MaxSkew / 2 / time.Second)
	from := min(b.second, now) - 1
	tooMuch := now-from > maxMissed
	if tooMuch {
		from = now - 1
	}
	var keys []string
	for second := from; second <= now; second++ {
		keys = append(keys, b.set(second))
	}
	near := now - skew + int64(b.tick/2)%(2*skew+1)
	if near < from || near > now {
		keys = append(keys, b.set(near))
	}
	b.looks.Add(1)
	notes, err := b.readAll(keys)
	if err != nil {
		b.lookFaults.Add(1)
		return
	}
	if tooMuch { // not before: during an outage copies are all there is
		b.distrust()
	}
	b.apply(notes)
	// only after a read without an error: what was missed is read the next time
	b.second = now
	b.looked.Store(began)
}

// readAll reads sets, and those that they name.
func (b *bulletin[V]) readAll(keys []string) (notes []note, err error) {
	for len(keys) > 0 {
		sets, err := b.read(keys[:min(len(keys), maxBatch)])
		if err != nil {
			return nil, err
		}
		keys = keys[min(len(keys), maxBatch):]
		for _, set := range sets {
			for _, n := range set {
				switch {
				case len(n) == noteBytes:
					notes = append(notes, note{binary.BigEndian.Uint64(n), int64(binary.BigEndian.Uint64(n[8:]))})
				case len(n) == 9 && n[0] == '>' && !b.knows(n):
					keys = append(keys, b.own(n))
				}
			}
		}
	}
	return notes, nil
}

// knows reports whether the set of this name has been read, and remembers that
// it is now. Names share the map of notes.
func (b *bulletin[V]) knows(name []byte) bool {
	d := binary.BigEndian.Uint64(name[1:])
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.recent[d]
	if !known {
		b.recent[d] = heard{until: b.c.now() + int64(2*MaxSkew)}
	}
	return known
}

// apply ends what is new in notes.
func (b *bulletin[V]) apply(notes []note) {
	c := b.c
	now := c.now()
	limit := time.Now().Add(MaxSkew).UnixMilli()
	// A load in progress may turn out to have an ended tag.
	until := now + int64(max(2*MaxSkew, c.opts.LoadTimeout+MaxSkew))
	seq := c.tags.seq.Add(1)
	fresh := make(map[uint64]int64)
	b.mu.Lock()
	for d, h := range b.recent {
		if now >= h.until {
			delete(b.recent, d)
		}
	}
	for _, n := range notes {
		// a version from the future would end what is still to be loaded: a wrong clock
		if n.version <= limit && n.version > b.recent[n.digest].version {
			b.recent[n.digest] = heard{n.version, until, seq}
			fresh[n.digest] = n.version
		}
	}
	b.count.Store(int64(len(b.recent)))
	b.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	for i := range c.local.shards {
		b.sweep(&c.local.shards[i], fresh, seq)
	}
}

// sweep drops the copies of one shard that are over, and keeps the loads in
// progress from making new ones.
func (b *bulletin[V]) sweep(s *shard[V], over map[uint64]int64, seq int64) {
	c := b.c
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.lru.older; e != &s.lru; {
		next := e.older
		if version, ok := over[e.digest]; ok && e.version < version {
			c.over.add(e.hash, e.key, version, told, true) // if it is a Set's, the value has it
			s.remove(e)
			b.ended.Add(1)
		}
		e = next
	}
	if len(s.byTag) > 0 {
		for id, version := range over {
			b.ended.Add(s.dropTagged(id, version, seq))
		}
	}
	for key, f := range s.flights {
		if version, ok := over[digest(c.keys.store(key))]; ok && f.seen < version {
			s.overtake(key)
		}
	}
}

// distrust drops every copy: endings may have been missed. The store itself
// has been told of them.
func (b *bulletin[V]) distrust() {
	b.distrusted.Add(1)
	b.c.dropAll()
}

// bound is how long ago what was told elsewhere is heard here at the latest, or
// how long ago what is told here had to be said; ok is false if that is not
// known.
func (b *bulletin[V]) bound() (d time.Duration, ok bool) {
	if b == nil || b.lost.Load() > 0 {
		return 0, false
	}
	now := b.c.now()
	d = time.Duration(now - b.looked.Load())
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) > 0 {
		d = max(d, time.Duration(now-b.since))
	}
	return d + bulletinTold, true
}

// close has a last try to say what is pending.
func (b *bulletin[V]) close(ctx context.Context) {
	if b == nil {
		return
	}
	b.mu.Lock()
	again := b.closed
	b.closed = true
	b.timer.Stop()
	b.mu.Unlock()
	if again || b.c.life.busy() { // Close's time was over before a tick was
		return
	}
	b.waits = 0
	b.flush(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost.Add(int64(len(b.pending)))
	b.pending = nil
}

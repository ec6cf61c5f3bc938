package cache

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A tag names a set of values, to be ended together: all sessions of a user,
// all pages with an article. In the store an ended tag is one small item, a
// tombstone under a key of its own, and each value says which tags it has. So
// InvalidateTag writes once, however many values there are; the price is paid
// by readers, who ask for the tags of what they find.
//
//	what has the tag                       is over since
//	a value of the local tier              it is looked up by its tag, and dropped
//	a load in progress                     it lands later than the tag's end: not kept, and asked for again
//	a value in the store                   it was loaded or set before the version of the tag's item
//	another instance's copy                it hears of the tag (BulletinStore), or looks into the store
//	a stale value                          as the above
//
// Delivery to the store, and what becomes of a tag that cannot be delivered, is
// the business of endings, as for keys.

// tags is what this process knows of the endings of tags.
// seq is a count and no time: whether a load began before an ending was learned has to
// be exact within this process, where clocks may stand still; between processes
// versions decide.
type tags struct {
	seq   atomic.Int64 // counts what was learned; a load that began later knows
	used  atomic.Bool  // some value has had a tag: before, nobody pays for them
	reads atomic.Int64 // of the store, for Stats

	mu      sync.Mutex // guards what follows; taken under a shard's lock
	known   map[uint64]tagState
	reading map[uint64]chan struct{} // closed when it has been read, or not
	// len(known) beyond which put looks for what is of no use any more
	pruneAt      int
	floorVersion int64 // of endings that there was no room for
	floorSeq     int64
}

// tagState is what is known of one tag.
type tagState struct {
	version int64 // values of before are over; 0: it has not ended
	seq     int64 // unless their load began after that
	asked   int64 // when the store was, on the cache's clock; 0: never
	until   int64 // of use
}

const (
	// maxTags is how many tags a value in the store may have: as many reads
	// as one GetMany of the cache makes of keys.
	maxTags = 100

	// tagTrust is how long what the store said of a tag holds.
	tagTrust = time.Second

	maxKnownTags = 1 << 16
	tagReaders   = 32 // reads of tags at once, for one read of values
	tagOverhead  = 64 // bytes of a tag of a value, roughly
)

// tagged is the tags of an entry.
type tagged[V any] struct {
	seq   int64        // of tags, when its load began; 0: it came from the store
	since int64        // a tag that ended later ends it; not the version, which leads the clock after a Set
	nodes []tagNode[V] // sorted by id
}

// tagNode is an entry's place among those of its shard with the same tag, under
// shard.mu.
type tagNode[V any] struct {
	id         uint64
	e          *entry[V]
	prev, next *tagNode[V]
}

// newTagged returns nil if there are no tags.
// ids are copied, sorted, and each kept once.
func newTagged[V any](ids []uint64, seq int64) *tagged[V] {
	if len(ids) == 0 {
		return nil
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	t := &tagged[V]{seq: seq, nodes: make([]tagNode[V], len(ids))}
	for i, id := range ids {
		t.nodes[i].id = id
	}
	return t
}

// again is a copy of t that is in no shard.
func (t *tagged[V]) again() *tagged[V] {
	if t == nil {
		return nil
	}
	again := newTagged[V](t.ids(), t.seq)
	again.since = t.since
	return again
}

// ids are sorted, each there once, whatever the order in which the loader gave the
// tags. Nil for an entry without any.
func (t *tagged[V]) ids() []uint64 {
	if t == nil {
		return nil
	}
	ids := make([]uint64, len(t.nodes))
	for i := range t.nodes {
		ids[i] = t.nodes[i].id
	}
	return ids
}

// linkTags makes e found by its tags. The caller holds s.mu.
func (s *shard[V]) linkTags(e *entry[V]) {
	if e.tags == nil {
		return
	}
	if s.byTag == nil {
		s.byTag = make(map[uint64]*tagNode[V])
	}
	for i := range e.tags.nodes {
		n := &e.tags.nodes[i]
		n.e, n.prev, n.next = e, nil, s.byTag[n.id]
		if n.next != nil {
			n.next.prev = n
		}
		s.byTag[n.id] = n
	}
}

// unlinkTags takes e out of the lists of its tags, O(1) for each: its nodes are
// in doubly linked lists. The caller holds s.mu.
func (s *shard[V]) unlinkTags(e *entry[V]) {
	if e.tags == nil {
		return
	}
	for i := range e.tags.nodes {
		n := &e.tags.nodes[i]
		if n.next != nil {
			n.next.prev = n.prev
		}
		switch {
		case n.prev != nil:
			n.prev.next = n.next
		case n.next != nil:
			s.byTag[n.id] = n.next
		default:
			delete(s.byTag, n.id)
		}
	}
}

// dropTagged removes the entries with a tag whose load began before seq, and,
// if version is not 0, before that. It returns how many. The caller holds s.mu.
func (s *shard[V]) dropTagged(id uint64, version, seq int64) (dropped int64) {
	for n := s.byTag[id]; n != nil; {
		next := n.next
		if n.e.tags.seq < seq && (version == 0 || n.e.tags.since < version) {
			s.remove(n.e)
			dropped++
		}
		n = next
	}
	return dropped
}

// add takes note that a tag has ended, and returns when that was, in its own
// count.
func (t *tags) add(id uint64, version, now, until int64) (seq int64) {
	t.used.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.known[id]
	// known, or older than what is known: what it ended is over already
	if version <= st.version {
		return st.seq
	}
	st.version, st.seq, st.until = version, t.seq.Add(1), max(st.until, until)
	t.put(id, st, now)
	return st.seq
}

// learn takes note of what the store said of a tag.
func (t *tags) learn(id uint64, version, now, until int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.known[id]
	if version > st.version {
		st.version, st.seq, st.until = version, t.seq.Add(1), until
	}
	// 0 is never, and the cache's clock may be at 0
	st.asked = max(now, 1)
	t.put(id, st, now)
}

// put stores a state. The caller holds t.mu.
// It prunes when the map has doubled since the last time, so a put is O(1) amortised.
// Beyond maxKnownTags a quarter is dropped, with or without use, and what that ended
// is kept as the floor.
func (t *tags) put(id uint64, st tagState, now int64) {
	if t.known == nil {
		t.known = make(map[uint64]tagState)
	}
	t.known[id] = st
	if len(t.known) <= max(t.pruneAt, 1024) {
		return
	}
	for id, st := range t.known {
		if now >= st.until && now >= st.asked+2*int64(tagTrust) {
			delete(t.known, id)
		}
	}
	full := len(t.known) > maxKnownTags
	for id, st := range t.known {
		if !full || len(t.known) <= maxKnownTags*3/4 {
			break
		}
		if now < st.until { // what has it is distrusted, and what has any tag
			t.floorVersion, t.floorSeq = max(t.floorVersion, st.version), max(t.floorSeq, st.seq)
		}
		delete(t.known, id)
	}
	t.pruneAt = min(2*len(t.known), maxKnownTags)
}

// unknown returns those of ids of which the store was not asked within age.
func (t *tags) unknown(ids []uint64, now int64, age time.Duration) (rest []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if st := t.known[id]; st.asked == 0 || now-st.asked >= int64(age) {
			rest = append(rest, id)
		}
	}
	return rest
}

// version is that of a tag's end, or 0.
func (t *tags) version(id uint64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[id].version
}

// endedByTag reports whether a tag of e has ended since its load began.
func (c *Cache[V]) endedByTag(e *entry[V]) (ended bool) {
	if e.tags == nil {
		return false
	}
	// both: it is older by the clocks of the fleet, and its load began before this process
	// learned of the ending
	judge := func(version, seq int64) { ended = ended || (e.tags.since < version && e.tags.seq < seq) }
	t := &c.tags
	t.mu.Lock()
	judge(t.floorVersion, t.floorSeq)
	for i := range e.tags.nodes {
		st := t.known[e.tags.nodes[i].id]
		judge(st.version, st.seq)
	}
	t.mu.Unlock()
	if b := c.bulletin; b != nil && b.count.Load() > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i := range e.tags.nodes {
			h := b.recent[e.tags.nodes[i].id]
			judge(h.version, h.seq)
		}
	}
	return ended
}

// outliveTags makes e, which is being set, later than what is known to have ended
// its tags. The caller holds the mutex of its shard.
func (c *Cache[V]) outliveTags(e *entry[V]) {
	if e.tags == nil {
		return
	}
	e.tags.seq, e.tags.since = c.tags.seq.Load(), time.Now().UnixMilli()
	for i := range e.tags.nodes {
		id := e.tags.nodes[i].id
		e.tags.since = max(e.tags.since, c.tags.version(id), c.bulletin.heard(id))
	}
}

// InvalidateTag ends every value that has the tag (see Options.Tags, SetTags and
// SetOptions), here and in the store, with one write. It promises for them what
// Invalidate promises for one key, and reports a fault of the store in the same
// way. A value that is loaded or set afterwards may have the same tag again.
func (c *Cache[V]) InvalidateTag(ctx context.Context, tag string) error {
	if ctx == nil {
		ctx = background
	}
	tombstone := c.endTag(c.tagID(tag), carried)
	if c.remote == nil {
		return nil
	}
	return c.through(ctx, tombstone, "invalidated")
}

// endTag ends a tag in this process, and returns what the store is to be told.
func (c *Cache[V]) endTag(id uint64, state endingState) *entry[V] {
	e := &entry[V]{hash: id, kind: kindTombstone, ends: true, tag: true}
	now, wall := c.now(), time.Now()
	later := c.tags.version(id) + 1
	e.version = max(wall.Add(endingLead).UnixMilli(), later)
	if c.over != nil {
		e.key = c.keys.tag(id)
		e.version = max(e.version, c.over.top.Load()+1, c.over.floor.Load())
	}
	// or other instances would take it for a clock that is wrong, and refuse it
	e.version = min(e.version, wall.Add(MaxSkew).UnixMilli())
	// here it is later than the last one even where the clock does not let the fleet know
	// it as such: a tag that ends thousands of times a second, or a clock that was set back
	seq := c.tags.add(id, max(e.version, later), now, now+int64(c.endingLife()))
	if c.over != nil {
		c.over.addTag(id, e.key, e.version, state)
		c.bulletin.post(id, e.version)
	}
	for i := range c.local.shards {
		s := &c.local.shards[i]
		s.mu.Lock()
		// whatever its version: what is here was loaded or set before this call
		s.dropTagged(id, 0, seq)
		s.mu.Unlock()
	}
	return e
}

// tagID is the same in every process with the same Name, KeySecret and type.
func (c *Cache[V]) tagID(tag string) uint64 {
	return binary.BigEndian.Uint64(c.keys.digest("tag\x00" + c.sealer.goType + "\x00" + tag))
}

// tagIDs hashes names: ids are what is compared, stored and remembered.
func (c *Cache[V]) tagIDs(tags []string) []uint64 {
	ids := make([]uint64, len(tags))
	for i, tag := range tags {
		ids[i] = c.tagID(tag)
	}
	return ids
}

// tagsOf returns the tags of a value: those of said, and of Options.Tags.
func (c *Cache[V]) tagsOf(key string, v V, said said) (*tagged[V], error) {
	ids := said.tags
	if c.opts.Tags != nil {
		of, err := contain(c.calls, "Tags", func() ([]string, error) { return c.opts.Tags(key, v), nil })
		if err != nil {
			return nil, err
		}
		// clipped, as said's array belongs to the load
		ids = append(ids[:len(ids):len(ids)], c.tagIDs(of)...)
	}
	if len(ids) > 0 {
		c.tags.used.Store(true)
	}
	return newTagged[V](ids, said.seq), nil
}

// said is what a loader, or a caller of SetWith, says of a value.
type said struct {
	ttl  time.Duration
	tags []uint64
	seq  int64 // of tags, when the load began
}

// SetTags is for loaders: it gives what they return these tags, beside those that
// Options.Tags and an earlier call gave; for a LoadMany, all of it. A loader that
// returns ErrNotModified without calling it keeps the tags of the Previous value.
// It returns false if ctx is not, or not derived from, the context that a loader
// was given.
func SetTags(ctx context.Context, tags ...string) bool {
	l := parentOf(ctx)
	if l == nil {
		return false
	}
	l.addTags(l.cache.(interface{ tagIDs([]string) []uint64 }).tagIDs(tags))
	return true
}

// addTags adds to what the load has said so far. A loader may call SetTags from
// several goroutines, hence the loop instead of a lock.
func (l *loading) addTags(ids []uint64) {
	for len(ids) > 0 {
		old := l.tags.Load()
		all := ids
		if old != nil {
			all = append(slices.Clone(*old), ids...)
		}
		if l.tags.CompareAndSwap(old, &all) {
			return
		}
	}
}

// keepTags gives the answer the tags of the Previous value, unless the loader has
// said which it has.
func (l *loading) keepTags() {
	if p, ok := l.previous.(interface{ tagIDs() []uint64 }); ok && l.tags.Load() == nil {
		l.addTags(p.tagIDs())
	}
}

// tagIDs is for keepTags, which does not know V.
func (e *entry[V]) tagIDs() []uint64 { return e.tags.ids() }

// said is what the load has said of its result until now; what it says later is
// for nobody.
func (l *loading) said() said {
	s := said{ttl: time.Duration(l.ttl.Load()), seq: l.seq}
	if ids := l.tags.Load(); ids != nil {
		s.tags = *ids
	}
	return s
}

package cache

import (
	"container/list"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// endings is what this process knows to be over: that no value of a key whose
// version is below some bar may be served any more. It is the one owner of
// that knowledge; the local tier evicts, the table deletes, reads lag, and
// writes are denied.
//
//	what happened                  the bar                     and the store
//	Invalidate                     a version of its own        is told at once
//	the origin says "gone"         that of the load            gets it with the write-back
//	Set                            that of the value           gets it with the write-back
//	a tombstone seen in the store  that of the tombstone       knows
//	InvalidateTag                  none here: see tags         is told at once
//	InvalidateAll                  floor, for every key        is not told
//
// An ending is in one of three states:
//
//	carried   a write is on its way that will tell the store
//	owed      no write is: the next round of deliveries takes it
//	told      the store knows. It stays known here as well, since a read may
//	          lag behind and the table may lose it
//
// It is forgotten after life, when no copy of an older value can be left
// anywhere, or when maxEndingBytes are exceeded: first those that the store
// knows of, oldest first. If one is lost whose loss could be seen, everything
// older is distrusted: the floor rises.
//
// Deliveries have a timer of their own, backing off while they fail, and a
// last chance in Close.
type endings struct {
	life  int64 // ns after which an ending is of no use
	limit int64 // of bytes
	now   func() int64
	wake  func() // starts a delivery; called by the timer, with no lock held

	floor atomic.Int64 // every key's bar
	all   atomic.Int64 // what was loaded or set before, by any clock, is over: InvalidateAll
	top   atomic.Int64 // the greatest version of any key's ending so far
	count atomic.Int64 // len(byHash), so that the usual case takes no lock
	lost  atomic.Int64 // endings that the store will not be told of, for Stats

	mu      sync.Mutex // guards what follows; taken under a shard's lock, and holds none itself
	byHash  map[uint64]*ending
	states  [3]list.List  // of *ending: told, carried, owed; oldest first
	bytes   int64         // of all endings, at most limit
	timer   *time.Timer   // of the next delivery; nil: none is owed
	due     int64         // when the next delivery may begin
	backoff time.Duration // after a delivery that failed; 0: the last one went well
	closing bool          // deliveries do not wait, and end after closeAttempts
	failed  int           // deliveries in a row, while closing
	closed  bool          // there are no deliveries any more
}

// ending is one key's bar. Two keys with one hash share it, which costs at
// most a load.
type ending struct {
	hash    uint64
	key     string // "" when told
	version int64  // older values are over
	until   int64  // on the cache's clock
	since   int64  // it has been told
	state   endingState
	bySet   bool // a value has this version
	after   bool // and is over as well: an Invalidate whose version could not rise above the Set's
	weak    bool // the store had nothing, unless that read lagged behind
	tag     bool // its hash is a tag's id, and key that of the store
	at      *list.Element
}

// endingState is also the index in endings.states.
type endingState uint8

const (
	told endingState = iota
	carried
	owed
)

const (
	// some 30,000 endings with short keys
	maxEndingBytes = 8 << 20
	endingOverhead = 256 // bytes of an ending beside its key, roughly
	firstBackoff   = 250 * time.Millisecond
	// as long as it may take until a store that is back is told
	maxBackoff    = 10 * time.Second
	closeAttempts = 3
)

// newEndings knows of nothing that is over. The first ending that is owed starts the
// timer.
func newEndings(life time.Duration, now func() int64, wake func()) *endings {
	return &endings{life: int64(life), limit: maxEndingBytes, now: now, wake: wake, byHash: make(map[uint64]*ending)}
}

// has reports whether what the store has under a key, with this version, is
// over. A value with the very version of an ending is, unless it is the one that
// ended the others: two machines may do something in the same millisecond.
func (o *endings) has(hash uint64, version int64, kind kind) bool {
	// without the lock: the usual case is that nothing is known of any key
	if version < o.floor.Load() {
		return true
	}
	if o.count.Load() == 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.byHash[hash]
	return e != nil && (version < e.version || (version == e.version && kind == kindValue && !e.bySet))
}

// forgot reports whether InvalidateAll ended the value that the store has under a
// key, which was loaded or set at begun. A Set's version leads the clock, and so may
// be above the floor though it was before; only what was set here is known to be
// later.
func (o *endings) forgot(hash uint64, version int64, kind kind, begun int64) bool {
	if kind != kindValue || begun >= o.all.Load() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.byHash[hash]
	return e == nil || !e.bySet || e.version != version
}

// version returns the version of what ended a key, or 0.
func (o *endings) version(hash uint64) int64 {
	if o.count.Load() == 0 {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.byHash[hash]; e != nil {
		return e.version
	}
	return 0
}

// distrust ends everything that is older than version.
func (o *endings) distrust(version int64) { raise(&o.floor, version) }

// raise makes v at least n.
func raise(v *atomic.Int64, n int64) {
	for {
		old := v.Load()
		if n <= old || v.CompareAndSwap(old, n) {
			return
		}
	}
}

// outlive distrusts all that e ended, which is about to be forgotten: with a
// value of the very same version, unless that is the one that ended the others.
func (o *endings) outlive(e *ending) {
	if e.bySet {
		o.distrust(e.version)
	} else {
		o.distrust(e.version + 1)
	}
}

// add takes note of an ending. One that is known already, or a later one,
// stands, and add returns false.
func (o *endings) add(hash uint64, key string, version int64, state endingState, bySet bool) bool {
	return o.insert(&ending{hash: hash, key: key, version: version, bySet: bySet}, state)
}

// addAfter is add for an Invalidate. It also stands where a Set has its very
// version: it comes after that, while the versions of its key cannot rise (see
// Cache.later). A "gone" does not, as its load began before.
func (o *endings) addAfter(hash uint64, key string, version int64, state endingState) {
	o.insert(&ending{hash: hash, key: key, version: version, after: true}, state)
}

// insert is add for an ending whose deadlines are not set.
func (o *endings) insert(e *ending, state endingState) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	old := o.byHash[e.hash]
	switch {
	// what was known ends more than this does
	case old != nil && (old.version > e.version || (old.version == e.version && !(e.after && old.bySet))):
		return false
	case old != nil:
		if old.state != told && old.key != e.key && state != told { // two keys with one hash, both to be delivered
			o.lose(old)
		}
		o.remove(old)
	}
	e.until, e.since = now+o.life, now
	o.byHash[e.hash] = e
	if !e.tag { // or many tags would run ahead of the clock
		raise(&o.top, e.version)
	}
	o.enter(e, state)
	o.shrink(now)
	o.count.Store(int64(len(o.byHash)))
	o.arm(now)
	return true
}

// addWeak is add for a key of which the store had nothing, and so most likely
// nobody has. It is remembered while there is much room, and lost without
// distrust: or a client that asks for many keys that do not exist could make
// this process distrust the store.
func (o *endings) addWeak(hash uint64, key string, version int64, state endingState) bool {
	o.mu.Lock()
	full := o.bytes > o.limit/2
	o.mu.Unlock()
	return full || o.insert(&ending{hash: hash, key: key, version: version, weak: true}, state)
}

// addTag is add for a tag.
func (o *endings) addTag(id uint64, storeKey string, version int64, state endingState) {
	o.insert(&ending{hash: id, key: storeKey, version: version, tag: true}, state)
}

// enter puts e into a state. The caller holds o.mu, and has removed e from
// the state that it was in.
func (o *endings) enter(e *ending, state endingState) {
	if o.closed && state == owed {
		o.lose(e)
		state = told // known here, for as long as this process lives
	}
	if state == told {
		e.key, e.since = "", o.now()
	}
	e.state = state
	e.at = o.states[state].PushBack(e)
	o.bytes += int64(len(e.key) + endingOverhead)
}

// leave takes e out of its state.
// It stays in byHash: enter puts it elsewhere, or remove drops it. The caller holds
// o.mu.
func (o *endings) leave(e *ending) {
	o.states[e.state].Remove(e.at)
	o.bytes -= int64(len(e.key) + endingOverhead)
}

// remove forgets e, without a word about what it ended: see outlive and lose. The
// caller holds o.mu.
func (o *endings) remove(e *ending) {
	o.leave(e)
	delete(o.byHash, e.hash)
	o.count.Store(int64(len(o.byHash)))
}

// lose counts an ending that the store will not be told of.
func (o *endings) lose(e *ending) {
	o.lost.Add(1)
	o.outlive(e)
}

// shrink forgets what is of no use any more, and what there is no room for.
// The lists are in the order in which endings came into their state, so looking at the
// front is enough for nearly all; one that changed its state late is found later. The
// caller holds o.mu.
func (o *endings) shrink(now int64) {
	for i := range o.states {
		for front := o.states[i].Front(); front != nil; front = o.states[i].Front() {
			if e := front.Value.(*ending); now < e.until {
				break
			} else {
				o.remove(e)
			}
		}
	}
	for o.bytes > o.limit {
		e := o.oldest()
		switch {
		// lost without a word: see addWeak
		case e.weak:
		case e.state != told:
			o.lose(e)
		case now-e.since < int64(MaxSkew): // a read may lag behind
			o.outlive(e)
		}
		o.remove(e)
	}
}

// oldest is the ending that is forgotten when there are too many: one that the
// store knows anyway, if there is one, and one that it is just being told of
// last of all.
// Nil if there are none. O(1). The caller holds o.mu.
func (o *endings) oldest() *ending {
	for _, state := range [...]endingState{told, owed, carried} {
		if front := o.states[state].Front(); front != nil {
			return front.Value.(*ending)
		}
	}
	return nil
}

// written takes note of a write of this version of a key, or a newer one, to
// the store. One that is older may have lost against what was to be ended.
func (o *endings) written(hash uint64, version int64) {
	if o.count.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.byHash[hash]; e != nil && e.state != told && version >= e.version {
		if e.tag { // tags knows it
			o.remove(e)
		} else {
			o.leave(e)
			o.enter(e, told)
		}
	}
	o.backoff, o.failed = 0, 0 // the store is well
	if o.states[owed].Len() > 0 {
		o.due = o.now()
		o.arm(o.due)
	}
}

// refused takes note of a write that did not reach the store: what it
// carried is owed.
func (o *endings) refused(hash uint64, version int64) {
	if o.count.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.byHash[hash]
	if e == nil || e.state != carried || e.version > version {
		return
	}
	now := o.now()
	o.leave(e)
	o.enter(e, owed)
	o.failed++
	if o.due <= now { // else this failure is of the same round as the last one
		o.backoff = min(max(firstBackoff, 2*o.backoff), maxBackoff)
		o.due = now + jitter(o.backoff) + int64(rand.N(10*time.Millisecond))
	}
	o.arm(now)
}

// arm sets the timer for the next delivery, if there will be one. The caller
// holds o.mu.
func (o *endings) arm(now int64) {
	if o.closing || o.states[owed].Len() == 0 {
		return
	}
	wait := time.Duration(max(0, o.due-now))
	if o.timer == nil {
		o.timer = time.AfterFunc(wait, o.wake)
	} else {
		o.timer.Reset(wait)
	}
}

// next returns a copy of an ending that is to be delivered now. A caller that
// takes it reports with written or refused.
func (o *endings) next() (e ending, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	o.shrink(now)
	front := o.states[owed].Front()
	switch {
	case front == nil, o.closing && o.failed >= closeAttempts:
		return e, false
	case !o.closing && now < o.due:
		o.arm(now)
		return e, false
	}
	owes := front.Value.(*ending)
	// carried from here: until it is reported nobody else delivers it
	o.leave(owes)
	o.enter(owes, carried)
	return *owes, true
}

// hurry makes everything that is owed due, for the last time.
// Close calls it; from now on a failure is not waited for, and after closeAttempts in a
// row the store is left alone.
func (o *endings) hurry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing, o.failed = true, 0
	if o.timer != nil {
		o.timer.Stop()
	}
}

// close ends the deliveries. It returns how many endings, of those that the
// store was to be told of, it has not been told of in all.
func (o *endings) close() (lost int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.shrink(o.now())
	for front := o.states[owed].Front(); front != nil; front = o.states[owed].Front() {
		e := front.Value.(*ending)
		o.leave(e)
		o.enter(e, owed)
	}
	return o.lost.Load()
}

// owedNow is how many endings the store has not been told of, those not
// counted that travel with a value in the write-back.
func (o *endings) owedNow() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shrink(o.now())
	return int64(o.states[owed].Len())
}

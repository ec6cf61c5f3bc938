package cache

import (
	"container/list"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// admission decides which load may ask the origin next. At most limit do so at
// once; the others queue, which costs neither a goroutine nor, while nobody
// queues, anything at all.
//
// Under an overload a queue that is served in order is a machine for being
// late: it gives each slot to the one that has waited longest and has no time left
// for the answer. So:
//
//   - Once the queue has stood for standing, the newest goes first (adaptive
//     LIFO: Maurer, Fail at Scale, ACM Queue 2015). Before, it is only a burst,
//     and the oldest goes first.
//   - A load is passed over if all its callers will have left when it is done,
//     judging by how long a quick load takes.
//   - Who leaves the queue is forgotten at once.
//
// A load that asks the cache for something else waits for that, and does not
// ask the origin meanwhile: its children take turns with a pass of its own
// (loading.pass), and can never wait for each other in a circle of slots.
type admission struct {
	limit int // Options.Concurrency
	now   func() int64

	// mu guards what follows, and the tickets. It is taken under a shard's lock (claim),
	// so begin, which is called with it, must take neither.
	mu    sync.Mutex
	busy  int       // slots in use
	queue list.List // of *ticket, oldest first
	empty int64     // when the queue was empty last
	usual int64     // how long a load takes; see learn
}

// standing is how long a queue may be there before it is no burst any more.
const standing = int64(50 * time.Millisecond)

// newAdmission has limit slots, all free. now is the cache's clock, in nanoseconds.
func newAdmission(limit int, now func() int64) *admission {
	return &admission{limit: limit, now: now}
}

// ticket is a load's claim to a slot. Its fields are admission's, but for the
// first three.
type ticket struct {
	parent *loading // a load of the same cache that waits for it; nil: none
	begin  func()   // called once, when it has a slot; must not block
	late   func()   // called instead, when its patience is at an end
	giveUp func()   // called by the caller that takes it out of the queue

	until    int64         // when the last of those who wait leaves
	claims   int           // flights that someone waits for; 0: given up
	at       *list.Element // in the queue; nil: not there, or not any more
	timer    *time.Timer   // of its patience, while queued
	usesPass bool          // its parent's, and no slot
	returned bool          // exit has been called
}

// loading is a load in progress, as the loads that it asks for see it.
type loading struct {
	cache  any // *Cache[V]
	keys   []string
	parent *loading // nil: it was not asked for by a load

	// written by the loader, on any goroutine, and read once when it has answered
	ttl      atomic.Int64             // what the loader said with SetTTL
	tags     atomic.Pointer[[]uint64] // what it said with SetTags
	seq      int64                    // of the cache's tags, when it was asked
	previous any                      // *entry[V]: what there was, for Previous; nil: nothing

	passTaken bool // under admission.mu, as queued
	queued    int  // children

	waits map[asker]int // what its loader waits for; under circles.mu
}

// asker is a flight. It asks the origin with a load, or does not yet: nil.
type asker interface{ asks() *loading }

// circles finds loads that would wait for each other.
type circles struct{ mu sync.Mutex }

// wait notes that l waits for f, and returns false if f, or what that waits
// for, waits for l.
func (c *circles) wait(l *loading, f asker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if leadsTo(f, l, make(map[asker]bool)) {
		return false
	}
	if l.waits == nil {
		l.waits = make(map[asker]int)
	}
	l.waits[f]++
	return true
}

// waited ends a wait.
func (c *circles) waited(l *loading, f asker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.waits[f]--; l.waits[f] == 0 {
		delete(l.waits, f)
	}
}

// leadsTo reports whether f waits, by however many steps, for l: a depth-first
// search along "is made by the load" and "waits for the flight". seen ends it
// in graphs that share a part, so that it costs one visit a flight. The caller
// holds the lock of circles.
func leadsTo(f asker, l *loading, seen map[asker]bool) bool {
	at := f.asks()
	if at == l {
		return true
	}
	if at == nil || seen[f] {
		return false
	}
	seen[f] = true
	for next := range at.waits {
		if leadsTo(next, l, seen) {
			return true
		}
	}
	return false
}

// has reports whether key is among those that are being loaded here, or
// wherever this load was asked for.
func (l *loading) has(cache any, key string) bool {
	for ; l != nil; l = l.parent {
		if l.cache == cache && slices.Contains(l.keys, key) {
			return true
		}
	}
	return false
}

// of returns the innermost load of this cache.
func (l *loading) of(cache any) *loading {
	for l != nil && l.cache != cache {
		l = l.parent
	}
	return l
}

// forever is the until of a caller without a deadline.
const forever = math.MaxInt64

// try takes a slot, or the parent's pass, if there is one.
func (a *admission) try(t *ticket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.take(t)
}

// enter queues t. Then begin is called, or late, or disclaim returns true.
// It returns false if nobody has a claim on t any more.
func (a *admission) enter(t *ticket, patience time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.claims == 0 {
		return false
	}
	if a.take(t) {
		t.begin()
		return true
	}
	if a.queue.Len() == 0 {
		a.empty = a.now()
	}
	t.at = a.queue.PushBack(t)
	if t.parent != nil {
		t.parent.queued++
	}
	t.timer = time.AfterFunc(patience, func() {
		if a.leave(t) {
			t.late()
		}
	})
	return true
}

// lend lets a load that waits for t, which is queued, lend it its pass: or all
// slots might be held by those who wait for t.
func (a *admission) lend(t *ticket, parent *loading) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.at == nil || (t.parent != nil && parent.passTaken) {
		return
	}
	if t.parent != nil {
		t.parent.queued--
	}
	t.parent = parent
	parent.queued++
	// its pass is free: t has no reason to stay in the queue
	if !parent.passTaken {
		a.remove(t)
		a.take(t)
		t.begin()
	}
}

// take gives t what is free. The caller holds a.mu.
func (a *admission) take(t *ticket) bool {
	switch {
	case t.parent != nil && !t.parent.passTaken:
		t.parent.passTaken, t.usesPass = true, true
	case a.busy < a.limit:
		a.busy++
	default:
		return false
	}
	return true
}

// leave takes t out of the queue; false if it is not there any more.
func (a *admission) leave(t *ticket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.remove(t)
}

// remove takes t out of the queue, and reports whether it was there: of those
// who want it to leave (its turn, its time, its callers) one alone succeeds,
// and goes on with it. The caller holds a.mu.
func (a *admission) remove(t *ticket) bool {
	if t.at == nil {
		return false
	}
	a.queue.Remove(t.at)
	t.at = nil
	t.timer.Stop()
	if t.parent != nil {
		t.parent.queued--
	}
	if a.queue.Len() == 0 {
		a.empty = a.now()
	}
	return true
}

// claim says that someone waits until then for a flight of t that is queued;
// first, that nobody did. It returns false if t has been given up.
func (a *admission) claim(t *ticket, until int64, first bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if first {
		if t.claims == 0 {
			return false
		}
		t.claims++
	}
	t.until = max(t.until, until)
	return true
}

// disclaim says that nobody waits for a flight of t any more. It returns true
// if that was the last one, and t was in the queue, and is not now.
func (a *admission) disclaim(t *ticket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.claims--
	return t.claims == 0 && a.remove(t)
}

// exit gives back what t took and lets the next one begin. took is how long
// the load took, or 0 if there was none. Only the first exit counts.
// The next begin is called under the mutex, which is why begin must not block.
func (a *admission) exit(t *ticket, took int64) {
	a.mu.Lock()
	if t.returned {
		a.mu.Unlock()
		return
	}
	t.returned = true
	a.learn(took)
	var next *ticket
	if t.usesPass {
		t.parent.passTaken = false
		if t.parent.queued > 0 {
			next = a.choose(t.parent)
		}
	} else {
		a.busy--
		next = a.choose(nil)
	}
	if next != nil {
		a.remove(next)
		a.take(next)
	}
	if next != nil {
		next.begin()
	}
	a.mu.Unlock()
}

// learn keeps usual near the quicker of the loads: who has no time even for
// those is past help.
func (a *admission) learn(took int64) {
	switch {
	case took <= 0:
	case a.usual == 0 || took < a.usual:
		// quickly down and slowly up: one slow load does not make the others hopeless
		a.usual += (took - a.usual) / 2
	default:
		a.usual += (took - a.usual) / 16
	}
}

// choose returns the ticket that is next, of all or of one parent's children;
// nil if there is none whose callers will be there when it is done.
func (a *admission) choose(parent *loading) *ticket {
	now := a.now()
	e, step := a.queue.Front(), (*list.Element).Next
	// a queue that stands: the newest has the most time left
	if now-a.empty > standing {
		e, step = a.queue.Back(), (*list.Element).Prev
	}
	for tried := 0; e != nil && tried < maxTried; e = step(e) {
		t := e.Value.(*ticket)
		if parent != nil && t.parent != parent {
			continue
		}
		if t.until == forever || t.until-now >= a.usual {
			return t
		}
		// passed over, not removed: its callers leave by themselves, and take it out then
		tried++
	}
	return nil
}

// maxTried bounds the search among tickets that have no time left.
const maxTried = 64

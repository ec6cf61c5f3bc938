package logsink

import "encoding/binary"

// A queue is the chunks in memory, oldest first. The youngest may be its tail,
// which takes records. It knows nothing of locks, budgets or counters: those are
// the Sink's, which has one queue and guards it with mu.
type queue struct {
	head *chunk // oldest
	last *chunk // youngest
	tail *chunk // last, while it takes records; else nil
}

// push puts c at the end.
func (q *queue) push(c *chunk) {
	if q.last == nil {
		q.head = c
	} else {
		q.last.next = c
	}
	q.last = c
	c.queued = true
}

// pushFront puts c at the head.
func (q *queue) pushFront(c *chunk) {
	if c.next = q.head; q.head == nil {
		q.last = c
	}
	q.head = c
	c.queued = true
}

// pop takes the oldest chunk out, or returns nil.
func (q *queue) pop() *chunk {
	c := q.head
	if c == nil {
		return nil
	}
	if q.head = c.next; q.head == nil {
		q.last = nil
	}
	if q.tail == c {
		q.tail = nil
	}
	c.next, c.queued = nil, false
	return c
}

// fleeting reports whether anything in the queue would be lost with the process.
func (q *queue) fleeting() bool {
	for c := q.head; c != nil; c = c.next {
		if !c.durable() {
			return true
		}
	}
	return false
}

// releaseLocked gives a chunk's memory back and opens the gates that were
// waiting for it. What the mover is reading waits until it has.
func (s *Sink) releaseLocked(c *chunk) {
	if c.pinned {
		c.doomed = true
		return
	}
	if c.arena == nil {
		return // it was read from disk
	}
	c.arena.release(c)
	s.freedLocked(c.frames * c.arena.size)
}

// freedLocked gives n bytes of the budget back.
func (s *Sink) freedLocked(n int) {
	s.live -= n
	for lane := range s.gate {
		if s.gate[lane].Load() == gateFull && s.live+s.arena.size <= s.limit[lane] {
			s.gate[lane].Store(gateOpen)
		}
	}
}

// unpinLocked ends the mover's use of c.
func (s *Sink) unpinLocked(c *chunk) {
	c.pinned = false
	if c.doomed {
		c.doomed = false
		s.releaseLocked(c)
	}
}

// refuseLocked counts a record that found no room. When not even an ordinary
// chunk can be had the gate closes behind it, so that those that follow pay one
// atomic load, and so that the gap is one gap.
func (s *Sink) refuseLocked(p []byte, lane Priority) {
	s.refuse(lane, len(p))
	if !s.opt.DropOldest && s.live+s.arena.size > s.limit[lane] {
		s.gate[lane].Store(gateFull)
	}
	s.openGapLocked()
}

// evictLocked drops the oldest chunk in memory that is not in flight, to make
// room.
func (s *Sink) evictLocked() bool {
	var c *chunk
	if len(s.front) > 0 {
		c, s.front = s.front[0], s.front[1:]
	} else if c = s.queue.pop(); c == nil {
		return false
	}
	s.countEvictedLocked(c)
	s.releaseLocked(c)
	s.tellWaitingLocked()
	if s.busy.Load() && !s.evicting.Load() {
		s.evicting.Store(true)
	}
	if s.refusedSoFarLocked() != s.gap.reported {
		s.openGapLocked() // of those that gave way
	}
	return true
}

// countEvictedLocked counts what is left of c as lost, and opens a gap: the next
// marker tells of it. In mapped memory c says so, too, as soon as the ledger does,
// so that it is not delivered by the next process.
func (s *Sink) countEvictedLocked(c *chunk) {
	s.openEvictionGapLocked()
	for lane, n := range c.left {
		s.count.evicted[lane] += int64(n)
	}
	s.count.evictedBytes += s.evictMarkersLocked(c)
	s.gap.gone = c.id
	s.keepLocked(nil)
	if c.durable() {
		binary.LittleEndian.PutUint32(c.mem[offDone:], uint32(c.used))
	}
}

// evictMarkersLocked has the young end tell what the markers in c will not, and
// returns the bytes of the records that are lost with them.
func (s *Sink) evictMarkersLocked(c *chunk) (bytes int64) {
	markers, bytes := c.untold()
	if c.earlier {
		s.inheritLocked(markers, c.base)
	} else {
		s.carryLocked(markers, c.base)
	}
	return bytes
}

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
// A tail that is taken takes no more records: the next one opens a new chunk.
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
// Chunks in mapped memory would not. It walks the queue, O(chunks), only at Shutdown.
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
// A gate opens when a whole chunk fits again, not with the first byte: or it would flap
// with every record. Memory that Lines has borrowed comes back here, too.
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
// It reports false if there is none. What an earlier process left goes first: it is older.
// The calls of Flush that wait for one of these records have what they wait for.
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
	if s.refusedUntoldLocked() {
		s.openGapLocked() // of those that gave way
	}
	return true
}

// countEvictedLocked counts what is left of c as lost, and opens a gap: the next
// marker tells of it. In mapped memory c says so, too, as soon as the ledger does,
// so that it is not delivered by the next process.
//
// All of it is counted before the first page of the ledger is written, and that page
// names c already: a process that is killed before c says so has c left, and the next
// one takes off what it finds in it (arena.untold).
func (s *Sink) countEvictedLocked(c *chunk) {
	s.openEvictionGapLocked()
	markers, bytes := c.untold()
	for lane, n := range c.left {
		s.count.evicted[lane] += int64(n)
	}
	s.count.evictedBytes += bytes
	s.gap.gone = c.id
	s.carryMarkersLocked(c, markers)
	s.keepLocked(nil)
	if c.durable() {
		binary.LittleEndian.PutUint32(c.mem[offDone:], uint32(c.used))
	}
}

// carryMarkersLocked has the young end tell what the markers in c will not, because c
// goes away with them. What an earlier process lost stays its loss in our seals.
func (s *Sink) carryMarkersLocked(c *chunk, markers loss) {
	if c.earlier {
		s.inheritLocked(markers, c.base)
	} else {
		s.carryLocked(markers, c.base)
	}
}

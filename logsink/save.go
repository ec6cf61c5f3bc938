package logsink

import (
	"errors"
	"slices"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// This half of the mover writes: from memory to disk, and what is too old or too
// much off it. See mover.go.
//
// While a chunk is on its way to disk nobody waits for it, and the sink goes on.
// It is pinned, so that its memory is not used again, and stays in the queue.
// It may be taken from there in the meantime, and saved finds out:
//
//	still in the queue     it leaves the queue, and its memory is free
//	taken by the drainer   its copy is taken back from the disk: it would come twice
//	evicted (DropOldest)   the same: it is counted as lost
//	given up by Shutdown   the copy stays: what was counted as lost is not
//
// A disk that fails is asked again after a pause, a disk that is full as soon as
// something on it has been delivered.

// save moves the oldest chunk in memory to disk. It reports whether there was one
// to move, however that went.
//
// The lock is given up for the copy and for the disk: a chunk in the queue that is not the
// tail does not change but for how much of it is delivered, which the frame says by itself.
func (m *mover) save() bool {
	s := m.s
	s.mu.Lock()
	c := m.dueLocked()
	if c == nil {
		s.mu.Unlock()
		return false
	}
	c.pinned = true
	meta := c.meta()
	s.mu.Unlock()
	m.buf = c.appendFrame(m.buf) // its records do not change any more
	err := m.call(func() error { return m.push(meta) })
	m.saved(c, meta, err)
	return true
}

// dueLocked is the chunk to save next, or nil. The youngest is never due: writers
// append to it. Memory is emptied from a half down to a quarter, so that a burst
// has room and a quiet sink touches no disk; at Shutdown everything is due that
// mapped memory does not keep anyway.
func (m *mover) dueLocked() *chunk {
	s := m.s
	c := s.head
	if m.q == nil || c == nil || c == s.tail || m.full || time.Now().Before(m.retryAt) {
		return nil
	}
	if s.disk.saveAll {
		if s.disk.stop || !s.queue.fleeting() {
			return nil
		}
		return c
	}
	half := s.opt.MaxBytes / 2
	m.filling = s.live >= half || m.filling && s.live > half/2
	if !m.filling {
		return nil
	}
	return c
}

// push writes what is in buf. With DropOldest a full disk makes room by dropping
// its oldest segments; without it, spool.ErrFull goes back to the caller, and what
// is new will be dropped in memory.
func (m *mover) push(meta spool.Meta) error {
	for {
		err := m.q.Push(meta, m.buf)
		if !errors.Is(err, spool.ErrFull) || !m.s.opt.DropOldest {
			return err
		}
		ok, err := m.q.DropOldest(m.evictedMarkers, m.evicted)
		m.publish()
		if !ok {
			return spool.ErrFull
		}
		if err != nil {
			return err
		}
	}
}

// lookForAge sets when to look for what is too old: as long as there is anything.
func (m *mover) lookForAge() {
	m.ageAt = time.Time{}
	if m.s.opt.SpillAge == 0 || m.q == nil {
		return
	}
	if _, _, bytes := m.q.Size(); bytes > 0 { // also what is read ahead
		m.ageAt = time.Now().Add(max(m.s.opt.SpillAge/10, time.Second))
	}
}

// dropOld drops what came to disk before t: segments, and what was read ahead.
// A segment that it cannot remove ends it until the next look.
func (m *mover) dropOld(t time.Time) {
	m.s.mu.Lock()
	m.dropLoadedLocked(t)
	m.s.mu.Unlock()
	for {
		var ok bool
		err := m.call(func() (err error) { ok, err = m.q.DropBefore(t, m.evictedMarkers, m.evicted); return err })
		m.publish()
		if err != nil {
			m.spillFailed(err)
		}
		if !ok || err != nil {
			return
		}
		m.full = false
	}
}

// dropLoadedLocked drops the chunks read ahead that came to disk before t.
func (m *mover) dropLoadedLocked(t time.Time) {
	s := m.s
	s.disk.loaded = slices.DeleteFunc(s.disk.loaded, func(c *chunk) bool {
		if c.stored >= t.UnixMilli() {
			return false
		}
		s.countEvictedLocked(c)
		s.disk.ahead -= len(c.mem)
		s.disk.finished = append(s.disk.finished, c)
		return true
	})
	s.tellWaitingLocked()
}

// evicted counts what is about to be dropped on disk, and opens a gap there: the next
// marker tells of it.
//
// It is told before the segment is removed. A process that is killed in between leaves the
// records, and has counted them as lost: they come, with a marker that is wrong about them.
func (m *mover) evicted(left [2]int64, bytes int64) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.openEvictionGapLocked()
	for lane, n := range left {
		m.s.count.evicted[lane] += n
	}
	m.s.count.evictedBytes += bytes
	m.s.disk.left[Normal] -= left[Normal]
	m.s.disk.left[High] -= left[High]
	m.s.keepLocked(nil)
}

// evictedMarkers takes over what the markers tell of a chunk that is about to be
// dropped on disk.
func (m *mover) evictedMarkers(e spool.Entry) {
	var c chunk
	c.openFrame(e.Frame, entryHead(e), 0)
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	c.earlier = e.Life != m.life
	markers, _ := c.untold()
	m.s.carryMarkersLocked(&c, markers)
}

// saved ends the save of a chunk. It has left memory only now, and not at all if
// the drainer or a newer record has taken it from there in the meantime.
func (m *mover) saved(c *chunk, meta spool.Meta, err error) {
	s := m.s
	if m.full = errors.Is(err, spool.ErrFull); m.full {
		err = nil
		s.mu.Lock()
		s.disk.works = false
		s.unpinLocked(c)
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	taken := !c.queued // by the drainer, by an eviction, or by Shutdown
	if err == nil && !taken {
		s.queue.pop() // the oldest in memory still
		s.disk.works = true
		m.publishLocked()
	}
	if err != nil {
		s.disk.works = false
		s.setBusyLocked(s.progress.Load() != 0)
	}
	abandoned := c.abandoned
	if err == nil && abandoned {
		// Shutdown did not wait, and it arrived after all: it is not lost.
		for lane, n := range c.left {
			s.count.abandoned[lane] -= int64(n)
		}
		s.carryLocked(loss{}.minus(c.unsaved()), c.base)
		m.publishLocked()
	}
	s.unpinLocked(c)
	if err == nil && !taken {
		s.markersLeftLocked(c, c.n)
		s.releaseLocked(c)
	}
	s.mu.Unlock()
	if m.ageAt.IsZero() {
		m.lookForAge()
	}
	if err == nil && taken && !abandoned { // or it would be delivered twice
		err = m.call(func() error { return m.q.Undo(meta) })
		m.publish()
	}
	m.wrote(err)
	s.rouse()
}

// wrote notes how a write went.
// A good write ends the pause at once, and the state of failure with it.
func (m *mover) wrote(err error) {
	if err != nil {
		m.spillFailed(err)
		m.later()
		return
	}
	m.pause = retryDiskMin
	m.retryAt = time.Time{}
	m.s.mu.Lock()
	m.s.diskWorksLocked(&m.s.count.spillErr)
	m.s.mu.Unlock()
}

// saveStuck copies what is in the destination's call to disk when Shutdown is
// about to give up: the call may never return.
// It is the last thing to be saved, when the queue is: the copy goes in front of all that
// is on disk. If the call returns after all, the copy is finished like one that was read.
func (m *mover) saveStuck() bool {
	s := m.s
	s.mu.Lock()
	var c *chunk
	if m.q != nil && s.disk.saveAll && !s.queue.fleeting() && time.Now().After(m.retryAt) {
		for _, f := range s.inflight {
			if !f.onDisk && !f.durable() && !f.pinned {
				c = f
			}
		}
	}
	if c == nil {
		s.mu.Unlock()
		return false
	}
	c.pinned = true
	meta := c.meta()
	s.mu.Unlock()
	m.buf = c.appendFrame(m.buf)
	var ref spool.Ref
	err := m.call(func() (err error) { ref, err = m.q.PushFront(meta, m.buf); return err })
	s.mu.Lock()
	if err == nil {
		c.onDisk, c.ref, c.noted = true, ref, meta.Done
		if c.doomed { // delivered meanwhile
			s.disk.finished = append(s.disk.finished, c)
		}
	}
	s.unpinLocked(c)
	m.publishLocked()
	s.mu.Unlock()
	m.wrote(err)
	return true
}

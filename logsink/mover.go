package logsink

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// A mover is the one goroutine that may wait for a disk. It opens the mapped
// memory and the spill directory, finds what an earlier process left, moves the
// oldest chunks from memory to the disk while memory is more than half full, and
// reads them back ahead of the drainer. A disk that hangs hangs the mover, and
// nothing else: nobody waits for it, and nobody else has the spool.
//
// It and the others meet in Sink.disk, under Sink.mu. A chunk that it saves
// stays in the queue until it is on disk; who needs it meanwhile takes it, and
// the mover takes its copy back.
//
// The order is: what is in flight, Sink.front, disk, memory. So the drainer
// takes from memory only when the disk has nothing.
type mover struct {
	s       *Sink
	kick    chan struct{}
	onTmpfs chan struct{} // closed when the mapped file is known not to be on a disk
	mapped  chan struct{} // closed after the first attempt to map it
	tried   chan struct{} // closed after the first attempt to open everything
	done    chan struct{} // closed when it has ended
	watch   *time.Timer   // runs during a call of the disk, see overdue
	life    uint64
	started time.Time

	// Of the goroutine alone.
	q        *spool.Queue
	mapping  *mapping
	tmpfs    sync.Once
	adopted  map[spool.ID]bool // found in mapped memory
	stored   map[spool.ID]bool // found on disk
	buf      []byte            // a frame on its way to disk
	filling  bool              // memory was more than half full, and is not yet down to a quarter
	full     bool              // the spill directory is, as of the last attempt
	failures int               // reads that failed in a row
	pause    time.Duration
	retryAt  time.Time // when to write again after an error; zero: now
	openAt   time.Time // when to try again what could not be opened; zero: all is open
	ageAt    time.Time // when to look for what is too old; zero: never
}

// disk is what the rest of the sink knows of the spill. Guarded by Sink.mu.
type disk struct {
	opening bool     // the first attempt is not over
	works   bool     // chunks can be moved, as far as is known
	hangs   bool     // it has not answered for a while
	frames  int      // chunks that wait on disk
	left    [2]int64 // records in them
	bytes   int64    // of all segments
	loaded  []*chunk // read ahead, oldest first
	ahead   int      // bytes of them

	finished []*chunk // on disk and delivered
	spare    []byte   // the memory of one of them
	saveAll  bool     // Shutdown wants everything on disk
	stop     bool     // the sink is dead, or has delivered everything
	drained  bool     // the drainer has ended
	ended    bool     // the mover has
	kept     int64    // records that stay, as of then
}

const (
	openEvery = 10 * time.Second
	startWait = 30 * time.Millisecond // how long New waits for the first attempt
	mapWait   = time.Second           // and for memory that is known to be memory
	slowDisk  = 10 * time.Millisecond // a call that takes longer does not make room soon
	readTries = 5                     // until a part of the disk is given up

	retryDiskMin = time.Second
	retryDiskMax = 30 * time.Second
)

// startMover starts it, and waits a moment: nearly always what an earlier
// process left is known when New returns. A file on tmpfs does not hang and is
// waited for on a busy machine too, so that the first record is safe in it.
func (s *Sink) startMover() {
	if s.opt.Mapped == "" && s.opt.SpillDir == "" && s.image == "" {
		return
	}
	m := &mover{
		s: s, life: s.life, started: time.Now(),
		kick: make(chan struct{}, 1), onTmpfs: make(chan struct{}), mapped: make(chan struct{}), tried: make(chan struct{}), done: make(chan struct{}),
		adopted: map[spool.ID]bool{}, stored: map[spool.ID]bool{}, pause: retryDiskMin,
	}
	m.watch = time.AfterFunc(time.Hour, m.overdue)
	m.watch.Stop()
	s.mover, s.disk.opening = m, true
	go m.run()
	t := time.NewTimer(startWait)
	defer t.Stop()
	select {
	case <-m.tried:
		return
	case <-t.C:
	}
	select {
	case <-m.onTmpfs:
		t.Reset(mapWait)
	default:
		return
	}
	select {
	case <-m.mapped:
	case <-t.C:
	}
}

// rouse tells the mover to look again. A sink without one has nothing to tell.
func (m *mover) rouse() {
	if m == nil {
		return
	}
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

func (m *mover) run() {
	defer close(m.done)
	m.open(m.mapped)
	m.s.mu.Lock()
	m.s.disk.opening = false
	m.s.mu.Unlock()
	close(m.tried)
	m.s.rouse()
	for !m.ended() {
		if m.settle() || m.load() || m.save() || m.saveStuck() || m.retry() {
			continue
		}
		m.wait()
	}
	m.close()
}

// wait waits for a reason to look again.
func (m *mover) wait() {
	var tick <-chan time.Time
	if at := m.next(); !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		tick = t.C
	}
	select {
	case <-m.kick:
	case <-tick:
	}
}

// next is when there is something to do by the clock; zero: never.
func (m *mover) next() (first time.Time) {
	for _, at := range []time.Time{m.openAt, m.retryAt, m.ageAt} {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// call is one call of the disk, watched by a timer.
func (m *mover) call(op func() error) error {
	m.watch.Reset(slowDisk)
	if m.s.beforeDisk != nil {
		m.s.beforeDisk()
	}
	err := op()
	m.watch.Stop()
	s := m.s
	s.mu.Lock()
	if s.disk.hangs {
		s.disk.hangs = false
		if errors.Is(s.count.spillErr, errHangs) {
			s.diskWorksLocked(&s.count.spillErr)
		}
	}
	s.mu.Unlock()
	return err
}

var errHangs = errors.New("the disk does not answer")

// overdue is called by a timer in the middle of a call of the disk: after
// slowDisk, and again when it counts as stalled.
func (m *mover) overdue() {
	s := m.s
	s.contend()
	defer s.mu.Unlock()
	if !s.disk.hangs {
		s.disk.hangs = true
		s.setBusyLocked(s.progress.Load() != 0)
		m.watch.Reset(s.opt.StallAfter)
		s.rouse()
		return
	}
	s.diskFailedLocked(&s.count.spillErr, fmt.Errorf("logsink: %s: %w for %v", cmpOr(s.opt.SpillDir, s.opt.Mapped), errHangs, s.opt.StallAfter))
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// spillFailed notes an error of the spill directory.
func (m *mover) spillFailed(err error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.diskFailedLocked(&m.s.count.spillErr, fmt.Errorf("logsink: spill directory %s: %w", m.s.opt.SpillDir, err))
}

// publishLocked tells the others what is on disk.
func (m *mover) publishLocked() {
	d := &m.s.disk
	d.frames, d.left, d.bytes = m.q.Size()
	for _, dmg := range m.q.TakeDamage() {
		for lane, n := range dmg.Records {
			m.s.count.corrupt[lane] += n
		}
		m.s.noteDiskLocked(fmt.Errorf("logsink: spill directory %s: %w", m.s.opt.SpillDir, dmg))
	}
}

// settle tells the disk what is delivered.
func (m *mover) settle() bool {
	if m.q == nil {
		return false
	}
	s := m.s
	s.mu.Lock()
	finished := s.disk.finished
	s.disk.finished = nil
	var c *chunk
	var sent int
	if len(s.inflight) > 0 && s.inflight[0].onDisk && s.inflight[0].noted != s.inflight[0].sent {
		c = s.inflight[0]
		sent = c.sent
		c.noted = sent
	}
	s.mu.Unlock()
	if len(finished) == 0 && c == nil {
		return false
	}
	err := m.call(func() (err error) {
		for _, f := range finished {
			err = errors.Join(err, m.q.Finish(f.ref))
		}
		if c != nil {
			err = errors.Join(err, m.q.Progress(c.ref, sent))
		}
		return err
	})
	s.mu.Lock()
	m.publishLocked()
	s.mu.Unlock()
	if len(finished) > 0 {
		m.full = false
	}
	if err != nil {
		m.spillFailed(err)
		m.later()
	}
	return true
}

// later puts the next write off, longer each time.
func (m *mover) later() {
	m.retryAt = time.Now().Add(m.pause)
	m.pause = min(2*m.pause, retryDiskMax)
}

// load reads the next chunk ahead of the drainer.
func (m *mover) load() bool {
	s := m.s
	s.mu.Lock()
	if m.q == nil || s.disk.frames == 0 || s.disk.stop || s.disk.ahead >= s.batchBytes() ||
		m.failures > 0 && time.Now().Before(m.retryAt) {
		s.mu.Unlock()
		return false
	}
	spare := s.disk.spare
	s.disk.spare = nil
	s.mu.Unlock()
	var e spool.Entry
	err := m.call(func() (err error) { e, err = m.q.Next(spare); return err })
	switch {
	case err == nil:
		m.failures = 0
		m.loaded(e)
	case errors.Is(err, io.EOF):
		s.mu.Lock()
		m.publishLocked()
		s.mu.Unlock()
	default:
		m.spillFailed(err)
		m.later()
		if m.failures++; m.failures >= readTries {
			m.failures = 0
			m.q.Skip() //nolint:errcheck // what it cannot remove it tells as damage
			s.mu.Lock()
			m.publishLocked()
			s.mu.Unlock()
		}
	}
	s.rouse()
	return true
}

// loaded hands a chunk to the drainer. Of the records that were counted when it
// was found some may be damaged, and some may have been delivered meanwhile by
// the process that died.
func (m *mover) loaded(e spool.Entry) {
	c := &chunk{onDisk: true, ref: e.Ref, noted: e.Done, earlier: e.Life != m.life}
	lost := c.openFrame(e.Frame, entryHead(e), 0)
	if !c.earlier {
		c.order = c.id.Num
	}
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disk.loaded = append(s.disk.loaded, c)
	s.disk.ahead += len(c.mem)
	for lane := range lost {
		missing := e.Left[lane] - c.left[lane]
		corrupt := min(missing, lost[lane])
		if lane == int(Normal) {
			corrupt = min(missing, lost[Normal]+lost[High])
		}
		s.count.corrupt[lane] += int64(corrupt)
		s.count.accepted[lane] -= int64(missing - corrupt)
		s.count.recovered -= int64(missing - corrupt)
	}
	if lost != [2]int{} {
		s.noteDiskLocked(fmt.Errorf("logsink: spill directory %s: %d records of a chunk are damaged", s.opt.SpillDir, lost[0]+lost[1]))
	}
	m.publishLocked()
}

// save moves the oldest chunk in memory to disk.
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
	m.buf = c.appendFrame(m.buf)
	err := m.call(func() error { return m.push(meta) })
	m.saved(c, meta, err)
	return true
}

// dueLocked is the chunk to save next, or nil.
func (m *mover) dueLocked() *chunk {
	s := m.s
	c := s.head
	if m.q == nil || c == nil || c == s.tail || m.full || time.Now().Before(m.retryAt) {
		return nil
	}
	if s.disk.saveAll {
		if s.disk.stop || c.durable() {
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

// push writes what is in buf, and makes room for it if that is the policy.
func (m *mover) push(meta spool.Meta) error {
	for {
		err := m.q.Push(meta, m.buf)
		if !errors.Is(err, spool.ErrFull) || !m.s.opt.DropOldest {
			return err
		}
		left, bytes, ok, err := m.q.DropOldest()
		if !ok {
			return spool.ErrFull
		}
		m.evicted(left, bytes)
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
	if frames, _, _ := m.q.Size(); frames > 0 {
		m.ageAt = time.Now().Add(max(m.s.opt.SpillAge/10, time.Second))
	}
}

// dropOld drops the segments that are older than t.
func (m *mover) dropOld(t time.Time) {
	for {
		var left [2]int64
		var bytes int64
		var ok bool
		err := m.call(func() (err error) {
			left, bytes, ok, err = m.q.DropBefore(t)
			return err
		})
		if ok {
			m.evicted(left, bytes)
		}
		if err != nil {
			m.spillFailed(err)
		}
		if !ok || err != nil {
			return
		}
		m.full = false
	}
}

// evicted counts what was dropped on disk.
func (m *mover) evicted(left [2]int64, bytes int64) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.openEvictionGapLocked()
	for lane, n := range left {
		m.s.count.evicted[lane] += n
	}
	m.s.count.evictedBytes += bytes
	m.publishLocked()
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
	taken := !c.queued
	if err == nil && !taken {
		s.popLocked() // the oldest in memory still
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
		m.publishLocked()
	}
	s.unpinLocked(c)
	if err == nil && !taken {
		s.releaseLocked(c)
	}
	s.mu.Unlock()
	if m.ageAt.IsZero() {
		m.lookForAge()
	}
	if err == nil && taken && !abandoned {
		err = m.call(func() error { return m.q.Undo(meta) })
		s.mu.Lock()
		m.publishLocked()
		s.mu.Unlock()
	}
	m.wrote(err)
	s.rouse()
}

// wrote notes how a write went.
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
func (m *mover) saveStuck() bool {
	s := m.s
	s.mu.Lock()
	var c *chunk
	if m.q != nil && s.disk.saveAll && s.head == nil && time.Now().After(m.retryAt) {
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

// retry opens again what could not be opened, and finds out whether a disk that
// failed works again although there is nothing to write.
func (m *mover) retry() bool {
	now := time.Now()
	s := m.s
	s.mu.Lock()
	stop := s.disk.stop
	s.mu.Unlock()
	if stop {
		m.openAt, m.retryAt, m.ageAt = time.Time{}, time.Time{}, time.Time{}
		return false
	}
	switch {
	case !m.ageAt.IsZero() && !now.Before(m.ageAt):
		m.dropOld(now.Add(-s.opt.SpillAge))
		m.lookForAge()
		return true
	case !m.openAt.IsZero() && !now.Before(m.openAt):
		m.open(nil)
		return true
	case !m.retryAt.IsZero() && !now.Before(m.retryAt):
		m.retryAt = time.Time{}
		if m.q != nil && m.failures == 0 {
			m.wrote(m.call(m.q.Probe))
		}
		return true
	}
	return false
}

// ended reports whether the mover's work is done.
func (m *mover) ended() bool {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	return m.s.disk.drained && len(m.s.disk.finished) == 0
}

// close gives everything up. What is on disk stays, with how far it was
// delivered. Nobody touches a chunk of the mapped memory after that.
func (m *mover) close() {
	s := m.s
	s.mu.Lock()
	s.disk.kept = s.keptLocked()
	s.disk.ended = true
	open := append(s.inflight, s.disk.loaded...)
	s.inflight, s.head, s.last, s.tail, s.front = nil, nil, nil, nil, nil
	s.mu.Unlock()
	if m.q != nil {
		err := m.call(func() (err error) {
			for _, c := range open {
				if c.onDisk && c.noted != c.sent {
					err = errors.Join(err, m.q.Progress(c.ref, c.sent))
				}
			}
			return errors.Join(err, m.q.Close())
		})
		if err != nil {
			m.spillFailed(err)
		}
	}
	if m.mapping != nil {
		if err := m.mapping.close(); err != nil {
			m.mappedFailed(err)
		}
	}
}

// heldLocked is what Stats says of the spill: records not in flight, and bytes.
func (d *disk) heldLocked() (records, bytes int64) {
	records = d.left[Normal] + d.left[High]
	for _, c := range d.loaded {
		records += int64(c.live())
	}
	return records, d.bytes
}

// busyLocked reports whether there is anything between flight and memory.
func (d *disk) busyLocked() bool { return d.frames > 0 || len(d.loaded) > 0 }

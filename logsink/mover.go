package logsink

import (
	"cmp"
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
	runs    chan struct{} // closed when it has begun
	onTmpfs chan struct{} // closed when the mapped file is known not to be on a disk
	mapped  chan struct{} // closed after the first attempt to map it
	tried   chan struct{} // closed after the first attempt to open everything
	told    chan struct{} // closed when it has noted what the sink gave up
	done    chan struct{} // closed when it has ended
	watch   *time.Timer   // runs during a call of the disk, see overdue
	life    uint64
	started time.Time

	// Of the goroutine alone.
	q         *spool.Queue
	mapping   *mapping
	rest      *arena            // of a mapping that is too small: what was left in it
	tmpfs     sync.Once         // to close onTmpfs
	toldOnce  sync.Once         // to close told
	adopted   map[spool.ID]bool // found in mapped memory
	stored    map[spool.ID]bool // found on disk
	buf       []byte            // a frame on its way to disk
	filling   bool              // memory was more than half full, and is not yet down to a quarter
	full      bool              // the spill directory is, as of the last attempt
	noted     loss              // what the note in the spill directory says
	failures  int               // reads that failed in a row
	pause     time.Duration
	retryAt   time.Time // when to write again after an error; zero: now
	openAt    time.Time // when to try again what could not be opened; zero: all is open
	openPause time.Duration
	ageAt     time.Time // when to look for what is too old; zero: never
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
	noted    bool     // the note in the spill directory says what no marker has told yet
	stop     bool     // the sink is dead, or has delivered everything
	drained  bool     // the drainer has ended
	ended    bool     // the mover has
	kept     int64    // records that stay, as of then
}

const (
	openFirst = time.Second // after which it is tried again; then twice as long, up to
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
		kick: make(chan struct{}, 1), runs: make(chan struct{}), onTmpfs: make(chan struct{}), mapped: make(chan struct{}), tried: make(chan struct{}), told: make(chan struct{}), done: make(chan struct{}),
		adopted: map[spool.ID]bool{}, stored: map[spool.ID]bool{}, pause: retryDiskMin,
	}
	m.watch = time.AfterFunc(time.Hour, m.overdue)
	m.watch.Stop()
	s.mover, s.disk.opening = m, true
	go m.run()
	<-m.runs // on a busy machine that may take longer than the disk
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
// Like Sink.rouse it may be called under the lock, and never waits.
func (m *mover) rouse() {
	if m == nil {
		return
	}
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// run is the mover: the one goroutine that waits for a disk. It opens what was
// left by earlier lives, then does whatever there is to do, the most urgent
// first, until the sink has shut down.
//
// The order is by urgency: what is delivered makes room on the disk (settle), what is next
// keeps the drainer busy (load), what is new makes room in memory (save, saveStuck). What
// only the clock asks for comes after (retry), and the note last.
func (m *mover) run() {
	defer close(m.done)
	close(m.runs)
	m.open(m.mapped)
	m.s.mu.Lock()
	m.s.disk.opening = false
	m.s.mu.Unlock()
	close(m.tried)
	m.s.rouse()
	for !m.ended() {
		if m.settle() || m.load() || m.save() || m.saveStuck() || m.retry() || m.note() {
			continue
		}
		m.quiet()
		m.wait()
	}
	m.close()
}

// quiet is called when there is nothing to do. Once the sink is dead, all that it gave
// up is noted by then.
func (m *mover) quiet() {
	m.s.mu.Lock()
	stop := m.s.disk.stop
	m.s.mu.Unlock()
	if stop {
		m.toldOnce.Do(func() { close(m.told) })
	}
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
// Every call of the disk goes through here, with nothing locked. After a call that hung
// and came back the disk works, unless its error says otherwise.
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
// The first time it only sets writers and Shutdown free from hoping for the disk; the
// second time it is an error that Stats shows.
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
	s.diskFailedLocked(&s.count.spillErr, fmt.Errorf("logsink: %s: %w for %v", cmp.Or(s.opt.SpillDir, s.opt.Mapped), errHangs, s.opt.StallAfter))
}

// spillFailed notes an error of the spill directory.
func (m *mover) spillFailed(err error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.diskFailedLocked(&m.s.count.spillErr, fmt.Errorf("logsink: spill directory %s: %w", m.s.opt.SpillDir, err))
}

// publish is publishLocked without the lock.
func (m *mover) publish() {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.publishLocked()
}

// publishLocked tells the others what is on disk.
// It is the only writer of disk.frames, left and bytes but for evicted, which is between
// two of its calls.
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
//
// Chunks that are finished free their segments. Of the one in flight it notes how far it
// is, so that the next process does not repeat it. It reports whether it did anything.
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
	m.publish()
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
//
// It reads ahead for one batch. A read that fails is tried again after a pause; after
// readTries what is left of that segment is given up and counted as damage, since a place
// on the disk that cannot be read must not hold up everything behind it.
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
		m.publish()
	default:
		m.spillFailed(err)
		m.later()
		if m.failures++; m.failures >= readTries {
			m.failures = 0
			m.q.Skip() //nolint:errcheck // what it cannot remove it tells as damage
			m.publish()
		}
	}
	s.rouse()
	return true
}

// loaded hands a chunk to the drainer. Of the records that were counted when it
// was found some may be damaged, and some may have been delivered meanwhile by
// the process that died.
func (m *mover) loaded(e spool.Entry) {
	c := &chunk{onDisk: true, ref: e.Ref, noted: e.Done, stored: e.Stored, earlier: e.Life != m.life}
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
	if s.opt.SpillAge > 0 {
		m.dropLoadedLocked(time.Now().Add(-s.opt.SpillAge))
	}
	m.publishLocked()
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
// It is called once nothing else will be saved or read: the drainer has ended.
func (m *mover) close() {
	s := m.s
	s.mu.Lock()
	s.disk.kept = s.keptLocked()
	s.disk.ended = true
	open := append(s.inflight, s.disk.loaded...)
	s.mu.Unlock()
	m.note()
	s.mu.Lock()
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

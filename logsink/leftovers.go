package logsink

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// This part of the mover takes over what earlier lives of the process have left,
// in mapped memory and in the spill directory. A chunk may be in both, since a
// process can be killed at any moment of moving it, and each is to come once:
//
//	in memory and on disk        the copy in memory, which knows better how much of
//	                             it was delivered; the one on disk is discarded
//	in memory, and was on disk   neither: it was delivered from disk, and its frame
//	                             in memory not yet cleared
//	in one place only            that one
//
// A life is a random number, and chunks of a life are numbered, so that these
// questions have answers. Both places are opened again and again until they can
// be, each by itself: what is found late is put before what is new all the same.

// open opens what was asked for and is not open yet, and finds what an earlier
// process left there. Whatever fails is tried again. Mapped is closed, if it is
// not nil, as soon as the mapped memory is open or has failed.
//
// Mapped memory comes first: it is not on a disk, and what is found there decides what of
// the spill directory is a second copy.
func (m *mover) open(mapped chan struct{}) {
	o := &m.s.opt
	var left []*chunk
	missing, opened := false, false
	missing = m.rest != nil && !m.closeRest()
	if (o.Mapped != "" || m.s.image != "") && m.mapping == nil {
		var err error
		if left, err = m.openMapped(); err != nil {
			m.mappedFailed(err)
			missing = true
		}
	}
	if mapped != nil {
		close(mapped)
	}
	if o.SpillDir != "" && m.q == nil {
		var unwritable error
		if err := m.call(func() (err error) { unwritable, err = m.openSpool(); return err }); err != nil {
			m.spillFailed(err)
			missing = true
		} else {
			opened = true
			m.readNote()
			m.tookSpool(unwritable)
			m.dropOld(time.Now().Add(-cmp.Or(o.SpillAge, forever)))
			m.lookForAge()
		}
	}
	switch {
	case len(left) > 0:
		m.place(left)
	case opened:
		m.arrange()
	}
	m.openAt = time.Time{}
	if missing {
		m.openPause = min(max(2*m.openPause, openFirst), openEvery)
		m.openAt = time.Now().Add(m.openPause)
	}
}

// forever is longer than any age.
// Without SpillAge nothing is too old; a clock that is a century ahead is no reason either.
const forever = 100 * 365 * 24 * time.Hour

// mappedFailed notes an error of the mapped memory, or of the image of one that is
// being recovered.
func (m *mover) mappedFailed(err error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.diskFailedLocked(&m.s.count.mappedErr, fmt.Errorf("logsink: mapped file %s: %w", cmp.Or(m.s.opt.Mapped, m.s.image), err))
}

// closeRest closes a mapping that was too small, so that it can be opened anew. It
// reports false if something of it is still to be delivered.
// Until then the new records are in plain memory.
func (m *mover) closeRest() bool {
	m.s.mu.Lock()
	busy := m.rest.nfree < len(m.rest.taken)
	m.s.mu.Unlock()
	if busy {
		return false
	}
	if err := m.mapping.close(); err != nil {
		m.mappedFailed(err)
	}
	m.mapping, m.rest = nil, nil
	return true
}

// openMapped takes the mapped memory, and returns what is left in it, oldest
// first. From here on records go there, unless the file has no room for them: then
// there is an error and, if something is left, the file stays open for that.
//
// Before the chunks are touched the ledger is settled (takeOver), and only with the chunks
// in hand this process begins its own. From then on a kill leaves it all to the next one.
func (m *mover) openMapped() (left []*chunk, err error) {
	s := m.s
	err = m.call(func() (err error) {
		if s.image != "" {
			m.mapping, err = openImage(s.image)
			return err
		}
		if err = inMemory(filepath.Dir(s.opt.Mapped)); err != nil {
			return err
		}
		m.tmpfs.Do(func() { close(m.onTmpfs) })
		m.mapping, err = openMapping(s.opt.Mapped, s.opt.MaxBytes, frameSize)
		return err
	})
	if err != nil {
		m.mapping = nil
		return nil, err
	}
	a := newArena(m.mapping.frames(), m.mapping.size)
	a.mapped, a.key = true, m.mapping.key
	carried, life, since, unknown := a.untold(m.mapping.head())
	if life != 0 {
		a.takeOver(m.mapping.head(), life, carried, since)
	}
	left, lost, damage := a.adopt()
	if unknown != nil {
		damage = append(damage, unknown)
	}
	if m.mapping.short != nil {
		damage = append(damage, m.mapping.short)
	}
	if frames := a.trim(s.opt.MaxBytes / a.size); s.image == "" {
		if err := m.call(func() error { return m.mapping.shrink(frames) }); err != nil {
			damage = append(damage, err)
		}
	}
	small := m.mapping.small
	if small != nil {
		m.rest = a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if small == nil {
		s.arena = a
		s.inheritLocked(carried, since)
		s.beginLedgerLocked(m.mapping.keepHead(s), a.key)
		s.diskWorksLocked(&s.count.mappedErr)
	}
	for _, err := range damage {
		s.noteDiskLocked(fmt.Errorf("logsink: mapped file %s: %w", cmp.Or(s.opt.Mapped, s.image), err))
	}
	for lane, n := range lost {
		s.count.corrupt[lane] += int64(n)
	}
	s.foundLocked([2]int64{int64(lost[Normal]), int64(lost[High])})
	return left, small
}

// adopt finds the chunks that an earlier process left in mapped memory, and
// claims their frames. Lost counts the records that are damaged.
//
// A frame that is no chunk and is not free either is damage, and is cleared: or every later
// process would find it again. Lives are in the order of their first records' times; the
// clock may have been set back between two of them, and then so is their order.
func (a *arena) adopt() (left []*chunk, lost [2]int, damage []error) {
	for i := 0; i < len(a.chunks); {
		mem := a.slab[i*a.size:]
		h, err := parseHead(mem, a.key)
		if err == nil && (h.size%a.size != 0 || h.size > len(mem)) {
			err = fmt.Errorf("%w: size %d", errFrame, h.size)
		}
		if err != nil {
			if mem[0] != 0 {
				damage = append(damage, fmt.Errorf("frame %d: %w", i, err))
				clear(mem[:headerSize])
			}
			i++
			continue
		}
		c := a.claim(i, h.size/a.size)
		bad := c.openFrame(c.mem, h, a.key)
		c.earlier = true
		lost[Normal] += bad[Normal]
		lost[High] += bad[High]
		i += c.frames
		if c.rec == c.n {
			a.release(c)
			continue
		}
		left = append(left, c)
	}
	slices.SortStableFunc(left, func(x, y *chunk) int {
		if x.id.Life == y.id.Life {
			return cmp.Compare(x.id.Num, y.id.Num)
		}
		return cmp.Compare(x.base, y.base)
	})
	return left, lost, damage
}

// openSpool takes the spill directory: its lock, and what is in it. It notes which
// chunks were ever there, torn ones too. With a file that it writes and removes it
// finds out whether the directory can be written to, now and not in the outage.
// One that cannot is open all the same: what filled the disk may be what is to be
// delivered from it.
func (m *mover) openSpool() (unwritable, err error) {
	o := spool.Options{Dir: m.s.opt.SpillDir, Max: m.s.opt.SpillBytes, Life: m.life, Start: m.started, MustExist: m.s.recovering}
	q, err := spool.Open(o)
	if err != nil {
		return nil, err
	}
	metas, err := q.Metas()
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	for _, meta := range append(metas, q.Torn()...) {
		m.stored[meta.ID] = true
	}
	m.q = q
	if !m.s.recovering {
		unwritable = q.Probe()
	}
	return unwritable, nil
}

// tookSpool counts what is in the spill directory. What is in mapped memory too
// was on its way between the two when its process was killed. A directory that is
// unwritable is tried again like one that failed later.
func (m *mover) tookSpool(unwritable error) {
	err := m.call(func() error { return m.q.Discard(func(id spool.ID) bool { return m.adopted[id] }) })
	s := m.s
	s.mu.Lock()
	m.publishLocked()
	s.foundLocked(s.disk.left)
	if err = errors.Join(err, unwritable); err == nil {
		s.disk.works = true
		s.diskWorksLocked(&s.count.spillErr)
	}
	s.mu.Unlock()
	if err != nil {
		m.spillFailed(err)
		m.later()
	}
	s.rouse()
}

// place counts what was in mapped memory and puts it where it belongs. Of a chunk
// that is on disk too, this copy is delivered.
func (m *mover) place(left []*chunk) {
	for _, c := range left {
		m.adopted[c.id] = true
	}
	twice := map[spool.ID]bool{}
	if m.q != nil {
		err := m.call(func() error {
			return m.q.Discard(func(id spool.ID) bool {
				twice[id] = m.adopted[id]
				return twice[id]
			})
		})
		if err != nil {
			m.spillFailed(err)
		}
	}
	on := m.lookAtDisk()
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	var records [2]int64
	for _, c := range left {
		if m.stored[c.id] && !twice[c.id] {
			c.arena.release(c) // it has been delivered from disk
			continue
		}
		s.front = append(s.front, c)
		s.live += c.frames * c.arena.size
		records[Normal] += int64(c.left[Normal])
		records[High] += int64(c.left[High])
	}
	if m.q != nil {
		was := s.disk.left
		m.publishLocked()
		for lane := range was { // discarded: the same records are counted below
			s.count.accepted[lane] -= was[lane] - s.disk.left[lane]
			s.count.recovered -= was[lane] - s.disk.left[lane]
		}
	}
	m.arrangeLocked(on)
	s.foundLocked(records)
	s.upTo = s.seq
	s.parked = awake
	s.rouse()
}

// onDisk is what an order is made by.
type onDisk struct {
	first  map[uint64]uint64 // the first chunk of each life
	oldest int64             // base of all of them
}

// add takes one more chunk that waits on disk into account.
func (o *onDisk) add(id spool.ID, base int64) {
	if n, ok := o.first[id.Life]; !ok || id.Num < n {
		o.first[id.Life] = id.Num
	}
	o.oldest = min(o.oldest, base)
}

// lookAtDisk lists what waits on disk.
func (m *mover) lookAtDisk() onDisk {
	on := onDisk{map[uint64]uint64{}, math.MaxInt64}
	if m.q == nil {
		return on
	}
	var metas []spool.Meta
	if err := m.call(func() (err error) { metas, err = m.q.Metas(); return err }); err != nil {
		m.spillFailed(err)
	}
	for _, meta := range metas {
		on.add(meta.ID, meta.Base)
	}
	return on
}

// arrange is for a spill directory that was opened after the mapped memory.
// Nothing to arrange is the usual case.
func (m *mover) arrange() {
	s := m.s
	s.mu.Lock()
	n := len(s.front)
	s.mu.Unlock()
	if n == 0 {
		return
	}
	on := m.lookAtDisk()
	s.mu.Lock()
	defer s.mu.Unlock()
	m.arrangeLocked(on)
}

// arrangeLocked divides what was in mapped memory, all in Sink.front by now: what
// is older than what is on disk stays there, the rest goes between that and what
// this process has written, where it can be saved when memory fills.
//
// Nothing is saved from Sink.front. So of what is no part of a life that is on
// disk, whose order would be lost, a quarter of memory stays, or the first chunk:
// what fills memory must not keep all that is new out of it. Until the spill
// directory is open there is no order, and everything stays.
func (m *mover) arrangeLocked(on onDisk) {
	s := m.s
	if s.opt.SpillDir != "" && m.q == nil {
		return
	}
	for _, c := range s.disk.loaded {
		on.add(c.id, c.base)
	}
	var before, after []*chunk
	room := s.opt.MaxBytes / 4
	for _, c := range s.front {
		size := c.frames * c.arena.size
		n, ok := on.first[c.id.Life]
		switch {
		case ok && c.id.Num < n:
			before = append(before, c)
		case !ok && c.base < on.oldest && (room >= size || len(before) == 0):
			before = append(before, c)
			room -= size
		default:
			after = append(after, c)
			if !ok {
				room = 0
			}
		}
	}
	s.front = before
	for _, c := range slices.Backward(after) {
		s.queue.pushFront(c)
	}
}

// foundLocked counts records that an earlier process left.
// They are Attempted now, although this process did not write them: the sum has to hold.
func (s *Sink) foundLocked(records [2]int64) {
	n := records[Normal] + records[High]
	if n == 0 {
		return
	}
	s.count.recovered += n
	for lane := range records {
		s.count.accepted[lane] += records[lane]
	}
	s.tellLocked(Event{Kind: LeftoverFound, Records: n})
}

// keptLocked counts the records that the next process will find: on disk, read
// ahead from there, and in mapped memory. Shutdown says so when it gives up.
func (s *Sink) keptLocked() int64 {
	if s.disk.ended {
		return s.disk.kept
	}
	n := s.disk.left[Normal] + s.disk.left[High]
	for _, list := range [][]*chunk{s.disk.loaded, s.inflight, s.front} {
		for _, c := range list {
			if c.onDisk || c.durable() {
				n += int64(c.live())
			}
		}
	}
	for c := s.head; c != nil; c = c.next {
		if c.durable() {
			n += int64(c.live())
		}
	}
	return n
}

// diskFailedLocked notes that what was asked for is not in effect: where is the
// state of the mapped memory or of the spill directory.
func (s *Sink) diskFailedLocked(where *error, err error) {
	was := *where
	*where = err
	s.count.diskErrors++
	s.count.lastDiskErr = err
	if was == nil {
		s.tellLocked(Event{Kind: DiskFailed, Err: err})
	}
}

// diskWorksLocked ends what diskFailedLocked began.
func (s *Sink) diskWorksLocked(where *error) {
	if *where == nil {
		return
	}
	*where = nil
	if s.count.mappedErr == nil && s.count.spillErr == nil {
		s.tellLocked(Event{Kind: DiskRecovered})
	}
}

// noteDiskLocked notes an error that is over as soon as it is told: damage.
// Stats keeps it as LastDiskError.
func (s *Sink) noteDiskLocked(err error) {
	s.count.diskErrors++
	s.count.lastDiskErr = err
	s.tellLocked(Event{Kind: DiskFailed, Err: err})
}

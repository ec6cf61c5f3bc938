package logsink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A spool is the spill directory: a queue of chunks on disk between the chunks
// in flight, which are older, and those in memory, which are younger. One
// goroutine moves the oldest chunks from memory to the youngest segment while
// memory is more than half full; the drainer reads the oldest segment. So the
// order stays, and the drainer takes from memory only when the disk has
// nothing.
//
// A segment is a file of frames (frame.go). It is deleted when all of it is
// delivered. Nothing is fsynced: a spill survives the process, not the machine.
type spool struct {
	s      *Sink
	dir    string
	lock   *os.File
	limit  int64
	segMax int64
	from   int // Sink.live from which chunks move; down to half of it
	kick   chan struct{}
	done   chan struct{} // closed when the mover has ended
	ok     atomic.Bool   // chunks can be moved, as far as we know

	// Under Sink.mu.
	segs    []*segment // oldest first
	bytes   int64      // of all segments
	moving  *chunk     // out of the queue and not yet on disk
	stopped bool
	saveAll bool // Shutdown wants everything on disk
	open    []openedFrame
	todo    []func() error // work on files, to be done without the lock

	buf  []byte          // the mover's: a frame on its way to disk
	seqs map[uint64]bool // New's: what was found
}

// segment is one file. Its fields are under Sink.mu; the file itself is read
// by the drainer and appended to by the mover.
type segment struct {
	path    string
	f       *os.File
	size    int64    // of whole frames
	read    int64    // up to here the drainer has read
	open    int      // frames read and not delivered
	records [2]int64 // of the frames not read yet
	damaged int64    // bytes in which no frame was found
	sealed  bool     // nothing is appended any more
}

// openedFrame is a chunk in flight that has a frame on disk.
type openedFrame struct {
	c   *chunk
	seg *segment
	at  int64
}

const (
	segmentSuffix = ".seg"
	damagedName   = "damaged.bad" // the last segment that could not be read in full
)

// openSpill takes the spill directory, with what an earlier process left in
// it. Without it the sink works in memory alone.
func (s *Sink) openSpill() {
	if s.opt.SpillDir == "" {
		return
	}
	p := &spool{
		s:      s,
		dir:    s.opt.SpillDir,
		limit:  s.opt.SpillBytes,
		segMax: min(max(s.opt.SpillBytes/16, 128<<10), 8<<20),
		from:   s.opt.MaxBytes / 2,
		kick:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		seqs:   map[uint64]bool{},
	}
	err := os.MkdirAll(p.dir, 0o700)
	if err == nil {
		p.lock, err = lockFile(filepath.Join(p.dir, "lock"))
	}
	if err == nil {
		err = p.load()
	}
	if err == nil {
		err = p.probe()
	}
	if err != nil {
		p.closeFiles()
		s.diskFailed(fmt.Errorf("logsink: spill directory %s: %w", p.dir, err))
		return
	}
	p.ok.Store(true)
	s.spool = p
	for _, seg := range p.segs {
		s.found(seg.records)
	}
	s.orderLeftovers()
	go p.run()
}

// probe finds out now, not in the outage, whether the directory can be
// written to.
func (p *spool) probe() error {
	name := filepath.Join(p.dir, "probe")
	if err := os.WriteFile(name, make([]byte, 4096), 0o600); err != nil {
		return err
	}
	return os.Remove(name)
}

// load lists the segments of an earlier process and counts what is in them.
func (p *spool) load() error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries { // sorted by name, and so by age
		if !strings.HasSuffix(e.Name(), segmentSuffix) || !e.Type().IsRegular() {
			continue
		}
		seg := &segment{path: filepath.Join(p.dir, e.Name()), sealed: true}
		if info, err := e.Info(); err == nil && info.Size() == 0 {
			if err := os.Remove(seg.path); err != nil {
				return err
			}
			continue
		}
		if seg.f, err = os.OpenFile(seg.path, os.O_RDWR, 0); err != nil {
			return err
		}
		p.segs = append(p.segs, seg)
		if err := p.count(seg); err != nil {
			return err
		}
	}
	return nil
}

// count reads the headers and slots of a segment.
func (p *spool) count(seg *segment) error {
	info, err := seg.f.Stat()
	if err != nil {
		return err
	}
	seg.size = info.Size()
	p.bytes += seg.size
	for at := int64(0); ; {
		h, next, err := findFrame(seg.f, at, seg.size)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.s.seq = max(p.s.seq, h.seq)
		if next+int64(h.size) > seg.size {
			if p.s.maps(h.seq) { // its way to disk was cut short
				p.bytes -= seg.size - next
				seg.size = next
				return seg.f.Truncate(next)
			}
			seg.records[Normal] += int64(h.n) // torn: none of it can be read
			at = next + 1
			continue
		}
		p.seqs[h.seq] = true
		slots := make([]byte, h.n*fullSlot)
		if _, err := seg.f.ReadAt(slots, next+int64(h.size-len(slots))); err != nil {
			return err
		}
		c := chunk{mem: slots, slot: fullSlot, n: h.n}
		for i := range c.n {
			if w := c.word(i); w&flagGap == 0 && int(w&endMask) > h.done {
				seg.records[w>>31]++
			}
		}
		at = next + int64(h.size)
	}
}

// findFrame returns the header of the first frame at or after at, and where it
// is. Damage in between is passed over. io.EOF: there is none.
func findFrame(f io.ReaderAt, at, size int64) (frameHead, int64, error) {
	var h [headerSize]byte
	for ; at+headerSize <= size; at++ {
		if _, err := f.ReadAt(h[:], at); err != nil {
			return frameHead{}, at, err
		}
		head, err := parseHead(h[:])
		if err == nil && head.size <= frameLimit {
			return head, at, nil
		}
		at += skipToMagic(f, at+1, size)
	}
	return frameHead{}, size, io.EOF
}

// frameLimit is the largest frame that is believed: more than any MaxRecord.
const frameLimit = 64 << 20

// skipToMagic is how many bytes from at on hold no magic.
func skipToMagic(f io.ReaderAt, at, size int64) int64 {
	from, buf := at, make([]byte, 64<<10)
	for at < size {
		n, _ := f.ReadAt(buf, at) // an error shows again in findFrame
		if n < 4 {
			break
		}
		if i := strings.Index(string(buf[:n]), "LSF1"); i >= 0 {
			return at + int64(i) - from
		}
		at += int64(n - 3)
	}
	return size - from
}

// busy reports whether there is anything between flight and memory. Called
// with Sink.mu, as all below until run.
func (p *spool) busy() bool { return p != nil && (p.moving != nil || p.next() != nil) }

// working reports whether the spool makes room in memory.
func (p *spool) working() bool { return p != nil && p.ok.Load() }

// next is the oldest segment that has frames to read.
func (p *spool) next() *segment {
	for _, seg := range p.segs {
		if seg.read < seg.size {
			return seg
		}
	}
	return nil
}

// held is what Stats says: records not read yet, and bytes.
func (p *spool) held() (records, bytes int64) {
	if p == nil {
		return 0, 0
	}
	for _, seg := range p.segs {
		records += seg.records[Normal] + seg.records[High]
	}
	if p.moving != nil {
		records += int64(p.moving.live())
	}
	return records, p.bytes
}

func (p *spool) rouse() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// stop ends the mover, after what it is at.
func (p *spool) stop() {
	if p != nil {
		p.stopped = true
		p.rouse()
	}
}

// take pops the chunk to move next, or nil.
func (p *spool) take() *chunk {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.head
	enough := p.stopped || s.live <= p.from/2 || c != nil && c == s.tail
	if c == nil || !p.saveAll && enough || !p.makeRoom(int64(c.used+c.n*fullSlot)) {
		return nil
	}
	p.moving = s.pop()
	return p.moving
}

// makeRoom keeps the bound. Full, the spool leaves chunks where they are, or
// gives up its oldest segment if that is the policy.
func (p *spool) makeRoom(size int64) bool {
	for p.bytes+size > p.limit {
		i := slices.IndexFunc(p.segs, func(seg *segment) bool { return seg.sealed && seg.open == 0 && seg.read == 0 })
		if !p.s.opt.DropOldest || i < 0 {
			p.ok.Store(false)
			p.s.setBusy(p.s.progress.Load() != 0)
			return false
		}
		seg := p.segs[i]
		p.s.openEvictionGap()
		for lane, n := range seg.records {
			p.s.count.evicted[lane] += n
		}
		p.s.count.evictedBytes += seg.size
		p.drop(seg)
	}
	p.ok.Store(true)
	return true
}

// drop removes a segment.
func (p *spool) drop(seg *segment) {
	p.unlist(seg)
	p.later(func() error {
		seg.f.Close() //nolint:errcheck // nothing in it is needed
		return os.Remove(seg.path)
	})
}

// unlist takes a segment off the list.
func (p *spool) unlist(seg *segment) {
	p.segs = slices.DeleteFunc(p.segs, func(o *segment) bool { return o == seg })
	p.bytes -= seg.size
}

// later puts off work on files until tidy: a slow disk must not hold the lock.
func (p *spool) later(work func() error) { p.todo = append(p.todo, work) }

// tidy does the work that was put off. Called without the lock.
func (p *spool) tidy() {
	p.s.mu.Lock()
	todo := p.todo
	p.todo = nil
	p.s.mu.Unlock()
	for _, work := range todo {
		if err := work(); err != nil {
			p.s.diskFailed(fmt.Errorf("logsink: spill: %w", err))
		}
	}
}

// run is the mover.
func (p *spool) run() {
	defer close(p.done)
	pause := time.Second
	for range p.kick {
		for {
			c := p.take()
			p.tidy()
			if c == nil {
				break
			}
			if err := p.store(c); err != nil {
				p.putBack(c, err)
				if !p.rest(pause) {
					break
				}
				pause = min(2*pause, 30*time.Second)
				continue
			}
			pause = time.Second
		}
		if p.ended() {
			return
		}
	}
}

// ended finishes the mover's work when the sink is at its end: what is stuck
// in the destination is saved as well, and what could not be saved is
// abandoned.
func (p *spool) ended() bool {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.stopped {
		return false
	}
	if s.keeps() {
		return true
	}
	s.abandon()
	for _, c := range slices.Clone(s.inflight) {
		if c.frame >= 0 {
			sent := c.sent
			s.mu.Unlock()
			p.saveStuck(c, sent)
			s.mu.Lock()
		}
	}
	return true
}

// rest waits after a disk error. It reports false when the sink ends.
func (p *spool) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.s.ctx.Done():
		return false
	}
}

// store writes c to the youngest segment.
func (p *spool) store(c *chunk) error {
	size := int64(c.used + c.n*fullSlot)
	seg, err := p.writable(c.seq, size)
	if err != nil {
		return err
	}
	p.buf = c.appendFrame(p.buf[:0], c.sent)
	if _, err := seg.f.WriteAt(p.buf, seg.size); err != nil {
		return errors.Join(err, p.giveUp(seg))
	}
	s := p.s
	s.mu.Lock()
	seg.size += size
	p.bytes += size
	for lane, n := range c.left {
		seg.records[lane] += int64(n)
	}
	p.moving = nil
	s.release(c)
	recovered := s.count.diskErr != nil
	s.count.diskErr = nil
	if recovered {
		s.tell(Event{Kind: DiskRecovered})
	}
	s.mu.Unlock()
	s.rouse()
	return nil
}

// giveUp ends a segment that could not be written to: without the frame that
// is there in part, or altogether if there is no other.
func (p *spool) giveUp(seg *segment) error {
	p.s.mu.Lock()
	seg.sealed = true
	empty := seg.size == 0
	if empty {
		p.unlist(seg)
	}
	p.s.mu.Unlock()
	if !empty {
		return seg.f.Truncate(seg.size)
	}
	return errors.Join(seg.f.Close(), os.Remove(seg.path))
}

// appendFrame appends c as a frame without free space.
func (c *chunk) appendFrame(b []byte, sent int) []byte {
	c.seal()
	size := c.used + c.n*fullSlot
	b = slices.Grow(b, size)[:headerSize]
	c.putHeader(b, uint32(size), sent)
	b = append(b, c.mem[headerSize:c.used]...)
	return append(b, c.mem[len(c.mem)-c.n*fullSlot:]...)
}

// writable returns the segment that takes the next frame.
func (p *spool) writable(seq uint64, size int64) (*segment, error) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(p.segs); n > 0 {
		if seg := p.segs[n-1]; !seg.sealed && (seg.size == 0 || seg.size+size <= p.segMax) {
			return seg, nil
		}
		p.segs[n-1].sealed = true
	}
	s.mu.Unlock()
	seg, err := p.create(seq)
	s.mu.Lock()
	if err != nil {
		return nil, err
	}
	p.segs = append(p.segs, seg)
	return seg, nil
}

// create makes the segment whose first chunk is seq.
func (p *spool) create(seq uint64) (*segment, error) {
	path := filepath.Join(p.dir, fmt.Sprintf("%020d%s", seq, segmentSuffix))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &segment{path: path, f: f}, nil
}

// putBack returns a chunk to the head of the queue after a disk error.
func (p *spool) putBack(c *chunk, err error) {
	s := p.s
	p.ok.Store(false)
	s.mu.Lock()
	p.moving = nil
	if c.next = s.head; s.head == nil {
		s.last = c
	}
	s.head = c
	s.setBusy(s.progress.Load() != 0)
	s.mu.Unlock()
	s.diskFailed(fmt.Errorf("logsink: spill: %w", err))
	s.rouse()
}

// saveStuck writes a chunk that is in the destination, which has taken it up
// to sent, to a segment of its own: the oldest of all.
func (p *spool) saveStuck(c *chunk, sent int) {
	seg, err := p.create(c.seq)
	if err == nil {
		p.buf = c.appendFrame(p.buf[:0], sent)
		_, err = seg.f.WriteAt(p.buf, 0)
	}
	if err != nil {
		p.s.diskFailed(fmt.Errorf("logsink: spill: %w", err))
		return
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	seg.size = int64(len(p.buf))
	seg.read, seg.open, seg.sealed = seg.size, 1, true
	p.segs = slices.Insert(p.segs, 0, seg)
	p.bytes += seg.size
	p.open = append(p.open, openedFrame{c, seg, 0})
}

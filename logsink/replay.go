package logsink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// pickSpilled moves the oldest frames on disk into flight. Called with the
// lock, which it gives up while it reads.
func (s *Sink) pickSpilled() bool {
	for most := s.batchBytes(); most > 0; {
		seg := s.spool.next()
		if seg == nil {
			break
		}
		at, size := seg.read, seg.size
		seg.open++ // it must not be dropped meanwhile
		s.mu.Unlock()
		c, from, err := readFrame(seg.f, at, size)
		s.mu.Lock()
		if err != nil {
			seg.open--
			s.spool.skipped(seg, size, err)
			continue
		}
		seg.damaged += from - seg.read
		seg.read = from + int64(len(c.mem))
		for lane, n := range c.left {
			seg.records[lane] -= int64(n)
		}
		s.spool.open = append(s.spool.open, openedFrame{c, seg, from})
		s.inflight = append(s.inflight, c)
		most -= c.used
	}
	s.mu.Unlock()
	s.spool.tidy()
	s.mu.Lock()
	return len(s.inflight) > 0
}

// readFrame reads the first readable frame at or after at.
func readFrame(f io.ReaderAt, at, size int64) (*chunk, int64, error) {
	for {
		h, from, err := findFrame(f, at, size)
		if err != nil {
			return nil, from, err
		}
		mem := make([]byte, h.size)
		c := &chunk{frame: -1}
		if from+int64(h.size) <= size {
			if _, err := f.ReadAt(mem, from); err != nil {
				return nil, from, err
			}
			if _, err := openFrame(c, mem); err == nil {
				return c, from, nil
			}
		}
		at = from + 1 // torn: its end is missing, or something else lies in it
	}
}

// skipped gives up what cannot be read of a segment. The bytes up to size are
// passed over; what was counted in them is corrupt unless it turned up.
func (p *spool) skipped(seg *segment, size int64, err error) {
	seg.damaged += size - seg.read
	seg.read = size
	if !errors.Is(err, io.EOF) {
		p.s.noteDisk(fmt.Errorf("logsink: spill: %s: %w", seg.path, err))
	}
	p.retire(seg)
}

// delivered ends a frame in flight. Called without the lock.
func (p *spool) delivered(c *chunk) {
	p.s.mu.Lock()
	if o, ok := p.forget(c); ok {
		o.seg.open--
		if !p.retire(o.seg) {
			p.later(func() error { return o.putDone(len(c.mem)) })
		}
	}
	p.s.mu.Unlock()
	p.tidy()
	p.rouse() // there may be room now
}

func (p *spool) forget(c *chunk) (openedFrame, bool) {
	for i, o := range p.open {
		if o.c == c {
			p.open = append(p.open[:i], p.open[i+1:]...)
			return o, true
		}
	}
	return openedFrame{}, false
}

// note tells the disk how much of the oldest chunk in flight is delivered, if
// it is a frame on disk, so that the next process does not deliver it again.
func (p *spool) note() {
	if p == nil {
		return
	}
	s := p.s
	s.mu.Lock()
	if len(s.inflight) == 0 || s.inflight[0].frame >= 0 {
		s.mu.Unlock()
		return
	}
	c := s.inflight[0]
	var err error
	if i := slices.IndexFunc(p.open, func(o openedFrame) bool { return o.c == c }); i >= 0 {
		o, done := p.open[i], c.sent
		s.mu.Unlock()
		err = o.putDone(done)
		s.mu.Lock()
	}
	if err != nil {
		s.noteDisk(fmt.Errorf("logsink: spill: %w", err))
	}
	s.mu.Unlock()
}

// putDone writes how much of a frame is delivered.
func (o openedFrame) putDone(done int) error {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(done))
	_, err := o.seg.f.WriteAt(b[:], o.at+offDone)
	return err
}

// retire removes a segment of which all is delivered. What was counted in it
// and never turned up is corrupt. Where a header is damaged the number of
// records below it is not known; the bytes are told. A damaged file is kept for
// a person to look at, until the next one.
func (p *spool) retire(seg *segment) bool {
	if seg.read < seg.size || seg.open > 0 || p.moving != nil && !seg.sealed {
		return false
	}
	lost := seg.records
	if lost == [2]int64{} && seg.damaged == 0 {
		p.drop(seg)
		return true
	}
	for lane, n := range lost {
		p.s.count.corrupt[lane] += n
	}
	seg.records = [2]int64{}
	p.unlist(seg)
	p.later(func() error {
		seg.f.Close() //nolint:errcheck // it was only read
		bad := filepath.Join(p.dir, damagedName)
		return errors.Join(
			fmt.Errorf("%s is damaged: %d records, and %d bytes without a record; kept as %s", seg.path, lost[Normal]+lost[High], seg.damaged, bad),
			os.Rename(seg.path, bad))
	})
	return true
}

// saved is closed when the mover has ended.
func (p *spool) saved() <-chan struct{} {
	if p == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	return p.done
}

// finish waits for the mover's end, which stop has asked for.
func (p *spool) finish() {
	if p == nil {
		return
	}
	p.s.mu.Lock()
	p.stop()
	p.s.mu.Unlock()
	<-p.done
}

// holds reports whether a chunk in flight is on disk too. Called with the lock.
func (p *spool) holds(c *chunk) bool {
	return p != nil && slices.ContainsFunc(p.open, func(o openedFrame) bool { return o.c == c })
}

// close ends the spool after the drainer. What is on disk stays, with how far
// it was delivered.
func (p *spool) close() {
	if p == nil {
		return
	}
	p.s.mu.Lock()
	for _, o := range p.open {
		if o.c.rec == o.c.n {
			o.seg.open--
			p.retire(o.seg)
		} else {
			p.later(func() error { return o.putDone(o.c.sent) })
		}
	}
	p.open = nil
	p.s.mu.Unlock()
	p.tidy()
	p.closeFiles()
}

func (p *spool) closeFiles() {
	for _, seg := range p.segs {
		if seg.f != nil {
			seg.f.Close() //nolint:errcheck // nothing is buffered in it
		}
	}
	if p.lock != nil {
		p.lock.Close() //nolint:errcheck // gives up the lock whatever it says
	}
}

// saveAhead lets the spool take what is in memory before Shutdown's time is
// over: at once if the destination is in trouble, else at half time.
func (s *Sink) saveAhead(ctx context.Context) {
	if s.spool == nil || s.keeps() {
		return
	}
	s.mu.Lock()
	wait := time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok && s.count.state == Healthy && !s.count.stalled {
		wait = time.Until(deadline) / 2
	}
	s.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-s.done:
		return
	case <-ctx.Done():
	case <-t.C:
	}
	s.mu.Lock()
	s.spool.saveAll = true
	s.mu.Unlock()
	s.spool.rouse()
}

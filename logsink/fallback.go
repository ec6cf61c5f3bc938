package logsink

import "time"

// The fallback takes records in three cases: the destination is broken, it has
// done nothing but fail for Options.FallbackAfter, or a call of it has not
// returned for as long. In the first two the drainer writes to it, in the third
// someone else must: the drainer is in that call.

// usesFallback reports whether the next records go to the fallback. From time
// to time the destination is tried all the same.
func (d *drainer) usesFallback() bool {
	return d.s.opt.Fallback != nil && (d.broken || d.late()) && time.Now().Before(d.probe)
}

// late reports whether the destination has failed for too long.
func (d *drainer) late() bool {
	after := d.s.opt.FallbackAfter
	return after > 0 && !d.failsSince.IsZero() && time.Since(d.failsSince) >= after
}

// writeFallback is the fallback's Write, for one caller at a time.
//
// The drainer and relieve may want to write at once, when the destination comes back; turn
// is a lock for which nobody spins. A fallback that blocks holds up these two alone.
func (s *Sink) writeFallback(p []byte) (int, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	n, err := s.opt.Fallback.Write(p)
	if 0 < n && n <= len(p) {
		s.midline = p[n-1] != '\n'
	}
	return n, err
}

// writeFallbackLine is writeFallback for a line of the sink's own, which begins a
// line whatever stands before it.
func (s *Sink) writeFallbackLine(p []byte) (int, error) {
	s.turn <- struct{}{}
	midline := s.midline
	<-s.turn
	if !midline || p[0] == '\n' {
		return s.writeFallback(p)
	}
	n, err := s.writeFallback(append([]byte{'\n'}, p...))
	return max(n-1, 0), err
}

// fallbackPiece is how many bytes go to the fallback in one call.
const fallbackPiece = 64 << 10

// batchToFallback writes the front of a batch to the fallback, a line each.
// What was taken in part is sent again from the record's begin: it has no place for a rest.
func (d *drainer) batchToFallback() {
	var buf []byte
	var ends []int
	for _, r := range d.recs {
		if len(buf) > 0 && len(buf)+len(r.Data) > fallbackPiece {
			break
		}
		if buf = append(buf, r.Data...); len(r.Data) > 0 && r.Data[len(r.Data)-1] != '\n' {
			buf = append(buf, '\n')
		}
		ends = append(ends, len(buf))
	}
	n, err := d.write(d.s.writeFallback, true, buf)
	n, err = sane(n, len(buf), err)
	done := 0
	for done < len(ends) && ends[done] <= n {
		done++
	}
	d.tookBatch(BatchResult{Done: done}, false, true)
	if err != nil {
		d.failed(err, true, n > 0)
	}
}

// relieve writes what waits in memory to the fallback while the destination does
// not return. It runs in a goroutine of its own, and ends when the destination
// moves again or the fallback fails, which is tried again after RetryMax.
//
// It takes a chunk out of the queue, as the drainer would, and puts back what it has not
// written. The chunk that is in the destination's call is not its business.
func (s *Sink) relieve() {
	ended := false
	defer func() {
		if recover() != nil || !ended { // a panic, or runtime.Goexit
			s.countPanic()
		}
		s.mu.Lock()
		s.relieving = false
		if c := s.relief; c != nil { // the fallback failed
			s.relief = nil
			s.queue.pushFront(c)
			if s.count.stalled {
				s.watch.Reset(s.opt.RetryMax)
			}
		}
		s.mu.Unlock()
		s.rouse()
	}()
	for s.takeRelief() {
		c := s.relief
		for c.rec < c.n {
			p, done, record := s.reliefPiece(c)
			if len(p) > 0 {
				write := s.writeFallback
				if !record {
					write = s.writeFallbackLine
				}
				n, err := write(p)
				if _, err = sane(n, len(p), err); err != nil {
					f := s.judge(err)
					s.mu.Lock()
					s.errorLocked(f, true)
					s.mu.Unlock()
					ended = true
					return
				}
			}
			s.mu.Lock()
			if record {
				s.settleLocked(c.advance(done), [2]int{}, true)
			} else {
				s.skipLocked(c)
				if len(p) > 0 {
					s.count.markers++
				}
			}
			s.mu.Unlock()
			if !s.pace(len(p)) {
				break
			}
		}
		s.mu.Lock()
		s.relief = nil
		if c.rec < c.n {
			s.queue.pushFront(c)
		} else {
			s.releaseLocked(c)
		}
		s.mu.Unlock()
	}
	ended = true
}

// takeRelief waits for a chunk to write to the fallback. It reports false when
// the destination moves again.
// What waits on disk, or comes from there, keeps its order and waits for the destination.
func (s *Sink) takeRelief() bool {
	for {
		s.mu.Lock()
		if !s.count.stalled || s.dead {
			s.mu.Unlock()
			return false
		}
		if s.head != nil && len(s.front) == 0 && !s.disk.busyLocked() && !s.disk.works {
			s.relief = s.queue.pop()
			s.mu.Unlock()
			return true
		}
		s.mu.Unlock()
		t := time.NewTimer(s.opt.StallAfter)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
			return false
		}
	}
}

// reliefPiece returns what to write next of c, and how far c is done then: records,
// or else the line for a slot that holds none.
func (s *Sink) reliefPiece(c *chunk) (p []byte, done int, record bool) {
	if p = c.piece(fallbackPiece); len(p) > 0 {
		return p, c.sent + len(p), true
	}
	switch w := c.word(c.rec); {
	case w&(flagGap|flagBad) == 0:
		return nil, c.end(c.rec), true // an empty record
	case w&flagGap != 0 && s.opt.Gap != nil:
		p = s.format(readGap(c.record(c.rec)))
	}
	return p, 0, false
}

// pace waits as long as n bytes may take. It reports false when the sink ends.
func (s *Sink) pace(n int) bool {
	t := time.NewTimer(time.Duration(n) * time.Second / time.Duration(s.opt.FallbackRate))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

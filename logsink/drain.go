package logsink

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"time"
)

// delivery is the drainer's own state; no other goroutine touches it.
type delivery struct {
	linger  *time.Timer
	watch   *time.Timer // runs during a call of the destination, see overdue
	idle    int         // lingers in a row that brought nothing
	pending []byte      // a marker that is being written
	unasked bool        // pending is no marker but the line break before leftovers
	pause   time.Duration
	broken  bool
	probe   time.Time // while broken: when to try the destination again
	hurried bool      // the pause that Shutdown cuts short was cut short

	recs []Record // of the batch in flight
	refs []ref
}

// idleAfter is how long the drainer lingers before it sleeps.
const idleAfter = 400 * time.Millisecond

// drain is the drainer: the only goroutine that calls the destination.
func (s *Sink) drain() {
	ended := false
	defer func() {
		if ended {
			return
		}
		// The destination ended this goroutine (runtime.Goexit). What was in
		// flight still is; the next drainer resumes it.
		s.countPanic()
		s.out.refs, s.out.recs = nil, nil
		go s.drain()
	}()
	for s.next() {
		if s.opt.Batch != nil {
			s.deliverBatch()
		} else {
			s.deliver()
		}
	}
	ended = true
	s.end()
}

// next waits until there is something to deliver. It reports false when there
// never will be.
func (s *Sink) next() bool {
	s.contend()
	defer s.mu.Unlock()
	for !s.dead {
		if len(s.inflight) > 0 || s.pick() || len(s.out.pending) > 0 {
			s.notePosition()
			s.out.idle = 0
			s.progress.Store(time.Now().UnixNano())
			return true
		}
		if s.closed && s.head == nil && !s.spool.busy() {
			return false
		}
		s.park()
	}
	return false
}

// pick moves what is due into flight. Called with the lock.
func (s *Sink) pick() bool {
	if s.spool.busy() {
		return s.pickSpilled()
	}
	if s.head == nil {
		s.trailingGap()
		return false
	}
	if s.closed || s.opt.Linger < 0 || s.live >= s.opt.MaxBytes/4 {
		s.upTo = s.seq
	}
	for most := s.batchBytes(); s.head != nil && s.head.seq <= s.upTo && most > 0; {
		c := s.pop()
		s.inflight = append(s.inflight, c)
		most -= c.used
	}
	if len(s.inflight) == 0 {
		return false
	}
	if g, ok := s.takeEvictionGap(); ok {
		s.mark(g)
	}
	return true
}

// batchBytes is how much goes into flight at a time: a chunk, or for a
// BatchDest as much as a call of CloudWatch takes.
func (s *Sink) batchBytes() int {
	if s.opt.Batch == nil {
		return 1
	}
	return min(1<<20, s.opt.MaxBytes/4)
}

// trailingGap marks a gap that no later record marks: traffic has stopped.
func (s *Sink) trailingGap() {
	if g, ok := s.takeEvictionGap(); ok {
		s.mark(g)
		return
	}
	if now := s.refusedSoFar(); now != s.gap.reported {
		if !s.attend {
			s.openGap() // counted after the last marker was made
		}
		g, since, until := s.takeGap()
		s.mark(g.info(since, until))
	} else {
		s.attend = false
	}
}

// mark queues a marker, to be written next. The user's Gap is called without
// the lock.
func (s *Sink) mark(g GapInfo) {
	if s.opt.Gap == nil {
		return
	}
	s.mu.Unlock()
	line := s.format(g)
	s.contend()
	s.out.pending = append(s.out.pending, line...)
	s.out.unasked = s.out.unasked && len(line) == 0
}

// park waits for a reason to look again. Called with the lock, which it gives
// up meanwhile.
func (s *Sink) park() {
	s.parked = lingers
	var tick <-chan time.Time
	if s.opt.Linger < 0 || s.head == nil && time.Duration(s.out.idle)*s.opt.Linger >= idleAfter || s.spool.busy() {
		s.parked = asleep
	} else {
		if s.out.linger == nil {
			s.out.linger = time.NewTimer(s.opt.Linger)
		} else {
			s.out.linger.Reset(s.opt.Linger)
		}
		tick = s.out.linger.C
	}
	s.mu.Unlock()
	select {
	case <-s.wake:
		s.contend()
	case <-tick:
		s.contend()
		s.upTo = s.seq
		s.out.idle++
	}
	s.parked = awake
}

// deliver writes what is in flight to the destination, or returns early when
// the sink is dead.
func (s *Sink) deliver() {
	for {
		p := s.piece()
		if p == nil {
			return
		}
		mark := len(s.out.pending) > 0
		dest, fallback := s.target()
		n, err := s.write(dest, p)
		n, err = sane(n, len(p), err)
		s.took(n, mark, fallback, err == nil)
		s.spool.note()
		if err != nil {
			s.failed(err, fallback, n > 0)
		}
	}
}

// piece returns what to write next, or nil when nothing is in flight any more.
// Chunks in flight change by the drainer alone, so that it needs the lock only
// to change them: it is to be held for as short as possible.
func (s *Sink) piece() []byte {
	for s.ctx.Err() == nil {
		if len(s.out.pending) > 0 {
			return s.out.pending
		}
		if len(s.inflight) == 0 {
			return nil
		}
		c := s.inflight[0]
		if p := c.piece(s.opt.MaxWrite); len(p) > 0 {
			return p
		}
		s.contend()
		s.settle(c.advance(c.sent), [2]int{}, false) // empty records
		if c.rec == c.n {
			s.landed()
		} else if w := c.word(c.rec); w&(flagGap|flagBad) != 0 {
			rec := c.record(c.rec)
			c.skip()
			if w&flagBad == 0 {
				s.mark(readGap(rec))
			}
		}
		s.mu.Unlock()
	}
	return nil
}

// sane makes sense of what a destination returned. More than everything is
// everything (a writer that counts what it made of the bytes); less without an
// error is a short write.
func sane(n, of int, err error) (int, error) {
	switch {
	case n < 0:
		return 0, errors.Join(err, fmt.Errorf("logsink: the destination reported %d of %d written", n, of))
	case n < of && err == nil:
		return n, io.ErrShortWrite
	}
	return min(n, of), err
}

// took notes that a writer has taken n bytes of what piece returned.
func (s *Sink) took(n int, mark, fallback, good bool) {
	var c *chunk
	var rec int
	var whole [2]int
	if !mark {
		c = s.inflight[0]
		rec, whole = c.scan(c.sent + n)
	}
	s.contend()
	defer s.mu.Unlock()
	if n > 0 {
		s.moved()
	}
	switch {
	case !mark:
		c.moveTo(c.sent+n, rec, whole)
		s.settle(whole, [2]int{}, fallback)
	case n == len(s.out.pending):
		s.out.pending = nil
		if !s.out.unasked {
			s.count.markers++
		}
		s.out.unasked = false
	default:
		s.out.pending = s.out.pending[n:]
	}
	if good && !fallback {
		s.healthy()
	}
}

// settle counts finished records by lane. Called with the lock.
func (s *Sink) settle(whole, rejected [2]int, fallback bool) {
	for lane := range whole {
		s.count.delivered[lane] += int64(whole[lane])
		s.count.rejected[lane] += int64(rejected[lane])
		if fallback {
			s.count.fallback += int64(whole[lane])
		}
	}
}

// landed ends the oldest chunk in flight: all of it is out. Called with the
// lock.
func (s *Sink) landed() {
	c := s.inflight[0]
	s.inflight = append(s.inflight[:0], s.inflight[1:]...)
	if c.frame < 0 {
		s.mu.Unlock()
		s.spool.delivered(c)
		s.contend()
	}
	s.release(c)
	if len(s.inflight) == 0 {
		s.progress.Store(0)
		s.setBusy(false)
	}
	s.tellWaiting()
}

// target chooses between the destination and, while that is broken, the
// fallback.
func (s *Sink) target() (write func([]byte) (int, error), fallback bool) {
	if s.out.broken && s.opt.Fallback != nil && time.Now().Before(s.out.probe) {
		return s.opt.Fallback.Write, true
	}
	return s.dest, false
}

// write is one call of the destination. A panic in it is contained and
// counted; how much it had taken by then is not known, and taken as nothing.
func (s *Sink) write(dest func([]byte) (int, error), p []byte) (n int, err error) {
	s.out.watch.Reset(slowAfter)
	defer func() {
		s.out.watch.Stop()
		s.setBusy(false)
		if r := recover(); r != nil {
			s.countPanic()
			n, err = 0, fmt.Errorf("logsink: the destination panicked: %v", r)
		}
	}()
	return dest(p)
}

// slowAfter is when a call of the destination counts as what holds the sink
// up. Until then a writer that finds the sink full had better give way.
const slowAfter = time.Millisecond

// overdue is called by a timer in the middle of a call of the destination:
// after slowAfter, and again when it counts as stalled.
func (s *Sink) overdue() {
	s.contend()
	defer s.mu.Unlock()
	at := s.progress.Load()
	if at == 0 {
		return // the call has just returned
	}
	s.setBusy(true)
	if wait := s.opt.StallAfter - time.Since(time.Unix(0, at)); wait > 0 {
		s.out.watch.Reset(wait)
	} else if !s.count.stalled {
		s.count.stalled = true
		s.tell(Event{Kind: Stalled})
	}
}

// setBusy tells writers whether a full sink may soon have room if they give
// way: not while the destination holds the drainer up, unless the spill makes
// room.
func (s *Sink) setBusy(busy bool) {
	if busy = busy && !s.spool.working(); s.busy.Load() != busy {
		s.busy.Store(busy)
	}
}

// moved notes progress: pauses start from the least again, and a stall is
// over. Called with the lock.
func (s *Sink) moved() {
	s.out.pause = 0
	s.progress.Store(time.Now().UnixNano())
	if s.count.stalled {
		s.count.stalled = false
		s.tell(Event{Kind: Recovered})
	}
}

// healthy ends the state that errors had brought about. Called with the lock.
func (s *Sink) healthy() {
	s.out.broken = false
	if s.count.state != Healthy {
		s.count.state = Healthy
		s.tell(Event{Kind: Recovered})
	}
}

// failed counts an error of the destination and pauses before the next
// attempt. The chunk is kept.
func (s *Sink) failed(err error, fallback, moved bool) {
	broken := isBroken(err) && !fallback
	s.contend()
	s.count.writeErrors++
	s.count.lastErr = err
	if s.count.state != Broken || !fallback {
		s.count.state = Retrying
	}
	if broken {
		s.count.state = Broken
	}
	s.tell(Event{Kind: WriteFailed, Err: err})
	if (broken || fallback) && len(s.inflight) > 0 {
		// The next bytes go to another writer, or to a new connection of
		// this one: begin with a whole record.
		s.inflight[0].rewind()
	}
	s.mu.Unlock()
	switch {
	case broken:
		s.out.broken = true
		s.out.pause = s.opt.RetryMax
		s.out.probe = time.Now().Add(s.opt.RetryMax)
		if s.opt.Fallback != nil {
			return
		}
	case fallback:
		s.out.probe = time.Time{} // the fallback is no better: back to the destination
	}
	if moved && !broken && errors.Is(err, io.ErrShortWrite) {
		return // it takes some; go on
	}
	d := s.nextPause()
	if moved && errors.Is(err, syscall.EAGAIN) {
		d = min(d, time.Millisecond) // a non-blocking pipe: the reader is slower than we are, that is all
	}
	s.rest(d)
}

// nextPause doubles from RetryMin to RetryMax.
func (s *Sink) nextPause() time.Duration {
	d := min(max(s.out.pause, s.opt.RetryMin), s.opt.RetryMax)
	s.out.pause = min(2*d, s.opt.RetryMax)
	return d
}

// isBroken reports whether the destination is gone for good, as far as one
// can tell: nobody reads the pipe, or it was closed.
func isBroken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// rest waits d before the next attempt. Shutdown cuts it short once, and keeps
// the later ones short.
func (s *Sink) rest(d time.Duration) {
	closing := s.closing
	if s.out.hurried {
		closing = nil
		d = min(d, max(s.opt.RetryMin, 50*time.Millisecond))
	}
	s.setBusy(true)
	defer s.setBusy(false)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-closing:
		s.out.hurried = true
	case <-s.ctx.Done():
	}
}

func (s *Sink) countPanic() {
	s.mu.Lock()
	s.count.panics++
	s.mu.Unlock()
}

// oldest is the number of the oldest chunk that is not finished.
func (s *Sink) oldest() uint64 {
	switch {
	case len(s.inflight) > 0:
		return s.inflight[0].seq
	case s.spool.busy():
		return 0
	case s.head != nil:
		return s.head.seq
	}
	return math.MaxUint64
}

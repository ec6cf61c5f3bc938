package logsink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A drainer is the only goroutine that calls the destination. What is its own no
// other goroutine touches; what it shares is in the Sink, under mu.
//
// Its day: next waits for something to deliver and puts it in flight; deliver
// writes it, piece by piece, until nothing is in flight; took counts what has
// arrived, to the byte; landedLocked gives a chunk's memory back. See also
// retry.go, batch.go, fallback.go.
type drainer struct {
	s    *Sink
	dest func(p []byte) (int, error)
	file *os.File // the destination, if it is a regular file

	linger     *time.Timer
	picks      int       // how often something was taken into flight
	idle       int       // lingers in a row that brought nothing
	asleep     bool      // nothing came for a while
	slept      int64     // records delivered when it fell asleep last
	wrote      bool      // the destination was called
	gaps       []GapInfo // to be marked before what is in flight
	pending    []byte    // a marker or a seal that is being written
	told       bool      // that of the slot that is next
	midline    bool      // what the destination has taken last is not the end of a line
	unasked    bool      // pending is no marker but the line break before leftovers
	evictions  loss      // of which the last marker in gaps or pending tells
	pause      time.Duration
	broken     bool
	failsSince time.Time // when it failed first; zero: the last answer was good
	probe      time.Time // while the fallback is in use: when to try the destination again
	hurried    bool      // the pause that Shutdown cuts short was cut short
	toFallback bool      // the last call was one of the fallback

	seals, sealed int64 // of this run: seals, and lines in them
	lastSeal      string
	sealedEnd     bool

	recs []Record // of the batch in flight
	refs []ref
}

// busyPicks is after how many deliveries the memory is made ready for a burst.
const busyPicks = 16

// The drainer sleeps after some lingers that brought nothing: after few where
// lines come one at a time, for a timer that never rests costs a quiet service
// more than the wake-up of each of its lines; after more where they come in
// bursts, of which each would pay for the wake-up.
const (
	idleLingers = 1
	mostLingers = 200
	burstShare  = 8 // records since the last sleep for each linger more
)

// mayLingerLocked is how many lingers in a row may bring nothing now.
func (d *drainer) mayLingerLocked() int {
	c := &d.s.count
	records := c.delivered[Normal] + c.delivered[High] - d.slept
	return int(min(max(records/burstShare, idleLingers), mostLingers))
}

// run delivers until the sink ends, on a goroutine of its own, or of one that
// replaces it: a destination may end the one that calls it.
//
// A panic in the destination is contained in write. The deferred function is for
// runtime.Goexit alone, which nothing can contain: it goes on in a new goroutine.
func (d *drainer) run() {
	s, ended := d.s, false
	defer func() {
		if ended {
			return
		}
		// The destination, or its error, ended this goroutine (runtime.Goexit).
		// What was in flight still is; the next goroutine resumes it.
		s.countPanic()
		d.refs, d.recs = nil, nil
		go d.again()
	}()
	if !d.wrote {
		d.file = regularFile(s.opt.Dest)
	}
	for d.next() {
		if s.opt.Batch != nil {
			d.deliverBatch()
		} else {
			d.deliver()
		}
	}
	ended = true
	s.end()
}

// next waits until there is something to deliver. It reports false when there
// never will be.
//
// On its way out it does what must not be done under the lock: it asks for memory ahead of
// the need, has eviction markers made by the user's function, and looks at the file.
func (d *drainer) next() bool {
	s := d.s
	s.contend()
	for !s.dead {
		switch {
		case len(s.inflight) > 0 || d.pickLocked() || len(d.pending)+len(d.gaps) > 0:
			d.idle, d.asleep = 0, false
			s.progress.Store(s.now())
			arena, ahead := s.arena, 2*s.live
			s.mu.Unlock()
			if d.picks++; d.picks > busyPicks {
				ahead = max(ahead, defaultBytes) // no idle sink
			}
			arena.warm(ahead)
			gaps := d.gaps
			d.gaps = nil
			d.markEvictions(gaps)
			d.findPlace()
			return true
		case d.markTrailingGap(): // it gave up the lock
			s.contend()
			continue
		case s.closed && s.head == nil && len(s.front) == 0 && !s.disk.busyLocked() && !s.findingLocked():
			s.mu.Unlock()
			if !s.opt.Seal || d.sealedEnd || d.seals == 0 {
				return false
			}
			d.sealedEnd = true
			d.addSeal(nil)
			s.contend()
			continue
		}
		d.park()
		s.contend()
		s.parked = awake
	}
	s.mu.Unlock()
	return false
}

// findingLocked reports whether there may be more to deliver soon: what an
// earlier process left is being looked for. A disk that hangs is not waited for.
func (s *Sink) findingLocked() bool {
	return s.disk.opening && (s.recovering || !s.disk.hangs)
}

// pickLocked moves what is due into flight: the oldest of what was found, of
// what is on disk, or of what is in memory, never across.
//
// It takes batchBytes or a little more. An eviction's gap belongs before what is picked:
// the chunks that were older are the ones that are gone.
func (d *drainer) pickLocked() bool {
	s := d.s
	most := s.batchBytes()
	switch {
	case len(s.front) > 0:
		for len(s.front) > 0 && most > 0 {
			most -= s.front[0].used
			s.inflight = append(s.inflight, s.front[0])
			s.front = s.front[1:]
		}
	case s.disk.busyLocked():
		for len(s.disk.loaded) > 0 && most > 0 {
			c := s.disk.loaded[0]
			most -= c.used
			s.disk.ahead -= len(c.mem)
			s.inflight = append(s.inflight, c)
			s.disk.loaded = s.disk.loaded[1:]
		}
		s.mover.rouse() // to read ahead
	case s.head != nil:
		if s.closed || s.opt.Linger < 0 || s.live >= s.opt.MaxBytes/4 {
			s.upTo = s.seq
		}
		for s.head != nil && s.head.order <= s.upTo && most > 0 {
			c := s.queue.pop()
			s.inflight = append(s.inflight, c)
			most -= c.used
		}
	}
	if len(s.inflight) == 0 {
		return false
	}
	if g, ok := s.takeEvictionGapLocked(); ok {
		d.gaps = append(d.gaps, g)
		d.evictions = s.gap.evicted
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

// park waits for a reason to look again. It is called with the lock and gives it
// up.
// Asleep, only a record wakes it; lingering, the timer does, or a reason to hurry. The
// difference is what Write reads in parked.
func (d *drainer) park() {
	s := d.s
	s.parked = lingers
	var tick <-chan time.Time
	if s.opt.Linger < 0 || s.disk.busyLocked() || s.head == nil && (d.asleep || d.idle >= d.mayLingerLocked()) {
		s.parked = asleep
		d.slept = s.count.delivered[Normal] + s.count.delivered[High]
	} else {
		if d.linger == nil {
			d.linger = time.NewTimer(s.opt.Linger)
		} else {
			d.linger.Reset(s.opt.Linger)
		}
		tick = d.linger.C
	}
	s.mu.Unlock()
	s.parks.Add(1)
	select {
	case <-s.wake:
	case <-tick:
		s.contend()
		s.upTo = s.seq
		s.mu.Unlock()
		d.idle++
	}
}

// deliver writes what is in flight to the destination, or returns early when
// the sink is dead.
//
// An error does not end it: failed pauses, and the rest of the same chunk is tried again.
// So nothing is reordered, and a destination that always fails keeps what is in flight.
func (d *drainer) deliver() {
	for {
		p := d.piece()
		if p == nil {
			return
		}
		mark := len(d.pending) > 0
		dest, fallback := d.target(mark)
		n, err := d.write(dest, fallback, p)
		n, err = sane(n, len(p), err)
		if n > 0 && !fallback {
			d.midline = p[n-1] != '\n'
		}
		d.took(n, mark, fallback, err == nil)
		if err != nil {
			d.failed(err, fallback, n > 0)
		}
	}
}

// piece returns what to write next, or nil when nothing is in flight any more.
// Chunks in flight change by the drainer alone, so that it needs the lock only
// to change them: it is to be held for as short as possible.
//
// Lines of the sink's own (pending) go first. Then the chunk's records; at its end the
// seal; at a slot that is a marker the line for it, which is made without the lock. A
// marker is skipped only when its line is out (told), so that a kill repeats it.
func (d *drainer) piece() []byte {
	s := d.s
	for s.ctx.Err() == nil {
		if len(d.pending) > 0 {
			return d.pending
		}
		if len(s.inflight) == 0 {
			return nil
		}
		c := s.inflight[0]
		if p := c.piece(s.opt.MaxWrite); len(p) > 0 {
			return p
		}
		if s.opt.Seal && c.rec == c.n && !c.sealed {
			c.sealed = true
			d.addSeal(c)
			continue
		}
		var gap []byte
		s.contend()
		s.settleLocked(c.advance(c.sent), [2]int{}, false) // empty records
		if c.rec == c.n {
			if c.sealed || !s.opt.Seal {
				s.landedLocked()
			}
		} else if w := c.word(c.rec); w&(flagGap|flagBad) != 0 {
			if w&flagBad == 0 && !d.told {
				gap, d.told = c.record(c.rec), true
			} else { // its marker is out, and until then the next process finds it
				s.skipLocked(c)
				d.told = false
			}
		}
		s.mu.Unlock()
		if gap != nil {
			d.mark(readGap(gap))
		}
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
//
// The slots are scanned before the lock is taken, which is then held for a few additions.
// Progress of any kind ends a stall, and the back-off begins anew.
func (d *drainer) took(n int, mark, fallback, good bool) {
	s := d.s
	var c *chunk
	var rec int
	var whole [2]int
	if !mark {
		c = s.inflight[0]
		rec, whole = c.scan(c.sent + n)
	}
	s.contend()
	if n > 0 {
		d.pause = 0
		s.movedLocked()
	}
	switch {
	case !mark:
		c.moveTo(c.sent+n, rec, whole)
		s.settleLocked(whole, [2]int{}, fallback)
		if len(s.waiting) > 0 {
			s.tellWaitingLocked()
		}
	case n == len(d.pending):
		d.pending = nil
		if !d.unasked {
			s.count.markers++
		}
		d.unasked = false
		s.evictionsToldLocked(d.evictions)
	default:
		d.pending = d.pending[n:]
	}
	if good && !fallback {
		d.broken, d.failsSince = false, time.Time{}
		s.healthyLocked()
	}
	note := c != nil && c.onDisk
	s.mu.Unlock()
	if note {
		s.mover.rouse()
	}
}

// settleLocked counts finished records by lane.
func (s *Sink) settleLocked(whole, rejected [2]int, fallback bool) {
	for lane := range whole {
		s.count.delivered[lane] += int64(whole[lane])
		s.count.rejected[lane] += int64(rejected[lane])
		if fallback {
			s.count.fallback += int64(whole[lane])
		}
	}
}

// landedLocked ends the oldest chunk in flight: all of it is out.
func (s *Sink) landedLocked() {
	c := s.inflight[0]
	s.inflight = append(s.inflight[:0], s.inflight[1:]...)
	if c.onDisk {
		s.disk.finished = append(s.disk.finished, c)
		s.mover.rouse()
	}
	s.releaseLocked(c)
	if len(s.inflight) == 0 {
		s.progress.Store(0)
		s.setBusyLocked(false)
	}
	s.tellWaitingLocked()
}

// target chooses between the destination and the fallback. Own says that a marker or
// a seal is to be written.
func (d *drainer) target(own bool) (write func([]byte) (int, error), fallback bool) {
	switch {
	case !d.usesFallback():
		return d.dest, false
	case own:
		return d.s.writeFallbackLine, true
	}
	return d.s.writeFallback, true
}

// write is one call of the destination. A panic in it is contained and
// counted; how much it had taken by then is not known, and taken as nothing.
// The timer is what finds out that the call does not return: see overdue.
func (d *drainer) write(dest func([]byte) (int, error), fallback bool, p []byte) (n int, err error) {
	s := d.s
	d.wrote, d.toFallback = true, fallback
	s.watch.Reset(slowAfter)
	defer func() {
		s.watch.Stop()
		s.busy.Store(false)
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
//
// It runs in a goroutine of the timer, and may be late: what it finds may be over. With a
// fallback it also starts relieve, once, when the call has lasted for FallbackAfter.
func (s *Sink) overdue() {
	s.contend()
	arena := s.arena
	s.mu.Unlock()
	arena.warm(defaultBytes) // writers are about to fill it
	s.contend()
	defer s.mu.Unlock()
	at := s.progress.Load()
	if at == 0 {
		return // the call has just returned
	}
	s.setBusyLocked(true)
	inCall := time.Duration(s.now() - at)
	if wait := s.opt.StallAfter - inCall; wait > 0 {
		s.watch.Reset(wait)
		return
	}
	if !s.count.stalled {
		s.count.stalled = true
		s.tellLocked(Event{Kind: Stalled})
	}
	if s.opt.FallbackAfter == 0 || s.relieving {
		return
	}
	if wait := s.opt.FallbackAfter - inCall; wait > 0 {
		s.watch.Reset(wait)
		return
	}
	s.relieving = true
	go s.relieve()
}

// setBusyLocked tells writers whether a full sink may soon have room if they give
// way: not while the destination holds the drainer up, unless the spill makes
// room.
func (s *Sink) setBusyLocked(busy bool) {
	if busy && s.mover != nil {
		busy = !s.disk.works || s.disk.hangs
	}
	if s.busy.Load() != busy {
		s.busy.Store(busy)
	}
}

// movedLocked notes progress: a stall is over.
func (s *Sink) movedLocked() {
	s.progress.Store(s.now())
	s.evicting.Store(false)
	if s.count.stalled {
		s.count.stalled = false
		s.tellLocked(Event{Kind: Recovered})
	}
}

// healthyLocked ends the state that errors had brought about.
func (s *Sink) healthyLocked() {
	if s.count.state != Healthy {
		s.count.state = Healthy
		s.tellLocked(Event{Kind: Recovered})
	}
}

func (s *Sink) countPanic() {
	s.mu.Lock()
	s.count.panics++
	s.mu.Unlock()
}

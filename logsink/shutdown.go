package logsink

import (
	"context"
	"fmt"
	"time"
)

// Close is Shutdown with Options.CloseTimeout.
func (s *Sink) Close() error { return s.Shutdown(context.Background()) }

// A ShutdownError says what a [Sink] had not delivered when the time of its
// Shutdown was over. It wraps the error of the ctx.
type ShutdownError struct {
	// OnDisk counts the records that the next process finds, in the spill
	// directory or in the mapped file.
	OnDisk int64
	// InCall counts those in a call of the destination that has not returned:
	// nobody can know whether they arrive.
	InCall int64
	// Abandoned counts those that are lost.
	Abandoned int64
	Err       error
}

func (e *ShutdownError) Error() string {
	return fmt.Sprintf("logsink: shutdown: %v; %d records on disk, %d in a call that has not returned, %d abandoned", e.Err, e.OnDisk, e.InCall, e.Abandoned)
}

func (e *ShutdownError) Unwrap() error { return e.Err }

// Shutdown takes no more records, delivers what it can until ctx ends, and
// returns within 10 ms after that, whatever the destination and the disk do. A
// ctx without a deadline gets Options.CloseTimeout.
//
// What is not delivered by then is told by a [*ShutdownError]: with Mapped or
// SpillDir it stays on disk as far as it is there; what is in a call of the
// destination stays Queued; the rest is Abandoned. A destination that never
// returns keeps one goroutine; one with SetWriteDeadline (a net.Conn, a pipe) is
// set free.
//
// Later calls wait for the first one, as long as their own ctx allows, and never
// cut it short: the sink gives up when the last of them does.
//
// In three steps: the gates close, and the last gap is marked; the drainer delivers while
// the mover saves ahead of the deadline; the last call that waits gives up (giveUp).
func (s *Sink) Shutdown(ctx context.Context) error {
	ctx, cancel := bounded(ctx, s.opt.CloseTimeout)
	defer cancel()
	s.mu.Lock()
	s.closers++
	if !s.closed {
		s.closed = true
		s.lastGapLocked()
		s.tail = nil
		s.upTo = s.seq
		for lane := range s.gate {
			s.gate[lane].Store(gateClosed)
		}
		close(s.closing)
	}
	s.mu.Unlock()
	s.rouse()
	stop := s.saveAhead(ctx)
	defer stop()
	select {
	case <-s.done:
		s.awaitMover(ctx, tidyTime)
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.closers--
	last := s.closers == 0
	s.mu.Unlock()
	select {
	case <-s.done:
	default:
		if !last {
			return fmt.Errorf("logsink: shutdown: %w; another call of it still waits, %d records queued", context.Cause(ctx), s.Stats().Queued)
		}
		s.giveUp()
	}
	return s.unfinished(ctx)
}

const (
	// grace is what a destination and a disk get to return once they are told
	// to.
	grace = 5 * time.Millisecond
	// tidyTime is what the disk gets to remove what was delivered.
	tidyTime = 100 * time.Millisecond
)

// awaitMover waits until the mover has given its files up, for a moment: a disk
// that hangs must not hold Shutdown up when all is delivered.
func (s *Sink) awaitMover(ctx context.Context, most time.Duration) {
	if s.mover == nil {
		return
	}
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-s.mover.done:
	case <-ctx.Done():
	case <-t.C:
	}
}

// giveUp ends the sink although the destination has not taken everything.
//
// The destination gets grace to return once its ctx and its deadline are over, and the
// mover half of it for the note. Together that is within the 10 ms that Shutdown promises.
func (s *Sink) giveUp() {
	s.mu.Lock()
	s.dead = true
	s.disk.saveAll = s.mover != nil
	s.cancel()
	s.mu.Unlock()
	s.rouse()
	s.mover.rouse()
	if d, ok := s.opt.Dest.(deadliner); ok {
		go s.interrupt(d)
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
	}
	s.mu.Lock()
	s.abandonLocked()
	s.mu.Unlock()
	if s.mover == nil {
		return
	}
	s.mover.rouse()
	t.Reset(grace / 2)
	select {
	case <-s.mover.told:
	case <-s.mover.done:
	case <-t.C:
	}
}

type deadliner interface{ SetWriteDeadline(time.Time) error }

// interrupt sets the drainer free from a destination that has deadlines, and
// leaves the destination without one.
func (s *Sink) interrupt(d deadliner) {
	if d.SetWriteDeadline(time.Now()) != nil {
		return // it has none, as a regular file or a terminal
	}
	<-s.done
	_ = d.SetWriteDeadline(time.Time{}) // it worked a moment ago, or the sink has closed it
}

// abandonLocked drops what is in memory and stays nowhere. What was saved until
// now is on disk; what the mover is at is dropped, too, and taken back if it
// arrives there.
// It is called twice, by giveUp and by the drainer's end, and finds nothing the second time.
func (s *Sink) abandonLocked() {
	s.disk.stop = true
	var keep []*chunk
	drop := func(c *chunk) {
		if c.durable() {
			keep = append(keep, c)
			return
		}
		s.abandonChunkLocked(c)
	}
	for _, c := range s.front {
		drop(c)
	}
	for c := s.queue.pop(); c != nil; c = s.queue.pop() {
		drop(c)
	}
	s.front = keep
	s.tellWaitingLocked()
}

// abandonChunkLocked drops c. It is too late for this process to tell, but the next
// one may, see note.go.
func (s *Sink) abandonChunkLocked(c *chunk) {
	for lane, n := range c.left {
		s.count.abandoned[lane] += int64(n)
	}
	s.carryLocked(c.unsaved(), c.base)
	c.abandoned = true
	s.releaseLocked(c)
}

// end is the drainer's last act.
//
// What is in flight in plain memory is lost here, if the destination has not taken it:
// until now it might have. After it Stats does not change but by what the mover finds out.
func (s *Sink) end() {
	s.mu.Lock()
	if s.dead {
		s.abandonLocked()
	}
	s.disk.stop, s.disk.drained = true, true
	kept := s.inflight[:0]
	for _, c := range s.inflight {
		if c.onDisk || c.durable() {
			kept = append(kept, c)
			continue
		}
		s.abandonChunkLocked(c)
	}
	s.inflight = kept
	s.progress.Store(0)
	if s.events != nil {
		s.events.closed = true
		close(s.events.queue)
	}
	s.mu.Unlock()
	s.mover.rouse()
	s.watch.Stop()
	if s.private != nil {
		s.private.Close() //nolint:errcheck // it has no buffer; what it took was counted
	}
	s.cancel()
	close(s.done)
}

// unfinished is Shutdown's error.
// It is nil if all was delivered or dropped for another reason than the end.
func (s *Sink) unfinished(ctx context.Context) error {
	s.mu.Lock()
	kept := s.keptLocked()
	s.mu.Unlock()
	st := s.Stats()
	if st.Queued == 0 && st.Dropped.Abandoned == 0 {
		return nil
	}
	err := context.Cause(ctx)
	if err == nil {
		err = context.DeadlineExceeded // that of an earlier call
	}
	kept = min(kept, st.Queued)
	return &ShutdownError{OnDisk: kept, InCall: st.Queued - kept, Abandoned: st.Dropped.Abandoned, Err: err}
}

// saveAhead has the mover take what is in memory before Shutdown's time is over:
// at once if the destination is in trouble or there is much to save, else when
// what is left of the time is a few times what the disk is likely to need.
func (s *Sink) saveAhead(ctx context.Context) (stop func()) {
	if s.mover == nil {
		return func() {}
	}
	s.mu.Lock()
	wait := time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok && s.count.state == Healthy && !s.count.stalled {
		wait = time.Until(deadline) - saveAtLeast - time.Duration(s.live)*time.Second/saveSpeed
	}
	s.mu.Unlock()
	t := time.AfterFunc(wait, func() {
		s.mu.Lock()
		s.disk.saveAll = true
		s.mu.Unlock()
		s.mover.rouse()
	})
	return func() { t.Stop() }
}

const (
	saveSpeed   = 20 << 20 // bytes a second that even a slow disk takes
	saveAtLeast = 500 * time.Millisecond
)

// Recover is for defer at the top of main and of goroutines. In a panic it
// flushes what was logged so far, for at most Options.SyncTimeout, and panics
// again with the same value. It does nothing otherwise.
//
//	defer sink.Recover()
func (s *Sink) Recover() {
	r := recover()
	if r == nil {
		return
	}
	s.Sync() //nolint:errcheck // the panic is what counts now
	panic(r)
}

package logsink

import (
	"context"
	"fmt"
	"time"
)

// waiter is a call of Flush that waits for all chunks up to upTo.
type waiter struct {
	upTo uint64
	ch   chan struct{}
}

// Flush waits until every record written before it is delivered or dropped, or
// until ctx ends, and returns ctx's error then. A ctx without a deadline gets
// Options.SyncTimeout: nothing here waits without end.
func (s *Sink) Flush(ctx context.Context) error {
	ctx, cancel := bounded(ctx, s.opt.SyncTimeout)
	defer cancel()
	select {
	case <-s.done:
		return s.afterwards()
	default:
	}
	s.mu.Lock()
	w := waiter{s.seq, make(chan struct{})}
	s.tail = nil // later records are not waited for
	s.upTo = s.seq
	if s.oldest() > w.upTo {
		s.mu.Unlock()
		return nil
	}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	s.rouse()
	select {
	case <-w.ch:
		return nil
	case <-s.done:
		return s.afterwards()
	case <-ctx.Done():
		s.forget(w)
		return fmt.Errorf("logsink: flush: %w, %d records queued", context.Cause(ctx), s.Stats().Queued)
	}
}

// afterwards is what Flush says when the sink has ended.
func (s *Sink) afterwards() error {
	if n := s.Stats(); n.Queued+n.Dropped.Abandoned > 0 {
		return fmt.Errorf("logsink: flush: the sink was shut down, %d records not delivered", n.Queued+n.Dropped.Abandoned)
	}
	return nil
}

// tellWaiting ends the calls of Flush that have what they wait for. Called
// with the lock.
func (s *Sink) tellWaiting() {
	if len(s.waiting) == 0 {
		return
	}
	oldest, kept := s.oldest(), s.waiting[:0]
	for _, w := range s.waiting {
		if oldest > w.upTo {
			close(w.ch)
		} else {
			kept = append(kept, w)
		}
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

func (s *Sink) forget(gone waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiting {
		if w.ch == gone.ch {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return
		}
	}
}

// Sync is Flush with Options.SyncTimeout, as zap's WriteSyncer asks for it. It
// does not fsync: a pipe cannot, and a frozen disk must not hold a logger up.
func (s *Sink) Sync() error { return s.Flush(context.Background()) }

// Close is Shutdown with Options.CloseTimeout.
func (s *Sink) Close() error { return s.Shutdown(context.Background()) }

// Shutdown takes no more records, delivers what it can until ctx ends, and
// returns within 10 ms after that, whatever the destination does. A ctx
// without a deadline gets Options.CloseTimeout.
//
// What is not delivered by then is counted as Abandoned, or stays on disk with
// Options.Mapped or SpillDir; what is in a call of the destination that has
// not returned stays Queued, as nobody can know. Then the error wraps that of
// ctx and says how many records there are of each kind. A destination that
// never returns keeps one goroutine; one with SetWriteDeadline (a net.Conn, a
// pipe) is set free.
//
// Later calls wait for the first one, as long as their own ctx allows.
func (s *Sink) Shutdown(ctx context.Context) error {
	ctx, cancel := bounded(ctx, s.opt.CloseTimeout)
	defer cancel()
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.tail = nil
		s.upTo = s.seq
		for lane := range s.gate {
			s.gate[lane].Store(gateClosed)
		}
		close(s.closing)
	}
	s.mu.Unlock()
	s.rouse()
	s.saveAhead(ctx)
	select {
	case <-s.done:
	case <-ctx.Done():
		s.giveUp()
	}
	return s.unfinished(ctx)
}

// grace is what a destination gets to return once it is told to.
const grace = 5 * time.Millisecond

// giveUp ends the sink although the destination has not taken everything.
func (s *Sink) giveUp() {
	s.mu.Lock()
	if !s.dead {
		s.dead = true
		switch {
		case s.keeps():
		case s.spool != nil:
			s.spool.saveAll = true // the mover abandons what it cannot save
		default:
			s.abandon()
		}
		s.spool.stop()
		s.cancel()
	}
	s.mu.Unlock()
	s.rouse()
	if d, ok := s.opt.Dest.(deadliner); ok {
		go s.interrupt(d)
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-s.spool.saved():
	case <-t.C:
		return
	}
	select {
	case <-s.done:
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

// keeps reports whether what is in the queue is on disk and stays there.
func (s *Sink) keeps() bool { return s.mapped != nil }

// abandon drops the queue. Called with the lock.
func (s *Sink) abandon() {
	for c := s.pop(); c != nil; c = s.pop() {
		s.abandonChunk(c)
		s.release(c)
	}
}

func (s *Sink) abandonChunk(c *chunk) {
	for lane, n := range c.left {
		s.count.abandoned[lane] += int64(n)
	}
}

// end is the drainer's last act.
func (s *Sink) end() {
	s.spool.finish()
	s.mu.Lock()
	for _, c := range s.inflight {
		if c.frame >= 0 && !s.keeps() && !s.spool.holds(c) {
			s.abandonChunk(c)
			s.release(c)
		}
	}
	s.inflight = nil
	s.progress.Store(0)
	s.mu.Unlock()
	s.out.watch.Stop()
	s.spool.close()
	s.closeMemory()
	if s.events != nil {
		s.mu.Lock()
		s.events.closed = true
		close(s.events.queue)
		s.mu.Unlock()
	}
	if s.private != nil {
		s.private.Close() //nolint:errcheck // it has no buffer; what it took was counted
	}
	s.cancel()
	close(s.done)
}

// unfinished is Shutdown's error.
func (s *Sink) unfinished(ctx context.Context) error {
	st := s.Stats()
	if st.Queued == 0 && st.Dropped.Abandoned == 0 {
		return nil
	}
	err := context.Cause(ctx)
	if err == nil {
		err = context.DeadlineExceeded // that of an earlier call
	}
	return fmt.Errorf("logsink: shutdown: %w; %d records abandoned, %d kept on disk or in a call that has not returned", err, st.Dropped.Abandoned, st.Queued)
}

// bounded gives ctx a deadline if it has none.
func bounded(ctx context.Context, or time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, or)
}

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

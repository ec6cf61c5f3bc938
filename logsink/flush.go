package logsink

import (
	"context"
	"fmt"
	"math"
	"time"
)

// waiter is a call of Flush that waits for all records before upTo.
type waiter struct {
	upTo place
	ch   chan struct{}
}

// Flush waits until every record written before it is delivered or dropped, or
// until ctx ends, and returns ctx's error then. A ctx without a deadline gets
// Options.SyncTimeout: nothing here waits without end.
//
// It waits for what was written before it and not for what comes meanwhile, so that it
// ends under load. The error names how many records wait; it wraps that of ctx.
func (s *Sink) Flush(ctx context.Context) error {
	ctx, cancel := bounded(ctx, s.opt.SyncTimeout)
	defer cancel()
	select {
	case <-s.done:
		return s.afterwards()
	default:
	}
	s.mu.Lock()
	w := waiter{place{s.seq, 0}, make(chan struct{})}
	if s.last != nil && s.last.order == s.seq {
		w.upTo.slot = s.last.n // later records in the same chunk are not waited for
	} else {
		w.upTo.order++ // the youngest chunk is complete
	}
	s.upTo = s.seq
	if !s.oldestLocked().before(w.upTo) {
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

// tellWaitingLocked ends the calls of Flush that have what they wait for.
// O(calls that wait), each time that the oldest record moves on.
func (s *Sink) tellWaitingLocked() {
	if len(s.waiting) == 0 {
		return
	}
	oldest, kept := s.oldestLocked(), s.waiting[:0]
	for _, w := range s.waiting {
		if !oldest.before(w.upTo) {
			close(w.ch)
		} else {
			kept = append(kept, w)
		}
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

// forget takes back the wait of a Flush whose context has ended, so that a
// freeze does not collect them.
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

// bounded gives ctx a deadline if it has none. Nil has none: a mistake in the
// last lines of a program must not end it before its log is out.
func bounded(ctx context.Context, or time.Duration) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, or)
}

// place is a place in the order of this process's records: a chunk's number and
// a slot. What an earlier process left, and what cannot be told, is before all.
type place struct {
	order uint64
	slot  int
}

func (p place) before(o place) bool {
	return p.order < o.order || p.order == o.order && p.slot < o.slot
}

// oldestLocked is the place of the oldest record that is not finished.
func (s *Sink) oldestLocked() place {
	c := s.head
	switch {
	case len(s.inflight) > 0:
		c = s.inflight[0]
	case len(s.front) > 0:
		c = s.front[0]
	case len(s.disk.loaded) > 0:
		c = s.disk.loaded[0]
	case s.disk.frames > 0:
		return place{}
	}
	if c == nil {
		return place{math.MaxUint64, 0}
	}
	return place{c.order, c.rec}
}

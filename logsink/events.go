package logsink

import (
	"sync/atomic"
	"time"
)

// EventKind says what happened.
type EventKind uint8

const (
	// GapOpened: a record was dropped, the first of a gap.
	GapOpened EventKind = iota + 1
	// GapClosed: records are accepted again, or the gap is about to be
	// passed; Event.Gap says what was lost.
	GapClosed
	// Stalled: the destination has taken nothing for Options.StallAfter.
	Stalled
	// Recovered: after Stalled or WriteFailed the destination takes records.
	Recovered
	// WriteFailed: the destination returned Event.Err, for the first time since
	// it took something, or another error than before; the sink tries again.
	WriteFailed
	// DiskFailed: the mapped file or the spill directory failed with
	// Event.Err; the sink goes on without it.
	DiskFailed
	// DiskRecovered: the spill directory works again.
	DiskRecovered
	// LeftoverFound: an earlier process left Event.Records records on disk,
	// which are delivered first.
	LeftoverFound
	// RecordsRejected: a BatchDest refused Event.Records records for good;
	// Event.Err says why, if it knows.
	RecordsRejected
)

var kindNames = [...]string{"unknown", "gap opened", "gap closed", "stalled", "recovered", "write failed", "disk failed", "disk recovered", "leftover found", "records rejected"}

// String returns the kind in words.
func (k EventKind) String() string {
	if int(k) >= len(kindNames) {
		k = 0
	}
	return kindNames[k]
}

// Event is something that an operator may want to know of while it happens.
type Event struct {
	Kind    EventKind // what happened
	Time    time.Time // when it did
	Gap     GapInfo   // GapClosed
	Err     error     // WriteFailed, DiskFailed, RecordsRejected
	Records int64     // LeftoverFound, RecordsRejected
}

// events hands events to OnEvent, in order, from one goroutine. The drainer
// cannot do that: it may be stuck in the destination just then.
type events struct {
	queue  chan Event
	lost   atomic.Int64
	panics atomic.Int64
	call   func(Event)
	closed bool // under Sink.mu
}

const eventQueue = 64

func newEvents(call func(Event)) *events {
	e := &events{queue: make(chan Event, eventQueue), call: call}
	go e.run()
	return e
}

// run calls OnEvent for one event after the other until the queue is closed. A
// call that panics, or ends its goroutine, is counted, and a new goroutine goes
// on with the next.
func (e *events) run() {
	ended := false
	defer func() {
		if !ended { // OnEvent has panicked, or ended this goroutine
			e.panics.Add(1)
			recover() //nolint:errcheck // it is counted
			go e.run()
		}
	}()
	for ev := range e.queue {
		e.call(ev)
	}
	ended = true
}

// tellLocked queues an event. It never waits.
// It is called under the lock and so that events are in the order of what happened.
func (s *Sink) tellLocked(ev Event) {
	if s.events == nil || s.events.closed {
		return
	}
	ev.Time = time.Now()
	select {
	case s.events.queue <- ev:
	default:
		s.events.lost.Add(1)
	}
}

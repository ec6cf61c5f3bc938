package logsink

import (
	"encoding/json"
	"errors"
	"iter"
	"time"
)

// Stats is a consistent snapshot of a [Sink]. At every instant
//
//	Attempted == Delivered + Dropped.Total() + Queued
//
// Markers are no records; they have a count of their own.
type Stats struct {
	// Attempted counts the records that came in: by Write in this process,
	// and Recovered from an earlier one.
	Attempted int64 `json:"attempted"`
	// Delivered counts the records that the destination (or the fallback) has
	// taken as a whole.
	Delivered int64 `json:"delivered"`
	// Queued counts the records whose fate is open: in memory, on disk, or in
	// a call of the destination that has not returned.
	Queued int64 `json:"queued"`
	// Dropped counts the records that are lost, by reason.
	Dropped Drops `json:"dropped"`
	// High is that part of the four counters above that came through the high
	// lane.
	High Lanes `json:"high"`

	// QueuedBytes is the memory that holds records, in flight included: whole
	// chunks, at most Options.MaxBytes, or more while what an earlier process
	// left in a larger mapped file is more.
	QueuedBytes int64 `json:"queued_bytes"`
	// Fallback counts the part of Delivered that the fallback took.
	Fallback int64 `json:"fallback"`
	// Truncated counts the records that were cut to Options.MaxRecord; they are
	// in Delivered or wherever they ended.
	Truncated int64 `json:"truncated"`
	// Markers counts the gap markers delivered.
	Markers int64 `json:"markers"`
	// WriteErrors counts errors of the destination and the fallback, each of
	// which was followed by another attempt, and answers that made no sense.
	WriteErrors int64 `json:"write_errors"`
	// Panics counts panics of the destination and of callbacks, all contained.
	Panics int64 `json:"panics"`
	// EventsLost counts events that a slow OnEvent did not take.
	EventsLost int64 `json:"events_lost"`

	// Recovered counts the records that an earlier process had left on disk.
	Recovered int64 `json:"recovered"`
	// Spilled is the part of Queued that is in the spill directory, and
	// SpilledBytes the size of the segments there.
	Spilled      int64 `json:"spilled"`
	SpilledBytes int64 `json:"spilled_bytes"`
	// DiskErrors counts failures of the mapped file and the spill directory.
	DiskErrors int64 `json:"disk_errors"`
	// DiskError says while it lasts what of Options.Mapped and SpillDir is not
	// in effect, and why. The sink tries again, so that it ends when its cause
	// does. Empty: all is well, or nothing was asked for.
	DiskError string `json:"disk_error,omitempty"`
	// LastDiskError is the last failure, kept after it is over. Damage that was
	// found on disk, whose loss is in Dropped.Corrupt, is only here.
	LastDiskError string `json:"last_disk_error,omitempty"`

	// StalledFor is how long the records in flight have waited for the
	// destination to take anything; 0 when nothing is in flight. It may make a
	// service degraded; it must never make it not live.
	StalledFor time.Duration `json:"stalled_for_ns"`
	// State is what the destination's last answer says of it.
	State State `json:"state"`
	// LastError is the destination's last error, kept after it recovered.
	LastError string `json:"last_error,omitempty"`
}

// Lanes are the counters of one lane.
type Lanes struct {
	Attempted int64 `json:"attempted"` // as in Stats
	Delivered int64 `json:"delivered"` // as in Stats
	Queued    int64 `json:"queued"`    // as in Stats
	Dropped   Drops `json:"dropped"`   // as in Stats
}

// Drops are counts of lost records by reason.
type Drops struct {
	Full      int64 `json:"full"`      // no room, and the policy drops what is new
	Evicted   int64 `json:"evicted"`   // dropped by what came later (Options.DropOldest), from memory or from the spill
	Oversize  int64 `json:"oversize"`  // longer than Options.MaxRecord
	Closed    int64 `json:"closed"`    // written after Shutdown began
	Rejected  int64 `json:"rejected"`  // refused for good by a BatchDest
	Abandoned int64 `json:"abandoned"` // still in memory when Shutdown's time was over
	Corrupt   int64 `json:"corrupt"`   // damaged or torn on disk; what another process delivered from mapped memory meanwhile is not known
}

// Total is the sum of all reasons.
func (d Drops) Total() int64 {
	return d.Full + d.Evicted + d.Oversize + d.Closed + d.Rejected + d.Abandoned + d.Corrupt
}

// All yields the reasons by name ("full", "evicted" and so on) with their
// counts, in the order of the fields, zeros included.
func (d Drops) All() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		_ = yield("full", d.Full) &&
			yield("evicted", d.Evicted) &&
			yield("oversize", d.Oversize) &&
			yield("closed", d.Closed) &&
			yield("rejected", d.Rejected) &&
			yield("abandoned", d.Abandoned) &&
			yield("corrupt", d.Corrupt)
	}
}

// State is how the destination is.
type State uint8

const (
	// Healthy: the last answer was good, or there was none yet.
	Healthy State = iota
	// Retrying: the last answer was an error; the sink tries again.
	Retrying
	// Broken: nobody reads, or it was closed. The sink still tries, every
	// RetryMax.
	Broken
)

// String returns "healthy", "retrying" or "broken".
func (s State) String() string {
	switch s {
	case Retrying:
		return "retrying"
	case Broken:
		return "broken"
	}
	return "healthy"
}

// MarshalText makes a State readable in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// counters are the counts under Sink.mu, by lane where there are two.
type counters struct {
	accepted, delivered, evicted, oversize, rejected, abandoned, corrupt [2]int64

	oversizeBytes, evictedBytes    int64
	rejectedBytes                  int64
	inherited                      Drops // by earlier runs, as their markers say
	fallback, markers, writeErrors int64
	truncated                      int64
	panics, recovered, diskErrors  int64
	state                          State
	stalled                        bool
	lastErr                        string
	mappedErr, spillErr            error // as long as they last
	lastDiskErr                    error
}

// Stats returns a snapshot. It takes the lock that Write takes, which is never
// held while anything waits, and costs about as much as a Write.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	c := s.count
	st := Stats{QueuedBytes: int64(s.live)}
	st.Spilled, st.SpilledBytes = s.disk.heldLocked()
	lanes := [2]Lanes{s.laneLocked(Normal), s.laneLocked(High)}
	s.mu.Unlock()

	st.High = lanes[High]
	n := lanes[Normal]
	st.Attempted = n.Attempted + st.High.Attempted
	st.Delivered = n.Delivered + st.High.Delivered
	st.Queued = n.Queued + st.High.Queued
	st.Dropped = n.Dropped.plus(st.High.Dropped)
	st.Fallback, st.Markers, st.WriteErrors = c.fallback, c.markers, c.writeErrors
	st.Truncated = c.truncated
	st.Panics, st.Recovered, st.DiskErrors = c.panics, c.recovered, c.diskErrors
	st.State = c.state
	st.LastError = c.lastErr
	if err := errors.Join(c.mappedErr, c.spillErr); err != nil {
		st.DiskError = err.Error()
	}
	if c.lastDiskErr != nil {
		st.LastDiskError = c.lastDiskErr.Error()
	}
	if s.events != nil {
		st.EventsLost = s.events.lost.Load()
		st.Panics += s.events.panics.Load()
	}
	if at := s.progress.Load(); at != 0 {
		st.StalledFor = max(0, time.Duration(s.now()-at))
	}
	return st
}

// laneLocked adds up one lane.
// Queued is what is left of the sum: it is counted nowhere, and so cannot disagree.
func (s *Sink) laneLocked(p Priority) Lanes {
	c := &s.count
	l := Lanes{Delivered: c.delivered[p]}
	l.Dropped = Drops{
		Full:      s.refused[p].full.Load(),
		Closed:    s.refused[p].closed.Load(),
		Evicted:   c.evicted[p],
		Oversize:  c.oversize[p],
		Rejected:  c.rejected[p],
		Abandoned: c.abandoned[p],
		Corrupt:   c.corrupt[p],
	}
	if at := s.lockless.Load(); at != &s.refused {
		l.Dropped.Full += at[p].full.Load()
	}
	d := l.Dropped
	l.Attempted = c.accepted[p] + d.Full + d.Closed + d.Oversize
	l.Queued = c.accepted[p] - c.delivered[p] - d.Evicted - d.Rejected - d.Abandoned - d.Corrupt
	return l
}

// plus adds each reason.
func (d Drops) plus(o Drops) Drops {
	return Drops{
		Full:      d.Full + o.Full,
		Evicted:   d.Evicted + o.Evicted,
		Oversize:  d.Oversize + o.Oversize,
		Closed:    d.Closed + o.Closed,
		Rejected:  d.Rejected + o.Rejected,
		Abandoned: d.Abandoned + o.Abandoned,
		Corrupt:   d.Corrupt + o.Corrupt,
	}
}

// minus takes each reason off.
func (d Drops) minus(o Drops) Drops {
	return Drops{
		Full:      d.Full - o.Full,
		Evicted:   d.Evicted - o.Evicted,
		Oversize:  d.Oversize - o.Oversize,
		Closed:    d.Closed - o.Closed,
		Rejected:  d.Rejected - o.Rejected,
		Abandoned: d.Abandoned - o.Abandoned,
		Corrupt:   d.Corrupt - o.Corrupt,
	}
}

// Var is a Sink as an expvar.Var: expvar.Publish("logsink", logsink.Var{sink}).
// This package does not import expvar, which opens an HTTP handler.
type Var struct{ *Sink }

// String returns Stats as JSON.
func (v Var) String() string {
	b, err := json.Marshal(v.Stats())
	if err != nil {
		return "null" // Stats has no value that JSON cannot hold
	}
	return string(b)
}

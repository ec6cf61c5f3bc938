// Package logsinktest has destinations that behave as badly as real ones do,
// and a conformance suite for writers that stand between a logger and such a
// destination.
//
// The destinations are for tests of anything that writes: [Frozen] blocks,
// [Slow] is slow, [Flaky] fails, [Partial] and [Torn] take a part, [Panicking]
// panics, [Recorder] keeps what it gets. They nest: NewFlaky(&Recorder{}, 3).
//
// [Check] runs a writer wrapper, ours or any other, against all of them.
package logsinktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrInjected is what the failing writers return.
var ErrInjected = errors.New("logsinktest: injected error")

// Kind is a fault by its word in docs/guide/faults.md, where each means the same
// in all packages.
type Kind string

// The kinds of faults that [NewBroken] makes.
const (
	KindDeaf     Kind = "deaf"     // Frozen: a Write does not return
	KindSlow     Kind = "slow"     // Slow
	KindFlaky    Kind = "flaky"    // Flaky
	KindPartial  Kind = "partial"  // Partial
	KindTruncate Kind = "truncate" // Torn
	KindPanic    Kind = "panic"    // Panicking
	KindEOF      Kind = "eof"      // Broken: nobody is at the other end
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{KindDeaf, KindSlow, KindFlaky, KindPartial, KindTruncate, KindPanic, KindEOF}
}

// NewBroken returns a destination of a kind, for a test that tries them all:
// what concerns single calls happens in every second one, slow is a kilobyte a
// second, and partial takes ten bytes a call. A deaf one is a [*Frozen], which
// a test must release. It panics if there is no such kind, which would test
// nothing.
func NewBroken(k Kind, w io.Writer) io.Writer {
	switch k {
	case KindDeaf:
		return NewFrozen(w)
	case KindSlow:
		return NewSlow(w, 1000)
	case KindFlaky:
		return NewFlaky(w, 2)
	case KindPartial:
		return NewPartial(w, 10)
	case KindTruncate:
		return NewTorn(w, 2)
	case KindPanic:
		return NewPanicking(w, 2)
	case KindEOF:
		return Broken{}
	}
	panic(fmt.Sprintf("logsinktest: there is no kind %q; want one of %v", k, Kinds()))
}

// Recorder keeps everything that is written to it. The zero value is ready;
// it is safe for concurrent use.
type Recorder struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (r *Recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

// String returns everything so far.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// Lines returns everything so far, cut at line breaks. What follows the last
// line break is a line too, if it is not empty.
// The lines are copies, in the order of the writes. A "\r" in front of the break stays.
func (r *Recorder) Lines() []string {
	var lines []string
	for l := range bytes.Lines([]byte(r.String())) {
		lines = append(lines, string(bytes.TrimSuffix(l, []byte("\n"))))
	}
	return lines
}

// Frozen is a destination whose Write does not return, like a pipe that nobody
// reads. Release lets it go.
type Frozen struct {
	w       io.Writer
	once    sync.Once
	open    chan struct{}
	entered chan struct{}
	first   sync.Once
}

// NewFrozen returns a frozen writer. Once released it writes to w, which may
// be nil for nothing.
func NewFrozen(w io.Writer) *Frozen {
	return &Frozen{w: w, open: make(chan struct{}), entered: make(chan struct{})}
}

// Write blocks until Release.
func (f *Frozen) Write(p []byte) (int, error) {
	f.first.Do(func() { close(f.entered) })
	<-f.open
	if f.w == nil {
		return len(p), nil
	}
	return f.w.Write(p)
}

// Entered is closed when the first Write is stuck.
// Waiting for it spares a test the guess when the freeze has begun.
func (f *Frozen) Entered() <-chan struct{} { return f.entered }

// Release ends the freeze, for the Write that is stuck and for all that
// follow. It may be called more than once.
func (f *Frozen) Release() { f.once.Do(func() { close(f.open) }) }

// Slow passes on to a writer at a limited rate.
// It is for a real clock or a bubble of testing/synctest; a rate of 0 is a mistake.
type Slow struct {
	w         io.Writer
	perSecond int
}

// NewSlow returns a writer that takes bytesPerSecond.
func NewSlow(w io.Writer, bytesPerSecond int) *Slow { return &Slow{w, bytesPerSecond} }

// Write waits as long as len(p) bytes take, then writes them.
func (s *Slow) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Second / time.Duration(s.perSecond))
	return s.w.Write(p)
}

// Flaky fails every nth call, before it has taken anything.
type Flaky struct {
	w     io.Writer
	n     int64
	calls atomic.Int64
}

// NewFlaky returns a writer whose every nth Write fails with ErrInjected; the
// first call is one of them.
// N is at least 1, which fails always. It may be used by many goroutines.
func NewFlaky(w io.Writer, n int) *Flaky { return &Flaky{w: w, n: int64(n)} }

// Write fails or writes.
func (f *Flaky) Write(p []byte) (int, error) {
	if (f.calls.Add(1)-1)%f.n == 0 {
		return 0, ErrInjected
	}
	return f.w.Write(p)
}

// Partial takes at most max bytes a call and says EAGAIN, like a descriptor
// that someone else made non-blocking.
type Partial struct {
	w   io.Writer
	max int
}

// NewPartial returns a writer that takes at most max bytes a call.
// What fits into max is taken whole, without an error.
func NewPartial(w io.Writer, max int) *Partial { return &Partial{w, max} }

// Write takes a part.
func (p *Partial) Write(b []byte) (int, error) {
	if len(b) <= p.max {
		return p.w.Write(b)
	}
	n, err := p.w.Write(b[:p.max])
	if err == nil {
		err = syscall.EAGAIN
	}
	return n, err
}

// Torn takes the first half of every nth call and fails.
type Torn struct {
	w     io.Writer
	n     int64
	calls atomic.Int64
}

// NewTorn returns a writer whose every nth Write stops halfway with
// ErrInjected; the first call is one of them.
func NewTorn(w io.Writer, n int) *Torn { return &Torn{w: w, n: int64(n)} }

// Write writes, or tears.
func (t *Torn) Write(p []byte) (int, error) {
	if (t.calls.Add(1)-1)%t.n != 0 {
		return t.w.Write(p)
	}
	n, err := t.w.Write(p[:len(p)/2])
	if err == nil {
		err = ErrInjected
	}
	return n, err
}

// Panicking panics in every nth call, before it has taken anything.
type Panicking struct {
	w     io.Writer
	n     int64
	calls atomic.Int64
}

// NewPanicking returns a writer whose every nth Write panics; the first call
// is one of them.
func NewPanicking(w io.Writer, n int) *Panicking { return &Panicking{w: w, n: int64(n)} }

// Write panics or writes.
func (p *Panicking) Write(b []byte) (int, error) {
	if (p.calls.Add(1)-1)%p.n == 0 {
		panic("logsinktest: injected panic")
	}
	return p.w.Write(b)
}

// Broken fails every call with the error of a pipe without a reader.
type Broken struct{}

// Write fails with EPIPE.
func (Broken) Write([]byte) (int, error) { return 0, syscall.EPIPE }

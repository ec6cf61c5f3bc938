package logsinktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Subject is a writer wrapper under test.
type Subject struct {
	// Writer is what a logger would write to.
	io.Writer
	// Close delivers what it can until ctx ends. Required.
	Close func(ctx context.Context) error
	// Lost returns how many records are lost so far. Nil stands for a wrapper
	// that does not know; it passes only if it loses nothing.
	Lost func() int64
}

// lost is Lost, or 0 for a wrapper that does not count.
func (s Subject) lost() int64 {
	if s.Lost == nil {
		return 0
	}
	return s.Lost()
}

// Make wraps a destination. A small memory (some hundred kilobytes) makes the
// checks of a full one quick.
// Each promise calls it at least once, and closes what it gets unless the promise is
// broken before.
type Make func(dest io.Writer) Subject

// Violation is a promise that a wrapper does not keep.
type Violation struct {
	Promise string // its name, as in Promises
	Detail  string // what happened
}

// Error is the promise and the detail.
func (v *Violation) Error() string { return v.Promise + ": " + v.Detail }

// patience is how long anything may take that should not wait for a frozen
// destination. It is far above what a busy machine needs, and is spent only by
// a wrapper that does wait.
var patience = 3 * time.Second // a variable for tests

// closeSlack is how long after its ctx a Close may return. The promise of
// package logsink is 10 ms; a test machine may be busy.
const closeSlack = time.Second

// promise is one thing that a wrapper has to keep, and how that is found out.
type promise struct {
	name  string
	check func(Make) error
}

// promises are the checks; a name completes "the wrapper ...". The names are those of the
// subtests and of Violation.Promise, so that a changed word is a changed name for users.
var promises = []promise{
	{"delivers everything, in order", healthy},
	{"does not retain the slice", retention},
	{"does not wait for a frozen destination", func(m Make) error { return frozen(m, false) }},
	{"counts losses while they happen", func(m Make) error { return frozen(m, true) }},
	{"closes in time although the destination is frozen", closing},
	{"accepts writes after Close", afterClose},
	{"survives errors", against(func(w io.Writer) io.Writer { return NewFlaky(w, 3) })},
	{"resumes partial writes", against(func(w io.Writer) io.Writer { return NewPartial(w, 1000) })},
	{"resumes torn writes", against(func(w io.Writer) io.Writer { return NewTorn(w, 3) })},
	{"contains panics", against(func(w io.Writer) io.Writer { return NewPanicking(w, 3) })},
}

// Promises returns the names of what Check looks at, in order.
func Promises() []string {
	names := make([]string, len(promises))
	for i, p := range promises {
		names[i] = p.name
	}
	return names
}

// Check runs a wrapper against every destination of this package and returns
// the promises that it does not keep, each as a *Violation, joined; nil if
// there are none. A wrapper that waits for a frozen destination leaves
// goroutines behind.
func Check(wrap Make) error {
	var all []error
	for _, p := range promises {
		if err := p.run(wrap); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// TestWriter is [Check] with a subtest for each promise.
func TestWriter(t *testing.T, wrap Make) {
	for _, p := range promises {
		t.Run(strings.ReplaceAll(p.name, " ", "_"), func(t *testing.T) {
			if err := p.run(wrap); err != nil {
				t.Error(err)
			}
		})
	}
}

// run checks one promise. A panic on the caller's side is a broken promise too.
func (p promise) run(wrap Make) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Violation{p.name, fmt.Sprintf("it panicked: %v", r)}
		}
	}()
	if err := p.check(wrap); err != nil {
		return &Violation{p.name, err.Error()}
	}
	return nil
}

// load writes records "writer number xxx\n" from several goroutines.
type load struct{ writers, each, size int }

func (l load) total() int64 { return int64(l.writers * l.each) }

// write reports an error if a Write does, or panics, or if all of it takes
// longer than patience.
// A goroutine that is stuck stays behind with its error, for which result has room.
func (l load) write(w io.Writer) error {
	result := make(chan error, l.writers)
	for g := range l.writers {
		go func() { result <- l.one(w, g) }()
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for range l.writers {
		select {
		case err := <-result:
			if err != nil {
				return err
			}
		case <-limit.C:
			return fmt.Errorf("%d goroutines did not write %d lines each within %v", l.writers, l.each, patience)
		}
	}
	return nil
}

// one is one goroutine of the load. It uses its buffer again after each Write,
// as loggers do, and takes panics for failures.
func (l load) one(w io.Writer, g int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("Write panicked: %v", r)
		}
	}()
	pad := strings.Repeat("x", l.size)
	var b []byte
	for i := range l.each {
		b = fmt.Appendf(b[:0], "%d %d %s\n", g, i, pad)
		if n, err := w.Write(b); n != len(b) || err != nil {
			return fmt.Errorf("Write returned %d of %d, %v: a logger has no use for that", n, len(b), err)
		}
		clear(b) // it is the caller's again
	}
	return nil
}

// arrived counts whole records and checks the order of each writer's.
// Gaps in the numbers are losses, which settle compares with what the wrapper says.
func (l load) arrived(rec *Recorder) (int64, error) {
	pad := strings.Repeat("x", l.size)
	last := map[string]int{}
	for _, line := range rec.Lines() {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != pad {
			return 0, fmt.Errorf("a record arrived torn: %.40q", line)
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			return 0, fmt.Errorf("a record arrived torn: %.40q", line)
		}
		if was, ok := last[f[0]]; ok && n <= was {
			return 0, fmt.Errorf("writer %s: record %d arrived after %d", f[0], n, was)
		}
		last[f[0]] = n
	}
	return int64(len(rec.Lines())), nil
}

// settle closes the subject and compares what arrived with what was written.
// Not one record may be missing from the sum, and none may be there that nobody wrote.
func (l load) settle(s Subject, rec *Recorder) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	n, err := l.arrived(rec)
	if err != nil {
		return err
	}
	if lost := s.lost(); n+lost != l.total() {
		return fmt.Errorf("%d records written, %d arrived, %d said to be lost", l.total(), n, lost)
	}
	return nil
}

// healthy: nothing is lost while nothing is wrong.
// Eight hundred lines are less than any wrapper has room for.
func healthy(wrap Make) error {
	var rec Recorder
	s := wrap(&rec)
	l := load{8, 100, 50}
	if err := l.write(s); err != nil {
		return err
	}
	if err := l.settle(s, &rec); err != nil {
		return err
	}
	if n := s.lost(); n > 0 {
		return fmt.Errorf("%d of %d records lost although nothing was wrong", n, l.total())
	}
	return nil
}

// retention: Write does not keep the slice.
// A logger uses its buffer again for the next line.
func retention(wrap Make) error {
	var rec Recorder
	s := wrap(&rec)
	buf := []byte("first\n")
	s.Write(buf)
	copy(buf, "WRONG\n")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		return err
	}
	if got := rec.String(); got != "first\n" {
		return fmt.Errorf("wrote %q, then changed the slice; %q arrived", "first\n", got)
	}
	return nil
}

// frozen writes more than any wrapper holds to a frozen destination.
// With count it also has to have counted by then, and be right when the freeze is over.
func frozen(wrap Make, count bool) error {
	var rec Recorder
	stuck := NewFrozen(&rec)
	defer stuck.Release()
	s := wrap(stuck)
	l := load{64, 500, 1000} // 32 MB
	if err := l.write(s); err != nil {
		return err
	}
	if !count {
		return nil
	}
	if s.Lost == nil {
		return errors.New("it has no counter")
	}
	if s.Lost() == 0 {
		return errors.New("32 MB written, nothing delivered, and the counter says 0")
	}
	stuck.Release()
	return l.settle(s, &rec)
}

// closing: Close returns when its context ends, whatever the destination does.
// It needs no error from Close: that the records are lost it may say or leave to Lost.
func closing(wrap Make) error {
	stuck := NewFrozen(nil)
	defer stuck.Release()
	s := wrap(stuck)
	if err := (load{1, 10, 50}).write(s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close(ctx) //nolint:errcheck // it cannot be nil, and need not be anything else
	}()
	<-ctx.Done()
	slack := time.NewTimer(closeSlack)
	defer slack.Stop()
	select {
	case <-closed:
		return nil
	case <-slack.C:
		return fmt.Errorf("Close had not returned %v after its ctx ended", closeSlack)
	}
}

// afterClose: what is written after Close is counted, and harms nobody.
// A library's last log line may come when main has closed the log.
func afterClose(wrap Make) error {
	s := wrap(&Recorder{})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		return err
	}
	before := s.lost()
	l := load{4, 10, 50}
	if err := l.write(s); err != nil {
		return err
	}
	if n := s.lost() - before; s.Lost != nil && n != l.total() {
		return fmt.Errorf("%d records written, %d counted as lost", l.total(), n)
	}
	return nil
}

// against checks that what arrives is whole and the rest is counted, with a
// destination that misbehaves.
// Each promise gets a destination of its own, whose counts begin anew.
func against(dest func(io.Writer) io.Writer) func(Make) error {
	return func(wrap Make) error {
		var rec Recorder
		s := wrap(dest(&rec))
		l := load{8, 100, 50}
		if err := l.write(s); err != nil {
			return err
		}
		return l.settle(s, &rec)
	}
}

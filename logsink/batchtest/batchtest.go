// Package batchtest is a conformance suite for destinations of a logsink.Sink
// that take records, beside package logsinktest, which has that for writers.
//
// Call [TestBatchDest] from a test of your destination, with a far end that the test can
// break. Each promise is a subtest, and is a function of its own below, whose comment says
// what it is; a Subject without Down or Hang skips what it cannot show. The suite sends
// some megabytes, and waits for no clock but to bound what is broken.
package batchtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
)

// Subject is a destination under test, with a far end of its own.
//
// Open makes one for each promise, with nothing left from the one before: what a promise has
// broken, it may leave broken.
type Subject struct {
	// Dest is the destination. Required.
	Dest logsink.BatchDest
	// Arrived returns the texts that the far end has taken, without line breaks,
	// in their order. Required. It is called again and again, until it has enough, and
	// like all of these also while another goroutine is in WriteBatch.
	Arrived func() []string
	// Down has the far end fail at once, and Up ends that. Nil: it cannot.
	Down, Up func()
	// Hang has the far end take requests and not answer, until Up. Nil: it
	// cannot.
	Hang func()
	// Longest is the longest text that must arrive. Default 1000 bytes.
	Longest int
	// Patience is how long anything may take. It is spent only by a destination
	// that breaks a promise. Default 10 s.
	Patience time.Duration
}

// TestBatchDest runs a destination against the contract of logsink.BatchDest.
// Open makes it anew for each promise.
//
// Promises run one after the other. What open has started it ends with t.Cleanup.
func TestBatchDest(t *testing.T, open func(t *testing.T) Subject) {
	// A row is a promise, in words that complete "the destination ...", and what checks it.
	for _, p := range []struct {
		name  string
		check func(t *testing.T, s Subject)
	}{
		{"delivers everything, in order", inOrder},
		{"keeps nothing of what it was given", keepsNothing},
		{"gets past any record", anyRecord},
		{"keeps records through an outage", outage},
		{"ends with its ctx", endsInTime},
		{"is exact behind a sink", behindSink},
	} {
		t.Run(strings.ReplaceAll(p.name, " ", "_"), func(t *testing.T) {
			s := open(t)
			s.Patience = cmp.Or(s.Patience, 10*time.Second)
			p.check(t, s)
		})
	}
}

// records makes n of them, of the last seconds.
// Every tenth is of the high lane. Ten of them share a millisecond, as in real logs.
func records(n int, text func(i int) string) []logsink.Record {
	list := make([]logsink.Record, n)
	now := time.Now().Add(-10 * time.Second).Truncate(time.Millisecond)
	for i := range list {
		list[i] = logsink.Record{Time: now.Add(time.Duration(i) * time.Millisecond / 10), Data: []byte(text(i) + "\n")}
		if i%10 == 0 {
			list[i].Priority = logsink.High
		}
	}
	return list
}

// numbered is a text from which mustHave can tell the place.
func numbered(i int) string { return fmt.Sprintf("record %d", i) }

// write calls the destination as a sink does until all is done, and returns how
// many were rejected. An error costs a moment.
// It fails the test for a result that cannot be true, for one that goes nowhere, and when
// s.Patience is over.
func write(t *testing.T, s Subject, recs []logsink.Record) (rejected int) {
	t.Helper()
	end := time.Now().Add(s.Patience)
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	for len(recs) > 0 {
		res, err := s.Dest.WriteBatch(ctx, recs)
		mustMakeSense(t, res, len(recs))
		if rejected += len(res.Rejected); err == nil && res.Done == 0 {
			t.Fatal("nothing done, and no error")
		}
		if recs = recs[res.Done:]; ctx.Err() != nil {
			t.Fatalf("%d records are not done after %v: %v", len(recs), s.Patience, err)
		}
		if err != nil {
			pause(ctx)
		}
	}
	return rejected
}

// pause waits for a moment, or until ctx ends: a far end needs one to come back.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
}

// mustMakeSense fails if a result cannot be true: more done than there was, or
// a rejected record that was not reached.
// A sink passes over such a result and counts an error; a destination that returns one has
// lost track of what it sent.
func mustMakeSense(t *testing.T, res logsink.BatchResult, of int) {
	t.Helper()
	if res.Done < 0 || res.Done > of || !slices.IsSorted(res.Rejected) {
		t.Fatalf("of %d records the result is %+v", of, res)
	}
	for i, r := range res.Rejected {
		if r < 0 || r >= res.Done || i > 0 && r == res.Rejected[i-1] {
			t.Fatalf("of %d records the result is %+v", of, res)
		}
	}
}

// arrived waits for n texts at the far end, which may need a moment.
// After s.Patience it returns what there is: the caller says what is missing.
func arrived(t *testing.T, s Subject, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	for len(s.Arrived()) < n && ctx.Err() == nil {
		pause(ctx)
	}
	return s.Arrived()
}

// mustHave looks for n numbered texts in their order. One may come again: where
// an answer was lost nobody can know.
// A text that comes again may do so from any place that was reached, and is not counted.
func mustHave(t *testing.T, got []string, n int, again bool) {
	t.Helper()
	next := 0
	for _, text := range got {
		var i int
		if c, err := fmt.Sscanf(text, "record %d", &i); c != 1 || i > next || i < next && !again {
			t.Fatalf("after %d records came %.60q (%v)", next, text, err)
		}
		if i == next {
			next++
		}
	}
	if next != n {
		t.Fatalf("%d of %d records arrived", next, n)
	}
}

// inOrder: what is written arrives, once and in order, also if there is more
// than the service takes at a time.
// A destination that takes a part of a batch is called with the rest, as by a sink.
func inOrder(t *testing.T, s Subject) {
	const n = 12_000 // more than any service takes at once
	if r := write(t, s, records(n, numbered)); r > 0 {
		t.Errorf("%d records rejected", r)
	}
	mustHave(t, arrived(t, s, n), n, false)
}

// keepsNothing: the records' memory is the sink's again once WriteBatch has
// returned.
// The records are overwritten as soon as they are done, and nothing else of them is kept
// by the test: what arrives as X was still the sink's.
func keepsNothing(t *testing.T, s Subject) {
	recs := records(10, numbered)
	write(t, s, recs)
	for _, r := range recs {
		for i := range r.Data {
			r.Data[i] = 'X'
		}
	}
	write(t, s, records(1, func(int) string { return numbered(10) }))
	mustHave(t, arrived(t, s, 11), 11, false)
}

// anyRecord: no record stops those that follow it: empty, huge, not UTF-8, with
// control characters; and none becomes two.
//
// A destination may reject what its service cannot take; but a text of Longest has to
// arrive, and so has the last, which says that nothing before it stands in the way.
func anyRecord(t *testing.T, s Subject) {
	odd := []string{"", "\r", "\x00", "\xff\xfe", "a\nb", strings.Repeat("ä", max(s.Longest, 1000)/2), `{"json":"\u2028"}`, "<14>1 - - - - - - forged"}
	recs := records(len(odd), func(i int) string { return odd[i] })
	recs = append(recs, logsink.Record{}) // neither data nor time
	recs = append(recs, logsink.Record{Data: []byte(strings.Repeat("x", 3<<20)), Time: time.Now()})
	recs = append(recs, records(1, func(int) string { return "the last" })...)
	write(t, s, recs)
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	got := s.Arrived()
	for ; ctx.Err() == nil && (len(got) == 0 || got[len(got)-1] != "the last"); got = s.Arrived() {
		pause(ctx)
	}
	if !slices.Contains(got, odd[5]) {
		t.Errorf("a text of %d bytes did not arrive", len(odd[5]))
	}
	if len(got) == 0 || got[len(got)-1] != "the last" {
		t.Error("what follows odd records did not arrive")
	}
	for _, text := range got {
		if text == "forged" {
			t.Error("a record became two")
		}
	}
}

// outage: a far end that is down is an error, rejects nothing, and everything
// arrives when it is back.
// It asks for three errors: a destination that says "done" while its far end is down loses
// what it was given.
func outage(t *testing.T, s Subject) {
	if s.Down == nil {
		t.Skip("its far end cannot fail")
	}
	write(t, s, records(100, numbered))
	s.Down()
	rest := records(100, func(i int) string { return numbered(100 + i) })
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	for failures := 0; failures < 3; {
		res, err := s.Dest.WriteBatch(ctx, rest)
		mustMakeSense(t, res, len(rest))
		if len(res.Rejected) > 0 {
			t.Fatalf("an outage is no reason to reject: %+v", res)
		}
		if rest = rest[res.Done:]; err != nil {
			failures++
		}
		if len(rest) == 0 || ctx.Err() != nil {
			t.Fatalf("the far end is down, and %d records are left: %v", len(rest), err)
		}
	}
	s.Up()
	write(t, s, rest)
	mustHave(t, arrived(t, s, 200), 200, true)
}

// endsInTime: a far end that hangs holds nobody past the context.
// The batch is more than the buffers of a connection hold, so that a write really hangs.
// The first call is made even if the machine is so busy that its ctx has ended by then.
func endsInTime(t *testing.T, s Subject) {
	if s.Hang == nil {
		t.Skip("its far end cannot hang")
	}
	s.Hang()
	defer s.Up()
	recs := records(10_000, func(i int) string { return strings.Repeat(numbered(i), 100) })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		for {
			res, err := s.Dest.WriteBatch(ctx, recs)
			if recs = recs[res.Done:]; ctx.Err() != nil || len(recs) == 0 {
				break
			}
			if err != nil {
				pause(ctx)
			}
		}
		ended <- ctx.Err()
	}()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(s.Patience):
		t.Error("WriteBatch has not returned long after its ctx ended")
	}
}

// behindSink: with a Sink in front, an outage in the middle loses nothing.
// Whatever the outage has made come twice, the sink's own count is exact.
func behindSink(t *testing.T, s Subject) {
	sink, err := logsink.New(logsink.Options{Batch: s.Dest, Linger: time.Millisecond, RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	const n = 3000
	for i := range n {
		switch {
		case i == n/3 && s.Down != nil:
			s.Down()
		case i == 2*n/3 && s.Down != nil:
			s.Up()
		}
		fmt.Fprintln(sink, numbered(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	if err := sink.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if st := sink.Stats(); st.Delivered != n || st.Dropped.Total() != 0 || st.Attempted != n {
		t.Errorf("%+v", st)
	}
	mustHave(t, arrived(t, s, n), n, true)
}

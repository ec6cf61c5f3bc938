package logsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// batchFunc is a BatchDest.
type batchFunc func(context.Context, []Record) (BatchResult, error)

func (f batchFunc) WriteBatch(ctx context.Context, recs []Record) (BatchResult, error) {
	return f(ctx, recs)
}

// A BatchDest that is gone: the fallback takes its records, a line each.
func TestFallback_of_a_batch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fallback logsinktest.Recorder
		calls := 0
		s := mustNew(t, Options{Fallback: &fallback, Linger: time.Millisecond, Batch: batchFunc(func(context.Context, []Record) (BatchResult, error) {
			calls++
			return BatchResult{}, io.ErrClosedPipe
		})})
		for i := range 100 {
			fmt.Fprint(s, i) // without a line break
			time.Sleep(time.Second)
		}
		s.Close()
		st := mustAdd(t, s)
		if lines := fallback.Lines(); len(lines) != 100 || lines[99] != "99" || st.Fallback != 100 || st.State != Broken {
			t.Errorf("%d lines: %+v", len(lines), st)
		}
		if calls < 10 || calls > 30 {
			t.Errorf("the destination was tried %d times in 100 s", calls)
		}
	})
}

// A destination that does nothing but fail, for hours.
func TestFallback_after_failing_for_long(t *testing.T) {
	for _, kind := range []string{"bytes", "batch"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dest, fallback logsinktest.Recorder
				down := true
				o := Options{Fallback: &fallback, FallbackAfter: time.Minute}
				if kind == "bytes" {
					o.Dest = writerFunc(func(p []byte) (int, error) {
						if down {
							return 0, errors.New("no route to host")
						}
						return dest.Write(p)
					})
				} else {
					o.Batch = batchFunc(func(_ context.Context, recs []Record) (BatchResult, error) {
						if down {
							return BatchResult{}, errors.New("no route to host")
						}
						for _, r := range recs {
							dest.Write(r.Data)
						}
						return BatchResult{Done: len(recs)}, nil
					})
				}
				s := mustNew(t, o)
				fmt.Fprintln(s, "early")
				time.Sleep(50 * time.Second)
				if got := fallback.String(); got != "" {
					t.Errorf("after 50 s the fallback has %q", got)
				}
				time.Sleep(30 * time.Second)
				fmt.Fprintln(s, "late")
				time.Sleep(10 * time.Second)
				if got := fallback.String(); got != "early\nlate\n" {
					t.Errorf("after 90 s the fallback has %q", got)
				}
				down = false
				time.Sleep(time.Minute)
				fmt.Fprintln(s, "good again")
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if st := mustAdd(t, s); dest.String() != "good again\n" || st.Fallback != 2 || st.Delivered != 3 || st.State != Healthy {
					t.Errorf("%q: %+v", dest.String(), st)
				}
			})
		})
	}
}

// A destination that does not return: after a while the fallback takes what
// waits, at its rate, and nothing more when the destination moves again.
func TestFallback_while_stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dest, fallback logsinktest.Recorder
		frozen := logsinktest.NewFrozen(&dest)
		s := mustNew(t, Options{Dest: frozen, Fallback: &fallback, FallbackAfter: 10 * time.Second, FallbackRate: 10_000})
		fmt.Fprintln(s, "in the call")
		synctest.Wait()
		for i := range 10_000 { // 100 bytes each
			fmt.Fprintf(s, "%04d %s\n", i, strings.Repeat("x", 94))
		}
		time.Sleep(9 * time.Second)
		if n := len(fallback.Lines()); n > 0 {
			t.Errorf("%d lines in the fallback after 9 s", n)
		}
		time.Sleep(51 * time.Second)
		n := len(fallback.Lines()) * 100
		if n < 400_000 || n > 600_000+fallbackPiece {
			t.Errorf("%d bytes in the fallback, 50 s at 10 kB/s", n)
		}
		mustAdd(t, s)
		frozen.Release()
		if err := s.Shutdown(withTimeout(t, time.Minute)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		st := mustAdd(t, s)
		if got := len(dest.Lines()) + len(fallback.Lines()); got != 10_001 || st.Delivered != 10_001 || st.Fallback != int64(len(fallback.Lines())) {
			t.Errorf("%d lines arrived: %+v", got, st)
		}
	})
}

// A fallback that fails or panics gives back what it did not take.
func TestFallback_that_fails_while_stalled(t *testing.T) {
	for name, bad := range map[string]io.Writer{
		"fails":  logsinktest.Broken{},
		"panics": writerFunc(func([]byte) (int, error) { panic("fallback") }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dest logsinktest.Recorder
				frozen := logsinktest.NewFrozen(&dest)
				s := mustNew(t, Options{Dest: frozen, Fallback: bad, FallbackAfter: time.Second})
				for i := range 1000 {
					fmt.Fprintln(s, i)
					if i == 0 {
						synctest.Wait()
					}
				}
				time.Sleep(time.Minute)
				frozen.Release()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if st := mustAdd(t, s); len(dest.Lines()) != 1000 || st.Delivered != 1000 || st.Fallback != 0 {
					t.Errorf("%d lines arrived: %+v", len(dest.Lines()), st)
				}
			})
		})
	}
}

func TestSink_truncates_when_told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, MaxBytes: 64 << 10, MaxRecord: 100, Truncate: true})
		io.WriteString(s, strings.Repeat("ä", 200)+"\n")
		io.WriteString(s, strings.Repeat("x", 101))
		io.WriteString(s, "short\n")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		lines := rec.Lines()
		if len(lines) != 2 || !strings.HasSuffix(lines[0], "ä ... (322 bytes cut)") || len(lines[0]) >= 100 || !strings.HasPrefix(lines[1], "xxx") || !strings.HasSuffix(lines[1], " ... (21 bytes cut)short") {
			t.Errorf("%q", lines)
		}
		if st := mustAdd(t, s); st.Truncated != 2 || st.Delivered != 3 || st.Dropped.Total() != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A batch of tiny records costs little beside them: its list is bounded.
func TestBatch_of_tiny_records(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		longest, got := 0, 0
		s := mustNew(t, Options{MaxBytes: 16 << 20, Gap: GapText, Batch: batchFunc(func(_ context.Context, recs []Record) (BatchResult, error) {
			longest = max(longest, len(recs))
			n := min(len(recs), 7777)
			got += n
			return BatchResult{Done: n}, nil
		})})
		const n = 200_000
		for i := range n {
			s.Write([]byte("x")[:i%2])
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); st.Delivered != n || got != n || longest > maxBatch {
			t.Errorf("%d arrived, at most %d in a call: %+v", got, longest, st)
		}
	})
}

// Lines that wait for their end are part of the budget.
func TestLines_memory_counts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, MaxBytes: 1 << 20})
		defer s.Close()
		for range 50 {
			l := s.Lines()
			l.Write([]byte(strings.Repeat("z", 200_000)))
			if st := mustAdd(t, s); st.QueuedBytes > 1<<20 {
				t.Fatalf("%d bytes held", st.QueuedBytes)
			}
			defer func() {
				l.Close()
				if st := mustAdd(t, s); st.QueuedBytes > 1<<20 || st.QueuedBytes < 0 {
					t.Errorf("%d bytes held", st.QueuedBytes)
				}
			}()
			time.Sleep(time.Second)
		}
	})
}

func TestLines_do_not_glue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec})
		out := s.LaneLines(High)
		io.WriteString(out, "whole\npart")
		out.Close()
		io.WriteString(s, "next\n")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); rec.String() != "whole\npart\nnext\n" || st.High.Delivered != 2 || st.QueuedBytes != 0 {
			t.Errorf("%q: %+v", rec.String(), st)
		}
	})
}

// A service that logs five lines a second wakes the drainer for each of them and
// little more.
func TestSink_quiet_service_sleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Dest: io.Discard})
		const lines = 50
		for range lines {
			io.WriteString(s, "tick\n")
			time.Sleep(200 * time.Millisecond)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := s.parks.Load(); n > lines*(idleLingers+2) {
			t.Errorf("the drainer slept %d times for %d lines", n, lines)
		}
	})
}

// A hundred sinks that log nothing.
func TestSink_idle_sinks_are_small(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil || raceDetector {
		t.Skip("needs /proc, and the memory of a program as it is built for users")
	}
	// In a process of its own: in one that has run other tests, sinks may be made
	// of memory that the heap has used before, and clears, whether it needs it or
	// not.
	if os.Getenv("FAILOPEN_IDLE_SINKS") == "" {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSink_idle_sinks_are_small$")
		cmd.Env = append(os.Environ(), "FAILOPEN_IDLE_SINKS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	runtime.GC()
	before := resident(t)
	for range 100 {
		s := mustNew(t, Options{Dest: io.Discard})
		defer s.Close()
		io.WriteString(s, "one line\n")
	}
	if grown := resident(t) - before; grown > 32<<20 {
		t.Errorf("100 idle sinks have %d MiB", grown>>20)
	} else {
		t.Logf("100 idle sinks have %d KiB", grown>>10)
	}
}

func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// With DropOldest in a freeze a record does not wait for the lock: it is dropped
// itself, counted, and told by the next marker.
func TestSink_gives_way_when_evicting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		frozen := logsinktest.NewFrozen(&rec)
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 64 << 10, DropOldest: true, Gap: GapText})
		line := strings.Repeat("x", 99) + "\n"
		for range 1000 {
			io.WriteString(s, line)
		}
		time.Sleep(time.Second) // the call counts as what holds the sink up
		for range 100 {
			io.WriteString(s, line)
		}
		before := mustAdd(t, s).Dropped
		s.mu.Lock()
		for range 200 {
			io.WriteString(s, line)
		}
		s.mu.Unlock()
		if after := mustAdd(t, s).Dropped; after.Full != before.Full+200 || after.Evicted != before.Evicted {
			t.Errorf("before %+v, after %+v", before, after)
		}
		for range 100 {
			io.WriteString(s, line)
		}
		frozen.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		told := int64(0)
		for _, line := range rec.Lines() {
			n := int64(0)
			fmt.Sscanf(line, "--- %d log records", &n) //nolint:errcheck // most lines are no marker
			told += n
		}
		// More than the 200 may have given way, to goroutines of the sink's own.
		if st := mustAdd(t, s); told != st.Dropped.Total() || st.Delivered+st.Dropped.Total() != st.Attempted {
			t.Errorf("markers tell of %d: %+v", told, st)
		}
	})
}

// A holder of the lock that was not there for one look has lost its processor:
// the next writers do not look as well, which costs tens of times as much as
// giving way, until one of them tries again.
func TestSink_looks_once_for_a_holder_that_is_away(t *testing.T) {
	s := mustNew(t, Options{Dest: io.Discard, DropOldest: true})
	line := []byte("x\n")
	refused := func(again bool) time.Duration { // a write that finds the lock held
		s.away.Store(!again)
		begin := time.Now()
		s.Write(line)
		return time.Since(begin)
	}
	s.mu.Lock()
	s.evicting.Store(true)
	least := [2]time.Duration{time.Hour, time.Hour} // of a write that gives way at once, and of one that looks
	for range lookAgain - 1 {
		least[0] = min(least[0], refused(false))
		if !s.away.Load() {
			t.Fatal("away was forgotten after a single write")
		}
	}
	s.Write(line)
	if s.away.Load() {
		t.Errorf("nobody looks again after %d writes that gave way", lookAgain)
	}
	for range lookAgain / 2 {
		least[1] = min(least[1], refused(true))
		if !s.away.Load() {
			t.Fatal("a look for nothing did not mark the holder as away")
		}
	}
	s.evicting.Store(false)
	s.mu.Unlock()
	if least[1] < 3*least[0] {
		t.Errorf("giving way takes %s, with a look %s: it looked all the same", least[0], least[1])
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// toBatch is a BatchDest that writes to w.
func toBatch(w io.Writer) BatchDest {
	return batchFunc(func(_ context.Context, recs []Record) (BatchResult, error) {
		for _, r := range recs {
			w.Write(r.Data)
		}
		return BatchResult{Done: len(recs)}, nil
	})
}

// The fallback gets markers on lines of their own, and an empty record is counted
// wherever it stands.
func TestFallback_lines_of_its_own(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := make(chan struct{})
		var fallback logsinktest.Recorder
		s := mustNew(t, Options{
			Dest:     writerFunc(func(p []byte) (int, error) { <-frozen; return 0, errors.New("refused") }),
			Fallback: &fallback, FallbackAfter: time.Second, StallAfter: time.Second, MaxRecord: 10, Gap: GapText,
		})
		io.WriteString(s, "first\n") // stays in the call
		time.Sleep(10 * time.Second)
		io.WriteString(s, "no break")
		io.WriteString(s, "this is too long\n")
		io.WriteString(s, "") // first in its place, behind the marker
		io.WriteString(s, "last\n")
		time.Sleep(10 * time.Second)
		if st := mustAdd(t, s); st.Delivered != 3 || st.Markers != 1 {
			t.Errorf("while the destination does not return: %+v", st)
		}
		close(frozen)
		s.Close()
		lines := fallback.Lines()
		if len(lines) < 3 || lines[0] != "no break" || !strings.HasPrefix(lines[1], "--- 1 log records (17 bytes) dropped") || lines[2] != "last" {
			t.Errorf("%q", lines)
		}
		if st := mustAdd(t, s); st.Markers != 1 || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A destination that is gone for good is not better for the way in which Shutdown ends
// its last call.
func TestSink_stays_broken_when_shutdown_gives_up(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dest := &interrupted{deadline: make(chan struct{}, 2)}
		s := mustNew(t, Options{Dest: dest})
		io.WriteString(s, "a line\n")
		time.Sleep(time.Second)
		if st := s.Stats(); st.State != Broken || st.WriteErrors != 1 {
			t.Errorf("at first: %+v", st)
		}
		time.Sleep(time.Hour)                   // the next call hangs
		s.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // Stats has it all
		<-s.done
		if st := mustAdd(t, s); st.State != Broken || st.WriteErrors != 2 || st.LastError != os.ErrDeadlineExceeded.Error() || st.Dropped.Abandoned != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// interrupted is broken at the first call; the next one hangs until its deadline.
type interrupted struct {
	called   bool
	deadline chan struct{}
}

func (w *interrupted) Write([]byte) (int, error) {
	if !w.called {
		w.called = true
		return 0, io.ErrClosedPipe
	}
	<-w.deadline
	return 0, os.ErrDeadlineExceeded
}

func (w *interrupted) SetWriteDeadline(time.Time) error {
	w.deadline <- struct{}{}
	return nil
}

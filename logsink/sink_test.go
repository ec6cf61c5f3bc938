package logsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

func mustNew(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustAdd checks the promise of Stats, in sum and for each lane.
func mustAdd(t testing.TB, s *Sink) Stats {
	t.Helper()
	st := s.Stats()
	if got := st.Delivered + st.Dropped.Total() + st.Queued; got != st.Attempted {
		t.Fatalf("attempted %d, accounted for %d: %+v", st.Attempted, got, st)
	}
	if got := st.High.Delivered + st.High.Dropped.Total() + st.High.Queued; got != st.High.Attempted {
		t.Fatalf("high lane: attempted %d, accounted for %d: %+v", st.High.Attempted, got, st)
	}
	if st.Queued < 0 || st.High.Queued < 0 || st.High.Queued > st.Queued {
		t.Fatalf("queued makes no sense: %+v", st)
	}
	return st
}

func TestSink_delivers_in_order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec})
		var want strings.Builder
		for i := range 50_000 {
			fmt.Fprintf(s, "line %d\n", i)
			fmt.Fprintf(&want, "line %d\n", i)
			if i%1000 == 0 {
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if rec.String() != want.String() {
			t.Errorf("what arrived is not what was written (%d and %d bytes)", len(rec.String()), want.Len())
		}
		if st := mustAdd(t, s); st.Delivered != 50_000 || st.Dropped.Total() != 0 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// In every failure mode of the destination, with 64 writers: what the caller
// wrote and what arrived are counted outside, and compared with Stats.
func TestSink_accounting_is_exact(t *testing.T) {
	for name, dest := range map[string]func(io.Writer) io.Writer{
		"healthy":   func(w io.Writer) io.Writer { return w },
		"flaky":     func(w io.Writer) io.Writer { return logsinktest.NewFlaky(w, 3) },
		"partial":   func(w io.Writer) io.Writer { return logsinktest.NewPartial(w, 777) },
		"torn":      func(w io.Writer) io.Writer { return logsinktest.NewTorn(w, 2) },
		"panicking": func(w io.Writer) io.Writer { return logsinktest.NewPanicking(w, 3) },
		"slow":      func(w io.Writer) io.Writer { return logsinktest.NewSlow(w, 1<<20) },
	} {
		for _, oldest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/dropOldest=%v", name, oldest), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var rec logsinktest.Recorder
					s := mustNew(t, Options{Dest: dest(&rec), MaxBytes: 128 << 10, DropOldest: oldest, RetryMin: time.Millisecond})
					high := s.Lane(High)
					var wg sync.WaitGroup
					const writers, each = 64, 200
					for g := range writers {
						wg.Go(func() {
							pad := strings.Repeat("x", 10+g*3)
							for i := range each {
								var w io.Writer = s
								if i%10 == 0 {
									w = high
								}
								fmt.Fprintf(w, "%d %d %s\n", g, i, pad)
								if i%50 == 0 {
									time.Sleep(time.Millisecond)
								}
							}
						})
					}
					wg.Wait()
					mustAdd(t, s)
					if err := s.Shutdown(withTimeout(t, time.Hour)); err != nil {
						t.Fatal(err)
					}
					st := mustAdd(t, s)
					lines := rec.Lines()
					if st.Attempted != writers*each || st.Delivered != int64(len(lines)) || st.Queued != 0 {
						t.Errorf("wrote %d, %d arrived: %+v", writers*each, len(lines), st)
					}
					if st.High.Attempted != writers*each/10 {
						t.Errorf("high lane: %+v", st.High)
					}
					mustBeOrdered(t, lines)
				})
			})
		}
	}
}

// mustBeOrdered checks lines "writer number …": whole, ascending by writer.
func mustBeOrdered(t *testing.T, lines []string) {
	t.Helper()
	last := map[string]int{}
	for _, l := range lines {
		f := strings.Fields(l)
		if len(f) != 3 || strings.Trim(f[2], "x") != "" {
			t.Fatalf("torn line: %q", l)
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := last[f[0]]; ok && n <= was {
			t.Fatalf("writer %s: %d after %d", f[0], n, was)
		}
		last[f[0]] = n
	}
}

func withTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestSink_frozen_destination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		frozen := logsinktest.NewFrozen(&rec)
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 128 << 10})
		began := time.Now()
		line := []byte(strings.Repeat("x", 99) + "\n")
		for range 10_000 {
			if n, err := s.Write(line); n != len(line) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("Write waited %v", d)
		}
		time.Sleep(10 * time.Second)
		st := mustAdd(t, s)
		if st.Queued < 1100 || st.Queued > 1311 || st.QueuedBytes > 128<<10 || st.StalledFor < 9*time.Second {
			t.Errorf("128 KiB hold %d lines of 100 bytes: %+v", st.Queued, st)
		}
		ctx := withTimeout(t, 300*time.Millisecond)
		began = time.Now()
		err := s.Shutdown(ctx)
		if d := time.Since(began); d > 310*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown took %v: %v", d, err)
		}
		st = mustAdd(t, s)
		if st.Dropped.Abandoned == 0 || st.Queued == 0 {
			t.Errorf("after Shutdown, with one call still in the destination: %+v", st)
		}
		s.Write(line)
		if got := mustAdd(t, s).Dropped.Closed; got != 1 {
			t.Errorf("%d records counted as closed", got)
		}
		// The destination comes back too late: what it took counts after all.
		frozen.Release()
		synctest.Wait()
		if after := mustAdd(t, s); after.Queued != 0 || after.Delivered != int64(len(rec.Lines())) || after.Delivered != st.Queued {
			t.Errorf("%d lines arrived in the end: %+v", len(rec.Lines()), after)
		}
	})
}

// 64 goroutines that do nothing but write, against a destination that never
// returns, in real time. FAILOPEN_FREEZE sets how long; a second is enough to
// see that nobody is stuck.
func TestSink_writers_progress_while_frozen(t *testing.T) {
	freeze := time.Second
	if d, err := time.ParseDuration(os.Getenv("FAILOPEN_FREEZE")); err == nil {
		freeze = d
	}
	frozen := logsinktest.NewFrozen(nil)
	defer frozen.Release()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := mustNew(t, Options{Dest: frozen})
	const writers = 64
	var wg sync.WaitGroup
	gaps := make([]time.Duration, writers)
	counts := make([]int64, writers)
	end := time.Now().Add(freeze)
	for g := range writers {
		wg.Go(func() {
			line := bytes.Repeat([]byte("x"), 200)
			last := time.Now()
			// On a busy machine one of them may get a processor for the first time after
			// the end; but one that the destination blocks writes one line at most.
			for now := last; now.Before(end) || counts[g] < 2; now = time.Now() {
				gaps[g] = max(gaps[g], now.Sub(last))
				last = now
				s.Write(line)
				counts[g]++
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(freeze + time.Minute):
		t.Fatal("a goroutine did not get to its second line in a minute")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	var wrote int64
	for _, n := range counts {
		wrote += n
	}
	st := mustAdd(t, s)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%v: %d writes, at least %d by each goroutine; the longest pause of one was %v; heap + %d KiB", freeze, wrote, slices.Min(counts), slices.Max(gaps), grown>>10)
	if st.Attempted != wrote {
		t.Errorf("wrote %d, attempted %d", wrote, st.Attempted)
	}
	// How much is written depends on the machine, and so does how it is shared out.
	if os.Getenv("FAILOPEN_FREEZE") != "" && slices.Min(counts) < 1000 { // alone on the machine
		t.Errorf("a goroutine wrote only %d lines in %v", slices.Min(counts), freeze)
	}
	if grown > defaultBytes+1<<20 {
		t.Errorf("heap grew by %d bytes, the budget is %d", grown, defaultBytes)
	}
	ctx := withTimeout(t, 50*time.Millisecond)
	if err := s.Shutdown(ctx); err == nil {
		t.Error("Shutdown says that all is delivered")
	}
	deadline, _ := ctx.Deadline()
	t.Logf("Shutdown returned %v after its ctx", time.Since(deadline))
	mustAdd(t, s)
}

func TestSink_lanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		frozen := logsinktest.NewFrozen(&rec)
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 128 << 10})
		high := s.Lane(High)
		line := []byte(strings.Repeat("x", 99) + "\n")
		for range 5000 {
			s.Write(line)
		}
		before := mustAdd(t, s)
		for range 200 {
			high.Write([]byte("ERROR " + strings.Repeat("y", 93) + "\n"))
		}
		st := mustAdd(t, s)
		if st.High.Queued != 200 || st.Dropped.Full != before.Dropped.Full {
			t.Errorf("the reserve did not take the high lane's records: %+v", st)
		}
		s.Write(line)
		if got := mustAdd(t, s).Dropped.Full; got != before.Dropped.Full+1 {
			t.Errorf("a normal record got into the reserve")
		}
		for range 5000 {
			high.Write(line)
		}
		if st := mustAdd(t, s); st.QueuedBytes > 128<<10 || st.High.Dropped.Full == 0 {
			t.Errorf("the high lane has no bound: %+v", st)
		}
		frozen.Release()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if st := mustAdd(t, s); st.Delivered != int64(len(rec.Lines())) {
			t.Errorf("%d arrived: %+v", len(rec.Lines()), st)
		}
	})
}

func TestSink_keeps_the_newest_when_told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		frozen := logsinktest.NewFrozen(&rec)
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 64 << 10, DropOldest: true, Gap: GapText})
		synctest.Wait()
		for i := range 5000 {
			fmt.Fprintf(s, "%04d %s\n", i, strings.Repeat("x", 94))
			if i == 0 {
				synctest.Wait()
			}
		}
		frozen.Release()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		st := mustAdd(t, s)
		lines := rec.Lines()
		if !strings.HasPrefix(lines[len(lines)-1], "4999") || !strings.HasPrefix(lines[0], "0000") {
			t.Errorf("first %q, last %q", lines[0], lines[len(lines)-1])
		}
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "---") })
		if at < 0 || !strings.Contains(lines[at], fmt.Sprintf("--- %d log records", st.Dropped.Evicted)) {
			t.Fatalf("no marker of %d lost lines in %d", st.Dropped.Evicted, len(lines))
		}
		before, _ := strconv.Atoi(lines[at-1][:4])
		after, _ := strconv.Atoi(lines[at+1][:4])
		if int64(after-before-1) != st.Dropped.Evicted {
			t.Errorf("marker between %d and %d, %d lost", before, after, st.Dropped.Evicted)
		}
	})
}

func TestSink_marker_stands_at_the_gap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		frozen := logsinktest.NewFrozen(&rec)
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 64 << 10, Gap: GapText})
		n := 0
		write := func(count int) {
			for range count {
				fmt.Fprintf(s, "%05d %s\n", n, strings.Repeat("x", 93))
				n++
			}
		}
		write(3000)
		lost := mustAdd(t, s).Dropped.Full
		frozen.Release()
		synctest.Wait()
		time.Sleep(time.Second) // it drains; nobody writes
		write(10)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		st := mustAdd(t, s)
		lines := rec.Lines()
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "---") })
		if at < 0 || !strings.Contains(lines[at], fmt.Sprintf("--- %d log records (%d bytes)", lost, lost*100)) || st.Markers != 1 {
			t.Fatalf("no marker of %d lost lines, or more than one: %+v", lost, st)
		}
		before, _ := strconv.Atoi(lines[at-1][:5])
		after, _ := strconv.Atoi(lines[at+1][:5])
		if int64(after-before-1) != lost || after != 3000 {
			t.Errorf("the marker is between %d and %d", before, after)
		}
		if st.Delivered != int64(len(lines)-1) {
			t.Errorf("the marker counts as a record: %+v", st)
		}
	})
}

func TestSink_oversize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, MaxBytes: 1 << 20, Gap: GapJSON})
		long := strings.Repeat("x", 256<<10-1) + "\n"
		io.WriteString(s, "before\n")
		io.WriteString(s, long) // its own chunk, of several frames
		io.WriteString(s, long+"x")
		io.WriteString(s, "after\n")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		st := mustAdd(t, s)
		lines := rec.Lines()
		if st.Dropped.Oversize != 1 || st.Delivered != 3 || len(lines) != 4 || len(lines[1]) != len(long)-1 || !strings.Contains(lines[2], `"oversize":1`) {
			t.Errorf("%d lines: %+v", len(lines), st)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestSink_many_small_and_empty_records(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec})
		for i := range 100_000 {
			s.Write([]byte("xy")[:i%3])
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if st := mustAdd(t, s); st.Delivered != 100_000 || len(rec.String()) != 99_999 {
			t.Errorf("%d bytes arrived: %+v", len(rec.String()), st)
		}
	})
}

func TestSink_flush_waits_for_what_was_written_before(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: logsinktest.NewSlow(&rec, 1000)})
		io.WriteString(s, strings.Repeat("x", 499)+"\n")
		if err := s.Flush(withTimeout(t, time.Minute)); err != nil || len(rec.String()) != 500 {
			t.Errorf("%d bytes after Flush: %v", len(rec.String()), err)
		}
		io.WriteString(s, strings.Repeat("x", 4999)+"\n")
		began := time.Now()
		if err := s.Sync(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sync: %v", err)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("Sync took %v", d)
		}
		if err := s.Shutdown(withTimeout(t, time.Minute)); err != nil {
			t.Error(err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Errorf("Flush after Shutdown: %v", err)
		}
	})
}

func TestSink_lingers_then_sleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		s := mustNew(t, Options{Dest: writerFunc(func(p []byte) (int, error) {
			at = append(at, time.Since(began))
			return len(p), nil
		})})
		time.Sleep(time.Hour) // asleep: no timer runs, or this would take long
		began = time.Now()
		io.WriteString(s, "first\n")
		synctest.Wait()
		io.WriteString(s, "second\n")
		synctest.Wait()
		time.Sleep(3 * time.Millisecond)
		s.Lane(High).Write([]byte("third\n"))
		synctest.Wait()
		want := []time.Duration{0, 2 * time.Millisecond, 3 * time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("writes at %v, want %v", at, want)
		}
		s.Close()
	})
}

func TestSink_max_write_keeps_records_whole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var longest, torn int
		s := mustNew(t, Options{MaxWrite: 4096, Dest: writerFunc(func(p []byte) (int, error) {
			longest = max(longest, len(p))
			if p[len(p)-1] != '\n' {
				torn++
			}
			return len(p), nil
		})})
		r := rand.New(rand.NewPCG(1, 2))
		for range 10_000 {
			io.WriteString(s, strings.Repeat("x", r.IntN(1000))+"\n")
		}
		s.Close()
		if longest > 4096 || longest < 3000 || torn > 0 {
			t.Errorf("longest write %d bytes, %d torn", longest, torn)
		}
	})
}

func TestNew_refuses_contradictions(t *testing.T) {
	for want, o := range map[string]Options{
		"Options.Dest or Options.Batch":          {},
		"Options.MaxBytes is 5, the least":       {Dest: io.Discard, MaxBytes: 5},
		"Options.MaxRecord is 99999999":          {Dest: io.Discard, MaxRecord: 99999999},
		"Options.RetryMin is 1h0m0s and Options": {Dest: io.Discard, RetryMin: time.Hour, RetryMax: time.Minute},
		"Options.SpillBytes or SpillAge is set":  {Dest: io.Discard, SpillBytes: 1 << 30},
		"Options.StallAfter is -1ns":             {Dest: io.Discard, StallAfter: -1},
		"Options.MaxWrite is -1":                 {Dest: io.Discard, MaxWrite: -1},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestWrite_does_not_allocate(t *testing.T) {
	frozen := logsinktest.NewFrozen(nil)
	defer frozen.Release()
	for name, o := range map[string]Options{
		"healthy": {Dest: io.Discard},
		"frozen":  {Dest: frozen},
	} {
		mustNotAllocate(t, name, o)
	}
}

func mustNotAllocate(t *testing.T, name string, o Options) {
	t.Helper()
	line := bytes.Repeat([]byte("x"), 200)
	s := mustNew(t, o)
	if n := testing.AllocsPerRun(100_000, func() { s.Write(line) }); n > 0.01 {
		t.Errorf("%s: %v allocations a Write", name, n)
	}
	s.Shutdown(withTimeout(t, time.Millisecond)) //nolint:errcheck // it may be frozen
}

func TestVar_is_json(t *testing.T) {
	s := mustNew(t, Options{Dest: io.Discard})
	s.Close()
	if got := (Var{s}).String(); !strings.Contains(got, `"attempted":0`) || !strings.Contains(got, `"state":"healthy"`) {
		t.Error(got)
	}
}

package logsink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

func jsonHandler(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }

func TestNewHandler_is_a_slog_handler(t *testing.T) {
	var rec logsinktest.Recorder
	s := mustNew(t, Options{Dest: &rec})
	defer s.Close()
	err := slogtest.TestHandler(NewHandler(s, jsonHandler), func() []map[string]any {
		if err := s.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		var all []map[string]any
		for _, l := range rec.Lines() {
			m := map[string]any{}
			if err := json.Unmarshal([]byte(l), &m); err != nil {
				t.Errorf("%v: %s", err, l)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNewHandler_maps_levels_to_lanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Dest: io.Discard})
		log := slog.New(NewHandler(s, jsonHandler)).With("a", 1).WithGroup("g")
		log.Debug("not enabled")
		log.Info("normal")
		log.Warn("high")
		log.Error("high")
		s.Close()
		if st := mustAdd(t, s); st.Attempted != 3 || st.High.Attempted != 2 {
			t.Errorf("%+v", st)
		}
	})
}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes []string
		s := mustNew(t, Options{MaxBytes: 64 << 10, MaxRecord: 16, MaxWrite: 1, Dest: writerFunc(func(p []byte) (int, error) {
			writes = append(writes, string(p))
			return len(p), nil
		})})
		l := s.Lines()
		for _, p := range []string{"one\ntw", "", "o\n", "\n", "exactly sixteen.", "\n", "a line that is longer than a record\nta", "il"} {
			if n, err := io.WriteString(l, p); n != len(p) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		l.Close()
		s.Close()
		want := []string{"one\n", "two\n", "\n", "exactly sixteen.", "\n", "a line that is l", "onger than a rec", "ord\n", "tail\n"}
		if fmt.Sprint(writes) != fmt.Sprint(want) {
			t.Errorf("got %q", writes)
		}
		if st := mustAdd(t, s); st.Delivered != int64(len(want)) {
			t.Errorf("%+v", st)
		}
	})
}

func TestLines_of_a_child(t *testing.T) {
	var rec logsinktest.Recorder
	s := mustNew(t, Options{Dest: &rec})
	out := s.Lines()
	cmd := exec.Command("sh", "-c", "echo out; echo err >&2; printf 'no line break'")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		t.Skip(err)
	}
	out.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if rec.String() != "out\nerr\nno line break\n" || s.Stats().Delivered != 3 {
		t.Errorf("%q", rec.String())
	}
}

func TestRecover_flushes_and_panics_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, Linger: time.Hour})
		defer s.Close()
		io.WriteString(s, "asleep\n")
		synctest.Wait()
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("recovered %v", r)
				}
				if rec.String() != "asleep\nlast words\n" {
					t.Errorf("before the panic went on: %q", rec.String())
				}
			}()
			defer s.Recover()
			io.WriteString(s, "last words\n")
			panic("boom")
		}()
		func() {
			defer s.Recover() // without a panic it does nothing
		}()
	})
}

func TestOnEvent_during_a_freeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(io.Discard)
		began := time.Now()
		var got []string
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 64 << 10, OnEvent: func(e Event) {
			got = append(got, fmt.Sprintf("%v %v %d", e.Time.Sub(began), e.Kind, e.Gap.Dropped))
		}})
		synctest.Wait()
		s.Write([]byte("in flight\n"))
		synctest.Wait()
		s.Write(bytes.Repeat([]byte("x"), 16<<10-100))
		time.Sleep(100 * time.Millisecond)
		for range 3 {
			s.Write(bytes.Repeat([]byte("x"), 16<<10-100))
		}
		time.Sleep(5 * time.Second)
		frozen.Release()
		time.Sleep(time.Second)
		s.Close()
		synctest.Wait()
		want := "100ms gap opened 0\n1s stalled 0\n5.1s recovered 0\n5.1s gap closed 1"
		if strings.Join(got, "\n") != want {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
		}
	})
}

// batches is a BatchDest that records, and answers as it is told.
type batches struct {
	lines  []string
	times  []time.Time
	high   int
	answer func(recs []Record) (BatchResult, error)
	calls  int
}

func (b *batches) WriteBatch(ctx context.Context, recs []Record) (BatchResult, error) {
	b.calls++
	res, err := BatchResult{Done: len(recs)}, error(nil)
	if b.answer != nil {
		res, err = b.answer(recs)
	}
	for i := 0; i < res.Done && i < len(recs); i++ {
		if slices.Contains(res.Rejected, i) {
			continue
		}
		b.lines = append(b.lines, string(recs[i].Data))
		b.times = append(b.times, recs[i].Time)
		if recs[i].Priority == High {
			b.high++
		}
	}
	return res, err
}

func TestBatch_gets_records_with_time_and_priority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batches{}
		s := mustNew(t, Options{Batch: b, Gap: GapText, MaxRecord: 1000})
		began := time.Now()
		for i := range 100 {
			fmt.Fprintf(s, "%d\n", i)
			time.Sleep(3 * time.Millisecond)
		}
		s.Lane(High).Write([]byte("error\n"))
		s.Write(make([]byte, 2000))
		io.WriteString(s, "after\n")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if len(b.lines) != 103 || b.high != 1 || !strings.HasPrefix(b.lines[101], "--- 1 log records (2000 bytes)") || b.calls > 2 {
			t.Errorf("%d calls, %d high, %q", b.calls, b.high, b.lines)
		}
		for i := range 100 {
			if got := b.times[i].Sub(began); got != time.Duration(i)*3*time.Millisecond {
				t.Fatalf("line %d has time %v", i, got)
			}
		}
		if st := mustAdd(t, s); st.Delivered != 102 || st.Markers != 1 || st.Dropped.Oversize != 1 {
			t.Errorf("%+v", st)
		}
	})
}

type later struct{ time.Duration }

func (later) Error() string               { return "throttled" }
func (l later) RetryAfter() time.Duration { return l.Duration }

func TestBatch_partial_rejected_and_retried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := 0
		b := &batches{answer: func(recs []Record) (BatchResult, error) {
			switch turn++; turn {
			case 1:
				return BatchResult{Done: 7, Rejected: []int{0, 6}}, nil
			case 2:
				return BatchResult{}, fmt.Errorf("calling home: %w", later{time.Minute})
			case 3:
				panic("batch")
			case 4:
				return BatchResult{Done: -5}, nil // nonsense
			case 5:
				return BatchResult{}, nil
			}
			return BatchResult{Done: len(recs)}, nil
		}}
		began := time.Now()
		s := mustNew(t, Options{Batch: b})
		for i := range 20 {
			fmt.Fprintf(s, "%d\n", i)
		}
		if err := s.Shutdown(withTimeout(t, time.Hour)); err != nil {
			t.Fatal(err)
		}
		st := mustAdd(t, s)
		if st.Dropped.Rejected != 2 || st.Delivered != 18 || len(b.lines) != 18 || st.WriteErrors != 4 || st.Panics != 1 {
			t.Errorf("%+v", st)
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("took %v: Shutdown cuts a pause short", d)
		}
	})
}

func TestBatch_shutdown_ends_the_call(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Batch: hangs{}})
		io.WriteString(s, "one\n")
		began := time.Now()
		if err := s.Shutdown(withTimeout(t, 3*time.Second)); err == nil {
			t.Error("Shutdown says that all is delivered")
		}
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("Shutdown took %v", d)
		}
		if st := mustAdd(t, s); st.Dropped.Abandoned != 1 || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
	})
}

type hangs struct{}

func (hangs) WriteBatch(ctx context.Context, _ []Record) (BatchResult, error) {
	<-ctx.Done()
	return BatchResult{}, ctx.Err()
}

// Random destinations against random writers: whatever happens, every record
// ends in one count, and what arrives is whole and in order.
func FuzzSink_accounting(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x30\x41\x52\x63\x74\x85\x96\xa7\xb8\xc9\xda\xeb\xfc"), uint8(0))
	f.Add([]byte("everything fails all the time"), uint8(1))
	f.Add([]byte("\xff\xfe\x01\x01\x02\x03\x05\x08\x0d\x15"), uint8(2))
	f.Fuzz(func(t *testing.T, script []byte, mode uint8) {
		if len(script) == 0 || len(script) > 200 {
			t.Skip("a script has 1 to 200 steps")
		}
		synctest.Test(t, func(t *testing.T) {
			var rec logsinktest.Recorder
			at := 0
			next := func() byte { at++; return script[at%len(script)] }
			dest := writerFunc(func(p []byte) (int, error) {
				b := next()
				switch b % 8 {
				case 0:
					return 0, io.ErrUnexpectedEOF
				case 1:
					panic("fuzz")
				case 2:
					n, _ := rec.Write(p[:len(p)*int(b)/256])
					return n, io.ErrNoProgress
				case 3:
					n, _ := rec.Write(p[:len(p)/2])
					return n, nil
				case 4:
					time.Sleep(time.Duration(b) * time.Millisecond)
				}
				return rec.Write(p)
			})
			o := Options{Dest: dest, MaxBytes: 64 << 10, MaxRecord: 2000, DropOldest: mode&1 > 0, RetryMin: time.Millisecond, RetryMax: 100 * time.Millisecond}
			if mode&2 > 0 {
				o.Linger = -1
			}
			if mode&4 > 0 {
				o.MaxWrite = 512
			}
			s := mustNew(t, o)
			writes := 0
			for i, b := range script {
				for range int(b) {
					fmt.Fprintf(s, "0 %d %s\n", writes, strings.Repeat("x", 1+int(b)*(i%9)))
					writes++
				}
				if b%16 == 0 {
					time.Sleep(time.Duration(b) * time.Millisecond)
				}
				mustAdd(t, s)
			}
			s.Shutdown(withTimeout(t, time.Duration(script[0])*time.Second))
			time.Sleep(time.Second) // a call that was under way ends
			st := mustAdd(t, s)
			lines := rec.Lines()
			if st.Dropped.Abandoned > 0 && !strings.HasSuffix(rec.String(), "\n") {
				lines = lines[:max(0, len(lines)-1)] // the one that was under way
			}
			if st.Attempted != int64(writes) || st.Queued != 0 || st.Delivered != int64(len(lines)) {
				t.Errorf("%d written, %d arrived: %+v", writes, len(lines), st)
			}
			mustBeOrdered(t, lines)
		})
	})
}

// A lane is what zap takes for a WriteSyncer.
func TestLane_syncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, Linger: time.Hour})
		defer s.Close()
		lane, ok := s.Lane(High).(interface {
			io.Writer
			Sync() error
		})
		if !ok {
			t.Fatal("a lane has no Sync")
		}
		io.WriteString(lane, "line\n")
		if err := lane.Sync(); err != nil || rec.String() != "line\n" {
			t.Errorf("%q, %v", rec.String(), err)
		}
	})
}

package logsink

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// sealedLog is what arrives of n lines from a sink with seals.
func sealedLog(t *testing.T, n int, o Options) []string {
	t.Helper()
	var rec logsinktest.Recorder
	o.Dest, o.Seal, o.MaxBytes = &rec, true, 1<<20
	s := mustNew(t, o)
	for i := range n {
		fmt.Fprintf(s, "line %d\n", i+1)
		if i%1000 == 999 {
			time.Sleep(time.Second)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if st := mustAdd(t, s); st.Delivered != int64(n) || st.Markers != 0 {
		t.Errorf("%+v", st)
	}
	return rec.Lines()
}

func verified(t *testing.T, lines []string) LogReport {
	t.Helper()
	r, err := VerifyLog(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func isSeal(line string) bool { return strings.HasPrefix(line, `{"logsink_seal":`) }

// Everything arrived; then lines and seals go missing on the way, come twice, are
// mixed with another run's, or are changed, and verify says what.
func TestVerifyLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := sealedLog(t, 5000, Options{})
		other := sealedLog(t, 100, Options{})
		r := verified(t, log)
		if r.Lines != 5000 || r.Sealed != 5000 || r.Unsealed != 0 || r.Missing() != 0 || len(r.Runs) != 1 || !r.Runs[0].Ended || len(r.Runs[0].Where) != 0 || r.Runs[0].Seals < 5 {
			t.Fatalf("%v", r)
		}
		without := func(gone func(i int, line string) bool) []string {
			var kept []string
			for i, l := range log {
				if !gone(i, l) {
					kept = append(kept, l)
				}
			}
			return kept
		}
		named := func(names ...string) func(int, string) bool {
			return func(_ int, l string) bool { return slices.Contains(names, l) }
		}
		r = verified(t, without(named("line 7", "line 8", "line 4321")))
		if got := r.String(); r.Missing() != 3 || !strings.Contains(got, ": lines 7-8: lost behind the sink") || !strings.Contains(got, ": lines 4321: lost behind the sink") {
			t.Errorf("%v", got)
		}
		seals := 0
		var between [4]int64 // lines after seal 0, 1, 2 and 3
		r = verified(t, without(func(_ int, l string) bool {
			if isSeal(l) {
				seals++
			} else if seals < len(between) {
				between[seals]++
			}
			return seals == 2 // everything from the second seal to the third
		}))
		if got := r.String(); r.Missing() != between[2] || r.Runs[0].Unchecked != between[1] || !strings.Contains(got, "seals 2 to 2 are missing") {
			t.Errorf("%v: %v", between, got)
		}
		r = verified(t, without(func(i int, l string) bool { return i >= len(log)-1 }))
		if r.Missing() != 0 || r.Runs[0].Ended {
			t.Errorf("without its end: %v", r)
		}
		again := slices.Concat(log[:500], log[:500], other[:50], log[500:], other[50:])
		r = verified(t, again)
		twice := int64(len(slices.DeleteFunc(slices.Clone(log[:500]), isSeal)))
		if r.Missing() != 0 || r.Unsealed != twice || len(r.Runs) != 2 {
			t.Errorf("repeated and mixed: %v", r)
		}
		changed := slices.Clone(log)
		at := slices.IndexFunc(changed, isSeal)
		changed[at] = strings.Replace(changed[at], `"total":`, `"total":1`, 1)
		if got := verified(t, changed).String(); !strings.Contains(got, "the seal is damaged") {
			t.Errorf("%v", got)
		}
		changed = slices.Clone(log)
		changed[3] = "line four"
		r = verified(t, changed)
		if r.Missing() != 1 || r.Unsealed != 1 {
			t.Errorf("a changed line: %v", r)
		}
	})
}

// What the sink lost is told from what was lost behind it, and a destination of
// records has seals as well.
func TestSeal_tells_what_the_sink_lost(t *testing.T) {
	for _, batch := range []bool{false, true} {
		t.Run(fmt.Sprintf("batch=%v", batch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var rec logsinktest.Recorder
				frozen := logsinktest.NewFrozen(&rec)
				o := Options{Seal: true, MaxBytes: 64 << 10, Gap: GapText}
				if batch {
					o.Batch = toBatch(frozen)
				} else {
					o.Dest = frozen
				}
				s := mustNew(t, o)
				for i := range 10_000 {
					fmt.Fprintf(s, "line %d\n", i)
				}
				s.Write([]byte("two\nlines\n"))
				frozen.Release()
				time.Sleep(time.Minute)
				io.WriteString(s, "last\n")
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				st := mustAdd(t, s)
				r := verified(t, rec.Lines())
				if len(r.Runs) != 1 || r.Missing() != 0 || r.Runs[0].Lost != st.Dropped || st.Dropped.Full == 0 || r.Unsealed != st.Markers || st.Markers == 0 {
					t.Errorf("%v%+v", r, st)
				}
			})
		})
	}
}

func FuzzVerifyLog(f *testing.F) {
	f.Add("line\n{\"logsink_seal\":1,\"run\":\"a\",\"n\":1,\"total\":9223372036854775807,\"lines\":\"AAAA\"}\n")
	f.Add("x {\"logsink_seal\":1}\n{\"logsink_seal\":")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := VerifyLog(strings.NewReader(text))
		if err != nil || r.Sealed > r.Lines || r.Unsealed < 0 {
			t.Errorf("%+v, %v", r, err)
		}
		_ = r.String()
	})
}

// Records without a line break, pieces of long lines and markers that end without
// one: seals and markers have lines of their own, and no seal accuses falsely.
func TestSeal_of_records_without_a_line_break(t *testing.T) {
	for name, c := range map[string]struct {
		o     Options
		write func(s *Sink)
		lines []string // that arrive, beside seals and markers
	}{
		"each sealed by itself": {Options{Linger: -1}, func(s *Sink) {
			for _, text := range []string{"a", "b\n", "c"} {
				io.WriteString(s, text)
				synctest.Wait()
			}
		}, []string{"a", "b", "c"}},
		"sealed together": {Options{}, func(s *Sink) {
			for _, text := range []string{"a", "b\nc", "d", "\r\n", "\n", "e"} {
				io.WriteString(s, text)
			}
		}, []string{"ab", "cd\r", "e"}},
		"lines longer than a record": {Options{MaxRecord: 100}, func(s *Sink) {
			w := s.Lines()
			for range 5 {
				fmt.Fprintln(w, strings.Repeat("x", 250))
			}
			w.Close()
		}, slices.Repeat([]string{strings.Repeat("x", 250)}, 5)},
		"records that are cut": {Options{MaxRecord: 100, Truncate: true}, func(s *Sink) {
			io.WriteString(s, strings.Repeat("x", 250))
			io.WriteString(s, "y\n")
		}, nil},
		"a marker without a line break": {Options{MaxRecord: 100, Gap: func(GapInfo) []byte { return []byte("marker") }}, func(s *Sink) {
			io.WriteString(s, "a")
			io.WriteString(s, strings.Repeat("x", 101))
			io.WriteString(s, "b\n")
		}, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var rec logsinktest.Recorder
				c.o.Dest, c.o.Seal = &rec, true
				s := mustNew(t, c.o)
				io.WriteString(s, "first\n")
				synctest.Wait() // the drainer lingers: what follows waits for the clock, or for Sync
				c.write(s)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				var lines []string
				for _, line := range rec.Lines() {
					switch {
					case strings.Contains(line, "logsink_seal"):
						if !isSeal(line) {
							t.Errorf("a seal behind something: %q", line)
						}
					case strings.Contains(line, "marker"):
						if line != "marker" {
							t.Errorf("a marker beside something: %q", line)
						}
					case line != "" && line != "first":
						lines = append(lines, line)
					}
				}
				if c.lines != nil && !slices.Equal(lines, c.lines) {
					t.Errorf("arrived %q, want %q", lines, c.lines)
				}
				markers := int64(strings.Count(rec.String(), "marker\n"))
				if r := verified(t, rec.Lines()); r.Missing() != 0 || r.Unsealed != markers || len(r.Runs) != 1 || !r.Runs[0].Ended || len(r.Runs[0].Where) != 0 {
					t.Errorf("%v\n%s", r, rec.String())
				}
			})
		})
	}
}

// A seal lists the lines of its process: what an earlier one left without a line break
// at the end of a file, or in a destination that nobody can read, does not run into
// them; and what is as good as empty and has no line break does not run into the next
// chunk.
func TestSeal_begins_on_a_line_of_its_own(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, texts := range [][]string{{"a", "b"}, {"\r", "c"}, {"d\n", "e"}, {"f", "\r"}} {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		s := mustNew(t, Options{Dest: f, Seal: true})
		for _, text := range texts {
			io.WriteString(s, text)
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, "cut off") // by a process that was killed here
		f.Close()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	r := verified(t, lines)
	if r.Missing() != 0 || r.Sealed != 6 || r.Unsealed != 4 {
		t.Errorf("%v\n%s", r, b)
	}
	for _, run := range r.Runs {
		if len(run.Where) > 0 {
			t.Errorf("%+v", run)
		}
	}
}

// A destination that took a part of a line and is no file: the next process delivers
// the line again, on a line of its own.
func TestSeal_behind_a_piece_of_a_line(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	var rec logsinktest.Recorder
	taken := false
	part := writerFunc(func(p []byte) (int, error) {
		if taken {
			return 0, io.ErrUnexpectedEOF
		}
		taken = true
		return rec.Write(p[:3])
	})
	s := mustNew(t, Options{Dest: part, Mapped: path, Seal: true, CloseTimeout: 50 * time.Millisecond})
	<-s.mover.tried
	io.WriteString(s, "hello\n")
	s.Close() //nolint:errcheck // the rest is left
	<-s.mover.done
	s = mustNew(t, Options{Dest: &rec, Mapped: path, Seal: true})
	<-s.mover.tried
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	lines := rec.Lines()
	if r := verified(t, lines); r.Missing() != 0 || r.Sealed != 1 || r.Lines != 2 {
		t.Errorf("%v: %q", r, lines)
	}
}

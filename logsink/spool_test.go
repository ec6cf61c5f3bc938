//go:build linux

package logsink

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// sequence is a destination that checks lines "number padding" on the way, and
// that they ascend by one, without keeping them.
type sequence struct {
	next, lines, repeated, skipped int
	torn                           []string
	holes                          []int // where lines were skipped
	part                           []byte
	count                          atomic.Int64
}

func (q *sequence) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if q.part = append(q.part, line...); line[len(line)-1] != '\n' {
			continue
		}
		f := bytes.Fields(q.part)
		n, err := -1, error(nil)
		if len(f) == 2 && strings.Trim(string(f[1]), "x") == "" {
			n, err = strconv.Atoi(string(f[0]))
		}
		if err != nil || n < 0 {
			q.torn = append(q.torn, string(q.part))
		}
		switch {
		case n < q.next:
			q.repeated++
		case n > q.next:
			q.holes = append(q.holes, q.next)
			q.skipped += n - q.next
			q.next = n + 1
		default:
			q.next++
		}
		q.lines++
		q.part = q.part[:0]
	}
	q.count.Store(int64(q.lines))
	return len(p), nil
}

func (q *sequence) mustBe(t *testing.T, next int) {
	t.Helper()
	if q.next != next || q.repeated > 0 || q.skipped > 0 || len(q.torn) > 0 {
		t.Errorf("got up to %d of %d; %d repeated, %d skipped, %d torn %.3q", q.next, next, q.repeated, q.skipped, len(q.torn), q.torn)
	}
}

func numbered(s io.Writer, from, to int) {
	var b []byte
	pad := strings.Repeat("x", 30)
	for i := from; i < to; i++ {
		b = fmt.Appendf(b[:0], "%d %s\n", i, pad)
		s.Write(b)
	}
}

func dirSize(t testing.TB, dir string) (size int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// An outage of two hours at 1,000 lines a second.
func TestSpill_outage_of_hours(t *testing.T) {
	outage := 2 * time.Hour
	if testing.Short() || raceDetector {
		outage = 10 * time.Minute
	}
	const bound = 512 << 20
	dir := t.TempDir()
	var onDisk int64
	synctest.Test(t, func(t *testing.T) {
		var got sequence
		frozen := logsinktest.NewFrozen(&got)
		s := mustNew(t, Options{Dest: frozen, SpillDir: dir, SpillBytes: bound})
		n := 0
		for end := time.Now().Add(outage); time.Now().Before(end); n += 100 {
			numbered(s, n, n+100)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if n%60_000 == 0 {
				onDisk = max(onDisk, dirSize(t, dir))
			}
		}
		st := mustAdd(t, s)
		if st.Dropped.Total() != 0 || st.QueuedBytes > defaultBytes || st.SpilledBytes > bound {
			t.Errorf("at the end of the outage: %+v", st)
		}
		frozen.Release()
		for range 1000 { // the service goes on
			numbered(s, n, n+100)
			n += 100
			time.Sleep(100 * time.Millisecond)
		}
		if err := s.Shutdown(withTimeout(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		st = mustAdd(t, s)
		if st.Delivered != int64(n) || st.Spilled != 0 || st.SpilledBytes != 0 || st.DiskErrors != 0 {
			t.Errorf("after the outage, %d lines: %+v", n, st)
		}
		got.mustBe(t, n)
		t.Logf("%d lines in %v, at most %d MiB on disk", n, outage, onDisk>>20)
	})
	if onDisk > bound {
		t.Errorf("%d bytes on disk, the bound is %d", onDisk, bound)
	}
}

// What is in memory, in the spill and stuck in the destination is there again
// after a restart, in order.
func TestSpill_survives_a_restart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const n = 50_000
		frozen := logsinktest.NewFrozen(nil)
		defer frozen.Release()
		s := mustNew(t, Options{Dest: logsinktest.NewPartial(frozen, 1<<20), MaxBytes: 256 << 10, SpillDir: dir})
		for i := 0; i < n; i += 100 {
			numbered(s, i, i+100)
			synctest.Wait()
		}
		if err := s.Shutdown(withTimeout(t, time.Second)); err == nil {
			t.Error("Shutdown says that all is delivered")
		}
		if st := mustAdd(t, s); st.Dropped.Total() != 0 || st.Queued != n {
			t.Errorf("after Shutdown: %+v", st)
		}
		var got sequence
		s = mustNew(t, Options{Dest: &got, SpillDir: dir})
		if st := s.Stats(); st.DiskError == "" {
			t.Fatalf("two sinks share a directory: %+v", st)
		}
		s.Close()
		frozen.Release() // the first process ends
		synctest.Wait()
		s = mustNew(t, Options{Dest: &got, SpillDir: dir})
		numbered(s, n, n+100)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// The stuck chunk was delivered after all, when the first process
		// ended; the sink knew, and did not repeat it.
		if st := mustAdd(t, s); st.Recovered == 0 || st.Dropped.Total() != 0 {
			t.Errorf("%+v", st)
		}
		if got.next != n+100 || got.repeated > 0 || len(got.torn) > 0 {
			t.Errorf("%+v", &got)
		}
		if size := dirSize(t, dir); size > 0 {
			t.Errorf("%d bytes are left on disk", size)
		}
	})
}

func TestSpill_bound(t *testing.T) {
	for _, oldest := range []bool{false, true} {
		t.Run(fmt.Sprintf("dropOldest=%v", oldest), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var got sequence
				frozen := logsinktest.NewFrozen(&got)
				s := mustNew(t, Options{Dest: frozen, MaxBytes: 256 << 10, SpillDir: dir, SpillBytes: 1 << 20, DropOldest: oldest})
				const n = 100_000
				for i := 0; i < n; i += 100 {
					numbered(s, i, i+100)
					synctest.Wait()
				}
				st := mustAdd(t, s)
				if st.SpilledBytes > 1<<20 || dirSize(t, dir) > 1<<20 || st.Spilled == 0 {
					t.Errorf("the bound is 1 MiB: %+v", st)
				}
				if oldest && (st.Dropped.Full > 0 || st.Dropped.Evicted == 0) || !oldest && (st.Dropped.Full == 0 || st.Dropped.Evicted > 0) {
					t.Errorf("%+v", st.Dropped)
				}
				frozen.Release()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				st = mustAdd(t, s)
				if int(st.Delivered) != got.lines || got.repeated > 0 || len(got.torn) > 0 || int(st.Delivered+st.Dropped.Total()) != n {
					t.Errorf("%d lines arrived: %+v", got.lines, st)
				}
				if oldest && got.next != n {
					t.Errorf("the newest line is missing, the last was %d", got.next-1)
				}
			})
		})
	}
}

// leave fills dir with records that a process could not deliver.
func leave(t *testing.T, dir string, n int) {
	t.Helper()
	frozen := logsinktest.NewFrozen(nil)
	s := mustNew(t, Options{Dest: &failsAfter{frozen}, SpillDir: dir, MaxBytes: 256 << 10, Linger: time.Hour})
	for i := 0; i < n; i += 100 {
		numbered(s, i, i+100)
		synctest.Wait()
	}
	if err := s.Shutdown(withTimeout(t, time.Second)); err == nil {
		t.Error("Shutdown says that all is delivered")
	}
	frozen.Release() // the process ends
	synctest.Wait()
}

func TestSpill_damaged_segment(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"torn tail": func(b []byte) []byte { return b[:len(b)-1000] },
		"one record": func(b []byte) []byte {
			i := bytes.Index(b, []byte("\n5000 "))
			b[i+10] ^= 1
			return b
		},
		"one header": func(b []byte) []byte {
			i := bytes.Index(b[100_000:], []byte("LSF2")) + 100_000
			b[i+9] ^= 1
			return b
		},
		"a hole":       func(b []byte) []byte { clear(b[70_000:90_000]); return b },
		"empty":        func(b []byte) []byte { return nil },
		"other's file": func(b []byte) []byte { return []byte("not a segment at all, and no frame in it\n") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				const n = 20_000
				leave(t, dir, n)
				segs, err := filepath.Glob(filepath.Join(dir, "*.seg"))
				if err != nil || len(segs) < 2 {
					t.Fatal(segs, err)
				}
				path := segs[1] // the first is the chunk that was stuck
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(b), 0o600); err != nil {
					t.Fatal(err)
				}
				var got sequence
				s := mustNew(t, Options{Dest: &got, SpillDir: dir})
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				st := mustAdd(t, s)
				if len(got.torn) > 0 || got.repeated > 0 || int(st.Delivered) != got.lines {
					t.Errorf("%d lines, torn %.3q: %+v", got.lines, got.torn, st)
				}
				if got.lines+got.skipped != got.next {
					t.Errorf("lines %d, skipped %d, up to %d", got.lines, got.skipped, got.next)
				}
				if name != "empty" && name != "one record" && !strings.Contains(st.LastDiskError, "damaged.bad") {
					t.Errorf("damage was not told: %+v", st)
				}
				if name == "one record" && (st.Dropped.Corrupt != 1 || got.skipped != 1) {
					t.Errorf("one damaged byte cost %d records, %d skipped", st.Dropped.Corrupt, got.skipped)
				}
				t.Logf("%d of %d lines arrived, %d corrupt, %s", got.lines, n, st.Dropped.Corrupt, st.LastDiskError)
			})
		})
	}
}

func TestSpill_that_cannot_be_had(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, "/proc/1/nowhere"} {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, SpillDir: dir})
		io.WriteString(s, "works\n")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); rec.String() != "works\n" || st.DiskErrors != 1 || !strings.Contains(st.DiskError, dir) {
			t.Errorf("%+v", st)
		}
	}
}

// The marker of a gap stands in its place after a spill and after a restart
// too. The destination takes a little now and then, so that gaps open and close
// while most of the queue waits; then the process ends.
func TestGap_survives_spill_and_restart(t *testing.T) {
	for _, kind := range []string{"spill", "mapped"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var rec logsinktest.Recorder
				allowed := make(chan struct{}, 1000)
				end := make(chan struct{})
				dest := writerFunc(func(p []byte) (int, error) {
					select {
					case <-allowed:
						return rec.Write(p)
					case <-end:
						return 0, io.ErrUnexpectedEOF
					}
				})
				o := Options{Dest: dest, MaxBytes: 256 << 10, MaxWrite: 64 << 10, Gap: GapText}
				if kind == "spill" {
					o.SpillDir, o.SpillBytes = dir, 1<<20
				} else {
					o.Mapped = filepath.Join(memoryDir(t), "mapped")
				}
				s := mustNew(t, o)
				n := 0
				for range 5 {
					for range 400 { // more than fits
						numbered(s, n, n+100)
						n += 100
						synctest.Wait()
					}
					for range 30 { // room for more than a segment
						allowed <- struct{}{}
					}
					time.Sleep(time.Minute)
				}
				first := mustAdd(t, s)
				s.Shutdown(withTimeout(t, time.Second))
				close(end)
				time.Sleep(time.Second)
				if first = mustAdd(t, s); first.Dropped.Full == 0 || first.Dropped.Abandoned > 0 {
					t.Fatalf("%+v", first.Dropped)
				}
				o.Dest = &rec
				s = mustNew(t, o)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				missing, told, markers := 0, 0, 0
				next := 0
				for _, l := range rec.Lines() {
					var lost, bytes, at int
					if c, _ := fmt.Sscanf(l, "--- %d log records (%d bytes)", &lost, &bytes); c == 2 {
						told += lost
						markers++
						continue
					}
					if c, err := fmt.Sscanf(l, "%d ", &at); c != 1 || at < next {
						t.Fatalf("%q after %d: %v", l, next-1, err)
					}
					missing += at - next
					if at > next && missing != told {
						t.Fatalf("before line %d %d lines are missing, and markers told of %d", at, missing, told)
					}
					next = at + 1
				}
				if told == 0 || markers < 3 {
					t.Errorf("%d markers told of %d lost lines; %+v", markers, told, first.Dropped)
				}
				t.Logf("%d markers, %d lines lost", markers, told)
			})
		})
	}
}

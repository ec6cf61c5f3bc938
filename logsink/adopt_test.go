//go:build linux

package logsink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// leaveMapped fills the mapped memory at path with numbered lines that a process
// could not deliver, and returns how many.
func leaveMapped(t *testing.T, path string, size int, pad string) (n int) {
	t.Helper()
	frozen := logsinktest.NewFrozen(nil)
	s := mustNew(t, Options{Dest: &failsAfter{frozen}, Mapped: path, MaxBytes: size})
	for ; s.Stats().Dropped.Full == 0; n++ {
		fmt.Fprintf(s, "%d %s\n", n, pad)
	}
	s.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
	frozen.Release()                        // the process ends
	synctest.Wait()
	return n - 1
}

// Mapped memory is full of what an earlier process left, and the destination is
// still frozen. What is new goes to disk behind it.
func TestMapped_full_of_leftovers_goes_to_the_spill(t *testing.T) {
	for name, size := range map[string]int{"the same memory": 1 << 20, "less memory": 256 << 10} {
		t.Run(name, func(t *testing.T) {
			dir, mem := filepath.Join(t.TempDir(), "spill"), filepath.Join(memoryDir(t), "mapped")
			synctest.Test(t, func(t *testing.T) {
				n := leaveMapped(t, mem, 1<<20, "xxxxxxxx")
				left := int64(n)
				var got sequence
				frozen := logsinktest.NewFrozen(&got)
				s := mustNew(t, Options{Dest: frozen, Mapped: mem, SpillDir: dir, MaxBytes: size})
				s.Lane(High) // as NewHandler does
				synctest.Wait()
				for range 300 {
					numbered(s, n, n+100)
					n += 100
					synctest.Wait()
				}
				st := mustAdd(t, s)
				if st.Recovered != left || st.Dropped.Total() != 0 || st.Spilled == 0 || st.QueuedBytes > int64(size) {
					t.Errorf("%d lines were left: %+v", left, st)
				}
				frozen.Release()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				mustAdd(t, s)
				got.mustBe(t, n)
			})
		})
	}
}

// With DropOldest what an earlier process left gives way to what is new. Behind the
// gap stands all that is new, or as much of it as two chunks hold: smaller memory has
// one more, which is in flight, and keeps one free for the other lane.
func TestMapped_full_of_leftovers_drops_the_oldest(t *testing.T) {
	const added = 4000
	for name, c := range map[string]struct{ size, kept int }{"the same memory": {1 << 20, added}, "less memory": {256 << 10, added / 2}} {
		t.Run(name, func(t *testing.T) {
			dir, mem := filepath.Join(t.TempDir(), "spill"), filepath.Join(memoryDir(t), "mapped")
			synctest.Test(t, func(t *testing.T) {
				n := leaveMapped(t, mem, 1<<20, "xxxxxxxx")
				left := n
				var got sequence
				frozen := logsinktest.NewFrozen(&got)
				other := mustNew(t, Options{Dest: io.Discard, SpillDir: dir})
				s := mustNew(t, Options{Dest: frozen, Mapped: mem, SpillDir: dir, MaxBytes: c.size, DropOldest: true})
				s.Lane(High)
				synctest.Wait() // the first chunk is in flight
				for range added / 100 {
					numbered(s, n, n+100)
					n += 100
					synctest.Wait()
				}
				st := mustAdd(t, s)
				if st.Dropped.Full != 0 || st.Dropped.Evicted == 0 || st.QueuedBytes > int64(c.size) {
					t.Errorf("%+v", st)
				}
				// The spill directory can be had after all.
				if err := other.Close(); err != nil {
					t.Error(err)
				}
				time.Sleep(11 * time.Second)
				before := mustAdd(t, s)
				for range 100 {
					numbered(s, n, n+100)
					n += 100
					synctest.Wait()
				}
				if st := mustAdd(t, s); st.DiskError != "" || st.Dropped != before.Dropped || st.Spilled == 0 {
					t.Errorf("before %+v\nafter %+v", before, st)
				}
				frozen.Release()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if got.next != n || got.repeated > 0 || len(got.holes) != 1 || got.skipped != int(st.Dropped.Evicted) || left+added-got.holes[0]-got.skipped < c.kept {
					t.Errorf("%d lines up to %d of %d, %d skipped after %v: %+v", got.lines, got.next, n, got.skipped, got.holes, st)
				}
			})
		})
	}
}

// Memory that is no longer asked for is given back as soon as nothing lies in it.
func TestMapped_file_shrinks_when_nothing_is_left_in_it(t *testing.T) {
	mem := filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		leaveMapped(t, mem, 1<<20, "xxxxxxxx")
		for i, want := range []int64{1 << 20, 256 << 10} {
			s := mustNew(t, Options{Dest: io.Discard, Mapped: mem, MaxBytes: 256 << 10})
			if info, err := os.Stat(mem); err != nil || info.Size() != mappedHead+want {
				t.Errorf("start %d: %d bytes, %v, want %d", i, info.Size(), err, mappedHead+want)
			}
			synctest.Wait() // all that was left is delivered
			for n := range 5000 {
				fmt.Fprintf(s, "line %d\n", n)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if st := mustAdd(t, s); st.Dropped.Total() != 0 || st.DiskErrors != 0 {
				t.Errorf("start %d: %+v", i, st)
			}
		}
	})
}

// What was left in mapped memory is older than what another process left on disk,
// and would come before it. It must not keep out what is new, for the sake of an
// order between processes; the order within each stays.
func TestMapped_full_of_leftovers_older_than_those_on_disk(t *testing.T) {
	dir, mem := filepath.Join(t.TempDir(), "spill"), filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		old := leaveMapped(t, mem, 1<<20, "old")
		time.Sleep(time.Minute)
		const young, added = 10_000, 20_000
		leave(t, dir, young)
		var rec logsinktest.Recorder
		frozen := logsinktest.NewFrozen(&rec)
		s := mustNew(t, Options{Dest: frozen, Mapped: mem, SpillDir: dir, MaxBytes: 1 << 20})
		s.Lane(High)
		synctest.Wait()
		for i := range added {
			fmt.Fprintf(s, "%d new\n", i)
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		if st := mustAdd(t, s); st.Dropped.Total() != 0 || st.Recovered != int64(old+young) || st.QueuedBytes > 1<<20 {
			t.Errorf("%+v", st)
		}
		frozen.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		mustAdd(t, s)
		next := map[string]int{}
		for _, l := range rec.Lines() {
			var n int
			var who string
			if _, err := fmt.Sscanf(l, "%d %s", &n, &who); err != nil || n != next[who] {
				t.Fatalf("%q after %d: %v", l, next[who]-1, err)
			}
			next[who]++
		}
		if next["old"] != old || next["new"] != added || len(rec.Lines()) != old+young+added {
			t.Errorf("%d lines, of them %d of %d old, %d of %d new", len(rec.Lines()), next["old"], old, next["new"], added)
		}
	})
}

// A copy of a mapped file that is not whole says so, to anyone who looks at it,
// recovers it, or starts with it. So does one from which nothing is left.
func TestMapped_file_that_was_cut_off(t *testing.T) {
	dir := memoryDir(t)
	mem := filepath.Join(dir, "mapped")
	synctest.Test(t, func(t *testing.T) {
		n := leaveMapped(t, mem, 256<<10, "xxx")
		whole, err := os.ReadFile(mem)
		if err != nil {
			t.Fatal(err)
		}
		look := func(path string) (lines int, all error) {
			for l, err := range Leftovers(path) {
				lines += len(l.Records)
				all = errors.Join(all, err)
			}
			return lines, all
		}
		if lines, err := look(mem); lines != n || err != nil {
			t.Errorf("the whole file: %d lines of %d, %v", lines, n, err)
		}
		for _, size := range []int{mappedHead, 60_000, mappedHead + frameSize, mappedHead + 2*frameSize, len(whole) - 1} {
			part := filepath.Join(dir, "part")
			write := func() {
				if err := os.WriteFile(part, whole[:size], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			const want = "cut off"
			write()
			most := (size - mappedHead) / frameSize
			if lines, err := look(part); err == nil || !strings.Contains(err.Error(), want) || most == 0 != (lines == 0) {
				t.Errorf("%d bytes: Leftovers has %d lines, %v", size, lines, err)
			}
			var got sequence
			if k, err := RecoverFile(t.Context(), part, &got); err == nil || !strings.Contains(err.Error(), want) || most == 0 != (k == 0) {
				t.Errorf("%d bytes: RecoverFile: %d, %v", size, k, err)
			}
			write()
			s := mustNew(t, Options{Dest: &got, Mapped: part, MaxBytes: 256 << 10})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if st := mustAdd(t, s); !strings.Contains(st.LastDiskError, want) || st.DiskError != "" || most == 0 != (st.Delivered == 0) {
				t.Errorf("%d bytes: the next start: %+v", size, st)
			}
			// It is whole again, and empty.
			if lines, err := look(part); lines != 0 || err != nil {
				t.Errorf("%d bytes: afterwards %d lines, %v", size, lines, err)
			}
		}
		// A file of a version that did not note its length is what it is.
		clear(whole[offLength : offLength+8])
		before := filepath.Join(dir, "before")
		if err := os.WriteFile(before, whole[:mappedHead+frameSize], 0o600); err != nil {
			t.Fatal(err)
		}
		if lines, err := look(before); lines == 0 || err != nil {
			t.Errorf("a file without a length: %d lines, %v", lines, err)
		}
	})
}

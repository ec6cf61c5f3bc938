//go:build linux

package logsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// A stuckDisk is a disk that does not answer while it is told to.
type stuckDisk struct {
	mu sync.Mutex
	on chan struct{} // closed when the disk answers again; nil: it does
}

func (h *stuckDisk) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = make(chan struct{})
}

func (h *stuckDisk) answer() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.on)
	h.on = nil
}

func (h *stuckDisk) call() {
	h.mu.Lock()
	on := h.on
	h.mu.Unlock()
	if on != nil {
		<-on
	}
}

func newOn(t *testing.T, h *stuckDisk, o Options) *Sink {
	t.Helper()
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	s := newSink(o)
	s.beforeDisk = h.call
	s.start()
	return s
}

// took runs f and checks that it does not take longer than most.
func took(t *testing.T, what string, most time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if d := time.Since(began); d > most {
		t.Errorf("%s took %v, and may take %v", what, d, most)
	}
}

// A disk that hangs from the start: the sink works in memory, says so, and takes
// the disk up when it answers.
func TestDisk_hangs_at_the_start(t *testing.T) {
	dir, mem := filepath.Join(t.TempDir(), "spill"), filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		var h stuckDisk
		var got sequence
		frozen := logsinktest.NewFrozen(&got)
		h.hang()
		var s *Sink
		took(t, "New", 50*time.Millisecond, func() {
			s = newOn(t, &h, Options{Dest: frozen, SpillDir: dir, Mapped: mem, MaxBytes: 1 << 20})
		})
		took(t, "a Write", 0, func() { numbered(s, 0, 5000) })
		took(t, "Stats", 0, func() { mustAdd(t, s) })
		took(t, "Flush", 10*time.Millisecond, func() {
			if err := s.Flush(withTimeout(t, 10*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Flush: %v", err)
			}
		})
		time.Sleep(10 * time.Second)
		if st := mustAdd(t, s); !strings.Contains(st.DiskError, "the disk does not answer") {
			t.Errorf("a disk that hangs is not told: %+v", st)
		}
		h.answer()
		time.Sleep(time.Minute)
		for n := 5000; n < 30_000; n += 100 {
			numbered(s, n, n+100)
			synctest.Wait()
		}
		if st := mustAdd(t, s); st.DiskError != "" || st.Spilled == 0 {
			t.Errorf("the disk answers, and: %+v", st)
		}
		frozen.Release()
		if err := s.Shutdown(withTimeout(t, time.Minute)); err != nil {
			t.Error(err)
		}
		got.mustBe(t, 30_000)
	})
}

// A disk that hangs from the start, and a destination that is well: nobody sees
// the disk, not even Flush and Close.
func TestDisk_hangs_and_the_destination_does_not(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	synctest.Test(t, func(t *testing.T) {
		var h stuckDisk
		h.hang()
		var got sequence
		s := newOn(t, &h, Options{Dest: &got, SpillDir: dir})
		for n := range 10 {
			numbered(s, n*100, n*100+100)
			took(t, "Flush", 0, func() {
				if err := s.Flush(withTimeout(t, time.Second)); err != nil {
					t.Error(err)
				}
			})
		}
		took(t, "Close", slowDisk+tidyTime, func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		got.mustBe(t, 1000)
		h.answer()
	})
}

// A disk that hangs while the sink spills to it, or reads from it.
func TestDisk_hangs_in_an_outage(t *testing.T) {
	for _, reading := range []bool{false, true} {
		t.Run(fmt.Sprintf("reading=%v", reading), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spill")
			synctest.Test(t, func(t *testing.T) {
				var h stuckDisk
				var got sequence
				frozen := logsinktest.NewFrozen(&got)
				s := newOn(t, &h, Options{Dest: frozen, SpillDir: dir, MaxBytes: 1 << 20})
				n := 0
				write := func(lines int) {
					for range lines / 100 {
						numbered(s, n, n+100)
						n += 100
						synctest.Wait()
					}
				}
				write(60_000)
				if reading {
					frozen.Release()
				}
				h.hang()
				took(t, "writing", 0, func() { write(40_000) })
				st := mustAdd(t, s)
				if st.QueuedBytes > 1<<20 {
					t.Errorf("%+v", st)
				}
				took(t, "Shutdown", 300*time.Millisecond+10*time.Millisecond, func() {
					var e *ShutdownError
					if err := s.Shutdown(withTimeout(t, 300*time.Millisecond)); !errors.As(err, &e) || e.OnDisk+e.InCall+e.Abandoned == 0 {
						t.Errorf("Shutdown: %v", err)
					}
				})
				said := mustAdd(t, s)
				if said.Dropped.Abandoned == 0 || said.Spilled == 0 {
					t.Errorf("%+v", said)
				}
				h.answer() // the process did not end yet: what arrives on disk counts
				if !reading {
					frozen.Release()
				}
				synctest.Wait()
				after := mustAdd(t, s)
				back, err := RecoverFile(t.Context(), dir, io.Discard)
				if err != nil || after.Queued != back {
					t.Errorf("Stats says that %d are on disk, %d came back, %v: %+v", after.Queued, back, err, after)
				}
			})
		})
	}
}

// All is delivered, and the disk does not answer when its files are to be
// removed: that holds nobody up.
func TestDisk_hangs_at_the_end(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	synctest.Test(t, func(t *testing.T) {
		var h stuckDisk
		var got sequence
		s := newOn(t, &h, Options{Dest: &got, SpillDir: dir})
		numbered(s, 0, 1000)
		h.hang()
		took(t, "Close", 200*time.Millisecond, func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		got.mustBe(t, 1000)
		h.answer()
	})
}

// What Shutdown says is on disk is there the moment it returns, also if the
// process ends then. Nothing was spilled before, and the disk has little time.
func TestShutdown_says_what_is_on_disk(t *testing.T) {
	for _, tt := range []struct {
		size  int
		given time.Duration
	}{{4 << 20, time.Second}, {64 << 20, time.Millisecond}, {64 << 20, 20 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%d MiB in %v", tt.size>>20, tt.given), func(t *testing.T) {
			dir := t.TempDir()
			frozen := logsinktest.NewFrozen(nil)
			defer frozen.Release()
			s := mustNew(t, Options{Dest: frozen, SpillDir: filepath.Join(dir, "spill"), MaxBytes: tt.size})
			t.Cleanup(func() { frozen.Release(); <-s.mover.done }) // before the folder is removed
			line := []byte(strings.Repeat("x", 199) + "\n")
			for range tt.size / 2 / 230 {
				s.Write(line)
			}
			var said *ShutdownError
			err := s.Shutdown(withTimeout(t, tt.given))
			if !errors.As(err, &said) {
				t.Fatal(err)
			}
			if err := os.CopyFS(filepath.Join(dir, "copy"), os.DirFS(filepath.Join(dir, "spill"))); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, "copy"), 0o700); err != nil {
				t.Fatal(err)
			}
			back, err := RecoverFile(t.Context(), filepath.Join(dir, "copy"), io.Discard)
			if back < said.OnDisk {
				t.Errorf("%v; %d came back, %v", said, back, err)
			}
			if st := mustAdd(t, s); said.OnDisk+said.InCall+said.Abandoned != st.Attempted {
				t.Errorf("%v does not add up: %+v", said, st)
			}
			t.Logf("%v; %d came back", said, back)
		})
	}
}

// What is not there at the start is tried again: a directory that another
// process has, a mapped file that it has. What it leaves is delivered.
func TestDisk_is_taken_over(t *testing.T) {
	dir, mem := filepath.Join(t.TempDir(), "spill"), filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(nil)
		o := Options{Dest: &failsAfter{frozen}, SpillDir: dir, Mapped: mem, MaxBytes: 1 << 20}
		first := mustNew(t, o)
		for n := 0; n < 40_000; n += 100 {
			numbered(first, n, n+100)
			synctest.Wait()
		}
		var got sequence
		var mu sync.Mutex
		var kinds []EventKind
		o.Dest = &got
		o.OnEvent = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, e.Kind)
		}
		second := mustNew(t, o)
		if st := second.Stats(); strings.Count(st.DiskError, "another process uses it") != 2 {
			t.Errorf("%+v", st)
		}
		first.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
		frozen.Release()
		synctest.Wait()
		time.Sleep(11 * time.Second) // Options: it tries again every 10 s
		synctest.Wait()
		if st := mustAdd(t, second); st.DiskError != "" || st.Recovered != 40_000 || st.Delivered != 40_000 {
			t.Errorf("10 s after the first has ended: %+v", st)
		}
		numbered(second, 40_000, 41_000)
		if err := second.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		got.mustBe(t, 41_000)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(kinds, DiskRecovered) || !slices.Contains(kinds, LeftoverFound) {
			t.Errorf("events: %v", kinds)
		}
	})
}

// A directory that a cleaner removes comes back, and no alarm stays.
func TestDisk_directory_is_removed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	synctest.Test(t, func(t *testing.T) {
		var got sequence
		frozen := logsinktest.NewFrozen(&got)
		s := mustNew(t, Options{Dest: frozen, SpillDir: dir, MaxBytes: 256 << 10, SpillBytes: 16 << 20}) // in files of 1 MiB
		n := 0
		write := func(lines int) {
			for range lines / 100 {
				numbered(s, n, n+100)
				n += 100
				synctest.Wait()
			}
		}
		write(20_000)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		write(100_000) // more than a file
		frozen.Release()
		time.Sleep(time.Minute)
		if st := mustAdd(t, s); st.DiskError != "" || st.Dropped.Total() != 0 || st.Delivered != int64(n) {
			t.Errorf("%+v", st)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
			t.Error("the directory has not come back:", err)
		}
		got.mustBe(t, n)
	})
}

// A full disk, for real. The sink goes on in memory, counts what memory cannot
// hold, takes the disk up again, and the alarm ends.
func TestDisk_full(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=600k,mode=700"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	synctest.Test(t, func(t *testing.T) {
		var got sequence
		frozen := logsinktest.NewFrozen(&got)
		var mu sync.Mutex
		var kinds []EventKind
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 256 << 10, SpillDir: filepath.Join(dir, "spill"), OnEvent: func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, e.Kind)
		}})
		const n = 40_000
		for i := 0; i < n; i += 100 {
			numbered(s, i, i+100)
			synctest.Wait()
		}
		st := mustAdd(t, s)
		if !strings.Contains(st.DiskError, "no space left on device") || st.Dropped.Full == 0 || st.Spilled == 0 {
			t.Fatalf("%+v", st)
		}
		frozen.Release()
		time.Sleep(time.Minute)
		if st := mustAdd(t, s); st.DiskError != "" || st.LastDiskError == "" || st.Queued != 0 {
			t.Errorf("all is delivered and there is room again: %+v", st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		st = mustAdd(t, s)
		if got.lines != int(st.Delivered) || got.repeated > 0 || len(got.torn) > 0 || got.lines+int(st.Dropped.Full) != n {
			t.Errorf("%d lines: %+v", got.lines, st)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if want := []EventKind{DiskFailed, DiskRecovered}; !slices.Equal(slices.DeleteFunc(kinds, func(k EventKind) bool { return !slices.Contains(want, k) }), want) {
			t.Errorf("events: %v", kinds)
		}
	})
}

// The disk was filled by what is to be delivered from it, and its process was
// killed. The next one delivers it, which makes room, and the alarm ends.
func TestDisk_full_of_leftovers_is_delivered(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=700"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		spill := filepath.Join(dir, "spill")
		leave(t, spill, n)
		rest, err := os.Create(filepath.Join(dir, "other"))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = rest.Write(make([]byte, 4096))
		}
		if err := rest.Close(); err != nil || dirSize(t, spill) == 0 {
			t.Fatal(err)
		}
		var got sequence
		s := mustNew(t, Options{Dest: &got, MaxBytes: 256 << 10, SpillDir: spill})
		st := mustAdd(t, s)
		if !strings.Contains(st.DiskError, "no space left on device") {
			t.Errorf("a full disk is not told: %+v", st)
		}
		numbered(s, n, n+100)
		time.Sleep(time.Minute)
		if st := mustAdd(t, s); st.Recovered != n || st.Delivered != n+100 || st.DiskError != "" || st.SpilledBytes != 0 {
			t.Errorf("the destination is well, and: %+v", st)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		got.mustBe(t, n+100)
	})
}

// Memory is asked for that the file system no longer has room for. What was left
// in a smaller mapped file is delivered all the same, and the file is used when
// there is room.
func TestMapped_no_room_to_grow_and_leftovers(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	synctest.Test(t, func(t *testing.T) {
		mem, other := filepath.Join(dir, "mapped"), filepath.Join(dir, "other")
		n := leaveMapped(t, mem, 256<<10, "xxx")
		if err := os.WriteFile(other, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		var got sequence
		frozen := logsinktest.NewFrozen(&got)
		s := mustNew(t, Options{Dest: frozen, Mapped: mem, MaxBytes: 1 << 20})
		synctest.Wait()
		numbered(s, n, n+100)
		if st := mustAdd(t, s); !strings.Contains(st.DiskError, "no space left on device") || st.Recovered != int64(n) {
			t.Errorf("%+v", st)
		}
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st := mustAdd(t, s); st.Queued != int64(n+100) {
			t.Errorf("still frozen: %+v", st)
		}
		frozen.Release()
		time.Sleep(time.Minute)
		if st := mustAdd(t, s); st.DiskError != "" || st.Delivered != int64(n+100) {
			t.Errorf("there is room again, and: %+v", st)
		}
		if info, err := os.Stat(mem); err != nil || info.Size() != mappedHead+1<<20 {
			t.Errorf("the file has %v bytes, %v", info.Size(), err)
		}
		numbered(s, n+100, n+200)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		got.mustBe(t, n+200)
	})
}

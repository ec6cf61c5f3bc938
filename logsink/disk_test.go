//go:build linux

package logsink

import (
	"bytes"
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

	"github.com/failopen/failopen/logsink/internal/spool"
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

// A rolling deploy: the new process starts while the old one has the spill
// directory, so that their chunks have the same numbers. Neither's are lost when
// the next one finds both.
func TestLives_with_the_same_numbers(t *testing.T) {
	dir, mem := filepath.Join(t.TempDir(), "spill"), filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(nil)
		old := mustNew(t, Options{Dest: &failsAfter{frozen}, SpillDir: dir, MaxBytes: 1 << 20})
		young := mustNew(t, Options{Dest: &failsAfter{frozen}, SpillDir: dir, Mapped: mem, MaxBytes: 1 << 20})
		if st := young.Stats(); !strings.Contains(st.DiskError, "another process uses it") {
			t.Errorf("%+v", st)
		}
		for i := range 8000 {
			fmt.Fprintf(old, "old %d %s\n", i, strings.Repeat("o", 100))
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		for i := range 4000 {
			fmt.Fprintf(young, "young %d %s\n", i, strings.Repeat("y", 100))
		}
		young.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
		old.Shutdown(withTimeout(t, time.Second))   //nolint:errcheck // frozen
		frozen.Release()
		synctest.Wait()
		lost := old.Stats().Dropped.Total() + young.Stats().Dropped.Total()
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, SpillDir: dir, Mapped: mem, MaxBytes: 1 << 20})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		st := mustAdd(t, s)
		if lines := rec.Lines(); lost != 0 || len(lines) != 12_000 || st.Recovered != 12_000 || st.Dropped.Total() != 0 {
			t.Errorf("%d lines of 12000 came, %d said to be lost: %+v", len(lines), lost, st)
		}
	})
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
		time.Sleep(openEvery + time.Second)
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
		s := mustNew(t, Options{Dest: frozen, SpillDir: dir, MaxBytes: 256 << 10})
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
		write(600_000)
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

// Mapped memory and spill on file systems that are too small or read-only.
func TestMapped_small_and_read_only(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=600k,mode=700"); err != nil {
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	try := func(o Options) Stats {
		t.Helper()
		var got sequence
		o.Dest = &got
		s := mustNew(t, o)
		numbered(s, 0, 1000)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		got.mustBe(t, 1000)
		return mustAdd(t, s)
	}
	mapped, spill := filepath.Join(dir, "mapped"), filepath.Join(dir, "spill")
	if st := try(Options{Mapped: mapped}); !strings.Contains(st.DiskError, "no space left") {
		t.Errorf("a file of 4 MiB in a memory of 600 kB: %+v", st)
	}
	if st := try(Options{Mapped: mapped, MaxBytes: 256 << 10}); st.DiskError != "" {
		t.Errorf("after the failure there is no room for a smaller one: %+v", st)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if st := try(Options{Mapped: mapped}); !strings.Contains(st.DiskError, "read-only file system") {
		t.Errorf("%+v", st)
	}
	if st := try(Options{SpillDir: spill}); !strings.Contains(st.DiskError, "read-only file system") {
		t.Errorf("%+v", st)
	}
}

// Memory with a disk behind it is refused, and so is what a stranger may have
// prepared; nothing of it is touched.
func TestMapped_refuses(t *testing.T) {
	mem := memoryDir(t)
	victim := filepath.Join(mem, "victim")
	shared := filepath.Join(mem, "shared")
	if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), os.Symlink(victim, filepath.Join(mem, "link")),
		os.WriteFile(shared, nil, 0o600), os.Chmod(shared, 0o666)); err != nil {
		t.Fatal(err)
	}
	wants := map[string]string{
		filepath.Join(mem, "link"): "it is a symbolic link",
		shared:                     "others can write to it",
		victim:                     "is not a mapped file",
	}
	if onDisk := t.TempDir(); inMemory(onDisk) != nil {
		wants[filepath.Join(onDisk, "mapped")] = "a store to memory can wait for the disk"
	}
	for path, want := range wants {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, Mapped: path})
		io.WriteString(s, "works\n")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); !strings.Contains(st.DiskError, want) || rec.String() != "works\n" {
			t.Errorf("%s: %q, want %q", path, st.DiskError, want)
		}
	}
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("the file behind the link holds %.20q", b)
	}
}

// Memory of an earlier process lies under the headers of a later one, as after a
// machine's crash. What that process had delivered does not come again.
func TestMapped_does_not_take_an_earlier_process_for_this_one(t *testing.T) {
	dir := memoryDir(t)
	path := filepath.Join(dir, "mapped")
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Dest: io.Discard, Mapped: path})
		for i := range 100 {
			fmt.Fprintf(s, "first %03d %s\n", i, strings.Repeat("a", 50))
		}
		s.Close()
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		frozen := logsinktest.NewFrozen(nil)
		s = mustNew(t, Options{Dest: &failsAfter{frozen}, Mapped: path})
		for i := range 100 {
			fmt.Fprintf(s, "other %03d %s\n", i, strings.Repeat("b", 50))
		}
		s.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
		frozen.Release()
		synctest.Wait()
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		crashed := bytes.Clone(before)
		for at := mappedHead; at < len(after); at += frameSize {
			copy(crashed[at:at+headerSize], after[at:at+headerSize])
		}
		image := filepath.Join(dir, "image")
		if err := os.WriteFile(image, crashed, 0o600); err != nil {
			t.Fatal(err)
		}
		var rec logsinktest.Recorder
		n, err := RecoverFile(t.Context(), image, &rec)
		if n != 0 || rec.String() != "" || err == nil || !strings.Contains(err.Error(), "100 records were damaged") {
			t.Errorf("%d came, %v: %.100q", n, err, rec.String())
		}
	})
}

// A long record's text lies where chunks begin. It may look like one in every
// byte that its author can know.
func TestMapped_does_not_believe_text(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		forged := newArena(make([]byte, frameSize), frameSize)
		forged.mapped = true
		c := forged.alloc(1)
		c.reset(spool.ID{Life: 1, Num: 1}, time.Now(), fullSlot)
		c.append([]byte("FORGED: admin logged in\n"), 0, 0)
		long := bytes.Repeat([]byte("x"), 3*frameSize)
		copy(long[frameSize-headerSize:], c.mem) // at the second frame's begin
		frozen := logsinktest.NewFrozen(nil)
		s := mustNew(t, Options{Dest: &failsAfter{frozen}, Mapped: path})
		s.Write(long)
		s.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
		frozen.Release()
		synctest.Wait()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, long[:1000]) - headerSize
		b[at+offSum] ^= 1 // the header of the long record
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var rec logsinktest.Recorder
		if n, _ := RecoverFile(t.Context(), path, &rec); n != 0 || rec.String() != "" {
			t.Errorf("%d came: %.100q", n, rec.String())
		}
	})
}

func TestRecoverFile_on_what_is_not_ours(t *testing.T) {
	dir := t.TempDir()
	empty, photos := filepath.Join(dir, "empty"), filepath.Join(dir, "photos")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600), os.Mkdir(photos, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, photos} {
		if _, err := RecoverFile(t.Context(), path, io.Discard); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
	info, err := os.Stat(empty)
	if err != nil || info.Size() != 0 {
		t.Errorf("the empty file has %d bytes now, %v", info.Size(), err)
	}
	if names, err := os.ReadDir(photos); len(names) > 0 || err != nil {
		t.Errorf("in the directory is %v, %v", names, err)
	}
}

// The second caller's time is no reason to cut the first one short.
func TestShutdown_of_somebody_else(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: logsinktest.NewSlow(&rec, 10_000)})
		numbered(s, 0, 3000)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Shutdown(withTimeout(t, time.Hour)); err != nil {
				t.Error("the first:", err)
			}
		})
		synctest.Wait()
		took(t, "the second", 100*time.Millisecond, func() {
			if err := s.Shutdown(withTimeout(t, 100*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
				t.Error("the second:", err)
			}
		})
		wg.Wait()
		if st := mustAdd(t, s); st.Delivered != 3000 {
			t.Errorf("%+v", st)
		}
	})
}

// Sync after every line, in a freeze: memory holds as many lines as without.
func TestFlush_costs_no_memory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(io.Discard)
		s := mustNew(t, Options{Dest: frozen, SyncTimeout: time.Millisecond})
		line := []byte(strings.Repeat("x", 199) + "\n")
		for range 19_000 { // 3.6 MiB, in memory of 4
			s.Write(line)
			s.Sync() //nolint:errcheck // it cannot
		}
		if st := mustAdd(t, s); st.Dropped.Total() != 0 {
			t.Errorf("%+v", st)
		}
		frozen.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Looking at what is left changes nothing, and shows what recovery delivers.
func TestLeftovers(t *testing.T) {
	for _, kind := range []string{"mapped", "spill"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(memoryDir(t), "it")
			o := Options{MaxBytes: 256 << 10}
			if kind == "mapped" {
				o.Mapped = path
			} else {
				o.SpillDir = path
			}
			synctest.Test(t, func(t *testing.T) {
				frozen := logsinktest.NewFrozen(nil)
				o.Dest = &failsAfter{frozen}
				s := mustNew(t, o)
				numbered(s, 0, 2000)
				s.Lane(High).Write([]byte("2000 xxx\n"))
				for range 2 {
					var seen sequence
					var high int
					for l, err := range Leftovers(path) {
						if err != nil {
							t.Fatal(err)
						}
						for _, r := range l.Records {
							seen.Write(r.Data)
							high += int(r.Priority)
						}
					}
					if kind == "mapped" { // beside the process
						seen.mustBe(t, 2001)
						if high != 1 {
							t.Errorf("%d records of the high lane", high)
						}
					}
				}
				s.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
				frozen.Release()
				synctest.Wait()
				var seen, got sequence
				for l, err := range Leftovers(path) {
					if err != nil || l.Life == 0 || l.Time.IsZero() || l.Damaged != 0 {
						t.Fatalf("%+v, %v", l, err)
					}
					for _, r := range l.Records {
						seen.Write(r.Data)
					}
				}
				seen.mustBe(t, 2001)
				if n, err := RecoverFile(t.Context(), path, &got); n != 2001 || err != nil {
					t.Errorf("RecoverFile: %d, %v", n, err)
				}
				got.mustBe(t, 2001)
				for l, err := range Leftovers(path) {
					t.Errorf("all is delivered, and there is %+v, %v", l, err)
				}
			})
		})
	}
	for _, path := range []string{"/nowhere/at/all", "/dev/null", "/proc/self/exe"} {
		n := 0
		for _, err := range Leftovers(path) {
			if n++; err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", path, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d steps", path, n)
		}
	}
}

// What has waited for longer than SpillAge is dropped and counted, in this
// process and in the next.
func TestSpill_age(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(nil)
		o := Options{Dest: &failsAfter{frozen}, SpillDir: dir, MaxBytes: 256 << 10, SpillBytes: 8 << 20, SpillAge: time.Hour}
		s := mustNew(t, o)
		for n := 0; n < 100_000; n += 100 {
			numbered(s, n, n+100)
			synctest.Wait()
		}
		before := mustAdd(t, s)
		time.Sleep(2 * time.Hour)
		if st := mustAdd(t, s); before.Spilled == 0 || st.Dropped.Evicted == 0 || st.Spilled > before.Spilled/4 || st.DiskErrors != 0 {
			t.Errorf("before %+v\nafter two hours %+v", before, st)
		}
		s.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
		frozen.Release()
		time.Sleep(2 * time.Hour)
		var rec logsinktest.Recorder
		o.Dest = &rec
		s = mustNew(t, o)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); st.Dropped.Evicted == 0 || st.Delivered > 5000 {
			t.Errorf("the next process: %+v", st)
		}
	})
}

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
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
	"github.com/failopen/failopen/logsink/logsinktest"
)

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

// What has waited for too long goes oldest first: also the segment of which the
// first chunk was read ahead, and that chunk. The next process and a destination
// that comes back get none of it.
func TestSpill_age_takes_the_oldest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	synctest.Test(t, func(t *testing.T) {
		var got sequence
		frozen := logsinktest.NewFrozen(&got)
		s := mustNew(t, Options{Dest: frozen, SpillDir: dir, MaxBytes: 256 << 10, SpillBytes: 64 << 20, SpillAge: time.Hour})
		n := 0
		write := func(lines int) {
			for end := n + lines; n < end; n += 100 {
				numbered(s, n, n+100)
				synctest.Wait()
			}
		}
		write(4000) // two chunks, of which one is read ahead
		time.Sleep(50 * time.Minute)
		write(11_000) // less than a segment
		before := mustAdd(t, s)
		time.Sleep(2 * time.Hour)
		st := mustAdd(t, s)
		if before.Spilled == 0 || st.Spilled != 0 || st.SpilledBytes != 0 || st.Dropped.Evicted != before.Spilled {
			t.Errorf("two hours old, and still there: before %+v\nafter %+v", before, st)
		}
		young := n
		write(60_000) // segments
		time.Sleep(30 * time.Minute)
		frozen.Release()
		if err := s.Shutdown(withTimeout(t, time.Minute)); err != nil {
			t.Error(err)
		}
		end := mustAdd(t, s)
		if end.Dropped.Total() != end.Dropped.Evicted || int(end.Dropped.Evicted) > young || end.DiskErrors != 0 {
			t.Errorf("half an hour old, and gone: %+v", end)
		}
		if got.next != n || got.repeated > 0 || got.lines < n-young || len(got.holes) != 1 || got.skipped != int(end.Dropped.Evicted) {
			t.Errorf("%d lines up to %d of %d, %d skipped after %v: %+v", got.lines, got.next, n, got.skipped, got.holes, end)
		}
	})
}

// A quiet service's chunk stays open for hours. What it got last is young, and is
// not too old the moment the chunk comes to disk; neither at the end, nor in the
// next process.
func TestSpill_age_spares_young_lines_of_an_old_chunk(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spill")
			synctest.Test(t, func(t *testing.T) {
				var got sequence
				frozen := logsinktest.NewFrozen(&got)
				o := Options{Dest: frozen, SpillDir: dir, MaxBytes: 256 << 10, SpillAge: time.Hour}
				if restart {
					frozen = logsinktest.NewFrozen(nil)
					o.Dest = &failsAfter{frozen}
				}
				s := mustNew(t, o)
				n := 0
				for range 300 { // a line a minute
					numbered(s, n, n+1)
					n++
					time.Sleep(time.Minute)
				}
				if restart {
					s.Shutdown(withTimeout(t, time.Second)) //nolint:errcheck // frozen
					frozen.Release()
					synctest.Wait()
					o.Dest = &got
					s = mustNew(t, o)
				} else {
					for range 100 {
						numbered(s, n, n+100)
						n += 100
						synctest.Wait()
					}
					time.Sleep(30 * time.Minute)
					frozen.Release()
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if st := mustAdd(t, s); st.Dropped.Total() != 0 {
					t.Errorf("nothing was on disk for an hour: %+v", st)
				}
				got.mustBe(t, n)
			})
		})
	}
}

// With DropOldest, a full directory drops what is oldest in it.
func TestSpill_full_drops_the_oldest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	synctest.Test(t, func(t *testing.T) {
		var got sequence
		frozen := logsinktest.NewFrozen(&got)
		s := mustNew(t, Options{Dest: frozen, SpillDir: dir, MaxBytes: 256 << 10, SpillBytes: 1 << 20, DropOldest: true})
		const n = 40_000
		for i := 0; i < n; i += 100 {
			numbered(s, i, i+100)
			synctest.Wait()
		}
		if st := mustAdd(t, s); st.Dropped.Evicted == 0 {
			t.Errorf("%+v", st)
		}
		frozen.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		// What was in flight and what was read ahead, then one gap, then the youngest.
		if holes := got.holes; len(holes) != 1 || holes[0] > 2*s.arena.size/30 {
			t.Errorf("lines are missing after %v: one gap after at most two chunks was to be", holes)
		}
	})
}

// A gap that is still open when a process ends is in what it leaves: the next one
// tells of it where the lines are missing, and in its seals.
func TestLeftovers_of_an_open_gap(t *testing.T) {
	for name, line := range map[string]string{"short lines": "x\n", "long lines": strings.Repeat("x", 300) + "\n"} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("/dev/shm", "logsink")
			if err != nil {
				t.Skip(err)
			}
			defer os.RemoveAll(dir)
			path := filepath.Join(dir, "mapped")
			o := Options{Dest: refusing{}, MaxBytes: 256 << 10, Mapped: path, Gap: GapText}
			s := mustNew(t, o)
			for i := 0; s.Stats().Dropped.Full < 1000; i++ {
				io.WriteString(s, line)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			s.Shutdown(ctx) //nolint:errcheck // the destination takes nothing
			<-s.mover.done
			lost := s.Stats().Dropped.Full
			var told int64
			for l, err := range Leftovers(path) {
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range l.Gaps {
					told += g.Reasons.Full
				}
			}
			if told != lost {
				t.Errorf("the leftovers tell of %d lost records, %d were", told, lost)
			}
			var rec logsinktest.Recorder
			o.Dest, o.Seal = &rec, true
			s = mustNew(t, o)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if r := verified(t, rec.Lines()); len(r.Runs) != 1 || r.Runs[0].Lost.Full != lost || r.Missing() != 0 {
				t.Errorf("%d were lost: %v", lost, r)
			}
			if !strings.Contains(rec.String(), "log records") {
				t.Error("no marker")
			}
		})
	}
}

// A marker that the destination has not taken is in what is left, and not only in
// the memory of the process.
func TestLeftovers_of_a_marker_that_was_not_taken(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	asked := make(chan struct{}, 1)
	dest := writerFunc(func(p []byte) (int, error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		return 0, errors.New("refused")
	})
	s := mustNew(t, Options{Dest: dest, MaxBytes: 256 << 10, MaxRecord: 100, Mapped: path, Gap: GapText})
	io.WriteString(s, strings.Repeat("x", 101)) // too long
	io.WriteString(s, "y\n")
	<-asked // it is the marker that is refused
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	s.Shutdown(ctx) //nolint:errcheck // the destination takes nothing
	var told, records int64
	for l, err := range Leftovers(path) {
		if err != nil {
			t.Fatal(err)
		}
		records += int64(len(l.Records))
		for _, g := range l.Gaps {
			told += g.Reasons.Oversize
		}
	}
	if told != 1 || records != 1 {
		t.Errorf("%d records are left, and a marker of %d, want 1 and 1", records, told)
	}
}

// refusing is a destination that is not there.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, errors.New("refused") }

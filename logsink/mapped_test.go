//go:build linux

package logsink

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// childWrites logs to standard output until it is killed. After each Write has
// returned it notes the line's number in a file: in one store, by a mapping, so
// that a kill cannot come between.
func childWrites() error {
	ack, err := os.OpenFile(os.Getenv("LOGSINK_TEST_ACK"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	acked, err := syscall.Mmap(int(ack.Fd()), 0, 8, syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	s, err := New(Options{Dest: os.Stdout, Mapped: os.Getenv("LOGSINK_TEST_MAPPED"), SpillDir: os.Getenv("LOGSINK_TEST_SPILL")})
	if err != nil {
		return err
	}
	if st := s.Stats(); st.DiskError != "" {
		return errors.New(st.DiskError)
	}
	limit := int64(40_000) // a third of the memory
	if os.Getenv("LOGSINK_TEST_SPILL") != "" {
		limit = 200_000 // more than the memory
	}
	pad := strings.Repeat("x", 30)
	var b []byte
	for i := 0; ; i++ {
		b = fmt.Appendf(b[:0], "%d %s\n", i, pad)
		for st := s.Stats(); st.Queued > limit || st.QueuedBytes > 3<<20; st = s.Stats() {
			// The test is about loss by the kill, not by a full sink.
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
			s.Flush(ctx) //nolint:errcheck // it is frozen
			cancel()
		}
		s.Write(b)
		binary.LittleEndian.PutUint64(acked, uint64(i+1))
	}
}

func childRecovers() error {
	s, err := New(Options{Dest: os.Stdout, Mapped: os.Getenv("LOGSINK_TEST_MAPPED"), SpillDir: os.Getenv("LOGSINK_TEST_SPILL")})
	if err != nil {
		return err
	}
	if err := s.Shutdown(context.Background()); err != nil {
		return err
	}
	st := s.Stats()
	_, err = fmt.Fprintf(os.Stderr, "recovered %d corrupt %d spilled %d", st.Recovered, st.Dropped.Corrupt, st.Spilled)
	return err
}

// A process is killed with SIGKILL in mid-stream. The next start delivers every
// record whose Write had returned, except those already delivered.
func TestMapped_survives_sigkill(t *testing.T) {
	rounds := 3
	if testing.Short() || raceDetector {
		rounds = 1
	}
	for round := range rounds {
		for _, dest := range []string{"pipe", "file", "pipe with spill"} {
			t.Run(fmt.Sprintf("%s/%d", dest, round), func(t *testing.T) { killOnce(t, dest, round) })
		}
	}
}

func killOnce(t *testing.T, dest string, round int) {
	dir := t.TempDir()
	ackPath := filepath.Join(dir, "ack")
	if err := os.WriteFile(ackPath, make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"LOGSINK_TEST_MAPPED=" + filepath.Join(dir, "mapped"), "LOGSINK_TEST_ACK=" + ackPath}
	if dest == "pipe with spill" {
		env = append(env, "LOGSINK_TEST_SPILL="+filepath.Join(dir, "spill"))
	}
	out := filepath.Join(dir, "out")
	child := func(mode string) *exec.Cmd {
		cmd := childCommand(mode, env...)
		if dest == "file" {
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			cmd.Stdout = f
		}
		return cmd
	}
	var first bytes.Buffer
	victim := child("write")
	if dest == "file" {
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		waitForLines(t, func() int { b, _ := os.ReadFile(out); return bytes.Count(b, []byte("\n")) }, 5000+3333*round)
	} else {
		stdout, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		// Read some, then stop reading, so that the sink fills.
		r := bufio.NewReader(stdout)
		for range 5000 + 3333*round {
			line, err := r.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			first.Write(line)
		}
		acked := func() int { b, _ := os.ReadFile(ackPath); return int(binary.LittleEndian.Uint64(b)) }
		ahead := 20_000
		if dest == "pipe with spill" {
			ahead = 180_000
		}
		waitForLines(t, acked, bytes.Count(first.Bytes(), []byte("\n"))+ahead)
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&first, r); err != nil { // what the pipe still holds was delivered
			t.Fatal(err)
		}
	}
	if dest == "file" {
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	victim.Wait() //nolint:errcheck // killed
	b, err := os.ReadFile(ackPath)
	if err != nil {
		t.Fatal(err)
	}
	acked := int(binary.LittleEndian.Uint64(b))

	var second, told bytes.Buffer
	heir := child("recover")
	if dest != "file" {
		heir.Stdout = &second
	}
	heir.Stderr = &told
	if err := heir.Run(); err != nil {
		t.Fatalf("%v: %s", err, told.String())
	}
	all := append(first.Bytes(), second.Bytes()...)
	if dest == "file" {
		if all, err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	checkLines(t, all, acked, told.String())
}

// checkLines looks for every acknowledged line, whole, in order but for the
// few that were in flight and come twice.
func checkLines(t *testing.T, all []byte, acked int, told string) {
	t.Helper()
	next, repeated, torn := 0, 0, 0
	for line := range bytes.Lines(all) {
		var n int
		var pad string
		if c, err := fmt.Sscanf(string(line), "%d %s", &n, &pad); err != nil || c != 2 || pad != strings.Repeat("x", 30) || line[len(line)-1] != '\n' {
			torn++
			t.Logf("torn: %q", line)
			continue
		}
		switch {
		case n == next:
			next++
		case n < next:
			repeated++
			if n < next-4096/33 {
				t.Fatalf("line %d came again at %d: more than was in flight", n, next)
			}
		default:
			t.Fatalf("lines %d to %d are missing; %s", next, n-1, told)
		}
	}
	if next < acked || torn > 0 || !strings.Contains(told, "corrupt 0") {
		t.Errorf("%d lines of %d acknowledged arrived, %d torn; %s", next, acked, torn, told)
	}
	t.Logf("acknowledged %d, arrived %d, twice %d; %s", acked, next, repeated, told)
}

func waitForLines(t *testing.T, lines func() int, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; n < 20_000; n++ {
		if lines() >= want {
			return
		}
		<-tick.C
	}
	t.Fatalf("the child wrote %d lines of %d", lines(), want)
}

func TestMapped_keeps_what_shutdown_could_not_deliver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapped")
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(nil)
		dest := &failsAfter{frozen: frozen}
		s := mustNew(t, Options{Dest: dest, Mapped: path})
		numbered(s, 0, 10_000)
		s.Lane(High).Write([]byte("10000 xxx\n"))
		s.Write([]byte("10001 " + strings.Repeat("x", 200_000) + "\n"))
		err := s.Shutdown(withTimeout(t, time.Second))
		if err == nil || !strings.Contains(err.Error(), "0 records abandoned, 10002 kept") {
			t.Errorf("Shutdown: %v", err)
		}
		mustAdd(t, s)

		var got sequence
		other := mustNew(t, Options{Dest: &got, Mapped: path})
		if st := other.Stats(); !strings.Contains(st.DiskError, "another process uses it") {
			t.Errorf("two sinks on one file: %+v", st)
		}
		other.Close()

		frozen.Release()
		synctest.Wait()
		s = mustNew(t, Options{Dest: &got, Mapped: path, MaxBytes: 8 << 20})
		numbered(s, 10_002, 10_010)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); st.Recovered != 10_002 || st.Dropped.Total() != 0 || st.DiskError != "" || st.High.Delivered != 1 {
			t.Errorf("%+v", st)
		}
		got.mustBe(t, 10_010)

		s = mustNew(t, Options{Dest: io.Discard, Mapped: path})
		if st := s.Stats(); st.Recovered != 0 {
			t.Errorf("delivered records are there again: %+v", st)
		}
		s.Close()
	})
}

func TestRecoverFile(t *testing.T) {
	for _, kind := range []string{"mapped", "spill"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "it")
			synctest.Test(t, func(t *testing.T) {
				frozen := logsinktest.NewFrozen(nil)
				o := Options{Dest: &failsAfter{frozen}, Mapped: path}
				if kind == "spill" {
					o = Options{Dest: &failsAfter{frozen}, SpillDir: path}
				}
				s := mustNew(t, o)
				numbered(s, 0, 10_000)
				s.Shutdown(withTimeout(t, time.Second))
				frozen.Release()
				synctest.Wait()
				var got sequence
				n, err := RecoverFile(t.Context(), path, &got)
				if n != 10_000 || err != nil {
					t.Errorf("RecoverFile: %d, %v", n, err)
				}
				got.mustBe(t, 10_000)
				if n, err := RecoverFile(t.Context(), path, &got); n != 0 || err != nil {
					t.Errorf("RecoverFile again: %d, %v", n, err)
				}
			})
		})
	}
	if _, err := RecoverFile(t.Context(), "/nowhere/at/all", io.Discard); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
		t.Error(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	const precious = "somebody's precious data\n"
	if err := os.WriteFile(other, []byte(precious), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RecoverFile(t.Context(), other, io.Discard); err == nil || !strings.Contains(err.Error(), "not a mapped file") {
		t.Error(err)
	}
	if b, _ := os.ReadFile(other); string(b) != precious {
		t.Errorf("the file of somebody else is changed: %.60q", b)
	}
}

// What a machine's crash leaves may be anything.
func TestMapped_damaged_file(t *testing.T) {
	for name, damage := range map[string]struct {
		at, n int
		lost  int64
	}{
		"one record":      {mappedHead + frameSize + 300, 1, 1},
		"a page":          {mappedHead + frameSize + 8192, 4096, 100},
		"a header":        {mappedHead + frameSize + 8, 8, -1},
		"the slots":       {mappedHead + 2*frameSize - 1200, 1200, 1400}, // those of the first records, without which no other is found
		"the file's head": {0, 100, -2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mapped")
			synctest.Test(t, func(t *testing.T) {
				frozen := logsinktest.NewFrozen(nil)
				s := mustNew(t, Options{Dest: &failsAfter{frozen}, Mapped: path})
				numbered(s, 0, 1)
				synctest.Wait() // the first frame is in flight; the damage is in the second
				numbered(s, 1, 5000)
				s.Shutdown(withTimeout(t, time.Second))
				frozen.Release()
				synctest.Wait()
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for i := damage.at; i < damage.at+damage.n; i++ {
					b[i] ^= 0x55
				}
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				var got sequence
				s = mustNew(t, Options{Dest: &got, Mapped: path})
				s.Close()
				st := mustAdd(t, s)
				if len(got.torn) > 0 || got.repeated > 0 || int(st.Delivered) != got.lines {
					t.Errorf("torn %.3q, %+v", got.torn, st)
				}
				switch {
				case damage.lost < 0 && st.DiskError == "":
					t.Errorf("damage is not told: %+v", st)
				case damage.lost >= 0 && (st.Dropped.Corrupt == 0 || st.Dropped.Corrupt > damage.lost+30 || int64(got.lines) != 5000-st.Dropped.Corrupt):
					t.Errorf("%d lines, %+v", got.lines, st)
				}
				t.Logf("%d of 5000 lines arrived, %d corrupt, %s", got.lines, st.Dropped.Corrupt, st.DiskError)
			})
		})
	}
}

// A full disk and a read-only disk, for real: they need the right to mount.
func TestDisk_full_and_read_only(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=600k"); err != nil {
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
		t.Errorf("a file of 4 MiB on a disk of 600 kB: %+v", st)
	}
	if st := try(Options{Mapped: mapped, MaxBytes: 256 << 10}); st.DiskError != "" {
		t.Errorf("after the failure there is no room for a smaller one: %+v", st)
	}
	frozen := logsinktest.NewFrozen(io.Discard)
	s := mustNew(t, Options{Dest: frozen, SpillDir: spill, MaxBytes: 256 << 10})
	for i := range 500 {
		numbered(s, 100*i, 100*i+100)
	}
	for st := s.Stats(); st.DiskErrors == 0; st = s.Stats() {
		numbered(s, 0, 1)
	}
	if st := mustAdd(t, s); !strings.Contains(st.DiskError, "no space left") || st.Spilled == 0 {
		t.Errorf("%+v", st)
	}
	frozen.Release()
	s.Shutdown(withTimeout(t, 10*time.Second))
	if st := mustAdd(t, s); st.Delivered+st.Dropped.Full != st.Attempted {
		t.Errorf("%+v", st)
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

func FuzzOpenFrame(f *testing.F) {
	c := chunk{mem: make([]byte, 4096)}
	c.reset(7, time.UnixMilli(1_700_000_000_000), fullSlot, true)
	for i := range 20 {
		c.append(fmt.Appendf(nil, "record %d\n", i), uint32(i%2)<<31, uint32(i))
	}
	f.Add(bytes.Clone(c.mem))
	f.Add(c.appendFrame(nil, c.sent))
	f.Add(c.mem[:headerSize])
	f.Fuzz(func(t *testing.T, mem []byte) {
		var c chunk
		lost, err := openFrame(&c, bytes.Clone(mem))
		if err != nil {
			return
		}
		// Whatever was read can be passed over, piece by piece, to its end.
		delivered := [2]int{}
		for c.rec < c.n {
			for lane, n := range c.advance(c.sent) {
				delivered[lane] += n
			}
			p := c.piece(100)
			for lane, n := range c.advance(c.sent + len(p)) {
				delivered[lane] += n
			}
			if len(p) == 0 && c.rec < c.n {
				c.skip()
			}
		}
		if c.live() != 0 || lost < 0 || lost > c.n+len(mem)/fullSlot {
			t.Errorf("%d left, %d lost of %d", c.live(), lost, c.n)
		}
	})
}

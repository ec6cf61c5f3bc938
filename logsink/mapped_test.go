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
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
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
	prefix := os.Getenv("LOGSINK_TEST_PREFIX")
	pad := strings.Repeat("x", 30)
	var b []byte
	for i := 0; ; i++ {
		b = fmt.Appendf(b[:0], "%s%d %s\n", prefix, i, pad)
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
	env := []string{"LOGSINK_TEST_MAPPED=" + filepath.Join(memoryDir(t), "mapped"), "LOGSINK_TEST_ACK=" + ackPath}
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

// Generations of processes on the same paths, killed at any moment, with mapped
// memory, with the spill directory or with both, with readers that read or stop:
// no line is lost whose Write had returned in a process with mapped memory, and
// none arrives that nobody wrote. FAILOPEN_KILLS says how many kills; the default is a few.
func TestMapped_generations_of_kills(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("FAILOPEN_KILLS")); err == nil {
		kills = n
	}
	const generations = 3
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for chain := 0; chain*generations < kills; chain++ {
		killChain(t, r, generations)
	}
}

func killChain(t *testing.T, r *rand.Rand, generations int) {
	dir := t.TempDir()
	mapped, spill := filepath.Join(memoryDir(t), "mapped"), filepath.Join(dir, "spill")
	var arrived bytes.Buffer
	acked, safe := make([]int, generations), make([]bool, generations)
	how := ""
	for g := range acked {
		ackPath := filepath.Join(dir, fmt.Sprint("ack", g))
		if err := os.WriteFile(ackPath, make([]byte, 8), 0o600); err != nil {
			t.Fatal(err)
		}
		env := []string{"LOGSINK_TEST_ACK=" + ackPath, fmt.Sprintf("LOGSINK_TEST_PREFIX=%d:", g)}
		options := r.IntN(4) // mapped twice as often as not
		if safe[g] = options != 3; safe[g] {
			env = append(env, "LOGSINK_TEST_MAPPED="+mapped)
			how += " mapped"
		}
		if options != 0 {
			env = append(env, "LOGSINK_TEST_SPILL="+spill)
			how += " spill"
		}
		victim := childCommand("write", env...)
		stdout, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		victim.Stderr = &told
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		reads := r.IntN(3) * r.IntN(3000) // lines, before it stops
		fired := make(chan struct{})
		time.AfterFunc(time.Duration(20+r.IntN(180))*time.Millisecond, func() {
			victim.Process.Kill() //nolint:errcheck // it is alive until here
			close(fired)
		})
		how += fmt.Sprintf(" read %d;", reads)
		in := bufio.NewReader(stdout)
		for range reads {
			line, err := in.ReadBytes('\n')
			arrived.Write(line)
			if err != nil {
				break
			}
		}
		<-fired
		if _, err := io.Copy(&arrived, in); err != nil { // what the pipe holds was delivered
			t.Fatal(err)
		}
		victim.Wait() //nolint:errcheck // killed
		if told.Len() > 0 {
			t.Fatal(told.String())
		}
		b, err := os.ReadFile(ackPath)
		if err != nil {
			t.Fatal(err)
		}
		acked[g] = int(binary.LittleEndian.Uint64(b))
		if cut := bytes.LastIndexByte(arrived.Bytes(), '\n') + 1; cut < arrived.Len() && !safe[g] {
			arrived.Truncate(cut) // without mapped memory writes are larger than a pipe takes in one piece
		}
	}
	heir := childCommand("recover", "LOGSINK_TEST_MAPPED="+mapped, "LOGSINK_TEST_SPILL="+spill)
	heir.Stdout = &arrived
	var told bytes.Buffer
	heir.Stderr = &told
	if err := heir.Run(); err != nil {
		t.Fatalf("%v: %s", err, told.String())
	}
	// A chunk that was on its way to disk is torn there and whole in mapped
	// memory; who opens only one of the two cannot know that.
	if !strings.Contains(told.String(), "corrupt 0") && strings.Count(how, "mapped spill") == generations {
		t.Errorf("%s: %s", how, told.String())
	}
	for g, ok := range safe {
		if !ok {
			acked[g] = 0 // what was in memory is lost with it, and nothing else
		}
	}
	checkGenerations(t, arrived.Bytes(), acked, how)
}

// checkGenerations looks for every acknowledged line of each generation. A line
// may come again, and at the end of a killed process's pipe one may be cut.
func checkGenerations(t *testing.T, all []byte, acked []int, how string) {
	t.Helper()
	seen := make([][]bool, len(acked))
	repeated := 0
	for line := range bytes.Lines(all) {
		var g, n int
		var pad string
		if c, err := fmt.Sscanf(string(line), "%d:%d %s", &g, &n, &pad); err != nil || c != 3 || g >= len(acked) {
			t.Errorf("%s: nobody wrote %q", how, line)
			continue
		}
		for len(seen[g]) <= n {
			seen[g] = append(seen[g], false)
		}
		if seen[g][n] {
			repeated++
		}
		seen[g][n] = true
	}
	for g, n := range acked {
		missing := 0
		for i := range n {
			if i >= len(seen[g]) || !seen[g][i] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%s: %d of the %d acknowledged lines of generation %d are missing", how, missing, n, g)
		}
	}
	t.Logf("%s acknowledged %v, %d came twice", how, acked, repeated)
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
	path := filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(nil)
		dest := &failsAfter{frozen: frozen}
		s := mustNew(t, Options{Dest: dest, Mapped: path})
		numbered(s, 0, 10_000)
		s.Lane(High).Write([]byte("10000 xxx\n"))
		s.Write([]byte("10001 " + strings.Repeat("x", 200_000) + "\n"))
		var left *ShutdownError
		if err := s.Shutdown(withTimeout(t, time.Second)); !errors.As(err, &left) || left.OnDisk != 10_002 || left.Abandoned+left.InCall != 0 || !errors.Is(err, context.DeadlineExceeded) {
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
			path := filepath.Join(memoryDir(t), "it")
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
			path := filepath.Join(memoryDir(t), "mapped")
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
				case damage.lost < 0 && st.LastDiskError == "":
					t.Errorf("damage is not told: %+v", st)
				case damage.lost >= 0 && (st.Dropped.Corrupt == 0 || st.Dropped.Corrupt > damage.lost+30 || int64(got.lines) != 5000-st.Dropped.Corrupt):
					t.Errorf("%d lines, %+v", got.lines, st)
				}
				t.Logf("%d of 5000 lines arrived, %d corrupt, %s", got.lines, st.Dropped.Corrupt, st.LastDiskError)
			})
		})
	}
}

func TestMapped_write_does_not_allocate(t *testing.T) {
	mustNotAllocate(t, "mapped", Options{Dest: io.Discard, Mapped: memoryDir(t) + "/log"})
}

// memoryDir is a directory on a file system in memory.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "logsink")
	if err != nil || inMemory(dir) != nil {
		t.Skipf("no file system in memory at /dev/shm: %v, %v", err, inMemory(dir))
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// aChunk is a chunk in memory that outlives the process.
func aChunk(size int) *chunk {
	a := newArena(make([]byte, size), size)
	a.mapped, a.key = true, 4711
	c := a.alloc(1)
	c.reset(spool.ID{Life: 1, Num: 7}, time.UnixMilli(1_700_000_000_000), fullSlot)
	return c
}

func FuzzOpenFrame(f *testing.F) {
	c := aChunk(4096)
	for i := range 20 {
		c.append(fmt.Appendf(nil, "record %d\n", i), uint32(i%2)<<31, uint32(i))
	}
	f.Add(bytes.Clone(c.mem), 20, headerSize)
	f.Add(c.appendFrame(nil), 20, headerSize+30)
	f.Add(c.mem[:headerSize], 0, 0)
	f.Fuzz(func(t *testing.T, mem []byte, n, done int) {
		h, err := parseHead(mem, 4711)
		if err != nil || h.size != len(mem) {
			if len(mem) < headerSize || n < 0 || n > (len(mem)-headerSize)/fullSlot {
				return
			}
			h = frameHead{size: len(mem), n: n, done: done, id: spool.ID{Life: 1, Num: 7}}
		}
		var c chunk
		lost := c.openFrame(bytes.Clone(mem), h, 4711)
		// Whatever was read can be passed over, piece by piece, to its end.
		for c.rec < c.n {
			c.advance(c.sent)
			p := c.piece(100)
			c.advance(c.sent + len(p))
			if len(p) == 0 && c.rec < c.n {
				c.skip()
			}
		}
		if c.live() != 0 || lost[0] < 0 || lost[0]+lost[1] > h.n {
			t.Errorf("%d left, %d lost of %d", c.live(), lost, c.n)
		}
	})
}

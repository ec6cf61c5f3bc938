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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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
	<-s.mover.tried // on a machine that is busy enough New does not wait for that
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
	<-s.mover.tried // Shutdown does not wait for a slow disk either
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
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
		cmd := childCommand(t, mode, env...)
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
	doubt := 4096 // bytes: one write of the destination, with mapped memory
	if dest == "pipe with spill" {
		doubt = 192 << 10 // while a backlog comes back from disk, as the guide says
	}
	checkLines(t, all, acked, doubt, told.String())
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
		var env []string
		options := r.IntN(4) // mapped twice as often as not
		if safe[g] = options != 3; safe[g] {
			env = append(env, "LOGSINK_TEST_MAPPED="+mapped)
			how += " mapped"
		}
		if options != 0 {
			env = append(env, "LOGSINK_TEST_SPILL="+spill)
			how += " spill"
		}
		n, reads := killedChild(t, r, "write", g, dir, env, 180, &arrived)
		how += fmt.Sprintf(" read %d;", reads)
		acked[g] = n
		if cut := bytes.LastIndexByte(arrived.Bytes(), '\n') + 1; cut < arrived.Len() && !safe[g] {
			arrived.Truncate(cut) // without mapped memory writes are larger than a pipe takes in one piece
		}
	}
	heir := childCommand(t, "recover", "LOGSINK_TEST_MAPPED="+mapped, "LOGSINK_TEST_SPILL="+spill)
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

// killedChild starts generation g of a chain in dir, reads some of its output, a number
// of lines or none, and kills it within most milliseconds more than twenty. What it
// delivered until then goes to arrived. It returns how many lines its Writes had
// returned for, and how many were read before the reader stopped.
func killedChild(t *testing.T, r *rand.Rand, mode string, g int, dir string, env []string, most int, arrived *bytes.Buffer) (acked, reads int) {
	t.Helper()
	ackPath := filepath.Join(dir, fmt.Sprint("ack", g))
	if err := os.WriteFile(ackPath, make([]byte, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	victim := childCommand(t, mode, append(slices.Clone(env), "LOGSINK_TEST_ACK="+ackPath, fmt.Sprintf("LOGSINK_TEST_PREFIX=%d:", g))...)
	stdout, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	victim.Stderr = &told
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	fired := make(chan struct{})
	time.AfterFunc(time.Duration(20+r.IntN(most))*time.Millisecond, func() {
		victim.Process.Kill() //nolint:errcheck // it is alive until here
		close(fired)
	})
	reads = r.IntN(3) * r.IntN(3000)
	in := bufio.NewReader(stdout)
	for range reads {
		line, err := in.ReadBytes('\n')
		arrived.Write(line)
		if err != nil {
			break
		}
	}
	<-fired
	if _, err := io.Copy(arrived, in); err != nil { // what the pipe holds was delivered
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
	return int(binary.LittleEndian.Uint64(b)), reads
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
// few that were in flight, doubt bytes at most, and come twice.
func checkLines(t *testing.T, all []byte, acked, doubt int, told string) {
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
			if n < next-doubt/33 {
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

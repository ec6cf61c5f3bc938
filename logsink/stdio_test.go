//go:build linux

package logsink

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// children are programs that the tests start as processes of their own: the
// test binary, with LOGSINK_TEST_CHILD set. They report on standard error.
var children = map[string]func() error{
	"write":          childWrites,
	"recover":        childRecovers,
	"overflows":      childOverflows,
	"inherits":       childInherits,
	"frozen stdout":  childFrozenStdout,
	"dead stdout":    childDeadStdout,
	"stops":          childStops,
	"captured":       childCaptured,
	"crashes":        childCrashes,
	"captures twice": childCapturesTwice,
}

func TestMain(m *testing.M) {
	child := children[os.Getenv("LOGSINK_TEST_CHILD")]
	if child == nil {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// childCommand is the test binary as another program, one of children. It is killed when
// the test ends, if it is alive then.
func childCommand(t *testing.T, mode string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), "LOGSINK_TEST_CHILD="+mode), env...)
	return cmd
}

func childFrozenStdout() error {
	before := runtime.NumGoroutine()
	s, err := Stdout(Options{})
	if err != nil {
		return err
	}
	line := []byte(strings.Repeat("x", 999) + "\n")
	for range 10_000 {
		s.Write(line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.Shutdown(ctx); err == nil {
		return fmt.Errorf("Shutdown says that all is delivered")
	}
	took := time.Since(began)
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, 1, syscall.F_GETFL, 0)
	if errno != 0 {
		return errno
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; i < 10_000 && runtime.NumGoroutine()-before > 1; i++ {
		<-tick.C // those at their end may need a processor, one that is left behind stays
	}
	st := s.Stats()
	fmt.Fprintf(os.Stderr, "in time %v, nonblock %v, queued %d, sum %v, delivered some %v, goroutines %d\n",
		took < time.Second, flags&syscall.O_NONBLOCK != 0, st.Queued,
		st.Delivered+st.Dropped.Total() == st.Attempted && st.Attempted == 10_000, st.Delivered > 0, runtime.NumGoroutine()-before)
	return nil
}

// A frozen pipe: Shutdown is in time, nothing is left behind, and descriptor 1
// is as it was for everybody else.
func TestStdout_frozen_pipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var told bytes.Buffer
	cmd := childCommand(t, "frozen stdout")
	cmd.Stdout, cmd.Stderr = w, &told
	err = cmd.Run()
	w.Close()
	// One goroutine waits for signals: package os/signal.
	const want = "in time true, nonblock false, queued 0, sum true, delivered some true, goroutines 1\n"
	if err != nil || told.String() != want {
		t.Errorf("%v: %s", err, told.String())
	}
}

func childDeadStdout() error {
	s, err := Stdout(Options{SyncTimeout: 20 * time.Millisecond, CloseTimeout: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	io.WriteString(s, "first\n")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		return err
	}
	io.Copy(io.Discard, os.Stdin) // until the parent has closed the reader
	for range 10 {
		io.WriteString(s, "into the void\n")
		s.Sync()                        //nolint:errcheck // it cannot
		for s.Stats().State != Broken { // the drainer has not had a processor yet
			s.Sync() //nolint:errcheck // nor can this
		}
		fmt.Println("past the sink")
	}
	s.Close()
	st := s.Stats()
	fmt.Fprintf(os.Stderr, "%v, delivered %d, abandoned %d\n", st.State, st.Delivered, st.Dropped.Abandoned)
	return nil
}

// The reader of standard output dies. Without the sink the process would too.
func TestStdout_reader_dies(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	cmd := childCommand(t, "dead stdout")
	cmd.Stdout, cmd.Stderr = w, &told
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "first\n" {
		t.Errorf("%q, %v", line, err)
	}
	r.Close()
	stdin.Close()
	if err := cmd.Wait(); err != nil || told.String() != "broken, delivered 1, abandoned 10\n" {
		t.Errorf("%v: %s", err, told.String())
	}
}

func childStops() error {
	s, err := Stdout(Options{Linger: 10 * time.Second})
	if err != nil {
		return err
	}
	ctx, stop := NotifyShutdown(context.Background(), s)
	io.WriteString(s, "at once\n")
	s.Sync() //nolint:errcheck // the next line is what counts
	io.WriteString(s, "lingers\n")
	fmt.Fprintln(os.Stderr, "ready")
	<-ctx.Done()
	io.WriteString(s, "stopping\n")
	return stop()
}

func TestNotifyShutdown(t *testing.T) {
	cmd := childCommand(t, "stops")
	var out bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stderr).ReadString('\n'); line != "ready\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "at once\nlingers\nstopping\n" {
		t.Errorf("%v: %q", err, out.String())
	}
}

func TestStdout_refuses_a_destination(t *testing.T) {
	if _, err := Stderr(Options{Dest: io.Discard}); err == nil {
		t.Error("no error")
	}
}

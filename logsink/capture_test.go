//go:build linux

package logsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childCaptured writes past the sink in every way that Go has, says so in a file,
// and reports there what became of it.
func childCaptured() error {
	s, release, err := Capture(Options{Gap: GapText, MaxBytes: 1 << 20})
	if err != nil {
		return err
	}
	lines := 0
	for i := range 20_000 {
		fmt.Println("printed", i)
		lines++
	}
	fmt.Fprintln(os.Stderr, "to standard error")
	println("by the runtime")
	cmd := exec.Command("sh", "-c", "echo by a child; echo its error >&2; i=0; while [ $i -lt 2000 ]; do echo child $i; i=$((i+1)); done")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	io.WriteString(s, "through the sink\n")
	os.Stdout.WriteString("without a line break")
	lines += 2 + 2 + 2000 + 1 + 1
	report := os.NewFile(3, "report")
	fmt.Fprintln(report, "written")
	io.Copy(io.Discard, os.Stdin) // until the parent says so
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	released := release(ctx)
	st := s.Stats()
	fmt.Fprintf(report, "wrote %d attempted %d high %d delivered %d dropped %d queued %d\n", lines, st.Attempted, st.High.Attempted, st.Delivered, st.Dropped.Total(), st.Queued)
	fmt.Println("after release")
	return released
}

// Nobody reads at first. Nothing waits, and with a reader again what arrives and
// what is counted is what was written.
func TestCapture(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	told, report, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := childCommand(t, "captured")
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = w, &errs, []*os.File{report}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	report.Close()
	b := make([]byte, len("written\n"))
	if _, err := io.ReadFull(told, b); err != nil || string(b) != "written\n" {
		t.Fatalf("with nobody reading: %q, %v: %s", b, err, errs.String())
	}
	stdin.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(told)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	var wrote, attempted, high, delivered, dropped, queued int
	if n, err := fmt.Sscanf(string(rest), "wrote %d attempted %d high %d delivered %d dropped %d queued %d", &wrote, &attempted, &high, &delivered, &dropped, &queued); n != 6 {
		t.Fatalf("%q, %v", rest, err)
	}
	text := "\n" + string(out)
	for _, want := range []string{"\nto standard error\n", "\nby the runtime\n", "\nby a child\n", "\nits error\n", "\nchild 1999\n", "\nthrough the sink\n", "\nwithout a line break\n", "after release\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q did not arrive", want)
		}
	}
	arrived := strings.Count(text, "\n") - strings.Count(text, "---\n") - 2 // the first, and "after release", which is not the sink's
	if attempted != wrote || high != 3 || arrived != delivered || delivered+dropped != wrote || queued != 0 {
		t.Errorf("%d lines arrived: %s", arrived, rest)
	}
}

// childCapturesTwice asks for a second capture while the first one holds the
// descriptors, and after it.
func childCapturesTwice() error {
	_, release, err := Capture(Options{})
	if err != nil {
		return err
	}
	if _, _, err := Capture(Options{}); err == nil || !strings.Contains(err.Error(), "captured already") {
		return fmt.Errorf("the second capture: %v", err)
	}
	fmt.Println("first")
	if err := errors.Join(release(nil), release(nil)); err != nil {
		return err
	}
	if _, _, err := Capture(Options{MaxBytes: 1}); err == nil || strings.Contains(err.Error(), "already") {
		return fmt.Errorf("a capture with bad options: %v", err)
	}
	_, release, err = Capture(Options{})
	if err != nil {
		return err
	}
	fmt.Println("second")
	return release(context.Background())
}

func TestCapture_twice(t *testing.T) {
	var out, errs bytes.Buffer
	cmd := childCommand(t, "captures twice")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || out.String() != "first\nsecond\n" {
		t.Errorf("%q, %v: %s", out.String(), err, errs.String())
	}
}

func childCrashes() error {
	_, _, err := Capture(Options{})
	if err != nil {
		return err
	}
	fmt.Println("before")
	var mem []byte
	for range 1000 { // a long trace
		go func() { select {} }()
	}
	go func() { mem[0] = 1 }()
	select {}
}

// The process dies: what the runtime has to say is where it always was.
func TestCapture_of_a_crash(t *testing.T) {
	var out, errs bytes.Buffer
	cmd := childCommand(t, "crashes", "GOTRACEBACK=all")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(errs.String(), "index out of range") || strings.Count(errs.String(), "goroutine ") < 1000 {
		t.Errorf("%v: %.2000s", err, errs.String())
	}
}

// What was read is given back to the system.
func TestTail_gives_memory_back(t *testing.T) {
	var n countWriter
	tail, err := newTail(&n)
	if err != nil {
		t.Skip(err)
	}
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for range 64 {
		if _, err := tail.f.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	f, fd, err := duplicate(int(tail.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tail.close()
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	if int64(n) != 64<<20 || st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes were read, %d are still held", n, st.Blocks*512)
	}
}

// A child that opens /dev/stderr by its name to write into an empty file cannot
// make the lines of everybody else vanish: it gets an error.
func TestTail_cannot_be_made_empty(t *testing.T) {
	var n countWriter
	tail, err := newTail(&n)
	if err != nil {
		t.Skip(err)
	}
	name := fmt.Sprintf("/proc/self/fd/%d", tail.f.Fd())
	for range 100 {
		io.WriteString(tail.f, "ours\n")
		if f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
			f.Close()
			t.Fatal("it was made empty")
		} else if !errors.Is(err, syscall.EPERM) {
			t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, "by name\n")
		f.Close()
	}
	tail.close()
	if n != 100*(5+8) {
		t.Errorf("%d bytes were read, %d written", n, 100*(5+8))
	}
}

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) { *c += countWriter(len(p)); return len(p), nil }
func (c *countWriter) Close() error                { return nil }

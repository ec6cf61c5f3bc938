//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink"
)

// The usage in full: what a person reads first.
func TestUsage_in_full(t *testing.T) {
	const want = `usage: logsink command [arguments]

  logsink run [flags] -- program [argument...]
        run a program whose log cannot block it

  logsink recover path...
        write what a process left in a mapped file or a spill directory to standard output, and take it out of there

  logsink ls path...
        list what is left, without a change to it

  logsink cat path...
        write what is left to standard output, without a change to it

  logsink verify path...
        check that what is left can be read, or, of a log with seals (-seal of run; - is standard input), that every line up to the last seal arrived; exit code 1 if not, also if the sink had to drop some

  logsink check [-spill dir] [-mapped file]
        tell whether the log path of this machine can block a program; exit code 1 if it can

"logsink run -h" and "logsink check -h" list the flags.
`
	for _, args := range [][]string{nil, {"help"}, {"-h"}, {"-help"}, {"--help"}} {
		var out, errs bytes.Buffer
		code := dispatch(args, &out, &errs)
		if out.String() != want || errs.Len() > 0 || code != 0 && len(args) > 0 || len(args) == 0 && code != exitUsage {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out.String(), errs.String())
		}
	}
}

// What is wrong with the arguments is told with what there is instead.
func TestArguments_that_are_wrong(t *testing.T) {
	const ls = "usage: logsink ls path...\n        list what is left, without a change to it\n"
	for _, tt := range []struct {
		args   string
		code   int
		stderr string // its begin
	}{
		{"rnu", exitUsage, `logsink: there is no command "rnu"; it is one of run, recover, ls, cat, verify, check` + "\n"},
		{"ls", exitUsage, ls},
		{"ls -h", 0, ls},
		{"ls -x", exitUsage, "flag provided but not defined: -x\n" + ls},
		{"check /tmp", exitUsage, "usage: logsink check [-spill dir] [-mapped file]\n"},
		{"check -h", 0, "usage: logsink check [-spill dir] [-mapped file]\n"},
		{"check -spill", exitUsage, "flag needs an argument: -spill\n"},
		{"run", exitUsage, "usage: logsink run [flags] -- program [argument...]\n"},
		{"run -h", 0, "usage: logsink run [flags] -- program [argument...]\n        run a program whose log cannot block it\n  -close duration\n"},
		{"run -gap xml true", exitUsage, `logsink: -gap is "xml"; it is json, logfmt, text or none` + "\nusage: "},
		{"run -max-bytes 1k true", exitUsage, `invalid value "1k" for flag -max-bytes: parse error` + "\nusage: "},
		{"run -max-bytes 1 true", exitUsage, "logsink: Options.MaxBytes is 1, the least is 65536\n"},
		{"run -spill-bytes 9 true", exitUsage, "logsink: Options.SpillBytes or SpillAge is set and Options.SpillDir is not\n"},
	} {
		var out, errs bytes.Buffer
		code := dispatch(strings.Fields(tt.args), &out, &errs)
		if code != tt.code || !strings.HasPrefix(errs.String(), tt.stderr) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %s\n%s, want %d\n%s", tt.args, code, out.String(), errs.String(), tt.code, tt.stderr)
		}
	}
}

func TestExit_codes(t *testing.T) {
	var s settings
	for _, tt := range []struct {
		status syscall.WaitStatus
		err    error
		want   int
	}{
		{0, nil, 0},
		{3 << 8, nil, 3},
		{255 << 8, nil, 255},
		{0, &exec.Error{Name: "x", Err: exec.ErrNotFound}, exitNotFound},
		{0, &fs.PathError{Op: "fork/exec", Path: "/x", Err: syscall.ENOENT}, exitNotFound},
		{0, &fs.PathError{Op: "fork/exec", Path: "/x", Err: syscall.EACCES}, exitCannot},
		{0, errors.New("wait: no child"), exitCannot},
	} {
		if got := s.exit(tt.status, tt.err); got != tt.want {
			t.Errorf("status %#x, %v: %d, want %d", tt.status, tt.err, got, tt.want)
		}
	}
}

func TestInstead_of_nothing(t *testing.T) {
	var errs bytes.Buffer
	err := instead([]string{"no such program"}, &errs, syscall.EMFILE)
	if !errors.Is(err, exec.ErrNotFound) || errs.Len() > 0 {
		t.Errorf("%v, %q", err, errs.String())
	}
	for err, want := range map[error]bool{fmt.Errorf("pipe: %w", syscall.EMFILE): true, syscall.ENFILE: true, syscall.ENOENT: false, nil: false} {
		if noFiles(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

// At the end it says what went wrong, each on a line, and nothing if nothing did.
func TestTell(t *testing.T) {
	for _, tt := range []struct {
		err, closed error
		stats       logsink.Stats
		want        string
	}{
		{nil, nil, logsink.Stats{Attempted: 7, Delivered: 7}, ""},
		{errors.New("it does not start"), nil, logsink.Stats{}, "logsink: it does not start\n"},
		{
			nil, &logsink.ShutdownError{OnDisk: 1, InCall: 2, Abandoned: 3, Err: errors.New("too late")},
			logsink.Stats{Attempted: 9, Dropped: logsink.Drops{Full: 4, Abandoned: 3}, DiskError: "the disk is full"},
			"logsink: shutdown: too late; 1 records on disk, 2 in a call that has not returned, 3 abandoned\n" +
				"logsink: 7 of 9 lines are lost: {Full:4 Evicted:0 Oversize:0 Closed:0 Rejected:0 Abandoned:3 Corrupt:0}\nthe disk is full\n",
		},
	} {
		var errs bytes.Buffer
		if tell(&errs, tt.err, tt.closed, tt.stats); errs.String() != tt.want {
			t.Errorf("%q, want %q", errs.String(), tt.want)
		}
	}
}

type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) { <-b; return len(p), nil }

// Standard error may be the frozen pipe, too.
func TestTell_does_not_wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stderr := make(blocked)
		began := time.Now()
		tell(stderr, errors.New("it does not start"), nil, logsink.Stats{})
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("%v", took)
		}
		close(stderr)
		synctest.Wait()
	})
}

func TestForwarded(t *testing.T) {
	got := forwarded()
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		ours := slices.Contains([]syscall.Signal{
			syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGPROF, syscall.SIGCHLD, syscall.SIGPIPE,
			syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS,
		}, sig)
		if slices.Contains(got, os.Signal(sig)) == ours {
			t.Errorf("%v (%d) is forwarded: %v", sig, int(sig), !ours)
		}
	}
}

// What check says of a descriptor, of each kind.
func TestDescriptor(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var pipe, sockets [2]int
	socket, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err = errors.Join(err, syscall.Pipe2(pipe[:], syscall.O_CLOEXEC)); err != nil {
		t.Fatal(err)
	}
	sockets = socket
	defer func() {
		for _, fd := range append(pipe[:], sockets[:]...) {
			syscall.Close(fd)
		}
	}()
	if _, err := syscall.Write(pipe[1], []byte("12345")); err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	self := fmt.Sprintf("%s (%d)", strings.TrimSpace(string(comm)), os.Getpid())
	link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", sockets[0]))
	if err != nil {
		t.Fatal(err)
	}
	const waits, cut = "the descriptor is blocking", "somebody made it non-blocking, so that a line may be cut instead"
	pipeText := "it is a pipe of 65536 bytes, 5 of them waiting, read by " + self + ": when the reader stops, a write waits as soon as it is full (%s)"
	for _, tt := range []struct {
		fd   int
		want finding
	}{
		{pipe[1], finding{true, fmt.Sprintf(pipeText, waits)}},
		{sockets[0], finding{true, "it is a socket (" + link + "), as journald's is: when its reader stops, a write waits as soon as its buffer is full (" + waits + ")"}},
		{int(file.Fd()), finding{true, "it is the file " + file.Name() + ": a write waits for a disk that hangs or is frozen by a snapshot"}},
		{int(null.Fd()), finding{false, "it is /dev/null"}},
		{int(zero.Fd()), finding{true, "it is the terminal or device /dev/zero: Ctrl-S, or a terminal that nobody reads, stops a write"}},
		{int(d.Fd()), finding{true, "it is " + dir}},
		{1 << 20, finding{false, "it is closed: bad file descriptor"}},
	} {
		if got := descriptor(tt.fd, "it"); got != tt.want {
			t.Errorf("%v, want %v", got, tt.want)
		}
	}
	if err := syscall.SetNonblock(pipe[1], true); err != nil {
		t.Fatal(err)
	}
	if got := descriptor(pipe[1], "it"); got.text != fmt.Sprintf(pipeText, cut) {
		t.Errorf("%v", got)
	}
	syscall.Close(pipe[0])
	pipe[0] = -1 // from here on it has writers alone
	if got := descriptor(pipe[1], "it"); !strings.Contains(got.text, "read by a process that cannot be seen from here: ") {
		t.Errorf("%v", got)
	}
	if got := readers(0); got != "a process that cannot be seen from here" {
		t.Errorf("%s", got)
	}
}

func TestWrites(t *testing.T) {
	for info, want := range map[string]bool{
		"pos:\t0\nflags:\t0100000\nmnt_id:\t1\n": false,
		"pos:\t0\nflags:\t01\n":                  true,
		"pos:\t0\nflags:\t0100002\n":             true,
		"pos:\t0\nflags:\tx\n":                   false,
		"":                                       false,
	} {
		if got := writes(info); got != want {
			t.Errorf("%q: %v", info, got)
		}
	}
}

// A place that cannot be made, that is something else, that is another process's and one
// that can be used.
func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := spillOf(t, "one\n", "two\n")
	inUse := filepath.Join(dir, "in use")
	s, err := logsink.New(logsink.Options{Batch: nobody{}, SpillDir: inUse, CloseTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // it holds nothing
	for _, tt := range []struct {
		path string
		want finding
	}{
		{filepath.Join(dir, "a", "b"), finding{false, "PATH can be used; it will be made"}},
		{filepath.Join(file, "below"), finding{true, "DIR"}},
		{file, finding{true, "PATH: it is a regular file, and must be a directory"}},
		{used, finding{false, "PATH can be used; 2 records of an earlier process are in it"}},
		{inUse, finding{true, "PATH: another process uses it"}},
	} {
		got := places(tt.path, "")
		if len(got) != 1 {
			t.Fatalf("%v", got)
		}
		got[0].text = strings.ReplaceAll(got[0].text, tt.path, "PATH")
		if tt.want.text == "DIR" { // the system's words, of a name that is random
			if !got[0].blocks || !strings.Contains(got[0].text, "not a directory") {
				t.Errorf("%v", got)
			}
			continue
		}
		if got[0] != tt.want {
			t.Errorf("%v, want %v", got[0], tt.want)
		}
	}
	if got := namesIn(t, dir); !slices.Equal(got, []string{"file", "in use"}) {
		t.Errorf("it leaves %v", got)
	}
	if got := places("", ""); got != nil {
		t.Errorf("%v", got)
	}
}

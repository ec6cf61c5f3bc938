//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
)

// TestMain makes the test binary the command itself, and a program in Go that
// logs.
func TestMain(m *testing.M) {
	switch os.Getenv("LOGSINK_TEST_AS") {
	case "logsink":
		main()
	case "program":
		out := bufio.NewWriterSize(os.Stdout, 1)
		for i := range manyLines {
			fmt.Fprintf(out, "%d %s\n", i, strings.Repeat("x", 80))
		}
		out.Flush()
		os.WriteFile(os.Getenv("DONE"), nil, 0o600)
		os.Exit(7)
	}
	os.Exit(m.Run())
}

const manyLines = 50_000

// logsinkCommand is the command as a process.
func logsinkCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "LOGSINK_TEST_AS=logsink")
	return cmd
}

// sh runs a shell script under "logsink run".
func sh(script string) *exec.Cmd { return logsinkCommand("run", "--", "sh", "-c", script) }

func TestRun_keeps_the_exit_status(t *testing.T) {
	for _, tt := range []struct {
		cmd    *exec.Cmd
		code   int
		signal syscall.Signal
		out    string
	}{
		{sh("echo first; echo second; exit 3"), 3, 0, "first\nsecond\n"},
		{sh("printf 'no line break'"), 0, 0, "no line break\n"},
		{sh("echo out; kill -TERM $$"), -1, syscall.SIGTERM, "out\n"},
		{sh("echo out; kill -SEGV $$"), -1, syscall.SIGSEGV, "out\n"},
		{sh("echo out; kill -ABRT $$"), -1, syscall.SIGABRT, "out\n"},
		{sh("echo out; kill -KILL $$"), -1, syscall.SIGKILL, "out\n"},
		{logsinkCommand("run", "no such program"), exitNotFound, 0, ""},
		{logsinkCommand("run", "/"), exitCannot, 0, ""},
		{logsinkCommand("run"), exitUsage, 0, ""},
		{logsinkCommand("run", "-gap", "xml", "true"), exitUsage, 0, ""},
	} {
		out, err := tt.cmd.Output()
		status := tt.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if string(out) != tt.out || tt.cmd.ProcessState.ExitCode() != tt.code || status.Signaled() != (tt.signal != 0) || status.Signaled() && status.Signal() != tt.signal {
			t.Errorf("%v: %q, %v, want %q, code %d, signal %v", tt.cmd.Args[1:], out, err, tt.out, tt.code, tt.signal)
		}
	}
}

// A service must start though logsink has no file descriptors left for its pipes:
// it then runs without it.
func TestRun_without_files(t *testing.T) {
	for _, limit := range []string{"9", "10"} {
		cmd := logsinkCommand()
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", "ulimit -n " + limit + " && exec \"$0\" run -- sh -c 'echo hi; exit 3'", os.Args[0]}
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run() // the code is looked at
		if code := cmd.ProcessState.ExitCode(); code != 3 || out.String() != "hi\n" || !strings.Contains(errs.String(), "runs without it") {
			t.Errorf("%s files: exit code %d, %q, %q", limit, code, &out, &errs)
		}
	}
}

// Both outputs arrive whole.
func TestRun_takes_both_outputs(t *testing.T) {
	out, err := sh("for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf 'last words' >&2").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"out 1\n", "out 3\n", "err 1\n", "err 3\n", "last words\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
}

func TestRun_forwards_signals(t *testing.T) {
	all := []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGABRT, syscall.SIGXCPU}
	if runtime.GOOS == "linux" {
		all = append(all, 30, 37) // of a failing power supply; SIGRTMIN+3, by which systemd stops containers
	}
	for _, sig := range all {
		cmd := sh(fmt.Sprintf("trap 'echo got it; exit 9' %d; echo ready; while :; do sleep 0.01; done", int(sig)))
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(stdout)
		if line, err := in.ReadString('\n'); line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(in)
		if string(rest) != "got it\n" || err != nil {
			t.Errorf("%v: %q, %v", sig, rest, err)
		}
		if cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
			t.Errorf("%v: %v", sig, cmd.ProcessState)
		}
	}
}

// programs write manyLines lines, say in a file that they have, and exit with 7.
func programs(t *testing.T, done string) map[string]*exec.Cmd {
	line := fmt.Sprintf("%d", manyLines)
	all := map[string]*exec.Cmd{}
	add := func(name string, args ...string) {
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Logf("%s is not here", args[0])
			return
		}
		cmd := logsinkCommand(append([]string{"run", "-max-bytes", "262144", "-close", "300ms", "-gap", "text", "--"}, args...)...)
		cmd.Env = append(cmd.Env, "DONE="+done)
		all[name] = cmd
	}
	add("go", "env", "LOGSINK_TEST_AS=program", os.Args[0])
	add("python", "python3", "-c", "import os,sys\nfor i in range("+line+"): print(i, 'x'*80, flush=True)\nopen(os.environ['DONE'],'w').close()\nsys.exit(7)")
	add("node", "node", "-e", "const fs=require('fs'); for(let i=0;i<"+line+";i++) fs.writeSync(1, i+' '+'x'.repeat(80)+'\\n'); fs.writeFileSync(process.env.DONE,''); process.exit(7)")
	add("shell", "sh", "-c", "i=0; while [ $i -lt "+line+" ]; do echo $i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$((i+1)); done; : > $DONE; exit 7")
	return all
}

// Nobody reads. The program goes on to its end; with a reader again, what
// arrives and what is counted as lost is what was written.
func TestRun_when_nobody_reads(t *testing.T) {
	done := filepath.Join(t.TempDir(), "done")
	for name, cmd := range programs(t, done) {
		for _, again := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/again=%v", name, again), func(t *testing.T) {
				cmd := &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env}
				os.Remove(done) //nolint:errcheck // of the one before
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				var told bytes.Buffer
				cmd.Stdout, cmd.Stderr = w, &told
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				w.Close()
				waitFor(t, func() bool { _, err := os.Stat(done); return err == nil })
				if !again {
					cmd.Wait() //nolint:errcheck // the code is looked at below
				}
				arrived, marked := count(t, r)
				cmd.Wait() //nolint:errcheck // the code is looked at below
				lost := 0
				for line := range strings.Lines(told.String()) {
					if n := 0; strings.Contains(line, " lines are lost") {
						if c, err := fmt.Sscanf(line, "logsink: %d of", &n); c != 1 {
							t.Errorf("%q: %v", line, err)
						}
						lost = n
					}
				}
				if arrived+lost != manyLines || again && marked != lost || cmd.ProcessState.ExitCode() != 7 {
					t.Errorf("%d lines arrived, %d are said to be lost, markers tell of %d; %v: %s", arrived, lost, marked, cmd.ProcessState, told.String())
				}
			})
		}
	}
}

// count reads lines, and what markers say. A line that a giving up cut is none.
func count(t *testing.T, r io.Reader) (lines, marked int) {
	t.Helper()
	in := bufio.NewReader(r)
	for {
		l, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return lines, marked
		}
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if c, _ := fmt.Sscanf(l, "--- %d log records", &n); c == 1 {
			marked += n
		} else {
			lines++
		}
	}
}

// endProcess ends the sleep of a shell script, whose id stands in a file, when the one
// that would have ended it is gone. It must be alive, for as long as the test needs it.
func endProcess(t *testing.T, path string) {
	t.Helper()
	var pid int
	b, err := os.ReadFile(path)
	if err == nil {
		_, err = fmt.Sscan(string(b), &pid)
	}
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Errorf("a process is left behind: %v", err)
	}
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 12_000 {
		if ready() {
			return
		}
		<-tick.C
	}
	t.Fatal("the program was stopped by its log")
}

// As process 1 of a container it reaps orphans, and its program may be ended by
// signals that process 1 itself would not die of.
func TestRun_as_process_1(t *testing.T) {
	if out, err := exec.Command("unshare", "-pf", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("needs the right to make a namespace: %v: %s", err, out)
	}
	script := `for i in 1 2 3 4 5; do (sh -c 'exit 0' & exec true) & done; wait
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ "$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ')" = 0 ] && break
	sleep 0.05
done
echo "zombies: $(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ')"; echo "parent: $PPID"; kill -TERM $$`
	cmd := exec.Command("unshare", "-pf", "--mount-proc", "env", "LOGSINK_TEST_AS=logsink", os.Args[0], "run", "--", "sh", "-c", script)
	out, err := cmd.Output()
	if string(out) != "zombies: 0\nparent: 1\n" || cmd.ProcessState.ExitCode() != exitSignal+int(syscall.SIGTERM) {
		t.Errorf("%q, %v", out, err)
	}
}

// A process that the program left behind holds its output: that is no reason to
// wait forever.
func TestRun_does_not_wait_for_daemons(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	cmd := logsinkCommand("run", "-pipe-linger", "100ms", "--", "sh", "-c", "sleep 60 & echo $! > "+pid+"; echo out; exit 4")
	out, _ := cmd.Output()
	endProcess(t, pid)
	if !strings.Contains(string(out), "out\n") || cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("%q, %v", out, cmd.ProcessState)
	}
}

// Standard output may be anything.
func TestRun_on_any_output(t *testing.T) {
	const script = "echo one; echo two; exit 5"
	check := func(name string, err error, out string, cmd *exec.Cmd) {
		t.Helper()
		if out = strings.ReplaceAll(out, "\r", ""); out != "one\ntwo\n" || cmd.ProcessState.ExitCode() != 5 {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := sh(script)
	cmd.Stdout = f
	err = cmd.Run()
	b, _ := os.ReadFile(path)
	check("file", err, string(b), cmd)

	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	cmd = sh(script)
	cmd.Stdout = theirs
	err = cmd.Run()
	theirs.Close()
	b, _ = io.ReadAll(ours)
	ours.Close()
	check("socket", err, string(b), cmd)

	if _, err := exec.LookPath("script"); err == nil {
		cmd = exec.Command("script", "-qec", "LOGSINK_TEST_AS=logsink "+os.Args[0]+" run -- sh -c '"+script+"'", "/dev/null")
		cmd.Stdin = nil
		b, err = cmd.Output()
		check("pty", err, string(b), cmd)
	}
}

// logsink itself is killed. What its program had said is there again, in every
// command that looks at it.
func TestRun_is_killed(t *testing.T) {
	mem, err := os.MkdirTemp("/dev/shm", "logsink")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(mem)
	path := filepath.Join(mem, "mapped")
	done := filepath.Join(t.TempDir(), "done")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pid := filepath.Join(t.TempDir(), "pid")
	cmd := logsinkCommand("run", "-mapped", path, "--", "sh", "-c", "echo $$ > "+pid+"; i=0; while [ $i -lt 5000 ]; do echo $i xxxxxxxxxxxxxxxxxxxxxxxxxx; i=$((i+1)); done; : > "+done+"; exec sleep 60")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer endProcess(t, pid)
	defer cmd.Process.Kill() //nolint:errcheck // it is dead already, but where the test fails
	listing := func() string {
		out, _ := logsinkCommand("cat", path).Output()
		return string(out)
	}
	waitFor(t, func() bool { _, err := os.Stat(done); return err == nil && strings.Contains(listing(), "\n4999 ") })
	cmd.Process.Kill()
	cmd.Wait() //nolint:errcheck // killed
	piped, _ := count(t, r)

	out, err := logsinkCommand("ls", path).Output()
	if !strings.Contains(string(out), "0 records damaged") || err != nil {
		t.Errorf("ls: %q, %v", out, err)
	}
	out, err = logsinkCommand("verify", path).Output()
	if !strings.Contains(string(out), "0 are damaged") || err != nil {
		t.Errorf("verify: %q, %v", out, err)
	}
	left := strings.Count(listing(), "\n")
	if piped+left < 5000 || left == 0 {
		t.Errorf("%d lines were in the pipe, %d are left of 5000", piped, left)
	}
	out, err = logsinkCommand("recover", path).Output()
	if n := strings.Count(string(out), "\n"); n != left || err != nil {
		t.Errorf("recover: %d lines of %d, %v", n, left, err)
	}
	out, err = logsinkCommand("ls", path).Output()
	if !strings.Contains(string(out), "nothing") || err != nil {
		t.Errorf("ls after recover: %q, %v", out, err)
	}
	if out, err := logsinkCommand("recover", filepath.Join(mem, "other")).CombinedOutput(); err == nil || !strings.Contains(string(out), "no such file") {
		t.Errorf("recover of nothing: %q, %v", out, err)
	}
}

// A log that arrived is checked to the line.
func TestVerify_of_a_log(t *testing.T) {
	out, err := logsinkCommand("run", "-seal", "--", "sh", "-c", "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); done").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := logsinkCommand("verify", path).CombinedOutput(); err != nil || !strings.Contains(string(out), "300 of them sealed, 0 in no seal, 0 missing") {
		t.Errorf("%s, %v", out, err)
	}
	cmd := logsinkCommand("verify", "-")
	cmd.Stdin = strings.NewReader(strings.Replace(string(out), "\n42\n", "\n", 1))
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "lines 43: lost behind the sink") {
		t.Errorf("%s, %v", out, err)
	}
	cmd = logsinkCommand("verify", "-")
	cmd.Stdin = strings.NewReader("a log\n")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "has no seal") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	shared := filepath.Join(dir, "shared")
	if err := errors.Join(os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777)); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := namesIn(t, dir)
	cmd := logsinkCommand("check", "-spill", filepath.Join(dir, "not", "yet", "spill"))
	cmd.Stdout = w
	cmd.Stderr = nil // /dev/null
	cmd.Run()        //nolint:errcheck // the code is looked at below
	w.Close()
	out, _ := io.ReadAll(r)
	for _, want := range []string{"BLOCKS standard output is a pipe of 65536 bytes", "ok     standard error is /dev/null", "ok     " + dir + "/not/yet/spill can be used; it will be made\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", cmd.ProcessState)
	}
	out, _ = logsinkCommand("check", "-mapped", filepath.Join(dir, "no", "mapped")).CombinedOutput()
	if inMemory := strings.Contains(string(out), "no/mapped can be used"); !inMemory && !strings.Contains(string(out), "BLOCKS logsink: mapped file "+dir+"/no/mapped: "+dir+"/no is on ") {
		t.Errorf("%s", out)
	}
	if after := namesIn(t, dir); !slices.Equal(before, after) {
		t.Errorf("it leaves %v, and found %v", after, before)
	}
	used := filepath.Join(dir, "used")
	lost, err := logsink.New(logsink.Options{Batch: nobody{}, SpillDir: used, CloseTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(lost, "a line\n")
	lost.Close() //nolint:errcheck // it spills
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before = slices.Concat(namesIn(t, dir), namesIn(t, used))
	out, _ = logsinkCommand("check", "-spill", used, "-mapped", empty).CombinedOutput()
	if !strings.Contains(string(out), used+" can be used; 1 records of an earlier process are in it\n") {
		t.Errorf("%s", out)
	}
	if info, err := os.Stat(empty); err != nil || info.Size() != 0 {
		t.Errorf("the mapped file has %d bytes, %v", info.Size(), err)
	}
	if after := slices.Concat(namesIn(t, dir), namesIn(t, used)); !slices.Equal(before, after) {
		t.Errorf("it leaves %v, and found %v", after, before)
	}
	out, _ = logsinkCommand("recover", used).Output()
	if string(out) != "a line\n" {
		t.Errorf("what it looked at is now %q", out)
	}
	out, _ = logsinkCommand("check", "-spill", shared).CombinedOutput()
	if !strings.Contains(string(out), "others can write to it") {
		t.Errorf("%s", out)
	}
}

func TestUsage(t *testing.T) {
	var out, errs bytes.Buffer
	if code := dispatch([]string{"help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "logsink run") {
		t.Errorf("%d, %q", code, out.String())
	}
	if code := dispatch([]string{"rnu"}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), `no command "rnu"`) {
		t.Errorf("%d, %q", code, errs.String())
	}
	for _, c := range []string{"recover", "ls", "cat", "verify"} {
		if code := dispatch([]string{c}, &out, &errs); code != exitUsage {
			t.Errorf("%s without a path: %d", c, code)
		}
		if code := dispatch([]string{c, "-h"}, &out, &errs); code != 0 {
			t.Errorf("%s -h: %d", c, code)
		}
	}
}

// What the program wrote before it ended is read, however short the time for its
// children is.
func TestRun_reads_what_the_program_wrote(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	for range 10 {
		cmd := logsinkCommand("run", "-pipe-linger", "0s", "--", "sh", "-c", "sleep 60 & echo $! > "+pid+"; i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); done; exit 3")
		out, _ := cmd.Output()
		endProcess(t, pid)
		if n := bytes.Count(out, []byte("\n")); n != 500 || cmd.ProcessState.ExitCode() != 3 {
			t.Fatalf("%d lines of 500 arrived, exit code %d", n, cmd.ProcessState.ExitCode())
		}
	}
}

func TestRun_refuses_negative_times(t *testing.T) {
	for _, name := range []string{"-pipe-linger", "-close"} {
		var out, errs bytes.Buffer
		if code := dispatch([]string{"run", name, "-1s", "true"}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "logsink: "+name+" is -1s") {
			t.Errorf("%d, %q", code, errs.String())
		}
	}
}

// A log that lacks what the sink itself dropped is not one in which every line
// arrived.
func TestVerify_of_a_log_with_losses(t *testing.T) {
	var log bytes.Buffer
	sink, err := logsink.New(logsink.Options{Dest: &log, Seal: true, MaxRecord: 100})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(sink, "one")
	fmt.Fprintln(sink, strings.Repeat("x", 200))
	fmt.Fprintln(sink, "two")
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := logsinkCommand("verify", "-")
	cmd.Stdin = &log
	out, _ := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "0 missing, 0 unchecked, 1 lost by the sink") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func namesIn(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// A program in the foreground of a terminal stops, as by Ctrl-Z: the shell has its
// turn, brings it back, and it reads from the terminal again. In a pipeline the rest of
// it stops, too; a run in a run follows.
func TestRun_gives_the_terminal_back(t *testing.T) {
	for _, name := range []string{"bash", "script"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	run := "LOGSINK_TEST_AS=logsink " + os.Args[0] + " run -- "
	program := func(sig string) string {
		return "sh -c 'kill -" + sig + ` $$; read line; echo "it reads $line"; exit 3'`
	}
	for name, c := range map[string]struct {
		line          string
		stopped, code int
	}{
		"the terminal stops it": {run + program("TSTP"), 128 + int(syscall.SIGTSTP), 3},
		"it is stopped":         {run + program("STOP"), 128 + int(syscall.SIGSTOP), 3},
		"in a pipeline":         {run + program("TSTP") + " | cat", 128 + int(syscall.SIGTSTP), 0},
		"in a run":              {run + os.Args[0] + " run -- " + program("TSTP"), 128 + int(syscall.SIGTSTP), 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shell := filepath.Join(t.TempDir(), "shell")
			text := "set -m\n" + c.line + "\necho \"stopped $?\"\nfg >/dev/null\necho \"ended $?\"\n"
			if err := os.WriteFile(shell, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "script", "-qec", "bash "+shell, "/dev/null")
			cmd.Stdin = strings.NewReader("a line\n")
			out, err := cmd.Output()
			got := strings.ReplaceAll(string(out), "\r", "")
			for _, want := range []string{fmt.Sprintf("stopped %d\n", c.stopped), "it reads a line\n", fmt.Sprintf("ended %d\n", c.code)} {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in %q, %v", want, got, err)
				}
			}
		})
	}
}

// What a process lost and told nobody of is in every command that looks at what it
// left.
func TestLeftovers_of_a_loss(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "logsink")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mapped")
	s, err := logsink.New(logsink.Options{Batch: nobody{}, Mapped: path, MaxRecord: 100, Gap: logsink.GapText, CloseTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s.Write(make([]byte, 101)) // longer than MaxRecord
	s.Close()                  //nolint:errcheck // nobody takes the marker
	for command, want := range map[string]string{
		"ls":     " 0 records, 0 bytes, 1 chunks, 0 records damaged, 1 dropped\n",
		"verify": ": 0 records can be read, 0 are damaged, 1 were dropped between them\n",
	} {
		if out, err := logsinkCommand(command, path).CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %s%v, want %q", command, out, err, want)
		}
	}
	out, err := logsinkCommand("recover", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- 1 log records (101 bytes) dropped since ") {
		t.Errorf("recover: %s%v", out, err)
	}
	if out, _ := logsinkCommand("ls", path).CombinedOutput(); string(out) != path+": nothing\n" {
		t.Errorf("afterwards: %s", out)
	}
}

// Standard output that takes nothing ends a recovery at once, and what was not written
// stays.
func TestRecover_to_a_full_disk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	dir := filepath.Join(t.TempDir(), "spill")
	s, err := logsink.New(logsink.Options{Batch: nobody{}, SpillDir: dir, CloseTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, "a line\n")
	s.Close() //nolint:errcheck // it spills
	cmd := logsinkCommand("recover", dir)
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = full, &told
	cmd.Run() //nolint:errcheck // the code is looked at below
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(told.String(), "standard output: write /dev/stdout: no space left on device; 1 records on disk") {
		t.Errorf("%v: %s", cmd.ProcessState, told.String())
	}
	if out, err := logsinkCommand("recover", dir).Output(); string(out) != "a line\n" {
		t.Errorf("what it left is %q, %v", out, err)
	}
}

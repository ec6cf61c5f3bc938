//go:build unix

// "logsink run", from top to bottom: runProgram reads the flags, run starts the program and
// waits, a stream for each of its outputs copies lines to the sink, reap waits for the end,
// drain for the rest of the output, exit ends as the program did.
//
// The rule behind it all is that the log may cost a line, and never the program: it starts
// without logsink if there is no other way (instead), no pipe of ours is ever full for long,
// and no end waits for a reader of the log.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/failopen/failopen/logsink"
)

// settings are the flags of run.
// Options go to the sink as they are.
type settings struct {
	options logsink.Options
	gap     string
	close   time.Duration
	linger  time.Duration
}

// gaps are the values of -gap. None marks nothing; what was dropped is told at the end.
var gaps = map[string]func(logsink.GapInfo) []byte{
	"json": logsink.GapJSON, "logfmt": logsink.GapLogfmt, "text": logsink.GapText, "none": nil,
}

// runProgram reads the flags and runs the program after them.
//
// The sink writes to a standard output of its own (logsink.Stdout), so that a full pipe
// there holds up its drainer alone. The exit code is the program's, or one of ours.
func runProgram(c command, args []string, _, stderr io.Writer) int {
	var s settings
	o := &s.options
	fs := c.flags(stderr)
	fs.IntVar(&o.MaxBytes, "max-bytes", 4<<20, "memory for what waits, in `bytes`")
	fs.IntVar(&o.MaxRecord, "max-record", 0, "longest line in `bytes`; a longer one becomes several records (default a quarter of -max-bytes)")
	fs.BoolVar(&o.DropOldest, "drop-oldest", false, "when memory is full drop the oldest lines instead of the newest")
	fs.StringVar(&o.SpillDir, "spill", "", "`directory` for what memory cannot hold")
	fs.Int64Var(&o.SpillBytes, "spill-bytes", 0, "bound of -spill in `bytes` (default 1 GiB)")
	fs.StringVar(&o.Mapped, "mapped", "", "`file` on tmpfs, such as below /dev/shm, that keeps what waits if logsink is killed")
	fs.BoolVar(&o.Seal, "seal", false, "write lines by which \"logsink verify\" tells what is missing in the log that arrived")
	fs.StringVar(&s.gap, "gap", "json", "`form` of the line that stands where lines were dropped: json, logfmt, text or none")
	// The two times are those that a stop may take: what supervises us has to give us both.
	fs.DurationVar(&s.close, "close", 5*time.Second, "how long the log may take when the program has ended")
	fs.DurationVar(&s.linger, "pipe-linger", time.Second, "how long to read on when the program has ended and its children still hold its output")
	if code, ok := parse(fs, args); !ok {
		return code
	}
	gap, known := gaps[s.gap]
	if !known || fs.NArg() == 0 {
		if !known {
			fmt.Fprintf(stderr, "logsink: -gap is %q; it is json, logfmt, text or none\n", s.gap)
		}
		fs.Usage()
		return exitUsage
	}
	for name, d := range map[string]time.Duration{"close": s.close, "pipe-linger": s.linger} {
		if d < 0 {
			fmt.Fprintf(stderr, "logsink: -%s is %v; it cannot be negative\n", name, d)
			return exitUsage
		}
	}
	o.Gap = gap
	o.CloseTimeout = max(s.close, 1) // 0 is no time, not the default of Options
	sink, err := logsink.Stdout(*o)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	status, err := s.run(sink, fs.Args())
	closed := sink.Close()
	if noFiles(err) {
		err = instead(fs.Args(), stderr, err)
	}
	tell(stderr, err, closed, sink.Stats())
	return s.exit(status, err)
}

// noFiles reports whether the program could not be started for want of file
// descriptors, which are ours to need.
// A program that could not be started for another reason would fail without us as well.
func noFiles(err error) bool { return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) }

// instead becomes the program: logging must not keep a service from starting. It
// returns only if that fails.
// The program keeps our process number, and with it the supervisor's.
func instead(args []string, stderr io.Writer, why error) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "logsink: %v; %s runs without it\n", why, args[0])
	return syscall.Exec(path, args, os.Environ())
}

// tell says what went wrong on standard error, if that takes it at once: it may
// be the same frozen pipe.
//
// It gets a tenth of a second. A goroutine that hangs there ends with the process.
func tell(stderr io.Writer, err, closed error, st logsink.Stats) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		if err != nil {
			fmt.Fprintln(stderr, "logsink:", err)
		}
		if closed != nil {
			fmt.Fprintln(stderr, closed)
		}
		if n := st.Dropped.Total(); n > 0 {
			fmt.Fprintf(stderr, "logsink: %d of %d lines are lost: %+v\n", n, st.Attempted, st.Dropped)
		}
		if st.DiskError != "" {
			fmt.Fprintln(stderr, st.DiskError)
		}
	}()
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-told:
	case <-t.C:
	}
}

// forwarded are the signals that reach the program: all that someone may send to
// a service, those for real-time use included, which some images are stopped by.
// Not SIGURG and SIGPROF, which the Go runtime sends to itself, SIGCHLD and
// SIGPIPE, which are ours, those of a terminal's job control, and those that a
// process brings on itself by a fault. SIGKILL and SIGSTOP cannot be.
// The numbers above 31 are Linux's real-time signals: systemd stops containers by one.
func forwarded() (all []os.Signal) {
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case syscall.SIGURG, syscall.SIGPROF, syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGKILL, syscall.SIGSTOP,
			syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
			syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS:
		default:
			all = append(all, n)
		}
	}
	return all
}

// run starts the program and waits for its end.
//
// The program's standard error goes through the high lane, which has a reserve: what it
// says last is what people look for. Its standard input is ours, untouched.
func (s *settings) run(sink *logsink.Sink, args []string) (syscall.WaitStatus, error) {
	// From here on a signal to us is one to the program, also while it is being started.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, forwarded()...)
	defer signal.Stop(signals)
	cmd := exec.Command(args[0], args[1:]...)
	// A file is handed on as it is; anything else would be a goroutine that copies it.
	cmd.Stdin = os.Stdin
	// A group of its own: a signal of the terminal, and what is forwarded, comes
	// once. If we have the terminal that group is the one that reads from it; in the
	// background it is another program's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: isTerminal(os.Stdin), Ctty: 0}
	out, w1, err := newStream(sink.Lines())
	if err != nil {
		return 0, err
	}
	errs, w2, err := newStream(sink.LaneLines(logsink.High))
	if err != nil {
		return 0, errors.Join(err, w1.Close())
	}
	cmd.Stdout, cmd.Stderr = w1, w2
	err = cmd.Start()
	w1.Close() //nolint:errcheck // the program has its own
	w2.Close() //nolint:errcheck // the program has its own
	if err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	go forward(cmd.Process.Pid, signals, ended)
	status, err := reap(cmd.Process.Pid)
	close(ended)
	drain([]*stream{out, errs}, s.linger)
	return status, err
}

// forward sends signals to the program. One that goes on goes on as a whole, and has
// the terminal if the shell has given it to us.
//
// A signal that comes while the program is ending is lost, as it would be without us.
func forward(pid int, signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case sig := <-signals:
			to := pid
			if sig == syscall.SIGCONT {
				to = -pid // its group
				if isTerminal(os.Stdin) {
					giveTerminal(os.Stdin, pid)
				}
			}
			syscall.Kill(to, sig.(syscall.Signal)) //nolint:errcheck // it may have ended just now
		case <-ended:
			return
		}
	}
}

// reap waits for the end of the program. As process 1 it gets every orphan of
// the container meanwhile, and must take their exit status, or they stay as
// zombies. With a terminal it also follows a program that stops; forward goes on.
//
// It waits for any child, not for the one: os/exec would wait for that and leave the others.
func reap(pid int) (syscall.WaitStatus, error) {
	options := 0
	if _, ok := foreground(os.Stdin); ok {
		options = syscall.WUNTRACED
	}
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, options, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case got != pid:
		case status.Exited() || status.Signaled():
			return status, nil
		case status.Stopped():
			followStop(pid, status.StopSignal())
		}
	}
}

// stream is one of the program's outputs.
// Done is closed when all that it brought is with the sink.
type stream struct {
	r     *os.File
	lines io.WriteCloser
	done  chan struct{}
}

// newStream makes a pipe for one stream of the program, and copies what comes
// out of it to the sink. The other end is the program's.
//
// The reader never waits for the log: a line that the sink has no room for is counted as
// dropped, and the pipe is empty again. That is what keeps the program running.
func newStream(lines io.WriteCloser) (*stream, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	s := &stream{r, lines, make(chan struct{})}
	go func() {
		defer close(s.done)
		io.Copy(writerOnly{lines}, r) //nolint:errcheck // it ends when the pipe does, or at the deadline of drain; the sink returns no errors
		readRest(r, lines)
		lines.Close() //nolint:errcheck // it returns none
	}()
	return s, w, nil
}

// mostPiped is the size of the largest pipe that a program may have.
const mostPiped = 1 << 20

// readRest reads what is in the pipe at the deadline, which ends a Read also when
// there is something to read: the program may have written it before its end. It
// waits for nothing, and a daemon that goes on writing does not hold it up.
//
// It reads past the deadline with the descriptor itself, which is non-blocking, so that
// EAGAIN is the end. A pipe holds at most mostPiped: more than that is being written now.
func readRest(r *os.File, lines io.Writer) {
	raw, err := r.SyscallConn()
	if err != nil || r.SetReadDeadline(time.Time{}) != nil {
		return
	}
	buf := make([]byte, 64<<10)
	// Without this bound a daemon that writes as fast as we read would keep us here.
	for left := mostPiped; left > 0; {
		n, failed := 0, error(nil)
		err := raw.Read(func(fd uintptr) bool {
			n, failed = syscall.Read(int(fd), buf)
			return true
		})
		if errors.Is(failed, syscall.EINTR) {
			continue
		}
		if err != nil || failed != nil || n <= 0 {
			return
		}
		lines.Write(buf[:n]) //nolint:errcheck // the sink returns no errors
		left -= n
	}
}

// writerOnly keeps io.Copy to a buffer of its own, which is read at once.
type writerOnly struct{ io.Writer }

// drain reads the rest. A daemon that the program left behind may hold the pipe
// forever.
// Both streams have the same time, together.
func drain(streams []*stream, linger time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), linger)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range streams {
		wg.Go(func() {
			select {
			case <-s.done:
			case <-ctx.Done():
				s.r.SetReadDeadline(time.Now()) //nolint:errcheck // a pipe has deadlines
				<-s.done
			}
			s.r.Close() //nolint:errcheck // it was only read
		})
	}
	wg.Wait()
}

// exit ends as the program did.
//
// 127 and 126 are what a shell says of a program that it does not find or cannot run.
// Where dieOf returns, as process 1 of a container, the code is 128 and the signal.
func (s *settings) exit(status syscall.WaitStatus, err error) int {
	switch {
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return exitNotFound
	case err != nil:
		return exitCannot
	case status.Signaled():
		dieOf(status.Signal())
		return exitSignal + int(status.Signal())
	}
	return status.ExitStatus()
}

// isTerminal reports whether f is a terminal that is ours to hand on. /dev/null is a
// character device, too, and has no foreground.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && hasTerminal(f)
}

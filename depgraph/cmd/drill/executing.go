package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// exec starts three things around a program and takes them down again: a proxy
// (proxying.go), pipes that are not read for a while (stalls, below), and a
// server of names with a mount namespace in which the program sees it (dns.go,
// exec_linux.go). The program itself is any program; it is told about them by
// its environment and its resolv.conf alone.
//
//	exec       flags, and all that can be wrong with them
//	execute    what is around the program, up and down
//	supervise  the program: start, signals, wait

// execVerb is exec: see [command.exec].
var execVerb = verb{
	name: "exec", most: -1, args: "[FLAGS] -- PROGRAM [ARGS…]", about: "Run a program whose dependencies are broken, without changing it",
	help: `
The program gets a proxy of its own: HTTPS_PROXY and the variables with which
the AWS SDKs, Python, Node, curl and OpenSSL trust the drill's certificates, and,
with --upstream, AWS_ENDPOINT_URL_DYNAMODB. Signals are passed on, and its exit
code is this program's: 128 and more if a signal has ended it, 126 and 127 if it
could not be started. Examples:

    drill exec --fault denied --service dynamodb -- python3 app.py
    drill exec --fault throttled --upstream http://127.0.0.1:8000 -- node app.mjs
    drill exec --preset 2021-12-07-dynamodb -- ./service
    drill exec --require-hit --rules rules.json -- go test ./...

--stall-stdout 60s leaves the program's standard output unread for that long
from the start, as a log driver does that has lost its server: a program that
writes its log there freezes when the pipe is full, which it holds 64 KiB.

--dns nxdomain, servfail, empty or slow answers that to every name that
--dns-for matches, through a /etc/resolv.conf that only the program sees; other
names are asked where they are asked now. It needs Linux, and root or an
unprivileged port 53 and user namespaces; programs that ask systemd-resolved
over D-Bus are not reached.
`,
	run: (*command).exec,
}

// They are those of POSIX's shell, 2.8.2, so that a script need not know that
// there is a drill between.
// Exit codes of a shell for a program that could not be run.
const (
	exitCannotRun = 126
	exitNotFound  = 127
	exitSignal    = 128 // plus the signal
)

// execFlags are those of exec. The streams of a program are read by us only if
// they are stalled; otherwise it writes to ours itself.
type execFlags struct {
	proxyFlags
	stallOut, stallErr time.Duration
	requireHit         bool
	dns                dnsOptions
}

// exec runs a program beside a proxy. Its flags end at the first word that is
// none, or at "--": what follows is the program's.
//
// Every flag is checked before the proxy starts. With none at all it runs the
// program beside a proxy that breaks nothing, which is how one sees that the
// program works through one.
func (c *command) exec(args []string) error {
	var f execFlags
	fs := c.flags()
	f.add(fs, "127.0.0.1:0", "127.0.0.1:0")
	fs.DurationVar(&f.stallOut, "stall-stdout", 0, "for how long the program's standard output is not read, from its start")
	fs.DurationVar(&f.stallErr, "stall-stderr", 0, "the same for its standard error")
	fs.BoolVar(&f.requireHit, "require-hit", false, "end with 4 (void) if the program ends with 0 and the rules have hit nothing")
	fs.StringVar(&f.dns.how, "dns", "", "what names are answered: nxdomain, servfail, empty or slow")
	fs.Var((*cli.List)(&f.dns.names), "dns-for", "a `NAME` that --dns is about, with all names below it (default: every name); may come several times")
	fs.DurationVar(&f.dns.delay, "dns-delay", 3*time.Second, "how late --dns slow answers")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	switch {
	case len(c.args) == 0:
		return usagef("exec: want the program, after --: drill exec --fault denied -- python3 app.py")
	case f.stallOut < 0, f.stallErr < 0, f.stallOut > 24*time.Hour, f.stallErr > 24*time.Hour:
		return usagef("exec: --stall-stdout %v, --stall-stderr %v; want 0 to 24h", f.stallOut, f.stallErr)
	}
	if err := f.dns.check(); err != nil {
		return err
	}
	if err := f.check("exec", false); err != nil {
		return err
	}
	return c.execute(&f, c.args)
}

// find finds a program as a shell does, and says why not with a shell's codes:
// 127 for one that is not there, 126 for one that is, and cannot be run.
// The message is printed here, as shells do, and the error is the code alone.
func (c *command) find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	fmt.Fprintf(c.stderr, "drill %s: %v\n", c.verb.name, err)
	if _, statErr := os.Stat(name); statErr == nil && strings.ContainsRune(name, os.PathSeparator) {
		return "", exitCode(exitCannotRun)
	}
	return "", exitCode(exitNotFound)
}

// execute runs the program beside its proxy, and returns its exit code as ours.
// It takes from the proxy what it has counted before it closes it, closes it
// before it prints, so that the summary is complete, and in any case once.
//
// A program that ends well although nothing was broken proves nothing; with
// --require-hit that is the verdict void. Questions for names count as hits.
func (c *command) execute(f *execFlags, args []string) (err error) {
	path, err := c.find(args[0])
	if err != nil {
		return err
	}
	p, err := f.start(c)
	if err != nil {
		return err
	}
	// Close is called in any case, and its error told once.
	closed := false
	end := func() error {
		if closed {
			return nil
		}
		closed = true
		return f.end(p)
	}
	defer func() { err = errors.Join(err, end()) }()

	// Stdin is the file itself, not a copy of it through a pipe: the program
	// may be an editor or ask for a password.
	// No context: the program ends by itself or by a signal that is passed on.
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Env = append(os.Environ(), p.Environment()...)
	cmd.Stdin = os.Stdin
	stopDNS, err := f.dns.isolate(cmd, c.stderr)
	if err != nil {
		return err
	}
	defer stopDNS()
	stalls := &stalls{over: make(chan struct{})}
	if cmd.Stdout, err = stalls.writer(c.stdout.To, f.stallOut); err != nil {
		return err
	}
	if cmd.Stderr, err = stalls.writer(c.stderr.To, f.stallErr); err != nil {
		return err
	}
	code, err := c.supervise(cmd, stalls)
	if err != nil {
		return err
	}
	hits := hitsOf(p)
	if err := end(); err != nil {
		return err
	}
	// The program has ended by now, and so has the proxy: the numbers are
	// final.
	// Calls through the proxy, and questions for names, which stopDNS returns.
	hit := int64(0)
	for _, r := range hits {
		hit += r.Hits
	}
	if len(hits) > 0 || f.requireHit {
		c.sumUp(p, hits)
	}
	if hit += stopDNS(); code == 0 && f.requireHit && hit == 0 {
		fmt.Fprintln(c.stderr, "drill exec: void: the program has ended well, and no fault was seen to hit it: nothing is proven")
		return exitCode(drill.Void)
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// supervise starts the program, passes signals on, and waits for its end.
// Signals are caught before it starts, so that none is lost between. It is left
// to itself for as long as it wants: there is no limit of ours on a program of
// the user's.
// It returns the program's exit code, or 128 and the signal that has ended it. err is
// for a program that was started and could not be waited for.
//
// Windows has no signals to pass on, and no status with one; there the exit
// code is what the system says.
func (c *command) supervise(cmd *exec.Cmd, s *stalls) (code int, err error) {
	runtime.LockOSThread() // the program ends with the thread that has started it, see dieWithParent
	defer runtime.UnlockOSThread()
	dieWithParent(cmd)
	// Buffered, since package signal drops what nobody takes.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		s.end()
		fmt.Fprintf(c.stderr, "drill %s: %v\n", c.verb.name, err)
		return exitCannotRun, nil
	}
	s.started()
	done := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for {
			select {
			case sig := <-signals:
				if sig == os.Interrupt && cli.IsTerminal(os.Stdin) {
					continue // the terminal has sent it to the program, too
				}
				_ = cmd.Process.Signal(sig) // it may have ended
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	s.end() // what the program has written is read to its end
	close(done)
	<-passed
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	}
	// A program that a signal has ended has no code of its own; shells say 128
	// and it.
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// stalls are pipes that are not read for a while, as by a log driver that has
// lost its server. They are made before the program starts (writer), closed
// here once it has (started), and read to their end when it has ended (end).
type stalls struct {
	all   sync.WaitGroup
	over  chan struct{} // the program has ended
	pipes []*os.File    // the program's ends
}

// writer is what the program writes to: w itself, or a pipe that is read into w
// after d, or as soon as the program has ended: what it has written must not be
// lost.
//
// The pipe holds 64 KiB on Linux; a program that has written more blocks in its
// next write, as it would behind a log driver. Without a delay there is no pipe
// and no goroutine.
func (s *stalls) writer(w io.Writer, d time.Duration) (io.Writer, error) {
	if d == 0 {
		return w, nil
	}
	r, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.pipes = append(s.pipes, out)
	s.all.Go(func() {
		defer func() { _ = r.Close() }() // it was read
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.over:
		}
		_, _ = io.Copy(w, r) // a reader of ours that has gone is the shell's concern
	})
	return out, nil
}

// started closes the program's ends on this side.
func (s *stalls) started() {
	for _, p := range s.pipes {
		_ = p.Close() // the program has its own
	}
	s.pipes = nil
}

// end reads what is left in the pipes. A grandchild that keeps them open gets a
// second.
// It is called once.
func (s *stalls) end() {
	s.started()
	close(s.over)
	done := make(chan struct{})
	go func() { s.all.Wait(); close(done) }()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// dnsWays are the answers that --dns gives.
var dnsWays = []string{"nxdomain", "servfail", "empty", "slow"}

// dnsOptions are how names are answered.
// how is one of dnsWays, or "" if they are answered as usual; names are those of
// --dns-for, none for every name; delay is that of slow.
type dnsOptions struct {
	how   string
	names []string
	delay time.Duration
}

// check refuses what would do nothing, and makes names comparable: lower case,
// without dots at their ends.
//
// It is called once, before the options are used; matches relies on it.
func (d *dnsOptions) check() error {
	if d.how != "" {
		if err := oneOf("exec: --dns", d.how, dnsWays); err != nil {
			return err
		}
	}
	if d.how == "" && len(d.names) > 0 {
		return usagef("exec: --dns-for without --dns")
	}
	if d.delay <= 0 || d.delay > time.Hour {
		return usagef("exec: --dns-delay is %v; want up to 1h", d.delay)
	}
	for i, n := range d.names {
		if d.names[i] = strings.ToLower(strings.Trim(n, ".")); d.names[i] == "" {
			return usagef("exec: --dns-for is %q; want a name, such as dynamodb.eu-central-1.amazonaws.com", n)
		}
	}
	return nil
}

// matches reports whether --dns is about a name: one of --dns-for or below it,
// whatever its case, as names of DNS have none; without --dns-for every name.
func (d *dnsOptions) matches(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, n := range d.names {
		if name == n || strings.HasSuffix(name, "."+n) {
			return true
		}
	}
	return len(d.names) == 0
}

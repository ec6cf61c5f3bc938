// Command logpipeline shows what a blocked log pipeline does to a service, and
// what it does not do to one that logs through logsink.
//
// It starts the same small service twice, as child processes whose standard
// output is a pipe that nobody reads: once with the standard logger writing to
// it, once with a logsink.Sink between them. Both serve requests and log a line
// for each. The table shows how many were served.
//
//	go run ./examples/logpipeline
//	go run ./examples/logpipeline -for 10s -rate 5000
//
// The exit code is 0 if the first froze and the second did not.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/logsink"
)

// config are the flags, which the parent hands on to both children.
type config struct {
	length time.Duration // of the show
	rate   int           // requests a second
	size   int           // bytes a line
}

// main is the parent, or with -service one of the two services.
func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: logpipeline [flags]\n\nShows two services whose standard output nobody reads: one logs straight to it,\nthe other through logsink.")
		flag.PrintDefaults()
	}
	var c config
	flag.DurationVar(&c.length, "for", 3*time.Second, "how long the services run")
	flag.IntVar(&c.rate, "rate", 2000, "requests a second")
	flag.IntVar(&c.size, "size", 200, "bytes of the line that each request logs")
	service := flag.String("service", "", "for internal use: run as the service, with the `writer` plain or logsink")
	flag.Parse()
	var err error
	// A contradiction first, then the two programs that this is.
	switch {
	case flag.NArg() > 0 || c.length < time.Millisecond || c.rate <= 0 || c.rate > 1e6 || c.size <= 0:
		err = errors.New("logpipeline takes no arguments, and its flags are positive: -for a millisecond at least, -rate a million at most; see -help")
	case *service != "":
		err = serve(*service, c, os.NewFile(3, "report"))
	default:
		err = show(os.Stdout, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "logpipeline:", err)
		os.Exit(1)
	}
}

// serve is the service. It reports how many requests it has served, each tenth
// of a second, to a pipe that someone does read.
//
// The two differ in one line, the writer that the logger gets. The report is a pipe of its
// own: what is shown must not depend on what is being shown.
func serve(writer string, c config, report io.Writer) error {
	// With the plain writer the logger has the pipe itself, as most programs do.
	var out io.Writer = os.Stdout
	var sink *logsink.Sink
	if writer == "logsink" {
		var err error
		if sink, err = logsink.Stdout(logsink.Options{MaxBytes: 1 << 20}); err != nil {
			return err
		}
		out = sink
	}
	logger := log.New(out, "", log.LstdFlags)
	// The reports come from a goroutine of their own: they go on when the loop below is stuck.
	var served atomic.Int64
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			fmt.Fprintln(report, served.Load())
		}
	}()
	// A tick is some requests, at least one: tickers are not exact below a millisecond.
	line := strings.Repeat("x", c.size)
	perTick := max(1, c.rate/1000) // so that the ticker has a millisecond or more
	tick := time.NewTicker(time.Duration(perTick) * time.Second / time.Duration(c.rate))
	defer tick.Stop()
	// Liveness: a loop that is stuck in a logger's write is not live, and a
	// restart would find the same pipe.
	loop, err := new(health.Process).Watch("requests", time.Second)
	if err != nil {
		return err
	}
	for end := time.Now().Add(c.length); time.Now().Before(end); <-tick.C {
		loop.Beat()
		for range perTick {
			logger.Print(line) // with the plain writer, this is where it ends
			served.Add(1)
		}
	}
	fmt.Fprintln(report, served.Load())
	if sink == nil {
		return nil
	}
	// What a service does when it is told to end: the log gets a moment, and no more.
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	loop.Wait(func() { // a write never waits, but this does, for the reader of the logs
		sink.Shutdown(ctx) //nolint:errcheck // nobody reads; the counts below say the same
	})
	// The sum holds although nobody reads: each line was delivered, dropped or is queued.
	st := sink.Stats()
	_, err = fmt.Fprintf(report, "logged %d = %d delivered to the pipe + %d dropped (each counted) + %d queued; Shutdown(200 ms) took %d ms\n",
		st.Attempted, st.Delivered, st.Dropped.Total(), st.Queued, time.Since(began).Milliseconds())
	return err
}

// child is a running service.
// child is a service as its parent sees it: by its reports.
type child struct {
	name   string
	cmd    *exec.Cmd
	served atomic.Int64
	final  atomic.Value // what it said last, if that was not a number
	done   chan struct{}
}

// startChild starts a service whose standard output nobody reads.
//
// The reading end of the child's standard output stays open, and is never read: a closed
// one would be an error for the child, and not a freeze. The report is its descriptor 3.
func startChild(name string, c config) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	unread, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	report, toReport, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ch := &child{name: name, done: make(chan struct{})}
	ch.cmd = exec.Command(self, "-service", name, "-for", c.length.String(), "-rate", fmt.Sprint(c.rate), "-size", fmt.Sprint(c.size))
	ch.cmd.Stdout, ch.cmd.Stderr, ch.cmd.ExtraFiles = stdout, os.Stderr, []*os.File{toReport}
	// The mark is for the test, whose binary is not this program.
	ch.cmd.Env = append(os.Environ(), childMark)
	if err := ch.cmd.Start(); err != nil {
		return nil, err
	}
	stdout.Close()   //nolint:errcheck // the child has it
	toReport.Close() //nolint:errcheck // the child has it
	go func() {
		defer close(ch.done)
		defer unread.Close() //nolint:errcheck // held open until here, and never read
		defer report.Close() //nolint:errcheck // read to its end
		// A number is how many requests were served; anything else is the last word.
		for lines := bufio.NewScanner(report); lines.Scan(); {
			var n int64
			if _, err := fmt.Sscanf(lines.Text(), "%d\n", &n); err == nil {
				ch.served.Store(n)
			} else {
				ch.final.Store(lines.Text())
			}
		}
	}()
	return ch, nil
}

// childMark tells a test binary that it is to be the program.
const childMark = "LOGPIPELINE_CHILD=1"

// show runs both services and prints the table.
//
// The table has six rows, whatever the length. It returns an error if the show failed: the
// plain service served on, or the one with the sink did not.
func show(w io.Writer, c config) error {
	fmt.Fprintf(w, "Two services, %d requests a second each, one log line of %d bytes a request.\nNobody reads their standard output.\n\n", c.rate, c.size)
	var children []*child
	for _, name := range []string{"plain", "logsink"} {
		ch, err := startChild(name, c)
		if err != nil {
			return err
		}
		children = append(children, ch)
	}
	plain, sink := children[0], children[1]
	fmt.Fprintf(w, "%8s  %19s  %15s\n", "after", "log.New(os.Stdout)", "log.New(sink)")
	step := c.length / 6
	tick := time.NewTicker(step)
	defer tick.Stop()
	// Both columns are read at the same moment; one stands still after the first 64 KiB, which
	// is what a pipe holds.
	for i := 1; i <= 6; i++ {
		<-tick.C
		fmt.Fprintf(w, "%8v  %12d served  %8d served\n", (time.Duration(i) * step).Round(time.Millisecond), plain.served.Load(), sink.served.Load())
	}
	// The service with the sink ends by itself; the plain one would hang for ever.
	limit := time.NewTimer(5 * time.Second)
	defer limit.Stop()
	select {
	case <-sink.done:
	case <-limit.C:
	}
	// It was to end when the time was over, and is still in the write of a log line: nothing
	// but a signal ends it.
	plain.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
	for _, ch := range children {
		<-ch.done
		ch.cmd.Wait() //nolint:errcheck // one of them was killed
	}
	fmt.Fprintf(w, "\nplain:   stopped at request %d, and hangs there\nlogsink: %v\n", plain.served.Load(), sink.final.Load())
	// Half of what was asked for is enough: the machine may be busy, and a frozen service does
	// not get anywhere near it.
	want := int64(c.length.Seconds() * float64(c.rate))
	if plain.served.Load() > want/2 || sink.served.Load() < want/2 || sink.final.Load() == nil {
		return fmt.Errorf("expected the plain service to freeze and the other to serve about %d requests; it was %d and %d", want, plain.served.Load(), sink.served.Load())
	}
	return nil
}

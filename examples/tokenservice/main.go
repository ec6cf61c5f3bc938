// Tokenservice is an HTTP service that validates session tokens against a
// slow system of record, through a two-tier cache that fails open. Beside it
// runs the same service as it was written before the outage. Everything is in
// this process, on loopback; type the name of a fault to break something.
//
// What it shows: a soft dependency can fail in any way, and the service keeps
// answering, while its twin, which differs in the lines that people forget,
// does not. Where to read:
//
//	auth/failopen.go     the part to copy: a cache in front of the system of record
//	auth/naive.go        the same as it is often written, with the line that turned users away
//	stack/operations.go  the part to copy for logs and probes: logsink and health
//	stack/stack.go       everything in one process, and the ways to break it
//	record/              the slow system of record, which stands for yours
//	depgraph.yaml        what is declared about all this; examples/gameday proves it
//
// Try it: start it, take the two curl lines that it prints, break something,
// and repeat them. The header X-Session-Source says where an answer came from.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/failopen/failopen/examples/tokenservice/auth"
	"github.com/failopen/failopen/examples/tokenservice/stack"
)

// main is a shell around run: flags, signals, an exit code. A test calls run
// with a reader and a writer in place of the terminal.
func main() {
	seed := flag.Uint64("seed", 1, "seed of the sessions and of the delays")
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, `Usage: tokenservice [-seed N]

Starts two token services, a system of record and a DynamoDB endpoint, and
prints their addresses and a few tokens to try. Then it reads commands:

  iam-revoked, black-hole, throttled, corrupt-items, dns-gone
            break DynamoDB in that way
  logs-blocked
            block the log driver
  restore   repair everything
  stats     print the statistics of the cache
  quit

`)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "tokenservice: unexpected argument %q; see tokenservice -help\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *seed, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tokenservice:", err)
		stop()
		os.Exit(1)
	}
}

// run starts everything, prints what to try, and carries out commands until
// there are no more, or ctx ends.
func run(ctx context.Context, seed uint64, in io.Reader, out io.Writer) (err error) {
	s, err := stack.Start(ctx, stack.Options{Seed: seed, Log: slog.New(slog.NewTextHandler(out, nil))})
	if err != nil {
		return err
	}
	// A service closes with a deadline of its own: the context that told it to
	// end has ended, and a close without a deadline can hang a deployment.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if closed := s.Close(ctx); err == nil {
			err = closed
		}
	}()
	fmt.Fprintf(out, "Try a token with each service, break something, and try again:\n\n")
	for i, svc := range []*stack.Service{s.FailOpen, s.Naive} {
		token := svc.Record.Tokens()[i]
		fmt.Fprintf(out, "  # %s\n  curl -i -m 5 -H 'Authorization: Bearer %s' %s/me\n", svc.Name, token, svc.URL)
	}
	fmt.Fprintf(out, "\nCommands: %s, restore, stats, quit\n", strings.Join(names(s), ", "))
	// Reading a terminal cannot be interrupted, so it has a goroutine, which
	// ends with the input.
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(in); scan.Scan(); {
			select {
			case lines <- strings.TrimSpace(scan.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, open := <-lines:
			if !open || line == "quit" {
				return nil
			}
			fmt.Fprintln(out, command(s, line))
		}
	}
}

// names lists the faults, so that help and errors cannot go out of date.
func names(s *stack.Stack) (names []string) {
	for _, f := range s.Faults() {
		names = append(names, f.Name)
	}
	return names
}

// command carries out one line and says what came of it.
// A fault stays in force until restore, and several may be in force at once.
func command(s *stack.Stack, line string) string {
	switch line {
	case "":
		return ""
	case "restore":
		if err := s.Restore(); err != nil {
			return err.Error()
		}
		return "everything works again"
	case "stats":
		return fmt.Sprintf("%+v", s.FailOpen.Auth.(*auth.FailOpen).Stats())
	}
	for _, f := range s.Faults() {
		if f.Name == line {
			if err := f.Begin(); err != nil {
				return err.Error()
			}
			return "from now on, " + f.About
		}
	}
	return fmt.Sprintf("no command %q: try %s, restore, stats or quit", line, strings.Join(names(s), ", "))
}

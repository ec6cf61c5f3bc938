// Command logchild runs a program and puts its output into one log with its
// own, through a sink: the program is never blocked by the log, and neither is
// this one. It exits with the program's exit code.
//
//	go run ./examples/logchild -- sh -c 'echo out; echo err >&2; exit 3'
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"

	"github.com/failopen/failopen/logsink"
)

// main parses nothing but the program: flags after it are the program's own.
func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: logchild [--] program [argument...]\nRuns the program and logs its output, a record a line.")
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	// A gap is marked in the form of the lines around it, logfmt.
	sink, err := logsink.Stdout(logsink.Options{Gap: logsink.GapLogfmt})
	if err != nil {
		fmt.Fprintln(os.Stderr, "logchild:", err)
		os.Exit(1)
	}
	code := run(sink, flag.Args())
	if err := sink.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "logchild:", err)
	}
	os.Exit(code)
}

// run starts the program and returns its exit code. What it prints goes to the
// sink, line by line.
//
// One writer for both outputs keeps their lines whole and in the order of the program's
// writes: os/exec gives the child one pipe for both. A program that cannot be started
// is 127, as in a shell.
func run(sink *logsink.Sink, args []string) int {
	logger := slog.New(logsink.NewHandler(sink, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, nil)
	}))
	out := sink.Lines()
	defer out.Close()
	cmd := exec.Command(args[0], args[1:]...)
	// The same writer twice: then os/exec copies both with one goroutine.
	cmd.Stdout, cmd.Stderr = out, out
	logger.Info("program starts", "program", args[0])
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	// A program that a signal ended has the code -1 here; "logsink run" keeps the signal.
	case errors.As(err, &exit):
		logger.Error("program failed", "program", args[0], "code", exit.ExitCode())
		return exit.ExitCode()
	case err != nil:
		logger.Error("program did not start", "program", args[0], "err", err)
		return 127
	}
	logger.Info("program ended", "program", args[0])
	return 0
}

// Package cli is what the command-line programs have in common: how they start
// and end, what an error of usage is, one table of verbs from which suggestions
// and completion come, and output that cannot draw on a terminal.
//
// It is no framework. A program keeps its exit codes, its flags and the words of
// its help; it calls, from top to bottom:
//
//   - [Main] in main, which gives a run(ctx, args, stdout, stderr) to test;
//   - [Contain], deferred in run, for what panics;
//   - [Program.Suggest] for a verb that there is not, [Usagef] for all else that
//     is wrong with a command line;
//   - [Output] or [Say] for each line that may hold a name from outside;
//   - [Program.Completion] for the verb completion.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a program and ends the process with its exit code. The context ends
// with the first SIGINT or SIGTERM; from then on a program may tidy up for as
// long as it needs, and a second signal is caught and has no effect.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// UsageError is an error of the command line, as opposed to one of the input. A
// program has an exit code of its own for it.
type UsageError struct{ msg string }

func (e UsageError) Error() string { return e.msg }

// Usagef makes a [UsageError]. It takes no %w: what is wrong with a command line
// is for a person to read, and nothing unwraps it.
func Usagef(format string, args ...any) error { return UsageError{fmt.Sprintf(format, args...)} }

// Contain is deferred by a program's run: a panic becomes a message and an exit
// code. Without it the runtime would end the process with 2, which means
// something else in every program that has a verdict for an exit code. It does
// not reach other goroutines.
func Contain(name string, stderr io.Writer, failed int, code *int) {
	if p := recover(); p != nil {
		Say(stderr, "%s: internal error, please report it: %v\n", name, p)
		*code = failed
	}
}

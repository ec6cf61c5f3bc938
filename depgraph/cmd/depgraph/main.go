// Command depgraph answers questions about declared dependencies: which
// cycles there are, in which order a dead system comes up, what goes down with
// a service, how available it can be, and what to soften first.
//
// Run "depgraph help" for an introduction, and "depgraph help VERB" for each
// verb. Exit codes are fixed: 0 nothing found, 1 findings, 2 wrong usage, 3
// something could not be read or analysed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/failopen/failopen/depgraph/wasmrule"
)

// The exit codes. They never count anything.
const (
	exitClean    = 0
	exitFindings = 1
	exitUsage    = 2
	exitFailed   = 3
)

func main() {
	wasmrule.Child() // this may be the process that runs a rule
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// usageError is an error of the command line, as opposed to one of the input.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errFindings ends a verb that found something.
var errFindings = errors.New("findings")

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if p := recover(); p != nil {
			say(stderr, "depgraph: internal error, please report it: %v\n", p)
			code = exitFailed
		}
	}()
	err := dispatch(ctx, args, stdout, stderr)
	var usage usageError
	switch {
	case err == nil:
		return exitClean
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.As(err, &usage):
		say(stderr, "depgraph: %s\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "depgraph: interrupted")
		return exitFailed
	}
	say(stderr, "%s\n", err)
	return exitFailed
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := newCommand(ctx, stdout, stderr)
	name, rest, err := c.verb(args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return c.help(nil)
		}
		return err
	}
	v, ok := findVerb(name)
	if !ok {
		if name == "" {
			return c.help(nil)
		}
		return usagef("unknown verb %q%s; \"depgraph help\" lists them", name, suggest(name))
	}
	if err := c.parse(v, rest); errors.Is(err, flag.ErrHelp) {
		return c.help([]string{name})
	} else if err != nil {
		return err
	}
	return v.run(c)
}

// suggest names the verb that a typing mistake might have meant.
func suggest(name string) string {
	for _, v := range verbs() {
		if len(name) > 2 && (strings.HasPrefix(v.name, name) || strings.HasPrefix(name, v.name) || oneEdit(name, v.name)) {
			return fmt.Sprintf(", did you mean %q?", v.name)
		}
	}
	return ""
}

// oneEdit reports whether a and b differ by one replaced, missing or
// additional letter, or by two neighbours that changed places.
func oneEdit(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) == len(y) && len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]:
		return true
	case len(x) == len(y):
		return len(x) > 0 && x[1:] == y[1:]
	case len(x) == len(y)+1:
		return x[1:] == y
	}
	return len(y) == len(x)+1 && x == y[1:]
}

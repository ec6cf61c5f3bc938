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

	"github.com/failopen/failopen/depgraph/internal/cli"
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
	cli.Main(run)
}

// usagef makes an error of the command line, as opposed to one of the input.
func usagef(format string, args ...any) error { return cli.Usagef(format, args...) }

// errFindings ends a verb that found something.
var errFindings = errors.New("findings")

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer cli.Contain("depgraph", stderr, exitFailed, &code)
	err := dispatch(ctx, args, stdout, stderr)
	var usage cli.UsageError
	switch {
	case err == nil:
		return exitClean
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.As(err, &usage):
		cli.Say(stderr, "depgraph: %s\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "depgraph: interrupted")
		return exitFailed
	}
	cli.Say(stderr, "%s\n", err)
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
		return usagef("unknown verb %q%s; \"depgraph help\" lists them", name, table().Suggest(", ", name))
	}
	if err := c.parse(v, rest); errors.Is(err, flag.ErrHelp) {
		return c.help([]string{name})
	} else if err != nil {
		return err
	}
	return v.run(c)
}

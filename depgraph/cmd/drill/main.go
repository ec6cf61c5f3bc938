// Command drill cuts a dependency for real and says whether the service kept
// serving.
//
// Run "drill help" for an introduction, and "drill help VERB" for each verb.
// Exit codes of verbs that run a drill are its verdict: 0 held, 1 deviated, 2
// aborted, 3 not-started, 4 void. 64 is wrong usage, 65 something that could
// not be read or written.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// Exit codes beside the verdicts.
const (
	exitUsage  = 64
	exitFailed = 65
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// usageError is an error of the command line, as opposed to one of the input.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// exitCode ends a verb with a code of its own.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// verb is one thing that the program does.
type verb struct {
	name, args, about string
	help              string // the rest of its help, with examples
	run               func(*command, []string) error
}

// command is one call of the program.
type command struct {
	ctx    context.Context
	stdout *output
	stderr *output
	verb   verb
}

func verbs() []verb {
	return []verb{runVerb, replayVerb, presetsVerb, matrixVerb, inferVerb, planVerb, proxyVerb, execVerb, revokeVerb, revertVerb, sweepVerb, reportVerb, doctorVerb}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &command{ctx: ctx, stdout: &output{to: stdout}, stderr: &output{to: stderr}}
	return c.code(c.dispatch(args))
}

// output is what the program itself writes. Names from manifests and journals
// cannot move a terminal's cursor or hide text in it: what does not print is
// written as an escape, which is the same in JSON. And it remembers that something
// could not be written: a report that is not on a full disk must not be taken for
// one that is.
type output struct {
	to  io.Writer
	mu  sync.Mutex
	err error
}

func (o *output) Write(b []byte) (int, error) {
	_, err := o.to.Write(visible(b))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = cmp.Or(o.err, err)
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func visible(b []byte) []byte {
	b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	prints := func(r rune) bool { return unicode.IsPrint(r) || r == '\n' || r == '\t' || r == '\r' }
	if bytes.IndexFunc(b, func(r rune) bool { return !prints(r) }) < 0 {
		return b
	}
	clean := make([]byte, 0, len(b)+16)
	for _, r := range string(b) {
		if prints(r) {
			clean = utf8.AppendRune(clean, r)
		} else {
			clean = fmt.Appendf(clean, "\\u%04x", r)
		}
	}
	return clean
}

func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// code is the exit code for what a verb has returned, and prints an error.
func (c *command) code(err error) int {
	var code exitCode
	var usage usageError
	if failed := c.stdout.failed(); failed != nil && (err == nil || errors.As(err, &code)) {
		err = failed // rather than a verdict that nobody can read
	}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "drill: %s\n", err)
		return exitUsage
	}
	fmt.Fprintf(c.stderr, "drill: %s\n", err)
	return exitFailed
}

func (c *command) dispatch(args []string) error {
	if len(args) == 0 || args[0] == "help" && len(args) == 1 || args[0] == "-h" || args[0] == "--help" {
		c.introduce()
		return nil
	}
	if args[0] == "help" {
		args = []string{args[1], "-h"}
	}
	if args[0] == insideVerb {
		return inside(args[1:])
	}
	all := verbs()
	i := slices.IndexFunc(all, func(v verb) bool { return v.name == args[0] })
	if i < 0 {
		var names []string
		for _, v := range all {
			names = append(names, v.name)
		}
		return usagef("unknown verb %q; want one of %s, or help", args[0], strings.Join(names, ", "))
	}
	c.verb = all[i]
	err := c.verb.run(c, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

func (c *command) introduce() {
	fmt.Fprint(c.stdout, `drill cuts a dependency on purpose, watches the service that has declared it
soft, and says whether the claim holds.

    drill presets                          the outages that can be had again
    drill run --preset iam-revoked --short cut it now, in a few seconds
    drill replay 2021-12-07-dynamodb       all seven hours of it, in virtual time

Verbs:

`)
	for _, v := range verbs() {
		fmt.Fprintf(c.stdout, "    %-22s %s\n", strings.TrimSpace(v.name+" "+v.args), v.about)
	}
	fmt.Fprint(c.stdout, `
"drill help VERB" says more. The exit code of a drill is its verdict: 0 held,
1 deviated, 2 aborted, 3 not-started, 4 void (the fault was never seen to hit:
nothing is proven). 64 is wrong usage, 65 an input that could not be read.
`)
}

// flags is a flag set whose help teaches.
func (c *command) flags() *flag.FlagSet {
	fs := flag.NewFlagSet(c.verb.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// parse reads the flags. Its error names what is wrong; help is printed where
// it was asked for.
func (c *command) parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(c.stdout, "drill %s\n\n%s.\n%s\nFlags:\n\n", strings.TrimSpace(c.verb.name+" "+c.verb.args), c.verb.about, c.verb.help)
		fs.SetOutput(c.stdout)
		fs.PrintDefaults()
		return err
	case err != nil:
		return usagef("%s: %v; see drill help %s", c.verb.name, err, c.verb.name)
	}
	return nil
}

// Command drill cuts a dependency for real and says whether the service kept
// serving.
//
// Run "drill help" for an introduction, and "drill help VERB" for each verb.
// Exit codes of verbs that run a drill are its verdict: 0 held, 1 deviated, 2
// aborted, 3 not-started, 4 void. 64 is wrong usage, 65 something that could
// not be read or written.
//
// For who changes it, the files by verb:
//
//	main.go       run, dispatch, the table of verbs, and what all of them share
//	drills.go     run, replay: a drill of the service that comes with it, or of one with --url (remote.go)
//	reporting.go  report, presets, and what run and replay print
//	virtual.go    the bubble in which hours pass in seconds
//	matrix.go     matrix; collect.go is its form for manifests and the tests of services
//	infer.go      infer: which dependencies are soft, by cutting each
//	plan.go       plan; proving.go appends verdicts to the proof file
//	proxying.go   proxy, and the flags that exec has in common with it; claim_*.go locks its folder
//	executing.go  exec: a program beside its proxy; exec_*.go and dns.go answer its names
//	revoking.go   revoke, revert, sweep, with session.go for the form that touches nobody else
//	awsclients.go whose credentials, and which endpoints; for revoking.go and doctor.go
//	doctor.go     doctor; doctor_table.go is what it asks AWS
//	reading.go    how a file of the user's is read
//
// Three ways lead to a drill, from the safest to the most real. In virtual time
// (replay, matrix, infer without --url) the service is the reference service of
// package reference, in this process, and hours take seconds: see virtual.go
// for why such a verb ends the process itself. Through a proxy (proxy, exec,
// run --url) the service is a program of the user's, and its dependencies are
// broken between it and them. At AWS (revoke) nothing of the service is
// touched, and its right to the table is taken away.
//
// The words: a drill is one run of an experiment (drill.Experiment), which cuts
// dependencies by rules (fault.Rule) for the length of the watch, after a
// steady state and before a recovery. A preset is a recorded outage: rules with
// facts and sources. A verdict is what came of it, a proof the verdict as a
// line in a file that depgraph check reads, and a cell one fault of one
// dependency in a matrix.
//
// A verb is a function from arguments to an error; it declares its flags, calls
// parse, checks what was given, and acts. The error decides the exit code; see
// code.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph/drill/revoke"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// Exit codes beside the verdicts, from sysexits.h: EX_USAGE and EX_DATAERR.
// They are far from the small ones, so that no mistake looks like a verdict.
const (
	exitUsage  = 64
	exitFailed = 65
)

// main is one call, so that tests run what users run: see run. cli.Main turns
// the first SIGINT or SIGTERM into the end of the context; a verb that has cut
// something puts it back before it returns.
func main() {
	cli.Main(run)
}

// usagef makes an error of the command line, as opposed to one of the input.
// Such an error is printed with exit code 64; everything else that goes wrong is 65.
func usagef(format string, args ...any) error { return cli.Usagef(format, args...) }

// exitCode ends a verb with a code of its own and no message: what there is to
// say has been said.
// Verdicts are such codes, and so is the code of a program that exec has run.
type exitCode int

// Error is for a log of tests; run does not print it.
//
// It is an error and not a second result, so that a verdict takes the same way
// through defers and errors.Join as everything else that a verb returns. A
// joined error that has a code and a real failure is printed whole, with the
// code's: see command.code.
func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// verb is one thing that the program does: a row of the table. Name, arguments
// and what it is about make its line in the introduction.
// The help of a verb is its name, args and about, then help, then the flags that run
// declares. A function run must call parse before it does anything.
type verb struct {
	name, args, about string
	help              string   // the rest of its help, with examples
	most              int      // how many arguments it takes; -1: those of a program, which has flags of its own
	words             []string // what may follow it, if it is one of a few
	formats           []string // what -f takes, the default first
	run               func(*command, []string) error
}

// command is one call of the program. Its streams are safe for use by several
// goroutines, as progress needs it; the rest is set before the verb runs.
type command struct {
	ctx    context.Context
	stdout *cli.Output
	stderr *cli.Output
	verb   verb
	args   []string      // beside flags; parse sets them
	ask    *flag.FlagSet // gets the flags of a verb that is asked for help, instead of the help
}

// verbs lists them in the order of the introduction. A new one is a variable
// beside its function, and a name here. completion is a row of its own place,
// since its function needs the table: as a variable it would be a circle.
//
// The table is a function, since a verb's own run needs it for completion. It
// is built a few times in a run of the program, which costs nothing that one
// could measure beside the start of the process.
func verbs() []verb {
	return []verb{runVerb, replayVerb, presetsVerb, matrixVerb, inferVerb, planVerb, proxyVerb, execVerb, revokeVerb, revertVerb, sweepVerb, reportVerb, doctorVerb, {
		name: "completion", args: strings.Join(cli.Shells(), "|"), most: 1, words: cli.Shells(), about: "Print a completion script for a shell",
		help: `
    source <(drill completion bash)
    drill completion zsh > "${fpath[1]}/_drill"
    drill completion fish > ~/.config/fish/completions/drill.fish
`,
		run: func(c *command, args []string) error {
			if err := c.parse(c.flags(), args); err != nil {
				return err
			}
			if len(c.args) == 0 {
				return usagef("completion: want one of %s", strings.Join(cli.Shells(), ", "))
			}
			return table().Completion(c.stdout, c.args[0])
		},
	}}
}

// table is the verbs as package cli takes it. A verb that is asked for
// help declares its flags and does nothing else.
// It runs each verb once, as if asked for help, to learn its flags; that is cheap,
// since parse ends a verb before it does anything. Words are what a flag's value may
// be, by the flag's name: to complete a new one, add a row.
func table() *cli.Program {
	// -f and --via have their words in the rows themselves, or are too many to
	// be typed from memory: the words are what the shell offers behind the
	// flag.
	p := &cli.Program{Name: "drill", Words: map[string][]string{
		"target": targets, "preset": presetNames(), "fault": faultNames(), "faults": faultNames(), "dns": dnsWays,
		"via": {string(revoke.TablePolicy), string(revoke.RolePolicy), string(revoke.Session), vpcEndpoint},
	}}
	for _, v := range verbs() {
		c := &command{verb: v, ask: flag.NewFlagSet(v.name, flag.ContinueOnError)}
		_ = v.run(c, []string{"-h"}) // flag.ErrHelp, which parse returns
		p.Verbs = append(p.Verbs, cli.Verb{Name: v.name, Summary: v.about, Words: v.words, Formats: v.formats, Flags: c.ask})
	}
	p.Verbs = append(p.Verbs, cli.Verb{Name: "help", Summary: "Print the introduction, or more about a verb", Words: p.Names()})
	return p
}

// run is main without the process; tests call it. In virtual time it does not
// return, and the process ends with the exit code.
// A panic of ours is printed and is exit code 65, so that it looks like no verdict.
//
// Each test of the program goes through here, with buffers for the streams.
// What the process alone has, such as the environment, the working folder and
// the standard input of a child, is read where it is needed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer cli.Contain("drill", stderr, exitFailed, &code)
	c := &command{ctx: ctx, stdout: &cli.Output{To: stdout}, stderr: &cli.Output{To: stderr}}
	return c.code(c.dispatch(args))
}

// code is the exit code for what a verb has returned, and prints an error. What
// could not be written comes before a verdict: a verdict of a report that is
// cut off on a full disk would be believed. So does whatever else is joined with
// one: a revocation that could not be undone must not look like one that was
// only ended early.
func (c *command) code(err error) int {
	rest := besides(err)
	if failed := c.stdout.Err(); failed != nil && rest == nil {
		rest = failed // rather than a verdict that nobody can read
	}
	var code exitCode
	var usage cli.UsageError
	switch {
	case rest == nil && errors.As(err, &code):
		return int(code)
	case rest == nil:
		return 0
	}
	fmt.Fprintf(c.stderr, "drill: %s\n", rest)
	if errors.As(rest, &usage) {
		return exitUsage
	}
	return exitFailed
}

// besides is what an error says that is no exit code; nil if there is nothing
// else in it. It looks into errors that were joined, at any depth.
func besides(err error) error {
	if _, ok := err.(exitCode); ok {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		rest = append(rest, besides(e))
	}
	return errors.Join(rest...)
}

// dispatch finds the verb and runs it. "help VERB" is the verb with -h, so that
// the flags are where they are declared, and nowhere a second time.
//
// The hidden verb of exec --dns comes before the table, so that neither help,
// completion nor a suggestion names it.
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
		p := table()
		names := p.Names()
		return usagef("unknown verb %q; want one of %s, or help%s", args[0], strings.Join(names[:len(names)-1], ", "), p.Suggest("; ", args[0]))
	}
	c.verb = all[i]
	// parse has printed the help, which was what was asked for: exit code 0.
	err := c.verb.run(c, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// introduce is the help without a verb.
//
// It is for somebody who has never seen the program: what it does in a
// sentence, three lines to try in the order in which they cost something, and
// then the table. Everything else is behind "help VERB".
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

// flags is a flag set whose help teaches: parse prints it with the verb's text.
//
// Package flag would print to the standard error by itself, and exit codes and
// wording would be its own; here it prints nothing, and its error becomes one
// of usage in parse.
func (c *command) flags() *flag.FlagSet {
	fs := flag.NewFlagSet(c.verb.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// parse reads the flags, which may stand between arguments unless those are
// another program's, and sets args. Its error names what is wrong and where
// more is said; help is printed where it was asked for, and flag.ErrHelp
// returned, after which a verb does nothing. Every verb calls it before it does
// anything else: completion relies on that.
//
// Order: help before anything else that is wrong, then unknown flags and bad
// values, as package flag finds them from left to right, then arguments too
// many. What flags say together is each verb's own to check.
func (c *command) parse(fs *flag.FlagSet, args []string) error {
	var err error
	if c.verb.most < 0 {
		err = fs.Parse(args)
		c.args = fs.Args()
	} else {
		c.args, err = cli.Parse(fs, args)
	}
	switch {
	case errors.Is(err, flag.ErrHelp) && c.ask != nil:
		*c.ask = *fs
		return err
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(c.stdout, "drill %s\n\n%s.\n%s\nFlags:\n\n", strings.TrimSpace(c.verb.name+" "+c.verb.args), c.verb.about, c.verb.help)
		fs.SetOutput(c.stdout)
		fs.PrintDefaults()
		return err
	case err != nil:
		return usagef("%s: %v; see drill help %s", c.verb.name, err, c.verb.name)
	case c.verb.most >= 0 && len(c.args) > c.verb.most:
		return usagef("%s: unexpected argument %q", c.verb.name, c.args[c.verb.most])
	}
	return nil
}

// targets are the two services that come with the program.
//
// failopen reads through package cache and writes its log through package
// logsink; naive does what the services of the two outages did. See package
// reference.
var targets = []string{"failopen", "naive"}

// oneOf is the error for a flag that is none of a few words.
// words are in the order in which the message lists them, and are two at least.
//
// It is for flags whose value is a plain string in the flag set, so that the
// message is the same everywhere, and names all that would have been right.
func oneOf(flag, value string, words []string) error {
	if slices.Contains(words, value) {
		return nil
	}
	last := len(words) - 1
	return usagef("%s is %q; want %s or %s", flag, value, strings.Join(words[:last], ", "), words[last])
}

// printJSON prints what a verb says with -f json.
//
// Members are written in the order of the struct, and those of maps in that of
// the alphabet (encoding/json), so the same answer has the same bytes. HTML's
// special characters come as escapes, which are the same text to any reader of
// JSON.
func (c *command) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n", text)
	return err
}

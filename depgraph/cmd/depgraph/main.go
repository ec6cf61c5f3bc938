// Command depgraph answers questions about declared dependencies: which cycles
// there are, in which order a dead system comes up, what goes down with a
// service, how available it can be, and what to soften first.
//
// Run "depgraph help" for an introduction, and "depgraph help VERB" for each
// verb. Exit codes are fixed: 0 nothing found, 1 findings, 2 wrong usage, 3
// something could not be read or analysed.
//
// For who changes it: a run goes from top to bottom through
//
//	main.go       run and dispatch: the verb, and the exit code of its error
//	help.go       the table of verbs, with flags, formats and help; the place for a new one
//	command.go    the flags, and what every check and every text has in common
//	reading.go    what is read (load, policy, proofs), and what must not be overwritten
//	writing.go    where output goes: a stream, or a file that is replaced whole
//	verbs.go      check, cycles, order, blast, avail, why, baseline
//	output.go     report, export, query: what draws the graph, and the part of it that is wanted
//	diff.go       diff, with git.go, which reads manifests out of commits
//	drift.go      drift: the declaration against recordings
//	runbook.go    runbook and why-blocked
//	importing.go  import
//	misc.go       explain, schema, init, completion, version
//
// The words: a service declares what it depends on in a manifest,
// depgraph.yaml; an edge is one such dependency, hard or soft. A finding is
// what a rule says about the graph. A waiver, in a manifest, tolerates one
// finding for a reason; a baseline, in a file of its own, tolerates those of a
// day. A proof is the verdict of a drill on a soft edge. What was observed is
// drift's other side: calls that were seen, whatever anybody has declared.
//
// A verb is a method of command without arguments. It reads, asks package
// depgraph, and gives package report a writer; it computes and renders nothing
// itself. What it returns decides the exit code: nil, errFindings, an error of
// usage, or another.
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
//
// Scripts of others depend on them. An interruption is a failure, since the
// answer is not there: it must not look like "nothing found".
const (
	exitClean    = 0
	exitFindings = 1
	exitUsage    = 2
	exitFailed   = 3
)

// main hands over to the rule's interpreter where this process is one: a rule
// in WebAssembly runs in a child, which can be ended.
//
// The child is this same program, so that a rule needs nothing that is
// installed beside it; wasmrule.Child returns at once in any other process.
func main() {
	wasmrule.Child() // this may be the process that runs a rule
	cli.Main(run)
}

// usagef makes an error of the command line, as opposed to one of the input.
func usagef(format string, args ...any) error { return cli.Usagef(format, args...) }

// errFindings ends a verb that found something. It is not printed: the findings
// have been.
var errFindings = errors.New("findings")

// run is main without the process; tests call it. What the verb says goes to
// stdout, and everything about the run itself to stderr: progress, warnings,
// and the one line that says why there is no answer. Only errors of usage have
// the program's name before them: those of an input begin with file and line,
// which editors and pipelines turn into links.
//
// A panic of ours is exit code 3, like anything else that has kept an answer
// from coming; see cli.Contain. Interrupted is told apart only in its text.
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

// dispatch finds the verb, gives it its flags and runs it. Flags stand before
// the verb, behind it, or both; asked for help with either, it prints that and
// the exit code is 0.
//
// Three ways to ask for help end here: a flag before the verb, one behind it,
// and the verb help, which is a row of the table like the others.
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
	err = v.run(c)
	if lost := c.said.Err(); lost != nil && (err == nil || errors.Is(err, errFindings)) {
		return lost // what it has found out is not there to read
	}
	return err
}

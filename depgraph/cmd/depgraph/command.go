package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/cli"
	"github.com/failopen/failopen/depgraph/report"
	"github.com/failopen/failopen/depgraph/wasmrule"
)

// This file is everything that verbs have in common before they differ: flags,
// the checks that the table of verbs calls for, the options of every check, and
// how wide a terminal is. What is read is in reading.go.

// command holds what the flags of one run say. It lives as long as the run and
// is used by one goroutine, but for progress, which has a lock of its own.
type command struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	said           *cli.Output // to stdout, of verbs that print lines as they go; it remembers what could not be written
	args           []string    // positional

	// Flags of every verb. Their zero values mean: the current folder, the
	// verb's first format, the standard output, the policy and the proofs of
	// the first folder if there are any, the verb's own threshold, all rules,
	// no baseline.
	paths    cli.List
	format   string
	output   string
	config   string
	failOn   string
	only     commaList
	skip     commaList
	baseline string

	// Flags of single verbs. Some are declared by several verbs, each with a
	// text of its own; one run has one verb, so they do not meet.
	// Several answers take --all to mean "do not shorten"; hard and noSoft are
	// why's and cycles' --hard, which leave soft edges out.
	all, hard, cold, shutdown, noSoft bool
	phase, plane, restart             string
	maxParallel                       int
	whatIf                            commaList
	force, checkOnly                  bool
	verbose                           bool
	heading                           string
	// proof and requireProof are for every verb that checks; see proofFlags.
	proof        string
	requireProof age
	// Of drift: what was recorded, and how names in it are to be read.
	observed, mapped   cli.List
	names, down, state string
	// Of export: which part of the graph is drawn; see view.
	focus, reaches, collapse string
	depth                    int
	// Files of other programs: what Resilience Hub has listed, and rules in
	// WebAssembly, with the bounds within which each of these runs. Memory is
	// in MiB.
	listed, rules cli.List
	ruleTime      time.Duration
	ruleMemory    int64
	nothing       bool
	waived        int // findings that a waiver tolerates
}

// age is a flag such as 90d or 36h.
//
// It is a type of its own since package flag knows no days, and 2160h is what
// nobody says for 90d.
type age time.Duration

// String is for package flag, which compares it with that of the zero value.
func (a *age) String() string { return time.Duration(*a).String() }

// Set takes whole days, up to ten years, or a duration of Go above 0. Days are
// not calendar days but 24 hours: a proof is as old everywhere.
func (a *age) Set(s string) error {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 3650 {
			return errors.New("want days such as 90d, at most 3650d")
		}
		*a = age(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New("want days such as 90d, or a duration such as 36h")
	}
	*a = age(d)
	return nil
}

// proofFlags declares where verdicts of drills are read from, for every verb
// whose findings depend on them.
func (c *command) proofFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.proof, "proof", "", "the `file` with the verdicts of drills (default: "+depgraph.ProofFile+" in the first folder, if there is one)")
	fs.Var(&c.requireProof, "require-proof", "each soft dependency must have been proven by a drill within this `age`, such as 90d")
}

// ruleFlags declares rules of one's own, and the bounds within which they run:
// such a rule is somebody else's program.
func (c *command) ruleFlags(fs *flag.FlagSet) {
	fs.Var(&c.rules, "rule", "`file` with a rule in WebAssembly (WASI preview 1); can be repeated")
	fs.DurationVar(&c.ruleTime, "rule-timeout", wasmrule.DefaultTimeout, "how long each rule may take, compiling included")
	fs.Int64Var(&c.ruleMemory, "rule-memory", wasmrule.DefaultMemory>>20, "how much memory each rule may take, in `MiB`")
}

// checkOptions is what every check of this run has in common. Rules are
// compiled here, once, before any manifest is read: a rule that cannot be
// loaded is found out in the first second, and names its file.
//
// The order is that of reading: policy, proofs, rules. A verb that has no flags
// for rules has none, and the bounds keep their zero values.
func (c *command) checkOptions() (depgraph.CheckOptions, error) {
	policy, err := c.policy()
	if err != nil {
		return depgraph.CheckOptions{}, err
	}
	proofs, err := c.proofs()
	if err != nil {
		return depgraph.CheckOptions{}, err
	}
	o := depgraph.CheckOptions{
		Policy: policy, Only: c.only, Skip: c.skip, Progress: c.progress(), Proofs: proofs, RequireProof: time.Duration(c.requireProof),
		Waived: func(depgraph.Finding, depgraph.Waiver) { c.waived++ },
	}
	// Without a rule the bounds mean nothing, so that a script may always give
	// them.
	if len(c.rules) > 0 && c.ruleTime <= 0 {
		return o, usagef("--rule-timeout: %s is not above 0", c.ruleTime)
	}
	if len(c.rules) > 0 && (c.ruleMemory < 1 || c.ruleMemory > 4096) {
		return o, usagef("--rule-memory: %d MiB is not between 1 and 4096", c.ruleMemory)
	}
	for _, name := range c.rules {
		r, err := wasmrule.Load(name, wasmrule.Options{Timeout: c.ruleTime, Memory: c.ruleMemory << 20, Graph: report.GraphJSON})
		if err != nil {
			return o, err
		}
		o.Rules = append(o.Rules, r)
	}
	return o, nil
}

// commaList is a flag that can be repeated and takes commas; where a comma may be
// part of a path, it is a cli.List.
//
// Names of rules, services and phases have no comma in them as far as the
// command line is concerned.
type commaList []string

// String is for package flag's default in a help, which we print ourselves.
func (l *commaList) String() string { return strings.Join(*l, ",") }

// Set takes one or more values; empty ones between commas are nothing, so that
// a list which a script has built may end in a comma.
func (l *commaList) Set(s string) error {
	for _, part := range strings.Split(s, ",") {
		if part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

// newCommand is a run that has read no flag yet.
func newCommand(ctx context.Context, stdout, stderr io.Writer) *command {
	return &command{ctx: ctx, stdin: os.Stdin, stdout: stdout, stderr: stderr, said: &cli.Output{To: stdout}}
}

// globals declares the flags of every verb. The defaults are the present
// values, so that a flag before the verb survives when the flags behind it are
// read.
//
// It is called twice in a run, for the flags before the verb and for those
// behind it, both of which write to the same fields. So the last one that was
// given wins, and lists collect from both places.
func (c *command) globals(fs *flag.FlagSet) {
	fs.Var(&c.paths, "d", "folder, `file` or pattern with manifests, or - for the standard input; can be repeated (default: the current folder)")
	fs.StringVar(&c.format, "f", c.format, "output `format`")
	fs.StringVar(&c.format, "format", c.format, "same as -f")
	fs.StringVar(&c.output, "o", c.output, "write to this `file` instead of the standard output")
	fs.StringVar(&c.config, "config", c.config, "policy `file` (default: .depgraph.yaml in the first folder, if there is one)")
	fs.StringVar(&c.failOn, "fail-on", c.failOn, "lowest `severity` that makes the exit code 1: error, warn, info or none")
	fs.Var(&c.only, "only", "run only these `rules`, separated by commas")
	fs.Var(&c.skip, "skip", "leave these `rules` out")
	fs.BoolVar(&c.verbose, "verbose", c.verbose, "list every finding, not a few of each rule")
	fs.BoolVar(&c.verbose, "v", c.verbose, "same as --verbose")
	fs.StringVar(&c.baseline, "baseline", c.baseline, "tolerate the findings in this `file`")
}

// verb reads the flags before the verb and returns the verb and what follows.
// No verb at all is "" and no error.
//
// A pattern that the shell has expanded, as in "-d *.yaml check", arrives as
// one -d and several words. Words that name files and no verb are taken for the
// rest of it, up to the first that does not; a file that is called like a verb
// is the verb.
//
// The loop cannot run away: each turn takes one word off rest.
func (c *command) verb(args []string) (name string, rest []string, err error) {
	fs := c.flagSet("depgraph")
	if err := fs.Parse(args); err != nil {
		return "", nil, asUsage(err)
	}
	rest = fs.Args()
	// Each further file may be followed by more flags, so they are parsed
	// again.
	for len(c.paths) > 0 && len(rest) > 1 {
		if _, ok := findVerb(rest[0]); ok || !exists(rest[0]) {
			break
		}
		c.paths = append(c.paths, rest[0])
		if err := fs.Parse(rest[1:]); err != nil {
			return "", nil, asUsage(err)
		}
		rest = fs.Args()
	}
	if len(rest) == 0 {
		return "", nil, nil
	}
	return rest[0], rest[1:], nil
}

// parse reads the flags after the verb, which may stand between arguments, and
// checks all that the table of verbs says about them: how many arguments, which
// format, and, for all verbs alike, --fail-on. After it, format and failOn are
// set.
//
// All that is checked here could be checked by each verb, and would then be
// forgotten by one of them.
func (c *command) parse(v verb, args []string) error {
	fs := c.flagSet(v.name)
	if v.flags != nil {
		v.flags(c, fs)
	}
	var err error
	if c.args, err = cli.Parse(fs, args); err != nil {
		return asUsage(err)
	}
	// A verb whose arguments are paths has no others.
	if v.paths { // as every linter does
		c.paths, c.args = append(c.paths, c.args...), nil
	}
	if len(c.args) < v.minArgs || v.maxArgs >= 0 && len(c.args) > v.maxArgs {
		return usagef("usage: depgraph %s %s", v.name, v.usage)
	}
	if c.format == "" && len(v.formats) > 0 {
		c.format = v.formats[0]
	}
	if c.format != "" && !slices.Contains(v.formats, c.format) {
		if len(v.formats) == 0 {
			return usagef("%s has no formats", v.name)
		}
		return usagef("%s has no format %q; it takes %s", v.name, c.format, strings.Join(v.formats, ", "))
	}
	if c.failOn == "" {
		c.failOn = v.failOn
	}
	if _, err := c.threshold(); err != nil {
		return usagef("--fail-on: %s", err)
	}
	return nil
}

// threshold is the lowest severity that counts; above Error means none.
// "warning" is taken for warn, as other linters call it.
//
// Error + 1 is more than any severity that a finding can have, so "none" needs
// no case of its own where it is compared.
func (c *command) threshold() (depgraph.Severity, error) {
	switch c.failOn {
	case "none":
		return depgraph.Error + 1, nil
	case "":
		return depgraph.Error, nil
	case "warning":
		return depgraph.Warn, nil
	case "error", "warn", "info":
		return depgraph.ParseSeverity(c.failOn)
	}
	return 0, fmt.Errorf("%q is not one of error, warn, info, none", c.failOn)
}

// flagSet is one that prints nothing itself: errors and help are written by
// run.
//
// ContinueOnError, since package flag would end the process otherwise, with a
// code that is not ours to choose.
func (c *command) flagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c.globals(fs)
	return fs
}

// asUsage makes an error of package flag one of usage; a request for help stays
// one.
func asUsage(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return usagef("%s", err)
}

// textOptions says how wide the terminal is, and whether it has colours. What
// goes into a file or a pipe has neither: it is the same on every machine.
// NO_COLOR (no-color.org), TERM=dumb and COLUMNS are obeyed.
//
// Width 0 lets package report choose: 100 columns. Below 40 there is no column
// for a name, and COLUMNS is not believed.
func (c *command) textOptions() report.TextOptions {
	o := report.TextOptions{All: c.all, Verbose: c.verbose}
	if c.output != "" && c.output != "-" || !cli.IsTerminal(c.stdout) {
		return o
	}
	// From here on a person is reading, on a terminal.
	o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= 40 {
		o.Width = n
	} else {
		o.Width = terminalWidth(c.stdout)
	}
	return o
}

// progress returns a reporter that writes to a terminal, and only if the work
// takes longer than a second; nil if the standard error is no terminal. It may
// be called by several goroutines, redraws one line at most five times a
// second, and wipes it when the work is done.
//
// nil is what package depgraph takes for "nobody is watching", and costs
// nothing.
func (c *command) progress() func(depgraph.Progress) {
	if !cli.IsTerminal(c.stderr) {
		return nil
	}
	return progressOn(c.stderr)
}

// progressOn is progress on a stream that is known to be a terminal. What it
// writes ends in a carriage return, so that an error which comes in between is
// written over it and not behind it.
func progressOn(w io.Writer) func(depgraph.Progress) {
	var mu sync.Mutex
	// Most answers take less than a second, and flicker for nobody.
	next, shown := time.Now().Add(time.Second), false
	return func(p depgraph.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if p.Done == p.Total && shown {
			fmt.Fprint(w, "\r\x1b[K") // the answer begins on a clean line
			shown = false
			return
		}
		if time.Now().Before(next) {
			return
		}
		shown = true
		next = time.Now().Add(200 * time.Millisecond)
		fmt.Fprintf(w, "\r\x1b[K%s: %d of %d\r", p.Stage, p.Done, p.Total)
	}
}

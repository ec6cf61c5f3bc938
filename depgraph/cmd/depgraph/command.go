package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// command holds what the flags of one run say. It lives as long as the run and
// is used by one goroutine, but for progress, which has a lock of its own.
type command struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	args           []string // positional

	// Flags of every verb. Their zero values mean: the current folder, the
	// verb's first format, the standard output, the policy and the proofs of
	// the first folder if there are any, the verb's own threshold, all rules,
	// no baseline.
	// Flags of every verb.
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
	// Flags of single verbs.
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
type age time.Duration

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

// proofs reads the verdicts of drills; nil if there are none. A file that was
// named must be there; the one beside the manifests need not.
func (c *command) proofs() (*depgraph.Proofs, error) {
	name := c.proof
	if name == "" {
		name = filepath.Join(c.folder(), depgraph.ProofFile)
		if !exists(name) {
			return nil, nil // none was asked for, and none is there
		}
	}
	return depgraph.LoadProofs(name)
}

// commaList is a flag that can be repeated and takes commas; where a comma may be
// part of a path, it is a cli.List.
type commaList []string

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
	return &command{ctx: ctx, stdin: os.Stdin, stdout: stdout, stderr: stderr}
}

// globals declares the flags of every verb. The defaults are the present
// values, so that a flag before the verb survives when the flags behind it are
// read.
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
func (c *command) verb(args []string) (name string, rest []string, err error) {
	fs := c.flagSet("depgraph")
	if err := fs.Parse(args); err != nil {
		return "", nil, asUsage(err)
	}
	rest = fs.Args()
	// Each further file may be followed by more flags, so they are parsed
	// again.
	for len(c.paths) > 0 && len(rest) > 1 { // "-d *.yaml check": the shell made several words of it
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

// exists reports whether a name leads to something that can be looked at. What
// may not be looked at is not there for our purposes; reading it reports why.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// parse reads the flags after the verb, which may stand between arguments, and
// checks all that the table of verbs says about them: how many arguments, which
// format, and, for all verbs alike, --fail-on. After it, format and failOn are
// set.
func (c *command) parse(v verb, args []string) error {
	fs := c.flagSet(v.name)
	if v.flags != nil {
		v.flags(c, fs)
	}
	var err error
	if c.args, err = cli.Parse(fs, args); err != nil {
		return asUsage(err)
	}
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

// load reads the manifests. Whether a name that nothing declares is an error
// depends on the verb: check reports it as a finding among others, but an order
// or an availability computed around a hole would be wrong.
func (c *command) load(allowUndeclared bool) (*depgraph.Graph, error) {
	paths, err := expandPatterns(c.paths)
	if err != nil {
		return nil, err
	}
	g, err := depgraph.Load(c.ctx, c.loadOptions(paths, allowUndeclared))
	if err != nil {
		return nil, err
	}
	return g, c.spares(g)
}

// maxNamedBytes is how large a file may be that somebody named: an exported
// graph of 100,000 services has 64 MiB.
const maxNamedBytes = 128 << 20

// loadOptions are those of manifests below folders; files that are named by
// themselves may be whole graphs, written by export, and so may be larger. One
// folder among them keeps the limit of single manifests.
func (c *command) loadOptions(paths []string, allowUndeclared bool) depgraph.LoadOptions {
	o := depgraph.LoadOptions{Paths: paths, Stdin: c.stdin, AllowUndeclared: allowUndeclared, Progress: c.progress()}
	named := func(p string) bool {
		info, err := os.Stat(p)
		return p == "-" || err == nil && info.Mode().IsRegular()
	}
	// The standard input counts as named: an export is piped as often as
	// stored.
	if len(paths) > 0 && !slices.ContainsFunc(paths, func(p string) bool { return !named(p) }) {
		o.MaxFileBytes = maxNamedBytes
	}
	return o
}

// spares refuses to write what a verb says over one of the manifests it read:
// "export -f yaml -o depgraph.yaml" would replace what people wrote by what was
// understood of it. It compares files, not names, so links do not get past it.
func (c *command) spares(g *depgraph.Graph) error {
	if c.output == "" || c.output == "-" {
		return nil
	}
	for s := range g.Services() {
		if c.sparesFiles(s.At.File) != nil {
			return usagef("-o %s: declares %s; write to another file", c.output, s.Name)
		}
	}
	return nil
}

// sparesFiles refuses to write what a verb says over a file that it reads, by
// whatever name and link. A device is no such file, and what cannot be written at
// all is reported when it is tried.
func (c *command) sparesFiles(names ...string) error {
	target, err := os.Stat(c.output)
	if err != nil || c.output == "-" || !target.Mode().IsRegular() {
		return nil
	}
	for _, name := range names {
		if read, err := os.Stat(name); err == nil && os.SameFile(read, target) {
			return usagef("-o %s: is read by this command; write to another file", c.output)
		}
	}
	return nil
}

// expandPatterns replaces patterns that the shell left alone by what they
// match: that of Windows always does, and others do within quotes. A name that
// exists is no pattern, whatever is in it; a pattern without a match is an
// error, since a check of nothing would pass.
func expandPatterns(paths []string) ([]string, error) {
	var all []string
	for _, p := range paths {
		if !strings.ContainsAny(p, "*?[") || exists(p) {
			all = append(all, p)
			continue
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, usagef("the pattern %q: %s", p, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no file matches the pattern", p)
		}
		all = append(all, found...)
	}
	return all, nil
}

// textOptions says how wide the terminal is, and whether it has colours. What
// goes into a file or a pipe has neither: it is the same on every machine.
// NO_COLOR (no-color.org), TERM=dumb and COLUMNS are obeyed.
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

// policy reads the policy file, if there is one. Like proofs, a file that was
// named must be there.
func (c *command) policy() (*depgraph.Policy, error) {
	name := c.config
	if name == "" {
		name = filepath.Join(c.folder(), ".depgraph.yaml")
		if !exists(name) {
			return &depgraph.Policy{}, nil // none was asked for, and none is there
		}
	}
	return depgraph.LoadPolicy(name)
}

// folder is the first one that was named, or that of the first file; the
// current one for the standard input and for patterns. The policy, the proofs,
// the commit and the title of a page are those of this folder.
func (c *command) folder() string {
	if len(c.paths) == 0 || c.paths[0] == "-" || strings.ContainsAny(c.paths[0], "*?[") && !exists(c.paths[0]) {
		return "."
	}
	if info, err := os.Stat(c.paths[0]); err == nil && !info.IsDir() {
		return filepath.Dir(c.paths[0])
	}
	return c.paths[0]
}

// progress returns a reporter that writes to a terminal, and only if the work
// takes longer than a second; nil if the standard error is no terminal. It may
// be called by several goroutines, redraws one line at most five times a
// second, and wipes it when the work is done.
func (c *command) progress() func(depgraph.Progress) {
	if !cli.IsTerminal(c.stderr) {
		return nil
	}
	f := c.stderr
	var mu sync.Mutex
	// Most answers take less than a second, and flicker for nobody.
	next, shown := time.Now().Add(time.Second), false
	return func(p depgraph.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if p.Done == p.Total && shown {
			fmt.Fprint(f, "\r\x1b[K") // the answer begins on a clean line
			shown = false
			return
		}
		if time.Now().Before(next) {
			return
		}
		shown = true
		next = time.Now().Add(200 * time.Millisecond)
		fmt.Fprintf(f, "\r\x1b[K%s: %d of %d\r", p.Stage, p.Done, p.Total)
	}
}

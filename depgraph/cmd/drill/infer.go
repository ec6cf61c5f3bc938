package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/depgraph/drill/reference"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// infer turns the question round: not "does the claim hold?" but "what should
// have been claimed?". It cuts each dependency in turn, one fault after the
// other, until one shows that the service needs it (hard), or none does (soft).
// The experiments come from a starter, of which there are two: virtual makes a
// new reference service for each, remote cuts the running one through its
// proxy.

// inferVerb is infer: see [command.infer].
var inferVerb = verb{
	name: "infer", formats: []string{"text", "json"}, about: "Find out which dependencies are soft, by cutting each, and what the manifests say otherwise",
	help: `
Each dependency is cut in turn, in several ways, until the service no longer
serves as before: then it is hard. With -d the result is held against the
manifests, and what they say otherwise is printed with file and line.

Without --url the service is one that comes with the program, in virtual time,
with every fault there is. With --url it is yours: it runs already, and its
dependencies go through drill proxy. Without --depend they are those that the
manifests name and those that the proxy has seen the service call. Examples:

    drill infer
    drill infer --target naive -d services/ --name sessions
    drill infer --url http://127.0.0.1:8080/session/{n} --control http://127.0.0.1:8474 \
                --token-file /run/drill/token -d services/ --name checkout --depend sessions=dynamodb

Exit codes: 0 the manifests are right, 1 they are not, 3 a drill could not tell.
`,
	run: (*command).infer,
}

// referenceDependencies are those of the service that comes with the program.
var referenceDependencies = []string{"dynamodb", "logs", "origin"}

// inferFlags are those of infer, and what check has made of them. In the
// manifests a dependency has one name, and in rules perhaps another: that of
// the service of AWS, or of the host.
// Up to seed they are as given, with defaults filled in by check; graph is nil
// without -d.
type inferFlags struct {
	remoteFlags
	target, format, dir, name string
	depend                    cli.List
	faults                    string
	watch                     time.Duration
	seed                      uint64

	graph   *depgraph.Graph
	aliases map[string]string // the manifests' name -> what rules call it
}

// infer cuts each dependency in turn until the service no longer serves as
// before. In virtual time it ends the process.
func (c *command) infer(args []string) error {
	f := inferFlags{aliases: map[string]string{}}
	fs := c.flags()
	f.add(fs)
	fs.StringVar(&f.target, "target", "failopen", "the service that is drilled without --url: failopen or naive")
	fs.StringVar(&f.format, "f", "text", "what is printed: text or json")
	fs.StringVar(&f.dir, "d", "", "a folder or file with manifests")
	fs.StringVar(&f.name, "name", "", "what the manifests call the service (default: the value of --target)")
	fs.Var(&f.depend, "depend", "a dependency, as `NAME` or NAME=SERVICE if rules call it otherwise; may come several times")
	fs.StringVar(&f.faults, "faults", "", "the ways in which each is cut, separated by commas (default: all; with --url denied,reset,blackhole)")
	fs.DurationVar(&f.watch, "watch", 0, "how long each fault lasts (default: 1h of virtual time; with --url 5s)")
	fs.Uint64Var(&f.seed, "seed", 1, "makes the faults repeatable")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if err := f.without("infer", fs); err != nil {
		return err
	}
	if err := cmp.Or(oneOf("--target", f.target, targets), oneOf("-f", f.format, c.verb.formats)); err != nil {
		return err
	}
	if err := f.check(c.ctx); err != nil {
		return err
	}
	dependencies, err := f.dependencies(c.ctx)
	if err != nil {
		return err
	}
	if f.used() {
		return c.inferred(&f, dependencies, f.remote(c))
	}
	return c.inVirtualTime(func() error {
		c.ctx = context.Background() // one from outside the bubble would stop its clock
		return c.inferred(&f, dependencies, f.virtual(c))
	})
}

// check completes the flags with what depends on others, and loads the
// manifests, so that all that can be wrong is found out before anything is cut.
// Its errors are of usage, but for manifests that cannot be read or do not know
// the service.
func (f *inferFlags) check(ctx context.Context) (err error) {
	switch {
	case f.watch < 0 || f.watch > 24*time.Hour:
		return usagef("infer: --watch is %v; want up to 24h", f.watch)
	}
	if f.used() {
		if err := f.remoteFlags.check("infer"); err != nil {
			return err
		}
	} else if f.name == "" {
		f.name = f.target
	}
	for _, d := range f.depend {
		name, service, ok := strings.Cut(d, "=")
		if !ok {
			service = name
		}
		if name == "" || service == "" {
			return usagef("infer: --depend is %q; want NAME or NAME=SERVICE", d)
		}
		f.aliases[name] = service
	}
	if f.faults == "" && f.used() {
		f.faults = "denied,reset,blackhole"
	}
	for name := range strings.SplitSeq(f.faults, ",") {
		if f.faults != "" && !slices.Contains(faultNames(), name) {
			return usagef("infer: --faults has %q; want some of %s", name, strings.Join(faultNames(), ", "))
		}
	}
	if f.watch == 0 {
		if f.watch = time.Hour; f.used() {
			f.watch = 5 * time.Second
		}
	}
	switch {
	case f.dir == "":
		return nil
	case f.name == "":
		return usagef("infer: with -d and --url, want --name: what the manifests call the service")
	}
	if f.graph, err = depgraph.Load(ctx, depgraph.LoadOptions{Paths: []string{f.dir}, AllowUndeclared: true}); err != nil {
		return err
	}
	if !f.graph.Has(f.name) {
		return fmt.Errorf("%s: no service %q is declared there", f.dir, f.name)
	}
	return nil
}

// dependencies are the ones to cut, by the manifests' names, each once: those
// of --depend; without them those of the manifests and, with --url, those that
// the proxy has seen the service call. Nothing to cut is an error: it would be
// taken for a service without dependencies.
func (f *inferFlags) dependencies(ctx context.Context) (names []string, err error) {
	if len(f.depend) > 0 {
		for _, d := range f.depend {
			name, _, _ := strings.Cut(d, "=")
			names = once(names, name)
		}
		return names, nil
	}
	if !f.used() {
		return referenceDependencies, nil
	}
	for _, e := range drill.RuntimeEdges(f.graph, f.name) {
		names = once(names, e.To)
	}
	// Dependencies that no manifest names are the ones that are worth finding.
	stats, err := f.faultProxyControl.Stats(ctx)
	if err != nil {
		return nil, err
	}
	for _, seen := range slices.Sorted(maps.Keys(stats.Calls)) {
		names = once(names, seen)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the proxy has seen the service call nothing yet, and no dependency is named: send the service some requests first, or use --depend")
	}
	return names, nil
}

// once appends s unless the list has it; lists are as short as a service's
// dependencies.
func once(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// service is what rules call a dependency.
func (f *inferFlags) service(dependency string) string {
	if s, ok := f.aliases[dependency]; ok {
		return s
	}
	return dependency
}

// ways are the faults of a dependency, in the order of --faults if it chooses.
// The reference service's log can fail in one way only; see matrixFaults.
//
// The names in --faults are known to be right by now, but not every dependency
// has each of them; one that is left with none is reported as unknown.
func (f *inferFlags) ways(dependency string) []drill.NamedFault {
	all := drill.Faults(f.service(dependency))
	if !f.used() {
		all = matrixFaults(f.service(dependency))
	}
	if f.faults == "" {
		return all
	}
	var chosen []drill.NamedFault
	for name := range strings.SplitSeq(f.faults, ",") {
		for _, n := range all {
			if n.Name == name {
				chosen = append(chosen, n)
			}
		}
	}
	return chosen
}

// starter makes the experiment for one fault of one dependency, with what ends
// it.
type starter = func(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error)

// preset is the outage of one cell, in the rules' name of the dependency.
// Its length is --watch, so nothing is scaled.
func (f *inferFlags) preset(dependency string, rules []fault.Rule) presets.Preset {
	return presets.Preset{Name: "infer", Title: "without " + dependency, Dependency: f.service(dependency), Rules: rules, Watch: f.watch, Recovery: time.Minute}
}

// virtual builds the service that comes with the program, a new one for each
// cell.
func (f *inferFlags) virtual(c *command) starter {
	return func(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error) {
		svc, err := reference.New(c.ctx, reference.Options{Naive: f.target == "naive", Seed: f.seed})
		if err != nil {
			return drill.Experiment{}, nil, err
		}
		e := svc.Drill(f.preset(dependency, rules), time.Millisecond)
		e.Rate = 10
		return e, func() error { return svc.Close(c.ctx) }, nil
	}
}

// remote drills the running service, one cell after the other, and says on the
// standard error what is being cut, as somebody may be watching its dashboards.
func (f *inferFlags) remote(c *command) starter {
	return func(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error) {
		text, err := json.Marshal(rules)
		if err != nil {
			return drill.Experiment{}, nil, err
		}
		fmt.Fprintf(c.stderr, "cutting %s: %s\n", oneLine(dependency), text)
		return f.experiment(f.preset(dependency, rules)), func() error { return nil }, nil
	}
}

// inferred runs the drills and prints what they have shown: for each dependency
// its strength and why, and then what the manifests say otherwise, with file
// and line. differences is a list and never null in JSON.
// The exit code is the worst of: the manifests are wrong (1), a drill could not tell
// (3). What was found before an error is not printed, as it would look complete.
func (c *command) inferred(f *inferFlags, dependencies []string, start starter) error {
	found, err := drill.Infer(c.ctx, dependencies, f.ways, start)
	if err != nil {
		return err
	}
	// Without manifests there is nothing to differ from.
	differences := []drill.Difference{}
	if f.graph != nil {
		differences = append(differences, drill.Differences(f.graph, f.name, found)...)
	}
	if f.format == "json" {
		if err := c.printJSON(map[string]any{"service": f.name, "dependencies": found, "differences": differences}); err != nil {
			return err
		}
	} else {
		for _, in := range found {
			fmt.Fprintf(c.stdout, "%-8s %-24s %2d faults tried  %s\n", in.Strength, oneLine(in.Dependency), len(in.Cells), in.Why)
		}
		if len(differences) > 0 {
			fmt.Fprintln(c.stdout)
		}
		for _, d := range differences {
			fmt.Fprintln(c.stdout, d)
		}
	}
	switch {
	case len(differences) > 0:
		return exitCode(drill.Deviated)
	case slices.ContainsFunc(found, func(in drill.Inferred) bool { return in.Strength == drill.Unknown }):
		return exitCode(drill.NotStarted)
	}
	return nil
}

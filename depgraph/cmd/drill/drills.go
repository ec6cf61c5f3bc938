package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/depgraph/drill/reference"
)

// This file is the main path: a preset, or a fault by its name, becomes an
// experiment, which package drill runs, and its report becomes text, files, a
// proof and an exit code. From top to bottom:
//
//	run, replay    flags -> preset -> experiment
//	preset         one of ours by its name, or a file
//	drill          the service that comes with the program, one experiment, close
//	conclude       write (the report), prove (the proof file), verdict -> exit code

// runVerb is run: see [command.run]. The text is printed as it is.
var runVerb = verb{
	name: "run", formats: drillFormats, about: "Cut a dependency now, and say whether the service kept serving",
	help: `
The service is a small one that comes with the program: session tokens, from
local memory, a DynamoDB table and a system of record, with a log line for each
request. --target naive is the same as it was written before the outage of
7 December 2021. Nothing leaves this process.

With --url it is a service of yours, which runs already and is not changed: its
dependencies go through drill proxy, and the drill sets the fault there. If the
proxy sees no call that the fault hits, the verdict is void.

A preset is shortened to --watch, the windows of its rules with it; drill replay
runs it at full length. Examples:

    drill run --preset iam-revoked --short
    drill run --preset throttled --target naive -f markdown
    drill run --file my-outage.json --watch 2m -o report/
    drill run --url http://127.0.0.1:8080/session/{n} --control http://127.0.0.1:8474 \
              --token-file /run/drill/token --fault denied --edge checkout/dynamodb
`,
	run: (*command).run,
}

// replayVerb is replay, which ends the process itself: see [command.replay].
//
// It has no --watch and no --short: at full length is what it is for.
var replayVerb = verb{
	name: "replay", args: "PRESET|FILE", most: 1, words: presetNames(), formats: drillFormats, about: "Run a preset at its full length, in virtual time",
	help: `
Hours pass in seconds: the real code runs, its clients, retries and timers
included, on a clock that jumps to the next thing that happens. Examples:

    drill replay 2021-12-07-dynamodb
    drill replay my-outage.json --target naive -f json
`,
	run: (*command).replay,
}

// drillFlags are what run and replay have in common.
// target and format are words that check knows; out and proof are "" where they were
// not given.
//
// report has the two that are about output, too, and no others.
type drillFlags struct {
	target, format, out string
	seed                uint64
	proof               string
}

// add declares what run and replay have in common.
// The seed is 1 by default, and not random: two people who run the same line see the
// same drill.
func (d *drillFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&d.target, "target", "failopen", "the service that is drilled: failopen or naive")
	fs.StringVar(&d.format, "f", "text", "what is printed: text, json, markdown or html")
	fs.StringVar(&d.out, "o", "", "a folder that gets the journal (JSON), the report (Markdown, HTML) and the timeline (SVG)")
	fs.StringVar(&d.proof, "proof", "", "append the verdict to this proof file; it is about the service that was drilled, by the name that --target has")
	fs.Uint64Var(&d.seed, "seed", 1, "makes the faults repeatable")
}

// check refuses words that are none of a flag's, target first.
func (d *drillFlags) check() error {
	return cmp.Or(oneOf("--target", d.target, targets), oneOf("-f", d.format, drillFormats))
}

// The default is the first: text is for a terminal, json is the journal that
// report reads again, markdown is for a pull request and html for people who
// were not there.

// drillFormats are the forms of a report.
var drillFormats = []string{"text", "json", "markdown", "html"}

// Lengths of a drill in real time.
// shortWatch is short enough for ten seconds in all, with a second of steady
// state before and four to recover; usualWatch for a look at the counters
// meanwhile.
const (
	shortWatch = 4 * time.Second
	usualWatch = 30 * time.Second
)

// runFlags are those of run alone. cut is used for its fault only: the proxy of
// --url runs already.
// file and the three of cut name the fault, exactly one of the four; edge is needed
// for a proof about a service of the user's.
//
// The two embedded structs are shared with other verbs: drillFlags with replay,
// remoteFlags with infer. What each adds to the flag set is in its own add, so
// a flag and the field that it sets stand side by side.
type runFlags struct {
	drillFlags
	remoteFlags
	cut   proxyFlags
	file  string
	edge  string
	short bool
	watch time.Duration
}

// run drills now, in real time: the service that comes with the program, or
// with --url one that runs already. What the flags say is checked in full
// before anything is started. The windows of a preset's rules shrink with it.
//
// Where the fault comes from (preset) and what is drilled (--url or not) are
// independent of each other; the two meet in finish, which is what --short and
// the progress change in any experiment.
func (c *command) run(args []string) error {
	var f runFlags
	fs := c.flags()
	f.drillFlags.add(fs)
	f.remoteFlags.add(fs)
	f.cut.addFault(fs)
	fs.StringVar(&f.file, "file", "", "a preset of your own, as JSON")
	fs.StringVar(&f.edge, "edge", "", "`SERVICE/DEPENDENCY`, as the manifests call them: what the verdict on --url is about")
	fs.BoolVar(&f.short, "short", false, "at most ten seconds in all")
	fs.DurationVar(&f.watch, "watch", usualWatch, "how long the fault lasts; shorter than the preset's own")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	// First what can be told from the flags alone, then files, then the
	// network.
	if err := f.without("run", fs); err != nil {
		return err
	}
	p, err := f.preset()
	if err != nil {
		return err
	}
	if err := f.provable(p, f.edge); err != nil {
		return err
	}
	// What is shorter of the two that were asked for.
	length := f.watch
	if f.short {
		length = min(length, shortWatch)
	}
	p = p.Scaled(length)
	// What the flags change in either experiment.
	finish := func(e drill.Experiment) drill.Experiment {
		e.Progress = c.progress()
		if f.short {
			e.Steady, e.Recovery = min(time.Second, cmp.Or(e.Steady, time.Second)), 4*time.Second
		}
		return e
	}
	// A cut of four seconds needs probes each quarter of a second, or the
	// recovery would be over before the first of them.
	// The service of ours is made anew, and probed in proportion to how short
	// it is.
	if !f.used() {
		return c.drill(f.drillFlags, length/16, func(svc *reference.Service) drill.Experiment { return finish(svc.Drill(p, 100*time.Millisecond)) })
	}
	// From here on it is a service of the user's. Nothing has been asked of it
	// or its proxy yet; drill.Run asks the guards first.
	if err := f.remoteFlags.check("run"); err != nil {
		return err
	}
	e := finish(f.experiment(p))
	if f.edge != "" {
		e.Service, e.Dependency, _ = strings.Cut(f.edge, "/")
	}
	r, err := drill.Run(c.ctx, e)
	if err != nil {
		return err
	}
	return c.conclude(f.drillFlags, r)
}

// preset is the fault that the flags name, by exactly one of four: a preset of
// ours, one in a file, one fault by name, or rules in a file. The last two have
// no length of their own; --watch is all of it.
func (f *runFlags) preset() (p presets.Preset, err error) {
	if err := f.drillFlags.check(); err != nil {
		return p, err
	}
	// The first slash splits: a service's name has none in practice, a
	// dependency's may.
	before, after, ok := strings.Cut(f.edge, "/")
	// The cases stand in the order of what the user should hear first: no fault
	// at all before a bound of one.
	switch {
	case given(f.cut.preset, f.file, f.cut.fault, f.cut.rules) != 1:
		return p, usagef("run: want exactly one of --preset, --file, --fault and --rules; drill presets lists those that there are")
	case f.watch < time.Second || f.watch > 24*time.Hour:
		return p, usagef("run: --watch is %v; want 1s to 24h", f.watch)
	case f.edge != "" && (!ok || before == "" || after == "" || !f.used()):
		return p, usagef("run: --edge is %q; want SERVICE/DEPENDENCY, with --url", f.edge)
	case f.proof != "" && f.used() && f.edge == "":
		return p, usagef("run: --proof with --url wants --edge: which edge of the manifests the verdict is about")
	case f.cut.preset != "" || f.file != "":
		return preset(f.cut.preset, f.file)
	}
	if err := f.cut.checkFault("run", true); err != nil {
		return p, err
	}
	// A preset in all but name. Its watch is --watch, so that windows of rules in
	// a file stay as they are written; only --short shrinks them.
	return presets.Preset{
		Name: "run", Title: f.cut.describe, Dependency: f.cut.service, Rules: f.cut.parsed,
		Watch: f.watch, Recovery: 30 * time.Second,
	}, nil
}

// replay runs a preset at its full length in virtual time, and ends the
// process. Everything that can be wrong with the command line is found out
// before that. A name with a dot or a slash is a file; no preset of ours has
// one. If the service did not hold, the smallest fault that breaks it follows;
// see explain.
//
// A Ctrl-C ends the process at once, without a report: nothing outside of it
// was touched.
func (c *command) replay(args []string) error {
	var d drillFlags
	fs := c.flags()
	d.add(fs)
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	if len(c.args) == 0 {
		return usagef("replay: want a preset or a file; drill presets lists those that there are")
	}
	name, file := c.args[0], ""
	if strings.ContainsAny(name, "./\\") {
		name, file = "", name
	}
	p, err := preset(name, file)
	if err != nil {
		return err
	}
	if err := d.provable(p, ""); err != nil {
		return err
	}
	return c.inVirtualTime(func() error {
		c.ctx = context.Background() // one from outside the bubble would stop its clock
		err := c.drill(d, 0, func(svc *reference.Service) drill.Experiment { return svc.Drill(p, time.Millisecond) })
		if errors.Is(err, exitCode(drill.Deviated)) {
			return errors.Join(err, c.explain(d, p))
		}
		return err
	})
}

// explain finds the smallest fault that still breaks the service, and prints a
// test that shows it. It runs the drill again for each candidate, a new service
// each time, within the same bubble: some tens of runs, and a second or so of
// real time.
//
// Tried are fewer rules, rules with less to narrow them, and shorter watches;
// see drill.Shrink for the order in which they are tried. The test is printed
// to the standard error, so that -f json stays JSON, and put beside the report
// if there is a folder. Its name ends in .txt, or go build would take it for a
// part of the folder's package.
func (c *command) explain(d drillFlags, p presets.Preset) error {
	rules, watch, err := drill.Shrink(p.Rules, p.Watch, func(rules []fault.Rule, watch time.Duration) (bool, error) {
		svc, err := reference.New(c.ctx, reference.Options{Naive: d.target == "naive", Seed: d.seed})
		if err != nil {
			return false, err
		}
		smaller := p
		smaller.Rules, smaller.Watch = rules, watch
		r, err := drill.Run(c.ctx, svc.Drill(smaller, time.Millisecond))
		if err := errors.Join(err, svc.Close(c.ctx)); err != nil {
			return false, err
		}
		return r.Verdict == drill.Deviated, nil
	})
	if err != nil {
		return err
	}
	text := drill.Reproduction(d.target, p.Dependency, rules, watch)
	fmt.Fprintf(c.stderr, "\nThe smallest fault that still breaks it, as a test:\n\n%s", text)
	if d.out == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(d.out, "reproduction_test.go.txt"), []byte(text), 0o644)
}

// preset is one of ours by its name, or one in a file; an unknown name is an
// error of usage which lists all, a bad file one with its name and line.
// A preset of the user's is as good as one of ours: it is checked in the same way.
//
// There is no search path and no folder of presets: what was replayed can be
// seen from the command line alone.
func preset(name, file string) (presets.Preset, error) {
	if file == "" {
		p, err := presets.ByName(name)
		if err != nil {
			return p, usagef("%v", err)
		}
		return p, nil
	}
	text, err := readFile(file)
	if err != nil {
		return presets.Preset{}, err
	}
	p, err := presets.Parse(text)
	if err != nil {
		return p, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// drill runs one experiment on the service that comes with the program. probe
// is how often its clients look at what they have given up, 0 for the default;
// real drills of seconds need it in proportion. The service is closed with its
// own deadline even if the drill was interrupted, so that nothing is left
// running in a test.
// The error of a drill that could not run is joined with that of a service that
// could not be closed.
func (c *command) drill(d drillFlags, probe time.Duration, experiment func(*reference.Service) drill.Experiment) error {
	svc, err := reference.New(c.ctx, reference.Options{Naive: d.target == "naive", Probe: probe, Seed: d.seed})
	if err != nil {
		return err
	}
	r, err := drill.Run(c.ctx, experiment(svc))
	// The drill's context may have ended; the service is closed all the same.
	closing, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 10*time.Second)
	defer cancel()
	if err := errors.Join(err, svc.Close(closing)); err != nil {
		return err
	}
	return c.conclude(d, r)
}

// conclude writes the report and the proof; the verdict is the exit code. The
// order matters: a verdict whose proof could not be written is an error.
//
// Held is exit code 0, and so nothing; the numbers of the other verdicts are
// those of drill.Verdict, which the help promises.
func (c *command) conclude(d drillFlags, r *drill.Report) error {
	if err := c.write(d, r); err != nil {
		return err
	}
	if err := c.prove(d, r); err != nil {
		return err
	}
	if r.Verdict != drill.Held {
		return exitCode(r.Verdict)
	}
	return nil
}

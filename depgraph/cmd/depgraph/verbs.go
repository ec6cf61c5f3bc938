package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/cli"
	"github.com/failopen/failopen/depgraph/report"
)

// The verbs that ask the graph itself. Each has the same four steps, which are
// why none is longer than a screen: flags into options, load, ask package
// depgraph, and show what came back in text or JSON.
//
// verb is one question, or one thing to do: a row of the table in help.go.
type verb struct {
	name, usage, summary string
	// name is what is typed; usage is what may follow it, as help and errors
	// show it; summary is its line in the list of verbs.
	about            string   // what "help VERB" prints, with examples
	minArgs, maxArgs int      // maxArgs < 0: any number
	paths            bool     // arguments are what -d takes
	words            []string // what the first argument may be, if it is one of a few
	// formats are what -f takes, the default first; none: the verb refuses -f.
	// failOn is the default of --fail-on; "" is error. flags adds those of the
	// verb alone.
	formats []string
	failOn  string
	flags   func(*command, *flag.FlagSet)
	run     func(*command) error
}

// findVerb looks a verb up by its exact name; a mistake gets a suggestion
// elsewhere.
//
// Some twenty comparisons, once a run: a map would be larger than what it
// saves.
func findVerb(name string) (verb, bool) {
	for _, v := range verbs() {
		if v.name == name {
			return v, true
		}
	}
	return verb{}, false
}

// table is the verbs as package cli takes it. A value of command that
// nobody runs holds the flags.
//
// Nothing is read or written for it, so that a completion costs no more than
// the start of a process.
//
// Words are for flags that mean the same in every verb; formats are the row's.
func table() *cli.Program {
	c := &command{}
	p := &cli.Program{Name: "depgraph", Flags: c.flagSet(""), Words: map[string][]string{
		"fail-on": {"error", "warn", "info", "none"}, "phase": {"startup", "runtime", "deploy"},
		"plane": {"data", "control"}, "collapse": {"owner", "kind", "criticality", "folder"},
	}}
	for _, v := range verbs() {
		fs := c.flagSet(v.name)
		if v.flags != nil {
			v.flags(c, fs)
		}
		p.Verbs = append(p.Verbs, cli.Verb{Name: v.name, Summary: v.summary, Words: v.words, Formats: v.formats, Flags: fs})
	}
	p.Verbs[len(p.Verbs)-1].Words = p.Names() // help is the last
	return p
}

// textJSON are the formats of verbs that answer one question: a person reads
// it, or a program.
func textJSON() []string { return []string{"text", "json"} }

// lookup turns an unknown name of a service or rule into a usage error: it was
// on the command line, so the exit code is 2 and not 3. The message has the
// nearest known name already.
func lookup(err error) error {
	if errors.Is(err, depgraph.ErrUnknownService) || errors.Is(err, depgraph.ErrUnknownRule) {
		return usagef("%s", strings.TrimPrefix(err.Error(), "depgraph: "))
	}
	return err
}

// check runs the rules and writes what they find.
//
// The order is fixed: rules first, then the baseline, then the output, and the
// verdict last, so that a report is complete even if the check fails.
//
// Formats: text for people, json for programs, sarif (OASIS SARIF 2.1.0) for
// code scanning, junit for CI that shows tests, github for annotations in a
// pull request (workflow commands), markdown for a comment or a job's summary.
func (c *command) check() error {
	g, findings, err := c.analyse()
	if err != nil {
		return err
	}
	findings, known, stale, err := c.unknown(findings)
	if err != nil {
		return err
	}
	s := report.Summarize(g, findings)
	s.Known, s.Stale, s.Waived = known, stale, c.waived
	err = c.write(func(w io.Writer) error {
		switch c.format {
		case "json":
			return report.CheckJSON(w, s, findings)
		case "sarif":
			return report.SARIF(w, findings)
		case "junit":
			return report.JUnit(w, g, findings)
		case "github":
			return report.GitHub(w, findings)
		case "markdown":
			return report.CheckMarkdown(w, g, s, findings)
		}
		return report.CheckText(w, g, s, findings, c.textOptions())
	})
	if err != nil {
		return err
	}
	return c.judge(findings)
}

// judge is the end of a verb that has findings: errFindings if one of them is as
// severe as --fail-on says, which parse has checked.
func (c *command) judge(findings []depgraph.Finding) error {
	lowest, _ := c.threshold()
	if slices.ContainsFunc(findings, func(f depgraph.Finding) bool { return f.Severity >= lowest }) {
		return errFindings
	}
	return nil
}

// unknown leaves out the findings that --baseline tolerates. known counts those,
// and stale what the baseline has and nobody finds any more.
//
// It is used by check, diff and drift, which have findings of their own each.
// stale is only shown: a baseline that has too much in it hides nothing.
func (c *command) unknown(findings []depgraph.Finding) (left []depgraph.Finding, known, stale int, err error) {
	if c.baseline == "" {
		return findings, 0, 0, nil
	}
	b, err := depgraph.LoadBaseline(c.baseline)
	if err != nil {
		return nil, 0, 0, err
	}
	left, known, stale = b.Filter(findings)
	return left, known, stale, nil
}

// analyse loads and checks. Unknown names do not stop it: DG008 reports them,
// so that one misspelt name does not hide all other findings.
//
// It is for check, report, export and baseline, which must agree on what the
// findings are. Flags and rules are looked at before manifests are read.
func (c *command) analyse() (*depgraph.Graph, []depgraph.Finding, error) {
	o, err := c.checkOptions()
	if err != nil {
		return nil, nil, err
	}
	g, err := c.load(true)
	if err != nil {
		return nil, nil, err
	}
	findings, err := g.Check(c.ctx, o)
	return g, findings, lookup(err)
}

// cycles prints all cycles, grouped by component. --phase takes several, but
// deploy by itself: a cycle through how a fix is shipped is another question
// than one through what runs. Which severity fails is decided as check would
// decide it.
//
// Exit code 1 means that there is a cycle as severe as --fail-on; the default
// is warn, since somebody who asks for cycles wants to know of all that can
// hurt.
func (c *command) cycles() error {
	o := depgraph.CyclesOptions{HardOnly: c.noSoft, Progress: c.progress()}
	for _, name := range splitList(c.phase) {
		p, err := depgraph.ParsePhase(name)
		if err != nil {
			return usagef("--phase: %s", err)
		}
		o.Phase |= p
	}
	// The library has deploy as a question of its own, and not as a phase of
	// this one.
	if o.Phase == depgraph.Deploy {
		o.Phase, o.Deploy = 0, true
	} else if o.Phase&depgraph.Deploy != 0 {
		return usagef("--phase: deploy cannot be combined")
	}
	g, err := c.load(false)
	if err != nil {
		return err
	}
	components, err := g.Cycles(c.ctx, o)
	if err != nil {
		return err
	}
	err = c.show(func(w io.Writer) error { return report.CyclesText(w, g, components, c.textOptions()) }, func(w io.Writer) error { return report.CyclesJSON(w, components) })
	if err != nil {
		return err
	}
	var as []depgraph.Finding // what check would make of them
	for i := range components {
		as = append(as, depgraph.Finding{Severity: severityOf(&components[i])})
	}
	return c.judge(as)
}

// severityOf is the severity of the rule of check that reports such a component.
// What rests on an import's guess (Assumed) counts one level less.
//
// It must say what the rules about cycles say: DG001 to DG003.
func severityOf(c *depgraph.Component) depgraph.Severity {
	switch {
	case c.Kind == depgraph.SoftCycle, c.Kind == depgraph.OrderingCycle && c.Assumed > 0:
		return depgraph.Info
	case c.Kind == depgraph.BootstrapDeadlock && c.Assumed == 0:
		return depgraph.Error
	}
	return depgraph.Warn
}

// splitList splits at commas; "" has no parts rather than one empty part.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// order prints in which waves everything starts, or stops. That something is
// blocked by a cycle is a finding whatever --fail-on says, but for none: the
// order that was asked for does not exist.
//
// Which of the answer's edges were assumed to be broken is in the output: an
// order of a system with a cycle holds only if somebody breaks it by hand
// there.
func (c *command) order() error {
	if c.maxParallel < 0 {
		return usagef("--max-parallel: %d is negative", c.maxParallel)
	}
	if c.shutdown && (c.cold || c.restart != "") {
		return usagef("--shutdown goes with neither --cold nor --restart")
	}
	g, err := c.load(false)
	if err != nil {
		return err
	}
	o, err := g.Order(c.ctx, depgraph.OrderOptions{Cold: c.cold, Restart: c.restart, Shutdown: c.shutdown, MaxParallel: c.maxParallel})
	if err != nil {
		return lookup(err)
	}
	err = c.show(func(w io.Writer) error { return report.OrderText(w, g, o, c.textOptions()) }, func(w io.Writer) error { return report.OrderJSON(w, o) })
	if err == nil && len(o.Blocked) > 0 && c.failOn != "none" {
		return errFindings
	}
	return err
}

// blast prints what goes down with some services, all lost at the same time, or
// with --all and no service the number for each one alone. With services, --all
// means what it means for other verbs: lists are not shortened.
//
// Unknown names are refused, with the nearest known one. --all is one pass over
// the graph for each 512 services.
func (c *command) blast() error {
	if !c.all && len(c.args) == 0 {
		return usagef("blast takes either services or --all")
	}
	o := depgraph.BlastOptions{}
	if c.plane != "" {
		p, err := depgraph.ParsePlane(c.plane)
		if err != nil {
			return usagef("--plane: %s", err)
		}
		o.Plane = p
	}
	g, err := c.load(false)
	if err != nil {
		return err
	}
	// With --all and no service: a number for each.
	if len(c.args) == 0 {
		counts, err := g.BlastAll(c.ctx, c.progress())
		if err != nil {
			return err
		}
		return c.show(func(w io.Writer) error { return report.ImpactText(w, g.Names(), counts) }, func(w io.Writer) error { return report.ImpactJSON(w, g.Names(), counts) })
	}
	b, err := g.Blast(o, c.args...)
	if err != nil {
		return lookup(err)
	}
	return c.show(func(w io.Writer) error { return report.BlastText(w, b, c.textOptions()) }, func(w io.Writer) error { return report.BlastJSON(w, b) })
}

// avail prints what availability a service can have. It costs a run of a BDD
// over what the service needs, which can be large; Ctrl-C ends it.
func (c *command) avail() error {
	o := depgraph.AvailOptions{Savings: true}
	g, err := c.load(false)
	if err != nil {
		return err
	}
	for _, what := range c.whatIf {
		if err := addWhatIf(g, &o, what); err != nil {
			return err
		}
	}
	a, err := g.Availability(c.ctx, c.args[0], o)
	if err != nil {
		return lookup(err)
	}
	return c.show(func(w io.Writer) error { return report.AvailText(w, a, c.textOptions()) }, func(w io.Writer) error { return report.AvailJSON(w, a) })
}

// addWhatIf reads "soften A:B" (or "A:B") and "own A=99.9". Names may contain a
// colon or an equals sign: of the places where a colon may split them, the
// first counts at which there is such an edge; for own it is the last equals
// sign. Which part of a name is unknown is left for package depgraph to say,
// which has suggestions.
//
// Percent is of the service alone, without what it depends on, as own is in a
// manifest; the answer is the whole.
func addWhatIf(g *depgraph.Graph, o *depgraph.AvailOptions, what string) error {
	if rest, ok := strings.CutPrefix(what, "own "); ok {
		at := max(strings.LastIndexByte(rest, '='), 0)
		name, value := rest[:at], strings.TrimPrefix(rest[at:], "=")
		percent, err := strconv.ParseFloat(value, 64)
		if at == 0 || err != nil || !(percent > 0 && percent <= 100) {
			return usagef("--what-if: expected \"own SERVICE=PERCENT\", found %q", what)
		}
		if o.Own == nil {
			o.Own = map[string]float64{}
		}
		o.Own[name] = percent
		return nil
	}
	pair := strings.TrimPrefix(what, "soften ")
	from, to, ok := strings.Cut(pair, ":")
	if !ok || from == "" || to == "" {
		return usagef("--what-if: expected \"soften A:B\" or \"own SERVICE=PERCENT\", found %q", what)
	}
	// The shortest name before the colon that has such an edge is the one that
	// is meant.
	for i := range len(pair) {
		if pair[i] == ':' && dependsOn(g, pair[:i], pair[i+1:]) {
			o.Soften = append(o.Soften, depgraph.EdgeRef{From: pair[:i], To: pair[i+1:]})
			return nil
		}
	}
	if _, ok := g.Service(from); ok {
		return usagef("--what-if: %s does not depend on %q", from, to)
	}
	o.Soften = append(o.Soften, depgraph.EdgeRef{From: from, To: to}) // names the unknown service
	return nil
}

// dependsOn reports whether an edge leads from one service to the other, by
// itself or in a group of alternatives.
func dependsOn(g *depgraph.Graph, from, to string) bool {
	s, _ := g.Service(from)
	return slices.ContainsFunc(s.Depends, func(d depgraph.Dependency) bool { return d.On == to || slices.Contains(d.AnyOf, to) })
}

// why prints how one service depends on another: the shortest way, or with
// --all every way there is, the shortest first and at most 100. "It does not"
// is an answer, so the exit code is 0 for it.
//
// The paths are simple ones, without a service twice. There can be
// exponentially many, hence the hundred; the text says when it has left some
// out.
func (c *command) why() error {
	g, err := c.load(false)
	if err != nil {
		return err
	}
	paths, truncated, err := g.Why(c.ctx, c.args[0], c.args[1], depgraph.WhyOptions{All: c.all, Hard: c.hard})
	if err != nil {
		return lookup(err)
	}
	return c.show(func(w io.Writer) error { return report.WhyText(w, c.args[0], c.args[1], paths, truncated) }, func(w io.Writer) error { return report.WhyJSON(w, c.args[0], c.args[1], paths, truncated) })
}

// writeBaseline writes today's findings, without a verdict: who asks for it
// means to tolerate them. It has no lines and no counts, so it survives edits
// elsewhere.
//
// check --fail-on does not matter here: also what is only information is
// written.
func (c *command) writeBaseline() error {
	_, findings, err := c.analyse()
	if err != nil {
		return err
	}
	return c.write(depgraph.NewBaseline(findings).Write)
}

package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// verb is one question, or one thing to do.
type verb struct {
	name, usage, summary string
	about                string // what "help VERB" prints, with examples
	minArgs, maxArgs     int    // maxArgs < 0: any number
	paths                bool   // arguments are what -d takes
	formats              []string
	failOn               string
	flags                func(*command, *flag.FlagSet)
	run                  func(*command) error
}

func findVerb(name string) (verb, bool) {
	for _, v := range verbs() {
		if v.name == name {
			return v, true
		}
	}
	return verb{}, false
}

func textJSON() []string { return []string{"text", "json"} }

// lookup turns an unknown name of a service or rule into a usage error.
func lookup(err error) error {
	if errors.Is(err, depgraph.ErrUnknownService) || errors.Is(err, depgraph.ErrUnknownRule) {
		return usageError{strings.TrimPrefix(err.Error(), "depgraph: ")}
	}
	return err
}

func (c *command) check() error {
	_, _, findings, err := c.findings()
	if err != nil {
		return err
	}
	lowest, _ := c.threshold() // checked by parse
	for i := range findings {
		if findings[i].Severity >= lowest {
			return errFindings
		}
	}
	return nil
}

// findings runs the check and writes the result.
func (c *command) findings() (*depgraph.Graph, report.Summary, []depgraph.Finding, error) {
	g, findings, err := c.analyse()
	if err != nil {
		return nil, report.Summary{}, nil, err
	}
	known, stale := 0, 0
	if c.baseline != "" {
		b, err := depgraph.LoadBaseline(c.baseline)
		if err != nil {
			return nil, report.Summary{}, nil, err
		}
		findings, known, stale = b.Filter(findings)
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
	return g, s, findings, err
}

// analyse loads and checks. Unknown names do not stop it: DG008 reports them.
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

func (c *command) cycles() error {
	o := depgraph.CyclesOptions{HardOnly: c.noSoft, Progress: c.progress()}
	for _, name := range splitList(c.phase) {
		p, err := depgraph.ParsePhase(name)
		if err != nil {
			return usagef("--phase: %s", err)
		}
		o.Phase |= p
	}
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
	err = c.write(func(w io.Writer) error {
		if c.format == "json" {
			return report.CyclesJSON(w, components)
		}
		return report.CyclesText(w, g, components, c.textOptions())
	})
	if err != nil {
		return err
	}
	lowest, _ := c.threshold() // checked by parse
	for i := range components {
		if severityOf(&components[i]) >= lowest {
			return errFindings
		}
	}
	return nil
}

func severityOf(c *depgraph.Component) depgraph.Severity {
	switch {
	case c.Kind == depgraph.SoftCycle, c.Kind == depgraph.OrderingCycle && c.Assumed > 0:
		return depgraph.Info
	case c.Kind == depgraph.BootstrapDeadlock && c.Assumed == 0:
		return depgraph.Error
	}
	return depgraph.Warn
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

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
	err = c.write(func(w io.Writer) error {
		if c.format == "json" {
			return report.OrderJSON(w, o)
		}
		return report.OrderText(w, g, o, c.textOptions())
	})
	if err == nil && len(o.Blocked) > 0 && c.failOn != "none" {
		return errFindings
	}
	return err
}

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
	if len(c.args) == 0 {
		counts, err := g.BlastAll(c.ctx, c.progress())
		if err != nil {
			return err
		}
		return c.write(func(w io.Writer) error {
			if c.format == "json" {
				return report.ImpactJSON(w, g.Names(), counts)
			}
			return report.ImpactText(w, g.Names(), counts)
		})
	}
	b, err := g.Blast(o, c.args...)
	if err != nil {
		return lookup(err)
	}
	return c.write(func(w io.Writer) error {
		if c.format == "json" {
			return report.BlastJSON(w, b)
		}
		return report.BlastText(w, b, c.textOptions())
	})
}

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
	return c.write(func(w io.Writer) error {
		if c.format == "json" {
			return report.AvailJSON(w, a)
		}
		return report.AvailText(w, a, c.textOptions())
	})
}

// addWhatIf reads "soften A:B" (or "A:B") and "own A=99.9". Names may contain
// a colon or an equals sign.
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

// dependsOn reports whether an edge leads from one service to the other.
func dependsOn(g *depgraph.Graph, from, to string) bool {
	s, _ := g.Service(from)
	return slices.ContainsFunc(s.Depends, func(d depgraph.Dependency) bool { return d.On == to || slices.Contains(d.AnyOf, to) })
}

func (c *command) why() error {
	g, err := c.load(false)
	if err != nil {
		return err
	}
	paths, truncated, err := g.Why(c.ctx, c.args[0], c.args[1], depgraph.WhyOptions{All: c.all, Hard: c.hard})
	if err != nil {
		return lookup(err)
	}
	return c.write(func(w io.Writer) error {
		if c.format == "json" {
			return report.WhyJSON(w, c.args[0], c.args[1], paths, truncated)
		}
		return report.WhyText(w, c.args[0], c.args[1], paths, truncated)
	})
}

func (c *command) writeBaseline() error {
	_, findings, err := c.analyse()
	if err != nil {
		return err
	}
	return c.write(depgraph.NewBaseline(findings).Write)
}

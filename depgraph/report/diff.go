package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// DiffTitles name the two sides of a diff, such as "main" and "the work tree".
// They are data like names of services: every format escapes them.
type DiffTitles struct{ Before, After string }

// DiffVerdict says in one sentence what a change does, for people who read no
// further. Its first rune is a cross, an exclamation mark or a tick. A deadlock
// that is new or grew comes first, whatever else there is; one that was there
// before does not, as a review is about the change and not about the system.
// Names in it are clean.
func DiffVerdict(d *depgraph.Diff) string {
	for _, c := range d.Cycles {
		if c.After != nil && c.After.Kind == depgraph.BootstrapDeadlock && (c.Kind == depgraph.NewCycle || c.Kind == depgraph.Grown) {
			return fmt.Sprintf("✗ After this change a full stop never comes back: %s", clean(circle(c.After)))
		}
	}
	// New findings are in order of severity, so the first one is the worst.
	s := summarize(d.New)
	switch {
	case s.Errors > 0:
		return fmt.Sprintf("✗ %s, the first: %s", count(s.Errors, "new error"), clean(d.New[0].Message))
	case s.Warns > 0:
		return fmt.Sprintf("! No new errors, %s, the first: %s", count(s.Warns, "new warning"), clean(d.New[0].Message))
	case len(d.Edges)+len(d.Added)+len(d.Removed) == 0:
		return "✓ No dependency and no service was added, removed or changed"
	}
	changed := fmt.Sprintf("%d dependencies changed", len(d.Edges))
	if len(d.Edges) == 1 {
		changed = "1 dependency changed"
	}
	if n := len(d.Added) + len(d.Removed); n > 0 {
		changed += ", " + count(n, "service") + " added or removed"
	}
	return "✓ No new errors and no new warnings: " + changed
}

// summarize counts errors and warnings only; a diff has two graphs, so the
// sizes of a Summary would mean nothing here.
func summarize(findings []depgraph.Finding) (s Summary) {
	for i := range findings {
		switch findings[i].Severity {
		case depgraph.Error:
			s.Errors++
		case depgraph.Warn:
			s.Warns++
		}
	}
	return s
}

// DiffText writes a diff for a terminal: the verdict, sizes, and then, each
// under a heading that is left out if it is empty, dependencies, cycles, the
// start, services, new findings and those that are gone. The last lines count
// findings and name what was not compared. Lists of dependencies and services
// are cut after maxDiffRows rows, unless All or Verbose asks for them whole.
//
// The error is that of the writer.
func DiffText(w io.Writer, d *depgraph.Diff, t DiffTitles, o ...TextOptions) error {
	p := newPrinter(w, o...)
	p.f("%s\n\n", p.paint(worst(d.New), DiffVerdict(d)))
	p.f("%s -> %s: %s -> %s, %s -> %s\n", clean(t.Before), clean(t.After),
		count(d.Before.Services, "service"), count(d.After.Services, "service"), count(d.Before.Edges, "edge"), count(d.After.Edges, "edge"))
	if len(d.Added) > 0 {
		p.list("added services: ", d.Added)
	}
	if len(d.Removed) > 0 {
		p.list("removed services: ", d.Removed)
	}
	p.diffEdges(d)
	p.diffCycles(d)
	p.diffStart(d)
	p.diffServices(d)
	for _, part := range []struct {
		title    string
		findings []depgraph.Finding
	}{{"new findings", d.New}, {"findings that are gone", d.Gone}} {
		if len(part.findings) > 0 {
			p.f("\n%s:\n", part.title)
			for _, group := range byRule(part.findings) {
				p.group(group, "")
			}
		}
	}
	p.f("\n%s, %s, %d known\n", count(len(d.New), "new finding"), count(len(d.Gone), "finding")+" gone", d.Known)
	for _, l := range d.Limits {
		p.f("not compared: %s\n", clean(l))
	}
	return p.w.Flush()
}

// shown is how many rows of n a list has: limit at most, unless all of it is
// wanted.
//
// Files, comments and JSON have limits of their own.
func (p printer) shown(n, limit int) int {
	if p.opts.All || p.opts.Verbose {
		return n
	}
	return min(n, limit)
}

// maxDiffRows is how many dependencies, and how many services, a diff lists
// unless all are wanted: a screen or two.
const maxDiffRows = 50

// more closes a list that was cut, and says how to see the rest.
func (p printer) more(n, shown int) {
	if n > shown {
		p.f("  and %d more (--all lists them)\n", n-shown)
	}
}

// diffEdges lists what changed between two services, with the place in the new
// manifests, or in the old ones for what was removed.
func (p printer) diffEdges(d *depgraph.Diff) {
	if len(d.Edges) == 0 {
		return
	}
	p.f("\ndependencies:\n")
	// In order of From, so that what one service changed stands together.
	n := p.shown(len(d.Edges), maxDiffRows)
	for _, e := range d.Edges[:n] {
		p.f("  %-8s %s -> %s   %s   %s\n", e.Kind, clean(e.From), clean(e.To), needs(e), place(placeOf(e)))
	}
	p.more(len(d.Edges), n)
}

// needs says what an edge was and is. Edges that read the same before and after
// differ in something that describe leaves out, such as a fallback.
//
// It is in the words of describe, and not escaped.
func needs(e depgraph.EdgeChange) string {
	before, after := describeAll(e.Before), describeAll(e.After)
	switch {
	case before == "":
		return after
	case after == "":
		return "was " + before
	case before == after:
		return after + ", in another manner"
	}
	return before + " => " + after
}

// describeAll describes the edges between two services; there are several if
// they differ by phase or group. Empty for none.
func describeAll(edges []depgraph.Edge) string {
	parts := make([]string, len(edges))
	for i, e := range edges {
		parts[i] = describe(e)
	}
	return strings.Join(parts, " and ")
}

// placeOf is where a reader of the change finds the edge: where it is now, or
// where it was. One of the two sides always has an edge.
func placeOf(e depgraph.EdgeChange) depgraph.Position {
	if len(e.After) > 0 {
		return e.After[0].At
	}
	return e.Before[0].At
}

// diffCycles lists components. What is new or grew is drawn in full, with its
// fix: somebody has to act. What shrank or healed is only named.
//
// The order is that of Compare: what the change made, and then what it mended.
func (p printer) diffCycles(d *depgraph.Diff) {
	if len(d.Cycles) == 0 {
		return
	}
	p.f("\ncycles:\n")
	for _, c := range d.Cycles {
		k := c.After
		if c.Kind == depgraph.Healed || k == nil {
			k = c.Before
		}
		p.f("  %s %s\n", c.Kind, headline(k))
		if c.Kind == depgraph.NewCycle || c.Kind == depgraph.Grown {
			p.cycle(k)
			if fix := k.FixText(); fix != "" {
				p.f(" fix: %s\n", clean(fix))
			}
		} else {
			p.f("    %s\n", clean(circle(k)))
		}
	}
}

// diffStart sets each line about the start apart, as there are two at most.
func (p printer) diffStart(d *depgraph.Diff) {
	for _, line := range startLines(d) {
		p.f("\n%s\n", clean(line))
	}
}

// startLines say how a full start changed: how long it takes, with the new
// critical path, and how many services never come up. They are not escaped;
// each format does that.
func startLines(d *depgraph.Diff) (lines []string) {
	if d.Total[0] != d.Total[1] {
		lines = append(lines, fmt.Sprintf("a full start takes %s instead of %s: %s", duration(d.Total[1]), duration(d.Total[0]), strings.Join(d.Critical[1], ", ")))
	}
	if a, b := len(d.Blocked[0]), len(d.Blocked[1]); a != b {
		lines = append(lines, fmt.Sprintf("services that never come up after a full stop: %d instead of %d", b, a))
	}
	return lines
}

// diffServices lists, for services that both graphs have, which answers of an
// outage are different now.
func (p printer) diffServices(d *depgraph.Diff) {
	if len(d.Services) == 0 {
		return
	}
	p.f("\nservices:\n")
	n := p.shown(len(d.Services), maxDiffRows)
	for i := range d.Services[:n] {
		s := &d.Services[i]
		p.f("  %s: %s\n", clean(s.Service), clean(strings.Join(serviceLines(s), "; ")))
	}
	p.more(len(d.Services), n)
}

// maxDiffNames is how many names a sentence about a service holds.
const maxDiffNames = 5

// serviceLines say what changed for one service, a sentence each, in the order
// of an incident: whom it takes down, how available it is, when it starts. Whom
// it takes down is told even if the number is the same and only the names are
// others. The lines are not escaped.
//
// A year is that of depgraph.MinutesPerYear, as everywhere.
func serviceLines(s *depgraph.ServiceChange) (lines []string) {
	// Whom it takes down.
	if s.Down[0] != s.Down[1] || len(s.GoesDown)+len(s.StaysUp) > 0 {
		line := fmt.Sprintf("takes %s down instead of %d", count(s.Down[1], "other"), s.Down[0])
		if len(s.GoesDown) > 0 {
			line += ", new: " + firstNames(s.GoesDown)
		}
		if len(s.StaysUp) > 0 {
			line += ", no more: " + firstNames(s.StaysUp)
		}
		lines = append(lines, line)
	}
	// Minutes are of more down time if positive; %+.0f shows the sign.
	if s.AvailabilityDiffers() {
		line := fmt.Sprintf("availability %s instead of %s (%+.0f minutes a year)", percent(s.Availability[1]), percent(s.Availability[0]),
			(s.Availability[0]-s.Availability[1])*depgraph.MinutesPerYear)
		if s.Estimated {
			line += ", an estimate"
		}
		lines = append(lines, line)
	}
	if s.Wave[0] != s.Wave[1] {
		lines = append(lines, fmt.Sprintf("starts in wave %d instead of %d", s.Wave[1], s.Wave[0]))
	}
	if s.Critical[0] != s.Critical[1] {
		word := "now on"
		if s.Critical[0] {
			word = "no more on"
		}
		lines = append(lines, word+" the critical path of a start")
	}
	return lines
}

// percent prints five significant digits of a share, which is enough to see
// that 99.99 became 99.98. Percent, with as many nines as there are, is for one
// number alone.
func percent(a float64) string { return fmt.Sprintf("%.5g%%", 100*a) }

// firstNames lists at most maxDiffNames names and counts the others. They are
// not escaped.
func firstNames(names []string) string {
	if n := len(names) - maxDiffNames; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxDiffNames], ", "), n)
	}
	return strings.Join(names, ", ")
}

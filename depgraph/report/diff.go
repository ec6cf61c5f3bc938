package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// DiffTitles name the two sides of a diff, such as "main" and "the work tree".
type DiffTitles struct{ Before, After string }

// DiffVerdict says in one sentence what a change does, for people who read no
// further. Its first rune is a cross, an exclamation mark or a tick.
func DiffVerdict(d *depgraph.Diff) string {
	for _, c := range d.Cycles {
		if c.After != nil && c.After.Kind == depgraph.BootstrapDeadlock && (c.Kind == depgraph.NewCycle || c.Kind == depgraph.Grown) {
			return fmt.Sprintf("✗ After this change a full stop never comes back: %s", clean(circle(c.After)))
		}
	}
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

// DiffText writes a diff for a terminal.
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

// shown limits a list unless all of it is wanted.
func (p printer) shown(n, limit int) int {
	if p.opts.All || p.opts.Verbose {
		return n
	}
	return min(n, limit)
}

const maxDiffRows = 50

func (p printer) more(n, shown int) {
	if n > shown {
		p.f("  and %d more (--all lists them)\n", n-shown)
	}
}

func (p printer) diffEdges(d *depgraph.Diff) {
	if len(d.Edges) == 0 {
		return
	}
	p.f("\ndependencies:\n")
	n := p.shown(len(d.Edges), maxDiffRows)
	for _, e := range d.Edges[:n] {
		p.f("  %-8s %s -> %s   %s   %s\n", e.Kind, clean(e.From), clean(e.To), needs(e), place(placeOf(e)))
	}
	p.more(len(d.Edges), n)
}

// needs says what an edge was and is.
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

func describeAll(edges []depgraph.Edge) string {
	parts := make([]string, len(edges))
	for i, e := range edges {
		parts[i] = describe(e)
	}
	return strings.Join(parts, " and ")
}

// placeOf is where a reader of the change finds the edge.
func placeOf(e depgraph.EdgeChange) depgraph.Position {
	if len(e.After) > 0 {
		return e.After[0].At
	}
	return e.Before[0].At
}

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

func (p printer) diffStart(d *depgraph.Diff) {
	for _, line := range startLines(d) {
		p.f("\n%s\n", clean(line))
	}
}

// startLines say how a full start changed.
func startLines(d *depgraph.Diff) (lines []string) {
	if d.Total[0] != d.Total[1] {
		lines = append(lines, fmt.Sprintf("a full start takes %s instead of %s: %s", duration(d.Total[1]), duration(d.Total[0]), strings.Join(d.Critical[1], ", ")))
	}
	if a, b := len(d.Blocked[0]), len(d.Blocked[1]); a != b {
		lines = append(lines, fmt.Sprintf("services that never come up after a full stop: %d instead of %d", b, a))
	}
	return lines
}

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

// serviceLines say what changed for one service.
func serviceLines(s *depgraph.ServiceChange) (lines []string) {
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
	if s.AvailabilityDiffers() {
		line := fmt.Sprintf("availability %s instead of %s (%+.0f minutes a year)", percent(s.Availability[1]), percent(s.Availability[0]),
			(s.Availability[0]-s.Availability[1])*minutesPerYear)
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

const minutesPerYear = 365.25 * 24 * 60

func percent(a float64) string { return fmt.Sprintf("%.5g%%", 100*a) }

func firstNames(names []string) string {
	if n := len(names) - maxDiffNames; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxDiffNames], ", "), n)
	}
	return strings.Join(names, ", ")
}

// DiffMarkdown writes a diff as a comment for a pull request. It begins with a
// line that a workflow can search for, to change its comment and not add one,
// and stays below the size that GitHub accepts: sections that do not fit are
// only named.
func DiffMarkdown(w io.Writer, d *depgraph.Diff, t DiffTitles) error {
	var head strings.Builder
	p := newPrinter(&head)
	p.f("%s\n### %s\n\n", DiffMarker, md(DiffVerdict(d)))
	p.f("%s → %s: %s → %s, %s → %s\n", md(t.Before), md(t.After),
		count(d.Before.Services, "service"), count(d.After.Services, "service"), count(d.Before.Edges, "edge"), count(d.After.Edges, "edge"))
	if len(d.Added) > 0 {
		p.f("\nAdded services: %s\n", md(firstNames(d.Added)))
	}
	if len(d.Removed) > 0 {
		p.f("\nRemoved services: %s\n", md(firstNames(d.Removed)))
	}
	for _, line := range startLines(d) {
		p.f("\n%s\n", md(upperFirst(line)))
	}
	for _, l := range d.Limits {
		p.f("\nNot compared: %s\n", md(l))
	}
	if err := p.w.Flush(); err != nil {
		return err
	}
	text := head.String()
	for _, s := range diffSections(d) {
		if len(text)+len(s.text) > maxComment {
			text += "\n(" + s.title + ": too long for a comment; `depgraph diff` prints it)\n"
			continue
		}
		text += s.text
	}
	_, err := io.WriteString(w, text)
	return err
}

// maxComment is below the 65,536 characters that GitHub accepts.
const maxComment = 60_000

type diffSection struct{ title, text string }

func diffSections(d *depgraph.Diff) (sections []diffSection) {
	add := func(title string, render func(p printer)) {
		var b strings.Builder
		p := newPrinter(&b)
		render(p)
		_ = p.w.Flush() // a strings.Builder takes everything
		if b.Len() > 0 {
			sections = append(sections, diffSection{title, b.String()})
		}
	}
	add(count(len(d.Cycles), "cycle"), func(p printer) {
		for _, c := range d.Cycles {
			p.cycleMarkdown(c)
		}
	})
	for _, group := range byRule(d.New) {
		title := fmt.Sprintf("New: %s %s %s (%d)", group[0].Severity, md(group[0].Rule), md(group[0].Name), len(group))
		add(title, func(p printer) {
			p.f("\n**%s**\n\n", title)
			p.table(group)
		})
	}
	section := func(n int, title, columns string, row func(p printer, i int)) {
		title = fmt.Sprintf("%d %s", n, title)
		add(title, func(p printer) { p.section(n, title, columns, func(i int) { row(p, i) }) })
	}
	section(len(d.Edges), "dependencies changed", "| change | edge | need | place |\n|---|---|---|---|\n", func(p printer, i int) {
		e := d.Edges[i]
		p.f("| %s | %s → %s | %s | %s |\n", e.Kind, md(e.From), md(e.To), md(needs(e)), md(placeOf(e).String()))
	})
	section(len(d.Services), "services with other answers in an outage", "| service | what changed |\n|---|---|\n", func(p printer, i int) {
		p.f("| %s | %s |\n", md(d.Services[i].Service), md(strings.Join(serviceLines(&d.Services[i]), "; ")))
	})
	section(len(d.Gone), "findings gone", "| finding | place |\n|---|---|\n", func(p printer, i int) {
		p.f("| %s %s | %s |\n", md(d.Gone[i].Rule), md(d.Gone[i].Message), md(d.Gone[i].At.String()))
	})
	return sections
}

// DiffMarker is the first line of DiffMarkdown.
const DiffMarker = "<!-- depgraph diff -->"

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (p printer) cycleMarkdown(c depgraph.CycleChange) {
	k := c.After
	if c.Kind == depgraph.Healed || k == nil {
		k = c.Before
	}
	p.f("\n- **%s %s cycle**: %s", c.Kind, k.Kind, md(circle(k)))
	if c.Kind == depgraph.NewCycle || c.Kind == depgraph.Grown {
		p.f("; %s", md(k.FixText()))
	}
	p.f("\n")
}

// section writes a table that opens with a click.
func (p printer) section(n int, title, columns string, row func(i int)) {
	if n == 0 {
		return
	}
	p.f("\n<details><summary>%s</summary>\n\n%s", title, columns)
	for i := range min(n, maxMarkdownRows) {
		row(i)
	}
	if n > maxMarkdownRows {
		p.f("\nand %d more\n", n-maxMarkdownRows)
	}
	p.f("\n</details>\n")
}

type edgeChangeJSON struct {
	Kind   string     `json:"kind"`
	From   string     `json:"from"`
	To     string     `json:"to"`
	Before []EdgeJSON `json:"before"`
	After  []EdgeJSON `json:"after"`
}

type cycleChangeJSON struct {
	Kind   string         `json:"kind"`
	Before *componentJSON `json:"before,omitempty"`
	After  *componentJSON `json:"after,omitempty"`
}

// pairJSON is a value before and after; it is left out where nothing changed.
type pairJSON[T any] struct {
	Before T `json:"before"`
	After  T `json:"after"`
}

type serviceChangeJSON struct {
	Service      string             `json:"service"`
	Down         *pairJSON[int]     `json:"down,omitempty"`
	GoesDown     []string           `json:"goes_down,omitempty"`
	StaysUp      []string           `json:"stays_up,omitempty"`
	Availability *pairJSON[float64] `json:"availability,omitempty"`
	Estimated    bool               `json:"estimated,omitempty"`
	Wave         *pairJSON[int]     `json:"wave,omitempty"`
	Critical     *pairJSON[bool]    `json:"critical_path,omitempty"`
}

func newServiceChangeJSON(s *depgraph.ServiceChange) serviceChangeJSON {
	res := serviceChangeJSON{Service: s.Service, GoesDown: s.GoesDown, StaysUp: s.StaysUp}
	if s.Down[0] != s.Down[1] || len(s.GoesDown)+len(s.StaysUp) > 0 {
		res.Down = &pairJSON[int]{s.Down[0], s.Down[1]}
	}
	if s.AvailabilityDiffers() {
		res.Availability, res.Estimated = &pairJSON[float64]{s.Availability[0], s.Availability[1]}, s.Estimated
	}
	if s.Wave[0] != s.Wave[1] {
		res.Wave = &pairJSON[int]{s.Wave[0], s.Wave[1]}
	}
	if s.Critical[0] != s.Critical[1] {
		res.Critical = &pairJSON[bool]{s.Critical[0], s.Critical[1]}
	}
	return res
}

// DiffJSON writes a diff.
func DiffJSON(w io.Writer, d *depgraph.Diff, t DiffTitles) error {
	type size struct {
		Title    string   `json:"title"`
		Services int      `json:"services"`
		Edges    int      `json:"edges"`
		Seconds  float64  `json:"start_seconds"`
		Critical []string `json:"critical_path"`
		Blocked  []string `json:"blocked"`
	}
	side := func(title string, s depgraph.Size, i int) size {
		return size{title, s.Services, s.Edges, d.Total[i].Round(time.Millisecond).Seconds(), emptyNotNull(d.Critical[i]), emptyNotNull(d.Blocked[i])}
	}
	edges, cycles, services := []edgeChangeJSON{}, []cycleChangeJSON{}, []serviceChangeJSON{}
	for _, e := range d.Edges {
		edges = append(edges, edgeChangeJSON{string(e.Kind), e.From, e.To, edgesJSON(e.Before), edgesJSON(e.After)})
	}
	one := func(c *depgraph.Component) *componentJSON {
		if c == nil {
			return nil
		}
		return &componentsJSON([]depgraph.Component{*c})[0]
	}
	for _, c := range d.Cycles {
		cycles = append(cycles, cycleChangeJSON{string(c.Kind), one(c.Before), one(c.After)})
	}
	for i := range d.Services {
		services = append(services, newServiceChangeJSON(&d.Services[i]))
	}
	return writeJSON(w, struct {
		Before   size                `json:"before"`
		After    size                `json:"after"`
		Added    []string            `json:"added"`
		Removed  []string            `json:"removed"`
		Edges    []edgeChangeJSON    `json:"edges"`
		Cycles   []cycleChangeJSON   `json:"cycles"`
		Services []serviceChangeJSON `json:"services"`
		New      []findingJSON       `json:"new_findings"`
		Gone     []findingJSON       `json:"gone_findings"`
		Known    int                 `json:"known_findings"`
		Limits   []string            `json:"not_compared"`
	}{
		side(t.Before, d.Before, 0), side(t.After, d.After, 1), emptyNotNull(d.Added), emptyNotNull(d.Removed), edges, cycles, services,
		findingsJSON(d.New), findingsJSON(d.Gone), d.Known, emptyNotNull(d.Limits),
	})
}

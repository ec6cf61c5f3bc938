package report

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// TextOptions says how text is laid out. The zero value is for a file or a
// pipe: no colour, lists of names in lines of 100 characters and cut after 60.
type TextOptions struct {
	// Width is that of the terminal, in characters; zero means 100.
	Width int
	// All shows lists whole.
	All bool
	// Verbose shows every finding, instead of a few for each rule.
	Verbose bool
	// Color marks severities with the colours of a terminal.
	Color bool
}

const (
	defaultWidth = 100
	maxNames     = 60
)

// printer collects the first error of many writes.
type printer struct {
	w    *bufio.Writer
	opts TextOptions
}

func newPrinter(w io.Writer, o ...TextOptions) printer {
	p := printer{w: bufio.NewWriter(w)}
	if len(o) > 0 {
		p.opts = o[0]
	}
	return p
}

// list prints names behind a label, wrapped below its end, and at most
// maxNames of them unless all are wanted.
func (p printer) list(label string, names []string) {
	more := 0
	if n := len(names) - maxNames; n > 0 && !p.opts.All {
		names, more = names[:maxNames], n
	}
	words := make([]string, 0, len(names)+1)
	for _, n := range names {
		words = append(words, clean(n))
	}
	if more > 0 {
		words = append(words, fmt.Sprintf("and %d more (--all lists them)", more))
	}
	width, indent := cmp.Or(p.opts.Width, defaultWidth), len([]rune(label))
	if indent > width/2 {
		indent = 4
	}
	line := label
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		switch n := len([]rune(line)) + len([]rune(word)); {
		case i == 0:
			line += word
		case n+1 > width:
			p.f("%s\n", line)
			line = strings.Repeat(" ", indent) + word
		default:
			line += " " + word
		}
	}
	p.f("%s\n", strings.TrimRight(line, " "))
}

func (p printer) f(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// NamesText writes one name a line, for other programs too.
func NamesText(w io.Writer, names []string) error {
	p := newPrinter(w)
	for _, n := range names {
		p.f("%s\n", clean(n))
	}
	return p.w.Flush()
}

// describe says how an edge depends: "hard startup+runtime control".
func describe(e depgraph.Edge) string {
	s := e.Strength() + " " + e.Phase.String()
	if e.Until != depgraph.UntilUnknown {
		s += " until " + e.Until.String()
	}
	if e.Plane == depgraph.Control {
		s += " control"
	}
	if e.Assumed {
		s += " (assumed)"
	}
	return s
}

// CyclesText writes components with their shortest cycle and the fix.
func CyclesText(w io.Writer, g *depgraph.Graph, components []depgraph.Component, o ...TextOptions) error {
	p := newPrinter(w, o...)
	after := afterFix(g, components)
	for i := range components {
		c := &components[i]
		p.f("%s\n", headline(c))
		p.cycle(c)
		if fix := c.FixText(); fix != "" {
			p.f(" fix: %s", clean(fix))
			if c.Kind == depgraph.BootstrapDeadlock {
				p.f("%s", after)
			}
			p.f("\n")
		}
		p.f("\n")
	}
	if len(components) == 0 {
		p.f("no cycles among %d services and %d edges\n", g.Len(), g.EdgeCount())
	}
	return p.w.Flush()
}

func headline(c *depgraph.Component) string {
	size := fmt.Sprintf("(component of %d, %d edges)", len(c.Services), len(c.Edges))
	switch c.Kind {
	case depgraph.BootstrapDeadlock:
		return fmt.Sprintf("bootstrap deadlock: %d services wait for each other at startup%s  %s", len(c.Cycle), assumed(c), size)
	case depgraph.RuntimeCycle:
		return fmt.Sprintf("runtime cycle: %d services need each other to serve%s  %s", len(c.Cycle), assumed(c), size)
	case depgraph.OrderingCycle:
		return fmt.Sprintf("ordering cycle: %d services are ordered in a circle  %s", len(c.Cycle), size)
	case depgraph.DeployCycle:
		return fmt.Sprintf("deploy cycle: a fix to any of %d services needs the others  %s", len(c.Cycle), size)
	}
	return fmt.Sprintf("soft cycle: %d services, opened by what is soft  %s", len(c.Cycle), size)
}

// assumed says that a component rests on guesses.
func assumed(c *depgraph.Component) string {
	if c.Assumed == 0 {
		return ""
	}
	return ", if " + count(c.Assumed, "assumed edge") + " are right"
}

// cycle draws the box around a cycle, with the place of each edge.
func (p printer) cycle(c *depgraph.Component) {
	tw := tabwriter.NewWriter(p.w, 0, 8, 3, ' ', 0)
	for i, e := range c.Cycle {
		box := " |  "
		switch i {
		case 0:
			box = " .->"
		case len(c.Cycle) - 1:
			box = " `--"
		}
		fmt.Fprintf(tw, "%s %s\tneeds %s\t%s\t%s%s\n", box, clean(e.From), clean(e.To), describe(e), place(e.At), from(e))
	}
	_ = tw.Flush() // a bufio.Writer keeps its error for its own Flush
	if !c.CycleProven {
		p.f(" (the search was cut short; a shorter cycle may exist)\n")
	}
	for _, e := range c.BreakGlass {
		p.f(" by hand: %s -> %s: %s\n", clean(e.From), clean(e.To), clean(e.BreakGlass))
	}
}

// from says where an imported edge was found first.
func from(e depgraph.Edge) string {
	first, _, more := strings.Cut(e.Source, "; ")
	if first == "" {
		return ""
	}
	if more {
		first += " …"
	}
	return "\tfrom " + clean(first)
}

// place prints a position, cleaned.
func place(at depgraph.Position) string { return clean(at.String()) }

// afterFix says how a cold start looks once all proposed edges are soft.
func afterFix(g *depgraph.Graph, components []depgraph.Component) string {
	var refs []depgraph.EdgeRef
	for i := range components {
		refs = append(refs, depgraph.Refs(components[i].Soften)...)
	}
	if len(refs) == 0 {
		return ""
	}
	fixed, err := g.WithSoft(refs...)
	if err != nil {
		return ""
	}
	return afterOrder(fixed)
}

func afterOrder(g *depgraph.Graph) string {
	o, err := g.Order(context.Background(), depgraph.OrderOptions{})
	if err != nil || len(o.Blocked) > 0 {
		return ""
	}
	s := fmt.Sprintf("   then a cold start is %d waves", len(o.Waves))
	if o.Total > 0 {
		s += ", " + duration(o.Total)
	}
	return s
}

// duration prints 3m10s, without the fractions that nobody declared.
func duration(d time.Duration) string {
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return d.String()
}

// OrderText writes waves, critical path and what is blocked.
func OrderText(w io.Writer, g *depgraph.Graph, o *depgraph.Order, opts ...TextOptions) error {
	p := newPrinter(w, opts...)
	begin, ready := map[string]time.Duration{}, map[string]time.Duration{}
	for _, s := range o.Timeline {
		begin[s.Service], ready[s.Service] = s.Begin, s.Serves
	}
	critical := map[string]bool{}
	for _, name := range o.Critical {
		critical[name] = true
	}
	p.broken(g, o)
	without := map[string][]string{}
	for _, e := range o.Broken {
		without[e.From] = append(without[e.From], e.To)
	}
	for i, wave := range o.Waves {
		p.f("wave %d\n", i+1)
		tw := tabwriter.NewWriter(p.w, 0, 8, 3, ' ', 0)
		for _, name := range wave {
			s, _ := g.Service(name)
			line := []string{"  " + clean(name)}
			if o.Total > 0 {
				mark := ""
				if critical[name] {
					mark = "  critical path"
				}
				line = append(line, fmt.Sprintf("%s .. %s%s", duration(begin[name]), duration(ready[name]), mark))
			}
			if names := without[name]; names != nil {
				line = append(line, "does not wait for "+join(slices.Compact(names)))
			}
			if s.Verify != "" {
				line = append(line, "verify: "+clean(s.Verify))
			}
			fmt.Fprintln(tw, strings.Join(line, "\t"))
		}
		_ = tw.Flush() // a bufio.Writer keeps its error for its own Flush
	}
	switch path := strings.ReplaceAll(join(o.Critical), ", ", " -> "); {
	case o.Total > 0:
		p.f("critical path (%s): %s\n", duration(o.Total), path)
	case len(o.Critical) > 1:
		p.f("longest chain (no start durations are declared): %s\n", path)
	}
	for _, e := range o.ByHand {
		p.f("by hand: %s -> %s: %s   %s\n", clean(e.From), clean(e.To), clean(e.BreakGlass), place(e.At))
	}
	for _, e := range o.Dropped {
		p.f("order not kept: %s after %s, which contradicts others   %s\n", clean(e.From), clean(e.To), place(e.At))
	}
	return p.w.Flush()
}

// broken says what keeps a system from coming up, and what the waves do about it.
func (p printer) broken(g *depgraph.Graph, o *depgraph.Order) {
	if len(o.Blocked) == 0 {
		return
	}
	p.list(fmt.Sprintf("blocked (%d of %d): ", len(o.Blocked), g.Len()), o.Blocked)
	p.f("  they wait for each other, or for others that do; see \"depgraph cycles\"\n")
	if len(o.Broken) == 0 {
		return
	}
	sure := "proven minimum"
	if !o.BrokenProven {
		sure = "not proven to be the fewest"
	}
	p.f("the waves below work only if %s out of the way (%s):\n", is(len(o.Broken), "edge"), sure)
	tw := tabwriter.NewWriter(p.w, 0, 8, 3, ' ', 0)
	for _, e := range o.Broken {
		fmt.Fprintf(tw, "  %s does not wait for %s\t%s\t%s\n", clean(e.From), clean(e.To), describe(e), place(e.At))
	}
	_ = tw.Flush() // a bufio.Writer keeps its error for its own Flush
}

// is counts with the verb.
func is(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return fmt.Sprintf("%d %ss are", n, noun)
}

// BlastText writes a blast radius.
func BlastText(w io.Writer, b *depgraph.Blast, o ...TextOptions) error {
	p := newPrinter(w, o...)
	verb := "fails"
	if len(b.Of) > 1 {
		verb = "fail"
	}
	p.f("if %s %s:\n", join(b.Of), verb)
	for _, l := range []struct {
		what  string
		names []string
	}{
		{"down", b.Down},
		{"degraded", b.Degraded},
		{"redundancy lost", b.RedundancyLost},
		{"cannot restart", b.CannotStart},
	} {
		p.list(fmt.Sprintf("  %-16s %4d  ", l.what, len(l.names)), l.names)
	}
	if len(b.Assumed) > 0 {
		p.list("  only if assumed edges are right: ", b.Assumed)
	}
	if len(b.Unknown) > 0 {
		p.list("  run time unknown, declared for startup only: ", b.Unknown)
	}
	return p.w.Flush()
}

// ImpactText writes how many others each service takes down, the worst first.
func ImpactText(w io.Writer, names []string, counts []int) error {
	p := newPrinter(w)
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	for _, i := range order {
		p.f("%6d  %s\n", counts[i], clean(names[i]))
	}
	return p.w.Flush()
}

// Percent prints an availability with as many nines as it has, and two more digits.
func Percent(a float64) string {
	digits := 2
	for x := 1 - a; x > 0 && x < 0.1 && digits < 9; x *= 10 {
		digits++
	}
	s := fmt.Sprintf("%.*f", digits, 100*a)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + "%"
}

// minutes prints one significant digit: more would claim what nobody knows.
func minutes(m float64) string {
	switch {
	case m >= 1:
		return fmt.Sprintf("%.0f min", m)
	case m >= 1.0/60:
		return fmt.Sprintf("%.0f s", m*60)
	}
	return "< 1 s"
}

// maxImportance is how many rows of a table are printed as text.
const maxImportance = 20

// AvailText writes an availability, what costs it, and what was assumed.
func AvailText(w io.Writer, a *depgraph.Avail, o ...TextOptions) error {
	p := newPrinter(w, o...)
	declared, of := a.Declared()
	for _, doubt := range a.Doubts {
		p.f("warning: %s\n", clean(doubt))
	}
	down := minutes((1 - a.Availability) * depgraph.MinutesPerYear)
	switch {
	case declared == 0:
		p.f("%s: unknown: 0 of %d availabilities declared\n", clean(a.Service), of)
		p.f("  write \"availability: {own: 99.9}\" into the manifests of what it needs, most of all of:\n")
		p.list("  ", a.Assumed)
		return p.w.Flush()
	case a.Exact && declared < of:
		p.f("%s: at most %s, at least %s down a year (exact for what is declared: %d of %d)\n", clean(a.Service), Percent(a.Availability), down, declared, of)
	case a.Exact:
		p.f("%s: %s (exact), %s down a year\n", clean(a.Service), Percent(a.Availability), down)
	default:
		p.f("%s: %s, an estimate (standard error %.2g, certainly between %s and %s)\n", clean(a.Service),
			Percent(a.Availability), a.StdErr, Percent(a.Low), Percent(a.High))
	}
	if a.Target > 0 {
		verdict := "kept"
		if a.Availability < a.Target {
			verdict = "missed"
		}
		p.f("target %s: %s\n", Percent(a.Target), verdict)
	}
	if len(a.Importance) > 0 {
		p.f("what costs it, a year:\n")
		for i, imp := range a.Importance {
			if i == maxImportance {
				p.f("  ... and %d more\n", len(a.Importance)-maxImportance)
				break
			}
			p.f("  %10s  %s\n", minutes(imp.MinutesPerYear), clean(imp.Service))
		}
	}
	for _, s := range a.Savings {
		p.f("softening %s -> %s saves %s a year\n", clean(s.Edge.From), clean(s.Edge.To), minutes(s.MinutesPerYear))
	}
	if len(a.Assumed) > 0 {
		p.list(fmt.Sprintf("no availability declared, counted as always up (%d): ", len(a.Assumed)), a.Assumed)
	}
	p.f("assumptions:\n")
	for _, line := range Assumptions {
		p.f("  - %s\n", line)
	}
	return p.w.Flush()
}

// count prints a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "cy"); ok {
		return fmt.Sprintf("%d %scies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// WhyText writes paths with the place of each edge.
func WhyText(w io.Writer, from, to string, paths [][]depgraph.Edge, truncated bool) error {
	p := newPrinter(w)
	if len(paths) == 0 {
		p.f("%s does not depend on %s\n", clean(from), clean(to))
	}
	for i, path := range paths {
		if i > 0 {
			p.f("\n")
		}
		tw := tabwriter.NewWriter(p.w, 0, 8, 3, ' ', 0)
		for _, e := range path {
			source := ""
			if e.Source != "" {
				source = "from " + clean(e.Source)
			}
			if e.Note != "" {
				source = strings.TrimSpace(source + "  " + clean(e.Note))
			}
			if source != "" {
				source = "\t" + source
			}
			fmt.Fprintf(tw, "%s\tneeds %s\t%s\t%s%s\n", clean(e.From), clean(e.To), describe(e), place(e.At), source)
		}
		_ = tw.Flush() // a bufio.Writer keeps its error for its own Flush
	}
	if truncated {
		p.f("\n... there are more paths\n")
	}
	return p.w.Flush()
}

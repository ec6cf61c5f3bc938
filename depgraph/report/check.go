package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Verdict says in one sentence what a check found, for people who read no
// further. Its first rune is a sign: a cross, an exclamation mark or a tick.
// findings are in the order of Graph.Check, as the sentence quotes the first
// error or warning. A bootstrap deadlock wins over every other error, whatever
// its place: it is the only one that no restart gets over. Names in it are
// clean, so it can be printed; formats with markup escape it once more.
func Verdict(g *depgraph.Graph, findings []depgraph.Finding) string {
	// One pass finds the first deadlock, the counts, and the first message of
	// each severity.
	var deadlock *depgraph.Component
	errors, warns := 0, 0
	first := map[depgraph.Severity]string{}
	for i := range findings {
		f := &findings[i]
		if _, ok := first[f.Severity]; !ok {
			first[f.Severity] = f.Message
		}
		switch f.Severity {
		case depgraph.Error:
			errors++
			if c := f.Component; c != nil && c.Kind == depgraph.BootstrapDeadlock && deadlock == nil {
				deadlock = c
			}
		case depgraph.Warn:
			warns++
		}
	}
	// From the worst to the best.
	switch {
	case deadlock != nil:
		_, blocked := g.Waves()
		return fmt.Sprintf("✗ A full stop never comes back: %d of %s for %s", len(blocked), waitVerb(g.Len()), clean(circle(deadlock)))
	case errors > 0:
		return fmt.Sprintf("✗ %s, the first: %s", count(errors, "error"), clean(first[depgraph.Error]))
	case warns > 0:
		return fmt.Sprintf("! No errors, %s, the first: %s", count(warns, "warning"), clean(first[depgraph.Warn]))
	}
	comes := "come"
	if g.Len() == 1 {
		comes = "comes"
	}
	return fmt.Sprintf("✓ No errors and no warnings: %s %s up from a full stop", count(g.Len(), "service"), comes)
}

// waitVerb completes "3 of 8 services wait for"; the verb belongs to the
// blocked ones, so it is plural even for "1 of 1 service".
func waitVerb(services int) string { return count(services, "service") + " wait" }

// maxCircle is how many services of a cycle a sentence names.
const maxCircle = 5

// circle names the services of a cycle: "a ⇄ b", "a → b → c → a", or the first
// five and an ellipsis. The names are not cleaned or escaped; every caller does
// that for its own format. The cycle must not be empty, which Graph.Cycles
// guarantees.
func circle(c *depgraph.Component) string {
	names := make([]string, 0, maxCircle+1)
	for i, e := range c.Cycle {
		if i == maxCircle {
			return strings.Join(append(names, "…"), " → ")
		}
		names = append(names, e.From)
	}
	if len(names) == 2 {
		return strings.Join(names, " ⇄ ")
	}
	return strings.Join(append(names, names[0]), " → ")
}

// maxPerRule is how many findings of a rule are listed unless all are wanted.
const maxPerRule = 5

// CheckText writes a verdict, the findings by rule, and a line of counts. The
// counts are those of s, which may include what a baseline or waivers took out
// of findings. findings are in the order of Graph.Check: by severity, then by
// rule.
func CheckText(w io.Writer, g *depgraph.Graph, s Summary, findings []depgraph.Finding, o ...TextOptions) error {
	p := newPrinter(w, o...)
	p.f("%s\n\n", p.paint(worst(findings), Verdict(g, findings)))
	// What a start looks like after the fixes is computed once, over all
	// components: to open one of two deadlocks brings nothing up.
	var components []depgraph.Component
	for i := range findings {
		if findings[i].Component != nil {
			components = append(components, *findings[i].Component)
		}
	}
	after := afterFix(g, components)
	for _, group := range byRule(findings) {
		p.group(group, after)
	}
	if len(findings) > 0 {
		p.f("\n")
	}
	p.f("%s, %s: %s, %s, %s", count(s.Services, "service"), count(s.Edges, "edge"), count(s.Errors, "error"), count(s.Warns, "warning"), count(s.Info, "note"))
	if s.Known > 0 || s.Stale > 0 {
		p.f("; %d known from the baseline, %d entries of it are stale", s.Known, s.Stale)
	}
	if s.Waived > 0 {
		p.f("; %d waived", s.Waived)
	}
	p.f("\n")
	return p.w.Flush()
}

// worst is the highest severity among the findings, or Off, which paints a
// verdict green.
func worst(findings []depgraph.Finding) depgraph.Severity {
	sev := depgraph.Off
	for i := range findings {
		sev = max(sev, findings[i].Severity)
	}
	return sev
}

// byRule splits findings, which are in order of severity and rule, into runs of
// the same rule and severity. It keeps their order and copies none: the
// pointers are into the caller's slice. Findings that are out of order only
// make more groups.
func byRule(findings []depgraph.Finding) (groups [][]*depgraph.Finding) {
	for i := range findings {
		f := &findings[i]
		if n := len(groups); n > 0 && groups[n-1][0].Rule == f.Rule && groups[n-1][0].Severity == f.Severity {
			groups[n-1] = append(groups[n-1], f)
			continue
		}
		groups = append(groups, []*depgraph.Finding{f})
	}
	return groups
}

// ruleTitle is the ID of a rule with its name, or only one of them if they are
// equal, as for the rules of a policy, or if there is no name.
func ruleTitle(f *depgraph.Finding) string {
	if f.Name == f.Rule {
		return f.Rule
	}
	return strings.TrimSpace(f.Rule + " " + f.Name)
}

// group prints the findings of one rule and severity, of which there is at
// least one. There are three layouts:
//
//   - one finding, or cycles: each in full on a line of its own;
//   - findings that only differ in the name of the service: one line with a
//     list of names, unless Verbose asks for the place of each;
//   - any others: a line that counts them, and below it the first maxPerRule,
//     or all with Verbose or All.
//
// after is what printer.finding adds behind the fix of a deadlock.
func (p printer) group(fs []*depgraph.Finding, after string) {
	label := p.paint(fs[0].Severity, fs[0].Severity.String()) + " " + clean(fs[0].Rule)
	if len(fs) == 1 || fs[0].Component != nil {
		for _, f := range fs {
			p.f("%s %s", label, clean(f.Message))
			p.finding(f, after)
		}
		return
	}
	name := fs[0].Name
	if name == fs[0].Rule {
		name = ""
	}
	// The place of each is lost in a list of names, so Verbose has none.
	if suffix, names := sameButName(fs); suffix != "" && !p.opts.Verbose {
		p.list(fmt.Sprintf("%s %d services%s: ", label, len(fs), clean(plural.Replace(suffix))), names)
		return
	}
	p.f("%s: %d findings\n", strings.TrimRight(label+" "+clean(name), " "), len(fs))
	for i, f := range fs {
		if i == maxPerRule && !p.opts.Verbose && !p.opts.All {
			p.f("  and %d more (--verbose lists them)\n", len(fs)-maxPerRule)
			break
		}
		p.f("  %s", clean(f.Message))
		p.finding(f, after)
	}
}

// plural turns the verbs of messages about one service into those about many:
// "web has no owner" becomes "3 services have no owner: …". A rule whose
// messages begin with the service and use another verb needs it here.
var plural = strings.NewReplacer(" has ", " have ", " takes ", " take ", " is ", " are ")

// finding prints what stands behind a message: the place, or for a cycle its
// size, its edges and the fix. after is appended to the fix of a bootstrap
// deadlock; it says how a cold start looks then.
func (p printer) finding(f *depgraph.Finding, after string) {
	if f.Component == nil {
		if at := place(f.At); at != "" {
			p.f("   %s", at)
		}
		p.f("\n")
		return
	}
	p.f("  (component of %d, %s)\n", len(f.Component.Services), count(len(f.Component.Edges), "edge"))
	p.cycle(f.Component)
	if f.Fix == "" {
		return
	}
	p.f(" fix: %s", clean(f.Fix))
	if f.Component.Kind == depgraph.BootstrapDeadlock {
		p.f("%s", after)
	}
	p.f("\n")
}

// sameButName returns what all messages say behind the name of their service,
// and the names. The suffix is empty if they say different things, or if one is
// about edges, whose places a list of names would hide.
func sameButName(fs []*depgraph.Finding) (suffix string, names []string) {
	for _, f := range fs {
		rest, ok := strings.CutPrefix(f.Message, f.Service)
		if !ok || len(f.Edges) > 0 || suffix != "" && rest != suffix {
			return "", nil
		}
		suffix = rest
		names = append(names, f.Service)
	}
	return suffix, names
}

// paint colours a text by severity, if Color asks for it, with the SGR
// sequences of ECMA-48. The text must be clean already: what follows it on the
// line is reset to the terminal's own colours.
func (p printer) paint(s depgraph.Severity, text string) string {
	code := map[depgraph.Severity]string{depgraph.Error: "1;31", depgraph.Warn: "1;33", depgraph.Info: "36", depgraph.Off: "1;32"}[s]
	if !p.opts.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// CheckMarkdown writes findings for a job summary or a comment, in GitHub
// Flavored Markdown: the verdict, then a table for each rule, which opens with
// a click if it has more than maxPerRule rows. Everything that comes from a
// manifest goes through md.
func CheckMarkdown(w io.Writer, g *depgraph.Graph, s Summary, findings []depgraph.Finding) error {
	p := newPrinter(w)
	p.f("### %s\n\n%s, %s: %s, %s, %s", md(Verdict(g, findings)), count(s.Services, "service"), count(s.Edges, "edge"), count(s.Errors, "error"), count(s.Warns, "warning"), count(s.Info, "note"))
	if s.Known > 0 || s.Stale > 0 {
		p.f("; %d known from the baseline, %d entries of it are stale", s.Known, s.Stale)
	}
	if s.Waived > 0 {
		p.f("; %d waived", s.Waived)
	}
	p.f("\n")
	for _, group := range byRule(findings) {
		title := func(escape func(string) string) string {
			return fmt.Sprintf("%s %s (%d)", group[0].Severity, escape(ruleTitle(group[0])), len(group))
		}
		if long := len(group) > maxPerRule; long {
			p.f("\n<details><summary>%s</summary>\n\n", title(summaryText))
			p.table(group)
			p.f("\n</details>\n")
			continue
		}
		p.f("\n**%s**\n\n", title(md))
		p.table(group)
	}
	return p.w.Flush()
}

// maxMarkdownRows keeps a table, and with it a job summary, below what services
// accept: GitHub takes 1 MiB a step.
const maxMarkdownRows = 200

// table writes findings as the rows of a Markdown table, at most
// maxMarkdownRows of them and then a row that counts the rest. A cell holds no
// line break: md has written those as escapes.
func (p printer) table(fs []*depgraph.Finding) {
	p.f("| finding | place | fix |\n|---|---|---|\n")
	for i, f := range fs {
		if i == maxMarkdownRows {
			p.f("| and %d more | | |\n", len(fs)-maxMarkdownRows)
			return
		}
		message := md(f.Message)
		if f.Component != nil {
			message += ": " + md(circle(f.Component))
		}
		p.f("| %s | %s | %s |\n", message, md(f.At.String()), md(f.Fix))
	}
}

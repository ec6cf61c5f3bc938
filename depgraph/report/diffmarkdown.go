package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// DiffMarker is the first line of DiffMarkdown. GitHub does not show comments
// of HTML; a workflow searches for it to find the comment that it wrote before.
const DiffMarker = "<!-- depgraph diff -->"

// maxComment is how many bytes DiffMarkdown writes at most, below the 65,536
// characters that GitHub accepts. The rest is room for the lines that name
// sections which did not fit.
const maxComment = 60_000

// DiffMarkdown writes a diff as a comment for a pull request. It begins with a
// line that a workflow can search for, to change its comment and not add one,
// and stays below the size that GitHub accepts, as a longer comment would be
// refused as a whole: sections that do not fit are only named, and long texts in
// the head are cut.
func DiffMarkdown(w io.Writer, d *depgraph.Diff, t DiffTitles) error {
	// The head has what a reviewer must see in any case; the sections are added
	// as long as there is room.
	var head strings.Builder
	p := newPrinter(&head)
	p.f("%s\n### %s\n\n", DiffMarker, md(cut(DiffVerdict(d), maxHeadLine)))
	p.f("%s → %s: %s → %s, %s → %s\n", md(cut(t.Before, maxHeadName)), md(cut(t.After, maxHeadName)),
		count(d.Before.Services, "service"), count(d.After.Services, "service"), count(d.Before.Edges, "edge"), count(d.After.Edges, "edge"))
	if len(d.Added) > 0 {
		p.f("\nAdded services: %s\n", md(cut(firstNames(d.Added), maxHeadLine)))
	}
	if len(d.Removed) > 0 {
		p.f("\nRemoved services: %s\n", md(cut(firstNames(d.Removed), maxHeadLine)))
	}
	for _, line := range startLines(d) {
		p.f("\n%s\n", md(cut(upperFirst(line), maxHeadLine)))
	}
	for _, l := range d.Limits[:min(len(d.Limits), maxDiffNames)] {
		p.f("\nNot compared: %s\n", md(cut(l, maxHeadName)))
	}
	if n := len(d.Limits) - maxDiffNames; n > 0 {
		p.f("\nand %d more\n", n)
	}
	if err := p.w.Flush(); err != nil {
		return err
	}
	text := head.String()
	// A section is left out as a whole: half a table would look like all of it.
	// A later one that is shorter may still fit.
	left := 0
	for _, s := range diffSections(d) {
		note := "\n(" + s.title + ": too long for a comment; `depgraph diff` prints it)\n"
		switch {
		case len(text)+len(s.text) <= maxComment:
			text += s.text
		case len(text)+len(note) <= maxComment+maxNotes:
			text += note
		default:
			left++
		}
	}
	if left > 0 {
		them := "them"
		if left == 1 {
			them = "it"
		}
		text += fmt.Sprintf("\n(and %s; `depgraph diff` prints %s)\n", count(left, "more part"), them)
	}
	_, err := io.WriteString(w, text)
	return err
}

// The limits of the texts in the head, in runes. A rune is 11 bytes at most once
// it is escaped, and the head has at most five lines and seven names, so it
// stays below maxComment whatever a manifest or a title holds.
const (
	maxHeadLine = 500
	maxHeadName = 200
	maxNotes    = 4000 // bytes of lines about what was left out, beyond maxComment
)

// cut shortens a text to n runes, of which the last one is an ellipsis then. It
// comes before escaping, so that no escape is cut in half.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// diffSection is a part of the comment that can be left out. Its title, escaped
// already, stands in for it then.
type diffSection struct{ title, text string }

// diffSections renders every section that is not empty, the most important
// first, as those at the end are the first to be left out: cycles, new findings
// by rule, dependencies, services, findings that are gone.
func diffSections(d *depgraph.Diff) (sections []diffSection) {
	// add renders a section into memory, as its size decides whether it is
	// used.
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
		title := fmt.Sprintf("New: %s %s (%d)", group[0].Severity, md(ruleTitle(group[0])), len(group))
		add(title, func(p printer) {
			p.f("\n**%s**\n\n", title)
			p.table(group)
		})
	}
	// section adds a table that opens with a click; columns is its head, and
	// row writes the row of an index below n.
	section := func(n int, noun, what, columns string, row func(p printer, i int)) {
		title := count(n, noun) + " " + what
		add(title, func(p printer) { p.section(n, title, columns, func(i int) { row(p, i) }) })
	}
	section(len(d.Edges), "dependency", "changed", "| change | edge | need | place |\n|---|---|---|---|\n", func(p printer, i int) {
		e := d.Edges[i]
		p.f("| %s | %s → %s | %s | %s |\n", e.Kind, md(e.From), md(e.To), md(needs(e)), md(placeOf(e).String()))
	})
	section(len(d.Services), "service", "with other answers in an outage", "| service | what changed |\n|---|---|\n", func(p printer, i int) {
		p.f("| %s | %s |\n", md(d.Services[i].Service), md(strings.Join(serviceLines(&d.Services[i]), "; ")))
	})
	section(len(d.Gone), "finding", "gone", "| finding | place |\n|---|---|\n", func(p printer, i int) {
		p.f("| %s %s | %s |\n", md(d.Gone[i].Rule), md(d.Gone[i].Message), md(d.Gone[i].At.String()))
	})
	return sections
}

// cycleMarkdown is a cycle as an item of a list, with the fix if it is new or
// grew.
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

// section writes a table that opens with a click, cut after maxMarkdownRows
// rows. It writes nothing if n is 0. The blank line behind the summary is
// needed: without it GitHub takes the table for HTML.
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

// upperFirst begins a sentence. s begins with an ASCII letter, as the lines of
// startLines do.
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

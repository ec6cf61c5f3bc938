package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// TextOptions says how text is laid out. The zero value is for a file or a
// pipe: no colour, lists of names in lines of 100 characters and cut after 60.
// Functions take it as an optional last argument; only the first one counts.
type TextOptions struct {
	// Width is that of the terminal, in characters; zero means 100. Only lists
	// are wrapped: a line about one thing stays one line, for grep.
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

// printer collects the first error of many writes: a bufio.Writer keeps it,
// ignores what comes after, and returns it from Flush, which every function
// calls last. So nothing in between checks errors. It is passed by value; the
// buffer is shared.
type printer struct {
	w    *bufio.Writer
	opts TextOptions
}

// newPrinter takes options as the functions of this package do: none, or one.
func newPrinter(w io.Writer, o ...TextOptions) printer {
	p := printer{w: bufio.NewWriter(w)}
	if len(o) > 0 {
		p.opts = o[0]
	}
	return p
}

// list prints names behind a label, wrapped below its end, and at most maxNames
// of them unless all are wanted. The label must be clean; the names are cleaned
// here. A label of more than half a line is no place to indent to, so that
// names then begin at column 4. A name that is longer than a line has one for
// itself and is not cut. Without names the label stands alone.
func (p printer) list(label string, names []string) {
	more := 0
	if n := len(names) - maxNames; n > 0 && !p.opts.All {
		names, more = names[:maxNames], n
	}
	// What was left out is one more word of the list, and wrapped like one.
	words := make([]string, 0, len(names)+1)
	for _, n := range names {
		words = append(words, clean(n))
	}
	if more > 0 {
		words = append(words, fmt.Sprintf("and %d more (--all lists them)", more))
	}
	// Names begin where the label ends, on every line.
	width, indent := cmp.Or(p.opts.Width, defaultWidth), columns(label)
	if indent > width/2 {
		indent = 4
	}
	line := label
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		switch n := columns(line) + columns(word); {
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

// columns is how many columns a clean text takes up, at one a rune; the colours
// that paint puts around words take up none.
func columns(s string) int {
	n, colour := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			colour = true
		case colour:
			colour = r != 'm'
		default:
			n++
		}
	}
	return n
}

// f prints. Names are arguments, never part of the format, and cleaned or
// escaped by the caller.
func (p printer) f(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// NamesText writes one name a line, for other programs too: a name with a line
// break in it stays one line, as an escape.
func NamesText(w io.Writer, names []string) error {
	p := newPrinter(w)
	for _, n := range names {
		p.f("%s\n", clean(n))
	}
	return p.w.Flush()
}

// describe says how an edge depends, in words of the manifests: "hard
// startup+runtime control", "any 1 of 2 runtime", "soft startup until ready
// (assumed)". It holds no names. The data plane and the condition "serving",
// which are what most edges have, are not mentioned unless declared.
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

// place prints a position, cleaned.
func place(at depgraph.Position) string { return clean(at.String()) }

// duration prints 3m10s, without the fractions that nobody declared; below a
// second it is exact.
func duration(d time.Duration) string {
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return d.String()
}

// count prints a number with its noun, in the plural unless it is 1: "0 edges",
// "2 dependencies". Nouns are regular ones, or end in "cy".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "cy"); ok {
		return fmt.Sprintf("%d %scies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// WhyText writes paths with the place of each edge, an edge a line and an empty
// line between paths. No path is an answer and says so. The columns of each
// path are aligned for themselves.
func WhyText(w io.Writer, from, to string, paths [][]depgraph.Edge, truncated bool) error {
	p := newPrinter(w)
	if len(paths) == 0 {
		p.f("%s does not depend on %s\n", clean(from), clean(to))
	}
	// The note of an edge stands with where it was found, as both explain it.
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

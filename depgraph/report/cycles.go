package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/failopen/failopen/depgraph"
)

// CyclesText writes components, in the order given, with their shortest cycle
// and the fix, an empty line after each. The fix of a deadlock says what a cold
// start is once the fixes of all components are made. Without components it
// says how much was searched, so that "none" is not mistaken for an empty
// graph.
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

// headline is the first line about a component: what kind of cycle it is, in
// words that say what happens, whether it rests on guesses, and its size. It
// holds no names, so nothing in it needs cleaning.
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

// assumed says that a component rests on guesses: it would not be what it is if
// the edges that an importer assumed were wrong. Empty if it stands without
// them.
func assumed(c *depgraph.Component) string {
	if c.Assumed == 0 {
		return ""
	}
	return ", if " + is(c.Assumed, "assumed edge") + " right"
}

// cycle draws the box around a cycle, one edge a line in aligned columns, with
// the place of each edge and, if it was imported, where it came from:
//
//	.-> cart    needs promo   hard startup+runtime   after.yaml:11
//	`-- promo   needs cart    hard startup+runtime   after.yaml:13
//
// Below it stand the edges that people can get past by hand, and a warning if
// the search for the shortest cycle was cut short.
func (p printer) cycle(c *depgraph.Component) {
	tw := tabwriter.NewWriter(p.w, 0, 8, 3, ' ', 0)
	for i, e := range c.Cycle {
		// The first and the last edge are the corners of the box.
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

// from is a last column that says where an imported edge was found first; more
// places are only hinted at. Empty for what was declared by hand.
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

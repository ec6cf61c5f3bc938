package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// OrderText writes waves, critical path and what is blocked. What is blocked
// comes first, with the edges that have to be got past for the waves below to
// be true; then the waves, a service a line, with times if durations are
// declared; the critical path; and at last procedures by hand and weak orders
// that could not be kept. g is the graph of the order; it supplies verify
// steps.
//
// Times are from the beginning of the whole start, and end when the service serves.
func OrderText(w io.Writer, g *depgraph.Graph, o *depgraph.Order, opts ...TextOptions) error {
	p := newPrinter(w, opts...)
	// By name, as waves and timeline list the same services in different
	// orders.
	begin, ready := map[string]time.Duration{}, map[string]time.Duration{}
	for _, s := range o.Timeline {
		begin[s.Service], ready[s.Service] = s.Begin, s.Serves
	}
	critical := map[string]bool{}
	for _, name := range o.Critical {
		critical[name] = true
	}
	// What has to be known before the first wave.
	p.broken(g, o)
	// What each service does not wait for, to say so on its line.
	without := map[string][]string{}
	for _, e := range o.Broken {
		without[e.From] = append(without[e.From], e.To)
	}
	for i, wave := range o.Waves {
		p.f("wave %d\n", i+1)
		// Columns are aligned within a wave only, or one long name would push
		// all others to the right.
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
	// Without durations the chain is that of the most waves; a chain of one is
	// no news.
	case len(o.Critical) > 1:
		p.f("longest chain (no start durations are declared): %s\n", path)
	}
	// Procedures by hand are edges that the waves jump over.
	for _, e := range o.ByHand {
		p.f("by hand: %s -> %s: %s   %s\n", clean(e.From), clean(e.To), clean(e.BreakGlass), place(e.At))
	}
	for _, e := range o.Dropped {
		p.f("order not kept: %s after %s, which contradicts others   %s\n", clean(e.From), clean(e.To), place(e.At))
	}
	return p.w.Flush()
}

// broken says what keeps a system from coming up, and what the waves do about
// it. It prints nothing if all comes up as declared.
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

// is counts with the verb: "1 edge is", "2 edges are".
func is(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return fmt.Sprintf("%d %ss are", n, noun)
}

// afterFix says how a cold start looks once all proposed edges are soft, as the
// end of a line; empty if nothing is proposed or something still blocks. It
// costs one order of the changed graph, so it is called once a report.
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

// afterOrder is the number of waves and, if durations are declared, the time of
// a start that nothing blocks.
//
// An error cannot come from a context that never ends; were there one, nothing is claimed.
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

package report

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"html"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// DOT writes the graph for Graphviz, in the DOT language: one rank a wave, soft
// and weak edges dashed, what is blocked in vermilion with a thick frame. The
// arrows lead from a service to what it depends on, and rankdir=RL puts what
// starts first on the left. All names are quoted by dotID; attributes are
// constants of this file.
func DOT(w io.Writer, g *depgraph.Graph) error {
	p := newPrinter(w)
	p.f("digraph depgraph {\n  rankdir=RL;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n")
	for s := range g.Services() {
		p.f("  %s [tooltip=%s%s];\n", dotID(s.Name), dotID(place(s.At)), dotShape(s.Kind))
	}
	// What comes up as declared has a rank; what does not stands where Graphviz
	// puts it.
	waves, blocked := g.Waves()
	for i, wave := range waves {
		p.f("  { rank=same; /* wave %d */", i+1)
		for _, n := range wave {
			p.f(" %s;", dotID(n))
		}
		p.f(" }\n")
	}
	for _, n := range blocked {
		p.f("  %s [color=\"#d55e00\", penwidth=2];\n", dotID(n))
	}
	for e := range g.Edges() {
		style := "solid"
		if e.Soft || e.Weak {
			style = "dashed"
		}
		p.f("  %s -> %s [style=%s, tooltip=%s];\n", dotID(e.From), dotID(e.To), style, dotID(describe(e)+" "+place(e.At)))
	}
	p.f("}\n")
	return p.w.Flush()
}

// dotID quotes a string. In DOT only the quote ends a string, but a backslash
// begins an escape in labels and tooltips (\N is the name of the node), so both
// are escaped. Line breaks are not there any more: clean has written them as
// \u000a.
func dotID(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(s)) + `"`
}

// dotShape is the shape for a kind, as further attributes. Programs are boxes,
// the default of the graph.
func dotShape(k depgraph.Kind) string {
	switch k {
	case depgraph.Datastore:
		return ", shape=cylinder"
	case depgraph.Queue:
		return ", shape=cds"
	case depgraph.Cloud, depgraph.External:
		return ", shape=ellipse"
	case depgraph.Observer:
		return ", shape=note"
	}
	return ""
}

// MaxMermaidEdges is how many edges a diagram shows; Mermaid refuses more (its
// maxEdges is 500 by default, and GitHub does not let a document raise it).
const MaxMermaidEdges = 500

// maxMermaidText is how long a diagram may be; Mermaid refuses more (its
// maxTextSize, for which the same holds).
const maxMermaidText = 50_000

// Mermaid writes a flowchart. Above MaxMermaidEdges, or 50,000 bytes, it shows
// owners, or, if nobody says owners, kinds, instead of services, and says so in
// a comment; if even that is too much, only the edges that occur most, and as
// many of the owners with the most edges as there is room for. What is left out
// is counted in a comment. Identifiers are n0, n1 … in order of name, and names occur in quoted labels
// only, which mermaidLabel escapes.
func Mermaid(w io.Writer, g *depgraph.Graph) error {
	text := ""
	if g.EdgeCount() <= MaxMermaidEdges {
		text = flowchart(g, printer.mermaidServices)
	}
	if text == "" || len(text) > maxMermaidText {
		text = flowchart(g, printer.mermaidGroups)
	}
	_, err := io.WriteString(w, text)
	return err
}

// mermaidHead is the first line of a diagram: what depends stands on the right.
const mermaidHead = "flowchart RL\n"

// flowchart renders a diagram into memory, as its length decides about its use.
func flowchart(g *depgraph.Graph, draw func(printer, *depgraph.Graph)) string {
	var b strings.Builder
	p := newPrinter(&b)
	p.f(mermaidHead)
	draw(p, g)
	_ = p.w.Flush() // a strings.Builder takes everything
	return b.String()
}

// mermaidServices draws every service and every edge: soft and weak ones
// dotted, what is blocked by a class with a thick frame. An arrow says nothing of
// phases, so two edges that differ in them alone, as those of a collapsed graph
// may, are one arrow.
func (p printer) mermaidServices(g *depgraph.Graph) {
	ids := map[string]int{}
	for i, n := range g.Names() {
		ids[n] = i
		p.f("  n%d[\"%s\"]\n", i, mermaidLabel(n))
	}
	drawn := map[string]bool{}
	for e := range g.Edges() {
		arrow := "-->"
		if e.Soft || e.Weak {
			arrow = "-.->"
		}
		line := fmt.Sprintf("  n%d %s n%d\n", ids[e.From], arrow, ids[e.To])
		if !drawn[line] {
			drawn[line] = true
			p.f("%s", line)
		}
	}
	_, blocked := g.Waves()
	if len(blocked) > 0 {
		p.f("  classDef blocked stroke:#d55e00,stroke-width:3px\n")
	}
	for _, n := range blocked {
		p.f("  class n%d blocked\n", ids[n])
	}
}

// mermaidGroups draws the graph collapsed by owner or by kind. An arrow carries
// the number of edges that it stands for; edges inside a group are not drawn.
// Ties are broken by name, so that the cuts below are the same every time.
func (p printer) mermaidGroups(g *depgraph.Graph) {
	c := newCollapsed(g)
	// A large company has more owners than a diagram can hold, of names of any
	// length, so the number is found by trying: O(log(groups)) drawings in memory.
	all := len(c.names)
	cut := sort.Search(all, func(n int) bool { return len(mermaidHead)+len(c.flowchart(g, all-n)) <= maxMermaidText })
	p.f("%s", c.flowchart(g, all-cut))
}

// collapsed is a graph in which groups stand for services.
type collapsed struct {
	what  string         // that groups are: owner or kind
	names []string       // of groups, those with the most edges first
	size  map[string]int // services of each group
	pairs []groupPair    // of groups with edges between them, the heaviest first
}

// groupPair are the edges that lead from one group to another.
type groupPair struct {
	from, to string
	weight   int
}

// newCollapsed sums up edges by owner, or by kind if nobody says owners.
func newCollapsed(g *depgraph.Graph) *collapsed {
	c := &collapsed{what: "owner", size: map[string]int{}}
	by := func(s *depgraph.Service) string { return s.Owner }
	if !hasOwners(g) {
		by, c.what = func(s *depgraph.Service) string { return s.Kind.String() }, "kind"
	}
	groupOf, edges := map[string]string{}, map[string]int{}
	for s := range g.Services() {
		name := cmp.Or(by(&s), "(no "+c.what+")")
		if groupOf[s.Name] = name; c.size[name] == 0 {
			c.names = append(c.names, name)
		}
		c.size[name]++
	}
	weight := map[[2]string]int{}
	for e := range g.Edges() {
		// Edges inside a group say nothing about how groups depend on each
		// other.
		if a, b := groupOf[e.From], groupOf[e.To]; a != b {
			weight[[2]string{a, b}]++
			edges[a]++
			edges[b]++
		}
	}
	// The heaviest first, as they are those that stay if there are too many.
	for k, n := range weight {
		c.pairs = append(c.pairs, groupPair{k[0], k[1], n})
	}
	slices.SortFunc(c.pairs, func(x, y groupPair) int {
		return cmp.Or(y.weight-x.weight, strings.Compare(x.from+"\x00"+x.to, y.from+"\x00"+y.to))
	})
	slices.SortFunc(c.names, func(x, y string) int {
		return cmp.Or(edges[y]-edges[x], c.size[y]-c.size[x], strings.Compare(x, y))
	})
	return c
}

// flowchart draws the first groups, and of the pairs between them the heaviest.
func (c *collapsed) flowchart(g *depgraph.Graph, groups int) string {
	var b strings.Builder
	names := slices.Sorted(slices.Values(c.names[:groups]))
	ids := map[string]int{}
	for i, n := range names {
		ids[n] = i
		fmt.Fprintf(&b, "  n%d[\"%s (%d)\"]\n", i, mermaidLabel(n), c.size[n])
	}
	drawn := 0
	for _, k := range c.pairs {
		from, ok := ids[k.from]
		to, too := ids[k.to]
		if ok && too && drawn < MaxMermaidEdges {
			drawn++
			fmt.Fprintf(&b, "  n%d -->|%d| n%d\n", from, k.weight, to)
		}
	}
	head := fmt.Sprintf("  %%%% %d services with %d edges, collapsed by %s\n", g.Len(), g.EdgeCount(), c.what)
	if groups < len(c.names) {
		head += fmt.Sprintf("  %%%% %d of %d %ss are shown, those with the most edges\n", groups, len(c.names), c.what)
	}
	if drawn < len(c.pairs) {
		head += fmt.Sprintf("  %%%% %d of %d edges are shown, those that stand for most\n", drawn, len(c.pairs))
	}
	return head + b.String()
}

// hasOwners reports whether anybody says an owner; if nobody does, groups are
// made by kind.
func hasOwners(g *depgraph.Graph) bool {
	for s := range g.Services() {
		if s.Owner != "" {
			return true
		}
	}
	return false
}

// mermaidLabel writes everything but letters, digits and a few harmless signs
// as an entity code of Mermaid, such as #34; for a quote: a quote would end the
// label, and labels may hold Markdown and HTML. The allowed signs are a list
// and not the forbidden ones, since Mermaid's syntax grows.
func mermaidLabel(s string) string {
	var b strings.Builder
	for _, r := range clean(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" -_./:()", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// CSV writes one row an edge, and one for each service without edges, below a
// row of titles (RFC 4180, by encoding/csv). A cell that a spreadsheet could
// take for a formula begins with an apostrophe, as OWASP advises against CSV
// injection; a program that reads names back has to take it off again, or to
// read GraphJSON.
func CSV(w io.Writer, g *depgraph.Graph) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"from", "to", "strength", "phase", "plane", "evidence", "owner", "criticality", "file", "line"}}
	for s := range g.Services() {
		edges := g.EdgesFrom(s.Name)
		if len(edges) == 0 {
			rows = append(rows, []string{s.Name, "", "", "", "", "", s.Owner, s.Criticality.String(), s.At.File, itoa(s.At.Line)})
		}
		for _, e := range edges {
			rows = append(rows, []string{e.From, e.To, e.Strength(), e.Phase.String(), e.Plane.String(), e.Evidence, s.Owner, s.Criticality.String(), e.At.File, itoa(e.At.Line)})
		}
	}
	// The first byte decides: = + - @, and the tab and the line ends that some
	// programs skip in search of one of these.
	for _, row := range rows {
		for i, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				row[i] = "'" + cell
			}
		}
	}
	if err := c.WriteAll(rows); err != nil {
		return err
	}
	return c.Error()
}

// Markdown writes tables of services, dependencies, cycles and waves, in GitHub
// Flavored Markdown; md escapes all names. The cycles and the order are
// computed here, which takes most of the time: the error is that of ctx or of
// the writer.
func Markdown(ctx context.Context, w io.Writer, g *depgraph.Graph) error {
	components, err := g.Cycles(ctx, depgraph.CyclesOptions{})
	if err != nil {
		return err
	}
	o, err := g.Order(ctx, depgraph.OrderOptions{})
	if err != nil {
		return err
	}
	p := newPrinter(w)
	p.f("# Dependencies\n\n%s, %s.\n\n## Cycles\n\n", count(g.Len(), "service"), count(g.EdgeCount(), "dependency"))
	if len(components) == 0 {
		p.f("None.\n")
	}
	for i := range components {
		c := &components[i]
		p.f("- **%s** of %d services: ", c.Kind, len(c.Services))
		for _, e := range c.Cycle {
			p.f("%s → ", md(e.From))
		}
		p.f("%s", md(c.Cycle[0].From))
		if fix := c.FixText(); fix != "" {
			p.f("; %s", md(fix))
		}
		p.f("\n")
	}
	// The waves hold what is blocked too, at the place that it would have; the
	// line below them says under which condition.
	p.f("\n## Start order\n\n")
	for i, wave := range o.Waves {
		p.f("%d. %s\n", i+1, mdList(wave))
	}
	if len(o.Blocked) > 0 {
		p.f("\nBlocked: %s", mdList(o.Blocked))
		for i, e := range o.Broken {
			p.f("%s%s does not wait for %s", [...]string{"; the order above works only if ", " and "}[min(i, 1)], md(e.From), md(e.To))
		}
		p.f("\n")
	}
	if o.Total > 0 {
		p.f("\nCritical path, %s: %s\n", duration(o.Total), mdList(o.Critical))
	}
	// One row a service. Weak orders count as soft here: neither keeps the
	// service from working.
	p.f("\n## Services\n\n| service | owner | kind | criticality | hard | soft |\n|---|---|---|---|---|---|\n")
	for s := range g.Services() {
		var hard, soft []depgraph.Edge
		for _, e := range g.EdgesFrom(s.Name) {
			if e.Soft || e.Weak {
				soft = append(soft, e)
			} else {
				hard = append(hard, e)
			}
		}
		p.f("| %s | %s | %s | %s | %s | %s |\n", md(s.Name), md(s.Owner), s.Kind, s.Criticality, mdList(needed(hard)), mdList(needed(soft)))
	}
	return p.w.Flush()
}

// mdList lists names in one cell or on one line, escaped; equal neighbours
// occur once.
func mdList(names []string) string {
	escaped := make([]string, 0, len(names))
	for _, n := range slices.Compact(names) {
		escaped = append(escaped, md(n))
	}
	return strings.Join(escaped, ", ")
}

// md escapes text for Markdown, in tables too, HTML included. GitHub looks for
// mentions after it has taken escapes away, so a zero-width space follows each
// @: a name in a manifest must not notify people.
func md(s string) string {
	var b strings.Builder
	for _, r := range clean(s) {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '@':
			b.WriteString("@&#8203;")
		case strings.ContainsRune("\\`*_{}[]()#+!|~", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// summaryText escapes text for the summary of a section that opens with a
// click. Its line is HTML, in which the backslashes of md would be shown.
func summaryText(s string) string {
	return strings.ReplaceAll(html.EscapeString(clean(s)), "@", "@&#8203;")
}

// SVG writes a drawing of the layout (SVG 1.1) that any viewer can show; names
// are in full in the tooltip of a box, and shortened on it. All text goes
// through xmlEscape. The error is that of ctx or of the writer.
func SVG(ctx context.Context, w io.Writer, g *depgraph.Graph) error {
	l, err := NewLayout(ctx, g)
	if err != nil {
		return err
	}
	p := newPrinter(w)
	// The drawing has a white ground of its own, as viewers with a dark theme
	// would show dark lines on black.
	p.f(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12">`+"\n", l.Width, l.Height, l.Width, l.Height)
	p.f(`<rect width="100%%" height="100%%" fill="#ffffff"/>` + "\n")
	p.f(`<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>` + "\n")
	at := map[string]*Node{}
	for i := range l.Nodes {
		at[l.Nodes[i].Service] = &l.Nodes[i]
	}
	// Titles, then edges, then boxes: what is drawn later lies above.
	for _, c := range l.Columns {
		p.f(`<text x="%.0f" y="%d" fill="#555" text-anchor="middle">%s</text>`+"\n", c.X+c.Width/2, margin-8, c.Title)
	}
	routes, number := newLanes(l.Nodes), 0
	for e := range g.Edges() {
		number++
		dash := ""
		if e.Soft || e.Weak {
			dash = ` stroke-dasharray="5 4"`
		}
		p.f(`<path d="%s" fill="none" stroke="#777"%s marker-end="url(#a)"><title>%s</title></path>`+"\n",
			routes.route(at[e.From], at[e.To], number), dash, xmlEscape(e.From+" needs "+e.To+": "+describe(e)))
	}
	for i := range l.Nodes {
		n := &l.Nodes[i]
		stroke := "#0072b2"
		if n.Blocked {
			stroke = "#d55e00"
		}
		p.f(`<g><title>%s</title><rect x="%.1f" y="%.1f" width="%d" height="%d" rx="5" fill="#fff" stroke="%s" stroke-width="%d"/>`,
			xmlEscape(n.Service), n.X-NodeWidth/2, n.Y-NodeHeight/2, NodeWidth, NodeHeight, stroke, 1+btoi(n.Blocked))
		p.f(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text></g>`+"\n", n.X, n.Y+4, xmlEscape(shorten(n.Service)))
	}
	p.f("</svg>\n")
	return p.w.Flush()
}

// xmlEscape is for text and attributes of SVG. html.EscapeString writes the
// five signs that XML escapes too, and clean has taken out what XML cannot
// hold.
func xmlEscape(s string) string { return html.EscapeString(xmlText(clean(s))) }

// btoi is 1 for true.
func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// maxLabel is how many letters fit into a node of NodeWidth at the size of the
// font.
const maxLabel = 24

// shorten cuts a name in the middle, as names that share a beginning differ in
// their ends. It counts runes, so that none is cut in half.
func shorten(s string) string {
	r := []rune(s)
	if len(r) <= maxLabel {
		return s
	}
	return string(r[:maxLabel-10]) + "…" + string(r[len(r)-9:])
}

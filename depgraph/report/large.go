package report

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// MaxPageServices is how many services the interactive page draws. Above it,
// HTML writes a page of tables: no browser draws that many boxes, and nobody
// reads them.
const MaxPageServices = 5000

// The rows of each table of the large page. Groups get more, as their table
// stands for the drawing.
const (
	maxLargeRows  = 200 // of each table
	maxLargeGroup = 500
)

// largePage writes the page of a system that is too large to be drawn: the
// groups and what leads from one to the other, cycles, the services whose loss
// hurts most, the waves by size, and findings by rule. It has no script, and
// its policy allows none; all text is escaped by rows. Soft cycles are left
// out: in a system of this size they are one heap that says nothing.
//
// Everything is computed before the first byte is written, so an error of ctx
// leaves w untouched.
func largePage(ctx context.Context, w io.Writer, g *depgraph.Graph, o HTMLOptions) error {
	components, err := g.Cycles(ctx, depgraph.CyclesOptions{HardOnly: true, Progress: o.Progress})
	if err != nil {
		return err
	}
	order, err := g.Order(ctx, depgraph.OrderOptions{})
	if err != nil {
		return err
	}
	impact, err := g.BlastAll(ctx, o.Progress)
	if err != nil {
		return err
	}
	// The head is that of the drawn page but for the policy, which has no
	// script.
	p := newPrinter(w)
	title := html.EscapeString(clean(cmp.Or(o.Title, "Dependencies")))
	p.f("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	p.f("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '%s'; base-uri 'none'; form-action 'none'\">\n", hash(pageCSS))
	p.f("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n", title, pageCSS)
	p.f("<header><h1>%s</h1>%s<p id=\"verdict\">%s</p>", title, about(o), html.EscapeString(pageVerdict(g, o.Findings)))
	p.f("<p id=\"summary\">%s, %s, %s. Above %d services there is no drawing: these are groups and tables. Export a part of the graph, or one team's manifests, to see it drawn.</p></header>\n<main>\n",
		count(g.Len(), "service"), count(g.EdgeCount(), "edge"), count(len(order.Waves), "wave"), MaxPageServices)
	p.largeCycles(components)
	p.largeOrder(order)
	p.largeImpact(g, impact)
	p.largeGroups(g)
	p.largeFindings(o.Findings)
	p.f("</main>\n</body>\n</html>\n")
	return p.w.Flush()
}

// rows writes a section with a table, cut after limit rows of total. Title and
// cells may hold names and are escaped here; id and head are constants of this
// file, or have gone through cssWord. row is called with the indices in order.
func (p printer) rows(id, title string, head []string, total, limit int, row func(i int) []string) {
	p.f("<section id=\"%s\"><h2>%s</h2>\n<table><thead><tr>", id, html.EscapeString(title))
	for _, h := range head {
		p.f("<th scope=\"col\">%s</th>", h)
	}
	p.f("</tr></thead><tbody>\n")
	// All cells are text, also numbers; no column holds markup.
	for i := range min(total, limit) {
		p.f("<tr>")
		for _, cell := range row(i) {
			p.f("<td>%s</td>", html.EscapeString(clean(cell)))
		}
		p.f("</tr>\n")
	}
	p.f("</tbody></table>\n")
	if total > limit {
		p.f("<p class=\"dim\">and %d more</p>\n", total-limit)
	}
	p.f("</section>\n")
}

// largeCycles has a row for each hard component, the worst kinds first.
func (p printer) largeCycles(components []depgraph.Component) {
	p.rows("cycles", fmt.Sprintf("Cycles (%d)", len(components)), []string{"kind", "services", "shortest way round", "fix"}, len(components), maxLargeRows, func(i int) []string {
		c := &components[i]
		return []string{string(c.Kind), itoa(len(c.Services)), circle(c), c.FixText()}
	})
}

// largeOrder has a row a wave, with its size and the first eight names.
func (p printer) largeOrder(o *depgraph.Order) {
	p.rows("order", fmt.Sprintf("Start order (%d waves, %d services blocked)", len(o.Waves), len(o.Blocked)), []string{"wave", "services", "among them"}, len(o.Waves), maxLargeRows, func(i int) []string {
		w := o.Waves[i]
		return []string{itoa(i + 1), itoa(len(w)), strings.Join(w[:min(8, len(w))], ", ")}
	})
}

// largeImpact lists services by how many others they take down; ties are in
// order of name. impact has a number for each of g.Names().
func (p printer) largeImpact(g *depgraph.Graph, impact []int) {
	names := g.Names()
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	// A copy of the indices is sorted, since impact belongs to the caller.
	slices.SortStableFunc(order, func(a, b int) int { return impact[b] - impact[a] })
	p.rows("services", "Takes most others down", []string{"service", "takes down", "owner"}, len(order), maxLargeRows, func(i int) []string {
		s, _ := g.Service(names[order[i]])
		return []string{s.Name, itoa(impact[order[i]]), s.Owner}
	})
}

// largeGroups sums edges up by owner, or by kind if nobody says owners. The
// pairs with the most hard edges come first; edges inside a group are not
// counted.
func (p printer) largeGroups(g *depgraph.Graph) {
	by, what := func(s *depgraph.Service) string { return s.Owner }, "owner"
	if !hasOwners(g) {
		by, what = func(s *depgraph.Service) string { return s.Kind.String() }, "kind"
	}
	of, size := map[string]string{}, map[string]int{}
	for s := range g.Services() {
		name := cmp.Or(by(&s), "(none)")
		of[s.Name] = name
		size[name]++
	}
	type pair struct{ from, to string }
	hard, soft := map[pair]int{}, map[pair]int{}
	for e := range g.Edges() {
		k := pair{of[e.From], of[e.To]}
		switch {
		case k.from == k.to:
		case e.Soft || e.Weak:
			soft[k]++
		default:
			hard[k]++
		}
	}
	// A pair is in both maps if it has edges of both sorts, and must occur
	// once.
	pairs := make([]pair, 0, len(hard))
	for k := range hard {
		pairs = append(pairs, k)
	}
	// Pairs with soft edges only; the others are in already.
	for k := range soft {
		if hard[k] == 0 {
			pairs = append(pairs, k)
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(hard[b]-hard[a], soft[b]-soft[a], strings.Compare(a.from, b.from), strings.Compare(a.to, b.to))
	})
	p.rows("groups", "What leads from one "+what+" to another", []string{"from", "services", "to", "services", "hard", "soft"}, len(pairs), maxLargeGroup, func(i int) []string {
		k := pairs[i]
		return []string{k.from, itoa(size[k.from]), k.to, itoa(size[k.to]), itoa(hard[k]), itoa(soft[k])}
	})
}

// largeFindings has a table of rules with the number of findings of each, and
// then a table for each rule. nil is no check, and is told as such.
func (p printer) largeFindings(findings []depgraph.Finding) {
	if findings == nil {
		p.f("<section id=\"findings\"><h2>Findings</h2>\n<p>%s.</p>\n</section>\n", notChecked)
		return
	}
	groups := byRule(findings)
	p.rows("findings", fmt.Sprintf("Findings (%d)", len(findings)), []string{"severity", "rule", "how many"}, len(groups), maxLargeRows, func(i int) []string {
		f := groups[i][0]
		return []string{f.Severity.String(), ruleTitle(f), itoa(len(groups[i]))}
	})
	seen := map[string]int{}
	for _, group := range groups {
		id := "rule-" + strings.ToLower(cssWord(group[0].Rule))
		if seen[id]++; seen[id] > 1 { // of another severity, or with a name that differs in dropped signs only
			id += "-" + itoa(seen[id])
		}
		p.rows(id, ruleTitle(group[0]), []string{"finding", "place"}, len(group), maxLargeRows, func(i int) []string {
			return []string{group[i].Message, group[i].At.String()}
		})
	}
}

// cssWord keeps what an identifier of an element may hold, and drops the rest:
// rules of a policy have names that anybody may choose.
func cssWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, s)
}

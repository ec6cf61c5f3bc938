package report

import (
	"context"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// RunbookOptions says what a runbook is about. With Down it is the loss of a
// service; otherwise a black start of everything. Title follows the words
// "Black start".
type RunbookOptions struct {
	Title string // of the page
	Down  string // the service that is lost; "": everything
	// MaxParallel is passed to the order.
	MaxParallel int
}

// Runbook is a procedure for people, generated from the graph. Two runbooks of
// one graph are equal byte by byte: there is no date and no commit in it, so
// that a difference is a change of the procedure.
type Runbook struct {
	title    string
	lead     []string
	sections []section
}

// section is a heading with text and steps.
type section struct {
	title string
	text  []string
	steps []bookStep
}

// bookStep is one thing to do or to check, with what has to be known for it.
type bookStep struct {
	name    string // of a service, or what to do
	facts   []string
	command string // how to verify
	box     bool   // it is ticked off
}

// NewRunbook makes the runbook. The error is that of an unknown service, or
// the context's.
func NewRunbook(ctx context.Context, g *depgraph.Graph, o RunbookOptions) (*Runbook, error) {
	if o.Down != "" {
		return downBook(ctx, g, o)
	}
	return coldBook(ctx, g, o)
}

func coldBook(ctx context.Context, g *depgraph.Graph, o RunbookOptions) (*Runbook, error) {
	order, err := g.Order(ctx, depgraph.OrderOptions{Cold: true, MaxParallel: o.MaxParallel})
	if err != nil {
		return nil, err
	}
	b := &Runbook{title: strings.TrimSpace("Black start " + o.Title)}
	b.lead = []string{"Everything is down. Start a wave, verify each service of it, then start the next wave."}
	line := fmt.Sprintf("%s in %s", count(g.Len(), "service"), count(len(order.Waves), "wave"))
	if order.Total > 0 {
		line += fmt.Sprintf(", about %s; the longest chain is %s", duration(order.Total), strings.Join(order.Critical, " → "))
	}
	b.lead = append(b.lead, line+".")
	b.byHand(order)
	b.waves(g, order)
	b.owners(g, g.Names())
	b.gaps(g, g.Names())
	return b, nil
}

// byHand lists what people have to get past, with the procedure if somebody
// wrote one.
func (b *Runbook) byHand(order *depgraph.Order) {
	s := section{title: "Get past by hand", text: []string{"The waves below work only if these services start without waiting:"}}
	add := func(e depgraph.Edge, what string) {
		s.steps = append(s.steps, bookStep{name: e.From + " without " + e.To, box: true, facts: []string{what, "declared at " + place(e.At)}})
	}
	in := map[string]bool{}
	for _, name := range slices.Concat(order.Waves...) {
		in[name] = true
	}
	for _, e := range order.ByHand {
		if !in[e.From] {
			continue // not part of this start
		}
		add(e, "break-glass: "+e.BreakGlass)
	}
	for _, e := range order.Broken {
		add(e, "the manifests do not say how; try a cached copy, a static configuration, or a flag that skips the check")
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// waves are a section each.
func (b *Runbook) waves(g *depgraph.Graph, order *depgraph.Order) {
	without := slices.Concat(order.ByHand, order.Broken)
	slots := map[string]depgraph.Slot{}
	for _, s := range order.Timeline {
		slots[s.Service] = s
	}
	for i, wave := range order.Waves {
		s := section{title: fmt.Sprintf("Wave %d", i+1)}
		var begin, ready time.Duration
		for j, name := range wave {
			slot := slots[name]
			if j == 0 || slot.Begin < begin {
				begin = slot.Begin
			}
			ready = max(ready, slot.Ready)
			s.steps = append(s.steps, serviceStep(g, name, without))
		}
		if order.Total > 0 {
			s.text = append(s.text, fmt.Sprintf("Begins after %s; all of it is expected to be ready after %s.", duration(begin), duration(ready)))
		}
		b.sections = append(b.sections, s)
	}
}

// serviceStep is the start of one service, which does not wait for the edges in
// without.
func serviceStep(g *depgraph.Graph, name string, without []depgraph.Edge) bookStep {
	svc, _ := g.Service(name)
	st := bookStep{name: name, box: true, command: svc.Verify}
	var facts []string
	if svc.Owner != "" {
		facts = append(facts, "owner "+svc.Owner)
	}
	if svc.Criticality != depgraph.CriticalityUnknown {
		facts = append(facts, svc.Criticality.String())
	}
	if svc.Start > 0 {
		facts = append(facts, "ready after "+duration(svc.Start))
	}
	if len(facts) > 0 {
		st.facts = append(st.facts, strings.Join(facts, ", "))
	}
	if waits := waitsFor(g, name, without); len(waits) > 0 {
		st.facts = append(st.facts, "waits for "+strings.Join(waits, ", "))
	}
	if svc.Note != "" {
		st.facts = append(st.facts, svc.Note)
	}
	return st
}

// waitsFor are the names of what a service is started after.
func waitsFor(g *depgraph.Graph, name string, without []depgraph.Edge) []string {
	var edges []depgraph.Edge
	for _, e := range g.EdgesFrom(name) {
		broken := slices.ContainsFunc(without, func(b depgraph.Edge) bool { return b.From == e.From && b.To == e.To })
		if e.Phase&depgraph.Startup != 0 && !e.Soft && !e.Weak && !broken {
			edges = append(edges, e)
		}
	}
	return needed(edges)
}

// needed names what edges of one service lead to, a group as "1 of a or b".
func needed(edges []depgraph.Edge) (names []string) {
	groups := map[int]int{} // the place of a group in names
	for _, e := range edges {
		i, again := groups[e.Group]
		switch {
		case e.Group > 0 && again:
			names[i] += " or " + e.To
		case e.Group > 0:
			groups[e.Group] = len(names)
			names = append(names, fmt.Sprintf("%d of %s", e.Need, e.To))
		case !slices.Contains(names, e.To):
			names = append(names, e.To)
		}
	}
	return names
}

// owners says who to call.
func (b *Runbook) owners(g *depgraph.Graph, names []string) {
	of := map[string][]string{}
	for _, n := range names {
		s, _ := g.Service(n)
		if s.Owner != "" {
			of[s.Owner] = append(of[s.Owner], n)
		}
	}
	s := section{title: "Who to call"}
	for _, owner := range sortedKeys(of) {
		s.steps = append(s.steps, bookStep{name: owner, facts: []string{strings.Join(of[owner], ", ")}})
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// gaps names what the manifests do not say, and this page would need.
func (b *Runbook) gaps(g *depgraph.Graph, names []string) {
	lacks := map[string][]string{}
	for _, n := range names {
		s, _ := g.Service(n)
		if s.Owner == "" {
			lacks["no owner"] = append(lacks["no owner"], n)
		}
		if s.Verify == "" {
			lacks["no verify step"] = append(lacks["no verify step"], n)
		}
		if s.Start == 0 {
			lacks["no start duration"] = append(lacks["no start duration"], n)
		}
	}
	s := section{title: "What this runbook lacks", text: []string{"Add it to the manifests now; at night it is too late."}}
	for _, what := range sortedKeys(lacks) {
		s.steps = append(s.steps, bookStep{name: what, facts: []string{strings.Join(lacks[what], ", ")}})
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// downBook is about the loss of one service.
func downBook(ctx context.Context, g *depgraph.Graph, o RunbookOptions) (*Runbook, error) {
	blast, err := g.Blast(depgraph.BlastOptions{}, o.Down)
	if err != nil {
		return nil, err
	}
	order, err := g.Order(ctx, depgraph.OrderOptions{Restart: o.Down, Cold: true})
	if err != nil {
		return nil, err
	}
	b := &Runbook{title: o.Down + " is down"}
	svc, _ := g.Service(o.Down)
	if svc.Owner != "" {
		b.lead = append(b.lead, "Call "+svc.Owner+".")
	}
	b.lead = append(b.lead, fmt.Sprintf("Down with it: %d. Degraded: %d. Still up, but would not come back from a restart: %d.",
		len(blast.Down), len(blast.Degraded), len(blast.CannotStart)))
	b.leaveAlone(blast)
	b.causes(g, o.Down)
	b.effects(g, o.Down, blast)
	b.sections = append(b.sections, section{title: "Bring it back", text: []string{"Only what is down has to be started. The service itself is in the last waves."}})
	b.byHand(order)
	b.waves(g, order)
	b.recovery(g, blast)
	b.owners(g, append([]string{o.Down}, blast.Down...))
	b.gaps(g, append([]string{o.Down}, blast.Down...))
	return b, nil
}

// leaveAlone is the first thing to read: a restart makes it worse.
func (b *Runbook) leaveAlone(blast *depgraph.Blast) {
	if len(blast.CannotStart) == 0 {
		return
	}
	s := section{title: "Do not restart", text: []string{"These still work, and would not come back as long as it is down. Stop deployments and automatic restarts of them:"}}
	for _, n := range blast.CannotStart {
		s.steps = append(s.steps, bookStep{name: n})
	}
	b.sections = append(b.sections, s)
}

// causes are what the service itself cannot do without.
func (b *Runbook) causes(g *depgraph.Graph, name string) {
	s := section{title: "Look at what it needs", text: []string{"The cause may lie below. In this order:"}}
	seen := map[string]bool{}
	for _, e := range g.EdgesFrom(name) {
		if e.Soft || e.Weak || seen[e.To] {
			continue
		}
		seen[e.To] = true
		dep, _ := g.Service(e.To)
		st := bookStep{name: e.To, box: true, command: dep.Verify, facts: []string{describe(e) + ", declared at " + place(e.At)}}
		if dep.Owner != "" {
			st.facts = append(st.facts, "owner "+dep.Owner)
		}
		if e.Fallback != "" {
			st.facts = append(st.facts, "meanwhile: "+e.Fallback)
		}
		s.steps = append(s.steps, st)
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// effects say what users of the service see.
func (b *Runbook) effects(g *depgraph.Graph, name string, blast *depgraph.Blast) {
	s := section{title: "What it does to others"}
	for _, part := range []struct {
		label string
		names []string
	}{
		{"down", blast.Down}, {"degraded, works without it", blast.Degraded}, {"lost its redundancy: one more and it is down", blast.RedundancyLost},
	} {
		for _, n := range part.names {
			other, _ := g.Service(n)
			st := bookStep{name: n, facts: []string{part.label}}
			if other.Owner != "" {
				st.facts = append(st.facts, "owner "+other.Owner)
			}
			for _, e := range g.EdgesFrom(n) {
				if e.To == name && e.Fallback != "" {
					st.facts = append(st.facts, "meanwhile: "+e.Fallback)
				}
				if e.To == name && e.Soft && e.Evidence == "" {
					st.facts = append(st.facts, "declared soft, and no drill is named as proof: look at it")
				}
			}
			s.steps = append(s.steps, st)
		}
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// recovery is what to verify once the service is back.
func (b *Runbook) recovery(g *depgraph.Graph, blast *depgraph.Blast) {
	s := section{title: "Afterwards", text: []string{"These went down with it. They serve again by themselves; verify it:"}}
	for _, n := range blast.Down {
		st := serviceStep(g, n, nil)
		st.facts = nil
		s.steps = append(s.steps, st)
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// Markdown writes the runbook with boxes to tick.
func (b *Runbook) Markdown(w io.Writer) error {
	p := newPrinter(w)
	p.f("# %s\n\nGenerated from the manifests by depgraph; change those, not this.\n", md(b.title))
	for _, line := range b.lead {
		p.f("\n%s\n", md(line))
	}
	for _, s := range b.sections {
		p.f("\n## %s\n", md(s.title))
		for _, line := range s.text {
			p.f("\n%s\n", md(line))
		}
		if len(s.steps) > 0 {
			p.f("\n")
		}
		for _, st := range s.steps {
			box := ""
			if st.box {
				box = "[ ] "
			}
			p.f("- %s**%s**", box, md(st.name))
			if len(st.facts) > 0 {
				p.f(": %s", md(strings.Join(st.facts, "; ")))
			}
			p.f("\n")
			if st.command != "" {
				p.f("  - verify: %s\n", codeSpan(st.command))
			}
		}
	}
	return p.w.Flush()
}

// codeSpan quotes a command for Markdown: as many backquotes around it as it
// takes for none inside to end it.
func codeSpan(s string) string {
	s = clean(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 || strings.HasPrefix(s, " ") {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

const runbookStyle = `body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h2{border-bottom:1px solid #999;margin-top:2rem}li{margin:.4rem 0}code{background:#eee;padding:.1rem .3rem;overflow-wrap:anywhere}
.facts{color:#444}label{display:inline}
@media (prefers-color-scheme:dark){body{color:#eee;background:#111}code{background:#333}.facts{color:#bbb}}
@media print{body{margin:0;max-width:none}section{break-inside:avoid}}`

// HTML writes the runbook as one page that needs no network and no script, to
// be printed or kept open. Its boxes can be ticked.
func (b *Runbook) HTML(w io.Writer) error {
	p := newPrinter(w)
	esc := func(s string) string { return html.EscapeString(clean(s)) }
	p.f("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n")
	p.f("<meta name=\"viewport\" content=\"width=device-width\"><title>%s</title>\n<style>%s</style></head><body>\n<h1>%s</h1>\n", esc(b.title), runbookStyle, esc(b.title))
	for _, line := range b.lead {
		p.f("<p>%s</p>\n", esc(line))
	}
	for _, s := range b.sections {
		p.f("<section><h2>%s</h2>\n", esc(s.title))
		for _, line := range s.text {
			p.f("<p>%s</p>\n", esc(line))
		}
		if len(s.steps) > 0 {
			p.f("<ul>\n")
		}
		for _, st := range s.steps {
			name := "<strong>" + esc(st.name) + "</strong>"
			if st.box {
				name = "<label><input type=\"checkbox\"> " + name + "</label>"
			}
			p.f("<li>%s", name)
			if len(st.facts) > 0 {
				p.f(" <span class=\"facts\">%s</span>", esc(strings.Join(st.facts, "; ")))
			}
			if st.command != "" {
				p.f("<br>verify: <code>%s</code>", esc(st.command))
			}
			p.f("</li>\n")
		}
		if len(s.steps) > 0 {
			p.f("</ul>\n")
		}
		p.f("</section>\n")
	}
	p.f("</body></html>\n")
	return p.w.Flush()
}

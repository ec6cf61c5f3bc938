package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// RunbookOptions says what a runbook is about. With Down it is the loss of a
// service; otherwise a black start of everything. The zero value is a black
// start without a title.
type RunbookOptions struct {
	// Title follows the words "Black start"; it is not used with Down.
	Title string
	// Down is the service that is lost; "" means everything.
	Down string
	// MaxParallel is passed to the order of a black start: how many services
	// may start at the same time, 0 for any number.
	MaxParallel int
}

// Runbook is a procedure for people, generated from the graph. Two runbooks of
// one graph are equal byte by byte: there is no date and no commit in it, so
// that a difference is a change of the procedure. It holds plain text, which
// Markdown and HTML escape as they write; it is not changed once it is made, so
// several goroutines may write it.
//
// The lead is a paragraph each; sections come in the order in which they are done.
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
// Only command is printed as code; no facts and no command make it a mere name.
type bookStep struct {
	name string // of a service, or what to do
	// Phrases behind the name, separated by semicolons.
	facts   []string
	command string // how to verify
	box     bool   // it is ticked off
}

// NewRunbook makes the runbook. The error is that of an unknown service, of a
// negative MaxParallel, or the context's. What the manifests lack, an owner or
// a verify step, is no error: the last section lists it, so that somebody adds
// it before the night when it is needed.
//
// It keeps nothing of g.
func NewRunbook(ctx context.Context, g *depgraph.Graph, o RunbookOptions) (*Runbook, error) {
	if o.Down != "" {
		return downBook(ctx, g, o)
	}
	return coldBook(ctx, g, o)
}

// coldBook is the black start of everything, in the order in which it is read:
// a summary, what people have to get past by hand, the waves, whom to call, and
// what is missing in the manifests. The order is a cold one: it uses
// break-glass procedures before it breaks an edge that has none.
func coldBook(ctx context.Context, g *depgraph.Graph, o RunbookOptions) (*Runbook, error) {
	order, err := g.Order(ctx, depgraph.OrderOptions{Cold: true, MaxParallel: o.MaxParallel})
	if err != nil {
		return nil, err
	}
	b := &Runbook{title: strings.TrimSpace("Black start " + o.Title)}
	b.lead = []string{"Everything is down. Start a wave, verify each service of it, then start the next wave."}
	// How large it is, and how long it takes if durations are declared.
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
// wrote one. It comes before the waves, as they rest on it.
func (b *Runbook) byHand(order *depgraph.Order) {
	s := section{title: "Get past by hand", text: []string{"The waves below work only if these services start without waiting:"}}
	add := func(e depgraph.Edge, what string) {
		s.steps = append(s.steps, bookStep{name: e.From + " without " + e.To, box: true, facts: []string{what, "declared at " + place(e.At)}})
	}
	// A partial start may not include the service that an edge belongs to.
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
	// Edges without a procedure come last: they are the ones to think about.
	for _, e := range order.Broken {
		add(e, "the manifests do not say how; try a cached copy, a static configuration, or a flag that skips the check")
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// waves are a section each, with when the wave begins and when all of it is
// ready, if durations are declared. Times count from the beginning of the
// start.
func (b *Runbook) waves(g *depgraph.Graph, order *depgraph.Order) {
	without := slices.Concat(order.ByHand, order.Broken)
	// When each service begins and is ready, by name.
	slots := map[string]depgraph.Slot{}
	for _, s := range order.Timeline {
		slots[s.Service] = s
	}
	for i, wave := range order.Waves {
		s := section{title: fmt.Sprintf("Wave %d", i+1)}
		var begin, ready time.Duration
		// A wave begins with its first service and is ready with its last one.
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
// without. Its facts are, in this order: owner, criticality and duration; what
// it waits for; its note. The verify step becomes the command.
//
// Facts are phrases, which a reader at night can skip.
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

// waitsFor are the names of what a service is started after: its hard startup
// dependencies, except for pairs of services in without. Soft and weak ones do
// not keep it from starting, so they are not there.
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

// needed names what edges of one service lead to, in their order: a group as "1
// of a or b", at the place of its first member, and anything else once, however
// many edges lead there.
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

// owners says who to call, by owner, with the services of each. Services
// without an owner are in gaps.
func (b *Runbook) owners(g *depgraph.Graph, names []string) {
	// Services by owner, each in the order of names.
	of := map[string][]string{}
	for _, n := range names {
		s, _ := g.Service(n)
		if s.Owner != "" {
			of[s.Owner] = append(of[s.Owner], n)
		}
	}
	// Owners in order of name, which is how a list of phone numbers is read.
	s := section{title: "Who to call"}
	for _, owner := range sortedKeys(of) {
		s.steps = append(s.steps, bookStep{name: owner, facts: []string{strings.Join(of[owner], ", ")}})
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// sortedKeys makes the order of a map the same in every run.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// gaps names what the manifests do not say, and this page would need: owners,
// verify steps, durations.
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
	// A kind of gap a line, so that each can be given to the same people.
	s := section{title: "What this runbook lacks", text: []string{"Add it to the manifests now; at night it is too late."}}
	for _, what := range sortedKeys(lacks) {
		s.steps = append(s.steps, bookStep{name: what, facts: []string{strings.Join(lacks[what], ", ")}})
	}
	if len(s.steps) > 0 {
		b.sections = append(b.sections, s)
	}
}

// downBook is about the loss of one service, in the order of an incident: whom
// to call and how large it is; what must not be restarted; where the cause may
// lie; what others see; how to bring it back; what to verify afterwards. Owners
// and gaps are those of the service and of all that went down with it.
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
	// Three numbers that say whether to wake somebody.
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

// leaveAlone is the first thing to read: services that still work but would not
// come back, which a well-meant restart takes down too. There is no such
// section if there are none.
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

// causes are what the service itself cannot do without, once each, in order of
// name, with how to verify each and whom to call.
func (b *Runbook) causes(g *depgraph.Graph, name string) {
	s := section{title: "Look at what it needs", text: []string{"The cause may lie below. In this order:"}}
	// A dependency by several edges is one place to look at.
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

// effects say what users of the service see, the worst first, with the fallback
// that a manifest promises. A soft edge that no drill has proven is pointed
// out: in an incident, "degraded" may be wrong.
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
			// What the manifest promises for this very loss.
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

// recovery is what to verify once the service is back; the facts are left out,
// as the waves have told them.
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

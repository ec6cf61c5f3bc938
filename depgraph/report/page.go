package report

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// page is what the script of the page reads; page.js gives the same names to
// its members. Names are short, as there are thousands of edges, and services,
// files and texts occur in edges as indices only. A change here needs one in
// page.js.
//
// Every list that the script loops over must be there even if it is empty:
// newPage begins with empty ones, or the script would meet null.
type page struct {
	Services []pageService `json:"s"`
	// A row an edge. From and to are indices into Services, group into Groups
	// (0: none), file into Files and text into Texts (0: ""); flags are the
	// constants below.
	Edges [][7]int `json:"e"` // from, to, flags, group, file, line, text
	// The any-of groups, from index 1. Those that need all of their members are
	// no groups here: their edges are simply hard.
	Groups  []pageGroup     `json:"g"`
	Files   []string        `json:"f"`
	Texts   []string        `json:"t"`
	Columns []Column        `json:"columns"`
	Size    [4]float64      `json:"size"` // width, height, node width, node height
	Gap     float64         `json:"gap"`  // between boxes
	Health  []pageHealth    `json:"health"`
	Cycles  []componentJSON `json:"cycles"`
	// One for each of Cycles, as the text of a fix is not part of
	// componentJSON.
	CycleFixes []string    `json:"fixes"`
	Order      orderJSON   `json:"order"`
	Avail      []pageAvail `json:"avail"`
	// How many services are not in Avail, because of MaxAvailability.
	AvailLeft int      `json:"availLeft"`
	Assume    []string `json:"assumptions"`
	// How many others each of Services takes down.
	Impact   []int         `json:"impact"`
	Findings []findingJSON `json:"findings"`
	// Whether Findings are those of a check; without one there are none.
	Checked bool `json:"checked"`
}

// pageHealth is one number of the headline; a bad one is marked in red.
type pageHealth struct {
	Number string `json:"n"`
	Label  string `json:"label"`
	Bad    bool   `json:"bad,omitempty"`
}

// pageService is a service with its place in the layout. What nobody said is
// left out; wave counts from 1. Target and own are in percent, start in
// seconds.
type pageService struct {
	Name        string  `json:"n"`
	Owner       string  `json:"o,omitempty"`
	Kind        string  `json:"k,omitempty"`
	Criticality string  `json:"c,omitempty"`
	Note        string  `json:"note,omitempty"`
	Verify      string  `json:"verify,omitempty"`
	Target      float64 `json:"target,omitempty"`
	Own         float64 `json:"own,omitempty"`
	Start       float64 `json:"start,omitempty"`
	X           float64 `json:"x"`
	Y           float64 `json:"y"`
	Wave        int     `json:"w"`
	Blocked     bool    `json:"b,omitempty"`
	File        int     `json:"f"`
	Line        int     `json:"l"`
}

// pageGroup is an any-of group: the quorum and the number of members.
type pageGroup struct {
	Need int `json:"need"`
	Of   int `json:"of"`
}

// pageAvail is a row of the availability table, printed already: the script
// would have to repeat the rules of Percent and minutes.
type pageAvail struct {
	Service    int              `json:"s"`
	Value      string           `json:"v"`
	Minutes    string           `json:"m"`
	Exact      bool             `json:"exact"`
	Target     string           `json:"target,omitempty"`
	Missed     bool             `json:"missed,omitempty"`
	Importance []importanceJSON `json:"i"`
}

// Flags of an edge on the page. The script has the same numbers; further bits,
// from 1024, are in proofMarks. The order must not change, new flags go to the
// end.
const (
	pageSoft = 1 << iota
	pageStartup
	pageRuntime
	pageDeploy
	pageControl
	pagePartial
	pageWeak
	pageAssumed
	pageStarted
	pageReady
)

// newPage computes everything that the page shows. The error is that of ctx, or
// of an availability that cannot be computed, with the name of the service.
func newPage(ctx context.Context, g *depgraph.Graph, o HTMLOptions) (*page, error) {
	l, err := NewLayout(ctx, g)
	if err != nil {
		return nil, err
	}
	components, err := g.Cycles(ctx, depgraph.CyclesOptions{Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	order, err := g.Order(ctx, depgraph.OrderOptions{})
	if err != nil {
		return nil, err
	}
	impact, err := g.BlastAll(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	p := &page{
		Columns: emptyNotNull(l.Columns), Size: [4]float64{l.Width, l.Height, NodeWidth, NodeHeight}, Gap: rowGap, Cycles: componentsJSON(components),
		Order: newOrderJSON(order), Assume: Assumptions, Impact: emptyNotNull(impact), Findings: findingsJSON(o.Findings), Checked: o.Findings != nil, Groups: []pageGroup{{}}, CycleFixes: []string{},
		Services: []pageService{}, Edges: [][7]int{},
	}
	for i := range components {
		p.CycleFixes = append(p.CycleFixes, components[i].FixText())
	}
	for i := range p.Findings {
		p.Findings[i].Component, p.Findings[i].Edges = nil, nil // the page lists cycles by themselves
	}
	// In this order: the availability table refers to services by index, and
	// the headline sums up both.
	p.graph(g, l, o)
	if err := p.availability(ctx, g, o); err != nil {
		return nil, err
	}
	p.health(components, order)
	return p, nil
}

// share is the part of a system whose loss with one service is remarkable: one
// half. Systems of up to three services have none, as each is a large part
// there.
const share = 2

// health sums the page up in a few numbers, in the order in which somebody
// should worry: deadlocks, what stays down after a full stop, single points of
// failure, missed targets (only if there are targets), and the service that
// takes the most others down.
//
// It is called last, as it sums up the rest. Names go to the page as text.
func (p *page) health(components []depgraph.Component, order *depgraph.Order) {
	deadlocks, points, worst, missed, targets := 0, 0, 0, 0, 0
	for i := range components {
		if components[i].Kind == depgraph.BootstrapDeadlock {
			deadlocks++
		}
	}
	// The worst is the first of those with the greatest number, by name.
	for i, n := range p.Impact {
		if n*share >= len(p.Impact) && len(p.Impact) > 3 {
			points++
		}
		if n > p.Impact[worst] {
			worst = i
		}
	}
	for i := range p.Avail {
		if p.Avail[i].Target != "" {
			targets++
		}
		if p.Avail[i].Missed {
			missed++
		}
	}
	// A number of 0 is good news, and shown as such.
	add := func(n int, one, many string, bad bool) {
		label := many
		if n == 1 {
			label = one
		}
		p.Health = append(p.Health, pageHealth{itoa(n), label, bad && n > 0})
	}
	add(deadlocks, "deadlock", "deadlocks", true)
	add(len(order.Blocked), "service blocked after a full stop", "services blocked after a full stop", true)
	add(points, "single point of failure (takes half of the system down)", "single points of failure (each takes half of the system down)", true)
	if targets > 0 {
		add(missed, "of "+itoa(targets)+" targets missed", "of "+itoa(targets)+" targets missed", true)
	}
	if len(p.Impact) > 0 && p.Impact[worst] > 0 {
		p.Health = append(p.Health, pageHealth{itoa(p.Impact[worst]), "down with " + p.Services[worst].Name + ", the most", false})
	}
}

// table numbers strings in the order in which they come. The zero value is
// empty and ready for use.
type table struct {
	list  []string
	index map[string]int
}

// id is the number of s, which it adds if it is new. O(1).
func (t *table) id(s string) int {
	if t.index == nil {
		t.index = map[string]int{}
	}
	i, ok := t.index[s]
	if !ok {
		i = len(t.list)
		t.index[s] = i
		t.list = append(t.list, s)
	}
	return i
}

// graph fills Services, Edges, Groups, Files and Texts. Services are in the
// order of l.Nodes, which is that of names, and so that of BlastAll.
//
// O(services + edges).
func (p *page) graph(g *depgraph.Graph, l *Layout, o HTMLOptions) {
	var files, texts table
	texts.id("")
	index := map[string]int{}
	for i := range l.Nodes {
		n := &l.Nodes[i]
		s, _ := g.Service(n.Service)
		index[s.Name] = i
		p.Services = append(p.Services, pageService{
			Name: s.Name, Owner: s.Owner, Kind: s.Kind.String(), Criticality: s.Criticality.String(), Note: s.Note, Verify: s.Verify,
			Target: s.Availability.Target, Own: s.Availability.Own, Start: s.Start.Seconds(), X: math.Round(n.X*10) / 10, Y: math.Round(n.Y*10) / 10,
			Wave: n.Column + 1, Blocked: n.Blocked, File: files.id(s.At.File), Line: s.At.Line,
		})
	}
	// Groups are numbered within their service in the graph, and over all
	// services on the page.
	group := 0
	for s := range g.Services() {
		ids := map[int]int{}
		for _, e := range g.EdgesFrom(s.Name) {
			// The group and the text are filled in below, as most edges have
			// neither.
			row := [7]int{index[e.From], index[e.To], pageFlags(e), 0, files.id(e.At.File), e.At.Line, 0}
			text, mark := edgeText(e), 0
			// A drill is about a soft edge; a weak order needs no proof, and
			// without a proof file nothing is marked.
			if e.Soft && !e.Weak && o.Proofs != nil {
				proof := o.Proofs.Status(e.From, e.To, e.Evidence, o.ProofNow, o.ProofAge)
				text, mark = strings.TrimPrefix(text+"; "+proofText(proof), "; "), proofMarks[proof.State]
			}
			row[2] |= mark
			row[6] = texts.id(text)
			// The first edge of a group gives it its number on the page.
			if e.Group > 0 && e.Need < e.Of {
				if ids[e.Group] == 0 {
					group++
					ids[e.Group] = group
					p.Groups = append(p.Groups, pageGroup{e.Need, e.Of})
				}
				row[3] = ids[e.Group]
			}
			p.Edges = append(p.Edges, row)
		}
	}
	p.Files, p.Texts = emptyNotNull(files.list), texts.list
}

// proofMarks are the flags of what drills have said of a soft edge; an edge has
// at most one of them. A forged proof counts as none. page.js knows the
// numbers.
var proofMarks = map[depgraph.ProofState]int{
	depgraph.Untested: 1024, depgraph.Proven: 2048, depgraph.Disproved: 4096, depgraph.Stale: 8192, depgraph.Forged: 1024,
}

// proofText says the same in words, with the day of the proof and its ID, or
// with the reason why there is no valid one.
func proofText(s depgraph.ProofStatus) string {
	switch s.State {
	case depgraph.Proven:
		return fmt.Sprintf("proven soft on %s (%s)", s.At.UTC().Format(time.DateOnly), s.ID)
	case depgraph.Untested:
		return "untested: " + s.Why
	}
	return s.State.String() + ": " + s.Why
}

// edgeText is what else an edge says: its free texts, each behind its name, for
// the panel of the page. Empty if there are none, as for most edges, which then
// share index 0 of Texts.
func edgeText(e depgraph.Edge) string {
	var parts []string
	for _, f := range []struct{ name, value string }{
		{"evidence", e.Evidence},
		{"break-glass", e.BreakGlass},
		{"fallback", e.Fallback},
		{"source", e.Source},
		{"note", e.Note},
	} {
		if f.value != "" {
			parts = append(parts, f.name+": "+f.value)
		}
	}
	return strings.Join(parts, "; ")
}

// pageFlags are the bits of an edge. Weak edges are soft ones as well, since
// the script asks for soft wherever it wants to know whether a loss matters.
// Done is started and ready at once; serving, the usual condition, is neither.
func pageFlags(e depgraph.Edge) int {
	flags := 0
	for _, f := range []struct {
		is  bool
		bit int
	}{
		{e.Soft || e.Weak, pageSoft},
		{e.Phase&depgraph.Startup != 0, pageStartup},
		{e.Phase&depgraph.Runtime != 0, pageRuntime},
		{e.Phase&depgraph.Deploy != 0, pageDeploy},
		{e.Plane == depgraph.Control, pageControl},
		{e.Group > 0 && e.Need < e.Of, pagePartial},
		{e.Weak, pageWeak},
		{e.Assumed, pageAssumed},
		{e.Until == depgraph.Started || e.Until == depgraph.Done, pageStarted},
		{e.Until == depgraph.Ready || e.Until == depgraph.Done, pageReady},
	} {
		if f.is {
			flags |= f.bit
		}
	}
	return flags
}

// availability fills the table for the services that matter most: those with a
// target first, then by criticality, then by name. If nobody declared a number
// there is no table, as every row would say 100 %. The limits keep one service
// within a fraction of a second: a decision diagram of 200,000 nodes, or else
// 20,000 samples.
//
// The caller has checked that MaxAvailability is not negative.
func (p *page) availability(ctx context.Context, g *depgraph.Graph, o HTMLOptions) error {
	order := make([]int, len(p.Services))
	declared := false
	for i := range order {
		order[i] = i
		declared = declared || p.Services[i].Own > 0 || p.Services[i].Target > 0
	}
	p.Avail = []pageAvail{}
	if !declared {
		return nil
	}
	// A target counts more than any criticality, of which there are five.
	rank := func(i int) int {
		s, _ := g.Service(p.Services[i].Name)
		r := int(s.Criticality)
		if s.Availability.Target > 0 {
			r += 100
		}
		return r
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank(b) - rank(a) })
	// What is left out is the least critical, and the page says how many.
	limit := min(cmp.Or(o.MaxAvailability, defaultMaxAvailability), len(order))
	p.AvailLeft = len(order) - limit
	for done, i := range order[:limit] {
		a, err := g.Availability(ctx, p.Services[i].Name, depgraph.AvailOptions{MaxNodes: 200_000, Samples: 20_000})
		if err != nil {
			return fmt.Errorf("availability of %q: %w", p.Services[i].Name, err)
		}
		p.Avail = append(p.Avail, newPageAvail(i, a))
		if o.Progress != nil {
			o.Progress(depgraph.Progress{Stage: "computing availability", Done: done + 1, Total: limit})
		}
	}
	return nil
}

// maxPageImportance is how many causes a row of the availability table names.
const maxPageImportance = 5

// newPageAvail is the row of the service with index i in Services.
func newPageAvail(i int, a *depgraph.Avail) pageAvail {
	row := pageAvail{
		Service: i, Value: Percent(a.Availability), Minutes: minutes((1 - a.Availability) * depgraph.MinutesPerYear),
		Exact: a.Exact, Importance: []importanceJSON{},
	}
	if a.Target > 0 {
		row.Target, row.Missed = Percent(a.Target), a.Availability < a.Target
	}
	// Birnbaum's number is not shown on the page, and left out of its data.
	for _, imp := range a.Importance[:min(maxPageImportance, len(a.Importance))] {
		row.Importance = append(row.Importance, importanceJSON{imp.Service, round(imp.MinutesPerYear), 0})
	}
	return row
}

package report

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// HTMLOptions says what the page holds beside the graph.
type HTMLOptions struct {
	// Title is the heading; empty means "Dependencies".
	Title string
	// Date and Commit say what the page is about; empty ones are left out.
	Date, Commit string
	// Proofs are the verdicts of drills; ProofAge, if above 0, is how old one
	// may be, counted to ProofNow. Each soft edge is marked with its state.
	Proofs   *depgraph.Proofs
	ProofAge time.Duration
	ProofNow time.Time
	// Findings are listed, if given.
	Findings []depgraph.Finding
	// MaxAvailability limits for how many services availability is computed:
	// those with a target first, then the most critical. Zero means 300.
	MaxAvailability int
	Progress        func(depgraph.Progress)
}

// page is what the script of the page reads. Names are short, as there are
// thousands of edges.
type page struct {
	Services   []pageService   `json:"s"`
	Edges      [][7]int        `json:"e"` // from, to, flags, group, file, line, text
	Groups     []pageGroup     `json:"g"`
	Files      []string        `json:"f"`
	Texts      []string        `json:"t"`
	Columns    []Column        `json:"columns"`
	Size       [4]float64      `json:"size"` // width, height, node width, node height
	Gap        float64         `json:"gap"`  // between boxes
	Health     []pageHealth    `json:"health"`
	Cycles     []componentJSON `json:"cycles"`
	CycleFixes []string        `json:"fixes"`
	Order      orderJSON       `json:"order"`
	Avail      []pageAvail     `json:"avail"`
	AvailLeft  int             `json:"availLeft"`
	Assume     []string        `json:"assumptions"`
	Impact     []int           `json:"impact"`
	Findings   []findingJSON   `json:"findings"`
}

// pageHealth is one number of the headline.
type pageHealth struct {
	Number string `json:"n"`
	Label  string `json:"label"`
	Bad    bool   `json:"bad,omitempty"`
}

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

type pageGroup struct {
	Need int `json:"need"`
	Of   int `json:"of"`
}

type pageAvail struct {
	Service    int              `json:"s"`
	Value      string           `json:"v"`
	Minutes    string           `json:"m"`
	Exact      bool             `json:"exact"`
	Target     string           `json:"target,omitempty"`
	Missed     bool             `json:"missed,omitempty"`
	Importance []importanceJSON `json:"i"`
}

// Flags of an edge on the page.
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

const defaultMaxAvailability = 300

// HTML writes the whole report as one page that works from a file, without a
// network: its policy allows no connection and no script but its own, and
// names reach the document as text only.
func HTML(ctx context.Context, w io.Writer, g *depgraph.Graph, o HTMLOptions) error {
	if g.Len() > MaxPageServices {
		return largePage(ctx, w, g, o)
	}
	data, err := newPage(ctx, g, o)
	if err != nil {
		return err
	}
	text, err := json.Marshal(data) // escapes <, > and &
	if err != nil {
		return err
	}
	title := html.EscapeString(clean(cmp.Or(o.Title, "Dependencies")))
	p := newPrinter(w)
	p.f("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	p.f("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'\">\n", hash(pageJS), hash(pageCSS))
	p.f("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>%s</title>\n", title)
	p.f("<style>%s</style>\n</head>\n<body>\n", pageCSS)
	p.f("<header><h1>%s</h1>%s<p id=\"verdict\">%s</p><ul id=\"health\"></ul><p id=\"summary\"></p></header>\n<main id=\"main\"><noscript>This page needs JavaScript. \"depgraph export -f markdown\" writes the same as text.</noscript></main>\n", title, about(o), html.EscapeString(Verdict(g, o.Findings)))
	p.f("<script type=\"application/json\" id=\"data\">%s</script>\n<script>%s</script>\n</body>\n</html>\n", text, pageJS)
	return p.w.Flush()
}

// about is the line with date and commit.
func about(o HTMLOptions) string {
	var parts []string
	if o.Date != "" {
		parts = append(parts, o.Date)
	}
	if o.Commit != "" {
		parts = append(parts, "commit "+o.Commit)
	}
	if parts == nil {
		return ""
	}
	return "<p id=\"about\">" + html.EscapeString(clean(strings.Join(parts, " · "))) + "</p>"
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

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
		Columns: l.Columns, Size: [4]float64{l.Width, l.Height, NodeWidth, NodeHeight}, Gap: rowGap, Cycles: componentsJSON(components),
		Order: newOrderJSON(order), Assume: Assumptions, Impact: impact, Findings: findingsJSON(o.Findings), Groups: []pageGroup{{}}, CycleFixes: []string{},
	}
	for i := range components {
		p.CycleFixes = append(p.CycleFixes, components[i].FixText())
	}
	for i := range p.Findings {
		p.Findings[i].Component, p.Findings[i].Edges = nil, nil // the page lists cycles by themselves
	}
	p.graph(g, l, o)
	if err := p.availability(ctx, g, o); err != nil {
		return nil, err
	}
	p.health(components, order)
	return p, nil
}

// share is the part of a system whose loss with one service is remarkable.
const share = 2

// health sums the page up.
func (p *page) health(components []depgraph.Component, order *depgraph.Order) {
	deadlocks, points, worst, missed, targets := 0, 0, 0, 0, 0
	for i := range components {
		if components[i].Kind == depgraph.BootstrapDeadlock {
			deadlocks++
		}
	}
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

// table numbers strings.
type table struct {
	list  []string
	index map[string]int
}

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
	group := 0
	for s := range g.Services() {
		ids := map[int]int{}
		for _, e := range g.EdgesFrom(s.Name) {
			row := [7]int{index[e.From], index[e.To], pageFlags(e), 0, files.id(e.At.File), e.At.Line, 0}
			text, mark := edgeText(e), 0
			if e.Soft && !e.Weak && o.Proofs != nil {
				proof := o.Proofs.Status(e.From, e.To, e.Evidence, o.ProofNow, o.ProofAge)
				text, mark = strings.TrimPrefix(text+"; "+proofText(proof), "; "), proofMarks[proof.State]
			}
			row[2] |= mark
			row[6] = texts.id(text)
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
	p.Files, p.Texts = files.list, texts.list
}

// proofMarks are the flags of what drills have said of a soft edge.
var proofMarks = map[depgraph.ProofState]int{
	depgraph.Untested: 1024, depgraph.Proven: 2048, depgraph.Disproved: 4096, depgraph.Stale: 8192, depgraph.Forged: 1024,
}

func proofText(s depgraph.ProofStatus) string {
	switch s.State {
	case depgraph.Proven:
		return fmt.Sprintf("proven soft on %s (%s)", s.At.UTC().Format(time.DateOnly), s.ID)
	case depgraph.Untested:
		return "untested: " + s.Why
	}
	return s.State.String() + ": " + s.Why
}

// edgeText is what else an edge says.
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

// availability fills the table for the services that matter most.
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
	rank := func(i int) int {
		s, _ := g.Service(p.Services[i].Name)
		r := int(s.Criticality)
		if s.Availability.Target > 0 {
			r += 100
		}
		return r
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank(b) - rank(a) })
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

func newPageAvail(i int, a *depgraph.Avail) pageAvail {
	row := pageAvail{
		Service: i, Value: Percent(a.Availability), Minutes: minutes((1 - a.Availability) * depgraph.MinutesPerYear),
		Exact: a.Exact, Importance: []importanceJSON{},
	}
	if a.Target > 0 {
		row.Target, row.Missed = Percent(a.Target), a.Availability < a.Target
	}
	for _, imp := range a.Importance[:min(maxPageImportance, len(a.Importance))] {
		row.Importance = append(row.Importance, importanceJSON{imp.Service, round(imp.MinutesPerYear), 0})
	}
	return row
}

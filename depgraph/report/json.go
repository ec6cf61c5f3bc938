package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// writeJSON writes one value, indented by one space, and a line feed.
// Characters that mean something in HTML are escaped, so that the output can be
// embedded anywhere, and bytes that are no UTF-8 become U+FFFD (RFC 8259 wants
// UTF-8). Names are otherwise as declared: JSON is for programs, which compare
// them.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(v)
}

// EdgeJSON is the form of an edge in every JSON output. It is part of the
// format that GraphJSON exports and ParseManifest reads: members are added, and
// none is renamed without a new depgraph.ExportVersion.
type EdgeJSON struct {
	From       string   `json:"from"`                  // From depends on To
	To         string   `json:"to"`                    // see From
	File       string   `json:"file"`                  // where it is declared
	Line       int      `json:"line"`                  // from 1
	Soft       bool     `json:"soft"`                  // From works without To
	Phase      []string `json:"phase"`                 // names of the phases
	Until      string   `json:"until,omitempty"`       // what a start waits for
	Order      string   `json:"order,omitempty"`       // "weak": orders a start and requires nothing
	Assumed    bool     `json:"assumed,omitempty"`     // guessed by an importer
	Plane      string   `json:"plane"`                 // the part of To that is used
	Group      int      `json:"group,omitempty"`       // number of the group, from 1; 0: none
	Need       int      `json:"need,omitempty"`        // how many of the group are needed
	Of         int      `json:"of,omitempty"`          // how many there are
	Evidence   string   `json:"evidence,omitempty"`    // the proof that a soft edge refers to
	BreakGlass string   `json:"break_glass,omitempty"` // how to get past the edge by hand
	Fallback   string   `json:"fallback,omitempty"`    // what From does without To
	Pinned     bool     `json:"pinned,omitempty"`      // never proposed to be made soft
	Liveness   bool     `json:"liveness,omitempty"`    // From's liveness asks To
	Note       string   `json:"note,omitempty"`        // as declared
	Source     string   `json:"source,omitempty"`      // what an importer took it from
}

// edgeJSON leaves out what an edge does not say; soft, phase and plane, which
// every edge has, are always there.
func edgeJSON(e depgraph.Edge) EdgeJSON {
	order := ""
	if e.Weak {
		order = "weak"
	}
	return EdgeJSON{
		Until: e.Until.String(), Order: order, Assumed: e.Assumed,
		From: e.From, To: e.To, File: e.At.File, Line: e.At.Line, Soft: e.Soft, Phase: e.Phase.Names(), Plane: e.Plane.String(),
		Group: e.Group, Need: e.Need, Of: e.Of, Evidence: e.Evidence, BreakGlass: e.BreakGlass, Fallback: e.Fallback,
		Pinned: e.Pinned, Liveness: e.Liveness, Note: e.Note, Source: e.Source,
	}
}

// edgesJSON never returns nil, so that no edges are [] and not null.
func edgesJSON(edges []depgraph.Edge) []EdgeJSON {
	// One allocation; graphs have hundreds of thousands of edges.
	all := make([]EdgeJSON, len(edges))
	for i, e := range edges {
		all[i] = edgeJSON(e)
	}
	return all
}

// refJSON names an edge without its details.
type refJSON struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// refsJSON never returns nil either.
//
// It is for lists of edges that stand elsewhere in full.
func refsJSON(edges []depgraph.Edge) []refJSON {
	all := make([]refJSON, len(edges))
	for i, e := range edges {
		all[i] = refJSON{e.From, e.To}
	}
	return all
}

// componentJSON is a cyclic component; the members are those of
// depgraph.Component. Of its edges only the number is told, as there may be
// thousands; cycle and soften name those that matter.
type componentJSON struct {
	Kind           string     `json:"kind"`
	Services       []string   `json:"services"`
	Cycle          []EdgeJSON `json:"cycle"`
	ShortestProven bool       `json:"shortest_proven"`
	Soften         []refJSON  `json:"soften"`
	ProvenMinimum  bool       `json:"proven_minimum"`
	// The weight of soften, and what every set must cost at least; equal if the
	// minimum is proven.
	Cost       int        `json:"cost"`
	LowerBound int        `json:"lower_bound"`
	Pinned     bool       `json:"pinned,omitempty"`
	Drop       []refJSON  `json:"drop,omitempty"`    // orders of an ordering cycle that a start ignores
	Assumed    int        `json:"assumed,omitempty"` // assumed edges that it rests on
	BreakGlass []EdgeJSON `json:"break_glass,omitempty"`
	Edges      int        `json:"edges"`
}

// componentsJSON keeps the order. The page uses it too.
func componentsJSON(components []depgraph.Component) []componentJSON {
	all := make([]componentJSON, len(components))
	for i := range components {
		c := &components[i]
		all[i] = componentJSON{
			Kind: string(c.Kind), Services: c.Services, Cycle: edgesJSON(c.Cycle), ShortestProven: c.CycleProven,
			Soften: refsJSON(c.Soften), ProvenMinimum: c.ProvenMinimum, Cost: c.Cost, LowerBound: c.LowerBound,
			Pinned: c.Pinned, Drop: refsJSON(c.Drop), Assumed: c.Assumed, BreakGlass: edgesJSON(c.BreakGlass), Edges: len(c.Edges),
		}
	}
	return all
}

// CyclesJSON writes components, in the order given.
//
// None are an empty list. The error is that of the writer.
func CyclesJSON(w io.Writer, components []depgraph.Component) error {
	return writeJSON(w, struct {
		Components []componentJSON `json:"components"`
	}{componentsJSON(components)})
}

// criticalPathJSON is the chain that determines how long a start takes; 0
// seconds means that no durations are declared.
type criticalPathJSON struct {
	Services []string `json:"services"`
	Seconds  float64  `json:"seconds"`
}

// slotJSON is the start of one service; all times are seconds from the start of
// the whole.
type slotJSON struct {
	Service string `json:"service"`
	// The wave counts from 1, and the times are seconds from the start of the
	// whole.
	Wave     int     `json:"wave"`
	Begin    float64 `json:"begin"`
	Ready    float64 `json:"ready"`
	Serves   float64 `json:"serves"`
	Critical bool    `json:"critical,omitempty"`
}

// orderJSON is an order. Blocked services are in the waves as well: waves are
// those after assumed_broken is out of the way.
type orderJSON struct {
	Waves        [][]string       `json:"waves"`
	CriticalPath criticalPathJSON `json:"critical_path"`
	Blocked      []string         `json:"blocked"`
	Broken       []EdgeJSON       `json:"assumed_broken"`
	BrokenProven bool             `json:"broken_proven_minimum"`
	Dropped      []EdgeJSON       `json:"orders_not_kept,omitempty"`
	Timeline     []slotJSON       `json:"timeline"`
	ByHand       []EdgeJSON       `json:"by_hand,omitempty"`
}

// newOrderJSON counts waves from 1, as people do; depgraph.Slot counts from 0.
//
// The page uses it, too.
func newOrderJSON(o *depgraph.Order) orderJSON {
	res := orderJSON{
		Waves: emptyNotNull(o.Waves), Blocked: emptyNotNull(o.Blocked), ByHand: edgesJSON(o.ByHand), Timeline: []slotJSON{},
		Broken: edgesJSON(o.Broken), BrokenProven: o.BrokenProven, Dropped: edgesJSON(o.Dropped),
		CriticalPath: criticalPathJSON{Services: emptyNotNull(o.Critical), Seconds: o.Total.Seconds()},
	}
	for _, s := range o.Timeline {
		res.Timeline = append(res.Timeline, slotJSON{s.Service, s.Wave + 1, s.Begin.Seconds(), s.Ready.Seconds(), s.Serves.Seconds(), s.Critical})
	}
	return res
}

// OrderJSON writes an order. Waves of the timeline count from 1. The waves hold
// what is blocked as well, as it comes up once the broken edges are out of the way.
func OrderJSON(w io.Writer, o *depgraph.Order) error { return writeJSON(w, newOrderJSON(o)) }

// BlastJSON writes a blast radius. The members are those of depgraph.Blast,
// whose lists of the four states are never nil.
//
// assumed and run_time_unknown are left out where there are none.
func BlastJSON(w io.Writer, b *depgraph.Blast) error {
	return writeJSON(w, struct {
		Of             []string `json:"of"`
		Down           []string `json:"down"`
		Degraded       []string `json:"degraded"`
		RedundancyLost []string `json:"redundancy_lost"`
		CannotStart    []string `json:"cannot_start"`
		Assumed        []string `json:"assumed,omitempty"`          // of down and degraded: rest on guesses
		Unknown        []string `json:"run_time_unknown,omitempty"` // of cannot_start: say nothing about run time
	}{b.Of, b.Down, b.Degraded, b.RedundancyLost, b.CannotStart, b.Assumed, b.Unknown})
}

// ImpactJSON writes how many others each service takes down, in the order of
// names. counts has a number for each name, as Graph.BlastAll returns them.
//
// A number too many or too few is an error.
func ImpactJSON(w io.Writer, names []string, counts []int) error {
	if err := sameLength(names, counts); err != nil {
		return err
	}
	// Objects and not a map, so that the order of names stays.
	type impact struct {
		Service string `json:"service"`
		Down    int    `json:"down"`
	}
	all := make([]impact, len(names))
	for i, n := range names {
		all[i] = impact{n, counts[i]}
	}
	return writeJSON(w, struct {
		Services []impact `json:"services"`
	}{all})
}

// sameLength is an error if there is not one count for each name.
func sameLength(names []string, counts []int) error {
	if len(names) != len(counts) {
		return fmt.Errorf("report: %d names and %d counts; there is one for each", len(names), len(counts))
	}
	return nil
}

// importanceJSON is what one dependency costs: the minutes a year that a
// perfect one would save, and its Birnbaum importance.
type importanceJSON struct {
	Service        string  `json:"service"`
	MinutesPerYear float64 `json:"minutes_per_year"`
	Birnbaum       float64 `json:"birnbaum"`
}

// savingJSON is what it would save to make one edge soft.
type savingJSON struct {
	From           string  `json:"from"`
	To             string  `json:"to"`
	MinutesPerYear float64 `json:"minutes_per_year"`
}

// availJSON is an availability, as a share from 0 to 1, and what it rests on.
// low, high and standard_error are there for an estimate only.
//
// A target that is absent is none; assumed_always_up is a list of names.
type availJSON struct {
	Service      string  `json:"service"`
	Availability float64 `json:"availability"`
	Exact        bool    `json:"exact"`
	// The bounds between which the truth is certainly, and the error of the
	// estimate; absent if the result is exact.
	Low        *float64         `json:"low,omitempty"`
	High       *float64         `json:"high,omitempty"`
	StdErr     *float64         `json:"standard_error,omitempty"`
	Target     float64          `json:"target,omitempty"`
	Importance []importanceJSON `json:"importance"`
	Savings    []savingJSON     `json:"savings"`
	// The services that say nothing about their own availability.
	Assumed     []string `json:"assumed_always_up"`
	Unknown     bool     `json:"unknown"` // nothing is declared, and the availability means nothing
	Declared    int      `json:"declared"`
	Of          int      `json:"of"`
	Doubts      []string `json:"doubts,omitempty"`
	Assumptions []string `json:"assumptions"`
}

// Assumptions are printed with every availability.
var Assumptions = []string{
	"Services fail independently; what they share (region, DNS, credentials, one configuration channel) must be a service of the graph.",
	"A published level of a provider already contains what the provider depends on.",
	"Only hard dependencies of run time count, and each shared one counts once.",
	"A service without a declared availability counts as always up.",
}

// newAvailJSON calls a result exact only if something was declared: with
// nothing declared it is 1, exactly, and means nothing.
func newAvailJSON(a *depgraph.Avail) availJSON {
	// Exact is set below: it depends on what is declared.
	res := availJSON{
		Service: a.Service, Availability: a.Availability, Exact: a.Exact, Target: a.Target,
		Importance: []importanceJSON{}, Savings: []savingJSON{}, Assumed: emptyNotNull(a.Assumed), Assumptions: Assumptions,
	}
	declared, of := a.Declared()
	res.Declared, res.Of, res.Unknown, res.Doubts = declared, of, declared == 0, a.Doubts
	res.Exact = a.Exact && declared > 0
	// Of an exact result the bounds are the result itself, and say nothing.
	if !a.Exact {
		res.Low, res.High, res.StdErr = &a.Low, &a.High, &a.StdErr
	}
	for _, i := range a.Importance {
		res.Importance = append(res.Importance, importanceJSON{i.Service, round(i.MinutesPerYear), i.Birnbaum})
	}
	for _, s := range a.Savings {
		res.Savings = append(res.Savings, savingJSON{s.Edge.From, s.Edge.To, round(s.MinutesPerYear)})
	}
	return res
}

// AvailJSON writes an availability.
func AvailJSON(w io.Writer, a *depgraph.Avail) error { return writeJSON(w, newAvailJSON(a)) }

// round keeps what is left of minutes after floating-point noise.
func round(minutes float64) float64 { return math.Round(minutes*1e6) / 1e6 }

// WhyJSON writes paths, each a list of edges from the one service to the other.
// truncated says that there are more than were asked for.
//
// No path is an empty list, which is an answer: the one does not depend on the other.
func WhyJSON(w io.Writer, from, to string, paths [][]depgraph.Edge, truncated bool) error {
	all := make([][]EdgeJSON, len(paths))
	for i, p := range paths {
		all[i] = edgesJSON(p)
	}
	return writeJSON(w, struct {
		From      string       `json:"from"`
		To        string       `json:"to"`
		Paths     [][]EdgeJSON `json:"paths"`
		Truncated bool         `json:"truncated"`
	}{from, to, all, truncated})
}

// Summary counts the findings of a check. Summarize fills what the findings
// tell; a caller that applies a baseline or waivers adds Known, Stale and Waived.
type Summary struct {
	Services, Edges     int // in the graph
	Errors, Warns, Info int // findings, by severity
	Known, Stale        int // of a baseline
	Waived              int // by a waiver in force
}

// Summarize counts findings by severity, and the graph. Findings that are Off
// are not counted.
func Summarize(g *depgraph.Graph, findings []depgraph.Finding) Summary {
	s := Summary{Services: g.Len(), Edges: g.EdgeCount()}
	for i := range findings {
		switch findings[i].Severity {
		case depgraph.Error:
			s.Errors++
		case depgraph.Warn:
			s.Warns++
		case depgraph.Info:
			s.Info++
		}
	}
	return s
}

// findingJSON is a finding. Rule and the edges (or the service, if there are
// none) identify it from run to run; line and message may change.
//
// severity is info, warn or error.
type findingJSON struct {
	Rule     string `json:"rule"`
	Name     string `json:"name"`
	Severity string `json:"severity"`
	Service  string `json:"service"`
	Message  string `json:"message"`
	Fix      string `json:"fix,omitempty"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	// What a baseline compares; of a cycle, all edges of its component.
	Edges     []refJSON      `json:"edges"`
	Component *componentJSON `json:"component,omitempty"`
}

// findingsJSON keeps the order and never returns nil.
func findingsJSON(findings []depgraph.Finding) []findingJSON {
	all := make([]findingJSON, len(findings))
	for i := range findings {
		f := &findings[i]
		all[i] = findingJSON{
			Rule: f.Rule, Name: f.Name, Severity: f.Severity.String(), Service: f.Service, Message: f.Message, Fix: f.Fix,
			File: f.At.File, Line: f.At.Line, Edges: refsJSON(f.Edges),
		}
		if f.Component != nil {
			all[i].Component = &componentsJSON([]depgraph.Component{*f.Component})[0]
		}
	}
	return all
}

// CheckJSON writes the counts and all findings, without a limit.
//
// findings may be nil, which is none.
func CheckJSON(w io.Writer, s Summary, findings []depgraph.Finding) error {
	return writeJSON(w, struct {
		Services int           `json:"services"`
		Edges    int           `json:"edges"`
		Errors   int           `json:"errors"`
		Warnings int           `json:"warnings"`
		Infos    int           `json:"infos"`
		Known    int           `json:"known"`
		Stale    int           `json:"stale_baseline_entries"`
		Waived   int           `json:"waived"`
		Findings []findingJSON `json:"findings"`
	}{s.Services, s.Edges, s.Errors, s.Warns, s.Info, s.Known, s.Stale, s.Waived, findingsJSON(findings)})
}

// waiverJSON is a waiver as manifests write it; until is the last day, as
// 2006-01-02.
type waiverJSON struct {
	Rule   string `json:"rule"`
	On     string `json:"on,omitempty"`
	Reason string `json:"reason"`
	Until  string `json:"until"`
}

// serviceJSON is a service of an export. What nobody said is left out, and
// start is in seconds.
//
// The decoder of exports, depgraph/exported.go, has the same list of members, and a test
// keeps the two together.
type serviceJSON struct {
	Name        string `json:"service"`
	Owner       string `json:"owner,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Criticality string `json:"criticality,omitempty"`
	// Percentages, as manifests write them.
	Target     float64      `json:"target,omitempty"`
	Own        float64      `json:"own,omitempty"`
	Start      float64      `json:"start_seconds,omitempty"`
	Verify     string       `json:"verify,omitempty"`
	Note       string       `json:"note,omitempty"`
	Source     string       `json:"source,omitempty"`
	Undeclared bool         `json:"undeclared,omitempty"`
	Waivers    []waiverJSON `json:"waivers,omitempty"`
	File       string       `json:"file"`
	Line       int          `json:"line"`
}

// newServiceJSON leaves the dependencies out; they are a list of their own in
// the export, as edges.
func newServiceJSON(s *depgraph.Service) serviceJSON {
	res := serviceJSON{
		Name: s.Name, Owner: s.Owner, Kind: s.Kind.String(), Criticality: s.Criticality.String(), Target: s.Availability.Target,
		Own: s.Availability.Own, Start: float64(s.Start) / 1e9, Verify: s.Verify, Note: s.Note, Source: s.Source,
		Undeclared: s.Undeclared, File: s.At.File, Line: s.At.Line,
	}
	for _, w := range s.Waivers {
		res.Waivers = append(res.Waivers, waiverJSON{w.Rule, w.On, w.Reason, w.Until.Format(time.DateOnly)})
	}
	return res
}

// GraphJSON writes all services and edges, in a form that ParseManifest reads
// back. Its version is depgraph.ExportVersion.
//
// It writes a graph whole; Graph.Slice makes a part of one.
func GraphJSON(w io.Writer, g *depgraph.Graph) error {
	services, edges := []serviceJSON{}, []EdgeJSON{}
	for s := range g.Services() {
		services = append(services, newServiceJSON(&s))
	}
	for e := range g.Edges() {
		edges = append(edges, edgeJSON(e))
	}
	return writeJSON(w, struct {
		Version int `json:"version"`
		// In order of name, then edges in order of from and to.
		Services []serviceJSON `json:"services"`
		Edges    []EdgeJSON    `json:"edges"`
	}{depgraph.ExportVersion, services, edges})
}

// emptyNotNull makes a nil slice an empty one, so that it is [] in JSON:
// programs loop over null with an error.
func emptyNotNull[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

package drift

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// Options says how Compare judges. The zero value maps no names and takes the
// default severities of the rules.
type Options struct {
	// Names maps observed names to declared ones; nil maps none.
	Names *Names
	// Policy sets severities; nil leaves the defaults. Only and Skip hold IDs or
	// names of rules; an empty Only means all.
	Policy     *depgraph.Policy
	Only, Skip []string
	// MinFailures is how many requests must have failed together with a soft
	// dependency for it to be called hard. Zero means 3.
	MinFailures int64
	// Now is the day on which waivers are judged. Default: time.Now.
	Now time.Time
}

// State says whether a dependency is declared, and whether it was seen. The
// texts are for people; programs compare with the constants.
type State string

// The states of a dependency.
const (
	Agrees     State = "declared and seen"
	Undeclared State = "undeclared"
	Unobserved State = "unobserved"
	// OtherPhase: declared for the startup or a deployment alone, and used at
	// run time.
	OtherPhase State = "declared for another phase"
	// Unknown: it was not seen, and nothing follows from that.
	Unknown State = "not concluded"
	// NoNeed: a message from one to the other, over a broker that was not named.
	NoNeed State = "delivery"
)

// Strength is what the recorded requests say about how hard a dependency is,
// whatever is declared. It rests on Effect; see wilson for what "beyond chance"
// means.
type Strength string

// The strengths that can be concluded.
const (
	NotJudged Strength = ""
	Hard      Strength = "hard"     // requests fail with it, beyond chance
	Suspected Strength = "suspect"  // requests failed with it, too few to tell
	FailsOpen Strength = "absorbed" // it failed, and requests were answered
)

// Dependency is one pair of services, declared or seen.
type Dependency struct {
	From, To string // the two services
	State    State  // declared, observed, or both
	// Declared holds the edges of the graph; nil if there are none.
	Declared []depgraph.Edge
	// Kinds, Calls, Errors, Judged, Effect and Sources are those of Edge, summed
	// up over all names that mean these two services.
	Kinds         []Kind
	Calls, Errors int64
	Judged        bool
	Effect        Effect
	Sources       []string
	// Requests counts what From was seen to handle.
	Requests int64
	Strength Strength
	// Why explains State and Strength in a sentence.
	Why string
}

// Soft reports whether every declared edge of run time is soft. Without such an
// edge it is false: what is not declared for run time is not declared soft
// either.
func (d *Dependency) Soft() bool {
	soft := false
	for _, e := range d.Declared {
		if e.Phase&depgraph.Runtime != 0 {
			if !e.Soft {
				return false
			}
			soft = true
		}
	}
	return soft
}

// phases names all phases for which there is a declared edge: each may have one
// of its own.
func (d *Dependency) phases() string {
	var all depgraph.Phase
	for _, e := range d.Declared {
		all |= e.Phase
	}
	return all.String()
}

// Report is the result of Compare. It shares nothing with the graph that a
// caller may change, and is the same for the same input.
type Report struct {
	// Dependencies are all that are declared or were seen, in order of From,
	// then To.
	Dependencies []Dependency
	// Findings are those of DG015, DG016 and DG019, in the order of a check.
	Findings []depgraph.Finding
	Sources  []Source
	// Notes say what the input cannot tell.
	Notes []string
	// Window is the time from the first to the last span, in words.
	Window string
}

// Empty reports whether no dependency was seen, so that there was nothing to
// compare with: the record holds none, or the names leave all of them out.
func (r *Report) Empty() bool {
	return !slices.ContainsFunc(r.Dependencies, func(d Dependency) bool { return len(d.Kinds) > 0 })
}

// Compare judges what was seen by what is declared. Every pair that is declared
// or was seen becomes a Dependency, findings are made of those, and waivers of
// the graph that are in force are applied, with a note of how many there were.
// It costs O(n log n) in edges and changes neither g nor o.
func Compare(g *depgraph.Graph, o *Observed, opts Options) *Report {
	c := comparer{g: g, o: o, opts: opts, pairs: map[pair]*Dependency{}, requests: map[string]int64{}}
	c.opts.MinFailures = cmp.Or(opts.MinFailures, 3)
	c.declared()
	c.observed()
	r := &Report{Sources: o.Sources, Notes: slices.Clone(o.Notes)}
	for _, p := range slices.SortedFunc(maps.Keys(c.pairs), comparePairs) {
		d := c.pairs[p]
		c.judge(d)
		r.Dependencies = append(r.Dependencies, *d)
	}
	r.Findings = c.findings(r.Dependencies)
	// A waiver tolerates a finding until its day is over.
	now, waived := opts.Now, 0
	if now.IsZero() {
		now = time.Now()
	}
	r.Findings = g.Waive(r.Findings, now, func(depgraph.Finding, depgraph.Waiver) { waived++ })
	if waived > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("findings that a waiver tolerates: %d", waived))
	}
	r.Notes = append(r.Notes, append(c.notes, c.honesty(r)...)...)
	if !o.First.IsZero() {
		const layout = "2006-01-02 15:04:05"
		r.Window = fmt.Sprintf("%s to %s UTC", o.First.Format(layout), o.Last.Format(layout))
	}
	return r
}

// pair is two services by their declared names.
type pair struct{ from, to string }

func comparePairs(a, b pair) int {
	return cmp.Or(strings.Compare(a.from, b.from), strings.Compare(a.to, b.to))
}

// comparer is the state of one Compare.
type comparer struct {
	g     *depgraph.Graph
	o     *Observed
	opts  Options
	pairs map[pair]*Dependency
	// requests has the requests of each service by declared name. A service
	// that is there was recorded itself, even with 0 of them; of one that is
	// not, nothing follows from silence.
	requests map[string]int64
	notes    []string
}

// at is the dependency of a pair, which it adds if it is new.
func (c *comparer) at(from, to string) *Dependency {
	p := pair{from, to}
	if c.pairs[p] == nil {
		c.pairs[p] = &Dependency{From: from, To: to}
	}
	return c.pairs[p]
}

// declared adds what the graph says: one dependency a pair, with all its edges,
// in the graph's order.
func (c *comparer) declared() {
	for e := range c.g.Edges() {
		d := c.at(e.From, e.To)
		d.Declared = append(d.Declared, e)
	}
}

// observed adds what was seen, under declared names. Several observed names may
// mean one service; their counts add up. What the names leave out, calls inside
// one service, and names of several namespaces that were taken for one service
// are counted in notes, since each may be a mistake in the names.
func (c *comparer) observed() {
	names := newResolver(c.opts.Names, c.g.Names())
	for _, observed := range slices.Sorted(maps.Keys(c.o.Requests)) {
		if name := names.of(observed); name != Drop {
			c.requests[name] += c.o.Requests[observed]
		}
	}
	dropped, inside := int64(0), []string{}
	for _, e := range c.o.Edges {
		from, to := names.of(e.From), names.of(e.To)
		switch {
		case from == Drop || to == Drop:
			dropped++
			continue
		case from == to:
			inside = append(inside, fmt.Sprintf("%s -> %s (%s)", e.From, e.To, to))
			continue
		}
		d := c.at(from, to)
		d.Calls, d.Errors, d.Judged = d.Calls+e.Calls, d.Errors+e.Errors, d.Judged || e.Judged
		d.Effect.add(e.Effect)
		d.Kinds = slices.Compact(slices.Sorted(slices.Values(append(d.Kinds, e.Kind))))
		d.Sources = slices.Compact(slices.Sorted(slices.Values(append(d.Sources, e.Sources...))))
	}
	if dropped > 0 {
		c.notes = append(c.notes, fmt.Sprintf("pairs of services that the names leave out: %d", dropped))
	}
	if mixed := names.mixed(); len(mixed) > 0 {
		c.notes = append(c.notes, "names of several namespaces that are taken for one service; map them if they are not: "+firstOf(mixed))
	}
	if len(inside) > 0 {
		c.notes = append(c.notes, "calls within one service, by their names: "+firstOf(inside))
	}
}

// judge fills in what follows for one dependency: its state, the reason, and
// the strength.
//
// The cases go from what is certain to what is not. Something that was seen is
// there, whatever is declared. Something that was not seen may only be called
// unobserved if it would have been seen: it is declared for run time, its owner
// was recorded, no alternative was taken in its place, and there were enough
// requests.
func (c *comparer) judge(d *Dependency) {
	d.Requests = c.requests[d.From]
	_, recorded := c.requests[d.From]
	runtime := slices.ContainsFunc(d.Declared, func(e depgraph.Edge) bool { return e.Phase&depgraph.Runtime != 0 })
	seen := len(d.Kinds) > 0
	switch {
	case seen && len(d.Declared) == 0 && slices.Equal(d.Kinds, []Kind{Delivery}):
		d.State, d.Why = NoNeed, "a message went from one to the other; declare the broker that both need"
	case seen && len(d.Declared) == 0:
		d.State = Undeclared
	case seen && !runtime:
		d.State, d.Why = OtherPhase, "it is declared for "+d.phases()+" alone"
	case seen:
		d.State = Agrees
	case !runtime:
		d.State, d.Why = Unknown, "it is declared for "+d.phases()+" alone, which nobody recorded"
	case !recorded:
		d.State, d.Why = Unknown, d.From+" was not recorded at all"
	case c.groupSeen(d):
		d.State, d.Why = Unknown, "another alternative was seen"
	case d.Requests > 0 && d.Requests < minRequests:
		d.State, d.Why = Unknown, fmt.Sprintf("not seen in %s of %s, too few to conclude anything", requests(d.Requests), d.From)
	default:
		d.State = Unobserved
		d.Why = "no source names it"
		if d.Requests > 0 {
			d.Why = fmt.Sprintf("not seen in %s of %s; a call that fewer than 1 in %s of them make would be missed with a chance of 1 in 20 or more",
				requests(d.Requests), d.From, oneIn(d.Requests))
		}
	}
	c.strength(d)
}

// minRequests is how many requests of a service must have been recorded for an
// absence to mean anything: with fewer, even what one in ten requests needs
// would be missed too often.
const minRequests = 30

// oneIn is the rule of three (Hanley and Lippman-Hand 1983): what happens in
// fewer than 3 of n cases is not seen in n with a chance of about 1 in 20.
func oneIn(n int64) string { return fmt.Sprint(max(1, n/3)) }

// groupSeen reports whether d is an alternative, and another one of its group
// was seen: a caller that has what it needs does not try the rest.
func (c *comparer) groupSeen(d *Dependency) bool {
	for _, e := range d.Declared {
		if e.Group == 0 {
			continue
		}
		for _, o := range c.g.EdgesFrom(d.From) {
			if other := c.pairs[pair{o.From, o.To}]; o.Group == e.Group && o.To != d.To && other != nil && len(other.Kinds) > 0 {
				return true
			}
		}
	}
	return false
}

// strength concludes from how requests ended. The failures that the dependency
// has to answer for must be more than those that happen anyway: the lower end
// of the one share must be above the upper end of the other, both as Wilson
// score intervals of 95%. So a service that fails all the time proves nothing
// about what it calls.
//
// Why gets the numbers behind it, in a sentence that a reader can check.
// Requests of which nobody can tell are named and not counted.
func (c *comparer) strength(d *Dependency) {
	e := d.Effect
	failed := e.Propagated + e.Absorbed
	if failed == 0 {
		return
	}
	anyway := e.Otherwise + e.Fine
	low, _ := wilson(e.Propagated, failed)
	_, high := wilson(e.Otherwise, anyway)
	text := fmt.Sprintf("in %d of %s in which %s failed, %s failed as well", e.Propagated, requests(failed), d.To, d.From)
	if anyway > 0 {
		text += fmt.Sprintf(" (and in %d of %d in which it worked)", e.Otherwise, anyway)
	}
	switch {
	case e.Propagated == 0:
		d.Strength = FailsOpen
		text = fmt.Sprintf("%s failed in %s, all of which %s answered", d.To, requests(failed), d.From)
	case e.Propagated >= c.opts.MinFailures && low > high:
		d.Strength = Hard
	default:
		d.Strength = Suspected
		text += ", too few to tell it from chance"
	}
	if e.Unclear > 0 {
		text += fmt.Sprintf("; %d more cannot be judged", e.Unclear)
	}
	d.Why = strings.TrimPrefix(d.Why+"; "+text, "; ")
}

// requests counts them, in words.
func requests(n int64) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// recorded counts traces, with the verb.
func recorded(traces int) string {
	if traces == 1 {
		return "1 trace was recorded"
	}
	return fmt.Sprintf("%d traces were recorded", traces)
}

// wilson is the score interval of 95% for k of n (Wilson 1927). Of no cases
// nothing is known: from 0 to 1 - but for a base rate, which is then taken to
// be no more than a half.
func wilson(k, n int64) (low, high float64) {
	if n == 0 {
		return 0, 0.5
	}
	const z = 1.959963984540054
	p, m := float64(k)/float64(n), float64(n)
	centre := p + z*z/(2*m)
	spread := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return (centre - spread) / (1 + z*z/m), (centre + spread) / (1 + z*z/m)
}

// honesty says what nobody can conclude from the sources, each note only if it
// applies: traces are a sample, counters cannot show what an error led to, an
// address is no call, and services that were not recorded are not judged.
func (c *comparer) honesty(r *Report) (notes []string) {
	traces, counted, addresses, judged := 0, 0, 0, false
	for _, s := range c.o.Sources {
		traces += s.Traces
		switch {
		case s.Format == "addresses in a configuration":
			addresses++
		case s.Spans == 0:
			counted++
		}
	}
	for i := range r.Dependencies {
		judged = judged || r.Dependencies[i].Effect != Effect{}
	}
	if traces > 0 {
		notes = append(notes, fmt.Sprintf("only %s; whatever was not sampled, or happens at other times (a deployment, the end of the month, a failover), is missing", recorded(traces)))
	}
	if counted > 0 && !judged {
		notes = append(notes, "sources that only count calls cannot show whether an error of a dependency became an error of its caller; use spans or package observe")
	}
	if addresses > 0 {
		notes = append(notes, "an address in a configuration is not a call: it only says that a dependency is possible")
	}
	silent := []string{}
	for s := range c.g.Services() {
		if _, ok := c.requests[s.Name]; !ok && len(s.Depends) > 0 {
			silent = append(silent, s.Name)
		}
	}
	if len(silent) > 0 {
		notes = append(notes, fmt.Sprintf("nothing was recorded of %s, so their dependencies are not judged", firstOf(silent)))
	}
	return notes
}

// firstOf lists up to ten names and counts the others.
func firstOf(names []string) string {
	if n := len(names); n > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), n-10)
	}
	return strings.Join(names, ", ")
}

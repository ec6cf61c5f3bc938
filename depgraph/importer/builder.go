package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// builder collects services and what is claimed about the edges between them. Every
// importer embeds one; the order in which it is fed does not matter, except that the
// first place that names a service becomes the service's source.
type builder struct {
	services map[string]*depgraph.Service
	edges    map[edgeKey]*edge
	result   Result
}

// edgeKey names an edge. That on a group of alternatives has all of their names
// in to, in order, so that two claims about the same alternatives meet; any keeps
// it apart from an edge on one service, whose name may hold whatever it likes.
type edgeKey struct {
	from, to string
	any      bool
}

// claim is what one place in a source says about an edge.
type claim struct {
	// start says how far the other service must be before the owner is
	// launched; UntilUnknown: nothing is said about the start.
	start depgraph.Until
	// weak orders the start without requiring anything.
	weak bool
	// runtime says that the edge is needed at run time.
	runtime bool
	// soft and assumed say so of the parts that this claim is about.
	soft, assumed bool
	// evident outweighs what is merely assumed, although it is itself: that an
	// address is for telemetry says more than that it is waited for.
	evident bool
	// kind is the word for the sort of place, source the whole: FILE:LINE KIND
	// DETAIL. The builder sets both.
	kind, source string
}

// The claims that most sources make.
var (
	hardRuntime = claim{runtime: true}
	hardBoth    = claim{start: depgraph.Serving, runtime: true}
)

// edge is what all claims about one pair of services come to. An edge without claims
// does not exist.
type edge struct {
	claims   []claim
	anyOf    []string // alternatives, in order; nil: the edge leads to one service
	need     int      // of alternatives; 0 means one
	liveness bool
	at       depgraph.Position
}

// newBuilder returns an empty builder. Skipped stays nil until something is skipped:
// most imports skip nothing.
func newBuilder() *builder {
	return &builder{
		services: map[string]*depgraph.Service{}, edges: map[edgeKey]*edge{},
		result: Result{Sources: map[string]int{}},
	}
}

// warnf notes what was seen and not understood. By convention the text begins with its
// place, "file:line: "; finish sorts and drops repetitions, so callers in a loop need
// not care.
func (b *builder) warnf(format string, args ...any) {
	b.result.Warnings = append(b.result.Warnings, fmt.Sprintf(format, args...))
}

// skip counts what was seen and left out, by sort: the text before the colon.
// What stands behind it names one case.
func (b *builder) skip(what string) {
	sort, _, _ := strings.Cut(what, ": ")
	if b.result.Skipped == nil {
		b.result.Skipped = map[string][]string{}
	}
	b.result.Skipped[sort] = append(b.result.Skipped[sort], strings.TrimPrefix(what, sort+": "))
}

// errorAt is an error with its place in front. The format may wrap with %w.
func errorAt(at depgraph.Position, format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{at}, args...)...)
}

// observes reports whether a service only watches others.
func (b *builder) observes(service string) bool {
	return b.services[service].Kind == depgraph.Observer
}

// service returns the service of that name, made with its place if nobody has named it.
// The pointer stays valid until finish, and callers set Kind, Note and so on through
// it; Depends belongs to finish.
func (b *builder) service(name string, at depgraph.Position) *depgraph.Service {
	s := b.services[name]
	if s == nil {
		s = &depgraph.Service{Name: name, Source: at.String(), At: at}
		b.services[name] = s
	}
	return s
}

// depend adds a claim and its source to an edge, and returns the edge; nil for
// a self-reference, which is common in environments and left out.
func (b *builder) depend(from, to string, c claim, kind, detail string, at depgraph.Position) *edge {
	if from == to {
		return nil
	}
	return b.claim(edgeKey{from: from, to: to}, c, kind, detail, at)
}

// claim adds a claim to the edge of that key, made if necessary. The edge stands
// where the first of its claims does, by file and line; a kind is counted once an
// edge, however often it is claimed.
func (b *builder) claim(key edgeKey, c claim, kind, detail string, at depgraph.Position) *edge {
	// An edge is made by its first claim.
	e := b.edges[key]
	if e == nil {
		e = &edge{at: at}
		b.edges[key] = e
	}
	if p := e.at; at.File < p.File || at.File == p.File && at.Line < p.Line {
		e.at = at
	}
	if !slices.ContainsFunc(e.claims, func(c claim) bool { return c.kind == kind }) {
		b.result.Sources[kind]++
	}
	c.kind, c.source = kind, at.String()+" "+kind+" "+detail
	e.claims = append(e.claims, c)
	return e
}

// dependAny is depend on a group of alternatives, one of which is enough unless the
// caller raises the edge's need. One alternative alone is an ordinary edge. It returns
// nil if the owner is one of them: what is balanced over itself as well needs nobody
// else.
func (b *builder) dependAny(from string, to []string, c claim, kind, detail string, at depgraph.Position) *edge {
	to = slices.Compact(slices.Sorted(slices.Values(to)))
	if slices.Contains(to, from) { // what is balanced over itself as well needs nobody else
		return nil
	}
	if len(to) == 1 {
		return b.depend(from, to[0], c, kind, detail, at)
	}
	e := b.claim(edgeKey{from: from, to: strings.Join(to, "\x00"), any: true}, c, kind, detail, at)
	e.anyOf = to
	return e
}

// finish turns what was collected into the result: services by name, each with its
// dependencies in order of what they lead to, warnings sorted. Edges are kept in a map,
// and sorting them is what makes the output the same each time. The builder must not be
// used afterwards. O(E log E) for E edges.
func (b *builder) finish() *Result {
	keys := make([]edgeKey, 0, len(b.edges))
	for k := range b.edges {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y edgeKey) int {
		return cmp.Or(cmp.Compare(x.from, y.from), cmp.Compare(x.to, y.to), cmp.Compare(len(b.edges[x].anyOf), len(b.edges[y].anyOf)))
	})
	for _, k := range keys {
		s := b.services[k.from]
		s.Depends = append(s.Depends, b.edges[k].dependencies(k.to)...)
	}
	for _, s := range b.services {
		b.result.Services = append(b.result.Services, *s)
	}
	for _, s := range b.result.Services {
		for _, d := range s.Depends {
			if d.Assumed {
				b.result.Guessed++
			}
		}
	}
	slices.SortFunc(b.result.Services, func(x, y depgraph.Service) int { return strings.Compare(x.Name, y.Name) })
	slices.Sort(b.result.Warnings)
	b.result.Warnings = slices.Compact(b.result.Warnings)
	return &b.result
}

// dependencies sums up the claims about one edge: one dependency for the start and one
// for the run time, or a single one for both if they say the same and the start waits
// until the other one serves. (An earlier step, such as "until started", would say
// nothing about run time.)
//
// A known need outweighs an assumed one, and hard outweighs soft. Each dependency has
// the sources of all claims about its half, so that a reader who doubts one finds every
// place that says so.
func (e *edge) dependencies(to string) []depgraph.Dependency {
	// What both halves share: where it leads, and its place.
	base := depgraph.Dependency{On: to, At: e.at}
	if e.anyOf != nil {
		base.On, base.AnyOf, base.Need = "", e.anyOf, max(1, e.need)
	}
	// Each half goes by the claims that are about it alone.
	start, startSources := strongest(e.claims, func(c claim) bool { return c.start != depgraph.UntilUnknown })
	run, runSources := strongest(e.claims, func(c claim) bool { return c.runtime })
	starts, runs := startSources != nil, runSources != nil
	var deps []depgraph.Dependency
	if starts {
		d := base
		d.Source = join(startSources)
		d.Phase, d.Until, d.Weak, d.Soft, d.Assumed = depgraph.Startup, start.start, start.weak, start.soft && !start.weak, start.assumed
		if d.Until == depgraph.Serving {
			d.Until = depgraph.UntilUnknown
		}
		deps = append(deps, d)
	}
	if runs {
		d := base
		d.Source = join(runSources)
		d.Phase, d.Soft, d.Assumed, d.Liveness = depgraph.Runtime, run.soft, run.assumed, e.liveness && !run.soft
		// Both say the same: one dependency is easier to read and to edit than two.
		if starts && !start.weak && deps[0].Until == depgraph.UntilUnknown && start.soft == run.soft && start.assumed == run.assumed {
			deps[0].Phase, deps[0].Liveness = depgraph.Startup|depgraph.Runtime, d.Liveness
			deps[0].Source = join(append(startSources, runSources...))
		} else {
			deps = append(deps, d)
		}
	}
	return deps
}

// strongest returns, of the claims for which about holds, the one that outweighs the
// others, and the sources of all of them. Each bit of the weight outweighs all bits
// below: first that something is known or evident, then that it is hard, then that it
// is not weak, and last how long the start has to wait. Of equal ones, the first
// counts. No sources: nothing was claimed.
func strongest(claims []claim, about func(claim) bool) (best claim, sources []string) {
	weight := func(c claim) int {
		w := int(c.start)
		if !c.weak {
			w += 8
		}
		if !c.soft {
			w += 16
		}
		if !c.assumed || c.evident {
			w += 32
		}
		return w
	}
	for _, c := range claims {
		if !about(c) {
			continue
		}
		if sources == nil || weight(c) > weight(best) {
			best = c
		}
		sources = append(sources, c.source)
	}
	return best, sources
}

// maxSources bounds how many places an edge names: a service with fifty variables for
// one database would fill a page. What is cut is counted.
const maxSources = 4

// join writes sources in one text, sorted and each once, so that it does not depend on
// the order of claims. It changes nothing in its argument.
func join(sources []string) string {
	sources = slices.Clone(sources)
	slices.Sort(sources)
	sources = slices.Compact(sources)
	if more := len(sources) - maxSources; more > 0 {
		sources = append(sources[:maxSources:maxSources], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(sources, "; ")
}

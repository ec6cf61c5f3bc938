package depgraph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// MinutesPerYear is what an unavailability of 1 costs in a year of 365 days.
const MinutesPerYear = 365 * 24 * 60

// AvailOptions changes the question. The zero value asks about the graph as
// it is.
type AvailOptions struct {
	// Soften lists edges to count as soft: what would be gained?
	Soften []EdgeRef
	// Own replaces the own availability of services, in percent.
	Own map[string]float64
	// Savings asks for the gain of softening each hard dependency of the
	// service itself. It costs one more computation for each of them.
	Savings bool
	// MaxNodes limits the decision diagram; zero means 2,000,000 (about
	// 100 MiB). Beyond it, the result is an estimate.
	MaxNodes int
	// Samples is the size of the estimate; zero means 200,000.
	Samples int
}

// EdgeRef names an edge.
type EdgeRef struct{ From, To string }

// Avail is the availability of a service together with everything it needs.
type Avail struct {
	Service string // the service that was asked about
	// Availability is the share of time, between 0 and 1, in which the service
	// and all that it needs at run time are up. Each shared dependency counts
	// once.
	Availability float64
	// Exact is false if the structure was too large for the decision diagram.
	// Then Availability is a Monte Carlo estimate with StdErr, and the truth
	// is certainly between Low and High.
	Exact             bool
	Low, High, StdErr float64
	// Target is what the manifest promises, as a share; 0 means nothing.
	Target float64
	// Importance lists what costs availability, the most costly first. Costs that
	// differ by less than can be computed, some 30 microseconds a year, are equal,
	// and in order of name.
	Importance []Importance
	// Savings is filled if asked for, the greatest first, equal ones in order of
	// name. What saves nothing is left out.
	Savings []Saving
	// Assumed names the services without a declared availability; they count
	// as always up.
	Assumed []string
	// Doubts question declared numbers that look like fractions, each with the
	// name of its service.
	Doubts []string
	// Needs is the number of services that can take this one down, alone or
	// together with others, itself included.
	Needs int
}

// Declared counts the services behind the result, the service itself included,
// that say how available they are, and all of them. If none does, nothing is
// known, whatever Availability is.
func (a *Avail) Declared() (declared, of int) { return a.Needs - len(a.Assumed), a.Needs }

// Importance is what one service costs another.
type Importance struct {
	Service string // its name
	// Birnbaum is the derivative of the availability by that of the service:
	// the probability that it makes the difference (Birnbaum 1969).
	Birnbaum float64
	// MinutesPerYear is what a service that never failed would save.
	MinutesPerYear float64
}

// Saving is what making one edge soft would save.
type Saving struct {
	Edge           EdgeRef // the edge to make soft
	MinutesPerYear float64 // of down time that it saves
}

// Availability computes the availability of one service.
//
// It assumes that services fail independently; what they share (a region, DNS,
// credentials, a configuration channel) must be a service of the graph. It is
// exact unless said: services whose loss alone is fatal multiply; what is left
// of the any-of groups is split into parts that share nothing, and each part
// is a binary decision diagram. Cycles count as up unless something is down
// (the greatest fixpoint).
//
// A service without a declared availability counts as always up and is listed in Assumed.
// Only needs of the run time count: a deploy that fails loses no request.
func (g *Graph) Availability(ctx context.Context, name string, o AvailOptions) (*Avail, error) {
	v, ok := g.index[name]
	if !ok {
		return nil, g.unknown(name)
	}
	soft, err := g.softened(o.Soften)
	if err != nil {
		return nil, err
	}
	for other, percent := range o.Own {
		if _, ok := g.index[other]; !ok {
			return nil, g.unknown(other)
		}
		if !(percent > 0 && percent <= 100) {
			return nil, fmt.Errorf("depgraph: AvailOptions.Own[%q] is %v; it is a percentage above 0, up to 100", other, percent)
		}
	}
	a := newAvailability(g, v, soft, o)
	res, err := a.solve(ctx)
	if err != nil || !o.Savings {
		return res, err
	}
	res.Savings, err = g.savings(ctx, v, res, o)
	return res, err
}

// softened resolves the edges of AvailOptions.Soften to their numbers, all edges
// between the two services, whatever their phase. An edge that is not there is an
// error: a question about it would be answered as if nothing changed.
//
// Numbers are of edges, as rows have them.
func (g *Graph) softened(refs []EdgeRef) (map[int32]bool, error) {
	soft := map[int32]bool{}
	for _, r := range refs {
		v, ok := g.index[r.From]
		if !ok {
			return nil, g.unknown(r.From)
		}
		found := false
		for e := g.out[v]; e < g.out[v+1]; e++ {
			if g.services[g.to[e]].Name == r.To {
				found = true
				g.softenEdge(v, e, soft)
			}
		}
		if !found {
			return nil, fmt.Errorf("depgraph: there is no edge from %q to %q", r.From, r.To)
		}
	}
	return soft, nil
}

// softenEdge marks an edge, and with it the whole group it belongs to if that can lose
// a member: a group with one soft member is no question that anybody asks.
func (g *Graph) softenEdge(v, e int32, soft map[int32]bool) {
	soft[e] = true
	if g.flags[e]&fGroup == 0 {
		return
	}
	for other := g.out[v]; other < g.out[v+1]; other++ {
		if g.group[other] == g.group[e] {
			soft[other] = true
		}
	}
}

// maxSavings bounds the number of extra computations: each of them solves the whole
// question again.
const maxSavings = 100

// savings asks, for each hard runtime dependency of the service itself, what softening
// it alone would gain, beside what is softened already. Estimates are left out: the
// difference of two of them is mostly noise. Edges to one service count once, as
// softening is asked for by names.
//
// o is a copy; base is the answer without any of these. At most maxSavings are computed, in
// order of name.
func (g *Graph) savings(ctx context.Context, v int32, base *Avail, o AvailOptions) ([]Saving, error) {
	o.Savings = false
	already := o.Soften
	var all []Saving
	for e := g.out[v]; e < g.out[v+1] && len(all) < maxSavings; e++ {
		f := g.flags[e]
		if f&fRuntime == 0 || f&fSoft != 0 || e > g.out[v] && g.to[e] == g.to[e-1] {
			continue
		}
		ref := EdgeRef{g.services[v].Name, g.services[g.to[e]].Name}
		o.Soften = append(slices.Clip(already), ref)
		better, err := g.Availability(ctx, ref.From, o)
		if err != nil {
			return nil, err
		}
		saved := better.Availability - base.Availability
		if share(saved) > 0 && better.Exact && base.Exact {
			all = append(all, Saving{ref, saved * MinutesPerYear})
		}
	}
	slices.SortFunc(all, func(a, b Saving) int {
		return cmp.Or(compareCosts(b.MinutesPerYear, a.MinutesPerYear), strings.Compare(a.Edge.To, b.Edge.To))
	})
	return all, nil
}

// share is a share of time, or a difference of two, in steps of 2^-40: some 30
// microseconds a year. Results are sums and products of numbers up to 1, so each is off by
// a few times 2^-53; two that should be equal nearly always fall on the same step, and what
// should be nothing falls on 0. The step is no decimal fraction, so that products of
// percentages, which are, do not lie just between two of them.
//
// Rounding, and not a tolerance: "differs by less than so much" is no order, since it can
// hold of neighbours in a row and not of its ends.
func share(x float64) float64 { return math.Round(x * (1 << 40)) }

// compareCosts orders minutes a year by their steps.
func compareCosts(a, b float64) int {
	return cmp.Compare(share(a/MinutesPerYear), share(b/MinutesPerYear))
}

// availability solves one question on the part of the graph that matters, what the root
// needs at run time. Its vertices are numbered on their own, in n.
type availability struct {
	g       *Graph
	n       *net
	root    int32
	opts    AvailOptions
	own     []float64 // of each vertex of n
	forced  []bool    // loss alone takes the root down
	gain    []float64 // derivative of the result, by vertex
	assumed []string
	doubts  []string
}

// newAvailability cuts the part of the graph out that the root v reaches over edges
// that are not softened, and gives each service its own availability: that of the
// options, else the declared one, else 1, which is told as assumed.
func newAvailability(g *Graph, v int32, soft map[int32]bool, o AvailOptions) *availability {
	verts := g.reachable(v, soft)
	local := func(w int32) int32 {
		i, _ := slices.BinarySearch(verts, w)
		return int32(i)
	}
	a := &availability{g: g, n: g.netOf(verts, local, soft), root: local(v), opts: o, own: make([]float64, len(verts)), gain: make([]float64, len(verts))}
	for i, w := range verts {
		s := &g.services[w]
		percent, given := o.Own[s.Name]
		if !given {
			percent = ownPercent(s)
			for _, doubt := range s.Availability.doubts() {
				a.doubts = append(a.doubts, s.Name+": "+doubt)
			}
		}
		if percent == 0 {
			percent = 100
			a.assumed = append(a.assumed, s.Name)
		}
		a.own[i] = percent / 100
	}
	return a
}

// ownPercent is the declared own availability. What is somebody else's and
// declares only a target publishes it: that is all one can know.
func ownPercent(s *Service) float64 {
	if s.Availability.Own == 0 && (s.Kind == Cloud || s.Kind == External) {
		return s.Availability.Target
	}
	return s.Availability.Own
}

// solve multiplies three things: the availability of everything that is forced, and of
// each open part, whose probability a decision diagram computes exactly. If one part is
// too large for that, the whole is estimated.
//
// The derivative of a product by one factor is the product divided by it; so each part
// gets its derivatives alone first and is scaled afterwards.
func (a *availability) solve(ctx context.Context) (*Avail, error) {
	if err := a.findForced(ctx); err != nil {
		return nil, err
	}
	// What is forced is up or nothing is, whatever else happens, so it multiplies and
	// needs no diagram. That is all there is in a graph without groups.
	series := 1.0
	for i, f := range a.forced {
		if f {
			series *= a.own[i]
		}
	}
	res := &Avail{
		Service: a.g.services[a.n.verts[a.root]].Name, Exact: true, Needs: len(a.own), Assumed: a.assumed, Doubts: a.doubts,
		Target: a.g.services[a.n.verts[a.root]].Availability.Target / 100,
	}
	parts := a.openParts()
	value := series
	// The derivatives of each part need the product of the others, so they are scaled
	// in a second loop.
	probabilities := make([]float64, len(parts))
	for i, p := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if probabilities[i], err = p.exact(a.opts.MaxNodes); errors.Is(err, errTooLarge) {
			return a.estimate(ctx, res, series, parts)
		}
		value *= probabilities[i]
	}
	for i, p := range parts {
		if probabilities[i] > 0 {
			p.scale(value / probabilities[i])
		}
	}
	for i, f := range a.forced {
		if f && a.own[i] > 0 {
			a.gain[i] = value / a.own[i]
		}
	}
	res.Availability, res.Low, res.High = value, value, value
	res.Importance = a.importance()
	return res, nil
}

// findForced finds the services whose loss alone takes the root down: the
// root, its hard dependencies, and what the alternatives of a group share.
//
// One pass over the part of the graph that matters answers that for all of it, see
// impact.go.
func (a *availability) findForced(ctx context.Context) error {
	a.forced = make([]bool, len(a.own))
	return a.n.impact(ctx, nil, func(block int, p *impactPass) {
		for bit := 0; bit < blockSize && block*blockSize+bit < len(a.forced); bit++ {
			a.forced[block*blockSize+bit] = p.of(a.root).has(bit)
		}
	})
}

// importance lists the services that cost anything, the most costly first; of equal
// ones, in order of name. A cost is the derivative times what the service itself lacks.
// A derivative that is no more than rounding is nothing: it would be there for one member
// of a group and not for the next.
func (a *availability) importance() []Importance {
	var all []Importance
	for i, gain := range a.gain {
		if minutes := gain * (1 - a.own[i]) * MinutesPerYear; minutes > 0 && share(gain) > 0 {
			all = append(all, Importance{a.g.services[a.n.verts[i]].Name, gain, minutes})
		}
	}
	slices.SortFunc(all, func(x, y Importance) int {
		return cmp.Or(compareCosts(y.MinutesPerYear, x.MinutesPerYear), strings.Compare(x.Service, y.Service))
	})
	return all
}

package drill

import (
	"cmp"
	"slices"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Planned is one edge of a graph and what a drill of it should show.
// Status and Rules are for soft edges only: nothing is to prove of a hard one.
type Planned struct {
	Service, Dependency string // the edge
	// Soft edges must hold. Hard ones are expected to deviate: a drill of
	// one measures how far its loss is felt.
	Soft   bool
	At     depgraph.Position
	Status depgraph.ProofStatus
	// Rules cut the dependency by its name, in the ways that services
	// mistake for one another: refused, and never answered.
	Rules []fault.Rule
}

// Plan lists the edges of the run time, soft ones first, by name. proofs may be
// nil.
// A proof counts if it is not older than maxAge at now, and is of the evidence that
// the manifest gives; see [depgraph.Proofs.Status].
func Plan(g *depgraph.Graph, proofs *depgraph.Proofs, now time.Time, maxAge time.Duration) []Planned {
	var all []Planned
	for e := range g.Edges() {
		if e.Weak || e.Phase&depgraph.Runtime == 0 {
			continue
		}
		p := Planned{Service: e.From, Dependency: e.To, Soft: e.Soft, At: e.At}
		if e.Soft {
			p.Status = proofs.Status(e.From, e.To, e.Evidence, now, maxAge)
			p.Rules = []fault.Rule{
				{Service: e.To, Net: fault.Refuse, Every: 2},
				{Service: e.To, Net: fault.BlackHole},
			}
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b Planned) int {
		return cmp.Or(boolOrder(b.Soft, a.Soft), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Dependency, b.Dependency))
	})
	return all
}

// boolOrder sorts false before true, as cmp.Compare would if it took booleans.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

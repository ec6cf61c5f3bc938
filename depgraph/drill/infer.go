package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Strength is what a dependency was seen to be.
type Strength string

// The strengths.
const (
	Soft    Strength = "soft"    // the service kept serving, whatever was done to it
	Hard    Strength = "hard"    // it did not
	Unused  Strength = "unused"  // the service never called it while it was cut
	Unknown Strength = "unknown" // the drills could not tell: see Why
)

// Inferred is what cutting one dependency has shown.
type Inferred struct {
	Dependency string   `json:"dependency"`    // the one that was cut
	Strength   Strength `json:"strength"`      // what the service did without it
	Why        string   `json:"why,omitempty"` // the fault that decided, and what it did
	Cells      []Cell   `json:"cells"`         // what was tried
}

// Infer finds out which dependencies are soft: each is cut in turn, in each of
// the ways that faults names, until one deviates. start is as for [Matrix]. In a
// testing/synctest bubble an outage of hours takes a moment; against a service
// in another process, it takes its time.
// The first fault that deviates decides and ends a dependency's drills; a soft one
// costs all of them. With an error, what was found so far is returned with it.
func Infer(ctx context.Context, dependencies []string, faults func(dependency string) []NamedFault,
	start func(dependency string, rules []fault.Rule) (e Experiment, end func() error, err error),
) ([]Inferred, error) {
	var all []Inferred
	for _, dependency := range dependencies {
		in := Inferred{Dependency: dependency}
		ways, err := namedFaults(dependency, faults)
		if err != nil {
			return all, err
		}
		for _, f := range ways {
			cells, err := Matrix(ctx, []string{dependency}, func(string) []NamedFault { return []NamedFault{f} }, start)
			in.Cells = append(in.Cells, cells...)
			if err != nil {
				return all, err
			}
			if cells[0].Verdict == Deviated {
				break // nothing softens it again
			}
		}
		in.judge()
		all = append(all, in)
	}
	return all, nil
}

// judge reads the strength from what was tried.
// One deviation outweighs all else. Next comes a drill that could not tell, since it
// might have deviated. Void counts only if all are: a fault of a kind that this
// service never runs into says nothing beside one that held.
func (in *Inferred) judge() {
	of := func(v Verdict) (cells []Cell) {
		for _, c := range in.Cells {
			if c.Verdict == v {
				cells = append(cells, c)
			}
		}
		return cells
	}
	deviated, held, void := of(Deviated), of(Held), of(Void)
	rest := slices.Concat(of(NotStarted), of(Aborted))
	switch {
	case len(deviated) > 0:
		in.Strength, in.Why = Hard, deviated[0].Fault+": "+deviated[0].Reason
	case len(rest) > 0:
		in.Strength, in.Why = Unknown, fmt.Sprintf("%s: %s: %s", rest[0].Fault, rest[0].Verdict, rest[0].Reason)
	case len(held) > 0:
		in.Strength = Soft
	case len(void) > 0:
		in.Strength, in.Why = Unused, "it was never called while it was cut"
	default:
		in.Strength, in.Why = Unknown, "nothing was tried"
	}
}

// A Difference is an edge of which the manifests say one thing and the drills
// another.
type Difference struct {
	Service    string            `json:"service"`       // the edge
	Dependency string            `json:"dependency"`    // its other end
	Declared   string            `json:"declared"`      // "soft", "hard", "any 1 of 2" …, or "not declared"
	Found      Strength          `json:"found"`         // what the drill found
	At         depgraph.Position `json:"-"`             // where the manifest declares it
	Position   string            `json:"at,omitempty"`  // At as text
	Why        string            `json:"why,omitempty"` // in words
}

// String is one line for a terminal: FILE:LINE: what is declared and what was found,
// and why. Without a position it starts with the edge.
func (d Difference) String() string {
	var b strings.Builder
	if d.Position != "" {
		b.WriteString(d.Position + ": ")
	}
	if d.Declared == notDeclared {
		fmt.Fprintf(&b, "%s -> %s is not declared, and is %s", d.Service, d.Dependency, d.Found)
	} else {
		fmt.Fprintf(&b, "%s -> %s is declared %s, and is %s", d.Service, d.Dependency, d.Declared, d.Found)
	}
	if d.Why != "" {
		b.WriteString(": " + d.Why)
	}
	return b.String()
}

const notDeclared = "not declared"

// Differences are the edges of a service whose declaration is not what was
// found, in the order of inferred. A member of a group of alternatives is hard
// or soft only with the others, and is left out; so is what is unknown.
// g may be nil: then nothing is declared. An edge that is declared and was never
// called is told whatever it is declared: nothing was shown of it.
func Differences(g *depgraph.Graph, service string, inferred []Inferred) []Difference {
	var all []Difference
	edges := RuntimeEdges(g, service)
	for _, in := range inferred {
		d := Difference{Service: service, Dependency: in.Dependency, Declared: notDeclared, Found: in.Strength, Why: in.Why}
		i := slices.IndexFunc(edges, func(e depgraph.Edge) bool { return e.To == in.Dependency })
		if i >= 0 {
			e := edges[i]
			d.Declared, d.At, d.Position = e.Strength(), e.At, e.At.String()
			if e.Group > 0 || e.Soft == (in.Strength == Soft) && in.Strength != Unused {
				continue
			}
		}
		if in.Strength == Unknown || i < 0 && in.Strength == Unused {
			continue
		}
		all = append(all, d)
	}
	return all
}

// RuntimeEdges are the dependencies that a service has while it serves.
// Weak edges and those of other phases are left out: cutting them while the service
// serves shows nothing. It is nil if g is, or does not know the service; the list is
// the caller's.
func RuntimeEdges(g *depgraph.Graph, service string) []depgraph.Edge {
	if g == nil || !g.Has(service) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(g.EdgesFrom(service)), func(e depgraph.Edge) bool { return e.Weak || e.Phase&depgraph.Runtime == 0 })
}

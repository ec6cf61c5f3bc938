package depgraph

import (
	"cmp"
	"fmt"
	"strings"
)

// This file holds the rules that look at services and edges, in the order of the table in
// rules.go; those about cycles are in check.go. Each has a number of the form DG000, by
// which it is switched off, waived and explained.

// tierInversion is DG004: a service needs one that is less critical, and alternatives
// do not help. One whose criticality is not said is left alone.
//
// A service that does not say its own criticality counts as the least critical of all, so
// it is never reported either.
func (c *checker) tierInversion(r *Rule) error {
	return c.edges(r, func(v, e int32) string {
		a, b := &c.g.services[v], &c.g.services[c.g.to[e]]
		if c.g.flags[e]&(fSoft|fGroup) != 0 || b.Criticality == CriticalityUnknown || b.Criticality >= a.Criticality {
			return ""
		}
		return fmt.Sprintf("%s (%s) has a hard dependency on %s (%s)", a.Name, a.Criticality, b.Name, b.Criticality)
	})
}

// sloInversion is DG005: a dependency should fail a tenth as often as what needs it
// may, the rule of the extra nine (Treynor and others, The Calculus of Service
// Availability, 2017). Numbers that differ only by rounding are equal.
//
// The promise of the dependency is its target or, without one, its own availability; a
// dependency or a service that promises nothing is left alone.
func (c *checker) sloInversion(r *Rule) error {
	return c.edges(r, func(v, e int32) string {
		a, b := &c.g.services[v], &c.g.services[c.g.to[e]]
		promised := cmp.Or(b.Availability.Target, b.Availability.Own)
		target := a.Availability.Target
		if !hardRuntime.has(c.g.flags[e]) || target == 0 || promised == 0 {
			return ""
		}
		needed := 100 - (100-target)/10
		if promised >= needed-1e-9 {
			return ""
		}
		return fmt.Sprintf("%s targets %v%%, so %s should promise %.6g%% and promises %v%%", a.Name, target, b.Name, needed, promised)
	})
}

// liveness is DG006: a liveness check that touches a dependency, soft or not.
//
// How the platform restarts does not depend on how the service copes.
func (c *checker) liveness(r *Rule) error {
	return c.edges(r, func(v, e int32) string {
		if c.g.flags[e]&fLiveness == 0 {
			return ""
		}
		return fmt.Sprintf("the liveness check of %s touches %s", c.g.services[v].Name, c.g.services[c.g.to[e]].Name)
	})
}

// controlPlane is DG007: a hard need of the start, on a control plane.
//
// At run time the same edge is an ordinary need.
func (c *checker) controlPlane(r *Rule) error {
	return c.edges(r, func(v, e int32) string {
		if f := c.g.flags[e]; !hardStartup.has(f) || f&fControl == 0 {
			return ""
		}
		return fmt.Sprintf("%s needs the control plane of %s to start", c.g.services[v].Name, c.g.services[c.g.to[e]].Name)
	})
}

// dangling is DG008: with Options.AllowUndeclared, what others name and nobody
// declares. Only the first few get a hint about a name that is near, since each costs a
// comparison with all names.
func (c *checker) dangling(r *Rule) error {
	var known []string
	for i := range c.g.services {
		if !c.g.services[i].Undeclared {
			known = append(known, c.g.services[i].Name)
		}
	}
	hints := 0
	return c.edges(r, func(v, e int32) string {
		name := c.g.services[c.g.to[e]].Name
		if !c.g.services[c.g.to[e]].Undeclared {
			return ""
		}
		msg := fmt.Sprintf("%s depends on %q, which is not declared", c.g.services[v].Name, name)
		if hints++; hints <= maxHints {
			if near := nearest(name, known); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", near)
			}
		}
		return msg
	})
}

// noOwner is DG009. It leaves out what somebody else runs, and what nobody declared: DG008
// is about that.
func (c *checker) noOwner(r *Rule) error {
	for i := range c.g.services {
		s := &c.g.services[i]
		if s.Owner == "" && s.Kind != Cloud && s.Kind != External && !s.Undeclared {
			c.report(r, Finding{Service: s.Name, Message: s.Name + " has no owner", At: s.At})
		}
	}
	return nil
}

// implausible is DG018, for both numbers of a service.
func (c *checker) implausible(r *Rule) error {
	for i := range c.g.services {
		s := &c.g.services[i]
		for _, text := range s.Availability.doubts() {
			c.report(r, Finding{Service: s.Name, Message: s.Name + ": availability." + text, At: s.At})
		}
	}
	return nil
}

// doubts questions numbers that are probably fractions.
//
// Up to 1 the fraction is certain enough to propose the percentage; from there to 50 only
// the number is doubted. Availability questions the numbers that it used by the same words.
func (a Availability) doubts() (doubts []string) {
	for _, f := range []struct {
		name  string
		value float64
	}{{"target", a.Target}, {"own", a.Own}} {
		switch {
		case f.value > 0 && f.value <= 1:
			doubts = append(doubts, fmt.Sprintf("%s is %s%%; did you mean %.10g?", f.name, number(f.value), f.value*100))
		case f.value > 0 && f.value < 50:
			doubts = append(doubts, fmt.Sprintf("%s is %s%%, down more than half of the time; is that right?", f.name, number(f.value)))
		}
	}
	return doubts
}

// falseRedundancy is DG010: a group whose members fail together. Five of what they
// share are named; often it is a region and everything in it.
//
// The edges of the finding are those of the group, so that a baseline knows it again when
// the shared part changes.
func (c *checker) falseRedundancy(r *Rule) error {
	if len(c.g.groups) == 0 {
		return nil
	}
	if err := c.blasts(); err != nil {
		return err
	}
	for _, f := range c.shared {
		shared := strings.Join(f.Shared[:min(5, len(f.Shared))], ", ")
		if len(f.Shared) > 5 {
			shared += fmt.Sprintf(" and %d more", len(f.Shared)-5)
		}
		edges := make([]Edge, 0, len(f.Members))
		for _, e := range c.g.EdgesFrom(f.Service) {
			if e.Group == f.number {
				edges = append(edges, e)
			}
		}
		c.report(r, Finding{
			Service: f.Service, Edges: edges, At: f.At,
			Message: fmt.Sprintf("%s needs %d of %s, but they all fail with %s", f.Service, f.Need, strings.Join(f.Members, ", "), shared),
		})
	}
	return nil
}

// softUnverified is DG012: soft edges without a proof that holds. That is a reminder,
// and an error as soon as proofs are required, unless the policy sets the severity. A
// weak edge claims nothing that could be proved.
//
// Which proof counts, and what makes it count no more, is in Proofs.Status.
func (c *checker) softUnverified(r *Rule) error {
	if c.o.RequireProof > 0 && !c.setting.Set {
		r.Severity = Error
	}
	now := c.o.now()
	return c.edges(r, func(v, e int32) string {
		if c.g.flags[e]&(fSoft|fWeak) != fSoft {
			return ""
		}
		from, to := c.g.services[v].Name, c.g.services[c.g.to[e]].Name
		s := c.o.Proofs.Status(from, to, c.g.texts[c.g.text[e]].evidence, now, c.o.RequireProof)
		if s.State == Proven {
			return ""
		}
		return fmt.Sprintf("%s says it fails open without %s; %s", from, to, s.Why)
	})
}

// A graph below minSinglePoint services has no meaningful share.
const (
	singlePointRule    = "DG013"
	minSinglePoint     = 10
	defaultSinglePoint = 50 // percent
)

// singlePoints is DG013: services that take down more than a share of all others.
//
// "More than": a share that is exactly the limit is allowed. The service itself is neither
// counted nor one of the others.
func (c *checker) singlePoints(r *Rule) error {
	if c.g.Len() < minSinglePoint {
		return nil
	}
	percent := cmp.Or(c.setting.Percent, defaultSinglePoint)
	if err := c.blasts(); err != nil {
		return err
	}
	for v, n := range c.counts {
		if share := 100 * float64(n) / float64(len(c.counts)-1); share > percent {
			s := &c.g.services[v]
			c.report(r, Finding{Service: s.Name, At: s.At, Message: fmt.Sprintf("%s takes %d of %d other services down", s.Name, n, len(c.counts)-1)})
		}
	}
	return nil
}

// externals is DG014: a hard need of somebody else's service without a word on what to
// do when it is away.
//
// A cloud service is no third party in this sense: a fallback for it is a design and not
// a word in a manifest.
func (c *checker) externals(r *Rule) error {
	return c.edges(r, func(v, e int32) string {
		s := &c.g.services[c.g.to[e]]
		if !hardRuntime.has(c.g.flags[e]) || s.Kind != External || c.g.texts[c.g.text[e]].fallback != "" {
			return ""
		}
		return fmt.Sprintf("%s has a hard dependency on %s, which is external, and no fallback", c.g.services[v].Name, s.Name)
	})
}

// observers is DG011. It reports each observer that needs, directly or not, something that
// the services it watches need as well: it goes dark together with them.
//
// It is not known which services an observer watches, so all that are no observers count.
// The finding has the shortest way to the nearest such thing as its edges.
func (c *checker) observers(r *Rule) error {
	g := c.g
	used := make([]bool, len(g.services)) // by something that is no observer
	for v := range g.services {
		for e := g.out[v]; e < g.out[v+1]; e++ {
			if g.services[v].Kind != Observer && hardAny.has(g.flags[e]) {
				used[g.to[e]] = true
			}
		}
	}
	for v := range g.services {
		if g.services[v].Kind != Observer {
			continue
		}
		if path := g.pathTo(int32(v), hardAny, func(w int32) bool { return used[w] && g.services[w].Kind != Observer }); path != nil {
			edges := g.edgeList(path)
			c.report(r, Finding{
				Service: g.services[v].Name, Edges: edges,
				Message: fmt.Sprintf("observer %s needs %s, which the services it watches need too", g.services[v].Name, edges[len(edges)-1].To),
			})
		}
	}
	return nil
}

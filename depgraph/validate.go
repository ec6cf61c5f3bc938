package depgraph

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the compiler reports. Faults are collected, so that one run names all.

// checkService reports numbers out of range.
//
// This file is what the compiler refuses. The decoder of manifests has found most of it by
// then; a program that declares services in Go has no decoder, and meets it here. Faults are
// collected, so that one run names all, and every message begins with the owner's name, as
// such a program has no lines to point at.
func (c *compiler) checkService(s *Service) {
	// A NaN passes every comparison, so it is asked for by itself.
	for _, f := range []struct {
		name  string
		value float64
	}{{"target", s.Availability.Target}, {"own", s.Availability.Own}} {
		if math.IsNaN(f.value) || f.value < 0 || f.value > 100 {
			c.problems.addf(s.At, "%s: availability.%s is %v; it is a percentage between 0 and 100", s.Name, f.name, f.value)
		}
	}
	if s.Start < 0 || s.Start > maxStart {
		c.problems.addf(s.At, "%s: start is %s; it is the time to ready, between 0 and %s", s.Name, s.Start, maxStart)
	}
}

// checkWaivers reports a waiver that says too little, or is about nothing.
//
// A waiver without On is about all of its service, so there is nothing to look up.
func (c *compiler) checkWaivers(v int32) {
	s := &c.g.services[v]
	for i := range s.Waivers {
		w := &s.Waivers[i]
		if err := w.check(); err != nil {
			c.problems.addf(w.At, "%s: waivers: %s", s.Name, err)
			continue
		}
		// A waiver of a dependency that there is not tolerates nothing: probably the
		// name is wrong, or the dependency is gone and the waiver was left.
		if r, _ := FindRule(w.Rule); w.On == "" || r.ID == "DG015" { // which is about what is not declared
			continue
		}
		if slices.ContainsFunc(c.deps[v], func(d Dependency) bool { return d.On == w.On || slices.Contains(d.AnyOf, w.On) }) {
			continue
		}
		var names []string
		for i := range c.deps[v] {
			names = append(names, targets(&c.deps[v][i])...)
		}
		msg := fmt.Sprintf("%s: waivers: %s does not depend on %q", s.Name, s.Name, w.On)
		if near := nearest(w.On, names); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		c.problems.addf(w.At, "%s", msg)
	}
}

// maxStart keeps the sum over any path within a Duration.
const maxStart = 30 * 24 * time.Hour

// checkDependency reports a dependency that contradicts itself.
//
// It reports whether the dependency makes sense; edges are made of those that do alone.
func (c *compiler) checkDependency(v int32, d *Dependency) bool {
	before, owner := len(c.problems), c.g.names[v]
	// The first contradiction is told, not each: the others often follow from it.
	switch {
	case d.On != "" && len(d.AnyOf) > 0:
		c.problems.addf(d.At, "%s: a dependency has both on and any-of; it takes one of them", owner)
	case len(d.AnyOf) == 0 && d.Need != 0:
		c.problems.addf(d.At, "%s: need goes with any-of; %q is a single service", owner, d.On)
	case len(d.AnyOf) > 0 && (d.need() < 1 || d.need() > len(d.AnyOf)):
		c.problems.addf(d.At, "%s: need is %d, but any-of has %d members", owner, d.Need, len(d.AnyOf))
	case d.Soft && d.Pinned:
		c.problems.addf(d.At, "%s: a soft dependency is pinned; pinned says that it cannot be soft", owner)
	case d.Until > Done:
		c.problems.addf(d.At, "%s: unknown until %d", owner, d.Until)
	case d.Until != UntilUnknown && d.phases()&Startup == 0:
		c.problems.addf(d.At, "%s: until goes with the phase startup", owner)
	case d.Until == Done && d.phases()&Runtime != 0:
		c.problems.addf(d.At, "%s: a job that is done is not there at run time; until: done goes with the phase startup", owner)
	case d.Weak && d.phases()&Startup == 0:
		c.problems.addf(d.At, "%s: order goes with the phase startup", owner)
	case d.Weak && d.Pinned && d.phases() == Startup:
		c.problems.addf(d.At, "%s: a weak order is pinned; it never blocks anything", owner)
	case d.Phase&^(Startup|Runtime|Deploy) != 0:
		c.problems.addf(d.At, "%s: unknown phase %d", owner, d.Phase)
	}
	return len(c.problems) == before
}

// checkTarget reports a name that leads nowhere, or back to the owner.
//
// to is -1 for a name that was not found. It reports whether there is an edge to make.
func (c *compiler) checkTarget(v, to int32, d *Dependency, name string) bool {
	if to >= 0 && to != v {
		return true
	}
	owner := c.g.names[v]
	switch {
	case strings.TrimSpace(name) == "":
		c.problems.addf(d.At, "%s: depends on an empty name", owner)
	case to == v:
		c.problems.addf(d.At, "%s: depends on itself", owner)
	default:
		c.dangle(owner, name, d.At)
	}
	return false
}

// maxHints bounds the search for similar names, which looks at all of them.
const maxHints = 100

// dangle reports a name that is not declared. Only the first maxHints get a hint, since
// each costs a comparison with all names.
//
// Problem.Dangling lets the command line propose a manifest for what is missing.
func (c *compiler) dangle(owner, name string, at Position) {
	p := Problem{At: at, Dangling: true, From: owner, To: name, Message: owner + ": depends on " + strconv.Quote(name) + ", which is not declared"}
	if c.dangling++; c.dangling <= maxHints {
		if near := nearest(name, c.g.names); near != "" && near != owner {
			p.Message += "; did you mean " + strconv.Quote(near) + "?"
		}
	}
	c.problems = append(c.problems, p)
}

// checkRepeats reports an edge that is declared twice for the same phase. The
// same pair may well be hard at startup and soft at run time.
func (c *compiler) checkRepeats(v int32) {
	// The row is sorted by end, so edges that could repeat each other are neighbours.
	// Members of groups are left alone: a service may be in two groups, or in one and a
	// need.
	const phases = fStartup | fRuntime | fDeploy
	for i := 1; i < len(c.raw); i++ {
		b := &c.raw[i]
		for j := i - 1; j >= 0 && c.raw[j].to == b.to; j-- {
			a := &c.raw[j]
			if a.group < 0 && b.group < 0 && a.flags&b.flags&phases != 0 {
				// The later place is the one too many, whichever was given first.
				first, second := c.g.position(a.file, a.line), c.g.position(b.file, b.line)
				if comparePositions(first, second) > 0 {
					first, second = second, first
				}
				c.problems.addf(second, "%s: depends on %q twice in phase %s; the other place is %s",
					c.g.names[v], c.g.names[b.to], Phase(a.flags&b.flags&phases), first)
			}
		}
	}
}

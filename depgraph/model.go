package depgraph

import (
	"fmt"
	"strings"
	"time"
)

// Service is one thing that can be up or down on its own, and what it depends
// on. The zero value of every field but Name is valid and means "not said".
type Service struct {
	// Name identifies the service in the whole graph. It is required.
	Name string
	// Owner is the team that is called when the service is down.
	Owner string
	// Kind says what sort of thing it is.
	Kind Kind
	// Criticality is OpenTelemetry's service.criticality.
	Criticality Criticality
	// Availability holds what is promised and what is measured.
	Availability Availability
	// Start is the 95th percentile of the time from launch to ready. Zero
	// means not said, and counts as no time in timelines.
	Start time.Duration
	// Verify says how a person sees that the service is up again.
	Verify string
	// Note is free text for the reader of reports.
	Note string
	// Source says where an imported service was found.
	Source string
	// Undeclared marks a service that others name and nobody declared. Only
	// Options.AllowUndeclared creates such services.
	Undeclared bool
	// Waivers tolerate findings, each until a day.
	Waivers []Waiver
	// Depends lists the dependencies.
	Depends []Dependency
	// At is where the service was declared.
	At Position
}

// Availability holds percentages between 0 and 100; zero means not said.
type Availability struct {
	// Target is the promise to the service's users, dependencies included.
	Target float64
	// Own is the share of time in which the service itself works, its
	// dependencies left out. For a provider's service, it is the published
	// level, which already contains what the provider depends on.
	Own float64
}

// Dependency is one edge, or one group of alternatives, of a service.
type Dependency struct {
	// On names the service that is needed. Exactly one of On and AnyOf is set.
	On string
	// AnyOf names alternatives, of which Need must be up.
	AnyOf []string
	// Need is the quorum of AnyOf. Zero means 1.
	Need int
	// Soft says that the owner fails open: it keeps doing its critical work
	// without this dependency. A dependency is hard unless said.
	Soft bool
	// Phase says when the dependency is needed. Zero means Startup and Runtime;
	// with Weak, or until Done, it means Startup alone.
	Phase Phase
	// Until says how far the other service must be before the owner is
	// launched. Zero means Serving. It needs the phase Startup.
	Until Until
	// Weak orders two starts without requiring anything: the owner is launched
	// after the other service if that is part of the start, and never waits for
	// it in vain. It says nothing about run time, where Phase may add a need.
	Weak bool
	// Assumed marks a guess, of an importer for example. A finding that rests
	// on one says so and is no error.
	Assumed bool
	// Plane says whether the provider's data or control plane is used. Zero
	// means the data plane.
	Plane Plane
	// Evidence names the drill that proved the edge soft.
	Evidence string
	// BreakGlass says how a person gets past this edge by hand in a black start.
	BreakGlass string
	// Fallback says what the owner does while a hard dependency is away.
	Fallback string
	// Pinned says that the edge cannot be made soft; no fix will propose it.
	Pinned bool
	// Liveness says that the owner's liveness check touches this dependency.
	Liveness bool
	// Note is free text for the reader of reports.
	Note string
	// Source says where an imported edge was found.
	Source string
	// At is where the dependency was declared.
	At Position
}

// Edge is one dependency between two services.
type Edge struct {
	From, To string // From depends on To
	Soft     bool   // From works without To
	Phase    Phase  // when From needs To
	Plane    Plane  // the part of To that is used
	// Until is UntilUnknown where the default, Serving, holds. An edge with
	// another value, and a Weak one, has the phase Startup alone: what a
	// dependency says about run time as well is an edge of its own.
	Until   Until
	Weak    bool
	Assumed bool
	// Group counts from 1 among the groups of From; 0 means no group. Need is
	// that group's quorum and Of its size.
	Group, Need, Of int
	Evidence        string
	BreakGlass      string
	Fallback        string
	Pinned          bool
	Liveness        bool
	Note, Source    string
	At              Position
}

// Strength returns "hard", "soft", "weak", or for a group "any 1 of 2".
func (e Edge) Strength() string {
	word := "hard"
	switch {
	case e.Weak:
		word = "weak"
	case e.Soft:
		word = "soft"
	}
	if e.Group == 0 || e.Need == e.Of {
		return word
	}
	quorum := "any " + itoa(e.Need) + " of " + itoa(e.Of)
	if word != "hard" {
		return word + " " + quorum
	}
	return quorum
}

// Position is a place in a file. Line counts from 1; zero means unknown.
type Position struct {
	File string // as it was given; "": unknown
	Line int    // from 1; 0: the file as such
}

// String returns "file:line", "file" or "".
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Until is how far a service must be for another one to be launched.
type Until uint8

// The steps of a start. A service is launched; once its own start is over, it
// is ready; and it serves when all that it needs at run time serves as well.
const (
	UntilUnknown Until = iota // counts as Serving
	Started                   // launched
	Ready                     // its own start is over: its health check passes
	Serving                   // ready, and all that it needs at run time serves
	Done                      // a job: it has ended
)

var untilNames = []string{"", "started", "ready", "serving", "done"}

// String returns the name used in manifests; "" for UntilUnknown.
func (u Until) String() string { return nameOf(untilNames, int(u)) }

// ParseUntil is the inverse of Until.String.
func ParseUntil(s string) (Until, error) {
	i, err := parseName("until", untilNames, s)
	return Until(i), err
}

// Kind is the sort of a service.
type Kind uint8

// The kinds of services.
const (
	KindUnknown Kind = iota
	App              // a program of one's own
	Cloud            // a provider's service, IAM or DNS for example
	Datastore        // keeps state
	Queue            // carries messages
	External         // somebody else's service, reached over a network
	Observer         // monitoring, logging, tracing, paging
	Infra            // what programs run on: hosts, clusters, networks
)

var kindNames = []string{"", "app", "cloud", "datastore", "queue", "external", "observer", "infra"}

// String returns the name used in manifests; "" for KindUnknown.
func (k Kind) String() string { return nameOf(kindNames, int(k)) }

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, error) {
	i, err := parseName("kind", kindNames, s)
	return Kind(i), err
}

// Criticality says how bad the loss of a service is. The names are those of
// OpenTelemetry's service.criticality attribute.
type Criticality uint8

// The levels of criticality, from the least to the most critical.
const (
	CriticalityUnknown Criticality = iota
	Low
	Medium
	High
	Critical
)

var criticalityNames = []string{"", "low", "medium", "high", "critical"}

// String returns the name used in manifests; "" for CriticalityUnknown.
func (c Criticality) String() string { return nameOf(criticalityNames, int(c)) }

// ParseCriticality is the inverse of Criticality.String.
func ParseCriticality(s string) (Criticality, error) {
	i, err := parseName("criticality", criticalityNames, s)
	return Criticality(i), err
}

// Plane is the part of a provider that is used.
type Plane uint8

// The planes. A control plane changes things, a data plane does the work; in
// most providers the control plane fails first and recovers last.
const (
	PlaneUnknown Plane = iota
	Data
	Control
)

var planeNames = []string{"", "data", "control"}

// String returns the name used in manifests; "" for PlaneUnknown.
func (p Plane) String() string { return nameOf(planeNames, int(p)) }

// ParsePlane is the inverse of Plane.String.
func ParsePlane(s string) (Plane, error) {
	i, err := parseName("plane", planeNames, s)
	return Plane(i), err
}

// Phase is a set of phases in which a dependency is needed.
type Phase uint8

// The phases. They can be combined with |.
const (
	// Startup: the service does not become ready without it.
	Startup Phase = 1 << iota
	// Runtime: the service does not serve without it.
	Runtime
	// Deploy: a fix cannot be shipped without it.
	Deploy
)

var phaseNames = []string{"startup", "runtime", "deploy"}

// Names returns the names of the phases in the set, in order of life.
func (p Phase) Names() []string {
	var names []string
	for i, n := range phaseNames {
		if p&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String returns the names joined with "+".
func (p Phase) String() string { return strings.Join(p.Names(), "+") }

// ParsePhase parses the name of one phase.
func ParsePhase(s string) (Phase, error) {
	for i, n := range phaseNames {
		if s == n {
			return 1 << i, nil
		}
	}
	return 0, notOneOf("phase", phaseNames, s)
}

// nameOf is the name of a value; one that has none is shown by its number, so that a
// String method never panics.
func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

// parseName is the inverse: the index of a name, of which the first, "", stands for
// what is not said and cannot be written.
func parseName(what string, names []string, s string) (int, error) {
	for i, n := range names[1:] {
		if s == n {
			return i + 1, nil
		}
	}
	return 0, notOneOf(what, names[1:], s)
}

// notOneOf is the error for a name that there is not, with the names that there are and
// the one that was probably meant.
func notOneOf(what string, names []string, got string) error {
	msg := fmt.Sprintf("%s %q is not one of %s", what, got, strings.Join(names, ", "))
	if near := nearest(got, names); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf("%s", msg)
}

// phases returns the phases of the dependency with the default filled in.
func (d *Dependency) phases() Phase {
	switch {
	case d.Phase != 0:
		return d.Phase
	case d.Weak, d.Until == Done:
		return Startup
	}
	return Startup | Runtime
}

// until returns the step that is waited for with the default filled in.
func (d *Dependency) until() Until {
	if d.Until == UntilUnknown {
		return Serving
	}
	return d.Until
}

// need returns the quorum of the group with the default filled in.
func (d *Dependency) need() int {
	if d.Need == 0 {
		return 1
	}
	return d.Need
}

package depgraph

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Finding is one result of a check.
type Finding struct {
	// Rule is the ID of a built-in rule, such as "DG002", or the name of a policy's or of
	// one's own. Name is the built-in rule's name, "runtime-cycle", or the same as Rule.
	Rule, Name string
	// Severity is that of the rule, unless the finding rests on a guess or the policy
	// says otherwise. It is never Off.
	Severity Severity
	// Service is what the finding is about; for a cycle, its first service.
	Service string
	// Edges are what a baseline compares: for a cycle, all edges of the
	// component. It is empty for findings about a service as such.
	Edges []Edge
	// Message is one line; Fix says what to do.
	Message, Fix string
	// At is where to look first: the first edge, or the service.
	At Position
	// Component is set for cycles.
	Component *Component
}

// CheckOptions says what to check.
type CheckOptions struct {
	Policy *Policy // nil: the built-in rules with their defaults
	// Only and Skip hold IDs or names of rules. An empty Only means all.
	Only, Skip []string
	// Rules are run besides the built-in ones, in their order, each once.
	Rules []Rule
	// Progress, if set, is called now and then during the rules that take long.
	Progress func(Progress)

	// Proofs are the verdicts of drills, which evidence refers to; nil:
	// there are none. With RequireProof above 0 every soft edge must have
	// been proven within that time, or DG012 is an error.
	Proofs       *Proofs
	RequireProof time.Duration
	// Now is what ages and waivers are counted to. Default: time.Now.
	Now time.Time
	// Waived, if set, is called with each finding that a waiver tolerates. Such
	// findings are not among the results.
	Waived func(Finding, Waiver)
}

// Check runs the rules and returns the findings, in order of severity, rule,
// place and message. Without any the slice is empty and not nil.
//
// An error is that of ctx, of names that are no rules (ErrUnknownRule), or of a rule of
// one's own that cannot be registered. What goes wrong inside such a rule is a finding of
// DG020 instead.
func (g *Graph) Check(ctx context.Context, o CheckOptions) ([]Finding, error) {
	if o.Policy == nil {
		o.Policy = &Policy{}
	}
	own, err := ownNames(o.Policy, o.Rules)
	if err != nil {
		return nil, err
	}
	if err := o.Policy.Knows(append(slices.Clip(o.Only), o.Skip...), own...); err != nil {
		return nil, err
	}
	c := checker{ctx: ctx, g: g, o: o}
	for _, r := range rules() {
		setting := o.Policy.Rules[r.ID]
		if setting.Set {
			r.Severity = setting.Severity
		}
		c.setting = setting
		if r.run == nil || r.Severity == Off || !o.wants(r.ID, r.Name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.run(&c, &r); err != nil {
			return nil, err
		}
	}
	for i := range o.Policy.Custom {
		if r := &o.Policy.Custom[i]; r.Severity != Off && o.wants(r.Name, r.Name) {
			c.custom(r)
		}
	}
	for i := range o.Rules {
		if r := &o.Rules[i]; o.wants(r.Name, r.Name) {
			c.own(r)
		}
	}
	// Waivers come last, as they are about findings; and what they say nothing about is
	// known only then. c.found is emptied so that it holds only what idleWaivers adds.
	used := map[*Waiver]bool{}
	found := g.waive(c.found, c.o.now(), o.Waived, used)
	c.found = nil
	c.idleWaivers(used, own)
	found = append(found, c.found...)
	if found == nil {
		found = []Finding{}
	}
	slices.SortStableFunc(found, compareFindings)
	return found, ctx.Err()
}

// now is the day by which proofs and waivers are judged.
func (o *CheckOptions) now() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// compareFindings puts the most severe first, then goes by rule, place, service and
// text, so that two runs over one graph print the same.
func compareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Rule, b.Rule),
		comparePositions(a.At, b.At), strings.Compare(a.Service, b.Service), strings.Compare(a.Message, b.Message))
}

// wants reports whether a rule is run, by Only and Skip, which name it by ID or name in
// any case. Skip outweighs Only.
func (o *CheckOptions) wants(id, name string) bool {
	named := func(list []string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, id) || strings.EqualFold(s, name) })
	}
	return (len(o.Only) == 0 || named(o.Only)) && !named(o.Skip)
}

// checker runs rules over one graph and shares what several of them need. Its methods
// are the rules, called one after the other by the table in rules.go; setting is the
// policy's for the rule that runs.
//
// What is found by several rules is computed by the first of them that runs: cycles by
// hardCycles, counts and shared by blasts.
type checker struct {
	ctx     context.Context
	g       *Graph
	o       CheckOptions
	setting RuleSetting
	found   []Finding
	cycles  []Component
	solved  bool
	counts  []int // of allBlasts, with shared; nil: not asked yet
	shared  []FalseRedundancy
}

// blasts answers DG010 and DG013 together, as both need the same passes.
//
// It asks for no more than the rules that will run: on a large graph this is most of a
// check. O(services × edges / 512).
func (c *checker) blasts() error {
	if c.counts != nil {
		return nil
	}
	points := c.g.Len() >= minSinglePoint && c.asks(singlePointRule)
	var err error
	c.counts, c.shared, err = c.g.allBlasts(c.ctx, c.o.Progress, points, len(c.g.groups) > 0 && c.asks("DG010"))
	return err
}

// asks reports whether a built-in rule is run.
func (c *checker) asks(id string) bool {
	r, _ := FindRule(id)
	if s := c.o.Policy.Rules[id]; s.Set {
		r.Severity = s.Severity
	}
	return r.Severity != Off && c.o.wants(r.ID, r.Name)
}

// report completes a finding with what its rule says: name, severity, fix, and as its
// place the first edge's. One that rests on an assumed edge is a warning at most, since
// a guess must not fail a build; a component says for itself how it rests on guesses.
//
// Findings of a policy and of one's own rules do not come by here; they say everything
// themselves.
func (c *checker) report(r *Rule, f Finding) {
	f.Rule, f.Name = r.ID, r.Name
	if f.Severity == Off {
		f.Severity = r.Severity
	}
	if f.Fix == "" {
		f.Fix = r.Fix
	}
	if f.Component == nil && slices.ContainsFunc(f.Edges, func(e Edge) bool { return e.Assumed }) {
		f.Severity = min(f.Severity, Warn)
		f.Message += " (assumed)"
	}
	if f.At == (Position{}) && len(f.Edges) > 0 {
		f.At = f.Edges[0].At
	}
	c.found = append(c.found, f)
}

// edges runs a test on every edge and reports a finding for each message.
//
// test returns "" for an edge that is all right. It gets numbers and not an Edge, which
// would be built for each of a million edges.
func (c *checker) edges(r *Rule, test func(v, e int32) string) error {
	g := c.g
	for v := range g.services {
		last := "" // two edges that lead to one service, for the start and the run time, are one finding
		for e := g.out[v]; e < g.out[v+1]; e++ {
			if msg := test(int32(v), e); msg != "" && msg != last {
				last = msg
				c.report(r, Finding{Service: g.services[v].Name, Edges: []Edge{g.edge(int32(v), e)}, Message: msg})
			}
		}
	}
	return nil
}

// hardCycles finds the cycles that three rules report, once for all of them.
//
// An error is kept by none of them: the check ends with it.
func (c *checker) hardCycles() ([]Component, error) {
	if c.solved {
		return c.cycles, nil
	}
	var err error
	c.cycles, err = c.g.Cycles(c.ctx, CyclesOptions{HardOnly: true, Progress: c.o.Progress})
	c.solved = err == nil
	return c.cycles, err
}

// deadlocks is DG001.
func (c *checker) deadlocks(r *Rule) error {
	return c.reportCycles(r, BootstrapDeadlock, "bootstrap deadlock: %d services wait for each other at startup")
}

// runtimeCycles is DG002.
func (c *checker) runtimeCycles(r *Rule) error {
	return c.reportCycles(r, RuntimeCycle, "runtime cycle: %d services need each other to serve")
}

// orderingCycles is DG017.
func (c *checker) orderingCycles(r *Rule) error {
	return c.reportCycles(r, OrderingCycle, "ordering cycle: %d services are ordered in a circle")
}

// deployCycles is DG003. It asks for its own cycles: they run over edges that the others
// leave out.
func (c *checker) deployCycles(r *Rule) error {
	components, err := c.g.Cycles(c.ctx, CyclesOptions{Deploy: true})
	for i := range components {
		c.reportCycle(r, &components[i], "deploy cycle: a fix to any of %d services needs the others")
	}
	return err
}

// reportCycles reports the hard components of one kind.
//
// format has one %d for the number of services on the shortest cycle: a reader can follow
// that one, and not a component of hundreds.
func (c *checker) reportCycles(r *Rule, kind ComponentKind, format string) error {
	components, err := c.hardCycles()
	for i := range components {
		if components[i].Kind == kind {
			c.reportCycle(r, &components[i], format)
		}
	}
	return err
}

// reportCycle reports one component, with its shortest cycle in the message and the
// cheapest way out as the fix. It is less severe if it is not there without guesses, or
// if people can get past it by hand; an ordering cycle of guesses is only worth
// knowing.
func (c *checker) reportCycle(r *Rule, k *Component, format string) {
	f := Finding{
		Service: k.Services[0], Edges: k.Edges, Component: k, Fix: k.FixText(),
		Message: fmt.Sprintf(format, len(k.Cycle)), At: k.Cycle[0].At,
	}
	// min takes the less severe of the two: a policy that makes the rule a warning
	// stays one.
	if k.Assumed > 0 {
		f.Severity = min(r.Severity, Warn)
		if k.Kind == OrderingCycle { // nobody asked for the order
			f.Severity = min(r.Severity, Info)
		}
		f.Message += fmt.Sprintf("; it rests on %d assumed edges", k.Assumed)
		if k.Assumed == 1 {
			f.Message = strings.TrimSuffix(f.Message, "s")
		}
	}
	if len(k.BreakGlass) > 0 && r.Severity == Error {
		f.Severity = Warn
		f.Message += "; people can get past it by hand"
	}
	c.report(r, f)
}

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
	// Rule is the ID of a built-in rule or the name of a policy's.
	Rule     string
	Name     string
	Severity Severity
	// Service is what the finding is about; for a cycle, its first service.
	Service string
	// Edges are what a baseline compares: for a cycle, all edges of the
	// component. It is empty for findings about a service as such.
	Edges []Edge
	// Message is one line; Fix says what to do.
	Message, Fix string
	At           Position
	// Component is set for cycles.
	Component *Component
}

// CheckOptions says what to check.
type CheckOptions struct {
	Policy *Policy // nil: the built-in rules with their defaults
	// Only and Skip hold IDs or names of rules. An empty Only means all.
	Only, Skip []string
	// Rules are run besides the built-in ones.
	Rules    []Rule
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
func (c *checker) blasts() error {
	if c.counts != nil {
		return nil
	}
	points := c.g.Len() >= minSinglePoint && c.asks("DG013")
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
func (c *checker) hardCycles() ([]Component, error) {
	if c.solved {
		return c.cycles, nil
	}
	var err error
	c.cycles, err = c.g.Cycles(c.ctx, CyclesOptions{HardOnly: true, Progress: c.o.Progress})
	c.solved = err == nil
	return c.cycles, err
}

func (c *checker) deadlocks(r *Rule) error {
	return c.reportCycles(r, BootstrapDeadlock, "bootstrap deadlock: %d services wait for each other at startup")
}

func (c *checker) runtimeCycles(r *Rule) error {
	return c.reportCycles(r, RuntimeCycle, "runtime cycle: %d services need each other to serve")
}

func (c *checker) orderingCycles(r *Rule) error {
	return c.reportCycles(r, OrderingCycle, "ordering cycle: %d services are ordered in a circle")
}

// deployCycles asks for its own cycles: they run over edges that the others leave out.
func (c *checker) deployCycles(r *Rule) error {
	components, err := c.g.Cycles(c.ctx, CyclesOptions{Deploy: true})
	for i := range components {
		c.reportCycle(r, &components[i], "deploy cycle: a fix to any of %d services needs the others")
	}
	return err
}

// reportCycles reports the hard components of one kind.
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

// tierInversion is DG004: a service needs one that is less critical, and alternatives
// do not help. One whose criticality is not said is left alone.
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
func (c *checker) liveness(r *Rule) error {
	return c.edges(r, func(v, e int32) string {
		if c.g.flags[e]&fLiveness == 0 {
			return ""
		}
		return fmt.Sprintf("the liveness check of %s touches %s", c.g.services[v].Name, c.g.services[c.g.to[e]].Name)
	})
}

// controlPlane is DG007: a hard need of the start, on a control plane.
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

// noOwner leaves out what somebody else runs, and what nobody declared.
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
	minSinglePoint     = 10
	defaultSinglePoint = 50 // percent
)

// singlePoints is DG013: services that take down more than a share of all others.
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
func (c *checker) externals(r *Rule) error {
	return c.edges(r, func(v, e int32) string {
		s := &c.g.services[c.g.to[e]]
		if !hardRuntime.has(c.g.flags[e]) || s.Kind != External || c.g.texts[c.g.text[e]].fallback != "" {
			return ""
		}
		return fmt.Sprintf("%s has a hard dependency on %s, which is external, and no fallback", c.g.services[v].Name, s.Name)
	})
}

// observers reports each observer that needs, directly or not, something that
// the services it watches need as well: it goes dark together with them.
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

package drift

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// findings turns what was judged into findings of the rules of drift: DG015 for
// what is not declared, DG016 for what was not seen, DG019 for what is declared
// soft and is hard. Their severities are those of the policy, or the defaults,
// but no more than what add is given for findings that are weaker than their
// rule. The order is that of a check: by severity, rule, place, service and
// message.
//
// A finding about a pair without a declaration is at its first service, if that
// is declared, so that a waiver and a reader have a place.
//
// It is not a rule of Graph.Check, as it needs a record beside the graph; baselines and
// waivers treat it alike.
func (c *comparer) findings(all []Dependency) (found []depgraph.Finding) {
	// A rule that is off, or not wanted, stays in the map and adds nothing.
	rules := map[string]depgraph.Rule{}
	for _, id := range []string{"DG015", "DG016", "DG019"} {
		r, _ := depgraph.FindRule(id)
		if c.opts.Policy != nil {
			r.Severity = c.opts.Policy.Severity(id)
		}
		if !c.wants(r) {
			r.Severity = depgraph.Off
		}
		rules[id] = r
	}
	add := func(id string, d *Dependency, at depgraph.Severity, message string) {
		r := rules[id]
		if r.Severity == depgraph.Off {
			return
		}
		f := depgraph.Finding{
			Rule: r.ID, Name: r.Name, Severity: min(r.Severity, at), Service: d.From, Message: message, Fix: r.Fix,
			Edges: []depgraph.Edge{{From: d.From, To: d.To}},
		}
		// A baseline compares edges, so a finding always has one.
		if len(d.Declared) > 0 {
			f.Edges, f.At = d.Declared[:1], d.Declared[0].At
		} else if s, ok := c.g.Service(d.From); ok {
			f.At = s.At
		}
		found = append(found, f)
	}
	for i := range all {
		// A dependency is at most one of these; how hard it is comes on top.
		switch d := &all[i]; {
		case d.State == Undeclared:
			add("DG015", d, depgraph.Error, c.undeclared(d))
		case d.State == OtherPhase && d.Calls > 0:
			add("DG015", d, depgraph.Info, fmt.Sprintf("%s declares %s for %s alone, and %s", d.From, d.To, d.phases(), c.uses(d)))
		case d.State == Unobserved:
			add("DG016", d, depgraph.Error, fmt.Sprintf("%s declares %s: %s", d.From, d.To, d.Why))
		}
		if d := &all[i]; d.Strength == Hard && d.Soft() {
			add("DG019", d, depgraph.Error, fmt.Sprintf("%s declares %s soft, but %s", d.From, d.To, d.Why))
		}
	}
	slices.SortStableFunc(found, func(a, b depgraph.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Rule, b.Rule), strings.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line),
			strings.Compare(a.Service, b.Service), strings.Compare(a.Message, b.Message))
	})
	return found
}

// wants reports whether Only and Skip let a rule run; both hold IDs or names,
// in any case of letters.
func (c *comparer) wants(r depgraph.Rule) bool {
	named := func(list []string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, r.ID) || strings.EqualFold(s, r.Name) })
	}
	return (len(c.opts.Only) == 0 || named(c.opts.Only)) && !named(c.opts.Skip)
}

// undeclared names who or what is missing, and how it is used.
//
// A caller that nobody declares is told first: without a manifest there is no place for the
// edge.
func (c *comparer) undeclared(d *Dependency) string {
	switch text := fmt.Sprintf("%s %s", d.From, c.uses(d)); {
	case !c.g.Has(d.From):
		return text + "; no manifest declares " + d.From
	case !c.g.Has(d.To):
		return text + "; no manifest declares " + d.To + ", nor the dependency"
	default:
		return text + ", and does not declare it"
	}
}

// uses says how a dependency was used: by calls, of which some may have failed,
// or only by its address.
func (c *comparer) uses(d *Dependency) string {
	if d.Calls == 0 {
		return "is configured with the address of " + d.To
	}
	text := fmt.Sprintf("calls %s %d times", d.To, d.Calls)
	if d.Calls == 1 {
		text = fmt.Sprintf("calls %s once", d.To)
	}
	if d.Errors > 0 {
		text += fmt.Sprintf(" (%d failed)", d.Errors)
	}
	return text
}

// calls counts them, in words.
func calls(n int64) string {
	if n == 1 {
		return "1 call"
	}
	return fmt.Sprintf("%d calls", n)
}

// Services proposes declarations for what was seen, in order of name: every
// edge as an assumed one of run time, soft where requests were answered without
// it. Both ends of an edge are there, so that the result compiles. What was
// only declared is left out, and so are deliveries, which are no need of either
// side. A database or a broker gets its kind; the source of an edge says where
// and how often it was seen.
func (r *Report) Services() []depgraph.Service {
	var services []depgraph.Service
	index := map[string]int{}
	at := func(name string) int {
		i, ok := index[name]
		if !ok {
			i = len(services)
			index[name] = i
			services = append(services, depgraph.Service{Name: name})
		}
		return i
	}
	for i := range r.Dependencies {
		d := &r.Dependencies[i]
		// Only what was seen, and only what is a need.
		if len(d.Kinds) == 0 || d.State == NoNeed {
			continue
		}
		to := at(d.To)
		if slices.Contains(d.Kinds, Database) {
			services[to].Kind = depgraph.Datastore
		} else if slices.Contains(d.Kinds, Messaging) {
			services[to].Kind = depgraph.Queue
		}
		// Where to look it up, for the person who decides.
		source := strings.Join(d.Sources, ", ")
		if d.Calls > 0 {
			source += ": " + calls(d.Calls)
		}
		from := at(d.From)
		services[from].Depends = append(services[from].Depends, depgraph.Dependency{
			On: d.To, Phase: depgraph.Runtime, Soft: d.Strength == FailsOpen, Assumed: true, Source: source,
		})
	}
	slices.SortFunc(services, func(a, b depgraph.Service) int { return strings.Compare(a.Name, b.Name) })
	return services
}

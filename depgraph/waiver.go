package depgraph

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Waiver tolerates the findings of one rule about a service, or about one of
// its dependencies, until a day, and says why. On that day it still holds;
// after it the finding is back, and says so.
//
// A finding about several edges, such as a cycle, is waived only if each of
// its edges is: by its owner, in the owner's manifest.
type Waiver struct {
	// Rule is the ID or the name of a rule.
	Rule string
	// On limits the waiver to the dependency on that service; "" means all of
	// the service's findings of that rule.
	On string
	// Reason says why the finding is tolerated. It is required.
	Reason string
	// Until is the last day. It is required.
	Until time.Time
	At    Position
}

// expired reports whether the waiver's last day is over.
func (w *Waiver) expired(now time.Time) bool { return !now.Before(w.Until.AddDate(0, 0, 1)) }

// covers reports whether the waiver is about a rule and, unless to is "", a
// dependency.
func (w *Waiver) covers(f *Finding, to string) bool {
	return (strings.EqualFold(w.Rule, f.Rule) || strings.EqualFold(w.Rule, f.Name)) && (w.On == "" || w.On == to)
}

// Waive splits findings into those that stay and those that a waiver of the
// graph tolerates on a day. What an expired waiver was about stays, and says
// so. Check has done this already; it is for findings of others, such as those
// of package drift. Waived, if set, is called with each finding that is
// tolerated. The slice that is given stays as it is.
func (g *Graph) Waive(findings []Finding, now time.Time, waived func(Finding, Waiver)) []Finding {
	return g.waive(slices.Clone(findings), now, waived, map[*Waiver]bool{})
}

// waive is Waive that writes into findings, and notes which waivers are about anything at
// all.
func (g *Graph) waive(findings []Finding, now time.Time, waived func(Finding, Waiver), used map[*Waiver]bool) []Finding {
	// In place: at most what is read already is overwritten.
	kept := findings[:0]
	for _, f := range findings {
		held, late := g.waiverOf(&f, now, used)
		switch {
		case held != nil:
			if waived != nil {
				waived(f, *held)
			}
			continue
		case late != nil:
			f.Message += fmt.Sprintf(" (waived until %s: %s; the waiver has expired)", late.Until.Format(time.DateOnly), late.Reason)
		}
		kept = append(kept, f)
	}
	return kept
}

// waiverOf finds a waiver that holds for the whole finding, or one that did.
func (g *Graph) waiverOf(f *Finding, now time.Time, used map[*Waiver]bool) (held, late *Waiver) {
	// What has to be waived: every edge of the finding, by its owner, or the service if
	// there are none.
	type part struct{ from, to string }
	parts := []part{{f.Service, ""}}
	if len(f.Edges) > 0 {
		parts = parts[:0]
		for _, e := range f.Edges {
			parts = append(parts, part{e.From, e.To})
		}
	}
	// held is the waiver that is told, the first of those that hold; one part without a
	// waiver leaves the whole finding. An expired one is told as soon as there is one.
	complete := true
	for _, p := range parts {
		var good *Waiver
		if v, ok := g.index[p.from]; ok {
			for i := range g.services[v].Waivers {
				w := &g.services[v].Waivers[i]
				if !w.covers(f, p.to) {
					continue
				}
				used[w] = true
				switch {
				case w.expired(now):
					late = w
				default:
					good = w
				}
			}
		}
		if good == nil {
			complete = false
		}
		held = cmp.Or(held, good)
	}
	if !complete {
		return nil, late
	}
	return held, nil
}

// idleWaivers reports waivers of rules that there are not, and those about
// nothing that was found, as far as their rules were run.
func (c *checker) idleWaivers(used map[*Waiver]bool, own []string) {
	r, _ := FindRule("DG021")
	if s := c.o.Policy.Rules[r.ID]; s.Set {
		r.Severity = s.Severity
	}
	if r.Severity == Off || !c.o.wants(r.ID, r.Name) {
		return
	}
	for v := range c.g.services {
		s := &c.g.services[v]
		for i := range s.Waivers {
			w := &s.Waivers[i]
			f := Finding{Service: s.Name, At: w.At}
			rule, builtIn := FindRule(w.Rule)
			// Unknown is worse than idle: a typing error tolerates nothing. A rule that
			// was not run, or that judges what was seen, has found nothing for that
			// reason, and says nothing about the waiver.
			switch err := c.o.Policy.Knows([]string{w.Rule}, own...); {
			case err != nil && len(own) == 0 && ownRuleName.MatchString(w.Rule):
				continue // it may be one of a user's own, which was not given here
			case err != nil:
				f.Message = fmt.Sprintf("%s waives %s", s.Name, strings.TrimPrefix(err.Error(), "depgraph: "))
			case used[w], builtIn && (rule.Drift || !c.asks(rule.ID)), !builtIn && !c.asksOwn(w.Rule):
				continue
			default:
				f.Severity = min(r.Severity, Info)
				f.Message = fmt.Sprintf("%s waives %s, which finds nothing there", s.Name, w.Rule)
			}
			c.report(&r, f)
		}
	}
}

// asksOwn reports whether a rule of a policy or of one's own is run.
func (c *checker) asksOwn(name string) bool {
	off := func(r CustomRule) bool { return r.Severity == Off && strings.EqualFold(r.Name, name) }
	return c.o.wants(name, name) && !slices.ContainsFunc(c.o.Policy.Custom, off)
}

// waivers reads the tolerated findings of a service or a dependency.
func (d *decoder) waivers(n *yaml.Node) []Waiver {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, "waivers", `a list, each "- {rule: DG012, reason: ..., until: 2026-12-31}"`)
		return nil
	}
	all := make([]Waiver, 0, len(n.Content))
	for _, item := range n.Content {
		if item = d.follow(item); item != nil {
			all = append(all, d.waiver(item))
		}
	}
	return all
}

var waiverFields = []string{"rule", "on", "reason", "until"}

// waiver reads one waiver. What it says is checked only if every field could be read,
// so that one mistake is one fault.
func (d *decoder) waiver(n *yaml.Node) Waiver {
	w := Waiver{At: d.at(n)}
	before := len(d.problems)
	ok := d.fields(n, "waivers", waiverFields, func(key string, v *yaml.Node) {
		switch key {
		case "rule":
			w.Rule = d.str(v, key)
		case "on":
			w.On = d.str(v, key)
		case "reason":
			w.Reason = d.str(v, key)
		case "until":
			w.Until = d.date(v, key)
		}
	})
	if !ok || len(d.problems) > before {
		return w
	}
	if err := w.check(); err != nil {
		d.problems.addf(w.At, "waivers: %s", err)
	}
	return w
}

// date reads a day. YAML tags one without quotes as a timestamp.
func (d *decoder) date(v *yaml.Node, field string) time.Time {
	t, err := time.Parse(time.DateOnly, v.Value)
	if v.Kind != yaml.ScalarNode || err != nil {
		d.wrongType(v, field, "a date such as 2026-12-31")
		return time.Time{}
	}
	return t
}

// check reports a waiver that says too little to be tolerated.
func (w *Waiver) check() error {
	switch {
	case strings.TrimSpace(w.Rule) == "":
		return errors.New("the rule is missing")
	case strings.TrimSpace(w.Reason) == "":
		return fmt.Errorf("%s: the reason is missing; the next reader must know why", w.Rule)
	case w.Until.IsZero():
		return fmt.Errorf("%s: the date in until is missing; a waiver has an end, after which the finding is back", w.Rule)
	}
	return nil
}

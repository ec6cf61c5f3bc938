package depgraph

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/failopen/failopen/depgraph/internal/glob"
)

// Policy changes the severities of rules and adds rules of one's own.
type Policy struct {
	// Rules holds settings by rule ID.
	// Rules holds settings by rule ID. What is not there is as built in.
	Rules map[string]RuleSetting
	// Custom are rules about edges, in the order of the file.
	Custom []CustomRule
}

// RuleSetting changes one built-in rule.
type RuleSetting struct {
	Severity Severity // that of its findings; the zero value is the rule's own
	Set      bool     // Severity was given
	Percent  float64  // DG013: the share above which a service is reported
}

// Severity is that of a built-in rule under the policy.
func (p *Policy) Severity(id string) Severity {
	if s, ok := p.Rules[id]; ok && s.Set {
		return s.Severity
	}
	r, _ := FindRule(id)
	return r.Severity
}

// CustomRule forbids, limits or requires edges between services.
type CustomRule struct {
	Name     string   // that its findings carry
	Severity Severity // that of its findings
	// Comment says why the rule exists and how to follow it.
	Comment string
	Mode    RuleMode
	// From selects whose edges are looked at, To what they lead to. For Required, To is
	// what must be among it.
	From Match
	To   Match
	// Edge limits the rule to some edges.
	Edge EdgeMatch
	// Over edges that Edge selects: "hard" follows hard edges alone.
	// Reach also counts services that are reached over others.
	Reach bool
	At    Position
}

// RuleMode says what a custom rule means.
type RuleMode uint8

// The modes of custom rules.
const (
	// Forbidden: no edge leads from From to To.
	Forbidden RuleMode = 1 + iota
	// Allowed: edges from From lead to To only.
	Allowed
	// Required: every service of From has an edge to To.
	Required
)

// Match selects services. An empty Match selects all. Within a field, one of
// the patterns must match; all given fields must. In a pattern, * stands for
// any text, and a leading ! turns it around.
type Match struct {
	Service, Owner, Kind, Criticality []string // patterns, of which one must match; empty: any
}

// EdgeMatch selects edges; zero fields select all.
type EdgeMatch struct {
	Strength string // "hard" or "soft"
	Phase    Phase  // one of these; zero: any
	Plane    Plane  // that one; zero: any
}

// LoadPolicy reads a policy file. The error, if the file can be read, is a
// Problems.
//
// A file that cannot be read is an error that wraps that of the operating system. There is
// no default place: the command line looks for one and calls this.
func LoadPolicy(name string) (*Policy, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("depgraph: policy: %w", err)
	}
	return ParsePolicy(filepath.ToSlash(name), data)
}

// ParsePolicy reads a policy from YAML. The name appears in positions.
//
// It shares the decoder of manifests, so the same things are refused: unknown fields,
// duplicate keys, wrong types, aliases without end.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	d := policyDecoder{decoder: decoder{file: name, budget: maxAliasNodes}, p: &Policy{Rules: map[string]RuleSetting{}}}
	// Everything is read, and all faults are told at once, as with manifests. An empty
	// file is a policy that changes nothing.
	documents := 0
	d.guard(func() {
		err := yamlDocuments(data, func(n *yaml.Node) {
			if documents++; documents > 1 {
				d.problems.addf(d.at(n), "a policy file holds one document")
			} else if n.Tag != "!!null" {
				d.policy(n)
			}
		})
		if err != nil {
			d.syntax(data, err)
		}
	})
	if err := d.problems.err(); err != nil {
		return nil, err
	}
	return d.p, nil
}

// Knows checks names of rules given by a user, with those of rules of one's
// own. The error matches ErrUnknownRule.
//
// A name may be an ID, "DG012", or a name, in any case. One that is unknown is an error and
// not ignored: --skip with a typing error would run what was to be left out, and --only
// nothing.
func (p *Policy) Knows(names []string, own ...string) error {
	all := slices.Clone(own)
	for _, r := range rules() {
		all = append(all, r.ID, r.Name)
	}
	for i := range p.Custom {
		all = append(all, p.Custom[i].Name)
	}
	for _, n := range names {
		if slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, n) }) {
			continue
		}
		// IDs are in capitals and names are not, and users type both as they like: the
		// nearest of either kind will do.
		near := nearest(strings.ToUpper(n), all)
		if near == "" {
			near = nearest(strings.ToLower(n), all)
		}
		if near != "" {
			return fmt.Errorf("%w %q; did you mean %q?", ErrUnknownRule, n, near)
		}
		return fmt.Errorf("%w %q", ErrUnknownRule, n)
	}
	return nil
}

// ErrUnknownRule is matched by the error for the name of a rule that neither
// is built in nor in the policy.
var ErrUnknownRule = errors.New("depgraph: unknown rule")

// policyDecoder reads a policy with the means of a manifest's decoder.
type policyDecoder struct {
	decoder
	p *Policy
}

var (
	// The fields of a policy file. docs/guide describes them, and its examples are read by
	// a test.
	policyFields     = []string{"rules", "forbidden", "allowed", "required"}
	settingFields    = []string{"severity", "percent"}
	customRuleFields = []string{"name", "severity", "comment", "from", "to", "edge", "reach"}
	matchFields      = []string{"service", "owner", "kind", "criticality"}
	edgeMatchFields  = []string{"strength", "phase", "plane"}
)

// policy reads the one document of a policy file.
//
// A scalar, a list or a mapping of something else is a fault of the whole file.
func (d *policyDecoder) policy(n *yaml.Node) {
	d.fields(n, "policy", policyFields, func(key string, v *yaml.Node) {
		switch key {
		case "rules":
			d.settings(v)
		case "forbidden":
			d.customs(v, key, Forbidden)
		case "allowed":
			d.customs(v, key, Allowed)
		case "required":
			d.customs(v, key, Required)
		}
	})
}

// settings reads rules by ID, each a severity or a mapping. A name for a rule that does
// not exist is a fault like any unknown field, with a hint.
//
// percent belongs to DG013; anywhere else it is a mistake and would have no effect.
func (d *policyDecoder) settings(n *yaml.Node) {
	// IDs alone: two spellings of one rule in one file could contradict each other.
	var ids []string
	for _, r := range rules() {
		ids = append(ids, r.ID)
	}
	d.fields(n, "rules", ids, func(id string, v *yaml.Node) {
		s := RuleSetting{}
		// "DG013: warn" for the common case, a mapping where there is more to say.
		if v.Kind == yaml.ScalarNode {
			s.Severity, s.Set = enum(&d.decoder, v, "severity", ParseSeverity), true
		} else {
			d.fields(v, id, settingFields, func(key string, v *yaml.Node) {
				if key == "severity" {
					s.Severity, s.Set = enum(&d.decoder, v, key, ParseSeverity), true
				} else if s.Percent = d.percent(v, key); id != singlePointRule {
					d.problems.addf(d.at(v), "%s: percent goes with %s alone", id, singlePointRule)
				}
			})
		}
		d.p.Rules[id] = s
	})
}

// customs reads the rules of one mode. They share one space of names with the built-in
// ones and those of other modes, as findings and --skip go by names.
//
// Faulty rules are kept, as all faults of the file are told together and none of it is used
// afterwards.
func (d *policyDecoder) customs(n *yaml.Node, field string, mode RuleMode) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, field, "a list of rules")
		return
	}
	for _, item := range n.Content {
		if item = d.follow(item); item == nil {
			continue
		}
		// A rule that somebody wrote down is meant: its findings fail the check unless
		// it says otherwise.
		r := CustomRule{Mode: mode, Severity: Error, At: d.at(item)}
		ok := d.fields(item, field, customRuleFields, func(key string, v *yaml.Node) { d.custom(&r, key, v) })
		if ok && r.Name == "" {
			d.problems.addf(r.At, "%s: a rule needs a name", field)
		}
		if _, builtIn := FindRule(r.Name); builtIn {
			d.problems.addf(r.At, "%s: %q is the name of a built-in rule", field, r.Name)
		}
		if slices.ContainsFunc(d.p.Custom, func(o CustomRule) bool { return o.Name == r.Name }) {
			d.problems.addf(r.At, "%s: there are two rules named %q", field, r.Name)
		}
		d.p.Custom = append(d.p.Custom, r)
	}
}

// custom reads one field of a rule.
//
// fields has checked that the key is one of customRuleFields, and there once.
func (d *policyDecoder) custom(r *CustomRule, key string, v *yaml.Node) {
	switch key {
	case "name":
		r.Name = d.str(v, key)
	case "severity":
		r.Severity = enum(&d.decoder, v, key, ParseSeverity)
	case "comment":
		r.Comment = d.str(v, key)
	case "from":
		r.From = d.match(v, key)
	case "to":
		r.To = d.match(v, key)
	case "edge":
		r.Edge = d.edgeMatch(v)
	case "reach":
		r.Reach = d.boolean(v, key)
	}
}

// match reads what selects services: patterns, of which a single one needs no list.
func (d *policyDecoder) match(n *yaml.Node, field string) (m Match) {
	d.fields(n, field, matchFields, func(key string, v *yaml.Node) {
		var patterns []string
		if v.Kind == yaml.ScalarNode {
			patterns = []string{d.str(v, key)}
		} else {
			patterns = d.strs(v, key)
		}
		switch key {
		case "service":
			m.Service = patterns
		case "owner":
			m.Owner = patterns
		case "kind":
			m.Kind = patterns
			checkPatterns(d, v, patterns, KindUnknown, ParseKind)
		case "criticality":
			m.Criticality = patterns
			checkPatterns(d, v, patterns, CriticalityUnknown, ParseCriticality)
		}
	})
	return m
}

// checkPatterns reports a name that no service can have: a rule with it would
// never find anything.
func checkPatterns[T fmt.Stringer](d *policyDecoder, v *yaml.Node, patterns []string, unknown T, parse func(string) (T, error)) {
	for _, p := range patterns {
		p = strings.TrimPrefix(p, "!")
		if strings.Contains(p, "*") || p == unknown.String() {
			continue
		}
		if _, err := parse(p); err != nil {
			d.problems.addf(d.at(v), "%s", err)
		}
	}
}

// edgeMatch reads what selects edges.
//
// A plane or a phase that is not given matches any.
func (d *policyDecoder) edgeMatch(n *yaml.Node) (m EdgeMatch) {
	d.fields(n, "edge", edgeMatchFields, func(key string, v *yaml.Node) {
		switch key {
		case "strength":
			if m.Strength = d.str(v, key); m.Strength != "hard" && m.Strength != "soft" {
				d.problems.addf(d.at(v), "strength: expected hard or soft, found %s", strconv.Quote(m.Strength))
			}
		case "phase":
			m.Phase = d.phase(v)
		case "plane":
			m.Plane = enum(&d.decoder, v, key, ParsePlane)
		}
	})
	return m
}

// matches reports whether the service is selected.
//
// An owner, kind or criticality that is not said is "", which * matches and nothing else
// but "".
func (m *Match) matches(s *Service) bool {
	return oneOf(m.Service, s.Name) && oneOf(m.Owner, s.Owner) && oneOf(m.Kind, s.Kind.String()) && oneOf(m.Criticality, s.Criticality.String())
}

// oneOf reports whether value matches the patterns: none of those with "!",
// and, if there are others, one of them.
func oneOf(patterns []string, value string) bool {
	// Patterns with "!" take away, whatever the others say, so their order does not
	// matter.
	positive, matched := false, false
	for _, p := range patterns {
		if not, ok := strings.CutPrefix(p, "!"); ok {
			if glob.Match(not, value) {
				return false
			}
			continue
		}
		positive = true
		matched = matched || glob.Match(p, value)
	}
	return matched || !positive
}

// sel is the part of the selection that a sel can express. The rest, if there is any,
// has to be looked at edge by edge.
//
// The second result says whether that is the case.
func (m *EdgeMatch) sel() (sel, bool) {
	// "hard" leaves soft edges out, and those of groups stay: a rule about who may talk
	// to whom is about them too. Data is the default plane, so it is whatever is not
	// control.
	s := sel{any: fStartup | fRuntime | fDeploy}
	if m.Phase != 0 {
		s.any = flag(m.Phase)
	}
	if m.Strength == "hard" {
		s.none |= fSoft
	}
	if m.Plane == Data {
		s.none |= fControl
	}
	return s, m.Strength == "soft" || m.Plane == Control
}

// matches reports whether an edge is selected. A weak order is neither hard nor soft,
// and a hard one must lack both flags.
func (m *EdgeMatch) matches(f flag) bool {
	s, strict := m.sel()
	if !s.has(f) {
		return false
	}
	return !strict || (m.Strength != "soft" || f&(fSoft|fWeak) == fSoft) && (m.Plane != Control || f&fControl != 0)
}

// custom runs one rule of a policy: for each service that From selects, over all that
// it depends on. A required edge that is missing has no place but the service.
func (c *checker) custom(r *CustomRule) {
	g := c.g
	for v := range g.services {
		if c.ctx.Err() != nil { // a rule with reach may walk the whole graph for each service
			return
		}
		if !r.From.matches(&g.services[v]) {
			continue
		}
		// Targets are each found once, over the nearest way, so each is one finding at
		// most. O(services that From selects × what they reach).
		switch targets := c.targets(r, int32(v)); r.Mode {
		case Forbidden:
			for _, t := range targets {
				if r.To.matches(&g.services[t.vertex]) {
					c.violation(r, int32(v), t.vertex, way(targets, t), "must not depend on")
				}
			}
		case Allowed:
			for _, t := range targets {
				if !r.To.matches(&g.services[t.vertex]) {
					c.violation(r, int32(v), t.vertex, way(targets, t), "is not allowed to depend on")
				}
			}
		case Required:
			if !slices.ContainsFunc(targets, func(t target) bool { return r.To.matches(&g.services[t.vertex]) }) {
				c.found = append(c.found, Finding{
					Rule: r.Name, Name: r.Name, Severity: r.Severity, Service: g.services[v].Name, At: g.services[v].At,
					Message: fmt.Sprintf("%s lacks a dependency that %s requires", g.services[v].Name, r.Name), Fix: r.Comment,
				})
			}
		}
	}
}

// target is what a rule's service depends on, and the step by which it was come to:
// the edge, and the target before it in the list; -1 for none.
type target struct{ vertex, edge, before int32 }

// targets lists what v depends on under the rule, each once, the nearest first. Ways
// are kept as steps: a way of its own for each target would take quadratic memory.
func (c *checker) targets(r *CustomRule, v int32) (all []target) {
	g := c.g
	// v itself counts as seen: a way around a cycle back to v is no dependency on
	// another service. A map, since most services reach few of a large graph.
	seen := map[int32]bool{v: true}
	look := func(from, before int32) {
		for e := g.out[from]; e < g.out[from+1]; e++ {
			if w := g.to[e]; !seen[w] && r.Edge.matches(g.flags[e]) {
				seen[w] = true
				all = append(all, target{w, e, before})
			}
		}
	}
	look(v, -1)
	// all is the queue of a breadth-first search as well: it grows while it is walked,
	// and what stands before has fewer steps.
	for i := 0; r.Reach && i < len(all); i++ {
		look(all[i].vertex, int32(i))
	}
	return all
}

// way returns the edges that lead to a target, from the first.
func way(all []target, t target) (edges []int32) {
	for edges = []int32{t.edge}; t.before >= 0; edges = append(edges, t.edge) {
		t = all[t.before]
	}
	slices.Reverse(edges)
	return edges
}

// violation reports one edge too many, or the way to what is not allowed.
//
// Its edges are the whole way, so a waiver has to cover each of them, and a baseline knows
// the finding until one of them changes.
func (c *checker) violation(r *CustomRule, v, to int32, path []int32, verb string) {
	g := c.g
	edges := g.edgeList(path)
	msg := fmt.Sprintf("%s %s %s", g.services[v].Name, verb, g.services[to].Name)
	if len(edges) > 1 {
		msg += " (over " + edges[0].To + ")"
	}
	c.found = append(c.found, Finding{
		Rule: r.Name, Name: r.Name, Severity: r.Severity, Service: g.services[v].Name, Edges: edges,
		Message: msg, Fix: r.Comment, At: edges[0].At,
	})
}

package depgraph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func graphOf(t testing.TB, text string) *Graph {
	t.Helper()
	services, err := ParseManifest("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Compile(services, Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ruleCases holds, for each rule, a manifest that it finds fault with, the
// message, and one that it accepts.
var ruleCases = map[string]struct{ bad, message, good string }{
	"DG001": {
		"service: a\ndepends: [{on: b}]\n---\nservice: b\ndepends: [{on: a, phase: runtime}]\n",
		"bootstrap deadlock: 2 services wait for each other at startup",
		"service: a\ndepends: [{on: b, phase: runtime}]\n---\nservice: b\ndepends: [{on: a, phase: runtime}]\n",
	},
	"DG002": {
		"service: a\ndepends: [{on: b, phase: runtime}]\n---\nservice: b\ndepends: [{on: a, phase: runtime}]\n",
		"runtime cycle: 2 services need each other to serve",
		"service: a\ndepends: [{on: b, soft: true}]\n---\nservice: b\ndepends: [{on: a}]\n",
	},
	"DG003": {
		"service: a\ndepends: [{on: ci, phase: deploy}]\n---\nservice: ci\ndepends: [{on: a}]\n",
		"deploy cycle: a fix to any of 2 services needs the others",
		"service: a\ndepends: [{on: ci, phase: deploy}]\n---\nservice: ci\n",
	},
	"DG004": {
		"service: a\ncriticality: critical\ndepends: [{on: b}]\n---\nservice: b\ncriticality: low\n",
		"a (critical) has a hard dependency on b (low)",
		"service: a\ncriticality: critical\ndepends: [{on: b, soft: true}]\n---\nservice: b\ncriticality: low\n",
	},
	"DG005": {
		"service: a\navailability: {target: 99.9}\ndepends: [{on: b}]\n---\nservice: b\navailability: {target: 99.95}\n",
		"a targets 99.9%, so b should promise 99.99% and promises 99.95%",
		"service: a\navailability: {target: 99.9}\ndepends: [{on: b}]\n---\nservice: b\navailability: {target: 99.99}\n",
	},
	"DG006": {
		"service: a\ndepends: [{on: b, liveness: true}]\n---\nservice: b\n", "the liveness check of a touches b",
		"service: a\ndepends: [{on: b}]\n---\nservice: b\n",
	},
	"DG007": {
		"service: a\ndepends: [{on: b, plane: control}]\n---\nservice: b\n", "a needs the control plane of b to start",
		"service: a\ndepends: [{on: b, plane: control, phase: runtime}]\n---\nservice: b\n",
	},
	"DG008": {
		"service: payments\n---\nservice: a\ndepends: [{on: paymnets}]\n", `a depends on "paymnets", which is not declared; did you mean "payments"?`,
		"service: a\n",
	},
	"DG009": {"service: a\n", "a has no owner", "service: a\nowner: x\n---\nservice: b\nkind: external\n"},
	"DG010": {
		"service: a\ndepends: [{any-of: [b, c]}]\n---\nservice: b\ndepends: [{on: dns}]\n---\nservice: c\ndepends: [{on: dns}]\n---\nservice: dns\n",
		"a needs 1 of b, c, but they all fail with dns",
		"service: a\ndepends: [{any-of: [b, c]}, {on: dns}]\n---\nservice: b\ndepends: [{on: dns}]\n---\nservice: c\ndepends: [{on: dns}]\n---\nservice: dns\n",
	},
	"DG011": {
		"service: grafana\nkind: observer\ndepends: [{on: consul}]\n---\nservice: shop\ndepends: [{on: consul}]\n---\nservice: consul\n",
		"observer grafana needs consul, which the services it watches need too",
		"service: grafana\nkind: observer\ndepends: [{on: own}]\n---\nservice: shop\ndepends: [{on: consul}]\n---\nservice: consul\n---\nservice: own\n",
	},
	"DG012": {
		"service: a\ndepends: [{on: b, soft: true}]\n---\nservice: b\n", "a says it fails open without b; there is no evidence",
		"service: a\ndepends: [{on: b}]\n---\nservice: b\n", // what a proof needs is in proof_test.go
	},
	"DG013": {star(12), "hub takes 12 of 12 other services down", star(5)},
	"DG014": {
		"service: a\ndepends: [{on: b}]\n---\nservice: b\nkind: external\n", "a has a hard dependency on b, which is external, and no fallback",
		"service: a\ndepends: [{on: b, fallback: queue}]\n---\nservice: b\nkind: external\n",
	},
	"DG018": {"service: a\navailability: {own: 0.999}\n", "a: availability.own is 0.999%; did you mean 99.9?", "service: a\navailability: {own: 50, target: 99}\n"},
	"DG017": {
		"service: a\ndepends: [{on: b, order: weak}]\n---\nservice: b\ndepends: [{on: a, order: weak}]\n",
		"ordering cycle: 2 services are ordered in a circle",
		"service: a\ndepends: [{on: b, order: weak, until: ready}]\n---\nservice: b\ndepends: [{on: a, phase: runtime}]\n",
	},
}

// star makes n services that depend on one.
func star(n int) string {
	text := "service: hub\n"
	for i := range n {
		text += fmt.Sprintf("---\nservice: s%d\ndepends: [{on: hub}]\n", i)
	}
	return text
}

func TestRules_find_what_they_say_and_nothing_else(t *testing.T) {
	for _, r := range Rules() {
		if r.run == nil { // package drift has its tests
			if strings.Contains(r.Summary, "depgraph drift") != r.Drift || r.Why == "" || r.Fix == "" {
				t.Errorf("%s is not explained", r.ID)
			}
			continue
		}
		c, ok := ruleCases[r.ID]
		if !ok {
			t.Errorf("%s has no test", r.ID)
			continue
		}
		o := CheckOptions{Only: []string{r.ID}}
		found, err := graphOf(t, c.bad).Check(context.Background(), o)
		if err != nil || len(found) != 1 || found[0].Message != c.message || found[0].Severity != r.Severity || found[0].At.Line == 0 || found[0].Fix == "" {
			t.Errorf("%s: got %+v, %v; want %q", r.ID, found, err, c.message)
		}
		if found, err := graphOf(t, c.good).Check(context.Background(), o); err != nil || len(found) != 0 {
			t.Errorf("%s: found %+v, %v in a good manifest", r.ID, found, err)
		}
		if byName, ok := FindRule(r.Name); !ok || byName.ID != r.ID || r.Why == "" || r.Summary == "" {
			t.Errorf("%s is not explained", r.ID)
		}
	}
}

func TestCheck_break_glass_turns_a_deadlock_into_a_warning(t *testing.T) {
	text := "service: a\ndepends: [{on: b, break-glass: \"use the envelope\"}]\n---\nservice: b\ndepends: [{on: a}]\n"
	found, err := graphOf(t, text).Check(context.Background(), CheckOptions{Only: []string{"DG001"}})
	if err != nil || len(found) != 1 || found[0].Severity != Warn || len(found[0].Component.BreakGlass) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	o, err := graphOf(t, text).Order(context.Background(), OrderOptions{Cold: true})
	if err != nil || len(o.Blocked) != 0 || len(o.ByHand) != 1 || len(o.Waves) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestCycles_pinned_edges_are_not_proposed(t *testing.T) {
	g := graphOf(t, "service: a\ndepends: [{on: b, phase: runtime}]\n---\nservice: b\ndepends: [{on: a, pinned: true, phase: startup}]\n")
	c, err := g.Cycles(context.Background(), CyclesOptions{})
	if err != nil || len(c) != 1 || len(c[0].Soften) != 1 || c[0].Soften[0].From != "a" || !c[0].ProvenMinimum {
		t.Errorf("%+v, %v", c, err)
	}
	g = graphOf(t, "service: a\ndepends: [{on: b, pinned: true}]\n---\nservice: b\ndepends: [{on: a, pinned: true}]\n")
	c, err = g.Cycles(context.Background(), CyclesOptions{})
	if err != nil || len(c) != 1 || !c[0].Pinned || len(c[0].Soften) != 0 || c[0].FixText() == "" {
		t.Errorf("%+v, %v", c, err)
	}
}

const policyText = `
rules:
  DG009: off
  DG013: {severity: error, percent: 10}
forbidden:
  - name: no-legacy
    severity: warn
    comment: use the new API
    from: {owner: ["team-*", "!team-old"]}
    to: {service: "legacy-*"}
    reach: true
allowed:
  - name: data-only
    from: {kind: app}
    to: {kind: [datastore, app]}
    edge: {strength: hard, phase: runtime}
required:
  - name: logs
    from: {criticality: critical}
    to: {kind: observer}
`

func TestPolicy_changes_severities_and_adds_rules(t *testing.T) {
	p, err := ParsePolicy("p.yaml", []byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	g := graphOf(t, `
service: web
owner: team-web
kind: app
criticality: critical
depends: [{on: mid}, {on: q, soft: true}]
---
service: mid
owner: team-old
kind: app
depends: [{on: legacy-db}, {on: q}]
---
service: legacy-db
kind: datastore
---
service: q
kind: queue
`)
	found, err := g.Check(context.Background(), CheckOptions{Policy: p, Skip: []string{"soft-unverified", "DG014"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.Severity.String()+" "+f.Rule+": "+f.Message)
	}
	equal(t, "findings", got, []string{
		"error data-only: mid is not allowed to depend on q",
		"error logs: web lacks a dependency that logs requires",
		"warn no-legacy: web must not depend on legacy-db (over mid)",
	})
}

func TestParsePolicy_names_the_place_of_faults(t *testing.T) {
	for text, want := range map[string]string{
		"forbidden:\n  - name: x\n    from: {kind: [app, datastor]}\n    to: {}\n": `p.yaml:3: kind "datastor" is not one of`,
		"forbidden:\n  - name: x\n    from: {criticality: \"!hihg\"}\n":            `p.yaml:3: criticality "hihg" is not one of`,
		"rules: {DG999: off}\n":                                   `p.yaml:1: rules: unknown field "DG999"`,
		"rules:\n  DG001: fatal\n":                                `p.yaml:2: severity "fatal" is not one of off, info, warn, error`,
		"forbiden: []\n":                                          `did you mean "forbidden"?`,
		"forbidden:\n  - from: {}\n":                              `p.yaml:2: forbidden: a rule needs a name`,
		"forbidden:\n  - {name: a}\n  - {name: a}\n":              `p.yaml:3: forbidden: there are two rules named "a"`,
		"required:\n  - {name: a, edge: {strength: x}}\n":         `p.yaml:2: strength: expected hard or soft, found "x"`,
		"allowed:\n  - {name: DG001}\n":                           `p.yaml:2: allowed: "DG001" is the name of a built-in rule`,
		"rules:\n  DG013: {percent: 20}\n  DG009: {percent: 5}\n": "p.yaml:3: DG009: percent goes with DG013 alone",
		"forbidden: [":                                            `p.yaml:1: cannot parse`,
		"rules: {}\n---\nrules: {}\n":                             `a policy file holds one document`,
		"forbidden:\n  - {name: a, from: {servcie: x}}\n":         `did you mean "service"?`,
		"rules:\n  DG013: {severity: info, percent: 200}\n":       `percent is 200`,
	} {
		if _, err := ParsePolicy("p.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if _, err := graphOf(t, "service: a\n").Check(context.Background(), CheckOptions{Only: []string{"DG0001"}}); !errors.Is(err, ErrUnknownRule) {
		t.Errorf("an unknown rule: %v", err)
	}
}

func TestBaseline_compares_edges_not_counts(t *testing.T) {
	old := graphOf(t, "service: a\ndepends: [{on: b}]\n---\nservice: b\ndepends: [{on: a}]\n---\nservice: c\n---\nservice: d\n")
	o := CheckOptions{Only: []string{"DG001", "DG009"}}
	before, err := old.Check(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := NewBaseline(before).Write(&file); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "baseline.json")
	if err := os.WriteFile(name, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := LoadBaseline(name)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, known, stale := b.Filter(before); len(fresh) != 0 || known != 5 || stale != 0 {
		t.Errorf("the same findings: %d new, %d known, %d stale", len(fresh), known, stale)
	}
	// As many deadlocks as before, but another one.
	now := graphOf(t, "service: a\n---\nservice: b\n---\nservice: c\ndepends: [{on: d}]\n---\nservice: d\ndepends: [{on: c}]\n")
	after, err := now.Check(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	fresh, known, stale := b.Filter(after)
	if len(fresh) != 1 || fresh[0].Rule != "DG001" || known != 4 || stale != 2 {
		t.Errorf("%+v new, %d known, %d stale; want the new deadlock, 4, 2", fresh, known, stale)
	}
	if err := os.WriteFile(name, []byte(`{"version": 2}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadBaseline(name); err == nil {
		t.Error("a baseline of an unknown version was read")
	}
}

func TestGraph_is_the_same_for_any_order_of_input(t *testing.T) {
	systems(t, 200, 14, true, func(t *testing.T, r *rand.Rand, services []Service) {
		want := fingerprint(t, services)
		for range 3 {
			shuffled := slices.Clone(services)
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			for i := range shuffled {
				deps := slices.Clone(shuffled[i].Depends)
				r.Shuffle(len(deps), func(i, j int) { deps[i], deps[j] = deps[j], deps[i] })
				shuffled[i].Depends = deps
			}
			if got := fingerprint(t, shuffled); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		}
	})
}

// fingerprint prints everything the engine says about services.
func fingerprint(t *testing.T, services []Service) string {
	g := mustCompile(t, services)
	ctx := context.Background()
	c, err := g.Cycles(ctx, CyclesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := g.Order(ctx, OrderOptions{MaxParallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	f, err := g.Check(ctx, CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := g.Availability(ctx, g.services[0].Name, AvailOptions{Savings: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range f {
		f[i].Component = nil // printed as a pointer
	}
	return fmt.Sprintf("%+v\n%+v\n%+v\n%+v", c, *o, f, *a)
}

func TestGuide_blocks_are_valid(t *testing.T) {
	text, err := os.ReadFile("../docs/guide/depgraph.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	for i, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		if strings.HasPrefix(b, "service:") {
			_, err = ParseManifest("guide.yaml", []byte(b))
		} else {
			_, err = ParsePolicy("guide.yaml", []byte(b))
		}
		if err != nil {
			t.Errorf("block %d: %v", i+1, err)
		}
	}
	if len(blocks) < 2 {
		t.Errorf("%d blocks", len(blocks))
	}
}

package depgraph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The texts that people read: names of values, strengths, faults of exports, and
// proposals. Each is written out in full.

func TestNames_are_read_back_and_a_wrong_one_is_answered(t *testing.T) {
	check := func(what string, names []string, parse func(string) (fmt.Stringer, error)) {
		t.Helper()
		for i, name := range names {
			if name == "" {
				if _, err := parse(""); err == nil {
					t.Errorf("%s: the empty name was read", what)
				}
				continue
			}
			if v, err := parse(name); err != nil || v.String() != name {
				t.Errorf("%s %d: %q became %v, %v", what, i, name, v, err)
			}
		}
	}
	check("kind", kindNames, func(s string) (fmt.Stringer, error) { v, err := ParseKind(s); return v, err })
	check("criticality", criticalityNames, func(s string) (fmt.Stringer, error) { v, err := ParseCriticality(s); return v, err })
	check("plane", planeNames, func(s string) (fmt.Stringer, error) { v, err := ParsePlane(s); return v, err })
	check("until", untilNames, func(s string) (fmt.Stringer, error) { v, err := ParseUntil(s); return v, err })
	check("phase", phaseNames, func(s string) (fmt.Stringer, error) { v, err := ParsePhase(s); return v, err })
	check("state", runStateNames, func(s string) (fmt.Stringer, error) { v, err := ParseRunState(s); return v, err })
	for got, want := range map[string]string{
		Kind(99).String(): "unknown(99)", Until(7).String(): "unknown(7)", ProofState(99).String(): "unknown", Stale.String(): "stale",
		(Startup | Deploy).String(): "startup+deploy", Phase(0).String(): "", Position{}.String(): "", Position{File: "f"}.String(): "f", Position{File: "f", Line: 2}.String(): "f:2",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	_, err := ParsePlane("controll")
	if err == nil || err.Error() != `plane "controll" is not one of data, control; did you mean "control"?` {
		t.Error(err)
	}
}

func TestEdge_Strength_in_words(t *testing.T) {
	for want, e := range map[string]Edge{
		"hard": {}, "soft": {Soft: true}, "weak": {Weak: true}, "any 1 of 2": {Group: 1, Need: 1, Of: 2}, "soft any 2 of 3": {Soft: true, Group: 1, Need: 2, Of: 3},
		"weak any 1 of 3": {Weak: true, Group: 2, Need: 1, Of: 3},
	} {
		if got := e.Strength(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (Edge{Group: 1, Need: 2, Of: 2}).Strength(); got != "hard" { // all of them are needed
		t.Errorf("%q", got)
	}
}

// TestParseManifest_faults_of_an_export names file, line and field.
func TestParseManifest_faults_of_an_export(t *testing.T) {
	edge := func(fields string) string {
		return "services: [{service: a}, {service: b}]\nedges:\n  - {from: a, to: b" + fields + "}\n"
	}
	for text, want := range map[string]string{
		"version: 2\nservices: []\n":                          "x.yaml:1: version: this program reads version 1 of an exported graph, and found 2",
		"services: 5\n":                                       "x.yaml:1: services: expected a list, found the number 5",
		"services: []\nedges: x\n":                            `x.yaml:2: edges: expected a list, found "x"`,
		"services: []\nedgs: []\n":                            `x.yaml:2: export: unknown field "edgs"; did you mean "edges"?`,
		"services: [{owner: x}]\n":                            `x.yaml:1: services: the field "service" with the name is missing`,
		"services: [x]\n":                                     `x.yaml:1: services: expected a mapping with service, owner, kind, criticality, target, own, start_seconds, verify, note, source, undeclared, waivers, file, line, found "x"`,
		"services: [{service: a, start_seconds: -1}]\n":       "x.yaml:1: start_seconds is -1; it is a number of seconds between 0 and 2.592e+06",
		"services: [{service: a, start_seconds: x}]\n":        `x.yaml:1: start_seconds: expected a number of seconds, found "x"`,
		"services: [{service: a, line: -1}]\n":                "x.yaml:1: line: expected the number of a line, found the number -1",
		"services: [{service: a, line: x}]\n":                 `x.yaml:1: line: expected the number of a line, found "x"`,
		"services: [{service: a, target: 101}]\n":             "x.yaml:1: target is 101; it is a percentage above 0, up to 100",
		"services: [{service: a, undeclared: 1}]\n":           "x.yaml:1: undeclared: expected true or false, found the number 1",
		"services: [{service: a}]\nedges: [{from: a}]\n":      `x.yaml:2: edges: "from" or "to" is missing`,
		"services: [{service: a}]\nedges: [{from: x, to: a}]": `x.yaml:2: edges: "x" is not among the services of this export`,
		"services: [{service: a}]\nedges: [5]\n":              "x.yaml:2: edges: expected a mapping with from, to, file, line, group, need, of, soft, order, until, phase, assumed, plane, pinned, liveness, evidence, break_glass, fallback, note, source, found the number 5",
		edge(", break-glass: x"):                              `x.yaml:3: edges: unknown field "break-glass"; did you mean "break_glass"?`,
		edge(", break_glass: 5"):                              "x.yaml:3: break_glass: expected a string (put it in quotes), found the number 5",
		edge(", plane: x"):                                    `x.yaml:3: plane "x" is not one of data, control`,
		edge(", soft: x"):                                     `x.yaml:3: soft: expected true or false, found "x"`,
		edge(", until: soon"):                                 `x.yaml:3: until "soon" is not one of started, ready, serving, done`,
		edge(", order: strong"):                               `x.yaml:3: order "strong" is not one of strict, weak`,
		edge(", group: x"):                                    `x.yaml:3: group: expected a whole number, found "x"`,
		edge(", phase: {}"):                                   "x.yaml:3: phase: expected startup, runtime, deploy, or a list of them, found a mapping",
		edge(", from: b"):                                     `x.yaml:3: edges: field "from" appears twice`,
	} {
		if _, err := ParseManifest("x.yaml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
	// What is left out has its default, and groups come together again.
	services, err := ParseManifest("x.yaml", []byte("edges: [{from: a, to: c, group: 1, need: 2, of: 2, plane: ''}, {from: a, to: b, group: 1}]\nservices: [{service: a, start_seconds: 1.5, file: m.yaml, line: 7}, {service: b}, {service: c}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a := services[0]; a.Start != 1500*time.Millisecond || a.At != (Position{"m.yaml", 7}) || len(a.Depends) != 1 || a.Depends[0].Need != 2 || !slices.Equal(a.Depends[0].AnyOf, []string{"c", "b"}) {
		t.Errorf("%+v", a)
	}
}

func TestComponent_FixText_of_many_edges(t *testing.T) {
	edges := func(n int) (all []Edge) {
		for i := range n {
			all = append(all, Edge{From: fmt.Sprint("a", i), To: "b"})
		}
		return all
	}
	list := func(n int, word string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprint("a", i, word, "b"))
		}
		return strings.Join(all, ", ")
	}
	for want, k := range map[string]Component{
		"": {},
		"make 1 edge soft (proven minimum): a0 -> b":                                                    {Soften: edges(1), ProvenMinimum: true},
		"make 20 edges soft (cost 40, no set costs less than 3): " + list(20, " -> "):                   {Soften: edges(20), Cost: 40, LowerBound: 3},
		"make 22 edges soft (proven minimum): " + list(20, " -> ") + ", and 2 more":                     {Soften: edges(22), ProvenMinimum: true},
		"pinned edges form a cycle of their own: unpin one of them, or write a break-glass procedure":   {Pinned: true, Soften: edges(1)},
		"remove one of these orders":                                                                    {Kind: OrderingCycle},
		"a start does not keep " + list(20, " after ") + ", and 1 more; remove the order that is wrong": {Kind: OrderingCycle, Drop: edges(21)},
	} {
		if got := k.FixText(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAvailability_doubts_of_numbers_that_look_like_fractions(t *testing.T) {
	for a, want := range map[Availability]string{
		{}: "", {Target: 99.9, Own: 99.99}: "", {Target: 50}: "",
		{Target: 0.999}:       "target is 0.999%; did you mean 99.9?",
		{Own: 1}:              "own is 1%; did you mean 100?",
		{Own: 49.9}:           "own is 49.9%, down more than half of the time; is that right?",
		{Target: 0.5, Own: 2}: "target is 0.5%; did you mean 50?|own is 2%, down more than half of the time; is that right?",
	} {
		if got := strings.Join(a.doubts(), "|"); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}

func TestGraph_questions_about_nobody(t *testing.T) {
	g := chain(t, 3)
	ctx := context.Background()
	for name, ask := range map[string]func() error{
		"Blast":        func() error { _, err := g.Blast(BlastOptions{}, "s0000x"); return err },
		"Availability": func() error { _, err := g.Availability(ctx, "s0000x", AvailOptions{}); return err },
		"AvailOptions.Own": func() error {
			_, err := g.Availability(ctx, "s00000", AvailOptions{Own: map[string]float64{"s0000x": 9}})
			return err
		},
		"Why, from":  func() error { _, _, err := g.Why(ctx, "s0000x", "s00000", WhyOptions{}); return err },
		"Why, to":    func() error { _, _, err := g.Why(ctx, "s00000", "s0000x", WhyOptions{}); return err },
		"WithSoft":   func() error { _, err := g.WithSoft(EdgeRef{"s0000x", "s00000"}); return err },
		"WhyBlocked": func() error { _, err := g.WhyBlocked("s0000x", nil); return err },
		"Slice":      func() error { _, err := g.Slice([]string{"s0000x"}); return err },
	} {
		if err := ask(); !errors.Is(err, ErrUnknownService) || err.Error() != `depgraph: unknown service: "s0000x"; did you mean "s00000"?` {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := g.unknown("zzzzzzzzzz"); err.Error() != `depgraph: unknown service: "zzzzzzzzzz"` {
		t.Error(err)
	}
	if _, err := g.Blast(BlastOptions{}); err == nil || err.Error() != "depgraph: Blast needs at least one service" {
		t.Error(err)
	}
	for _, percent := range []float64{0, -1, 100.1} {
		_, err := g.Availability(ctx, "s00000", AvailOptions{Own: map[string]float64{"s00001": percent}})
		if want := fmt.Sprintf(`depgraph: AvailOptions.Own["s00001"] is %v; it is a percentage above 0, up to 100`, percent); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if _, err := g.WithSoft(EdgeRef{"s00000", "s00002"}); err == nil || err.Error() != `depgraph: there is no edge from "s00000" to "s00002"` {
		t.Error(err)
	}
	if _, ok := g.Service("x"); ok || g.EdgesFrom("x") != nil || g.Dependents("x") != nil || g.Has("x") {
		t.Error("somebody who is not there was found")
	}
	if in := g.Dependents("s00002"); len(in) != 1 || in[0].From != "s00001" || len(g.Dependents("s00000")) != 0 {
		t.Errorf("%+v", in)
	}
}

func TestBlast_says_what_rests_on_guesses(t *testing.T) {
	services, err := ParseManifest("f.yaml", []byte("service: a\ndepends: [{on: d, assumed: true}]\n---\nservice: b\ndepends: [{on: a}]\n---\nservice: c\ndepends: [{on: d}]\n---\nservice: d\n---\nservice: e\ndepends: [{on: d, soft: true, assumed: true}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Compile(services, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := g.Blast(BlastOptions{}, "d")
	if got := fmt.Sprint(b.Of, b.Down, b.Degraded, b.Assumed); err != nil || got != "[d] [a b c] [e] [a b e]" {
		t.Errorf("lost, down, degraded, by guesses: %s, %v", got, err)
	}
}

func TestDeclare_orders_without_a_need(t *testing.T) {
	d := After("b").Awaiting(Ready)
	if d.On != "b" || !d.Weak || d.Until != Ready || !strings.HasSuffix(d.At.File, "words_test.go") || d.At.Line == 0 {
		t.Errorf("%+v", d)
	}
	g, err := Compile([]Service{{Name: "a", Depends: []Dependency{d}}, {Name: "b"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e := g.EdgesFrom("a")[0]; e.Strength() != "weak" || e.Phase != Startup || e.Until != Ready {
		t.Errorf("%+v", e)
	}
}

func TestIsManifest_by_name(t *testing.T) {
	for name, want := range map[string]bool{
		"depgraph.yaml": true, "depgraph.yml": true, "depgraph.json": true, "a.depgraph.yaml": true, "dir/a.depgraph.json": true,
		"vendor/depgraph.yaml": false, ".git/a/depgraph.yaml": false, "a/testdata/depgraph.yaml": false, ".depgraph.yaml": false, "depgraph.txt": false, "mydepgraph.yaml": false, "depgraph": false, "": false, "a.yaml": false,
	} {
		if got := IsManifest(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

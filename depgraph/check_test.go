package depgraph

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// findingText is one line of what a user sees: severity, rule, place and message.
func findingText(f *Finding) string {
	return fmt.Sprintf("%s %s %s: %s", f.Severity, f.Rule, f.At, f.Message)
}

// checked runs a check of some rules, by ID or name, and returns all that it finds.
func checked(t *testing.T, g *Graph, o CheckOptions, only ...string) string {
	t.Helper()
	o.Only = only
	found, err := g.Check(t.Context(), o)
	if err != nil {
		return "error " + err.Error()
	}
	lines := make([]string, len(found))
	for i := range found {
		lines[i] = findingText(&found[i])
	}
	return strings.Join(lines, "\n")
}

func TestCheck_findings_in_full(t *testing.T) {
	const circle = "a: / on: b, phase: startup%s\nb: / on: a, phase: startup"
	shared := "a: / any-of: [b, c]\nb: / on: s1 / on: s2 / on: s3 / on: s4 / on: s5%s\nc: / on: s1 / on: s2 / on: s3 / on: s4 / on: s5%s\ns1:\ns2:\ns3:\ns4:\ns5:\ns6:"
	for name, c := range map[string]struct {
		rule, system, want string
	}{
		"a deadlock": {"DG001", fmt.Sprintf(circle, ""), "error DG001 f.yaml:4: bootstrap deadlock: 2 services wait for each other at startup"},
		"one guess": {
			"DG001", fmt.Sprintf(circle, ", assumed: true"),
			"warn DG001 f.yaml:4: bootstrap deadlock: 2 services wait for each other at startup; it rests on 1 assumed edge",
		},
		"two guesses": {
			"DG001", "a: / on: b, phase: startup, assumed: true\nb: / on: a, phase: startup, assumed: true",
			"warn DG001 f.yaml:4: bootstrap deadlock: 2 services wait for each other at startup; it rests on 2 assumed edges",
		},
		"a way around by hand": {
			"DG001", fmt.Sprintf(circle, ", break-glass: copy"),
			"warn DG001 f.yaml:4: bootstrap deadlock: 2 services wait for each other at startup; people can get past it by hand",
		},
		"orders that nobody asked for": {
			"DG017", "a: / on: b, order: weak, assumed: true\nb: / on: a, order: weak, assumed: true",
			"info DG017 f.yaml:4: ordering cycle: 2 services are ordered in a circle; it rests on 2 assumed edges",
		},

		"less critical":  {"DG004", "a: criticality: high / on: b\nb: criticality: medium", "warn DG004 f.yaml:5: a (high) has a hard dependency on b (medium)"},
		"as critical":    {"DG004", "a: criticality: high / on: b\nb: criticality: high", ""},
		"nobody says":    {"DG004", "a: criticality: high / on: b\nb:", ""},
		"an alternative": {"DG004", "a: criticality: high / any-of: [b, c]\nb: criticality: low\nc: criticality: low", ""},
		"two edges, one finding": {
			"DG004", "a: criticality: high / on: b, phase: startup, until: ready / on: b, phase: runtime\nb: criticality: low",
			"warn DG004 f.yaml:6: a (high) has a hard dependency on b (low)",
		},

		"one nine more":                          {"DG005", "a: availability: {target: 99} / on: b\nb: availability: {target: 99.9}", ""},
		"nearly one nine more":                   {"DG005", "a: availability: {target: 99} / on: b\nb: availability: {target: 99.89}", "warn DG005 f.yaml:5: a targets 99%, so b should promise 99.9% and promises 99.89%"},
		"what it has, where it promises nothing": {"DG005", "a: availability: {target: 99} / on: b\nb: availability: {own: 99}", "warn DG005 f.yaml:5: a targets 99%, so b should promise 99.9% and promises 99%"},
		"at startup alone":                       {"DG005", "a: availability: {target: 99} / on: b, phase: startup\nb: availability: {own: 99}", ""},

		"a soft control plane":        {"DG007", "a: / on: b, plane: control, soft: true\nb:", ""},
		"five that are shared":        {"DG010", fmt.Sprintf(shared, "", ""), "warn DG010 f.yaml:4: a needs 1 of b, c, but they all fail with s1, s2, s3, s4, s5"},
		"six that are shared":         {"DG010", fmt.Sprintf(shared, " / on: s6", " / on: s6"), "warn DG010 f.yaml:4: a needs 1 of b, c, but they all fail with s1, s2, s3, s4, s5 and 1 more"},
		"an observer's way":           {"DG011", "o: kind: observer / on: x\nx: / on: y\ny:\nshop: / on: y", "warn DG011 f.yaml:5: observer o needs y, which the services it watches need too"},
		"what observers share":        {"DG011", "o: kind: observer / on: p\np: kind: observer / on: y\ny:", ""},
		"an observer that falls back": {"DG011", "o: kind: observer / on: y, soft: true\ny:\nshop: / on: y", ""},
		"a weak order claims nothing": {"DG012", "a: / on: b, order: weak / on: c, soft: true\nb:\nc:", "info DG012 f.yaml:5: a says it fails open without c; there is no evidence"},
		"half of ten":                 {"DG013", star(10), "info DG013 f.yaml:1: hub takes 10 of 10 other services down"},
		"nine are too few":            {"DG013", star(8), ""},
		"an external group":           {"DG014", "a: / any-of: [b, c]\nb: kind: external\nc: kind: external", ""},
		"an external at startup":      {"DG014", "a: / on: b, phase: startup\nb: kind: external", ""},
		"a guess is marked":           {"DG014", "a: / on: b, assumed: true\nb: kind: external", "warn DG014 f.yaml:4: a has a hard dependency on b, which is external, and no fallback (assumed)"},
		"the cloud needs no owner":    {"DG009", "a: kind: cloud\nb: kind: external\nc: owner: x / on: ghost\nd:", "warn DG009 f.yaml:13: d has no owner"},
		"both numbers":                {"DG018", "a: availability: {target: 0.99, own: 1}", "warn DG018 f.yaml:2: a: availability.own is 1%; did you mean 100?\nwarn DG018 f.yaml:2: a: availability.target is 0.99%; did you mean 99?"},
		"just a half":                 {"DG018", "a: availability: {target: 50, own: 49}", "warn DG018 f.yaml:2: a: availability.own is 49%, down more than half of the time; is that right?"},
	} {
		t.Run(name, func(t *testing.T) {
			build := system
			if strings.HasPrefix(c.system, "service:") {
				build = graphOf
			}
			if got := checked(t, build(t, c.system), CheckOptions{}, c.rule); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The share is counted without the service itself, and has to be exceeded.
func TestCheck_single_points_from_the_share_of_the_policy(t *testing.T) {
	g := system(t, "hub:\na: / on: hub\nb: / on: hub\nc: / on: hub\nd: / on: hub\ne:\nf:\ng:\nh:\ni:\nj:") // 4 of 10
	for percent, want := range map[float64]string{
		0: "", 39.9: "info DG013 f.yaml:2: hub takes 4 of 10 other services down", 40: "", 50: "",
	} {
		p := &Policy{Rules: map[string]RuleSetting{"DG013": {Percent: percent}}}
		if got := checked(t, g, CheckOptions{Policy: p}, "spof"); got != want {
			t.Errorf("%v: %s, want %s", percent, got, want)
		}
	}
}

// Each rule of a policy is asked about one system, in which a needs b for certain, c
// softly, d on its control plane and e after b; its way to e is the shortest.
func TestPolicy_what_each_mode_selects(t *testing.T) {
	g := system(t, `
		a: owner: x; kind: app / on: b / on: c, soft: true, phase: runtime / on: d, plane: control, phase: startup / on: w, order: weak, phase: startup
		b: owner: y; kind: datastore / on: e
		c: owner: y; kind: queue / on: e / on: a, phase: deploy
		d: owner: z; kind: cloud
		e: kind: external
		w: owner: x; kind: app`)
	for rule, want := range map[string]string{
		"forbidden: [{name: n, from: {service: a}}]":                                                        "a must not depend on b; a must not depend on c; a must not depend on d; a must not depend on w",
		"forbidden: [{name: n, from: {service: a}, to: {owner: y}}]":                                        "a must not depend on b; a must not depend on c",
		"forbidden: [{name: n, from: {service: a}, to: {owner: [y, \"!y\"]}}]":                              "",
		"forbidden: [{name: n, from: {service: a}, to: {owner: \"!y\"}}]":                                   "a must not depend on d; a must not depend on w",
		"forbidden: [{name: n, from: {service: a}, to: {owner: y, kind: queue}}]":                           "a must not depend on c",
		"forbidden: [{name: n, from: {service: \"[ab]\"}}]":                                                 "",
		"forbidden: [{name: n, from: {owner: \"\"}}]":                                                       "",
		"forbidden: [{name: n, to: {owner: \"\"}}]":                                                         "b must not depend on e; c must not depend on e",
		"forbidden: [{name: n, from: {service: a}, edge: {strength: hard}}]":                                "a must not depend on b; a must not depend on d",
		"forbidden: [{name: n, from: {service: a}, edge: {strength: soft}}]":                                "a must not depend on c",
		"forbidden: [{name: n, from: {service: a}, edge: {plane: control}}]":                                "a must not depend on d",
		"forbidden: [{name: n, from: {service: a}, edge: {plane: data}}]":                                   "a must not depend on b; a must not depend on c; a must not depend on w",
		"forbidden: [{name: n, from: {service: a}, edge: {phase: runtime}}]":                                "a must not depend on b; a must not depend on c",
		"forbidden: [{name: n, from: {service: c}, edge: {phase: deploy}}]":                                 "c must not depend on a",
		"forbidden: [{name: n, from: {service: a}, edge: {phase: runtime, strength: soft, plane: data}}]":   "a must not depend on c",
		"forbidden: [{name: n, from: {service: a}, to: {service: e}, reach: true}]":                         "a must not depend on e (over b)",
		"forbidden: [{name: n, from: {service: a}, to: {service: e}, reach: true, edge: {strength: soft}}]": "",
		"forbidden: [{name: n, from: {service: a}, to: {service: a}, reach: true}]":                         "",
		"allowed: [{name: n, from: {service: a}, to: {owner: [y, z]}}]":                                     "a is not allowed to depend on w",
		"allowed: [{name: n, from: {service: a}, to: {owner: [y, z, x]}, reach: true}]":                     "a is not allowed to depend on e (over b)",
		"required: [{name: n, from: {owner: y}, to: {service: e}}]":                                         "",
		"required: [{name: n, from: {owner: x}, to: {service: b}}]":                                         "w lacks a dependency that n requires",
		"required: [{name: n, from: {owner: x}, to: {service: e}}]":                                         "a lacks a dependency that n requires; w lacks a dependency that n requires",
		"required: [{name: n, from: {service: a}, to: {service: e}, reach: true}]":                          "",
		"required: [{name: n, from: {service: a}, to: {service: c}, edge: {strength: hard}}]":               "a lacks a dependency that n requires",
		"required: [{name: n, severity: off, from: {owner: x}, to: {service: e}}]":                          "",
	} {
		p, err := ParsePolicy("p.yaml", []byte(rule))
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		found, err := g.Check(t.Context(), CheckOptions{Policy: p, Only: []string{"N"}})
		if err != nil {
			t.Fatal(err)
		}
		var messages []string
		for _, f := range found {
			messages = append(messages, f.Message)
		}
		if got := strings.Join(messages, "; "); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", rule, got, want)
		}
	}
}

func TestPolicy_a_rule_is_read_field_by_field(t *testing.T) {
	p, err := ParsePolicy("p.yaml", []byte(`
rules: {DG013: {severity: warn, percent: 12.5}, DG009: off}
forbidden:
  - name: n
    severity: info
    comment: ask first
    from: {service: [a, b*], owner: x}
    to: {kind: queue, criticality: "!low"}
    edge: {strength: soft, phase: [startup, deploy], plane: control}
    reach: true
required: [{name: m}]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Policy{
		Rules: map[string]RuleSetting{"DG013": {Severity: Warn, Set: true, Percent: 12.5}, "DG009": {Severity: Off, Set: true}},
		Custom: []CustomRule{
			{
				Name: "n", Severity: Info, Comment: "ask first", Mode: Forbidden, From: Match{Service: []string{"a", "b*"}, Owner: []string{"x"}},
				To: Match{Kind: []string{"queue"}, Criticality: []string{"!low"}}, Edge: EdgeMatch{"soft", Startup | Deploy, Control}, Reach: true, At: Position{"p.yaml", 4},
			},
			{Name: "m", Severity: Error, Mode: Required, At: Position{"p.yaml", 11}},
		},
	}
	if got, want := fmt.Sprintf("%+v", p), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for id, want := range map[string]Severity{"DG013": Warn, "DG009": Off, "DG001": Error, "DG999": Off} {
		if got := p.Severity(id); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	if p, err := ParsePolicy("p.yaml", []byte("null\n")); err != nil || len(p.Rules)+len(p.Custom) != 0 {
		t.Errorf("an empty policy: %+v, %v", p, err)
	}
	g := system(t, "a: owner: x / on: q, soft: true, plane: control\nq: kind: queue")
	found, err := g.Check(t.Context(), CheckOptions{Policy: p, Only: []string{"n"}})
	if err != nil || len(found) != 1 || found[0].Fix != "ask first" || findingText(&found[0]) != "info n f.yaml:5: a must not depend on q" || ways(found[0].Edges) != "a>q" {
		t.Errorf("%+v, %v", found, err)
	}
}

// What a rule of one's own leaves open is filled in; what it gives is kept.
func TestCheck_own_rules_are_completed(t *testing.T) {
	g := system(t, "a: / on: b\nb:")
	edge := g.EdgesFrom("a")[0]
	here := Position{"x.yaml", 7}
	r := Rule{Name: "own", Severity: Warn, Fix: "mend it", Check: func(context.Context, *Graph) ([]Finding, error) {
		return []Finding{
			{Service: "b", Message: "has no edge"},
			{Service: "a", Message: "has one", Edges: []Edge{edge}, Rule: "DG001", Name: "x", Component: &Component{}},
			{Service: "a", Message: "says all", Edges: []Edge{edge}, At: here, Severity: Error, Fix: "leave it"},
		}, nil
	}}
	found, err := g.Check(t.Context(), CheckOptions{Rules: []Rule{r}, Only: []string{"own"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range found {
		got = append(got, fmt.Sprintf("%s (%s), %v", findingText(&found[i]), found[i].Fix, found[i].Component))
	}
	want := "error own x.yaml:7: says all (leave it), <nil>\nwarn own f.yaml:4: has one (mend it), <nil>\nwarn own f.yaml:6: has no edge (mend it), <nil>"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	r.Severity = Off // a rule without a severity still tells what it finds
	if found, err := g.Check(t.Context(), CheckOptions{Rules: []Rule{r}, Only: []string{"own"}}); err != nil || len(found) != 3 || found[2].Severity != Info {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestCheck_own_rules_that_are_refused(t *testing.T) {
	g := system(t, "a:")
	none := func(context.Context, *Graph) ([]Finding, error) { return nil, nil }
	policy := &Policy{Custom: []CustomRule{{Name: "taken", Mode: Forbidden}}}
	for want, rules := range map[string][]Rule{
		`depgraph: a rule is named "Own"; a name has lower-case letters, digits and . _ -`: {{Name: "Own", Check: none}},
		`depgraph: a rule is named ""; a name has lower-case letters, digits and . _ -`:    {{Check: none}},
		`depgraph: there are two rules named "own"`:                                        {{Name: "own", Check: none}, {Name: "own", Check: none}},
		`depgraph: there are two rules named "spof"`:                                       {{Name: "spof", Check: none}},
		`depgraph: there are two rules named "taken"`:                                      {{Name: "taken", Check: none}},
		`depgraph: the rule "own" has no Check`:                                            {{Name: "own"}},
	} {
		if found, err := g.Check(t.Context(), CheckOptions{Policy: policy, Rules: rules}); err == nil || err.Error() != want || found != nil {
			t.Errorf("got %v, %v, want %s", found, err, want)
		}
	}
}

// That a rule failed is told by DG020, unless the user has switched that off.
func TestCheck_own_rules_that_fail(t *testing.T) {
	g := system(t, "a:")
	fails := Rule{Name: "own", Check: func(context.Context, *Graph) ([]Finding, error) { return nil, errors.New("no disk") }}
	const told = " DG020 : the rule own: no disk"
	for name, c := range map[string]struct {
		o    CheckOptions
		want string
	}{
		"alone":               {CheckOptions{Only: []string{"own"}}, "error" + told},
		"with the others":     {CheckOptions{Skip: []string{"DG009"}}, "error" + told},
		"skipped":             {CheckOptions{Skip: []string{"DG009", "rule-failed"}}, ""},
		"the rule is skipped": {CheckOptions{Skip: []string{"DG009", "own"}}, ""},
		"a warning":           {CheckOptions{Only: []string{"own"}, Policy: &Policy{Rules: map[string]RuleSetting{"DG020": {Severity: Warn, Set: true}}}}, "warn" + told},
		"off":                 {CheckOptions{Only: []string{"own"}, Policy: &Policy{Rules: map[string]RuleSetting{"DG020": {Severity: Off, Set: true}}}}, ""},
	} {
		c.o.Rules = []Rule{fails}
		found, err := g.Check(t.Context(), c.o)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i := range found {
			got += findingText(&found[i])
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestProof_status_at_its_bounds(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	path, _ := proofFile(t, with(held(0), func(p *Proof) { p.At = now }))
	proofs, err := LoadProofs(path)
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		now    time.Time
		maxAge time.Duration
		want   ProofState
	}{
		{now, 0, Proven},
		{now.Add(1000 * day), 0, Proven}, // any age
		{now.Add(10 * day), 10 * day, Proven},
		{now.Add(10*day + 1), 10 * day, Stale},
		{now.Add(-clockSlack), 0, Proven}, // the other machine's clock may be ahead
		{now.Add(-clockSlack - 1), 0, Forged},
	} {
		if got := proofs.Status("checkout", "sessions", "", c.now, c.maxAge); got.State != c.want {
			t.Errorf("at %s, at most %s old: %s (%s), want %s", c.now, c.maxAge, got.State, got.Why, c.want)
		}
	}
	if got := proofs.Status("checkout", "prices", "", now, 0); got.State != Untested || got.Why != "there is no evidence" || got.ID != "" || !got.At.IsZero() {
		t.Errorf("an edge without a proof: %+v", got)
	}
}

// A proof file that ends without a line end is continued in a line of its own.
func TestAppendProof_to_a_file_without_a_last_line_end(t *testing.T) {
	path, made := proofFile(t, held(3))
	proofs, err := LoadProofs(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := proofs.Status("checkout", "sessions", made[0].ID, proofNow, 0); got.State != Proven {
		t.Fatal(got)
	}
	truncateLineEnd(t, path)
	second, err := AppendProof(path, held(2))
	if err != nil || second.Previous != made[0].Digest {
		t.Fatalf("%+v, %v", second, err)
	}
	if proofs, err = LoadProofs(path); err != nil || len(proofs.list) != 2 || proofs.list[1].at.Line != 2 || proofs.list[1].fault != "" {
		t.Errorf("%+v, %v", proofs, err)
	}
}

// A rule with reach looks at everything from everywhere: it stops, too.
func TestCheck_rules_of_a_policy_end_with_the_context(t *testing.T) {
	p, err := ParsePolicy("p.yaml", []byte("forbidden: [{name: n, reach: true}]"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := system(t, "a: / on: b\nb: / on: c\nc:").Check(ctx, CheckOptions{Policy: p, Only: []string{"n"}})
	if !errors.Is(err, context.Canceled) || len(found) != 0 {
		t.Errorf("%d findings after the end, %v", len(found), err)
	}
}

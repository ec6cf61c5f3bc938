package depgraph

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dominikbraun/graph"
)

func TestView_what_is_not_there_is_not_found(t *testing.T) {
	g := system(t, "a: owner: x; kind: app; criticality: high / on: b / on: b, phase: deploy, soft: true / on: c, order: weak\nb: / on: c, soft: true\nc:")
	v := view{g}
	if _, _, err := v.Vertex("x"); !errors.Is(err, graph.ErrVertexNotFound) {
		t.Error(err)
	}
	for pair, want := range map[[2]string]string{
		{"a", "b"}: "hard, 2 edges", {"b", "c"}: "soft, 1 edges", {"a", "c"}: "weak, 1 edges",
		{"c", "a"}: "edge not found", {"a", "a"}: "edge not found", {"x", "a"}: "edge not found", {"a", "x"}: "edge not found",
	} {
		e, err := v.Edge(pair[0], pair[1])
		got := fmt.Sprintf("%s, %d edges", e.Properties.Attributes["strength"], e.Properties.Weight)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%v: %s, want %s", pair, got, want)
		}
	}
	_, p, err := v.Vertex("a")
	if err != nil || fmt.Sprint(p.Attributes) != "map[criticality:high kind:app owner:x]" {
		t.Errorf("%v, %v", p, err)
	}
	if _, p, err := v.Vertex("b"); err != nil || len(p.Attributes) != 0 {
		t.Errorf("%v, %v", p, err)
	}
	n, err := v.EdgeCount()
	edges, err2 := v.ListEdges()
	if err != nil || err2 != nil || n != 3 || len(edges) != 3 {
		t.Errorf("%d, %v, %v, %v", n, edges, err, err2)
	}
	for pair, want := range map[[2]string]string{
		{"a", "b"}: "false <nil>", {"c", "a"}: "true <nil>", {"b", "a"}: "true <nil>", {"a", "a"}: "true <nil>",
		{"x", "a"}: "false vertex not found", {"a", "x"}: "false vertex not found",
	} {
		is, err := v.CreatesCycle(pair[0], pair[1])
		if got := fmt.Sprint(is, " ", err); got != want {
			t.Errorf("%v: %s, want %s", pair, got, want)
		}
	}
}

// brokenStore is a store that fails in one of its methods.
type brokenStore struct {
	graph.Store[string, Service]
	vertices, vertex error
}

func (s brokenStore) ListVertices() ([]string, error) {
	if s.vertices != nil {
		return nil, s.vertices
	}
	return s.Store.ListVertices()
}

func (s brokenStore) Vertex(name string) (Service, graph.VertexProperties, error) {
	if s.vertex != nil {
		return Service{}, graph.VertexProperties{}, s.vertex
	}
	return s.Store.Vertex(name)
}

func TestFromGraph_tells_what_its_store_tells(t *testing.T) {
	gone := errors.New("disk gone")
	g := system(t, "a:")
	for want, s := range map[string]brokenStore{
		"depgraph: FromGraph: failed to list vertices: disk gone": {view{g}, gone, nil},
		`depgraph: FromGraph: "a": disk gone`:                     {view{g}, nil, gone},
	} {
		lib := graph.NewWithStore(func(s Service) string { return s.Name }, graph.Store[string, Service](s), graph.Directed())
		_, err := FromGraph(lib, func(_ string, s Service) Service { return s }, nil)
		if !errors.Is(err, gone) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestGraph_components_are_those_of_hard_edges(t *testing.T) {
	for system1, want := range map[string]string{
		"a: / on: b\nb: / on: c\nc:":                                         "[]",
		"d: / on: c\nc: / on: d\nb: / on: a\na: / on: b":                     "[[a b] [c d]]",
		"a: / on: b\nb: / on: a, soft: true":                                 "[]",
		"a: / on: b\nb: / on: a, phase: deploy":                              "[]",
		"a: / any-of: [b, c]\nb: / on: a\nc:":                                "[]",
		"a: / any-of: [b, c], need: 2\nb: / on: a\nc:":                       "[[a b]]",
		"a: / on: b, phase: startup\nb: / on: c, phase: runtime\nc: / on: a": "[[a b c]]",
	} {
		if got := fmt.Sprint(system(t, system1).Components()); got != want {
			t.Errorf("%q: %s, want %s", system1, got, want)
		}
	}
}

// Above 20 services a component is not solved exactly: the set leaves no cycle, no edge of
// it is too many, and what is claimed of its cost holds.
func TestCycles_large_components_are_explained_within_bounds(t *testing.T) {
	for seed := range uint64(4) {
		g := tangle(t, maxExact+5, seed)
		found, err := g.Cycles(t.Context(), CyclesOptions{HardOnly: true})
		if err != nil || len(found) != 1 {
			t.Fatalf("%d components, %v", len(found), err)
		}
		c := &found[0]
		if c.LowerBound < 1 || c.LowerBound > c.Cost || c.ProvenMinimum != (c.Cost == c.LowerBound) || len(c.Soften) == 0 {
			t.Errorf("seed %d: cost %d, at least %d, proven %v", seed, c.Cost, c.LowerBound, c.ProvenMinimum)
		}
		without := func(skip int) int {
			refs := Refs(slices.Concat(c.Soften[:skip], c.Soften[min(skip+1, len(c.Soften)):]))
			h, err := g.WithSoft(refs...)
			if err != nil {
				t.Fatal(err)
			}
			return len(h.Components())
		}
		if n := without(len(c.Soften)); n != 0 {
			t.Errorf("seed %d: %d components are left", seed, n)
		}
		for i := range c.Soften {
			if without(i) == 0 {
				t.Errorf("seed %d: %s -> %s need not be soft", seed, c.Soften[i].From, c.Soften[i].To)
			}
		}
		// A deadlock that is got past needs no more than that, and mostly less.
		o, err := g.Order(t.Context(), OrderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		broken := 0
		for i := range o.Broken {
			d := o.Broken[i].dependency()
			broken += costOf(&d)
		}
		if c.Kind == BootstrapDeadlock && (broken == 0 || broken > c.Cost) {
			t.Errorf("seed %d: to break costs %d, to soften %d", seed, broken, c.Cost)
		}
	}
}

// In a very large component gains are looked at once; each vertex still comes once, the
// best first, without those that are gone.
func TestGainQueue_small_and_large(t *testing.T) {
	for _, n := range []int{1, 5, maxScan, maxScan + 1} {
		gain := func(v int32) int32 { return v % 7 }
		gone := make([]bool, n)
		q := newGainQueue(n, gain)
		if n > 4 {
			gone[3], gone[4] = true, true
		}
		var got []int32
		for len(got) < 6 {
			v, ok := q.pop(gone)
			if !ok {
				break
			}
			gone[v] = true
			got = append(got, v)
		}
		want := []int32{6, 13, 20, 27, 34, 41}
		switch n {
		case 1:
			want = []int32{0}
		case 5:
			want = []int32{2, 1, 0}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}

func TestDeclare_places_and_names(t *testing.T) {
	d := Dependency{On: "b"}
	s := Declare(Service{Name: "a", Depends: []Dependency{d, Hard("c")}})
	if s.Depends[0].At != s.At || s.At.File != "depgraph/parts_test.go" || s.At.Line == 0 || s.Depends[1].At.File != s.At.File {
		t.Errorf("%+v", s)
	}
	placed := Declare(Service{Name: "a", Depends: []Dependency{{On: "b", At: Position{"x.yaml", 3}}}})
	if placed.Depends[0].At != (Position{"x.yaml", 3}) {
		t.Errorf("%+v", placed)
	}
	chained := Soft("b", Runtime, Deploy).In(Startup).Awaiting(Ready).ProvedBy("drill").OnControlPlane()
	chained.At = Position{}
	if want := (Dependency{On: "b", Soft: true, Phase: Startup, Until: Ready, Evidence: "drill", Plane: Control}); fmt.Sprintf("%+v", chained) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v", chained)
	}
	for function, want := range map[string]string{
		"main.main": "main", "a.com/x/y.F": "a.com/x/y", "a.com/x/y.(*T).F": "a.com/x/y", "a.com/x/y%2ez.F.func1": "a.com/x/y.z", "odd": "", "": "", "a.com/odd": "",
	} {
		if got := packageOf(function); got != want {
			t.Errorf("%q: %q, want %q", function, got, want)
		}
	}
}

func TestPolicy_faults_in_full(t *testing.T) {
	const rule = "name, severity, comment, from, to, edge, reach"
	for text, want := range map[string]string{
		"5":                                                   "p.yaml:1: policy: expected a mapping with rules, forbidden, allowed, required, found the number 5",
		"rules: 5":                                            "", // told with all IDs; see below
		"forbiden: []":                                        `p.yaml:1: policy: unknown field "forbiden"; did you mean "forbidden"?`,
		"rules: {}\n---\nrules: {}":                           "p.yaml:3: a policy file holds one document",
		"rules: {DG009: loud}":                                `p.yaml:1: severity "loud" is not one of off, info, warn, error`,
		"rules: {DG009: {severity: loud}}":                    `p.yaml:1: severity "loud" is not one of off, info, warn, error`,
		"rules: {DG013: {percent: 0}}":                        "p.yaml:1: percent is 0; it is a percentage above 0, up to 100",
		"rules: {DG013: {percentage: 10}}":                    `p.yaml:1: DG013: unknown field "percentage"; did you mean "percent"?`,
		"forbidden: {name: x}":                                "p.yaml:1: forbidden: expected a list of rules, found a mapping",
		"forbidden: [5]":                                      "p.yaml:1: forbidden: expected a mapping with " + rule + ", found the number 5",
		"allowed: [{from: {}}]":                               "p.yaml:1: allowed: a rule needs a name",
		"required: [{name: dg001}]":                           `p.yaml:1: required: "dg001" is the name of a built-in rule`,
		"allowed: [{name: x}]\nrequired: [{name: x}]":         `p.yaml:2: required: there are two rules named "x"`,
		"allowed: [{name: x, to: {kind: ap}}]":                `p.yaml:1: kind "ap" is not one of app, cloud, datastore, queue, external, observer, infra; did you mean "app"?`,
		"allowed: [{name: x, to: {kind: ['!ap']}}]":           `p.yaml:1: kind "ap" is not one of app, cloud, datastore, queue, external, observer, infra; did you mean "app"?`,
		"allowed: [{name: x, to: {criticality: [low, mad]}}]": `p.yaml:1: criticality "mad" is not one of low, medium, high, critical`,
		"allowed: [{name: x, to: {kind: ['a*', '', '!d*']}}]": "",
		"allowed: [{name: x, to: {service: {}}}]":             "p.yaml:1: service: expected a list of names, found a mapping",
		"allowed: [{name: x, edge: {strength: firm}}]":        `p.yaml:1: strength: expected hard or soft, found "firm"`,
		"allowed: [{name: x, edge: {phase: boot}}]":           `p.yaml:1: phase "boot" is not one of startup, runtime, deploy`,
		"allowed: [{name: x, edge: {plane: both}}]":           `p.yaml:1: plane "both" is not one of data, control`,
		"allowed: [{name: x, reach: far}]":                    `p.yaml:1: reach: expected true or false, found "far"`,
		"a: [":                                                "p.yaml:1: cannot parse: did not find expected node content",
		"a: 1\nb: *x":                                         `p.yaml:1: policy: unknown field "a"; it takes rules, forbidden, allowed, required` + "\np.yaml:2: cannot parse: unknown anchor 'x' referenced",
		"":                                                    "",
		"null":                                                "",
	} {
		if text == "rules: 5" {
			var ids []string
			for _, r := range Rules() {
				ids = append(ids, r.ID)
			}
			want = "p.yaml:1: rules: expected a mapping with " + strings.Join(ids, ", ") + ", found the number 5"
		}
		got := ""
		if _, err := ParsePolicy("p.yaml", []byte(text)); err != nil {
			got = err.Error()
		}
		// The parser reads a document to its end before anything of it is seen.
		if got != want && !(strings.Contains(want, "\n") && strings.HasSuffix(want, "\n"+got)) {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
	name := filepath.Join(t.TempDir(), "p.yaml")
	if _, err := LoadPolicy(name); !errors.Is(err, os.ErrNotExist) || err.Error() != "depgraph: policy: open "+name+": no such file or directory" {
		t.Error(err)
	}
}

// A policy decides about the rules about rules as well.
func TestCheck_severities_of_idle_waivers_and_failed_rules(t *testing.T) {
	g := graphOf(t, "service: a\nowner: x\nwaivers: [{rule: DG013, reason: later, until: 2999-12-31}, {rule: nothing, reason: later, until: 2999-12-31}]\n")
	broken := Rule{Name: "mine", Severity: Warn, Check: func(context.Context, *Graph) ([]Finding, error) { return nil, errors.New("no") }}
	for _, c := range []struct{ policy, want string }{
		{"", "error DG020 : the rule mine: no\nwarn DG021 f.yaml:3: a waives unknown rule \"nothing\"\ninfo DG021 f.yaml:3: a waives DG013, which finds nothing there"},
		{"rules: {DG020: warn, DG021: info}", "warn DG020 : the rule mine: no\ninfo DG021 f.yaml:3: a waives DG013, which finds nothing there\ninfo DG021 f.yaml:3: a waives unknown rule \"nothing\""},
		{"rules: {DG020: off, DG021: off}", ""},
		// A rule that is off has found nothing for that reason.
		{"rules: {DG013: off, DG020: off}", "warn DG021 f.yaml:3: a waives unknown rule \"nothing\""},
	} {
		p, err := ParsePolicy("p.yaml", []byte(c.policy))
		if err != nil {
			t.Fatal(err)
		}
		got := checked(t, g, CheckOptions{Policy: p, Rules: []Rule{broken}, Now: proofNow})
		if got != c.want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", c.policy, got, c.want)
		}
	}
}

// The rules that share the numbers of blast radii run each with and without the other, by
// a policy too.
func TestCheck_shared_passes_are_asked_for_what_runs(t *testing.T) {
	var b strings.Builder
	b.WriteString("a: owner: x / any-of: [b, c]\nb: owner: x / on: dns\nc: owner: x / on: dns\ndns: owner: x\n")
	for i := range 8 {
		fmt.Fprintf(&b, "u%d: owner: x / on: dns\n", i)
	}
	g := system(t, b.String())
	const redundancy, single = "DG010 a needs 1 of b, c, but they all fail with dns", "DG013 dns takes 11 of 11 other services down"
	for policy, want := range map[string]string{
		"":                                redundancy + "|" + single,
		"rules: {DG010: off}":             single,
		"rules: {DG013: off}":             redundancy,
		"rules: {DG010: off, DG013: off}": "",
		"rules: {DG013: {percent: 99.9}}": redundancy + "|" + single,
		"rules: {DG013: {percent: 100}}":  redundancy,
	} {
		p, err := ParsePolicy("p.yaml", []byte(policy))
		if err != nil {
			t.Fatal(err)
		}
		found, err := g.Check(t.Context(), CheckOptions{Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			got = append(got, f.Rule+" "+f.Message)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: got %q, want %q", policy, got, want)
		}
	}
}

func TestWaiver_of_a_rule_that_is_not_run_is_not_idle(t *testing.T) {
	g := graphOf(t, "service: a\nowner: x\nwaivers: [{rule: mine, reason: later, until: 2999-12-31}, {rule: no-owner, reason: later, until: 2999-12-31}]\n")
	const mine, owner = "info DG021 f.yaml:3: a waives mine, which finds nothing there", "info DG021 f.yaml:3: a waives no-owner, which finds nothing there"
	for policy, want := range map[string]string{
		"forbidden: [{name: mine}]":                                                        mine + "\n" + owner,
		"forbidden: [{name: mine, severity: off}]":                                         owner,
		"rules: {DG009: off}\nforbidden: [{name: mine}]":                                   mine,
		"rules: {DG009: off}\nrequired: [{name: mine, from: {service: b}, severity: off}]": "",
	} {
		p, err := ParsePolicy("p.yaml", []byte(policy))
		if err != nil {
			t.Fatal(err)
		}
		if got := checked(t, g, CheckOptions{Policy: p, Now: proofNow}); got != want {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", policy, got, want)
		}
	}
}

func TestCompare_of_two_different_systems(t *testing.T) {
	before := system(t, "a: / on: b\nb:\nold: / on: b\nonly-named:")
	after := system(t, "a: / on: new\nb:\nnew: / on: gone")
	d, err := Compare(t.Context(), before, after, DiffOptions{Check: CheckOptions{Only: []string{"DG009"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `added [new], removed [old only-named]
removed a>b
added a>new
added new>gone
removed old>b
a: wave [2 3]
b: down [2 0] goes [], stays [a old] critical [true false]
new DG009 new
gone DG009 old
gone DG009 only-named
known 2`
	if got := diffText(d); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// What was checked with a rule that there is not is not compared at all.
	if _, err := Compare(t.Context(), before, after, DiffOptions{Check: CheckOptions{Only: []string{"DG999"}}}); !errors.Is(err, ErrUnknownRule) {
		t.Error(err)
	}
}

// An estimate differs by its noise from one run of another graph to the next, and only
// more than that is a change.
func TestServiceChange_noise_of_an_estimate(t *testing.T) {
	for _, c := range []struct {
		a, b      float64
		estimated bool
		want      bool
	}{
		{0.999, 0.999 + 1e-5, true, false},
		{0.999, 0.999 + 1e-5, false, true},
		{0.999, 0.9992, true, true},
		{0.999, 0.999 + 1e-14, false, false},
		{0, 0, false, false},
		{1, 0.9999, true, false},
		{1, 0.99985, true, true},
	} {
		s := ServiceChange{Availability: [2]float64{c.a, c.b}, Estimated: c.estimated}
		if got := s.AvailabilityDiffers(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// Blast answers with the names of those that rest on guesses in one list, however many.
func TestBlast_of_many_guesses(t *testing.T) {
	var b strings.Builder
	b.WriteString("x:\n")
	want := make([]string, 0, 300)
	for i := range 100 {
		fmt.Fprintf(&b, "a%03d: / on: x, assumed: true\nb%03d: / on: x\nc%03d: / on: x, soft: true, assumed: true\n", i, i, i)
		want = append(want, fmt.Sprintf("a%03d", i), fmt.Sprintf("c%03d", i))
	}
	slices.Sort(want)
	got, err := system(t, b.String()).Blast(BlastOptions{}, "x", "x")
	if err != nil || !slices.Equal(got.Assumed, want) || !slices.Equal(got.Of, []string{"x"}) {
		t.Errorf("%v, %v", got, err)
	}
}

// Whatever two waivers of one service say, the one that holds counts.
func TestWaive_a_renewed_waiver_counts(t *testing.T) {
	day := time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)
	lines := []string{"{rule: DG015, reason: old, until: 2026-05-31}", "{rule: dg015, on: b, reason: new, until: 2026-06-30}", "{rule: DG016, reason: other, until: 2026-06-30}"}
	r := rand.New(rand.NewPCG(5, 6))
	for range 6 {
		r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		g := graphOf(t, "service: a\nwaivers: ["+strings.Join(lines, ", ")+"]\ndepends: [{on: b}, {on: c}]\n---\nservice: b\n---\nservice: c\n")
		var told []string
		kept := g.Waive([]Finding{
			{Rule: "DG015", Service: "a", Message: "b", Edges: []Edge{{From: "a", To: "b"}}},
			{Rule: "DG015", Service: "a", Message: "c", Edges: []Edge{{From: "a", To: "c"}}},
			{Rule: "DG015", Service: "a", Message: "both", Edges: []Edge{{From: "a", To: "b"}, {From: "a", To: "c"}}},
			{Rule: "DG001", Service: "a", Message: "another rule"},
			{Rule: "DG015", Service: "nobody", Message: "nobody"},
		}, day, func(f Finding, w Waiver) { told = append(told, f.Message+" by "+w.Reason) })
		var left []string
		for _, f := range kept {
			left = append(left, f.Message)
		}
		const expired = " (waived until 2026-05-31: old; the waiver has expired)"
		want := []string{"c" + expired, "both" + expired, "another rule", "nobody"}
		if !slices.Equal(left, want) || !slices.Equal(told, []string{"b by new"}) {
			t.Errorf("%v:\nkept %q\nwant %q\ntold %q", lines, left, want, told)
		}
	}
}

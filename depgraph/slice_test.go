package depgraph

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// graphText is a graph line by line: a service with its attributes, then its edges.
func graphText(g *Graph) string {
	var lines []string
	for s := range g.Services() {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s %s %s", s.Name, s.Owner, s.Kind, s.Criticality, s.Note)), " "))
		for _, e := range g.EdgesFrom(s.Name) {
			strength := "hard"
			if e.Soft {
				strength = "soft"
			}
			if e.Group > 0 {
				strength += fmt.Sprintf(" %d of %d", e.Need, e.Of)
			}
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("  > %s %s %s %s", e.To, strength, e.Phase, e.Note)))
		}
	}
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

const town = `
	api: owner: core; kind: app; criticality: high / any-of: [db1, db2, db3], need: 2, phase: runtime / on: mail, soft: true, phase: runtime / on: web, phase: deploy
	db1: owner: data; kind: datastore
	db2: owner: data; kind: datastore; criticality: critical
	db3: owner: data; kind: queue
	mail: kind: external
	web: owner: core; kind: app; criticality: low / on: api / on: mail, phase: startup / on: db1, phase: startup`

func TestSlice_keeps_what_lies_between(t *testing.T) {
	g := system(t, town)
	for names, want := range map[string]string{
		"": "",
		"api web": `
api: core app high
> web hard deploy
web: core app low
> api hard startup+runtime`,
		"api db1 db2": `
api: core app high
> db1 hard 2 of 2 runtime
> db2 hard 2 of 2 runtime
db1: data datastore
db2: data datastore critical`,
		"api db3 api": `
api: core app high
> db3 hard 1 of 1 runtime
db3: data queue`,
		"mail web": `
mail: external
web: core app low
> mail hard startup`,
	} {
		s, err := g.Slice(strings.Fields(names))
		if err != nil {
			t.Fatal(err)
		}
		if got := graphText(s); got != strings.TrimSpace(want) {
			t.Errorf("%s\ngot\n%s\nwant%s", names, got, want)
		}
	}
	if s, err := g.Slice([]string{"web", "apo"}); err == nil || err.Error() != `depgraph: unknown service: "apo"; did you mean "api"?` || s != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestCollapse_in_full(t *testing.T) {
	g := system(t, town)
	for by, want := range map[CollapseBy]string{
		// Soft at run time, since a group can lose one of the three.
		ByOwner: `
(no owner): external 1 service
core: core app high 2 services
> (no owner) hard startup 1 dependency
> (no owner) soft runtime 1 dependency
> data hard startup 1 dependency
> data soft runtime 3 dependencies
data: data critical 3 services`,
		ByKind: `
app: core app high 2 services
> datastore hard startup 1 dependency
> datastore soft runtime 2 dependencies
> external hard startup 1 dependency
> external soft runtime 1 dependency
> queue soft runtime 1 dependency
datastore: data datastore critical 2 services
external: external 1 service
queue: data queue 1 service`,
		ByFolder: "(no folder): critical 6 services",
	} {
		c, err := g.Collapse(by)
		if err != nil {
			t.Fatal(err)
		}
		if got := graphText(c); got != strings.TrimSpace(want) {
			t.Errorf("by %s: got\n%s\nwant%s", by, got, want)
		}
	}
}

// One hard dependency makes the merged one hard, in its phase alone.
func TestCollapse_is_as_strong_as_the_strongest(t *testing.T) {
	c, err := system(t, `
		a1: owner: a / on: b1, soft: true
		a2: owner: a / on: b1, phase: runtime
		a3: owner: a / on: b2, phase: startup, soft: true / on: a1
		b1: owner: b
		b2: owner: b`).Collapse(ByOwner)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := graphText(c), "a: a 3 services\n> b hard runtime 2 dependencies\n> b soft startup 2 dependencies\nb: b 2 services"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCollapse_by_folder_of_the_manifest(t *testing.T) {
	g := mustCompile(t, []Service{
		{Name: "a", At: Position{"shop/eu/depgraph.yaml", 1}, Depends: []Dependency{{On: "b"}, {On: "c"}}},
		{Name: "b", At: Position{"shop/eu/other.yaml", 1}},
		{Name: "c", At: Position{"depgraph.yaml", 1}},
	})
	c, err := g.Collapse(ByFolder)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(c.Names(), " | "), "(no folder) | shop/eu"; got != want || c.EdgeCount() != 2 { // startup and run time
		t.Errorf("%s, %d edges", got, c.EdgeCount())
	}
}

// ProofStatus is asked of soft edges alone; weak orders claim nothing.
func TestProofStatus_of_every_soft_edge(t *testing.T) {
	path, made := proofFile(t, held(1))
	proofs, err := LoadProofs(path)
	if err != nil {
		t.Fatal(err)
	}
	g := system(t, "checkout: / on: sessions, soft: true / on: prices, soft: true, evidence: \"made up\" / on: db / on: mq, order: weak\nsessions:\nprices:\ndb:\nmq:")
	var got []string
	for e, s := range g.ProofStatus(proofs, proofNow, 24*time.Hour) {
		got = append(got, fmt.Sprintf("%s %s %q %s", e.To, s.State, strings.ReplaceAll(s.Why, path, "FILE"), s.ID))
	}
	slices.Sort(got)
	want := []string{`prices forged "the evidence \"made up\" is not in FILE" `, `sessions proven "" ` + made[0].ID}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A quorum that is not part of the start orders nothing, and one that is holds until it
// is reached.
func TestOrder_weak_orders_of_groups(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		o      OrderOptions
		want   string
	}{
		"a quorum in the start": {
			"a: / any-of: [x, y, z], need: 2, order: weak, phase: startup\nx:\ny: / on: x\nz: / on: y",
			OrderOptions{},
			"x | y | a z; critical x y a",
		},
		"too few are in the start": {
			"a: / any-of: [x, y], soft: true, phase: startup / on: x\nx: / on: w\nw:\ny: / on: y2\ny2: / on: y",
			OrderOptions{Restart: "a"},
			"w | x | a; critical w x a",
		},
		"fewer than the quorum": {
			"a: / any-of: [x, y, z], need: 2, soft: true, phase: startup / on: w\nw: / on: x\nx:\ny:\nz:",
			OrderOptions{Restart: "a"},
			"x | w | a; critical x w a",
		},
		"against a need of one member": {
			"a: / any-of: [x, y, z], need: 2, order: weak, phase: startup\nx: / on: a\ny: / on: a\nz:",
			OrderOptions{},
			"a z | x y; critical a x; dropped a>x a>y a>z", // a group is given up as a whole,
		},
	} {
		o, err := system(t, c.system).Order(t.Context(), c.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := orderText(o); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, c.want)
		}
	}
}

// A waiver about a dependency goes with it; one about the service stays.
func TestSlice_waivers(t *testing.T) {
	day := proofNow
	g := mustCompile(t, []Service{
		{Name: "a", Depends: []Dependency{{On: "b"}, {On: "c"}}, Waivers: []Waiver{
			{Rule: "DG004", On: "b", Reason: "r", Until: day}, {Rule: "DG004", On: "c", Reason: "r", Until: day}, {Rule: "DG009", Reason: "r", Until: day},
		}},
		{Name: "b"},
		{Name: "c"},
	})
	s, err := g.Slice([]string{"a", "c"})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := s.Service("a")
	if got := fmt.Sprint(len(a.Waivers), a.Waivers[0].On, a.Waivers[1].Rule); got != "2cDG009" {
		t.Error(got)
	}
	if before, _ := g.Service("a"); len(before.Waivers) != 3 {
		t.Errorf("the graph itself has %d waivers left", len(before.Waivers))
	}
}

func TestParseCollapse(t *testing.T) {
	for _, by := range []CollapseBy{ByOwner, ByKind, ByCriticality, ByFolder} {
		if got, err := ParseCollapse(string(by)); err != nil || got != by {
			t.Errorf("%s: %s, %v", by, got, err)
		}
	}
	if got, err := ParseCollapse("team"); err == nil || err.Error() != `collapse "team" is not one of owner, kind, criticality, folder` || got != "" {
		t.Errorf("%s, %v", got, err)
	}
	c, err := system(t, town).Collapse(ByCriticality)
	if err != nil || strings.Join(c.Names(), " | ") != "(no criticality) | critical | high | low" {
		t.Errorf("%v, %v", c.Names(), err)
	}
}

package depgraph_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
)

func graphOf(t testing.TB, manifest string) *depgraph.Graph {
	t.Helper()
	services, err := depgraph.ParseManifest("m.yaml", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func compare(t testing.TB, before, after string) *depgraph.Diff {
	t.Helper()
	a, b := &depgraph.Graph{}, &depgraph.Graph{}
	var err error
	if a, err = depgraph.Compile(nil, depgraph.Options{}); err != nil {
		t.Fatal(err)
	}
	if before != "" {
		a = graphOf(t, before)
	}
	b = graphOf(t, after)
	d, err := depgraph.Compare(t.Context(), a, b, depgraph.DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCompare_how_an_edge_changed(t *testing.T) {
	const rest = "\n---\nservice: b\n---\nservice: c\n---\nservice: d\n"
	for _, c := range []struct {
		before, after string
		want          depgraph.ChangeKind
	}{
		{"{on: b}", "{on: b}", ""},
		{"{on: b}", "{on: b, note: why}", ""},
		{"{on: b, phase: [startup, runtime]}", "{on: b}", ""},
		{"{on: b, soft: true}", "{on: b}", depgraph.Hardened},
		{"{on: b}", "{on: b, soft: true}", depgraph.Softened},
		{"{on: b, phase: runtime}", "{on: b}", depgraph.Hardened},
		{"{on: b}", "{on: b, phase: runtime}", depgraph.Softened},
		{"{on: b, order: weak}", "{on: b, phase: startup, soft: true}", depgraph.Hardened},
		{"{on: b, phase: startup}", "{on: b, phase: runtime}", depgraph.Changed},
		{"{on: b}", "{on: b, plane: control}", depgraph.Changed},
		{"{on: b, plane: data}", "{on: b}", ""},
		{"{on: b, phase: startup, until: ready}", "{on: b, phase: startup, until: done}", depgraph.Changed},
		{"{on: b}", "{on: b, break-glass: call}", depgraph.Changed},
		{"{on: b}", "{any-of: [b, c]}", depgraph.Softened},
		{"{any-of: [b, c], need: 1}", "{any-of: [b, c], need: 2}", depgraph.Hardened},
		{"{any-of: [b, c, d], need: 1}", "{any-of: [b, c], need: 1}", depgraph.Hardened},
		{"{any-of: [b, c], need: 1}", "{on: b, soft: true}", depgraph.Softened},
	} {
		text := func(d string) string { return "service: a\ndepends:\n  - " + d + rest }
		d := compare(t, text(c.before), text(c.after))
		got := depgraph.ChangeKind("")
		for _, e := range d.Edges {
			if e.From == "a" && e.To == "b" {
				got = e.Kind
			}
		}
		if got != c.want {
			t.Errorf("%s -> %s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

// ring declares services that wait for each other, and some edges besides.
func ring(names string, extra ...string) string {
	all := strings.Fields(names)
	var b strings.Builder
	for i, n := range all {
		fmt.Fprintf(&b, "---\nservice: %s\nowner: x\ndepends:\n  - on: %s\n", n, all[(i+1)%len(all)])
		for _, e := range extra {
			if from, to, _ := strings.Cut(e, ">"); from == n {
				fmt.Fprintf(&b, "  - on: %s\n", to)
			}
		}
	}
	return b.String()
}

func TestCompare_only_new_cycles_are_findings(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string
		kind          depgraph.ChangeKind
		fresh, gone   int
	}{
		"none":              {"service: a\nowner: x\n", "service: a\nowner: x\n---\nservice: b\nowner: x\n", "", 0, 0},
		"an old one":        {ring("a b c"), ring("a b c") + "---\nservice: d\nowner: x\n", "", 0, 0},
		"a new one":         {"service: a\nowner: x\n", ring("a b c"), depgraph.NewCycle, 1, 0},
		"beside an old one": {ring("a b"), ring("a b") + ring("c d"), depgraph.NewCycle, 1, 0},
		"one that grew":     {ring("a b c"), ring("a b c", "b>a"), depgraph.Grown, 1, 0},
		"one that shrank":   {ring("a b c", "b>a"), ring("a b c"), depgraph.Shrunk, 0, 1},
		"one that healed":   {ring("a b"), "service: a\nowner: x\n---\nservice: b\nowner: x\n", depgraph.Healed, 0, 1},
		"hardened into one": {strings.Replace(ring("a b"), "on: b", "on: b\n    soft: true", 1), ring("a b"), depgraph.NewCycle, 1, 0},
	} {
		d := compare(t, c.before, c.after)
		kinds := map[depgraph.ChangeKind]bool{}
		for _, k := range d.Cycles {
			if k.After == nil || k.After.Kind == depgraph.BootstrapDeadlock {
				kinds[k.Kind] = true
			}
		}
		if c.kind != "" && !kinds[c.kind] || c.kind == "" && len(d.Cycles) > 0 {
			t.Errorf("%s: cycles %v, want %q", name, kinds, c.kind)
		}
		deadlocks := func(findings []depgraph.Finding) (n int) {
			for _, f := range findings {
				if f.Rule == "DG001" {
					n++
				}
			}
			return n
		}
		if got := deadlocks(d.New); got != c.fresh {
			t.Errorf("%s: %d new deadlocks, want %d", name, got, c.fresh)
		}
		if got := deadlocks(d.Gone); got != c.gone {
			t.Errorf("%s: %d deadlocks gone, want %d", name, got, c.gone)
		}
	}
}

func TestCompare_a_finding_that_became_worse_is_new(t *testing.T) {
	jumped := strings.Replace(ring("a b"), "on: b", "on: b\n    break-glass: start a by hand", 1)
	d := compare(t, jumped, ring("a b"))
	if len(d.New) != 1 || d.New[0].Rule != "DG001" || d.New[0].Severity != depgraph.Error {
		t.Errorf("new %+v, want the deadlock that nobody can get past any more", d.New)
	}
	if d = compare(t, ring("a b"), jumped); len(d.New) != 0 {
		t.Errorf("new %+v, want none: the finding is only a warning now", d.New)
	}
}

func TestCompare_answers_of_an_outage(t *testing.T) {
	const base = `
service: web
owner: x
start: 2s
availability: {own: 99.9}
depends:
  - on: db
    soft: true
---
{service: db, owner: x, start: 3s, availability: {own: 99}}
---
{service: idle, owner: x}
`
	d := compare(t, base, strings.Replace(base, "    soft: true\n", "", 1))
	if len(d.Services) != 2 {
		t.Fatalf("services %+v, want db and web", d.Services)
	}
	db, web := d.Services[0], d.Services[1]
	if db.Service != "db" || db.Down != [2]int{0, 1} || !slices.Equal(db.GoesDown, []string{"web"}) || db.AvailabilityDiffers() {
		t.Errorf("db: %+v", db)
	}
	if web.Service != "web" || !web.AvailabilityDiffers() || web.Availability[1] > 0.9891 || web.Availability[1] < 0.9889 {
		t.Errorf("web: %+v, want an availability of 0.999 * 0.99", web)
	}
	if d.Total != [2]time.Duration{5 * time.Second, 5 * time.Second} {
		t.Errorf("a start takes %v", d.Total)
	}
}

func TestCompare_many_services_are_counted(t *testing.T) {
	many := func(soft string) string {
		var b strings.Builder
		b.WriteString("service: root\n")
		for i := range 3100 {
			fmt.Fprintf(&b, "---\nservice: s%d\ndepends:\n  - {on: root%s}\n", i, soft)
		}
		return b.String()
	}
	d := compare(t, many(", soft: true"), many(""))
	if len(d.Limits) != 2 {
		t.Errorf("limits %q, want both named", d.Limits)
	}
	i := slices.IndexFunc(d.Services, func(s depgraph.ServiceChange) bool { return s.Service == "root" })
	if i < 0 || d.Services[i].Down != [2]int{0, 3100} {
		t.Errorf("root is not counted: %v", i)
	}
}

func TestExport_faults_are_named(t *testing.T) {
	for text, want := range map[string]string{
		`{"services": 1}`:                "services: expected a list, found the number 1",
		`{"version": 2, "services": []}`: "version: this program reads version 1",
		`{"services": [{"owner": "x"}]}`: `the field "service" with the name is missing`,
		`{"services": [{"service": "a"}], "edges": [{"from": "b", "to": "a"}]}`: `"b" is not among the services`,
		`{"services": [{"service": "a"}], "edges": [{"from": "a"}]}`:            `"from" or "to" is missing`,
		`{"services": [{"service": "a", "start_seconds": -1}]}`:                 "start_seconds is -1",
		`{"services": [{"service": "a", "line": "x"}]}`:                         "line: expected the number of a line",
		`{"services": [{"service": "a", "ownr": "x"}]}`:                         `did you mean "owner"?`,
	} {
		if _, err := depgraph.ParseManifest("g.json", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if services, err := depgraph.ParseManifest("g.json", []byte(`{"services": [], "edges": []}`)); err != nil || len(services) != 0 {
		t.Errorf("an empty graph: %v, %v", services, err)
	}
}

package report_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

func TestBlastText_every_list_in_full(t *testing.T) {
	b := &depgraph.Blast{
		Of: []string{"db\x1b"}, Down: []string{"web", "app"}, Degraded: []string{"mail"}, RedundancyLost: []string{"queue"}, CannotStart: []string{"batch"},
		Assumed: []string{"mail"}, Unknown: []string{"batch"},
	}
	same(t, written(t, func(w io.Writer) error { return report.BlastText(w, b) }), `
if db\u001b fails:
  down                2  web, app
  degraded            1  mail
  redundancy lost     1  queue
  cannot restart      1  batch
  only if assumed edges are right: mail
  run time unknown, declared for startup only: batch
`)
	same(t, written(t, func(w io.Writer) error { return report.BlastText(w, &depgraph.Blast{Of: []string{"a", "b"}}) }), `
if a, b fail:
  down                0
  degraded            0
  redundancy lost     0
  cannot restart      0
`)
}

func TestBlastText_cuts_long_lists_unless_all_are_wanted(t *testing.T) {
	b := &depgraph.Blast{Of: []string{"db"}}
	for i := range 70 {
		b.Down = append(b.Down, fmt.Sprintf("s%02d", i))
	}
	for _, c := range []struct {
		opts  report.TextOptions
		last  string
		lines int
	}{
		{report.TextOptions{Width: 80}, "and 10 more (--all lists them)", 11},
		{report.TextOptions{Width: 80, All: true}, "s69", 12},
	} {
		text := written(t, func(w io.Writer) error { return report.BlastText(w, b, c.opts) })
		head, _, _ := strings.Cut(text, "  degraded")
		lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
		if got := lines[len(lines)-1]; !strings.HasSuffix(got, c.last) || !strings.HasPrefix(lines[0]+lines[1], "if db fails:  down               70  s00, s01") {
			t.Errorf("%+v:\n%s", c.opts, text)
		}
		for _, line := range lines {
			if len(line) > 80 {
				t.Errorf("%d characters: %s", len(line), line)
			}
		}
	}
}

func TestImpact_the_worst_first_and_ties_by_name(t *testing.T) {
	names, counts := []string{"a", "b\n", "c", "d"}, []int{1, 12, 0, 1}
	same(t, written(t, func(w io.Writer) error { return report.ImpactText(w, names, counts) }), "    12  b\\u000a\n     1  a\n     1  d\n     0  c\n")
	same(t, written(t, func(w io.Writer) error { return report.ImpactJSON(w, names[:2], counts[:2]) }), `
{
 "services": [
  {
   "service": "a",
   "down": 1
  },
  {
   "service": "b\n",
   "down": 12
  }
 ]
}
`)
}

func TestNamesText_one_name_one_line(t *testing.T) {
	same(t, written(t, func(w io.Writer) error { return report.NamesText(w, []string{"a b", "c\nd", ""}) }), "a b\nc\\u000ad\n\n")
}

func TestAvailText_each_sort_of_answer(t *testing.T) {
	doubt := "web: 0.999 looks like a fraction, and is read as 0.999 percent"
	for _, c := range []struct {
		what string
		a    depgraph.Avail
		want string
	}{
		{"nothing is declared", depgraph.Avail{Service: "web", Availability: 1, Exact: true, Needs: 2, Assumed: []string{"db", "web"}}, `
web: unknown: 0 of 2 availabilities declared
  write "availability: {own: 99.9}" into the manifests of what it needs, most of all of:
  db, web
`},
		{"some is declared", depgraph.Avail{Service: "web", Availability: 0.999, Exact: true, Needs: 3, Assumed: []string{"db"}, Doubts: []string{doubt}}, `
warning: web: 0.999 looks like a fraction, and is read as 0.999 percent
web: at most 99.9%, at least 526 min down a year (exact for what is declared: 2 of 3)
no availability declared, counted as always up (1): db
assumptions:
  - Services fail independently; what they share (region, DNS, credentials, one configuration channel) must be a service of the graph.
  - A published level of a provider already contains what the provider depends on.
  - Only hard dependencies of run time count, and each shared one counts once.
  - A service without a declared availability counts as always up.
`},
		{"an estimate", depgraph.Avail{Service: "web", Availability: 0.99951, Low: 0.999, High: 0.9999, StdErr: 0.0000123, Needs: 2}, `
web: 99.951%, an estimate (standard error 1.2e-05, certainly between 99.9% and 99.99%)
assumptions:
  - Services fail independently; what they share (region, DNS, credentials, one configuration channel) must be a service of the graph.
  - A published level of a provider already contains what the provider depends on.
  - Only hard dependencies of run time count, and each shared one counts once.
  - A service without a declared availability counts as always up.
`},
		{"a target that is kept", depgraph.Avail{Service: "web", Availability: 0.9995, Target: 0.999, Exact: true, Needs: 1}, `
web: 99.95% (exact), 263 min down a year
target 99.9%: kept
assumptions:
  - Services fail independently; what they share (region, DNS, credentials, one configuration channel) must be a service of the graph.
  - A published level of a provider already contains what the provider depends on.
  - Only hard dependencies of run time count, and each shared one counts once.
  - A service without a declared availability counts as always up.
`},
		{"a target that is missed, and what to do", depgraph.Avail{
			Service: "web", Availability: 0.99, Target: 0.999, Exact: true, Needs: 2,
			Importance: []depgraph.Importance{{Service: "db\t", MinutesPerYear: 5000}, {Service: "web", MinutesPerYear: 0.3}, {Service: "x"}},
			Savings:    []depgraph.Saving{{Edge: depgraph.EdgeRef{From: "web", To: "db"}, MinutesPerYear: 4990.4}},
		}, `
web: 99% (exact), 5256 min down a year
target 99.9%: missed
what costs it, a year:
    5000 min  db\u0009
        18 s  web
       < 1 s  x
softening web -> db saves 4990 min a year
assumptions:
  - Services fail independently; what they share (region, DNS, credentials, one configuration channel) must be a service of the graph.
  - A published level of a provider already contains what the provider depends on.
  - Only hard dependencies of run time count, and each shared one counts once.
  - A service without a declared availability counts as always up.
`},
	} {
		t.Run(c.what, func(t *testing.T) {
			same(t, written(t, func(w io.Writer) error { return report.AvailText(w, &c.a) }), c.want)
		})
	}
}

func TestAvailText_names_twenty_causes(t *testing.T) {
	a := &depgraph.Avail{Service: "web", Availability: 0.9, Exact: true, Needs: 30}
	for i := range 23 {
		a.Importance = append(a.Importance, depgraph.Importance{Service: fmt.Sprintf("s%02d", i), MinutesPerYear: float64(100 - i)})
	}
	text := written(t, func(w io.Writer) error { return report.AvailText(w, a) })
	if n := strings.Count(text, " min  s"); n != 20 || !strings.Contains(text, "      81 min  s19\n  ... and 3 more\n") {
		t.Errorf("%d rows:\n%s", n, text)
	}
}

func TestAvailJSON_an_estimate_has_bounds(t *testing.T) {
	a := &depgraph.Avail{
		Service: "web", Availability: 0.9995, Low: 0.999, High: 0.9999, StdErr: 0.00001, Needs: 3, Assumed: []string{"db"}, Doubts: []string{"a doubt"},
		Importance: []depgraph.Importance{{Service: "db", MinutesPerYear: 0.1 + 0.2, Birnbaum: 0.5}}, Savings: []depgraph.Saving{{Edge: depgraph.EdgeRef{From: "web", To: "db"}, MinutesPerYear: 1.0000001}},
	}
	got := written(t, func(w io.Writer) error { return report.AvailJSON(w, a) })
	before, _, _ := strings.Cut(got, ` "assumptions"`)
	same(t, before, `
{
 "service": "web",
 "availability": 0.9995,
 "exact": false,
 "low": 0.999,
 "high": 0.9999,
 "standard_error": 0.00001,
 "importance": [
  {
   "service": "db",
   "minutes_per_year": 0.3,
   "birnbaum": 0.5
  }
 ],
 "savings": [
  {
   "from": "web",
   "to": "db",
   "minutes_per_year": 1
  }
 ],
 "assumed_always_up": [
  "db"
 ],
 "unknown": false,
 "declared": 2,
 "of": 3,
 "doubts": [
  "a doubt"
 ],
`)
	none := written(t, func(w io.Writer) error {
		return report.AvailJSON(w, &depgraph.Avail{Service: "web", Availability: 1, Exact: true, Needs: 1, Assumed: []string{"web"}})
	})
	before, _, _ = strings.Cut(none, ` "assumptions"`)
	same(t, before, `
{
 "service": "web",
 "availability": 1,
 "exact": false,
 "importance": [],
 "savings": [],
 "assumed_always_up": [
  "web"
 ],
 "unknown": true,
 "declared": 0,
 "of": 1,
`)
}

func TestOrderText_durations_deadlocks_and_orders(t *testing.T) {
	g := compiled(t, "o.yaml", `
{service: a, start: 90s, verify: curl a, depends: [{on: b}, {on: c, order: weak}]}
---
{service: b, start: 500ms}
---
{service: c, depends: [{on: d}]}
---
{service: d, depends: [{on: c, pinned: true}, {on: e, break-glass: "by\thand"}]}
---
{service: e, depends: [{on: d}]}
---
{service: x, depends: [{on: y, order: weak}]}
---
{service: y, depends: [{on: x, order: weak}]}
`)
	for _, c := range []struct {
		what string
		o    depgraph.OrderOptions
		want string
	}{{"a start", depgraph.OrderOptions{}, `
blocked (3 of 7): c, d, e
  they wait for each other, or for others that do; see "depgraph cycles"
the waves below work only if 2 edges are out of the way (proven minimum):
  c does not wait for d   hard startup+runtime   o.yaml:6
  e does not wait for d   hard startup+runtime   o.yaml:10
wave 1
  b   0s .. 500ms  critical path
  c   0s .. 0s   does not wait for d
  e   0s .. 0s   does not wait for d
  x   0s .. 0s
wave 2
  a   500ms .. 1m31s  critical path   verify: curl a
  d   0s .. 0s
  y   0s .. 0s
critical path (1m31s): b -> a
order not kept: x after y, which contradicts others   o.yaml:12
`}, {"a cold one", depgraph.OrderOptions{Cold: true}, `
blocked (3 of 7): c, d, e
  they wait for each other, or for others that do; see "depgraph cycles"
the waves below work only if 1 edge is out of the way (proven minimum):
  c does not wait for d   hard startup+runtime   o.yaml:6
wave 1
  b   0s .. 500ms  critical path
  c   0s .. 0s   does not wait for d
  x   0s .. 0s
wave 2
  a   500ms .. 1m31s  critical path   verify: curl a
  d   0s .. 0s
  y   0s .. 0s
wave 3
  e   0s .. 0s
critical path (1m31s): b -> a
by hand: d -> e: by\u0009hand   o.yaml:8
order not kept: x after y, which contradicts others   o.yaml:12
`}} {
		t.Run(c.what, func(t *testing.T) {
			o, err := g.Order(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			same(t, written(t, func(w io.Writer) error { return report.OrderText(w, g, o) }), c.want)
		})
	}
}

func TestOrder_of_one_has_no_chain(t *testing.T) {
	g := compile(t, []depgraph.Service{{Name: "only"}})
	o, err := g.Order(t.Context(), depgraph.OrderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, written(t, func(w io.Writer) error { return report.OrderText(w, g, o) }), "wave 1\n  only\n")
	same(t, written(t, func(w io.Writer) error { return report.OrderJSON(w, o) }), `
{
 "waves": [
  [
   "only"
  ]
 ],
 "critical_path": {
  "services": [
   "only"
  ],
  "seconds": 0
 },
 "blocked": [],
 "assumed_broken": [],
 "broken_proven_minimum": false,
 "timeline": [
  {
   "service": "only",
   "wave": 1,
   "begin": 0,
   "ready": 0,
   "serves": 0,
   "critical": true
  }
 ]
}
`)
}

func TestOrderText_says_when_fewer_edges_might_do(t *testing.T) {
	g, _ := ring(t, 2, depgraph.Startup)
	o, err := g.Order(t.Context(), depgraph.OrderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.BrokenProven, o.Total, o.Broken = false, time.Minute, append(o.Broken, o.Broken[0])
	same(t, written(t, func(w io.Writer) error { return report.OrderText(w, g, o) }), `
blocked (2 of 2): s0, s1
  they wait for each other, or for others that do; see "depgraph cycles"
the waves below work only if 2 edges are out of the way (not proven to be the fewest):
  s1 does not wait for s0   hard startup   r.yaml:2
  s1 does not wait for s0   hard startup   r.yaml:2
wave 1
  s1   0s .. 0s  critical path   does not wait for s0
wave 2
  s0   0s .. 0s  critical path
critical path (1m0s): s1 -> s0
`)
	o.Broken = nil // nothing can be broken: all edges have a way past them
	if text := written(t, func(w io.Writer) error { return report.OrderText(w, g, o) }); strings.Contains(text, "out of the way") {
		t.Error(text)
	}
}

func TestWhyText_paths_with_sources_and_notes(t *testing.T) {
	g := compiled(t, "w.yaml", `
{service: web, depends: [{on: api, note: "the\tway in", source: "compose.yaml:3"}, {on: db, source: k8s}]}
---
{service: api, depends: [{on: db, note: sessions}]}
---
{service: db}
`)
	paths, more, err := g.Why(t.Context(), "web", "db", depgraph.WhyOptions{All: true})
	if err != nil || more {
		t.Fatal(err, more)
	}
	same(t, written(t, func(w io.Writer) error { return report.WhyText(w, "web", "db", paths, true) }), `
web   needs db   hard startup+runtime   w.yaml:2   from k8s

web   needs api   hard startup+runtime   w.yaml:2   from compose.yaml:3  the\u0009way in
api   needs db    hard startup+runtime   w.yaml:4   sessions

... there are more paths
`)
	same(t, written(t, func(w io.Writer) error { return report.WhyText(w, "db\n", "web", nil, false) }), "db\\u000a does not depend on web\n")
}

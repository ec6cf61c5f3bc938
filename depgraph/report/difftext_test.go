package report_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// edge is one of a graph that was compiled for it.
func edge(t *testing.T, from string, d depgraph.Dependency) depgraph.Edge {
	t.Helper()
	d.At = depgraph.Position{File: "e.yaml", Line: 3}
	return compile(t, []depgraph.Service{{Name: from, Depends: []depgraph.Dependency{d}}, {Name: d.On}}).EdgesFrom(from)[0]
}

// everyChange is a diff with one of each sort of change, made by hand so that
// no rule of depgraph decides what is in it.
func everyChange(t *testing.T) *depgraph.Diff {
	t.Helper()
	_, c := ring(t, 2, depgraph.Startup)
	hard, soft := edge(t, "a", depgraph.Dependency{On: "b"}), edge(t, "a", depgraph.Dependency{On: "b", Soft: true})
	queued := edge(t, "a", depgraph.Dependency{On: "b", Fallback: "queue"})
	return &depgraph.Diff{
		Before: depgraph.Size{Services: 1, Edges: 0}, After: depgraph.Size{Services: 3, Edges: 4},
		Added: []string{"new"}, Removed: []string{"old"},
		Edges: []depgraph.EdgeChange{
			{Kind: depgraph.Added, From: "a", To: "b", After: []depgraph.Edge{hard}},
			{Kind: depgraph.Removed, From: "a", To: "b", Before: []depgraph.Edge{soft}},
			{Kind: depgraph.Hardened, From: "a", To: "b", Before: []depgraph.Edge{soft}, After: []depgraph.Edge{hard, soft}},
			{Kind: depgraph.Changed, From: "a", To: "b", Before: []depgraph.Edge{hard}, After: []depgraph.Edge{queued}},
		},
		Cycles: []depgraph.CycleChange{
			{Kind: depgraph.NewCycle, After: c}, {Kind: depgraph.Grown, Before: c, After: c}, {Kind: depgraph.Shrunk, Before: c, After: c}, {Kind: depgraph.Healed, Before: c},
		},
		Services: []depgraph.ServiceChange{
			{Service: "db", Down: [2]int{1, 7}, GoesDown: []string{"a", "b", "c", "d", "e", "f", "g"}, StaysUp: []string{"z"}},
			{Service: "pay", Down: [2]int{2, 2}, GoesDown: []string{"x"}, StaysUp: []string{"y"}},
			{Service: "web", Availability: [2]float64{0.9995, 0.999}, Estimated: true, Wave: [2]int{2, 3}, Critical: [2]bool{false, true}},
			{Service: "app", Availability: [2]float64{0.99, 0.999}, Critical: [2]bool{true, false}},
		},
		Total: [2]time.Duration{30 * time.Second, 95 * time.Second}, Critical: [2][]string{{"b"}, {"b", "a"}}, Blocked: [2][]string{nil, {"s0", "s1"}},
		New: sized(1, "size", depgraph.Warn), Gone: sized(2, "gone", depgraph.Info), Known: 4, Limits: []string{"availability: too many services"},
	}
}

func TestDiffVerdict_one_sentence_for_each_outcome(t *testing.T) {
	_, deadlock := ring(t, 2, depgraph.Startup)
	_, runtime := ring(t, 2, depgraph.Runtime)
	for _, c := range []struct {
		what, want string
		d          depgraph.Diff
	}{
		{"nothing", "✓ No dependency and no service was added, removed or changed", depgraph.Diff{}},
		{"one edge", "✓ No new errors and no new warnings: 1 dependency changed", depgraph.Diff{Edges: make([]depgraph.EdgeChange, 1)}},
		{"edges and services", "✓ No new errors and no new warnings: 2 dependencies changed, 3 services added or removed", depgraph.Diff{Edges: make([]depgraph.EdgeChange, 2), Added: []string{"a", "b"}, Removed: []string{"c"}}},
		{"a service alone", "✓ No new errors and no new warnings: 0 dependencies changed, 1 service added or removed", depgraph.Diff{Removed: []string{"c"}}},
		{"warnings", "! No new errors, 2 new warnings, the first: s00 is 0 too large", depgraph.Diff{New: sized(2, "x", depgraph.Warn)}},
		{"an error", "✗ 1 new error, the first: s00 is 0 too large", depgraph.Diff{New: append(sized(1, "x", depgraph.Error), sized(1, "y", depgraph.Warn)...)}},
		{"notes do not count", "✓ No dependency and no service was added, removed or changed", depgraph.Diff{New: sized(2, "x", depgraph.Info)}},
		{"a new deadlock", "✗ After this change a full stop never comes back: s0 ⇄ s1", depgraph.Diff{Cycles: []depgraph.CycleChange{{Kind: depgraph.NewCycle, After: deadlock}}, New: sized(1, "x", depgraph.Error)}},
		{"a deadlock that grew", "✗ After this change a full stop never comes back: s0 ⇄ s1", depgraph.Diff{Cycles: []depgraph.CycleChange{{Kind: depgraph.Grown, Before: deadlock, After: deadlock}}}},
		{"one that shrank is nobody's fault", "✓ No dependency and no service was added, removed or changed", depgraph.Diff{Cycles: []depgraph.CycleChange{{Kind: depgraph.Shrunk, Before: deadlock, After: deadlock}}}},
		{"one that healed", "✓ No dependency and no service was added, removed or changed", depgraph.Diff{Cycles: []depgraph.CycleChange{{Kind: depgraph.Healed, Before: deadlock}}}},
		{"a runtime cycle is no deadlock", "! No new errors, 1 new warning, the first: s00 is 0 too large", depgraph.Diff{Cycles: []depgraph.CycleChange{{Kind: depgraph.NewCycle, After: runtime}}, New: sized(1, "x", depgraph.Warn)}},
	} {
		if got := report.DiffVerdict(&c.d); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.what, got, c.want)
		}
	}
}

func TestDiff_every_change_in_full(t *testing.T) {
	d, titles := everyChange(t), report.DiffTitles{Before: "main", After: "a|b"}
	same(t, written(t, func(w io.Writer) error { return report.DiffText(w, d, titles) }), `
✗ After this change a full stop never comes back: s0 ⇄ s1

main -> a|b: 1 service -> 3 services, 0 edges -> 4 edges
added services: new
removed services: old

dependencies:
  added    a -> b   hard startup+runtime   e.yaml:3
  removed  a -> b   was soft startup+runtime   e.yaml:3
  hardened a -> b   soft startup+runtime => hard startup+runtime and soft startup+runtime   e.yaml:3
  changed  a -> b   hard startup+runtime, in another manner   e.yaml:3

cycles:
  new bootstrap deadlock: 2 services wait for each other at startup  (component of 2, 2 edges)
 .-> s0   needs s1   hard startup   r.yaml:1
 `+"`"+`-- s1   needs s0   hard startup   r.yaml:2
 fix: make 1 edge soft (proven minimum): s1 -> s0
  grown bootstrap deadlock: 2 services wait for each other at startup  (component of 2, 2 edges)
 .-> s0   needs s1   hard startup   r.yaml:1
 `+"`"+`-- s1   needs s0   hard startup   r.yaml:2
 fix: make 1 edge soft (proven minimum): s1 -> s0
  shrunk bootstrap deadlock: 2 services wait for each other at startup  (component of 2, 2 edges)
    s0 ⇄ s1
  healed bootstrap deadlock: 2 services wait for each other at startup  (component of 2, 2 edges)
    s0 ⇄ s1

a full start takes 1m35s instead of 30s: b, a

services that never come up after a full stop: 2 instead of 0

services:
  db: takes 7 others down instead of 1, new: a, b, c, d, e and 2 more, no more: z
  pay: takes 2 others down instead of 2, new: x, no more: y
  web: availability 99.9% instead of 99.95% (+263 minutes a year), an estimate; starts in wave 3 instead of 2; now on the critical path of a start
  app: availability 99.9% instead of 99% (-4730 minutes a year); no more on the critical path of a start

new findings:
warn size s00 is 0 too large   m.yaml:1

findings that are gone:
info gone a-name: 2 findings
  s00 is 0 too large   m.yaml:1
  s01 is 1 too large   m.yaml:2

1 new finding, 2 findings gone, 4 known
not compared: availability: too many services
`)
	same(t, written(t, func(w io.Writer) error { return report.DiffMarkdown(w, d, titles) }), `
<!-- depgraph diff -->
### ✗ After this change a full stop never comes back: s0 ⇄ s1

main → a\|b: 1 service → 3 services, 0 edges → 4 edges

Added services: new

Removed services: old

A full start takes 1m35s instead of 30s: b, a

Services that never come up after a full stop: 2 instead of 0

Not compared: availability: too many services

- **new bootstrap-deadlock cycle**: s0 ⇄ s1; make 1 edge soft \(proven minimum\): s1 -&gt; s0

- **grown bootstrap-deadlock cycle**: s0 ⇄ s1; make 1 edge soft \(proven minimum\): s1 -&gt; s0

- **shrunk bootstrap-deadlock cycle**: s0 ⇄ s1

- **healed bootstrap-deadlock cycle**: s0 ⇄ s1

**New: warn size a-name (1)**

| finding | place | fix |
|---|---|---|
| s00 is 0 too large | m.yaml:1 | Make it smaller. |

<details><summary>4 dependencies changed</summary>

| change | edge | need | place |
|---|---|---|---|
| added | a → b | hard startup\+runtime | e.yaml:3 |
| removed | a → b | was soft startup\+runtime | e.yaml:3 |
| hardened | a → b | soft startup\+runtime =&gt; hard startup\+runtime and soft startup\+runtime | e.yaml:3 |
| changed | a → b | hard startup\+runtime, in another manner | e.yaml:3 |

</details>

<details><summary>4 services with other answers in an outage</summary>

| service | what changed |
|---|---|
| db | takes 7 others down instead of 1, new: a, b, c, d, e and 2 more, no more: z |
| pay | takes 2 others down instead of 2, new: x, no more: y |
| web | availability 99.9% instead of 99.95% \(\+263 minutes a year\), an estimate; starts in wave 3 instead of 2; now on the critical path of a start |
| app | availability 99.9% instead of 99% \(-4730 minutes a year\); no more on the critical path of a start |

</details>

<details><summary>2 findings gone</summary>

| finding | place |
|---|---|
| gone s00 is 0 too large | m.yaml:1 |
| gone s01 is 1 too large | m.yaml:2 |

</details>
`)
}

func TestDiffJSON_leaves_out_what_did_not_change(t *testing.T) {
	d := everyChange(t)
	d.Cycles, d.New, d.Gone, d.Edges = nil, nil, nil, d.Edges[:1]
	same(t, written(t, func(w io.Writer) error { return report.DiffJSON(w, d, report.DiffTitles{Before: "main", After: "now"}) }), `
{
 "before": {
  "title": "main",
  "services": 1,
  "edges": 0,
  "start_seconds": 30,
  "critical_path": [
   "b"
  ],
  "blocked": []
 },
 "after": {
  "title": "now",
  "services": 3,
  "edges": 4,
  "start_seconds": 95,
  "critical_path": [
   "b",
   "a"
  ],
  "blocked": [
   "s0",
   "s1"
  ]
 },
 "added": [
  "new"
 ],
 "removed": [
  "old"
 ],
 "edges": [
  {
   "kind": "added",
   "from": "a",
   "to": "b",
   "before": [],
   "after": [
    {
     "from": "a",
     "to": "b",
     "file": "e.yaml",
     "line": 3,
     "soft": false,
     "phase": [
      "startup",
      "runtime"
     ],
     "plane": "data"
    }
   ]
  }
 ],
 "cycles": [],
 "services": [
  {
   "service": "db",
   "down": {
    "before": 1,
    "after": 7
   },
   "goes_down": [
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g"
   ],
   "stays_up": [
    "z"
   ]
  },
  {
   "service": "pay",
   "down": {
    "before": 2,
    "after": 2
   },
   "goes_down": [
    "x"
   ],
   "stays_up": [
    "y"
   ]
  },
  {
   "service": "web",
   "availability": {
    "before": 0.9995,
    "after": 0.999
   },
   "estimated": true,
   "wave": {
    "before": 2,
    "after": 3
   },
   "critical_path": {
    "before": false,
    "after": true
   }
  },
  {
   "service": "app",
   "availability": {
    "before": 0.99,
    "after": 0.999
   },
   "critical_path": {
    "before": true,
    "after": false
   }
  }
 ],
 "new_findings": [],
 "gone_findings": [],
 "known_findings": 4,
 "not_compared": [
  "availability: too many services"
 ]
}
`)
	same(t, written(t, func(w io.Writer) error { return report.DiffJSON(w, &depgraph.Diff{}, report.DiffTitles{}) }), `
{
 "before": {
  "title": "",
  "services": 0,
  "edges": 0,
  "start_seconds": 0,
  "critical_path": [],
  "blocked": []
 },
 "after": {
  "title": "",
  "services": 0,
  "edges": 0,
  "start_seconds": 0,
  "critical_path": [],
  "blocked": []
 },
 "added": [],
 "removed": [],
 "edges": [],
 "cycles": [],
 "services": [],
 "new_findings": [],
 "gone_findings": [],
 "known_findings": 0,
 "not_compared": []
}
`)
}

func TestDiffText_nothing_changed(t *testing.T) {
	d := &depgraph.Diff{Before: depgraph.Size{Services: 2, Edges: 1}, After: depgraph.Size{Services: 2, Edges: 1}, Known: 3}
	same(t, written(t, func(w io.Writer) error { return report.DiffText(w, d, report.DiffTitles{Before: "v1", After: "v2"}) }), `
✓ No dependency and no service was added, removed or changed

v1 -> v2: 2 services -> 2 services, 1 edge -> 1 edge

0 new findings, 0 findings gone, 3 known
`)
	same(t, written(t, func(w io.Writer) error {
		return report.DiffMarkdown(w, d, report.DiffTitles{Before: "v1", After: "v2"})
	}), `
<!-- depgraph diff -->
### ✓ No dependency and no service was added, removed or changed

v1 → v2: 2 services → 2 services, 1 edge → 1 edge
`)
}

func TestDiffText_lists_fifty_of_each_unless_all_are_wanted(t *testing.T) {
	d := &depgraph.Diff{}
	e := edge(t, "a", depgraph.Dependency{On: "b"})
	for i := range 53 {
		d.Edges = append(d.Edges, depgraph.EdgeChange{Kind: depgraph.Added, From: fmt.Sprintf("from-%02d", i), To: "b", After: []depgraph.Edge{e}})
		d.Services = append(d.Services, depgraph.ServiceChange{Service: fmt.Sprintf("service-%02d", i), Down: [2]int{0, i + 1}})
	}
	for _, c := range []struct {
		opts report.TextOptions
		rows int
	}{{report.TextOptions{}, 50}, {report.TextOptions{All: true}, 53}, {report.TextOptions{Verbose: true}, 53}} {
		text := written(t, func(w io.Writer) error { return report.DiffText(w, d, report.DiffTitles{}, c.opts) })
		edges, services, more := strings.Count(text, " from-"), strings.Count(text, "  service-"), strings.Count(text, "  and 3 more (--all lists them)\n")
		if edges != c.rows || services != c.rows || more != 2*(53-c.rows)/3 {
			t.Errorf("%+v: %d edges, %d services, %d times \"more\"", c.opts, edges, services, more)
		}
	}
}

func TestDiffMarkdown_cuts_tables_after_200_rows(t *testing.T) {
	d := &depgraph.Diff{}
	e := edge(t, "a", depgraph.Dependency{On: "b"})
	for i := range 205 {
		d.Edges = append(d.Edges, depgraph.EdgeChange{Kind: depgraph.Added, From: fmt.Sprintf("f%d", i), To: "b", After: []depgraph.Edge{e}})
	}
	text := written(t, func(w io.Writer) error { return report.DiffMarkdown(w, d, report.DiffTitles{}) })
	if n := strings.Count(text, "| added | "); n != 200 || !strings.HasSuffix(text, "\nand 5 more\n\n</details>\n") {
		t.Errorf("%d rows, ending in\n%s", n, text[max(0, len(text)-200):])
	}
}

// A comment that is too long is refused as a whole, and nobody sees any of it.
func TestDiffMarkdown_fits_whatever_is_long(t *testing.T) {
	long := strings.Repeat("x", 300)
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("%s-%d", long, i))
	}
	var rules []depgraph.Finding
	for i := range 800 {
		rules = append(rules, depgraph.Finding{Rule: fmt.Sprintf("a-rule-of-our-own-%04d", i), Severity: depgraph.Warn, Service: "s", Message: long})
	}
	huge := strings.Repeat("\U000e0041", 7000) // 11 bytes each, once it is escaped
	for what, d := range map[string]*depgraph.Diff{
		"a critical path": {Total: [2]time.Duration{1, 2}, Critical: [2][]string{nil, names}},
		"limits":          {Limits: names},
		"a message":       {New: []depgraph.Finding{{Rule: "r", Severity: depgraph.Error, Message: huge}}},
		"names":           {Added: []string{huge, huge}, Removed: []string{huge}},
		"many rules":      {New: rules},
		"everything": {
			Total: [2]time.Duration{1, 2}, Critical: [2][]string{nil, {huge}}, Blocked: [2][]string{nil, names}, Limits: []string{huge, huge, huge, huge, huge, huge},
			Added: []string{huge}, Removed: []string{huge}, New: append(rules, depgraph.Finding{Rule: huge, Severity: depgraph.Warn, Message: huge}),
		},
	} {
		text := written(t, func(w io.Writer) error {
			return report.DiffMarkdown(w, d, report.DiffTitles{Before: huge, After: huge})
		})
		if len(text) > 65_536 || !utf8.ValidString(text) || !strings.HasPrefix(text, report.DiffMarker+"\n### ") {
			t.Errorf("%s: %d bytes, beginning with %.100q", what, len(text), text)
		}
	}
}

func TestDiffMarkdown_names_the_sections_that_do_not_fit(t *testing.T) {
	d := everyChange(t)
	d.Edges, d.Cycles, d.New, d.Limits = nil, nil, nil, nil
	d.Services = nil
	for range 150 {
		d.Services = append(d.Services, depgraph.ServiceChange{Service: strings.Repeat("s", 500), Down: [2]int{0, 1}})
	}
	same(t, written(t, func(w io.Writer) error { return report.DiffMarkdown(w, d, report.DiffTitles{Before: "a", After: "b"}) }), `
<!-- depgraph diff -->
### ✓ No new errors and no new warnings: 0 dependencies changed, 2 services added or removed

a → b: 1 service → 3 services, 0 edges → 4 edges

Added services: new

Removed services: old

A full start takes 1m35s instead of 30s: b, a

Services that never come up after a full stop: 2 instead of 0

(150 services with other answers in an outage: too long for a comment; `+"`"+`depgraph diff`+"`"+` prints it)

<details><summary>2 findings gone</summary>

| finding | place |
|---|---|
| gone s00 is 0 too large | m.yaml:1 |
| gone s01 is 1 too large | m.yaml:2 |

</details>
`)
}

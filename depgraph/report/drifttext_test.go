package report_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
	"github.com/failopen/failopen/depgraph/report"
)

// seen is a dependency that was called.
func seen(from, to string, s drift.State) drift.Dependency {
	return drift.Dependency{From: from, To: to, State: s, Kinds: []drift.Kind{drift.Call}, Calls: 2, Sources: []string{"t.json"}}
}

func TestDriftVerdict_one_sentence_for_each_outcome(t *testing.T) {
	found := func(rules ...string) (all []depgraph.Finding) {
		for _, r := range rules {
			all = append(all, depgraph.Finding{Rule: r})
		}
		return all
	}
	some := []drift.Dependency{seen("a", "b", drift.Agrees)}
	for _, c := range []struct {
		want string
		r    drift.Report
	}{
		{"✗ Nothing was seen: no call between two services", drift.Report{}},
		{"✗ Nothing was seen: no call between two services", drift.Report{Dependencies: []drift.Dependency{{From: "a", To: "b"}}, Findings: found("DG016")}},
		{"✓ What was seen is declared, and what is declared was seen", drift.Report{Dependencies: some}},
		{"✓ What was seen is declared; 1 of 2 dependencies cannot be judged", drift.Report{Dependencies: append(some[:1:1], seen("a", "c", drift.Unknown))}},
		{"! 1 dependency is not declared", drift.Report{Dependencies: some, Findings: found("DG015")}},
		{"! 2 dependencies are not declared, 3 declared dependencies were not seen", drift.Report{Dependencies: some, Findings: found("DG015", "DG015", "DG016", "DG016", "DG016")}},
		{"! 1 declared dependency was not seen", drift.Report{Dependencies: some, Findings: found("DG016")}},
		{"✗ 1 soft dependency is actually hard, 1 dependency is not declared", drift.Report{Dependencies: some, Findings: found("DG015", "DG019")}},
		{"✗ 2 soft dependencies are actually hard", drift.Report{Dependencies: some, Findings: found("DG019", "DG019")}},
	} {
		if got := report.DriftVerdict(&c.r); got != c.want {
			t.Errorf("%s, want\n%s", got, c.want)
		}
	}
}

// driftOfEverySort has a dependency for each way in which one is told.
func driftOfEverySort() *drift.Report {
	judged := seen("web", "db|2", drift.Agrees)
	judged.Judged, judged.Errors, judged.Calls, judged.Why = true, 3, 1000, "3 of 3 failures went on"
	address := seen("web", "cache", drift.Undeclared)
	address.Calls, address.Kinds = 0, []drift.Kind{drift.Configured}
	return &drift.Report{
		Dependencies: []drift.Dependency{judged, address, seen("web", "größe", drift.Agrees), {From: "batch\x1b", To: "db|2", State: drift.Unobserved, Why: "batch\x1b made no call at all"}},
		Findings: []depgraph.Finding{
			{Rule: "DG015", Name: "undeclared", Severity: depgraph.Warn, Service: "web", Message: "web uses cache, which is not declared", Fix: "Declare it."},
			{Rule: "own", Name: "own", Severity: depgraph.Info, Message: "one of ours"},
		},
		Sources: []drift.Source{{Name: "t.json", Format: "otlp", Spans: 40, Traces: 1}, {Name: "m\n.prom", Format: "prometheus", Edges: 1}},
		Window:  "10:00 to 11:00", Notes: []string{"no spans of <batch>"},
	}
}

func TestDrift_every_sort_in_full(t *testing.T) {
	r := driftOfEverySort()
	same(t, written(t, func(w io.Writer) error { return report.DriftText(w, r) }), `
! 1 dependency is not declared

warn DG015 web uses cache, which is not declared
info own one of ours

dependencies:
  web         -> db|2   declared and seen  1000 calls, 3 failed  (3 of 3 failures went on)
  web         -> cache  undeclared         an address
  web         -> größe  declared and seen  2 calls
  batch\u001b -> db|2   unobserved           (batch\u001b made no call at all)

read t.json: otlp: 40 spans in 1 trace
read m\u000a.prom: prometheus: 1 service pair
recorded from 10:00 to 11:00
note: no spans of <batch>
`)
	same(t, written(t, func(w io.Writer) error { return report.DriftMarkdown(w, r) }), `
### \! 1 dependency is not declared

**warn DG015 undeclared (1)**

| finding | place | fix |
|---|---|---|
| web uses cache, which is not declared |  | Declare it. |

**info own (1)**

| finding | place | fix |
|---|---|---|
| one of ours |  |  |

<details><summary>all 4 dependencies</summary>

| from | to | state | seen | why |
|---|---|---|---|---|
| web | db\|2 | declared and seen | 1000 calls, 3 failed | 3 of 3 failures went on |
| web | cache | undeclared | an address |  |
| web | größe | declared and seen | 2 calls |  |
| batch\\u001b | db\|2 | unobserved |  | batch\\u001b made no call at all |

</details>

- read t.json: otlp: 40 spans in 1 trace
- read m\\u000a.prom: prometheus: 1 service pair
- recorded from 10:00 to 11:00
- no spans of &lt;batch&gt;
`)
	r.Dependencies = r.Dependencies[:2]
	same(t, written(t, func(w io.Writer) error { return report.DriftJSON(w, r) }), `
{
 "dependencies": [
  {
   "from": "web",
   "to": "db|2",
   "state": "declared and seen",
   "declared": [],
   "kinds": [
    "call"
   ],
   "calls": 1000,
   "errors": 3,
   "requests_of_from": 0,
   "propagated": 0,
   "absorbed": 0,
   "unclear": 0,
   "fine": 0,
   "failed_otherwise": 0,
   "why": "3 of 3 failures went on",
   "sources": [
    "t.json"
   ]
  },
  {
   "from": "web",
   "to": "cache",
   "state": "undeclared",
   "declared": [],
   "kinds": [
    "configured"
   ],
   "calls": 0,
   "requests_of_from": 0,
   "propagated": 0,
   "absorbed": 0,
   "unclear": 0,
   "fine": 0,
   "failed_otherwise": 0,
   "sources": [
    "t.json"
   ]
  }
 ],
 "findings": [
  {
   "rule": "DG015",
   "name": "undeclared",
   "severity": "warn",
   "service": "web",
   "message": "web uses cache, which is not declared",
   "fix": "Declare it.",
   "file": "",
   "line": 0,
   "edges": []
  },
  {
   "rule": "own",
   "name": "own",
   "severity": "info",
   "service": "",
   "message": "one of ours",
   "file": "",
   "line": 0,
   "edges": []
  }
 ],
 "sources": [
  {
   "name": "t.json",
   "format": "otlp",
   "traces": 1,
   "spans": 40
  },
  {
   "name": "m\n.prom",
   "format": "prometheus",
   "pairs": 1
  }
 ],
 "window": "10:00 to 11:00",
 "notes": [
  "no spans of \u003cbatch\u003e"
 ]
}
`)
}

func TestDrift_of_nothing(t *testing.T) {
	r := &drift.Report{}
	same(t, written(t, func(w io.Writer) error { return report.DriftText(w, r) }), "✗ Nothing was seen: no call between two services\n\n\n")
	same(t, written(t, func(w io.Writer) error { return report.DriftMarkdown(w, r) }), "### ✗ Nothing was seen: no call between two services\n\n")
	same(t, written(t, func(w io.Writer) error { return report.DriftJSON(w, r) }), `
{
 "dependencies": [],
 "findings": [],
 "sources": [],
 "notes": []
}
`)
}

func TestDriftText_lists_200_unless_all_are_wanted(t *testing.T) {
	r := &drift.Report{}
	for i := range 203 {
		r.Dependencies = append(r.Dependencies, seen(fmt.Sprintf("from-%03d", i), "b", drift.Agrees))
	}
	for _, c := range []struct {
		opts report.TextOptions
		rows int
	}{{report.TextOptions{}, 200}, {report.TextOptions{All: true}, 203}, {report.TextOptions{Verbose: true}, 203}} {
		text := written(t, func(w io.Writer) error { return report.DriftText(w, r, c.opts) })
		if n := strings.Count(text, "  from-"); n != c.rows || strings.Contains(text, "  and 3 more (--all lists them)\n") != (n == 200) {
			t.Errorf("%+v: %d rows", c.opts, n)
		}
	}
	text := written(t, func(w io.Writer) error { return report.DriftMarkdown(w, r) })
	if n := strings.Count(text, "| from-"); n != 200 || !strings.Contains(text, "<summary>all 203 dependencies</summary>") || !strings.Contains(text, "\nand 3 more\n") {
		t.Errorf("%d rows of Markdown", n)
	}
}

// What was seen, written as manifests, is read back as the same assumed edges.
func TestDriftManifests_are_read_back(t *testing.T) {
	r := &drift.Report{Dependencies: []drift.Dependency{seen("web", "db", drift.Undeclared), seen("web", "a: b #\"'", drift.Undeclared)}}
	text := written(t, func(w io.Writer) error { return report.DriftManifests(w, r) })
	services, err := depgraph.ParseManifest("seen.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var edges []string
	for e := range compile(t, services).Edges() {
		edges = append(edges, fmt.Sprintf("%s -> %s %s %v", e.From, e.To, e.Phase, e.Assumed))
	}
	same(t, strings.Join(edges, "\n"), "web -> a: b #\"' runtime true\nweb -> db runtime true")
}

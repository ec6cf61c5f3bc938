package report_test

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
	"github.com/failopen/failopen/depgraph/report"
)

// evil is a text for every field that is one: it moves a cursor, begins a line,
// is markup in HTML and Markdown, a cell and a mention.
func evil(field string) string {
	return field + "\x1b[2J\n::error::|<script>[x](http://y)`*@all\u202e"
}

// hostileAnswers are answers about a system in which every text of every field
// is evil, made by hand where depgraph would not let one through.
func hostileAnswers(t *testing.T) answers {
	t.Helper()
	at := func(line int) depgraph.Position { return depgraph.Position{File: evil("file"), Line: line} }
	edge := func(from, to string, d depgraph.Dependency) depgraph.Dependency {
		d.On, d.At = evil(to), at(2)
		d.Evidence, d.BreakGlass, d.Fallback, d.Note, d.Source = evil("evidence"), evil("glass"), evil("fallback"), evil("note"), evil("source")
		return d
	}
	service := func(name string, deps ...depgraph.Dependency) depgraph.Service {
		return depgraph.Service{Name: evil(name), Owner: evil("owner"), Verify: evil("verify"), Note: evil("note"), Source: evil("source"), Start: time.Second, Availability: depgraph.Availability{Own: 99, Target: 99.9}, At: at(1), Depends: deps}
	}
	none := depgraph.Dependency{}
	g := compile(t, []depgraph.Service{
		service("a", edge("a", "b", none), edge("a", "c", depgraph.Dependency{Soft: true})), service("b", edge("b", "a", none)), service("c"),
		service("f", depgraph.Dependency{AnyOf: []string{evil("c"), evil("d")}, At: at(2)}),
		service("d", edge("d", "e", depgraph.Dependency{Weak: true})), service("e", edge("e", "d", depgraph.Dependency{Weak: true})),
	})
	a := ask(t, g)
	a.findings = append(a.findings, depgraph.Finding{Rule: evil("rule"), Name: evil("name"), Severity: depgraph.Error, Service: evil("a"), Message: evil("message"), Fix: evil("fix"), At: at(3)})
	for i := range 6 {
		a.findings = append(a.findings, depgraph.Finding{Rule: evil("many"), Name: evil("names"), Service: evil("a"), Message: evil("a") + evil(fmt.Sprint(i)), At: at(3)})
	}
	a.paths = [][]depgraph.Edge{g.EdgesFrom(evil("a")), g.EdgesFrom(evil("b"))}
	a.avail.Doubts, a.avail.Assumed = []string{evil("doubt")}, []string{evil("assumed")}
	a.blocked = &depgraph.Blocked{
		Service: evil("a"), Root: evil("c"), Roots: []string{evil("c"), evil("d")}, Unknown: []string{evil("unknown")},
		Chain: []depgraph.Hold{{Edge: g.EdgesFrom(evil("a"))[0]}}, Circle: g.EdgesFrom(evil("b")),
	}
	a.blast.Assumed, a.blast.Unknown = []string{evil("guess")}, []string{evil("unknown")}
	d := everyChange(t)
	d.Added, d.Removed, d.Limits, d.New, d.Gone = []string{evil("new")}, []string{evil("old")}, []string{evil("limit")}, a.findings, a.findings
	d.Edges = []depgraph.EdgeChange{{Kind: depgraph.Added, From: evil("a"), To: evil("b"), After: g.EdgesFrom(evil("a"))}}
	d.Services[0].Service, d.Services[0].GoesDown, d.Services[0].StaysUp = evil("db"), []string{evil("x")}, []string{evil("y")}
	d.Critical[1] = []string{evil("path")}
	d.Cycles[0].After = &a.cycles[0]
	a.diff = d
	a.drift = &drift.Report{
		Dependencies: []drift.Dependency{{From: evil("web"), To: evil("db"), State: drift.Agrees, Kinds: []drift.Kind{drift.Call}, Calls: 2, Why: evil("why"), Sources: []string{evil("source")}}},
		Findings:     a.findings, Sources: []drift.Source{{Name: evil("file"), Format: "otlp", Edges: 1}}, Notes: []string{evil("note")},
	}
	return a
}

var controls = regexp.MustCompile(`[\x00-\x09\x0b-\x1f\x7f\x{202e}]`)

func TestWriters_no_field_of_any_answer_gets_through(t *testing.T) {
	a := hostileAnswers(t)
	all := a.writers(t.Context())
	s, titles := report.Summarize(a.g, a.findings), report.DiffTitles{Before: evil("before"), After: evil("after")}
	for name, write := range map[string]func(io.Writer) error{ // without colours, and with titles
		"BlockedText": func(w io.Writer) error { return report.BlockedText(w, a.g, a.blocked) },
		"BlockedText alternatives": func(w io.Writer) error {
			return report.BlockedText(w, a.g, &depgraph.Blocked{Service: evil("f"), Root: evil("c"), Roots: []string{evil("c"), evil("d")}, Chain: []depgraph.Hold{{Edge: a.g.EdgesFrom(evil("f"))[0]}}})
		},
		"CheckText":    func(w io.Writer) error { return report.CheckText(w, a.g, s, a.findings) },
		"DiffText":     func(w io.Writer) error { return report.DiffText(w, a.diff, titles, report.TextOptions{Verbose: true}) },
		"DiffMarkdown": func(w io.Writer) error { return report.DiffMarkdown(w, a.diff, titles) },
		"DriftText":    func(w io.Writer) error { return report.DriftText(w, a.drift) },
		"WhyText":      func(w io.Writer) error { return report.WhyText(w, evil("a"), evil("b"), a.paths, true) },
		"WhyText none": func(w io.Writer) error { return report.WhyText(w, evil("a"), evil("b"), nil, true) },
		"AvailText unknown": func(w io.Writer) error {
			return report.AvailText(w, &depgraph.Avail{Service: evil("a"), Assumed: []string{evil("b")}, Needs: 1})
		},
		"AvailText exact": func(w io.Writer) error {
			return report.AvailText(w, &depgraph.Avail{Service: evil("a"), Exact: true, Needs: 1})
		},
		"AvailText estimate": func(w io.Writer) error {
			return report.AvailText(w, &depgraph.Avail{Service: evil("a"), Needs: 1, Importance: []depgraph.Importance{{Service: evil("b")}}, Savings: []depgraph.Saving{{Edge: depgraph.EdgeRef{From: evil("a"), To: evil("b")}}}})
		},
		"OrderText broken": func(w io.Writer) error {
			o, err := a.g.Order(t.Context(), depgraph.OrderOptions{})
			if err != nil {
				return err
			}
			return report.OrderText(w, a.g, o)
		},
		"Runbook.Markdown down": func(w io.Writer) error {
			return bookOf(t, a.g, report.RunbookOptions{Down: evil("a")}).Markdown(w)
		},
		"Runbook.HTML down": func(w io.Writer) error { return bookOf(t, a.g, report.RunbookOptions{Down: evil("a")}).HTML(w) },
		"HTML": func(w io.Writer) error {
			return report.HTML(t.Context(), w, a.g, report.HTMLOptions{Title: evil("title"), Date: evil("date"), Commit: evil("commit"), Findings: a.findings})
		},
	} {
		all[name] = write
	}
	for name, write := range all {
		text := written(t, write)
		if m := controls.FindStringIndex(text); m != nil && name != "CSV" && !(text[m[0]:m[1]] == "\u202e" && (strings.HasSuffix(name, "JSON") || name == "SARIF" || strings.HasPrefix(name, "HTML"))) { // data, for programs
			t.Errorf("%s holds the sign %q in %q", name, text[m[0]:m[1]], text[max(0, m[0]-40):min(len(text), m[1]+40)])
		}
		if strings.Contains(text, "\n::error::|") {
			if name != "CSV" {
				t.Errorf("%s: a name began a line", name)
			}
		}
		if strings.HasPrefix(name, "Runbook.Markdown") { // a span of code is text as it stands
			text = regexp.MustCompile("(?m)^  - verify: (`+) .* (`+)$").ReplaceAllString(text, "")
		}
		markup := strings.Contains(name, "HTML") || strings.Contains(name, "Markdown") || name == "SVG" || name == "JUnit"
		for _, bad := range []string{"<script>[", "<script>\\[", "@all"} {
			if name == "HTML" { // the data of the page are JSON, which escapes <
				text = regexp.MustCompile(`(?s)<script type="application/json" id="data">[^<]*</script>`).ReplaceAllString(text, "")
			}
			if bad == "@all" && !strings.Contains(name, "Markdown") {
				continue
			}
			if markup && strings.Contains(text, bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
		if strings.Contains(name, "Markdown") && name != "CheckMarkdown" && !strings.Contains(name, "Runbook") && strings.Contains(text, "](http") {
			t.Errorf("%s holds a link", name)
		}
	}
}

func TestBlockedText_two_needs_are_no_alternatives(t *testing.T) {
	g := compiled(t, "b.yaml", "{service: web, depends: [{on: audit}, {on: log}]}\n---\n{service: audit}\n---\n{service: log}")
	b, err := g.WhyBlocked("web", depgraph.Running{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, written(t, func(w io.Writer) error { return report.BlockedText(w, g, b) }), `
web is down, blocked by audit
  web waits for audit to be serving, and it is down   hard startup+runtime   b.yaml:1
next: audit is down: start it
also in the way: log
`)
	g = compiled(t, "b.yaml", "{service: web, depends: [{any-of: [east, west]}, {any-of: [north, south]}]}\n---\n{service: east}\n---\n{service: west}\n---\n{service: north}\n---\n{service: south}")
	if b, err = g.WhyBlocked("web", depgraph.Running{}); err != nil {
		t.Fatal(err)
	}
	same(t, written(t, func(w io.Writer) error { return report.BlockedText(w, g, b) }), `
web is down, blocked by east
  web waits for east to be serving, and it is down   any 1 of 2 startup+runtime   b.yaml:1
next: east is down: start it
or instead of east: west
also in the way: north, south
`)
}

func TestMarkdown_of_three_deadlocks(t *testing.T) {
	var services []depgraph.Service
	for _, pair := range []string{"ab", "cd", "ef"} {
		for i := range 2 {
			services = append(services, depgraph.Service{Name: pair[i : i+1], Depends: []depgraph.Dependency{{On: pair[1-i : 2-i], Phase: depgraph.Startup}}})
		}
	}
	text := written(t, func(w io.Writer) error { return report.Markdown(t.Context(), w, compile(t, services)) })
	_, text, _ = strings.Cut(text, "## Start order\n\n")
	text, _, _ = strings.Cut(text, "\n## Services")
	same(t, text, `
1. b, d, f
2. a, c, e

Blocked: a, b, c, d, e, f; the order above works only if b does not wait for a and d does not wait for c and f does not wait for e
`)
}

// The first section that has no room even for its name is counted.
func TestDiffMarkdown_counts_what_it_cannot_name(t *testing.T) {
	var findings []depgraph.Finding
	want := ""
	for n := 1; ; n++ {
		if n > 100 {
			t.Fatal("everything fits")
		}
		findings = append(findings, depgraph.Finding{Rule: fmt.Sprintf("rule-%03d-%s", n, strings.Repeat("x", 3000)), Severity: depgraph.Warn, Message: strings.Repeat("m", 61_000)})
		text := written(t, func(w io.Writer) error {
			return report.DiffMarkdown(w, &depgraph.Diff{New: findings}, report.DiffTitles{})
		})
		if _, rest, ok := strings.Cut(text, "\n(and "); ok {
			want += "(and " + rest
			if strings.Count(want, "\n") == 2 {
				break
			}
		} else if want != "" || strings.Count(text, ": too long for a comment") != n {
			t.Fatalf("%d sections:\n%.500s", n, text)
		}
	}
	same(t, want, "(and 1 more part; `depgraph diff` prints it)\n(and 2 more parts; `depgraph diff` prints them)\n")
}

package report_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/rounds"
	"github.com/failopen/failopen/depgraph/report"
)

// hostile are names that try to break out of each format.
var hostile = []string{
	`</script><script>alert(1)</script>`, `"]; evil [label="x`, `<img src=x onerror=alert(1)>`, `a"b`, "back\\", `n1["x"]; click n1 "http://x"`,
	"line\nbreak", "\x1b[31mred", `=cmd|' /C calc'!A0`, `|a|b|`, `[a](javascript:alert(1))`, "::error::x", "]]>", "a\u2028b", "a%0Ab", `'; rm -rf /`,
}

func hostileGraph(t testing.TB) *depgraph.Graph {
	t.Helper()
	var services []depgraph.Service
	for i, n := range hostile {
		services = append(services, depgraph.Service{
			Name: n, Owner: n, Note: n, Verify: n, Kind: depgraph.Kind(i % 8), At: depgraph.Position{File: n, Line: i},
			Availability: depgraph.Availability{Own: 99.9, Target: 99}, Depends: []depgraph.Dependency{{
				On: hostile[(i+1)%len(hostile)], Note: n, Evidence: n, Source: n, BreakGlass: n, Soft: i%3 == 0, At: depgraph.Position{File: n, Line: i},
			}},
		})
	}
	services[1].Depends[0].Soft = false
	return compile(t, services)
}

func compile(t testing.TB, services []depgraph.Service) *depgraph.Graph {
	t.Helper()
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// cyclicGraph has a deadlock, a runtime cycle, a group, and durations.
func cyclicGraph(t testing.TB) *depgraph.Graph {
	t.Helper()
	services, err := depgraph.ParseManifest("f.yaml", []byte(`
service: consul
start: 10s
depends: [{on: nomad}]
---
service: nomad
start: 20s
depends: [{on: vault}]
---
service: vault
owner: team-sec
depends: [{on: consul}]
---
service: web
criticality: critical
availability: {target: 99.9, own: 99.99}
depends:
- {any-of: [east, west], phase: runtime}
- {on: vault, soft: true}
---
service: east
availability: {own: 99.5}
start: 30s
---
service: west
availability: {own: 99.5}
`))
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, services)
}

// formats renders a graph in every format.
func formats(t testing.TB, g *depgraph.Graph) map[string]string {
	t.Helper()
	ctx := context.Background()
	findings, err := g.Check(ctx, depgraph.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cycles, err := g.Cycles(ctx, depgraph.CyclesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	order, err := g.Order(ctx, depgraph.OrderOptions{Cold: true})
	if err != nil {
		t.Fatal(err)
	}
	name := g.Names()[0]
	blast, err := g.Blast(depgraph.BlastOptions{}, name)
	if err != nil {
		t.Fatal(err)
	}
	avail, err := g.Availability(ctx, name, depgraph.AvailOptions{Savings: true})
	if err != nil {
		t.Fatal(err)
	}
	last := g.Names()[g.Len()-1]
	why, truncated, err := g.Why(ctx, name, last, depgraph.WhyOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	s := report.Summarize(g, findings)
	out := map[string]string{}
	for name, render := range map[string]func(io.Writer) error{
		"cycles.txt":  func(w io.Writer) error { return report.CyclesText(w, g, cycles) },
		"cycles.json": func(w io.Writer) error { return report.CyclesJSON(w, cycles) },
		"order.txt":   func(w io.Writer) error { return report.OrderText(w, g, order) },
		"order.json":  func(w io.Writer) error { return report.OrderJSON(w, order) },
		"blast.txt":   func(w io.Writer) error { return report.BlastText(w, blast) },
		"blast.json":  func(w io.Writer) error { return report.BlastJSON(w, blast) },
		"avail.txt":   func(w io.Writer) error { return report.AvailText(w, avail) },
		"avail.json":  func(w io.Writer) error { return report.AvailJSON(w, avail) },
		"why.txt":     func(w io.Writer) error { return report.WhyText(w, name, last, why, truncated) },
		"why.json":    func(w io.Writer) error { return report.WhyJSON(w, name, last, why, truncated) },
		"check.txt":   func(w io.Writer) error { return report.CheckText(w, g, s, findings) },
		"check.json":  func(w io.Writer) error { return report.CheckJSON(w, s, findings) },
		"check.sarif": func(w io.Writer) error { return report.SARIF(w, findings) },
		"check.xml":   func(w io.Writer) error { return report.JUnit(w, g, findings) },
		"check.gh":    func(w io.Writer) error { return report.GitHub(w, findings) },
		"graph.json":  func(w io.Writer) error { return report.GraphJSON(w, g) },
		"graph.dot":   func(w io.Writer) error { return report.DOT(w, g) },
		"graph.mmd":   func(w io.Writer) error { return report.Mermaid(w, g) },
		"graph.md":    func(w io.Writer) error { return report.Markdown(ctx, w, g) },
		"graph.csv":   func(w io.Writer) error { return report.CSV(w, g) },
		"graph.svg":   func(w io.Writer) error { return report.SVG(ctx, w, g) },
		"page.html":   func(w io.Writer) error { return report.HTML(ctx, w, g, report.HTMLOptions{Findings: findings}) },
	} {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = b.String()
	}
	return out
}

func TestFormats_are_well_formed_whatever_the_names(t *testing.T) {
	for which, g := range map[string]*depgraph.Graph{"hostile": hostileGraph(t), "cyclic": cyclicGraph(t), "empty": compile(t, []depgraph.Service{{Name: "only"}})} {
		for name, text := range formats(t, g) {
			switch {
			case strings.HasSuffix(name, ".json"), strings.HasSuffix(name, ".sarif"):
				if !json.Valid([]byte(text)) {
					t.Errorf("%s %s is not JSON", which, name)
				}
			case strings.HasSuffix(name, ".xml"), strings.HasSuffix(name, ".svg"):
				dec := xml.NewDecoder(strings.NewReader(text))
				for {
					if tok, err := dec.Token(); err == io.EOF {
						break
					} else if err != nil {
						t.Errorf("%s %s: %v", which, name, err)
						break
					} else if start, ok := tok.(xml.StartElement); ok && (start.Name.Local == "script" || start.Name.Local == "img") {
						t.Errorf("%s %s: a name became an element", which, name)
					}
				}
			case strings.HasSuffix(name, ".csv"):
				rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
				if err != nil {
					t.Errorf("%s %s: %v", which, name, err)
				}
				for _, row := range rows {
					if strings.HasPrefix(row[0], "=") {
						t.Errorf("%s %s: the formula %q", which, name, row[0])
					}
				}
			case strings.HasSuffix(name, ".txt"):
				if strings.ContainsAny(text, "\x1b\u2028") {
					t.Errorf("%s %s holds control characters:\n%q", which, name, text)
				}
			case strings.HasSuffix(name, ".gh"):
				for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
					if line != "" && !strings.HasPrefix(line, "::error ") && !strings.HasPrefix(line, "::warning ") && !strings.HasPrefix(line, "::notice ") && !strings.Contains(line, "GitHub shows") {
						t.Errorf("%s %s: a name began the line %q", which, name, line)
					}
				}
			case strings.HasSuffix(name, ".html"):
				if strings.Count(text, "<script") != 2 || strings.Contains(text, "<img") || strings.Contains(text, "http://www.w3.org/2000/svg\" width") {
					t.Errorf("%s %s: a name became markup", which, name)
				}
			case strings.HasSuffix(name, ".md"):
				if strings.Contains(text, "<script") || strings.Contains(text, "<img") || strings.Contains(text, "](") {
					t.Errorf("%s %s: a name became markup:\n%s", which, name, text)
				}
			}
		}
	}
}

func TestDOT_is_accepted_by_dot(t *testing.T) {
	dot, err := exec.LookPath("dot")
	if err != nil {
		t.Skip("no Graphviz here")
	}
	for which, g := range map[string]*depgraph.Graph{"hostile": hostileGraph(t), "cyclic": cyclicGraph(t)} {
		cmd := exec.Command(dot, "-Tplain")
		cmd.Stdin = strings.NewReader(formats(t, g)["graph.dot"])
		out, err := cmd.CombinedOutput()
		nodes := strings.Count("\n"+string(out), "\nnode ")
		if err != nil || nodes != g.Len() || strings.Contains(string(out), "Warning") {
			t.Errorf("%s: %d nodes of %d, %v\n%s", which, nodes, g.Len(), err, out)
		}
	}
}

func TestMermaid_collapses_large_graphs_and_says_so(t *testing.T) {
	var services []depgraph.Service
	for i := range 600 {
		s := depgraph.Service{Name: fmt.Sprintf("s%d", i), Owner: fmt.Sprintf("team%d", i%7)}
		if i > 0 {
			s.Depends = []depgraph.Dependency{{On: fmt.Sprintf("s%d", i-1)}}
		}
		services = append(services, s)
	}
	text := formats(t, compile(t, services))["graph.mmd"]
	if !strings.Contains(text, "%% 600 services with 599 edges, collapsed by owner") || strings.Count(text, "-->") > report.MaxMermaidEdges {
		t.Errorf("%.300s", text)
	}
}

func TestSARIF_has_flows_fingerprints_and_a_limit(t *testing.T) {
	text := formats(t, cyclicGraph(t))["check.sarif"]
	for _, want := range []string{`"version": "2.1.0"`, `"ruleId": "DG001"`, `"codeFlows"`, `"depgraph/v1"`, `"startLine": 4`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%.2000s", want, text)
		}
	}
	many := make([]depgraph.Finding, report.MaxSARIFResults+7)
	for i := range many {
		many[i] = depgraph.Finding{Rule: "DG009", Severity: depgraph.Warn, Service: fmt.Sprint(i), Message: "m"}
	}
	var b bytes.Buffer
	if err := report.SARIF(&b, many); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), `"ruleId"`); n != report.MaxSARIFResults || !strings.Contains(b.String(), "7 findings were left out") {
		t.Errorf("%d results", n)
	}
	f := many[0]
	before := report.Fingerprint(&f)
	f.At.Line, f.Message = 99, "moved"
	if report.Fingerprint(&f) != before {
		t.Error("a fingerprint changed because a line moved")
	}
}

func TestFormats_are_the_same_for_any_order_of_input(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	services := slices.Collect(cyclicGraph(t).Services())
	want := formats(t, compile(t, services))
	for range rounds.Of(1000) {
		r.Shuffle(len(services), func(i, j int) { services[i], services[j] = services[j], services[i] })
		for i := range services {
			d := services[i].Depends
			r.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
		}
		for name, text := range formats(t, compile(t, services)) {
			if text != want[name] {
				t.Fatalf("%s differs:\n%s\n---\n%s", name, text, want[name])
			}
		}
	}
}

func TestHTML_of_2000_services_stays_small(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	services := make([]depgraph.Service, 2000)
	for i := range services {
		services[i] = depgraph.Service{
			Name: fmt.Sprintf("service-number-%04d", i), Owner: fmt.Sprintf("team-%02d", i%40), Kind: depgraph.App, Criticality: depgraph.High,
			At: depgraph.Position{File: fmt.Sprintf("services/service-number-%04d/depgraph.yaml", i), Line: 1},
		}
		seen := map[int]bool{}
		for range 5 {
			if j := r.IntN(i + 1); j < i && !seen[j] {
				seen[j] = true
				services[i].Depends = append(services[i].Depends, depgraph.Dependency{
					On: fmt.Sprintf("service-number-%04d", j), Soft: r.IntN(3) == 0, At: depgraph.Position{File: services[i].At.File, Line: 5},
				})
			}
		}
	}
	g := compile(t, services)
	var b bytes.Buffer
	if err := report.HTML(context.Background(), &b, g, report.HTMLOptions{}); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 2<<20 {
		t.Errorf("%d bytes, want at most 2 MiB", b.Len())
	}
	t.Logf("%d services, %d edges, %d bytes", g.Len(), g.EdgeCount(), b.Len())
}

func FuzzFormats_names(f *testing.F) {
	for i, n := range hostile {
		f.Add(n, hostile[(i+3)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		g, err := depgraph.Compile([]depgraph.Service{
			{Name: a, Owner: b, Depends: []depgraph.Dependency{{On: b, Note: a}}, At: depgraph.Position{File: a, Line: 1}},
			{Name: b, Note: a, Depends: []depgraph.Dependency{{On: a}}},
		}, depgraph.Options{})
		if err != nil {
			return
		}
		out := formats(t, g)
		if n := strings.Count(out["page.html"], "<script"); n != 2 {
			t.Errorf("%d scripts in the page", n)
		}
		if err := xml.Unmarshal([]byte(out["graph.svg"]), new(struct{})); err != nil {
			t.Errorf("SVG: %v", err)
		}
		for _, name := range []string{"graph.dot", "graph.mmd"} {
			if strings.Count(out[name], "\n") > 20 {
				t.Errorf("%s has lines that no name may add:\n%s", name, out[name])
			}
		}
	})
}

// TestCheck_formats_move_no_cursor is about messages of rules of one's own,
// which may hold anything: a log, a test viewer and a comment must show it as
// text, on its own line, and notify nobody.
func TestCheck_formats_move_no_cursor(t *testing.T) {
	g, err := depgraph.Compile([]depgraph.Service{{Name: "web"}}, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := []depgraph.Finding{{
		Rule: "own", Name: "own", Severity: depgraph.Error, Service: "web", Fix: "\x1b[2J\u202e",
		Message: "one\n::error::two\x1b[31m\x00\u2028@everyone",
	}}
	for name, write := range map[string]func(w io.Writer) error{
		"github":   func(w io.Writer) error { return report.GitHub(w, found) },
		"junit":    func(w io.Writer) error { return report.JUnit(w, g, found) },
		"markdown": func(w io.Writer) error { return report.CheckMarkdown(w, g, report.Summary{}, found) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		if strings.ContainsAny(out, "\x1b\x00\u2028\u202e") || strings.Contains(out, "\n::error::two") {
			t.Errorf("%s: %q", name, out)
		}
		if name == "markdown" && strings.Contains(out, "@everyone") {
			t.Errorf("%s notifies people: %q", name, out)
		}
	}
}

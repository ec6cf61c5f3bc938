package report_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
	"github.com/failopen/failopen/depgraph/report"
)

var update = flag.Bool("update", false, "write testdata/golden anew; read the change before you commit it")

// A shop before and after a change that does one of everything: a service and
// an edge appear and disappear, an edge hardens and another one softens, a cycle
// forms, waves, availability and blast radius change.
const (
	before = `
service: web
owner: team-web
criticality: critical
availability: {own: 99.99, target: 99.9}
depends:
  - {on: cart, soft: true, evidence: drill-7, fallback: an empty cart}
  - {on: pay}
  - any-of: [east, west]
---
{service: cart, owner: team-cart, availability: {own: 99.95}, depends: [{on: db}]}
---
{service: pay, owner: team-pay, availability: {own: 99.99}, depends: [{on: db, phase: startup}, {on: bank, note: the bank's own}]}
---
{service: bank, kind: external, availability: {own: 99.5}}
---
{service: db, availability: {own: 99.99}}
---
{service: east, availability: {own: 99}}
---
{service: west, availability: {own: 99}}
---
{service: legacy, depends: [{on: db}]}
`
	after = `
service: web
owner: team-web
criticality: critical
availability: {own: 99.99, target: 99.9}
depends:
  - {on: cart}
  - {on: pay, soft: true}
  - any-of: [east, west]
---
{service: cart, owner: team-cart, availability: {own: 99.95}, depends: [{on: db}, {on: promo}]}
---
{service: promo, availability: {own: 99.9}, depends: [{on: cart}]}
---
{service: pay, owner: team-pay, availability: {own: 99.99}, depends: [{on: db, phase: startup}, {on: bank, note: the bank's own}]}
---
{service: bank, kind: external, availability: {own: 99.5}}
---
{service: db, availability: {own: 99.99}}
---
{service: east, availability: {own: 99}}
---
{service: west, availability: {own: 99}}
`
	observed = `{"failopen_observed": 1, "services": {"web": 900}, "edges": [
		{"from": "web", "to": "cart", "calls": 900, "errors": 30, "propagated": 28, "absorbed": 2, "fine": 870},
		{"from": "web", "to": "pay", "calls": 200, "errors": 10, "propagated": 9, "absorbed": 1, "fine": 190},
		{"from": "web", "to": "fraud", "calls": 40}, {"from": "batch", "to": "db", "calls": 3}]}`
)

func compiled(t *testing.T, file, manifest string) *depgraph.Graph {
	t.Helper()
	services, err := depgraph.ParseManifest(file, []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// same compares an output with what it should be, to the letter. A line feed at
// the beginning of want is for the reader of the test.
func same(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// written is what a function writes.
func written(t *testing.T, write func(w io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every report of one system, to the letter.
func TestGolden(t *testing.T) {
	ctx := context.Background()
	old, g := compiled(t, "before.yaml", before), compiled(t, "after.yaml", after)
	diff, err := depgraph.Compare(ctx, old, g, depgraph.DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	titles := report.DiffTitles{Before: "v1", After: "v2"}
	var records drift.Collector
	if err := records.Add("recorded.json", strings.NewReader(observed)); err != nil {
		t.Fatal(err)
	}
	drifted := drift.Compare(g, records.Observed(), drift.Options{})
	findings, err := g.Check(ctx, depgraph.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	summary := report.Summarize(g, findings)
	order, err := g.Order(ctx, depgraph.OrderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	blast, err := g.Blast(depgraph.BlastOptions{}, "db")
	if err != nil {
		t.Fatal(err)
	}
	avail, err := g.Availability(ctx, "web", depgraph.AvailOptions{})
	if err != nil {
		t.Fatal(err)
	}
	paths, more, err := g.Why(ctx, "web", "db", depgraph.WhyOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	blocked, err := g.WhyBlocked("web", depgraph.Running{"db": depgraph.IsReady, "bank": depgraph.IsServing})
	if err != nil {
		t.Fatal(err)
	}
	book, err := report.NewRunbook(ctx, g, report.RunbookOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cycles, err := g.Cycles(ctx, depgraph.CyclesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(w io.Writer) error{
		"diff.txt":       func(w io.Writer) error { return report.DiffText(w, diff, titles) },
		"diff.md":        func(w io.Writer) error { return report.DiffMarkdown(w, diff, titles) },
		"diff.json":      func(w io.Writer) error { return report.DiffJSON(w, diff, titles) },
		"drift.txt":      func(w io.Writer) error { return report.DriftText(w, drifted) },
		"drift.md":       func(w io.Writer) error { return report.DriftMarkdown(w, drifted) },
		"drift.json":     func(w io.Writer) error { return report.DriftJSON(w, drifted) },
		"drift.yaml":     func(w io.Writer) error { return report.DriftManifests(w, drifted) },
		"backstage.yaml": func(w io.Writer) error { return report.Backstage(w, g) },
		"check.txt":      func(w io.Writer) error { return report.CheckText(w, g, summary, findings) },
		"check.md":       func(w io.Writer) error { return report.CheckMarkdown(w, g, summary, findings) },
		"check.json":     func(w io.Writer) error { return report.CheckJSON(w, summary, findings) },
		"check.xml":      func(w io.Writer) error { return report.JUnit(w, g, findings) },
		"check.github":   func(w io.Writer) error { return report.GitHub(w, findings) },
		"check.sarif":    func(w io.Writer) error { return report.SARIF(w, findings) },
		"cycles.txt":     func(w io.Writer) error { return report.CyclesText(w, g, cycles) },
		"cycles.json":    func(w io.Writer) error { return report.CyclesJSON(w, cycles) },
		"order.txt":      func(w io.Writer) error { return report.OrderText(w, g, order) },
		"order.json":     func(w io.Writer) error { return report.OrderJSON(w, order) },
		"blast.txt":      func(w io.Writer) error { return report.BlastText(w, blast) },
		"blast.json":     func(w io.Writer) error { return report.BlastJSON(w, blast) },
		"avail.txt":      func(w io.Writer) error { return report.AvailText(w, avail) },
		"avail.json":     func(w io.Writer) error { return report.AvailJSON(w, avail) },
		"why.txt":        func(w io.Writer) error { return report.WhyText(w, "web", "db", paths, more) },
		"why.json":       func(w io.Writer) error { return report.WhyJSON(w, "web", "db", paths, more) },
		"blocked.txt":    func(w io.Writer) error { return report.BlockedText(w, g, blocked) },
		"blocked.json":   func(w io.Writer) error { return report.BlockedJSON(w, blocked) },
		"graph.dot":      func(w io.Writer) error { return report.DOT(w, g) },
		"graph.mmd":      func(w io.Writer) error { return report.Mermaid(w, g) },
		"graph.csv":      func(w io.Writer) error { return report.CSV(w, g) },
		"graph.md":       func(w io.Writer) error { return report.Markdown(ctx, w, g) },
		"graph.json":     func(w io.Writer) error { return report.GraphJSON(w, g) },
		"runbook.md":     func(w io.Writer) error { return book.Markdown(w) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "golden", name)
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("%s has changed; -update writes it anew\n%s", path, b.String())
			}
		})
	}
}

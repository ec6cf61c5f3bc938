package report_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
	"github.com/failopen/failopen/depgraph/report"
)

// answers are what depgraph says about a graph: the arguments of all writers.
type answers struct {
	g        *depgraph.Graph
	findings []depgraph.Finding
	cycles   []depgraph.Component
	order    *depgraph.Order
	blast    *depgraph.Blast
	avail    *depgraph.Avail
	paths    [][]depgraph.Edge
	blocked  *depgraph.Blocked
	diff     *depgraph.Diff
	drift    *drift.Report
	book     *report.Runbook
	impact   []int
}

func ask(t *testing.T, g *depgraph.Graph) answers {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, a := t.Context(), answers{g: g, drift: driftOfEverySort()}
	first := g.Names()[0]
	var err error
	a.findings, err = g.Check(ctx, depgraph.CheckOptions{})
	must(err)
	a.cycles, err = g.Cycles(ctx, depgraph.CyclesOptions{})
	must(err)
	a.order, err = g.Order(ctx, depgraph.OrderOptions{Cold: true})
	must(err)
	a.blast, err = g.Blast(depgraph.BlastOptions{}, first)
	must(err)
	a.avail, err = g.Availability(ctx, first, depgraph.AvailOptions{Savings: true})
	must(err)
	a.paths, _, err = g.Why(ctx, first, g.Names()[g.Len()-1], depgraph.WhyOptions{All: true})
	must(err)
	a.blocked, err = g.WhyBlocked(first, depgraph.Running{})
	must(err)
	a.diff, err = depgraph.Compare(ctx, compile(t, nil), g, depgraph.DiffOptions{})
	must(err)
	a.book, err = report.NewRunbook(ctx, g, report.RunbookOptions{})
	must(err)
	a.impact, err = g.BlastAll(ctx, nil)
	must(err)
	return a
}

// writers are all functions of the package that write, with something to write.
func (a answers) writers(ctx context.Context) map[string]func(io.Writer) error {
	s, titles := report.Summarize(a.g, a.findings), report.DiffTitles{Before: "before", After: "after"}
	verbose := report.TextOptions{All: true, Verbose: true, Color: true}
	return map[string]func(io.Writer) error{
		"Backstage":        func(w io.Writer) error { return report.Backstage(w, a.g) },
		"BlockedText":      func(w io.Writer) error { return report.BlockedText(w, a.g, a.blocked, verbose) },
		"BlockedJSON":      func(w io.Writer) error { return report.BlockedJSON(w, a.blocked) },
		"CheckText":        func(w io.Writer) error { return report.CheckText(w, a.g, s, a.findings, verbose) },
		"CheckMarkdown":    func(w io.Writer) error { return report.CheckMarkdown(w, a.g, s, a.findings) },
		"CheckJSON":        func(w io.Writer) error { return report.CheckJSON(w, s, a.findings) },
		"SARIF":            func(w io.Writer) error { return report.SARIF(w, a.findings) },
		"JUnit":            func(w io.Writer) error { return report.JUnit(w, a.g, a.findings) },
		"GitHub":           func(w io.Writer) error { return report.GitHub(w, a.findings) },
		"CyclesText":       func(w io.Writer) error { return report.CyclesText(w, a.g, a.cycles, verbose) },
		"CyclesJSON":       func(w io.Writer) error { return report.CyclesJSON(w, a.cycles) },
		"OrderText":        func(w io.Writer) error { return report.OrderText(w, a.g, a.order, verbose) },
		"OrderJSON":        func(w io.Writer) error { return report.OrderJSON(w, a.order) },
		"BlastText":        func(w io.Writer) error { return report.BlastText(w, a.blast, verbose) },
		"BlastJSON":        func(w io.Writer) error { return report.BlastJSON(w, a.blast) },
		"ImpactText":       func(w io.Writer) error { return report.ImpactText(w, a.g.Names(), a.impact) },
		"ImpactJSON":       func(w io.Writer) error { return report.ImpactJSON(w, a.g.Names(), a.impact) },
		"NamesText":        func(w io.Writer) error { return report.NamesText(w, a.g.Names()) },
		"AvailText":        func(w io.Writer) error { return report.AvailText(w, a.avail, verbose) },
		"AvailJSON":        func(w io.Writer) error { return report.AvailJSON(w, a.avail) },
		"WhyText":          func(w io.Writer) error { return report.WhyText(w, "a", "b", a.paths, true) },
		"WhyJSON":          func(w io.Writer) error { return report.WhyJSON(w, "a", "b", a.paths, true) },
		"DiffText":         func(w io.Writer) error { return report.DiffText(w, a.diff, titles, verbose) },
		"DiffMarkdown":     func(w io.Writer) error { return report.DiffMarkdown(w, a.diff, titles) },
		"DiffJSON":         func(w io.Writer) error { return report.DiffJSON(w, a.diff, titles) },
		"DriftText":        func(w io.Writer) error { return report.DriftText(w, a.drift, verbose) },
		"DriftMarkdown":    func(w io.Writer) error { return report.DriftMarkdown(w, a.drift) },
		"DriftJSON":        func(w io.Writer) error { return report.DriftJSON(w, a.drift) },
		"DriftManifests":   func(w io.Writer) error { return report.DriftManifests(w, a.drift) },
		"DOT":              func(w io.Writer) error { return report.DOT(w, a.g) },
		"Mermaid":          func(w io.Writer) error { return report.Mermaid(w, a.g) },
		"CSV":              func(w io.Writer) error { return report.CSV(w, a.g) },
		"GraphJSON":        func(w io.Writer) error { return report.GraphJSON(w, a.g) },
		"Markdown":         func(w io.Writer) error { return report.Markdown(ctx, w, a.g) },
		"SVG":              func(w io.Writer) error { return report.SVG(ctx, w, a.g) },
		"HTML":             func(w io.Writer) error { return report.HTML(ctx, w, a.g, report.HTMLOptions{Findings: a.findings}) },
		"Runbook.Markdown": a.book.Markdown,
		"Runbook.HTML":     a.book.HTML,
	}
}

var errFull = errors.New("the disk is full")

// fullAfter takes n bytes, and fails from then on.
type fullAfter struct{ n int }

func (f *fullAfter) Write(p []byte) (int, error) {
	if len(p) > f.n {
		n := f.n
		f.n = 0
		return n, errFull
	}
	f.n -= len(p)
	return len(p), nil
}

// A disk is full, or a pipe is closed, at any byte: the caller hears of it.
func TestWriters_return_the_error_of_their_writer(t *testing.T) {
	a := ask(t, cyclicGraph(t))
	for name, write := range a.writers(t.Context()) {
		whole := len(written(t, write))
		if whole == 0 {
			t.Errorf("%s writes nothing", name)
			continue
		}
		for _, n := range []int{0, 1, whole / 4, whole / 2, whole - 1} {
			if err := write(&fullAfter{n}); !errors.Is(err, errFull) {
				t.Errorf("%s: a disk with room for %d of %d bytes: %v", name, n, whole, err)
			}
		}
		if err := write(&fullAfter{whole}); err != nil {
			t.Errorf("%s: a disk with room for all %d bytes: %v", name, whole, err)
		}
	}
}

// A cancelled context ends what computes, before a byte is written.
func TestWriters_that_compute_return_the_error_of_their_context(t *testing.T) {
	large := make([]depgraph.Service, report.MaxPageServices+1)
	for i := range large {
		large[i].Name = "s" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + "-" + strings.Repeat("y", i/26%9) + strings.Repeat("z", i/200)
	}
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("somebody gave up"))
	for name, g := range map[string]*depgraph.Graph{"small": cyclicGraph(t), "empty": compile(t, nil), "large": compile(t, large)} {
		for what, write := range map[string]func(w io.Writer) error{
			"HTML":     func(w io.Writer) error { return report.HTML(stopped, w, g, report.HTMLOptions{}) },
			"SVG":      func(w io.Writer) error { return report.SVG(stopped, w, g) },
			"Markdown": func(w io.Writer) error { return report.Markdown(stopped, w, g) },
			"NewRunbook": func(io.Writer) error {
				_, err := report.NewRunbook(stopped, g, report.RunbookOptions{})
				return err
			},
			"NewLayout": func(io.Writer) error {
				_, err := report.NewLayout(stopped, g)
				return err
			},
		} {
			var b bytes.Buffer
			if err := write(&b); !errors.Is(err, context.Canceled) || b.Len() > 0 {
				t.Errorf("%s of a %s graph: %v, after %d bytes", what, name, err, b.Len())
			}
		}
	}
}

// What a writer is given belongs to the caller, who may print it twice, in two
// formats at once.
func TestWriters_change_nothing_and_repeat_themselves(t *testing.T) {
	a, untouched := ask(t, cyclicGraph(t)), ask(t, cyclicGraph(t))
	all := a.writers(t.Context())
	first := map[string]string{}
	for name, write := range all {
		first[name] = written(t, write)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if again := written(t, all[name]); again != first[name] {
			t.Errorf("%s writes something else the second time:\n%s\n---\n%s", name, first[name], again)
		}
	}
	a.g, untouched.g = nil, nil
	if !reflect.DeepEqual(a, untouched) {
		t.Error("an argument has changed")
	}
}

// No format may fail on, or print differently for, a graph without anything.
func TestWriters_of_an_empty_graph(t *testing.T) {
	g := compile(t, nil)
	ctx := t.Context()
	for _, c := range []struct {
		name, want string
		write      func(w io.Writer) error
	}{
		{"DOT", "digraph depgraph {\n  rankdir=RL;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n}\n", func(w io.Writer) error { return report.DOT(w, g) }},
		{"Mermaid", "flowchart RL\n", func(w io.Writer) error { return report.Mermaid(w, g) }},
		{"CSV", "from,to,strength,phase,plane,evidence,owner,criticality,file,line\n", func(w io.Writer) error { return report.CSV(w, g) }},
		{"GraphJSON", "{\n \"version\": 1,\n \"services\": [],\n \"edges\": []\n}\n", func(w io.Writer) error { return report.GraphJSON(w, g) }},
		{"Markdown", "# Dependencies\n\n0 services, 0 dependencies.\n\n## Cycles\n\nNone.\n\n## Start order\n\n\n## Services\n\n| service | owner | kind | criticality | hard | soft |\n|---|---|---|---|---|---|\n", func(w io.Writer) error { return report.Markdown(ctx, w, g) }},
		{"CyclesJSON", "{\n \"components\": []\n}\n", func(w io.Writer) error { return report.CyclesJSON(w, nil) }},
		{"ImpactText", "", func(w io.Writer) error { return report.ImpactText(w, nil, nil) }},
		{"ImpactJSON", "{\n \"services\": []\n}\n", func(w io.Writer) error { return report.ImpactJSON(w, nil, nil) }},
		{"NamesText", "", func(w io.Writer) error { return report.NamesText(w, nil) }},
		{"WhyText", "a does not depend on b\n", func(w io.Writer) error { return report.WhyText(w, "a", "b", nil, false) }},
		{"WhyJSON", "{\n \"from\": \"a\",\n \"to\": \"b\",\n \"paths\": [],\n \"truncated\": false\n}\n", func(w io.Writer) error { return report.WhyJSON(w, "a", "b", nil, false) }},
		{"CheckJSON", "{\n \"services\": 0,\n \"edges\": 0,\n \"errors\": 0,\n \"warnings\": 0,\n \"infos\": 0,\n \"known\": 0,\n \"stale_baseline_entries\": 0,\n \"waived\": 0,\n \"findings\": []\n}\n", func(w io.Writer) error { return report.CheckJSON(w, report.Summary{}, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) { same(t, written(t, c.write), c.want) })
	}
	if text := written(t, func(w io.Writer) error { return report.Backstage(w, g) }); strings.Count(text, "\n") != 3 || strings.Contains(text, "---") {
		t.Errorf("Backstage:\n%s", text)
	}
	for name, write := range map[string]func(w io.Writer) error{
		"HTML": func(w io.Writer) error { return report.HTML(ctx, w, g, report.HTMLOptions{}) },
		"SVG":  func(w io.Writer) error { return report.SVG(ctx, w, g) },
	} {
		if text := written(t, write); text == "" {
			t.Errorf("%s writes nothing", name)
		}
	}
}

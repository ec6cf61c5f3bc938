package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// changed compares no graph with one.
func changed(t *testing.T, services []depgraph.Service) *depgraph.Diff {
	t.Helper()
	var g [2]*depgraph.Graph
	for i, s := range [][]depgraph.Service{nil, services} {
		var err error
		if g[i], err = depgraph.Compile(s, depgraph.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := depgraph.Compare(t.Context(), g[0], g[1], depgraph.DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDiffMarkdown_fits_into_a_comment(t *testing.T) {
	services := []depgraph.Service{{Name: "root", Kind: depgraph.External}}
	for i := range 400 {
		name := fmt.Sprintf("service-%d-%s", i, strings.Repeat("x", 200))
		services = append(services, depgraph.Service{Name: name, Depends: []depgraph.Dependency{{On: "root"}}})
	}
	var b strings.Builder
	if err := report.DiffMarkdown(&b, changed(t, services), report.DiffTitles{Before: "a", After: "b"}); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 65_536 || !strings.Contains(b.String(), "400 dependencies changed: too long for a comment") {
		t.Errorf("%d bytes:\n%.2000s", b.Len(), b.String())
	}
}

func TestDiff_names_cannot_inject(t *testing.T) {
	const hostile = "a|b\n<script>`*\x1b[2J-->"
	d := changed(t, []depgraph.Service{
		{Name: hostile, Depends: []depgraph.Dependency{{On: "c"}}},
		{Name: "c", Depends: []depgraph.Dependency{{On: hostile}}},
	})
	for name, write := range map[string]func(*strings.Builder) error{
		"markdown": func(b *strings.Builder) error {
			return report.DiffMarkdown(b, d, report.DiffTitles{Before: hostile, After: hostile})
		},
		"text": func(b *strings.Builder) error {
			return report.DiffText(b, d, report.DiffTitles{Before: hostile, After: hostile})
		},
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "\x1b") || name == "markdown" && strings.Contains(b.String(), "<script>") || strings.Contains(b.String(), "a|b\n") {
			t.Errorf("%s: a name got through:\n%s", name, b.String())
		}
	}
}

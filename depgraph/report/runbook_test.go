package report_test

import (
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

func TestRunbook_is_stable_and_safe(t *testing.T) {
	const hostile = "x</code><script>alert(1)</script>\n# heading\x1b[2J` | `"
	services := []depgraph.Service{
		{Name: hostile, Owner: hostile, Verify: hostile, Note: hostile, Depends: []depgraph.Dependency{{On: "b", Fallback: hostile, BreakGlass: hostile}}},
		{Name: "b", Depends: []depgraph.Dependency{{On: hostile, Soft: true}, {On: "c"}}},
		{Name: "c", Depends: []depgraph.Dependency{{On: "b"}}},
	}
	for _, down := range []string{"", hostile, "b"} {
		first := ""
		for round := range 3 {
			services[0], services[round%3] = services[round%3], services[0]
			g, err := depgraph.Compile(services, depgraph.Options{})
			if err != nil {
				t.Fatal(err)
			}
			b, err := report.NewRunbook(t.Context(), g, report.RunbookOptions{Title: hostile, Down: down})
			if err != nil {
				t.Fatal(err)
			}
			var md, page strings.Builder
			if err := b.Markdown(&md); err != nil {
				t.Fatal(err)
			}
			if err := b.HTML(&page); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(page.String(), "<script") || strings.ContainsAny(md.String()+page.String(), "\x1b") || strings.Contains(md.String(), "\n# heading") {
				t.Fatalf("a name got through:\n%s\n%s", md.String(), page.String())
			}
			if all := md.String() + page.String(); first == "" {
				first = all
			} else if all != first {
				t.Fatalf("two runbooks of one graph differ:\n%s\n%s", first, all)
			}
		}
	}
}

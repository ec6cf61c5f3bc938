package livelint_test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/failopen/failopen/health/livelint"
)

// A source is a package, and all that is found in it: "function: message", in
// the order of the source. What -whole finds besides, or in other words, is in whole.
type source struct {
	name, code string
	vet, whole []string
}

func TestCases(t *testing.T) {
	for _, s := range sources {
		t.Run(s.name, func(t *testing.T) {
			pkg := load(t, "cases/"+s.name)
			compare(t, "vet", findings(t, livelint.Analyzer, pkg), s.vet)
			want := s.whole
			if want == nil {
				want = s.vet
			}
			compare(t, "whole", findings(t, whole(t, pkg), pkg), want)
		})
	}
}

// compare says which findings are not expected, and which are missing.
func compare(t *testing.T, mode string, got, want []string) {
	t.Helper()
	for _, f := range got {
		if !slices.Contains(want, f) {
			t.Errorf("%s: found and not expected:\n%s", mode, f)
		}
	}
	for _, f := range want {
		if !slices.Contains(got, f) {
			t.Errorf("%s: not found:\n%s", mode, f)
		}
	}
}

// findings are the analyzer's, without the end that all of them have.
func findings(t *testing.T, a *analysis.Analyzer, pkgs []*packages.Package) (all []string) {
	t.Helper()
	graph, err := checker.Analyze([]*analysis.Analyzer{a}, pkgs, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range graph.Roots {
		if action.Err != nil {
			t.Fatal(action.Err)
		}
		for _, d := range action.Diagnostics {
			in := "package"
			for _, f := range action.Package.Syntax {
				for _, decl := range f.Decls {
					if fd, ok := decl.(*ast.FuncDecl); ok && fd.Pos() <= d.Pos && d.Pos < fd.End() {
						in = fd.Name.Name
					}
				}
			}
			all = append(all, in+": "+strings.TrimSuffix(d.Message, "; while that is down, this process is restarted, which does not help"))
		}
	}
	return all
}

// live is the finding of a handler of /livez.
func live(in, path string) string {
	return fmt.Sprintf("%s: the liveness handler of %q calls a dependency: %s", in, "/livez", path)
}

// Whole finds what Analyzer finds, wherever testdata has it, but for what it knows
// to be harmless.
func TestWhole_finds_what_Analyzer_finds(t *testing.T) {
	for _, name := range []string{"handlers", "libraries", "others", "store"} {
		pkg := load(t, name)
		whole := findings(t, whole(t, pkg), pkg)
		for _, f := range findings(t, livelint.Analyzer, pkg) {
			in, _, _ := strings.Cut(f, ":")
			if !slices.ContainsFunc(whole, func(w string) bool { return strings.HasPrefix(w, in+":") }) {
				t.Errorf("%s: found by Analyzer alone: %s", name, f)
			}
		}
	}
}

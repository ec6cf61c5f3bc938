package livelint_test

import (
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/failopen/failopen/health/livelint"
)

func TestAnalyzer(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), livelint.Analyzer, "store", "handlers", "libraries", "others")
}

// load reads packages of testdata with all that they import.
func load(t *testing.T, names ...string) []*packages.Package {
	t.Helper()
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.LoadAllSyntax | packages.NeedModule, Dir: analysistest.TestData(),
		Env: append(os.Environ(), "GO111MODULE=off", "GOPATH="+analysistest.TestData(), "GOWORK=off"),
	}, names...)
	if err != nil || packages.PrintErrors(pkgs) > 0 {
		t.Fatal("testdata is broken: ", err)
	}
	return pkgs
}

// The corpus: one function for each way to write a liveness check, bad… if an
// outage of a dependency reaches the answer, good… if not.
func TestCorpus(t *testing.T) {
	pkgs := load(t, "corpus")
	corpus(t, livelint.Analyzer, pkgs, "badChecks", "badReflected", "badUnknown") // the guide names these
	corpus(t, whole(t, pkgs), pkgs)
	wired := load(t, "wiring")
	corpus(t, whole(t, wired), wired)
}

func whole(t *testing.T, pkgs []*packages.Package) *analysis.Analyzer {
	t.Helper()
	a, err := livelint.Whole(pkgs)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// corpus runs an analyzer over it, and expects all to be found but for some.
func corpus(t *testing.T, a *analysis.Analyzer, pkgs []*packages.Package, missed ...string) {
	t.Helper()
	graph, err := checker.Analyze([]*analysis.Analyzer{a}, pkgs, nil)
	if err != nil || len(graph.Roots) == 0 {
		t.Fatalf("the corpus was not analysed: %v", err)
	}
	var bad, good, found, wrong []string
	for _, action := range graph.Roots {
		if action.Err != nil {
			t.Fatal(action.Err)
		}
		for _, f := range action.Package.Syntax {
			for _, d := range f.Decls {
				fd, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				name := fd.Name.Name
				reported := false
				for _, diagnostic := range action.Diagnostics {
					reported = reported || fd.Pos() <= diagnostic.Pos && diagnostic.Pos < fd.End()
				}
				switch {
				case strings.HasPrefix(name, "bad"):
					bad = append(bad, name)
					if reported {
						found = append(found, name)
					}
				case strings.HasPrefix(name, "good"):
					good = append(good, name)
					if reported {
						wrong = append(wrong, name)
					}
				}
			}
		}
	}
	t.Logf("%d of %d bad ones found, %d of %d good ones reported", len(found), len(bad), len(wrong), len(good))
	for _, name := range bad {
		if slices.Contains(found, name) == slices.Contains(missed, name) {
			t.Errorf("%s: found %v", name, slices.Contains(found, name))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("reported, and harmless: %v", wrong)
	}
}

package livelint_test

import (
	"errors"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// loaded are the packages of testdata, and those of sources, with all that they
// import. Most of the time goes into reading the standard library, so that all of
// them are read together, once.
var loaded = sync.OnceValues(func() (map[string]*packages.Package, error) {
	dir := filepath.Join(analysistest.TestData(), "src", "cases")
	names := []string{"corpus", "wiring", "handlers", "libraries", "others", "store"}
	overlay := map[string][]byte{}
	for _, s := range sources {
		overlay[filepath.Join(dir, s.name, s.name+".go")] = []byte("package " + s.name + "\n" + s.code)
		names = append(names, "cases/"+s.name)
	}
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.LoadAllSyntax | packages.NeedModule, Dir: analysistest.TestData(), Overlay: overlay,
		Env: append(os.Environ(), "GO111MODULE=off", "GOPATH="+analysistest.TestData(), "GOWORK=off"),
	}, names...)
	if err == nil && packages.PrintErrors(pkgs) > 0 {
		err = errors.New("it does not compile")
	}
	byPath := map[string]*packages.Package{}
	for _, p := range pkgs {
		byPath[p.PkgPath] = p
	}
	return byPath, err
})

// load is one of the packages that are loaded.
func load(t *testing.T, name string) []*packages.Package {
	t.Helper()
	all, err := loaded()
	if err != nil || all[name] == nil {
		t.Fatalf("%s in testdata: %v", name, err)
	}
	return []*packages.Package{all[name]}
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

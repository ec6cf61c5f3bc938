package livelint_test

import (
	"go/ast"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/failopen/failopen/health/livelint"
)

func TestAnalyzer(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), livelint.Analyzer, "store", "handlers", "libraries", "others")
}

// ignore takes what analysistest expects, which the corpus does not say.
type ignore struct{}

func (ignore) Errorf(string, ...any) {}

// The corpus: one function for each way to write a liveness check, bad… if an
// outage of a dependency reaches the answer, good… if not.
func TestCorpus(t *testing.T) {
	missed := []string{"badChecks", "badReflected", "badUnknown"} // the guide names these
	results := analysistest.Run(ignore{}, analysistest.TestData(), livelint.Analyzer, "corpus")
	if len(results) != 1 || results[0].Err != nil {
		t.Fatalf("the corpus was not analysed: %+v", results)
	}
	action := results[0].Action
	var bad, good, found, wrong []string
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

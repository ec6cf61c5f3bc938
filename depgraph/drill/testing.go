package drill

import (
	"context"
	"os"

	"github.com/failopen/failopen/depgraph"
)

// TB is what Test needs of a *testing.T.
type TB interface {
	// As in package testing.
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Test runs the experiment and fails t, with the report, unless it held. If the
// environment variable DEPGRAPH_PROOF names a file, the verdict is appended to
// it. In a testing/synctest bubble a drill takes virtual time only:
//
//	func TestServesWithoutItsTable(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			svc, injector := newService(t)
//			drill.Test(t, drill.Experiment{
//				Service: "checkout", Dependency: "sessions",
//				Target: drill.Func(svc.Ask), Fault: drill.Rules(injector, fault.Denied("dynamodb")),
//				Watch: 7 * time.Hour,
//			})
//		})
//	}
//
// An experiment that is invalid is fatal. A proof that cannot be written fails t as
// well: CI would miss it later, without knowing why. The returned report is for
// further checks, and nil only where Fatalf returns.
func Test(t TB, e Experiment) *Report {
	t.Helper()
	r, err := Run(t.Context(), e)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	if file := os.Getenv(ProofEnv); file != "" {
		proof, err := r.Proof()
		if err == nil {
			_, err = depgraph.AppendProof(file, proof)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if r.Verdict != Held {
		t.Errorf("%s\n\n%s", r.Sentence(), r.Markdown())
	} else {
		t.Logf("%s", r.Sentence())
	}
	return r
}

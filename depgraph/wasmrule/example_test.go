package wasmrule_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/wasmrule"
)

// A rule that somebody else compiled runs beside the built-in ones. main calls
// wasmrule.Child first.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "rules")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "runbook.wasm")
	module := says(`{"interface": 1, "findings": [{"service": "checkout", "message": "checkout has no verify step"}]}`)
	if err := os.WriteFile(path, module, 0o644); err != nil {
		panic(err)
	}
	// report.GraphJSON is what a program passes.
	graph := func(w io.Writer, _ *depgraph.Graph) error { _, err := io.WriteString(w, "{}"); return err }
	rule, err := wasmrule.Load(path, wasmrule.Options{Graph: graph, CacheDir: "-"})
	if err != nil {
		panic(err)
	}
	g, err := depgraph.Compile([]depgraph.Service{{Name: "checkout", Owner: "team-pay"}}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	found, err := g.Check(context.Background(), depgraph.CheckOptions{Rules: []depgraph.Rule{rule}})
	if err != nil {
		panic(err)
	}
	for _, f := range found {
		fmt.Println(f.Severity, f.Rule, f.Message)
	}
	// Output:
	// warn runbook checkout has no verify step
}

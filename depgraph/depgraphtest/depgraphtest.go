// Package depgraphtest holds conformance suites for what can be added to
// depgraph: TestRule for rules of one's own, TestImporter for importers. A suite
// is called from a test of the package that has the rule or the importer, and
// reports by its t, with the seed and the manifests of the system that showed the
// fault, so that it can be looked at again.
package depgraphtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// rounds is how many random graphs a rule sees.
const rounds = 200

// TestRule runs a rule over many graphs, the empty one and hostile names
// included, and reports what a check would not take from it: an error, a
// finding about nothing, another answer for the same graph, and one that does
// not end with its context.
//
// It calls the rule some 400 times. A rule that is not safe for use by several goroutines, or
// keeps what it saw before, shows in the race detector or as another answer; run it with
// -race. What a rule should find is for tests of its own.
func TestRule(t *testing.T, r depgraph.Rule) {
	t.Helper()
	if r.Check == nil {
		t.Fatal("the rule has no Check")
	}
	if r.Summary == "" {
		t.Error("the rule has no Summary; \"depgraph explain\" would have nothing to say")
	}
	// Each system is compiled and checked twice. The check contains what the rule does,
	// and tells it as DG020, which is a fault here.
	for seed := range uint64(rounds) {
		services := Services(seed)
		var answers [2][]depgraph.Finding
		for i := range answers {
			g, err := depgraph.Compile(services, depgraph.Options{})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			answers[i], err = g.Check(t.Context(), depgraph.CheckOptions{Rules: []depgraph.Rule{r}, Only: []string{r.Name, "DG020"}})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, f := range answers[i] {
				if f.Rule == "DG020" {
					t.Fatalf("seed %d: %s; the manifests:\n%s", seed, f.Message, manifests(services))
				}
			}
		}
		if !reflect.DeepEqual(answers[0], answers[1]) {
			t.Fatalf("seed %d: two answers for one graph:\n%+v\n%+v", seed, answers[0], answers[1])
		}
	}
	g, err := depgraph.Compile(Services(1), depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// At the end the rule is called with a context that has ended, without the check
	// around it, which would leave a slow rule behind.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { _, err := r.Check(ctx, g); done <- err }()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("after its context has ended, the rule returns %v; want nil or the context's error", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the rule does not end with its context")
	}
}

// TestImporter reads twice, and reports what would be lost on the way to
// manifests: services or dependencies without a source, another result for the
// same input, what cannot be compiled, and what manifests do not say.
//
// read imports one input, the same each time, with at least one service and one dependency;
// a suite over several inputs calls it once for each.
func TestImporter(t *testing.T, read func() ([]depgraph.Service, error)) {
	t.Helper()
	first, err := read()
	if err != nil {
		t.Fatal(err)
	}
	second, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 {
		t.Fatal("nothing was imported; the suite needs an input with services")
	}
	if !reflect.DeepEqual(first, second) {
		t.Error("two results for one input")
	}
	if _, err := depgraph.Compile(first, depgraph.Options{}); err != nil {
		t.Fatalf("what was imported is not a graph: %v", err)
	}
	edges := 0
	for _, s := range first {
		if s.Source == "" {
			t.Errorf("%s: no source; nobody can tell where it comes from", s.Name)
		}
		for _, d := range s.Depends {
			edges++
			if d.Source == "" {
				t.Errorf("%s -> %s%v: no source", s.Name, d.On, d.AnyOf)
			}
		}
	}
	if edges == 0 {
		t.Error("no dependency was imported; the suite needs an input with some")
	}
	// What is imported ends as manifests, so all of it must be there once they are read
	// back.
	text := manifests(first)
	again, err := depgraph.ParseManifest("imported.yaml", []byte(text))
	if err != nil {
		t.Fatalf("the manifests cannot be read: %v\n%s", err, text)
	}
	if back := manifests(again); back != text {
		t.Errorf("manifests lose something:\n%s\nread back:\n%s", text, back)
	}
}

// manifests are the services as YAML, for reports and comparisons; the reason, if they
// cannot be written.
func manifests(services []depgraph.Service) string {
	var b bytes.Buffer
	if err := depgraph.WriteManifest(&b, services...); err != nil {
		return err.Error()
	}
	return b.String()
}

// Services makes a random system, the same for the same seed: none of seed 0,
// then more and more services with dependencies of all sorts and names that
// need quotes.
//
// Up to 40 services; it always compiles. Tests of reports and of rules share it, so that a
// name that breaks one is tried in all.
func Services(seed uint64) []depgraph.Service {
	r := rand.New(rand.NewPCG(seed, 20))
	n := min(int(seed), 40)
	name := func(v int) string {
		// Names that mean something to YAML, HTML, JSON, Mermaid or a shell.
		odd := []string{"", " x", "<b>", "\"q\"", "ü", "\n", "`", "{}", "|", "-"}
		return fmt.Sprintf("s%d%s", v, odd[v%len(odd)])
	}
	services := make([]depgraph.Service, n)
	for v := range services {
		s := depgraph.Service{
			Name: strings.TrimSpace(name(v)), Owner: []string{"", "a", "b"}[r.IntN(3)], Kind: depgraph.Kind(r.IntN(8)), Criticality: depgraph.Criticality(r.IntN(5)),
			Availability: depgraph.Availability{Own: 99 + r.Float64()}, At: depgraph.Position{File: "m.yaml", Line: v + 1},
		}
		for w := range n {
			if w == v || r.IntN(n) > 2 {
				continue
			}
			s.Depends = append(s.Depends, depgraph.Dependency{
				On: strings.TrimSpace(name(w)), Soft: r.IntN(3) == 0, Phase: depgraph.Phase(1 + r.IntN(7)), Plane: depgraph.Plane(r.IntN(3)), At: depgraph.Position{File: "m.yaml", Line: v + 1},
			})
		}
		services[v] = s
	}
	return services
}

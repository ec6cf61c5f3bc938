package report_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/rounds"
	"github.com/failopen/failopen/depgraph/report"
)

// randomGraph uses every field of a service and of an edge now and then.
func randomGraph(t *testing.T, seed uint64) *depgraph.Graph {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	n := 2 + r.IntN(12)
	name := func(v int) string { return fmt.Sprintf("s%02d", v) }
	some := func(text string) string { return text[:len(text)*r.IntN(2)] }
	var services []depgraph.Service
	for v := range n {
		s := depgraph.Service{
			Name: name(v), Owner: some("team"), Kind: depgraph.Kind(r.IntN(8)), Criticality: depgraph.Criticality(r.IntN(5)),
			Availability: depgraph.Availability{Target: float64(r.IntN(100)), Own: 99.95}, Start: time.Duration(r.IntN(5000)) * time.Millisecond,
			Verify: some("curl x"), Note: some("a \"note\" <b>"), Source: some("compose.yaml:1"), At: depgraph.Position{File: "m.yaml", Line: v + 1},
		}
		for w := range n {
			if w == v || r.IntN(5) > 0 {
				continue
			}
			d := depgraph.Dependency{
				On: name(w), Phase: depgraph.Phase(1 + r.IntN(7)), Plane: depgraph.Plane(r.IntN(3)), Soft: r.IntN(3) == 0, Assumed: r.IntN(4) == 0,
				Liveness: r.IntN(5) == 0, Evidence: some("drill/x"), BreakGlass: some("by hand"), Fallback: some("queue"), Note: some("n"), Source: some("s"),
				At: depgraph.Position{File: "m.yaml", Line: v + 1},
			}
			d.Pinned = !d.Soft && r.IntN(5) == 0
			if d.Phase&depgraph.Startup != 0 && r.IntN(3) == 0 {
				d.Until = depgraph.Ready
			}
			d.Weak = d.Phase&depgraph.Startup != 0 && !d.Pinned && r.IntN(5) == 0
			s.Depends = append(s.Depends, d)
		}
		for range r.IntN(3) {
			if v > 2 {
				s.Depends = append(s.Depends, depgraph.Dependency{AnyOf: []string{name(0), name(1), name(2)}, Need: 1 + r.IntN(3), Phase: depgraph.Runtime, At: depgraph.Position{File: "m.yaml", Line: v + 1}})
			}
		}
		s.Waivers = append(s.Waivers, depgraph.Waiver{Rule: "DG009", Reason: "soon", Until: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)})[:r.IntN(2)]
		services = append(services, s)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return g
}

// TestExport_reads_back writes random graphs and reads them again.
func TestExport_reads_back(t *testing.T) {
	for seed := range uint64(rounds.Of(300)) {
		g := randomGraph(t, seed)
		var first, second bytes.Buffer
		if err := report.GraphJSON(&first, g); err != nil {
			t.Fatal(err)
		}
		services, err := depgraph.ParseManifest("graph.json", first.Bytes())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		back, err := depgraph.Compile(services, depgraph.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, first.String())
		}
		if err := report.GraphJSON(&second, back); err != nil {
			t.Fatal(err)
		}
		if first.String() != second.String() {
			t.Fatalf("seed %d: read back\n%s\nwant\n%s", seed, second.String(), first.String())
		}
		d, err := depgraph.Compare(context.Background(), g, back, depgraph.DiffOptions{})
		if err != nil || len(d.Edges)+len(d.Cycles)+len(d.Services)+len(d.New)+len(d.Gone)+len(d.Added) > 0 {
			t.Fatalf("seed %d: %v, a graph differs from itself: %+v", seed, err, d)
		}
	}
}

// exported writes a graph and reads it again.
func exported(t *testing.T, g *depgraph.Graph) (text string, back *depgraph.Graph) {
	t.Helper()
	var b bytes.Buffer
	if err := report.GraphJSON(&b, g); err != nil {
		t.Fatal(err)
	}
	services, err := depgraph.ParseManifest("graph.json", b.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	back, err = depgraph.Compile(services, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return b.String(), back
}

// Names are data in JSON: whatever they hold comes back.
func TestExport_reads_hostile_names_back(t *testing.T) {
	g := hostileGraph(t)
	text, back := exported(t, g)
	if again, _ := exported(t, back); again != text {
		t.Errorf("read back\n%s\nwant\n%s", again, text)
	}
	if fmt.Sprint(back.Names()) != fmt.Sprint(g.Names()) {
		t.Errorf("names %q, want %q", back.Names(), g.Names())
	}
}

// A duration of odd nanoseconds, a service that nobody declared, and numbers at
// the ends of their ranges.
func TestExport_reads_the_ends_of_ranges_back(t *testing.T) {
	var services []depgraph.Service
	for i, d := range []time.Duration{0, 1, 999, 1234567891, 59*time.Minute + 999999999, 23 * time.Hour} {
		services = append(services, depgraph.Service{
			Name: fmt.Sprintf("s%d", i), Start: d, Availability: depgraph.Availability{Own: []float64{0, 1e-9, 100, 99.999999, 50, 33.3333333333}[i]},
			Depends: []depgraph.Dependency{{On: "nobody"}},
		})
	}
	g, err := depgraph.Compile(services, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	_, back := exported(t, g)
	for s := range g.Services() {
		got, ok := back.Service(s.Name)
		if !ok || got.Start != s.Start || got.Availability != s.Availability || got.Undeclared != s.Undeclared {
			t.Errorf("%s came back as %+v, want %+v", s.Name, got, s)
		}
	}
}

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/importer"
	"github.com/failopen/failopen/depgraph/report"
)

// someCatalog is a random graph of everything that a catalog can hold, with
// names that Backstage does not accept.
func someCatalog(t *testing.T, seed uint64) *depgraph.Graph {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	n := 2 + r.IntN(10)
	name := func(v int) string { return fmt.Sprintf("s%02d", v) + []string{"", ": #", "/Ü", " - x"}[v%4] }
	var services []depgraph.Service
	for v := range n {
		s := depgraph.Service{Name: name(v), Owner: []string{"", "team"}[r.IntN(2)], Kind: depgraph.Kind(r.IntN(8)), Criticality: depgraph.Criticality(r.IntN(5))}
		for w := range n {
			if w == v || r.IntN(4) > 0 {
				continue
			}
			d := depgraph.Dependency{On: name(w), Phase: depgraph.Phase(1 + r.IntN(7)), Soft: r.IntN(3) == 0}
			d.Weak = d.Phase&depgraph.Startup != 0 && r.IntN(5) == 0
			s.Depends = append(s.Depends, d)
		}
		for range r.IntN(3) {
			if v > 2 {
				s.Depends = append(s.Depends, depgraph.Dependency{AnyOf: []string{name(0), name(1), name(2)}, Need: 1 + r.IntN(3), Phase: depgraph.Runtime})
			}
		}
		services = append(services, s)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return g
}

// TestBackstage_reads_back writes random graphs as a catalog and imports that:
// no service and no edge is lost, and none comes back harder or softer.
func TestBackstage_reads_back(t *testing.T) {
	for seed := range uint64(100) {
		g := someCatalog(t, seed)
		file := filepath.Join(t.TempDir(), "catalog.yaml")
		var b bytes.Buffer
		if err := report.Backstage(&b, g); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := importer.Backstage(file)
		if err != nil || len(r.Warnings) > 0 {
			t.Fatalf("seed %d: %v, %q", seed, err, r.Warnings)
		}
		back, err := depgraph.Compile(r.Services, depgraph.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if want, got := catalog(g), catalog(back); !slices.Equal(want, got) {
			t.Fatalf("seed %d:\n%s\nwant\n%s\nfrom\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"), b.String())
		}
	}
}

// catalog is what a catalog holds: services, and each edge in its strongest
// sense. An edge of a group says how many of whom are needed.
func catalog(g *depgraph.Graph) (lines []string) {
	names := []string{"weak", "soft", "group", "hard"}
	for s := range g.Services() {
		if s.Kind == depgraph.KindUnknown {
			s.Kind = depgraph.App // Backstage's word for it is component
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s", s.Name, s.Owner, s.Kind, s.Criticality))
		sense := map[string]int{}
		groups, need := map[int]string{}, map[string]int{}
		for _, e := range g.EdgesFrom(s.Name) {
			is := 3
			switch {
			case e.Phase == depgraph.Deploy:
				continue
			case e.Weak:
				is = 0
			case e.Soft:
				is = 1
			case e.Need < e.Of:
				is = 2
				need[groups[e.Group]+" "+e.To] = max(need[groups[e.Group]+" "+e.To], e.Need)
				groups[e.Group] += " " + e.To
			}
			if old, ok := sense[e.To]; !ok || is > old {
				sense[e.To] = is
			}
		}
		for to, is := range sense {
			lines = append(lines, fmt.Sprintf("%s -> %s %s", s.Name, to, names[is]))
		}
		for _, members := range groups {
			lines = append(lines, fmt.Sprintf("%s needs %d of%s", s.Name, need[members], members))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

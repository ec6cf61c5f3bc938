package depgraph

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph/internal/rounds"
)

// randomServices makes n services with random dependencies of all sorts.
func randomServices(r *rand.Rand, n int, density float64, groups bool) []Service {
	services := make([]Service, n)
	for v := range services {
		s := Service{Name: fmt.Sprintf("s%02d", v), At: Position{"random.yaml", v + 1}}
		s.Availability.Own = 50 + 50*r.Float64()
		for w := range n {
			if w == v || r.Float64() >= density {
				continue
			}
			d := Dependency{
				On: fmt.Sprintf("s%02d", w), Soft: r.IntN(4) == 0, Phase: Phase(1 + r.IntN(7)),
				Plane: Plane(r.IntN(3)), At: Position{"random.yaml", v + 1},
			}
			randomOrder(r, &d)
			if r.IntN(8) == 0 && !d.Soft {
				d.BreakGlass = "by hand"
			}
			s.Depends = append(s.Depends, d)
		}
		if groups && n > 4 && r.IntN(2) == 0 {
			s.Depends = append(s.Depends, randomGroup(r, v, n))
		}
		services[v] = s
	}
	return services
}

func randomGroup(r *rand.Rand, v, n int) Dependency {
	d := Dependency{Soft: r.IntN(5) == 0, Phase: Phase(1 + r.IntN(3)), At: Position{"random.yaml", v + 1}}
	for _, w := range r.Perm(n)[:2+r.IntN(3)] {
		if w != v {
			d.AnyOf = append(d.AnyOf, fmt.Sprintf("s%02d", w))
		}
	}
	d.Need = 1 + r.IntN(len(d.AnyOf))
	randomOrder(r, &d)
	return d
}

// randomOrder gives a startup dependency one of the ways to wait.
func randomOrder(r *rand.Rand, d *Dependency) {
	if d.Phase&Startup == 0 {
		return
	}
	d.Weak = r.IntN(6) == 0
	if d.Until = Until(r.IntN(8)); d.Until > Done || d.Until == Done && d.Phase&Runtime != 0 {
		d.Until = UntilUnknown
	}
}

func mustCompile(t testing.TB, services []Service) *Graph {
	t.Helper()
	g, err := Compile(services, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// systems calls f with many random systems, each from a seed that a failure
// names.
func systems(t *testing.T, count, maxN int, groups bool, f func(t *testing.T, r *rand.Rand, services []Service)) {
	t.Helper()
	for seed := range uint64(rounds.Of(count)) {
		r := rand.New(rand.NewPCG(seed, 99))
		n := 2 + r.IntN(maxN-1)
		services := randomServices(r, n, (0.5+2.5*r.Float64())/float64(n), groups)
		f(t, r, services)
		if t.Failed() {
			var b strings.Builder
			if err := WriteManifest(&b, services...); err != nil {
				t.Error(err)
			}
			t.Fatalf("the system of seed %d:\n%s", seed, b.String())
		}
	}
}

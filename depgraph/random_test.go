package depgraph

import (
	"fmt"
	"math/rand/v2"
	"testing"
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
			s.Depends = append(s.Depends, Dependency{
				On: fmt.Sprintf("s%02d", w), Soft: r.IntN(4) == 0, Phase: Phase(1 + r.IntN(7)),
				Plane: Plane(r.IntN(3)), At: Position{"random.yaml", v + 1},
			})
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
	return d
}

func mustCompile(t testing.TB, services []Service) *Graph {
	t.Helper()
	g, err := Compile(services, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// systems calls f with many random systems, each from a seed that a failure names.
func systems(t *testing.T, count, maxN int, groups bool, f func(t *testing.T, r *rand.Rand, services []Service)) {
	t.Helper()
	if testing.Short() || raceEnabled {
		count /= 10
	}
	for seed := range uint64(count) {
		r := rand.New(rand.NewPCG(seed, 99))
		n := 2 + r.IntN(maxN-1)
		services := randomServices(r, n, (0.5+2.5*r.Float64())/float64(n), groups)
		f(t, r, services)
		if t.Failed() {
			t.Fatalf("the system of seed %d: %+v", seed, services)
		}
	}
}

// model answers by definition, on declarations, with no regard for speed.
type model struct {
	services []Service
	index    map[string]int
}

func newModel(services []Service) *model {
	m := &model{services: services, index: map[string]int{}}
	for i, s := range services {
		m.index[s.Name] = i
	}
	return m
}

// satisfied reports whether the dependencies of v in a phase hold. Soft ones
// count only if soft is set.
func (m *model) satisfied(v int, phase Phase, up []bool, soft bool) bool {
	for _, d := range m.services[v].Depends {
		if d.phases()&phase == 0 || d.Soft != soft {
			continue
		}
		if len(d.AnyOf) == 0 {
			if !up[m.index[d.On]] {
				return false
			}
			continue
		}
		count := 0
		for _, name := range d.AnyOf {
			if up[m.index[name]] {
				count++
			}
		}
		if count < d.need() {
			return false
		}
	}
	return true
}

// steady is the greatest fixpoint: what is up when only own says what works.
func (m *model) steady(own []bool) []bool {
	up := append([]bool(nil), own...)
	for changed := true; changed; {
		changed = false
		for v := range up {
			if up[v] && !m.satisfied(v, Runtime, up, false) {
				up[v], changed = false, true
			}
		}
	}
	return up
}

// start simulates a black start by definition and returns what ever serves,
// and the wave in which each service starts.
func (m *model) start() (serves []bool, wave []int) {
	n := len(m.services)
	started := make([]bool, n)
	wave = make([]int, n)
	for step := 1; ; step++ {
		serves = m.steady(started)
		var next []int
		for v := range n {
			if !started[v] && m.satisfied(v, Startup, serves, false) {
				next = append(next, v)
			}
		}
		if len(next) == 0 {
			return serves, wave
		}
		for _, v := range next {
			started[v], wave[v] = true, step
		}
	}
}

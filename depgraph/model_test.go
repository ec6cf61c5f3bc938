package depgraph

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestBlast_agrees_with_the_definition(t *testing.T) {
	systems(t, 3000, 12, true, func(t *testing.T, r *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		m := modelOf(g)
		lost := []string{services[r.IntN(len(services))].Name}
		if r.IntN(3) == 0 {
			lost = append(lost, services[r.IntN(len(services))].Name)
		}
		own := make([]bool, len(services))
		for v, s := range services {
			own[v] = !slices.Contains(lost, s.Name)
		}
		up := m.steady(own)
		var down, degraded, noStart []string
		before := m.steady(slices.Repeat([]bool{true}, len(services)))
		for v, s := range services {
			switch {
			case !own[v]:
			case !up[v]:
				down = append(down, s.Name)
			default:
				if !m.runs(v, up, true) && m.runs(v, before, true) {
					degraded = append(degraded, s.Name)
				}
				if !m.satisfiedOnly(v, Startup, up) {
					noStart = append(noStart, s.Name)
				}
			}
		}
		b, err := g.Blast(BlastOptions{}, lost...)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "down", b.Down, down)
		equal(t, "degraded", b.Degraded, degraded)
		equal(t, "cannot start", b.CannotStart, noStart)
	})
}

// satisfiedOnly looks at hard dependencies of exactly one phase of the two.
func (m *model) satisfiedOnly(v int, phase Phase, up []bool) bool {
	only := m.without(func(_ int, d *Dependency) bool { return d.phases()&(Startup|Runtime) != phase })
	return only.launches(v, happening{up, up, up})
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) && len(got)+len(want) > 0 {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestBlastAll_agrees_with_single_questions(t *testing.T) {
	systems(t, 1500, 30, true, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		counts, err := g.BlastAll(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for v, name := range g.Names() {
			b, err := g.Blast(BlastOptions{}, name)
			if err != nil {
				t.Fatal(err)
			}
			if counts[v] != len(b.Down) {
				t.Errorf("%s: %d, and alone %d", name, counts[v], len(b.Down))
			}
		}
	})
}

func TestCycles_deadlocks_are_what_cannot_come_back_alone(t *testing.T) {
	systems(t, 5000, 10, true, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		m := modelOf(g)
		components, err := g.Cycles(context.Background(), CyclesOptions{HardOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		end, _ := m.start()
		stuck := slices.Contains(end.serves, false)
		deadlock := slices.ContainsFunc(components, func(c Component) bool { return c.Kind == BootstrapDeadlock })
		if stuck != deadlock {
			t.Errorf("something never serves: %v; a deadlock was found: %v", stuck, deadlock)
		}
		var refs []EdgeRef
		for i := range components {
			checkComponent(t, &components[i])
			if components[i].Pinned {
				t.Errorf("nothing is pinned")
			}
			refs = append(refs, Refs(components[i].Soften)...)
		}
		fixed, err := g.WithSoft(refs...)
		if err != nil {
			t.Fatal(err)
		}
		left, err := fixed.Cycles(context.Background(), CyclesOptions{HardOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		left = slices.DeleteFunc(left, func(c Component) bool { return c.Kind == OrderingCycle })
		if len(left) > 0 && !slices.ContainsFunc(services, func(s Service) bool { return hasGroup(s) }) {
			t.Errorf("after softening %v, there is still %+v", refs, left)
		}
		if slices.ContainsFunc(left, func(c Component) bool { return c.Kind == BootstrapDeadlock }) {
			t.Errorf("after softening %v, there is still a deadlock: %+v", refs, left)
		}
	})
}

func hasGroup(s Service) bool {
	return slices.ContainsFunc(s.Depends, func(d Dependency) bool { return len(d.AnyOf) > d.need() && !d.Soft })
}

// checkComponent checks that the cycle is one, and starts at its smallest name.
func checkComponent(t *testing.T, c *Component) {
	t.Helper()
	if len(c.Cycle) < 2 || !c.CycleProven {
		t.Errorf("cycle %v, proven %v", c.Cycle, c.CycleProven)
		return
	}
	startup := false
	for i, e := range c.Cycle {
		startup = startup || e.Phase&Startup != 0
		if e.To != c.Cycle[(i+1)%len(c.Cycle)].From {
			t.Errorf("the cycle is broken at %s -> %s", e.From, e.To)
		}
		if e.From < c.Cycle[0].From {
			t.Errorf("the cycle begins at %s, but %s is smaller", c.Cycle[0].From, e.From)
		}
	}
	if c.Kind == BootstrapDeadlock && !startup {
		t.Errorf("a deadlock without a startup edge: %v", c.Cycle)
	}
}

func TestSoften_heuristic_is_correct_and_bounded(t *testing.T) {
	systems(t, 400, 16, false, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		for _, members := range g.cyclic(hardAny) {
			s := g.events(fStartup|fRuntime).subgraph(members, func(e int32) bool { return hardAny.has(g.flags[e]) })
			weights := make([]int32, len(s.edgeID))
			for i, e := range s.edgeID {
				weights[i] = weightOf(g.flags[e])
			}
			exact := cost(s.exact(weights), weights)
			chosen := s.heuristic(context.Background(), weights)
			bound := s.disjointCycles(context.Background(), weights)
			if !s.comesUpAlone(chosen) {
				t.Errorf("the heuristic leaves a cycle")
			}
			if got := cost(chosen, weights); got < exact || bound > exact {
				t.Errorf("bound %d, exact %d, heuristic %d", bound, exact, got)
			}
		}
	})
}

func TestSoften_groups_agree_with_enumeration(t *testing.T) {
	systems(t, 3000, 7, true, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		b := g.blocking(fStartup | fRuntime)
		for _, members := range b.cyclic() {
			s := b.ev.subgraph(members, b.keeps)
			if !s.groups {
				continue
			}
			c := Component{}
			s.soften(context.Background(), &c)
			weights := s.weights()
			units := s.units(weights)
			if len(units) > 12 {
				continue
			}
			best := math.MaxInt
			for set := range 1 << len(units) {
				chosen, total := make([]bool, len(s.to)), 0
				for i, u := range units {
					if set&(1<<i) != 0 {
						mark(chosen, u, true)
						total += int(u.weight)
					}
				}
				if total < best && s.comesUpAlone(chosen) {
					best = total
				}
			}
			if c.LowerBound > best || c.Cost < best || c.ProvenMinimum != (c.Cost == best && c.LowerBound == best) || c.ProvenMinimum && c.Cost != best {
				t.Errorf("cost %d, bound %d, proven %v; the best is %d", c.Cost, c.LowerBound, c.ProvenMinimum, best)
			}
			if !c.ProvenMinimum {
				t.Errorf("a small component was not solved: cost %d, bound %d, best %d", c.Cost, c.LowerBound, best)
			}
		}
	})
}

func TestAvailability_agrees_with_enumeration(t *testing.T) {
	count := 0
	systems(t, 10_000, 16, true, func(t *testing.T, r *rand.Rand, services []Service) {
		if len(services) > 11 && r.IntN(8) != 0 {
			services = randomServices(r, 4+r.IntN(8), 0.15, true) // most systems small: enumeration takes 2^n
		}
		count++
		g := mustCompile(t, services)
		m := modelOf(g)
		root := r.IntN(len(services))
		want, derivative := enumerate(m, root)
		a, err := g.Availability(context.Background(), services[root].Name, AvailOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !a.Exact || math.Abs(a.Availability-want) > 1e-12 {
			t.Errorf("availability %.17g (exact %v), want %.17g", a.Availability, a.Exact, want)
		}
		got := map[string]float64{}
		for _, i := range a.Importance {
			got[i.Service] = i.Birnbaum
		}
		for v, s := range services {
			if math.Abs(got[s.Name]-derivative[v]) > 1e-9 {
				t.Errorf("importance of %s: %.12g, want %.12g", s.Name, got[s.Name], derivative[v])
			}
		}
	})
	t.Logf("%d systems", count)
}

// enumerate sums over all states of the services that matter.
func enumerate(m *model, root int) (availability float64, derivative []float64) {
	relevant := m.closure(root)
	n := len(m.services)
	own := slices.Repeat([]bool{true}, n)
	derivative = make([]float64, n)
	for state := range 1 << len(relevant) {
		p := 1.0
		for i, v := range relevant {
			a := m.services[v].Availability.Own / 100
			if own[v] = state&(1<<i) != 0; own[v] {
				p *= a
			} else {
				p *= 1 - a
			}
		}
		if !m.steady(own)[root] {
			continue
		}
		availability += p
		for _, v := range relevant {
			a := m.services[v].Availability.Own / 100
			if own[v] {
				derivative[v] += p / a
			} else {
				derivative[v] -= p / (1 - a)
			}
		}
	}
	return availability, derivative
}

func TestAvailability_estimate_agrees_with_exact(t *testing.T) {
	systems(t, 200, 14, true, func(t *testing.T, r *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		name := services[r.IntN(len(services))].Name
		exact, err := g.Availability(context.Background(), name, AvailOptions{})
		if err != nil {
			t.Fatal(err)
		}
		est, err := g.Availability(context.Background(), name, AvailOptions{MaxNodes: 2, Samples: 5000})
		if err != nil {
			t.Fatal(err)
		}
		if exact.Availability < est.Low-1e-12 || exact.Availability > est.High+1e-12 {
			t.Errorf("exact %v is not between %v and %v", exact.Availability, est.Low, est.High)
		}
		if !est.Exact && math.Abs(est.Availability-exact.Availability) > 6*est.StdErr+1e-9 {
			t.Errorf("estimate %v +- %v, exact %v", est.Availability, est.StdErr, exact.Availability)
		}
	})
}

func TestFalseRedundancies_agree_with_blast(t *testing.T) {
	systems(t, 1500, 10, true, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		found, err := g.FalseRedundancies(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			for _, x := range f.Shared {
				b, err := g.Blast(BlastOptions{}, x)
				if err != nil {
					t.Fatal(err)
				}
				left := 0
				for _, m := range f.Members {
					if m != x && !slices.Contains(b.Down, m) {
						left++
					}
				}
				if left >= f.Need || x != f.Service && !slices.Contains(b.Down, f.Service) {
					t.Errorf("%s fails, and %d of %v are left of the %d that %s needs; down: %v", x, left, f.Members, f.Need, f.Service, b.Down)
				}
			}
		}
	})
}

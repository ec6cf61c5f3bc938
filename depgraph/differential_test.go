package depgraph

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The engine against the definition, over random systems with everything that
// a manifest can say.

func TestOrder_agrees_with_the_definition(t *testing.T) {
	systems(t, 5000, 12, true, func(t *testing.T, r *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		m := modelOf(g)
		checkOrder(t, g, m, OrderOptions{})
		byHand := m.without(func(v int, d *Dependency) bool { return d.BreakGlass != "" && !d.Soft && !d.Weak })
		checkOrder(t, g, byHand, OrderOptions{Cold: true})
	})
}

// checkOrder replays an order by definition: what is blocked, what is broken
// and dropped, and that each service is in the first wave that it can be in.
func checkOrder(t *testing.T, g *Graph, m *model, opts OrderOptions) {
	t.Helper()
	o, err := g.Order(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	strict, _ := m.start()
	equal(t, "blocked", o.Blocked, m.names(func(v int) bool { return !strict.serves[v] }))
	if len(o.Blocked) == 0 && len(o.Broken) > 0 {
		t.Errorf("nothing is blocked, and %v is broken", o.Broken)
	}
	kept := m.kept(o)
	end, wave := kept.start()
	equal(t, "never started", kept.names(func(v int) bool { return !end.serves[v] }), nil)
	last := slices.Max(wave)
	for i := range max(last+1, len(o.Waves)) {
		var got []string
		if i < len(o.Waves) {
			got = o.Waves[i]
		}
		equal(t, fmt.Sprintf("wave %d (broken %v, dropped %v)", i+1, Refs(o.Broken), Refs(o.Dropped)), got, kept.names(func(v int) bool { return wave[v] == i }))
	}
	checkDropped(t, m, o)
}

// checkDropped checks that what was dropped stood in a cycle of events.
func checkDropped(t *testing.T, m *model, o *Order) {
	t.Helper()
	if len(o.Dropped) == 0 {
		return
	}
	r := m.reach(func(_ int, d *Dependency) bool {
		return d.phases()&Startup != 0 || d.phases()&Runtime != 0 && !d.Soft
	})
	inCycle := func(e Edge) bool {
		from, to := ends(m.index, e)
		return r[to][from]
	}
	for _, e := range o.Dropped {
		if !inCycle(e) && !slices.ContainsFunc(o.Dropped, func(other Edge) bool { // a group is dropped as a whole
			return other.From == e.From && other.Group == e.Group && e.Need < e.Of && inCycle(other)
		}) {
			t.Errorf("the order %s -> %s was dropped, and contradicts nothing", e.From, e.To)
		}
	}
}

func TestOrder_breaks_a_proven_minimum(t *testing.T) {
	tried := 0
	systems(t, 5000, 7, true, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		o, err := g.Order(context.Background(), OrderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m := modelOf(g)
		type unit struct{ v, i int }
		var units []unit
		total := 0
		for v := range m.services {
			for i := range m.services[v].Depends {
				d := &m.services[v].Depends[i]
				if d.Soft || d.Weak || d.phases()&(Startup|Runtime) == 0 {
					continue
				}
				units = append(units, unit{v, i})
			}
		}
		type group struct {
			from string
			n    int
		}
		seen := map[group]bool{}
		for _, e := range o.Broken {
			if k := (group{e.From, e.Group}); e.Need == e.Of || !seen[k] { // a group counts once
				seen[k] = e.Need < e.Of
				total += costOf(&Dependency{Plane: e.Plane, Phase: e.Phase})
			}
		}
		if len(o.Blocked) == 0 || len(units) > 12 {
			return
		}
		tried++
		best := math.MaxInt
		for set := range 1 << len(units) {
			cost := 0
			for i, u := range units {
				if set&(1<<i) != 0 {
					cost += costOf(&m.services[u.v].Depends[u.i])
				}
			}
			if cost >= best {
				continue
			}
			left := newModel(slices.Clone(m.services))
			for v := range left.services {
				left.services[v].Depends = nil
				for i, d := range m.services[v].Depends {
					if at := slices.Index(units, unit{v, i}); at < 0 || set&(1<<at) == 0 {
						left.services[v].Depends = append(left.services[v].Depends, d)
					}
				}
			}
			if end, _ := left.start(); !slices.Contains(end.serves, false) {
				best = cost
			}
		}
		if total < best || o.BrokenProven && total != best {
			t.Errorf("broke %v for %d (proven: %v), the cheapest set costs %d", Refs(o.Broken), total, o.BrokenProven, best)
		}
	})
	if tried == 0 {
		t.Error("no system was blocked")
	}
	t.Logf("%d systems were blocked", tried)
}

func costOf(d *Dependency) int {
	switch {
	case d.Plane == Control:
		return 1
	case d.phases()&Runtime != 0:
		return 4
	}
	return 2
}

func TestCycles_components_agree_with_three_events_a_service(t *testing.T) {
	systems(t, 5000, 9, false, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		m := modelOf(g)
		hard := m.reach(func(_ int, d *Dependency) bool { return !d.Soft && !d.Weak && d.phases()&(Startup|Runtime) != 0 })
		want := map[string]bool{}
		for i := range hard {
			if !hard[i][i] {
				continue
			}
			kind, in := RuntimeCycle, []string{}
			for j := range hard {
				if hard[i][j] && hard[j][i] {
					in = append(in, m.services[j/3].Name)
					if j%3 == 0 {
						kind = BootstrapDeadlock
					}
				}
			}
			want[string(kind)+" "+strings.Join(slices.Compact(in), " ")] = true
		}
		components, err := g.Cycles(context.Background(), CyclesOptions{HardOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for i := range components {
			if c := &components[i]; c.Kind != OrderingCycle {
				got++
				if !want[string(c.Kind)+" "+strings.Join(c.Services, " ")] {
					t.Errorf("%s of %v; want one of %v", c.Kind, c.Services, want)
				}
			}
		}
		if got != len(want) {
			t.Errorf("%d components, want %v", got, want)
		}
		orders := m.reach(func(_ int, d *Dependency) bool { return d.phases()&Startup != 0 || d.phases()&Runtime != 0 && !d.Soft })
		contradiction := false
		for v := range m.services {
			for _, d := range m.services[v].Depends {
				contradiction = contradiction || d.Weak && orders[event(m.index[d.On], d.until())][event(v, Started)]
			}
		}
		if found := slices.ContainsFunc(components, func(c Component) bool { return c.Kind == OrderingCycle }); found != contradiction {
			t.Errorf("a weak order contradicts something: %v; an ordering cycle was found: %v", contradiction, found)
		}
	})
}

func TestCycles_shortest_and_minimum_agree_with_enumeration(t *testing.T) {
	systems(t, 3000, 7, false, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		index := modelOf(g).index
		components, err := g.Cycles(context.Background(), CyclesOptions{HardOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		for i := range components {
			c := &components[i]
			if c.Kind == OrderingCycle {
				continue
			}
			if want := shortestByEnumeration(index, c); len(c.Cycle) != want {
				t.Errorf("cycle of %d edges, the shortest has %d", len(c.Cycle), want)
			}
			if len(c.Edges) > 13 {
				continue
			}
			if want := cheapestByEnumeration(index, c); c.Cost != want || !c.ProvenMinimum {
				t.Errorf("soften %v costs %d (proven %v), the cheapest set costs %d", c.Soften, c.Cost, c.ProvenMinimum, want)
			}
		}
	})
}

// shortestByEnumeration searches, from the end of every edge that may begin
// the cycle, the fewest edges back to its owner's event.
func shortestByEnumeration(index map[string]int, c *Component) int {
	best := math.MaxInt
	for _, first := range c.Edges {
		if c.Kind == BootstrapDeadlock && first.Phase&Startup == 0 {
			continue
		}
		from, to := ends(index, first)
		steps := map[int]int{to: 1}
		for changed := true; changed; {
			changed = false
			relax := func(a, b, cost int) {
				if d, ok := steps[a]; ok {
					if old, seen := steps[b]; !seen || d+cost < old {
						steps[b], changed = d+cost, true
					}
				}
			}
			for _, name := range c.Services {
				v := index[name]
				relax(event(v, Serving), event(v, Ready), 0)
				relax(event(v, Ready), event(v, Started), 0)
			}
			for _, e := range c.Edges {
				a, b := ends(index, e)
				relax(a, b, 1)
			}
		}
		if d, ok := steps[from]; ok {
			best = min(best, d)
		}
	}
	return best
}

// ends returns the events that an edge joins.
func ends(index map[string]int, e Edge) (from, to int) {
	v, w := index[e.From], index[e.To]
	if e.Phase&Startup == 0 {
		return event(v, Serving), event(w, Serving)
	}
	if e.Until == UntilUnknown {
		return event(v, Started), event(w, Serving)
	}
	return event(v, Started), event(w, e.Until)
}

// cheapestByEnumeration tries every set of edges of a component.
func cheapestByEnumeration(index map[string]int, c *Component) int {
	best := math.MaxInt
	for set := range 1 << len(c.Edges) {
		cost := 0
		for i, e := range c.Edges {
			if set&(1<<i) != 0 {
				cost += costOf(&Dependency{Plane: e.Plane, Phase: e.Phase})
			}
		}
		if cost < best && acyclic(index, c, func(i int) bool { return set&(1<<i) == 0 }) {
			best = cost
		}
	}
	return best
}

// acyclic takes events away that wait for nothing, until none is left.
func acyclic(index map[string]int, c *Component, has func(i int) bool) bool {
	gone := map[int]bool{}
	left := 3 * len(c.Services)
	for changed := true; changed; {
		changed = false
		for _, name := range c.Services {
			v := index[name]
			for _, u := range []Until{Started, Ready, Serving} {
				at := event(v, u)
				waits := u != Started && !gone[at-1]
				for i, e := range c.Edges {
					if from, to := ends(index, e); has(i) && from == at && !gone[to] {
						waits = true
					}
				}
				if !gone[at] && !waits {
					gone[at], changed = true, true
					left--
				}
			}
		}
	}
	return left == 0
}

func TestTimeline_agrees_with_the_definition(t *testing.T) {
	systems(t, 2500, 10, true, func(t *testing.T, r *rand.Rand, services []Service) {
		for i := range services {
			services[i].Start = time.Duration(r.IntN(6)) * time.Second
		}
		g := mustCompile(t, services)
		o, err := g.Order(context.Background(), OrderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := modelOf(g).kept(o).servesAt()
		last := time.Duration(0)
		for _, s := range o.Timeline {
			if s.Serves != want[s.Service] {
				t.Errorf("%s serves at %s, want %s", s.Service, s.Serves, want[s.Service])
			}
			last = max(last, s.Serves)
		}
		if o.Total != last || len(o.Timeline) != len(services) {
			t.Errorf("total %s, the last serves at %s; %d of %d in the timeline", o.Total, last, len(o.Timeline), len(services))
		}
		checkCritical(t, g, o)
		checkLimit(t, g, o)
	})
}

package depgraph

import (
	"slices"
	"time"
)

// model answers by definition, on declarations, with no regard for speed and
// with nothing in common with the engine. Each service goes through three
// events: it is launched, it is ready, it serves.
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

// modelOf is the model of what a graph holds, where a dependency that orders a
// start and holds at run time as well is two, and a group that needs all of its
// members is as many dependencies as it has.
func modelOf(g *Graph) *model {
	services := slices.Collect(g.Services())
	for v := range services {
		var deps []Dependency
		for _, d := range services[v].Depends {
			if d.need() < len(d.AnyOf) || d.On != "" {
				deps = append(deps, d)
				continue
			}
			for _, name := range d.AnyOf {
				one := d
				one.On, one.AnyOf, one.Need = name, nil, 0
				deps = append(deps, one)
			}
		}
		services[v].Depends = deps
	}
	return newModel(services)
}

// happening says which events have happened.
type happening struct{ launched, ready, serves []bool }

func (h happening) until(v int, u Until) bool {
	switch u {
	case Started:
		return h.launched[v]
	case Ready, Done:
		return h.ready[v]
	}
	return h.serves[v]
}

// met reports whether a dependency has what it asks for.
func (m *model) met(d *Dependency, is func(v int) bool) bool {
	if d.On != "" {
		return is(m.index[d.On])
	}
	count := 0
	for _, name := range targets(d) {
		if is(m.index[name]) {
			count++
		}
	}
	return count >= d.need()
}

// runs reports whether the dependencies of v at run time hold, the soft or the
// hard ones.
func (m *model) runs(v int, up []bool, soft bool) bool {
	for i := range m.services[v].Depends {
		d := &m.services[v].Depends[i]
		if d.phases()&Runtime != 0 && d.Soft == soft && !m.met(d, func(w int) bool { return up[w] }) {
			return false
		}
	}
	return true
}

// steady is the greatest fixpoint: what is up when only own says what works.
func (m *model) steady(own []bool) []bool {
	up := slices.Clone(own)
	for changed := true; changed; {
		changed = false
		for v := range up {
			if up[v] && !m.runs(v, up, false) {
				up[v], changed = false, true
			}
		}
	}
	return up
}

// launches reports whether what v needs at startup has happened.
func (m *model) launches(v int, h happening) bool {
	for i := range m.services[v].Depends {
		d := &m.services[v].Depends[i]
		if d.phases()&Startup != 0 && !d.Soft && !d.Weak && !m.met(d, func(w int) bool { return h.until(w, d.until()) }) {
			return false
		}
	}
	return true
}

// start simulates a start and returns what ever serves, and in which wave,
// from 0, each service is launched; -1 if never.
func (m *model) start() (end happening, wave []int) {
	n := len(m.services)
	h := happening{launched: make([]bool, n), serves: make([]bool, n)}
	wave = slices.Repeat([]int{-1}, n)
	for step := 0; ; step++ {
		h.ready = slices.Clone(h.launched) // whatever was launched in an earlier wave
		h.serves = m.steady(h.ready)
		var next []int
		for v := range n {
			if !h.launched[v] && m.launches(v, h) {
				next = append(next, v)
			}
		}
		if len(next) == 0 {
			return h, wave
		}
		for _, v := range next {
			h.launched[v], wave[v] = true, step
		}
	}
}

// servesAt is start by the clock, in steps of a second, without a limit.
func (m *model) servesAt() map[string]time.Duration {
	n := len(m.services)
	h := happening{launched: make([]bool, n), ready: make([]bool, n), serves: make([]bool, n)}
	readyAt := make([]time.Duration, n)
	at := map[string]time.Duration{}
	for now, idle := time.Duration(0), 0; idle < 20; now += time.Second {
		idle++
		for again := true; again; { // what starts in no time lets others begin at once
			again = false
			for v := range n {
				h.ready[v] = h.launched[v] && readyAt[v] <= now
			}
			h.serves = m.steady(h.ready)
			for v := range n {
				if _, known := at[m.services[v].Name]; h.serves[v] && !known {
					at[m.services[v].Name] = now
					idle = 0
				}
				if !h.launched[v] && m.launches(v, h) {
					h.launched[v], readyAt[v], again, idle = true, now+m.services[v].Start, true, 0
				}
			}
		}
	}
	return at
}

// names lists the services for which is holds.
func (m *model) names(is func(v int) bool) []string {
	names := []string{}
	for v, s := range m.services {
		if is(v) {
			names = append(names, s.Name)
		}
	}
	return names
}

// without returns the model without some dependencies.
func (m *model) without(gone func(v int, d *Dependency) bool) *model {
	services := slices.Clone(m.services)
	for v := range services {
		services[v].Depends = slices.DeleteFunc(slices.Clone(services[v].Depends), func(d Dependency) bool { return gone(v, &d) })
	}
	return newModel(services)
}

// is reports whether the edge comes from the dependency of v.
func (m *model) is(v int, d *Dependency, e *Edge) bool {
	return m.services[v].Name == e.From && slices.Contains(targets(d), e.To) && d.phases() == e.Phase && d.Soft == e.Soft &&
		d.Plane == e.Plane && d.Weak == e.Weak && d.Until == e.Until && (len(d.AnyOf) > 0) == (e.Need < e.Of) && (len(d.AnyOf) == 0 || d.need() == e.Need && len(d.AnyOf) == e.Of)
}

// kept returns the model that an order follows: what it broke and dropped is
// gone, what orders something that never happens is gone, and every other order
// of a weak or soft dependency is as strict as a need.
func (m *model) kept(o *Order) *model {
	solid := m.without(func(v int, d *Dependency) bool {
		return slices.ContainsFunc(o.Broken, func(e Edge) bool { return m.is(v, d, &e) })
	})
	end, _ := solid.start()
	kept := solid.without(func(v int, d *Dependency) bool {
		if !d.Soft && !d.Weak {
			return false
		}
		if d.phases()&Startup == 0 || slices.ContainsFunc(o.Dropped, func(e Edge) bool { return m.is(v, d, &e) }) {
			return true
		}
		return !end.launched[v] || !m.met(d, func(w int) bool { return end.until(w, d.until()) })
	})
	for v := range kept.services {
		for i := range kept.services[v].Depends {
			if d := &kept.services[v].Depends[i]; d.Soft || d.Weak {
				d.Soft, d.Weak, d.Phase = false, false, Startup
			}
		}
	}
	return kept
}

// event is a node of the graph of events by definition: three a service.
func event(v int, u Until) int {
	switch u {
	case Started:
		return 3 * v
	case Ready, Done:
		return 3*v + 1
	}
	return 3*v + 2
}

// reach is the transitive closure of the events over the dependencies for
// which use holds; a group counts an arc a member.
func (m *model) reach(use func(v int, d *Dependency) bool) [][]bool {
	n := 3 * len(m.services)
	r := make([][]bool, n)
	for i := range r {
		r[i] = make([]bool, n)
	}
	for v := range m.services {
		r[event(v, Ready)][event(v, Started)], r[event(v, Serving)][event(v, Ready)] = true, true
		for i := range m.services[v].Depends {
			d := &m.services[v].Depends[i]
			if !use(v, d) {
				continue
			}
			for _, name := range targets(d) {
				if d.phases()&Startup != 0 {
					r[event(v, Started)][event(m.index[name], d.until())] = true
				} else {
					r[event(v, Serving)][event(m.index[name], Serving)] = true
				}
			}
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				r[i][j] = r[i][j] || r[i][k] && r[k][j]
			}
		}
	}
	return r
}

// closure lists what root needs at run time, directly or not.
func (m *model) closure(root int) []int {
	seen := map[int]bool{root: true}
	queue := []int{root}
	for i := 0; i < len(queue); i++ {
		for _, d := range m.services[queue[i]].Depends {
			if d.Soft || d.phases()&Runtime == 0 {
				continue
			}
			for _, name := range targets(&d) {
				if w := m.index[name]; !seen[w] {
					seen[w] = true
					queue = append(queue, w)
				}
			}
		}
	}
	slices.Sort(queue)
	return queue
}

package depgraph

import (
	"fmt"
	"math"
	"slices"
)

// services compares what an outage asks for every service that is in both: its wave, who
// goes down with it, how available it is. diff.go compares what is declared.
func (c *comparison) services() error {
	// One record a service, filled by three steps and kept only if something differs.
	// What is new or gone has no other side to be compared with.
	changes := make(map[string]*ServiceChange, len(c.common))
	for _, name := range c.common {
		changes[name] = &ServiceChange{Service: name}
	}
	for _, step := range []func(map[string]*ServiceChange) error{c.order, c.blasts, c.availabilities} {
		if err := step(changes); err != nil {
			return err
		}
	}
	for _, name := range c.common {
		if s := changes[name]; s.differs() {
			c.d.Services = append(c.d.Services, *s)
		}
	}
	return nil
}

// differs reports whether there is anything to tell.
//
// Reports leave the others out: in a pull request nearly all services stay as they are.
func (s *ServiceChange) differs() bool {
	return s.Down[0] != s.Down[1] || len(s.GoesDown)+len(s.StaysUp) > 0 || s.Wave[0] != s.Wave[1] ||
		s.Critical[0] != s.Critical[1] || s.AvailabilityDiffers()
}

// AvailabilityDiffers reports whether the availability changed by more than
// the noise of an estimate or of floating-point numbers.
//
// The standard error of an estimate, from 200,000 samples, is below 1e-4 for what is up
// 99.8 percent of the time or more; exact numbers are off by their last bits.
func (s *ServiceChange) AvailabilityDiffers() bool {
	d := math.Abs(s.Availability[0] - s.Availability[1])
	if s.Estimated {
		return d > 1e-4
	}
	return share(d) > 0
}

// order compares waves and the critical path of a full start.
//
// The order of a whole graph is computed once for each side, whatever changed: one edge
// can move every wave.
func (c *comparison) order(changes map[string]*ServiceChange) error {
	for i, g := range c.g {
		// Waves count from 1, so that 0 says that a service is in none.
		o, err := g.Order(c.ctx, OrderOptions{})
		if err != nil {
			return err
		}
		c.d.Total[i], c.d.Critical[i], c.d.Blocked[i] = o.Total, o.Critical, o.Blocked
		for w, wave := range o.Waves {
			for _, name := range wave {
				if s := changes[name]; s != nil {
					s.Wave[i] = w + 1
				}
			}
		}
		for _, name := range o.Critical {
			if s := changes[name]; s != nil {
				s.Critical[i] = true
			}
		}
	}
	return nil
}

// touched marks the vertices of one graph from which a change can be reached,
// or which can be reached from one, over edges of run time.
//
// Backwards, it marks who needs a change, directly or not: availability. Forwards, what a
// change needs: blast radii. O(services + edges).
func (c *comparison) touched(g *Graph, backwards bool) []bool {
	mark := make([]bool, g.Len())
	var queue []int32
	add := func(v int32) {
		if !mark[v] {
			mark[v] = true
			queue = append(queue, v)
		}
	}
	// What no change can reach has the same answer on both sides, and need not be
	// computed: in a pull request that is nearly everything. Edges of all phases are
	// followed, which is more than necessary and never wrong.
	for _, ch := range c.d.Edges {
		for _, name := range []string{ch.From, ch.To} {
			if v, ok := g.index[name]; ok {
				add(v)
			}
		}
	}
	if backwards { // availability moves with a declared number as well
		for _, name := range c.common {
			a, b := &c.g[0].services[c.g[0].index[name]], &c.g[1].services[c.g[1].index[name]]
			if ownPercent(a) != ownPercent(b) {
				add(g.index[name])
			}
		}
	}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		if backwards {
			for i := g.in[v]; i < g.in[v+1]; i++ {
				add(g.from[i])
			}
			continue
		}
		for e := g.out[v]; e < g.out[v+1]; e++ {
			add(g.to[e])
		}
	}
	return mark
}

// among lists the common services that are touched in one of the graphs.
//
// Both sides count, as an edge that is gone can be followed in the first graph alone.
func (c *comparison) among(backwards bool) (names []string) {
	a, b := c.touched(c.g[0], backwards), c.touched(c.g[1], backwards)
	for _, name := range c.common {
		if a[c.g[0].index[name]] || b[c.g[1].index[name]] {
			names = append(names, name)
		}
	}
	return names
}

// blasts compares who goes down with each service that a change can reach.
//
// Above maxDiffBlasts services the names are not compared, and Diff.Limits says so.
func (c *comparison) blasts(changes map[string]*ServiceChange) error {
	// A blast radius spreads from what is needed to who needs it, so it changes for
	// what a changed edge's ends can reach.
	names := c.among(false)
	if len(names) > maxDiffBlasts {
		c.d.Limits = append(c.d.Limits, fmt.Sprintf("blast radii of %d services are compared by their number of services, not by name", len(names)))
		return c.blastCounts(changes)
	}
	for _, name := range names {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		var down [2][]string
		for i, g := range c.g {
			b, err := g.Blast(BlastOptions{}, name)
			if err != nil {
				return err
			}
			down[i] = b.Down
		}
		s := changes[name]
		s.Down = [2]int{len(down[0]), len(down[1])}
		s.GoesDown, s.StaysUp = missing(down[1], down[0]), missing(down[0], down[1])
	}
	return nil
}

// blastCounts compares numbers alone, which one pass gives for all services.
//
// GoesDown and StaysUp stay empty.
func (c *comparison) blastCounts(changes map[string]*ServiceChange) error {
	for i, g := range c.g {
		counts, err := g.BlastAll(c.ctx, c.o.Check.Progress)
		if err != nil {
			return err
		}
		for v, n := range counts {
			if s := changes[g.names[v]]; s != nil {
				s.Down[i] = n
			}
		}
	}
	return nil
}

// missing returns what a has and b has not; both are sorted.
//
// O(a log b).
func missing(a, b []string) (only []string) {
	for _, name := range a {
		if _, ok := slices.BinarySearch(b, name); !ok {
			only = append(only, name)
		}
	}
	return only
}

// availabilities compares what can be computed on both sides.
//
// Above maxDiffAvail services none is compared, and Diff.Limits says so: each costs a
// computation on both sides.
func (c *comparison) availabilities(changes map[string]*ServiceChange) error {
	// An availability depends on all that is needed, so it changes for whatever can
	// reach a change.
	names := c.among(true)
	if len(names) > maxDiffAvail {
		c.d.Limits = append(c.d.Limits, fmt.Sprintf("availability of %d services is not compared; at most %d are", len(names), maxDiffAvail))
		return nil
	}
	for _, name := range names {
		var got [2]*Avail
		for i, g := range c.g {
			var err error
			if got[i], err = g.Availability(c.ctx, name, AvailOptions{}); err != nil {
				return err
			}
		}
		// Where nothing is declared, 100 percent is no answer, and nor is a difference
		// from it.
		known := func(a *Avail) bool { n, _ := a.Declared(); return n > 0 }
		if !known(got[0]) || !known(got[1]) {
			continue
		}
		s := changes[name]
		s.Availability = [2]float64{got[0].Availability, got[1].Availability}
		s.Estimated = !got[0].Exact || !got[1].Exact
	}
	return nil
}

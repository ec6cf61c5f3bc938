package depgraph

import (
	"slices"
	"strconv"
)

// reach reads the functions that follow edges: one set or two, then limits.
// down takes no limits, and refuses them: an answer that left them out would look like one
// that kept to them.
func (p *queryParser) reach(name string) (vertexSet, error) {
	first, err := p.union()
	if err != nil {
		return nil, err
	}
	var second vertexSet
	if name == "somepath" || name == "path" || name == "allpaths" {
		if err := p.expect(','); err != nil {
			return nil, err
		}
		if second, err = p.union(); err != nil {
			return nil, err
		}
	}
	if name == "down" && p.kind == ',' {
		return nil, p.failf(p.at, "down takes no limits: a failure spreads as far as it does")
	}
	keep, steps, err := p.limits()
	if err != nil {
		return nil, err
	}
	g := p.g
	switch name {
	case "deps":
		return g.reach(first, steps, keep, false), nil
	case "rdeps":
		return g.reach(first, steps, keep, true), nil
	case "down":
		return p.down(first)
	case "allpaths":
		return g.onPaths(first, second, keep, steps), nil
	}
	return g.somePath(first, second, keep, steps), nil
}

// limits reads a number of steps and the sorts of edges.
//
// steps is -1 without a number of them. keep selects edges by their flags.
func (p *queryParser) limits() (keep func(flag) bool, steps int, err error) {
	steps = -1
	var phase Phase
	strength, plane := "", PlaneUnknown
	for p.kind == ',' {
		if err := p.next(); err != nil {
			return nil, 0, err
		}
		word := p.token
		// The word says by its form what it limits, so limits come in any order. The
		// same one twice is harmless, another one of its sort is a contradiction;
		// phases add up.
		n, numberErr := strconv.Atoi(word)
		ph, phaseErr := ParsePhase(word)
		pl, planeErr := ParsePlane(word)
		switch {
		case p.kind != 'w':
			return nil, 0, p.failf(p.at, "expected a number of steps, hard, soft, startup, runtime, deploy, data or control, found %q", word)
		case numberErr == nil && n >= 0:
			if steps >= 0 && steps != n {
				return nil, 0, p.failf(p.at, "the number of steps is %d already", steps)
			}
			steps = n
		case word == "hard", word == "soft":
			if strength != "" && strength != word {
				return nil, 0, p.failf(p.at, "no dependency is hard and soft; leave both out, or write X | Y")
			}
			strength = word
		case phaseErr == nil:
			phase |= ph
		case planeErr == nil:
			if plane != PlaneUnknown && plane != pl {
				return nil, 0, p.failf(p.at, "no dependency is on two planes; leave both out, or write X | Y")
			}
			plane = pl
		default:
			return nil, 0, p.failf(p.at, "%s", notOneOf("limit", []string{"a number of steps", "hard", "soft", "startup", "runtime", "deploy", "data", "control"}, word))
		}
		if err := p.next(); err != nil {
			return nil, 0, err
		}
	}
	if phase == 0 {
		phase = Startup | Runtime | Deploy
	}
	return func(f flag) bool {
		return f&flag(phase) != 0 && (plane == PlaneUnknown || planeOf(f) == plane) &&
			(strength == "" || strength == "hard" && f&(fSoft|fGroup) == 0 || strength == "soft" && f&fSoft != 0)
	}, steps, nil
}

// down is a set and what goes down with it; of the empty set, nothing.
//
// All of them fail together, which may take down more than each alone: the last member
// of a group, for example.
func (p *queryParser) down(first vertexSet) (vertexSet, error) {
	var lost []string
	for v, in := range first {
		if in {
			lost = append(lost, p.g.names[v])
		}
	}
	if len(lost) == 0 {
		return first, nil
	}
	b, err := p.g.Blast(BlastOptions{}, lost...)
	if err != nil {
		return nil, err
	}
	set := slices.Clone(first)
	for _, n := range b.Down {
		set[p.g.index[n]] = true
	}
	return set, nil
}

// reach is what a set reaches, itself included, in at most so many steps; in
// any number if steps is below 0.
func (g *Graph) reach(from vertexSet, steps int, keep func(flag) bool, backwards bool) vertexSet {
	set := make(vertexSet, len(from))
	for v, d := range g.stepsFrom(from, steps, keep, backwards) {
		set[v] = d >= 0
	}
	return set
}

// onPaths marks what lies on a way from one set to another of at most so many
// steps.
//
// A vertex is on such a way if the shortest way there and the shortest way on together
// are short enough; so two searches do, where listing paths would be exponential. The
// way may pass a service twice.
func (g *Graph) onPaths(from, to vertexSet, keep func(flag) bool, steps int) vertexSet {
	there, back := g.stepsFrom(from, steps, keep, false), g.stepsFrom(to, steps, keep, true)
	set := make(vertexSet, len(from))
	for v := range set {
		set[v] = there[v] >= 0 && back[v] >= 0 && (steps < 0 || there[v]+back[v] <= steps)
	}
	return set
}

// stepsFrom is a breadth-first search from a set: the number of steps to each
// service, -1 if it is not reached.
//
// Level by level: step is the distance of those in level, and -1 never equals it, so
// that no limit is one that is not met. O(services + edges).
func (g *Graph) stepsFrom(from vertexSet, steps int, keep func(flag) bool, backwards bool) []int {
	distance := make([]int, len(from))
	var level []int32
	for v, in := range from {
		distance[v] = -1
		if in {
			distance[v] = 0
			level = append(level, int32(v))
		}
	}
	for step := 0; len(level) > 0 && step != steps; step++ {
		var next []int32
		visit := func(w int32, f flag) {
			if distance[w] < 0 && keep(f) {
				distance[w] = step + 1
				next = append(next, w)
			}
		}
		for _, v := range level {
			if backwards {
				for i := g.in[v]; i < g.in[v+1]; i++ {
					visit(g.from[i], g.inFlags[i])
				}
				continue
			}
			for e := g.out[v]; e < g.out[v+1]; e++ {
				visit(g.to[e], g.flags[e])
			}
		}
		level = next
	}
	return distance
}

// somePath marks a shortest path from one set to another; nothing if there is
// none of at most so many steps.
func (g *Graph) somePath(from, to vertexSet, keep func(flag) bool, steps int) vertexSet {
	// Of each service, the one before it on the way; itself where the way begins, -1
	// where the search has not been.
	prev := make([]int32, len(g.services))
	var queue []int32
	for v := range prev {
		prev[v] = -1
		if from[v] {
			prev[v] = int32(v)
			queue = append(queue, int32(v))
		}
	}
	length := make([]int, len(prev))
	set := make(vertexSet, len(prev))
	for ; len(queue) > 0; queue = queue[1:] {
		v := queue[0]
		// The first one taken from the queue is a nearest one. It may be in both sets:
		// then the way is that service alone.
		if to[v] {
			for set[v] = true; prev[v] != v; set[v] = true {
				v = prev[v]
			}
			return set
		}
		if length[v] == steps {
			continue
		}
		for e := g.out[v]; e < g.out[v+1]; e++ {
			if w := g.to[e]; prev[w] < 0 && keep(g.flags[e]) {
				prev[w], length[w] = v, length[v]+1
				queue = append(queue, w)
			}
		}
	}
	return set
}

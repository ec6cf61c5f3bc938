package depgraph

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// openPart is a set of groups that share services with each other and with no
// other part. Given that all forced services work, the root is up if and only
// if the quorum of every top group of every part is.
//
// Splitting is what makes real graphs possible: a diagram over twenty groups that share
// nothing would have the product of their sizes, and twenty diagrams have the sum.
type openPart struct {
	a    *availability
	tops []openGroup
	vars []int32 // vertices in the order of the decision diagram
}

// openGroup is a group without its forced members, which are taken as up: how many of
// the others it still needs.
type openGroup struct {
	need    int
	members []int32
}

// openParts finds the groups of forced services whose quorum is still open, and splits
// them into parts that share nothing and can be multiplied. Vertices keep the order in
// which a depth-first walk reaches them: it puts what belongs together close together
// in the decision diagrams, which keeps them small.
//
// O(vertices + edges), but for the walk along parents.
func (a *availability) openParts() []*openPart {
	n := a.n
	// A group of a service that is not forced is no condition of its own; it says when
	// a member of another one is up, and functions puts it there.
	var tops []openGroup
	for i := range n.groups {
		gr := &n.groups[i]
		if !a.forced[gr.owner] {
			continue
		}
		if open := a.open(gr); open.need > 0 {
			tops = append(tops, open)
		}
	}
	// Each vertex belongs to the part of the first group that reaches it;
	// groups that meet are united.
	// The sets of a union-find, without balancing: there are only as many as top
	// groups.
	part := make([]int32, len(a.own)) // 1 + index of the group that got there first
	parent := make([]int32, len(tops))
	find := func(i int32) int32 {
		for parent[i] != i {
			i = parent[i]
		}
		return i
	}
	reached := make([][]int32, len(tops))
	for i := range tops {
		parent[i] = int32(i)
		// Reversed, so that the first member is on top and the walk keeps the order of
		// the manifest.
		stack := slices.Clone(tops[i].members)
		slices.Reverse(stack)
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if a.forced[v] {
				continue
			}
			if part[v] != 0 {
				x, y := find(part[v]-1), find(int32(i))
				// The lower number stays the root, so that parts come in the order of
				// their first groups.
				parent[max(x, y)] = min(x, y)
				continue
			}
			part[v] = int32(i) + 1
			reached[i] = append(reached[i], v)
			for e := n.out[v+1] - 1; e >= n.out[v]; e-- {
				stack = append(stack, n.to[e])
			}
		}
	}
	// What was reached by united groups is put together, in order of the groups: that
	// is the order of the variables.
	byRoot := map[int32]*openPart{}
	var parts []*openPart
	for i := range tops {
		root := find(int32(i))
		p := byRoot[root]
		if p == nil {
			p = &openPart{a: a}
			byRoot[root] = p
			parts = append(parts, p)
		}
		p.tops = append(p.tops, tops[i])
		p.vars = append(p.vars, reached[i]...)
	}
	return parts
}

// open is what is left of a group once forced members are taken as up.
//
// A need of 0 or less is met by what is forced alone.
func (a *availability) open(gr *netGroup) openGroup {
	o := openGroup{need: int(gr.need)}
	for _, m := range gr.members {
		if a.forced[m] {
			o.need--
		} else {
			o.members = append(o.members, m)
		}
	}
	return o
}

// defaultMaxNodes is that of AvailOptions.MaxNodes.
const defaultMaxNodes = 2_000_000

// exact returns the probability that the part is up, and leaves the
// derivatives in gain.
//
// A diagram that grows beyond the limit panics with errTooLarge, since it is built in deep
// recursion; that is caught here, and nothing else is.
func (p *openPart) exact(maxNodes int) (probability float64, err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errTooLarge {
				panic(r)
			}
			err = errTooLarge
		}
	}()
	// Each part has a diagram and a limit of its own; its nodes are gone when the next
	// one begins.
	b := newBDD(cmp.Or(maxNodes, defaultMaxNodes))
	up := p.functions(b)
	// The part is up if every top group has its quorum; 1 is the constant true.
	f := int32(1)
	for _, top := range p.tops {
		fs := make([]int32, len(top.members))
		for i, m := range top.members {
			fs[i] = up[m]
		}
		f = b.and(f, b.atLeast(top.need, fs))
	}
	return b.probability(f,
		func(level int32) float64 { return p.a.own[p.vars[level]] },
		func(level int32, derivative float64) { p.a.gain[p.vars[level]] += derivative }), nil
}

// scale multiplies the derivatives with what all other parts contribute.
func (p *openPart) scale(factor float64) {
	for _, v := range p.vars {
		p.a.gain[v] *= factor
	}
}

// functions returns, for each vertex of the part, the function that says when
// it is up. Components are visited dependencies first; inside one, functions
// start as true and sink to the greatest fixpoint.
//
// 1 and 0 in the map are the constants, up and down whatever happens.
func (p *openPart) functions(b *bdd) map[int32]int32 {
	up := make(map[int32]int32, len(p.vars))
	variable := make(map[int32]int32, len(p.vars))
	for level, v := range p.vars {
		// Levels follow vars, see openParts.
		variable[v] = b.variable(int32(level))
	}
	for _, members := range p.components() {
		for _, v := range members {
			up[v] = 1
		}
		// Functions only fall, and there are finitely many, so this ends. A component
		// of one vertex needs one round: it does not depend on itself.
		for changed := true; changed; {
			changed = false
			for _, v := range members {
				if f := p.function(b, v, variable[v], up); f != up[v] {
					up[v], changed = f, len(members) > 1
				}
			}
		}
	}
	return up
}

// function is when one vertex is up, by what is known of the others so far: its own
// variable, every hard dependency that is not forced, and the quorum of every group.
//
// Forced services are taken as up: the whole is multiplied by theirs afterwards.
func (p *openPart) function(b *bdd, v, variable int32, up map[int32]int32) int32 {
	n, f := p.a.n, variable
	for e := n.out[v]; e < n.out[v+1]; e++ {
		if n.flags[e]&fGroup == 0 && !p.a.forced[n.to[e]] {
			f = b.and(f, up[n.to[e]])
		}
	}
	for i := n.first[v]; i < n.first[v+1]; i++ {
		open := p.a.open(&n.groups[i])
		if open.need <= 0 {
			continue
		}
		fs := make([]int32, len(open.members))
		for j, m := range open.members {
			fs[j] = up[m]
		}
		f = b.and(f, b.atLeast(open.need, fs))
	}
	return f
}

// components returns the vertices of the part by strongly connected
// component, dependencies first.
func (p *openPart) components() [][]int32 {
	n := p.a.n
	// Rows are built again with numbers from 0. Members of groups are arcs too: a group
	// is evaluated once its members are.
	verts := slices.Sorted(slices.Values(p.vars))
	out := make([]int32, len(verts)+1)
	var to []int32
	var flags []flag
	for i, v := range verts {
		for e := n.out[v]; e < n.out[v+1]; e++ {
			if w, ok := slices.BinarySearch(verts, n.to[e]); ok {
				to, flags = append(to, int32(w)), append(flags, fRuntime)
			}
		}
		out[i+1] = int32(len(to))
	}
	comp, count := components(out, to, flags, sel{any: fRuntime})
	members := make([][]int32, count)
	for i, c := range comp {
		members[c] = append(members[c], verts[i])
	}
	return members
}

// defaultSamples is that of AvailOptions.Samples.
const defaultSamples = 200_000

// estimate is what is left when the exact method gives up: certain bounds, and
// a Monte Carlo estimate from a fixed seed.
//
// res has what is known so far, and is filled. It takes O(samples × services that can
// fail), and asks the context in between.
func (a *availability) estimate(ctx context.Context, res *Avail, series float64, parts []*openPart) (*Avail, error) {
	res.Exact, res.High = false, series
	res.Low = 1
	// The least it can be is that of a series of everything, the most that of the
	// forced services alone.
	for _, own := range a.own {
		res.Low *= own // all that is needed up is enough
	}
	samples := cmp.Or(a.opts.Samples, defaultSamples)
	// A fixed seed: two runs over one graph must not differ, and nobody can choose the
	// graph by the seed.
	rnd := rand.New(rand.NewPCG(1, 2))
	s := sampler{a: a, down: make([]bool, len(a.own)), missing: make([]int32, len(a.n.groups)), in: a.incoming()}
	hits := 0
	for i := range samples {
		// Often enough to stop within milliseconds, seldom enough to cost nothing.
		if i%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s.up(rnd, parts) {
			hits++
		}
	}
	p := float64(hits) / float64(samples)
	res.Availability = min(max(series*p, res.Low), res.High)
	// The rule of succession keeps the error above zero when all samples agree.
	q := (float64(hits) + 1) / (float64(samples) + 2)
	res.StdErr = series * math.Sqrt(q*(1-q)/float64(samples))
	// Importance is known of the forced services alone: for the others a difference of
	// two estimates would be mostly noise. Exact parts may have left theirs.
	clear(a.gain)
	for i, f := range a.forced {
		if f && a.own[i] > 0 {
			a.gain[i] = res.Availability / a.own[i]
		}
	}
	res.Importance = a.importance()
	return res, nil
}

// sampler draws states of the open services, with the forced ones up. Its slices are
// used again for every sample; after each, down and missing are as empty as before.
type sampler struct {
	a       *availability
	in      [][]inRef
	down    []bool
	missing []int32
	queue   []int32
	touched []int32 // groups
}

// inRef is who needs a vertex: over a hard edge, group -1, or as a member of a group.
type inRef struct{ from, group int32 } // group -1: hard

// incoming turns the edges round, since failures spread from what is needed to who
// needs it.
//
// O(vertices + edges), once for all samples.
func (a *availability) incoming() [][]inRef {
	in := make([][]inRef, len(a.own))
	for v := range a.own {
		for e := a.n.out[v]; e < a.n.out[v+1]; e++ {
			if a.n.flags[e]&fGroup == 0 {
				in[a.n.to[e]] = append(in[a.n.to[e]], inRef{int32(v), -1})
			}
		}
	}
	for i := range a.n.groups {
		for _, m := range a.n.groups[i].members {
			in[m] = append(in[m], inRef{a.n.groups[i].owner, int32(i)})
		}
	}
	return in
}

// up draws one state and reports whether the root is up in it. Only what failed is
// walked, in a queue: with good availabilities that is little, and a sample costs one
// random number for each service and hardly more. A group falls with the first member
// beyond those that it can spare.
func (s *sampler) up(rnd *rand.Rand, parts []*openPart) bool {
	s.queue, s.touched = s.queue[:0], s.touched[:0]
	for _, p := range parts {
		for _, v := range p.vars {
			if own := s.a.own[v]; own < 1 && rnd.Float64() >= own {
				s.fail(v)
			}
		}
	}
	for head := 0; head < len(s.queue); head++ {
		for _, r := range s.in[s.queue[head]] {
			if r.group >= 0 {
				gr := &s.a.n.groups[r.group]
				s.touched = append(s.touched, r.group)
				if s.missing[r.group]++; int(s.missing[r.group]) <= len(gr.members)-int(gr.need) {
					continue
				}
			}
			s.fail(r.from)
		}
	}
	// Only what was touched is cleared: most samples fail nothing or little.
	up := !s.down[s.a.root]
	for _, v := range s.queue {
		s.down[v] = false
	}
	for _, i := range s.touched {
		s.missing[i] = 0
	}
	return up
}

// fail puts a vertex among those that are down, once.
func (s *sampler) fail(v int32) {
	if !s.down[v] {
		s.down[v] = true
		s.queue = append(s.queue, v)
	}
}

package depgraph

import (
	"context"
	"errors"
	mathbits "math/bits"
	"slices"
)

// Blast is what the loss of some services does to a running system.
//
// Every service is in at most one of Of and Down; a service that stays up may be in several
// of the others.
type Blast struct {
	// Of are the services that were lost; they are in no other list.
	Of []string
	// Down do not serve any more.
	Down []string
	// Degraded serve, but a soft dependency of theirs is down.
	Degraded []string
	// RedundancyLost serve, but one of their groups lost a member and cannot
	// lose another.
	RedundancyLost []string
	// CannotStart serve, but would not come back after a restart.
	CannotStart []string
	// Assumed are members of Down and Degraded that are not there if the assumed
	// edges are wrong.
	Assumed []string
	// Unknown are members of CannotStart that say nothing about run time: they
	// may be down as well.
	Unknown []string
}

// BlastOptions limits how services are lost.
type BlastOptions struct {
	// Plane is what is lost of the services: zero means all of each. With
	// Control, only dependencies on their control planes fail.
	Plane Plane
}

// Blast computes the blast radius of one or more services that fail together. Only
// needs of run time pull a running service down; needs of startup show in CannotStart.
// It takes time in proportion to what is reached. Lists are sorted, and empty ones are
// not nil, Assumed and Unknown apart.
//
// If the graph has assumed edges, the failure is spread a second time without them;
// what that does not reach rests on guesses.
func (g *Graph) Blast(o BlastOptions, lost ...string) (*Blast, error) {
	if len(lost) == 0 {
		return nil, errors.New("depgraph: Blast needs at least one service")
	}
	b, err := g.blast(o, 0, lost)
	if err != nil {
		return nil, err
	}
	res := b.report()
	res.Unknown = b.unknown(res.CannotStart)
	if g.union&fAssumed != 0 {
		sure, err := g.blast(o, fAssumed, lost)
		if err != nil {
			return nil, err
		}
		known := sure.report()
		res.Assumed = append(missing(res.Down, known.Down), missing(res.Degraded, known.Degraded)...)
		slices.Sort(res.Assumed)
	}
	return res, nil
}

// blast spreads a failure over the edges without the flags: a service is down with its
// first hard dependency, or when a group of its own is short of its quorum, that is
// after losing as many members as it can spare and one more. O(services) to set up, and
// then what is reached.
//
// A name that occurs twice is lost once.
func (g *Graph) blast(o BlastOptions, without flag, lost []string) (*blaster, error) {
	b := &blaster{g: g, without: without, plane: o.Plane, state: make([]blastState, len(g.services))}
	b.fix = fixpoint{in: g.in, from: g.from, mark: b.state, as: blastDown, groupLeft: make([]int32, len(g.groups))}
	if o.Plane == PlaneUnknown { // then every edge fails with its end
		b.fix.inFlags, b.fix.plain = g.inFlags, sel{fRuntime, fSoft | fGroup | without}
	}
	for i := range g.groups {
		b.fix.groupLeft[i] = int32(len(g.groups[i].members)) - g.groups[i].need + 1
	}
	for _, name := range lost {
		v, ok := g.index[name]
		if !ok {
			return nil, g.unknown(name)
		}
		b.fix.fire(v, blastLost)
	}
	b.fix.run(b.counts)
	return b, nil
}

// fails reports whether an edge to w, which is lost or down, fails with it.
func (b *blaster) fails(f flag, w int32) bool {
	return f&b.without == 0 && (b.state[w] != blastLost || b.plane == PlaneUnknown || b.plane == planeOf(f))
}

// counts says which edges pull their owners down. Members of other groups are
// counted too, for the report.
func (b *blaster) counts(i, w int32) (group int32, is bool) {
	f := b.g.inFlags[i]
	if !b.fails(f, w) {
		return 0, false
	}
	pulls := f&fRuntime != 0 && f&fSoft == 0
	if f&fGroup == 0 {
		return -1, pulls
	}
	group = b.g.group[b.g.inEdge[i]]
	if !pulls {
		b.fix.groupLeft[group]--
	}
	return group, pulls
}

// unknown picks the services that wait for something lost at startup, as more
// than a job, and say nothing about it at run time.
//
// An importer that reads only orders of a start, from systemd say, leaves such edges.
func (b *blaster) unknown(names []string) (unknown []string) {
	g := b.g
	for _, name := range names {
		v := g.index[name]
		for e := g.out[v]; e < g.out[v+1]; e++ {
			w, f := g.to[e], g.flags[e]
			if b.state[w]&(blastLost|blastDown) == 0 || f&(fStartup|fRuntime|fSoft) != fStartup || f&fEarly == fEarly {
				continue
			}
			said := false
			for other := g.out[v]; other < g.out[v+1]; other++ {
				said = said || g.to[other] == w && g.flags[other]&fRuntime != 0
			}
			if !said {
				unknown = append(unknown, name)
				break
			}
		}
	}
	return unknown
}

// blastState is a set: a service that is neither lost nor down can be several
// of the others.
type blastState = uint8

const (
	blastLost blastState = 1 << iota
	blastDown
	blastDegraded
	blastThin
	blastCannotStart
)

// blaster is one failure as it spreads: a set of states for each vertex, and the groups
// with the members that they can still lose.
type blaster struct {
	g       *Graph
	state   []blastState
	fix     fixpoint // fired: what is lost or down
	plane   Plane
	without flag // edges with these flags do not count
}

// report looks at the neighbours of what is down: those that stay up may be degraded,
// thin, or unable to start again, or several of these. O(edges into what is down).
//
// O(edges into what is down), and a sort.
func (b *blaster) report() *Blast {
	g := b.g
	touched := slices.Clone(b.fix.fired)
	for _, w := range b.fix.fired {
		for i := g.in[w]; i < g.in[w+1]; i++ {
			v := g.from[i]
			if b.state[v]&(blastLost|blastDown) != 0 {
				continue
			}
			if !b.fails(g.inFlags[i], w) {
				continue
			}
			harm := b.harm(g.inEdge[i], g.inFlags[i])
			if b.state[v] == 0 && harm != 0 {
				touched = append(touched, v)
			}
			b.state[v] |= harm
		}
	}
	sortVertices(touched, len(g.services))
	pick := func(want blastState) []string {
		names := []string{}
		for _, v := range touched {
			if b.state[v]&want != 0 {
				names = append(names, g.names[v])
			}
		}
		return names
	}
	return &Blast{
		Of: pick(blastLost), Down: pick(blastDown), Degraded: pick(blastDegraded),
		RedundancyLost: pick(blastThin), CannotStart: pick(blastCannotStart),
	}
}

// harm says what the loss of edge e's target does to an owner that stays up.
//
// For a group, groupLeft minus one is how many more members it can lose.
func (b *blaster) harm(e int32, f flag) blastState {
	if f&fGroup != 0 {
		switch spare := b.fix.groupLeft[b.g.group[e]] - 1; {
		case spare > 0:
			return 0
		case spare == 0:
			return blastThin
		}
	}
	switch {
	case f&fRuntime != 0 && f&fSoft != 0:
		return blastDegraded
	case f&fStartup != 0 && f&fSoft == 0 && f&fRuntime == 0:
		return blastCannotStart
	}
	return 0
}

// BlastAll returns, for every service in order of name, how many others go
// down with it alone. It answers all of them in one pass over the graph for
// each 512 services.
//
// progress may be nil; it is called by the goroutine that called BlastAll.
func (g *Graph) BlastAll(ctx context.Context, progress func(Progress)) ([]int, error) {
	counts, _, err := g.allBlasts(ctx, progress, true, false)
	return counts, err
}

// FalseRedundancy is a group of alternatives that fail together.
type FalseRedundancy struct {
	Service string   // the service that relies on the group
	Members []string // of the group, sorted
	Need    int      // how many of them it needs
	// Shared are services whose loss leaves the group short of its quorum. What
	// the owner needs anyway is left out.
	Shared []string
	At     Position // where the group is declared

	number int // of the group, as Edge.Group counts
}

// FalseRedundancies returns the hard runtime groups whose alternatives share a
// dependency, in order of service.
func (g *Graph) FalseRedundancies(ctx context.Context, progress func(Progress)) ([]FalseRedundancy, error) {
	_, found, err := g.allBlasts(ctx, progress, false, true)
	return found, err
}

// allBlasts answers both questions about every service in the same passes: by far the
// most time goes into these. count asks for the number of services that each takes
// down, share for the services that groups have in common; what is not asked for comes
// back empty. Blocks of services arrive in any order, so results are put in their
// places, and names sorted at the end.
func (g *Graph) allBlasts(ctx context.Context, progress func(Progress), count, share bool) ([]int, []FalseRedundancy, error) {
	n := g.wholeNet()
	counts, shared := make([]int, len(g.services)), make([][]string, len(n.groups))
	var planes counter
	err := n.impact(ctx, progress, func(block int, p *impactPass) {
		if count {
			planes.reset()
			for v := range counts {
				planes.add(p.of(int32(v)))
			}
			for i := 0; i < blockSize && block*blockSize+i < len(counts); i++ {
				counts[block*blockSize+i] = planes.at(i) - 1
			}
		}
		for i := 0; share && i < len(n.groups); i++ {
			for _, bit := range p.sharedBy(i) {
				shared[i] = append(shared[i], g.names[block*blockSize+bit])
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	var found []FalseRedundancy
	for i, names := range shared {
		if len(names) > 0 {
			slices.Sort(names) // blocks come in any order
			gr := &g.groups[n.groups[i].id]
			found = append(found, FalseRedundancy{
				Service: g.services[gr.owner].Name, Members: g.namesOf(gr.members), Need: int(gr.need),
				Shared: names, At: g.position(gr.file, gr.line), number: int(n.groups[i].id-g.ownGroup[gr.owner]) + 1,
			})
		}
	}
	return counts, found, nil
}

// sharedBy returns the sources of the block that leave a group short of its
// quorum, but for those that its owner needs anyway.
//
// What the owner needs anyway takes it down with or without the group, so the group is not
// to blame.
func (p *impactPass) sharedBy(group int) (bits []int) {
	common := p.threshold(group)
	if common == (bitrow{}) {
		return nil
	}
	anyway := p.hardRow(p.n.groups[group].owner)
	for i := range common {
		for word := common[i] &^ anyway[i]; word != 0; word &= word - 1 {
			bits = append(bits, i*64+mathbits.TrailingZeros64(word))
		}
	}
	return bits
}

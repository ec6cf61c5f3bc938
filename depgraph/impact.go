package depgraph

import (
	"context"
	"math/bits"
	"slices"
)

// net is the part of a graph that decides what is up at run time: hard
// dependencies and groups, over some of the vertices.
type net struct {
	verts  []int32 // the vertex in the graph
	out    []int32
	to     []int32
	flags  []flag // fRuntime, with fGroup for members of a group
	groups []netGroup
	first  []int32 // len(verts)+1 offsets: groups of each vertex
}

type netGroup struct {
	owner, need int32
	members     []int32
	id          int32 // in the graph
}

// wholeNet covers all vertices.
func (g *Graph) wholeNet() *net {
	all := make([]int32, len(g.services))
	for v := range all {
		all[v] = int32(v)
	}
	return g.netOf(all, nil, nil)
}

// netOf covers the given vertices (sorted), which must be closed under the
// edges that count. local maps vertices of g to positions in verts; nil means
// that they are the same. Edges in soft count as soft.
func (g *Graph) netOf(verts []int32, local func(v int32) int32, soft map[int32]bool) *net {
	if local == nil {
		local = func(v int32) int32 { return v }
	}
	n := &net{verts: verts, out: make([]int32, len(verts)+1), first: make([]int32, len(verts)+1)}
	for i, v := range verts {
		for e := g.out[v]; e < g.out[v+1]; e++ {
			if f := g.flags[e]; f&fRuntime != 0 && f&fSoft == 0 && !soft[e] {
				n.to = append(n.to, local(g.to[e]))
				n.flags = append(n.flags, fRuntime|f&fGroup)
			}
		}
		for j := g.ownGroup[v]; j < g.ownGroup[v+1]; j++ {
			gr := &g.groups[j]
			if gr.flags&fRuntime == 0 || gr.flags&fSoft != 0 || !g.partial(int(j)) || soft[g.groupEdge(v, j)] {
				continue
			}
			members := make([]int32, len(gr.members))
			for k, m := range gr.members {
				members[k] = local(m)
			}
			n.groups = append(n.groups, netGroup{owner: int32(i), need: gr.need, members: members, id: j})
		}
		n.out[i+1], n.first[i+1] = int32(len(n.to)), int32(len(n.groups))
	}
	return n
}

// groupEdge is one edge of the group, which stands for all of them.
func (g *Graph) groupEdge(v, group int32) int32 {
	for e := g.out[v]; e < g.out[v+1]; e++ {
		if g.group[e] == group {
			return e
		}
	}
	return -1
}

// blockSize is how many sources one pass covers. 64 bytes a vertex are one
// cache line, and the rows of 60,000 vertices stay in the second-level cache.
const blockSize = 512

// bitrow holds one bit for each source of a block.
type bitrow [blockSize / 64]uint64

func (r *bitrow) or(o *bitrow) {
	for i := range r {
		r[i] |= o[i]
	}
}

func (r *bitrow) has(bit int) bool { return r[bit/64]&(1<<(bit%64)) != 0 }

// impactPass holds, for one block of sources, which of them take a vertex down.
type impactPass struct {
	n     *net
	rows  []bitrow
	block int
	atOr  []bitrow // scratch of threshold
}

// step is one hard component in the order of a pass.
type step struct{ members []int32 }

// impact computes for every vertex the set of services whose loss alone takes
// it down, in blocks of sources, and calls visit after each block.
//
// Components over hard edges share one row. Outer components, which also
// count edges to members of groups, are visited dependencies first; inside
// one, the hard components are repeated until nothing changes, which computes
// the least fixpoint. Without groups on a cycle, one pass is enough.
func (n *net) impact(ctx context.Context, progress func(Progress), visit func(block int, p *impactPass)) error {
	outer := n.schedule()
	p := &impactPass{n: n, rows: make([]bitrow, len(n.verts))}
	blocks := (len(n.verts) + blockSize - 1) / blockSize
	for p.block = range blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		clear(p.rows)
		for _, steps := range outer {
			for changed := true; changed; {
				changed = false
				for i := range steps {
					changed = p.update(steps[i].members) || changed
				}
				if len(steps) == 1 {
					break
				}
			}
		}
		visit(p.block, p)
		if progress != nil {
			progress(Progress{Stage: "computing blast radii", Done: p.block + 1, Total: blocks})
		}
	}
	return nil
}

// schedule returns the outer components with their hard components.
func (n *net) schedule() [][]step {
	outer, count := components(n.out, n.to, n.flags, sel{any: fRuntime})
	hard, hardCount := components(n.out, n.to, n.flags, sel{fRuntime, fGroup})
	members := make([][]int32, hardCount)
	flat := make([]int32, len(hard)+int(hardCount))
	size := flat[len(hard):]
	for _, c := range hard {
		size[c]++
	}
	for c, at := 0, int32(0); c < len(size); c++ {
		members[c] = flat[at : at : at+size[c]]
		at += size[c]
	}
	for v, c := range hard {
		members[c] = append(members[c], int32(v))
	}
	steps := make([][]step, count)
	for _, m := range members { // numbered dependencies first
		c := outer[m[0]]
		steps[c] = append(steps[c], step{m})
	}
	return steps
}

// update recomputes the common row of a hard component and reports a change.
func (p *impactPass) update(members []int32) bool {
	n := p.n
	row := p.rows[members[0]]
	for _, v := range members {
		if bit := int(v) - p.block*blockSize; bit >= 0 && bit < blockSize {
			row[bit/64] |= 1 << (bit % 64)
		}
		for e := n.out[v]; e < n.out[v+1]; e++ {
			if n.flags[e]&fGroup == 0 {
				row.or(&p.rows[n.to[e]])
			}
		}
		for i := n.first[v]; i < n.first[v+1]; i++ {
			t := p.threshold(int(i))
			row.or(&t)
		}
	}
	changed := row != p.rows[members[0]]
	for _, v := range members {
		p.rows[v] = row
	}
	return changed
}

// threshold returns the sources that take so many members of a group down
// that the quorum is lost: at[j] holds the sources that take more than j down.
func (p *impactPass) threshold(group int) bitrow {
	gr := &p.n.groups[group]
	tolerated := len(gr.members) - int(gr.need)
	at := append(p.atOr[:0], make([]bitrow, tolerated+1)...)
	p.atOr = at
	for _, m := range gr.members {
		row := &p.rows[m]
		for j := tolerated; j > 0; j-- {
			for i := range row {
				at[j][i] |= at[j-1][i] & row[i]
			}
		}
		at[0].or(row)
	}
	return at[tolerated]
}

// hardRow returns the sources that take v down without help of its own groups.
func (p *impactPass) hardRow(v int32) bitrow {
	n := p.n
	var row bitrow
	if bit := int(v) - p.block*blockSize; bit >= 0 && bit < blockSize {
		row[bit/64] |= 1 << (bit % 64)
	}
	for e := n.out[v]; e < n.out[v+1]; e++ {
		if n.flags[e]&fGroup == 0 {
			row.or(&p.rows[n.to[e]])
		}
	}
	return row
}

// counter adds up rows column by column: plane k holds bit k of every sum.
// Adding costs two planes on average, as half of the carries end at once.
type counter struct{ planes []bitrow }

func (c *counter) reset() { c.planes = c.planes[:0] }

func (c *counter) add(row *bitrow) {
	carry := *row
	for k := 0; carry != (bitrow{}); k++ {
		if k == len(c.planes) {
			c.planes = append(c.planes, carry)
			return
		}
		plane := &c.planes[k]
		for i := range carry {
			plane[i], carry[i] = plane[i]^carry[i], plane[i]&carry[i]
		}
	}
}

// at returns the sum of one column.
func (c *counter) at(bit int) int {
	sum := 0
	for k := range c.planes {
		if c.planes[k].has(bit) {
			sum += 1 << k
		}
	}
	return sum
}

// reachable returns what v needs at run time, directly or not, sorted.
func (g *Graph) reachable(v int32, soft map[int32]bool) []int32 {
	seen := make([]uint64, (len(g.services)+63)/64)
	seen[v/64] |= 1 << (v % 64)
	for stack := []int32{v}; len(stack) > 0; {
		u := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for e := g.out[u]; e < g.out[u+1]; e++ {
			w, f := g.to[e], g.flags[e]
			if f&fRuntime == 0 || f&fSoft != 0 || soft[e] || seen[w/64]&(1<<(w%64)) != 0 {
				continue
			}
			seen[w/64] |= 1 << (w % 64)
			stack = append(stack, w)
		}
	}
	var verts []int32
	for i, word := range seen {
		for ; word != 0; word &= word - 1 {
			verts = append(verts, int32(i*64+bits.TrailingZeros64(word)))
		}
	}
	return slices.Clip(verts)
}

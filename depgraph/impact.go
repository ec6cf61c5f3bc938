package depgraph

import (
	"context"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// net is the part of a graph that decides what is up at run time: hard
// dependencies and groups, over some of the vertices.
//
// It is a graph of its own with rows as in Graph, so that a question about one service does
// not walk the others. to and members are positions in verts.
type net struct {
	verts  []int32 // the vertex in the graph
	out    []int32
	to     []int32
	flags  []flag // fRuntime, with fGroup for members of a group
	groups []netGroup
	first  []int32 // len(verts)+1 offsets: groups of each vertex
}

// netGroup is a group that can lose a member, with vertices of the net.
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
//
// Groups that need all members are plain edges in it, and soft groups are left out.
func (g *Graph) netOf(verts []int32, local func(v int32) int32, soft map[int32]bool) *net {
	if local == nil {
		local = func(v int32) int32 { return v }
	}
	n := &net{verts: verts, out: make([]int32, len(verts)+1), first: make([]int32, len(verts)+1)}
	for i, v := range verts {
		// Members of a group are arcs as well, marked as such: components need them,
		// and hardRow and newPlan tell them from plain needs.
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
//
// -1 if it has none, which cannot be: a group has a member.
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
//
// It is a value: copying 64 bytes is cheaper than following a pointer to them.
type bitrow [blockSize / 64]uint64

func (r *bitrow) or(o *bitrow) {
	for i := range r {
		r[i] |= o[i]
	}
}

func (r *bitrow) has(bit int) bool { return r[bit/64]&(1<<(bit%64)) != 0 }

// plan is a net condensed for passes: services that need each other share one
// row, as they go down together. Rows are numbered dependencies first.
//
// It is made once, read by all workers, and never changed.
type plan struct {
	n       *net
	row     []int32 // of each vertex
	out     []int32 // offsets into to
	to      []int32 // rows that a row needs, without doubles
	first   []int32 // offsets: groups of each row, indices into byRow
	byRow   []int32 // groups, by row of their owner
	members [][]int32
	// outer holds ranges of rows that need each other through groups as well.
	// They are repeated until nothing changes; most ranges have one row.
	outer []int32
}

// newPlan condenses the net over hard edges. Components that also count edges
// to members of groups are unions of rows; sorting by them first, and by the
// components over hard edges second, puts dependencies first in both.
func (n *net) newPlan() *plan {
	// Two partitions: services that need each other for certain go down together and
	// share a row; those that do through groups may, and their rows are computed
	// together. The first is finer, so a hard component is in one outer one.
	outer, outerCount := components(n.out, n.to, n.flags, sel{any: fRuntime})
	hard, count := components(n.out, n.to, n.flags, sel{fRuntime, fGroup})
	rowOuter := make([]int32, count)
	for v, c := range hard {
		rowOuter[c] = outer[v]
	}
	// Components are numbered dependencies first. The sort is stable, so rows that
	// share an outer component keep that order among themselves.
	place := countingSort(rowOuter, outerCount)
	p := &plan{n: n, row: make([]int32, len(hard)), outer: make([]int32, 0, outerCount+1)}
	byRow := make([]int32, len(hard))
	for v, c := range hard {
		p.row[v] = place[c]
	}
	at := countingSort(p.row, count)
	for v, i := range at {
		byRow[i] = int32(v)
	}
	p.out, p.first = make([]int32, 1, count+1), make([]int32, 1, count+1)
	p.members = make([][]int32, len(n.groups))
	seen := make([]int32, count)
	last := int32(-1)
	// One round a row: its vertices are next to each other in byRow. A row never needs
	// itself, so it is marked as seen before its vertices are added.
	for i := 0; i < len(byRow); {
		r := p.row[byRow[i]]
		if o := outer[byRow[i]]; o != last {
			p.outer, last = append(p.outer, r), o
		}
		seen[r] = r + 1
		for ; i < len(byRow) && p.row[byRow[i]] == r; i++ {
			p.addVertex(byRow[i], r, seen)
		}
		p.out, p.first = append(p.out, int32(len(p.to))), append(p.first, int32(len(p.byRow)))
	}
	p.outer = append(p.outer, count)
	return p
}

// addVertex adds the needs of one vertex to the row that it belongs to. seen holds, for
// each row, the last row that was found to need it, plus one.
func (p *plan) addVertex(v, r int32, seen []int32) {
	n := p.n
	for e := n.out[v]; e < n.out[v+1]; e++ {
		if w := p.row[n.to[e]]; n.flags[e]&fGroup == 0 && seen[w] != r+1 {
			seen[w] = r + 1
			p.to = append(p.to, w)
		}
	}
	for g := n.first[v]; g < n.first[v+1]; g++ {
		p.byRow = append(p.byRow, g)
		rows := make([]int32, len(n.groups[g].members))
		for k, m := range n.groups[g].members {
			rows[k] = p.row[m]
		}
		p.members[g] = rows
	}
}

// countingSort returns the place of each item when sorted by key, stably.
func countingSort(keys []int32, count int32) []int32 {
	// After the sums, next[k] is the place of the next item with key k.
	next := make([]int32, count+1)
	for _, k := range keys {
		next[k+1]++
	}
	for k := range count {
		next[k+1] += next[k]
	}
	place := make([]int32, len(keys))
	for i, k := range keys {
		place[i] = next[k]
		next[k]++
	}
	return place
}

// impactPass holds, for one block of sources, which of them take a row down.
type impactPass struct {
	*plan
	rows  []bitrow
	block int
	at    []bitrow // scratch of threshold
}

// of returns the sources that take vertex v down.
func (p *impactPass) of(v int32) *bitrow { return &p.rows[p.row[v]] }

// impact computes for every vertex the set of services whose loss alone takes
// it down, in blocks of sources, and calls visit after each block, one call at
// a time but in any order.
//
// visit must not keep p: its rows are overwritten by the next block. An error is that of
// ctx; some blocks have been visited by then. O(vertices × (vertices + edges) / 512).
func (n *net) impact(ctx context.Context, progress func(Progress), visit func(block int, p *impactPass)) error {
	// The plan is shared and only read; rows are each worker's own, 64 bytes a row. A
	// worker takes the next block as it finishes one, since blocks differ much in cost.
	plan := n.newPlan()
	blocks := (len(n.verts) + blockSize - 1) / blockSize
	var next atomic.Int64
	var mu sync.Mutex // held by visit
	finished := make(chan struct{}, blocks)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), blocks) {
		wg.Go(func() {
			p := &impactPass{plan: plan, rows: make([]bitrow, len(plan.out)-1)}
			for ctx.Err() == nil {
				p.block = int(next.Add(1)) - 1
				if p.block >= blocks {
					return
				}
				p.run()
				// visit is the caller's and adds up, so one at a time; it is short
				// beside run.
				mu.Lock()
				visit(p.block, p)
				mu.Unlock()
				finished <- struct{}{} // there is room for every block
			}
		})
	}
	go func() {
		wg.Wait()
		close(finished)
	}()
	// The caller's function is called by the caller, one call at a time and under no
	// lock: whatever it does, it does to nobody else.
	done := 0
	for range finished {
		if done++; progress != nil {
			progress(Progress{Stage: "computing blast radii", Done: done, Total: blocks})
		}
	}
	return ctx.Err()
}

// run computes the least fixpoint for one block.
func (p *impactPass) run() {
	clear(p.rows)
	for i := p.block * blockSize; i < min((p.block+1)*blockSize, len(p.row)); i++ {
		bit := i % blockSize
		// The loss of a source takes itself down, and whatever shares its row.
		p.rows[p.row[i]][bit/64] |= 1 << (bit % 64)
	}
	for i := range len(p.outer) - 1 {
		from, to := p.outer[i], p.outer[i+1]
		// Dependencies come first, so when a row is computed, all that it needs is
		// final: one look is enough.
		if to-from == 1 {
			p.update(from)
			continue
		}
		// Rows that need each other through groups rise from what is there to the least
		// fixpoint. Bits are only ever added, so this ends.
		for changed := true; changed; {
			changed = false
			for r := from; r < to; r++ {
				before := p.rows[r]
				p.update(r)
				changed = changed || p.rows[r] != before
			}
		}
	}
}

// update recomputes one row.
//
// A row only ever gains bits.
func (p *impactPass) update(r int32) {
	row := p.rows[r]
	for _, w := range p.to[p.out[r]:p.out[r+1]] {
		row.or(&p.rows[w])
	}
	for _, g := range p.byRow[p.first[r]:p.first[r+1]] {
		t := p.threshold(int(g))
		row.or(&t)
	}
	p.rows[r] = row
}

// threshold returns the sources that take so many members of a group down
// that the quorum is lost: at[j] holds the sources that take more than j down.
//
// O(members × tolerated) operations on rows.
func (p *impactPass) threshold(group int) bitrow {
	members := p.members[group]
	tolerated := len(members) - int(p.n.groups[group].need)
	// One member is enough: all of them must go. This is what nearly every group says,
	// and needs no table.
	if tolerated == len(members)-1 {
		return p.all(members)
	}
	at := append(p.at[:0], make([]bitrow, tolerated+1)...)
	p.at = at
	for _, m := range members {
		row := &p.rows[m]
		// From the top down, as at[j-1] must not have seen this member yet: else one
		// member would count twice.
		for j := tolerated; j > 0; j-- {
			for i := range row {
				at[j][i] |= at[j-1][i] & row[i]
			}
		}
		at[0].or(row)
	}
	return at[tolerated]
}

// all returns the sources that take every one of the rows down.
func (p *impactPass) all(rows []int32) bitrow {
	common := p.rows[rows[0]]
	for _, m := range rows[1:] {
		row := &p.rows[m]
		for i := range common {
			common[i] &= row[i]
		}
		if common == (bitrow{}) {
			break
		}
	}
	return common
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
			row.or(p.of(n.to[e]))
		}
	}
	return row
}

// counter adds up rows column by column: plane k holds bit k of every sum. Adding costs
// two planes on average, as half of the carries end at once; so counting 512 columns
// costs little more than one.
type counter struct{ planes []bitrow }

func (c *counter) reset() { c.planes = c.planes[:0] }

// add counts a row: one in each column whose bit is set.
func (c *counter) add(row *bitrow) {
	carry := *row
	// Binary addition in 512 columns at once: the sum without carry is the exclusive
	// or, and the carry goes to the next plane.
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
//
// v is part of it. The marks are bits, as they are made anew for each question.
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

package depgraph

import (
	"context"
	"slices"
)

// WhyOptions says which paths count. The zero value finds one shortest path
// over any edges, the hard ones first.
type WhyOptions struct {
	// All asks for every path that visits no service twice.
	All bool
	// Hard leaves soft edges out.
	Hard bool
	// Limit bounds the number of paths with All; zero means 100.
	Limit int
}

// Why returns paths by which one service depends on another, each from first
// edge to last, the shortest first. A path over hard edges is preferred to a
// shorter one over soft edges. There is more if truncated is true.
func (g *Graph) Why(ctx context.Context, from, to string, o WhyOptions) (paths [][]Edge, truncated bool, err error) {
	v, ok := g.index[from]
	if !ok {
		return nil, false, g.unknown(from)
	}
	w, ok := g.index[to]
	if !ok {
		return nil, false, g.unknown(to)
	}
	edges := sel{any: fStartup | fRuntime | fDeploy}
	hard := sel{fStartup | fRuntime | fDeploy, fSoft}
	if o.All {
		if o.Hard {
			edges = hard
		}
		return g.allPaths(ctx, v, w, edges, o.Limit)
	}
	// A way over hard edges is what takes the service down; only if there is none is
	// any other worth showing.
	path := g.shortestPath(v, w, hard)
	if path == nil && !o.Hard {
		path = g.shortestPath(v, w, edges)
	}
	if path == nil {
		return nil, false, nil
	}
	return [][]Edge{g.edgeList(path)}, false, nil
}

// shortestPath is a breadth-first search. From a service to itself, it finds
// the shortest cycle.
func (g *Graph) shortestPath(v, w int32, keep sel) []int32 {
	return g.pathTo(v, keep, func(u int32) bool { return u == w })
}

// pathTo finds a shortest path from v to any vertex for which end holds.
func (g *Graph) pathTo(v int32, keep sel, end func(int32) bool) []int32 {
	// By vertex, the edge over which it was found; v is not in it at first, so that a
	// way back to v can be found. A map, since a search often ends after a few steps in
	// a large graph.
	via := make(map[int32]int32)
	queue := []int32{v}
	for head := 0; head < len(queue); head++ {
		u := queue[head]
		for e := g.out[u]; e < g.out[u+1]; e++ {
			next := g.to[e]
			if _, seen := via[next]; seen || !keep.has(g.flags[e]) {
				continue
			}
			via[next] = e
			if end(next) {
				return g.trace(v, next, via)
			}
			queue = append(queue, next)
		}
	}
	return nil
}

// trace walks back from w to v over the edges by which a search came to each vertex,
// and returns them in order.
func (g *Graph) trace(v, w int32, via map[int32]int32) []int32 {
	var path []int32
	for at := w; ; {
		e := via[at]
		path = append(path, e)
		if at = g.owner(e); at == v {
			slices.Reverse(path)
			return path
		}
	}
}

// distances returns the number of edges from every service to w, or -1.
func (g *Graph) distances(w int32, keep sel) []int32 {
	dist := make([]int32, len(g.services))
	for i := range dist {
		dist[i] = -1
	}
	dist[w] = 0
	for queue := []int32{w}; len(queue) > 0; queue = queue[1:] {
		u := queue[0]
		for i := g.in[u]; i < g.in[u+1]; i++ {
			if v := g.from[i]; dist[v] < 0 && keep.has(g.flags[g.inEdge[i]]) {
				dist[v] = dist[u] + 1
				queue = append(queue, v)
			}
		}
	}
	return dist
}

// defaultPathLimit is that of WhyOptions.Limit.
const defaultPathLimit = 100

// maxPathSteps bounds the work of one question: a path that may visit nothing twice
// can run into many dead ends although each step by itself leads to the target.
const maxPathSteps = 5_000_000

// allPaths enumerates simple paths by length, by searching again and again
// with a greater limit and never into what cannot reach w in time.
func (g *Graph) allPaths(ctx context.Context, v, w int32, keep sel, limit int) (paths [][]Edge, truncated bool, err error) {
	if limit <= 0 {
		limit = defaultPathLimit
	}
	// How far each service is from the target at least: the walk never enters what
	// cannot reach it with the steps that are left, so nearly every step leads to a
	// path.
	dist := g.distances(w, keep)
	if dist[v] < 0 || v == w {
		return nil, false, nil
	}
	p := pathSearch{g: g, target: w, keep: keep, dist: dist, on: map[int32]bool{v: true}}
	// By length, so that the shortest come first and a limit cuts off the longest. Each
	// round walks again what the ones before have walked; the last one outweighs them.
	for length := dist[v]; ; length++ {
		p.longer, p.found, p.limit = false, nil, limit-len(paths)
		p.walk(ctx, v, length)
		for _, path := range p.found {
			paths = append(paths, g.edgeList(path))
		}
		switch {
		case ctx.Err() != nil:
			return nil, false, ctx.Err()
		// There may be more: it is not looked for, so truncated can be true of a list
		// that is complete.
		case len(paths) >= limit || p.steps > maxPathSteps:
			return paths, true, nil
		case !p.longer:
			return paths, false, nil
		}
	}
}

// pathSearch looks for the paths of exactly one length. on are the services of the path
// so far, dist how far each is from the target at least.
type pathSearch struct {
	g      *Graph
	target int32
	keep   sel
	dist   []int32
	on     map[int32]bool
	edges  []int32
	found  [][]int32
	limit  int
	longer bool // something was left out because of the length
	steps  int
}

// walk finds the paths from v to the target with exactly left edges. The
// recursion is as deep as a path is long.
func (p *pathSearch) walk(ctx context.Context, v, left int32) {
	g := p.g
	for e := g.out[v]; e < g.out[v+1]; e++ {
		if p.steps++; len(p.found) >= p.limit || p.steps > maxPathSteps || p.steps%4096 == 0 && ctx.Err() != nil {
			return
		}
		w := g.to[e]
		if !p.keep.has(g.flags[e]) || p.on[w] || p.dist[w] < 0 {
			continue
		}
		switch {
		case w == p.target:
			// With more steps left, this path was found in an earlier round.
			if left == 1 {
				p.found = append(p.found, append(slices.Clone(p.edges), e))
			}
		case p.dist[w] > left-1:
			p.longer = true
		default:
			p.on[w] = true
			p.edges = append(p.edges, e)
			p.walk(ctx, w, left-1)
			p.edges = p.edges[:len(p.edges)-1]
			delete(p.on, w)
		}
	}
}

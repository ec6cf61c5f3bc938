package depgraph

import (
	"iter"
	"math/bits"
	"slices"
)

// Graph is a set of services and their dependencies, compiled for questions.
// It never changes: to edit, compile again, which takes about as long as
// reading one manifest. All methods may be called from many goroutines.
//
// Vertices are numbered in order of their names, and edges are kept in
// compressed sparse rows in both directions: edge e of vertex v runs from
// out[v] to out[v+1]. Whatever an algorithm iterates over is therefore in the
// same order, whatever order the input had.
type Graph struct {
	services []Service // sorted by Name; Depends is nil, see Service
	names    []string  // of services, close together
	index    map[string]int32

	out   []int32 // len(services)+1 offsets into to, flags, ...
	to    []int32
	flags []flag
	group []int32 // index into groups, or -1
	file  []int32 // index into files
	line  []int32
	text  []int32 // index into texts; 0 is the empty text

	in      []int32 // len(services)+1 offsets into from, inEdge and inFlags
	from    []int32
	inEdge  []int32 // the edge as numbered in to
	inFlags []flag  // a copy of flags, so that walking backwards stays in one place

	groups   []group
	ownGroup []int32 // len(services)+1 offsets: groups of each service
	files    []string
	texts    []edgeText
	union    flag // all flags of all edges: what no edge has need not be looked for
}

// group is a quorum of alternatives.
//
// Its place and texts are kept here as well as at its edges, so that a group can be shown
// without looking for one of them.
type group struct {
	owner   int32
	need    int32
	members []int32 // sorted
	flags   flag
	file    int32
	line    int32
	text    int32
}

// sel selects edges: at least one flag of any, and none of none.
type sel struct{ any, none flag }

func (s sel) has(f flag) bool { return f&s.any != 0 && f&s.none == 0 }

// The selections that the algorithms share.
var (
	hardAny     = sel{fStartup | fRuntime, fSoft | fGroup}
	hardRuntime = sel{fRuntime, fSoft | fGroup}
	hardStartup = sel{fStartup, fSoft | fGroup}
)

// Len returns the number of services.
func (g *Graph) Len() int { return len(g.services) }

// EdgeCount returns the number of edges; a group counts one edge a member.
func (g *Graph) EdgeCount() int { return len(g.to) }

// GroupCount returns the number of any-of groups.
func (g *Graph) GroupCount() int { return len(g.groups) }

// Has reports whether the graph holds the service.
func (g *Graph) Has(name string) bool { _, ok := g.index[name]; return ok }

// Names returns the names of all services, sorted.
func (g *Graph) Names() []string {
	return slices.Clone(g.names)
}

// Service returns one service with its dependencies, in canonical order.
//
// Plain dependencies come in order of name, then groups in order of their members. The
// result is made anew each time, but for Waivers, which belong to the graph.
func (g *Graph) Service(name string) (Service, bool) {
	v, ok := g.index[name]
	if !ok {
		return Service{}, false
	}
	return g.serviceAt(v), true
}

// Services yields every service in order of name.
//
// Each is made as it is asked for: a loop over a large graph that needs names alone should
// take Names.
func (g *Graph) Services() iter.Seq[Service] {
	return func(yield func(Service) bool) {
		for v := range g.services {
			if !yield(g.serviceAt(int32(v))) {
				return
			}
		}
	}
}

// serviceAt rebuilds a service with its dependencies.
func (g *Graph) serviceAt(v int32) Service {
	s := g.services[v]
	for e := g.out[v]; e < g.out[v+1]; e++ {
		if g.group[e] >= 0 {
			continue
		}
		d := g.dependency(g.flags[e], g.text[e], g.position(g.file[e], g.line[e]))
		d.On = g.names[g.to[e]]
		s.Depends = append(s.Depends, d)
	}
	for i := g.ownGroup[v]; i < g.ownGroup[v+1]; i++ {
		gr := &g.groups[i]
		d := g.dependency(gr.flags, gr.text, g.position(gr.file, gr.line))
		d.AnyOf, d.Need = g.namesOf(gr.members), int(gr.need)
		s.Depends = append(s.Depends, d)
	}
	return s
}

// position is a place as it was given.
func (g *Graph) position(file, line int32) Position {
	return Position{File: g.files[file], Line: int(line)}
}

// Edges yields every edge, in order of From, then To.
func (g *Graph) Edges() iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		for v := range g.services {
			for e := g.out[v]; e < g.out[v+1]; e++ {
				if !yield(g.edge(int32(v), e)) {
					return
				}
			}
		}
	}
}

// EdgesFrom returns the edges of one service, in order of what they lead to; nil if
// there is no such service.
func (g *Graph) EdgesFrom(name string) []Edge {
	v, ok := g.index[name]
	if !ok {
		return nil
	}
	edges := make([]Edge, 0, g.out[v+1]-g.out[v])
	for e := g.out[v]; e < g.out[v+1]; e++ {
		edges = append(edges, g.edge(v, e))
	}
	return edges
}

// Dependents returns the edges that lead to one service, in order of where they come
// from; nil if there is no such service.
func (g *Graph) Dependents(name string) []Edge {
	v, ok := g.index[name]
	if !ok {
		return nil
	}
	edges := make([]Edge, 0, g.in[v+1]-g.in[v])
	for i := g.in[v]; i < g.in[v+1]; i++ {
		edges = append(edges, g.edge(g.from[i], g.inEdge[i]))
	}
	return edges
}

// edge rebuilds edge e of vertex v. It allocates nothing: Edges is called over whole
// graphs.
func (g *Graph) edge(v, e int32) (edge Edge) {
	d := g.dependency(g.flags[e], g.text[e], g.position(g.file[e], g.line[e]))
	edge.fill(&d)
	edge.From, edge.To = g.names[v], g.names[g.to[e]]
	if i := g.group[e]; i >= 0 {
		edge.Group = int(i-g.ownGroup[v]) + 1
		edge.Need, edge.Of = int(g.groups[i].need), len(g.groups[i].members)
	}
	return edge
}

// edgeOf is edge for callers that know only the edge's number.
func (g *Graph) edgeOf(e int32) Edge { return g.edge(g.owner(e), e) }

// owner finds the vertex that edge e leaves.
//
// O(log services). Algorithms that walk rows know the owner.
func (g *Graph) owner(e int32) int32 {
	v, found := slices.BinarySearch(g.out, e)
	if !found {
		return int32(v) - 1
	}
	for g.out[v+1] == e { // skip services without edges
		v++
	}
	return int32(v)
}

// namesOf returns the names of vertices, in the same order.
func (g *Graph) namesOf(vs []int32) []string {
	names := make([]string, len(vs))
	for i, v := range vs {
		names[i] = g.names[v]
	}
	return names
}

// sortedNames returns the names of the vertices for which in holds.
//
// The list is empty and not nil if there are none, as reports write it.
func (g *Graph) sortedNames(in func(v int32) bool) []string {
	names := []string{}
	for v, name := range g.names {
		if in(int32(v)) {
			names = append(names, name)
		}
	}
	return names
}

// sortVertices sorts different vertices of a graph with n; a large share of
// them by marking, in linear time.
func sortVertices(vs []int32, n int) {
	if len(vs) < n/64 {
		slices.Sort(vs)
		return
	}
	marks := make([]uint64, (n+63)/64)
	for _, v := range vs {
		marks[v/64] |= 1 << (v % 64)
	}
	i := 0
	for w, word := range marks {
		for ; word != 0; word &= word - 1 {
			vs[i] = int32(w*64 + bits.TrailingZeros64(word))
			i++
		}
	}
}

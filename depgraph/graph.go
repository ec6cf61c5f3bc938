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
type group struct {
	owner   int32
	need    int32
	members []int32 // sorted
	flags   flag
	file    int32
	line    int32
	text    int32
}

// edgeText holds what few edges say.
type edgeText struct{ evidence, breakGlass, fallback, note, source string }

// flag is a set of properties of an edge.
type flag uint16

const (
	fStartup flag = 1 << iota // the first three bits are the Phase
	fRuntime
	fDeploy
	fSoft
	fGroup // a member of a group that can lose a member
	fControl
	fPinned
	fBreakGlass
	fLiveness
	fAssumed
	fWeak    // orders and never blocks; always with fSoft, never with fRuntime
	fStarted // with fStartup: until started; with fReady as well: until done
	fReady   // with fStartup: until ready
)

// fEarly selects startup edges that do not wait until the other one serves.
const fEarly = fStarted | fReady

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
func (g *Graph) Service(name string) (Service, bool) {
	v, ok := g.index[name]
	if !ok {
		return Service{}, false
	}
	return g.serviceAt(v), true
}

// Services yields every service in order of name.
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

func (g *Graph) dependency(f flag, text int32, at Position) Dependency {
	t := &g.texts[text]
	return Dependency{
		Soft: f&(fSoft|fWeak) == fSoft, Phase: Phase(f & (fStartup | fRuntime | fDeploy)), Plane: planeOf(f),
		Until: untilOf(f), Weak: f&fWeak != 0, Assumed: f&fAssumed != 0,
		Evidence: t.evidence, BreakGlass: t.breakGlass, Fallback: t.fallback, Note: t.note, Source: t.source,
		Pinned: f&fPinned != 0, Liveness: f&fLiveness != 0, At: at,
	}
}

// untilOf is the inverse of untilFlags. An edge without the phase of startup,
// and one that waits as long as it can, has UntilUnknown.
func untilOf(f flag) Until {
	switch f & fEarly {
	case fStarted:
		return Started
	case fReady:
		return Ready
	case fEarly:
		return Done
	}
	return UntilUnknown
}

func untilFlags(u Until) flag {
	switch u {
	case Started:
		return fStarted
	case Ready:
		return fReady
	case Done:
		return fEarly
	}
	return 0
}

func planeOf(f flag) Plane {
	if f&fControl != 0 {
		return Control
	}
	return Data
}

func (g *Graph) position(file, line int32) Position {
	return Position{File: g.files[file], Line: int(line)}
}

// Edge is one dependency between two services.
type Edge struct {
	From, To string // From depends on To
	Soft     bool   // From works without To
	Phase    Phase  // when From needs To
	Plane    Plane  // the part of To that is used
	// Until is UntilUnknown where the default, Serving, holds. An edge with
	// another value, and a Weak one, has the phase Startup alone: what a
	// dependency says about run time as well is an edge of its own.
	Until   Until
	Weak    bool
	Assumed bool
	// Group counts from 1 among the groups of From; 0 means no group. Need is
	// that group's quorum and Of its size.
	Group, Need, Of int
	Evidence        string
	BreakGlass      string
	Fallback        string
	Pinned          bool
	Liveness        bool
	Note, Source    string
	At              Position
}

// Strength returns "hard", "soft", "weak", or for a group "any 1 of 2".
func (e Edge) Strength() string {
	word := "hard"
	switch {
	case e.Weak:
		word = "weak"
	case e.Soft:
		word = "soft"
	}
	if e.Group == 0 || e.Need == e.Of {
		return word
	}
	quorum := "any " + itoa(e.Need) + " of " + itoa(e.Of)
	if word != "hard" {
		return word + " " + quorum
	}
	return quorum
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

// EdgesFrom returns the edges of one service.
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

// Dependents returns the edges that lead to one service.
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

func (g *Graph) edge(v, e int32) Edge {
	d := g.dependency(g.flags[e], g.text[e], g.position(g.file[e], g.line[e]))
	edge := Edge{
		From: g.names[v], To: g.names[g.to[e]], Soft: d.Soft, Phase: d.Phase, Plane: d.Plane,
		Until: d.Until, Weak: d.Weak, Assumed: d.Assumed,
		Evidence: d.Evidence, BreakGlass: d.BreakGlass, Fallback: d.Fallback, Pinned: d.Pinned, Liveness: d.Liveness,
		Note: d.Note, Source: d.Source, At: d.At,
	}
	if i := g.group[e]; i >= 0 {
		edge.Group = int(i-g.ownGroup[v]) + 1
		edge.Need, edge.Of = int(g.groups[i].need), len(g.groups[i].members)
	}
	return edge
}

// edgeOf is edge for callers that know only the edge's number.
func (g *Graph) edgeOf(e int32) Edge { return g.edge(g.owner(e), e) }

// owner finds the vertex that edge e leaves.
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

func (g *Graph) namesOf(vs []int32) []string {
	names := make([]string, len(vs))
	for i, v := range vs {
		names[i] = g.names[v]
	}
	return names
}

// sortedNames returns the names of the vertices for which in holds.
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

package depgraph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dominikbraun/graph"
)

// ErrReadOnly is returned by everything that would change a View.
var ErrReadOnly = errors.New("depgraph: the graph is read-only; compile a new one")

// View returns the graph as a directed graph of github.com/dominikbraun/graph,
// so that every algorithm of that library can be used. It copies nothing: the
// view is a read-only store over the compiled rows, and changing it fails with
// ErrReadOnly.
//
// The library knows one edge for each pair of services. Where there are
// several (hard at startup and soft at run time, say), the Data of the edge's
// properties holds all of them, as a []Edge; its Weight is their number, and
// its attribute "strength" is "hard" if one of them is.
//
// The library builds maps of the whole graph for most algorithms. Up to about
// 1,000 services nobody notices; above 5,000, use the methods of Graph: the
// library's TopologicalSort takes quadratic time, and its
// StronglyConnectedComponents recurses as deep as the graph is.
func (g *Graph) View() graph.Graph[string, Service] {
	return graph.NewWithStore(func(s Service) string { return s.Name }, graph.Store[string, Service](view{g}), graph.Directed())
}

// view implements graph.Store, and the EdgeCount that the library's next
// release asks for.
type view struct{ g *Graph }

// Vertex returns a service; graph.ErrVertexNotFound, which the library looks for, if
// there is none.
func (v view) Vertex(name string) (Service, graph.VertexProperties, error) {
	s, ok := v.g.Service(name)
	if !ok {
		return s, graph.VertexProperties{}, graph.ErrVertexNotFound
	}
	return s, vertexProperties(&s), nil
}

// vertexProperties makes new maps each time: the library hands them out.
func vertexProperties(s *Service) graph.VertexProperties {
	p := graph.VertexProperties{Attributes: map[string]string{}}
	for key, value := range map[string]string{"owner": s.Owner, "kind": s.Kind.String(), "criticality": s.Criticality.String()} {
		if value != "" {
			p.Attributes[key] = value
		}
	}
	return p
}

func (v view) ListVertices() ([]string, error) { return v.g.Names(), nil }
func (v view) VertexCount() (int, error)       { return v.g.Len(), nil }

// Edge finds the first edge of a pair by binary search, as rows are sorted.
func (v view) Edge(from, to string) (graph.Edge[string], error) {
	a, ok := v.g.index[from]
	if !ok {
		return graph.Edge[string]{}, graph.ErrEdgeNotFound
	}
	b, ok := v.g.index[to]
	if !ok {
		return graph.Edge[string]{}, graph.ErrEdgeNotFound
	}
	row := v.g.to[v.g.out[a]:v.g.out[a+1]]
	i, found := slices.BinarySearch(row, b)
	if !found {
		return graph.Edge[string]{}, graph.ErrEdgeNotFound
	}
	e, _ := v.pair(a, v.g.out[a]+int32(i))
	return e, nil
}

// pair returns the library's edge for all edges that lead from v to the same
// service as e, the first of them, and the number of the edge after them.
func (v view) pair(from, e int32) (graph.Edge[string], int32) {
	g := v.g
	to, next := g.to[e], e
	var all []Edge
	strength := "weak"
	for ; next < g.out[from+1] && g.to[next] == to; next++ {
		edge := g.edge(from, next)
		switch {
		case !edge.Soft && !edge.Weak:
			strength = "hard"
		case edge.Soft && strength == "weak":
			strength = "soft"
		}
		all = append(all, edge)
	}
	return graph.Edge[string]{
		Source: g.services[from].Name, Target: g.services[to].Name,
		Properties: graph.EdgeProperties{Attributes: map[string]string{"strength": strength}, Weight: len(all), Data: all},
	}, next
}

// ListEdges lists pairs, in order of name.
func (v view) ListEdges() ([]graph.Edge[string], error) {
	edges := make([]graph.Edge[string], 0, len(v.g.to))
	for from := range v.g.services {
		for e := v.g.out[from]; e < v.g.out[from+1]; {
			var edge graph.Edge[string]
			edge, e = v.pair(int32(from), e)
			edges = append(edges, edge)
		}
	}
	return edges, nil
}

// EdgeCount counts pairs, as the library does.
func (v view) EdgeCount() (int, error) {
	n := 0
	for from := range v.g.services {
		for e := v.g.out[from]; e < v.g.out[from+1]; e++ {
			if e == v.g.out[from] || v.g.to[e] != v.g.to[e-1] {
				n++
			}
		}
	}
	return n, nil
}

func (view) AddVertex(string, Service, graph.VertexProperties) error { return ErrReadOnly }
func (view) RemoveVertex(string) error                               { return ErrReadOnly }
func (view) AddEdge(string, string, graph.Edge[string]) error        { return ErrReadOnly }
func (view) UpdateEdge(string, string, graph.Edge[string]) error     { return ErrReadOnly }
func (view) RemoveEdge(string, string) error                         { return ErrReadOnly }
func (v view) CreatesCycle(source, target string) (bool, error) {
	return v.g.createsCycle(source, target)
}

// createsCycle is the hook by which the library's main branch asks a store.
func (g *Graph) createsCycle(source, target string) (bool, error) {
	a, ok := g.index[source]
	if !ok {
		return false, graph.ErrVertexNotFound
	}
	b, ok := g.index[target]
	if !ok {
		return false, graph.ErrVertexNotFound
	}
	return a == b || g.shortestPath(b, a, sel{any: fStartup | fRuntime | fDeploy}) != nil, nil
}

// FromGraph compiles a graph of github.com/dominikbraun/graph. The functions
// say what a vertex and an edge mean; either may be nil. Without edge, an edge
// whose Data is a []Edge, as made by View, becomes those edges, and any other
// one a hard dependency.
//
// Names must not be empty: the library's component search is wrong for the
// zero value. The graph must be directed. Nothing of it is kept.
func FromGraph[T any](lib graph.Graph[string, T], service func(name string, value T) Service, edge func(graph.Edge[string]) Dependency) (*Graph, error) {
	if !lib.Traits().IsDirected {
		return nil, errors.New("depgraph: FromGraph needs a directed graph")
	}
	adjacency, err := lib.AdjacencyMap()
	if err != nil {
		return nil, fmt.Errorf("depgraph: FromGraph: %w", err)
	}
	services := make([]Service, 0, len(adjacency))
	for name, targets := range adjacency {
		s := Service{}
		if service != nil {
			value, err := lib.Vertex(name)
			if err != nil {
				return nil, fmt.Errorf("depgraph: FromGraph: %q: %w", name, err)
			}
			s = service(name, value)
		}
		s.Name, s.Depends = name, nil
		var members []member
		for _, e := range targets {
			if data, ok := e.Properties.Data.([]Edge); ok && edge == nil {
				members = append(members, membersOf(data)...)
				continue
			}
			d := Dependency{}
			if edge != nil {
				d = edge(e)
			}
			d.On, d.AnyOf, d.Need = e.Target, nil, 0
			members = append(members, member{Dependency: d})
		}
		s.Depends = regroup(members)
		services = append(services, s)
	}
	return Compile(services, Options{})
}

// member is an edge as a dependency again. One of a group's names itself alone,
// until regroup has seen all members.
type member struct {
	Dependency
	group int // from 1; 0: it is no member
}

// membersOf turns edges of a view back into dependencies; those of groups are left
// apart for regroup.
func membersOf(edges []Edge) []member {
	all := make([]member, len(edges))
	for i, e := range edges {
		all[i] = member{group: e.Group, Dependency: e.dependency()}
		if e.Group > 0 {
			all[i].On, all[i].AnyOf, all[i].Need = "", []string{e.To}, e.Need
		}
	}
	return all
}

// regroup joins the members of each group again.
func regroup(members []member) []Dependency {
	var out []Dependency
	at := map[int]int{} // the place of a group in out
	for _, m := range members {
		if i, ok := at[m.group]; ok && m.group > 0 {
			out[i].AnyOf = append(out[i].AnyOf, m.AnyOf...)
			continue
		}
		at[m.group] = len(out)
		out = append(out, m.Dependency)
	}
	for i := range out {
		slices.Sort(out[i].AnyOf)
	}
	return out
}

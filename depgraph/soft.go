package depgraph

import "slices"

// WithSoft returns the graph as it would be if the edges were soft. An edge
// of a group softens the whole group. The graph itself does not change.
func (g *Graph) WithSoft(refs ...EdgeRef) (*Graph, error) {
	soft, err := g.softened(refs)
	if err != nil {
		return nil, err
	}
	return g.withSoftEdges(soft), nil
}

// withSoftEdges shares everything with the graph that does not change: only flags and
// groups are copied.
func (g *Graph) withSoftEdges(soft map[int32]bool) *Graph {
	if len(soft) == 0 {
		return g
	}
	changed := *g
	changed.union |= fSoft
	changed.flags, changed.groups = slices.Clone(g.flags), slices.Clone(g.groups)
	changed.inFlags = slices.Clone(g.inFlags)
	for i, e := range g.inEdge {
		if soft[e] {
			changed.inFlags[i] |= fSoft
		}
	}
	for e := range soft {
		changed.flags[e] |= fSoft
		if i := g.group[e]; i >= 0 && g.flags[e]&fGroup != 0 {
			changed.groups[i].flags |= fSoft
		}
	}
	return &changed
}

// Refs returns the names of the edges' ends.
func Refs(edges []Edge) []EdgeRef {
	refs := make([]EdgeRef, len(edges))
	for i, e := range edges {
		refs[i] = EdgeRef{e.From, e.To}
	}
	return refs
}

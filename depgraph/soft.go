package depgraph

import "slices"

// WithSoft returns the graph as it would be if the edges were soft. An edge
// of a group softens the whole group. The graph itself does not change.
//
// An edge is named by its ends, and all edges between the two are meant. A name or an edge
// that is not there is an error. It is what the command line asks with "what if"; a group
// that needs all of its members is as good as so many needs, and softened edge by edge.
func (g *Graph) WithSoft(refs ...EdgeRef) (*Graph, error) {
	soft, err := g.softened(refs)
	if err != nil {
		return nil, err
	}
	return g.withSoftEdges(soft), nil
}

// withSoftEdges shares everything with the graph that does not change: only flags and
// groups are copied.
//
// The copies of flags in inFlags, of groups and of union follow, since each is read by
// some algorithm alone.
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
//
// It turns Component.Soften or Order.Broken into what WithSoft and AvailOptions.Soften
// take.
func Refs(edges []Edge) []EdgeRef {
	refs := make([]EdgeRef, len(edges))
	for i, e := range edges {
		refs[i] = EdgeRef{e.From, e.To}
	}
	return refs
}

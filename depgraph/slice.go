package depgraph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Slice returns the graph of some services and of the dependencies between
// them. A group of alternatives that loses members keeps the others, and its
// quorum as far as they reach. It is for drawings and exports: what a slice
// says about an outage leaves out what was cut off.
//
// A name that is not there is an error; one that occurs twice counts once.
func (g *Graph) Slice(names []string) (*Graph, error) {
	in := make(map[string]bool, len(names))
	for _, n := range names {
		if !g.Has(n) {
			return nil, g.unknown(n)
		}
		in[n] = true
	}
	var services []Service
	for v, n := range g.names {
		if in[n] {
			services = append(services, g.sliced(int32(v), in))
		}
	}
	return Compile(services, Options{})
}

// sliced is a service with what is left of it: dependencies within the set, groups that
// lost members, and waivers about what is still there.
//
// A group without members is gone.
func (g *Graph) sliced(v int32, in map[string]bool) Service {
	s := g.serviceAt(v)
	var kept []Dependency
	for _, d := range s.Depends {
		if len(d.AnyOf) > 0 {
			d.AnyOf = slices.DeleteFunc(slices.Clone(d.AnyOf), func(n string) bool { return !in[n] })
			// Of two needed with one left, one is needed.
			d.Need = min(d.Need, len(d.AnyOf))
		}
		if len(d.AnyOf) > 0 || in[d.On] {
			kept = append(kept, d)
		}
	}
	s.Depends = kept
	s.Waivers = slices.DeleteFunc(slices.Clone(s.Waivers), func(w Waiver) bool { return w.On != "" && !in[w.On] })
	return s
}

// CollapseBy says what becomes one node of a collapsed graph.
type CollapseBy string

// The ways to collapse a graph.
const (
	ByOwner       CollapseBy = "owner"
	ByKind        CollapseBy = "kind"
	ByCriticality CollapseBy = "criticality"
	// ByFolder takes the folder of the manifest.
	ByFolder CollapseBy = "folder"
)

// ParseCollapse reads owner, kind, criticality or folder.
func ParseCollapse(s string) (CollapseBy, error) {
	all := []string{string(ByOwner), string(ByKind), string(ByCriticality), string(ByFolder)}
	if slices.Contains(all, s) {
		return CollapseBy(s), nil
	}
	return "", notOneOf("collapse", all, s)
}

// Collapse returns the graph of groups of services. An edge between two groups
// is as strong as the strongest between their members, phase by phase; one that
// an any-of group does not need alone counts as soft. Its note says how many
// there are, and its place is that of the first. What lies inside a group is
// gone.
//
// It is for drawings of what is too large to be drawn, and for the question which team
// depends on which.
func (g *Graph) Collapse(by CollapseBy) (*Graph, error) {
	groups := map[string]*Service{}
	sizes := map[string]int{}
	of := make([]string, len(g.services))
	for v := range g.services {
		s := &g.services[v]
		name := groupName(by, s)
		of[v] = name
		sizes[name]++
		if groups[name] == nil {
			groups[name] = &Service{Name: name, Owner: s.Owner, Kind: s.Kind, Criticality: s.Criticality, At: s.At}
		}
		// The group is as critical as its most critical member; an owner or a kind is
		// said only if all agree. Services come in order of name, so At is that of the
		// first.
		merged := groups[name]
		merged.Criticality = max(merged.Criticality, s.Criticality)
		if merged.Kind != s.Kind {
			merged.Kind = KindUnknown
		}
		if merged.Owner != s.Owner {
			merged.Owner = ""
		}
	}
	for _, d := range g.between(of) {
		groups[d.from].Depends = append(groups[d.from].Depends, d.Dependency)
	}
	// A map's order, which Compile puts right.
	services := make([]Service, 0, len(groups))
	for name, s := range groups {
		s.Note = fmt.Sprintf("%d services", sizes[name])
		if sizes[name] == 1 {
			s.Note = "1 service"
		}
		services = append(services, *s)
	}
	return Compile(services, Options{})
}

// groupName is the node of a collapsed graph that a service belongs to. What says
// nothing has a node of its own, with a name in parentheses.
func groupName(by CollapseBy, s *Service) string {
	name := ""
	switch by {
	case ByOwner:
		name = s.Owner
	case ByKind:
		name = s.Kind.String()
	case ByCriticality:
		name = s.Criticality.String()
	case ByFolder:
		if i := strings.LastIndexByte(s.At.File, '/'); i > 0 {
			name = s.At.File[:i]
		}
	}
	return cmp.Or(strings.TrimSpace(name), "(no "+string(by)+")")
}

// groupEdge is a merged dependency and the group that has it.
type groupEdge struct {
	from string
	Dependency
}

// between merges the edges between groups.
//
// In the order of the first edge of each, which is that of names.
func (g *Graph) between(of []string) []groupEdge {
	type key struct {
		from, to string
		phase    flag
	}
	merged := map[key]*groupEdge{}
	counts := map[key]int{}
	var order []key
	for v := range g.services {
		for e := g.out[v]; e < g.out[v+1]; e++ {
			// An edge of two phases counts in each: it may be merged with a soft one in
			// one of them only.
			for _, phase := range []flag{fStartup, fRuntime, fDeploy} {
				k := key{of[v], of[g.to[e]], phase}
				f := g.flags[e]
				if k.from == k.to || f&phase == 0 {
					continue
				}
				soft := f&(fSoft|fGroup) != 0
				if merged[k] == nil {
					merged[k] = &groupEdge{k.from, Dependency{On: k.to, Phase: Phase(phase), Soft: soft, At: g.position(g.file[e], g.line[e])}}
					order = append(order, k)
				}
				merged[k].Soft = merged[k].Soft && soft
				counts[k]++
			}
		}
	}
	edges := make([]groupEdge, 0, len(order))
	for _, k := range order {
		merged[k].Note = fmt.Sprintf("%d dependencies", counts[k])
		if counts[k] == 1 {
			merged[k].Note = "1 dependency"
		}
		edges = append(edges, *merged[k])
	}
	return edges
}

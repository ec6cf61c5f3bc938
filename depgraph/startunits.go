package depgraph

import "slices"

// runtimeGroups reports whether alternatives are needed only to serve. Then a
// cycle may come up through one member late, or together at once.
//
// This file is about services that need each other at run time: units, which serve at one
// moment, and tangled ones, in which alternatives let a part serve before the rest. Most
// graphs have none, and start.go does without.
func (s *starter) runtimeGroups() bool {
	for i := range s.g.groups {
		if s.serveGroup(i) {
			return true
		}
	}
	return false
}

// makeUnits groups services that need each other at run time. Edges that are
// needed at startup as well are not looked at: what is launched has them.
//
// O(services + edges).
func (s *starter) makeUnits() {
	g := s.g
	comp, count := g.components(sel{fRuntime, fSoft | fStartup | s.skip})
	s.unit, s.members, s.tangled, s.isDirty = comp, make([][]int32, count), make([]bool, count), make([]bool, count)
	for v, c := range comp {
		s.members[c] = append(s.members[c], int32(v))
	}
	for i := range g.groups {
		if gr := &g.groups[i]; s.serveGroup(i) && slices.ContainsFunc(gr.members, func(m int32) bool { return comp[m] == comp[gr.owner] }) {
			s.tangled[comp[gr.owner]] = true
		}
	}
}

// serveGroup reports whether a group is needed only to serve.
func (s *starter) serveGroup(i int) bool {
	f := s.g.groups[i].flags
	return s.counts(f) && f&fStartup == 0 && s.g.partial(i)
}

// inside reports whether a need of v is met together with v, in its unit.
func (s *starter) inside(v, w int32) bool { return s.unit != nil && s.unit[v] == s.unit[w] }

// innerGroup reports whether some alternative of the group is in the owner's unit.
//
// Such a group is not counted but looked at as a whole, by untangle.
func (s *starter) innerGroup(gr *group) bool {
	return s.unit != nil && s.tangled[s.unit[gr.owner]] && slices.ContainsFunc(gr.members, func(m int32) bool { return s.inside(gr.owner, m) })
}

// touch notes a tangled unit to be looked at again, once.
func (s *starter) touch(c int32) {
	if !s.isDirty[c] {
		s.isDirty[c] = true
		s.dirty = append(s.dirty, c)
	}
}

// untangle finds the greatest set of ready members of a unit each of which has
// what it needs among them and what serves already.
func (s *starter) untangle(c int32) {
	// All that are ready are taken in, and those whose needs are not met inside are put
	// out until nothing changes. What is left needs nobody else: the greatest fixpoint,
	// O(rounds × edges inside).
	in := map[int32]bool{}
	for _, v := range s.members[c] {
		if s.active[v] && s.serveWait[v] == 0 && !s.serves[v] {
			in[v] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, v := range s.members[c] {
			if in[v] && !s.servesWith(v, in) {
				delete(in, v)
				changed = true
			}
		}
	}
	for _, v := range s.members[c] {
		if in[v] {
			s.serve(v)
		}
	}
}

// servesWith reports whether the needs of v inside its unit are met.
//
// What it needs outside the unit has been counted off before.
func (s *starter) servesWith(v int32, in map[int32]bool) bool {
	g := s.g
	for e := g.out[v]; e < g.out[v+1]; e++ {
		w, f := g.to[e], g.flags[e]
		if s.counts(f) && f&(fStartup|fGroup) == 0 && s.inside(v, w) && !s.serves[w] && !in[w] {
			return false
		}
	}
	for i := g.ownGroup[v]; i < g.ownGroup[v+1]; i++ {
		gr := &g.groups[i]
		if !s.serveGroup(int(i)) || !s.innerGroup(gr) {
			continue
		}
		up := int32(0)
		for _, m := range gr.members {
			if s.serves[m] || in[m] {
				up++
			}
		}
		if up < gr.need {
			return false
		}
	}
	return true
}

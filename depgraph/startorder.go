package depgraph

import "slices"

// Which orders a start keeps: those of weak and soft edges whose both ends are
// part of it, but for those that contradict others. See starter.

// honour marks the soft orders whose both ends are part of the start.
//
// It reports whether there are any; if not, the run that has been made is the answer.
func (s *starter) honour() bool {
	g, any := s.g, false
	if g.union&fSoft == 0 {
		return false
	}
	for v := range g.services {
		if !s.launched[v] {
			continue
		}
		for e := g.out[v]; e < g.out[v+1]; e++ {
			// An order counts if the event it waits for happened in the run without
			// orders: otherwise the other end is no part of this start, and waiting for
			// it would never end.
			f := g.flags[e]
			if f&(fStartup|fSoft) != fStartup|fSoft || s.gone[e] || !s.happened(e) {
				continue
			}
			if !any {
				// Made with the first order that there is, as most graphs have none.
				// What happened is copied, since the runs that follow begin from
				// nothing; pending needs it.
				s.honoured, s.dropped, any = make([]bool, len(g.to)), make([]bool, len(g.to)), true
				s.canLaunch, s.canServe = slices.Clone(s.launched), slices.Clone(s.serves)
			}
			s.honoured[e] = true
		}
	}
	for i := range g.groups { // a quorum that is never reached orders nothing
		if gr := &g.groups[i]; any && g.partial(i) && gr.flags&fSoft != 0 {
			s.honourGroup(int32(i), gr)
		}
	}
	return any
}

// honourGroup takes the orders of a group back if fewer of its members than its quorum
// are part of the start: they would order for ever.
//
// O(edges of the owner).
func (s *starter) honourGroup(i int32, gr *group) {
	count := int32(0)
	edges := s.g.groupEdges(i)
	for _, e := range edges {
		if s.honoured[e] {
			count++
		}
	}
	for _, e := range edges {
		s.honoured[e] = s.honoured[e] && count >= gr.need
	}
}

// release is called when nothing moves. What could still be launched is then
// held back by orders alone, and these contradict each other or a need. Among
// the events that wait for each other and for nothing else, it gives up the
// orders of the service that has fewest left.
//
// Which of them is given up is a choice: the feedback arc set that is least overall is
// hard to find, and an order is a wish. One service gives up its own orders, so that
// what is dropped can be named in one place, and ties go to the smaller name, so that
// it is the same each time. O(services + edges) a call; each call launches something.
func (s *starter) release() {
	p := s.pending()
	comp, count := components(p.out, p.to, p.flags, sel{any: fStartup})
	// A component without an arc that leaves it waits for nothing but itself. There is
	// one, since components have no circle; the others are held by it, and may come
	// free without losing anything.
	waits := make([]bool, count) // for another component
	for v := range comp {
		for a := p.out[v]; a < p.out[v+1]; a++ {
			waits[comp[v]] = waits[comp[v]] || comp[p.to[a]] != comp[v]
		}
	}
	// Of each such component, the launch that orders alone hold, with the fewest left.
	best := slices.Repeat([]int32{-1}, int(count))
	for v := range s.active {
		if !s.free(int32(v)) {
			continue
		}
		if c := comp[v]; !waits[c] && (best[c] < 0 || s.weakWait[v] < s.weakWait[best[c]]) {
			best[c] = int32(v)
		}
	}
	for _, v := range best {
		if v >= 0 {
			s.drop(v)
		}
	}
	for v := int32(0); len(s.launchable) == 0 && int(v) < len(s.active); v++ { // never needed, but a start must end
		if s.free(v) {
			s.drop(v)
		}
	}
}

// free reports whether only orders hold v back.
//
// Such a service can be launched at once if its orders are given up.
func (s *starter) free(v int32) bool {
	return s.active[v] && !s.launched[v] && s.launchWait[v] == 0 && s.weakWait[v] > 0
}

// drop gives up the orders that v still waits for.
func (s *starter) drop(v int32) {
	g := s.g
	for e := g.out[v]; e < g.out[v+1]; e++ {
		// A group that has its quorum holds nothing any more; its late members are not
		// contradicted.
		if i := g.group[e]; g.flags[e]&fGroup != 0 && s.have[i] >= g.groups[i].need {
			continue
		}
		if s.honoured[e] && (g.flags[e]&fGroup != 0 || !s.happened(e)) {
			s.honoured[e], s.dropped[e] = false, true
		}
	}
	// All of v's orders are gone, so nothing holds it: needs were at 0 already, see
	// free.
	s.weakWait[v] = 0
	s.launchable = append(s.launchable, v)
}

// happened reports whether the event that edge e waits for is past.
//
// For a job, which is done, that is being ready: its own start is all that it does.
func (s *starter) happened(e int32) bool {
	if w := s.g.to[e]; s.g.flags[e]&fEarly == 0 {
		return s.serves[w]
	} else if s.g.flags[e]&fEarly == fStarted {
		return s.launched[w]
	} else {
		return s.ready[w]
	}
}

// pending is the graph of what still waits for what: node v is the launch of
// v, node n+v its serving. What never happens is left out.
//
// It is made again for each release, since every launch changes it.
func (s *starter) pending() *net {
	g, n := s.g, int32(len(s.g.services))
	p := &net{out: make([]int32, 1, 2*n+1)}
	add := func(to int32) { p.to, p.flags = append(p.to, to), append(p.flags, fStartup) }
	for v := range n {
		// A launch waits for the serving of the other end, or for no more than its
		// launch. An end that never gets that far is left out: it holds with or without
		// orders.
		for e := g.out[v]; s.active[v] && !s.launched[v] && e < g.out[v+1]; e++ {
			switch w, f := g.to[e], g.flags[e]; {
			case !s.orders(e, f) || s.happened(e):
			case f&fEarly == 0 && s.canServe[w]:
				add(n + w)
			case f&fEarly != 0 && s.canLaunch[w]:
				add(w)
			}
		}
		p.out = append(p.out, int32(len(p.to)))
	}
	for v := range n {
		// Serving waits for the launch of the same service first.
		if s.active[v] && !s.launched[v] {
			add(v)
		}
		for e := g.out[v]; s.active[v] && !s.serves[v] && e < g.out[v+1]; e++ {
			if f := g.flags[e]; s.counts(f) && f&fStartup == 0 && !s.serves[g.to[e]] && s.canServe[g.to[e]] {
				add(n + g.to[e])
			}
		}
		p.out = append(p.out, int32(len(p.to)))
	}
	return p
}

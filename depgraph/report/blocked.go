package report

import (
	"io"
	"slices"

	"github.com/failopen/failopen/depgraph"
)

// BlockedText says what holds a service, for the person who waits for it: first
// how far it is and what blocks it, then the chain from it to the root, one
// step a line with the place of the declaration, then what to do about the root
// and whom to call, and at the end what else is in the way. g is the graph that
// b was computed from; it supplies owners and verify steps.
//
// The four cases of the first line are those of depgraph.Blocked: the service
// is up; it is held by nothing but itself; it has a root; or there is only a
// circle of services that wait for each other.
func BlockedText(w io.Writer, g *depgraph.Graph, b *depgraph.Blocked, o ...TextOptions) error {
	p := newPrinter(w, o...)
	name := clean(b.Service)
	switch {
	case b.State >= depgraph.IsServing:
		state := "up"
		if b.State == depgraph.IsDone {
			state = "up or done"
		}
		p.f("%s is %s; nothing blocks it\n", name, state)
	case b.Root == b.Service:
		p.f("%s is %s, and nothing blocks it: %s\n", name, b.State, nextStep(b.RootState))
	case b.Root != "":
		p.f("%s is %s, blocked by %s\n", name, b.State, clean(b.Root))
	default:
		p.f("%s is %s, blocked by services that wait for each other\n", name, b.State)
	}
	// The chain is printed even if it has one step: it says where to look in
	// the manifests.
	for _, h := range b.Chain {
		p.f("  %s waits for %s to be %s, and it is %s   %s   %s\n", clean(h.Edge.From), clean(h.Edge.To), h.Wanted, h.State, describe(h.Edge), place(h.Edge.At))
	}
	if b.Root != "" && b.Root != b.Service {
		root, _ := g.Service(b.Root)
		p.f("next: %s is %s: %s", clean(b.Root), b.RootState, nextStep(b.RootState))
		if root.Owner != "" {
			p.f(" (owner %s)", clean(root.Owner))
		}
		if root.Verify != "" {
			p.f("; verify: %s", clean(root.Verify))
		}
		p.f("\n")
	}
	// Other roots are either alternatives to the first one, of which one is
	// enough, or block the service as well. To mix them up would send people to
	// start things that nobody needs. Roots is cloned, as it belongs to the
	// caller.
	others := slices.DeleteFunc(slices.Clone(b.Roots), func(n string) bool { return n == b.Root })
	if instead := alternatives(g, b, others); len(instead) > 0 {
		p.list("or instead of "+clean(b.Root)+": ", instead)
		others = slices.DeleteFunc(others, func(n string) bool { return slices.Contains(instead, n) })
	}
	if len(others) > 0 {
		p.list("also in the way: ", others)
	}
	// A circle below a root is what is left once the root serves; without a
	// root it is the whole answer, and the first line has said so.
	if b.Root != "" && len(b.Circle) > 0 {
		p.f("and then these wait for each other:\n")
	}
	for _, e := range b.Circle {
		how := "the manifests do not say how to get past it"
		if e.BreakGlass != "" {
			how = "by hand: " + e.BreakGlass
		}
		p.f("  %s needs %s   %s   %s   %s\n", clean(e.From), clean(e.To), describe(e), place(e.At), clean(how))
	}
	if len(b.Unknown) > 0 {
		p.list("in the state, but in no manifest: ", b.Unknown)
	}
	return p.w.Flush()
}

// alternatives are those of names that would do in place of the root: members
// of the same any-of group, which is the group of the last edge of the chain.
// Without a chain, or if that edge is in no group, there are none.
func alternatives(g *depgraph.Graph, b *depgraph.Blocked, names []string) (all []string) {
	if len(b.Chain) == 0 {
		return nil
	}
	last := b.Chain[len(b.Chain)-1].Edge
	for _, e := range g.EdgesFrom(last.From) {
		if last.Group > 0 && e.Group == last.Group && slices.Contains(names, e.To) {
			all = append(all, e.To)
		}
	}
	return all
}

// nextStep is what to do about a service that nothing holds, by how far it is:
// launched but not ready points at its health check, ready but not serving at
// its log.
//
// The words end a sentence that names the service.
func nextStep(s depgraph.RunState) string {
	switch s {
	case depgraph.IsDown:
		return "start it"
	case depgraph.IsStarted:
		return "it was launched and is not ready; look at its health check and its log"
	}
	return "it is ready, all that it needs serves, and it does not; look at its log"
}

// BlockedJSON writes the same as JSON. Lists are never null; root is left out
// if there is only a circle. It needs no graph: a program looks owners up in
// GraphJSON.
func BlockedJSON(w io.Writer, b *depgraph.Blocked) error {
	type hold struct {
		Edge   EdgeJSON `json:"edge"`
		State  string   `json:"state"`
		Wanted string   `json:"wanted"`
	}
	chain := []hold{}
	for _, h := range b.Chain {
		chain = append(chain, hold{edgeJSON(h.Edge), h.State.String(), h.Wanted.String()})
	}
	return writeJSON(w, struct {
		Service string     `json:"service"`
		State   string     `json:"state"`
		Chain   []hold     `json:"chain"`
		Root    string     `json:"root,omitempty"`
		Roots   []string   `json:"roots"`
		Circle  []EdgeJSON `json:"circle"`
		Unknown []string   `json:"unknown"`
	}{b.Service, b.State.String(), chain, b.Root, emptyNotNull(b.Roots), edgesJSON(b.Circle), emptyNotNull(b.Unknown)})
}

package depgraph

import (
	"fmt"
	"strings"
	"testing"
)

// system makes a graph of lines "NAME: ATTRIBUTES / DEPENDENCY / DEPENDENCY", each part
// as it is written in a manifest, without the braces.
func system(t testing.TB, lines string) *Graph {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(lines) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		parts := strings.Split(rest, "/")
		fmt.Fprintf(&b, "---\nservice: %s\n", name)
		if attributes := strings.TrimSpace(parts[0]); attributes != "" {
			b.WriteString(strings.ReplaceAll(attributes, "; ", "\n") + "\n")
		}
		if len(parts) > 1 {
			b.WriteString("depends:\n")
		}
		for _, p := range parts[1:] {
			fmt.Fprintf(&b, "  - {%s}\n", strings.TrimSpace(p))
		}
	}
	return graphOf(t, b.String())
}

// ways writes edges as "a>b", in their order.
func ways(edges []Edge) string {
	words := make([]string, len(edges))
	for i, e := range edges {
		words[i] = e.From + ">" + e.To
	}
	return strings.Join(words, " ")
}

// componentText is all that a component says, what is empty left out.
func componentText(c *Component) string {
	text := fmt.Sprintf("%s %s: %s; cycle %s", c.Kind, strings.Join(c.Services, ","), ways(c.Edges), ways(c.Cycle))
	for _, part := range []struct {
		word  string
		edges []Edge
	}{{"soften", c.Soften}, {"drop", c.Drop}, {"by hand", c.BreakGlass}} {
		if len(part.edges) > 0 {
			text += "; " + part.word + " " + ways(part.edges)
		}
	}
	if c.Cost > 0 {
		text += fmt.Sprintf(" for %d", c.Cost)
	}
	if c.LowerBound != c.Cost {
		text += fmt.Sprintf(", at least %d", c.LowerBound)
	}
	if c.Pinned {
		text += "; pinned"
	}
	if c.Assumed > 0 {
		text += fmt.Sprintf("; %d assumed", c.Assumed)
	}
	if !c.CycleProven || !c.ProvenMinimum {
		text += "; not proven"
	}
	return text
}

// Of two sets that cost the same, the first in order of name stays as it is: the rest
// comes up before it.
func TestCycles_every_kind_in_full(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		o      CyclesOptions
		want   string
	}{
		"none": {"a: / on: b\nb: / on: c / on: d\nc: / on: d\nd:", CyclesOptions{}, ""},
		"a deadlock is cut where that is cheapest": {
			`
			a: / on: b, phase: startup / on: b, phase: runtime
			b: / on: c, phase: startup
			c: / on: a, phase: runtime`,
			CyclesOptions{},
			"bootstrap-deadlock a,b,c: a>b a>b b>c c>a; cycle a>b b>c c>a; soften b>c for 2",
		},
		"a control plane is cheaper": {
			`
			a: / on: b, phase: startup
			b: / on: a, phase: runtime, plane: control`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b b>a; cycle a>b b>a; soften b>a for 1",
		},
		"two circles through one service": {
			`
			a: / on: hub, phase: runtime
			b: / on: hub, phase: runtime
			hub: / on: a, phase: runtime / on: b, phase: runtime`,
			CyclesOptions{},
			"runtime a,b,hub: a>hub b>hub hub>a hub>b; cycle a>hub hub>a; soften hub>a hub>b for 8",
		},
		"two circles, the worse one first": {
			`
			a: / on: b, phase: runtime
			b: / on: a, phase: runtime
			y: / on: z
			z: / on: y`,
			CyclesOptions{},
			"bootstrap-deadlock y,z: y>z z>y; cycle y>z z>y; soften z>y for 4\nruntime a,b: a>b b>a; cycle a>b b>a; soften b>a for 4",
		},
		"a soft edge keeps it open": {
			`
			a: / on: b, soft: true
			b: / on: a`,
			CyclesOptions{},
			"soft a,b: a>b b>a; cycle a>b b>a",
		},
		"a soft edge, hard only": {"a: / on: b, soft: true\nb: / on: a", CyclesOptions{HardOnly: true}, ""},
		"a soft circle around a hard one": {
			`
			a: / on: b
			b: / on: a / on: c, soft: true
			c: / on: a`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b b>a; cycle a>b b>a; soften b>a for 4\nsoft a,b,c: a>b b>a b>c c>a; cycle a>b b>c c>a",
		},
		"an alternative keeps it open": {
			`
			a: / any-of: [b, c]
			b: / on: a
			c:`,
			CyclesOptions{},
			"soft a,b: a>b b>a; cycle a>b b>a",
		},
		"all alternatives lead back": {
			`
			a: / any-of: [b, c]
			b: / on: a
			c: / on: a`,
			CyclesOptions{},
			"bootstrap-deadlock a,b,c: a>b a>c b>a c>a; cycle a>b b>a; soften a>b a>c for 4",
		},
		"alternatives that come up are no part of it": { // z does, and makes x's quorum
			`w:
			x: / on: y / any-of: [z, w]
			y: / on: x
			z: / on: x`,
			CyclesOptions{HardOnly: true},
			"bootstrap-deadlock x,y: x>y y>x; cycle x>y y>x; soften y>x for 4",
		},
		"an alternative that only waits for another deadlock": {
			`
			a: / any-of: [b, p], phase: startup
			b: / on: a
			p: / on: q, phase: startup
			q: / on: p, phase: startup`,
			CyclesOptions{HardOnly: true},
			"bootstrap-deadlock p,q: p>q q>p; cycle p>q q>p; soften q>p for 2",
		},
		"orders against each other": {
			`
			a: / on: b, order: weak
			b: / on: c, order: weak
			c: / on: a, phase: startup`,
			CyclesOptions{},
			"ordering a,b,c: a>b b>c c>a; cycle a>b b>c c>a; drop a>b",
		},
		"orders that nobody asked for": {
			`
			a: / on: b, order: weak, assumed: true
			b: / on: a, order: weak, assumed: true`,
			CyclesOptions{},
			"ordering a,b: a>b b>a; cycle a>b b>a; drop a>b; 2 assumed",
		},
		"orders of which somebody asked for one": {
			`
			a: / on: b, order: weak, assumed: true
			b: / on: a, order: weak`,
			CyclesOptions{},
			"ordering a,b: a>b b>a; cycle a>b b>a; drop a>b",
		},
		"a launch is not what serves": { // a waits for b's launch, b for a's: neither can be first
			`a: / on: b, phase: startup, until: started
			b: / on: a, phase: startup, until: started / on: c, phase: runtime
			c: / on: b, phase: startup`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b b>a; cycle a>b b>a; soften a>b for 2\nbootstrap-deadlock b,c: b>c c>b; cycle b>c c>b; soften c>b for 2",
		},
		"people can get past it": {
			`
			a: / on: b, phase: startup, break-glass: copy
			b: / on: a, phase: startup`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b b>a; cycle a>b b>a; soften b>a; by hand a>b for 2",
		},
		"people can get past half of it": {
			`
			a: / on: b, phase: startup, break-glass: copy / on: c, phase: startup
			b: / on: a, phase: startup
			c: / on: a, phase: startup`,
			CyclesOptions{},
			"bootstrap-deadlock a,b,c: a>b a>c b>a c>a; cycle a>b b>a; soften b>a c>a for 4",
		},
		"pinned on one side": {
			`
			a: / on: b, pinned: true
			b: / on: a`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b b>a; cycle a>b b>a; soften b>a for 4",
		},
		"pinned all round": {
			`
			a: / on: b, pinned: true
			b: / on: a, pinned: true`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b b>a; cycle a>b b>a; pinned",
		},
		"it rests on a guess": {
			`
			a: / on: b, assumed: true
			b: / on: a`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b b>a; cycle a>b b>a; soften b>a for 4; 1 assumed",
		},
		"it stands without the guess": {
			`
			a: / on: b, assumed: true / on: c
			b: / on: a
			c: / on: a`,
			CyclesOptions{},
			"bootstrap-deadlock a,b,c: a>b a>c b>a c>a; cycle a>b b>a; soften b>a c>a for 8",
		},
		"a deadlock without guesses is a runtime cycle": { // the startup edge is the guess
			`a: / on: b, phase: startup, assumed: true / on: b, phase: runtime
			b: / on: a, phase: runtime`,
			CyclesOptions{},
			"bootstrap-deadlock a,b: a>b a>b b>a; cycle a>b b>a; soften b>a for 4; 1 assumed",
		},
		"of the start alone": {
			`
			a: / on: b, phase: startup
			b: / on: a, phase: runtime
			c: / on: d, phase: startup
			d: / on: c, phase: startup`,
			CyclesOptions{Phase: Startup},
			"bootstrap-deadlock c,d: c>d d>c; cycle c>d d>c; soften d>c for 2",
		},
		"of the run time alone": {
			`
			a: / on: b
			b: / on: a
			c: / on: d, phase: startup
			d: / on: c`,
			CyclesOptions{Phase: Runtime},
			"runtime a,b: a>b b>a; cycle a>b b>a; soften b>a for 4",
		},
		"of deployment": {
			`
			a: / on: ci, phase: deploy
			ci: / on: git, phase: runtime
			git: / on: a, phase: startup
			x: / on: y
			y: / on: x`,
			CyclesOptions{Deploy: true},
			"deploy a,ci,git: a>ci ci>git git>a; cycle a>ci ci>git git>a; soften git>a for 2",
		},
		"the shortest one is shown": {
			`
			a: / on: b, phase: runtime
			b: / on: c, phase: runtime
			c: / on: d, phase: runtime
			d: / on: a, phase: runtime / on: c, phase: runtime`,
			CyclesOptions{},
			"runtime a,b,c,d: a>b b>c c>d d>a d>c; cycle c>d d>c; soften c>d for 4",
		},
		"the shortest with a startup edge is shown": {
			`
			a: / on: b, phase: startup
			b: / on: c, phase: runtime
			c: / on: a, phase: runtime / on: b, phase: runtime`,
			CyclesOptions{},
			"bootstrap-deadlock a,b,c: a>b b>c c>a c>b; cycle a>b b>c c>a; soften b>c for 4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := system(t, c.system).Cycles(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for i := range found {
				lines = append(lines, componentText(&found[i]))
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

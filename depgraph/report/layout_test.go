package report

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// placed is a layout as text: a line a node, and one for the columns.
func placed(t *testing.T, g *depgraph.Graph) string {
	t.Helper()
	l, err := NewLayout(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v x %v\n", l.Width, l.Height)
	for _, c := range l.Columns {
		fmt.Fprintf(&b, "%s: %v + %v\n", c.Title, c.X, c.Width)
	}
	for _, n := range l.Nodes {
		blocked := ""
		if n.Blocked {
			blocked = " blocked"
		}
		fmt.Fprintf(&b, "%s %d (%v, %v)%s\n", n.Service, n.Column, n.X, n.Y, blocked)
	}
	return b.String()
}

func TestNewLayout_waves_from_left_to_right(t *testing.T) {
	for _, c := range []struct{ what, manifest, want string }{
		{"one", "service: only", `
248 x 144
wave 1: 40 + 168
only 0 (124, 77)
`},
		{"a chain", "{service: a, depends: [{on: b}]}\n---\n{service: b, depends: [{on: c}]}\n---\n{service: c}", `
776 x 144
wave 1: 40 + 168
wave 2: 304 + 168
wave 3: 568 + 168
a 2 (652, 77)
b 1 (388, 77)
c 0 (124, 77)
`},
		{"two that depend on two are drawn without a crossing", "{service: a, depends: [{on: y}]}\n---\n{service: b, depends: [{on: x}]}\n---\n{service: x}\n---\n{service: y}", `
512 x 184
wave 1: 40 + 168
wave 2: 304 + 168
a 1 (388, 77)
b 1 (388, 117)
x 0 (124, 117)
y 0 (124, 77)
`},
		{"a lower column is centred", "{service: a, depends: [{on: x}, {on: y}, {on: z}]}\n---\n{service: x}\n---\n{service: y}\n---\n{service: z}", `
512 x 224
wave 1: 40 + 168
wave 2: 304 + 168
a 1 (388, 117)
x 0 (124, 77)
y 0 (124, 117)
z 0 (124, 157)
`},
		{"blocked ones stand where they would be", "{service: a, depends: [{on: b}]}\n---\n{service: b, depends: [{on: a}]}\n---\n{service: c, depends: [{on: b}]}", `
512 x 184
wave 1: 40 + 168
wave 2: 304 + 168
a 1 (388, 77) blocked
b 0 (124, 97) blocked
c 1 (388, 117) blocked
`},
	} {
		if got := placed(t, parsed(t, c.manifest)); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%s:\n%s", c.what, got)
		}
	}
	if got := placed(t, graphOf(t)); got != "80 x 104\n" {
		t.Errorf("nothing: %s", got)
	}
}

// A wave of many services is wrapped, so that a drawing stays readable.
func TestNewLayout_wraps_tall_columns(t *testing.T) {
	for _, c := range []struct {
		n, wide, rows int
	}{{48, 1, 48}, {49, 2, 25}, {96, 2, 48}, {97, 3, 33}, {500, 11, 46}} {
		services := make([]depgraph.Service, c.n)
		for i := range services {
			services[i].Name = fmt.Sprintf("s%03d", i)
		}
		l, err := NewLayout(t.Context(), graphOf(t, services...))
		if err != nil {
			t.Fatal(err)
		}
		rows := map[float64]int{}
		for _, n := range l.Nodes {
			rows[n.X]++
		}
		highest := 0
		for _, n := range rows {
			highest = max(highest, n)
		}
		width := float64(c.wide)*NodeWidth + float64(c.wide-1)*wrapGap
		if len(rows) != c.wide || highest != c.rows || len(l.Columns) != 1 || l.Columns[0].Width != width || l.Width != width+2*margin {
			t.Errorf("%d services: %d columns of up to %d boxes, %v wide (%v in all), want %d of %d, %v wide", c.n, len(rows), highest, l.Columns[0].Width, l.Width, c.wide, c.rows, width)
		}
	}
}

// Whatever the graph: no two boxes overlap, all are on the drawing, columns are
// in order, and an edge that a start waits for leads to the right.
func TestNewLayout_of_random_graphs(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		n := 1 + r.IntN(150)
		services := make([]depgraph.Service, n)
		for v := range services {
			services[v].Name = fmt.Sprintf("s%03d", v)
			for range r.IntN(4) {
				if w := r.IntN(n); w != v {
					services[v].Depends = append(services[v].Depends, depgraph.Dependency{On: fmt.Sprintf("s%03d", w), Soft: r.IntN(2) == 0, Phase: depgraph.Phase(1 + r.IntN(3))})
				}
			}
		}
		for v := range services { // one edge for a pair and a phase
			slices.SortFunc(services[v].Depends, func(a, b depgraph.Dependency) int { return strings.Compare(a.On, b.On) })
			services[v].Depends = slices.CompactFunc(services[v].Depends, func(a, b depgraph.Dependency) bool { return a.On == b.On })
		}
		g := graphOf(t, services...)
		l, err := NewLayout(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]Node{}
		for i, a := range l.Nodes {
			at[a.Service] = a
			if a.X-NodeWidth/2 < margin || a.X+NodeWidth/2 > l.Width-margin || a.Y-NodeHeight/2 < margin || a.Y+NodeHeight/2 > l.Height-margin {
				t.Fatalf("seed %d: %+v is not on the drawing of %v x %v", seed, a, l.Width, l.Height)
			}
			for _, b := range l.Nodes[:i] {
				if abs(a.X-b.X) < NodeWidth && abs(a.Y-b.Y) < NodeHeight {
					t.Fatalf("seed %d: %+v and %+v overlap", seed, a, b)
				}
			}
		}
		for i := 1; i < len(l.Columns); i++ {
			if before := l.Columns[i-1]; l.Columns[i].X != before.X+before.Width+columnGap {
				t.Fatalf("seed %d: column %d begins at %v, after one from %v of %v", seed, i, l.Columns[i].X, before.X, before.Width)
			}
		}
		for e := range g.Edges() {
			if a, b := at[e.From], at[e.To]; e.Phase&depgraph.Startup != 0 && !e.Soft && !a.Blocked && b.Column >= a.Column {
				t.Fatalf("seed %d: %s (column %d) waits for %s (column %d)", seed, e.From, a.Column, e.To, b.Column)
			}
		}
	}
}

func abs(x float64) float64 { return max(x, -x) }

func TestLanes_gap_is_the_nearest_free_height(t *testing.T) {
	l := newLanes([]Node{{X: 100, Y: 77}, {X: 100, Y: 117}, {X: 100, Y: 57 + 140}, {X: 300, Y: 77}})
	for _, c := range []struct {
		lane    int
		y, want float64
	}{
		{0, 10, 10},           // above everything
		{0, 77, 97},           // on the middle of a box: below it
		{0, 76, 57},           // above its middle: above it
		{0, 61, 57},           // just in reach
		{0, 60, 60},           // just out of reach
		{0, 92, 97},           // just below a box
		{0, 160, 160},         // in a gap that is wide enough
		{0, 1000, 1000},       // below everything
		{1, 117, 117},         // another lane has other boxes
		{1, 77 + 17, 77 + 17}, // out of reach of the only one
	} {
		if got := l.gap(c.lane, c.y, 2); got != c.want { // number 2 of 5 is not spread
			t.Errorf("lane %d at %v: %v, want %v", c.lane, c.y, got, c.want)
		}
	}
	var spread []float64
	for edge := range 6 {
		spread = append(spread, l.gap(0, 77, edge)-97)
	}
	if fmt.Sprint(spread) != "[-3 -1.5 0 1.5 3 -3]" {
		t.Errorf("edges in one gap are spread by %v", spread)
	}
}

func TestLanes_route_in_full(t *testing.T) {
	nodes := []Node{{X: 124, Y: 77}, {X: 388, Y: 77}, {X: 652, Y: 77}, {X: 652, Y: 117}}
	l := newLanes(nodes)
	for _, c := range []struct {
		what     string
		from, to int
		want     string
	}{
		{"to the next lane", 1, 0, "M304.0 77.0C256.0 77.0 256.0 77.0 208.0 77.0"},
		{"back", 0, 1, "M208.0 77.0C256.0 77.0 256.0 77.0 304.0 77.0"},
		{"over a lane, around its box", 2, 0, "M568.0 77.0C520.0 77.0 520.0 97.0 472.0 97.0L304.0 97.0C256.0 97.0 256.0 77.0 208.0 77.0"},
		{"inside the last lane, with room on its right", 2, 3, "M736.0 77.0C776.0 77.0 776.0 117.0 736.0 117.0"},
	} {
		if got := l.route(&nodes[c.from], &nodes[c.to], 2); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.what, got, c.want)
		}
	}
	narrow := []Node{{X: 100, Y: 77}, {X: 100, Y: 117}, {X: 100 + NodeWidth + wrapGap, Y: 77}}
	if got, want := newLanes(narrow).route(&narrow[0], &narrow[1], 2), "M184.0 77.0C202.0 77.0 202.0 117.0 184.0 117.0"; got != want {
		t.Errorf("inside a lane with little room:\n%s, want\n%s", got, want)
	}
}

package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// lanes are the columns of boxes that an edge must not run behind: from left to
// right, each with the heights of its boxes, sorted. x and ys have the same
// length. Boxes are in one lane if their x is exactly equal, as those of a
// column are.
//
// page.js has the same algorithm for its groups; a change here is due there
// too.
type lanes struct {
	x  []float64
	ys [][]float64
}

// newLanes sorts the boxes into lanes, once for a drawing: O(n log n).
func newLanes(nodes []Node) *lanes {
	at := map[float64][]float64{}
	for i := range nodes {
		at[nodes[i].X] = append(at[nodes[i].X], nodes[i].Y)
	}
	l := &lanes{}
	for x, ys := range at {
		l.x = append(l.x, x)
		slices.Sort(ys)
		at[x] = ys
	}
	slices.Sort(l.x)
	for _, x := range l.x {
		l.ys = append(l.ys, at[x])
	}
	return l
}

// gap returns the height nearest to y at which a line can cross a lane: y
// itself if there is no box within reach, or else the middle of the gap above
// or below the box that is in the way. Lines that are squeezed into the same
// gap are spread a little, by the number of the edge. O(log boxes).
func (l *lanes) gap(lane int, y float64, edge int) float64 {
	const clear = NodeHeight/2 + 3
	ys := l.ys[lane]
	i, _ := slices.BinarySearch(ys, y)
	// Only the boxes on both sides of y can be in the way.
	for _, near := range []int{i - 1, i} {
		if near < 0 || near >= len(ys) || math.Abs(ys[near]-y) > clear {
			continue
		}
		const half = (NodeHeight + rowGap) / 2
		free := ys[near] + half
		if y < ys[near] {
			free = ys[near] - half
		}
		return free + float64(edge%5-2)*1.5
	}
	return y
}

// route draws an edge from the side of one box to the side of another, as the
// data of an SVG path, through the gaps between the boxes of every lane in
// between: the spare vertices of Sugiyama, Tagawa and Toda (1981) without the
// reordering. edge is its number in the drawing, for gap. Both boxes must be
// among the nodes of newLanes. O(lanes between × log boxes).
func (l *lanes) route(from, to *Node, edge int) string {
	a, _ := slices.BinarySearch(l.x, from.X)
	b, _ := slices.BinarySearch(l.x, to.X)
	var d strings.Builder
	// Inside a lane there is nothing to cross: a bow beside it, as wide as the
	// space to the next lane allows.
	if a == b {
		room := float64(columnGap)
		if a+1 < len(l.x) {
			room = l.x[a+1] - l.x[a] - NodeWidth
		}
		x, bend := from.X+NodeWidth/2, min(40, room*0.9)
		fmt.Fprintf(&d, "M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f", x, from.Y, x+bend, from.Y, x+bend, to.Y, x, to.Y)
		return d.String()
	}
	step := 1.0
	if b < a {
		step = -1
	}
	x, y := from.X+step*NodeWidth/2, from.Y
	fmt.Fprintf(&d, "M%.1f %.1f", x, y)
	curve := func(nextX, nextY float64) {
		fmt.Fprintf(&d, "C%.1f %.1f %.1f %.1f %.1f %.1f", (x+nextX)/2, y, (x+nextX)/2, nextY, nextX, nextY)
		x, y = nextX, nextY
	}
	// Each lane is crossed on a level line, at the gap nearest to the straight
	// way.
	for lane := a + int(step); lane != b; lane += int(step) {
		share := (l.x[lane] - from.X) / (to.X - from.X)
		curve(l.x[lane]-step*NodeWidth/2, l.gap(lane, from.Y+share*(to.Y-from.Y), edge))
		x = l.x[lane] + step*NodeWidth/2
		fmt.Fprintf(&d, "L%.1f %.1f", x, y)
	}
	curve(to.X-step*NodeWidth/2, to.Y)
	return d.String()
}

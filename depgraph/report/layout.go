package report

import (
	"cmp"
	"context"
	"slices"

	"github.com/failopen/failopen/depgraph"
)

// Layout places services on a plane: startup waves are the columns, from left
// to right. What is blocked by a cycle stands where it would be once the edges
// that Order breaks are out of the way, so that those edges lead to the right.
// Inside a column, services are near what they depend on. Coordinates are
// pixels at zoom 1, with y down, as in SVG.
type Layout struct {
	Nodes         []Node   // in order of name
	Columns       []Column // from left to right
	Width, Height float64  // in the units of the coordinates
}

// Node is one placed service.
type Node struct {
	Service string  // its name
	Column  int     // index of its column
	X, Y    float64 // centre
	Blocked bool    // it does not come up from a full stop
}

// Column is one wave; one of more than maxRows services is wrapped and so
// several boxes wide.
type Column struct {
	Title    string  // above it
	X, Width float64 // its left side, and how wide it is
}

// The measures of a layout, in pixels at zoom 1. The page gets the size of a
// box and rowGap with its data; page.js repeats columnGap, and where titles
// stand.
const (
	NodeWidth  = 168
	NodeHeight = 26
	rowGap     = 14
	columnGap  = 96
	wrapGap    = 20
	maxRows    = 48 // a taller column is wrapped
	margin     = 40
)

// NewLayout computes a layout in a few sweeps over the edges (barycentres,
// after Sugiyama, Tagawa and Toda 1981): O(sweeps × (services × log services +
// edges)) after Graph.Order. It is the same for the same graph: columns begin
// in order of name, and all sorting is stable. The error is that of ctx.
func NewLayout(ctx context.Context, g *depgraph.Graph) (*Layout, error) {
	names := g.Names()
	index := make(map[string]int, len(names))
	for i, n := range names {
		index[n] = i
	}
	l := &Layout{Nodes: make([]Node, len(names))}
	_, blocked := g.Waves()
	order, err := g.Order(ctx, depgraph.OrderOptions{})
	if err != nil {
		return nil, err
	}
	// Waves breaks no edge, and so knows what is blocked; Order breaks some,
	// and so has a place for everything.
	waves := order.Waves
	for i, n := range names {
		l.Nodes[i] = Node{Service: n, Column: len(waves)}
	}
	for c, wave := range waves {
		for _, n := range wave {
			l.Nodes[index[n]].Column = c
		}
	}
	for _, n := range blocked {
		l.Nodes[index[n]].Blocked = true
	}
	// Both directions, as a sweep pulls a box towards what it needs and what
	// needs it.
	neighbours := make([][]int, len(names))
	for e := range g.Edges() {
		a, b := index[e.From], index[e.To]
		neighbours[a], neighbours[b] = append(neighbours[a], b), append(neighbours[b], a)
	}
	l.arrange(len(waves), neighbours)
	return l, ctx.Err()
}

// sweeps is how often the columns are sorted: three times in each direction.
// More hardly change the drawing.
const sweeps = 6

// arrange orders the columns and computes coordinates. Each sweep takes the
// columns in turn, from left to right and then back, and sorts the boxes of
// each by the mean rank of their neighbours in other columns; boxes without any
// stay where they are. Ranks are shares of a column and not indices, so that
// columns of different heights compare.
func (l *Layout) arrange(waves int, neighbours [][]int) {
	// A service that is in no wave, if there ever is one, has a column behind
	// them.
	count := 0
	for _, n := range l.Nodes {
		count = max(count, n.Column+1)
	}
	columns := make([][]int, count)
	for v, n := range l.Nodes {
		columns[n.Column] = append(columns[n.Column], v)
	}
	rank := make([]float64, len(l.Nodes)) // place in the column, from 0 to 1
	for _, column := range columns {
		rankColumn(column, rank)
	}
	centre := make([]float64, len(l.Nodes))
	for sweep := range sweeps {
		for i := range columns {
			c := i
			if sweep%2 == 1 {
				c = len(columns) - 1 - i
			}
			for _, v := range columns[c] {
				centre[v] = rank[v]
				sum, n := 0.0, 0
				for _, w := range neighbours[v] {
					if l.Nodes[w].Column != c {
						sum += rank[w]
						n++
					}
				}
				if n > 0 {
					centre[v] = sum / float64(n)
				}
			}
			slices.SortStableFunc(columns[c], func(a, b int) int { return cmp.Compare(centre[a], centre[b]) })
			rankColumn(columns[c], rank)
		}
	}
	l.coordinates(columns, waves)
}

// rankColumn spreads the services of a column evenly over 0 to 1, exclusive.
func rankColumn(column []int, rank []float64) {
	for i, v := range column {
		rank[v] = (float64(i) + 0.5) / float64(len(column))
	}
}

// coordinates turns the order inside the columns into places, centres every
// column vertically, and sets Columns, Width and Height. Columns from index
// waves on are titled "blocked".
//
// An empty graph is two margins wide.
func (l *Layout) coordinates(columns [][]int, waves int) {
	rows := 0
	for _, column := range columns {
		rows = max(rows, min(len(column), maxRows))
	}
	l.Height = 2*margin + 24 + float64(rows)*(NodeHeight+rowGap)
	x := float64(margin)
	for c, column := range columns {
		if len(column) == 0 {
			continue
		}
		// A tall wave becomes several columns of boxes side by side, about
		// equally high.
		wide := (len(column) + maxRows - 1) / maxRows
		per := (len(column) + wide - 1) / wide
		for i, v := range column {
			sub, row := i/per, i%per
			in := min(per, len(column)-sub*per)
			top := margin + 24 + (float64(rows)-float64(in))*(NodeHeight+rowGap)/2
			l.Nodes[v].X = x + float64(sub)*(NodeWidth+wrapGap) + NodeWidth/2
			l.Nodes[v].Y = top + float64(row)*(NodeHeight+rowGap) + NodeHeight/2
		}
		width := float64(wide)*NodeWidth + float64(wide-1)*wrapGap
		title := "wave " + itoa(c+1)
		if c >= waves {
			title = "blocked"
		}
		l.Columns = append(l.Columns, Column{Title: title, X: x, Width: width})
		x += width + columnGap
	}
	l.Width = max(x-columnGap+margin, 2*margin)
}

package report

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/rounds"
)

var (
	steps   = regexp.MustCompile(`([MCL])([^MCL]*)`)
	numbers = regexp.MustCompile(`-?[0-9.]+`)
)

// points walks along a path of M, C and L.
func points(t *testing.T, d string) (all [][2]float64) {
	t.Helper()
	var x, y float64
	for _, m := range steps.FindAllStringSubmatch(d, -1) {
		var n []float64
		for _, s := range numbers.FindAllString(m[2], -1) {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			n = append(n, f)
		}
		if m[1] != "C" {
			n = []float64{(2*x + n[0]) / 3, (2*y + n[1]) / 3, (x + 2*n[0]) / 3, (y + 2*n[1]) / 3, n[0], n[1]}
		}
		if m[1] == "M" {
			x, y = n[4], n[5]
			continue
		}
		for i := range 101 {
			s := float64(i) / 100
			u := 1 - s
			all = append(all, [2]float64{
				u*u*u*x + 3*u*u*s*n[0] + 3*u*s*s*n[2] + s*s*s*n[4], u*u*u*y + 3*u*u*s*n[1] + 3*u*s*s*n[3] + s*s*s*n[5],
			})
		}
		x, y = n[4], n[5]
	}
	return all
}

func TestRoute_no_edge_runs_behind_a_box(t *testing.T) {
	for seed := range uint64(rounds.Of(40)) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 2 + r.IntN(120)
		services := make([]depgraph.Service, n)
		for v := range services {
			services[v].Name = fmt.Sprintf("s%03d", v)
			for w := range n {
				if w != v && (w < v || r.IntN(8) == 0) && r.IntN(n) < 3 {
					services[v].Depends = append(services[v].Depends, depgraph.Dependency{On: fmt.Sprintf("s%03d", w), Soft: r.IntN(3) == 0})
				}
			}
		}
		g, err := depgraph.Compile(services, depgraph.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewLayout(context.Background(), g)
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]*Node{}
		for i := range l.Nodes {
			at[l.Nodes[i].Service] = &l.Nodes[i]
		}
		routes, number := newLanes(l.Nodes), 0
		for e := range g.Edges() {
			number++
			path := points(t, routes.route(at[e.From], at[e.To], number))
			for _, b := range l.Nodes {
				if b.Service == e.From || b.Service == e.To {
					continue
				}
				for _, q := range path {
					if q[0] > b.X-NodeWidth/2+1 && q[0] < b.X+NodeWidth/2-1 && q[1] > b.Y-NodeHeight/2+1 && q[1] < b.Y+NodeHeight/2-1 {
						t.Fatalf("seed %d: %s -> %s runs behind %s", seed, e.From, e.To, b.Service)
					}
				}
			}
		}
	}
}

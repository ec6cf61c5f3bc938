package depgraph

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
	"gonum.org/v1/gonum/graph/traverse"
)

// TestGonum_agrees_on_random_graphs compares components, order and reach.
func TestGonum_agrees_on_random_graphs(t *testing.T) {
	graphs := 10_000
	if testing.Short() {
		graphs = 500
	}
	cyclic := 0
	for seed := range uint64(graphs) {
		in := smallInput(seed)
		ours, theirs := in.ours(t), in.gonum()
		if got, want := ours.Components(), gonumComponents(theirs); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("seed %d: components %v, gonum %v", seed, got, want)
		} else if len(got) > 0 {
			cyclic++
		}
		waves, blocked := ours.Waves()
		if _, err := topo.Sort(theirs); (err == nil) != (len(blocked) == 0) {
			t.Fatalf("seed %d: blocked %v, gonum %v", seed, blocked, err)
		}
		place := map[string]int{}
		for i, w := range waves {
			for _, n := range w {
				place[n] = i
			}
		}
		for _, e := range in.edges {
			a, ok := place[name(e[0])]
			if b, also := place[name(e[1])]; ok && (!also || b >= a) {
				t.Fatalf("seed %d: %v is not in order", seed, e)
			}
		}
		lost := int(seed) % in.n
		b, err := ours.Blast(depgraph.BlastOptions{}, name(lost))
		if err != nil {
			t.Fatal(err)
		}
		if want := in.dependents(lost); !slices.Equal(b.Down, want) {
			t.Fatalf("seed %d: down %v, gonum %v", seed, b.Down, want)
		}
	}
	if cyclic < graphs/10 || cyclic == graphs {
		t.Errorf("%d of %d graphs have cycles; the comparison shows little", cyclic, graphs)
	}
}

func smallInput(seed uint64) *input {
	r := rand.New(rand.NewPCG(seed, 3))
	n := 2 + r.IntN(30)
	in := &input{n: n, services: make([]depgraph.Service, n)}
	density := 2.5 * r.Float64() / float64(n)
	for v := range n {
		in.services[v].Name = name(v)
		for w := range n {
			if v != w && r.Float64() < density {
				in.edges = append(in.edges, [2]int{v, w})
				in.services[v].Depends = append(in.services[v].Depends, depgraph.Dependency{On: name(w)})
			}
		}
	}
	return in
}

func gonumComponents(g *simple.DirectedGraph) [][]string {
	var all [][]string
	for _, c := range topo.TarjanSCC(g) {
		if len(c) < 2 {
			continue
		}
		var names []string
		for _, n := range c {
			names = append(names, name(int(n.ID())))
		}
		slices.Sort(names)
		all = append(all, names)
	}
	slices.SortFunc(all, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return all
}

func (in *input) dependents(v int) []string {
	g := simple.NewDirectedGraph()
	for n := range in.n {
		g.AddNode(simple.Node(n))
	}
	for _, e := range in.edges {
		g.SetEdge(g.NewEdge(simple.Node(e[1]), simple.Node(e[0])))
	}
	var names []string
	var w traverse.BreadthFirst
	w.Walk(g, simple.Node(v), func(n graph.Node, _ int) bool {
		if int(n.ID()) != v {
			names = append(names, name(int(n.ID())))
		}
		return false
	})
	slices.Sort(names)
	if names == nil {
		names = []string{}
	}
	return names
}

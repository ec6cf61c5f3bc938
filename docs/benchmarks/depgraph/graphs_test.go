package depgraph

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	lib "github.com/dominikbraun/graph"
	"github.com/failopen/failopen/depgraph"
	"gonum.org/v1/gonum/graph/simple"
)

// input is one random graph, as services and as pairs of numbers.
type input struct {
	n        int
	edges    [][2]int
	services []depgraph.Service
}

// randomInput makes n services with about degree*n hard edges. In a dag, all
// edges lead to smaller numbers; otherwise, one in a hundred services has an
// edge back, which makes one large component.
func randomInput(seed uint64, n, degree int, dag bool) *input {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	in := &input{n: n, services: make([]depgraph.Service, n)}
	for v := range n {
		s := &in.services[v]
		s.Name = name(v)
		s.Owner = fmt.Sprintf("team-%d", v%50)
		s.At = depgraph.Position{File: fmt.Sprintf("services/%d/depgraph.yaml", v), Line: 1}
		seen := map[int]bool{v: true}
		add := func(w int) {
			if !seen[w] {
				seen[w] = true
				in.edges = append(in.edges, [2]int{v, w})
				s.Depends = append(s.Depends, depgraph.Dependency{On: name(w), At: depgraph.Position{File: s.At.File, Line: 5 + len(s.Depends)}})
			}
		}
		for range min(degree, v) {
			add(r.IntN(v))
		}
		if !dag && r.IntN(100) == 0 {
			add(r.IntN(n))
		}
	}
	return in
}

func name(v int) string { return fmt.Sprintf("service-%06d", v) }

func (in *input) ours(tb testing.TB) *depgraph.Graph {
	tb.Helper()
	g, err := depgraph.Compile(in.services, depgraph.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func (in *input) gonum() *simple.DirectedGraph {
	g := simple.NewDirectedGraph()
	for v := range in.n {
		g.AddNode(simple.Node(v))
	}
	for _, e := range in.edges {
		g.SetEdge(g.NewEdge(simple.Node(e[0]), simple.Node(e[1])))
	}
	return g
}

func (in *input) library(tb testing.TB) lib.Graph[string, string] {
	tb.Helper()
	g := lib.New(lib.StringHash, lib.Directed())
	for v := range in.n {
		if err := g.AddVertex(name(v), lib.VertexAttribute("owner", in.services[v].Owner)); err != nil {
			tb.Fatal(err)
		}
	}
	for _, e := range in.edges {
		if err := g.AddEdge(name(e[0]), name(e[1])); err != nil {
			tb.Fatal(err)
		}
	}
	return g
}

// shared keeps the inputs of benchmarks, which are called again and again.
var shared sync.Map

func sharedInput(n int, dag bool) *input {
	key := fmt.Sprint(n, dag)
	if in, ok := shared.Load(key); ok {
		return in.(*input)
	}
	in, _ := shared.LoadOrStore(key, randomInput(1, n, 5, dag))
	return in.(*input)
}

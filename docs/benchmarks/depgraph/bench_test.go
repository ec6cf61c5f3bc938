package depgraph

import (
	"fmt"
	"runtime"
	"testing"

	lib "github.com/dominikbraun/graph"
	"github.com/failopen/failopen/depgraph"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
	"gonum.org/v1/gonum/graph/traverse"
)

// Every benchmark has the same question for each library, named by the last
// element. Benchmarks of a peer that would take minutes are left out, and the
// size at which it was given up is in the decision record.

var sizes = []int{1_000, 10_000, 100_000}

func BenchmarkCompile(b *testing.B) {
	for _, n := range sizes {
		in := sharedInput(n, true)
		b.Run(fmt.Sprintf("services=%d/by=depgraph", n), func(b *testing.B) {
			b.ReportAllocs()
			var g *depgraph.Graph
			for b.Loop() {
				g = in.ours(b)
			}
			b.ReportMetric(liveMiB(func() any { return in.ours(b) }), "MiB-live")
			runtime.KeepAlive(g)
		})
		b.Run(fmt.Sprintf("services=%d/by=gonum", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in.gonum()
			}
			b.ReportMetric(liveMiB(func() any { return in.gonum() }), "MiB-live")
		})
		b.Run(fmt.Sprintf("services=%d/by=dominikbraun", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in.library(b)
			}
			b.ReportMetric(liveMiB(func() any { return in.library(b) }), "MiB-live")
		})
	}
}

// liveMiB is the memory that what make returns keeps.
func liveMiB(make func() any) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(kept)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / (1 << 20)
}

func BenchmarkComponents(b *testing.B) {
	for _, n := range sizes {
		in := sharedInput(n, false)
		b.Run(fmt.Sprintf("services=%d/by=depgraph", n), func(b *testing.B) {
			g := in.ours(b)
			b.ReportAllocs()
			for b.Loop() {
				if len(g.Components()) == 0 {
					b.Fatal("no component")
				}
			}
		})
		b.Run(fmt.Sprintf("services=%d/by=gonum", n), func(b *testing.B) {
			g := in.gonum()
			b.ReportAllocs()
			for b.Loop() {
				topo.TarjanSCC(g)
			}
		})
		b.Run(fmt.Sprintf("services=%d/by=dominikbraun", n), func(b *testing.B) {
			g := in.library(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := lib.StronglyConnectedComponents(g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWaves(b *testing.B) {
	for _, n := range sizes {
		in := sharedInput(n, true)
		b.Run(fmt.Sprintf("services=%d/by=depgraph", n), func(b *testing.B) {
			g := in.ours(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, blocked := g.Waves(); len(blocked) > 0 {
					b.Fatal("blocked")
				}
			}
		})
		b.Run(fmt.Sprintf("services=%d/by=gonum", n), func(b *testing.B) {
			g := in.gonum()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := topo.Sort(g); err != nil {
					b.Fatal(err)
				}
			}
		})
		if n > 1_000 {
			continue // 5 s and 4 GB at 10,000; more than 100 s at 100,000
		}
		b.Run(fmt.Sprintf("services=%d/by=dominikbraun", n), func(b *testing.B) {
			g := in.library(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := lib.TopologicalSort(g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBlast asks what goes down with a service that a tenth of the others needs.
func BenchmarkBlast(b *testing.B) {
	for _, n := range sizes {
		in := sharedInput(n, true)
		lost := n * 15 / 100
		b.Run(fmt.Sprintf("services=%d/by=depgraph", n), func(b *testing.B) {
			g := in.ours(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Blast(depgraph.BlastOptions{}, name(lost)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("services=%d/by=gonum", n), func(b *testing.B) {
			g := simple.NewDirectedGraph()
			for _, e := range in.edges {
				g.SetEdge(g.NewEdge(simple.Node(e[1]), simple.Node(e[0])))
			}
			b.ReportAllocs()
			for b.Loop() {
				var w traverse.BreadthFirst
				w.Walk(g, simple.Node(lost), func(graph.Node, int) bool { return false })
			}
		})
		b.Run(fmt.Sprintf("services=%d/by=dominikbraun", n), func(b *testing.B) {
			g := lib.New(lib.StringHash, lib.Directed())
			for v := range in.n {
				_ = g.AddVertex(name(v))
			}
			for _, e := range in.edges {
				_ = g.AddEdge(name(e[1]), name(e[0]))
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := lib.BFS(g, name(lost), func(string) bool { return false }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkChain is a million services one behind the other. The peers recurse.
func BenchmarkChain(b *testing.B) {
	const n = 1_000_000
	services := make([]depgraph.Service, n)
	for i := range services {
		services[i].Name = fmt.Sprintf("s%07d", i)
		if i > 0 {
			services[i].Depends = []depgraph.Dependency{{On: services[i-1].Name}}
		}
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("services=1000000/by=depgraph", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(g.Components()) != 0 {
				b.Fatal("a chain has no cycle")
			}
		}
	})
}

// BenchmarkView is the price of handing the graph to the library.
func BenchmarkView(b *testing.B) {
	g := sharedInput(100_000, true).ours(b)
	b.ReportAllocs()
	for b.Loop() {
		g.View()
	}
}

func BenchmarkBlastAll(b *testing.B) {
	g := sharedInput(100_000, true).ours(b)
	for b.Loop() {
		if _, err := g.BlastAll(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

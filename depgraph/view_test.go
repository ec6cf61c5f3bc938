package depgraph

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dominikbraun/graph"

	"github.com/failopen/failopen/depgraph/internal/rounds"
)

// One test for each fault of github.com/dominikbraun/graph v0.23.0 that the
// design knows, and for the way around it.

func TestView_runs_the_algorithms_of_the_library(t *testing.T) {
	systems(t, 200, 12, true, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		v := g.View()
		theirs, err := graph.StronglyConnectedComponents(v)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, c := range theirs {
			if len(c) > 1 {
				count++
			}
		}
		if ours := g.cyclic(sel{any: fStartup | fRuntime | fDeploy}); len(ours) != count {
			t.Errorf("%d components, the library finds %d", len(ours), count)
		}
	})
}

func TestView_cannot_be_changed_and_so_cannot_race(t *testing.T) {
	g := mustCompile(t, []Service{{Name: "a", Depends: []Dependency{{On: "b"}}}, {Name: "b"}})
	v := g.View()
	var wg sync.WaitGroup
	for range 4 { // RemoveVertex of the library changes its store under a read lock
		wg.Go(func() {
			for name, err := range map[string]error{
				"AddVertex":    v.AddVertex(Service{Name: "c"}),
				"RemoveVertex": v.RemoveVertex("a"),
				"AddEdge":      v.AddEdge("b", "a"),
				"UpdateEdge":   v.UpdateEdge("a", "b"),
				"RemoveEdge":   v.RemoveEdge("a", "b"),
			} {
				if !errors.Is(err, ErrReadOnly) {
					t.Errorf("%s: %v, want ErrReadOnly", name, err)
				}
			}
			if n, err := v.Order(); n != 2 || err != nil {
				t.Errorf("%d vertices, %v", n, err)
			}
		})
	}
	wg.Wait()
}

func TestView_one_edge_for_a_pair_keeps_all_of_ours(t *testing.T) {
	g := mustCompile(t, []Service{
		{Name: "a", Depends: []Dependency{{On: "b", Phase: Startup}, {On: "b", Phase: Runtime, Soft: true}, {AnyOf: []string{"b", "c"}, Phase: Deploy}}},
		{Name: "b"},
		{Name: "c"},
	})
	e, err := g.View().Edge("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	data, ok := e.Properties.Data.([]Edge)
	if !ok || len(data) != 3 || e.Properties.Weight != 3 || e.Properties.Attributes["strength"] != "hard" {
		t.Fatalf("%+v", e.Properties)
	}
	if n, err := g.View().Size(); n != 2 || err != nil {
		t.Errorf("%d edges, %v; want 2 pairs", n, err)
	}
	if n, err := (view{g}).EdgeCount(); n != 2 || err != nil {
		t.Errorf("EdgeCount, which the next release asks for: %d, %v", n, err)
	}
}

func TestView_attributes_are_not_shared(t *testing.T) {
	// In the library, vertices made with one map of attributes share it.
	g := mustCompile(t, []Service{{Name: "a", Owner: "x"}, {Name: "b", Owner: "y"}})
	_, p, err := g.View().VertexWithProperties("a")
	if err != nil {
		t.Fatal(err)
	}
	p.Attributes["owner"] = "changed"
	if _, again, _ := g.View().VertexWithProperties("a"); again.Attributes["owner"] != "x" {
		t.Error("a caller changed the graph")
	}
	if _, other, _ := g.View().VertexWithProperties("b"); other.Attributes["owner"] != "y" {
		t.Error("attributes of one vertex reached another one")
	}
}

func TestFromGraph_brings_back_what_View_gave(t *testing.T) {
	systems(t, 300, 10, true, func(t *testing.T, _ *rand.Rand, services []Service) {
		g := mustCompile(t, services)
		back, err := FromGraph(g.View(), func(_ string, s Service) Service { return s }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Collect(back.Edges()), slices.Collect(g.Edges()); !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v\nwant\n%+v", got, want)
		}
	})
}

func TestFromGraph_refuses_what_the_library_gets_wrong(t *testing.T) {
	// With a vertex whose key is the zero value, the library's component search
	// is wrong at random.
	empty := graph.New(graph.StringHash, graph.Directed())
	for _, name := range []string{"", "a"} {
		if err := empty.AddVertex(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := FromGraph(empty, nil, nil); err == nil || !strings.Contains(err.Error(), "empty name") {
		t.Errorf("an empty name: %v", err)
	}
	// A self-loop cannot be told from a single vertex in its components.
	loop := graph.New(graph.StringHash, graph.Directed())
	_ = loop.AddVertex("a")
	_ = loop.AddEdge("a", "a")
	if _, err := FromGraph(loop, nil, nil); err == nil || !strings.Contains(err.Error(), "a: depends on itself") {
		t.Errorf("a self-loop: %v", err)
	}
	if _, err := FromGraph(graph.New(graph.StringHash), nil, nil); err == nil {
		t.Error("an undirected graph was accepted")
	}
}

func TestFromGraph_copies(t *testing.T) {
	lib := graph.New(graph.StringHash, graph.Directed())
	_ = lib.AddVertex("a")
	_ = lib.AddVertex("b")
	_ = lib.AddEdge("a", "b", graph.EdgeAttribute("soft", "yes"))
	g, err := FromGraph(lib, nil, func(e graph.Edge[string]) Dependency {
		return Dependency{Soft: e.Properties.Attributes["soft"] == "yes"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := lib.RemoveEdge("a", "b"); err != nil {
		t.Fatal(err)
	}
	if edges := g.EdgesFrom("a"); len(edges) != 1 || !edges[0].Soft {
		t.Errorf("%+v", edges)
	}
}

func TestWhy_has_the_right_length(t *testing.T) {
	// BFSWithDepth of the library reports wrong depths.
	g := mustCompile(t, []Service{
		{Name: "a", Depends: []Dependency{{On: "b"}, {On: "c"}}},
		{Name: "b", Depends: []Dependency{{On: "d"}}},
		{Name: "c", Depends: []Dependency{{On: "d"}, {On: "e"}}},
		{Name: "d", Depends: []Dependency{{On: "e"}}},
		{Name: "e"},
	})
	paths, _, err := g.Why(t.Context(), "a", "e", WhyOptions{})
	if err != nil || len(paths) != 1 || len(paths[0]) != 2 {
		t.Errorf("%+v, %v; want one path of 2", paths, err)
	}
	all, truncated, err := g.Why(t.Context(), "a", "e", WhyOptions{All: true})
	var lengths []int
	for _, p := range all {
		lengths = append(lengths, len(p))
	}
	if err != nil || truncated || fmt.Sprint(lengths) != "[2 3 3]" {
		t.Errorf("lengths %v, truncated %v, %v", lengths, truncated, err)
	}
	if some, truncated, err := g.Why(t.Context(), "a", "e", WhyOptions{All: true, Limit: 2}); err != nil || len(some) != 2 || !truncated {
		t.Errorf("%d paths, truncated %v, %v", len(some), truncated, err)
	}
	if none, _, err := g.Why(t.Context(), "e", "a", WhyOptions{}); err != nil || none != nil {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestEngine_depth_needs_no_stack(t *testing.T) {
	// The library takes 30 s and 3.8 GiB for a chain of a million services; the
	// benchmarks have that one, as building it alone takes a gigabyte.
	n := 200_000
	if rounds.Short() {
		n = 20_000
	}
	services := make([]Service, n)
	for i := range services {
		services[i].Name = fmt.Sprintf("s%07d", i)
		services[i].Depends = []Dependency{{On: fmt.Sprintf("s%07d", (i+1)%n)}}
	}
	ring := mustCompile(t, services)
	if found := ring.cyclic(hardAny); len(found) != 1 || len(found[0]) != n {
		t.Errorf("%d components in a ring", len(found))
	}
	services[n-1].Depends = nil
	chain := mustCompile(t, services)
	if _, count := chain.components(hardAny); int(count) != n {
		t.Errorf("%d components in a chain", count)
	}
	if waves, blocked := chain.Waves(); len(waves) != n || len(blocked) != 0 {
		t.Errorf("%d waves, %d blocked", len(waves), len(blocked))
	}
	b, err := chain.Blast(BlastOptions{}, services[n-1].Name)
	if err != nil || len(b.Down) != n-1 {
		t.Errorf("%d down, %v", len(b.Down), err)
	}
}

func TestOrder_names_what_blocks_and_the_cycle_names_the_path(t *testing.T) {
	// The library only says that there is a cycle.
	g := mustCompile(t, []Service{
		{Name: "a", Depends: []Dependency{{On: "b"}}},
		{Name: "b", Depends: []Dependency{{On: "a"}}},
		{Name: "c", Depends: []Dependency{{On: "a"}}},
		{Name: "d"},
	})
	waves, blocked := g.Waves()
	if fmt.Sprint(waves, blocked) != "[[d]] [a b c]" {
		t.Errorf("%v %v", waves, blocked)
	}
	c, err := g.Cycles(t.Context(), CyclesOptions{})
	if err != nil || len(c) != 1 || c[0].Cycle[0].From != "a" || c[0].Cycle[1].From != "b" {
		t.Errorf("%+v, %v", c, err)
	}
}

// A quorum of any size, and groups of one service that are told apart.
func TestRegroup(t *testing.T) {
	edge := func(to string, group, need int) Edge { return Edge{From: "a", To: to, Group: group, Need: need, Of: 2} }
	got := regroup(membersOf([]Edge{edge("y", 2, 70_000), edge("b", 0, 0), edge("x", 1, 1), edge("x", 2, 70_000), edge("z", 1, 1), edge("c", 0, 0)}))
	want := []Dependency{{AnyOf: []string{"x", "y"}, Need: 70_000}, {On: "b"}, {AnyOf: []string{"x", "z"}, Need: 1}, {On: "c"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

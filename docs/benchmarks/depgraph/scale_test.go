package depgraph

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"golang.org/x/perf/benchfmt"
)

// BenchmarkScale runs every path of the engine from a thousand to a million
// services, acyclic but for Cycles, five edges each. The passes that look at
// all blast radii at once end at 100,000: beyond it they take minutes.
func BenchmarkScale(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		dag := randomInput(1, n, 5, true)
		var g *depgraph.Graph
		run := func(name string, f func(b *testing.B)) {
			b.Run(fmt.Sprintf("%s/services=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f(b)
				}
			})
		}
		b.Run(fmt.Sprintf("Compile/services=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g = dag.ours(b)
			}
			b.ReportMetric(liveMiB(func() any { return dag.ours(b) }), "MiB-live")
		})
		if g == nil {
			g = dag.ours(b)
		}
		hub, top := name(n*15/100), name(n-1)
		run("Components", func(b *testing.B) { g.Components() })
		run("Waves", func(b *testing.B) { g.Waves() })
		run("Order", func(b *testing.B) { must(b)(g.Order(b.Context(), depgraph.OrderOptions{})) })
		run("Blast", func(b *testing.B) { must(b)(g.Blast(depgraph.BlastOptions{}, hub)) })
		run("Availability", func(b *testing.B) { must(b)(g.Availability(b.Context(), top, depgraph.AvailOptions{})) })
		run("Query", func(b *testing.B) { must(b)(g.Query(b.Context(), "rdeps("+hub+", hard) & owner(team-7)")) })
		run("WhyBlocked", func(b *testing.B) { must(b)(g.WhyBlocked(top, nil)) })
		if n <= 100_000 {
			run("BlastAll", func(b *testing.B) { must(b)(g.BlastAll(b.Context(), nil)) })
			run("Check", func(b *testing.B) { must(b)(g.Check(b.Context(), depgraph.CheckOptions{})) })
			cyclic := randomInput(1, n, 5, false).ours(b)
			run("Cycles", func(b *testing.B) { must(b)(cyclic.Cycles(b.Context(), depgraph.CyclesOptions{})) })
		}
	}
}

// must fails a benchmark on an error of a call with a result.
func must(b *testing.B) func(any, error) {
	return func(_ any, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

var update = flag.Bool("update", false, "draw scale.svg from results/scale.txt")

// TestScale_drawing draws the raw output, and fails if the drawing is of
// another one.
func TestScale_drawing(t *testing.T) {
	f, err := os.Open("results/scale.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	curves := map[string]map[int]measured{}
	sc := benchfmt.NewReader(f, "results/scale.txt")
	for sc.Scan() {
		r, ok := sc.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		path, services := "", 0
		name := strings.TrimPrefix(string(r.Name.Full()), "Scale/")
		path, name, _ = strings.Cut(name, "/services=")
		fmt.Sscan(name, &services)
		if curves[path] == nil {
			curves[path] = map[int]measured{}
		}
		ns, _ := r.Value("ns/op")
		if s, ok := r.Value("sec/op"); ok {
			ns = s * 1e9
		}
		bytes, _ := r.Value("B/op")
		old := curves[path][services]
		if old.ns == 0 || ns < old.ns { // the least of several runs, as the machine is shared
			curves[path][services] = measured{ns, bytes}
		}
	}
	if err := sc.Err(); err != nil || len(curves) < 8 {
		t.Fatalf("%v; %d curves", err, len(curves))
	}
	drawing := scaleSVG(curves)
	if *update {
		if err := os.WriteFile("scale.svg", []byte(drawing), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if old, err := os.ReadFile("scale.svg"); err != nil || string(old) != drawing {
		t.Errorf("scale.svg is of other results (%v); go test ./depgraph -run Scale -update", err)
	}
}

type measured struct{ ns, bytes float64 }

// scaleSVG draws time and memory side by side, all scales logarithmic. Each
// curve has a colour and a dash of its own, and its name at its end.
func scaleSVG(curves map[string]map[int]measured) string {
	const w, h, panel, left, top, bottom = 1080, 480, 540, 70, 40, 50
	colours := []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img" aria-label="Time and memory of each path of the engine, from a thousand to a million services">`+"\n", w, h)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", w, h)
	names := make([]string, 0, len(curves))
	for n := range curves {
		names = append(names, n)
	}
	slices.Sort(names)
	for side, axis := range []struct {
		title     string
		low, high float64
		label     func(float64) string
		of        func(measured) float64
	}{
		{"time of one call", 1e4, 1e11, timeLabel, func(m measured) float64 { return m.ns }},
		{"memory that one call allocates", 1e2, 1e10, bytesLabel, func(m measured) float64 { return m.bytes }},
	} {
		x0 := float64(side*panel + left)
		x := func(n int) float64 { return x0 + (panel-left-110)*(math.Log10(float64(n))-3)/3 }
		y := func(v float64) float64 {
			share := (math.Log10(max(v, axis.low)) - math.Log10(axis.low)) / (math.Log10(axis.high) - math.Log10(axis.low))
			return h - bottom - (h-bottom-top)*min(share, 1)
		}
		fmt.Fprintf(&b, `<text x="%.0f" y="20" font-weight="bold">%s</text>`+"\n", x0, axis.title)
		for v := axis.low; v <= axis.high*1.01; v *= 10 {
			fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", x0, y(v), x(1_000_000), x0-6, y(v)+4, axis.label(v))
		}
		for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(n), h-bottom+18, map[int]string{1_000: "1,000", 10_000: "10,000", 100_000: "100,000", 1_000_000: "1,000,000"}[n])
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">services</text>`+"\n", (x0+x(1_000_000))/2, h-bottom+36)
		type end struct {
			at           float64
			name, colour string
		}
		var ends []end
		for i, name := range names {
			sizes := make([]int, 0, len(curves[name]))
			for n := range curves[name] {
				sizes = append(sizes, n)
			}
			slices.Sort(sizes)
			dash := ""
			if i >= len(colours) {
				dash = ` stroke-dasharray="5 4"`
			}
			fmt.Fprintf(&b, `<path fill="none" stroke="%s" stroke-width="2"%s d="`, colours[i%len(colours)], dash)
			for k, n := range sizes {
				fmt.Fprintf(&b, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[k == 0], x(n), y(axis.of(curves[name][n])))
			}
			b.WriteString("\"/>\n")
			ends = append(ends, end{y(axis.of(curves[name][sizes[len(sizes)-1]])), name, colours[i%len(colours)]})
		}
		// The names stand in the order of the ends of their curves.
		slices.SortFunc(ends, func(a, b end) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.name, b.name)) })
		for i, e := range ends {
			if i > 0 {
				e.at = max(e.at, ends[i-1].at+13)
			}
			ends[i] = e
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", x(1_000_000)+8, e.at+4, e.colour, e.name)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func timeLabel(ns float64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%.0f s", ns/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%.0f ms", ns/1e6)
	}
	return fmt.Sprintf("%.0f µs", ns/1e3)
}

func bytesLabel(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.0f GB", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", n/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", n/1e3)
	}
	return fmt.Sprintf("%.0f B", n)
}

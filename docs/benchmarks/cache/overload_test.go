package cache

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

var update = flag.Bool("update", false, "write results/overload.csv and overload.svg")

// The origin: 32 loads at once, of 100 ms each.
const (
	slots     = 32
	loadTime  = 100 * time.Millisecond
	perSecond = float64(slots) / 0.1 // loads a second
)

// point is what was served, in parts of the origin's capacity.
type point struct{ asked, ours, fifo float64 }

// TestOverload measures in virtual time how much is served while the shared
// tier is gone and every caller asks for another key, and compares that with
// what is published: within 3 points, since goroutines do not always run in
// the same order.
func TestOverload(t *testing.T) {
	var points []point
	for _, times := range []float64{0.5, 0.75, 0.9, 1, 1.17, 1.5, 2, 3, 5, 7, 10} {
		points = append(points, point{times, goodput(t, times, ours), goodput(t, times, fifo)})
	}
	csv := table(points)
	if *update {
		for name, content := range map[string]string{"results/overload.csv": csv, "overload.svg": svg(points)} {
			if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	published, err := os.ReadFile("results/overload.csv")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(published), "\n")
	for i, line := range strings.Split(csv, "\n") {
		var a, b point
		if i == 0 || line == "" {
			continue
		}
		_, _ = fmt.Sscanf(line, "%g,%g,%g", &a.asked, &a.ours, &a.fifo)
		_, _ = fmt.Sscanf(want[i], "%g,%g,%g", &b.asked, &b.ours, &b.fifo)
		if math.Abs(a.ours-b.ours) > 0.03 || math.Abs(a.fifo-b.fifo) > 0.03 {
			t.Errorf("now %q, published %q; run go test -run TestOverload ./cache -update", line, want[i])
		}
	}
}

// goodput is the share of the origin's capacity that serves someone when
// times as much is asked, by callers who wait for a second.
func goodput(t *testing.T, times float64, service func(t *testing.T) (get func(context.Context, string) error, end func())) (served float64) {
	synctest.Test(t, func(t *testing.T) {
		o := cachetest.Overload{Rate: times * perSecond, For: 20 * time.Second, WarmUp: 10 * time.Second, Deadline: time.Second}
		get, end := service(t)
		began := time.Now()
		var n atomic.Int64
		o.Run(func(ctx context.Context, i int) error {
			err := get(ctx, fmt.Sprint(i))
			if at := time.Since(began); err == nil && at >= o.WarmUp && at < o.For {
				n.Add(1)
			}
			return err
		})
		served = float64(n.Load()) / (o.For - o.WarmUp).Seconds() / perSecond
		end()
	})
	return served
}

func load(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
	defer cancel()
	<-ctx.Done()
	return key, nil
}

// ours is the cache.
func ours(t *testing.T) (func(context.Context, string) error, func()) {
	store := new(cachetest.Store)
	store.Inject(cachetest.Fail(cache.ErrPermanent))
	c, err := cache.New(cache.Options[string]{Name: "overload", Load: load, Store: store, TTL: time.Hour, Concurrency: slots})
	if err != nil {
		t.Fatal(err)
	}
	get := func(ctx context.Context, key string) error { _, err := c.Get(ctx, key); return err }
	return get, func() { _ = c.Close(context.Background()) }
}

// fifo is what most services have: a semaphore that serves in order, and loads
// that go on when their caller has left.
func fifo(*testing.T) (func(context.Context, string) error, func()) {
	sem := make(chan struct{}, slots)
	get := func(ctx context.Context, key string) error {
		select {
		case sem <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		done := make(chan struct{})
		go func() {
			_, _ = load(ctx, key)
			<-sem
			close(done)
		}()
		select {
		case <-done:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return get, func() { <-time.After(2 * loadTime) }
}

func table(points []point) string {
	var b strings.Builder
	b.WriteString("asked,failopen,fifo\n")
	for _, p := range points {
		fmt.Fprintf(&b, "%g,%.2f,%.2f\n", p.asked, p.ours, p.fifo)
	}
	return b.String()
}

// svg draws the curves: what was asked, on a logarithmic scale, and what was
// served, both in parts of capacity.
func svg(points []point) string {
	const w, h, left, top = 640, 320, 60, 30
	x := func(v float64) float64 { return left + (w-left-20)*math.Log(v/0.5)/math.Log(20) }
	y := func(v float64) float64 { return h - 40 - (h-40-top)*v/1.1 }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img" aria-label="Served against asked, in parts of the origin's capacity">`+"\n", w, h)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", w, h)
	for _, v := range []float64{0, 0.25, 0.5, 0.75, 1} {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f %%</text>`+"\n", left, y(v), w-20, left-6, y(v)+4, 100*v)
	}
	for _, v := range []float64{0.5, 1, 2, 3, 5, 10} {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%g ×</text>`+"\n", x(v), h-22, v)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">asked, in parts of what the origin can take</text>`+"\n", (w+left)/2, h-6)
	fmt.Fprintf(&b, `<text x="%d" y="16">served, in parts of what the origin can take</text>`+"\n", left)
	for _, c := range []struct {
		name, style string
		of          func(point) float64
	}{
		{"failopen/cache", `stroke="#0a6" stroke-width="2.5"`, func(p point) float64 { return p.ours }},
		{"served in order", `stroke="#c33" stroke-width="2" stroke-dasharray="6 4"`, func(p point) float64 { return p.fifo }},
	} {
		b.WriteString(`<path fill="none" ` + c.style + ` d="`)
		for i, p := range points {
			fmt.Fprintf(&b, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x(p.asked), y(min(c.of(p), 1.1)))
		}
		last := points[len(points)-1]
		fmt.Fprintf(&b, `"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", w-24, y(c.of(last))-8, c.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

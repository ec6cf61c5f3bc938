package depgraph

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestGraph_stops_when_its_context_ends(t *testing.T) {
	g := graphOf(t, star(700)+"---\nservice: a\ndepends: [{on: b}, {any-of: [s1, s2]}]\n---\nservice: b\ndepends: [{on: a}]\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ask := range map[string]func() error{
		"Cycles":            func() error { _, err := g.Cycles(ctx, CyclesOptions{}); return err },
		"Order":             func() error { _, err := g.Order(ctx, OrderOptions{}); return err },
		"BlastAll":          func() error { _, err := g.BlastAll(ctx, nil); return err },
		"FalseRedundancies": func() error { _, err := g.FalseRedundancies(ctx, nil); return err },
		"Availability":      func() error { _, err := g.Availability(ctx, "a", AvailOptions{}); return err },
		"Why":               func() error { _, _, err := g.Why(ctx, "a", "hub", WhyOptions{All: true}); return err },
		"Check":             func() error { _, err := g.Check(ctx, CheckOptions{}); return err },
	} {
		if err := ask(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
}

func TestBlastAll_reports_progress_to_the_end(t *testing.T) {
	g := graphOf(t, star(1200))
	var mu sync.Mutex
	var last Progress
	if _, err := g.BlastAll(t.Context(), func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		last = p
	}); err != nil {
		t.Fatal(err)
	}
	if last.Done != last.Total || last.Total != 3 {
		t.Errorf("the last progress is %+v, want 3 of 3 blocks", last)
	}
}

func TestGraph_unknown_services_are_named(t *testing.T) {
	g := graphOf(t, "service: payments\n")
	for name, ask := range map[string]func() error{
		"Blast":        func() error { _, err := g.Blast(BlastOptions{}, "paymets"); return err },
		"Availability": func() error { _, err := g.Availability(t.Context(), "paymets", AvailOptions{}); return err },
		"Why":          func() error { _, _, err := g.Why(t.Context(), "payments", "paymets", WhyOptions{}); return err },
		"Order":        func() error { _, err := g.Order(t.Context(), OrderOptions{Restart: "paymets"}); return err },
		"WithSoft":     func() error { _, err := g.WithSoft(EdgeRef{"paymets", "x"}); return err },
	} {
		if err := ask(); !errors.Is(err, ErrUnknownService) || err.Error() != `depgraph: unknown service: "paymets"; did you mean "payments"?` {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := g.WithSoft(EdgeRef{"payments", "payments"}); err == nil {
		t.Error("WithSoft accepted an edge that is not there")
	}
}

// A progress that panics does so where its caller can recover, and leaves nothing locked:
// the next question is answered.
func TestGraph_progress_is_called_by_who_asked(t *testing.T) {
	g := chain(t, 2*blockSize+1)
	folder := writeTree(t, map[string]string{"a/depgraph.yaml": "service: a\n", "b/depgraph.yaml": "service: b\n"})
	for name, ask := range map[string]func(func(Progress)){
		"BlastAll": func(p func(Progress)) { _, _ = g.BlastAll(t.Context(), p) },
		"FalseRedundancies": func(p func(Progress)) {
			_, _ = g.FalseRedundancies(t.Context(), p)
		},
		"Load": func(p func(Progress)) {
			_, _ = Load(t.Context(), LoadOptions{Paths: []string{folder}, Progress: p})
		},
		"Cycles": func(p func(Progress)) {
			_, _ = system(t, "a: / on: b\nb: / on: a").Cycles(t.Context(), CyclesOptions{Progress: p})
		},
		"Check": func(p func(Progress)) {
			_, _ = g.Check(t.Context(), CheckOptions{Progress: p, Only: []string{"DG013"}})
		},
	} {
		for range 2 {
			func() {
				defer func() {
					if r := recover(); r != "enough" {
						t.Errorf("%s: recovered %v", name, r)
					}
				}()
				ask(func(Progress) { panic("enough") })
			}()
		}
		calls, last := 0, Progress{}
		ask(func(p Progress) { calls, last = calls+1, p })
		if calls == 0 || name != "Cycles" && last.Done != last.Total {
			t.Errorf("%s: %d calls, the last %+v", name, calls, last)
		}
	}
}

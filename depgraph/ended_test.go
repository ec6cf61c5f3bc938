package depgraph

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

// endsAfter is a context that ends after it has been asked so many times.
type endsAfter struct {
	context.Context
	left atomic.Int64
}

func (c *endsAfter) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// Wherever a context ends, the answer is its error or the whole answer, and never a part
// of one that looks like the whole.
func TestGraph_a_context_may_end_anywhere(t *testing.T) {
	g := system(t, `
		a: availability: {own: 99} / on: b, phase: startup / any-of: [x, y, z], need: 2 / on: ci, phase: deploy / on: q, soft: true
		b: / on: c, phase: startup / on: d, order: weak
		c: / on: a, phase: startup / on: q
		d: / on: e, phase: runtime
		e: / on: d, phase: runtime / on: b, order: weak
		ci: / on: a / on: x, soft: true
		q: / on: c, soft: true
		x: availability: {own: 99} / on: net
		y: availability: {own: 98} / on: net
		z: availability: {own: 97}
		net:`)
	other := system(t, `
		a: availability: {own: 99} / on: b / any-of: [x, y, z], need: 2
		b: / on: c
		c: / on: d, phase: startup
		d: / on: c, phase: startup
		x: availability: {own: 99} / on: net
		y: availability: {own: 98} / on: net
		z: availability: {own: 97}
		net:`)
	policy, err := ParsePolicy("p.yaml", []byte("forbidden: [{name: none, from: {service: a}, to: {service: net}, reach: true}]"))
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(ctx context.Context) (any, error){
		"Cycles":        func(ctx context.Context) (any, error) { return g.Cycles(ctx, CyclesOptions{}) },
		"deploy cycles": func(ctx context.Context) (any, error) { return g.Cycles(ctx, CyclesOptions{Deploy: true}) },
		"Order":         func(ctx context.Context) (any, error) { return g.Order(ctx, OrderOptions{}) },
		"BlastAll":      func(ctx context.Context) (any, error) { return g.BlastAll(ctx, nil) },
		"Check": func(ctx context.Context) (any, error) {
			return g.Check(ctx, CheckOptions{Policy: policy, Now: proofNow})
		},
		"Compare": func(ctx context.Context) (any, error) {
			return Compare(ctx, other, g, DiffOptions{Check: CheckOptions{Now: proofNow}})
		},
		"Availability": func(ctx context.Context) (any, error) {
			return g.Availability(ctx, "a", AvailOptions{Savings: true})
		},
		"an estimate": func(ctx context.Context) (any, error) {
			return g.Availability(ctx, "a", AvailOptions{MaxNodes: 3, Samples: 1000})
		},
		"Why": func(ctx context.Context) (any, error) {
			paths, truncated, err := g.Why(ctx, "a", "net", WhyOptions{All: true})
			return fmt.Sprint(paths, truncated), err
		},
		"Query": func(ctx context.Context) (any, error) {
			return g.Query(ctx, "(deps(a) & cycles()) | down(net) - somepath(a, net)")
		},
	} {
		want, err := ask(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		steps := 0
		for ; ; steps++ {
			ctx := &endsAfter{Context: context.Background()}
			ctx.left.Store(int64(steps))
			got, err := ask(ctx)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("%s after %d: %v", name, steps, err)
				}
				continue
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s after %d: got %+v, want %+v", name, steps, got, want)
			}
			// Nothing was left out for want of time: it would be in the number of questions.
			if ctx.left.Load() >= 0 {
				break
			}
			if steps > 100_000 {
				t.Fatalf("%s asks its context without end", name)
			}
		}
		if steps == 0 {
			t.Errorf("%s never asks its context", name)
		}
	}
}

// The same holds of files.
func TestLoad_a_context_may_end_anywhere(t *testing.T) {
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("d%d/depgraph.yaml", i)] = fmt.Sprintf("service: s%d\n", i)
	}
	folder := writeTree(t, files)
	for steps := 0; ; steps++ {
		ctx := &endsAfter{Context: context.Background()}
		ctx.left.Store(int64(steps))
		services, err := LoadServices(ctx, LoadOptions{Paths: []string{folder}})
		switch {
		case err == nil && len(services) != 20:
			t.Fatalf("after %d: %d services", steps, len(services))
		case err == nil && ctx.left.Load() >= 0:
			if steps < 20 {
				t.Errorf("asked %d times for 20 files", steps)
			}
			return
		case err != nil && !errors.Is(err, context.Canceled):
			t.Fatalf("after %d: %v", steps, err)
		}
	}
}

// A fault in the middle of a query is told there, however deep it stands.
func TestQuery_a_quote_without_an_end_is_told_everywhere(t *testing.T) {
	g := system(t, "a: / on: b\nb:")
	for _, query := range []string{
		`"x`, `("x`, `(a "x`, `a & "x`, `a | "x`, `a - "x`, `deps("x`, `deps(a "x`, `deps(a, "x`, `deps(a, 1 "x`,
		`somepath(a, "x`, `somepath("x`, `owner("x`, `owner(a "x`, `"a" "x`, `a "x`, `all("x`, `cycles() & "x`,
	} {
		_, err := g.Query(t.Context(), query)
		var q *QueryError
		if !errors.As(err, &q) || q.Message != "the quote does not end" || q.Offset != strings.LastIndex(query, `"`) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

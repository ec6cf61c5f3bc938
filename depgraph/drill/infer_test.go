package drill_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// four is a service with a dependency of each strength: it needs stock, serves
// without prices, has not been asked for reviews, and is broken by itself when
// asked for advice.
type four struct{ injector *fault.Injector }

func (f *four) ask(ctx context.Context, dependency string) error {
	if hit := f.injector.Next(ctx, fault.Call{Service: dependency}); hit != nil {
		return errors.New(dependency + " is not there")
	}
	return nil
}

func (f *four) start(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error) {
	return drill.Experiment{
		Target: drill.Func(func(ctx context.Context, _ int64) error {
			_ = f.ask(ctx, "prices")
			if dependency == "advice" {
				return errors.New("broken anyhow")
			}
			return f.ask(ctx, "stock")
		}),
		Fault: drill.Rules(f.injector, rules...), Watch: time.Minute,
	}, func() error { return nil }, nil
}

func TestInfer(t *testing.T) {
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "shop", Depends: []depgraph.Dependency{
			{On: "stock", Soft: true, At: depgraph.Position{File: "shop.yaml", Line: 3}},
			{On: "prices", Soft: true, At: depgraph.Position{File: "shop.yaml", Line: 5}},
			{On: "reviews", At: depgraph.Position{File: "shop.yaml", Line: 7}},
		}},
	}, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &four{fault.New(fault.Options{})}
		found, err := drill.Infer(t.Context(), []string{"stock", "prices", "reviews", "advice"}, drill.Faults, f.start)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []struct {
			strength drill.Strength
			cells    int
		}{{drill.Hard, 1}, {drill.Soft, 15}, {drill.Unused, 15}, {drill.Unknown, 15}} {
			if in := found[i]; in.Strength != want.strength || len(in.Cells) != want.cells {
				t.Errorf("%s: %s after %d cells; want %s after %d", in.Dependency, in.Strength, len(in.Cells), want.strength, want.cells)
			}
		}
		var lines []string
		for _, d := range drill.Differences(g, "shop", found) {
			lines = append(lines, d.String())
		}
		text := strings.Join(lines, "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "shop.yaml:3: shop -> stock is declared soft, and is hard: denied: ") ||
			lines[1] != "shop.yaml:7: shop -> reviews is declared hard, and is unused: it was never called while it was cut" {
			t.Error(text)
		}
		none := drill.Differences(nil, "shop", found)
		if len(none) != 2 || none[0].Declared != "not declared" || none[1].Dependency != "prices" {
			t.Errorf("without manifests: %v", none)
		}
	})
}

func TestMatrixHTML_nothing_is_injected(t *testing.T) {
	page := drill.MatrixHTML(`<script>`, []drill.Cell{{Dependency: `a"><img src=x>`, Fault: "<b>", Verdict: drill.Deviated, Reason: "<i>"}, {Dependency: "b", Fault: "denied"}})
	for _, bad := range []string{"<script>", "<img", "<b>", "<i>"} {
		if strings.Contains(page, bad) {
			t.Errorf("%s is in the page", bad)
		}
	}
	if !strings.Contains(page, `<td class="deviated">deviated`) || !strings.Contains(page, `<td class="held">held`) || !strings.Contains(page, "<td>–</td>") {
		t.Error(page)
	}
}

package drill_test

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// The plan has soft edges first, by name; an edge that is weak, or needed only to
// build or start, is not in it.
func TestPlan(t *testing.T) {
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "shop", Depends: []depgraph.Dependency{
			{On: "stock", At: depgraph.Position{File: "shop.yaml", Line: 3}},
			{On: "prices", Soft: true, Evidence: "https://ci/1"},
			{On: "images", Soft: true},
			{On: "registry", Phase: depgraph.Startup},
			{On: "search", Weak: true},
		}},
		{Name: "app", Depends: []depgraph.Dependency{{On: "shop"}, {On: "zoo", Soft: true}}},
	}, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range drill.Plan(g, nil, time.Now(), 24*time.Hour) {
		got = append(got, fmt.Sprintf("%s -> %s soft %t at %s, %d rules", p.Service, p.Dependency, p.Soft, p.At, len(p.Rules)))
		if p.Soft && (p.Rules[0] != fault.Rule{Service: p.Dependency, Net: fault.Refuse, Every: 2} || p.Rules[1] != fault.Rule{Service: p.Dependency, Net: fault.BlackHole}) {
			t.Errorf("%+v", p.Rules)
		}
		if p.Soft && p.Status != (*depgraph.Proofs)(nil).Status(p.Service, p.Dependency, map[string]string{"prices": "https://ci/1"}[p.Dependency], time.Now(), time.Hour) {
			t.Errorf("%s -> %s: %+v; want the status of its evidence", p.Service, p.Dependency, p.Status)
		}
	}
	want := []string{
		"app -> zoo soft true at , 2 rules", "shop -> images soft true at , 2 rules", "shop -> prices soft true at , 2 rules",
		"app -> shop soft false at , 0 rules", "shop -> stock soft false at shop.yaml:3, 0 rules",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q; want\n%q", got, want)
	}
}

func TestDifference_String(t *testing.T) {
	for want, d := range map[string]drill.Difference{
		"shop -> db is declared soft, and is hard: denied: 403": {Service: "shop", Dependency: "db", Declared: "soft", Found: drill.Hard, Why: "denied: 403"},
		"a.yaml:3: shop -> db is declared soft, and is unused":  {Service: "shop", Dependency: "db", Declared: "soft", Found: drill.Unused, Position: "a.yaml:3"},
		"shop -> db is not declared, and is hard":               {Service: "shop", Dependency: "db", Declared: "not declared", Found: drill.Hard},
	} {
		if got := d.String(); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

// A member of a group is neither soft nor hard by itself; what nobody could tell,
// and what is neither declared nor used, is no difference.
func TestDifferences_leaves_out(t *testing.T) {
	g, err := depgraph.Compile([]depgraph.Service{{Name: "shop", Depends: []depgraph.Dependency{
		{AnyOf: []string{"a", "b"}},
		{On: "soft", Soft: true},
		{On: "hard"},
	}}}, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	var inferred []drill.Inferred
	for _, name := range []string{"a", "soft", "hard", "new"} {
		for _, s := range []drill.Strength{drill.Soft, drill.Hard, drill.Unused, drill.Unknown} {
			inferred = append(inferred, drill.Inferred{Dependency: name, Strength: s})
		}
	}
	var got []string
	for _, d := range drill.Differences(g, "shop", inferred) {
		got = append(got, fmt.Sprintf("%s: %s, %s", d.Dependency, d.Declared, d.Found))
	}
	want := []string{"soft: soft, hard", "soft: soft, unused", "hard: hard, soft", "hard: hard, unused", "new: not declared, soft", "new: not declared, hard"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q; want\n%q", got, want)
	}
	if e := drill.RuntimeEdges(g, "nobody"); e != nil {
		t.Errorf("%v", e)
	}
}

// What Infer says when there was nothing to try, when it may not be asked, and
// when the context ends: what it has found so far is not lost.
func TestInfer_says(t *testing.T) {
	start := func(string, []fault.Rule) (drill.Experiment, func() error, error) {
		return drill.Experiment{Target: drill.Func(always), Fault: said{hits: counter(0, 1)}}, nil, nil
	}
	found, err := drill.Infer(t.Context(), []string{"db"}, func(string) []drill.NamedFault { return nil }, start)
	if err != nil || len(found) != 1 || found[0].Strength != drill.Unknown || found[0].Why != "nothing was tried" {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := drill.Infer(t.Context(), []string{"db"}, func(string) []drill.NamedFault { panic("no") }, start); err == nil || err.Error() != "drill: the faults of db: it panicked: no" {
		t.Errorf("%v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // one drill takes 14 s
		defer cancel()
		one := func(string) []drill.NamedFault { return []drill.NamedFault{{Name: "denied"}} }
		found, err := drill.Infer(ctx, []string{"db", "mail"}, one, start)
		if !errors.Is(err, context.DeadlineExceeded) || len(found) != 1 || found[0].Strength != drill.Soft {
			t.Errorf("%+v, %v; want that db is soft", found, err)
		}
	})
}

// An error of a drill ends Shrink, wherever it has got to.
func TestShrink_stops(t *testing.T) {
	rules := []fault.Rule{fault.Denied("db"), {Service: "db", Net: fault.Reset, Every: 2, From: time.Second}}
	for last := range 5 {
		n := 0
		_, _, err := drill.Shrink(rules, time.Minute, func([]fault.Rule, time.Duration) (bool, error) {
			if n++; n > last {
				return false, fmt.Errorf("try %d", n)
			}
			return n > 2, nil
		})
		if want := fmt.Sprintf("try %d", last+1); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	// However long the list, it gives up after sixty drills, with what it has.
	long, n := make([]fault.Rule, 100), 0
	for i := range long {
		long[i] = fault.Network(fmt.Sprintf("s%d", i), fault.Reset)
	}
	got, watch, err := drill.Shrink(long, time.Hour, func([]fault.Rule, time.Duration) (bool, error) { n++; return true, nil })
	if n != 60 || len(got) != 40 || watch != time.Hour || err != nil {
		t.Errorf("%d drills, %d rules, %v, %v; want 60, 40, 1h", n, len(got), watch, err)
	}
}

// A shorter fault drops the rules that begin too late and the ends that are no
// more, but not the last rule.
func TestShrink_shortens(t *testing.T) {
	rules := []fault.Rule{
		{Service: "db", Net: fault.Reset, Until: 50 * time.Second},
		{Service: "late", Net: fault.Reset, From: 20 * time.Second},
	}
	got, watch, err := drill.Shrink(rules, time.Minute, func(r []fault.Rule, w time.Duration) (bool, error) {
		both := len(r) == 2 && r[1].From > 0
		return w == time.Minute && both && r[0].Until > 0 || w < time.Minute && w >= 15*time.Second, nil
	})
	if want := []fault.Rule{{Service: "db", Net: fault.Reset}}; err != nil || watch != 15*time.Second || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, %v; want %+v for 15s", got, watch, err, want)
	}
	only := rules[1:]
	got, watch, err = drill.Shrink(only, 30*time.Second, func(r []fault.Rule, _ time.Duration) (bool, error) { return r[0].From > 0, nil })
	if err != nil || watch > 2*time.Second || !reflect.DeepEqual(got, only) {
		t.Errorf("%+v, %v, %v; want the rule as it is", got, watch, err)
	}
}

// The reproduction is Go whatever the names are, and says what it is about.
func TestReproduction_is_Go(t *testing.T) {
	got := drill.Reproduction("shop", "db", []fault.Rule{fault.Network("db", fault.Reset)}, 1500*time.Millisecond)
	const want = `func Test_shop_without_db(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, injector := newService(t) // yours, with faultaws or Injector.RoundTripper
		rules, err := fault.ParseRules([]byte("[{\"service\":\"db\",\"net\":\"reset\"}]"))
		if err != nil {
			t.Fatal(err)
		}
		drill.Test(t, drill.Experiment{
			Service: "shop", Dependency: "db", Target: svc, Rules: rules,
			Fault: drill.Rules(injector, rules...), Watch: 1500 * time.Millisecond,
		})
	})
}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, name := range []string{"", "a-b.c/d", "\"); panic(`x`) //", "naïve\x00", hostile} {
		text := "package x\n" + drill.Reproduction(name, name, []fault.Rule{fault.Network(name, fault.Reset)}, time.Second)
		f, err := parser.ParseFile(token.NewFileSet(), "x_test.go", text, 0)
		if err != nil || len(f.Decls) != 1 {
			t.Errorf("%q: %v\n%s", name, err, text)
		}
	}
}

// An experiment that is invalid is fatal, with all that is wrong.
func TestTest_refuses(t *testing.T) {
	tb := failing{ctx: t.Context()}
	if r := drill.Test(&tb, drill.Experiment{Least: 2, Sparse: -1}); r != nil || len(tb.errors) != 1 {
		t.Errorf("%v, %q", r, tb.errors)
	}
	_, err := drill.Run(t.Context(), drill.Experiment{Least: 2, Sparse: -1, Steady: 721 * time.Hour})
	want := "drill: Experiment.Target is nil\ndrill: Experiment.Fault is nil\ndrill: Experiment.Sparse is -1; want 0 to 10000\n" +
		"drill: Experiment.Least is 2; want 0 (all) to 1\ndrill: Experiment.Steady is 721h0m0s; want 0 (the default) to 720h"
	if err == nil || err.Error() != want {
		t.Errorf("%v; want\n%s", err, want)
	}
	var none context.Context
	if _, err := drill.Run(none, drill.Experiment{}); err == nil || err.Error() != "drill: the context is nil" {
		t.Errorf("%v", err)
	}
}

// A drill that deviates fails its test with the report.
func TestTest_shows_the_report(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := failing{ctx: t.Context()}
		r := drill.Test(&tb, experiment(newService(false)))
		if r == nil || r.Verdict != drill.Deviated || !reflect.DeepEqual(tb.errors, []string{"%s\n\n%s"}) {
			t.Errorf("%v, %q", r, tb.errors)
		}
	})
}

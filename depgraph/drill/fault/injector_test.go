package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

func injector(t testing.TB, opts fault.Options, rules ...fault.Rule) *fault.Injector {
	t.Helper()
	i := fault.New(opts)
	if err := i.Set(rules...); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInjector_matches(t *testing.T) {
	call := fault.Call{Service: "CloudWatch Logs", Region: "us-east-1", Operation: "PutLogEvents", Tables: []string{"a", "sessions"}}
	for want, rules := range map[bool][]fault.Rule{
		true: {
			{},
			{Service: "cloudwatchlogs"},
			{Service: "CloudWatch Logs"},
			{Service: "cloudwatch*"},
			{Region: "us-*"},
			{Operation: "Put*Events"},
			{Operation: "*log*"},
			{Table: "sessions"},
			{Table: "*"},
			{Service: "*", Region: "us-east-1", Operation: "putlogevents", Table: "A"},
		},
		false: {
			{Service: "logs"},
			{Service: "cloudwatch"},
			{Region: "eu-*"},
			{Operation: "Put"},
			{Operation: "*Put"},
			{Operation: "Put*Put*Events"},
			{Table: "session"},
			{Service: "cloudwatchlogs", Table: "other"},
		},
	} {
		for _, r := range rules {
			r.Net = fault.Reset
			if got := injector(t, fault.Options{}, r).Next(t.Context(), call) != nil; got != want {
				t.Errorf("%+v matches: %t; want %t", r, got, want)
			}
		}
	}
}

func TestInjector_first_match_wins(t *testing.T) {
	i := injector(
		t, fault.Options{},
		fault.Rule{Service: "dynamodb", Operation: "PutItem", Net: fault.Reset},
		fault.Denied("dynamodb"),
		fault.Throttled(""),
	)
	for op, want := range map[string]string{"PutItem": "reset", "GetItem": "AccessDeniedException"} {
		f := i.Next(t.Context(), fault.Call{Service: "DynamoDB", Operation: op})
		got := string(f.Kind)
		if f.Error != nil {
			got = f.Error.Code
		}
		if got != want {
			t.Errorf("%s: %s; want %s", op, got, want)
		}
	}
	var hits []int64
	for _, s := range i.Stats().Rules {
		hits = append(hits, s.Hits)
	}
	if !slices.Equal(hits, []int64{1, 1, 0}) {
		t.Errorf("hits %v; want 1, 1, 0", hits)
	}
}

func TestInjector_window(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Hour)
		i := injector(t, fault.Options{}, fault.Rule{Net: fault.Reset, From: 10 * time.Second, Until: 30 * time.Second})
		for _, want := range []bool{false, true, true, false} { // at 0, 10, 20 and 30 s
			if got := i.Next(t.Context(), fault.Call{}) != nil; got != want {
				t.Errorf("at %v: hit %t", time.Now(), got)
			}
			<-time.After(10 * time.Second)
		}
	})
}

func TestInjector_probability_is_repeatable(t *testing.T) {
	run := func(seed uint64) (hits []bool) {
		i := injector(t, fault.Options{Seed: seed}, fault.Rule{Net: fault.Reset, Probability: 0.25})
		for range 4000 {
			hits = append(hits, i.Next(t.Context(), fault.Call{}) != nil)
		}
		return hits
	}
	a, b, c := run(7), run(7), run(8)
	if !slices.Equal(a, b) {
		t.Error("the same seed made other choices")
	}
	if slices.Equal(a, c) {
		t.Error("another seed made the same choices")
	}
	n := 0
	for _, hit := range a {
		if hit {
			n++
		}
	}
	if n < 850 || n > 1150 {
		t.Errorf("%d of 4000 calls were hit; want about 1000", n)
	}
}

func TestInjector_latency(t *testing.T) {
	i := injector(t, fault.Options{Seed: 1}, fault.Slow("", 100*time.Millisecond, 50*time.Millisecond))
	seen := map[time.Duration]bool{}
	for range 100 {
		f := i.Next(t.Context(), fault.Call{})
		if f.Delay < 100*time.Millisecond || f.Delay > 150*time.Millisecond || !f.Passes() {
			t.Fatalf("%+v", f)
		}
		seen[f.Delay] = true
	}
	if len(seen) < 50 {
		t.Errorf("jitter made %d different delays of 100", len(seen))
	}
}

func TestInjector_scope(t *testing.T) {
	type marked struct{}
	i := injector(t, fault.Options{Scope: func(ctx context.Context) bool { return ctx.Value(marked{}) != nil }}, fault.Denied(""))
	if i.Next(t.Context(), fault.Call{}) != nil {
		t.Error("a call out of scope was hit")
	}
	if i.Next(context.WithValue(t.Context(), marked{}, true), fault.Call{}) == nil {
		t.Error("a call in scope was not hit")
	}
}

func TestInjector_contains_panics(t *testing.T) {
	i := injector(t, fault.Options{OnFault: func(fault.Event) { panic("hook") }}, fault.Denied(""))
	if i.Next(t.Context(), fault.Call{}) == nil || i.Stats().HookPanics != 1 {
		t.Errorf("a panic in OnFault changed the fault, or was not counted: %+v", i.Stats())
	}
	i = injector(t, fault.Options{Scope: func(context.Context) bool { panic("scope") }}, fault.Denied(""))
	if i.Next(t.Context(), fault.Call{}) != nil || i.Stats().HookPanics != 1 {
		t.Errorf("a panic in Scope let a fault through, or was not counted: %+v", i.Stats())
	}
}

func TestInjector_tells_what_it_does(t *testing.T) {
	var events []fault.Event
	i := injector(t, fault.Options{OnFault: func(e fault.Event) { events = append(events, e) }}, fault.NoTable("x"), fault.Denied(""))
	call := fault.Call{Service: "DynamoDB", Region: "eu-central-1", Operation: "GetItem", Tables: []string{"sessions"}}
	i.Next(t.Context(), call)
	if len(events) != 1 || events[0].Rule != 1 || fmt.Sprint(events[0].Call) != fmt.Sprint(call) {
		t.Fatalf("events: %+v", events)
	}
	want := "dynamodb:GetItem on resource: arn:aws:dynamodb:eu-central-1:123456789012:table/sessions"
	if got := events[0].Fault.Error.Message; !strings.Contains(got, want) {
		t.Errorf("message %q does not contain %q", got, want)
	}
}

func TestInjector_set_is_all_or_nothing(t *testing.T) {
	i := injector(t, fault.Options{}, fault.Denied("a"))
	err := i.Set(fault.Denied("b"), fault.Rule{Net: "rest"})
	if err == nil || !strings.Contains(err.Error(), `rule 2: net: unknown kind "rest"`) {
		t.Errorf("Set: %v", err)
	}
	if r := i.Rules(); len(r) != 1 || r[0].Service != "a" {
		t.Errorf("rules after a bad Set: %+v", r)
	}
	if err := i.Set(); err != nil || i.Active() {
		t.Error("Set without rules did not clear them")
	}
}

// The caller's slice is copied.
func TestInjector_copies_rules(t *testing.T) {
	rules := []fault.Rule{fault.Denied("a")}
	i := injector(t, fault.Options{}, rules...)
	rules[0].Service = "b"
	if i.Next(t.Context(), fault.Call{Service: "a"}) == nil {
		t.Error("a change of the caller's slice changed the injector")
	}
}

func TestInjector_concurrently(t *testing.T) {
	i := injector(t, fault.Options{OnFault: func(fault.Event) {}}, fault.Rule{Probability: 0.5, Net: fault.Reset})
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range 500 {
				i.Next(t.Context(), fault.Call{})
				if n%100 == 0 {
					i.Clear()
					if err := i.Set(fault.Denied("")); err != nil {
						t.Error(err)
					}
					i.Stats()
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
}

func BenchmarkNext(b *testing.B) {
	ctx, call := context.Background(), fault.Call{Service: "DynamoDB", Operation: "GetItem", Tables: []string{"sessions"}}
	b.Run("no-rules", func(b *testing.B) {
		i := fault.New(fault.Options{})
		b.ReportAllocs()
		for b.Loop() {
			if i.Active() {
				i.Next(ctx, call)
			}
		}
	})
	b.Run("no-match", func(b *testing.B) {
		i := injector(b, fault.Options{}, fault.Denied("sts"))
		b.ReportAllocs()
		for b.Loop() {
			i.Next(ctx, call)
		}
	})
	b.Run("hit", func(b *testing.B) {
		i := injector(b, fault.Options{}, fault.Network("dynamodb", fault.Reset))
		b.ReportAllocs()
		for b.Loop() {
			i.Next(ctx, call)
		}
	})
}

// What the injector gives out and what it was given share nothing with the
// rules that are in force.
func TestInjector_shares_nothing(t *testing.T) {
	given := fault.Rule{Service: "s", Error: &fault.APIError{Code: "Given"}, Latency: &fault.Latency{Base: time.Millisecond}}
	i := injector(t, fault.Options{}, given)
	given.Error.Code, given.Latency.Base = "Changed", time.Hour
	for _, r := range []fault.Rule{i.Rules()[0], i.Stats().Rules[0].Rule} {
		r.Error.Code, r.Latency.Base = "Changed", time.Hour
	}
	f := i.Next(t.Context(), fault.Call{Service: "s"})
	if f == nil || f.Error.Code != "Given" || f.Delay != time.Millisecond {
		t.Errorf("%+v; want the rule as it was set", f)
	}
}

func TestInjector_counts(t *testing.T) {
	for name, c := range map[string]struct {
		rule fault.Rule
		want string // x: hit, over ten calls
	}{
		"all":       {fault.Rule{}, "xxxxxxxxxx"},
		"off":       {fault.Rule{Off: true}, ".........."},
		"first":     {fault.Rule{First: 3}, "xxx......."},
		"after":     {fault.Rule{After: 8}, "........xx"},
		"every":     {fault.Rule{Every: 4}, "...x...x.."},
		"all three": {fault.Rule{After: 2, First: 5, Every: 2}, "...x.x...."},
	} {
		c.rule.Net = fault.Reset
		i := injector(t, fault.Options{}, c.rule)
		got := ""
		for range 10 {
			if i.Next(t.Context(), fault.Call{}) != nil {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != c.want || i.Stats().Rules[0].Matched != 10 {
			t.Errorf("%s: %s, %+v; want %s", name, got, i.Stats(), c.want)
		}
	}
}

func TestInjector_Unhit(t *testing.T) {
	i := injector(t, fault.Options{}, fault.Denied("dynamodb"), fault.Denied("dynamdb"), fault.Rule{Off: true, Net: fault.Reset})
	i.Next(t.Context(), fault.Call{Service: "DynamoDB"})
	err := i.Unhit()
	if err == nil || !strings.Contains(err.Error(), `rule 2 has hit nothing (0 calls matched it): {"service":"dynamdb"`) || strings.Count(err.Error(), "rule") != 1 {
		t.Errorf("got %v", err)
	}
	i.Clear()
	if err := i.Unhit(); err != nil {
		t.Errorf("without rules: %v", err)
	}
}

// A rule that a dialer cannot apply counts no hit.
func TestDialer_passes_over_other_rules(t *testing.T) {
	i := injector(t, fault.Options{}, fault.Network("db", fault.Reset), fault.Network("db", fault.Refuse))
	_, err := i.Dialer("db", nil)(t.Context(), "tcp", "127.0.0.1:1")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	if s := i.Stats().Rules; s[0].Hits != 0 || s[0].Matched != 0 || s[1].Hits != 1 {
		t.Errorf("%+v", s)
	}
}

func TestInjector_Add_goes_on(t *testing.T) {
	i := fault.New(fault.Options{})
	if err := i.Add(fault.Denied("a")); err != nil {
		t.Fatal(err)
	}
	i.Next(t.Context(), fault.Call{Service: "a"})
	if err := i.Add(fault.Denied("b")); err != nil {
		t.Fatal(err)
	}
	if err := i.Add(fault.Rule{}); err == nil {
		t.Error("an invalid rule was added")
	}
	i.Next(t.Context(), fault.Call{Service: "a"})
	i.Next(t.Context(), fault.Call{Service: "b"})
	rules := i.Stats().Rules
	if len(rules) != 2 || rules[0].Hits != 2 || rules[1].Hits != 1 {
		t.Errorf("%+v", rules)
	}
	f := i.NextIf(t.Context(), fault.Call{Service: "a"}, func(r fault.Rule) bool { return r.Service != "a" })
	if f != nil || i.Stats().Rules[0].Matched != 2 {
		t.Errorf("a rule that cannot be applied was: %+v", f)
	}
}

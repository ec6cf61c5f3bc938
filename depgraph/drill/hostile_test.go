package drill_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// said is a fault that says of itself what a test tells it to.
type said struct {
	hits    func() int64
	limit   func() time.Duration
	left    func() string
	written func() []fault.Rule
}

func (said) Inject(context.Context) error { return nil }
func (said) Revert(context.Context) error { return nil }
func (s said) Seen() drill.Seen {
	if s.hits == nil {
		return drill.Seen{}
	}
	return drill.Seen{Hits: s.hits()}
}

// talkative is one with all of the methods that are asked for.
type talkative struct{ said }

func (s talkative) Limit() time.Duration { return s.limit() }
func (s talkative) Left() string         { return s.left() }
func (s talkative) Rules() []fault.Rule  { return s.written() }

// counter makes each reading differ by step from the one before.
func counter(from, step int64) func() int64 {
	var mu sync.Mutex
	return func() int64 {
		mu.Lock()
		defer mu.Unlock()
		from += step
		return from
	}
}

func always(context.Context, int64) error { return nil }

// A drill takes no credit for hits that are not its own.
func TestRun_believes_only_its_own_hits(t *testing.T) {
	reverted := int64(0)
	nop := func(context.Context) error { return nil }
	for name, c := range map[string]struct {
		fault drill.Fault
		want  drill.Verdict
		why   string
	}{
		"counts what was before":  {said{hits: counter(7, 0)}, drill.Void, "never seen"},
		"goes down":               {said{hits: counter(99, -1)}, drill.Void, "nothing it says is believed"},
		"goes below zero":         {said{hits: counter(0, -3)}, drill.Void, "nothing it says is believed"},
		"goes up":                 {said{hits: counter(99, 1)}, drill.Held, ""},
		"hits once it is over":    {drill.Switch(nop, func(context.Context) error { reverted = 5; return nil }, func() int64 { return reverted }), drill.Void, "never seen"},
		"exits when it is asked":  {said{hits: func() int64 { runtime.Goexit(); return 1 }}, drill.Void, "never seen"},
		"is silent, then has all": {said{hits: func() func() int64 { n := counter(0, 1); return func() int64 { return max(0, n()-5) } }()}, drill.Held, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, t.Context(), drill.Experiment{Target: drill.Func(always), Fault: c.fault})
				if r.Verdict != c.want || c.why != "" && !strings.Contains(r.Reasons[0], c.why) {
					t.Errorf("%v, %v; want %v because of %q", r.Verdict, r.Reasons, c.want, c.why)
				}
				if r.Fault.Hits > 0 && r.Verdict == drill.Held && r.Fault.Hits > 60 {
					t.Errorf("%d hits, although only those since the injection count", r.Fault.Hits)
				}
			})
		})
	}
}

// A fault that is used again begins at zero.
func TestRules_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(true)
		e := experiment(s)
		if r := run(t, t.Context(), e); r.Verdict != drill.Held {
			t.Fatal(r.Sentence())
		}
		e.Target = drill.Func(always) // which never calls the dependency
		if r := run(t, t.Context(), e); r.Verdict != drill.Void || r.Fault.Hits != 0 {
			t.Errorf("%v with %d hits; want void: those are the first drill's", r.Verdict, r.Fault.Hits)
		}
	})
}

// Two drills on one injector would each take the other's rules away.
func TestRules_one_drill_at_a_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(true)
		var reports [2]*drill.Report
		var both sync.WaitGroup
		for i := range reports {
			both.Go(func() { reports[i] = run(t, t.Context(), experiment(s)) })
		}
		both.Wait()
		first, second := reports[0], reports[1]
		if first.Verdict != drill.Held {
			first, second = second, first
		}
		if first.Verdict != drill.Held || first.Fault.Hits < 350 || second.Verdict != drill.NotStarted {
			t.Errorf("%s\n%s\nwant one that holds for all of its time, and one that does not start", first.Sentence(), second.Sentence())
		}
		own := fault.Network("mail", fault.Reset)
		if err := s.injector.Set(own); err != nil {
			t.Fatal(err)
		}
		if r := run(t, t.Context(), experiment(s)); r.Verdict != drill.NotStarted || len(s.injector.Rules()) != 1 {
			t.Errorf("%s, and %d rules; want the program's own to stay", r.Sentence(), len(s.injector.Rules()))
		}
	})
}

// The record says what was done, not what somebody wrote beside it.
func TestRun_records_the_rules_in_force(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := experiment(newService(true))
		r := run(t, t.Context(), e)
		if proof, err := r.Proof(); err != nil || proof.Rules == "" {
			t.Errorf("%+v, %v; want the fault's own rules", proof, err)
		}
		e.Rules = []fault.Rule{fault.Denied("db")}
		if _, err := drill.Run(t.Context(), e); err == nil || !strings.Contains(err.Error(), "Experiment.Rules") {
			t.Errorf("%v; want that the fault does something else", err)
		}
	})
}

type badJSON struct{}

func (badJSON) MarshalJSON() ([]byte, error) { panic("no") }

// Nothing that is given to a drill ends the program, or the drill.
func TestRun_contains_what_it_is_given(t *testing.T) {
	quiet := talkative{said{
		hits: counter(0, 1), limit: func() time.Duration { return 0 }, left: func() string { return "" },
		written: func() []fault.Rule { return nil },
	}}
	with := func(change func(*talkative)) drill.Fault { f := quiet; change(&f); return f }
	for name, e := range map[string]drill.Experiment{
		"rules that are no JSON":   {Rules: make(chan int)},
		"rules that are no number": {Rules: math.NaN()},
		"rules that panic":         {Rules: badJSON{}},
		"a target of nothing":      {Target: drill.Func(nil)},
		"answers of nothing":       {Target: drill.Answers(nil)},
		"a switch of nothing":      {Fault: drill.Switch(nil, nil, nil)},
		"an injector of nothing":   {Fault: drill.Rules(nil)},
		"its rules panic":          {Fault: with(func(f *talkative) { f.written = func() []fault.Rule { panic("no") } })},
	} {
		if e.Target == nil {
			e.Target = drill.Func(always)
		}
		if e.Fault == nil {
			e.Fault = said{hits: counter(0, 1)}
		}
		if _, err := drill.Run(t.Context(), e); err == nil {
			t.Errorf("%s: no error before anything was cut", name)
		}
	}
	var none context.Context
	if _, err := drill.Run(none, drill.Experiment{}); err == nil {
		t.Error("no error about a context that is nil")
	}
	for name, c := range map[string]struct {
		fault drill.Fault
		want  drill.Verdict
	}{
		"the limit panics": {with(func(f *talkative) { f.limit = func() time.Duration { panic("no") } }), drill.Held},
		"the limit exits":  {with(func(f *talkative) { f.limit = func() time.Duration { runtime.Goexit(); return 0 } }), drill.Held},
		"left panics":      {with(func(f *talkative) { f.left = func() string { panic("no") } }), drill.Deviated},
		"left exits":       {with(func(f *talkative) { f.left = func() string { runtime.Goexit(); return "" } }), drill.Deviated},
		"something is left": {with(func(f *talkative) {
			f.left = func() string { return "a rule" }
		}), drill.Deviated},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if r := run(t, t.Context(), drill.Experiment{Target: drill.Func(always), Fault: c.fault}); r.Verdict != c.want {
					t.Errorf("%s; want %v", r.Sentence(), c.want)
				}
			})
		})
	}
}

// waits is an error whose text cannot be had before something happens.
type waits struct{ until <-chan struct{} }

func (w waits) Error() string { <-w.until; return "at last" }

// What is asked of a user's error, and never answered, is a late request.
func TestRun_errors_that_block(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		r := run(t, t.Context(), drill.Experiment{
			Target: drill.Func(func(context.Context, int64) error { return waits{over} }), Fault: said{}, Steady: 2 * time.Second,
		})
		close(over)
		if r.Verdict != drill.NotStarted || !strings.Contains(r.Sentence(), "too slow") {
			t.Error(r.Sentence())
		}
	})
}

// A rate may be as low as one likes: one request a phase is made.
func TestRun_hardly_ever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, e := range []drill.Experiment{{Rate: 1e-300}, {Sparse: 1e-300, Watch: time.Hour}} {
			e.Target, e.Fault = drill.Func(always), said{hits: counter(0, 1)}
			if r := run(t, t.Context(), e); len(r.Phases) != 3 || r.Phases[1].Asked == 0 {
				t.Errorf("%+v", r.Phases)
			}
		}
	})
}

// A service of which a part must be served is as before when that part is.
func TestRun_recovers_to_what_it_was(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, t.Context(), drill.Experiment{
			Target: drill.Func(func(_ context.Context, n int64) error {
				if n%10 == 3 {
					return errors.New("as always")
				}
				return nil
			}),
			Fault: said{hits: counter(0, 1)}, Least: 0.9,
		})
		if r.Verdict != drill.Held {
			t.Error(r.Sentence())
		}
	})
}

// A drill that was stopped while it waited for the recovery has not seen that
// there was none.
func TestRun_ends_in_the_recovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 13500*time.Millisecond)
		defer cancel()
		r := run(t, ctx, drill.Experiment{Target: drill.Func(always), Fault: said{hits: counter(0, 1)}})
		if r.Verdict != drill.Aborted || !strings.Contains(r.Sentence(), "in the recovery") {
			t.Error(r.Sentence())
		}
	})
}

// A journal without a verdict has not held.
func TestParseReport_says_held_only_if_it_was(t *testing.T) {
	for _, text := range []string{`{"version":1}`, `{"version":1,"verdict":"held"}`, `{"version":1,"verdict":"held","fault_observed":true,"fault":{"hits":0}}`} {
		if r, err := drill.ParseReport([]byte(text)); err == nil {
			t.Errorf("%s: %s", text, r.Sentence())
		}
	}
	r := &drill.Report{Service: "shop", Dependency: "db", Fault: drill.FaultRecord{Rules: 1}}
	if p, err := r.Proof(); err == nil {
		t.Errorf("a proof of nothing: %+v", p)
	}
}

// What is given to Matrix, Infer and Shrink may do what it likes.
func TestMatrix_contains_what_it_is_given(t *testing.T) {
	fine := drill.Experiment{Target: drill.Func(always), Fault: said{hits: counter(0, 1)}}
	type start = func(string, []fault.Rule) (drill.Experiment, func() error, error)
	for name, begin := range map[string]start{
		"panics": func(string, []fault.Rule) (drill.Experiment, func() error, error) { panic("no") },
		"exits": func(string, []fault.Rule) (drill.Experiment, func() error, error) {
			runtime.Goexit()
			return fine, nil, nil
		},
		"is nil": nil,
		"end panics": func(string, []fault.Rule) (drill.Experiment, func() error, error) {
			return fine, func() error { panic("no") }, nil
		},
		"end exits": func(string, []fault.Rule) (drill.Experiment, func() error, error) {
			return fine, func() error { runtime.Goexit(); return nil }, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if _, err := drill.Matrix(t.Context(), []string{"db"}, drill.Faults, begin); err == nil || !strings.Contains(err.Error(), "db, denied") {
					t.Errorf("%v; want which cell it was", err)
				}
				if _, err := drill.Infer(t.Context(), []string{"db"}, drill.Faults, begin); err == nil {
					t.Error("Infer: no error")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		withoutEnd := func(string, []fault.Rule) (drill.Experiment, func() error, error) { return fine, nil, nil }
		one := func(string) []drill.NamedFault { return []drill.NamedFault{{Name: "denied"}} }
		if cells, err := drill.Matrix(t.Context(), []string{"db"}, one, withoutEnd); err != nil || len(cells) != 1 {
			t.Errorf("%v, %v", cells, err)
		}
		for name, faults := range map[string]func(string) []drill.NamedFault{
			"nil": nil, "none": func(string) []drill.NamedFault { return nil }, "panics": func(string) []drill.NamedFault { panic("no") },
		} {
			if _, err := drill.Matrix(t.Context(), []string{"db"}, faults, withoutEnd); err == nil {
				t.Errorf("faults: %s: a matrix of nothing is no error", name)
			}
		}
		if _, err := drill.Matrix(t.Context(), nil, drill.Faults, withoutEnd); err == nil {
			t.Error("a matrix without dependencies is no error")
		}
	})
	rules := []fault.Rule{fault.Denied("db"), fault.Slow("db", time.Second, 0)}
	for name, breaks := range map[string]func([]fault.Rule, time.Duration) (bool, error){
		"nil": nil, "panics": func([]fault.Rule, time.Duration) (bool, error) { panic("no") },
		"exits": func([]fault.Rule, time.Duration) (bool, error) { runtime.Goexit(); return true, nil },
	} {
		if _, _, err := drill.Shrink(rules, time.Hour, breaks); err == nil {
			t.Errorf("Shrink: %s: no error", name)
		}
	}
	got, _, err := drill.Shrink(rules[:1], time.Hour, func(r []fault.Rule, _ time.Duration) (bool, error) {
		r[0].Service, r[0].Error.Code = "mail", "Other"
		return true, nil
	})
	if err != nil || got[0].Service != "db" || got[0].Error.Code != rules[0].Error.Code || rules[0].Error.Code == "Other" {
		t.Errorf("%+v, %v; want the rules, although the drill has changed its own", got, err)
	}
}

// A proof that cannot be written is an error of the test.
func TestTest_says_that_a_proof_is_lost(t *testing.T) {
	t.Setenv(drill.ProofEnv, filepath.Join(t.TempDir(), "not there", "proofs.jsonl"))
	synctest.Test(t, func(t *testing.T) {
		var tb failing
		tb.ctx = t.Context()
		drill.Test(&tb, experiment(newService(true)))
		if len(tb.errors) != 1 {
			t.Errorf("%q; want that the proof could not be written", tb.errors)
		}
	})
}

type failing struct {
	ctx    context.Context
	errors []string
}

func (f *failing) Helper()                           {}
func (f *failing) Context() context.Context          { return f.ctx }
func (f *failing) Errorf(format string, args ...any) { f.errors = append(f.errors, format) }
func (f *failing) Fatalf(format string, args ...any) { f.errors = append(f.errors, format) }
func (f *failing) Logf(string, ...any)               {}

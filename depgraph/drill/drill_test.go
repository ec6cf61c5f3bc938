package drill_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// service asks a dependency through an injector. soft answers without it.
type service struct {
	injector *fault.Injector
	soft     bool
	lie      atomic.Bool
	slow     atomic.Int64 // ns
	healAt   atomic.Int64 // unix ns: it fails until then, once it has failed
	failed   atomic.Bool
}

func newService(soft bool) *service {
	return &service{injector: fault.New(fault.Options{Seed: 1}), soft: soft}
}

func (s *service) Ask(ctx context.Context, _ int64) drill.Answer {
	timer := time.NewTimer(5*time.Millisecond + time.Duration(s.slow.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return drill.Answer{Err: ctx.Err()}
	}
	if f := s.injector.Next(ctx, fault.Call{Service: "db"}); f != nil {
		if s.soft {
			return drill.Answer{Source: "origin", Wrong: s.lie.Load()}
		}
		s.failed.Store(true)
		return drill.Answer{Err: errors.New("db is down")}
	}
	if s.failed.Load() && time.Now().UnixNano() < s.healAt.Load() {
		return drill.Answer{Err: errors.New("still down")}
	}
	return drill.Answer{Source: "shared"}
}

func experiment(s *service) drill.Experiment {
	return drill.Experiment{
		Service: "shop", Dependency: "db", Target: s,
		Fault: drill.Rules(s.injector, fault.Network("db", fault.Reset)),
		Watch: 20 * time.Second, Recovery: 10 * time.Second,
	}
}

func run(t *testing.T, ctx context.Context, e drill.Experiment) *drill.Report {
	t.Helper()
	r, err := drill.Run(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun_verdicts(t *testing.T) {
	for name, c := range map[string]struct {
		soft    bool
		change  func(*service, *drill.Experiment)
		verdict drill.Verdict
		reason  string
	}{
		"soft": {true, nil, drill.Held, ""},
		"hard": {false, nil, drill.Deviated, "as many requests served as before: 0.00 % of 400 were"},
		"misspelt": {true, func(s *service, e *drill.Experiment) {
			e.Fault = drill.Rules(s.injector, fault.Network("bd", fault.Reset))
		}, drill.Void, "never seen to hit"},
		"invalid rule": {true, func(s *service, e *drill.Experiment) {
			e.Fault = drill.Rules(s.injector, fault.Rule{})
		}, drill.NotStarted, "could not be injected: fault: rule 1"},
		"lies": {true, func(s *service, _ *drill.Experiment) { s.lie.Store(true) }, drill.Deviated, "no wrong answer: 400 of 400"},
		"too slow": {true, func(s *service, e *drill.Experiment) {
			s.slow.Store(int64(20 * time.Millisecond))
			e.Budget = 10 * time.Millisecond
		}, drill.NotStarted, "too slow for the steady state: 60 of 60 requests took longer than 10ms"},
		"broken before": {true, func(_ *service, e *drill.Experiment) {
			e.Target = drill.Func(func(context.Context, int64) error { return errors.New("503") })
		}, drill.NotStarted, "60 of 60 requests fail before anything was cut (503)"},
		"slow under the fault": {true, func(s *service, e *drill.Experiment) {
			e.Budget = 10 * time.Millisecond
			e.Invariants = []drill.Invariant{{Name: "makes it slow", Holds: func(context.Context) error {
				s.slow.Store(int64(20 * time.Millisecond))
				return nil
			}}}
		}, drill.Deviated, "as many requests served"},
		"guard": {true, func(_ *service, e *drill.Experiment) {
			e.Guards = []drill.Guard{{"freeze", func(context.Context) error { return errors.New("it is Friday") }}}
		}, drill.NotStarted, `the guard "freeze" says no: it is Friday`},
		"guard that panics": {true, func(_ *service, e *drill.Experiment) {
			e.Guards = []drill.Guard{{"bad", func(context.Context) error { panic("boom") }}}
		}, drill.NotStarted, "it panicked: boom"},
		"guard that hangs": {true, func(_ *service, e *drill.Experiment) {
			e.Guards = []drill.Guard{{"bad", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}}
		}, drill.NotStarted, "deadline"},
		"stop condition": {false, func(_ *service, e *drill.Experiment) {
			e.Stop = func(_ context.Context, s drill.Second) error {
				if s.Failed > 5 {
					return fmt.Errorf("%d users were turned away", s.Failed)
				}
				return nil
			}
		}, drill.Aborted, "a stop condition: 20 users"},
		"invariant": {true, func(_ *service, e *drill.Experiment) {
			n := 0
			e.Invariants = []drill.Invariant{{Name: "queue", Holds: func(context.Context) error {
				if n++; n > 3 {
					return fmt.Errorf("%d in the queue", n)
				}
				return nil
			}}}
		}, drill.Deviated, "queue: at 7.0 s: 4 in the queue"},
		"invariant that exits": {true, func(_ *service, e *drill.Experiment) {
			e.Invariants = []drill.Invariant{{Name: "exits", Holds: func(context.Context) error { runtime.Goexit(); return nil }}}
		}, drill.Deviated, "runtime.Goexit"},
		"recovers in time": {false, func(s *service, e *drill.Experiment) {
			s.healAt.Store(time.Now().Add(28 * time.Second).UnixNano())
			e.Least = 0.0000001
		}, drill.Deviated, "as many requests served"},
		"recovers too late": {true, func(s *service, e *drill.Experiment) {
			e.Recovered = func(context.Context) error { return errors.New("the breaker is open") }
		}, drill.Deviated, "recovered in time: not as before within 10s"},
		"revert fails": {true, func(s *service, e *drill.Experiment) {
			inner := e.Fault
			e.Fault = stuck{inner}
		}, drill.Deviated, "nothing left behind: the fault could not be reverted: no"},
		"the target panics": {true, func(_ *service, e *drill.Experiment) {
			e.Target = drill.Answers(func(context.Context, int64) drill.Answer { panic("boom") })
		}, drill.NotStarted, "it panicked: boom"},
		"the target exits": {true, func(_ *service, e *drill.Experiment) {
			e.Target = drill.Answers(func(context.Context, int64) drill.Answer { runtime.Goexit(); return drill.Answer{} })
		}, drill.NotStarted, "Goexit"},
		"progress panics": {true, func(_ *service, e *drill.Experiment) {
			e.Progress = func(drill.Progress) { panic("boom") }
		}, drill.Held, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(c.soft)
				e := experiment(s)
				if c.change != nil {
					c.change(s, &e)
				}
				r := run(t, t.Context(), e)
				if r.Verdict != c.verdict || c.reason != "" && !slices.ContainsFunc(r.Reasons, func(s string) bool { return strings.Contains(s, c.reason) }) {
					t.Errorf("%s, %q; want %s, %q", r.Verdict, r.Reasons, c.verdict, c.reason)
				}
				if s.injector.Active() && name != "revert fails" {
					t.Error("rules are left behind")
				}
				if r.FaultObserved != (r.Fault.Hits > 0) {
					t.Errorf("observed %t, %d hits", r.FaultObserved, r.Fault.Hits)
				}
				text, err := r.JSON()
				if err != nil {
					t.Fatal(err)
				}
				again, err := drill.ParseReport(text)
				if err != nil || again.Verdict != r.Verdict || again.Sentence() != r.Sentence() {
					t.Errorf("the journal reads as %+v, %v", again, err)
				}
			})
		})
	}
}

// stuck cannot be reverted.
type stuck struct{ drill.Fault }

func (stuck) Revert(context.Context) error { return errors.New("no") }

// What is seen of the fault is told to the second: when it was planned, when it
// hit first and last, when users were served again.
func TestRun_observes_the_fault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(false)
		e := experiment(s)
		s.healAt.Store(time.Now().Add(26 * time.Second).UnixNano())
		r := run(t, t.Context(), e)
		f := r.Fault
		if f.From < 3 || f.From > 3.1 || f.Until < 23 || f.Until > 23.2 || f.Hits != 400 || f.First < 3 || f.First > 3.1 || f.Last < 22.9 || f.Last > f.Until ||
			f.FirstSuccess < 26 || f.FirstSuccess > 26.1 || f.Recovered < 27 || f.Recovered > 27.5 {
			t.Errorf("%+v", f)
		}
		names := ""
		for _, p := range r.Phases {
			names += fmt.Sprintf("%s %.0f-%.0f %d %.2f; ", p.Name, p.From, p.Until, p.Asked, p.Success)
		}
		if !strings.HasPrefix(names, "steady 0-3 60 1.00; watch 3-23 400 0.00; recovery 23-27") {
			t.Error(names)
		}
		if text := r.Markdown(); !strings.Contains(text, "| watch | 20.0 | 400 | 0.00 % | 0 | 0 | 400 |") || !strings.Contains(text, "**no**") {
			t.Error(text)
		}
	})
}

// The fault ends although the drill's context does.
func TestRun_reverts_when_its_context_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r := run(t, ctx, experiment(s))
		if r.Verdict != drill.Aborted || s.injector.Active() || r.Seconds > 12 {
			t.Errorf("%s after %v s, active %t: %q", r.Verdict, r.Seconds, s.injector.Active(), r.Reasons)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := run(t, ctx, experiment(s)); r.Verdict != drill.NotStarted {
			t.Errorf("%s: %q", r.Verdict, r.Reasons)
		}
	})
}

// A target that ignores its context costs its own requests, and is named.
func TestRun_names_a_target_that_does_not_return(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(true)
		release := make(chan struct{})
		e := experiment(s)
		inner := e.Target
		e.Target = drill.Answers(func(ctx context.Context, n int64) drill.Answer {
			if s.injector.Active() && n%10 == 0 {
				<-release
			}
			return inner.Ask(ctx, n)
		})
		r := run(t, t.Context(), e)
		if r.Verdict != drill.Deviated || !slices.ContainsFunc(r.Reasons, func(s string) bool { return strings.Contains(s, "40 requests have not returned") }) {
			t.Errorf("%s: %q", r.Verdict, r.Reasons)
		}
		close(release)
		synctest.Wait()
	})
}

// An outage of seven hours and a half: dense after each change, sparse between.
func TestRun_long_outage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(true)
		e := experiment(s)
		e.Watch = 7*time.Hour + 30*time.Minute
		r := run(t, t.Context(), e)
		p := r.Phases[1]
		if r.Verdict != drill.Held || p.Until-p.From < 27000 || p.Asked < 2400+2680 || p.Asked > 2400+2700 {
			t.Errorf("%s; %+v", r.Verdict, p)
		}
	})
}

func TestRun_refuses(t *testing.T) {
	ok := experiment(newService(true))
	for want, change := range map[string]func(*drill.Experiment){
		"Target is nil":          func(e *drill.Experiment) { e.Target = nil },
		"Fault is nil":           func(e *drill.Experiment) { e.Fault = nil },
		"Rate is -1":             func(e *drill.Experiment) { e.Rate = -1 },
		"Least is 2":             func(e *drill.Experiment) { e.Least = 2 },
		"Watch is -1s":           func(e *drill.Experiment) { e.Watch = -time.Second },
		"Ask is nil":             func(e *drill.Experiment) { e.Guards = []drill.Guard{{Name: "g"}} },
		"Holds is nil":           func(e *drill.Experiment) { e.Invariants = []drill.Invariant{{Name: "i"}} },
		"more than 2000000":      func(e *drill.Experiment) { e.Rate, e.Sparse, e.Watch = 10000, 10000, time.Hour },
		"Experiment.Budget is -": func(e *drill.Experiment) { e.Budget = -1 },
	} {
		e := ok
		change(&e)
		if _, err := drill.Run(t.Context(), e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
}

func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(true)
		var on atomic.Bool
		var hits atomic.Int64
		e := experiment(s)
		e.Target = drill.Func(func(context.Context, int64) error {
			if on.Load() {
				hits.Add(1)
			}
			return nil
		})
		e.Fault = drill.Switch(
			func(context.Context) error { on.Store(true); return nil },
			func(context.Context) error { on.Store(false); return nil }, hits.Load)
		r := drill.Test(t, e)
		if r.Verdict != drill.Held || r.Fault.Hits < 400 || r.Fault.First < 3 || r.Fault.First > 4.1 {
			t.Errorf("%s: %+v", r.Verdict, r.Fault)
		}
		e.Fault = drill.Switch(
			func(context.Context) error { return nil }, func(context.Context) error { return nil }, nil)
		if r := run(t, t.Context(), e); r.Verdict != drill.Void {
			t.Errorf("nothing was observed: %s", r.Verdict)
		}
	})
}

func TestHTTP(t *testing.T) {
	status := 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	target := drill.HTTP(server.URL, server.Client())
	for code, ok := range map[int]bool{200: true, 204: true, 404: false, 503: false} {
		status = code
		if a := target.Ask(t.Context(), 0); (a.Err == nil) != ok {
			t.Errorf("%d: %v", code, a.Err)
		}
	}
	if a := drill.HTTP("http://127.0.0.1:1", nil).Ask(t.Context(), 0); a.Err == nil {
		t.Error("nobody listens there")
	}
}

func TestParseReport_refuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`: "unexpected EOF", `{"version":1} x`: "text after", `{"version":99}`: "version 99", `{"version":1,"verdict":"fine"}`: `"fine" is no verdict`, `{}`: "version 0",
	} {
		if _, err := drill.ParseReport([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

func Example() {
	// In a test: synctest.Test(t, func(t *testing.T) { drill.Test(t, …) })
	injector := fault.New(fault.Options{})
	report, err := drill.Run(context.Background(), drill.Experiment{
		Service: "checkout", Dependency: "sessions",
		Target: drill.Func(func(ctx context.Context, _ int64) error {
			if injector.Next(ctx, fault.Call{Service: "dynamodb"}) != nil {
				return nil // the table is gone, and the service answers from the origin
			}
			return nil
		}),
		Fault:  drill.Rules(injector, fault.Denied("dynamodb")),
		Steady: 200 * time.Millisecond, Watch: 300 * time.Millisecond, Rate: 50,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Verdict, report.FaultObserved)
	// Output: held true
}

// Names of services, errors and rules come from outside: none of them may
// become markup.
func TestReport_cannot_be_injected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bad = "</style><script>alert(1)</script>|`\n# x"
		s := newService(false)
		e := experiment(s)
		e.Title, e.Fault = bad, drill.Rules(s.injector, fault.Network("db", fault.Reset), fault.Network(bad, fault.Reset))
		e.Invariants = []drill.Invariant{{Name: bad, Holds: func(context.Context) error { return errors.New(bad) }}}
		r := run(t, t.Context(), e)
		page, err := r.HTML()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(page), "<script>") || strings.Contains(r.SVG(), "<script>") {
			t.Errorf("%s", page)
		}
		for line := range strings.SplitSeq(r.Markdown(), "\n") {
			if strings.HasPrefix(line, "# x") || strings.Contains(line, "<script>") && !strings.HasPrefix(line, "    ") {
				t.Errorf("%q", line)
			}
		}
	})
}

// breaksIf is a service that fails only under one kind of fault.
func breaksIf(kind fault.Kind) func([]fault.Rule, time.Duration) (bool, error) {
	return func(rules []fault.Rule, watch time.Duration) (bool, error) {
		return watch >= 3*time.Second && slices.ContainsFunc(rules, func(r fault.Rule) bool { return r.Net == kind && r.From < watch }), nil
	}
}

func TestShrink(t *testing.T) {
	rules := []fault.Rule{
		{Service: "db", Net: fault.Refuse, Until: time.Minute},
		{Service: "db", Net: fault.Corrupt, From: time.Minute, Until: time.Hour, Probability: 0.5},
		{Service: "db", Net: fault.Reset},
	}
	got, watch, err := drill.Shrink(rules, time.Hour, breaksIf(fault.Corrupt))
	if err != nil || len(got) != 1 || got[0] != (fault.Rule{Service: "db", Net: fault.Corrupt}) || watch < 3*time.Second || watch > 6*time.Second {
		t.Errorf("%+v, %v, %v; want the corrupt rule alone, for a few seconds", got, watch, err)
	}
	if _, _, err := drill.Shrink(rules, time.Hour, func([]fault.Rule, time.Duration) (bool, error) { return false, errors.New("no") }); err == nil {
		t.Error("an error of a drill was lost")
	}
	if got, watch, err := drill.Shrink(rules, time.Hour, func([]fault.Rule, time.Duration) (bool, error) { return false, nil }); err != nil || len(got) != 3 || watch != time.Hour {
		t.Errorf("nothing smaller breaks it: %+v, %v, %v", got, watch, err)
	}
	text := drill.Reproduction("a\"b", "c/d", got, watch)
	if strings.Count(text, "\n") > 15 || !strings.Contains(text, "func Test_a_b_without_c_d(") {
		t.Errorf("%s", text)
	}
}

func TestTest_records_proofs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proofs.jsonl")
	t.Setenv(drill.ProofEnv, file)
	synctest.Test(t, func(t *testing.T) {
		drill.Test(t, experiment(newService(true)))
	})
	proofs, err := depgraph.LoadProofs(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := proofs.Status("shop", "db", "", time.Now(), time.Hour); s.State != depgraph.Proven {
		t.Errorf("%+v; want proven, now and not in the year of the bubble", s)
	}
	r := &drill.Report{Service: "shop"}
	if _, err := r.Proof(); err == nil {
		t.Error("a proof about no edge")
	}
}

func TestMatrix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := func(service string) []drill.NamedFault { return drill.Faults(service)[:3] }
		start := func(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error) {
			s := newService(dependency == "db")
			e := experiment(s)
			e.Dependency, e.Fault = dependency, drill.Rules(s.injector, rules...)
			if dependency == "hard" {
				e.Fault = drill.Rules(s.injector, fault.Denied("db"))
			}
			return e, func() error { return nil }, nil
		}
		cells, err := drill.Matrix(t.Context(), []string{"db", "hard"}, faults, start)
		if err != nil || len(cells) != 6 {
			t.Fatalf("%+v, %v", cells, err)
		}
		for i, c := range cells {
			want := map[bool]drill.Verdict{true: drill.Held, false: drill.Deviated}[i < 3]
			if c.Verdict != want || (c.Reason == "") != (want == drill.Held) {
				t.Errorf("%+v; want %s", c, want)
			}
		}
		text := drill.MatrixMarkdown(cells)
		if !strings.HasPrefix(text, "| fault | db | hard |\n|---|---|---|\n| denied | held | **deviated** |\n") || strings.Count(text, "\n- hard, ") != 3 {
			t.Error(text)
		}
		if _, err := drill.Matrix(t.Context(), []string{"db"}, faults, func(string, []fault.Rule) (drill.Experiment, func() error, error) {
			return drill.Experiment{}, nil, errors.New("no")
		}); err == nil || !strings.Contains(err.Error(), "db, denied: no") {
			t.Errorf("%v", err)
		}
	})
}

// Every class of fault that Faults knows is one that rules can make, each
// another.
func TestFaults(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range drill.Faults("x") {
		if seen[f.Name] || len(f.Rules) != 1 || f.Rules[0].Validate() != nil || f.Rules[0].Service != "x" {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
	}
	if len(seen) < 12 {
		t.Errorf("%d faults", len(seen))
	}
}

func TestReport_any_length_has_a_picture(t *testing.T) {
	for tenths := 2000; tenths < 9000; tenths += 7 {
		r := drill.Report{Seconds: float64(tenths) / 10}
		for i := range tenths / 10 {
			r.Timeline = append(r.Timeline, drill.Second{At: float64(i), Asked: 1, OK: 1, Max: 1})
		}
		if n := strings.Count(r.SVG(), `fill="var(--ok`); n < 199 || n > 241 {
			t.Fatalf("%v s have %d columns, want 199 to 241", r.Seconds, n)
		}
	}
}

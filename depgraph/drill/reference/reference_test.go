package reference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
)

// both runs f on each of the two services, in a bubble.
func both(t *testing.T, f func(t *testing.T, s *Service)) {
	t.Helper()
	for _, naive := range []bool{false, true} {
		t.Run(map[bool]string{false: "failopen", true: "naive"}[naive], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(t.Context(), Options{Naive: naive, Probe: time.Second, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				f(t, s)
				if err := s.Close(t.Context()); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		})
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// ask is one request with a budget of a second, as text.
func ask(t *testing.T, s *Service, n int64) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	a := s.Ask(ctx, n)
	if a.Err != nil {
		return "error"
	}
	return fmt.Sprint(a.Source, map[bool]string{true: " wrong"}[a.Wrong])
}

// Both services have the same three tiers: the system of record at first, local
// memory then, and the table once the token has been pushed out.
func TestService_Ask_tiers(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		if got := ask(t, s, 0); got != "origin" {
			t.Errorf("the first time: %s", got)
		}
		if got := ask(t, s, tokens); got != "local" {
			t.Errorf("the same token again: %s", got)
		}
		pass(time.Second) // what waits to be written is
		for n := range int64(tokens) {
			ask(t, s, n)
		}
		pass(time.Second)
		sources := map[string]int{}
		for n := range int64(tokens) {
			sources[ask(t, s, n)]++
		}
		if sources["remote"] < tokens/2 || sources["origin"] != 0 || sources["error"] != 0 || sources["remote"]+sources["local"] != tokens {
			t.Errorf("%v; want most from the table, and none from the system of record", sources)
		}
		pass(ttl) // local copies are too old
		if got := ask(t, s, 7); got != "remote" && got != "origin" {
			t.Errorf("a copy that is too old: %s", got)
		}
	})
}

// The outage of 2021 in a few lines: the table is denied, and the system of
// record is fine.
func TestService_Ask_without_its_table(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		if err := s.Injector().Set(fault.Denied("dynamodb")); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "origin", true: "error"}[s.opts.Naive]
		for n := range int64(5) {
			if got := ask(t, s, n); got != want {
				t.Errorf("%d: %s; want %s", n, got, want)
			}
		}
	})
}

// Without its system of record neither can answer for a token that nobody has
// asked about; what is known goes on being answered.
func TestService_Ask_without_its_origin(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		if got := ask(t, s, 1); got != "origin" {
			t.Fatal(got)
		}
		if err := s.Injector().Set(fault.Rule{Service: "origin", Error: &fault.APIError{Code: "Down"}}); err != nil {
			t.Fatal(err)
		}
		if known, unknown := ask(t, s, 1), ask(t, s, 2); known != "local" || unknown != "error" {
			t.Errorf("%s, %s; want local, error", known, unknown)
		}
		if err := s.Injector().Set(fault.Slow("origin", 300*time.Millisecond, 0)); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second) // a cache may remember for a moment that there was no answer
		began := time.Now()
		if got := ask(t, s, 3); got != "origin" || time.Since(began) < 300*time.Millisecond {
			t.Errorf("%s after %v; want a slow answer", got, time.Since(began))
		}
		if err := s.Injector().Set(fault.Slow("origin", time.Hour, 0)); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		if got := ask(t, s, 4); got != "error" || time.Since(began) > time.Second {
			t.Errorf("%s after %v; want an end with the request's budget", got, time.Since(began))
		}
	})
}

// The outage of 2020: a log that is blocked stops the service that waits for it.
func TestService_Ask_with_a_blocked_log(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		ask(t, s, 1)
		if err := s.Injector().Set(fault.Network("logs", fault.BlackHole)); err != nil {
			t.Fatal(err)
		}
		began, answered := time.Now(), make(chan time.Duration, 1)
		go func() { ask(t, s, 1); answered <- time.Since(began) }()
		pass(10 * time.Second)
		s.Injector().Clear()
		took := <-answered
		pass(time.Second)
		if longest := s.LongestLog(); s.opts.Naive != (took >= 10*time.Second) || s.opts.Naive != (longest >= 10*time.Second) || !s.opts.Naive && took > time.Millisecond {
			t.Errorf("answered after %v, the longest line took %v; want only the naive one to wait", took, longest)
		}
		invariants := s.Invariants(time.Second)
		if err := invariants[1].Holds(t.Context()); s.opts.Naive != (err != nil) || err != nil && err.Error() != "one took "+s.LongestLog().String() {
			t.Errorf("%v", err)
		}
	})
}

// A liveness probe that reads the table has the platform restart the service, for
// as long as the table is empty, and users are turned away meanwhile.
func TestService_platform_restarts_the_naive(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		pass(5 * time.Second)
		live := s.Invariants(time.Second)[0]
		if err := live.Holds(t.Context()); err != nil || s.Restarts() != 0 || !s.Live() {
			t.Fatalf("%v, %d restarts before anything was cut", err, s.Restarts())
		}
		if err := s.Injector().Set(fault.Rule{Service: "dynamodb", Operation: "GetItem", Net: fault.Empty}); err != nil {
			t.Fatal(err)
		}
		pass(2100 * time.Millisecond) // two probes: not yet
		if s.Restarts() != 0 || s.Live() == s.opts.Naive {
			t.Errorf("after two probes: %d restarts, live %t", s.Restarts(), s.Live())
		}
		pass(time.Second)
		if s.Restarts() != map[bool]int64{true: 1}[s.opts.Naive] {
			t.Errorf("after three probes: %d restarts", s.Restarts())
		}
		a := s.Ask(t.Context(), 1)
		if down := errors.Is(a.Err, errRestarting); down != s.opts.Naive {
			t.Errorf("%+v; want the naive one to be down", a)
		}
		pass(3 * time.Second) // the restart is over
		if a := s.Ask(t.Context(), 1); a.Err != nil {
			t.Errorf("%+v; want it to be up again", a)
		}
		pass(6 * time.Second)
		if s.Restarts() != map[bool]int64{true: 2}[s.opts.Naive] {
			t.Errorf("it was restarted %d times; want that to go on", s.Restarts())
		}
		s.Injector().Clear()
		pass(6 * time.Second)
		const want = "the probe is answered with 503, and the platform has restarted the service 2 times"
		if err := live.Holds(t.Context()); s.opts.Naive != (err != nil) || err != nil && err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
		if !s.Live() {
			t.Error("it is not alive although the table is back")
		}
	})
}

// The table has answered since the question was first asked, or it has not.
func TestService_Recovered(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		fill := func() {
			for n := range int64(2 * tokens) {
				ask(t, s, n)
				pass(time.Millisecond)
			}
		}
		fill()
		if s.lastRemote.Load() == 0 {
			t.Fatal("the table was never asked")
		}
		recovered := s.Recovered()
		for range 2 {
			if err := recovered(t.Context()); err == nil || err.Error() != "the table has not answered since" {
				t.Errorf("%v; want an answer of before not to count", err)
			}
			pass(time.Millisecond)
		}
		fill()
		if err := recovered(t.Context()); err != nil {
			t.Errorf("%v; want that it has answered", err)
		}
		if err := s.Recovered()(t.Context()); err == nil {
			t.Error("a function for another drill counts what was before it")
		}
	})
}

// An experiment for a preset is about this service, with its rules and lengths.
func TestService_Drill(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		name := map[bool]string{false: "failopen", true: "naive"}[s.opts.Naive]
		table := presets.Preset{Name: "a", Title: "b", Dependency: "dynamodb", Watch: time.Hour, Recovery: time.Minute, Rules: []fault.Rule{fault.Denied("dynamodb")}}
		e := s.Drill(table, time.Second)
		if e.Title != "a: b" || e.Service != name || e.Dependency != "dynamodb" || e.Target != drill.Target(s) || e.Watch != time.Hour || e.Recovery != time.Minute ||
			e.Rate != 50 || e.Seed != 1 || len(e.Invariants) != 2 || e.Recovered == nil || !reflect.DeepEqual(e.Rules, any(table.Rules)) {
			t.Errorf("%+v", e)
		}
		logs := table
		logs.Dependency = "logs"
		if e := s.Drill(logs, time.Second); e.Recovered != nil {
			t.Error("the table is asked for although it was not cut")
		}
	})
}

// A service that is closed has written its last line, and leaves no goroutine:
// the bubble would not end.
func TestService_Close_writes_what_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Injector().Set(fault.Network("logs", fault.BlackHole)); err != nil {
			t.Fatal(err)
		}
		for n := range int64(10) {
			ask(t, s, n)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("%v; want the rules to be cleared first", err)
		}
		if s.asked.Load() != 10 || s.Injector().Active() {
			t.Errorf("%d asked, active %t", s.asked.Load(), s.Injector().Active())
		}
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := New(ended, Options{}); err == nil || !strings.HasPrefix(err.Error(), "reference: create the table: ") || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v; want that the table could not be made", s, err)
	}
}

// The naive service's own memory is bounded, whatever goes first.
func TestNaive_keep_is_bounded(t *testing.T) {
	n := newNaive(nil, nil)
	for i := range 3 * local {
		n.keep(fmt.Sprint(i), "user")
		if len(n.local) > local {
			t.Fatalf("%d are kept; want %d", len(n.local), local)
		}
	}
	if _, ok := n.local[fmt.Sprint(3*local-1)]; !ok || len(n.local) != local {
		t.Errorf("%d are kept, the last one: %t", len(n.local), ok)
	}
}

// A log line that cannot be written is an answer that was not given, unless it
// was wrong anyhow.
func TestService_Ask_log_that_fails(t *testing.T) {
	s := &Service{logs: failingLog{}, inner: &fixed{user: userOf("token-001"), source: "local"}}
	s.log.stood = func(time.Time, time.Time) time.Duration { return 0 }
	if a := s.Ask(t.Context(), 1); a.Err == nil || a.Err.Error() != "log: the disk is full" || a.Wrong || a.Source != "local" {
		t.Errorf("%+v", a)
	}
	gone := errors.New("gone")
	s.inner = &fixed{err: gone, source: "unknown"}
	if a := s.Ask(t.Context(), 1); a.Err != gone || a.Source != "unknown" { //nolint:errorlint // it is that value
		t.Errorf("%+v; want the service's own error", a)
	}
	var lines bytes.Buffer
	s.logs, s.inner = direct{&lines}, &fixed{user: "another", source: "remote"}
	if a := s.Ask(t.Context(), 101); a.Err != nil || !a.Wrong || s.lastRemote.Load() == 0 {
		t.Errorf("%+v; want a wrong answer of the table", a)
	}
	if got, want := lines.String(), "request 3: another remote <nil>\n"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

type failingLog struct{}

func (failingLog) Write([]byte) (int, error)   { return 0, errors.New("the disk is full") }
func (failingLog) close(context.Context) error { return nil }

// fixed is a service that always answers the same.
type fixed struct {
	user, source string
	err          error
}

func (f *fixed) find(context.Context, string) (string, string, error) { return f.user, f.source, f.err }
func (f *fixed) alive(context.Context) bool                           { return true }
func (f *fixed) close(context.Context) error                          { return nil }

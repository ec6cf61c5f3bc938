package drill_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering is a client to a server that says this, and the paths it was asked.
func answering(status int, body io.Reader) (*http.Client, *[]string) {
	var paths []string
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			paths = append(paths, r.Method+" "+r.URL.RequestURI())
			return &http.Response{StatusCode: status, Header: http.Header{"Location": {"/login"}}, Body: io.NopCloser(body), Request: r}, nil
		}),
	}, &paths
}

// What counts as served: HTTP takes a redirect, Probe only 2xx with the text.
func TestHTTP_and_Probe_judge_answers(t *testing.T) {
	const mib = 1 << 20
	far := strings.Repeat(" ", mib-2) + "ok"
	for name, c := range map[string]struct {
		status      int
		body        io.Reader
		expect      string
		http, probe drill.Answer
	}{
		"200":                    {200, strings.NewReader("all is ok"), "ok", drill.Answer{}, drill.Answer{}},
		"204 without a text":     {204, strings.NewReader(""), "", drill.Answer{}, drill.Answer{}},
		"another text":           {200, strings.NewReader("sorry"), "ok", drill.Answer{}, drill.Answer{Wrong: true}},
		"at the end of the MiB":  {200, strings.NewReader(far), "ok", drill.Answer{}, drill.Answer{}},
		"one byte behind it":     {200, strings.NewReader(" " + far), "ok", drill.Answer{}, drill.Answer{Wrong: true}},
		"a redirect":             {302, strings.NewReader("ok"), "ok", drill.Answer{}, drill.Answer{Err: errors.New("status 302")}},
		"300":                    {300, strings.NewReader("ok"), "ok", drill.Answer{}, drill.Answer{Err: errors.New("status 300")}},
		"299":                    {299, strings.NewReader("ok"), "ok", drill.Answer{}, drill.Answer{}},
		"399":                    {399, strings.NewReader("ok"), "ok", drill.Answer{}, drill.Answer{Err: errors.New("status 399")}},
		"400":                    {400, strings.NewReader("ok"), "ok", drill.Answer{Err: errors.New("status 400")}, drill.Answer{Err: errors.New("status 400")}},
		"503 with the text":      {503, strings.NewReader("ok"), "ok", drill.Answer{Err: errors.New("status 503")}, drill.Answer{Err: errors.New("status 503")}},
		"the body stops halfway": {200, io.MultiReader(strings.NewReader("ok"), iotest.ErrReader(errors.New("reset"))), "ok", drill.Answer{Err: errors.New("reset")}, drill.Answer{Err: errors.New("reset")}},
	} {
		body, err := io.ReadAll(c.body)
		again := func() io.Reader {
			if err != nil {
				return io.MultiReader(strings.NewReader(string(body)), iotest.ErrReader(err))
			}
			return strings.NewReader(string(body))
		}
		client, _ := answering(c.status, again())
		if got := drill.HTTP("http://shop/", client).Ask(t.Context(), 0); fmt.Sprint(got) != fmt.Sprint(c.http) {
			t.Errorf("%s: HTTP: %+v; want %+v", name, got, c.http)
		}
		client, _ = answering(c.status, again())
		if got := drill.Probe("http://shop/", c.expect, client).Ask(t.Context(), 0); fmt.Sprint(got) != fmt.Sprint(c.probe) {
			t.Errorf("%s: Probe: %+v; want %+v", name, got, c.probe)
		}
	}
}

func TestProbe_asks_for_different_things(t *testing.T) {
	client, paths := answering(200, strings.NewReader(""))
	probe := drill.Probe("http://shop/item/{n}?again={n}", "", client)
	for _, n := range []int64{0, 7, 999, 1000, 12_345} {
		if a := probe.Ask(t.Context(), n); a.Err != nil {
			t.Error(a.Err)
		}
	}
	want := []string{"GET /item/0?again=0", "GET /item/7?again=7", "GET /item/999?again=999", "GET /item/0?again=0", "GET /item/345?again=345"}
	if !reflect.DeepEqual(*paths, want) {
		t.Errorf("%q; want %q", *paths, want)
	}
}

func TestHTTP_and_Probe_say_what_is_wrong(t *testing.T) {
	refused := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") })}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx    context.Context
		url    string
		client *http.Client
		want   string
	}{
		{t.Context(), "http://shop/", refused, `Get "http://shop/": refused`},
		{t.Context(), "http://shop:port/", refused, `parse "http://shop:port/": invalid port ":port" after host`},
		{t.Context(), "ftp://shop/", nil, `Get "ftp://shop/": unsupported protocol scheme "ftp"`},
		{ended, "http://127.0.0.1:1/", nil, `Get "http://127.0.0.1:1/": context canceled`},
	} {
		for name, target := range map[string]drill.Target{"HTTP": drill.HTTP(c.url, c.client), "Probe": drill.Probe(c.url, "", c.client)} {
			if a := target.Ask(c.ctx, 0); a.Err == nil || a.Err.Error() != c.want {
				t.Errorf("%s %s: %v; want %s", name, c.url, a.Err, c.want)
			}
		}
	}
}

// More users wait than the drill can play: those who come then are turned away,
// at once, and the drill does not start.
func TestRun_many_that_wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := run(t, t.Context(), drill.Experiment{
			Target: drill.Func(func(context.Context, int64) error { <-release; return nil }),
			Fault:  said{}, Rate: 2000, Steady: time.Second,
		})
		close(release)
		p := r.Phases[0]
		if p.Asked != 2000 || p.Slow != 1024 || p.Failed != 976 || p.P50 != 1000 || p.Errors["too many requests are waiting for an answer"] != 976 {
			t.Errorf("%+v; want 1024 that wait, and 976 that may not", p)
		}
		const want = "not started: the steady state does not hold: 976 of 2000 requests fail before anything was cut (it did not return within 1s: context deadline exceeded)."
		if got := r.Sentence(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// A drill whose hooks take their time makes up for requests that it has missed,
// unless it was late by more than a second: those are not made at all, so that the
// service is not flooded.
func TestRun_catches_up_a_second(t *testing.T) {
	for hook, want := range map[time.Duration]struct{ asked, atOnce int }{
		0:                       {400, 1},
		500 * time.Millisecond:  {400, 10},
		900 * time.Millisecond:  {400, 19},
		1500 * time.Millisecond: {46, 2},
		2700 * time.Millisecond: {34, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			at := map[time.Time]int{}
			waits := func(context.Context) error {
				timer := time.NewTimer(hook / 3)
				<-timer.C
				return nil
			}
			r := run(t, t.Context(), drill.Experiment{
				Target: drill.Func(func(context.Context, int64) error {
					mu.Lock()
					defer mu.Unlock()
					at[time.Now()]++
					return nil
				}),
				Fault: said{hits: counter(0, 1)}, Watch: 20 * time.Second,
				Invariants: []drill.Invariant{{Name: "a", Holds: waits}, {Name: "b", Holds: waits}, {Name: "c", Holds: waits}},
			})
			most, p := 0, r.Phases[1]
			for _, n := range at {
				most = max(most, n)
			}
			if p.Asked != want.asked || most != want.atOnce || r.Verdict != drill.Held {
				t.Errorf("hooks of %v: %d asked, %d at once, %s; want %d, %d", hook, p.Asked, most, r.Sentence(), want.asked, want.atOnce)
			}
		})
	}
}

// What could not be undone is tried three times, with waits, whatever has become
// of the drill's context.
func TestRun_reverts_three_times(t *testing.T) {
	for fails, want := range map[int]drill.Verdict{0: drill.Held, 2: drill.Held, 3: drill.Deviated} {
		synctest.Test(t, func(t *testing.T) {
			var at []time.Time
			r := run(t, t.Context(), drill.Experiment{
				Target: drill.Func(always), Rate: 20,
				Fault: drill.Switch(func(context.Context) error { return nil }, func(ctx context.Context) error {
					if at = append(at, time.Now()); len(at) <= fails {
						return fmt.Errorf("no, %d", len(at))
					}
					return ctx.Err()
				}, counter(0, 1)),
			})
			if r.Verdict != want || len(at) != min(fails+1, 3) || fails == 3 && r.Reasons[0] != "nothing left behind: the fault could not be reverted: no, 3" {
				t.Errorf("%d fail: %s, after %d tries", fails, r.Sentence(), len(at))
			}
			if n := len(at); n > 1 && at[1].Sub(at[0]) != time.Second || n > 2 && at[2].Sub(at[1]) != 2*time.Second {
				t.Errorf("tries at %v; want one and two seconds between them", at)
			}
		})
	}
}

// A fault that could not be injected may have been by half: it is reverted all
// the same, and a fault that says how long it needs gets that, up to an hour.
func TestRun_injection_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reverted := 0
		r := run(t, t.Context(), drill.Experiment{
			Target: drill.Func(always),
			Fault:  drill.Switch(func(context.Context) error { return errors.New("half of it") }, func(context.Context) error { reverted++; return nil }, nil),
		})
		if r.Verdict != drill.NotStarted || reverted != 1 || r.Sentence() != "not started: the fault could not be injected: half of it." || len(r.Phases) != 2 || r.Phases[1].Asked != 0 {
			t.Errorf("%s; reverted %d times; %+v", r.Sentence(), reverted, r.Phases)
		}
	})
	for says, want := range map[time.Duration]string{
		time.Second: "1m0s", 90 * time.Second: "1m30s", 100 * time.Hour: "1h0m0s", -1: "1m0s",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := run(t, t.Context(), drill.Experiment{Target: drill.Func(always), Fault: slowToInject{says}})
			if got := "not started: the fault could not be injected: it did not return within " + want + ": context deadline exceeded."; r.Sentence() != got {
				t.Errorf("Limit %v: %s; want %s", says, r.Sentence(), got)
			}
			timer := time.NewTimer(3 * time.Hour) // until Inject is over
			<-timer.C
		})
	}
}

// slowToInject ignores its context, for two hours.
type slowToInject struct{ says time.Duration }

func (slowToInject) Inject(context.Context) error {
	timer := time.NewTimer(2 * time.Hour)
	<-timer.C
	return nil
}
func (slowToInject) Revert(context.Context) error { return nil }
func (slowToInject) Seen() drill.Seen             { return drill.Seen{} }
func (s slowToInject) Limit() time.Duration       { return s.says }

// Hooks that never work are left alone after ten failures, and counted.
func TestRun_leaves_hooks_alone_that_fail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told, asked atomic.Int64
		r := run(t, t.Context(), drill.Experiment{
			Target: drill.Func(always), Watch: time.Minute,
			Progress: func(drill.Progress) { told.Add(1); panic("no") },
			Fault:    said{hits: func() int64 { asked.Add(1); panic("no") }},
		})
		if told.Load() != 10 || asked.Load() != 10 || r.Numbers["progress_failures"] != 10 || r.Numbers["fault_seen_failures"] != 10 || r.Verdict != drill.Void {
			t.Errorf("told %d, asked %d times, %v, %s; want 10 each", told.Load(), asked.Load(), r.Numbers, r.Sentence())
		}
	})
}

// An invariant that is asked when the drill has been stopped would only say so: it
// is left alone.
func TestRun_asks_no_invariant_once_it_is_over(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		r := run(t, ctx, drill.Experiment{
			Target: drill.Func(always), Fault: said{hits: counter(0, 1)},
			Invariants: []drill.Invariant{
				{Name: "stops it", Holds: func(context.Context) error { cancel(errors.New("a phone call")); return nil }},
				{Name: "asks the service", Holds: func(ctx context.Context) error { return ctx.Err() }},
			},
		})
		if want := []string{"the context ended: a phone call"}; r.Verdict != drill.Aborted || !reflect.DeepEqual(r.Reasons, want) {
			t.Errorf("%v, %q; want %q", r.Verdict, r.Reasons, want)
		}
	})
}

// However few requests there are, three in a row make a recovery.
func TestRun_recovers_by_three_at_least(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, t.Context(), drill.Experiment{Target: drill.Func(always), Fault: said{hits: counter(0, 1)}, Rate: 0.5, Steady: 4 * time.Second})
		if took := r.Fault.Recovered - r.Fault.Until; took < 4 || took > 4.2 {
			t.Errorf("as before after %v s, %s; want the third request, after 4 s", took, r.Sentence())
		}
	})
}

// Progress is told of each phase and of each second, in order.
func TestRun_tells_progress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		run(t, t.Context(), drill.Experiment{
			Target: drill.Func(always), Fault: said{hits: counter(0, 1)}, Steady: 2 * time.Second, Watch: 2 * time.Second,
			Progress: func(p drill.Progress) {
				if p.Second == nil {
					got = append(got, p.Phase)
				} else {
					got = append(got, fmt.Sprintf("%s at %.0f: %d of %d", p.Second.Phase, p.Second.At, p.Second.OK, p.Second.Asked))
				}
			},
		})
		want := []string{"steady", "steady at 0: 20 of 20", "steady at 1: 20 of 20", "watch", "watch at 2: 20 of 20", "watch at 3: 20 of 20", "recovery", "recovery at 4: 20 of 20"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q; want\n%q", got, want)
		}
	})
}

// Rules that are still there when a drill is over are named; those of an injector
// that is clear are not.
func TestRules_left(t *testing.T) {
	injector := fault.New(fault.Options{})
	f := drill.Rules(injector, fault.Denied("db"))
	left := f.(interface{ Left() string }).Left
	if got := left(); got != "" {
		t.Errorf("%q; want nothing", got)
	}
	if err := f.Inject(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != "rules are still in force" {
		t.Errorf("%q", got)
	}
	if err := drill.Rules(injector, fault.Slow("db", 1, 0)).Inject(t.Context()); err == nil || err.Error() != "another drill uses the injector" {
		t.Errorf("%v", err)
	}
	for range 2 { // the second call does nothing
		if err := f.Revert(t.Context()); err != nil || left() != "" {
			t.Errorf("%v, %q", err, left())
		}
	}
	next := drill.Rules(injector, fault.Slow("db", 1, 0))
	if err := next.Inject(t.Context()); err != nil || left() != "" {
		t.Errorf("%v, %q; want the rules of the next drill to be its own", err, left())
	}
	if err := next.Revert(t.Context()); err != nil {
		t.Error(err)
	}
	if err := injector.Set(fault.Denied("mail")); err != nil {
		t.Fatal(err)
	}
	if err := f.Inject(t.Context()); err == nil || err.Error() != "the injector has rules already, of somebody else: Clear it first" {
		t.Errorf("%v", err)
	}
	injector.Clear()
	if err := f.Inject(t.Context()); err != nil {
		t.Errorf("%v; want the injector to be free again", err)
	}
	_ = f.Revert(t.Context())
}

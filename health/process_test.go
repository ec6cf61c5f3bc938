package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pass lets virtual time pass, and everything settle.
func pass(d time.Duration) {
	sleep(d)
	synctest.Wait()
}

// sleep sleeps in virtual time.
func sleep(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// run runs p until the test ends.
func run(t *testing.T, p *Process) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		pass(time.Minute) // for checks that do not listen
	})
}

func TestProcess_life_cycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		var states []State
		p.OnChange(func(s State) { states = append(states, s) })
		p.OnChange(nil)
		if !p.Live() || p.Ready() || p.IsStarted() || p.FatalErr() != nil {
			t.Error("the zero value is alive, and neither started nor ready")
		}
		p.Started()
		p.Started()
		if !p.Ready() {
			t.Error("not ready after Started")
		}
		synctest.Wait()
		began := time.Now()
		if err := p.Drain(t.Context(), 10*time.Second); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("Drain: %v after %v", err, time.Since(began))
		}
		if p.Ready() || !p.Live() {
			t.Error("after Drain a process is live and not ready")
		}
		p.Started()
		if p.Ready() {
			t.Error("a process that drains became ready")
		}
		synctest.Wait()
		p.Fatal(nil)
		p.Fatal(errors.New("first"))
		p.Fatal(errors.New("second"))
		synctest.Wait()
		if p.Live() || p.FatalErr().Error() != "first" {
			t.Errorf("Fatal: live %t, %v", p.Live(), p.FatalErr())
		}
		want := []State{
			{Live: true, Status: StatusPass},
			{Live: true, Started: true, Ready: true, Status: StatusPass},
			{Live: true, Started: true, Draining: true, Status: StatusPass},
			{Started: true, Draining: true, Status: StatusFail},
		}
		if !slices.Equal(states, want) {
			t.Errorf("told %+v\nwant %+v", states, want)
		}
	})
}

func TestProcess_Drain_is_for_good_when_its_context_ends(t *testing.T) {
	var p Process
	p.Started()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Drain(ctx, time.Hour); !errors.Is(err, context.Canceled) || p.Ready() {
		t.Errorf("%v, ready %t; want context.Canceled, false", err, p.Ready())
	}
}

func TestProcess_Run_beside_another(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		run(t, &p)
		synctest.Wait()
		if err := p.Run(t.Context()); !errors.Is(err, ErrRunning) {
			t.Errorf("a second Run: %v; want ErrRunning", err)
		}
	})
}

func TestProcess_OnChange_that_panics_blocks_exits_or_reports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		calls := make([]int, 4)
		release := make(chan struct{})
		var last State
		for i, f := range []func(){
			func() { panic("in a callback") },
			func() { runtime.Goexit() },
			func() { <-release },
			func() { p.Report(); p.Self(); p.Started() }, // methods of p, one that changes it
		} {
			registered := make(chan struct{})
			go func() {
				defer close(registered)
				p.OnChange(func(s State) {
					calls[i]++
					if calls[i] > 1 { // not inside OnChange
						f()
					}
					last = s
				})
			}()
			<-registered
		}
		for _, change := range []func(){p.Started, func() { _ = p.Drain(t.Context(), 0) }, func() { p.Fatal(errors.New("x")) }} {
			change()
			synctest.Wait()
		}
		if want := []int{4, 4, 2, 4}; !slices.Equal(calls, want) {
			t.Errorf("calls %v, want %v", calls, want)
		}
		close(release)
		synctest.Wait()
		if calls[2] != 3 || last.Live || !last.Draining {
			t.Errorf("the slow callback had %d calls and heard %+v last; want 3, and the last state", calls[2], last)
		}
		if m := string(p.metrics()); !strings.Contains(m, "health_callback_panics_total 6\n") {
			t.Errorf("3 panics and 3 Goexits must be counted:\n%s", m)
		}
	})
}

// frozen is a slog.Handler that blocks until it is released.
type frozen struct {
	slog.Handler
	release chan struct{}
	got     *atomic.Int64
}

func (f frozen) Enabled(context.Context, slog.Level) bool { return true }
func (f frozen) Handle(context.Context, slog.Record) error {
	<-f.release
	f.got.Add(1)
	return nil
}

func TestProcess_Logger_that_blocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := frozen{slog.DiscardHandler, make(chan struct{}), new(atomic.Int64)}
		p := Process{Logger: slog.New(f)}
		p.Started()
		p.Fatal(errors.New("x"))
		p.mu.Lock()
		for range 100 {
			p.log(slog.LevelInfo, "more")
		}
		p.mu.Unlock()
		p.Report()
		close(f.release)
		synctest.Wait()
		if f.got.Load()+p.journal.lost != 102 || p.journal.lost == 0 || p.journal.busy {
			t.Errorf("%d records written, %d lost; want 102 together, some lost", f.got.Load(), p.journal.lost)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		w, err := p.Watch("loop", 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(d time.Duration, want bool, when string) {
			t.Helper()
			pass(d)
			if p.Live() != want {
				t.Errorf("%s: live is %t", when, !want)
			}
		}
		expect(time.Hour, true, "idle from the beginning")
		w.Beat()
		expect(10*time.Second, true, "at the limit")
		expect(time.Nanosecond, false, "past the limit")
		if c := p.Report().Checks["loop:silence"][0]; c.Status != StatusFail || c.Value < 10 {
			t.Errorf("report of a watch that ran out: %+v", c)
		}
		w.Beat()
		expect(0, true, "after a beat")
		Wait(NewContext(t.Context(), w), func() {
			w.Wait(func() { expect(time.Hour, true, "while waiting, twice") })
			expect(time.Hour, true, "while waiting, once")
		})
		expect(10*time.Second, true, "the clock runs from the end of the wait")
		expect(time.Second, false, "and runs out")
		w.Idle()
		expect(time.Hour, true, "idle")
		w.Wait(func() { pass(time.Hour) })
		expect(time.Hour, true, "a wait of idle work does not make it active")
		w.Beat()
		func() {
			defer func() { _ = recover() }()
			w.Wait(func() { pass(time.Hour); panic("in f") })
		}()
		expect(10*time.Second, true, "after a panic inside Wait")
		expect(time.Second, false, "the clock runs again after a panic")
		w.Close()
		expect(0, true, "closed")
		w.Beat()
		w.Close()
		expect(time.Hour, true, "a closed watch does nothing")
		if _, err := p.Watch("loop", time.Second); err != nil {
			t.Errorf("the name of a closed watch is not free: %v", err)
		}
	})
}

func TestWatch_nil_does_nothing(t *testing.T) {
	var w *Watch
	calls := 0
	w.Beat()
	w.Idle()
	w.Close()
	w.Wait(func() { calls++ })
	Wait(NewContext(t.Context(), nil), func() { calls++ })
	Wait(t.Context(), func() { calls++ })
	var none context.Context // a caller's slip
	Wait(none, func() { calls++ })
	Wait(t.Context(), nil)
	w = new(Watch) // one that no process has
	w.Beat()
	w.Idle()
	w.Close()
	w.Wait(func() { calls++ })
	w.Wait(nil)
	Wait(NewContext(t.Context(), w), func() { calls++ })
	if calls != 6 {
		t.Errorf("%d calls, want 6", calls)
	}
}

func TestWatch_is_noticed_by_Run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		live := true
		p.OnChange(func(s State) { live = s.Live })
		run(t, &p)
		w, err := p.Watch("loop", 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		w.Beat()
		pass(11*time.Second + time.Millisecond)
		if live {
			t.Error("OnChange was not told that a watch ran out, within a second")
		}
	})
}

// TestWatch_many_users is for the race detector, and sees that no interleaving
// of Beat and Wait makes live work look dead.
func TestWatch_many_users(t *testing.T) {
	var p Process
	w, err := p.Watch("loop", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for range 500 {
				w.Beat()
				w.Wait(func() { runtime.Gosched() })
				if !p.Live() {
					t.Error("not live")
				}
				if i == 0 {
					other, err := p.Watch("other", time.Minute)
					if err != nil {
						t.Error(err)
					}
					other.Close()
				}
			}
		})
	}
	users.Wait()
}

func TestRegistration_refuses(t *testing.T) {
	check := func(context.Context) error { return nil }
	var p Process
	watch := func(name string, limit time.Duration) error { _, err := p.Watch(name, limit); return err }
	for _, ok := range []error{p.Depend(Dependency{Name: "a", Check: check}), watch("a", time.Millisecond), p.Detect(Goroutines(1))} {
		if ok != nil {
			t.Fatal(ok)
		}
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{p.Depend(Dependency{Name: "b"}), `dependency "b": Check is nil`},
		{p.Depend(Dependency{Check: check}), "dependency: the name is empty"},
		{p.Depend(Dependency{Name: "a", Check: check}), `dependency "a": the name is taken`},
		{p.Depend(Dependency{Name: "b", Check: check, Period: -1}), "between 0 and 24h"},
		{p.Depend(Dependency{Name: "b", Check: check, Timeout: -1}), "between 0 and 24h"},
		{p.Depend(Dependency{Name: "b", Check: check, Timeout: 1<<63 - 1}), "between 0 and 24h"},
		{watch("b", 0), `watch "b": the limit is 0s, it must be > 0`},
		{watch("b", -1), "it must be > 0"},
		{watch("", time.Second), "watch: the name is empty"},
		{watch("a", time.Second), `watch "a": the name is taken`},
		{watch("b", 30), "its unit may be missing: 30 * time.Second"},
		{p.Depend(Dependency{Name: "b", Check: check, Period: 10}), "Period is 10ns"},
		{p.Depend(Dependency{Name: "b", Check: check, Timeout: 2}), "Timeout is 2ns"},
		{p.Serve(t.Context(), &http.Server{}, ServeOptions{Drain: 35}), "Drain is 35ns"},
		{p.Serve(t.Context(), &http.Server{}, ServeOptions{Shutdown: 20}), "Shutdown is 20ns"},
		{p.Detect(Detector{}), "the Detector is empty"},
		{p.Detect(Goroutines(1)), `detector "goroutines": the name is taken`},
		{p.Detect(Goroutines(0)), "Goroutines: the limit is 0"},
		{p.Detect(HeapLimit(2)), "HeapLimit: the part is 2"},
		{p.Detect(OpenFiles(0)), "OpenFiles: the part is 0"},
		{p.Detect(SchedLatency(-1)), "SchedLatency: the limit is"},
		{p.Detect(ClockJump(0)), "ClockJump: the limit is"},
		{p.Detect(DiskWritable("")), "DiskWritable: the folder is empty"},
		{p.Declare([]byte(`[`)), "not one JSON object"},
		{p.Declare([]byte(`{"depends": [{"on": "a"}]}`)), `no "service"`},
		{p.Declare([]byte(`{"service": "s", "depends": [{"soft": true}]}`)), "depends[0] names nothing"},
		{p.Declare([]byte(`{"service": "s", "depends": [{"on": "a", "liveness": true}]}`)), `liveness touches "a"`},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || !strings.HasPrefix(c.err.Error(), "health: ") {
			t.Errorf("%v, want an error about %q", c.err, c.want)
		}
	}
	if n := len(p.Report().Checks); n != 3 {
		t.Errorf("%d checks are registered, want 3: what is refused leaves nothing behind", n)
	}
	for _, g := range []Guard{
		{},
		{ID: "a"},
		{ID: "a", Peers: noPeers, MinPeers: -1},
		{ID: "a", Peers: noPeers, MaxOut: 1.1},
		{ID: "a", Peers: noPeers, Panic: -0.1},
		{ID: "a", Peers: noPeers, Settle: -1},
		{ID: "a", Peers: noPeers, Settle: 20},
	} {
		p := Process{Guard: &g}
		if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "Guard") {
			t.Errorf("Run with guard %+v: %v", g, err)
		}
	}
}

func noPeers(context.Context) ([]Peer, error) { return nil, nil }

func TestDeclare_lists_what_differs(t *testing.T) {
	var p Process
	check := func(context.Context) error { return nil }
	for _, d := range []Dependency{{Name: "ledger"}, {Name: "sessions"}, {Name: "extra"}, {Name: "card-a", Soft: true}} {
		d.Check = check
		if err := p.Depend(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Declare([]byte(`{"service": "checkout", "owner": "team-pay", "depends": [
		{"on": "ledger"}, {"on": "sessions", "soft": true, "phase": ["runtime"]}, {"on": "mail", "soft": true},
		{"any-of": ["card-a", "card-b"], "need": 1}]}`)); err != nil {
		t.Fatal(err)
	}
	r := p.Report()
	got := fmt.Sprint(r.Unchecked, r.Undeclared, r.Disputed)
	if want := "[card-b mail] [extra] [sessions]"; got != want {
		t.Errorf("unchecked, undeclared, disputed: %s; want %s", got, want)
	}
	if r.Status != StatusWarn || len(r.Notes) != 1 {
		t.Errorf("status %v, %q; Run does not run, so nothing is known", r.Status, r.Notes)
	}
}

// What was never checked is not well: Run was forgotten, or the first look is
// still to come. And what never works is known to fail soon, however long the
// period is.
func TestReport_unknown_is_not_pass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		p.Started()
		for name, err := range map[string]error{"good": nil, "bad": errors.New("no")} {
			if err := p.Depend(Dependency{Name: name, Period: time.Hour, Check: func(context.Context) error { return err }}); err != nil {
				t.Fatal(err)
			}
		}
		if s := p.Report().Status; s != StatusWarn {
			t.Errorf("without Run: %v", s)
		}
		run(t, &p)
		pass(time.Millisecond)
		if s := p.Report().Status; s != StatusWarn {
			t.Errorf("before the first look: %v", s)
		}
		pass(time.Hour + time.Minute)
		if good, bad := dependency(&p, "good"), dependency(&p, "bad"); good.Status != StatusPass || bad.Status != StatusFail {
			t.Errorf("%v, %v; want pass, fail", good.Status, bad.Status)
		}
	})
}

package health

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestProcess_life_cycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		var states []State
		p.OnChange(func(s State) { states = append(states, s) })
		if !p.Live() || p.Ready() || p.IsStarted() {
			t.Error("the zero value is alive, and neither started nor ready")
		}
		p.Started()
		if !p.Ready() {
			t.Error("not ready after Started")
		}
		began := time.Now()
		if err := p.Drain(t.Context(), 10*time.Second); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("Drain: %v after %v", err, time.Since(began))
		}
		if p.Ready() || !p.Live() {
			t.Error("after Drain a process is live and not ready")
		}
		p.Fatal(nil)
		p.Fatal(errors.New("first"))
		p.Fatal(errors.New("second"))
		if p.Live() || p.FatalErr().Error() != "first" {
			t.Errorf("Fatal: live %t, %v", p.Live(), p.FatalErr())
		}
		if len(states) != 4 {
			t.Errorf("%d states were told: %+v; want 4", len(states), states)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		epoch = time.Now()
		var p Process
		w, err := p.Watch("loop", 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		pass := func(d time.Duration, want bool, when string) {
			t.Helper()
			<-time.After(d)
			if p.Live() != want {
				t.Errorf("%s: live is %t", when, !want)
			}
		}
		pass(time.Hour, true, "idle from the beginning")
		w.Beat()
		pass(10*time.Second, true, "at the limit")
		pass(time.Second, false, "past the limit")
		w.Beat()
		pass(0, true, "after a beat")
		Wait(NewContext(t.Context(), w), func() {
			w.Wait(func() { pass(time.Hour, true, "while waiting, twice") })
			pass(time.Hour, true, "while waiting, once")
		})
		pass(10*time.Second, true, "the clock runs from the end of the wait")
		pass(time.Second, false, "and runs out")
		w.Idle()
		pass(time.Hour, true, "idle")
		Wait(t.Context(), func() {})
	})
}

func TestDepend_hangs_and_recovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		release := make(chan struct{})
		var hang atomic.Bool
		if err := p.Depend(Dependency{Name: "table", Check: func(context.Context) error {
			if hang.Load() {
				<-release // ignores its context
			}
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = p.Run(ctx) }()
		status := func() Status {
			synctest.Wait()
			return p.Report().Checks["table:responseTime"][0].Status
		}
		<-time.After(15 * time.Second)
		if s := status(); s != StatusPass {
			t.Errorf("status %v, want pass", s)
		}
		hang.Store(true)
		<-time.After(24 * time.Hour)
		if c := p.Report().Checks["table:responseTime"][0]; c.Status != StatusFail || !c.Hung {
			t.Errorf("a check that hangs for a day: %+v; want fail, hung", c)
		}
		if r := p.Report(); r.Status != StatusWarn || !r.Live {
			t.Errorf("report %v, live %t; want warn, true", r.Status, r.Live)
		}
		hang.Store(false)
		close(release)
		<-time.After(time.Minute)
		if s := status(); s != StatusPass {
			t.Errorf("status %v, want pass again", s)
		}
		cancel()
		synctest.Wait()
	})
}

func TestHandler(t *testing.T) {
	var p Process
	p.Started()
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/startupz": 200, "/reportz": 200, "/metricsz": 200, "/": 404} {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	p.ServeLive(w, httptest.NewRequest(http.MethodPost, "/livez", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
	if m := string(p.metrics()); !strings.HasSuffix(m, "# EOF\n") || !strings.Contains(m, "health_ready 1\n") {
		t.Errorf("metrics:\n%s", m)
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkServeLive(b *testing.B) {
	b.Run("10-watches", func(b *testing.B) {
		var p Process
		for i := range 10 {
			w, err := p.Watch(strings.Repeat("w", i+1), time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			w.Beat()
		}
		r := httptest.NewRequest(http.MethodGet, "/livez", nil)
		w := discard{make(http.Header)}
		b.ReportAllocs()
		for b.Loop() {
			p.ServeLive(w, r)
		}
	})
}

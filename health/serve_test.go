package health

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, for servers in a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// get asks a server behind the listener; 0 if nobody accepts.
func (l *pipes) get(t *testing.T, path string) int {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.conns <- theirs:
			return ours, nil
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}}}
	resp, err := c.Get("http://service" + path)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// The whole life: probes answer while the program starts, it serves while it
// drains, and what it stands on is stopped in order, before Run ends.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := new(Process), newPipes()
		var events []string
		stop := func(name string) func(context.Context) error {
			return func(context.Context) error {
				p.mu.Lock()
				running := p.running != nil
				p.mu.Unlock()
				if !running {
					t.Error("Run has ended before Stop")
				}
				events = append(events, name)
				return nil
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- p.Serve(ctx, &http.Server{Handler: p.Probes()}, ServeOptions{
				Listener: l, Drain: 30 * time.Second,
				Start: func(context.Context) error { pass(10 * time.Second); return nil },
				Stop:  []func(context.Context) error{stop("cache"), stop("log")},
			})
		}()
		pass(time.Second)
		if live, ready, started := l.get(t, "/livez"), l.get(t, "/readyz"), l.get(t, "/startupz"); live != 200 || ready != 503 || started != 503 {
			t.Errorf("while it starts: live %d, ready %d, started %d", live, ready, started)
		}
		pass(10 * time.Second)
		if ready, started := l.get(t, "/readyz"), l.get(t, "/startupz"); ready != 200 || started != 200 {
			t.Errorf("started: ready %d, started %d", ready, started)
		}
		if got := l.get(t, "/reportz"); got != 404 {
			t.Errorf("Probes serves the report: %d", got)
		}
		cancel()
		pass(29 * time.Second)
		if live, ready := l.get(t, "/livez"), l.get(t, "/readyz"); live != 200 || ready != 503 {
			t.Errorf("while it drains: live %d, ready %d", live, ready)
		}
		pass(2 * time.Second)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !slices.Equal(events, []string{"cache", "log"}) {
			t.Errorf("stopped %v", events)
		}
		if got := l.get(t, "/livez"); got != 0 {
			t.Errorf("after the end: %d", got)
		}
	})
}

// What can go wrong, each with its error, and without waiting for a drain.
func TestServe_fails(t *testing.T) {
	long := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		o    ServeOptions
		do   func(p *Process, l *pipes, cancel func())
		want string
		took time.Duration // at most
	}{
		"Start fails":                 {ServeOptions{Start: func(context.Context) error { return errors.New("no schema") }}, nil, "starting: no schema", 0},
		"Start panics":                {ServeOptions{Start: func(context.Context) error { panic("x") }}, nil, "panic in Start: x", 0},
		"Start exits":                 {ServeOptions{Start: func(context.Context) error { runtime.Goexit(); return nil }}, nil, "Goexit in Start", 0},
		"told to end while it starts": {ServeOptions{Start: long, Drain: -1}, func(_ *Process, _ *pipes, cancel func()) { cancel() }, "", 0},
		"the listener ends":           {ServeOptions{}, func(_ *Process, l *pipes, _ func()) { _ = l.Close() }, "closed", 0},
		"a guard that is wrong":       {ServeOptions{}, nil, "Guard", 0},
		"Stop panics":                 {ServeOptions{Drain: -1, Stop: []func(context.Context) error{func(context.Context) error { panic("y") }}}, func(_ *Process, _ *pipes, cancel func()) { cancel() }, "panic in Stop: y", 0},
		"Stop is deaf":                {ServeOptions{Drain: -1, Shutdown: 5 * time.Second, Stop: []func(context.Context) error{func(context.Context) error { pass(time.Hour); return nil }}}, func(_ *Process, _ *pipes, cancel func()) { cancel() }, "did not return in time", 6 * time.Second},
		"Stop is slow, and the next one has a second all the same": {ServeOptions{Drain: -1, Shutdown: 5 * time.Second, Stop: []func(context.Context) error{long, func(ctx context.Context) error { return ctx.Err() }}}, func(_ *Process, _ *pipes, cancel func()) { cancel() }, "deadline exceeded", 6 * time.Second},
		"Shutdown out of bounds":                                   {ServeOptions{Shutdown: -1}, nil, "at most an hour", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, l := new(Process), newPipes()
			if name == "a guard that is wrong" {
				p.Guard = new(Guard)
			}
			c.o.Listener = l
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began := time.Now()
			done := make(chan error, 1)
			go func() { done <- p.Serve(ctx, &http.Server{Handler: p.Probes()}, c.o) }()
			synctest.Wait()
			if c.do != nil {
				c.do(p, l, cancel)
			}
			err := <-done
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
			if took := time.Since(began); took > c.took {
				t.Errorf("%s: it took %v, at most %v", name, took, c.took)
			}
			if p.Ready() && c.want != "at most an hour" && c.want != "" {
				t.Errorf("%s: ready after the end", name)
			}
			pass(2 * time.Hour) // for what was left behind
		})
	}
}

// A request that never ends is cut off when Shutdown is over.
func TestServe_cuts_off(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := new(Process), newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		go func() {
			done <- p.Serve(ctx, &http.Server{Handler: hang}, ServeOptions{Listener: l, Drain: -1, Shutdown: 3 * time.Second})
		}()
		go l.get(t, "/")
		pass(time.Second)
		cancel()
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestStartedWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(Process)
		var up atomic.Bool
		if err := p.Depend(Dependency{Name: "schema", Period: time.Second, Check: func(context.Context) error {
			if up.Load() {
				return nil
			}
			return errors.New("no")
		}}); err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]string{nil, {"schema", "other"}} {
			if err := p.StartedWhen(bad...); err == nil {
				t.Errorf("StartedWhen(%q) is fine", bad)
			}
		}
		if err := p.StartedWhen("schema"); err != nil {
			t.Fatal(err)
		}
		run(t, p)
		pass(time.Minute)
		if p.IsStarted() {
			t.Error("started without its schema")
		}
		up.Store(true)
		pass(10 * time.Second)
		if !p.Ready() {
			t.Error("not started")
		}
		up.Store(false)
		pass(time.Minute)
		if !p.Ready() {
			t.Error("what has started does not start again")
		}
	})
}

func TestProbe(t *testing.T) {
	p := new(Process)
	server := httptest.NewServer(p.Handler())
	defer server.Close()
	if err := Probe(t.Context(), server.URL+"/livez"); err != nil {
		t.Error(err)
	}
	for url, want := range map[string]string{server.URL + "/readyz": "status 503", "http://127.0.0.1:1/livez": "refused", ":": "parse"} {
		if err := Probe(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// A process that stood still as a whole (SIGSTOP, a migration) has no dead loop.
// One that is dead is found all the same.
func TestWatch_freeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(Process)
		w, err := p.Watch("loop", 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		w.Beat()
		p.pulse()
		pass(time.Second)
		p.pulse() // as Run does
		pass(time.Hour)
		if !p.Live() { // the first probe after the freeze comes before anything of the process
			t.Error("the process stood still, and is not live")
		}
		p.pulse()
		for range 7 {
			pass(time.Second)
			p.pulse()
		}
		if !p.Live() {
			t.Error("nine seconds of silence beside the freeze are within the limit")
		}
		for range 3 {
			pass(time.Second)
			p.pulse()
		}
		if p.Live() {
			t.Error("a dead loop is not found after a freeze")
		}
	})
}

// Work that has never shown itself is a warning, and one that says that it has
// nothing to do is not.
func TestWatch_that_never_began(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(Process)
		if _, err := p.Watch("dead before its first round", time.Minute); err != nil {
			t.Fatal(err)
		}
		idle, err := p.Watch("has nothing to do", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		idle.Idle()
		if r := p.Report(); r.Status != StatusPass {
			t.Errorf("at once: %+v", r)
		}
		pass(2 * time.Minute)
		r := p.Report()
		if c := r.Checks["dead before its first round:silence"][0]; !r.Live || r.Status != StatusWarn || c.Status != StatusWarn || c.Output == "" {
			t.Errorf("%v, %+v", r.Status, c)
		}
		if c := r.Checks["has nothing to do:silence"][0]; c.Status != StatusPass {
			t.Errorf("%+v", c)
		}
	})
}

// What waits is seen, in the report and in the metrics; above the limit it is a
// warning, and no reason for a restart.
func TestWatch_waits_are_visible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(Process)
		w, err := p.Watch("loop", 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		w.Beat()
		release := make(chan struct{})
		for range 3 {
			go w.Wait(func() { <-release })
		}
		pass(5 * time.Second)
		if c := p.Report().Checks["loop:silence"][0]; c.Status != StatusPass || c.Waiters != 3 || c.Waited != 5 {
			t.Errorf("%+v", c)
		}
		pass(6 * time.Second)
		r := p.Report()
		if c := r.Checks["loop:silence"][0]; c.Status != StatusWarn || r.Status != StatusWarn || !r.Live {
			t.Errorf("%v, %+v", r.Status, c)
		}
		if m := string(p.metrics()); !strings.Contains(m, `health_watch_waiters{check="loop",type="watch"} 3`) || !strings.Contains(m, `health_watch_waited_seconds{check="loop",type="watch"} 11`) {
			t.Error(m)
		}
		close(release)
		synctest.Wait()
		if r := p.Report(); r.Status != StatusPass || r.Checks["loop:silence"][0].Waiters != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// A check that fails again and again between successes is a warning, though it
// never fails three times in a row; an outage that is over is not.
func TestCheck_flaky(t *testing.T) {
	for name, c := range map[string]struct {
		results string // of the last 20
		flaky   bool
	}{
		"two of three":    {"xx.xx.xx.xx.xx.xx.xx", true},
		"one of three":    {"x..x..x..x..x..x..x.", true},
		"one of five":     {"x....x....x....x....", false},
		"an outage":       {"...xxxxxxxxxx.......", false},
		"two outages":     {"xxxxx...xxxxxx......", false},
		"too few results": {"x.x.x.x.x", false},
	} {
		var v verdict
		for _, r := range c.results {
			v.add(r == '.', time.Time{})
		}
		if v.flaky() != c.flaky {
			t.Errorf("%s: flaky %v, ratio %v", name, v.flaky(), v.ratio())
		}
	}
}

func TestReport_round_trip(t *testing.T) {
	p := &Process{Detail: true}
	if err := p.Depend(Dependency{Name: "a:b", Check: func(context.Context) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Watch("loop", time.Minute); err != nil {
		t.Fatal(err)
	}
	r := p.Report()
	var back Report
	if err := back.UnmarshalJSON(r.JSON()); err != nil {
		t.Fatal(err)
	}
	if string(back.JSON()) != string(r.JSON()) || back.Checks["a:b:responseTime"][0].Name != "a:b" {
		t.Errorf("%+v\n%s\n%s", back, back.JSON(), r.JSON())
	}
	if err := back.UnmarshalJSON([]byte(`{"status":"fine"}`)); err == nil {
		t.Error("a status that is none")
	}
}

// Both parsers are served, each by what it accepts.
func TestMetrics_negotiated(t *testing.T) {
	p := new(Process)
	for accept, c := range map[string]struct{ kind, has, lacks string }{
		"": {"application/openmetrics-text", "# EOF", "health_callback_panics_total counter"},
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3": {"application/openmetrics-text", "# TYPE health_callback_panics counter", "health_callback_panics_total counter"},
		"application/openmetrics-text;q=0.2, text/plain;q=0.9":                      {"text/plain; version=0.0.4", "health_callback_panics_total counter", "# EOF"},
		"application/openmetrics-text;q=0,text/plain":                               {"text/plain; version=0.0.4", "health_callback_panics_total counter", "# EOF"},
		"*/*":                      {"application/openmetrics-text", "# EOF", "health_callback_panics_total counter"},
		"text/plain;version=0.0.4": {"text/plain; version=0.0.4", "# TYPE health_callback_panics_total counter\n# HELP health_callback_panics_total ", "# EOF"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metricsz", nil)
		r.Header.Set("Accept", accept)
		p.ServeMetrics(w, r)
		if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, c.kind) || !strings.Contains(w.Body.String(), c.has) || strings.Contains(w.Body.String(), c.lacks) {
			t.Errorf("%q: %s\n%s", accept, kind, w.Body)
		}
	}
}

// A name that is not UTF-8 would make Prometheus refuse all metrics.
func TestNames_are_text(t *testing.T) {
	p := new(Process)
	if err := p.Depend(Dependency{Name: "a\xff", Check: func(context.Context) error { return nil }}); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("a dependency: %v", err)
	}
	if _, err := p.Watch("a\xff", time.Second); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("a watch: %v", err)
	}
	if err := p.Detect(DiskWritable("/a\xff")); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("a detector: %v", err)
	}
}

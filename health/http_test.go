package health

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func get(h http.Handler, method, path, agent string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("User-Agent", agent)
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	var p Process
	h := p.Handler()
	expect := func(when string, want map[string]int) {
		t.Helper()
		for path, code := range want {
			w := get(h, http.MethodGet, path, "")
			if w.Code != code {
				t.Errorf("%s: %s: %d, want %d", when, path, w.Code, code)
			}
			if code != 404 && w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: headers %v", path, w.Header())
			}
		}
	}
	expect("new", map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 503, "/reportz": 200, "/metricsz": 200, "/": 404})
	p.Started()
	expect("started", map[string]int{"/livez": 200, "/readyz": 200, "/startupz": 200, "/reportz": 200})
	if body := get(h, http.MethodGet, "/livez", "").Body.String(); body != "ok\n" {
		t.Errorf("body %q", body)
	}
	_ = p.Drain(t.Context(), 0)
	expect("draining", map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 200, "/reportz": 200})
	p.Fatal(http.ErrAbortHandler)
	expect("fatal", map[string]int{"/livez": 503, "/readyz": 503, "/startupz": 200, "/reportz": 503})
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/reportz", "/metricsz"} {
		w := get(h, http.MethodPost, path, "")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" || w.Body.Len() > 0 {
			t.Errorf("POST %s: %d %v %q", path, w.Code, w.Header(), w.Body)
		}
	}
}

func TestServeReport_is_health_json(t *testing.T) {
	var p Process
	if err := p.Detect(Goroutines(1 << 20)); err != nil {
		t.Fatal(err)
	}
	w := get(p.Handler(), http.MethodGet, "/reportz", "")
	if got := w.Header().Get("Content-Type"); got != "application/health+json" {
		t.Errorf("content type %q", got)
	}
	var body struct {
		Status string
		Checks map[string][]map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if c := body.Checks["goroutines:count"]; body.Status != "warn" || len(c) != 1 || c[0]["status"] != nil {
		t.Errorf("%+v", body)
	}
}

func TestServeReport_counts_probers_and_warns_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := Process{Logger: slog.New(slog.NewTextHandler(&log, nil))}
		h := p.Handler()
		for range 3 {
			for _, agent := range []string{"ELB-HealthChecker/2.0", "kube-probe/1.33", "Amazon-Route53-Health-Check-Service (ref x)", "Envoy/HC", "GoogleHC/1.0", "curl/8"} {
				get(h, http.MethodGet, "/reportz", agent)
				get(h, http.MethodGet, "/livez", agent)
			}
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "prober asks /reportz"); n != 5 {
			t.Errorf("%d warnings, want 5:\n%s", n, log.String())
		}
		m := string(p.metrics())
		for _, name := range []string{"ELB-HealthChecker", "kube-probe", "Amazon-Route53-Health-Check-Service", "Envoy/HC", "GoogleHC"} {
			if line := `health_report_probers_total{prober="` + name + `"} 3` + "\n"; !strings.Contains(m, line) {
				t.Errorf("no line %q in\n%s", line, m)
			}
		}
	})
}

func TestServeMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		w, err := p.Watch("quo\"te\nline\\", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		w.Beat()
		if err := p.Detect(Goroutines(1 << 20)); err != nil {
			t.Fatal(err)
		}
		run(t, &p)
		pass(11 * time.Second)
		got := string(p.metrics())
		for _, line := range []string{
			"# TYPE health_live gauge", "health_live 0", "health_ready 0", "health_out 0",
			`health_check{check="quo\"te\nline\\",type="watch"} 0`,
			`health_check{check="goroutines",type="detector"} 1`,
			`health_check_hung{check="goroutines",type="detector"} 0`,
			`health_check_results_total{check="goroutines",type="detector",result="fail"} 0`,
			"health_log_records_lost_total 0",
		} {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("no line %s", line)
			}
		}
		if !strings.HasSuffix(got, "# EOF\n") || t.Failed() {
			t.Errorf("metrics:\n%s", got)
		}
	})
}

// TestProbes_do_not_allocate also sees that probes take no lock.
func TestProbes_do_not_allocate(t *testing.T) {
	var p Process
	w, err := p.Watch("loop", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.Beat()
	p.mu.Lock()
	defer p.mu.Unlock()
	r, rw := httptest.NewRequest(http.MethodGet, "/livez", nil), discard{make(http.Header)}
	for name, serve := range map[string]http.HandlerFunc{"live": p.ServeLive, "ready": p.ServeReady, "started": p.ServeStarted} {
		if n := testing.AllocsPerRun(100, func() { serve(rw, r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
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

package health

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
)

// Handler serves what [Process.Probes] and [Process.Admin] do, for a port that
// only operators and probes reach.
func (p *Process) Handler() http.Handler {
	mux := http.NewServeMux()
	p.routeProbes(mux)
	p.routeAdmin(mux)
	return mux
}

// Probes serves /livez, /readyz and /startupz: for the main port, since one of
// their own can hide a dead main server.
func (p *Process) Probes() http.Handler {
	mux := http.NewServeMux()
	p.routeProbes(mux)
	return mux
}

// Admin serves /reportz and /metricsz, for where only operators can ask.
func (p *Process) Admin() http.Handler {
	mux := http.NewServeMux()
	p.routeAdmin(mux)
	return mux
}

// routeProbes is what platforms ask; each path has one meaning, and none has the report.
func (p *Process) routeProbes(mux *http.ServeMux) {
	mux.HandleFunc("/livez", p.ServeLive)
	mux.HandleFunc("/readyz", p.ServeReady)
	mux.HandleFunc("/startupz", p.ServeStarted)
}

// routeAdmin is what people and monitoring ask.
func (p *Process) routeAdmin(mux *http.ServeMux) {
	mux.HandleFunc("/reportz", p.ServeReport)
	mux.HandleFunc("/metricsz", p.ServeMetrics)
}

// Headers and bodies of the probes are constant: they tell an anonymous caller
// nothing, and cost no allocation.
var (
	plainText      = []string{"text/plain; charset=utf-8"}
	healthJSON     = []string{"application/health+json"}
	openMetrics    = []string{"application/openmetrics-text; version=1.0.0; charset=utf-8"}
	prometheusText = []string{"text/plain; version=0.0.4; charset=utf-8"}
	noStore        = []string{"no-store"}
	bodyOK         = []byte("ok\n")
	bodyNot        = []byte("unavailable\n")
	allowedVerbs   = []string{"GET, HEAD"}
)

// ServeLive answers 200 while the process is live, else 503.
func (p *Process) ServeLive(w http.ResponseWriter, r *http.Request) { answer(w, r, p.Live()) }

// ServeReady answers 200 while the process should get traffic, else 503.
func (p *Process) ServeReady(w http.ResponseWriter, r *http.Request) { answer(w, r, p.Ready()) }

// ServeStarted answers 200 once the process has started, else 503.
func (p *Process) ServeStarted(w http.ResponseWriter, r *http.Request) { answer(w, r, p.IsStarted()) }

// answer is all that a prober gets: a status and one word, neither of which
// allocates.
func answer(w http.ResponseWriter, r *http.Request, ok bool) {
	if !begin(w, r, plainText) {
		return
	}
	if ok {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(bodyOK)
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(bodyNot)
}

// begin sets the headers and refuses methods that a probe does not use.
func begin(w http.ResponseWriter, r *http.Request, contentType []string) bool {
	h := w.Header()
	// as a slice that is shared, and not by Set, which would allocate one
	h["Content-Type"] = contentType
	h["Cache-Control"] = noStore
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != "" {
		h["Allow"] = allowedVerbs
		w.WriteHeader(http.StatusMethodNotAllowed)
		return false
	}
	return true
}

// proberAgents are how load balancers and platforms call themselves.
var proberAgents = []string{
	"ELB-HealthChecker/", "kube-probe/", "Amazon-Route53-Health-Check-Service", "Envoy/HC", "GoogleHC/",
}

// ServeReport answers with the Report: 200 for pass and warn, 503 for fail. A
// platform's prober that asks here is counted, and named in the log once: it
// should ask /readyz.
func (p *Process) ServeReport(w http.ResponseWriter, r *http.Request) {
	p.countProber(r.UserAgent())
	if !begin(w, r, healthJSON) {
		return
	}
	report := p.Report()
	if report.Status == StatusFail {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(report.JSON())
}

// countProber notices a platform that probes the report, which fails with any of
// its parts and would have good instances restarted. It warns once for each kind
// of prober.
func (p *Process) countProber(agent string) {
	for _, known := range proberAgents {
		if !strings.HasPrefix(agent, known) {
			continue
		}
		n, seen := p.probers.LoadOrStore(strings.TrimRight(known, "/"), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		if !seen {
			p.mu.Lock()
			p.log(slog.LevelWarn, "a platform's prober asks /reportz; it should ask /readyz or /livez", "prober", known)
			p.mu.Unlock()
		}
		return
	}
}

package health

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
)

// Handler serves /livez, /readyz, /startupz, /reportz and /metricsz. Put the
// first three on the main port (one of their own can hide a dead main server),
// and the last two where only operators can ask.
func (p *Process) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", p.ServeLive)
	mux.HandleFunc("/readyz", p.ServeReady)
	mux.HandleFunc("/startupz", p.ServeStarted)
	mux.HandleFunc("/reportz", p.ServeReport)
	mux.HandleFunc("/metricsz", p.ServeMetrics)
	return mux
}

// Headers and bodies of the probes are constant: they tell an anonymous caller
// nothing, and cost no allocation.
var (
	plainText    = []string{"text/plain; charset=utf-8"}
	healthJSON   = []string{"application/health+json"}
	openMetrics  = []string{"application/openmetrics-text; version=1.0.0; charset=utf-8"}
	noStore      = []string{"no-store"}
	bodyOK       = []byte("ok\n")
	bodyNot      = []byte("unavailable\n")
	allowedVerbs = []string{"GET, HEAD"}
)

// ServeLive answers 200 while the process is live, else 503.
func (p *Process) ServeLive(w http.ResponseWriter, r *http.Request) { answer(w, r, p.Live()) }

// ServeReady answers 200 while the process should get traffic, else 503.
func (p *Process) ServeReady(w http.ResponseWriter, r *http.Request) { answer(w, r, p.Ready()) }

// ServeStarted answers 200 once the process has started, else 503.
func (p *Process) ServeStarted(w http.ResponseWriter, r *http.Request) { answer(w, r, p.IsStarted()) }

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

func (p *Process) countProber(agent string) {
	for _, known := range proberAgents {
		if !strings.HasPrefix(agent, known) {
			continue
		}
		n, seen := p.probers.LoadOrStore(strings.TrimRight(known, "/"), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		if !seen && p.Logger != nil {
			p.Logger.Warn("health: a platform's prober asks /reportz; it should ask /readyz or /livez", "prober", known)
		}
		return
	}
}

// ServeMetrics answers with the state as OpenMetrics text.
func (p *Process) ServeMetrics(w http.ResponseWriter, r *http.Request) {
	if !begin(w, r, openMetrics) {
		return
	}
	_, _ = w.Write(p.metrics())
}

func (p *Process) metrics() []byte {
	var b strings.Builder
	report := p.Report()
	gauge := func(name, help string, on bool) {
		fmt.Fprintf(&b, "# TYPE %s gauge\n# HELP %s %s\n%s %d\n", name, name, help, name, bit(on))
	}
	gauge("health_live", "Whether the process is alive.", report.Live)
	gauge("health_started", "Whether the process has started.", report.Started)
	gauge("health_draining", "Whether the process drains.", report.Draining)
	gauge("health_ready", "Whether the process should get traffic.", report.Ready)

	b.WriteString("# TYPE health_check gauge\n# HELP health_check 1: pass, 0: fail, -1: not checked yet.\n")
	names := make([]string, 0, len(report.Checks))
	for name := range report.Checks {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		c := report.Checks[name][0]
		value := -1
		if c.Status != StatusUnknown {
			value = bit(c.Status == StatusPass)
		}
		fmt.Fprintf(&b, "health_check{check=\"%s\",type=\"%s\"} %d\n", label(name), c.ComponentType, value)
	}

	b.WriteString("# TYPE health_report_probers counter\n# HELP health_report_probers Requests of the report by probers of a platform.\n")
	for _, known := range proberAgents {
		name := strings.TrimRight(known, "/")
		if n, ok := p.probers.Load(name); ok {
			fmt.Fprintf(&b, "health_report_probers_total{prober=\"%s\"} %d\n", label(name), n.(*atomic.Int64).Load())
		}
	}
	p.mu.Lock()
	panics := p.panics
	p.mu.Unlock()
	fmt.Fprintf(&b, "# TYPE health_callback_panics counter\n# HELP health_callback_panics Panics in callbacks.\nhealth_callback_panics_total %d\n# EOF\n", panics)
	return []byte(b.String())
}

func bit(on bool) int {
	if on {
		return 1
	}
	return 0
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// label escapes a label's value as OpenMetrics demands.
func label(s string) string { return labelEscapes.Replace(s) }

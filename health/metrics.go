package health

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// ServeMetrics answers with the state as OpenMetrics text: health_live,
// health_ready and their like as 0 or 1, one health_check for each check and
// watch, and counters of results and of what went wrong in this package's
// surroundings.
func (p *Process) ServeMetrics(w http.ResponseWriter, r *http.Request) {
	if begin(w, r, openMetrics) {
		_, _ = w.Write(p.metrics())
	}
}

// family writes the head of a metric.
func family(b *strings.Builder, name, kind, help string) {
	fmt.Fprintf(b, "# TYPE %s %s\n# HELP %s %s\n", name, kind, name, help)
}

func (p *Process) metrics() []byte {
	var b strings.Builder
	report := p.Report()
	for _, g := range []struct {
		name, help string
		on         bool
	}{
		{"health_live", "Whether the process is alive.", report.Live},
		{"health_started", "Whether the process has started.", report.Started},
		{"health_draining", "Whether the process drains.", report.Draining},
		{"health_ready", "Whether the process should get traffic.", report.Ready},
		{"health_out", "Whether the guard has let the process leave the traffic.", p.out.Load()},
	} {
		family(&b, g.name, "gauge", g.help)
		fmt.Fprintf(&b, "%s %d\n", g.name, bit(g.on))
	}
	writeChecks(&b, report)
	p.writeCounters(&b)
	b.WriteString("# EOF\n")
	return []byte(b.String())
}

func writeChecks(b *strings.Builder, report Report) {
	checks := make([]Check, 0, len(report.Checks))
	for _, list := range report.Checks {
		checks = append(checks, list...)
	}
	slices.SortFunc(checks, func(a, b Check) int {
		return strings.Compare(a.ComponentType+"\x00"+a.Name, b.ComponentType+"\x00"+b.Name)
	})
	each := func(name, help string, value func(Check) float64) {
		family(b, name, "gauge", help)
		for _, c := range checks {
			fmt.Fprintf(b, "%s{check=\"%s\",type=\"%s\"} %g\n", name, label(c.Name), c.ComponentType, value(c))
		}
	}
	each("health_check", "1: pass, 0: fail, -1: not known.", func(c Check) float64 {
		if c.Status == StatusUnknown {
			return -1
		}
		return float64(bit(c.Status == StatusPass))
	})
	each("health_check_value", "What was observed: ms of a dependency, s of silence of a watch, a detector's measure.", func(c Check) float64 { return c.Value })
	each("health_check_hung", "Whether a check does not return.", func(c Check) float64 { return float64(bit(c.Hung)) })
}

func (p *Process) writeCounters(b *strings.Builder) {
	p.mu.Lock()
	panics, lost := p.panics, p.journal.lost
	family(b, "health_check_results", "counter", "Results of checks.")
	for _, c := range p.checks {
		for _, r := range []struct {
			name string
			n    int64
		}{{"pass", c.passed}, {"fail", c.failed}} {
			fmt.Fprintf(b, "health_check_results_total{check=\"%s\",type=\"%s\",result=\"%s\"} %d\n", label(c.name), c.kind, r.name, r.n)
		}
	}
	p.mu.Unlock()
	family(b, "health_report_probers", "counter", "Requests of the report by probers of a platform.")
	for _, known := range proberAgents {
		name := strings.TrimRight(known, "/")
		if n, ok := p.probers.Load(name); ok {
			fmt.Fprintf(b, "health_report_probers_total{prober=\"%s\"} %d\n", label(name), n.(*atomic.Int64).Load())
		}
	}
	family(b, "health_callback_panics", "counter", "Panics in callbacks.")
	fmt.Fprintf(b, "health_callback_panics_total %d\n", panics)
	family(b, "health_log_records_lost", "counter", "Records that the logger was too slow for.")
	fmt.Fprintf(b, "health_log_records_lost_total %d\n", lost)
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

package health

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// ServeMetrics answers with the state as OpenMetrics text, or in Prometheus' own
// format for a client that accepts only that: health_live, health_ready and
// their like as 0 or 1, one health_check for each check and watch, and counters
// of results and of what went wrong in this package's surroundings.
func (p *Process) ServeMetrics(w http.ResponseWriter, r *http.Request) {
	if prefersText(strings.Join(r.Header.Values("Accept"), ",")) {
		if begin(w, r, prometheusText) {
			_, _ = w.Write(asPrometheus(p.metrics()))
		}
		return
	}
	if begin(w, r, openMetrics) {
		_, _ = w.Write(p.metrics())
	}
}

// prefersText reports whether a client names plain text with a higher weight
// (RFC 9110, section 12.5.1) than OpenMetrics.
func prefersText(accept string) bool {
	text, open := 0.0, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		fields := strings.Split(part, ";")
		weight := 1.0
		for _, f := range fields[1:] {
			if q, ok := strings.CutPrefix(strings.TrimSpace(f), "q="); ok {
				if v, err := strconv.ParseFloat(q, 64); err == nil {
					weight = v
				}
			}
		}
		switch strings.ToLower(strings.TrimSpace(fields[0])) {
		case "text/plain":
			text = max(text, weight)
		case "application/openmetrics-text":
			open = max(open, weight)
		}
	}
	return text > open
}

// asPrometheus turns OpenMetrics into version 0.0.4 of Prometheus' text format.
// There a counter's family has the name of its samples, and nothing marks the
// end.
func asPrometheus(text []byte) []byte {
	var b strings.Builder
	counters := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		words := strings.SplitN(line, " ", 4)
		switch {
		case line == "# EOF\n":
			continue
		case len(words) == 4 && words[1] == "TYPE" && words[3] == "counter\n":
			counters[words[2]] = true
		}
		if len(words) == 4 && words[0] == "#" && counters[words[2]] {
			words[2] += "_total"
			line = strings.Join(words, " ")
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}

// family writes the head of a metric.
func family(b *strings.Builder, name, kind, help string) {
	fmt.Fprintf(b, "# TYPE %s %s\n# HELP %s %s\n", name, kind, name, help)
}

// metrics is the report in the text format of OpenMetrics 1.0. Families are
// always in the same order, and checks by kind and name.
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

// writeChecks writes a family at a time, as the format wants it, with one
// sample for each check.
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
	each("health_check_value", "What was observed: seconds of a dependency or of a watch's silence, a detector's measure.", func(c Check) float64 {
		if c.Unit == "ms" {
			return c.Value / 1000
		}
		return c.Value
	})
	each("health_check_age_seconds", "How old the last result is; 0 if there is none.", func(c Check) float64 {
		if c.Time.IsZero() {
			return 0
		}
		return max(time.Since(c.Time).Seconds(), 0)
	})
	each("health_check_failure_ratio", "The part of failures among the last 20 results; 0 while there are fewer than 10.", func(c Check) float64 { return c.FailureRatio })
	each("health_watch_waiters", "Calls of Wait in progress, of a watch.", func(c Check) float64 { return float64(c.Waiters) })
	each("health_watch_waited_seconds", "For how long there have been some without a pause.", func(c Check) float64 { return c.Waited })
	each("health_check_hung", "Whether a check does not return.", func(c Check) float64 { return float64(bit(c.Hung)) })
}

// writeCounters writes what has been counted since New. Names of checks are the
// program's and are escaped.
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

// bit is 1 for true, as metrics and sums have it.
func bit(on bool) int {
	if on {
		return 1
	}
	return 0
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// label escapes a label's value as OpenMetrics demands.
func label(s string) string { return labelEscapes.Replace(s) }

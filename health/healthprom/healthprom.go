// Package healthprom is a collector of a health.Process for a registry of
// Prometheus, with the names that /metricsz has:
//
//	registry.MustRegister(healthprom.NewCollector(p))
//
// It is a module of its own, so that the go.mod of a service that does not use
// client_golang knows nothing of it; /metricsz needs none.
package healthprom

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/failopen/failopen/health"
)

var errNil = errors.New("healthprom: the process is nil")

// Collector is a prometheus.Collector of one process. Make it with NewCollector;
// it is safe for concurrent use. A collection checks nothing.
type Collector struct{ process *health.Process }

// NewCollector makes a collector of p, which may get more checks and watches
// later. One registry takes one, or several with different labels by
// prometheus.WrapRegistererWith. A nil p is reported as an error of each
// collection.
func NewCollector(p *health.Process) *Collector { return &Collector{p} }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	live     = desc("health_live", "Whether the process is alive.")
	started  = desc("health_started", "Whether the process has started.")
	draining = desc("health_draining", "Whether the process drains.")
	ready    = desc("health_ready", "Whether the process should get traffic.")
	out      = desc("health_out", "Whether the guard has let the process leave the traffic.")

	check   = desc("health_check", "1: pass, 0: fail, -1: not known.", "check", "type")
	value   = desc("health_check_value", "What was observed: seconds of a dependency or of a watch's silence, a detector's measure.", "check", "type")
	age     = desc("health_check_age_seconds", "How old the last result is; 0 if there is none.", "check", "type")
	ratio   = desc("health_check_failure_ratio", "The part of failures among the last 20 results; 0 while there are fewer than 10.", "check", "type")
	waiters = desc("health_watch_waiters", "Calls of Wait in progress, of a watch.", "check", "type")
	waited  = desc("health_watch_waited_seconds", "For how long there have been some without a pause.", "check", "type")
	hung    = desc("health_check_hung", "Whether a check does not return.", "check", "type")
	results = desc("health_check_results_total", "Results of checks.", "check", "type", "result")
)

// Describe sends what Collect may send.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{live, started, draining, ready, out, check, value, age, ratio, waiters, waited, hung, results} {
		to <- d
	}
}

// Collect sends the state as it is now.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	if c.process == nil {
		to <- prometheus.NewInvalidMetric(live, errNil)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	r, now := c.process.Report(), time.Now()
	gauge(live, bit(r.Live))
	gauge(started, bit(r.Started))
	gauge(draining, bit(r.Draining))
	gauge(ready, bit(r.Ready))
	gauge(out, bit(r.Out))
	for _, list := range r.Checks {
		for _, c := range list {
			labels := []string{c.Name, c.ComponentType}
			gauge(check, status(c.Status), labels...)
			gauge(value, seconds(c), labels...)
			gauge(age, since(c.Time, now), labels...)
			gauge(ratio, c.FailureRatio, labels...)
			gauge(waiters, float64(c.Waiters), labels...)
			gauge(waited, c.Waited, labels...)
			gauge(hung, bit(c.Hung), labels...)
			if c.ComponentType != "watch" {
				to <- prometheus.MustNewConstMetric(results, prometheus.CounterValue, float64(c.Passed), c.Name, c.ComponentType, "pass")
				to <- prometheus.MustNewConstMetric(results, prometheus.CounterValue, float64(c.Failed), c.Name, c.ComponentType, "fail")
			}
		}
	}
}

// status is the value of the gauge: 1 pass, 0 fail or warn, -1 not known.
func status(s health.Status) float64 {
	if s == health.StatusUnknown {
		return -1
	}
	return bit(s == health.StatusPass)
}

// seconds is the check's value in Prometheus's base unit.
func seconds(c health.Check) float64 {
	if c.Unit == "ms" {
		return c.Value / 1000
	}
	return c.Value
}

// since is the age of t; 0 for a time that was not yet.
func since(t, now time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(now.Sub(t).Seconds(), 0)
}

// bit is 1 for true, as metrics have it.
func bit(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

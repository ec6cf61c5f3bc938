// Package healthotel reports the state of a health.Process as OpenTelemetry
// metrics.
//
//	reg, err := healthotel.Register(otel.Meter("my/service"), p)
//
// It is a module of its own, so that the go.mod of a service that does not use
// OpenTelemetry knows nothing of it.
//
// # Metrics
//
// All are asynchronous: they cost nothing between two collections, and a
// collection checks nothing. Those below check have the attributes
// failopen.health.check.name and failopen.health.check.type ("dependency",
// "detector", "watch").
//
//	failopen.health.live                 updowncounter  {process}  1 or 0: the answer of /livez
//	failopen.health.started              updowncounter  {process}  1 or 0
//	failopen.health.draining             updowncounter  {process}  1 or 0
//	failopen.health.ready                updowncounter  {process}  1 or 0: the answer of /readyz
//	failopen.health.out                  updowncounter  {process}  1 or 0: the Guard has let it leave
//	failopen.health.check.status         updowncounter  {check}    1 for the current failopen.health.check.state ("pass", "warn", "fail", "unknown"), else 0
//	failopen.health.check.results        counter        {result}   by failopen.health.check.result ("pass", "fail"); not of watches
//	failopen.health.check.failure.ratio  gauge          1          of the last 20 results, once there are 10
//	failopen.health.check.age            gauge          s          of the last result; not before there is one
//	failopen.health.check.hung           updowncounter  {check}    1 while a check does not return
//	failopen.health.check.duration       gauge          s          of a dependency's last check
//	failopen.health.detector.value       gauge          1          what a detector measured, in its own unit, which is s or 1
//	failopen.health.watch.silence        gauge          s          since a watch last showed that it lives
//	failopen.health.watch.waiters        updowncounter  {call}     calls of Wait in progress
//	failopen.health.watch.waited         gauge          s          for how long there have been some
//
// Points of one collection are from one Report. Texts of errors are not metrics:
// they are in the report and in the log.
package healthotel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/failopen/failopen/health"
)

// The attributes of this package.
const (
	NameKey   = attribute.Key("failopen.health.check.name")
	TypeKey   = attribute.Key("failopen.health.check.type")
	StateKey  = attribute.Key("failopen.health.check.state")
	ResultKey = attribute.Key("failopen.health.check.result")
)

// Register makes the metrics of this package with meter and reports p through
// them at every collection, until Unregister of the result is called. attrs are
// added to every point.
//
// It may be called from any goroutine, before or after checks and watches are
// registered. It returns an error, and registers nothing, if meter or p is nil,
// attrs has an attribute of this package, or the meter refuses an instrument.
func Register(meter metric.Meter, p *health.Process, attrs ...attribute.KeyValue) (metric.Registration, error) {
	switch {
	case meter == nil:
		return nil, errors.New("healthotel: meter is nil")
	case p == nil:
		return nil, errors.New("healthotel: process is nil")
	}
	for _, a := range attrs {
		switch a.Key {
		case NameKey, TypeKey, StateKey, ResultKey:
			return nil, fmt.Errorf("healthotel: attribute %q is set by this package", a.Key)
		}
	}
	m := &instruments{common: slices.Clone(attrs)}
	all, err := m.make(meter)
	if err != nil {
		return nil, fmt.Errorf("healthotel: %w", err)
	}
	reg, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m.observe(o, p.Report(), time.Now())
		return nil
	}, all...)
	if err != nil {
		return nil, fmt.Errorf("healthotel: %w", err)
	}
	return reg, nil
}

// instruments are the metrics of a process.
type instruments struct {
	common []attribute.KeyValue

	live, started, draining, ready, out metric.Int64Observable
	status, results, hung, waiters      metric.Int64Observable
	ratio, age, duration, value         metric.Float64Observable
	silence, waited                     metric.Float64Observable
}

// make makes all instruments. It returns them for the registration of the
// callback, which has to name each that it observes, and the errors of all in
// one.
func (m *instruments) make(meter metric.Meter) (all []metric.Observable, err error) {
	var errs []error
	sum := func(to *metric.Int64Observable, name, unit, help string) {
		made, err := meter.Int64ObservableUpDownCounter("failopen.health."+name, metric.WithUnit(unit), metric.WithDescription(help))
		errs = append(errs, err)
		*to, all = made, append(all, made)
	}
	gauge := func(to *metric.Float64Observable, name, unit, help string) {
		made, err := meter.Float64ObservableGauge("failopen.health."+name, metric.WithUnit(unit), metric.WithDescription(help))
		errs = append(errs, err)
		*to, all = made, append(all, made)
	}
	sum(&m.live, "live", "{process}", "Whether the process is alive.")
	sum(&m.started, "started", "{process}", "Whether the process has started.")
	sum(&m.draining, "draining", "{process}", "Whether the process drains.")
	sum(&m.ready, "ready", "{process}", "Whether the process should get traffic.")
	sum(&m.out, "out", "{process}", "Whether the guard has let the process leave the traffic.")
	sum(&m.status, "check.status", "{check}", "1 for the current state, 0 for the others.")
	sum(&m.hung, "check.hung", "{check}", "Whether a check does not return.")
	sum(&m.waiters, "watch.waiters", "{call}", "Calls of Wait in progress.")
	gauge(&m.ratio, "check.failure.ratio", "1", "The part of failures among the last 20 results.")
	gauge(&m.age, "check.age", "s", "How old the last result is.")
	gauge(&m.duration, "check.duration", "s", "How long the last check of a dependency took.")
	gauge(&m.value, "detector.value", "1", "What a detector measured, in seconds or as a number.")
	gauge(&m.silence, "watch.silence", "s", "Since when a watch has not shown that it lives.")
	gauge(&m.waited, "watch.waited", "s", "For how long there have been calls of Wait without a pause.")
	results, err := meter.Int64ObservableCounter("failopen.health.check.results", metric.WithUnit("{result}"), metric.WithDescription("Results of checks."))
	m.results = results
	return append(all, results), errors.Join(append(errs, err)...)
}

// observe gives one report to the instruments, on the reader's goroutine.
func (m *instruments) observe(o metric.Observer, r health.Report, now time.Time) {
	with := metric.WithAttributeSet(attribute.NewSet(m.common...))
	o.ObserveInt64(m.live, bit(r.Live), with)
	o.ObserveInt64(m.started, bit(r.Started), with)
	o.ObserveInt64(m.draining, bit(r.Draining), with)
	o.ObserveInt64(m.ready, bit(r.Ready), with)
	o.ObserveInt64(m.out, bit(r.Out), with)
	for _, list := range r.Checks {
		for _, c := range list {
			m.check(o, c, now)
		}
	}
}

var states = []health.Status{health.StatusPass, health.StatusWarn, health.StatusFail, health.StatusUnknown}

// check observes one check, in seconds and with its name and kind as
// attributes. What it cannot know yet, before the first result, is left out
// instead of being 0.
func (m *instruments) check(o metric.Observer, c health.Check, now time.Time) {
	set := func(more ...attribute.KeyValue) metric.MeasurementOption {
		all := append(m.common[:len(m.common):len(m.common)], NameKey.String(c.Name), TypeKey.String(c.ComponentType))
		return metric.WithAttributeSet(attribute.NewSet(append(all, more...)...))
	}
	for _, s := range states {
		o.ObserveInt64(m.status, bit(c.Status == s), set(StateKey.String(s.String())))
	}
	value := c.Value
	if c.Unit == "ms" {
		value /= 1000
	}
	if c.ComponentType == "watch" {
		o.ObserveFloat64(m.silence, value, set())
		o.ObserveInt64(m.waiters, c.Waiters, set())
		o.ObserveFloat64(m.waited, c.Waited, set())
		return
	}
	o.ObserveInt64(m.results, c.Passed, set(ResultKey.String("pass")))
	o.ObserveInt64(m.results, c.Failed, set(ResultKey.String("fail")))
	o.ObserveInt64(m.hung, bit(c.Hung), set())
	o.ObserveFloat64(m.ratio, c.FailureRatio, set())
	if c.Time.IsZero() {
		return // there is no result yet
	}
	o.ObserveFloat64(m.age, max(now.Sub(c.Time).Seconds(), 0), set())
	if c.ComponentType == "dependency" {
		o.ObserveFloat64(m.duration, value, set())
	} else {
		o.ObserveFloat64(m.value, value, set())
	}
}

func bit(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

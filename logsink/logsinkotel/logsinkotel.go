// Package logsinkotel reports the Stats of a logsink.Sink as OpenTelemetry
// metrics.
//
//	reg, err := logsinkotel.Register(otel.Meter("my/service"), "app", sink)
//
// It is a module of its own, so that the go.mod of a service that does not use
// OpenTelemetry knows nothing of it.
//
// # Metrics
//
// All are asynchronous: they cost nothing between two collections. Every point
// has the attribute logsink.name; those that are marked have logsink.lane
// ("normal", "high") too.
//
//	logsink.record.attempted  counter        {record}  written to the sink, or recovered; by lane
//	logsink.record.delivered  counter        {record}  taken by the destination or the fallback; by lane
//	logsink.record.dropped    counter        {record}  lost; by lane and logsink.drop.reason (as in logsink.Drops)
//	logsink.record.fallback   counter        {record}  the part of delivered that the fallback took
//	logsink.record.truncated  counter        {record}  cut to Options.MaxRecord
//	logsink.record.recovered  counter        {record}  left by an earlier process
//	logsink.queue.size        updowncounter  {record}  whose fate is open; by lane
//	logsink.queue.usage       updowncounter  By        memory that holds records
//	logsink.spill.size        updowncounter  {record}  in the spill directory, part of logsink.queue.size
//	logsink.spill.usage       updowncounter  By        size of the segments in the spill directory
//	logsink.stall.duration    gauge          s         how long the destination has taken nothing
//	logsink.status            updowncounter  1         1 for the current logsink.state ("healthy", "retrying", "broken"), else 0
//	logsink.disk.status       updowncounter  1         1 for the current logsink.disk.state ("ok", "failing"), else 0
//	logsink.gap.markers       counter        {marker}  gap markers delivered
//	logsink.write.errors      counter        {error}   errors of the destination and the fallback
//	logsink.disk.errors       counter        {error}   failures of the mapped file and the spill directory
//	logsink.panics            counter        {panic}   panics of the destination and of callbacks
//	logsink.event.lost        counter        {event}   events that OnEvent was too slow for
//
// Points of one collection are from one snapshot: within it, attempted is equal
// to delivered, dropped and queue.size together, for each lane. What is worth an
// alarm is in the guide of logsink. Texts of errors are not metrics: they are in
// Stats and in OnEvent.
package logsinkotel

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/failopen/failopen/logsink"
)

// The attributes of this package.
const (
	NameKey       = attribute.Key("logsink.name")
	LaneKey       = attribute.Key("logsink.lane")
	DropReasonKey = attribute.Key("logsink.drop.reason")
	StateKey      = attribute.Key("logsink.state")
	DiskStateKey  = attribute.Key("logsink.disk.state")
)

// Register makes the metrics of this package with meter and reports sink through
// them at every collection, until Unregister of the result is called. name is
// the value of logsink.name; attrs are added to every point.
//
// A collection calls sink.Stats once. That waits for no destination and no disk,
// so metrics are collected also while the log is frozen, when they matter most,
// and after Close. A registration keeps the sink and its memory: unregister a
// sink that is closed long before the program ends.
//
// Sinks that share a meter provider need different names (or attrs): points with
// equal attributes are added up by the SDK. Register may be called from any
// goroutine. It returns an error, and registers nothing, if meter or sink is nil,
// name is empty, attrs has an attribute of this package, or the meter refuses an
// instrument.
func Register(meter metric.Meter, name string, sink *logsink.Sink, attrs ...attribute.KeyValue) (metric.Registration, error) {
	switch {
	case meter == nil:
		return nil, errors.New("logsinkotel: meter is nil")
	case sink == nil:
		return nil, errors.New("logsinkotel: sink is nil")
	case name == "":
		return nil, errors.New("logsinkotel: name is empty; sinks of one program are told apart by it")
	}
	for _, a := range attrs {
		switch a.Key {
		case NameKey, LaneKey, DropReasonKey, StateKey, DiskStateKey:
			return nil, fmt.Errorf("logsinkotel: attribute %q is set by this package", a.Key)
		}
	}
	return register(meter, append([]attribute.KeyValue{NameKey.String(name)}, attrs...), sink.Stats)
}

// register makes the instruments and one callback for all of them, so that they
// show one snapshot.
func register(meter metric.Meter, common []attribute.KeyValue, stats func() logsink.Stats) (metric.Registration, error) {
	var (
		all      []metric.Observable
		observes []func(metric.Observer, *logsink.Stats)
		errs     []error
	)
	for _, in := range instruments {
		made, err := in.kind(meter, in.name, in.unit, in.help)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", in.name, err))
			continue
		}
		all = append(all, made)
		for _, s := range in.series {
			// Sets are made here, and not at every collection.
			with := metric.WithAttributeSet(attribute.NewSet(append(common[:len(common):len(common)], s.attrs...)...))
			observes = append(observes, func(o metric.Observer, st *logsink.Stats) { o.ObserveInt64(made, s.value(st), with) })
		}
	}
	stall, err := meter.Float64ObservableGauge("logsink.stall.duration", metric.WithUnit("s"),
		metric.WithDescription("How long the destination has taken nothing."))
	if err != nil {
		errs = append(errs, fmt.Errorf("logsink.stall.duration: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("logsinkotel: %w", err)
	}
	with := metric.WithAttributeSet(attribute.NewSet(common...))
	reg, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		st := stats()
		for _, observe := range observes {
			observe(o, &st)
		}
		o.ObserveFloat64(stall, st.StalledFor.Seconds(), with)
		return nil
	}, append(all, stall)...)
	if err != nil {
		return nil, fmt.Errorf("logsinkotel: %w", err)
	}
	return reg, nil
}

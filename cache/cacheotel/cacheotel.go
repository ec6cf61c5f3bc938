// Package cacheotel reports the Stats of a cache.Cache as OpenTelemetry metrics, and
// its lookups, loads and calls of the store as spans ([TraceLookups], [Trace]).
//
//	reg, err := cacheotel.Register(otel.Meter("my/service"), "sessions", sessions)
//
// It is a module of its own, so that the go.mod of a service that does not use
// OpenTelemetry knows nothing of it.
//
// # Metrics
//
// All are asynchronous: they cost nothing between two collections. Every point
// has the attribute failopen.cache.name; those that are marked have
// failopen.cache.op ("read", "write") too. Names begin with failopen, since
// "cache" alone is everybody's.
//
//	failopen.cache.lookup.ended       counter        {lookup}      by failopen.cache.result: local, remote, origin, stale, failed, canceled
//	failopen.cache.lookup.coalesced   counter        {lookup}      waited for a load which another had begun
//	failopen.cache.load.started       counter        {load}        calls of the loader
//	failopen.cache.load.early         counter        {load}        that began before the TTL ended
//	failopen.cache.load.errors        counter        {key}         whose load failed
//	failopen.cache.load.late          counter        {key}         of these, given up after LoadTimeout
//	failopen.cache.load.queued        counter        {load}        had to wait for a slot
//	failopen.cache.load.busy          counter        {load}        of these, got none in time
//	failopen.cache.load.throttled     counter        {load}        not made, since the origin was failing
//	failopen.cache.store.calls        counter        {call}        by op
//	failopen.cache.store.misses       counter        {call}        reads that found nothing
//	failopen.cache.store.faults       counter        {call}        failed, time-outs included; by op
//	failopen.cache.store.late         counter        {call}        of these, time-outs; by op
//	failopen.cache.store.skipped      counter        {call}        not made; by op
//	failopen.cache.breaker.opened     counter        {transition}  by op
//	failopen.cache.breaker.status     updowncounter  1             1 for the current failopen.cache.breaker.state ("closed", "half-open", "open"), else 0; by op; all 0 without a store
//	failopen.cache.write.queued       updowncounter  {key}         waiting to be written
//	failopen.cache.write.dropped      counter        {value}       did not reach the store
//	failopen.cache.ending.owed        updowncounter  {ending}      that the store is still to be told of
//	failopen.cache.ending.lost        counter        {ending}      that the store will not be told of
//	failopen.cache.ending.bound       gauge          s             how long an ended value can be served somewhere
//	failopen.cache.bulletin.posted    counter        {ending}      told to other instances
//	failopen.cache.bulletin.lost      counter        {ending}      not told
//	failopen.cache.bulletin.looks     counter        {look}        reads of what others told
//	failopen.cache.bulletin.faults    counter        {call}        that failed; by op
//	failopen.cache.bulletin.ended     counter        {copy}        dropped because of a note
//	failopen.cache.bulletin.distrust  counter        {event}       all copies were dropped: too much was missed
//	failopen.cache.tag.reads          counter        {call}        of the store, for what became of a tag
//	failopen.cache.item.poison        counter        {item}        could not be used
//	failopen.cache.item.outdated      counter        {item}        older than what was known
//	failopen.cache.item.rejected      counter        {value}       that the codec or the store could not take
//	failopen.cache.zombies            updowncounter  {call}        outlived their context
//	failopen.cache.callback.panics    counter        {panic}       in callbacks
//	failopen.cache.callback.stuck     updowncounter  {call}        of OnEvent and Logger that do not return
//	failopen.cache.callback.dropped   counter        {call}        of them that were not made, since too many are stuck
//	failopen.cache.local.size         updowncounter  {entry}       in the local tier
//	failopen.cache.local.usage        updowncounter  By            their cost, with MaxBytes
//	failopen.cache.local.evicted      counter        {entry}       that had to go
//
// Points of one collection are from one call of Stats. A hit ratio is (local +
// remote) / all but canceled, over lookup.ended. What is worth an alarm is in the
// guide of cache. Texts of errors are not metrics: they are in Stats and in the
// log.
package cacheotel

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/failopen/failopen/cache"
)

// The attributes of this package.
const (
	NameKey         = attribute.Key("failopen.cache.name")
	ResultKey       = attribute.Key("failopen.cache.result")
	OpKey           = attribute.Key("failopen.cache.op")
	BreakerStateKey = attribute.Key("failopen.cache.breaker.state")
)

// Register makes the metrics of this package with meter and reports c, a
// *cache.Cache of any type, through them at every collection, until Unregister
// of the result is called. name is the value of failopen.cache.name; attrs are
// added to every point.
//
// A collection calls c.Stats once, which makes no call of the store or the
// origin. A registration keeps the cache and its memory: unregister a cache that
// is closed long before the program ends. A Reporter of your own that panics is
// an error of that collection, which the SDK reports.
//
// Caches that share a meter provider need different names (or attrs): points with
// equal attributes are added up by the SDK. Register may be called from any
// goroutine. It returns an error, and registers nothing, if meter or c is nil,
// name is empty or not UTF-8, attrs has an attribute of this package, or the meter refuses an
// instrument.
func Register(meter metric.Meter, name string, c cache.Reporter, attrs ...attribute.KeyValue) (metric.Registration, error) {
	switch {
	case meter == nil:
		return nil, errors.New("cacheotel: meter is nil")
	case c == nil:
		return nil, errors.New("cacheotel: cache is nil")
	case name == "":
		return nil, errors.New("cacheotel: name is empty; caches of one program are told apart by it")
	case !utf8.ValidString(name): // an exporter could not encode it, and would lose all that is collected with it
		return nil, fmt.Errorf("cacheotel: name %q is not UTF-8", name)
	}
	for _, a := range attrs {
		switch a.Key {
		case NameKey, ResultKey, OpKey, BreakerStateKey:
			return nil, fmt.Errorf("cacheotel: attribute %q is set by this package", a.Key)
		}
	}
	return register(meter, append([]attribute.KeyValue{NameKey.String(name)}, attrs...), c)
}

// register makes the instruments and one callback for all of them, so that they
// show one snapshot.
func register(meter metric.Meter, common []attribute.KeyValue, c cache.Reporter) (metric.Registration, error) {
	var (
		all      []metric.Observable
		observes []func(metric.Observer, *cache.Stats)
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
			observes = append(observes, func(o metric.Observer, st *cache.Stats) { o.ObserveInt64(made, s.value(st), with) })
		}
	}
	bound, err := meter.Float64ObservableGauge("failopen.cache.ending.bound", metric.WithUnit("s"),
		metric.WithDescription("How long an ended value can be served somewhere."))
	if err != nil {
		errs = append(errs, fmt.Errorf("failopen.cache.ending.bound: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("cacheotel: %w", err)
	}
	with := metric.WithAttributeSet(attribute.NewSet(common...))
	reg, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		st, err := stats(c)
		if err != nil {
			return err
		}
		for _, observe := range observes {
			observe(o, &st)
		}
		o.ObserveFloat64(bound, st.Bound.Seconds(), with)
		return nil
	}, append(all, bound)...)
	if err != nil {
		return nil, fmt.Errorf("cacheotel: %w", err)
	}
	return reg, nil
}

// stats contains panics of a Reporter that is not a Cache, and of a nil pointer:
// they would end the process from the goroutine that exports metrics.
func stats(c cache.Reporter) (st cache.Stats, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cacheotel: Stats panicked: %v", p)
		}
	}()
	return c.Stats(), nil
}

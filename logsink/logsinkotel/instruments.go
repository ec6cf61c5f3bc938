package logsinkotel

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/failopen/failopen/logsink"
)

// instrument is a metric of whole numbers with one series or several.
type instrument struct {
	name, unit, help string
	kind             func(meter metric.Meter, name, unit, help string) (metric.Int64Observable, error)
	series           []series
}

// series is one point of each collection.
type series struct {
	attrs []attribute.KeyValue // after those of the sink
	value func(*logsink.Stats) int64
}

func counter(meter metric.Meter, name, unit, help string) (metric.Int64Observable, error) {
	return meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
}

// upDown is for values that make sense when instances are added up.
func upDown(meter metric.Meter, name, unit, help string) (metric.Int64Observable, error) {
	return meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
}

var instruments = []instrument{
	{"logsink.record.attempted", "{record}", "Records written to the sink, or recovered.", counter, byLane(func(l *logsink.Lanes) int64 { return l.Attempted })},
	{"logsink.record.delivered", "{record}", "Records that the destination or the fallback took.", counter, byLane(func(l *logsink.Lanes) int64 { return l.Delivered })},
	{"logsink.record.dropped", "{record}", "Records that are lost, by reason.", counter, byReason()},
	{"logsink.record.fallback", "{record}", "Records that the fallback took.", counter, one(func(st *logsink.Stats) int64 { return st.Fallback })},
	{"logsink.record.truncated", "{record}", "Records that were cut.", counter, one(func(st *logsink.Stats) int64 { return st.Truncated })},
	{"logsink.record.recovered", "{record}", "Records that an earlier process had left.", counter, one(func(st *logsink.Stats) int64 { return st.Recovered })},
	{"logsink.queue.size", "{record}", "Records whose fate is open.", upDown, byLane(func(l *logsink.Lanes) int64 { return l.Queued })},
	{"logsink.queue.usage", "By", "Memory that holds records.", upDown, one(func(st *logsink.Stats) int64 { return st.QueuedBytes })},
	{"logsink.spill.size", "{record}", "Records in the spill directory.", upDown, one(func(st *logsink.Stats) int64 { return st.Spilled })},
	{"logsink.spill.usage", "By", "Size of the segments in the spill directory.", upDown, one(func(st *logsink.Stats) int64 { return st.SpilledBytes })},
	{"logsink.status", "1", "State of the destination by its last answer.", upDown, byState(logsink.Healthy, logsink.Retrying, logsink.Broken)},
	{"logsink.disk.status", "1", "Whether crash safety and spill are in effect, where asked for.", upDown, []series{
		{[]attribute.KeyValue{DiskStateKey.String("ok")}, func(st *logsink.Stats) int64 { return flag(st.DiskError == "") }},
		{[]attribute.KeyValue{DiskStateKey.String("failing")}, func(st *logsink.Stats) int64 { return flag(st.DiskError != "") }},
	}},
	{"logsink.gap.markers", "{marker}", "Gap markers delivered.", counter, one(func(st *logsink.Stats) int64 { return st.Markers })},
	{"logsink.write.errors", "{error}", "Errors of the destination and the fallback.", counter, one(func(st *logsink.Stats) int64 { return st.WriteErrors })},
	{"logsink.disk.errors", "{error}", "Failures of the mapped file and the spill directory.", counter, one(func(st *logsink.Stats) int64 { return st.DiskErrors })},
	{"logsink.panics", "{panic}", "Panics of the destination and of callbacks.", counter, one(func(st *logsink.Stats) int64 { return st.Panics })},
	{"logsink.event.lost", "{event}", "Events that OnEvent was too slow for.", counter, one(func(st *logsink.Stats) int64 { return st.EventsLost })},
}

func one(value func(*logsink.Stats) int64) []series { return []series{{nil, value}} }

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// byLane has a series for each lane. Stats has all of them and, of these, the
// high ones.
func byLane(count func(*logsink.Lanes) int64, attrs ...attribute.KeyValue) []series {
	return []series{
		{append([]attribute.KeyValue{LaneKey.String("normal")}, attrs...), func(st *logsink.Stats) int64 {
			all := logsink.Lanes{Attempted: st.Attempted, Delivered: st.Delivered, Queued: st.Queued, Dropped: st.Dropped}
			return count(&all) - count(&st.High)
		}},
		{append([]attribute.KeyValue{LaneKey.String("high")}, attrs...), func(st *logsink.Stats) int64 { return count(&st.High) }},
	}
}

func byReason() (all []series) {
	for reason := range (logsink.Drops{}).All() {
		of := func(l *logsink.Lanes) int64 {
			for r, n := range l.Dropped.All() {
				if r == reason {
					return n
				}
			}
			return 0
		}
		all = append(all, byLane(of, DropReasonKey.String(reason))...)
	}
	return all
}

// byState has a series for each state, as Kubernetes and hardware metrics do, so
// that a chart needs no legend for numbers.
func byState(states ...logsink.State) (all []series) {
	for _, state := range states {
		all = append(all, series{
			[]attribute.KeyValue{StateKey.String(state.String())},
			func(st *logsink.Stats) int64 { return flag(st.State == state) },
		})
	}
	return all
}

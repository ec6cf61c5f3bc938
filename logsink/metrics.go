package logsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// MetricsContentType is the media type of what [Metrics] writes.
const MetricsContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// Metrics are the sinks of a program by name. WriteTo writes their [Stats] as
// OpenMetrics text, in the form that package health of this module uses, for a
// handler of your own:
//
//	http.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
//		w.Header().Set("Content-Type", logsink.MetricsContentType)
//		logsink.Metrics{"app": sink}.WriteTo(w)
//	})
//
// It does not wait for a destination or a disk. A nil sink is left out. For
// OpenTelemetry there is the module logsink/logsinkotel.
type Metrics map[string]*Sink

// metric is a family with one sample for each sink, or several with labels of
// their own.
type metric struct {
	name, kind, help string
	samples          func(Stats) []sample
}

type sample struct {
	labels string // after that of the sink
	value  float64
}

func one64(n int64) []sample { return []sample{{"", float64(n)}} }

// flag is a gauge of 0 or 1.
func flag(on bool) []sample {
	if on {
		return one64(1)
	}
	return one64(0)
}

// byLane is a counter with a sample for each lane.
func byLane(count func(Lanes) int64) func(Stats) []sample {
	return func(st Stats) []sample {
		high := count(st.High)
		all := count(Lanes{st.Attempted, st.Delivered, st.Queued, st.Dropped})
		return []sample{{`,lane="normal"`, float64(all - high)}, {`,lane="high"`, float64(high)}}
	}
}

var families = []metric{
	// A row is a family: its name, as OpenMetrics has it without the suffix _total, its type, a
	// line of help, and its samples from one snapshot. A new field of Stats needs a row here.
	{"logsink_records_attempted", "counter", "Records written to the sink, or found.", byLane(func(l Lanes) int64 { return l.Attempted })},
	{"logsink_records_delivered", "counter", "Records that the destination or the fallback took.", byLane(func(l Lanes) int64 { return l.Delivered })},
	{"logsink_records_dropped", "counter", "Records that are lost, by reason.", dropped},
	{"logsink_queue_records", "gauge", "Records whose fate is open.", byLane(func(l Lanes) int64 { return l.Queued })},
	{"logsink_queue_bytes", "gauge", "Memory that holds records.", func(st Stats) []sample { return one64(st.QueuedBytes) }},
	{"logsink_spilled_records", "gauge", "Records in the spill directory.", func(st Stats) []sample { return one64(st.Spilled) }},
	{"logsink_spilled_bytes", "gauge", "Size of the spill directory.", func(st Stats) []sample { return one64(st.SpilledBytes) }},
	{"logsink_stalled_seconds", "gauge", "How long the destination has taken nothing.", func(st Stats) []sample { return []sample{{"", st.StalledFor.Seconds()}} }},
	{"logsink_retrying", "gauge", "Whether the destination's last answer was an error.", func(st Stats) []sample { return flag(st.State == Retrying) }},
	{"logsink_broken", "gauge", "Whether nobody reads the destination.", func(st Stats) []sample { return flag(st.State == Broken) }},
	{"logsink_disk_failing", "gauge", "Whether crash safety or spill is not in effect.", func(st Stats) []sample { return flag(st.DiskError != "") }},
	{"logsink_fallback_records", "counter", "Records that the fallback took.", func(st Stats) []sample { return one64(st.Fallback) }},
	{"logsink_truncated_records", "counter", "Records that were cut.", func(st Stats) []sample { return one64(st.Truncated) }},
	{"logsink_recovered_records", "counter", "Records that an earlier process had left.", func(st Stats) []sample { return one64(st.Recovered) }},
	{"logsink_gap_markers", "counter", "Gap markers delivered.", func(st Stats) []sample { return one64(st.Markers) }},
	{"logsink_write_errors", "counter", "Errors of the destination and the fallback.", func(st Stats) []sample { return one64(st.WriteErrors) }},
	{"logsink_disk_errors", "counter", "Errors of the mapped file and the spill directory.", func(st Stats) []sample { return one64(st.DiskErrors) }},
	{"logsink_panics", "counter", "Panics of the destination and of callbacks.", func(st Stats) []sample { return one64(st.Panics) }},
	{"logsink_events_lost", "counter", "Events that OnEvent was too slow for.", func(st Stats) []sample { return one64(st.EventsLost) }},
}

// dropped are the losses by lane and reason. Stats counts the high lane both by
// itself and in the sum, hence the difference.
func dropped(st Stats) (all []sample) {
	lanes := []struct {
		name string
		d    Drops
	}{{"normal", st.Dropped.minus(st.High.Dropped)}, {"high", st.High.Dropped}}
	for _, l := range lanes {
		for reason, n := range l.d.All() {
			all = append(all, sample{fmt.Sprintf(`,lane="%s",reason="%s"`, l.name, reason), float64(n)})
		}
	}
	return all
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// WriteTo writes the metrics of all sinks, in the order of their names.
//
// The format is OpenMetrics 1.0. Names of sinks are label values: backslash, quote and line
// break are escaped, so that a name cannot add a line. One Write, after all is gathered.
func (m Metrics) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	names := slices.Sorted(maps.Keys(m))
	names = slices.DeleteFunc(names, func(name string) bool { return m[name] == nil })
	stats := make([]Stats, len(names))
	for i, name := range names {
		stats[i] = m[name].Stats()
	}
	for _, f := range families {
		fmt.Fprintf(&b, "# TYPE %s %s\n# HELP %s %s\n", f.name, f.kind, f.name, f.help)
		suffix := ""
		if f.kind == "counter" {
			suffix = "_total"
		}
		for i, name := range names {
			for _, s := range f.samples(stats[i]) {
				fmt.Fprintf(&b, "%s%s{sink=\"%s\"%s} %g\n", f.name, suffix, labelEscapes.Replace(name), s.labels, s.value)
			}
		}
	}
	b.WriteString("# EOF\n")
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Check returns an error while the log does not get through: the destination has
// taken nothing for longer than a few seconds, nobody reads it, or the disk that
// was asked for is not in effect. It has the form of a check of package health,
// where it may make a service degraded. It must never make it not live: a
// restart does not repair the pipeline, and loses the queue.
func (s *Sink) Check(context.Context) error {
	st := s.Stats()
	var all []error
	if st.StalledFor > checkStall {
		all = append(all, fmt.Errorf("the destination has taken nothing for %v", st.StalledFor.Round(time.Second)))
	}
	if st.State == Broken {
		all = append(all, errors.New("nobody reads the destination"))
	}
	if st.DiskError != "" {
		all = append(all, errors.New(st.DiskError))
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("logsink: %w; %d records queued, %d dropped", errors.Join(all...), st.Queued, st.Dropped.Total())
}

// checkStall is when a stall is more than a slow moment: the alarm in the guide.
const checkStall = 10 * time.Second

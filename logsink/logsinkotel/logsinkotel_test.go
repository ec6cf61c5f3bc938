package logsinkotel

import (
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/logsinktest"
)

func provider(t *testing.T) (metric.Meter, *sdk.ManualReader) {
	t.Helper()
	reader := sdk.NewManualReader()
	p := sdk.NewMeterProvider(sdk.WithReader(reader))
	t.Cleanup(func() {
		if err := p.Shutdown(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
	})
	return p.Meter("test"), reader
}

// point is "name{attributes}", without the name of the sink.
func point(name string, set attribute.Set, sinkName string) string {
	var attrs []string
	for _, kv := range set.ToSlice() {
		if kv.Key == NameKey {
			if kv.Value.AsString() != sinkName {
				return ""
			}
			continue
		}
		attrs = append(attrs, string(kv.Key)+"="+kv.Value.String())
	}
	return name + "{" + strings.Join(attrs, ",") + "}"
}

// collect returns the points of a sink, and fails if a point comes twice.
func collect(t *testing.T, reader *sdk.ManualReader, sinkName string) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	add := func(name string, set attribute.Set, value float64) {
		key := point(name, set, sinkName)
		if key == "" {
			return
		}
		if _, twice := got[key]; twice {
			t.Errorf("%s twice", key)
		}
		got[key] = value
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			default:
				t.Errorf("%s: %T", m.Name, m.Data)
			}
		}
	}
	return got
}

// want is what Stats says, in points, written down a second time.
func want(st logsink.Stats) map[string]float64 {
	w := map[string]float64{
		"logsink.record.fallback{}":  float64(st.Fallback),
		"logsink.record.truncated{}": float64(st.Truncated),
		"logsink.record.recovered{}": float64(st.Recovered),
		"logsink.queue.usage{}":      float64(st.QueuedBytes),
		"logsink.spill.size{}":       float64(st.Spilled),
		"logsink.spill.usage{}":      float64(st.SpilledBytes),
		"logsink.stall.duration{}":   st.StalledFor.Seconds(),
		"logsink.gap.markers{}":      float64(st.Markers),
		"logsink.write.errors{}":     float64(st.WriteErrors),
		"logsink.disk.errors{}":      float64(st.DiskErrors),
		"logsink.panics{}":           float64(st.Panics),
		"logsink.event.lost{}":       float64(st.EventsLost),

		"logsink.disk.status{logsink.disk.state=ok}":      0,
		"logsink.disk.status{logsink.disk.state=failing}": 0,
	}
	lane := func(name string, all, high int64) {
		w[name+"{logsink.lane=normal}"], w[name+"{logsink.lane=high}"] = float64(all-high), float64(high)
	}
	lane("logsink.record.attempted", st.Attempted, st.High.Attempted)
	lane("logsink.record.delivered", st.Delivered, st.High.Delivered)
	lane("logsink.queue.size", st.Queued, st.High.Queued)
	all, high := reflect.ValueOf(st.Dropped), reflect.ValueOf(st.High.Dropped)
	for i := range all.NumField() {
		reason := all.Type().Field(i).Tag.Get("json")
		w["logsink.record.dropped{logsink.drop.reason="+reason+",logsink.lane=normal}"] = float64(all.Field(i).Int() - high.Field(i).Int())
		w["logsink.record.dropped{logsink.drop.reason="+reason+",logsink.lane=high}"] = float64(high.Field(i).Int())
	}
	for _, state := range []string{"healthy", "retrying", "broken"} {
		w["logsink.status{logsink.state="+state+"}"] = 0
	}
	w["logsink.status{logsink.state="+st.State.String()+"}"] = 1
	disk := "ok"
	if st.DiskError != "" {
		disk = "failing"
	}
	w["logsink.disk.status{logsink.disk.state="+disk+"}"] = 1
	return w
}

func same(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for key, w := range want {
		if g, ok := got[key]; !ok || g != w {
			t.Errorf("%s is %v (there: %v), want %v", key, g, ok, w)
		}
	}
	for key, g := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s is %v, and not known here", key, g)
		}
	}
}

// fill gives every number below v a value of its own: a multiple of step.
func fill(v reflect.Value, next *int64, step int64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next, step)
		}
	case reflect.Int64:
		*next += step
		v.SetInt(*next)
	}
}

// A number that is new in Stats fails this test until there is a metric for it.
func TestRegister_shows_every_number_of_Stats(t *testing.T) {
	var st logsink.Stats
	// The high lane is a part of all, and their differences differ, too.
	var high logsink.Lanes
	var small, large int64
	fill(reflect.ValueOf(&high).Elem(), &small, 1)
	fill(reflect.ValueOf(&st).Elem(), &large, 1000)
	st.High = high

	meter, reader := provider(t)
	calls := 0
	reg, err := register(meter, []attribute.KeyValue{NameKey.String("x")}, func() logsink.Stats { calls++; return st })
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, reader, "x")
	same(t, got, want(st))
	if calls != 1 {
		t.Errorf("Stats was asked %d times in one collection", calls)
	}
	values := map[float64]bool{}
	for _, v := range got {
		values[v] = true
	}
	var check func(path string, v, high reflect.Value)
	check = func(path string, v, high reflect.Value) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+v.Type().Field(i).Name
			var h reflect.Value
			if high.IsValid() {
				h = high.FieldByName(v.Type().Field(i).Name)
			}
			switch {
			case f.Kind() == reflect.Struct:
				check(name+".", f, h)
			case f.Type() == reflect.TypeFor[time.Duration]():
				if !values[time.Duration(f.Int()).Seconds()] {
					t.Errorf("no metric has %s", name)
				}
			case f.Kind() == reflect.Int64 && h.IsValid():
				if !values[float64(f.Int()-h.Int())] {
					t.Errorf("no metric has %s", name)
				}
			case f.Kind() == reflect.Int64:
				if !values[float64(f.Int())] {
					t.Errorf("no metric has %s", name)
				}
			}
		}
	}
	check("", reflect.ValueOf(st), reflect.ValueOf(st.High))
	check("High.", reflect.ValueOf(st.High), reflect.Value{})

	for _, state := range []logsink.State{logsink.Retrying, logsink.Broken, logsink.Healthy} {
		st.State, st.DiskError = state, state.String()
		same(t, collect(t, reader, "x"), want(st))
	}
	if err := reg.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, reader, "x"); len(got) != 0 {
		t.Errorf("after Unregister: %v", got)
	}
}

// The metrics are there, and exact, while the destination takes nothing.
func TestRegister_during_a_freeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meter, reader := provider(t)
		frozen := logsinktest.NewFrozen(io.Discard)
		s, err := logsink.New(logsink.Options{Dest: frozen, MaxBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		other, err := logsink.New(logsink.Options{Dest: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		for name, sink := range map[string]*logsink.Sink{"main": s, "other": other} {
			if _, err := Register(meter, name, sink); err != nil {
				t.Fatal(err)
			}
		}
		for range 1000 {
			io.WriteString(s, strings.Repeat("x", 99)+"\n")
		}
		s.Lane(logsink.High).Write([]byte("bad\n"))
		time.Sleep(12 * time.Second)
		got := collect(t, reader, "main")
		same(t, got, want(s.Stats()))
		if got["logsink.stall.duration{}"] != 12 || got["logsink.record.dropped{logsink.drop.reason=full,logsink.lane=normal}"] == 0 {
			t.Errorf("%v", got)
		}
		same(t, collect(t, reader, "other"), want(other.Stats()))
		frozen.Release()
		if err := errors.Join(s.Close(), other.Close()); err != nil {
			t.Error(err)
		}
		same(t, collect(t, reader, "main"), want(s.Stats())) // still there after Close
	})
}

// In every collection attempted is delivered, dropped and queued together,
// whatever is written at that time.
func TestRegister_collects_one_snapshot(t *testing.T) {
	meter, reader := provider(t)
	s, err := logsink.New(logsink.Options{Dest: io.Discard, MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Register(meter, "x", s); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, lane := range []logsink.Priority{logsink.Normal, logsink.High} {
		wg.Go(func() {
			for w := s.Lane(lane); ; {
				select {
				case <-stop:
					return
				default:
					w.Write([]byte("line\n"))
				}
			}
		})
	}
	for range 200 {
		sums := map[string]float64{}
		for key, v := range collect(t, reader, "x") {
			name, rest, _ := strings.Cut(key, "{")
			lane := "normal"
			if strings.Contains(rest, "high") {
				lane = "high"
			}
			sums[lane+" "+name] += v
		}
		for _, lane := range []string{"normal", "high"} {
			if a, b := sums[lane+" logsink.record.attempted"], sums[lane+" logsink.record.delivered"]+sums[lane+" logsink.record.dropped"]+sums[lane+" logsink.queue.size"]; a != b {
				t.Errorf("%s: attempted %v, ended or queued %v", lane, a, b)
			}
		}
	}
	close(stop)
	wg.Wait()
	s.Close()
}

func TestRegister_kinds_and_units(t *testing.T) {
	meter, reader := provider(t)
	if _, err := register(meter, nil, func() logsink.Stats { return logsink.Stats{} }); err != nil {
		t.Fatal(err)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	units := []string{"{record}", "By", "s", "1", "{marker}", "{error}", "{panic}", "{event}"}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if !slices.Contains(units, m.Unit) || m.Description == "" || !strings.HasPrefix(m.Name, "logsink.") {
			t.Errorf("%s: unit %q, description %q", m.Name, m.Unit, m.Description)
		}
		sum, ok := m.Data.(metricdata.Sum[int64])
		level := strings.HasSuffix(m.Name, ".size") || strings.HasSuffix(m.Name, ".usage") || strings.HasSuffix(m.Name, "status")
		if ok && (sum.IsMonotonic == level || sum.Temporality != metricdata.CumulativeTemporality) {
			t.Errorf("%s: monotonic %v, %v", m.Name, sum.IsMonotonic, sum.Temporality)
		}
		if !ok && m.Name != "logsink.stall.duration" {
			t.Errorf("%s: %T", m.Name, m.Data)
		}
	}
}

func TestRegister_adds_attributes(t *testing.T) {
	meter, reader := provider(t)
	s, err := logsink.New(logsink.Options{Dest: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	attrs := make([]attribute.KeyValue, 1, 8) // with room, so that an append by Register would show
	attrs[0] = attribute.String("team", "a")
	if _, err := Register(meter, "x", s, attrs...); err != nil {
		t.Fatal(err)
	}
	for key := range collect(t, reader, "x") {
		if !strings.Contains(key, "team=a") {
			t.Error(key)
		}
	}
	if rest := attrs[:8]; rest[1].Valid() {
		t.Errorf("the caller's attributes were written to: %v", rest)
	}
}

// refusing is a meter that makes no instrument named bad, and no callback.
type refusing struct {
	metric.Meter
	bad string
}

var errRefused = errors.New("refused")

func (m refusing) Int64ObservableCounter(name string, o ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	if name == m.bad {
		return nil, errRefused
	}
	return m.Meter.Int64ObservableCounter(name, o...)
}

func (m refusing) RegisterCallback(f metric.Callback, all ...metric.Observable) (metric.Registration, error) {
	if m.bad == "callback" {
		return nil, errRefused
	}
	return m.Meter.RegisterCallback(f, all...)
}

func TestRegister_errors(t *testing.T) {
	meter, reader := provider(t)
	s, err := logsink.New(logsink.Options{Dest: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		meter metric.Meter
		name  string
		sink  *logsink.Sink
		attrs []attribute.KeyValue
		want  string
	}{
		{nil, "x", s, nil, "meter is nil"},
		{meter, "x", nil, nil, "sink is nil"},
		{meter, "", s, nil, "name is empty"},
		{meter, "x", s, []attribute.KeyValue{LaneKey.String("fast")}, `"logsink.lane" is set by this package`},
		{refusing{meter, "logsink.panics"}, "x", s, nil, "logsink.panics: refused"},
		{refusing{meter, "callback"}, "x", s, nil, "refused"},
	} {
		reg, err := Register(c.meter, c.name, c.sink, c.attrs...)
		if reg != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "logsinkotel: ") {
			t.Errorf("%v, %v; want an error with %q", reg, err, c.want)
		}
	}
	if got := collect(t, reader, "x"); len(got) != 0 {
		t.Errorf("registered in spite of errors: %v", got)
	}
}

func BenchmarkCollect(b *testing.B) {
	reader := sdk.NewManualReader()
	p := sdk.NewMeterProvider(sdk.WithReader(reader))
	s, err := logsink.New(logsink.Options{Dest: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if _, err := Register(p.Meter("bench"), "x", s); err != nil {
		b.Fatal(err)
	}
	var rm metricdata.ResourceMetrics
	for b.Loop() {
		if err := reader.Collect(b.Context(), &rm); err != nil {
			b.Fatal(err)
		}
	}
}

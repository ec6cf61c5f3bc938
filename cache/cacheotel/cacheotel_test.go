package cacheotel

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// reporter is what Stats is to return.
type reporter struct {
	st    cache.Stats
	calls int
}

func (r *reporter) Stats() cache.Stats { r.calls++; return r.st }

func provider(t *testing.T) (metric.Meter, *sdk.ManualReader) {
	t.Helper()
	reader := sdk.NewManualReader()
	p := sdk.NewMeterProvider(sdk.WithReader(reader))
	t.Cleanup(func() { _ = p.Shutdown(context.WithoutCancel(t.Context())) })
	return p.Meter("test"), reader
}

// points are those of a cache by name and attributes; it fails if one comes
// twice.
func points(t *testing.T, rm metricdata.ResourceMetrics, cacheName string) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	add := func(name string, set attribute.Set, value float64) {
		if v, _ := set.Value(NameKey); v.AsString() != cacheName {
			return
		}
		var attrs []string
		for _, kv := range set.ToSlice() {
			if kv.Key != NameKey {
				attrs = append(attrs, string(kv.Key)+"="+kv.Value.String())
			}
		}
		key := name + "{" + strings.Join(attrs, ",") + "}"
		if _, twice := got[key]; twice {
			t.Errorf("%s twice", key)
		}
		got[key] = value
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Unit == "" || m.Description == "" || !strings.HasPrefix(m.Name, "failopen.cache.") {
				t.Errorf("%s: unit %q, description %q", m.Name, m.Unit, m.Description)
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, float64(p.Value))
				}
				gauge := false
				for _, level := range []string{"status", "owed", "zombies", "local.size", "local.usage", "write.queued", "callback.stuck"} {
					gauge = gauge || strings.HasSuffix(m.Name, level)
				}
				if data.IsMonotonic == gauge {
					t.Errorf("%s: monotonic %v", m.Name, data.IsMonotonic)
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

func collect(t *testing.T, reader *sdk.ManualReader, cacheName string) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	return points(t, rm, cacheName)
}

// want is what Stats says, in points, written down a second time.
func want(s cache.Stats) map[string]float64 {
	w := map[string]float64{}
	for key, n := range map[string]int64{
		"lookup.ended{failopen.cache.result=local}":    s.Local,
		"lookup.ended{failopen.cache.result=remote}":   s.Remote,
		"lookup.ended{failopen.cache.result=origin}":   s.Origin,
		"lookup.ended{failopen.cache.result=stale}":    s.Stale,
		"lookup.ended{failopen.cache.result=failed}":   s.Failed,
		"lookup.ended{failopen.cache.result=canceled}": s.Canceled,
		"lookup.coalesced{}":                           s.Coalesced,
		"load.started{}":                               s.Loads,
		"load.early{}":                                 s.EarlyRefreshes,
		"load.errors{}":                                s.LoadErrors,
		"load.late{}":                                  s.LoadsLate,
		"load.queued{}":                                s.LoadsQueued,
		"load.busy{}":                                  s.LoadsBusy,
		"load.throttled{}":                             s.LoadsThrottled,
		"store.misses{}":                               s.Reads.Misses,
		"write.queued{}":                               s.WritesQueued,
		"write.dropped{}":                              s.WritesDropped,
		"ending.owed{}":                                s.Owed,
		"ending.lost{}":                                s.EndingsLost,
		"bulletin.posted{}":                            s.Bulletin.Posted,
		"bulletin.lost{}":                              s.Bulletin.Lost,
		"bulletin.looks{}":                             s.Bulletin.Looks,
		"bulletin.ended{}":                             s.Bulletin.Ended,
		"bulletin.distrust{}":                          s.Bulletin.Distrusted,
		"bulletin.faults{failopen.cache.op=read}":      s.Bulletin.LookFaults,
		"bulletin.faults{failopen.cache.op=write}":     s.Bulletin.PostFaults,
		"tag.reads{}":                                  s.TagReads,
		"item.poison{}":                                s.Poison,
		"item.outdated{}":                              s.Outdated,
		"item.rejected{}":                              s.Rejected,
		"zombies{}":                                    s.Zombies,
		"callback.panics{}":                            s.CallbackPanics,
		"callback.stuck{}":                             s.HooksStuck,
		"callback.dropped{}":                           s.EventsDropped,
		"local.size{}":                                 s.Entries,
		"local.usage{}":                                s.Bytes,
		"local.evicted{}":                              s.Evicted,
	} {
		w["failopen.cache."+key] = float64(n)
	}
	w["failopen.cache.ending.bound{}"] = s.Bound.Seconds()
	for op, d := range map[string]cache.StoreStats{"read": s.Reads, "write": s.Writes} {
		set := func(name string, n int64) { w["failopen.cache."+name+"{failopen.cache.op="+op+"}"] = float64(n) }
		set("store.calls", d.Calls)
		set("store.faults", d.Faults)
		set("store.late", d.Late)
		set("store.skipped", d.Skipped)
		set("breaker.opened", d.Opened)
		for _, state := range []string{"closed", "half-open", "open"} {
			n := 0.0
			if d.Breaker == state {
				n = 1
			}
			w["failopen.cache.breaker.status{failopen.cache.breaker.state="+state+",failopen.cache.op="+op+"}"] = n
		}
	}
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

// numbers calls f with every number below v.
func numbers(path string, v reflect.Value, f func(path string, v reflect.Value)) {
	for i := range v.NumField() {
		field, name := v.Field(i), path+v.Type().Field(i).Name
		switch {
		case field.Type() == reflect.TypeFor[time.Time]():
		case field.Kind() == reflect.Struct:
			numbers(name+".", field, f)
		case field.CanInt():
			f(name, field)
		}
	}
}

// A number that is new in Stats fails this test until there is a metric for it.
func TestRegister_shows_every_number_of_Stats(t *testing.T) {
	r := &reporter{}
	next := int64(1000)
	numbers("", reflect.ValueOf(&r.st).Elem(), func(_ string, v reflect.Value) { next++; v.SetInt(next) })
	meter, reader := provider(t)
	reg, err := Register(meter, "x", r)
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, reader, "x")
	same(t, got, want(r.st))
	if r.calls != 1 {
		t.Errorf("Stats was asked %d times in one collection", r.calls)
	}
	values := map[float64]bool{}
	for _, v := range got {
		values[v] = true
	}
	numbers("", reflect.ValueOf(r.st), func(path string, v reflect.Value) {
		n := float64(v.Int())
		if v.Type() == reflect.TypeFor[time.Duration]() {
			n = time.Duration(v.Int()).Seconds()
		}
		if !values[n] && path != "Writes.Misses" { // a write misses nothing
			t.Errorf("no metric has %s", path)
		}
	})
	for _, state := range []string{"open", "half-open", "closed", ""} {
		r.st.Reads.Breaker, r.st.Writes.Breaker = state, "closed"
		same(t, collect(t, reader, "x"), want(r.st))
	}
	if err := reg.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, reader, "x"); len(got) != 0 {
		t.Errorf("after Unregister: %v", got)
	}
}

// The outage of a store, as the metrics tell it.
func TestRegister_in_an_outage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meter, reader := provider(t)
		store := new(cachetest.Store)
		sessions, err := cache.New(cache.Options[string]{
			Name: "sessions", Store: store, TTL: time.Minute,
			Load: func(_ context.Context, key string) (string, error) { return "v" + key, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := cache.New(cache.Options[int]{
			TTL:  time.Minute,
			Load: func(context.Context, string) (int, error) { return 0, errors.New("no") },
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]cache.Reporter{"sessions": sessions, "plain": plain} {
			if _, err := Register(meter, name, c, attribute.String("team", "a")); err != nil {
				t.Fatal(err)
			}
		}
		store.Inject(cachetest.Fail(errors.New("access denied")))
		for i := range 100 {
			if _, err := sessions.Get(t.Context(), string(rune('a'+i))); err != nil {
				t.Fatal(err)
			}
			plain.Get(t.Context(), "k")
		}
		synctest.Wait()
		got := map[string]float64{}
		for key, v := range collect(t, reader, "sessions") {
			got[withoutTeam(key)] = v
		}
		same(t, got, want(sessions.Stats()))
		if got["failopen.cache.breaker.status{failopen.cache.breaker.state=open,failopen.cache.op=read}"] != 1 ||
			got["failopen.cache.lookup.ended{failopen.cache.result=origin}"] != 100 {
			t.Errorf("%v", got)
		}
		got = map[string]float64{}
		for key, v := range collect(t, reader, "plain") {
			got[withoutTeam(key)] = v
		}
		same(t, got, want(plain.Stats()))
		sessions.Close(t.Context())
		plain.Close(t.Context())
	})
}

func withoutTeam(key string) string {
	key = strings.Replace(key, ",team=a}", "}", 1)
	return strings.Replace(key, "{team=a}", "{}", 1)
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
	for _, c := range []struct {
		meter metric.Meter
		name  string
		cache cache.Reporter
		attrs []attribute.KeyValue
		want  string
	}{
		{nil, "x", &reporter{}, nil, "meter is nil"},
		{meter, "x", nil, nil, "cache is nil"},
		{meter, "", &reporter{}, nil, "name is empty"},
		{meter, "a\xff", &reporter{}, nil, `name "a\xff" is not UTF-8`},
		{meter, "x", &reporter{}, []attribute.KeyValue{OpKey.String("a")}, `"failopen.cache.op" is set by this package`},
		{refusing{meter, "failopen.cache.item.poison"}, "x", &reporter{}, nil, "failopen.cache.item.poison: refused"},
		{refusing{meter, "callback"}, "x", &reporter{}, nil, "refused"},
	} {
		reg, err := Register(c.meter, c.name, c.cache, c.attrs...)
		if reg != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "cacheotel: ") {
			t.Errorf("%v, %v; want an error with %q", reg, err, c.want)
		}
	}
	if got := collect(t, reader, "x"); len(got) != 0 {
		t.Errorf("registered in spite of errors: %v", got)
	}
}

// What panics must not end the goroutine that exports all metrics of a service,
// nor keep the others from being exported.
func TestRegister_contains_panics_of_a_reporter(t *testing.T) {
	meter, reader := provider(t)
	var none *cache.Cache[int]
	if _, err := Register(meter, "none", none); err != nil {
		t.Fatal(err)
	}
	ok := &reporter{}
	if _, err := Register(meter, "ok", ok); err != nil {
		t.Fatal(err)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err == nil || !strings.Contains(err.Error(), "cacheotel: Stats panicked") {
		t.Errorf("%v", err)
	}
	same(t, points(t, rm, "ok"), want(ok.st))
}

package healthotel_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthotel"
)

// collect returns the points of a collection by "name{check,state or result}".
func collect(t *testing.T, reader *sdk.ManualReader) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	points := make(map[string]float64)
	add := func(name string, set attribute.Set, v float64) {
		for _, key := range []attribute.Key{healthotel.NameKey, healthotel.StateKey, healthotel.ResultKey} {
			if value, ok := set.Value(key); ok {
				name += " " + value.AsString()
			}
		}
		points[name] = v
	}
	for _, scope := range all.ScopeMetrics {
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
				t.Errorf("%s: %T", m.Name, data)
			}
		}
	}
	return points
}

func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := sdk.NewManualReader()
		provider := sdk.NewMeterProvider(sdk.WithReader(reader))
		defer provider.Shutdown(context.Background())
		p := new(health.Process)
		reg, err := healthotel.Register(provider.Meter("test"), p, attribute.String("service", "shop"))
		if err != nil {
			t.Fatal(err)
		}
		for name, check := range map[string]func(context.Context) error{
			"ledger":   func(context.Context) error { <-time.After(250 * time.Millisecond); return nil },
			"sessions": func(context.Context) error { return errors.New("down") },
		} {
			if err := p.Depend(health.Dependency{Name: name, Check: check}); err != nil {
				t.Fatal(err)
			}
		}
		loop, err := p.Watch("loop", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		loop.Beat()
		before := collect(t, reader)
		if before["failopen.health.check.status ledger unknown"] != 1 || before["failopen.health.ready"] != 0 {
			t.Errorf("before Run: %v", before)
		}
		if _, ok := before["failopen.health.check.age ledger"]; ok {
			t.Error("a result that there is not has an age")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		p.Started()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		after := collect(t, reader)
		for name, want := range map[string]float64{
			"failopen.health.live": 1, "failopen.health.started": 1, "failopen.health.draining": 0, "failopen.health.out": 0,
			"failopen.health.check.duration ledger": 0.25, "failopen.health.check.failure.ratio sessions": 1,
			"failopen.health.watch.silence loop": 300, "failopen.health.watch.waiters loop": 0,
			"failopen.health.check.status sessions pass": 0, "failopen.health.check.results ledger fail": 0, "failopen.health.check.hung ledger": 0,
		} {
			if got, ok := after[name]; !ok || got != want {
				t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
			}
		}
		if after["failopen.health.check.results ledger pass"] < 20 || after["failopen.health.check.results sessions fail"] < 20 {
			t.Errorf("results: %v", after)
		}
		if err := reg.Unregister(); err != nil {
			t.Error(err)
		}
		if left := collect(t, reader); len(left) > 0 {
			t.Errorf("after Unregister: %v", left)
		}
		<-time.After(time.Second) // virtual: Run may have ended while the ledger was asked
	})
}

func TestRegister_refuses(t *testing.T) {
	meter := noop.NewMeterProvider().Meter("test")
	p := new(health.Process)
	if _, err := healthotel.Register(nil, p); err == nil {
		t.Error("no meter")
	}
	if _, err := healthotel.Register(meter, nil); err == nil {
		t.Error("no process")
	}
	if _, err := healthotel.Register(meter, p, healthotel.NameKey.String("x")); err == nil {
		t.Error("an attribute of this package")
	}
}

func ExampleRegister() {
	// A service has a provider with a periodic reader and an exporter.
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer provider.Shutdown(context.Background())

	var p health.Process
	if _, err := healthotel.Register(provider.Meter("example.com/service"), &p); err != nil {
		fmt.Println(err)
	}
	p.Started()

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		fmt.Println(err)
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if m.Name == "failopen.health.ready" {
			fmt.Println(m.Name, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		}
	}
	// Output: failopen.health.ready 1
}

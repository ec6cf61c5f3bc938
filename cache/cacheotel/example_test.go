package cacheotel_test

import (
	"context"
	"fmt"
	"log"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cacheotel"
)

func ExampleRegister() {
	// A service has a provider with a periodic reader and an exporter.
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	ctx := context.Background()
	defer provider.Shutdown(ctx)

	sessions, err := cache.New(cache.Options[string]{
		TTL:  time.Minute,
		Load: func(context.Context, string) (string, error) { return "ada", nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close(ctx)
	if _, err := cacheotel.Register(provider.Meter("example.com/service"), "sessions", sessions); err != nil {
		log.Fatal(err)
	}

	for range 3 {
		sessions.Get(ctx, "token")
	}

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &collected); err != nil {
		log.Fatal(err)
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if m.Name != "failopen.cache.lookup.ended" {
			continue
		}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			if result, _ := p.Attributes.Value(cacheotel.ResultKey); p.Value > 0 {
				fmt.Println(result.AsString(), p.Value)
			}
		}
	}
	// Unordered output:
	// origin 1
	// local 2
}

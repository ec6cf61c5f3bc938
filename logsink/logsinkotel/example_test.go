package logsinkotel_test

import (
	"context"
	"fmt"
	"io"
	"log"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/logsinkotel"
)

func ExampleRegister() {
	// A service has a provider with a periodic reader and an exporter.
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer provider.Shutdown(context.Background())

	sink, err := logsink.New(logsink.Options{Dest: io.Discard})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := logsinkotel.Register(provider.Meter("example.com/service"), "app", sink); err != nil {
		log.Fatal(err)
	}

	fmt.Fprintln(sink, "the service starts")
	sink.Close()

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		log.Fatal(err)
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if m.Name != "logsink.record.delivered" {
			continue
		}
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			if lane, _ := p.Attributes.Value(logsinkotel.LaneKey); lane.AsString() == "normal" {
				fmt.Println(m.Name, p.Value, m.Unit)
			}
		}
	}
	// Output: logsink.record.delivered 1 {record}
}

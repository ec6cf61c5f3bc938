// Package health_test measures the answer to a probe beside the peers. In
// docs/benchmarks:
//
//	go test ./health -run '^$' -bench . -count 10 | tee health/results/serve.txt
package health_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	alexliesenfeld "github.com/alexliesenfeld/health"
	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthgo"
)

// checks is how many there are: watches for liveness, dependencies for the
// peers, which know nothing else.
const checks = 10

func well(context.Context) error { return nil }

// process is one with watches that beat and dependencies that are known.
func process(tb testing.TB) *health.Process {
	tb.Helper()
	p := new(health.Process)
	for i := range checks {
		w, err := p.Watch(fmt.Sprint("loop ", i), time.Hour)
		if err != nil {
			tb.Fatal(err)
		}
		w.Beat()
		if err := p.Depend(health.Dependency{Name: fmt.Sprint("dependency ", i), Check: well}); err != nil {
			tb.Fatal(err)
		}
	}
	p.Started()
	return p
}

func healthGo(tb testing.TB) http.Handler {
	tb.Helper()
	var options []hellofresh.Option
	for i := range checks {
		options = append(options, hellofresh.WithChecks(hellofresh.Config{Name: fmt.Sprint("dependency ", i), Check: well}))
	}
	h, err := hellofresh.New(options...)
	if err != nil {
		tb.Fatal(err)
	}
	return h.Handler()
}

func alex(cached bool) http.Handler {
	options := []alexliesenfeld.CheckerOption{}
	if !cached {
		options = append(options, alexliesenfeld.WithDisabledCache())
	}
	for i := range checks {
		options = append(options, alexliesenfeld.WithCheck(alexliesenfeld.Check{Name: fmt.Sprint("dependency ", i), Timeout: time.Second, Check: well}))
	}
	return alexliesenfeld.NewHandler(alexliesenfeld.NewChecker(options...))
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkServeLive(b *testing.B) {
	p := process(b)
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{
		{"10-watches/failopen", http.HandlerFunc(p.ServeLive)},
		{"10-checks/failopen-ready", http.HandlerFunc(p.ServeReady)},
		{"10-checks/failopen-report", http.HandlerFunc(p.ServeReport)},
		{"10-checks/failopen-healthgo", healthgo.Handler(p, hellofresh.Component{Name: "shop"})},
		{"10-checks/health-go", healthGo(b)},
		{"10-checks/alexliesenfeld", alex(false)},
		{"10-checks/alexliesenfeld-cached", alex(true)},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, w := httptest.NewRequest(http.MethodGet, "/livez", nil), discard{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				c.handler.ServeHTTP(w, r)
			}
		})
	}
}

package healthprom_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthprom"
)

func process(t testing.TB) *health.Process {
	t.Helper()
	p := new(health.Process)
	if _, err := p.Watch("loop", time.Minute); err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func(context.Context) error{
		"ledger": func(context.Context) error { return nil },
		`"od\d`:  func(context.Context) error { return errors.New("down") },
	} {
		if err := p.Depend(health.Dependency{Name: name, Check: check}); err != nil {
			t.Fatal(err)
		}
	}
	p.Started()
	return p
}

func TestCollector(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := healthprom.NewCollector(process(t))
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	const want = `
# HELP health_check 1: pass, 0: fail, -1: not known.
# TYPE health_check gauge
health_check{check="\"od\\d",type="dependency"} -1
health_check{check="ledger",type="dependency"} -1
health_check{check="loop",type="watch"} 1
# HELP health_ready Whether the process should get traffic.
# TYPE health_ready gauge
health_ready 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "health_check", "health_ready"); err != nil {
		t.Error(err)
	}
	if err := registry.Register(healthprom.NewCollector(nil)); err == nil {
		t.Error("two collectors without labels were taken")
	}
	none := prometheus.NewRegistry()
	none.MustRegister(healthprom.NewCollector(nil))
	if _, err := none.Gather(); err == nil {
		t.Error("a process that is nil is no error")
	}
}

// What /metricsz writes and what the collector gives have the same names, help
// texts, types and labels, and client_golang's parser takes the page.
func TestCollector_is_what_the_page_shows(t *testing.T) {
	p := process(t)
	r := httptest.NewRequest("GET", "/metricsz", nil)
	r.Header.Set("Accept", "text/plain")
	w := httptest.NewRecorder()
	p.ServeMetrics(w, r)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	page, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(healthprom.NewCollector(p))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		there := page[f.GetName()]
		if there == nil || there.GetHelp() != f.GetHelp() || there.GetType() != f.GetType() || len(there.Metric) != len(f.Metric) {
			t.Errorf("%s: the page has %v, the collector %v", f.GetName(), there, f)
		}
		delete(page, f.GetName())
	}
	rest := slices.Sorted(maps.Keys(page))
	if want := []string{"health_callback_panics_total", "health_log_records_lost_total"}; !slices.Equal(rest, want) {
		t.Errorf("only the page has %q, want %q", rest, want)
	}
}

func ExampleNewCollector() {
	var p health.Process
	p.Started()
	registry := prometheus.NewRegistry()
	registry.MustRegister(healthprom.NewCollector(&p))
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range families {
		if f.GetName() == "health_ready" {
			fmt.Println(f.GetName(), f.Metric[0].Gauge.GetValue())
		}
	}
	// Output: health_ready 1
}

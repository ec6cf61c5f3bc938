package drift_test

import (
	"bytes"
	"testing"

	"github.com/failopen/failopen/depgraph/drift"
	"github.com/failopen/failopen/depgraph/observe"
)

// TestCollector_reads_what_observe_writes goes from a service's own calls to a
// finding.
func TestCollector_reads_what_observe_writes(t *testing.T) {
	rec, err := observe.New(observe.Options{Service: "web", Names: map[string]string{"ads.internal": "ads"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		ctx, end := rec.Begin(t.Context())
		down := i%10 == 0
		rec.Start(ctx, "ads.internal:443").Done(down)
		rec.Start(ctx, "db:5432").Done(false)
		end(down)
	}
	var b bytes.Buffer
	if _, err := rec.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	o := seen(t, "web.json", b.String())
	same(t, "recorded", edges(o), "web -> ads call 100/10 p10 f90", "web -> db call 100/0 f90 o10")
	g := graphOf(t, "service: web\ndepends: [{on: ads, soft: true}, {on: db}]\n---\nservice: ads\n---\nservice: db\n")
	r := drift.Compare(g, o, drift.Options{})
	if len(r.Findings) != 1 || r.Findings[0].Rule != "DG019" || r.Dependencies[0].Requests != 100 {
		t.Errorf("%+v", r.Findings)
	}
}

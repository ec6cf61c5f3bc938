package drill_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph/drill"
)

// FuzzParseReport: a journal that somebody edited is refused, or can be shown in all
// forms: the picture is XML, and the journal reads back as it was written.
func FuzzParseReport(f *testing.F) {
	seed := []byte(`{"version":1,"title":"t","service":"web","dependency":"db","began":"2026-01-02T03:04:05Z","seconds":9.5,"verdict":"held","reasons":["a"],"fault_observed":true,"budget_ms":50,"least_success":1,
"phases":[{"name":"steady","from_s":0,"until_s":3,"requests":9,"success":1,"p50_ms":1,"p99_ms":2,"max_ms":3,"sources":{"cache":9}},{"name":"watch","from_s":3,"until_s":6,"requests":9,"success":1,"errors":{"x":1}},{"name":"recovery","from_s":6,"until_s":9}],
"invariants":[{"name":"served","held":true}],"fault":{"name":"down","from_s":3,"until_s":6,"hits":4,"first_hit_s":3.1,"last_hit_s":5.9,"first_success_s":6.1,"recovered_s":7},
"timeline":[{"at_s":1,"phase":"steady","asked":3,"ok":3,"p50_ms":1,"max_ms":1e9},{"at_s":4,"phase":"watch","asked":5,"ok":1,"wrong":1,"slow":1,"failed":1,"excused":1,"p50_ms":1e308,"max_ms":9,"error":"x < y"}],"environment":{"cpus":2},"numbers":{"n":1}}`)
	if _, err := drill.ParseReport(seed); err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := drill.ParseReport(data)
		if err != nil {
			return
		}
		text, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := drill.ParseReport(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if back, err := again.JSON(); err != nil || !bytes.Equal(back, text) {
			t.Errorf("%v\n%s\nreads back as\n%s", err, text, back)
		}
		if r.Sentence() == "" || r.Markdown() == "" {
			t.Errorf("%s says nothing", text)
		}
		if _, err := r.HTML(); err != nil {
			t.Error(err)
		}
		picture := r.SVG()
		if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
			t.Errorf("a place that is no number:\n%s\n%s", text, picture)
		}
		for d := xml.NewDecoder(strings.NewReader(picture)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v\n%s", err, picture)
			}
		}
		_, _ = r.Proof()
	})
}

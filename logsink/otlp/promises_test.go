package otlp

import (
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	d, err := New(Options{URL: "http://localhost:4318/v1/logs"})
	if err != nil {
		t.Fatal(err)
	}
	if o := d.opt; o.MaxBytes != 512<<10 || o.MaxRecord != 1<<20 || o.Timeout != 5*time.Second {
		t.Errorf("defaults: %+v", o)
	}
	high, normal := d.opt.Severity(logsink.Record{Priority: logsink.High}), d.opt.Severity(logsink.Record{})
	if high != 13 || normal != 9 {
		t.Errorf("severities %d and %d", high, normal)
	}
}

package peers

import (
	"testing"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	f, err := New(Options{ID: "a", Name: "peers.internal", Port: 8080})
	if err != nil {
		t.Fatal(err)
	}
	if o := f.opts; o.Period != 5*time.Second || o.Most != 32 || o.Timeout != time.Second {
		t.Errorf("defaults: %+v", o)
	}
}

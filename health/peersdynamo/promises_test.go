package peersdynamo

import (
	"testing"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	f, err := New(struct{ API }{}, Options{ID: "a", Fleet: "f", Table: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if o := f.opts; o.Period != 10*time.Second || o.Most != 32 || o.Timeout != time.Second || o.Keep != time.Hour {
		t.Errorf("defaults: %+v", o)
	}
}

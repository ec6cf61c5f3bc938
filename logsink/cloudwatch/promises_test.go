package cloudwatch

import (
	"testing"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	good := Options{Client: struct{ Client }{}, Group: "g", Stream: "s"}
	d, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if o := d.opt; o.MaxEvent != 1_048_550 || o.Timeout != 5*time.Second || o.PauseMin != 200*time.Millisecond || o.PauseMax != 60*time.Second {
		t.Errorf("defaults: %+v", o)
	}
	for n, ok := range map[int]bool{1_048_550: true, 1_048_551: false, 262_118: true} {
		good.MaxEvent = n
		if _, err := New(good); (err == nil) != ok {
			t.Errorf("MaxEvent %d: %v", n, err)
		}
	}
}

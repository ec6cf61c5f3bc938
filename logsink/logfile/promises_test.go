package logfile

import (
	"testing"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	f, err := New(Options{Path: "unused"})
	if err != nil {
		t.Fatal(err)
	}
	if o := f.opt; o.Mode != 0o640 || o.CheckEvery != time.Second || o.Keep != 5 || o.MaxBytes != 0 {
		t.Errorf("defaults: %+v", o)
	}
}

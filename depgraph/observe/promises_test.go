package observe

import (
	"fmt"
	"testing"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	r, err := New(Options{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for i := range 1200 {
		if r.edge(fmt.Sprint("host", i)) != nil {
			kept++
		}
	}
	if kept != 1000 {
		t.Errorf("%d addresses are kept", kept)
	}
}

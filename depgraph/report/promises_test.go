package report

import "testing"

// What the comments of options promise in numbers, literally.
// .ci/mutants.txt changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	if defaultMaxAvailability != 300 || defaultWidth != 100 {
		t.Errorf("availability of %d services, %d characters a line", defaultMaxAvailability, defaultWidth)
	}
	if MaxSARIFResults != 5000 { // GitHub shows no more
		t.Errorf("SARIF has up to %d results", MaxSARIFResults)
	}
}

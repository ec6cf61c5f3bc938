package main

import (
	"os"
	"testing"
	"time"
)

// TestMain lets the test's program be the probed process, too.
func TestMain(m *testing.M) {
	for i, arg := range os.Args {
		if arg == "-serve" {
			if err := be(os.Args[i+1]); err != nil {
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func TestStorm(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, all := range map[string]bool{"failopen, /livez": true, "failopen, /reportz": true, "health-go": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := storm(self, name, 100, 2*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if r.sent != 200 || (r.answered == r.sent) != all {
				t.Errorf("%d of %d probes were answered", r.answered, r.sent)
			}
			if all && r.goroutines > 10 {
				t.Errorf("%d goroutines more than before the storm, want 10 at most", r.goroutines)
			}
		})
	}
}

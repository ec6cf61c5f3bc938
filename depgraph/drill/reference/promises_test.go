package reference

import (
	"testing"
	"testing/synctest"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(t.Context())
		if o := s.opts; o.Cooldown != 500*time.Millisecond || o.Probe != 10*time.Second {
			t.Errorf("defaults: %+v", o)
		}
	})
}

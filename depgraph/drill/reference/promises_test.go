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

// A duration that a ticker or a cache would not take is refused before anything starts.
func TestNew_refuses_negative_durations(t *testing.T) {
	for _, o := range []Options{{Probe: -1}, {Cooldown: -time.Second}} {
		if s, err := New(t.Context(), o); err == nil || s != nil {
			t.Errorf("%+v: %v, %v", o, s, err)
		}
	}
}

package reference

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLogTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		still := time.Duration(0) // how long the machine stood still in the longest
		l := logTimes{stood: func(from, until time.Time) time.Duration {
			if !from.Equal(began) || until.Sub(from) != 300*time.Millisecond {
				return 0
			}
			return still
		}}
		l.add(began, began.Add(worthALook-1))
		for range 2 * keepSlow {
			l.add(began, began.Add(worthALook))
		}
		l.add(began, began.Add(300*time.Millisecond))
		for range 2 * keepSlow {
			l.add(began, began.Add(worthALook))
		}
		time.Sleep(300 * time.Millisecond)
		if d := l.longest(); d != worthALook {
			t.Errorf("just after the slowest ended: %v, want %v", d, worthALook)
		}
		time.Sleep(settled)
		if d := l.longest(); d != 300*time.Millisecond {
			t.Errorf("the slowest is %v, want 300ms", d)
		}
		still = 250 * time.Millisecond
		if d := l.longest(); d != 50*time.Millisecond {
			t.Errorf("with a stall of 250 ms in it: %v, want 50ms", d)
		}
		if len(l.slow) != keepSlow {
			t.Errorf("%d are kept, want %d", len(l.slow), keepSlow)
		}
	})
}

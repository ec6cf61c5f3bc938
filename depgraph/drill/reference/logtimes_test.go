package reference

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLogTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l logTimes
		began := time.Now()
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
		if len(l.slow) != keepSlow {
			t.Errorf("%d are kept, want %d", len(l.slow), keepSlow)
		}
	})
}

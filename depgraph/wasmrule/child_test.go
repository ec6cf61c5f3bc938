package wasmrule

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatch is about a parent that is killed: the child must not run on until
// the deadline of its rule.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parent atomic.Int64
		parent.Store(7)
		gone := make(chan time.Time, 1)
		begin := time.Now()
		go watch(func() int { return int(parent.Load()) }, func() { gone <- time.Now() })
		time.Sleep(time.Minute)
		select {
		case at := <-gone:
			t.Fatalf("it ended after %s, with its parent alive", at.Sub(begin))
		default:
		}
		parent.Store(1)
		if took := (<-gone).Sub(begin) - time.Minute; took > time.Second {
			t.Errorf("it ran on for %s", took)
		}
	})
}

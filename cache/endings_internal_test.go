package cache

import (
	"fmt"
	"testing"
	"time"
)

// What an ending ended stays over when there is no room for the ending: also a
// value of the very same version, unless that is the one that was set.
func TestEndings_lost(t *testing.T) {
	for _, bySet := range []bool{false, true} {
		for _, state := range []endingState{told, owed} {
			o := newEndings(time.Hour, func() int64 { return 0 }, func() {})
			o.closing = true // no timer
			o.limit = 3 * endingOverhead
			o.add(1, "", 100, state, bySet)
			for i := range uint64(10) {
				o.add(2+i, fmt.Sprint(i), 50, owed, false)
			}
			if o.byHash[1] != nil && state == told {
				t.Fatal("there was room: this proves nothing")
			}
			if !o.has(1, 99, kindValue) {
				t.Errorf("bySet %v: an older value is not over", bySet)
			}
			if got := o.has(1, 100, kindValue); got == bySet {
				t.Errorf("bySet %v, state %v: over is %v for the value of that version", bySet, state, got)
			}
		}
	}
}

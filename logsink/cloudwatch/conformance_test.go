package cloudwatch

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink/batchtest"
)

func TestDest_conforms(t *testing.T) {
	batchtest.TestBatchDest(t, func(t *testing.T) batchtest.Subject {
		e, c := newEndpoint(t)
		d, err := New(Options{Client: c, Group: "g", Stream: "s", PauseMin: time.Millisecond, PauseMax: 5 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		up := make(chan struct{})
		return batchtest.Subject{
			Dest:    d,
			Longest: maxMessage,
			Arrived: func() (got []string) {
				e.set(func() { got = slices.Clone(e.messages) })
				return got
			},
			Down: func() {
				e.set(func() {
					e.fault = func(_ string, w http.ResponseWriter) bool { return fail(w, 503, "ServiceUnavailableException") }
				})
			},
			Up: func() {
				e.set(func() {
					if e.fault = nil; e.hang != nil {
						close(up)
						e.hang = nil
					}
				})
			},
			Hang: func() { e.set(func() { e.hang = up }) },
		}
	})
}

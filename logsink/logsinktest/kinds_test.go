package logsinktest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// Every kind keeps a line from arriving at once and whole.
func TestNewBroken(t *testing.T) {
	const line = "a line of more than ten bytes\n"
	for _, kind := range logsinktest.Kinds() {
		synctest.Test(t, func(t *testing.T) {
			to := new(logsinktest.Recorder)
			w := logsinktest.NewBroken(kind, to)
			began, panicked := time.Now(), false
			done := make(chan error, 1)
			go func() {
				var err error
				defer func() {
					panicked = recover() != nil
					done <- err
				}()
				_, err = w.Write([]byte(line))
			}()
			synctest.Wait()
			stuck := len(done) == 0
			if frozen, ok := w.(*logsinktest.Frozen); ok {
				frozen.Release()
			}
			err := <-done
			if whole := err == nil && !panicked && !stuck && time.Since(began) == 0; whole {
				t.Errorf("%s: nothing happened", kind)
			}
		})
	}
}

func TestNewBroken_unknown_kind(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a misspelt kind breaks nothing, in silence")
		}
	}()
	logsinktest.NewBroken("deef", nil)
}

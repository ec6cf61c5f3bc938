package logsinktest

import (
	"testing"
	"time"
)

// SetPatience has wrappers that are expected to block given up sooner, until the end of
// the test, which must not run beside others.
func SetPatience(t *testing.T, d time.Duration) {
	was := patience
	patience = d
	t.Cleanup(func() { patience = was })
}

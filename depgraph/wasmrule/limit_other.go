//go:build !linux

package wasmrule

import "time"

// limitProcess does nothing here: the memory of the rule itself is bounded by
// the runtime, and time by the parent.
func limitProcess(int64, time.Duration) {}

//go:build !linux

package wasmrule

import (
	"os/exec"
	"time"
)

// tie does nothing here: the child looks itself whether its parent is there.
func tie(*exec.Cmd) (untie func()) { return func() {} }

// limitProcess does nothing here: the memory of the rule itself is bounded by
// the runtime, and time by the parent.
func limitProcess(int64, time.Duration) {}

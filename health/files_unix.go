//go:build unix

package health

import (
	"os"
	"syscall"
)

// openFiles returns how many files are open, and how many may be; 0 for what
// is not known.
func openFiles() (used, limit float64) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0
	}
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0, 0
	}
	return float64(len(entries) - 1), float64(r.Cur)
}

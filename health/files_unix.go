//go:build unix

package health

import (
	"errors"
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
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return float64(r.Cur), float64(r.Cur) // not one is left to look with
	}
	if err != nil {
		return 0, 0
	}
	return float64(len(entries) - 1), float64(r.Cur)
}

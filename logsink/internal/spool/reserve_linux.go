package spool

import (
	"os"
	"syscall"
)

// reserve has the file system keep n bytes for f, whose length stays. Where it cannot,
// they are taken when they are written.
func reserve(f *os.File, n int64) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	const keepSize = 1
	conn.Control(func(fd uintptr) { syscall.Fallocate(int(fd), keepSize, 0, n) }) //nolint:errcheck // see above
}

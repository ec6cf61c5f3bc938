//go:build unix && !solaris && !illumos && !aix && !netbsd && !openbsd

package main

import "syscall"

// freeSpace is how much a user may still write to the disk of a file.
//
// Bavail is what is left for users other than root; the blocks' size times
// their number fits 63 bits on any disk that there is.
func freeSpace(path string) (bytes int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}

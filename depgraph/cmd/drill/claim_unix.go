//go:build unix && !solaris && !illumos && !aix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// claim keeps a second drill proxy out of a folder, in which it would replace the
// token and the certificates that this one's clients need. The system lets go of
// it when the process ends, however it ends.
//
// The lock is on the folder itself (flock), so that there is no file to be
// left.
func claim(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	release = func() { _ = d.Close() } // nothing was written to it
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		release()
		if err == syscall.EWOULDBLOCK {
			return nil, fmt.Errorf("--dir: another drill proxy uses %s", dir)
		}
		return func() {}, nil // a file system without locks
	}
	return release, nil
}

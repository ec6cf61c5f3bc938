//go:build unix && !solaris && !illumos && !aix

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// openRoot opens a directory that only this user can write to.
//
// It looks, opens, and looks whether that is the same one: a link that somebody puts there
// in between is found out. From then on names are looked up below the root alone.
func openRoot(dir string, create bool) (*os.Root, error) {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if err := Private(info, os.ModeDir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	now, err := root.Stat(".")
	if err == nil && !os.SameFile(info, now) {
		err = errors.New("it was exchanged while it was opened")
	}
	if err != nil {
		root.Close() //nolint:errcheck // the error is told
		return nil, err
	}
	return root, nil
}

// Private refuses what is not of the wanted kind, is someone else's, or can be
// written by others. A symbolic link is none of our business either.
func Private(info os.FileInfo, kind os.FileMode) error {
	if got := info.Mode().Type(); got != kind {
		return fmt.Errorf("it is %s, and must be %s", kindName(got), kindName(kind))
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d, and this process runs as user %d: name one below it, which will be made", st.Uid, os.Geteuid())
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("others can write to it (mode %#o): take their right away, or name one below it, which will be made", perm)
	}
	return nil
}

// kindName says what a file is that should have been another kind of file.
func kindName(m os.FileMode) string {
	switch m {
	case os.ModeDir:
		return "a directory"
	case 0:
		return "a regular file"
	case os.ModeSymlink:
		return "a symbolic link"
	}
	return "a special file"
}

// lockIn takes the directory for this process alone.
// The lock goes with the file, and so with the process, however it ends.
func lockIn(root *os.Root) (*os.File, error) {
	if info, err := root.Lstat(LockName); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is %s, and must be a regular file", filepath.Join(root.Name(), LockName), kindName(info.Mode().Type()))
	}
	f, err := root.OpenFile(LockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := Flock(f); err != nil {
		f.Close() //nolint:errcheck // the error is told
		return nil, err
	}
	return f, nil
}

// Flock locks f, or returns ErrLocked.
// It does not wait. Two descriptors of one process exclude each other as well.
func Flock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	control := conn.Control(func(fd uintptr) {
		err = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return errors.Join(control, err)
}

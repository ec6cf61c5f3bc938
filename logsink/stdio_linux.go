package logsink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// reopen opens the pipe behind f a second time, with a description of its own
// that is non-blocking and has deadlines.
func reopen(f *os.File) (*os.File, error) {
	// A file that has a position is no pipe, and must not be asked for more: its
	// disk may hang.
	if _, err := f.Seek(0, io.SeekCurrent); err == nil {
		return nil, errors.New("logsink: not a pipe")
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeNamedPipe == 0 {
		return nil, errors.New("logsink: not a pipe")
	}
	conn, err := f.SyscallConn() // Fd would make a non-blocking f blocking
	if err != nil {
		return nil, err
	}
	fd := -1
	control := conn.Control(func(n uintptr) {
		fd, err = syscall.Open(fmt.Sprintf("/proc/self/fd/%d", n), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err = errors.Join(control, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

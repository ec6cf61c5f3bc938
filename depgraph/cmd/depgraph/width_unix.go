//go:build linux || darwin

package main

import (
	"io"
	"os"
	"syscall"
	"unsafe"
)

// terminalWidth asks the terminal for its columns; zero if it does not say, or
// says less than 40, which no report fits. The call is a system call of its own
// since the standard library has none, and golang.org/x/term would be a module
// for ten lines.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 || size.columns < 40 {
		return 0
	}
	return int(size.columns)
}

package main

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// A terminal has a group of processes in its foreground: the one that reads from it,
// and that Ctrl-C and Ctrl-Z are for. The program that we run is a group of its own,
// see settings.run, and so the shell behind us knows nothing of it: what the shell
// does to us we do to the program.

// hasTerminal reports whether f is our terminal and we are the group that reads
// from it: in the background it belongs to another program, such as the shell.
func hasTerminal(f *os.File) bool {
	var group int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return errno == 0 && int(group) == syscall.Getpgrp()
}

// giveTerminal puts a group into the foreground of f.
// Without a terminal it does nothing.
func giveTerminal(f *os.File, group int) {
	signal.Ignore(syscall.SIGTTOU) // or who is in the background is stopped for asking
	to := int32(group)
	syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&to))) //nolint:errcheck // then it stays where it is
}

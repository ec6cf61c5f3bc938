package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// dieOf ends this process by a signal, as the program ended, so that a shell or
// a supervisor sees what it would have seen. Process 1 cannot, and goes on. A
// second core dump is of no use.
//
// It returns if the signal did not end us: process 1 has no default action, and some signals
// are ignored by default. The caller then exits with 128 and the number.
func dieOf(sig syscall.Signal) {
	// The program has left a core of its own, if it was to; ours would hide it.
	syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) //nolint:errcheck // then there are two
	// The runtime has handlers for most signals; signal.Reset gives the signal
	// back to those. The kernel's own answer is asked for past it.
	var action [8]uintptr // struct sigaction of zeros: SIG_DFL
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	if os.Getpid() == 1 {
		return
	}
	if syscall.Kill(os.Getpid(), sig) == nil {
		time.Sleep(time.Second) // another thread may get it, in a moment
	}
}

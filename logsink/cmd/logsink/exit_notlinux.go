//go:build unix && !linux

package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// dieOf ends this process by a signal, as the program ended.
func dieOf(sig syscall.Signal) {
	signal.Reset(sig)
	if os.Getpid() == 1 {
		return
	}
	if syscall.Kill(os.Getpid(), sig) == nil {
		time.Sleep(time.Second) // another thread may get it, in a moment
	}
}

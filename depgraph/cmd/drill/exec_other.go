//go:build !linux

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// passedOn are the signals that the program gets, too.
var passedOn = []os.Signal{os.Interrupt, syscall.SIGTERM}

// dieWithParent can be had on Linux only.
func dieWithParent(*exec.Cmd) {}

// insideVerb is refused by inside, which no program calls here.
const insideVerb = "__inside-private-resolv-conf"

// isolate does nothing without --dns, and with it says what is missing.
// Elsewhere one process cannot see another file in the place of
// /etc/resolv.conf; see exec_linux.go for what that takes.
func (d *dnsOptions) isolate(*exec.Cmd, io.Writer) (stop func() int64, err error) {
	if d.how == "" {
		return func() int64 { return 0 }, nil
	}
	return nil, errors.New("exec: --dns needs a mount namespace, and so Linux")
}

// inside is for the process that isolate starts on Linux.
func inside([]string) error { return errors.New("this needs Linux") }

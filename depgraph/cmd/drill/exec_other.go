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

const insideVerb = "__inside-private-resolv-conf"

func (d *dnsOptions) isolate(*exec.Cmd, io.Writer) (stop func() int64, err error) {
	if d.how == "" {
		return func() int64 { return 0 }, nil
	}
	return nil, errors.New("exec: --dns needs a mount namespace, and so Linux")
}

func inside([]string) error { return errors.New("this needs Linux") }

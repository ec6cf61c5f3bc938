package main

import (
	"os"
	"testing"
	"testing/synctest"
)

// inVirtualTime runs f in a bubble of testing/synctest, which only a test can
// have, so that f is run as one. The bubble ends with the process: f's error
// decides the exit code, and nothing after the call runs.
func inVirtualTime(f func() error) error {
	testing.Init()
	os.Args = os.Args[:1] // the testing package would read the rest
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "virtual", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			c := &command{stdout: os.Stdout, stderr: os.Stderr}
			os.Exit(c.code(f()))
		})
	}}}, nil, nil)
	return nil // testing.Main does not return
}

package sim

import (
	"os"
	"testing"
	"testing/synctest"
)

// Main calls f in virtual time and ends the program with f's exit code. Virtual
// time is the business of testing/synctest, which works in a test only; so f
// is run as one. Parse flags before. What f is to wait for in real time must
// be made outside, before Main.
func Main(f func() int) {
	testing.Init()
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "virtual", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) { os.Exit(f()) })
	}}}, nil, nil)
}

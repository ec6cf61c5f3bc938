package sim

import (
	"errors"
	"flag"
	"os"
	"testing"
	"testing/synctest"
)

// ErrVirtual is returned by Virtual if f did not return.
var ErrVirtual = errors.New("sim: the simulation did not come to its end")

// Virtual calls f in virtual time, in a program. Time is the business of
// testing/synctest, which works in a test only; so f is run as one. Whatever f
// may wait for in real time has to be made outside.
func Virtual(f func() error) error {
	result := ErrVirtual
	flags := flag.CommandLine // the flags of tests are no concern of the program's
	flag.CommandLine = flag.NewFlagSet(os.Args[0], flag.ContinueOnError)
	testing.Init()
	err := flag.CommandLine.Parse(nil)
	flag.CommandLine = flags
	if err != nil {
		return err
	}
	all := func(string, string) (bool, error) { return true, nil }
	testing.RunTests(all, []testing.InternalTest{{Name: "virtual", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) { result = f() })
	}}})
	return result
}

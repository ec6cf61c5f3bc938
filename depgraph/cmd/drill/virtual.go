package main

import (
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
)

// Virtual time is that of testing/synctest: inside of a bubble time.Now is a
// clock that jumps to the next timer as soon as every goroutine of the bubble
// waits. So seven hours of an outage take as long as the work in them. Three
// consequences shape this file and its callers. A bubble can be had in a test
// only, so each run is one, started through package testing in a program that
// is none. Package testing ends the process, so the verb's exit code is given
// to os.Exit from within. And channels and contexts from outside a bubble must
// not be waited for inside, so callers replace c.ctx.

// inVirtualTimes runs f, with 0 to n-1, in as many bubbles at once as there are
// processors, and then finish, outside of them, whose error decides the exit
// code. It does not return: only a test can have a bubble, so that each f is
// run as one, and the package testing ends the process.
//
// A bubble ends when all goroutines in it have: what f starts it must end. The
// last one to be ready calls finish, whatever its number. Errors are joined in
// the order in which they came, which for several is not always the same.
// What f prints must go through c.stdout and c.stderr, which several goroutines may
// use.
//
// The garbage collector is told to take its time: the process does one thing, and
// ends.
func (c *command) inVirtualTimes(n int, f func(i int) error, finish func(error) error) error {
	var mu sync.Mutex
	var all error
	left := n
	tests := make([]testing.InternalTest, n)
	for i := range tests {
		tests[i] = testing.InternalTest{Name: strconv.Itoa(i), F: func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(*testing.T) {
				err := f(i)
				mu.Lock()
				defer mu.Unlock()
				all = errors.Join(all, err)
			})
			// Nothing waits under the lock: a wait for it inside of a bubble would
			// hold up that bubble's clock.
			mu.Lock()
			left--
			last, err := left == 0, all
			mu.Unlock()
			if last {
				os.Exit(c.code(finish(err)))
			}
		}}
	}
	asAtFirst()
	testing.Init()
	os.Args = os.Args[:1]   // the testing package would read the rest
	debug.SetGCPercent(400) // there is little to keep, and much to throw away
	testing.Main(func(string, string) (bool, error) { return true, nil }, tests, nil, nil)
	return nil // testing.Main does not return
}

// inVirtualTime runs f in a bubble of testing/synctest. f's error decides the exit
// code, and nothing after the call runs.
func (c *command) inVirtualTime(f func() error) error {
	return c.inVirtualTimes(1, func(int) error { return f() }, func(err error) error { return err })
}

// asAtFirst lets a signal end the program at once: a context from outside a
// bubble would stop its clock, and nothing in it needs to be put back, since
// all that is cut in virtual time is in this process.
func asAtFirst() { signal.Reset(os.Interrupt, syscall.SIGTERM) }

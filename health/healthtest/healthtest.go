// Package healthtest makes the dependencies of a service fail, hang and panic,
// in virtual time, and sees whether the service stays alive.
//
//	func TestHealth(t *testing.T) {
//		healthtest.Survives(t, func(ctx context.Context, dep *healthtest.Dependency) (*health.Process, error) {
//			return newService(ctx, dep.Call, dep.Check) // with its loops, as in production
//		})
//	}
package healthtest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/health"
)

// Kind is what a Dependency does. The words are those of docs/guide/faults.md,
// where each means the same in all packages.
type Kind string

// The kinds of faults.
const (
	None   Kind = ""
	Error  Kind = "error"  // it answers with an error, at once
	Slow   Kind = "slow"   // it answers after 10 s, or when the context ends
	Hang   Kind = "hang"   // it answers when the context ends; without a deadline, not before the fault is over
	Deaf   Kind = "deaf"   // it ignores its context, and answers when the fault is over
	Panic  Kind = "panic"  // Check panics; Call answers with an error
	Goexit Kind = "goexit" // Check ends its goroutine (runtime.Goexit); Call answers with an error
	Flaky  Kind = "flaky"  // every second answer is an error
)

// Kinds are all of them but None.
func Kinds() []Kind { return []Kind{Error, Slow, Hang, Deaf, Panic, Goexit, Flaky} }

// ErrFault is what a broken Dependency answers with.
var ErrFault = errors.New("healthtest: the dependency is broken")

// Dependency is a dependency that can be broken. The zero value is well. It is
// safe for concurrent use.
type Dependency struct {
	mu    sync.Mutex    // guards fault and over; not held while anybody waits
	fault Kind          // None: it is well
	over  chan struct{} // closed when the fault is; nil before the first Set
	calls atomic.Int64  // of Call and of Check, begun
}

// Set begins a fault, which ends the one before it. What waited for that goes
// on.
func (d *Dependency) Set(k Kind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over != nil {
		close(d.over)
	}
	d.fault, d.over = k, make(chan struct{})
}

// Calls is how many calls of Call and Check there were.
func (d *Dependency) Calls() int64 { return d.calls.Load() }

// now is the fault of this moment, and what ends it. A call keeps to the one that it
// has met.
func (d *Dependency) now() (Kind, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault, d.over
}

// Call is the dependency as the service's own code calls it. It never panics.
func (d *Dependency) Call(ctx context.Context) error {
	n := d.calls.Add(1)
	fault, over := d.now()
	switch fault {
	case None:
		return nil
	case Flaky:
		if n%2 == 0 {
			return nil
		}
	case Slow:
		timer := time.NewTimer(10 * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case Hang:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
		}
	case Deaf:
		<-over
	}
	return ErrFault
}

// Check is the dependency as a health check asks it: Call, with the panics.
func (d *Dependency) Check(ctx context.Context) error {
	switch fault, _ := d.now(); fault {
	case Panic:
		d.calls.Add(1)
		panic("healthtest: a check that panics")
	case Goexit:
		d.calls.Add(1)
		runtime.Goexit()
	}
	return d.Call(ctx)
}

// How long Survives waits, in virtual time, and how often it asks.
const (
	settle   = 2 * time.Minute
	outage   = 30 * time.Minute
	recovery = 10 * time.Minute
	every    = 5 * time.Second
)

// Survives runs a service through each fault, in a subtest and a bubble of
// testing/synctest of its own: two minutes of peace, thirty of the fault, ten
// to recover. All the time the process must be live, /livez must answer 200 and
// /reportz must not say fail; once started, the process must stay ready; and
// after the fault the report must pass again.
//
// start makes the service as in production, with its loops and watches, and
// uses dep for what it depends on: dep.Call where it works, dep.Check where it
// checks. It must not call Run, which Survives does, and whatever it starts
// must end when ctx does. A loop that calls dep without Watch.Wait makes the
// test fail: that is what it is for.
func Survives(t *testing.T, start func(ctx context.Context, dep *Dependency) (*health.Process, error)) {
	t.Helper()
	for _, fault := range Kinds() {
		t.Run(string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { survives(t, fault, start) })
		})
	}
}

// survives is one subtest, inside its bubble. It stops at the first failure: what
// comes after a restart says nothing. However it ends, the fault is over before Run
// is waited for, as a check may be inside of it.
func survives(t *testing.T, fault Kind, start func(context.Context, *Dependency) (*health.Process, error)) {
	t.Helper()
	dep := new(Dependency)
	ctx, stop := context.WithCancel(t.Context())
	p, err := start(ctx, dep)
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() {
		dep.Set(None)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		pass(time.Minute) // for what is still inside the dependency
	}()
	if !watch(t, p, settle, "before the fault") {
		return
	}
	dep.Set(fault)
	before := dep.Calls()
	if !watch(t, p, outage, "under the fault "+string(fault)) {
		return
	}
	if dep.Calls() == before && fault != None {
		t.Errorf("the service did not use its dependency under the fault %s: nothing was tested", fault)
	}
	dep.Set(None)
	if !watch(t, p, recovery, "after the fault") {
		return
	}
	if r := p.Report(); r.Status != health.StatusPass {
		t.Errorf("%v after the fault the report says %v:\n%s", recovery, r.Status, r.JSON())
	}
}

// watch probes p for d of virtual time. It returns false at the first failure.
func watch(t *testing.T, p *health.Process, d time.Duration, when string) bool {
	t.Helper()
	h := p.Handler()
	started := false
	for at := time.Duration(0); at < d; at += every {
		pass(every)
		started = started || p.IsStarted()
		switch {
		case !p.Live(), probe(h, "/livez") != http.StatusOK:
			t.Errorf("%s: not live after %v:\n%s", when, at+every, p.Report().JSON())
		case probe(h, "/reportz") != http.StatusOK:
			t.Errorf("%s: the report fails after %v", when, at+every)
		case started && !p.Ready():
			t.Errorf("%s: not ready after %v:\n%s", when, at+every, p.Report().JSON())
		default:
			continue
		}
		return false
	}
	if !started {
		t.Errorf("%s: the process has not started", when)
	}
	return started
}

// probe is the status of an endpoint, as a platform asks for it.
func probe(h http.Handler, path string) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code
}

// pass lets virtual time go by, and then all that is to happen at that moment
// happen.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

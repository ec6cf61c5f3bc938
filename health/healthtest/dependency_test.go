package healthtest_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/health/healthtest"
)

// ended is how a call came back, other than with an error.
var (
	errPanicked = errors.New("it panicked")
	errExited   = errors.New("its goroutine ended")
)

// outcome runs f on a goroutine of its own, and says how it came back.
func outcome(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		err := errExited
		defer func() {
			if recover() != nil {
				err = errPanicked
			}
			done <- err
		}()
		err = f()
	}()
	return done
}

// What each kind does to the service's own calls and to a check, and when: for a
// caller who waits for a minute, of a fault that is over after an hour, and for one
// who has no deadline.
func TestDependency_does_what_its_kind_says(t *testing.T) {
	const (
		atOnce   = time.Duration(0)
		slowly   = 10 * time.Second
		byItself = time.Minute // when the caller's time is over
		atLast   = time.Hour   // when the fault is
	)
	fault, late := healthtest.ErrFault, context.DeadlineExceeded
	for _, c := range []struct {
		kind        healthtest.Kind
		check       bool
		call        error
		after       time.Duration
		unbounded   error
		afterAnHour time.Duration
	}{
		{healthtest.None, false, nil, atOnce, nil, atOnce},
		{healthtest.None, true, nil, atOnce, nil, atOnce},
		{healthtest.Error, false, fault, atOnce, fault, atOnce},
		{healthtest.Error, true, fault, atOnce, fault, atOnce},
		{healthtest.Slow, false, nil, slowly, nil, slowly},
		{healthtest.Slow, true, nil, slowly, nil, slowly},
		{healthtest.Hang, false, late, byItself, fault, atLast},
		{healthtest.Hang, true, late, byItself, fault, atLast},
		{healthtest.Deaf, false, fault, atLast, fault, atLast},
		{healthtest.Deaf, true, fault, atLast, fault, atLast},
		{healthtest.Panic, false, fault, atOnce, fault, atOnce},
		{healthtest.Panic, true, errPanicked, atOnce, errPanicked, atOnce},
		{healthtest.Goexit, false, fault, atOnce, fault, atOnce},
		{healthtest.Goexit, true, errExited, atOnce, errExited, atOnce},
	} {
		for _, bounded := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				dep := new(healthtest.Dependency)
				dep.Set(c.kind)
				over := time.AfterFunc(time.Hour, func() { dep.Set(healthtest.None) })
				defer over.Stop()
				ctx, cancel, want, after := context.Background(), func() {}, c.unbounded, c.afterAnHour
				if bounded {
					want, after = c.call, c.after
					ctx, cancel = context.WithTimeout(ctx, time.Minute)
				}
				defer cancel()
				ask := dep.Call
				if c.check {
					ask = dep.Check
				}
				began := time.Now()
				err := <-outcome(func() error { return ask(ctx) })
				if took := time.Since(began); !errors.Is(err, want) || (err == nil) != (want == nil) || took != after || dep.Calls() != 1 {
					t.Errorf("%q, check %t, bounded %t: %v after %v, %d calls; want %v after %v", c.kind, c.check, bounded, err, took, dep.Calls(), want, after)
				}
			})
		}
	}
}

// Every second answer of a flaky dependency is an error, whoever asks.
func TestDependency_flaky(t *testing.T) {
	dep := new(healthtest.Dependency)
	dep.Set(healthtest.Flaky)
	var got []bool
	for _, ask := range []func(context.Context) error{dep.Call, dep.Check, dep.Call, dep.Call, dep.Check} {
		got = append(got, ask(t.Context()) == nil)
	}
	if want := []bool{false, true, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
}

// A fault ends the one before it, and what waited for that goes on, with its error.
func TestDependency_Set_ends_the_fault_before(t *testing.T) {
	for _, kind := range []healthtest.Kind{healthtest.Hang, healthtest.Deaf} {
		synctest.Test(t, func(t *testing.T) {
			dep := new(healthtest.Dependency)
			dep.Set(kind)
			first := outcome(func() error { return dep.Call(context.Background()) })
			synctest.Wait()
			dep.Set(kind) // again: another fault
			if err := <-first; !errors.Is(err, healthtest.ErrFault) {
				t.Errorf("%s: %v", kind, err)
			}
			second := outcome(func() error { return dep.Call(context.Background()) })
			synctest.Wait()
			select {
			case err := <-second:
				t.Errorf("%s: the second fault is over: %v", kind, err)
			default:
			}
			dep.Set(healthtest.None)
			if err := <-second; !errors.Is(err, healthtest.ErrFault) {
				t.Errorf("%s: %v", kind, err)
			}
			if err := dep.Call(context.Background()); err != nil || dep.Calls() != 3 {
				t.Errorf("%s: afterwards: %v, %d calls", kind, err, dep.Calls())
			}
		})
	}
}

// Kinds are what Survives tries.
func TestKinds(t *testing.T) {
	want := []healthtest.Kind{"error", "slow", "hang", "deaf", "panic", "goexit", "flaky"}
	if got := healthtest.Kinds(); !slices.Equal(got, want) || slices.Contains(got, healthtest.None) {
		t.Errorf("%q; want %q", got, want)
	}
	before := runtime.NumGoroutine()
	for range 100 {
		new(healthtest.Dependency).Set(healthtest.Hang)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines for faults that nobody has met", after-before)
	}
}

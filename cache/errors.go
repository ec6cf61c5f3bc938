package cache

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Errors that Get can return besides the origin's own and the caller's
// ctx.Err().
var (
	// ErrLoadTimeout means that the origin did not answer within
	// LoadTimeout, even if the loader ignored its context.
	ErrLoadTimeout = errors.New("cache: the origin did not answer within LoadTimeout")

	// ErrOriginBusy means that none of the origin's Concurrency slots
	// became free within LoadTimeout.
	ErrOriginBusy = errors.New("cache: no slot for a call of the origin became free within LoadTimeout")

	// ErrEndingsLost is returned by Close: the store was not told that some
	// values are over (invalidated, replaced or gone), and other instances
	// may serve them until they expire.
	ErrEndingsLost = errors.New("cache: the store was not told of all endings")

	// ErrRecursiveLoad is returned to a load that asks, directly or through
	// other loads, for the very key that it is loading: it would wait for
	// itself.
	ErrRecursiveLoad = errors.New("cache: a load asks for the key that it is loading")

	// errNilLoad answers a GetOrLoad without a loader.
	errNilLoad = errors.New("cache: GetOrLoad: load is nil")
)

// Faults of the remote tier that the cache itself diagnoses. They reach
// events and Invalidate's error only.
var (
	// ErrStoreTimeout means that the store did not answer within its
	// budget.
	ErrStoreTimeout = errors.New("cache: the store did not answer within its budget")

	// ErrStoreSkipped means that the store was bypassed: its breaker
	// is open, or too many of its calls are stuck.
	ErrStoreSkipped = errors.New("cache: the store is bypassed: its circuit breaker is open")

	// ErrPoison means that an item's envelope or payload cannot be
	// trusted: wrong magic, schema, key or checksum, or not decodable.
	ErrPoison = errors.New("cache: the stored item cannot be used")
)

// PanicError is a panic in code that the cache was given (loader, store,
// codec and the like), turned into an error. A call of runtime.Goexit is
// reported in the same way.
type PanicError struct {
	Where string // "loader", "store", "codec", "AEAD", "hook", "logger", "Cost", "Expires", "Tags", "Clone"
	Value any    // what was passed to panic; nil for Goexit
	Stack []byte // where it happened

	cause error  // Value, if Unwrap gives it
	text  string // what Error returns; made where Value's methods are contained
}

func (e *PanicError) Error() string {
	if e.text == "" { // made by someone else
		return fmt.Sprintf("cache: panic in %s: %v", e.Where, e.Value)
	}
	return e.text
}

// Unwrap returns the value of the panic if it is an error, unless that is one
// of the answers ErrNotFound and ErrRejected: a panic is a fault.
func (e *PanicError) Unwrap() error { return e.cause }

// newPanicError makes the error of a panic with value v, or of a Goexit if v
// is nil. Call it where the panic was recovered.
func newPanicError(where string, v any) *PanicError {
	if v == nil {
		return &PanicError{Where: where, text: "cache: runtime.Goexit in " + where}
	}
	e := &PanicError{Where: where, Value: v, Stack: debug.Stack(), text: "cache: panic in " + where}
	var text string
	if finished, _ := apart(func() { text = clip(fmt.Sprintf("%s: %v", e.text, v)) }); finished {
		e.text = text
	}
	if err, ok := v.(error); ok {
		var o outcome
		if finished, _ := apart(func() { o = judge(err) }); finished && !o.has(isNotFound|isRejected) {
			e.cause = err
		}
	}
	return e
}

// callbacks bounds calls of foreign code that has no context: a codec, Cost, Expires
// and the like. The zero value has no bound in time.
type callbacks struct {
	timeout time.Duration
	stuck   atomic.Int64 // calls that have been given up
}

// contain calls f, and turns a panic or a runtime.Goexit into a *PanicError. A call
// that does not return in time is given up: f must not write to what its caller
// reads. If many are stuck, f is not called.
func contain[T any](c *callbacks, where string, f func() (T, error)) (v T, err error) {
	if c == nil {
		c = new(callbacks)
	}
	if c.stuck.Load() >= maxZombies {
		return v, fmt.Errorf("cache: %s is not called: %d calls of such functions do not return", where, maxZombies)
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	var left atomic.Bool // by the waiter, or by f: who is second takes the other's mark back
	go func() {
		var r result
		finished := false
		defer func() {
			if p := recover(); !finished {
				r = result{err: newPanicError(where, p)}
			}
			done <- r
			if !left.CompareAndSwap(false, true) {
				c.stuck.Add(-1)
			}
		}()
		r.v, r.err = f()
		finished = true
	}()
	if c.timeout == 0 {
		r := <-done
		return r.v, r.err
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-timer.C:
	}
	c.stuck.Add(1)
	if !left.CompareAndSwap(false, true) { // it has just returned
		c.stuck.Add(-1)
		r := <-done
		return r.v, r.err
	}
	return v, fmt.Errorf("cache: %s did not return within %v", where, c.timeout)
}

// apart calls f on a goroutine of its own, since a Goexit takes its goroutine
// with it, and waits. finished is false, and v the value, if f panicked; v is
// nil after a Goexit.
func apart(f func()) (finished bool, v any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { v = recover() }()
		f()
		finished = true
	}()
	<-done
	return finished, v
}

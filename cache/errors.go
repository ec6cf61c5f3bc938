package cache

import (
	"errors"
	"fmt"
	"runtime/debug"
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
	Where string // "loader", "store", "codec", "AEAD", "hook", "logger", "Cost", "Expires"
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

// contain calls f and turns a panic or a runtime.Goexit into a *PanicError.
func contain(where string, f func() error) (err error) {
	if finished, v := apart(func() { err = f() }); !finished {
		return newPanicError(where, v)
	}
	return err
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

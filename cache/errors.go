package cache

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Errors that Get can return beside the origin's own and the caller's
// ctx.Err().
var (
	// ErrLoadTimeout stands for an origin that did not answer within
	// LoadTimeout, also when the loader ignored its context.
	ErrLoadTimeout = errors.New("cache: the origin did not answer within LoadTimeout")

	// ErrOriginBusy stands for an origin none of whose Concurrency slots
	// became free within LoadTimeout.
	ErrOriginBusy = errors.New("cache: no slot to ask the origin became free within LoadTimeout")

	// errNilLoad answers a GetOrLoad without a loader.
	errNilLoad = errors.New("cache: GetOrLoad: load is nil")
)

// Faults of the remote tier that the cache itself diagnoses. They reach
// events and Invalidate's error only.
var (
	// ErrStoreTimeout stands for a store that did not answer within its
	// budget.
	ErrStoreTimeout = errors.New("cache: the store did not answer within its budget")

	// ErrStoreSkipped stands for a store that was not asked: its breaker
	// is open, or too many of its calls are stuck.
	ErrStoreSkipped = errors.New("cache: the store is not being asked: its circuit breaker is open")

	// ErrPoison stands for an item whose envelope or payload cannot be
	// trusted: wrong magic, schema, key or checksum, or not decodable.
	ErrPoison = errors.New("cache: the stored item cannot be used")
)

// PanicError is a panic in code that the cache was given (loader, store,
// codec and the like), turned into an error. A call of runtime.Goexit in a
// loader or a store is reported in the same way.
type PanicError struct {
	Where string // "loader", "store", "codec", "AEAD", "hook", "logger", "Cost", "Expires"
	Value any    // what was passed to panic; nil for Goexit
	Stack []byte // where it happened
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "cache: runtime.Goexit in " + e.Where
	}
	return fmt.Sprintf("cache: panic in %s: %v", e.Where, e.Value)
}

// Unwrap returns the value of the panic if it is an error, unless that is one
// of the answers ErrNotFound and ErrRejected: a panic is a fault.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrRejected) {
		return nil
	}
	return err
}

// contain calls f and turns a panic into a *PanicError.
func contain(where string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Where: where, Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

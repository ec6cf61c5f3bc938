package cache

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// bounded makes one call of foreign code on this goroutine, with a context
// that ends after d, and hands the outcome to done: exactly once, and at the
// latest a moment after d, whatever the call does.
//
//   - A call that honours its context, or is quick, is reported here.
//   - A call that outlives its context is reported by a watchdog, on a
//     goroutine of its own, as late; the call is then a zombie until it
//     returns, and its outcome is ignored.
//   - A panic or a runtime.Goexit is reported as a *PanicError.
//
// So what comes next in a request runs inside done, on whichever goroutine
// got there first.
func bounded[T any](ctx context.Context, d time.Duration, where string, late error, zombies *atomic.Int64,
	call func(context.Context) (T, error), done func(T, error),
) {
	ctx, cancel := context.WithTimeout(ctx, d)
	var settled atomic.Bool
	// The grace lets a call that honours its context win the race.
	watchdog := time.AfterFunc(d+min(d/50, 10*time.Millisecond), func() {
		if settled.CompareAndSwap(false, true) {
			zombies.Add(1)
			var zero T
			done(zero, late)
		}
	})

	var v T
	err := error(&PanicError{Where: where}) // what stands if Goexit skips the assignment
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Where: where, Value: p, Stack: debug.Stack()}
		}
		watchdog.Stop()
		cancel()
		if settled.CompareAndSwap(false, true) {
			done(v, err)
		} else {
			zombies.Add(-1)
		}
	}()
	v, err = call(ctx)
}

// life counts the work in progress, so that Close can wait for it.
type life struct {
	state  atomic.Int64 // pieces of work, plus closedBit
	closed chan struct{}
	idle   chan struct{} // closed when closed and no work is left
}

const closedBit = 1 << 62

func newLife() *life {
	return &life{closed: make(chan struct{}), idle: make(chan struct{})}
}

// enter begins a piece of work; false after close.
func (l *life) enter() bool {
	for {
		n := l.state.Load()
		if n&closedBit != 0 {
			return false
		}
		if l.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// exit ends a piece of work that enter began.
func (l *life) exit() {
	if l.state.Add(-1) == closedBit {
		close(l.idle)
	}
}

// close ends the intake; it reports whether it was the first to do so.
func (l *life) close() bool {
	for {
		n := l.state.Load()
		if n&closedBit != 0 {
			return false
		}
		if l.state.CompareAndSwap(n, n|closedBit) {
			close(l.closed)
			if n == 0 {
				close(l.idle)
			}
			return true
		}
	}
}

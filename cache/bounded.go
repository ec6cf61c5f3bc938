package cache

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// bounded makes one call of foreign code on this goroutine, with a context
// that ends d after now, and hands the outcome to done: exactly once, and at the
// latest a moment after d, whatever the call does.
//
//   - A call that honours its context, or is quick, is reported here.
//   - A call that outlives its context is reported by a watchdog, on a
//     goroutine of its own, as late; the call is then a zombie until it
//     returns, and its outcome is ignored.
//   - A panic or a runtime.Goexit is reported as a *PanicError.
//
// So what comes next in a request runs inside done, on whichever goroutine
// got there first. The values of ctx are passed on, not its end.
func bounded[T any](ctx context.Context, now time.Time, d time.Duration, where string, late error, zombies *atomic.Int64,
	call func(context.Context) (T, error), done func(T, error),
) {
	if ctx.Done() != nil { // or context.Cause would find ctx's
		ctx = context.WithoutCancel(ctx)
	}
	c := &callContext{values: ctx, deadline: now.Add(d)}
	c.watch(d, func() {
		zombies.Add(1)
		var zero T
		done(zero, late)
	})
	var v T
	err := error(&goexit) // what stands if Goexit skips the assignment
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Where: where, Value: p, Stack: debug.Stack()}
		} else if err == &goexit {
			err = &PanicError{Where: where}
		}
		c.end(context.Canceled)
		if c.settle() {
			done(v, err)
		} else {
			zombies.Add(-1)
		}
	}()
	v, err = call(c)
}

var goexit PanicError

// callContext is the context of one bounded call: what WithoutCancel,
// WithTimeout and a watchdog's timer would be, in one allocation and with one
// timer, since every miss of the cache makes one.
type callContext struct {
	values   context.Context
	deadline time.Time
	timer    *time.Timer
	settled  atomic.Bool // the outcome was reported

	mu    sync.Mutex
	ended error
	done  chan struct{} // made when asked for
	after []*func()     // registered by AfterFunc, nil when stopped
}

// watch starts the timer: after d the context ends, and a moment later, if
// the call has not been settled by then, abandon is called.
func (c *callContext) watch(d time.Duration, abandon func()) {
	// The grace lets a call that honours its context win the race.
	grace := min(d/50, 10*time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(d, func() {
		if c.end(context.DeadlineExceeded) {
			c.mu.Lock()
			c.timer.Reset(grace)
			c.mu.Unlock()
		} else if c.settle() {
			abandon()
		}
	})
}

// settle reports whether the caller is the first to report the outcome.
func (c *callContext) settle() bool {
	if !c.settled.CompareAndSwap(false, true) {
		return false
	}
	c.timer.Stop()
	return true
}

// end ends the context; false if it had ended before.
func (c *callContext) end(err error) bool {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return false
	}
	c.ended = err
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, f := range after {
		go (*f)()
	}
	return true
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Value implements context.Context.
func (c *callContext) Value(key any) any { return c.values.Value(key) }

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.ended != nil {
			close(c.done)
		}
	}
	return c.done
}

// AfterFunc is what context.AfterFunc and the contexts derived from this one
// use instead of a goroutine that waits for Done.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		go f()
		return func() bool { return false }
	}
	c.after = append(c.after, &f)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.after, &f)
		if i < 0 {
			return false
		}
		c.after = slices.Delete(c.after, i, i+1)
		return true
	}
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

package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// bounded is one call of foreign code with a context that ends timeout after
// began. run makes it on the calling goroutine and hands the outcome to then:
// exactly once, and at the latest a moment after timeout, whatever the call
// does.
//
//   - A call that honours its context, or is quick, is reported where run was
//     called.
//   - A call that outlives its context is reported by a watchdog, on a
//     goroutine of its own, with the error late; the call is then a zombie
//     until it returns, and its outcome is ignored.
//   - A panic is reported as a *PanicError, and so is a runtime.Goexit, on a
//     goroutine of its own since that of the call is ending.
//
// So what comes next in a request runs inside then, on whichever goroutine
// got there first. The values of ctx are passed on, not its end.
//
// It is the call's context, too: what WithoutCancel, WithTimeout and a
// watchdog's timer would be, in one allocation and with one timer, since every
// miss of the cache makes one.
type bounded[T any] struct {
	callContext
	began   time.Time     // its time counts from here, also if run is called later
	timeout time.Duration // above 0
	where   string        // for PanicError
	late    error         // the error of a call that outlives its context
	zombies *atomic.Int64 // counted up while the call is one
	call    func(context.Context) (T, error)
	then    func(T, outcome) // must not block: it may run on the watchdog's goroutine
}

// outcome is what a call came to. Its error was judged inside the call's
// bounds, since the methods of an error are foreign code as well.
type outcome struct {
	err   error
	is    verdict
	text  string // of err, if it is a fault
	moved bool   // then runs on another goroutine than run was called on
}

// verdict is the set of what an error is.
type verdict uint8

const (
	isNotFound    verdict = 1 << iota // an answer: there is no such thing
	isRejected                        // of this one item
	isPermanent                       // waiting does not fix it
	isLate                            // a time-out
	isStarting                        // of a store that is not ready yet
	isNotModified                     // a loader's answer: what there was is right
)

// has reports whether the error is any of v.
func (o outcome) has(v verdict) bool { return o.is&v != 0 }

// judge looks at err. It may panic, block and so on: call it where that is
// contained.
func judge(err error) outcome {
	o := outcome{err: err}
	if err == nil {
		return o
	}
	for _, sentinel := range [...]struct {
		err error
		is  verdict
	}{
		{ErrNotFound, isNotFound},
		{ErrNotModified, isNotModified},
		{ErrRejected, isRejected},
		{ErrPermanent, isPermanent},
		{ErrStarting, isStarting},
		{ErrStoreTimeout, isLate},
		{ErrLoadTimeout, isLate},
		{context.DeadlineExceeded, isLate},
	} {
		if errors.Is(err, sentinel.err) {
			o.is |= sentinel.is
		}
	}
	// an answer needs no text, and a miss should not pay for one
	if !o.has(isNotFound | isNotModified) {
		o.text = clip(err.Error())
	}
	return o
}

// maxText bounds the texts of errors that are kept.
const maxText = 1000

// clip bounds a text that comes from somebody else's error, and makes it valid
// UTF-8, since it ends in logs, metrics and JSON.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}

// run makes the call. It returns true if then has run, on this goroutine;
// else it runs, or has run, on another one, and the caller must not go on
// with what then goes on with.
// This goroutine or the watchdog's reports, the one that settles first. The other
// only settles the count of zombies.
func (b *bounded[T]) run(ctx context.Context) (here bool) {
	if ctx.Done() != nil { // or context.Cause would find ctx's
		ctx = context.WithoutCancel(ctx)
	}
	b.values, b.deadline = ctx, b.began.Add(b.timeout)
	b.watch(b.timeout, b.zombies, func() {
		var zero T
		b.then(zero, outcome{err: b.late, text: b.late.Error(), is: isLate, moved: true})
	})
	var v T
	var o outcome
	returned := false
	defer func() {
		p := recover()
		if !returned {
			e := newPanicError(b.where, p)
			o = outcome{err: e, text: e.text, moved: p == nil}
		}
		b.end(context.Canceled)
		switch {
		// the watchdog has reported: this call was a zombie, and is none any more
		case !b.settle():
			b.zombies.Add(-1)
		// a Goexit: this goroutine runs its deferred functions and ends
		case o.moved:
			go b.then(v, o)
		default:
			here = true
			b.then(v, o)
		}
	}()
	v, err := b.call(b)
	o = judge(err)
	returned = true
	return here
}

// callContext is the context of one bounded call.
// It has one timer for both moments, the end of the context and that of the patience
// after it. What is below mu is guarded by it; timer is set once, under mu too.
type callContext struct {
	values   context.Context // whose values it has, and nothing else of
	deadline time.Time
	inside   *loading    // for loads that it asks for
	timer    *time.Timer // of the context's end, and then of the grace
	settled  atomic.Bool // the outcome was reported

	mu    sync.Mutex
	ended error         // what Err returns; nil: it has not ended
	done  chan struct{} // made when asked for
	after []*func()     // registered by AfterFunc, nil when stopped
}

// watch starts the timer: after d the context ends, and a moment later, if
// the call has not been settled by then, it is a zombie, and abandon is
// called.
func (c *callContext) watch(d time.Duration, zombies *atomic.Int64, abandon func()) {
	// The grace lets a call that honours its context win the race.
	grace := min(d/50, 10*time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(d, func() {
		if c.end(context.DeadlineExceeded) {
			c.mu.Lock()
			c.timer.Reset(grace)
			c.mu.Unlock()
			return
		}
		zombies.Add(1) // before the call can know that it is one
		if !c.settle() {
			zombies.Add(-1)
			return
		}
		abandon()
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
	// nobody has asked for Done: then there is nothing to close, and Done will see ended
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	// each on a goroutine of its own, as the contract of context.AfterFunc is
	for _, f := range after {
		go (*f)()
	}
	return true
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if c.inside != nil && key == (loadingKey{}) {
		return c.inside
	}
	return c.values.Value(key)
}

// loadingKey is the key of the *loading in a loader's context.
type loadingKey struct{}

// parentOf returns the load whose loader was given ctx, or nil.
func parentOf(ctx context.Context) *loading {
	l, _ := ctx.Value(loadingKey{}).(*loading)
	return l
}

// hasten makes the call end after d, if it would not before.
func (c *callContext) hasten(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && c.timer != nil && time.Until(c.deadline) > d {
		c.timer.Reset(d)
	}
}

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
// It is a WaitGroup that can be closed while others still try to enter: whether one has
// entered, and whether it is closed, is decided by one word.
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

// over reports whether close has been called.
func (l *life) over() bool { return l.state.Load()&closedBit != 0 }

// busy reports whether there is work.
func (l *life) busy() bool { return l.state.Load()&^closedBit != 0 }

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

package cache

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type testKey struct{}

// report is what then was told, and when.
type report struct {
	v int
	outcome
	after   time.Duration
	zombies *atomic.Int64
}

// once makes a bounded call; it fails the test if then is called twice.
func once(t *testing.T, d time.Duration, call func(context.Context) (int, error)) (r report) {
	t.Helper()
	zombies := new(atomic.Int64)
	calls := 0
	began := time.Now()
	finished := make(chan struct{})
	b := bounded[int]{
		began: began, timeout: d, where: "test", late: ErrStoreTimeout, zombies: zombies, call: call,
		then: func(v int, o outcome) {
			r = report{v, o, time.Since(began), zombies}
			if calls++; calls > 1 {
				t.Error("then was called twice")
				return
			}
			close(finished)
		},
	}
	go func() {
		here := b.run(context.WithValue(background, testKey{}, "value"))
		if here == r.moved {
			t.Errorf("run returned %t, and then ran on another goroutine: %t", here, r.moved)
		}
	}()
	<-finished
	return r
}

func TestBounded(t *testing.T) {
	const d = time.Second
	boom := errors.New("boom")
	released := make(chan struct{})
	for _, c := range []struct {
		name    string
		call    func(context.Context) (int, error)
		v       int
		err     error
		after   time.Duration
		zombies int64
	}{
		{"value", func(context.Context) (int, error) { return 1, nil }, 1, nil, 0, 0},
		{"error", func(context.Context) (int, error) { return 0, boom }, 0, boom, 0, 0},
		{"panic", func(context.Context) (int, error) { panic(boom) }, 0, boom, 0, 0},
		{"honours its context", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, 0, context.DeadlineExceeded, d, 0},
		{"honours a derived context", func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-ctx.Done()
			return 0, ctx.Err()
		}, 0, context.DeadlineExceeded, d, 0},
		{"ignores its context", func(context.Context) (int, error) { <-released; return 5, nil }, 0, ErrStoreTimeout, d + 10*time.Millisecond, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				released = make(chan struct{})
				r := once(t, d, c.call)
				if r.v != c.v || !errors.Is(r.err, c.err) || r.after != c.after || r.zombies.Load() != c.zombies {
					t.Errorf("done(%d, %v) after %v with %d zombies; want (%d, %v) after %v with %d", r.v, r.err, r.after, r.zombies.Load(), c.v, c.err, c.after, c.zombies)
				}
				close(released)
				synctest.Wait()
				if n := r.zombies.Load(); n != 0 {
					t.Errorf("%d zombies are left", n)
				}
			})
		})
	}
	t.Run("Goexit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			err := once(t, d, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }).err
			if p := new(PanicError); !errors.As(err, &p) || p.Value != nil || p.Error() != "cache: runtime.Goexit in test" {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestCallContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var after, stopped, late atomic.Bool
		var leaked context.Context
		err := once(t, time.Second, func(ctx context.Context) (int, error) {
			leaked = ctx
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != time.Second {
				t.Errorf("deadline in %v, %t; want 1 s", time.Until(deadline), ok)
			}
			if ctx.Value(testKey{}) != "value" || ctx.Err() != nil {
				t.Errorf("value %v, Err %v; want the caller's value, nil", ctx.Value(testKey{}), ctx.Err())
			}
			before := runtime.NumGoroutine()
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			for range 100 {
				_, cancel := context.WithCancel(ctx)
				defer cancel()
			}
			if n := runtime.NumGoroutine() - before; n > 0 {
				t.Errorf("101 derived contexts started %d goroutines", n)
			}
			context.AfterFunc(ctx, func() { after.Store(true) })
			stop := context.AfterFunc(ctx, func() { stopped.Store(true) })
			if first, second := stop(), stop(); !first || second {
				t.Errorf("stop: %t, then %t; want true, false", first, second)
			}
			cancel()
			return 0, child.Err()
		}).err
		if err != context.Canceled {
			t.Errorf("got %v, want the derived context's context.Canceled", err)
		}
		synctest.Wait()
		if !after.Load() || stopped.Load() {
			t.Errorf("AfterFunc ran: %t, the stopped one: %t; want true, false", after.Load(), stopped.Load())
		}
		// A call that has returned has no context any more.
		<-leaked.Done()
		if leaked.Err() != context.Canceled {
			t.Errorf("Err after the call: %v, want context.Canceled", leaked.Err())
		}
		if stop := context.AfterFunc(leaked, func() { late.Store(true) }); stop() {
			t.Error("a function registered too late could be stopped")
		}
		synctest.Wait()
		if !late.Load() {
			t.Error("a function registered too late did not run")
		}
	})
}

func TestLife(t *testing.T) {
	l := newLife()
	for range 2 {
		if !l.enter() {
			t.Fatal("enter before close")
		}
	}
	if !l.close() || l.close() || l.enter() {
		t.Error("close closes once, and ends the intake")
	}
	l.exit()
	select {
	case <-l.idle:
		t.Error("idle with work in progress")
	default:
	}
	l.exit()
	<-l.idle
	if l := newLife(); !l.close() {
		t.Error("close of a new life")
	} else {
		<-l.idle
	}
}

package cachetest

import (
	"context"
	"sync"
	"time"
)

// Overload is an open loop of callers: they come at Rate whether or not those
// before them have been served, as users do. Run it in a testing/synctest
// bubble, with a loader that takes its time, to see how much of a surge a
// service still serves:
//
//	synctest.Test(t, func(t *testing.T) {
//		o := cachetest.Overload{Rate: 3000, For: 10 * time.Second, Deadline: time.Second}
//		g := o.Run(func(ctx context.Context, i int) error {
//			_, err := c.Get(ctx, fmt.Sprint(i))
//			return err
//		})
//		// g.Served of g.Asked
//	})
type Overload struct {
	Rate     float64       // callers a second
	For      time.Duration // how long they keep coming
	WarmUp   time.Duration // at the beginning of For: these are not counted
	Deadline time.Duration // how long each waits; 0: as long as it takes
	Tries    int           // how often each asks before it gives up; 0: once
}

// Goodput is what came of an [Overload].
type Goodput struct {
	Asked  int // callers
	Served int // of these, got no error
}

// Share is Served by Asked; 1 if nobody asked.
func (g Goodput) Share() float64 {
	if g.Asked == 0 {
		return 1
	}
	return float64(g.Served) / float64(g.Asked)
}

// Run lets the callers come. The i-th calls get with i, which should make a key
// of it that nobody else asks for. It returns when all have been answered.
//
// Each caller is a goroutine, so there are as many as have not been answered: in a
// bubble, tens of thousands are fine. A caller is late only if the machine is, and
// then those after it are not shifted: the next one is due by its own number.
func (o Overload) Run(get func(ctx context.Context, i int) error) (g Goodput) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for i := range int(o.Rate * o.For.Seconds()) {
		due := time.Duration(float64(i) / o.Rate * float64(time.Second))
		wait(due - time.Since(began))
		wg.Go(func() {
			served := o.call(get, i)
			if due < o.WarmUp {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			g.Asked++
			if served {
				g.Served++
			}
		})
	}
	wg.Wait()
	return g
}

// call is one caller of the load with its tries, each with a deadline of its
// own. It reports whether one of them worked.
func (o Overload) call(get func(ctx context.Context, i int) error, i int) bool {
	for range max(o.Tries, 1) {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if o.Deadline > 0 {
			ctx, cancel = context.WithTimeout(ctx, o.Deadline)
		}
		err := get(ctx, i)
		cancel()
		if err == nil {
			return true
		}
	}
	return false
}

// wait waits by a context's timer, which a bubble advances like any other; 0 and
// less is no wait.
func wait(d time.Duration) {
	if d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
}

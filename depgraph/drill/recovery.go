package drill

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// recover waits until the service is as it was, up to the bound. It returns why
// it has not waited so long, if so.
// The load goes on meanwhile, and a watcher looks ten times a second whether it is
// served again. Recovered is only asked once the requests are: a tier may well be
// in use again before its users are.
func (d *drill) recover(parent context.Context, reverted time.Time) (aborted string) {
	d.begin("recovery")
	need := max(3, int(d.e.Rate))
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(parent)
	go func() {
		defer close(done)
		defer cancel()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if d.load.healed(reverted, need, d.r) && (d.e.Recovered == nil || contained(ctx, callLimit, d.e.Recovered) == nil) {
				d.r.Fault.Recovered = d.at(time.Now())
				return
			}
		}
	}()
	d.load.run(ctx, "recovery", d.e.Recovery, func(s Second) bool { d.told(s); return false })
	cancel()
	<-done
	d.end()
	switch {
	case d.r.Fault.Recovered >= 0:
	case parent.Err() != nil:
		return "the context ended in the recovery: " + text(context.Cause(parent))
	default:
		d.breaks(recovered, fmt.Sprintf("not as before within %v after the fault", d.e.Recovery))
	}
	return ""
}

// healed reports whether the last requests after the fault were served as they
// were before it: that part of them which had to be. It notes the first that was.
// It looks at the last need requests that were answered, and only at those of the
// recovery, in O(need) until the first success and O(n) once for that. r is written
// with the lock held, by the watcher alone.
func (l *load) healed(after time.Time, need int, r *Report) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked, served := 0, 0
	for i := len(l.results) - 1; i >= 0 && asked < need && l.results[i].phase == "recovery"; i-- {
		asked++
		if l.results[i].served() {
			served++
		}
	}
	if served > 0 && r.Fault.FirstSuccess < 0 {
		for _, res := range l.results {
			if res.phase == "recovery" && res.served() && !res.began.Before(after) {
				r.Fault.FirstSuccess = round(res.began.Add(res.took).Sub(l.began).Seconds())
				break
			}
		}
	}
	return asked >= need && float64(served) >= round(l.e.Least*float64(need)) // 0.55*20 is more than 11
}

// served reports whether a request was answered as it should be.
// An excused one counts as served: it says nothing, and must not keep the recovery
// from being seen.
func (r result) served() bool {
	return r.excused || !r.late && r.answer.Err == nil && !r.answer.Wrong
}

// left looks at what the drill itself has left behind.
// That is rules that are still in force, if the fault can tell, and calls of the
// target that have not returned. Calls get one more budget to do so after the last
// request: a client's clean-up may take a moment. It waits in steps of 10 ms
// because a WaitGroup cannot be waited for with a limit.
func (d *drill) left() {
	if l, ok := d.e.Fault.(interface{ Left() string }); ok {
		err := contained(context.Background(), callLimit, func(context.Context) error {
			if what := l.Left(); what != "" {
				return errors.New(what)
			}
			return nil
		})
		if err != nil {
			d.breaks(nothing, text(err))
		}
	}
	d.load.all.Wait()
	timer := time.NewTimer(d.e.Budget)
	defer timer.Stop()
	for d.load.inside.Load() > 0 {
		tick := time.NewTimer(10 * time.Millisecond)
		select {
		case <-tick.C:
			continue
		case <-timer.C:
		}
		tick.Stop()
		d.breaks(nothing, fmt.Sprintf("%d requests have not returned: the service ignores the end of their context", d.load.inside.Load()))
		return
	}
}

package drill

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// recover waits until the service is as it was, up to the bound. It returns why
// it has not waited so long, if so.
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
	return asked >= need && float64(served) >= l.e.Least*float64(need)
}

// served reports whether a request was answered as it should be.
func (r result) served() bool {
	return r.excused || !r.late && r.answer.Err == nil && !r.answer.Wrong
}

// left looks at what the drill itself has left behind.
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

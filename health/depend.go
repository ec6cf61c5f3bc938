package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Dependency is something that the process talks to, and how to see whether it
// can. It is checked in the background while Run runs.
type Dependency struct {
	// Name is unique among the dependencies.
	Name string

	// Check returns nil if the dependency can be used. It gets a context
	// that ends after Timeout. A panic in it is a failure.
	Check func(context.Context) error

	// Soft says that the process serves without it: it fails open. Only
	// what is not soft can make a process leave the traffic, and only with
	// a Guard.
	Soft bool

	// Period is the time from one check to the next, ± 10 %. Default 10 s.
	// The first comes after a random part of it.
	Period time.Duration

	// Timeout bounds one check. Default 2 s, or Period if that is less.
	Timeout time.Duration
}

const (
	defaultPeriod  = 10 * time.Second
	defaultTimeout = 2 * time.Second

	// Hysteresis: so many results in a row change a verdict.
	failuresToFail = 3
	passesToPass   = 2
)

// ErrCheckTimeout is the result of a check that did not return in time.
var ErrCheckTimeout = errors.New("health: the check did not return in time")

// dependency is the engine of one check. There is at most one goroutine for
// it, the one that is inside Check; between checks there is a timer.
type dependency struct {
	Dependency
	p *Process

	// Guarded by p.mu.
	verdict
	inCheck bool
	began   time.Time // of the check in progress, or of the last one
	ctx     context.Context
}

// verdict is what is known of a dependency.
type verdict struct {
	status   Status // StatusUnknown until there is one
	failures int    // in a row
	passes   int    // in a row
	at       time.Time
	since    time.Time // of the status
	took     time.Duration
	err      error // of the last check
}

// add takes one result into account.
func (v *verdict) add(err error, took time.Duration, now time.Time) {
	v.err, v.took, v.at = err, took, now
	old := v.status
	if err == nil {
		v.failures, v.passes = 0, v.passes+1
		if v.passes >= passesToPass || v.status == StatusUnknown {
			v.status = StatusPass
		}
	} else {
		v.failures, v.passes = v.failures+1, 0
		if v.failures >= failuresToFail {
			v.status = StatusFail
		}
	}
	if v.status != old {
		v.since = now
	}
}

// Depend registers a dependency. It may be called before or during Run. The
// error says what is wrong with d.
func (p *Process) Depend(d Dependency) error {
	if d.Check == nil {
		return fmt.Errorf("health: dependency %q: Check is nil", d.Name)
	}
	if d.Period < 0 || d.Timeout < 0 {
		return fmt.Errorf("health: dependency %q: Period is %v and Timeout %v; neither may be negative", d.Name, d.Period, d.Timeout)
	}
	if d.Period == 0 {
		d.Period = defaultPeriod
	}
	if d.Timeout == 0 {
		d.Timeout = min(defaultTimeout, d.Period)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, len(p.dependencies))
	for i, other := range p.dependencies {
		names[i] = other.Name
	}
	if err := uniqueName("dependency", d.Name, names); err != nil {
		return err
	}
	dep := &dependency{Dependency: d, p: p}
	p.dependencies = append(p.dependencies, dep)
	if p.running != nil {
		dep.start(p.running)
	}
	return nil
}

// start arms the first check of a Run. The caller holds p.mu.
func (d *dependency) start(ctx context.Context) {
	d.ctx = ctx
	d.after(time.Duration(rand.Int64N(int64(d.Period))))
}

// after arms the next check. The caller holds p.mu.
func (d *dependency) after(wait time.Duration) {
	ctx := d.ctx
	timer := time.AfterFunc(wait, func() { d.check(ctx) })
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// check makes one check, on this goroutine. A watchdog reports it if it does
// not return in time; the next one is armed when it has returned.
func (d *dependency) check(run context.Context) {
	p := d.p
	p.mu.Lock()
	if run.Err() != nil || d.ctx != run || d.inCheck { // an old Run's, or one of it is still inside Check
		p.mu.Unlock()
		return
	}
	d.inCheck, d.began = true, time.Now()
	began := d.began
	p.mu.Unlock()

	ctx, cancel := context.WithTimeout(run, d.Timeout)
	watchdog := time.AfterFunc(d.Timeout+d.Timeout/10, func() { d.late(run, began) })
	err := error(errGoexit)
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("health: panic in the check: %v\n%s", v, debug.Stack())
		}
		watchdog.Stop()
		cancel()
		d.returned(run, err, began)
	}()
	err = d.Check(ctx)
}

var errGoexit = errors.New("health: runtime.Goexit in the check")

// late reports a check that is still running, and goes on doing so once a
// period, so that it is seen to fail for as long as it hangs.
func (d *dependency) late(run context.Context, began time.Time) {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	if !d.inCheck || d.began != began || run.Err() != nil {
		return
	}
	d.result(ErrCheckTimeout, time.Since(began))
	timer := time.AfterFunc(d.Period, func() { d.late(run, began) })
	context.AfterFunc(run, func() { timer.Stop() })
}

// returned takes the result of a check, unless it was late or Run has ended,
// and arms the next.
func (d *dependency) returned(run context.Context, err error, began time.Time) {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	d.inCheck = false
	if d.ctx.Err() == nil {
		d.after(time.Duration(float64(d.Period) * (0.9 + 0.2*rand.Float64())))
	}
	if took := time.Since(began); run.Err() == nil && took < d.Timeout+d.Timeout/10 {
		d.result(err, took)
	}
}

// result adds a result and tells about a change. The caller holds p.mu.
func (d *dependency) result(err error, took time.Duration) {
	old := d.status
	d.add(err, took, time.Now())
	if d.status != old {
		if d.p.Logger != nil {
			d.p.Logger.Info("health: dependency changed", "name", d.Name, "from", old.String(), "to", d.status.String())
		}
	}
	d.p.notice()
}

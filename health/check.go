package health

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Hysteresis: so many results in a row change a verdict.
const (
	failuresToFail = 3
	passesToPass   = 2
)

// ErrCheckTimeout is the result of a check that did not return in time.
var ErrCheckTimeout = errors.New("health: the check did not return in time")

var (
	errPanic  = errors.New("health: panic in the check")
	errGoexit = errors.New("health: runtime.Goexit in the check")
)

// verdict is what a row of results says.
type verdict struct {
	status   Status // StatusUnknown until there is one
	failures int    // in a row
	passes   int    // in a row
	since    time.Time
}

// add takes one result into account.
func (v *verdict) add(ok bool, now time.Time) {
	old := v.status
	if ok {
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

// bad reports whether there is reason to suspect this process.
func (v *verdict) bad() bool { return v.failures > 0 || v.status == StatusFail }

// check is one thing that is looked at in the background while Run runs. It
// has one timer, and at most one goroutine: the one that is inside look.
type check struct {
	p               *Process
	name            string
	kind            string // dependency or detector
	measures, unit  string
	soft            bool
	period, timeout time.Duration
	look            func(context.Context) (float64, error)

	// Guarded by p.mu.
	verdict
	value  float64
	at     time.Time // of the last result
	err    error     // of the last result
	passed int64     // results, ever
	failed int64
	random *rand.Rand
	run    context.Context // the Run that it belongs to
	timer  *time.Timer     // calls tick
	inside bool            // a goroutine is inside look
	late   bool            // it has been there for too long
	began  time.Time       // when it went there
}

// add registers a check. It begins at once if Run runs.
func (p *Process) add(c *check) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var same []*check
	for _, other := range p.checks {
		if other.kind == c.kind {
			same = append(same, other)
		}
	}
	if err := name(c.kind, c.name, same, func(c *check) string { return c.name }); err != nil {
		return err
	}
	c.p, c.random = p, randomOf(p.Seed, c.kind+"\x00"+c.name)
	p.checks = append(p.checks, c)
	if p.running != nil {
		c.start(p.running)
	}
	return nil
}

// randomOf is a stream of its own for each name: in which order checks run must
// not change what they draw.
func randomOf(seed uint64, name string) *rand.Rand {
	if seed == 0 {
		seed = rand.Uint64()
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // cannot fail
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// start begins to look, at a random time of the first period; within a second
// if the guard waits for it. The caller holds p.mu, as for the next two.
func (c *check) start(run context.Context) {
	c.run = run
	within := c.period
	if c.p.Guard != nil {
		within = min(within, time.Second)
	}
	c.arm(time.Duration(c.random.Int64N(int64(within))))
}

func (c *check) arm(wait time.Duration) {
	c.stop()
	run := c.run
	c.timer = time.AfterFunc(wait, func() { c.tick(run) })
}

func (c *check) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// tick makes one check, on this goroutine. If the last one has not returned,
// it counts that as a failure instead, once a period: what hangs is seen to
// fail for as long as it hangs.
func (c *check) tick(run context.Context) {
	p := c.p
	p.mu.Lock()
	if run != c.run || run.Err() != nil {
		p.mu.Unlock()
		return
	}
	if wait := c.deadline() - time.Since(c.began); c.inside && wait > 0 { // of the Run before
		c.arm(wait)
		p.mu.Unlock()
		return
	}
	if c.inside {
		c.late = true
		c.result(c.value, ErrCheckTimeout)
		c.arm(c.period)
		p.mu.Unlock()
		return
	}
	c.inside, c.late, c.began = true, false, time.Now()
	c.arm(c.deadline())
	p.mu.Unlock()

	ctx, cancel := context.WithTimeout(run, c.timeout)
	value, err := 0.0, errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
		}
		cancel()
		c.returned(run, value, err)
	}()
	value, err = c.look(ctx)
}

// deadline leaves a check a moment to return the error of its context.
func (c *check) deadline() time.Duration { return c.timeout + c.timeout/10 }

// returned takes the result of a check, unless it was late or its Run has
// ended, and arms the next.
func (c *check) returned(run context.Context, value float64, err error) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	c.inside = false
	if c.run.Err() != nil {
		return
	}
	if run == c.run && !c.late && run.Err() == nil {
		if time.Since(c.began) > c.deadline() { // and its timer was late as well
			err = ErrCheckTimeout
		}
		c.result(value, err)
	}
	c.arm(time.Duration(float64(c.period) * (0.9 + 0.2*c.random.Float64())))
}

// result adds a result and tells about a change. The caller holds p.mu.
func (c *check) result(value float64, err error) {
	old := c.status
	c.value, c.err, c.at = value, err, time.Now()
	if err == nil {
		c.passed++
	} else {
		c.failed++
	}
	c.add(err == nil, c.at)
	if c.status != old {
		level := slog.LevelInfo
		if c.status == StatusFail {
			level = slog.LevelWarn
		}
		c.p.log(level, "a "+c.kind+" changed", "name", c.name, "from", old.String(), "to", c.status.String(), "err", c.p.show(err))
	}
	c.p.notice()
}

// stale reports whether the last result is too old to say anything.
func (c *check) stale(now time.Time) bool {
	return !c.at.IsZero() && now.Sub(c.at) > 3*c.period+2*c.timeout
}

// hung reports whether a goroutine is inside look for too long.
func (c *check) hung(now time.Time) bool { return c.inside && now.Sub(c.began) > c.timeout }

package health

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"
)

// Hysteresis: so many results in a row change a verdict.
const (
	failuresToFail = 3
	passesToPass   = 2
)

// recheck is how soon a failure is looked at again, at least.
const recheck = time.Second

// ErrCheckTimeout is the result of a check that did not return in time.
var ErrCheckTimeout = errors.New("health: the check did not return in time")

var (
	errPanic  = errors.New("health: panic in the check")
	errGoexit = errors.New("health: runtime.Goexit in the check")
)

// An outcome is the result of one check in words of our own: nothing in it
// belongs to the program any more.
type outcome struct {
	failed bool
	shown  string // what anybody may read
	detail string // what Process.Detail shows
}

var (
	timedOut = outcome{true, ErrCheckTimeout.Error(), ErrCheckTimeout.Error()}
	exited   = outcome{true, errGoexit.Error(), errGoexit.Error()}
)

// outcomeOf runs methods of err, which is the program's.
// They may panic or block, so it is called by ask alone, without a lock. The text of
// an error is withheld by default, since it may name hosts and users; a time-out of
// our own says nothing of the kind.
func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{}
	}
	o := outcome{failed: true, shown: "withheld", detail: textOf(err)}
	if !isNil(err) && errors.Is(err, ErrCheckTimeout) {
		o.shown = ErrCheckTimeout.Error()
	}
	return o
}

// isNil reports whether there is a nil pointer inside v, as when a function
// that has a *url.Error of its own returns it as an error.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// maxText is how much of a text is kept.
const maxText = 1 << 10

// textOf is the first line of v's text, whatever its methods do, except for
// blocking.
func textOf(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("%T, whose text cannot be had: it panics", v)
		}
	}()
	if isNil(v) {
		return fmt.Sprintf("a nil %T", v)
	}
	text, _, _ = strings.Cut(fmt.Sprint(v), "\n")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// verdict is what a row of results says.
type verdict struct {
	status   Status // StatusUnknown until there is one
	failures int    // in a row
	passes   int    // in a row
	since    time.Time
	recent   uint32 // the last results, a bit each, 1 for a failure
	results  int    // how many of these bits mean something
}

// What is called flaky: it fails often, and not in one outage, but again and
// again between successes, so that three failures in a row may never come.
const (
	recentResults = 20
	recentLeast   = 10
	flakyRatio    = 0.3
	flakyRuns     = 4
)

// ratio is the part of failures among the last results, 0 while these are few.
func (v *verdict) ratio() float64 {
	if v.results < recentLeast {
		return 0
	}
	return float64(bits.OnesCount32(v.recent)) / float64(v.results)
}

// flaky reports whether it fails often and in many separate runs; see flakyRatio.
func (v *verdict) flaky() bool {
	runs := bits.OnesCount32(v.recent &^ (v.recent >> 1)) // of failures: each has one that comes after a success
	return v.ratio() >= flakyRatio && runs >= flakyRuns
}

// add takes one result into account.
// The first result, if it is a success, is a verdict at once: a start should not wait
// for a second one. A first failure is none yet.
func (v *verdict) add(ok bool, now time.Time) {
	old := v.status
	v.recent = v.recent << 1 & (1<<recentResults - 1)
	v.results = min(v.results+1, recentResults)
	if !ok {
		v.recent |= 1
	}
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
	last   outcome   // the last result
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
	// names are unique within a kind: a detector may be called like a dependency
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
	if c.p.guarding != nil {
		within = min(within, time.Second)
	}
	c.arm(time.Duration(c.random.Int64N(int64(within))))
}

// arm replaces the timer. The Run is the present one, so that a timer of the Run before
// that fires late is told from ours.
func (c *check) arm(wait time.Duration) {
	c.stop()
	run := c.run
	c.timer = time.AfterFunc(wait, func() { c.tick(run) })
}

// stop takes the timer away; a goroutine that is inside look goes on, and its result is
// dropped by returned.
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
	// it hangs: the goroutine stays the only one, and the failure counts once a period
	if c.inside {
		c.late = true
		c.result(c.value, timedOut)
		c.arm(c.period)
		p.mu.Unlock()
		return
	}
	c.inside, c.late, c.began = true, false, time.Now()
	// the timer is now the watchdog of this check: if it fires while inside is set, the
	// check is late
	c.arm(c.deadline())
	p.mu.Unlock()

	ctx, cancel := context.WithTimeout(run, c.timeout)
	value, o := 0.0, exited
	// the goroutine is about to end then, and nothing else would clear inside
	defer func() { // after a Goexit, too
		cancel()
		c.returned(run, value, o)
	}()
	value, o = c.ask(ctx)
}

// ask is the one place where anything of the program's is touched: the check
// itself, and what its error or its panic has to say. All of that may panic,
// exit or block; it happens on this check's own goroutine, and without a lock.
func (c *check) ask(ctx context.Context) (value float64, o outcome) {
	o = exited
	defer func() {
		if v := recover(); v != nil {
			o = outcome{failed: true, shown: errPanic.Error(), detail: errPanic.Error() + ": " + textOf(v)}
		}
	}()
	value, err := c.look(ctx)
	return value, outcomeOf(err)
}

// deadline leaves a check a moment to return the error of its context.
func (c *check) deadline() time.Duration { return c.timeout + c.timeout/10 }

// returned takes the result of a check, unless it was late or its Run has
// ended, and arms the next.
func (c *check) returned(run context.Context, value float64, o outcome) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	c.inside = false
	if c.run.Err() != nil {
		return
	}
	if run == c.run && !c.late && run.Err() == nil {
		if time.Since(c.began) > c.deadline() { // and its timer was late as well
			o = timedOut
		}
		c.result(value, o)
	}
	// ± 10 %: checks of a fleet that started together drift apart
	c.arm(time.Duration(float64(c.next()) * (0.9 + 0.2*c.random.Float64())))
}

// next is when to look again: after a period, or sooner while a first failure
// waits to be confirmed. With a period of an hour it would take hours to say
// that something never worked.
func (c *check) next() time.Duration {
	if c.failures > 0 && c.status != StatusFail {
		return min(c.period, max(recheck, 2*c.timeout))
	}
	return c.period
}

// result adds a result and tells about a change. The caller holds p.mu.
func (c *check) result(value float64, o outcome) {
	old := c.status
	c.value, c.last, c.at = value, o, time.Now()
	if o.failed {
		c.failed++
	} else {
		c.passed++
	}
	c.add(!o.failed, c.at)
	if c.status != old {
		level := slog.LevelInfo
		if c.status == StatusFail {
			level = slog.LevelWarn
		}
		c.p.log(level, "a "+c.kind+" changed", "name", c.name, "from", old.String(), "to", c.status.String(), "err", c.p.show(o))
	}
	c.p.notice()
}

// stale reports whether the last result is too old to say anything.
func (c *check) stale(now time.Time) bool {
	return !c.at.IsZero() && now.Sub(c.at) > 3*c.period+2*c.timeout
}

// hung reports whether a goroutine is inside look for too long.
func (c *check) hung(now time.Time) bool { return c.inside && now.Sub(c.began) > c.timeout }

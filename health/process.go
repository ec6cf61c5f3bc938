package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Process is the health of this process. The zero value is alive and not
// started; set the exported fields before anything else. A Process must not be
// copied, and is safe for concurrent use.
//
// What most programs call: Watch for their loops, Started when they can serve,
// Depend for what they talk to, Run in the background, Handler for the probes,
// and Drain when they are told to stop.
//
// Nothing that the program hands in (checks, callbacks, a logger, the guard's
// Peers) is called while a lock is held, or where a probe would wait for it:
// each has at most one goroutine of its own, and a panic in it is contained
// and counted.
type Process struct {
	// Guard, if set, lets this process leave the traffic when it seems to
	// be the only one in trouble. Default nil: readiness is the life cycle
	// and nothing else. Set it before Run, which copies it.
	Guard *Guard

	// Detail shows the errors of checks in the report. Default false: they
	// may hold host names and user names. Set it where only operators can
	// ask, on an admin listener.
	Detail bool

	// Logger, if set, gets a record for each change. A logger that blocks
	// blocks nothing here: 64 records wait for it, and what is beyond that
	// is counted in the metrics. Nil: none.
	Logger *slog.Logger

	// Seed makes the times of checks repeatable, for simulations and tests.
	// Default 0: random, so that a fleet does not check in step.
	Seed uint64

	// What Live and Ready load.
	fatal    atomic.Pointer[cause]
	watches  atomic.Pointer[watches] // replaced as a whole
	started  atomic.Bool
	draining atomic.Bool
	heart    atomic.Int64 // when Run last ticked, on the clock of the watches; 0: it does not run
	frozen   atomic.Int64 // time of that clock in which the whole process stood still
	out      atomic.Bool  // the guard has let this process leave

	mu          sync.Mutex
	checks      []*check
	declared    []declared
	running     context.Context // of Run, nil when it does not run
	awaited     []string        // dependencies that StartedWhen names
	guarding    *Guard          // Run's copy of Guard
	fleet       fleet
	subscribers []*subscriber
	told        State // what the subscribers know
	journal     journal
	panics      int64 // in callbacks

	probers sync.Map // prober's name -> *atomic.Int64: who asks for the report
}

// Fatal says that only a restart can help, and why: from now on the process is
// not live. The first error stays; nil is ignored.
//
// Do not call it because a dependency failed. A restart does not fix that.
func (p *Process) Fatal(err error) {
	c := &cause{err: err}
	if err == nil || !p.fatal.CompareAndSwap(nil, c) {
		return
	}
	p.mu.Lock()
	p.notice() // before err is asked for its text, which may take a while
	p.mu.Unlock()
	text := textOf(err)
	c.text.Store(&text)
	p.changed(slog.LevelError, "fatal: only a restart helps", "err", text)
}

// cause is why a process is not live.
type cause struct {
	err  error
	text atomic.Pointer[string] // nil until err has been asked for it
}

// outcome is the failure as the report shows it: the text of the error is for
// the log alone, and there once the error, which is the program's own code, has
// answered.
func (c *cause) outcome() outcome {
	o := outcome{failed: true, shown: "withheld", detail: "withheld"}
	if text := c.text.Load(); text != nil {
		o.detail = *text
	}
	return o
}

// FatalErr returns what Fatal was told first, or nil.
func (p *Process) FatalErr() error {
	if c := p.fatal.Load(); c != nil {
		return c.err
	}
	return nil
}

// Live reports whether the process is alive: Fatal was not called, and no
// Watch has run out. It takes no lock and allocates nothing.
func (p *Process) Live() bool {
	if p.fatal.Load() != nil {
		return false
	}
	ws := p.watches.Load()
	if ws == nil {
		return true
	}
	now := p.clock(ws.epoch)
	for _, w := range ws.all {
		if w.stalled(now) > 0 {
			return false
		}
	}
	return true
}

// Started says that the process can serve.
func (p *Process) Started() {
	if p.started.CompareAndSwap(false, true) {
		p.changed(slog.LevelInfo, "started")
	}
}

// StartedWhen says that the process has started once each of these dependencies
// has passed a check, which Run notices within a second. All of them must be
// registered. It is for what a process cannot begin without (a schema, a first
// set of keys): while such a dependency is away, no new instance starts. A
// dependency that goes away later changes nothing.
func (p *Process) StartedWhen(dependencies ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(dependencies) == 0 {
		return errors.New("health: StartedWhen: no dependency is named; call Started")
	}
	for _, d := range dependencies {
		if p.dependency(d) == nil {
			return fmt.Errorf("health: StartedWhen: there is no dependency %q", d)
		}
	}
	p.awaited = append(p.awaited, dependencies...)
	return nil
}

// dependency finds a check by its name. The caller holds p.mu.
func (p *Process) dependency(name string) *check {
	for _, c := range p.checks {
		if c.kind == kindDependency && c.name == name {
			return c
		}
	}
	return nil
}

// startIfReady does what StartedWhen has promised.
// A dependency that has passed once is enough, whatever it does now. Run calls it on
// each tick, so it does nothing after the start.
func (p *Process) startIfReady() {
	p.mu.Lock()
	ready := len(p.awaited) > 0 && !p.started.Load()
	for _, d := range p.awaited {
		// never nil: StartedWhen has seen it, and checks are not removed
		ready = ready && p.dependency(d).passed > 0
	}
	p.mu.Unlock()
	if ready {
		p.Started()
	}
}

// IsStarted reports whether Started was called.
func (p *Process) IsStarted() bool { return p.started.Load() }

// Ready reports whether the process should get traffic: it has started, does
// not drain, and the guard has not let it leave. It takes no lock and
// allocates nothing.
func (p *Process) Ready() bool {
	return p.started.Load() && !p.draining.Load() && !p.out.Load()
}

// Drain makes the process not ready at once, and returns after d, when load
// balancers have taken note; shut the server down then. The process stays
// live. If ctx is done first, Drain returns its error; the process drains all
// the same, and for good.
//
// Choose d longer than the interval of the probes times their unhealthy
// threshold: 65 s for an ALB with default settings, 35 s on Kubernetes.
func (p *Process) Drain(ctx context.Context, d time.Duration) error {
	if p.draining.CompareAndSwap(false, true) {
		p.changed(slog.LevelInfo, "draining", "for", d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrRunning is returned by Run while another Run is in progress.
var ErrRunning = errors.New("health: Run is running already")

// Run checks dependencies and detectors, asks the guard, and notices watches
// that have run out, until ctx is done. It then returns nil, at once; a check
// that ignores its context may go on, and is forgotten. Its other errors are
// ErrRunning and what is wrong with the Guard.
//
// When Run ends nothing becomes ready: a process that the guard had let leave
// stays out until another Run decides otherwise.
func (p *Process) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := p.begin(ctx); err != nil {
		return err
	}
	defer p.end()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		// first, as what follows judges by the clock that it moves
		p.pulse()
		p.guard(ctx)
		p.startIfReady()
		p.mu.Lock()
		p.notice()
		p.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// begin checks the guard and starts all checks; Run is in effect from here to
// end. It fails if Run is at work already, and starts nothing then.
func (p *Process) begin(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return ErrRunning
	}
	if p.Guard != nil {
		if err := p.Guard.validate(); err != nil {
			return err
		}
		own := *p.Guard // what the program does with its own later changes nothing
		p.guarding = &own
	}
	p.running = ctx
	for _, c := range p.checks {
		c.start(ctx)
	}
	return nil
}

// end stops the checks. What they found last stays in the report, and ages
// there; the guard's state does not, as nobody steps it any more.
func (p *Process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = nil
	for _, c := range p.checks {
		c.stop()
	}
	p.fleet = fleet{asking: p.fleet.asking}
	p.heart.Store(0)
	p.notice()
}

// name checks the name of something that is about to be registered.
// what is the kind, for the message; of gets the name of one that is registered. The
// caller holds p.mu until it has registered the new one, or two could take a name.
func name[T any](what, name string, taken []T, of func(T) string) error {
	if name == "" {
		return fmt.Errorf("health: %s: the name is empty", what)
	}
	if !utf8.ValidString(name) { // Prometheus would take no metric at all
		return fmt.Errorf("health: %s %q: the name is not UTF-8", what, name)
	}
	for _, t := range taken {
		if of(t) == name {
			return fmt.Errorf("health: %s %q: the name is taken", what, name)
		}
	}
	return nil
}

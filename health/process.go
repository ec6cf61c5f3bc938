package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Process is the health of this process. The zero value is alive and not
// started; set the exported fields before anything else. A Process must not be
// copied, and is safe for concurrent use.
//
// What most programs call: Watch for their loops, Started when they can serve,
// Depend for what they talk to, Run in the background, Handler for the probes,
// and Drain when they are told to stop.
type Process struct {
	// Guard, if set, lets this process leave the traffic when it seems to
	// be the only one in trouble. Default nil: readiness is the life cycle
	// and nothing else.
	Guard *Guard

	// Detail shows the errors of checks in the report. Default false: they
	// may hold host names and user names. Set it where only operators can
	// ask, on an admin listener.
	Detail bool

	// Logger, if set, gets a record for each change of state. Nil: none.
	Logger *slog.Logger

	fatal    atomic.Pointer[error]
	watches  atomic.Pointer[[]*Watch] // replaced as a whole
	started  atomic.Bool
	draining atomic.Bool
	out      atomic.Bool // the guard has let this process leave

	mu           sync.Mutex
	dependencies []*dependency
	detectors    []*detector
	running      context.Context // of Run, nil when it does not run
	guard        GuardState
	guardNote    string
	onChange     []func(State)
	last         State
	panics       int64 // of callbacks

	probers sync.Map // prober's name -> *atomic.Int64: who asks for the report
}

// State is what OnChange is told.
type State struct {
	Live     bool
	Started  bool
	Draining bool
	Ready    bool
	Status   Status // of the report
}

// epoch is the zero of the clock of watches. It is monotonic.
var epoch = time.Now()

// Fatal says that only a restart can help, and why: from now on the process is
// not live. The first error stays; nil is ignored.
//
// Do not call it because a dependency failed. A restart does not mend that.
func (p *Process) Fatal(err error) {
	if err == nil || !p.fatal.CompareAndSwap(nil, &err) {
		return
	}
	p.changed("fatal", "err", err)
}

// FatalErr returns what Fatal was told first, or nil.
func (p *Process) FatalErr() error {
	if err := p.fatal.Load(); err != nil {
		return *err
	}
	return nil
}

// Live reports whether the process is alive: Fatal was not called, and no
// Watch has run out. It takes no lock and allocates nothing.
func (p *Process) Live() bool {
	if p.fatal.Load() != nil {
		return false
	}
	watches := p.watches.Load()
	if watches == nil {
		return true
	}
	now := int64(time.Since(epoch))
	for _, w := range *watches {
		if w.stalled(now) > 0 {
			return false
		}
	}
	return true
}

// Started says that the process can serve.
func (p *Process) Started() {
	if p.started.CompareAndSwap(false, true) {
		p.changed("started")
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
// threshold: 60 s for an ALB with default settings, 10 s on Kubernetes.
func (p *Process) Drain(ctx context.Context, d time.Duration) error {
	if p.draining.CompareAndSwap(false, true) {
		p.changed("draining", "for", d)
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

// OnChange registers f, which is told of each change of State, and, first of
// all, of the present one. Calls come one at a time and in order; f must
// return soon and must not call methods of p that change it. A panic in f is
// contained and counted in the metrics.
//
// A watch that runs out is noticed by Run, within a second.
func (p *Process) OnChange(f func(State)) {
	if f == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = p.state()
	p.onChange = append(p.onChange, f)
	p.tell(f, p.last)
}

// state is the present state. The caller holds p.mu.
func (p *Process) state() State {
	return State{
		Live: p.Live(), Started: p.started.Load(), Draining: p.draining.Load(), Ready: p.Ready(),
		Status: p.status(),
	}
}

// changed tells everybody about a change of state, if there is one, and the
// log about its cause.
func (p *Process) changed(cause string, args ...any) {
	if p.Logger != nil && cause != "" {
		p.Logger.Info("health: "+cause, args...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notice()
}

// notice tells the callbacks if the state has changed. The caller holds p.mu.
func (p *Process) notice() {
	s := p.state()
	if s == p.last {
		return
	}
	p.last = s
	for _, f := range p.onChange {
		p.tell(f, s)
	}
}

// tell calls f and contains its panic. The caller holds p.mu.
func (p *Process) tell(f func(State), s State) {
	defer func() {
		if recover() != nil {
			p.panics++
		}
	}()
	f(s)
}

// ErrRunning is returned by a Run beside another one.
var ErrRunning = errors.New("health: Run is running already")

// Run checks dependencies, looks after detectors and the guard, and notices
// watches that have run out, until ctx is done. It then returns nil, at once;
// a check that ignores its context may go on, and is forgotten.
func (p *Process) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.running != nil {
		p.mu.Unlock()
		return ErrRunning
	}
	if p.Guard != nil {
		if err := p.Guard.validate(); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	p.running = ctx
	for _, d := range p.dependencies {
		d.start(ctx)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running = nil
		p.mu.Unlock()
	}()

	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%int(detectEvery/time.Second) == 0 {
			p.detect()
		}
		p.guardStep(ctx)
		p.changed("")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// uniqueName checks the name of something that is about to be registered.
func uniqueName(what, name string, taken []string) error {
	switch {
	case name == "":
		return fmt.Errorf("health: %s: the name is empty", what)
	case slices.Contains(taken, name):
		return fmt.Errorf("health: %s %q: the name is taken", what, name)
	}
	return nil
}

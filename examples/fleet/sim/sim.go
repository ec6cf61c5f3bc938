package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/health"
)

// Config is one run. Zero values get the defaults that are named.
type Config struct {
	Platform Platform
	Scenario Scenario
	Policy   Policy

	Instances int           // 10
	Rate      float64       // requests a second: 100 an instance
	Capacity  float64       // of an instance: 200 a second
	Begin     time.Duration // of the fault: 5 min
	End       time.Duration // 35 min
	Length    time.Duration // 60 min
	Seed      uint64        // 1

	// Observe, if set, is shown each second.
	Observe func(Second)
}

// withDefaults is the configuration with the numbers that its fields name.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.Begin, 5*time.Minute)
	set(&c.End, 35*time.Minute)
	set(&c.Length, 60*time.Minute)
	if c.Instances == 0 {
		c.Instances = 10
	}
	if c.Rate == 0 {
		c.Rate = 100 * float64(c.Instances)
	}
	if c.Capacity == 0 {
		c.Capacity = 200
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Scenario.Best == 0 {
		c.Scenario.Best = 1
	}
	return c
}

// Second is what happened in one.
type Second struct {
	At     time.Duration
	Fault  bool
	Served float64 // part of the requests
	States []State // of the instances
}

// State is that of an instance, as the platform sees it.
type State uint8

// The states.
const (
	Booting State = iota
	InService
	OutOfService // it runs, and gets no traffic
)

// Result is what came of a run.
type Result struct {
	Served   float64 // percent of the requests from Begin to End
	Restarts int     // by the platform, in the whole run
	Ejected  int     // how often an instance lost its traffic

	// Recovery is how long after End the last request failed that should
	// not have, or the last instance was restarted. Never: that was in the
	// last five minutes of the run.
	Recovery time.Duration
	Never    bool

	// Found is how long after Begin the platform first restarted something.
	Found time.Duration
}

// Run runs one simulation.
//
// It returns what came of it, and the errors of policies. The same
// configuration gives the same result: every choice comes from generators that
// are seeded.
func Run(ctx context.Context, c Config) (Result, error) {
	f := &fleet{Config: c.withDefaults(), began: time.Now()}
	ctx, stop := context.WithCancel(ctx)
	f.ctx = ctx
	f.mu.Lock()
	for slot := range f.Instances {
		f.all = append(f.all, &Instance{fleet: f, Slot: slot})
		f.boot(f.all[slot], time.Duration(slot)*7*time.Millisecond) // nothing happens at the same instant
	}
	f.mu.Unlock()
	// What a person or a pipeline does to the fleet has a goroutine of its own.
	if f.Scenario.Roll {
		go f.roll()
	}
	if f.Scenario.Rollout {
		go f.rollout()
	}
	f.run()
	stop()
	wait(context.WithoutCancel(ctx), 2*time.Minute) // for whoever does not listen
	return f.result, errors.Join(f.errs...)
}

// fleet is the state of a run.
//
// Time passes in run; everything else happens because a timer of the bubble
// fires: a probe, a boot, a restart.
type fleet struct {
	Config
	ctx   context.Context
	began time.Time

	mu      sync.Mutex // guards what follows, and Instances
	all     []*Instance
	booted  int
	served  float64
	result  Result
	lastBad time.Duration
	errs    []error
}

// Instance is one place of the fleet, and what runs there.
type Instance struct {
	fleet *fleet
	Slot  int
	ID    string

	random     *rand.Rand
	generation int
	up         bool // it answers
	inService  bool
	stop       context.CancelFunc
	service    Service
	restarts   int // in a row, for the back-off
	since      time.Time
	stuck      bool // its worker loop is dead
	draining   bool
	known      []health.Peer
	knownAt    time.Time
	addr       netip.Addr   // of this generation
	peerz      http.Handler // what it answers its peers; nil: nothing

	// Fresh: it runs the version that a rollout brings.
	Fresh bool
}

// at is the time since the run began.
func (f *fleet) at() time.Duration { return time.Since(f.began) }

// fault reports whether the fault is in force now.
func (f *fleet) fault() bool {
	at := f.at()
	return at >= f.Begin && (at < f.End || f.Scenario.Lasting)
}

// Seed is different for each instance that was ever started.
func (i *Instance) Seed() uint64 {
	return i.fleet.Seed<<32 + uint64(i.generation)<<16 + uint64(i.Slot) + 1
}

// chance is true with probability p.
func (i *Instance) chance(p float64) bool {
	i.fleet.mu.Lock()
	defer i.fleet.mu.Unlock()
	return i.random.Float64() < p
}

// Ask asks the dependency, as a health check does.
func (i *Instance) Ask(ctx context.Context) error {
	wait(ctx, 5*time.Millisecond)
	if i.fleet.Scenario.Check == nil || !i.fleet.fault() {
		return nil
	}
	return i.fleet.Scenario.Check(ctx, i)
}

// Peers is the fleet signal: what all said of themselves at most 5 s ago.
func (i *Instance) Peers(context.Context) ([]health.Peer, error) {
	f := i.fleet
	if f.Scenario.SignalDown && f.fault() {
		return nil, errDown
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(i.knownAt) >= 5*time.Second {
		i.known, i.knownAt = nil, now
		for _, other := range f.all {
			if other.up && !other.lost() && other.service.Self != nil {
				s := other.service.Self()
				i.known = append(i.known, health.Peer{ID: other.ID, Bad: s.Bad, Out: s.Out, Seen: now})
			}
		}
	}
	return i.known, nil
}

// boot starts what runs in i's place, after a while.
func (f *fleet) boot(i *Instance, after time.Duration) {
	time.AfterFunc(after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.ctx.Err() == nil {
			f.start(i)
		}
	})
}

// start makes i answer. The caller holds f.mu.
//
// A generation is one life of an instance: callbacks of an earlier one find
// that it has changed, and do nothing.
func (f *fleet) start(i *Instance) {
	i.generation++
	i.ID = fmt.Sprintf("i-%02d-%d", i.Slot, i.generation)
	i.addr = netip.AddrFrom4([4]byte{10, byte(i.generation), byte(i.Slot >> 8), byte(i.Slot)})
	i.peerz = nil
	i.random = rand.New(rand.NewPCG(f.Seed, i.Seed()))
	ctx, stop := context.WithCancel(f.ctx)
	s, err := f.Policy.New(ctx, i)
	if err != nil {
		f.errs = append(f.errs, err)
		stop()
		return
	}
	i.service, i.stop, i.since = s, stop, time.Now()
	i.up, i.stuck, i.draining = true, false, false
	first := f.booted < f.Instances // the fleet that is there when the run begins
	f.booted++
	i.inService = first
	generation := i.generation
	ready := &prober{Probe: f.Platform.Ready, handler: i.onHost(s.Ready)}
	ready.told = func(healthy bool) { f.ready(i, generation, healthy) }
	ready.start(ctx, i.offset(ready.Interval))
	if first {
		ready.known, ready.healthy = true, true
	}
	live := s.Live
	if live == nil && f.Platform.DeepLive {
		live = s.Ready
	}
	if live != nil {
		l := &prober{Probe: f.Platform.Live, handler: i.onHost(live)}
		l.told = func(healthy bool) { f.live(i, generation, healthy) }
		l.start(ctx, i.offset(l.Interval)+l.Interval/2) // not beside the other probe
	}
	go i.work(ctx, s)
}

// offset is when an instance is first asked: after 3 s, and a random part of
// the interval. Two questions to a handler that holds a lock while it checks
// must not meet: who waits for a lock stops the virtual time.
func (i *Instance) offset(interval time.Duration) time.Duration {
	return 3*time.Second + time.Duration(i.random.Float64()*0.2*float64(interval))
}

// ready is told by the readiness probe.
func (f *fleet) ready(i *Instance, generation int, healthy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i.generation != generation || !i.up {
		return
	}
	i.inService = healthy
	if !healthy && !i.draining {
		f.result.Ejected++
		if f.Platform.KillUnready {
			f.restart(i, true)
		}
	}
}

// live is told by the liveness probe.
func (f *fleet) live(i *Instance, generation int, healthy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i.generation == generation && i.up && !healthy {
		f.restart(i, true)
	}
}

// restart stops i and starts it again. The caller holds f.mu.
//
// The back-off doubles with each restart that the platform makes, as the
// CrashLoopBackOff of Kubernetes does, and is forgotten after an instance has
// lasted for twice the longest one.
func (f *fleet) restart(i *Instance, platform bool) {
	i.stop()
	i.up, i.inService = false, false
	wait := f.Platform.Boot
	if platform {
		f.result.Restarts++
		if f.result.Restarts == 1 {
			f.result.Found = f.at() - f.Begin
		}
		f.lastBad = f.at()
		if f.Platform.Backoff > 0 {
			if time.Since(i.since) > 2*f.Platform.MaxBackoff {
				i.restarts = 0
			}
			wait += min(f.Platform.Backoff<<i.restarts, f.Platform.MaxBackoff)
			i.restarts = min(i.restarts+1, 10)
		}
	}
	f.boot(i, wait)
}

// work is the worker loop of an instance: every 5 s, a call of a dependency.
func (i *Instance) work(ctx context.Context, s Service) {
	for ctx.Err() == nil {
		s.Watch.Beat()
		if f := i.fleet; f.fault() && f.Scenario.Deadlock && i.Slot == badSlot && i.generation == 1 {
			f.mu.Lock()
			i.stuck = true
			f.mu.Unlock()
			<-ctx.Done() // a lock that nobody releases
			return
		}
		call := func() {
			if f := i.fleet; f.fault() && f.Scenario.Hang > 0 {
				wait(ctx, f.Scenario.Hang)
			}
		}
		if s.BeatOnly {
			call()
		} else {
			s.Watch.Wait(call)
		}
		s.Watch.Idle()
		wait(ctx, 5*time.Second)
	}
}

// drainTime is longer than any platform needs to take note.
const drainTime = 65 * time.Second

// roll restarts one instance after the other.
func (f *fleet) roll() {
	wait(f.ctx, f.Begin)
	for _, i := range f.all {
		f.mu.Lock()
		s, generation := i.service, i.generation
		i.draining = true
		f.mu.Unlock()
		if s.Drain != nil {
			_ = s.Drain(f.ctx, drainTime) // ends early when the run does
		}
		f.mu.Lock()
		if i.generation == generation && i.up {
			f.replace(i)
		}
		f.mu.Unlock()
		wait(f.ctx, 105*time.Second)
	}
}

// replace stops i on purpose: the platform learns of it from its probes only,
// and goes on sending requests until then. The caller holds f.mu.
func (f *fleet) replace(i *Instance) {
	was := i.inService
	f.restart(i, false)
	if !was {
		return
	}
	i.inService = true // in the platform's mind
	generation, r := i.generation, f.Platform.Ready
	time.AfterFunc(time.Duration(r.Unhealthy)*r.Interval, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i.generation == generation {
			i.inService = false
		}
	})
}

// run lets the time of the run pass, second by second.
func (f *fleet) run() {
	window := 0
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for f.at() < f.Length {
		<-tick.C
		synctest.Wait()
		s := f.second()
		if s.At >= f.Begin && s.At < f.End {
			window++
			f.served += s.Served
		}
		if f.Observe != nil {
			f.Observe(s)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.Served = round(100 * f.served / float64(window))
	f.result.Recovery = max(0, f.lastBad-f.End)
	f.result.Never = f.lastBad > f.Length-5*time.Minute
}

// second sends the requests of one second.
//
// There are no requests as such: their number is divided among the instances in
// service, and of each share what fits the instance's capacity is served.
func (f *fleet) second() Second {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Second{At: f.at(), Fault: f.fault()}
	var targets []*Instance
	for _, i := range f.all {
		state := Booting
		switch {
		case i.inService:
			state = InService
			targets = append(targets, i)
		case i.up:
			state = OutOfService
		}
		s.States = append(s.States, state)
	}
	if len(targets) == 0 && f.Platform.FailOpen {
		for _, i := range f.all {
			if i.up {
				targets = append(targets, i)
			}
		}
	}
	for _, i := range targets {
		share := f.Rate / float64(len(targets))
		s.Served += min(share, f.Capacity) * f.serves(i) / f.Rate
	}
	s.Served = round(s.Served)
	best := 1.0
	if s.Fault {
		best = f.Scenario.Best
	}
	if s.Served < best {
		f.lastBad = s.At
	}
	return s
}

// round takes away what the addition of fractions leaves.
func round(x float64) float64 { return math.Round(x*1e9) / 1e9 }

// serves is the part of its requests that i can serve.
func (f *fleet) serves(i *Instance) float64 {
	switch {
	case !i.up || i.stuck || i.lost():
		return 0
	case f.fault() && f.Scenario.Served != nil:
		return f.Scenario.Served(i)
	}
	return 1
}

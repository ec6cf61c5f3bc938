package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Peer is what is known of one instance of the fleet.
type Peer struct {
	ID   string
	Bad  bool      // it suspects itself: its last check of something failed
	Out  bool      // its guard has let it leave
	Seen time.Time // when it said so, by the clock of the reader
}

// Guard decides whether an instance that is in trouble may leave the traffic.
// It may if it is one of few; if much of the fleet is in trouble, the cause is
// elsewhere, and everybody stays.
//
// The signal is what Peers returns. Without a signal nobody leaves. Liveness
// never asks the guard.
type Guard struct {
	// ID is this instance's name among the Peers. Required.
	ID string

	// Peers returns the fleet; it may or may not list this instance. It is
	// called once a second while Run runs, never beside itself, with 1 s to
	// answer. Required. Packages health/peers and health/peersdynamo have
	// one each.
	Peers func(context.Context) ([]Peer, error)

	// MinPeers is the least number of other instances that must have been
	// heard of within Fresh. Default 2.
	MinPeers int

	// MaxOut is the part of the fleet that may be out at a time; one
	// instance always may. Default 0.10.
	MaxOut float64

	// Panic is the part of the fleet that must be in trouble for everybody
	// to stay, or come back. Default 0.50.
	Panic float64

	// Settle is how long an instance must have been in trouble, without
	// one success, before it leaves: long enough for all others to have
	// noticed a fault that is common. Default 20 s.
	Settle time.Duration

	// Cool is how long nobody leaves after the whole fleet was in trouble.
	// Default 60 s.
	Cool time.Duration

	// Fresh is how old what a peer said may be. Default 15 s.
	Fresh time.Duration
}

// Self is this instance, as the rule sees it, and as its peers should: publish
// it with every answer.
type Self struct {
	ID       string
	Bad      bool // the last check failed
	Failures int  // in a row
	Unknown  bool // not bad, but not everything has been checked yet
	Out      bool // the guard has let it leave
}

// GuardState is what the rule remembers from one step to the next. The zero
// value is an instance that is new.
type GuardState struct {
	Out      bool
	Joined   bool      // it has been in for good: it was well, or it had to be
	BadSince time.Time // or not known since; zero: well
	Cooling  time.Time // nobody leaves before
}

func (g *Guard) validate() error {
	switch {
	case g.ID == "":
		return errors.New("health: Guard.ID is empty")
	case g.Peers == nil:
		return errors.New("health: Guard.Peers is nil")
	case g.MinPeers < 0, g.Settle < 0, g.Cool < 0, g.Fresh < 0:
		return errors.New("health: Guard: MinPeers, Settle, Cool and Fresh must not be negative")
	case !(g.MaxOut >= 0 && g.MaxOut <= 1), !(g.Panic >= 0 && g.Panic <= 1): // nor NaN
		return fmt.Errorf("health: Guard: MaxOut is %v and Panic %v; both must be between 0 and 1", g.MaxOut, g.Panic)
	}
	return nil
}

// withDefaults returns g with its zero values replaced.
func (g *Guard) withDefaults() Guard {
	d := *g
	d.MinPeers = orDefault(d.MinPeers, 2)
	d.MaxOut = orDefault(d.MaxOut, 0.10)
	d.Panic = orDefault(d.Panic, 0.50)
	d.Settle = orDefault(d.Settle, 20*time.Second)
	d.Cool = orDefault(d.Cool, 60*time.Second)
	d.Fresh = orDefault(d.Fresh, 15*time.Second)
	return d
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// Step is the rule: a pure function of what is known, that does not change
// peers. signal is false if the fleet could not be asked. The note says why,
// for the report.
//
//   - Self is well: in.
//   - No signal, or too few fresh peers: as before.
//   - More than Panic of the fleet is bad: in, and nobody leaves for Cool.
//   - Already out: out, unless, by ID, max(1, MaxOut of the fleet) others are
//     out before it.
//   - Else out, but only if there is room for it: who is out, and who is bad
//     and comes before it by ID, are fewer than max(1, MaxOut of the fleet);
//     and only after three failures in a row and Settle without a success.
//   - Who is new need not wait: what cannot work does not get traffic at
//     first, lest a bad host gets it again with each replacement. A new
//     instance whose checks say nothing yet is out for at most Settle.
//
// The shape follows "Implementing health checks" of the Amazon Builders'
// Library (fail open when the fleet is in trouble) and Envoy's outlier
// detection (panic threshold, maximal ejection).
func (g *Guard) Step(s GuardState, self Self, peers []Peer, signal bool, now time.Time) (next GuardState, note string) {
	d := g.withDefaults()
	if !self.Bad && (s.Joined || !self.Unknown) {
		return GuardState{Joined: true, Cooling: s.Cooling}, ""
	}
	if s.BadSince.IsZero() {
		s.BadSince = now
	}
	settled := now.Sub(s.BadSince) >= d.Settle
	f := d.count(self.ID, peers, now)
	if !signal || f.size-1 < d.MinPeers {
		s.Joined = s.Joined || settled
		return s, "in trouble, or new; too little of the fleet can be seen, so nothing changes"
	}
	f.bad += bit(self.Bad)
	if float64(f.bad) > d.Panic*float64(f.size) {
		s.Out, s.Joined, s.Cooling = false, true, now.Add(d.Cool)
		return s, fmt.Sprintf("%d of %d are in trouble: everybody stays", f.bad, f.size)
	}
	if !self.Bad && settled {
		return GuardState{Joined: true, Cooling: s.Cooling}, "not everything was checked in time; in all the same"
	}
	room := max(1, int(d.MaxOut*float64(f.size)))
	switch {
	case s.Out && f.outBefore < room:
		return s, "in trouble, or new; out"
	case s.Out:
		s.Out = false
		return s, "in trouble; too many are out, so it is back"
	case now.Before(s.Cooling):
		return s, "in trouble; the whole fleet was, a moment ago"
	case s.Joined && (self.Failures < failuresToFail || !settled):
		return s, "in trouble; it may pass"
	case f.out+f.badBefore >= room:
		return s, "in trouble; others go first, or are out already"
	}
	s.Out = true
	return s, "in trouble, or new; out"
}

// counts is the fleet in numbers.
type counts struct {
	size      int // with self
	bad       int // of the others
	out       int // of the others
	outBefore int // those of them whose ID is before self's
	badBefore int // bad, not out, and before self
}

// count looks at the fresh peers, each once: the one that was seen last.
func (g *Guard) count(self string, peers []Peer, now time.Time) counts {
	fresh := make([]Peer, 0, len(peers))
	for _, p := range peers {
		if p.ID != self && p.ID != "" && now.Sub(p.Seen).Abs() <= g.Fresh {
			fresh = append(fresh, p)
		}
	}
	slices.SortStableFunc(fresh, func(a, b Peer) int {
		if a.ID != b.ID {
			return strings.Compare(a.ID, b.ID)
		}
		return b.Seen.Compare(a.Seen)
	})
	fresh = slices.CompactFunc(fresh, func(a, b Peer) bool { return a.ID == b.ID })
	c := counts{size: len(fresh) + 1}
	for _, p := range fresh {
		before := bit(p.ID < self)
		c.bad += bit(p.Bad)
		c.out += bit(p.Out)
		c.outBefore += bit(p.Out) * before
		c.badBefore += bit(p.Bad && !p.Out) * before
	}
	return c
}

// fleet is what Run knows of the other instances. Guarded by Process.mu.
type fleet struct {
	asking bool // a goroutine is inside Peers
	peers  []Peer
	at     time.Time // of the last answer; zero: none
	state  GuardState
	note   string
}

// askTimeout bounds Guard.Peers. An answer counts for a few times that.
const (
	askTimeout = time.Second
	answerAge  = 5 * time.Second
)

// guard asks the fleet, in the background, and applies the rule to what it
// knows. Run calls it each second.
func (p *Process) guard(run context.Context) {
	if p.Guard == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.fleet.asking {
		p.fleet.asking = true
		go p.ask(run)
	}
	p.decide()
}

// ask is the goroutine that fleet.asking stands for.
func (p *Process) ask(run context.Context) {
	var peers []Peer
	err := errPanic
	defer func() {
		if recover() != nil || errors.Is(err, errPanic) { // or a Goexit
			p.mu.Lock()
			p.panics++
			p.mu.Unlock()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fleet.asking = false
		if p.running != run || run.Err() != nil {
			return
		}
		p.fleet.peers, p.fleet.at = peers, time.Now()
		if err != nil {
			p.fleet.at = time.Time{}
		}
		p.decide()
		p.notice()
	}()
	ctx, cancel := context.WithTimeout(run, askTimeout)
	defer cancel()
	peers, err = p.Guard.Peers(ctx)
}

// decide applies the rule. The caller holds p.mu.
func (p *Process) decide() {
	f, now := &p.fleet, time.Now()
	was := f.state.Out
	signal := !f.at.IsZero() && now.Sub(f.at) <= answerAge
	f.state, f.note = p.Guard.Step(f.state, p.self(), f.peers, signal, now)
	p.out.Store(f.state.Out)
	if f.state.Out != was {
		p.log(slog.LevelWarn, "the guard has decided", "out", f.state.Out, "why", f.note)
	}
}

// Self is this instance as its peers should see it. Bad is set by the first
// failure, so that everybody sees a common fault before anybody may leave.
func (p *Process) Self() Self {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self()
}

// self judges by what is not soft, and by the detectors. The caller holds
// p.mu.
func (p *Process) self() (s Self) {
	if p.Guard != nil {
		s.ID = p.Guard.ID
	}
	s.Out = p.fleet.state.Out
	for _, c := range p.checks {
		switch {
		case c.soft:
		case c.bad():
			s.Bad, s.Failures = true, max(s.Failures, c.failures)
		case c.status == StatusUnknown:
			s.Unknown = true
		}
	}
	s.Unknown = s.Unknown && !s.Bad
	return s
}

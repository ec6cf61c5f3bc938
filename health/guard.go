package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Peer is what is known of one instance of the fleet.
type Peer struct {
	ID   string
	Bad  bool      // it suspects itself: its last check of something failed
	Seen time.Time // when it said so
}

// Guard decides whether an instance that is in trouble may leave the traffic.
// It may if it is one of few; if much of the fleet is in trouble, the cause is
// elsewhere, and everybody stays.
//
// The signal is what Peers returns. Without a signal nobody leaves.
type Guard struct {
	// ID is this instance's name among the Peers. Required.
	ID string

	// Peers returns the fleet; it may or may not list this instance. It is
	// called about once a second while Run runs, with 1 s to answer, in the
	// background. Required.
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

// Self is this instance, as the rule sees it.
type Self struct {
	ID       string
	Bad      bool // the last check failed
	Failures int  // in a row
}

// GuardState is what the rule remembers from one step to the next. The zero
// value is an instance that is in.
type GuardState struct {
	Out      bool
	BadSince time.Time // zero: not bad
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
	case g.MaxOut < 0, g.MaxOut > 1, g.Panic < 0, g.Panic > 1:
		return fmt.Errorf("health: Guard: MaxOut is %v and Panic %v; both must be between 0 and 1", g.MaxOut, g.Panic)
	}
	return nil
}

// withDefaults returns g with its zero values replaced.
func (g *Guard) withDefaults() Guard {
	d := *g
	if d.MinPeers == 0 {
		d.MinPeers = 2
	}
	if d.MaxOut == 0 {
		d.MaxOut = 0.10
	}
	if d.Panic == 0 {
		d.Panic = 0.50
	}
	if d.Settle == 0 {
		d.Settle = 20 * time.Second
	}
	if d.Cool == 0 {
		d.Cool = 60 * time.Second
	}
	if d.Fresh == 0 {
		d.Fresh = 15 * time.Second
	}
	return d
}

// Step is the rule: a pure function of what is known. signal is false if the
// fleet could not be asked. The note says why, for the report.
//
//   - Self is well: in.
//   - No signal, or too few fresh peers: as before.
//   - More than Panic of the fleet is bad: in, and nobody leaves for Cool.
//   - Else out, but only after three failures in a row and Settle without a
//     success, and only if self is among the first max(1, MaxOut of the fleet)
//     of the bad ones, by ID.
func (g *Guard) Step(s GuardState, self Self, peers []Peer, signal bool, now time.Time) (next GuardState, note string) {
	d := g.withDefaults()
	if !self.Bad {
		return GuardState{Cooling: s.Cooling}, ""
	}
	if s.BadSince.IsZero() {
		s.BadSince = now
	}
	var bad []string
	fresh := 0
	for _, p := range peers {
		if p.ID == self.ID || now.Sub(p.Seen) > d.Fresh || slices.Contains(bad, p.ID) {
			continue
		}
		fresh++
		if p.Bad {
			bad = append(bad, p.ID)
		}
	}
	if !signal || fresh < d.MinPeers {
		return s, "in trouble; the fleet cannot be seen, so nothing changes"
	}
	fleet := fresh + 1
	bad = append(bad, self.ID)
	if float64(len(bad)) > d.Panic*float64(fleet) {
		s.Out, s.Cooling = false, now.Add(d.Cool)
		return s, fmt.Sprintf("in trouble, with %d of %d: everybody stays", len(bad), fleet)
	}
	if s.Out {
		return s, "in trouble, and out"
	}
	if now.Before(s.Cooling) || self.Failures < failuresToFail || now.Sub(s.BadSince) < d.Settle {
		return s, "in trouble; it may pass"
	}
	slices.Sort(bad)
	if slices.Index(bad, self.ID) >= max(1, int(d.MaxOut*float64(fleet))) {
		return s, "in trouble; others are out already"
	}
	s.Out = true
	return s, "in trouble, and out"
}

// guardStep asks the fleet and applies the rule. Run calls it each second.
func (p *Process) guardStep(ctx context.Context) {
	if p.Guard == nil {
		return
	}
	var peers []Peer
	err := errors.New("health: panic in Guard.Peers")
	func() {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		defer func() {
			if recover() != nil {
				p.mu.Lock()
				p.panics++
				p.mu.Unlock()
			}
		}()
		peers, err = p.Guard.Peers(ctx)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.guard.Out
	p.guard, p.guardNote = p.Guard.Step(p.guard, p.self(), peers, err == nil, time.Now())
	p.out.Store(p.guard.Out)
	if p.guard.Out != was && p.Logger != nil {
		p.Logger.Warn("health: the guard has decided", "out", p.guard.Out, "why", p.guardNote)
	}
}

// Self is this instance as its peers should see it: publish Bad, which is
// set by the first failure, so that everybody sees a common fault before
// anybody may leave.
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
	for _, d := range p.dependencies {
		if !d.Soft && (d.failures > 0 || d.status == StatusFail) {
			s.Bad, s.Failures = true, max(s.Failures, d.failures)
		}
	}
	for _, d := range p.detectors {
		if d.failures > 0 || d.status == StatusFail {
			s.Bad, s.Failures = true, max(s.Failures, d.failures)
		}
	}
	return s
}

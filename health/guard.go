package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Peer is what is known of one instance of the fleet.
type Peer struct {
	ID   string    // unique in the fleet
	Bad  bool      // it suspects itself: its last check of something failed
	Out  bool      // its guard has let it leave
	New  bool      // it has never been well since it started
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

	// MinPeers is the least number of other instances that must be well,
	// and have been heard of within Fresh, for this one to leave and to
	// stay out. Default 2; a fleet of two needs 1.
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

	// Fresh is how old what a peer said may be. Default 15 s. A peer that
	// was in trouble when it fell silent counts as out for four times that:
	// who is out may be gone from the look-up by which peers are found.
	Fresh time.Duration
}

// Self is this instance, as the rule sees it, and as its peers should: publish
// it with every answer.
type Self struct {
	ID       string // Guard.ID
	Bad      bool   // the last check failed
	Failures int    // in a row
	Unknown  bool   // not bad, but not everything has been checked yet
	Out      bool   // the guard has let it leave
	New      bool   // it has never been well since it started
}

// GuardState is what the rule remembers from one step to the next. The zero
// value is an instance that is new.
type GuardState struct {
	Out      bool      // this instance has left the traffic
	Joined   bool      // it has been in for good: it was well, or it had to be
	BadSince time.Time // or not known since; zero: well
	Cooling  time.Time // nobody leaves before

	// Alone is since when there has been no fresh reason to stay out: no
	// signal, or too few others that are well.
	Alone time.Time

	// Queued is since when the same others, of which For is a digest, have
	// come before it although there was room for one more.
	Queued time.Time
	For    uint64
}

// validate refuses what would make the guard act at random, NaN included; Run
// returns its error.
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
	if err := units("Settle", g.Settle, "Cool", g.Cool, "Fresh", g.Fresh); err != nil {
		return fmt.Errorf("health: Guard: %w", err)
	}
	return nil
}

// withDefaults returns g with its zero values replaced.
func (g *Guard) withDefaults() Guard {
	d := *g
	d.MinPeers = cmp.Or(d.MinPeers, 2)
	d.MaxOut = cmp.Or(d.MaxOut, 0.10)
	d.Panic = cmp.Or(d.Panic, 0.50)
	d.Settle = cmp.Or(d.Settle, 20*time.Second)
	d.Cool = cmp.Or(d.Cool, 60*time.Second)
	d.Fresh = cmp.Or(d.Fresh, 15*time.Second)
	return d
}

// Step is the rule: a pure function of what is known, that does not change
// peers. signal is false if the fleet could not be asked. The note says why,
// for the report.
//
//   - Self is well: in.
//   - More than Panic of the fleet is bad: in, and nobody leaves for Cool.
//     Those who are new do not count, unless there are only new ones.
//   - No signal, or fewer than MinPeers others are well: nobody leaves; who is
//     out is back after Settle, since nothing says any more that others serve.
//   - Out: it stays out, unless max(1, MaxOut of the fleet) others are out that
//     come before it by ID.
//   - It leaves if there is room for it: who is out, and who is bad and comes
//     before it by ID, are fewer than max(1, MaxOut of the fleet); and only
//     after three failures in a row and Settle without a success. Others that
//     come before it and do not leave hold it up for three times Settle each.
//   - Who is new and bad is out at once, whatever the room, and takes none:
//     what cannot work gets no traffic at first, and a rollout of something
//     broken stops. A new instance whose checks say nothing yet is out for at
//     most Settle.
//
// The shape follows "Implementing health checks" of the Amazon Builders'
// Library (fail open when the fleet is in trouble) and Envoy's outlier
// detection (panic threshold, maximal ejection).
func (g *Guard) Step(s GuardState, self Self, peers []Peer, signal bool, now time.Time) (next GuardState, note string) {
	d := g.withDefaults()
	// Well, or well as far as is known and in before. The cooling stays: it is about the
	// fleet, and not about this instance.
	if !self.Bad && (s.Joined || !self.Unknown) {
		return GuardState{Joined: true, Cooling: s.Cooling}, ""
	}
	if s.BadSince.IsZero() {
		s.BadSince = now
	}
	// from here on this instance is in trouble, or not known yet
	settled := now.Sub(s.BadSince) >= d.Settle
	f := d.count(self.ID, peers, now)
	if part, of := f.trouble(self, s.Joined); signal && of > d.MinPeers && float64(part) > d.Panic*float64(of) {
		return GuardState{Joined: true, BadSince: s.BadSince, Cooling: now.Add(d.Cool)},
			fmt.Sprintf("%d of %d are in trouble: everybody stays", part, of)
	}
	// before anything lets it leave: without others that serve, traffic would go nowhere
	if !signal || f.well < d.MinPeers {
		return s.alone(d.Settle, settled, now, fmt.Sprintf("it sees %d others that are well, and needs %d", f.well, d.MinPeers))
	}
	s.Alone = time.Time{}
	if !self.Bad && settled {
		return GuardState{Joined: true, Cooling: s.Cooling}, "not everything was checked in time; in all the same"
	}
	// rounded down, and one at least: 10 % of a fleet of five would be nobody
	room := max(1, int(d.MaxOut*float64(f.size)))
	if s.Joined {
		return s.queue(d, f, self, room, settled, now)
	}
	if now.Before(s.Cooling) {
		return s, "new, and in trouble; the whole fleet was, a moment ago"
	}
	s.Out = true
	return s, "new, and has not been well yet; out"
}

// alone is the step of an instance that sees too little of the fleet.
func (s GuardState) alone(settle time.Duration, settled bool, now time.Time, why string) (GuardState, string) {
	s.Joined = s.Joined || settled
	s.Queued, s.For = time.Time{}, 0
	if !s.Out {
		s.Alone = time.Time{}
		return s, "in trouble, or new; " + why + ", so it stays in"
	}
	if s.Alone.IsZero() {
		s.Alone = now
	}
	if now.Sub(s.Alone) < settle {
		return s, "out; " + why
	}
	s.Out, s.Joined, s.Alone = false, true, time.Time{}
	return s, "back; " + why
}

// queue is the step of an instance that has been well before, and may have to
// wait for others.
func (s GuardState) queue(d Guard, f counts, self Self, room int, settled bool, now time.Time) (GuardState, string) {
	waited := s.Queued
	digest := s.For
	s.Queued, s.For = time.Time{}, 0
	switch {
	case s.Out && f.outBefore < room:
		return s, "in trouble; out"
	case s.Out:
		s.Out = false
		return s, fmt.Sprintf("in trouble; %d others are out before it, so it is back", f.outBefore)
	case now.Before(s.Cooling):
		return s, "in trouble; the whole fleet was, a moment ago"
	case self.Failures < failuresToFail || !settled:
		return s, "in trouble; it may pass"
	case f.out >= room:
		return s, fmt.Sprintf("in trouble; %d others are out already", f.out)
	}
	// More are in trouble than may leave: those with the lower IDs go first, without any
	// message between them, as all sort alike. One that does not go is waited for, and not
	// for ever; the digest starts the wait anew if it is another one.
	if over := f.out + f.badBefore - room + 1; over > 0 {
		if s.Queued, s.For = waited, f.before; waited.IsZero() || digest != f.before {
			s.Queued = now
		}
		if now.Sub(s.Queued) < time.Duration(over)*patience*d.Settle {
			return s, fmt.Sprintf("in trouble; %d others go first", f.badBefore)
		}
		s.Queued, s.For = time.Time{}, 0
	}
	s.Out = true
	return s, "in trouble; out"
}

// patience is for how many times Settle one that comes first, and does not
// leave, holds up those behind it.
const patience = 3

// silent is for how many times Fresh a peer that fell silent in trouble counts
// as out.
const silent = 4

// counts is the fleet in numbers.
type counts struct {
	// the fleet by itself: all numbers but size leave self out
	size      int // with self
	well      int // others that are fresh, neither bad nor out
	bad       int // of the others
	out       int // of the others, without those who are new
	outBefore int // those of them whose ID is before self's
	badBefore int // bad, not out, not new, and before self
	// a digest of the IDs in badBefore, 0 if there are none: who is waited for
	before uint64
	old    int // others that are not new
	oldBad int
}

// trouble is how much of the fleet is in trouble. Who is new has no say, as
// long as there are others.
func (c counts) trouble(self Self, joined bool) (bad, of int) {
	if c.old == 0 {
		return c.bad + bit(self.Bad), c.size
	}
	if joined {
		return c.oldBad + bit(self.Bad), c.old + 1
	}
	return c.oldBad, c.old
}

// count looks at the peers, each once: the one that was seen last.
// It copies peers, which belong to the caller. An age is taken without its sign: a peer
// whose clock is ahead is as far from us as one whose clock is behind. O(n log n).
func (g *Guard) count(self string, peers []Peer, now time.Time) counts {
	near := slices.DeleteFunc(slices.Clone(peers), func(p Peer) bool { return p.ID == self || p.ID == "" })
	slices.SortStableFunc(near, func(a, b Peer) int {
		if a.ID != b.ID {
			return strings.Compare(a.ID, b.ID)
		}
		return b.Seen.Compare(a.Seen)
	})
	near = slices.CompactFunc(near, func(a, b Peer) bool { return a.ID == b.ID })
	near = slices.DeleteFunc(near, func(p Peer) bool {
		age := now.Sub(p.Seen).Abs()
		return age > g.Fresh && (!p.Bad && !p.Out || age > silent*g.Fresh)
	})
	c := counts{size: len(near) + 1}
	digest := fnv.New64a()
	for _, p := range near {
		out := p.Out || now.Sub(p.Seen).Abs() > g.Fresh // it was in trouble, and is silent
		before := p.ID < self && !p.New
		c.well += bit(!p.Bad && !out)
		c.bad += bit(p.Bad || out)
		c.out += bit(out && !p.New)
		c.outBefore += bit(out && before)
		if p.Bad && !out && before {
			c.badBefore++
			_, _ = digest.Write([]byte(p.ID + "\x00")) // cannot fail
		}
		c.old += bit(!p.New)
		c.oldBad += bit(!p.New && (p.Bad || out))
	}
	if c.badBefore > 0 {
		c.before = digest.Sum64()
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
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guarding == nil {
		return
	}
	// an answer that is slow is waited for; the rule goes on with what is known, until that
	// is older than answerAge
	if !p.fleet.asking {
		p.fleet.asking = true
		go p.ask(run, p.guarding)
	}
	p.decide()
}

// ask is the goroutine that fleet.asking stands for. The error of Peers is only
// compared with nil: it may be anything.
func (p *Process) ask(run context.Context, g *Guard) {
	var peers []Peer
	returned, signal := false, false
	defer func() {
		_ = recover() // it has not returned, as with a Goexit
		p.mu.Lock()
		defer p.mu.Unlock()
		p.panics += int64(bit(!returned))
		p.fleet.asking = false
		// the answer is for a Run that has ended
		if p.running != run || run.Err() != nil {
			return
		}
		p.fleet.take(peers, signal, g, time.Now())
		p.decide()
		p.notice()
	}()
	ctx, cancel := context.WithTimeout(run, askTimeout)
	defer cancel()
	list, err := g.Peers(ctx)
	peers, signal, returned = slices.Clone(list), err == nil, true
}

// take keeps an answer, and of the one before those who are missing in it: who
// has left the traffic may have left the look-up as well. They go when they are
// too old to count.
func (f *fleet) take(peers []Peer, signal bool, g *Guard, now time.Time) {
	if !signal {
		f.at = time.Time{}
		return
	}
	there := make(map[string]bool, len(peers))
	for _, p := range peers {
		there[p.ID] = true
	}
	d := g.withDefaults()
	for _, p := range f.peers {
		if !there[p.ID] && now.Sub(p.Seen).Abs() <= silent*d.Fresh {
			peers = append(peers, p)
		}
	}
	f.peers, f.at = peers, now
}

// decide applies the rule. The caller holds p.mu.
func (p *Process) decide() {
	f, now := &p.fleet, time.Now()
	// the log has changes alone; the note is in the report all the time
	was := f.state.Out
	signal := !f.at.IsZero() && now.Sub(f.at) <= answerAge
	f.state, f.note = p.guarding.Step(f.state, p.self(), f.peers, signal, now)
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
	g := p.guarding
	if g == nil {
		g = p.Guard // before Run
	}
	if g != nil {
		s.ID = g.ID
	}
	s.Out = p.fleet.state.Out
	s.New = g != nil && p.running != nil && !p.fleet.state.Joined
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

package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/health/internal/rounds"
)

// view makes peers of a fleet, all seen at the same time.
func view(selves []Self, at time.Time) []Peer {
	peers := make([]Peer, len(selves))
	for i, s := range selves {
		peers[i] = Peer{ID: s.ID, Bad: s.Bad, Out: s.Out, Seen: at}
	}
	return peers
}

// TestGuard_Step_over_random_fleets checks one step of the rule against what it
// promises, for 100,000 random fleets, states and settings.
func TestGuard_Step_over_random_fleets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	left, stayed := 0, 0
	for range rounds.Of(100_000) {
		g := Guard{MinPeers: 1 + r.IntN(4), MaxOut: r.Float64(), Panic: r.Float64()}
		d := g.withDefaults()
		n := 1 + r.IntN(40)
		part := r.Float64()
		peers := make([]Peer, 0, n+4)
		for i := range n {
			bad := r.Float64() < part*part
			peers = append(peers, Peer{
				ID: fmt.Sprintf("i-%02d", i), Bad: bad, Out: bad && r.IntN(10) == 0, New: r.IntN(6) == 0,
				Seen: now.Add(-time.Duration(r.IntN(18)*(1+4*bit(r.IntN(8) == 0))) * time.Second),
			})
		}
		self := Self{ID: peers[r.IntN(n)].ID, Bad: r.IntN(8) > 0, Failures: r.IntN(6)}
		self.Unknown = !self.Bad && r.IntN(2) == 0
		s := GuardState{Out: r.IntN(4) == 0, Joined: r.IntN(4) > 0}
		if r.IntN(2) == 0 {
			s.BadSince = now.Add(-time.Duration(r.IntN(60)) * time.Second)
		}
		if r.IntN(2) == 0 {
			s.Alone = now.Add(-time.Duration(r.IntN(40)) * time.Second)
		}
		if r.IntN(4) == 0 {
			s.Cooling = now.Add(time.Duration(r.IntN(60)-30) * time.Second)
		}
		signal := r.IntN(10) > 0

		given := slices.Clone(peers)
		next, note := g.Step(s, self, peers, signal, now)
		if !slices.Equal(given, peers) {
			t.Fatal("Step changed its peers")
		}
		well, out, first, old, oldBad, all := 0, 0, 0, 0, 0, bit(self.Bad)
		size := 1
		for _, p := range peers {
			age := now.Sub(p.Seen)
			if p.ID == self.ID || age > d.Fresh && !p.Bad && !p.Out || age > 4*d.Fresh {
				continue
			}
			gone := p.Out || age > d.Fresh // out, or in trouble and silent
			size++
			well += bit(!p.Bad && !gone)
			out += bit(gone && !p.New)
			first += bit(gone && !p.New || p.Bad && !p.New && p.ID < self.ID)
			old += bit(!p.New)
			oldBad += bit(!p.New && (p.Bad || gone))
			all += bit(p.Bad || gone)
		}
		bad, of := all, size
		if old > 0 {
			bad, of = oldBad+bit(s.Joined && self.Bad), old+bit(s.Joined)
		}
		room := max(1, int(d.MaxOut*float64(size)))
		fail := func(rule string) {
			t.Fatalf("%s\nguard %+v\nstate %+v\nself %+v\nsignal %t, %d well, %d out, %d of %d bad, room %d\nnext %+v %q",
				rule, d, s, self, signal, well, out, bad, of, room, next, note)
		}
		trouble := self.Bad || self.Unknown && !s.Joined
		settled := !s.BadSince.IsZero() && now.Sub(s.BadSince) >= d.Settle
		switch {
		case !trouble:
			if next.Out || !next.BadSince.IsZero() || !next.Joined {
				fail("who is well is in")
			}
		case signal && of > d.MinPeers && float64(bad) > d.Panic*float64(of):
			if next.Out || next.Cooling != now.Add(d.Cool) {
				fail("everybody stays, and nobody leaves soon")
			}
		case !signal || well < d.MinPeers:
			back := !s.Alone.IsZero() && now.Sub(s.Alone) >= d.Settle
			if next.Out != (s.Out && !back) || next.Cooling != s.Cooling {
				fail("without a signal nobody leaves, and who is out comes back")
			}
		case next.Out && !s.Out && s.Joined:
			left++
			if self.Failures < 3 || !settled || now.Before(s.Cooling) || first >= room {
				fail("left too early, or without room")
			}
		case next.Out && !s.Out && now.Before(s.Cooling):
			fail("new, and out while the fleet is cooling down")
		case self.Unknown && settled && next.Out:
			fail("new for too long")
		default:
			stayed++
		}
		// The order of the peers, who is listed twice, and what self's own
		// entry says have no effect.
		r.Shuffle(n, func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		older := peers[r.IntN(n)]
		older.Bad, older.Seen = !older.Bad, older.Seen.Add(-time.Millisecond)
		peers = append(peers, older, Peer{ID: self.ID, Bad: true, Out: true, Seen: now}, Peer{Bad: true, Seen: now})
		if again, _ := g.Step(s, self, peers, signal, now); again != next {
			fail(fmt.Sprintf("the order of peers changed the answer to %+v", again))
		}
	}
	if few := rounds.Of(1000); left < few || stayed < few {
		t.Fatalf("%d left and %d stayed: the fleets are not varied enough", left, stayed)
	}
}

// TestGuard_fleet_never_has_too_many_out runs 100,000 random fleets for a few
// steps with changing faults. All members see each other as they were one step
// before.
func TestGuard_fleet_never_has_too_many_out(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	start := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	most := 0
	for range rounds.Of(100_000) {
		g := Guard{MaxOut: r.Float64() * 0.6, Settle: time.Second}
		n := 3 + r.IntN(10)
		room := max(1, int(g.withDefaults().MaxOut*float64(n)))
		selves, states := make([]Self, n), make([]GuardState, n)
		for i := range selves {
			states[i].Joined = true
			selves[i] = Self{ID: string(rune('a' + i)), Bad: r.IntN(4) == 0, Failures: 3}
		}
		for step := range 5 {
			now := start.Add(time.Duration(step) * time.Second)
			peers := view(selves, now)
			out := 0
			for i := range selves {
				states[i], _ = g.Step(states[i], selves[i], peers, true, now)
				out += bit(states[i].Out)
			}
			most = max(most, out)
			if out > room {
				t.Fatalf("%d of %d are out, room for %d: %+v", out, n, room, selves)
			}
			for i := range selves {
				selves[i].Out = states[i].Out
				if r.IntN(6) == 0 {
					selves[i].Bad = !selves[i].Bad
				}
			}
		}
	}
	if most < 3 {
		t.Errorf("at most %d were out: the fleets are not varied enough", most)
	}
}

// TestGuard_total_outage gives a whole fleet the same fault, which each member
// notices by its own check: nobody may leave, neither when it begins nor when
// it ends. What peers know of each other is up to 6 s old.
func TestGuard_total_outage(t *testing.T) {
	for _, n := range []int{2, 3, 5, 10, 50, 100} {
		for seed := range uint64(max(1, 40/n)) {
			if out := outage(n, seed); out > 0 {
				t.Errorf("fleet of %d, seed %d: %d left", n, seed, out)
			}
		}
	}
}

// outage returns how many leave a fleet of n in a fault that takes 300 s.
func outage(n int, seed uint64) (left int) {
	const begin, end, stop = 60, 360, 480
	r := rand.New(rand.NewPCG(uint64(n), seed))
	start := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	type member struct {
		verdict
		state GuardState
		next  float64 // its next check
	}
	g := Guard{}
	members := make([]member, n)
	for i := range members {
		members[i].next = r.Float64() * 10
		members[i].state.Joined = true
	}
	var past [][]Peer
	for sec := range stop {
		now := start.Add(time.Duration(sec) * time.Second)
		var selves []Self
		for i := range members {
			m := &members[i]
			if float64(sec) >= m.next {
				failing := m.next >= begin && m.next < end
				m.next += 9 + 2*r.Float64() + 2.2*float64(bit(failing)) // it hangs
				m.add(!failing, now)
			}
			selves = append(selves, Self{ID: fmt.Sprintf("i-%03d", i), Bad: m.bad(), Failures: m.failures, Out: m.state.Out})
		}
		past = append(past, view(selves, now))
		for i := range members {
			seen := past[max(0, sec-r.IntN(7))]
			was := members[i].state.Out
			members[i].state, _ = g.Step(members[i].state, selves[i], seen, true, now)
			left += bit(members[i].state.Out && !was)
		}
	}
	return left
}

// signal is a Peers that can be set.
type signal struct {
	mu    sync.Mutex
	peers []Peer
	err   error
	calls int

	trouble func() // called outside the lock
}

func (s *signal) set(err error, peers ...Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers, s.err = peers, err
}

func (s *signal) get(context.Context) ([]Peer, error) {
	s.mu.Lock()
	s.calls++
	peers, err := slices.Clone(s.peers), s.err
	s.mu.Unlock()
	if s.trouble != nil {
		s.trouble()
	}
	for i := range peers {
		peers[i].Seen = time.Now()
	}
	return peers, err
}

// guarded makes a process whose only hard dependency fails while bad is set.
func guarded(t *testing.T, s *signal, bad *atomic.Bool) *Process {
	t.Helper()
	p := &Process{Guard: &Guard{ID: "self", Peers: s.get}}
	if err := p.Depend(Dependency{Name: "hard", Check: func(context.Context) error {
		if bad.Load() {
			return errors.New("no")
		}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Depend(Dependency{Name: "soft", Soft: true, Check: func(context.Context) error { return errors.New("no") }}); err != nil {
		t.Fatal(err)
	}
	p.Started()
	run(t, p)
	return p
}

func TestProcess_with_guard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		well := []Peer{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}
		ill := []Peer{{ID: "a", Bad: true}, {ID: "b", Bad: true}, {ID: "c"}, {ID: "d"}}
		s := &signal{peers: well}
		var bad atomic.Bool
		p := guarded(t, s, &bad)
		expect := func(d time.Duration, want bool, when string) {
			t.Helper()
			pass(d)
			if p.Ready() != want || !p.Live() {
				t.Errorf("%s: ready %t, live %t; %v", when, !want, p.Live(), p.Report().Notes)
			}
		}
		expect(5*time.Minute, true, "a soft dependency that fails")
		if self := p.Self(); self.Bad || self.ID != "self" {
			t.Errorf("self is %+v; what is soft does not count", self)
		}
		bad.Store(true)
		expect(90*time.Second, false, "one bad instance, after 90 s")
		if self := p.Self(); !self.Bad || !self.Out {
			t.Errorf("self is %+v; want bad, out", self)
		}
		s.set(errors.New("no signal"))
		expect(20*time.Second, false, "the signal is down: as before")
		expect(5*time.Minute, true, "it stays down: nothing says that others serve")
		s.set(nil, well...)
		expect(5*time.Second, false, "it is there again")
		s.set(nil, ill...)
		expect(2*time.Second, true, "the fleet is in trouble: back at once")
		s.set(nil, well...)
		expect(55*time.Second, true, "cooling down")
		expect(30*time.Second, false, "it is the only one again")
		bad.Store(false)
		expect(25*time.Second, true, "well again")
	})
}

func TestProcess_guard_with_a_bad_signal(t *testing.T) {
	fleet := []Peer{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}
	for name, peers := range map[string][]Peer{
		"panics": fleet, "exits": fleet, "blocks": fleet, "fails": fleet,
		"is empty": nil, "is too small": {{ID: "a"}, {ID: "self"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &signal{peers: peers}
			release := make(chan struct{})
			defer close(release)
			switch name {
			case "panics":
				s.trouble = func() { panic("in Peers") }
			case "exits":
				s.trouble = runtime.Goexit
			case "blocks":
				s.trouble = func() { <-release } // ignores its context
			case "fails":
				s.err = errors.New("no")
			}
			var bad atomic.Bool
			bad.Store(true)
			p := guarded(t, s, &bad)
			pass(10 * time.Minute)
			if !p.Ready() {
				t.Errorf("a signal that %s let the process leave", name)
			}
			if c := dependency(p, "hard"); c.Status != StatusFail {
				t.Errorf("a signal that %s stopped the checks: %+v", name, c)
			}
			if (name == "blocks") != (s.calls == 1) {
				t.Errorf("%d calls of a signal that %s", s.calls, name)
			}
		})
	}
}

// TestProcess_guard_lets_in sees when a new instance first gets traffic.
func TestProcess_guard_lets_in(t *testing.T) {
	fleet := func(bad int) (peers []Peer) {
		for i := range 4 {
			peers = append(peers, Peer{ID: string(rune('a' + i)), Bad: i < bad})
		}
		return peers
	}
	for name, c := range map[string]struct {
		s     *signal
		bad   bool
		early bool // ready 1 ms after it has started
		late  bool // ready 90 s after
	}{
		"well":                         {&signal{peers: fleet(0)}, false, false, true},
		"bad":                          {&signal{peers: fleet(0)}, true, false, false},
		"bad, and so are most others":  {&signal{peers: fleet(3)}, true, true, true},
		"bad, and another is, too":     {&signal{peers: fleet(1)}, true, false, false},
		"bad, and the signal is down":  {&signal{err: errors.New("no")}, true, true, true},
		"well, and the signal is down": {&signal{err: errors.New("no")}, false, true, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var bad atomic.Bool
			bad.Store(c.bad)
			p := guarded(t, c.s, &bad)
			pass(time.Millisecond)
			early := p.Ready()
			pass(90 * time.Second)
			if early != c.early || p.Ready() != c.late {
				t.Errorf("%s: ready early %t, late %t; want %t, %t; %v", name, early, p.Ready(), c.early, c.late, p.Report().Notes)
			}
		})
	}
}

// out steps one instance until it is out, or fails.
func out(t *testing.T, g *Guard, fleet func(now time.Time) []Peer) (GuardState, time.Time) {
	t.Helper()
	s, now := GuardState{Joined: true}, time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for range 60 {
		now = now.Add(time.Second)
		if s, _ = g.Step(s, Self{ID: g.ID, Bad: true, Failures: 3}, fleet(now), true, now); s.Out {
			return s, now
		}
	}
	t.Fatal("it did not leave")
	return s, now
}

// To stay out takes a fresh reason: others that are well. Without one the last
// instance that is left comes back, however bad it is.
func TestGuard_the_last_one_comes_back(t *testing.T) {
	well := func(n int, bad int) func(time.Time) []Peer {
		return func(now time.Time) (peers []Peer) {
			for i := range n {
				peers = append(peers, Peer{ID: string(rune('a' + i)), Bad: i < bad, Seen: now})
			}
			return peers
		}
	}
	g := &Guard{ID: "x"}
	for name, c := range map[string]struct {
		peers  func(time.Time) []Peer
		signal bool
		out    bool // a minute later
		atOnce bool // most of those in sight are in trouble
	}{
		"nothing has changed":         {well(9, 0), true, true, false},
		"as many as must be are well": {well(2, 0), true, true, false},
		"one is left":                 {well(1, 0), true, false, false},
		"two are left, one is bad":    {well(2, 1), true, false, true},
		"all are gone":                {well(0, 0), true, false, false},
		"the signal is down":          {well(9, 0), false, false, false},
		"all that are left are out": {func(now time.Time) []Peer {
			return []Peer{{ID: "a", Out: true, Seen: now}, {ID: "b", Out: true, Seen: now}}
		}, true, false, true},
		"what is known of them is stale": {func(now time.Time) []Peer { return well(9, 0)(now.Add(-time.Minute)) }, true, false, false},
	} {
		s, now := out(t, g, well(9, 0))
		for sec := range 60 {
			now = now.Add(time.Second)
			s, _ = g.Step(s, Self{ID: "x", Bad: true, Failures: 9}, c.peers(now), c.signal, now)
			if sec < 15 && !c.atOnce && !s.Out {
				t.Errorf("%s: back after %d s: a moment without news is no news", name, sec+1)
				break
			}
		}
		if s.Out != c.out {
			t.Errorf("%s: out %t after a minute; want %t", name, s.Out, c.out)
		}
	}
}

// One that comes first and never leaves holds the others up for a while, not
// for good.
func TestGuard_one_that_flaps_shields_nobody(t *testing.T) {
	for _, first := range []int{1, 2} {
		fleet := func(now time.Time) (peers []Peer) {
			for i := range 9 {
				peers = append(peers, Peer{ID: string(rune('a' + i)), Bad: i < first, Seen: now})
			}
			return peers
		}
		g := &Guard{ID: "j"}
		s, now := GuardState{Joined: true}, time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		began := now
		for !s.Out && now.Sub(began) < time.Hour {
			now = now.Add(time.Second)
			s, _ = g.Step(s, Self{ID: "j", Bad: true, Failures: 3}, fleet(now), true, now)
		}
		took := now.Sub(began)
		if least, most := time.Duration(first)*time.Minute, time.Duration(first)*time.Minute+30*time.Second; took < least || took > most {
			t.Errorf("%d before it: out after %v; want %v to %v", first, took, least, most)
		}
	}
}

// A rollout of a version that cannot work: none of it gets traffic, whatever
// the allowance, as long as the rest of the fleet is well.
func TestGuard_newcomers_that_never_worked_stay_out(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var fleet []Peer
	for i := range 8 {
		fleet = append(fleet, Peer{ID: fmt.Sprint("old-", i), Seen: now})
	}
	for i := range 12 { // more than half of all
		fleet = append(fleet, Peer{ID: fmt.Sprint("new-", i), Bad: true, Out: true, New: true, Seen: now})
	}
	bad := Self{ID: "new-12", Bad: true, Failures: 1}
	if s, note := (&Guard{ID: bad.ID}).Step(GuardState{}, bad, fleet, true, now); !s.Out {
		t.Errorf("a bad newcomer gets traffic: %s", note)
	}
	old := GuardState{Joined: true, BadSince: now.Add(-time.Minute)}
	if s, note := (&Guard{ID: "old-9"}).Step(old, Self{ID: "old-9", Bad: true, Failures: 5}, fleet, true, now); !s.Out {
		t.Errorf("newcomers use the allowance: %s", note)
	}
	for i := range 5 {
		fleet[i].Bad = true
	}
	if s, note := (&Guard{ID: bad.ID}).Step(GuardState{}, bad, fleet, true, now); s.Out {
		t.Errorf("the rest of the fleet is bad, too: %s", note)
	}
	if s, note := (&Guard{ID: bad.ID}).Step(GuardState{}, bad, fleet[8:], true, now); s.Out {
		t.Errorf("there are only new ones, and all are bad: %s", note)
	}
}

// Who is out may be gone from the look-up. It is remembered for a while, and
// its place is taken for so long.
func TestProcess_remembers_who_left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []Peer{{ID: "a", Bad: true, Out: true}, {ID: "b"}, {ID: "c"}, {ID: "d"}}
		s := &signal{peers: all}
		var bad atomic.Bool
		p := guarded(t, s, &bad)
		pass(time.Minute)
		bad.Store(true)
		s.set(nil, all[1:]...) // a has left, and with it the look-up
		pass(45 * time.Second)
		if !p.Ready() {
			t.Errorf("a second one left: %v", p.Report().Notes)
		}
		pass(45 * time.Second)
		if p.Ready() {
			t.Errorf("a is remembered for ever: %v", p.Report().Notes)
		}
	})
}

func TestProcess_does_not_become_ready_when_Run_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signal{peers: []Peer{{ID: "a"}, {ID: "b"}}}
		p := &Process{Guard: &Guard{ID: "self", Peers: s.get}}
		p.Started()
		if err := p.Depend(Dependency{Name: "a", Check: func(context.Context) error { return errors.New("no") }}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = p.Run(ctx) }()
		pass(2 * time.Minute)
		if p.Ready() {
			t.Error("the process did not leave")
		}
		cancel()
		<-done
		synctest.Wait()
		if p.Ready() {
			t.Error("ready, because nobody looks any more")
		}
		run(t, p)
		pass(5 * time.Second)
		s.set(nil) // alone: nobody else can serve
		pass(3 * time.Minute)
		if !p.Ready() {
			t.Errorf("out for ever, though another Run has begun: %v", p.Report().Notes)
		}
	})
}

// A guard that the program changes, or takes away, while Run runs is the one that
// it was when Run began.
func TestProcess_guard_is_its_own(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s signal
		s.set(nil, Peer{ID: "b", Seen: time.Now()}, Peer{ID: "c", Seen: time.Now()})
		g := &Guard{ID: "a", Peers: s.get}
		p := &Process{Guard: g}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		*g = Guard{ID: "z", MinPeers: -1}
		p.Guard = nil
		if err := <-done; err != nil {
			t.Error(err)
		}
		if id := p.Self().ID; id != "a" {
			t.Errorf("it calls itself %q", id)
		}
	})
}

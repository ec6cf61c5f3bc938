package drill

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Rules cuts a dependency by rules of an injector that the service's clients
// go through: package faultaws for the AWS SDK, Injector.RoundTripper for
// HTTP. An injector serves one drill at a time: one that has rules already is
// refused, and its rules stay.
func Rules(injector *fault.Injector, rules ...fault.Rule) Fault {
	return &rulesFault{injector: injector, rules: rules}
}

// rulesFault is safe for concurrent use: Run asks Seen while requests run into the
// rules. It takes its own lock first and then, in calls, the injector's.
type rulesFault struct {
	injector *fault.Injector
	rules    []fault.Rule

	mu   sync.Mutex
	seen Seen // once reverted
	in   bool
}

// inUse are the injectors that hold the rules of a drill.
// An entry is made by Inject and taken away by Revert. It is the only state of the
// package that changes: two drills that share an injector need not know of one another.
var inUse sync.Map // of *fault.Injector to *rulesFault

func (f *rulesFault) missing() bool { return f.injector == nil }

// Rules are what is put in force.
func (f *rulesFault) Rules() []fault.Rule { return f.rules }

// Inject does not touch rules of others.
func (f *rulesFault) Inject(context.Context) error {
	if by, taken := inUse.LoadOrStore(f.injector, f); taken && by != f {
		return errors.New("another drill uses the injector")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.in && f.injector.Active() {
		inUse.CompareAndDelete(f.injector, f)
		return errors.New("the injector has rules already, of somebody else: Clear it first")
	}
	f.seen, f.in = Seen{}, true
	return f.injector.Set(f.rules...)
}

// Revert keeps what was seen, and then clears the rules: their counters go with
// them. A second call does nothing.
func (f *rulesFault) Revert(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.in {
		f.seen, f.in = f.now(), false
		f.injector.Clear()
		inUse.CompareAndDelete(f.injector, f)
	}
	return nil
}

// Seen is what the rules have hit so far, or had hit when they were taken away.
func (f *rulesFault) Seen() Seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.in {
		return f.seen
	}
	return f.now()
}

// now adds the counters of all rules up. It is called with the lock held.
func (f *rulesFault) now() (s Seen) {
	for _, r := range f.injector.Stats().Rules {
		s.Hits += r.Hits
		if !r.First.IsZero() && (s.First.IsZero() || r.First.Before(s.First)) {
			s.First = r.First
		}
		if r.Last.After(s.Last) {
			s.Last = r.Last
		}
	}
	return s
}

// Left says what the rules have left behind: nothing, or rules in force. Those of a drill
// that has taken the injector meanwhile are its own.
func (f *rulesFault) Left() string {
	if by, taken := inUse.Load(f.injector); taken && by != f {
		return ""
	}
	if f.injector.Active() {
		return "rules are still in force"
	}
	return ""
}

// Switch cuts a dependency by two functions. hits says how often the fault was
// observed to hit, from whenever it counts: only hits between the two functions
// are the drill's. Without it a drill is void.
func Switch(inject, revert func(context.Context) error, hits func() int64) Fault {
	return &switchFault{inject: inject, revert: revert, hits: hits}
}

// switchFault calls the user's three functions without its lock. over is set before
// the fault is undone, and nothing counts from then on.
type switchFault struct {
	inject, revert func(context.Context) error
	hits           func() int64

	mu     sync.Mutex
	before int64
	seen   Seen
	over   bool
}

func (f *switchFault) missing() bool { return f.inject == nil || f.revert == nil }

// count asks the user's counter. It is called without the lock, since it may
// block.
func (f *switchFault) count() int64 {
	if f.hits == nil {
		return 0
	}
	return f.hits()
}

// Inject notes what the counter says before it cuts: what it counts from is the
// user's affair, and the hits of an earlier drill are not this one's.
func (f *switchFault) Inject(ctx context.Context) error {
	before := f.count()
	f.mu.Lock()
	f.before, f.seen, f.over = before, Seen{}, false
	f.mu.Unlock()
	return f.inject(ctx)
}

// Revert takes the last count first: what hits while the fault is being undone
// could as well be of something else.
func (f *switchFault) Revert(ctx context.Context) error {
	f.Seen() // the last that counts
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	return f.revert(ctx)
}

// Seen dates hits to when they were asked for, which Run does each second.
func (f *switchFault) Seen() Seen {
	n := f.count()
	f.mu.Lock()
	defer f.mu.Unlock()
	if hits := n - f.before; hits > f.seen.Hits && !f.over {
		f.seen.Hits, f.seen.Last = hits, time.Now()
		if f.seen.First.IsZero() {
			f.seen.First = f.seen.Last
		}
	}
	return f.seen
}

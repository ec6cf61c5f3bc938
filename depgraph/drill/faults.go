package drill

import (
	"context"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Rules cuts a dependency by rules of an injector that the service's clients
// go through: package faultaws for the AWS SDK, Injector.RoundTripper for
// HTTP.
func Rules(injector *fault.Injector, rules ...fault.Rule) Fault {
	return &rulesFault{injector: injector, rules: rules}
}

type rulesFault struct {
	injector *fault.Injector
	rules    []fault.Rule

	mu   sync.Mutex
	seen Seen // once reverted
	over bool
}

func (f *rulesFault) Inject(context.Context) error { return f.injector.Set(f.rules...) }

func (f *rulesFault) Revert(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.seen, f.over = f.now(), true
	}
	f.injector.Clear()
	return nil
}

func (f *rulesFault) Seen() Seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return f.seen
	}
	return f.now()
}

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

// Left says what the rules have left behind: nothing, or rules in force.
func (f *rulesFault) Left() string {
	if f.injector.Active() {
		return "rules are still in force"
	}
	return ""
}

// Switch cuts a dependency by two functions. hits says how often the fault was
// observed to hit since it was injected; without it a drill is void.
func Switch(inject, revert func(context.Context) error, hits func() int64) Fault {
	return &switchFault{inject: inject, revert: revert, hits: hits}
}

type switchFault struct {
	inject, revert func(context.Context) error
	hits           func() int64

	mu     sync.Mutex
	before int64
	seen   Seen
}

func (f *switchFault) count() int64 {
	if f.hits == nil {
		return 0
	}
	return f.hits()
}

func (f *switchFault) Inject(ctx context.Context) error {
	before := f.count()
	f.mu.Lock()
	f.before, f.seen = before, Seen{}
	f.mu.Unlock()
	return f.inject(ctx)
}

func (f *switchFault) Revert(ctx context.Context) error {
	f.Seen()
	return f.revert(ctx)
}

// Seen dates hits to when they were asked for, which Run does each second.
func (f *switchFault) Seen() Seen {
	n := f.count()
	f.mu.Lock()
	defer f.mu.Unlock()
	if hits := n - f.before; hits > f.seen.Hits {
		f.seen.Hits, f.seen.Last = hits, time.Now()
		if f.seen.First.IsZero() {
			f.seen.First = f.seen.Last
		}
	}
	return f.seen
}

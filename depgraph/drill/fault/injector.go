package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/depgraph/internal/glob"
)

// A Call is what is about to happen.
type Call struct {
	Service   string   // such as "dynamodb"
	Region    string   // "": unknown
	Operation string   // such as "GetItem" or "GET /sessions"
	Tables    []string // that the call touches; a rule's Table matches any
}

// Options of an [Injector]. The zero value works.
type Options struct {
	// Seed makes Probability and Jitter repeatable: with the same calls in
	// the same order, the same faults. 0: random.
	Seed uint64

	// Scope, if set, chooses calls by their context; only those for which
	// it reports true are faulted. With it a drill can hit marked requests
	// alone.
	Scope func(context.Context) bool

	// OnFault, if set, is told of every fault before it happens, on the
	// call's own goroutine. It must be quick and safe for concurrent use.
	// A panic in it, or in Scope, is contained and counted.
	OnFault func(Event)
}

// An Event is one call that was hit.
type Event struct {
	Time  time.Time // when the call was made
	Rule  int       // its place among the rules, from 0
	Call  Call      // the call
	Fault *Fault    // what was done to it
}

// An Injector decides which calls fail. It is safe for concurrent use, starts
// no goroutine and needs no closing. Without rules it costs one atomic load a
// call.
type Injector struct {
	opts   Options
	rules  atomic.Pointer[ruleSet] // nil without rules
	panics atomic.Int64

	mu     sync.Mutex // guards what follows
	rand   *rand.Rand
	must   bool    // MustHit
	missed []error // rules that have ended without a hit since
}

// ruleSet is never changed but for its counters.
// The four are one for each rule, by its place. A set that was replaced goes on
// counting for the calls that still use it.
type ruleSet struct {
	began time.Time
	rules []Rule
	match []matcher
	stats []*ruleCounters
}

// ruleCounters are what has happened to one rule. Times are since began, and at
// least 1.
type ruleCounters struct{ matched, hits, first, last atomic.Int64 }

// hit counts one. Zero means never, so a hit in the very first nanosecond is moved by
// one. Of two hits at once, either may be the last.
func (c *ruleCounters) hit(at time.Duration) {
	c.hits.Add(1)
	ns := max(1, int64(at))
	c.first.CompareAndSwap(0, ns)
	c.last.Store(ns)
}

// New returns an injector without rules.
func New(opts Options) *Injector {
	seed := opts.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	return &Injector{opts: opts, rand: rand.New(rand.NewPCG(seed, seed))}
}

// Set replaces all rules, from the next call on, and starts their windows of
// time and their counters. Calls are matched in the order of the rules; the
// first match wins. If a rule is invalid, or can never match because one before
// it takes all calls that it is about, Set returns an error that names it, and
// the rules stay as they were.
func (i *Injector) Set(rules ...Rule) error {
	if len(rules) == 0 {
		i.Clear()
		return nil
	}
	set := &ruleSet{began: time.Now()}
	if err := set.add(rules); err != nil {
		return err
	}
	i.replace(set)
	return nil
}

// Add puts rules after those that there are, whose counters and windows of time
// go on; the windows of the new ones are counted from the same moment. If a rule
// is invalid, nothing is added.
func (i *Injector) Add(rules ...Rule) error {
	for len(rules) > 0 {
		old, set := i.rules.Load(), &ruleSet{began: time.Now()}
		if old != nil {
			set = &ruleSet{began: old.began, rules: slices.Clip(old.rules), match: slices.Clip(old.match), stats: slices.Clip(old.stats)}
		}
		if err := set.add(rules); err != nil {
			return err
		}
		if i.rules.CompareAndSwap(old, set) {
			return nil
		}
	}
	return nil
}

// add puts rules at the end, or returns what is wrong with the first that is not
// valid or can match nothing; the set is not to be used then. It compares each new
// rule with all before it, O(n) a rule.
func (s *ruleSet) add(rules []Rule) error {
	for n, r := range rules {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("fault: rule %d: %w", n+1, err)
		}
		for earlier, before := range s.rules {
			if before.hides(r) && !r.Off {
				return fmt.Errorf("fault: rule %d can match nothing: rule %d takes every call that it is about; put it first, or give that one a probability, a count or a window", len(s.rules)+1, earlier+1)
			}
		}
		s.rules = append(s.rules, r.clone())
		s.match = append(s.match, newMatcher(r))
		s.stats = append(s.stats, new(ruleCounters))
	}
	return nil
}

// clone copies a rule and what it points to.
func (r Rule) clone() Rule {
	if r.Error != nil {
		e := *r.Error
		r.Error = &e
	}
	if r.Latency != nil {
		l := *r.Latency
		r.Latency = &l
	}
	return r
}

// Clear removes all rules. Calls that a black hole has swallowed stay there
// until their contexts are done.
func (i *Injector) Clear() { i.replace(nil) }

// Active reports whether there are rules. It is the one atomic load.
func (i *Injector) Active() bool { return i.rules.Load() != nil }

// Rules returns a copy of the rules.
func (i *Injector) Rules() []Rule {
	set := i.rules.Load()
	if set == nil {
		return nil
	}
	rules := make([]Rule, len(set.rules))
	for n, r := range set.rules {
		rules[n] = r.clone()
	}
	return rules
}

// RuleStats counts what one rule has done since it was set.
type RuleStats struct {
	Rule    Rule  `json:"rule"`    // as it was set
	Matched int64 `json:"matched"` // calls that it was about, in scope and inside its window
	Hits    int64 `json:"hits"`    // those that it hit: with Corrupt, those whose answer it changed

	// First and Last are when it hit; zero: never.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"` // see First
}

// Stats is a snapshot of an injector's counters.
type Stats struct {
	Rules      []RuleStats `json:"rules"`       // in the order in which they were set
	HookPanics int64       `json:"hook_panics"` // in Scope and OnFault, since New
}

// Stats returns a snapshot. The counters of rules start when they are set.
func (i *Injector) Stats() Stats {
	s := Stats{HookPanics: i.panics.Load()}
	if set := i.rules.Load(); set != nil {
		for n, r := range set.rules {
			c := set.stats[n]
			rs := RuleStats{Rule: r.clone(), Matched: c.matched.Load(), Hits: c.hits.Load()}
			if first := c.first.Load(); first != 0 {
				rs.First, rs.Last = set.began.Add(time.Duration(first)), set.began.Add(time.Duration(c.last.Load()))
			}
			s.Rules = append(s.Rules, rs)
		}
	}
	return s
}

// Next decides about one call: nil lets it pass. It is for those who write an
// adapter such as faultaws.
func (i *Injector) Next(ctx context.Context, c Call) *Fault {
	return i.next(ctx, c, func(*Rule) bool { return true })
}

// NextIf is Next among the rules that the caller can apply, as can says; the
// others neither match nor hit.
func (i *Injector) NextIf(ctx context.Context, c Call, can func(Rule) bool) *Fault {
	return i.next(ctx, c, func(r *Rule) bool { return can(*r) })
}

// next is NextIf without a copy of each rule.
// The first rule that matches, is in its window and wins its count and its chance
// decides; one that matches and does not hit still counts as matched. A Corrupt
// counts its hit only when it has changed something. It costs O(rules), without a
// lock unless a chance or jitter is drawn.
func (i *Injector) next(ctx context.Context, c Call, can func(*Rule) bool) *Fault {
	set := i.rules.Load()
	if set == nil || !i.inScope(ctx) {
		return nil
	}
	elapsed := time.Since(set.began)
	for n := range set.rules {
		r, stats := &set.rules[n], set.stats[n]
		if elapsed < r.From || r.Until > 0 && elapsed >= r.Until || !set.match[n].matches(c) || !can(r) {
			continue
		}
		if !r.hits(stats.matched.Add(1)) {
			continue
		}
		if r.Probability > 0 && r.Probability < 1 && i.float() >= r.Probability {
			continue
		}
		f := i.newFault(r, c)
		hit := func() {
			stats.hit(time.Since(set.began))
			i.tell(Event{time.Now(), n, c, f})
		}
		if f.Kind == Corrupt {
			f.changed = hit // whether there is something to change, Spoil finds out
		} else {
			hit()
		}
		return f
	}
	return nil
}

// hits reports whether the rule's counts let it hit the n-th call that matched
// it, from 1.
func (r *Rule) hits(n int64) bool {
	n -= int64(r.After)
	return !r.Off && n > 0 &&
		(r.First == 0 || n <= int64(r.First)) &&
		(r.Every == 0 || n%int64(r.Every) == 0)
}

// newFault draws the jitter and fills in the answer for this call.
func (i *Injector) newFault(r *Rule, c Call) *Fault {
	f := &Fault{Kind: r.Net, Bytes: r.Bytes, Bandwidth: r.Bandwidth}
	if r.Latency != nil {
		f.Delay = r.Latency.Base + time.Duration(i.float()*float64(r.Latency.Jitter))
	}
	if r.Error != nil {
		f.Error = r.Error.expand(c)
	}
	return f
}

// float draws under the lock, since a seeded source is not safe for concurrent use;
// in which order calls draw decides what is repeatable.
func (i *Injector) float() float64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.rand.Float64()
}

// inScope asks Options.Scope. A panic there leaves the call alone: a drill must not
// hit what nobody has chosen.
func (i *Injector) inScope(ctx context.Context) (in bool) {
	if i.opts.Scope == nil {
		return true
	}
	defer i.contain()
	return i.opts.Scope(ctx)
}

// tell asks OnFault, whose panic changes nothing about the fault.
func (i *Injector) tell(e Event) {
	if i.opts.OnFault != nil {
		defer i.contain()
		i.opts.OnFault(e)
	}
}

// contain is deferred around what a user has given.
func (i *Injector) contain() {
	if recover() != nil {
		i.panics.Add(1)
	}
}

// matcher holds a rule's patterns in comparable form.
type matcher struct{ service, region, operation, table string }

func newMatcher(r Rule) matcher {
	return matcher{plain(r.Service), strings.ToLower(r.Region), strings.ToLower(r.Operation), strings.ToLower(r.Table)}
}

// plain makes "CloudWatch Logs" and "cloudwatchlogs" the same.
func plain(service string) string {
	return strings.ToLower(strings.ReplaceAll(service, " ", ""))
}

// matches reports whether a call is one that the rule is about.
// A table matches if any of the call's does; a call without tables matches no rule
// that names one.
func (m matcher) matches(c Call) bool {
	if m.service != "" && !glob.Match(m.service, plain(c.Service)) ||
		m.region != "" && !glob.Match(m.region, strings.ToLower(c.Region)) ||
		m.operation != "" && !glob.Match(m.operation, strings.ToLower(c.Operation)) {
		return false
	}
	return m.table == "" || slices.ContainsFunc(c.Tables, func(t string) bool { return glob.Match(m.table, strings.ToLower(t)) })
}

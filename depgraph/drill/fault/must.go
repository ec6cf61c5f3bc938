package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/failopen/failopen/depgraph/internal/glob"
)

// TB is what MustHit needs of a *testing.T.
type TB interface {
	// As in package testing.
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// MustHit makes the test fail at its end for each rule that has hit nothing
// while it was set, from now on: also for those that Set and Clear have removed
// in the meantime. Most likely a name in such a rule is misspelt, and what the
// test has seen proves nothing. Rules that are off are not meant.
func (i *Injector) MustHit(t TB) {
	t.Helper()
	i.mu.Lock()
	i.must = true
	i.mu.Unlock()
	t.Cleanup(func() {
		t.Helper()
		i.mu.Lock()
		missed := i.missed
		i.must, i.missed = false, nil
		i.mu.Unlock()
		if err := errors.Join(append(missed, i.Unhit())...); err != nil {
			t.Errorf("%v", err)
		}
	})
}

// replace puts other rules in force, and keeps note of those that end without a
// hit, if somebody has asked for that.
func (i *Injector) replace(set *ruleSet) {
	old := i.rules.Swap(set)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := old.unhit(); i.must && err != nil {
		i.missed = append(i.missed, err)
	}
}

// Unhit returns an error that names each rule which has hit nothing since it
// was set, but for those that are off: most likely a name in it is misspelt,
// and what the test or the drill has seen proves nothing. It is nil if every
// rule has hit, or if there are none. In a test, MustHit asks by itself.
func (i *Injector) Unhit() error { return i.rules.Load().unhit() }

// unhit is Unhit of one set; nil of none. It names each rule by its place and its
// JSON, with how many calls it was about: 0 is a misspelt name, more is a chance or a
// count that was never reached.
func (s *ruleSet) unhit() error {
	if s == nil {
		return nil
	}
	var errs []error
	for n, r := range s.rules {
		if s.stats[n].hits.Load() > 0 || r.Off {
			continue
		}
		text, _ := json.Marshal(r) // text and numbers do not fail
		errs = append(errs, fmt.Errorf("fault: rule %d has hit nothing (%d calls matched it): %s", n+1, s.stats[n].matched.Load(), text))
	}
	return errors.Join(errs...)
}

// hides reports whether no call can reach r because the rule before it takes
// all that r is about: its patterns are as wide, its window as long, it spares
// nothing, and it can be applied wherever r can.
func (before Rule) hides(r Rule) bool {
	wide := func(pattern, other string) bool {
		pattern, other = plain(pattern), plain(other)
		return pattern == "" || pattern == "*" || pattern == other || !strings.Contains(other, "*") && other != "" && glob.Match(pattern, other)
	}
	always := !before.Off && (before.Probability == 0 || before.Probability == 1) && before.After == 0 && before.First == 0 && before.Every <= 1
	window := before.From <= r.From && (before.Until == 0 || r.Until > 0 && before.Until >= r.Until)
	onlyLate := before.Error == nil && before.Net == "" && before.Bandwidth == 0
	place := onlyLate || before.Net == r.Net && (before.Error == nil) == (r.Error == nil)
	return always && window && place &&
		wide(before.Service, r.Service) && wide(before.Region, r.Region) && wide(before.Operation, r.Operation) && wide(before.Table, r.Table)
}

package drill

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// maxTries bounds how many drills Shrink runs.
const maxTries = 60

// Shrink finds fewer rules and a shorter fault that still break the service.
// breaks runs one drill, in virtual time, and reports whether it deviated; it
// must be repeatable. What Shrink returns breaks, unless nothing did. A panic in
// breaks is an error.
//
// It is the greedy form of delta debugging (Zeller and Hildebrandt, 2002): first
// rules are left out, one at a time; then what narrows a rule in time or number is
// taken off; then the fault is halved while it still breaks the service. Each step
// keeps only what breaks, so it can stop after maxTries with what it has. The result
// is small, and not always the smallest. Rules are copied for each try and for the
// result. The first error of breaks ends it.
func Shrink(rules []fault.Rule, watch time.Duration, breaks func([]fault.Rule, time.Duration) (bool, error)) ([]fault.Rule, time.Duration, error) {
	// A try over the limit says "does not break", which ends all three loops below.
	tries := 0
	try := func(r []fault.Rule, w time.Duration) (bool, error) {
		if tries++; tries > maxTries {
			return false, nil
		}
		ok := false
		err := guarded(func() (err error) {
			ok, err = breaks(cloned(r), w)
			return err
		})
		return ok, err
	}
	rules = cloned(rules)
	for i := 0; i < len(rules) && len(rules) > 1; {
		fewer := slices.Delete(slices.Clone(rules), i, i+1)
		ok, err := try(fewer, watch)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			rules = fewer
		} else {
			i++
		}
	}
	for i := range rules {
		simpler := slices.Clone(rules)
		r := &simpler[i]
		r.From, r.Until, r.Probability, r.After, r.First, r.Every = 0, 0, 0, 0, 0, 0
		if *r == rules[i] {
			continue
		}
		ok, err := try(simpler, watch)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			rules = simpler
		}
	}
	for watch >= 2*time.Second {
		ok, err := try(windowed(rules, watch/2), watch/2)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			break
		}
		rules, watch = windowed(rules, watch/2), watch/2
	}
	return rules, watch.Round(time.Second / 10), nil
}

// cloned is a copy that shares nothing: what a drill does to its rules is not
// done to what is returned.
func cloned(rules []fault.Rule) []fault.Rule {
	rules = slices.Clone(rules)
	for i, r := range rules {
		if r.Error != nil {
			e := *r.Error
			rules[i].Error = &e
		}
		if r.Latency != nil {
			l := *r.Latency
			rules[i].Latency = &l
		}
	}
	return rules
}

// windowed drops what cannot hit in a shorter fault.
// A rule that ends at or after the end of the fault needs no end. If nothing would
// be left it is the rules as they are: the try then says what becomes of it. rules
// is not changed.
func windowed(rules []fault.Rule, watch time.Duration) []fault.Rule {
	kept := slices.DeleteFunc(slices.Clone(rules), func(r fault.Rule) bool { return r.From >= watch })
	if len(kept) == 0 {
		return rules
	}
	for i := range kept {
		if kept[i].Until >= watch {
			kept[i].Until = 0
		}
	}
	return kept
}

// Reproduction is a Go test, of fifteen lines at most, that shows the deviation
// again in virtual time. newService stands for what builds the service with an
// injector in front of its dependencies.
// Names from outside become a Go identifier, with _ for what cannot be in one, or
// quoted Go strings.
func Reproduction(service, dependency string, rules []fault.Rule, watch time.Duration) string {
	text, err := json.Marshal(rules)
	if err != nil {
		text = []byte("[]") // durations and text do not fail
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, service+"_without_"+dependency)
	return fmt.Sprintf(`func Test_%s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, injector := newService(t) // yours, with faultaws or Injector.RoundTripper
		rules, err := fault.ParseRules([]byte(%q))
		if err != nil {
			t.Fatal(err)
		}
		drill.Test(t, drill.Experiment{
			Service: %q, Dependency: %q, Target: svc, Rules: rules,
			Fault: drill.Rules(injector, rules...), Watch: %d * time.Millisecond,
		})
	})
}
`, name, text, service, dependency, watch.Milliseconds())
}

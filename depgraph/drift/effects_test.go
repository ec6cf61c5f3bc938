package drift

import (
	"fmt"
	"strings"
	"testing"
)

// callsOf reads "ok 1-5, bad 6-9": what each call did, and when. A call with a
// "?" has no times.
func callsOf(t *testing.T, text string) (calls []call) {
	t.Helper()
	for _, part := range strings.Split(text, ", ") {
		c := call{timed: true}
		did := ""
		if _, err := fmt.Sscanf(part, "%s %d-%d", &did, &c.start, &c.end); err != nil {
			if did, _, c.timed = strings.Cut(part, " ?"); !c.timed {
				t.Fatalf("%q: %v", part, err)
			}
			c.timed = false
		}
		c.failed = did == "bad"
		calls = append(calls, c)
	}
	return calls
}

// What a request got from one dependency in the end, case by case.
func TestOutcome_of_each_pattern_of_calls(t *testing.T) {
	for _, c := range []struct {
		what, calls string
		want        result
	}{
		{"one that worked", "ok 1-5", result{timed: true}},
		{"one that failed", "bad 1-5", result{failed: true, timed: true, end: 5}},
		{"one without times that failed", "bad ?", result{failed: true}},
		{"one without times that worked", "ok ?", result{}},
		{"two that failed", "bad 1-5, bad 2-9", result{failed: true, timed: true, end: 9}},
		{"the later end counts, in any order", "bad 2-9, bad 1-5", result{failed: true, timed: true, end: 9}},
		{"a retry", "bad 1-5, ok 6-9", result{timed: true}},
		{"a retry at once", "bad 1-5, ok 5-9", result{timed: true}},
		{"a retry that is told first", "ok 6-9, bad 1-5", result{timed: true}},
		{"two retries", "bad 1-5, bad 6-7, ok 8-9", result{timed: true}},
		{"a retry that fails", "bad 1-5, bad 6-7", result{failed: true, timed: true, end: 7}},
		{"a hedge", "bad 1-5, ok 4-9", result{unclear: true, timed: true}},
		{"a hedge that was first", "ok 1-5, bad 4-9", result{unclear: true, timed: true}},
		{"a hedge all around", "ok 1-9, bad 4-5", result{unclear: true, timed: true}},
		{"a hedge inside", "bad 1-9, ok 4-5", result{unclear: true, timed: true}},
		{"one that worked before", "ok 1-4, bad 5-9", result{failed: true, timed: true, end: 9}},
		{"one that worked until then", "ok 1-5, bad 5-9", result{failed: true, timed: true, end: 9}},
		{"a hedge of one, and another failure", "bad 1-5, ok 4-9, bad 20-30", result{failed: true, unclear: true, timed: true, end: 30}},
		{"a retry of both", "bad 1-5, ok 4-9, bad 6-7, ok 30-31", result{timed: true}},
		{"a long one before a short one", "ok 1-20, ok 2-3, bad 10-11", result{unclear: true, timed: true}},
		{"no times, and one that worked", "bad ?, ok 1-5", result{unclear: true}},
		{"no times of the one that worked", "bad 1-5, ok ?", result{unclear: true}},
		{"no times of one of two that failed", "bad 1-5, bad ?", result{failed: true, end: 5}},
	} {
		if got := outcome(callsOf(t, c.calls)); got != c.want {
			t.Errorf("%s (%s): %+v, want %+v", c.what, c.calls, got, c.want)
		}
	}
}

func TestRounding_by_the_clock_of_the_tracer(t *testing.T) {
	const ms, us = 1_000_000, 1_000
	for _, c := range []struct{ start, end, call, want int64 }{
		{5 * ms, 9 * ms, 10 * ms, 2 * ms},
		{5*ms + us, 9 * ms, 10 * ms, 2 * us},
		{5 * ms, 9*ms + us, 10 * ms, 2 * us},
		{5 * ms, 9 * ms, 10*ms + us, 2 * us},
		{0, 0, 0, 2 * ms},
	} {
		if got := rounding(&span{start: c.start, end: c.end}, c.call); got != c.want {
			t.Errorf("%+v: %d, want %d", c, got, c.want)
		}
	}
}

// Whether the span at the top of a request says how the request ended.
func TestLinker_known(t *testing.T) {
	for _, c := range []struct {
		role   role
		parent string
		found  int
		want   bool
	}{
		{server, "", -1, true},
		{server, "9", -1, true}, // its caller is not here, and does not matter
		{consumer, "9", -1, true},
		{client, "", -1, false}, // it is the call itself
		{producer, "", -1, false},
		{local, "", -1, true}, // a job
		{local, "9", -1, false},
		{local, "9", 0, true}, // of another service
	} {
		l := linker{spans: []*span{{}, {role: c.role, parent: c.parent}}, parent: []int{-1, c.found}}
		if got := l.known(1); got != c.want {
			t.Errorf("role %d, parent %q at %d: %v", c.role, c.parent, c.found, got)
		}
	}
}

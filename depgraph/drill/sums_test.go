package drill

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// The sums of a drill, each over results that are written out: in a bubble no
// request is ever late by chance, and no machine stands still.

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// asked is a result at so many seconds, answered after so many milliseconds.
func asked(phase string, at float64, took int, a Answer) result {
	return result{began: noon.Add(time.Duration(at * float64(time.Second))), took: time.Duration(took) * time.Millisecond, answer: a, phase: phase}
}

// over is a drill whose phases are over, with these results, a second for each
// of steady, watch and recovery.
func over(change func(*Experiment), results ...result) *drill {
	e, err := promised(change)
	if err != nil {
		panic(err)
	}
	return &drill{
		e: e, r: &Report{Fault: FaultRecord{From: -1, Until: -1, First: -1, Last: -1, FirstSuccess: -1, Recovered: -1}}, broken: map[string]string{},
		load:   &load{e: e, began: noon, stall: new(Stalls), results: results},
		phases: []span{{"steady", noon, noon.Add(time.Second)}, {"watch", noon.Add(time.Second), noon.Add(2 * time.Second)}, {"recovery", noon.Add(2 * time.Second), noon.Add(3 * time.Second)}},
	}
}

func TestSummary_counts_each_once_for_the_gravest(t *testing.T) {
	bad := errors.New("503")
	late := func(r result) result { r.late = true; return r }
	excused := func(r result) result { r.late, r.excused = true, true; return r }
	for name, c := range map[string]struct {
		list []result
		want Second
	}{
		"none":    {nil, Second{At: 1.5, Phase: "watch"}},
		"fine":    {[]result{asked("watch", 0, 4, Answer{})}, Second{OK: 1, P50: 4, Max: 4}},
		"wrong":   {[]result{asked("watch", 0, 4, Answer{Wrong: true})}, Second{Wrong: 1, P50: 4, Max: 4}},
		"failed":  {[]result{asked("watch", 0, 4, Answer{Err: bad, Wrong: true})}, Second{Failed: 1, P50: 4, Max: 4, Error: "503"}},
		"slow":    {[]result{late(asked("watch", 0, 4, Answer{Err: bad, Wrong: true}))}, Second{Slow: 1, P50: 4, Max: 4, Error: "503"}},
		"excused": {[]result{excused(asked("watch", 0, 4, Answer{Err: bad, Wrong: true}))}, Second{Excused: 1, P50: 4, Max: 4}},
		"the first error, and the median of four": {
			[]result{asked("watch", 0, 9, Answer{}), asked("watch", 0, 1, Answer{Err: bad}), asked("watch", 0, 3, Answer{Err: errors.New("later")}), asked("watch", 0, 2, Answer{})},
			Second{OK: 2, Failed: 2, P50: 2, Max: 9, Error: "503"},
		},
	} {
		c.want.At, c.want.Phase, c.want.Asked = 1.5, "watch", len(c.list)
		if got := summary(c.list, "watch", 1500*time.Millisecond); got != c.want {
			t.Errorf("%s:\n%+v; want\n%+v", name, got, c.want)
		}
	}
}

func TestPercentile_is_the_nearest_rank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		list []time.Duration
		q    float64
		want time.Duration
	}{
		{nil, 0.5, 0},
		{hundred[:1], 0, 1},
		{hundred[:1], 1, 1},
		{hundred[:2], 0.5, 1},
		{hundred[:3], 0.5, 2},
		{hundred, 0.99, 99},
		{hundred, 0.991, 100},
		{hundred, 1, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(c.list, c.q); got != c.want {
			t.Errorf("of %d at %v: %d; want %d", len(c.list), c.q, got, c.want)
		}
	}
}

func TestStalls_Within(t *testing.T) {
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	s := &Stalls{list: []stall{{at(0), at(10)}, {at(100), at(130)}, {at(200), at(250)}}}
	for _, c := range []struct{ from, until, want int }{
		{0, 300, 90},
		{-50, 5, 5},
		{5, 110, 15},
		{10, 100, 0},   // only touches two of them
		{110, 120, 10}, // inside of one
		{130, 200, 0},
		{240, 241, 1},
		{250, 999, 0},
		{300, 200, 0}, // no time at all
	} {
		if got := s.Within(at(c.from), at(c.until)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("%d to %d: %v; want %d ms", c.from, c.until, got, c.want)
		}
	}
	if got := new(Stalls).Within(at(0), at(1)); got != 0 {
		t.Errorf("the zero value: %v", got)
	}
}

// In a bubble the measurement ends by itself, and the bubble can come to rest.
func TestStalls_Run_ends_in_virtual_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := new(Stalls), time.Now()
		s.Run(t.Context())
		if took := time.Since(began); took != 30*time.Millisecond || len(s.list) != 0 {
			t.Errorf("it ran for %v and found %d; want three ticks of 10ms, and nothing", took, len(s.list))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began = time.Now()
		s.Run(ctx)
		if took := time.Since(began); took != 0 {
			t.Errorf("it ran for %v although its context had ended", took)
		}
	})
}

func TestDrill_phase(t *testing.T) {
	var results []result
	for i := range 12 { // a text for each, of which the ten most frequent stay
		for range 12 - i {
			results = append(results, asked("watch", 1, 10, Answer{Err: fmt.Errorf("error %02d", i), Source: "not one of an error"}))
		}
	}
	excused := asked("watch", 1, 2000, Answer{Err: errors.New("excused")})
	excused.late, excused.excused = true, true
	results = append(results, excused, asked("steady", 0, 1, Answer{Source: "shared"}))
	for i := range 22 {
		results = append(results, asked("watch", 1, 20, Answer{Source: []string{"local", "origin"}[i%2]}))
	}
	p := over(func(*Experiment) {}, results...).phase("watch")
	if p.Name != "watch" || p.From != 1 || p.Until != 2 || p.Asked != 101 || p.Failed != 78 || p.Excused != 1 || p.Success != 0.22 {
		t.Errorf("%+v", p)
	}
	if p.P50 != 10 || p.P99 != 20 || p.Max != 2000 {
		t.Errorf("p50 %v, p99 %v, max %v; want 10, 20, 2000", p.P50, p.P99, p.Max)
	}
	if want := map[string]int{"local": 11, "origin": 11}; !reflect.DeepEqual(p.Sources, want) {
		t.Errorf("%v; want %v", p.Sources, want)
	}
	if len(p.Errors) != 10 || p.Errors["error 00"] != 12 || p.Errors["error 09"] != 3 || p.Errors["excused"] != 0 {
		t.Errorf("%v; want the ten most frequent, without those that are excused", p.Errors)
	}
	if p := over(func(*Experiment) {}, excused).phase("watch"); p.Success != 0 || p.Asked != 1 {
		t.Errorf("all excused: %+v", p)
	}
	if got := firstOf(nil); got != "no reason was given" {
		t.Error(got)
	}
	if got := firstOf(map[string]int{"b": 2, "a": 2, "c": 1}); got != "a" {
		t.Errorf("%s; want the first by name of the most frequent", got)
	}
	if got := mix(map[string]int{"b": 1, "a": 1, "c": 2}); got != "c 50 %, a 25 %, b 25 %" {
		t.Error(got)
	}
}

// Two phases in one second are two entries; requests come in the order in which
// they were answered, and are shown in that in which they were asked.
func TestDrill_timeline(t *testing.T) {
	d := over(
		func(*Experiment) {},
		asked("watch", 1.9, 1, Answer{}), asked("steady", 0.2, 900, Answer{}), asked("watch", 1.2, 5, Answer{}), asked("steady", 1.1, 3, Answer{}), asked("recovery", 60, 2, Answer{}),
	)
	want := []Second{
		{At: 0, Phase: "steady", Asked: 1, OK: 1, P50: 900, Max: 900},
		{At: 1, Phase: "steady", Asked: 1, OK: 1, P50: 3, Max: 3},
		{At: 1, Phase: "watch", Asked: 2, OK: 2, P50: 1, Max: 5},
		{At: 60, Phase: "recovery", Asked: 1, OK: 1, P50: 2, Max: 2},
	}
	if got := d.timeline(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v; want\n%+v", got, want)
	}
	if got := over(func(*Experiment) {}).timeline(); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}

// The verdict of what has been seen: what the machine can be to blame for, and
// what it cannot.
func TestDrill_finish(t *testing.T) {
	fine := func(phase string, at float64) result { return asked(phase, at, 5, Answer{}) }
	late := asked("watch", 1, 1200, Answer{})
	late.late = true
	excused := late
	excused.excused = true
	failed := asked("watch", 1, 5, Answer{Err: errors.New("503")})
	wrong := asked("watch", 1, 5, Answer{Wrong: true})
	wrongLater := asked("recovery", 2, 5, Answer{Wrong: true})
	const (
		few  = "as many requests served as before: 80.00 % of 6 were, and 100.00 % must be"
		busy = "this machine stood still too often to judge: 1 of 6 requests were late because of that"
		slow = "every request answered within its budget: 1 of 6 took longer than 1s, the slowest 1200 ms"
	)
	four := []result{fine("watch", 1), fine("watch", 1), fine("watch", 1), fine("watch", 1)}
	with := func(more ...result) []result { return append(more, four...) }
	for name, c := range map[string]struct {
		results []result
		verdict Verdict
		why     string
		breaks  string
		want    Verdict
		reasons []string
	}{
		"all served":               {with(), Held, "", "", Held, nil},
		"one late":                 {with(late), Held, "", "", Deviated, []string{"as many requests served as before: 80.00 % of 5 were, and 100.00 % must be", "every request answered within its budget: 1 of 5 took longer than 1s, the slowest 1200 ms"}},
		"one excused of five":      {with(excused), Held, "", "", Held, nil},
		"late on a busy machine":   {with(late, excused), Held, "", "", NotStarted, []string{busy, few, slow}},
		"a tenth is not too often": {with(fine("watch", 1), fine("watch", 1), fine("watch", 1), fine("watch", 1), late, excused), Held, "", "", Deviated, []string{"as many requests served as before: 88.89 % of 10 were, and 100.00 % must be", "every request answered within its budget: 1 of 10 took longer than 1s, the slowest 1200 ms"}},
		"failed on a busy machine": {with(failed, excused), Held, "", "", Deviated, []string{few + " (503)"}},
		"wrong on a busy machine":  {with(wrong, excused), Held, "", "", Deviated, []string{"no wrong answer: 1 of 6 answers were wrong", few}},
		"slow recovery, busy":      {with(excused), Held, "", recovered, NotStarted, []string{"this machine stood still too often to judge: 1 of 5 requests were late because of that", "recovered in time: broken"}},
		"something left, busy":     {with(excused), Held, "", nothing, Deviated, []string{"nothing left behind: broken"}},
		"wrong in the recovery":    {with(wrongLater), Held, "", "", Deviated, []string{"no wrong answer: 1 wrong answers in the recovery"}},
		"aborted, and late":        {with(late, excused), Aborted, "the user", "", Aborted, []string{"the user", few, slow}},
		"void, and something left": {with(), Void, "no hit", nothing, Void, []string{"no hit", "nothing left behind: broken"}},
		"not started":              {with(late), NotStarted, "a guard", "", NotStarted, []string{"a guard"}},
		"nothing was asked":        {nil, Held, "", "", Held, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := over(func(*Experiment) {}, c.results...)
			if c.breaks != "" {
				d.breaks(c.breaks, "broken")
				d.breaks(c.breaks, "broken again, which does not count")
			}
			d.finish(c.verdict, c.why)
			if d.r.Verdict != c.want || !reflect.DeepEqual(d.r.Reasons, c.reasons) {
				t.Errorf("%v, %q; want\n%v, %q", d.r.Verdict, d.r.Reasons, c.want, c.reasons)
			}
			if got := len(d.r.Invariants); got != map[bool]int{true: 0, false: 5}[c.want == NotStarted && c.verdict == NotStarted] {
				t.Errorf("%d invariants", got)
			}
		})
	}
}

// Least is a share of what was not excused, and of the slow of all.
func TestDrill_judge_at_the_bound(t *testing.T) {
	for _, c := range []struct {
		p    Phase
		want map[string]string
	}{
		{Phase{Asked: 10, Success: 0.9, Slow: 1}, map[string]string{}},
		{Phase{Asked: 10, Success: 0.8999, Slow: 2, Max: 1300}, map[string]string{
			served:   "89.99 % of 10 were, and 90.00 % must be",
			inBudget: "2 of 10 took longer than 1s, the slowest 1300 ms",
		}},
		{Phase{}, map[string]string{}},
	} {
		d := over(func(e *Experiment) { e.Least = 0.9 })
		if d.judge(c.p); !reflect.DeepEqual(d.broken, c.want) {
			t.Errorf("%+v: %q; want %q", c.p, d.broken, c.want)
		}
	}
}

func TestLoad_healed(t *testing.T) {
	ok, bad := Answer{}, Answer{Err: errors.New("503")}
	for name, c := range map[string]struct {
		results []result
		want    bool
		first   float64
	}{
		"none":                      {nil, false, -1},
		"too few":                   {[]result{asked("recovery", 2, 10, ok), asked("recovery", 2.1, 10, ok)}, false, 2.01},
		"enough":                    {[]result{asked("recovery", 2, 10, bad), asked("recovery", 2.1, 10, ok), asked("recovery", 2.2, 10, ok), asked("recovery", 2.3, 10, ok)}, true, 2.11},
		"the last one fails":        {[]result{asked("recovery", 2, 10, ok), asked("recovery", 2.1, 10, ok), asked("recovery", 2.2, 10, ok), asked("recovery", 2.3, 10, bad)}, false, 2.01},
		"those of the watch do not": {[]result{asked("watch", 1.8, 10, ok), asked("recovery", 2, 10, ok), asked("recovery", 2.1, 10, ok)}, false, 2.01},
		"wrong is not served":       {[]result{asked("recovery", 2, 10, Answer{Wrong: true}), asked("recovery", 2.1, 10, ok), asked("recovery", 2.2, 10, ok)}, false, 2.11},
		"asked before the end":      {[]result{asked("recovery", 1.9, 10, ok), asked("recovery", 1.95, 10, ok), asked("recovery", 1.99, 10, ok)}, true, -1},
	} {
		d := over(func(*Experiment) {}, c.results...)
		if got := d.load.healed(noon.Add(2*time.Second), 3, d.r); got != c.want || d.r.Fault.FirstSuccess != c.first {
			t.Errorf("%s: %t, the first at %v; want %t, %v", name, got, d.r.Fault.FirstSuccess, c.want, c.first)
		}
	}
}

// The part that must be served is a whole number, where binary fractions are not.
func TestLoad_healed_at_the_bound(t *testing.T) {
	var results []result
	for i := range 20 {
		a := Answer{Wrong: i >= 11}
		results = append(results, asked("recovery", 2+float64(i)/20, 10, a))
	}
	for least, want := range map[float64]bool{0.55: true, 0.5501: false, 0.5: true} {
		d := over(func(e *Experiment) { e.Least = least }, results...)
		if got := d.load.healed(noon, 20, d.r); got != want {
			t.Errorf("11 of 20 served, and %v must be: %t; want %t", least, got, want)
		}
	}
}

// A second is of the requests that began in it, and an old one that has just
// been answered does not hide those before it.
func TestLoad_second(t *testing.T) {
	d := over(
		func(*Experiment) {},
		asked("watch", 0.5, 10, Answer{}), asked("watch", 2, 10, Answer{}), asked("watch", 2.4, 10, Answer{Wrong: true}), asked("watch", 1.2, 1900, Answer{}), asked("watch", 2.999, 1, Answer{}), asked("watch", 3, 1, Answer{}),
	)
	want := Second{At: 2, Phase: "watch", Asked: 3, OK: 2, Wrong: 1, P50: 10, Max: 10}
	if got := d.load.second("watch", noon.Add(2*time.Second), noon.Add(3*time.Second)); got != want {
		t.Errorf("%+v; want %+v", got, want)
	}
}

func TestTally(t *testing.T) {
	at := func(x time.Time) float64 { return x.Sub(noon).Seconds() }
	sec := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	for name, c := range map[string]struct {
		before, injected Seen
		counts           []Seen
		want             FaultRecord
		lied             string
	}{
		"from zero":           {Seen{}, Seen{}, []Seen{{2, sec(4), sec(5)}, {5, sec(4), sec(7)}}, FaultRecord{From: 3, Until: 13, Hits: 5, First: 4, Last: 7}, ""},
		"from before":         {Seen{Hits: 7}, Seen{Hits: 7}, []Seen{{9, sec(1), sec(7)}}, FaultRecord{From: 3, Until: 13, Hits: 2, First: 3, Last: 7}, ""},
		"begins anew":         {Seen{Hits: 7}, Seen{Hits: 0}, []Seen{{2, sec(4), sec(99)}}, FaultRecord{From: 3, Until: 13, Hits: 2, First: 4, Last: 13}, ""},
		"hits at once":        {Seen{Hits: 7}, Seen{3, sec(3), sec(3)}, nil, FaultRecord{From: 3, Until: 13, Hits: 3, First: 3, Last: 3}, ""},
		"never":               {Seen{Hits: 7}, Seen{Hits: 7}, []Seen{{7, sec(4), sec(5)}}, FaultRecord{From: 3, Until: 13}, ""},
		"not dated":           {Seen{}, Seen{}, []Seen{{Hits: 1}}, FaultRecord{From: 3, Until: 13, Hits: 1, First: -1, Last: -1}, ""},
		"goes down, then up":  {Seen{}, Seen{}, []Seen{{5, sec(4), sec(5)}, {3, sec(6), sec(6)}, {2, sec(6), sec(6)}}, FaultRecord{From: 3, Until: 13, Hits: 5, First: 4, Last: 5}, "the fault first said that it had hit 5 times, and then 3: nothing it says is believed"},
		"as many, dated anew": {Seen{}, Seen{}, []Seen{{5, sec(4), sec(5)}, {5, sec(4), sec(9)}}, FaultRecord{From: 3, Until: 13, Hits: 5, First: 4, Last: 9}, ""},
	} {
		var a tally
		a.before(c.before)
		a.injected(c.injected)
		for _, s := range c.counts {
			a.count(s)
		}
		var got FaultRecord
		a.record(&got, 3, 13, at)
		if !reflect.DeepEqual(got, c.want) || a.lied != c.lied {
			t.Errorf("%s: %+v, %q; want\n%+v, %q", name, got, a.lied, c.want, c.lied)
		}
	}
}

// panics is an error without a text.
type panics struct{}

func (panics) Error() string { panic("no") }

// Whatever a user's value does, there is a text, and one that a page can show.
func TestText(t *testing.T) {
	if got := text(panics{}); got != "%!v(PANIC=Error method: no)" {
		t.Error(got)
	}
	if got := text(strings.Repeat("x", 1024)); got != strings.Repeat("x", 1024) {
		t.Errorf("%d bytes; want all 1024", len(got))
	}
	long := "x" + strings.Repeat("é", 1000) // the 1024th byte is the first half of one
	if got := text(long); !utf8.ValidString(got) || got != long[:1023]+"…" {
		t.Errorf("%q", got[1015:])
	}
}

func TestClock_and_at(t *testing.T) {
	for s, want := range map[float64]string{0: "0 s", 119.4: "119 s", 120: "2 min", 7199: "120 min", 7200: "2.0 h", 27000: "7.5 h"} {
		if got := clock(s); got != want {
			t.Errorf("%v: %s; want %s", s, got, want)
		}
	}
	for s, want := range map[float64]string{-1: "never", 0: "0.0 s", 3.06: "3.1 s"} {
		if got := at(s); got != want {
			t.Errorf("%v: %s; want %s", s, got, want)
		}
	}
	if d := over(func(*Experiment) {}); d.at(time.Time{}) != -1 || d.at(noon.Add(1500*time.Millisecond)) != 1.5 {
		t.Error("a time of the journal is not in seconds since the drill began, or -1")
	}
	if gap(1e-300) != maxPhase || gap(20) != 50*time.Millisecond || gap(10_000) != 100*time.Microsecond {
		t.Errorf("%v %v %v", gap(1e-300), gap(20), gap(10_000))
	}
}

// The dense part is the first two minutes of each phase.
func TestExperiment_requests(t *testing.T) {
	for _, c := range []struct {
		e    Experiment
		want float64
	}{
		{Experiment{Rate: 20, Sparse: 20, Steady: time.Second, Watch: 2 * time.Second, Recovery: 3 * time.Second}, 120},
		{Experiment{Rate: 20, Sparse: 0.1, Watch: time.Hour}, 2400 + 348},
		{Experiment{Rate: 20, Sparse: 0.1, Steady: 2 * time.Minute, Watch: 2 * time.Minute, Recovery: 130 * time.Second}, 7200 + 1},
	} {
		if got := c.e.requests(); got != c.want {
			t.Errorf("%+v: %v; want %v", c.e, got, c.want)
		}
	}
	for watch, want := range map[time.Duration]float64{10 * time.Minute: 20, 10*time.Minute + 1: 0.1} {
		if e, err := promised(func(e *Experiment) { e.Watch = watch }); err != nil || e.Sparse != want {
			t.Errorf("Watch %v: Sparse is %v, %v; want %v", watch, e.Sparse, err, want)
		}
	}
	if e, err := promised(func(e *Experiment) { e.Watch, e.Rate = time.Hour, 0.01 }); err != nil || e.Sparse != 0.01 {
		t.Errorf("Sparse is %v, %v; want no more than the rate", e.Sparse, err)
	}
}

// A steady state of which the machine spoilt more than a tenth is none.
func TestDrill_steady_on_a_busy_machine(t *testing.T) {
	for excused, want := range map[int]string{
		1: "",
		2: "this machine or this service is too slow for the steady state: 2 of 10 requests took longer than 1s (p99 2000 ms), before anything was cut",
	} {
		synctest.Test(t, func(t *testing.T) {
			d := over(func(e *Experiment) { e.Steady = 1 })
			d.phases = nil
			for i := range 9 { // and one that steady asks itself
				r := asked("steady", 0, 5, Answer{})
				if i < excused {
					r.took, r.late, r.excused = 2*time.Second, true, true
				}
				d.load.results = append(d.load.results, r)
			}
			if got := d.steady(t.Context()); got != want {
				t.Errorf("%d excused: %q; want %q", excused, got, want)
			}
		})
	}
}

// What a steady state lacks, in the order in which it is to be mended.
func TestDrill_steady_says_what_is_wrong(t *testing.T) {
	wrong, failed := asked("steady", 0, 5, Answer{Wrong: true}), asked("steady", 0, 5, Answer{Err: errors.New("503")})
	for want, results := range map[string][]result{
		"the steady state does not hold: 1 of 3 answers are wrong, before anything was cut":    {wrong, failed},
		"the steady state does not hold: 1 of 2 requests fail before anything was cut (503)":   {failed},
		"the steady state does not hold: 2 of 2001 answers are wrong, before anything was cut": manyOf(1998, wrong, wrong),
	} {
		synctest.Test(t, func(t *testing.T) {
			d := over(func(e *Experiment) { e.Steady, e.Least = 1, 0.9 }, results...)
			d.phases = nil
			if got := d.steady(t.Context()); got != want {
				t.Errorf("%q; want %q", got, want)
			}
		})
	}
}

// manyOf is n good results, and these.
func manyOf(n int, more ...result) []result {
	for range n {
		more = append(more, asked("steady", 0, 5, Answer{}))
	}
	return more
}

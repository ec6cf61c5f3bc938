package drift

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// A whole file is read or none of it: text behind the end of the data is a file
// that was cut or put together wrongly, and what follows would be lost.
func TestCollector_nothing_is_lost_behind_the_end(t *testing.T) {
	const one = `{"failopen_observed":1,"edges":[{"from":"web","to":"db","calls":1}]}`
	for _, c := range []struct{ text, want string }{
		{one + "\n}\n" + one, "x: line 2: unexpected data after the end of an object"},
		{one + "]", "x: line 1: unexpected data after the end of an object"},
		{`[{"parent":"a","child":"b","callCount":1}]` + "\n]", "x: line 2: unexpected data after the end of the list"},
		{`[{"parent":"a","child":"b","callCount":1}]` + "\n\n{}", "x: line 3: unexpected data after the end of the list"},
		{"[]\n}", "x: line 2: unexpected data after the end of the list"},
	} {
		var col Collector
		err := col.Add("x", strings.NewReader(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n%v, want\n%s", c.text, err, c.want)
		}
		if !col.Observed().Empty() {
			t.Errorf("%s: something was counted", c.text)
		}
	}
}

// Two replicas write a recording each; put into one file, they add up as they
// do in two.
func TestCollector_recordings_in_one_file_add_up(t *testing.T) {
	const a = `{"failopen_observed":1,"services":{"web":100},"edges":[{"from":"web","to":"db","calls":250}]}`
	const b = `{"failopen_observed":1,"services":{"web":50,"cron":3},"edges":[{"from":"web","to":"db","calls":70},{"from":"cron","to":"db","calls":9}]}`
	var one, two Collector
	for _, add := range []error{one.Add("x", strings.NewReader(a+"\n"+b)), two.Add("x", strings.NewReader(a)), two.Add("x", strings.NewReader(b))} {
		if add != nil {
			t.Fatal(add)
		}
	}
	want := fmt.Sprint(map[string]int64{"web": 150, "cron": 3, "db": 329})
	for what, c := range map[string]*Collector{"one file": &one, "two files": &two} {
		o := c.Observed()
		if got := fmt.Sprint(o.Requests); got != want || o.Edges[1].Calls != 320 {
			t.Errorf("%s: requests %s, want %s; %+v", what, got, want, o.Edges)
		}
	}
}

// A dependency without a phase is one of startup and run time.
func TestCollector_AddConfigured_takes_what_is_needed_at_run_time(t *testing.T) {
	var c Collector
	c.AddConfigured("compose.yaml", []depgraph.Service{{Name: "web", Depends: []depgraph.Dependency{
		{On: "db"},
		{On: "cache", Phase: depgraph.Runtime},
		{AnyOf: []string{"east", "west"}, Phase: depgraph.Startup | depgraph.Runtime},
		{On: "vault", Phase: depgraph.Startup},
		{On: "builder", Phase: depgraph.Deploy},
		{On: "log", Weak: true},
		{On: "migrate", Until: depgraph.Done},
	}}, {Name: "idle"}})
	o := c.Observed()
	var got []string
	for _, e := range o.Edges {
		got = append(got, fmt.Sprintf("%s -> %s %s %d %v %v", e.From, e.To, e.Kind, e.Calls, e.Judged, e.Sources))
	}
	want := []string{
		"web -> cache configured 0 false [compose.yaml]", "web -> db configured 0 false [compose.yaml]",
		"web -> east configured 0 false [compose.yaml]", "web -> west configured 0 false [compose.yaml]",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	if n, ok := o.Requests["idle"]; !ok || n != 0 {
		t.Errorf("requests %v", o.Requests)
	}
	if s := o.Sources[0]; s != (Source{Name: "compose.yaml", Format: "addresses in a configuration", Edges: 4}) {
		t.Errorf("%+v", s)
	}
}

// What is declared for several phases, each with an edge of its own, is not
// declared for one of them alone.
func TestCompare_names_all_phases_that_are_declared(t *testing.T) {
	g, err := depgraph.Compile([]depgraph.Service{{Name: "web", Depends: []depgraph.Dependency{
		{On: "vault", Phase: depgraph.Startup}, {On: "vault", Phase: depgraph.Deploy, Soft: true},
	}}, {Name: "vault"}}, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for calls, want := range map[string]string{
		`{"from":"web","to":"vault","calls":1}`: "it is declared for startup+deploy alone",
		"":                                      "it is declared for startup+deploy alone, which nobody recorded",
	} {
		var c Collector
		if err := c.Add("x", strings.NewReader(`{"failopen_observed":1,"edges":[`+calls+`]}`)); err != nil {
			t.Fatal(err)
		}
		r := Compare(g, c.Observed(), Options{})
		if d := r.Dependencies[0]; d.Why != want {
			t.Errorf("%q, want %q", d.Why, want)
		}
		if calls != "" && (len(r.Findings) != 1 || r.Findings[0].Message != "web declares vault for startup+deploy alone, and calls vault once") {
			t.Errorf("%+v", r.Findings)
		}
	}
}

// The form is a subset of YAML, in which "db:5432: store" is about "db:5432".
func TestNames_a_colon_in_a_name_needs_quotes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"db:5432: store", `n.txt:1: a name with a colon goes in double quotes, as in "db:5432": store`},
		{"x: y\n\nhttp://db: store", `n.txt:3: a name with a colon goes in double quotes, as in "http://db": store`},
	} {
		n := &Names{}
		if err := n.Read("n.txt", strings.NewReader(c.text)); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
	n := &Names{}
	if err := n.Read("n.txt", strings.NewReader("\ufeff# from an editor\r\n\"db:5432\": \"team: store\" # why: it moved\r\nweb: shop:web\r\n")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(n.exact); got != "map[db:5432:team: store web:shop:web]" {
		t.Error(got)
	}
	if err := n.Read("n.txt", strings.NewReader("\ufeffbom: x\n")); err != nil || n.exact["bom"] != "x" {
		t.Errorf("%v, %q", err, n.exact)
	}
}

func TestNames_a_line_that_is_too_long_has_a_number(t *testing.T) {
	n := &Names{}
	err := n.Read("n.txt", strings.NewReader("a: b\n"+strings.Repeat("x", 100_000)+": y\n"))
	if err == nil || err.Error() != "n.txt:2: the line is longer than 65536 bytes" {
		t.Error(err)
	}
}

// reference is outcome as its comment defines it, call by call.
func reference(calls []call) (r result) {
	r.timed = true
	good := 0
	for _, c := range calls {
		r.timed = r.timed && c.timed
		if !c.failed {
			good++
		}
	}
	if good == len(calls) {
		return r
	}
	if !r.timed && good > 0 {
		r.unclear = true
		return r
	}
	for _, c := range calls {
		retried, hedged := false, false
		for _, o := range calls {
			retried = retried || !o.failed && o.start >= c.end
			hedged = hedged || !o.failed && o.start < c.end && o.end > c.start
		}
		switch {
		case !c.failed, retried:
		case hedged:
			r.unclear = true
		default:
			r.failed, r.end = true, max(r.end, c.end)
		}
	}
	return r
}

func TestOutcome_is_what_it_is_defined_to_be(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 20_000 {
		calls := make([]call, 1+r.IntN(6))
		for i := range calls {
			start := r.Int64N(8)
			calls[i] = call{start: start, end: start + r.Int64N(5), timed: r.IntN(12) > 0, failed: r.IntN(2) == 0}
		}
		if got, want := outcome(calls), reference(calls); got != want {
			t.Fatalf("%+v:\n%+v, want\n%+v", calls, got, want)
		}
	}
}

// A batch job makes a million calls in one request, and half of them fail: to
// look at every pair of them would take hours.
func TestOutcome_of_a_million_calls(t *testing.T) {
	calls := make([]call, 1_000_000)
	for i := range calls {
		calls[i] = call{start: int64(i), end: int64(i) + 1, timed: true, failed: i%2 == 1}
	}
	if got, want := outcome(calls), (result{failed: true, timed: true, end: 1_000_000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

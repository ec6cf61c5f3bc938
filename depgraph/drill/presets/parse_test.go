package presets_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
)

// Each file is the preset of its name, with a source that can be looked up and
// rules about what it says is cut.
func TestAll_says_where_it_is_from(t *testing.T) {
	all := presets.All()
	files, err := os.ReadDir("data")
	if err != nil || len(files) != len(all) {
		t.Fatalf("%d presets, %d files, %v", len(all), len(files), err)
	}
	for i, p := range all {
		if i > 0 && all[i-1].Name >= p.Name {
			t.Errorf("%s is after %s", p.Name, all[i-1].Name)
		}
		if _, err := os.Stat("data/" + p.Name + ".json"); err != nil {
			t.Error(err)
		}
		if len(p.Sources) == 0 || slices.ContainsFunc(p.Sources, func(s string) bool { return !strings.HasPrefix(s, "https://") }) {
			t.Errorf("%s: sources %q; want where it is told", p.Name, p.Sources)
		}
		if !slices.ContainsFunc(p.Rules, func(r fault.Rule) bool { return r.Service == p.Dependency }) && !slices.ContainsFunc(p.Rules, func(r fault.Rule) bool { return r.Service != "" }) {
			t.Errorf("%s: no rule is about %s", p.Name, p.Dependency)
		}
		// An outage that happened was as long as its clock says.
		if c := p.Clock; c.Date != "" {
			began, err1 := time.Parse("15:04", c.Began)
			ended, err2 := time.Parse("15:04", c.Ended)
			took := ended.Sub(began)
			if took < 0 {
				took += 24 * time.Hour
			}
			if err1 != nil || err2 != nil || c.Zone == "" || p.Watch > took {
				t.Errorf("%s: %+v is %v, and is watched for %v", p.Name, c, took, p.Watch)
			}
		}
	}
}

// What a caller does to a preset is done to no other caller's: rules point to
// their errors and latencies.
func TestAll_is_the_callers(t *testing.T) {
	before := presets.All()
	for _, p := range presets.All() {
		p.Facts[0] = "changed"
		for i := range p.Rules {
			p.Rules[i].Service = "changed"
			if p.Rules[i].Error != nil {
				p.Rules[i].Error.Code = "Changed"
			}
			if p.Rules[i].Latency != nil {
				p.Rules[i].Latency.Base = time.Hour
			}
		}
	}
	if after := presets.All(); !reflect.DeepEqual(after, before) {
		t.Errorf("%+v; want\n%+v", after, before)
	}
}

// Everything that is wrong is said at once, by its field.
func TestParse_says_all_that_is_wrong(t *testing.T) {
	_, err := presets.Parse([]byte(`{"version":0,"name":"","watch":"0s","recovery":"61m","rules":[{"net":"reset","from":"1m"}]}`))
	const want = `preset "": version is 0; want 1
preset "": name: want lower-case words joined by -
preset "": title is missing
preset "": facts are missing: say what happens
preset "": dependency is missing: say what is cut
preset "": watch is "0s"; want a duration such as "7h", at most 24h0m0s
preset "": recovery is "61m"; want a duration such as "7h", at most 1h0m0s
preset "": rule 1: from: 1m0s is not before the end of the watch, 0s`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	for text, want := range map[string]string{
		"{\n\n\"version\": 1,\n":             "preset: line 4: unexpected EOF",
		"":                                   "preset: line 1: EOF",
		"{\n \"version\": 1,\n \"name\": x}": "preset: line 3: invalid character 'x' looking for beginning of value",
		"{\n\n\"names\": \"a\"}":             `preset: line 3: json: unknown field "names"`,
	} {
		if _, err := presets.Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	if _, err := presets.ByName(""); err == nil || !strings.HasPrefix(err.Error(), `there is no preset ""; want one of 2020-11-25-logs, 2021-12-07-dynamodb, `) {
		t.Errorf("%v", err)
	}
}

// However short, each rule keeps a window that is not empty, and those that have
// none get none.
func TestScaled_keeps_each_rule(t *testing.T) {
	p := presets.Preset{Watch: time.Hour, Rules: []fault.Rule{
		{Net: fault.Reset, Until: time.Nanosecond},
		{Net: fault.Reset, From: time.Nanosecond, Until: 2 * time.Nanosecond},
		{Net: fault.Reset, From: 30 * time.Minute, Until: time.Hour},
		{Net: fault.Reset},
	}}
	got := p.Scaled(time.Second)
	want := [][2]time.Duration{{0, 1}, {1, 2}, {500 * time.Millisecond, time.Second}, {0, 0}}
	for i, r := range got.Rules {
		if r.From != want[i][0] || r.Until != want[i][1] {
			t.Errorf("rule %d: %v to %v; want %v", i+1, r.From, r.Until, want[i])
		}
	}
	for _, d := range []time.Duration{0, -1, time.Hour, 2 * time.Hour} {
		if got := p.Scaled(d); !reflect.DeepEqual(got, p) {
			t.Errorf("%v: %+v; want it as it was", d, got)
		}
	}
}

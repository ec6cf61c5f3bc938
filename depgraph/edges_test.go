package depgraph

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A finding of one group names the edges of that group alone, also where a program has
// declared several groups and needs at no place.
func TestCheck_false_redundancy_names_the_edges_of_its_group(t *testing.T) {
	g := mustCompile(t, []Service{
		{Name: "a", Depends: []Dependency{
			{AnyOf: []string{"b", "c"}, Phase: Runtime},
			{AnyOf: []string{"b", "d"}, Phase: Runtime},
			{On: "c", Phase: Startup},
		}},
		{Name: "b", Depends: []Dependency{{On: "dns"}}},
		{Name: "c", Depends: []Dependency{{On: "dns"}}},
		{Name: "d"},
		{Name: "dns"},
	})
	found, err := g.Check(t.Context(), CheckOptions{Only: []string{"DG010"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || ways(found[0].Edges) != "a>b a>c" {
		t.Fatalf("%+v", found)
	}
	for _, e := range found[0].Edges {
		if e.Group != 1 || e.Phase != Runtime {
			t.Errorf("%+v is no edge of the first group", e)
		}
	}
}

// A provider's target is what it publishes, and counts as its own availability: a pull
// request that changes it changes the answers of all who need it.
func TestCompare_sees_what_a_provider_publishes(t *testing.T) {
	before := "a: availability: {own: 99.9} / on: dns\nb: / on: a\nc:\ndns: kind: cloud; availability: {target: %s}"
	compare := func(from, to string) string {
		d, err := Compare(t.Context(), system(t, from), system(t, to), DiffOptions{Check: CheckOptions{Only: []string{"DG001"}}})
		if err != nil {
			t.Fatal(err)
		}
		return diffText(d)
	}
	from := strings.Replace(before, "%s", "99.9", 1)
	for name, c := range map[string]struct{ to, want string }{
		"nothing": {from, ""},
		"another number": {
			strings.Replace(before, "%s", "99", 1),
			"a: available 0.998 to 0.989\nb: available 0.998 to 0.989\ndns: available 0.999 to 0.99",
		},
		"another kind": {
			strings.Replace(from, "kind: cloud", "kind: app", 1),
			"a: available 0.998 to 0.999\nb: available 0.998 to 0.999",
		},
	} {
		if got := compare(from, c.to); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// Two groups that exchange their members need as much as before of each of them, and yet
// an outage takes another course.
func TestCompare_sees_who_stands_in_for_whom(t *testing.T) {
	const rest = "\nb:\nc: / on: b\nd:\ne: / on: d"
	d, err := Compare(t.Context(), system(t, "a: / any-of: [b, d] / any-of: [c, e]"+rest), system(t, "a: / any-of: [b, c] / any-of: [d, e]"+rest),
		DiffOptions{Check: CheckOptions{Only: []string{"DG010"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "changed a>b\nchanged a>c\nchanged a>d\nchanged a>e\n" +
		"a: wave [3 2]\nb: down [1 2] goes [a], stays [] critical [true false]\nc: critical [true false]\n" +
		"d: down [1 2] goes [a], stays [] critical [false true]\nnew DG010 a\nnew DG010 a"
	if got := diffText(d); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// A group that gains a member says so at that member, and not once more at all others.
	d, err = Compare(t.Context(), system(t, "a: / any-of: [b, d]"+rest), system(t, "a: / any-of: [b, d, e], need: 2"+rest), DiffOptions{Check: CheckOptions{Only: []string{"DG001"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Split(diffText(d), "\n")[0], "added a>e"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The findings belong to the caller.
func TestWaive_leaves_what_it_was_given(t *testing.T) {
	g := graphOf(t, "service: a\nowner: x\nwaivers: [{rule: DG015, reason: later, until: 2026-05-31}]\n---\nservice: b\nowner: x\n")
	given := []Finding{{Rule: "DG015", Service: "a", Message: "one"}, {Rule: "DG015", Service: "b", Message: "two"}}
	for _, day := range []time.Time{time.Date(2026, 5, 31, 12, 0, 0, 0, time.UTC), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)} {
		g.Waive(given, day, nil)
		if given[0].Message != "one" || given[1].Message != "two" {
			t.Fatalf("on %s: %+v", day, given)
		}
	}
}

// Two baselines in one file, as a merge may leave them, are not read as the first alone.
func TestLoadBaseline_refuses_what_it_would_not_read(t *testing.T) {
	for text, want := range map[string]string{
		"":                 `no baseline as "depgraph baseline" writes it: EOF`,
		"{}":               "version 0 is unknown; this program reads version 1",
		`{"version": 2}`:   "version 2 is unknown; this program reads version 1",
		`{"versoin": 1}`:   `no baseline as "depgraph baseline" writes it: json: unknown field "versoin"`,
		`{"version": 1} x`: "there is text after the baseline",
		`{"version": 1}` + "\n" + `{"version": 1}`: "there is text after the baseline",
		`{"version": 1, "findings": 5}`:            `no baseline as "depgraph baseline" writes it: json: cannot unmarshal number into Go struct field baselineFile.findings of type []depgraph.BaselineEntry`,
	} {
		name := filepath.Join(t.TempDir(), "b.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadBaseline(name); err == nil || err.Error() != "depgraph: baseline "+name+": "+want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	name := filepath.Join(t.TempDir(), "none.json")
	if _, err := LoadBaseline(name); err == nil || err.Error() != "depgraph: baseline: open "+name+": no such file or directory" {
		t.Error(err)
	}
}

// Where a program counts in bytes, a limit that is as large as can be is none.
func TestLoad_limits_at_their_bounds(t *testing.T) {
	const text = "service: a\n"
	folder := t.TempDir()
	name := filepath.Join(folder, "depgraph.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit int64
		file  string // the fault of the file, without its name
		stdin string // and of the standard input
	}{
		{0, "", ""},
		{1<<63 - 1, "", ""},
		{int64(len(text)), "", ""},
		{int64(len(text)) - 1, "is too large: 11 bytes, and a manifest may have 10; split it", "is too large: a manifest may have 10 bytes; split it"},
	} {
		for path, want := range map[string]string{filepath.ToSlash(name): c.file, "-": c.stdin} {
			if want != "" {
				want = strings.Replace(path, "-", stdinName, btoi(path == "-")) + ": " + want
			}
			services, err := LoadServices(context.Background(), LoadOptions{Paths: []string{path}, Stdin: strings.NewReader(text), MaxFileBytes: c.limit})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != want || (err == nil) != (len(services) == 1) {
				t.Errorf("limit %d, %s: %q, want %q", c.limit, path, got, want)
			}
		}
	}
}

// What is shown of a value is text, wherever it is cut.
func TestParseManifest_cuts_long_values_between_letters(t *testing.T) {
	for text, want := range map[string]string{
		"service: a\nstart: " + strings.Repeat("x", 41):         `f.yaml:2: start: expected a duration with a unit, such as 12s or 1m30s, found "` + strings.Repeat("x", 40) + `..."`,
		"service: a\nstart: " + strings.Repeat("x", 40):         `f.yaml:2: start: expected a duration with a unit, such as 12s or 1m30s, found "` + strings.Repeat("x", 40) + `"`,
		"service: a\nstart: x" + strings.Repeat("ü", 30):        `f.yaml:2: start: expected a duration with a unit, such as 12s or 1m30s, found "x` + strings.Repeat("ü", 19) + `..."`,
		"service: a\nstart: \"" + strings.Repeat("€", 20) + `"`: `f.yaml:2: start: expected a duration with a unit, such as 12s or 1m30s, found "` + strings.Repeat("€", 13) + `..."`,
	} {
		if _, err := ParseManifest("f.yaml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// A dependency that is declared twice is told at the second place, whichever of the two
// is given first.
func TestCompile_repeats_are_told_at_the_second_place(t *testing.T) {
	first, second := Dependency{On: "b", At: Position{"a.yaml", 3}}, Dependency{On: "b", At: Position{"b.yaml", 3}}
	for _, deps := range [][]Dependency{{first, second}, {second, first}} {
		_, err := Compile([]Service{{Name: "a", Depends: deps}, {Name: "b"}}, Options{})
		if want := `b.yaml:3: a: depends on "b" twice in phase startup+runtime; the other place is a.yaml:3`; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What a pull request waives is told once, of the system that it makes.
func TestCompare_tells_waivers_of_the_second_system(t *testing.T) {
	manifest := func(reason string) string {
		return "service: a\nwaivers: [{rule: DG009, reason: " + reason + ", until: 2999-12-31}]\n"
	}
	var told []string
	o := DiffOptions{Check: CheckOptions{Only: []string{"DG009"}, Now: proofNow, Waived: func(_ Finding, w Waiver) { told = append(told, w.Reason) }}}
	d, err := Compare(t.Context(), graphOf(t, manifest("before")), graphOf(t, manifest("after")), o)
	if err != nil || len(d.New)+len(d.Gone)+d.Known != 0 || strings.Join(told, " ") != "after" {
		t.Errorf("%v, told %v, %+v", err, told, d)
	}
}

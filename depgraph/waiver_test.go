package depgraph_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
)

func TestWaiver(t *testing.T) {
	day := func(s string) time.Time {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	waiver := func(rule, on string) string {
		return "waivers:\n  - rule: " + rule + "\n    reason: a new store comes in May\n    until: 2026-05-31\n" + on
	}
	a := "service: a\nowner: x\n%depends: [{on: b}]\n---\nservice: b\nowner: x\n@depends: [{on: a}]\n"
	for name, c := range map[string]struct {
		ofA, ofB string
		now      string
		left     string // the rules that are still found
		message  string
	}{
		"no waiver":            {"", "", "2026-05-01", "DG001", "bootstrap deadlock"},
		"one edge of a cycle":  {waiver("DG001", "    on: b\n"), "", "2026-05-01", "DG001", "at startup"},
		"all edges of a cycle": {waiver("DG001", "    on: b\n"), waiver("bootstrap-deadlock", ""), "2026-05-01", "", ""},
		"on the last day":      {waiver("DG001", ""), waiver("DG001", ""), "2026-05-31", "", ""},
		"expired":              {waiver("DG001", ""), waiver("DG001", ""), "2026-06-01", "DG001", "waived until 2026-05-31: a new store comes in May; the waiver has expired"},
		"of another rule":      {waiver("DG002", ""), waiver("DG002", ""), "2026-05-01", "DG001", "at startup"},
	} {
		g := graphOf(t, strings.NewReplacer("%", c.ofA, "@", c.ofB).Replace(a))
		waived := 0
		found, err := g.Check(t.Context(), depgraph.CheckOptions{Now: day(c.now).Add(23 * time.Hour), Only: []string{"DG001"}, Waived: func(depgraph.Finding, depgraph.Waiver) { waived++ }})
		if err != nil {
			t.Fatal(err)
		}
		var rules []string
		for _, f := range found {
			rules = append(rules, f.Rule)
			if !strings.Contains(f.Message, c.message) {
				t.Errorf("%s: %q, want %q", name, f.Message, c.message)
			}
		}
		if strings.Join(rules, " ") != c.left || waived != 1-len(rules) {
			t.Errorf("%s: found %v and %d waived, want %q", name, rules, waived, c.left)
		}
	}
}

func TestWaiver_faults(t *testing.T) {
	for text, want := range map[string]string{
		"service: a\nwaivers: [{rule: DG009, until: 2026-01-01}]":                                                     "m.yaml:2: waivers: DG009: the reason is missing",
		"service: a\nwaivers: [{rule: DG009, reason: x}]":                                                             "the date in until is missing",
		"service: a\nwaivers: [{reason: x, until: 2026-01-01}]":                                                       "the rule is missing",
		"service: a\nwaivers: [{rule: DG009, reason: \" \", until: 2026-01-01}]":                                      "the reason is missing",
		"service: a\nwaivers: [{rule: DG009, reason: x, until: soon}]":                                                "until: expected a date such as 2026-12-31",
		"service: a\nwaivers: {rule: DG009}":                                                                          "waivers: expected a list",
		"service: a\ndepends: [{on: b}]\nwaivers: [{rule: R, on: bb, reason: x, until: 2026-01-01}]\n---\nservice: b": `a does not depend on "bb"; did you mean "b"?`,
	} {
		services, err := depgraph.ParseManifest("m.yaml", []byte(text))
		if err == nil {
			_, err = depgraph.Compile(services, depgraph.Options{})
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q alone", text, err, want)
		}
	}
}

func TestWaiver_is_written_back(t *testing.T) {
	text := "service: a\nwaivers:\n  - rule: DG009\n    reason: \"later: soon\"\n    until: 2026-12-31\n"
	services, err := depgraph.ParseManifest("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := depgraph.WriteManifest(&b, services...); err != nil {
		t.Fatal(err)
	}
	again, err := depgraph.ParseManifest("m.yaml", b.Bytes())
	if err != nil || !slices.Equal(again[0].Waivers, services[0].Waivers) {
		t.Errorf("%v: read back %+v, want %+v", err, again[0].Waivers, services[0].Waivers)
	}
}

func TestWaiver_that_is_idle(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for rule, want := range map[string]string{
		"DG009":    "",
		"no-owner": "",
		"DG0009":   `warn a waives unknown rule "DG0009"; did you mean "DG009"?`,
		"DG012":    "info a waives DG012, which finds nothing there",
		"DG015":    "", // of drift, which is not run here
		"my-rule":  "", // may be one of a user's own
	} {
		g := graphOf(t, "service: a\nwaivers: [{rule: "+rule+", reason: x, until: 2026-12-31}]\n")
		found, err := g.Check(t.Context(), depgraph.CheckOptions{Now: now, Skip: map[bool][]string{true: {"DG009"}}[!strings.Contains("DG009 no-owner", rule)]})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range found {
			lines = append(lines, f.Severity.String()+" "+f.Message)
			if f.Rule != "DG021" || f.At.Line != 2 {
				t.Errorf("%s: %+v", rule, f)
			}
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}

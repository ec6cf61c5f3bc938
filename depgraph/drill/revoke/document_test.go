package revoke

import (
	"strings"
	"testing"
	"time"
)

// What is read as somebody's policy is refused rather than guessed at: it is
// written back, and what was misunderstood would be lost.
func TestParseDocument_refuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                "the table's policy is not a JSON object",
		`[]`:                              "the table's policy is not a JSON object",
		`"x"`:                             "the table's policy is not a JSON object",
		`{}`:                              "the table's policy has no Statement",
		`{"Version":"2012-10-17"}`:        "the table's policy has no Statement",
		`{"statement":[]}`:                "the table's policy has no Statement", // AWS takes it for another member
		`{"Statement":[],"Statement":[]}`: "the table's policy has two members Statement",
		`{"Statement":[{}]`:               "",
		`{"Statement":[{}`:                "",
		`{"Statement":[{"a":]}`:           "",
		`{"Statement":`:                   "",
		`{"Statement":[{} {}]}`:           "",
		`{"Version":}`:                    "",
		`{3:4}`:                           "",
	} {
		if p, err := parseDocument(text); err == nil || want != "" && err.Error() != want { // "": in the words of encoding/json
			t.Errorf("%s: %+v, %v; want %s", text, p, err, want)
		}
	}
}

func TestParseDocument_finds_statements(t *testing.T) {
	const until = `"Condition":{"DateLessThan":{"aws:CurrentTime":"2026-11-25T14:22:00Z"}}`
	at := time.Date(2026, 11, 25, 14, 22, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		text     string
		list     bool
		elements []string
		sids     []string
		until    time.Time
	}{
		"one":            {` { "Statement" : {"Sid":"a",` + until + `} , "Id":"Statement" } `, false, []string{`{"Sid":"a",` + until + `}`}, []string{"a"}, at},
		"a list":         {`{"Statement":[ {"Sid":"a",` + until + `},{"Sid":"b"}]}`, true, []string{`{"Sid":"a",` + until + `}`, `{"Sid":"b"}`}, []string{"a", "b"}, at},
		"none":           {`{"Statement":[]}`, true, nil, nil, time.Time{}},
		"not statements": {`{"Statement":[7,{"Sid":8},{"Sid":"c"}]}`, true, []string{`7`, `{"Sid":8}`, `{"Sid":"c"}`}, []string{"", "", "c"}, time.Time{}},
		"no date":        {`{"Statement":[{"Sid":"a","Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}}]}`, true, []string{`{"Sid":"a","Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}}`}, []string{"a"}, time.Time{}},
		"many dates":     {`{"Statement":[{"Sid":"a","Condition":{"DateLessThan":{"aws:CurrentTime":["x"]}}}]}`, true, []string{`{"Sid":"a","Condition":{"DateLessThan":{"aws:CurrentTime":["x"]}}}`}, []string{"a"}, time.Time{}},
		"nested":         {`{"Other":{"Statement":[{"Sid":"no"}]},"Statement":{"Sid":"yes"}}`, false, []string{`{"Sid":"yes"}`}, []string{"yes"}, time.Time{}},
	} {
		p, err := parseDocument(c.text)
		if err != nil || p.list != c.list || len(p.elements) != len(c.elements) {
			t.Errorf("%s: %+v, %v", name, p, err)
			continue
		}
		for i, e := range p.elements {
			if got := p.text[e.start:e.end]; got != c.elements[i] || e.sid != c.sids[i] {
				t.Errorf("%s: statement %d is %s, Sid %q; want %s, %q", name, i, got, e.sid, c.elements[i], c.sids[i])
			}
		}
		if len(p.elements) > 0 && !p.elements[0].until.Equal(c.until) {
			t.Errorf("%s: until %v; want %v", name, p.elements[0].until, c.until)
		}
	}
}

// What is added is where it belongs, and taking it out gives the text back to
// the byte, whatever stands around the statements.
func TestParsed_with_and_without(t *testing.T) {
	added := []string{`{"Sid":"FailOpenDrillabcd"}`, `{"Sid":"FailOpenDrillabcdSentinel"}`}
	const both = `{"Sid":"FailOpenDrillabcd"},{"Sid":"FailOpenDrillabcdSentinel"}`
	for text, want := range map[string]string{
		`{"Statement":{"Sid":"a"},"Id":"x"}`:                      `{"Statement":[{"Sid":"a"},` + both + `],"Id":"x"}`,
		`{"Statement":[{"Sid":"a"}]}`:                             `{"Statement":[{"Sid":"a"},` + both + `]}`,
		"{\n \"Statement\" : [ {\"Sid\":\"a\"} ,\n {} ]\n}\n":     "{\n \"Statement\" : [ {\"Sid\":\"a\"} ,\n {}," + both + " ]\n}\n",
		`{"Statement":[{"Sid":"FailOpenDrillabcde"}]}`:            `{"Statement":[{"Sid":"FailOpenDrillabcde"},` + both + `]}`,
		`{"Statement":[{"Sid":"FailOpenDrillabcdSentinelx"},{}]}`: `{"Statement":[{"Sid":"FailOpenDrillabcdSentinelx"},{},` + both + `]}`,
	} {
		p, err := parseDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.with(added)
		if err != nil || got != want {
			t.Errorf("%s: %v, with the drill's it is\n%s\nwant\n%s", text, err, got, want)
		}
		after, err := parseDocument(got)
		if err != nil {
			t.Fatal(err)
		}
		back, dropped, left := after.without(func(e element) bool { return e.ours("abcd") })
		if !p.list {
			back = unwrap(back)
		}
		if back != text || dropped != 2 || left != len(p.elements) {
			t.Errorf("taken out again it is\n%s (%d dropped, %d left)\nwant\n%s", back, dropped, left, text)
		}
	}
	empty, err := parseDocument(`{"Statement":[]}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := empty.with(added); err == nil || err.Error() != "the table's policy has an empty list of statements" {
		t.Errorf("%v", err)
	}
	if text, dropped, left := empty.without(func(element) bool { return true }); text != `{"Statement":[]}` || dropped != 0 || left != 0 {
		t.Errorf("%s, %d, %d", text, dropped, left)
	}
}

// The first statement may go as well as any other, with what separates it.
func TestParsed_without(t *testing.T) {
	p, err := parseDocument(`{"Statement":[ {"Sid":"a"} , {"Sid":"b"} ,{"Sid":"c"} ]}`)
	if err != nil {
		t.Fatal(err)
	}
	for drop, want := range map[string]string{
		"a":   `{"Statement":[ {"Sid":"b"} ,{"Sid":"c"} ]}`,
		"b":   `{"Statement":[ {"Sid":"a"} ,{"Sid":"c"} ]}`,
		"c":   `{"Statement":[ {"Sid":"a"} , {"Sid":"b"} ]}`,
		"ab":  `{"Statement":[ {"Sid":"c"} ]}`,
		"ac":  `{"Statement":[ {"Sid":"b"} ]}`,
		"abc": `{"Statement":[  ]}`,
		"":    p.text,
	} {
		got, dropped, left := p.without(func(e element) bool { return strings.Contains(drop, e.sid) })
		if got != want || dropped != len(drop) || left != 3-len(drop) {
			t.Errorf("without %q: %s, %d dropped, %d left; want %s", drop, got, dropped, left, want)
		}
	}
}

// A policy that has been written anew in the meantime, by AWS or a person, may
// have spaces where the drill had none: half of a pair of brackets must not go.
func TestUnwrap_leaves_what_it_does_not_know(t *testing.T) {
	for text, want := range map[string]string{
		`{"Statement":[{"Sid":"a"}]}`:             `{"Statement":{"Sid":"a"}}`,
		`{"Statement":[ {"Sid":"a"}]}`:            `{"Statement":[ {"Sid":"a"}]}`,
		`{"Statement":[{"Sid":"a"} ]}`:            `{"Statement":[{"Sid":"a"} ]}`,
		"{\"Statement\":[\n{\"Sid\":\"a\"}\n]}":   "{\"Statement\":[\n{\"Sid\":\"a\"}\n]}",
		`{"Statement":[{"Sid":"a"},{"Sid":"b"}]}`: `{"Statement":[{"Sid":"a"},{"Sid":"b"}]}`,
		`{"Statement":{"Sid":"a"}}`:               `{"Statement":{"Sid":"a"}}`,
		`{"Statement":[]}`:                        `{"Statement":[]}`,
		`no policy`:                               `no policy`,
	} {
		if got := unwrap(text); got != want {
			t.Errorf("%s becomes %s; want %s", text, got, want)
		}
	}
}

// AWS takes 20 KiB, to the byte.
func TestParsed_with_refuses_what_AWS_does(t *testing.T) {
	const frame = `{"Statement":[{"Sid":""},{"Sid":"b"}]}`
	for size, ok := range map[int]bool{maxTablePolicy: true, maxTablePolicy + 1: false} {
		p, err := parseDocument(`{"Statement":[{"Sid":"` + strings.Repeat("x", size-len(frame)) + `"}]}`)
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.with([]string{`{"Sid":"b"}`})
		const want = "with the drill's statements the table's policy would have 20481 bytes, more than the 20480 that AWS takes"
		if ok != (err == nil) || ok && len(text) != size || err != nil && err.Error() != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

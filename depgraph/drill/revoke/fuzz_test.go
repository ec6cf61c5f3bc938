package revoke

import (
	"encoding/json"
	"testing"
)

// FuzzDocument: whatever a table's policy is, the drill refuses it, or its statements
// can be added and taken out again so that the text is as before, to the byte.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"Statement":{"Sid":"a"},"Id":"x"}`,
		"{\n \"Statement\" : [ {\"Sid\":\"a\"} ,\n {} ]\n}\n",
		`{"Stat\u0065ment":[{"Sid":"FailOpenDrillabcde"},7,"]",[{}]]} x`,
	} {
		f.Add(seed)
	}
	added := []string{`{"Sid":"FailOpenDrillabcd"}`, `{"Sid":"FailOpenDrillabcdSentinel"}`}
	ours := func(e element) bool { return e.ours("abcd") }
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseDocument(text)
		if err != nil {
			return
		}
		for _, e := range p.elements {
			if ours(e) {
				return // a drill refuses a policy that has its statements already
			}
			if !json.Valid([]byte(text[e.start:e.end])) {
				t.Fatalf("%q: the statement %q is no JSON", text, text[e.start:e.end])
			}
		}
		with, err := p.with(added)
		if err != nil {
			return
		}
		if json.Valid([]byte(text)) && !json.Valid([]byte(with)) {
			t.Fatalf("%q was JSON, and with the drill's statements is not: %q", text, with)
		}
		after, err := parseDocument(with)
		if err != nil || len(after.elements) != len(p.elements)+2 {
			t.Fatalf("%q with the drill's statements: %d, %v", with, len(after.elements), err)
		}
		back, dropped, left := after.without(ours)
		if !p.list {
			back = unwrap(back)
		}
		if back != text || dropped != 2 || left != len(p.elements) {
			t.Fatalf("%q became %q, %d taken out, %d left", text, back, dropped, left)
		}
	})
}

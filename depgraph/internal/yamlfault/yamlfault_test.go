package yamlfault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// fault parses all documents of a text and returns "LINE: MESSAGE", "" if nothing is
// wrong.
func fault(text string) string {
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			line, message := Place([]byte(text), err)
			return fmt.Sprintf("%d: %s", line, message)
		}
	}
}

// Each text is wrong in one line, which is moved down: at the top the parser tells
// no line, and further down one that may be off by one.
func TestPlace_of_a_fault_in_every_line(t *testing.T) {
	for text, want := range map[string]string{
		"a: b: c\n":     "mapping values are not allowed in this context",
		"a: [b\n":       "did not find expected ',' or ']'",
		"a: {b\n":       "did not find expected ',' or '}'",
		"a: [\n":        "did not find expected node content",
		"a: \"x\n":      "found unexpected end of stream",
		"a: \"\\q\"\n":  "found unknown escape character",
		"a: *x\n":       "unknown anchor 'x' referenced",
		"a: [*y, *x]\n": "unknown anchor 'y' referenced",
		"a: \x01\n":     "control characters are not allowed",
		"a: \u0080\n":   "control characters are not allowed",
		"a: \uffff\n":   "control characters are not allowed",
		"a: \xff\n":     "invalid leading UTF-8 octet",
		"a: \xe2\x28\n": "invalid trailing UTF-8 octet",
		"a: \xe2":       "incomplete UTF-8 octet sequence",
		"a: !z!b c\n":   "found undefined tag handle",
		"a: @b\n":       "found character that cannot start any token",
		"a: &\n":        "did not find expected alphabetic or numeric character",
		"a: |x\n b\n":   "did not find expected comment or line break",
		"]\n":           "did not find expected node content",
	} {
		for _, above := range []string{"", "k: 1\n", "k: 1\n# *x, and ü\n\nl: 2\n", "k: 1\n---\n"} {
			if text == "]\n" && above != "" && !strings.HasSuffix(above, "---\n") {
				continue // would be part of what stands above
			}
			line := 1 + strings.Count(above, "\n")
			if strings.Contains(above, "*x") && strings.HasPrefix(want, "unknown anchor 'x'") {
				line = 2 // a comment looks the same
			}
			if got, want := fault(above+text), fmt.Sprintf("%d: %s", line, want); got != want {
				t.Errorf("%q: got %s, want %s", above+text, got, want)
			}
		}
	}
}

// Where the fault is not where it begins, the line is that of what is missing, and never
// one behind the text.
func TestPlace_of_what_is_missing(t *testing.T) {
	for text, want := range map[string]string{
		"x: [1\ny: 2\n":                                     "2: did not find expected ',' or ']'",
		"a: 1\nx: [1,\n  2\ny: 2\n":                         "2: did not find expected ',' or ']'",
		"a: 1\nx: [\n\n\n":                                  "2: did not find expected node content",
		"a: 1\nb:\n- c\n  d: 2\n":                           "4: mapping values are not allowed in this context",
		"a: 1\nb:\n- c: 1\n d: 2\n":                         "4: did not find expected key",
		"a: 1\n  \nb: 'x\n\n\n":                             "3: found unexpected end of stream",
		"service: a\ndepends:\n- on: b\n  soft: {\n- on: c": "5: did not find expected node content",
		"%YAML 3.0\n---\na: b\n":                            "1: found incompatible YAML document",
		"k: 1\nj\n":                                         "2: could not find expected ':'",
		"":                                                  "",
	} {
		if got := fault(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestPlace_of_an_error_of_something_else(t *testing.T) {
	if line, message := Place([]byte("a\nb\n"), io.ErrUnexpectedEOF); line != 1 || message != "unexpected EOF" {
		t.Errorf("%d %s", line, message)
	}
	if line, message := Place(nil, errors.New("yaml: line 7: odd")); line != 1 || message != "odd" {
		t.Errorf("%d %s", line, message)
	}
}

// Nothing that the parser refuses leads to a line that is not there.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"a: [", "a: *x", "\xff", "a: 1\n\x00", "- - -\n?", "%TAG\n---"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		defer func() { _ = recover() }() // the parser is known to panic
		var n yaml.Node
		err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&n)
		if err == nil {
			return
		}
		if line, _ := Place(data, err); line < 1 || line > 1+bytes.Count(data, []byte("\n")) {
			t.Errorf("line %d", line)
		}
	})
}

// Package yamlfault says in which line a YAML text is wrong.
//
// The parser (go.yaml.in/yaml/v3) tells it in the text of its error alone, and not always:
// never for the first line, an alias or an encoding; and for what its grammar refuses, as
// opposed to its scanner, the line before. A person who is sent to the wrong line of a manifest
// at night does not find the fault.
package yamlfault

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// prefix is what the parser puts before its messages.
var prefix = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// grammar are the beginnings of the messages whose lines count from 0: those that
// parserc.go passes to yaml_parser_set_parser_error. All others, of scannerc.go, count
// from 1.
var grammar = []string{
	"did not find expected <",
	"did not find expected node content",
	"did not find expected '-' indicator",
	"did not find expected key",
	"did not find expected ',' or ",
	"found undefined tag handle",
	"found duplicate %",
	"found incompatible YAML document",
}

// alias is the message about an alias that stands for nothing.
var alias = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)

// Place returns the line of a fault, from 1, and the parser's message without it. data is
// the text that was parsed. A text that ends too early is at fault in its last line that
// is not blank.
func Place(data []byte, err error) (line int, message string) {
	message = err.Error()
	m := prefix.FindStringSubmatch(message)
	if m == nil {
		return 1, message
	}
	message = message[len(m[0]):]
	line, _ = strconv.Atoi(m[1]) // "" is the first line
	if slices.ContainsFunc(grammar, func(p string) bool { return strings.HasPrefix(message, p) }) {
		line++
	}
	if m[1] == "" {
		line = search(data, message)
	}
	last := 1 + bytes.Count(bytes.TrimRight(data, " \t\r\n"), []byte("\n"))
	return min(max(line, 1), last), message
}

// search finds the line of a fault for which the parser names none; 1 is right for all
// that are not looked for.
func search(data []byte, message string) int {
	at := 0
	if m := alias.FindStringSubmatch(message); m != nil {
		// The first that looks like it. In a comment or a text it would be another one, but
		// nothing better is known, and that is near.
		use := regexp.MustCompile(`(?:^|[\s\[{,:-])\*` + regexp.QuoteMeta(m[1]) + `(?:[\s,\]}]|$)`)
		if found := use.FindIndex(data); found != nil {
			at = found[0] + bytes.IndexByte(data[found[0]:], '*')
		}
		return lineAt(data, at)
	}
	if strings.Contains(message, "UTF-8") || strings.HasPrefix(message, "control characters") {
		for at < len(data) {
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 || refused(r) {
				return lineAt(data, at)
			}
			at += size
		}
	}
	return 1
}

// refused reports whether YAML forbids a character (YAML 1.2, production 1, c-printable).
func refused(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7F && r < 0xA0 && r != 0x85 || r == 0xFFFE || r == 0xFFFF
}

// lineAt is the line of an offset, from 1.
func lineAt(data []byte, at int) int { return 1 + bytes.Count(data[:at], []byte("\n")) }

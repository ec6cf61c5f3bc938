package report

import (
	"fmt"
	"strings"
	"unicode"
)

// clean makes a name safe for a terminal: everything that unicode.IsPrint does
// not call printable, and so could move the cursor, change the direction of
// text or hide it, is written as an escape like \u001b, and bytes that are no
// UTF-8 as U+FFFD. Line breaks and tabs are among it: a clean name stays on its
// line and in its column.
//
// Every text format cleans first and escapes its own signs afterwards. The
// common case, a name that is printable as it is, does not allocate.
func clean(s string) string {
	// Afterwards every rune is a real one, and IsPrint decides about it alone.
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xFFFF: // as Go, Python and YAML write it
			fmt.Fprintf(&b, "\\U%08x", r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// cleanLines is clean for text of several lines, as in a test report: only line
// feeds stay what they are.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}

// join lists names for a line, cleaned and separated by commas. It does not
// wrap; see printer.list for lists that may be long.
func join(names []string) string {
	cleaned := make([]string, len(names))
	for i, n := range names {
		cleaned[i] = clean(n)
	}
	return strings.Join(cleaned, ", ")
}

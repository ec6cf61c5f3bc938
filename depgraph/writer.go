package depgraph

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

//go:embed depgraph.schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of a manifest document.
func Schema() []byte { return slices.Clone(schema) }

// WriteManifest writes services as YAML, one document each, in the order
// given, in a form that people would write and that ParseManifest reads back.
//
// Defaults are left out, positions too: they are those of the file that is written. A text
// that YAML cannot hold, invalid UTF-8, is an error, and nothing is written then.
func WriteManifest(w io.Writer, services ...Service) error {
	m := manifestWriter{}
	for i := range services {
		if i > 0 {
			m.b.WriteString("---\n")
		}
		m.service(&services[i])
	}
	if m.err != nil {
		return m.err
	}
	_, err := io.WriteString(w, m.b.String())
	return err
}

// manifestWriter collects the text; err is the first fault, and nothing is written
// after one.
type manifestWriter struct {
	b   strings.Builder
	err error
}

// line writes a line; what is from outside has gone through quote.
func (m *manifestWriter) line(format string, args ...any) {
	fmt.Fprintf(&m.b, format+"\n", args...)
}

// text writes a field unless it is empty.
func (m *manifestWriter) text(indent, field, value string) {
	if value != "" {
		m.field(indent, field, m.quote(value))
	}
}

// field writes a line with a value that is YAML already.
func (m *manifestWriter) field(indent, name, value string) {
	for _, part := range [...]string{indent, name, ": ", value, "\n"} {
		m.b.WriteString(part)
	}
}

// quote is QuoteYAML; the first error is kept, and the text that was to be written is
// not.
func (m *manifestWriter) quote(s string) string {
	q, err := QuoteYAML(s)
	if err != nil && m.err == nil {
		m.err = err
	}
	return q
}

// service writes one document. Fields that say nothing are left out.
//
// The name comes first, since a document with it is a service.
func (m *manifestWriter) service(s *Service) {
	m.line("service: %s", m.quote(s.Name))
	m.text("", "owner", s.Owner)
	m.text("", "kind", s.Kind.String())
	m.text("", "criticality", s.Criticality.String())
	if a := s.Availability; a != (Availability{}) {
		var parts []string
		if a.Target != 0 {
			parts = append(parts, "target: "+number(a.Target))
		}
		if a.Own != 0 {
			parts = append(parts, "own: "+number(a.Own))
		}
		m.line("availability: {%s}", strings.Join(parts, ", "))
	}
	if s.Start != 0 {
		m.line("start: %s", s.Start)
	}
	m.text("", "verify", s.Verify)
	m.text("", "note", s.Note)
	m.text("", "source", s.Source)
	if len(s.Waivers) > 0 {
		m.line("waivers:")
	}
	for i := range s.Waivers {
		m.waiver(&s.Waivers[i])
	}
	if len(s.Depends) > 0 {
		m.line("depends:")
	}
	for i := range s.Depends {
		m.dependency(&s.Depends[i])
	}
}

// waiver writes one item of waivers.
func (m *manifestWriter) waiver(w *Waiver) {
	m.line("  - rule: %s", m.quote(w.Rule))
	m.text("    ", "on", w.On)
	m.text("    ", "reason", w.Reason)
	m.line("    until: %s", w.Until.Format(time.DateOnly))
}

// dependency writes one item of depends: what it leads to, then the table of fields.go.
// The quorum of a group is always written, since a reader should not have to know the
// default.
func (m *manifestWriter) dependency(d *Dependency) {
	if len(d.AnyOf) > 0 {
		m.line("  - any-of: %s", m.list(d.AnyOf))
		m.line("    need: %d", d.need())
	} else {
		m.line("  - on: %s", m.quote(d.On))
	}
	for i := range dependencyRows {
		if value := dependencyRows[i].write(m, d); value != "" {
			m.field("    ", dependencyRows[i].name, value)
		}
	}
}

// list writes names in one line, as YAML's flow style.
//
// Names without quotes must not hold what ends an item; plainYAML sees to that.
func (m *manifestWriter) list(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = m.quote(n)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// number is a number without an exponent, in as few digits as read back the same.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// plainYAML are strings that mean the same with and without quotes, also
// inside a list.
var plainYAML = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+()-]+)*$`)

// QuoteYAML returns s as a YAML scalar on one line, in quotes where plain text
// would mean something else.
//
// Importers and init write what they found in files of others by it, so whatever s holds,
// it stays one scalar (YAML 1.2, 7.3.1, double-quoted style). The error is for invalid
// UTF-8.
func QuoteYAML(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("depgraph: " + strconv.Quote(s) + " is not valid UTF-8")
	}
	// YAML 1.1 reads these as booleans or null, and many parsers still do; ours would
	// not, but others read the file as well.
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s), nil
	}
	if plainYAML.MatchString(s) {
		return s, nil
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			// One form for all that cannot be seen: line ends, controls, and marks that
			// turn the direction of text around.
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}

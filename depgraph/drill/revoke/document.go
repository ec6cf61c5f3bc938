package revoke

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// element is a statement in a document, by its bounds there.
// start and end are bytes in parsed.text; the statement is text[start:end].
type element struct {
	start, end int
	sid        string
	until      time.Time // of DateLessThan on aws:CurrentTime; zero: none
}

// parsed is a document with the places of its statements.
type parsed struct {
	text     string
	elements []element
	list     bool // Statement is a list, not a single statement
}

// parseDocument finds the statements of a policy. Everything else in it stays
// as it is, byte for byte.
// It reads tokens, since only their offsets tell where a statement stands. Text that
// is no policy is an error, and then nothing is written: better no drill than a
// policy that was understood by half. A second member Statement is one, too: AWS and
// this program might each believe another of the two.
func parseDocument(text string) (parsed, error) {
	p := parsed{text: text}
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return p, errors.New("the table's policy is not a JSON object")
	}
	found := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return p, err
		}
		if key != "Statement" {
			var skip json.RawMessage
			if err := dec.Decode(&skip); err != nil {
				return p, err
			}
			continue
		}
		if found {
			return p, errors.New("the table's policy has two members Statement")
		}
		found = true
		if err := p.statements(dec); err != nil {
			return p, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return p, err
	}
	if !found {
		return p, errors.New("the table's policy has no Statement")
	}
	return p, nil
}

// statements reads the value of Statement, which IAM lets be one object or a
// list of them (IAM JSON policy grammar), and notes where each begins and ends.
func (p *parsed) statements(dec *json.Decoder) error {
	rest := p.text[dec.InputOffset():]
	p.list = strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n:"), "[")
	if p.list {
		if _, err := dec.Token(); err != nil {
			return err
		}
		for dec.More() {
			if err := p.element(dec); err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return err
	}
	return p.element(dec)
}

// element notes one statement: its bytes, which are never written anew, its
// Sid, and until when it holds. What it cannot make sense of is somebody
// else's, and stays.
func (p *parsed) element(dec *json.Decoder) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	end := int(dec.InputOffset())
	e := element{start: end - len(raw), end: end}
	var s struct {
		Sid       string
		Condition map[string]map[string]any
	}
	if err := json.Unmarshal(raw, &s); err == nil { // else it is not one of ours
		e.sid = s.Sid
		if at, ok := s.Condition["DateLessThan"]["aws:CurrentTime"].(string); ok {
			e.until, _ = time.Parse(time.RFC3339, at)
		}
	}
	p.elements = append(p.elements, e)
	return nil
}

// with adds statements after the last one.
//
// The text of the others stays as it is, to the byte: a policy that is read,
// parsed and written again by a program would lose what that program does not
// know.
// A single statement becomes a list first; [unwrap] undoes that. An empty list is an
// error, because AWS takes none: such a text is not the table's. The result is
// checked against AWS's limit before anything is written.
func (p parsed) with(statements []string) (string, error) {
	if len(p.elements) == 0 {
		return "", errors.New("the table's policy has an empty list of statements")
	}
	last := p.elements[len(p.elements)-1]
	added := ","
	added += strings.Join(statements, ",")
	text := p.text[:last.end] + added + p.text[last.end:]
	if !p.list {
		text = p.text[:last.start] + "[" + p.text[last.start:last.end] + added + "]" + p.text[last.end:]
	}
	if len(text) > maxTablePolicy {
		return "", fmt.Errorf("with the drill's statements the table's policy would have %d bytes, more than the %d that AWS takes", len(text), maxTablePolicy)
	}
	return text, nil
}

// unwrap makes the one statement of a list a single one again, as with has found
// it.
// A text that has changed since, so that brackets do not stand right at the
// statement, stays a list: that is as valid, and to cut one bracket would not be.
func unwrap(text string) string {
	p, err := parseDocument(text)
	if err != nil || !p.list || len(p.elements) != 1 {
		return text
	}
	e := p.elements[0]
	before, opens := strings.CutSuffix(text[:e.start], "[")
	after, closes := strings.CutPrefix(text[e.end:], "]")
	if !opens || !closes {
		return text
	}
	return before + text[e.start:e.end] + after
}

// without takes out the statements that drop selects, each with what separates
// it from the one before, and reports how many are left.
// What stood before the first and after the last statement stays, so that taking
// out what [parsed.with] has added gives the text back to the byte. left 0 means
// that the list would be empty, which AWS refuses: the caller deletes the policy.
func (p parsed) without(drop func(element) bool) (text string, dropped, left int) {
	if len(p.elements) == 0 {
		return p.text, 0, 0
	}
	var b strings.Builder
	b.WriteString(p.text[:p.elements[0].start])
	for i, e := range p.elements {
		if drop(e) {
			dropped++
			continue
		}
		if left++; left > 1 {
			b.WriteString(p.text[p.elements[i-1].end:e.start])
		}
		b.WriteString(p.text[e.start:e.end])
	}
	b.WriteString(p.text[p.elements[len(p.elements)-1].end:])
	return b.String(), dropped, left
}

// ours reports whether a statement belongs to the drill; "" means any drill.
// Any drill's is known by the prefix, so that a sweep also finds those whose journal
// was lost. One drill's are its two Sids exactly: abcd is not abcde.
func (e element) ours(id string) bool {
	if id == "" {
		return strings.HasPrefix(e.sid, sidPrefix)
	}
	return e.sid == sidPrefix+id || e.sid == sidPrefix+id+"Sentinel"
}

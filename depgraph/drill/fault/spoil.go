package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
	"unicode/utf8"
)

// Spoil damages an answer as the fault's kind says, in place. A [Corrupt] that
// has changed something counts its hit here. What waits, waits for the context
// of resp.Request.
// Truncate without Bytes, Stall and Corrupt read the whole answer first, since they
// must know its length or form; the error is then that of the reading. The headers
// stay as they were.
func (f *Fault) Spoil(resp *http.Response) error {
	if resp.Body == nil {
		resp.Body = http.NoBody // as http.Client takes it
	}
	switch {
	case f.Kind == Truncate && f.Bytes > 0: // of an answer that may have no end
		resp.Body = ending{io.MultiReader(io.LimitReader(resp.Body, f.Bytes), failing{io.ErrUnexpectedEOF}), resp.Body}
	case f.Kind == Truncate:
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), failing{io.ErrUnexpectedEOF}))
	case f.Kind == Stall:
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		rest := &stalled{ctx: contextOf(resp), closed: make(chan struct{})}
		resp.Body = ending{io.MultiReader(bytes.NewReader(body[:len(body)/2]), rest), rest}
	case f.Kind == Drip:
		resp.Body = &paced{ReadCloser: resp.Body, ctx: contextOf(resp), rate: dripRate}
	case f.Kind == Corrupt:
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		if corrupt(body) && f.changed != nil {
			f.changed()
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	if f.Bandwidth > 0 {
		resp.Body = &paced{ReadCloser: resp.Body, ctx: contextOf(resp), rate: f.Bandwidth}
	}
	return nil
}

// ending is a body with an end of its own.
type ending struct {
	io.Reader
	io.Closer
}

// contextOf is what a body waits for; of an answer without a request, nothing.
func contextOf(resp *http.Response) context.Context {
	if resp.Request == nil {
		return context.Background()
	}
	return resp.Request.Context()
}

// paced is a body that arrives at a rate. It waits before it hands out bytes,
// in steps of a tenth of a second.
type paced struct {
	io.ReadCloser
	ctx  context.Context
	rate int64 // bytes a second
}

// Read gives a tenth of a second's worth at most, after the time that it takes. A
// context that ends meanwhile loses these bytes, as a connection would.
func (p *paced) Read(b []byte) (int, error) {
	if step := max(1, p.rate/10); int64(len(b)) > step {
		b = b[:step]
	}
	n, err := p.ReadCloser.Read(b)
	if waitErr := sleep(p.ctx, time.Duration(float64(n)/float64(p.rate)*float64(time.Second))); waitErr != nil && n > 0 {
		return 0, waitErr
	}
	return n, err
}

// readAll reads a body to its end and closes it; the first error counts.
func readAll(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	return body, err
}

// corrupt changes the data in body, in place, and reports whether it has
// changed anything. The length and the form stay: JSON stays JSON, base64
// stays base64, tags stay tags.
// In JSON it takes the first class that has something to change: DynamoDB's binary
// values, then text, then numbers. Bytes that are no text are all inverted.
func corrupt(body []byte) bool {
	switch {
	case json.Valid(body):
		values := valuesOf(body)
		for _, class := range []func(value) bool{
			func(v value) bool { return v.typ == "B" || v.typ == "BS" },
			func(v value) bool { return v.text },
			func(value) bool { return true },
		} {
			changed := false
			for _, v := range values {
				if class(v) {
					changed = v.garble(body) || changed
				}
			}
			if changed {
				return true
			}
		}
		return false
	case !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0:
		for i := range body {
			body[i] ^= 0xff
		}
		return len(body) > 0
	default:
		return garbleText(body)
	}
}

// A value is a string or a number in a JSON document, by its bounds there,
// quotes included.
type value struct {
	start, end int
	text       bool
	typ        string // the member that holds it, or the list that it is in: DynamoDB's type
}

// valuesOf finds the strings and numbers of a valid document that are values.
// Names of members are not values. typ is handed down through lists, so that an
// element of BS knows that it is binary.
func valuesOf(body []byte) []value {
	var found []value
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var walk func(typ string)
	walk = func(typ string) {
		start := int(dec.InputOffset())
		t, err := dec.Token()
		if err != nil {
			return
		}
		end := int(dec.InputOffset())
		start += bytes.IndexFunc(body[start:end], func(r rune) bool { return r != ' ' && r != '\t' && r != '\r' && r != '\n' && r != ',' && r != ':' })
		switch t := t.(type) {
		case string:
			found = append(found, value{start, end, true, typ})
		case json.Number:
			found = append(found, value{start, end, false, typ})
		case json.Delim:
			for dec.More() {
				member := typ
				if t == '{' {
					name, _ := dec.Token()
					member, _ = name.(string)
				}
				walk(member)
			}
			_, _ = dec.Token() // its end
		}
	}
	walk("")
	return found
}

// garble changes the value's letters and digits, each to another one of its
// class, and leaves escapes alone. A number keeps its first digit unless it is
// the only one, so that it stays a number of JSON.
func (v value) garble(body []byte) (changed bool) {
	if !v.text {
		digits := body[v.start:v.end]
		for i := len(digits) - 1; i >= 0; i-- {
			switch c := digits[i]; {
			case c < '0' || c > '9':
			case i == 0 && len(digits) > 1 || i == 1 && digits[0] == '-' && len(digits) > 2:
			default:
				digits[i] = '0' + (c-'0'+5)%10
				changed = true
			}
		}
		return changed
	}
	for i := v.start + 1; i < v.end-1; i++ {
		if body[i] == '\\' {
			i++
			if body[i] == 'u' {
				i += 4
			}
			continue
		}
		changed = garbleByte(&body[i], v.typ == "B" || v.typ == "BS") || changed
	}
	return changed
}

// garbleText changes the letters and digits of body, but for those in tags and
// entities.
func garbleText(body []byte) (changed bool) {
	tags := bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
	until := byte(0)
	for i := range body {
		switch c := body[i]; {
		case until != 0:
			if c == until {
				until = 0
			}
		case tags && c == '<':
			until = '>'
		case tags && c == '&':
			until = ';'
		default:
			changed = garbleByte(&body[i], false) || changed
		}
	}
	return changed
}

// garbleByte turns a letter by 13 and a digit by 5 places, so that doing it twice
// gives the first one back, and no byte stays the same by chance.
func garbleByte(b *byte, base64 bool) bool {
	switch c := *b; {
	case 'A' <= c && c <= 'Z':
		*b = 'A' + (c-'A'+13)%26
	case 'a' <= c && c <= 'z':
		*b = 'a' + (c-'a'+13)%26
	case '0' <= c && c <= '9':
		*b = '0' + (c-'0'+5)%10
	case base64 && c == '+':
		*b = '/'
	case base64 && c == '/':
		*b = '+'
	default:
		return false
	}
	return true
}

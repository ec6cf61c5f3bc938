package verify

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The bounds are several times what tokens of AWS and of the broker need, and
// come before anything is decoded.
//
// Bounds of what is read at all.
const (
	maxToken   = 8 << 10
	maxMembers = 64
	maxDepth   = 8
	maxKeyID   = 128
)

// A token is what the text says. Nothing of it is true yet.
//
// The has fields tell a claim that is 0 from one that is not there.
type token struct {
	signed    string // header and payload as they were signed
	signature []byte

	// These are parts of one buffer: a string of each would be an allocation.
	alg, kid, typ      []byte
	iss, sub, aud, jti []byte

	audiences              int // how many aud has
	exp, iat, nbf          int64
	hasExp, hasIat, hasNbf bool
}

// parse reads the compact form of a JWT (RFC 7515, section 3.1), more strictly
// than JWT libraries do: no character outside the alphabet of base64url and no
// bits that mean nothing, so that a token has one spelling; no member twice, in
// whatever spelling or case, so that all who read it read the same.
func parse(text string) (*token, error) {
	if len(text) > maxToken {
		return nil, refuse(TooLarge, "%d bytes, the limit is %d", len(text), maxToken)
	}
	first := strings.IndexByte(text, '.')
	last := strings.LastIndexByte(text, '.')
	if first <= 0 || last <= first+1 || last == len(text)-1 || strings.IndexByte(text[first+1:last], '.') >= 0 {
		return nil, refuse(Malformed, "want three parts with a dot between them")
	}
	t := &token{signed: text[:last]}
	// One allocation for the text, whose bytes the decoder wants, and for
	// what comes out of it.
	buf := make([]byte, len(text)+strict.DecodedLen(len(text)))
	in, out := buf[:copy(buf, text)], buf[len(text):]
	header, out, err := decode(out, in[:first])
	if err != nil {
		return nil, err
	}
	payload, out, err := decode(out, in[first+1:last])
	if err != nil {
		return nil, err
	}
	if t.signature, _, err = decode(out, in[last+1:]); err != nil {
		return nil, err
	}
	if err := members(header, t.header); err != nil {
		return nil, err
	}
	if err := members(payload, t.claim); err != nil {
		return nil, err
	}
	return t, nil
}

// strict refuses bits at the end that mean nothing: two spellings of one
// signature would be two tokens to a list of those that were seen.
var strict = base64.RawURLEncoding.Strict()

// decode writes into buf and returns what is left of it.
func decode(buf, part []byte) (out, rest []byte, err error) {
	if bytes.ContainsAny(part, "\r\n") { // which the decoder would skip
		return nil, nil, refuse(Malformed, "a line break")
	}
	n, err := strict.Decode(buf, part)
	if err != nil {
		return nil, nil, refuse(Malformed, "a part is not base64url")
	}
	return buf[:n:n], buf[n:], nil
}

// header takes one member of the header. What it does not know it ignores, as
// RFC 7515 demands, but for what would change the meaning of what it knows.
func (t *token) header(name []byte, v value) error {
	switch string(name) {
	case "alg":
		return v.text(&t.alg)
	case "kid":
		return v.text(&t.kid)
	case "typ":
		return v.text(&t.typ)
	case "crit", "b64", "zip", "enc":
		return refuse(Critical, "the header has the member %s", name)
	case "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256":
		return refuse(EmbeddedKey, "the header has the member %s", name)
	}
	return otherCase(name, "alg", "kid", "typ", "crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "x5t")
}

// claim takes one claim of the payload. Names that differ in case only are
// refused: two readers of one token must not see two subjects.
func (t *token) claim(name []byte, v value) error {
	switch string(name) {
	case "iss":
		return v.text(&t.iss)
	case "sub":
		return v.text(&t.sub)
	case "jti":
		return v.text(&t.jti)
	case "aud":
		return v.oneText(&t.aud, &t.audiences)
	case "exp":
		t.hasExp = true
		return v.seconds(&t.exp)
	case "iat":
		t.hasIat = true
		return v.seconds(&t.iat)
	case "nbf":
		t.hasNbf = true
		return v.seconds(&t.nbf)
	}
	return otherCase(name, "iss", "sub", "aud", "exp", "iat", "nbf", "jti")
}

// otherCase refuses a name that a reader who does not tell cases apart would
// take for one of these.
func otherCase(name []byte, known ...string) error {
	for _, k := range known {
		if len(k) == len(name) && bytes.EqualFold(name, []byte(k)) {
			return refuse(Duplicate, "a member is spelt unlike %q", k)
		}
	}
	return nil
}

// A value is a JSON value as it stands in the text.
type value struct{ raw []byte }

// text wants a string, unquoted.
func (v value) text(into *[]byte) error {
	if v.raw[0] != '"' {
		return refuse(Malformed, "a member that must be text is not")
	}
	s, err := unquote(v.raw)
	if err != nil {
		return err
	}
	*into = s
	return nil
}

// oneText is text, or a list of one text; of a longer list it only counts.
//
// RFC 7519, 4.1.3, has aud in both forms.
func (v value) oneText(into *[]byte, n *int) error {
	if v.raw[0] == '"' {
		*n = 1
		return v.text(into)
	}
	s := scanner{data: v.raw}
	if v.raw[0] != '[' {
		return refuse(Malformed, "aud is neither text nor a list")
	}
	return s.list(0, func(e value) error {
		if *n++; *n == 1 {
			return e.text(into)
		}
		return nil
	})
}

// seconds is a NumericDate without a fraction, from 1970 to the year 9999.
func (v value) seconds(into *int64) error {
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	if err != nil || n < 0 || n > 253402300799 {
		return refuse(Malformed, "a time is not a whole number of seconds")
	}
	*into = n
	return nil
}

// members calls f for each member of the JSON object that data holds.
//
// Names are compared each with all before it: with at most 64 that is cheaper
// than a map, and allocates nothing.
func members(data []byte, f func(name []byte, v value) error) error {
	s := scanner{data: data}
	var seen [maxMembers][]byte
	n := 0
	err := s.object(0, func(name []byte, v value) error {
		for _, other := range seen[:n] {
			if bytes.Equal(other, name) {
				return refuse(Duplicate, "an object has a member twice")
			}
		}
		if n == maxMembers {
			return refuse(Malformed, "more than %d members", maxMembers)
		}
		seen[n] = name
		n++
		return f(name, v)
	})
	if err != nil {
		return err
	}
	if s.space(); s.at != len(data) {
		return refuse(Malformed, "text after the JSON value")
	}
	return nil
}

// A scanner walks over JSON (RFC 8259) without building it.
//
// It is by hand since encoding/json takes the last of two members of one name,
// and names in another case: readers of one token must not differ in what it
// says.
type scanner struct {
	data []byte
	at   int
}

// space skips what RFC 8259 calls white space.
func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next is the next character that is not space, and 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at == len(s.data) {
		return 0
	}
	return s.data[s.at]
}

// take takes c if it is next, after white space.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

var errJSON = &Error{Reason: Malformed, Detail: "a part is not JSON"}

// object calls f with each member. The grammar is strict, and depth is bounded:
// the text is a stranger's.
func (s *scanner) object(depth int, f func(name []byte, v value) error) error {
	if depth > maxDepth || !s.take('{') {
		return errJSON
	}
	if s.take('}') {
		return nil
	}
	for {
		if s.next() != '"' {
			return errJSON
		}
		quoted, err := s.quoted()
		if err != nil {
			return err
		}
		name, err := unquote(quoted)
		if err != nil {
			return err
		}
		if !s.take(':') {
			return errJSON
		}
		v, err := s.value(depth)
		if err != nil {
			return err
		}
		if err := f(name, v); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return errJSON
		}
	}
}

// list calls f with each element.
func (s *scanner) list(depth int, f func(value) error) error {
	if depth > maxDepth || !s.take('[') {
		return errJSON
	}
	if s.take(']') {
		return nil
	}
	for {
		v, err := s.value(depth)
		if err != nil {
			return err
		}
		if err := f(v); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errJSON
		}
	}
}

// value finds where a value ends, and checks it on the way. Nothing is decoded
// that nobody asked for.
func (s *scanner) value(depth int) (value, error) {
	c := s.next()
	from := s.at
	var err error
	switch {
	case c == '{':
		err = s.object(depth+1, func([]byte, value) error { return nil })
	case c == '[':
		err = s.list(depth+1, func(value) error { return nil })
	case c == '"':
		_, err = s.quoted()
	case c == '-' || c >= '0' && c <= '9':
		err = s.number()
	default:
		err = s.word()
	}
	if err != nil {
		return value{}, err
	}
	return value{s.data[from:s.at]}, nil
}

// quoted is a string with its quotes.
func (s *scanner) quoted() ([]byte, error) {
	from := s.at
	for s.at++; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[from:s.at], nil
		case c == '\\':
			if !s.escape() {
				return nil, errJSON
			}
		case c < ' ':
			return nil, errJSON
		}
	}
	return nil, errJSON
}

// escape goes to the last character of an escape, and reports whether it is one
// of JSON's. It is looked at although few strings are decoded: a token that others
// refuse as no JSON must not be good here.
func (s *scanner) escape() bool {
	s.at++
	switch {
	case s.at == len(s.data):
		return false
	case s.data[s.at] != 'u':
		return strings.IndexByte(`"\/bfnrt`, s.data[s.at]) >= 0
	}
	if _, ok := hex4(s.data[s.at+1:]); !ok {
		return false
	}
	s.at += 4
	return true
}

// digits takes as many digits as there are, and reports whether there was one.
func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

// has takes one character if it is one of these.
func (s *scanner) has(chars string) bool {
	if s.at < len(s.data) && strings.IndexByte(chars, s.data[s.at]) >= 0 {
		s.at++
		return true
	}
	return false
}

// number checks a number's form; leading zeros and a bare point are none of
// JSON's.
func (s *scanner) number() error {
	s.has("-")
	zero := s.at < len(s.data) && s.data[s.at] == '0'
	from := s.at
	if !s.digits() || zero && s.at > from+1 {
		return errJSON
	}
	if s.has(".") && !s.digits() {
		return errJSON
	}
	if s.has("eE") {
		s.has("+-")
		if !s.digits() {
			return errJSON
		}
	}
	return nil
}

// word takes true, false or null, which JSON has in this spelling only. What
// follows is for the caller to judge.
func (s *scanner) word() error {
	for _, w := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.at:], []byte(w)) {
			s.at += len(w)
			return nil
		}
	}
	return errJSON
}

// unquote decodes a string; without escapes it is a part of the text itself.
func unquote(quoted []byte) ([]byte, error) {
	in := quoted[1 : len(quoted)-1]
	if !utf8.Valid(in) {
		return nil, errJSON
	}
	if bytes.IndexByte(in, '\\') < 0 {
		return in, nil
	}
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' {
			out = append(out, in[i])
			continue
		}
		i++ // quoted has seen that it is an escape
		switch c := in[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b', 'f', 'n', 'r', 't':
			out = append(out, "\b\f\n\r\t"[strings.IndexByte("bfnrt", c)])
		case 'u':
			r, ok := hex4(in[i+1:])
			i += 4
			if ok && utf16.IsSurrogate(r) {
				low, second := rune(0), false
				if len(in) > i+2 && in[i+1] == '\\' && in[i+2] == 'u' {
					low, second = hex4(in[i+3:])
				}
				r = utf16.DecodeRune(r, low)
				ok = second && r != utf8.RuneError
				i += 6
			}
			if !ok {
				return nil, errJSON
			}
			out = utf8.AppendRune(out, r)
		default:
			return nil, errJSON
		}
	}
	return out, nil
}

// hex4 is the four digits after \u.
func hex4(in []byte) (rune, bool) {
	if len(in) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(in[:4]), 16, 32)
	return rune(n), err == nil
}

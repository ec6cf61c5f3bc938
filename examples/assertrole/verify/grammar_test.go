package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// accepts reports whether the scanner takes a text for an object.
func accepts(text string) bool {
	return members([]byte(text), func([]byte, value) error { return nil }) == nil
}

// The grammar of RFC 8259, each rule from both sides.
func TestMembers_grammar(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, " \t\r\n{ } \n": true, `{"a":1}`: true, `{"a" : 1 , "b" : 2}`: true,
		`{"a":{}}`: true, `{"a":{"b":[]}}`: true, `{"a":[1,"x",null,true,false,{}]}`: true,
		`{"a":0}`: true, `{"a":-0}`: true, `{"a":10.25}`: true, `{"a":1e5}`: true, `{"a":1E-5}`: true, `{"a":1.5e+05}`: true,
		`{"a":"\"\\\/\b\f\n\r\t"}`: true, `{"a":"\u00e9\ud83d\ude00"}`: true, `{"":1}`: true, `{"é":"é"}`: true,

		``: false, ` `: false, `[]`: false, `"x"`: false, `1`: false, `null`: false, `{`: false, `}`: false, `{}}`: false, `{}{}`: false, `{} x`: false,
		`{a:1}`: false, `{'a':1}`: false, `{"a"}`: false, `{"a":}`: false, `{"a" 1}`: false, `{"a":1,}`: false, `{,}`: false, `{"a":1 "b":2}`: false, `{"a":1;"b":2}`: false,
		`{"a":[1,]}`: false, `{"a":[,1]}`: false, `{"a":[1 2]}`: false, `{"a":[1}`: false, `{"a":[`: false,
		`{"a":01}`: false, `{"a":-}`: false, `{"a":+1}`: false, `{"a":.5}`: false, `{"a":1.}`: false, `{"a":1e}`: false, `{"a":1e+}`: false, `{"a":0x10}`: false, `{"a":NaN}`: false, `{"a":1_000}`: false,
		`{"a":tru}`: false, `{"a":True}`: false, `{"a":nul}`: false, `{"a":truetrue}`: false,
		"{\"a\":\"\n\"}": false, "{\"a\":\"\x00\"}": false, `{"a":"`: false, `{"a":"\`: false, `{"a":"\"}`: false, `{"a":"\x41"}`: false, `{"a":"\u12"}`: false, `{"a":"\u12g4"}`: false, `{"a":"\U0041"}`: false,
		"{\"a\":1\v}": false, "\ufeff{}": false, `{"\q":1}`: false, `{"a":1}/**/`: false,
		`{"a":1,"a":2}`: false, `{"a":1,"\u0061":2}`: false,
		strings.Repeat(`{"a":`, maxDepth+1) + `1` + strings.Repeat(`}`, maxDepth+1):       true,
		strings.Repeat(`{"a":`, maxDepth+2) + `1` + strings.Repeat(`}`, maxDepth+2):       false,
		`{"a":` + strings.Repeat(`[`, maxDepth) + strings.Repeat(`]`, maxDepth) + `}`:     true,
		`{"a":` + strings.Repeat(`[`, maxDepth+1) + strings.Repeat(`]`, maxDepth+1) + `}`: false,
		numbered(maxMembers): true, numbered(maxMembers + 1): false,
	} {
		if got := accepts(text); got != want {
			t.Errorf("%.80q: accepted %v, want %v", text, got, want)
		}
	}
}

// numbered is an object with so many members.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":%d`, i, i)
	}
	return "{" + b.String()[1:] + "}"
}

// Whatever is changed in a good text: what is taken is JSON to encoding/json as
// well, and what is JSON and has no name twice is taken.
func TestMembers_agrees_with_encoding_json(t *testing.T) {
	const good = `{"iss":"https://a.b","sub":"x\u0041\n","n":[1,-2.5e3,true,null,{"k":"v"}],"o":{"p":{}},"exp":1700000000}`
	rnd := rand.New(rand.NewPCG(1, 2))
	const letters = `{}[]",:\ntrufalse0123456789.eE+-ux `
	taken := 0
	for range 20_000 {
		text := []byte(good)
		for range 1 + rnd.IntN(3) {
			i := rnd.IntN(len(text))
			switch rnd.IntN(3) {
			case 0:
				text = append(text[:i], text[i+1:]...)
			case 1:
				text[i] = letters[rnd.IntN(len(letters))]
			default:
				text = append(text[:i], append([]byte{letters[rnd.IntN(len(letters))]}, text[i:]...)...)
			}
		}
		got, valid := accepts(string(text)), json.Valid(text)
		if got && !valid {
			t.Fatalf("%q is taken, and is no JSON", text)
		}
		if !got && valid && text[0] == '{' {
			err := members(text, func([]byte, value) error { return nil })
			if ReasonOf(err) != Duplicate {
				t.Fatalf("%q is not taken (%v), and is JSON", text, err)
			}
		}
		if got {
			taken++
		}
	}
	if taken < 1000 {
		t.Errorf("only %d of the texts were good: the test shows little", taken)
	}
}

// A string means what encoding/json says it means.
func TestUnquote(t *testing.T) {
	for _, quoted := range []string{
		`""`, `"plain"`, `"\"\\\/\b\f\n\r\t"`, `"\u0041\u00e9\u20ac"`, `"\ud83d\ude00"`, `"a\ud83d\ude00b"`, `"\u0000"`, `"é€😀"`, `"\uFFFD"`, `"\ud7ff\ue000"`,
	} {
		var want string
		if err := json.Unmarshal([]byte(quoted), &want); err != nil {
			t.Fatal(err)
		}
		if got, err := unquote([]byte(quoted)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", quoted, got, err, want)
		}
	}
	// What encoding/json would replace is refused: two readers would see two texts.
	for _, quoted := range []string{`"\ud800"`, `"\udc00"`, `"\ud800x"`, `"\ud800\n"`, `"\ud800\u0041"`, `"\ud800\ud800"`, `"\ud800\u12"`, `"\u"`, `"\u123"`, `"\u12 4"`, `"\u+123"`, `"\x"`, "\"\xff\"", "\"\xed\xa0\x80\"", `"\ud83d\uDE0"`} {
		if got, err := unquote([]byte(quoted)); err == nil {
			t.Errorf("%s is taken for %q", quoted, got)
		}
	}
}

// compact makes a token of a header, claims and a signature, unsigned.
func compact(header, claims string) string {
	b := base64.RawURLEncoding
	return b.EncodeToString([]byte(header)) + "." + b.EncodeToString([]byte(claims)) + "." + b.EncodeToString([]byte("sig"))
}

// What parse makes of a token, member by member, and in which words it refuses one.
func TestParse_members(t *testing.T) {
	const header = `{"alg":"RS256","kid":"k","typ":"JWT"}`
	tok, err := parse(compact(header, ` {"iss":"i","sub":"s\u0041","aud":["a"],"jti":"j","exp":253402300799,"iat":0,"nbf":1,"other":{"iss":"x"}} `))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %s %s %s %s %d %d %d %d %v %v %v %s", tok.alg, tok.kid, tok.typ, tok.iss, tok.sub, tok.aud, tok.jti, tok.audiences, tok.exp, tok.iat, tok.nbf, tok.hasExp, tok.hasIat, tok.hasNbf, tok.signature)
	if want := "RS256 k JWT i sA a j 1 253402300799 0 1 true true true sig"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if text := compact(header, "{}"); text[:strings.LastIndexByte(text, '.')] == "" {
		t.Error("nothing is signed")
	} else if tok, err := parse(text); err != nil || tok.signed != text[:strings.LastIndexByte(text, '.')] || tok.hasExp || tok.hasIat || tok.hasNbf {
		t.Errorf("%+v, %v", tok, err)
	}
	for _, c := range []struct{ header, claims, want string }{
		{`{"alg":null}`, `{}`, "verify: the token is malformed: a member that must be text is not"},
		{`{"zip":"DEF"}`, `{}`, "verify: an extension is marked as critical: the header has the member zip"},
		{`{"enc":"A128GCM"}`, `{}`, "verify: an extension is marked as critical: the header has the member enc"},
		{`{"x5c":[]}`, `{}`, "verify: the token brings a key of its own: the header has the member x5c"},
		{`{"x5t#S256":""}`, `{}`, "verify: the token brings a key of its own: the header has the member x5t#S256"},
		{`{"Kid":"k"}`, `{}`, `verify: a member comes twice, or in another case: a member is spelt unlike "kid"`},
		{`{"JKU":"k"}`, `{}`, `verify: a member comes twice, or in another case: a member is spelt unlike "jku"`},
		{header, `{"AUD":"a"}`, `verify: a member comes twice, or in another case: a member is spelt unlike "aud"`},
		{header, `{"aud":1}`, "verify: the token is malformed: aud is neither text nor a list"},
		{header, `{"aud":[1]}`, "verify: the token is malformed: a member that must be text is not"},
		{header, `{"aud":{}}`, "verify: the token is malformed: aud is neither text nor a list"},
		{header, `{"exp":-1}`, "verify: the token is malformed: a time is not a whole number of seconds"},
		{header, `{"exp":253402300800}`, "verify: the token is malformed: a time is not a whole number of seconds"},
		{header, `{"iat":true}`, "verify: the token is malformed: a time is not a whole number of seconds"},
		{header, `{"nbf":1.0}`, "verify: the token is malformed: a time is not a whole number of seconds"},
		{header, `{"a":1} {}`, "verify: the token is malformed: text after the JSON value"},
		{header, numbered(65), "verify: the token is malformed: more than 64 members"},
		{header, `{"a":1,"a":1}`, "verify: a member comes twice, or in another case: an object has a member twice"},
		{`[]`, `{}`, "verify: the token is malformed: a part is not JSON"},
	} {
		if _, err := parse(compact(c.header, c.claims)); err == nil || err.Error() != c.want {
			t.Errorf("%s %s: %v\nwant %s", c.header, c.claims, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"..": "want three parts with a dot between them", "a..b": "want three parts with a dot between them", "a.b.": "want three parts with a dot between them", ".a.b": "want three parts with a dot between them", "a.b.c.d": "want three parts with a dot between them",
		"YQ\n.YQ.YQ": "a line break", "YQ.YQ\r.YQ": "a line break", "a.b.c": "a part is not base64url", "YQ==.YQ.YQ": "a part is not base64url", "YR.YQ.YQ": "a part is not base64url",
	} {
		if _, err := parse(text); err == nil || err.Error() != "verify: the token is malformed: "+want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := parse(strings.Repeat("a", maxToken+1)); err == nil || err.Error() != "verify: the token is too large: 8193 bytes, the limit is 8192" {
		t.Error(err)
	}
	// Parsing does not change the text, nor do parts of the token share bytes with
	// each other in a way that one could grow into the next.
	text := compact(header, `{"iss":"i","sub":"s"}`)
	before := strings.Clone(text)
	tok, err = parse(text)
	if err != nil || text != before {
		t.Fatalf("%v, %q", err, text)
	}
	tok.signature = append(tok.signature, "x"...)
	if !bytes.Equal(tok.iss, []byte("i")) || !bytes.Equal(tok.sub, []byte("s")) {
		t.Errorf("%s %s", tok.iss, tok.sub)
	}
}

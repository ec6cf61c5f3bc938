package verify

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The keys of these tests; 2048 bits is the least that is taken.
var (
	aKey = func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return k
	}()
	aCurve = func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return k
	}()
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// rsaJWK is a good key, with some members changed; "" takes one away.
func rsaJWK(changed map[string]any) map[string]any {
	return with(map[string]any{"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", "n": encode(aKey.N.Bytes()), "e": encode(big.NewInt(int64(aKey.E)).Bytes())}, changed)
}

func ecJWK(changed map[string]any) map[string]any {
	point, err := aCurve.PublicKey.ECDH()
	if err != nil {
		panic(err)
	}
	xy := point.Bytes()[1:]
	return with(map[string]any{"kty": "EC", "kid": "k", "alg": "ES384", "crv": "P-384", "x": encode(xy[:48]), "y": encode(xy[48:])}, changed)
}

func with(all, changed map[string]any) map[string]any {
	for name, v := range changed {
		if all[name] = v; v == "" {
			delete(all, name)
		}
	}
	return all
}

// document of keys, as an issuer publishes it.
func published(t *testing.T, members map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Which keys are taken: each bound from both sides.
func TestParseKeys_which_are_taken(t *testing.T) {
	bits := func(n uint) string {
		return encode(new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), n-1), 0, 1).Bytes())
	}
	number := func(n int64) string { return encode(big.NewInt(n).Bytes()) }
	for name, c := range map[string]struct {
		key   map[string]any
		taken bool
	}{
		"RSA":                             {rsaJWK(nil), true},
		"without alg and use":             {rsaJWK(map[string]any{"alg": "", "use": ""}), true},
		"to verify":                       {rsaJWK(map[string]any{"key_ops": []string{"verify"}}), true},
		"2048 bits":                       {rsaJWK(map[string]any{"n": bits(2048)}), true},
		"8192 bits":                       {rsaJWK(map[string]any{"n": bits(8192)}), true},
		"the exponent 3":                  {rsaJWK(map[string]any{"e": number(3)}), true},
		"the largest exponent":            {rsaJWK(map[string]any{"e": number(1<<31 - 1)}), true},
		"EC":                              {ecJWK(nil), true},
		"EC without alg":                  {ecJWK(map[string]any{"alg": ""}), true},
		"2047 bits":                       {rsaJWK(map[string]any{"n": bits(2047)}), false},
		"8193 bits":                       {rsaJWK(map[string]any{"n": bits(8193)}), false},
		"the exponent 1":                  {rsaJWK(map[string]any{"e": number(1)}), false},
		"an even exponent":                {rsaJWK(map[string]any{"e": number(65536)}), false},
		"an exponent of 32 bits":          {rsaJWK(map[string]any{"e": number(1<<31 + 1)}), false},
		"an exponent of 100 bits":         {rsaJWK(map[string]any{"e": bits(100)}), false},
		"no modulus":                      {rsaJWK(map[string]any{"n": ""}), false},
		"a modulus with padding":          {rsaJWK(map[string]any{"n": encode(aKey.N.Bytes()) + "=="}), false},
		"for encryption":                  {rsaJWK(map[string]any{"use": "enc"}), false},
		"to sign":                         {rsaJWK(map[string]any{"key_ops": []string{"sign"}}), false},
		"for nothing":                     {rsaJWK(map[string]any{"key_ops": []string{}}), false},
		"RS512":                           {rsaJWK(map[string]any{"alg": "RS512"}), false},
		"RSA that says it is EC's":        {rsaJWK(map[string]any{"alg": "ES384"}), false},
		"P-256":                           {ecJWK(map[string]any{"crv": "P-256"}), false},
		"EC that says it is RSA's":        {ecJWK(map[string]any{"alg": "RS256"}), false},
		"a point that is too long":        {ecJWK(map[string]any{"x": encode(bytes.Repeat([]byte{1}, 49))}), false},
		"a point off the curve":           {ecJWK(map[string]any{"x": encode([]byte{1})}), false},
		"no point":                        {ecJWK(map[string]any{"y": ""}), false},
		"another kind":                    {rsaJWK(map[string]any{"kty": "OKP"}), false},
		"a key id with a space":           {rsaJWK(map[string]any{"kid": "a b"}), false},
		"a key id of 129 letters":         {rsaJWK(map[string]any{"kid": strings.Repeat("k", 129)}), false},
		"no key id":                       {rsaJWK(map[string]any{"kid": ""}), false},
		"with its private exponent":       {rsaJWK(map[string]any{"d": "AQ"}), false},
		"with a second factor":            {rsaJWK(map[string]any{"q": "AQ"}), false},
		"with the secret of another sort": {ecJWK(map[string]any{"k": "AQ"}), false},
	} {
		set, err := parseKeys(published(t, map[string]any{"keys": []any{c.key, rsaJWK(map[string]any{"kid": "other"})}}), time.Now())
		if err != nil || set.keys["other"].alg != "RS256" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, taken := set.keys["k"]; taken != c.taken || len(set.keys) > 2 {
			t.Errorf("%s: taken %v, want %v", name, taken, c.taken)
		}
		_, d := c.key["d"]
		_, q := c.key["q"]
		_, k := c.key["k"]
		if set.revoked["k"] != (d || q || k) {
			t.Errorf("%s: revoked %v", name, set.revoked)
		}
	}
}

// What is wrong with a set as a whole, in words.
func TestParseKeys_what_is_wrong(t *testing.T) {
	many := make([]any, 101)
	ids := make([]string, 101)
	for i := range many {
		many[i], ids[i] = map[string]any{"kid": fmt.Sprint(i)}, fmt.Sprint(i)
	}
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"no JSON":          {`{"keys":`, "the key set is not JSON: unexpected end of JSON input"},
		"a page":           {"<html>", "the key set is not JSON: invalid character '<' looking for beginning of value"},
		"another document": {`{"keys":{}}`, "the key set is not JSON: json: cannot unmarshal object into Go struct field document.keys of type []verify.jwk"},
		"101 keys":         {string(published(t, map[string]any{"keys": many})), "the key set has 101 keys and 0 revoked ones, the limit is 100"},
		"101 revoked":      {string(published(t, map[string]any{"revoked": ids})), "the key set has 0 keys and 101 revoked ones, the limit is 100"},
		"empty":            {`{}`, "the key set has no key that can be used"},
		"none of use":      {string(published(t, map[string]any{"keys": []any{rsaJWK(map[string]any{"use": "enc"})}, "revoked": []string{"x"}})), "the key set has no key that can be used"},
		"one twice":        {string(published(t, map[string]any{"keys": []any{rsaJWK(nil), ecJWK(nil)}})), "the key set has a key id twice"},
		"the last revoked": {`{"revoked":["x"]}`, ""},
	} {
		set, err := parseKeys([]byte(c.text), time.Now())
		if err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
		if strings.Contains(c.text, `"revoked":["x"]`) && !set.revoked["x"] {
			t.Errorf("%s: what it revokes is forgotten", name)
		}
	}
}

// answers is an issuer that gives one answer.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// a response with a status and a body.
func response(status int, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.invalid/"}}, Body: io.NopCloser(body)}
}

// verifierOf is a verifier of one issuer, which answers as it is told.
func verifierOf(t *testing.T, o Options, a answers) *Verifier {
	t.Helper()
	o.Issuers, o.Audience, o.Client = []Issuer{{URL: "https://issuer.invalid", Type: "JWT", Accounts: []string{"111122223333"}}}, "shop", &http.Client{Transport: a}
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close(context.Background()) })
	return v
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the line went dead") }

// Answers of an issuer that are no key set, and what is said of them.
func TestFetch_answers(t *testing.T) {
	good := published(t, map[string]any{"keys": []any{rsaJWK(nil)}})
	for name, c := range map[string]struct {
		answer *http.Response
		err    error
		want   string
	}{
		"good":               {response(200, bytes.NewReader(good)), nil, ""},
		"a redirect":         {response(302, http.NoBody), nil, "the issuer answers with status 302"},
		"an error":           {response(500, bytes.NewReader(good)), nil, "the issuer answers with status 500"},
		"as large as may be": {response(200, io.MultiReader(bytes.NewReader(good), strings.NewReader(strings.Repeat(" ", maxKeySet-len(good))))), nil, ""},
		"too large":          {response(200, io.MultiReader(bytes.NewReader(good), strings.NewReader(strings.Repeat(" ", maxKeySet-len(good)+1)))), nil, "the key set is larger than 262144 bytes"},
		"cut off":            {response(200, io.MultiReader(bytes.NewReader(good), failing{})), nil, "the line went dead"},
		"nobody":             {nil, errors.New("connection refused"), `Get "https://issuer.invalid/.well-known/jwks.json": connection refused`},
	} {
		asked := ""
		v := verifierOf(t, Options{}, func(r *http.Request) (*http.Response, error) {
			asked = r.URL.String() + " " + r.Header.Get("Accept")
			return c.answer, c.err
		})
		set, err := v.fetch(t.Context(), v.issuers["https://issuer.invalid"].KeysURL)
		if err == nil && c.want != "" || err != nil && err.Error() != c.want || err == nil && len(set.keys) != 1 {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if asked != "https://issuer.invalid/.well-known/jwks.json application/json" {
			t.Errorf("%s: asked %s", name, asked)
		}
	}
	if _, err := verifierOf(t, Options{}, nil).fetch(t.Context(), "http://[::1"); err == nil {
		t.Error("an address that is none was asked")
	}
}

// The file of the last good keys: what is kept, and what is not believed.
func TestSave_and_restore(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	now := at
	v := verifierOf(t, Options{Dir: dir, Now: func() time.Time { return now }}, nil)
	raw := published(t, map[string]any{"keys": []any{rsaJWK(nil)}, "revoked": []string{"old"}})
	set, err := parseKeys(raw, at)
	if err != nil {
		t.Fatal(err)
	}
	const name = "https://issuer.invalid/../../etc/passwd"
	if err := v.save(name, set); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || filepath.Join(dir, files[0].Name()) != v.file(name) || strings.ContainsAny(files[0].Name(), "/\\ ") {
		t.Fatalf("%v, %v; want one file", files, err)
	}
	for _, c := range []struct {
		issuer string
		later  time.Duration
		want   string
	}{
		{name, 0, ""},
		{name, 24 * time.Hour, ""},
		{name, -time.Minute, ""},
		{name, 24*time.Hour + time.Second, "the last good keys are of 2026-11-26T09:00:00Z, for " + name},
		{name, -time.Minute - time.Second, "the last good keys are of 2026-11-26T09:00:00Z, for " + name},
		{"https://other.invalid", 0, "no such file or directory"},
	} {
		now = at.Add(c.later)
		got, err := v.restore(c.issuer)
		if c.want == "" && (err != nil || !got.fetched.Equal(at) || len(got.keys) != 1 || !got.revoked["old"]) || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)) {
			t.Errorf("%s, %v later: %v, want %q", c.issuer, c.later, err, c.want)
		}
	}
	now = at
	for text, want := range map[string]string{
		"": "unexpected end of JSON input",
		`{"issuer":"` + name + `","fetched":"2026-11-26T09:00:00Z","keys":{}}`: "the key set has no key that can be used",
		`{"issuer":"https://other.invalid","fetched":"2026-11-26T09:00:00Z"}`:  "the last good keys are of 2026-11-26T09:00:00Z, for https://other.invalid",
	} {
		if err := os.WriteFile(v.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := v.restore(name); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	// A file that cannot be replaced is an error, and leaves no other one.
	if err := os.Remove(v.file(name)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(v.file(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := v.save(name, set); err == nil {
		t.Error("a folder was replaced")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("what is left: %v, %v", files, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := v.save(name, set); err == nil {
		t.Error("kept in a folder that has gone")
	}
	v.dir = ""
	if _, err := v.restore(name); err == nil || err.Error() != "there is no directory for the last good keys" {
		t.Error(err)
	}
	if err := v.save(name, set); err != nil {
		t.Error(err)
	}
}

// A folder that cannot be written to is told to the log, and keeps nobody out.
func TestLoad_keys_that_cannot_be_kept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		v := verifierOf(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(*http.Request) (*http.Response, error) {
			return response(200, bytes.NewReader(published(t, map[string]any{"keys": []any{rsaJWK(nil)}}))), nil
		})
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		if err := v.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `level=WARN msg="verify: the keys cannot be kept for the next start" issuer=https://issuer.invalid err=`) {
			t.Errorf("%q", text)
		}
	})
}

// Check names the first issuer, by name, whose tokens cannot be verified.
func TestCheck_names_the_issuer(t *testing.T) {
	keys := map[string]map[string]any{"a": {"keys": []any{rsaJWK(nil)}}, "b": {"revoked": []string{"k"}}, "c": {}}
	for range 10 {
		v := verifierOf(t, Options{}, func(r *http.Request) (*http.Response, error) {
			return response(200, bytes.NewReader(published(t, keys[r.URL.Hostname()[:1]]))), nil
		})
		for _, name := range []string{"c", "b", "a"} {
			if err := v.add(Issuer{URL: "https://" + name + ".invalid", Type: "JWT", Accounts: []string{"111122223333"}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Check(t.Context()); err == nil || err.Error() != "verify: issuer https://b.invalid: all of its keys are revoked" {
			t.Fatal(err)
		}
	}
}

// An Error reads well, tells its cause, and can be asked for by its reason alone.
func TestError(t *testing.T) {
	cause := errors.New("connection refused")
	for want, e := range map[string]*Error{
		"verify: the token has expired":                                    {Reason: Expired},
		"verify: the token has expired: 9 s ago":                           {Reason: Expired, Detail: "9 s ago"},
		"verify: the issuer's keys cannot be had: connection refused":      {Reason: KeysUnavailable, Err: cause},
		"verify: the issuer's keys cannot be had: why: connection refused": {Reason: KeysUnavailable, Detail: "why", Err: cause},
	} {
		wrapped := fmt.Errorf("outer: %w", e)
		if e.Error() != want || ReasonOf(wrapped) != e.Reason || errors.Is(wrapped, cause) != (e.Err != nil) {
			t.Errorf("%v, want %s", e, want)
		}
		if !errors.Is(wrapped, &Error{Reason: e.Reason}) || errors.Is(wrapped, &Error{Reason: Malformed}) || errors.Is(wrapped, &Error{Reason: e.Reason, Detail: "another"}) {
			t.Errorf("%v is asked for by its reason", e)
		}
	}
	if ReasonOf(nil) != "" || ReasonOf(cause) != "" {
		t.Error("a reason for another package's error")
	}
}

// What is a role's ARN, and of which account.
func TestRoleOf(t *testing.T) {
	accounts := []string{"111122223333", "444455556666"}
	for arn, want := range map[string]bool{
		"arn:aws:iam::111122223333:role/app": true, "arn:aws-cn:iam::444455556666:role/app": true, "arn:aws-us-gov:iam::111122223333:role/a/b/c+=,.@_-9": true,
		"arn:aws:iam::111122223333:role/" + strings.Repeat("r", 64): true, "arn:aws:iam::111122223333:role/" + strings.Repeat("r", 65): false,
		"arn:aws:iam::111122223333:role/" + strings.Repeat("p", 510) + "/r": true, "arn:aws:iam::111122223333:role/" + strings.Repeat("p", 511) + "/r": false,
		"": false, "arn:aws:iam::111122223333:role/": false, "arn:aws:iam::111122223333:role/a/": false, "arn:aws:iam::111122223333:role/a b": false, "arn:aws:iam::111122223333:role/a*": false,
		"arn:aws:iam::111122223333:role/a b/c": false, "arn:aws:iam::111122223333:role/é": false, "arn:aws:iam::111122223333:role/a\n": false, "arn:aws:iam::111122223333:user/app": false,
		"arn:aws:iam::999988887777:role/app": false, "arn:evil:iam::111122223333:role/app": false, "arn:aws:sts::111122223333:assumed-role/app/x": false, "xarn:aws:iam::111122223333:role/app": false,
	} {
		if got := roleOf(arn, accounts); got != want {
			t.Errorf("%.80q: %v, want %v", arn, got, want)
		}
	}
	if got := accountOf("arn:aws:iam::111122223333:role/a/b"); got != "111122223333" {
		t.Error(got)
	}
	for id, want := range map[string]bool{"a": true, "A-z_0.9": true, strings.Repeat("k", 128): true, strings.Repeat("k", 129): false, "": false, "a/b": false, "a\nb": false, "é": false} {
		if got := keyID(id); got != want {
			t.Errorf("%.20q: %v, want %v", id, got, want)
		}
	}
}

// Revocations only add up; an issuer's are its own, and this service's are all's.
func TestRevoke_adds_up(t *testing.T) {
	v := verifierOf(t, Options{Revoked: []string{"first"}}, nil)
	one, other := &issuer{Issuer: Issuer{URL: "https://one.invalid"}}, &issuer{Issuer: Issuer{URL: "https://other.invalid"}}
	v.Revoke("second", "third")
	v.remember("https://one.invalid", &keySet{revoked: map[string]bool{"theirs": true}})
	v.remember("https://one.invalid", nil)
	v.remember("https://one.invalid", &keySet{})
	for _, id := range []string{"first", "second", "third"} {
		if !v.isRevoked(one, []byte(id)) || !v.isRevoked(other, []byte(id)) {
			t.Errorf("%s is not revoked everywhere", id)
		}
	}
	if !v.isRevoked(one, []byte("theirs")) || v.isRevoked(other, []byte("theirs")) || v.isRevoked(one, []byte("good")) {
		t.Errorf("%v", *v.revoked.Load())
	}
	if n := len(*v.revoked.Load()); n != 4 {
		t.Errorf("%d revocations, want 4", n)
	}
	if !slices.Equal([]int64{v.Stats().Accepted, v.Stats().Refused, v.Stats().Fetches}, []int64{0, 0, 0}) {
		t.Errorf("%+v", v.Stats())
	}
}

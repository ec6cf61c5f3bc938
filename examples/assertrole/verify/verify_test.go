package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/examples/assertrole/verify"
)

const (
	issuer  = "https://abc.tokens.sts.global.api.aws"
	account = "111122223333"
	role    = "arn:aws:iam::111122223333:role/app"
)

var (
	keyA  = newRSA(2048)
	keyB  = newRSA(2048)
	weak  = newRSA(1024)
	curve = func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return k
	}()
)

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func jwkOf(id string, k *rsa.PrivateKey) map[string]string {
	return map[string]string{"kty": "RSA", "kid": id, "alg": "RS256", "use": "sig", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func ecOf(id string, k *ecdsa.PrivateKey) map[string]string {
	point, err := k.PublicKey.ECDH()
	if err != nil {
		panic(err)
	}
	xy := point.Bytes()[1:]
	return map[string]string{"kty": "EC", "kid": id, "alg": "ES384", "crv": "P-384", "x": b64(xy[:48]), "y": b64(xy[48:])}
}

// mint signs a header and claims as they are given.
func mint(key crypto.Signer, header, claims string) string {
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	var sig []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		sum := sha256.Sum256([]byte(text))
		sig, err = rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		sum := sha512.Sum384([]byte(text))
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, k, sum[:])
		sig = make([]byte, 96)
		r.FillBytes(sig[:48])
		s.FillBytes(sig[48:])
	}
	if err != nil {
		panic(err)
	}
	return text + "." + b64(sig)
}

const header = `{"alg":"RS256","kid":"a","typ":"JWT"}`

// claims of a token of now, with members after them.
func claims(now time.Time, more string) string {
	return fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":"shop","iat":%d,"exp":%d,"jti":"1"%s}`, issuer, role, now.Unix(), now.Unix()+300, more)
}

// jwks is an issuer that can be taken away.
type jwks struct {
	mu      sync.Mutex
	keys    []map[string]string
	revoked []string
	down    error
	asked   atomic.Int64
}

func (j *jwks) set(down error, revoked []string, keys ...map[string]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.down, j.revoked, j.keys = down, revoked, keys
}

func (j *jwks) RoundTrip(r *http.Request) (*http.Response, error) {
	j.asked.Add(1)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.down != nil {
		return nil, j.down
	}
	body, err := json.Marshal(map[string]any{"keys": j.keys, "revoked": j.revoked})
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func options(j *jwks) verify.Options {
	return verify.Options{
		Issuers:  []verify.Issuer{{URL: issuer, Type: "JWT", Accounts: []string{account}}},
		Audience: "shop", Client: &http.Client{Transport: j},
	}
}

func newVerifier(t testing.TB, o verify.Options) *verify.Verifier {
	t.Helper()
	v, err := verify.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close(context.Background()) })
	return v
}

func reason(t *testing.T, v *verify.Verifier, token string) verify.Reason {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	if err == nil && id.Subject != role {
		t.Errorf("accepted as %+v", id)
	}
	if err != nil && verify.ReasonOf(err) == "" {
		t.Errorf("an error without a reason: %v", err)
	}
	return verify.ReasonOf(err)
}

// TestVerify_attacks is the table of what must be refused, each with its reason,
// and logged without the token.
func TestVerify_attacks(t *testing.T) {
	j := new(jwks)
	private := jwkOf("private", keyB)
	private["d"] = b64(keyB.D.Bytes())
	off := ecOf("off-curve", curve)
	off["y"] = off["x"]
	j.set(nil, []string{"gone"}, jwkOf("a", keyA), jwkOf("gone", keyA), jwkOf("weak", weak), private, ecOf("ec", curve), off)
	var log bytes.Buffer
	o := options(j)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	v := newVerifier(t, o)
	now := time.Now()
	good := mint(keyA, header, claims(now, ""))
	if r := reason(t, v, good); r != "" {
		t.Fatalf("a good token: %s", r)
	}
	if r := reason(t, v, mint(curve, `{"alg":"ES384","kid":"ec","typ":"JWT"}`, claims(now, ""))); r != "" {
		t.Fatalf("a good token of the other algorithm: %s", r)
	}
	last := strings.LastIndexByte(good, '.')
	head := func(h string) string { return mint(keyA, h, claims(now, "")) }
	body := func(c string) string { return mint(keyA, header, c) }
	replace := func(from, to string) string { return body(strings.Replace(claims(now, ""), from, to, 1)) }
	hmacKey := "not a key of ours"
	for name, c := range map[string]struct {
		token string
		want  verify.Reason
	}{
		"nothing":                       {"", verify.Malformed},
		"two parts":                     {good[:last], verify.Malformed},
		"no signature":                  {good[:last+1], verify.Malformed},
		"four parts":                    {good + ".x", verify.Malformed},
		"a million dots":                {strings.Repeat(".", 1_000_000), verify.TooLarge},
		"huge":                          {body(claims(now, `,"x":"`+strings.Repeat("x", 9000)+`"`)), verify.TooLarge},
		"a line break inside":           {good[:last-3] + "\n" + good[last-3:], verify.Malformed},
		"padding":                       {good + "=", verify.Malformed},
		"the other alphabet":            {strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+", verify.Malformed},
		"a second spelling":             {respell(good), verify.Malformed},
		"alg none":                      {b64([]byte(`{"alg":"none","kid":"a","typ":"JWT"}`)) + "." + b64([]byte(claims(now, ""))) + "." + b64([]byte("x")), verify.Algorithm},
		"alg None":                      {head(`{"alg":"None","kid":"a","typ":"JWT"}`), verify.Algorithm},
		"HS256 with the public key":     {head(`{"alg":"HS256","kid":"a","typ":"JWT"}`), verify.Algorithm},
		"PS256":                         {head(`{"alg":"PS256","kid":"a","typ":"JWT"}`), verify.Algorithm},
		"alg of another key":            {mint(curve, `{"alg":"ES384","kid":"a","typ":"JWT"}`, claims(now, "")), verify.Algorithm},
		"alg is no text":                {head(`{"alg":256,"kid":"a","typ":"JWT"}`), verify.Malformed},
		"an embedded key":               {head(`{"alg":"RS256","kid":"a","typ":"JWT","jwk":{"kty":"RSA"}}`), verify.EmbeddedKey},
		"a key's address":               {head(`{"alg":"RS256","kid":"a","typ":"JWT","jku":"https://evil"}`), verify.EmbeddedKey},
		"a certificate's address":       {head(`{"alg":"RS256","kid":"a","typ":"JWT","x5u":"https://evil"}`), verify.EmbeddedKey},
		"a critical extension":          {head(`{"alg":"RS256","kid":"a","typ":"JWT","crit":["x"],"x":1}`), verify.Critical},
		"an unencoded payload":          {head(`{"alg":"RS256","kid":"a","typ":"JWT","b64":false}`), verify.Critical},
		"Crit":                          {head(`{"alg":"RS256","kid":"a","typ":"JWT","Crit":["x"]}`), verify.Duplicate},
		"alg twice":                     {head(`{"alg":"none","alg":"RS256","kid":"a","typ":"JWT"}`), verify.Duplicate},
		"alg twice, once escaped":       {head(`{"alg":"RS256","\u0061lg":"RS256","kid":"a","typ":"JWT"}`), verify.Duplicate},
		"sub twice":                     {body(claims(now, `,"sub":"x"`)), verify.Duplicate},
		"Sub beside sub":                {body(claims(now, `,"Sub":"arn:aws:iam::111122223333:role/admin"`)), verify.Duplicate},
		"the kelvin sign":               {body(claims(now, `,"\u017fub":"x"`)), ""}, // another name for every reader: ignored
		"unknown twice":                 {body(claims(now, `,"x":1,"x":2`)), verify.Duplicate},
		"another type":                  {head(`{"alg":"RS256","kid":"a","typ":"at+jwt"}`), verify.Type},
		"no type":                       {head(`{"alg":"RS256","kid":"a"}`), verify.Type},
		"no key id":                     {head(`{"alg":"RS256","typ":"JWT"}`), verify.KeyID},
		"a key id that is a path":       {head(`{"alg":"RS256","kid":"../../etc/passwd","typ":"JWT"}`), verify.KeyID},
		"a key id of a million letters": {head(`{"alg":"RS256","kid":"` + strings.Repeat("k", 5000) + `","typ":"JWT"}`), verify.KeyID},
		"a key id with a line break":    {head(`{"alg":"RS256","kid":"a\nlevel=ERROR","typ":"JWT"}`), verify.KeyID},
		"an unknown key":                {head(`{"alg":"RS256","kid":"nobody","typ":"JWT"}`), verify.KeyUnknown},
		"a revoked key":                 {head(`{"alg":"RS256","kid":"gone","typ":"JWT"}`), verify.KeyRevoked},
		"a weak key":                    {mint(weak, `{"alg":"RS256","kid":"weak","typ":"JWT"}`, claims(now, "")), verify.KeyUnknown},
		"a key whose secret is out":     {mint(keyB, `{"alg":"RS256","kid":"private","typ":"JWT"}`, claims(now, "")), verify.KeyRevoked},
		"a key off the curve":           {mint(curve, `{"alg":"ES384","kid":"off-curve","typ":"JWT"}`, claims(now, "")), verify.KeyUnknown},
		"another issuer":                {replace(issuer, "https://def.tokens.sts.global.api.aws"), verify.IssuerUnknown},
		"the issuer and a slash":        {replace(issuer, issuer+"/"), verify.IssuerUnknown},
		"no issuer":                     {replace(`"iss":"`+issuer+`",`, ""), verify.IssuerUnknown},
		"another audience":              {replace(`"shop"`, `"bank"`), verify.Audience},
		"two audiences":                 {replace(`"shop"`, `["shop","bank"]`), verify.Audience},
		"an empty list of audiences":    {replace(`"shop"`, `[]`), verify.Audience},
		"no audience":                   {replace(`"aud":"shop",`, ""), verify.Audience},
		"audience in another case":      {replace(`"shop"`, `"Shop"`), verify.Audience},
		"another account":               {replace(account, "999988887777"), verify.Subject},
		"a user":                        {replace(":role/", ":user/"), verify.Subject},
		"no subject":                    {replace(`"sub":"`+role+`",`, ""), verify.Subject},
		"no expiry":                     {replace(fmt.Sprintf(`"exp":%d,`, now.Unix()+300), ""), verify.NoExpiry},
		"no time of issue":              {replace(fmt.Sprintf(`"iat":%d,`, now.Unix()), ""), verify.NoExpiry},
		"a life of ten years":           {replace(fmt.Sprintf(`"exp":%d`, now.Unix()+300), fmt.Sprintf(`"exp":%d`, now.Unix()+315_360_000)), verify.Life},
		"it ends before it begins":      {replace(fmt.Sprintf(`"exp":%d`, now.Unix()+300), fmt.Sprintf(`"exp":%d`, now.Unix()-1)), verify.Life},
		"expired":                       {body(claims(now.Add(-331*time.Second), "")), verify.Expired},
		"from the future":               {body(claims(now.Add(40*time.Second), "")), verify.NotYet},
		"not before":                    {body(claims(now, fmt.Sprintf(`,"nbf":%d`, now.Unix()+100))), verify.NotYet},
		"exp as text":                   {replace(fmt.Sprintf(`"exp":%d`, now.Unix()+300), fmt.Sprintf(`"exp":"%d"`, now.Unix()+300)), verify.Malformed},
		"exp as a fraction":             {replace(fmt.Sprintf(`"exp":%d`, now.Unix()+300), fmt.Sprintf(`"exp":%d.5`, now.Unix()+300)), verify.Malformed},
		"exp with an exponent":          {replace(fmt.Sprintf(`"exp":%d`, now.Unix()+300), `"exp":1e99`), verify.Malformed},
		"text after the claims":         {body(claims(now, "") + "{}"), verify.Malformed},
		"claims that are a list":        {body("[]"), verify.Malformed},
		"deep nesting":                  {body(claims(now, `,"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000))), verify.Malformed},
		"too many members":              {body(claims(now, many(100))), verify.Malformed},
		"half a surrogate":              {replace(`"jti":"1"`, `"jti":"\ud800"`), verify.Malformed},
		"bytes that are no text":        {replace(`"jti":"1"`, "\"jti\":\"\xff\""), verify.Malformed},
		"a changed signature":           {good[:last+1] + b64(bytes.Repeat([]byte{7}, 256)), verify.Signature},
		"a short signature":             {good[:last+1] + b64([]byte(hmacKey)), verify.Signature},
		"a signature of another key":    {mint(keyB, header, claims(now, "")), verify.Signature},
		"a changed subject":             {strings.Replace(good, good[strings.IndexByte(good, '.'):last], "."+b64([]byte(strings.Replace(claims(now, ""), "role/app", "role/adm", 1))), 1), verify.Signature},
	} {
		log.Reset()
		if got := reason(t, v, c.token); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
			continue
		}
		if c.want != "" && !strings.Contains(log.String(), string(c.want)) {
			t.Errorf("%s: the log says %q", name, log.String())
		}
		if n := strings.Count(log.String(), "\n"); n > 1 {
			t.Errorf("%s: %d lines: %q", name, n, log.String())
		}
		if parts := strings.Split(c.token, "."); len(c.token) > 100 && c.want != verify.TooLarge && strings.Contains(log.String(), parts[len(parts)-1]) && parts[len(parts)-1] != "" {
			t.Errorf("%s: the log has a part of the token: %q", name, log.String())
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":1`, i)
	}
	return b.String()
}

// respell changes bits of the last character that mean nothing.
func respell(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[i^1:i^1+1]
}

var errDown = errors.New("connection refused")

// Verifying goes on while the issuer cannot be reached, up to the bound; then
// the answer is 503 and never 401; and it heals by itself.
func TestVerify_issuer_is_down(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(jwks)
		j.set(nil, nil, jwkOf("a", keyA))
		v := newVerifier(t, options(j))
		ask := func() verify.Reason { return reason(t, v, mint(keyA, header, claims(time.Now(), ""))) }
		if r := ask(); r != "" {
			t.Fatal(r)
		}
		j.set(errDown, nil)
		for since := time.Duration(0); since < 23*time.Hour; since += 10 * time.Minute {
			<-time.After(10 * time.Minute)
			if r := ask(); r != "" {
				t.Fatalf("after %v: %s", since, r)
			}
		}
		<-time.After(time.Hour)
		if r := ask(); r != verify.KeysUnavailable {
			t.Errorf("after 24 hours: %q", r)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+mint(keyA, header, claims(time.Now(), "")))
		v.Middleware(http.NotFoundHandler()).ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("status %d, %v", w.Code, w.Header())
		}
		j.set(nil, nil, jwkOf("a", keyA))
		<-time.After(2 * time.Second)
		if r := ask(); r != "" {
			t.Errorf("the issuer is back: %s", r)
		}
	})
}

// A process that starts while the issuer is down uses the last good keys, with
// the age that they have.
func TestVerify_starts_without_the_issuer(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := new(jwks)
		j.set(nil, []string{"old"}, jwkOf("a", keyA), jwkOf("old", keyB))
		o := options(j)
		o.Dir = dir
		first := newVerifier(t, o)
		if err := first.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(20 * time.Hour)
		j.set(errDown, nil)
		second := newVerifier(t, o)
		if r := reason(t, second, mint(keyA, header, claims(time.Now(), ""))); r != "" {
			t.Errorf("20 hours later: %s", r)
		}
		if r := reason(t, second, mint(keyB, strings.Replace(header, `"a"`, `"old"`, 1), claims(time.Now(), ""))); r != verify.KeyRevoked {
			t.Errorf("a key that was revoked before: %q", r)
		}
		<-time.After(4*time.Hour + time.Minute)
		if r := reason(t, second, mint(keyA, header, claims(time.Now(), ""))); r != verify.KeysUnavailable {
			t.Errorf("24 hours later: %q", r)
		}
		third := newVerifier(t, o)
		if err := third.Check(t.Context()); err == nil {
			t.Error("keys of yesterday are good for a start")
		}
	})
}

func TestVerify_unknown_keys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(jwks)
		j.set(nil, nil, jwkOf("a", keyA))
		v := newVerifier(t, options(j))
		for i := range 1000 {
			if r := reason(t, v, mint(keyB, fmt.Sprintf(`{"alg":"RS256","kid":"k%d","typ":"JWT"}`, i), claims(time.Now(), ""))); r != verify.KeyUnknown {
				t.Fatal(r)
			}
		}
		if n := j.asked.Load(); n != 2 {
			t.Errorf("the issuer was asked %d times; want 2, for the first and for the flood", n)
		}
		// A rotation: callers who come with the new key at the same time share
		// one fetch, and all are let in.
		<-time.After(2 * time.Minute)
		j.set(nil, nil, jwkOf("a", keyA), jwkOf("b", keyB))
		token := mint(keyB, strings.Replace(header, `"a"`, `"b"`, 1), claims(time.Now(), ""))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if r := reason(t, v, token); r != "" {
					t.Errorf("a new key: %s", r)
				}
			})
		}
		all.Wait()
		if n := j.asked.Load(); n != 3 {
			t.Errorf("the issuer was asked %d times; want 3", n)
		}
		// While it is down nobody can say whether a key is new: 503.
		<-time.After(2 * time.Minute)
		j.set(errDown, nil)
		for range 2 {
			if r := reason(t, v, mint(keyB, `{"alg":"RS256","kid":"c","typ":"JWT"}`, claims(time.Now(), ""))); r != verify.KeysUnavailable {
				t.Errorf("an unknown key while the issuer is down: %q", r)
			}
		}
	})
}

// A key that is revoked stays so: while the issuer is down, and if it publishes
// the key again.
func TestVerify_revoked_is_for_good(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(jwks)
		j.set(nil, nil, jwkOf("a", keyA), jwkOf("b", keyB))
		v := newVerifier(t, options(j))
		token := func() string {
			return mint(keyB, strings.Replace(header, `"a"`, `"b"`, 1), claims(time.Now(), ""))
		}
		if r := reason(t, v, token()); r != "" {
			t.Fatal(r)
		}
		j.set(nil, []string{"b"}, jwkOf("a", keyA), jwkOf("b", keyB))
		<-time.After(6 * time.Minute)
		_ = reason(t, v, token()) // the fetch may go on behind it
		<-time.After(time.Second)
		if r := reason(t, v, token()); r != verify.KeyRevoked {
			t.Errorf("revoked by the issuer: %q", r)
		}
		j.set(nil, nil, jwkOf("a", keyA), jwkOf("b", keyB))
		<-time.After(10 * time.Minute)
		if r := reason(t, v, token()); r != verify.KeyRevoked {
			t.Errorf("the issuer has forgotten: %q", r)
		}
		j.set(errDown, nil)
		v.Revoke("a")
		if r := reason(t, v, mint(keyA, header, claims(time.Now(), ""))); r != verify.KeyRevoked {
			t.Errorf("revoked here, the issuer is down: %q", r)
		}
	})
}

// A set that is broken does not replace a good one.
func TestVerify_bad_sets(t *testing.T) {
	many := make([]map[string]string, 10_000)
	for i := range many {
		many[i] = jwkOf(fmt.Sprint("k", i), weak)
	}
	for name, set := range map[string][]map[string]string{
		"empty": nil, "10,000 keys": many, "a key id twice": {jwkOf("a", keyA), jwkOf("a", keyB)}, "weak keys only": {jwkOf("a", weak)},
	} {
		synctest.Test(t, func(t *testing.T) {
			j := new(jwks)
			j.set(nil, nil, jwkOf("a", keyA))
			v := newVerifier(t, options(j))
			if err := v.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			j.set(nil, nil, set...)
			<-time.After(time.Hour)
			for range 2 {
				if r := reason(t, v, mint(keyA, header, claims(time.Now(), ""))); r != "" {
					t.Errorf("%s: %s", name, r)
				}
			}
			if s := v.Stats(); s.FetchErrors == 0 {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}

func TestVerify_caller_leaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, verify.Options{
			Issuers:  []verify.Issuer{{URL: issuer, Type: "JWT", Accounts: []string{account}}},
			Audience: "shop", Client: &http.Client{Transport: hang{}},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, mint(keyA, header, claims(time.Now(), ""))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

type hang struct{}

func (hang) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestMiddleware(t *testing.T) {
	j := new(jwks)
	j.set(nil, nil, jwkOf("a", keyA))
	v := newVerifier(t, options(j))
	h := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := verify.FromContext(r.Context())
		fmt.Fprint(w, id.Subject, " ", ok)
	}))
	good := mint(keyA, header, claims(time.Now(), ""))
	for name, c := range map[string]struct {
		headers []string
		path    string
		status  int
		text    string
	}{
		"good":             {[]string{"Bearer " + good}, "/", 200, role + " true"},
		"another case":     {[]string{"bearer " + good}, "/", 200, role + " true"},
		"none":             {nil, "/", 401, "needed"},
		"two":              {[]string{"Bearer " + good, "Bearer " + good}, "/", 401, "needed"},
		"another scheme":   {[]string{"Basic " + good}, "/", 401, "needed"},
		"in the URL":       {nil, "/?access_token=" + good, 401, "needed"},
		"not acceptable":   {[]string{"Bearer x.y.z"}, "/", 401, "malformed"},
		"a space too many": {[]string{"Bearer  " + good}, "/", 401, "malformed"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
		for _, hd := range c.headers {
			r.Header.Add("Authorization", hd)
		}
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %q %v", name, w.Code, w.Body, w.Header())
		}
	}
}

func TestNew_refuses(t *testing.T) {
	ok := func() verify.Options { return options(new(jwks)) }
	for want, change := range map[string]func(*verify.Options){
		"Audience is missing":    func(o *verify.Options) { o.Audience = "" },
		"Issuers is empty":       func(o *verify.Options) { o.Issuers = nil },
		"URL, Type and Accounts": func(o *verify.Options) { o.Issuers[0].Accounts = nil },
		"want https":             func(o *verify.Options) { o.Issuers[0].KeysURL = "http://example.com/keys" },
		"at most a day":          func(o *verify.Options) { o.Issuers[0].MaxLife = 25 * time.Hour },
		"comes twice":            func(o *verify.Options) { o.Issuers = append(o.Issuers, o.Issuers[0]) },
		"want RS256 or ES384":    func(o *verify.Options) { o.Issuers[0].Algorithms = []string{"none"} },
		"want twelve digits":     func(o *verify.Options) { o.Issuers[0].Accounts = []string{"*"} },
		"Leeway is":              func(o *verify.Options) { o.Leeway = time.Hour },
		"no less than Fresh":     func(o *verify.Options) { o.Fresh, o.Stale = time.Hour, time.Minute },
		"is not a directory":     func(o *verify.Options) { o.Dir = "/does/not/exist" },
	} {
		o := ok()
		change(&o)
		if _, err := verify.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// FuzzVerify: whatever the text is, there is a reason, and no panic.
func FuzzVerify(f *testing.F) {
	j := new(jwks)
	j.set(nil, nil, jwkOf("a", keyA))
	v := newVerifier(f, options(j))
	now := time.Now()
	f.Add(header, claims(now, ""))
	f.Add(`{"alg":"RS256","kid":"a","typ":"JWT","x":[1,{"y":"\ud83d\ude00"}]}`, claims(now, `,"nbf":-0.1e5`))
	f.Fuzz(func(t *testing.T, h, c string) {
		if _, err := v.Verify(t.Context(), mint(keyA, h, c)); err != nil && verify.ReasonOf(err) == "" {
			t.Errorf("%v", err)
		}
		if _, err := v.Verify(t.Context(), h+"."+c); err == nil {
			t.Error("accepted")
		}
	})
}

// BenchmarkVerify compares with the signature alone: the target is 1.3 times as
// long, in 15 allocations.
func BenchmarkVerify(b *testing.B) {
	j := new(jwks)
	j.set(nil, nil, jwkOf("a", keyA))
	v := newVerifier(b, options(j))
	token := mint(keyA, header, claims(time.Now(), `,"https://sts.amazonaws.com/":{"aws_account":"111122223333","source_region":"eu-central-1","principal_tags":{"team":"pay"}}`))
	last := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil {
		b.Fatal(err)
	}
	b.Run("signature alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sum := sha256.Sum256([]byte(token[:last]))
			if err := rsa.VerifyPKCS1v15(&keyA.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

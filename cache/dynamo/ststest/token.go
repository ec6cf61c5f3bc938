package ststest

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// tokenKeys sign web identity tokens. Both algorithms have the same key ids
// until keys are rotated; a key is made when it is first needed, since an RSA
// key takes a while. Guarded by the server's lock.
//
// The names of the keys count on (RSA_1, EC384_1, RSA_2 …), so a test can say
// which key it means. The keys themselves are random.
type tokenKeys struct {
	// now sign; before do no more, and are published as long as
	// RotateTokenKeys has kept them.
	now, before []tokenKey
	serial      int
}

// A tokenKey is one key of the issuer.
type tokenKey struct {
	id, alg string
	signer  crypto.Signer
}

// signingKeys are the keys in use, one for each algorithm, and those that are
// still published. The lock is held.
//
// It makes both keys the first time, which takes up to some tenths of a second
// with the lock held: the price of never making the same key twice.
func (k *tokenKeys) signingKeys() ([]tokenKey, error) {
	if len(k.now) > 0 {
		return k.now, nil
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	k.serial++
	k.now = []tokenKey{
		{fmt.Sprintf("RSA_%d", k.serial), "RS256", r},
		{fmt.Sprintf("EC384_%d", k.serial), "ES384", e},
	}
	return k.now, nil
}

// RotateTokenKeys makes the issuer sign with new keys. The keys before stay
// published for those who hold tokens of theirs if keep says so; otherwise the
// issuer disowns them.
//
// The new keys are made when the next token, or the JWKS, is asked for. Use it
// to test a verifier that caches keys: with keep, an old token has to stay
// valid and a new one to be found; without, the old one has to be refused.
func (s *Server) RotateTokenKeys(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.before = append(s.tokens.before, s.tokens.now...)
	if !keep {
		s.tokens.before = nil
	}
	s.tokens.now = nil
}

// Issuer is the issuer of web identity tokens: an URL below which the server
// answers /.well-known/openid-configuration and /.well-known/jwks.json.
//
// Without Options.Issuer it changes when the server is started, as URL does;
// tokens from before then name an issuer that does not answer.
func (s *Server) Issuer() string {
	return cmp.Or(s.issuer, s.URL(), MemoryURL)
}

// issuerElement is what the three actions about outbound identity federation
// answer.
type issuerElement struct {
	IssuerIdentifier  string
	JwtVendingEnabled bool `xml:",omitempty"`
}

// enableFederation lets the account issue web identity tokens.
//
// It is in force at once. Sources: "EnableOutboundWebIdentityFederation" and
// its two companions in the IAM API reference.
func enableFederation(c *call, p *params) (any, *apiError) {
	return c.federate(p, func(on *bool) (any, *apiError) {
		if *on {
			return nil, &apiError{409, "FeatureEnabled", "Outbound identity federation is already enabled for the account."}
		}
		*on = true
		return issuerElement{IssuerIdentifier: c.server.Issuer()}, nil
	})
}

// disableFederation stops that; tokens that are out stay valid until they
// expire.
func disableFederation(c *call, p *params) (any, *apiError) {
	return c.federate(p, func(on *bool) (any, *apiError) {
		if !*on {
			return nil, errFederationOff("FeatureDisabled", 404)
		}
		*on = false
		return nil, nil
	})
}

// federationInfo is the issuer, which is what others are to trust.
func federationInfo(c *call, p *params) (any, *apiError) {
	return c.federate(p, func(on *bool) (any, *apiError) {
		if !*on {
			return nil, errFederationOff("FeatureDisabled", 404)
		}
		return issuerElement{c.server.Issuer(), true}, nil
	})
}

// errFederationOff is one text under two codes: IAM's and, for tokens, STS's.
func errFederationOff(code string, status int) *apiError {
	return &apiError{status, code, "Outbound identity federation is not enabled for the account."}
}

// federate authorizes an action about outbound identity federation and runs f
// under the lock.
//
// on is the server's switch itself and belongs to f only while f runs.
func (c *call) federate(p *params, f func(on *bool) (any, *apiError)) (any, *apiError) {
	if !p.done() {
		return nil, p.err
	}
	if err := c.authorize("*", nil); err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return f(&c.server.federation)
}

// getWebIdentityToken asks for each audience alone whether the caller may, since
// the operators on sets are not implemented: with a condition on
// sts:IdentityTokenAudience all of them must be allowed.
//
// The order of the checks: the parameters' form; the permission, for each
// audience and the tags; the session's rest of life, which a token must not
// outlive; whether federation is on. The key is made and looked up under the
// lock, and signs without it.
//
// Limits: 1 to 10 audiences of up to 1,000 characters, 60 to 3,600 seconds, 300
// by default ("GetWebIdentityToken" in the STS API reference).
func getWebIdentityToken(c *call, p *params) (any, *apiError) {
	audiences, alg := p.list("Audience"), p.required("SigningAlgorithm")
	life := time.Duration(p.number("DurationSeconds", 300, 60, 3600)) * time.Second
	tags := p.tags()
	switch {
	case !p.done():
		return nil, p.err
	case len(audiences) == 0 || len(audiences) > 10:
		return nil, invalid("Audience has %d members; want 1 to 10", len(audiences))
	case alg != "RS256" && alg != "ES384":
		return nil, invalid("SigningAlgorithm is %q; want RS256 or ES384", alg)
	}
	for _, audience := range audiences {
		if audience == "" || len(audience) > 1000 {
			return nil, invalid("an audience has %d characters; want 1 to 1,000", len(audience))
		}
		keys := requestTags(tags)
		keys["sts:identitytokenaudience"] = audience
		keys["sts:durationseconds"] = fmt.Sprint(int(life / time.Second))
		keys["sts:signingalgorithm"] = alg
		if err := c.authorize("*", keys); err != nil {
			return nil, err
		}
	}
	if err := c.authorizeTags("sts:TagGetWebIdentityToken", "*", tags); err != nil {
		return nil, err
	}
	if !c.caller.Expires.IsZero() && c.now.Add(life).After(c.caller.Expires) {
		return nil, &apiError{403, "SessionDurationEscalationException", "The requested token duration would extend the session beyond its original expiration time."}
	}
	c.server.mu.Lock()
	on := c.server.federation
	var key tokenKey
	keys, err := c.server.tokens.signingKeys()
	for _, k := range keys {
		if k.alg == alg {
			key = k
		}
	}
	c.server.mu.Unlock()
	if err != nil {
		return nil, &apiError{500, "InternalFailure", err.Error()}
	}
	if !on {
		return nil, errFederationOff("OutboundWebIdentityFederationDisabledException", 403)
	}
	token, err := key.sign(c.claims(audiences, life, tags))
	if err != nil {
		return nil, &apiError{500, "InternalFailure", err.Error()}
	}
	return struct{ WebIdentityToken, Expiration string }{token, stamp(c.now.Add(life))}, nil
}

// awsClaims is the member of the claims under which AWS puts its own.
const awsClaims = "https://sts.amazonaws.com/"

// claims are what "Understanding token claims" in the IAM user guide lists, as
// far as there is such a thing here: no organization and no compute service.
//
// sub is the role of a session, and not the session, as at AWS: it is what a
// trust on the other side is about. aud is text for one audience and a list for
// more, both of which RFC 7519 allows; a verifier has to know both. exp and iat
// are seconds since 1970.
func (c *call) claims(audiences []string, life time.Duration, tags map[string]string) map[string]any {
	own := map[string]any{"aws_account": iam.Account, "source_region": c.region}
	if len(c.caller.Tags) > 0 {
		own["principal_tags"] = c.caller.Tags
	}
	if len(tags) > 0 {
		own["request_tags"] = tags
	}
	var aud any = audiences
	if len(audiences) == 1 {
		aud = audiences[0]
	}
	return map[string]any{
		"iss": c.server.Issuer(), "sub": cmp.Or(c.caller.Role, c.caller.ARN), "aud": aud,
		"iat": c.now.Unix(), "exp": c.now.Add(life).Unix(), "jti": random(26),
		awsClaims: own,
	}
}

// sign makes a JWT (RFC 7519) in the compact form of RFC 7515.
//
// Members are in the order of their names, since they come from maps; a
// verifier must not care.
func (k tokenKey) sign(claims map[string]any) (string, error) {
	head, err := json.Marshal(map[string]string{"alg": k.alg, "kid": k.id, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	sig, err := k.raw([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), err
}

// raw is the signature as JWA writes it: for ES384 r and s, 48 bytes each
// (RFC 7518, section 3.4).
//
// RS256 is RSASSA-PKCS1-v1_5 with SHA-256 and needs no randomness. FillBytes
// pads with zeros on the left: without it, one signature in 256 would be short.
func (k tokenKey) raw(text []byte) ([]byte, error) {
	switch key := k.signer.(type) {
	case *rsa.PrivateKey:
		sum := sha256.Sum256(text)
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		sum := sha512.Sum384(text)
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 96)
		r.FillBytes(out[:48])
		s.FillBytes(out[48:])
		return out, nil
	}
	return nil, fmt.Errorf("a key of type %T cannot sign tokens", k.signer)
}

// jwk is a public key as RFC 7517 writes it.
//
// Numbers are base64url without padding. An EC key's coordinates have the full
// length of the curve's field, and RSA's exponent has no leading zeros (RFC
// 7518, sections 6.2 and 6.3). The private part is not in it.
func (k tokenKey) jwk() (map[string]string, error) {
	out := map[string]string{"kid": k.id, "alg": k.alg, "use": "sig"}
	number := func(n *big.Int, size int) string {
		return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
	}
	switch key := k.signer.Public().(type) {
	case *rsa.PublicKey:
		out["kty"] = "RSA"
		out["n"], out["e"] = number(key.N, key.Size()), base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		raw, err := key.ECDH()
		if err != nil {
			return nil, err
		}
		point := raw.Bytes()[1:] // without the byte that says "uncompressed"
		out["kty"], out["crv"] = "EC", "P-384"
		out["x"], out["y"] = base64.RawURLEncoding.EncodeToString(point[:len(point)/2]), base64.RawURLEncoding.EncodeToString(point[len(point)/2:])
	}
	return out, nil
}

// readDocument reads a request for one of the issuer's documents, which need no
// signature.
//
// A slash at the end is tolerated, as many clients join an issuer and a path
// without looking.
func (s *Server) readDocument(r *http.Request) request {
	in := request{service: "sts", public: true, write: writeDocument}
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case "/.well-known/openid-configuration":
		in.action, in.run = "OpenIDConfiguration", discovery
	case "/.well-known/jwks.json":
		in.action, in.run = "JWKS", jwks
	default:
		in.run = failing(&apiError{404, "NotFound", "ststest has no document " + r.URL.Path})
	}
	return in
}

// discovery is the document of OpenID Connect Discovery 1.0 that leads to the
// keys.
//
// Members that OpenID Connect wants and AWS has not (authorization_endpoint)
// are not there either. issuer is exactly the one of the tokens, which
// verifiers compare.
func discovery(c *call) (any, *apiError) {
	issuer := c.server.Issuer()
	return map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              strings.TrimSuffix(issuer, "/") + "/.well-known/jwks.json",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES384"},
	}, nil
}

// jwks are the keys that tokens may be signed with, the ones before a rotation
// included (RFC 7517).
//
// keys is cut to its length before the append, so that the list is a new one
// and the server's keys are not written over.
func jwks(c *call) (any, *apiError) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	keys, err := c.server.tokens.signingKeys()
	if err != nil {
		return nil, &apiError{500, "InternalFailure", err.Error()}
	}
	list := []map[string]string{}
	for _, k := range append(keys[:len(keys):len(keys)], c.server.tokens.before...) {
		one, err := k.jwk()
		if err != nil {
			return nil, &apiError{500, "InternalFailure", err.Error()}
		}
		list = append(list, one)
	}
	return map[string]any{"keys": list}, nil
}

// writeDocument writes plain JSON that may be kept for a few minutes, as the
// real documents may.
//
// Errors are plain text: nobody parses them.
func writeDocument(w http.ResponseWriter, out any, err *apiError, _ string) {
	if err != nil {
		http.Error(w, err.message, err.status)
		return
	}
	body, failed := json.Marshal(out)
	if failed != nil {
		panic(fmt.Sprintf("ststest: a document cannot be encoded: %v", failed))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(body) // a client that is gone is its own business
}

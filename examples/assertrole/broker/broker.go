// Package broker turns the proof that a client has a role into a token that
// others can verify without AWS.
//
// Issuing depends on STS, which says who signed the proof, and on KMS, which
// signs the token. Both are hard dependencies, and both fail closed: while one
// of them is away there are no new tokens, the answer is 503, and tokens that
// were issued before stay good until they end. Nothing here is ever accepted
// because somebody could not be asked.
package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/examples/assertrole/proof"
)

// TokenType is the typ header of the broker's tokens: no other kind of token
// that these keys might sign one day is one of them.
const TokenType = "role+jwt"

// Options for a [Broker].
type Options struct {
	// Issuer is the iss claim: the URL under which the broker is reached.
	Issuer string

	// Name is what clients sign as AudienceHeader: a proof for another
	// broker is refused by STS. Default: Issuer.
	Name string

	// Audiences that tokens may be for.
	Audiences []string

	// Roles that tokens are issued to.
	Roles []Role

	// Regions whose STS may be asked.
	Regions []string

	// KMS signs, with Keys, the first of which is in use; the others are
	// published for the day on which they are needed.
	KMS  KMS
	Keys []string

	// Life of a token. Default 5 minutes, at most an hour.
	Life time.Duration

	// MaxProofAge is how old a proof may be. Default 1 minute. STS itself
	// takes 15.
	MaxProofAge time.Duration

	// PublishLead is how long a key must have been published before it is
	// promoted: longer than verifiers keep a set. Default 10 minutes.
	PublishLead time.Duration

	// Rate is how many proofs a second may be taken to STS, with bursts of
	// as many. Default 100.
	Rate float64

	// STS is where requests go, for tests: the host that is signed stays
	// the same. Default: the regional endpoint.
	STS string

	// Client for STS. Default: one with a time-out of 5 s. Redirects are
	// never followed.
	Client *http.Client

	// Audit, if set, gets a record for each decision, without proofs and
	// tokens.
	Audit *slog.Logger

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// The errors of [Broker.Assert]. Others are the caller's own.
var (
	ErrRefused     = errors.New("broker: refused")
	ErrUnavailable = errors.New("broker: cannot issue at the moment")
	ErrBusy        = errors.New("broker: too many proofs")
)

// A Broker issues tokens. It is safe for concurrent use; Close it.
type Broker struct {
	o      Options
	kms    KMS
	client *http.Client
	lead   time.Duration
	now    func() time.Time

	identities *cache.Cache[identity] // by the digest of a proof
	tokens     *cache.Cache[issued]   // by role, audience and key
	bucket     bucket

	mu      sync.Mutex
	signers []*signer // the first is in use

	asked, refused, failed, given, signatures atomic.Int64
}

// issued is a token with its end.
type issued struct {
	token   string
	expires time.Time
}

// New makes a broker. It asks KMS for the public parts of the keys.
func New(ctx context.Context, o Options) (*Broker, error) {
	o.Name = cmp.Or(o.Name, o.Issuer)
	o.Life = cmp.Or(o.Life, 5*time.Minute)
	o.MaxProofAge = cmp.Or(o.MaxProofAge, time.Minute)
	o.Rate = cmp.Or(o.Rate, 100)
	o.Audiences, o.Roles, o.Regions = slices.Clone(o.Audiences), slices.Clone(o.Roles), slices.Clone(o.Regions)
	if err := check(o); err != nil {
		return nil, err
	}
	b := &Broker{o: o, kms: o.KMS, lead: cmp.Or(o.PublishLead, 10*time.Minute), now: o.Now}
	if b.now == nil {
		b.now = time.Now
	}
	client := http.Client{Timeout: 5 * time.Second}
	if o.Client != nil {
		client = *o.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.client = &client
	b.bucket = bucket{rate: o.Rate, left: o.Rate, at: b.now()}
	for _, id := range o.Keys {
		if _, err := b.Add(ctx, id); err != nil {
			return nil, err
		}
	}
	return b, b.makeCaches()
}

func check(o Options) error {
	switch {
	case o.Issuer == "" || len(o.Audiences) == 0 || len(o.Roles) == 0 || len(o.Regions) == 0 || o.KMS == nil || len(o.Keys) == 0:
		return errors.New("broker: Issuer, Audiences, Roles, Regions, KMS and Keys must be set")
	case o.Life < time.Minute || o.Life > time.Hour:
		return fmt.Errorf("broker: Life is %v; want a minute to an hour", o.Life)
	case o.MaxProofAge < time.Second || o.MaxProofAge > 15*time.Minute:
		return fmt.Errorf("broker: MaxProofAge is %v; want at most the 15 minutes of STS", o.MaxProofAge)
	case o.Rate <= 0:
		return fmt.Errorf("broker: Rate is %v; want more than none", o.Rate)
	}
	for _, r := range o.Roles {
		if account, name := r.parts(); account == "" || name == "" {
			return fmt.Errorf("broker: role %q; want the ARN of one role, without wildcards", r.ARN)
		}
	}
	return nil
}

// makeCaches sets up what makes many clients of one role cheap. A proof stands
// for itself alone: it is looked up by all of its values, and forgotten before
// it is too old to be taken.
func (b *Broker) makeCaches() (err error) {
	b.identities, err = cache.New(cache.Options[identity]{
		Load:        func(context.Context, string) (identity, error) { return identity{}, errors.New("without a proof") },
		TTL:         max(b.o.MaxProofAge/2, time.Second),
		NegativeTTL: 5 * time.Second,
		LoadTimeout: 10 * time.Second,
		MaxEntries:  10_000,
	})
	if err != nil {
		return err
	}
	b.tokens, err = cache.New(cache.Options[issued]{
		Load:        func(context.Context, string) (issued, error) { return issued{}, errors.New("without a role") },
		TTL:         b.o.Life / 2,
		Expires:     func(i issued) time.Time { return i.expires.Add(-b.o.Life / 3) },
		LoadTimeout: 10 * time.Second,
		MaxEntries:  10_000,
	})
	return err
}

// Close ends background work.
func (b *Broker) Close(ctx context.Context) error {
	return errors.Join(b.identities.Close(ctx), b.tokens.Close(ctx))
}

// Stats counts what a broker has done.
type Stats struct {
	Issued     int64 `json:"issued"`     // tokens given out
	Signatures int64 `json:"signatures"` // asked of KMS
	STSCalls   int64 `json:"stsCalls"`
	Refused    int64 `json:"refused"`
	Failed     int64 `json:"failed"` // answered with 503
}

// Stats returns a snapshot.
func (b *Broker) Stats() Stats {
	return Stats{b.given.Load(), b.signatures.Load(), b.asked.Load(), b.refused.Load(), b.failed.Load()}
}

// Assert issues a token for an audience to who has made a proof. Its errors wrap
// ErrRefused, ErrUnavailable or ErrBusy, or are the caller's own ctx.Err().
func (b *Broker) Assert(ctx context.Context, p proof.Proof, audience string) (token string, expires time.Time, err error) {
	role, session, err := b.identify(ctx, p, audience)
	var out issued
	if err == nil {
		out, err = b.issue(ctx, role, audience)
	}
	b.audit(ctx, p, audience, role, session, err)
	if err != nil {
		return "", time.Time{}, err
	}
	b.given.Add(1)
	return out.token, out.expires, nil
}

func (b *Broker) audit(ctx context.Context, p proof.Proof, audience string, role Role, session string, err error) {
	switch {
	case errors.Is(err, ErrRefused):
		b.refused.Add(1)
	case errors.Is(err, ErrUnavailable):
		b.failed.Add(1)
	}
	if b.o.Audit == nil {
		return
	}
	attrs := []slog.Attr{slog.String("audience", audience), slog.String("role", role.ARN), slog.String("caller", session), slog.String("region", p.Region)}
	if err != nil {
		b.o.Audit.LogAttrs(ctx, slog.LevelWarn, "assert: no token", append(attrs, slog.String("why", err.Error()))...)
		return
	}
	b.o.Audit.LogAttrs(ctx, slog.LevelInfo, "assert: token", attrs...)
}

// identify finds the role that a proof is of. session is the ARN that STS gave,
// for the audit only.
func (b *Broker) identify(ctx context.Context, p proof.Proof, audience string) (role Role, session string, err error) {
	if !slices.Contains(b.o.Audiences, audience) {
		return Role{}, "", fmt.Errorf("%w: the audience is not on the list", ErrRefused)
	}
	if err := p.Check(b.o.Regions, b.now(), b.o.MaxProofAge); err != nil {
		return Role{}, "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	id, err := b.identities.GetOrLoad(ctx, digest(p), func(ctx context.Context, _ string) (identity, error) { return b.ask(ctx, p) })
	switch {
	case errors.Is(err, cache.ErrNotFound):
		return Role{}, "", fmt.Errorf("%w: STS does not accept the signature", ErrRefused)
	case errors.Is(err, ErrBusy), ctx.Err() != nil:
		return Role{}, "", err
	case err != nil:
		return Role{}, "", fmt.Errorf("%w: STS: %w", ErrUnavailable, err)
	}
	role, err = allowed(b.o.Roles, id)
	if err != nil {
		return Role{}, id.arn, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return role, id.arn, nil
}

// digest is a key for all of a proof's values: whoever has another session, or
// another region, has another proof.
func digest(p proof.Proof) string {
	h := sha256.New()
	for _, v := range []string{p.AccessKeyID, p.SessionToken, p.Date, p.Region, p.Signature} {
		fmt.Fprintf(h, "%d:%s", len(v), v)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ask takes a proof to STS. cache.ErrNotFound means that STS has refused it, and
// any other error that STS could not be asked.
func (b *Broker) ask(ctx context.Context, p proof.Proof) (identity, error) {
	if !b.bucket.take(b.now()) {
		return identity{}, ErrBusy
	}
	b.asked.Add(1)
	endpoint := cmp.Or(b.o.STS, "https://"+proof.Host(p.Region))
	r, err := p.Request(ctx, endpoint, b.o.Name)
	if err != nil {
		return identity{}, err
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return identity{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusBadRequest {
		return identity{}, stsError(resp)
	}
	if resp.StatusCode != http.StatusOK {
		return identity{}, fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	return parseIdentity(resp.Body)
}

// refusals are the codes by which STS says that the proof is no good, and not
// that it is in trouble itself.
var refusals = []string{
	"SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "MissingAuthenticationToken", "AccessDenied", "OptInRequired",
}

func stsError(resp *http.Response) error {
	var body struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Code    string   `xml:"Error>Code"`
	}
	if err := xml.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&body); err != nil {
		return fmt.Errorf("it answers with status %d and no error of STS", resp.StatusCode)
	}
	if slices.Contains(refusals, body.Code) {
		return cache.ErrNotFound
	}
	return fmt.Errorf("it answers with status %d", resp.StatusCode)
}

// issue gives out a token, a new one only when there is none that lives long
// enough. A key that cannot sign is passed over; a token that cannot be signed
// is not given out.
func (b *Broker) issue(ctx context.Context, role Role, audience string) (issued, error) {
	err := errors.New("no key may sign")
	for _, s := range b.current() {
		var out issued
		out, err = b.tokens.GetOrLoad(ctx, role.ARN+"|"+role.UniqueID+"|"+audience+"|"+s.kid, func(ctx context.Context, _ string) (issued, error) {
			return b.sign(ctx, s, role, audience)
		})
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return issued{}, ctx.Err()
		}
		if !b.markBroken(s.kid, err) {
			break
		}
	}
	return issued{}, fmt.Errorf("%w: KMS: %w", ErrUnavailable, err)
}

func (b *Broker) sign(ctx context.Context, s signer, role Role, audience string) (issued, error) {
	now := b.now()
	expires := now.Add(b.o.Life)
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it does not fail
	header, err := json.Marshal(map[string]string{"alg": "RS256", "kid": s.kid, "typ": TokenType})
	if err != nil {
		return issued{}, err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": b.o.Issuer, "sub": role.ARN, "aud": audience, "iat": now.Unix(), "exp": expires.Unix(), "jti": hex.EncodeToString(id),
	})
	if err != nil {
		return issued{}, err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	b.signatures.Add(1)
	out, err := b.kms.Sign(ctx, &kms.SignInput{KeyId: aws.String(s.id), Message: sum[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm})
	if err != nil {
		return issued{}, err
	}
	return issued{text + "." + base64.RawURLEncoding.EncodeToString(out.Signature), time.Unix(expires.Unix(), 0)}, nil
}

// bucket bounds how often STS is asked.
type bucket struct {
	mu   sync.Mutex
	rate float64
	left float64
	at   time.Time
}

func (k *bucket) take(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d := now.Sub(k.at).Seconds(); d > 0 {
		k.left = min(k.rate, k.left+d*k.rate)
		k.at = now
	}
	if k.left < 1 {
		return false
	}
	k.left--
	return true
}

// request is the body of POST /v1/assert.
type request struct {
	proof.Proof
	Audience string `json:"audience"`
}

// maxRequest bounds the body of a request.
const maxRequest = 8 << 10

// Handler serves POST /v1/assert, and the keys at /.well-known/jwks.json.
func (b *Broker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/assert", b.serveAssert)
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		body, err := b.keySet()
		if err != nil {
			http.Error(w, "the keys cannot be shown", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(body) // a client that is gone is its own business
	})
	return mux
}

func (b *Broker) serveAssert(w http.ResponseWriter, r *http.Request) {
	var in request
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || dec.More() {
		http.Error(w, "want JSON with accessKeyId, sessionToken, date, region, signature and audience, of at most 8 KiB", http.StatusBadRequest)
		return
	}
	token, expires, err := b.Assert(r.Context(), in.Proof, in.Audience)
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires": expires.UTC()}) // a client that is gone is its own business
	case errors.Is(err, ErrRefused):
		http.Error(w, strings.TrimPrefix(err.Error(), "broker: "), http.StatusForbidden)
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many proofs", http.StatusTooManyRequests)
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "tokens cannot be issued at the moment", http.StatusServiceUnavailable)
	}
}

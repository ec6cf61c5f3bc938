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
	"crypto"
	"crypto/rand"
	"crypto/rsa"
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

// audit counts and logs what came of a proof. What a stranger has written is
// logged only if it is one of the values that we know.
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
	known := func(list []string, text string) string {
		if slices.Contains(list, text) {
			return text
		}
		return "" // a stranger's text, of any length
	}
	attrs := []slog.Attr{
		slog.String("audience", known(b.o.Audiences, audience)), slog.String("role", role.ARN),
		slog.String("caller", session), slog.String("region", known(b.o.Regions, p.Region)),
	}
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

// stsError tells "this proof is not good" (cache.ErrNotFound, which may be
// remembered) from "STS cannot say".
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

// errSignature is an answer of KMS that is no signature of the key: its id may be
// an alias that leads to another key by now.
var errSignature = errors.New("the signature is not the key's")

// sign makes a token and has KMS sign it. The signature is verified before
// anybody gets it: a token that nobody believes is an outage elsewhere.
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
	if out == nil || rsa.VerifyPKCS1v15(s.key, crypto.SHA256, sum[:], out.Signature) != nil {
		return issued{}, errSignature
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

// take is a token bucket that is one second deep.
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

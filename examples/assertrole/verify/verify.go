package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/failopen/failopen/cache"
)

// An Issuer is somebody whose tokens are accepted.
type Issuer struct {
	// URL is the iss claim, compared exactly. For tokens of AWS it is the
	// account's own: https://<id>.tokens.sts.global.api.aws.
	URL string

	// KeysURL is where the keys are. Default: URL and
	// "/.well-known/jwks.json". It must be https, unless it is loopback.
	KeysURL string

	// Type is the typ header: "JWT" for tokens of AWS.
	Type string

	// Algorithms that this issuer uses: RS256, ES384. Default: both.
	Algorithms []string

	// Accounts are those whose roles may be a subject. Required: an issuer
	// speaks for its own accounts only.
	Accounts []string

	// MaxLife is the longest time from iat to exp. Default 5 minutes; at
	// most a day.
	MaxLife time.Duration
}

// Options for a [Verifier].
type Options struct {
	// Issuers whose tokens are accepted; at least one.
	Issuers []Issuer

	// Audience is the aud claim: this service's own name. A token for
	// several audiences is refused, since each of them could pass it on.
	Audience string

	// Fresh is how long keys are used, at most, before they are fetched
	// again: by then a revoked key is known to be. Default 5 minutes.
	Fresh time.Duration

	// Stale is the age up to which keys are used while the issuer cannot be
	// reached. Default 24 hours. Afterwards every token of that issuer is
	// answered with KeysUnavailable.
	Stale time.Duration

	// Leeway is how far clocks may be apart. Default 30 s; at most 5
	// minutes.
	Leeway time.Duration

	// Dir, if set, keeps the last good keys, so that a process can start
	// while the issuer is down. It must exist.
	Dir string

	// Revoked are ids of keys whose tokens are refused whatever the issuer
	// says; see also [Verifier.Revoke].
	Revoked []string

	// Client fetches keys. Default: one with a time-out of 5 s. Redirects
	// are never followed.
	Client *http.Client

	// Logger, if set, gets a record for each refused token, with the reason
	// and never the token, and one when keys cannot be fetched or kept.
	Logger *slog.Logger

	// Now is the clock for the times in tokens and of the file in Dir. How old
	// keys in memory are is measured on the monotonic clock, which nobody
	// can set. Default: time.Now.
	Now func() time.Time
}

// An Identity is who a token speaks for.
//
// All of it was checked, and comes from the token and its issuer; nothing is
// looked up.
type Identity struct {
	Issuer  string
	Subject string // the role's ARN
	Account string
	ID      string // jti; "" if the token has none
	KeyID   string
	Issued  time.Time
	Expires time.Time
}

// A Verifier checks tokens. It is safe for concurrent use; Close it.
type Verifier struct {
	issuers  map[string]*issuer
	audience string
	stale    time.Duration
	leeway   time.Duration
	dir      string
	start    time.Time // for what is measured on the monotonic clock
	client   *http.Client
	log      *slog.Logger
	now      func() time.Time

	keys    *cache.Cache[*keySet]
	base    context.Context // of fetches; ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	revoked atomic.Pointer[map[revocation]bool] // replaced under mu

	accepted atomic.Int64
	refused  atomic.Int64
	noKeys   atomic.Int64
	fetches  atomic.Int64
	failed   atomic.Int64
}

// issuer is one of Options.Issuers with its state. What a request reads is
// atomic; the lock is for requests with an unknown key id only.
type issuer struct {
	Issuer

	// away is until when, after Verifier.start, an issuer that has failed is
	// not asked again.
	away atomic.Int64

	mu     sync.Mutex // guards what follows
	asked  time.Time  // when an unknown key id was last looked for
	asking chan struct{}
	failed error // of that fetch
}

// methods make golang-jwt check signatures, and nothing else: what a token says
// is read by parse.
var methods = map[string]jwt.SigningMethod{"RS256": jwt.SigningMethodRS256, "ES384": jwt.SigningMethodES384}

const (
	// The price of a stranger's made-up key id is one fetch a minute.
	unknownInterval = time.Minute // between two fetches for unknown key ids

	// patience is how long a request waits for an issuer although there are
	// keys: they may be hours old, if nobody has asked for hours, and revoked
	// since. While an issuer hangs few requests wait, since it is not asked
	// again before awayAfter.
	patience  = 2 * time.Second
	awayAfter = 30 * time.Second
)

// errAway is what the loader says instead of asking an issuer that has just
// failed. The cache then goes on with what it has.
var errAway = errors.New("the issuer has failed, and is not asked again yet")

// New makes a verifier. It fetches nothing yet; see [Verifier.Check].
func New(o Options) (*Verifier, error) {
	v := &Verifier{
		issuers: map[string]*issuer{}, audience: o.Audience, dir: o.Dir, log: o.Logger,
		stale: cmp.Or(o.Stale, 24*time.Hour), leeway: cmp.Or(o.Leeway, 30*time.Second), now: o.Now,
		start: time.Now(),
	}
	fresh := cmp.Or(o.Fresh, 5*time.Minute)
	if v.now == nil {
		v.now = time.Now
	}
	switch {
	case o.Audience == "":
		return nil, errors.New("verify: Audience is missing: without it a token for anybody would do")
	case len(o.Issuers) == 0:
		return nil, errors.New("verify: Issuers is empty: whose tokens are to be accepted?")
	case v.leeway < 0 || v.leeway > 5*time.Minute:
		return nil, fmt.Errorf("verify: Leeway is %v; want at most 5 minutes", o.Leeway)
	case fresh < time.Second || v.stale < fresh:
		return nil, fmt.Errorf("verify: Fresh is %v and Stale %v; want a second or more, and Stale no less than Fresh", fresh, v.stale)
	}
	if o.Dir != "" {
		if info, err := os.Stat(o.Dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("verify: Dir %q is not a directory", o.Dir)
		}
	}
	for _, i := range o.Issuers {
		if err := v.add(i); err != nil {
			return nil, err
		}
	}
	// The caller's client is copied, since its redirects are turned off: keys
	// come from where the options say, and from nowhere else.
	client := http.Client{Timeout: 5 * time.Second}
	if o.Client != nil {
		client = *o.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	v.client = &client
	v.base, v.cancel = context.WithCancel(context.Background())
	v.revoked.Store(&map[revocation]bool{})
	v.Revoke(o.Revoked...)
	var err error
	// What keeps a verifier alive in an outage is this one cache: keys are
	// renewed before they are too old (TTL), kept while they cannot be
	// (StaleIfError, up to Stale), and fetched once however many requests wait
	// for them.
	v.keys, err = cache.New(cache.Options[*keySet]{
		Load:         v.load,
		TTL:          fresh - fresh/10, // the cache adds or takes a tenth
		StaleIfError: v.stale,
		Expires:      func(s *keySet) time.Time { return s.fetched.Add(v.stale) },
		SoftTimeout:  patience,
		LoadTimeout:  10 * time.Second,
		ErrorTTL:     time.Second,
		EarlyRefresh: 1,
		MaxEntries:   len(v.issuers) + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return v, nil
}

// add checks an issuer and fills in what it leaves out. Options are copied.
func (v *Verifier) add(i Issuer) error {
	i.KeysURL = cmp.Or(i.KeysURL, strings.TrimSuffix(i.URL, "/")+"/.well-known/jwks.json")
	i.MaxLife = cmp.Or(i.MaxLife, 5*time.Minute)
	if len(i.Algorithms) == 0 {
		i.Algorithms = []string{"RS256", "ES384"}
	}
	i.Algorithms, i.Accounts = slices.Clone(i.Algorithms), slices.Clone(i.Accounts)
	u, err := url.Parse(i.KeysURL)
	switch {
	case i.URL == "" || i.Type == "" || len(i.Accounts) == 0:
		return fmt.Errorf("verify: issuer %q: URL, Type and Accounts must be set", i.URL)
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())):
		return fmt.Errorf("verify: issuer %q: KeysURL is %q; want https", i.URL, i.KeysURL)
	case strings.ContainsAny(i.URL, "?#"):
		return fmt.Errorf("verify: issuer %q: a URL of an issuer has no query and no fragment", i.URL)
	case i.MaxLife < 0 || i.MaxLife > 24*time.Hour:
		return fmt.Errorf("verify: issuer %q: MaxLife is %v; want at most a day", i.URL, i.MaxLife)
	case v.issuers[i.URL] != nil:
		return fmt.Errorf("verify: issuer %q comes twice", i.URL)
	}
	for _, a := range i.Algorithms {
		if a != "RS256" && a != "ES384" {
			return fmt.Errorf("verify: issuer %q: algorithm %q; want RS256 or ES384", i.URL, a)
		}
	}
	for _, a := range i.Accounts {
		if len(a) != 12 || strings.Trim(a, "0123456789") != "" {
			return fmt.Errorf("verify: issuer %q: account %q; want twelve digits", i.URL, a)
		}
	}
	v.issuers[i.URL] = &issuer{Issuer: i}
	return nil
}

// local reports whether a host is this machine, or one of those that only a
// test's own client reaches.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".invalid") || ip != nil && ip.IsLoopback()
}

// warn writes what has failed without anybody having asked, if there is a
// logger.
//
// In order: not again if the issuer has just failed; the issuer; what it has
// revoked, whatever else is wrong with its answer; and only without any keys at
// all the file of an earlier process, for a second at a time.
func (v *Verifier) warn(what, issuer string, err error) {
	if v.log != nil {
		v.log.Warn("verify: "+what, "issuer", issuer, "err", err)
	}
}

// Check fetches the keys of all issuers, for the start and for package health.
// It fails if there is an issuer whose tokens cannot be verified now.
func (v *Verifier) Check(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(v.issuers)) { // the same one is named first each time
		set, err := v.keys.Get(ctx, name)
		if err == nil && len(set.keys) == 0 {
			err = errors.New("all of its keys are revoked")
		}
		if err != nil {
			return fmt.Errorf("verify: issuer %s: %w", name, err)
		}
	}
	return nil
}

// Stats counts what a verifier has done.
type Stats struct {
	Accepted        int64 `json:"accepted"`
	Refused         int64 `json:"refused"`         // for what the token says
	KeysUnavailable int64 `json:"keysUnavailable"` // answered with 503
	Fetches         int64 `json:"fetches"`         // of keys
	FetchErrors     int64 `json:"fetchErrors"`
}

// Stats returns a snapshot.
func (v *Verifier) Stats() Stats {
	return Stats{v.accepted.Load(), v.refused.Load(), v.noKeys.Load(), v.fetches.Load(), v.failed.Load()}
}

// Close ends background fetches. Verify fails afterwards only for want of keys.
func (v *Verifier) Close(ctx context.Context) error {
	v.cancel()
	v.running.Wait() // nothing holds them now
	return v.keys.Close(ctx)
}

// Verify says who a token speaks for. Its errors are of type *Error, or the
// caller's own ctx.Err(). The keys are at hand but for the first call, and when
// they are fetched because they are old or a key id is unknown; if ctx ends
// meanwhile, so does the call.
func (v *Verifier) Verify(ctx context.Context, text string) (Identity, error) {
	t, err := parse(text)
	if err != nil {
		return v.refuse(ctx, err)
	}
	// Cheap checks come first, and the signature before anything that the
	// payload claims: what is not signed is not looked at, but for iss, which
	// says whose key it takes.
	from := v.issuers[string(t.iss)]
	switch {
	case from == nil:
		return v.refuse(ctx, &Error{Reason: IssuerUnknown})
	case !slices.Contains(from.Algorithms, string(t.alg)):
		return v.refuse(ctx, &Error{Reason: Algorithm})
	case string(t.typ) != from.Type:
		return v.refuse(ctx, &Error{Reason: Type})
	case !keyID(string(t.kid)):
		return v.refuse(ctx, &Error{Reason: KeyID})
	case v.isRevoked(from, t.kid):
		return v.refuse(ctx, &Error{Reason: KeyRevoked, Detail: string(t.kid)})
	}
	// The key's own algorithm decides, and not the token's: the two must agree,
	// or a public RSA key could be taken for the secret of another method.
	key, err := v.key(ctx, from, t.kid)
	if err != nil {
		return v.refuse(ctx, err)
	}
	if key.alg != string(t.alg) {
		return v.refuse(ctx, &Error{Reason: Algorithm})
	}
	if err := methods[key.alg].Verify(t.signed, t.signature, key.key); err != nil {
		return v.refuse(ctx, &Error{Reason: Signature})
	}
	subject := string(t.sub)
	if err := v.judge(from, t, subject); err != nil {
		return v.refuse(ctx, err)
	}
	v.accepted.Add(1)
	return Identity{
		Issuer: from.URL, Subject: subject, Account: accountOf(subject), ID: string(t.jti), KeyID: key.id,
		Issued: time.Unix(t.iat, 0), Expires: time.Unix(t.exp, 0),
	}, nil
}

// judge looks at the claims of a token whose signature is good.
//
// Times first, so that an old token is called old; exp and iat are both
// required, since without iat a life cannot be bounded (RFC 7519, 4.1, leaves
// both to the issuer).
func (v *Verifier) judge(from *issuer, t *token, subject string) error {
	now, leeway := v.now().Unix(), int64(v.leeway/time.Second)
	switch {
	case !t.hasExp || !t.hasIat:
		return &Error{Reason: NoExpiry}
	case t.exp <= t.iat || t.exp-t.iat > int64(from.MaxLife/time.Second):
		return refuse(Life, "%d s, the limit is %v", t.exp-t.iat, from.MaxLife)
	case t.exp <= now-leeway:
		return refuse(Expired, "%d s ago", now-t.exp)
	case t.iat > now+leeway, t.hasNbf && t.nbf > now+leeway:
		return &Error{Reason: NotYet}
	case t.audiences != 1 || string(t.aud) != v.audience:
		return &Error{Reason: Audience}
	case !roleOf(subject, from.Accounts):
		return &Error{Reason: Subject}
	case !visible(string(t.jti), 255):
		return refuse(Malformed, "jti has other characters than visible ASCII, or more than 255")
	}
	return nil
}

// key finds a key, if need be by asking the issuer once more: at most once a
// minute, so that strangers with made-up key ids do not make us ask for each.
func (v *Verifier) key(ctx context.Context, from *issuer, kid []byte) (publicKey, error) {
	key, found, err := v.lookup(ctx, from, kid)
	if found || err != nil {
		return key, err
	}
	if err := v.again(ctx, from); err != nil {
		return publicKey{}, unavailable(ctx, err) // it may be a new key that we have not heard of
	}
	if key, found, err = v.lookup(ctx, from, kid); !found && err == nil {
		err = &Error{Reason: KeyUnknown, Detail: string(kid)}
	}
	return key, err
}

// lookup finds a key in the set that the cache has, or fetches the first one.
//
// The usual way is a read of local memory, without a lock of ours.
func (v *Verifier) lookup(ctx context.Context, from *issuer, kid []byte) (publicKey, bool, error) {
	set, err := v.keys.Get(ctx, from.URL)
	if err != nil {
		return publicKey{}, false, unavailable(ctx, err)
	}
	if v.isRevoked(from, kid) { // the set may have said so just now
		return publicKey{}, false, &Error{Reason: KeyRevoked, Detail: string(kid)}
	}
	key, found := set.keys[string(kid)]
	return key, found, nil
}

// again fetches an issuer's keys because of an unknown key id. Callers who come
// meanwhile wait for the same fetch; those who come within a minute after it
// get its outcome.
func (v *Verifier) again(ctx context.Context, from *issuer) error {
	from.mu.Lock()
	done := from.asking
	switch {
	// Somebody is asking already.
	case done != nil:
	case v.now().Sub(from.asked) < unknownInterval:
		defer from.mu.Unlock()
		return from.failed
	default:
		done = make(chan struct{})
		from.asking, from.asked = done, v.now()
		v.running.Go(func() {
			_, err := v.keys.Refresh(v.base, from.URL) // bounded by LoadTimeout
			from.mu.Lock()
			defer from.mu.Unlock()
			from.asking, from.failed = nil, err
			close(done)
		})
	}
	from.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	return from.failed
}

// unavailable is the caller's own context if that has ended, since the keys may
// be fine.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &Error{Reason: KeysUnavailable, Err: err}
}

// refuse counts and logs a refusal, with its reason and never with the token.
func (v *Verifier) refuse(ctx context.Context, err error) (Identity, error) {
	reason := ReasonOf(err)
	switch reason {
	case "":
		return Identity{}, err // the caller's own context
	case KeysUnavailable:
		v.noKeys.Add(1)
	default:
		v.refused.Add(1)
	}
	if v.log != nil {
		var e *Error
		errors.As(err, &e)
		v.log.LogAttrs(ctx, slog.LevelInfo, "verify: refused", slog.String("reason", string(reason)), slog.String("detail", e.Detail))
	}
	return Identity{}, err
}

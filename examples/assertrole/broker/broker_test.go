package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
	"github.com/failopen/failopen/examples/assertrole/broker"
	"github.com/failopen/failopen/examples/assertrole/proof"
	"github.com/failopen/failopen/examples/assertrole/verify"
)

const (
	name     = "https://broker.invalid"
	audience = "https://shop.invalid"
	region   = "eu-central-1"
	account  = ststest.Account
)

// world is STS, KMS, a broker and a verifier, in memory.
type world struct {
	t      *testing.T
	aws    *ststest.Server
	kms    *kms.Client
	broker *broker.Broker
	verify *verify.Verifier
	log    *bytes.Buffer
	role   string
	keys   []string
	down   atomic.Pointer[error] // of the way to STS
	sts    http.RoundTripper
}

func (w *world) config() aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(ststest.MemoryURL), HTTPClient: w.aws.HTTPClient(), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, ""),
	}
}

func (w *world) key() string {
	w.t.Helper()
	out, err := w.kms.CreateKey(w.t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// RoundTrip is the broker's way to STS.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w.down.Load(); err != nil {
		return nil, *err
	}
	return w.sts.RoundTrip(r)
}

func newWorld(t *testing.T, change func(*broker.Options)) *world {
	t.Helper()
	w := &world{t: t, aws: ststest.New(ststest.Options{}), log: new(bytes.Buffer)}
	w.sts = w.aws.HTTPClient().Transport
	w.kms = kms.NewFromConfig(w.config())
	var err error
	if w.role, err = w.aws.AddRole(ststest.Role{Name: "app", Path: "/service/"}); err != nil {
		t.Fatal(err)
	}
	w.keys = []string{w.key(), w.key()}
	o := broker.Options{
		Issuer: name, Audiences: []string{audience}, Roles: []broker.Role{{ARN: w.role}}, Regions: []string{region},
		KMS: w.kms, Keys: w.keys, STS: ststest.MemoryURL, Client: &http.Client{Transport: w},
		Audit: slog.New(slog.NewTextHandler(w.log, nil)), Rate: 1e6,
	}
	if change != nil {
		change(&o)
	}
	if w.broker, err = broker.New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.broker.Close(context.Background()) })
	w.verify, err = verify.New(verify.Options{
		Issuers:  []verify.Issuer{{URL: name, Type: broker.TokenType, Accounts: []string{account}}},
		Audience: audience, Client: &http.Client{Transport: handler{w.broker.Handler()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.verify.Close(context.Background()) })
	return w
}

// handler carries requests to a handler in memory.
type handler struct{ http.Handler }

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// session assumes a role.
func (w *world) session(role, session string) aws.Credentials {
	w.t.Helper()
	out, err := sts.NewFromConfig(w.config()).AssumeRole(w.t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &session})
	if err != nil {
		w.t.Fatal(err)
	}
	c := out.Credentials
	return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
}

func (w *world) proof(creds aws.Credentials) proof.Proof {
	w.t.Helper()
	p, err := proof.Sign(w.t.Context(), creds, region, name, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) token() string {
	w.t.Helper()
	token, _, err := w.broker.Assert(w.t.Context(), w.proof(w.session(w.role, "i-1")), audience)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func TestAssert(t *testing.T) {
	w := newWorld(t, nil)
	creds := w.session(w.role, "i-1")
	p := w.proof(creds)
	token, expires, err := w.broker.Assert(t.Context(), p, audience)
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.verify.Verify(t.Context(), token)
	if err != nil || id.Subject != w.role || id.Account != account || !id.Expires.Equal(expires) {
		t.Errorf("%+v, %v; want %s until %v", id, err, w.role, expires)
	}
	for _, secret := range []string{p.Signature, p.SessionToken, creds.SecretAccessKey, token, token[strings.LastIndexByte(token, '.')+1:]} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the audit has a secret: %s", w.log)
		}
	}
	if !strings.Contains(w.log.String(), w.role) || !strings.Contains(w.log.String(), "assumed-role/app/i-1") {
		t.Errorf("audit: %s", w.log)
	}
}

// TestAssert_attacks is the part of the table that is about proofs: each is
// refused, with its reason in the audit, and most never reach STS, since the
// broker makes the request itself.
func TestAssert_attacks(t *testing.T) {
	w := newWorld(t, func(o *broker.Options) {
		o.Roles = append(o.Roles, broker.Role{ARN: "arn:aws:iam::" + account + ":role/pinned", UniqueID: "AROAOTHER"}, broker.Role{ARN: "arn:aws:iam::999988887777:role/elsewhere"},
			broker.Role{ARN: "arn:aws:iam::" + account + ":role/spare"})
	})
	good := w.session(w.role, "i-1")
	other := func(name string) aws.Credentials {
		arn, err := w.aws.AddRole(ststest.Role{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return w.session(arn, "app")
	}
	now := time.Now()
	with := func(change func(*proof.Proof)) proof.Proof {
		p := w.proof(good)
		change(&p)
		return p
	}
	forOther, err := proof.Sign(t.Context(), good, region, "https://other-broker.invalid", now)
	if err != nil {
		t.Fatal(err)
	}
	old, err := proof.Sign(t.Context(), good, region, name, now.Add(-2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	future, err := proof.Sign(t.Context(), good, region, name, now.Add(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		proof    proof.Proof
		audience string
		why      string
		sts      int64 // calls of STS
	}{
		"a region that is a host":          {with(func(p *proof.Proof) { p.Region = "evil.example/#" }), audience, "region", 0},
		"a region with a port":             {with(func(p *proof.Proof) { p.Region = "eu-central-1.evil.example:443" }), audience, "region", 0},
		"another region":                   {with(func(p *proof.Proof) { p.Region = "us-east-1" }), audience, "region", 0},
		"an access key with a slash":       {with(func(p *proof.Proof) { p.AccessKeyID = "ASIA/../../x0000000" }), audience, "accessKeyId", 0},
		"a header in the token":            {with(func(p *proof.Proof) { p.SessionToken += "\r\nHost: evil" }), audience, "sessionToken", 0},
		"more signed headers":              {with(func(p *proof.Proof) { p.Signature = "0, SignedHeaders=host, Signature=" + p.Signature }), audience, "signature", 0},
		"a signature in capitals":          {with(func(p *proof.Proof) { p.Signature = strings.ToUpper(p.Signature) }), audience, "signature", 0},
		"no session token":                 {with(func(p *proof.Proof) { p.SessionToken = "" }), audience, "sessionToken", 0},
		"a date that is none":              {with(func(p *proof.Proof) { p.Date = "20261332T000000Z" }), audience, "date", 0},
		"a date with a tail":               {with(func(p *proof.Proof) { p.Date += "/x" }), audience, "date", 0},
		"two minutes old":                  {old, audience, "date", 0},
		"from the future":                  {future, audience, "date", 0},
		"another audience":                 {w.proof(good), "https://bank.invalid", "audience", 0},
		"a changed date":                   {with(func(p *proof.Proof) { p.Date = now.Add(-10 * time.Second).UTC().Format("20060102T150405Z") }), audience, "does not accept", 1},
		"a made-up signature":              {with(func(p *proof.Proof) { p.Signature = strings.Repeat("0", 64) }), audience, "does not accept", 1},
		"for another broker":               {forOther, audience, "does not accept", 1},
		"another's session token":          {with(func(p *proof.Proof) { p.SessionToken = w.session(w.role, "i-2").SessionToken }), audience, "does not accept", 1},
		"another's access key":             {with(func(p *proof.Proof) { p.AccessKeyID = w.session(w.role, "i-2").AccessKeyID }), audience, "does not accept", 1},
		"a role that is not on the list":   {w.proof(other("app2")), audience, "not on the list", 1},
		"a role whose name has a prefix":   {w.proof(other("ap")), audience, "not on the list", 1},
		"a role in another case":           {w.proof(other("Spare")), audience, "not on the list", 1},
		"the session is named like a role": {w.proof(other("guest")), audience, "not on the list", 1},
		"the same name, another account":   {w.proof(other("elsewhere")), audience, "not on the list", 1},
		"a role that was made again":       {w.proof(other("pinned")), audience, "not the same role", 1},
	} {
		w.log.Reset()
		before := w.broker.Stats().STSCalls
		token, _, err := w.broker.Assert(t.Context(), c.proof, c.audience)
		if !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), c.why) || token != "" {
			t.Errorf("%s: %q, %v; want refused, %s", what, token, err, c.why)
		}
		if n := w.broker.Stats().STSCalls - before; n != c.sts {
			t.Errorf("%s: %d calls of STS, want %d", what, n, c.sts)
		}
		if strings.Count(w.log.String(), "\n") != 1 || !strings.Contains(w.log.String(), c.why) || c.proof.SessionToken != "" && strings.Contains(w.log.String(), c.proof.SessionToken) {
			t.Errorf("%s: audit %q", what, w.log)
		}
	}
}

// answering is an STS that says what it likes.
type answering struct {
	status int
	body   string
	header http.Header
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	h := a.header
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// What is not exactly STS's answer is no answer.
func TestAssert_answers(t *testing.T) {
	ok := func(result, more string) string {
		return `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` + result + `</GetCallerIdentityResult>` + more + `</GetCallerIdentityResponse>`
	}
	id := `<Arn>arn:aws:sts::123456789012:assumed-role/app/i-1</Arn><UserId>AROAX:i-1</UserId><Account>123456789012</Account>`
	for what, c := range map[string]struct {
		a    answering
		want error
	}{
		"as it should be":       {answering{status: 200, body: ok(id, `<ResponseMetadata><RequestId>x</RequestId></ResponseMetadata>`)}, nil},
		"a user":                {answering{status: 200, body: ok(strings.Replace(id, "sts::123456789012:assumed-role/app/i-1", "iam::123456789012:user/app", 1), "")}, broker.ErrRefused},
		"accounts that differ":  {answering{status: 200, body: ok(strings.Replace(id, "<Account>1", "<Account>2", 1), "")}, broker.ErrRefused},
		"sessions that differ":  {answering{status: 200, body: ok(strings.Replace(id, "AROAX:i-1", "AROAX:i-2", 1), "")}, broker.ErrRefused},
		"a fourth part":         {answering{status: 200, body: ok(strings.ReplaceAll(id, "app/i-1", "app/x/i-1"), "")}, broker.ErrRefused},
		"an ARN twice":          {answering{status: 200, body: ok(id+`<Arn>arn:aws:sts::123456789012:assumed-role/app/i-1</Arn>`, "")}, broker.ErrUnavailable},
		"a result twice":        {answering{status: 200, body: ok(id, `<GetCallerIdentityResult>`+id+`</GetCallerIdentityResult>`)}, broker.ErrUnavailable},
		"inside something else": {answering{status: 200, body: `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><SubjectFromWebIdentityToken>` + ok(id, "") + `</SubjectFromWebIdentityToken></AssumeRoleWithWebIdentityResponse>`}, broker.ErrUnavailable},
		"inside an error":       {answering{status: 200, body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Message>` + ok(id, "") + `</Message></Error></ErrorResponse>`}, broker.ErrUnavailable},
		"another namespace":     {answering{status: 200, body: strings.Replace(ok(id, ""), "sts.amazonaws.com", "evil.example", 1)}, broker.ErrUnavailable},
		"two documents":         {answering{status: 200, body: ok(id, "") + ok(id, "")}, broker.ErrUnavailable},
		"a document type":       {answering{status: 200, body: `<!DOCTYPE x [<!ENTITY a "b">]>` + ok(id, "")}, broker.ErrUnavailable},
		"half of it":            {answering{status: 200, body: ok(id, "")[:150]}, broker.ErrUnavailable},
		"JSON":                  {answering{status: 200, body: `{"GetCallerIdentityResponse":{}}`}, broker.ErrUnavailable},
		"a captive portal":      {answering{status: 200, body: "<html><body>Please log in</body></html>"}, broker.ErrUnavailable},
		"nothing":               {answering{status: 200}, broker.ErrUnavailable},
		"more than 64 KiB":      {answering{status: 200, body: ok(id+strings.Repeat(" ", 70_000), "")}, broker.ErrUnavailable},
		"a redirect":            {answering{status: 302, header: http.Header{"Location": {"https://evil.example"}}}, broker.ErrUnavailable},
		"201":                   {answering{status: 201, body: ok(id, "")}, broker.ErrUnavailable},
		"500":                   {answering{status: 500, body: ok(id, "")}, broker.ErrUnavailable},
		"403 of a firewall":     {answering{status: 403, body: "<html>no</html>"}, broker.ErrUnavailable},
		"throttled":             {answering{status: 400, body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>Throttling</Code></Error></ErrorResponse>`}, broker.ErrUnavailable},
		"expired":               {answering{status: 403, body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>ExpiredToken</Code></Error></ErrorResponse>`}, broker.ErrRefused},
	} {
		w := newWorld(t, func(o *broker.Options) { o.Client = &http.Client{Transport: c.a} })
		_, _, err := w.broker.Assert(t.Context(), w.proof(w.session(w.role, "i-1")), audience)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

// A thousand clients who have the same session cost one call of STS and one
// signature; a thousand sessions of one role, a call each, since a proof stands
// for itself, and one signature.
func TestAssert_stampede(t *testing.T) {
	w := newWorld(t, nil)
	p := w.proof(w.session(w.role, "i-1"))
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if _, _, err := w.broker.Assert(t.Context(), p, audience); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s := w.broker.Stats(); s.STSCalls != 1 || s.Signatures != 1 || s.Issued != 1000 {
		t.Errorf("%+v", s)
	}
	for i := range 100 {
		if _, _, err := w.broker.Assert(t.Context(), w.proof(w.session(w.role, fmt.Sprint("i-", i))), audience); err != nil {
			t.Error(err)
		}
	}
	if s := w.broker.Stats(); s.STSCalls != 101 || s.Signatures != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAssert_rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *broker.Options) { o.Rate = 10 })
		creds := make([]aws.Credentials, 30)
		for i := range creds {
			creds[i] = w.session(w.role, fmt.Sprint("i-", i))
		}
		busy := 0
		for _, c := range creds {
			if _, _, err := w.broker.Assert(t.Context(), w.proof(c), audience); errors.Is(err, broker.ErrBusy) {
				busy++
			} else if err != nil {
				t.Error(err)
			}
		}
		if busy != 20 {
			t.Errorf("%d of 30 were turned away, want 20", busy)
		}
	})
}

// While STS or KMS is away nothing is issued, and what was issued is verified.
func TestAssert_fails_closed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		token := w.token()
		gone := errors.New("connection refused")
		w.down.Store(&gone)
		if _, _, err := w.broker.Assert(t.Context(), w.proof(w.session(w.role, "i-2")), audience); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("STS is away: %v", err)
		}
		w.down.Store(nil)
		w.aws.SetFault(func(r *ststest.Request) *ststest.Fault {
			if r.Service == "kms" {
				return &ststest.Fault{Code: "ThrottlingException", Status: 400}
			}
			return nil
		})
		<-time.After(4 * time.Minute) // the token before is too old to be given out again
		fresh := w.session(w.role, "i-3")
		_, _, err := w.broker.Assert(t.Context(), w.proof(fresh), audience)
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("KMS is throttled: %v", err)
		}
		rec := httptest.NewRecorder()
		p := w.proof(fresh)
		text := fmt.Sprintf(`{"accessKeyId":%q,"sessionToken":%q,"date":%q,"region":%q,"signature":%q,"audience":%q}`, p.AccessKeyID, p.SessionToken, p.Date, p.Region, p.Signature, audience)
		w.broker.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/assert", strings.NewReader(text)))
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Errorf("status %d, %s", rec.Code, rec.Body)
		}
		if _, err := w.verify.Verify(t.Context(), token); err != nil {
			t.Errorf("a token from before: %v", err)
		}
		w.aws.SetFault(nil)
		<-time.After(2 * time.Second)
		if _, _, err := w.broker.Assert(t.Context(), w.proof(fresh), audience); err != nil {
			t.Errorf("all is well again: %v", err)
		}
	})
}

// A rotation under load: no good token is refused at any time; after a key was
// compromised, each of its tokens is.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		creds := w.session(w.role, "i-1")
		var live []string
		step := func(d time.Duration) {
			t.Helper()
			<-time.After(d)
			token, expires, err := w.broker.Assert(t.Context(), w.proof(creds), audience)
			if err != nil {
				t.Fatal(err)
			}
			if time.Until(expires) < time.Minute {
				t.Errorf("a token that lives for %v", time.Until(expires))
			}
			live = append(live, token)
			if len(live) > 4 {
				live = live[1:] // one a minute, each lives for 5
			}
			for _, token := range live {
				if _, err := w.verify.Verify(t.Context(), token); err != nil && verify.ReasonOf(err) != verify.Expired {
					t.Fatal(err)
				}
			}
		}
		for range 10 {
			step(time.Minute)
		}
		third := w.key()
		kid, err := w.broker.Add(t.Context(), third)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.broker.Promote(kid); !errors.Is(err, broker.ErrTooEarly) {
			t.Errorf("promoted at once: %v", err)
		}
		for range 11 {
			step(time.Minute)
		}
		if err := w.broker.Promote(kid); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			step(time.Minute)
		}
		if !strings.Contains(header(t, live[len(live)-1]), kid) {
			t.Errorf("signed by another key: %s", header(t, live[len(live)-1]))
		}
		// The new key is compromised: it is disabled and revoked, and a backup
		// signs from the next request on.
		stolen := live
		live = nil
		if _, err := w.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &third}); err != nil {
			t.Fatal(err)
		}
		if err := w.broker.Revoke(kid); err != nil {
			t.Fatal(err)
		}
		w.verify.Revoke(kid) // by hand where it must be now; the others learn it within Fresh
		for range 5 {
			step(30 * time.Second)
		}
		for _, token := range stolen {
			if _, err := w.verify.Verify(t.Context(), token); verify.ReasonOf(err) != verify.KeyRevoked && verify.ReasonOf(err) != verify.Expired {
				t.Errorf("a token of the compromised key: %v", err)
			}
		}
		// A key that somebody has disabled without a word: the next one signs.
		if _, err := w.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &w.keys[0]}); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			step(time.Minute)
		}
	})
}

// Verifiers that were told nothing learn of a revoked key from the issuer.
func TestRevoke_spreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *broker.Options) { o.Life = time.Hour })
		long, err := verify.New(verify.Options{
			Issuers:  []verify.Issuer{{URL: name, Type: broker.TokenType, Accounts: []string{account}, MaxLife: time.Hour}},
			Audience: audience, Client: &http.Client{Transport: handler{w.broker.Handler()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = long.Close(t.Context()) }()
		token := w.token()
		id, err := long.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.broker.Revoke(id.KeyID); err != nil {
			t.Fatal(err)
		}
		<-time.After(6 * time.Minute)
		_, _ = long.Verify(t.Context(), token) // may still use the set before
		<-time.After(time.Second)
		if _, err := long.Verify(t.Context(), token); verify.ReasonOf(err) != verify.KeyRevoked {
			t.Errorf("%v", err)
		}
	})
}

func header(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64url(head)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestHandler_refuses(t *testing.T) {
	w := newWorld(t, nil)
	for body, status := range map[string]int{
		"":                               400,
		"{}":                             403,
		`{"accessKeyId":1}`:              400,
		`{"url":"https://evil"}`:         400,
		`{} {}`:                          400,
		strings.Repeat(" ", 9000) + "{}": 400,
	} {
		rec := httptest.NewRecorder()
		w.broker.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/assert", strings.NewReader(body)))
		if rec.Code != status {
			t.Errorf("%.40q: %d %s, want %d", body, rec.Code, rec.Body, status)
		}
	}
}

func TestNew_refuses(t *testing.T) {
	server := ststest.New(ststest.Options{})
	w := &world{t: t, aws: server}
	w.kms = kms.NewFromConfig(w.config())
	ok := broker.Options{
		Issuer: name, Audiences: []string{audience}, Roles: []broker.Role{{ARN: "arn:aws:iam::" + account + ":role/app"}}, Regions: []string{region},
		KMS: w.kms, Keys: []string{"none"},
	}
	for want, change := range map[string]func(*broker.Options){
		"must be set":         func(o *broker.Options) { o.Audiences = nil },
		"Life is":             func(o *broker.Options) { o.Life = 2 * time.Hour },
		"MaxProofAge is":      func(o *broker.Options) { o.MaxProofAge = time.Hour },
		"Rate is":             func(o *broker.Options) { o.Rate = -1 },
		"without wildcards":   func(o *broker.Options) { o.Roles = []broker.Role{{ARN: "arn:aws:iam::" + account + ":role/*"}} },
		"the ARN of one role": func(o *broker.Options) { o.Roles = []broker.Role{{ARN: "app"}} },
		"the public part":     func(*broker.Options) {},
	} {
		o := ok
		change(&o)
		if _, err := broker.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

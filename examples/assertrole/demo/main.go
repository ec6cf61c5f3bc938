// Demo proves an IAM role to a service that is not AWS, by two doors, and goes
// on verifying while AWS is away. STS, IAM and KMS are embedded, everything is
// on loopback, and it takes a few seconds.
//
// What it shows, in the order of its output: two ways to a token (bothDoors);
// what is refused (attacks); that verifying goes on without AWS while issuing
// stops (outage); and a change of keys under load, planned and unplanned
// (rotation). Each line is a check: one that is not as it should be has a mark,
// and the exit code is 1. So it is a test as well, and CI runs it.
//
// What to copy is start: the options of a broker and a verifier that fit
// together, with the reason beside each number.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
	"github.com/failopen/failopen/examples/assertrole/app"
	"github.com/failopen/failopen/examples/assertrole/broker"
	"github.com/failopen/failopen/examples/assertrole/client"
	"github.com/failopen/failopen/examples/assertrole/verify"
)

const (
	audience = "https://shop.example" // the service, as tokens name it
	region   = "eu-central-1"
)

// main gives it a minute; on a busy machine it takes some seconds.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	err := run(ctx, os.Stdout)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A stage is everything that the demonstration needs.
type stage struct {
	out    io.Writer
	log    *counter
	aws    *ststest.Server
	kms    *kms.Client
	role   string
	caller aws.Credentials // of the role's session
	broker *broker.Broker
	verify *verify.Verifier

	brokerURL, resourceURL string
	failed                 []string
}

// run plays the scenes in order. Each leaves the stage as the next one needs
// it.
func run(ctx context.Context, out io.Writer) (err error) {
	s := &stage{out: out, log: new(counter)}
	fmt.Fprint(out, `A program that runs under an IAM role proves that to a service which is not AWS.
Everything is embedded and on loopback. A line that is not as it should be has a ✗.

`)
	closeAll, err := s.start(ctx)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// A connection that was dialled and never used looks busy to a
		// server's Shutdown for five seconds.
		http.DefaultClient.CloseIdleConnections()
		err = errors.Join(err, closeAll(ctx))
	}()
	if err != nil {
		return err
	}
	doorA, doorB := s.doors()
	s.bothDoors(ctx, doorA, doorB)
	s.attacks(ctx, doorA)
	s.outage(ctx, doorA, doorB)
	if err := s.rotation(ctx, doorB); err != nil {
		return err
	}
	s.say("", "")
	s.check(s.log.leaks.Load() == 0, "log", "%d lines about all this, %d of them with a token or a secret", s.log.lines.Load(), s.log.leaks.Load())
	if len(s.failed) > 0 {
		return fmt.Errorf("not as it should be: %s", strings.Join(s.failed, "; "))
	}
	s.say("ok", "  everything was as it should be")
	return nil
}

// say writes a line: what it is about, and what happened.
func (s *stage) say(head, format string, args ...any) {
	line := fmt.Sprintf("%-10s %s", head, fmt.Sprintf(format, args...))
	fmt.Fprintln(s.out, strings.TrimRight(line, " "))
}

// check prints a line, and remembers one that is not as it should be.
func (s *stage) check(ok bool, head, format string, args ...any) {
	mark := "  "
	if !ok {
		mark = "✗ "
		s.failed = append(s.failed, fmt.Sprintf(format, args...))
	}
	s.say(head, mark+format, args...)
}

// start builds the stage. What it returns closes as much of it as there is.
func (s *stage) start(ctx context.Context) (closeAll func(context.Context) error, err error) {
	var closes []func(context.Context) error
	closeAll = func(ctx context.Context) (err error) {
		for i := range closes {
			err = errors.Join(err, closes[len(closes)-1-i](ctx))
		}
		return err
	}
	s.aws = ststest.New(ststest.Options{Addr: "127.0.0.1:0"})
	if err := s.aws.Start(); err != nil {
		return closeAll, err
	}
	closes = append(closes, func(context.Context) error { s.aws.Close(); return nil })
	// The role that will be proven. It may ask STS for a token about itself,
	// and nothing else.
	s.role, err = s.aws.AddRole(ststest.Role{Name: "orders", Path: "/service/", Policies: map[string]string{
		"tokens": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*"}}`,
	}})
	if err != nil {
		return closeAll, err
	}
	// A session of the role is what a program on an instance has.
	admin := s.config(credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, ""))
	session, err := sts.NewFromConfig(admin).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &s.role, RoleSessionName: aws.String("i-0123")})
	if err != nil {
		return closeAll, err
	}
	c := session.Credentials
	s.caller = aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
	s.log.secrets = []string{s.caller.SecretAccessKey, s.caller.SessionToken}
	// Two keys: the first signs, the second is published and waits, so that it
	// can take over at once should the first be stolen.
	s.kms = kms.NewFromConfig(admin)
	var keys []string
	for range 2 {
		key, err := s.newKey(ctx)
		if err != nil {
			return closeAll, err
		}
		keys = append(keys, key)
	}
	// The broker knows which audiences there are and which role may ask.
	b, made, err := app.Broker(ctx, "127.0.0.1:0", false, broker.Options{
		Issuer: "https://broker.example", Audiences: []string{audience}, Roles: []broker.Role{{ARN: s.role}}, Regions: []string{region},
		KMS: s.kms, Keys: keys, STS: s.aws.URL(),
		PublishLead: time.Second, // minutes in real life: longer than verifiers keep a set
		Life:        time.Minute,
	}, s.log)
	if err != nil {
		return closeAll, err
	}
	closes = append(closes, b.Close)
	s.broker, s.brokerURL = made, b.URL
	// The resource trusts AWS itself, and the broker; each speaks for one
	// account.
	r, v, err := app.Resource(ctx, "127.0.0.1:0", false, verify.Options{
		Audience: audience,
		Issuers: []verify.Issuer{
			{URL: s.aws.Issuer(), Type: "JWT", Accounts: []string{ststest.Account}},
			{URL: "https://broker.example", KeysURL: b.URL + "/.well-known/jwks.json", Type: broker.TokenType, Accounts: []string{ststest.Account}},
		},
		Fresh: time.Second,
	}, http.HandlerFunc(app.Hello), s.log)
	if err != nil {
		return closeAll, err
	}
	closes = append(closes, r.Close)
	s.verify, s.resourceURL = v, r.URL
	s.say("start", "  STS, IAM and KMS on %s, a broker on %s, a resource on %s", s.aws.URL(), b.URL, r.URL)
	return closeAll, v.Check(ctx)
}

// config is that of an AWS client of this stage. It does not retry, so that an
// outage shows at once.
func (s *stage) config(p aws.CredentialsProvider) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: aws.String(s.aws.URL()), Credentials: p, Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
}

// newKey makes a key in KMS: its private half never leaves there.
func (s *stage) newKey(ctx context.Context) (string, error) {
	out, err := s.kms.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		return "", err
	}
	return *out.KeyMetadata.KeyId, nil
}

// doors are the two ways to a token, for the same caller.
func (s *stage) doors() (a, b client.Door) {
	creds := credentials.NewStaticCredentialsProvider(s.caller.AccessKeyID, s.caller.SecretAccessKey, s.caller.SessionToken)
	a = client.AWS(sts.NewFromConfig(s.config(creds)), "RS256")
	b = client.Broker{URL: s.brokerURL, Name: "https://broker.example", Region: region, Credentials: creds}.Door()
	return a, b
}

// call asks the resource, and returns the status and the text.
func (s *stage) call(ctx context.Context, token string) (int, string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.resourceURL+"/", nil)
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

// bothDoors gets a token by each and shows it to the resource, which answers
// with the role's ARN both times: it does not matter by which door a caller
// came.
func (s *stage) bothDoors(ctx context.Context, doors ...client.Door) {
	for i, door := range doors {
		name := []string{"door A", "door B"}[i]
		token, _, err := door(ctx, audience)
		if err != nil {
			s.check(false, name, "no token: %v", err)
			continue
		}
		status, text := s.call(ctx, token)
		how := []string{"AWS signs a token (GetWebIdentityToken)", "a signed GetCallerIdentity, and a broker signs a token with KMS"}[i]
		s.check(status == 200 && strings.HasSuffix(text, s.role), name, "%s → %d %s", how, status, text)
	}
}

// attacks shows three tokens that must not be accepted: a good one that is for
// another service, one whose signature was changed, and one that says it needs
// none.
func (s *stage) attacks(ctx context.Context, door client.Door) {
	good, _, err := door(ctx, audience)
	if err != nil {
		s.check(false, "attacks", "no token: %v", err)
		return
	}
	other, _, err := door(ctx, "https://bank.example")
	if err != nil {
		s.check(false, "attacks", "no token: %v", err)
		return
	}
	parts := strings.Split(good, ".")
	for _, a := range []struct{ what, token string }{
		{"a token for somebody else", other},
		{"a changed signature", good[:len(good)-8] + "AAAAAAAA"},
		{"no algorithm", "eyJhbGciOiJub25lIn0." + parts[1] + "." + parts[2]},
	} {
		status, text := s.call(ctx, a.token)
		s.check(status == 401, "attack", "%s → %d %s", a.what, status, text)
	}
}

// outage takes STS and KMS away, both of them and the issuer's published keys.
func (s *stage) outage(ctx context.Context, doorA, doorB client.Door) {
	a, _, errA := doorA(ctx, audience)
	b, _, errB := doorB(ctx, audience)
	if errA != nil || errB != nil {
		s.check(false, "outage", "no tokens: %v, %v", errA, errB)
		return
	}
	s.say("", "")
	s.aws.SetFault(func(*ststest.Request) *ststest.Fault {
		return &ststest.Fault{Code: "ServiceUnavailable", Status: 503}
	})
	s.say("outage", "  STS, KMS and AWS's published keys answer 503")
	wait(ctx, 1500*time.Millisecond) // longer than keys are fresh here
	_, _, err := doorA(ctx, audience)
	s.check(err != nil, "issuing", "door A: no new token (it fails closed)")
	_, _, err = doorB(ctx, audience)
	s.check(err != nil && strings.Contains(err.Error(), "status 503"), "issuing", "door B: %s", short(err))
	for i, token := range []string{a, b} {
		ok := 0
		for range 50 {
			if status, _ := s.call(ctx, token); status == 200 {
				ok++
			}
		}
		s.check(ok == 50, "verifying", "%d of 50 requests with a token of door %c are answered", ok, 'A'+i)
	}
	s.aws.SetFault(nil)
	s.say("repaired", "  STS and KMS are back")
}

// short leaves out whose error it is, which every line says already.
func short(err error) string {
	if err == nil {
		return "a token, which should not be"
	}
	return strings.TrimPrefix(err.Error(), "client: ")
}

// rotation brings a new key into use, and then finds that it was compromised,
// under load.
func (s *stage) rotation(ctx context.Context, door client.Door) error {
	s.say("", "")
	id, err := s.newKey(ctx)
	if err != nil {
		return err
	}
	kid, err := s.broker.Add(ctx, id)
	if err != nil {
		return err
	}
	// Published first, used later: a verifier that has not heard of a key
	// refuses its tokens, and would refuse good callers.
	s.check(errors.Is(s.broker.Promote(kid), broker.ErrTooEarly), "rotation", "a new key is published; to use it at once is refused")
	load := s.startLoad(ctx, door)
	promoted := eventually(ctx, func() bool { return s.broker.Promote(kid) == nil })
	s.check(promoted, "rotation", "when verifiers know it, it signs")
	wait(ctx, 500*time.Millisecond)
	stolen, _, err := door(ctx, audience)
	if err != nil {
		return err
	}
	status, _ := s.call(ctx, stolen)
	s.check(status == 200, "rotation", "a token of the new key → %d", status)
	good, refused := load()
	s.check(refused == 0 && good > 0, "rotation", "%d requests meanwhile with valid tokens, %d refused", good, refused)

	// Two steps: without KMS nobody can sign any more, and without the broker's
	// word tokens that were signed before would be good until they end.
	if _, err := s.kms.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id}); err != nil {
		return err
	}
	if err := s.broker.Revoke(kid); err != nil {
		return err
	}
	s.say("", "")
	s.say("stolen", "  the new key was compromised: disabled in KMS, revoked at the broker")
	load = s.startLoad(ctx, door)
	var text string
	refusedNow := eventually(ctx, func() bool { // as soon as the verifier has fetched the set again
		status, text = s.call(ctx, stolen)
		return status == 401
	})
	s.check(refusedNow, "stolen", "a token of that key → %d %s", status, text)
	good, refused = load()
	s.check(refused == 0 && good > 0, "stolen", "%d requests meanwhile with tokens of the backup key, %d refused", good, refused)
	return nil
}

// wait waits, and not beyond ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// eventually asks until the answer is yes, for ten seconds at most.
func eventually(ctx context.Context, ask func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for !ask() {
		if ctx.Err() != nil {
			return false
		}
		wait(ctx, 100*time.Millisecond)
	}
	return true
}

// startLoad sends requests with fresh tokens until the function that it returns
// is called.
func (s *stage) startLoad(ctx context.Context, door client.Door) (stop func() (good, refused int64)) {
	ctx, cancel := context.WithCancel(ctx)
	var n, bad atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil && n.Load() < 20_000 {
				token, _, err := door(ctx, audience)
				if err != nil {
					if ctx.Err() == nil {
						bad.Add(1)
					}
					continue
				}
				status, _ := s.call(ctx, token)
				switch {
				case status == 200:
					n.Add(1)
				case ctx.Err() == nil:
					bad.Add(1)
				}
			}
		})
	}
	return func() (int64, int64) {
		cancel()
		all.Wait()
		return n.Load(), bad.Load()
	}
}

// counter is where the log goes in a demonstration. It looks for what must not
// be there.
type counter struct {
	lines, leaks atomic.Int64
	secrets      []string
}

func (c *counter) Write(p []byte) (int, error) {
	text := string(p)
	c.lines.Add(int64(strings.Count(text, "\n")))
	if strings.Contains(text, "eyJ") { // how every token begins
		c.leaks.Add(1)
	}
	for _, s := range c.secrets {
		if strings.Contains(text, s) {
			c.leaks.Add(1)
		}
	}
	return len(p), nil
}

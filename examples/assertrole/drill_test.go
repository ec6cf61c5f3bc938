package assertrole_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/examples/assertrole/broker"
	"github.com/failopen/failopen/examples/assertrole/client"
	"github.com/failopen/failopen/examples/assertrole/proof"
	"github.com/failopen/failopen/examples/assertrole/verify"
	"github.com/failopen/failopen/logsink"
)

const (
	audience = "https://shop.invalid"
	name     = "https://broker.invalid"
	region   = "eu-central-1"
)

// world is the whole example in memory, with an injector on each way.
type world struct {
	inj    *fault.Injector
	aws    *ststest.Server
	creds  aws.CredentialsProvider // of the role's session
	broker *broker.Broker
	verify *verify.Verifier
	role   string
}

// handler carries requests to a handler in memory.
type handler struct{ http.Handler }

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

func newWorld(t *testing.T, audit *slog.Logger) *world {
	t.Helper()
	w := &world{inj: fault.New(fault.Options{}), aws: ststest.New(ststest.Options{})}
	admin := w.config(credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, ""))
	key, err := kms.NewFromConfig(admin).CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	w.role, err = w.aws.AddRole(ststest.Role{Name: "orders", MaxSession: 12 * time.Hour, Policies: map[string]string{
		"t": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*"}}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	session, err := sts.NewFromConfig(admin).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &w.role, RoleSessionName: aws.String("i-1"), DurationSeconds: aws.Int32(43200)})
	if err != nil {
		t.Fatal(err)
	}
	c := session.Credentials
	w.creds = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	w.broker, err = broker.New(t.Context(), broker.Options{
		Issuer: name, Audiences: []string{audience}, Roles: []broker.Role{{ARN: w.role}}, Regions: []string{region},
		KMS: kms.NewFromConfig(admin), Keys: []string{*key.KeyMetadata.KeyId},
		STS: ststest.MemoryURL, Client: w.aws.HTTPClient(), Audit: audit,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.verify, err = verify.New(verify.Options{
		Audience: audience,
		Issuers: []verify.Issuer{
			{URL: w.aws.Issuer(), Type: "JWT", Accounts: []string{ststest.Account}},
			{URL: name, Type: broker.TokenType, Accounts: []string{ststest.Account}},
		},
		Client: &http.Client{Transport: keys{
			"ststest.invalid": w.inj.RoundTripper("sts-keys", w.aws.HTTPClient().Transport),
			"broker.invalid":  w.inj.RoundTripper("broker-keys", handler{w.broker.Handler()}),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.verify.Close(context.Background())
		_ = w.broker.Close(context.Background())
	})
	return w
}

// keys asks the issuer that a URL names.
type keys map[string]http.RoundTripper

func (k keys) RoundTrip(r *http.Request) (*http.Response, error) { return k[r.URL.Host].RoundTrip(r) }

func (w *world) config(p aws.CredentialsProvider) aws.Config {
	return aws.Config{Region: region, BaseEndpoint: aws.String(ststest.MemoryURL), HTTPClient: w.aws.HTTPClient(), Credentials: p, Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
}

// door asks the broker for a token on each call, past the injector.
func (w *world) door(ctx context.Context) (string, error) {
	c, err := w.creds.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	p, err := proof.Sign(ctx, c, region, name, time.Now())
	if err != nil {
		return "", err
	}
	token, _, err := w.broker.Assert(ctx, p, audience)
	return token, err
}

// The resource goes on verifying for hours while an issuer's keys cannot be
// fetched, for tokens that are new each time.
func TestResource_without_keys(t *testing.T) {
	for dependency, service := range map[string]string{"assertrole-broker": "broker-keys", "sts": "sts-keys"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			fromAWS := client.AWS(sts.NewFromConfig(w.config(w.creds)), "ES384")
			rules := []fault.Rule{fault.Network(service, fault.BlackHole)}
			drill.Test(t, drill.Experiment{
				Service: "assertrole-resource", Dependency: dependency, Rules: rules,
				Fault: drill.Rules(w.inj, rules...), Watch: 7 * time.Hour, Rate: 2, Sparse: 1.0 / 60, Budget: 15 * time.Second,
				Target: drill.Func(func(ctx context.Context, _ int64) (err error) {
					token := ""
					if service == "sts-keys" {
						token, _, err = fromAWS(ctx, audience)
					} else {
						token, err = w.door(ctx)
					}
					if err == nil {
						_, err = w.verify.Verify(ctx, token)
					}
					return err
				}),
			})
		})
	}
}

// A client lives on the token that it has while the broker is away. That is soft
// for less than the life of a token, and hard afterwards: the drill is as long.
func TestClient_without_broker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		source, err := client.NewSource(client.Broker{
			URL: name, Region: region, Credentials: w.creds,
			Client: &http.Client{Transport: w.inj.RoundTripper("broker", handler{w.broker.Handler()})},
		}.Door())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = source.Close(context.Background()) }()
		rules := []fault.Rule{fault.Network("broker", fault.Refuse)}
		drill.Test(t, drill.Experiment{
			Service: "assertrole-client", Dependency: "assertrole-broker", Rules: rules,
			Fault: drill.Rules(w.inj, rules...), Watch: 4 * time.Minute, Rate: 2, Budget: 3 * time.Second,
			Target: drill.Func(func(ctx context.Context, _ int64) error {
				token, err := source.Token(ctx, audience)
				if err == nil {
					_, err = w.verify.Verify(ctx, token)
				}
				return err
			}),
		})
	})
}

// blocking is a log destination that hangs while it is told to.
type blocking struct {
	gate atomic.Pointer[chan struct{}]
	hits atomic.Int64
}

func (b *blocking) Write(p []byte) (int, error) {
	if gate := b.gate.Load(); gate != nil {
		b.hits.Add(1)
		<-*gate
	}
	return len(p), nil
}

// The broker issues while nobody takes its audit log. Lines wait, and are
// counted when there are too many: that some may be lost is the price of not
// stopping, and a broker that must not issue unlogged should be told otherwise.
func TestBroker_without_log(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dest := new(blocking)
		sink, err := logsink.New(logsink.Options{Dest: dest})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, slog.New(slog.NewJSONHandler(sink, nil)))
		gate := make(chan struct{})
		drill.Test(t, drill.Experiment{
			Service: "assertrole-broker", Dependency: "audit-log", Rules: "the destination blocks",
			Fault: drill.Switch(
				func(context.Context) error { dest.gate.Store(&gate); return nil },
				func(context.Context) error { dest.gate.Store(nil); close(gate); return nil },
				dest.hits.Load,
			),
			Watch: 7 * time.Hour, Rate: 2, Sparse: 1.0 / 60,
			Target: drill.Func(func(ctx context.Context, _ int64) error { _, err := w.door(ctx); return err }),
		})
		if err := sink.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if s := sink.Stats(); s.Attempted != s.Delivered+s.Dropped.Total() || s.Attempted == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What depends hard must not become soft by accident: without STS nothing is
// issued, whatever was issued before.
func TestBroker_fails_closed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.aws.SetFault(func(r *ststest.Request) *ststest.Fault {
			return &ststest.Fault{Code: "ServiceUnavailable", Status: 503}
		})
		report, err := drill.Run(t.Context(), drill.Experiment{
			Service: "assertrole-broker", Dependency: "sts",
			Target: drill.Func(func(ctx context.Context, _ int64) error {
				if _, err := w.door(ctx); err == nil {
					return errors.New("issued without STS")
				} else if !errors.Is(err, broker.ErrUnavailable) {
					return fmt.Errorf("another error than that STS is away: %w", err)
				}
				return nil
			}),
			Fault: drill.Switch(func(context.Context) error { return nil }, func(context.Context) error { return nil }, func() int64 { return w.aws.Stats().Total() }),
			Watch: time.Minute,
		})
		if err != nil || report.Verdict != drill.Held {
			t.Errorf("%v, %+v", err, report)
		}
	})
}

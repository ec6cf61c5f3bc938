package faultaws_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultaws"
)

// An outcome is all that a caller can see of a failed call.
type outcome struct {
	chain    []string // types down the Unwrap tree
	text     string
	attempts int
	deadline bool // errors.Is(err, context.DeadlineExceeded)
}

func (o outcome) String() string {
	return fmt.Sprintf("%d attempts, Is(DeadlineExceeded) %t\n  %s\n  %s", o.attempts, o.deadline, strings.Join(o.chain, " > "), o.text)
}

// chain lists types; the branches of a joined error stand in brackets.
func chain(err error) []string {
	var out []string
	for err != nil {
		out = append(out, fmt.Sprintf("%T", err))
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				out = append(append(append(out, "["), chain(e)...), "]")
			}
			return out
		}
		err = errors.Unwrap(err)
	}
	return out
}

// What differs from run to run: identifiers and ports.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`RequestID: [A-Z0-9]+`), "RequestID: ID"},
	{regexp.MustCompile(`(127\.0\.0\.1|169\.254\.169\.254)(:\d+)?`), "HOST"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(` on \S+:\d+: no such host`), ": no such host"}, // the resolver's address
}

func normalized(text string) string {
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	return text
}

// observe calls GetItem with the SDK's defaults, but back-off without waiting,
// and counts attempts above the place of the fault.
func observe(ctx context.Context, cfg aws.Config) outcome {
	var attempts atomic.Int64
	client := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(withoutBackoff)
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Finalize.Insert(middleware.FinalizeMiddlewareFunc("CountAttempts", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				attempts.Add(1)
				return next.HandleFinalize(ctx, in)
			}), "Retry", middleware.After)
		})
	})
	_, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("sessions"),
		Key:       map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}},
	})
	o := outcome{attempts: int(attempts.Load()), deadline: errors.Is(err, context.DeadlineExceeded)}
	if err != nil {
		o.chain, o.text = chain(err), normalized(err.Error())
	}
	return o
}

func withoutBackoff(o *retry.StandardOptions) {
	o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
}

func awsConfig(endpoint string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	}
}

// TestChains compares what a client sees of an injected fault with what it
// sees of the same fault over loopback sockets: types, text and attempts. want
// is a part of the chain as documented, so that both being wrong in the same
// way would show.
func TestChains(t *testing.T) {
	api := func(code string, status int, message string) row {
		return row{
			rule: fault.Rule{Service: "dynamodb", Error: &fault.APIError{StatusCode: status, Code: code, Message: message}},
			wire: func(t *testing.T) string {
				return serve(t, dynamotest.Options{Fault: func(*dynamotest.Request) *dynamotest.Fault {
					return &dynamotest.Fault{Code: code, Status: status, Message: message}
				}})
			},
		}
	}
	kind := func(k dynamotest.Kind, rule fault.Rule) row {
		return row{rule: rule, wire: func(t *testing.T) string {
			return serve(t, dynamotest.Options{Fault: func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: k} }})
		}}
	}
	network := func(n dynamotest.Kind, rule fault.Rule) row {
		return row{rule: rule, wire: func(t *testing.T) string { return withNetwork(t, n) }}
	}
	const responseError, maxAttempts = "*http.ResponseError", "*retry.MaxAttemptsError"
	for name, r := range map[string]row{
		"AccessDenied":         api("AccessDeniedException", 400, "m").want(1, responseError, "*smithy.GenericAPIError"),
		"ExpiredToken":         api("ExpiredTokenException", 400, "m").want(1, responseError, "*smithy.GenericAPIError"),
		"UnrecognizedClient":   api("UnrecognizedClientException", 400, "m").want(1, responseError, "*smithy.GenericAPIError"),
		"InvalidSignature":     api("InvalidSignatureException", 400, "m").want(1, responseError, "*smithy.GenericAPIError"),
		"Validation":           api("ValidationException", 400, "m").want(1, responseError, "*smithy.GenericAPIError"),
		"table gone":           api("ResourceNotFoundException", 400, "m").want(1, responseError, "*types.ResourceNotFoundException"),
		"throttled":            api("ProvisionedThroughputExceededException", 400, "m").want(3, maxAttempts, responseError, "*types.ProvisionedThroughputExceededException"),
		"Throttling":           api("ThrottlingException", 400, "m").want(3, maxAttempts, responseError, "*types.ThrottlingException"),
		"RequestLimitExceeded": api("RequestLimitExceeded", 400, "m").want(3, maxAttempts, responseError, "*types.RequestLimitExceeded"),
		"500":                  api("InternalServerError", 500, "m").want(3, maxAttempts, responseError, "*types.InternalServerError"),
		"503":                  api("ServiceUnavailableException", 503, "m").want(3, maxAttempts, responseError, "*smithy.GenericAPIError"),

		"reset":                kind(dynamotest.Reset, fault.Network("dynamodb", fault.Reset)).want(3, maxAttempts, responseError, "*http.RequestSendError", "*url.Error", "*net.OpError", "*os.SyscallError", "syscall.Errno"),
		"refused":              network(dynamotest.Refuse, fault.Network("dynamodb", fault.Refuse)).want(3, maxAttempts, responseError, "*http.RequestSendError", "*url.Error", "*net.OpError", "*os.SyscallError", "syscall.Errno"),
		"black hole, deadline": kind(dynamotest.Hang, fault.Network("dynamodb", fault.BlackHole)).within(30*time.Millisecond).want(1, responseError, "*smithy.CanceledError", "context.deadlineExceededError"),
		"late, deadline":       kind(dynamotest.Hang, fault.Slow("dynamodb", time.Hour, 0)).within(30*time.Millisecond).want(1, responseError, "*smithy.CanceledError", "context.deadlineExceededError"),
		"slower than the client": kind(dynamotest.Hang, fault.Rule{Net: fault.Timeout, Latency: &fault.Latency{Base: 20 * time.Millisecond}}).
			// A plain client: in BuildableClient's, with a Transport that net/http
			// does not know, two timers race for the type and the text.
			httpClient(&http.Client{Timeout: 20 * time.Millisecond}).want(3, maxAttempts, responseError, "*http.RequestSendError", "*url.Error", "*http.timeoutError"),
		"dial time-out": network(dynamotest.BlackHole, fault.Rule{Net: fault.DialTimeout, Latency: &fault.Latency{Base: 20 * time.Millisecond}}).
			httpClient(awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = 20 * time.Millisecond })).
			want(3, maxAttempts, responseError, "*http.RequestSendError", "*url.Error", "*net.OpError", "*net.timeoutError").
			// The poller's own deadline, of another type, may come first.
			or("*net.timeoutError", "*poll.DeadlineExceededError", "Is(DeadlineExceeded) true", "Is(DeadlineExceeded) false"),
		"truncated":       kind(dynamotest.Truncate, fault.Network("dynamodb", fault.Truncate)).want(1, responseError, "*smithy.DeserializationError"),
		"eof":             kind(dynamotest.EOF, fault.Network("dynamodb", fault.EOF)).want(3, maxAttempts, responseError, "*http.RequestSendError", "*url.Error", "*errors.errorString"),
		"503 with a page": kind(dynamotest.ErrorPage, fault.Network("dynamodb", fault.ErrorPage)).want(3, maxAttempts, responseError, "*smithy.DeserializationError"),
		"certificate expired": row{
			rule:     fault.Network("dynamodb", fault.TLS),
			wire:     expired,
			injected: func(*testing.T) string { return "https://127.0.0.1:1" },
		}.want(3, maxAttempts, responseError, "*http.RequestSendError", "*url.Error", "*tls.CertificateVerificationError", "x509.CertificateInvalidError"),
		"HTML":    kind(dynamotest.HTML, fault.Network("dynamodb", fault.HTML)).want(1, responseError, "*smithy.DeserializationError"),
		"empty":   kind(dynamotest.Empty, fault.Network("dynamodb", fault.Empty)).want(1),
		"corrupt": kind(dynamotest.Checksum, fault.Network("dynamodb", fault.Corrupt)).want(1),
		"no such host": row{
			rule:     fault.Network("dynamodb", fault.NXDomain),
			wire:     func(*testing.T) string { return "http://vanished.invalid" },
			injected: func(*testing.T) string { return "http://vanished.invalid" },
		}.httpClient(resolvingNothing(t)).want(1, responseError, "*http.RequestSendError", "*url.Error", "*net.OpError", "*net.DNSError"),
	} {
		t.Run(name, func(t *testing.T) { r.run(t) })
	}
}

// A row is one fault, injected and over the wire.
type row struct {
	rule     fault.Rule
	wire     func(*testing.T) string // the endpoint that has the fault
	injected func(*testing.T) string // a healthy one; nil: dynamotest
	client   aws.HTTPClient
	deadline time.Duration
	attempts int
	chain    []string
	other    *strings.Replacer // what the wire's other outcome differs in, if it has two
}

func (r row) want(attempts int, types ...string) row {
	r.attempts, r.chain = attempts, types
	return r
}

func (r row) within(d time.Duration) row      { r.deadline = d; return r }
func (r row) or(oldnew ...string) row         { r.other = strings.NewReplacer(oldnew...); return r }
func (r row) httpClient(c aws.HTTPClient) row { r.client = c; return r }
func (r row) context(t *testing.T) context.Context {
	if r.deadline == 0 {
		return t.Context()
	}
	ctx, cancel := context.WithTimeout(t.Context(), r.deadline)
	t.Cleanup(cancel)
	return ctx
}

func (r row) run(t *testing.T) {
	wireConfig := awsConfig(r.wire(t))
	wireConfig.HTTPClient = r.client

	inj := fault.New(fault.Options{})
	if err := inj.Set(r.rule); err != nil {
		t.Fatal(err)
	}
	if r.injected == nil {
		r.injected = func(t *testing.T) string { return serve(t, dynamotest.Options{}) }
	}
	cfg := awsConfig(r.injected(t))
	cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(inj))
	injected := observe(r.context(t), cfg)

	wire := observe(r.context(t), wireConfig)
	same := fmt.Sprint(wire) == fmt.Sprint(injected)
	if !same && r.other != nil {
		same = fmt.Sprint(wire) == r.other.Replace(fmt.Sprint(injected))
	}
	if !same {
		t.Errorf("over the wire: %v\ninjected: %v", wire, injected)
	}
	if injected.attempts != r.attempts {
		t.Errorf("%d attempts; documented are %d", injected.attempts, r.attempts)
	}
	if !containsInOrder(injected.chain, r.chain) || (len(r.chain) == 0) != (len(injected.chain) == 0) {
		t.Errorf("chain %v; documented is %v", injected.chain, r.chain)
	}
	if hits := inj.Stats().Rules[0].Hits; hits != int64(r.attempts) {
		t.Errorf("the rule counted %d hits in %d attempts", hits, r.attempts)
	}
}

func containsInOrder(have, want []string) bool {
	for _, w := range want {
		i := slices.Index(have, w)
		if i < 0 {
			return false
		}
		have = have[i+1:]
	}
	return true
}

// serve starts an endpoint with the table and one item in it.
func serve(t *testing.T, opts dynamotest.Options) string {
	t.Helper()
	hook := opts.Fault
	opts.Fault = nil
	s := dynamotest.New(opts)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	fill(t, s)
	s.SetFault(hook)
	return s.URL()
}

func withNetwork(t *testing.T, n dynamotest.Kind) string {
	t.Helper()
	s := dynamotest.New(dynamotest.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.SetNetwork(n); err != nil {
		t.Skip(err)
	}
	return s.URL()
}

func fill(t *testing.T, s *dynamotest.Server) {
	t.Helper()
	cfg := awsConfig(dynamotest.MemoryURL)
	cfg.HTTPClient = s.HTTPClient()
	client := dynamodb.NewFromConfig(cfg)
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            aws.String("sessions"),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("sessions"), Item: map[string]types.AttributeValue{
		"key": &types.AttributeValueMemberS{Value: "k"},
		"v":   &types.AttributeValueMemberB{Value: []byte(strings.Repeat("value", 20))},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// expired is a server whose certificate has run out.
func expired(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// resolvingNothing is an HTTP client whose DNS server, on loopback, knows no
// name.
func resolvingNothing(t *testing.T) aws.HTTPClient {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			const response, nxdomain = 0x80, 3
			buf[2] |= response
			buf[3] = buf[3]&^0x0f | nxdomain
			if _, err := server.WriteTo(buf[:n], from); err != nil {
				return
			}
		}
	}()
	return awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) {
		d.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
		}}
	})
}

// TestCredentials_chains does the same for credentials: a real provider on a
// metadata service that is not there, or hangs. The injected ones run in
// virtual time.
func TestCredentials_chains(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, c := range map[string]struct {
		endpoint string
		kind     fault.Kind
		deadline time.Duration
		takes    [2]time.Duration // at least and at most, when injected
	}{
		"refused":             {"127.0.0.1:1", fault.Refuse, 0, [2]time.Duration{0, 20 * time.Second}},
		"hung":                {silent.Addr().String(), fault.BlackHole, 0, [2]time.Duration{4 * time.Second, 6 * time.Second}},
		"hung, with deadline": {silent.Addr().String(), fault.BlackHole, 30 * time.Millisecond, [2]time.Duration{30 * time.Millisecond, 31 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the SDK takes its 5 s over a metadata service that hangs
			r := row{deadline: c.deadline}
			cfg := awsConfig("http://127.0.0.1:1")
			cfg.Credentials = aws.NewCredentialsCache(ec2rolecreds.New(func(o *ec2rolecreds.Options) {
				o.Client = imds.New(imds.Options{
					Endpoint: "http://" + c.endpoint, ClientEnableState: imds.ClientEnabled,
					Retryer: retry.NewStandard(withoutBackoff),
				})
			}))
			wire := observe(r.context(t), cfg)
			synctest.Test(t, func(t *testing.T) {
				inj := fault.New(fault.Options{})
				if err := inj.Set(fault.Network(faultaws.CredentialsService, c.kind)); err != nil {
					t.Fatal(err)
				}
				cfg := awsConfig("http://127.0.0.1:1")
				cfg.Credentials = faultaws.Credentials(inj, cfg.Credentials)
				began := time.Now()
				injected := observe(r.context(t), cfg)
				// The 5 s may end inside an attempt or between two.
				either := strings.NewReplacer("*aws.RequestCanceledError", "*smithy.CanceledError", "request canceled,", "canceled,")
				if either.Replace(fmt.Sprint(wire)) != either.Replace(fmt.Sprint(injected)) {
					t.Errorf("over the wire: %v\ninjected: %v", wire, injected)
				}
				took := time.Since(began)
				<-time.After(10 * time.Second) // virtual: the SDK's refresh outlives the call
				if took < c.takes[0] || took > c.takes[1] {
					t.Errorf("it took %v; want %v to %v", took, c.takes[0], c.takes[1])
				}
			})
		})
	}
}

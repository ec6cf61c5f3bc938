package dynamo_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

const budget = 50 * time.Millisecond

// tcpStore is a store on a started server, over real sockets.
func tcpStore(t *testing.T, s *dynamotest.Server) *dynamo.Store {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	cfg := config(s, dynamotest.AccessKey, dynamotest.SecretKey)
	cfg.HTTPClient = nil
	cfg.BaseEndpoint = aws.String(s.URL())
	client := dynamo.NewClient(cfg)
	if err := dynamo.CreateTable(t.Context(), client, dynamo.Options{Table: "sessions"}); err != nil {
		t.Fatal(err)
	}
	store, err := dynamo.NewStore(client, dynamo.Options{Table: "sessions"})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// faults are what can go wrong with an endpoint, by name.
func faults() map[string]func(*dynamotest.Server) error {
	fault := func(f dynamotest.Fault) func(*dynamotest.Server) error {
		return func(s *dynamotest.Server) error {
			s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &f })
			return nil
		}
	}
	network := func(n dynamotest.Kind) func(*dynamotest.Server) error {
		return func(s *dynamotest.Server) error { return s.SetNetwork(n) }
	}
	return map[string]func(*dynamotest.Server) error{
		"black hole":     network(dynamotest.BlackHole),
		"silent":         network(dynamotest.Hang),
		"refused":        network(dynamotest.Refuse),
		"broken":         network(dynamotest.Reset),
		"hang":           fault(dynamotest.Fault{Kind: dynamotest.Hang}),
		"reset":          fault(dynamotest.Fault{Kind: dynamotest.Reset}),
		"close":          fault(dynamotest.Fault{Kind: dynamotest.EOF}),
		"truncate":       fault(dynamotest.Fault{Kind: dynamotest.Truncate}),
		"drip":           fault(dynamotest.Fault{Kind: dynamotest.Drip}),
		"page":           fault(dynamotest.Fault{Kind: dynamotest.HTML}),
		"throttled":      fault(dynamotest.Fault{Code: "ThrottlingException"}),
		"internal error": fault(dynamotest.Fault{Code: "InternalServerError", Status: 500}),
	}
}

// With the SDK's defaults the same faults take 93 s, for ever, or 3 to 5
// seconds. In virtual time the budget is exact.
func TestStore_fails_within_the_budget(t *testing.T) {
	for name, breakIt := range faults() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := dynamotest.New(dynamotest.Options{})
				checkFault(t, server, newStore(t, server, dynamo.Options{}), breakIt, budget)
			})
		})
	}
}

// Over real sockets a busy machine may add to the budget; a call that does not
// end with it takes far longer.
func TestStore_fails_over_sockets(t *testing.T) {
	for name, breakIt := range faults() {
		t.Run(name, func(t *testing.T) {
			server := dynamotest.New(dynamotest.Options{})
			checkFault(t, server, tcpStore(t, server), breakIt, 20*time.Second)
		})
	}
}

// checkFault breaks the endpoint, calls the store within the budget, and mends
// the endpoint again.
func checkFault(t *testing.T, server *dynamotest.Server, store *dynamo.Store, breakIt func(*dynamotest.Server) error, limit time.Duration) {
	t.Helper()
	if err := store.Set(t.Context(), "k", cache.Item{Value: make([]byte, 100), Version: 1}); err != nil {
		t.Fatal(err)
	}
	if err := breakIt(server); err != nil {
		t.Skip(err)
	}
	for op, call := range map[string]func(context.Context) error{
		"Get":     func(ctx context.Context) error { return second(store.Get(ctx, "k")) },
		"GetMany": func(ctx context.Context) error { return second(store.GetMany(ctx, []string{"k"})) },
		"Set":     func(ctx context.Context) error { return store.Set(ctx, "k", cache.Item{Version: 2}) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), budget)
		began := time.Now()
		err := call(ctx)
		took := time.Since(began)
		cancel()
		if err == nil || errors.Is(err, cache.ErrNotFound) || errors.Is(err, cache.ErrPermanent) {
			t.Errorf("%s: %v; want a transient fault", op, err)
		}
		if took > limit {
			t.Errorf("%s took %v", op, took)
		}
	}
	server.SetFault(nil)
	if err := server.SetNetwork(dynamotest.Intact); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := store.Get(ctx, "k"); err != nil {
		t.Errorf("after the fault: %v", err)
	}
}

// The SDK looks for credentials inside the attempt. A provider that hangs must
// not outlast the caller's deadline.
func TestStore_is_not_held_by_credentials(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	cfg := config(server, "", "")
	release := make(chan struct{})
	defer close(release)
	cfg.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		<-release // not even the context stops it
		return aws.Credentials{}, errors.New("no metadata service")
	}))
	store, err := dynamo.NewStore(dynamo.NewClient(cfg), dynamo.Options{Table: "sessions"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	began := time.Now()
	if _, err = store.Get(ctx, "k"); err == nil || errors.Is(err, cache.ErrPermanent) {
		t.Errorf("Get: %v; want a transient fault", err)
	}
	if took := time.Since(began); took > 20*time.Second { // a busy machine adds to the budget
		t.Errorf("Get took %v", took)
	}
}

// Reads make one attempt and writes two, whatever the application's
// configuration says.
func TestStore_attempts(t *testing.T) {
	synctest.Test(t, testAttempts)
}

func testAttempts(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{Fault: func(*dynamotest.Request) *dynamotest.Fault {
		return &dynamotest.Fault{Code: "InternalServerError", Status: 500}
	}})
	cfg := config(server, dynamotest.AccessKey, dynamotest.SecretKey)
	cfg.RetryMaxAttempts = 9
	cfg.RetryMode = aws.RetryModeAdaptive
	store, err := dynamo.NewStore(dynamo.NewClient(cfg), dynamo.Options{Table: "sessions"})
	if err != nil {
		t.Fatal(err)
	}
	for range 150 { // more than the SDK's token bucket would pay for
		_, get := store.Get(t.Context(), "k")
		_, many := store.GetMany(t.Context(), []string{"k"})
		set := store.Set(t.Context(), "k", cache.Item{})
		for _, err := range []error{get, many, set} {
			if err == nil || strings.Contains(err.Error(), "quota") {
				t.Fatalf("%v; want the server's error", err)
			}
		}
	}
	got := server.Stats().Requests
	if got["GetItem"] != 150 || got["BatchGetItem"] != 150 || got["PutItem"] != 300 {
		t.Errorf("requests: %v; want 150, 150 and 300", got)
	}
}

// What the store does not pass with each call, the client has.
func TestNewClient_attempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := dynamotest.New(dynamotest.Options{Fault: func(*dynamotest.Request) *dynamotest.Fault {
			return &dynamotest.Fault{Code: "InternalServerError", Status: 500}
		}})
		cfg := config(server, dynamotest.AccessKey, dynamotest.SecretKey)
		cfg.RetryMaxAttempts = 9
		began := time.Now()
		_, err := dynamo.NewClient(cfg).ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if n := server.Stats().Total(); err == nil || n != 2 || time.Since(began) > 10*time.Millisecond {
			t.Errorf("%d attempts in %v: %v; want 2 within 10 ms", n, time.Since(began), err)
		}
	})
}

// 500 puts over loopback lose no connection to the body's early close.
func TestNewClient_keeps_connections(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := tcpStore(t, server)
	before := server.Stats().Connections
	for i := range 500 {
		if err := store.Set(t.Context(), "k", cache.Item{Value: make([]byte, 20<<10), Version: int64(i)}); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	if n := server.Stats().Connections - before; n > 1 {
		t.Errorf("%d new connections for puts in a row", n)
	}
}

// A custom HTTP client is used, with its own settings.
func TestNewClient_keeps_a_custom_HTTPClient(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	cfg := config(server, dynamotest.AccessKey, dynamotest.SecretKey)
	calls := 0
	inner := server.HTTPClient()
	cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) { calls++; return inner.Do(r) })
	if err := dynamo.CreateTable(t.Context(), dynamo.NewClient(cfg), dynamo.Options{Table: "sessions"}); err != nil || calls == 0 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// A server that stops in the middle of its answer is given up, with a context
// that has no deadline.
func TestNewClient_gives_up_a_stalled_body(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := func(_ context.Context, _, _ string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = theirs.Read(make([]byte, 64<<10))
				_, _ = io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 100\r\n\r\n{")
				_, _ = io.Copy(io.Discard, theirs) // until the client closes it
			}()
			return ours, nil
		}
		cfg := config(dynamotest.New(dynamotest.Options{}), dynamotest.AccessKey, dynamotest.SecretKey)
		cfg.BaseEndpoint = aws.String("http://dynamodb.invalid")
		cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.DialContext = stall })
		store, err := dynamo.NewStore(dynamo.NewClient(cfg), dynamo.Options{Table: "sessions"})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = store.Get(context.Background(), "k")
		if took := time.Since(began); err == nil || took > 6*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

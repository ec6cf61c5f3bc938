// Package stack puts the whole example together in one process, on loopback:
// a system of record and a token service, both twice, and one DynamoDB
// endpoint that the two services share and that can be broken.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/examples/tokenservice/auth"
	"github.com/failopen/failopen/examples/tokenservice/record"
)

// The account is the one that dynamotest has; host is a name that no real
// resolver knows, so that nothing of this leaves the machine.
const (
	region  = "us-east-1"
	account = "123456789012" // dynamotest's
	host    = "dynamodb.us-east-1.example.test"
	// localSessions is deliberately small, so that all tiers have work.
	localSessions = 256
)

// Service is one token service with a system of record of its own, so that
// what one service does (a log-out) is not seen by the other.
type Service struct {
	Name   string
	URL    string
	Record *record.Server
	Auth   auth.Authenticator

	http   *httptest.Server
	client *http.Client // to the record
	driver *logDriver
	ops    operations
}

// HeldLines counts the log lines that found the log driver blocked.
func (svc *Service) HeldLines() int64 { return svc.driver.held.Load() }

// Stack is everything.
//
// It is started by Start and closed by Close, and is used by tests and programs
// alike: examples/gameday drives it, main.go lets a person do it.
type Stack struct {
	Dynamo   *dynamotest.Server
	FailOpen *Service
	Naive    *Service
	dns      *nameServer
}

// Options of a Stack.
type Options struct {
	Seed uint64
	Log  *slog.Logger // of the services; default: none
}

// Start starts everything. The caller closes it.
//
// What has been started when something fails is closed again.
func Start(ctx context.Context, o Options) (_ *Stack, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := &Stack{Dynamo: dynamotest.New(dynamotest.Options{})}
	defer func() {
		if err != nil {
			s.Close(ctx)
		}
	}()
	if s.dns, err = startNameServer(); err != nil {
		return nil, err
	}
	if err := s.Dynamo.Start(); err != nil {
		return nil, err
	}
	if err := s.startFailOpen(ctx, o); err != nil {
		return nil, fmt.Errorf("start failopen service: %w", err)
	}
	if err := s.startNaive(ctx, o); err != nil {
		return nil, fmt.Errorf("start naive service: %w", err)
	}
	return s, nil
}

// startFailOpen wires the service to copy: a store, a cache over it (auth), a
// sink and a health process (operations). It is all that a service of yours
// needs.
func (s *Stack) startFailOpen(ctx context.Context, o Options) error {
	const table = "sessions"
	cfg, err := s.config(ctx, "failopen", table)
	if err != nil {
		return err
	}
	store, err := dynamo.NewStore(dynamo.NewClient(cfg), dynamo.Options{Table: table})
	if err != nil {
		return err
	}
	svc := newService("failopen", o.Seed)
	s.FailOpen = svc
	secret := []byte("an example's secret, not one to keep")
	authenticator, err := auth.NewFailOpen(svc.recordClient(), store, secret, localSessions, o.Log)
	if err != nil {
		return err
	}
	svc.Auth = authenticator
	if svc.ops, err = newFailOpenOperations(svc.driver, table, store); err != nil {
		return err
	}
	svc.serve()
	return nil
}

// startNaive wires its twin, with the SDK's client as it comes.
func (s *Stack) startNaive(ctx context.Context, o Options) error {
	const table = "sessions-naive"
	cfg, err := s.config(ctx, "naive", table)
	if err != nil {
		return err
	}
	svc := newService("naive", o.Seed)
	s.Naive = svc
	client := dynamodb.NewFromConfig(cfg)
	svc.Auth = auth.NewNaive(svc.recordClient(), client, table, localSessions, o.Log)
	if svc.ops, err = newNaiveOperations(ctx, svc.driver, table, client); err != nil {
		return err
	}
	svc.serve()
	return nil
}

// config makes a table, a user who may use it, and the configuration of that
// user's AWS clients: the SDK's defaults, but for the address and the name
// server.
//
// Each service has a user with the smallest policy that works (dynamo.Policy),
// so that revoking it is a thing that can happen, and a table of its own, so
// that the two cannot help each other.
func (s *Stack) config(ctx context.Context, user, table string) (aws.Config, error) {
	policy, err := dynamo.Policy(dynamo.PolicyScope{Region: region, Account: account, Table: table})
	if err != nil {
		return aws.Config{}, err
	}
	setup := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"arn:aws:dynamodb:%s:%s:table/%s",
		"Action":["dynamodb:CreateTable","dynamodb:DescribeTable","dynamodb:UpdateTimeToLive","dynamodb:DescribeTimeToLive","dynamodb:DeleteItem"]}}`,
		region, account, table)
	secret := user + "-secret"
	if err := s.Dynamo.AddUser(user, secret, policy, setup); err != nil {
		return aws.Config{}, err
	}
	address, err := url.Parse(s.Dynamo.URL())
	if err != nil {
		return aws.Config{}, err
	}
	cfg := aws.Config{
		Region:       region,
		BaseEndpoint: aws.String("http://" + net.JoinHostPort(host, address.Port())),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: user, SecretAccessKey: secret}, nil
		}),
		HTTPClient: awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) {
			d.Resolver = s.dns.resolver()
		}),
	}
	err = dynamo.CreateTable(ctx, dynamo.NewClient(cfg), dynamo.Options{Table: table})
	return cfg, err
}

// newService is a service with a record and a log driver, and no server yet.
// Its client keeps many idle connections, or the load of a game day would dial
// for each request.
func newService(name string, seed uint64) *Service {
	return &Service{
		Name:   name,
		Record: record.Start(record.Options{Seed: seed}),
		driver: newLogDriver(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
}

// recordClient asks this service's own record.
func (svc *Service) recordClient() *record.Client {
	return &record.Client{URL: svc.Record.URL(), HTTP: svc.client}
}

// serve begins to listen; everything behind it is ready by now.
func (svc *Service) serve() {
	svc.http = httptest.NewServer(svc.ops.handler(auth.Service(svc.Auth)))
	svc.URL = svc.http.URL
}

// close is the order of a shutdown: the driver is let go first, since a log
// line that is held holds its request; then the server, what runs beside it,
// the cache, and the record last, which the others may still ask.
func (svc *Service) close(ctx context.Context) error {
	if svc == nil {
		return nil
	}
	var err error
	svc.driver.set(false)
	if svc.http != nil {
		svc.http.CloseClientConnections()
		svc.http.Close()
	}
	if svc.ops != nil {
		err = svc.ops.close(ctx)
	}
	if svc.Auth != nil {
		err = errors.Join(err, svc.Auth.Close(ctx))
	}
	svc.client.CloseIdleConnections()
	svc.Record.Close()
	return err
}

// Close stops everything, in the order in which it was started, backwards.
func (s *Stack) Close(ctx context.Context) error {
	err := errors.Join(s.Naive.close(ctx), s.FailOpen.close(ctx))
	s.Dynamo.Close()
	if s.dns != nil {
		s.dns.close()
	}
	return err
}

// A proof is about an edge of the manifest, so the names have to be the same.
//
// Names of what is cut, as in the manifest depgraph.yaml of the example.
const (
	Sessions  = "sessions-table"
	LogDriver = "log-driver"
)

// Fault is a way in which a dependency fails.
type Fault struct {
	Name       string
	Dependency string // Sessions or LogDriver
	About      string
	NoRest     bool // the next one begins at once: outages do not wait for each other
	Begin      func() error
}

// Faults are all that this stack knows.
//
// To add one, add a row: the commands of main.go, the phases of
// examples/gameday and the test of the service take it from here.
func (s *Stack) Faults() []Fault {
	do := func(f func()) func() error { return func() error { f(); return nil } }
	return []Fault{
		{"iam-revoked", Sessions, "the services lose their permission to use the tables", false, do(func() { s.Dynamo.Revoke() })},
		{"black-hole", Sessions, "packets to DynamoDB vanish, as behind a failed VPC endpoint", false, func() error { return s.Dynamo.SetNetwork(dynamotest.BlackHole) }},
		{"throttled", Sessions, "every request exceeds the table's capacity", true, do(func() { s.Dynamo.SetCapacity(0, 0) })},
		{"corrupt-items", Sessions, "items come back as garbage, in valid answers", true, do(func() { s.Dynamo.SetCorrupt(true) })},
		{"dns-gone", Sessions, "DynamoDB's name no longer resolves, and open connections end", false, func() error {
			s.dns.empty.Store(true)
			// End the live connections, as their age or a deployment would.
			if err := s.Dynamo.SetNetwork(dynamotest.Refuse); err != nil {
				return err
			}
			return s.Dynamo.SetNetwork(dynamotest.Intact)
		}},
		{"logs-blocked", LogDriver, "the log driver stops reading, as Docker's did on 25 November 2020", false, do(func() {
			s.FailOpen.driver.set(true)
			s.Naive.driver.set(true)
		})},
	}
}

// Restore repairs everything.
//
// Each fault is taken back whether or not it is in force.
func (s *Stack) Restore() error {
	s.Dynamo.Restore()
	s.Dynamo.SetCapacity(-1, -1)
	s.Dynamo.SetCorrupt(false)
	s.dns.empty.Store(false)
	s.FailOpen.driver.set(false)
	s.Naive.driver.set(false)
	return s.Dynamo.SetNetwork(dynamotest.Intact)
}

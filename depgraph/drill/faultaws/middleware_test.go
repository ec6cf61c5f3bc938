package faultaws_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultaws"
	"github.com/failopen/failopen/depgraph/internal/rounds"
)

// faulted is a client in memory, on an endpoint with the table "sessions".
func faulted(t *testing.T, inj *fault.Injector) (*dynamodb.Client, *dynamotest.Server) {
	t.Helper()
	s := dynamotest.New(dynamotest.Options{})
	fill(t, s)
	cfg := awsConfig(dynamotest.MemoryURL)
	cfg.HTTPClient = s.HTTPClient()
	cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(inj))
	return dynamodb.NewFromConfig(cfg), s
}

func getItem(ctx context.Context, c *dynamodb.Client) (*dynamodb.GetItemOutput, error) {
	return c.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("sessions"),
		Key:       map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}},
	})
}

func TestMiddleware_chooses_calls(t *testing.T) {
	inj := fault.New(fault.Options{})
	client, server := faulted(t, inj)
	get := func() error { _, err := getItem(t.Context(), client); return err }
	batch := func() error {
		_, err := client.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			"sessions": {Keys: []map[string]types.AttributeValue{{"key": &types.AttributeValueMemberS{Value: "k"}}}},
		}})
		return err
	}
	list := func() error { _, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{}); return err }
	for _, c := range []struct {
		rule             fault.Rule
		get, batch, list bool // is it hit?
	}{
		{fault.Denied("dynamodb"), true, true, true},
		{fault.Denied("sts"), false, false, false},
		{fault.Rule{Region: "us-east-1", Error: &fault.APIError{Code: "X"}}, true, true, true},
		{fault.Rule{Region: "us-east-2", Error: &fault.APIError{Code: "X"}}, false, false, false},
		{fault.Rule{Operation: "*GetItem", Error: &fault.APIError{Code: "X"}}, true, true, false},
		{fault.Rule{Operation: "GetItem", Error: &fault.APIError{Code: "X"}}, true, false, false},
		{fault.Rule{Table: "sessions", Error: &fault.APIError{Code: "X"}}, true, true, false},
		{fault.Rule{Table: "other", Error: &fault.APIError{Code: "X"}}, false, false, false},
	} {
		if err := inj.Set(c.rule); err != nil {
			t.Fatal(err)
		}
		before := server.Stats().Total()
		passed := int64(0)
		for i, call := range []func() error{get, batch, list} {
			want := []bool{c.get, c.batch, c.list}[i]
			if !want {
				passed++
			}
			if err := call(); (err != nil) != want {
				t.Errorf("%+v: call %d: %v; want a fault: %t", c.rule, i, err, want)
			}
		}
		if n := server.Stats().Total() - before; n != passed {
			t.Errorf("%+v: %d calls reached the service; want %d", c.rule, n, passed)
		}
	}
	inj.Clear()
	if err := errors.Join(get(), batch(), list()); err != nil {
		t.Errorf("after Clear: %v", err)
	}
}

func TestMiddleware_corrupts_items_only(t *testing.T) {
	inj := fault.New(fault.Options{})
	client, _ := faulted(t, inj)
	value := func() []byte {
		out, err := getItem(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		return out.Item["v"].(*types.AttributeValueMemberB).Value
	}
	good := value()
	if err := inj.Set(fault.Network("dynamodb", fault.Corrupt)); err != nil {
		t.Fatal(err)
	}
	if bad := value(); string(bad) == string(good) || len(bad) != len(good) {
		t.Errorf("%q is not a corrupt %q", bad, good)
	}
}

// An outage of 7 h 30 min, at one request a second, through the real client
// and its real retryer, in virtual time.
func TestMiddleware_survives_a_long_outage_in_virtual_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inj := fault.New(fault.Options{})
		client, _ := faulted(t, inj)
		const outage = 7*time.Hour + 30*time.Minute
		every := 1000 * time.Second / time.Duration(rounds.Of(1000)) // fewer calls, not a shorter outage
		if err := inj.Set(fault.Rule{Service: "dynamodb", Until: outage - time.Hour, Error: &fault.APIError{Code: "InternalServerError", StatusCode: 500}}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		calls, failed := 0, 0
		for time.Since(began) < outage {
			calls++
			if _, err := getItem(t.Context(), client); err != nil {
				failed++
			}
			<-time.After(every)
		}
		if want := int(time.Hour / every); calls-failed < want-10 || calls-failed > want+1 {
			t.Errorf("%d of %d calls failed; want an hour of success at the end", failed, calls)
		}
	})
}

func TestCredentials_pass_and_fail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inj := fault.New(fault.Options{})
		s := dynamotest.New(dynamotest.Options{})
		fill(t, s)
		cfg := awsConfig(dynamotest.MemoryURL)
		cfg.HTTPClient = s.HTTPClient()
		cfg.Credentials = faultaws.Credentials(inj, cfg.Credentials)
		client := dynamodb.NewFromConfig(cfg)
		if _, err := getItem(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		if err := inj.Set(fault.Slow(faultaws.CredentialsService, time.Minute, 0)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := getItem(t.Context(), client); err != nil || time.Since(began) != time.Minute {
			t.Errorf("slow credentials: %v after %v", err, time.Since(began))
		}
		for _, k := range []fault.Kind{fault.BlackHole, fault.Refuse, fault.NXDomain, fault.Empty, fault.Truncate, fault.HTML} {
			if err := inj.Set(fault.Network(faultaws.CredentialsService, k)); err != nil {
				t.Fatal(err)
			}
			_, err := getItem(t.Context(), client)
			api := smithy.APIError(nil)
			if err == nil || errors.As(err, &api) || !strings.Contains(err.Error(), "get credentials") {
				t.Errorf("%s: %v", k, err)
			}
			<-time.After(time.Minute)
		}
		inj.Clear()
		if _, err := getItem(t.Context(), client); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func BenchmarkMiddleware(b *testing.B) {
	for _, name := range []string{"without", "no-rules", "no-match"} {
		b.Run(name, func(b *testing.B) {
			s := dynamotest.New(dynamotest.Options{})
			cfg := awsConfig(dynamotest.MemoryURL)
			cfg.HTTPClient = s.HTTPClient()
			inj := fault.New(fault.Options{})
			if name != "without" {
				cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(inj))
			}
			if name == "no-match" {
				if err := inj.Set(fault.Denied("sts")); err != nil {
					b.Fatal(err)
				}
			}
			client := dynamodb.NewFromConfig(cfg)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = getItem(context.Background(), client) // no such table: the shortest answer
			}
		})
	}
}

// Revoke access to DynamoDB for a client, look at what it sees, and restore.
func Example() {
	inj := fault.New(fault.Options{})
	cfg := awsConfig(dynamotest.MemoryURL) // in a program: config.LoadDefaultConfig
	cfg.HTTPClient = dynamotest.New(dynamotest.Options{}).HTTPClient()
	cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(inj))
	client := dynamodb.NewFromConfig(cfg)

	if err := inj.Set(fault.Denied("dynamodb")); err != nil {
		fmt.Println(err)
		return
	}
	_, err := client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
	var api smithy.APIError
	fmt.Println(errors.As(err, &api) && api.ErrorCode() == "AccessDeniedException")

	inj.Clear()
	_, err = client.ListTables(context.Background(), &dynamodb.ListTablesInput{})
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

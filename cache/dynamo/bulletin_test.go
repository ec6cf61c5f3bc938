package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// The suite that every BulletinStore must pass: in memory, and on the endpoint
// that FAILOPEN_DYNAMODB_ENDPOINT names.
func TestBulletin_contract(t *testing.T) {
	client := dynamo.NewClient(config(dynamotest.New(dynamotest.Options{}), dynamotest.AccessKey, dynamotest.SecretKey))
	t.Run("memory", func(t *testing.T) { testBulletin(t, client) })
	t.Run("endpoint", func(t *testing.T) {
		url := os.Getenv("FAILOPEN_DYNAMODB_ENDPOINT")
		if url == "" {
			t.Skip("FAILOPEN_DYNAMODB_ENDPOINT names no other server")
		}
		cfg := config(dynamotest.New(dynamotest.Options{}), dynamotest.AccessKey, dynamotest.SecretKey)
		cfg.BaseEndpoint, cfg.HTTPClient = &url, nil
		testBulletin(t, dynamo.NewClient(cfg))
	})
}

func testBulletin(t *testing.T, client *dynamodb.Client) {
	opts := dynamo.Options{Table: fmt.Sprintf("failopen-bulletin-%08x", rand.Uint32())}
	if err := dynamo.CreateTable(t.Context(), client, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &opts.Table}); err != nil {
			t.Error(err)
		}
	})
	b, err := dynamo.NewBulletin(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	cachetest.TestBulletin(t, func(*testing.T) cache.BulletinStore { return b })
	if err := b.Append(t.Context(), strings.Repeat("x", 3000), [][]byte{[]byte("x")}, time.Now()); !errors.Is(err, cache.ErrRejected) {
		t.Errorf("a key that is too long: %v, want ErrRejected", err)
	}
	if _, err := b.Notes(t.Context(), []string{""}); !errors.Is(err, cache.ErrRejected) {
		t.Errorf("an empty key: %v, want ErrRejected", err)
	}
	if s := b.Stats(); s.WriteUnits == 0 || s.ReadUnits == 0 {
		t.Errorf("units: %+v", s)
	}
}

func TestNewBulletin_refuses(t *testing.T) {
	client := dynamo.NewClient(config(dynamotest.New(dynamotest.Options{}), dynamotest.AccessKey, dynamotest.SecretKey))
	for name, err := range map[string]error{
		"client": errorOf(dynamo.NewBulletin(nil, dynamo.Options{Table: "sessions"})),
		"Table":  errorOf(dynamo.NewBulletin(client, dynamo.Options{})),
		"notes":  errorOf(dynamo.NewBulletin(client, dynamo.Options{Table: "sessions", KeyAttribute: "e"})),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want an error about %s", err, name)
		}
	}
}

func errorOf(_ *dynamo.Bulletin, err error) error { return err }

// A success without a body is not DynamoDB's: to the SDK it is "no such item", or a
// write that happened. What was ended would not be, and nobody would know.
func TestStore_empty_answers(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	client := dynamo.NewClient(config(server, dynamotest.AccessKey, dynamotest.SecretKey))
	opts := dynamo.Options{Table: "sessions"}
	if err := dynamo.CreateTable(t.Context(), client, opts); err != nil {
		t.Fatal(err)
	}
	b, err := dynamo.NewBulletin(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"Get":     func() error { _, err := b.Get(t.Context(), "k"); return err },
		"GetMany": func() error { _, err := b.GetMany(t.Context(), []string{"k", "l"}); return err },
		"Set":     func() error { return b.Set(t.Context(), "k", cache.Item{Value: []byte("v"), Version: 1}) },
		"Append":  func() error { return b.Append(t.Context(), "k", [][]byte{[]byte("n")}, time.Now()) },
		"Notes":   func() error { _, err := b.Notes(t.Context(), []string{"k"}); return err },
	}
	server.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: dynamotest.Empty} })
	for name, call := range calls {
		if err := call(); err == nil || errors.Is(err, cache.ErrNotFound) || errors.Is(err, cache.ErrPermanent) || !strings.Contains(err.Error(), "no body") {
			t.Errorf("%s: %v; want a fault that says why", name, err)
		}
	}
	if s := b.Stats(); s.Faults != 5 {
		t.Errorf("%d faults, want 5", s.Faults)
	}
	server.SetFault(nil)
	for _, name := range []string{"Set", "Get", "GetMany", "Append", "Notes"} {
		if err := calls[name](); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

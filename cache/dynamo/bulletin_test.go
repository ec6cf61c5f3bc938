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
		"client": errorOf(dynamo.NewBulletin(nil, dynamo.Options{Table: "t"})),
		"Table":  errorOf(dynamo.NewBulletin(client, dynamo.Options{})),
		"notes":  errorOf(dynamo.NewBulletin(client, dynamo.Options{Table: "t", KeyAttribute: "e"})),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want an error about %s", err, name)
		}
	}
}

func errorOf(_ *dynamo.Bulletin, err error) error { return err }

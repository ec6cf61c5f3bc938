package dynamo_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// Check finds what is wrong, says which call it was, and writes nothing.
func TestStore_Check(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	client := dynamo.NewClient(config(server, dynamotest.AccessKey, dynamotest.SecretKey))
	opts := dynamo.Options{Table: "sessions"}
	b, err := dynamo.NewBulletin(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); !errors.Is(err, cache.ErrPermanent) || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("without a table: %v", err)
	}
	if err := dynamo.CreateTable(t.Context(), client, opts); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("a good table: %v", err)
	}
	if n := server.Len("sessions"); n != 0 {
		t.Errorf("%d items written", n)
	}
	for _, op := range []string{"GetItem", "PutItem", "UpdateItem"} {
		server.Revoke(dynamotest.Revocation{Action: "dynamodb:" + op})
		err := b.Check(t.Context())
		if !errors.Is(err, cache.ErrPermanent) || !strings.Contains(err.Error(), op) || strings.Count(err.Error(), "on table") != 1 {
			t.Errorf("%s revoked: %v", op, err)
		}
		if err := b.Store.Check(t.Context()); (err != nil) != (op != "UpdateItem") {
			t.Errorf("%s revoked, without a bulletin: %v", op, err)
		}
		server.Restore()
	}
	wrong, err := dynamo.NewStore(client, dynamo.Options{Table: "sessions", KeyAttribute: "id"})
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Check(t.Context()); !errors.Is(err, dynamo.ErrKeySchema) {
		t.Errorf("another key: %v", err)
	}
	server.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: dynamotest.Empty} })
	if err := b.Check(t.Context()); err == nil || strings.Count(err.Error(), "no body") != 3 {
		t.Errorf("answers without a body: %v", err)
	}
}

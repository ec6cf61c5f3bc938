package dynamotest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// What a client sees of the answers that end in the middle, or are somebody
// else's, is the same over sockets and in memory.
func TestServer_broken_answers(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	for where, c := range map[string]func(context.Context) error{
		"tcp": func() func(context.Context) error {
			c := tcp(t, s)
			createTable(t, c)
			return func(ctx context.Context) error { _, err := get(ctx, c, "k"); return err }
		}(),
		"memory": func(ctx context.Context) error { _, err := get(ctx, memory(s), "k"); return err },
	} {
		if err := put(t.Context(), memory(s), "k", time.Time{}); err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[dynamotest.Kind]func(error) bool{
			dynamotest.EOF:   func(err error) bool { return errors.Is(err, io.EOF) },
			dynamotest.Stall: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
			dynamotest.Drip:  func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
			dynamotest.ErrorPage: func(err error) bool {
				resp, shape := (*smithyhttp.ResponseError)(nil), (*smithy.DeserializationError)(nil)
				return errors.As(err, &resp) && resp.HTTPStatusCode() == http.StatusServiceUnavailable && errors.As(err, &shape)
			},
		} {
			s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: kind} })
			ctx, cancel := context.WithCancel(t.Context())
			// only what does not answer in time gets a deadline: a busy machine may be
			// slower than that with the others
			if kind == dynamotest.Stall || kind == dynamotest.Drip {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			if err := c(ctx); !want(err) {
				t.Errorf("%s, %s: %v", where, kind, err)
			}
			cancel()
		}
		s.SetFault(nil)
	}
}

// A kind that cannot be done is not taken for none.
func TestServer_refuses_unknown_kinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		c := memory(s)
		createTable(t, c)
		for _, kind := range []dynamotest.Kind{"hagn", dynamotest.BlackHole, dynamotest.Refuse, dynamotest.Backlog} {
			s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: kind} })
			if _, err := get(t.Context(), c, "k"); code(err) != "ValidationException" || !strings.Contains(err.Error(), string(kind)) {
				t.Errorf("Fault.Kind %q: %v; want an error that names it", kind, err)
			}
		}
		s.SetFault(nil)
		for _, kind := range []dynamotest.Kind{"dwon", dynamotest.Drip, dynamotest.Checksum, dynamotest.EOF} {
			if err := s.SetNetwork(kind); err == nil || !strings.Contains(err.Error(), string(kind)) {
				t.Errorf("SetNetwork(%q) = %v; want an error that names it", kind, err)
			}
		}
		if _, err := get(t.Context(), c, "k"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// A hook sees a table by its name, however the request calls it.
func TestRequest_tables(t *testing.T) {
	var seen []string
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	createTable(t, c)
	s.SetFault(func(r *dynamotest.Request) *dynamotest.Fault { seen = r.Tables; return nil })
	const arn = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
	for name, call := range map[string]func() error{
		"name": func() error { _, err := get(t.Context(), c, "k"); return err },
		"ARN": func() error {
			_, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(arn), Key: key("k")})
			return err
		},
		"batch": func() error {
			_, err := c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{arn: {Keys: []map[string]types.AttributeValue{key("k")}}}})
			return err
		},
		"transaction": func() error {
			_, err := c.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{{Get: &types.Get{TableName: aws.String("sessions"), Key: key("k")}}}})
			return err
		},
		"tags": func() error {
			_, err := c.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: aws.String(arn)})
			return err
		},
	} {
		if err := call(); err != nil || len(seen) != 1 || seen[0] != "sessions" {
			t.Errorf("%s: %v, %v", name, seen, err)
		}
	}
}

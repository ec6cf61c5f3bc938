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

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// What a client sees of the answers that end in the middle, or are somebody
// else's, is the same over sockets and in memory.
func TestServer_brokenAnswers(t *testing.T) {
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
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if err := c(ctx); !want(err) {
				t.Errorf("%s, %s: %v", where, kind, err)
			}
			cancel()
		}
		s.SetFault(nil)
	}
}

// A kind that cannot be done is not taken for none.
func TestServer_refusesUnknownKinds(t *testing.T) {
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

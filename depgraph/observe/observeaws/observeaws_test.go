package observeaws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/failopen/failopen/depgraph/observe"
	"github.com/failopen/failopen/depgraph/observe/observeaws"
)

// answering is an HTTP client with one answer.
type answering struct {
	status int
	body   string
	err    error
}

func (a answering) Do(*http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

func TestMiddleware(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, c := range map[string]struct {
		ctx    context.Context
		answer answering
		want   string
	}{
		"an answer":          {t.Context(), answering{200, `{}`, nil}, "sessions 1/0"},
		"a condition":        {t.Context(), answering{400, `{"__type":"x#ConditionalCheckFailedException","message":"m"}`, nil}, "sessions 1/0"},
		"a cancellation":     {t.Context(), answering{400, `{"__type":"x#TransactionCanceledException","message":"specific reasons [None, ConditionalCheckFailed]"}`, nil}, "sessions 1/0"},
		"an overload":        {t.Context(), answering{400, `{"__type":"x#TransactionCanceledException","message":"specific reasons [None, ThrottlingError]"}`, nil}, "sessions 1/1"},
		"no table":           {t.Context(), answering{400, `{"__type":"x#ResourceNotFoundException","message":"m"}`, nil}, "sessions 1/1"},
		"a denial":           {t.Context(), answering{400, `{"__type":"x#AccessDeniedException","message":"m"}`, nil}, "sessions 1/1"},
		"a failing service":  {t.Context(), answering{500, `{"__type":"x#InternalServerError"}`, nil}, "sessions 1/1"},
		"no connection":      {t.Context(), answering{err: errors.New("refused")}, "sessions 1/1"},
		"the caller gave up": {gone, answering{err: context.Canceled}, "sessions 1/0"},
	} {
		r, err := observe.New(observe.Options{Service: "web", Names: map[string]string{"DynamoDB": "sessions"}})
		if err != nil {
			t.Fatal(err)
		}
		cfg := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), HTTPClient: c.answer, RetryMaxAttempts: 1}
		cfg.APIOptions = append(cfg.APIOptions, observeaws.Middleware(r))
		client := dynamodb.NewFromConfig(cfg)
		_, _ = client.GetItem(c.ctx, &dynamodb.GetItemInput{TableName: aws.String("t"), Key: map[string]types.AttributeValue{"k": &types.AttributeValueMemberS{Value: "v"}}})
		var got string
		for _, e := range r.Edges() {
			got += fmt.Sprintf("%s %d/%d", e.To, e.Calls, e.Errors)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// To ask whether there is a table is another matter than to need one.
func TestMiddleware_asks_for_a_table(t *testing.T) {
	r, err := observe.New(observe.Options{Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), HTTPClient: answering{400, `{"__type":"x#ResourceNotFoundException","message":"m"}`, nil}}
	cfg.APIOptions = append(cfg.APIOptions, observeaws.Middleware(r))
	_, _ = dynamodb.NewFromConfig(cfg).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("sessions")})
	if e := r.Edges(); len(e) != 1 || e[0].Calls != 1 || e[0].Errors != 0 {
		t.Errorf("%+v; want one call and no error", e)
	}
}

// TestMiddleware_does_not_allocate compares a stack with and without it, as the
// SDK's own steps allocate.
func TestMiddleware_does_not_allocate(t *testing.T) {
	r, err := observe.New(observe.Options{Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := r.Begin(awsmiddleware.SetServiceID(t.Context(), "DynamoDB"))
	defer end(false)
	last := middleware.InitializeHandlerFunc(func(context.Context, middleware.InitializeInput) (middleware.InitializeOutput, middleware.Metadata, error) {
		return middleware.InitializeOutput{}, middleware.Metadata{}, nil
	})
	nothing := middleware.InitializeMiddlewareFunc("nothing", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(ctx, in)
	})
	in := middleware.InitializeInput{Parameters: &dynamodb.GetItemInput{TableName: aws.String("sessions")}}
	allocs := func(add func(*middleware.Stack) error) float64 {
		stack := middleware.NewStack("test", nil)
		if err := add(stack); err != nil {
			t.Fatal(err)
		}
		m, ok := stack.Initialize.Get(stack.Initialize.List()[0])
		if !ok {
			t.Fatal("no middleware")
		}
		return testing.AllocsPerRun(100, func() { m.HandleInitialize(ctx, in, last) })
	}
	without := allocs(func(s *middleware.Stack) error { return s.Initialize.Add(nothing, middleware.After) })
	if with := allocs(observeaws.Middleware(r)); with > without {
		t.Errorf("%v allocations, %v without", with, without)
	}
	if e := r.Edges(); len(e) != 1 || e[0].To != "DynamoDB" || e[0].Calls == 0 {
		t.Errorf("%+v", e)
	}
}

// A table has a name of its own if Names has one, else its service's.
func TestMiddleware_resources(t *testing.T) {
	for name, c := range map[string]struct {
		names map[string]string
		table string
		want  string
	}{
		"nothing is mapped":   {nil, "sessions", "DynamoDB"},
		"the service is":      {map[string]string{"DynamoDB": "store"}, "sessions", "store"},
		"the table is":        {map[string]string{"DynamoDB": "store", "DynamoDB/sessions": "session-table"}, "sessions", "session-table"},
		"another table is":    {map[string]string{"DynamoDB": "store", "DynamoDB/sessions": "session-table"}, "carts", "store"},
		"all tables are":      {map[string]string{"DynamoDB/*": "tables"}, "carts", "tables"},
		"a table by its ARN":  {map[string]string{"DynamoDB/sessions": "session-table"}, "arn:aws:dynamodb:eu-west-1:123456789012:table/sessions", "session-table"},
		"a table is left out": {map[string]string{"DynamoDB": "store", "DynamoDB/locks": "-"}, "locks", ""},
		"no name, so no call": {map[string]string{"DynamoDB/": "x"}, "", ""},
	} {
		r, err := observe.New(observe.Options{Service: "web", Names: c.names})
		if err != nil {
			t.Fatal(err)
		}
		cfg := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), HTTPClient: answering{200, `{}`, nil}, RetryMaxAttempts: 1}
		cfg.APIOptions = append(cfg.APIOptions, observeaws.Middleware(r))
		client := dynamodb.NewFromConfig(cfg)
		in := &dynamodb.GetItemInput{TableName: aws.String(c.table), Key: map[string]types.AttributeValue{"k": &types.AttributeValueMemberS{Value: "v"}}}
		if c.table == "" {
			in.TableName = nil
		}
		_, _ = client.GetItem(t.Context(), in)
		var got []string
		for _, e := range r.Edges() {
			got = append(got, e.To)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: recorded as %q, want %q", name, got, c.want)
		}
	}
}

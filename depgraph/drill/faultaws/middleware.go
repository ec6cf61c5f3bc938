package faultaws

import (
	"context"
	"fmt"
	"io"
	"net/http"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Middleware returns an option for aws.Config.APIOptions, or a client's. A
// rule's Service is matched with the SDK's name of the service ("DynamoDB",
// "CloudWatch Logs"), its Operation with the operation's, its Table with the
// TableName and the RequestItems of DynamoDB's requests.
//
// An injector without rules adds one atomic load to an attempt.
func Middleware(i *fault.Injector) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(&injected{i}, middleware.After)
	}
}

type injected struct{ injector *fault.Injector }

func (*injected) ID() string { return "FailOpenFault" }

func (m *injected) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	if !m.injector.Active() {
		return next.HandleDeserialize(ctx, in)
	}
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return next.HandleDeserialize(ctx, in) // not HTTP: none of ours
	}
	tables, err := tablesOf(req)
	if err != nil {
		return out, metadata, err
	}
	f := m.injector.Next(ctx, fault.Call{
		Service:   awsmiddleware.GetServiceID(ctx),
		Region:    awsmiddleware.GetRegion(ctx),
		Operation: awsmiddleware.GetOperationName(ctx),
		Tables:    tables,
	})
	switch {
	case f == nil:
		return next.HandleDeserialize(ctx, in)
	case !f.Passes():
		return send(ctx, req, f.RoundTrip)
	}
	if waitErr := f.Wait(ctx); waitErr != nil {
		return send(ctx, req, func(*http.Request) (*http.Response, error) { return nil, waitErr })
	}
	out, metadata, err = next.HandleDeserialize(ctx, in)
	if resp, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil {
		if resp.Request == nil { // an HTTP client of one's own may leave it out
			resp.Request = req.Request.WithContext(ctx) // whose end is that of Stall and Drip
		}
		err = f.Spoil(resp.Response)
	}
	return out, metadata, err
}

// send does what the end of the stack does, with an http.Client that never
// reaches a socket. So the errors are wrapped by the code that wraps real ones.
func send(ctx context.Context, req *smithyhttp.Request, transport roundTripper) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	out.RawResponse, metadata, err = smithyhttp.NewClientHandlerWithOptions(client).Handle(ctx, req)
	return out, metadata, err
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// tablesOf reads the request and winds it back. Requests of other services,
// and those without a table, name none.
func tablesOf(req *smithyhttp.Request) ([]string, error) {
	stream := req.GetStream()
	if stream == nil || !req.IsStreamSeekable() {
		return nil, nil
	}
	body, err := io.ReadAll(stream)
	if err != nil {
		return nil, fmt.Errorf("faultaws: read the request: %w", err)
	}
	if err := req.RewindStream(); err != nil {
		return nil, fmt.Errorf("faultaws: wind back the request: %w", err)
	}
	return fault.TablesOf(body), nil
}

package dynamo

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// What NewClient sets instead of the SDK's defaults.
const (
	// dialTimeout and tlsTimeout: a connection inside a region takes a few
	// milliseconds. The SDK waits 30 and 10 s.
	dialTimeout = 250 * time.Millisecond
	tlsTimeout  = 500 * time.Millisecond

	// headerTimeout is the last line of defence for calls whose context
	// has no deadline. The SDK waits for ever.
	headerTimeout = 5 * time.Second

	// stallTimeout is the same for an answer that stops in the middle: the
	// longest time without a byte.
	stallTimeout = 5 * time.Second

	// idlePerHost is how many connections are kept when load drops. All of
	// them go to one host; with the SDK's 10, a burst of 100 calls makes 90
	// new connections, and TLS handshakes, each time.
	idlePerHost = 512
)

// NewClient returns a DynamoDB client for a [Store], made from the
// application's configuration. It differs from dynamodb.NewFromConfig where the
// SDK's defaults cost too much in an outage:
//
//   - connecting takes at most 250 ms, a TLS handshake 500 ms, and a server
//     that accepts and then says nothing, or stops in the middle of an answer,
//     is given up after 5 s at the latest (the store's own contexts are
//     shorter);
//   - 512 idle connections are kept for reuse, not 10;
//   - at most two attempts, milliseconds apart, and no client-side rate
//     limiter, whatever cfg says (the store's reads make one);
//   - request bodies hide their WriteTo method: smithy-go closes them when
//     the response's header arrives, and WriteTo on a closed body then makes
//     net/http tear the connection down (aws-sdk-go-v2 issue 2737).
//
// The dialer, proxy, CA bundle and TLS settings of an HTTP client of the SDK's own
// (*awshttp.BuildableClient, or none) are kept. Any other cfg.HTTPClient is
// used as it is, with the body's WriteTo hidden: its time-outs are its
// owner's. optFns are applied last. NewClient makes no call.
func NewClient(cfg aws.Config, optFns ...func(*dynamodb.Options)) *dynamodb.Client {
	own := func(o *dynamodb.Options) {
		o.HTTPClient = httpClient{tuned(cfg.HTTPClient)}
		o.Retryer = newWriteRetryer()
		o.RetryMaxAttempts = 0 // or it would wrap the retryer
	}
	return dynamodb.NewFromConfig(cfg, append([]func(*dynamodb.Options){own}, optFns...)...)
}

// tuned gives the SDK's own HTTP client the time-outs that it lacks: for a
// connection, for TLS, for the header of an answer, and for a body that stalls.
// A client of another type is the program's decision and stays as it is.
func tuned(c aws.HTTPClient) aws.HTTPClient {
	if c == nil {
		c = awshttp.NewBuildableClient()
	}
	b, ok := c.(*awshttp.BuildableClient)
	if !ok {
		return c
	}
	return b.WithReadTimeout(stallTimeout).WithTransportOptions(func(t *http.Transport) {
		t.DialContext = bounded(t.DialContext)
		t.TLSHandshakeTimeout = tlsTimeout
		t.ResponseHeaderTimeout = headerTimeout
		t.MaxIdleConns = max(t.MaxIdleConns, idlePerHost)
		t.MaxIdleConnsPerHost = idlePerHost
	})
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// bounded gives each dial at most dialTimeout, the application's too: with
// BuildableClient.WithDialerOptions that one would be lost.
func bounded(dial dialFunc) dialFunc {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
}

// httpClient hides the WriteTo of request bodies.
type httpClient struct{ inner aws.HTTPClient }

func (c httpClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.inner.Do(r)
}

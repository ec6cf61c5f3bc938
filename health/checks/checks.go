// Package checks has ready checks for health.Dependency: of an HTTP endpoint, a
// TCP address, a name, what can be pinged, such as a *sql.DB, a gRPC server, a call
// of AWS, and of what a library says of itself. Each asks once, takes no longer
// than its context, and leaves nothing behind.
//
// A check should ask what the service itself needs, and no more: that the
// database answers, and not that a test record is there, which somebody may
// delete.
package checks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// HTTP wants a status from 200 to 299 from a GET of address, a URL. Redirects are
// followed if the client does so; client may be nil, then they are not. Errors
// name the host and nothing else of the URL: its query and its user may be
// secret.
func HTTP(client *http.Client, address string) func(context.Context) error {
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return errors.New("checks: the URL is malformed")
		}
		resp, err := client.Do(r)
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = fmt.Errorf("checks: GET from %s: %w", r.URL.Host, wrapped.Err)
		}
		if err != nil {
			return err
		}
		// A little is read, so that the connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // the status says it all
		_ = resp.Body.Close()
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return fmt.Errorf("checks: status %d", resp.StatusCode)
		}
		return nil
	}
}

// TCP wants a connection to addr, such as "db.internal:5432", which it closes.
// For a server behind a proxy or a load balancer that says little: these accept
// connections that nobody serves.
func TCP(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// Name wants a name to have an address. resolver may be nil.
func Name(resolver *net.Resolver, name string) func(context.Context) error {
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return func(ctx context.Context) error {
		addrs, err := resolver.LookupHost(ctx, name)
		if err == nil && len(addrs) == 0 {
			err = errors.New("checks: the name has no address")
		}
		return err
	}
}

// A Pinger can say whether it works: a *sql.DB, a *pgxpool.Pool with Ping in its
// place, a client of Redis with a line of glue.
type Pinger interface {
	// PingContext returns nil if what it belongs to answers, and ends with ctx.
	PingContext(ctx context.Context) error
}

// Ping wants p to answer. A p that is nil does not, each time it is asked.
func Ping(p Pinger) func(context.Context) error {
	return func(ctx context.Context) error {
		if p == nil {
			return errors.New("checks: there is nothing to ping: the Pinger is nil")
		}
		return p.PingContext(ctx)
	}
}

// GRPC wants a server of the gRPC health service to serve. call is Check of the
// generated client with its request, so that this package needs no gRPC:
//
//	client := grpc_health_v1.NewHealthClient(conn)
//	checks.GRPC(func(ctx context.Context) (*grpc_health_v1.HealthCheckResponse, error) {
//		return client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "ledger"})
//	})
func GRPC[R interface{ GetStatus() S }, S ~int32](call func(context.Context) (R, error)) func(context.Context) error {
	const serving = 1 // HealthCheckResponse_SERVING
	return func(ctx context.Context) error {
		if call == nil {
			return errors.New("checks: there is nothing to call: the function is nil")
		}
		response, err := call(ctx)
		if err != nil {
			return err
		}
		if s := response.GetStatus(); s != serving {
			return fmt.Errorf("checks: the server's status is %d, and SERVING is %d", s, serving)
		}
		return nil
	}
}

// Call wants a call to be answered, as methods of the AWS SDK's clients are
// called: checks.Call(client.DescribeTable, &dynamodb.DescribeTableInput{…}). One
// that only reads, and whose permission the service has anyway: a check that needs
// a permission of its own fails when that one is taken away, and only then. The
// input must not be changed later.
func Call[In, Out, Option any](call func(context.Context, In, ...Option) (Out, error), in In) func(context.Context) error {
	return func(ctx context.Context) error {
		if call == nil {
			return errors.New("checks: there is nothing to call: the function is nil")
		}
		_, err := call(ctx, in)
		return err
	}
}

// Stats wants nothing to be wrong with what a library counts of itself: a breaker
// that is open, a destination that takes nothing. It makes no call of a
// dependency. Such a check belongs to a Dependency that is Soft: what says of
// itself how it copes does cope.
func Stats[S any](read func() S, wrong func(S) error) func(context.Context) error {
	return func(context.Context) error {
		if read == nil || wrong == nil {
			return errors.New("checks: there is nothing to read: a function is nil")
		}
		return wrong(read())
	}
}

package fault

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	page      = "<!doctype html><title>Sign in</title><p>Please accept the terms of use.</p>"
	errorPage = "<!doctype html><title>503</title><h1>503 Service Temporarily Unavailable</h1>"
)

// dripRate is Drip's, in bytes a second.
const dripRate = 10

// hungUp is what net/http's Transport makes of a connection that ends in order,
// and without an answer: from a real one, on a connection in memory, since the
// types are not exported.
// The request is cloned and read to its end, as a server would that dies after it.
func hungUp(req *http.Request) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				if r, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body) // a client that leaves early is content as well
				}
			}()
			return client, nil
		},
	}
	plain := req.Clone(req.Context())
	plain.URL.Scheme, plain.RequestURI = "http", ""
	resp, err := transport.RoundTrip(plain)
	if err == nil { // there is no answer
		_ = resp.Body.Close()
		return io.EOF
	}
	return err
}

// expired is what a client says of a server whose certificate has run out.
func expired() error {
	now := time.Now()
	return &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{
		Reason: x509.Expired,
		Detail: fmt.Sprintf("current time %s is after %s", now.Format(time.RFC3339), now.Add(-time.Minute).UTC().Format(time.RFC3339)),
	}}
}

// brokenPipe is what a client sees of a connection that ends while it sends.
func brokenPipe(req *http.Request) error {
	return fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w",
		&net.OpError{Op: "write", Net: "tcp", Source: address("127.0.0.1:0"), Addr: address(hostPort(req.URL)), Err: os.NewSyscallError("write", syscall.EPIPE)})
}

var errCut = errors.New("fault: the request ends here")

// SendHalf is for an adapter that can reach the service, before it lets
// [Fault.RoundTrip] answer a [CutRequest]: it sends the first half of the
// request's body through next, and leaves.
// What comes of it is not looked at: the client is told of a broken pipe in any case.
// Requests without a length, or of less than two bytes, have no half. req.Body is not
// closed.
func (f *Fault) SendHalf(req *http.Request, next http.RoundTripper) {
	if f.Kind != CutRequest || req.Body == nil || req.ContentLength < 2 {
		return
	}
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	half := req.Clone(ctx)
	half.Body = io.NopCloser(io.MultiReader(io.LimitReader(req.Body, req.ContentLength/2), failing{errCut}))
	half.GetBody = nil
	if resp, err := next.RoundTrip(half); err == nil && resp != nil && resp.Body != nil {
		_ = resp.Body.Close() // a service that answers half a request
	}
}

// failing is the end of a body that breaks off.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// stalled is the rest of a body that does not come, on a connection that stays.
type stalled struct {
	ctx    context.Context
	once   sync.Once
	closed chan struct{}
}

func (s *stalled) Read([]byte) (int, error) {
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-s.closed:
		return 0, http.ErrBodyReadAfterClose
	}
}

func (s *stalled) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

package dynamotest

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/failopen/failopen/cache/dynamo/internal/inmemory"
)

// A Client carries requests to a [Server] in memory, without a socket. It is
// an aws.HTTPClient and an http.RoundTripper, works inside a testing/synctest
// bubble, and is safe for concurrent use.
type Client struct{ server *Server }

// HTTPClient returns the in-memory client: for aws.Config.HTTPClient, together
// with [MemoryURL] as the base endpoint. Network faults look as they do over
// TCP: the same error types, at the same time as far as that depends on the
// server.
func (s *Server) HTTPClient() *Client { return &Client{s} }

// MemoryURL is an endpoint for use with [Server.HTTPClient]. Any other URL
// does as well; the client dials nothing.
const MemoryURL = "http://dynamotest.invalid"

// Do is http.Client.Do.
//
// Errors are *url.Error, as those of http.Client; redirects are not followed,
// for there are none.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.RoundTrip(req)
	if err != nil {
		return nil, &url.Error{Op: req.Method[:1] + strings.ToLower(req.Method[1:]), URL: req.URL.String(), Err: err}
	}
	return resp, nil
}

var (
	errReset = errors.New("reset") // tells sever which way

	errConnReset = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	errRefused   = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
)

// RoundTrip serves the request on the caller's goroutine, until the request's
// context is done.
//
// The state of the network is looked at once, when the request begins: over TCP
// a connection may also break later. The response's body has been read to the
// end when it returns, unless a fault says otherwise.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.server.network.pass(req.Context()); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as RoundTrippers must, whatever happens
		}
		return nil, err
	}
	return inmemory.RoundTrip(req, c.server)
}

package dynamotest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
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
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	body := []byte{}
	if req.Body != nil {
		defer req.Body.Close()
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	if err := c.server.network.pass(ctx); err != nil {
		return nil, err
	}
	in := req.Clone(ctx)
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.ContentLength = int64(len(body))
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	c.server.ServeHTTP(rec, in)
	switch {
	case rec.broken != nil && rec.sent == nil:
		return nil, rec.broken
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return rec.response(req), nil
}

// recorder is the ResponseWriter of the in-memory client.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	broken error // how the connection ended, if not in order
	sent   *partial
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) Flush()                      {}

func (r *recorder) sever(err error, sent *partial) {
	if err == errReset {
		err = errConnReset
	}
	r.broken, r.sent = err, sent
}

func (r *recorder) response(req *http.Request) *http.Response {
	body := io.Reader(&r.body)
	if r.sent != nil {
		r.status = r.sent.status
		body = io.MultiReader(bytes.NewReader(r.sent.body), failingReader{r.broken})
	}
	return &http.Response{
		StatusCode: r.status,
		Status:     http.StatusText(r.status),
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        r.header,
		Body:          io.NopCloser(body),
		ContentLength: int64(r.body.Len()),
		Request:       req,
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// Package inmemory carries HTTP requests to a handler of the same process,
// without a socket, so that they work in a testing/synctest bubble.
package inmemory

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// RoundTrip serves req with h on the caller's goroutine, until the request's
// context is done.
func RoundTrip(req *http.Request, h http.Handler) (*http.Response, error) {
	body := []byte{}
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }() // it was read
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	in := req.Clone(req.Context())
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	rec := &Recorder{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(rec, in)
	switch {
	case rec.err != nil && !rec.answered:
		return nil, rec.err
	case req.Context().Err() != nil:
		return nil, req.Context().Err()
	}
	return rec.response(req), nil
}

// A Recorder is the http.ResponseWriter of a request in memory.
type Recorder struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	err      error // how the connection ended, if not in order
	answered bool  // the status and a part of the body had come by then
}

// Header is that of the answer.
func (r *Recorder) Header() http.Header { return r.header }

// WriteHeader sets the status.
func (r *Recorder) WriteHeader(status int) { r.status = status }

// Write adds to the body.
func (r *Recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// Flush does nothing: the caller is told when the handler returns.
func (r *Recorder) Flush() {}

// Break ends the connection with err, without an answer.
func (r *Recorder) Break(err error) { r.err = err }

// Cut ends the connection with err, after an answer's status and a part of its
// body.
func (r *Recorder) Cut(err error, status int, part []byte) {
	r.err, r.answered, r.status = err, true, status
	r.body.Write(part)
}

func (r *Recorder) response(req *http.Request) *http.Response {
	length, body := int64(r.body.Len()), io.Reader(&r.body)
	if r.err != nil {
		length, body = -1, io.MultiReader(body, failing{r.err})
	}
	return &http.Response{
		StatusCode: r.status, Status: fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header, Body: io.NopCloser(body), ContentLength: length, Request: req,
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

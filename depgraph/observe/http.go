package observe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
)

// RoundTripper records every request that goes through next, by its host; nil
// means http.DefaultTransport. A call has failed if it has an error, or an
// answer of 429 or 5xx; that the caller gave up is no failure. What breaks
// while a body is read is not seen.
func (r *Recorder) RoundTripper(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{r, next}
}

// transport is what RoundTripper returns.
type transport struct {
	r    *Recorder
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
//
// The request and the answer are passed on as they are. A context that was canceled by the
// caller is no failure; an error that merely wraps context.Canceled while the context is
// alive, as some transports give, is one.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	address := ""
	if req.URL != nil {
		address = req.URL.Host
	}
	s := t.r.Start(req.Context(), address)
	ended := false
	defer func() {
		if !ended { // next panicked; the panic goes on
			s.Done(true)
		}
	}()
	resp, err := t.next.RoundTrip(req)
	ended = true
	switch {
	case err != nil:
		s.Done(!errors.Is(err, context.Canceled) || req.Context().Err() == nil)
	case resp != nil:
		s.Done(resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests)
	default:
		s.Done(true)
	}
	return resp, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Handler records the requests that next handles, and makes calls with their
// contexts belong to them. A request has failed if it was answered with 5xx, or
// if next panics; the panic goes on.
func (r *Recorder) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, end := r.Begin(req.Context())
		sw := &statusWriter{ResponseWriter: w}
		failed := true
		defer func() { end(failed) }()
		next.ServeHTTP(sw, req.WithContext(ctx))
		failed = sw.status >= 500
	})
}

// statusWriter sees the status. Unwrap lets http.ResponseController reach what
// is below it.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for those that do not use http.ResponseController.
func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack is for those that do not use http.ResponseController either, such as
// libraries for WebSockets.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// ReadFrom keeps the fast way for files.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return io.Copy(w.ResponseWriter, r)
}

// WriteHeader keeps the first status that is final: 1xx comes before another one.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implies the status 200, as net/http has it.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// ServeHTTP answers with what was recorded so far. It names the dependencies of
// the service: keep it where /debug/pprof is kept.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = r.WriteTo(w) // the client has gone; nobody is left to tell
}

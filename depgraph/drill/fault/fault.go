package fault

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Fault is what happens to one call, after an injector has decided. First
// Delay passes; then Error or Kind happens, or with neither the call passes.
//
// An adapter asks [Fault.Passes]: if so it waits with [Fault.Wait], makes the
// call and hands the answer to [Fault.Spoil]; if not, it lets
// [Fault.RoundTrip] answer in the service's stead.
type Fault struct {
	Delay time.Duration // before anything else happens; see Wait
	Error *APIError     // with StatusCode and Message filled in
	Kind  Kind          // "": no fault of the network

	Bytes     int64 // before Truncate ends the connection; 0: half of the answer
	Bandwidth int64 // of the answer, in bytes a second; 0: no limit

	changed func() // counts the hit of a Corrupt, once it has changed something
}

// Passes reports whether the service sees the call.
func (f *Fault) Passes() bool { return f.Error == nil && f.Kind.passes() }

// Wait lets Delay pass. It returns ctx.Err() if ctx is done first.
func (f *Fault) Wait(ctx context.Context) error { return sleep(ctx, f.Delay) }

// sleep waits for d or the end of ctx, whose error it then returns; d of 0 or less
// still sees a context that has ended.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Defaults for the kinds whose Delay is a time limit of the client's.
const (
	defaultTimeout     = time.Second
	defaultDialTimeout = 30 * time.Second
)

// RoundTrip is an http.RoundTripper's for a call that does not pass: an answer
// of the service, or an error as net/http's Transport returns it. It closes
// the request's body.
// BlackHole waits for the request's context and for nothing else; Timeout and
// DialTimeout take Delay as their limit; all others wait for Delay first. A kind
// that passes is no case for it.
func (f *Fault) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	ctx := req.Context()
	switch f.Kind {
	case BlackHole:
		<-ctx.Done()
		return nil, ctx.Err()
	case Timeout:
		return nil, f.timeout(req)
	case DialTimeout:
		if err := sleep(ctx, cmp.Or(f.Delay, defaultDialTimeout)); err != nil {
			return nil, err
		}
		return nil, f.DialError(req.URL.Host)
	}
	if err := f.Wait(ctx); err != nil {
		return nil, err
	}
	switch {
	case f.Error != nil:
		return f.Error.response(req), nil
	case f.Kind == Empty:
		return response(req, http.StatusOK, "application/x-amz-json-1.0", nil), nil
	case f.Kind == ErrorPage:
		return response(req, http.StatusServiceUnavailable, "text/html; charset=utf-8", []byte(errorPage)), nil
	case f.Kind == EOF:
		return nil, hungUp(req)
	case f.Kind == TLS:
		return nil, expired()
	case f.Kind == CutRequest:
		return nil, brokenPipe(req)
	case f.Kind == HTML:
		return response(req, http.StatusOK, "text/html; charset=utf-8", []byte(page)), nil
	case f.Kind == Reset:
		return nil, &net.OpError{Op: "read", Net: "tcp", Source: address("127.0.0.1:0"), Addr: address(hostPort(req.URL)), Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	default:
		return nil, f.DialError(hostPort(req.URL))
	}
}

// DialError is what net.Dialer returns for the kinds that concern the making
// of a connection to an address, host:port; nil for the others.
func (f *Fault) DialError(addr string) error {
	e := &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr)}
	switch f.Kind {
	case Refuse:
		e.Err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	case DialTimeout:
		e.Err = dialTimeout()
	case NXDomain:
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		e.Addr = nil // there is none: the name has no address
		e.Err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	default:
		return nil
	}
	return e
}

// dialTimeout is the error inside a net.OpError when a connection attempt
// takes too long. Its type is not exported; a dialer whose deadline has passed
// gives it away before it opens a socket.
var dialTimeout = sync.OnceValue(func() error {
	_, err := (&net.Dialer{Deadline: time.Unix(1, 0)}).Dial("tcp", "127.0.0.1:1")
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return os.ErrDeadlineExceeded
})

// timeout is what http.Client.Timeout makes of an answer that does not come:
// from a real client, since the type is not exported.
// Its client runs on the request's own context, so that the caller's deadline is seen
// as the caller's, and this one as the client's.
func (f *Fault) timeout(req *http.Request) error {
	outer := req.Context()
	client := http.Client{
		Timeout: cmp.Or(f.Delay, defaultTimeout),
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			select {
			//lint:ignore SA1019 it is how the client tells a RoundTripper; the context's end comes before the client has noted why
			case <-r.Cancel:
				return nil, context.DeadlineExceeded
			case <-outer.Done():
				return nil, outer.Err()
			}
		}),
	}
	bare := req.Clone(outer)
	bare.Body, bare.RequestURI = nil, ""
	resp, err := client.Do(bare)
	if err == nil { // our RoundTripper never answers
		resp.Body.Close()
		return context.DeadlineExceeded
	}
	if u, ok := err.(*url.Error); ok {
		return u.Err // the outer client wraps it again
	}
	return err
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// address is a net.Addr that is known by its text alone.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// hostPort is the address that net/http would have dialled: the port of the scheme,
// if there is none.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

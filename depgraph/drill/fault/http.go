package fault

import (
	"context"
	"net"
	"net/http"
)

// RoundTripper faults the calls of an http.Client: give it to the client as
// Transport, with the client's former one (nil: http.DefaultTransport) as
// next. A rule's Service is matched with service, its Operation with the
// method and the path, as in "GET /sessions/*".
//
// [BlackHole] ends when the request's context does, or the client's Timeout.
func (i *Injector) RoundTripper(service string, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if !i.Active() {
			return next.RoundTrip(req)
		}
		f := i.Next(req.Context(), Call{Service: service, Operation: req.Method + " " + req.URL.Path})
		switch {
		case f == nil:
			return next.RoundTrip(req)
		case !f.Passes():
			f.SendHalf(req, next)
			return f.RoundTrip(req)
		}
		if err := f.Wait(req.Context()); err != nil {
			if req.Body != nil {
				_ = req.Body.Close() // as RoundTrippers must, whatever happens
			}
			return nil, err
		}
		resp, err := next.RoundTrip(req)
		if err != nil || resp == nil { // of neither the client makes an error that names next
			return nil, err
		}
		if resp.Request == nil {
			resp.Request = req // whose context ends what Stall and Drip wait for
		}
		if err := f.Spoil(resp); err != nil {
			return nil, err
		}
		return resp, nil
	})
}

// DialFunc is net.Dialer.DialContext.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Dialer faults the making of connections and leaves live ones alone, as when
// a name vanishes from the DNS: give it to http.Transport as DialContext. next
// nil is a plain net.Dialer. A rule's Service is matched with service, its
// Operation with "dial".
//
// [Refuse], [NXDomain], [DialTimeout] and [BlackHole] apply, and Latency;
// rules with other faults are passed over, and count nothing.
func (i *Injector) Dialer(service string, next DialFunc) DialFunc {
	if next == nil {
		next = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !i.Active() {
			return next(ctx, network, addr)
		}
		f := i.next(ctx, Call{Service: service, Operation: "dial"}, (*Rule).concernsDial)
		if f == nil {
			return next(ctx, network, addr)
		}
		if err := f.dial(ctx, addr); err != nil {
			return nil, err
		}
		return next(ctx, network, addr)
	}
}

// concernsDial reports whether r says something about making a connection.
// Latency alone delays the dial; with an answer's fault beside it, it is the
// answer's.
func (r *Rule) concernsDial() bool {
	switch r.Net {
	case Refuse, NXDomain, DialTimeout, BlackHole:
		return true
	case "":
		return r.Error == nil && r.Latency != nil // latency alone
	}
	return false
}

// dial waits, and returns why the connection is not made; nil lets the dial go on.
func (f *Fault) dial(ctx context.Context, addr string) error {
	delay := f.Delay
	switch {
	case f.Kind == BlackHole:
		<-ctx.Done()
		return ctx.Err()
	case f.Kind == DialTimeout && delay == 0:
		delay = defaultDialTimeout
	}
	if err := sleep(ctx, delay); err != nil {
		return err
	}
	return f.DialError(addr)
}

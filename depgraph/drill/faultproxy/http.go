package faultproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// enter counts a goroutine that Close waits for. It is false once the proxy is
// closing.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.all.Add(1)
	return true
}

// shortBody is how long a request may be to be read before it is passed on. It
// shows that its client goes on waiting, and it cannot be closed under the hands
// of the goroutine that sends it, which net/http's server does when an answer
// comes quickly.
const shortBody = 1 << 20

// data serves one request: to the reverse mount, in the form for proxies, or
// inside of a connection that was opened.
func (p *Proxy) data(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.all.Done()
	p.count.requests.Add(1)
	if r.Method == http.MethodConnect {
		p.connect(w, r)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // connections of ours can
	_ = control.SetWriteDeadline(time.Now().Add(p.opts.Hold + 5*time.Minute))
	to, name, err := p.target(r)
	if err != nil {
		p.count.bad.Add(1)
		http.Error(w, "drill proxy: "+err.Error(), http.StatusMisdirectedRequest)
		return
	}
	c, err := p.classify(r, name)
	if err != nil {
		p.count.bad.Add(1)
		http.Error(w, "drill proxy: "+err.Error(), http.StatusBadRequest)
		return
	}
	if n := r.ContentLength; n > 0 && n <= shortBody {
		if _, _, err := peek(r, shortBody); err != nil {
			p.count.bad.Add(1)
			panic(http.ErrAbortHandler) // the client has gone, or is too slow
		}
	}
	_ = control.SetReadDeadline(time.Now().Add(p.opts.Hold + 5*time.Minute)) // of a longer body, and of the client's end
	p.count.called(c.Service)
	held := p.held()
	f := p.injector.Next(r.Context(), c)
	switch {
	case f == nil:
		p.forward(w, r, to, nil)
	case f.Passes():
		p.count.faulted.Add(1)
		wait(min(f.Delay, p.opts.Hold), r.Context().Done(), held, p.ctx.Done())
		p.forward(w, r, to, f)
	default:
		p.count.faulted.Add(1)
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, p.opts.MaxBody)) // what a network swallows; then the client's end is seen
		p.fail(w, r, f, held)
	}
}

// target is where a request goes, and the name of the host that it asks.
func (p *Proxy) target(r *http.Request) (*url.URL, string, error) {
	if o, ok := r.Context().Value(connKey{}).(*opened); ok {
		name := hostname(o.target)
		if to := p.mapped[name]; to != nil {
			return to, name, nil
		}
		return &url.URL{Scheme: "https", Host: o.target}, name, nil
	}
	if r.URL.IsAbs() {
		if r.URL.Scheme != "http" && r.URL.Scheme != "https" || r.URL.Host == "" {
			return nil, "", errors.New("want a URL of http or https")
		}
		name := hostname(r.URL.Host)
		if to := p.mapped[name]; to != nil {
			return to, name, nil
		}
		if p.own(hostPort(r.URL)) {
			return nil, "", errors.New("the request is for the proxy itself")
		}
		return &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}, name, nil
	}
	if p.upstream == nil {
		return nil, "", errors.New("there is no upstream for requests that are made to the proxy itself: use it as HTTPS_PROXY, or name an upstream")
	}
	if p.own(hostPort(p.upstream)) {
		return nil, "", errors.New("the upstream is the proxy itself")
	}
	return p.upstream, hostname(p.upstream.Host), nil
}

// own reports whether an address is one of the proxy's.
func (p *Proxy) own(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
		return false
	}
	for _, l := range p.listeners {
		if _, own, err := net.SplitHostPort(l.Addr().String()); err == nil && own == port {
			return true
		}
	}
	return false
}

// fail does what a fault says to a request that does not pass.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, f *fault.Fault, held <-chan struct{}) {
	over := r.Context().Done()
	switch f.Kind {
	case fault.BlackHole:
		wait(p.opts.Hold, over, held, p.ctx.Done())
		breakOff(w)
		return
	case fault.Timeout, fault.DialTimeout:
		usual := time.Second
		if f.Kind == fault.DialTimeout {
			usual = 30 * time.Second
		}
		wait(min(cmp.Or(f.Delay, usual), p.opts.Hold), over, held, p.ctx.Done())
		panic(http.ErrAbortHandler) // closed, without an answer
	}
	wait(min(f.Delay, p.opts.Hold), over, held, p.ctx.Done())
	if f.Kind == fault.EOF {
		panic(http.ErrAbortHandler) // closed, without an answer
	}
	if f.Error == nil && f.Kind != fault.Empty && f.Kind != fault.HTML && f.Kind != fault.ErrorPage {
		breakOff(w) // reset; and what concerns the making of a connection, which this one survives no more
		return
	}
	now := *f
	now.Delay = 0 // it has passed
	resp, err := now.RoundTrip(r)
	if err != nil {
		breakOff(w)
		return
	}
	answer(w, resp)
}

// breakOff makes the client see a connection that was reset.
func breakOff(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resetConn(c)
}

func answer(w http.ResponseWriter, resp *http.Response) {
	defer func() { _ = resp.Body.Close() }() // it is in memory
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // a client that has gone is no concern of ours
}

// errTooLong is an answer that is to be damaged and does not fit in memory.
var errTooLong = errors.New("the answer is longer than MaxBody")

// forward passes a request on, and its answer back, damaged as f says.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, to *url.URL, f *fault.Fault) {
	reverse := httputil.ReverseProxy{
		Transport: p.transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(pr *httputil.ProxyRequest) {
			out, in := pr.Out, pr.In
			out.URL.Scheme, out.URL.Host, out.URL.RawQuery = to.Scheme, to.Host, in.URL.RawQuery
			out.Host = in.Host // it is signed
			if prefix := strings.TrimSuffix(to.Path, "/"); prefix != "" {
				out.URL.Path, out.URL.RawPath = prefix+out.URL.Path, ""
			}
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values, ok := in.Header[name]; ok {
					out.Header[name] = values
				}
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if f == nil {
				return nil
			}
			if f.Kind != "" {
				resp.Body = &bounded{ReadCloser: resp.Body, left: p.opts.MaxBody}
			}
			return f.Spoil(resp)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil || errors.Is(err, context.Canceled) {
				panic(http.ErrAbortHandler) // the client has gone
			}
			p.count.upstream.Add(1)
			p.say("%s: %v", to.Host, err)
			http.Error(w, fmt.Sprintf("drill proxy: the upstream %s: %v", to.Host, err), http.StatusBadGateway)
		},
	}
	reverse.ServeHTTP(w, r)
}

// bounded fails where a body is longer than what is left.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

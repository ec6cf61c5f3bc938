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
// A WaitGroup must not be added to while it is waited for at zero; under the lock,
// after the context has ended, nobody is added.
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
// In order: where it goes, what it is, a short body read, and one question to the
// injector. Without a fault it is forwarded; a fault that passes (a delay, a damaged
// answer) is forwarded as well, and any other is answered here. A request that is
// for nobody is 421, and one that cannot be read 400, in the proxy's own words, so
// that it is not taken for a fault.
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
// The three mounts in order: opened TLS, the form for proxies, the reverse mount. A
// name in Options.Map goes to its URL in the first two. A request for the proxy
// itself would go round for ever, and is an error.
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
// All addresses of loopback are one here, and so is 0.0.0.0: only the port tells
// them apart, at the price that another program on the same port of another
// loopback address cannot be reached.
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
// It waits as long as the fault says, and no longer than Hold, the client, Halt or
// Close let it. A refusal with a code is answered in the form of the service; what
// concerns the making of a connection cannot be done to one that exists, so it is
// reset.
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
// On a connection that cannot be taken from the server it is closed instead.
func breakOff(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resetConn(c)
}

// answer writes an answer that was made here, with all of its header.
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
// Nothing that is signed is changed: host, path, query and body stay, and no header
// says that there was a proxy. The answer is passed on as it comes (FlushInterval
// -1). An upstream that fails is a 502 that names it; a client that has gone is no
// failure of the upstream.
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
// Only answers that are to be damaged are bounded, since they are held in memory.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read gives nothing of the part that goes over the bound, and then fails for good.
func (b *bounded) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

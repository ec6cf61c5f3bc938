package faultproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Stats is a snapshot of a proxy's counters since it was started.
type Stats struct {
	Open           int64            `json:"open"`            // connections, now
	Accepted       int64            `json:"accepted"`        // connections
	TurnedAway     int64            `json:"turned_away"`     // because there were MaxConns
	Requests       int64            `json:"requests"`        // that were read, opened ones included
	Tunnels        int64            `json:"tunnels"`         // unopened connections
	Faulted        int64            `json:"faulted"`         // requests and tunnels that a rule has hit
	UpstreamErrors int64            `json:"upstream_errors"` // an upstream that could not be reached, or broke off
	BadRequests    int64            `json:"bad_requests"`    // that could not be read, or are for nobody
	Panics         int64            `json:"panics"`          // contained ones, of hooks too
	Halts          int64            `json:"halts"`           // POST /halt, or Halt
	Calls          map[string]int64 `json:"calls,omitempty"` // requests and tunnels, by service
}

// maxServices bounds Stats.Calls.
// Names are those that clients use, so without a bound a scan would fill memory;
// what is above it is counted as "others".
const maxServices = 256

// counters are Stats.
type counters struct {
	open, accepted, turnedAway, requests, tunnels, faulted, upstream, bad, panics, halts atomic.Int64

	mu    sync.Mutex // guards calls
	calls map[string]int64
}

// called counts a request or tunnel by the service that it is for.
func (c *counters) called(service string) {
	service = clip(service) // a client has chosen it
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.calls[service]; !ok && len(c.calls) >= maxServices {
		service = "others"
	}
	c.calls[service]++
}

// A Proxy is running from Start to Close. All its methods are safe for
// concurrent use.
//
// Fields up to the context are set by newProxy and only read afterwards, or
// safe by themselves; listeners and servers are set by start. Requests of HTTP
// go through data (http.go), CONNECT and tunnels through tunnel.go, and the
// control API is control.go. All three ask the injector, count, and wait on
// held.
type Proxy struct {
	opts     Options
	upstream *url.URL
	mapped   map[string]*url.URL
	ca       *authority
	injector *fault.Injector
	events   *events
	files    files
	count    counters

	transport *http.Transport
	dialer    net.Dialer

	ctx       context.Context // ends with Close
	stop      context.CancelFunc
	all       sync.WaitGroup
	listeners []net.Listener
	servers   []*http.Server
	opened    *handed // connections whose TLS is open
	slots     chan struct{}

	mu      sync.Mutex // guards what follows
	conns   map[net.Conn]struct{}
	release chan struct{} // closed and replaced when held calls are let go
	lease   *time.Timer
	until   time.Time // when the lease ends
	tokens  string
}

// Times of the proxy's own.
const (
	headerTimeout   = 10 * time.Second
	bodyTimeout     = time.Minute // of a request
	idleTimeout     = 90 * time.Second
	dialTimeout     = 10 * time.Second
	answerTimeout   = 2 * time.Minute // until an upstream begins to answer
	tunnelIdle      = 10 * time.Minute
	maxHeader       = 64 << 10
	maxControlBody  = 1 << 20
	shutdownTimeout = 2 * time.Second
)

// Start checks the options, listens, and serves until Close.
// The error is an option that is wrong, a port that is taken, or a file that cannot
// be written; nothing is left behind then. Without Close a proxy runs until the
// process ends, and its files stay.
func Start(o Options) (*Proxy, error) {
	p, err := newProxy(o)
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	if err := p.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("faultproxy: %w", err), p.Close())
	}
	return p, nil
}

// newProxy checks the options and makes everything that needs neither a port
// nor a file, so that what is wrong with options leaves nothing behind.
func newProxy(o Options) (*Proxy, error) {
	p := &Proxy{opts: o, mapped: map[string]*url.URL{}, conns: map[net.Conn]struct{}{}, release: make(chan struct{}), count: counters{calls: map[string]int64{}}}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.slots = make(chan struct{}, p.opts.MaxConns)
	p.events = &events{most: p.opts.MaxEvents}
	p.injector = fault.New(fault.Options{Seed: o.Seed, OnFault: p.events.add})
	p.dialer.Timeout = dialTimeout
	p.transport = &http.Transport{
		DialContext: p.dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout: idleTimeout, MaxIdleConnsPerHost: 64, MaxIdleConns: 256, MaxResponseHeaderBytes: maxHeader,
		DisableCompression: true, // the answer is passed on as it comes
	}
	names := append([]string(nil), p.opts.Open...)
	for name := range p.mapped {
		names = append(names, name)
	}
	var err error
	p.ca, err = newAuthority(names, p.opts.CALife)
	return p, err
}

// start takes the ports, then writes the files, and serves last: who finds the
// token finds a proxy that answers. After an error, Close undoes what was done.
func (p *Proxy) start() error {
	if err := p.files.open(p.opts.Dir); err != nil {
		return err
	}
	data, err := p.listen("Listen", p.opts.Listen)
	if err != nil {
		return err
	}
	control, err := p.listen("Control", p.opts.Control)
	if err != nil {
		return err
	}
	var tunnels []net.Listener
	for _, t := range p.opts.Tunnels {
		l, err := p.listen("Tunnels", t.Listen)
		if err != nil {
			return err
		}
		tunnels = append(tunnels, l)
	}
	if p.tokens, err = newToken(); err != nil {
		return err
	}
	if err := p.files.write(map[string]file{
		tokenFile: {0o600, []byte(p.tokens + "\n")}, caFile: {0o644, p.ca.pem}, bundleFile: {0o644, p.ca.bundle()},
	}); err != nil {
		return err
	}
	p.opened = &handed{conns: make(chan net.Conn), done: p.ctx.Done(), addr: data.Addr()}
	p.serve(&limited{data, p}, http.HandlerFunc(p.data), 0)
	p.serve(p.opened, http.HandlerFunc(p.data), 0)
	p.serve(control, p.control(), time.Minute)
	for i, l := range tunnels {
		p.all.Go(func() { p.accept(&limited{l, p}, p.opts.Tunnels[i]) })
	}
	return nil
}

// listen takes an address, and names the option if it cannot be had. Listeners
// are kept in order: data, control, tunnels.
func (p *Proxy) listen(field, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("Options.%s: %w", field, err)
	}
	p.listeners = append(p.listeners, l)
	return l, nil
}

// serve runs an HTTP server; limit bounds a whole request, 0: only its parts.
func (p *Proxy) serve(l net.Listener, h http.Handler, limit time.Duration) {
	s := &http.Server{
		Handler: p.contained(h), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ReadTimeout: limit, WriteTimeout: limit,
		ErrorLog: log.New(io.Discard, "", 0), // what a client does wrong is no news
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	p.servers = append(p.servers, s)
	p.all.Go(func() { _ = s.Serve(l) }) // it returns when the server is closed
}

// connKey is where a request's context has the connection it came on, by which
// [Proxy.target] knows that TLS was opened, and for whom.
type connKey struct{}

// contained keeps a panic from ending the process, and counts it.
// The connection is broken off in either case: half of an answer may have been
// written.
func (p *Proxy) contained(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v != http.ErrAbortHandler { //nolint:errorlint // it is that value
					p.count.panics.Add(1)
					p.say("a panic was contained: %v", v)
				}
				panic(http.ErrAbortHandler) // which the server takes as: break off
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// say tells Options.Log, whose panics are counted and go no further.
func (p *Proxy) say(format string, args ...any) {
	if p.opts.Log == nil {
		return
	}
	defer func() {
		if recover() != nil {
			p.count.panics.Add(1)
		}
	}()
	p.opts.Log(printable(fmt.Sprintf(format, args...)))
}

// printable bounds a line, and keeps names that a client has chosen from drawing
// in a terminal.
func printable(s string) string {
	return clip(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s))
}

// Close ends the proxy: listeners, connections, held calls, files. It waits for
// all of its goroutines.
// It takes at most shutdownTimeout for servers that have requests, and then breaks
// off what is still open. It may be called again, and after a start that has failed
// half way. The order matters: the context ends first, so that nothing new is
// entered (see enter), then waits are let go, and only then does it wait. The error
// is that of a file that cannot be removed.
func (p *Proxy) Close() error {
	p.stop()
	p.mu.Lock()
	if p.lease != nil {
		p.lease.Stop()
	}
	p.mu.Unlock()
	p.letGo()
	for _, l := range p.listeners {
		_ = l.Close() // a second time is an error
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	for _, s := range p.servers {
		if s.Shutdown(ctx) != nil {
			_ = s.Close() // what has not ended by now is broken off
		}
	}
	p.mu.Lock()
	open := slices.Collect(maps.Keys(p.conns))
	p.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // they are being broken off
	}
	p.all.Wait()
	p.transport.CloseIdleConnections()
	return p.files.remove()
}

// Injector is what holds the rules.
// Rules that are set with it have no lease, and do not end waits of earlier ones:
// see [Proxy.Halt].
func (p *Proxy) Injector() *fault.Injector { return p.injector }

// Halt clears all rules and lets go of what they hold: held requests are broken
// off.
func (p *Proxy) Halt() {
	p.count.halts.Add(1)
	p.injector.Clear()
	p.letGo()
}

// letGo ends black holes and other waits.
// The channel is replaced, so a call that begins to wait now waits for the next one.
func (p *Proxy) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.release)
	p.release = make(chan struct{})
}

// held is closed when held calls are let go.
// A call takes it before it asks the injector: rules that are cleared in between
// end its wait at once.
func (p *Proxy) held() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.release
}

// Stats returns a snapshot.
// The counters are read one after the other, so they may differ by what came in
// between.
func (p *Proxy) Stats() Stats {
	c := &p.count
	c.mu.Lock()
	calls := maps.Clone(c.calls)
	c.mu.Unlock()
	return Stats{
		Open: c.open.Load(), Accepted: c.accepted.Load(), TurnedAway: c.turnedAway.Load(), Requests: c.requests.Load(), Tunnels: c.tunnels.Load(),
		Faulted: c.faulted.Load(), UpstreamErrors: c.upstream.Load(), BadRequests: c.bad.Load(),
		Panics: c.panics.Load() + p.injector.Stats().HookPanics, Halts: c.halts.Load(), Calls: calls,
	}
}

// URL is the proxy's own, for AWS_ENDPOINT_URL_DYNAMODB or HTTPS_PROXY.
func (p *Proxy) URL() string { return "http://" + p.listeners[0].Addr().String() }

// ControlURL is that of the control API.
func (p *Proxy) ControlURL() string { return "http://" + p.listeners[1].Addr().String() }

// TunnelAddr is where the i-th tunnel listens.
func (p *Proxy) TunnelAddr(i int) string { return p.listeners[2+i].Addr().String() }

// TokenFile is the file with the control API's token.
func (p *Proxy) TokenFile() string { return p.files.name(tokenFile) }

// CAFile is the file with the drill's authority alone, for programs that add it
// to those that they trust.
func (p *Proxy) CAFile() string { return p.files.name(caFile) }

// BundleFile is the file with the authority beside those that this machine
// trusts, for programs that replace them.
func (p *Proxy) BundleFile() string { return p.files.name(bundleFile) }

// Environment is what makes a program use the proxy: NAME=VALUE, in the order
// in which it is best read.
// The names are those that programs look for: HTTPS_PROXY in both cases for Go, curl
// and Python, AWS_CA_BUNDLE for the AWS SDKs and CLI, NODE_EXTRA_CA_CERTS and
// NODE_USE_ENV_PROXY for Node.js, SSL_CERT_FILE for Go and OpenSSL, the last two for
// Python's requests and curl. NO_PROXY keeps what is on this machine out of it, the
// control API too.
func (p *Proxy) Environment() []string {
	env := []string{
		"HTTPS_PROXY=" + p.URL(), "https_proxy=" + p.URL(),
		"NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1",
		"AWS_CA_BUNDLE=" + p.BundleFile(), "NODE_EXTRA_CA_CERTS=" + p.CAFile(), "NODE_USE_ENV_PROXY=1",
		"SSL_CERT_FILE=" + p.BundleFile(), "REQUESTS_CA_BUNDLE=" + p.BundleFile(), "CURL_CA_BUNDLE=" + p.BundleFile(),
	}
	if p.upstream != nil {
		env = append(env, "AWS_ENDPOINT_URL_DYNAMODB="+p.URL())
	}
	return append(env, "DRILL_CONTROL="+p.ControlURL(), "DRILL_TOKEN_FILE="+p.TokenFile())
}

// tlsConfig opens TLS for one name.
// HTTP/2 is not offered: one connection would then have many requests, and a fault
// that breaks the connection would hit calls that no rule names.
func (p *Proxy) tlsConfig(name string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.ca.certificate(name) },
	}
}

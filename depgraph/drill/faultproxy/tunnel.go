package faultproxy

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// atConnect are the rules that a proxy can apply before there is a connection.
// It is asked before there is an upstream, so a rule that hits here costs no
// connection.
func atConnect(r fault.Rule) bool {
	return r.Net == fault.Refuse || r.Net == fault.NXDomain || r.Net == fault.DialTimeout || r.Net == fault.TLS
}

// inTunnel are the rules that can be applied to bytes of which nobody knows what
// they mean.
// Errors and damaged answers need somebody who can read the bytes; TLS was tried at
// the beginning.
func inTunnel(r fault.Rule) bool {
	return r.Error == nil && !slices.Contains([]fault.Kind{fault.Corrupt, fault.Empty, fault.HTML, fault.ErrorPage, fault.Stall, fault.Drip, fault.CutRequest, fault.TLS}, r.Net)
}

// serviceOf is the service of AWS whose endpoint a name is, and its region; for
// other names, the name.
// The forms are SERVICE.REGION.SUFFIX, SERVICE.SUFFIX and names in front of either:
// a bucket, an account. A region is known by its two hyphens. See "AWS service
// endpoints" in the AWS General Reference.
func serviceOf(name string) (service, region string) {
	rest := name
	for _, suffix := range []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws"} {
		rest = strings.TrimSuffix(rest, suffix)
	}
	if rest == name {
		return name, ""
	}
	labels := strings.Split(rest, ".")
	if last := labels[len(labels)-1]; len(labels) > 1 && strings.Count(last, "-") >= 2 {
		region, labels = last, labels[:len(labels)-1]
	}
	service = strings.TrimSuffix(labels[len(labels)-1], "-fips")
	if service == "ddb" { // an endpoint of one account
		service = "dynamodb"
	}
	if id, ok := serviceIDs[service]; ok {
		service = id
	}
	return service, region
}

// connect serves a CONNECT: the beginning of what HTTPS_PROXY does.
// A fault of making a connection is answered before there is one: 502, or 504 after
// the time that it takes. Otherwise the client is told that it is connected, and
// its first byte decides: TLS to a name that the authority covers is opened, and
// everything else is a tunnel. After the hijack nobody else closes the connection.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Host
	if to == "" {
		to = r.Host
	}
	host, port, err := net.SplitHostPort(to)
	if number, portErr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || portErr != nil || number == 0 {
		p.count.bad.Add(1)
		http.Error(w, "drill proxy: CONNECT wants HOST:PORT", http.StatusBadRequest)
		return
	}
	name := hostname(to)
	if p.own(to) {
		p.count.bad.Add(1)
		http.Error(w, "drill proxy: the request is for the proxy itself", http.StatusMisdirectedRequest)
		return
	}
	c := fault.Call{Operation: "CONNECT"}
	c.Service, c.Region = serviceOf(name)
	held := p.held()
	if f := p.injector.NextIf(r.Context(), c, atConnect); f != nil {
		p.count.faulted.Add(1)
		p.count.called(c.Service)
		delay, status := f.Delay, http.StatusBadGateway
		if f.Kind == fault.DialTimeout {
			delay, status = cmp.Or(delay, 30*time.Second), http.StatusGatewayTimeout
		}
		wait(min(delay, p.opts.Hold), r.Context().Done(), held, p.ctx.Done())
		if f.Kind == fault.TLS {
			failHandshake(w)
			return
		}
		http.Error(w, "drill proxy: "+string(f.Kind), status)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.SetDeadline(time.Now().Add(headerTimeout))
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = conn.Close()
		return
	}
	client := &buffered{Conn: conn, r: rw.Reader}
	if p.ca.covers(name) && isTLS(rw.Reader) {
		p.open(client, name, to)
		return
	}
	p.count.called(c.Service)
	c.Operation = "data"
	p.tunnel(client, to, c)
}

// failHandshake lets a client connect, and answers its TLS with the alert of a
// certificate that has run out.
// An alert that comes before the server has said anything is plain text (RFC 8446,
// section 6), so no certificate is needed. What the client has sent is read first:
// closing a socket with unread bytes resets it, and the alert would be lost.
func failHandshake(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(headerTimeout))
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil || !isTLS(rw.Reader) {
		return
	}
	const alert, fatal, certificateExpired = 21, 2, 45
	_, _ = conn.Write([]byte{alert, 3, 3, 0, 2, fatal, certificateExpired}) // the client may have left
	_, _ = io.CopyN(io.Discard, rw, int64(rw.Reader.Buffered()))            // or the end is a reset
}

// isTLS reports whether the first byte is that of a TLS handshake.
// A client that says nothing within the deadline is not TLS. 22 is the content type
// of a handshake record (RFC 8446, section 5.1).
func isTLS(r *bufio.Reader) bool {
	first, err := r.Peek(1)
	return err == nil && first[0] == 22
}

// open ends the client's TLS here, and hands the connection to the server.
// A handshake that fails usually means that the program does not trust the drill's
// authority, so it is said in the log, by the name.
func (p *Proxy) open(client net.Conn, name, to string) {
	secure := tls.Server(client, p.tlsConfig(name))
	if err := secure.HandshakeContext(p.ctx); err != nil {
		p.count.bad.Add(1)
		p.say("%s: the client does not trust the drill's authority, or asks for something else: %v", name, err)
		_ = client.Close()
		return
	}
	_ = client.SetDeadline(time.Time{}) // the server has its own
	if !p.opened.hand(&opened{Conn: secure, raw: client, target: to}) {
		_ = client.Close()
	}
}

// accept serves a tunnel with an address of its own.
// It returns when the listener is closed. Each connection is a goroutine of its own,
// in which a panic ends that connection only. A fault of making a connection is a
// reset right after the connection was made: before that the kernel has answered
// for us.
func (p *Proxy) accept(l net.Listener, t Tunnel) {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) || err != nil && p.ctx.Err() != nil {
			return
		}
		if err != nil { // out of file descriptors, say
			p.say("%s: %v", l.Addr(), err)
			if !wait(100*time.Millisecond, p.ctx.Done()) {
				return
			}
			continue
		}
		if !p.enter() {
			_ = client.Close()
			return
		}
		go func() {
			defer p.all.Done()
			defer func() {
				if v := recover(); v != nil {
					p.count.panics.Add(1)
					p.say("a panic was contained: %v", v)
					_ = client.Close()
				}
			}()
			p.count.called(t.Name)
			c := fault.Call{Service: t.Name, Operation: "connect"}
			held := p.held()
			if f := p.injector.NextIf(p.ctx, c, atConnect); f != nil {
				p.count.faulted.Add(1)
				delay := f.Delay
				if f.Kind == fault.DialTimeout {
					delay = cmp.Or(delay, 30*time.Second)
				}
				wait(min(delay, p.opts.Hold), held, p.ctx.Done())
				resetConn(client)
				return
			}
			c.Operation = "data"
			p.tunnel(client, t.To, c)
		}()
	}
}

// stream is one tunnel.
// up (the client's bytes) decides about faults and down (the answers) carries them
// out; they share the atomics. Each reads one side and writes the other, so reads
// need no lock. tunnel waits for both.
type stream struct {
	p                *Proxy
	client, upstream net.Conn
	call             fault.Call
	active           atomic.Int64 // unix ns of the last byte, either way
	rate             atomic.Int64 // of the answers, bytes a second; 0: no limit
	limit            atomic.Int64 // bytes of the answers that are left; negative: all
	swallow          atomic.Bool  // nothing reaches the client any more
}

// tunnel passes bytes both ways until one side ends, or a fault does it. It
// closes the client.
func (p *Proxy) tunnel(client net.Conn, to string, c fault.Call) {
	p.count.tunnels.Add(1)
	upstream, err := p.dialer.DialContext(p.ctx, "tcp", to)
	if err != nil {
		p.count.upstream.Add(1)
		p.say("%s: %v", to, err)
		resetConn(client)
		return
	}
	s := &stream{p: p, client: client, upstream: upstream, call: c}
	s.limit.Store(-1)
	_ = client.SetDeadline(time.Time{}) // each read has its own
	done := make(chan struct{})
	closing := make(chan struct{})
	go func() { // Close ends both sides
		defer close(closing)
		select {
		case <-p.ctx.Done():
			_ = upstream.Close()
			_ = client.Close()
		case <-done:
		}
	}()
	down := make(chan struct{})
	go func() { defer close(down); s.down() }()
	s.up()
	<-down
	close(done)
	<-closing
	_ = upstream.Close()
	_ = client.Close()
}

// read waits for bytes of a side that may be silent as long as the other is not.
// Either direction that is active keeps the other one alive, up to tunnelIdle: a
// client of a queue may say nothing for hours while messages come.
func (s *stream) read(c net.Conn, buf []byte) (int, error) {
	for {
		_ = c.SetReadDeadline(time.Now().Add(tunnelIdle))
		n, err := c.Read(buf)
		if n > 0 {
			s.active.Store(time.Now().UnixNano())
		}
		var timeout net.Error
		if n == 0 && errors.As(err, &timeout) && timeout.Timeout() && time.Since(time.Unix(0, s.active.Load())) < tunnelIdle {
			continue
		}
		return n, err
	}
}

// down passes the answers on.
// With a limit on bandwidth it reads a tenth of a second's worth at a time and waits
// as long as that takes, so a change of the rate is felt soon. A limit on bytes cuts
// in the middle of what was read. An end of file is passed on as one; any other end
// closes the client.
func (s *stream) down() {
	buf := make([]byte, 32<<10)
	for {
		part := buf
		rate := s.rate.Load()
		if step := max(1, rate/10); rate > 0 && step < int64(len(part)) {
			part = part[:step]
		}
		n, err := s.read(s.upstream, part)
		if s.swallow.Load() {
			return // what comes next is up's
		}
		if rate = s.rate.Load(); rate > 0 && n > 0 {
			wait(time.Duration(float64(n)/float64(rate)*float64(time.Second)), s.p.ctx.Done())
		}
		last := false
		if limit := s.limit.Load(); limit >= 0 {
			if int64(n) >= limit {
				n, last = int(limit), true
			}
			s.limit.Add(-int64(n))
		}
		if n > 0 {
			_ = s.client.SetWriteDeadline(time.Now().Add(tunnelIdle))
			if _, err := s.client.Write(part[:n]); err != nil {
				_ = s.upstream.Close()
				return
			}
		}
		if last {
			_ = s.upstream.Close()
			_ = s.client.Close()
			return
		}
		if err != nil {
			closeWrite(s.client)
			if !errors.Is(err, io.EOF) {
				_ = s.client.Close()
			}
			return
		}
	}
}

// up passes the client's bytes on, and asks for a fault whenever some come.
// A tunnel has no requests, so each read asks for a fault: a rule that hits every
// second call hits every second piece of what the client sends.
func (s *stream) up() {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.read(s.client, buf)
		if n > 0 {
			if s.p.injector.Active() {
				if ended := s.apply(); ended {
					return
				}
			} else {
				s.rate.Store(0)
			}
			_ = s.upstream.SetWriteDeadline(time.Now().Add(tunnelIdle))
			if _, err := s.upstream.Write(buf[:n]); err != nil {
				_ = s.client.Close()
				return
			}
		}
		if err != nil {
			closeWrite(s.upstream)
			if !errors.Is(err, io.EOF) {
				_ = s.upstream.Close()
			}
			return
		}
	}
}

// apply asks for a fault, and reports whether it has ended the tunnel.
// false means that the bytes go on: after a delay, or with the answers slowed down
// or cut. What ends a tunnel lets nothing through that comes after it (swallow).
func (s *stream) apply() (ended bool) {
	held := s.p.held()
	f := s.p.injector.NextIf(s.p.ctx, s.call, inTunnel)
	if f == nil {
		s.rate.Store(0)
		return false
	}
	s.p.count.faulted.Add(1)
	s.rate.Store(f.Bandwidth)
	switch f.Kind {
	case fault.BlackHole:
		s.hold(s.p.opts.Hold, held)
		resetConn(s.client)
		return true
	case fault.Timeout:
		s.hold(min(cmp.Or(f.Delay, time.Second), s.p.opts.Hold), held)
		_ = s.client.Close()
		return true
	}
	wait(min(f.Delay, s.p.opts.Hold), held, s.p.ctx.Done())
	switch f.Kind {
	case "":
		return false
	case fault.Truncate:
		s.limit.Store(f.Bytes)
		return false
	}
	s.swallow.Store(true)
	if f.Kind == fault.EOF {
		_ = s.client.Close()
		_ = s.upstream.Close()
		return true
	}
	resetConn(s.client) // reset, and what ends every connection
	_ = s.upstream.Close()
	return true
}

// hold swallows everything for a while, or until the client gives up.
// The upstream is closed at once, since nobody waits for it. The client's bytes are
// read and thrown away, so that it does not notice a full buffer, until d, Halt or
// Close: these end the read by a deadline in the past.
func (s *stream) hold(d time.Duration, held <-chan struct{}) {
	s.swallow.Store(true)
	_ = s.upstream.Close()
	_ = s.client.SetReadDeadline(time.Now().Add(d))
	over, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-held:
			_ = s.client.SetReadDeadline(time.Unix(1, 0))
		case <-s.p.ctx.Done():
			_ = s.client.SetReadDeadline(time.Unix(1, 0))
		case <-over:
		}
	}()
	_, _ = io.Copy(io.Discard, s.client) // until the deadline, or the client's end
	close(over)
	<-watched
}

// closeWrite tells a peer that nothing more comes.
// It looks through the wrappers for a half that can be closed; a connection that has
// none is closed as a whole.
func closeWrite(c net.Conn) {
	for {
		switch v := c.(type) {
		case *buffered:
			c = v.Conn
			continue
		case *tracked:
			c = v.Conn
			continue
		case interface{ CloseWrite() error }:
			_ = v.CloseWrite() // a peer that has gone knows
		default:
			_ = c.Close()
		}
		return
	}
}

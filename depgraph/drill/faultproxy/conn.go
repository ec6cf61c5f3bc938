package faultproxy

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// limited accepts connections up to the bound and knows those that are open.
//
// This file is what is between the proxy and a socket: limited and tracked for
// clients, opened where TLS was opened, buffered where something was read
// ahead, and handed, which makes a server of net/http out of connections that
// exist already. Each can be reset, whatever it is wrapped in.
type limited struct {
	net.Listener
	proxy *Proxy
}

// Accept turns away what is beyond Options.MaxConns by closing it at once. A
// client sees an end of file and tries again; waiting in the kernel's queue
// would look like a fault that nobody has asked for.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.proxy.slots <- struct{}{}:
			return l.proxy.track(c), nil
		default:
			l.proxy.count.turnedAway.Add(1)
			_ = c.Close() // there is no room
		}
	}
}

// tracked is a connection of a client.
// Its slot and its place in Proxy.conns are given back by the first Close.
type tracked struct {
	net.Conn
	once   sync.Once
	closed func()
}

// track notes a connection, so that Close can break it off, until it is closed,
// which also gives its slot back, once.
func (p *Proxy) track(c net.Conn) net.Conn {
	p.count.accepted.Add(1)
	p.count.open.Add(1)
	t := &tracked{Conn: c}
	t.closed = func() {
		p.mu.Lock()
		delete(p.conns, t)
		p.mu.Unlock()
		p.count.open.Add(-1)
		<-p.slots
	}
	p.mu.Lock()
	p.conns[t] = struct{}{}
	p.mu.Unlock()
	return t
}

func (t *tracked) Close() error {
	t.once.Do(t.closed)
	return t.Conn.Close()
}

// resetter is a connection that can be broken.
type resetter interface{ reset() }

// reset makes the peer see "connection reset by peer".
func (t *tracked) reset() {
	if tcp, ok := t.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // if it cannot be reset, it is closed
	}
	_ = t.Close()
}

// opened is a connection whose TLS the proxy has opened.
type opened struct {
	net.Conn          // TLS
	raw      net.Conn // below it
	target   string   // host:port that the client has asked for
}

func (o *opened) reset() { resetConn(o.raw) }

// resetConn breaks a connection as deep as it can reach.
func resetConn(c net.Conn) {
	if r, ok := c.(resetter); ok {
		r.reset()
		return
	}
	_ = c.Close() // there is no other way
}

// buffered is a connection of which something was read already.
// Reads come from r first; writes go to the connection.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

func (b *buffered) reset() { resetConn(b.Conn) }

// handed is a listener whose connections are handed to it.
// net/http serves listeners only; this makes one of connections whose TLS was ended
// by the proxy. It ends with the proxy's context, and Close does nothing.
type handed struct {
	conns chan net.Conn
	done  <-chan struct{}
	addr  net.Addr
}

// hand waits until the server takes the connection; false if it has ended, and
// the connection is still the caller's to close.
func (h *handed) hand(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener; it ends with the proxy.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error   { return nil } // done ends it
func (h *handed) Addr() net.Addr { return h.addr }

// wait waits for d, or until something ends it. It reports whether d has passed.
// There may be up to three ends; nil ones never happen. d of 0 or less has passed at
// once, unless an end has come as well: then either may be seen.
func wait(d time.Duration, ends ...<-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for len(ends) < 3 {
		ends = append(ends, nil)
	}
	select {
	case <-timer.C:
		return true
	case <-ends[0]:
	case <-ends[1]:
	case <-ends[2]:
	}
	return false
}

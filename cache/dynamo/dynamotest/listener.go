package dynamotest

import (
	"net"
	"os"
	"sync"
	"time"
)

// listener is a TCP listener on a fixed address that can stop accepting, drop
// SYNs, and close and open again, while http.Server waits in Accept.
type listener struct {
	network *network
	addr    *net.TCPAddr
	closed  chan struct{}

	mu      sync.Mutex
	tcp     *net.TCPListener // nil while refusing
	state   Kind
	wake    chan struct{} // closed when tcp or state changes
	fillers []net.Conn    // connections that keep the queue full
	live    map[*conn]struct{}
}

// newListener is a listener that can be made deaf, full or gone under a server
// that knows nothing of it.
func newListener(n *network, tcp *net.TCPListener) *listener {
	return &listener{
		network: n,
		addr:    tcp.Addr().(*net.TCPAddr),
		closed:  make(chan struct{}),
		tcp:     tcp,
		wake:    make(chan struct{}),
		live:    map[*conn]struct{}{},
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

// Accept waits while the state does not accept, whatever that takes, and fails
// only after Close.
func (l *listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		tcp, state, wake := l.tcp, l.state, l.wake
		l.mu.Unlock()
		if tcp == nil || state == Backlog || state == BlackHole {
			select {
			case <-wake:
				continue
			case <-l.closed:
				return nil, net.ErrClosed
			}
		}
		c, err := tcp.AcceptTCP()
		if err == nil {
			if admitted := l.admit(c); admitted != nil {
				return admitted, nil
			}
			continue
		}
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case <-wake: // it was interrupted by apply
		default:
			if !os.IsTimeout(err) {
				return nil, err
			}
		}
	}
}

// admit wraps a connection, or resets it and returns nil.
func (l *listener) admit(c *net.TCPConn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.network.connections.Add(1)
	if l.state == Reset || l.state == Refuse {
		reset(c)
		return nil
	}
	w := &conn{TCPConn: c, listener: l, closed: make(chan struct{})}
	l.live[w] = struct{}{}
	return w
}

// apply brings the listener into a state. http.Server keeps waiting in Accept
// meanwhile.
func (l *listener) apply(state Kind) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state == l.state {
		return nil
	}
	if l.tcp == nil {
		tcp, err := net.ListenTCP("tcp", l.addr)
		if err != nil {
			return err
		}
		l.tcp = tcp
	}
	if l.state == BlackHole {
		if err := l.stopDropping(); err != nil {
			return err
		}
	}
	was := l.state
	l.state = state
	l.interrupt()
	switch state {
	case BlackHole:
		if err := l.drop(); err != nil {
			l.state = was
			l.interrupt()
			return err
		}
	case Refuse:
		_ = l.tcp.Close() // it was open
		l.tcp = nil
		l.resetLive()
	case Reset:
		l.resetLive()
	}
	return nil
}

// interrupt gets Accept out of the kernel, to look at the state again. In the
// states that do not accept, the deadline stays in the past.
func (l *listener) interrupt() {
	_ = l.tcp.SetDeadline(time.Unix(1, 0)) // it is open
	close(l.wake)
	l.wake = make(chan struct{})
	if l.state != Backlog && l.state != BlackHole {
		_ = l.tcp.SetDeadline(time.Time{})
	}
}

func (l *listener) resetLive() {
	for c := range l.live {
		reset(c.TCPConn)
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // close with RST
	_ = c.Close()
}

// Close ends the listener and lets Accept return.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return nil
	default:
	}
	close(l.closed)
	for _, c := range l.fillers {
		_ = c.Close()
	}
	l.fillers = nil
	if l.tcp != nil {
		return l.tcp.Close()
	}
	return nil
}

// conn is a connection whose reads and writes wait while the network is
// silent.
type conn struct {
	*net.TCPConn
	listener *listener
	once     sync.Once
	closed   chan struct{}
}

// Read hides what has arrived while nobody is to hear it.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 && !c.audible() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write says nothing while nobody is to hear it.
func (c *conn) Write(b []byte) (int, error) {
	if !c.audible() {
		return 0, net.ErrClosed
	}
	return c.TCPConn.Write(b)
}

// audible waits until the network is not silent, and reports false if the
// connection was closed first.
func (c *conn) audible() bool {
	for {
		state, changed := c.listener.network.get()
		if state != Hang && state != BlackHole {
			return true
		}
		select {
		case <-changed:
		case <-c.closed:
			return false
		}
	}
}

// Close ends the connection, and the waits for the network to come back on it.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.listener.mu.Lock()
		delete(c.listener.live, c)
		c.listener.mu.Unlock()
	})
	return c.TCPConn.Close()
}

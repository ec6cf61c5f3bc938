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
	// closed is closed by Close, once.
	closed chan struct{}

	// mu guards what follows. It is not held in Accept, which may wait for
	// hours.
	mu  sync.Mutex
	tcp *net.TCPListener // nil while refusing
	// state is Intact or one of networkKinds.
	state Kind
	wake  chan struct{} // closed when tcp or state changes
	// fillers belong to BlackHole: drop makes them, stopDropping takes them
	// away.
	fillers []net.Conn // connections that keep the queue full
	// live are the connections that Reset and Refuse break.
	live map[*conn]struct{}
}

// newListener is a listener that can be made deaf, full or gone under a server
// that knows nothing of it.
//
// It takes tcp over, and opens it again at the same address after Refuse.
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

// Addr stays the same while nothing listens there.
func (l *listener) Addr() net.Addr { return l.addr }

// Accept waits while the state does not accept, whatever that takes, and fails
// only after Close.
//
// An error would end http.Server, so a listener that is closed for a while, or
// whose deadline has passed, is not one. It looks at the state anew whenever
// wake is closed.
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
//
// A connection that was reset is counted as well: the client has had one.
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
//
// An error leaves the state as it was, as far as the operating system lets it:
// a port that somebody else has taken while it was refused cannot be opened
// again. Going from one fault to another passes through Intact. The caller
// holds transport.mu, so two never run at once.
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

// resetLive breaks what is open. The connections take themselves out of live
// when http.Server closes them. The lock is held.
func (l *listener) resetLive() {
	for c := range l.live {
		reset(c.TCPConn)
	}
}

// reset closes with RST, which a client sees as "connection reset by peer".
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // close with RST
	_ = c.Close()
}

// Close ends the listener and lets Accept return.
//
// It may be called more than once.
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
	// once lets Close be called from the server and from a fault.
	once   sync.Once
	closed chan struct{}
}

// Read hides what has arrived while nobody is to hear it.
//
// Bytes that arrive are held back until the network is intact, and are then
// read: a request that was sent into silence is handled late, as a
// retransmission would be.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 && !c.audible() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write says nothing while nobody is to hear it.
//
// It waits and does not fail, as a write into a dead network fills the kernel's
// buffer.
func (c *conn) Write(b []byte) (int, error) {
	if !c.audible() {
		return 0, net.ErrClosed
	}
	return c.TCPConn.Write(b)
}

// audible waits until the network is not silent, and reports false if the
// connection was closed first.
//
// Close ends the wait, hence a server that is closed leaves no goroutine here.
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

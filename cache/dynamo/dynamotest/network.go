package dynamotest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// network is the gate that connections pass.
type network struct {
	mu sync.Mutex
	// state is Intact or one of networkKinds; Accept, conn and pass look at
	// it.
	state       Kind
	changed     chan struct{} // closed at the next change
	connections atomic.Int64
}

// get returns the state of the network.
// The channel is closed when the state is no longer the one returned.
func (n *network) get() (Kind, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state, n.changed
}

// set changes the state of the network for connections that exist and those to
// come; who waits for a change is woken.
func (n *network) set(state Kind) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != state {
		n.state = state
		close(n.changed)
		n.changed = make(chan struct{})
	}
}

// pass is the gate for a request in memory.
//
// Hang, BlackHole and Backlog are the same here: the request waits until the
// network is intact or its context ends.
func (n *network) pass(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		state, changed := n.get()
		switch state {
		case Intact:
			return nil
		case Refuse:
			return errRefused
		case Reset:
			return errConnReset
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// transport is the TCP side of a Server: everything that Start makes.
type transport struct {
	mu sync.Mutex // guards what follows; held while the listener changes
	// All three are nil while the server is not started.
	inner  *listener
	server *http.Server
	done   *sync.WaitGroup // the serving goroutine, and each connection's
}

// Start listens on Options.Addr and serves in the background until
// [Server.Close].
//
// A state that SetNetwork has set before is in force from the first connection
// on. The error is that of net.Listen, that it runs already, or that the system
// cannot do the state.
func (s *Server) Start() error {
	t := &s.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server != nil {
		return errors.New("dynamotest: the server has been started already")
	}
	tcp, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("dynamotest: %w", err)
	}
	l := newListener(&s.network, tcp.(*net.TCPListener))
	done := new(sync.WaitGroup)
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				done.Add(1)
			case http.StateHijacked, http.StateClosed:
				done.Done()
			}
		},
	}
	done.Go(func() {
		_ = srv.Serve(l) // always ErrServerClosed: the listener ends with the server
	})
	t.inner, t.server, t.done = l, srv, done
	return l.apply(s.network.current())
}

// current is get without the channel.
func (n *network) current() Kind {
	state, _ := n.get()
	return state
}

// URL is the endpoint of a started server, such as "http://127.0.0.1:40013",
// and "" before.
func (s *Server) URL() string {
	t := &s.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inner == nil {
		return ""
	}
	return "http://" + t.inner.addr.String()
}

// Close ends the listener and all connections, and waits for them. The tables
// stay, and Start may be called again. Without Start it does nothing.
//
// Handlers that hang see their request's context end. The state of the network
// stays for the next Start.
func (s *Server) Close() {
	t := &s.transport
	t.mu.Lock()
	srv, done := t.server, t.done
	t.inner, t.server, t.done = nil, nil, nil
	t.mu.Unlock()
	if srv == nil {
		return
	}
	_ = srv.Close() // closes our listener, whose Close does not fail
	done.Wait()
}

// SetNetwork changes the state of the network, for new connections and live
// ones: [Hang], [BlackHole], [Backlog], [Refuse] and [Reset] are possible, and
// [Intact], which mends it. It returns an error if the operating system cannot
// do it, or if the port was taken by somebody else while it was [Refuse]; the
// state is then the one before.
//
// The listener is changed before the state that connections look at, so that
// none is accepted in between.
func (s *Server) SetNetwork(state Kind) error {
	if state != Intact && !slices.Contains(networkKinds, state) {
		return fmt.Errorf("dynamotest: SetNetwork: %q is no state of a network; want one of %v", state, networkKinds)
	}
	t := &s.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inner != nil {
		if err := t.inner.apply(state); err != nil {
			return fmt.Errorf("dynamotest: %w", err)
		}
	}
	s.network.set(state)
	return nil
}

package ststest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/internal/hook"
	"github.com/failopen/failopen/cache/dynamo/internal/iam"
	"github.com/failopen/failopen/cache/dynamo/internal/inmemory"
)

// A Request is what a fault hook sees.
//
// A Request is read before the signature is verified, and the hook must not
// take any of it for proven.
type Request struct {
	Service   string // sts, iam or kms
	Action    string // such as AssumeRole; JWKS and OpenIDConfiguration for the issuer's documents; "" if it is not implemented
	AccessKey string // as claimed: the signature has not been checked yet
}

// A Fault is what goes wrong with one request: first Delay passes, then it is
// answered with Code, if that is set.
type Fault struct {
	// Delay before the answer, cut short if the client gives up.
	Delay time.Duration

	// Code of an error answer such as "ThrottlingException", with its
	// HTTP status (default 400); the action does not happen.
	Code    string
	Message string
	Status  int
}

// SetFault replaces the fault hook: a function that is asked about each
// request, on the request's own goroutine, and must be safe for concurrent
// use. nil removes it. For an endpoint that cannot be reached, see
// [Server.Close], and package depgraph/drill/fault for faults on the client's
// side.
func (s *Server) SetFault(hook func(*Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed = s.missed || s.unhit()
	s.fault, s.hit = hook, false
}

// MustHit makes the test fail at its end for a fault hook that has broken nothing
// while it was set, from now on: most likely a name in it is misspelt, or nothing
// has asked, and what the test has seen proves nothing.
func (s *Server) MustHit(t dynamotest.TB) {
	t.Helper()
	s.mu.Lock()
	s.missed = false
	s.mu.Unlock()
	t.Cleanup(func() {
		t.Helper()
		s.mu.Lock()
		missed := s.missed || s.unhit()
		s.mu.Unlock()
		if missed {
			t.Errorf("ststest: the fault hook has broken nothing")
		}
	})
}

// unhit reports whether there is a hook that has broken nothing. The lock is
// held.
func (s *Server) unhit() bool { return s.fault != nil && !s.hit }

// disturb does what the fault hook says, and reports whether the request goes
// on.
//
// The hook runs without the lock, since it may call the server's own methods,
// and is looked up for each request, so that SetFault acts from the next one
// on. A hook that answers with an empty Fault has hit nothing.
func (s *Server) disturb(w http.ResponseWriter, r *http.Request, in request) bool {
	s.mu.Lock()
	ask := s.fault
	s.mu.Unlock()
	if ask == nil {
		return true
	}
	sig, _ := iam.ParseSignature(r) // its absence is found later
	f := ask(&Request{Service: in.service, Action: in.action, AccessKey: sig.AccessKey})
	if f == nil || *f == (Fault{}) {
		return true
	}
	s.mu.Lock()
	s.hit = true
	s.mu.Unlock()
	if wrong := hook.Answer(*f).Wrong("AccessDenied"); wrong != "" {
		in.write(w, nil, invalid("ststest: the fault hook's answer is wrong: %s", wrong), s.requestID())
		return false
	}
	if f.Delay > 0 && !hook.Sleep(r, f.Delay) {
		return false
	}
	if f.Code == "" {
		return true
	}
	in.write(w, nil, &apiError{cmp.Or(f.Status, http.StatusBadRequest), f.Code, f.Message}, s.requestID())
	return false
}

// network is what Start makes.
type network struct {
	// addr is where to listen, and does not change.
	addr string

	mu     sync.Mutex // guards what follows
	server *http.Server
	// url is "" while the server is not started.
	url  string
	done *sync.WaitGroup // the serving goroutine
}

// Start listens on Options.Addr and serves in the background until
// [Server.Close].
//
// A port of 0 is a new one for each Start: clients that outlive Close need
// Options.Addr with a fixed one. The error is that of net.Listen, or that the
// server runs already.
func (s *Server) Start() error {
	n := &s.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		return errors.New("ststest: the server has been started already")
	}
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		return fmt.Errorf("ststest: %w", err)
	}
	srv, done := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}, new(sync.WaitGroup)
	done.Go(func() { _ = srv.Serve(l) }) // always ErrServerClosed: the listener ends with the server
	n.server, n.url, n.done = srv, "http://"+l.Addr().String(), done
	return nil
}

// URL is the endpoint of a started server, such as "http://127.0.0.1:40013",
// and "" before.
func (s *Server) URL() string {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	return s.network.url
}

// Close ends the listener and all connections: clients are refused. What the
// server knows stays, and Start may be called again. Without Start it does
// nothing.
//
// It returns when the serving goroutine has ended; handlers that wait for a
// fault's delay see their request's context end.
func (s *Server) Close() {
	n := &s.network
	n.mu.Lock()
	srv, done := n.server, n.done
	n.server, n.url = nil, ""
	n.mu.Unlock()
	if srv == nil {
		return
	}
	_ = srv.Close() // the listener's Close does not fail
	done.Wait()
}

// MemoryURL is an endpoint for use with [Server.HTTPClient]. Any other URL
// does as well; the client dials nothing.
const MemoryURL = "http://ststest.invalid"

// HTTPClient returns a client that carries requests to the server in memory:
// for aws.Config.HTTPClient, together with [MemoryURL] as the base endpoint. It
// works inside a testing/synctest bubble.
func (s *Server) HTTPClient() *http.Client { return &http.Client{Transport: transport{s}} }

type transport struct{ server *Server }

// RoundTrip serves the request on the caller's goroutine, until the request's
// context is done.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return inmemory.RoundTrip(req, t.server)
}

// Package app makes servers of the broker and of a resource: with health
// endpoints, an audit log that cannot block them, and a clean end. The command
// and the demonstration share it.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/failopen/failopen/examples/assertrole/broker"
	"github.com/failopen/failopen/examples/assertrole/verify"
	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/logsink"
)

// A Server is a program's HTTP side. Close it.
type Server struct {
	// URL is where it listens.
	URL string

	http   *http.Server
	cancel context.CancelFunc
	done   sync.WaitGroup
	closes []func(context.Context) error // what it stands on, in order
}

// Close lets requests in flight end, and then closes what the server stands on.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	s.cancel()
	s.done.Wait()
	for _, c := range s.closes {
		err = errors.Join(err, c(ctx))
	}
	return err
}

// Logger makes a logger whose destination cannot block the program.
func Logger(w io.Writer) (*slog.Logger, *logsink.Sink, error) {
	sink, err := logsink.New(logsink.Options{Dest: w})
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewJSONHandler(sink, nil)), sink, nil
}

// serve listens on an address of loopback, unless public is set.
func serve(addr string, public bool, p *health.Process, h http.Handler, closes ...func(context.Context) error) (*Server, error) {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || !public && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("the address %q is not one of loopback; say -public if others may reach it", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	probes := p.Handler()
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		mux.Handle(path, probes)
	}
	mux.Handle("/", h)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		URL: "http://" + l.Addr().String(), cancel: cancel, closes: closes,
		http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute},
	}
	s.done.Go(func() { _ = p.Run(ctx) })      // always nil
	s.done.Go(func() { _ = s.http.Serve(l) }) // always ErrServerClosed
	p.Started()
	return s, nil
}

// Broker serves a broker. Issuing depends hard on STS and KMS, but being asked
// them is no reason to leave the traffic: there is nobody else to go to, and the
// published keys are needed all the same.
func Broker(ctx context.Context, addr string, public bool, o broker.Options, log io.Writer) (*Server, *broker.Broker, error) {
	logger, sink, err := Logger(log)
	if err != nil {
		return nil, nil, err
	}
	o.Audit = logger
	b, err := broker.New(ctx, o)
	if err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	s, err := serve(addr, public, &health.Process{Logger: logger}, b.Handler(), b.Close, sink.Shutdown)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close(ctx), sink.Close())
	}
	return s, b, nil
}

// Resource serves a handler to those who have a good token. Its dependency on
// the issuers is soft: the last good keys do, for a bounded time.
func Resource(ctx context.Context, addr string, public bool, o verify.Options, next http.Handler, log io.Writer) (*Server, *verify.Verifier, error) {
	logger, sink, err := Logger(log)
	if err != nil {
		return nil, nil, err
	}
	o.Logger = logger
	v, err := verify.New(o)
	if err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	p := &health.Process{Logger: logger}
	err = p.Depend(health.Dependency{Name: "issuers", Check: v.Check, Soft: true})
	var s *Server
	if err == nil {
		s, err = serve(addr, public, p, v.Middleware(next), v.Close, sink.Shutdown)
	}
	if err != nil {
		return nil, nil, errors.Join(err, v.Close(ctx), sink.Close())
	}
	return s, v, nil
}

// Hello is a resource that says who has called.
func Hello(w http.ResponseWriter, r *http.Request) {
	id, _ := verify.FromContext(r.Context()) // the middleware has put it there
	fmt.Fprintf(w, "hello, %s\n", id.Subject)
}

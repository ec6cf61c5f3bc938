package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// How long to drain before a server is shut down, by who sends the traffic: the
// interval of its probes times their unhealthy threshold, and a little more.
//
// Sources: "Health checks for Application Load Balancer target groups"
// (HealthCheckIntervalSeconds 30, UnhealthyThresholdCount 2) and the Kubernetes
// API reference of Probe (periodSeconds 10, failureThreshold 3).
const (
	DrainALB        = 65 * time.Second
	DrainKubernetes = 35 * time.Second
)

// ServeOptions configure [Process.Serve]. The zero value is fine on Kubernetes.
type ServeOptions struct {
	// Listener to serve on. Default: a TCP listener on the server's Addr.
	Listener net.Listener

	// Start, if set, prepares the program; when it has returned nil, the
	// process has started. Default: it has as soon as the server listens.
	// The server answers meanwhile, so that probes of the start work. A
	// panic in it is its error.
	Start func(context.Context) error

	// Drain is how long the process says that it is not ready before the
	// server is shut down. Default DrainKubernetes; negative: not at all.
	Drain time.Duration

	// Shutdown is how long requests in flight, and then Stop, may take.
	// Default 20 s; at most an hour.
	Shutdown time.Duration

	// Stop are called in this order when the server has ended: what the
	// program stands on, such as the Close of a cache and the Shutdown of a
	// logsink. Each is called, whatever happened before it, with what is
	// left of Shutdown, but at least a second; one that ignores its context
	// is left behind after that. A panic in one is its error.
	Stop []func(context.Context) error
}

const (
	defaultShutdown = 20 * time.Second
	leastStop       = time.Second
)

// Serve runs a program from its start to its end: it listens, runs p.Run and
// srv, calls Start, and says that the process has started. When ctx is done it
// drains (the process is not ready, and serves on), shuts the server down,
// calls Stop, and only then ends Run. Make ctx with signal.NotifyContext.
//
// It returns nil after an orderly end; otherwise what went wrong first: the
// listener, Run, the server or Start, in which case it does not drain, or the
// shutdown, joined with the errors of Stop.
func (p *Process) Serve(ctx context.Context, srv *http.Server, o ServeOptions) error {
	if srv == nil {
		return errors.New("health: Serve: the server is nil")
	}
	if o.Shutdown < 0 || o.Shutdown > time.Hour {
		return fmt.Errorf("health: Serve: Shutdown is %v; want at most an hour", o.Shutdown)
	}
	if err := units("Drain", o.Drain, "Shutdown", o.Shutdown); err != nil {
		return fmt.Errorf("health: Serve: %w", err)
	}
	if o.Shutdown == 0 {
		o.Shutdown = defaultShutdown
	}
	if o.Drain == 0 {
		o.Drain = DrainKubernetes
	}
	l := o.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", srv.Addr); err != nil {
			return fmt.Errorf("health: Serve: %w", err)
		}
	}
	// Run outlives ctx: while the process drains, its probes have to be answered with what
	// is known now.
	run, stopRun := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	// room for both, so that neither goroutine waits for a reader that has gone
	broken := make(chan error, 2) // of Run and of the server
	all.Go(func() { broken <- p.Run(run) })
	all.Go(func() { broken <- srv.Serve(l) })

	err := p.serveUntil(ctx, o, broken)
	// one deadline for the server and for Stop, which get what it leaves
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Shutdown)
	if closed := srv.Shutdown(deadline); closed != nil {
		err = errors.Join(err, fmt.Errorf("health: Serve: shutting down: %w", closed), srv.Close())
	}
	for _, stop := range o.Stop {
		err = errors.Join(err, stopped(deadline, stop))
	}
	cancel()
	// after Stop: what is being closed is watched to the end
	stopRun()
	all.Wait()
	return err
}

// serveUntil is the life of a program up to the end of its drain. Its error is
// why it ends, if not because it was told to.
func (p *Process) serveUntil(ctx context.Context, o ServeOptions, broken <-chan error) error {
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan error, 1)
	if o.Start == nil {
		started <- nil
	} else {
		go contained("Start", started, func() error { return o.Start(starting) })
	}
	for {
		select {
		case err := <-started:
			if err != nil && ctx.Err() == nil {
				p.leave()
				return fmt.Errorf("health: Serve: starting: %w", err)
			}
			if err == nil {
				p.Started()
			}
			started = nil
		case err := <-broken:
			p.leave()
			return fmt.Errorf("health: Serve: %w", err)
		case <-ctx.Done():
			return p.drainUntil(o.Drain, broken)
		}
	}
}

// leave makes the process not ready for good, when there is nothing to drain.
func (p *Process) leave() {
	if p.draining.CompareAndSwap(false, true) {
		p.changed(slog.LevelWarn, "the program cannot go on")
	}
}

// drainUntil drains for up to d, or until the server has ended by itself: then
// there is nobody to wait for.
// ctx of the program is done already, so the drain has one of its own.
func (p *Process) drainUntil(d time.Duration, broken <-chan error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Drain(ctx, max(d, 0)) }()
	select {
	case <-done:
		return nil
	case err := <-broken: // nobody is served any more
		return fmt.Errorf("health: Serve: while draining: %w", err)
	}
}

// stopped calls one of Stop, and leaves it behind if it takes too long.
func stopped(ctx context.Context, stop func(context.Context) error) error {
	if end, _ := ctx.Deadline(); time.Until(end) < leastStop {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), leastStop)
		defer cancel()
	}
	done := make(chan error, 1)
	go contained("Stop", done, func() error { return stop(ctx) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// It may be returning the error of its context just now.
	timer := time.NewTimer(leastStop / 10)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("health: Serve: a function of Stop did not return in time")
	}
}

// contained calls f and sends its error, or the one that a panic or a
// runtime.Goexit in it amounts to. into has room for it.
func contained(what string, into chan<- error, f func() error) {
	err := fmt.Errorf("health: Serve: runtime.Goexit in %s", what)
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("health: Serve: panic in %s: %s", what, textOf(v))
		}
		into <- err
	}()
	err = f()
}

// Probe asks one of a process's own endpoints, and returns nil if the answer is
// 200: for a health command in a container that has no curl, as a mode of the
// program itself.
//
//	if len(os.Args) > 1 && os.Args[1] == "-probe" {
//		if err := health.Probe(ctx, "http://127.0.0.1:8080/livez"); err != nil { os.Exit(1) }
//		os.Exit(0)
//	}
//
// It waits for as long as ctx allows, and for four seconds at most, less than
// ECS gives a health command by default. Redirects are not followed.
func Probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("health: Probe: %w", err)
	}
	c := http.Client{
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true}, // a proxy of the environment is not for loopback
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Do(r)
	if err != nil {
		return fmt.Errorf("health: Probe: %w", err)
	}
	_ = resp.Body.Close() // the status says it all
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: Probe: %s answers with status %d", url, resp.StatusCode)
	}
	return nil
}

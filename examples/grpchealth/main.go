// Grpchealth serves the gRPC health checking protocol from a health.Process:
// the state is pushed by OnChange, so that a probe asks nobody. Kubernetes
// probes it with "grpc: {port: 50051, service: liveness}" and "service:
// readiness".
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/failopen/failopen/health"
)

// Names of the services that probes ask for. The empty name, which load
// balancers ask for, says whether the process should get traffic.
const (
	liveness  = "liveness"
	readiness = "readiness"
)

// bridge makes s say what p knows, from now on.
func bridge(p *health.Process, s *grpchealth.Server) {
	p.OnChange(func(state health.State) {
		s.SetServingStatus(liveness, serving(state.Live))
		s.SetServingStatus(readiness, serving(state.Ready))
		s.SetServingStatus("", serving(state.Ready))
	})
}

func serving(ok bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if ok {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}

func main() {
	addr := flag.String("listen", "127.0.0.1:50051", "address to listen on")
	drain := flag.Duration("drain", 5*time.Second, "how long to stay after a signal, not ready; 35s on Kubernetes")
	grace := flag.Duration("grace", 5*time.Second, "how long calls in flight may take after that")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", *addr)
	if err == nil {
		fmt.Println("listening on", l.Addr())
		err = run(ctx, l, *drain, *grace)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpchealth:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done, drains, and gives calls in flight some grace.
func run(ctx context.Context, l net.Listener, drain, grace time.Duration) error {
	p := new(health.Process)
	server := grpc.NewServer()
	status := grpchealth.NewServer()
	grpc_health_v1.RegisterHealthServer(server, status)
	bridge(p, status)

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	errs := make(chan error, 2)
	go func() { errs <- p.Run(background) }()
	go func() { errs <- server.Serve(l) }()
	p.Started()

	select {
	case err := <-errs:
		server.Stop()
		return err
	case <-ctx.Done():
	}
	err := p.Drain(background, drain) // still live, and still serving
	status.Shutdown()                 // watchers learn that nothing serves any more
	stopServer(server, grace)
	return err
}

// stopServer waits for calls in flight, but not for ever: GracefulStop alone
// waits for each stream, and a client that watches the health of a server ends
// its stream when it wants to (grpc-go issue 8776).
func stopServer(server *grpc.Server, grace time.Duration) {
	hard := time.AfterFunc(grace, server.Stop)
	defer hard.Stop()
	server.GracefulStop()
}

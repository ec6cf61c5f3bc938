package main

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	yes = grpc_health_v1.HealthCheckResponse_SERVING
	no  = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// TestRun follows a server from its start through its drain.
func TestRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, l, 500*time.Millisecond, 200*time.Millisecond) }()

	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	call, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()

	// Watch tells of each change: wait for the one that is meant.
	await := func(stream grpc_health_v1.Health_WatchClient, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for {
			got, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if got.Status == want {
				return
			}
		}
	}
	watch, err := client.Watch(call, &grpc_health_v1.HealthCheckRequest{Service: readiness}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	check := func(service string, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		got, err := client.Check(call, &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || got.Status != want {
			t.Errorf("%q: %v, %v; want %v", service, got, err, want)
		}
	}
	await(watch, yes)
	check(liveness, yes)
	check("", yes)
	cancel() // SIGTERM
	await(watch, no)
	check(liveness, yes)
	check("", no)
	if err := <-done; err != nil { // beside the watch, which is still open
		t.Error(err)
	}
	if call.Err() != nil {
		t.Error("it ended only when the client hung up")
	}
	if _, err := watch.Recv(); err == nil {
		t.Error("the watch goes on after the end of the server")
	}
}

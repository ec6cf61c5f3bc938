package others

import (
	"context"
	"errors"
	"fmt"
	"store"

	"github.com/failopen/failopen/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"
)

type service struct{ db *store.DB }

func (s *service) Check(ctx context.Context, in *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) { // want `the gRPC health service calls a dependency: \(\*store.DB\).Ping` Check:"reaches"
	return &pb.HealthCheckResponse{}, s.db.Ping(ctx)
}

type local struct{}

func (local) Check(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	return &pb.HealthCheckResponse{}, nil
}

func fatal(ctx context.Context, p *health.Process, db *store.DB) { // want fatal:"reaches"
	if err := db.Ping(ctx); err != nil {
		p.Fatal(err) // want `the error given to Fatal comes from code that calls a dependency: \(\*store.DB\).Ping`
	}
	err := db.Ping(ctx)
	p.Fatal(fmt.Errorf("the database: %w", err)) // want `the error given to Fatal`
	p.Fatal(errors.New("the index is corrupt"))
}

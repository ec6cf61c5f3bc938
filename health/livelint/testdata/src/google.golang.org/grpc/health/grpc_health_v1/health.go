package grpc_health_v1

type (
	HealthCheckRequest  struct{ Service string }
	HealthCheckResponse struct{}
)

package libraries

import (
	"context"
	"net/http"
	"store"
	"time"

	alex "github.com/alexliesenfeld/health"
	"github.com/hellofresh/health-go/v5"
	"github.com/heptiolabs/healthcheck"
	"google.golang.org/grpc"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

func healthGo(db *store.DB) { // want healthGo:"reaches"
	h, _ := health.New(health.WithChecks(health.Config{Name: "db", Check: func(ctx context.Context) error { return db.Ping(ctx) }}))
	http.Handle("/livez", h.Handler())         // want `the liveness handler of "/livez" calls a dependency: \(\*store.DB\).Ping`
	http.HandleFunc("/healthz", h.HandlerFunc) // want `the liveness handler of "/healthz"`
	http.Handle("/status", h.Handler())
}

func alexliesenfeld(db *store.DB) {
	checker := alex.NewChecker(alex.WithCheck(alex.Check{Name: "db", Check: db.Ping}))
	http.Handle("/livez", alex.NewHandler(checker)) // want `the liveness handler of "/livez"`
	http.Handle("/readyz", alex.NewHandler(checker))
}

func heptio(db *store.DB) { // want heptio:"reaches"
	h := healthcheck.NewHandler()
	h.AddLivenessCheck("goroutines", healthcheck.GoroutineCountCheck(100))
	h.AddLivenessCheck("dns", healthcheck.TCPDialCheck("db:5432", time.Second))     // want `the liveness check of AddLivenessCheck calls a dependency: healthcheck.TCPDialCheck -> net.DialTimeout`
	h.AddLivenessCheck("db", func() error { return db.Ping(context.Background()) }) // want `\(\*store.DB\).Ping`
	h.AddReadinessCheck("db", func() error { return db.Ping(context.Background()) })
}

func controller(m manager.Manager, db *store.DB) { // want controller:"reaches"
	check := func(r *http.Request) error { return db.Ping(r.Context()) }
	_ = m.AddHealthzCheck("db", check) // want `the liveness check of AddHealthzCheck`
	_ = m.AddHealthzCheck("ping", func(*http.Request) error { return nil })
	_ = m.AddReadyzCheck("db", check)
}

// asker is as gRPC generates clients.
type asker interface {
	Check(ctx context.Context, in *int, opts ...grpc.CallOption) (*int, error)
}

func withHealthzEndpoint(asker) {}

// WithHealthzEndpoint is as grpc-gateway has it.
func WithHealthzEndpoint(a asker) { withHealthzEndpoint(a) }

func gateway(a asker) {
	WithHealthzEndpoint(a) // want `the liveness check of WithHealthzEndpoint calls a dependency: libraries.asker.Check;`
}

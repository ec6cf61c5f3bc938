package handlers

import (
	"context"
	"net"
	"net/http"
	"store"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/failopen/failopen/health"
	"google.golang.org/grpc"
)

type server struct {
	db     *store.DB
	client *dynamodb.Client
	conn   *grpc.ClientConn
	pinger pinger
}

type pinger interface{ Ping(context.Context) error }

func (s *server) live(w http.ResponseWriter, r *http.Request) { // want live:"reaches"
	if s.check(r.Context()) != nil {
		w.WriteHeader(503)
	}
}

func (s *server) check(ctx context.Context) error { return s.db.Ping(ctx) } // want check:"reaches"

func (s *server) local(w http.ResponseWriter, r *http.Request) { w.Write([]byte(s.db.Name())) }

func (s *server) remote(w http.ResponseWriter, r *http.Request) { // want remote:"reaches"
	s.conn.Invoke(r.Context(), "/x", nil, nil)
}

func (s *server) hidden(w http.ResponseWriter, r *http.Request) { // want hidden:"reaches"
	s.pinger.Ping(r.Context())
}

func logged(h http.Handler) http.Handler { return h }

type router struct{}

func (router) GET(string, ...http.HandlerFunc) {}

func routes(s *server, p *health.Process, r router) { // want routes:"reaches"
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", s.live)                                         // want `the liveness handler of "/livez" calls a dependency: \(\*handlers.server\).live -> \(\*handlers.server\).check -> \(\*store.DB\).Ping -> \(\*sql.DB\).PingContext;`
	mux.HandleFunc("GET /healthz", s.live)                                   // want `the liveness handler of "GET /healthz"`
	mux.HandleFunc("/health/live", s.remote)                                 // want `\(\*grpc.ClientConn\).Invoke`
	mux.Handle("/alive", logged(http.HandlerFunc(s.live)))                   // want `the liveness handler of "/alive"`
	mux.Handle("/live", &store.Handler{DB: s.db})                            // want `\(\*store.Handler\).ServeHTTP -> \(\*store.DB\).Ping`
	mux.HandleFunc("/liveness", s.hidden)                                    // want `\(\*store.DB\).Ping -> `
	mux.HandleFunc("/livez/", func(w http.ResponseWriter, r *http.Request) { // want `dynamodb.Client\).GetItem`
		s.client.GetItem(r.Context(), nil)
	})
	handler := func(w http.ResponseWriter, r *http.Request) { net.Dial("tcp", "db:5432") }
	mux.HandleFunc("example.com/livez", handler) // want `net.Dial`
	r.GET("/livez", s.live)                      // want `the liveness handler of "/livez"`

	mux.HandleFunc("/livez", s.local)
	mux.HandleFunc("/livez", p.ServeLive)
	mux.HandleFunc("/readyz", s.live)
	mux.HandleFunc("/users", s.live)
	mux.HandleFunc("/livez", s.live) //livelint:allow the database is in this process
	mux.HandleFunc("/livez", s.live) /* a comment is no reason */ // want `the liveness handler`
	//livelint:allow it is known
	mux.HandleFunc("/livez", s.live)
	store.Record(context.Background(), s.client)
}

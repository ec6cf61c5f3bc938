package corpus

import (
	"context"
	"database/sql"
	"net/http"
	"sync/atomic"
)

// Routers of the kinds that there are.
type router interface {
	Get(string, http.HandlerFunc)
	Route(string, func(router)) router
	Handle(string, http.Handler)
}

type engine struct{}

type (
	ginContext struct{ Context }
	Context    struct{ Writer http.ResponseWriter }
)

func (*engine) Group(string) *engine          { return nil }
func (*engine) GET(string, ...func(*Context)) {}
func (*engine) Use(...func(*Context))         {}

type gorilla struct{}

func (*gorilla) Path(string) *gorilla                                                 { return nil }
func (*gorilla) PathPrefix(string) *gorilla                                           { return nil }
func (*gorilla) Subrouter() *gorilla                                                  { return nil }
func (*gorilla) Methods(...string) *gorilla                                           { return nil }
func (*gorilla) HandlerFunc(func(http.ResponseWriter, *http.Request)) *gorilla        { return nil }
func (*gorilla) HandleFunc(string, func(http.ResponseWriter, *http.Request)) *gorilla { return nil }

type pinger interface{ Ping(context.Context) error }

type server struct {
	db    *sql.DB
	check func(context.Context) error
	up    atomic.Bool
	mux   *http.ServeMux
}

func (s *server) ping(ctx context.Context) error { return s.db.PingContext(ctx) } // want ping:"reaches"

// asks is a handler that asks the database.
func (s *server) asks(w http.ResponseWriter, r *http.Request) { // want asks:"reaches"
	if s.ping(r.Context()) != nil {
		w.WriteHeader(503)
	}
}

func (s *server) fine(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }

func (s *server) ginAsks(c *Context) { // want ginAsks:"reaches"
	if s.ping(context.Background()) != nil {
		c.Writer.WriteHeader(503)
	}
}

func (s *server) ginFine(c *Context) { c.Writer.WriteHeader(200) }

type operation struct{ Method, Path string }

func register(operation, func(context.Context) error) {}

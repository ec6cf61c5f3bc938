// Package parts is what services are wired from.
package parts

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"sync"
)

// Check is what somebody else implements.
type Check interface {
	Check(context.Context) error
}

// CheckFunc makes a Check of a function.
type CheckFunc func(context.Context) error

func (f CheckFunc) Check(ctx context.Context) error { return f(ctx) }

// Health answers with the checks that were added.
type Health struct {
	mu     sync.Mutex
	checks []Check
	byName map[string]func(context.Context) error
}

func New(checks ...Check) *Health {
	return &Health{checks: checks, byName: map[string]func(context.Context) error{}}
}

func (h *Health) Add(c Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, c)
}

func (h *Health) Register(name string, f func(context.Context) error) { h.byName[name] = f }

func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, c := range h.checks {
		if c.Check(r.Context()) != nil {
			w.WriteHeader(503)
		}
	}
	for _, f := range h.byName {
		if f(r.Context()) != nil {
			w.WriteHeader(503)
		}
	}
}

// Handler is a function that answers.
func (h *Health) Handler() http.HandlerFunc { return h.ServeHTTP }

// DB asks a database.
type DB struct{ DB *sql.DB }

func (d DB) Check(ctx context.Context) error { return d.DB.PingContext(ctx) }

// Disk asks nobody.
type Disk struct{ Path string }

func (d *Disk) Check(context.Context) error { _, err := os.Stat(d.Path); return err }

// Middleware wraps handlers.
type Middleware func(http.Handler) http.Handler

// Chain wraps a handler in all of them.
func Chain(h http.Handler, all ...Middleware) http.Handler {
	for i := len(all) - 1; i >= 0; i-- {
		h = all[i](h)
	}
	return h
}

// Logged is a middleware.
func Logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
}

// Options is a configuration.
type Options struct {
	Live  func(context.Context) error
	Ready func(context.Context) error
	Do    func(func())
}

// Server answers as its options say.
type Server struct{ opt Options }

func NewServer(opt Options) *Server { return &Server{opt} }

func (s *Server) Alive(w http.ResponseWriter, r *http.Request) {
	if s.opt.Live(r.Context()) != nil {
		w.WriteHeader(503)
	}
}

// Router keeps what it is given.
type Router struct{ routes map[string]http.HandlerFunc }

func (r *Router) HandleFunc(path string, h http.HandlerFunc) { r.routes[path] = h }

// Option changes a Service.
type Option func(*Service)

// WithStore says what the service stands on.
func WithStore(c Check) Option { return func(service *Service) { service.store = c } }

// Service is made of options.
type Service struct{ store Check }

// NewService makes one.
func NewService(all ...Option) *Service {
	s := &Service{store: &Disk{}}
	for _, o := range all {
		o(s)
	}
	return s
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.store.Check(r.Context()) != nil {
		w.WriteHeader(503)
	}
}

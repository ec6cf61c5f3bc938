// Package wiring is put together from parts that another package has: what the
// vet mode cannot see through.
package wiring

import (
	"context"
	"database/sql"
	"net/http"
	"sync"
	"time"
	"wiring/parts"
)

type service struct {
	db   *sql.DB
	mux  *http.ServeMux
	live parts.Check
}

func (s *service) ping(ctx context.Context) error { return s.db.PingContext(ctx) }
func fine(context.Context) error                  { return nil }
func (s *service) asks(w http.ResponseWriter, r *http.Request) {
	if s.ping(r.Context()) != nil {
		w.WriteHeader(503)
	}
}
func (s *service) says(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }

func (s *service) badConstructor()  { s.mux.Handle("/livez", parts.New(parts.DB{DB: s.db})) }
func (s *service) goodConstructor() { s.mux.Handle("/livez", parts.New(&parts.Disk{Path: "/data"})) }

func (s *service) badAdded() {
	h := parts.New()
	h.Add(parts.CheckFunc(s.ping))
	s.mux.Handle("/livez", h)
}

func (s *service) goodAdded() {
	live, ready := parts.New(), parts.New()
	live.Add(parts.CheckFunc(fine))
	ready.Add(parts.CheckFunc(s.ping))
	s.mux.Handle("/livez", live)
	s.mux.Handle("/readyz", ready)
}

func (s *service) badRegistered() {
	h := parts.New()
	h.Register("db", s.ping)
	s.mux.HandleFunc("/livez", h.Handler())
}

func (s *service) goodRegistered() {
	live, ready := parts.New(), parts.New()
	live.Register("self", fine)
	ready.Register("db", s.ping)
	s.mux.HandleFunc("/livez", live.Handler())
	s.mux.HandleFunc("/readyz", ready.Handler())
}

func (s *service) badChain() {
	s.mux.Handle("/livez", parts.Chain(http.HandlerFunc(s.asks), parts.Logged, parts.Logged))
}

func (s *service) goodChain() {
	s.mux.Handle("/livez", parts.Chain(http.HandlerFunc(s.says), parts.Logged, parts.Logged))
	s.mux.Handle("/users", parts.Chain(http.HandlerFunc(s.asks), parts.Logged))
}

func (s *service) badMiddleware(all []parts.Middleware) {
	all = append(all, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.ping(r.Context()) == nil {
				next.ServeHTTP(w, r)
			}
		})
	})
	s.mux.Handle("/livez", parts.Chain(http.HandlerFunc(s.says), all...))
}

func (s *service) badOptions() {
	srv := parts.NewServer(parts.Options{Live: s.ping})
	s.mux.HandleFunc("/livez", srv.Alive)
}

func (s *service) goodOptions() {
	srv := parts.NewServer(parts.Options{Live: fine, Ready: s.ping})
	s.mux.HandleFunc("/livez", srv.Alive)
}

func (s *service) badElsewhere() { // its implementation is another package's
	s.live = parts.DB{DB: s.db}
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { s.live.Check(r.Context()) })
}

type other struct{ live parts.Check }

func (o *other) goodElsewhere(mux *http.ServeMux) {
	o.live = &parts.Disk{Path: "/"}
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { o.live.Check(r.Context()) })
}

func (s *service) badMapOfChecks() {
	checks := map[string]func(context.Context) error{"live": s.ping, "ready": fine}
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { checks["live"](r.Context()) })
}

func (s *service) goodMapOfChecks() {
	checks := map[string]func(context.Context) error{"live": fine, "ready": s.ping}
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { checks["live"](r.Context()) })
}

func (s *service) wire() { s.badMount(s.mux, s.ping) }

func (s *service) badMount(mux *http.ServeMux, check func(context.Context) error) {
	mux.HandleFunc("/ready", func(w http.ResponseWriter, r *http.Request) { check(r.Context()) })
	mux.Handle("/livez", answer(check))
}

func answer(check func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { check(r.Context()) }
}

func (s *service) goodAnswer() {
	s.mux.Handle("/livez", answer(fine))
	s.mux.Handle("/readyz", answer(s.ping))
}

func (s *service) badAnswer() { s.mux.Handle("/livez", answer(s.ping)) }

func (s *service) badTable() {
	table := []struct {
		path  string
		check func(context.Context) error
	}{{"/livez", s.ping}, {"/other", fine}}
	for _, row := range table {
		s.mux.Handle(row.path, answer(row.check))
	}
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { table[0].check(r.Context()) })
}

func (s *service) goodTable() {
	table := []struct {
		path  string
		check func(context.Context) error
	}{{"/livez", fine}, {"/other", fine}}
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { table[0].check(r.Context()) })
}

func (s *service) badOnce() {
	var once sync.Once
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { once.Do(func() { s.ping(r.Context()) }) })
}

func (s *service) goodLater() {
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		time.AfterFunc(time.Second, func() { s.ping(context.Background()) })
	})
}

func (s *service) badPassedDown() {
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { each(r.Context(), fine, s.ping) })
}

func (s *service) goodPassedDown() {
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { each(r.Context(), fine, fine) })
	s.mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) { each(r.Context(), s.ping) })
}

func each(ctx context.Context, checks ...func(context.Context) error) {
	for _, check := range checks {
		check(ctx)
	}
}

func goodRouter(r *parts.Router, s *service) {
	r.HandleFunc("/livez", s.says)
	r.HandleFunc("/users", s.asks)
}

func badGeneric(mux *http.ServeMux, s *service) { mux.HandleFunc("/livez", handle(s.fetch)) }

func goodGeneric(mux *http.ServeMux, s *service) { mux.HandleFunc("/livez", handle(s.none)) }

func (s *service) fetch(ctx context.Context) (int, error) { return 1, s.ping(ctx) }
func (s *service) none(context.Context) (string, error)   { return "", nil }

func handle[T any](f func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { f(r.Context()) }
}

func (s *service) badOption() {
	s.mux.Handle("/livez", parts.NewService(parts.WithStore(parts.DB{DB: s.db})))
}

package corpus

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/health"
)

func (s *server) goodLocal()  { s.mux.HandleFunc("/livez", s.fine) }
func (s *server) goodReady()  { s.mux.HandleFunc("/readyz", s.asks) }
func (s *server) goodReady2() { s.mux.HandleFunc("/health/ready", s.asks) }
func (s *server) goodUsers()  { s.mux.HandleFunc("/api/users", s.asks) }
func (s *server) goodLive()   { s.mux.HandleFunc("/videos/live", s.asks) }

type live struct{ conn net.Conn }

func dial() net.Conn { // want dial:"reaches"
	c, _ := net.Dial("tcp", "db:5432")
	return c
}

func newLive(c net.Conn) *live { return &live{c} }

func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }

func goodConstructor(mux *http.ServeMux)  { mux.Handle("/livez", newLive(dial())) } // want goodConstructor:"reaches"
func goodConstructor2(mux *http.ServeMux) { mux.HandleFunc("/livez", warm()) }      // want goodConstructor2:"reaches"

func warm() http.HandlerFunc { // want warm:"reaches"
	net.Dial("tcp", "db:5432")
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }
}

func (s *server) goodBackground() {
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		go s.ping(context.Background())
		w.WriteHeader(200)
	})
}

func (s *server) goodCached() { // want goodCached:"reaches"
	go func() {
		for range time.Tick(time.Second) {
			s.up.Store(s.ping(context.Background()) == nil)
		}
	}()
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if !s.up.Load() {
			w.Header().Set("Warning", "degraded")
		}
	})
}

func goodUnix(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) { net.Dial("unix", "/run/agent.sock") })
}

func goodLoopback(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) { http.Get("http://127.0.0.1:8080/alive") })
}

func goodLoopback2(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) { net.Dial("tcp", "localhost:8080") })
}

type client struct{ http *http.Client }

func (c *client) Get(path string, then func(*http.Response)) { // want Get:"reaches"
	r, _ := c.http.Get("http://other" + path)
	then(r)
}

func goodClient(c *client, s *server) { // want goodClient:"reaches"
	c.Get("/livez", func(*http.Response) { s.ping(context.Background()) })
}

func goodAddress(poll func(string, func()), s *server) { // want goodAddress:"reaches"
	poll("http://other/livez", func() { s.ping(context.Background()) })
}

func goodFile(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat("/tmp/alive"); err != nil {
			w.WriteHeader(503)
		}
	})
}

func middleware(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { h(w, r) }
}

func (s *server) goodMiddleware() {
	s.mux.HandleFunc("/livez", middleware(s.fine))
	s.mux.HandleFunc("/users", middleware(s.asks))
}

func (s *server) goodGroup(e *engine) {
	g := e.Group("/health")
	g.Use(s.ginAsks)
	g.GET("/live", s.ginFine)
	g.GET("/ready", s.ginAsks)
}

func (s *server) goodGorilla(r *gorilla) {
	r.PathPrefix("/health").Subrouter().HandleFunc("/ready", s.asks)
	r.Path("/users").HandlerFunc(s.asks)
}

func (s *server) goodTable() {
	for _, r := range []route{{"GET", "/livez", s.fine}, {"GET", "/users", s.asks}} {
		s.mux.HandleFunc(r.path, r.handler)
	}
}

func (b bySwitch) goodSwitch(w http.ResponseWriter, r *http.Request) { // want goodSwitch:"reaches"
	switch r.URL.Path {
	case "/livez":
		w.WriteHeader(200)
	case "/users":
		b.s.ping(r.Context())
	}
}

func (s *server) goodAdmin(a admin) {
	a.AddLivenessCheck("disk", func() error { _, err := os.Stat("/data"); return err })
}

type feed struct{}

func newFeed(func(context.Context) error) *feed { return nil }

// NewLiveFeed is about what is live, and no liveness.
func NewLiveFeed(f func(context.Context) error) *feed { return newFeed(f) }

func (s *server) goodName() { NewLiveFeed(s.ping) }

func goodFatal(p *health.Process, index string) {
	if _, err := os.ReadFile(index); err != nil {
		p.Fatal(err)
	}
}

func (s *server) goodFatalReused(ctx context.Context, p *health.Process, index string) error { // want goodFatalReused:"reaches"
	err := s.ping(ctx)
	if err != nil {
		return err
	}
	_, err = os.ReadFile(index)
	if err != nil {
		p.Fatal(errors.New("the index is gone"))
	}
	return nil
}

func goodChange(p *health.Process, log func(bool)) {
	p.OnChange(func(state health.State) { log(state.Ready) })
}

func (s *server) goodWait(ctx context.Context, w *health.Watch) { // want goodWait:"reaches"
	for ctx.Err() == nil {
		w.Beat()
		w.Wait(func() { s.ping(ctx) })
	}
}

func (s *server) goodWaitBelow(ctx context.Context, w *health.Watch) { // want goodWaitBelow:"reaches"
	for ctx.Err() == nil {
		w.Beat()
		s.waiting(ctx)
	}
}

func (s *server) waiting(ctx context.Context) { // want waiting:"reaches"
	health.Wait(ctx, func() { s.ping(ctx) })
}

func (s *server) goodIdle(ctx context.Context, w *health.Watch) { // want goodIdle:"reaches"
	for ctx.Err() == nil {
		w.Idle()
		s.ping(ctx)
		w.Beat()
		time.Now()
	}
}

func (s *server) goodBeatWaited(ctx context.Context, w *health.Watch) { // want goodBeatWaited:"reaches"
	for ctx.Err() == nil {
		var err error
		w.Wait(func() { err = s.ping(ctx) })
		if err == nil {
			w.Beat()
		}
	}
}

func (s *server) goodUnwatched(ctx context.Context) { // want goodUnwatched:"reaches"
	for ctx.Err() == nil {
		s.ping(ctx)
	}
}

type lifecycle struct {
	stopping atomic.Bool
	ready    atomic.Bool
	loads    int
	last     error
}

func (l *lifecycle) goodStopping(mux *http.ServeMux, signals chan os.Signal) {
	go func() { <-signals; l.stopping.Store(true) }()
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if l.stopping.Load() {
			w.WriteHeader(503)
		}
	})
}

// It remembers what the database said, and says so to people only.
func (l *lifecycle) goodRemembered(mux *http.ServeMux, s *server) { // want goodRemembered:"reaches"
	go func() {
		for range time.Tick(time.Second) {
			l.last = s.ping(context.Background())
			l.loads++
		}
	}()
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if l.last != nil {
			w.Write([]byte("degraded"))
		}
		w.WriteHeader(200)
	})
}

// The database decides about readiness, and a signal about liveness.
func (l *lifecycle) goodTwo(mux *http.ServeMux, s *server) { // want goodTwo:"reaches"
	go func() {
		for range time.Tick(time.Second) {
			l.ready.Store(s.ping(context.Background()) == nil)
		}
	}()
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if l.stopping.Load() {
			w.WriteHeader(503)
		}
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if !l.ready.Load() {
			w.WriteHeader(503)
		}
	})
}

func goodMethod(mux *http.ServeMux, s *server) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
}

func (s *server) goodDescribed() {
	register(operation{Method: "GET", Path: "/livez"}, func(context.Context) error { return nil })
	register(operation{Method: "GET", Path: "/users"}, s.ping)
}

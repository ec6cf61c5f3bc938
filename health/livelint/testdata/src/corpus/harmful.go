package corpus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/health"
)

const base = "/health"

func livePath() string { return "/livez" }

func (s *server) badDirect()  { s.mux.HandleFunc("/livez", s.asks) }
func (s *server) badMethod()  { s.mux.HandleFunc("GET /healthz", s.asks) }
func (s *server) badCommon1() { s.mux.HandleFunc("/health", s.asks) }
func (s *server) badCommon2() { s.mux.HandleFunc("/healthcheck", s.asks) }
func (s *server) badSuffix()  { s.mux.HandleFunc("/api/v1/healthz", s.asks) }
func (s *server) badSub()     { s.mux.HandleFunc("/healthz/live", s.asks) }
func (s *server) badConcat()  { s.mux.HandleFunc(base+"/live", s.asks) }
func (s *server) badByCall()  { s.mux.HandleFunc(livePath(), s.asks) }
func (s *server) badSprintf() { s.mux.HandleFunc(fmt.Sprintf("%s/live", base), s.asks) }
func (s *server) badJoin()    { s.mux.HandleFunc(path.Join(base, "live"), s.asks) }
func (s *server) badWrapped() {
	s.mux.Handle("/livez", http.TimeoutHandler(http.HandlerFunc(s.asks), time.Second, ""))
}
func (s *server) badReturned() { s.mux.HandleFunc("/livez", s.handler()) }

func (s *server) badPrefix(prefix string) { s.mux.HandleFunc(prefix+"/livez", s.asks) }

func (s *server) badVariable() {
	p := "/livez"
	h := s.asks
	s.mux.HandleFunc(p, h)
}

func (s *server) handler() http.HandlerFunc { // want handler:"makes"
	return func(w http.ResponseWriter, r *http.Request) { s.ping(r.Context()) }
}

func (s *server) badClosure() {
	check := func(ctx context.Context) error { return s.db.PingContext(ctx) }
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if check(r.Context()) != nil {
			w.WriteHeader(503)
		}
	})
}

type withField struct{ check func(context.Context) error }

func newWithField(s *server) *withField { return &withField{check: s.ping} }

func (f *withField) answer(w http.ResponseWriter, r *http.Request) { // want answer:"reaches"
	f.check(r.Context())
}

func badField(mux *http.ServeMux, f *withField) { mux.HandleFunc("/livez", f.answer) }

func (s *server) badGorilla(r *gorilla)  { r.Path("/livez").HandlerFunc(s.asks) }
func (s *server) badGorilla2(r *gorilla) { r.Methods("GET").Path("/healthz").HandlerFunc(s.asks) }
func (s *server) badGorilla3(r *gorilla) {
	r.PathPrefix("/health").Subrouter().HandleFunc("/live", s.asks)
}

func (s *server) badChi(r router) {
	r.Route("/healthz", func(r router) { r.Get("/", s.asks) })
}

func (s *server) mounts(r router) { r.Route("/health", s.badChiNamed) }

func (s *server) badChiNamed(r router) { r.Get("/live", s.asks) }

func (s *server) badGin(e *engine) {
	g := e.Group("/health")
	g.GET("/live", s.ginAsks)
}

type route struct {
	method, path string
	handler      http.HandlerFunc
}

func (s *server) badSlice() {
	for _, r := range []route{{"GET", "/livez", s.asks}, {"GET", "/users", s.asks}} {
		s.mux.HandleFunc(r.path, r.handler)
	}
}

func (s *server) badNamed() {
	r := route{method: "GET", path: "/livez", handler: s.asks}
	s.mux.HandleFunc(r.path, r.handler)
}

func (s *server) badMap() {
	for p, h := range map[string]http.HandlerFunc{"/livez": s.asks} {
		s.mux.Handle(p, h)
	}
}

type bySwitch struct{ s *server }

func (b bySwitch) badSwitch(w http.ResponseWriter, r *http.Request) { // want badSwitch:"reaches"
	switch r.URL.Path {
	case "/livez":
		b.s.ping(r.Context())
	}
}

func (b bySwitch) badIf(w http.ResponseWriter, r *http.Request) { // want badIf:"reaches"
	if r.URL.Path == "/livez" {
		b.s.ping(r.Context())
	}
}

func (s *server) badWaited() {
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		done := make(chan error, 1)
		go func() { done <- s.ping(r.Context()) }()
		if <-done != nil {
			w.WriteHeader(503)
		}
	})
}

func badDial(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) { net.DialTimeout("tcp", "db:5432", time.Second) })
}

func badLookup(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(_ http.ResponseWriter, r *http.Request) { net.DefaultResolver.LookupHost(r.Context(), "db") })
}

type pool struct{ db *server }

func (p *pool) Ping(ctx context.Context) error { return p.db.ping(ctx) } // want Ping:"reaches"

func badInterface(mux *http.ServeMux, p pinger) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { p.Ping(r.Context()) })
}

type admin struct{}

func (admin) AddLivenessCheck(string, func() error) {}

func (s *server) badAdmin(a admin) {
	a.AddLivenessCheck("db", func() error { return s.ping(context.Background()) })
}

func (s *server) badDescribed() { register(operation{Method: "GET", Path: "/livez"}, s.ping) }

// An answer that the background remembers.

func (s *server) badBackground() { // want badBackground:"reaches"
	go func() {
		for range time.Tick(time.Second) {
			s.up.Store(s.ping(context.Background()) == nil)
		}
	}()
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if !s.up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

type monitor struct {
	mu     sync.Mutex
	broken error
	count  int
}

func (m *monitor) run(s *server) { // want run:"reaches"
	for range time.Tick(time.Second) {
		err := s.ping(context.Background())
		m.mu.Lock()
		m.broken = err
		m.mu.Unlock()
	}
}

func (m *monitor) healthy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken == nil
}

func (m *monitor) answer(w http.ResponseWriter, r *http.Request) {
	if m.healthy() {
		w.WriteHeader(200)
		return
	}
	http.Error(w, "broken", 500)
}

func badMonitor(mux *http.ServeMux, m *monitor) { mux.HandleFunc("/livez", m.answer) }

var failing int32

func (s *server) watch() { // want watch:"reaches"
	if err := s.ping(context.Background()); err != nil {
		atomic.StoreInt32(&failing, 1)
	} else {
		atomic.StoreInt32(&failing, 0)
	}
}

func badGlobal(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if atomic.LoadInt32(&failing) == 1 {
			http.Error(w, "failing", http.StatusInternalServerError)
		}
	})
}

// Ways back of this library.

func (s *server) badFatal(ctx context.Context, p *health.Process) { // want badFatal:"reaches"
	if err := s.ping(ctx); err != nil {
		p.Fatal(errors.New("the database is down"))
	}
}

func (s *server) badFatalElse(ctx context.Context, p *health.Process) { // want badFatalElse:"reaches"
	err := s.ping(ctx)
	if err == nil {
		return
	}
	p.Fatal(errors.New("the database is down"))
}

func badChange(p *health.Process) {
	p.OnChange(func(state health.State) {
		if !state.Ready {
			giveUp(p)
		}
	})
}

func giveUp(p *health.Process) { p.Fatal(errors.New("degraded")) }

func (s *server) badBeat(ctx context.Context, w *health.Watch) { // want badBeat:"reaches"
	for ctx.Err() == nil {
		if s.ping(ctx) == nil {
			w.Beat()
		}
	}
}

func (s *server) badBeatContinue(ctx context.Context, w *health.Watch) { // want badBeatContinue:"reaches"
	for ctx.Err() == nil {
		if err := s.ping(ctx); err != nil {
			continue
		}
		w.Beat()
	}
}

func (s *server) badLoop(ctx context.Context, w *health.Watch) { // want badLoop:"reaches"
	for ctx.Err() == nil {
		w.Beat()
		s.db.ExecContext(ctx, "x")
		w.Idle()
	}
}

func (s *server) badLoopBelow(jobs chan string, w *health.Watch) { // want badLoopBelow:"reaches"
	for range jobs {
		w.Beat()
		s.work()
	}
}

func (s *server) work() { s.db.Exec("x") } // want work:"reaches"

// Not found: what would need the whole program.

func (s *server) badUnknown(mux *http.ServeMux, handlers chan http.HandlerFunc) {
	handlers <- s.asks
	mux.HandleFunc("/livez", <-handlers)
}

func (s *server) badParameter() { mountAll(s.mux, "/livez", s.asks) }

func mountAll(mux *http.ServeMux, path string, h http.HandlerFunc) { mux.HandleFunc(path, h) }

func (s *server) badChecks() {
	checks := []func(context.Context) error{s.ping}
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		for _, check := range checks {
			check(r.Context())
		}
	})
}

func (s *server) badReflected(mux *http.ServeMux, byName map[string]http.HandlerFunc) {
	byName["live"] = s.asks
	mux.HandleFunc("/livez", byName["live"])
}

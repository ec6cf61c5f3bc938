package livelint_test

var sources = []source{
	{name: "sinks", code: `
import (
	"context"
	"crypto/tls"
	"database/sql"
	"log/syslog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/rpc"
	"net/smtp"
)

type (
	w = http.ResponseWriter
	r = *http.Request
)

const here = "127.0.0.1:80"

var there = "127.0.0.1:80"

func listens()     { http.HandleFunc("/livez", func(w, r) { net.Listen("tcp", ":1") }) }
func dials()       { http.HandleFunc("/livez", func(w, r) { net.Dial("tcp", "db:1") }) }
func looksUp()     { http.HandleFunc("/livez", func(w, r) { new(net.Resolver).LookupHost(context.TODO(), "db") }) }
func dialsTLS()    { http.HandleFunc("/livez", func(w, r) { tls.Dial("tcp", "db:1", nil) }) }
func mails()       { http.HandleFunc("/livez", func(w, r) { smtp.SendMail("mx:25", nil, "", nil, nil) }) }
func calls()       { http.HandleFunc("/livez", func(w, r) { rpc.Dial("tcp", "db:1") }) }
func logs()        { http.HandleFunc("/livez", func(w, r) { syslog.Dial("udp", "log:1", 0, "") }) }
func opens()       { http.HandleFunc("/livez", func(w, r) { sql.Open("pg", "db") }) }
func asksDB(d *sql.DB)       { http.HandleFunc("/livez", func(w, r) { d.Stats(); d.QueryRow("") }) }
func reads(rows *sql.Rows)   { http.HandleFunc("/livez", func(w, r) { rows.Next() }) }
func closes(c *http.Client)  { http.HandleFunc("/livez", func(w, r) { c.CloseIdleConnections() }) }
func does(c *http.Client)    { http.HandleFunc("/livez", func(_ w, q r) { c.Do(q) }) }
func trips(t http.RoundTripper) { http.HandleFunc("/livez", func(_ w, q r) { t.RoundTrip(q) }) }
func proxies(p *httputil.ReverseProxy) { http.Handle("/livez", p) }
func constant()    { http.HandleFunc("/livez", func(w, r) { net.Dial("tcp", here) }) }
func variable()    { http.HandleFunc("/livez", func(w, r) { net.Dial("tcp", there) }) }
func unix()        { http.HandleFunc("/livez", func(w, r) { net.Dial("unix", "/run/x") }) }
func anywhere()    { http.HandleFunc("/livez", func(w, r) { net.Dial("tcp", "10.0.0.1:80") }) }
`, vet: []string{
		live("dials", "net.Dial"),
		live("looksUp", "(*net.Resolver).LookupHost"),
		live("dialsTLS", "tls.Dial"),
		live("mails", "smtp.SendMail"),
		live("calls", "rpc.Dial"),
		live("logs", "syslog.Dial"),
		live("asksDB", "(*sql.DB).QueryRow"),
		live("does", "(*http.Client).Do"),
		live("trips", "http.RoundTripper.RoundTrip"),
		live("proxies", "(*httputil.ReverseProxy).ServeHTTP"),
		live("variable", "net.Dial"),
		live("anywhere", "net.Dial"),
	}},
	{name: "routes", code: `
import (
	"database/sql"
	"fmt"
	"net/http"
	"path"
)

type s struct{ db *sql.DB }

func (s *s) asks(http.ResponseWriter, *http.Request) { s.db.Ping() }

type router struct{}

func (router) Get(string, any)            {}
func (router) Path(string) router          { return router{} }
func (router) HandlerFunc(any)             {}
func (router) Use(...any)                  {}
func (router) Group(string) router         { return router{} }
func (router) Method(string, string, any)  {}

var parts = []any{"/livez"}

func (s *s) sprintf(name string)  { http.HandleFunc(fmt.Sprintf("/%s/%s", name, "livez"), s.asks) }
func (s *s) sprintfMore()         { http.HandleFunc(fmt.Sprintf("/livez%s"), s.asks) }
func (s *s) sprintfList()         { http.HandleFunc(fmt.Sprintf("%s", parts...), s.asks) }
func (s *s) joined(name string)   { http.HandleFunc(path.Join(name, "/livez/"), s.asks) }
func (s *s) unjoined(name string) { http.HandleFunc(path.Join(name, name), s.asks) }
func (s *s) added(name string)    { http.HandleFunc("/"+name+"/livez", s.asks) }
func (s *s) two(b bool) {
	p := "/livez"
	if b {
		p = "/status"
	}
	http.HandleFunc(p, s.asks)
}
func (s *s) group(r router)       { r.Group("/health/").Get("/live", s.asks) }
func (s *s) chain(r router)       { r.Path("/livez").HandlerFunc(s.asks) }
func (s *s) chainOf(r router)     { v1 := r.Group("/v1"); h := v1.Group("/health"); h.Get("/live", s.asks) }
func (s *s) empty(r router)       { r.Group("/livez").Get("", s.asks) }
func (s *s) uses(r router)        { r.Group("/livez").Use(s.asks) }
func (s *s) method(r router)      { r.Method("GET", "/livez", s.asks) }
func (s *s) ready(r router)       { r.Group("/health").Get("/ready", s.asks) }
func (s *s) client()              { http.Get("http://peer/livez") }

type op struct{ Path, Route, Name string }

func register(any, any)           {}
func (s *s) described()           { register(op{Path: "/livez"}, s.asks) }
func (s *s) pointed()             { register(&op{Route: "/livez"}, s.asks) }
func (s *s) named()               { register(op{Name: "/livez"}, s.asks) }
func (s *s) looks()               { register("/livez", func(*http.Response) { s.db.Ping() }) }

func (s *s) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/livez" {
		s.db.Ping()
	} else if "/livez" == r.URL.Path {
		s.db.Ping()
	}
}
func (s *s) byCase(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/readyz":
		s.db.Ping()
	case r.Method == "GET", r.URL.Path == "/livez":
		s.db.Ping()
	}
}
func (s *s) byBoth(w http.ResponseWriter, r *http.Request) {
	if r.Method == "GET" && (r.URL.Path == "/healthz" || r.URL.Path == "/status") {
		s.db.Ping()
	}
	if !(r.URL.Path == "/livez") && r.URL.Path == "/other" {
		s.db.Ping()
	}
}
`, vet: []string{
		`sprintf: the liveness handler of "/{}/livez" calls a dependency: (*routes.s).asks -> (*sql.DB).Ping`,
		`joined: the liveness handler of "/{}/livez" calls a dependency: (*routes.s).asks -> (*sql.DB).Ping`,
		`added: the liveness handler of "/{}/livez" calls a dependency: (*routes.s).asks -> (*sql.DB).Ping`,
		`group: the liveness handler of "/health/live" calls a dependency: (*routes.s).asks -> (*sql.DB).Ping`,
		live("chain", "(*routes.s).asks -> (*sql.DB).Ping"),
		`chainOf: the liveness handler of "/v1/health/live" calls a dependency: (*routes.s).asks -> (*sql.DB).Ping`,
		live("empty", "(*routes.s).asks -> (*sql.DB).Ping"),
		live("method", "(*routes.s).asks -> (*sql.DB).Ping"),
		live("described", "(*routes.s).asks -> (*sql.DB).Ping"),
		live("pointed", "(*routes.s).asks -> (*sql.DB).Ping"),
		live("ServeHTTP", "(*sql.DB).Ping"),
		live("byCase", "(*sql.DB).Ping"),
		`byBoth: the liveness handler of "/healthz" calls a dependency: (*sql.DB).Ping`,
	}},
	{name: "values", code: `
import (
	"database/sql"
	"net/http"
	"sync"
)

type (
	w = http.ResponseWriter
	r = *http.Request
	check func() error
)

var db *sql.DB

func ask() error { return db.Ping() }
func fine() error { return nil }

func answer(c func() error) http.HandlerFunc {
	return func(a w, _ r) {
		if c() != nil {
			a.WriteHeader(503)
		}
	}
}

func direct()     { http.Handle("/livez", answer(ask)) }
func harmless()   { http.Handle("/livez", answer(fine)) }
func converted()  { http.Handle("/livez", answer(check(ask))) }
func once()       { f := sync.OnceValue(ask); http.HandleFunc("/livez", func(w, r) { f() }) }

func asserted(ok bool) {
	var v any = check(ask)
	c := v.(check)
	http.HandleFunc("/livez", func(w, r) { c() })
}

func assertedFine() {
	var v any = check(fine)
	if c, ok := v.(check); ok {
		http.HandleFunc("/livez", func(w, r) { c() })
	}
}

type asker interface{ Ask() error }
type pinger interface{ asker; Ping() }
type both struct{ f func() error }

func (b both) Ask() error { return b.f() }
func (b both) Ping()      {}

func narrowed() {
	var p pinger = both{ask}
	a := asker(p)
	http.HandleFunc("/livez", func(w, r) { a.Ask() })
}

func narrowedFine() {
	var p pinger = both{fine}
	a := p.(asker)
	http.HandleFunc("/livez", func(w, r) { a.Ask() })
}

func switched(v any) {
	v = both{ask}
	switch c := v.(type) {
	case asker:
		http.HandleFunc("/livez", func(w, r) { c.Ask() })
	}
}

func array() {
	checks := [2]func() error{fine, ask}
	http.HandleFunc("/livez", func(w, r) {
		for _, c := range checks {
			c()
		}
	})
}

func structs() struct{ live, ready func() error } {
	return struct{ live, ready func() error }{fine, ask}
}

func byField()      { c := structs().ready; http.HandleFunc("/livez", func(w, r) { c() }) }
func byFieldFine()  { c := structs().live; http.HandleFunc("/livez", func(w, r) { c() }) }

func pair() (func() error, func() error) { return fine, ask }

func second()     { _, c := pair(); http.HandleFunc("/livez", func(w, r) { c() }) }
func first()      { c, _ := pair(); http.HandleFunc("/livez", func(w, r) { c() }) }

var global = ask
var globalFine = fine

func ofPackage()     { http.HandleFunc("/livez", func(w, r) { global() }) }
func ofPackageFine() { http.HandleFunc("/livez", func(w, r) { globalFine() }) }

func sent() {
	c := make(chan func() error, 1)
	c <- ask
	http.HandleFunc("/livez", func(w, r) {
		select {
		case f := <-c:
			f()
		default:
		}
	})
}

func sentFine() {
	live, ready := make(chan func() error, 1), make(chan func() error, 1)
	live <- fine
	ready <- ask
	http.HandleFunc("/livez", func(w, r) { f, ok := <-live; if ok { f() } })
}

func mapped() {
	checks := map[string]func() error{"live": fine, "ready": ask}
	http.HandleFunc("/livez", func(w, r) { checks["live"]() })
}

func mappedBad() {
	checks := map[string]func() error{"live": fine, "ready": ask}
	http.HandleFunc("/livez", func(w, r) { c, ok := checks["ready"]; if ok { c() } })
}

func pointed() {
	c := fine
	p := &c
	*p = ask
	http.HandleFunc("/livez", func(w, r) { (*p)() })
}

func either(b bool) {
	c := fine
	if b {
		c = ask
	}
	http.HandleFunc("/livez", func(w, r) { c() })
}

func appended() {
	var all []func() error
	all = append(all, fine)
	all = append(all, ask)
	http.HandleFunc("/livez", func(w, r) { for _, c := range all { c() } })
}
`, vet: []string{
		live("direct", "values.ask -> (*sql.DB).Ping"),
		live("converted", "values.ask -> (*sql.DB).Ping"),
		live("once", "values.ask -> (*sql.DB).Ping"),
		live("narrowed", "values.both.Ask -> values.ask -> (*sql.DB).Ping"),
		live("narrowedFine", "values.both.Ask -> values.ask -> (*sql.DB).Ping"),
		live("switched", "values.both.Ask -> values.ask -> (*sql.DB).Ping"),
		live("second", "values.pair -> values.ask -> (*sql.DB).Ping"),
		live("first", "values.pair -> values.ask -> (*sql.DB).Ping"),
		live("ofPackage", "values.ask -> (*sql.DB).Ping"),
		live("either", "values.ask -> (*sql.DB).Ping"),
	}, whole: []string{
		live("direct", "values.answer -> values.ask -> (*sql.DB).Ping"),
		live("converted", "values.answer -> values.ask -> (*sql.DB).Ping"),
		live("once", "values.ask -> (*sql.DB).Ping"),
		live("asserted", "values.ask -> (*sql.DB).Ping"),
		live("narrowed", "values.both.Ask -> values.ask -> (*sql.DB).Ping"),
		live("switched", "values.both.Ask -> values.ask -> (*sql.DB).Ping"),
		live("array", "values.ask -> (*sql.DB).Ping"),
		live("byField", "values.ask -> (*sql.DB).Ping"),
		live("second", "values.ask -> (*sql.DB).Ping"),
		live("ofPackage", "values.ask -> (*sql.DB).Ping"),
		live("sent", "values.ask -> (*sql.DB).Ping"),
		live("mappedBad", "values.ask -> (*sql.DB).Ping"),
		live("either", "values.ask -> (*sql.DB).Ping"),
		live("appended", "values.ask -> (*sql.DB).Ping"),
	}},
	{name: "remembers", code: `
import (
	"database/sql"
	"net/http"
	"sync/atomic"
)

type (
	w = http.ResponseWriter
	r = *http.Request
)

var (
	db    *sql.DB
	last  error
	up    = new(bool)
	state atomic.Int32
	flag  int32
	down  = make(chan struct{})
	seen  atomic.Int64
)

func watch() {
	last = db.Ping()
	*up = db.Ping() == nil
	if db.Ping() != nil {
		state.Store(2)
		close(down)
	}
	atomic.StoreInt32(&flag, level(db.Ping()))
	seen.Add(1)
}

func level(err error) int32 {
	if err != nil {
		return 1
	}
	return 0
}

func byError()    { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.WriteHeader(503) } }) }
func byPointer()  { http.HandleFunc("/livez", func(a w, _ r) { if !*up { http.Error(a, "", 500) } }) }
func byTag()      { http.HandleFunc("/livez", func(a w, _ r) { switch state.Load() { case 2: a.WriteHeader(503) } }) }
func byCase()     { http.HandleFunc("/livez", func(a w, _ r) { switch { case state.Load() == 2: a.WriteHeader(503) } }) }
func byInit()     { http.HandleFunc("/livez", func(a w, _ r) { if n := atomic.LoadInt32(&flag); n > 0 { a.WriteHeader(503) } }) }
func byChannel()  { http.HandleFunc("/livez", func(a w, _ r) { select { case <-down: a.WriteHeader(503); default: } }) }
func byElse()     { http.HandleFunc("/livez", func(a w, _ r) { if last == nil { a.WriteHeader(200) } else { a.WriteHeader(503) } }) }
func after()      { http.HandleFunc("/livez", func(a w, _ r) { if last == nil { return }; a.WriteHeader(503) }) }
func byCode()     { http.HandleFunc("/livez", func(a w, _ r) { code := 200; if last != nil { code = 503 }; a.WriteHeader(code) }) }
func byCopy()     { http.HandleFunc("/livez", func(a w, _ r) { err := last; if err != nil { a.WriteHeader(503) } }) }
func byFunction() { http.HandleFunc("/livez", func(a w, _ r) { if !isUp() { a.WriteHeader(503) } }) }

func isUp() bool {
	if last != nil {
		return false
	}
	return true
}

func fails() http.HandlerFunc { return func(a w, _ r) { if last != nil { a.WriteHeader(503) } } }
func made()       { http.Handle("/livez", fails()) }

func unfound()    { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.WriteHeader(404) } }) }
func uncommon()   { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.WriteHeader(599) } }) }
func allowed()    { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.WriteHeader(405) } }) }
func known()      { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.WriteHeader(401) } }) }
func moved()      { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.WriteHeader(399) } }) }
func none()       { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.WriteHeader(600) } }) }
func says()       { http.HandleFunc("/livez", func(a w, _ r) { if last != nil { a.Write(nil) } }) }
func refuses()    { http.HandleFunc("/livez", func(a w, q r) { if last != nil { a.WriteHeader(403) } }) }
func counts()     { http.HandleFunc("/livez", func(a w, q r) { if seen.Load() > 5 { a.WriteHeader(503) } }) }
func swaps()      { http.HandleFunc("/livez", func(a w, q r) { if state.CompareAndSwap(1, 2) { a.WriteHeader(503) } }) }
func later()      { http.HandleFunc("/livez", func(a w, q r) { var err error; if err != nil { a.WriteHeader(503) }; err = last }) }
func inside()     { http.HandleFunc("/livez", func(a w, q r) { if last != nil { _ = func() { a.WriteHeader(503) } } }) }
func other()      { http.HandleFunc("/livez", func(a w, q r) { if last == nil { return }; if q == nil { a.WriteHeader(503) } }) }
func readiness()  { http.HandleFunc("/readyz", func(a w, _ r) { if last != nil { a.WriteHeader(503) } }) }
`, vet: []string{
		live("byError", "what is remembered in last -> (*sql.DB).Ping"),
		live("byPointer", "what is remembered in up -> (*sql.DB).Ping"),
		live("byTag", "what is remembered in state -> (*sql.DB).Ping"),
		live("byCase", "what is remembered in state -> (*sql.DB).Ping"),
		live("byInit", "what is remembered in flag -> (*sql.DB).Ping"),
		live("byChannel", "what is remembered in down -> (*sql.DB).Ping"),
		live("byElse", "what is remembered in last -> (*sql.DB).Ping"),
		live("after", "what is remembered in last -> (*sql.DB).Ping"),
		live("byCode", "what is remembered in last -> (*sql.DB).Ping"),
		live("byCopy", "what is remembered in last -> (*sql.DB).Ping"),
		live("byFunction", "remembers.isUp -> what is remembered in last -> (*sql.DB).Ping"),
		live("made", "what is remembered in last -> (*sql.DB).Ping"),
		live("unfound", "what is remembered in last -> (*sql.DB).Ping"),
		live("uncommon", "what is remembered in last -> (*sql.DB).Ping"),
	}},
	{name: "watches", code: `
import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/failopen/failopen/health"
)

var db *sql.DB

func ask() error { return db.Ping() }

func fatal(p *health.Process)       { p.Fatal(ask()) }
func fatalOfErr(p *health.Process)  { err := ask(); p.Fatal(fmt.Errorf("db: %w", err)) }
func fatalIf(p *health.Process)     { if err := ask(); err != nil { p.Fatal(errors.New("down")) } }
func fatalElse(p *health.Process)   { if err := ask(); err == nil { p.Fatal(errors.New("up")) } else { p.Fatal(errors.New("down")) } }
func fatalAfter(p *health.Process)  { if ask() == nil { return }; p.Fatal(errors.New("down")) }
func fatalUnless(p *health.Process) { if ask() != nil { return }; p.Fatal(errors.New("up")) }
func fatalCase(p *health.Process) {
	switch err := ask(); {
	case err != nil:
		p.Fatal(errors.New("down"))
	}
}
func fatalTag(p *health.Process)    { switch ask() { case nil: default: p.Fatal(errors.New("down")) } }
func fatalOther(p *health.Process)  { err := ask(); err = errors.New("own"); p.Fatal(err) }
func fatalIn(p *health.Process)     { if ask() != nil { func() { p.Fatal(errors.New("own")) }() } }

func end(p *health.Process)         { p.Fatal(errors.New("own")) }

func changes(p *health.Process)     { p.OnChange(func(health.State) { p.Fatal(errors.New("own")) }) }
func changesBy(p *health.Process)   { p.OnChange(func(s health.State) { if !s.Ready { end(p) } }) }
func changesVar(p *health.Process)  { f := func(health.State) { end(p) }; p.OnChange(f) }
func changesNone(p *health.Process) { p.OnChange(func(health.State) {}) }

func beat(w *health.Watch)          { for { if ask() == nil { w.Beat() } } }
func beatAfter(w *health.Watch)     { for { if ask() != nil { continue }; w.Beat() } }
func beatFailed(w *health.Watch)    { for { w.Wait(func() { ask() }); if ask() != nil { w.Beat() } } }
func outside(w *health.Watch)       { for { ask(); w.Beat(); w.Wait(func() {}) } }
func waits(w *health.Watch)         { for { w.Beat(); w.Wait(func() { ask() }) } }
func waitsFor(w *health.Watch)      { for { w.Beat(); health.Wait(context.TODO(), func() { ask() }) } }
func idles(w *health.Watch)         { for { w.Idle(); ask(); w.Beat() } }
func idlesRound(w *health.Watch)    { for range 3 { ask(); w.Beat(); w.Idle() } }
func idlesBefore(w *health.Watch)   { for { w.Idle(); w.Beat(); ask() } }
func starts(w *health.Watch)        { for { go ask(); w.Beat(); w.Idle() } }
func given(w *health.Watch)         { for { f := func() { ask() }; _ = f; w.Beat(); w.Idle(); } }
func atOnce(w *health.Watch)        { for { w.Beat(); func() { ask() }(); w.Beat() } }
func unwatched(*health.Watch)       { for { ask() } }

func guarded(w *health.Watch) error { return errors.Join(func() (err error) { w.Wait(func() { err = ask() }); return }()) }
func byGuarded(w *health.Watch)     { for { guarded(w); w.Beat(); w.Idle(); w.Beat() } }
`, vet: []string{
		`fatal: the error given to Fatal comes from code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`fatalOfErr: the error given to Fatal comes from code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`fatalIf: whether Fatal is called depends on code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`fatalElse: whether Fatal is called depends on code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`fatalAfter: whether Fatal is called depends on code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`fatalCase: whether Fatal is called depends on code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`fatalTag: whether Fatal is called depends on code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`changes: the function given to OnChange calls Fatal; the state follows the dependencies, so that an outage of one restarts this process, which does not help`,
		`changesBy: the function given to OnChange calls Fatal; the state follows the dependencies, so that an outage of one restarts this process, which does not help`,
		`changesVar: the function given to OnChange calls Fatal; the state follows the dependencies, so that an outage of one restarts this process, which does not help`,
		`beat: whether Beat is called depends on code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`beatAfter: whether Beat is called depends on code that calls a dependency: watches.ask -> (*sql.DB).Ping`,
		`beatFailed: a loop that a watch guards calls, outside of Wait, a dependency: watches.ask -> (*sql.DB).Ping`,
		`outside: a loop that a watch guards calls, outside of Wait, a dependency: watches.ask -> (*sql.DB).Ping`,
		`idlesBefore: a loop that a watch guards calls, outside of Wait, a dependency: watches.ask -> (*sql.DB).Ping`,
		`atOnce: a loop that a watch guards calls, outside of Wait, a dependency: watches.ask -> (*sql.DB).Ping`,
	}},
}

package corpus

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// What methods set, and handlers remember.
type flag struct {
	mu   sync.Mutex
	ok   bool
	last error
}

func (f *flag) set(ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ok = ok
}

func (f *flag) get() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ok
}

func (f *flag) up()          { f.ok = true }
func (f *flag) down()        { f.ok = false }
func (f *flag) fail(e error) { f.last = e }

func (f *flag) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.get() {
		w.WriteHeader(503)
	}
}

func (f *flag) handle(w http.ResponseWriter, r *http.Request) { f.ServeHTTP(w, r) }

func (f *flag) live(w http.ResponseWriter, r *http.Request) {
	if f.last != nil {
		w.WriteHeader(503)
	}
}

// One flag for each, and what the database says goes into some of them.
type board struct {
	database, switched, failed, own flag

	states map[string]error
	parts  sync.Map
	last   error
	misses int
	lost   chan struct{}
	errs   chan error
	tokens map[string]bool
}

func (b *board) watch(s *server) { // want watch:"reaches"
	for range time.Tick(time.Second) {
		err := s.ping(context.Background())
		b.database.set(err == nil)
		b.failed.fail(err)
		b.states["db"] = err
		b.parts.Store("db", err)
		b.note(err)
		b.errs <- err
		b.tokens, err = s.load()
		if err != nil {
			close(b.lost)
			b.switched.down()
			b.misses++
		} else {
			b.switched.up()
			b.misses = 0
		}
	}
}

func (b *board) note(err error) { b.last = err }

func (b *board) badSetter(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if !b.database.get() {
			w.WriteHeader(503)
		}
	})
}

func (b *board) badSwitch(mux *http.ServeMux)       { mux.Handle("/livez", &b.switched) }
func (b *board) badMethodOfFlag(mux *http.ServeMux) { mux.HandleFunc("/livez", b.failed.live) }
func (b *board) badWrappedMethod(mux *http.ServeMux) {
	mux.Handle("/livez", http.HandlerFunc(b.failed.live))
}

func (b *board) badStates(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		for _, err := range b.states {
			if err != nil {
				w.WriteHeader(503)
				return
			}
		}
	})
}

func (b *board) badParts(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		ok := true
		b.parts.Range(func(_, err any) bool {
			if err != nil {
				ok = false
			}
			return true
		})
		if !ok {
			w.WriteHeader(503)
		}
	})
}

func (b *board) badPart(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if err, _ := b.parts.Load("db"); err != nil {
			w.WriteHeader(503)
		}
	})
}

func (b *board) badMisses(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case b.misses > 3:
			w.WriteHeader(503)
		default:
			w.WriteHeader(200)
		}
	})
}

func (b *board) badByPath(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/livez" {
		if b.last != nil {
			w.WriteHeader(503)
		}
	}
}

func (s *server) load() (map[string]bool, error) { return nil, s.db.Ping() } // want load:"reaches"

func (b *board) badClosed(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-b.lost:
			w.WriteHeader(503)
		default:
		}
	})
}

func (b *board) badSent(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		select {
		case err := <-b.errs:
			http.Error(w, err.Error(), 503)
		default:
		}
	})
}

// A handler that returns an error, as those of echo do.
type returning func(http.ResponseWriter, *http.Request) error

func (f returning) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		w.WriteHeader(500)
	}
}

func (b *board) state() error { return b.last }

func text(w http.ResponseWriter, code int, s string) error {
	w.WriteHeader(code)
	_, err := w.Write([]byte(s))
	return err
}

func (b *board) returned(w http.ResponseWriter, r *http.Request) error { return b.state() }

func (b *board) badReturned(mux *http.ServeMux) { mux.Handle("/livez", returning(b.returned)) }

func (b *board) badReturnedNew(mux *http.ServeMux) {
	mux.Handle("/livez", returning(func(w http.ResponseWriter, r *http.Request) error {
		if b.last != nil {
			return errors.New("down")
		}
		return nil
	}))
}

func badForwarded(mux *http.ServeMux) {
	u, _ := url.Parse("http://backend")
	mux.Handle("/livez", httputil.NewSingleHostReverseProxy(u))
}

func badForwardedBy(mux *http.ServeMux, proxy *httputil.ReverseProxy) { // want badForwardedBy:"reaches"
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) { proxy.ServeHTTP(w, r) })
}

func (s *server) badOnce(mux *http.ServeMux) {
	check := sync.OnceValue(func() error { return s.db.Ping() })
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if check() != nil {
			w.WriteHeader(503)
		}
	})
}

// The same type, and another value of it.
func (b *board) goodSetter(mux *http.ServeMux) {
	b.own.set(true)
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if !b.own.get() {
			w.WriteHeader(503)
		}
	})
}

func (b *board) goodMethodOfFlag(mux *http.ServeMux)  { mux.HandleFunc("/livez", b.own.live) }
func (b *board) goodHandlerOfFlag(mux *http.ServeMux) { mux.Handle("/livez", &b.own) }

// Who asks is no question of health, wherever the tokens come from.
func (b *board) goodToken(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		if !b.tokens[r.Header.Get("Authorization")] {
			w.WriteHeader(401)
		}
	})
}

func (b *board) goodFull(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		select {
		case b.errs <- nil:
		default:
			w.WriteHeader(503)
		}
	})
}

// It only shows.
func (b *board) goodShown(mux *http.ServeMux) {
	mux.Handle("/livez", returning(func(w http.ResponseWriter, r *http.Request) error {
		if b.last != nil || !b.database.get() {
			return text(w, 200, "degraded")
		}
		return text(w, 200, "fine")
	}))
}

func (b *board) goodCounted(mux *http.ServeMux) {
	mux.HandleFunc("/livez", func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for _, err := range b.states {
			if err != nil {
				n++
			}
		}
		if r.Method != http.MethodGet {
			w.WriteHeader(405)
			return
		}
		text(w, 200, string(rune('0'+n)))
	})
}

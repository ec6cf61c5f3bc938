package peers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/peers"
)

// network is a fleet in memory: a resolver, and a transport that calls
// handlers.
type network struct {
	mu       sync.Mutex
	handlers map[string]http.Handler // by address
	hidden   map[string]bool         // addresses that look-ups do not have
	err      error                   // of look-ups
	most     int                     // requests at a time
	now      int
}

func (n *network) LookupNetIP(context.Context, string, string) (addrs []netip.Addr, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return nil, n.err
	}
	for a := range n.handlers {
		if !n.hidden[a] {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
	}
	return addrs, nil
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	host, _, err := net.SplitHostPort(r.URL.Host)
	h := n.handlers[host]
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	defer func() { n.mu.Lock(); n.now--; n.mu.Unlock() }()
	if err != nil || h == nil {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return w.Result(), nil
}

func (n *network) fleet(t *testing.T, id string, more func(*peers.Options)) *peers.Fleet {
	t.Helper()
	o := peers.Options{ID: id, Name: "shop.internal", Port: 9090, Resolver: n, Client: &http.Client{Transport: n}}
	if more != nil {
		more(&o)
	}
	f, err := peers.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs f for d of virtual time.
func run(t *testing.T, f *peers.Fleet, d time.Duration) []health.Peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := f.Run(ctx); err != nil {
		t.Error(err)
	}
	list, _ := f.Peers(t.Context())
	return list
}

func said(id string, bad, out bool) http.Handler {
	f, err := peers.New(peers.Options{ID: id, Name: "x", Port: 1})
	if err != nil {
		panic(err)
	}
	return f.Handler(func() health.Self { return health.Self{ID: id, Bad: bad, Out: out} })
}

func text(body string, code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
}

func TestFleet_asks_and_forgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{handlers: map[string]http.Handler{
			"10.0.0.1": said("self", true, false), "10.0.0.2": said("b", true, true), "fd00::3": said("c", false, false),
			"10.0.0.4": text("{}", 200), "10.0.0.5": text("no json", 200), "10.0.0.6": text(`{"id": "f"}`, 500),
			"10.0.0.7": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			"10.0.0.8": text(strings.Repeat(" ", 1<<20)+`{"id": "h"}`, 200),
		}}
		f := n.fleet(t, "self", nil)
		list := run(t, f, 10*time.Minute)
		if len(list) != 2 || list[0].ID != "b" || !list[0].Bad || !list[0].Out || list[1].ID != "c" || list[1].Bad {
			t.Errorf("peers %+v; want b, bad and out, and c", list)
		}
		if age := time.Since(list[0].Seen); age > 8*time.Second {
			t.Errorf("b was seen %v ago", age)
		}
		if s := f.Stats(); s.Rounds < 90 || s.Asked != 8*s.Rounds || s.Failed != 5*s.Rounds || s.Known != 2 || s.LookupErrors != 0 {
			t.Errorf("stats %+v", s)
		}
		n.mu.Lock()
		delete(n.handlers, "10.0.0.2")
		n.mu.Unlock()
		if list := run(t, f, 2*time.Minute); len(list) != 1 || list[0].ID != "c" {
			t.Errorf("peers %+v; b is gone", list)
		}
		n.err = errors.New("no such host")
		run(t, f, time.Minute)
		if list, err := f.Peers(t.Context()); err != nil || len(list) != 1 || time.Since(list[0].Seen) > 8*time.Second {
			t.Errorf("DNS is down: %+v, %v; want c, asked where it answered before", list, err)
		}
		n.mu.Lock()
		n.handlers = nil
		n.mu.Unlock()
		run(t, f, 20*time.Second)
		if list, err := f.Peers(t.Context()); err == nil || len(list) != 1 {
			t.Errorf("DNS and c are down: %+v, %v; want an error, and what was known", list, err)
		}
	})
}

func TestFleet_large(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{handlers: make(map[string]http.Handler)}
		for i := range 200 {
			n.handlers[fmt.Sprintf("10.0.1.%d", i)] = said(fmt.Sprint("i-", i), false, false)
		}
		f := n.fleet(t, "self", nil)
		run(t, f, 30*time.Second)
		if s := f.Stats(); s.Asked != 32*s.Rounds || s.Known != 32 || n.most > 32 {
			t.Errorf("%+v, %d at a time; want 32 peers, always the same within a minute", s, n.most)
		}
	})
}

// TestGuard_over_peers joins three processes by their handlers: the one that
// is in trouble leaves, and nobody does when all are.
func TestGuard_over_peers(t *testing.T) {
	for name, c := range map[string]struct{ bad, out int }{"one of four": {1, 1}, "all": {4, 0}} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{handlers: make(map[string]http.Handler)}
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			var processes []*health.Process
			var fleets []*peers.Fleet
			began := time.Now()
			for i := range 4 {
				id := string(rune('a' + i))
				f := n.fleet(t, id, nil)
				p := &health.Process{Guard: &health.Guard{ID: id, Peers: f.Peers}}
				if err := p.Depend(health.Dependency{Name: "table", Check: func(context.Context) error {
					if i < c.bad && time.Since(began) > time.Minute {
						return errors.New("no")
					}
					return nil
				}}); err != nil {
					t.Fatal(err)
				}
				p.Started()
				n.handlers[fmt.Sprintf("10.0.0.%d", i+1)] = f.Handler(p.Self)
				processes, fleets = append(processes, p), append(fleets, f)
			}
			for i := range processes {
				all.Go(func() { _ = fleets[i].Run(ctx) })
				all.Go(func() { _ = processes[i].Run(ctx) })
			}
			wait, stop := context.WithTimeout(ctx, 3*time.Minute)
			<-wait.Done()
			stop()
			synctest.Wait()
			out := 0
			for _, p := range processes {
				if !p.Ready() {
					out++
				}
			}
			if out != c.out {
				t.Errorf("%s bad: %d are out, want %d", name, out, c.out)
			}
			cancel()
			all.Wait()
		})
	}
}

// ready is a look-up that answers as a headless service of Kubernetes does: with
// the addresses of those who are ready.
type ready struct {
	*network
	processes map[string]*health.Process
}

func (r ready) LookupNetIP(context.Context, string, string) (addrs []netip.Addr, err error) {
	for addr, p := range r.processes {
		if p.Ready() {
			addrs = append(addrs, netip.MustParseAddr(addr))
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

// Who leaves vanishes from a headless service's look-up. The others must know
// it all the same: else each would find a smaller fleet that is well, and leave
// as the next one. In a fault of all, nobody is out when it is over.
func TestGuard_over_a_headless_service(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{handlers: make(map[string]http.Handler)}
		dns := ready{n, make(map[string]*health.Process)}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var runs []func()
		var bad [10]atomic.Bool
		for i := range bad {
			id, addr := fmt.Sprint("pod-", i), fmt.Sprintf("10.0.0.%d", i+1)
			f := n.fleet(t, id, func(o *peers.Options) { o.Resolver = dns })
			p := &health.Process{Seed: uint64(i + 1), Guard: &health.Guard{ID: id, Peers: f.Peers}}
			if err := p.Depend(health.Dependency{Name: "table", Check: func(context.Context) error {
				if bad[i].Load() {
					return errors.New("no")
				}
				return nil
			}}); err != nil {
				t.Fatal(err)
			}
			p.Started()
			n.handlers[addr], dns.processes[addr] = f.Handler(p.Self), p
			runs = append(runs, func() { _ = f.Run(ctx) }, func() { _ = p.Run(ctx) })
		}
		for _, run := range runs { // only when both maps are complete
			all.Go(run)
		}
		out := func(after time.Duration) (out int) {
			timer := time.NewTimer(after)
			<-timer.C
			synctest.Wait()
			for _, p := range dns.processes {
				if !p.Ready() {
					out++
				}
			}
			return out
		}
		if n := out(3 * time.Minute); n > 0 {
			t.Errorf("%d of 10 are out, all are well", n)
		}
		for i := range bad { // one more every three minutes
			bad[i].Store(true)
			want := 1
			if i >= 5 {
				want = 0 // most of the fleet: the cause is elsewhere
			}
			if n := out(3 * time.Minute); n != want {
				t.Errorf("%d bad: %d out, want %d", i+1, n, want)
			}
		}
		for i := range bad {
			bad[i].Store(false)
		}
		if n := out(time.Minute); n > 0 {
			t.Errorf("the fault is over, and %d are out", n)
		}
		cancel()
		all.Wait()
	})
}

// An address that DNS has dropped may belong to another fleet by now.
func TestFleet_knows_who_answers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{handlers: map[string]http.Handler{"10.0.0.1": said("a", false, false), "10.0.0.2": said("b", true, true)}}
		f := n.fleet(t, "self", nil)
		run(t, f, 20*time.Second)
		n.mu.Lock()
		n.hidden = map[string]bool{"10.0.0.2": true}
		n.mu.Unlock()
		if list := run(t, f, 5*time.Minute); len(list) != 2 || time.Since(list[1].Seen) > 8*time.Second {
			t.Errorf("%+v; b answers still", list)
		}
		n.mu.Lock()
		n.handlers["10.0.0.2"] = said("stranger", false, false)
		n.mu.Unlock()
		if list := run(t, f, 2*time.Minute); len(list) != 1 || list[0].ID != "a" {
			t.Errorf("%+v; want a alone", list)
		}
	})
}

func TestNew_refuses(t *testing.T) {
	for want, o := range map[string]peers.Options{
		"ID is empty":   {Name: "a", Port: 1},
		"Name is empty": {ID: "a", Port: 1},
		"Port is 0":     {ID: "a", Name: "a"},
		"Port is 70000": {ID: "a", Name: "a", Port: 70000},
		"negative":      {ID: "a", Name: "a", Port: 1, Period: -1},
		"256 may be":    {ID: strings.Repeat("a", 300), Name: "a", Port: 1},
		"not UTF-8":     {ID: "a\xff", Name: "a", Port: 1},
	} {
		if _, err := peers.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error about %q", err, want)
		}
	}
}

// TestFleet_over_sockets uses the default client and resolver, on loopback.
func TestFleet_over_sockets(t *testing.T) {
	server := httptest.NewServer(said("other", true, false))
	defer server.Close()
	addr := server.Listener.Addr().(*net.TCPAddr)
	f, err := peers.New(peers.Options{ID: "self", Name: "127.0.0.1", Port: addr.Port, Period: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	for f.Stats().Known == 0 && ctx.Err() == nil {
		next := time.NewTimer(time.Millisecond)
		<-next.C
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if list, err := f.Peers(t.Context()); err != nil || len(list) != 1 || list[0].ID != "other" || !list[0].Bad {
		t.Errorf("%+v, %v; want the other, bad", list, err)
	}
	resp, err := http.Post(server.URL, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

// Over https a peer is who its certificate says: that of the fleet's name, or of
// another that the configuration has.
func TestFleet_over_tls(t *testing.T) {
	server := httptest.NewTLSServer(said("other", false, false))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	addr := server.Listener.Addr().(*net.TCPAddr)
	for _, c := range []struct {
		config *tls.Config
		want   int
	}{
		{&tls.Config{RootCAs: roots, ServerName: "example.com"}, 1}, // what the certificate of httptest has
		{&tls.Config{RootCAs: roots}, 1},                            // 127.0.0.1, too
		{&tls.Config{RootCAs: roots, ServerName: "elsewhere.internal"}, 0},
		{&tls.Config{ServerName: "example.com"}, 0}, // signed by nobody that is known
		{nil, 0}, // http
	} {
		f, err := peers.New(peers.Options{ID: "self", Name: "127.0.0.1", Port: addr.Port, Period: 10 * time.Millisecond, TLS: c.config})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		for f.Stats().Known == 0 && f.Stats().Failed < 3 && ctx.Err() == nil {
			next := time.NewTimer(time.Millisecond)
			<-next.C
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := f.Stats(); s.Known != c.want {
			t.Errorf("%+v: %+v; want %d known", c.config, s, c.want)
		}
	}
}

type resolver func() ([]netip.Addr, error)

func (f resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return f() }

type transport func() (*http.Response, error)

func (f transport) RoundTrip(*http.Request) (*http.Response, error) { return f() }

// Whatever a resolver or a transport does, Run goes on, ends with its context, and
// counts; one that is deaf is not called again before it has returned.
func TestFleet_with_hostile_callbacks(t *testing.T) {
	found := resolver(func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.1"), {}}, nil })
	for name, c := range map[string]struct {
		resolver  resolver
		transport transport
		panics    bool
	}{
		"resolver panics":   {func() ([]netip.Addr, error) { panic("x") }, nil, true},
		"resolver exits":    {func() ([]netip.Addr, error) { runtime.Goexit(); return nil, nil }, nil, true},
		"resolver is deaf":  {func() ([]netip.Addr, error) { <-time.After(5 * time.Minute); return nil, nil }, nil, false},
		"transport panics":  {found, func() (*http.Response, error) { panic("x") }, true},
		"transport exits":   {found, func() (*http.Response, error) { runtime.Goexit(); return nil, nil }, true},
		"transport is deaf": {found, func() (*http.Response, error) { <-time.After(5 * time.Minute); return nil, errors.New("late") }, false},
		"transport is nil":  {found, func() (*http.Response, error) { return nil, nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, err := peers.New(peers.Options{ID: "a", Name: "x", Port: 1, Resolver: c.resolver, Client: &http.Client{Transport: c.transport}})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if list := run(t, f, time.Minute); len(list) > 0 {
					t.Errorf("%v", list)
				}
				if took := time.Since(began); took > 65*time.Second {
					t.Errorf("it ended after %v", took)
				}
				if s := f.Stats(); (s.Panics > 0) != c.panics || s.Rounds < 5 {
					t.Errorf("%+v", s)
				}
				late := time.NewTimer(10 * time.Minute) // for who is deaf
				<-late.C
			})
		})
	}
	if err := new(peers.Fleet).Run(t.Context()); err == nil {
		t.Error("a Fleet that New has not made runs")
	}
	f, err := peers.New(peers.Options{ID: "a", Name: "x", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, self := range []func() health.Self{nil, func() health.Self { panic("x") }} {
		w := httptest.NewRecorder()
		f.Handler(self).ServeHTTP(w, httptest.NewRequest(http.MethodGet, peers.Path, nil))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("without a usable function: %d", w.Code)
		}
	}
	ended := make(chan struct{})
	go func() { // the server's goroutine for the connection
		defer close(ended)
		exits := func() health.Self { runtime.Goexit(); return health.Self{} }
		f.Handler(exits).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, peers.Path, nil))
	}()
	<-ended
	if s := f.Stats(); s.Panics != 2 {
		t.Errorf("%d panics are counted; want that of the function, and its Goexit", s.Panics)
	}
}

// The longest ID that may be, of what JSON writes with six bytes each, still fits
// into the answer that a peer reads.
func TestFleet_longest_ID(t *testing.T) {
	id := strings.Repeat("<", 256)
	longest, err := peers.New(peers.Options{ID: id, Name: "x", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	answers := longest.Handler(func() health.Self { return health.Self{} })
	synctest.Test(t, func(t *testing.T) {
		f, err := peers.New(peers.Options{
			ID: "self", Name: "x", Port: 1,
			Resolver: resolver(func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil }),
			Client: &http.Client{Transport: transport(func() (*http.Response, error) {
				w := httptest.NewRecorder()
				answers.ServeHTTP(w, httptest.NewRequest(http.MethodGet, peers.Path, nil))
				return w.Result(), nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if list := run(t, f, 10*time.Second); len(list) != 1 || list[0].ID != id {
			t.Errorf("%v, %+v; want the peer with the longest ID", list, f.Stats())
		}
	})
}

// wild is the output of a logger that panics.
type wild struct{}

func (wild) Write([]byte) (int, error) { panic("x") }

// A logger's panics are counted, and Run goes on.
func TestFleet_with_hostile_logger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := resolver(func() ([]netip.Addr, error) { return nil, errors.New("x") })
		f, err := peers.New(peers.Options{ID: "a", Name: "x", Port: 1, Resolver: failing, Logger: slog.New(slog.NewTextHandler(wild{}, nil))})
		if err != nil {
			t.Fatal(err)
		}
		run(t, f, time.Minute)
		if s := f.Stats(); s.Rounds < 10 || s.Panics == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Package peers is a fleet signal for health.Guard that needs nothing but DNS
// and HTTP: each instance answers at one path what it thinks of itself, and
// asks the others, whose addresses one DNS name has (a headless service of
// Kubernetes, a service of AWS Cloud Map, ECS Service Connect). It survives an
// outage of any datastore.
//
// Who has left the traffic may be gone from DNS: a headless service lists only
// the pods that are ready, unless it sets publishNotReadyAddresses. So members
// are remembered, and asked at their last address for as long as they answer,
// and for twelve periods after.
//
//	fleet, err := peers.New(peers.Options{ID: hostname, Name: "checkout.internal", Port: 9090})
//	p.Guard = &health.Guard{ID: hostname, Peers: fleet.Peers}
//	mux.Handle(peers.Path, fleet.Handler(p.Self))
//	go fleet.Run(ctx)
package peers

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/internal/background"
)

// Path is where instances answer each other.
const Path = "/peerz"

// Options are the settings of a Fleet.
type Options struct {
	// ID is this instance's name among its peers, the same as the Guard's:
	// at most 256 bytes of UTF-8. Required.
	ID string

	// Name is the DNS name whose addresses are those of the fleet; Port is
	// where instances listen. Required.
	Name string
	Port int

	// Period is the time from one round of questions to the next. Default
	// 5 s; the Guard's Fresh should be three times that.
	Period time.Duration

	// Most is how many peers are asked in a round; of more, a random part
	// that changes each minute. Default 32.
	Most int

	// Timeout bounds the look-up, and each question. Default 1 s.
	Timeout time.Duration

	// TLS, if set, makes questions go over https. Its ServerName is Name by
	// default: addresses come from DNS, and certificates have names. For a
	// mesh that wants to know who asks, it holds a certificate of this
	// instance. It is cloned.
	TLS *tls.Config

	// Client makes the requests. Default: one without a proxy and without
	// redirects. With it, TLS only says that questions go over https.
	Client *http.Client

	// Resolver looks the name up. Default: net.DefaultResolver.
	Resolver interface {
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	}

	// Logger, if set, gets a record when the name cannot be looked up, once
	// until it can again. One that does not return gets no more.
	Logger *slog.Logger
}

// Fleet is what this instance knows of the others. Make it with New; it is
// safe for concurrent use.
type Fleet struct {
	opts   Options
	scheme string

	// mu guards what follows but drawn and draw, which are of Run's goroutine alone. No
	// program's code is called while it is held.
	mu    sync.Mutex
	peers map[string]member
	err   error // of the last look-up; nil: there was none, or it was well
	stats Stats
	draw  uint64 // which peers are asked, if there are more than Most
	drawn time.Time

	looking bool                // a look-up has not returned
	asking  map[netip.Addr]bool // questions that have not returned

	log background.Logger
}

// member is a peer and where it answered.
type member struct {
	health.Peer
	addr netip.Addr
}

// Stats counts what has happened since New.
type Stats struct {
	Rounds       int64 `json:"rounds"`        // times that all were asked
	LookupErrors int64 `json:"lookup_errors"` // look-ups of the name that failed
	Remembered   int64 `json:"remembered"`    // questions to addresses that DNS no longer has
	Asked        int64 `json:"asked"`         // members that were asked, in all rounds
	Failed       int64 `json:"failed"`        // questions without a usable answer
	Panics       int64 `json:"panics"`        // of the Resolver, the Client, the Logger, and what Handler was given; Goexit counts, too
	Known        int   `json:"known"`         // peers whose answer is at hand
}

// maxID is the longest ID in bytes. JSON writes some bytes as six (\u003c), so
// maxAnswer, which is how much of an answer is read, has room for six times that.
const (
	maxID     = 256
	maxAnswer = 2 << 10
)

// New checks the options. It makes no request.
// Zero values are replaced by the defaults; o itself is not changed.
func New(o Options) (*Fleet, error) {
	switch {
	case o.ID == "":
		return nil, errors.New("peers: Options.ID is empty")
	case len(o.ID) > maxID:
		return nil, fmt.Errorf("peers: Options.ID has %d bytes; %d may be", len(o.ID), maxID)
	case !utf8.ValidString(o.ID): // JSON would change it, and this instance would take itself for a peer
		return nil, fmt.Errorf("peers: Options.ID %q is not UTF-8", o.ID)
	case o.Name == "":
		return nil, errors.New("peers: Options.Name is empty")
	case o.Port < 1 || o.Port > 65535:
		return nil, fmt.Errorf("peers: Options.Port is %d; it must be between 1 and 65535", o.Port)
	case o.Period < 0, o.Most < 0, o.Timeout < 0:
		return nil, errors.New("peers: Options.Period, Most and Timeout must not be negative")
	case o.Period > 0 && o.Period < time.Millisecond, o.Timeout > 0 && o.Timeout < time.Millisecond:
		return nil, fmt.Errorf("peers: Options.Period is %v and Timeout %v, less than a millisecond; the unit may be missing: 5 * time.Second", o.Period, o.Timeout)
	}
	if o.Period == 0 {
		o.Period = 5 * time.Second
	}
	if o.Most == 0 {
		o.Most = 32
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	f := &Fleet{peers: make(map[string]member), asking: make(map[netip.Addr]bool), draw: rand.Uint64(), scheme: "http://"}
	if o.TLS != nil {
		f.scheme, o.TLS = "https://", o.TLS.Clone()
		if o.TLS.ServerName == "" {
			o.TLS.ServerName = strings.TrimSuffix(o.Name, ".")
		}
	}
	if o.Client == nil {
		o.Client = &http.Client{
			// no Proxy: peers are within the network, and their addresses are not for a proxy's log
			Transport: &http.Transport{
				TLSClientConfig:       o.TLS,
				TLSHandshakeTimeout:   o.Timeout,
				DialContext:           (&net.Dialer{Timeout: o.Timeout}).DialContext,
				ResponseHeaderTimeout: o.Timeout,
				MaxIdleConnsPerHost:   1,
				IdleConnTimeout:       4 * o.Period,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	f.opts = o
	f.log.To, f.log.Panicked = o.Logger, f.panicked
	return f, nil
}

// answer is what instances tell each other, as JSON.
// The format is ours, and between versions: fields may be added, and none may change
// its meaning, since a rollout has both.
type answer struct {
	ID  string `json:"id"`
	Bad bool   `json:"bad"`
	Out bool   `json:"out"`
	New bool   `json:"new,omitempty"`
}

// Handler answers peers at Path. self is Process.Self; if it panics, or is nil,
// the answer is a status of 500, which its peers count as none; a Goexit in it
// ends the request without an answer. Nobody is asked by it.
func (f *Fleet) Handler(self func() health.Self) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		s, ok := f.ourselves(self)
		body, err := json.Marshal(answer{ID: f.opts.ID, Bad: s.Bad, Out: s.Out, New: s.New})
		if err != nil || !ok {
			http.Error(w, "unavailable", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body) // the peer has gone; it will ask again
	})
}

// ourselves is what self says, if it says something.
func (f *Fleet) ourselves(self func() health.Self) (s health.Self, ok bool) {
	if self == nil {
		return s, false
	}
	defer func() {
		_ = recover() // it has not returned, as with a Goexit
		if !ok {
			f.panicked()
		}
	}()
	s = self()
	return s, true
}

// panicked counts, and must not be called with f.mu held.
func (f *Fleet) panicked() {
	f.mu.Lock()
	f.stats.Panics++
	f.mu.Unlock()
}

// Peers returns what is known, for Guard.Peers. It asks nobody: Run does. A
// look-up that fails is an error only if no peer has answered within three
// periods: those who were found before are asked all the same.
func (f *Fleet) Peers(context.Context) ([]health.Peer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]health.Peer, 0, len(f.peers))
	fresh := false
	for _, m := range f.peers {
		list = append(list, m.Peer)
		fresh = fresh || time.Since(m.Seen) <= 3*f.opts.Period
	}
	slices.SortFunc(list, func(a, b health.Peer) int { return strings.Compare(a.ID, b.ID) })
	// somebody has answered: that is a signal, whatever DNS says
	if fresh {
		return list, nil
	}
	return list, f.err
}

// Stats returns the counters.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Known = len(f.peers)
	return s
}

// Run asks the fleet every Period, ± 10%, until ctx is done, and then returns
// nil. A Resolver or a Client that does not return is not called again before it
// has, and does not hold it up.
func (f *Fleet) Run(ctx context.Context) error {
	if f.opts.Resolver == nil {
		return errors.New("peers: make the Fleet with New")
	}
	for {
		f.round(ctx)
		timer := time.NewTimer(time.Duration(float64(f.opts.Period) * (0.9 + 0.2*rand.Float64())))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			f.close()
			return nil
		}
	}
}

// close closes connections, by way of the Client's Transport.
func (f *Fleet) close() {
	defer func() {
		if recover() != nil {
			f.panicked()
		}
	}()
	f.opts.Client.CloseIdleConnections()
}

// round looks the fleet up and asks it, all at once.
// Its context ends after twice Timeout: one for the look-up, and one for the
// questions. What does not return then goes on by itself, and is not asked again.
func (f *Fleet) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*f.opts.Timeout)
	defer cancel()
	addrs, err := f.lookup(ctx)
	f.mu.Lock()
	f.stats.Rounds++
	if err != nil {
		f.stats.LookupErrors++
	}
	// from well to failing, or back: the log has each once
	news := (err == nil) != (f.err == nil)
	f.err = err
	f.forget()
	gone := f.remembered(addrs)
	f.mu.Unlock()
	if news && ctx.Err() == nil {
		f.log.Warn("peers: looking the fleet up", "name", f.opts.Name, "err", err)
	}
	some := f.some(addrs, gone)
	done := make(chan struct{}, len(some))
	for _, a := range some {
		go func() {
			defer func() { done <- struct{}{} }()
			f.ask(ctx, a, gone[a])
		}()
	}
	late := time.NewTimer(2*f.opts.Timeout + f.opts.Timeout/10)
	defer late.Stop()
	for range some {
		select {
		case <-done:
		case <-late.C:
			return // for those who do not listen to their context
		}
	}
}

// lookup looks the name up, and does not wait longer than Timeout.
func (f *Fleet) lookup(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	f.mu.Lock()
	looking := f.looking
	f.looking = true
	f.mu.Unlock()
	// the Resolver does not listen to its context: one goroutine is enough to find that out
	if looking {
		return nil, errors.New("peers: the last look-up has not returned")
	}
	type result struct {
		addrs []netip.Addr
		err   error
	}
	results := make(chan result, 1)
	go func() {
		r := result{err: errors.New("peers: the Resolver panicked")}
		returned := false
		defer func() {
			_ = recover() // it has not returned, as with a Goexit
			if !returned {
				f.panicked()
			}
			f.mu.Lock()
			f.looking = false
			f.mu.Unlock()
			results <- r
		}()
		addrs, err := f.opts.Resolver.LookupNetIP(ctx, "ip", f.opts.Name)
		r, returned = result{addrs, err}, true
	}()
	select {
	case r := <-results:
		return r.addrs, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// remembered is who answered at addresses that DNS does not have, or cannot be
// asked for. The caller holds f.mu.
func (f *Fleet) remembered(addrs []netip.Addr) map[netip.Addr]string {
	gone := make(map[netip.Addr]string)
	for _, m := range f.peers {
		// by address: of two IDs at one address any one is asked for
		gone[m.addr] = m.ID
	}
	for _, a := range addrs {
		delete(gone, a.Unmap())
	}
	f.stats.Remembered += int64(len(gone))
	return gone
}

// forget drops who has been silent for long. The caller holds f.mu.
func (f *Fleet) forget() {
	for id, p := range f.peers {
		if time.Since(p.Seen) > 12*f.opts.Period {
			delete(f.peers, id)
		}
	}
}

// some is at most Most of the addresses: the same ones for a minute, so that
// what is known of them stays fresh.
func (f *Fleet) some(found []netip.Addr, gone map[netip.Addr]string) []netip.Addr {
	addrs := slices.Collect(maps.Keys(gone))
	for _, a := range found {
		addrs = append(addrs, a.Unmap())
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	if len(addrs) <= f.opts.Most {
		return addrs
	}
	if time.Since(f.drawn) > time.Minute { // Run's goroutine only
		f.draw, f.drawn = rand.Uint64(), time.Now()
	}
	// the same draw shuffles the same addresses in the same way, so the choice stays for a
	// minute although nothing is kept but a number
	r := rand.New(rand.NewPCG(f.draw, 0))
	r.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs[:f.opts.Most]
}

// ask asks one instance, which may be this one. If only is set, the address is
// no longer in DNS and may be someone else's by now: then only that one's
// answer counts.
func (f *Fleet) ask(ctx context.Context, addr netip.Addr, only string) {
	f.mu.Lock()
	asking := f.asking[addr]
	f.asking[addr] = true
	f.mu.Unlock()
	if asking {
		return
	}
	returned := false
	defer func() {
		_ = recover() // it has not returned, as with a Goexit
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.asking, addr)
		if !returned {
			f.stats.Panics++
			f.stats.Asked++
			f.stats.Failed++
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	a, err := f.get(ctx, f.scheme+net.JoinHostPort(addr.String(), strconv.Itoa(f.opts.Port))+Path)
	returned = true
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Asked++
	if err != nil || only != "" && a.ID != only {
		f.stats.Failed++
		return
	}
	if a.ID != f.opts.ID {
		f.peers[a.ID] = member{health.Peer{ID: a.ID, Bad: a.Bad, Out: a.Out, New: a.New, Seen: time.Now()}, addr}
	}
}

// get asks one URL, and reads at most maxAnswer of what comes back. An answer counts
// only with status 200 and an ID; what answers at an address that was given away
// may be anything.
func (f *Fleet) get(ctx context.Context, url string) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return a, err
	}
	resp, err := f.opts.Client.Do(r)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("peers: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("peers: the answer is not JSON: %w", err)
	}
	if a.ID == "" {
		return a, errors.New(`peers: the answer has no "id"`)
	}
	return a, nil
}

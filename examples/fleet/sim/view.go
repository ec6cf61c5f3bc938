package sim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/peers"
)

// join gives an instance a view of its own: the real package peers, over a
// look-up and a network in memory. f.mu is held.
func (i *Instance) join(ctx context.Context, p *health.Process) error {
	network := &network{fleet: i.fleet, from: i, generation: i.generation}
	f, err := peers.New(peers.Options{ID: i.ID, Name: "shop.internal", Port: 9090, Resolver: network, Client: &http.Client{Transport: network}})
	if err != nil {
		return err
	}
	p.Guard.Peers = f.Peers
	i.peerz = f.Handler(p.Self)
	go func() { _ = f.Run(ctx) }() // nil, when ctx is done
	return nil
}

// network is what one instance sees of the others.
type network struct {
	fleet      *fleet
	from       *Instance
	generation int
}

// LookupNetIP finds who is ready by the platform's opinion, or who runs.
func (n *network) LookupNetIP(context.Context, string, string) (addrs []netip.Addr, err error) {
	n.fleet.mu.Lock()
	defer n.fleet.mu.Unlock()
	if n.fleet.Scenario.SignalDown && n.fleet.fault() || n.from.lost() {
		return nil, errDown
	}
	for _, i := range n.fleet.all {
		if i.inService || i.up && n.fleet.Scenario.ShowUnready {
			addrs = append(addrs, i.addr)
		}
	}
	if len(addrs) == 0 {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

// RoundTrip asks the instance that has an address now.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	host, _, err := net.SplitHostPort(r.URL.Host)
	if err != nil {
		return nil, err
	}
	h := n.at(host)
	if h == nil { // a packet that nobody answers
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// at is what answers at an address now; nil: nobody does.
func (n *network) at(host string) http.Handler {
	n.fleet.mu.Lock()
	defer n.fleet.mu.Unlock()
	if n.fleet.Scenario.SignalDown && n.fleet.fault() || n.from.lost() {
		return nil
	}
	for _, i := range n.fleet.all {
		if i.up && i.addr.String() == host && !i.lost() {
			return i.peerz
		}
	}
	return nil
}

// lost reports whether i's host is gone.
func (i *Instance) lost() bool {
	return i.fleet.Scenario.Lost != nil && i.fleet.fault() && i.fleet.Scenario.Lost(i)
}

// onHost is a handler that answers as long as the host of i is there.
func (i *Instance) onHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.lost() {
			<-r.Context().Done()
			return
		}
		h.ServeHTTP(w, r)
	})
}

// wave is how many instances a rollout replaces at a time: a quarter, as a
// Deployment of Kubernetes does by default.
func (f *fleet) wave() int { return max(1, f.Instances/4) }

// rollout replaces all instances by a new version, wave by wave, and waits each
// time until the platform takes the new ones for ready.
func (f *fleet) rollout() {
	wait(f.ctx, f.Begin)
	for next := 0; next < len(f.all) && f.ctx.Err() == nil; next += f.wave() {
		wave := f.all[next:min(next+f.wave(), len(f.all))]
		f.mu.Lock()
		for _, i := range wave {
			i.draining, i.inService = true, false // drained: no request is lost
		}
		f.mu.Unlock()
		wait(f.ctx, 15*time.Second)
		f.mu.Lock()
		for _, i := range wave {
			i.Fresh = true
			f.restart(i, false)
		}
		f.mu.Unlock()
		for f.ctx.Err() == nil && !f.inService(wave) {
			wait(f.ctx, time.Second)
		}
	}
}

// inService reports whether all of these get traffic.
func (f *fleet) inService(some []*Instance) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range some {
		if !i.inService {
			return false
		}
	}
	return true
}

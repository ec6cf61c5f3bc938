package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/failopen/failopen/health"
)

// Policy is a way of answering probes.
type Policy struct {
	Name string

	// New makes the health of one instance that has just booted. It ends
	// with ctx.
	New func(ctx context.Context, i *Instance) (Service, error)
}

// Service is the health of one instance.
type Service struct {
	Ready http.Handler
	Live  http.Handler // nil: there is none; see Platform.DeepLive

	// Watch is what the worker loop tells that it lives. Nil: nobody.
	Watch *health.Watch
	// BeatOnly: the loop does not stop the watch's clock while it waits.
	BeatOnly bool

	// Drain, if set, is called before the instance is stopped on purpose.
	Drain func(ctx context.Context, d time.Duration) error
	// Self is what the instance says of itself to the fleet; nil: nothing.
	Self func() health.Self
}

// Each of the others leaves one part out, to show what that part is for: Guard
// keeps a fleet from going out of service all at once, Wait keeps a loop that
// waits from being taken for dead, and Drain lets the platform take note before
// a stop.
//
// Policies of this library.
var (
	Ours         = Policy{"failopen", ours(options{})}
	OursGuard    = Policy{"failopen, Guard", ours(options{guard: true})}
	OursBeatOnly = Policy{"failopen, no Wait", ours(options{beatOnly: true})}
	OursNoDrain  = Policy{"failopen, no Drain", ours(options{noDrain: true})}

	// OursPeers is the Guard over package health/peers: each instance sees
	// the fleet that the look-up shows it, and that it remembers. OursPair
	// is the same for a fleet of two.
	OursPeers = Policy{"failopen, Guard over peers", ours(options{guard: true, peers: true})}
	OursPair  = Policy{"failopen, Guard over peers, MinPeers 1", ours(options{guard: true, peers: true, minPeers: 1})}
)

type options struct {
	guard, beatOnly, noDrain bool
	peers                    bool // the signal of health/peers, and not one view for all
	minPeers                 int
}

// ours is a service as the guide of package health writes it.
//
// This is the part to copy. A worker loop has a watch, with a limit of several
// of its rounds; a dependency has a check that runs in the background; and the
// two handlers read what is known by then, so that a probe takes no time and
// asks nobody.
func ours(o options) func(context.Context, *Instance) (Service, error) {
	return func(ctx context.Context, i *Instance) (Service, error) {
		p := &health.Process{Seed: i.Seed()}
		if o.guard {
			p.Guard = &health.Guard{ID: i.ID, Peers: i.Peers, MinPeers: o.minPeers}
		}
		if o.peers {
			if err := i.join(ctx, p); err != nil {
				return Service{}, err
			}
		}
		watch, err := p.Watch("worker", 30*time.Second)
		if err != nil {
			return Service{}, err
		}
		if err := p.Depend(health.Dependency{Name: "dynamodb", Check: i.Ask}); err != nil {
			return Service{}, err
		}
		go p.Run(ctx)
		p.Started()
		s := Service{
			Ready: http.HandlerFunc(p.ServeReady), Live: http.HandlerFunc(p.ServeLive),
			Watch: watch, BeatOnly: o.beatOnly, Drain: p.Drain, Self: p.Self,
		}
		if o.noDrain {
			s.Drain = nil
		}
		return s, nil
	}
}

// Naive is the check that most services begin with: one endpoint, that asks the
// dependency each time.
//
// Two seconds are a generous time-out; with less it fails sooner.
var Naive = Policy{"naive", func(_ context.Context, i *Instance) (Service, error) {
	return Service{Ready: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := i.Ask(ctx); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(map[string]string{"dynamodb": "down"})
			return
		}
		fmt.Fprintln(w, "ok")
	})}, nil
}}

package sim

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// Probe is how a platform asks.
type Probe struct {
	Interval, Timeout time.Duration
	Unhealthy         int // failures in a row
	Healthy           int // successes in a row, after it was unhealthy; a new one needs one
}

// Platform is what asks, and what it does about the answers.
type Platform struct {
	Name string

	Ready Probe // decides about traffic
	Live  Probe // decides about restarts

	// DeepLive: a policy that has one endpoint for everything is asked
	// there for liveness, too.
	DeepLive bool

	KillUnready bool          // an instance that becomes unhealthy is replaced
	FailOpen    bool          // if none is healthy, all get traffic
	Boot        time.Duration // from start to serving
	Backoff     time.Duration // of restarts, doubling; 0: none
	MaxBackoff  time.Duration
}

// Platforms with default settings.
var (
	// ECS is Amazon ECS behind an Application Load Balancer, which probes
	// /readyz; a target that it finds unhealthy is stopped and replaced by
	// ECS. The container health check probes /livez.
	ECS = Platform{
		Name:  "ECS+ALB",
		Ready: Probe{30 * time.Second, 5 * time.Second, 2, 5},
		Live:  Probe{30 * time.Second, 5 * time.Second, 3, 1}, KillUnready: true, FailOpen: true, Boot: 30 * time.Second,
	}

	// KubernetesReadiness has a readinessProbe, and a livenessProbe for
	// policies with an endpoint for it.
	KubernetesReadiness = Platform{
		Name:  "k8s readiness",
		Ready: Probe{10 * time.Second, time.Second, 3, 1},
		Live:  Probe{10 * time.Second, time.Second, 3, 1},
		Boot:  10 * time.Second, Backoff: 10 * time.Second, MaxBackoff: 5 * time.Minute,
	}

	// KubernetesLiveness has both probes in any case.
	KubernetesLiveness = Platform{
		Name:  "k8s liveness",
		Ready: KubernetesReadiness.Ready, Live: KubernetesReadiness.Live, DeepLive: true,
		Boot: 10 * time.Second, Backoff: 10 * time.Second, MaxBackoff: 5 * time.Minute,
	}

	Platforms = []Platform{ECS, KubernetesReadiness, KubernetesLiveness}
)

// prober asks one endpoint of one instance again and again.
//
// Its rules are those of a platform: so many failures in a row make an instance
// unhealthy, so many successes healthy again; an answer that comes after the
// time-out is a failure.
type prober struct {
	Probe
	handler http.Handler
	told    func(healthy bool) // of each change, on the prober's goroutine

	ctx      context.Context
	known    bool // it is not new
	healthy  bool
	failures int
	passes   int
}

// start asks first after offset. Who is new is neither healthy nor unhealthy.
func (p *prober) start(ctx context.Context, offset time.Duration) {
	p.ctx = ctx
	p.after(offset)
}

// after asks once more, when so much time has passed.
func (p *prober) after(wait time.Duration) {
	time.AfterFunc(wait, p.ask)
}

// ask asks once, and again after the interval. An answer after the time-out
// does not count.
func (p *prober) ask() {
	if p.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	var counted atomic.Bool
	late := time.AfterFunc(p.Timeout, func() {
		if counted.CompareAndSwap(false, true) {
			p.count(false)
		}
		cancel() // the prober hangs up; an answer comes too late
	})
	defer late.Stop()
	began := time.Now()
	code := status(ctx, p.handler)
	if counted.CompareAndSwap(false, true) {
		p.count(code == http.StatusOK)
	}
	// A handler may take longer than the interval, and may hold a lock
	// meanwhile: the next question waits for its end.
	p.after(max(p.Interval-time.Since(began), time.Millisecond))
}

// status is the handler's answer to one probe.
func status(ctx context.Context, h http.Handler) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return 0
	}
	w := answer{header: make(http.Header), code: http.StatusOK}
	h.ServeHTTP(&w, r)
	return w.code
}

// answer is a ResponseWriter that keeps the code only.
//
// As in net/http, the first code counts.
type answer struct {
	header http.Header
	code   int
	wrote  bool
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(code int) {
	if !a.wrote {
		a.code, a.wrote = code, true
	}
}
func (a *answer) Write(b []byte) (int, error) { a.WriteHeader(http.StatusOK); return len(b), nil }

// count takes one answer into account, and tells of a change. What is new
// becomes healthy by its first success.
func (p *prober) count(ok bool) {
	if ok {
		p.failures, p.passes = 0, p.passes+1
	} else {
		p.failures, p.passes = p.failures+1, 0
	}
	turned := p.healthy && p.failures >= p.Unhealthy || !p.healthy && p.passes >= p.Healthy
	if !p.known {
		turned = ok || p.failures >= p.Unhealthy
		p.healthy = !ok
	}
	if turned {
		p.known, p.healthy = true, ok
		p.told(ok)
	}
}

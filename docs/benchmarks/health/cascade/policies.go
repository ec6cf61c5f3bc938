package main

import (
	"context"
	"net/http"
	"time"

	alexliesenfeld "github.com/alexliesenfeld/health"
	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/failopen/failopen/examples/fleet/sim"
)

// policies are the columns of the table.
var policies = []sim.Policy{healthGo("health-go", false), healthGo("health-go SkipOnErr", true), alex, sim.Ours, sim.OursGuard}

// healthGo is hellofresh/health-go as its README shows it: one handler, with
// the default time-out of 2 s.
func healthGo(name string, skip bool) sim.Policy {
	return sim.Policy{Name: name, New: func(_ context.Context, i *sim.Instance) (sim.Service, error) {
		h, err := hellofresh.New(hellofresh.WithChecks(hellofresh.Config{Name: "dynamodb", SkipOnErr: skip, Check: i.Ask}))
		if err != nil {
			return sim.Service{}, err
		}
		return sim.Service{Ready: inTurn(h.Handler())}, nil
	}}
}

// alex is alexliesenfeld/health as its README shows it: a synchronous check
// with a time-out of 2 s, and the default cache of 1 s. It does not start by
// itself: its first check would hold the mutex that the rest of its
// constructor takes (see inTurn), and it has no periodic checks to start.
var alex = sim.Policy{Name: "alexliesenfeld", New: func(_ context.Context, i *sim.Instance) (sim.Service, error) {
	checker := alexliesenfeld.NewChecker(
		alexliesenfeld.WithDisabledAutostart(),
		alexliesenfeld.WithCheck(alexliesenfeld.Check{Name: "dynamodb", Timeout: 2 * time.Second, Check: i.Ask}),
	)
	return sim.Service{Ready: inTurn(alexliesenfeld.NewHandler(checker))}, nil
}}

// inTurn lets one request at a time into h. Both peers hold a mutex while they
// check, and a check takes virtual time: a second request would wait for that
// mutex, and a goroutine that waits for a mutex keeps the virtual time from
// passing, so neither would ever go on. Waiting for a channel does not.
func inTurn(h http.Handler) http.Handler {
	turn := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn <- struct{}{}
		defer func() { <-turn }()
		h.ServeHTTP(w, r)
	})
}

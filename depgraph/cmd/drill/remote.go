package main

import (
	"flag"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
	"github.com/failopen/failopen/depgraph/drill/presets"
)

// A service that runs already is never started, stopped or changed from here.
// It is asked at its own URL, as its users ask it, and its dependencies are cut
// in the proxy that it was started behind; both addresses are all that is known
// of it.

// remoteFlags say which running service is drilled, and through which proxy its
// dependencies go. check makes the client of the proxy; nothing is asked of it
// yet.
// rate is in requests a second, least a part from 0 to 1. faultProxyControl is nil
// before check.
type remoteFlags struct {
	url, expect       string
	control, token    string
	budget, steady    time.Duration
	rate, least       float64
	faultProxyControl *faultproxy.Client
}

// add declares them. What drill proxy has exported is the default for its
// address.
func (r *remoteFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&r.url, "url", "", "the `URL` of your own service, which runs already and whose dependencies go through drill proxy; {n} in it is the number of the request, 0 to 999")
	fs.StringVar(&r.expect, "expect", "", "a `text` that each answer must have, or it is wrong")
	fs.StringVar(&r.control, "control", os.Getenv("DRILL_CONTROL"), "the `URL` of the proxy's control API (default: $DRILL_CONTROL)")
	fs.StringVar(&r.token, "token-file", os.Getenv("DRILL_TOKEN_FILE"), "the `file` with its token (default: $DRILL_TOKEN_FILE)")
	fs.DurationVar(&r.budget, "budget", time.Second, "how long an answer of --url may take")
	fs.DurationVar(&r.steady, "steady", 3*time.Second, "for how long --url must serve before anything is cut")
	fs.Float64Var(&r.rate, "rate", 20, "how many requests --url gets a second")
	fs.Float64Var(&r.least, "least", 1, "the part of the requests to --url that must be served")
}

// used says whether a running service is drilled.
func (r *remoteFlags) used() bool { return r.url != "" }

// without refuses flags that mean nothing without --url: a budget that nobody
// keeps to is no budget.
func (r *remoteFlags) without(verb string, fs *flag.FlagSet) (err error) {
	if r.used() {
		return nil
	}
	fs.Visit(func(f *flag.Flag) {
		if slices.Contains([]string{"expect", "control", "token-file", "budget", "steady", "rate", "least"}, f.Name) && err == nil {
			err = usagef("%s: --%s is for a service of yours, with --url", verb, f.Name)
		}
	})
	return err
}

// check refuses what cannot be drilled, and bounds what is asked of the
// service: at most a thousand requests a second, each for at most a minute.
func (r *remoteFlags) check(verb string) (err error) {
	u, err := url.Parse(strings.ReplaceAll(r.url, "{n}", "0"))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return usagef("%s: --url is %q; want a URL such as http://127.0.0.1:8080/session/{n}", verb, r.url)
	case r.control == "" || r.token == "":
		return usagef("%s: --url needs the proxy that its dependencies go through: --control URL and --token-file FILE, as drill proxy prints them", verb)
	case r.budget <= 0 || r.budget > time.Minute:
		return usagef("%s: --budget is %v; want up to 1m", verb, r.budget)
	case r.steady < 100*time.Millisecond || r.steady > time.Hour:
		return usagef("%s: --steady is %v; want 100ms to 1h", verb, r.steady)
	case !(r.rate > 0 && r.rate <= 1000): // NaN too
		return usagef("%s: --rate is %v; want up to 1000", verb, r.rate)
	case !(r.least > 0 && r.least <= 1):
		return usagef("%s: --least is %v; want up to 1", verb, r.least)
	}
	r.faultProxyControl, err = faultproxy.NewClient(r.control, r.token)
	return err
}

// experiment is the drill of a preset on the running service. The proxy ends
// the fault by itself two minutes after the watch, should this process be gone
// by then; halting it at the proxy stops the drill; and another one's rules in
// it are a guard.
//
// The verdict is void, and not held, if the proxy sees no call that the rules
// hit: a service that does not use the proxy would pass every drill.
func (r *remoteFlags) experiment(p presets.Preset) drill.Experiment {
	// The lease outlasts the watch by what it takes to revert.
	cut := r.faultProxyControl.Fault(p.Watch+2*time.Minute, p.Rules...)
	return drill.Experiment{
		Title: p.Name + ": " + p.Title, Service: r.url, Dependency: p.Dependency,
		Target: drill.Probe(r.url, r.expect, nil), Fault: cut, Rules: p.Rules, Stop: cut.Halted,
		Guards: []drill.Guard{{Name: "nobody else uses the proxy", Ask: cut.Guard}},
		Steady: r.steady, Watch: p.Watch, Recovery: p.Recovery, Budget: r.budget, Rate: r.rate, Least: r.least,
	}
}

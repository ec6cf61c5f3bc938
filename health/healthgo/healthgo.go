// Package healthgo joins package health and hellofresh/health-go, version
// 5.5.5: its catalogue of ready checks (Postgres, Redis, gRPC, HTTP and many
// more) becomes dependencies of a health.Process, and what a Process knows can
// be served in its format.
//
// health-go's own engine is not used. It holds one mutex while checks run, so
// that one hung check stops all probes; gives checks a context without a
// deadline; lets a panic in a check end the process; and shows the text of
// errors to anybody. [Import] and [Handler] keep all of that out.
package healthgo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/failopen/failopen/health"
)

// Import makes a dependency of a health-go check. SkipOnErr becomes Soft, and
// Timeout bounds the check for real: if the check ignores its context, the
// verdict is there in time all the same. Zero values get package health's
// defaults. What cannot be imported, a nil check among it, is an error.
func Import(c hellofresh.Config) (health.Dependency, error) {
	switch {
	case c.Name == "":
		return health.Dependency{}, errors.New("healthgo: Config.Name is empty")
	case c.Check == nil:
		return health.Dependency{}, fmt.Errorf("healthgo: %q: Config.Check is nil", c.Name)
	case c.Timeout < 0:
		return health.Dependency{}, fmt.Errorf("healthgo: %q: Config.Timeout is %v, it must not be negative", c.Name, c.Timeout)
	}
	return health.Dependency{Name: c.Name, Soft: c.SkipOnErr, Timeout: c.Timeout, Check: c.Check}, nil
}

// errWithheld is what health-go gets to show in place of an error's text.
var errWithheld = errors.New("failing")

// Handler serves what p knows in health-go's JSON. Nothing is checked, so
// nothing can hang; a failing dependency makes the status "Partially
// Available", with HTTP 200, as p's own report does; and only a process that
// is not live makes it "Unavailable", with 503. Dependencies that are
// registered later appear as well.
func Handler(p *health.Process, component hellofresh.Component) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		h, err := render(p.Report(), component)
		if err != nil {
			http.Error(w, "unavailable", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		h.Handler().ServeHTTP(w, r)
	})
}

// render makes a health-go instance whose checks only say what the report
// says. It is made anew for each request, so that its mutex is nobody else's.
// health-go lists failures only, so that what passes need not be in it.
func render(report health.Report, component hellofresh.Component) (*hellofresh.Health, error) {
	options := []hellofresh.Option{hellofresh.WithComponent(component), hellofresh.WithMaxConcurrent(1)}
	fails := func(name string, soft bool) {
		options = append(options, hellofresh.WithChecks(hellofresh.Config{
			Name: name, SkipOnErr: soft, Check: func(context.Context) error { return errWithheld },
		}))
	}
	for name, list := range report.Checks {
		for _, c := range list {
			if c.Status == health.StatusFail {
				fails(strings.TrimSuffix(name, ":responseTime"), true)
			}
		}
	}
	if !report.Live {
		fails("process:live", false)
	}
	return hellofresh.New(options...)
}

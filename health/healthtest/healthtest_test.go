package healthtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthtest"
)

// service has one loop that calls its dependency, without a deadline, and one
// check of it.
func service(ctx context.Context, dep *healthtest.Dependency) (*health.Process, error) {
	p := new(health.Process)
	loop, err := p.Watch("loop", 30*time.Second)
	if err != nil {
		return nil, err
	}
	if err := p.Depend(health.Dependency{Name: "table", Check: dep.Check}); err != nil {
		return nil, err
	}
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			loop.Beat()
			loop.Wait(func() { _ = dep.Call(ctx) })
			loop.Idle()
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	p.Started()
	return p, nil
}

func TestSurvives(t *testing.T) { healthtest.Survives(t, service) }

// ExampleSurvives is what a service's own test looks like.
func ExampleSurvives() {
	test := func(t *testing.T) { // func TestHealth(t *testing.T)
		healthtest.Survives(t, service)
	}
	_ = test
	// Output:
}

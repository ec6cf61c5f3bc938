package healthtest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthtest"
)

// bad are services that must not pass, and what the test must say.
var bad = map[string]struct {
	start func(context.Context, *healthtest.Dependency) (*health.Process, error)
	want  string
}{
	"no Wait": {func(ctx context.Context, dep *healthtest.Dependency) (*health.Process, error) {
		p := new(health.Process)
		loop, err := p.Watch("loop", 30*time.Second)
		go func() {
			for ctx.Err() == nil {
				loop.Beat()
				_ = dep.Call(ctx)
				loop.Idle()
				wait, stop := context.WithTimeout(ctx, time.Second)
				<-wait.Done()
				stop()
			}
		}()
		p.Started()
		return p, err
	}, `under the fault hang: not live after`},
	"Fatal": {func(ctx context.Context, dep *healthtest.Dependency) (*health.Process, error) {
		p := new(health.Process)
		p.Started()
		return p, p.Depend(health.Dependency{Name: "table", Check: func(ctx context.Context) error {
			err := dep.Check(ctx)
			p.Fatal(err)
			return err
		}})
	}, `under the fault error: not live after`},
	"unused": {func(context.Context, *healthtest.Dependency) (*health.Process, error) {
		p := new(health.Process)
		p.Started()
		return p, nil
	}, `nothing was tested`},
	"never started": {func(_ context.Context, dep *healthtest.Dependency) (*health.Process, error) {
		p := new(health.Process)
		return p, p.Depend(health.Dependency{Name: "table", Check: dep.Check})
	}, `before the fault: the process has not started`},
	"cannot be made": {func(context.Context, *healthtest.Dependency) (*health.Process, error) {
		return nil, errors.New("no configuration")
	}, `no configuration`},
	"Run cannot begin": {func(_ context.Context, dep *healthtest.Dependency) (*health.Process, error) {
		p := &health.Process{Guard: &health.Guard{}}
		p.Started()
		return p, p.Depend(health.Dependency{Name: "table", Check: dep.Check})
	}, `Run: health: Guard.ID is empty`},
	"dead from the beginning": {func(_ context.Context, dep *healthtest.Dependency) (*health.Process, error) {
		p := new(health.Process)
		p.Started()
		p.Fatal(errors.New("own"))
		return p, p.Depend(health.Dependency{Name: "table", Check: dep.Check})
	}, `before the fault: not live after 5s`},
	"drains": {func(ctx context.Context, dep *healthtest.Dependency) (*health.Process, error) {
		p := new(health.Process)
		p.Started()
		return p, p.Depend(health.Dependency{Name: "table", Check: func(ctx context.Context) error {
			err := dep.Check(ctx)
			if err != nil {
				go func() { _ = p.Drain(context.WithoutCancel(ctx), time.Hour) }()
			}
			return err
		}})
	}, `under the fault error: not ready after`},
	"does not recover": {func(_ context.Context, dep *healthtest.Dependency) (*health.Process, error) {
		var failed atomic.Bool
		p := new(health.Process)
		p.Started()
		return p, p.Depend(health.Dependency{Name: "table", Check: func(ctx context.Context) error {
			if dep.Check(ctx) != nil {
				failed.Store(true)
			}
			if failed.Load() {
				return errors.New("a connection that nobody renews")
			}
			return nil
		}})
	}, `10m0s after the fault the report says warn`},
}

// TestBad is run by TestSurvives_fails, in a process of its own.
func TestBad(t *testing.T) {
	b, ok := bad[os.Getenv("HEALTHTEST_BAD")]
	if !ok {
		t.Skip("run by TestSurvives_fails")
	}
	healthtest.Survives(t, b.start)
}

func TestSurvives_fails(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self, "-test.run", "^TestBad$", "-test.v")
			cmd.Env = append(os.Environ(), "HEALTHTEST_BAD="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !regexp.MustCompile(b.want).Match(out) {
				t.Errorf("want a failure that says %q; got %v\n%s", b.want, err, bytes.TrimSpace(out))
			}
		})
	}
}

package healthtest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
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
	}, `the process has not started`},
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

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/examples/fleet/sim"
)

// TestCascade runs everything again, compares it with what is committed, and
// sees that the targets are met.
func TestCascade(t *testing.T) {
	configs := runs()
	rows := make([]row, len(configs))
	t.Run("runs", func(t *testing.T) {
		for i, c := range configs {
			t.Run(c.Scenario.Name+"/"+c.Platform.Name+"/"+c.Policy.Name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var err error
					if rows[i], err = run(t.Context(), c); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	})
	for name, content := range outputs(rows) {
		committed, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(committed) != content {
			t.Errorf("%s is not what the simulation says; run: go run ./health/cascade", name)
		}
	}
	for _, r := range rows {
		if why := target(r); why != "" {
			t.Errorf("%+v: %s", r, why)
		}
	}
}

// TestPeers_can_be_asked_at_once asks each policy twice at the same moment,
// while its check waits in virtual time, and builds it where its own check
// could already run. With a mutex in the way the bubble would stand still.
func TestPeers_can_be_asked_at_once(t *testing.T) {
	for _, p := range policies {
		synctest.Test(t, func(t *testing.T) {
			slow := sim.Scenario{Name: "slow", Check: func(ctx context.Context, _ *sim.Instance) error {
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
				return nil
			}}
			asked := 0
			policy := sim.Policy{Name: p.Name, New: func(ctx context.Context, i *sim.Instance) (sim.Service, error) {
				s, err := p.New(ctx, i)
				if err != nil {
					return s, err
				}
				inner := s.Ready
				s.Ready = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					done := make(chan struct{})
					go func() {
						defer close(done)
						inner.ServeHTTP(httptest.NewRecorder(), r)
					}()
					inner.ServeHTTP(w, r)
					<-done
					asked++
				})
				return s, nil
			}}
			_, err := sim.Run(t.Context(), sim.Config{
				Scenario: slow, Platform: sim.Platforms[1], Policy: policy, Instances: 1,
				Begin: time.Second, End: 2 * time.Minute, Length: 3 * time.Minute,
			})
			if err != nil || asked == 0 {
				t.Errorf("%s: asked %d times, %v", p.Name, asked, err)
			}
		})
	}
}

// target says what a row of this library misses.
func target(r row) string {
	ours := r.Policy == sim.Ours.Name
	guard := r.Policy == sim.OursGuard.Name
	if !ours && !guard {
		return peer(r)
	}
	switch r.Scenario {
	case "dependency errors", "test record deleted", "black hole":
		if r.Served < 99.99 || r.Restarts > 0 || r.Ejected > 0 || r.Recovery > 0 {
			return "want ≥ 99.99 % served, no restart, nobody ejected, full recovery"
		}
	case "30 % need it":
		if r.Served != 70 || r.Restarts > 0 {
			return "want exactly the 70 % that do not need it"
		}
	case "one bad instance":
		if guard && r.Served < 99.4 {
			return "want ≥ 99.4 % served"
		}
	case "one bad, signal down":
		if r.Ejected > 0 || r.Served != 90 {
			return "without a signal nobody may leave"
		}
	case "flaky check":
		if r.Served < 99.99 || ours && r.Restarts > 0 {
			return "want ≥ 99.99 % served; without a guard, no restart"
		}
	case "dead worker loop":
		for _, p := range sim.Platforms {
			if p.Name == r.Platform && (r.Restarts != 1 || r.Found > deadline(p)) {
				return "want one restart, within limit + 3 probes"
			}
		}
	case "worker waits":
		if r.Restarts > 0 || r.Served < 100 {
			return "want no restart"
		}
	case "rolling restart":
		if r.Served < 100 {
			return "want no failed request"
		}
	default:
		return "no target"
	}
	return ""
}

// peer says where a simulation that harms nobody could not show anything.
func peer(r row) string {
	switch {
	case r.Policy == sim.OursBeatOnly.Name && r.Restarts < 50:
		return "a heartbeat without Wait must restart a lot"
	case r.Policy == sim.OursNoDrain.Name && r.Served > 99.9:
		return "without Drain requests must fail"
	case r.Policy == "health-go" && r.Scenario == "test record deleted" && (r.Served > 90 || !r.Never && r.Platform != sim.ECS.Name):
		return "the naive check must fail in the case that this package was made for"
	}
	return ""
}

// TestOneBad_is_out_in_time measures from the fault to the platform's decision.
func TestOneBad_is_out_in_time(t *testing.T) {
	for _, platform := range sim.Platforms {
		synctest.Test(t, func(t *testing.T) {
			began, out := time.Duration(0), time.Duration(0)
			_, err := sim.Run(t.Context(), sim.Config{
				Scenario: sim.Scenarios[4], Platform: platform, Policy: sim.OursGuard, Length: 10 * time.Minute,
				Observe: func(s sim.Second) {
					for _, state := range s.States {
						if s.Fault && began == 0 {
							began = s.At
						}
						if s.Fault && state != sim.InService && out == 0 {
							out = s.At
						}
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if took := out - began; out == 0 || took > 90*time.Second {
				t.Errorf("%s: out after %v", platform.Name, took)
			} else {
				t.Logf("%s: out after %v", platform.Name, took)
			}
		})
	}
}

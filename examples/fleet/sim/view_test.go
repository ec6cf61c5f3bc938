package sim

import (
	"context"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

// lostHost is a host that is gone; what replaces its instance runs elsewhere.
func lostHost(i *Instance) bool { return i.Slot == badSlot && i.generation == 1 }

// Each instance has its own view of the fleet: what a look-up shows that hides,
// or does not hide, who is not ready, and what it remembers.
func TestRun_with_views(t *testing.T) {
	two := func(s Scenario) Scenario { // the bad one of two
		s.Check = func(_ context.Context, i *Instance) error {
			if i.Slot == 1 {
				return errDown
			}
			return nil
		}
		s.Served = func(i *Instance) float64 {
			if i.Slot == 1 {
				return 0
			}
			return 1
		}
		return s
	}
	build, _ := debug.ReadBuildInfo()
	underRace := build != nil && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
	for _, c := range []struct {
		name      string
		scenario  Scenario
		policy    Policy
		instances int

		served      float64 // at least, in percent, while the fault lasts
		ejected     int     // at most
		out         int     // at the end of the fault, on average of its last minute, at most
		everEjected bool    // somebody has to be
	}{
		{name: "everything is well", policy: OursPeers, served: 100},
		{name: "dependency down", scenario: Scenario{Check: fails}, policy: OursPeers, served: 100},
		{name: "black hole", scenario: Scenario{Check: hangs}, policy: OursPeers, served: 100},
		{name: "dependency down, 20 instances", scenario: Scenario{Check: fails}, policy: OursPeers, instances: 20, served: 100},
		{name: "dependency down, and no signal", scenario: Scenario{Check: fails, SignalDown: true}, policy: OursPeers, served: 100},
		{name: "one cannot reach its store", scenario: Scenario{Check: onlyBad, Served: nothingOnBad}, policy: OursPeers, served: 98, ejected: 1, out: 1, everEjected: true},
		{name: "a rollout that cannot work", scenario: Scenario{Rollout: true, Check: onlyFresh, Served: nothingOnFresh}, policy: OursPeers, served: 99.99, ejected: 2, out: 2}, // the two new ones, of the first wave
		{name: "a rollout that works", scenario: Scenario{Rollout: true}, policy: OursPeers, served: 99.99},
		{name: "lost host", scenario: Scenario{Lost: lostHost}, policy: OursPeers, served: 99, ejected: 1},
		{name: "two, one bad", scenario: two(Scenario{}), policy: OursPair, instances: 2, served: 93, ejected: 1, out: 1, everEjected: true},
		{name: "two, both bad", scenario: Scenario{Check: fails}, policy: OursPair, instances: 2, served: 100},
		{name: "two, no signal", scenario: Scenario{Check: fails, SignalDown: true}, policy: OursPair, instances: 2, served: 100},
		{name: "two, MinPeers 2", scenario: two(Scenario{}), policy: OursPeers, instances: 2, served: 50},
	} {
		platforms := 3
		if c.instances > 10 && underRace {
			platforms = 1 // the cost grows by the square of the instances; without the detector all run
		}
		for i := range platforms {
			platform, unready := KubernetesReadiness, i == 1
			name := c.name + ", unready hidden"
			if unready {
				name = c.name + ", unready shown"
			}
			if i == 2 {
				if platform, name = ECS, c.name+", ECS"; c.ejected > 0 {
					continue // it replaces what is out: another question
				}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := c.scenario
				s.ShowUnready = unready
				config := short(s, platform, c.policy)
				config.Instances, config.End, config.Length = c.instances, 8*time.Minute, 14*time.Minute
				in, last := 0.0, 0
				config.Observe = func(s Second) {
					for _, state := range s.States {
						if s.At > config.End-time.Minute && s.At <= config.End && state == InService {
							in++
						}
					}
					if s.At >= config.Length-time.Second {
						for _, state := range s.States {
							if state != InService {
								last++
							}
						}
					}
				}
				r := simulate(t, config)
				n := config.withDefaults().Instances
				if out := float64(n) - in/60; out > float64(c.out)+0.01 {
					t.Errorf("%.2f are out at the end of the fault; %d may be", out, c.out)
				}
				if r.Served < c.served || r.Ejected > c.ejected || c.everEjected && r.Ejected == 0 {
					t.Errorf("%+v; want %v %% served, %d ejected", r, c.served, c.ejected)
				}
				if last > 0 {
					t.Errorf("%d are out six minutes after the fault", last)
				}
			})
		}
	}
}

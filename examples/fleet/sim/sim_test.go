package sim

import (
	"testing"
	"testing/synctest"
	"time"
)

func simulate(t *testing.T, c Config) (r Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// short is a run of 20 minutes.
func short(s Scenario, platform Platform, policy Policy) Config {
	return Config{
		Platform: platform, Scenario: s, Policy: policy,
		Begin: 2 * time.Minute, End: 12 * time.Minute, Length: 20 * time.Minute,
	}
}

// The whole table is in docs/benchmarks/health; these are the extremes of it.
func TestRun(t *testing.T) {
	errors, oneBad, dead := Scenarios[0], Scenarios[4], Scenarios[7]
	for _, platform := range Platforms {
		if r := simulate(t, short(errors, platform, Ours)); r.Served != 100 || r.Restarts != 0 || r.Ejected != 0 || r.Recovery != 0 {
			t.Errorf("%s: ours in an outage of the dependency: %+v", platform.Name, r)
		}
		if r := simulate(t, short(errors, platform, Naive)); r.Served > 90 || r.Ejected < 10 {
			t.Errorf("%s: naive in an outage of the dependency: %+v; it does no harm: what is simulated?", platform.Name, r)
		}
		if r := simulate(t, short(dead, platform, Ours)); r.Restarts != 1 {
			t.Errorf("%s: ours with a dead loop: %+v; want one restart", platform.Name, r)
		}
		if r := simulate(t, short(oneBad, platform, OursGuard)); r.Served < 98 || r.Ejected == 0 {
			t.Errorf("%s: ours with a guard and one bad instance: %+v", platform.Name, r)
		}
	}
}

func TestRun_is_repeatable(t *testing.T) {
	flaky := Scenarios[6]
	first := simulate(t, short(flaky, ECS, OursGuard))
	for range 3 {
		if again := simulate(t, short(flaky, ECS, OursGuard)); again != first {
			t.Errorf("%+v, and then %+v", first, again)
		}
	}
}

func TestRun_shows_each_second(t *testing.T) {
	n, faulty := 0, 0
	c := short(Scenarios[0], KubernetesReadiness, Naive)
	c.Observe = func(s Second) {
		n++
		if s.Fault {
			faulty++
		}
		if len(s.States) != 10 || s.Served < 0 || s.Served > 1 {
			t.Fatalf("%+v", s)
		}
	}
	simulate(t, c)
	if n != 1200 || faulty != 600 {
		t.Errorf("%d seconds, %d of them with the fault; want 1200, 600", n, faulty)
	}
}

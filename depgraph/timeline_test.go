package depgraph

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// servesAt computes by definition when each service serves without a limit on
// parallel starts: time passes in steps of a second.
func (m *model) servesAt() map[string]time.Duration {
	n := len(m.services)
	ready := make([]time.Duration, n) // when it has started; -1: not begun
	for v := range ready {
		ready[v] = -1
	}
	at := map[string]time.Duration{}
	for now, idle := time.Duration(0), 0; idle < 20; now += time.Second {
		idle++
		for again := true; again; { // services that start in no time let others begin at once
			again = false
			started := make([]bool, n)
			for v := range n {
				started[v] = ready[v] >= 0 && ready[v] <= now
			}
			serves := m.steady(started)
			for v := range n {
				if _, known := at[m.services[v].Name]; serves[v] && !known {
					at[m.services[v].Name] = now
					idle = 0
				}
				if ready[v] < 0 && m.satisfied(v, Startup, serves, false) {
					ready[v], again, idle = now+m.services[v].Start, true, 0
				}
			}
		}
	}
	return at
}

func TestTimeline_agrees_with_the_definition(t *testing.T) {
	systems(t, 2000, 10, true, func(t *testing.T, r *rand.Rand, services []Service) {
		for i := range services {
			services[i].Start = time.Duration(r.IntN(6)) * time.Second
		}
		g := mustCompile(t, services)
		o, err := g.Order(context.Background(), OrderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := newModel(services).servesAt()
		last := time.Duration(0)
		for _, s := range o.Timeline {
			if s.Serves != want[s.Service] {
				t.Errorf("%s serves at %s, want %s", s.Service, s.Serves, want[s.Service])
			}
			last = max(last, s.Serves)
		}
		if o.Total != last || len(o.Timeline)+len(o.Blocked) != len(services) {
			t.Errorf("total %s, the last serves at %s; %d in the timeline, %d blocked", o.Total, last, len(o.Timeline), len(o.Blocked))
		}
		checkCritical(t, g, o)
		checkLimit(t, g, o)
	})
}

// checkCritical checks that the path is a chain without gaps that takes the
// whole time.
func checkCritical(t *testing.T, g *Graph, o *Order) {
	t.Helper()
	slots := map[string]Slot{}
	for _, s := range o.Timeline {
		slots[s.Service] = s
	}
	at := time.Duration(0)
	for _, name := range o.Critical {
		s := slots[name]
		if s.Begin != at || !s.Critical {
			t.Errorf("critical path %v: %s begins at %s, want %s", o.Critical, name, s.Begin, at)
		}
		at = s.Ready
	}
	if someStart(g) && at != o.Total {
		t.Errorf("critical path %v ends at %s, the total is %s", o.Critical, at, o.Total)
	}
}

func someStart(g *Graph) bool {
	return slices.ContainsFunc(g.services, func(s Service) bool { return s.Start > 0 })
}

// checkLimit checks orders with a limit on parallel starts.
func checkLimit(t *testing.T, g *Graph, free *Order) {
	t.Helper()
	for _, limit := range []int{1, 2, 3} {
		o, err := g.Order(context.Background(), OrderOptions{MaxParallel: limit})
		if err != nil {
			t.Fatal(err)
		}
		if o.Total < free.Total || len(o.Timeline) != len(free.Timeline) {
			t.Errorf("limit %d: total %s of %d services, without limit %s of %d", limit, o.Total, len(o.Timeline), free.Total, len(free.Timeline))
		}
		for _, s := range o.Timeline {
			running := 0
			for _, other := range o.Timeline {
				if other.Begin <= s.Begin && s.Begin < other.Ready {
					running++
				}
			}
			if running > limit {
				t.Errorf("limit %d: %d start at %s", limit, running, s.Begin)
			}
		}
		if len(o.Blocked) == 0 { // what never serves takes its turn too, and is in no timeline
			checkCritical(t, g, o)
		}
	}
}

func TestOrder_max_parallel_starts_the_longest_chain_first(t *testing.T) {
	services := []Service{
		{Name: "a-short", Start: 5 * time.Second},
		{Name: "b-long", Start: 1 * time.Second},
		{Name: "c-after-long", Start: 60 * time.Second, Depends: []Dependency{{On: "b-long"}}},
	}
	o, err := mustCompile(t, services).Order(context.Background(), OrderOptions{MaxParallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range o.Timeline {
		got = append(got, s.Service)
	}
	if fmt.Sprint(got) != "[b-long c-after-long a-short]" || o.Total != 66*time.Second {
		t.Errorf("%v in %s", got, o.Total)
	}
}

func TestOrder_restart_and_shutdown(t *testing.T) {
	g := graphOf(t, `
service: web
depends: [{on: api}, {on: ads, soft: true}]
---
service: api
depends: [{on: db, phase: startup}, {on: mq, phase: runtime}]
---
service: mq
depends: [{on: api, phase: runtime}]
---
service: db
---
service: ads
---
service: other
depends: [{on: web}]
`)
	for name, c := range map[string]struct {
		o    OrderOptions
		want string
	}{
		"restart":  {OrderOptions{Restart: "web"}, "[[db mq] [api] [web]]"},
		"shutdown": {OrderOptions{Shutdown: true}, "[[ads other] [web] [api mq] [db]]"},
		"all":      {OrderOptions{}, "[[ads db mq] [api] [web] [other]]"},
	} {
		o, err := g.Order(context.Background(), c.o)
		if err != nil || fmt.Sprint(o.Waves) != c.want || len(o.Blocked) > 0 {
			t.Errorf("%s: %v, blocked %v, %v; want %s", name, o.Waves, o.Blocked, err, c.want)
		}
	}
	if _, err := g.Order(context.Background(), OrderOptions{Shutdown: true, Cold: true}); err == nil {
		t.Error("a cold shutdown was accepted")
	}
}

func TestBlast_of_one_plane(t *testing.T) {
	g := graphOf(t, `
service: autoscaler
depends: [{on: ec2, plane: control}]
---
service: web
depends: [{on: ec2, plane: data}]
---
service: shop
depends: [{on: autoscaler}]
---
service: ec2
`)
	for plane, want := range map[Plane]string{PlaneUnknown: "[autoscaler shop web]", Control: "[autoscaler shop]", Data: "[web]"} {
		b, err := g.Blast(BlastOptions{Plane: plane}, "ec2")
		if err != nil || fmt.Sprint(b.Down) != want {
			t.Errorf("plane %q: %v, %v; want %s", plane, b.Down, err, want)
		}
	}
}

package depgraph

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

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
		checkCritical(t, g, o)
		checkClock(t, o, limit)
	}
}

// checkClock checks that the waves of an order with a limit can be followed:
// no more than the limit at once, everything once, in order of begin.
func checkClock(t *testing.T, o *Order, limit int) {
	t.Helper()
	begin, count, last := map[string]time.Duration{}, 0, time.Duration(0)
	for _, s := range o.Timeline {
		begin[s.Service] = s.Begin
	}
	for i, w := range o.Waves {
		count += len(w)
		if len(w) > limit {
			t.Errorf("limit %d: wave %d has %v", limit, i+1, w)
		}
		for _, name := range w {
			if begin[name] != begin[w[0]] || begin[name] < last {
				t.Errorf("limit %d: wave %d has %v, which begin at %s and %s, after %s", limit, i+1, w, begin[name], begin[w[0]], last)
			}
		}
		last = begin[w[0]]
	}
	if count != len(o.Timeline) {
		t.Errorf("limit %d: %d services in waves, %d in the timeline", limit, count, len(o.Timeline))
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
service: fleet
depends: [{on: ec2, plane: data, soft: true}, {on: ec2, plane: control, phase: deploy}]
---
service: ec2
`)
	if b, err := g.Blast(BlastOptions{Plane: Control}, "ec2"); err != nil || len(b.Degraded) > 0 {
		t.Errorf("what uses the data plane alone is degraded without the control plane: %v, %v", b.Degraded, err)
	}
	if b, err := g.Blast(BlastOptions{Plane: Data}, "ec2"); err != nil || fmt.Sprint(b.Degraded) != "[fleet]" {
		t.Errorf("without the data plane: degraded %v, %v", b.Degraded, err)
	}
	for plane, want := range map[Plane]string{PlaneUnknown: "[autoscaler shop web]", Control: "[autoscaler shop]", Data: "[web]"} {
		b, err := g.Blast(BlastOptions{Plane: plane}, "ec2")
		if err != nil || fmt.Sprint(b.Down) != want {
			t.Errorf("plane %q: %v, %v; want %s", plane, b.Down, err, want)
		}
	}
}

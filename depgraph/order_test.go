package depgraph

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOrder_alternatives_inside_a_mutual_need_do_not_block(t *testing.T) {
	// one and two serve together; one's alternative is satisfied by two.
	g := graphOf(t, `
service: one
start: 3s
depends:
  - {on: two, phase: runtime}
  - {any-of: [two, three], phase: runtime}
---
service: two
depends: [{on: one, phase: runtime}]
---
service: three
depends: [{on: one, phase: startup}]
`)
	o, err := g.Order(context.Background(), OrderOptions{})
	if err != nil || fmt.Sprint(o.Waves, o.Blocked) != "[[one two] [three]] []" {
		t.Errorf("waves %v, blocked %v, %v", o.Waves, o.Blocked, err)
	}
}

func TestOrder_a_slow_alternative_inside_a_mutual_need_holds_nothing_back(t *testing.T) {
	g := graphOf(t, `
service: one
start: 3s
depends:
  - {on: two, phase: runtime}
  - {any-of: [two, slow], phase: runtime}
---
service: two
depends: [{on: one, phase: runtime}]
---
service: slow
start: 60s
`)
	o, err := g.Order(context.Background(), OrderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range o.Timeline {
		if want := map[string]time.Duration{"one": 3 * time.Second, "two": 3 * time.Second, "slow": time.Minute}[s.Service]; s.Serves != want {
			t.Errorf("%s serves at %s, want %s", s.Service, s.Serves, want)
		}
	}
}

func TestOrder_waits_for_as_much_as_it_is_told(t *testing.T) {
	text := `
service: web
start: 1s
depends: [{on: agent, phase: startup%s}]
---
service: agent
start: 5s
depends: [{on: backend, phase: runtime}]
---
service: backend
start: 20s
`
	for until, want := range map[string]time.Duration{
		"": 20 * time.Second, ", until: serving": 20 * time.Second, ", until: ready": 5 * time.Second, ", until: started": 0, ", until: done": 5 * time.Second,
	} {
		o, err := graphOf(t, fmt.Sprintf(text, until)).Order(context.Background(), OrderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range o.Timeline {
			if s.Service == "web" && s.Begin != want {
				t.Errorf("%q: web begins at %s, want %s", until, s.Begin, want)
			}
		}
	}
}

func TestOrder_weak_and_soft_orders_are_kept_and_never_block(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"soft first":         {"service: a\ndepends: [{on: b, soft: true}]\n---\nservice: b\n", "[[b] [a]] [] []"},
		"weak first":         {"service: a\ndepends: [{on: b, order: weak}]\n---\nservice: b\n", "[[b] [a]] [] []"},
		"weak against need":  {"service: a\ndepends: [{on: b, order: weak}]\n---\nservice: b\ndepends: [{on: a}]\n", "[[a] [b]] [] [{a b}]"},
		"weak against weak":  {"service: a\ndepends: [{on: b, order: weak}]\n---\nservice: b\ndepends: [{on: a, order: weak}]\n", "[[a] [b]] [] [{a b}]"},
		"what never comes":   {"service: a\ndepends: [{on: b, order: weak}]\n---\nservice: b\ndepends: [{on: c}]\n---\nservice: c\ndepends: [{on: b}]\n", "[[c] [b] [a]] [b c] []"},
		"weak, then a need":  {"service: a\ndepends: [{on: b, order: weak, phase: [startup, runtime]}]\n---\nservice: b\ndepends: [{on: a, phase: runtime}]\n", "[[a b]] [] [{a b}]"},
		"alternatives first": {"service: a\ndepends: [{any-of: [b, c], soft: true}]\n---\nservice: b\n---\nservice: c\ndepends: [{on: a}]\n", "[[b] [a] [c]] [] []"},
	} {
		o, err := graphOf(t, c.text).Order(context.Background(), OrderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(o.Waves, o.Blocked, Refs(o.Dropped)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestOrder_a_cycle_still_gives_a_list(t *testing.T) {
	g := graphOf(t, `
service: a
depends: [{on: b}]
---
service: b
depends: [{on: c, phase: startup}]
---
service: c
depends: [{on: a}]
---
service: pinned-one
depends: [{on: pinned-two, pinned: true}]
---
service: pinned-two
depends: [{on: pinned-one, pinned: true}]
---
service: last
depends: [{on: a}, {on: pinned-one}]
`)
	o, err := g.Order(context.Background(), OrderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(o.Waves, o.Blocked, Refs(o.Broken), o.BrokenProven); got !=
		"[[b pinned-two] [a pinned-one] [c last]] [a b c last pinned-one pinned-two] [{b c} {pinned-two pinned-one}] true" {
		t.Error(got)
	}
	restart, err := g.Order(context.Background(), OrderOptions{Restart: "b"})
	if err != nil || fmt.Sprint(restart.Waves, Refs(restart.Broken)) != "[[b] [a] [c]] [{b c}]" {
		t.Errorf("to restart b: %v without %v, %v", restart.Waves, Refs(restart.Broken), err)
	}
}

func TestCycles_what_waits_for_a_launch_alone_is_no_deadlock(t *testing.T) {
	text := "service: web\ndepends: [{on: agent, phase: startup%s}]\n---\nservice: agent\ndepends: [{on: web, phase: runtime}]\n"
	for until, want := range map[string]int{"": 1, ", until: serving": 1, ", until: ready": 0, ", until: started": 0, ", until: done": 0} {
		found, err := graphOf(t, fmt.Sprintf(text, until)).Cycles(context.Background(), CyclesOptions{})
		if err != nil || len(found) != want {
			t.Errorf("%q: %+v, %v; want %d", until, found, err, want)
		}
	}
	both := "service: a\ndepends: [{on: b, until: started}]\n---\nservice: b\ndepends: [{on: a, phase: startup, until: ready}]\n"
	found, err := graphOf(t, both).Cycles(context.Background(), CyclesOptions{})
	if err != nil || len(found) != 1 || found[0].Kind != BootstrapDeadlock || len(found[0].Cycle) != 2 {
		t.Errorf("two launches that wait for each other: %+v, %v", found, err)
	}
}

func TestCheck_a_guess_is_no_error(t *testing.T) {
	text := "service: a\ndepends: [{on: b%s}]\n---\nservice: b\ndepends: [{on: a}]\n"
	for _, c := range []struct {
		assumed string
		want    Severity
	}{{"", Error}, {", assumed: true", Warn}} {
		found, err := graphOf(t, fmt.Sprintf(text, c.assumed)).Check(context.Background(), CheckOptions{Only: []string{"DG001"}})
		if err != nil || len(found) != 1 || found[0].Severity != c.want || strings.Contains(found[0].Message, "rests on 1 assumed edge") != (c.want == Warn) {
			t.Errorf("%q: %+v, %v", c.assumed, found, err)
		}
	}
	other := "service: a\ndepends: [{on: b, assumed: true}]\n---\nservice: b\nkind: external\n"
	found, err := graphOf(t, other).Check(context.Background(), CheckOptions{Only: []string{"DG014"}, Policy: &Policy{Rules: map[string]RuleSetting{"DG014": {Set: true, Severity: Error}}}})
	if err != nil || len(found) != 1 || found[0].Severity != Warn {
		t.Errorf("a rule about an edge: %+v, %v", found, err)
	}
}

func TestManifest_says_how_a_start_waits(t *testing.T) {
	for text, want := range map[string]string{
		"{on: b, until: launched}":                         `until "launched" is not one of started, ready, serving, done`,
		"{on: b, until: started, phase: runtime}":          "until goes with the phase startup",
		"{on: b, until: done, phase: [startup, runtime]}":  "a job that is done is not there at run time",
		"{on: b, order: loose}":                            `order "loose" is not one of strict, weak`,
		"{on: b, order: weak, phase: runtime}":             "order goes with the phase startup",
		"{on: b, order: weak, pinned: true}":               "it never blocks anything",
		"{on: b, assumed: perhaps}":                        "assumed: expected true or false",
		"{on: b, order: weak, until: ready}":               "",
		"{on: b, order: strict, until: done}":              "",
		"{any-of: [b, c], until: started, assumed: true}":  "",
		"{on: b, order: weak, phase: [startup, runtime]}":  "",
		"{on: b, soft: true, until: ready, phase: deploy}": "until goes with the phase startup",
	} {
		services, err := ParseManifest("m.yaml", []byte("service: a\ndepends: ["+text+"]\n---\nservice: b\n---\nservice: c\n"))
		if err == nil {
			_, err = Compile(services, Options{})
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m.yaml:2")) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

// TestOrder_longest_chain_names_what_is_only_launched has no durations: the
// chain goes through a service that others wait for until it is launched.
func TestOrder_longest_chain_names_what_is_only_launched(t *testing.T) {
	services, err := ParseManifest("m.yaml", []byte("service: web\ndepends: [{on: proxy, until: started, phase: startup}]\n---\nservice: proxy\ndepends: [{on: db, until: started, phase: startup}]\n---\nservice: db\n"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := mustCompile(t, services).Order(context.Background(), OrderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"db", "proxy", "web"}; !slices.Equal(o.Critical, want) || len(o.Waves) != 3 || o.Total != 0 {
		t.Errorf("longest chain %v, waves %v, want %v", o.Critical, o.Waves, want)
	}
}

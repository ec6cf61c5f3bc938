package depgraph

import (
	"fmt"
	"strings"
	"testing"
)

// diffText is all that a comparison says, line by line.
func diffText(d *Diff) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if len(d.Added)+len(d.Removed) > 0 {
		add("added %v, removed %v", d.Added, d.Removed)
	}
	for _, e := range d.Edges {
		add("%s %s>%s", e.Kind, e.From, e.To)
	}
	for _, c := range d.Cycles {
		services := func(k *Component) string {
			if k == nil {
				return "-"
			}
			return fmt.Sprintf("%s(%s)", k.Kind, strings.Join(k.Services, ","))
		}
		add("%s %s to %s", c.Kind, services(c.Before), services(c.After))
	}
	for _, s := range d.Services {
		line := s.Service + ":"
		if s.Down[0] != s.Down[1] {
			line += fmt.Sprintf(" down %v", s.Down)
		}
		if s.Wave[0] != s.Wave[1] {
			line += fmt.Sprintf(" wave %v", s.Wave)
		}
		if len(s.GoesDown)+len(s.StaysUp) > 0 {
			line += fmt.Sprintf(" goes %v, stays %v", s.GoesDown, s.StaysUp)
		}
		if s.Critical[0] != s.Critical[1] {
			line += fmt.Sprintf(" critical %v", s.Critical)
		}
		if s.AvailabilityDiffers() {
			line += fmt.Sprintf(" available %.4g to %.4g", s.Availability[0], s.Availability[1])
		}
		add("%s", line)
	}
	for _, f := range d.New {
		add("new %s %s", f.Rule, f.Service)
	}
	for _, f := range d.Gone {
		add("gone %s %s", f.Rule, f.Service)
	}
	if d.Known > 0 {
		add("known %d", d.Known)
	}
	return strings.Join(lines, "\n")
}

func TestCompare_in_full(t *testing.T) {
	only := []string{"DG001", "DG002", "DG014"}
	for name, c := range map[string]struct{ before, after, want string }{
		"nothing": {"a: / on: b\nb:", "b:\na: / on: b", ""},
		"a new service and its edge": {"a:", "a: / on: b\nb:", `
added [b], removed []
added a>b
a: wave [1 2]`},
		"a deadlock": {"a: / on: b, phase: startup\nb:", "a: / on: b, phase: startup\nb: / on: a, phase: startup", `
added b>a
new - to bootstrap-deadlock(a,b)
new DG001 a`},
		"a need becomes soft": {"a: " + own("99") + " / on: b\nb: " + own("90"), "a: " + own("99") + " / on: b, soft: true\nb: " + own("90"), `
softened a>b
a: available 0.891 to 0.99
b: down [1 0] goes [], stays [a]`},
		"a number moves": {"a: / on: b\nb: " + own("90"), "a: / on: b\nb: " + own("99"), `
a: available 0.9 to 0.99
b: available 0.9 to 0.99`},
		"an external": {"a: / on: b\nb: kind: external", "a: / on: b\nb: kind: external\nc: / on: b", `
added [c], removed []
added c>b
b: down [1 2] goes [c], stays []
new DG014 c
known 1`},
		"a cycle grows": {"a: / on: b, phase: runtime\nb: / on: a, phase: runtime\nc:", "a: / on: b, phase: runtime\nb: / on: a, phase: runtime / on: c, phase: runtime\nc: / on: a, phase: runtime", `
added b>c
added c>a
grown runtime(a,b) to runtime(a,b,c)
a: down [1 2] goes [c], stays []
b: down [1 2] goes [c], stays [] critical [true false]
c: down [0 2] goes [a b], stays [] critical [false true]
new DG002 a`},
		"a cycle shrinks": {"a: / on: b, phase: runtime\nb: / on: a, phase: runtime / on: c, phase: runtime\nc: / on: a, phase: runtime", "a: / on: b, phase: runtime\nb: / on: a, phase: runtime\nc: / on: a, phase: runtime", `
removed b>c
shrunk runtime(a,b,c) to runtime(a,b)
b: critical [false true]
c: down [2 0] goes [], stays [a b] critical [true false]
gone DG002 a
known 1`},
		"two cycles become one": {"a: / on: b, phase: runtime\nb: / on: a, phase: runtime\nc: / on: d, phase: runtime\nd: / on: c, phase: runtime", "a: / on: b, phase: runtime\nb: / on: a, phase: runtime / on: c, phase: runtime\nc: / on: d, phase: runtime\nd: / on: c, phase: runtime / on: a, phase: runtime", `
added b>c
added d>a
grown runtime(a,b) to runtime(a,b,c,d)
a: down [1 3] goes [c d], stays []
b: down [1 3] goes [c d], stays [] critical [true false]
c: down [1 3] goes [a b], stays []
d: down [1 3] goes [a b], stays [] critical [false true]
new DG002 a`},
		"a need moves to another time": {"a: / on: b, phase: startup\nb:", "a: / on: b, phase: runtime\nb:", `
changed a>b
a: wave [2 1] critical [true false]
b: down [0 1] goes [a], stays []`},
		"a quorum that can lose one less": {"a: / any-of: [b, c, d], phase: runtime\nb:\nc:\nd:", "a: / any-of: [b, c, d], need: 2, phase: runtime\nb:\nc:\nd:", `
hardened a>b
hardened a>c
hardened a>d
b: critical [true false]
c: critical [false true]`},
		"named by others before": {"a: / on: b", "a: / on: b\nb:", `
added [b], removed []`},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Compare(t.Context(), system(t, c.before), system(t, c.after), DiffOptions{Check: CheckOptions{Only: only}})
			if err != nil {
				t.Fatal(err)
			}
			if got := diffText(d); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant%s", got, c.want)
			}
		})
	}
}

package depgraph

import (
	"fmt"
	"strings"
	"testing"
)

// orderText is all that an order says: waves; the clock, where anything takes time, as
// NAME BEGIN-READY, with the time of serving if that is later, @ and the wave, and *
// for what is critical; then the rest, what is empty left out.
func orderText(o *Order) string {
	var waves []string
	for _, w := range o.Waves {
		waves = append(waves, strings.Join(w, " "))
	}
	text := strings.Join(waves, " | ")
	for i, s := range o.Timeline {
		if o.Total == 0 {
			break
		}
		text += fmt.Sprintf("%s%s %s-%s", []string{", ", "; "}[btoi(i == 0)], s.Service, s.Begin, s.Ready)
		if s.Serves != s.Ready {
			text += fmt.Sprintf("..%s", s.Serves)
		}
		text += fmt.Sprintf("@%d%s", s.Wave, []string{"", "*"}[btoi(s.Critical)])
	}
	if len(o.Critical) > 0 {
		text += "; critical " + strings.Join(o.Critical, " ")
	}
	if o.Total > 0 {
		text += fmt.Sprintf(" %s", o.Total)
	}
	if len(o.Blocked) > 0 {
		text += "; blocked " + strings.Join(o.Blocked, " ")
	}
	for _, part := range []struct {
		word  string
		edges []Edge
	}{{"broken", o.Broken}, {"dropped", o.Dropped}, {"by hand", o.ByHand}} {
		if len(part.edges) > 0 {
			text += "; " + part.word + " " + ways(part.edges)
		}
	}
	if len(o.Broken) > 0 && !o.BrokenProven {
		text += "; not proven"
	}
	return text
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestOrder_in_full(t *testing.T) {
	const tower = `
		app: start: 2s / on: cache, phase: startup / on: db, phase: startup
		cache: start: 1s / on: net, phase: startup
		db: start: 5s / on: net, phase: startup
		net: start: 3s
		tool: start: 1s`
	for name, c := range map[string]struct {
		system string
		o      OrderOptions
		want   string
	}{
		"nothing waits":                                {"b:\na:", OrderOptions{}, "a b; critical a"},
		"a chain without durations":                    {"a: / on: b\nb: / on: c\nc:\nd:", OrderOptions{}, "c d | b | a; critical c b a"},
		"by the clock":                                 {tower, OrderOptions{}, "net tool | cache db | app; net 0s-3s@0*, tool 0s-1s@0, db 3s-8s@1*, cache 3s-4s@1, app 8s-10s@2*; critical net db app 10s"},
		"one at a time":                                {tower, OrderOptions{MaxParallel: 1}, "net | db | cache | app | tool; net 0s-3s@0*, db 3s-8s@1*, cache 8s-9s@2*, app 9s-11s@3*, tool 11s-12s@4*; critical net db cache app tool 12s"},
		"two at a time":                                {tower, OrderOptions{MaxParallel: 2}, "net tool | cache db | app; net 0s-3s@0*, tool 0s-1s@0, db 3s-8s@1*, cache 3s-4s@1, app 8s-10s@2*; critical net db app 10s"},
		"one service and what it needs":                {tower, OrderOptions{Restart: "cache"}, "net | cache; net 0s-3s@0*, cache 3s-4s@1*; critical net cache 4s"},
		"a restart of what has no duration":            {"a: / on: b\nb:\nslow: start: 9s", OrderOptions{Restart: "a"}, "b | a; critical b a"},
		"a restart does not care about what needs it":  {"a: / on: b\nb: start: 1s\nc: start: 9s / on: b", OrderOptions{Restart: "b"}, "b; b 0s-1s@0*; critical b 1s"},
		"a full stop":                                  {tower, OrderOptions{Shutdown: true}, "app tool | cache db | net"},
		"a full stop of a circle":                      {"a: / on: b\nb: / on: c, phase: runtime\nc: / on: b, phase: runtime / on: d\nd:\ne: / on: d, soft: true\nf: / on: d, phase: deploy", OrderOptions{Shutdown: true}, "a e f | b c | d"},
		"serving waits for the run time":               {"a: start: 1s / on: b, phase: startup\nb: start: 1s / on: c, phase: runtime\nc: start: 5s", OrderOptions{}, "b c | a; c 0s-5s@0*, b 0s-1s..5s@0, a 5s-6s@1*; critical c a 6s"},
		"until ready does not":                         {"a: start: 1s / on: b, phase: startup, until: ready\nb: start: 1s / on: c, phase: runtime\nc: start: 5s", OrderOptions{}, "b c | a; c 0s-5s@0*, b 0s-1s..5s@0, a 1s-2s@1; critical c 5s"},
		"until started waits for nothing by the clock": {"a: start: 1s / on: b, phase: startup, until: started\nb: start: 4s", OrderOptions{}, "b | a; b 0s-4s@0*, a 0s-1s@1; critical b 4s"},
		"launches of one time in waves of two":         {"a: start: 1s / on: b, phase: startup, until: started\nb: start: 4s\nc: start: 4s\nd: start: 4s", OrderOptions{MaxParallel: 2}, "b c | a d; b 0s-4s@0*, c 0s-4s@0, d 4s-8s@1*, a 4s-5s@1; critical b d 8s"},
		"a launch and what waits for it begin at one time, in two waves": {"a: start: 1s / on: b, phase: startup, until: started\nb: start: 4s\nc: start: 2s / on: a, phase: startup, until: started", OrderOptions{MaxParallel: 9}, "b | a | c; b 0s-4s@0*, a 0s-1s@1, c 0s-2s@2; critical b 4s"},
		"pinned edges are got past as well":                              {"a: start: 1s / on: x, phase: runtime\nx: / on: x2, phase: startup, pinned: true\nx2: / on: x, phase: startup, pinned: true", OrderOptions{MaxParallel: 1}, "a | x2 | x; a 0s-1s@0*, x2 1s-1s@1*, x 1s-1s@2*; critical a x2 x 1s; blocked a x x2; broken x2>x"},
		"services that need each other serve together":                   {"a: start: 1s / on: b, phase: runtime\nb: start: 2s / on: a, phase: runtime\nc: / on: a, phase: startup", OrderOptions{}, "a b | c; b 0s-2s@0*, a 0s-1s..2s@0, c 2s-2s@1*; critical b c 2s"},
		"a quorum waits for the fastest":                                 {"a: / any-of: [x, y, z], need: 2, phase: startup\nx: start: 1s\ny: start: 9s\nz: start: 3s", OrderOptions{}, "x y z | a; y 0s-9s@0*, z 0s-3s@0, x 0s-1s@0, a 3s-3s@1; critical y 9s"},
		"a weak order is kept":                                           {"a: / on: z, order: weak\nz: start: 2s", OrderOptions{}, "z | a; z 0s-2s@0*, a 2s-2s@1*; critical z a 2s"},
		"a weak order against a need":                                    {"a: / on: z, order: weak\nz: / on: a, phase: startup", OrderOptions{}, "a | z; critical a z; dropped a>z"},
		"the service with the fewest orders gives up its own":            {"a: / on: b, order: weak / on: c, order: weak\nb: / on: a, order: weak\nc: / on: a, order: weak", OrderOptions{}, "b | a | c; critical b a c; dropped a>c b>a"},
		"a soft order in a start that has not the other end":             {"a: / on: z, soft: true\nz: / on: a", OrderOptions{Restart: "a"}, "a; critical a"},
		"a deadlock":                           {"a: / on: b, phase: startup\nb: / on: a, phase: startup, plane: control\nc: / on: a", OrderOptions{}, "b | a | c; critical b a c; blocked a b c; broken b>a"},
		"a deadlock that people get past":      {"a: / on: b, phase: startup, break-glass: by hand\nb: / on: a, phase: startup\nc: / on: a", OrderOptions{Cold: true}, "a | b c; critical a b; by hand a>b"},
		"a deadlock that they do not get past": {"a: / on: b, phase: startup, break-glass: by hand\nb: / on: a, phase: startup", OrderOptions{}, "b | a; critical b a; blocked a b; broken b>a"},
		"by hand, and yet stuck":               {"a: / on: b, phase: startup, break-glass: by hand / on: c, phase: startup\nb: / on: a, phase: startup\nc: / on: a, phase: startup", OrderOptions{Cold: true}, "c | a | b; critical c a b; blocked a b c; broken c>a; by hand a>b"},
		"a restart beside a deadlock":          {"a: / on: b\nb:\nx: / on: y\ny: / on: x", OrderOptions{Restart: "a"}, "b | a; critical b a"},
		"a deadlock of alternatives":           {"a: / any-of: [b, c], phase: startup\nb: / on: a, phase: startup\nc: / on: a, phase: startup", OrderOptions{}, "a | b c; critical a b; blocked a b c; broken a>b a>c"},
		"a need of a deadlock at run time":     {"a: / on: x, phase: runtime\nb: / on: a, phase: startup, until: ready\nx: / on: y, phase: startup\ny: / on: x, phase: startup", OrderOptions{}, "a y | b x; critical a b; blocked a x y; broken y>x"},
		"an empty graph":                       {"", OrderOptions{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := &Graph{out: []int32{0}, in: []int32{0}, ownGroup: []int32{0}}
			if c.system != "" {
				g = system(t, c.system)
			}
			o, err := g.Order(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := orderText(o); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestOrder_refuses_what_contradicts_itself(t *testing.T) {
	g := system(t, "a:")
	for _, c := range []struct {
		o    OrderOptions
		want string
	}{
		{OrderOptions{MaxParallel: -1}, "depgraph: OrderOptions.MaxParallel is -1"},
		{OrderOptions{Shutdown: true, Cold: true}, "depgraph: OrderOptions.Shutdown goes with neither Cold nor Restart"},
		{OrderOptions{Shutdown: true, Restart: "a"}, "depgraph: OrderOptions.Shutdown goes with neither Cold nor Restart"},
		{OrderOptions{Restart: "b"}, `depgraph: unknown service: "b"`},
	} {
		if o, err := g.Order(t.Context(), c.o); err == nil || err.Error() != c.want || o != nil {
			t.Errorf("%+v: %v, %v", c.o, o, err)
		}
	}
}

// Waves breaks nothing, and leaves out what is launched and never serves.
func TestWaves_hold_what_comes_up_as_declared(t *testing.T) {
	for lines, want := range map[string]string{
		"a: / on: b\nb:": "[[b] [a]] []",
		"a: / on: x, phase: runtime\nb: / on: a, phase: startup, until: ready\nc: / on: a\nd:\nx: / on: y, phase: startup\ny: / on: x, phase: startup": "[[d] [b]] [a c x y]",
		"a: / on: x, phase: runtime\nx: / on: a, phase: startup": "[] [a x]",
	} {
		waves, blocked := system(t, lines).Waves()
		if got := fmt.Sprint(waves, blocked); got != want {
			t.Errorf("%s\n%s, want %s", lines, got, want)
		}
	}
}

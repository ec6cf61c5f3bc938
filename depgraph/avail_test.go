package depgraph

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// availText is all that a result says: the number, what it needs, what each service
// costs (Birnbaum's measure, and minutes a year), and what softening would save.
func availText(a *Avail) string {
	text := fmt.Sprintf("%.6g of %d", a.Availability, a.Needs)
	for _, i := range a.Importance {
		text += fmt.Sprintf("; %s %.4g %.6g", i.Service, i.Birnbaum, i.MinutesPerYear)
	}
	for _, s := range a.Savings {
		text += fmt.Sprintf("; without %s %.6g", s.Edge.To, s.MinutesPerYear)
	}
	if len(a.Assumed) > 0 {
		text += "; assumed " + strings.Join(a.Assumed, ",")
	}
	if a.Target != 0 {
		text += fmt.Sprintf("; target %.6g", a.Target)
	}
	for _, d := range a.Doubts {
		text += "; " + d
	}
	if !a.Exact || a.Low != a.Availability || a.High != a.Availability || a.StdErr != 0 {
		text += "; not exact"
	}
	return text
}

// own is an attribute of a service.
func own(percent string) string { return "availability: {own: " + percent + "}" }

// A year has 525,600 minutes, so one percent of it 5256. Every number was computed by
// hand.
func TestAvailability_of_small_systems(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		o      AvailOptions
		want   string
	}{
		"nothing but itself":  {"a: " + own("99"), AvailOptions{}, "0.99 of 1; a 1 5256"},
		"nothing is declared": {"a: / on: b\nb:", AvailOptions{}, "1 of 2; assumed a,b"},
		"in series": {
			"a: " + own("99") + " / on: b\nb: " + own("98"),
			AvailOptions{},
			"0.9702 of 2; b 0.99 10406.9; a 0.98 5150.88",
		},
		"what is needed at startup alone, or softly, is left out": {
			"a: " + own("99") + " / on: b, phase: startup / on: c, soft: true / on: d, phase: deploy\nb: " + own("50") + "\nc: " + own("50") + "\nd: " + own("50"),
			AvailOptions{},
			"0.99 of 1; a 1 5256",
		},
		"what two need counts once": {
			"a: / on: b / on: c\nb: / on: dns\nc: / on: dns\ndns: " + own("99"),
			AvailOptions{},
			"0.99 of 4; dns 1 5256; assumed a,b,c",
		},
		"one of two": { // 1 - 0.1*0.2; each matters when the other is down
			"a: / any-of: [b, c]\nb: " + own("90") + "\nc: " + own("80"),
			AvailOptions{},
			"0.98 of 3; b 0.2 10512; c 0.1 10512; assumed a",
		},
		"two of three": { // 0.9^3 + 3*0.9^2*0.1; each matters when one of the others is down, 2*0.9*0.1
			"a: / any-of: [b, c, d], need: 2\nb: " + own("90") + "\nc: " + own("90") + "\nd: " + own("90"),
			AvailOptions{},
			"0.972 of 4; b 0.18 9460.8; c 0.18 9460.8; d 0.18 9460.8; assumed a",
		},
		"all of two is a series": {
			"a: / any-of: [b, c], need: 2\nb: " + own("90") + "\nc: " + own("80"),
			AvailOptions{},
			"0.72 of 3; c 0.9 94608; b 0.8 42048; assumed a",
		},
		"alternatives with a common need": { // 0.99 * 0.98
			"a: / any-of: [b, c]\nb: " + own("90") + " / on: dns\nc: " + own("80") + " / on: dns\ndns: " + own("99"),
			AvailOptions{},
			"0.9702 of 4; b 0.198 10406.9; c 0.099 10406.9; dns 0.98 5150.88; assumed a",
		},
		"two groups that share nothing": { // 0.98 * 0.75
			"a: / any-of: [b, c] / any-of: [d, e]\nb: " + own("90") + "\nc: " + own("80") + "\nd: " + own("50") + "\ne: " + own("50"),
			AvailOptions{},
			"0.735 of 5; d 0.49 128772; e 0.49 128772; b 0.15 7884; c 0.075 7884; assumed a",
		},
		"two groups that share a member": { // c, or else b and d: 0.8 + 0.2*0.9*0.9
			"a: / any-of: [b, c] / any-of: [c, d]\nb: " + own("90") + "\nc: " + own("80") + "\nd: " + own("90"),
			AvailOptions{},
			"0.962 of 4; c 0.19 19972.8; b 0.18 9460.8; d 0.18 9460.8; assumed a",
		},
		"a group that a hard need decides": {
			"a: / on: b / any-of: [b, c]\nb: " + own("90") + "\nc: " + own("50"),
			AvailOptions{},
			"0.9 of 3; b 1 52560; assumed a",
		},
		"an alternative that has alternatives": { // b is up with 0.9*(1-0.5*0.5) = 0.675; 1 - 0.325*0.2
			"a: / any-of: [b, c]\nb: " + own("90") + " / any-of: [d, e]\nc: " + own("80") + "\nd: " + own("50") + "\ne: " + own("50"),
			AvailOptions{},
			"0.935 of 5; c 0.325 34164; d 0.09 23652; e 0.09 23652; b 0.15 7884; assumed a",
		},
		"alternatives that need each other": { // b and c both, or d: 1 - 0.28*0.3
			"a: / any-of: [b, d]\nb: " + own("90") + " / on: c\nc: " + own("80") + " / on: b\nd: " + own("70"),
			AvailOptions{},
			"0.916 of 4; d 0.28 44150.4; c 0.27 28382.4; b 0.24 12614.4; assumed a",
		},
		"services that need each other are up together": {
			"a: " + own("90") + " / on: b\nb: " + own("80") + " / on: a",
			AvailOptions{},
			"0.72 of 2; b 0.9 94608; a 0.8 42048",
		},
		"what a third party promises is what it has": {
			"a: / on: b / on: c / on: d\nb: kind: external; availability: {target: 90}\nc: kind: cloud; availability: {target: 90, own: 80}\nd: availability: {target: 50}",
			AvailOptions{},
			"0.72 of 4; c 0.9 94608; b 0.8 42048; assumed a,d",
		},
		"a target is told": {"a: availability: {target: 99.9, own: 99}", AvailOptions{}, "0.99 of 1; a 1 5256; target 0.999"},
		"a fraction is doubted": {
			"a: " + own("50") + " / on: b\nb: " + own("0.5"),
			AvailOptions{},
			"0.0025 of 2; b 0.5 261486; a 0.005 1314; b: own is 0.5%; did you mean 50?",
		},
		"a fraction that is replaced is not": {
			"a: " + own("50") + " / on: b\nb: " + own("0.5"),
			AvailOptions{Own: map[string]float64{"b": 100}},
			"0.5 of 2; a 1 262800",
		},
		"an edge is taken as soft": {
			"a: " + own("90") + " / on: b / on: c\nb: " + own("80") + "\nc: " + own("50"),
			AvailOptions{Soften: []EdgeRef{{"a", "c"}}},
			"0.72 of 2; b 0.9 94608; a 0.8 42048",
		},
		"one member is taken as soft, and so its group": {
			"a: " + own("90") + " / any-of: [b, c]\nb: " + own("80") + "\nc: " + own("50"),
			AvailOptions{Soften: []EdgeRef{{"a", "c"}}},
			"0.9 of 1; a 1 52560",
		},
		"savings, the greatest first": { // 1-0.9*0.8, without b 0.8, without c 0.9; d saves nothing, nor does what is soft
			"a: / on: b, phase: runtime / on: c / on: d / on: e, soft: true / on: b, phase: startup, until: ready\nb: " + own("90") + "\nc: " + own("80") + "\nd:\ne: " + own("50"),
			AvailOptions{Savings: true},
			"0.72 of 4; c 0.9 94608; b 0.8 42048; without c 94608; without b 42048; assumed a,d",
		},
		"savings beside what is soft already": {
			"a: / on: b / on: c\nb: " + own("90") + "\nc: " + own("80"),
			AvailOptions{Savings: true, Soften: []EdgeRef{{"a", "b"}}},
			"0.8 of 2; c 1 105120; without c 105120; assumed a",
		},
		"savings of a group, for each of its members": {
			"a: / any-of: [b, c]\nb: " + own("90") + "\nc: " + own("80"),
			AvailOptions{Savings: true},
			"0.98 of 3; b 0.2 10512; c 0.1 10512; without b 10512; without c 10512; assumed a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := system(t, c.system).Availability(t.Context(), "a", c.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := availText(a); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// With fewer nodes than the diagram needs, the result is an estimate between certain
// bounds, and says so; forced services keep their importance, since for them it is a
// product.
func TestAvailability_estimate_says_that_it_is_one(t *testing.T) {
	g := system(t, "a: "+own("99")+" / any-of: [b, c] / any-of: [d, e]\nb: "+own("90")+"\nc: "+own("80")+"\nd: "+own("50")+"\ne: "+own("50"))
	exact, err := g.Availability(t.Context(), "a", AvailOptions{MaxNodes: 8})
	if err != nil || !exact.Exact || math.Abs(exact.Availability-0.99*0.98*0.75) > 1e-12 {
		t.Errorf("with 8 nodes: %+v, %v", exact, err)
	}
	for _, nodes := range []int{1, 2, 3, 4} {
		a, err := g.Availability(t.Context(), "a", AvailOptions{MaxNodes: nodes, Samples: 4000, Savings: true})
		if err != nil {
			t.Fatal(err)
		}
		if a.Exact || math.Abs(a.Low-0.99*0.9*0.8*0.5*0.5) > 1e-12 || a.High != 0.99 {
			t.Errorf("%d nodes: exact %v, between %v and %v", nodes, a.Exact, a.Low, a.High)
		}
		// The variance of a share of 4000.
		if p := 0.98 * 0.75; math.Abs(a.StdErr-0.99*math.Sqrt(p*(1-p)/4000)) > 0.0005 || math.Abs(a.Availability-0.99*p) > 4*a.StdErr {
			t.Errorf("%d nodes: %v ± %v", nodes, a.Availability, a.StdErr)
		}
		if len(a.Importance) != 1 || a.Importance[0].Service != "a" || math.Abs(a.Importance[0].Birnbaum-a.Availability/0.99) > 1e-12 {
			t.Errorf("%d nodes: importance %+v", nodes, a.Importance)
		}
		if a.Savings != nil {
			t.Errorf("%d nodes: savings between estimates: %+v", nodes, a.Savings)
		}
		again, err := g.Availability(t.Context(), "a", AvailOptions{MaxNodes: nodes, Samples: 4000})
		if err != nil || again.Availability != a.Availability {
			t.Errorf("%d nodes: %v, and %v at the second time", nodes, a.Availability, again.Availability)
		}
	}
}

// An estimate that was never down is not certain to be up.
func TestAvailability_estimate_of_what_never_failed_has_an_error(t *testing.T) {
	g := system(t, "a: / any-of: [b, c]\nb: "+own("99.9999")+"\nc: "+own("99.9999"))
	a, err := g.Availability(t.Context(), "a", AvailOptions{MaxNodes: 2, Samples: 100})
	if err != nil || a.Availability != 1 || a.High != 1 || math.Abs(a.Low-0.999999*0.999999) > 1e-12 {
		t.Fatalf("%+v, %v", a, err)
	}
	if q := 101.0 / 102; math.Abs(a.StdErr-math.Sqrt(q*(1-q)/100)) > 1e-12 {
		t.Errorf("the error is %v", a.StdErr)
	}
}

func TestAvailability_refuses_questions_about_what_is_not_there(t *testing.T) {
	g := system(t, "a: / on: b\nb:\nc:")
	for name, c := range map[string]struct {
		o    AvailOptions
		want string
	}{
		"0 percent":           {AvailOptions{Own: map[string]float64{"b": 0}}, `depgraph: AvailOptions.Own["b"] is 0; it is a percentage above 0, up to 100`},
		"101 percent":         {AvailOptions{Own: map[string]float64{"b": 100.5}}, `depgraph: AvailOptions.Own["b"] is 100.5; it is a percentage above 0, up to 100`},
		"no number":           {AvailOptions{Own: map[string]float64{"b": math.NaN()}}, `depgraph: AvailOptions.Own["b"] is NaN; it is a percentage above 0, up to 100`},
		"no service":          {AvailOptions{Own: map[string]float64{"x": 50}}, `depgraph: unknown service: "x"`},
		"no owner":            {AvailOptions{Soften: []EdgeRef{{"x", "a"}}}, `depgraph: unknown service: "x"`},
		"no edge":             {AvailOptions{Soften: []EdgeRef{{"a", "b"}, {"a", "c"}}}, `depgraph: there is no edge from "a" to "c"`},
		"the other way round": {AvailOptions{Soften: []EdgeRef{{"b", "a"}}}, `depgraph: there is no edge from "b" to "a"`},
	} {
		if a, err := g.Availability(t.Context(), "a", c.o); err == nil || err.Error() != c.want || a != nil {
			t.Errorf("%s: %v, %v, want %s", name, a, err, c.want)
		}
	}
}

// openParts splits what groups leave open: what shares something is one part, in the
// order in which a walk from the first group reaches it.
func TestAvailability_parts_share_nothing(t *testing.T) {
	for text, want := range map[string]string{
		"a: / any-of: [b, c] / any-of: [d, e]\nb:\nc:\nd:\ne:":                                       "b c | d e",
		"a: / any-of: [b, c] / any-of: [c, d]\nb:\nc:\nd:":                                           "b c d",
		"a: / any-of: [b, c] / any-of: [d, e]\nb: / on: x\nc:\nd:\ne: / on: x\nx:":                   "b x c d e",
		"a: / any-of: [b, c] / any-of: [d, e] / any-of: [b, f] / any-of: [f, e]\nb:\nc:\nd:\ne:\nf:": "b c f d e", // groups are in order of their members
		"a: / on: b / any-of: [b, c]\nb:\nc:":                                                        "",
		"a: / any-of: [b, c], need: 2\nb:\nc:":                                                       "",
		"a: / any-of: [z, c]\nc: / on: d\nd:\nz: / on: y\ny: / on: x\nx:":                            "c d z y x",
	} {
		g := system(t, text)
		av := newAvailability(g, 0, nil, AvailOptions{})
		if err := av.findForced(t.Context()); err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, p := range av.openParts() {
			var names []string
			for _, v := range p.vars {
				names = append(names, g.names[av.n.verts[v]])
			}
			parts = append(parts, strings.Join(names, " "))
		}
		if got := strings.Join(parts, " | "); got != want {
			t.Errorf("%s\n%s, want %s", text, got, want)
		}
	}
}

// The diagram of every threshold over five variables is compared with counting.
func TestBDD_is_what_it_stands_for(t *testing.T) {
	const n = 5
	up := func(level int32) float64 { return 0.5 + 0.1*float64(level) }
	for need := range n + 1 {
		b := newBDD(1000)
		fs := make([]int32, n)
		for i := range fs {
			fs[i] = b.variable(int32(i))
		}
		f := b.atLeast(need, fs)
		want, gain := 0.0, make([]float64, n)
		for state := range 1 << n {
			p, count := 1.0, 0
			for i := range n {
				if state&(1<<i) != 0 {
					p, count = p*up(int32(i)), count+1
				} else {
					p *= 1 - up(int32(i))
				}
			}
			if count < need {
				continue
			}
			want += p
			for i := range n {
				if state&(1<<i) != 0 {
					gain[i] += p / up(int32(i))
				} else {
					gain[i] -= p / (1 - up(int32(i)))
				}
			}
		}
		got := make([]float64, n)
		if p := b.probability(f, up, func(level int32, d float64) { got[level] += d }); math.Abs(p-want) > 1e-12 {
			t.Errorf("at least %d of %d: %v, want %v", need, n, p, want)
		}
		for i := range got {
			if math.Abs(got[i]-gain[i]) > 1e-12 {
				t.Errorf("at least %d of %d: the derivative by %d is %v, want %v", need, n, i, got[i], gain[i])
			}
		}
	}
}

func TestBDD_one_function_has_one_node(t *testing.T) {
	b := newBDD(1000)
	x, y, z := b.variable(0), b.variable(1), b.variable(2)
	for _, same := range [][2]int32{
		{b.and(x, y), b.and(y, x)},
		{b.or(x, y), b.or(y, x)},
		{b.and(x, x), x},
		{b.or(x, x), x},
		{b.and(x, 0), 0},
		{b.and(0, x), 0},
		{b.and(x, 1), x},
		{b.and(1, x), x},
		{b.or(x, 0), x},
		{b.or(0, x), x},
		{b.or(x, 1), 1},
		{b.or(1, x), 1},
		{b.and(x, b.or(x, y)), x},
		{b.or(x, b.and(x, y)), x}, // absorption
		{b.and(x, b.or(y, z)), b.or(b.and(x, y), b.and(x, z))}, // both distributive laws
		{b.or(x, b.and(y, z)), b.and(b.or(x, y), b.or(x, z))},
		{b.atLeast(1, []int32{x, y, z}), b.or(x, b.or(y, z))},
		{b.atLeast(3, []int32{z, y, x}), b.and(x, b.and(y, z))},
		{b.atLeast(0, nil), 1},
		{b.atLeast(2, []int32{x}), 0},
		{b.variable(1), y},
	} {
		if same[0] != same[1] {
			t.Errorf("nodes %d and %d stand for one function", same[0], same[1])
		}
	}
	for _, f := range []int32{0, 1} {
		if p := b.probability(f, nil, nil); p != float64(f) {
			t.Errorf("the constant %d has probability %v", f, p)
		}
	}
	for i := range b.level[2:] {
		if n := int32(i + 2); b.lo[n] >= n || b.hi[n] >= n || b.level[b.lo[n]] <= b.level[n] || b.level[b.hi[n]] <= b.level[n] {
			t.Errorf("node %d (level %d) has the children %d and %d", n, b.level[n], b.lo[n], b.hi[n])
		}
	}
}

// A table that grows keeps every value that was set, and forgets places that were only
// asked for.
func TestHashTable_keeps_what_it_was_given(t *testing.T) {
	table := newHashTable()
	for i := range int32(2000) {
		*table.slot(i%7, i, -i-1) = i + 1
		table.slot(9, i, i) // asked for, and not filled
	}
	for i := range int32(2000) {
		if got := *table.slot(i%7, i, -i-1); got != i+1 {
			t.Fatalf("key %d: %d", i, got)
		}
		if got := *table.slot(9, i, i); got != 0 {
			t.Fatalf("key %d that was never set: %d", i, got)
		}
	}
	if n := len(table.keys); n&(n-1) != 0 || table.used*4 > n*3+4 {
		t.Errorf("%d of %d places are used", table.used, n)
	}
}

// The sums of counter are those of adding one column at a time.
func TestCounter_adds_columns(t *testing.T) {
	var c counter
	want := make([]int, blockSize)
	for i := range 37 {
		var row bitrow
		for bit := 0; bit < blockSize; bit += i + 1 {
			row[bit/64] |= 1 << (bit % 64)
			want[bit]++
		}
		c.add(&row)
	}
	for bit, n := range want {
		if got := c.at(bit); got != n {
			t.Fatalf("column %d: %d, want %d", bit, got, n)
		}
	}
	c.reset()
	if got := c.at(0); got != 0 {
		t.Errorf("after reset: %d", got)
	}
}

func TestSortVertices_few_and_many(t *testing.T) {
	for _, vs := range [][]int32{{}, {640}, {640, 0}, {5, 3, 4, 1, 2, 0, 64, 63, 127, 128, 65, 640}} {
		want := slices.Sorted(slices.Values(vs))
		if sortVertices(vs, 641); !slices.Equal(vs, want) {
			t.Errorf("%v, want %v", vs, want)
		}
	}
}

func TestCountingSort_is_stable(t *testing.T) {
	if got, want := fmt.Sprint(countingSort([]int32{2, 0, 2, 1, 0}, 3)), "[3 0 4 2 1]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

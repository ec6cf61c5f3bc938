package depgraph

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// All that a dependency says goes into one word and comes back, defaults filled in.
func TestFlags_every_combination_comes_back(t *testing.T) {
	g := &Graph{texts: []edgeText{{}}}
	combinations := 0
	for bits := range 1 << 6 {
		on := func(i int) bool { return bits&(1<<i) != 0 }
		for phase := range Phase(8) {
			for until := UntilUnknown; until <= Done; until++ {
				d := Dependency{Phase: phase, Until: until, Soft: on(0), Weak: on(1), Assumed: on(2), Pinned: on(3), Liveness: on(4)}
				if on(5) {
					d.Plane = Control
				}
				want := d
				if want.Phase == 0 {
					want.Phase = d.phases()
				}
				if want.Plane == PlaneUnknown {
					want.Plane = Data
				}
				// A weak order is no need that could be soft; where nothing waits, no step is
				// waited for; and to wait for serving is the default.
				want.Soft = d.Soft && !d.Weak
				if d.Until == Serving || want.Phase&Startup == 0 {
					want.Until = UntilUnknown
				}
				if got := g.dependency(flagsOf(&d), 0, Position{}); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("%+v\ngot  %+v\nwant %+v", d, got, want)
				}
				combinations++
			}
		}
	}
	if combinations != 64*8*5 {
		t.Errorf("%d combinations", combinations)
	}
}

// The owner of an edge is found whatever services without edges stand around it.
func TestGraph_owner_of_every_edge(t *testing.T) {
	for _, lines := range []string{
		"a: / on: b\nb:", "a:\nb: / on: a", "a:\nb:\nc: / on: a / on: b\nd:\ne:\nf: / on: a\ng:", "a: / on: c\nb: / on: c\nc: / on: d\nd:",
	} {
		g := system(t, lines)
		for v := range g.services {
			for e := g.out[v]; e < g.out[v+1]; e++ {
				if got := g.owner(e); got != int32(v) {
					t.Errorf("%q: edge %d belongs to %d, want %d", lines, e, got, v)
				}
			}
		}
	}
}

// What waits for what: a launch is an event of its own only where something waits for it
// and for no more.
func TestEvents_of_small_systems(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		phases flag
		want   string // node>node of all arcs; a launch is in brackets
	}{
		"needs are edges":                 {"a: / on: b\nb:", fStartup | fRuntime, "a>b"},
		"nobody waits for a launch alone": {"a: / on: b, until: serving\nb: / on: c, phase: runtime\nc:", fStartup | fRuntime, "a>b b>c"},
		"one does":                        {"a: / on: b, phase: startup, until: started\nb: / on: c\nc:", fStartup | fRuntime, "a>[b] b>[b] [b]>c"},
		"what is needed to serve stays":   {"a: / on: b, phase: startup, until: ready\nb: / on: c, phase: runtime / on: d, phase: startup\nc:\nd:", fStartup | fRuntime, "a>[b] b>c b>[b] [b]>d"},
		"a job":                           {"a: / on: b, phase: startup, until: done\nb:", fStartup | fRuntime, "a>[b] b>[b]"},
		"without the start":               {"a: / on: b, phase: startup, until: started / on: b, phase: runtime\nb:", fRuntime, "a>b a>b"},
		"two wait for one launch":         {"a: / on: c, phase: startup, until: started\nb: / on: c, phase: startup, until: ready\nc:", fStartup, "a>[c] b>[c] c>[c]"},
	} {
		g := system(t, c.system)
		ev := g.events(c.phases)
		node := func(n int32) string {
			if n >= ev.n {
				return "[" + g.names[ev.service(n)] + "]"
			}
			return g.names[n]
		}
		var forward, back []string
		for v := range ev.nodes() {
			for a := ev.out[v]; a < ev.out[v+1]; a++ {
				forward = append(forward, node(v)+">"+node(ev.to[a]))
			}
			for i := ev.in[v]; i < ev.in[v+1]; i++ {
				back = append(back, node(ev.inFrom[i])+">"+node(v))
				if ev.to[ev.inArc[i]] != v {
					t.Errorf("%s: arc %d does not lead to %s", name, ev.inArc[i], node(v))
				}
			}
		}
		if got := strings.Join(forward, " "); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
		slices.Sort(forward)
		slices.Sort(back)
		if !slices.Equal(forward, back) {
			t.Errorf("%s: forwards %v, backwards %v", name, forward, back)
		}
	}
}

// The sources that take a quorum away are those that take enough members down, however
// many members there are.
func TestImpact_threshold_agrees_with_counting(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 300 {
		members, need := 1+r.IntN(6), 0
		need = 1 + r.IntN(members)
		p := &impactPass{plan: &plan{n: &net{groups: []netGroup{{need: int32(need)}}}}, rows: make([]bitrow, members)}
		var all []int32
		for m := range members {
			all = append(all, int32(m))
			for range r.IntN(40) {
				bit := r.IntN(blockSize)
				p.rows[m][bit/64] |= 1 << (bit % 64)
			}
		}
		p.members = [][]int32{all}
		got := p.threshold(0)
		for bit := range blockSize {
			down := 0
			for m := range members {
				down += btoi(p.rows[m].has(bit))
			}
			if want := members-down < need; got.has(bit) != want {
				t.Fatalf("%d of %d, %d down: %v", need, members, down, got.has(bit))
			}
		}
	}
}

// A set of edges that is taken away is judged as a system without them.
func TestSubgraph_comes_up_without_some_edges(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		gone   string // edges
		up     bool   // in a black start, with those that serve together
		alone  bool   // one after the other
	}{
		"a deadlock":                         {"a: / on: b\nb: / on: a", "", false, false},
		"a deadlock, one edge less":          {"a: / on: b\nb: / on: a", "a>b", true, true},
		"they serve together":                {"a: / on: b, phase: runtime\nb: / on: a, phase: runtime", "", true, false},
		"a start that needs one of them":     {"a: / on: b, phase: startup\nb: / on: a, phase: runtime", "", false, false},
		"a quorum inside":                    {"a: / any-of: [b, c], need: 2\nb: / on: a\nc: / on: a", "", false, false},
		"a quorum with one of its two edges": {"a: / any-of: [b, c], need: 2\nb: / on: a\nc: / on: a", "b>a", false, false},
		"a quorum with both":                 {"a: / any-of: [b, c], need: 2\nb: / on: a\nc: / on: a", "b>a c>a", true, true},
		"launches alone":                     {"a: / on: b, phase: startup, until: started / on: b, phase: runtime\nb: / on: a, phase: runtime", "", true, false},
	} {
		g := system(t, c.system)
		b := g.blocking(fStartup | fRuntime)
		all := make([]int32, b.ev.nodes())
		for v := range all {
			all[v] = int32(v)
		}
		sub := b.ev.subgraph(all, func(int32) bool { return true })
		gone := make([]bool, len(sub.to))
		for i, e := range sub.edgeID {
			if e >= 0 {
				edge := g.edgeOf(e)
				gone[i] = slices.Contains(strings.Fields(c.gone), edge.From+">"+edge.To)
			}
		}
		if up, alone := sub.comesUp(gone), sub.comesUpAlone(gone); up != c.up || alone != c.alone {
			t.Errorf("%s: comes up %v, alone %v", name, up, alone)
		}
		// To take nothing away is to take none of them.
		if c.gone == "" && (sub.comesUp(nil) != c.up || sub.comesUpAlone(nil) != c.alone) {
			t.Errorf("%s: nil is not an empty set", name)
		}
	}
}

// Of a set that is larger than needed, the expensive edges are taken back first.
func TestSoften_what_is_not_needed_is_taken_back(t *testing.T) {
	for name, c := range map[string]struct{ system, set, pruned, thin string }{
		"one of two edges of a cycle, the cheaper": {"a: / on: b, phase: startup\nb: / on: a", "a>b b>a", "a>b", "a>b"},
		"what is pinned is taken back first":       {"a: / on: b, pinned: true\nb: / on: a", "a>b b>a", "b>a", "b>a"},
		"an edge of no cycle":                      {"a: / on: b\nb: / on: a / on: c\nc:", "a>b b>c", "a>b", "a>b"},
		"nothing to take back":                     {"a: / on: b\nb: / on: a", "a>b", "a>b", "a>b"},
		"a cycle of the run time may stay":         {"a: / on: b, phase: runtime\nb: / on: a, phase: runtime", "a>b b>a", "b>a", ""},
	} {
		g := system(t, c.system)
		ev := g.events(fStartup | fRuntime)
		all := make([]int32, ev.nodes())
		for v := range all {
			all[v] = int32(v)
		}
		sub := ev.subgraph(all, func(int32) bool { return true })
		set := func() []bool {
			chosen := make([]bool, len(sub.to))
			for i, e := range sub.edgeID {
				edge := g.edgeOf(e)
				chosen[i] = slices.Contains(strings.Fields(c.set), edge.From+">"+edge.To)
			}
			return chosen
		}
		text := func(chosen []bool) string {
			var edges []Edge
			for i, is := range chosen {
				if is {
					edges = append(edges, g.edgeOf(sub.edgeID[i]))
				}
			}
			return ways(edges)
		}
		if got := text(sub.prune(set(), sub.weights())); got != c.pruned {
			t.Errorf("%s: pruned to %q, want %q", name, got, c.pruned)
		}
		if got := text(sub.thin(set(), sub.weights())); got != c.thin {
			t.Errorf("%s: thinned to %q, want %q", name, got, c.thin)
		}
	}
}

func TestBaseline_is_written_in_one_order(t *testing.T) {
	findings := []Finding{
		{Rule: "b", Service: "z"},
		{Rule: "b", Service: "a"},
		{Rule: "a", Service: "x", Edges: []Edge{{From: "x", To: "z"}, {From: "x", To: "y"}, {From: "w", To: "z"}}},
		{Rule: "b", Service: "a"}, // known twice is known
	}
	const want = `{
 "version": 1,
 "findings": [
  {
   "rule": "a",
   "from": "w",
   "to": "z"
  },
  {
   "rule": "a",
   "from": "x",
   "to": "y"
  },
  {
   "rule": "a",
   "from": "x",
   "to": "z"
  },
  {
   "rule": "b",
   "service": "a"
  },
  {
   "rule": "b",
   "service": "z"
  }
 ]
}
`
	r := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		r.Shuffle(len(findings), func(i, j int) { findings[i], findings[j] = findings[j], findings[i] })
		var b bytes.Buffer
		if err := NewBaseline(findings).Write(&b); err != nil || b.String() != want {
			t.Fatalf("%v\n%s", err, b.String())
		}
	}
	var b bytes.Buffer
	if err := NewBaseline(nil).Write(&b); err != nil || b.String() != "{\n \"version\": 1,\n \"findings\": []\n}\n" {
		t.Errorf("%v %q", err, b.String())
	}
}

// A finding is known if all of its edges are, by the same rule; what nothing meets is
// stale, and what a new finding shares is not.
func TestBaseline_filters_edge_by_edge(t *testing.T) {
	edge := func(names string) Edge { return Edge{From: names[:1], To: names[2:]} }
	cycle := func(rule string, edges ...string) Finding {
		f := Finding{Rule: rule, Service: "s"}
		for _, e := range edges {
			f.Edges = append(f.Edges, edge(e))
		}
		return f
	}
	known := NewBaseline([]Finding{cycle("R", "a>b", "b>a"), cycle("R", "c>d"), {Rule: "S", Service: "s"}})
	for name, c := range map[string]struct {
		now  []Finding
		want string // new, known, stale
	}{
		"nothing is found":         {nil, "0 0 4"},
		"all of it":                {[]Finding{cycle("R", "a>b", "b>a"), cycle("R", "c>d"), {Rule: "S", Service: "s"}}, "0 3 0"},
		"cut another way":          {[]Finding{cycle("R", "a>b", "c>d"), cycle("R", "b>a")}, "0 2 1"},
		"one edge more":            {[]Finding{cycle("R", "a>b", "b>a", "a>c")}, "1 0 2"},
		"another rule":             {[]Finding{cycle("Q", "a>b", "b>a")}, "1 0 4"},
		"a rule, of another thing": {[]Finding{{Rule: "R", Service: "s"}, {Rule: "S", Service: "t"}, cycle("S", "a>b")}, "3 0 4"},
		"twice":                    {[]Finding{cycle("R", "c>d"), cycle("R", "c>d")}, "0 2 3"},
	} {
		fresh, old, stale := known.Filter(c.now)
		if got := fmt.Sprint(len(fresh), old, stale); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// The table of rules is what explain prints and policies name.
func TestRules_are_numbered_and_say_all(t *testing.T) {
	names := map[string]bool{}
	for i, r := range Rules() {
		if want := fmt.Sprintf("DG%03d", i+1); r.ID != want {
			t.Errorf("%s is in the place of %s; numbers are never used again", r.ID, want)
		}
		if names[r.Name] || !ownRuleName.MatchString(r.Name) || ownRuleName.MatchString(r.ID) {
			t.Errorf("%s is named %q", r.ID, r.Name)
		}
		names[r.Name] = true
		for field, text := range map[string]string{"Summary": r.Summary, "Why": r.Why, "Fix": r.Fix} {
			if strings.TrimSpace(text) != text || text == "" || strings.HasSuffix(text, ".") == (field == "Summary") {
				t.Errorf("%s: %s is %q", r.ID, field, text)
			}
		}
		if r.Severity == Off || r.Check != nil || r.run != nil && r.Drift {
			t.Errorf("%s: %+v", r.ID, r)
		}
		for _, name := range []string{r.ID, r.Name, strings.ToLower(r.ID), strings.ToUpper(r.Name)} {
			if found, ok := FindRule(name); !ok || found.ID != r.ID {
				t.Errorf("%s is found as %q", name, found.ID)
			}
		}
	}
	// What a caller does with its copy is its own affair.
	Rules()[0].Name = "changed"
	if r, ok := FindRule("bootstrap-deadlock"); !ok || r.ID != "DG001" {
		t.Error("a copy was no copy")
	}
	if _, ok := FindRule(""); ok {
		t.Error("there is a rule without a name")
	}
}

func TestPolicy_severity_of_a_rule(t *testing.T) {
	p, err := ParsePolicy("p.yaml", []byte("rules: {DG009: off, DG013: {percent: 10}, DG002: {severity: error}}"))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]Severity{"DG009": Off, "DG013": Info, "DG002": Error, "DG001": Error, "nothing": Off} {
		if got := p.Severity(id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	if got := (&Policy{}).Severity("DG002"); got != Warn {
		t.Errorf("%s", got)
	}
}

// How far a service is waited for decides what it waits for, at each step of its own.
func TestWhyBlocked_step_by_step(t *testing.T) {
	g := system(t, `
		web: / on: db, phase: startup, until: ready / on: job, phase: startup, until: done / on: auth, phase: runtime / on: log, soft: true
		db: / on: disk
		job:
		auth:
		log:
		disk:`)
	for name, c := range map[string]struct {
		running Running
		want    string
	}{
		"nothing runs":                 {nil, "root job; roots disk job"},
		"the disk serves":              {Running{"disk": IsServing}, "root db; roots db job"},
		"the database is started":      {Running{"disk": IsServing, "db": IsStarted}, "root db; roots db job"},
		"the database is ready":        {Running{"disk": IsServing, "db": IsReady}, "root job; roots job"},
		"a job that serves is no end":  {Running{"disk": IsServing, "db": IsReady, "job": IsServing}, "root job; roots job"},
		"what the start needs is done": {Running{"disk": IsServing, "db": IsReady, "job": IsDone}, "root web; roots web"},
		"it is started":                {Running{"web": IsStarted}, "root web; roots web"},
		"it is ready":                  {Running{"web": IsReady}, "root auth; roots auth"},
		"it is ready, and has all":     {Running{"web": IsReady, "auth": IsServing}, "root web; roots web"},
		"it serves":                    {Running{"web": IsServing}, "root ; roots "},
		"a name that nobody has":       {Running{"web": IsServing, "x": IsDone, "a": IsDown}, "root ; roots ; unknown a x"},
	} {
		b, err := g.WhyBlocked("web", c.running)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("root %s; roots %s", b.Root, strings.Join(b.Roots, " "))
		if len(b.Unknown) > 0 {
			got += "; unknown " + strings.Join(b.Unknown, " ")
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// A waiver holds on its last day to the last moment, in UTC, and a proof up to its age.
func TestWaiver_and_proof_to_the_second(t *testing.T) {
	w := Waiver{Until: time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC)}
	for at, want := range map[string]bool{
		"2026-05-01T00:00:00Z": false, "2026-05-31T00:00:00Z": false, "2026-05-31T23:59:59Z": false, "2026-06-01T00:00:00Z": true,
		"2026-06-01T01:00:00+02:00": false, "2026-05-31T23:00:00-02:00": true,
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.expired(now); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
	path, _ := proofFile(t, held(0))
	proofs, err := LoadProofs(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		age  time.Duration
		want ProofState
	}{{0, Proven}, {time.Hour, Proven}, {time.Hour + 1, Stale}, {-clockSlack, Proven}, {-clockSlack - 1, Forged}} {
		if s := proofs.Status("checkout", "sessions", "", proofNow.Add(c.age), time.Hour); s.State != c.want {
			t.Errorf("%s: %s, %s", c.age, s.State, s.Why)
		}
	}
}

package depgraph

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// What costs the same is in order of name, although the sums differ in their last bits,
// as the members of a group are computed one after the other.
func TestAvailability_equal_costs_are_in_order_of_name(t *testing.T) {
	names := func(a *Avail) string {
		var words []string
		for _, i := range a.Importance {
			words = append(words, i.Service)
		}
		for _, s := range a.Savings {
			words = append(words, "-"+s.Edge.To)
		}
		return strings.Join(words, " ")
	}
	// Groups of one kind, of many sizes and numbers: some of them are not symmetric to
	// the last bit.
	for _, percent := range []string{"99.9", "99.95", "99.7", "98.3", "90.1", "33.3"} {
		for size := 2; size <= 9; size++ {
			for need := 1; need <= size; need++ {
				var members, lines []string
				for i := range size {
					members = append(members, fmt.Sprintf("m%d", i))
					lines = append(lines, fmt.Sprintf("m%d: %s", i, own(percent)))
				}
				g := system(t, fmt.Sprintf("a: / any-of: [%s], need: %d\n%s", strings.Join(members, ", "), need, strings.Join(lines, "\n")))
				a, err := g.Availability(t.Context(), "a", AvailOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if got := names(a); got != strings.Join(members, " ") && got != "" {
					t.Errorf("%d of %d with %s%%: %s", need, size, percent, got)
				}
			}
		}
	}
	// Dependencies with the same number save the same, whatever is multiplied first; the
	// one that is worse comes before them.
	var lines []string
	deps := ""
	want, saved := "s3", "-s3"
	for i := range 8 {
		percent := "99.93"
		if i == 3 {
			percent = "99.9"
		} else {
			want += fmt.Sprintf(" s%d", i)
			saved += fmt.Sprintf(" -s%d", i)
		}
		deps += fmt.Sprintf(" / on: s%d", i)
		lines = append(lines, fmt.Sprintf("s%d: %s", i, own(percent)))
	}
	g := system(t, "a:"+deps+"\n"+strings.Join(lines, "\n"))
	a, err := g.Availability(t.Context(), "a", AvailOptions{Savings: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(a); got != want+" "+saved {
		t.Errorf("got  %s\nwant %s", got, want+" "+saved)
	}
}

// The difference of two products is noise in their last bits where nothing is saved.
func TestAvailability_what_saves_nothing_is_no_saving(t *testing.T) {
	g := system(t, `
		a: / on: free / any-of: [m0, m1, m2], need: 2 / any-of: [n0, n1] / on: costly
		free: availability: {own: 100}
		costly: availability: {own: 99}
		m0: availability: {own: 99.7}
		m1: availability: {own: 99.7}
		m2: availability: {own: 99.7}
		n0: availability: {own: 99.7}
		n1: availability: {own: 100}`)
	a, err := g.Availability(t.Context(), "a", AvailOptions{Savings: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range a.Savings {
		got = append(got, s.Edge.To)
	}
	if want := "costly m0 m1 m2"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", a.Savings, want)
	}
}

func TestCostRank_is_a_strict_weak_order(t *testing.T) {
	year := float64(MinutesPerYear)
	for _, c := range []struct {
		a, b float64
		want int // of a against b
	}{
		{0, 0, 0},
		{1, 1 + 1e-12, 0},
		{1, 1 + 1e-5, -1},
		{1e-9, 0, 0},
		{1e-5, 0, 1},
		{year, year * (1 + 1e-15), 0},
		{year, year / 2, 1},
	} {
		if got := compareCosts(c.a, c.b); got != c.want {
			t.Errorf("%v against %v: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := compareCosts(c.b, c.a); got != -c.want {
			t.Errorf("%v against %v: %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}

// Of critical paths that are as long as each other the same one is told for every order
// of the input.
func TestOrder_critical_of_equal_paths(t *testing.T) {
	for name, c := range map[string]struct{ system, want string }{
		"the last one by name is waited for": {"app: start: 1s / on: b / on: a / on: c\na: start: 2s\nb: start: 2s\nc: start: 2s", "c app"},
		"the first one by name ends":         {"z: start: 3s\ny: start: 3s\nx: start: 3s", "x"},
		"the deepest one ends":               {"z: start: 1s / on: y\ny: start: 2s\nx: start: 3s", "y z"},
		"the first of two chains ends":       {"d: start: 1s / on: b\nc: start: 1s / on: a\nb: start: 2s\na: start: 2s", "a c"},
		"those that are only launched":       {"x:\na: / on: x, phase: startup, until: started\nb: / on: x, phase: startup, until: started", "x a"},
		"without durations":                  {"d: / on: b\nc: / on: a\nb:\na:", "a c"},
	} {
		lines := strings.Split(c.system, "\n")
		r := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			o, err := system(t, strings.Join(lines, "\n")).Order(t.Context(), OrderOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(o.Critical, " "); got != c.want {
				t.Errorf("%s: got %s, want %s", name, got, c.want)
				break
			}
		}
	}
}

// Groups are numbered by all that tells them apart, also where no place does: services
// that a program builds have none.
func TestCompile_groups_with_the_same_members_have_one_order(t *testing.T) {
	of := []string{"x", "y"}
	deps := []Dependency{
		{AnyOf: of},
		{AnyOf: of, Soft: true},
		{AnyOf: of, Phase: Runtime, Plane: Control},
		{AnyOf: of, Phase: Runtime},
		{AnyOf: of, Note: "one"},
		{AnyOf: of, Note: "two"},
		{AnyOf: of, Until: Ready, Phase: Startup},
		{AnyOf: of, Until: Started, Phase: Startup},
	}
	text := func(deps []Dependency) string {
		var lines []string
		for e := range mustCompile(t, []Service{{Name: "a", Depends: deps}, {Name: "x"}, {Name: "y"}}).Edges() {
			lines = append(lines, fmt.Sprintf("%s %d %v %s %s %s %s", e.To, e.Group, e.Soft, e.Phase, e.Plane, e.Until, e.Note))
		}
		return strings.Join(lines, "\n")
	}
	want := text(deps)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		shuffled := slices.Clone(deps)
		r.Shuffle(len(deps), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := text(shuffled); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// An age that is too great never looks like one that is allowed.
func TestProof_age_in_words(t *testing.T) {
	for _, c := range []struct {
		age, allowed time.Duration
		want         string
	}{
		{100 * 24 * time.Hour, 90 * 24 * time.Hour, "is 100 days old; at most 90 days are allowed"},
		{25 * time.Hour, 24 * time.Hour, "is over 1 day old; at most 1 day is allowed"},
		{48 * time.Hour, 24 * time.Hour, "is 2 days old; at most 1 day is allowed"},
		{3 * time.Hour, 90 * time.Minute, "is 3 hours old; at most 90 minutes are allowed"},
		{90*24*time.Hour + time.Second, 90 * 24 * time.Hour, "is over 90 days old; at most 90 days are allowed"},
		{61 * time.Minute, time.Hour, "is over 1 hour old; at most 1 hour is allowed"},
		{2 * time.Second, time.Second, "is 2 seconds old; at most 1 second is allowed"},
		{time.Second, time.Millisecond, "is 1 second old; at most 1ms are allowed"},
		{91*24*time.Hour + 20*time.Hour, 36 * time.Hour, "is 91 days old; at most 36 hours are allowed"},
	} {
		p := held(0)
		p.At = proofNow.Add(-c.age)
		path, _ := proofFile(t, p)
		proofs, err := LoadProofs(path)
		if err != nil {
			t.Fatal(err)
		}
		s := proofs.Status("checkout", "sessions", "", proofNow, c.allowed)
		if s.State != Stale || !strings.HasSuffix(s.Why, ") "+c.want) {
			t.Errorf("%s, %s allowed: %s %s; want %s", c.age, c.allowed, s.State, s.Why, c.want)
		}
	}
}

package depgraph

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// blastText is all that a blast says, what is empty left out.
func blastText(b *Blast) string {
	text := strings.Join(b.Of, " ")
	for _, part := range []struct {
		word  string
		names []string
	}{
		{"down", b.Down},
		{"degraded", b.Degraded},
		{"thin", b.RedundancyLost},
		{"cannot start", b.CannotStart},
		{"assumed", b.Assumed},
		{"unknown", b.Unknown},
	} {
		if len(part.names) > 0 {
			text += "; " + part.word + " " + strings.Join(part.names, " ")
		}
	}
	return text
}

func TestBlast_in_full(t *testing.T) {
	for name, c := range map[string]struct {
		system string
		o      BlastOptions
		want   string // what is lost comes first
	}{
		"nobody needs it":    {"a: / on: b\nb:", BlastOptions{}, "a"},
		"over several steps": {"a: / on: b\nb: / on: c\nc: / on: d, soft: true\nd: / on: x\nx:\ny:", BlastOptions{}, "x; down d; degraded c"},
		"a need of the start": {
			"a: / on: x, phase: startup / on: x, phase: runtime, soft: true\nb: / on: a\nc: / on: x, phase: startup\nx:",
			BlastOptions{},
			"x; degraded a; cannot start a c; unknown c",
		},
		"two needs of the start are named once": {
			"a: / on: x, phase: startup / on: y, phase: startup\nx:\ny:", BlastOptions{}, "x y; cannot start a; unknown a",
		},
		"a job that is done is not missed": {"a: / on: x, phase: startup, until: done\nx:", BlastOptions{}, "x; cannot start a"},
		"a job, and a need of the start that is up": {
			"a: / on: x, phase: startup, until: done / on: y, phase: startup\nx:\ny:", BlastOptions{}, "x; cannot start a",
		},
		"who is down cannot start either, and is named once": {
			"a: / on: x\nb: / on: x, soft: true / on: a\nx:", BlastOptions{}, "x; down a b",
		},
		"to ship a fix":        {"a: / on: x, phase: deploy\nx:", BlastOptions{}, "x"},
		"one of two":           {"a: / any-of: [x, y]\nx:\ny:", BlastOptions{}, "x; thin a"},
		"one of three":         {"a: / any-of: [x, y, z]\nx:\ny:\nz:", BlastOptions{}, "x"},
		"two of three":         {"a: / any-of: [x, y, z]\nx:\ny:\nz:", BlastOptions{}, "x y; thin a"},
		"all of three":         {"a: / any-of: [x, y, z]\nb: / on: a\nx:\ny:\nz:", BlastOptions{}, "x y z; down a b"},
		"one of two needed":    {"a: / any-of: [x, y], need: 2\nx:\ny:", BlastOptions{}, "x; down a"},
		"a quorum of two":      {"a: / any-of: [x, y, z], need: 2\nx:\ny:\nz:", BlastOptions{}, "x y; down a"},
		"a group of the start": {"a: / any-of: [x, y], phase: startup\nx:\ny:", BlastOptions{}, "x y; cannot start a; unknown a"},
		"a soft group":         {"a: / any-of: [x, y], soft: true\nx:\ny:", BlastOptions{}, "x y; degraded a"},
		"half of a soft group": {"a: / any-of: [x, y], soft: true\nx:\ny:", BlastOptions{}, "x; thin a"},
		"through both members": {"a: / any-of: [b, c]\nb: / on: x\nc: / on: x\nx:", BlastOptions{}, "x; down a b c"},
		"a circle":             {"a: / on: b\nb: / on: x / on: a, phase: runtime\nx:", BlastOptions{}, "x; down a b"},
		"the control plane":    {"a: / on: x, plane: control\nb: / on: x, plane: data\nc: / on: a\nd: / on: x\nx:", BlastOptions{Plane: Control}, "x; down a c"},
		"the data plane":       {"a: / on: x, plane: control\nb: / on: x, plane: data\nc: / on: b, plane: control\nd: / on: x\nx:", BlastOptions{Plane: Data}, "x; down b c d"},
	} {
		t.Run(name, func(t *testing.T) {
			lost, _, _ := strings.Cut(c.want, ";")
			b, err := system(t, c.system).Blast(c.o, strings.Fields(lost)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := blastText(b); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestBlastAll_and_what_groups_share(t *testing.T) {
	for lines, want := range map[string]string{
		"a: / on: b\nb: / on: c\nc:\nd: / on: c, soft: true": "[0 1 2 0]",
		"a: / on: b\nb: / on: a\nc: / on: a":                 "[2 2 0]",
		// dns takes both alternatives down; so does zone, over b and c.
		"a: / any-of: [b, c]\nb: / on: dns / on: zone\nc: / on: dns / on: zone\ndns:\nzone:": "[0 0 0 3 3] a needs 1 of b,c, shared dns,zone",
		// What the owner needs anyway is left out.
		"a: / any-of: [b, c] / on: dns\nb: / on: dns\nc: / on: dns\ndns:": "[0 0 0 3]",
		// One member can be lost, so what two of three share matters.
		"a: / any-of: [b, c, d], need: 2\nb: / on: x\nc: / on: x\nd:\nx:":                           "[0 0 0 0 3] a needs 2 of b,c,d, shared x",
		"a: / any-of: [b, c, d]\nb: / on: x\nc: / on: x\nd:\nx:":                                    "[0 0 0 0 2]",
		"a: / any-of: [b, c], phase: startup\nb: / on: x\nc: / on: x\nx:":                           "[0 0 0 2]",
		"a: / any-of: [b, c], soft: true\nb: / on: x\nc: / on: x\nx:":                               "[0 0 0 2]",
		"a: / any-of: [b, c], need: 2\nb: / on: x\nc: / on: x\nx:":                                  "[0 1 1 3]",
		"a: / any-of: [b, c]\nb: / any-of: [x, y]\nc: / any-of: [x, y]\nx: / on: z\ny: / on: z\nz:": "[0 0 0 0 0 5] a needs 1 of b,c, shared z; b needs 1 of x,y, shared z; c needs 1 of x,y, shared z",
		// Members that need their owner in turn fail with each other.
		"a: / any-of: [b, c]\nb: / on: a\nc: / on: b": "[2 2 0] a needs 1 of b,c, shared b",
	} {
		g := system(t, lines)
		counts, err := g.BlastAll(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		found, err := g.FalseRedundancies(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var groups []string
		for _, f := range found {
			groups = append(groups, fmt.Sprintf("%s needs %d of %s, shared %s", f.Service, f.Need, strings.Join(f.Members, ","), strings.Join(f.Shared, ",")))
		}
		if got := strings.TrimSpace(fmt.Sprint(counts, " ", strings.Join(groups, "; "))); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", lines, got, want)
		}
	}
}

// blockedText is all that is said: how far the service is, the way to the root with
// what is wanted at each step, the roots, and the circle.
func blockedText(b *Blocked) string {
	text := fmt.Sprintf("%s %s", b.Service, b.State)
	for _, h := range b.Chain {
		text += fmt.Sprintf("; %s %s, wanted %s", h.Edge.To, h.State, h.Wanted)
	}
	if b.Root != "" {
		text += fmt.Sprintf("; root %s %s", b.Root, b.RootState)
	}
	if len(b.Roots) > 0 {
		text += "; roots " + strings.Join(b.Roots, " ")
	}
	if len(b.Circle) > 0 {
		text += "; circle " + ways(b.Circle)
	}
	if len(b.Unknown) > 0 {
		text += "; unknown " + strings.Join(b.Unknown, " ")
	}
	return text
}

func TestWhyBlocked_in_full(t *testing.T) {
	for name, c := range map[string]struct {
		system  string
		running Running
		want    string
	}{
		"itself":              {"a:", nil, "a down; root a down; roots a"},
		"it is starting":      {"a: / on: b\nb:", Running{"a": IsStarted}, "a started; root a started; roots a"},
		"it serves":           {"a: / on: b\nb:", Running{"a": IsServing}, "a serving"},
		"it has done its job": {"a: / on: b\nb:", Running{"a": IsDone, "x": IsDown, "w": IsDone}, "a done; unknown w x"},
		"what it needs is":    {"a: / on: b\nb:", nil, "a down; b down, wanted serving; root b down; roots b"},
		"a soft need is not":  {"a: / on: b, soft: true / on: c, order: weak\nb:\nc:", nil, "a down; root a down; roots a"},
		"a need of the run time is not, while it is down": {
			"a: / on: b, phase: runtime\nb:", nil, "a down; root a down; roots a",
		},
		"a need of the run time is, once it is ready": {
			"a: / on: b, phase: runtime\nb:", Running{"a": IsReady}, "a ready; b down, wanted serving; root b down; roots b",
		},
		"one that is ready is not what it needs": {
			"a: / on: b, phase: startup\nb: / on: c, phase: runtime\nc:", Running{"b": IsReady}, "a down; b ready, wanted serving; c down, wanted serving; root c down; roots c",
		},
		"as far as it waits": {
			"a: / on: b, phase: startup, until: ready\nb: / on: c, phase: runtime\nc:", Running{"b": IsStarted}, "a down; b started, wanted ready; root b started; roots b",
		},
		"no further": {
			"a: / on: b, phase: startup, until: started\nb: / on: c, phase: startup\nc:", Running{"b": IsStarted}, "a down; root a down; roots a",
		},
		"a job is awaited to its end": {
			"a: / on: j, phase: startup, until: done\nj:", Running{"j": IsServing}, "a down; j serving, wanted done; root j serving; roots j",
		},
		"the nearest root of two": {
			"a: / on: b / on: z\nb: / on: c\nc:\nz:", nil, "a down; z down, wanted serving; root z down; roots c z",
		},
		"one of two is enough": {"a: / any-of: [b, c]\nb:\nc:", Running{"c": IsServing}, "a down; root a down; roots a"},
		"two of three, of which one is there": {
			"a: / any-of: [b, c, d], need: 2\nb:\nc: / on: e\nd:\ne:", Running{"d": IsServing}, "a down; b down, wanted serving; root b down; roots b e",
		},
		"a circle": {
			"a: / on: b\nb: / on: c\nc: / on: b", nil, "a down; b down, wanted serving; circle b>c c>b",
		},
		"a circle that it is part of": {"a: / on: b\nb: / on: a", nil, "a down; circle a>b b>a"},
		"a circle and a root":         {"a: / on: b / on: r\nb: / on: a\nr:", nil, "a down; r down, wanted serving; root r down; roots r; circle a>b b>a"},
		"a circle at run time holds nobody's start": {
			"a: / on: b, phase: runtime\nb: / on: a, phase: runtime", nil, "a down; root a down; roots a",
		},
		"a circle that an alternative leads out of": {
			"a: / any-of: [b, c]\nb: / on: a\nc:", nil, "a down; c down, wanted serving; root c down; roots c",
		},
		"a circle of alternatives, beside a need that is met": {
			"a: / on: d / any-of: [b, c]\nb: / on: a\nc: / on: a\nd:", Running{"d": IsServing}, "a down; circle a>b b>a",
		},
		"a quorum that one root cannot make": {
			"a: / any-of: [b, c, d], need: 2\nb: / on: a\nc: / on: a\nd:", nil, "a down; d down, wanted serving; root d down; roots d; circle a>b b>a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := system(t, c.system).WhyBlocked("a", c.running)
			if err != nil {
				t.Fatal(err)
			}
			if got := blockedText(b); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestParseRunning_every_form(t *testing.T) {
	for text, want := range map[string]string{
		`["a", "b"]`: "map[a:done b:done]",
		`[]`:         "map[]",
		`{}`:         "map[]",
		`{"a": true, "b": false, "c": "started", "d": "ready", "e": "serving", "f": "done", "g": "down"}`: "map[a:done b:down c:started d:ready e:serving f:done g:down]",
		`["a"] {"b": "ready"} ["a"]`:                                 "map[a:done b:ready]",
		`{"Service": "a", "State": "running"}`:                       "map[a:serving]",
		`{"Service": "a", "State": "running", "Health": "healthy"}`:  "map[a:serving]",
		`{"Service": "a", "State": "running", "Health": "starting"}`: "map[a:started]",
		`{"Service": "a", "State": "exited"}`:                        "map[a:done]",
		`{"Service": "a", "State": "exited", "ExitCode": 137}`:       "map[a:down]",
		`{"Service": "a", "State": "restarting"}`:                    "map[a:down]",
		// Of several containers the furthest counts, one that runs more than one that has ended.
		`[{"Service": "a", "State": "running", "Health": "unhealthy"}, {"Service": "a", "State": "exited"}]`: "map[a:started]",
		`[{"Service": "a", "State": "exited"}, {"Service": "a", "State": "exited", "ExitCode": 1}]`:          "map[a:done]",
		`[{"Service": "a", "State": "exited", "ExitCode": 1}, {"Service": "a", "State": "running"}]`:         "map[a:serving]",

		``:                                     "depgraph: who is running: line 1: the input is empty",
		"\n\n":                                 "depgraph: who is running: line 1: the input is empty",
		`null`:                                 "depgraph: who is running: line 1: expected a list of names, an object of names and states, or the containers of docker compose ps",
		`"a"`:                                  "depgraph: who is running: line 1: expected a list of names, an object of names and states, or the containers of docker compose ps",
		"[\"a\"]\n[1]":                         "depgraph: who is running: line 2: expected a list of names, an object of names and states, or the containers of docker compose ps",
		"{\"a\": true,\n\"b\"}":                "depgraph: who is running: line 2: invalid character '}' after object key",
		`["a", " "]`:                           "depgraph: who is running: line 1: a name is empty",
		`{"": true}`:                           "depgraph: who is running: line 1: a name is empty",
		`{"a": "up"}`:                          `depgraph: who is running: line 1: a: state "up" is not one of down, started, ready, serving, done`,
		`{"a": 1}`:                             "depgraph: who is running: line 1: a: expected true, false, or one of down, started, ready, serving, done",
		`{"a": true, "a": "ready"}`:            "depgraph: who is running: line 1: a is done and ready",
		`{"a": true, "a": "done"}`:             "map[a:done]",
		`[{"Service": "", "State": "exited"}]`: "depgraph: who is running: line 1: a container has no Service",
		`{"Service": 7}`:                       "depgraph: who is running: line 1: json: cannot unmarshal number into Go struct field composeContainer.Service of type string",
	} {
		r, err := ParseRunning([]byte(text))
		got := fmt.Sprint(map[string]RunState(r))
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestWhy_in_full(t *testing.T) {
	g := system(t, `
		a: / on: b, soft: true / on: c / on: x, phase: deploy
		b: / on: z
		c: / on: d
		d: / on: z / on: c, phase: runtime
		x: / on: z, soft: true
		z: / on: a, phase: deploy`)
	for _, c := range []struct {
		from, to string
		o        WhyOptions
		want     string
	}{
		{"a", "z", WhyOptions{}, "a>c c>d d>z"}, // over hard edges, though one over soft ones is shorter
		{"a", "z", WhyOptions{Hard: true}, "a>c c>d d>z"},
		{"a", "b", WhyOptions{}, "a>b"},
		{"a", "b", WhyOptions{Hard: true}, ""},
		{"a", "z", WhyOptions{All: true}, "a>b b>z | a>x x>z | a>c c>d d>z"},
		{"a", "z", WhyOptions{All: true, Hard: true}, "a>c c>d d>z"},
		{"a", "z", WhyOptions{All: true, Limit: 2}, "a>b b>z | a>x x>z ..."},
		{"a", "z", WhyOptions{All: true, Limit: 3}, "a>b b>z | a>x x>z | a>c c>d d>z ..."},
		{"a", "z", WhyOptions{All: true, Limit: 4}, "a>b b>z | a>x x>z | a>c c>d d>z"},
		{"c", "c", WhyOptions{}, "c>d d>c"}, // the shortest way round
		{"a", "a", WhyOptions{Hard: true}, "a>c c>d d>z z>a"},
		{"a", "a", WhyOptions{All: true}, ""},
		{"b", "x", WhyOptions{}, "b>z z>a a>x"},
	} {
		paths, truncated, err := g.Why(t.Context(), c.from, c.to, c.o)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, p := range paths {
			texts = append(texts, ways(p))
		}
		got := strings.Join(texts, " | ")
		if truncated {
			got += " ..."
		}
		if got != c.want {
			t.Errorf("%s to %s, %+v: %s, want %s", c.from, c.to, c.o, got, c.want)
		}
	}
	if got := slices.Sorted(slices.Values(g.Names())); !slices.Equal(got, g.Names()) {
		t.Errorf("names are %v", g.Names())
	}
}

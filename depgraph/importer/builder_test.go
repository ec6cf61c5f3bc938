package importer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// TestEdge_dependencies sums up what several places claim about one edge.
func TestEdge_dependencies_of_several_claims(t *testing.T) {
	start := func(u depgraph.Until) claim { return claim{start: u} }
	weak := claim{start: depgraph.Ready, weak: true}
	with := func(c claim, change func(*claim)) claim { change(&c); return c }
	soft := func(c *claim) { c.soft = true }
	assumed := func(c *claim) { c.assumed = true }
	for name, c := range map[string]struct {
		claims []claim
		want   string
	}{
		"none":                                   {nil, ""},
		"run time":                               {[]claim{hardRuntime}, "-> b, hard runtime (s0)"},
		"both, in one":                           {[]claim{hardBoth}, "-> b, hard startup+runtime (s0)"},
		"both, from two places":                  {[]claim{start(depgraph.Serving), hardRuntime}, "-> b, hard startup+runtime (s0; s1)"},
		"an early start is another edge":         {[]claim{start(depgraph.Started), hardRuntime}, "-> b, hard startup until started (s0)\n-> b, hard runtime (s1)"},
		"hard at the start, soft later":          {[]claim{start(depgraph.Serving), with(hardRuntime, soft)}, "-> b, hard startup (s0)\n-> b, soft runtime (s1)"},
		"known at the start, assumed later":      {[]claim{start(depgraph.Serving), with(hardRuntime, assumed)}, "-> b, hard startup (s0)\n-> b, hard runtime assumed (s1)"},
		"soft in both":                           {[]claim{with(hardBoth, soft)}, "-> b, soft startup+runtime (s0)"},
		"weak is never soft":                     {[]claim{with(weak, soft)}, "-> b, weak startup until ready (s0)"},
		"weak and run time":                      {[]claim{{start: depgraph.Serving, weak: true}, hardRuntime}, "-> b, weak startup (s0)\n-> b, hard runtime (s1)"},
		"hard outweighs soft":                    {[]claim{with(hardRuntime, soft), hardRuntime}, "-> b, hard runtime (s0; s1)"},
		"known outweighs assumed, soft as it is": {[]claim{with(hardRuntime, assumed), with(hardRuntime, soft)}, "-> b, soft runtime (s0; s1)"},
		"evident outweighs assumed":              {[]claim{with(hardRuntime, assumed), {runtime: true, soft: true, assumed: true, evident: true}}, "-> b, soft runtime assumed (s0; s1)"},
		"evident does not outweigh hard":         {[]claim{hardRuntime, {runtime: true, soft: true, assumed: true, evident: true}}, "-> b, hard runtime (s0; s1)"},
		"the later step of a start":              {[]claim{start(depgraph.Started), start(depgraph.Ready)}, "-> b, hard startup until ready (s0; s1)"},
		"strong outweighs a later weak one":      {[]claim{start(depgraph.Started), {start: depgraph.Serving, weak: true}}, "-> b, hard startup until started (s0; s1)"},
		"the first of two equal ones":            {[]claim{hardRuntime, hardRuntime}, "-> b, hard runtime (s0; s1)"},
	} {
		for i := range c.claims {
			c.claims[i].source = fmt.Sprintf("s%d", i)
		}
		e := &edge{claims: c.claims}
		var got []string
		for _, d := range e.dependencies("b") {
			got = append(got, describeDependency(&d))
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, s, c.want)
		}
	}
}

func TestEdge_dependencies_on_alternatives_and_probes(t *testing.T) {
	e := &edge{claims: []claim{hardRuntime}, anyOf: []string{"b", "c", "d"}, liveness: true}
	if d := e.dependencies("b,c,d"); len(d) != 1 || describeDependency(&d[0]) != "-> any 1 of b, c, d, hard runtime liveness ()" {
		t.Errorf("%+v", d)
	}
	e.need = 2
	if d := e.dependencies("b,c,d"); d[0].Need != 2 {
		t.Errorf("%+v", d)
	}
	// A probe of what is soft restarts nobody: the claim says that it is survived.
	e = &edge{claims: []claim{{runtime: true, soft: true}}, liveness: true}
	if d := e.dependencies("b"); d[0].Liveness {
		t.Errorf("%+v", d)
	}
}

func TestBuilder_depend_keeps_the_first_place_and_counts_kinds_once(t *testing.T) {
	b := newBuilder()
	at := func(file string, line int) depgraph.Position { return depgraph.Position{File: file, Line: line} }
	b.service("a", at("x", 1))
	b.service("b", at("x", 2))
	if s := b.service("a", at("y", 9)); s.Source != "x:1" {
		t.Errorf("a service moved: %+v", s)
	}
	if e := b.depend("a", "a", hardRuntime, "env", "X", at("x", 1)); e != nil {
		t.Error("an edge to itself")
	}
	b.depend("a", "b", hardRuntime, "env", "X", at("y", 3))
	b.depend("a", "b", hardRuntime, "env", "Y", at("x", 7))
	b.depend("a", "b", hardRuntime, "env", "Z", at("x", 5))
	b.depend("a", "b", hardRuntime, "link", "b", at("x", 6))
	b.depend("a", "b", hardRuntime, "link", "b", at("x", 6))
	if e := b.dependAny("a", []string{"b", "a"}, hardRuntime, "env", "X", at("x", 1)); e != nil {
		t.Error("alternatives to itself")
	}
	b.dependAny("a", []string{"b", "b"}, hardRuntime, "env", "Q", at("x", 8)) // of one is no group
	r := b.finish()
	d := r.Services[0].Depends
	if len(d) != 1 || d[0].At != at("x", 5) || d[0].Source != "x:5 env Z; x:6 link b; x:7 env Y; x:8 env Q; and 1 more" {
		t.Errorf("%+v", d)
	}
	if fmt.Sprint(r.Sources) != "map[env:1 link:1]" {
		t.Errorf("sources %v", r.Sources)
	}
}

// TestBuilder_claim_counts_kinds_not_words: a path may hold the word of a kind.
func TestBuilder_claim_counts_kinds_not_words(t *testing.T) {
	b := newBuilder()
	at := depgraph.Position{File: "my env file", Line: 1}
	b.service("a", at)
	b.service("b", at)
	b.depend("a", "b", hardRuntime, "link", "x", at)
	b.depend("a", "b", hardRuntime, "env", "X", at)
	if got := fmt.Sprint(b.finish().Sources); got != "map[env:1 link:1]" {
		t.Errorf("sources %s", got)
	}
}

func TestJoin_names_four_and_counts_the_rest(t *testing.T) {
	all := []string{"d", "b", "c", "a", "b", "e"}
	for n, want := range map[int]string{0: "", 1: "d", 4: "a; b; c; d", 5: "a; b; c; d", 6: "a; b; c; d; and 1 more"} {
		if got := join(all[:n]); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if all[0] != "d" {
		t.Error("the argument was sorted")
	}
}

func TestBuilder_finish_sorts_and_counts(t *testing.T) {
	b := newBuilder()
	for _, name := range []string{"c", "a", "b"} {
		b.service(name, depgraph.Position{File: "x"})
	}
	b.depend("a", "c", claim{runtime: true, assumed: true}, "env", "", depgraph.Position{File: "x"})
	b.depend("a", "b", claim{start: depgraph.Started, runtime: true, assumed: true}, "env", "", depgraph.Position{File: "x"})
	b.warnf("z %d", 1)
	b.warnf("y")
	b.warnf("z %d", 1)
	b.skip("things: one")
	b.skip("things: two: three")
	b.skip("no colon")
	r := b.finish()
	same(t, describe("", r), `
a
  -> b, hard startup until started assumed (x env )
  -> b, hard runtime assumed (x env )
  -> c, hard runtime assumed (x env )
b
c
warning: y
warning: z 1
skipped no colon: no colon
skipped things: one, two: three`)
	if r.Guessed != 3 {
		t.Errorf("%d guessed", r.Guessed)
	}
}

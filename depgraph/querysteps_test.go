package depgraph

import (
	"strings"
	"testing"
)

// a needs b, c and d in different ways; all three lead to e, and e is behind f.
const roads = `
	a: owner: x / on: b / on: c, soft: true, phase: runtime / on: d, plane: control, phase: startup
	b: owner: y; kind: app / on: e
	c: kind: queue; criticality: low / on: e / on: d, phase: deploy
	d: / any-of: [e, f]
	e: kind: external
	f: / on: e, order: weak`

func TestQuery_limits_and_steps(t *testing.T) {
	g := system(t, roads)
	for expr, want := range map[string]string{
		"deps(a)":                         "a b c d e f",
		"deps(a, 0)":                      "a",
		"deps(a, 1)":                      "a b c d",
		"deps(a, 1, 1)":                   "a b c d",
		"deps(a, soft, soft, data, data)": "a c",     // twice is no contradiction
		"deps(a, hard)":                   "a b d e", // not over the group of d
		"deps(a, soft)":                   "a c",
		"deps(a, runtime)":                "a b c e",
		"deps(a, startup)":                "a b d e f",
		"deps(a, deploy)":                 "a",
		"deps(c, deploy)":                 "c d",
		"deps(a, control)":                "a d",
		"deps(a, 1, data)":                "a b c",
		"deps(a, runtime, startup)":       "a b c d e f",
		"deps(a, 1, soft, runtime, data)": "a c",
		"deps(d, hard)":                   "d",
		"deps(d, 1)":                      "d e f",
		"rdeps(e)":                        "a b c d e f",
		"rdeps(e, 1)":                     "b c d e f",
		"rdeps(e, hard)":                  "a b c e", // c is hard on e, and a soft on c
		"rdeps(b | c, 1)":                 "a b c",
		"somepath(a, e)":                  "a b e",
		"somepath(a, e, 1)":               "",
		"somepath(a, e, 2)":               "a b e",
		"somepath(a, e, soft)":            "",
		"somepath(e, a)":                  "",
		"somepath(a, a)":                  "a",
		"somepath(a | c, d | e)":          "a d",
		"allpaths(a, e)":                  "a b c d e f",
		"allpaths(a, e, 2)":               "a b c d e",
		"allpaths(a, e, 1)":               "",
		"allpaths(c, f)":                  "c d f",
		"allpaths(a, f, 2)":               "a d f",
		"down(e)":                         "a b c e", // d has f left for it
		"down(e | f)":                     "a b c d e f",
		"down(leaves() - e)":              "",
		"roots()":                         "a",
		"leaves()":                        "e",
		"all() - deps(b)":                 "a c d f",
		"owner(x) | kind(queue)":          "a c",
		"owner(\"\")":                     "c d e f",
		"kind(\"\")":                      "a d f",
		"tier(low)":                       "c",
		"criticality(l*)":                 "c",
		"name(\"?\")":                     "",
		"a | b - a":                       "b", // from left to right
		"a | (b - a)":                     "a b",
		"a | b & c":                       "a", // & binds tighter
		"(a | b) & b":                     "b",
		"all() & deps(a) & rdeps(f)":      "a c d f",
		"'a' | \"b\"":                     "a b",
		"undeclared()":                    "",
		"cycles()":                        "",
	} {
		names, err := g.Query(t.Context(), expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}

// What a user sees: the message, the query, and a mark below the place.
func TestQueryError_marks_the_place(t *testing.T) {
	g := system(t, roads)
	long := strings.Repeat("a | ", 40)
	for expr, want := range map[string]string{
		"deps(zz)":            "query: there is no service \"zz\"\n  deps(zz)\n       ^",
		"a |":                 "query: the query ends too early; expected a name, a function or (\n  a |\n     ^",
		"a\t|\n|":             "query: expected a name, a function or (, found \"|\"\n  a | |\n      ^",
		"ä |":                 "query: there is no service \"ä\"\n  ä |\n  ^",
		long + "zz | " + long: "query: there is no service \"zz\"\n  " + long[100:] + "zz | " + long[:55] + "\n  " + strings.Repeat(" ", 60) + "^",
		"deps(a, -1)":         "query: limit \"-1\" is not one of a number of steps, hard, soft, startup, runtime, deploy, data, control\n  deps(a, -1)\n          ^",
		"deps(a, 1, 2)":       "query: the number of steps is 1 already\n  deps(a, 1, 2)\n             ^",
		"deps(a, \"hard\")":   "query: expected a number of steps, hard, soft, startup, runtime, deploy, data or control, found \"hard\"\n  deps(a, \"hard\")\n          ^",
		"owner()":             "query: owner takes a pattern, such as owner(pay) or owner(\"\")\n  owner()\n        ^",
		"'a":                  "query: the quote does not end\n  'a\n  ^",
		"roots(a)":            "query: expected \")\", found \"a\"\n  roots(a)\n        ^",
		"somepath(a)":         "query: expected \",\", found \")\"\n  somepath(a)\n            ^",
		"\xff":                "query: there is no service \"\\xff\"\n  ?\n  ^",
	} {
		if _, err := g.Query(t.Context(), expr); err == nil || err.Error() != want {
			t.Errorf("%q:\n%v\nwant\n%s", expr, err, want)
		}
	}
}

// What counts is how deep parentheses are nested, not how many there are.
func TestQuery_many_parentheses_side_by_side(t *testing.T) {
	g := system(t, roads)
	names, err := g.Query(t.Context(), "(a)"+strings.Repeat(" | (b)", 2*maxQueryDepth))
	if err != nil || strings.Join(names, " ") != "a b" {
		t.Errorf("%v, %v", names, err)
	}
}

package report_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// deadlocked is a graph of two services that wait for each other and a third
// one that waits for both.
func deadlocked(t *testing.T) (*depgraph.Graph, []depgraph.Component) {
	t.Helper()
	g := compiled(t, "d.yaml", `
{service: consul, depends: [{on: vault, break-glass: start it with -dev}]}
---
{service: vault, start: 5s, depends: [{on: consul}]}
---
{service: web, depends: [{on: vault}]}
`)
	components, err := g.Cycles(t.Context(), depgraph.CyclesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return g, components
}

// ring is a graph of n services in a circle of hard edges.
func ring(t *testing.T, n int, phase depgraph.Phase) (*depgraph.Graph, *depgraph.Component) {
	t.Helper()
	var services []depgraph.Service
	for i := range n {
		services = append(services, depgraph.Service{
			Name: fmt.Sprintf("s%d", i), At: depgraph.Position{File: "r.yaml", Line: i + 1},
			Depends: []depgraph.Dependency{{On: fmt.Sprintf("s%d", (i+1)%n), Phase: phase, At: depgraph.Position{File: "r.yaml", Line: i + 1}}},
		})
	}
	g := compile(t, services)
	components, err := g.Cycles(t.Context(), depgraph.CyclesOptions{Deploy: phase == depgraph.Deploy})
	if err != nil || len(components) != 1 {
		t.Fatalf("%v, %d components", err, len(components))
	}
	return g, &components[0]
}

// sized is n findings of one rule, with different messages.
func sized(n int, rule string, s depgraph.Severity) (all []depgraph.Finding) {
	for i := range n {
		name := fmt.Sprintf("s%02d", i)
		all = append(all, depgraph.Finding{
			Rule: rule, Name: "a-name", Severity: s, Service: name, Message: fmt.Sprintf("%s is %d too large", name, i), Fix: "Make it smaller.",
			At: depgraph.Position{File: "m.yaml", Line: i + 1},
		})
	}
	return all
}

func TestVerdict_one_sentence_for_each_outcome(t *testing.T) {
	g, components := deadlocked(t)
	alone := compile(t, []depgraph.Service{{Name: "web"}})
	deadlock := depgraph.Finding{Rule: "DG001", Severity: depgraph.Error, Message: "bootstrap deadlock", Component: &components[0]}
	_, six := ring(t, 6, depgraph.Startup)
	_, three := ring(t, 3, depgraph.Startup)
	of := func(c *depgraph.Component) []depgraph.Finding {
		f := deadlock
		f.Component = c
		return []depgraph.Finding{f}
	}
	_, runtime := ring(t, 2, depgraph.Runtime)
	for _, c := range []struct {
		what     string
		g        *depgraph.Graph
		findings []depgraph.Finding
		want     string
	}{
		{"nothing in a graph of one", alone, nil, "✓ No errors and no warnings: 1 service comes up from a full stop"},
		{"nothing in a graph of three", g, nil, "✓ No errors and no warnings: 3 services come up from a full stop"},
		{"nothing in no graph", compile(t, nil), nil, "✓ No errors and no warnings: 0 services come up from a full stop"},
		{"notes only", alone, sized(2, "x", depgraph.Info), "✓ No errors and no warnings: 1 service comes up from a full stop"},
		{"a warning", alone, sized(1, "x", depgraph.Warn), "! No errors, 1 warning, the first: s00 is 0 too large"},
		{"warnings", alone, sized(3, "x", depgraph.Warn), "! No errors, 3 warnings, the first: s00 is 0 too large"},
		{"an error before warnings", alone, append(sized(1, "x", depgraph.Error), sized(3, "y", depgraph.Warn)...), "✗ 1 error, the first: s00 is 0 too large"},
		{"a deadlock behind other errors", g, append(sized(2, "x", depgraph.Error), deadlock), "✗ A full stop never comes back: 3 of 3 services wait for consul ⇄ vault"},
		{"a ring of three", g, of(three), "✗ A full stop never comes back: 3 of 3 services wait for s0 → s1 → s2 → s0"},
		{"a ring of six", g, of(six), "✗ A full stop never comes back: 3 of 3 services wait for s0 → s1 → s2 → s3 → s4 → …"},
		{"a cycle that is no deadlock", g, []depgraph.Finding{{Severity: depgraph.Error, Message: "runtime cycle", Component: runtime}}, "✗ 1 error, the first: runtime cycle"},
		{"a hostile message", alone, []depgraph.Finding{{Severity: depgraph.Error, Message: "a\x1b[2J\nb"}}, `✗ 1 error, the first: a\u001b[2J\u000ab`},
	} {
		if got := report.Verdict(c.g, c.findings); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.what, got, c.want)
		}
	}
}

func TestCheckText_layouts(t *testing.T) {
	g, components := deadlocked(t)
	var findings []depgraph.Finding
	findings = append(findings, depgraph.Finding{
		Rule: "DG001", Name: "bootstrap-deadlock", Severity: depgraph.Error, Service: "consul", Message: "bootstrap deadlock", Component: &components[0], Fix: components[0].FixText(),
	})
	findings = append(findings, sized(7, "size", depgraph.Warn)...)
	for _, name := range []string{"consul", "vault", "web"} {
		findings = append(findings, depgraph.Finding{Rule: "DG009", Name: "no-owner", Severity: depgraph.Warn, Service: name, Message: name + " has no owner", At: depgraph.Position{File: "d.yaml", Line: 2}})
	}
	findings = append(findings, depgraph.Finding{Rule: "lonely", Name: "lonely", Severity: depgraph.Info, Service: "web", Message: "web is alone", At: depgraph.Position{File: "d.yaml"}})
	s := report.Summarize(g, findings)
	for _, c := range []struct {
		what string
		opts report.TextOptions
		want string
	}{
		{"as it is", report.TextOptions{}, `
✗ A full stop never comes back: 3 of 3 services wait for consul ⇄ vault

error DG001 bootstrap deadlock  (component of 2, 2 edges)
 .-> consul   needs vault    hard startup+runtime   d.yaml:2
 ` + "`" + `-- vault    needs consul   hard startup+runtime   d.yaml:4
 by hand: consul -> vault: start it with -dev
 fix: make 1 edge soft (proven minimum): vault -> consul   then a cold start is 2 waves, 5s
warn size a-name: 7 findings
  s00 is 0 too large   m.yaml:1
  s01 is 1 too large   m.yaml:2
  s02 is 2 too large   m.yaml:3
  s03 is 3 too large   m.yaml:4
  s04 is 4 too large   m.yaml:5
  and 2 more (--verbose lists them)
warn DG009 3 services have no owner: consul, vault, web
info lonely web is alone   d.yaml

3 services, 3 edges: 1 error, 10 warnings, 1 note
`},
		{"all", report.TextOptions{All: true}, `
✗ A full stop never comes back: 3 of 3 services wait for consul ⇄ vault

error DG001 bootstrap deadlock  (component of 2, 2 edges)
 .-> consul   needs vault    hard startup+runtime   d.yaml:2
 ` + "`" + `-- vault    needs consul   hard startup+runtime   d.yaml:4
 by hand: consul -> vault: start it with -dev
 fix: make 1 edge soft (proven minimum): vault -> consul   then a cold start is 2 waves, 5s
warn size a-name: 7 findings
  s00 is 0 too large   m.yaml:1
  s01 is 1 too large   m.yaml:2
  s02 is 2 too large   m.yaml:3
  s03 is 3 too large   m.yaml:4
  s04 is 4 too large   m.yaml:5
  s05 is 5 too large   m.yaml:6
  s06 is 6 too large   m.yaml:7
warn DG009 3 services have no owner: consul, vault, web
info lonely web is alone   d.yaml

3 services, 3 edges: 1 error, 10 warnings, 1 note
`},
		{"verbose", report.TextOptions{Verbose: true}, `
✗ A full stop never comes back: 3 of 3 services wait for consul ⇄ vault

error DG001 bootstrap deadlock  (component of 2, 2 edges)
 .-> consul   needs vault    hard startup+runtime   d.yaml:2
 ` + "`" + `-- vault    needs consul   hard startup+runtime   d.yaml:4
 by hand: consul -> vault: start it with -dev
 fix: make 1 edge soft (proven minimum): vault -> consul   then a cold start is 2 waves, 5s
warn size a-name: 7 findings
  s00 is 0 too large   m.yaml:1
  s01 is 1 too large   m.yaml:2
  s02 is 2 too large   m.yaml:3
  s03 is 3 too large   m.yaml:4
  s04 is 4 too large   m.yaml:5
  s05 is 5 too large   m.yaml:6
  s06 is 6 too large   m.yaml:7
warn DG009 no-owner: 3 findings
  consul has no owner   d.yaml:2
  vault has no owner   d.yaml:2
  web has no owner   d.yaml:2
info lonely web is alone   d.yaml

3 services, 3 edges: 1 error, 10 warnings, 1 note
`},
	} {
		t.Run(c.what, func(t *testing.T) {
			same(t, written(t, func(w io.Writer) error { return report.CheckText(w, g, s, findings, c.opts) }), c.want)
		})
	}
}

func TestCheckText_colours_severities_and_nothing_else(t *testing.T) {
	g := compile(t, []depgraph.Service{{Name: "web"}})
	findings := append(sized(1, "x", depgraph.Error), append(sized(1, "y", depgraph.Warn), sized(1, "z", depgraph.Info)...)...)
	got := written(t, func(w io.Writer) error {
		return report.CheckText(w, g, report.Summary{}, findings, report.TextOptions{Color: true})
	})
	same(t, strings.ReplaceAll(got, "\x1b", "ESC"), `
ESC[1;31m✗ 1 error, the first: s00 is 0 too largeESC[0m

ESC[1;31merrorESC[0m x s00 is 0 too large   m.yaml:1
ESC[1;33mwarnESC[0m y s00 is 0 too large   m.yaml:1
ESC[36minfoESC[0m z s00 is 0 too large   m.yaml:1

0 services, 0 edges: 0 errors, 0 warnings, 0 notes
`)
	got = written(t, func(w io.Writer) error {
		return report.CheckText(w, g, report.Summary{}, nil, report.TextOptions{Color: true})
	})
	same(t, strings.ReplaceAll(got, "\x1b", "ESC"), `
ESC[1;32m✓ No errors and no warnings: 1 service comes up from a full stopESC[0m

0 services, 0 edges: 0 errors, 0 warnings, 0 notes
`)
}

func TestCheck_counts_what_a_baseline_and_waivers_took_away(t *testing.T) {
	g := compile(t, []depgraph.Service{{Name: "web"}})
	for _, c := range []struct {
		s    report.Summary
		want string
	}{
		{report.Summary{Services: 1}, "1 service, 0 edges: 0 errors, 0 warnings, 0 notes\n"},
		{report.Summary{Services: 2, Edges: 1, Errors: 1, Warns: 1, Info: 1}, "2 services, 1 edge: 1 error, 1 warning, 1 note\n"},
		{report.Summary{Services: 2, Known: 4}, "2 services, 0 edges: 0 errors, 0 warnings, 0 notes; 4 known from the baseline, 0 entries of it are stale\n"},
		{report.Summary{Stale: 2, Waived: 3}, "0 services, 0 edges: 0 errors, 0 warnings, 0 notes; 0 known from the baseline, 2 entries of it are stale; 3 waived\n"},
	} {
		text := written(t, func(w io.Writer) error { return report.CheckText(w, g, c.s, nil) })
		same(t, text, "✓ No errors and no warnings: 1 service comes up from a full stop\n\n"+c.want)
		md := written(t, func(w io.Writer) error { return report.CheckMarkdown(w, g, c.s, nil) })
		same(t, md, "### ✓ No errors and no warnings: 1 service comes up from a full stop\n\n"+c.want)
	}
}

func TestCheckMarkdown_folds_long_rules_and_cuts_longer_ones(t *testing.T) {
	g := compile(t, []depgraph.Service{{Name: "web"}})
	findings := append(sized(2, "few_rows", depgraph.Error), sized(6, "no_<b>_@team", depgraph.Warn)...)
	same(t, written(t, func(w io.Writer) error {
		return report.CheckMarkdown(w, g, report.Summarize(g, findings), findings)
	}), `
### ✗ 2 errors, the first: s00 is 0 too large

1 service, 0 edges: 2 errors, 6 warnings, 0 notes

**error few\_rows a-name (2)**

| finding | place | fix |
|---|---|---|
| s00 is 0 too large | m.yaml:1 | Make it smaller. |
| s01 is 1 too large | m.yaml:2 | Make it smaller. |

<details><summary>warn no_&lt;b&gt;_@&#8203;team a-name (6)</summary>

| finding | place | fix |
|---|---|---|
| s00 is 0 too large | m.yaml:1 | Make it smaller. |
| s01 is 1 too large | m.yaml:2 | Make it smaller. |
| s02 is 2 too large | m.yaml:3 | Make it smaller. |
| s03 is 3 too large | m.yaml:4 | Make it smaller. |
| s04 is 4 too large | m.yaml:5 | Make it smaller. |
| s05 is 5 too large | m.yaml:6 | Make it smaller. |

</details>
`)

	many := sized(203, "many", depgraph.Warn)
	text := written(t, func(w io.Writer) error { return report.CheckMarkdown(w, g, report.Summary{}, many) })
	if n := strings.Count(text, "| m.yaml:"); n != 200 || !strings.HasSuffix(text, "| and 3 more | | |\n\n</details>\n") {
		t.Errorf("%d rows, ending in\n%s", n, text[len(text)-100:])
	}
}

func TestJUnit_in_full(t *testing.T) {
	g, components := deadlocked(t)
	findings := []depgraph.Finding{
		{Rule: "DG001", Severity: depgraph.Error, Service: "consul", Message: "bootstrap <deadlock>", Component: &components[0], Fix: "soften it", At: depgraph.Position{File: "d.yaml", Line: 2}},
		{Rule: "DG019", Name: "actually-hard", Severity: depgraph.Error, Service: "web", Message: "drifted"},
		{Rule: "own&rule", Severity: depgraph.Info, Service: "web", Message: "a note\x00"},
	}
	got := written(t, func(w io.Writer) error { return report.JUnit(w, g, findings) })
	// The suites of rules that found nothing are all alike; one is enough.
	var short []string
	skip := 0
	for _, line := range strings.SplitAfter(got, "\n") {
		if strings.HasPrefix(line, ` <testsuite name="DG0`) && strings.Contains(line, `failures="0"`) && !strings.Contains(line, `"DG002"`) {
			skip = 3
		}
		if skip > 0 {
			skip--
			continue
		}
		short = append(short, line)
	}
	same(t, strings.Join(short, ""), `
<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="20" failures="2">
 <testsuite name="DG001" tests="1" failures="1">
  <testcase name="consul: bootstrap &lt;deadlock&gt;" classname="DG001">
   <failure message="bootstrap &lt;deadlock&gt;" type="error">d.yaml:2&#xA;consul needs vault (hard startup+runtime) d.yaml:2&#xA;vault needs consul (hard startup+runtime) d.yaml:4&#xA;fix: soften it&#xA;</failure>
  </testcase>
 </testsuite>
 <testsuite name="DG002" tests="1" failures="0">
  <testcase name="3 services" classname="DG002"></testcase>
 </testsuite>
 <testsuite name="DG019" tests="1" failures="1">
  <testcase name="web: drifted" classname="DG019">
   <failure message="drifted" type="error">&#xA;</failure>
  </testcase>
 </testsuite>
 <testsuite name="own&amp;rule" tests="1" failures="0">
  <testcase name="web: a note\u0000" classname="own&amp;rule">
   <system-out>&#xA;</system-out>
  </testcase>
 </testsuite>
</testsuites>
`)
}

func TestGitHub_commands_in_full(t *testing.T) {
	_, components := deadlocked(t)
	findings := []depgraph.Finding{
		{Rule: "DG001", Name: "bootstrap-deadlock", Severity: depgraph.Error, Message: "deadlock: 100 %", Component: &components[0], Fix: "soften it", At: depgraph.Position{File: "a,b:c.yaml", Line: 2}},
		{Rule: "DG009", Name: "no-owner", Severity: depgraph.Warn, Message: "web has no owner", At: depgraph.Position{File: "d.yaml"}},
		{Rule: "own", Severity: depgraph.Info, Message: "no place"},
	}
	same(t, written(t, func(w io.Writer) error { return report.GitHub(w, findings) }), `
::error file=a%2Cb%3Ac.yaml,line=2,title=DG001 bootstrap-deadlock::deadlock: 100 %25%0Aconsul needs vault (hard startup+runtime) d.yaml:2%0Avault needs consul (hard startup+runtime) d.yaml:4%0Afix: soften it
::warning file=d.yaml,title=DG009 no-owner::web has no owner
::notice title=own::no place
`)
}

func TestGitHub_says_what_GitHub_will_not_show(t *testing.T) {
	findings := append(append(sized(10, "x", depgraph.Error), sized(11, "y", depgraph.Warn)...), sized(30, "z", depgraph.Info)...)
	text := written(t, func(w io.Writer) error { return report.GitHub(w, findings) })
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 53 {
		t.Fatalf("%d lines", len(lines))
	}
	same(t, strings.Join(lines[51:], "\n"), "11 findings of severity warn; GitHub shows the first 10\n30 findings of severity info; GitHub shows the first 10")
	same(t, written(t, func(w io.Writer) error { return report.GitHub(w, nil) }), "")
}

func TestCyclesText_each_kind_in_full(t *testing.T) {
	g, components := deadlocked(t)
	same(t, written(t, func(w io.Writer) error { return report.CyclesText(w, g, components) }), `
bootstrap deadlock: 2 services wait for each other at startup  (component of 2, 2 edges)
 .-> consul   needs vault    hard startup+runtime   d.yaml:2
 `+"`"+`-- vault    needs consul   hard startup+runtime   d.yaml:4
 by hand: consul -> vault: start it with -dev
 fix: make 1 edge soft (proven minimum): vault -> consul   then a cold start is 2 waves, 5s

`)
	for _, c := range []struct {
		phase depgraph.Phase
		want  string
	}{
		{depgraph.Runtime, `
runtime cycle: 3 services need each other to serve  (component of 3, 3 edges)
 .-> s0   needs s1   hard runtime   r.yaml:1
 |   s1   needs s2   hard runtime   r.yaml:2
 ` + "`" + `-- s2   needs s0   hard runtime   r.yaml:3
 fix: make 1 edge soft (proven minimum): s2 -> s0

`},
		{depgraph.Deploy, `
deploy cycle: a fix to any of 3 services needs the others  (component of 3, 3 edges)
 .-> s0   needs s1   hard deploy   r.yaml:1
 |   s1   needs s2   hard deploy   r.yaml:2
 ` + "`" + `-- s2   needs s0   hard deploy   r.yaml:3
 fix: make 1 edge soft (proven minimum): s2 -> s0

`},
	} {
		g, component := ring(t, 3, c.phase)
		same(t, written(t, func(w io.Writer) error { return report.CyclesText(w, g, []depgraph.Component{*component}) }), c.want)
	}
	same(t, written(t, func(w io.Writer) error { return report.CyclesText(w, g, nil) }), "no cycles among 3 services and 3 edges\n")
}

func TestCyclesText_weak_soft_and_guessed(t *testing.T) {
	g := compiled(t, "w.yaml", `
{service: a, depends: [{on: b, order: weak}]}
---
{service: b, depends: [{on: a, order: weak}]}
---
{service: c, depends: [{on: d, soft: true}]}
---
{service: d, depends: [{on: c}]}
---
{service: e, depends: [{on: f, assumed: true, source: "compose.yaml:3; k8s.yaml:9"}]}
---
{service: f, depends: [{on: e, source: "helm:f"}]}
---
{service: p, depends: [{on: q, pinned: true}]}
---
{service: q, depends: [{on: p, pinned: true}]}
`)
	components, err := g.Cycles(t.Context(), depgraph.CyclesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range components {
		if components[i].Kind == depgraph.SoftCycle {
			components[i].CycleProven = false // as in a component that is too large
		}
	}
	same(t, written(t, func(w io.Writer) error { return report.CyclesText(w, g, components) }), `
bootstrap deadlock: 2 services wait for each other at startup, if 1 assumed edge is right  (component of 2, 2 edges)
 .-> e   needs f   hard startup+runtime (assumed)   w.yaml:10   from compose.yaml:3 …
 `+"`"+`-- f   needs e   hard startup+runtime             w.yaml:12   from helm:f
 fix: make 1 edge soft (proven minimum): f -> e

bootstrap deadlock: 2 services wait for each other at startup  (component of 2, 2 edges)
 .-> p   needs q   hard startup+runtime   w.yaml:14
 `+"`"+`-- q   needs p   hard startup+runtime   w.yaml:16
 fix: pinned edges form a cycle of their own: unpin one of them, or write a break-glass procedure

ordering cycle: 2 services are ordered in a circle  (component of 2, 2 edges)
 .-> a   needs b   weak startup   w.yaml:2
 `+"`"+`-- b   needs a   weak startup   w.yaml:4
 fix: a start does not keep a after b; remove the order that is wrong

soft cycle: 2 services, opened by what is soft  (component of 2, 2 edges)
 .-> c   needs d   soft startup+runtime   w.yaml:6
 `+"`"+`-- d   needs c   hard startup+runtime   w.yaml:8
 (the search was cut short; a shorter cycle may exist)

`)
}

// A rule of a policy has one name; a cycle without a fix has no line for it.
func TestCheckText_names_a_rule_once(t *testing.T) {
	g, components := deadlocked(t)
	findings := sized(2, "our-rule", depgraph.Warn)
	for i := range findings {
		findings[i].Name = "our-rule"
	}
	findings = append(findings, depgraph.Finding{Rule: "DG002", Severity: depgraph.Info, Message: "a cycle", Component: &components[0]})
	same(t, written(t, func(w io.Writer) error { return report.CheckText(w, g, report.Summary{}, findings) }), `
! No errors, 2 warnings, the first: s00 is 0 too large

warn our-rule: 2 findings
  s00 is 0 too large   m.yaml:1
  s01 is 1 too large   m.yaml:2
info DG002 a cycle  (component of 2, 2 edges)
 .-> consul   needs vault    hard startup+runtime   d.yaml:2
 `+"`"+`-- vault    needs consul   hard startup+runtime   d.yaml:4
 by hand: consul -> vault: start it with -dev

0 services, 0 edges: 0 errors, 0 warnings, 0 notes
`)
	same(t, written(t, func(w io.Writer) error { return report.GitHub(w, findings[:1]) }), "::warning file=m.yaml,line=1,title=our-rule::s00 is 0 too large%0Afix: Make it smaller.\n")
	text := written(t, func(w io.Writer) error { return report.CheckMarkdown(w, g, report.Summary{}, findings[:2]) })
	if !strings.Contains(text, "\n**warn our-rule (2)**\n") {
		t.Error(text)
	}
}

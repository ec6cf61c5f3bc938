package report

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// tables cuts a page of tables into its sections and takes the head away.
func tables(t *testing.T, page string) map[string]string {
	t.Helper()
	all := map[string]string{}
	parts := strings.Split(page, `<section id="`)
	for _, part := range parts[1:] {
		id, rest, _ := strings.Cut(part, `">`)
		body, _, _ := strings.Cut(rest, "</section>")
		all[id] = body
	}
	return all
}

// The page of a system that is too large to be drawn, on a small one.
func TestLargePage_in_full(t *testing.T) {
	g := parsed(t, `
{service: web, owner: shop, depends: [{on: db}, {on: cache, soft: true}, {on: "<b>bank</b>"}]}
---
{service: app, owner: shop, depends: [{on: db}, {on: web}]}
---
{service: db, owner: data, depends: [{on: disk}]}
---
{service: disk, owner: data, depends: [{on: db}]}
---
{service: cache, owner: data}
---
{service: "<b>bank</b>"}
`)
	findings := []depgraph.Finding{
		{Rule: "DG001", Name: "bootstrap-deadlock", Severity: depgraph.Error, Message: "a <deadlock>", At: depgraph.Position{File: "p.yaml", Line: 7}},
		{Rule: "DG009", Name: "no-owner", Severity: depgraph.Warn, Message: "<b>bank</b> has no owner"},
		{Rule: `x"><script>`, Name: `x"><script>`, Severity: depgraph.Info, Message: "one"},
		{Rule: `x"><script>`, Name: `x"><script>`, Severity: depgraph.Info, Message: "two"},
	}
	var b strings.Builder
	if err := largePage(t.Context(), &b, g, HTMLOptions{Title: "<all>\x1b", Date: "2026-01-02", Findings: findings}); err != nil {
		t.Fatal(err)
	}
	got := tables(t, b.String())
	want := map[string]string{
		"cycles": `
<h2>Cycles (1)</h2>
<table><thead><tr><th scope="col">kind</th><th scope="col">services</th><th scope="col">shortest way round</th><th scope="col">fix</th></tr></thead><tbody>
<tr><td>bootstrap-deadlock</td><td>2</td><td>db ⇄ disk</td><td>make 1 edge soft (proven minimum): disk -&gt; db</td></tr>
</tbody></table>
`,
		"order": `
<h2>Start order (4 waves, 4 services blocked)</h2>
<table><thead><tr><th scope="col">wave</th><th scope="col">services</th><th scope="col">among them</th></tr></thead><tbody>
<tr><td>1</td><td>3</td><td>&lt;b&gt;bank&lt;/b&gt;, cache, disk</td></tr>
<tr><td>2</td><td>1</td><td>db</td></tr>
<tr><td>3</td><td>1</td><td>web</td></tr>
<tr><td>4</td><td>1</td><td>app</td></tr>
</tbody></table>
`,
		"services": `
<h2>Takes most others down</h2>
<table><thead><tr><th scope="col">service</th><th scope="col">takes down</th><th scope="col">owner</th></tr></thead><tbody>
<tr><td>db</td><td>3</td><td>data</td></tr>
<tr><td>disk</td><td>3</td><td>data</td></tr>
<tr><td>&lt;b&gt;bank&lt;/b&gt;</td><td>2</td><td></td></tr>
<tr><td>web</td><td>1</td><td>shop</td></tr>
<tr><td>app</td><td>0</td><td>shop</td></tr>
<tr><td>cache</td><td>0</td><td>data</td></tr>
</tbody></table>
`,
		"groups": `
<h2>What leads from one owner to another</h2>
<table><thead><tr><th scope="col">from</th><th scope="col">services</th><th scope="col">to</th><th scope="col">services</th><th scope="col">hard</th><th scope="col">soft</th></tr></thead><tbody>
<tr><td>shop</td><td>2</td><td>data</td><td>3</td><td>2</td><td>1</td></tr>
<tr><td>shop</td><td>2</td><td>(none)</td><td>1</td><td>1</td><td>0</td></tr>
</tbody></table>
`,
		"findings": `
<h2>Findings (4)</h2>
<table><thead><tr><th scope="col">severity</th><th scope="col">rule</th><th scope="col">how many</th></tr></thead><tbody>
<tr><td>error</td><td>DG001 bootstrap-deadlock</td><td>1</td></tr>
<tr><td>warn</td><td>DG009 no-owner</td><td>1</td></tr>
<tr><td>info</td><td>x&#34;&gt;&lt;script&gt;</td><td>2</td></tr>
</tbody></table>
`,
		"rule-dg001": `
<h2>DG001 bootstrap-deadlock</h2>
<table><thead><tr><th scope="col">finding</th><th scope="col">place</th></tr></thead><tbody>
<tr><td>a &lt;deadlock&gt;</td><td>p.yaml:7</td></tr>
</tbody></table>
`,
		"rule-dg009": `
<h2>DG009 no-owner</h2>
<table><thead><tr><th scope="col">finding</th><th scope="col">place</th></tr></thead><tbody>
<tr><td>&lt;b&gt;bank&lt;/b&gt; has no owner</td><td></td></tr>
</tbody></table>
`,
		"rule-xscript": `
<h2>x&#34;&gt;&lt;script&gt;</h2>
<table><thead><tr><th scope="col">finding</th><th scope="col">place</th></tr></thead><tbody>
<tr><td>one</td><td></td></tr>
<tr><td>two</td><td></td></tr>
</tbody></table>
`,
	}
	for id, text := range want {
		if got[id] != strings.TrimPrefix(text, "\n") {
			t.Errorf("%s:\n%s", id, got[id])
		}
		delete(got, id)
	}
	if len(got) > 0 {
		t.Errorf("there is more: %v", got)
	}
	head, _, _ := strings.Cut(b.String(), "<main>")
	_, head, _ = strings.Cut(head, "<header>")
	if want := `<h1>&lt;all&gt;\u001b</h1><p id="about">2026-01-02</p><p id="verdict">✗ 1 error, the first: a &lt;deadlock&gt;</p><p id="summary">6 services, 7 edges, 4 waves. ` +
		"Above 5000 services there is no drawing: these are groups and tables. Export a part of the graph, or one team's manifests, to see it drawn.</p></header>\n"; head != want {
		t.Errorf("the head is\n%s", head)
	}
	if strings.Contains(b.String(), "<script") || strings.Contains(b.String(), "<b>") {
		t.Error("a name became markup")
	}
}

// A page that was made without a check does not read like one of a sound system.
func TestHTML_without_a_check_says_so(t *testing.T) {
	g := graphOf(t, depgraph.Service{Name: "a"})
	for name, write := range map[string]func(io.Writer, HTMLOptions) error{
		"drawn": func(w io.Writer, o HTMLOptions) error { return HTML(t.Context(), w, g, o) },
		"large": func(w io.Writer, o HTMLOptions) error { return largePage(t.Context(), w, g, o) },
	} {
		found, err := g.Check(t.Context(), depgraph.CheckOptions{Only: []string{"DG001"}})
		if err != nil {
			t.Fatal(err)
		}
		left, _, _ := depgraph.NewBaseline(nil).Filter(found)
		for want, o := range map[string]HTMLOptions{
			"Not checked: the rules were not run for this page":                    {},
			"✓ No errors and no warnings: 1 service comes up from a full stop":     {Findings: found},
			"✓ No errors and no warnings: 1 service comes up from a full stop</p>": {Findings: left},
		} {
			var b strings.Builder
			if err := write(&b, o); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), `<p id="verdict">`+want) {
				t.Errorf("%s: no %q", name, want)
			}
			if checked := o.Findings != nil; strings.Contains(b.String(), `"checked":true`) != checked && name == "drawn" {
				t.Errorf("%s: the script is told the contrary of %v", name, checked)
			}
			if section := tables(t, b.String())["findings"]; name == "large" && strings.Contains(section, "Not checked") != (o.Findings == nil) {
				t.Errorf("%s: %q", name, section)
			}
		}
	}
}

func TestLargePage_groups_by_kind_if_nobody_says_owners(t *testing.T) {
	g := graphOf(t, depgraph.Service{Name: "a", Kind: depgraph.App, Depends: []depgraph.Dependency{{On: "b"}, {On: "c", Soft: true}}}, depgraph.Service{Name: "b", Kind: depgraph.Datastore}, depgraph.Service{Name: "c"})
	var b strings.Builder
	if err := largePage(t.Context(), &b, g, HTMLOptions{}); err != nil {
		t.Fatal(err)
	}
	want := `<h2>What leads from one kind to another</h2>
<table><thead><tr><th scope="col">from</th><th scope="col">services</th><th scope="col">to</th><th scope="col">services</th><th scope="col">hard</th><th scope="col">soft</th></tr></thead><tbody>
<tr><td>app</td><td>1</td><td>datastore</td><td>1</td><td>1</td><td>0</td></tr>
<tr><td>app</td><td>1</td><td>(none)</td><td>1</td><td>0</td><td>1</td></tr>
</tbody></table>
`
	if got := tables(t, b.String())["groups"]; got != want {
		t.Errorf("%s", got)
	}
}

func TestHTML_draws_up_to_5000_services(t *testing.T) {
	services := make([]depgraph.Service, MaxPageServices+1)
	for i := range services {
		services[i].Name = fmt.Sprintf("s%04d", i)
	}
	for n, drawn := range map[int]bool{MaxPageServices: true, MaxPageServices + 1: false} {
		var b strings.Builder
		if err := HTML(t.Context(), &b, graphOf(t, services[:n]...), HTMLOptions{}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), `id="data"`) != drawn || strings.Contains(b.String(), "there is no drawing") == drawn {
			t.Errorf("%d services: drawn is not %v", n, drawn)
		}
		if !drawn && (strings.Count(b.String(), "<tr><td>s") != maxLargeRows || !strings.Contains(b.String(), `<p class="dim">and 4801 more</p>`)) {
			t.Errorf("%d rows of services", strings.Count(b.String(), "<tr><td>s"))
		}
	}
}

func TestRows_are_cut_and_counted(t *testing.T) {
	for _, c := range []struct {
		total, limit int
		want         string
	}{
		{0, 2, ""},
		{2, 2, "<tr><td>0</td></tr>\n<tr><td>1</td></tr>\n"},
		{3, 2, "<tr><td>0</td></tr>\n<tr><td>1</td></tr>\n"},
	} {
		var b strings.Builder
		p := newPrinter(&b)
		p.rows("x", "a & b", []string{"n"}, c.total, c.limit, func(i int) []string { return []string{itoa(i)} })
		if err := p.w.Flush(); err != nil {
			t.Fatal(err)
		}
		more := ""
		if c.total > c.limit {
			more = fmt.Sprintf("<p class=\"dim\">and %d more</p>\n", c.total-c.limit)
		}
		want := "<section id=\"x\"><h2>a &amp; b</h2>\n<table><thead><tr><th scope=\"col\">n</th></tr></thead><tbody>\n" + c.want + "</tbody></table>\n" + more + "</section>\n"
		if b.String() != want {
			t.Errorf("%d rows, limit %d:\n%s", c.total, c.limit, b.String())
		}
	}
}

// An identifier occurs once on a page, also if a rule has findings of two
// severities, or if two rules have names that cssWord makes equal.
func TestLargePage_identifiers_are_unique(t *testing.T) {
	var findings []depgraph.Finding
	for i, rule := range []string{"DG015", "DG015", "my rule", "my-rule", "myrule", "###", "***"} {
		findings = append(findings, depgraph.Finding{Rule: rule, Severity: depgraph.Severity(1 + i%2), Message: "m"})
	}
	var b strings.Builder
	if err := largePage(t.Context(), &b, graphOf(t, depgraph.Service{Name: "a"}), HTMLOptions{Findings: findings}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, part := range strings.Split(b.String(), ` id="`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		ids = append(ids, id)
	}
	want := "verdict summary cycles order services groups findings rule-dg015 rule-dg015-2 rule-myrule rule-my-rule rule-myrule-2 rule- rule--2"
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

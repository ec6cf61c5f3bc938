package report_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// kinds is a graph with every kind of service and of edge.
const kinds = `
{service: app, kind: app, owner: team-a, criticality: high, depends: [
  {on: db}, {on: queue, soft: true}, {on: cloud, phase: runtime, plane: control}, {on: watch, order: weak}, {any-of: [ext, node], need: 1}]}
---
{service: db, kind: datastore}
---
{service: queue, kind: queue}
---
{service: cloud, kind: cloud}
---
{service: ext, kind: external}
---
{service: watch, kind: observer}
---
{service: node, kind: infra, depends: [{on: loop}]}
---
{service: loop, depends: [{on: node}]}
`

func TestDOT_every_kind_in_full(t *testing.T) {
	g := compiled(t, "k.yaml", kinds)
	same(t, written(t, func(w io.Writer) error { return report.DOT(w, g) }), `
digraph depgraph {
  rankdir=RL;
  node [shape=box, style=rounded, fontname="sans-serif"];
  "app" [tooltip="k.yaml:2"];
  "cloud" [tooltip="k.yaml:9", shape=ellipse];
  "db" [tooltip="k.yaml:5", shape=cylinder];
  "ext" [tooltip="k.yaml:11", shape=ellipse];
  "loop" [tooltip="k.yaml:17"];
  "node" [tooltip="k.yaml:15"];
  "queue" [tooltip="k.yaml:7", shape=cds];
  "watch" [tooltip="k.yaml:13", shape=note];
  { rank=same; /* wave 1 */ "cloud"; "db"; "ext"; "queue"; "watch"; }
  { rank=same; /* wave 2 */ "app"; }
  "loop" [color="#d55e00", penwidth=2];
  "node" [color="#d55e00", penwidth=2];
  "app" -> "cloud" [style=solid, tooltip="hard runtime control k.yaml:3"];
  "app" -> "db" [style=solid, tooltip="hard startup+runtime k.yaml:3"];
  "app" -> "ext" [style=solid, tooltip="any 1 of 2 startup+runtime k.yaml:3"];
  "app" -> "node" [style=solid, tooltip="any 1 of 2 startup+runtime k.yaml:3"];
  "app" -> "queue" [style=dashed, tooltip="soft startup+runtime k.yaml:3"];
  "app" -> "watch" [style=dashed, tooltip="weak startup k.yaml:3"];
  "loop" -> "node" [style=solid, tooltip="hard startup+runtime k.yaml:17"];
  "node" -> "loop" [style=solid, tooltip="hard startup+runtime k.yaml:15"];
}
`)
}

func TestMermaid_every_kind_in_full(t *testing.T) {
	g := compiled(t, "k.yaml", kinds)
	same(t, written(t, func(w io.Writer) error { return report.Mermaid(w, g) }), `
flowchart RL
  n0["app"]
  n1["cloud"]
  n2["db"]
  n3["ext"]
  n4["loop"]
  n5["node"]
  n6["queue"]
  n7["watch"]
  n0 --> n1
  n0 --> n2
  n0 --> n3
  n0 --> n5
  n0 -.-> n6
  n0 -.-> n7
  n4 --> n5
  n5 --> n4
  classDef blocked stroke:#d55e00,stroke-width:3px
  class n4 blocked
  class n5 blocked
`)
}

func TestCSV_every_kind_in_full(t *testing.T) {
	g := compiled(t, "k.yaml", kinds)
	same(t, written(t, func(w io.Writer) error { return report.CSV(w, g) }), `
from,to,strength,phase,plane,evidence,owner,criticality,file,line
app,cloud,hard,runtime,control,,team-a,high,k.yaml,3
app,db,hard,startup+runtime,data,,team-a,high,k.yaml,3
app,ext,any 1 of 2,startup+runtime,data,,team-a,high,k.yaml,3
app,node,any 1 of 2,startup+runtime,data,,team-a,high,k.yaml,3
app,queue,soft,startup+runtime,data,,team-a,high,k.yaml,3
app,watch,weak,startup,data,,team-a,high,k.yaml,3
cloud,,,,,,,,k.yaml,9
db,,,,,,,,k.yaml,5
ext,,,,,,,,k.yaml,11
loop,node,hard,startup+runtime,data,,,,k.yaml,17
node,loop,hard,startup+runtime,data,,,,k.yaml,15
queue,,,,,,,,k.yaml,7
watch,,,,,,,,k.yaml,13
`)
}

func TestCSV_no_cell_is_a_formula(t *testing.T) {
	var services []depgraph.Service
	for _, n := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", `a"b,c`, " =1", "a=1"} {
		services = append(services, depgraph.Service{Name: n, Owner: n, At: depgraph.Position{File: n, Line: 1}})
	}
	same(t, written(t, func(w io.Writer) error { return report.CSV(w, compile(t, services)) }),
		"from,to,strength,phase,plane,evidence,owner,criticality,file,line\n"+
			"'\t=1,,,,,,'\t=1,,'\t=1,1\n"+
			"\"'\n=1\",,,,,,\"'\n=1\",,\"'\n=1\",1\n"+
			"\"'\r=1\",,,,,,\"'\r=1\",,\"'\r=1\",1\n"+
			"\" =1\",,,,,,\" =1\",,\" =1\",1\n"+
			"'+1,,,,,,'+1,,'+1,1\n"+
			"'-1,,,,,,'-1,,'-1,1\n"+
			"'=1+1,,,,,,'=1+1,,'=1+1,1\n"+
			"'@SUM(A1),,,,,,'@SUM(A1),,'@SUM(A1),1\n"+
			"\"a\"\"b,c\",,,,,,\"a\"\"b,c\",,\"a\"\"b,c\",1\n"+
			"a=1,,,,,,a=1,,a=1,1\n")
}

func TestMarkdown_cycles_waves_and_groups_in_full(t *testing.T) {
	g := compiled(t, "k.yaml", kinds)
	same(t, written(t, func(w io.Writer) error { return report.Markdown(t.Context(), w, g) }), `
# Dependencies

8 services, 8 dependencies.

## Cycles

- **bootstrap-deadlock** of 2 services: loop → node → loop; make 1 edge soft \(proven minimum\): node -&gt; loop

## Start order

1. cloud, db, ext, node, queue, watch
2. app, loop

Blocked: loop, node; the order above works only if node does not wait for loop

## Services

| service | owner | kind | criticality | hard | soft |
|---|---|---|---|---|---|
| app | team-a | app | high | cloud, db, 1 of ext or node | queue, watch |
| cloud |  | cloud |  |  |  |
| db |  | datastore |  |  |  |
| ext |  | external |  |  |  |
| loop |  |  |  | node |  |
| node |  | infra |  | loop |  |
| queue |  | queue |  |  |  |
| watch |  | observer |  |  |  |
`)
	g = compiled(t, "c.yaml", `
{service: a, start: 90s, depends: [{on: b}]}
---
{service: b, start: 400ms, depends: [{on: c, pinned: true}]}
---
{service: c, depends: [{on: b}, {on: d}]}
---
{service: d, depends: [{on: c}]}
`)
	same(t, written(t, func(w io.Writer) error { return report.Markdown(t.Context(), w, g) }), `
# Dependencies

4 services, 5 dependencies.

## Cycles

- **bootstrap-deadlock** of 3 services: b → c → b; make 2 edges soft \(proven minimum\): c -&gt; b, d -&gt; c

## Start order

1. d
2. c
3. b
4. a

Blocked: a, b, c, d; the order above works only if c does not wait for b and d does not wait for c

Critical path, 1m30s: d, c, b, a

## Services

| service | owner | kind | criticality | hard | soft |
|---|---|---|---|---|---|
| a |  |  |  | b |  |
| b |  |  |  | c |  |
| c |  |  |  | b, d |  |
| d |  |  |  | c |  |
`)
}

func TestMarkdown_counts_one_in_the_singular(t *testing.T) {
	g := compile(t, []depgraph.Service{{Name: "only"}})
	if text := written(t, func(w io.Writer) error { return report.Markdown(t.Context(), w, g) }); !strings.Contains(text, "\n1 service, 0 dependencies.\n") {
		t.Error(text)
	}
	if text := written(t, func(w io.Writer) error { return report.JUnit(w, g, nil) }); strings.Contains(text, "1 services") || !strings.Contains(text, `<testcase name="1 service" classname="DG001">`) {
		t.Error(text)
	}
}

// chain is n services, each of which needs the one before. label sets the rest.
func chain(t *testing.T, n int, label func(i int, s *depgraph.Service)) *depgraph.Graph {
	t.Helper()
	services := make([]depgraph.Service, n)
	for i := range services {
		services[i].Name = fmt.Sprintf("s%04d", i)
		if i > 0 {
			services[i].Depends = []depgraph.Dependency{{On: fmt.Sprintf("s%04d", i-1)}}
		}
		label(i, &services[i])
	}
	return compile(t, services)
}

func TestMermaid_at_its_limit(t *testing.T) {
	for edges, collapsed := range map[int]bool{report.MaxMermaidEdges: false, report.MaxMermaidEdges + 1: true} {
		g := chain(t, edges+1, func(int, *depgraph.Service) {})
		if text := written(t, func(w io.Writer) error { return report.Mermaid(w, g) }); strings.Contains(text, "collapsed") != collapsed {
			t.Errorf("%d edges: %.200s", edges, text)
		}
	}
}

// The edges of a collapsed graph are merged phase by phase, and an arrow does not
// say phases: of those that look the same one is drawn.
func TestMermaid_draws_no_arrow_twice(t *testing.T) {
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "web", Owner: "front", Depends: []depgraph.Dependency{{On: "db"}, {On: "log", Phase: depgraph.Startup}, {On: "log", Phase: depgraph.Runtime, Soft: true}}},
		{Name: "db", Owner: "store"},
		{Name: "log", Owner: "ops"},
	}, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if g, err = g.Collapse(depgraph.ByOwner); err != nil {
		t.Fatal(err)
	}
	same(t, written(t, func(w io.Writer) error { return report.Mermaid(w, g) }), `
flowchart RL
  n0["front"]
  n1["ops"]
  n2["store"]
  n0 --> n1
  n0 -.-> n1
  n0 --> n2
`)
}

func TestMermaid_collapsed_by_kind_if_nobody_says_owners(t *testing.T) {
	g := chain(t, 601, func(i int, s *depgraph.Service) {
		if i%3 > 0 {
			s.Kind = depgraph.Kind(i % 3)
		}
	})
	same(t, written(t, func(w io.Writer) error { return report.Mermaid(w, g) }), `
flowchart RL
  %% 601 services with 600 edges, collapsed by kind
  n0["(no kind) (201)"]
  n1["app (200)"]
  n2["cloud (200)"]
  n0 -->|200| n2
  n1 -->|200| n0
  n2 -->|200| n1
`)
}

func TestMermaid_collapsed_shows_the_heaviest_edges(t *testing.T) {
	g := chain(t, 1300, func(i int, s *depgraph.Service) {
		s.Owner = fmt.Sprintf("team-%03d", i/2)
		if i >= 1290 {
			s.Owner = []string{"\"]x", ""}[i%2] // the pair that occurs most
		}
	})
	text := written(t, func(w io.Writer) error { return report.Mermaid(w, g) })
	lines := strings.Split(text, "\n")
	same(t, strings.Join(lines[:7], "\n"), `
flowchart RL
  %% 1300 services with 1299 edges, collapsed by owner
  %% 500 of 647 edges are shown, those that stand for most
  n0["#34;#93;x (5)"]
  n1["(no owner) (5)"]
  n2["team-000 (2)"]
  n3["team-001 (2)"]`)
	if n := strings.Count(text, "-->"); n != report.MaxMermaidEdges {
		t.Errorf("%d arrows", n)
	}
	for _, want := range []string{"  n0[\"#34;#93;x (5)\"]\n", "  n1[\"(no owner) (5)\"]\n", "\n  n1 -->|5| n0\n  n0 -->|4| n1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%.3000s", want, text)
		}
	}
}

func TestSVG_in_full(t *testing.T) {
	g := compiled(t, "s.yaml", `
{service: "a <b> service of a very long name", depends: [{on: db}, {on: loop, soft: true}]}
---
{service: db}
---
{service: loop, depends: [{on: pool}]}
---
{service: pool, depends: [{on: loop}]}
`)
	same(t, written(t, func(w io.Writer) error { return report.SVG(t.Context(), w, g) }), `
<svg xmlns="http://www.w3.org/2000/svg" width="776" height="184" viewBox="0 0 776 184" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>
<text x="124" y="32" fill="#555" text-anchor="middle">wave 1</text>
<text x="388" y="32" fill="#555" text-anchor="middle">wave 2</text>
<text x="652" y="32" fill="#555" text-anchor="middle">wave 3</text>
<path d="M568.0 97.0C520.0 97.0 520.0 75.5 472.0 75.5L304.0 75.5C256.0 75.5 256.0 77.0 208.0 77.0" fill="none" stroke="#777" marker-end="url(#a)"><title>a &lt;b&gt; service of a very long name needs db: hard startup+runtime</title></path>
<path d="M568.0 97.0C520.0 97.0 520.0 97.0 472.0 97.0" fill="none" stroke="#777" stroke-dasharray="5 4" marker-end="url(#a)"><title>a &lt;b&gt; service of a very long name needs loop: soft startup+runtime</title></path>
<path d="M304.0 97.0C256.0 97.0 256.0 117.0 208.0 117.0" fill="none" stroke="#777" marker-end="url(#a)"><title>loop needs pool: hard startup+runtime</title></path>
<path d="M208.0 117.0C256.0 117.0 256.0 97.0 304.0 97.0" fill="none" stroke="#777" marker-end="url(#a)"><title>pool needs loop: hard startup+runtime</title></path>
<g><title>a &lt;b&gt; service of a very long name</title><rect x="568.0" y="84.0" width="168" height="26" rx="5" fill="#fff" stroke="#0072b2" stroke-width="1"/><text x="652.0" y="101.0" text-anchor="middle">a &lt;b&gt; service …long name</text></g>
<g><title>db</title><rect x="40.0" y="64.0" width="168" height="26" rx="5" fill="#fff" stroke="#0072b2" stroke-width="1"/><text x="124.0" y="81.0" text-anchor="middle">db</text></g>
<g><title>loop</title><rect x="304.0" y="84.0" width="168" height="26" rx="5" fill="#fff" stroke="#d55e00" stroke-width="2"/><text x="388.0" y="101.0" text-anchor="middle">loop</text></g>
<g><title>pool</title><rect x="40.0" y="104.0" width="168" height="26" rx="5" fill="#fff" stroke="#d55e00" stroke-width="2"/><text x="124.0" y="121.0" text-anchor="middle">pool</text></g>
</svg>
`)
}

func TestSVG_of_nothing(t *testing.T) {
	same(t, written(t, func(w io.Writer) error { return report.SVG(t.Context(), w, compile(t, nil)) }), `
<svg xmlns="http://www.w3.org/2000/svg" width="80" height="104" viewBox="0 0 80 104" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>
</svg>
`)
}

// Mermaid also refuses a diagram of more than 50,000 characters, which long
// names or many services without edges make.
func TestMermaid_collapses_what_is_too_long(t *testing.T) {
	for _, c := range []struct {
		what      string
		services  int
		name      string
		collapsed bool
	}{
		{"few", 10, "s", false},
		{"many without edges", 2000, "a-service-without-edges", true},
		{"few with long names", 60, strings.Repeat("x", 900), true},
		{"few with names that are long once escaped", 60, strings.Repeat("\u00fc", 200), true},
		{"just short enough", 50, strings.Repeat("x", 900), false},
	} {
		var services []depgraph.Service
		for i := range c.services {
			services = append(services, depgraph.Service{Name: fmt.Sprintf("%s-%d", c.name, i), Kind: depgraph.App})
		}
		text := written(t, func(w io.Writer) error { return report.Mermaid(w, compile(t, services)) })
		if collapsed := strings.Contains(text, "collapsed by kind"); collapsed != c.collapsed || len(text) > 50_000 {
			t.Errorf("%s: %d bytes, collapsed %v", c.what, len(text), collapsed)
		}
	}
}

// However many owners there are, and however long their names, the diagram is one that
// Mermaid draws, and says what it leaves out.
func TestMermaid_of_more_owners_than_there_is_room_for(t *testing.T) {
	for _, c := range []struct {
		services int
		owner    func(i int) string
		head     string // the comments
		last     string // the last owner that is drawn, by name
	}{
		{
			1201, func(i int) string { return fmt.Sprintf("t%d", i) },
			"  %% 1201 services with 1200 edges, collapsed by owner\n  %% 500 of 1200 edges are shown, those that stand for most\n", "t999 (1)",
		},
		{
			1201, func(i int) string { return fmt.Sprintf("%04d %s", i, strings.Repeat("n", 40)) },
			"  %% 1201 services with 1200 edges, collapsed by owner\n  %% 677 of 1201 owners are shown, those with the most edges\n  %% 500 of 1200 edges are shown, those that stand for most\n", "0677 " + strings.Repeat("n", 40) + " (1)",
		},
		{
			601, func(i int) string { return fmt.Sprintf("%c%s", 'a'+i%2, strings.Repeat("n", 60_000*(i%2))) },
			"  %% 601 services with 600 edges, collapsed by owner\n  %% 1 of 2 owners are shown, those with the most edges\n  %% 0 of 2 edges are shown, those that stand for most\n", "a (301)",
		},
		{
			601, func(i int) string { return strings.Repeat("n", 60_000) + fmt.Sprint(i%2) },
			"  %% 601 services with 600 edges, collapsed by owner\n  %% 0 of 2 owners are shown, those with the most edges\n  %% 0 of 2 edges are shown, those that stand for most\n", "",
		},
	} {
		g := chain(t, c.services, func(i int, s *depgraph.Service) { s.Owner = c.owner(i) })
		text := written(t, func(w io.Writer) error { return report.Mermaid(w, g) })
		head, rest, _ := strings.Cut(strings.TrimPrefix(text, "flowchart RL\n"), "  n0[")
		if head != c.head || len(text) > 50_000 {
			t.Errorf("%d bytes, and the head is\n%s\nwant\n%s", len(text), head, c.head)
		}
		last := ""
		for line := range strings.Lines("  n0[" + rest) {
			if label, ok := strings.CutSuffix(line, "\"]\n"); ok {
				_, last, _ = strings.Cut(label, "[\"")
			}
		}
		if last != c.last {
			t.Errorf("the last owner is %.80s, want %.80s", last, c.last)
		}
	}
}

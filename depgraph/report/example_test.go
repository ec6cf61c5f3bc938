package report_test

import (
	"context"
	"fmt"
	"os"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// shop is a system in which two services wait for each other, which nobody
// notices until everything is down.
func shop() *depgraph.Graph {
	services, err := depgraph.ParseManifest("shop.yaml", []byte(`
{service: web, owner: team-web, start: 20s, depends: [{on: login}, {on: ads, soft: true}]}
---
{service: login, owner: team-id, start: 5s, verify: curl -f login/health, depends: [{on: config}]}
---
{service: config, owner: team-id, start: 10s, depends: [{on: login, phase: startup}]}
---
{service: ads, owner: team-ads}
`))
	if err != nil {
		panic(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	return g
}

// A check for a log: the verdict first, then each finding with its place.
func ExampleCheckText() {
	g := shop()
	findings, err := g.Check(context.Background(), depgraph.CheckOptions{Only: []string{"DG001", "DG012"}})
	if err != nil {
		panic(err)
	}
	if err := report.CheckText(os.Stdout, g, report.Summarize(g, findings), findings); err != nil {
		panic(err)
	}
	// Output:
	// ✗ A full stop never comes back: 3 of 4 services wait for config ⇄ login
	//
	// error DG001 bootstrap deadlock: 2 services wait for each other at startup  (component of 2, 2 edges)
	//  .-> config   needs login    hard startup           shop.yaml:6
	//  `-- login    needs config   hard startup+runtime   shop.yaml:4
	//  fix: make 1 edge soft (proven minimum): config -> login   then a cold start is 3 waves, 35s
	// info DG012 web says it fails open without ads; there is no evidence   shop.yaml:2
	//
	// 4 services, 4 edges: 1 error, 0 warnings, 1 note
}

// What goes down with one service, for the person who is paged.
func ExampleBlastText() {
	blast, err := shop().Blast(depgraph.BlastOptions{}, "config")
	if err != nil {
		panic(err)
	}
	if err := report.BlastText(os.Stdout, blast); err != nil {
		panic(err)
	}
	// Output:
	// if config fails:
	//   down                2  login, web
	//   degraded            0
	//   redundancy lost     0
	//   cannot restart      0
}

// A runbook for a black start: people have to get past the deadlock by hand.
func ExampleNewRunbook() {
	book, err := report.NewRunbook(context.Background(), shop(), report.RunbookOptions{Title: "of the shop"})
	if err != nil {
		panic(err)
	}
	if err := book.Markdown(os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// # Black start of the shop
	//
	// Generated from the manifests by depgraph; change those, not this.
	//
	// Everything is down. Start a wave, verify each service of it, then start the next wave.
	//
	// 4 services in 3 waves, about 35s; the longest chain is config → login → web.
	//
	// ## Get past by hand
	//
	// The waves below work only if these services start without waiting:
	//
	// - [ ] **config without login**: the manifests do not say how; try a cached copy, a static configuration, or a flag that skips the check; declared at shop.yaml:6
	//
	// ## Wave 1
	//
	// Begins after 0s; all of it is expected to be ready after 10s.
	//
	// - [ ] **ads**: owner team-ads
	// - [ ] **config**: owner team-id, ready after 10s
	//
	// ## Wave 2
	//
	// Begins after 10s; all of it is expected to be ready after 15s.
	//
	// - [ ] **login**: owner team-id, ready after 5s; waits for config
	//   - verify: `curl -f login/health`
	//
	// ## Wave 3
	//
	// Begins after 15s; all of it is expected to be ready after 35s.
	//
	// - [ ] **web**: owner team-web, ready after 20s; waits for login
	//
	// ## Who to call
	//
	// - **team-ads**: ads
	// - **team-id**: config, login
	// - **team-web**: web
	//
	// ## What this runbook lacks
	//
	// Add it to the manifests now; at night it is too late.
	//
	// - **no start duration**: ads
	// - **no verify step**: ads, config, web
}

// A diagram for a page of documentation.
func ExampleMermaid() {
	if err := report.Mermaid(os.Stdout, shop()); err != nil {
		panic(err)
	}
	// Output:
	// flowchart RL
	//   n0["ads"]
	//   n1["config"]
	//   n2["login"]
	//   n3["web"]
	//   n1 --> n2
	//   n2 --> n1
	//   n3 -.-> n0
	//   n3 --> n2
	//   classDef blocked stroke:#d55e00,stroke-width:3px
	//   class n1 blocked
	//   class n2 blocked
	//   class n3 blocked
}

// One sentence about a change, as the title of a comment.
func ExampleDiffVerdict() {
	before, err := depgraph.Compile([]depgraph.Service{{Name: "login"}, {Name: "config"}, {Name: "ads"}, {Name: "web"}}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	d, err := depgraph.Compare(context.Background(), before, shop(), depgraph.DiffOptions{})
	if err != nil {
		panic(err)
	}
	fmt.Println(report.DiffVerdict(d))
	// Output:
	// ✗ After this change a full stop never comes back: config ⇄ login
}

// Percent has as many nines as there are.
func ExamplePercent() {
	fmt.Println(report.Percent(0.99), report.Percent(0.9995), report.Percent(0.9999999))
	// Output:
	// 99% 99.95% 99.99999%
}

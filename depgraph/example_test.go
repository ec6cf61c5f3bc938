package depgraph_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/dominikbraun/graph"
	"github.com/failopen/failopen/depgraph"
)

const shop = `
service: checkout
owner: team-pay
availability: {target: 99.9, own: 99.95}
start: 4s
depends:
  - on: ledger
  - on: recommendations
    soft: true
  - any-of: [card-a, card-b]
    phase: [runtime]
---
{service: ledger, owner: team-pay, start: 20s, availability: {own: 99.99}}
---
{service: recommendations, owner: team-find, start: 9s}
---
{service: card-a, owner: team-pay, kind: external, availability: {own: 99.5}}
---
{service: card-b, owner: team-pay, kind: external, availability: {own: 99.5}}
`

func load(text string) *depgraph.Graph {
	services, err := depgraph.ParseManifest("depgraph.yaml", []byte(text))
	if err != nil {
		log.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return g
}

// What a team declares, and what it can ask.
func Example() {
	g, err := depgraph.Compile([]depgraph.Service{
		depgraph.Declare(depgraph.Service{Name: "checkout", Depends: []depgraph.Dependency{
			depgraph.Hard("ledger"),
			depgraph.Soft("recommendations"),
		}}),
		depgraph.Declare(depgraph.Service{Name: "ledger"}),
		depgraph.Declare(depgraph.Service{Name: "recommendations", Depends: []depgraph.Dependency{depgraph.Hard("ledger")}}),
	}, depgraph.Options{})
	if err != nil {
		log.Fatal(err)
	}
	waves, _ := g.Waves()
	fmt.Println("start:", waves)
	for _, lost := range []string{"ledger", "recommendations"} {
		blast, err := g.Blast(depgraph.BlastOptions{}, lost)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("without %s: down %v, degraded %v\n", lost, blast.Down, blast.Degraded)
	}
	// Output:
	// start: [[ledger] [recommendations] [checkout]]
	// without ledger: down [checkout recommendations], degraded []
	// without recommendations: down [], degraded [checkout]
}

func ExampleGraph_Cycles() {
	g := load(`
service: consul
depends: [{on: nomad}]
---
service: nomad
depends: [{on: vault}]
---
service: vault
depends: [{on: consul, phase: startup}]
`)
	components, err := g.Cycles(context.Background(), depgraph.CyclesOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range components {
		fmt.Println(c.Kind, c.Services)
		for _, e := range c.Cycle {
			fmt.Println(" ", e.From, "needs", e.To, "at", e.At)
		}
		fmt.Println(" ", c.FixText())
	}
	// Output:
	// bootstrap-deadlock [consul nomad vault]
	//   consul needs nomad at depgraph.yaml:3
	//   nomad needs vault at depgraph.yaml:6
	//   vault needs consul at depgraph.yaml:9
	//   make 1 edge soft (proven minimum): vault -> consul
}

func ExampleGraph_Order() {
	o, err := load(shop).Order(context.Background(), depgraph.OrderOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for i, wave := range o.Waves {
		fmt.Println(i+1, strings.Join(wave, " "))
	}
	fmt.Println("critical path:", o.Critical, o.Total)
	// Output:
	// 1 card-a card-b ledger recommendations
	// 2 checkout
	// critical path: [ledger checkout] 24s
}

func ExampleGraph_Availability() {
	a, err := load(shop).Availability(context.Background(), "checkout", depgraph.AvailOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f%%, exact: %v, target kept: %v\n", 100*a.Availability, a.Exact, a.Availability >= a.Target)
	for _, i := range a.Importance[:2] {
		fmt.Printf("%s costs %.0f minutes a year\n", i.Service, i.MinutesPerYear)
	}
	// Output:
	// 99.9375%, exact: true, target kept: true
	// checkout costs 263 minutes a year
	// ledger costs 53 minutes a year
}

func ExampleGraph_Check() {
	findings, err := load(shop).Check(context.Background(), depgraph.CheckOptions{Skip: []string{"DG009"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range findings {
		fmt.Println(f.Severity, f.Rule, f.Message, f.At)
	}
	// Output:
	// info DG012 checkout says it fails open without recommendations; there is no evidence depgraph.yaml:8
}

// Every algorithm of the library works on the view.
func ExampleGraph_View() {
	path, err := graph.ShortestPath(load(shop).View(), "checkout", "ledger")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(path)
	// Output:
	// [checkout ledger]
}

// The same declaration as in a manifest, with the line of the call as place.
func ExampleDeclare() {
	checkout := depgraph.Declare(depgraph.Service{
		Name: "checkout", Owner: "team-pay",
		Depends: []depgraph.Dependency{
			depgraph.Hard("ledger"),
			depgraph.Soft("sessions", depgraph.Runtime).ProvedBy("drill/iam-revoked@2026-11-20"),
			depgraph.AnyOf(1, "card-a", "card-b").In(depgraph.Runtime),
		},
	})
	if err := depgraph.WriteManifest(os.Stdout, checkout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// service: checkout
	// owner: team-pay
	// depends:
	//   - on: ledger
	//   - on: sessions
	//     soft: true
	//     phase: [runtime]
	//     evidence: drill/iam-revoked@2026-11-20
	//   - any-of: [card-a, card-b]
	//     need: 1
	//     phase: [runtime]
}

// A change is judged by what it adds: the cycle that was there already is no
// new finding.
func ExampleCompare() {
	before, err := depgraph.Compile([]depgraph.Service{
		{Name: "checkout", Depends: []depgraph.Dependency{depgraph.Soft("fraud")}},
		{Name: "fraud"},
	}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	after, err := depgraph.Compile([]depgraph.Service{
		{Name: "checkout", Depends: []depgraph.Dependency{depgraph.Hard("fraud")}},
		{Name: "fraud", Depends: []depgraph.Dependency{depgraph.Hard("checkout")}},
	}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	d, err := depgraph.Compare(context.Background(), before, after, depgraph.DiffOptions{Check: depgraph.CheckOptions{Only: []string{"DG001"}}})
	if err != nil {
		panic(err)
	}
	for _, e := range d.Edges {
		fmt.Println(e.Kind, e.From, "->", e.To)
	}
	for _, f := range d.New {
		fmt.Println("new:", f.Message)
	}
	// Output:
	// hardened checkout -> fraud
	// added fraud -> checkout
	// new: bootstrap deadlock: 2 services wait for each other at startup
}

// During a start: the database is up, and checkout still is not.
func ExampleGraph_WhyBlocked() {
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "checkout", Depends: []depgraph.Dependency{depgraph.Hard("ledger")}},
		{Name: "ledger", Depends: []depgraph.Dependency{depgraph.Hard("database"), depgraph.Hard("vault")}},
		{Name: "database"},
		{Name: "vault"},
	}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	running, err := depgraph.ParseRunning([]byte(`["database"]`))
	if err != nil {
		panic(err)
	}
	b, err := g.WhyBlocked("checkout", running)
	if err != nil {
		panic(err)
	}
	for _, h := range b.Chain {
		fmt.Println(h.Edge.From, "waits for", h.Edge.To)
	}
	fmt.Println("start", b.Root)
	// Output:
	// checkout waits for ledger
	// ledger waits for vault
	// start vault
}

func ExampleGraph_Query() {
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "web", Owner: "front", Depends: []depgraph.Dependency{depgraph.Hard("cart"), depgraph.Soft("ads")}},
		{Name: "cart", Owner: "pay", Depends: []depgraph.Dependency{depgraph.Hard("dynamodb")}},
		{Name: "ads", Owner: "front", Depends: []depgraph.Dependency{depgraph.Soft("dynamodb")}},
		{Name: "dynamodb", Kind: depgraph.Cloud},
	}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	for _, expr := range []string{"rdeps(dynamodb) & owner(front)", "rdeps(dynamodb, hard) - dynamodb"} {
		names, err := g.Query(context.Background(), expr)
		if err != nil {
			panic(err)
		}
		fmt.Println(names)
	}
	// Output:
	// [ads web]
	// [cart web]
}

// A rule of one's own in Go.
func ExampleRule() {
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "checkout", Criticality: depgraph.Critical, Depends: []depgraph.Dependency{depgraph.Hard("ledger")}},
		{Name: "ledger", Criticality: depgraph.Critical, Verify: "curl -fsS ledger/ready"},
	}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	runbook := depgraph.Rule{
		Name: "runbook", Severity: depgraph.Warn, Fix: "Say in verify how a person sees that it is up.",
		Check: func(_ context.Context, g *depgraph.Graph) (found []depgraph.Finding, err error) {
			for s := range g.Services() {
				if s.Criticality == depgraph.Critical && s.Verify == "" {
					found = append(found, depgraph.Finding{Service: s.Name, Message: s.Name + " is critical and has no verify step"})
				}
			}
			return found, nil
		},
	}
	found, err := g.Check(context.Background(), depgraph.CheckOptions{Rules: []depgraph.Rule{runbook}, Only: []string{"runbook"}})
	if err != nil {
		panic(err)
	}
	for _, f := range found {
		fmt.Println(f.Severity, f.Rule, f.Message)
	}
	// Output:
	// warn runbook checkout is critical and has no verify step
}

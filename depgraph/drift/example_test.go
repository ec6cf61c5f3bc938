package drift_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
)

// What traces show, judged by what is declared: the recommendations were
// declared soft, and requests fail with them.
func ExampleCompare() {
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "web", Depends: []depgraph.Dependency{depgraph.Soft("recommendations"), depgraph.Hard("ledger")}},
		{Name: "recommendations"},
		{Name: "ledger"},
	}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	var c drift.Collector
	err = c.Add("recorded.json", strings.NewReader(`{"failopen_observed": 1, "services": {"web": 1000}, "edges": [
		{"from": "web", "to": "recommendations", "calls": 1000, "errors": 40, "propagated": 38, "absorbed": 2, "fine": 959, "otherwise": 1},
		{"from": "web", "to": "sessions", "calls": 900}]}`))
	if err != nil {
		panic(err)
	}
	r := drift.Compare(g, c.Observed(), drift.Options{})
	for _, f := range r.Findings {
		fmt.Printf("%s %s: %s\n", f.Severity, f.Rule, f.Message)
	}
	// Output:
	// error DG019: web declares recommendations soft, but in 38 of 40 requests in which recommendations failed, web failed as well (and in 1 of 960 in which it worked)
	// warn DG015: web calls sessions 900 times; no manifest declares sessions, nor the dependency
	// info DG016: web declares ledger: not seen in 1000 requests of web; a call that fewer than 1 in 333 of them make would be missed with a chance of 1 in 20 or more
}

// A Collector takes sources of all formats, and says of each what it held. Here
// a trace is spread over two files.
func ExampleCollector() {
	var c drift.Collector
	for name, text := range map[string]string{
		"web.json": `[{"traceId":"1","id":"1","kind":"SERVER","timestamp":1000,"duration":900,"localEndpoint":{"serviceName":"web"},"tags":{"error":"503"}},
			{"traceId":"1","id":"2","parentId":"1","kind":"CLIENT","timestamp":1100,"duration":500,"localEndpoint":{"serviceName":"web"}}]`,
		"login.json": `[{"traceId":"1","id":"2","parentId":"1","shared":true,"kind":"SERVER","timestamp":1200,"duration":300,"localEndpoint":{"serviceName":"login"},"tags":{"error":"timeout"}}]`,
	} {
		if err := c.Add(name, strings.NewReader(text)); err != nil {
			panic(err)
		}
	}
	for _, e := range c.Observed().Edges {
		fmt.Printf("%s -> %s: %d call, %d failed; requests that failed with it: %d\n", e.From, e.To, e.Calls, e.Errors, e.Effect.Propagated)
	}
	// Output:
	// web -> login: 1 call, 1 failed; requests that failed with it: 1
}

// Names map what was recorded to what is declared.
func ExampleNames_Read() {
	names := &drift.Names{}
	err := names.Read("names.yaml", strings.NewReader(`
checkoutservice: checkout
"10.0.3.7:6379": cache   # a name with a colon goes in quotes
pay-*: payments
loadtest-*: -            # left out
`))
	if err != nil {
		panic(err)
	}
	g, err := depgraph.Compile([]depgraph.Service{{Name: "checkout", Depends: []depgraph.Dependency{depgraph.Hard("payments")}}, {Name: "payments"}, {Name: "cache"}}, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	var c drift.Collector
	err = c.Add("deps.json", strings.NewReader(`[
		{"parent":"checkoutservice","child":"pay-eu-1","callCount":7},
		{"parent":"checkoutservice","child":"10.0.3.7:6379","callCount":9},
		{"parent":"loadtest-4","child":"checkoutservice","callCount":1000}]`))
	if err != nil {
		panic(err)
	}
	for _, d := range drift.Compare(g, c.Observed(), drift.Options{Names: names}).Dependencies {
		fmt.Printf("%s -> %s: %s\n", d.From, d.To, d.State)
	}
	// Output:
	// checkout -> cache: undeclared
	// checkout -> payments: declared and seen
}

// What was seen makes a first declaration, of which a person has to say what is
// hard.
func ExampleReport_Services() {
	g, err := depgraph.Compile(nil, depgraph.Options{})
	if err != nil {
		panic(err)
	}
	var c drift.Collector
	if err := c.Add("deps.json", strings.NewReader(`[{"parent":"web","child":"db","callCount":7}]`)); err != nil {
		panic(err)
	}
	if err := depgraph.WriteManifest(os.Stdout, drift.Compare(g, c.Observed(), drift.Options{}).Services()...); err != nil {
		panic(err)
	}
	// Output:
	// service: db
	// ---
	// service: web
	// depends:
	//   - on: db
	//     phase: [runtime]
	//     assumed: true
	//     source: "deps.json: 7 calls"
}

package drift_test

import (
	"fmt"
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

package observe_test

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/failopen/failopen/depgraph/observe"
)

// One request in which the recommendations failed and the answer was given all
// the same: that is what soft means, and it is counted.
func Example() {
	rec, err := observe.New(observe.Options{Service: "web", Names: map[string]string{"recs.internal": "recommendations"}})
	if err != nil {
		panic(err)
	}
	ctx, end := rec.Begin(context.Background())
	call := rec.Start(ctx, "recs.internal:443")
	call.Done(true)
	end(false)
	if _, err := rec.WriteTo(os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// {
	//  "failopen_observed": 1,
	//  "services": {
	//   "web": 1
	//  },
	//  "edges": [
	//   {
	//    "from": "web",
	//    "to": "recommendations",
	//    "calls": 1,
	//    "errors": 1,
	//    "propagated": 0,
	//    "absorbed": 1,
	//    "unclear": 0,
	//    "fine": 0,
	//    "otherwise": 0
	//   }
	//  ]
	// }
}

// ExampleRecorder_Handler records both sides of an HTTP service.
func ExampleRecorder_Handler() {
	serve := func(mux, debug *http.ServeMux) error {
		rec, err := observe.New(observe.Options{
			Service: "checkout",
			Names:   map[string]string{"ledger.internal:8443": "ledger", "DynamoDB": "sessions"},
		})
		if err != nil {
			return err
		}
		client := &http.Client{Transport: rec.RoundTripper(nil)} // outgoing calls
		server := &http.Server{Handler: rec.Handler(mux)}        // incoming requests
		debug.Handle("/debug/dependencies", rec)                 // what depgraph drift --observed reads
		_, _ = client, server
		fmt.Println(rec.Requests(), "requests so far")
		return nil
	}
	if err := serve(http.NewServeMux(), http.NewServeMux()); err != nil {
		panic(err)
	}
	// Output: 0 requests so far
}

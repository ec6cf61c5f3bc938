package peers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/peers"
)

// An instance that tells the others what it thinks of itself, and asks them.
func Example() {
	const hostname = "checkout-7"
	fleet, err := peers.New(peers.Options{ID: hostname, Name: "checkout.internal", Port: 9090})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := new(health.Process)
	p.Guard = &health.Guard{ID: hostname, Peers: fleet.Peers}
	mux := http.NewServeMux()
	mux.Handle(peers.Path, fleet.Handler(p.Self))

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	_ = func() { // in a real service
		go fleet.Run(ctx)
		go p.Run(ctx)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, peers.Path, nil))
	fmt.Println(w.Body)
	// Output: {"id":"checkout-7","bad":false,"out":false}
}

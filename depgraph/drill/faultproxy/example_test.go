package faultproxy_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

// A service that knows nothing of drills is told that the proxy is its endpoint.
func ExampleStart() {
	prices := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "42") }))
	defer prices.Close()
	p, err := faultproxy.Start(faultproxy.Options{Upstream: prices.URL})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	ask := func() string {
		resp, err := http.Get(p.URL() + "/price")
		if err != nil {
			return "---"
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return fmt.Sprintf("%d %s", resp.StatusCode, text)
	}
	fmt.Println(ask())
	// The first call is refused, and those after it find nobody there.
	err = p.Injector().Set(fault.Rule{Operation: "GET /price", First: 1, Error: &fault.APIError{StatusCode: 503, Code: "Busy"}}, fault.Network("", fault.Refuse))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ask()[:3])
	fmt.Println(ask()[:3])
	p.Halt()
	fmt.Println(ask())
	// Output:
	// 200 42
	// 503
	// ---
	// 200 42
}

// A drill of a service in another process, whose dependency goes through a
// proxy. drill run --url does the same.
func ExampleClient_Fault() {
	prices := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "42") }))
	defer prices.Close()
	p, err := faultproxy.Start(faultproxy.Options{Upstream: prices.URL})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		resp, err := http.Get(p.URL())
		if err != nil {
			fmt.Fprint(w, "the price is not known at the moment")
			return
		}
		resp.Body.Close()
		fmt.Fprint(w, "42")
	}))
	defer service.Close()

	control, err := faultproxy.NewClient(p.ControlURL(), p.TokenFile())
	if err != nil {
		log.Fatal(err)
	}
	rules := []fault.Rule{fault.Network("", fault.Reset)}
	cut := control.Fault(time.Minute, rules...)
	report, err := drill.Run(context.Background(), drill.Experiment{
		Service: "shop", Dependency: "prices", Target: drill.HTTP(service.URL, nil), Fault: cut, Rules: rules, Stop: cut.Halted,
		Guards: []drill.Guard{{Name: "the proxy is free", Ask: cut.Guard}},
		Steady: time.Second, Watch: time.Second, Recovery: 5 * time.Second, Budget: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verdict, report.FaultObserved)
	// Output:
	// held true
}

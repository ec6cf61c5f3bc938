package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/signal"
	"syscall"
	"time"

	"github.com/failopen/failopen/health"
)

// A service with one loop and two dependencies.
func Example() {
	p := new(health.Process)
	loop, err := p.Watch("consume", 30*time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range []health.Dependency{
		{Name: "ledger", Check: ping},
		{Name: "sessions", Check: ping, Soft: true},
	} {
		if err := p.Depend(d); err != nil {
			fmt.Println(err)
			return
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go p.Run(ctx)

	go func() { // the loop
		loop.Beat()
		loop.Wait(func() { _ = ping(ctx) }) // what it does not control
		loop.Idle()
	}()
	p.Started()

	probe := func(path string) {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	probe("/livez")
	probe("/readyz")

	// On SIGTERM: not ready at once, live until the end.
	if err := p.Drain(ctx, time.Millisecond); err != nil {
		fmt.Println(err)
	}
	probe("/livez")
	probe("/readyz")
	// Output:
	// /livez 200
	// /readyz 200
	// /livez 200
	// /readyz 503
}

func ping(context.Context) error { return nil }

// A whole service: probes, a watched dependency, an orderly end. On SIGTERM it
// says that it is not ready, serves on for a while, and then stops.
func ExampleProcess_Serve() {
	p := new(health.Process)
	if err := p.Depend(health.Dependency{Name: "sessions", Check: ping, Soft: true}); err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/", p.Probes())
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	time.AfterFunc(50*time.Millisecond, stop) // in place of a SIGTERM
	err := p.Serve(ctx, &http.Server{Addr: "127.0.0.1:0", Handler: mux}, health.ServeOptions{
		Drain: 10 * time.Millisecond, // 35 s by default
		Stop:  []func(context.Context) error{func(context.Context) error { fmt.Println("closing"); return nil }},
	})
	fmt.Println("ended:", err)
	// Output:
	// closing
	// ended: <nil>
}

// The wrong way: a restart does not mend a dependency. The right way: what only
// a restart can mend.
func ExampleProcess_Fatal() {
	p := new(health.Process)

	// if err := table.Ping(ctx); err != nil { p.Fatal(err) } // restarts for as long as the outage lasts

	p.Fatal(errors.New("the index in memory is corrupt"))
	fmt.Println(p.Live())
	// Output: false
}

// A library that waits for something pauses the watch of its caller.
func ExampleWait() {
	p := new(health.Process)
	watch, err := p.Watch("loop", time.Millisecond)
	if err != nil {
		fmt.Println(err)
		return
	}
	load := func(ctx context.Context) { // somewhere further down
		health.Wait(ctx, func() {
			<-time.After(20 * time.Millisecond) // a slow dependency
			fmt.Println("while it waits:", p.Live())
		})
	}
	watch.Beat()
	load(health.NewContext(context.Background(), watch))
	// Output: while it waits: true
}

// What a manifest of package depgraph declares and nobody checks.
func ExampleProcess_Declare() {
	p := new(health.Process)
	if err := p.Depend(health.Dependency{Name: "ledger", Check: ping}); err != nil {
		fmt.Println(err)
		return
	}
	manifest := `{"service": "checkout", "depends": [{"on": "ledger"}, {"on": "mail", "soft": true}]}`
	if err := p.Declare([]byte(manifest)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("declared and not checked:", p.Report().Unchecked)
	// Output: declared and not checked: [mail]
}

// The rule of the guard, without a process: one bad instance of four leaves,
// three of four stay.
func ExampleGuard_Step() {
	guard := health.Guard{ID: "d"}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	self := health.Self{ID: "d", Bad: true, Failures: 3}
	state := health.GuardState{Joined: true, BadSince: now.Add(-time.Minute)}

	fleet := []health.Peer{{ID: "a", Seen: now}, {ID: "b", Seen: now}, {ID: "c", Seen: now}}
	next, note := guard.Step(state, self, fleet, true, now)
	fmt.Println(next.Out, note)

	fleet[0].Bad, fleet[1].Bad = true, true
	next, note = guard.Step(state, self, fleet, true, now)
	fmt.Println(next.Out, note)
	// Output:
	// true in trouble; out
	// false 3 of 4 are in trouble: everybody stays
}

// Storm sends 100 probes a second for 10 seconds, over a real socket on
// loopback, to a process one of whose checks hangs for 30 seconds: first to
// package health, then to its peers, each in a process of its own. In
// docs/benchmarks:
//
//	go run ./health/storm | tee health/results/storm.txt
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	alexliesenfeld "github.com/alexliesenfeld/health"
	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthgo"
)

func main() {
	serve := flag.String("serve", "", "be the process that is probed: one of "+strings.Join(names(), ", "))
	rate := flag.Int("rate", 100, "probes a second")
	length := flag.Duration("for", 10*time.Second, "length of the storm")
	flag.Parse()
	if err := run(*serve, *rate, *length); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

func run(serve string, rate int, length time.Duration) error {
	if serve != "" {
		return be(serve)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("%-28s %12s %10s %10s %18s\n", "probed", "answered", "p50", "p99", "extra goroutines")
	for _, name := range names() {
		r, err := storm(self, name, rate, length)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("%-28s %7d/%-4d %10s %10s %18d\n", name, r.answered, r.sent,
			r.percentile(0.50).Round(10*time.Microsecond), r.percentile(0.99).Round(10*time.Microsecond), r.goroutines)
	}
	return nil
}

// hang is a check that ignores its context.
func hang(context.Context) error {
	time.Sleep(30 * time.Second)
	return nil
}

// handlers are what can be probed.
var handlers = []struct {
	name string
	make func() (http.Handler, error)
}{
	{"failopen, /livez", func() (http.Handler, error) { p, err := process(); return http.HandlerFunc(p.ServeLive), err }},
	{"failopen, /readyz", func() (http.Handler, error) { p, err := process(); return http.HandlerFunc(p.ServeReady), err }},
	{"failopen, /reportz", func() (http.Handler, error) { p, err := process(); return http.HandlerFunc(p.ServeReport), err }},
	{"failopen in health-go's format", func() (http.Handler, error) {
		p, err := process()
		return healthgo.Handler(p, hellofresh.Component{}), err
	}},
	{"health-go", func() (http.Handler, error) { return healthGo(false) }},
	{"health-go SkipOnErr", func() (http.Handler, error) { return healthGo(true) }},
	{"alexliesenfeld", func() (http.Handler, error) {
		return alexliesenfeld.NewHandler(alexliesenfeld.NewChecker(alexliesenfeld.WithCheck(
			alexliesenfeld.Check{Name: "hangs", Timeout: 2 * time.Second, Check: hang}))), nil
	}},
}

func names() (names []string) {
	for _, h := range handlers {
		names = append(names, h.name)
	}
	return names
}

func process() (*health.Process, error) {
	p := new(health.Process)
	if err := p.Depend(health.Dependency{Name: "hangs", Check: hang, Period: 2 * time.Second}); err != nil {
		return nil, err
	}
	p.Started()
	go func() {
		if err := p.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "storm:", err)
		}
	}()
	return p, nil
}

func healthGo(skip bool) (http.Handler, error) {
	h, err := hellofresh.New(hellofresh.WithChecks(hellofresh.Config{Name: "hangs", SkipOnErr: skip, Check: hang}))
	if err != nil {
		return nil, err
	}
	return h.Handler(), nil
}

// be serves a handler until standard input ends, and then says how many
// goroutines there were at most, beyond those of the first moment.
func be(name string) error {
	i := slices.Index(names(), name)
	if i < 0 {
		return fmt.Errorf("there is no handler %q", name)
	}
	h, err := handlers[i].make()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(l, h) }() // ends with the process
	base := runtime.NumGoroutine()
	var peak atomic.Int64
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			peak.Store(max(peak.Load(), int64(runtime.NumGoroutine()-base-1)))
		}
	}()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(peak.Load())
	return nil
}

type result struct {
	sent, answered, goroutines int
	took                       []time.Duration
}

func (r result) percentile(q float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	return r.took[min(int(q*float64(len(r.took))), len(r.took)-1)]
}

// storm starts a process and probes it. A probe has 1 s, as on Kubernetes, and
// a connection of its own.
func storm(self, name string, rate int, length time.Duration) (r result, err error) {
	cmd := exec.Command(self, "-serve", name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer func() { _ = cmd.Process.Kill() }() // it may hang; that is what it is for
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return r, fmt.Errorf("it did not start: %w", cmd.Wait())
	}
	r = probe("http://"+lines.Text()+"/", rate, length)
	if err := in.Close(); err != nil {
		return r, err
	}
	if !lines.Scan() {
		return r, fmt.Errorf("it did not say how many goroutines it had: %w", lines.Err())
	}
	r.goroutines, err = strconv.Atoi(lines.Text())
	return r, err
}

func probe(url string, rate int, length time.Duration) (r result) {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var mu sync.Mutex
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for range int(length.Seconds() * float64(rate)) {
		<-tick.C
		r.sent++
		all.Go(func() {
			began := time.Now()
			resp, err := client.Get(url)
			if err != nil {
				return // not answered
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if resp.StatusCode == http.StatusOK {
				r.answered++
				r.took = append(r.took, time.Since(began))
			}
		})
	}
	all.Wait()
	slices.Sort(r.took)
	return r
}

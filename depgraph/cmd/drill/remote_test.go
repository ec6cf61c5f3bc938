package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

// shop is a service in its own right, which knows its dependencies by URLs that
// lead through a proxy: "prices", without which it serves, and "stock", without
// which it does not.
func shop(t *testing.T) (shop *httptest.Server, flags []string) {
	t.Helper()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "42") }))
	t.Cleanup(other.Close)
	p, err := faultproxy.Start(faultproxy.Options{Map: map[string]string{"prices.internal": other.URL, "stock.internal": other.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	ask := func(host string) error {
		req, err := http.NewRequest("GET", p.URL()+"/", nil)
		if err != nil {
			return err
		}
		req.URL.Opaque = "http://" + host + "/" // in the form for proxies
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	}
	shop = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := ask("stock.internal"); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if ask("prices.internal") != nil {
			fmt.Fprint(w, "in stock; ask us for the price")
			return
		}
		fmt.Fprint(w, "in stock, at 42")
	}))
	t.Cleanup(shop.Close)
	return shop, []string{"--url", shop.URL + "/{n}", "--control", p.ControlURL(), "--token-file", p.TokenFile(), "--budget", "20s", "--watch", "1s", "--steady", "200ms"}
}

func TestRun_your_own_service(t *testing.T) {
	t.Parallel() // it mostly waits
	proofs := filepath.Join(t.TempDir(), depgraph.ProofFile)
	var all sync.WaitGroup
	for name, c := range map[string]struct {
		flags []string
		want  drill.Verdict
	}{
		"soft":         {[]string{"--fault", "503", "--service", "prices.internal", "--edge", "shop/prices", "--proof", proofs}, drill.Held},
		"hard":         {[]string{"--fault", "reset", "--service", "stock.internal"}, drill.Deviated},
		"wrong answer": {[]string{"--fault", "503", "--service", "prices.internal", "--expect", "42"}, drill.Deviated},
		"nobody calls": {[]string{"--fault", "denied", "--service", "dynamodb"}, drill.Void},
		"not as it was": {
			[]string{"--fault", "denied", "--service", "prices.internal", "--expect", "sold out"}, drill.NotStarted,
		},
	} {
		_, flags := shop(t) // each has a proxy, and they mostly wait
		all.Go(func() {
			code, stdout, stderr := here(t, append(append([]string{"run", "-f", "json"}, flags...), c.flags...)...)
			var r drill.Report
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Errorf("%s: %v\n%s%s", name, err, stdout, stderr)
				return
			}
			if code != int(c.want) || r.Verdict != c.want {
				t.Errorf("%s: exit code %d, %s: %v; want %s", name, code, r.Verdict, r.Reasons, c.want)
			}
		})
	}
	all.Wait()
	if all, err := depgraph.LoadProofs(proofs); err != nil || all == nil {
		t.Errorf("the proof: %v", err)
	}
}

func TestInfer_your_own_service(t *testing.T) {
	t.Parallel() // it mostly waits
	shop, flags := shop(t)
	resp, err := http.Get(shop.URL) // the proxy sees what it calls
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	dir := t.TempDir()
	manifest := filepath.Join(dir, "depgraph.yaml")
	text := "service: shop\ndepends:\n  - on: stock.internal\n    soft: true\n  - on: prices.internal\n"
	if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := here(t, append([]string{"infer", "-d", dir, "--name", "shop", "--faults", "reset,503"}, append(flags, "--watch", "300ms")...)...)
	for _, want := range []string{
		"soft     prices.internal", "hard     stock.internal",
		manifest + ":3: shop -> stock.internal is declared soft, and is hard: reset: ",
		manifest + ":5: shop -> prices.internal is declared hard, and is soft",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in:\n%s%s", want, stdout, stderr)
		}
	}
	if code != int(drill.Deviated) {
		t.Errorf("exit code %d", code)
	}
}

func TestInfer_the_service_that_comes_with_it(t *testing.T) {
	dir := t.TempDir()
	text := "service: naive\ndepends:\n  - on: sessions\n    soft: true\n  - on: origin\n"
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	watch := (outageWatch() / 2).String()
	code, stdout, stderr := program(t, "infer", "--target", "naive", "-d", dir, "--depend", "sessions=dynamodb", "--depend", "origin", "--watch", watch, "-f", "json")
	var out struct {
		Dependencies []drill.Inferred
		Differences  []drill.Difference
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	if code != 1 || len(out.Dependencies) != 2 || len(out.Differences) != 1 || out.Differences[0].Dependency != "sessions" || !strings.HasSuffix(out.Differences[0].Position, ":3") {
		t.Errorf("exit code %d, %+v", code, out)
	}
	if code, stdout, stderr := program(t, "infer", "--watch", watch, "--faults", "denied,blackhole"); code != 0 || !strings.Contains(stdout, "soft     dynamodb") || !strings.Contains(stdout, "hard     origin") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

func TestRemote_usage(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--url is":       {"run", "--fault", "denied", "--url", "localhost:80"},
		"--control":      {"run", "--fault", "denied", "--url", "http://127.0.0.1:1"},
		"exactly one":    {"run", "--url", "http://127.0.0.1:1"},
		"--edge is":      {"run", "--fault", "denied", "--url", "http://127.0.0.1:1", "--edge", "a"},
		"--proof with":   {"run", "--fault", "denied", "--url", "http://127.0.0.1:1", "--proof", "p"},
		"--budget":       {"run", "--fault", "denied", "--url", "http://127.0.0.1:1", "--control", "http://127.0.0.1:1", "--token-file", token, "--budget", "2m"},
		"--faults has":   {"infer", "--faults", "nothing"},
		"--depend is":    {"infer", "--depend", "=x"},
		"want --name":    {"infer", "-d", filepath.Dir(token), "--url", "http://127.0.0.1:1", "--control", "http://127.0.0.1:1", "--token-file", token},
		"--least is 2":   {"run", "--fault", "denied", "--url", "http://127.0.0.1:1", "--control", "http://127.0.0.1:1", "--token-file", token, "--least", "2"},
		"--target is":    {"infer", "--target", "x"},
		"--watch is 48h": {"infer", "--watch", "48h"},
	} {
		if code, _, stderr := here(t, args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %s; want %d with %q", args, code, stderr, exitUsage, want)
		}
	}
	// A proxy that is not there: nothing was cut.
	code, stdout, _ := here(t, "run", "--fault", "denied", "--url", "http://127.0.0.1:1", "--control", "http://127.0.0.1:1", "--token-file", token, "-f", "json")
	if code != int(drill.NotStarted) || !strings.Contains(stdout, "nobody else uses the proxy") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

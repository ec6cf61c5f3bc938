package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
	"github.com/failopen/failopen/depgraph/drill/reference"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// What is said of answers that a test could only have by waiting: slow probes,
// full disks. The bounds themselves are on the good side.
func TestDoctor_addProbe(t *testing.T) {
	const url, guide = "http://127.0.0.1:8080/livez", "\n                       -> a probe looks at state that the process has already; see docs/guide/health.md"
	for _, c := range []struct {
		status int
		took   time.Duration
		want   string
	}{
		{200, 0, "ok    liveness       " + url + ": status 200, after 0s"},
		{200, 250 * time.Millisecond, "ok    liveness       " + url + ": status 200, after 250ms"},
		{204, 251 * time.Millisecond, "warn  liveness       " + url + ": status 204, after 251ms" + guide},
		{200, time.Second, "warn  liveness       " + url + ": status 200, after 1s" + guide},
		{200, 1001 * time.Millisecond, "fail  liveness       " + url + ": status 200, after 1.001s; platforms give it 1s" + guide},
		{302, 0, "ok    liveness       " + url + ": status 302, after 0s"},
		{399, 0, "ok    liveness       " + url + ": status 399, after 0s"},
		{400, 0, "fail  liveness       " + url + ": status 400\n                       -> a drill starts from a service that works"},
		{503, time.Minute, "fail  liveness       " + url + ": status 503\n                       -> a drill starts from a service that works"},
		{199, 0, "fail  liveness       " + url + ": status 199\n                       -> a drill starts from a service that works"},
	} {
		var f doctorFlags
		f.addProbe("liveness", url, c.status, c.took)
		if got := printed(t, &f); got != c.want+"\n" {
			t.Errorf("%d after %v: got\n%s\nwant\n%s", c.status, c.took, got, c.want)
		}
	}
}

func TestDoctor_addSpace(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, bytes.Repeat([]byte("x"), 3<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := os.Chtimes(log, now, now.Add(-90*time.Second)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	good := "ok    log            " + log + " is a file of 3 KiB; last written 1m30s ago\n"
	for _, c := range []struct {
		free  int64
		known bool
		want  string
	}{
		{0, false, good},
		{1 << 30, true, good},
		{1<<30 - 1, true, "warn  log            " + log + ": 1023 MiB are free on its disk\n                       -> make room, or bound the log\n"},
		{64 << 20, true, "warn  log            " + log + ": 64 MiB are free on its disk\n                       -> make room, or bound the log\n"},
		{64<<20 - 1, true, "fail  log            " + log + ": 63 MiB are free on its disk\n                       -> make room: a full disk stops a log as surely as a dead server\n"},
		{0, true, "fail  log            " + log + ": 0 MiB are free on its disk\n                       -> make room: a full disk stops a log as surely as a dead server\n"},
	} {
		var f doctorFlags
		f.addSpace(log, info, c.free, c.known)
		if got := strings.Replace(printed(t, &f), "1m31s ago", "1m30s ago", 1); got != c.want { // the clock goes on
			t.Errorf("%d, %v: got\n%s\nwant\n%s", c.free, c.known, got, c.want)
		}
	}
	if _, known := freeSpace(filepath.Join(log, "gone")); known {
		t.Error("the free space of no file is known")
	}
}

// A proxy that is in use is a warning, and so is one that stops answering while a
// probe is looked at.
func TestDoctor_proxy_in_use(t *testing.T) {
	p, err := faultproxy.Start(faultproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	client, err := faultproxy.NewClient(p.ControlURL(), p.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), time.Minute, fault.Network("dynamodb", fault.Reset), fault.Network("sts", fault.Reset)); err != nil {
		t.Fatal(err)
	}
	f := doctorFlags{control: p.ControlURL(), token: p.TokenFile()}
	if f.checkProxy(t.Context()) == nil {
		t.Error("there is no client to ask")
	}
	want := "warn  proxy          2 rules are in force until TIME\n                       -> wait, or end them: POST /halt to the control API\n"
	if got := regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(printed(t, &f), "TIME"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// The probe ends the proxy, which can then not say what was called.
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { _ = p.Close() }))
	defer service.Close()
	f.findings = nil
	f.checkProbe(t.Context(), "liveness", service.URL, client)
	if n := len(f.findings); n != 2 || f.findings[1].Check != "liveness calls" || f.findings[1].Status != statusWarn || f.findings[1].Do != "try again" {
		t.Errorf("%+v", f.findings)
	}
	f = doctorFlags{control: "http://127.0.0.1:1", token: filepath.Join(t.TempDir(), "gone")}
	if f.checkProxy(t.Context()) != nil || len(f.findings) != 1 || f.findings[0].Status != statusFail || !strings.Contains(f.findings[0].Detail, "gone: no such file") {
		t.Errorf("without a token: %+v", f.findings)
	}
}

// guessing runs infer's second half on a service that needs "stock", does without
// "prices", and never calls "ads", in a bubble of its own.
func guessing(t *testing.T, f inferFlags, dependencies ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		injector := fault.New(fault.Options{})
		start := func(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error) {
			if dependency == "broken" {
				return drill.Experiment{}, nil, errors.New("it could not be started")
			}
			return drill.Experiment{
				Service: "shop", Dependency: dependency, Rules: rules, Fault: drill.Rules(injector, rules...),
				Target: drill.Answers(func(ctx context.Context, _ int64) drill.Answer {
					injector.Next(ctx, fault.Call{Service: "prices"})
					if injector.Next(ctx, fault.Call{Service: "stock"}) != nil {
						return drill.Answer{Err: errors.New("no stock")}
					}
					return drill.Answer{}
				}),
				Steady: time.Second, Watch: time.Second, Recovery: 5 * time.Second,
			}, func() error { return nil }, nil
		}
		f.url = "http://127.0.0.1:1" // so that each fault is tried by the name as it is
		c := &command{ctx: t.Context(), stdout: &cli.Output{To: &out}, stderr: &cli.Output{To: &out}}
		err = c.inferred(&f, dependencies, start)
	})
	return out.String(), err
}

func TestInfer_what_it_says(t *testing.T) {
	services, err := depgraph.ParseManifest("m.yaml", []byte("service: shop\ndepends:\n  - on: prices\n    soft: true\n  - on: stock\n    soft: true\n---\nservice: prices\n---\nservice: stock\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f            inferFlags
		dependencies []string
		err          error
		want         string
	}{
		"soft":            {inferFlags{faults: "503"}, []string{"prices"}, nil, "soft     prices                    1 faults tried  \n"},
		"hard":            {inferFlags{faults: "503,reset"}, []string{"stock"}, nil, "hard     stock                     1 faults tried  503: "},
		"never called":    {inferFlags{faults: "503"}, []string{"ads", "prices"}, nil, "unused   ads                       1 faults tried  it was never called while it was cut\nsoft     prices                    1 faults tried  \n"},
		"not as declared": {inferFlags{faults: "503", graph: g, name: "shop"}, []string{"prices", "stock"}, exitCode(drill.Deviated), "soft     prices                    1 faults tried  \nhard     stock                     1 faults tried  503: "},
		"no such fault":   {inferFlags{faults: "of logs only"}, []string{"prices"}, exitCode(drill.NotStarted), "unknown  prices                    0 faults tried  "},
		"a hostile name":  {inferFlags{faults: "503"}, []string{"a\n::error::b"}, nil, "unused   a ::error::b              1 faults tried  it was never called while it was cut\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := guessing(t, c.f, c.dependencies...)
			if !errors.Is(err, c.err) || c.err == nil && err != nil || !strings.HasPrefix(out, c.want) {
				t.Errorf("%v, %q; want %v, %q", err, out, c.err, c.want)
			}
			if declared := "m.yaml:5: shop -> stock is declared soft, and is hard: 503: "; c.f.graph != nil && strings.Count(out, declared) != 1 {
				t.Errorf("want %q in %q", declared, out)
			}
		})
	}
	if out, err := guessing(t, inferFlags{faults: "503", format: "json", name: "shop"}, "prices"); err != nil || !strings.HasPrefix(out, "{\n  \"dependencies\": [\n    {\n") || !strings.Contains(out, "\n  \"differences\": [],\n  \"service\": \"shop\"\n}\n") {
		t.Errorf("%v, %s", err, out)
	}
	if out, err := guessing(t, inferFlags{faults: "503"}, "prices", "broken"); err == nil || !strings.Contains(err.Error(), "it could not be started") || out != "" {
		t.Errorf("one that cannot be started: %v, %q", err, out)
	}
}

// A verdict whose report or proof cannot be written is an error, and so is a
// drill that could not be run at all.
func TestCommand_drill_that_cannot_be_concluded(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := preset("", outage(t, denied))
	if err != nil {
		t.Fatal(err)
	}
	p.Watch, p.Recovery = time.Second, 30*time.Second
	for name, c := range map[string]struct {
		flags drillFlags
		spoil func(*drill.Experiment)
		want  string
	}{
		"well":                          {drillFlags{format: "text"}, nil, ""},
		"a folder that is none":         {drillFlags{format: "text", out: file}, nil, "mkdir " + file + ": not a directory"},
		"a proof in a folder":           {drillFlags{format: "text", proof: filepath.Join(dir, "gone", "proofs.jsonl")}, nil, filepath.Join(dir, "gone", "proofs.jsonl") + ": "},
		"an experiment with no service": {drillFlags{format: "text", proof: filepath.Join(dir, "proofs.jsonl")}, func(e *drill.Experiment) { e.Service = "" }, `a proof is about an edge: the experiment's Service is ""`},
		"no target":                     {drillFlags{format: "text"}, func(e *drill.Experiment) { e.Target = nil }, "Target"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out, errs bytes.Buffer
				cmd := &command{ctx: t.Context(), stdout: &cli.Output{To: &out}, stderr: &cli.Output{To: &errs}}
				err := cmd.drill(c.flags, 0, func(svc *reference.Service) drill.Experiment {
					e := svc.Drill(p, time.Millisecond)
					e.Steady = time.Second
					if c.spoil != nil {
						c.spoil(&e)
					}
					return e
				})
				if c.want == "" && err == nil && strings.Contains(out.String(), "\nheld") {
					return
				}
				var code exitCode
				if c.want == "" || err == nil || errors.As(err, &code) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q; %s%s", err, c.want, out.String(), errs.String())
				}
			})
		})
	}
}

// What one plan writes, the next one leaves as it was edited.
func TestPlan_leaves_what_was_edited(t *testing.T) {
	dir := t.TempDir()
	e := drill.Planned{Service: "shop", Dependency: "prices", Soft: true, At: depgraph.Position{File: "m.yaml", Line: 3}, Rules: []fault.Rule{fault.Network("prices", fault.Refuse)}}
	out := filepath.Join(dir, "new", "drills")
	if err := writePlan(out, e); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(out, "shop-without-prices.json")
	text, err := os.ReadFile(name)
	const want = `{
  "dependency": "prices",
  "facts": [
    "shop declares in m.yaml:3 that it works without prices."
  ],
  "name": "shop-without-prices",
  "recovery": "1m",
  "rules": [
    {
      "service": "prices",
      "net": "refuse"
    }
  ],
  "sources": [],
  "title": "shop without prices",
  "version": 1,
  "watch": "30m"
}
`
	if err != nil || string(text) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, text, want)
	}
	if err := os.WriteFile(name, []byte("edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePlan(out, e); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "edited" {
		t.Errorf("%q, %v", text, err)
	}
	if err := writePlan(filepath.Join(name, "x"), e); err == nil {
		t.Error("written into a file")
	}
	// The same by the verb: one error, and nothing is said to be planned twice.
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte("service: shop\ndepends:\n  - on: prices\n    soft: true\n---\nservice: prices\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := here(t, "plan", "-d", dir, "-o", filepath.Join(name, "x")); code != exitFailed || !strings.HasPrefix(stdout, "must hold     shop -> prices  ") || !strings.HasSuffix(stderr, ": not a directory\n") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte("service: shop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := here(t, "plan", "-d", dir)
	if want := "drill: " + dir + ": no dependency of the run time is declared there\n"; code != exitFailed || stderr != want || stdout != "\n0 soft dependencies to prove, 0 hard ones\n" {
		t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
	}
	if err := os.WriteFile(filepath.Join(dir, depgraph.ProofFile), []byte("no proof\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"plan", "matrix"} {
		if code, stdout, stderr := here(t, verb, "-d", dir); code != exitFailed || stdout != "" || !strings.HasPrefix(stderr, "drill: "+filepath.Join(dir, depgraph.ProofFile)+":1: ") {
			t.Errorf("%s: exit code %d, %q, %q", verb, code, stdout, stderr)
		}
	}
}

// A matrix is printed in three forms, and all hours of a cell in virtual time.
func TestMatrix_one_cell(t *testing.T) {
	for _, watch := range []time.Duration{time.Minute, time.Hour + time.Second} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			cell, err := oneCell(matrixCells("dynamodb")[0], false, watch, 1)
			if err != nil || cell != (drill.Cell{Dependency: "dynamodb", Fault: "denied", Verdict: drill.Held}) || time.Since(began) < watch {
				t.Errorf("%v: %+v, %v after %v", watch, cell, err, time.Since(began))
			}
		})
	}
	cells := []drill.Cell{{Dependency: "<db>", Fault: "denied", Verdict: drill.Held}, {Dependency: "<db>", Fault: "reset", Verdict: drill.Deviated, Reason: "3 were | wrong"}}
	for format, want := range map[string]string{
		"markdown": "| fault | &lt;db> |\n",
		"html":     "every soft dependency, every fault",
		"json":     "[\n  {\n    \"dependency\": \"\\u003cdb\\u003e\",\n    \"fault\": \"denied\",\n    \"verdict\": \"held\"",
	} {
		var out bytes.Buffer
		if err := (&command{stdout: &cli.Output{To: &out}}).writeMatrix(format, cells); err != nil || !strings.Contains(out.String(), want) || format != "json" && strings.Contains(out.String(), "<db>") {
			t.Errorf("%s: %v, no %q in\n%s", format, err, want, out.String())
		}
		if err := (&command{stdout: &cli.Output{To: full{}}}).writeMatrix(format, cells); err == nil {
			t.Errorf("%s: written to a full disk", format)
		}
	}
	if got := fmt.Sprint(len(matrixCells("dynamodb", "logs"))-len(drill.Faults("")), len(matrixFaults("logs"))); got != "1 1" {
		t.Errorf("the log has one way to fail: %s", got)
	}
}

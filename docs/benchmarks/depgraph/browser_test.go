package depgraph

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// The page in a real browser. Set CHROMIUM to its path if it has another name,
// and SCREENSHOTS to a folder to look at what it draws.

// browser starts a headless Chromium, or skips the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path != "" {
			break
		}
		path, _ = exec.LookPath(name)
	}
	if path == "" {
		t.Skip("no Chromium here")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1500, 1000))
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// watcher notes what a page says and asks for.
type watcher struct {
	mu       sync.Mutex
	messages []string
	requests []string
}

func watch(ctx context.Context) *watcher {
	w := &watcher{}
	chromedp.ListenTarget(ctx, func(event any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch e := event.(type) {
		case *cdpruntime.EventConsoleAPICalled:
			w.messages = append(w.messages, string(e.Type))
		case *cdpruntime.EventExceptionThrown:
			w.messages = append(w.messages, e.ExceptionDetails.Error())
		case *network.EventRequestWillBeSent:
			w.requests = append(w.requests, e.Request.URL)
		case *fetch.EventRequestPaused:
			w.requests = append(w.requests, e.Request.URL)
		}
	})
	return w
}

// check fails the test if the page wrote to the console, or asked for anything
// but itself.
func (w *watcher) check(t *testing.T, page string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.messages) > 0 {
		t.Errorf("the console says %q", w.messages)
	}
	for _, r := range w.requests {
		if r != page {
			t.Errorf("the page asked for %s", r)
		}
	}
	if len(w.requests) == 0 {
		t.Error("no request was seen at all; the watcher is blind")
	}
}

func writePage(t *testing.T, g *depgraph.Graph) string {
	t.Helper()
	findings, err := g.Check(t.Context(), depgraph.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := report.HTML(t.Context(), &b, g, report.HTMLOptions{Title: "A <b>title</b>", Findings: findings}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return "file://" + name
}

func screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(ctx, chromedp.CaptureScreenshot(&png)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

func shop(t *testing.T) *depgraph.Graph {
	t.Helper()
	services, err := depgraph.ParseManifest("shop/depgraph.yaml", []byte(`
service: web
owner: team-web
criticality: critical
availability: {target: 99.9, own: 99.95}
start: 4s
depends:
- on: checkout
- on: ads
  soft: true
- any-of: [east, west]
  phase: [runtime]
---
{service: checkout, owner: team-pay, criticality: high, start: 9s, depends: [{on: db}, {on: vault}]}
---
{service: ads, owner: team-ads, start: 3s, depends: [{on: db}]}
---
{service: db, kind: datastore, owner: team-db, start: 20s, availability: {own: 99.99}}
---
{service: vault, owner: team-sec, depends: [{on: consul}]}
---
{service: consul, owner: team-sec, depends: [{on: vault}]}
---
{service: east, owner: team-net, availability: {own: 99.5}}
---
{service: west, owner: team-net, availability: {own: 99.5}}
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// evaluate runs a script in the page and returns its value.
func evaluate[T any](t *testing.T, ctx context.Context, script string) (value T) {
	t.Helper()
	if err := chromedp.Run(ctx, chromedp.Evaluate(script, &value)); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return value
}

const clickNode = `(name) => { const n = [...document.querySelectorAll(".node")].find((n) => n.getAttribute("aria-label").startsWith(name + ",")); n.dispatchEvent(new MouseEvent("click", {bubbles: true})); return true; }`

const listOf = `(id) => [...document.querySelectorAll("#" + id + " li")].map((li) => li.textContent)`

func TestPage_works_in_a_browser(t *testing.T) {
	g := shop(t)
	page := writePage(t, g)
	ctx := browser(t)
	w := watch(ctx)
	if err := chromedp.Run(ctx, network.Enable(), chromedp.Navigate(page), chromedp.WaitReady("#graph", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	screenshot(t, ctx, "first")
	if n := evaluate[int](t, ctx, `document.querySelectorAll(".node").length`); n != g.Len() {
		t.Errorf("%d nodes, want %d", n, g.Len())
	}
	if got := evaluate[string](t, ctx, `document.querySelector("h1").textContent`); got != "A <b>title</b>" {
		t.Errorf("title %q", got)
	}
	// A click on each service shows the blast radius that the engine computes.
	for _, name := range g.Names() {
		evaluate[bool](t, ctx, fmt.Sprintf("(%s)(%q)", clickNode, name))
		if text := evaluate[string](t, ctx, `document.getElementById("panel").textContent`); strings.Contains(text, "null") || strings.Contains(text, "undefined") {
			t.Errorf("the panel of %s says %q", name, text)
		}
		b, err := g.Blast(depgraph.BlastOptions{}, name)
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string][]string{"down": b.Down, "degraded": b.Degraded, "thin": b.RedundancyLost, "nostart": b.CannotStart} {
			if got := evaluate[[]string](t, ctx, fmt.Sprintf("(%s)(%q)", listOf, id)); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s of %s: %q, want %q", id, name, got, want)
			}
		}
	}
	evaluate[bool](t, ctx, fmt.Sprintf("(%s)(%q)", clickNode, "web"))
	// Why, by typing.
	if err := chromedp.Run(ctx, chromedp.SendKeys("#why-target", "consul", chromedp.ByQuery), chromedp.Click("#ask", chromedp.ByQuery), chromedp.WaitReady("#why li", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	if got := evaluate[[]string](t, ctx, fmt.Sprintf("(%s)(%q)", listOf, "why")); len(got) != 3 || !strings.HasPrefix(got[2], "vault needs consul hard startup+runtime shop/depgraph.yaml:") {
		t.Errorf("why: %q", got)
	}
	screenshot(t, ctx, "why")
	// Search and filters, by keyboard. The protocol sends the character even
	// though the page took the key, so the field is emptied again.
	if err := chromedp.Run(ctx, chromedp.KeyEvent("\x1b"), chromedp.Focus("#graph .node", chromedp.ByQuery), chromedp.KeyEvent("/")); err != nil {
		t.Fatal(err)
	}
	if got := evaluate[string](t, ctx, `document.activeElement.id`); got != "search" {
		t.Errorf("the slash key goes to %q", got)
	}
	if err := chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById("search").value = ""`, nil), chromedp.SendKeys("#search", "ch", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	if got := evaluate[string](t, ctx, `document.getElementById("count").textContent`); got != "1 of 8 match" {
		t.Errorf("search: %q", got)
	}
	if err := chromedp.Run(ctx, chromedp.KeyEvent("\r")); err != nil {
		t.Fatal(err)
	}
	if got := evaluate[string](t, ctx, `document.querySelector("#panel h2").textContent`); got != "checkout" {
		t.Errorf("Enter in the search selects %q", got)
	}
	evaluate[bool](t, ctx, `(() => { const s = document.getElementById("owner"); s.value = "team-net"; s.dispatchEvent(new Event("change")); return true; })()`)
	if n := evaluate[int](t, ctx, `document.querySelectorAll(".node:not(.hidden)").length`); n != 2 {
		t.Errorf("%d nodes of team-net, want 2", n)
	}
	before := evaluate[string](t, ctx, `document.getElementById("graph").getAttribute("viewBox")`)
	if err := chromedp.Run(ctx, chromedp.KeyEvent("\x1b"), chromedp.Evaluate(`document.activeElement.blur()`, nil), chromedp.KeyEvent("+")); err != nil {
		t.Fatal(err)
	}
	if after := evaluate[string](t, ctx, `document.getElementById("graph").getAttribute("viewBox")`); after == before {
		t.Error("+ does not zoom")
	}
	// Sections.
	for id, want := range map[string]string{
		"cycles": "Bootstrap deadlock", "order": "Critical path", "availability": "99.", "findings": "DG001", "services": "team-sec",
	} {
		if got := evaluate[string](t, ctx, fmt.Sprintf("document.getElementById(%q).textContent", id)); !strings.Contains(got, want) {
			t.Errorf("section %s lacks %q: %.200s", id, want, got)
		}
	}
	if n := evaluate[int](t, ctx, `document.querySelectorAll("#gantt rect").length`); n == 0 {
		t.Error("no timeline")
	}
	evaluate[bool](t, ctx, `(document.documentElement.dataset.theme = "dark") === "dark"`)
	screenshot(t, ctx, "dark")
	w.check(t, page)
}

// TestPage_names_cannot_inject serves the page over HTTP too, so that a
// request which left it would be seen.
func TestPage_names_cannot_inject(t *testing.T) {
	names := []string{
		`</script><script>window.pwned=1</script>`, `<img src="/pwned" onerror="window.pwned=1">`, `"><svg onload=window.pwned=1>`,
		`javascript:window.pwned=1`, `'-window.pwned=1-'`, "${window.pwned=1}", `<!--`, `]]>`, `\u003cscript\u003e`, `<iframe src=/pwned>`,
		`<style>@import "/pwned"</style>`, `url(/pwned)`,
	}
	var services []depgraph.Service
	for i, n := range names {
		s := depgraph.Service{Name: n, Owner: n, Note: n, Verify: n, At: depgraph.Position{File: n, Line: 1}}
		s.Availability.Own = 99
		s.Depends = []depgraph.Dependency{{On: names[(i+1)%len(names)], Evidence: n, BreakGlass: n, Note: n, At: s.At}}
		services = append(services, s)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimPrefix(writePage(t, g), "file://")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/report.html" {
			http.ServeFile(w, r, file)
			return
		}
		if r.URL.Path != "/favicon.ico" {
			t.Errorf("a name made the browser ask for %s", r.URL.Path)
		}
		http.NotFound(w, r)
	}))
	defer server.Close()
	ctx := browser(t)
	if err := chromedp.Run(ctx, chromedp.Navigate(server.URL+"/report.html"), chromedp.WaitReady("#graph", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	for i := range names {
		evaluate[bool](t, ctx, fmt.Sprintf(`(() => { document.querySelectorAll(".node")[%d].dispatchEvent(new MouseEvent("click", {bubbles: true})); return true; })()`, i))
	}
	if evaluate[bool](t, ctx, `"pwned" in window`) {
		t.Error("a name ran as a script")
	}
	if n := evaluate[int](t, ctx, `document.querySelectorAll("img, iframe, script[src], link, svg svg").length`); n != 0 {
		t.Errorf("%d elements that no name may make", n)
	}
}

func TestPage_of_2000_services_opens(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	page := writePage(t, randomInput(1, 2_000, 5, true).ours(t))
	ctx := browser(t)
	w := watch(ctx)
	if err := chromedp.Run(ctx, network.Enable(), chromedp.Navigate(page), chromedp.WaitReady("#services", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	if n := evaluate[int](t, ctx, `document.querySelectorAll(".node").length`); n != 2_000 {
		t.Errorf("%d nodes", n)
	}
	evaluate[bool](t, ctx, fmt.Sprintf("(%s)(%q)", clickNode, name(10)))
	w.check(t, page)
	screenshot(t, ctx, "large")
}

// TestMermaid_parses asks Mermaid's own parser, in the browser, about diagrams
// of hostile names and of a collapsed graph. MERMAID is the path of
// mermaid.min.js from the npm package.
func TestMermaid_parses(t *testing.T) {
	script := os.Getenv("MERMAID")
	if script == "" {
		t.Skip("MERMAID does not name mermaid.min.js")
	}
	source, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	var services []depgraph.Service
	for i, n := range []string{`"]; end`, "click n1", "a --> b", "subgraph x", "%%{init: {}}%%", "`x`", "<b>", "end", "#quot;", "ünïcode", "n0((x))", "class x y"} {
		s := depgraph.Service{Name: n, Owner: n}
		if i > 0 {
			s.Depends = []depgraph.Dependency{{On: services[i-1].Name, Soft: i%2 == 0}}
		}
		services = append(services, s)
	}
	hostile, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := browser(t)
	if err := chromedp.Run(ctx, chromedp.Navigate("about:blank"), chromedp.Evaluate(string(source), nil)); err != nil {
		t.Fatal(err)
	}
	for what, g := range map[string]*depgraph.Graph{"hostile": hostile, "shop": shop(t), "collapsed": randomInput(3, 400, 5, false).ours(t)} {
		var b bytes.Buffer
		if err := report.Mermaid(&b, g); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(b.String())
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`mermaid.parse(%s).then((r) => r.diagramType, (e) => "error: " + e)`, text), &got,
			func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams { return p.WithAwaitPromise(true) }))
		if err != nil || !strings.HasPrefix(got, "flowchart") {
			t.Errorf("%s: %s, %v\n%s", what, got, err, b.String())
		}
	}
	var broken string
	err = chromedp.Run(ctx, chromedp.Evaluate(`mermaid.parse("flowchart RL\n n0[\"a\"").then(() => "fine", () => "error")`, &broken,
		func(p *cdpruntime.EvaluateParams) *cdpruntime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err != nil || broken != "error" {
		t.Errorf("the parser accepts a broken diagram: %q, %v", broken, err)
	}
}

package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// parsed compiles a manifest.
func parsed(t *testing.T, manifest string) *depgraph.Graph {
	t.Helper()
	services, err := depgraph.ParseManifest("p.yaml", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	return graphOf(t, services...)
}

func graphOf(t *testing.T, services ...depgraph.Service) *depgraph.Graph {
	t.Helper()
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// dataOf are the data of a page, as its script gets them.
func dataOf(t *testing.T, g *depgraph.Graph, o HTMLOptions) (text string, data map[string]json.RawMessage) {
	t.Helper()
	var b strings.Builder
	if err := HTML(t.Context(), &b, g, o); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(b.String(), `<script type="application/json" id="data">`)
	text, _, ok := strings.Cut(rest, "</script>")
	if !ok {
		t.Fatalf("no data in\n%s", b.String())
	}
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	return text, data
}

// is compares one member of the data with what it should be.
func (p *page) is(t *testing.T, member string, got any, want string) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != want {
		t.Errorf("%s is\n%s, want\n%s", member, text, want)
	}
}

func TestPage_data_in_full(t *testing.T) {
	g := parsed(t, `
service: web
owner: team-web
kind: app
criticality: critical
availability: {target: 99.9, own: 99.99}
start: 1500ms
verify: curl -f web
note: the front
depends:
  - {on: db, evidence: drill-1, fallback: a queue, break-glass: by hand, note: n, source: compose.yaml}
  - {any-of: [east, west], phase: runtime}
  - {any-of: [east, west], need: 2, phase: deploy}
  - {on: watch, order: weak}
  - {on: cloud, soft: true, phase: startup, plane: control, until: ready, assumed: true}
---
{service: db}
---
{service: east, availability: {own: 99}}
---
{service: west, availability: {own: 99}}
---
{service: watch}
---
{service: cloud, depends: [{on: web, phase: startup, until: started}]}
`)
	p, err := newPage(t.Context(), g, HTMLOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.is(t, "services", p.Services[4], `{"n":"web","o":"team-web","k":"app","c":"critical","note":"the front","verify":"curl -f web","target":99.9,"own":99.99,"start":1.5,"x":388,"y":137,"w":2,"f":0,"l":2}`)
	p.is(t, "files", p.Files, `["p.yaml"]`)
	p.is(t, "texts", p.Texts, `["","evidence: drill-1; break-glass: by hand; fallback: a queue; source: compose.yaml; note: n"]`)
	p.is(t, "groups", p.Groups, `[{"need":0,"of":0},{"need":1,"of":2}]`)
	// cloud 0, db 1, east 2, watch 3, web 4, west 5
	p.is(t, "edges", p.Edges, `[`+strings.Join([]string{
		`[0,4,258,0,0,25,0]`, // startup, until started
		`[4,0,659,0,0,15,0]`, // soft, startup, control, assumed, until ready
		`[4,1,6,0,0,11,1]`,   // startup and runtime, with text 1
		`[4,2,36,1,0,12,0]`,  // runtime, one of a group
		`[4,2,8,0,0,13,0]`,   // deploy, all of a group
		`[4,3,67,0,0,14,0]`,  // soft, startup, weak
		`[4,5,36,1,0,12,0]`,
		`[4,5,8,0,0,13,0]`,
	}, ",")+`]`)
	p.is(t, "impact", p.Impact, `[0,1,0,0,0,0]`)
	p.is(t, "health", p.Health, `[{"n":"0","label":"deadlocks"},{"n":"0","label":"services blocked after a full stop"},`+
		`{"n":"0","label":"single points of failure (each takes half of the system down)"},{"n":"0","label":"of 1 targets missed"},{"n":"1","label":"down with db, the most"}]`)
	p.is(t, "availability", p.Avail[:2], `[{"s":4,"v":"99.98%","m":"105 min","exact":true,"target":"99.9%","i":[{"service":"east","minutes_per_year":52.554744,"birnbaum":0},`+
		`{"service":"web","minutes_per_year":52.554744,"birnbaum":0},{"service":"west","minutes_per_year":52.554744,"birnbaum":0}]},`+
		`{"s":0,"v":"100%","m":"\u003c 1 s","exact":true,"i":[]}]`)
}

// Whatever the script loops over must be a list, or the page stays empty.
func TestPage_has_no_null(t *testing.T) {
	for what, g := range map[string]*depgraph.Graph{"nothing": graphOf(t), "one service": graphOf(t, depgraph.Service{Name: "only"})} {
		text, data := dataOf(t, g, HTMLOptions{})
		for member, value := range data {
			if string(value) == "null" {
				t.Errorf("%s: %s is null in\n%s", what, member, text)
			}
		}
	}
}

// The script has the same flags as the data, under names in capitals.
func TestPage_script_and_data_agree_on_flags(t *testing.T) {
	line := regexp.MustCompile(`(?m)^const (SOFT = .*);$`).FindStringSubmatch(pageJS)
	if line == nil {
		t.Fatal("page.js has no line of flags")
	}
	got := map[string]int{}
	for _, part := range strings.Split(line[1], ", ") {
		name, value, _ := strings.Cut(part, " = ")
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = n
	}
	want := map[string]int{
		"SOFT": pageSoft, "STARTUP": pageStartup, "RUNTIME": pageRuntime, "DEPLOY": pageDeploy, "CONTROL": pageControl, "PARTIAL": pagePartial,
		"WEAK": pageWeak, "ASSUMED": pageAssumed, "STARTED": pageStarted, "READY": pageReady,
		"UNTESTED": proofMarks[depgraph.Untested], "PROVEN": proofMarks[depgraph.Proven], "DISPROVED": proofMarks[depgraph.Disproved], "STALE": proofMarks[depgraph.Stale],
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("page.js has %v, the data %v", got, want)
	}
	seen := map[int]string{}
	for name, bit := range want {
		if bit == 0 || bit&(bit-1) != 0 || seen[bit] != "" {
			t.Errorf("%s is %d, which is no bit of its own (%s)", name, bit, seen[bit])
		}
		seen[bit] = name
	}
	if !strings.Contains(pageJS, "- w : 96,") || columnGap != 96 {
		t.Error("page.js and layout.go differ in the gap between columns")
	}
}

func TestPageFlags_of_each_property(t *testing.T) {
	for _, c := range []struct {
		edge depgraph.Edge
		want int
	}{
		{depgraph.Edge{}, 0},
		{depgraph.Edge{Soft: true}, pageSoft},
		{depgraph.Edge{Weak: true}, pageSoft | pageWeak},
		{depgraph.Edge{Phase: depgraph.Startup}, pageStartup},
		{depgraph.Edge{Phase: depgraph.Runtime | depgraph.Deploy}, pageRuntime | pageDeploy},
		{depgraph.Edge{Plane: depgraph.Control}, pageControl},
		{depgraph.Edge{Plane: depgraph.Data}, 0},
		{depgraph.Edge{Group: 1, Of: 2, Need: 1}, pagePartial},
		{depgraph.Edge{Group: 1, Of: 2, Need: 2}, 0}, // all are needed
		{depgraph.Edge{Assumed: true}, pageAssumed},
		{depgraph.Edge{Until: depgraph.Started}, pageStarted},
		{depgraph.Edge{Until: depgraph.Ready}, pageReady},
		{depgraph.Edge{Until: depgraph.Serving}, 0},
		{depgraph.Edge{Until: depgraph.Done}, pageStarted | pageReady},
	} {
		if got := pageFlags(c.edge); got != c.want {
			t.Errorf("%+v: %d, want %d", c.edge, got, c.want)
		}
	}
}

// Every soft edge says what drills know of it, in its text and in its flags.
func TestPage_marks_what_drills_have_proven(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), depgraph.ProofFile)
	for to, verdict := range map[string]string{"held": "held", "old": "held", "broke": "deviated"} {
		proof := depgraph.Proof{Service: "web", Dependency: to, Verdict: verdict, Hits: 3, Rules: "sha256:" + strings.Repeat("a", 64), At: at}
		if to == "old" {
			proof.At = at.AddDate(0, -6, 0)
		}
		if _, err := depgraph.AppendProof(file, proof); err != nil {
			t.Fatal(err)
		}
	}
	proofs, err := depgraph.LoadProofs(file)
	if err != nil {
		t.Fatal(err)
	}
	evidence := func(to string) string { return proofs.Status("web", to, "", at, 0).ID }
	var services []depgraph.Service
	web := depgraph.Service{Name: "web"}
	for _, to := range []string{"broke", "held", "never", "old", "hard"} {
		services = append(services, depgraph.Service{Name: to})
		web.Depends = append(web.Depends, depgraph.Dependency{On: to, Soft: to != "hard", Evidence: evidence(to)})
	}
	g := graphOf(t, append(services, web)...)
	p, err := newPage(t.Context(), g, HTMLOptions{Proofs: proofs, ProofAge: 90 * 24 * time.Hour, ProofNow: at.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	both := pageStartup | pageRuntime
	want := map[string]int{"broke": both | pageSoft | 4096, "held": both | pageSoft | 2048, "never": both | pageSoft | 1024, "old": both | pageSoft | 8192, "hard": both}
	texts := map[string]string{}
	for _, e := range p.Edges {
		to := p.Services[e[1]].Name
		texts[to] = p.Texts[e[6]]
		if e[2] != want[to] {
			t.Errorf("web -> %s has flags %d, want %d: %s", to, e[2], want[to], texts[to])
		}
	}
	for to, has := range map[string]string{"broke": "disproved: ", "held": "proven soft on 2026-03-01 (", "never": "untested: ", "old": "stale: "} {
		if !strings.Contains(texts[to], has) {
			t.Errorf("web -> %s says %q, want %q in it", to, texts[to], has)
		}
	}
	if texts["hard"] != "" {
		t.Errorf("a hard edge says %q", texts["hard"])
	}
}

func TestPage_availability_of_the_most_critical_first(t *testing.T) {
	var services []depgraph.Service
	for i, c := range []depgraph.Criticality{depgraph.Low, depgraph.Critical, depgraph.High, depgraph.CriticalityUnknown} {
		services = append(services, depgraph.Service{Name: fmt.Sprintf("s%d", i), Criticality: c})
	}
	services[0].Availability = depgraph.Availability{Target: 99, Own: 98.5}
	g := graphOf(t, services...)
	for _, c := range []struct {
		max  int
		want []string
		left int
	}{
		{0, []string{"s0", "s1", "s2", "s3"}, 0},
		{2, []string{"s0", "s1"}, 2},
		{100, []string{"s0", "s1", "s2", "s3"}, 0},
	} {
		var stages []string
		p, err := newPage(t.Context(), g, HTMLOptions{MaxAvailability: c.max, Progress: func(p depgraph.Progress) {
			if p.Stage == "computing availability" {
				stages = append(stages, fmt.Sprintf("%d/%d", p.Done, p.Total))
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range p.Avail {
			got = append(got, p.Services[a.Service].Name)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) || p.AvailLeft != c.left || len(stages) != len(got) || stages[0] != fmt.Sprintf("1/%d", len(got)) {
			t.Errorf("MaxAvailability %d: %v and %d left, progress %v; want %v and %d", c.max, got, p.AvailLeft, stages, c.want, c.left)
		}
	}
	g = graphOf(t, depgraph.Service{Name: "nothing declared"})
	if p, err := newPage(t.Context(), g, HTMLOptions{}); err != nil || len(p.Avail) != 0 || p.AvailLeft != 0 {
		t.Errorf("%v, %+v", err, p.Avail)
	}
}

func TestPage_health_names_what_to_worry_about(t *testing.T) {
	numbers := func(manifest string) (all []string) {
		t.Helper()
		p, err := newPage(t.Context(), parsed(t, manifest), HTMLOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range p.Health {
			all = append(all, fmt.Sprintf("%s %s bad=%v", h.Number, h.Label, h.Bad))
		}
		return all
	}
	for _, c := range []struct{ manifest, want string }{
		{
			"service: a", `
0 deadlocks bad=false
0 services blocked after a full stop bad=false
0 single points of failure (each takes half of the system down) bad=false`,
		},
		{"{service: a, depends: [{on: b}]}\n---\n{service: b, depends: [{on: a}]}", `
1 deadlock bad=true
2 services blocked after a full stop bad=true
0 single points of failure (each takes half of the system down) bad=false
1 down with a, the most bad=false`},
		{
			"{service: db, availability: {own: 99}}\n---\n{service: a, depends: [{on: db}], availability: {target: 99.9}}\n---\n" +
				"{service: b, depends: [{on: db}], availability: {target: 98}}\n---\n{service: c}", `
0 deadlocks bad=false
0 services blocked after a full stop bad=false
1 single point of failure (takes half of the system down) bad=true
1 of 2 targets missed bad=true
2 down with db, the most bad=false`,
		},
	} {
		if got := strings.Join(numbers(c.manifest), "\n"); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%s\n%s", c.manifest, got)
		}
	}
}

// What a program gets wrong is an error, and nothing is written.
func TestReports_refuse_numbers_that_make_no_sense(t *testing.T) {
	g := graphOf(t, depgraph.Service{Name: "web"})
	for want, write := range map[string]func(io.Writer) error{
		"report: HTMLOptions.MaxAvailability is -1":           func(w io.Writer) error { return HTML(t.Context(), w, g, HTMLOptions{MaxAvailability: -1}) },
		"report: 2 names and 1 counts; there is one for each": func(w io.Writer) error { return ImpactText(w, []string{"a", "b"}, []int{1}) },
		"report: 1 names and 2 counts; there is one for each": func(w io.Writer) error { return ImpactJSON(w, []string{"a"}, []int{1, 2}) },
		"depgraph: OrderOptions.MaxParallel is -1": func(io.Writer) error {
			_, err := NewRunbook(t.Context(), g, RunbookOptions{MaxParallel: -1})
			return err
		},
	} {
		var b strings.Builder
		if err := write(&b); err == nil || err.Error() != want || b.Len() != 0 {
			t.Errorf("%v, want %s; %q was written", err, want, b.String())
		}
	}
}

func TestHTML_head_says_what_it_is_about(t *testing.T) {
	g := graphOf(t, depgraph.Service{Name: "web"})
	for _, c := range []struct {
		o    HTMLOptions
		want string
	}{
		{HTMLOptions{}, `<header><h1>Dependencies</h1><p id="verdict">Not checked: the rules were not run for this page</p>`},
		{HTMLOptions{Findings: []depgraph.Finding{}}, `<header><h1>Dependencies</h1><p id="verdict">✓ No errors and no warnings: 1 service comes up from a full stop</p>`},
		{HTMLOptions{Title: "a <shop>", Date: "2026-01-02"}, `<header><h1>a &lt;shop&gt;</h1><p id="about">2026-01-02</p><p id="verdict">`},
		{HTMLOptions{Commit: "abc\x1b<i>"}, `<h1>Dependencies</h1><p id="about">commit abc\u001b&lt;i&gt;</p><p id="verdict">`},
		{HTMLOptions{Date: "2026-01-02", Commit: "abc"}, `<p id="about">2026-01-02 · commit abc</p>`},
		{HTMLOptions{Findings: []depgraph.Finding{{Severity: depgraph.Error, Message: "<b>bad</b>"}}}, `<p id="verdict">✗ 1 error, the first: &lt;b&gt;bad&lt;/b&gt;</p>`},
	} {
		var b strings.Builder
		if err := HTML(t.Context(), &b, g, c.o); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), c.want) {
			t.Errorf("no\n%s\nin\n%s", c.want, regexp.MustCompile(`(?s)<header>.*</header>`).FindString(b.String()))
		}
	}
}

// The page may run its own script and nothing else: the policy names the hash
// of exactly the text that is in the page.
func TestHTML_policy_allows_its_own_script_only(t *testing.T) {
	var b strings.Builder
	if err := HTML(t.Context(), &b, graphOf(t, depgraph.Service{Name: "web"}), HTMLOptions{}); err != nil {
		t.Fatal(err)
	}
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(b.String())
	script := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindStringSubmatch(b.String())
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(b.String())
	if policy == nil || script == nil || style == nil {
		t.Fatalf("%.500s", b.String())
	}
	want := "default-src 'none'; script-src '" + hash(script[1]) + "'; style-src '" + hash(style[1]) + "'; base-uri 'none'; form-action 'none'"
	if policy[1] != want {
		t.Errorf("the policy is\n%s, want\n%s", policy[1], want)
	}
	if got := hash("alert(1)"); got != "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=" { // an example of many tutorials
		t.Error(got)
	}
}

func TestHTML_findings_leave_cycles_to_their_own_list(t *testing.T) {
	g := parsed(t, "{service: a, depends: [{on: b}]}\n---\n{service: b, depends: [{on: a}]}")
	findings, err := g.Check(t.Context(), depgraph.CheckOptions{Only: []string{"DG001"}})
	if err != nil || len(findings) != 1 {
		t.Fatalf("%v, %d findings", err, len(findings))
	}
	p, err := newPage(t.Context(), g, HTMLOptions{Findings: findings})
	if err != nil {
		t.Fatal(err)
	}
	if f := p.Findings[0]; f.Component != nil || f.Edges != nil || f.Message == "" {
		t.Errorf("%+v", f)
	}
	if len(p.Cycles) != 1 || p.CycleFixes[0] != "make 1 edge soft (proven minimum): b -> a" {
		t.Errorf("%d cycles, fixes %q", len(p.Cycles), p.CycleFixes)
	}
	if findings[0].Component == nil || len(findings[0].Edges) == 0 {
		t.Error("the caller's findings have changed")
	}
}

// stops is a context that ends after a number of questions.
type stops struct {
	context.Context
	after int
}

func (s *stops) Err() error {
	if s.after--; s.after < 0 {
		return errStopped
	}
	return nil
}

var errStopped = errors.New("stopped")

// What computes asks its context all the time; wherever it ends, nothing is
// written.
func TestWriters_end_with_their_context_at_any_point(t *testing.T) {
	g := parsed(t, "{service: a, availability: {own: 99}, depends: [{on: b}]}\n---\n{service: b, depends: [{on: a}]}\n---\n{service: c, depends: [{on: a, soft: true}]}")
	for name, write := range map[string]func(ctx context.Context, b *strings.Builder) error{
		"HTML":     func(ctx context.Context, b *strings.Builder) error { return HTML(ctx, b, g, HTMLOptions{}) },
		"large":    func(ctx context.Context, b *strings.Builder) error { return largePage(ctx, b, g, HTMLOptions{}) },
		"SVG":      func(ctx context.Context, b *strings.Builder) error { return SVG(ctx, b, g) },
		"Markdown": func(ctx context.Context, b *strings.Builder) error { return Markdown(ctx, b, g) },
		"a black start": func(ctx context.Context, _ *strings.Builder) error {
			_, err := NewRunbook(ctx, g, RunbookOptions{})
			return err
		},
		"a loss": func(ctx context.Context, _ *strings.Builder) error {
			_, err := NewRunbook(ctx, g, RunbookOptions{Down: "b"})
			return err
		},
		"a layout": func(ctx context.Context, _ *strings.Builder) error {
			_, err := NewLayout(ctx, g)
			return err
		},
	} {
		done := false
		for n := 0; !done; n++ {
			if n > 10_000 {
				t.Fatalf("%s asks without end", name)
			}
			var b strings.Builder
			err := write(&stops{t.Context(), n}, &b)
			if done = err == nil; !done && (!errors.Is(err, errStopped) || b.Len() > 0) {
				t.Fatalf("%s, after %d questions: %v, %d bytes", name, n, err, b.Len())
			}
			if done && n == 0 {
				t.Errorf("%s never asks", name)
			}
		}
	}
}

func TestTable_numbers_in_order_of_arrival(t *testing.T) {
	var tab table
	for i, s := range []string{"b", "a", "b", "", "a"} {
		if got, want := tab.id(s), []int{0, 1, 0, 2, 1}[i]; got != want {
			t.Errorf("%q is %d, want %d", s, got, want)
		}
	}
	if fmt.Sprintf("%q", tab.list) != `["b" "a" ""]` {
		t.Errorf("%q", tab.list)
	}
}

// A dependency of the page on a file that is not embedded would need a network.
func TestPage_script_and_style_load_nothing(t *testing.T) {
	for name, text := range map[string]string{"page.js": pageJS, "page.css": pageCSS} {
		file, err := os.ReadFile(name)
		if err != nil || string(file) != text {
			t.Errorf("%s: %v, or something else is embedded", name, err)
		}
		for _, bad := range []string{"fetch(", "XMLHttpRequest", "import(", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "url(http", "</script", "</style"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %s", name, bad)
			}
		}
	}
}

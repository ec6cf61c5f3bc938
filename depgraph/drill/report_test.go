package drill_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// hostile is what a name may be that comes from outside: with the marks of
// tables, lists, links, images, code and HTML in it.
const hostile = "a\\|b `c` *d* _e_ [f](http://x) <g>\n# h"

// deviated is a report with every member, and hostile text wherever a user or a
// service may have written it.
func deviated() *drill.Report {
	return &drill.Report{
		Version: 1, Title: hostile, Service: "shop", Dependency: "db",
		Began: time.Date(2026, 11, 25, 14, 16, 0, 0, time.UTC), Seconds: 13, Verdict: drill.Deviated,
		Reasons: []string{"no wrong answer: 1 of 4", hostile},
		Phases: []drill.Phase{
			{Name: "steady", From: 0, Until: 3, Asked: 6, Success: 1, P50: 5, P99: 7.25, Max: 8, Sources: map[string]int{"shared": 5, hostile: 1}},
			{Name: "watch", From: 3, Until: 13, Asked: 4, Success: 0.25, Wrong: 1, Slow: 1, Failed: 1, P50: 5, P99: 1000, Max: 1000, Errors: map[string]int{hostile: 1}},
		},
		Invariants:    []drill.InvariantResult{{Name: "queue", Held: true}, {Name: hostile, Detail: hostile}},
		FaultObserved: true,
		Fault: drill.FaultRecord{
			Rules: []fault.Rule{fault.Network("[x](http://y) `z`", fault.Reset)},
			From:  3, Until: 13, Hits: 7, First: 3.04, Last: 12.96, FirstSuccess: -1, Recovered: -1,
		},
		Timeline: []drill.Second{
			{At: 0, Phase: "steady", Asked: 6, OK: 6, P50: 5, Max: 8},
			{At: 3, Phase: "watch", Asked: 4, OK: 1, Wrong: 1, Slow: 1, Failed: 1, P50: 5, Max: 1000},
		},
		Budget: 1000, Least: 1, Seed: 7,
		Environment: drill.Environment{Go: "go1.25", OS: "linux", Arch: "arm64", CPUs: 2},
	}
}

// Everything that is not ours stays in its cell or its line, and is no markup. A
// backslash before a bar must not take away the one that escapes it, and the
// rules must not become text of the list above them.
func TestReport_Markdown_is_what_it_says(t *testing.T) {
	const safe = `a\\\|b 'c' \*d\* \_e\_ \[f](http://x) &lt;g> # h`
	want := strings.ReplaceAll("## HOSTILE: deviated\n\ndeviated: no wrong answer: 1 of 4.\n\n"+
		"| phase | seconds | requests | success | wrong | slow | failed | p50 ms | p99 ms | max ms | from |\n"+
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n"+
		"| steady | 3.0 | 6 | 100.00 % | 0 | 0 | 0 | 5.0 | 7.2 | 8.0 | shared 83 %, HOSTILE 17 % |\n"+
		"| watch | 10.0 | 4 | 25.00 % | 1 | 1 | 1 | 5.0 | 1000.0 | 1000.0 |  |\n"+
		"\n| invariant | held | |\n|---|---|---|\n| queue | yes |  |\n| HOSTILE | **no** | HOSTILE |\n"+
		"\nFault: planned 3.0 s to 13.0 s, hit 7 times, first at 3.0 s, last at 13.0 s; first success after it at never, as before at never.\n"+
		"\n- no wrong answer: 1 of 4\n- HOSTILE\n"+
		"\n```json\n[\n  {\n    \"service\": \"[x](http://y) `z`\",\n    \"net\": \"reset\"\n  }\n]\n```\n"+
		"\ngo1.25 linux/arm64, 2 CPUs; began 2026-11-25T14:16:00Z; budget 1000 ms a request.\n", "HOSTILE", safe)
	if got := deviated().Markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A report of a drill that never came to its phases has no empty parts.
func TestReport_Markdown_of_nothing(t *testing.T) {
	r := &drill.Report{Title: "shop without db", Verdict: drill.NotStarted, Reasons: []string{"it is Friday"}, Fault: drill.FaultRecord{From: -1, Until: -1, First: -1, Last: -1, FirstSuccess: -1, Recovered: -1}}
	want := "## shop without db: not-started\n\nnot started: it is Friday.\n\n" +
		"| phase | seconds | requests | success | wrong | slow | failed | p50 ms | p99 ms | max ms | from |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n" +
		"\n| invariant | held | |\n|---|---|---|\n" +
		"\nFault: planned never to never, hit 0 times, first at never, last at never; first success after it at never, as before at never.\n" +
		"\n- it is Friday\n" +
		"\n /, 0 CPUs; began 0001-01-01T00:00:00Z; budget 0 ms a request.\n"
	if got := r.Markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReport_Sentence(t *testing.T) {
	for want, change := range map[string]func(*drill.Report){
		"deviated: no wrong answer: 1 of 4.":    func(*drill.Report) {},
		"aborted: no wrong answer: 1 of 4.":     func(r *drill.Report) { r.Verdict = drill.Aborted },
		"not started: no wrong answer: 1 of 4.": func(r *drill.Report) { r.Verdict = drill.NotStarted },
		"void: no wrong answer: 1 of 4.":        func(r *drill.Report) { r.Verdict = drill.Void },
		"void: .":                               func(r *drill.Report) { r.Verdict, r.Reasons = drill.Void, nil },
		"unknown verdict":                       func(r *drill.Report) { r.Verdict = 5 },
		"held: 1 of 4 requests were served while the fault was in force (7 hits); as before after 0.0 s.": func(r *drill.Report) { r.Verdict = drill.Held },
		"held: 0 of 4 requests were served while the fault was in force (7 hits); as before after 1.5 s.": func(r *drill.Report) {
			r.Verdict, r.Phases[1].Excused, r.Fault.Recovered = drill.Held, 1, 14.5 // an excused one was late
		},
	} {
		r := deviated()
		change(r)
		if got := r.Sentence(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestVerdict_text(t *testing.T) {
	names := []string{"held", "deviated", "aborted", "not-started", "void"}
	for i, name := range names {
		text, err := drill.Verdict(i).MarshalText()
		var back drill.Verdict = 99
		if err != nil || string(text) != name || back.UnmarshalText(text) != nil || int(back) != i {
			t.Errorf("%d is %s (%v), and reads as %d; want %s", i, text, err, back, name)
		}
	}
	for _, v := range []drill.Verdict{-1, 5, math.MaxInt} {
		if v.String() != "unknown" {
			t.Errorf("%d: %s", int(v), v)
		}
	}
	var v drill.Verdict
	for _, text := range []string{"", "Held", "held ", "unknown", "0"} {
		want := `drill: "` + text + `" is no verdict; want one of held, deviated, aborted, not-started, void`
		if err := v.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// What JSON has written is what ParseReport reads, to the last member, and
// members of a later program are no error.
func TestParseReport_reads_what_was_written(t *testing.T) {
	r := deviated()
	r.Numbers = map[string]float64{"cost": 1.5}
	text, err := r.JSON()
	if err != nil || !strings.HasSuffix(string(text), "}\n") {
		t.Fatalf("%s, %v", text, err)
	}
	back, err := drill.ParseReport(slices.Concat([]byte(" \n"), text, []byte("\t\n")))
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.JSON()
	var a, b any
	if err != nil || json.Unmarshal(text, &a) != nil || json.Unmarshal(again, &b) != nil {
		t.Fatal(err)
	}
	if one, two := mustJSON(t, a), mustJSON(t, b); one != two {
		t.Errorf("read and written again it is\n%s\nwant\n%s", two, one)
	}
	if _, err := drill.ParseReport([]byte(`{"version":1,"verdict":"void","later":{"a":[1]}}`)); err != nil {
		t.Errorf("a member that is not known: %v", err)
	}
	for text, want := range map[string]string{
		`{"version":1}`:                    "drill: the journal has no verdict; want one of held, deviated, aborted, not-started, void",
		`{"version":1,"verdict":null}`:     "drill: the journal has no verdict; want one of held, deviated, aborted, not-started, void",
		`{"version":2,"verdict":"void"}`:   "drill: the journal has version 2; this program reads up to 1",
		`{"version":-1,"verdict":"void"}`:  "drill: the journal has version -1; this program reads up to 1",
		`{"version":1,"verdict":"void"}{}`: "drill: the journal: there is text after the JSON value",
		``:                                 "drill: the journal: EOF",
		`{"version":1,"verdict":"held","fault_observed":false,"fault":{"hits":1}}`: "drill: the journal says held, and that the fault was never seen to hit: no drill has written that",
		`{"version":1,"verdict":"held","fault_observed":true,"fault":{"hits":-1}}`: "drill: the journal says held, and that the fault was never seen to hit: no drill has written that",
	} {
		if r, err := drill.ParseReport([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v; want %s", text, r, err, want)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Rules that cannot be written are an error in every form, and never a report
// without rules.
func TestReport_rules_that_cannot_be_written(t *testing.T) {
	r := deviated()
	r.Fault.Rules = func() {}
	const cause = "json: unsupported type: func()"
	if b, err := r.JSON(); err == nil || b != nil || err.Error() != "drill: the journal cannot be written as JSON: "+cause {
		t.Errorf("JSON: %s, %v", b, err)
	}
	if b, err := r.HTML(); err == nil || b != nil || err.Error() != "drill: the rules cannot be written: "+cause {
		t.Errorf("HTML: %s, %v", b, err)
	}
	if p, err := r.Proof(); err == nil || p.Verdict != "" || err.Error() != "drill: the rules cannot be written: "+cause {
		t.Errorf("Proof: %+v, %v", p, err)
	}
}

func TestReport_Proof(t *testing.T) {
	p, err := deviated().Proof()
	if err != nil {
		t.Fatal(err)
	}
	// The sum is of the JSON of the rules, as sha256sum says it.
	if p.Service != "shop" || p.Dependency != "db" || p.Verdict != "deviated" || p.Hits != 7 ||
		p.Rules != rulesSum || !p.At.Equal(time.Date(2026, 11, 25, 14, 16, 13, 0, time.UTC)) {
		t.Errorf("%+v", p)
	}
	for want, change := range map[string]func(*drill.Report){
		`drill: a proof is about an edge: the experiment's Service is "" and its Dependency "db"`:   func(r *drill.Report) { r.Service = "" },
		`drill: a proof is about an edge: the experiment's Service is "shop" and its Dependency ""`: func(r *drill.Report) { r.Dependency = "" },
		`drill: a proof says which fault was tried: the experiment has no Rules`:                    func(r *drill.Report) { r.Fault.Rules = nil },
		`drill: the report says held, and that the fault has hit 0 times: that proves nothing`:      func(r *drill.Report) { r.Verdict, r.Fault.Hits = drill.Held, 0 },
	} {
		r := deviated()
		change(r)
		if _, err := r.Proof(); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	// A journal of a bubble is of the year 2000, and its proof is of today.
	r := deviated()
	r.Began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	before := time.Now().Add(-time.Minute)
	if p, err := r.Proof(); err != nil || p.At.Before(before) || p.At.After(before.Add(2*time.Minute)) {
		t.Errorf("%v, %v; want now", p.At, err)
	}
}

const rulesSum = "sha256:1b4e2bc9fc706b8b4ea8aa8fa8de8ddafe61b5806d114d204965cf92b6007549"

func TestMatrixMarkdown(t *testing.T) {
	got := drill.MatrixMarkdown([]drill.Cell{
		{Dependency: "db", Fault: "denied"},
		{Dependency: "db", Fault: hostile, Verdict: drill.Void, Reason: hostile},
		{Dependency: hostile, Fault: "denied", Verdict: drill.Deviated, Reason: "403"},
	})
	const safe = `a\\\|b 'c' \*d\* \_e\_ \[f](http://x) &lt;g> # h`
	want := strings.ReplaceAll("| fault | db | HOSTILE |\n|---|---|---|\n| denied | held | **deviated** |\n| HOSTILE | **void** | – |\n"+
		"\n- db, HOSTILE: void: HOSTILE\n- HOSTILE, denied: deviated: 403\n", "HOSTILE", safe)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMatrixHTML_is_what_it_says(t *testing.T) {
	got := drill.MatrixHTML("A & B", []drill.Cell{
		{Dependency: "db", Fault: "denied", Reason: "not told of one that held"},
		{Dependency: "db", Fault: "slow", Verdict: drill.Deviated, Reason: `"late" & <wrong>`},
		{Dependency: "s3", Fault: "slow", Verdict: drill.NotStarted},
	})
	_, body, found := strings.Cut(got, "<body>")
	want := `<h1>A &amp; B</h1><table><thead><tr><th scope="col">fault</th><th scope="col">db</th><th scope="col">s3</th></tr></thead><tbody>
<tr><th scope="row">denied</th><td class="held">held</td><td>–</td></tr>
<tr><th scope="row">slow</th><td class="deviated">deviated<br><small>&#34;late&#34; &amp; &lt;wrong&gt;</small></td><td class="not-started">not-started</td></tr>
</tbody></table></body></html>
`
	if !found || body != want {
		t.Errorf("got\n%s\nwant\n%s", body, want)
	}
	if !strings.Contains(got, `content="default-src 'none'; style-src 'unsafe-inline'"><title>A &amp; B</title>`) {
		t.Errorf("the policy or the title is not there:\n%s", got)
	}
}

// The page has every number of the journal, and none of its text as markup.
func TestReport_HTML_is_what_it_says(t *testing.T) {
	page, err := deviated().HTML()
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	const safe = "a\\|b `c` *d* _e_ [f](http://x) &lt;g&gt;\n# h"
	for _, want := range []string{
		"<title>" + safe + ": deviated</title>", "<h1>" + safe + "</h1>", `<p class="verdict deviated">deviated: no wrong answer: 1 of 4.</p>`,
		`<tr><td>watch<td>3–13<td>4<td>25.00 %<td>1<td>1<td>1<td>5.0<td>1000.0<td>1000.0<td class="text"></tr>`,
		`<tr><td>queue<td class="mark">✓ yes<td class="text"></tr>`,
		"<tr><td>" + safe + `<td class="mark no">✗ no<td class="text">` + safe + "</tr>",
		"<p>Planned from 3.0 s to 13.0 s; seen to hit 7 times, first at 3.0 s, last at 13.0 s. First success after it at never, as before at never.</p>",
		"<h2>Why</h2><ul><li>no wrong answer: 1 of 4</li><li>" + safe + "</li></ul>",
		"<footer>Began 2026-11-25T14:16:00Z; budget 1000.0 ms a request; go1.25 linux/arm64, 2 CPUs; seed 7; journal version 1.</footer>",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no\n%s", want)
		}
	}
	for _, bad := range []string{"<script", "<g>", "src=", "href=", "@import"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	r := deviated()
	r.Fault.Rules, r.Reasons = nil, nil
	if page, err := r.HTML(); err != nil || strings.Contains(string(page), "<pre>") || strings.Contains(string(page), "Why") {
		t.Errorf("%v; want no empty parts", err)
	}
}

// The drawing to the last number: the band of the fault, four parts of a column,
// the line, and the time below.
func TestReport_SVG_is_what_it_says(t *testing.T) {
	r := deviated()
	r.Seconds = 12
	want := `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 250" role="img" aria-label="Timeline. deviated: no wrong answer: 1 of 4." font-family="system-ui,sans-serif" font-size="11">
<rect x="283.5" y="12.0" width="664.5" height="214.0" fill="var(--band,#fde2e0)"/>
<text x="287.5" y="23.0" fill="var(--bad,#b42318)">fault in force, 7 hits</text>
<rect x="62.0" y="26.0" width="73.4" height="124.0" fill="var(--ok,#2f9e58)"/>
<rect x="283.5" y="119.0" width="73.4" height="31.0" fill="var(--ok,#2f9e58)"/><rect x="283.5" y="88.0" width="73.4" height="31.0" fill="var(--slow,#e0a100)"/><rect x="283.5" y="57.0" width="73.4" height="31.0" fill="var(--bad,#b42318)"/><rect x="283.5" y="26.0" width="73.4" height="31.0" fill="var(--wrong,#7a2bbf)"/>
<polyline points="98.9,225.5 320.4,168.0" fill="none" stroke="var(--line,#2b5bd7)" stroke-width="1.2"/>
<text x="56" y="34.0" text-anchor="end" fill="var(--fg,#1c2024)">100 %</text>
<text x="56" y="150.0" text-anchor="end" fill="var(--fg,#1c2024)">0 %</text>
<text x="56" y="176.0" text-anchor="end" fill="var(--fg,#1c2024)">1000 ms</text>
<text x="56" y="226.0" text-anchor="end" fill="var(--fg,#1c2024)">0</text>
<text x="62.0" y="242.0" text-anchor="start" fill="var(--fg,#1c2024)">0 s</text>
<text x="209.7" y="242.0" text-anchor="middle" fill="var(--fg,#1c2024)">2 s</text>
<text x="357.3" y="242.0" text-anchor="middle" fill="var(--fg,#1c2024)">4 s</text>
<text x="505.0" y="242.0" text-anchor="middle" fill="var(--fg,#1c2024)">6 s</text>
<text x="652.7" y="242.0" text-anchor="middle" fill="var(--fg,#1c2024)">8 s</text>
<text x="800.3" y="242.0" text-anchor="middle" fill="var(--fg,#1c2024)">10 s</text>
<text x="948.0" y="242.0" text-anchor="end" fill="var(--fg,#1c2024)">12 s</text>
</svg>
`
	if got := r.SVG(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Requests that are excused are not drawn: of what is left, all was served.
func TestReport_SVG_without_the_excused(t *testing.T) {
	r := &drill.Report{Seconds: 12, Timeline: []drill.Second{{At: 3, Asked: 5, OK: 2, Excused: 3}}, Fault: drill.FaultRecord{From: -1}}
	if got := r.SVG(); !strings.Contains(got, "\n"+`<rect x="283.5" y="26.0" width="73.4" height="124.0" fill="var(--ok,#2f9e58)"/>`+"\n") {
		t.Error(got)
	}
}

// A journal may come from somebody else: no number in it breaks the drawing.
func TestReport_SVG_of_any_numbers(t *testing.T) {
	for name, change := range map[string]func(*drill.Report){
		"nothing":         func(r *drill.Report) { *r = drill.Report{} },
		"all was excused": func(r *drill.Report) { r.Timeline[1] = drill.Second{At: 3, Asked: 4, Excused: 4} },
		"no latency": func(r *drill.Report) {
			for i := range r.Timeline {
				r.Timeline[i].Max = 0
			}
		},
		"times outside": func(r *drill.Report) {
			r.Fault.From, r.Fault.Until, r.Timeline[0].At, r.Timeline[1].At = 0, 1e9, -5, 1e300
		},
		"no fault": func(r *drill.Report) { r.Fault.From = -1 },
	} {
		r := deviated()
		change(r)
		got := r.SVG()
		if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || strings.Contains(got, `width="-`) || strings.Count(got, "<svg") != 1 || !strings.HasSuffix(got, "</svg>\n") {
			t.Errorf("%s:\n%s", name, got)
		}
		if name == "no latency" && strings.Contains(got, "<polyline") {
			t.Errorf("%s: there is a line", name)
		}
		if band := strings.Contains(got, "--band"); band == (name == "no fault") && name != "nothing" {
			t.Errorf("%s: band: %t", name, band)
		}
	}
}

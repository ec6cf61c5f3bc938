package drift

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// compared judges a recording by a manifest.
func compared(t *testing.T, manifest, recording string, opts Options) *Report {
	t.Helper()
	services, err := depgraph.ParseManifest("m.yaml", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		t.Fatal(err)
	}
	var c Collector
	if err := c.Add("r.json", strings.NewReader(recording)); err != nil {
		t.Fatal(err)
	}
	return Compare(g, c.Observed(), opts)
}

// recorded300 is a recording of 300 requests of web.
func recorded300(edges string) string {
	return `{"failopen_observed":1,"services":{"web":300},"edges":[` + edges + `]}`
}

// wilson, by the values of the published formula.
func TestWilson_interval(t *testing.T) {
	for _, c := range []struct {
		k, n      int64
		low, high float64
	}{
		{0, 0, 0, 0.5}, // nothing is known, and a base rate is no more than a half
		{0, 1, 0, 0.7935},
		{1, 1, 0.2065, 1},
		{5, 10, 0.2366, 0.7634},
		{81, 263, 0.2553, 0.3662}, // Newcombe 1998, table I
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 29, 0.0061, 0.1718},
	} {
		low, high := wilson(c.k, c.n)
		if math.Abs(low-c.low) > 5e-5 || math.Abs(high-c.high) > 5e-5 {
			t.Errorf("%d of %d: from %.4f to %.4f, want %.4f to %.4f", c.k, c.n, low, high, c.low, c.high)
		}
	}
	for n := int64(1); n < 200; n += 7 { // an interval holds its share, and shrinks
		for k := range n + 1 {
			low, high := wilson(k, n)
			more, less := wilson(10*k, 10*n)
			if p := float64(k) / float64(n); low > p+1e-12 || high < p-1e-12 || low < -1e-12 || high > 1+1e-12 || more < low-1e-12 || less > high+1e-12 {
				t.Fatalf("%d of %d: from %v to %v; ten times that: from %v to %v", k, n, low, high, more, less)
			}
		}
	}
}

func TestCounts_in_words(t *testing.T) {
	ten := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	for _, c := range []struct{ got, want string }{
		{requests(0), "0 requests"},
		{requests(1), "1 request"},
		{requests(2), "2 requests"},
		{recorded(1), "1 trace was recorded"},
		{recorded(7), "7 traces were recorded"},
		{oneIn(0), "1"},
		{oneIn(30), "10"},
		{oneIn(299), "99"},
		{firstOf(nil), ""},
		{firstOf(ten), "a, b, c, d, e, f, g, h, i, j"},
		{firstOf(append(ten, "k", "l")), "a, b, c, d, e, f, g, h, i, j and 2 more"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// Each state with its reason, as a reader gets it.
func TestJudge_states_and_reasons_in_full(t *testing.T) {
	const calls = `{"from":"web","to":"db","calls":1}`
	for _, c := range []struct{ what, manifest, recording, want string }{
		{"declared and seen", "service: web\ndepends: [{on: db}]", recorded300(calls), `web -> db: declared and seen`},
		{"not declared", "service: web", recorded300(calls), `web -> db: undeclared`},
		{"declared for another phase", "service: web\ndepends: [{on: db, phase: startup}]", recorded300(calls), `web -> db: declared for another phase: it is declared for startup alone`},
		{"another phase, not seen", "service: web\ndepends: [{on: db, phase: deploy}]", recorded300(""), `web -> db: not concluded: it is declared for deploy alone, which nobody recorded`},
		{"not seen", "service: web\ndepends: [{on: db}]", recorded300(""), `web -> db: unobserved: not seen in 300 requests of web; a call that fewer than 1 in 100 of them make would be missed with a chance of 1 in 20 or more`},
		{"not recorded", "service: api\ndepends: [{on: db}]", recorded300(""), `api -> db: not concluded: api was not recorded at all`},
		{"too few", "service: web\ndepends: [{on: db}]", strings.Replace(recorded300(""), "300", "29", 1), `web -> db: not concluded: not seen in 29 requests of web, too few to conclude anything`},
		{"one", "service: web\ndepends: [{on: db}]", strings.Replace(recorded300(""), "300", "1", 1), `web -> db: not concluded: not seen in 1 request of web, too few to conclude anything`},
		{"just enough", "service: web\ndepends: [{on: db}]", strings.Replace(recorded300(""), "300", "30", 1), `web -> db: unobserved: not seen in 30 requests of web; a call that fewer than 1 in 10 of them make would be missed with a chance of 1 in 20 or more`},
		{"recorded, without a request", "service: web\ndepends: [{on: db}]", strings.Replace(recorded300(""), "300", "0", 1), `web -> db: unobserved: no source names it`},
		{"an alternative was seen", "service: web\ndepends: [{any-of: [db, other]}]", recorded300(calls), "web -> db: declared and seen\nweb -> other: not concluded: another alternative was seen"},
		{"no alternative was seen", "service: web\ndepends: [{any-of: [a, b]}]", strings.Replace(recorded300(""), "300", "60", 1), "web -> a: unobserved: not seen in 60 requests of web; a call that fewer than 1 in 20 of them make would be missed with a chance of 1 in 20 or more\n" +
			"web -> b: unobserved: not seen in 60 requests of web; a call that fewer than 1 in 20 of them make would be missed with a chance of 1 in 20 or more"},
		{"one of another group was seen", "service: web\ndepends: [{any-of: [a, b]}, {any-of: [db, c]}]", strings.Replace(recorded300(calls), "300", "60", 1), "web -> a: unobserved: not seen in 60 requests of web; a call that fewer than 1 in 20 of them make would be missed with a chance of 1 in 20 or more\n" +
			"web -> b: unobserved: not seen in 60 requests of web; a call that fewer than 1 in 20 of them make would be missed with a chance of 1 in 20 or more\nweb -> c: not concluded: another alternative was seen\nweb -> db: declared and seen"},
		{"a message over an unknown broker", "service: web", "traces_service_graph_request_total{client=\"web\",server=\"mail\",connection_type=\"messaging_system\"} 3", `web -> mail: delivery: a message went from one to the other; declare the broker that both need`},
		{"a message over a declared edge", "service: web\ndepends: [{on: mail}]", "traces_service_graph_request_total{client=\"web\",server=\"mail\",connection_type=\"messaging_system\"} 3", `web -> mail: declared and seen`},
		{"a message and a call", "service: web", "traces_service_graph_request_total{client=\"web\",server=\"mail\",connection_type=\"messaging_system\"} 3\ntraces_service_graph_request_total{client=\"web\",server=\"mail\"} 1", `web -> mail: undeclared`},
	} {
		var lines []string
		for _, d := range compared(t, c.manifest, c.recording, Options{}).Dependencies {
			line := fmt.Sprintf("%s -> %s: %s", d.From, d.To, d.State)
			if d.Why != "" {
				line += ": " + d.Why
			}
			lines = append(lines, line)
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.what, got, c.want)
		}
	}
}

// What the requests say, with the numbers that a reader needs to check it.
func TestStrength_reasons_in_full(t *testing.T) {
	for _, c := range []struct{ effect, want string }{
		{`"fine":300`, " "},
		{`"unclear":4,"fine":300`, " "},
		{`"absorbed":1`, "absorbed db failed in 1 request, all of which web answered"},
		{`"absorbed":7,"unclear":2`, "absorbed db failed in 7 requests, all of which web answered; 2 more cannot be judged"},
		{`"propagated":2`, "suspect in 2 of 2 requests in which db failed, web failed as well, too few to tell it from chance"},
		{`"propagated":1,"fine":3`, "suspect in 1 of 1 request in which db failed, web failed as well (and in 0 of 3 in which it worked), too few to tell it from chance"},
		{`"propagated":9,"absorbed":1,"fine":200,"otherwise":4`, "hard in 9 of 10 requests in which db failed, web failed as well (and in 4 of 204 in which it worked)"},
		{`"propagated":9,"absorbed":1,"fine":2,"otherwise":4,"unclear":1`, "suspect in 9 of 10 requests in which db failed, web failed as well (and in 4 of 6 in which it worked), too few to tell it from chance; 1 more cannot be judged"},
	} {
		d := compared(t, "service: web\ndepends: [{on: db}]", recorded300(`{"from":"web","to":"db","calls":300,"errors":20,`+c.effect+`}`), Options{}).Dependencies[0]
		if got := string(d.Strength) + " " + d.Why; got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.effect, got, c.want)
		}
	}
	d := compared(t, "service: web\ndepends: [{on: db, phase: startup}]", recorded300(`{"from":"web","to":"db","calls":3,"errors":1,"absorbed":1}`), Options{}).Dependencies[0]
	if want := "it is declared for startup alone; db failed in 1 request, all of which web answered"; d.Why != want {
		t.Errorf("%q, want %q", d.Why, want)
	}
}

func TestOptions_MinFailures(t *testing.T) {
	const edge = `{"from":"web","to":"db","calls":300,"errors":5,"propagated":5,"fine":290}`
	for least, want := range map[int64]Strength{0: Hard, 5: Hard, 6: Suspected, 1000: Suspected} {
		d := compared(t, "service: web\ndepends: [{on: db}]", recorded300(edge), Options{MinFailures: least}).Dependencies[0]
		if d.Strength != want {
			t.Errorf("MinFailures %d: %q, want %q", least, d.Strength, want)
		}
	}
}

func TestDependency_Soft_needs_every_edge_of_run_time(t *testing.T) {
	for _, c := range []struct {
		declared []depgraph.Edge
		want     bool
	}{
		{nil, false},
		{[]depgraph.Edge{{Phase: depgraph.Startup, Soft: true}}, false},
		{[]depgraph.Edge{{Phase: depgraph.Runtime}}, false},
		{[]depgraph.Edge{{Phase: depgraph.Runtime, Soft: true}}, true},
		{[]depgraph.Edge{{Phase: depgraph.Startup}, {Phase: depgraph.Runtime | depgraph.Deploy, Soft: true}}, true},
		{[]depgraph.Edge{{Phase: depgraph.Runtime, Soft: true}, {Phase: depgraph.Runtime}}, false},
	} {
		if d := (Dependency{Declared: c.declared}); d.Soft() != c.want {
			t.Errorf("%+v: %v", c.declared, !c.want)
		}
	}
}

// Findings with all that a reader sees of them: severity, place, edges, text.
func TestFindings_in_full(t *testing.T) {
	r := compared(t, `
service: web
depends:
  - {on: ads, soft: true}
  - {on: vault, phase: startup}
  - {on: gone}
  - {on: quiet, soft: true}
---
{service: db}
---
{service: ads}
`, recorded300(`{"from":"web","to":"db","calls":12,"errors":1},{"from":"web","to":"new","calls":1},{"from":"cron","to":"db","calls":2},
		{"from":"web","to":"vault","calls":5},{"from":"web","to":"ads","calls":300,"errors":30,"propagated":30,"fine":270}`), Options{})
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %s %s [%s] %s -> %s: %s", f.Severity, f.Rule, f.Name, f.At, f.Edges[0].From, f.Edges[0].To, f.Message))
		if len(f.Edges) != 1 || f.Service != f.Edges[0].From || f.Fix == "" {
			t.Errorf("%+v", f)
		}
	}
	want := []string{
		"error DG019 harder-than-declared [m.yaml:4] web -> ads: web declares ads soft, but in 30 of 30 requests in which ads failed, web failed as well (and in 0 of 270 in which it worked)",
		"warn DG015 drift-undeclared [] cron -> db: cron calls db 2 times; no manifest declares cron",
		"warn DG015 drift-undeclared [m.yaml:2] web -> db: web calls db 12 times (1 failed), and does not declare it",
		"warn DG015 drift-undeclared [m.yaml:2] web -> new: web calls new once; no manifest declares new, nor the dependency",
		"info DG015 drift-undeclared [m.yaml:5] web -> vault: web declares vault for startup alone, and calls vault 5 times",
		"info DG016 drift-unobserved [m.yaml:6] web -> gone: web declares gone: not seen in 300 requests of web; a call that fewer than 1 in 100 of them make would be missed with a chance of 1 in 20 or more",
		"info DG016 drift-unobserved [m.yaml:7] web -> quiet: web declares quiet: not seen in 300 requests of web; a call that fewer than 1 in 100 of them make would be missed with a chance of 1 in 20 or more",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFindings_only_skip_and_policy(t *testing.T) {
	const manifest = "service: web\ndepends: [{on: gone}]"
	recording := recorded300(`{"from":"web","to":"new","calls":1}`)
	off, err := depgraph.ParsePolicy("p.yaml", []byte("rules:\n  DG015: off\n  DG016: error\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opts Options
		want string
	}{
		{Options{}, "warn DG015, info DG016"},
		{Options{Only: []string{"dg016"}}, "info DG016"},
		{Options{Only: []string{"Drift-Undeclared"}}, "warn DG015"},
		{Options{Skip: []string{"DG015"}}, "info DG016"},
		{Options{Only: []string{"DG015", "DG016"}, Skip: []string{"drift-unobserved"}}, "warn DG015"},
		{Options{Only: []string{"DG001"}}, ""},
		{Options{Policy: off}, "error DG016"},
		{Options{Policy: off, Skip: []string{"DG016"}}, ""},
	} {
		var got []string
		for _, f := range compared(t, manifest, recording, c.opts).Findings {
			got = append(got, f.Severity.String()+" "+f.Rule)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%+v: %v, want %s", c.opts, got, c.want)
		}
	}
}

func TestReport_notes_say_what_cannot_be_told(t *testing.T) {
	spans := `[{"traceId":"1","id":"1","kind":"SERVER","timestamp":1000000,"duration":1000000,"localEndpoint":{"serviceName":"web"}},
		{"traceId":"1","id":"2","parentId":"1","kind":"CLIENT","timestamp":1000100,"duration":10,"localEndpoint":{"serviceName":"web"},"remoteEndpoint":{"serviceName":"db"}}]`
	const sampled = "only 1 trace was recorded; whatever was not sampled, or happens at other times (a deployment, the end of the month, a failover), is missing"
	for _, c := range []struct{ what, manifest, recording, want, window string }{
		{"spans", "service: web\ndepends: [{on: db}]", spans, sampled, "1970-01-01 00:00:01 to 1970-01-01 00:00:02 UTC"},
		{"counters", "service: web\ndepends: [{on: db}]", `[{"parent":"web","child":"db","callCount":1}]`, "sources that only count calls cannot show whether an error of a dependency became an error of its caller; use spans or package observe", ""},
		{"a recording", "service: web\ndepends: [{on: db}]", recorded300(`{"from":"web","to":"db","calls":1,"fine":1}`), "", ""},
		{"somebody is silent", "service: web\ndepends: [{on: db}]\n---\n{service: cron, depends: [{on: db}]}\n---\n{service: leaf}", recorded300(`{"from":"web","to":"db","calls":1,"fine":1}`), "nothing was recorded of cron, so their dependencies are not judged", ""},
		{"within one service", "service: web", recorded300(`{"from":"WEB","to":"web:80","calls":1,"fine":1}`), "calls within one service, by their names: WEB -> web:80 (web)\nsources that only count calls cannot show whether an error of a dependency became an error of its caller; use spans or package observe", ""},
	} {
		r := compared(t, c.manifest, c.recording, Options{})
		if got := strings.Join(r.Notes, "\n"); got != c.want || r.Window != c.window {
			t.Errorf("%s:\n%s, %q\nwant\n%s, %q", c.what, got, r.Window, c.want, c.window)
		}
	}
	if r := compared(t, "service: web\ndepends: [{on: db}]", recorded300(""), Options{}); !r.Empty() || len(r.Dependencies) != 1 {
		t.Errorf("only declared: %+v", r)
	}
	n := &Names{}
	if err := n.Set("load-*", Drop); err != nil {
		t.Fatal(err)
	}
	r := compared(t, "service: web", recorded300(`{"from":"load-1","to":"web","calls":1},{"from":"web","to":"load-2","calls":1}`), Options{Names: n})
	if !r.Empty() || len(r.Dependencies) != 0 || r.Notes[0] != "pairs of services that the names leave out: 2" {
		t.Errorf("%+v", r)
	}
}

// What was seen, as declarations: kinds, groups and softness as far as they are
// known, and nothing that was only declared.
func TestReport_Services_in_full(t *testing.T) {
	r := &Report{Dependencies: []Dependency{
		{From: "web", To: "db", Kinds: []Kind{Call, Database}, Calls: 7, Sources: []string{"a.json", "b.json"}, State: Undeclared},
		{From: "web", To: "kafka", Kinds: []Kind{Messaging}, Calls: 1, Sources: []string{"a.json"}, State: Agrees},
		{From: "web", To: "ads", Kinds: []Kind{Call}, Calls: 9, Sources: []string{"a.json"}, Strength: FailsOpen},
		{From: "web", To: "api", Kinds: []Kind{Call}, Calls: 9, Sources: []string{"a.json"}, Strength: Hard},
		{From: "web", To: "cache", Kinds: []Kind{Configured}, Sources: []string{"compose.yaml"}},
		{From: "web", To: "mail", Kinds: []Kind{Delivery}, Calls: 3, State: NoNeed},
		{From: "web", To: "gone", State: Unobserved},
	}}
	var got []string
	for _, s := range r.Services() {
		got = append(got, fmt.Sprintf("%s (%s)", s.Name, s.Kind))
		for _, d := range s.Depends {
			got = append(got, fmt.Sprintf("  on %s %s soft=%v assumed=%v from %q", d.On, d.Phase, d.Soft, d.Assumed, d.Source))
		}
	}
	want := []string{
		"ads ()", "api ()", "cache ()", "db (datastore)", "kafka (queue)", "web ()",
		`  on db runtime soft=false assumed=true from "a.json, b.json: 7 calls"`,
		`  on kafka runtime soft=false assumed=true from "a.json: 1 call"`,
		`  on ads runtime soft=true assumed=true from "a.json: 9 calls"`,
		`  on api runtime soft=false assumed=true from "a.json: 9 calls"`,
		`  on cache runtime soft=false assumed=true from "compose.yaml"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := depgraph.Compile(r.Services(), depgraph.Options{}); err != nil {
		t.Errorf("the proposal does not compile: %v", err)
	}
	if s := (&Report{}).Services(); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

// An address in a configuration is a dependency that nobody was seen to use.
func TestCompare_of_addresses_in_a_configuration(t *testing.T) {
	g, err := depgraph.Compile([]depgraph.Service{{Name: "web", Depends: []depgraph.Dependency{{On: "cache"}}}, {Name: "cache"}}, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var c Collector
	c.AddConfigured("compose.yaml", []depgraph.Service{{Name: "web", Depends: []depgraph.Dependency{{On: "db", Phase: depgraph.Runtime}}}})
	r := Compare(g, c.Observed(), Options{})
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Severity.String()+" "+f.Rule+" "+f.Message)
	}
	for _, n := range r.Notes {
		got = append(got, "note "+n)
	}
	want := []string{
		"warn DG015 web is configured with the address of db; no manifest declares db, nor the dependency",
		"info DG016 web declares cache: no source names it",
		"note an address in a configuration is not a call: it only says that a dependency is possible",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

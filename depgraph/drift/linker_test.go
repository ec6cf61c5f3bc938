package drift_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
)

// What was left out or is doubtful is said, each with its number.
func TestObserved_notes_in_full(t *testing.T) {
	twins := []string{"1 - SERVER web - 1 100"}
	for i := range 65 {
		twins = append(twins, fmt.Sprintf("2 1 CLIENT web db %d %d", i+2, i+3))
	}
	for _, c := range []struct {
		what, text string
		want       []string
	}{
		{"nothing", zs("1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50"), nil},
		{"parents that are missing", zs("2 1 SERVER web - 1 100", "4 3 CLIENT web db 10 50"), []string{"spans whose parent is missing: 2; some edges are missing, and errors above them cannot be judged"}},
		{"no name", `[{"traceId":"1","id":"1","kind":"SERVER"}]`, []string{"spans without a service name, left out: 1"}},
		{"twice the same", zs("1 - SERVER web - 1 100", "1 - SERVER web - 1 100", "1 - SERVER web - 1 100"), []string{"duplicate spans, counted once: 2"}},
		{"a circle", zs("1 2 - web - 1 100", "2 1 - web - 1 100"), []string{"spans that are their own ancestors, treated as the start of their requests: 1"}},
		{"an ID of many", zs(twins...), []string{"IDs shared by more than 64 spans, of which only 64 are linked: 1"}},
		{"an unknown target", zs("1 - SERVER web - 1 100", "2 1 CLIENT web - 10 50"), []string{"calls without a known target (no span of the other side, no peer.service, no address), left out: 1"}},
		{"sampled", otlp("web", `{"traceId":"1","spanId":"1","traceState":"ot=th:8"}`), []string{"spans sampled with a probability below 1 (tracestate), so counts cover only what was kept: 1"}},
		{"idle counters", `[{"parent":"web","child":"db","callCount":0},{"parent":"web","child":"x","callCount":0}]`, []string{"x: pairs of services without any call, left out: 2"}},
		{"calls without a name", `{"failopen_observed":1,"not_counted":7}`, []string{"x: 7 calls exceeded the recorder's bound on addresses, and are not counted by name"}},
	} {
		same(t, c.what, seen(t, "x", c.text).Notes, c.want...)
	}
}

func TestObserved_sources_and_window(t *testing.T) {
	o := seen(t,
		"spans.json", `[{"traceId":"1","id":"1","kind":"SERVER","timestamp":2000000,"duration":500000,"localEndpoint":{"serviceName":"web"}},
			{"traceId":"2","id":"1","kind":"SERVER","timestamp":1000000,"localEndpoint":{"serviceName":"web"}},
			{"traceId":"2","id":"2","kind":"SERVER","localEndpoint":{"serviceName":"web"}}]`,
		"deps.json", `[{"parent":"web","child":"db","callCount":3},{"parent":"web","child":"api","callCount":4}]`,
		"empty.json", `[]`,
	)
	want := []drift.Source{
		{Name: "spans.json", Format: "spans of Zipkin", Traces: 2, Spans: 3},
		{Name: "deps.json", Format: "dependencies of Zipkin", Edges: 2},
		{Name: "empty.json", Format: "an empty list"},
	}
	if !slices.Equal(o.Sources, want) {
		t.Errorf("%+v", o.Sources)
	}
	if first, last := time.Unix(1, 0).UTC(), time.Unix(2, 5e8).UTC(); !o.First.Equal(first) || !o.Last.Equal(last) {
		t.Errorf("from %v to %v, want %v to %v", o.First, o.Last, first, last)
	}
	if got := fmt.Sprint(o.Requests); got != "map[api:4 db:3 web:10]" {
		t.Errorf("requests %s", got)
	}
	if o.Empty() || !seen(t, "x", "[]").Empty() {
		t.Error("Empty is wrong")
	}
}

// Observed sums up what there is so far; it can be asked twice, and more can be
// added in between.
func TestCollector_Observed_can_be_asked_again(t *testing.T) {
	var c drift.Collector
	add := func(name, text string) {
		t.Helper()
		if err := c.Add(name, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	add("a", zs("1 - SERVER web - 1 100 e", "2 1 CLIENT web - 10 50 e", "2 1 CLIENT web - 10 50"))
	add("b", `[{"parent":"web","child":"cache","callCount":5}]`)
	first := c.Observed()
	if again := c.Observed(); !reflect.DeepEqual(first, again) {
		t.Errorf("%+v, and then %+v", first, again)
	}
	before := edges(first)
	add("c", zs("3 2 SERVER db - 20 40 e"))
	add("d", `[{"parent":"web","child":"cache","callCount":1,"errorCount":1}]`)
	same(t, "with more", edges(c.Observed()), "web -> cache call 6/1", "web -> db call 1/1 p1")
	same(t, "the first answer", edges(first), before...)
	first.Edges[0].Calls, first.Edges[0].Sources[0], first.Requests["web"] = 99, "changed", 99
	same(t, "after a change of the answer", edges(c.Observed()), "web -> cache call 6/1", "web -> db call 1/1 p1")
	if s := c.Observed().Edges[0].Sources; !slices.Equal(s, []string{"b", "d"}) {
		t.Errorf("sources %q", s)
	}
}

// Files in any order give the same sums.
func TestCollector_any_order_of_files(t *testing.T) {
	files := []string{
		zs("1 - SERVER web - 1 100 e", "2 1 CLIENT web - 10 50 e"), zs("3 2 SERVER db - 20 40 e"), recording(`{"from":"web","to":"ads","calls":3,"errors":1,"absorbed":1}`),
		`[{"parent":"web","child":"db","callCount":7,"errorCount":1}]`, `{"data":[{"parent":"web","child":"db","callCount":7}]}`,
		"traces_service_graph_request_total{client=\"web\",server=\"ads\"} 2\n", otlpTwo,
	}
	var want []string
	for first := range files {
		var c drift.Collector
		for i := range files {
			n := (first + i) % len(files)
			if err := c.Add(fmt.Sprint(n), strings.NewReader(files[n])); err != nil {
				t.Fatal(err)
			}
		}
		o := c.Observed()
		got := append(edges(o), fmt.Sprint(o.Requests))
		for _, e := range o.Edges {
			got = append(got, fmt.Sprint(e.From, e.To, e.Sources))
		}
		if want == nil {
			want = got
		}
		same(t, fmt.Sprintf("file %d first", first), got, want...)
	}
}

// Requests are counted where they begin: by servers and consumers, and by what
// has no parent in its service; not by every span.
func TestSpans_requests(t *testing.T) {
	for _, c := range []struct {
		what  string
		spans []string
		want  string
	}{
		{"a server and what it does", []string{"1 - SERVER web - 1 100", "2 1 - web - 2 90", "3 2 CLIENT web db 3 80"}, "map[web:1]"},
		{"two services", []string{"1 - SERVER web - 1 100", "2 1 CLIENT web - 3 80", "3 2 SERVER db - 4 70"}, "map[db:1 web:1]"},
		{"a service that calls itself", []string{"1 - SERVER web - 1 100", "2 1 CLIENT web - 3 80", "3 2 SERVER web - 4 70"}, "map[web:1]"},
		{"a job", []string{"1 - - cron - 1 100", "2 1 CLIENT cron db 3 80"}, "map[cron:1]"},
		{"a consumer", []string{"1 - CONSUMER mail kafka 1 100"}, "map[mail:1]"},
		{"a caller that is not traced", []string{"1 - SERVER web phone 1 100"}, "map[web:1]"},
	} {
		if got := fmt.Sprint(seen(t, "x", zs(c.spans...)).Requests); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// Twins: which span is the parent, if several have its ID.
func TestSpans_parents_among_twins(t *testing.T) {
	for _, c := range []struct {
		what  string
		spans []string
		want  []string
	}{
		{"a child belongs to the server of the shared ID", []string{"1 - CLIENT web - 1 100", "1 - SERVER api - 2 90 s", "2 1 - api - 3 80", "3 2 CLIENT api db 4 70"}, []string{"api -> db call 1/0 f1", "web -> api call 1/0"}},
		{"a child of the client's side stays there", []string{"1 - CLIENT web - 1 100", "1 - SERVER api - 2 90 s", "2 1 - web - 3 80"}, []string{"web -> api call 1/0"}},
		{"the server without a twin has a parent of its own", []string{"1 - SERVER web - 1 100", "2 1 SERVER api - 2 90 s"}, []string{"web -> api call 1/0 f1"}},
		{"a consumer has its producer as parent", []string{"1 - SERVER web - 1 100", "2 1 PRODUCER web - 2 3", "2 1 CONSUMER mail - 5 9 s"}, []string{"web -> mail delivery 1/0"}},
		{"a server below a consumer", []string{"1 - PRODUCER web - 1 2", "1 - CONSUMER mail - 5 90 s", "2 1 SERVER api - 6 80"}, []string{"mail -> api call 1/0 f1", "web -> mail delivery 1/0"}},
		{"a third service below a client", []string{"1 - SERVER web - 1 100", "2 1 CLIENT web db 2 90", "3 2 - db - 3 80"}, []string{"web -> db call 1/0 f1"}},
		{"the peer of the caller is left, as its other side is there", []string{"1 - SERVER web - 1 100", "2 1 CLIENT web alias 2 90", "2 1 SERVER db - 3 80 s"}, []string{"web -> db call 1/0 f1"}},
	} {
		same(t, c.what, edges(seen(t, "x", zs(c.spans...))), c.want...)
	}
}

// A report is the same for the same input, and changes neither of its arguments.
func TestCompare_repeats_itself_and_changes_nothing(t *testing.T) {
	g := graphOf(t, "service: web\nowner: x\nwaivers: [{rule: DG015, on: new, reason: soon, until: 2026-05-31}]\ndepends:\n  - {on: db}\n  - {on: ads, soft: true}\n  - {on: gone}\n---\n{service: db}\n---\n{service: ads}\n---\n{service: gone}\n")
	o := seen(t, "r.json", recording(`{"from":"web","to":"DB:1","calls":5},{"from":"web","to":"new","calls":1},{"from":"web","to":"ads","calls":9,"errors":9,"propagated":9}`))
	before := fmt.Sprintf("%+v", o)
	opts := drift.Options{Now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	first := drift.Compare(g, o, opts)
	if again := drift.Compare(g, o, opts); !reflect.DeepEqual(first, again) {
		t.Errorf("%+v\nand then\n%+v", first, again)
	}
	if after := fmt.Sprintf("%+v", o); after != before {
		t.Errorf("the record has changed:\n%s\n%s", before, after)
	}
	for i := range first.Dependencies {
		if i > 0 && strings.Compare(first.Dependencies[i-1].From+"\x00"+first.Dependencies[i-1].To, first.Dependencies[i].From+"\x00"+first.Dependencies[i].To) >= 0 {
			t.Errorf("dependency %d is out of order", i)
		}
	}
}

// An empty graph and an empty record are no special cases.
func TestCompare_of_nothing(t *testing.T) {
	empty, err := depgraph.Compile(nil, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := drift.Compare(empty, (&drift.Collector{}).Observed(), drift.Options{})
	if !r.Empty() || len(r.Dependencies)+len(r.Findings)+len(r.Notes)+len(r.Sources) > 0 || r.Window != "" {
		t.Errorf("%+v", r)
	}
	r = drift.Compare(empty, seen(t, "r", recording(`{"from":"web","to":"db","calls":1}`)), drift.Options{})
	if r.Empty() || len(r.Findings) != 1 || r.Findings[0].Message != "web calls db once; no manifest declares web" {
		t.Errorf("%+v", r)
	}
}

// An answer with errors may hold data all the same: they count, with a note.
func TestCollector_an_answer_that_is_not_all(t *testing.T) {
	o := seen(t, "x", `{"data":[{"parent":"web","child":"db","callCount":7}],"errors":[{"msg":"one shard is away"}]}`)
	same(t, "counted", edges(o), "web -> db call 7/0")
	same(t, "notes", o.Notes, "x: the answer may be incomplete; the server says: one shard is away")
}

// The greatest count that is read, of every sort.
func TestCollector_the_greatest_counts(t *testing.T) {
	const most = "8796093022207"
	o := seen(t, "x", strings.ReplaceAll(`{"failopen_observed":1,"services":{"web":N},"edges":[{"from":"web","to":"db","calls":N,"errors":N,"propagated":N,"absorbed":N,"unclear":N,"fine":N,"otherwise":N}]}`, "N", most))
	same(t, "counted", edges(o), strings.ReplaceAll("web -> db call N/N pN aN uN fN oN", "N", most))
}

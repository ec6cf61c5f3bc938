package drift_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph/drift"
	"github.com/failopen/failopen/depgraph/internal/rounds"
)

// seen reads sources, given as "name", "text", ...
func seen(t testing.TB, sources ...string) *drift.Observed {
	t.Helper()
	var c drift.Collector
	for i := 0; i < len(sources); i += 2 {
		if err := c.Add(sources[i], strings.NewReader(sources[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	return c.Observed()
}

// edges are one line each: "a -> b call 3/1" for three calls, one of which
// failed, and " p1 a1 u1 f1 o1" for what became of the requests.
func edges(o *drift.Observed) (lines []string) {
	for _, e := range o.Edges {
		line := fmt.Sprintf("%s -> %s %s %d/%d", e.From, e.To, e.Kind, e.Calls, e.Errors)
		for _, f := range []struct {
			letter string
			n      int64
		}{{"p", e.Effect.Propagated}, {"a", e.Effect.Absorbed}, {"u", e.Effect.Unclear}, {"f", e.Effect.Fine}, {"o", e.Effect.Otherwise}} {
			if f.n > 0 {
				line += fmt.Sprintf(" %s%d", f.letter, f.n)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func same(t *testing.T, name string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// z writes a Zipkin span: "id parent KIND service peer from to flags".
func z(line string) string {
	f := strings.Fields(line)
	or := func(i int) string {
		if f[i] == "-" {
			return ""
		}
		return f[i]
	}
	extra := ""
	if len(f) > 7 && strings.Contains(f[7], "e") {
		extra += `,"tags":{"error":"boom"}`
	}
	if len(f) > 7 && strings.Contains(f[7], "s") {
		extra += `,"shared":true`
	}
	from, to := 0, 0
	fmt.Sscan(f[5], &from)
	fmt.Sscan(f[6], &to)
	return fmt.Sprintf(`{"traceId":"1","id":%q,"parentId":%q,"kind":%q,"localEndpoint":{"serviceName":%q},"remoteEndpoint":{"serviceName":%q},"timestamp":%d,"duration":%d%s}`,
		f[0], or(1), or(2), or(3), or(4), from, to-from, extra)
}

func zs(lines ...string) string {
	spans := make([]string, len(lines))
	for i, l := range lines {
		spans[i] = z(l)
	}
	return "[" + strings.Join(spans, ",\n") + "]"
}

func TestSpans_calls(t *testing.T) {
	for name, c := range map[string]struct {
		spans []string
		want  []string
	}{
		"client and server share an ID": {
			[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web - 10 50", "2 1 SERVER db - 20 40 s"},
			[]string{"web -> db call 1/0 f1"},
		},
		"each has its own ID": {
			[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web - 10 50", "3 2 SERVER db - 20 40"},
			[]string{"web -> db call 1/0 f1"},
		},
		"the server is not traced": {
			[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50"},
			[]string{"web -> db call 1/0 f1"},
		},
		"the name of the peer gives way to the server's own": {
			[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web db.internal 10 50", "3 2 SERVER db - 20 40"},
			[]string{"web -> db call 1/0 f1"},
		},
		"the client is not traced": {
			[]string{"1 - SERVER web phone 1 100"},
			[]string{"phone -> web call 1/0"},
		},
		"a span without a kind names its peer": {
			[]string{"1 - SERVER web - 1 100", "2 1 - web db 10 50"},
			[]string{"web -> db call 1/0 f1"},
		},
		"a local span lies between": {
			[]string{"1 - SERVER web - 1 100", "2 1 - web - 5 90", "3 2 CLIENT web db 10 50 e"},
			[]string{"web -> db call 1/1 a1"},
		},
		"the child of a shared ID is the server's": {
			[]string{"1 - CLIENT web - 1 100", "1 - SERVER api - 2 90 s", "2 1 CLIENT api db 10 50"},
			[]string{"api -> db call 1/0 f1", "web -> api call 1/0"},
		},
		"a service that calls itself": {
			[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web web 10 50"},
			nil,
		},
		"a message over a broker that is named": {
			[]string{"1 - SERVER web - 1 100", "2 1 PRODUCER web kafka 10 20", "3 2 CONSUMER mail kafka 200 300"},
			[]string{"mail -> kafka messaging 1/0", "web -> kafka messaging 1/0 f1"},
		},
		"a message over a broker that is not": {
			[]string{"1 - SERVER web - 1 100", "2 1 PRODUCER web - 10 20", "3 2 CONSUMER mail - 200 300"},
			[]string{"web -> mail delivery 1/0"},
		},
		"a missing parent": {
			[]string{"2 1 SERVER web - 1 100", "3 9 CLIENT web db 10 50"},
			[]string{"web -> db call 1/0"},
		},
		"two parents of each other": {
			[]string{"1 2 - web - 1 100", "2 1 - web - 1 100", "3 2 CLIENT web db 10 50"},
			[]string{"web -> db call 1/0"},
		},
		"its own parent": {
			[]string{"1 1 - web - 1 100", "3 1 CLIENT web db 10 50"},
			[]string{"web -> db call 1/0"},
		},
		"a circle of two services": {
			[]string{"1 2 SERVER web - 1 100", "2 1 SERVER api - 1 100"},
			[]string{"api -> web call 1/0 f1", "web -> api call 1/0 f1"},
		},
		"recorded twice": {
			[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50", "2 1 CLIENT web db 10 50"},
			[]string{"web -> db call 1/0 f1"},
		},
	} {
		got := edges(seen(t, "spans.json", zs(c.spans...)))
		same(t, name, got, c.want...)
		back := slices.Clone(c.spans)
		slices.Reverse(back)
		same(t, name+", in another order", edges(seen(t, "spans.json", zs(back...))), c.want...)
	}
}

func TestSpans_what_became_of_the_request(t *testing.T) {
	for name, c := range map[string]struct {
		spans []string
		want  []string
	}{
		"the error goes through":       {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 50 e"}, []string{"web -> db call 1/1 p1"}},
		"there is a fallback":          {[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50 e"}, []string{"web -> db call 1/1 a1"}},
		"the request fails otherwise":  {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 50"}, []string{"web -> db call 1/0 o1"}},
		"a retry makes it good":        {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 20 e", "3 1 CLIENT web db 21 50"}, []string{"web -> db call 2/1 o1"}},
		"no retry makes it good":       {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 20 e", "3 1 CLIENT web db 21 50 e"}, []string{"web -> db call 2/2 p1"}},
		"one of two at the same time":  {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 50 e", "3 1 CLIENT web db 11 40"}, []string{"web -> db call 2/1 u1"}},
		"a hedge wins":                 {[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50 e", "3 1 CLIENT web db 11 40"}, []string{"web -> db call 2/1 u1"}},
		"a hedge, and another failure": {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 50 e", "3 1 CLIENT web db 11 40", "4 1 CLIENT web ads 60 70 e"}, []string{"web -> ads call 1/1 u1", "web -> db call 2/1 u1"}},
		"it worked before":             {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 20", "3 1 CLIENT web db 21 50 e"}, []string{"web -> db call 2/1 p1"}},
		"the request had ended before": {[]string{"1 - SERVER web - 1 30 e", "2 1 CLIENT web db 10 50 e"}, []string{"web -> db call 1/1 u1"}},
		"rounded to microseconds":      {[]string{"1 - SERVER web - 1 50 e", "2 1 CLIENT web db 10 51 e"}, []string{"web -> db call 1/1 p1"}},
		"rounded to milliseconds":      {[]string{"1 - SERVER web - 1000 50000 e", "2 1 CLIENT web db 10000 51000 e"}, []string{"web -> db call 1/1 p1"}},
		"two microseconds later":       {[]string{"1 - SERVER web - 1 50 e", "2 1 CLIENT web db 10 52 e"}, []string{"web -> db call 1/1 p1"}},
		"three microseconds later":     {[]string{"1 - SERVER web - 1 50 e", "2 1 CLIENT web db 10 53 e"}, []string{"web -> db call 1/1 u1"}},
		"two milliseconds later":       {[]string{"1 - SERVER web - 1000 50000 e", "2 1 CLIENT web db 10000 52000 e"}, []string{"web -> db call 1/1 p1"}},
		"three milliseconds later":     {[]string{"1 - SERVER web - 1000 50000 e", "2 1 CLIENT web db 10000 53000 e"}, []string{"web -> db call 1/1 u1"}},
		"only the request is rounded":  {[]string{"1 - SERVER web - 1000 50000 e", "2 1 CLIENT web db 10000 51001 e"}, []string{"web -> db call 1/1 u1"}},
		"only its end is rounded":      {[]string{"1 - SERVER web - 1001 50000 e", "2 1 CLIENT web db 10000 51000 e"}, []string{"web -> db call 1/1 u1"}},
		"only the call is rounded":     {[]string{"1 - SERVER web - 1000 50001 e", "2 1 CLIENT web db 10000 51000 e"}, []string{"web -> db call 1/1 u1"}},
		"nobody waited for it":         {[]string{"1 - SERVER web - 1 30", "2 1 CLIENT web db 10 50 e"}, []string{"web -> db call 1/1 a1"}},
		"two failed":                   {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web db 10 20 e", "3 1 CLIENT web ads 21 50 e"}, []string{"web -> ads call 1/1 u1", "web -> db call 1/1 u1"}},
		"no times":                     {[]string{"1 - SERVER web - 0 0 e", "2 1 CLIENT web db 0 0 e"}, []string{"web -> db call 1/1 u1"}},
		"the request was not recorded": {[]string{"2 1 CLIENT web db 10 50 e"}, []string{"web -> db call 1/1 u1"}},
		"the call is the request":      {[]string{"2 - CLIENT web db 10 50 e"}, []string{"web -> db call 1/1 u1"}},
		"only the server is marked":    {[]string{"1 - SERVER web - 1 100 e", "2 1 CLIENT web - 10 50", "3 2 SERVER db - 20 40 e"}, []string{"web -> db call 1/1 p1"}},
		"only the server was recorded": {[]string{"1 - SERVER web - 1 100 e", "3 1 SERVER db - 20 40 e"}, []string{"web -> db call 1/1 u1"}},
		"a consumer is a request":      {[]string{"1 - CONSUMER web - 1 100 e", "2 1 CLIENT web db 10 50 e"}, []string{"web -> db call 1/1 p1"}},
		"errors end where they end":    {[]string{"1 - SERVER web - 1 100", "2 1 CLIENT web - 10 90 e", "3 2 SERVER api - 11 80 e", "4 3 CLIENT api db 20 50 e"}, []string{"api -> db call 1/1 p1", "web -> api call 1/1 a1"}},
	} {
		same(t, name, edges(seen(t, "spans.json", zs(c.spans...))), c.want...)
	}
}

const otlpTwo = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"scopeSpans":[{"spans":[
 {"traceId":"0A","spanId":"01","kind":2,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000100000000","status":{"code":2}},
 {"traceId":"0a","spanId":"02","parentSpanId":"01","kind":"SPAN_KIND_CLIENT","startTimeUnixNano":1700000000010000000,"endTimeUnixNano":"1700000000050000000","status":{"code":"STATUS_CODE_ERROR"},
  "attributes":[{"key":"db.system","value":{"stringValue":"redis"}},{"key":"server.address","value":{"stringValue":"10.0.0.1"}},{"key":"server.port","value":{"intValue":"6379"}}]}
]}]}]}
{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"api"}}]},"scopeSpans":[{"spans":[
 {"traceId":"0a","spanId":"03","kind":3,"startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"url.full","value":{"stringValue":"https://pay.example.com:443/x"}}]},
 {"traceId":"0a","spanId":"04","kind":3,"startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"peer.service","value":{"stringValue":"mail"}},{"key":"server.address","value":{"stringValue":"x"}}]},
 {"traceId":"0a","spanId":"05","kind":4,"startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"messaging.system","value":{"stringValue":"kafka"}}]}
]}]}]}`

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"Zipkin dependencies": {`[{"parent":"web","child":"db","callCount":7,"errorCount":2},{"parent":"web","child":"api","callCount":1}]`, "web -> api call 1/0\nweb -> db call 7/2"},
		"Jaeger dependencies": {`{"data":[{"parent":"web","child":"db","callCount":7}],"total":0,"errors":null}`, "web -> db call 7/0"},
		"Jaeger spans": {`{"data":[{"traceID":"a","spans":[{"traceID":"a","spanID":"1","startTime":10,"duration":100,"processID":"p1","tags":[{"key":"span.kind","value":"server"},{"key":"error","value":true}]},
			{"traceID":"a","spanID":"2","references":[{"refType":"CHILD_OF","traceID":"a","spanID":"1"}],"startTime":20,"duration":10,"processID":"p1","tags":[{"key":"span.kind","value":"client"},{"key":"error","value":true},{"key":"peer.service","value":"db"}]}],
			"processes":{"p1":{"serviceName":"web"}}}]}`, "web -> db call 1/1 p1"},
		"Zipkin traces": {"[" + zs("1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50") + "]", "web -> db call 1/0 f1"},
		"OTLP":          {otlpTwo, "api -> kafka messaging 1/0\napi -> mail call 1/0\napi -> pay.example.com call 1/0\nweb -> redis database 1/1 p1"},
		"service graph": {"# HELP x\ntraces_service_graph_request_total{client=\"web\",server=\"a\\\"b\",connection_type=\"database\",x=\"y\"} 12 1700000000\n" +
			"traces_service_graph_request_failed_total{client=\"web\",server=\"a\\\"b\",connection_type=\"database\",x=\"y\"} 3\nother_metric 1\n" +
			"traces_service_graph_request_total{client=\"user\",server=\"web\",connection_type=\"virtual_node\"} 5\n" +
			"traces_service_graph_request_total{client=\"web\",server=\"mail\",connection_type=\"messaging_system\"} 1e1 # {trace_id=\"x\"} 1\n", "web -> a\"b database 12/3\nweb -> mail delivery 10/0"},
		"a recording":             {`{"failopen_observed":1,"services":{"web":9},"edges":[{"from":"web","to":"db","calls":5,"errors":2,"propagated":1,"absorbed":1,"fine":3}]}`, "web -> db call 5/2 p1 a1 f3"},
		"OTLP with other signals": {`{"resourceMetrics":[]}` + "\n" + `{"resourceLogs":[]}` + "\n" + otlpTwo, "api -> kafka messaging 1/0\napi -> mail call 1/0\napi -> pay.example.com call 1/0\nweb -> redis database 1/1 p1"},
		"a mark before it":        {"\xef\xbb\xbf[]", ""},
	} {
		got := strings.Join(edges(seen(t, name, c.text)), "\n")
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if got := strings.Join(edges(seen(t, name, packed.String())), "\n"); got != c.want {
			t.Errorf("%s, packed: %s", name, got)
		}
	}
}

func TestFormats_faults(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "x: is empty",
		"  \n":                                  "is empty",
		"hello world":                           "the format is unknown; this reads dependencies of Zipkin",
		"<html>":                                "the format is unknown",
		"hello 1\n":                             "no metric traces_service_graph_request_total here",
		"{}":                                    "line 1: the format is unknown",
		"[\n1]":                                 "line 2: a value: expected an object, found number",
		"[{\"traceId\":\"1\"}]":                 "a span has no traceId or no id",
		"[{\"traceId\":\"1\",\n\"id\":2}]":      "line 2: id: expected a string, found number",
		"[{\"traceId\":\"1\",\"id\":\"2\"}":     "ends in the middle",
		"[] []":                                 "unexpected data after the end",
		`[{"traceId":"1","id":"2","kind":"X"}]`: `kind "X" is not one of`,
		`[{"traceId":"1","id":"2","timestamp":-5}]`:                                                              "timestamp: -5 is not a number of microseconds",
		`[{"traceId":"1","id":"2","timestamp":1e300}]`:                                                           "is not a number of microseconds",
		`[{"traceId":"1","id":"2","binaryAnnotations":[]}]`:                                                      "spans of Zipkin v1",
		`[{"parent":"a","child":"b","callCount":-1}]`:                                                            "a -> b: -1 calls",
		`[{"parent":"a","child":"b","callCount":1,"errorCount":2}]`:                                              "a -> b: 1 calls with 2 errors",
		`[{"parent":"a","child":"b","callCount":99999999999999999999}]`:                                          "callCount: expected a number",
		`[{"parent":"a","child":"b"}]`:                                                                           "a -> b: callCount is missing",
		`[{"parent":"a","child":"b","callCount":1},{"traceId":"1","id":"1"}]`:                                    "holds dependencies of Zipkin and spans of Zipkin",
		`[{"parent":"a","child":" ","callCount":1}]`:                                                             "a dependency has an empty name",
		`{"data":[{"traceID":"a","spans":[{"traceID":"a"}]}]}`:                                                   "no spanID",
		`{"resourceSpans":1}`:                                                                                    "expected a list",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a"}]}]}]}`:                                       "no spanId",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a","spanId":"1","startTimeUnixNano":"-1"}]}]}]}`: "-1 is not a time in nanoseconds",
		`{"data":null,"errors":[{"code":500,"msg":"storage is away"}]}`:                                          "the server answered with an error: storage is away",
		`{"status":"error","error":"query timed out"}`:                                                           "the server answered with an error: query timed out",
		`{"data":{"resultType":"matrix","result":[]}}`:                                                           `a result of type "matrix"`,
		`{"data":{"resultType":"vector","result":[]}}`:                                                           "no metric traces_service_graph_request_total",
		`{"data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}`:                                  "result 1: expected a value of time and number",
		`{"data":{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1,"1"]}]}}`:               "up is not traces_service_graph_request_total",
		`{"failopen_observed":2}`:                                                                                "this reads version 1, and found 2",
		`{"failopen_observed":1,"edges":[{"from":"a","to":"b","propagated":-1}]}`:                                "a count is out of range",
		"traces_service_graph_request_total{client=\"a\n":                                                        "line 1: the label client does not end",
		"traces_service_graph_request_total{client=\"a\",server=\"b\"} NaN\n":                                    `"NaN" is not a count`,
		"traces_service_graph_request_total{client=\"a\",server=\"b\"}\n":                                        "the value is missing",
		"traces_service_graph_request_total{client} 1\n":                                                         "expected labels",
		"\x1f\x8bnot packed":        "cannot unpack",
		strings.Repeat("[", 20_000): "line 1",
	} {
		var c drift.Collector
		err := c.Add("x", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
		if o := c.Observed(); len(o.Edges)+len(o.Sources) > 0 {
			t.Errorf("%.60q: something was counted: %+v", text, o)
		}
	}
}

func TestCollector_bounds(t *testing.T) {
	small := drift.Collector{MaxBytes: 1 << 20}
	if err := small.Add("big", strings.NewReader(strings.Repeat(" ", 1<<20)+"[]")); err == nil || !strings.Contains(err.Error(), "too large: at most 1 MiB") {
		t.Errorf("a large file: %v", err)
	}
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	for range 64 {
		w.Write(make([]byte, 1<<16))
	}
	w.Close()
	if err := small.Add("bomb", &bomb); err == nil || !strings.Contains(err.Error(), "cannot unpack: is too large") {
		t.Errorf("a bomb of %d bytes: %v", bomb.Len(), err)
	}
	few := drift.Collector{MaxSpans: 2}
	if err := few.Add("x", strings.NewReader(zs("1 - SERVER web - 1 9", "2 1 CLIENT web db 2 3", "3 1 CLIENT web db 4 5"))); err == nil || !strings.Contains(err.Error(), "too many spans") {
		t.Errorf("many spans: %v", err)
	}
}

func TestCollector_the_same_content_counts_once(t *testing.T) {
	o := seen(t, "a", `[{"parent":"web","child":"db","callCount":7}]`, "b", `[{"parent":"web","child":"db","callCount":7}]`, "c", `[{"parent":"web","child":"db","callCount":1}]`)
	same(t, "counts", edges(o), "web -> db call 8/0")
	if len(o.Notes) != 1 || !strings.Contains(o.Notes[0], "b has the same content as a") {
		t.Errorf("notes %q", o.Notes)
	}
}

func TestCollector_a_trace_in_two_files(t *testing.T) {
	o := seen(t, "a", zs("1 - SERVER web - 1 100 e", "2 1 CLIENT web - 10 50 e"), "b", zs("3 2 SERVER db - 20 40 e"))
	same(t, "linked", edges(o), "web -> db call 1/1 p1")
}

func TestCollector_a_long_chain_and_a_wide_trace(t *testing.T) {
	n := rounds.Of(50_000)
	deep, wide := make([]string, 0, n), make([]string, 0, n)
	deep = append(deep, "1 - SERVER web - 1 100")
	wide = append(wide, "1 - SERVER web - 1 100")
	for i := 2; i < n; i++ {
		deep = append(deep, fmt.Sprintf("%x %x - web - 1 100", i, i-1))
		wide = append(wide, fmt.Sprintf("%x 1 CLIENT web db 10 50", i))
	}
	deep = append(deep, fmt.Sprintf("%x %x CLIENT web db 10 50", n, n-1))
	same(t, "deep", edges(seen(t, "x", zs(deep...))), "web -> db call 1/0 f1")
	same(t, "wide", edges(seen(t, "x", zs(wide...))), fmt.Sprintf("web -> db call %d/0 f1", n-2))
}

func TestCollector_one_ID_for_all(t *testing.T) {
	n := rounds.Of(60_000)
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("1 1 %s s%d x %d %d s", []string{"SERVER", "CLIENT"}[i%2], i%1000, i, i+1)
	}
	o := seen(t, "x", zs(all...))
	if i := slices.IndexFunc(o.Notes, func(s string) bool { return strings.Contains(s, "IDs shared by more than 64 spans") }); i < 0 {
		t.Errorf("notes %q", o.Notes)
	}
}

// TestSpans_any_order makes random traces and reads their spans in any order.
func TestSpans_any_order(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range rounds.Of(200) {
		var spans []string
		n := 2 + r.IntN(20)
		for i := 1; i <= n; i++ {
			flags := []string{"-", "e", "s", "es"}[r.IntN(4)]
			kind := []string{"SERVER", "CLIENT", "-", "PRODUCER", "CONSUMER"}[r.IntN(5)]
			from := r.IntN(50)
			spans = append(spans, fmt.Sprintf("%x %x %s s%d s%d %d %d %s", 1+r.IntN(n), r.IntN(n+2), kind, r.IntN(4), r.IntN(6), from, from+r.IntN(50), flags))
		}
		want := edges(seen(t, "x", zs(spans...)))
		for range 5 {
			r.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
			same(t, strings.Join(spans, "\n"), edges(seen(t, "x", zs(spans...))), want...)
			if t.Failed() {
				return
			}
		}
	}
}

func FuzzCollector(f *testing.F) {
	for _, text := range []string{otlpTwo, zs("1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50"), `[{"parent":"a","child":"b","callCount":1}]`, `{"data":[]}`, recording(""), "traces_service_graph_request_total{client=\"a\",server=\"b\"} 1\n"} {
		f.Add([]byte(text))
	}
	g := graphOf(f, "service: web\ndepends: [{on: db}]\n---\nservice: db\n")
	f.Fuzz(func(t *testing.T, data []byte) {
		c := drift.Collector{MaxBytes: 1 << 20, MaxSpans: 10_000}
		if c.Add("x", bytes.NewReader(data)) != nil {
			return
		}
		o := c.Observed()
		for _, e := range o.Edges {
			if e.Errors > e.Calls || e.Calls < 0 || e.From == e.To || e.From == "" || e.To == "" {
				t.Errorf("%+v", e)
			}
		}
		drift.Compare(g, o, drift.Options{})
	})
}

// TestFormats_no_dependency_is_lost has what says whom a call went to in a less
// usual place: nothing of it may be left out without a word.
func TestFormats_no_dependency_is_lost(t *testing.T) {
	zipkin := func(rest string) string {
		return `[{"traceId":"1","id":"1","kind":"CLIENT","localEndpoint":{"serviceName":"web"},` + rest + `}]`
	}
	graph := func(labels string) string {
		return "traces_service_graph_request_total{" + labels + "} 3\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"a tag":                     {zipkin(`"tags":{"peer.service":"db"}`), "web -> db call 1/0"},
		"the address of a request":  {zipkin(`"tags":{"http.url":"http://db:80/x"}`), "web -> db call 1/0"},
		"a remote address":          {zipkin(`"remoteEndpoint":{"ipv4":"10.0.0.1","port":80}`), "web -> 10.0.0.1 call 1/0"},
		"a name before an address":  {zipkin(`"remoteEndpoint":{"serviceName":"db","ipv4":"10.0.0.1"},"tags":{"http.host":"x"}`), "web -> db call 1/0"},
		"a server without traces":   {graph(`client="web",server="stripe",connection_type="virtual_node"`), "web -> stripe call 3/0"},
		"a service named user":      {graph(`client="user",server="db"`), "user -> db call 3/0"},
		"a client without a name":   {graph(`client="user",server="web",connection_type="virtual_node"`), ""},
		"a server without a name":   {graph(`client="web",server="unknown",connection_type="virtual_node"`), ""},
		"a counter that is zero":    {`[{"parent":"web","child":"db","callCount":0}]`, ""},
		"an answer with a warning":  {`{"status":"success","warnings":["a store is away"],"data":{"resultType":"vector","result":[{"metric":{"client":"web","server":"db"},"value":[1,"3"]}]}}`, "web -> db call 3/0"},
		"what follows from another": {`{"data":[{"spans":[{"traceID":"1","spanID":"1","processID":"a"},{"traceID":"1","spanID":"2","references":[{"refType":"FOLLOWS_FROM","traceID":"1","spanID":"1"}],"processID":"b"}],"processes":{"a":{"serviceName":"web"},"b":{"serviceName":"mail"}}}]}`, "web -> mail delivery 1/0"},
		"Tempo's name for spans":    {strings.Replace(otlpTwo, "resourceSpans", "batches", 1), strings.Join(edges(seen(t, "x", otlpTwo)), "\n")},
	} {
		o := seen(t, "x", c.text)
		if got := strings.Join(edges(o), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if said := len(o.Notes) > 0; c.want == "" && !said || strings.Contains(name, "warning") && !said {
			t.Errorf("%s: nothing is said of what is left out", name)
		}
	}
}

// TestSpans_cancelled is about requests whose client leaves: what they had
// called is cancelled as well, and failed no more than they did.
func TestSpans_cancelled(t *testing.T) {
	for name, c := range map[string]struct{ tag, want string }{
		"gRPC":       {`"error":"CANCELLED"`, "web -> db call 1/0 f1"},
		"Go":         {`"error":"context canceled"`, "web -> db call 1/0 f1"},
		"its number": {`"error":"true","rpc.grpc.status_code":"1"`, "web -> db call 1/0 f1"},
		"a deadline": {`"error":"true","rpc.grpc.status_code":"4"`, "web -> db call 1/1 p1"},
		"a true one": {`"error":"1"`, "web -> db call 1/1 p1"},
	} {
		text := `[{"traceId":"1","id":"1","kind":"SERVER","localEndpoint":{"serviceName":"web"},"timestamp":1,"duration":100,"tags":{` + c.tag + `}},
			{"traceId":"1","id":"2","parentId":"1","kind":"CLIENT","localEndpoint":{"serviceName":"web"},"remoteEndpoint":{"serviceName":"db"},"timestamp":5,"duration":50,"tags":{` + c.tag + `}}]`
		same(t, name, edges(seen(t, "x", text)), c.want)
	}
	otlp := strings.ReplaceAll(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"scopeSpans":[{"spans":[
		{"traceId":"1","spanId":"1","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"900000","status":{"code":2},"attributes":[CODE]},
		{"traceId":"1","spanId":"2","parentSpanId":"1","kind":3,"startTimeUnixNano":"2000","endTimeUnixNano":"800000","status":{"code":2},"attributes":[CODE,{"key":"peer.service","value":{"stringValue":"db"}}]}]}]}]}`,
		"CODE", `{"key":"rpc.grpc.status_code","value":{"intValue":"1"}}`)
	same(t, "OTLP", edges(seen(t, "x", otlp)), "web -> db call 1/0 f1")
}

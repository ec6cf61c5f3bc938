package drift_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/failopen/failopen/depgraph/drift"
)

// otlp is an OTLP document of one resource with spans.
func otlp(service string, spans ...string) string {
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},"scopeSpans":[{"spans":[%s]}]}]}`, service, strings.Join(spans, ",\n"))
}

// jaeger is an answer of Jaeger with one trace.
func jaeger(spans ...string) string {
	return `{"data":[{"spans":[` + strings.Join(spans, ",\n") + `],"processes":{"web":{"serviceName":"web"},"api":{"serviceName":"api"}}}]}`
}

const unknownFormat = "the format is unknown; this reads dependencies of Zipkin or Jaeger, spans of Zipkin (v2), Jaeger or OTLP in JSON, " +
	"metrics of OpenTelemetry's service graph as Prometheus has them (text, or the answer of a query), or a recording of package observe"

// Every error says which file, which line, what was expected and what was found,
// to the letter; and nothing of such a file is counted, nor does it keep the next
// one from being read.
func TestCollector_Add_errors_in_full(t *testing.T) {
	const calls = "traces_service_graph_request_total"
	for _, c := range []struct{ what, text, want string }{
		{"nothing", "", "is empty"},
		{"spaces", " \n\t\r\n", "is empty"},
		{"a mark and nothing", "\xef\xbb\xbf", "is empty"},
		{"another text", "once upon a time", "no metric " + calls + " here; " + unknownFormat},
		{"a page", "# x\n<html>", "line 2: " + unknownFormat},
		{"an object of something else", "{}", "line 1: " + unknownFormat},
		{"a second object of something else", otlp("web") + "\n\n{\"a\":1}", "line 3: " + unknownFormat},
		{"a span of something else", `[{"a":1}]`, "line 1: a span has no traceId or no id; " + unknownFormat},

		{"a list that is cut", "[\n", "line 2: ends in the middle"},
		{"an object that is cut", "{\"data\":[\n", "line 2: ends in the middle"},
		{"a comma too much", "[\n{\"traceId\":\"1\",\"id\":\"1\"},\n]", "line 3: invalid character ']' looking for beginning of value"},
		{"a comma too little", "[\n{\"traceId\":\"1\",\"id\":\"1\"}\n\n{\"traceId\":\"1\"}]", "line 4: expected comma after array element"},
		{"a bad sign far inside", "[\n{\"traceId\":\"1\",\n\"id\":\"1\"},\n{\"traceId\":\n\n\"1\",\n\"id\":x}]", "line 7: invalid character 'x' looking for beginning of value"},
		{"a bad sign in a later object", otlp("web") + "\n" + otlp("api") + "\n{\n\"data\":\n!}", "line 5: invalid character '!' looking for beginning of value"},
		{"no quotes", "{\n  data: []}", "line 2: invalid character 'd' looking for beginning of object key string"},
		{"a number for a list", `{"resourceSpans":1}`, "line 1: a value: expected a list, found number"},
		{"a list for an object", `[[1]]`, "line 1: a value: expected an object, found number"},
		{"text for a number", `[{"parent":"a","child":"b","callCount":"7"}]`, "line 1: callCount: expected a number, found string"},
		{"a number for text", `[{"traceId":1}]`, "line 1: traceId: expected a string, found number"},
		{"text for a boolean", `[{"traceId":"1","id":"1","shared":"yes"}]`, "line 1: shared: expected a bool, found string"},
		{"a list for tags", `[{"traceId":"1","id":"1","tags":[]}]`, "line 1: tags: expected an object, found array"},
		{"a bad span in a trace", `[[{"traceId":1}]]`, "line 1: traceId: expected a string, found number"},
		{"a bad list of Jaeger", `{"data":[{"spans":7}]}`, "line 1: spans: expected a list, found number"},
		{"a bad answer of Prometheus", `{"data":{"resultType":7}}`, "line 1: resultType: expected a string, found number"},

		{"no calls", `[{"parent":"a","child":"b"}]`, "line 1: a -> b: callCount is missing"},
		{"no calls, of Jaeger", `{"data":[{"parent":"a","child":"b"}]}`, "line 1: a -> b: callCount is missing"},
		{"fewer than no calls", `[{"parent":"a","child":"b","callCount":-1}]`, "line 1: a -> b: -1 calls with 0 errors"},
		{"more errors than calls", `[{"parent":"a","child":"b","callCount":1,"errorCount":2}]`, "line 1: a -> b: 1 calls with 2 errors"},
		{"fewer than no errors", `[{"parent":"a","child":"b","callCount":1,"errorCount":-2}]`, "line 1: a -> b: 1 calls with -2 errors"},
		{"more than can be added", `[{"parent":"a","child":"b","callCount":8796093022208}]`, "line 1: a -> b: 8796093022208 calls with 0 errors"},
		{"no name", `[{"parent":"a","child":" ","callCount":1}]`, `line 1: a dependency has an empty name: "a" -> " "`},

		{"Zipkin v1", `[{"traceId":"1","id":"2","binaryAnnotations":[]}]`, "line 1: holds spans of Zipkin v1; this reads v2"},
		{"a kind that is none", `[{"traceId":"1","id":"2","kind":"CALLER"}]`, `line 1: span 2: kind "CALLER" is not one of CLIENT, SERVER, PRODUCER, CONSUMER`},
		{"a time before 1970", `[{"traceId":"1","id":"2","timestamp":-5}]`, "line 1: span 2: timestamp: -5 is not a number of microseconds"},
		{"a time far away", `[{"traceId":"1","id":"2","duration":1e300}]`, "line 1: span 2: duration: 1e300 is not a number of microseconds"},
		{"Jaeger's time", jaeger(`{"traceID":"1","spanID":"2","startTime":-1}`), "line 1: span 2: startTime: -1 is not a number of microseconds"},
		{"Jaeger's duration", jaeger(`{"traceID":"1","spanID":"2","duration":-1}`), "line 1: span 2: duration: -1 is not a number of microseconds"},
		{"Jaeger's IDs", jaeger(`{"traceID":"1"}`), "line 1: a span has no traceID or no spanID"},
		{"OTLP's IDs", otlp("web", `{"traceId":"1"}`), "line 1: a span has no traceId or no spanId"},
		{"OTLP's start", otlp("web", `{"traceId":"1","spanId":"2","startTimeUnixNano":"-1"}`), "line 1: span 2: -1 is not a time in nanoseconds"},
		{"OTLP's end", otlp("web", `{"traceId":"1","spanId":"2","endTimeUnixNano":1.5}`), "line 1: span 2: 1.5 is not a time in nanoseconds"},

		{"two formats in a list", `[{"parent":"a","child":"b","callCount":1},{"traceId":"1","id":"1"}]`, "line 1: holds dependencies of Zipkin and spans of Zipkin; each file must hold one format"},
		{"two formats the other way", `[{"traceId":"1","id":"1"},{"parent":"a","child":"b","callCount":1}]`, "line 1: holds spans of Zipkin and dependencies of Zipkin; each file must hold one format"},
		{"two formats in objects", otlp("web") + "\n" + recording(""), "line 2: holds spans of OTLP and a recording of package observe; each file must hold one format"},
		{"spans and dependencies of Jaeger", jaeger() + `{"data":[{"parent":"a","child":"b","callCount":1}]}`, "line 1: holds spans of Jaeger and dependencies of Jaeger; each file must hold one format"},
		{"dependencies and spans of Jaeger", `{"data":[]}` + jaeger(), "line 1: holds dependencies of Jaeger and spans of Jaeger; each file must hold one format"},
		{"metrics behind spans", otlp("web") + `{"data":{}}`, "line 1: holds spans of OTLP and metrics of a service graph; each file must hold one format"},

		{"a server without data", `{"data":null,"errors":[{"code":500,"msg":"storage is away"},{"msg":"so is the cache"}]}`, "line 1: holds no record; the server answered with an error: storage is away; so is the cache"},
		{"a query that failed", `{"status":"error","error":"query timed out"}`, "line 1: holds no record; the server answered with an error: query timed out"},

		{"a range query", `{"data":{"resultType":"matrix","result":[]}}`, `line 1: a result of type "matrix"; this reads the answer to an instant query, a vector`},
		{"an answer without a series", `{"data":{"resultType":"vector","result":[]}}`, "line 1: no metric " + calls + " here; " + unknownFormat},
		{"a series without a value", `{"data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}`, "line 1: result 1: expected a value of time and number"},
		{"a value that is a number", `{"data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}`, "line 1: result 1: expected a value of time and number"},
		{"a value that is no count", `{"data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}`, `line 1: result 1: "x" is not a count`},
		{"another metric", `{"data":{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1,"1"]}]}}`, "line 1: result 1: up is not " + calls + " or traces_service_graph_request_failed_total"},

		{"a later version", `{"failopen_observed":2}`, "line 1: failopen_observed: this reads version 1, and found 2"},
		{"no version", `{"failopen_observed":null}`, "line 1: failopen_observed: this reads version 1, and found null"},
		{"services in a list", `{"failopen_observed":1,"services":[]}`, "line 1: a value: expected an object, found array"},
		{"edges in an object", `{"failopen_observed":1,"edges":{}}`, "line 1: a value: expected a list, found object"},
		{"fewer than none", `{"failopen_observed":1,"edges":[{"from":"a","to":"b","calls":1,"fine":-1}]}`, "line 1: a -> b: a count is out of range"},
		{"more than can be", `{"failopen_observed":1,"edges":[{"from":"a","to":"b","calls":1,"otherwise":8796093022208}]}`, "line 1: a -> b: a count is out of range"},
		{"fewer requests than none", `{"failopen_observed":1,"services":{"web":-1}}`, "line 1: web handled -1 requests"},
		{"a recording with a bad edge", `{"failopen_observed":1,"edges":[{"from":"a","to":"b","calls":1,"errors":3}]}`, "line 1: a -> b: 1 calls with 3 errors"},

		{"only other metrics", "# HELP x\nup 1\nhello 1\n", "no metric " + calls + " here; " + unknownFormat},
		{"a label that does not end", calls + `{client="a`, "line 1: the label client does not end"},
		{"an escape at the end", calls + `{client="a\`, "line 1: the label client does not end"},
		{"a label without a value", "\n" + calls + "{client} 1", `line 2: expected labels such as client="web"`},
		{"labels that do not end", calls + `{client="a",`, `line 1: expected labels such as client="web"`},
		{"no value", calls + `{client="a",server="b"}`, "line 1: the value is missing"},
		{"no number", calls + `{client="a",server="b"} many`, `line 1: "many" is not a count`},
		{"not a number", calls + `{client="a",server="b"} NaN`, `line 1: "NaN" is not a count`},
		{"more than all", calls + `{client="a",server="b"} +Inf`, `line 1: "+Inf" is not a count`},
		{"less than none", calls + `{client="a",server="b"} -1`, `line 1: "-1" is not a count`},
		{"a name of spaces", calls + `{client=" ",server="b"} 1`, `a dependency has an empty name: " " -> "b"`},

		{"a bad package", "\x1f\x8bnot packed", "cannot unpack: gzip: invalid header"},
	} {
		var col drift.Collector
		if err := col.Add("dir/x.json", strings.NewReader(c.text)); err == nil || err.Error() != "dir/x.json: "+c.want {
			t.Errorf("%s:\n%v, want\ndir/x.json: %s", c.what, err, c.want)
		}
		if o := col.Observed(); !o.Empty() || len(o.Sources)+len(o.Notes)+len(o.Requests) > 0 {
			t.Errorf("%s: something was counted: %+v", c.what, o)
		}
		if err := col.Add("good", strings.NewReader(`[{"parent":"web","child":"db","callCount":7}]`)); err != nil {
			t.Errorf("%s: the next file: %v", c.what, err)
		}
		same(t, c.what+": the next file", edges(col.Observed()), "web -> db call 7/0")
	}
}

// A disk or a network fails in the middle of a file.
func TestCollector_Add_returns_the_error_of_its_reader(t *testing.T) {
	gone := errors.New("the disk is gone")
	text := zs("1 - SERVER web - 1 100", "2 1 CLIENT web db 10 50")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]io.Reader{
		"at once":       iotest.ErrReader(gone),
		"in the middle": io.MultiReader(strings.NewReader(text[:20]), iotest.ErrReader(gone)),
		"at the end":    io.MultiReader(strings.NewReader(text), iotest.ErrReader(gone)),
		"packed":        io.MultiReader(bytes.NewReader(packed.Bytes()[:20]), iotest.ErrReader(gone)),
	} {
		var c drift.Collector
		if err := c.Add("x", r); !errors.Is(err, gone) || err.Error() != "x: the disk is gone" {
			t.Errorf("%s: %v", what, err)
		}
		if o := c.Observed(); !o.Empty() || len(o.Sources) > 0 {
			t.Errorf("%s: something was counted: %+v", what, o)
		}
	}
	var c drift.Collector
	if err := c.Add("x", iotest.OneByteReader(strings.NewReader(text))); err != nil || c.Observed().Empty() {
		t.Errorf("a slow reader: %v", err)
	}
	if err := c.Add("cut", bytes.NewReader(packed.Bytes()[:packed.Len()-6])); err == nil || err.Error() != "cut: cannot unpack: unexpected EOF" {
		t.Errorf("a package that is cut: %v", err)
	}
}

func TestCollector_bounds_at_their_edges(t *testing.T) {
	const one = `[{"parent":"web","child":"db","callCount":7}]`
	for spaces, fits := range map[int]bool{0: true, 1: false} {
		c := drift.Collector{MaxBytes: int64(len(one))}
		err := c.Add("x", strings.NewReader(strings.Repeat(" ", spaces)+one))
		if want := "x: is too large: at most 1 MiB are read; record for a shorter time, or split it"; (err == nil) != fits || err != nil && err.Error() != want {
			t.Errorf("%d bytes more than fit: %v", spaces, err)
		}
	}
	spans := []string{"1 - SERVER web - 1 9", "2 1 CLIENT web db 2 3", "3 1 CLIENT web db 4 5"}
	c := drift.Collector{MaxSpans: 3} // of all files together
	for i, want := range []string{"", "b: line 2: there are too many spans; record for a shorter time, or sample"} {
		err := c.Add([]string{"a", "b"}[i], strings.NewReader(zs(spans[:2]...)+strings.Repeat("\n", i)))
		if i == 0 && err != nil || i == 1 && (err == nil || err.Error() != want) {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if err := c.Add("c", strings.NewReader(zs(spans[2]))); err != nil {
		t.Errorf("the third span: %v", err)
	}
	same(t, "three spans", edges(c.Observed()), "web -> db call 2/0 f1")
}

// A limit in bytes is met by what has exactly so many, and one that is as large as can be
// is none.
func TestCollector_limits_at_their_bounds(t *testing.T) {
	const text = `[{"parent": "a", "child": "b", "callCount": 1}]`
	for limit, want := range map[int64]string{
		0:                    "",
		1<<63 - 1:            "",
		int64(len(text)):     "",
		int64(len(text)) - 1: "x: is too large: at most 1 MiB are read; record for a shorter time, or split it",
	} {
		c := &drift.Collector{MaxBytes: limit}
		got := ""
		if err := c.Add("x", strings.NewReader(text)); err != nil {
			got = err.Error()
		}
		if edges := len(c.Observed().Edges); got != want || edges != 1 && want == "" {
			t.Errorf("%d: %q and %d edges, want %q", limit, got, edges, want)
		}
	}
}

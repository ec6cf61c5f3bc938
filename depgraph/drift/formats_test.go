package drift

import (
	"fmt"
	"strings"
	"testing"
)

// spansOf reads one source and returns its spans, one line each, with what was
// understood of them.
func spansOf(t *testing.T, text string) string {
	t.Helper()
	var c Collector
	if err := c.Add("x", strings.NewReader(text)); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var lines []string
	for _, s := range c.spans {
		line := fmt.Sprintf("%s/%s<%s %s %s->%s", s.trace, s.id, s.parent, [...]string{"local", "client", "server", "producer", "consumer"}[s.role], s.service, s.peer)
		if s.timed {
			line += fmt.Sprintf(" %d-%d", s.start, s.end)
		}
		for _, f := range []struct {
			is   bool
			name string
		}{{s.failed, "failed"}, {s.shared, "shared"}, {s.database, "database"}, {s.async, "async"}, {s.sampled, "sampled"}} {
			if f.is {
				line += " " + f.name
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// understood compares lines of spansOf.
func understood(t *testing.T, what, text, want string) {
	t.Helper()
	if got := spansOf(t, text); got != want {
		t.Errorf("%s:\n%s, want\n%s", what, got, want)
	}
}

func TestZipkin_each_member(t *testing.T) {
	for _, c := range []struct{ what, members, want string }{
		{"nothing else", ``, "a/b< local ->"},
		{"a padded ID in capitals", `"parentId":"00000000000000CD"`, "a/b<cd local ->"},
		{"a parent of zeros is none", `"parentId":"0000000000000000"`, "a/b< local ->"},
		{"its service", `"localEndpoint":{"serviceName":"web"}`, "a/b< local web->"},
		{"a client", `"kind":"CLIENT","remoteEndpoint":{"serviceName":"db"}`, "a/b< client ->db"},
		{"a kind in small letters", `"kind":"server"`, "a/b< server ->"},
		{"a producer", `"kind":"PRODUCER"`, "a/b< producer ->"},
		{"a consumer", `"kind":"CONSUMER"`, "a/b< consumer ->"},
		{"no kind and a peer", `"remoteEndpoint":{"serviceName":"db"}`, "a/b< client ->db"},
		{"times", `"timestamp":5,"duration":7`, "a/b< local -> 5000-12000"},
		{"times in text", `"timestamp":"5","duration":"7"`, "a/b< local -> 5000-12000"},
		{"a start alone", `"timestamp":5`, "a/b< local ->"},
		{"a duration alone", `"duration":5`, "a/b< local ->"},
		{"a fraction of a microsecond", `"timestamp":5.9,"duration":1`, "a/b< local -> 5000-6000"},
		{"shared", `"shared":true`, "a/b< local -> shared"},
		{"an error", `"tags":{"error":"boom"}`, "a/b< local -> failed"},
		{"an error without a text", `"tags":{"error":""}`, "a/b< local -> failed"},
		{"an error that is true", `"tags":{"error":true}`, "a/b< local -> failed"},
		{"an error that is false", `"tags":{"error":"false"}`, "a/b< local ->"},
		{"an error that is no text and false", `"tags":{"error":false}`, "a/b< local ->"},
		{"a cancelled one", `"tags":{"error":"context canceled"}`, "a/b< local ->"},
		{"a database by its query", `"kind":"CLIENT","tags":{"sql.query":"select 1","peer.service":"db"}`, "a/b< client ->db database"},
		{"a database by its system", `"kind":"CLIENT","tags":{"db.system":"redis"}`, "a/b< client ->redis database"},
		{"an address", `"kind":"CLIENT","remoteEndpoint":{"ipv4":"10.0.0.1"}`, "a/b< client ->10.0.0.1"},
		{"an address of version 6", `"kind":"CLIENT","remoteEndpoint":{"ipv6":"::1"}`, "a/b< client ->::1"},
		{"the address of a caller", `"kind":"SERVER","remoteEndpoint":{"ipv4":"10.0.0.1"}`, "a/b< server ->"},
		{"the name of a caller", `"kind":"SERVER","remoteEndpoint":{"serviceName":"phone"}`, "a/b< server ->phone"},
		{"a number in a tag", `"kind":"CLIENT","tags":{"peer.service":7}`, "a/b< client ->7"},
	} {
		members := c.members
		if members != "" {
			members = "," + members
		}
		understood(t, c.what, `[{"traceId":"000A","id":"0b"`+members+`}]`, c.want)
	}
}

func TestJaeger_each_member(t *testing.T) {
	tag := func(key, value string) string { return fmt.Sprintf(`"tags":[{"key":%q,"value":%s}]`, key, value) }
	for _, c := range []struct{ what, members, want string }{
		{"nothing else", ``, "a/b< local ->"},
		{"its process", `"processID":"p1"`, "a/b< local web->"},
		{"a process that is not there", `"processID":"p2"`, "a/b< local ->"},
		{"an old parent", `"parentSpanID":"0C"`, "a/b<c local ->"},
		{"a child", `"references":[{"refType":"CHILD_OF","traceID":"a","spanID":"c"}]`, "a/b<c local ->"},
		{"the first of two parents", `"references":[{"refType":"CHILD_OF","spanID":"c"},{"refType":"CHILD_OF","spanID":"d"}]`, "a/b<c local ->"},
		{"one that follows", `"references":[{"refType":"FOLLOWS_FROM","traceID":"A","spanID":"c"}]`, "a/b<c local -> async"},
		{"one that follows from another trace", `"references":[{"refType":"FOLLOWS_FROM","traceID":"b","spanID":"c"}]`, "a/b< local ->"},
		{"a child that also follows", `"references":[{"refType":"FOLLOWS_FROM","traceID":"A","spanID":"c"},{"refType":"CHILD_OF","spanID":"d"}]`, "a/b<d local ->"},
		{"another reference", `"references":[{"refType":"LINK","spanID":"c"}]`, "a/b< local ->"},
		{"times", `"startTime":5,"duration":7`, "a/b< local -> 5000-12000"},
		{"a client", tag("span.kind", `"client"`), "a/b< client ->"},
		{"a server", tag("span.kind", `"SERVER"`), "a/b< server ->"},
		{"an internal one", tag("span.kind", `"internal"`), "a/b< local ->"},
		{"an error", tag("error", `true`), "a/b< local -> failed"},
		{"an error in text", tag("error", `"true"`), "a/b< local -> failed"},
		{"no error", tag("error", `false`), "a/b< local ->"},
		{"an error of OpenTelemetry", tag("otel.status_code", `"ERROR"`), "a/b< local -> failed"},
		{"a cancelled one", `"tags":[{"key":"error","value":true},{"key":"rpc.grpc.status_code","value":1}]`, "a/b< local ->"},
		{"a deadline", `"tags":[{"key":"error","value":true},{"key":"rpc.grpc.status_code","value":4}]`, "a/b< local -> failed"},
		{"a peer", `"tags":[{"key":"span.kind","value":"client"},{"key":"peer.service","value":"db"},{"key":"db.system","value":"redis"}]`, "a/b< client ->db database"},
	} {
		members := c.members
		if members != "" {
			members = "," + members
		}
		understood(t, c.what, `{"data":[{"spans":[{"traceID":"A","spanID":"0b"`+members+`}],"processes":{"p1":{"serviceName":"web"}}}]}`, c.want)
	}
}

func TestOTLP_each_member(t *testing.T) {
	attr := func(key, value string) string { return fmt.Sprintf(`{"key":%q,"value":%s}`, key, value) }
	for _, c := range []struct{ what, members, want string }{
		{"nothing else", ``, "a/b< local web->"},
		{"a parent", `"parentSpanId":"0C"`, "a/b<c local web->"},
		{"a kind by its number", `"kind":3`, "a/b< client web->"},
		{"a kind by its number in text", `"kind":"2"`, "a/b< server web->"},
		{"a kind by its name", `"kind":"SPAN_KIND_PRODUCER"`, "a/b< producer web->"},
		{"a consumer", `"kind":5`, "a/b< consumer web->"},
		{"an internal one", `"kind":1`, "a/b< local web->"},
		{"times", `"startTimeUnixNano":"5","endTimeUnixNano":7`, "a/b< local web-> 5-7"},
		{"an end before the start", `"startTimeUnixNano":"7","endTimeUnixNano":"5"`, "a/b< local web->"},
		{"an error", `"status":{"code":2}`, "a/b< local web-> failed"},
		{"an error by its name", `"status":{"code":"STATUS_CODE_ERROR"}`, "a/b< local web-> failed"},
		{"all is well", `"status":{"code":1}`, "a/b< local web->"},
		{"a cancelled one", `"status":{"code":2},"attributes":[` + attr("error.type", `{"stringValue":"Canceled"}`) + `]`, "a/b< local web->"},
		{"a number of gRPC", `"status":{"code":2},"attributes":[` + attr("rpc.grpc.status_code", `{"intValue":1}`) + `]`, "a/b< local web->"},
		{"a peer", `"kind":3,"attributes":[` + attr("peer.service", `{"stringValue":"db"}`) + `]`, "a/b< client web->db"},
		{"a peer that is a flag", `"kind":3,"attributes":[` + attr("peer.service", `{"boolValue":true}`) + `]`, "a/b< client web->true"},
		{"a peer that is a list", `"kind":3,"attributes":[` + attr("peer.service", `{"arrayValue":{}}`) + `]`, "a/b< client web->"},
		{"sampled", `"traceState":"x=1,ot=th:8"`, "a/b< local web-> sampled"},
		{"sampled always", `"traceState":"ot=th:0"`, "a/b< local web->"},
		{"sampled always, with more", `"traceState":"ot=th:0;rv:1"`, "a/b< local web->"},
		{"a threshold of somebody else", `"traceState":"x=th:8"`, "a/b< local web->"},
	} {
		members := c.members
		if members != "" {
			members = "," + members
		}
		resource := `{"resourceSpans":[{"resource":{"attributes":[` + attr("service.name", `{"stringValue":"web"}`) + `]},"scopeSpans":[{"spans":[{"traceId":"A","spanId":"0b"` + members + `}]}]}]}`
		understood(t, c.what, resource, c.want)
		understood(t, c.what+", in the old form", strings.Replace(resource, "scopeSpans", "instrumentationLibrarySpans", 1), c.want)
	}
	understood(t, "no name of a service", `{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":"a","spanId":"b"}]}]}]}`, "a/b< local ->")
}

// The name of the other side, the surest first.
func TestAttributes_peer(t *testing.T) {
	for _, c := range []struct {
		a        attributes
		role     role
		want     string
		database bool
	}{
		{attributes{}, client, "", false},
		{attributes{"peer.service": "db", "server.address": "x", "db.system": "redis"}, client, "db", true},
		{attributes{"server.address": "db.internal"}, client, "db.internal", false},
		{attributes{"server.address": "db.internal:5432"}, client, "db.internal", false},
		{attributes{"server.address": "a", "net.peer.name": "b"}, client, "a", false},
		{attributes{"net.peer.name": "b", "net.sock.peer.name": "c"}, client, "b", false},
		{attributes{"net.sock.peer.name": "c", "http.host": "d:80"}, client, "c", false},
		{attributes{"http.host": "d:80", "url.full": "http://e"}, client, "d", false},
		{attributes{"url.full": "https://pay.example.com:443/x?y", "http.url": "http://z"}, client, "pay.example.com", false},
		{attributes{"http.url": "http://z:80/"}, client, "z", false},
		{attributes{"http.url": "http://%zz"}, client, "", false},
		{attributes{"server.address": "10.0.0.1"}, client, "10.0.0.1", false},
		{attributes{"server.address": "10.0.0.1", "db.system": "redis"}, client, "redis", true},
		{attributes{"server.address": "[::1]", "db.system.name": "postgresql", "db.system": "old"}, client, "postgresql", true},
		{attributes{"server.address": "::1"}, client, "::1", false},
		{attributes{"db.system": "redis"}, client, "redis", true},
		{attributes{"messaging.system": "kafka"}, producer, "kafka", false},
		{attributes{"messaging.system": "kafka", "server.address": "broker-1"}, consumer, "broker-1", false},
		{attributes{"messaging.system": "kafka", "server.address": "10.0.0.1"}, producer, "kafka", false},
		{attributes{"peer.service": "db", "db.system": "redis"}, server, "", false},
		{attributes{"peer.service": "db"}, local, "", false},
	} {
		if name, database := c.a.peer(c.role); name != c.want || database != c.database {
			t.Errorf("%v of role %d: %q, %v, want %q, %v", c.a, c.role, name, database, c.want, c.database)
		}
	}
}

func TestAttributes_cancelled(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"error", "context canceled", true},
		{"error", "Cancelled", true},
		{"error", "CANCELED", true},
		{"error", "context.Canceled", true},
		{"error", "1", false},
		{"error", "the order was cancelled", false},
		{"error.type", "cancelled", true},
		{"rpc.grpc.status_code", "1", true},
		{"grpc.status_code", "1", true},
		{"grpc.status_code", "4", false},
		{"rpc.response.status_code", "CANCELLED", true},
		{"rpc.response.status_code", "1", false},
		{"http.status_code", "1", false},
	} {
		if got := (attributes{c.key: c.value}).cancelled(); got != c.want {
			t.Errorf("%s=%s: %v", c.key, c.value, got)
		}
	}
}

func TestPrometheus_lines(t *testing.T) {
	const name = "traces_service_graph_request_total"
	for _, c := range []struct{ what, text, want string }{
		{"a counter", name + `{client="web",server="db"} 3`, "web -> db call 3/0"},
		{"an old name", `traces_service_graph_request{client="web",server="db"} 3`, "web -> db call 3/0"},
		{"a suffix twice", `traces_service_graph_request_total_total{client="web",server="db"} 3`, "web -> db call 3/0"},
		{"spaces and a comma at the end", "  " + name + "{ client=\"web\",\tserver=\"db\", }\t3 1700000000  ", "web -> db call 3/0"},
		{"a line of Windows", name + "{client=\"web\",server=\"db\"} 3\r\n# EOF\r\n", "web -> db call 3/0"},
		{"escapes", name + `{client="a\"b\\c\nd\x",server="db"} 1`, "a\"b\\c\ndx -> db call 1/0"},
		{"a brace in a name", name + `{client="a}b",server="c,d"} 1`, "a}b -> c,d call 1/0"},
		{"replicas add up", name + `{client="web",server="db",pod="1"} 3` + "\n" + name + `{client="web",server="db",pod="2"} 4`, "web -> db call 7/0"},
		{"failures", name + `{client="web",server="db"} 3` + "\n" + `traces_service_graph_request_failed_total{client="web",server="db"} 2`, "web -> db call 3/2"},
		{"failures before calls", `traces_service_graph_request_failed_total{client="web",server="db"} 2` + "\n" + name + `{client="web",server="db"} 3`, "web -> db call 3/2"},
		{"more failures than calls", `traces_service_graph_request_failed_total{client="web",server="db"} 5` + "\n" + name + `{client="web",server="db"} 3`, "web -> db call 5/5"},
		{"failures of nothing", `traces_service_graph_request_failed_total{client="web",server="db"} 5`, "web -> db call 5/5"},
		{"a large number", name + `{client="web",server="db"} 1.5e+06`, "web -> db call 1500000/0"},
		{"a rate", name + `{client="web",server="db"} 2.6`, "web -> db call 3/0"},
		{"kinds", name + `{client="web",server="db",connection_type="database"} 1` + "\n" + name + `{client="web",server="q",connection_type="messaging_system"} 1` + "\n" + name + `{client="web",server="x",connection_type="other"} 1`, "web -> db database 1/0\nweb -> q delivery 1/0\nweb -> x call 1/0"},
		{"histograms", name + `{client="web",server="db"} 1` + "\n" + `traces_service_graph_request_server_seconds_bucket{client="a",server="b",le="+Inf"} 7`, "web -> db call 1/0"},
		{"itself", name + `{client="web",server="web"} 1`, ""},
	} {
		var col Collector
		if err := col.Add("x", strings.NewReader(c.text)); err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		var lines []string
		for _, e := range col.Observed().Edges {
			lines = append(lines, fmt.Sprintf("%s -> %s %s %d/%d", e.From, e.To, e.Kind, e.Calls, e.Errors))
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%s:\n%q, want\n%q", c.what, got, c.want)
		}
	}
}

func TestPrometheus_an_answer_of_several_series(t *testing.T) {
	var c Collector
	if err := c.Add("x", strings.NewReader(`{"status":"success","warnings":["one store is away"],"data":{"resultType":"vector","result":[
		{"metric":{"client":"web","server":"db"},"value":[1700000000.1,"12"]},
		{"metric":{"__name__":"traces_service_graph_request_failed_total","client":"web","server":"db"},"value":[1700000000.1,"2"]},
		{"metric":{"client":"web","server":""},"value":[1700000000.1,"5"]}]}}`)); err != nil {
		t.Fatal(err)
	}
	o := c.Observed()
	if len(o.Edges) != 1 || o.Edges[0].Calls != 12 || o.Edges[0].Errors != 2 || !o.Edges[0].Judged {
		t.Errorf("%+v", o.Edges)
	}
	want := "x: the answer may be incomplete; the server says: one store is away\nx: series without the name of a client or a server, left out: 1"
	if got := strings.Join(o.Notes, "\n"); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if o.Sources[0] != (Source{Name: "x", Format: "metrics of a service graph", Edges: 1}) {
		t.Errorf("%+v", o.Sources)
	}
}

func TestMetricName_is_that_of_Prometheus(t *testing.T) {
	for s, want := range map[string]bool{"up": true, "a:b_C9": true, "_": true, "a0": true, "9a": false, "a-b": false, "": false, "<html>": false, "ü": false} {
		if metricName(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

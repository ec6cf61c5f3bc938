package drift

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"strings"
)

// dependencyLink is the form that Zipkin (GET /api/v2/dependencies) and Jaeger
// (GET /api/dependencies) share. The counts are pointers, as one that is
// missing is not zero.
type dependencyLink struct {
	Parent     string `json:"parent"`
	Child      string `json:"child"`
	CallCount  *int64 `json:"callCount"`
	ErrorCount *int64 `json:"errorCount"`
}

// link counts one. Zipkin leaves errorCount out where there are none, so it
// says which calls failed; Jaeger has no such field. judged is what its absence
// means.
func (f *file) link(l dependencyLink, judged bool) error {
	errs := int64(0)
	if l.CallCount == nil {
		return fmt.Errorf("%s -> %s: callCount is missing", l.Parent, l.Child)
	}
	if l.ErrorCount != nil {
		errs, judged = *l.ErrorCount, true
	}
	return f.pair(l.Parent, l.Child, Call, *l.CallCount, errs, judged)
}

// zipkinEndpoint is one side of a call; only the name matters, or the address
// if there is none.
//
// See the OpenAPI description of Zipkin's v2 API.
type zipkinEndpoint struct {
	ServiceName string `json:"serviceName"`
	IPv4        string `json:"ipv4"`
	IPv6        string `json:"ipv6"`
}

// zipkinSpan is a span of Zipkin's v2 model, and a dependency link, as both
// come in a list and only their members tell them apart. Tags are any values:
// some tracers write numbers and booleans, though the model wants text.
type zipkinSpan struct {
	dependencyLink
	TraceID  string          `json:"traceId"`
	ID       string          `json:"id"`
	ParentID string          `json:"parentId"`
	Kind     string          `json:"kind"`
	Start    json.Number     `json:"timestamp"` // microseconds
	Duration json.Number     `json:"duration"`
	Local    *zipkinEndpoint `json:"localEndpoint"`
	Remote   *zipkinEndpoint `json:"remoteEndpoint"`
	Shared   bool            `json:"shared"`
	Tags     map[string]any  `json:"tags"`
	V1       json.RawMessage `json:"binaryAnnotations"`
}

// zipkin reads a list of dependencies, of spans, or of traces (lists of spans).
// Elements are decoded one by one, so that memory is bounded by the spans and
// not by the text. An empty list is no error: nothing was recorded.
func (f *file) zipkin(dec *json.Decoder) error {
	// The bracket that opens the list; located has seen it already.
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		// A trace of several spans, as /api/v2/traces has them.
		if raw[0] == '[' {
			var trace []zipkinSpan
			if err := json.Unmarshal(raw, &trace); err != nil {
				return err
			}
			for i := range trace {
				if err := f.zipkinSpan(&trace[i]); err != nil {
					return err
				}
			}
			continue
		}
		var s zipkinSpan
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		if err := f.zipkinSpan(&s); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if err := atEnd(dec, "the list"); err != nil {
		return err
	}
	f.format = cmp.Or(f.format, "an empty list")
	return nil
}

// zipkinSpan takes one element of a list: a link, or a span, which it brings
// into the common form.
//
// Its errors name the span by its ID.
func (f *file) zipkinSpan(z *zipkinSpan) error {
	switch {
	case z.Parent != "" || z.Child != "":
		if err := f.is("dependencies of Zipkin"); err != nil {
			return err
		}
		return f.link(z.dependencyLink, true)
	case z.V1 != nil:
		return errors.New("holds spans of Zipkin v1; this reads v2")
	case z.TraceID == "" || z.ID == "":
		return errors.New("a span has no traceId or no id; " + errFormat.Error())
	}
	if err := f.is("spans of Zipkin"); err != nil {
		return err
	}
	// Times are optional: without both, the span is kept and cannot be judged.
	start, err := micros(z.Start)
	if err != nil {
		return fmt.Errorf("span %s: timestamp: %w", z.ID, err)
	}
	length, err := micros(z.Duration)
	if err != nil {
		return fmt.Errorf("span %s: duration: %w", z.ID, err)
	}
	s := span{trace: id(z.TraceID), id: id(z.ID), parent: id(z.ParentID), shared: z.Shared, start: start, end: start + length, timed: start > 0 && length > 0}
	if z.Local != nil {
		s.service = z.Local.ServiceName
	}
	if z.Remote != nil {
		s.peer = z.Remote.ServiceName
	}
	// The tag error says that a span failed by being there, whatever its text;
	// only "false" does not. A cancelled one did not fail.
	tags := attributes{}
	for key, value := range z.Tags {
		tags[key] = fmt.Sprint(value)
	}
	if value, ok := z.Tags["error"]; ok && value != "false" && value != false {
		s.failed = !tags.cancelled()
	}
	// An unknown kind is an error and no local span: whom it called would be
	// lost.
	switch strings.ToUpper(z.Kind) {
	case "CLIENT":
		s.role = client
	case "SERVER":
		s.role = server
	case "PRODUCER":
		s.role = producer
	case "CONSUMER":
		s.role = consumer
	case "":
		if s.peer != "" { // an old tracer's way to say CLIENT
			s.role = client
		}
	default:
		return fmt.Errorf("span %s: kind %q is not one of CLIENT, SERVER, PRODUCER, CONSUMER", z.ID, z.Kind)
	}
	// The name of the other side: as the endpoint says, by the conventions for
	// tags, or its address.
	if s.peer == "" { // the remote endpoint has no name
		s.peer, _ = tags.peer(s.role)
		if s.peer == "" && z.Remote != nil && s.role == client {
			s.peer = cmp.Or(z.Remote.IPv4, z.Remote.IPv6)
		}
	}
	s.database = tags["sql.query"] != "" || tags["db.system"] != "" || tags["db.system.name"] != "" || tags["db.statement"] != ""
	return f.span(s)
}

// micros turns a number of microseconds into nanoseconds; 0 stands for one that
// is missing. The bound lets a start and a duration be added without an
// overflow.
func micros(n json.Number) (int64, error) {
	if n == "" {
		return 0, nil
	}
	v, err := n.Float64()
	if err != nil || v < 0 || v > math.MaxInt64/4e3 || math.IsNaN(v) {
		return 0, fmt.Errorf("%s is not a number of microseconds", n)
	}
	return int64(v) * 1000, nil
}

// id makes two spellings of one ID equal: case and padding differ among
// tracers. IDs of zeros only, which mean "none", become "".
func id(s string) string { return strings.TrimLeft(strings.ToLower(s), "0") }

// jaeger reads the answers of Jaeger's HTTP API: dependencies, or traces. A
// trace has its processes beside its spans, which refer to them. An empty
// answer has no type, and counts as dependencies.
//
// Of references, CHILD_OF is a caller that waits for its child. FOLLOWS_FROM,
// if it is all there is and of the same trace, is one that does not; such a
// span begins a request of its own.
func (f *file) jaeger(data json.RawMessage) error {
	var list []struct {
		dependencyLink
		Spans []struct {
			TraceID    string `json:"traceID"`
			SpanID     string `json:"spanID"`
			Parent     string `json:"parentSpanID"`
			References []struct {
				Type    string `json:"refType"`
				TraceID string `json:"traceID"`
				SpanID  string `json:"spanID"`
			} `json:"references"`
			Start    json.Number `json:"startTime"`
			Duration json.Number `json:"duration"`
			Process  string      `json:"processID"`
			Tags     []struct {
				Key   string `json:"key"`
				Value any    `json:"value"`
			} `json:"tags"`
		} `json:"spans"`
		Processes map[string]struct {
			ServiceName string `json:"serviceName"`
		} `json:"processes"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	// Neither spans nor dependencies, so the type is a guess that harms nobody.
	if len(list) == 0 {
		return f.is("dependencies of Jaeger")
	}
	// Dependencies and traces differ by the member spans alone.
	for _, l := range list {
		if l.Spans == nil {
			if err := f.is("dependencies of Jaeger"); err != nil {
				return err
			}
			if err := f.link(l.dependencyLink, false); err != nil {
				return err
			}
			continue
		}
		if err := f.is("spans of Jaeger"); err != nil {
			return err
		}
		for _, j := range l.Spans {
			if j.TraceID == "" || j.SpanID == "" {
				return errors.New("a span has no traceID or no spanID")
			}
			start, err := micros(j.Start)
			if err != nil {
				return fmt.Errorf("span %s: startTime: %w", j.SpanID, err)
			}
			length, err := micros(j.Duration)
			if err != nil {
				return fmt.Errorf("span %s: duration: %w", j.SpanID, err)
			}
			s := span{trace: id(j.TraceID), id: id(j.SpanID), parent: id(j.Parent), service: l.Processes[j.Process].ServiceName, start: start, end: start + length, timed: start > 0 && length > 0}
			// The first caller that waits wins over anything that does not.
			for _, r := range j.References {
				if r.Type == "CHILD_OF" && s.parent == "" {
					s.parent = id(r.SpanID)
				}
			}
			for _, r := range j.References {
				if r.Type == "FOLLOWS_FROM" && s.parent == "" && r.TraceID == j.TraceID {
					s.parent, s.async = id(r.SpanID), true
				}
			}
			a := attributes{}
			for _, t := range j.Tags {
				a[t.Key] = fmt.Sprint(t.Value)
			}
			s.role = roleOf(a["span.kind"])
			s.failed = (a["error"] != "" && a["error"] != "false" || a["otel.status_code"] == "ERROR") && !a.cancelled()
			s.peer, s.database = a.peer(s.role)
			if err := f.span(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// roleOf reads the kind of a span as Jaeger ("client"), OTLP
// ("SPAN_KIND_CLIENT", or 3) and others write it. What is unknown or internal
// is local.
//
// A local span is no call by itself; what is called below it still is.
func roleOf(kind string) role {
	switch strings.TrimPrefix(strings.ToLower(kind), "span_kind_") {
	case "client", "3":
		return client
	case "server", "2":
		return server
	case "producer", "4":
		return producer
	case "consumer", "5":
		return consumer
	}
	return local
}

// attributes are those of one span, as text.
type attributes map[string]string

// peer names the other side of a call by OpenTelemetry's semantic conventions,
// old and new, the surest first: the name that was configured (peer.service),
// an address, that of the system for a database or a message. An address of
// numbers says less than the name of a database. A port is cut off. Only spans
// that go out, or take a message, have a peer; database reports whether it is
// one.
func (a attributes) peer(r role) (name string, database bool) {
	if r != client && r != producer && r != consumer {
		return "", false
	}
	// Names of the newer conventions first.
	system := cmp.Or(a["db.system.name"], a["db.system"])
	broker := a["messaging.system"]
	address := cmp.Or(a["server.address"], a["net.peer.name"], a["net.sock.peer.name"], a["http.host"], hostOf(cmp.Or(a["url.full"], a["http.url"])))
	// A port, but not the colons of an address of version 6.
	if host, _, ok := strings.Cut(address, ":"); ok && !strings.Contains(host, "[") && strings.Count(address, ":") == 1 {
		address = host
	}
	// An address of numbers says less than the name of what is there.
	if _, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
		address = cmp.Or(system, broker, address)
	}
	if r != client {
		address = cmp.Or(address, broker)
	}
	return cmp.Or(a["peer.service"], address, system, broker), system != ""
}

// cancelled reports whether the caller that waited for a span gave up, as a
// client does that leaves, or the loser of two hedged calls: that is no failure
// of the other side. A deadline is one. The number 1 is gRPC's code for it and
// counts under that key only.
//
// Of several that are set, one is enough.
func (a attributes) cancelled() bool {
	const grpcCancelled = "1"
	// Every place where an instrumentation puts how a call ended.
	for _, key := range []string{"rpc.grpc.status_code", "grpc.status_code", "rpc.response.status_code", "error.type", "error"} {
		switch value := a[key]; strings.ToLower(value) {
		case "cancelled", "canceled", "context canceled", "context.canceled":
			return true
		case grpcCancelled:
			if strings.HasSuffix(key, "grpc.status_code") {
				return true
			}
		}
	}
	return false
}

// hostOf is the host of a URL, without its port; "" if it is none.
func hostOf(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

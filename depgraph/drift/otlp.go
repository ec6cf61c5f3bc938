package drift

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// otlpValue is one of the types of a value that can hold a name, a number or a
// flag; others are left out.
type otlpValue struct {
	String *string      `json:"stringValue"`
	Int    *json.Number `json:"intValue"` // a string, by the mapping of protobuf
	Bool   *bool        `json:"boolValue"`
}

// otlpAttribute is one of the pairs that OTLP writes in place of an object.
type otlpAttribute struct {
	Key   string    `json:"key"`
	Value otlpValue `json:"value"`
}

// attributesOf is the list as a map; of two with one key the last counts.
func attributesOf(list []otlpAttribute) attributes {
	a := attributes{}
	for _, kv := range list {
		switch v := kv.Value; {
		case v.String != nil:
			a[kv.Key] = *v.String
		case v.Int != nil:
			a[kv.Key] = v.Int.String()
		case v.Bool != nil:
			a[kv.Key] = strconv.FormatBool(*v.Bool)
		}
	}
	return a
}

// enumOrName is an enumeration that is written as a number or as its name.
type enumOrName string

// UnmarshalJSON implements json.Unmarshaler. It takes any value as its text, as what is
// unknown means nothing here.
func (e *enumOrName) UnmarshalJSON(data []byte) error {
	*e = enumOrName(strings.Trim(string(data), `"`))
	return nil
}

// otlpSpan is a span in OTLP's JSON mapping (opentelemetry-proto, trace/v1):
// names in camel case, 64-bit numbers as strings, enumerations as numbers, and
// IDs in hexadecimal. Tempo writes the same with names of enumerations.
type otlpSpan struct {
	TraceID string          `json:"traceId"`
	SpanID  string          `json:"spanId"`
	Parent  string          `json:"parentSpanId"`
	State   string          `json:"traceState"`
	Kind    enumOrName      `json:"kind"`
	Start   json.Number     `json:"startTimeUnixNano"`
	End     json.Number     `json:"endTimeUnixNano"`
	Attrs   []otlpAttribute `json:"attributes"`
	Status  struct {
		Code enumOrName `json:"code"`
	} `json:"status"`
}

// otlp reads the JSON form of OTLP traces: spans below scopes below resources,
// whose attribute service.name is the service. instrumentationLibrarySpans is
// the name that scopeSpans had until 2022.
func (f *file) otlp(data json.RawMessage) error {
	if err := f.is("spans of OTLP"); err != nil {
		return err
	}
	type scope struct {
		Spans []otlpSpan `json:"spans"`
	}
	var list []struct {
		Resource struct {
			Attrs []otlpAttribute `json:"attributes"`
		} `json:"resource"`
		Scopes []scope `json:"scopeSpans"`
		Old    []scope `json:"instrumentationLibrarySpans"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for _, r := range list {
		service := attributesOf(r.Resource.Attrs)["service.name"]
		// The scope is the library that made the span, which does not matter
		// here.
		for _, sc := range append(r.Scopes, r.Old...) {
			for i := range sc.Spans {
				if err := f.otlpSpan(service, &sc.Spans[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// otlpSpan brings one span into the common form. A span without times is kept,
// though it cannot be judged. The member th of the tracestate is the threshold
// of consistent probability sampling: anything but 0 says that spans like this
// one were dropped.
func (f *file) otlpSpan(service string, o *otlpSpan) error {
	if o.TraceID == "" || o.SpanID == "" {
		return errors.New("a span has no traceId or no spanId")
	}
	// A text or a number; a fraction or a sign is an error.
	nanos := func(n json.Number) (int64, error) {
		if n == "" {
			return 0, nil
		}
		v, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || v < 0 {
			return 0, fmt.Errorf("span %s: %s is not a time in nanoseconds", o.SpanID, n)
		}
		return v, nil
	}
	start, err := nanos(o.Start)
	if err != nil {
		return err
	}
	end, err := nanos(o.End)
	if err != nil {
		return err
	}
	a := attributesOf(o.Attrs)
	s := span{trace: id(o.TraceID), id: id(o.SpanID), parent: id(o.Parent), service: service, start: start, end: end, timed: start > 0 && end > start, role: roleOf(string(o.Kind))}
	s.peer, s.database = a.peer(s.role)
	s.failed = (o.Status.Code == "2" || o.Status.Code == "STATUS_CODE_ERROR") && !a.cancelled()
	s.sampled = strings.Contains(o.State, "ot=") && strings.Contains(o.State, "th:") && !strings.Contains(o.State, "th:0;") && !strings.HasSuffix(o.State, "th:0")
	return f.span(s)
}

package faultproxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// ParseRules reads a JSON array of rules as fault.ParseRules does, in which a
// rule may also have the form of one of toxiproxy's toxics:
//
//	{"type": "latency", "toxicity": 0.5, "attributes": {"latency": 1000, "jitter": 100}, "service": "dynamodb"}
//
// with the members that choose calls besides. latency, bandwidth, timeout,
// reset_peer and limit_data are known. slow_close and slicer are refused: they
// change when bytes arrive, and nothing that a client is told. There are at most
// a thousand rules.
func ParseRules(data []byte) ([]fault.Rule, error) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return fault.ParseRules(data) // its error says where
	}
	if len(list) > maxRules {
		return nil, fmt.Errorf("there are %d rules; at most %d", len(list), maxRules)
	}
	any := false
	for i, text := range list {
		var kind struct {
			Type *string `json:"type"`
		}
		if json.Unmarshal(text, &kind) != nil || kind.Type == nil {
			continue
		}
		rule, err := toxic(text)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if list[i], err = json.Marshal(rule); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		any = true
	}
	if !any {
		return fault.ParseRules(data) // with its lines
	}
	again, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return fault.ParseRules(again)
}

// toxicJSON is a toxic as toxiproxy's API has it, and what chooses calls.
// Name and Stream are read and change nothing but what is refused: a toxic here is
// known by its place, and the proxy sees both directions.
type toxicJSON struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Toxicity   *float64         `json:"toxicity"`
	Attributes map[string]int64 `json:"attributes"`

	Service   string `json:"service"`
	Region    string `json:"region"`
	Operation string `json:"operation"`
	Table     string `json:"table"`
}

// toxicAttributes are those that each kind has. Times are in milliseconds.
// Another one, or a negative value, is an error.
var toxicAttributes = map[string][]string{
	"latency": {"latency", "jitter"}, "bandwidth": {"rate"}, "timeout": {"timeout"}, "reset_peer": {"timeout"}, "limit_data": {"bytes"},
}

// toxic makes a rule of a toxic, or says which of its members it cannot take.
// What a toxic means is toxiproxy's documentation: toxicity is a probability (1
// if it is not said, and 0 switches it off, where a rule's 0 would mean
// always), times are in milliseconds, rate is in KB/s of 1000 bytes, and a
// timeout of 0 never answers.
func toxic(text []byte) (r fault.Rule, err error) {
	var t toxicJSON
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return r, err
	}
	known, ok := toxicAttributes[t.Type]
	switch {
	case t.Type == "slow_close", t.Type == "slicer":
		return r, fmt.Errorf("type: the toxic %q has no counterpart here: it changes nothing that a client is told", t.Type)
	case !ok:
		return r, fmt.Errorf("type: unknown toxic %q; want latency, bandwidth, timeout, reset_peer or limit_data", t.Type)
	case t.Stream != "" && t.Stream != "downstream" && t.Stream != "upstream":
		return r, fmt.Errorf("stream is %q; want upstream or downstream", t.Stream)
	case t.Stream == "upstream" && (t.Type == "bandwidth" || t.Type == "limit_data"):
		return r, fmt.Errorf("stream: %s acts on answers only, so want downstream", t.Type)
	}
	for name, v := range t.Attributes {
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found || v < 0 || v > 1<<40 {
			return r, fmt.Errorf("attributes: %s is %d; want of %v, and none negative", name, v, known)
		}
	}
	r = fault.Rule{Service: t.Service, Region: t.Region, Operation: t.Operation, Table: t.Table}
	if t.Toxicity != nil {
		r.Probability, r.Off = *t.Toxicity, *t.Toxicity == 0
	}
	ms := func(name string) time.Duration { return time.Duration(t.Attributes[name]) * time.Millisecond }
	switch t.Type {
	case "latency":
		// Its jitter goes both ways; a rule's only adds.
		base, jitter := ms("latency"), ms("jitter")
		r.Latency = &fault.Latency{Base: max(0, base-jitter), Jitter: jitter + min(base, jitter)}
	case "bandwidth":
		r.Bandwidth = t.Attributes["rate"] * 1000
	case "timeout":
		if r.Net = fault.BlackHole; ms("timeout") > 0 {
			r.Net, r.Latency = fault.Timeout, &fault.Latency{Base: ms("timeout")}
		}
	case "reset_peer":
		if r.Net = fault.Reset; ms("timeout") > 0 {
			r.Latency = &fault.Latency{Base: ms("timeout")}
		}
	case "limit_data":
		r.Net, r.Bytes = fault.Truncate, t.Attributes["bytes"]
	}
	return r, r.Validate()
}

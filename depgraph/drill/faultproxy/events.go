package faultproxy

import (
	"strings"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// An Event is one request or tunnel that a rule has hit.
type Event struct {
	Serial    int64     `json:"serial"`           // 1, 2, 3 …
	Time      time.Time `json:"time"`             // when the request came
	Rule      int       `json:"rule"`             // its place among the rules, from 0
	Service   string    `json:"service"`          // such as "dynamodb", or the host
	Region    string    `json:"region,omitempty"` // of an AWS request
	Operation string    `json:"operation"`        // such as "GetItem" or "GET /sessions"
	Tables    []string  `json:"tables,omitempty"` // that a DynamoDB request names
	Fault     string    `json:"fault"`            // an error's code, a kind, "latency" or "bandwidth"
}

// events keeps the latest.
// The event with serial s is at (s-1) modulo most, full or not.
type events struct {
	most int

	mu     sync.Mutex
	list   []Event // a ring once it is full
	serial int64
}

// add notes what a rule has hit. What a client has chosen is clipped: to 256 bytes
// a text, and 25 tables.
func (e *events) add(in fault.Event) {
	event := Event{Time: in.Time.UTC(), Rule: in.Rule, Service: clip(in.Call.Service), Region: in.Call.Region, Operation: clip(in.Call.Operation), Fault: faultName(in.Fault)}
	for _, t := range in.Call.Tables[:min(len(in.Call.Tables), 25)] {
		event.Tables = append(event.Tables, clip(t))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.serial++
	event.Serial = e.serial
	if len(e.list) < e.most {
		e.list = append(e.list, event)
		return
	}
	e.list[int((e.serial-1)%int64(e.most))] = event
}

// since are the events after a serial number, oldest first, and how many of
// those are no longer known.
// A serial number of the future gives none, and none that are lost.
func (e *events) since(serial int64) (list []Event, lost int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := max(serial+1, e.serial-int64(len(e.list))+1)
	for s := first; s <= e.serial; s++ {
		list = append(list, e.list[int((s-1)%int64(e.most))])
	}
	return list, max(0, first-1-max(0, serial))
}

// clip bounds a text that a client has chosen.
// A character that is cut in half, or was broken before, becomes a question mark.
func clip(s string) string {
	if len(s) > 256 {
		s = s[:256] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// faultName is the most telling word for a fault: its error before its kind,
// and what only slows a call down last.
func faultName(f *fault.Fault) string {
	switch {
	case f.Error != nil:
		return f.Error.Code
	case f.Kind != "":
		return string(f.Kind)
	case f.Bandwidth > 0:
		return "bandwidth"
	}
	return "latency"
}

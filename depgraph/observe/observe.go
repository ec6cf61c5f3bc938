// Package observe records, inside a Go service, which dependency each outgoing
// call belongs to, how many failed, and whether the service's own requests
// failed with them, in a form that "depgraph drift" reads.
//
// Unlike traces it sees every call and not a sample, and it costs one look-up
// and a few atomic additions a call. It needs the standard library only.
//
//	rec, err := observe.New(observe.Options{
//		Service: "checkout",
//		Names:   map[string]string{"ledger.internal:8443": "ledger", "*.amazonaws.com": "aws"},
//	})
//	client := &http.Client{Transport: rec.RoundTripper(nil)} // outgoing
//	server := &http.Server{Handler: rec.Handler(mux)}        // incoming
//	http.Handle("/debug/dependencies", rec)                  // or rec.WriteTo, at the end
package observe

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/failopen/failopen/depgraph/internal/glob"
)

// Options says what a Recorder records.
type Options struct {
	// Service is the declared name of this service. It is required.
	Service string
	// Names maps addresses ("host", "host:port", a pattern such as
	// "*.example.com"), and names given to Record, to declared names; "-" leaves
	// one out. What is not mapped is recorded as it is, hosts without their port.
	Names map[string]string
	// MaxNames bounds how many addresses are kept that Names does not list; calls
	// to others are only counted together, unless Names maps them. Default: 1,000.
	MaxNames int
}

// Recorder counts calls. All methods may be called from many goroutines, and
// none of them blocks. The zero value is not usable; see New.
//
// What grows is bounded: addresses by MaxNames, names by those of Options and these
// addresses, requests by how many the service handles at once.
type Recorder struct {
	service  string
	patterns []string // of Options.Names, the longest first
	names    map[string]string
	maxNames int

	// edges by address. It is copied to add one, which happens once for each
	// address, so that reading takes no lock.
	edges    atomic.Pointer[map[string]*edge]
	mu       sync.Mutex       // while adding
	byName   map[string]*edge // by declared name, under mu
	requests atomic.Int64
	other    atomic.Int64 // calls that had no room
}

// edge holds the counts of one dependency.
//
// Several addresses may share one. drop is set for what Options.Names leaves out: it is
// counted, so that a request with it is judged as one in which something else failed, but
// never written.
type edge struct {
	name                                           string
	drop                                           bool
	calls, errors                                  atomic.Int64
	propagated, absorbed, unclear, fine, otherwise atomic.Int64
}

const defaultMaxNames = 1000

// New returns a Recorder. The error says which option is wrong.
//
// The caller's map is copied. Of two patterns that match, the longer one counts; of equal
// lengths, the first by text.
func New(o Options) (*Recorder, error) {
	switch {
	case strings.TrimSpace(o.Service) == "":
		return nil, errors.New("observe: Options.Service is empty; it is the declared name of this service")
	case o.MaxNames < 0:
		return nil, fmt.Errorf("observe: Options.MaxNames is %d", o.MaxNames)
	}
	r := &Recorder{service: o.Service, names: maps.Clone(o.Names), maxNames: cmp.Or(o.MaxNames, defaultMaxNames), byName: map[string]*edge{}}
	for _, from := range slices.Sorted(maps.Keys(o.Names)) {
		if strings.TrimSpace(from) == "" || strings.TrimSpace(o.Names[from]) == "" {
			return nil, fmt.Errorf("observe: Options.Names maps %q to %q; neither may be empty", from, o.Names[from])
		}
		if strings.Contains(from, "*") {
			r.patterns = append(r.patterns, from)
		}
	}
	slices.SortStableFunc(r.patterns, func(a, b string) int { return len(b) - len(a) })
	listed := map[string]*edge{}
	for address, name := range r.names { // there is room for these, whoever comes first
		if !strings.Contains(address, "*") {
			listed[address] = r.named(name)
			r.maxNames++
		}
	}
	r.edges.Store(&listed)
	return r, nil
}

// named finds the counts of a declared name, made if necessary, under mu.
func (r *Recorder) named(name string) *edge {
	e := r.byName[name]
	if e == nil {
		e = &edge{name: name, drop: name == "-" || name == r.service}
		r.byName[name] = e
	}
	return e
}

// edge finds the counts of an address, made if there is room; nil otherwise.
//
// It is on the way of every call: one atomic load and one look-up.
func (r *Recorder) edge(address string) *edge {
	if e, ok := (*r.edges.Load())[address]; ok {
		return e
	}
	return r.addEdge(address)
}

// addEdge is the slow way, once for each address. Without room, an address that Names maps,
// or that is a name which has counts, is counted all the same; nil means that it is not.
// Copying the map makes adding n addresses cost O(n²), which MaxNames bounds.
func (r *Recorder) addEdge(address string) *edge {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.edges.Load()
	if e, ok := old[address]; ok {
		return e
	}
	if address == "" {
		return nil
	}
	name, mapped := r.nameOf(address)
	if len(old) >= r.maxNames { // what Names maps is counted all the same
		if mapped {
			return r.named(name)
		}
		return r.byName[name]
	}
	e := r.named(strings.Clone(name))
	fresh := maps.Clone(old)
	fresh[strings.Clone(address)] = e // the address may be part of something large
	r.edges.Store(&fresh)
	return e
}

// Maps reports whether Options.Names has a declared name for an address.
func (r *Recorder) Maps(address string) bool {
	_, mapped := r.nameOf(address)
	return mapped
}

// nameOf returns the declared name, or the host where Names maps nothing.
//
// An IPv6 address without a port has several colons, and is its own host. The address with
// its port is looked up before the host alone.
func (r *Recorder) nameOf(address string) (name string, mapped bool) {
	host := address
	if i := strings.LastIndexByte(address, ':'); i >= 0 && strings.IndexByte(address[i:], ']') < 0 && strings.Count(address, ":") == 1 {
		host = address[:i]
	}
	for _, a := range []string{address, host} {
		if name, ok := r.names[a]; ok {
			return name, true
		}
	}
	for _, p := range r.patterns {
		if glob.Match(p, address) || glob.Match(p, host) {
			return r.names[p], true
		}
	}
	return host, false
}

// record is recordings' form in JSON; package drift reads it.
type record struct {
	Version  int              `json:"failopen_observed"`
	Services map[string]int64 `json:"services"`
	Edges    []Edge           `json:"edges"`
	Other    int64            `json:"not_counted,omitempty"`
}

// Edge is what was seen of one dependency. See drift.Effect for what
// propagated to otherwise mean.
type Edge struct {
	// From is the service, and To the declared name of the dependency.
	From string `json:"from"`
	To   string `json:"to"`
	// Calls counts all calls, and Errors those that failed.
	Calls  int64 `json:"calls"`
	Errors int64 `json:"errors"`
	// Propagated, Absorbed and Unclear count requests in which it failed: that
	// failed as well, that were answered well, and that nobody can judge.
	Propagated int64 `json:"propagated"`
	Absorbed   int64 `json:"absorbed"`
	Unclear    int64 `json:"unclear"`
	// Fine and Otherwise count requests in which it worked: that were answered
	// well, and that failed for another reason.
	Fine      int64 `json:"fine"`
	Otherwise int64 `json:"otherwise"`
}

// Edges returns what was seen so far, by name. The numbers of one edge may be
// of slightly different times.
//
// What was never called is left out, and so is what Options.Names maps to "-".
func (r *Recorder) Edges() []Edge {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.byName))
	r.mu.Unlock()
	edges := make([]Edge, 0, len(all))
	for _, e := range all {
		if e.drop {
			continue
		}
		out := Edge{From: r.service, To: e.name, Errors: e.errors.Load(), Propagated: e.propagated.Load(), Absorbed: e.absorbed.Load(), Unclear: e.unclear.Load(), Fine: e.fine.Load(), Otherwise: e.otherwise.Load()}
		out.Calls = max(e.calls.Load(), out.Errors) // an error is counted after its call
		if out.Calls > 0 {
			edges = append(edges, out)
		}
	}
	slices.SortFunc(edges, func(a, b Edge) int { return strings.Compare(a.To, b.To) })
	return edges
}

// Requests returns how many requests of the service were recorded.
func (r *Recorder) Requests() int64 { return r.requests.Load() }

// NotCounted returns how many calls had no room for their address.
func (r *Recorder) NotCounted() int64 { return r.other.Load() }

// WriteTo writes everything so far as JSON, for "depgraph drift --observed".
//
// It implements io.WriterTo. The numbers count from New on, and are not reset.
func (r *Recorder) WriteTo(w io.Writer) (int64, error) {
	data, err := json.MarshalIndent(record{Version: 1, Services: map[string]int64{r.service: r.Requests()}, Edges: r.Edges(), Other: r.NotCounted()}, "", " ")
	if err != nil {
		return 0, err
	}
	n, err := w.Write(append(data, '\n'))
	return int64(n), err
}

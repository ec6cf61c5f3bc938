package drift

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind says how one service uses another, as far as the source tells.
type Kind string

// The kinds of observed edges.
const (
	Call      Kind = "call"
	Database  Kind = "database"
	Messaging Kind = "messaging" // between a producer or a consumer and its broker
	// Delivery leads from a producer to a consumer: neither needs the other, and
	// both need a broker that was not named.
	Delivery Kind = "delivery"
	// Configured is an address in a configuration: nobody was seen to call it.
	Configured Kind = "configured"
)

// Edge is what was seen between two services, under their observed names.
type Edge struct {
	From, To string // From was seen to call To
	Kind     Kind   // how it was seen
	// Calls counts what was seen, and Errors how many of those failed. A source
	// that does not say which failed counts no errors, and Judged is false.
	Calls, Errors int64
	Judged        bool
	// Outcomes of the caller's own requests; see Effect.
	Effect Effect
	// Sources names the files, in order.
	Sources []string
}

// Effect counts requests that the caller handled, by what its calls to the
// dependency did and how the request ended. A retry that succeeds is no
// failure: what counts is whether the request got what it asked for.
type Effect struct {
	// The dependency failed in the request, and the request failed as well
	// (Propagated), was answered well (Absorbed), or it cannot be said
	// (Unclear): the request was not recorded, something else failed in it too,
	// or it had ended before the call did.
	Propagated, Absorbed, Unclear int64
	// The dependency worked, and the request was answered well (Fine) or failed
	// for another reason (Otherwise).
	Fine, Otherwise int64
}

// add sums up, field by field.
func (e *Effect) add(o Effect) {
	e.Propagated += o.Propagated
	e.Absorbed += o.Absorbed
	e.Unclear += o.Unclear
	e.Fine += o.Fine
	e.Otherwise += o.Otherwise
}

// Source is one file that was read.
type Source struct {
	Name, Format string // the file, and what it was read as
	// Traces and Spans are zero for sources that count already.
	Traces, Spans int
	// Edges counts pairs of services of sources that count already.
	Edges int
}

// Observed is what all sources saw.
type Observed struct {
	// Edges are in order of From, then To, then Kind.
	Edges []Edge
	// Requests counts, for each service, the requests that it was seen to
	// handle, or the calls that it made where no request was recorded.
	Requests map[string]int64
	Sources  []Source
	// First and Last are the time of the first and the last span; zero if no
	// source says it.
	First, Last time.Time
	// Notes say what is missing or was left out.
	Notes []string
}

// Empty reports whether no use of one service by another was seen, so that
// there is nothing to compare with.
func (o *Observed) Empty() bool { return len(o.Edges) == 0 }

// edgeKey tells edges apart: two services may use each other in several ways.
type edgeKey struct {
	from, to string
	kind     Kind
}

// tally sums up edges, and the requests of each service. A service with an
// entry of 0 in requests was recorded and handled none.
type tally struct {
	edges    map[edgeKey]*Edge
	requests map[string]int64
}

func newTally() *tally { return &tally{edges: map[edgeKey]*Edge{}, requests: map[string]int64{}} }

// edge is the sum for a key, which is added if it is new, with the source among
// its sources. The pointer stays valid, so that callers add to it.
func (t *tally) edge(from, to string, kind Kind, source string) *Edge {
	k := edgeKey{from, to, kind}
	e := t.edges[k]
	if e == nil {
		e = &Edge{From: from, To: to, Kind: kind}
		t.edges[k] = e
	}
	if i, found := slices.BinarySearch(e.Sources, source); !found {
		e.Sources = slices.Insert(e.Sources, i, source)
	}
	return e
}

// sorted copies the edges in the order that Observed promises: maps have none.
func (t *tally) sorted() []Edge {
	keys := slices.SortedFunc(maps.Keys(t.edges), func(a, b edgeKey) int {
		return cmp.Or(strings.Compare(a.from, b.from), strings.Compare(a.to, b.to), strings.Compare(string(a.kind), string(b.kind)))
	})
	all := make([]Edge, len(keys))
	for i, k := range keys {
		all[i] = *t.edges[k]
	}
	return all
}

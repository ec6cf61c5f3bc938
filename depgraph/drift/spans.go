package drift

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// role is the side of a call that a span saw. Local is also what says nothing.
type role uint8

// The roles, as OpenTelemetry's span kinds; internal is local.
const (
	local role = iota
	client
	server
	producer
	consumer
)

// span is what all formats have in common. Times are nanoseconds since 1970; 0
// stands for one that is missing. IDs are those of id, so "" is none.
//
// A format that does not know a field leaves it at its zero, which concludes least.
type span struct {
	trace, id, parent string
	service, peer     string
	source            string
	start, end        int64
	role              role
	timed             bool // start and end are known
	failed            bool
	shared            bool // a server that took the ID of its client over
	database          bool
	async             bool // nobody waited for it (FOLLOWS_FROM)
	sampled           bool
}

// Observed links all spans and sums everything up. More can be added after it;
// it costs O(n log n) in spans each time. Sums do not depend on the order of
// sources or of spans within them; sources and notes are in the order of Add.
// What it returns is the caller's own.
func (c *Collector) Observed() *Observed {
	// A copy of what was counted, so that the answer and the Collector share
	// nothing.
	t := newTally()
	if c.counted != nil {
		for k, e := range c.counted.edges {
			sum := *e
			sum.Sources = slices.Clone(e.Sources)
			t.edges[k] = &sum
		}
		maps.Copy(t.requests, c.counted.requests)
	}
	l := linker{t: t}
	traces := map[string][]*span{}
	for i := range c.spans {
		traces[c.spans[i].trace] = append(traces[c.spans[i].trace], &c.spans[i])
	}
	// Traces in order of their ID: the first name of a source, and so its place
	// in an edge, depends on it.
	for _, id := range slices.Sorted(maps.Keys(traces)) {
		l.trace(traces[id])
	}
	o := &Observed{Edges: t.sorted(), Requests: t.requests, Sources: slices.Clone(c.sources), Notes: append(slices.Clone(c.notes), l.notes()...)}
	// The window of time is that of all spans, whether they were linked or not.
	for i := range c.spans {
		if s := &c.spans[i]; s.start > 0 {
			at, end := time.Unix(0, s.start).UTC(), time.Unix(0, max(s.start, s.end)).UTC()
			if o.First.IsZero() || at.Before(o.First) {
				o.First = at
			}
			if end.After(o.Last) {
				o.Last = end
			}
		}
	}
	return o
}

// linker turns the spans of traces into calls. trace is called for one trace
// after the other; the slices are of that trace, with one entry for each of its
// spans.
type linker struct {
	t *tally

	// What was left out or is doubtful, over all traces; see notes.
	orphans, nameless, duplicates, circles, crowded, sampled, unnamed int

	// Of the trace at hand.
	spans  []*span
	byID   map[string][]int
	parent []int // -1: none
	top    []int // the span of the same service that began the request
}

// notes says what was left out or is doubtful, in sentences with a number each.
// Nothing is dropped without being counted here.
func (l *linker) notes() (notes []string) {
	for _, n := range []struct {
		count int
		text  string
	}{
		{l.orphans, "spans whose parent is missing: %d; some edges are missing, and errors above them cannot be judged"},
		{l.nameless, "spans without a service name, left out: %d"},
		{l.duplicates, "duplicate spans, counted once: %d"},
		{l.circles, "spans that are their own ancestors, treated as the start of their requests: %d"},
		{l.crowded, "IDs shared by more than 64 spans, of which only 64 are linked: %d"},
		{l.unnamed, "calls without a known target (no span of the other side, no peer.service, no address), left out: %d"},
		{l.sampled, "spans sampled with a probability below 1 (tracestate), so counts cover only what was kept: %d"},
	} {
		if n.count > 0 {
			notes = append(notes, fmt.Sprintf(n.text, n.count))
		}
	}
	return notes
}

// call is one use of a dependency inside a request.
//
// Its times are those of the caller's clock, without which it cannot be compared with the
// end of the request.
type call struct {
	to         string
	kind       Kind
	start, end int64
	timed      bool
	failed     bool
	source     string
}

// trace links the spans of one trace. In this order: copies are dropped,
// parents found, and the top of each span; then every span becomes a call by
// its parent, or by the name of its peer, or none; and at last the calls inside
// each request are judged.
func (l *linker) trace(spans []*span) {
	l.spans = l.distinct(spans)
	l.byID = make(map[string][]int, len(l.spans))
	for i, s := range l.spans {
		l.byID[s.id] = append(l.byID[s.id], i)
		if s.sampled {
			l.sampled++
		}
	}
	for _, twins := range l.byID {
		if len(twins) > maxTwins {
			l.crowded++
		}
	}
	l.parents()
	l.tops()
	// linked marks spans of a caller whose other side was recorded: their peer
	// is known better from that side.
	linked := make([]bool, len(l.spans))
	calls := map[int][]call{} // by the first span of the request
	// Callers with another side first, then those without: toPeer must know
	// which are linked.
	for i, s := range l.spans {
		// A server whose caller is not here may still say its name.
		if p := l.parent[i]; p >= 0 {
			l.fromParent(i, p, linked, calls)
		} else if s.role == server && s.peer != "" && s.peer != s.service {
			l.count(s.peer, s.service, Call, s.failed, s.source) // a caller that is not traced
		}
	}
	for i, s := range l.spans {
		l.toPeer(i, linked[i], calls)
		if l.top[i] == i {
			l.t.requests[s.service]++
		}
	}
	// In order, so that the first source of an edge is always the same.
	for _, top := range slices.Sorted(maps.Keys(calls)) {
		l.effects(top, calls[top])
	}
}

// distinct drops spans without a service, and second copies, as two collectors
// or two files may hold the same. A span that was reported in two parts failed
// if one part says so. The order in which it leaves the rest makes every later
// choice among twins the same, whatever the order of the files.
//
// O(n log n).
func (l *linker) distinct(spans []*span) []*span {
	type identity struct {
		id, service string
		role        role
		start       int64
	}
	slices.SortStableFunc(spans, func(a, b *span) int { // a result does not depend on the order of files
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id), cmp.Compare(a.role, b.role), cmp.Compare(a.service, b.service), cmp.Compare(b.end, a.end), cmp.Compare(a.parent, b.parent))
	})
	seen := make(map[identity]*span, len(spans))
	kept := make([]*span, 0, len(spans))
	for _, s := range spans {
		if s.service == "" {
			l.nameless++
			continue
		}
		// The end is no part of it: a copy may have been sent before the span
		// was over.
		k := identity{s.id, s.service, s.role, s.start}
		if first := seen[k]; first != nil {
			first.failed = first.failed || s.failed // reported in two parts
			l.duplicates++
			continue
		}
		seen[k] = s
		kept = append(kept, s)
	}
	return kept
}

// parents finds the parent of each span. A server that shares the ID of its
// client has that client as its parent. Otherwise several spans may have the
// parent's ID, and the likeliest is taken: one of the same service that did the
// work, then a client of that service, then a server of another one, then any.
func (l *linker) parents() {
	l.parent = make([]int, len(l.spans))
	for i, s := range l.spans {
		l.parent[i] = -1
		if s.role == server || s.role == consumer {
			if twin := l.pick(s.id, func(o *span) bool { return o.role == client || o.role == producer }, s); twin >= 0 {
				l.parent[i] = twin
				continue
			}
		}
		if s.parent == "" {
			continue
		}
		same := func(o *span) bool { return o.service == s.service && o.role != client }
		serves := func(o *span) bool { return o.role == server || o.role == consumer }
		inside := func(o *span) bool { return o.service == s.service && !serves(s) } // below its own client, whose ID a server took over
		for _, wanted := range []func(*span) bool{same, inside, serves, func(*span) bool { return true }} {
			if l.parent[i] = l.pick(s.parent, wanted, s); l.parent[i] >= 0 {
				break
			}
		}
		if l.parent[i] < 0 {
			l.orphans++
		}
	}
}

// maxTwins is how many spans of one ID are looked at: a client, its servers,
// and their copies have the same one, and nothing else does.
const maxTwins = 64

// pick is the first of the spans with an ID that is wanted, or -1.
//
// Of those beyond maxTwins none is, and notes counts such IDs.
func (l *linker) pick(id string, wanted func(*span) bool, not *span) int {
	list := l.byID[id]
	for _, i := range list[:min(len(list), maxTwins)] {
		if l.spans[i] != not && wanted(l.spans[i]) {
			return i
		}
	}
	return -1
}

// tops finds where the request began that each span belongs to: it climbs as
// long as the parent is of the same service and waits. A circle of parents is
// cut. Every span is visited once, by marking the path that was climbed, so it
// is O(n) and does not recurse.
func (l *linker) tops() {
	const unknown, climbing = -1, -2
	l.top = make([]int, len(l.spans))
	for i := range l.top {
		l.top[i] = unknown
	}
	var path []int
	for i := range l.spans {
		path = path[:0]
		at := i
		// Up to a span whose top is known, or to one that has no parent in its
		// service.
		for l.top[at] == unknown {
			l.top[at] = climbing
			path = append(path, at)
			p := l.parent[at]
			if p < 0 || l.spans[p].service != l.spans[at].service || l.spans[at].async {
				l.top[at] = at
				break
			}
			at = p
		}
		if l.top[at] == climbing {
			l.circles++
			l.top[at] = at
			l.parent[at] = -1
		}
		// All of the path have the same top.
		for _, p := range path {
			l.top[p] = l.top[at]
		}
	}
}

// count adds one call to the sums. Spans always say whether they failed.
//
// Whether a failure went on to the request is another question, which effects answers.
func (l *linker) count(from, to string, kind Kind, failed bool, source string) {
	e := l.t.edge(from, to, kind, source)
	e.Calls++
	e.Judged = true
	if failed {
		e.Errors++
	}
}

// fromParent makes a call of span i, whose parent p is of another service. A
// delivery is counted and not judged, since its sender did not wait for it.
func (l *linker) fromParent(i, p int, linked []bool, calls map[int][]call) {
	s, up := l.spans[i], l.spans[p]
	if up.service == s.service {
		return
	}
	kind := Call
	switch {
	case s.async:
		kind = Delivery
	case s.role == consumer || up.role == producer:
		if s.peer != "" || up.peer != "" {
			return // the broker is known: toPeer
		}
		kind = Delivery
	}
	// The times of the called side are those of another clock; the caller's are
	// taken if there are any.
	c := call{to: s.service, kind: kind, failed: s.failed, source: s.source}
	if up.role == client || up.role == producer {
		// Tracers differ in which side they mark: either one says that it failed.
		c.failed, c.start, c.end, c.timed = up.failed || s.failed, up.start, up.end, up.timed
	} // else the times are of another clock than the request's
	linked[p] = true
	l.count(up.service, s.service, kind, c.failed, s.source)
	if kind != Delivery {
		calls[l.top[p]] = append(calls[l.top[p]], c)
	}
}

// toPeer makes a call of a span that names the other side, which was not
// recorded: a database, a provider, a service without traces.
//
// A client whose other side cannot be named is counted in notes and left out.
func (l *linker) toPeer(i int, linked bool, calls map[int][]call) {
	s := l.spans[i]
	kind := Call
	switch {
	case s.role == local, s.role == server, linked:
		return
	case s.peer == "":
		if s.role == client {
			l.unnamed++
		}
		return
	case s.peer == s.service:
		return
	case s.role != client:
		kind = Messaging
	case s.database:
		kind = Database
	}
	l.count(s.service, s.peer, kind, s.failed, s.source)
	if s.role != consumer { // that a message cannot be handled says nothing about its broker
		calls[l.top[i]] = append(calls[l.top[i]], call{s.peer, kind, s.start, s.end, s.timed, s.failed, s.source})
	}
}

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

const (
	local role = iota
	client
	server
	producer
	consumer
)

// span is what all formats have in common. Times are nanoseconds since 1970; 0
// stands for one that is missing. IDs are those of id, so "" is none.
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
// it costs O(n log n) in spans each time. The result does not depend on the
// order of sources or of spans within them, but for the order of notes.
func (c *Collector) Observed() *Observed {
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
	for i, s := range l.spans {
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
	for _, top := range slices.Sorted(maps.Keys(calls)) {
		l.effects(top, calls[top])
	}
}

// distinct drops spans without a service, and second copies, as two collectors
// or two files may hold the same. A span that was reported in two parts failed
// if one part says so. The order in which it leaves the rest makes every later
// choice among twins the same, whatever the order of the files.
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
		for _, p := range path {
			l.top[p] = l.top[at]
		}
	}
}

// count adds one call to the sums. Spans always say whether they failed.
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

// effects judges one request of one service: what its calls did, dependency by
// dependency, and how it ended.
//
// An error is only held against a dependency if the request failed as well,
// nothing else failed in it, both have times, and the call had ended when the
// request did. A request of which the top span is missing, or is the call
// itself, says nothing about how it ended.
func (l *linker) effects(top int, calls []call) {
	type dependency struct {
		to   string
		kind Kind
	}
	groups := map[dependency][]call{}
	for _, c := range calls {
		d := dependency{c.to, c.kind}
		groups[d] = append(groups[d], c)
	}
	results := make(map[dependency]result, len(groups))
	failures := 0
	for d, group := range groups {
		r := outcome(group)
		results[d] = r
		if r.failed || r.unclear {
			failures++
		}
	}
	entry := l.spans[top]
	known := l.known(top)
	for d, r := range results {
		var e Effect
		switch {
		case r.unclear:
			e.Unclear = 1
		case !r.failed && !known:
		case !r.failed && entry.failed:
			e.Otherwise = 1
		case !r.failed:
			e.Fine = 1
		case !known:
			e.Unclear = 1
		case !entry.failed:
			e.Absorbed = 1
		case failures > 1, !r.timed, !entry.timed, r.end > entry.end+rounding(entry, r.end):
			e.Unclear = 1
		default:
			e.Propagated = 1
		}
		l.t.edge(entry.service, d.to, d.kind, groups[d][0].source).Effect.add(e)
	}
}

// rounding is how far two ends of one clock can be apart in the wrong order:
// beginnings and durations are rounded each for itself, to microseconds by most
// tracers, and to milliseconds by some.
func rounding(entry *span, end int64) int64 {
	const ms = int64(time.Millisecond)
	if entry.start%ms == 0 && entry.end%ms == 0 && end%ms == 0 {
		return 2 * ms
	}
	return 2 * int64(time.Microsecond)
}

// known reports whether the top span says how a request ended: it is not the
// call itself, and nothing above it in the same service can be missing.
func (l *linker) known(top int) bool {
	switch s := l.spans[top]; s.role {
	case server, consumer:
		return true
	case client, producer:
		return false
	default:
		return s.parent == "" || l.parent[top] >= 0
	}
}

// result is what a request got from one dependency. end is that of the last
// call that failed for good; timed says that all calls have times.
type result struct {
	failed, unclear, timed bool
	end                    int64
}

// outcome says what a request got from one dependency in the end. A failed
// call was made good by one that began after its end and worked. If another one
// worked while it ran, the two may be hedges of each other, or two questions of
// which one was answered: nobody can tell.
//
// O(n log n): a batch job makes a million calls in one request.
func outcome(calls []call) (r result) {
	good := 0
	r.timed = true
	for _, c := range calls {
		r.timed = r.timed && c.timed
		if !c.failed {
			good++
		}
	}
	if good == len(calls) {
		return r
	}
	if !r.timed && good > 0 {
		r.unclear = true // in which order is not known
		return r
	}
	w := workedOf(calls, good)
	for _, c := range calls {
		switch {
		case !c.failed, w.after(c):
		case w.during(c):
			r.unclear = true
		default:
			r.failed, r.end = true, max(r.end, c.end)
		}
	}
	return r
}

// worked are the calls of one dependency that worked, in order of their
// beginning. latest has, for each of them, the latest end of those up to it.
type worked struct{ starts, latest []int64 }

// workedOf picks and sorts them; n is how many there are.
func workedOf(calls []call, n int) worked {
	good := make([]call, 0, n)
	for _, c := range calls {
		if !c.failed {
			good = append(good, c)
		}
	}
	slices.SortFunc(good, func(a, b call) int { return cmp.Compare(a.start, b.start) })
	w := worked{make([]int64, n), make([]int64, n)}
	for i, c := range good {
		w.starts[i], w.latest[i] = c.start, c.end
		if i > 0 {
			w.latest[i] = max(c.end, w.latest[i-1])
		}
	}
	return w
}

// after reports whether one began after the end of c, and made it good.
func (w worked) after(c call) bool {
	n := len(w.starts)
	return n > 0 && w.starts[n-1] >= c.end
}

// during reports whether one ran at the same time as c: of those that began
// before its end, the one that ended last did so after its beginning.
func (w worked) during(c call) bool {
	before, _ := slices.BinarySearch(w.starts, c.end)
	return before > 0 && w.latest[before-1] > c.start
}

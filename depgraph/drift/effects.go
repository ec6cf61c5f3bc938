package drift

import (
	"cmp"
	"slices"
	"time"
)

// effects judges one request of one service: what its calls did, dependency by
// dependency, and how it ended.
//
// An error is only held against a dependency if the request failed as well,
// nothing else failed in it, both have times, and the call had ended when the
// request did. A request of which the top span is missing, or is the call
// itself, says nothing about how it ended.
//
// calls are those of one request, in order of their beginning or not; each dependency adds
// one to one of the counts of its Effect. O(n log n).
func (l *linker) effects(top int, calls []call) {
	type dependency struct {
		to   string
		kind Kind
	}
	// A request may call one dependency many times: retries, hedges, a loop.
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
	// How the request ended is what its first span says.
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
//
// unclear outweighs failed: of a dependency that is both nothing is concluded.
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
//
// The last beginning decides, as starts is sorted. O(1).
func (w worked) after(c call) bool {
	n := len(w.starts)
	return n > 0 && w.starts[n-1] >= c.end
}

// during reports whether one ran at the same time as c: of those that began
// before its end, the one that ended last did so after its beginning.
//
// O(log n).
func (w worked) during(c call) bool {
	before, _ := slices.BinarySearch(w.starts, c.end)
	return before > 0 && w.latest[before-1] > c.start
}

package observe

import (
	"context"
	"errors"
	"sync"
)

// request is one request that the service handles: what each dependency did
// in it, until it ends.
//
// It lives as long as a context refers to it. mu is held for a few assignments, never
// across a call.
type request struct {
	mu    sync.Mutex
	seq   int64 // counts beginnings and ends of calls: their order
	first [8]use
	more  []use // of requests with more dependencies than that
	n     int
	over  bool
}

// use is what one dependency did in a request.
//
// The order of ends and beginnings tells a retry, which began after the failure had ended,
// from a hedge, which ran beside it.
type use struct {
	e       *edge
	failed  bool  // and nothing that began later made it good
	hedged  bool  // a call that worked ran at the same time
	failEnd int64 // when the last failure ended
	goodEnd int64 // when the last call that worked ended
}

type requestKey struct{}

// Begin starts a request that the service handles. Calls with the returned
// context belong to it. End, which must be called once, says whether the
// request failed. Handler does this for HTTP.
//
// Requests may nest; a call belongs to the innermost. end may be called from any goroutine;
// calls after the first do nothing.
func (r *Recorder) Begin(ctx context.Context) (_ context.Context, end func(failed bool)) {
	rq := &request{}
	return context.WithValue(ctx, requestKey{}, rq), func(failed bool) { r.end(rq, failed) }
}

// requestOf is the request that a call belongs to; nil for one outside any, such as that of
// a background job.
func requestOf(ctx context.Context) *request {
	rq, _ := ctx.Value(requestKey{}).(*request)
	return rq
}

// Start is a call that has begun; see Recorder.Start.
type Start struct {
	r  *Recorder
	e  *edge
	rq *request
	at int64
}

// Start notes that a call to an address, or to a name of Options.Names,
// begins. Done must be called at its end. Both together do not allocate, once
// the address is known. RoundTripper does this for HTTP.
//
// A Start is a value; Done may be called from another goroutine, once.
func (r *Recorder) Start(ctx context.Context, address string) Start {
	s := Start{r: r, e: r.edge(address), rq: requestOf(ctx)}
	if s.rq != nil {
		s.rq.mu.Lock()
		s.rq.seq++
		s.at = s.rq.seq
		s.rq.mu.Unlock()
	}
	return s
}

// Done notes how the call ended.
func (s Start) Done(failed bool) {
	if s.e == nil {
		s.r.other.Add(1)
		return
	}
	s.e.calls.Add(1)
	if failed {
		s.e.errors.Add(1)
	}
	if s.rq != nil {
		s.rq.note(s.e, s.at, failed)
	} else if failed {
		s.e.unclear.Add(1)
	}
}

// Err is Done for those that have an error. That the caller itself gave up is
// no failure of the dependency; a deadline is.
func (s Start) Err(err error) { s.Done(err != nil && !errors.Is(err, context.Canceled)) }

// note keeps the outcome of a call for the end of the request. Nobody can judge
// a failure after that end, as nobody waited for it, or one beside a call that
// worked: the two may be hedges of each other.
func (rq *request) note(e *edge, began int64, failed bool) {
	rq.mu.Lock()
	defer rq.mu.Unlock()
	rq.seq++
	if rq.over {
		if failed {
			e.unclear.Add(1)
		}
		return
	}
	u := rq.use(e)
	switch {
	case failed:
		u.hedged = u.failed && u.hedged || u.goodEnd > began
		u.failed, u.failEnd = true, rq.seq
	case u.failed && began > u.failEnd:
		u.failed, u.hedged = false, false // a retry
	case u.failed:
		u.hedged = true
	}
	if !failed {
		u.goodEnd = rq.seq
	}
}

// use finds the entry of a dependency, or makes it.
//
// Most requests use few dependencies, so a search beats a map, and the first eight need no
// allocation.
func (rq *request) use(e *edge) *use {
	for i := range rq.first[:min(rq.n, len(rq.first))] {
		if rq.first[i].e == e {
			return &rq.first[i]
		}
	}
	for i := range rq.more {
		if rq.more[i].e == e {
			return &rq.more[i]
		}
	}
	rq.n++
	if rq.n <= len(rq.first) {
		u := &rq.first[rq.n-1]
		*u = use{e: e}
		return u
	}
	rq.more = append(rq.more, use{e: e})
	return &rq.more[len(rq.more)-1]
}

// end judges what the dependencies did by how the request ended. If several
// failed in a request that failed, nobody can say which one it was.
//
// A failed dependency of a request that was answered well was absorbed: its caller is soft.
// One that failed alone in a request that failed is taken as the reason.
func (r *Recorder) end(rq *request, failed bool) {
	rq.mu.Lock()
	defer rq.mu.Unlock()
	if rq.over {
		return
	}
	rq.over = true
	r.requests.Add(1)
	bad := 0
	each := func(f func(u *use)) {
		for i := range rq.first[:min(rq.n, len(rq.first))] {
			f(&rq.first[i])
		}
		for i := range rq.more {
			f(&rq.more[i])
		}
	}
	each(func(u *use) {
		if u.failed && !u.e.drop {
			bad++
		}
	})
	each(func(u *use) {
		switch {
		case !u.failed && !failed:
			u.e.fine.Add(1)
		case !u.failed:
			u.e.otherwise.Add(1)
		case u.hedged:
			u.e.unclear.Add(1)
		case !failed:
			u.e.absorbed.Add(1)
		case bad > 1:
			u.e.unclear.Add(1)
		default:
			u.e.propagated.Add(1)
		}
	})
}

package cache

import (
	"container/list"
	"context"
	"sync"
)

// writeWorkers bound the concurrent writes. Four keep up with about 1,000
// writes a second at 4 ms each.
const writeWorkers = 4

// writeback is a bounded queue of entries on their way to the store: first
// in, first out by key, the latest entry for each key, and one write of a key
// at a time. Workers start when there is work and end when there is none.
// What more there is to be written, beside the queue, they get from more.
type writeback[V any] struct {
	limit    int
	maxBytes int64 // of the costs of what waits and what is being written; 0: no bound

	// write writes e, whatever comes of it, and calls written. It returns
	// true if the worker may go on here; else written was, or will be,
	// called with moved, on the goroutine that goes on in its place.
	write func(e *entry[V]) (here bool)
	more  func() *entry[V] // nil: nothing

	mu      sync.Mutex               // guards what follows; taken under a shard's lock, never the other way round
	order   list.List                // of *entry[V], oldest first
	pending map[string]*list.Element // by key, those in order
	writing map[string]*writing[V]   // by key, at most one for each worker
	workers int                      // at most writeWorkers; those that wait for a slow store are counted
	bytes   int64                    // of all that waits or is being written
	closed  bool                     // nothing is taken any more; what waits is still written
	drained chan struct{}            // non-nil while someone waits for workers to reach 0
}

// writing is a write in progress, and what waits for its end.
// next is the latest of what came for the key meanwhile; nil: nothing did.
type writing[V any] struct{ now, next *entry[V] }

// newWriteback keeps up to limit entries and maxBytes of them waiting for the
// store. write hands one over and reports whether the next may follow; more
// yields one that is owed when nothing waits, or nil.
func newWriteback[V any](limit int, maxBytes int64, write func(*entry[V]) bool, more func() *entry[V]) *writeback[V] {
	return &writeback[V]{
		limit: limit, maxBytes: maxBytes, write: write, more: more,
		pending: make(map[string]*list.Element), writing: make(map[string]*writing[V]),
	}
}

// add queues e. It reports false, and drops e, if the queue is full or closed.
// If a later version of its key waits already, that is enough. An entry that is
// larger than all that may wait is taken when nothing else is there.
func (q *writeback[V]) add(e *entry[V]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	w := q.writing[e.key]
	// takes the place of the one that waits, so a hot key is one write and keeps its turn
	if waiting, ok := q.pending[e.key]; ok {
		old := waiting.Value.(*entry[V])
		if e.version < old.version {
			return true
		}
		waiting.Value = e
		q.bytes += e.cost - old.cost
		return true
	}
	// the same, behind a write in progress
	if w != nil && w.next != nil {
		if e.version >= w.next.version {
			q.bytes += e.cost - w.next.cost
			w.next = e
		}
		return true
	}
	full := q.maxBytes > 0 && q.bytes > 0 && q.bytes+e.cost > q.maxBytes
	if full || q.waiting() >= q.limit {
		return false
	}
	q.bytes += e.cost
	if w != nil {
		w.next = e
		return true
	}
	q.pending[e.key] = q.order.PushBack(e)
	q.hire()
	return true
}

// waiting is how many keys wait to be written, those not counted that are
// being written. The caller holds q.mu.
func (q *writeback[V]) waiting() int {
	n := len(q.pending)
	for _, w := range q.writing {
		if w.next != nil {
			n++
		}
	}
	return n
}

// hire starts a worker, if there is none too many. The caller holds q.mu.
func (q *writeback[V]) hire() {
	if q.workers < writeWorkers {
		q.workers++
		go q.work()
	}
}

// wake starts a worker for what more may have.
// The worker asks more once, and ends if that has nothing.
func (q *writeback[V]) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hire()
}

// forget drops what waits for key.
// What is being written cannot be called back; that is for versions to sort out.
func (q *writeback[V]) forget(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if waiting, ok := q.pending[key]; ok {
		q.bytes -= q.order.Remove(waiting).(*entry[V]).cost
		delete(q.pending, key)
	}
	if w := q.writing[key]; w != nil && w.next != nil {
		q.bytes -= w.next.cost
		w.next = nil
	}
}

// work is one worker.
func (q *writeback[V]) work() {
	for {
		e := q.next()
		if e == nil || !q.write(e) {
			return
		}
	}
}

// written ends the write of e. If moved, this goroutine goes on as the worker
// that began it.
func (q *writeback[V]) written(e *entry[V], moved bool) {
	q.mu.Lock()
	if w := q.writing[e.key]; w != nil && w.now == e {
		delete(q.writing, e.key)
		q.bytes -= e.cost
		if w.next != nil {
			q.pending[e.key] = q.order.PushBack(w.next)
			q.hire()
		}
	}
	q.mu.Unlock()
	if moved {
		q.work()
	}
}

// next returns what is to be written next, or nil and signs the worker off.
func (q *writeback[V]) next() *entry[V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	if front := q.order.Front(); front != nil {
		e := q.order.Remove(front).(*entry[V])
		delete(q.pending, e.key)
		q.writing[e.key] = &writing[V]{now: e}
		return e
	}
	if e := q.more(); e != nil {
		q.hire() // there may be still more
		return e
	}
	q.workers--
	// under the mutex, so that add does not hire between the last look and the sign-off
	if q.workers == 0 && q.drained != nil {
		close(q.drained)
		q.drained = nil
	}
	return nil
}

// len is how many keys wait, for Stats.
func (q *writeback[V]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting()
}

// drain closes the queue and waits until everything is written, that of more
// included; done is false if ctx ended before. Then it drops what no worker
// has begun with, and returns it.
func (q *writeback[V]) drain(ctx context.Context) (dropped []*entry[V], done bool) {
	q.mu.Lock()
	q.closed = true
	q.hire()
	if q.drained == nil {
		q.drained = make(chan struct{})
	}
	drained := q.drained
	q.mu.Unlock()

	select {
	case <-drained:
		return nil, true
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, waiting := range q.pending {
		dropped = append(dropped, waiting.Value.(*entry[V]))
	}
	for _, w := range q.writing {
		if w.next != nil {
			dropped = append(dropped, w.next)
			w.next = nil
		}
	}
	for _, e := range dropped {
		q.bytes -= e.cost
	}
	q.order.Init()
	clear(q.pending)
	return dropped, false
}

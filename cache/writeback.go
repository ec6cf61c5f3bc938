package cache

import (
	"container/list"
	"context"
	"sync"
	"sync/atomic"
)

// writeWorkers bound the concurrent writes. Four keep up with about 1,000
// writes a second at 4 ms each.
const writeWorkers = 4

// writeback is a bounded queue of entries on their way to the store: first
// in, first out by key, the latest entry for each key. Workers start when
// there is work and end when there is none.
type writeback[V any] struct {
	limit int
	// write writes e, whatever comes of it. It sets replaced if it got
	// stuck and another worker has been put in this one's place.
	write func(e *entry[V], replaced *atomic.Bool)

	mu      sync.Mutex
	order   list.List                // of *entry[V], oldest first
	pending map[string]*list.Element // by key
	workers int
	closed  bool
	drained chan struct{} // non-nil while someone waits for workers to reach 0
}

func newWriteback[V any](limit int, write func(*entry[V], *atomic.Bool)) *writeback[V] {
	return &writeback[V]{limit: limit, write: write, pending: make(map[string]*list.Element)}
}

// add queues e. It reports false, and drops e, if the queue is full or closed.
func (q *writeback[V]) add(e *entry[V]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if waiting, ok := q.pending[e.key]; ok {
		waiting.Value = e
		return true
	}
	if len(q.pending) >= q.limit {
		return false
	}
	q.pending[e.key] = q.order.PushBack(e)
	if q.workers < writeWorkers {
		q.workers++
		go q.work()
	}
	return true
}

// forget drops what waits for key.
func (q *writeback[V]) forget(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if waiting, ok := q.pending[key]; ok {
		q.order.Remove(waiting)
		delete(q.pending, key)
	}
}

// work is one worker.
func (q *writeback[V]) work() {
	var replaced atomic.Bool
	finished := false
	defer func() {
		if !finished && !replaced.Load() { // a runtime.Goexit in the store took this goroutine
			go q.work()
		}
	}()
	for !replaced.Load() {
		e := q.next()
		if e == nil {
			break
		}
		q.write(e, &replaced)
	}
	finished = true
}

// next returns the oldest entry, or nil and signs the worker off.
func (q *writeback[V]) next() *entry[V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	if front := q.order.Front(); front != nil {
		e := q.order.Remove(front).(*entry[V])
		delete(q.pending, e.key)
		return e
	}
	q.workers--
	if q.workers == 0 && q.drained != nil {
		close(q.drained)
		q.drained = nil
	}
	return nil
}

func (q *writeback[V]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending)
}

// drain closes the queue and waits until everything is written; done is
// false if ctx ended before. Then it drops what no worker has begun with, and
// returns how many that were.
func (q *writeback[V]) drain(ctx context.Context) (dropped int, done bool) {
	q.mu.Lock()
	q.closed = true
	if q.workers == 0 {
		q.mu.Unlock()
		return 0, true
	}
	if q.drained == nil {
		q.drained = make(chan struct{})
	}
	drained := q.drained
	q.mu.Unlock()

	select {
	case <-drained:
		return 0, true
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped = len(q.pending)
	q.order.Init()
	clear(q.pending)
	return dropped, false
}

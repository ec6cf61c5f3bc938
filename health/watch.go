package health

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Watch watches one piece of local work: a loop of a worker, the pass of a
// queue. If it is active and shows no sign of life for longer than its limit,
// the process is no longer live.
//
// The work calls Beat when it begins a round and whenever it makes progress,
// Idle when there is nothing to do, and Wait around everything that it does
// not control: calls of dependencies, locks, queues. A Watch without Wait
// restarts the service when a dependency hangs.
//
// A Watch is safe for concurrent use, but a sign of life of one worker hides
// the silence of another: give each its own.
type Watch struct {
	name    string
	limit   int64
	beat    atomic.Int64 // time of the last sign of life, from epoch; 0: idle
	waiting atomic.Int64 // calls of Wait in progress
}

// Watch registers a watch, idle at first. The name is for the report; it must
// be unique. limit is the longest silence of active work; it must be > 0.
func (p *Process) Watch(name string, limit time.Duration) (*Watch, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("health: watch %q: the limit is %v, it must be > 0", name, limit)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*Watch
	var names []string
	if old := p.watches.Load(); old != nil {
		all = append(all, *old...)
		for _, w := range all {
			names = append(names, w.name)
		}
	}
	if err := uniqueName("watch", name, names); err != nil {
		return nil, err
	}
	w := &Watch{name: name, limit: int64(limit)}
	all = append(all, w)
	p.watches.Store(&all)
	return w, nil
}

// Beat is a sign of life. It makes the watch active.
func (w *Watch) Beat() { w.beat.Store(w.now()) }

// Idle says that there is nothing to do: silence is fine until the next Beat.
func (w *Watch) Idle() { w.beat.Store(0) }

// Wait calls f with the clock stopped: however long f takes, the watch does
// not run out because of it. It can be nested, and used by several goroutines
// at once; the clock runs again, from zero, when none is waiting.
func (w *Watch) Wait(f func()) {
	w.waiting.Add(1)
	defer func() {
		if old := w.beat.Load(); old != 0 {
			w.beat.CompareAndSwap(old, w.now())
		}
		w.waiting.Add(-1)
	}()
	f()
}

// now is never 0, which stands for idle.
func (w *Watch) now() int64 { return max(int64(time.Since(epoch)), 1) }

// stalled returns by how much the watch has run out, or 0.
func (w *Watch) stalled(now int64) time.Duration {
	if w.waiting.Load() > 0 {
		return 0
	}
	beat := w.beat.Load()
	if beat == 0 || now-beat <= w.limit {
		return 0
	}
	return time.Duration(now - beat - w.limit)
}

type contextKey struct{}

// NewContext returns a context that carries w, so that code further down can
// stop its clock with [Wait].
func NewContext(ctx context.Context, w *Watch) context.Context {
	return context.WithValue(ctx, contextKey{}, w)
}

// Wait calls f, with the clock of ctx's watch stopped, if there is one: for
// libraries that wait for something on behalf of their caller.
func Wait(ctx context.Context, f func()) {
	if w, ok := ctx.Value(contextKey{}).(*Watch); ok && w != nil {
		w.Wait(f)
		return
	}
	f()
}

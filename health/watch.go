package health

import (
	"context"
	"fmt"
	"log/slog"
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
// the silence of another: give each its own. The methods of a nil Watch, and of
// one that Process.Watch has not made, do nothing, and Wait calls f.
type Watch struct {
	p       *Process
	name    string
	limit   int64
	epoch   epoch
	beat    atomic.Int64 // when the last sign of life was; 0: idle
	waiting atomic.Int64 // calls of Wait in progress
	waits   atomic.Int64 // since when there have been some; meaningless while there are none
	since   int64        // it was registered
	used    atomic.Bool  // the work has shown itself: by Beat, Idle or Wait
}

// watches are all the watches of a process.
// It is replaced and never changed, so that Live reads it without a lock; writers hold
// p.mu.
type watches struct {
	epoch epoch
	all   []*Watch
}

// epoch is the zero of the clock of a process's watches. It is monotonic.
type epoch struct{ t time.Time }

// now is at least 1: 0 stands for idle.
func (e epoch) now() int64 { return int64(time.Since(e.t)) + 1 }

// mostTick is how far the clock of the watches gets ahead of Run's last tick. Ticks
// are a second apart; if one takes longer, the process as a whole has stood still
// (SIGSTOP, a migration of the machine, no processor for it), and not a loop of
// it.
const mostTick = 1500 * time.Millisecond

// clock is the time by which watches run out: that of their epoch, less what the
// whole process has missed. So the first probe after a freeze does not find all
// loops dead before one of them had a chance to run.
func (p *Process) clock(e epoch) int64 {
	frozen, heart, now := p.frozen.Load(), p.heart.Load(), e.now()
	if heart != 0 {
		now = min(now, heart+int64(mostTick))
	}
	return max(now-frozen, 1)
}

// pulse is a tick of Run.
// Only Run's goroutine calls it, so heart has one writer. What the process missed is
// added before heart moves: clock never goes forward by a freeze in between.
func (p *Process) pulse() {
	ws := p.watches.Load()
	if ws == nil {
		return
	}
	now, heart := ws.epoch.now(), p.heart.Load()
	if missed := now - heart - int64(mostTick); heart != 0 && missed > 0 {
		p.frozen.Add(missed)
		p.changed(slog.LevelWarn, "the whole process stood still; watches do not count that", "for", time.Duration(missed))
	}
	p.heart.Store(now)
}

// Watch registers a watch, idle at first. The name is for the report; it must
// be unique. limit is the longest silence of active work; it must be > 0. Work
// that shows itself in no way for that long is a warning: it should begin with
// Beat, or with Idle if there is nothing to do yet.
func (p *Process) Watch(watch string, limit time.Duration) (*Watch, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("health: watch %q: the limit is %v, it must be > 0", watch, limit)
	}
	if err := units("the limit", limit); err != nil {
		return nil, fmt.Errorf("health: watch %q: %w", watch, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// the first watch sets the epoch for all; it has to be the same, since one clock judges
	// them
	next := &watches{epoch: epoch{time.Now()}}
	if old := p.watches.Load(); old != nil {
		next.epoch = old.epoch
		next.all = append(next.all, old.all...)
	}
	if err := name("watch", watch, next.all, func(w *Watch) string { return w.name }); err != nil {
		return nil, err
	}
	w := &Watch{p: p, name: watch, limit: int64(limit), epoch: next.epoch, since: p.clock(next.epoch)}
	next.all = append(next.all, w)
	p.watches.Store(next)
	return w, nil
}

// registered reports whether a watch belongs to a process.
func (w *Watch) registered() bool { return w != nil && w.p != nil }

// Beat is a sign of life. It makes the watch active.
func (w *Watch) Beat() {
	if w.registered() {
		w.beat.Store(w.p.clock(w.epoch))
		w.show()
	}
}

// show notes that there is somebody.
func (w *Watch) show() {
	if !w.used.Load() { // so that the usual call writes no more than it did
		w.used.Store(true)
	}
}

// Idle says that there is nothing to do: silence is fine until the next Beat.
func (w *Watch) Idle() {
	if w.registered() {
		w.beat.Store(0)
		w.show()
	}
}

// Wait calls f with the clock stopped: however long f takes, the watch does
// not run out because of it. It can be nested, and used by several goroutines
// at once. When none waits any more the clock runs again, from zero: a loop
// that retries a dead dependency forever is not stuck, and a restart would
// not help it.
func (w *Watch) Wait(f func()) {
	if f == nil {
		return
	}
	if !w.registered() {
		f()
		return
	}
	w.show()
	if w.waiting.Add(1) == 1 {
		w.waits.Store(w.p.clock(w.epoch))
	}
	defer func() { // also when f panics
		// an idle watch stays idle; and a Beat that came meanwhile is not undone
		if old := w.beat.Load(); old != 0 {
			w.beat.CompareAndSwap(old, w.p.clock(w.epoch))
		}
		w.waiting.Add(-1)
	}()
	f()
}

// Close ends the watch of work that has ended, and frees its name. A closed
// watch does nothing.
func (w *Watch) Close() {
	if !w.registered() {
		return
	}
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	old := w.p.watches.Load()
	next := &watches{epoch: old.epoch}
	for _, other := range old.all {
		if other != w {
			next.all = append(next.all, other)
		}
	}
	w.p.watches.Store(next)
}

// stalled returns by how much the watch has run out, or 0.
func (w *Watch) stalled(now int64) time.Duration {
	// In this order: Wait sets beat before it counts itself out.
	if w.waiting.Load() > 0 {
		return 0
	}
	beat := w.beat.Load()
	if beat == 0 || now-beat <= w.limit {
		return 0
	}
	return time.Duration(now - beat - w.limit)
}

// silence is how long the work has said nothing, 0 when it need not.
func (w *Watch) silence(now int64) time.Duration {
	if beat := w.beat.Load(); beat != 0 && w.waiting.Load() == 0 {
		return time.Duration(max(now-beat, 0))
	}
	return 0
}

// waited is how many calls of Wait are in progress, and for how long there have
// been some without a pause.
func (w *Watch) waited(now int64) (waiters int64, d time.Duration) {
	since := w.waits.Load()
	if waiters = w.waiting.Load(); waiters == 0 {
		return 0, 0
	}
	return waiters, time.Duration(max(now-since, 0))
}

// missing reports whether the work has never shown itself, for longer than it may
// be silent: its goroutine was not started, or died before its first round. It
// may just have nothing to do, and should say so with Idle; that is why it is a
// warning.
func (w *Watch) missing(now int64) bool { return !w.used.Load() && now-w.since > w.limit }

// waitsLong reports whether what is waited for takes longer than the work itself
// may: no reason for a restart, but one to look.
func (w *Watch) waitsLong(now int64) bool {
	_, d := w.waited(now)
	return int64(d) > w.limit
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
	var w *Watch
	if ctx != nil {
		w, _ = ctx.Value(contextKey{}).(*Watch)
	}
	w.Wait(f)
}

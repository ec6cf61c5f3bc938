package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// verdict is what came of a scenario. good is whether a service would want it.
type verdict struct {
	text string
	took time.Duration
	good bool
}

// quick is a time in which nothing has waited for a tier that hangs, on a machine
// that does other things, too.
const quick = 400 * time.Millisecond

const (
	right = "right"
	old   = "old"
)

// world is one peer in one scenario, in a process of its own.
type world struct {
	peer   peer
	tier   *tier
	origin *origin
	get    getter
}

func newWorld(p peer, ttl time.Duration) *world {
	w := &world{peer: p, tier: new(tier), origin: &origin{value: right}}
	w.get = p.open(w.tier, w.origin, ttl)
	return w
}

// restart is another process: it has an empty local tier.
func (w *world) restart(ttl time.Duration) { w.get = w.peer.open(w.tier, w.origin, ttl) }

var errPanicked = errors.New("panic to the caller")

// try is a Get whose panic is an outcome.
func (w *world) try(ctx context.Context, key string) (v string, err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return w.get(ctx, key)
}

// one is a single Get, of which the value want is wanted, quickly.
func (w *world) one(ctx context.Context, want string) verdict {
	began := time.Now()
	v, err := w.try(ctx, "k")
	took := time.Since(began)
	switch {
	case errors.Is(err, errPanicked):
		return verdict{err.Error(), took, false}
	case err != nil && v == want:
		return verdict{"value and error", took, false}
	case err != nil:
		return verdict{"error", took, false}
	case v != want:
		return verdict{"wrong value, no error", took, false}
	}
	return verdict{"value", took, took <= quick}
}

// fill makes both tiers have "k", and waits until the shared one does.
func (w *world) fill() {
	_, _ = w.try(context.Background(), "k")
	for range 200 {
		if w.tier.len() > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type scenario struct {
	id, what string
	limit    time.Duration // of the process
	run      func(p peer) verdict
}

var bg = context.Background()

// withTier is a Get of a key that nobody has, with a broken tier.
func withTier(read, write fault, deadline time.Duration) func(peer) verdict {
	return func(p peer) verdict {
		w := newWorld(p, time.Hour)
		w.tier.broken(read, write, nil)
		ctx := bg
		if deadline > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(bg, deadline)
			defer cancel()
		}
		return w.one(ctx, right)
	}
}

func garbage(erase fault) func(peer) verdict {
	return func(p peer) verdict {
		w := newWorld(p, time.Hour)
		w.fill()
		w.tier.garble()
		w.tier.broken(nil, nil, erase)
		w.restart(time.Hour)
		return w.one(bg, right)
	}
}

// past fills the tiers and waits until the TTL is over.
func past(p peer, then func(w *world) verdict) verdict {
	const ttl = 200 * time.Millisecond
	w := newWorld(p, ttl)
	w.fill()
	time.Sleep(2 * ttl)
	return then(w)
}

var scenarios = []scenario{
	{"A", "the tier fails, the origin is well", 0, withTier(fails, fails, 0)},
	{"B", "the tier hangs, the caller has no deadline", 0, withTier(hangs, hangs, 0)},
	{"C", "the tier hangs, the caller has 200 ms", 0, withTier(hangs, hangs, 200*time.Millisecond)},
	{"D", "the same, and it ignores the context", 0, withTier(deaf, deaf, 200*time.Millisecond)},
	{"E", "garbage in the tier", 0, garbage(nil)},
	{"F", "garbage, and it may not be deleted", 0, garbage(fails)},
	{"G", "the tier's driver panics", 0, withTier(panics, panics, 0)},
	{"H", "origin and tier are down, an old value in memory", 0, func(p peer) verdict {
		return past(p, func(w *world) verdict {
			w.origin.set(func(o *origin) { o.err = errOrigin })
			w.tier.broken(fails, fails, nil)
			return w.one(bg, right)
		})
	}},
	{"I", "the origin is down, an old value in the tier", 0, func(p peer) verdict {
		return past(p, func(w *world) verdict {
			w.origin.set(func(o *origin) { o.err = errOrigin })
			w.restart(200 * time.Millisecond)
			return w.one(bg, right)
		})
	}},
	{"J", "writes to the tier hang", 0, withTier(nil, hangs, 0)},
	{"K", "the same; 20,000 keys from 64 callers in 4 s", 10 * time.Second, manyWrites},
	{"L", "10,000 callers miss one key", 0, stampede},
	{"M", "the first caller leaves, the second does not", 0, leaves},
	{"N", "a caller with 50 ms joins a load of 2 s", 0, joins},
	{"O", "the origin panics, once", 0, func(p peer) verdict {
		w := newWorld(p, time.Hour)
		w.origin.set(func(o *origin) { o.bad = true })
		_, err := w.try(bg, "k")
		w.origin.set(func(o *origin) { o.bad = false })
		v, again := w.try(bg, "k")
		switch {
		case errors.Is(err, errPanicked):
			return verdict{"panic to the caller", 0, false}
		case again != nil || v != right:
			return verdict{"error for ever", 0, false}
		}
		return verdict{"error, then value", 0, err != nil}
	}},
	{"P", "the tier hangs; five keys, one after the other", 90 * time.Second, func(p peer) verdict {
		w := newWorld(p, time.Hour)
		w.tier.broken(hangs, hangs, nil)
		began := time.Now()
		served := 0
		for i := range 5 {
			if v, err := w.try(bg, fmt.Sprint(i)); err == nil && v == right {
				served++
			}
		}
		took := time.Since(began)
		return verdict{fmt.Sprintf("%d values", served), took, served == 5 && took <= 2*quick}
	}},
	{"Q", "an expired value is still in the tier", 0, func(p peer) verdict {
		return past(p, func(w *world) verdict {
			w.origin.set(func(o *origin) { o.value = "new" })
			w.restart(200 * time.Millisecond)
			return w.one(bg, "new")
		})
	}},
	{"R", "the tier hangs; a second wave of 200 misses", 60 * time.Second, secondWave},
}

func manyWrites(p peer) verdict {
	w := newWorld(p, time.Hour)
	w.tier.broken(nil, hangs, nil)
	before := runtime.NumGoroutine()
	var next, served atomic.Int64
	began := time.Now()
	end := began.Add(4 * time.Second)
	for range 64 {
		go func() {
			for time.Now().Before(end) {
				i := next.Add(1)
				if i > 20_000 {
					return
				}
				if v, err := w.try(bg, fmt.Sprint("key ", i)); err == nil && v == right && time.Now().Before(end) {
					served.Add(1)
				}
			}
		}()
	}
	for time.Now().Before(end) && served.Load() < 20_000 {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	more := runtime.NumGoroutine() - before
	text := fmt.Sprintf("%d served", served.Load())
	if more > 200 {
		text += fmt.Sprintf(", %d goroutines more", more/1000*1000)
	}
	return verdict{text, took, served.Load() == 20_000 && more <= 200}
}

func stampede(p peer) verdict {
	w := newWorld(p, time.Hour)
	w.origin.set(func(o *origin) { o.slow = 50 * time.Millisecond })
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 10_000 {
		wg.Go(func() {
			<-start
			_, _ = w.try(bg, "k")
		})
	}
	close(start)
	wg.Wait()
	n := w.origin.loads.Load()
	return verdict{fmt.Sprintf("%d load", n), 0, n == 1}
}

// afterLeader runs then while a first caller, with this context, waits for a load.
func (w *world) afterLeader(ctx context.Context, then func()) {
	go func() { _, _ = w.try(ctx, "k") }()
	for w.origin.loads.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	then()
}

func leaves(p peer) (v verdict) {
	w := newWorld(p, time.Hour)
	w.origin.set(func(o *origin) { o.slow = 300 * time.Millisecond })
	ctx, cancel := context.WithCancel(bg)
	w.afterLeader(ctx, func() {
		time.AfterFunc(50*time.Millisecond, cancel)
		v = w.one(bg, right)
	})
	v.good = v.text == "value"
	v.took = 0
	return v
}

func joins(p peer) (v verdict) {
	w := newWorld(p, time.Hour)
	w.origin.set(func(o *origin) { o.slow = 2 * time.Second })
	w.afterLeader(bg, func() {
		ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
		defer cancel()
		v = w.one(ctx, right)
	})
	v.good = v.text == "error" && v.took <= quick
	return v
}

func secondWave(p peer) verdict {
	w := newWorld(p, time.Hour)
	w.tier.broken(hangs, hangs, nil)
	wave := func(name string) (served int64, took time.Duration) {
		var n atomic.Int64
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 200 {
			wg.Go(func() {
				if v, err := w.try(bg, fmt.Sprint(name, i)); err == nil && v == right {
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return n.Load(), time.Since(began)
	}
	wave("first")
	before := w.tier.reads.Load()
	served, took := wave("second")
	reads := w.tier.reads.Load() - before
	return verdict{fmt.Sprintf("%d values, %d reads of the tier", served, reads), took, served == 200 && reads <= 5 && took <= quick}
}

package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// maxZombies is how many calls that ignore their context may be stuck at
// once; beyond it the store is not called. Each costs a goroutine.
const maxZombies = 64

// remote guards the Store: time, panics, breakers, counts. It knows nothing
// of values.
type remote struct {
	store   Store
	keys    keyer
	reads   *breaker // of its own, as a table may be readable and not writable
	writes  *breaker
	now     func() int64                    // the cache's clock
	zombies atomic.Int64                    // of the store alone: a hanging origin must not close it
	nReads  *storeCounters                  // of Stats.Reads
	nWrites *storeCounters                  // of Stats.Writes
	fair    time.Duration                   // a read that had less says nothing of the store
	fault   func(op, key string, err error) // tells the hooks; called with no lock held

	// tags makes sure that it is known what became of the tags of items.
	tags func(context.Context, ...Item) error
}

// get reads the item of key within budget and hands it to then, with its key in
// the store, exactly once. The error is nil, ErrNotFound for a miss, or a fault. It returns
// what bounded.run does. reading is given the call, so that it can be hastened.
func (r *remote) get(ctx context.Context, key string, budget time.Duration, reading func(*callContext), then func(string, Item, outcome)) (here bool) {
	report, ok := r.admit(r.reads, r.nReads)
	if !ok {
		then("", Item{}, skipped)
		return true
	}
	storeKey := r.keys.store(key) // not before: without the store it is of no use
	began := time.Now()
	b := bounded[Item]{
		began: began, timeout: budget, where: "store", late: ErrStoreTimeout, zombies: &r.zombies,
		call: func(ctx context.Context) (Item, error) {
			item, err := r.store.Get(ctx, storeKey)
			// within the same budget: a value whose tags nobody can vouch for is a failed read
			if err == nil && isTagged(item) {
				err = r.tags(ctx, item)
			}
			return item, err
		},
		then: func(item Item, o outcome) {
			r.note(r.nReads, o)
			report(r.verdict(o, min(budget, time.Since(began))))
			if o.has(isNotFound) {
				r.nReads.misses.Add(1)
			} else if o.err != nil {
				r.count(r.nReads, "read", key, o)
			}
			then(storeKey, item, o)
		},
	}
	reading(&b.callContext)
	return b.run(ctx)
}

// getMany is get for many keys in one call. Items that came in spite of an
// error are handed on too; key stands for all of them in events.
func (r *remote) getMany(ctx context.Context, store BatchStore, key string, storeKeys []string, budget time.Duration, then func(map[string]Item, outcome)) {
	report, ok := r.admit(r.reads, r.nReads)
	if !ok {
		then(nil, skipped)
		return
	}
	b := bounded[map[string]Item]{
		began: time.Now(), timeout: budget, where: "store", late: ErrStoreTimeout, zombies: &r.zombies,
		call: func(ctx context.Context) (map[string]Item, error) {
			items, err := store.GetMany(ctx, storeKeys)
			var tagged []Item
			for _, item := range items {
				if isTagged(item) {
					tagged = append(tagged, item)
				}
			}
			if unsaid := r.tags(ctx, tagged...); unsaid != nil {
				err = errors.Join(err, unsaid)
			}
			return items, err
		},
		then: func(items map[string]Item, o outcome) {
			r.note(r.nReads, o)
			report(r.verdict(o, budget))
			if o.err != nil {
				r.count(r.nReads, "read", key, o)
			}
			then(items, o)
		},
	}
	b.run(ctx)
}

// set writes item within timeout and hands the outcome to then, exactly
// once. It returns what bounded.run does. A write that is forced is made while
// the breaker is open, too.
func (r *remote) set(ctx context.Context, key, storeKey string, item Item, timeout time.Duration, force bool, then func(stays int64, o outcome)) (here bool) {
	report, ok := r.admit(r.writes, r.nWrites)
	if !ok && force && r.zombies.Load() < maxZombies {
		// admit has counted it as skipped, and it is not: an ending has to be tried, even if
		// the breaker thinks that it fails
		r.nWrites.skipped.Add(-1)
		r.nWrites.calls.Add(1)
		report, ok = func(error) {}, true
	}
	if !ok {
		then(0, skipped)
		return true
	}
	b := bounded[int64]{
		began: time.Now(), timeout: timeout, where: "store", late: ErrStoreTimeout, zombies: &r.zombies,
		call: func(ctx context.Context) (int64, error) {
			if s, ok := r.store.(ConditionalStore); ok {
				return s.SetNewer(ctx, storeKey, item)
			}
			return 0, r.store.Set(ctx, storeKey, item)
		},
		then: func(stays int64, o outcome) {
			r.note(r.nWrites, o)
			report(verdictOf(o))
			if o.err != nil && !o.has(isRejected) {
				r.count(r.nWrites, "write", key, o)
			}
			then(stays, o)
		},
	}
	return b.run(ctx)
}

// skipped is the outcome of a call that was not made.
var skipped = outcome{err: ErrStoreSkipped}

// admit asks the breaker, and the number of stuck calls, for permission.
// If ok, the call is counted, and report must be called exactly once, or a half-open
// breaker waits for its probe for ever.
func (r *remote) admit(b *breaker, n *storeCounters) (report func(error), ok bool) {
	if r.zombies.Load() < maxZombies {
		report, ok = b.allow(r.now())
	}
	if !ok {
		n.skipped.Add(1)
		return nil, false
	}
	n.calls.Add(1)
	return report, true
}

// verdict is what the breaker of reads gets to know of o. Callers with next
// to no time left must not close a healthy store to all others.
func (r *remote) verdict(o outcome, budget time.Duration) error {
	if budget < r.fair && o.has(isLate) {
		return errNoVerdict
	}
	return verdictOf(o)
}

// note keeps what a fault says, before a breaker opens because of it.
func (r *remote) note(n *storeCounters, o outcome) {
	if o.err != nil && !o.has(isNotFound|isRejected) {
		n.last.Store(&lastFault{o.text, time.Now()})
	}
}

// count is for a call of the store that failed: it is a fault of this
// operation, late if it took too long, and known to the hooks.
func (r *remote) count(n *storeCounters, op, key string, o outcome) {
	n.faults.Add(1)
	if o.has(isLate) {
		n.late.Add(1)
	}
	r.fault(op, key, o.err)
}

// newRemote puts breakers around o.Store.
func newRemote[V any](c *Cache[V]) *remote {
	r := &remote{
		store:   c.opts.Store,
		keys:    c.keys,
		now:     c.now,
		nReads:  &c.n.reads,
		nWrites: &c.n.writes,
		fair:    c.opts.RemoteBudget / 4,
		tags:    c.readTags,
		fault:   func(op, key string, err error) { c.emit(EventStoreFault, op, key, err) },
	}
	// b points to the field, since the breaker that the function tells of is made only
	// after the function
	changed := func(op string, n *storeCounters, b **breaker) func(from, to gobreaker.State) {
		return func(from, to gobreaker.State) {
			c.logBreaker(op, n, *b, from, to)
			c.tell(Event{Kind: EventBreaker, Cache: c.opts.Name, Op: op, From: from.String(), To: to.String()})
		}
	}
	r.reads = newBreaker("reads", c.now, c.opts.Trip, c.opts.Cooldown, changed("read", r.nReads, &r.reads))
	r.writes = newBreaker("writes", c.now, c.opts.Trip, c.opts.Cooldown, changed("write", r.nWrites, &r.writes))
	return r
}

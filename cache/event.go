package cache

import (
	"sync/atomic"
	"time"
)

// EventKind says what happened. The zero value is unknown.
type EventKind uint8

// The kinds of [Event].
const (
	EventUnknown      EventKind = iota
	EventStoreFault             // a read or write of the store failed; Err says how
	EventPoison                 // an item of the store could not be used
	EventBreaker                // a breaker went From one state To another
	EventWriteDropped           // a value did not reach the store: the queue was full, or the cache closed
	EventRejected               // the store, or the codec, cannot take this value
	EventLoadFailed             // the origin failed; Err is its error
	EventServedStale            // the origin failed and a stale value was served; Err is its error
	EventCallback               // a panic in Cost, Expires, Tags, Clone or Logger (Err is a *PanicError), or one that does not return
)

var eventNames = [...]string{
	"unknown", "store-fault", "poison", "breaker", "write-dropped",
	"rejected", "load-failed", "served-stale", "callback",
}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return eventNames[0]
}

// Event is one occurrence that a result does not show. An event never
// carries a key or a value: KeyID is a digest of the key (keyed with
// KeySecret, if set), good for telling whether two events are about the
// same key.
type Event struct {
	Kind  EventKind // what happened
	Cache string    // Options.Name
	Op    string    // "read" or "write", where a store or a breaker is concerned
	KeyID string    // digest of the key; "" if it is about no key
	Err   error     // what went wrong; nil if nothing did
	From  string    // EventBreaker: closed, half-open, open
	To    string    // state of the breaker now, for EventBreaker
}

// emit tells the hook.
func (c *Cache[V]) emit(kind EventKind, op, key string, err error) {
	if c.opts.OnEvent == nil {
		return
	}
	c.tell(Event{Kind: kind, Cache: c.opts.Name, Op: op, KeyID: c.keys.id(key), Err: err})
}

func (c *Cache[V]) tell(e Event) {
	if c.opts.OnEvent != nil {
		_ = c.aside("hook", func() { c.opts.OnEvent(e) })
	}
}

const (
	hookPatience  = 50 * time.Millisecond
	maxStuckHooks = 64
)

// aside calls OnEvent or the Logger, on a goroutine of its own, and returns an
// error, which has been counted, if that panics. It waits for it, so that events
// come in order and do not pile up, but not for long: a request may be waiting,
// and what the hook waits for (a full pipe, a Get) may be waiting for the
// request. While a call is stuck, others are not waited for; with maxStuckHooks
// none are made.
func (c *Cache[V]) aside(where string, f func()) error {
	stuck := &c.n.hooksStuck
	waiting := stuck.Load()
	if waiting >= maxStuckHooks {
		c.n.eventsDropped.Add(1)
		return nil
	}
	failed := make(chan error, 1)
	var left atomic.Bool // by the waiter, or by f: who is second takes the other's mark back
	go func() {
		finished := false
		defer func() {
			var err error
			if p := recover(); !finished {
				err = newPanicError(where, p)
				c.n.callbackPanics.Add(1)
			}
			if !left.CompareAndSwap(false, true) {
				stuck.Add(-1)
			}
			failed <- err
		}()
		f()
		finished = true
	}()
	patience := hookPatience
	if waiting > 0 {
		patience = 0
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-failed:
		return err
	case <-timer.C:
	}
	stuck.Add(1)
	if !left.CompareAndSwap(false, true) { // it has just returned
		stuck.Add(-1)
		return <-failed
	}
	return nil
}

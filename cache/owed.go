package cache

import (
	"sync"
	"sync/atomic"
)

// maxOwed bounds the invalidations that are remembered for the store.
const maxOwed = 4096

// owed are the invalidations that the store has not been told of: writes were
// denied, or it was down. Until it is told, the old item is still there, and
// must not be served when reads work again. The local tier cannot be trusted
// to remember, since it evicts.
type owed[V any] struct {
	n atomic.Int64 // len(tombstones), so that the usual case costs no lock

	mu         sync.Mutex
	tombstones map[string]*entry[V]
}

// add remembers a tombstone whose usable time is the end of its use. It
// returns false if there is no room.
func (o *owed[V]) add(t *entry[V], now int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.tombstones[t.key]; !known && len(o.tombstones) >= maxOwed {
		for key, old := range o.tombstones {
			if now >= old.usable {
				delete(o.tombstones, key)
			}
		}
		if len(o.tombstones) >= maxOwed {
			return false
		}
	}
	if o.tombstones == nil {
		o.tombstones = make(map[string]*entry[V])
	}
	o.tombstones[t.key] = t
	o.n.Store(int64(len(o.tombstones)))
	return true
}

// version returns the version of what is owed for key; older items must not
// be served.
func (o *owed[V]) version(key string) int64 {
	if o.n.Load() == 0 {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.tombstones[key]; t != nil {
		return t.version
	}
	return 0
}

// paid forgets what is owed for e's key, now that e is stored: the tombstone
// itself, or a value that is newer by the lead that tombstones have over clocks
// that are ahead. An older one may have lost against the item to be ended.
func (o *owed[V]) paid(e *entry[V]) {
	if o.n.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.tombstones[e.key]; t != nil && e.version >= t.version {
		delete(o.tombstones, e.key)
		o.n.Store(int64(len(o.tombstones)))
	}
}

// due returns the tombstones that are still of use.
func (o *owed[V]) due(now int64) (due []*entry[V]) {
	if o.n.Load() == 0 {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, t := range o.tombstones {
		if now >= t.usable {
			delete(o.tombstones, key)
			continue
		}
		due = append(due, t)
	}
	o.n.Store(int64(len(o.tombstones)))
	return due
}

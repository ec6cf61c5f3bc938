package cachetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/cache"
)

// Store is a [cache.Store] in memory. The zero value is empty and healthy. It
// is safe for concurrent use.
//
// Faults are injected with Inject, before each call or for one direction
// only. Beside that it behaves as the shared tier should: versions are
// compared, and items stay until they are overwritten, expired or not, as in
// DynamoDB.
type Store struct {
	// mu guards all that follows. It is never held while a fault runs, so that one
	// that hangs does not keep a test from looking at the store.
	mu    sync.Mutex
	items map[string]cache.Item // by key; Values are the store's own
	fault map[Op]Fault          // before operations; nil: none
	calls map[Op]int            // begun, whatever became of them
	// active are the calls that have begun and not ended, those in a fault included.
	active int
	// lag is how long a write is not seen by reads; past has what they see instead,
	// by key, the oldest first. past is nil without a lag.
	lag  time.Duration
	past map[string][]past
}

// past is what was under a key until it was replaced.
type past struct {
	until time.Time  // when it was replaced
	item  cache.Item // shared, and never changed
	there bool       // false: there was nothing
}

// Op is one direction of a store's traffic: what [Store.Inject] breaks and
// [Store.Calls] counts.
type Op string

// The operations of a [Store].
const (
	Get     Op = "get"
	Set     Op = "set"
	GetMany Op = "get-many"
	Append  Op = "append" // of a Bulletin, as is Notes
	Notes   Op = "notes"
)

// Fault is called before an operation, on its goroutine and without a lock. If it
// returns an error, that is what the operation returns, and nothing was read or
// written; if it does not return, neither does the operation. key is "" for
// operations on many keys. It is called by many goroutines at the same time.
type Fault func(ctx context.Context, op Op, key string) error

// Kind is a fault by its word in docs/guide/faults.md, where each means the same
// in all packages.
type Kind string

// The kinds of faults that [Break] makes.
const (
	KindError  Kind = "error"  // Fail
	KindSlow   Kind = "slow"   // Slow
	KindHang   Kind = "hang"   // Hang
	KindDeaf   Kind = "deaf"   // Deaf
	KindPanic  Kind = "panic"  // Panic
	KindGoexit Kind = "goexit" // Goexit
	KindFlaky  Kind = "flaky"  // Flaky
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{KindError, KindSlow, KindHang, KindDeaf, KindPanic, KindGoexit, KindFlaky}
}

// errInjected is what the faults of Break fail with.
var errInjected = errors.New("cachetest: injected error")

// Break makes a Fault of a kind, for a test that tries them all: error and
// flaky (every second call) fail with an error of this package, slow takes 10 s,
// and deaf ends when over is closed. It panics if there is no such kind, which
// would test nothing.
func Break(k Kind, over <-chan struct{}) Fault {
	switch k {
	case KindError:
		return Fail(errInjected)
	case KindSlow:
		return Slow(10 * time.Second)
	case KindHang:
		return Hang
	case KindDeaf:
		return Deaf(over)
	case KindPanic:
		return Panic
	case KindGoexit:
		return Goexit
	case KindFlaky:
		return Flaky(2, errInjected)
	}
	panic(fmt.Sprintf("cachetest: there is no kind %q; want one of %v", k, Kinds()))
}

// Slow is a Fault that waits before the operation, or until the context ends.
func Slow(d time.Duration) Fault {
	return func(ctx context.Context, _ Op, _ string) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Flaky is a Fault that lets n-1 operations of n pass, and fails the first one
// of them with err. It counts all operations that it is injected for together; n
// below 1 is 1: all of them fail.
func Flaky(n int, err error) Fault {
	var calls atomic.Int64
	return func(context.Context, Op, string) error {
		if (calls.Add(1)-1)%int64(max(n, 1)) == 0 {
			return err
		}
		return nil
	}
}

// Fail is a Fault that returns err at once.
func Fail(err error) Fault {
	return func(context.Context, Op, string) error { return err }
}

// Hang is a Fault that waits until the context ends: a black hole, as a
// client that honours its context sees it.
func Hang(ctx context.Context, _ Op, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// Deaf returns a Fault that ignores the context and waits until released is
// closed.
func Deaf(released <-chan struct{}) Fault {
	return func(context.Context, Op, string) error {
		<-released
		return errors.New("cachetest: released at last")
	}
}

// Panic is a Fault that panics.
func Panic(context.Context, Op, string) error { panic("cachetest: the store panics") }

// Goexit is a Fault that ends the goroutine.
func Goexit(context.Context, Op, string) error {
	runtime.Goexit()
	return nil
}

// Inject puts a fault before the given operations (all of them if none is
// given), until it is replaced. A nil fault ends it. Calls that are in the fault
// before stay there: what lets them go is that fault's own business.
func (s *Store) Inject(f Fault, ops ...Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ops) == 0 {
		ops = []Op{Get, Set, GetMany, Append, Notes}
	}
	if s.fault == nil {
		s.fault = make(map[Op]Fault)
	}
	for _, op := range ops {
		s.fault[op] = f
	}
}

// Calls returns how often the operation was called, broken calls included.
// [Store.SetNewer] counts as Set.
func (s *Store) Calls(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Active returns how many calls are in progress: at the end of a test, 0 says that
// nothing was left behind in the store.
func (s *Store) Active() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// Keys returns the keys of all items, sorted.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.items))
}

// Item returns the item under key as it is now, whatever the lag, and a copy of
// its Value. It is no call, and no fault breaks it.
func (s *Store) Item(key string) (cache.Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, ok := s.items[key]
	item.Value = slices.Clone(item.Value)
	return item, ok
}

// Put places an item under key, whatever its version: what another instance has
// written, or damage. It is no call, and no fault breaks it.
func (s *Store) Put(key string, item cache.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, item)
}

// put keeps a copy. The caller holds the lock.
func (s *Store) put(key string, item cache.Item) {
	if s.items == nil {
		s.items = make(map[string]cache.Item)
	}
	item.Value = slices.Clone(item.Value)
	s.remember(key)
	s.items[key] = item
}

// remember keeps what is under key for reads that lag behind. The caller
// holds s.mu, and is about to change it.
func (s *Store) remember(key string) {
	if s.lag == 0 {
		return
	}
	if s.past == nil {
		s.past = make(map[string][]past)
	}
	item, there := s.items[key]
	s.past[key] = append(s.past[key], past{time.Now(), item, there})
}

// Lag makes reads eventually consistent, in the worst way: until d has gone
// by they do not see a write. With 0, which is the default, they see it at
// once.
func (s *Store) Lag(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = d
	if d == 0 {
		s.past = nil
	}
}

// Sweep deletes the items that have expired by now, as the table's time to
// live does, and returns how many they were. A negative by is a table that is
// late, a positive one a table whose clock is ahead.
func (s *Store) Sweep(by time.Duration) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().Add(by)
	for key, item := range s.items {
		if !item.Expires.IsZero() && now.After(item.Expires) {
			s.remember(key)
			delete(s.items, key)
			n++
		}
	}
	return n
}

// Delete removes the item under key.
func (s *Store) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(key)
	delete(s.items, key)
}

// read is what a read finds under key now: with a lag, what was there that long
// ago. It drops the states that no read will see any more, O(those of the key).
func (s *Store) read(key string) (cache.Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, ok := s.items[key]
	seen := time.Now().Add(-s.lag)
	for i, p := range s.past[key] {
		if p.until.After(seen) {
			s.past[key] = s.past[key][i:]
			item, ok = p.item, p.there
			break
		}
	}
	item.Value = slices.Clone(item.Value)
	return item, ok
}

// begin counts a call and lets the fault of op have its way. Each begin has its
// end, also if the fault panics or ends the goroutine, hence the defer in all of
// its callers. After the fault the context decides: a store that was slow must not
// work for a caller who is gone.
func (s *Store) begin(ctx context.Context, op Op, key string) error {
	s.mu.Lock()
	if s.calls == nil {
		s.calls = make(map[Op]int)
	}
	s.calls[op]++
	s.active++
	fault := s.fault[op]
	s.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, op, key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *Store) end() {
	s.mu.Lock()
	s.active--
	s.mu.Unlock()
}

// Get implements [cache.Store].
func (s *Store) Get(ctx context.Context, key string) (cache.Item, error) {
	defer s.end()
	if err := s.begin(ctx, Get, key); err != nil {
		return cache.Item{}, err
	}
	item, ok := s.read(key)
	if !ok {
		return cache.Item{}, cache.ErrNotFound
	}
	return item, nil
}

// Set implements [cache.Store].
func (s *Store) Set(ctx context.Context, key string, item cache.Item) error {
	_, err := s.SetNewer(ctx, key, item)
	return err
}

// SetNewer implements [cache.ConditionalStore]. Its faults are those of Set.
//
// The comparison and the write are one step, as in DynamoDB. A version from a clock
// that is broken (cache.MaxSkew) does not stay.
func (s *Store) SetNewer(ctx context.Context, key string, item cache.Item) (stays int64, err error) {
	defer s.end()
	if err := s.begin(ctx, Set, key); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	there, ok := s.items[key]
	broken := time.Now().Add(cache.MaxSkew).UnixMilli()
	if ok && there.Version > item.Version && there.Version <= broken {
		return there.Version, nil
	}
	s.put(key, item)
	return 0, nil
}

// GetMany implements [cache.BatchStore]. It is one call however many keys there
// are, and has no limit of them.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string]cache.Item, error) {
	defer s.end()
	if err := s.begin(ctx, GetMany, ""); err != nil {
		return nil, err
	}
	found := make(map[string]cache.Item, len(keys))
	for _, key := range keys {
		if item, ok := s.read(key); ok {
			found[key] = item
		}
	}
	return found, nil
}

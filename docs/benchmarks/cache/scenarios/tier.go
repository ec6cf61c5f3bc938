package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// hang is how long a call of a tier that hangs takes, if nobody ends it.
const hang = 5 * time.Second

// fault is called before each operation of a tier.
type fault func(ctx context.Context) error

var errTier = errors.New("the tier is down")

func fails(context.Context) error { return errTier }

func hangs(ctx context.Context) error {
	select {
	case <-time.After(hang):
		return errTier
	case <-ctx.Done():
		return ctx.Err()
	}
}

func deaf(context.Context) error {
	time.Sleep(hang)
	return errTier
}

func panics(context.Context) error { panic("the driver panics") }

// tier is the shared tier, as every peer sees it: bytes by key. Like DynamoDB it
// does not delete what has expired.
type tier struct {
	mu                 sync.Mutex
	items              map[string]item
	read, write, erase fault
	reads              atomic.Int64
}

type item struct {
	bytes   []byte
	version int64
	expires time.Time
}

func (t *tier) get(ctx context.Context, key string) (item, bool, error) {
	t.reads.Add(1)
	t.mu.Lock()
	f := t.read
	t.mu.Unlock()
	if f != nil {
		if err := f(ctx); err != nil {
			return item{}, false, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	it, ok := t.items[key]
	return it, ok, nil
}

func (t *tier) set(ctx context.Context, key string, it item) error {
	t.mu.Lock()
	f := t.write
	t.mu.Unlock()
	if f != nil {
		if err := f(ctx); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.items == nil {
		t.items = make(map[string]item)
	}
	t.items[key] = it
	return nil
}

func (t *tier) remove(ctx context.Context, key string) error {
	t.mu.Lock()
	f := t.erase
	t.mu.Unlock()
	if f != nil {
		return f(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.items, key)
	return nil
}

// garble makes garbage of every item.
func (t *tier) garble() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, it := range t.items {
		it.bytes = []byte("\x07garbage")
		t.items[key] = it
	}
}

// broken sets faults; nil is none.
func (t *tier) broken(read, write, erase fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read, t.write, t.erase = read, write, erase
}

func (t *tier) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.items)
}

// origin is the system of record.
type origin struct {
	mu    sync.Mutex
	slow  time.Duration
	err   error
	bad   bool // it panics
	value string
	loads atomic.Int64
}

var errOrigin = errors.New("the origin is down")

func (o *origin) load(ctx context.Context, _ string) (string, error) {
	o.loads.Add(1)
	o.mu.Lock()
	slow, err, bad, value := o.slow, o.err, o.bad, o.value
	o.mu.Unlock()
	if ctx.Err() != nil { // as any client would
		return "", ctx.Err()
	}
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if bad {
		panic("the origin panics")
	}
	return value, err
}

// session is what is cached: a value that has an encoding.
type session struct{ User string }

func (o *origin) session(ctx context.Context, key string) (session, error) {
	user, err := o.load(ctx, key)
	return session{user}, err
}

func (o *origin) set(f func(*origin)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
}

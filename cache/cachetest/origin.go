package cachetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/failopen/failopen/cache"
)

// Origin is a system of record in memory that counts how often it is asked.
// The zero value knows nothing and answers at once. Its Load method fits
// cache.Options.Load. It is safe for concurrent use.
type Origin[V any] struct {
	mu     sync.Mutex // guards what follows; not held while an answer takes its time
	values map[string]V
	delay  time.Duration  // of every answer, errors included
	err    error          // nil: it works
	calls  map[string]int // by key
	// active are the questions in progress, and busiest is the most that it was.
	active  int
	busiest int
}

// Put makes v the value of key.
func (o *Origin[V]) Put(key string, v V) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.values == nil {
		o.values = make(map[string]V)
	}
	o.values[key] = v
}

// Remove makes key unknown.
func (o *Origin[V]) Remove(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.values, key)
}

// Slow makes every answer from now on take d, errors as well; 0 is at once.
func (o *Origin[V]) Slow(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delay = d
}

// Fail makes every answer err, until Fail(nil).
func (o *Origin[V]) Fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

// Calls returns how often key was asked for.
func (o *Origin[V]) Calls(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[key]
}

// Total returns how often anything was asked for.
func (o *Origin[V]) Total() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, calls := range o.calls {
		n += calls
	}
	return n
}

// Busiest returns the greatest number of questions that were in progress at
// the same time.
func (o *Origin[V]) Busiest() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.busiest
}

// Load answers for key, with what was true when it was asked: a value that is put
// while the answer is on its way is the next answer's. A key that is not known is
// an error that wraps cache.ErrNotFound; a context that ends is its error.
func (o *Origin[V]) Load(ctx context.Context, key string) (V, error) {
	o.mu.Lock()
	if o.calls == nil {
		o.calls = make(map[string]int)
	}
	o.calls[key]++
	o.active++
	o.busiest = max(o.busiest, o.active)
	v, known := o.values[key]
	delay, err := o.delay, o.err
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.active--
		o.mu.Unlock()
	}()

	var zero V
	if delay > 0 {
		answer, cancel := context.WithTimeout(ctx, delay)
		defer cancel()
		<-answer.Done()
		if err := ctx.Err(); err != nil {
			return zero, err
		}
	}
	switch {
	case err != nil:
		return zero, err
	case !known:
		return zero, fmt.Errorf("cachetest: no value for this key: %w", cache.ErrNotFound)
	}
	return v, nil
}

package dynamo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache"
)

// startWindow is how long after a store's first call slow credentials are no
// fault. Later ones are, so that a store without credentials is given up.
const startWindow = time.Second

// coldStart fetches a store's first credentials apart from its calls. Metadata
// services and STS take up to hundreds of milliseconds for them, more than a
// read may take: without it the first reads would all be late, the breaker
// would open on a healthy table, and a provider that does not cache would be
// cancelled each time before it is done.
//
// Each call waits for them with three quarters of its time, and then fails
// with [cache.ErrStarting]. Once they have come, or the window is over, calls
// are made as always.
type coldStart struct {
	provider aws.CredentialsProvider
	over     atomic.Bool

	mu       sync.Mutex
	until    time.Time     // zero before the first call
	fetching chan struct{} // closed when the fetch is done; nil if none is
	err      error         // of the last fetch that is done
}

// newColdStart waits for credentials on behalf of the first calls, if the
// client tells where it has them from. A client that does not, such as a mock,
// is taken to have them.
func newColdStart(client Client) *coldStart {
	c := new(coldStart)
	if sdk, ok := client.(interface{ Options() dynamodb.Options }); ok {
		c.provider = sdk.Options().Credentials
	}
	c.over.Store(c.provider == nil)
	return c
}

// wait returns nil when a call can be made.
func (c *coldStart) wait(ctx context.Context) error {
	if c.over.Load() {
		return nil
	}
	began := time.Now()
	fetching, until := c.fetch(ctx, began)
	if fetching == nil {
		return nil
	}
	patience := until.Sub(began)
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, deadline.Sub(began)*3/4)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-fetching:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	case <-timer.C:
	case <-ctx.Done():
	}
	if !time.Now().Before(until) {
		return nil
	}
	return errNoCredentialsYet
}

var errNoCredentialsYet = fmt.Errorf("get credentials: the first ones have not come yet: %w", cache.ErrStarting)

// fetch returns the fetch in progress, which it starts if there is none, and
// the end of the window; or nil, if there is nothing to wait for.
func (c *coldStart) fetch(ctx context.Context, now time.Time) (fetching chan struct{}, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.IsZero() {
		c.until = now.Add(startWindow)
	}
	switch {
	case c.over.Load():
		return nil, c.until
	case !now.Before(c.until):
		c.over.Store(true)
		return nil, c.until
	case c.fetching == nil:
		c.fetching = make(chan struct{})
		go c.retrieve(context.WithoutCancel(ctx))
	}
	return c.fetching, c.until
}

// retrieve makes one call of the provider, whatever that does.
func (c *coldStart) retrieve(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	err := errors.New("get credentials: the provider did not return")
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("get credentials: panic: %v", p)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil {
			c.over.Store(true)
		}
		c.err = err
		close(c.fetching)
		c.fetching = nil
	}()
	if _, failed := c.provider.Retrieve(ctx); failed != nil {
		err = fmt.Errorf("get credentials: %w", failed)
		return
	}
	err = nil
}

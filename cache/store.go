package cache

import (
	"context"
	"errors"
	"time"
)

// Errors that a [Store] or a loader returns. Stores wrap them with %w, together
// with the cause, so that both can be found with errors.Is and errors.As.
var (
	// ErrNotFound is an authoritative "there is no such thing". From a
	// loader it means that the origin knows that the key does not exist
	// (or no longer: a session that was logged out); the cache remembers
	// it for NegativeTTL. From a Store it means that the call succeeded
	// and found no item: a miss.
	ErrNotFound = errors.New("cache: not found")

	// ErrNotModified is returned by a loader to say that the Previous value
	// is still right: it is kept for another TTL.
	ErrNotModified = errors.New("cache: not modified")

	// ErrRejected is returned by a Store that cannot store this one item
	// (too large, a key it cannot hold). It says nothing about the health
	// of the tier and is counted neither for nor against it.
	ErrRejected = errors.New("cache: store rejected the item")

	// ErrPermanent marks a failure of the Store that waiting a moment does
	// not fix: access denied, credentials expired, no such table. The circuit
	// breaker opens at the first one. It still probes, since permissions
	// come back.
	ErrPermanent = errors.New("cache: permanent store fault")

	// ErrStarting is returned by a Store that cannot be called yet: its first
	// credentials are being fetched. It is a fault like all others, but the
	// circuit breaker does not count it. A Store returns it for a bounded time.
	ErrStarting = errors.New("cache: store is starting")
)

// Item is what a [Store] keeps under a key.
type Item struct {
	// Value is the cache's envelope around the encoded value. Stores
	// return the same bytes or a fault; they never look inside.
	Value []byte

	// Version orders writes of one key: Unix time in milliseconds at
	// which the load of the value began, or, of an ending, a little later
	// than now. See [Store.Set].
	Version int64

	// Expires is the time after which the store may discard the item,
	// and should, to save space. Zero: never. It is advice: the cache
	// checks the deadlines inside the envelope on every read, because
	// DynamoDB deletes expired items lazily, within days.
	Expires time.Time
}

// Store is the remote tier, as a [Cache] sees it. It is safe for concurrent
// use.
//
// An implementation need not protect the cache from itself: the cache bounds
// every call in time (even if ctx is ignored), contains panics, and treats
// every error but the sentinels of this package as a fault of the tier. Run
// [github.com/failopen/failopen/cache/cachetest.TestStore] on your own.
//
// There is no Delete. An invalidation is written as a tombstone, a small
// Item with a newer Version, because a deleted item takes its version with
// it, and a slow writer could then put an old value back.
type Store interface {
	// Get returns the item under key, an error that wraps ErrNotFound if
	// the call succeeded and there is none, or any other error for a
	// fault. The caller may keep and change the returned bytes.
	Get(ctx context.Context, key string) (Item, error)

	// Set stores item under key unless an item with a greater Version is
	// there already; that is success too, and returns nil. A Version that
	// lies more than MaxSkew ahead of the writer's clock is the mark of a
	// broken clock and does not keep an item from being replaced. Set does
	// not keep item.Value after it returns.
	Set(ctx context.Context, key string, item Item) error
}

// ConditionalStore is a [Store] that tells what became of a Set. With it, an
// Invalidate or a Set is not lost against an item from a machine whose clock is
// ahead: the cache writes it again, with a later Version.
type ConditionalStore interface {
	Store

	// SetNewer is Set that returns the Version of the item that stays because
	// it is greater, or 0 if item was stored.
	SetNewer(ctx context.Context, key string, item Item) (stays int64, err error)
}

// BatchStore is a [Store] that can read many keys in one call.
type BatchStore interface {
	Store

	// GetMany returns the items that it found, by key. A key that is
	// absent from the map was not found or not read; the cache asks the
	// origin for it. A non-nil error marks a fault, and the items beside
	// it are still used. The keys are distinct.
	GetMany(ctx context.Context, keys []string) (map[string]Item, error)
}

// MaxSkew is how far ahead of this process's clock a Version may be
// before its writer's clock counts as wrong. Clocks that differ by up to half of it
// do no harm; the other half is the lead of an ending over them.
const MaxSkew = 10 * time.Second

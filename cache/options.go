package cache

import (
	"cmp"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// Options configure a [Cache]. TTL and Load must be set; every other zero
// value stands for the default that its comment names. New copies Options
// and never writes to them.
type Options[V any] struct {
	// Name is the prefix of this cache's keys in the Store ("name:key"),
	// so that several caches can share a table, and its name in events
	// and logs. Default: none; then an item is only taken for this cache's
	// own if it was written for the same Go type, and a type that is
	// renamed makes misses of what is stored.
	Name string

	// Load asks the origin, the system of record, for the value of key.
	// Required. It returns an error that wraps ErrNotFound for an
	// authoritative "there is no such thing"; any other error is a fault
	// of the origin. Its context carries the values of the caller that
	// came first but not its cancellation, since others may wait for the
	// same value; it ends after LoadTimeout.
	Load func(ctx context.Context, key string) (V, error)

	// LoadMany, if set, asks the origin for up to 100 keys at once, for
	// GetMany.
	// A key that is absent from the map does not exist, if the error is
	// nil; if it is not, that key failed with it. A *KeysError says so for
	// the keys that it names, and no others.
	// Default: Load for each.
	LoadMany func(ctx context.Context, keys []string) (map[string]V, error)

	// Store is the remote tier. Nil: local tier only.
	Store Store

	// Codec turns values into the bytes that Store keeps. Default: the
	// bytes themselves for string and []byte, JSON for other types.
	Codec Codec[V]

	// CompressAbove, if > 0, keeps encoded values of at least that many
	// bytes in the Store as gzip, if that is smaller. All instances can read
	// both. Default 0: never.
	CompressAbove int

	// Schema is the version of V's encoding. An item that was written
	// with another one is a miss; change it when V changes.
	Schema uint16

	// AEAD, if set, encrypts values in the Store. The additional data is
	// the key under which the item is stored, so an item that was moved
	// to another key does not decrypt, and is a miss.
	AEAD cipher.AEAD

	// Tags, if set, says which tags a value has, loaded or set, so
	// that InvalidateTag ends it with all others that have one of them. A
	// value in the Store has at most 100; one with more is kept in the local
	// tier only, and counted in Stats.Rejected. See also SetTags.
	Tags func(key string, v V) []string

	// Clone, if set, copies values: each caller gets one of its own, and
	// so does the cache of what it is given with Set. Without it values are
	// shared, and must not be changed by anybody. A panic in it is the
	// result's error.
	Clone func(V) V

	// KeySecret, if set, keeps keys out of the Store: they reach it only
	// as HMAC-SHA-256 under this secret. Set it when keys are secrets,
	// such as session tokens. All instances need the same.
	KeySecret []byte

	// TTL is how long a value is fresh. Required, > 0. Each value's own
	// is drawn from TTL ± 10%, so that what was loaded together does not
	// expire together. At least 100 µs, like all durations; at most ten
	// years, like NegativeTTL and StaleIfError.
	TTL time.Duration

	// MaxTTL is the longest TTL that a loader may give its value with
	// SetTTL; what it says beyond is cut. Default: TTL.
	MaxTTL time.Duration

	// LocalTTL, if set, is how long (± 10%) the local tier serves a value
	// before it looks into the Store again, and so the time within which
	// an instance learns of an ending elsewhere. It costs a read of the
	// Store for each key in use and LocalTTL. If then neither the Store
	// nor the origin answers, only StaleIfError allows the value. Default
	// 0: until the value's own TTL ends.
	LocalTTL time.Duration

	// ErrorTTL, if set, is how long a key's error is its answer before the
	// origin is asked again: at most 1 s. Default 0: the origin is asked
	// at once, 32 times in a row; see ErrOriginFailing.
	ErrorTTL time.Duration

	// NegativeTTL is how long ErrNotFound is remembered, in both tiers.
	// Default: 5 s, or TTL if that is less. Negative: not at all.
	NegativeTTL time.Duration

	// StaleIfError is how long after its TTL a value may still be served
	// when the origin fails. Default 0, off: to fail open means to go to
	// the origin, not to let everybody in. An authoritative ErrNotFound
	// always beats a stale value.
	StaleIfError time.Duration

	// SoftTimeout is how long a Get waits for a slow origin when there is
	// a value that StaleIfError allows; then it gets that value, as do all
	// others until the load, which goes on, is done. Default 0, off.
	SoftTimeout time.Duration

	// EarlyRefresh, if > 0, refreshes values in the background shortly
	// before their TTL ends: each hit decides by chance, with the XFetch
	// rule (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache
	// Stampede Prevention, VLDB 2015), so that among many processes one
	// refreshes. The value is the paper's β: 1 is its optimum, more is
	// earlier. Default 0, off.
	EarlyRefresh float64

	// Expires, if set, gives the moment after which a value must not be
	// served in any case, not even as stale: the end of a session's own
	// life. Zero time: no such moment.
	Expires func(V) time.Time

	// LoadTimeout bounds one call of Load, the wait for one of the
	// Concurrency slots included. Default 10 s, at most an hour. If Load ignores its
	// context, callers are released all the same.
	LoadTimeout time.Duration

	// Concurrency is how many calls of Load may run at once: the
	// origin's protection when the Store is gone or the cache is cold.
	// Default 256 (at 80 ms a load: 3,200 loads a second).
	Concurrency int

	// RemoteBudget is how long a Get may wait for the Store before it
	// asks the origin. Default 50 ms, at most 10 s: several times a healthy p99 of
	// DynamoDB, and a delay that a user does not notice. It is never
	// more than a quarter of what is left of the caller's deadline, and
	// with less than 2 ms left of it the Store is not asked. A time-out
	// of a call that had less than a quarter of RemoteBudget is not held
	// against the Store.
	RemoteBudget time.Duration

	// WriteTimeout bounds one write to the Store. Default 1 s, at most an
	// hour; no caller of Get waits for it.
	WriteTimeout time.Duration

	// WriteQueue is how many keys may wait to be written to the Store. Default
	// 1,024; their values have a share of MaxBytes, too. What comes when it is
	// full is dropped and counted; the next process just asks the origin.
	WriteQueue int

	// Trip is how many consecutive faults of the Store open its circuit
	// breaker (one of two: reads and writes are judged apart). Default
	// 3. Half of at least 20 calls within 10 s, and a single fault that
	// wraps ErrPermanent, open it too.
	Trip int

	// Cooldown is how long an open breaker waits before it lets one
	// probe through; each wait is drawn from Cooldown ± 20%. Default 1 s,
	// at most a day.
	Cooldown time.Duration

	// MaxEntries bounds the local tier. Default 65,536. For a bound in
	// bytes alone, set it to math.MaxInt, and MaxBytes.
	MaxEntries int

	// MaxBytes bounds the memory of the values, by the sum of Cost (keys and a
	// fixed overhead for each entry are added): seven eighths for the local
	// tier, and one for what waits to be written to the Store, if there is one.
	// Default 0: no bound in bytes. It needs Cost. A value of more than 1 MiB
	// may be too large for its part of the tier, and is then not kept.
	MaxBytes int64

	// Cost returns the size of a value in bytes. Used only with MaxBytes.
	Cost func(V) int

	// Wait, if set, is called on a caller's goroutine around what it waits for
	// (a result, a write that Invalidate or a Through is to confirm), with the
	// caller's context, and calls f once: health.Wait fits, and stops the
	// clock of the caller's watch meanwhile. A Wait that panics, or does not
	// call f, is counted with the panics, and the caller waits without it. A
	// hit in the local tier does not wait. Default: none.
	Wait func(ctx context.Context, f func())

	// OnEvent, if set, is told of faults, breaker changes and drops; see
	// [Event]. It is called on the cache's own goroutines and on those of
	// callers, several at once, mostly while someone waits for a result:
	// it must return soon, and not wait for a Get. A call is given 50 ms,
	// and nobody waits for the next one while it is stuck; with 64 stuck
	// calls events are dropped, and counted. So are its panics.
	OnEvent func(Event)

	// Logger, if set, gets one record when a breaker opens (with the
	// store's error, and its table and region if the Store is a
	// [LogAttrer]), one a minute while it does not close, and one when it
	// does. A handler that blocks or panics is contained and counted, as
	// OnEvent is. Nil: no logging.
	Logger *slog.Logger
}

const (
	defaultNegativeTTL  = 5 * time.Second
	defaultLoadTimeout  = 10 * time.Second
	defaultConcurrency  = 256
	defaultRemoteBudget = 50 * time.Millisecond
	defaultWriteTimeout = time.Second
	defaultWriteQueue   = 1024
	defaultTrip         = 3
	defaultCooldown     = time.Second
	defaultMaxEntries   = 65536
)

// The bounds of durations: those of sums that must not overflow, and those
// beyond which a value is a slip.
const (
	minDuration = 100 * time.Microsecond
	maxDuration = 10 * 365 * 24 * time.Hour
	maxWait     = time.Hour // for one call of the origin, or one write
	maxBudget   = 10 * time.Second
	maxCooldown = 24 * time.Hour
)

// maxName is the longest Name: a key of the store has at most 2,048 bytes.
const maxName = 255

// queueShare is the part of MaxBytes that the write queue may have.
const queueShare = 8

// localBytes is the part of the local tier.
func (o *Options[V]) localBytes() int64 {
	if o.Store == nil {
		return o.MaxBytes
	}
	return max(o.MaxBytes-o.MaxBytes/queueShare, min(o.MaxBytes, 1))
}

// isTypedNil reports whether v is an interface value that holds a nil pointer,
// map, func and so on.
func isTypedNil(v any) bool {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.Interface:
		return r.IsNil()
	}
	return false
}

// withDefaults returns o with every default filled in, or an error that
// names each field that is wrong.
func (o Options[V]) withDefaults() (Options[V], error) {
	if err := o.validate(); err != nil {
		return o, err
	}
	if o.Codec == nil {
		o.Codec = defaultCodec[V]()
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = min(defaultNegativeTTL, o.TTL)
	}
	o.MaxTTL = cmp.Or(o.MaxTTL, o.TTL)
	o.LoadTimeout = cmp.Or(o.LoadTimeout, defaultLoadTimeout)
	o.Concurrency = cmp.Or(o.Concurrency, defaultConcurrency)
	o.RemoteBudget = cmp.Or(o.RemoteBudget, defaultRemoteBudget)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, defaultWriteTimeout)
	o.WriteQueue = cmp.Or(o.WriteQueue, defaultWriteQueue)
	o.Trip = cmp.Or(o.Trip, defaultTrip)
	o.Cooldown = cmp.Or(o.Cooldown, defaultCooldown)
	o.MaxEntries = cmp.Or(o.MaxEntries, defaultMaxEntries)
	return o, nil
}

// validate finds all that is wrong, each with the field's name, its value, and
// what it would do, so that all can be mended in one go.
func (o *Options[V]) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("cache: Options."+format, args...))
	}
	if o.Load == nil {
		bad("Load is nil: the cache needs a loader that asks the origin")
	}
	if o.TTL <= 0 {
		bad("TTL is %v: it must be > 0, how long a loaded value is fresh", o.TTL)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
		most time.Duration
	}{
		{"TTL", max(o.TTL, 0), maxDuration},
		{"MaxTTL", o.MaxTTL, maxDuration},
		{"LocalTTL", o.LocalTTL, maxDuration},
		{"ErrorTTL", o.ErrorTTL, time.Second},
		{"NegativeTTL", max(o.NegativeTTL, 0), maxDuration},
		{"StaleIfError", o.StaleIfError, maxDuration},
		{"SoftTimeout", o.SoftTimeout, maxWait},
		{"LoadTimeout", o.LoadTimeout, maxWait},
		{"RemoteBudget", o.RemoteBudget, maxBudget},
		{"WriteTimeout", o.WriteTimeout, maxWait},
		{"Cooldown", o.Cooldown, maxCooldown},
	} {
		switch {
		case d.d < 0:
			bad("%s is %v: it must not be negative", d.name, d.d)
		case d.d > d.most:
			bad("%s is %v: it must not be more than %v", d.name, d.d, d.most)
		case d.d > 0 && d.d < minDuration:
			bad("%s is %v: it must be at least %v; a number without a unit counts nanoseconds, so write %d*time.Second", d.name, d.d, minDuration, d.d)
		}
	}
	for _, v := range []struct {
		name string
		v    any
	}{{"Store", o.Store}, {"Codec", o.Codec}, {"AEAD", o.AEAD}} {
		if isTypedNil(v.v) {
			bad("%s is a nil %T: its methods would fail at every call; leave the field unset for none", v.name, v.v)
		}
	}
	for _, n := range []struct {
		name string
		n    int64
	}{
		{"Concurrency", int64(o.Concurrency)},
		{"WriteQueue", int64(o.WriteQueue)},
		{"Trip", int64(o.Trip)},
		{"MaxEntries", int64(o.MaxEntries)},
		{"MaxBytes", o.MaxBytes},
		{"CompressAbove", int64(o.CompressAbove)},
	} {
		if n.n < 0 {
			bad("%s is %d: it must not be negative", n.name, n.n)
		}
	}
	if o.MaxTTL > 0 && o.MaxTTL < o.TTL {
		bad("MaxTTL (%v) is shorter than TTL (%v)", o.MaxTTL, o.TTL)
	}
	if o.LocalTTL > max(o.TTL, o.MaxTTL) {
		bad("LocalTTL (%v) is longer than TTL (%v): it would never end first", o.LocalTTL, max(o.TTL, o.MaxTTL))
	}
	if o.LocalTTL > 0 && o.Store == nil {
		bad("LocalTTL is set but Store is not: there is nothing to look into")
	}
	if o.NegativeTTL > o.TTL && o.TTL > 0 {
		bad("NegativeTTL (%v) is longer than TTL (%v): a missing thing would be remembered longer than a present one", o.NegativeTTL, o.TTL)
	}
	if o.SoftTimeout > 0 && o.StaleIfError == 0 {
		bad("SoftTimeout is set but StaleIfError is not: there is never a value to serve instead")
	}
	if timeout := cmp.Or(o.LoadTimeout, defaultLoadTimeout); o.SoftTimeout >= timeout {
		bad("SoftTimeout (%v) is not shorter than LoadTimeout (%v): it would never end first", o.SoftTimeout, timeout)
	}
	if o.EarlyRefresh < 0 || math.IsNaN(o.EarlyRefresh) || o.EarlyRefresh > 100 {
		bad("EarlyRefresh is %v: it must be between 0 and 100", o.EarlyRefresh)
	}
	if o.MaxBytes > 0 && o.Cost == nil {
		bad("MaxBytes is set but Cost is not: the cache cannot know how large a value is")
	}
	if o.MaxBytes == 0 && o.Cost != nil {
		bad("Cost is set but MaxBytes is not: there is no bound that it would serve")
	}
	if len(o.Name) > maxName || !utf8.ValidString(o.Name) {
		bad("Name has %d bytes, or is not UTF-8: at most %d bytes of UTF-8 leave room for keys in the store", len(o.Name), maxName)
	}
	if strings.Contains(o.Name, ":") {
		bad("Name %q has a colon, which ends the name in the keys of the store", o.Name)
	}
	if o.KeySecret != nil && len(o.KeySecret) < 16 {
		bad("KeySecret has %d bytes: it needs at least 16", len(o.KeySecret))
	}
	return errors.Join(errs...)
}

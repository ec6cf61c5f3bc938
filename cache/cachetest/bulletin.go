package cachetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/failopen/failopen/cache"
)

// Bulletin is a Store that is a [cache.BulletinStore], too. Its faults and its
// lag are the Store's. It is safe for concurrent use; the zero value is not
// usable without a Store.
type Bulletin struct {
	*Store

	mu   sync.Mutex         // guards what follows; taken after the Store's, if both are
	sets map[string][]added // by key, in the order of adding; they never expire
	// reads and writes are capacity units so far, for Units.
	reads  float64
	writes float64
}

// added is a note, and when it came: a bulletin that lags shows it later.
type added struct {
	at   time.Time
	note string
}

var _ cache.BulletinStore = (*Bulletin)(nil)

// Append implements [cache.BulletinStore]. A note that is in the set already is not
// added again, and the whole set is paid for, as in DynamoDB. The expiry is not
// looked at: nothing here is deleted.
func (b *Bulletin) Append(ctx context.Context, key string, notes [][]byte, _ time.Time) error {
	defer b.end()
	if err := b.begin(ctx, Append, key); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sets == nil {
		b.sets = make(map[string][]added)
	}
	for _, n := range notes {
		if !slices.ContainsFunc(b.sets[key], func(a added) bool { return a.note == string(n) }) {
			b.sets[key] = append(b.sets[key], added{time.Now(), string(n)})
		}
	}
	b.writes += units(key, b.sets[key], 1024)
	return nil
}

// Notes implements [cache.BulletinStore]. It costs half a unit for a set that is not
// there, too; what the lag hides is paid for.
func (b *Bulletin) Notes(ctx context.Context, keys []string) (map[string][][]byte, error) {
	defer b.end()
	if err := b.begin(ctx, Notes, ""); err != nil {
		return nil, err
	}
	b.Store.mu.Lock()
	seen := time.Now().Add(-b.lag)
	b.Store.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	found := make(map[string][][]byte)
	for _, key := range keys {
		b.reads += max(units(key, b.sets[key], 4096), 1) / 2
		for _, a := range b.sets[key] {
			if !a.at.After(seen) {
				found[key] = append(found[key], []byte(a.note))
			}
		}
	}
	return found, nil
}

// Units returns what the notes have cost so far, in read and write units of
// DynamoDB: a read half a unit for every 4 KiB of a set, a write a unit for
// every KiB of the whole set.
func (b *Bulletin) Units() (reads, writes float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads, b.writes
}

// units are capacity units of per bytes each, as DynamoDB counts them; nothing
// costs nothing.
func units(key string, set []added, per int) float64 {
	n := 0
	for _, a := range set {
		n += len(a.note)
	}
	if n == 0 {
		return 0
	}
	return float64((n + len(key) + 40 + per - 1) / per) // 40: names, and the time to live
}

package cache

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrOriginFailing is in the chain of an error that stands for the origin's
// own when it was not asked: it has failed for many keys in a row. The chain
// has the last of its errors, too, but not that one's text, which may tell of
// another key.
var ErrOriginFailing = errors.New("cache: the origin is failing, and was not asked again so soon")

// gate bounds the rate at which an origin is asked that fails.
//
//   - A key that has failed keyBurst times in a row is asked for again after
//     100 ms, then 200 ms, and so on up to 1 s. Until then its last error is
//     its answer.
//   - When loads of originBurst different keys have failed in a row, it is
//     asked once in originPause, for whichever key comes first.
//
// An answer opens it: a value, or ErrNotFound.
type gate struct {
	closed atomic.Bool // there are failures: otherwise nobody takes the lock

	errorTTL time.Duration // Options.ErrorTTL

	mu    sync.Mutex
	keys  map[uint64]*failing // at most maxFailing
	fresh int                 // different keys that failed since the last answer
	next  int64               // when the origin may be asked again for any key
	last  error
}

// failing is a key whose loads have failed, since its last answer.
type failing struct {
	// failures; next is when the origin may be asked for it again, on the cache's clock;
	// last is what it said
	inRow int
	next  int64
	last  error
}

// The bursts let a failure that is only a moment's pass without a pause: clients
// retry, and deployments cut connections. The pause of the origin is 50 questions a
// second from each instance, enough to see it come back.
const (
	keyBurst    = 32
	originBurst = 32
	originPause = int64(20 * time.Millisecond)
	maxFailing  = 4096
)

// admit returns nil if the origin may be asked for this key now, or the error
// that stands for its answer.
// Two keys with one hash share their failures, which costs at most a pause. While
// nothing fails it is one atomic load.
func (g *gate) admit(hash uint64, now int64) error {
	if !g.closed.Load() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.keys[hash]
	if f != nil && (f.inRow >= keyBurst || g.errorTTL > 0) && now < f.next {
		return f.last
	}
	// the whole origin is failing: one question in originPause, for whichever key
	if g.fresh >= originBurst {
		if now < g.next {
			if f != nil {
				return f.last
			}
			return &notAsked{cause: g.last}
		}
		g.next = now + originPause
	}
	if f != nil && f.inRow >= keyBurst {
		f.next = now + int64(firstPause) // one at a time
	}
	return nil
}

const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Second
)

// failed takes note of a load that failed.
func (g *gate) failed(hash uint64, err error, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed.Store(true)
	g.last = err
	f := g.keys[hash]
	if f == nil {
		g.fresh++
		if len(g.keys) >= maxFailing {
			// any one of them: which is forgotten does not matter, since it only may be asked for
			// again too soon
			for some := range g.keys {
				delete(g.keys, some)
				break
			}
		}
		if g.keys == nil {
			g.keys = make(map[uint64]*failing)
		}
		f = &failing{}
		g.keys[hash] = f
	}
	f.inRow++
	f.last = err
	// 100 ms, 200 ms, … 1.6 s, of which lastPause leaves one second
	pause := firstPause << min(max(f.inRow-keyBurst, 0), 4)
	f.next = now + jitter(min(pause, lastPause))
	if g.errorTTL > 0 {
		f.next = now + int64(g.errorTTL)
	}
}

// answered takes note of an answer.
// One answer ends the pause of the origin; the other keys keep theirs until they are
// answered themselves.
func (g *gate) answered(hash uint64) {
	if !g.closed.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.keys, hash)
	g.fresh, g.last = 0, nil
	if len(g.keys) == 0 {
		g.closed.Store(false)
	}
}

// notAsked stands for the answer of an origin that fails.
type notAsked struct{ cause error }

func (e *notAsked) Error() string   { return ErrOriginFailing.Error() }
func (e *notAsked) Unwrap() []error { return []error{ErrOriginFailing, e.cause} }

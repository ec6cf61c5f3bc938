package dynamo

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// renewPause is the least time between two renewals of credentials; up to half
// of it is added at random, since all instances are refused at once.
const renewPause = 30 * time.Second

// staleCodes are the refusals that new credentials may heal. The SDK goes on
// with the old ones until the time at which they were to expire, which can be
// hours away when a session was revoked or a key replaced.
var staleCodes = map[string]bool{
	"ExpiredToken":                true,
	"ExpiredTokenException":       true,
	"InvalidAccessKeyId":          true,
	"InvalidClientTokenId":        true,
	"InvalidToken":                true,
	"UnrecognizedClientException": true,
}

// renewal makes the client's provider forget its credentials when DynamoDB says
// that they are of no use, so that the next call gets new ones.
type renewal struct {
	provider interface{ Invalidate() } // nil: there is nothing to forget
	next     atomic.Int64              // not before, in Unix nanoseconds
	count    atomic.Int64
}

// after throws cached credentials away if DynamoDB has called them expired or
// unknown: the SDK would keep them until the time at which they say that they
// end. Of many calls that fail together, one does so, and again after a pause
// with jitter at the earliest, so that a denial that renewing does not heal is
// no storm at STS.
func (r *renewal) after(code string, now time.Time) {
	if r.provider == nil || !staleCodes[code] {
		return
	}
	next := r.next.Load()
	if now.UnixNano() < next && next-now.UnixNano() < int64(2*renewPause) { // else the clock was set back
		return
	}
	if !r.next.CompareAndSwap(next, now.Add(renewPause+rand.N(renewPause/2)).UnixNano()) {
		return // another call does it
	}
	r.count.Add(1)
	defer func() { _ = recover() }() // the provider's own affair: the refusal is reported in any case
	r.provider.Invalidate()
}

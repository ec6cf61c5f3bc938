package dynamo

import (
	"errors"
	"net/http"
	"sync"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/failopen/failopen/cache"
)

const (
	// dateStep is the resolution of an answer's Date header: the service
	// cuts off what is below a second.
	dateStep = time.Second

	// maxDrift is how fast two clocks are assumed to move apart: a quartz
	// and NTP's own corrections stay below a thousandth.
	maxDrift = 1000 // parts per million

	// maxOffset is the largest one that is believed: a host without a clock
	// of its own begins in 1970.
	maxOffset = 100 * 365 * 24 * time.Hour
)

// A clock measures how far DynamoDB's clock is ahead of this host's, from the
// Date of its answers. One answer tells it to a second and the time that the
// call took. Many tell it better, because all of them are true: what remains is
// the intersection of their intervals, which widens with time as the clocks may
// drift (Marzullo's idea, for one server).
//
// The zero clock has measured nothing.
type clock struct {
	mu        sync.Mutex // guards what follows; held for arithmetic only
	known     interval   // the offset, as all answers so far allow it
	candidate interval   // disagrees with known; a second answer that agrees with it replaces that

	// shift is what is added to versions, see version.
	shift time.Duration
}

// interval is what the offset lies in, as of a moment. The zero interval is
// none.
type interval struct {
	lo, hi time.Duration
	at     time.Time
}

// asOf widens i by what the clocks may have drifted since.
func (i interval) asOf(now time.Time) interval {
	drift := max(0, now.Sub(i.at)) / 1e6 * maxDrift
	return interval{i.lo - drift, i.hi + drift, now}
}

// and returns the intersection of two intervals of one moment.
func (i interval) and(j interval) (both interval, ok bool) {
	both = interval{max(i.lo, j.lo), min(i.hi, j.hi), j.at}
	return both, both.lo <= both.hi
}

func (i interval) middle() time.Duration { return i.lo + (i.hi-i.lo)/2 }

// note takes an answer with a Date that came at received, to a call that began
// at began.
func (c *clock) note(date, began, received time.Time) {
	seen := interval{
		lo: date.Sub(received),
		hi: date.Add(dateStep).Sub(received) + received.Sub(began),
		at: received,
	}
	if seen.lo.Abs() > maxOffset || received.Before(began) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.at.IsZero() {
		c.known = seen
	} else if both, ok := c.known.asOf(received).and(seen); ok {
		c.known, c.candidate = both, interval{}
	} else if both, ok := c.candidate.asOf(received).and(seen); ok && !c.candidate.at.IsZero() {
		c.known, c.candidate = both, interval{} // a clock was set
	} else {
		c.candidate = seen // one odd answer says little
		return
	}
	c.settle()
}

// settle decides about shift. It stays 0 for clocks within the 5 s that the
// cache tolerates, and changes only when it is known to be wrong: each change
// may exchange two versions of one key.
func (c *clock) settle() {
	const harmless = cache.MaxSkew / 2
	k := c.known
	switch {
	case k.lo <= harmless && k.hi >= -harmless:
		c.shift = 0
	case c.shift < k.lo || c.shift > k.hi:
		c.shift = k.middle()
	}
}

// future is the least version that is the mark of a broken clock, and shift
// what is added to this host's versions, so that they can be compared with
// those of others although this clock is wrong. It is 0 unless the clock is
// known to be off by more than half of [cache.MaxSkew].
func (c *clock) future(now time.Time) (future int64, shift int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	offset := time.Duration(0)
	if k := c.known; k.lo > 0 || k.hi < 0 { // 0 is as good as any other value inside
		offset = k.middle()
	}
	return now.Add(offset + cache.MaxSkew).UnixMilli(), c.shift.Milliseconds()
}

// skew returns how far the host is ahead, and the largest error of that.
func (c *clock) skew(now time.Time) (skew, within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.at.IsZero() {
		return 0, 0
	}
	k := c.known.asOf(now)
	return -k.middle(), (k.hi - k.lo + 1) / 2
}

// noteAnswer measures the clock by a successful answer, and returns an error if
// there is no answer in it. A client that is not the SDK's, such as DAX's, gives no
// Date, and nothing to judge.
func (s *Store) noteAnswer(op string, m middleware.Metadata, began time.Time) error {
	if raw, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response); ok && raw.Response != nil && raw.ContentLength == 0 {
		return s.fault(op, errEmpty)
	}
	date, ok := awsmiddleware.GetServerTime(m)
	received, ok2 := awsmiddleware.GetResponseAt(m)
	if ok && ok2 {
		s.clock.note(date, began, received)
	}
	return nil
}

// errEmpty is an answer without a body. The SDK takes it for a success: for "no
// item", or for a write that has happened. DynamoDB's shortest answer is {}, so it
// comes from something in between.
var errEmpty = errors.New("the answer has no body: something answers in place of DynamoDB")

// answered makes a fault of an answer that is neither there nor an error, as a
// client gives that is not the SDK's own.
func answered[T any](out *T, err error) (*T, error) {
	if out == nil && err == nil {
		err = errNothing
	}
	return out, err
}

var errNothing = errors.New("the client has returned neither an answer nor an error")

// noteRefusal measures the clock by an error answer.
func (s *Store) noteRefusal(err error, began time.Time) {
	resp := (*smithyhttp.ResponseError)(nil)
	if !errors.As(err, &resp) || resp.Response == nil || resp.Response.Response == nil {
		return
	}
	if date, err := http.ParseTime(resp.Response.Header.Get("Date")); err == nil {
		s.clock.note(date, began, time.Now())
	}
}

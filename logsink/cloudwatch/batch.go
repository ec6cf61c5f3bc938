package cloudwatch

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/failopen/failopen/logsink"
)

// Limits of PutLogEvents, from its API reference.
const (
	maxBatchBytes = 1_048_576      // the sum of all messages in UTF-8 and eventOverhead for each
	eventOverhead = 26             // bytes an event
	maxEvents     = 10_000         // a batch
	maxSpan       = 24 * time.Hour // from the first event of a batch to the last
	maxMessage    = maxBatchBytes - eventOverhead
)

// batch is the front of some records as one request.
//
// Every record up to taken is in exactly one of events, rejected and skipped.
type batch struct {
	events   []types.InputLogEvent
	index    []int // of the record that is event i
	taken    int   // records in the batch, and those between that are no events
	rejected []int // records that CloudWatch can not take
	skipped  int   // records without a message
	why      Rejections
}

// Rejections counts records refused for good, by reason.
type Rejections struct {
	TooOld  int64 `json:"too_old"`  // older than 14 days
	Expired int64 `json:"expired"`  // older than the retention of the group
	TooNew  int64 `json:"too_new"`  // more than two hours in the future
	TooLong int64 `json:"too_long"` // longer than an event may be
	Invalid int64 `json:"invalid"`  // it makes a request invalid, whatever else is in it
}

func (r Rejections) total() int64 { return r.TooOld + r.Expired + r.TooNew + r.TooLong + r.Invalid }

// add counts those of another batch, too.
func (r *Rejections) add(o Rejections) {
	r.TooOld += o.TooOld
	r.Expired += o.Expired
	r.TooNew += o.TooNew
	r.TooLong += o.TooLong
	r.Invalid += o.Invalid
}

// Error names the reasons.
func (r Rejections) Error() string {
	var all []string
	// A row is a field of Rejections in words. A new reason needs one here, and in total and add.
	for _, p := range []struct {
		n   int64
		why string
	}{
		{r.TooOld, "older than 14 days"},
		{r.Expired, "older than the retention of the group"},
		{r.TooNew, "more than two hours in the future"},
		{r.TooLong, "too long"},
		{r.Invalid, "invalid"},
	} {
		if p.n > 0 {
			all = append(all, fmt.Sprintf("%d are %s", p.n, p.why))
		}
	}
	return "cloudwatch: of the records " + strings.Join(all, ", ")
}

// cut takes as many records from the front as one request may have: at most
// limit, and what CloudWatch allows. Records and the order of their times are
// kept; where the clock went back an event gets the time of the one before.
//
// Offset is how far the clock of CloudWatch is ahead of that of this machine.
//
// The index of an event is not that of its record once one was skipped or rejected: index
// has it. A batch ends before what does not fit; one that is empty holds no event at all,
// and all that it has taken is done. O(bytes) of what is taken.
func cut(recs []logsink.Record, limit, longest int, offset time.Duration) batch {
	var b batch
	var size int
	var first, last int64
	for i, r := range recs {
		msg := message(r.Data)
		at := r.Time.Add(offset).UnixMilli()
		if len(b.events) == 0 {
			first = at
		} else {
			at = max(at, last)
		}
		switch {
		case msg == "":
			b.skipped++
		case len(msg) > longest:
			b.rejected = append(b.rejected, i)
			b.why.TooLong++
		case len(b.events) == min(limit, maxEvents) || size+len(msg)+eventOverhead > maxBatchBytes || at-first >= maxSpan.Milliseconds():
			return b
		default:
			size += len(msg) + eventOverhead
			last = at
			b.events = append(b.events, types.InputLogEvent{Message: aws.String(msg), Timestamp: aws.Int64(at)})
			b.index = append(b.index, i)
		}
		b.taken = i + 1
	}
	return b
}

// message is the text of an event: without the line break, and valid UTF-8, so
// that its length here is its length there.
// It allocates: the SDK wants strings, and the record's memory is the Sink's.
func message(line []byte) string {
	line = bytes.TrimRight(line, "\r\n")
	if utf8.Valid(line) {
		return string(line)
	}
	return strings.ToValidUTF8(string(line), "\uFFFD")
}

// refuse adds the events that an accepted request did not take: those up to an
// index (exclusive) that are too old or expired, and those from an index on that
// are too new.
// The service's numbers are not believed to be within the batch.
func (b *batch) refuse(info *types.RejectedLogEventsInfo) {
	if info == nil {
		return
	}
	index := func(n *int32, or int) int {
		if n == nil {
			return or
		}
		return min(max(int(*n), 0), len(b.events))
	}
	expired := index(info.ExpiredLogEventEndIndex, 0)
	old := index(info.TooOldLogEventEndIndex, 0)
	young := index(info.TooNewLogEventStartIndex, len(b.events))
	for i, at := range b.index {
		switch {
		case i < old:
			b.why.TooOld++
		case i < expired:
			b.why.Expired++
		case i >= young:
			b.why.TooNew++
		default:
			continue
		}
		b.rejected = append(b.rejected, at)
	}
	slices.Sort(b.rejected)
}

// before is the part of b before event n, for which the rest comes again.
// It is for the events that are too new by a clock that has just been corrected.
func (b *batch) before(n int) {
	b.taken = b.index[n]
	b.events, b.index = b.events[:n], b.index[:n]
	b.rejected = slices.DeleteFunc(b.rejected, func(i int) bool { return i >= b.taken })
	b.why.TooLong = int64(len(b.rejected))
	b.skipped = b.taken - len(b.index) - len(b.rejected)
}

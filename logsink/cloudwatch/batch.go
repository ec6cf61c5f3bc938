package cloudwatch

import (
	"bytes"
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
type batch struct {
	events   []types.InputLogEvent
	index    []int // of the record that is event i
	taken    int   // records in the batch, and those between that are no events
	rejected []int // records that CloudWatch can not take
	skipped  int   // records without a message
}

// cut takes as many records from the front as one request may have: at most
// limit, and what CloudWatch allows. Records and the order of their times are
// kept; where the clock went back an event gets the time of the one before.
func cut(recs []logsink.Record, limit int) batch {
	var b batch
	var size int
	var first, last int64
	for i, r := range recs {
		msg := message(r.Data)
		at := r.Time.UnixMilli()
		if len(b.events) == 0 {
			first = at
		} else {
			at = max(at, last)
		}
		switch {
		case msg == "":
			b.skipped++
		case len(msg) > maxMessage:
			b.rejected = append(b.rejected, i)
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
func message(line []byte) string {
	line = bytes.TrimRight(line, "\r\n")
	if utf8.Valid(line) {
		return string(line)
	}
	return strings.ToValidUTF8(string(line), "\uFFFD")
}

// refuse adds the events that an accepted request did not take: those up to
// oldEnd (exclusive), and those from newStart on.
func (b *batch) refuse(info *types.RejectedLogEventsInfo) {
	if info == nil {
		return
	}
	oldEnd, newStart := 0, len(b.events)
	if n := info.TooOldLogEventEndIndex; n != nil {
		oldEnd = max(oldEnd, int(*n))
	}
	if n := info.ExpiredLogEventEndIndex; n != nil {
		oldEnd = max(oldEnd, int(*n))
	}
	if n := info.TooNewLogEventStartIndex; n != nil {
		newStart = min(newStart, int(*n))
	}
	refused := map[int]bool{}
	for _, i := range b.rejected {
		refused[i] = true
	}
	for i, at := range b.index {
		if i < oldEnd || i >= newStart {
			refused[at] = true
		}
	}
	b.rejected = b.rejected[:0]
	for i := range b.taken {
		if refused[i] {
			b.rejected = append(b.rejected, i)
		}
	}
}

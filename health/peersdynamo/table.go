package peersdynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/failopen/failopen/health"
)

// What a round asks of the table: write puts the own heartbeat, read reads the
// others', and leave takes the own one away.

// What a client can return that is neither an answer nor an error: nothing, as a
// mock may; and an answer without a body, which the SDK takes for a success with
// nothing in it, though DynamoDB's shortest is {}. From a portal or a proxy it
// would look like a fleet that is gone.
var (
	errNothing = errors.New("the client returned neither a result nor an error")
	errEmpty   = errors.New("the answer has no body: something answers in place of DynamoDB")
)

// judge is the error of a call that returned none. There says that there is a
// result, with metadata.
func judge(there bool, metadata func() middleware.Metadata) error {
	if !there {
		return errNothing
	}
	raw, ok := awsmiddleware.GetRawResponse(metadata()).(*smithyhttp.Response) // of the SDK's own client
	if ok && raw.Response != nil && raw.ContentLength == 0 {
		return errEmpty
	}
	return nil
}

// once makes one attempt: the next round is soon.
func once(o *dynamodb.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RetryMaxAttempts = 0
}

// write puts the heartbeat, without a condition: the item is this instance's own. beat
// is the time, but others only compare it with what they read before, so clocks need
// not agree.
func (f *Fleet) write(ctx context.Context, s health.Self) error {
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	now := time.Now()
	beat := strconv.FormatInt(now.UnixNano(), 10)
	out, err := f.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &f.opts.Table,
		Item: map[string]types.AttributeValue{
			"fleet":   &types.AttributeValueMemberS{Value: f.opts.Fleet},
			"id":      &types.AttributeValueMemberS{Value: f.opts.ID},
			"bad":     &types.AttributeValueMemberBOOL{Value: s.Bad},
			"out":     &types.AttributeValueMemberBOOL{Value: s.Out},
			"new":     &types.AttributeValueMemberBOOL{Value: s.New},
			"beat":    &types.AttributeValueMemberN{Value: beat},
			"expires": &types.AttributeValueMemberN{Value: strconv.FormatInt(now.Add(f.opts.Keep).Unix(), 10)},
		},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}, once)
	if err == nil {
		err = judge(out != nil, func() middleware.Metadata { return out.ResultMetadata })
	}
	f.wrote(beat, out, err)
	if err != nil {
		return fmt.Errorf("peersdynamo: writing the heartbeat: %w", err)
	}
	return nil
}

// wrote counts a heartbeat. The error is only compared with nil: its text is
// the client's code, and may take as long as it likes.
func (f *Fleet) wrote(beat string, out *dynamodb.PutItemOutput, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Writes++
	if err != nil {
		f.stats.WriteErrors++
		return
	}
	f.stats.WriteUnits += units(out.ConsumedCapacity)
	f.beat = beat
}

// leave deletes the heartbeat, so that nobody reads what is left of this
// instance; unless another of that name has written one since. A client that
// cannot delete leaves it to the time to live.
func (f *Fleet) leave(ctx context.Context) {
	client, ok := f.client.(interface {
		DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	})
	f.mu.Lock()
	beat := f.beat
	f.mu.Unlock()
	if !ok || beat == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	out, err := client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &f.opts.Table,
		Key: map[string]types.AttributeValue{
			"fleet": &types.AttributeValueMemberS{Value: f.opts.Fleet}, "id": &types.AttributeValueMemberS{Value: f.opts.ID},
		},
		ConditionExpression:       aws.String("beat = :b"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":b": &types.AttributeValueMemberN{Value: beat}},
	}, once)
	if err == nil {
		err = judge(out != nil, func() middleware.Metadata { return out.ResultMetadata })
	}
	var another *types.ConditionalCheckFailedException
	if errors.As(err, &another) { // it asks the error, so not while f.mu is held
		err = nil
	}
	f.mu.Lock()
	f.stats.Deletes++
	if err != nil {
		f.stats.DeleteErrors++
	}
	f.mu.Unlock()
	if err != nil {
		f.log.Warn("peersdynamo: the own heartbeat stays until its time to live", "table", f.opts.Table, "err", err)
	}
}

// units are the capacity units of a call; 0 if the table does not say.
func units(c *types.ConsumedCapacity) float64 {
	if c == nil {
		return 0
	}
	return aws.ToFloat64(c.CapacityUnits)
}

// maxPages bounds a round, in which the items of dead instances do not count:
// they stay until their time to live.
const maxPages = 4

// read reads the whole fleet in one query, if it is small; else the instances
// that follow this one, and then the first ones, until there are Most that may
// be alive, or all have been read.
func (f *Fleet) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	r := reading{seen: make(map[string]bool)}
	// one query for all: whole says whether that was so, and large remembers it
	if !f.large {
		whole, err := f.part(ctx, &r, "#f = :f", false)
		if err != nil {
			return err
		}
		f.large = !whole
	}
	if f.large {
		// anew, but for the pages: they bound the round and not a part of it
		r = reading{seen: make(map[string]bool), pages: r.pages}
		after, err := f.part(ctx, &r, "#f = :f AND id > :self", true)
		if err != nil {
			return err
		}
		before := false
		if after { // there was room for more
			if before, err = f.part(ctx, &r, "#f = :f AND id < :self", true); err != nil {
				return err
			}
		}
		f.large = !after || !before || len(r.seen) > f.opts.Most
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.known {
		// not read this time: of a fleet that is read in part, others have taken its place
		if !r.seen[id] {
			delete(f.known, id)
		}
	}
	return nil
}

// reading is a round of reading.
type reading struct {
	seen  map[string]bool
	alive int // that may be
	pages int
}

// part reads a part of the fleet, a page of what may be small, or pages until
// there are enough. whole is that there is nothing more in that part.
func (f *Fleet) part(ctx context.Context, r *reading, condition string, self bool) (whole bool, err error) {
	// Most, and one each for this instance and to see that there is more
	limit := int32(min(f.opts.Most, math.MaxInt32-2) + 2)
	in := &dynamodb.QueryInput{
		TableName: &f.opts.Table, KeyConditionExpression: &condition, Limit: &limit,
		ExpressionAttributeNames:  map[string]string{"#f": "fleet"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":f": &types.AttributeValueMemberS{Value: f.opts.Fleet}},
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	}
	if self {
		in.ExpressionAttributeValues[":self"] = &types.AttributeValueMemberS{Value: f.opts.ID}
	}
	for r.alive < f.opts.Most && r.pages < maxPages {
		out, err := f.client.Query(ctx, in, once)
		if err == nil {
			err = judge(out != nil, func() middleware.Metadata { return out.ResultMetadata })
		}
		r.pages++
		f.page(out, err, r)
		if err != nil {
			return false, fmt.Errorf("peersdynamo: reading the fleet: %w", err)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return true, nil
		}
		// the whole was asked for, and did not fit into one page: it is large
		if !self {
			return false, nil
		}
	}
	return false, nil
}

// page keeps what a query returned. Whatever is wrong with it, f.mu is free
// afterwards.
func (f *Fleet) page(out *dynamodb.QueryOutput, err error, r *reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Queries++
	if err != nil {
		f.stats.QueryErrors++
		return
	}
	f.stats.ReadUnits += units(out.ConsumedCapacity)
	for _, item := range out.Items {
		if f.take(item, r.seen) {
			r.alive++
		}
	}
}

// take keeps one item, and reports whether it may be of an instance that lives.
// A peer is seen when its beat has changed since it was read before: what is
// read first may have been left by a dead instance. The caller holds f.mu.
func (f *Fleet) take(item map[string]types.AttributeValue, seen map[string]bool) (alive bool) {
	id, ok1 := item["id"].(*types.AttributeValueMemberS)
	bad, ok2 := item["bad"].(*types.AttributeValueMemberBOOL)
	out, ok3 := item["out"].(*types.AttributeValueMemberBOOL)
	beat, ok4 := item["beat"].(*types.AttributeValueMemberN)
	if !ok1 || !ok2 || !ok3 || !ok4 || id == nil || bad == nil || out == nil || beat == nil {
		f.stats.Malformed++
		return false
	}
	seen[id.Value] = true
	if id.Value == f.opts.ID {
		return false
	}
	h, known := f.known[id.Value]
	if !known {
		h.since = time.Now()
	}
	// it has written since: it lives
	if known && h.beat != beat.Value {
		h.Seen = time.Now()
	}
	h.ID, h.Bad, h.Out, h.beat = id.Value, bad.Value, out.Value, beat.Value
	fresh, ok := item["new"].(*types.AttributeValueMemberBOOL) // an older version does not write it
	h.New = ok && fresh != nil && fresh.Value
	f.known[id.Value] = h
	return time.Since(h.since) < Fresh || time.Since(h.Seen) < Fresh
}

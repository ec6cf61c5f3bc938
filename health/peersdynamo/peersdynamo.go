// Package peersdynamo is a fleet signal for health.Guard over a DynamoDB table:
// each instance writes a heartbeat item and queries its fleet's partition. Use
// it where instances cannot reach each other; otherwise package health/peers
// needs no table and survives an outage of DynamoDB. In such an outage there
// is no signal, and nobody leaves, which is right.
//
//	fleet, err := peersdynamo.New(client, peersdynamo.Options{ID: hostname, Fleet: "checkout", Table: "heartbeats"})
//	p.Guard = &health.Guard{ID: hostname, Peers: fleet.Peers, Fresh: peersdynamo.Fresh, Settle: peersdynamo.Settle}
//	go fleet.Run(ctx, p.Self)
//
// The table has a partition key "fleet" and a sort key "id", both strings, and
// time to live on "expires". A fleet of 100 costs 10 writes and 10 queries a
// second; the least policy is dynamodb:PutItem and dynamodb:Query on the table.
//
// Make the client with NewClient of cache/dynamo, or with time-outs like it:
// the SDK's own wait 30 s for a connection and retry.
package peersdynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/health"
)

// What the Guard needs instead of its defaults: a heartbeat is up to 11 s old
// when it is written again, and up to 11 s more when it is read.
const (
	Fresh  = 35 * time.Second
	Settle = 40 * time.Second
)

// API is what is called of *dynamodb.Client.
type API interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Options are the settings of a Fleet.
type Options struct {
	// ID is this instance's name among its peers, the same as the Guard's.
	// Required.
	ID string

	// Fleet is the name of the service. Required.
	Fleet string

	// Table is the table's name. Required.
	Table string

	// Period is the time from one heartbeat to the next, ± 10%. Default
	// 10 s. What an instance thinks of itself is written within a second
	// when it changes.
	Period time.Duration

	// Timeout bounds each call. One attempt is made. Default 1 s.
	Timeout time.Duration

	// Keep is how long an item stays after its last heartbeat. Default 1 h.
	Keep time.Duration

	// Logger, if set, gets a record when the table stops answering, and
	// when it does again.
	Logger *slog.Logger
}

// Fleet is what this instance knows of the others. Make it with New; it is
// safe for concurrent use.
type Fleet struct {
	Options
	client API

	mu    sync.Mutex
	known map[string]heartbeat
	err   error // of the last round
	stats Stats
}

// heartbeat is what is known of a peer. It is alive because its beat changes,
// whatever its clock says.
type heartbeat struct {
	health.Peer
	beat string
}

// Stats counts what has happened since New.
type Stats struct {
	Writes, WriteErrors   int64   // heartbeats, and how many failed
	Queries, QueryErrors  int64   // reads of the fleet, and how many failed
	Malformed             int64   // items that are no heartbeats
	ReadUnits, WriteUnits float64 // consumed capacity
}

// New checks the options. It makes no call.
func New(client API, o Options) (*Fleet, error) {
	switch {
	case client == nil:
		return nil, errors.New("peersdynamo: the client is nil")
	case o.ID == "", o.Fleet == "", o.Table == "":
		return nil, fmt.Errorf("peersdynamo: Options.ID is %q, Fleet %q and Table %q; none may be empty", o.ID, o.Fleet, o.Table)
	case o.Period < 0, o.Timeout < 0, o.Keep < 0:
		return nil, errors.New("peersdynamo: Options.Period, Timeout and Keep must not be negative")
	}
	if o.Period == 0 {
		o.Period = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if o.Keep == 0 {
		o.Keep = time.Hour
	}
	return &Fleet{Options: o, client: client, known: make(map[string]heartbeat)}, nil
}

// Peers returns what is known, for Guard.Peers. It makes no call: Run does. The
// error is that of the last round.
func (f *Fleet) Peers(context.Context) ([]health.Peer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]health.Peer, 0, len(f.known))
	for _, h := range f.known {
		if !h.Seen.IsZero() {
			list = append(list, h.Peer)
		}
	}
	slices.SortFunc(list, func(a, b health.Peer) int { return strings.Compare(a.ID, b.ID) })
	return list, f.err
}

// Stats returns the counters.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Run writes heartbeats and reads those of the others until ctx is done, and
// then returns nil. self is Process.Self.
func (f *Fleet) Run(ctx context.Context, self func() health.Self) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last health.Self
	var next time.Time
	for {
		s := self()
		changed := s.Bad != last.Bad || s.Out != last.Out || s.New != last.New
		due := !time.Now().Before(next)
		if due || changed {
			last = s
			f.round(ctx, s, due)
		}
		if due {
			next = time.Now().Add(time.Duration(float64(f.Period) * (0.9 + 0.2*rand.Float64())))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// round writes, and reads if read is set.
func (f *Fleet) round(ctx context.Context, s health.Self, read bool) {
	err := f.write(ctx, s)
	if read {
		err = errors.Join(err, f.read(ctx))
	}
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	news := (err == nil) != (f.err == nil)
	f.err = err
	f.mu.Unlock()
	if news && f.Logger != nil {
		f.Logger.Warn("peersdynamo: the table", "table", f.Table, "err", err)
	}
}

// once makes one attempt: the next round is soon.
func once(o *dynamodb.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RetryMaxAttempts = 0
}

func (f *Fleet) write(ctx context.Context, s health.Self) error {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	now := time.Now()
	out, err := f.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &f.Table,
		Item: map[string]types.AttributeValue{
			"fleet":   &types.AttributeValueMemberS{Value: f.Options.Fleet},
			"id":      &types.AttributeValueMemberS{Value: f.ID},
			"bad":     &types.AttributeValueMemberBOOL{Value: s.Bad},
			"out":     &types.AttributeValueMemberBOOL{Value: s.Out},
			"new":     &types.AttributeValueMemberBOOL{Value: s.New},
			"beat":    &types.AttributeValueMemberN{Value: strconv.FormatInt(now.UnixNano(), 10)},
			"expires": &types.AttributeValueMemberN{Value: strconv.FormatInt(now.Add(f.Keep).Unix(), 10)},
		},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}, once)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Writes++
	if err != nil {
		f.stats.WriteErrors++
		return fmt.Errorf("peersdynamo: writing the heartbeat: %w", err)
	}
	f.stats.WriteUnits += units(out.ConsumedCapacity)
	return nil
}

func units(c *types.ConsumedCapacity) float64 {
	if c == nil {
		return 0
	}
	return aws.ToFloat64(c.CapacityUnits)
}

// maxPages bounds a query: 1 MB a page, some 10,000 instances.
const maxPages = 4

func (f *Fleet) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	in := &dynamodb.QueryInput{
		TableName: &f.Table, KeyConditionExpression: aws.String("#f = :f"),
		ExpressionAttributeNames:  map[string]string{"#f": "fleet"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":f": &types.AttributeValueMemberS{Value: f.Options.Fleet}},
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	}
	seen := make(map[string]bool)
	for range maxPages {
		out, err := f.client.Query(ctx, in, once)
		f.mu.Lock()
		f.stats.Queries++
		if err != nil {
			f.stats.QueryErrors++
			f.mu.Unlock()
			return fmt.Errorf("peersdynamo: reading the fleet: %w", err)
		}
		f.stats.ReadUnits += units(out.ConsumedCapacity)
		for _, item := range out.Items {
			f.take(item, seen)
		}
		f.mu.Unlock()
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.known {
		if !seen[id] {
			delete(f.known, id)
		}
	}
	return nil
}

// take keeps one item. A peer is seen when its beat has changed since it was
// read before: what is read first may have been left by a dead instance. The
// caller holds f.mu.
func (f *Fleet) take(item map[string]types.AttributeValue, seen map[string]bool) {
	id, ok1 := item["id"].(*types.AttributeValueMemberS)
	bad, ok2 := item["bad"].(*types.AttributeValueMemberBOOL)
	out, ok3 := item["out"].(*types.AttributeValueMemberBOOL)
	beat, ok4 := item["beat"].(*types.AttributeValueMemberN)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		f.stats.Malformed++
		return
	}
	seen[id.Value] = true
	if id.Value == f.ID {
		return
	}
	h, known := f.known[id.Value]
	if known && h.beat != beat.Value {
		h.Seen = time.Now()
	}
	h.ID, h.Bad, h.Out, h.beat = id.Value, bad.Value, out.Value, beat.Value
	fresh, ok := item["new"].(*types.AttributeValueMemberBOOL) // an older version does not write it
	h.New = ok && fresh.Value
	f.known[id.Value] = h
}

// Package peersdynamo is a fleet signal for health.Guard over a DynamoDB table:
// each instance writes a heartbeat item and reads those of others. Use
// it where instances cannot reach each other; otherwise package health/peers
// needs no table and survives an outage of DynamoDB. In such an outage there
// is no signal, and nobody leaves, which is right.
//
//	fleet, err := peersdynamo.New(client, peersdynamo.Options{ID: hostname, Fleet: "checkout", Table: "heartbeats"})
//	p.Guard = &health.Guard{ID: hostname, Peers: fleet.Peers, Fresh: peersdynamo.Fresh, Settle: peersdynamo.Settle}
//	go fleet.Run(ctx, p.Self)
//
// The table has a partition key "fleet" and a sort key "id", both strings, and
// time to live on "expires". Each instance reads the Most instances that follow
// it in the order of their IDs, and the first ones after the last, so that the
// cost grows with the fleet and not with its square: a tenth of a write unit a
// second for each instance, and a tenth of a read unit or less while half of the
// items are of instances that live. The least policy is dynamodb:PutItem and
// dynamodb:Query on the table, and dynamodb:DeleteItem for instances to take
// their item away when Run ends.
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
	"sync/atomic"
	"time"
	"unicode/utf8"

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

	// Most is how many others are read, at most. Default 32, as in package
	// peers.
	Most int

	// Timeout bounds each call. One attempt is made. Default 1 s.
	Timeout time.Duration

	// Keep is how long an item stays after its last heartbeat. Default 1 h.
	Keep time.Duration

	// Logger, if set, gets a record when the table stops answering, and
	// when it does again. One that does not return gets no more.
	Logger *slog.Logger
}

// Fleet is what this instance knows of the others. Make it with New; it is
// safe for concurrent use.
type Fleet struct {
	opts   Options
	client API

	large bool // the fleet is too large to be read whole; for who is inside a call

	mu     sync.Mutex
	inside bool   // a call has not returned
	beat   string // last written
	known  map[string]heartbeat
	err    error // of the last round
	stats  Stats

	saying atomic.Bool // the Logger has not returned
}

// heartbeat is what is known of a peer. It is alive because its beat changes,
// whatever its clock says.
type heartbeat struct {
	health.Peer
	beat  string
	since time.Time // it was read first
}

// Stats counts what has happened since New.
type Stats struct {
	Writes       int64   `json:"writes"`        // heartbeats
	WriteErrors  int64   `json:"write_errors"`  // of them, those that failed
	Queries      int64   `json:"queries"`       // reads of the fleet
	QueryErrors  int64   `json:"query_errors"`  // of them, those that failed
	Deletes      int64   `json:"deletes"`       // of the own item, when Run ended
	DeleteErrors int64   `json:"delete_errors"` // of them, those that failed
	Malformed    int64   `json:"malformed"`     // items that are no heartbeats
	Panics       int64   `json:"panics"`        // of the client, the Logger, and of what Run was given; Goexit counts, too
	ReadUnits    float64 `json:"read_units"`    // capacity that the reads consumed
	WriteUnits   float64 `json:"write_units"`   // and the writes
}

// New checks the options. It makes no call.
func New(client API, o Options) (*Fleet, error) {
	switch {
	case client == nil:
		return nil, errors.New("peersdynamo: the client is nil")
	case o.ID == "", o.Fleet == "", o.Table == "":
		return nil, fmt.Errorf("peersdynamo: Options.ID is %q, Fleet %q and Table %q; none may be empty", o.ID, o.Fleet, o.Table)
	case len(o.ID) > 1024 || len(o.Fleet) > 2048 || !utf8.ValidString(o.ID) || !utf8.ValidString(o.Fleet):
		return nil, fmt.Errorf("peersdynamo: Options.ID has %d bytes and Fleet %d; keys of a table are UTF-8, of 1,024 and 2,048 bytes at most", len(o.ID), len(o.Fleet))
	case o.Period < 0, o.Timeout < 0, o.Keep < 0, o.Most < 0:
		return nil, errors.New("peersdynamo: Options.Period, Most, Timeout and Keep must not be negative")
	case o.Period > 0 && o.Period < time.Millisecond, o.Timeout > 0 && o.Timeout < time.Millisecond, o.Keep > 0 && o.Keep < time.Second:
		return nil, fmt.Errorf("peersdynamo: Options.Period is %v, Timeout %v and Keep %v; the unit of one may be missing: 10 * time.Second", o.Period, o.Timeout, o.Keep)
	}
	if o.Most == 0 {
		o.Most = 32
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
	return &Fleet{opts: o, client: client, known: make(map[string]heartbeat)}, nil
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
// then takes its own away and returns nil. self is Process.Self.
func (f *Fleet) Run(ctx context.Context, self func() health.Self) error {
	if f.client == nil {
		return errors.New("peersdynamo: make the Fleet with New")
	}
	if self == nil {
		return errors.New("peersdynamo: Run: self is nil; it is Process.Self")
	}
	defer func() {
		_ = f.contained(func() error { f.leave(context.WithoutCancel(ctx)); return nil }) // it has counted, and said, what went wrong
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last health.Self
	var next time.Time
	for {
		said := make(chan health.Self, 1)
		if err := f.contained(func() error { said <- self(); return nil }); err != nil {
			f.mu.Lock() // without it there is nothing to write: silence says the same
			f.err = err
			f.mu.Unlock()
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		s := <-said
		changed := s.Bad != last.Bad || s.Out != last.Out || s.New != last.New
		due := !time.Now().Before(next)
		if due || changed {
			last = s
			f.round(ctx, s, due)
		}
		if due {
			next = time.Now().Add(time.Duration(float64(f.opts.Period) * (0.9 + 0.2*rand.Float64())))
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
	err := f.contained(func() error {
		err := f.write(ctx, s)
		if read {
			err = errors.Join(err, f.read(ctx))
		}
		return err
	})
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	news := (err == nil) != (f.err == nil)
	f.err = err
	f.mu.Unlock()
	if news {
		f.say("peersdynamo: the table", "table", f.opts.Table, "err", err)
	}
}

// say logs in the background: a logger that blocks, as one does whose output
// nobody reads, must not hold Run up. It gets nothing more until it has returned.
func (f *Fleet) say(message string, args ...any) {
	if f.opts.Logger == nil || !f.saying.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer f.saying.Store(false)
		returned := false
		defer func() {
			_ = recover() // it has not returned, as with a Goexit
			if !returned {
				f.mu.Lock()
				f.stats.Panics++
				f.mu.Unlock()
			}
		}()
		f.opts.Logger.Warn(message, args...)
		returned = true
	}()
}

// contained makes a call of the program's, or of its client, on a goroutine of its
// own: one that panics, or ends its goroutine, is an error, and one that does not
// listen to its context is left behind, and nothing is called before it returns.
func (f *Fleet) contained(call func() error) error {
	f.mu.Lock()
	inside := f.inside
	f.inside = true
	f.mu.Unlock()
	if inside {
		return errors.New("peersdynamo: a call has not returned")
	}
	done := make(chan error, 1)
	go func() {
		err, returned := errors.New("peersdynamo: a call panicked, or ended its goroutine"), false
		defer func() {
			_ = recover() // it has not returned, as with a Goexit
			f.mu.Lock()
			f.inside = false
			if !returned {
				f.stats.Panics++
			}
			f.mu.Unlock()
			done <- err
		}()
		err = call()
		returned = true
	}()
	late := time.NewTimer(2*f.opts.Timeout + f.opts.Timeout/10) // a write and a read
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errors.New("peersdynamo: a call does not return")
	}
}

// errNothing is for a client that returns neither, as a mock may.
var errNothing = errors.New("the client returned neither a result nor an error")

// once makes one attempt: the next round is soon.
func once(o *dynamodb.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RetryMaxAttempts = 0
}

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
	if err == nil && out == nil {
		err = errNothing
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
	_, err := client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &f.opts.Table,
		Key: map[string]types.AttributeValue{
			"fleet": &types.AttributeValueMemberS{Value: f.opts.Fleet}, "id": &types.AttributeValueMemberS{Value: f.opts.ID},
		},
		ConditionExpression:       aws.String("beat = :b"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":b": &types.AttributeValueMemberN{Value: beat}},
	}, once)
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
	if err != nil && f.opts.Logger != nil {
		f.opts.Logger.Warn("peersdynamo: the own heartbeat stays until its time to live", "table", f.opts.Table, "err", err)
	}
}

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
	if !f.large {
		whole, err := f.part(ctx, &r, "#f = :f", false)
		if err != nil {
			return err
		}
		f.large = !whole
	}
	if f.large {
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
	in := &dynamodb.QueryInput{
		TableName: &f.opts.Table, KeyConditionExpression: &condition, Limit: aws.Int32(int32(f.opts.Most + 2)),
		ExpressionAttributeNames:  map[string]string{"#f": "fleet"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":f": &types.AttributeValueMemberS{Value: f.opts.Fleet}},
		ReturnConsumedCapacity:    types.ReturnConsumedCapacityTotal,
	}
	if self {
		in.ExpressionAttributeValues[":self"] = &types.AttributeValueMemberS{Value: f.opts.ID}
	}
	for r.alive < f.opts.Most && r.pages < maxPages {
		out, err := f.client.Query(ctx, in, once)
		if err == nil && out == nil {
			err = errNothing
		}
		r.pages++
		f.page(out, err, r)
		if err != nil {
			return false, fmt.Errorf("peersdynamo: reading the fleet: %w", err)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return true, nil
		}
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
	if known && h.beat != beat.Value {
		h.Seen = time.Now()
	}
	h.ID, h.Bad, h.Out, h.beat = id.Value, bad.Value, out.Value, beat.Value
	fresh, ok := item["new"].(*types.AttributeValueMemberBOOL) // an older version does not write it
	h.New = ok && fresh != nil && fresh.Value
	f.known[id.Value] = h
	return time.Since(h.since) < Fresh || time.Since(h.Seen) < Fresh
}

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
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/internal/background"
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

	// mu guards what follows. No call is made while it is held, and nothing of the client's
	// is asked for its text.
	mu     sync.Mutex
	inside bool   // a call has not returned
	beat   string // last written
	known  map[string]heartbeat
	err    error // of the last round
	stats  Stats

	log background.Logger
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

// tableName is what DynamoDB takes for one; each call with another would fail.
var tableName = regexp.MustCompile(`^(arn:[a-z-]+:dynamodb:[a-z0-9-]*:[0-9]*:table/)?[A-Za-z0-9_.-]{3,255}$`)

// New checks the options. It makes no call.
func New(client API, o Options) (*Fleet, error) {
	switch {
	case client == nil:
		return nil, errors.New("peersdynamo: the client is nil")
	case o.ID == "", o.Fleet == "", o.Table == "":
		return nil, fmt.Errorf("peersdynamo: Options.ID is %q, Fleet %q and Table %q; none may be empty", o.ID, o.Fleet, o.Table)
	case !tableName.MatchString(o.Table):
		return nil, fmt.Errorf("peersdynamo: Options.Table is %.300q; want 3 to 255 letters, digits and _.-, or a table's ARN", o.Table)
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
	f := &Fleet{opts: o, client: client, known: make(map[string]heartbeat)}
	f.log.To, f.log.Panicked = o.Logger, f.panicked
	return f, nil
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
		// a channel, since self may still run when contained has given it up
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
		// a change is written at once, and the others are read only when it is time: reads are
		// what costs
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
// What fails because Run is ending is no failure of the table.
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
	// from well to failing, or back: the log has each once
	news := (err == nil) != (f.err == nil)
	f.err = err
	f.mu.Unlock()
	if news {
		f.log.Warn("peersdynamo: the table", "table", f.opts.Table, "err", err)
	}
}

// contained makes a call of the program's, or of its client, on a goroutine of its
// own: one that panics, or ends its goroutine, is an error, and one that does not
// listen to its context is left behind, and nothing is called before it returns.
func (f *Fleet) contained(call func() error) error {
	f.mu.Lock()
	inside := f.inside
	f.inside = true
	f.mu.Unlock()
	// the last one hangs: a second would hang beside it
	if inside {
		return errors.New("peersdynamo: a call has not returned")
	}
	done := make(chan error, 1)
	go func() {
		err, returned := errors.New("peersdynamo: a call panicked, or ended its goroutine"), false
		defer func() {
			_ = recover() // it has not returned, as with a Goexit
			if !returned {
				f.panicked()
			}
			f.mu.Lock()
			f.inside = false
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

// panicked counts, and must not be called with f.mu held.
func (f *Fleet) panicked() {
	f.mu.Lock()
	f.stats.Panics++
	f.mu.Unlock()
}

package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache"
)

// Client is what the store needs of a DynamoDB client. *dynamodb.Client and
// the DAX client have it.
type Client interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

// Options of a [Store]. Table is required.
type Options struct {
	// Table is the table's name or ARN.
	Table string

	// KeyAttribute is the table's partition key, of type S. Default: "key".
	KeyAttribute string

	// TTLAttribute is the attribute that the table's time to live is set
	// to; it holds epoch seconds. Default: "ttl".
	TTLAttribute string
}

// Names of the store's other attributes. They are short because each item
// pays for them; both are placeholders' values in expressions, never part of
// one.
const (
	valueAttribute   = "v"
	versionAttribute = "n"
)

// Limits of DynamoDB.
const (
	maxItemBytes     = 400 << 10
	maxKeyBytes      = 2048
	maxAttributeName = 255 // of a key, and of a time to live
	maxBatchGet      = 100
)

// A Store is a [cache.BatchStore] on a DynamoDB table. It is safe for
// concurrent use, needs no closing, and calls DynamoDB only in Get, GetMany and
// Set. Its one goroutine fetches the first credentials, for at most a second:
// until they are there, calls fail with [cache.ErrStarting].
//
// Get and GetMany make one attempt (GetMany a second one for the keys that
// DynamoDB did not process), Set at most two, a few milliseconds apart;
// neither waits for a client-side rate limiter. The deadline is the
// context's.
//
// A fault that waiting does not heal wraps [cache.ErrPermanent]: access denied,
// no such table, bad credentials, a table with another key schema, and whatever
// else DynamoDB refuses a read for, since the store checks keys itself.
// An item or a key that DynamoDB cannot hold is refused with
// [cache.ErrRejected] without a call. An item in the table that is not the
// store's own comes back as far as it can be read, if need be with an empty
// Value: the cache finds out.
type Store struct {
	client Client
	opts   Options

	// A write is retried in the background, where a few milliseconds hurt
	// nobody.
	writeRetryer aws.Retryer

	start *coldStart // the first credentials
	renew renewal    // of credentials that DynamoDB has refused
	clock clock      // DynamoDB's, as far as its answers tell
	stats counters
}

var (
	_ cache.BatchStore       = (*Store)(nil)
	_ cache.ConditionalStore = (*Store)(nil)
	_ cache.LogAttrer        = (*Store)(nil)
)

// NewStore returns a store on opts.Table. It does not call DynamoDB: a service
// starts while the table is unreachable, or not there yet.
func NewStore(client Client, opts Options) (*Store, error) {
	if client == nil || reflect.ValueOf(client).Kind() == reflect.Pointer && reflect.ValueOf(client).IsNil() {
		return nil, errors.New("dynamo: no client")
	}
	if opts.Table == "" {
		return nil, errors.New("dynamo: Options.Table is empty")
	}
	if !tableName.MatchString(opts.Table) {
		return nil, fmt.Errorf("dynamo: Options.Table is %.300q; want a name of 3 to 255 letters, digits and _.-, or the ARN of a table", opts.Table)
	}
	opts.KeyAttribute = cmp.Or(opts.KeyAttribute, "key")
	opts.TTLAttribute = cmp.Or(opts.TTLAttribute, "ttl")
	if err := opts.checkAttributes(); err != nil {
		return nil, err
	}
	s := &Store{client: client, opts: opts, writeRetryer: newWriteRetryer(), start: newColdStart(client)}
	s.renew.provider, _ = s.start.provider.(interface{ Invalidate() })
	return s, nil
}

// tableName is what DynamoDB takes for one. Any other, such as a variable that
// nobody has filled in, would be refused with each call, while the service goes on
// without its shared tier.
var tableName = regexp.MustCompile(`^(arn:[a-z-]+:dynamodb:[a-z0-9-]*:[0-9]*:table/)?[A-Za-z0-9_.-]{3,255}$`)

// checkAttributes refuses names that collide: one attribute would overwrite
// the other; and those that no attribute can have.
func (o Options) checkAttributes() error {
	used := map[string]string{valueAttribute: "the value", versionAttribute: "the version"}
	for _, f := range []struct{ field, name string }{{"KeyAttribute", o.KeyAttribute}, {"TTLAttribute", o.TTLAttribute}} {
		if len(f.name) > maxAttributeName || !utf8.ValidString(f.name) {
			return fmt.Errorf("dynamo: Options.%s is %.300q; want UTF-8 of at most %d bytes", f.field, f.name, maxAttributeName)
		}
		if other := used[f.name]; other != "" {
			return fmt.Errorf("dynamo: Options.%s is %q, which is the name of %s", f.field, f.name, other)
		}
		used[f.name] = "Options." + f.field
	}
	return nil
}

// LogAttrs implements [cache.LogAttrer]: the table, and the region of a client
// of the SDK.
func (s *Store) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("table", s.opts.Table)}
	if c, ok := s.client.(interface{ Options() dynamodb.Options }); ok {
		attrs = append(attrs, slog.String("region", c.Options().Region))
	}
	return attrs
}

// newWriteRetryer allows one retry, at once but for a little jitter. The SDK's
// own retryer waits up to 20 s and has a token bucket for the whole client,
// which the writes of a table that throttles would empty for everybody else.
func newWriteRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 2
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return smallDelay(), nil })
	})
}

// smallDelay is 2 to 10 ms: long enough for another connection or partition,
// short enough for a budget of 50 ms.
func smallDelay() time.Duration {
	return 2*time.Millisecond + rand.N(8*time.Millisecond)
}

// readOptions make one attempt. The cache's origin is a better second attempt
// than the same table. The DAX client has a retryer of its own and looks at
// RetryMaxAttempts alone, of which DynamoDB's ignores a 0.
func readOptions(o *dynamodb.Options) {
	o.Retryer = aws.NopRetryer{}
	o.RetryMaxAttempts = 0
}

func (s *Store) writeOptions(o *dynamodb.Options) { o.Retryer = s.writeRetryer }

// Get reads one item, eventually consistent: half the price, and the cache's
// versions and endings know what to do with an old one. A miss wraps
// [cache.ErrNotFound].
func (s *Store) Get(ctx context.Context, key string) (cache.Item, error) {
	full, err := s.key(key)
	if err != nil {
		s.stats.rejected.Add(1)
		return cache.Item{}, err
	}
	if err := s.start.wait(ctx); err != nil {
		return cache.Item{}, s.fault("GetItem", err)
	}
	s.stats.gets.Add(1)
	began := time.Now()
	out, err := answered(s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.opts.Table, Key: full}, readOptions))
	if err != nil {
		s.noteRefusal(err, began)
		return cache.Item{}, s.fault("GetItem", err)
	}
	if err := s.noteAnswer("GetItem", out.ResultMetadata, began); err != nil {
		return cache.Item{}, err
	}
	if len(out.Item) == 0 {
		s.stats.misses.Add(1)
		s.stats.readHalves.Add(1)
		return cache.Item{}, fmt.Errorf("dynamo: %w", cache.ErrNotFound)
	}
	return s.item(out.Item), nil
}

// GetMany reads many items, 100 in a call. A key that DynamoDB does not
// process, twice, is left out, as is one that it cannot hold; one that comes
// twice is asked for once.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string]cache.Item, error) {
	found := make(map[string]cache.Item, len(keys))
	if len(keys) > 1 { // DynamoDB refuses a batch with a key twice
		keys = slices.Clone(keys)
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	batch := make([]map[string]types.AttributeValue, 0, min(len(keys), maxBatchGet))
	for i, key := range keys {
		if full, err := s.key(key); err == nil {
			batch = append(batch, full)
		} else {
			s.stats.rejected.Add(1)
		}
		if len(batch) == maxBatchGet || i == len(keys)-1 {
			if err := s.getBatch(ctx, batch, found); err != nil {
				return found, err
			}
			batch = batch[:0]
		}
	}
	return found, nil
}

// getBatch adds what it finds to found, and asks once more, a few milliseconds
// later, for what DynamoDB did not process. What it finds before an error stays in
// found: the cache uses it.
func (s *Store) getBatch(ctx context.Context, keys []map[string]types.AttributeValue, found map[string]cache.Item) error {
	for attempt := 0; len(keys) > 0 && attempt < 2; attempt++ {
		if attempt > 0 && !sleep(ctx, smallDelay()) {
			return nil // no time left: the rest are misses
		}
		if err := s.start.wait(ctx); err != nil {
			return s.fault("BatchGetItem", err)
		}
		s.stats.gets.Add(int64(len(keys)))
		began := time.Now()
		out, err := answered(s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{s.opts.Table: {Keys: keys}},
		}, readOptions))
		if err != nil {
			s.noteRefusal(err, began)
			return s.fault("BatchGetItem", err)
		}
		if err := s.noteAnswer("BatchGetItem", out.ResultMetadata, began); err != nil {
			return err
		}
		asked := len(keys)
		keys = nil
		for _, rest := range out.UnprocessedKeys { // keyed by our one table, by name or by ARN
			keys = append(keys, rest.Keys...)
		}
		came := 0
		for _, items := range out.Responses {
			for _, attrs := range items {
				came++
				if key, ok := attrs[s.opts.KeyAttribute].(*types.AttributeValueMemberS); ok {
					found[key.Value] = s.item(attrs)
				}
			}
		}
		s.stats.unprocessed.Add(int64(len(keys)))
		missed := int64(max(0, asked-len(keys)-came))
		s.stats.misses.Add(missed)
		s.stats.readHalves.Add(missed)
	}
	return nil
}

// sleep waits for d, and reports false if ctx was done before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Set writes one item, unless a newer version is there. Items over 400 KB are
// refused with [cache.ErrRejected].
func (s *Store) Set(ctx context.Context, key string, item cache.Item) error {
	_, err := s.SetNewer(ctx, key, item)
	return err
}

// SetNewer implements [cache.ConditionalStore]: DynamoDB tells what is there
// with the failed condition, at no extra cost.
//
// A version is compared with others by the clock of DynamoDB, if this host's is
// known from its answers to be off by more than half of [cache.MaxSkew]: see
// Stats.ClockSkew.
func (s *Store) SetNewer(ctx context.Context, key string, item cache.Item) (stays int64, err error) {
	attrs, err := s.key(key)
	future, shift := s.clock.future(time.Now())
	if err == nil {
		item.Version += shift
		s.fill(attrs, item)
		err = checkSize(attrs)
	}
	if err != nil {
		s.stats.rejected.Add(1)
		return 0, err
	}
	if err := s.start.wait(ctx); err != nil {
		return 0, s.fault("PutItem", err)
	}
	s.stats.sets.Add(1)
	began := time.Now()
	out, err := answered(s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.opts.Table,
		Item:      attrs,
		// The parts: nothing there, or not ours; an older or the same
		// version; a version from a clock that is ahead.
		ConditionExpression:      aws.String("attribute_not_exists(#n) OR #n <= :n OR #n > :future"),
		ExpressionAttributeNames: map[string]string{"#n": versionAttribute},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":n":      number(item.Version),
			":future": number(future),
		},
		ReturnConsumedCapacity:              types.ReturnConsumedCapacityTotal,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, s.writeOptions))
	if err == nil {
		if err := s.noteAnswer("PutItem", out.ResultMetadata, began); err != nil {
			return 0, err
		}
		s.wrote(out.ConsumedCapacity, attrs)
		return 0, nil
	}
	s.noteRefusal(err, began)
	if newer := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &newer) {
		s.stats.kept.Add(1)
		s.stats.writeUnits.Add(max(writeUnits(attrs), writeUnits(newer.Item)))
		return parseNumber(newer.Item[versionAttribute]) - shift, nil
	}
	if api := smithy.APIError(nil); !errors.As(err, &api) {
		s.stats.writeUnits.Add(writeUnits(attrs)) // it may have happened
	}
	return 0, s.fault("PutItem", err)
}

// key is the primary key of a cache's key. Text that is not UTF-8 would be
// changed on the way, and two keys could become one.
func (s *Store) key(key string) (map[string]types.AttributeValue, error) {
	switch {
	case key == "":
		return nil, fmt.Errorf("dynamo: the key is empty: %w", cache.ErrRejected)
	case len(key) > maxKeyBytes:
		return nil, fmt.Errorf("dynamo: a key of %d bytes (limit %d): %w", len(key), maxKeyBytes, cache.ErrRejected)
	case !utf8.ValidString(key):
		return nil, fmt.Errorf("dynamo: the key is not UTF-8: %w", cache.ErrRejected)
	}
	return map[string]types.AttributeValue{s.opts.KeyAttribute: &types.AttributeValueMemberS{Value: key}}, nil
}

// fill adds what every item has beside its key. An item without an Expires gets no
// time to live, and stays.
func (s *Store) fill(attrs map[string]types.AttributeValue, item cache.Item) {
	attrs[valueAttribute] = &types.AttributeValueMemberB{Value: item.Value}
	attrs[versionAttribute] = number(item.Version)
	if !item.Expires.IsZero() {
		// Rounded up: DynamoDB must not delete before the time is over.
		attrs[s.opts.TTLAttribute] = number(item.Expires.Add(time.Second - 1).Unix())
	}
}

// item reads attributes as far as they are what Set writes, and counts what reading
// them has cost. Whether the value is one is for the cache to judge, by its
// envelope.
func (s *Store) item(attrs map[string]types.AttributeValue) cache.Item {
	s.stats.readHalves.Add(int64((itemBytes(attrs) + 4095) / 4096))
	var it cache.Item
	if v, ok := attrs[valueAttribute].(*types.AttributeValueMemberB); ok {
		it.Value = v.Value
	}
	if n := parseNumber(attrs[versionAttribute]); n != 0 {
		_, shift := s.clock.future(time.Time{})
		it.Version = n - shift
	}
	if sec := parseNumber(attrs[s.opts.TTLAttribute]); sec != 0 {
		it.Expires = time.Unix(sec, 0)
	}
	return it
}

// number is an attribute of type N, which travels as text.
func number(n int64) *types.AttributeValueMemberN {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// parseNumber is 0 for anything but an integer.
func parseNumber(v types.AttributeValue) int64 {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return 0
	}
	return i
}

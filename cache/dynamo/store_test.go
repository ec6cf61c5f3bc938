package dynamo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// config signs with the given key, for an endpoint in memory.
func config(s *dynamotest.Server, accessKey, secret string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(dynamotest.MemoryURL),
		HTTPClient:   s.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, nil
		}),
	}
}

// newStore is a store on a fresh table of s.
func newStore(t *testing.T, s *dynamotest.Server, opts dynamo.Options) *dynamo.Store {
	t.Helper()
	client := dynamo.NewClient(config(s, dynamotest.AccessKey, dynamotest.SecretKey))
	if opts.Table == "" {
		opts.Table = "sessions"
	}
	if err := dynamo.CreateTable(t.Context(), client, opts); err != nil {
		t.Fatal(err)
	}
	store, err := dynamo.NewStore(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStore_returns_what_was_set(t *testing.T) {
	store := newStore(t, dynamotest.New(dynamotest.Options{}), dynamo.Options{})
	want := cache.Item{Value: []byte("\x00\xffbytes"), Version: time.Now().UnixMilli(), Expires: time.Unix(2_000_000_000, 0)}
	if err := store.Set(t.Context(), "k", want); err != nil {
		t.Fatal(err)
	}
	got, err := store.Get(t.Context(), "k")
	if err != nil || !bytes.Equal(got.Value, want.Value) || got.Version != want.Version || !got.Expires.Equal(want.Expires) {
		t.Errorf("Get = %+v, %v; want %+v", got, err, want)
	}
	if _, err := store.Get(t.Context(), "other"); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("Get of an absent key: %v; want ErrNotFound", err)
	}
}

func TestStore_keeps_newer_version(t *testing.T) {
	store := newStore(t, dynamotest.New(dynamotest.Options{}), dynamo.Options{})
	now := time.Now().UnixMilli()
	ahead := now + cache.MaxSkew.Milliseconds() + 60_000
	for _, step := range []struct {
		version int64
		value   string
		want    string
	}{
		{now, "first", "first"},
		{now - 1, "older", "first"},
		{now, "same version", "same version"},
		{now + 1, "newer", "newer"},
		{ahead, "clock ahead", "clock ahead"},
		{now + 2, "right clock", "right clock"},
	} {
		if err := store.Set(t.Context(), "k", cache.Item{Value: []byte(step.value), Version: step.version}); err != nil {
			t.Fatalf("%s: %v", step.value, err)
		}
		got, err := store.Get(t.Context(), "k")
		if err != nil || string(got.Value) != step.want {
			t.Errorf("after %q: %q, %v; want %q", step.value, got.Value, err, step.want)
		}
	}
	if st := store.Stats(); st.Kept != 1 || st.Sets != 6 {
		t.Errorf("Stats = %+v; want 1 kept of 6 sets", st)
	}
}

func TestStore_rejects_without_a_call(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := newStore(t, server, dynamo.Options{})
	before := server.Stats().Total()
	long := strings.Repeat("k", 2049)
	big := cache.Item{Value: make([]byte, 500<<10)}
	for name, err := range map[string]error{
		"long key":     store.Set(t.Context(), long, cache.Item{}),
		"not UTF-8":    store.Set(t.Context(), "a\xff", cache.Item{}),
		"big value":    store.Set(t.Context(), "k", big),
		"get long key": second(store.Get(t.Context(), long)),
	} {
		if !errors.Is(err, cache.ErrRejected) {
			t.Errorf("%s: %v; want ErrRejected", name, err)
		}
	}
	if n := server.Stats().Total() - before; n != 0 {
		t.Errorf("%d calls were made for what cannot be stored", n)
	}
}

// The largest item that the store's own arithmetic lets through must be the
// largest that the endpoint takes, whatever zeros its numbers end with.
func TestStore_agrees_on_the_limit(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := newStore(t, server, dynamo.Options{})
	for expires, bytes := range map[int64]int{1_800_000_000: 2, 1_812_345_678: 6, 1_812_345_670: 6} {
		item := cache.Item{Version: 1_700_000_000_123, Expires: time.Unix(expires, 0)}
		overhead := len("key"+"k"+"v"+"n"+"ttl") + 8 + bytes
		item.Value = make([]byte, 400<<10-overhead)
		if err := store.Set(t.Context(), "k", item); err != nil {
			t.Errorf("the largest item: %v", err)
		}
		before := server.Stats().Total()
		item.Value = append(item.Value, 0)
		if err := store.Set(t.Context(), "k", item); !errors.Is(err, cache.ErrRejected) || server.Stats().Total() != before {
			t.Errorf("a byte more: %v; want ErrRejected without a call", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestStore_marks_permanent_faults(t *testing.T) {
	for code, want := range map[string]bool{
		"AccessDeniedException":                  true,
		"ResourceNotFoundException":              true,
		"ExpiredTokenException":                  true,
		"UnrecognizedClientException":            true,
		"ProvisionedThroughputExceededException": false,
		"ThrottlingException":                    false,
		"RequestLimitExceeded":                   false,
		"LimitExceededException":                 false,
		"InternalServerError":                    false,
		"ServiceUnavailableException":            false,
		"ReplicatedWriteConflictException":       false,
		"RequestTimeTooSkewed":                   false,
		// Other protocols' spellings, as proxies and emulators send them,
		// and codes that nobody here has heard of.
		"AccessDenied":               true,
		"ExpiredToken":               true,
		"SignatureDoesNotMatch":      true,
		"InvalidAccessKeyId":         true,
		"KMSAccessDeniedException":   true,
		"TableNotFoundException":     true,
		"SerializationException":     true,
		"SomethingElseThatIsRefused": true,
	} {
		server := dynamotest.New(dynamotest.Options{})
		store := newStore(t, server, dynamo.Options{})
		server.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Code: code, Message: "m"} })
		_, get := store.Get(t.Context(), "k")
		_, many := store.GetMany(t.Context(), []string{"k"})
		set := store.Set(t.Context(), "k", cache.Item{})
		for op, err := range map[string]error{"Get": get, "GetMany": many, "Set": set} {
			api := smithy.APIError(nil)
			if !errors.As(err, &api) || api.ErrorCode() != code {
				t.Errorf("%s %s: %v does not carry the code", code, op, err)
			}
			if errors.Is(err, cache.ErrPermanent) != want {
				t.Errorf("%s %s: permanent = %v; want %v", code, op, !want, want)
			}
			if errors.Is(err, cache.ErrNotFound) || errors.Is(err, cache.ErrRejected) {
				t.Errorf("%s %s: %v is a fault, not a miss or a refusal", code, op, err)
			}
		}
	}
}

// A table that cannot be used because of how it is named, or of what it is, is
// no fault of one key or item: the breaker must open.
func TestStore_validation_of_configuration_is_permanent(t *testing.T) {
	for _, message := range []string{
		"Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain only the characters a-z, A-Z, 0-9, '_', '-', and '.'",
		"The number of conditions on the keys is invalid",
		"One of the required keys was not given a value",
		"The provided key element does not match the schema",
		"Cannot do operations on a non-existent table",
		"Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
		"some words of a later version",
	} {
		server := dynamotest.New(dynamotest.Options{})
		store := newStore(t, server, dynamo.Options{})
		server.SetFault(func(*dynamotest.Request) *dynamotest.Fault {
			return &dynamotest.Fault{Code: "ValidationException", Message: message}
		})
		_, get := store.Get(t.Context(), "k")
		_, many := store.GetMany(t.Context(), []string{"k"})
		for op, err := range map[string]error{"Get": get, "GetMany": many, "Set": store.Set(t.Context(), "k", cache.Item{})} {
			if !errors.Is(err, cache.ErrPermanent) || errors.Is(err, cache.ErrRejected) {
				t.Errorf("%s: %s: %v; want ErrPermanent", message, op, err)
			}
		}
		if n := store.Stats().Faults; n != 3 {
			t.Errorf("%s: %d faults counted of 3", message, n)
		}
	}
	for _, message := range []string{
		"Item size has exceeded the maximum allowed size",
		"Nesting Levels have exceeded supported limits: Attributes and expressions have too many nested levels",
		"Number overflow. Attempting to store a number with magnitude larger than supported range",
	} {
		server := dynamotest.New(dynamotest.Options{})
		store := newStore(t, server, dynamo.Options{})
		server.SetFault(func(*dynamotest.Request) *dynamotest.Fault {
			return &dynamotest.Fault{Code: "ValidationException", Message: message}
		})
		if err := store.Set(t.Context(), "k", cache.Item{}); !errors.Is(err, cache.ErrRejected) || errors.Is(err, cache.ErrPermanent) {
			t.Errorf("%s: Set: %v; want ErrRejected", message, err)
		}
	}
}

// A key that comes twice must not make DynamoDB refuse the batch.
func TestStore_get_many_of_one_key_twice(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := newStore(t, server, dynamo.Options{})
	if err := store.Set(t.Context(), "k", cache.Item{Value: []byte("v"), Version: 1}); err != nil {
		t.Fatal(err)
	}
	got, err := store.GetMany(t.Context(), []string{"k", "l", "k"})
	if err != nil || len(got) != 1 || string(got["k"].Value) != "v" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNewStore_refuses_nil_clients(t *testing.T) {
	for _, c := range []dynamo.Client{nil, (*dynamodb.Client)(nil)} {
		if s, err := dynamo.NewStore(c, dynamo.Options{Table: "sessions"}); err == nil {
			t.Errorf("%T: %v", c, s)
		}
	}
}

// mute is a client that returns neither an answer nor an error, as a mock does of
// which nothing was said.
type mute struct{}

func (mute) GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return nil, nil
}

func (mute) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return nil, nil
}

func (mute) BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	return nil, nil
}

func (mute) UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return nil, nil
}

func TestStore_survives_a_mute_client(t *testing.T) {
	b, err := dynamo.NewBulletin(mute{}, dynamo.Options{Table: "sessions"})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Get":     func() error { _, err := b.Get(t.Context(), "k"); return err },
		"GetMany": func() error { _, err := b.GetMany(t.Context(), []string{"k"}); return err },
		"Set":     func() error { return b.Set(t.Context(), "k", cache.Item{Version: 1}) },
		"Append":  func() error { return b.Append(t.Context(), "k", [][]byte{[]byte("n")}, time.Now()) },
		"Notes":   func() error { _, err := b.Notes(t.Context(), []string{"k"}); return err },
		"Check":   func() error { return b.Check(t.Context()) },
	} {
		if err := call(); err == nil || errors.Is(err, cache.ErrNotFound) {
			t.Errorf("%s: %v; want a fault", name, err)
		}
	}
	if s := b.Stats(); s.Faults != 8 { // Check makes three calls
		t.Errorf("%d faults, want 8", s.Faults)
	}
}

func TestStore_names_another_key_schema(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	client := dynamo.NewClient(config(server, dynamotest.AccessKey, dynamotest.SecretKey))
	create := func(table string, attrs ...string) {
		in := &dynamodb.CreateTableInput{TableName: &table, BillingMode: types.BillingModePayPerRequest}
		for i, a := range attrs {
			name, kind, _ := strings.Cut(a, ":")
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeType(kind)})
			in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &name, KeyType: []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]})
		}
		if _, err := client.CreateTable(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	create("other-name", "pk:S")
	create("other-type", "key:N")
	create("composite", "key:S", "sort:S")
	for _, table := range []string{"other-name", "other-type", "composite"} {
		store, err := dynamo.NewStore(client, dynamo.Options{Table: table})
		if err != nil {
			t.Fatal(err)
		}
		_, get := store.Get(t.Context(), "k")
		_, many := store.GetMany(t.Context(), []string{"k"})
		for op, err := range map[string]error{
			"Get": get, "GetMany": many,
			"Set":         store.Set(t.Context(), "k", cache.Item{Version: 1}),
			"CreateTable": dynamo.CreateTable(t.Context(), client, dynamo.Options{Table: table}),
		} {
			if !errors.Is(err, dynamo.ErrKeySchema) {
				t.Errorf("%s %s: %v; want ErrKeySchema", table, op, err)
			}
			if op != "CreateTable" && !errors.Is(err, cache.ErrPermanent) {
				t.Errorf("%s %s: %v; want ErrPermanent too", table, op, err)
			}
		}
	}
}

func TestStore_get_many(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := newStore(t, server, dynamo.Options{})
	var keys []string
	for i := range 250 {
		keys = append(keys, fmt.Sprint("k", i))
		if i%2 == 0 {
			if err := store.Set(t.Context(), keys[i], cache.Item{Value: []byte(keys[i]), Version: 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := store.GetMany(t.Context(), append(keys, "not\xff UTF-8"))
	if err != nil || len(got) != 125 {
		t.Fatalf("GetMany found %d, %v; want 125", len(got), err)
	}
	for k, it := range got {
		if string(it.Value) != k {
			t.Errorf("%s: %q", k, it.Value)
		}
	}
	if n := server.Stats().Requests["BatchGetItem"]; n != 3 {
		t.Errorf("%d calls for 250 keys; want 3", n)
	}
}

func TestStore_treats_unprocessed_keys_as_misses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands still: no capacity comes back
		server := dynamotest.New(dynamotest.Options{})
		store := newStore(t, server, dynamo.Options{})
		var keys []string
		for i := range 40 {
			keys = append(keys, fmt.Sprint("k", i))
			if err := store.Set(t.Context(), keys[i], cache.Item{Value: []byte("v"), Version: 1}); err != nil {
				t.Fatal(err)
			}
		}
		server.SetCapacity(5, -1)
		got, err := store.GetMany(t.Context(), keys)
		if err != nil || len(got) < 10 || len(got) > 12 {
			t.Errorf("GetMany with capacity for 10 keys found %d, %v", len(got), err)
		}
		if n := server.Stats().Requests["BatchGetItem"]; n != 2 {
			t.Errorf("%d calls; want one retry", n)
		}
		server.SetCapacity(0, -1)
		if _, err := store.GetMany(t.Context(), keys); err == nil || errors.Is(err, cache.ErrPermanent) {
			t.Errorf("GetMany without any capacity: %v; want a transient fault", err)
		}
	})
}

func TestNewStore_refuses_bad_options(t *testing.T) {
	client := dynamo.NewClient(aws.Config{Region: "us-east-1"})
	for name, opts := range map[string]dynamo.Options{
		"Table":                {},
		"Table is \"${T}\"":    {Table: "${T}"},
		"Table is \"se\"":      {Table: "se"},
		"Table is \"arn:aws":   {Table: "arn:aws:dynamodb:us-east-1:123456789012:table/"},
		"TTLAttribute":         {Table: "sessions", KeyAttribute: "id", TTLAttribute: "id"},
		"KeyAttribute":         {Table: "sessions", KeyAttribute: "v"},
		"KeyAttribute is":      {Table: "sessions", KeyAttribute: strings.Repeat("k", 256)},
		"TTLAttribute is \"\\": {Table: "sessions", TTLAttribute: "\xff"},
	} {
		if _, err := dynamo.NewStore(client, opts); err == nil || !strings.Contains(err.Error(), "Options."+name) {
			t.Errorf("%+v: %v; want an error that names Options.%s", opts, err, name)
		}
	}
	for _, table := range []string{"ses", "a.b_c-D9", "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/sessions"} {
		if _, err := dynamo.NewStore(client, dynamo.Options{Table: table}); err != nil {
			t.Error(err)
		}
	}
	if _, err := dynamo.NewStore(nil, dynamo.Options{Table: "t"}); err == nil {
		t.Error("a nil client was accepted")
	}
}

// The suite that every Store must pass: in memory, and on the endpoint that
// FAILOPEN_DYNAMODB_ENDPOINT names.
func TestStore_contract(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		store := newStore(t, dynamotest.New(dynamotest.Options{}), dynamo.Options{})
		cachetest.TestStore(t, func(*testing.T) cache.Store { return store })
	})
	t.Run("endpoint", func(t *testing.T) {
		url := os.Getenv("FAILOPEN_DYNAMODB_ENDPOINT")
		if url == "" {
			t.Skip("FAILOPEN_DYNAMODB_ENDPOINT names no other server")
		}
		cfg := config(dynamotest.New(dynamotest.Options{}), dynamotest.AccessKey, dynamotest.SecretKey)
		cfg.BaseEndpoint, cfg.HTTPClient = &url, nil
		client := dynamo.NewClient(cfg)
		opts := dynamo.Options{Table: fmt.Sprintf("failopen-store-%08x", rand.Uint32())}
		if err := dynamo.CreateTable(t.Context(), client, opts); err != nil {
			t.Fatal(err)
		}
		if err := dynamo.CreateTable(t.Context(), client, opts); err != nil {
			t.Errorf("on a table that is there: %v", err)
		}
		t.Cleanup(func() {
			if _, err := client.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &opts.Table}); err != nil {
				t.Error(err)
			}
		})
		store, err := dynamo.NewStore(client, opts)
		if err != nil {
			t.Fatal(err)
		}
		cachetest.TestStore(t, func(*testing.T) cache.Store { return store })
	})
}

// A table with a time to live on another attribute is not what the store
// fills.
func TestCreateTable_names_another_time_to_live(t *testing.T) {
	client := dynamo.NewClient(config(dynamotest.New(dynamotest.Options{}), dynamotest.AccessKey, dynamotest.SecretKey))
	if err := dynamo.CreateTable(t.Context(), client, dynamo.Options{Table: "sessions", TTLAttribute: "expires"}); err != nil {
		t.Fatal(err)
	}
	err := dynamo.CreateTable(t.Context(), client, dynamo.Options{Table: "sessions"})
	if err == nil || !strings.Contains(err.Error(), `"expires"`) || !strings.Contains(err.Error(), `"ttl"`) {
		t.Errorf("%v; want an error that names both attributes", err)
	}
	if err := dynamo.CreateTable(t.Context(), client, dynamo.Options{}); err == nil {
		t.Error("an empty table name was accepted")
	}
}

// A foreign item under one of our keys is handed on as far as it can be read,
// and the next write replaces it.
func TestStore_survives_foreign_items(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := newStore(t, server, dynamo.Options{})
	client := dynamo.NewClient(config(server, dynamotest.AccessKey, dynamotest.SecretKey))
	for name, attrs := range map[string]map[string]types.AttributeValue{
		"bare":        {},
		"other types": {"v": &types.AttributeValueMemberS{Value: "text"}, "ttl": &types.AttributeValueMemberS{Value: "soon"}},
		"a fraction":  {"v": &types.AttributeValueMemberB{Value: []byte("x")}, "n": &types.AttributeValueMemberN{Value: "0.5"}},
	} {
		attrs["key"] = &types.AttributeValueMemberS{Value: name}
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("sessions"), Item: attrs}); err != nil {
			t.Fatal(err)
		}
		if it, err := store.Get(t.Context(), name); err != nil || it.Version != 0 {
			t.Errorf("%s: %+v, %v", name, it, err)
		}
		if err := store.Set(t.Context(), name, cache.Item{Value: []byte("ours"), Version: time.Now().UnixMilli()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if it, err := store.Get(t.Context(), name); err != nil || string(it.Value) != "ours" {
			t.Errorf("%s, replaced: %q, %v", name, it.Value, err)
		}
	}
}

// The estimate of the bill agrees with what the endpoint says it consumed.
func TestStore_estimates_the_bill(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := newStore(t, server, dynamo.Options{})
	for i, size := range []int{10, 1000, 5000, 100_000} {
		if err := store.Set(t.Context(), fmt.Sprint(i), cache.Item{Value: make([]byte, size), Version: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Get(t.Context(), "none"); !errors.Is(err, cache.ErrNotFound) {
		t.Fatal(err)
	}
	// Reads: 0.5, 0.5, 1, 12.5 and 0.5 for the miss. Writes: 1, 1, 5, 98.
	if st := store.Stats(); st.ReadUnits != 15 || st.WriteUnits != 105 || st.Gets != 5 || st.Misses != 1 || st.Sets != 4 {
		t.Errorf("Stats = %+v", st)
	}
}

// The store's price over the bare call.
func BenchmarkGet(b *testing.B) {
	server := dynamotest.New(dynamotest.Options{})
	client := dynamo.NewClient(config(server, dynamotest.AccessKey, dynamotest.SecretKey))
	opts := dynamo.Options{Table: "sessions"}
	if err := dynamo.CreateTable(b.Context(), client, opts); err != nil {
		b.Fatal(err)
	}
	store, err := dynamo.NewStore(client, opts)
	if err != nil {
		b.Fatal(err)
	}
	if err := store.Set(b.Context(), "k", cache.Item{Value: make([]byte, 1024), Version: 1}); err != nil {
		b.Fatal(err)
	}
	b.Run("raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.GetItem(b.Context(), &dynamodb.GetItemInput{
				TableName: aws.String("sessions"), Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}},
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.Get(b.Context(), "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

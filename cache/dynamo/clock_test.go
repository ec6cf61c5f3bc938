package dynamo_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// skewed is a store whose host's clock is ahead of DynamoDB's by the offset
// that set sets, in nanoseconds.
func skewed(t *testing.T, offset *atomic.Int64) (*dynamo.Store, *dynamotest.Server) {
	server := dynamotest.New(dynamotest.Options{Now: func() time.Time {
		return time.Now().Add(-time.Duration(offset.Load()))
	}})
	return newStore(t, server, dynamo.Options{}), server
}

// measure makes the store see some answers at odd moments.
func measure(t *testing.T, store *dynamo.Store) dynamo.Stats {
	t.Helper()
	for range 8 {
		time.Sleep(1370 * time.Millisecond)   // virtual: the calls meet other fractions of a second
		_, _ = store.Get(t.Context(), "none") // the SDK corrects its signatures' time by a first refusal
	}
	return store.Stats()
}

func TestStore_measures_the_clock(t *testing.T) {
	for _, ahead := range []time.Duration{0, 300 * time.Millisecond, -time.Second, 4 * time.Second, 2 * time.Minute, -40 * time.Minute, 26 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var offset atomic.Int64
				offset.Store(int64(ahead))
				store, _ := skewed(t, &offset)
				if st := store.Stats(); st.ClockSkew != 0 || st.ClockSkewWithin != 0 {
					t.Errorf("before the first answer: %+v", st)
				}
				st := measure(t, store)
				if off := st.ClockSkew - ahead; off.Abs() > st.ClockSkewWithin || st.ClockSkewWithin > 200*time.Millisecond || st.ClockSkewWithin <= 0 {
					t.Errorf("ClockSkew %v within %v; want %v", st.ClockSkew, st.ClockSkewWithin, ahead)
				}
			})
		})
	}
}

// A clock that is set is noticed, one odd answer is not believed, and with time
// the certainty fades.
func TestStore_follows_a_clock_that_is_set(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		store, _ := skewed(t, &offset)
		before := measure(t, store)
		offset.Store(int64(time.Hour))
		_, _ = store.Get(t.Context(), "none")
		if st := store.Stats(); st.ClockSkew.Abs() > time.Second {
			t.Errorf("one odd answer: ClockSkew = %v", st.ClockSkew)
		}
		if st := measure(t, store); (st.ClockSkew - time.Hour).Abs() > st.ClockSkewWithin {
			t.Errorf("an hour later: ClockSkew = %v within %v", st.ClockSkew, st.ClockSkewWithin)
		}
		time.Sleep(time.Hour)
		if st := store.Stats(); st.ClockSkewWithin < before.ClockSkewWithin+3*time.Second {
			t.Errorf("after an hour without an answer: within %v", st.ClockSkewWithin)
		}
	})
}

// Errors have a Date too: a store whose access was revoked measures on.
func TestStore_measures_the_clock_by_errors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		offset.Store(int64(90 * time.Second))
		store, server := skewed(t, &offset)
		server.Revoke()
		if _, err := store.Get(t.Context(), "k"); !errors.Is(err, cache.ErrPermanent) {
			t.Fatal(err)
		}
		if st := store.Stats(); (st.ClockSkew-90*time.Second).Abs() > st.ClockSkewWithin || st.ClockSkewWithin > time.Second {
			t.Errorf("ClockSkew %v within %v", st.ClockSkew, st.ClockSkewWithin)
		}
	})
}

// A log-out is written by one host, and then a session that was loaded before
// it by another one whose clock is off. The log-out stays, and a host that is
// behind can end what others have loaded.
func TestStore_keeps_what_is_over_although_a_clock_is_off(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, -30 * time.Second, -4 * time.Second, 0, 4 * time.Second, 30 * time.Second, time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var offset atomic.Int64
				odd, server := skewed(t, &offset)
				offset.Store(int64(ahead))
				measure(t, odd)
				right := func() int64 { return time.Now().Add(-ahead).UnixMilli() } // what DynamoDB's clock shows, and other hosts'

				write(t, server, "a", "over", right()+cache.MaxSkew.Milliseconds()/2)
				if err := odd.Set(t.Context(), "a", cache.Item{Value: []byte("loaded before"), Version: time.Now().Add(-50 * time.Millisecond).UnixMilli()}); err != nil {
					t.Fatal(err)
				}
				if item := raw(t, server, "a"); item != "over" {
					t.Errorf("after a late write of an older value: %q", item)
				}

				write(t, server, "b", "loaded", right())
				time.Sleep(time.Second)
				if err := odd.Set(t.Context(), "b", cache.Item{Value: []byte("over"), Version: time.Now().Add(cache.MaxSkew / 2).UnixMilli()}); err != nil {
					t.Fatal(err)
				}
				if item := raw(t, server, "b"); item != "over" {
					t.Errorf("after a log-out on the host that is off: %q", item)
				}
			})
		})
	}
}

// write puts an item into the table as another host's store does.
func write(t *testing.T, server *dynamotest.Server, key, value string, version int64) {
	t.Helper()
	client := dynamo.NewClient(config(server, dynamotest.AccessKey, dynamotest.SecretKey))
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("sessions"), Item: map[string]types.AttributeValue{
		"key": &types.AttributeValueMemberS{Value: key},
		"v":   &types.AttributeValueMemberB{Value: []byte(value)},
		"n":   &types.AttributeValueMemberN{Value: strconv.FormatInt(version, 10)},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// dated answers with another Date.
type dated struct {
	http.RoundTripper
	date string
}

func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Header.Set("Date", d.date)
	}
	return resp, err
}

// A Date that cannot be is none.
func TestStore_does_not_believe_any_date(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	newStore(t, server, dynamo.Options{})
	for _, date := range []string{"", "yesterday", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Thu, 26 Nov 2026 99:00:00 GMT"} {
		cfg := config(server, dynamotest.AccessKey, dynamotest.SecretKey)
		cfg.HTTPClient = &http.Client{Transport: dated{server.HTTPClient(), date}}
		store, err := dynamo.NewStore(dynamo.NewClient(cfg), dynamo.Options{Table: "sessions"})
		if err != nil {
			t.Fatal(err)
		}
		// The SDK believes it, and signs its next request with it.
		if err := store.Set(t.Context(), "key of "+date, cache.Item{Version: 1}); err != nil {
			t.Errorf("%q: %v", date, err)
		}
		if st := store.Stats(); st.ClockSkew != 0 || st.ClockSkewWithin != 0 {
			t.Errorf("%q: ClockSkew %v within %v", date, st.ClockSkew, st.ClockSkewWithin)
		}
	}
}

// raw is the value in the table.
func raw(t *testing.T, server *dynamotest.Server, key string) string {
	t.Helper()
	client := dynamo.NewClient(config(server, dynamotest.AccessKey, dynamotest.SecretKey))
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("sessions"), Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: key}}})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := out.Item["v"].(*types.AttributeValueMemberB)
	if v == nil {
		return ""
	}
	return string(v.Value)
}

// What a store with a clock that is off writes, it reads back with the version
// that it was given.
func TestStore_versions_are_the_hosts_own(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		offset.Store(int64(-time.Hour))
		store, _ := skewed(t, &offset)
		measure(t, store)
		version := time.Now().UnixMilli()
		if stays, err := store.SetNewer(t.Context(), "k", cache.Item{Version: version}); err != nil || stays != 0 {
			t.Fatal(stays, err)
		}
		if item, err := store.Get(t.Context(), "k"); err != nil || item.Version != version {
			t.Errorf("Get: version %d, %v; want %d", item.Version, err, version)
		}
		if stays, err := store.SetNewer(t.Context(), "k", cache.Item{Version: version - 1}); err != nil || stays != version {
			t.Errorf("an older one: stays %d, %v; want %d", stays, err, version)
		}
		if stays, err := store.SetNewer(t.Context(), "k", cache.Item{Version: version}); err != nil || stays != 0 {
			t.Errorf("the same again: stays %d, %v", stays, err)
		}
	})
}

// A session is revoked in mid-life: the service refuses its credentials, which
// the SDK would use until their end, hours later.
func TestStore_gets_new_credentials_when_the_old_ones_are_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := dynamotest.New(dynamotest.Options{})
		var fetched atomic.Int64
		cfg := config(server, "", "")
		cfg.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			key := "KEY" + string(rune('0'+fetched.Add(1)))
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "secret", CanExpire: true, Expires: time.Now().Add(6 * time.Hour)}, nil
		}))
		allow := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
		add := func(key string) {
			t.Helper()
			if err := server.AddUser(key, "secret", allow); err != nil {
				t.Fatal(err)
			}
		}
		add("KEY1")
		client := dynamo.NewClient(cfg)
		if err := dynamo.CreateTable(t.Context(), client, dynamo.Options{Table: "sessions"}); err != nil {
			t.Fatal(err)
		}
		store, err := dynamo.NewStore(client, dynamo.Options{Table: "sessions"})
		if err != nil {
			t.Fatal(err)
		}
		get := func() error { _, err := store.Get(t.Context(), "none"); return err }
		if err := get(); !errors.Is(err, cache.ErrNotFound) {
			t.Fatal(err)
		}
		server.DeletePrincipal("KEY1")
		add("KEY2")
		if err := get(); !errors.Is(err, cache.ErrPermanent) {
			t.Fatalf("with the deleted key: %v", err)
		}
		if err := get(); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("the call after that: %v; want new credentials to be used", err)
		}
		// While nothing helps, the provider is asked seldom.
		server.DeletePrincipal("KEY2")
		for range 100 {
			if err := get(); !errors.Is(err, cache.ErrPermanent) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := store.Stats().Renewals; n < 3 || n > 5 {
			t.Errorf("%d renewals in 100 s", n)
		}
		// A revoked permission is no matter of credentials.
		server.AddUser("KEY"+string(rune('0'+fetched.Load()+1)), "secret", allow)
		time.Sleep(time.Minute)
		_ = get()
		server.Revoke()
		before := store.Stats().Renewals
		if err := get(); !errors.Is(err, cache.ErrPermanent) || store.Stats().Renewals != before {
			t.Errorf("denied: %v, %d renewals", err, store.Stats().Renewals-before)
		}
	})
}

type badProvider struct{ aws.CredentialsProvider }

func (badProvider) Invalidate() { panic("no") }

func TestStore_survives_a_provider_that_panics(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	cfg := config(server, "wrong", "secret")
	cfg.Credentials = badProvider{cfg.Credentials}
	store, err := dynamo.NewStore(dynamo.NewClient(cfg), dynamo.Options{Table: "sessions"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "k"); !errors.Is(err, cache.ErrPermanent) {
		t.Error(err)
	}
}

// The units of writes are those that DynamoDB bills: of the larger one of the
// old and the new item, and also if the condition fails.
func TestStore_counts_the_units_of_overwrites(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	store := newStore(t, server, dynamo.Options{})
	set := func(size int, version int64) float64 {
		t.Helper()
		before := store.Stats().WriteUnits
		if err := store.Set(t.Context(), "k", cache.Item{Value: make([]byte, size), Version: version}); err != nil {
			t.Fatal(err)
		}
		return store.Stats().WriteUnits - before
	}
	if n := set(390_000, 1000); n != 381 {
		t.Errorf("a large item: %v units, want 381", n)
	}
	if n := set(0, 999); n != 381 {
		t.Errorf("a small one whose condition fails: %v units, want 381", n)
	}
	if n := set(0, 1001); n != 381 {
		t.Errorf("a tombstone over the large item: %v units, want 381", n)
	}
	if n := set(0, 1002); n != 1 {
		t.Errorf("a tombstone over a tombstone: %v units, want 1", n)
	}
	server.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Code: "ThrottlingException"} })
	before := store.Stats().WriteUnits
	_ = store.Set(t.Context(), "k", cache.Item{Version: 1003})
	if n := store.Stats().WriteUnits; n != before {
		t.Errorf("a throttled write: %v units, want none", n-before)
	}
}

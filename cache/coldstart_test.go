package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// provider is a source of credentials whose calls take as long as slow says, by
// their number.
type provider struct {
	slow  func(call int64) time.Duration
	calls atomic.Int64
	deaf  bool // to the end of its context
}

func (p *provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.slow(p.calls.Add(1)))
	defer cancel()
	given := ctx.Done()
	if p.deaf {
		given = nil
	}
	select {
	case <-wait.Done():
	case <-given:
		return aws.Credentials{}, ctx.Err()
	}
	return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
}

func firstTakes(d time.Duration) func(int64) time.Duration {
	return func(call int64) time.Duration {
		if call > 1 {
			return 0
		}
		return d
	}
}

// coldWorld is a world with a table that is well, and a client whose
// credentials come from p. The table was made by someone else.
func coldWorld(t *testing.T, p aws.CredentialsProvider, change func(*cache.Options[string])) *world {
	t.Helper()
	server := dynamotest.New(dynamotest.Options{})
	config := func(p aws.CredentialsProvider) aws.Config {
		return aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(dynamotest.MemoryURL), HTTPClient: server.HTTPClient(), Credentials: p}
	}
	o := dynamo.Options{Table: cloudTable}
	owner := &provider{slow: func(int64) time.Duration { return 0 }}
	if err := dynamo.CreateTable(context.Background(), dynamo.NewClient(config(owner)), o); err != nil {
		t.Fatal(err)
	}
	store, err := dynamo.NewBulletin(dynamo.NewClient(config(p)), o)
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, nil, func(o *cache.Options[string]) {
		o.Store, o.MaxEntries = store, 1
		if change != nil {
			change(o)
		}
	})
}

// The first credentials take 300 ms: the table is well, and stays in use.
func TestColdStart_slow_credentials(t *testing.T) {
	for name, wrap := range map[string]func(aws.CredentialsProvider) aws.CredentialsProvider{
		"cached by the SDK": func(p aws.CredentialsProvider) aws.CredentialsProvider { return aws.NewCredentialsCache(p) },
		"not cached":        func(p aws.CredentialsProvider) aws.CredentialsProvider { return p },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := coldWorld(t, wrap(&provider{slow: firstTakes(300 * time.Millisecond)}), nil)
				var keys []string
				for i := range 200 {
					key := fmt.Sprint("key ", i)
					keys = append(keys, key)
					w.origin.Put(key, "value of "+key)
				}
				for range 4 { // waves, each as long as the budget at most
					var callers sync.WaitGroup
					for _, key := range keys {
						callers.Go(func() {
							if r := w.get(key, overBudget); r.Source != cache.SourceOrigin && r.Source != cache.SourceLocal {
								t.Errorf("%s came from %v, want the origin", key, r.Source)
							}
						})
					}
					callers.Wait()
				}
				pass(400 * time.Millisecond)
				s := w.Stats()
				if s.Reads.Breaker != "closed" || s.Writes.Breaker != "closed" || s.Reads.Opened+s.Writes.Opened != 0 {
					t.Errorf("breakers: reads %q, writes %q, opened %d times; the table is well", s.Reads.Breaker, s.Writes.Breaker, s.Reads.Opened+s.Writes.Opened)
				}
				if s.Reads.Faults == 0 {
					t.Error("no read was a fault: this proved nothing")
				}
				pass(time.Second)
				before := w.Stats().Remote
				for _, key := range keys {
					w.get(key, overBudget)
				}
				if got := w.Stats().Remote - before; got < 190 {
					t.Errorf("%d of 200 values came from the store", got)
				}
				w.close()
			})
		})
	}
}

// Credentials that never come are a dead store, soon.
func TestColdStart_no_credentials(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &provider{slow: func(int64) time.Duration { return time.Minute }, deaf: deaf}
			w := coldWorld(t, p, func(o *cache.Options[string]) { o.WriteTimeout = 50 * time.Millisecond })
			began := time.Now()
			for i := 0; w.Stats().Reads.Breaker == "closed"; i++ {
				w.get([]string{"a", "b", "c"}[i%3], overBudget+2*time.Millisecond)
				if time.Since(began) > 1300*time.Millisecond {
					t.Fatalf("deaf %v: still closed after %v", deaf, time.Since(began))
				}
			}
			w.lossy = true
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = w.Close(ctx)
			idle(time.Minute) // until the provider returns
		})
	}
}

// A table that does not answer has no such time: credentials are there.
func TestColdStart_dead_from_the_start(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{slow: func(int64) time.Duration { return 0 }}
		w := newWorld(t, nil, func(o *cache.Options[string]) {
			store, err := dynamo.NewStore(dynamo.NewClient(aws.Config{
				Region: "us-east-1", BaseEndpoint: aws.String(dynamotest.MemoryURL), HTTPClient: blackHole{}, Credentials: p,
			}), dynamo.Options{Table: cloudTable})
			if err != nil {
				t.Fatal(err)
			}
			o.Store, o.MaxEntries = store, 1
		})
		for _, key := range []string{"a", "b", "c", "d"} {
			w.get(key, overBudget)
		}
		if s := w.Stats().Reads; s.Breaker != "open" || s.Calls != 3 {
			t.Errorf("breaker %s after %d reads, want open after 3", s.Breaker, s.Calls)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = w.Close(ctx)
	})
}

// A provider that panics, fails or ends its goroutine is a fault, and the next
// call asks again.
func TestColdStart_broken_provider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, broken := range []func() error{
			func() error { panic("broken") },
			func() error { return errors.New("no role") },
		} {
			p := &provider{slow: func(int64) time.Duration { return 0 }}
			first := true
			w := coldWorld(t, aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
				if first {
					first = false
					return aws.Credentials{}, broken()
				}
				return p.Retrieve(ctx)
			}), nil)
			for _, key := range slices.Repeat([]string{"a", "b", "c", "d"}, 2) {
				w.get(key, overBudget)
				settle()
			}
			if s := w.Stats(); s.Reads.Faults != 1 || s.Remote == 0 || s.Reads.Breaker != "closed" {
				t.Errorf("%d faults, %d hits, breaker %s; want one fault", s.Reads.Faults, s.Remote, s.Reads.Breaker)
			}
			w.close()
		}
	})
}

// blackHole is a network without answers.
type blackHole struct{}

func (blackHole) Do(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

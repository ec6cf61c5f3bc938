package cache_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultaws"
)

// awsRows are the rows of the fault matrix that go through the real AWS
// client, its signatures, its retryer and its error types.
var awsRows = []faultRow{
	{"A_every_error_of_the_SDK", faultAws},
	{"V_unprocessed_keys", faultV},
	{"X_500_KB_value_3_KB_key", faultXaws},
	{"Z_IAM_revoked_and_restored", faultZ},
	{"AA_credentials_hang", faultAA},
	{"AB_table_missing_at_start", faultAB},
	{"AC_DNS_gone", faultAC},
}

// cloud is a world whose store is DynamoDB.
type cloud struct {
	*world
	server *dynamotest.Server
	faults *fault.Injector
	client *dynamodb.Client
}

const cloudTable = "sessions"

// inCloud runs f in a bubble of virtual time, with an endpoint in memory.
func inCloud(t *testing.T, table bool, change func(*cache.Options[string]), f func(c *cloud)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := dynamotest.New(dynamotest.Options{})
		f(newCloud(t, server, server.HTTPClient(), dynamotest.MemoryURL, table, change))
		idle(10 * time.Second) // a refresh of credentials that nobody waits for
	})
}

func newCloud(t *testing.T, server *dynamotest.Server, client aws.HTTPClient, url string, table bool, change func(*cache.Options[string])) *cloud {
	t.Helper()
	c := &cloud{server: server, faults: fault.New(fault.Options{Seed: 1})}
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
	})
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(url), HTTPClient: client}
	cfg.Credentials = faultaws.Credentials(c.faults, credentials)
	cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(c.faults))
	c.client = dynamo.NewClient(cfg)
	if table {
		c.createTable(t)
	}
	store, err := dynamo.NewStore(c.client, dynamo.Options{Table: cloudTable})
	if err != nil {
		t.Fatal(err)
	}
	c.world = newWorld(t, nil, func(o *cache.Options[string]) {
		o.Store = store
		if change != nil {
			change(o)
		}
	})
	return c
}

func (c *cloud) createTable(t *testing.T) {
	t.Helper()
	if err := dynamo.CreateTable(context.Background(), c.client, dynamo.Options{Table: cloudTable}); err != nil {
		t.Fatal(err)
	}
}

// oneEntry makes a local tier in which nothing stays, so that every Get of a
// new key asks the store.
func oneEntry(o *cache.Options[string]) { o.MaxEntries, o.Cooldown = 1, 100*time.Millisecond }

// fill stores the values of the keys "a" to "e".
func (c *cloud) fill() {
	c.t.Helper()
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		c.get(key, time.Second)
	}
	for c.Stats().WritesQueued > 0 || c.server.Len(cloudTable) < 5 {
		idle(time.Millisecond)
	}
}

func (c *cloud) wantAll(source cache.Source) {
	c.t.Helper()
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		c.want(key, source)
	}
}

func faultAws(t *testing.T) {
	rules := map[string]fault.Rule{
		"denied": fault.Denied("dynamodb"), "throttled": fault.Throttled("dynamodb"),
		"500":  {Error: &fault.APIError{StatusCode: 500, Code: "InternalServerError"}},
		"503":  {Error: &fault.APIError{StatusCode: 503, Code: "ServiceUnavailable"}},
		"gone": {Error: &fault.APIError{Code: "ResourceNotFoundException"}}, "expired": {Error: &fault.APIError{Code: "ExpiredTokenException"}},
		"unknown": {Error: &fault.APIError{Code: "SomethingThatNobodyHasThoughtOf"}},
	}
	for _, kind := range fault.Kinds() {
		rules[string(kind)] = fault.Rule{Net: kind}
	}
	for name, rule := range rules {
		inCloud(t, true, oneEntry, func(c *cloud) {
			c.fill()
			rule.Service = "dynamodb"
			if err := c.faults.Set(rule); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for range 3 {
				for _, key := range []string{"a", "b", "c", "d", "e"} {
					if r := c.get(key, overBudget); r.Source != cache.SourceOrigin && r.Source != cache.SourceLocal {
						t.Errorf("%s: source %v", name, r.Source)
					}
				}
			}
			c.faults.Clear()
			pass(2 * time.Second)
			c.get("e", time.Second) // the probe
			c.wantAll(cache.SourceRemote)
			c.close()
		})
	}
}

func faultV(t *testing.T) {
	inCloud(t, true, nil, func(c *cloud) {
		c.fill()
		other := newCloudClient(c)
		c.server.SetCapacity(1, -1) // two keys of the five, at half a unit each
		other.wantMany()
		s := other.Stats()
		if loads := other.origin.Total(); loads < 2 || loads > 5 || s.Remote == 0 {
			t.Errorf("%d keys were loaded, %d came from the store; want some of both", loads, s.Remote)
		}
		other.close()
		c.close()
	})
}

// newCloudClient is another process on the same table.
func newCloudClient(c *cloud) *world {
	store, err := dynamo.NewStore(c.client, dynamo.Options{Table: cloudTable})
	if err != nil {
		c.t.Fatal(err)
	}
	return newWorld(c.t, nil, func(o *cache.Options[string]) { o.Store = store })
}

func faultXaws(t *testing.T) {
	inCloud(t, true, oneEntry, func(c *cloud) {
		large, long := strings.Repeat("x", 500<<10), strings.Repeat("k", 3<<10)
		c.origin.Put("large", large)
		c.origin.Put(long, "value of "+long)
		c.origin.Put("\xff", "value of \xff")
		for range 2 {
			if v, err := c.Get(context.Background(), "large"); err != nil || v != large {
				t.Errorf("500 KB: %d bytes, %v", len(v), err)
			}
			c.get(long, time.Second)
			settle()
			c.get("\xff", time.Second)
			settle()
		}
		if s := c.Stats(); s.Rejected != 2 || s.Writes.Faults != 0 || s.Writes.Breaker != "closed" || s.Remote != 2 {
			t.Errorf("rejected %d, write faults %d, breaker %s, remote %d; want 2, 0, closed, 2", s.Rejected, s.Writes.Faults, s.Writes.Breaker, s.Remote)
		}
		c.close()
	})
}

func faultZ(t *testing.T) {
	inCloud(t, true, oneEntry, func(c *cloud) {
		c.fill()
		c.wantAll(cache.SourceRemote)
		for range 3 {
			c.server.Revoke()
			for range 100 {
				c.wantAll(cache.SourceOrigin)
			}
			if s := c.Stats().Reads; s.Breaker == "closed" {
				t.Errorf("the breaker is closed while access is denied: %+v", s)
			}
			c.server.Restore()
			pass(time.Second)
			c.get("e", time.Second)
			c.get("d", time.Second)
			for range 10 {
				c.wantAll(cache.SourceRemote)
			}
		}
		if denied := c.server.Stats().Denied; denied == 0 {
			t.Error("nothing was denied: this proved nothing")
		}
		c.close()
	})
}

func faultAA(t *testing.T) {
	inCloud(t, true, oneEntry, func(c *cloud) {
		c.fill()
		if err := c.faults.Set(fault.Rule{Service: faultaws.CredentialsService, Net: fault.BlackHole}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 3 {
			for _, key := range []string{"a", "b", "c", "d", "e"} {
				c.get(key, overBudget)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("15 keys took %v", took)
		}
		c.faults.Clear()
		pass(10 * time.Second)
		c.get("e", time.Second)
		c.wantAll(cache.SourceRemote)
		c.close()
	})
}

func faultAB(t *testing.T) {
	inCloud(t, false, oneEntry, func(c *cloud) {
		c.wantAll(cache.SourceOrigin)
		if s := c.Stats().Reads; s.Breaker != "open" || s.Calls > 2 {
			t.Errorf("without a table: breaker %s after %d reads; want open at the first", s.Breaker, s.Calls)
		}
		c.createTable(t)
		pass(time.Second)
		c.fill()
		c.wantAll(cache.SourceRemote)
		c.close()
	})
	// A table with another key schema is a fault like any other.
	inCloud(t, false, oneEntry, func(c *cloud) {
		if err := dynamo.CreateTable(context.Background(), c.client, dynamo.Options{Table: cloudTable, KeyAttribute: "id"}); err != nil {
			t.Fatal(err)
		}
		c.wantAll(cache.SourceOrigin)
		if s := c.Stats(); s.Reads.Breaker != "open" {
			t.Errorf("breaker %s, want open", s.Reads.Breaker)
		}
		c.close()
	})
}

// faultAC is the one row that needs real sockets: live connections.
func faultAC(t *testing.T) {
	server := dynamotest.New(dynamotest.Options{})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	names := fault.New(fault.Options{})
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		var d net.Dialer
		tr.DialContext = names.Dialer("dynamodb", d.DialContext)
	})
	c := newCloud(t, server, transport, server.URL(), true, func(o *cache.Options[string]) {
		oneEntry(o)
		o.RemoteBudget, o.Cooldown = time.Second, 10*time.Millisecond // a loaded machine is no fault
	})
	c.fill()
	if err := names.Set(fault.Rule{Net: fault.NXDomain}); err != nil {
		t.Fatal(err)
	}
	c.wantAll(cache.SourceRemote) // live connections are fine
	for _, state := range []dynamotest.Kind{dynamotest.Refuse, dynamotest.Intact} {
		if err := server.SetNetwork(state); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		c.wantAll(cache.SourceOrigin) // new ones find no name
	}
	names.Clear()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if r := c.get("a", time.Minute); r.Source == cache.SourceRemote {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("not in use again after 20 s: %+v", c.Stats())
		}
		c.get("b", time.Minute)
	}
	c.close()
}

// benchRemoteHit compares a Get that the store answers with the bare GetItem.
func benchRemoteHit(b *testing.B) {
	server := dynamotest.New(dynamotest.Options{})
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Close)
	client := dynamo.NewClient(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	})
	ctx := context.Background()
	if err := dynamo.CreateTable(ctx, client, dynamo.Options{Table: cloudTable}); err != nil {
		b.Fatal(err)
	}
	store, err := dynamo.NewStore(client, dynamo.Options{Table: cloudTable})
	if err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 64)
	writer := newBench(b, cache.Options[string]{Load: load, Store: store})
	for i := range keys {
		keys[i] = fmt.Sprint("key ", i)
		_ = writer.Set(ctx, keys[i], "a value of some forty bytes, as a session is")
	}
	if err := writer.Close(ctx); err != nil || server.Len(cloudTable) != len(keys) {
		b.Fatalf("%d items stored, %v", server.Len(cloudTable), err)
	}
	b.Run("floor-store.Get", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if _, err := store.Get(ctx, "="+keys[i%len(keys)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor-store.Get-with-deadline", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			_, err := store.Get(ctx, "="+keys[i%len(keys)])
			cancel()
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("failopen", func(b *testing.B) {
		c := newBench(b, cache.Options[string]{Load: load, Store: store, MaxEntries: 1, RemoteBudget: time.Second})
		b.ReportAllocs()
		for i := range b.N {
			if r := c.Lookup(ctx, keys[i%len(keys)]); r.Source != cache.SourceRemote {
				b.Fatalf("source %v: %v", r.Source, r.Err)
			}
		}
	})
}

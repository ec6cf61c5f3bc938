package peersdynamo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/internal/rounds"
	"github.com/failopen/failopen/health/peersdynamo"
)

// table is a client of a new heartbeat table in memory.
func table(t *testing.T) (*dynamotest.Server, *dynamodb.Client) {
	t.Helper()
	server := dynamotest.New(dynamotest.Options{})
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(dynamotest.MemoryURL), HTTPClient: server.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	})
	key := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS}
	}
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("heartbeats"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{key("fleet"), key("id")},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("fleet"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("id"), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func fleet(t *testing.T, client peersdynamo.API, id string) *peersdynamo.Fleet {
	t.Helper()
	f, err := peersdynamo.New(client, peersdynamo.Options{ID: id, Fleet: "shop", Table: "heartbeats"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func pass(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
	synctest.Wait()
}

// TestGuard_over_the_table joins four processes by a table: the one that is in
// trouble leaves, nobody does when all are, and nobody does without the table.
func TestGuard_over_the_table(t *testing.T) {
	for name, c := range map[string]struct {
		bad, out int
		revoked  bool
	}{"one of four": {bad: 1, out: 1}, "all": {bad: 4}, "one, and the table is denied": {bad: 1, revoked: true}} {
		synctest.Test(t, func(t *testing.T) {
			server, client := table(t)
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			var trouble atomic.Bool
			var processes []*health.Process
			for i := range 4 {
				id := string(rune('a' + i))
				f := fleet(t, client, id)
				p := &health.Process{Guard: &health.Guard{ID: id, Peers: f.Peers, Fresh: peersdynamo.Fresh, Settle: peersdynamo.Settle}}
				if err := p.Depend(health.Dependency{Name: "ledger", Check: func(context.Context) error {
					if i < c.bad && trouble.Load() {
						return errors.New("no")
					}
					return nil
				}}); err != nil {
					t.Fatal(err)
				}
				p.Started()
				processes = append(processes, p)
				all.Go(func() { _ = f.Run(ctx, p.Self) })
				all.Go(func() { _ = p.Run(ctx) })
			}
			pass(time.Minute)
			if c.revoked {
				server.Revoke()
			}
			trouble.Store(true)
			pass(3 * time.Minute)
			out := 0
			for _, p := range processes {
				if !p.Ready() {
					out++
				}
				if !p.Live() {
					t.Error("not live")
				}
			}
			if out != c.out {
				t.Errorf("%s: %d are out, want %d", name, out, c.out)
			}
			cancel()
			all.Wait()
		})
	}
}

func TestFleet_sees_who_lives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := table(t)
		put := func(beat string, more map[string]types.AttributeValue) {
			item := map[string]types.AttributeValue{
				"fleet": &types.AttributeValueMemberS{Value: "shop"}, "id": &types.AttributeValueMemberS{Value: "other"},
				"bad": &types.AttributeValueMemberBOOL{Value: true}, "out": &types.AttributeValueMemberBOOL{},
				"beat": &types.AttributeValueMemberN{Value: beat},
			}
			for k, v := range more {
				item[k] = v
			}
			if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("heartbeats"), Item: item}); err != nil {
				t.Fatal(err)
			}
		}
		put("1", nil) // left by a dead instance, with any clock
		put("1", map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "broken"}, "bad": &types.AttributeValueMemberS{Value: "?"}})
		put("1", map[string]types.AttributeValue{"fleet": &types.AttributeValueMemberS{Value: "another"}})

		f := fleet(t, client, "self")
		ctx, cancel := context.WithCancel(t.Context())
		var self atomic.Bool
		var all sync.WaitGroup
		all.Go(func() { _ = f.Run(ctx, func() health.Self { return health.Self{Bad: self.Load()} }) })
		pass(time.Minute)
		if list, err := f.Peers(ctx); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v: who does not beat is not seen", list, err)
		}
		put("2", nil)
		pass(12 * time.Second)
		list, err := f.Peers(ctx)
		if err != nil || len(list) != 1 || list[0].ID != "other" || !list[0].Bad || time.Since(list[0].Seen) > 12*time.Second {
			t.Errorf("%+v, %v: the other has beaten", list, err)
		}
		before := f.Stats()
		if before.Malformed == 0 || before.WriteUnits != float64(before.Writes) || before.ReadUnits < 0.5*float64(before.Queries) || before.Queries > 9 {
			t.Errorf("stats %+v", before)
		}
		self.Store(true)
		pass(time.Second)
		if after := f.Stats(); after.Writes == before.Writes {
			t.Error("a change must be written within a second")
		}
		cancel()
		all.Wait()
	})
}

// TestFleet_when_the_table_hangs sees that no call lasts.
func TestFleet_when_the_table_hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := table(t)
		if err := server.SetNetwork(dynamotest.Hang); err != nil {
			t.Fatal(err)
		}
		f := fleet(t, client, "self")
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = f.Run(ctx, func() health.Self { return health.Self{} }) })
		pass(time.Minute)
		if s := f.Stats(); s.WriteErrors < 4 || s.WriteErrors != s.Writes || s.QueryErrors != s.Queries {
			t.Errorf("stats %+v; want a failed attempt each round", s)
		}
		if _, err := f.Peers(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Peers: %v; want a deadline exceeded", err)
		}
		cancel()
		all.Wait()
	})
}

// The cost grows with the fleet and not with its square; what dead instances have
// left does not hide those that live, and who ends takes its item away.
func TestFleet_cost(t *testing.T) {
	sizes := []int{10, 100, 1000}
	if rounds.Short() {
		sizes = sizes[:2]
	}
	for _, n := range sizes {
		synctest.Test(t, func(t *testing.T) {
			server, client := table(t)
			for i := range n { // of the deployment before, between those of now
				if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("heartbeats"), Item: map[string]types.AttributeValue{
					"fleet": &types.AttributeValueMemberS{Value: "shop"}, "id": &types.AttributeValueMemberS{Value: fmt.Sprintf("i-%04d-dead", i)},
					"bad": &types.AttributeValueMemberBOOL{}, "out": &types.AttributeValueMemberBOOL{}, "beat": &types.AttributeValueMemberN{Value: "1"},
				}}); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			fleets := make([]*peersdynamo.Fleet, n)
			for i := range fleets {
				fleets[i] = fleet(t, client, fmt.Sprintf("i-%04d", i))
				all.Go(func() { _ = fleets[i].Run(ctx, func() health.Self { return health.Self{} }) })
			}
			ran, least := 2*time.Minute, 32
			if n == 1000 || n == 100 && rounds.Short() { // which costs real time, too: they have not yet sampled all that they will
				ran, least = 40*time.Second, 8
			}
			pass(ran)
			reads, writes := 0.0, 0.0
			for i, f := range fleets {
				list, err := f.Peers(ctx)
				if want := min(n-1, least); err != nil || len(list) < want {
					t.Fatalf("%d instances: %d sees %d, %v; want %d", n, i, len(list), err, want)
				}
				s := f.Stats()
				reads, writes = reads+s.ReadUnits, writes+s.WriteUnits
			}
			if seconds := ran.Seconds() * float64(n); reads/seconds > 0.2 || writes/seconds > 0.12 {
				t.Errorf("%d instances: %.3f read and %.3f write units a second for each", n, reads/seconds, writes/seconds)
			}
			cancel()
			all.Wait()
			if left := server.Len("heartbeats"); left != n {
				t.Errorf("%d items are left, want the %d of the dead", left, n)
			}
		})
	}
}

// Who may not delete, or was replaced under its name, leaves the item.
func TestFleet_leaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := table(t)
		run := func(f *peersdynamo.Fleet, before func()) peersdynamo.Stats {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx, func() health.Self { return health.Self{} }) }()
			pass(5 * time.Second)
			before()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			return f.Stats()
		}
		s := run(fleet(t, client, "a"), func() { server.Revoke(dynamotest.Revocation{Action: "dynamodb:DeleteItem"}) })
		if s.Deletes != 1 || s.DeleteErrors != 1 || server.Len("heartbeats") != 1 {
			t.Errorf("denied: %+v, %d items", s, server.Len("heartbeats"))
		}
		server.Restore()
		other := fleet(t, client, "a")
		s = run(fleet(t, client, "a"), func() { run(other, func() {}) })
		if s.DeleteErrors != 0 || server.Len("heartbeats") != 0 {
			t.Errorf("replaced: %+v, %d items", s, server.Len("heartbeats"))
		}
	})
}

func TestNew_refuses(t *testing.T) {
	client := &dynamodb.Client{}
	for want, try := range map[string]func() (*peersdynamo.Fleet, error){
		"client is nil":     func() (*peersdynamo.Fleet, error) { return peersdynamo.New(nil, peersdynamo.Options{}) },
		"none may be empty": func() (*peersdynamo.Fleet, error) { return peersdynamo.New(client, peersdynamo.Options{ID: "a"}) },
		"1025 bytes": func() (*peersdynamo.Fleet, error) {
			return peersdynamo.New(client, peersdynamo.Options{ID: strings.Repeat("a", 1025), Fleet: "b", Table: "beats"})
		},
		"are UTF-8": func() (*peersdynamo.Fleet, error) {
			return peersdynamo.New(client, peersdynamo.Options{ID: "a\xff", Fleet: "b", Table: "beats"})
		},
		`Table is "$TABLE"`: func() (*peersdynamo.Fleet, error) {
			return peersdynamo.New(client, peersdynamo.Options{ID: "a", Fleet: "b", Table: "$TABLE"})
		},
		"negative": func() (*peersdynamo.Fleet, error) {
			return peersdynamo.New(client, peersdynamo.Options{ID: "a", Fleet: "b", Table: "beats", Period: -1})
		},
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error about %q", err, want)
		}
	}
}

// hostileClient is an API that does what f does, and then nothing.
type hostileClient struct{ f func() }

func (c hostileClient) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	c.f()
	return nil, nil
}

func (c hostileClient) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	c.f()
	return nil, nil
}

func (c hostileClient) DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	c.f()
	return nil, nil
}

// Whatever the client or the function does, Run goes on, ends with its context,
// and counts.
func TestFleet_with_hostile_callbacks(t *testing.T) {
	fine := func() health.Self { return health.Self{} }
	for name, c := range map[string]struct {
		client func()
		self   func() health.Self
		panics bool
	}{
		"client panics":     {func() { panic("x") }, fine, true},
		"client exits":      {runtime.Goexit, fine, true},
		"client is deaf":    {func() { <-time.After(3 * time.Minute) }, fine, false},
		"client says nil":   {func() {}, fine, false}, // no output, and no error
		"function panics":   {func() {}, func() health.Self { panic("x") }, true},
		"function exits":    {func() {}, func() health.Self { runtime.Goexit(); return health.Self{} }, true},
		"function is deaf":  {func() {}, func() health.Self { <-time.After(3 * time.Minute); return health.Self{} }, false},
		"function panicked": {func() {}, func() health.Self { var p *health.Process; return p.Self() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fleet(t, hostileClient{c.client}, "a")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				if err := f.Run(ctx, c.self); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > time.Minute+5*time.Second {
					t.Errorf("it ended after %v", took)
				}
				if _, err := f.Peers(ctx); err == nil {
					t.Error("the signal is well")
				}
				if s := f.Stats(); (s.Panics > 0) != c.panics {
					t.Errorf("%+v", s)
				}
				pass(5 * time.Minute) // for who is deaf
			})
		})
	}
	if err := new(peersdynamo.Fleet).Run(t.Context(), fine); err == nil {
		t.Error("a Fleet that New has not made runs")
	}
	if err := fleet(t, hostileClient{func() {}}, "a").Run(t.Context(), nil); err == nil {
		t.Error("Run takes no function")
	}
}

// answering is a client whose answers are those of a bad mock.
type answering struct {
	out *dynamodb.QueryOutput
	err error
}

func (c answering) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return &dynamodb.PutItemOutput{}, nil
}

func (c answering) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return c.out, c.err
}

func (c answering) DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return nil, c.err
}

// hostileError panics when it is looked at.
type hostileError struct{}

func (hostileError) Error() string { panic("x") }
func (hostileError) As(any) bool   { panic("x") }

// Whatever a client answers, and whatever its errors do, Peers and Stats do not
// wait for it.
func TestFleet_with_hostile_answers(t *testing.T) {
	item := func(id types.AttributeValue) *dynamodb.QueryOutput {
		return &dynamodb.QueryOutput{Items: []map[string]types.AttributeValue{nil, {
			"id": id, "bad": &types.AttributeValueMemberBOOL{}, "out": &types.AttributeValueMemberBOOL{},
			"beat": &types.AttributeValueMemberN{Value: "1"}, "new": (*types.AttributeValueMemberBOOL)(nil),
		}}}
	}
	for name, c := range map[string]answering{
		"neither":           {},
		"an id that is nil": {out: item((*types.AttributeValueMemberS)(nil))},
		"new that is nil":   {out: item(&types.AttributeValueMemberS{Value: "b"})},
		"an error":          {err: hostileError{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fleet(t, c, "a")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := f.Run(ctx, func() health.Self { return health.Self{} }); err != nil {
					t.Error(err)
				}
				if s := f.Stats(); s.Queries < 5 {
					t.Errorf("it stopped: %+v", s)
				}
				_, _ = f.Peers(t.Context()) // it returns
			})
		})
	}
}

// A portal that answers everything with 200 and nothing says nothing of the fleet.
func TestFleet_answers_without_a_body(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := dynamodb.New(dynamodb.Options{
			Region: "us-east-1", BaseEndpoint: aws.String("http://portal.example"),
			HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}),
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "s"}, nil
			}),
		})
		f := fleet(t, client, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.Run(ctx, func() health.Self { return health.Self{} }); err != nil {
			t.Error(err)
		}
		if _, err := f.Peers(t.Context()); err == nil || strings.Count(err.Error(), "no body") != 2 {
			t.Errorf("Peers: %v; want two answers without a body", err)
		}
		if s := f.Stats(); s.Writes < 5 || s.WriteErrors != s.Writes || s.Queries < 5 || s.QueryErrors != s.Queries {
			t.Errorf("%+v", s)
		}
	})
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// wild is the output of a logger that panics.
type wild struct{}

func (wild) Write([]byte) (int, error) { panic("x") }

// A logger's panics are counted, and Run goes on.
func TestFleet_with_hostile_logger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := peersdynamo.Options{ID: "a", Fleet: "shop", Table: "heartbeats", Logger: slog.New(slog.NewTextHandler(wild{}, nil))}
		f, err := peersdynamo.New(hostileClient{func() {}}, o) // it answers nothing, which is an error
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.Run(ctx, func() health.Self { return health.Self{} }); err != nil {
			t.Error(err)
		}
		if s := f.Stats(); s.Writes < 5 || s.Panics == 0 {
			t.Errorf("%+v", s)
		}
	})
}

package cache_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

var modelCloudOps = flag.Int("model.cloud.ops", 3_000, "operations of TestModel_unlucky_DynamoDB in all")

// TestModel_unlucky_DynamoDB is TestModel_unlucky_store on the real Store, whose
// DynamoDB does what it seldom does (dynamotest.Unlucky), and denies, is slow, hangs
// and breaks connections.
func TestModel_unlucky_DynamoDB(t *testing.T) {
	setups := map[string]func(*cache.Options[string]){
		"plain":     nil,
		"local-ttl": longLived,
		"stale":     func(o *cache.Options[string]) { o.StaleIfError, o.SoftTimeout = 2*time.Second, 2*time.Millisecond },
		"bulletin":  func(o *cache.Options[string]) { o.TTL = time.Minute },
	}
	for name, change := range setups {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newModel(t, seed, newSky(t, seed, name == "bulletin"), change)
					m.run(*modelCloudOps / 2 / len(setups))
					idle(10 * time.Second) // a refresh of credentials that nobody waits for
				})
			})
		}
	}
}

// sky is a DynamoDB with weather.
type sky struct {
	server   *dynamotest.Server
	seed     uint64
	bulletin bool
}

func newSky(t *testing.T, seed uint64, bulletin bool) *sky {
	t.Helper()
	s := &sky{dynamotest.New(dynamotest.Options{}), seed, bulletin}
	if err := dynamo.CreateTable(bg, dynamo.NewClient(s.config()), dynamo.Options{Table: cloudTable}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sky) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(dynamotest.MemoryURL), HTTPClient: s.server.HTTPClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	}
}

func (s *sky) open(t *testing.T) cache.Store {
	t.Helper()
	client, o := dynamo.NewClient(s.config()), dynamo.Options{Table: cloudTable}
	var store cache.Store
	var err error
	if s.bulletin {
		store, err = dynamo.NewBulletin(client, o)
	} else {
		store, err = dynamo.NewStore(client, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (s *sky) weather(rnd *rand.Rand) {
	s.seed++
	luck := []*dynamotest.Unlucky{
		nil,
		{Seed: s.seed, Stale: 200 * time.Millisecond, Expired: 0.5},
		{Seed: s.seed, Stale: 200 * time.Millisecond, Expired: 1, Unprocessed: 0.3},
		{Seed: s.seed, Stale: 200 * time.Millisecond, LostAnswers: 0.3, Throttled: 0.2},
	}
	if err := s.server.SetUnlucky(luck[rnd.IntN(len(luck))]); err != nil {
		panic(err)
	}
	s.server.Restore()
	switch rnd.IntN(8) {
	case 0:
		s.server.Revoke(dynamotest.Revocation{Action: "dynamodb:PutItem"})
	case 1:
		s.server.Revoke(dynamotest.Revocation{Action: "dynamodb:*GetItem"})
	case 2:
		s.server.Revoke()
	}
	faults := []*dynamotest.Fault{
		nil, nil, nil, nil,
		{Delay: 8 * time.Millisecond},
		{Kind: dynamotest.Hang},
		{Kind: dynamotest.Reset},
		{Kind: dynamotest.Empty},
		{Kind: dynamotest.Truncate},
		{Code: "InternalServerError", Status: 500},
	}
	if fault := faults[rnd.IntN(len(faults))]; fault == nil {
		s.server.SetFault(nil)
	} else {
		s.server.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return fault })
	}
	s.server.Sweep()
}

func (s *sky) calm() {
	s.server.SetFault(nil)
	s.server.Restore()
	if err := s.server.SetUnlucky(nil); err != nil {
		panic(err)
	}
}

// Package guregu runs the usual calls of github.com/guregu/dynamo, a library
// that many Go services use for DynamoDB, against dynamotest.
package guregu

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/guregu/dynamo/v2"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

type session struct {
	User   string    `dynamo:"user,hash" index:"by-device,range"`
	At     time.Time `dynamo:"at,range"`
	Device string    `dynamo:"device" index:"by-device,hash"`
	Hits   int       `dynamo:"hits"`
	Roles  []string  `dynamo:"roles,set"`
	Data   []byte    `dynamo:"data"`
	TTL    time.Time `dynamo:"ttl,unixtime"`
}

func table(t *testing.T) (*dynamo.DB, dynamo.Table) {
	t.Helper()
	server := dynamotest.New(dynamotest.Options{})
	db := dynamo.New(aws.Config{
		Region:           "us-east-1",
		BaseEndpoint:     aws.String(dynamotest.MemoryURL),
		HTTPClient:       server.HTTPClient(),
		Credentials:      credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, ""),
		RetryMaxAttempts: 1,
	})
	if err := db.CreateTable("sessions", session{}).OnDemand(true).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db, db.Table("sessions")
}

// at is the n-th moment.
func at(n int) time.Time { return time.Date(2026, 11, 26, 0, 0, n, 0, time.UTC) }

func put(t *testing.T, table dynamo.Table, sessions ...session) {
	t.Helper()
	for _, s := range sessions {
		if err := table.Put(s).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// hits are those of some sessions, by which they are told apart.
func hits(sessions []session) []int {
	var all []int
	for _, s := range sessions {
		all = append(all, s.Hits)
	}
	return all
}

func TestItems(t *testing.T) {
	_, sessions := table(t)
	want := session{User: "ann", At: at(1), Device: "phone", Hits: 7, Roles: []string{"admin"}, Data: []byte{0, 255}, TTL: at(100)}
	put(t, sessions, want)
	var got session
	if err := sessions.Get("user", "ann").Range("at", dynamo.Equal, at(1)).Consistent(true).One(t.Context(), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Get: %+v, %v", got, err)
	}
	if err := sessions.Get("user", "nobody").Range("at", dynamo.Equal, at(1)).One(t.Context(), &got); !errors.Is(err, dynamo.ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	if err := sessions.Put(want).If("attribute_not_exists($)", "user").Run(t.Context()); !dynamo.IsCondCheckFailed(err) {
		t.Errorf("Put with a condition that does not hold: %v", err)
	}
	if err := sessions.Update("user", "ann").Range("at", at(1)).Set("device", "tablet").Add("hits", 1).AddStringsToSet("roles", "user").Remove("data").Value(t.Context(), &got); err != nil ||
		got.Hits != 8 || got.Device != "tablet" || len(got.Roles) != 2 || got.Data != nil {
		t.Errorf("Update: %+v, %v", got, err)
	}
	if err := sessions.Update("user", "ann").Range("at", at(1)).SetIfNotExists("hits", 0).If("'hits' = ?", 9).Run(t.Context()); !dynamo.IsCondCheckFailed(err) {
		t.Errorf("Update with a condition that does not hold: %v", err)
	}
	if err := sessions.Delete("user", "ann").Range("at", at(1)).OldValue(t.Context(), &got); err != nil || got.Hits != 8 {
		t.Errorf("Delete: %+v, %v", got, err)
	}
}

func TestQueries(t *testing.T) {
	_, sessions := table(t)
	for n := range 5 {
		put(t, sessions, session{User: "ann", At: at(n), Device: []string{"phone", "laptop"}[n%2], Hits: n})
	}
	put(t, sessions, session{User: "bob", At: at(1), Device: "phone", Hits: 10})
	for name, c := range map[string]struct {
		query *dynamo.Query
		want  []int
	}{
		"all":       {sessions.Get("user", "ann"), []int{0, 1, 2, 3, 4}},
		"backwards": {sessions.Get("user", "ann").Order(dynamo.Descending).Limit(2), []int{4, 3}},
		"between":   {sessions.Get("user", "ann").Range("at", dynamo.Between, at(1), at(3)), []int{1, 2, 3}},
		"filter":    {sessions.Get("user", "ann").Filter("'hits' >= ? AND device = ?", 2, "laptop"), []int{3}},
		"index":     {sessions.Get("device", "phone").Index("by-device").Range("user", dynamo.BeginsWith, "b"), []int{10}},
		"pages":     {sessions.Get("user", "ann").SearchLimit(3), []int{0, 1, 2}},
	} {
		var got []session
		if err := c.query.All(t.Context(), &got); err != nil || !reflect.DeepEqual(hits(got), c.want) {
			t.Errorf("%s: %v, %v; want %v", name, hits(got), err, c.want)
		}
	}
	if n, err := sessions.Get("user", "ann").Count(t.Context()); err != nil || n != 5 {
		t.Errorf("Count: %d, %v", n, err)
	}
	var got []session
	if err := sessions.Scan().Filter("'hits' > ?", 3).All(t.Context(), &got); err != nil || len(got) != 2 {
		t.Errorf("Scan: %v, %v", hits(got), err)
	}
	got = nil
	if err := sessions.Scan().AllParallel(t.Context(), 3, &got); err != nil || len(got) != 6 {
		t.Errorf("Scan in segments: %v, %v", hits(got), err)
	}
}

func TestBatchesAndTransactions(t *testing.T) {
	db, sessions := table(t)
	var items []any
	var keys []dynamo.Keyed
	for n := range 60 {
		items = append(items, session{User: "ann", At: at(n), Device: "phone", Hits: n})
		keys = append(keys, dynamo.Keys{"ann", at(n)})
	}
	if n, err := sessions.Batch("user", "at").Write().Put(items...).Run(t.Context()); err != nil || n != 60 {
		t.Fatalf("batch of writes: %d, %v", n, err)
	}
	var got []session
	if err := sessions.Batch("user", "at").Get(keys...).All(t.Context(), &got); err != nil || len(got) != 60 {
		t.Errorf("batch of reads: %d, %v", len(got), err)
	}
	err := db.WriteTx().
		Put(sessions.Put(session{User: "bob", At: at(1), Device: "phone"})).
		Delete(sessions.Delete("user", "ann").Range("at", at(0))).
		Check(sessions.Check("user", "ann").Range("at", at(1)).IfExists()).
		Run(t.Context())
	if err != nil {
		t.Errorf("transaction: %v", err)
	}
	err = db.WriteTx().Put(sessions.Put(session{User: "bob", At: at(2), Device: "phone"})).
		Check(sessions.Check("user", "ann").Range("at", at(0)).IfExists()).Run(t.Context())
	if !dynamo.IsCondCheckFailed(err) {
		t.Errorf("transaction with a condition that does not hold: %v", err)
	}
	var one, two session
	err = db.GetTx().GetOne(sessions.Get("user", "bob").Range("at", dynamo.Equal, at(1)), &one).
		GetOne(sessions.Get("user", "ann").Range("at", dynamo.Equal, at(1)), &two).Run(t.Context())
	if err != nil || one.User != "bob" || two.Hits != 1 {
		t.Errorf("transaction of reads: %+v, %+v, %v", one, two, err)
	}
}

func TestTables(t *testing.T) {
	db, sessions := table(t)
	d, err := sessions.Describe().Run(t.Context())
	if err != nil || !d.Active() || d.HashKey != "user" || len(d.GSI) != 1 {
		t.Errorf("Describe: %+v, %v", d, err)
	}
	if err := sessions.UpdateTTL("ttl", true).Run(t.Context()); err != nil {
		t.Errorf("UpdateTTL: %v", err)
	}
	if ttl, err := sessions.DescribeTTL().Run(t.Context()); err != nil || !ttl.Enabled() {
		t.Errorf("DescribeTTL: %+v, %v", ttl, err)
	}
	if err := sessions.DeleteTable().Wait(t.Context()); err != nil {
		t.Errorf("DeleteTable: %v", err)
	}
	if names, err := db.ListTables().All(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("ListTables: %v, %v", names, err)
	}
}

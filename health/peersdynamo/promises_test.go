package peersdynamo

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/health"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	f, err := New(struct{ API }{}, Options{ID: "a", Fleet: "f", Table: "beats"})
	if err != nil {
		t.Fatal(err)
	}
	if o := f.opts; o.Period != 10*time.Second || o.Most != 32 || o.Timeout != time.Second || o.Keep != time.Hour {
		t.Errorf("defaults: %+v", o)
	}
}

// table takes heartbeats and remembers when, and how much was asked for last.
type table struct {
	beats []time.Time
	limit int32
}

func (t *table) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	t.beats = append(t.beats, time.Now())
	return &dynamodb.PutItemOutput{}, nil
}

func (t *table) Query(_ context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	t.limit = *in.Limit
	return &dynamodb.QueryOutput{}, nil
}

// Options.Period ± 10%, at the next full second.
func TestOptions_Period_spread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats table
		f, err := New(&beats, Options{ID: "a", Fleet: "f", Table: "beats", Period: 100 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Hour)
		defer cancel()
		if err := f.Run(ctx, func() health.Self { return health.Self{} }); err != nil {
			t.Fatal(err)
		}
		shortest, longest := time.Hour, time.Duration(0)
		for i := 1; i < len(beats.beats); i++ {
			gap := beats.beats[i].Sub(beats.beats[i-1])
			shortest, longest = min(shortest, gap), max(longest, gap)
		}
		if shortest < 90*time.Second || shortest > 92*time.Second || longest > 111*time.Second || longest < 108*time.Second {
			t.Errorf("%d heartbeats, %v to %v apart", len(beats.beats), shortest, longest)
		}
	})
}

// A Most beyond what a query can ask for means all, and not a limit below zero,
// which DynamoDB refuses.
func TestOptions_Most_without_bound(t *testing.T) {
	for _, c := range []struct {
		most int
		want int32
	}{{1, 3}, {32, 34}, {math.MaxInt32 - 1, math.MaxInt32}, {math.MaxInt, math.MaxInt32}} {
		synctest.Test(t, func(t *testing.T) {
			var asked table
			f, err := New(&asked, Options{ID: "a", Fleet: "f", Table: "beats", Most: c.most})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := f.Run(ctx, func() health.Self { return health.Self{} }); err != nil {
				t.Fatal(err)
			}
			if asked.limit != c.want {
				t.Errorf("Most %d: a query for %d items, want %d", c.most, asked.limit, c.want)
			}
		})
	}
}

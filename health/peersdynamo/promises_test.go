package peersdynamo

import (
	"context"
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

// table takes heartbeats and remembers when.
type table struct{ beats []time.Time }

func (t *table) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	t.beats = append(t.beats, time.Now())
	return &dynamodb.PutItemOutput{}, nil
}

func (t *table) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
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

package dynamotest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// unlucky makes a table and then bad luck.
func unlucky(t *testing.T, u dynamotest.Unlucky) (*dynamotest.Server, *dynamodb.Client) {
	t.Helper()
	s := dynamotest.New(dynamotest.Options{})
	c := accounts(t, s)
	if err := s.SetUnlucky(&u); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func putNumber(t *testing.T, c *dynamodb.Client, id string, n int) error {
	t.Helper()
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("accounts"), Item: map[string]types.AttributeValue{"id": text(id), "n": number(fmt.Sprint(n))}})
	return err
}

func getNumber(t *testing.T, c *dynamodb.Client, id string, consistent bool) string {
	t.Helper()
	out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("accounts"), Key: map[string]types.AttributeValue{"id": text(id)}, ConsistentRead: &consistent})
	switch {
	case err != nil:
		return err.Error()
	case out.Item == nil:
		return "none"
	}
	return out.Item["n"].(*types.AttributeValueMemberN).Value
}

// Eventually consistent reads see any state of the last second, its absence
// included, and no older one; consistent reads see the newest.
func TestUnlucky_stale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := unlucky(t, dynamotest.Unlucky{Seed: 1, Stale: time.Second})
		seen := func() (states string) {
			all := map[string]bool{}
			for range 200 {
				all[getNumber(t, c, "a", false)] = true
			}
			for _, s := range []string{"none", "1", "2", "3"} {
				if all[s] {
					states += s + " "
				}
			}
			return states
		}
		for n := 1; n <= 2; n++ {
			if err := putNumber(t, c, "a", n); err != nil {
				t.Fatal(err)
			}
		}
		if got := seen(); got != "none 1 2 " {
			t.Errorf("just after two writes: %s", got)
		}
		<-time.After(2 * time.Second)
		if got := seen(); got != "2 " {
			t.Errorf("two seconds later: %s", got)
		}
		if err := putNumber(t, c, "a", 3); err != nil {
			t.Fatal(err)
		}
		if got := getNumber(t, c, "a", true); got != "3" {
			t.Errorf("a consistent read: %s", got)
		}
		if got := seen(); got != "2 3 " {
			t.Errorf("after a third write: %s", got)
		}
		counts := map[int32]bool{}
		if _, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("accounts"), Key: map[string]types.AttributeValue{"id": text("a")}}); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("accounts")})
			if err != nil {
				t.Fatal(err)
			}
			counts[out.Count] = true
		}
		if !counts[0] || !counts[1] {
			t.Errorf("a scan after the item was deleted: %v", counts)
		}
	})
}

// A client that tries again after a lost answer meets its own write.
func TestUnlucky_lost_answers(t *testing.T) {
	_, c := unlucky(t, dynamotest.Unlucky{LostAnswers: 1})
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("accounts"), Item: map[string]types.AttributeValue{"id": text("a"), "n": number("1")},
		ConditionExpression: aws.String("attribute_not_exists(id)"),
	}, func(o *dynamodb.Options) { o.Retryer = retry.NewStandard() })
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		t.Errorf("%v; want the second attempt's condition to fail", err)
	}
	if got := getNumber(t, c, "a", true); got != "1" {
		t.Errorf("the write has not happened: %s", got)
	}
}

func TestUnlucky_unprocessed_and_throttled(t *testing.T) {
	s, c := unlucky(t, dynamotest.Unlucky{Seed: 7, Unprocessed: 0.5})
	var writes []types.WriteRequest
	for i := range 20 {
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{"id": text(fmt.Sprint(i)), "n": number("1")}}})
	}
	rounds := 0
	for rest := map[string][]types.WriteRequest{"accounts": writes}; len(rest) > 0; rounds++ {
		out, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: rest})
		if err != nil || rounds > 50 {
			t.Fatal(rounds, err)
		}
		rest = out.UnprocessedItems
	}
	if rounds < 2 || s.Len("accounts") != 20 {
		t.Errorf("%d rounds, %d items", rounds, s.Len("accounts"))
	}
	if err := s.SetUnlucky(&dynamotest.Unlucky{Throttled: 1}); err != nil {
		t.Fatal(err)
	}
	if err := putNumber(t, c, "a", 1); err == nil || !strings.Contains(err.Error(), "ProvisionedThroughputExceeded") {
		t.Errorf("%v", err)
	}
	if err := s.SetUnlucky(nil); err != nil {
		t.Fatal(err)
	}
	if err := putNumber(t, c, "a", 1); err != nil {
		t.Error(err)
	}
}

func TestUnlucky_expired(t *testing.T) {
	s, c := unlucky(t, dynamotest.Unlucky{Expired: 1})
	if _, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("accounts"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("n"), Enabled: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	for id, at := range map[string]time.Time{"over": time.Now().Add(-time.Hour), "later": time.Now().Add(time.Hour)} {
		if err := putNumber(t, c, id, int(at.Unix())); err != nil {
			t.Fatal(err)
		}
	}
	if got := getNumber(t, c, "over", true); got != "none" || s.Len("accounts") != 1 {
		t.Errorf("%s, %d items", got, s.Len("accounts"))
	}
	if got := getNumber(t, c, "later", true); got == "none" {
		t.Error("it has an hour left")
	}
}

// The same requests have the same bad luck.
func TestUnlucky_replay(t *testing.T) {
	run := func() (log string) {
		_, c := unlucky(t, dynamotest.Unlucky{Seed: 42, Stale: time.Hour, Unprocessed: 0.3, LostAnswers: 0.3, Throttled: 0.3})
		for i := range 50 {
			err := putNumber(t, c, fmt.Sprint(i%5), i)
			out, scanErr := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("accounts")})
			if scanErr != nil {
				t.Fatal(scanErr)
			}
			log += fmt.Sprint(err == nil, getNumber(t, c, fmt.Sprint(i%5), false) == fmt.Sprint(i), out.Count, ";")
		}
		return log
	}
	first, second := run(), run()
	if first != second || !strings.Contains(first, "false") {
		t.Errorf("%s\n%s", first, second)
	}
}

func TestSetUnlucky_refuses(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	for want, u := range map[string]dynamotest.Unlucky{"Stale": {Stale: -1}, "Throttled": {Throttled: 1.5}, "LostAnswers": {LostAnswers: -0.1}} {
		if err := s.SetUnlucky(&u); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", u, err)
		}
	}
}

package dynamotest_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// tableWith has one key attribute, of type S.
func tableWith(key string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String(key), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String(key), KeyType: "HASH"}},
	}
}

// A table that is deleted and made again with another key while batches are on
// their way gets no item that lacks the key: a batch is for one of the two
// tables or the other, as a whole. The writers' policy takes long to evaluate,
// which leaves time for that between one look at the table and the next.
func TestBatch_fits_its_table_when_that_is_made_again(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	statement := `{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"},`
	for key, policy := range map[string]string{"ADMIN": statement, "WRITER": strings.Repeat(statement, 1500)} {
		if err := s.AddUser(key, "secret", `{"Version":"2012-10-17","Statement":[`+strings.TrimSuffix(policy, ",")+`]}`); err != nil {
			t.Fatal(err)
		}
	}
	as := func(key string) *dynamodb.Client {
		return client(dynamotest.MemoryURL, s.HTTPClient(), aws.Credentials{AccessKeyID: key, SecretAccessKey: "secret"})
	}
	c, writer := as("ADMIN"), as("WRITER")
	if _, err := c.CreateTable(t.Context(), tableWith("key")); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		var both sync.WaitGroup
		both.Go(func() {
			put := types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{"key": text("a")}}}
			_, err := writer.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"sessions": {put}}})
			if got := code(err); err != nil && got != "ValidationException" && got != "ResourceNotFoundException" {
				t.Error(err)
			}
		})
		both.Go(func() {
			for range 1 + i/2%2 { // which takes as long as the batch's own look at the policy
				s.Explain("WRITER", "dynamodb:PutItem", "sessions")
			}
			if _, err := c.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("sessions")}); err != nil {
				t.Error(err)
			}
			if _, err := c.CreateTable(t.Context(), tableWith([]string{"id", "key"}[i%2])); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("sessions")})
		if err != nil {
			t.Fatal(err)
		}
		if n := s.Len("sessions"); n != len(out.Items) || i%2 == 0 && n > 0 {
			t.Fatalf("round %d: the table's key is %q, it has %d items, and shows %v", i, []string{"id", "key"}[i%2], n, out.Items)
		}
	}
}

// What has no capacity comes back; if that is all of it, it is an error that
// names the first of the tables. Bad luck is no lack of capacity.
func TestBatch_without_capacity(t *testing.T) {
	item := func(key string) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{"key": text(key)}
	}
	write := func(c *dynamodb.Client, keys ...string) (left []string, err error) {
		in := map[string][]types.WriteRequest{}
		for _, k := range keys {
			in["sessions"] = append(in["sessions"], types.WriteRequest{PutRequest: &types.PutRequest{Item: item(k)}})
		}
		out, err := c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: in})
		if err == nil {
			for _, w := range out.UnprocessedItems["sessions"] {
				left = append(left, w.PutRequest.Item["key"].(*types.AttributeValueMemberS).Value)
			}
		}
		return left, err
	}
	read := func(c *dynamodb.Client, keys ...string) (left []string, err error) {
		var in types.KeysAndAttributes
		for _, k := range keys {
			in.Keys = append(in.Keys, item(k))
		}
		out, err := c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"sessions": in}})
		if err == nil {
			for _, k := range out.UnprocessedKeys["sessions"].Keys {
				left = append(left, k["key"].(*types.AttributeValueMemberS).Value)
			}
		}
		return left, err
	}
	const over = "ProvisionedThroughputExceededException"
	for _, c := range []struct {
		name        string
		read, write float64
		luck        *dynamotest.Unlucky
		call        func(*dynamodb.Client, ...string) ([]string, error)
		left        []string
		code        string
		throttled   int64
	}{
		{"enough to write", -1, 2, nil, write, nil, "", 0},
		{"half of it", -1, 1, nil, write, []string{"b"}, "", 1},
		{"nothing to write with", -1, 0, nil, write, nil, over, 1},
		{"no limit on writes", 0, -1, nil, write, nil, "", 0},
		{"enough to read", 1, 0, nil, read, nil, "", 0},
		{"half of that", 0.5, 0, nil, read, []string{"b"}, "", 1},
		{"nothing to read with", 0, -1, nil, read, nil, over, 1},
		{"bad luck when writing", -1, -1, &dynamotest.Unlucky{Unprocessed: 1}, write, []string{"a", "b"}, "", 1},
		{"bad luck when reading", -1, -1, &dynamotest.Unlucky{Unprocessed: 1}, read, []string{"a", "b"}, "", 1},
		{"bad luck beside a limit of the other kind", 0, -1, &dynamotest.Unlucky{Unprocessed: 1}, write, []string{"a", "b"}, "", 1},
	} {
		now := time.Now()
		s := dynamotest.New(dynamotest.Options{Now: func() time.Time { return now }})
		client := memory(s)
		createTable(t, client)
		s.SetCapacity(c.read, c.write)
		if err := s.SetUnlucky(c.luck); err != nil {
			t.Fatal(err)
		}
		left, err := c.call(client, "a", "b")
		if got := code(err); !slices.Equal(left, c.left) || got != c.code || s.Stats().Throttled != c.throttled {
			t.Errorf("%s: left %v, %q, %d throttled; want %v, %q, %d", c.name, left, got, s.Stats().Throttled, c.left, c.code, c.throttled)
		}
	}
}

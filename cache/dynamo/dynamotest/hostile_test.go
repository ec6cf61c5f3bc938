package dynamotest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// mutant replaces a few parts of a request with values that do not belong
// there.
func mutant(r *rand.Rand, v any) any {
	strange := []string{
		`null`, `0`, `-1`, `1e400`, `""`, `"x"`, `[]`, `{}`, `[null]`, `{"":null}`, `true`, `99999999999999999999`, `{"S":null}`, `{"L":[null]}`,
		`{"M":{"":null}}`, `"\ud800"`, `{"N":"1e999999999"}`, `{"B":"="}`, `[[[[]]]]`, `{"SS":[null]}`, `{"k":null}`,
	}
	if r.IntN(25) == 0 {
		return json.RawMessage(strange[r.IntN(len(strange))])
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			out[name] = mutant(r, member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = mutant(r, v[i])
		}
		return out
	}
	return v
}

// Whatever a request holds, the answer is one of the service's: JSON, never a
// panic, nothing about the inside.
func TestServer_mutants(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	p := &peer{url: dynamotest.MemoryURL, do: s.HTTPClient().Do, run: "mutants"}
	for _, body := range contractTables {
		p.step(t, "tables", step{op: "CreateTable", body: body})
	}
	var steps []step
	for _, c := range slices.Concat(contract, strictness) {
		for _, one := range c.steps {
			if len(one.body) < 10_000 && json.Valid([]byte(one.body)) {
				steps = append(steps, step{op: one.op, body: one.body})
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 4000 {
		one := steps[r.IntN(len(steps))]
		body, err := json.Marshal(mutant(r, decoded(t, one.body)))
		if err != nil {
			continue // 1e400 in a RawMessage, and its like
		}
		one.body = string(body)
		status, answer, _ := p.send(t, "mutants", one)
		inside := strings.Contains(string(answer), "type dynamotest") || strings.Contains(string(answer), "Go struct") || strings.Contains(string(answer), "%!")
		if status != 200 && status != 400 || !json.Valid(answer) || inside {
			t.Errorf("%s %s: %d %.500s", one.op, one.body, status, answer)
		}
	}
}

// An attribute that is null was a panic.
func TestServer_null_attributes(t *testing.T) {
	for _, one := range []step{
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"a"},"n":null}}`},
		{op: "GetItem", body: `{"TableName":"$T","Key":{"k":null}}`},
		conditional("n = :n", `,"ExpressionAttributeValues":{":n":null}`),
		{op: "Query", body: `{"TableName":"$T","KeyConditionExpression":"k = :k","ExpressionAttributeValues":{":k":{"S":"a"}},"ExclusiveStartKey":{"k":null}}`},
		{op: "BatchWriteItem", body: `{"RequestItems":{"$T":[{"PutRequest":{"Item":{"k":{"S":"a"},"n":null}}}]}}`},
		{op: "PutItem", body: `{"TableName":"$T","Item":{"k":{"S":"a"}},"Expected":{"n":{"ComparisonOperator":"EQ","AttributeValueList":[null]}}}`},
	} {
		s := dynamotest.New(dynamotest.Options{})
		p := &peer{url: dynamotest.MemoryURL, do: s.HTTPClient().Do, run: "null"}
		p.step(t, "null", step{op: "CreateTable", body: `{"TableName":"$T","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`})
		p.step(t, "null", one.refused("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"))
	}
}

// All switches may be used at once with traffic, in any order.
func TestServer_switches_under_load(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	createTable(t, c)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
				_ = put(ctx, c, fmt.Sprint(worker, n%5), time.Time{}) // they may fail
				_, _ = get(ctx, c, fmt.Sprint(worker, n%5))
				cancel()
			}
		})
	}
	kinds := append(dynamotest.Kinds(), dynamotest.Intact, "bogus")
	for n := range 300 {
		kind := kinds[n%len(kinds)]
		_ = s.SetNetwork(kind) // some are none
		s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: kind} })
		s.SetCorrupt(n%2 == 0)
		s.Revoke(dynamotest.Revocation{Action: "dynamodb:Get*"})
		_, _ = s.Explain(dynamotest.AccessKey, "dynamodb:GetItem", "sessions")
		s.Restore()
		s.SetFault(nil)
		if err := s.SetNetwork(dynamotest.Intact); err != nil {
			t.Fatal(err)
		}
		_ = s.Stats()
	}
	close(stop)
	wg.Wait()
	s.SetCorrupt(false)
	if err := put(t.Context(), c, "k", time.Time{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A fault that cannot be done is told of, and breaks nothing else.
func TestServer_impossible_faults(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	createTable(t, memory(s))
	for _, c := range []*dynamodb.Client{memory(s), tcp(t, s)} {
		for want, f := range map[string]dynamotest.Fault{
			"Status is 42":                   {Code: "X", Status: 42},
			"Status is 1000":                 {Code: "X", Status: 1000},
			"Status is 204":                  {Code: "X", Status: 204},
			"there is no Code to Status 500": {Status: 500},
			"there is no Code to Status 0":   {Message: "m"},
			"a Kind, \"drip\", and a Code":   {Code: "X", Kind: dynamotest.Drip},
			"Delay is -1s":                   {Delay: -time.Second},
			"Code is \"X\\r\\nY\"":           {Code: "X\r\nY"},
			"Code is \"X Y\"":                {Code: "X Y"},
		} {
			s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &f })
			if _, err := get(t.Context(), c, "k"); code(err) != "ValidationException" || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v; want %q", f, err, want)
			}
		}
	}
	s.SetFault(nil)
	for _, capacity := range []float64{math.Inf(1), math.Inf(-1), math.MaxFloat64, -1} {
		s.SetCapacity(capacity, capacity)
		if _, err := get(t.Context(), memory(s), "k"); err != nil {
			t.Errorf("capacity %v: %v", capacity, err)
		}
	}
	s.SetCapacity(math.NaN(), math.NaN())
	if _, err := get(t.Context(), memory(s), "k"); code(err) != "ProvisionedThroughputExceededException" {
		t.Errorf("a capacity that is no number: %v; want none", err)
	}
}

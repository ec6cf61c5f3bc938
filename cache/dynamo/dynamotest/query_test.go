package dynamotest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// sorted makes a table with a sort key of a kind, and a partition with values.
func sorted(t *testing.T, kind types.ScalarAttributeType, values ...types.AttributeValue) *dynamodb.Client {
	t.Helper()
	c := memory(dynamotest.New(dynamotest.Options{}))
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("events"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("u"), AttributeType: "S"}, {AttributeName: aws.String("s"), AttributeType: kind}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("u"), KeyType: "HASH"}, {AttributeName: aws.String("s"), KeyType: "RANGE"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("events"), Item: map[string]types.AttributeValue{"u": text("ann"), "s": v, "filler": text(strings.Repeat("x", 50))}}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// query returns the sort keys of an answer, and the key to go on from.
func query(t *testing.T, c *dynamodb.Client, in dynamodb.QueryInput) (keys []string, next map[string]types.AttributeValue, err error) {
	t.Helper()
	in.TableName = aws.String("events")
	out, err := c.Query(t.Context(), &in)
	if err != nil {
		return nil, nil, err
	}
	for _, it := range out.Items {
		switch v := it["s"].(type) {
		case *types.AttributeValueMemberS:
			keys = append(keys, v.Value)
		case *types.AttributeValueMemberN:
			keys = append(keys, v.Value)
		case *types.AttributeValueMemberB:
			keys = append(keys, fmt.Sprintf("%x", v.Value))
		}
	}
	return keys, out.LastEvaluatedKey, nil
}

func ann(more ...any) map[string]types.AttributeValue {
	values := map[string]types.AttributeValue{":u": text("ann")}
	for i := 0; i+1 < len(more); i += 2 {
		values[more[i].(string)] = more[i+1].(types.AttributeValue)
	}
	return values
}

// The order is that of the sort key's own type: of bytes, of numbers.
func TestQuery_order(t *testing.T) {
	for name, c := range map[string]struct {
		kind   types.ScalarAttributeType
		values []types.AttributeValue
		want   []string
	}{
		"text":    {"S", []types.AttributeValue{text("az"), text("a<"), text("aA"), text("a"), text("a&"), text("a b"), text("a!"), text(`a\`), text(`a"`)}, []string{"a", "a b", "a!", `a"`, "a&", "a<", "aA", `a\`, "az"}},
		"numbers": {"N", []types.AttributeValue{number("10"), number("9"), number("-1"), number("0.5")}, []string{"-1", "0.5", "9", "10"}},
		"bytes":   {"B", []types.AttributeValue{&types.AttributeValueMemberB{Value: []byte{0xff}}, &types.AttributeValueMemberB{Value: []byte{1, 2}}, &types.AttributeValueMemberB{Value: []byte{1}}}, []string{"01", "0102", "ff"}},
	} {
		client := sorted(t, c.kind, c.values...)
		in := dynamodb.QueryInput{KeyConditionExpression: aws.String("u = :u"), ExpressionAttributeValues: ann()}
		if got, _, err := query(t, client, in); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		in.ScanIndexForward = aws.Bool(false)
		slices.Reverse(c.want)
		if got, _, err := query(t, client, in); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s, backwards: %q, %v; want %q", name, got, err, c.want)
		}
		var all []string
		in.Limit = aws.Int32(2)
		for pages := 0; ; pages++ {
			got, next, err := query(t, client, in)
			if err != nil || pages > 10 {
				t.Fatal(err)
			}
			all = append(all, got...)
			if in.ExclusiveStartKey = next; next == nil {
				break
			}
		}
		if !slices.Equal(all, c.want) {
			t.Errorf("%s, in pages of two: %q; want %q", name, all, c.want)
		}
	}
}

func TestQuery_sort_key_conditions(t *testing.T) {
	c := sorted(t, "S", text("a"), text("b1"), text("b2"), text("c"))
	for condition, want := range map[string]string{
		"u = :u AND s = :x":                "b1",
		"s > :x AND u = :u":                "b2 c",
		"u = :u and (s <= :x)":             "a b1",
		"(u = :u) AND s BETWEEN :x AND :y": "b1 b2",
		"u = :u AND begins_with(s, :z)":    "b1 b2",
		"#u = :u AND #s < :x":              "a",
	} {
		values := ann(":x", text("b1"), ":y", text("b2"), ":z", text("b"))
		for _, name := range []string{":x", ":y", ":z"} {
			if !strings.Contains(condition, name) {
				delete(values, name)
			}
		}
		in := dynamodb.QueryInput{KeyConditionExpression: &condition, ExpressionAttributeValues: values}
		if strings.Contains(condition, "#") {
			in.ExpressionAttributeNames = map[string]string{"#u": "u", "#s": "s"}
		}
		got, _, err := query(t, c, in)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %s", condition, got, err, want)
		}
	}
	for condition, want := range map[string]string{
		"s = :u":                       "missed key schema element: u",
		"u > :u":                       "key condition not supported",
		"u = :u OR s = :u":             "Invalid operator",
		"u = :u AND filler = :u":       "missed key schema element",
		"u = :u AND s <> :u":           "Invalid operator",
		"NOT u = :u":                   "Invalid operator",
		"u = :u AND s = :u AND s > :u": "one condition per key",
		"u = :u AND u = :u":            "not supported",
	} {
		in := dynamodb.QueryInput{KeyConditionExpression: &condition, ExpressionAttributeValues: ann()}
		if got, _, err := query(t, c, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", condition, got, err, want)
		}
	}
	out, err := c.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("events"), KeyConditionExpression: aws.String("u = :u"), FilterExpression: aws.String("filler <> :x"), ExpressionAttributeValues: ann(":x", text(strings.Repeat("x", 50))),
	})
	if err != nil || out.Count != 0 || out.ScannedCount != 4 {
		t.Errorf("filtered: %+v, %v; want none of 4", out, err)
	}
}

// A scan in pages finds every item once, and goes on where it stopped.
func TestScan(t *testing.T) {
	c := sorted(t, "S", text("a"), text("b"), text("c"), text("d"), text("e"))
	seen := map[string]int{}
	in := dynamodb.ScanInput{TableName: aws.String("events"), Limit: aws.Int32(2), FilterExpression: aws.String("s <> :x"), ExpressionAttributeValues: map[string]types.AttributeValue{":x": text("c")}}
	scanned := int32(0)
	for range 10 {
		out, err := c.Scan(t.Context(), &in)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			seen[it["s"].(*types.AttributeValueMemberS).Value]++
		}
		scanned += out.ScannedCount
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	if fmt.Sprint(seen) != "map[a:1 b:1 d:1 e:1]" || scanned != 5 {
		t.Errorf("%v of %d", seen, scanned)
	}
	var all []string
	refused := 0
	for segment := range int32(3) {
		out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("events"), TotalSegments: aws.Int32(3), Segment: &segment})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			all = append(all, it["s"].(*types.AttributeValueMemberS).Value)
		}
		for other := range int32(3) { // a page of one segment does not go on in another
			start := map[string]types.AttributeValue{"u": out.Items[0]["u"], "s": out.Items[0]["s"]}
			_, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("events"), TotalSegments: aws.Int32(3), Segment: &other, ExclusiveStartKey: start})
			if err != nil && strings.Contains(err.Error(), "correct Segment") && other != segment {
				refused++
			}
		}
	}
	if refused != 6 {
		t.Errorf("%d start keys of another segment were refused, want 6", refused)
	}
	slices.Sort(all)
	if !slices.Equal(all, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("in three segments: %q", all)
	}
	for _, in := range []dynamodb.ScanInput{{Segment: aws.Int32(0)}, {TotalSegments: aws.Int32(2)}, {Segment: aws.Int32(2), TotalSegments: aws.Int32(2)}} {
		in.TableName = aws.String("events")
		if _, err := c.Scan(t.Context(), &in); err == nil {
			t.Errorf("segment %v of %v", in.Segment, in.TotalSegments)
		}
	}
}

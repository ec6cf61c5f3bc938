package dynamotest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// indexed is a server with a table of orders, and two indexes by owner.
func indexed(t *testing.T, s *dynamotest.Server) *dynamodb.Client {
	t.Helper()
	c := memory(s)
	owner := []types.KeySchemaElement{{AttributeName: aws.String("owner"), KeyType: "HASH"}}
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("orders"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("id"), AttributeType: "S"}, {AttributeName: aws.String("owner"), AttributeType: "S"}, {AttributeName: aws.String("total"), AttributeType: "N"},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			{IndexName: aws.String("by-total"), KeySchema: append(owner[:1:1], types.KeySchemaElement{AttributeName: aws.String("total"), KeyType: "RANGE"}), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll}},
			{IndexName: aws.String("by-owner"), KeySchema: owner, Projection: &types.Projection{ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"note"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ofOwner(index string) *dynamodb.QueryInput {
	return &dynamodb.QueryInput{
		TableName: aws.String("orders"), IndexName: aws.String(index), KeyConditionExpression: aws.String("#o = :o"),
		ExpressionAttributeNames: map[string]string{"#o": "owner"}, ExpressionAttributeValues: map[string]types.AttributeValue{":o": text("ann")},
	}
}

// An index has its own ARN: what a policy says about the table does not count
// for it, and what it says about the index does.
func TestIndex_permissions(t *testing.T) {
	const table = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
	all := `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for name, c := range map[string]struct {
		statements     string
		table, byTotal bool // may be read
	}{
		"all":                        {all, true, true},
		"the table only":             {`{"Effect":"Allow","Action":"dynamodb:*","Resource":"` + table + `"}`, true, false},
		"the index only":             {`{"Effect":"Allow","Action":"dynamodb:*","Resource":"` + table + `/index/by-total"}`, false, true},
		"the index denied":           {all + `,{"Effect":"Deny","Action":"dynamodb:Query","Resource":"` + table + `/index/by-total"}`, true, false},
		"all indexes denied":         {all + `,{"Effect":"Deny","Action":"dynamodb:*","Resource":"` + table + `/index/*"}`, true, false},
		"the table denied":           {all + `,{"Effect":"Deny","Action":"dynamodb:*","Resource":"` + table + `"}`, false, true},
		"another index denied":       {all + `,{"Effect":"Deny","Action":"dynamodb:*","Resource":"` + table + `/index/by-owner"}`, true, true},
		"the table and what it has ": {all + `,{"Effect":"Deny","Action":"dynamodb:*","Resource":"` + table + `*"}`, false, false},
	} {
		s := dynamotest.New(dynamotest.Options{})
		db := indexed(t, s)
		policy := `{"Version":"2012-10-17","Statement":[` + c.statements + `]}`
		if err := s.SetPrincipal(dynamotest.Principal{AccessKey: dynamotest.AccessKey, SecretKey: dynamotest.SecretKey, Policies: []string{policy}}); err != nil {
			t.Fatal(err)
		}
		_, err := db.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String("orders"), KeyConditionExpression: aws.String("id = :o"), ExpressionAttributeValues: map[string]types.AttributeValue{":o": text("1")}})
		if (err == nil) != c.table {
			t.Errorf("%s: the table: %v", name, err)
		}
		_, err = db.Query(t.Context(), ofOwner("by-total"))
		if (err == nil) != c.byTotal || err != nil && !strings.Contains(err.Error(), "dynamodb:Query on resource: "+table+"/index/by-total") {
			t.Errorf("%s: the index: %v", name, err)
		}
	}
	s := dynamotest.New(dynamotest.Options{})
	db := indexed(t, s)
	s.Revoke(dynamotest.Revocation{Table: "orders"})
	if _, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("orders"), IndexName: aws.String("by-owner")}); err == nil {
		t.Error("Revoke of a table leaves its indexes readable")
	}
}

// A resource policy of the table may be about an index.
func TestIndex_resource_policy(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	db := indexed(t, s)
	const table = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
	if _, err := db.PutResourcePolicy(t.Context(), &dynamodb.PutResourcePolicyInput{ResourceArn: aws.String(table), Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"dynamodb:Query","Resource":"` + table + `/index/by-total"}]}`,
	)}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Query(t.Context(), ofOwner("by-total")); err == nil || !strings.Contains(err.Error(), "explicit deny") {
		t.Errorf("%v; want a denial", err)
	}
	if _, err := db.Query(t.Context(), ofOwner("by-owner")); err != nil {
		t.Errorf("the other index: %v", err)
	}
}

// What the service refuses of a Query is refused, and not answered with nothing.
func TestIndex_refused_queries(t *testing.T) {
	db := indexed(t, dynamotest.New(dynamotest.Options{}))
	sum := func(extra string, in *dynamodb.QueryInput) *dynamodb.QueryInput {
		in.KeyConditionExpression = aws.String("#o = :o AND " + extra)
		in.ExpressionAttributeNames["#t"] = "total"
		in.ExpressionAttributeValues[":a"], in.ExpressionAttributeValues[":b"] = number("2"), number("1")
		return in
	}
	for want, change := range map[string]func(*dynamodb.QueryInput) *dynamodb.QueryInput{
		"Invalid KeyConditionExpression: The BETWEEN operator requires upper bound": func(in *dynamodb.QueryInput) *dynamodb.QueryInput { return sum("#t BETWEEN :a AND :b", in) },
		"operator or function: begins_with, operand type: N": func(in *dynamodb.QueryInput) *dynamodb.QueryInput {
			in = sum("begins_with(#t, :a)", in)
			delete(in.ExpressionAttributeValues, ":b")
			return in
		},
		"does not match schema type": func(in *dynamodb.QueryInput) *dynamodb.QueryInput {
			in.ExpressionAttributeValues[":o"] = number("1")
			return in
		},
		"Primary key attribute: total": func(in *dynamodb.QueryInput) *dynamodb.QueryInput {
			in.ExpressionAttributeNames["#t"] = "total"
			in.FilterExpression, in.ExpressionAttributeValues[":a"] = aws.String("#t > :a"), number("1")
			return in
		},
		"outside query boundaries": func(in *dynamodb.QueryInput) *dynamodb.QueryInput {
			in.ExclusiveStartKey = map[string]types.AttributeValue{"id": text("1"), "owner": text("bob"), "total": number("1")}
			return in
		},
		"index by-owner does not project [memo]": func(in *dynamodb.QueryInput) *dynamodb.QueryInput {
			in.IndexName, in.ProjectionExpression = aws.String("by-owner"), aws.String("note, memo.parts[0]")
			return in
		},
		"'x' at 'indexName'": func(in *dynamodb.QueryInput) *dynamodb.QueryInput { in.IndexName = aws.String("x"); return in },
	} {
		if _, err := db.Query(t.Context(), change(ofOwner("by-total"))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	id := ofOwner("by-total")
	id.FilterExpression, id.ExpressionAttributeValues[":a"] = aws.String("id > :a"), text("1") // a key of the table is none of the index
	if _, err := db.Query(t.Context(), id); err != nil {
		t.Errorf("a filter on the table's key: %v", err)
	}
}

// An index that is made later leaves out items of another type, and one update
// cannot make a key attribute two things.
func TestUpdateTable_types(t *testing.T) {
	db := indexed(t, dynamotest.New(dynamotest.Options{}))
	for id, note := range map[string]types.AttributeValue{"1": text("x"), "2": number("7")} {
		if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("orders"), Item: map[string]types.AttributeValue{"id": text(id), "note": note}}); err != nil {
			t.Fatal(err)
		}
	}
	create := func(attribute, kind string) error {
		_, err := db.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
			TableName:            aws.String("orders"),
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &attribute, AttributeType: types.ScalarAttributeType(kind)}},
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
				IndexName: aws.String("by-" + attribute + "-" + kind), KeySchema: []types.KeySchemaElement{{AttributeName: &attribute, KeyType: "HASH"}},
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
			}}},
		})
		return err
	}
	if err := create("owner", "N"); err == nil {
		t.Error("owner is text in two indexes, and becomes a number")
	}
	if err := create("note", "N"); err != nil {
		t.Fatal(err)
	}
	if out, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("orders"), IndexName: aws.String("by-note-N")}); err != nil || out.Count != 1 {
		t.Errorf("%+v, %v; want the item whose note is a number", out, err)
	}
	if _, err := db.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("orders")}); err == nil {
		t.Error("an update of nothing")
	}
	if _, err := db.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("orders"), BillingMode: types.BillingModeProvisioned}); err == nil {
		t.Error("provisioned with nothing")
	}
	throughput := &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)}
	if _, err := db.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("orders"), BillingMode: types.BillingModePayPerRequest, ProvisionedThroughput: throughput}); err == nil {
		t.Error("on demand with a throughput")
	}
	if _, err := db.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("orders"), BillingMode: types.BillingModeProvisioned, ProvisionedThroughput: throughput}); err != nil {
		t.Error(err)
	}
}

package dynamotest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

func accounts(t *testing.T, s *dynamotest.Server) *dynamodb.Client {
	t.Helper()
	c := memory(s)
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("accounts"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: "HASH"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func putPart(id string) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{TableName: aws.String("accounts"), Item: map[string]types.AttributeValue{"id": text(id)}}}
}

// Each part of a transaction needs its own permission, and a table's name may be
// its ARN.
func TestTransact_permissions(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := accounts(t, s)
	const arn = "arn:aws:dynamodb:us-east-1:123456789012:table/accounts"
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: dynamotest.AccessKey, SecretKey: dynamotest.SecretKey, Policies: []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:PutItem","dynamodb:GetItem"],"Resource":"` + arn + `"}]}`,
	}}); err != nil {
		t.Fatal(err)
	}
	one := putPart("a")
	one.Put.TableName = aws.String(arn)
	if _, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{one}}); err != nil {
		t.Error(err)
	}
	if out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(arn), Key: map[string]types.AttributeValue{"id": text("a")}}); err != nil || out.Item == nil {
		t.Errorf("%v, %v", out, err)
	}
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{putPart("b"), {
		Delete: &types.Delete{TableName: aws.String("accounts"), Key: map[string]types.AttributeValue{"id": text("a")}},
	}}})
	if err == nil || !strings.Contains(err.Error(), "dynamodb:DeleteItem") {
		t.Errorf("a part that is not allowed: %v", err)
	}
	for _, other := range []string{"arn:aws:dynamodb:eu-west-1:123456789012:table/accounts", "arn:aws:dynamodb:us-east-1:999988887777:table/accounts", arn + "/index/x"} {
		if _, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &other, Key: map[string]types.AttributeValue{"id": text("a")}}); err == nil {
			t.Errorf("%s is a table here", other)
		}
	}
}

func TestTransact_limits(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := accounts(t, s)
	write := func(items ...types.TransactWriteItem) string {
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items})
		var api smithy.APIError
		if errors.As(err, &api) {
			return api.ErrorCode()
		}
		if err != nil {
			return err.Error()
		}
		return ""
	}
	many := make([]types.TransactWriteItem, 101)
	for i := range many {
		many[i] = putPart(strings.Repeat("x", i+1))
	}
	if got := write(many[:100]...); got != "" {
		t.Errorf("100 parts: %s", got)
	}
	if got := write(many...); got != "ValidationException" {
		t.Errorf("101 parts: %q", got)
	}
	two := putPart("a")
	two.Delete = &types.Delete{TableName: aws.String("accounts"), Key: map[string]types.AttributeValue{"id": text("b")}}
	if got := write(two); got != "ValidationException" {
		t.Errorf("two actions in one part: %q", got)
	}
	if got := write(types.TransactWriteItem{}); got != "ValidationException" {
		t.Errorf("no action in a part: %q", got)
	}
	if got := write(types.TransactWriteItem{Update: &types.Update{
		TableName: aws.String("accounts"), Key: map[string]types.AttributeValue{"id": text("a")},
		UpdateExpression: aws.String("SET n = m + :one"), ExpressionAttributeValues: map[string]types.AttributeValue{":one": number("1")},
	}}); got != "TransactionCanceledException" {
		t.Errorf("an update that the item does not allow: %q", got)
	}
	for _, token := range []string{"", strings.Repeat("x", 37)} {
		_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{putPart("a")}, ClientRequestToken: &token})
		if err == nil || !strings.Contains(err.Error(), "'clientRequestToken' failed to satisfy constraint") {
			t.Errorf("a token of %d characters: %v", len(token), err)
		}
	}
	s.SetCapacity(0, 0)
	if got := write(putPart("y")); got != "TransactionCanceledException" {
		t.Errorf("without capacity: %q", got)
	}
	if throttled := s.Stats().Throttled; throttled != 1 {
		t.Errorf("%d throttled", throttled)
	}
}

// Indexes come and go with UpdateTable.
func TestUpdateTable_indexes(t *testing.T) {
	c := accounts(t, dynamotest.New(dynamotest.Options{}))
	if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("accounts"), Item: map[string]types.AttributeValue{"id": text("a"), "owner": text("ann")}}); err != nil {
		t.Fatal(err)
	}
	update := func(u types.GlobalSecondaryIndexUpdate) error {
		_, err := c.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
			TableName:                   aws.String("accounts"),
			AttributeDefinitions:        []types.AttributeDefinition{{AttributeName: aws.String("owner"), AttributeType: "S"}},
			GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{u},
		})
		return err
	}
	ask := func() (int32, error) {
		out, err := c.Query(t.Context(), &dynamodb.QueryInput{
			TableName: aws.String("accounts"), IndexName: aws.String("by-owner"),
			KeyConditionExpression: aws.String("#o = :o"), ExpressionAttributeNames: map[string]string{"#o": "owner"}, ExpressionAttributeValues: map[string]types.AttributeValue{":o": text("ann")},
		})
		if err != nil {
			return 0, err
		}
		return out.Count, nil
	}
	if _, err := ask(); err == nil {
		t.Error("an index that is not there")
	}
	create := types.GlobalSecondaryIndexUpdate{Create: &types.CreateGlobalSecondaryIndexAction{
		IndexName: aws.String("by-owner"), KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("owner"), KeyType: "HASH"}},
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
	}}
	if err := update(create); err != nil {
		t.Fatal(err)
	}
	if n, err := ask(); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := update(create); err == nil {
		t.Error("the same index twice")
	}
	if err := update(types.GlobalSecondaryIndexUpdate{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("by-owner")}}); err != nil {
		t.Error(err)
	}
	if _, err := ask(); err == nil {
		t.Error("an index that was deleted")
	}
}

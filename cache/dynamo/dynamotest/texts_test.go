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

func TestServer_time_to_live_says_why_a_change_is_refused(t *testing.T) {
	c := memory(dynamotest.New(dynamotest.Options{}))
	createTable(t, c)
	change := func(table, attribute string, on bool) string {
		_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
			TableName:               &table,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &on},
		})
		var api smithy.APIError
		if errors.As(err, &api) {
			return api.ErrorCode() + ": " + api.ErrorMessage()
		}
		return ""
	}
	change("sessions", "expires", false) // whatever createTable has made of it
	change("sessions", "until", true)
	for _, step := range []struct {
		table, attribute string
		on               bool
		want             string
	}{
		{"gone", "until", true, "ResourceNotFoundException: Requested resource not found: Table: gone not found"},
		{"sessions", "until", true, "ValidationException: TimeToLive is already enabled"},
		{"sessions", "other", false, "ValidationException: TimeToLive is active on a different AttributeName: current AttributeName is until"},
		{"sessions", "until", false, ""},
		{"sessions", "until", false, "ValidationException: TimeToLive is already disabled"},
	} {
		if got := change(step.table, step.attribute, step.on); got != step.want {
			t.Errorf("%s, %s, %t: %s\nwant %s", step.table, step.attribute, step.on, got, step.want)
		}
	}
}

func TestServer_tags_of_a_table(t *testing.T) {
	c := memory(dynamotest.New(dynamotest.Options{}))
	createTable(t, c)
	arn := aws.String(sessionsARN)
	if _, err := c.TagResource(t.Context(), &dynamodb.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{
		{Key: aws.String("team"), Value: aws.String("a")},
		{Key: aws.String("stage"), Value: aws.String("b")},
		{Key: aws.String("team"), Value: aws.String("c")},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UntagResource(t.Context(), &dynamodb.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"stage", "nothing"}}); err != nil {
		t.Fatal(err)
	}
	out, err := c.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: arn})
	if err != nil || len(out.Tags) != 1 || *out.Tags[0].Key != "team" || *out.Tags[0].Value != "c" {
		t.Errorf("%+v, %v; want team=c alone", out, err)
	}
	_, err = c.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: aws.String(sessionsARN + "/index/x")})
	if code(err) != "ValidationException" {
		t.Errorf("an index has no tags of its own: %v", err)
	}
}

// The reason of a throttled request names the capacity that it wanted.
func TestServer_throttling_reasons(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := accounts(t, s)
	s.SetCapacity(0, 0)
	for op, call := range map[string]func() error{
		"Read scan": func() error {
			_, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("accounts")})
			return err
		},
		"Read get": func() error {
			_, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("accounts"), Key: map[string]types.AttributeValue{"id": text("a")}})
			return err
		},
		"Write put": func() error {
			_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("accounts"), Item: map[string]types.AttributeValue{"id": text("a")}})
			return err
		},
	} {
		kind, _, _ := strings.Cut(op, " ")
		var e *types.ProvisionedThroughputExceededException
		if err := call(); !errors.As(err, &e) || len(e.ThrottlingReasons) != 1 || aws.ToString(e.ThrottlingReasons[0].Reason) != "Table"+kind+"ProvisionedThroughputExceeded" {
			t.Errorf("%s: %v, %+v", op, err, e)
		}
	}
}

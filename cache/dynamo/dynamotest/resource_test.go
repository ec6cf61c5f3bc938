package dynamotest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

const (
	sessionsARN = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
	denyGet     = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"dynamodb:GetItem","Resource":"` + sessionsARN + `","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/DYNAMOTEST"}}}]}`
)

func TestServer_resource_policies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{PolicyDelay: 4 * time.Second})
		c := memory(s)
		createTable(t, c)
		put := func(policy string, revision *string) (string, error) {
			out, err := c.PutResourcePolicy(t.Context(), &dynamodb.PutResourcePolicyInput{ResourceArn: aws.String(sessionsARN), Policy: &policy, ExpectedRevisionId: revision})
			if err != nil {
				return "", err
			}
			return *out.RevisionId, nil
		}
		read := func(want string, when string) {
			t.Helper()
			if _, err := get(t.Context(), c, "k"); code(err) != want {
				t.Errorf("%s: %v; want %q", when, err, want)
			}
		}
		if _, err := c.GetResourcePolicy(t.Context(), &dynamodb.GetResourcePolicyInput{ResourceArn: aws.String(sessionsARN)}); code(err) != "PolicyNotFoundException" {
			t.Errorf("none: %v", err)
		}
		if _, err := put(denyGet, aws.String("1-1")); code(err) != "PolicyNotFoundException" {
			t.Errorf("another revision than none: %v", err)
		}
		revision, err := put(denyGet, aws.String("NO_POLICY"))
		if err != nil {
			t.Fatal(err)
		}
		read("", "it takes a while")
		if _, err := put(denyGet, &revision); code(err) != "ResourceInUseException" {
			t.Errorf("a second change at once: %v", err)
		}
		<-time.After(4 * time.Second)
		read("AccessDeniedException", "in force")
		if out, err := c.GetResourcePolicy(t.Context(), &dynamodb.GetResourcePolicyInput{ResourceArn: aws.String(sessionsARN)}); err != nil || *out.Policy != denyGet || *out.RevisionId != revision {
			t.Errorf("%+v, %v; want the document as it was put", out, err)
		}
		<-time.After(15 * time.Second)
		if _, err := put(denyGet, aws.String("NO_POLICY")); code(err) != "PolicyNotFoundException" {
			t.Errorf("there is a policy: %v", err)
		}
		if _, err := put(`{"Version":"2012-10-17","Statement":[]}`, &revision); code(err) != "ValidationException" {
			t.Errorf("no statement: %v", err)
		}
		if _, err := c.DeleteResourcePolicy(t.Context(), &dynamodb.DeleteResourcePolicyInput{ResourceArn: aws.String(sessionsARN), ExpectedRevisionId: &revision}); err != nil {
			t.Error(err)
		}
		read("AccessDeniedException", "the deletion takes a while, too")
		<-time.After(4 * time.Second)
		read("", "deleted")
	})
}

func TestServer_tags(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	createTable(t, c)
	if _, err := c.TagResource(t.Context(), &dynamodb.TagResourceInput{ResourceArn: aws.String(sessionsARN), Tags: []types.Tag{{Key: aws.String("failopen-drill"), Value: aws.String("allowed")}}}); err != nil {
		t.Fatal(err)
	}
	out, err := c.ListTagsOfResource(t.Context(), &dynamodb.ListTagsOfResourceInput{ResourceArn: aws.String(sessionsARN)})
	if err != nil || len(out.Tags) != 1 || *out.Tags[0].Value != "allowed" {
		t.Errorf("%+v, %v", out, err)
	}
	if err := s.AddUser("A", "s", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/failopen-drill":"allowed"}}}}`); err != nil {
		t.Fatal(err)
	}
	user := client(dynamotest.MemoryURL, s.HTTPClient(), aws.Credentials{AccessKeyID: "A", SecretAccessKey: "s"})
	if _, err := get(t.Context(), user, "k"); err != nil {
		t.Errorf("a tagged table: %v", err)
	}
	if _, err := user.ListTables(t.Context(), &dynamodb.ListTablesInput{}); code(err) != "AccessDeniedException" {
		t.Errorf("no table, no tag: %v", err)
	}
}

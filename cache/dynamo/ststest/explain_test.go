package ststest_test

import (
	"strings"
	"testing"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// Explain names the statement, which AWS and the answers do not.
func TestExplain(t *testing.T) {
	s := ststest.New(ststest.Options{})
	db := dynamotest.New(dynamotest.Options{Principals: s.Principal})
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "ANN", SecretKey: "s", Policies: []string{
		`{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":["dynamodb:Get*","sts:AssumeRole"],"Resource":"*"},{"Sid":"NotThis","Effect":"Deny","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/secret"}]}`,
	}}); err != nil {
		t.Fatal(err)
	}
	type answer = func() (bool, string)
	asking := func(who, action, table string) answer {
		return func() (bool, string) { return db.Explain(who, action, table) }
	}
	for _, c := range []struct {
		allowed bool
		why     string // in the explanation
		ask     answer
	}{
		{true, `allowed by an identity-based policy (statement 1, Sid "Read")`, asking("ANN", "dynamodb:GetItem", "sessions")},
		{false, `with an explicit deny in an identity-based policy (statement 2, Sid "NotThis")`, asking("ANN", "dynamodb:GetItem", "secret")},
		{true, "statement 1", asking("ANN", "dynamodb:GetItem", "secret/index/by-user")},
		{false, "because no identity-based policy allows the dynamodb:PutItem action", asking("ANN", "dynamodb:PutItem", "sessions")},
		{false, "nobody has the access key BOB", asking("BOB", "dynamodb:GetItem", "sessions")},
		{false, "no action of DynamoDB", asking("ANN", "GetItem", "sessions")},
		{true, `Sid "Read"`, func() (bool, string) { return s.Explain("ANN", "sts:AssumeRole", "arn:aws:iam::123456789012:role/app") }},
		{false, "is no action", func() (bool, string) { return s.Explain("ANN", "dynamodb:GetItems", "*") }},
		{false, "is no action", func() (bool, string) { return s.Explain("ANN", "dynamodb:Get*", "*") }},
		{false, "is no action", func() (bool, string) { return s.Explain("ANN", "AssumeRole", "*") }},
		{false, "because no identity-based policy allows the iam:GetRole action", func() (bool, string) { return s.Explain("ANN", "iam:GetRole", "*") }},
	} {
		if allowed, why := c.ask(); allowed != c.allowed || !strings.Contains(why, c.why) {
			t.Errorf("%t, %q; want %t, %q", allowed, why, c.allowed, c.why)
		}
	}
	db.Revoke()
	if allowed, why := db.Explain("ANN", "dynamodb:GetItem", "sessions"); allowed || !strings.Contains(why, "Server.Revoke") {
		t.Errorf("after Revoke: %t, %q", allowed, why)
	}
	// Each principal lives in one place.
	if err := db.SetPrincipal(dynamotest.Principal{AccessKey: "ANN", SecretKey: "s"}); err == nil || !strings.Contains(err.Error(), "Options.Principals knows") {
		t.Errorf("SetPrincipal of a user of ststest: %v", err)
	}
}

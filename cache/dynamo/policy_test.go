package dynamo_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/dynamo"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

var scope = dynamo.PolicyScope{Region: "us-east-1", Account: "123456789012", Table: "sessions"}

// usable calls all that a store does, as a user with the policy, and returns
// what was denied.
func denied(t *testing.T, policy string) []string {
	t.Helper()
	server := dynamotest.New(dynamotest.Options{})
	newStore(t, server, dynamo.Options{})
	if err := server.AddUser("APP", "secret", policy); err != nil {
		t.Fatal(err)
	}
	store, err := dynamo.NewStore(dynamo.NewClient(config(server, "APP", "secret")), dynamo.Options{Table: "sessions"})
	if err != nil {
		t.Fatal(err)
	}
	set := store.Set(t.Context(), "k", cache.Item{Version: 1})
	_, get := store.Get(t.Context(), "k")
	_, many := store.GetMany(t.Context(), []string{"k"})
	var out []string
	for _, c := range []struct {
		op  string
		err error
	}{{"dynamodb:PutItem", set}, {"dynamodb:GetItem", get}, {"dynamodb:BatchGetItem", many}} {
		switch {
		case errors.Is(c.err, cache.ErrPermanent) && strings.Contains(c.err.Error(), "AccessDenied"):
			out = append(out, c.op)
		case c.err != nil && !errors.Is(c.err, cache.ErrNotFound):
			t.Fatalf("%s: %v", c.op, c.err)
		}
	}
	return out
}

func TestPolicy_partitions(t *testing.T) {
	for region, want := range map[string]string{"eu-central-1": "aws", "us-east-2": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		text, err := dynamo.Policy(dynamo.PolicyScope{Region: region, Account: "123456789012", Table: "sessions"})
		if err != nil || !strings.Contains(text, "\"arn:"+want+":dynamodb:") {
			t.Errorf("%s: %v, %s; want an ARN of the partition %s", region, err, text, want)
		}
	}
}

func TestPolicy_is_enough_and_the_least(t *testing.T) {
	text, err := dynamo.Policy(scope)
	if err != nil {
		t.Fatal(err)
	}
	if d := denied(t, text); d != nil {
		t.Errorf("with the whole policy, %v are denied", d)
	}
	type statement struct {
		Sid, Effect, Resource string
		Action                []string
	}
	var doc struct {
		Version   string
		Statement []statement
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Statement) == 0 {
		t.Fatal("the policy has no statement")
	}
	for i, s := range doc.Statement {
		for j, action := range s.Action {
			without := doc
			without.Statement = slices.Clone(doc.Statement)
			without.Statement[i].Action = slices.Delete(slices.Clone(s.Action), j, j+1)
			if len(without.Statement[i].Action) == 0 {
				without.Statement = slices.Delete(without.Statement, i, i+1)
			}
			b, err := json.Marshal(without)
			if err != nil {
				t.Fatal(err)
			}
			if d := denied(t, string(b)); !slices.Equal(d, []string{action}) {
				t.Errorf("without %s, %v are denied", action, d)
			}
		}
	}
	other := scope
	other.Table = "sessions-of-others"
	text, err = dynamo.Policy(other)
	if err != nil {
		t.Fatal(err)
	}
	if d := denied(t, text); len(d) != 3 {
		t.Errorf("with another table's policy only %v are denied", d)
	}
}

func TestPolicy_refuses_what_does_not_belong_into_an_ARN(t *testing.T) {
	for field, bad := range map[string][]dynamo.PolicyScope{
		"Table": {
			{Region: "us-east-1", Account: "123456789012", Table: "*"},
			{Region: "us-east-1", Account: "123456789012", Table: "a/index/*"},
			{Region: "us-east-1", Account: "123456789012", Table: `x","y`},
			{Region: "us-east-1", Account: "123456789012", Table: "sessions\n"},
			{Region: "us-east-1", Account: "123456789012"},
		},
		"Region":    {{Region: "*", Account: "123456789012", Table: "sessions"}, {Region: "us-east-1:1:table", Account: "123456789012", Table: "sessions"}},
		"Account":   {{Region: "us-east-1", Account: "*", Table: "sessions"}, {Region: "us-east-1", Account: "12345678901", Table: "sessions"}},
		"Partition": {{Partition: "aws:*", Region: "us-east-1", Account: "123456789012", Table: "sessions"}},
	} {
		for _, s := range bad {
			if doc, err := dynamo.Policy(s); err == nil || !strings.Contains(err.Error(), "PolicyScope."+field) {
				t.Errorf("%+v: %q, %v; want an error that names %s", s, doc, err, field)
			}
		}
	}
	for _, s := range []dynamo.PolicyScope{
		{Partition: "aws-cn", Region: "cn-north-1", Account: "123456789012", Table: "a.b-c_D"},
		{Partition: "aws-us-gov", Region: "us-gov-west-1", Account: "123456789012", Table: "sessions"},
		{Partition: "aws-eusc", Region: "eusc-de-east-1", Account: "123456789012", Table: "sessions"},
	} {
		if _, err := dynamo.Policy(s); err != nil {
			t.Error(err)
		}
	}
}

package dynamotest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// tb is a test whose failures are kept.
type tb struct {
	cleanup []func()
	failed  []string
}

func (t *tb) Helper()          {}
func (t *tb) Cleanup(f func()) { t.cleanup = append(t.cleanup, f) }
func (t *tb) Errorf(format string, args ...any) {
	t.failed = append(t.failed, fmt.Sprintf(format, args...))
}

// A fault that was switched on and hit nothing fails the test, also if it was
// switched off again.
func TestServer_MustHit(t *testing.T) {
	hook := func(op string) func(*dynamotest.Server) {
		return func(s *dynamotest.Server) {
			s.SetFault(func(r *dynamotest.Request) *dynamotest.Fault {
				if r.Operation == op {
					return &dynamotest.Fault{Code: "ThrottlingException"}
				}
				return nil
			})
		}
	}
	revoke := func(r ...dynamotest.Revocation) func(*dynamotest.Server) {
		return func(s *dynamotest.Server) { s.Revoke(r...) }
	}
	corrupt := func(s *dynamotest.Server) { s.SetCorrupt(true) }
	for name, c := range map[string]struct {
		begin, end func(*dynamotest.Server)
		want       string
	}{
		"nothing":          {nil, nil, ""},
		"revoked":          {revoke(), (*dynamotest.Server).Restore, ""},
		"a misspelt table": {revoke(dynamotest.Revocation{Table: "sesions"}), nil, "Table:sesions"},
		"and restored":     {revoke(dynamotest.Revocation{Table: "sesions"}), (*dynamotest.Server).Restore, "Table:sesions"},
		"one of two":       {revoke(dynamotest.Revocation{Action: "dynamodb:Get*"}, dynamotest.Revocation{Action: "dynamodb:Scam"}), nil, "dynamodb:Scam"},
		"a hook":           {hook("GetItem"), func(s *dynamotest.Server) { s.SetFault(nil) }, ""},
		"a misspelt hook":  {hook("Getitem"), func(s *dynamotest.Server) { s.SetFault(nil) }, "the fault hook has broken nothing"},
		"a hook of nothing": {func(s *dynamotest.Server) {
			s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return new(dynamotest.Fault) })
		}, nil, "the fault hook has broken nothing"},
		"corrupt":           {corrupt, func(s *dynamotest.Server) { s.SetCorrupt(false) }, ""},
		"corrupt, not read": {nil, corrupt, "SetCorrupt has changed no answer"},
		"and ended":         {func(s *dynamotest.Server) { corrupt(s); s.SetCorrupt(false) }, nil, "SetCorrupt has changed no answer"},
	} {
		s, test := dynamotest.New(dynamotest.Options{}), new(tb)
		client := memory(s)
		createTable(t, client)
		if err := put(t.Context(), client, "k", time.Time{}); err != nil {
			t.Fatal(err)
		}
		s.MustHit(test)
		for i, f := range []func(*dynamotest.Server){c.begin, c.end} {
			if f != nil {
				f(s)
			}
			if i == 0 {
				_, _ = get(t.Context(), client, "k")
			}
		}
		for _, f := range test.cleanup {
			f()
		}
		if got := strings.Join(test.failed, "\n"); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the test failed with %q; want %q", name, got, c.want)
		}
	}
}

// A question about what is not there has no yes for an answer.
func TestExplain_unknown(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	const table = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
	if err := s.AddUser("ANN", "s", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":["`+table+`","`+table+`/index/*"]}}`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		action, table string
		allowed       bool
	}{
		{"dynamodb:GetItem", "sessions", true},
		{"dynamodb:GetItem", table, true},
		{"dynamodb:Query", table + "/index/by-user", true},
		{"dynamodb:GetItem", "carts", false},
		{"dynamodb:GetItems", "sessions", false},
		{"dynamodb:*", "sessions", false},
		{"dynamodb:TransactWriteItems", "sessions", false},
		{"GetItem", "sessions", false},
	} {
		if allowed, why := s.Explain("ANN", c.action, c.table); allowed != c.allowed {
			t.Errorf("%s on %s: %t, %s", c.action, c.table, allowed, why)
		}
	}
}

// A policy whose action or resource is misspelt is refused: its Deny would never
// apply.
func TestSetPrincipal_refuses_what_never_applies(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	policy := func(action, resource string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"` + action + `","Resource":"` + resource + `"}}`
	}
	const table = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
	for _, c := range []struct{ action, resource, want string }{
		{"dynamodb:GetItems", table, "matches no action"},
		{"dynamodb:Gte*", table, "matches no action"},
		{"dynamodb:TransactWriteItems", table, "a transaction needs those of its parts"},
		{"dynamodb:GetItem", strings.Replace(table, "table/", "tabel/", 1), "table/NAME"},
		{"dynamodb:GetItem", strings.TrimSuffix(table, "sessions"), "table/NAME"},
		{"dynamodb:GetItem", strings.TrimSuffix(table, "/sessions"), "table/NAME"},
		{"dynamodb:GetItem", table, ""},
		{"DynamoDB:getitem", "*", ""},
		{"dynamodb:*Item", "arn:aws:dynamodb:*:*:*", ""},
		{"dynamodb:?etItem", "arn:aws:dynamodb", ""},
		{"s3:GetObject", "arn:aws:s3:::bucket/*", ""},
		{"logs:*", "*", ""},
	} {
		err := s.AddUser("ANN", "s", policy(c.action, c.resource))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s on %s: %v; want %q", c.action, c.resource, err, c.want)
		}
	}
}

package dynamotest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// What is no request of the protocol, and what is too large for one.
func TestServer_answers_what_is_no_request(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	for _, c := range []struct {
		name, method, target string
		size                 int
		status               int
		body                 string
	}{
		{"a health check", "GET", "", 0, 200, "healthy: dynamotest.invalid "},
		{"no target", "POST", "", 0, 400, `{"__type":"com.amazon.coral.service#UnknownOperationException","message":"dynamotest does not implement the operation \"\"; see docs/guide/dynamotest.md"}`},
		{"another API", "POST", "DynamoDBStreams_20120810.GetRecords", 0, 400, `{"__type":"com.amazon.coral.service#UnknownOperationException","message":"dynamotest does not implement the operation \"\"; see docs/guide/dynamotest.md"}`},
		{"no signature", "POST", "DynamoDB_20120810.ListTables", 0, 400, `{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}`},
		{"a signature that is none", "POST", "DynamoDB_20120810.ListTables", -1, 400, `{"__type":"com.amazon.coral.service#IncompleteSignatureException","message":"Authorization header is not of the form AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature="}`},
		{"16 MiB", "POST", "DynamoDB_20120810.ListTables", 16 << 20, 400, `{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}`},
		{"a byte more", "POST", "DynamoDB_20120810.ListTables", 16<<20 + 1, 413, `{"__type":"com.amazon.coral.service#RequestEntityTooLargeException"}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, dynamotest.MemoryURL, bytes.NewReader(make([]byte, max(c.size, 0))))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", c.target)
		if c.size < 0 {
			req.Header.Set("Authorization", "Bearer x")
		}
		resp, err := s.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != c.status || string(body) != c.body {
			t.Errorf("%s: %d %s, %v\nwant %d %s", c.name, resp.StatusCode, body, err, c.status, c.body)
		}
	}
	if got := s.Stats().Requests; got["unknown"] != 2 || got["ListTables"] != 3 {
		t.Errorf("%v; want 2 unknown, and 3 of ListTables: what is too large was not read", got)
	}
}

// failing is a body that ends in the middle, as of a client that is gone.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }

func TestServer_counts_no_request_that_did_not_arrive(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, dynamotest.MemoryURL, failing{})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	if _, err := s.HTTPClient().Do(req); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v; want the body's own error", err)
	}
	if n := s.Stats().Total(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// An answer that drips is the right one, for those who wait: a byte each 100 ms.
func TestServer_drips_all_of_an_answer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		c := memory(s)
		createTable(t, c)
		if err := put(t.Context(), c, "k", time.Time{}); err != nil {
			t.Fatal(err)
		}
		s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: dynamotest.Drip} })
		began := time.Now()
		v, err := get(t.Context(), c, "k")
		if took := time.Since(began); err != nil || v != "value of k" || took < 50*dynamotest.DripInterval || took%dynamotest.DripInterval != 0 {
			t.Errorf("%q, %v after %v", v, err, took)
		}
	})
}

// A code has DynamoDB's name space unless it has its own, and the status that it is
// given.
func TestFault_codes_and_statuses(t *testing.T) {
	for _, c := range []struct {
		fault  dynamotest.Fault
		status int
		body   string
	}{
		{dynamotest.Fault{Code: "ThrottlingException"}, 400, `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}`},
		{dynamotest.Fault{Code: "InternalServerError", Message: "no <b>", Status: 500}, 500, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"no \u003cb\u003e"}`},
		{dynamotest.Fault{Code: "com.amazon.coral.availability#ThrottlingException", Status: 599}, 599, `{"__type":"com.amazon.coral.availability#ThrottlingException"}`},
		{dynamotest.Fault{Code: "AccessDeniedException", Message: "no"}, 400, `{"Message":"no","__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException"}`},
		{dynamotest.Fault{Code: "X", Kind: dynamotest.Reset}, 400, `{"__type":"com.amazon.coral.validate#ValidationException","message":"dynamotest: the fault hook's answer is wrong: there are a Kind, \"reset\", and a Code, \"X\": a request can fail in one way only"}`},
		{dynamotest.Fault{Kind: "hagn"}, 400, `{"__type":"com.amazon.coral.validate#ValidationException","message":"dynamotest: the fault hook's answer is wrong: Kind is \"hagn\"; want one of [hang reset eof empty html errorpage truncate stall drip checksum]"}`},
		{dynamotest.Fault{Status: 500}, 400, `{"__type":"com.amazon.coral.validate#ValidationException","message":"dynamotest: the fault hook's answer is wrong: there is no Code to Status 500 and Message \"\""}`},
	} {
		s := dynamotest.New(dynamotest.Options{Fault: func(*dynamotest.Request) *dynamotest.Fault { return &c.fault }})
		p := &peer{url: dynamotest.MemoryURL, do: s.HTTPClient().Do}
		if status, body, _ := p.send(t, "", ask("ListTables", "{}")); status != c.status || string(body) != c.body {
			t.Errorf("%+v: %d %s\nwant %d %s", c.fault, status, body, c.status, c.body)
		}
	}
}

// What is corrupt is every byte of binary attributes, and nothing else: keys tell
// which item it is.
func TestServer_SetCorrupt_leaves_keys_alone(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("binary"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("k"), AttributeType: "B"}, {AttributeName: aws.String("s"), AttributeType: "B"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: "HASH"}, {AttributeName: aws.String("s"), KeyType: "RANGE"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	binary := func(b ...byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }
	it := map[string]types.AttributeValue{"k": binary(1), "s": binary(2), "v": binary(0, 255, 7), "t": text("text")}
	if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("binary"), Item: it}); err != nil {
		t.Fatal(err)
	}
	s.SetCorrupt(true)
	out, err := c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("binary")})
	if err != nil || len(out.Items) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	for name, want := range map[string][]byte{"k": {1}, "s": {2}, "v": {255, 0, 248}} {
		if got := out.Items[0][name].(*types.AttributeValueMemberB).Value; !bytes.Equal(got, want) {
			t.Errorf("%s: %v; want %v", name, got, want)
		}
	}
	if got := out.Items[0]["t"].(*types.AttributeValueMemberS).Value; got != "text" {
		t.Errorf("text became %q", got)
	}
}

// Explain says why a principal that cannot ask gets nothing, and what an action
// looks like.
func TestServer_Explain_of_who_cannot_ask(t *testing.T) {
	now := time.Now()
	broken := dynamotest.Principal{AccessKey: "BROKEN", SecretKey: "s", Policies: []string{"{}"}}
	s := dynamotest.New(dynamotest.Options{Now: func() time.Time { return now }, Principals: func(key string) (dynamotest.Principal, bool) {
		switch key {
		case "BROKEN":
			return broken, true
		case "OTHER":
			return dynamotest.Principal{AccessKey: "ANOTHER", SecretKey: "s"}, true
		}
		return dynamotest.Principal{}, false
	}})
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "ANN", SecretKey: "s", Expires: now.Add(time.Minute), Policies: []string{
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/a/index/i"}}`,
	}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, action, table, why string }{
		{"ANN", "dynamodb:Query", "a/index/i", `allowed by an identity-based policy (statement 1, Sid "")`},
		{"ANN", "dynamodb:Query", "arn:aws:dynamodb:us-east-1:123456789012:table/a/index/i", `allowed by an identity-based policy (statement 1, Sid "")`},
		{"ANN", "dynamodb:Query", "a", "because no identity-based policy allows the dynamodb:Query action"},
		{"ANN", "Query", "a", `"Query" is no action of DynamoDB; want one such as dynamodb:GetItem`},
		{"ANN", "dynamodb:Get*", "a", `"dynamodb:Get*" is no action of DynamoDB; want one such as dynamodb:GetItem`},
		{"BROKEN", "dynamodb:Query", "a", `the principal of BROKEN cannot be used: principal BROKEN: policy 1: policy: Version is missing; IAM knows "2012-10-17" and "2008-10-17"`},
		{"OTHER", "dynamodb:Query", "a", "nobody has the access key OTHER"},
		{"NOBODY", "dynamodb:Query", "a", "nobody has the access key NOBODY"},
	} {
		if allowed, why := s.Explain(c.key, c.action, c.table); why != c.why || allowed != strings.HasPrefix(c.why, "allowed") {
			t.Errorf("%s, %s, %s: %t, %q\nwant %q", c.key, c.action, c.table, allowed, why, c.why)
		}
	}
	now = now.Add(time.Minute)
	if allowed, why := s.Explain("ANN", "dynamodb:Query", "a/index/i"); allowed || why != "the credentials have expired" {
		t.Errorf("%t, %q", allowed, why)
	}
	_, err := client(dynamotest.MemoryURL, s.HTTPClient(), aws.Credentials{AccessKeyID: "BROKEN", SecretAccessKey: "s"}).ListTables(t.Context(), nil)
	if code(err) != "ValidationException" || !strings.Contains(err.Error(), "dynamotest: Options.Principals: principal BROKEN: policy 1") {
		t.Errorf("a request of a principal whose policies are none: %v", err)
	}
	if err := s.SetPrincipal(broken); err == nil || err.Error() != `dynamotest: Options.Principals knows the access key "BROKEN" already; change it there` {
		t.Errorf("SetPrincipal: %v", err)
	}
	if err := s.AddUser("NEW", ""); err == nil || err.Error() != "dynamotest: a principal needs AccessKey and SecretKey" {
		t.Errorf("AddUser: %v", err)
	}
}

func TestKinds_are_all_of_them_once(t *testing.T) {
	want := []dynamotest.Kind{"refuse", "blackhole", "backlog", "hang", "reset", "eof", "empty", "html", "errorpage", "truncate", "stall", "drip", "checksum"}
	if got := dynamotest.Kinds(); !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

// A request that is on its way when the network falls silent arrives when it comes
// back, and a caller who has gone before gets the error of the context.
func TestServer_network_in_memory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		c := memory(s)
		createTable(t, c)
		for _, state := range []dynamotest.Kind{dynamotest.Hang, dynamotest.BlackHole, dynamotest.Backlog} {
			if err := s.SetNetwork(state); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := put(ctx, c, "k", time.Time{}); !errors.Is(err, context.DeadlineExceeded) || s.Len("sessions") != 0 {
				t.Errorf("%s: %v, %d items", state, err, s.Len("sessions"))
			}
			cancel()
			done := make(chan error)
			go func() { done <- put(t.Context(), c, "k", time.Time{}) }()
			synctest.Wait()
			if s.Len("sessions") != 0 {
				t.Errorf("%s: it arrives", state)
			}
			if err := s.SetNetwork(dynamotest.Intact); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil || s.Len("sessions") != 1 {
				t.Errorf("%s: afterwards: %v, %d items", state, err, s.Len("sessions"))
			}
			if _, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("sessions"), Key: key("k")}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A port that somebody else has taken while it was refused cannot be opened again:
// SetNetwork says so, and the state stays what it was.
func TestServer_SetNetwork_when_the_port_is_taken(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	s.Close() // of nothing
	if s.URL() != "" {
		t.Errorf("before: URL %q", s.URL())
	}
	c := tcp(t, s)
	addr := strings.TrimPrefix(s.URL(), "http://")
	if err := s.Start(); err == nil || err.Error() != "dynamotest: the server has been started already" {
		t.Errorf("twice: %v", err)
	}
	if err := s.SetNetwork(dynamotest.Refuse); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetNetwork(dynamotest.Intact); err == nil || !strings.HasPrefix(err.Error(), "dynamotest: listen tcp "+addr) {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := dynamotest.New(dynamotest.Options{Addr: addr}).Start(); err == nil || !strings.HasPrefix(err.Error(), "dynamotest: listen tcp "+addr) {
		t.Errorf("Start at a port that is taken: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetNetwork(dynamotest.Intact); err != nil {
		t.Errorf("a port that was given back: %v", err)
	}
	if _, err := c.ListTables(t.Context(), nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestServer_SetUnlucky_wants_probabilities(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	for want, u := range map[string]dynamotest.Unlucky{
		"dynamotest: Unlucky.Unprocessed is 1.5; want a probability from 0 to 1":  {Unprocessed: 1.5},
		"dynamotest: Unlucky.LostAnswers is -0.1; want a probability from 0 to 1": {LostAnswers: -0.1},
		"dynamotest: Unlucky.Throttled is 2; want a probability from 0 to 1":      {Throttled: 2},
		"dynamotest: Unlucky.Expired is 7; want a probability from 0 to 1":        {Expired: 7},
		"dynamotest: Unlucky.Stale is -1s; want 0 or more":                        {Stale: -time.Second},
	} {
		if err := s.SetUnlucky(&u); err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

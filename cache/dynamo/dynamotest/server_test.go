package dynamotest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// client makes one attempt a call.
func client(url string, do aws.HTTPClient, creds aws.Credentials) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: &url,
		HTTPClient:   do,
		Retryer:      aws.NopRetryer{},
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
	})
}

var developer = aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}

func memory(s *dynamotest.Server) *dynamodb.Client {
	return client(dynamotest.MemoryURL, s.HTTPClient(), developer)
}

// tcp starts the server; its client has connections of its own.
func tcp(t *testing.T, s *dynamotest.Server) *dynamodb.Client {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(func() { tr.CloseIdleConnections(); s.Close() })
	return client(s.URL(), keeping(tr), developer)
}

// keeping hides the WriteTo of request bodies, so that connections live on:
// see dynamo.NewClient.
func keeping(tr *http.Transport) aws.HTTPClient {
	c := &http.Client{Transport: tr}
	return doFunc(func(r *http.Request) (*http.Response, error) {
		r.Body = struct{ io.ReadCloser }{r.Body}
		return c.Do(r)
	})
}

func createTable(t *testing.T, c *dynamodb.Client) {
	t.Helper()
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: "HASH"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func key(k string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: k}}
}

func put(ctx context.Context, c *dynamodb.Client, k string, ttl time.Time) error {
	it := key(k)
	it["v"] = &types.AttributeValueMemberB{Value: []byte("value of " + k)}
	if !ttl.IsZero() {
		it["ttl"] = &types.AttributeValueMemberN{Value: fmt.Sprint(ttl.Unix())}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("sessions"), Item: it})
	return err
}

// patience ends a test that hangs.
const patience = 30 * time.Second

func get(ctx context.Context, c *dynamodb.Client, k string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("sessions"), Key: key(k)})
	if err != nil || out.Item == nil {
		return "", err
	}
	return string(out.Item["v"].(*types.AttributeValueMemberB).Value), nil
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestServer_checks_signatures(t *testing.T) {
	drift := time.Duration(0)
	s := dynamotest.New(dynamotest.Options{Now: func() time.Time { return time.Now().Add(drift) }})
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "ROLE", SecretKey: "secret", SessionToken: "token", Policies: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`}}); err != nil {
		t.Fatal(err)
	}
	good := aws.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "secret", SessionToken: "token"}
	for name, c := range map[string]struct {
		creds aws.Credentials
		drift time.Duration
		code  string
		text  string
	}{
		"right":                    {good, 0, "", ""},
		"within the skew":          {good, 4 * time.Minute, "", ""},
		"another secret":           {aws.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "guess", SessionToken: "token"}, 0, "InvalidSignatureException", "does not match"},
		"an unknown key":           {aws.Credentials{AccessKeyID: "NOBODY", SecretAccessKey: "secret"}, 0, "UnrecognizedClientException", "security token included in the request is invalid"},
		"the development key":      {developer, 0, "UnrecognizedClientException", ""},
		"without the token":        {aws.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "secret"}, 0, "UnrecognizedClientException", ""},
		"another token":            {aws.Credentials{AccessKeyID: "ROLE", SecretAccessKey: "secret", SessionToken: "t"}, 0, "UnrecognizedClientException", ""},
		"the server's clock ahead": {good, 6 * time.Minute, "InvalidSignatureException", "Signature expired"},
		"the client's clock ahead": {good, -6 * time.Minute, "InvalidSignatureException", "Signature not yet current"},
	} {
		drift = c.drift
		_, err := client(dynamotest.MemoryURL, s.HTTPClient(), c.creds).ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if code(err) != c.code || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v; want %s", name, err, c.code)
		}
	}
}

// A signature covers the body: a request that was changed on its way is
// refused.
func TestServer_refuses_a_changed_body(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	inner := s.HTTPClient()
	c := client(dynamotest.MemoryURL, doFunc(func(r *http.Request) (*http.Response, error) {
		r.Body = io.NopCloser(strings.NewReader(`{"Limit":1}`))
		return inner.Do(r)
	}), developer)
	if _, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{}); code(err) != "InvalidSignatureException" {
		t.Errorf("%v; want InvalidSignatureException", err)
	}
}

type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestServer_credentials_expire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		p := dynamotest.Principal{AccessKey: "A", SecretKey: "s", Expires: time.Now().Add(time.Hour), Policies: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`}}
		if err := s.SetPrincipal(p); err != nil {
			t.Fatal(err)
		}
		c := client(dynamotest.MemoryURL, s.HTTPClient(), aws.Credentials{AccessKeyID: "A", SecretAccessKey: "s"})
		list := func() error { _, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{}); return err }
		if err := list(); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)
		if err := list(); code(err) != "ExpiredTokenException" {
			t.Errorf("%v; want ExpiredTokenException", err)
		}
		s.DeletePrincipal("A")
		if err := list(); code(err) != "UnrecognizedClientException" {
			t.Errorf("%v; want UnrecognizedClientException", err)
		}
	})
}

// A session is denied by what policies say about its role, and about when it
// began.
func TestServer_denies_sessions_of_a_role(t *testing.T) {
	const all = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	deny := func(condition string) []string {
		return []string{all, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":` + condition + `}}`}
	}
	began := time.Now().Add(-time.Hour)
	session := dynamotest.Principal{ARN: "arn:aws:sts::123456789012:assumed-role/app/i-1", SessionToken: "token", Issued: began}
	user := dynamotest.Principal{}
	for _, c := range []struct {
		name      string
		principal dynamotest.Principal
		policies  []string
		session   []string
		denied    bool
	}{
		{"the role's ARN", session, deny(`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/app"}}`), nil, true},
		{"not the session's", session, deny(`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:sts::123456789012:assumed-role/app/i-1"}}`), nil, false},
		{"sessions that began before", session, deny(`{"DateLessThan":{"aws:TokenIssueTime":"` + began.Add(time.Minute).UTC().Format(time.RFC3339) + `"}}`), nil, true},
		{"not those after", session, deny(`{"DateLessThan":{"aws:TokenIssueTime":"` + began.Add(-time.Minute).UTC().Format(time.RFC3339) + `"}}`), nil, false},
		{"not a user's keys", user, deny(`{"DateLessThan":{"aws:TokenIssueTime":"2099-01-01"}}`), nil, false},
		{"a user's name", user, deny(`{"StringEquals":{"aws:username":"A"}}`), nil, true},
		{"a session's user id", session, deny(`{"StringEquals":{"aws:userid":"A:i-1"}}`), nil, true},
		{"the address", user, deny(`{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`), nil, true},
		{"the session's policy", session, []string{all}, []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:Get*","Resource":"*"}}`}, true},
	} {
		s := dynamotest.New(dynamotest.Options{})
		p := c.principal
		p.AccessKey, p.SecretKey, p.Policies, p.SessionPolicies = "A", "s", c.policies, c.session
		if err := s.SetPrincipal(p); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		creds := aws.Credentials{AccessKeyID: "A", SecretAccessKey: "s", SessionToken: p.SessionToken}
		_, err := client(dynamotest.MemoryURL, s.HTTPClient(), creds).ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if (code(err) == "AccessDeniedException") != c.denied || !c.denied && err != nil {
			t.Errorf("%s: %v; want denied: %t", c.name, err, c.denied)
		}
	}
	s := dynamotest.New(dynamotest.Options{})
	for want, p := range map[string]dynamotest.Principal{
		"aws:CurentTime": {Policies: deny(`{"DateLessThan":{"aws:CurentTime":"2099-01-01"}}`)},
		"ARN is":         {ARN: "app"},
		"limit is 2048":  {SessionPolicies: []string{all + strings.Repeat(" ", 2048)}},
	} {
		p.AccessKey, p.SecretKey = "A", "s"
		if err := s.SetPrincipal(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
}

// What is sent is refused or answered; it never takes the server down.
func FuzzServer(f *testing.F) {
	for _, op := range []string{"CreateTable", "GetItem", "PutItem", "Query", "BatchGetItem", "BatchWriteItem", "DeleteItem", "UpdateTimeToLive", "ListTables", "DeleteTable"} {
		f.Add(op, `{"TableName":"sessions","Key":{"key":{"S":"k"}}}`)
	}
	f.Add("PutItem", `{"TableName":"sessions","Item":{"key":{"S":"k"},"n":{"N":"1"}},"ConditionExpression":"n < :n","ExpressionAttributeValues":{":n":{"N":"2"}}}`)
	f.Add("Query", `{"TableName":"sessions","KeyConditionExpression":"#k = :k","ExpressionAttributeNames":{"#k":"key"},"ExpressionAttributeValues":{":k":{"S":"k"}}}`)
	f.Add("UpdateItem", `{"TableName":"sessions","Key":{"key":{"S":"k"}},"UpdateExpression":"SET a.b[1] = if_not_exists(c, :n) + :n REMOVE d[0] ADD e :n DELETE f :s","ExpressionAttributeValues":{":n":{"N":"1"},":s":{"SS":["x"]}}}`)
	f.Add("BatchGetItem", `{"RequestItems":{"sessions":{"Keys":[{"key":{"S":"k"}}],"ProjectionExpression":"a.b[0]"}}}`)
	f.Add("BatchWriteItem", `{"RequestItems":{"sessions":[{"PutRequest":{"Item":{"key":{"S":"k"}}}},{"DeleteRequest":{"Key":{"key":{"S":"l"}}}}]}}`)
	f.Add("CreateTable", `{"TableName":"t-1","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`)
	sign := v4.NewSigner()
	f.Fuzz(func(t *testing.T, op, body string) {
		s := dynamotest.New(dynamotest.Options{})
		c := memory(s)
		createTable(t, c)
		if err := put(t.Context(), c, "k", time.Time{}); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, dynamotest.MemoryURL, strings.NewReader(body))
		r.Header["X-Amz-Target"] = []string{"DynamoDB_20120810." + op}
		sum := sha256.Sum256([]byte(body))
		if err := sign.SignHTTP(t.Context(), developer, r, hex.EncodeToString(sum[:]), "dynamodb", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %d %s", op, body, w.Code, w.Body)
		}
	})
}

func TestServer_revoke_and_restore(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	createTable(t, c)
	try := func() (read, write error) {
		_, read = get(t.Context(), c, "k")
		return read, put(t.Context(), c, "k", time.Time{})
	}
	for _, step := range []struct {
		name        string
		do          func()
		read, write string
	}{
		{"at first", func() {}, "", ""},
		{"all revoked", func() { s.Revoke() }, "AccessDeniedException", "AccessDeniedException"},
		{"restored", s.Restore, "", ""},
		{"writes revoked", func() { s.Revoke(dynamotest.Revocation{Action: "dynamodb:Put*"}) }, "", "AccessDeniedException"},
		{"another table too", func() { s.Revoke(dynamotest.Revocation{Table: "others"}) }, "", "AccessDeniedException"},
		{"the table too", func() { s.Revoke(dynamotest.Revocation{Table: "sessions"}) }, "AccessDeniedException", "AccessDeniedException"},
		{"restored again", s.Restore, "", ""},
		{"another user", func() { s.Revoke(dynamotest.Revocation{AccessKey: "X"}) }, "", ""},
		{"the user", func() { s.Revoke(dynamotest.Revocation{AccessKey: dynamotest.AccessKey}) }, "AccessDeniedException", "AccessDeniedException"},
	} {
		step.do()
		if r, w := try(); code(r) != step.read || code(w) != step.write {
			t.Errorf("%s: read %v, write %v; want %q and %q", step.name, r, w, step.read, step.write)
		}
	}
	_, err := get(t.Context(), c, "k")
	const want = "User: arn:aws:iam::123456789012:user/DYNAMOTEST is not authorized to perform: dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:123456789012:table/sessions because no identity-based policy allows the dynamodb:GetItem action"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the denial reads %v; want %s", err, want)
	}
	if n := s.Stats().Denied; n != 9 {
		t.Errorf("%d denials were counted; want 9", n)
	}
}

func TestServer_time_to_live(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		c := memory(s)
		createTable(t, c)
		for k, ttl := range map[string]time.Time{"soon": time.Now().Add(time.Minute), "later": time.Now().Add(time.Hour), "never": {}, "long ago": time.Now().Add(-6 * 365 * 24 * time.Hour)} {
			if err := put(t.Context(), c, k, ttl); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(2 * time.Minute)
		if n := s.Sweep(); n != 0 {
			t.Errorf("%d items were swept without a time to live", n)
		}
		_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("sessions"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)}})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := get(t.Context(), c, "soon"); v == "" || err != nil {
			t.Error("an expired item is there until it is swept")
		}
		if n := s.Sweep(); n != 1 || s.Len("sessions") != 3 {
			t.Errorf("%d items were swept, %d are left; want 1 and 3", n, s.Len("sessions"))
		}
		if v, err := get(t.Context(), c, "soon"); v != "" || err != nil {
			t.Errorf("after the sweep: %q, %v", v, err)
		}
	})
}

func TestServer_capacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		c := memory(s)
		createTable(t, c)
		if err := put(t.Context(), c, "k", time.Time{}); err != nil {
			t.Fatal(err)
		}
		served := func(n int) (ok int) {
			for range n {
				if _, err := get(t.Context(), c, "k"); err == nil {
					ok++
				} else if code(err) != "ProvisionedThroughputExceededException" {
					t.Fatal(err)
				}
			}
			return ok
		}
		s.SetCapacity(10, -1)
		if n := served(50); n != 20 { // a read costs half a unit
			t.Errorf("%d of 50 reads were served in the first moment; want 20", n)
		}
		<-time.After(time.Second)
		if n := served(50); n != 20 {
			t.Errorf("%d of 50 a second later; want 20", n)
		}
		if err := put(t.Context(), c, "k", time.Time{}); err != nil {
			t.Errorf("writes are not limited: %v", err)
		}
		s.SetCapacity(0, 0)
		if n, err := served(5), put(t.Context(), c, "k", time.Time{}); n != 0 || err == nil {
			t.Errorf("without capacity %d reads were served, and a write gave %v", n, err)
		}
		s.SetCapacity(-1, -1)
		if n := served(50); n != 50 {
			t.Errorf("%d of 50 without a limit", n)
		}
	})
}

// A clock that is set back leaves the capacity as it was, and what comes afterwards
// is a second's worth for each second.
func TestServer_capacity_of_a_clock_that_is_set_back(t *testing.T) {
	now := time.Now()
	s := dynamotest.New(dynamotest.Options{Now: func() time.Time { return now }})
	c := memory(s)
	createTable(t, c)
	s.SetCapacity(1, 1)
	for _, step := range []time.Duration{0, -4 * time.Minute, time.Second} {
		now = now.Add(step)
		_, err := get(t.Context(), c, "k")
		_, again := get(t.Context(), c, "k")
		if _, third := get(t.Context(), c, "k"); step >= 0 && (err != nil || third == nil) {
			t.Errorf("after %v: %v, %v, %v; want a second's worth", step, err, again, third)
		}
	}
}

func TestServer_corrupt(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	createTable(t, c)
	if err := put(t.Context(), c, "k", time.Time{}); err != nil {
		t.Fatal(err)
	}
	s.SetCorrupt(true)
	bad, err := get(t.Context(), c, "k")
	if err != nil || len(bad) != len("value of k") || bad == "value of k" {
		t.Errorf("%q, %v; want garbage of the same length", bad, err)
	}
	s.SetCorrupt(false)
	if good, err := get(t.Context(), c, "k"); err != nil || good != "value of k" {
		t.Errorf("afterwards: %q, %v", good, err)
	}
}

func TestServer_fault_hook(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	createTable(t, c)
	var seen []dynamotest.Request
	s.SetFault(func(r *dynamotest.Request) *dynamotest.Fault {
		seen = append(seen, *r)
		if r.Operation == "PutItem" {
			return &dynamotest.Fault{Code: "InternalServerError", Message: "no", Status: 500}
		}
		return nil
	})
	if err := put(t.Context(), c, "k", time.Time{}); code(err) != "InternalServerError" {
		t.Error(err)
	}
	if _, err := get(t.Context(), c, "k"); err != nil {
		t.Error(err)
	}
	want := fmt.Sprint([]dynamotest.Request{{Operation: "PutItem", Tables: []string{"sessions"}, AccessKey: "DYNAMOTEST"}, {Operation: "GetItem", Tables: []string{"sessions"}, AccessKey: "DYNAMOTEST"}})
	if fmt.Sprint(seen) != want {
		t.Errorf("the hook saw %v; want %v", seen, want)
	}
	if s.Len("sessions") != 0 {
		t.Error("a put that failed was stored")
	}
}

// Each fault looks the same over TCP and in memory.
func TestServer_faults(t *testing.T) {
	timeout := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	kind := func(k dynamotest.Kind) func(*dynamotest.Server) error {
		return func(s *dynamotest.Server) error {
			s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: k} })
			return nil
		}
	}
	network := func(n dynamotest.Kind) func(*dynamotest.Server) error {
		return func(s *dynamotest.Server) error { return s.SetNetwork(n) }
	}
	for name, c := range map[string]struct {
		set   func(*dynamotest.Server) error
		err   func(error) bool // nil: none
		hangs bool
	}{
		"hang":     {kind(dynamotest.Hang), timeout, true},
		"reset":    {kind(dynamotest.Reset), is(syscall.ECONNRESET), false},
		"close":    {kind(dynamotest.EOF), is(io.EOF), false},
		"empty":    {kind(dynamotest.Empty), nil, false},
		"page":     {kind(dynamotest.HTML), func(err error) bool { return strings.Contains(err.Error(), "deserialization failed") }, false},
		"truncate": {kind(dynamotest.Truncate), is(io.ErrUnexpectedEOF), false},
		"drip":     {kind(dynamotest.Drip), timeout, true},
		"checksum": {kind(dynamotest.Checksum), nil, false},
		"silent":   {network(dynamotest.Hang), timeout, true},
		"hole":     {network(dynamotest.BlackHole), timeout, true},
		"refused": {network(dynamotest.Refuse), func(err error) bool {
			return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
		}, false},
		"broken": {network(dynamotest.Reset), is(syscall.ECONNRESET), false},
		"delay": {func(s *dynamotest.Server) error {
			s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Delay: time.Hour} })
			return nil
		}, timeout, true},
		"latency": {func(s *dynamotest.Server) error { s.SetLatency(time.Hour); return nil }, timeout, true},
	} {
		for mode, start := range map[string]func(*dynamotest.Server) *dynamodb.Client{
			"memory": memory,
			"tcp":    func(s *dynamotest.Server) *dynamodb.Client { return tcp(t, s) },
		} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				s := dynamotest.New(dynamotest.Options{})
				client := start(s)
				createTable(t, client)
				if err := put(t.Context(), client, "k", time.Time{}); err != nil {
					t.Fatal(err)
				}
				if err := c.set(s); err != nil {
					t.Skip(err)
				}
				// Only what never answers gets a deadline: how soon the
				// others answer depends on the machine.
				ctx := t.Context()
				if c.hangs {
					short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
					defer cancel()
					ctx = short
				}
				_, err := get(ctx, client, "k")
				if c.err == nil && err != nil || c.err != nil && (err == nil || !c.err(err)) {
					t.Errorf("%v (%T)", err, err)
				}
				s.SetFault(nil)
				s.SetLatency(0)
				if err := s.SetNetwork(dynamotest.Intact); err != nil {
					t.Fatal(err)
				}
				if v, err := get(t.Context(), client, "k"); err != nil || v != "value of k" {
					t.Errorf("after the fault: %q, %v", v, err)
				}
			})
		}
	}
}

// New connections are not accepted; live ones work.
func TestServer_stall(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	live := tcp(t, s)
	createTable(t, live)
	if err := s.SetNetwork(dynamotest.Backlog); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), live, "k"); err != nil {
		t.Errorf("on the live connection: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	if _, err := get(ctx, client(s.URL(), keeping(tr), developer), "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("on a new connection: %v; want a time-out", err)
	}
}

// What was sent into a silent network arrives when it is up again, as TCP does.
func TestServer_silent_delays(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := tcp(t, s)
	createTable(t, c)
	if err := s.SetNetwork(dynamotest.Hang); err != nil {
		t.Fatal(err)
	}
	before := s.Stats().Total()
	done := make(chan error)
	go func() { done <- put(t.Context(), c, "k", time.Time{}) }()
	timer := time.NewTimer(50 * time.Millisecond) // long enough for loopback
	select {
	case err := <-done:
		t.Errorf("an answer came through: %v", err)
	case <-timer.C:
	}
	if n := s.Stats().Total() - before; n != 0 || s.Len("sessions") != 0 {
		t.Errorf("%d requests came through, %d items are there", n, s.Len("sessions"))
	}
	if err := s.SetNetwork(dynamotest.Intact); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || s.Len("sessions") != 1 {
		t.Errorf("afterwards: %v, %d items", err, s.Len("sessions"))
	}
}

// A SYN black hole does not even complete connections.
func TestServer_black_hole(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	tcp(t, s)
	if err := s.SetNetwork(dynamotest.BlackHole); err != nil {
		t.Skip(err)
	}
	addr := strings.TrimPrefix(s.URL(), "http://")
	conn, err := net.DialTimeout("tcp", addr, 150*time.Millisecond)
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("dial: %v, %v; want a time-out", conn, err)
	}
	if err := s.SetNetwork(dynamotest.Intact); err != nil {
		t.Fatal(err)
	}
	conn, err = net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// Switching the network in mid-traffic loses no state and leaks nothing.
func TestServer_network_storm(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := tcp(t, s)
	createTable(t, c)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for n := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				_ = put(ctx, c, fmt.Sprint(n, "-", i%10), time.Time{}) // it may fail
				cancel()
			}
		})
	}
	for range 3 {
		for _, n := range []dynamotest.Kind{dynamotest.Hang, dynamotest.Refuse, dynamotest.Backlog, dynamotest.Reset, dynamotest.BlackHole, dynamotest.Intact} {
			if err := s.SetNetwork(n); err != nil {
				t.Error(err)
			}
			ctx, cancel := t.Context(), func() {}
			if n != dynamotest.Intact {
				ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
			}
			if err := put(ctx, memory(s), "x", time.Time{}); (err == nil) != (n == dynamotest.Intact) {
				t.Errorf("in memory, with network %q: %v", n, err)
			}
			cancel()
		}
	}
	close(stop)
	wg.Wait()
	if err := put(t.Context(), c, "last", time.Time{}); err != nil {
		t.Errorf("after the storm: %v", err)
	}
	s.Close()
	// The client's attempts to connect live on for a while; the server's
	// goroutines must not.
	var left string
	for range 1000 {
		buf := make([]byte, 1<<20)
		left = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(left, "net/http.(*conn).serve") && !strings.Contains(left, "net/http.(*Server).Serve") {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("after Close:\n%s", left)
}

func TestServer_start_and_close(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	s.Close() // before Start it does nothing
	for range 2 {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err == nil {
			t.Error("a second Start was accepted")
		}
		resp, err := http.Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.HasPrefix(string(body), "healthy: ") {
			t.Errorf("%q, %v", body, err)
		}
		s.Close()
		if s.URL() != "" {
			t.Errorf("URL after Close: %s", s.URL())
		}
	}
}

// It is an http.Handler like any other.
func TestServer_in_httptest(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	h := httptest.NewServer(s)
	defer h.Close()
	c := client(h.URL, h.Client(), developer)
	createTable(t, c)
	for k, want := range map[dynamotest.Kind]error{dynamotest.Reset: syscall.ECONNRESET, dynamotest.Truncate: io.ErrUnexpectedEOF} {
		s.SetFault(func(*dynamotest.Request) *dynamotest.Fault { return &dynamotest.Fault{Kind: k} })
		if _, err := get(t.Context(), c, "k"); !errors.Is(err, want) {
			t.Errorf("%v; want %v", err, want)
		}
	}
}

func TestServer_refuses_what_it_does_not_implement(t *testing.T) {
	c := memory(dynamotest.New(dynamotest.Options{}))
	createTable(t, c)
	_, err := c.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("sessions"), StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true)}})
	if code(err) != "ValidationException" || !strings.Contains(err.Error(), `dynamotest does not implement the parameter "StreamSpecification" of UpdateTable`) {
		t.Errorf("%v", err)
	}
	_, err = c.ListBackups(t.Context(), &dynamodb.ListBackupsInput{})
	if code(err) != "UnknownOperationException" || !strings.Contains(err.Error(), `dynamotest does not implement the operation "ListBackups"; see docs/guide/dynamotest.md`) {
		t.Errorf("%v", err)
	}
}

// One of many conditional writers wins, every time.
func TestServer_conditions_are_atomic(t *testing.T) {
	s := dynamotest.New(dynamotest.Options{})
	c := memory(s)
	createTable(t, c)
	for round := range 20 {
		wins := make(chan bool, 16)
		for range 16 {
			go func() {
				_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("sessions"), Item: key(fmt.Sprint(round)), ConditionExpression: aws.String("attribute_not_exists(#k)"), ExpressionAttributeNames: map[string]string{"#k": "key"}})
				wins <- err == nil
			}()
		}
		n := 0
		for range 16 {
			if <-wins {
				n++
			}
		}
		if n != 1 {
			t.Errorf("round %d: %d winners", round, n)
		}
	}
}

func BenchmarkServer(b *testing.B) {
	for _, mode := range []string{"memory", "tcp"} {
		s := dynamotest.New(dynamotest.Options{})
		c := memory(s)
		if mode == "tcp" {
			if err := s.Start(); err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			c = client(s.URL(), http.DefaultClient, developer)
		}
		if _, err := c.CreateTable(b.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: "S"}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: "HASH"}},
		}); err != nil {
			b.Fatal(err)
		}
		b.Run(mode+"/put", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := put(b.Context(), c, "k", time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(mode+"/get", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := get(b.Context(), c, "k"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

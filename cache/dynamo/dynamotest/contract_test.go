package dynamotest_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// The contract is one table of cases about DynamoDB's behaviour, and every
// server must pass it: this package over TCP and in memory, and the endpoint
// that FAILOPEN_DYNAMODB_ENDPOINT names: dynoxide in CI, DynamoDB Local, or
// AWS itself (with AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
// AWS_SESSION_TOKEN). So the package cannot become our own belief about
// DynamoDB. FAILOPEN_DYNAMODB_SERVER=dynoxide makes the cases expect what that
// server is known to do differently.
func TestContract(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		runContract(t, &peer{url: dynamotest.MemoryURL, do: s.HTTPClient().Do})
	})
	t.Run("tcp", func(t *testing.T) {
		s := dynamotest.New(dynamotest.Options{})
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		runContract(t, &peer{url: s.URL(), do: http.DefaultClient.Do})
	})
	t.Run("endpoint", func(t *testing.T) {
		url := os.Getenv("FAILOPEN_DYNAMODB_ENDPOINT")
		if url == "" {
			t.Skip("FAILOPEN_DYNAMODB_ENDPOINT names no other server")
		}
		runContract(t, &peer{url: url, do: http.DefaultClient.Do, server: os.Getenv("FAILOPEN_DYNAMODB_SERVER")})
	})
}

// A peer is a server under test.
type peer struct {
	url    string
	do     func(*http.Request) (*http.Response, error)
	server string // known differences apply
	run    string // makes names unique
}

// A step is one request and what must come back. In texts, $T is a table with
// the string key "k", $C one with the string keys "k" and "s", $N a table that
// does not exist, and $K a key that no other case uses.
type step struct {
	op      string
	body    string
	status  int                 // 0: 200
	code    string              // of __type, after the #
	message string              // whole; between slashes a regular expression
	want    string              // JSON that the answer must contain; "*" is anything, null is absence
	mangle  func(*http.Request) // after signing
}

type contractCase struct {
	name  string
	steps []step
	// differs says what a server does otherwise, as steps that replace
	// these; documented says what AWS's documentation has to say.
	differs    map[string][]step
	documented string
}

// contractTables make $T and $C.
var contractTables = []string{
	`{"TableName":"$T","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`,
	`{"TableName":"$C","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"},{"AttributeName":"s","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"},{"AttributeName":"s","KeyType":"RANGE"}]}`,
}

func runContract(t *testing.T, p *peer) {
	p.run = fmt.Sprintf("%08x", rand.Uint32())
	for _, table := range contractTables {
		if p.step(t, "tables", step{op: "CreateTable", body: table}); t.Failed() {
			return
		}
	}
	defer func() {
		for _, table := range []string{"$T", "$C"} {
			p.step(t, "tables", step{op: "DeleteTable", body: `{"TableName":"` + table + `"}`})
		}
	}()
	for _, table := range []string{"$T", "$C"} {
		p.waitActive(t, table)
	}
	for _, c := range slices.Concat(contract, strictness) {
		t.Run(c.name, func(t *testing.T) {
			steps := c.steps
			if other, ok := c.differs[p.server]; ok {
				steps = other
			}
			for _, s := range steps {
				p.step(t, c.name, s)
			}
		})
	}
}

func (p *peer) waitActive(t *testing.T, table string) {
	t.Helper()
	for range 300 {
		_, body, _ := p.send(t, "tables", step{op: "DescribeTable", body: `{"TableName":"` + table + `"}`})
		if strings.Contains(string(body), `"ACTIVE"`) {
			return
		}
		timer := time.NewTimer(200 * time.Millisecond) // AWS takes seconds to make a table
		<-timer.C
	}
	t.Fatalf("table %s does not become active", table)
}

func (p *peer) expand(text, name string) string {
	sum := sha256.Sum256([]byte(name))
	return strings.NewReplacer(
		"$T", "failopen-"+p.run+"-t", "$C", "failopen-"+p.run+"-c", "$N", "failopen-"+p.run+"-n",
		"$K", "key-"+hex.EncodeToString(sum[:6]),
	).Replace(text)
}

func (p *peer) step(t *testing.T, name string, s step) {
	t.Helper()
	if text := p.mismatch(t, name, s); text != "" {
		t.Errorf("%s: %s", s.op, text)
	}
}

// mismatch says how an answer differs from what must come back.
func (p *peer) mismatch(t *testing.T, name string, s step) string {
	t.Helper()
	status, body, header := p.send(t, name, s)
	if want := cmp.Or(s.status, http.StatusOK); status != want {
		return fmt.Sprintf("status %d; want %d: %s", status, want, body)
	}
	var answer struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Sprintf("%q is not JSON: %v", body, err)
		}
	}
	_, code, _ := strings.Cut(answer.Type, "#")
	crc := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)
	switch {
	case code != s.code:
		return fmt.Sprintf("__type %q; want ...#%s (%s)", answer.Type, s.code, answer.Message)
	case !matches(p.expand(s.message, name), answer.Message):
		return fmt.Sprintf("message\n%q; want\n%q", answer.Message, p.expand(s.message, name))
	case s.want != "" && !contains(decoded(t, p.expand(s.want, name)), decoded(t, string(body))):
		return fmt.Sprintf("answer\n%s; want\n%s", body, p.expand(s.want, name))
	case header.Get("X-Amz-Crc32") != crc:
		return fmt.Sprintf("X-Amz-Crc32 is %q; the body's checksum is %s", header.Get("X-Amz-Crc32"), crc)
	case header.Get("X-Amzn-Requestid") == "" || !strings.HasPrefix(header.Get("Content-Type"), "application/x-amz-json-1.0"):
		return fmt.Sprintf("headers %v", header)
	}
	return ""
}

// matches compares a message; "" matches anything. The service puts a count
// before some of its messages, and has changed its mind about which.
func matches(want, got string) bool {
	const count = "1 validation error detected: "
	if !strings.HasPrefix(want, count) {
		got = strings.TrimPrefix(got, count)
	}
	if len(want) > 1 && want[0] == '/' && want[len(want)-1] == '/' {
		return regexp.MustCompile("^" + want[1:len(want)-1] + "$").MatchString(got)
	}
	return want == "" || want == got
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// contains reports whether got has all of want: lists without regard to their
// order, since a batch's answer has none.
func contains(want, got any) bool {
	switch want := want.(type) {
	case string:
		return want == "*" && got != nil || want == got
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for name, w := range want {
			if g, present := got[name]; w == nil && present || w != nil && !contains(w, g) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return false
		}
		got = slices.Clone(got)
		for _, w := range want {
			i := slices.IndexFunc(got, func(g any) bool { return contains(w, g) })
			if i < 0 {
				return false
			}
			got = slices.Delete(got, i, i+1)
		}
		return true
	}
	return want == got
}

func (p *peer) send(t *testing.T, name string, s step) (int, []byte, http.Header) {
	t.Helper()
	body := []byte(p.expand(s.body, name))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+s.op)
	sum := sha256.Sum256(body)
	env := func(name, otherwise string) string {
		if v := os.Getenv(name); v != "" && p.server == "" {
			return v
		}
		return otherwise
	}
	creds := aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}
	if strings.HasPrefix(p.url, "https://") {
		creds = aws.Credentials{AccessKeyID: env("AWS_ACCESS_KEY_ID", ""), SecretAccessKey: env("AWS_SECRET_ACCESS_KEY", ""), SessionToken: env("AWS_SESSION_TOKEN", "")}
	}
	region := env("AWS_REGION", "us-east-1")
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), "dynamodb", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	if s.mangle != nil {
		s.mangle(req)
	}
	resp, err := p.do(req)
	if err != nil {
		t.Fatalf("%s: %v", s.op, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer, resp.Header
}

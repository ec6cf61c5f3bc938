package ststest_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// An exchange is a row of requests to a new server with the role app and the key
// alias/one, and all that comes back for each, to the last letter.
type exchange struct {
	name  string
	steps []step
}

// A step is one request. In its body $TRUST, $POLICY and $LONG are policies: a
// trust policy of the account, one of a role, and one of 6,000 characters; $KEY
// is the key's id.
type step struct {
	to, body string // what is asked, and its parameters or JSON
	method   string // "": POST
	kind     string // Content-Type; "": that of the protocol
	query    string // of the URL
	status   int    // 0: 200
	want     string
}

// ask is a request: to is an action such as iam:GetRole with its parameters as a
// form that is not escaped yet, or an operation such as kms:Sign with its JSON.
func ask(to, body string) step { return step{to: to, body: body} }

func (s step) answers(want string) step {
	s.want = want
	return s
}

// fails is an error of the query protocol in the words of its service.
func (s step) fails(status int, code, message string) step {
	service, version := "sts", "2011-06-15"
	if strings.HasPrefix(s.to, "iam:") {
		service, version = "iam", "2010-05-08"
	}
	s.status, s.want = status, fmt.Sprintf(`<ErrorResponse xmlns="https://%s.amazonaws.com/doc/%s/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>*</RequestId></ErrorResponse>`,
		service, version, code, message)
	return s
}

// says is an answer with another status.
func (s step) says(status int, want string) step {
	s.status, s.want = status, want
	return s
}

// tags are so many tags as parameters.
func tags(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("Tags.member.%d.Key=k%[1]d&Tags.member.%[1]d.Value=v", i+1))
	}
	return strings.Join(list, "&")
}

// refuses is an error of KMS, with its message in JSON.
func (s step) refuses(code, message string) step {
	s.status, s.want = http.StatusBadRequest, fmt.Sprintf(`{"__type":%q,"message":%s}`, code, message)
	return s
}

// TestServer_answers stands in a bubble, where the time is always the same.
func TestServer_answers(t *testing.T) {
	for topic, rows := range map[string][]exchange{"roles": roleAnswers, "sessions": sessionAnswers, "keys": keyAnswers, "protocols": protocolAnswers} {
		t.Run(topic, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, row := range rows {
					s := ststest.New(ststest.Options{})
					prepare(t, s)
					for i, one := range row.steps {
						if status, body := one.send(t, s); status != cmp.Or(one.status, http.StatusOK) || body != one.want {
							t.Errorf("%s, step %d, %s: %d\n%s\nwant %d\n%s", row.name, i+1, one.to, status, body, one.status, one.want)
							break
						}
					}
				}
			})
		})
	}
}

// prepare makes the role and the key.
func prepare(t *testing.T, s *ststest.Server) {
	t.Helper()
	addRole(t, s, ststest.Role{Name: "app", Policies: map[string]string{"own": allowTable}, Tags: map[string]string{"team": "pay"}})
	for _, one := range []step{ask("kms:CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"}`), ask("kms:CreateAlias", `{"AliasName":"alias/one","TargetKeyId":"$KEY"}`)} {
		if status, body := one.send(t, s); status != http.StatusOK {
			t.Fatalf("%s: %s", one.to, body)
		}
	}
}

var (
	texts = strings.NewReplacer("$TRUST", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}}`,
		"$POLICY", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`, "$KEY", "00000001-0000-4000-8000-000000000001",
		"$LONG", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:`+strings.Repeat("x", 6000)+`","Resource":"*"}}`)
	chance    = regexp.MustCompile(`AROA[A-Z2-7]{17}|ASIA[A-Z2-7]{16}|<SecretAccessKey>[^<]*|<SessionToken>[^<]*`)
	requestID = regexp.MustCompile(`(RequestId"?[:>]"?)ststest0-0000-4000-8000-[0-9a-f]{12}`)
)

// send signs the request as the development principal, and returns its answer
// with what is left to chance cut short.
func (s step) send(t *testing.T, server *ststest.Server) (status int, answer string) {
	t.Helper()
	service, action, _ := strings.Cut(s.to, ":")
	text, kind := texts.Replace(s.body), "application/x-amz-json-1.1"
	if service != "kms" {
		form := "Action=" + action + "&Version=" + map[string]string{"sts": "2011-06-15", "iam": "2010-05-08"}[service]
		for _, p := range strings.Split(s.body, "&") {
			if name, value, ok := strings.Cut(p, "="); ok {
				form += "&" + name + "=" + url.QueryEscape(texts.Replace(value))
			}
		}
		text, kind = form, "application/x-www-form-urlencoded"
	}
	if service == "raw" {
		service, text = "sts", s.body
	}
	req, err := http.NewRequestWithContext(t.Context(), cmp.Or(s.method, http.MethodPost), ststest.MemoryURL+"/"+s.query, bytes.NewReader([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", cmp.Or(s.kind, kind))
	if service == "kms" {
		req.Header.Set("X-Amz-Target", "TrentService."+action)
	}
	sum := sha256.Sum256([]byte(text))
	creds := aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, req, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := server.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	status = resp.StatusCode
	kinds := map[string]string{"kms": "application/x-amz-json-1.1", "iam": "text/xml"} // of sts there are documents, too
	if want := kinds[service]; want != "" && status != http.StatusRequestEntityTooLarge && resp.Header.Get("Content-Type") != want {
		t.Errorf("%s: Content-Type %q; want %q", s.to, resp.Header.Get("Content-Type"), want)
	}
	cut := chance.ReplaceAllStringFunc(string(body), func(s string) string {
		if name, _, ok := strings.Cut(s, ">"); ok {
			return name + ">*"
		}
		return s[:4] + "*"
	})
	return status, requestID.ReplaceAllString(cut, "$1*")
}

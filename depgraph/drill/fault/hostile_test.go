package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// RoundTrippers in tests leave out what http.Client does not need: the body, the
// request, and in the worst case the answer.
func TestRoundTripper_bare_answers(t *testing.T) {
	for name, bare := range map[string]*http.Response{
		"no answer": nil,
		"no body":   {StatusCode: 204},
		"a body":    {StatusCode: 200, Body: io.NopCloser(strings.NewReader("one, two"))},
	} {
		for _, k := range fault.Kinds() {
			synctest.Test(t, func(t *testing.T) {
				inj := fault.New(fault.Options{})
				if err := inj.Set(fault.Network("origin", k)); err != nil {
					t.Fatal(err)
				}
				client := &http.Client{Transport: inj.RoundTripper("origin", transport(func(r *http.Request) (*http.Response, error) {
					if bare == nil {
						return nil, nil
					}
					answer := *bare
					return &answer, nil
				}))}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				_, _, err := get(ctx, t, client)
				if took := time.Since(began); took > time.Minute {
					t.Errorf("%s, %s: %v after %v; the caller's minute is over", name, k, err, took)
				}
				if passes := k == fault.Truncate || k == fault.Stall || k == fault.Drip || k == fault.Corrupt; passes && bare == nil && err == nil {
					t.Errorf("%s, %s: there is no error", name, k)
				}
			})
		}
	}
}

func TestSendHalf_bare_answer(t *testing.T) {
	inj := fault.New(fault.Options{})
	if err := inj.Set(fault.Network("origin", fault.CutRequest)); err != nil {
		t.Fatal(err)
	}
	for _, bare := range []*http.Response{nil, {StatusCode: 204}} {
		client := &http.Client{Transport: inj.RoundTripper("origin", transport(func(*http.Request) (*http.Response, error) { return bare, nil }))}
		_, err := client.Post("http://origin.invalid/", "text/plain", strings.NewReader("a body"))
		if err == nil || !strings.Contains(err.Error(), "broken pipe") {
			t.Error(err)
		}
	}
}

// endless is the body of an answer that goes on: a stream of events, a watch.
type endless struct {
	read   int
	closed bool
}

func (e *endless) Read(b []byte) (int, error) {
	if e.read += len(b); e.read > 1<<20 {
		return 0, errors.New("who reads on for so long waits for the end")
	}
	return len(b), nil
}

func (e *endless) Close() error {
	e.closed = true
	return nil
}

// A limit in bytes needs no end of the answer, and no memory for it.
func TestTruncate_after_bytes_of_a_stream(t *testing.T) {
	inj := fault.New(fault.Options{})
	if err := inj.Set(fault.Rule{Net: fault.Truncate, Bytes: 1000}); err != nil {
		t.Fatal(err)
	}
	stream := new(endless)
	client := &http.Client{Transport: inj.RoundTripper("origin", transport(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: stream, Request: r}, nil
	}))}
	_, body, err := get(t.Context(), t, client)
	if len(body) != 1000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes, %v; want 1000 and an unexpected end", len(body), err)
	}
	if !stream.closed {
		t.Error("the service's answer is left open")
	}
}

// Each service finds an error where it looks for it; a form of somebody else's is
// no matter of AWS.
func TestError_forms(t *testing.T) {
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	signed := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AKID/20261125/eu-central-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"
	}
	for name, c := range map[string]struct {
		url, authorization, kind, target string
		status                           int
		want                             string
	}{
		"s3":           {"http://b.invalid/key", signed("s3"), "", "", 403, "<Error><Code>AccessDenied</Code><Message>a &lt; b</Message><RequestId>"},
		"ec2":          {"http://ec2.invalid/", signed("ec2"), form, "", 403, "<Response><Errors><Error><Code>AccessDenied</Code><Message>a &lt; b</Message></Error></Errors><RequestID>"},
		"a form":       {"http://x.invalid/", signed("redshift"), form, "", 403, "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"},
		"presigned":    {"http://sts.invalid/?Action=GetCallerIdentity&X-Amz-Credential=AKID%2F20261125%2Feu-central-1%2Fsts%2Faws4_request", "", "", "", 403, "<ErrorResponse>"},
		"JSON":         {"http://x.invalid/", signed("sns"), "application/x-amz-json-1.0", "X.Y", 400, `"message":"a \u003c b"`},
		"not of AWS":   {"http://login.invalid/token", "", form, "", 400, `"message":"a \u003c b"`},
		"a REST of it": {"http://lambda.invalid/f", signed("lambda"), "application/json", "", 400, `#AccessDeniedException"`},
	} {
		inj := fault.New(fault.Options{})
		if err := inj.Set(fault.Rule{Error: &fault.APIError{Code: "AccessDeniedException", Message: "a < b"}}); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for header, value := range map[string]string{"Authorization": c.authorization, "Content-Type": c.kind, "X-Amz-Target": c.target} {
			req.Header.Set(header, value)
		}
		resp, err := inj.RoundTripper("x", origin).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %d %s, %v; want %d %s", name, resp.StatusCode, body, err, c.status, c.want)
		}
	}
}

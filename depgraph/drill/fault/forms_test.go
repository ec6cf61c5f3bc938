package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// Each thing that can be wrong with a rule, in the words that its author reads.
func TestRule_Validate_says(t *testing.T) {
	no := &APIError{Code: "No"}
	for want, r := range map[string]Rule{
		"nothing happens: want error, net, latency or bandwidth":                        {Service: "db"},
		"error and net are both set: a call can fail in one way only":                   {Error: no, Net: Reset},
		"probability: 1.5 is not between 0 and 1":                                       {Net: Reset, Probability: 1.5},
		"probability: -1 is not between 0 and 1":                                        {Net: Reset, Probability: -1},
		"off: the rule is off and has a probability, 0.5":                               {Net: Reset, Off: true, Probability: 0.5},
		"after -1, first 0, every 0: a count is negative":                               {Net: Reset, After: -1},
		"after 0, first -1, every 0: a count is negative":                               {Net: Reset, First: -1},
		"after 0, first 0, every -1: a count is negative":                               {Net: Reset, Every: -1},
		"bytes -1, bandwidth 0: want neither negative":                                  {Net: Truncate, Bytes: -1},
		"bytes 0, bandwidth -1: want neither negative":                                  {Bandwidth: -1},
		`bytes: it is for net "truncate" only`:                                          {Net: Reset, Bytes: 1},
		`bandwidth: net "drip" has one of its own, 10 bytes a second`:                   {Net: Drip, Bandwidth: 1},
		"bandwidth: there is no answer of the service to slow down":                     {Net: Reset, Bandwidth: 1},
		"from: -1ns is negative":                                                        {Net: Reset, From: -1},
		"until: -1ns is negative":                                                       {Net: Reset, Until: -1},
		"until: 1s is not after from, 1s":                                               {Net: Reset, From: time.Second, Until: time.Second},
		"error: code is missing":                                                        {Error: &APIError{}},
		`error: code is "a b"; want a word such as AccessDeniedException`:               {Error: &APIError{Code: "a b"}},
		`error: code is "a<b"; want a word such as AccessDeniedException`:               {Error: &APIError{Code: "a<b"}},
		"error: statusCode: 399 is not an HTTP error, 400 to 599":                       {Error: &APIError{Code: "No", StatusCode: 399}},
		"error: statusCode: 600 is not an HTTP error, 400 to 599":                       {Error: &APIError{Code: "No", StatusCode: 600}},
		"latency: base 0s and jitter 0s: want neither negative, and their sum above 0":  {Latency: &Latency{}},
		"latency: base -1s and jitter 2s: want neither negative, and their sum above 0": {Latency: &Latency{-time.Second, 2 * time.Second}},
		`net: unknown kind "rest"; want one of reset, eof, blackhole, timeout, dialtimeout, refuse, nxdomain, tls, cutrequest, truncate, stall, drip, corrupt, empty, html, errorpage`: {Net: "rest"},
		`table: "arn:aws:dynamodb:us-east-1:1:table/t" is an ARN; want the table's name, which also those calls have that name it by its ARN`:                                          {Net: Reset, Table: "arn:aws:dynamodb:us-east-1:1:table/t"},
	} {
		if err := r.Validate(); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
		if err := New(Options{}).Set(r); err == nil || err.Error() != "fault: rule 1: "+want {
			t.Errorf("Set: %v; want %s", err, want)
		}
	}
	for _, r := range []Rule{
		{Error: &APIError{Code: "No", StatusCode: 400}},
		{Error: &APIError{Code: "No", StatusCode: 599}},
		{Net: Truncate, Bytes: 1, Bandwidth: 1},
		{Bandwidth: 1},
		{Net: Reset, From: 1, Until: 2, Probability: 1},
	} {
		if err := r.Validate(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if err := New(Options{}).Add(Rule{Net: Reset}, Rule{}); err == nil || !strings.HasPrefix(err.Error(), "fault: rule 2: nothing happens") {
		t.Errorf("Add: %v", err)
	}
}

// The same refusal in JSON and in CBOR, to the byte.
func TestAPIError_response_forms(t *testing.T) {
	e := (&APIError{Code: "ThrottlingException"}).expand(Call{Service: "CloudWatch"})
	req := httptest.NewRequest("POST", "http://monitoring/", nil)
	req.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801.PutMetricData")
	resp := e.response(req)
	body, err := io.ReadAll(resp.Body)
	const want = `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate of requests exceeds the allowed throughput."}`
	if err != nil || string(body) != want || resp.Status != "400 Bad Request" || resp.ContentLength != int64(len(want)) || resp.Header.Get("X-Amz-Crc32") == "" || resp.Request != req {
		t.Errorf("%v %s %v, %v", resp.Status, body, resp.Header, err)
	}
	req.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	resp = e.response(req)
	body, err = io.ReadAll(resp.Body)
	cbor := "\xa2\x7a\x00\x00\x00\x06__type\x7a\x00\x00\x00\x3bcom.amazonaws.dynamodb.v20120810#ThrottlingException"
	cbor = strings.Replace(cbor, "\x3b", string(rune(len("com.amazonaws.dynamodb.v20120810#ThrottlingException"))), 1) + "\x7a\x00\x00\x00\x07message\x7a\x00\x00\x00\x30Rate of requests exceeds the allowed throughput."
	if err != nil || string(body) != cbor || resp.Header.Get("Content-Type") != "application/cbor" || resp.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("%q\nwant\n%q\n%v, %v", body, cbor, resp.Header, err)
	}
	for code, want := range map[string]string{
		"AccessDeniedException": "com.amazon.coral.service#", "ServiceUnavailableException": "com.amazon.coral.service#", "ValidationException": "com.amazon.coral.validate#", "Other": "com.amazonaws.dynamodb.v20120810#",
	} {
		if got := (&APIError{Code: code}).namespace(); got != want {
			t.Errorf("%s: %s; want %s", code, got, want)
		}
	}
}

// A message is filled in for the call, and the rule's own stays as it was.
func TestAPIError_expand(t *testing.T) {
	e := &APIError{Code: "No", Message: "{service} {region} {operation} {table} {other}"}
	got := e.expand(Call{Service: "CloudWatch Logs", Region: "us-east-1", Operation: "PutLogEvents", Tables: []string{"a", "b"}})
	if *got != (APIError{400, "No", "cloudwatchlogs us-east-1 PutLogEvents a {other}"}) || e.Message != "{service} {region} {operation} {table} {other}" || e.StatusCode != 0 {
		t.Errorf("%+v, %+v", got, e)
	}
	if got := e.expand(Call{}); got.Message != "    {other}" {
		t.Errorf("%q", got.Message)
	}
}

// What a dialer is told, and when; kinds that are no matter of a connection let
// it go on.
func TestInjector_Dialer_kinds(t *testing.T) {
	for name, c := range map[string]struct {
		rule Rule
		want string
		took time.Duration
	}{
		"refuse":        {Rule{Net: Refuse}, "dial tcp db:1: connect: connection refused", 0},
		"refuse, later": {Rule{Net: Refuse, Latency: &Latency{Base: time.Second}}, "dial tcp db:1: connect: connection refused", time.Second},
		"nxdomain":      {Rule{Net: NXDomain}, "dial tcp: lookup db: no such host", 0},
		"dialtimeout":   {Rule{Net: DialTimeout}, "dial tcp db:1: i/o timeout", 30 * time.Second},
		"in 2 s":        {Rule{Net: DialTimeout, Latency: &Latency{Base: 2 * time.Second}}, "dial tcp db:1: i/o timeout", 2 * time.Second},
		"blackhole":     {Rule{Net: BlackHole}, "context deadline exceeded", time.Minute},
		"latency":       {Rule{Latency: &Latency{Base: 3 * time.Second}}, "dialled", 3 * time.Second},
		"too slow":      {Rule{Latency: &Latency{Base: time.Hour}}, "context deadline exceeded", time.Minute},
		"reset":         {Rule{Net: Reset}, "dialled", 0},
		"an error":      {Rule{Error: &APIError{Code: "No"}, Latency: &Latency{Base: time.Hour}}, "dialled", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			i, began := New(Options{}), time.Now()
			dial := i.Dialer("db", func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") })
			if _, err := dial(t.Context(), "tcp", "db:1"); err == nil || err.Error() != "dialled" {
				t.Errorf("%s: without rules: %v", name, err)
			}
			if err := i.Set(c.rule); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := dial(ctx, "tcp", "db:1")
			if err == nil || err.Error() != c.want || time.Since(began) != c.took {
				t.Errorf("%s: %v after %v; want %s after %v", name, err, time.Since(began), c.want, c.took)
			}
			if hits := i.Stats().Rules[0].Hits; (hits == 0) != (name == "reset" || name == "an error") {
				t.Errorf("%s: %d hits", name, hits)
			}
		})
	}
}

// Data changes, and its form does not; what has none is told from what has.
func TestCorrupt_keeps_the_form(t *testing.T) {
	for before, want := range map[string]string{
		`{"S":{"S":"ab+1"},"B":{"B":"YQ+/"}}`: `{"S":{"S":"ab+1"},"B":{"B":"LD/+"}}`, // binary first
		`{"BS":["YQ==","Yg=="]}`:              `{"BS":["LD==","Lt=="]}`,
		`{"BS":["YQ=="],"S":"ab"}`:            `{"BS":["LD=="],"S":"ab"}`,
		`{"a":"b\n\u00e9c\"d"}`:               `{"a":"o\n\u00e9p\"q"}`,
		`{"n": -10.5, "m": 7}`:                `{"n": -15.0, "m": 2}`,
		`[12, -3, 1e5]`:                       `[17, -8, 1e0]`,
		`{"a":null,"b":true}`:                 `{"a":null,"b":true}`,
		`{"a":"--"}`:                          `{"a":"--"}`,
		`<a b="c">d &amp; e</a>`:              `<a b="c">q &amp; r</a>`,
		"plain text 1":                        "cynva grkg 6",
		"\x00\x01\xff":                        "\xff\xfe\x00",
		"":                                    "",
	} {
		got := []byte(before)
		changed := corrupt(got)
		if string(got) != want || changed != (before != want) {
			t.Errorf("%q: %q, %t; want %q", before, got, changed, want)
		}
		if json.Valid([]byte(before)) != json.Valid(got) {
			t.Errorf("%q is no longer what it was", got)
		}
	}
}

// An answer that cannot be read is an error of the caller's, whatever was to be
// done to it; one without a body has an empty one.
func TestFault_Spoil_errors(t *testing.T) {
	for _, kind := range []Kind{Truncate, Stall, Corrupt} {
		resp := &http.Response{Body: io.NopCloser(iotest.ErrReader(errors.New("reset")))}
		if err := (&Fault{Kind: kind}).Spoil(resp); err == nil || err.Error() != "reset" {
			t.Errorf("%s: %v", kind, err)
		}
		resp = &http.Response{Body: closer{strings.NewReader("x")}}
		if err := (&Fault{Kind: kind}).Spoil(resp); err == nil || err.Error() != "cannot be closed" {
			t.Errorf("%s: %v", kind, err)
		}
	}
	resp := &http.Response{}
	if err := (&Fault{Bandwidth: 1}).Spoil(resp); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 0 {
		t.Errorf("%q, %v", body, err)
	}
}

type closer struct{ io.Reader }

func (closer) Close() error { return errors.New("cannot be closed") }

// Bytes come at the rate that is set, and stop with the request's context.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := &paced{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", 30))), ctx: t.Context(), rate: 10}
		if body, err := io.ReadAll(p); err != nil || len(body) != 30 || time.Since(began) != 3*time.Second {
			t.Errorf("%d bytes after %v, %v; want 30 after 3s", len(body), time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		p = &paced{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", 30))), ctx: ctx, rate: 10}
		if body, err := io.ReadAll(p); !errors.Is(err, context.DeadlineExceeded) || len(body) < 14 || len(body) > 15 {
			t.Errorf("%d bytes, %v; want those of a second and a half", len(body), err)
		}
	})
}

// A rest that does not come ends with the context, or when the body is closed,
// which may be done twice.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		req := httptest.NewRequest("GET", "http://db/", nil).WithContext(ctx)
		resp := &http.Response{Body: io.NopCloser(strings.NewReader("12345678")), Request: req}
		if err := (&Fault{Kind: Stall}).Spoil(resp); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if body, err := io.ReadAll(resp.Body); string(body) != "1234" || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("%q, %v after %v; want half of it, and an hour", body, err, time.Since(began))
		}
		s := &stalled{ctx: t.Context(), closed: make(chan struct{})}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("%v", err)
		}
	})
}

// Half of a body is sent, and only of one that has halves.
func TestFault_SendHalf(t *testing.T) {
	for body, want := range map[string]string{"12345678": "1234", "123": "1", "1": "not sent", "": "not sent"} {
		sent := "not sent"
		next := roundTripper(func(r *http.Request) (*http.Response, error) {
			half, err := io.ReadAll(r.Body)
			if sent = string(half); !errors.Is(err, errCut) || r.GetBody != nil {
				t.Errorf("%q: %v; want an end that no retry can mend", body, err)
			}
			return &http.Response{Body: io.NopCloser(bytes.NewReader(nil))}, nil
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://db/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		(&Fault{Kind: CutRequest}).SendHalf(req, next)
		if sent != want {
			t.Errorf("%q: %s; want %s", body, sent, want)
		}
		sent = "not sent"
		(&Fault{Kind: Reset}).SendHalf(req, next)
		if sent != "not sent" {
			t.Error("a fault of another kind sends something")
		}
	}
}

func TestHostPort(t *testing.T) {
	for text, want := range map[string]string{"http://db": "db:80", "https://db": "db:443", "https://db:8": "db:8", "http://[::1]": "[::1]:80"} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostPort(u); got != want {
			t.Errorf("%s: %s; want %s", text, got, want)
		}
	}
}

// The first and the last hit of a rule are those, whatever came between.
func TestInjector_Stats_dates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, began := New(Options{}), time.Now()
		if err := i.Set(Rule{Net: Reset}); err != nil {
			t.Fatal(err)
		}
		if s := i.Stats().Rules[0]; !s.First.IsZero() || !s.Last.IsZero() {
			t.Errorf("%+v before any", s)
		}
		for range 3 {
			timer := time.NewTimer(time.Second)
			<-timer.C
			i.Next(t.Context(), Call{})
		}
		if s := i.Stats().Rules[0]; s.Hits != 3 || s.First.Sub(began) != time.Second || s.Last.Sub(began) != 3*time.Second {
			t.Errorf("%+v; want the first after 1s and the last after 3s", s)
		}
	})
}

// Services with XML have a status of their own for a refusal, unless the rule
// has asked for another one.
func TestAPIError_response_status_in_XML(t *testing.T) {
	req := httptest.NewRequest("GET", "http://bucket/key", nil)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261125/us-east-1/s3/aws4_request")
	for _, c := range []struct{ asked, want int }{{0, 403}, {503, 503}} {
		resp := (&APIError{StatusCode: c.asked, Code: "AccessDeniedException", Message: "<no>"}).expand(Call{}).response(req)
		body, err := io.ReadAll(resp.Body)
		want := "<Error><Code>AccessDenied</Code><Message>&lt;no&gt;</Message><RequestId>" + resp.Header.Get("X-Amzn-Requestid") + "</RequestId></Error>"
		if err != nil || resp.StatusCode != c.want || string(body) != want {
			t.Errorf("%d: %d %s, %v; want %d %s", c.asked, resp.StatusCode, body, err, c.want, want)
		}
	}
}

// Unhit names each rule that hit nothing, and how often it was close.
func TestInjector_Unhit_says(t *testing.T) {
	i := New(Options{})
	if err := i.Unhit(); err != nil {
		t.Errorf("without rules: %v", err)
	}
	if err := i.Set(Rule{Service: "dbb", Net: Reset}, Rule{Service: "db", Net: Reset, After: 5}, Rule{Service: "db", Net: EOF}, Rule{Net: Reset, Off: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		i.Next(t.Context(), Call{Service: "db"})
	}
	const want = `fault: rule 1 has hit nothing (0 calls matched it): {"service":"dbb","net":"reset"}
fault: rule 2 has hit nothing (2 calls matched it): {"service":"db","after":5,"net":"reset"}`
	if err := i.Unhit(); err == nil || err.Error() != want {
		t.Errorf("%v; want\n%s", err, want)
	}
}

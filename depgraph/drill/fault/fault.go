package fault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Fault is what happens to one call, after an injector has decided. First
// Delay passes; then Error or Kind happens, or with neither the call passes.
//
// An adapter asks [Fault.Passes]: if so it waits with [Fault.Wait], makes the
// call and hands the answer to [Fault.Spoil]; if not, it lets
// [Fault.RoundTrip] answer in the service's stead.
type Fault struct {
	Delay time.Duration
	Error *APIError // with StatusCode and Message filled in
	Kind  Kind
}

// Passes reports whether the service sees the call.
func (f *Fault) Passes() bool { return f.Error == nil && f.Kind.passes() }

// Wait lets Delay pass. It returns ctx.Err() if ctx is done first.
func (f *Fault) Wait(ctx context.Context) error { return sleep(ctx, f.Delay) }

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Defaults for the kinds whose Delay is a time limit of the client's.
const (
	defaultTimeout     = time.Second
	defaultDialTimeout = 30 * time.Second
)

// RoundTrip is an http.RoundTripper's for a call that does not pass: an answer
// of the service, or an error as net/http's Transport returns it. It closes
// the request's body.
func (f *Fault) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	ctx := req.Context()
	switch f.Kind {
	case BlackHole:
		<-ctx.Done()
		return nil, ctx.Err()
	case Timeout:
		return nil, f.timeout(req)
	case DialTimeout:
		if err := sleep(ctx, cmp.Or(f.Delay, defaultDialTimeout)); err != nil {
			return nil, err
		}
		return nil, f.DialError(req.URL.Host)
	}
	if err := f.Wait(ctx); err != nil {
		return nil, err
	}
	switch {
	case f.Error != nil:
		return f.Error.response(req), nil
	case f.Kind == Empty:
		return response(req, http.StatusOK, "application/x-amz-json-1.0", nil), nil
	case f.Kind == HTML:
		return response(req, http.StatusOK, "text/html; charset=utf-8", []byte(page)), nil
	case f.Kind == Reset:
		return nil, &net.OpError{Op: "read", Net: "tcp", Source: address("127.0.0.1:0"), Addr: address(hostPort(req.URL)), Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	default:
		return nil, f.DialError(hostPort(req.URL))
	}
}

const page = "<!doctype html><title>Sign in</title><p>Please accept the terms of use.</p>"

// DialError is what net.Dialer returns for the kinds that concern the making
// of a connection to an address, host:port; nil for the others.
func (f *Fault) DialError(addr string) error {
	e := &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr)}
	switch f.Kind {
	case Refuse:
		e.Err = os.NewSyscallError("connect", syscall.ECONNREFUSED)
	case DialTimeout:
		e.Err = dialTimeout()
	case NXDomain:
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		e.Addr = nil // there is none: the name has no address
		e.Err = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	default:
		return nil
	}
	return e
}

// dialTimeout is the error inside a net.OpError when a connection attempt
// takes too long. Its type is not exported; a dialer whose deadline has passed
// gives it away before it opens a socket.
var dialTimeout = sync.OnceValue(func() error {
	_, err := (&net.Dialer{Deadline: time.Unix(1, 0)}).Dial("tcp", "127.0.0.1:1")
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return os.ErrDeadlineExceeded
})

// timeout is what http.Client.Timeout makes of an answer that does not come:
// from a real client, since the type is not exported.
func (f *Fault) timeout(req *http.Request) error {
	outer := req.Context()
	client := http.Client{
		Timeout: cmp.Or(f.Delay, defaultTimeout),
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			select {
			//lint:ignore SA1019 it is how the client tells a RoundTripper; the context's end comes before the client has noted why
			case <-r.Cancel:
				return nil, context.DeadlineExceeded
			case <-outer.Done():
				return nil, outer.Err()
			}
		}),
	}
	bare := req.Clone(outer)
	bare.Body, bare.RequestURI = nil, ""
	resp, err := client.Do(bare)
	if err == nil { // our RoundTripper never answers
		resp.Body.Close()
		return context.DeadlineExceeded
	}
	if u, ok := err.(*url.Error); ok {
		return u.Err // the outer client wraps it again
	}
	return err
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// address is a net.Addr that is known by its text alone.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// Spoil damages an answer as the fault's kind says, in place.
func (f *Fault) Spoil(resp *http.Response) error {
	switch f.Kind {
	case Truncate:
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{}))
	case Corrupt:
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		garble(body)
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return nil
}

func readAll(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	return body, err
}

// broken is the rest of a body that does not come.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// garble changes the text of the longest JSON string in body: letters and
// digits only, each to another one of its class, so that JSON stays JSON and
// base64 stays base64.
func garble(body []byte) {
	start, end := longestString(body)
	for i := start; i < end; i++ {
		switch c := body[i]; {
		case 'A' <= c && c <= 'Z':
			body[i] = 'A' + (c-'A'+13)%26
		case 'a' <= c && c <= 'z':
			body[i] = 'a' + (c-'a'+13)%26
		case '0' <= c && c <= '9':
			body[i] = '0' + (c-'0'+5)%10
		}
	}
}

// longestString finds the bounds of the longest string without an escape.
func longestString(body []byte) (start, end int) {
	for i := 0; i < len(body); i++ {
		if body[i] != '"' {
			continue
		}
		from, escaped := i+1, false
		for i++; i < len(body) && body[i] != '"'; i++ {
			if body[i] == '\\' {
				escaped = true
				i++
			}
		}
		if !escaped && i-from > end-start {
			start, end = from, min(i, len(body))
		}
	}
	return start, end
}

// expand fills in the status and the message for a call.
func (e *APIError) expand(c Call) *APIError {
	table := ""
	if len(c.Tables) > 0 {
		table = c.Tables[0]
	}
	fill := strings.NewReplacer("{service}", plain(c.Service), "{region}", c.Region, "{operation}", c.Operation, "{table}", table)
	return &APIError{
		StatusCode: cmp.Or(e.StatusCode, http.StatusBadRequest),
		Code:       e.Code,
		Message:    fill.Replace(cmp.Or(e.Message, messages[e.Code])),
	}
}

// messages are the services' texts, as far as they matter to a reader of logs.
var messages = map[string]string{
	"AccessDeniedException":                  "User: arn:aws:sts::123456789012:assumed-role/service/drill is not authorized to perform: {service}:{operation} on resource: arn:aws:{service}:{region}:123456789012:table/{table} because no identity-based policy allows the {service}:{operation} action",
	"ExpiredTokenException":                  "The security token included in the request is expired",
	"UnrecognizedClientException":            "The security token included in the request is invalid.",
	"ResourceNotFoundException":              "Requested resource not found",
	"ProvisionedThroughputExceededException": "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.",
	"ThrottlingException":                    "Rate of requests exceeds the allowed throughput.",
	"RequestLimitExceeded":                   "Throughput exceeds the current throughput limit for your account.",
	"InternalServerError":                    "Internal server error",
	"ServiceUnavailableException":            "Service is temporarily unavailable",
}

// namespace goes before the code in __type. The codes of the authentication
// layer have another one than the service's own.
func (e *APIError) namespace() string {
	switch e.Code {
	case "AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException",
		"MissingAuthenticationTokenException", "IncompleteSignatureException", "ServiceUnavailableException":
		return "com.amazon.coral.service#"
	case "ValidationException":
		return "com.amazon.coral.validate#"
	}
	return "com.amazonaws.dynamodb.v20120810#"
}

// response is the answer with the headers that the AWS SDKs look at.
func (e *APIError) response(req *http.Request) *http.Response {
	body, _ := json.Marshal(map[string]string{"__type": e.namespace() + e.Code, "message": e.Message}) // strings do not fail
	resp := response(req, e.StatusCode, "application/x-amz-json-1.0", body)
	resp.Header.Set("X-Amzn-Requestid", fmt.Sprintf("DRILL%021X", rand.Uint64()))
	resp.Header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	return resp
}

func response(req *http.Request, status int, contentType string, body []byte) *http.Response {
	h := http.Header{}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	return &http.Response{
		Status:     strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode: status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        h,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
}

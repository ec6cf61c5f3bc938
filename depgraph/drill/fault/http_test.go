package fault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

const answer = `{"value":{"B":"aGVsbG8gd29ybGQsIHRoaXMgaXMgYmluYXJ5"},"n":1}`

// origin answers without a network, so that it works in virtual time.
var origin = transport(func(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(answer))), Request: r}, nil
})

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// get returns the status and the body, or the error of either.
func get(ctx context.Context, t *testing.T, c *http.Client) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://origin.invalid/sessions/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestRoundTripper(t *testing.T) {
	dns := func(err error) bool {
		var e *net.DNSError
		return errors.As(err, &e) && e.IsNotFound && e.Name == "origin.invalid"
	}
	for name, c := range map[string]struct {
		rule   fault.Rule
		status int
		err    func(error) bool
		body   func(string) bool
		takes  time.Duration
	}{
		"passes":       {rule: fault.Denied("other"), status: 200, body: func(s string) bool { return s == answer }},
		"other path":   {rule: fault.Rule{Operation: "GET /tokens/*", Net: fault.Reset}, status: 200, body: func(s string) bool { return s == answer }},
		"slow":         {rule: fault.Slow("origin", time.Minute, 0), status: 200, body: func(s string) bool { return s == answer }, takes: time.Minute},
		"unavailable":  {rule: fault.Unavailable("origin"), status: 503, body: func(s string) bool { return json.Valid([]byte(s)) }},
		"empty":        {rule: fault.Network("origin", fault.Empty), status: 200, body: func(s string) bool { return s == "" }},
		"page":         {rule: fault.Network("origin", fault.HTML), status: 200, body: func(s string) bool { return s[0] == '<' }},
		"corrupt":      {rule: fault.Rule{Operation: "GET /sessions/*", Net: fault.Corrupt}, status: 200, body: func(s string) bool { return s != answer && json.Valid([]byte(s)) && len(s) == len(answer) }},
		"reset":        {rule: fault.Network("origin", fault.Reset), err: func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		"refuse":       {rule: fault.Network("origin", fault.Refuse), err: func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		"nxdomain":     {rule: fault.Network("origin", fault.NXDomain), err: dns},
		"truncate":     {rule: fault.Network("origin", fault.Truncate), err: func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"timeout":      {rule: fault.Network("origin", fault.Timeout), err: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, takes: time.Second},
		"dial timeout": {rule: fault.Network("origin", fault.DialTimeout), err: isTimeout, takes: 30 * time.Second},
		"black hole":   {rule: fault.Network("origin", fault.BlackHole), err: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, takes: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := injector(t, fault.Options{}, c.rule)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				status, body, err := get(ctx, t, &http.Client{Transport: i.RoundTripper("origin", origin)})
				switch {
				case c.err == nil && (err != nil || status != c.status || !c.body(body)):
					t.Errorf("%d, %q, %v", status, body, err)
				case c.err != nil && (err == nil || !c.err(err)):
					t.Errorf("error %v (%T)", err, err)
				}
				if took := time.Since(began); took != c.takes {
					t.Errorf("it took %v; want %v", took, c.takes)
				}
			})
		})
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Whatever happens, the caller's context ends it.
func TestRoundTripper_obeys_the_context(t *testing.T) {
	for _, k := range append(fault.Kinds(), "") {
		synctest.Test(t, func(t *testing.T) {
			i := injector(t, fault.Options{}, fault.Rule{Net: k, Latency: &fault.Latency{Base: time.Hour}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			_, _, err := get(ctx, t, &http.Client{Transport: i.RoundTripper("origin", origin)})
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
				t.Errorf("%q: %v after %v", k, err, took)
			}
		})
	}
}

// A name that vanishes hurts new connections only.
func TestDialer_leaves_live_connections_alone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer server.Close()
	i := fault.New(fault.Options{})
	tr := &http.Transport{DialContext: i.Dialer("origin", nil)}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	call := func() error {
		resp, err := client.Get(server.URL)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	for _, k := range []fault.Kind{fault.NXDomain, fault.Refuse} {
		if err := i.Set(fault.Network("origin", k)); err != nil {
			t.Fatal(err)
		}
		if err := call(); err != nil {
			t.Errorf("%s: the live connection failed: %v", k, err)
		}
	}
	tr.CloseIdleConnections()
	if err := call(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v; want a refusal", err)
	}
	i.Clear()
	if err := call(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestDialer_times(t *testing.T) {
	for kind, want := range map[fault.Kind]time.Duration{fault.BlackHole: time.Minute, fault.DialTimeout: 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			i := injector(t, fault.Options{}, fault.Network("", kind))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			_, err := i.Dialer("origin", nil)(ctx, "tcp", "192.0.2.1:443")
			if took := time.Since(began); err == nil || took != want {
				t.Errorf("%s: %v after %v; want %v", kind, err, took, want)
			}
		})
	}
}

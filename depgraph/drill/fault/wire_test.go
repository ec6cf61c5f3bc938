package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// The service sees half of a request that is cut, and the caller a connection
// that broke while it was sending.
func TestCutRequest(t *testing.T) {
	read := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the service read %d bytes, %v; want them to end early", len(body), err)
		}
		read <- len(body)
	}))
	defer server.Close()
	i := injector(t, fault.Options{}, fault.Network("origin", fault.CutRequest))
	client := &http.Client{Transport: i.RoundTripper("origin", nil)}
	resp, err := client.Post(server.URL, "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, syscall.EPIPE) || !strings.Contains(err.Error(), "transport connection broken: write tcp") {
		t.Errorf("Post: %v; want a broken pipe", err)
	}
	if n := <-read; n != 50_000 {
		t.Errorf("the service read %d bytes; want half", n)
	}
	if err := i.Unhit(); err != nil {
		t.Error(err)
	}
}

// Answers that end in the middle without an end of the connection are as long as
// the caller's patience, and no goroutine waits for the rest.
func TestStallAndDrip(t *testing.T) {
	for kind, want := range map[fault.Kind]string{fault.Stall: "0123456789", fault.Drip: "0123456789abcdefghij"} {
		synctest.Test(t, func(t *testing.T) {
			origin := transport(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("0123456789abcdefghij")), Request: r}, nil
			})
			i := injector(t, fault.Options{}, fault.Network("origin", kind))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			_, got, err := get(ctx, t, &http.Client{Transport: i.RoundTripper("origin", origin)})
			took := time.Since(began)
			stalls := kind == fault.Stall
			if got != want || errors.Is(err, context.DeadlineExceeded) != stalls || stalls && took != time.Minute || !stalls && took != 2*time.Second {
				t.Errorf("%s: %q, %v after %v", kind, got, err, took)
			}
		})
	}
}

// A caller that closes a stalled body is let go.
func TestStall_ends_with_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		origin := transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("0123456789")), Request: r}, nil
		})
		i := injector(t, fault.Options{}, fault.Network("origin", fault.Stall))
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://origin.test/", nil)
		resp, err := i.RoundTripper("origin", origin).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			synctest.Wait()
			resp.Body.Close()
		}()
		if got, err := io.ReadAll(resp.Body); string(got) != "01234" || err == nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestErrorPage(t *testing.T) {
	i := injector(t, fault.Options{}, fault.Network("origin", fault.ErrorPage))
	resp, err := (&http.Client{Transport: i.RoundTripper("origin", origin)}).Get("http://origin.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != 503 || !strings.Contains(string(body), "<h1>503") || err != nil {
		t.Errorf("%d %q, %v", resp.StatusCode, body, err)
	}
}

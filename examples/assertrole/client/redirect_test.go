package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/failopen/failopen/examples/assertrole/client"
)

// A redirect does not take a token along to another host.
func TestTransport_redirects(t *testing.T) {
	var got atomic.Pointer[string]
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		got.Store(&header)
	}))
	defer elsewhere.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/within":
			http.Redirect(w, r, "/here", http.StatusTemporaryRedirect)
		case "/within-away":
			http.Redirect(w, r, "/away", http.StatusTemporaryRedirect)
		default:
			header := r.Header.Get("Authorization")
			got.Store(&header)
		}
	}))
	defer service.Close()
	s, err := client.NewSource(new(door).get)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	c := http.Client{Transport: s.Transport("shop", nil)}
	for path, want := range map[string]string{"/here": "Bearer shop-1", "/within": "Bearer shop-1", "/away": "", "/within-away": ""} {
		got.Store(nil)
		resp, err := c.Get(service.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if header := got.Load(); header == nil || *header != want {
			t.Errorf("%s: %v, want %q", path, header, want)
		}
	}
}

// A proof goes to the broker, over TLS, and nowhere else; and what a broker
// answers instead of a token is an error that fits into a log.
func TestBroker_hostile(t *testing.T) {
	var leaked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	defer elsewhere.Close()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", elsewhere.URL+r.URL.Path)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for what, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"a redirect that keeps the body": {answer(308, ""), "status 308"},
		"text of several lines":          {answer(403, "no\nlevel=ERROR "+strings.Repeat("x", 9999)), `status 403: "no\nlevel=ERROR`},
		"a token that has ended":         {answer(200, `{"token":"x","expires":"2001-01-01T00:00:00Z"}`), "ends at 2001"},
		"a token without an end":         {answer(200, `{"token":"x"}`), "ends at 0001"},
	} {
		server := httptest.NewServer(c.h)
		token, err := tokenOf(t, server.URL)
		server.Close()
		if token != "" || err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, %v", what, token, err)
		}
	}
	if leaked.Load() > 0 {
		t.Error("a proof went to another host")
	}
	if _, err := tokenOf(t, "http://broker.example"); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("in the clear: %v", err)
	}
}

func tokenOf(t *testing.T, address string) (string, error) {
	t.Helper()
	b := client.Broker{URL: address, Region: "eu-central-1", Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("ASIAEXAMPLE0EXAMPLE0", "secret", "token"))}
	s, err := client.NewSource(b.Door())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return s.Token(ctx, "shop")
}

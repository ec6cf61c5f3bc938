package record

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// quick is a server with few sessions that answers at once.
func quick(t *testing.T, seed uint64) (*Server, *Client) {
	t.Helper()
	s := Start(Options{Sessions: 400, Seed: seed, Latency: time.Nanosecond})
	t.Cleanup(s.Close)
	return s, &Client{URL: s.URL(), HTTP: http.DefaultClient}
}

// What the server answers is the truth, for each kind of token.
func TestServer_tells_the_truth(t *testing.T) {
	s, c := quick(t, 1)
	good, expired := 0, 0
	for _, token := range s.Tokens()[:100] {
		truth, ok := s.Truth(token)
		session, err := c.Session(t.Context(), token)
		if ok {
			good++
			if err != nil || session.User != truth.User || !session.Expires.Equal(truth.Expires) || len(session.Scopes) == 0 || !session.Created.Before(session.Expires) {
				t.Errorf("%+v, %v; want %+v", session, err, truth)
			}
			continue
		}
		if expired++; !errors.Is(err, ErrNoSession) {
			t.Errorf("a session that has expired: %v", err)
		}
	}
	if good < 80 || expired == 0 {
		t.Errorf("%d good ones and %d that have expired; the traffic needs both", good, expired)
	}
	for _, token := range []string{"", "no such token", strings.Repeat("x", 4000)} {
		if _, err := c.Session(t.Context(), token); !errors.Is(err, ErrNoSession) {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	if n := s.Served(); n != 103 {
		t.Errorf("%d answers were counted, want 103", n)
	}
}

// The same seed makes the same sessions, and another one others.
func TestStart_is_repeatable(t *testing.T) {
	one, _ := quick(t, 7)
	again, _ := quick(t, 7)
	other, _ := quick(t, 8)
	for i, token := range one.Tokens() {
		a, _ := one.Truth(token)
		b, _ := again.Truth(token)
		if token != again.Tokens()[i] || a.User != b.User {
			t.Fatalf("the session %d differs: %s and %s", i, a.User, b.User)
		}
	}
	if one.Tokens()[0] == other.Tokens()[0] {
		t.Error("another seed makes the same token")
	}
	if token := NewToken(rand.New(rand.NewPCG(1, 1))); len(token) != 43 || strings.ContainsAny(token, "+/=. ") {
		t.Errorf("%q is not 32 bytes in base64url", token)
	}
}

// A log-out is for good, and may be repeated.
func TestServer_log_out(t *testing.T) {
	s, c := quick(t, 2)
	var token string
	for _, token = range s.Tokens() {
		if _, ok := s.Truth(token); ok {
			break
		}
	}
	for range 2 {
		if err := c.Logout(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Truth(token); ok {
			t.Error("the session is there")
		}
		if _, err := c.Session(t.Context(), token); !errors.Is(err, ErrNoSession) {
			t.Errorf("%v", err)
		}
	}
}

// A client that hangs up is not waited for, however slow the server is.
func TestServer_client_hangs_up(t *testing.T) {
	s := Start(Options{Sessions: 1, Latency: time.Hour})
	c := &Client{URL: s.URL(), HTTP: &http.Client{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := c.Session(ctx, s.Tokens()[0]); done <- err }()
	for s.Served() == 0 { // it has the question
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.Close() // waits for its handlers
}

// "There is none" is an answer; whatever else comes back is a fault, and none of
// it is taken for the other.
func TestClient_tells_faults_from_answers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		none   bool
		want   string
	}{
		"not found":  {func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }, true, "record: no such session"},
		"an error":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusInternalServerError) }, false, "record: 500 Internal Server Error"},
		"denied":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusForbidden) }, false, "record: 403 Forbidden"},
		"a redirect": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, false, "record: 304 Not Modified"},
		"no JSON":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, false, "invalid character '<' looking for beginning of value"},
		"more than fits": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"user":"`+strings.Repeat("x", 64<<10)+`"}`)
		}, false, "unexpected end of JSON input"},
		"a dead line": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "EOF"},
		"a broken answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "{}")
		}, false, "unexpected EOF"},
	} {
		server := httptest.NewServer(c.answer)
		_, err := (&Client{URL: server.URL, HTTP: &http.Client{}}).Session(t.Context(), "token")
		server.Close()
		if err == nil || !strings.HasSuffix(err.Error(), c.want) || errors.Is(err, ErrNoSession) != c.none {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := (&Client{URL: "http://[::1", HTTP: http.DefaultClient}).Session(t.Context(), "x"); err == nil || errors.Is(err, ErrNoSession) {
		t.Errorf("an address that is none: %v", err)
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"Bearer abc": "abc", "Bearer ": "", "": "", "abc": "", "Basic abc": "", "bearer abc": "", "Bearer a b": "a b"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		if got := Bearer(r); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

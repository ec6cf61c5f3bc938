package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/examples/tokenservice/auth"
	"github.com/failopen/failopen/examples/tokenservice/stack"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), 1, strings.NewReader("stats\nbogus\niam-revoked\nrestore\n\nquit\n"), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"curl -i", "% hits (local 0", `no command "bogus"`, "lose their permission", "everything works again"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
}

// TestService_survives asks with a new token in each fault: an answer that
// can only come from the system of record.
func TestService_survives(t *testing.T) {
	s, err := stack.Start(t.Context(), stack.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	var good []string
	for _, token := range s.FailOpen.Record.Tokens() {
		if _, ok := s.FailOpen.Record.Truth(token); ok {
			good = append(good, token)
		}
	}
	for i, f := range s.Faults() {
		if err := f.Begin(); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if status, source := ask(t, s.FailOpen.URL, good[i]); status != http.StatusOK || source != "origin" {
			t.Errorf("%s: a good token: status %d from %s; want 200 from origin", f.Name, status, source)
		}
		if status, _ := ask(t, s.FailOpen.URL, "no-such-token"); status != http.StatusUnauthorized {
			t.Errorf("%s: a bad token: status %d, want 401", f.Name, status)
		}
		if err := s.Restore(); err != nil {
			t.Fatalf("restore after %s: %v", f.Name, err)
		}
	}
	if status, _ := ask(t, s.FailOpen.URL, ""); status != http.StatusUnauthorized {
		t.Errorf("no token: status %d, want 401", status)
	}
}

func ask(t *testing.T, url, token string) (status int, source string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get(auth.SourceHeader)
}

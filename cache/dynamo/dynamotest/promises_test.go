package dynamotest

import (
	"strings"
	"testing"
)

// Options.Addr: without one, a port of loopback.
func TestServer_listens_on_loopback(t *testing.T) {
	s := New(Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
		t.Errorf("listens on %s", s.URL())
	}
}

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/examples/assertrole/client"
)

// door counts, and can be closed.
type door struct {
	n      atomic.Int64
	closed atomic.Bool
}

func (d *door) get(_ context.Context, audience string) (string, time.Time, error) {
	n := d.n.Add(1)
	if d.closed.Load() {
		return "", time.Time{}, errors.New("no new tokens")
	}
	return fmt.Sprint(audience, "-", n), time.Now().Add(5 * time.Minute), nil
}

// A source asks once for many callers, renews at half of the life, and lives on
// what it has when the door is closed, until shortly before the end.
func TestSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(door)
		s, err := client.NewSource(d.get)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(t.Context()) }()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if token, err := s.Token(t.Context(), "shop"); err != nil || token != "shop-1" {
					t.Errorf("%q, %v", token, err)
				}
			})
		}
		all.Wait()
		<-time.After(3 * time.Minute)
		if token, err := s.Token(t.Context(), "shop"); err != nil || token != "shop-2" {
			t.Errorf("after three minutes: %q, %v", token, err)
		}
		d.closed.Store(true)
		<-time.After(4 * time.Minute)
		if token, err := s.Token(t.Context(), "shop"); err != nil || token != "shop-2" {
			t.Errorf("the door is closed, a minute is left: %q, %v", token, err)
		}
		<-time.After(50 * time.Second)
		if token, err := s.Token(t.Context(), "shop"); err == nil {
			t.Errorf("10 s are left: %q", token)
		}
	})
}

type echo struct{}

func (echo) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(r.Header.Get("Authorization"))), Request: r}, nil
}

func TestTransport(t *testing.T) {
	d := new(door)
	s, err := client.NewSource(d.get)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop.invalid", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Transport("shop", echo{}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != "Bearer shop-1" || r.Header.Get("Authorization") != "" {
		t.Errorf("%s, %v; the caller's request: %v", text, err, r.Header)
	}
	d.closed.Store(true)
	if _, err := s.Transport("bank", echo{}).RoundTrip(r); err == nil {
		t.Error("without a token")
	}
}

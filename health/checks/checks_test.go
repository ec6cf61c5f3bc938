package checks_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/checks"
)

var _ checks.Pinger = (*sql.DB)(nil)

type pinger struct{ err error }

func (p pinger) PingContext(context.Context) error { return p.err }

func TestChecks(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/hangs":
			<-hang
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}
	}))
	defer server.Close()
	defer close(hang)
	addr := strings.TrimPrefix(server.URL, "http://")
	for name, c := range map[string]struct {
		check func(context.Context) error
		want  string // "": it passes
	}{
		"HTTP":          {checks.HTTP(nil, server.URL), ""},
		"HTTP, moved":   {checks.HTTP(nil, server.URL+"/moved"), "status 302"},
		"HTTP, broken":  {checks.HTTP(nil, server.URL+"/broken"), "status 500"},
		"HTTP, hangs":   {checks.HTTP(nil, server.URL+"/hangs"), "deadline exceeded"},
		"HTTP, endless": {checks.HTTP(nil, server.URL+"/endless"), ""},
		"HTTP, no URL":  {checks.HTTP(nil, ":"), "malformed"},
		"Ping, nil":     {checks.Ping(nil), "nil"},
		"TCP":           {checks.TCP(addr), ""},
		"TCP, refused":  {checks.TCP("127.0.0.1:1"), "refused"},
		"Name":          {checks.Name(nil, "localhost"), ""},
		"Name, none":    {checks.Name(nil, "name.invalid"), "name.invalid"},
		"Ping":          {checks.Ping(pinger{}), ""},
		"Ping, no":      {checks.Ping(pinger{errors.New("no")}), "no"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := c.check(ctx)
		cancel()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Two dependencies of a service.
func Example() {
	p := new(health.Process)
	for _, d := range []health.Dependency{
		{Name: "ledger", Check: checks.TCP("ledger.internal:5432")},
		{Name: "prices", Check: checks.HTTP(nil, "https://prices.internal/livez"), Soft: true},
	} {
		if err := p.Depend(d); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(len(p.Report().Checks), "checks")
	// Output: 2 checks
}

// A URL's user, password, path and query stay out of errors.
func TestHTTP_keeps_secrets(t *testing.T) {
	for _, address := range []string{
		"http://alice:s3cret@127.0.0.1:1/s3cret?token=s3cret",
		"http://alice:s3cret@bad host/?token=s3cret",
		"http://127.0.0.1:s3cret/",
	} {
		err := checks.HTTP(nil, address)(t.Context())
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// status is that of grpc_health_v1: UNKNOWN, SERVING, NOT_SERVING.
type status int32

type response struct{ status status }

func (r *response) GetStatus() status {
	if r == nil {
		return 0
	}
	return r.status
}

type client struct{ err error }

type input struct{ Table string }

func (c client) DescribeTable(_ context.Context, in *input, _ ...func(*client)) (*response, error) {
	if in == nil || in.Table != "orders" {
		return nil, errors.New("no such table")
	}
	return &response{}, c.err
}

func TestAdapters(t *testing.T) {
	grpc := func(s status, err error) func(context.Context) error {
		return checks.GRPC(func(context.Context) (*response, error) { return &response{s}, err })
	}
	down := errors.New("down")
	for name, c := range map[string]struct {
		check func(context.Context) error
		want  string // part of the error
	}{
		"serving":         {grpc(1, nil), ""},
		"not serving":     {grpc(2, nil), "status is 2"},
		"unknown":         {grpc(0, nil), "status is 0"},
		"grpc down":       {grpc(1, down), "down"},
		"no response":     {checks.GRPC(func(context.Context) (*response, error) { return nil, nil }), "status is 0"},
		"grpc nil":        {checks.GRPC[*response](nil), "nil"},
		"answered":        {checks.Call(client{}.DescribeTable, &input{"orders"}), ""},
		"refused":         {checks.Call(client{down}.DescribeTable, &input{"orders"}), "down"},
		"call nil":        {checks.Call[*input, *response, func(*client)](nil, nil), "nil"},
		"nothing wrong":   {checks.Stats(func() int { return 1 }, func(int) error { return nil }), ""},
		"something wrong": {checks.Stats(func() int { return 1 }, func(int) error { return down }), "down"},
		"stats nil":       {checks.Stats[int](nil, nil), "nil"},
	} {
		switch err := c.check(t.Context()); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

package healthgo_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	hellofresh "github.com/hellofresh/health-go/v5"

	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/healthgo"
)

func TestImport_refuses(t *testing.T) {
	check := func(context.Context) error { return nil }
	for want, c := range map[string]hellofresh.Config{
		"Name is empty":  {Check: check},
		"Check is nil":   {Name: "a"},
		"Timeout is -1s": {Name: "a", Check: check, Timeout: -time.Second},
	} {
		if _, err := healthgo.Import(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error about %q", err, want)
		}
	}
}

// body is health-go's answer.
type body struct {
	Status   string            `json:"status"`
	Failures map[string]string `json:"failures"`
}

func get(t *testing.T, h http.Handler) (int, body) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var b body
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	return w.Code, b
}

// TestHandler_faults puts health-go checks that panic, hang and fail behind
// package health, and reads health-go's JSON.
func TestHandler_faults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p health.Process
		release := make(chan struct{})
		for name, check := range map[string]hellofresh.CheckFunc{
			"good":   func(context.Context) error { return nil },
			"panics": func(context.Context) error { panic("in the catalogue") },
			"hangs":  func(context.Context) error { <-release; return nil },
			"fails":  func(context.Context) error { return errors.New("host=db.internal user=admin password=x") },
		} {
			d, err := healthgo.Import(hellofresh.Config{Name: name, Check: check, Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Depend(d); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = p.Run(ctx) }()
		<-time.After(5 * time.Minute)
		h := healthgo.Handler(&p, hellofresh.Component{Name: "shop", Version: "1"})
		code, b := get(t, h)
		if code != http.StatusOK || b.Status != string(hellofresh.StatusPartiallyAvailable) || len(b.Failures) != 3 {
			t.Errorf("%d %+v; want 200, partially available, 3 failures", code, b)
		}
		for name, text := range b.Failures {
			if text != "failing" || name != "panics" && name != "hangs" && name != "fails" {
				t.Errorf("failure %s: %s", name, text)
			}
		}
		p.Fatal(errors.New("corrupt"))
		if code, b := get(t, h); code != http.StatusServiceUnavailable || b.Status != string(hellofresh.StatusUnavailable) {
			t.Errorf("not live: %d %+v; want 503, unavailable", code, b)
		}
		cancel()
		close(release)
		synctest.Wait()
	})
}

// TestVersion_does_not_leak fails with health-go 5.5.4, which leaks a
// goroutine for each check that times out, forever.
func TestVersion_does_not_leak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := hellofresh.New(hellofresh.WithChecks(hellofresh.Config{
			Name: "slow", Timeout: time.Second,
			Check: func(context.Context) error { <-time.After(2 * time.Second); return nil },
		}))
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			h.Measure(t.Context())
		}
		<-time.After(time.Minute)
		synctest.Wait()
		// By name, since the runtime counts goroutines of its own.
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if n := strings.Count(string(stacks), "created by github.com/hellofresh/health-go"); n > 0 {
			t.Errorf("%d goroutines are left of 100 time-outs:\n%s", n, stacks)
		}
	})
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "github.com/hellofresh/health-go/v5 v5.5.5") {
		t.Error("go.mod does not require health-go v5.5.5")
	}
}

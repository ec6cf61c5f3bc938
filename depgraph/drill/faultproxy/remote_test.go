package faultproxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Whatever is wrong with a file for the token is said before a call is made.
func TestNewClient_refuses(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"":                         "holds no token",
		" \n":                      "holds no token",
		"a b\n":                    "holds no token",
		strings.Repeat("x", 1025):  "holds no token",
		strings.Repeat("x", 99999): "holds no token",
		"token\n":                  "",
	} {
		name := filepath.Join(dir, "token")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := NewClient("http://127.0.0.1:1/", name)
		if got := fmt.Sprint(err); want != "" && got != "faultproxy: "+name+" "+want || want == "" && (err != nil || c.token != "token" || c.url != "http://127.0.0.1:1") {
			t.Errorf("%.10q: %v; want %s", content, err, want)
		}
	}
	for control, want := range map[string]string{
		"127.0.0.1:1":          `faultproxy: the control API's URL: "127.0.0.1:1"; want a URL such as http://127.0.0.1:8000`,
		"http://example.com:1": `faultproxy: the control API's URL is "http://example.com:1"; want one of loopback, such as http://127.0.0.1:8474: the token goes to nobody else`,
		"https://127.0.0.1:1":  `faultproxy: the control API's URL is "https://127.0.0.1:1"; want one of loopback, such as http://127.0.0.1:8474: the token goes to nobody else`,
		"http://127.0.0.1:1":   "faultproxy: the token: open " + filepath.Join(dir, "none") + ": no such file or directory",
	} {
		if _, err := NewClient(control, filepath.Join(dir, "none")); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if _, err := NewClient("http://127.0.0.1:1", dir); err == nil || err.Error() != "faultproxy: the token: read "+dir+": is a directory" {
		t.Errorf("%v", err)
	}
}

// roundTripper answers without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// inMemory is a client of a proxy that does not listen.
func inMemory(p *Proxy, token string) *Client {
	handler := p.control()
	return &Client{url: "http://127.0.0.1:1", token: token, http: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result(), nil
	})}}
}

// What a client says of an answer that is not what it should be.
func TestClient_errors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		err    error
		want   string
	}{
		"no proxy":       {0, "", errors.New("refused"), `faultproxy: the control API: Get "http://127.0.0.1:1/faults": refused`},
		"another server": {404, "<h1>not here</h1>", nil, "faultproxy: the control API: status 404: <h1>not here</h1>"},
		"a long page":    {500, strings.Repeat("x", 300), nil, "faultproxy: the control API: status 500: " + strings.Repeat("x", 256) + "…"},
		"the proxy's":    {400, `{"error":"for is \"x\""}`, nil, `faultproxy: the control API: status 400: for is "x"`},
		"busy":           {412, `{"error":"whatever"}`, nil, "faultproxy: the control API: the proxy has rules already: another drill uses it"},
		"not JSON":       {200, "ok", nil, "faultproxy: the control API: invalid character 'o' looking for beginning of value"},
		"a redirect":     {302, "", nil, "faultproxy: the control API: status 302: "},
	} {
		client := &Client{url: "http://127.0.0.1:1", http: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if c.err != nil {
				return nil, c.err
			}
			return &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
		})}}
		if _, err := client.Faults(t.Context()); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
	broken := &Client{url: "http://127.0.0.1:1", http: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(iotest.ErrReader(errors.New("reset"))), Request: r}, nil
	})}}
	if _, err := broken.Stats(t.Context()); err == nil || err.Error() != "faultproxy: the control API: reset" {
		t.Errorf("%v", err)
	}
	_, err := inMemory(proxy(t, Options{}), "wrong").Events(t.Context(), 0)
	if err == nil || err.Error() != "faultproxy: the control API: status 401: want Authorization: Bearer, with the token in token" {
		t.Errorf("%v", err)
	}
}

// Rules over the control API end by themselves; rules that are set anew have a
// lease of their own.
func TestControl_lease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan string, 10)
		p, err := newProxy(Options{Log: func(s string) { said <- s }})
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		p.tokens = "secret"
		c := inMemory(p, "secret")
		pass := func(d time.Duration) {
			timer := time.NewTimer(d)
			<-timer.C
			synctest.Wait()
		}
		rules := func() int {
			f, err := c.Faults(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(f.Rules)
		}
		reset := fault.Network("db", fault.Reset)
		if err := c.Set(t.Context(), 0, reset); err != nil {
			t.Fatal(err)
		}
		f, err := c.Faults(t.Context())
		if err != nil || !f.Until.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("%+v, %v; want an hour", f, err)
		}
		pass(time.Hour - 1)
		if err := c.Add(t.Context(), 2*time.Minute, fault.Network("mail", fault.Reset)); err != nil || rules() != 2 {
			t.Errorf("%v, %d rules", err, rules())
		}
		held := p.held()
		pass(2*time.Minute - 1)
		if rules() != 2 || len(said) != 0 {
			t.Errorf("%d rules, %d said; want both until the new lease ends", rules(), len(said))
		}
		pass(1)
		select {
		case <-held:
		default:
			t.Error("what the rules hold is not let go")
		}
		if got := <-said; rules() != 0 || got != "the rules have ended by themselves after 2m0s" {
			t.Errorf("%d rules, %q", rules(), got)
		}
		if f, err := c.Faults(t.Context()); err != nil || !f.Until.IsZero() {
			t.Errorf("%+v, %v; want no end without rules", f, err)
		}
		if err := c.Set(t.Context(), 25*time.Hour, reset); err == nil || err.Error() != `faultproxy: the control API: status 400: for is "25h0m0s"; want a duration such as 5m, at most 24h0m0s` {
			t.Errorf("%v", err)
		}
	})
}

// A drill of a remote proxy, through its control API: what it takes credit for,
// and what it leaves alone.
func TestRemote_in_memory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := newProxy(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		p.tokens = "secret"
		c := inMemory(p, "secret")
		rule := fault.Network("db", fault.Reset)
		r := c.Fault(time.Hour, rule)
		if err := r.Guard(t.Context()); err != nil || !reflect.DeepEqual(r.Rules(), []fault.Rule{rule}) || r.Left() != "" {
			t.Errorf("%v, %v, %q", err, r.Rules(), r.Left())
		}
		if err := r.Inject(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		p.injector.Next(t.Context(), fault.Call{Service: "db"})
		p.injector.Next(t.Context(), fault.Call{Service: "other"})
		if s := r.Seen(); s.Hits != 1 || s.First.Sub(at) > time.Microsecond || !s.Last.Equal(s.First) {
			t.Errorf("%+v; want one, now", s)
		}
		if got := r.Left(); got != "rules are still in force in the proxy" {
			t.Errorf("%q", got)
		}
		const busy = "the proxy has 1 rules already, until "
		second := c.Fault(time.Hour, rule)
		if err := second.Guard(t.Context()); err == nil || err.Error() != busy+at.Add(time.Hour).Format(time.TimeOnly)+": another drill uses it" {
			t.Errorf("%v", err)
		}
		if err := second.Inject(t.Context()); !errors.Is(err, errBusy) || second.Seen().Hits != 0 {
			t.Errorf("%v, %+v; want to be refused, and no hits of the other", err, second.Seen())
		}
		if err := second.Revert(t.Context()); err != nil || !p.injector.Active() {
			t.Errorf("%v; want the other's rules to stay", err)
		}
		if err := r.Halted(t.Context(), drill.Second{}); err != nil {
			t.Errorf("%v", err)
		}
		if err := c.Halt(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Halted(t.Context(), drill.Second{}); !errors.Is(err, errHalted) {
			t.Errorf("%v; want that it was halted", err)
		}
		if s := r.Seen(); s.Hits != 1 {
			t.Errorf("%+v; want what was seen before the rules went", s)
		}
		if err := r.Revert(t.Context()); err != nil || r.Seen().Hits != 1 {
			t.Errorf("%v, %+v", err, r.Seen())
		}
		if err := r.Inject(t.Context()); err != nil || r.Seen().Hits != 0 || r.Halted(t.Context(), drill.Second{}) != nil {
			t.Errorf("again: %v, %+v; want it to begin at zero, and no halt of before", err, r.Seen())
		}
		c.token = "wrong"
		for name, err := range map[string]error{"Guard": r.Guard(t.Context()), "Inject": r.Inject(t.Context()), "Halted": r.Halted(t.Context(), drill.Second{}), "Revert": r.Revert(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), "status 401") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := r.Left(); !strings.HasPrefix(got, "it cannot be seen whether rules are still in force: faultproxy: the control API: status 401") {
			t.Errorf("%q", got)
		}
	})
}

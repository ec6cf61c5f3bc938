package faultproxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

func TestEvents_are_bounded(t *testing.T) {
	p := start(t, faultproxy.Options{Upstream: "http://127.0.0.1:1", MaxEvents: 3})
	if err := p.Injector().Set(fault.Rule{Operation: "GET /x*", Error: &fault.APIError{Code: "No"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		resp, err := http.Get(fmt.Sprintf("%s/x%d", p.URL(), i))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	c, err := faultproxy.NewClient(p.ControlURL(), p.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Events(t.Context(), 0)
	if err != nil || len(e.Events) != 3 || e.Lost != 2 || e.Next != 5 || e.Events[0].Operation != "GET /x2" || e.Events[2].Serial != 5 || e.Events[0].Fault != "No" {
		t.Errorf("%+v %v", e, err)
	}
	if e, err = c.Events(t.Context(), 4); err != nil || len(e.Events) != 1 || e.Lost != 0 {
		t.Errorf("%+v %v", e, err)
	}
	if e, err = c.Events(t.Context(), 99); err != nil || len(e.Events) != 0 {
		t.Errorf("%+v %v", e, err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func request(t *testing.T, p *faultproxy.Proxy, method, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	token, err := os.ReadFile(p.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, p.ControlURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if change != nil {
		change(req)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestControl(t *testing.T) {
	p := start(t, faultproxy.Options{})
	const rule = `[{"service":"dynamodb","error":{"code":"AccessDeniedException"}}]`
	for name, row := range map[string]struct {
		method, path, body string
		change             func(*http.Request)
		status             int
		want               string
	}{
		"no token":        {"GET", "/faults", "", func(r *http.Request) { r.Header.Del("Authorization") }, 401, "Bearer"},
		"wrong token":     {"GET", "/stats", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401, "Bearer"},
		"basic":           {"GET", "/events", "", func(r *http.Request) { r.SetBasicAuth("a", "b") }, 401, "Bearer"},
		"web page":        {"POST", "/halt", "", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, "web pages"},
		"rebound name":    {"GET", "/faults", "", func(r *http.Request) { r.Host = "evil.example" }, 421, "evil.example"},
		"health":          {"GET", "/healthz", "", func(r *http.Request) { r.Header.Del("Authorization") }, 200, "ok"},
		"not JSON":        {"POST", "/faults", "{", nil, 400, "EOF"},
		"an object":       {"POST", "/faults", "{}", nil, 400, "error"},
		"null":            {"POST", "/faults", "null", nil, 400, "null"},
		"unknown field":   {"POST", "/faults", `[{"servic":"x"}]`, nil, 400, "servic"},
		"nothing happens": {"POST", "/faults", `[{"service":"x"}]`, nil, 400, "nothing happens"},
		"bad for":         {"POST", "/faults?for=-1m", rule, nil, 400, "for is"},
		"too long":        {"POST", "/faults?for=48h", rule, nil, 400, "24h"},
		"misspelt for":    {"POST", "/faults?For=5m", rule, nil, 400, "no parameter"},
		"two of for":      {"POST", "/faults?for=5m&for=1h", rule, nil, 400, "2 times"},
		"bad query":       {"PATCH", "/faults?for=5m;x", rule, nil, 400, "query"},
		"misspelt since":  {"GET", "/events?from=3", "", nil, 400, "no parameter"},
		"nothing":         {"POST", "/faults", "", nil, 400, "there is nothing"},
		"a code":          {"POST", "/faults", `[{"error":{"code":"x\r\nSet-Cookie: a"}}]`, nil, 400, "code is"},
		"huge":            {"POST", "/faults", "[" + strings.Repeat(" ", 2<<20) + "]", nil, 413, "too large"},
		"too many":        {"POST", "/faults", "[" + strings.Repeat(`{"net":"reset"},`, 1000) + `{"net":"reset"}]`, nil, 400, "1001 rules"},
		"unknown toxic":   {"POST", "/faults", `[{"type":"slicer"}]`, nil, 400, "slicer"},
		"since":           {"GET", "/events?since=x", "", nil, 400, "since"},
		"no such thing":   {"GET", "/nothing", "", nil, 404, ""},
		"wrong method":    {"PUT", "/faults", rule, nil, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := request(t, p, row.method, row.path, row.body, row.change)
			if status != row.status || !strings.Contains(text, row.want) {
				t.Errorf("status %d, %.300s; want %d with %q", status, text, row.status, row.want)
			}
			if p.Injector().Active() {
				t.Error("rules are in force")
			}
		})
	}
	status, text := request(t, p, "POST", "/faults?for=5m", rule, nil)
	var f faultproxy.Faults
	if err := json.Unmarshal([]byte(text), &f); err != nil || status != 200 || len(f.Rules) != 1 || time.Until(f.Until) > 5*time.Minute || time.Until(f.Until) < time.Minute {
		t.Errorf("%d %s %v", status, text, err)
	}
	if status, text = request(t, p, "PATCH", "/faults", `[{"service":"sts","net":"reset"}]`, nil); status != 200 || len(p.Injector().Rules()) != 2 {
		t.Errorf("%d %s", status, text)
	}
	if status, text = request(t, p, "DELETE", "/faults", "", nil); status != 200 || p.Injector().Active() {
		t.Errorf("%d %s", status, text)
	}
	request(t, p, "POST", "/faults", rule, nil)
	if status, text = request(t, p, "POST", "/halt", "", nil); status != 200 || p.Injector().Active() || p.Stats().Halts != 1 {
		t.Errorf("%d %s", status, text)
	}
	// The rules end by themselves when whoever has set them does not come back.
	request(t, p, "POST", "/faults?for=1ms", rule, nil)
	for p.Injector().Active() {
		runtime.Gosched()
	}
}

func TestParseRules_toxics(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"latency","attributes":{"latency":1000,"jitter":100},"toxicity":0.5,"service":"redis"}`: `{"service":"redis","probability":0.5,"latency":{"base":"900ms","jitter":"200ms"}}`,
		`{"type":"bandwidth","attributes":{"rate":10}}`:                                                  `{"bandwidth":10000}`,
		`{"type":"timeout","attributes":{"timeout":0}}`:                                                  `{"net":"blackhole"}`,
		`{"type":"timeout","attributes":{"timeout":2000},"stream":"upstream"}`:                           `{"latency":{"base":"2s"},"net":"timeout"}`,
		`{"type":"reset_peer"}`: `{"net":"reset"}`,
		`{"name":"x","type":"limit_data","attributes":{"bytes":1024}}`: `{"net":"truncate","bytes":1024}`,
	} {
		rules, err := faultproxy.ParseRules([]byte("[" + text + "]"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := json.Marshal(rules[0]); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"type":"slow_close","attributes":{"delay":1}}`:                          "slow_close",
		`{"type":"latency","attributes":{"latency":-1}}`:                          "latency is -1",
		`{"type":"latency","attributes":{"latncy":1}}`:                            "latncy",
		`{"type":"latency"}`:                                                      "latency",
		`{"type":"latency","attributes":{"latency":1},"toxicity":2}`:              "probability",
		`{"type":"bandwidth","attributes":{"rate":1},"stream":"upstream"}`:        "downstream",
		`{"type":"bandwidth","attributes":{"rate":1},"stream":"sideways"}`:        "sideways",
		`{"type":"latency","attributes":{"latency":1},"enabled":true}`:            "enabled",
		`{"type":"latency","attributes":{"latency":1}},{"net":"reset","from":-1}`: "rule 2",
	} {
		if rules, err := faultproxy.ParseRules([]byte("[" + text + "]")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want an error with %q", text, rules, err, want)
		}
	}
}

func TestClient_token_stays_on_this_machine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, control := range []string{"http://example.com:80", "https://127.0.0.1:1", "127.0.0.1:1", "http://user:pw@127.0.0.1:1", "http://127.0.0.1.evil.example:1"} {
		if _, err := faultproxy.NewClient(control, file); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", control, err)
		}
	}
	if _, err := faultproxy.NewClient("http://127.0.0.1:1", file+"x"); err == nil {
		t.Error("no error without a token")
	}
}

// A drill does not take the rules of another one away, whichever came first.
func TestRemote_one_drill_at_a_time(t *testing.T) {
	p := start(t, faultproxy.Options{})
	client, err := faultproxy.NewClient(p.ControlURL(), p.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	first, second := client.Fault(time.Minute, fault.Denied("dynamodb")), client.Fault(time.Minute, fault.Denied("sts"))
	for _, r := range []*faultproxy.Remote{first, second} {
		if err := r.Guard(t.Context()); err != nil { // both look before either begins
			t.Fatal(err)
		}
	}
	if err := first.Inject(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Inject(t.Context()); err == nil || !strings.Contains(err.Error(), "another drill") {
		t.Errorf("%v; want that another drill uses the proxy", err)
	}
	if err := second.Revert(t.Context()); err != nil {
		t.Error(err)
	}
	if rules := p.Injector().Rules(); len(rules) != 1 || rules[0].Service != "dynamodb" {
		t.Errorf("%v; want the first drill's rules still in force", rules)
	}
	if err := first.Revert(t.Context()); err != nil || p.Injector().Active() {
		t.Errorf("%v; want no rules", err)
	}
	if err := second.Inject(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Revert(t.Context()); err != nil || p.Injector().Active() {
		t.Errorf("%v; want no rules", err)
	}
}

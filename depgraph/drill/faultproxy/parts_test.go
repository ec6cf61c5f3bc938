package faultproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// The parts of a proxy, each without a port: what a request is, where it goes,
// what a rule from elsewhere is, and what becomes of bytes in a tunnel.

// proxy is one that does not listen.
func proxy(t *testing.T, o Options) *Proxy {
	t.Helper()
	p, err := newProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	p.tokens = "secret"
	t.Cleanup(p.stop)
	return p
}

func TestServiceOf(t *testing.T) {
	for name, want := range map[string][2]string{
		"dynamodb.us-east-1.amazonaws.com":              {"dynamodb", "us-east-1"},
		"dynamodb.cn-north-1.amazonaws.com.cn":          {"dynamodb", "cn-north-1"},
		"dynamodb.us-east-1.api.aws":                    {"dynamodb", "us-east-1"},
		"dynamodb-fips.us-gov-west-1.amazonaws.com":     {"dynamodb", "us-gov-west-1"},
		"123456789012.ddb.us-east-1.amazonaws.com":      {"dynamodb", "us-east-1"},
		"bucket.name.s3.eu-central-1.amazonaws.com":     {"s3", "eu-central-1"},
		"sts.amazonaws.com":                             {"sts", ""},
		"logs.us-east-1.amazonaws.com":                  {"CloudWatch Logs", "us-east-1"},
		"states.us-east-1.amazonaws.com":                {"SFN", "us-east-1"},
		"us-east-1.amazonaws.com":                       {"us-east-1", ""}, // no service at all
		"amazonaws.com":                                 {"amazonaws.com", ""},
		"dynamodb.us-east-1.amazonaws.com.evil.example": {"dynamodb.us-east-1.amazonaws.com.evil.example", ""},
		"x.cloud-front.amazonaws.com":                   {"cloud-front", ""}, // one hyphen is no region
		"redis.internal":                                {"redis.internal", ""},
		"":                                              {"", ""},
	} {
		if service, region := serviceOf(name); service != want[0] || region != want[1] {
			t.Errorf("%s: %q, %q; want %q", name, service, region, want)
		}
	}
}

func TestHostname_and_hostPort(t *testing.T) {
	for host, want := range map[string]string{
		"Shop.Example.": "shop.example", "shop:80": "shop", "[::1]:8000": "::1", "[::1]": "::1", "::1": "::1", "": "", "SHOP.:443": "shop",
	} {
		if got := hostname(host); got != want {
			t.Errorf("%q: %q; want %q", host, got, want)
		}
	}
	for text, want := range map[string]string{
		"http://shop": "shop:80", "https://shop": "shop:443", "http://shop:8": "shop:8", "https://[::1]": "[::1]:443", "http://[::1]:8": "[::1]:8",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostPort(u); got != want {
			t.Errorf("%s: %s; want %s", text, got, want)
		}
	}
}

// What a request is to a rule: by its signature, its target, its form, or only
// by its host, method and path. The body is there again afterwards.
func TestProxy_classify(t *testing.T) {
	p := proxy(t, Options{MaxBody: 100})
	const scope = "AWS4-HMAC-SHA256 Credential=AKID/20261125/us-east-1/%s/aws4_request, SignedHeaders=host"
	long := `{"TableName":"sessions","Key":"` + strings.Repeat("x", 100) + `"}`
	for name, c := range map[string]struct {
		method, url, body string
		header            map[string]string
		want              fault.Call
	}{
		"not AWS":               {"GET", "http://shop/cart?x=1", "", nil, fault.Call{Service: "shop.example", Operation: "GET /cart"}},
		"JSON":                  {"POST", "/", `{"TableName":"sessions"}`, map[string]string{"Authorization": fmt.Sprintf(scope, "dynamodb"), "X-Amz-Target": "DynamoDB_20120810.GetItem"}, fault.Call{Service: "dynamodb", Region: "us-east-1", Operation: "GetItem", Tables: []string{"sessions"}}},
		"JSON, not signed":      {"POST", "/", `{"TableName":"sessions"}`, map[string]string{"X-Amz-Target": "DynamoDB_20120810.GetItem"}, fault.Call{Service: "dynamodb", Operation: "GetItem", Tables: []string{"sessions"}}},
		"a target without dot":  {"POST", "/p", `x`, map[string]string{"X-Amz-Target": "Something"}, fault.Call{Service: "something", Operation: "POST /p"}},
		"a query service":       {"POST", "/", `Action=AssumeRole&Version=2011-06-15`, map[string]string{"Authorization": fmt.Sprintf(scope, "sts"), "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, fault.Call{Service: "sts", Region: "us-east-1", Operation: "AssumeRole"}},
		"a form without Action": {"POST", "/f", `x=1`, map[string]string{"Authorization": fmt.Sprintf(scope, "sts"), "Content-Type": "application/x-www-form-urlencoded"}, fault.Call{Service: "sts", Region: "us-east-1", Operation: "POST /f"}},
		"REST":                  {"PUT", "/bucket/key", `<x/>`, map[string]string{"Authorization": fmt.Sprintf(scope, "s3")}, fault.Call{Service: "s3", Region: "us-east-1", Operation: "PUT /bucket/key"}},
		"another name":          {"POST", "/", `{}`, map[string]string{"Authorization": fmt.Sprintf(scope, "logs"), "X-Amz-Target": "Logs_20140328.PutLogEvents"}, fault.Call{Service: "CloudWatch Logs", Region: "us-east-1", Operation: "PutLogEvents"}},
		"signed before":         {"GET", "/b/k?X-Amz-Credential=AKID%2F20261125%2Feu-west-1%2Fs3%2Faws4_request", "", nil, fault.Call{Service: "s3", Region: "eu-west-1", Operation: "GET /b/k"}},
		"too long to read":      {"POST", "/", long, map[string]string{"Authorization": fmt.Sprintf(scope, "dynamodb"), "X-Amz-Target": "DynamoDB_20120810.GetItem"}, fault.Call{Service: "dynamodb", Region: "us-east-1", Operation: "GetItem"}},
		"as long as MaxBody":    {"POST", "/", `{"TableName":"` + strings.Repeat("x", 84) + `"}`, map[string]string{"X-Amz-Target": "DynamoDB_20120810.GetItem"}, fault.Call{Service: "dynamodb", Operation: "GetItem", Tables: []string{strings.Repeat("x", 84)}}},
		"half a credential":     {"GET", "/b?X-Amz-Credential=AKID/20261125", "", map[string]string{"Authorization": "Bearer x"}, fault.Call{Service: "shop.example", Operation: "GET /b"}},
	} {
		r := httptest.NewRequest(c.method, c.url, strings.NewReader(c.body))
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		got, err := p.classify(r, "Shop.Example:443")
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != c.body {
			t.Errorf("%s: the body is %q, %v; want what it was", name, body, err)
		}
	}
	r := httptest.NewRequest("POST", "/", iotest.ErrReader(errors.New("gone")))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
	if _, err := p.classify(r, "shop"); err == nil || err.Error() != "read the request: gone" {
		t.Errorf("%v", err)
	}
}

// Where a request goes, by how it has come.
func TestProxy_target(t *testing.T) {
	p := proxy(t, Options{Map: map[string]string{"dynamodb.us-east-1.amazonaws.com": "http://127.0.0.1:8000/db"}})
	reverse := proxy(t, Options{Upstream: "http://127.0.0.1:9000"})
	self := proxy(t, Options{Upstream: "http://127.0.0.1:7777"})
	for _, one := range []*Proxy{p, reverse, self} {
		one.listeners = []net.Listener{handedOn("127.0.0.1:7777")}
	}
	inside := func(target string) context.Context {
		return context.WithValue(t.Context(), connKey{}, &opened{target: target})
	}
	for name, c := range map[string]struct {
		p        *Proxy
		ctx      context.Context
		url      string
		to, host string
		err      string
	}{
		"opened":             {p, inside("sts.amazonaws.com:443"), "/x", "https://sts.amazonaws.com:443", "sts.amazonaws.com", ""},
		"opened and mapped":  {p, inside("DynamoDB.us-east-1.amazonaws.com:443"), "/x", "http://127.0.0.1:8000/db", "dynamodb.us-east-1.amazonaws.com", ""},
		"for proxies":        {p, t.Context(), "http://shop:81/x", "http://shop:81", "shop", ""},
		"mapped":             {p, t.Context(), "http://dynamodb.us-east-1.amazonaws.com/x", "http://127.0.0.1:8000/db", "dynamodb.us-east-1.amazonaws.com", ""},
		"another scheme":     {p, t.Context(), "ftp://shop/x", "", "", "want a URL of http or https"},
		"the proxy itself":   {p, t.Context(), "http://localhost:7777/x", "", "", "the request is for the proxy itself"},
		"and by any address": {p, t.Context(), "http://0.0.0.0:7777/x", "", "", "the request is for the proxy itself"},
		"another machine's":  {p, t.Context(), "http://10.0.0.1:7777/x", "http://10.0.0.1:7777", "10.0.0.1", ""},
		"another port":       {p, t.Context(), "http://127.0.0.1:7778/x", "http://127.0.0.1:7778", "127.0.0.1", ""},
		"no upstream":        {p, t.Context(), "/x", "", "", "there is no upstream for requests that are made to the proxy itself: use it as HTTPS_PROXY, or name an upstream"},
		"reverse":            {reverse, t.Context(), "/x", "http://127.0.0.1:9000", "127.0.0.1", ""},
		"its own upstream":   {self, t.Context(), "/x", "", "", "the upstream is the proxy itself"},
	} {
		r := httptest.NewRequest("GET", c.url, nil).WithContext(c.ctx)
		to, host, err := c.p.target(r)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: %v; want %s", name, err, c.err)
			}
			continue
		}
		if err != nil || to.String() != c.to || host != c.host {
			t.Errorf("%s: %v, %s, %v; want %s, %s", name, to, host, err, c.to, c.host)
		}
	}
}

// handedOn is a listener with an address, and nothing else.
func handedOn(addr string) net.Listener {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		panic(err)
	}
	return &handed{addr: a}
}

// Options belong to the caller: what is filled in is filled in elsewhere.
func TestNewProxy_does_not_write_to_options(t *testing.T) {
	o := Options{Open: []string{".Example.COM."}, Tunnels: []Tunnel{{To: "redis:6379"}}}
	p := proxy(t, o)
	if o.Open[0] != ".Example.COM." || o.Tunnels[0] != (Tunnel{To: "redis:6379"}) {
		t.Errorf("%+v; want what it was", o)
	}
	if p.opts.Open[0] != "example.com" || p.opts.Tunnels[0] != (Tunnel{"127.0.0.1:0", "redis:6379", "redis"}) {
		t.Errorf("%+v", p.opts)
	}
}

// Everything that is wrong with options is said at once, by its name.
func TestNewProxy_says_all_that_is_wrong(t *testing.T) {
	_, err := newProxy(Options{
		Listen: "0.0.0.0:1", Control: "example.com:1", Upstream: "http://user:pw@h/?q", Open: []string{"com", "1.2.3.4", "a..b.c", "-a.b", "ü.de"},
		Map: map[string]string{"shop": "ftp://x"}, Tunnels: []Tunnel{{Listen: "127.0.0.1", To: "redis"}},
		MaxConns: -1, MaxBody: 2 << 30, MaxEvents: 2 << 20, CALife: 25 * time.Hour, Hold: -1,
	})
	const want = `Options.Listen is "0.0.0.0:1"; want an address of loopback with a port, such as 127.0.0.1:8473
Options.Control is "example.com:1"; want an address of loopback with a port, such as 127.0.0.1:8473
Options.Tunnels[0].Listen is "127.0.0.1"; want an address of loopback with a port, such as 127.0.0.1:8473
Options.Tunnels[0].To is "redis"; want HOST:PORT
Options.Upstream: "http://user:pw@h/?q"; want a URL such as http://127.0.0.1:8000
Options.Open: "com"; want the name of a domain with a dot in it
Options.Open: "1.2.3.4"; want the name of a domain with a dot in it
Options.Open: "a..b.c"; want the name of a domain with a dot in it
Options.Open: "-a.b"; want the name of a domain with a dot in it
Options.Open: "ü.de"; want the name of a domain with a dot in it
Options.Map["shop"]: "ftp://x"; want a URL such as http://127.0.0.1:8000
Options.Map: "shop"; want the name of a host with a dot in it
Options.MaxBody is 2147483648; want 0 (the default) to 1073741824
Options.CALife is 90000000000000; want 0 (the default) to 86400000000000
Options.Hold is -1; want 0 (the default) to 86400000000000
Options.MaxConns is -1; want 0 (the default) to 1048576
Options.MaxEvents is 2097152; want 0 (the default) to 1048576`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// The authority vouches for its names and those below, and for nothing that only
// ends in the same letters.
func TestAuthority_covers(t *testing.T) {
	a, err := newAuthority([]string{"example.com", "db.internal"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"example.com": true, "a.example.com": true, "a.b.example.com": true, "notexample.com": false, "example.com.evil.org": false, "com": false, "": false, "internal": false,
	} {
		if got := a.covers(name); got != want {
			t.Errorf("%q: %t; want %t", name, got, want)
		}
		c, err := a.certificate(name)
		if want != (err == nil) || err != nil && err.Error() != fmt.Sprintf("the drill's authority does not vouch for %q", name) {
			t.Errorf("%q: %v, %v", name, c, err)
		}
	}
	one, _ := a.certificate("a.example.com")
	two, _ := a.certificate("a.example.com")
	if one != two {
		t.Error("a certificate is made anew for each connection")
	}
	a.leaves = map[string]*tls.Certificate{}
	for i := range maxLeaves {
		a.leaves[fmt.Sprint(i)] = one
	}
	if _, err := a.certificate("b.example.com"); err != nil || len(a.leaves) != 1 {
		t.Errorf("%v, %d are kept; want the bound", err, len(a.leaves))
	}
}

// The bundle has what this machine trusts before the authority, on lines of its
// own.
func TestAuthority_bundle(t *testing.T) {
	a, err := newAuthority([]string{"example.com"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, []byte("ROOTS"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots)
	if got, want := string(a.bundle()), "ROOTS\n"+string(a.pem); got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestEvents_since(t *testing.T) {
	e := &events{most: 3}
	serials := func(since int64) (list []int64, lost int64) {
		all, lost := e.since(since)
		for _, one := range all {
			list = append(list, one.Serial)
		}
		return list, lost
	}
	if list, lost := serials(0); list != nil || lost != 0 {
		t.Errorf("before any: %v, %d", list, lost)
	}
	for i := range 5 {
		e.add(fault.Event{Rule: i, Fault: &fault.Fault{Kind: fault.Reset}})
		if i == 1 {
			if list, lost := serials(0); !reflect.DeepEqual(list, []int64{1, 2}) || lost != 0 {
				t.Errorf("before it is full: %v, %d", list, lost)
			}
		}
	}
	for since, want := range map[int64]struct {
		list []int64
		lost int64
	}{0: {[]int64{3, 4, 5}, 2}, 1: {[]int64{3, 4, 5}, 1}, 2: {[]int64{3, 4, 5}, 0}, 4: {[]int64{5}, 0}, 5: {nil, 0}, 99: {nil, 0}, -7: {[]int64{3, 4, 5}, 2}} {
		if list, lost := serials(since); !reflect.DeepEqual(list, want.list) || lost != want.lost {
			t.Errorf("since %d: %v, %d lost; want %v, %d", since, list, lost, want.list, want.lost)
		}
	}
}

// What a client has chosen is bounded in every member of an event.
func TestEvents_add_bounds(t *testing.T) {
	e := &events{most: 1}
	long := strings.Repeat("é", 200) // 400 bytes, and an end in the middle of one
	clipped := strings.Repeat("é", 128) + "…"
	var tables []string
	for range 30 {
		tables = append(tables, long)
	}
	e.add(fault.Event{Call: fault.Call{Service: long, Operation: long, Tables: tables}, Fault: &fault.Fault{}})
	list, _ := e.since(0)
	if got := list[0]; got.Service != clipped || got.Operation != clipped || len(got.Tables) != 25 || got.Tables[24] != clipped || got.Fault != "latency" {
		t.Errorf("%+v", got)
	}
	for _, c := range [][2]string{{"x" + long, "x" + strings.Repeat("é", 127) + "?…"}, {strings.Repeat("x", 256), strings.Repeat("x", 256)}, {strings.Repeat("x", 257), strings.Repeat("x", 256) + "…"}, {"a\xffb", "a?b"}, {"", ""}} {
		if got := clip(c[0]); got != c[1] {
			t.Errorf("%q; want %q", got, c[1])
		}
	}
	for want, f := range map[string]*fault.Fault{
		"No": {Error: &fault.APIError{Code: "No"}, Kind: fault.Reset}, "reset": {Kind: fault.Reset, Bandwidth: 1}, "bandwidth": {Bandwidth: 1, Delay: 1}, "latency": {Delay: 1},
	} {
		if got := faultName(f); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
	if got := printable("a\x1b[2J\u202eb\nc\xff" + long); got != "a?[2J?b?c?"+strings.Repeat("é", 123)+"…" {
		t.Errorf("%q", got)
	}
}

func TestCounters_called_is_bounded(t *testing.T) {
	c := counters{calls: map[string]int64{}}
	for i := range maxServices + 10 {
		c.called(fmt.Sprintf("s%03d", i))
	}
	c.called("s000")
	if len(c.calls) != maxServices+1 || c.calls["others"] != 10 || c.calls["s000"] != 2 {
		t.Errorf("%d services, %d others, %d of the first", len(c.calls), c.calls["others"], c.calls["s000"])
	}
}

func TestBounded_Read(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "12345": true, "123456": false, strings.Repeat("x", 1000): false} {
		b := &bounded{io.NopCloser(iotest.OneByteReader(strings.NewReader(text))), 5}
		got, err := io.ReadAll(b)
		if ok != (err == nil) || ok && string(got) != text || len(got) > 5 || !ok && !errors.Is(err, errTooLong) {
			t.Errorf("%d bytes: %q, %v", len(text), got, err)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for place := range 4 { // 3: nothing ends it early
			ends := make([]<-chan struct{}, min(place+1, 3))
			if place < 3 {
				end := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(end) })
				ends[place] = end
			}
			began := time.Now()
			passed := wait(time.Minute, ends...)
			if took := time.Since(began); passed != (place == 3) || took != map[bool]time.Duration{true: time.Minute, false: time.Second}[passed] {
				t.Errorf("ended by %d: %t after %v", place, passed, took)
			}
		}
	})
}

package livelint

import (
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the platforms ask, as routers write it, and what only looks like it.
func TestChecker_isLivePath(t *testing.T) {
	c := &checker{live: regexp.MustCompile(defaultPaths)}
	for pattern, want := range map[string]bool{
		"/livez": true, "GET /livez": true, "GET  /livez": true, "example.com/livez": true, "GET example.com/livez": true,
		"/livez/": true, "/livez/{$}": true, "/api/v1/healthz": true, "{}/livez": true, "{}livez": false, "{}/live": false,
		"/health": true, "/_health": true, "/health/live": true, "/health/ready": false, "/health-check": true,
		"/live": true, "/api/live": false, "/-/healthy": true, "/actuator/health/liveness": true, "livez": true,
		"/readyz": false, "/livezx": false, "/xlivez": false, "": false, "/": false, "GET": false,
		"http://peer/livez": false, "https://peer:8080/livez": false,
	} {
		if got := c.isLivePath(pattern); got != want {
			t.Errorf("%q: %v, want %v", pattern, got, want)
		}
	}
}

// Only what surely is this host: an address that says nothing may be anywhere.
func TestIsLocalAddress(t *testing.T) {
	for s, want := range map[string]bool{
		"unix": true, "unixgram": true, "unix:///run/x.sock": true,
		"localhost:5432": true, "127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true,
		"http://localhost": true, "http://127.0.0.1/x": true, "http://[::1]:9/x": true, "https://user@localhost:1/": true,
		"tcp": false, "localhost": false, "127.0.0.1": false, "": false, ":80": false, "0.0.0.0:80": false, "[::]:80": false,
		"db:5432": false, "http://db/localhost": false, "http://localhost.example.com": false, "http://localhost@db/": false,
		"10.0.0.1:80": false, "http://%zz": false,
	} {
		if got := isLocalAddress(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func TestIsStandard(t *testing.T) {
	for _, c := range []struct {
		path, file string
		want       bool
	}{
		{"net/http", "/usr/local/go/src/net/http/server.go", true},
		{"fmt", "/usr/local/go/src/fmt/print.go", true},
		{"fmt", "/home/me/fmt/print.go", false},
		{"service", "/home/me/go/src/service/main.go", true}, // of GOPATH, without a domain: not told apart
		{"example.com/fmt", "/home/me/go/src/example.com/fmt/x.go", false},
		{"store", "/home/me/livelint/testdata/src/store/store.go", false},
		{"http", "/usr/local/go/src/net/http/server.go", false},
	} {
		if got := isStandard(c.path, c.file); got != c.want {
			t.Errorf("%s in %s: %v, want %v", c.path, c.file, got, c.want)
		}
	}
}

// A listed path ends at a border of its elements.
func TestIsListed(t *testing.T) {
	for path, want := range map[string]bool{
		"golang.org/x": true, "golang.org/x/tools/go/ssa": true, "golang.org/xyz": false, "google.golang.org/grpc/health": true,
		"google.golang.org/grpcx": false, "github.com/redis/go-redis/v9": true, "github.com/redis/go-redisx": false,
		"modernc.org/sqlite": true, "example.com/golang.org/x": false, "": false,
	} {
		if got := isListed(path); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}

func TestSinkPackages(t *testing.T) {
	known := len(knownClients)
	for flag, want := range map[string]string{
		"": "", " , ,": "", "example.com/a": "example.com/a", " example.com/a ,,example.com/b": "example.com/a example.com/b",
	} {
		got := sinkPackages(flag)
		if !slices.Equal(got[:known], knownClients) || strings.Join(got[known:], " ") != want {
			t.Errorf("%q: %q, want the known ones and %q", flag, got, want)
		}
	}
	if len(knownClients) != known {
		t.Error("a flag changed what is known")
	}
}

// Of two ways it is the shorter one, and of two of the same length the first, so
// that each run prints the same.
func TestShorter(t *testing.T) {
	one, other, two := []string{"a"}, []string{"b"}, []string{"a", "b"}
	for _, c := range []struct{ a, b, want []string }{
		{nil, nil, nil}, {one, nil, one}, {nil, one, one}, {one, other, one}, {other, one, other}, {two, one, one}, {one, two, one},
	} {
		if got := shorter(c.a, c.b); !slices.Equal(got, c.want) {
			t.Errorf("%q, %q: %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func TestReaches_String(t *testing.T) {
	for want, fact := range map[string]Reaches{
		"reaches net.Dial":            {Path: []string{"db.Ping", "net.Dial"}, Made: []string{"net.Listen"}},
		"makes what reaches net.Dial": {Made: []string{"db.Ping", "net.Dial"}},
	} {
		if got := fact.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOutcome(t *testing.T) {
	const want = "main.live -> net.Dial; while that is down, this process is restarted, which does not help"
	if got := outcome([]string{"main.live", "net.Dial"}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Functions as the type checker has them: what is a call of the network, and what
// it is called in a finding.
func TestIsSink(t *testing.T) {
	pkg := func(path, name string) *types.Package { return types.NewPackage(path, name) }
	ctx := types.NewNamed(types.NewTypeName(token.NoPos, pkg("context", "context"), "Context", nil), types.NewInterfaceType(nil, nil), nil)
	declare := func(p *types.Package, recv string, pointer bool, f string, params ...types.Type) *types.Func {
		var vars []*types.Var
		for _, typ := range params {
			vars = append(vars, types.NewParam(token.NoPos, p, "", typ))
		}
		var r *types.Var
		if recv != "" {
			var typ types.Type = types.NewNamed(types.NewTypeName(token.NoPos, p, recv, nil), types.NewStruct(nil, nil), nil)
			if pointer {
				typ = types.NewPointer(typ)
			}
			r = types.NewParam(token.NoPos, p, "", typ)
		}
		return types.NewFunc(token.NoPos, p, f, types.NewSignatureType(r, nil, nil, types.NewTuple(vars...), nil, false))
	}
	net, web, sql := pkg("net", "net"), pkg("net/http", "http"), pkg("database/sql", "sql")
	redis, own := pkg("github.com/redis/go-redis/v9", "redis"), pkg("example.com/client", "client")
	for _, c := range []struct {
		f    *types.Func
		name string
		want bool
	}{
		{declare(net, "", false, "Dial"), "net.Dial", true},
		{declare(net, "", false, "Listen"), "net.Listen", false},
		{declare(net, "Dialer", true, "DialContext"), "(*net.Dialer).DialContext", true},
		{declare(net, "Resolver", true, "LookupHost"), "(*net.Resolver).LookupHost", true},
		{declare(net, "Other", false, "Dial"), "net.Other.Dial", false},
		{declare(web, "", false, "PostForm"), "http.PostForm", true},
		{declare(web, "", false, "Handle"), "http.Handle", false},
		{declare(web, "Client", true, "Do"), "(*http.Client).Do", true},
		{declare(web, "Client", true, "CloseIdleConnections"), "(*http.Client).CloseIdleConnections", false},
		{declare(web, "Transport", true, "RoundTrip"), "(*http.Transport).RoundTrip", true},
		{declare(web, "ServeMux", true, "ServeHTTP"), "(*http.ServeMux).ServeHTTP", false},
		{declare(sql, "DB", true, "PingContext", ctx), "(*sql.DB).PingContext", true},
		{declare(sql, "DB", true, "Stats"), "(*sql.DB).Stats", false},
		{declare(sql, "Rows", true, "QueryMore"), "(*sql.Rows).QueryMore", false}, // it reads what a query began
		{declare(sql, "", false, "Open"), "sql.Open", false},
		{declare(redis, "Client", true, "Get", ctx), "(*redis.Client).Get", true},
		{declare(redis, "", false, "NewClient"), "redis.NewClient", false},
		{declare(redis, "Client", true, "get", ctx), "(*redis.Client).get", false},
		{declare(own, "", false, "Ask", ctx), "client.Ask", true}, // by the flag -sinks
		{declare(pkg("example.com/clients", "clients"), "", false, "Ask", ctx), "clients.Ask", false},
		{declare(pkg(awsService+"s3", "s3"), "Client", true, "GetObject", ctx), "(*s3.Client).GetObject", true},
		{declare(pkg(awsService+"s3", "s3"), "Presigner", true, "GetObject", ctx), "(*s3.Presigner).GetObject", false},
		{declare(nil, "", false, "len"), "len", false},
	} {
		if got := isSink(c.f, sinkPackages("example.com/client")); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := name(c.f); got != c.name {
			t.Errorf("is called %q, want %q", got, c.name)
		}
	}
}

package faultproxy_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

const awsHost = "dynamodb.eu-central-1.amazonaws.com"

func start(t *testing.T, o faultproxy.Options) *faultproxy.Proxy {
	t.Helper()
	if o.Log == nil {
		o.Log = func(s string) { t.Log("proxy:", s) }
	}
	p, err := faultproxy.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if n := p.Stats().Panics; n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return p
}

// database is an endpoint with a table and an item.
func database(t *testing.T) *dynamotest.Server {
	t.Helper()
	s := dynamotest.New(dynamotest.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	direct := client(s.URL(), nil)
	_, err := direct.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: "HASH"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = direct.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("sessions"), Item: map[string]types.AttributeValue{
		"key": &types.AttributeValueMemberS{Value: "k"}, "v": &types.AttributeValueMemberS{Value: strings.Repeat("user", 2000)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plainBodies hides the WriteTo of request bodies, with which an answer whose
// body comes after its header is broken off now and then: aws-sdk-go-v2 issue
// 2737.
type plainBodies struct{ *http.Client }

func (c plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.Client.Do(r)
}

// client is the SDK's, with one attempt; "" is AWS itself.
func client(endpoint string, transport *http.Transport) *dynamodb.Client {
	inner := &http.Client{Timeout: 20 * time.Second}
	if transport != nil {
		inner.Transport = transport
	}
	o := dynamodb.Options{
		Region: "eu-central-1", Retryer: aws.NopRetryer{}, HTTPClient: plainBodies{inner},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}, nil
		}),
	}
	if endpoint != "" {
		o.BaseEndpoint = &endpoint
	}
	return dynamodb.New(o)
}

// through is a transport that uses the proxy as HTTPS_PROXY, and trusts it.
func through(t *testing.T, p *faultproxy.Proxy) *http.Transport {
	t.Helper()
	pool := x509.NewCertPool()
	text, err := os.ReadFile(p.CAFile())
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(u), TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func get(ctx context.Context, c *dynamodb.Client) error {
	out, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("sessions"), Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}}})
	if err == nil && len(out.Item) == 0 {
		return errors.New("the item is empty")
	}
	if err != nil {
		return err
	}
	if v, ok := out.Item["v"].(*types.AttributeValueMemberS); !ok || !strings.HasPrefix(v.Value, "user") {
		return errors.New("the item is wrong")
	}
	return nil
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestProxy_faults_of_an_unmodified_client(t *testing.T) {
	db := database(t)
	for _, mount := range []string{"reverse", "connect"} {
		t.Run(mount, func(t *testing.T) {
			o := faultproxy.Options{Upstream: db.URL()}
			if mount == "connect" {
				o = faultproxy.Options{Map: map[string]string{awsHost: db.URL()}}
			}
			p := start(t, o)
			c := client(p.URL(), nil)
			if mount == "connect" {
				c = client("", through(t, p))
			}
			// An answer that does not end is given up; the others may take what
			// a busy machine takes.
			patience := map[fault.Kind]time.Duration{fault.Drip: 300 * time.Millisecond, fault.Stall: 300 * time.Millisecond}
			for _, kind := range append(fault.Kinds(), "") {
				patience[kind] = cmp.Or(patience[kind], time.Minute)
			}
			for name, row := range map[string]struct {
				rule fault.Rule
				want func(error) bool
			}{
				"denied":    {fault.Denied("dynamodb"), func(err error) bool { return code(err) == "AccessDeniedException" }},
				"by table":  {fault.Rule{Table: "sess*", Operation: "GetItem", Region: "eu-*", Error: &fault.APIError{Code: "AccessDeniedException"}}, func(err error) bool { return code(err) == "AccessDeniedException" }},
				"throttled": {fault.Throttled("DynamoDB"), func(err error) bool { var e *types.ProvisionedThroughputExceededException; return errors.As(err, &e) }},
				"500":       {fault.InternalError("dynamodb"), func(err error) bool { var e *types.InternalServerError; return errors.As(err, &e) }},
				"reset":     {fault.Network("dynamodb", fault.Reset), func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) }},
				"truncated": {fault.Network("dynamodb", fault.Truncate), func(err error) bool { return err != nil && strings.Contains(err.Error(), "unexpected EOF") }},
				"corrupt":   {fault.Network("dynamodb", fault.Corrupt), func(err error) bool { return err != nil && err.Error() == "the item is wrong" }},
				"html":      {fault.Network("dynamodb", fault.HTML), func(err error) bool { var e *smithy.DeserializationError; return errors.As(err, &e) }},
				"refused":   {fault.Network("dynamodb", fault.Refuse), func(err error) bool { return err != nil && code(err) == "" }},
				"eof":       {fault.Network("dynamodb", fault.EOF), func(err error) bool { return errors.Is(err, io.EOF) }},
				"503 page": {fault.Network("dynamodb", fault.ErrorPage), func(err error) bool {
					var e *smithyhttp.ResponseError
					return errors.As(err, &e) && e.HTTPStatusCode() == 503
				}},
				"drip":      {fault.Network("dynamodb", fault.Drip), func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
				"stall":     {fault.Network("dynamodb", fault.Stall), func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
				"cut":       {fault.Network("dynamodb", fault.CutRequest), func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) }},
				"bandwidth": {fault.Rule{Service: "dynamodb", Bandwidth: 1 << 20}, func(err error) bool { return err == nil }},
			} {
				t.Run(name, func(t *testing.T) {
					if err := get(t.Context(), c); err != nil {
						t.Fatalf("before: %v", err)
					}
					if err := p.Injector().Set(row.rule); err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), patience[row.rule.Net])
					defer cancel()
					if err := get(ctx, c); !row.want(err) {
						t.Errorf("under the fault: %v", err)
					}
					if err := p.Injector().Unhit(); err != nil {
						t.Error(err)
					}
					p.Injector().Clear()
					if err := get(t.Context(), c); err != nil {
						t.Fatalf("after: %v", err)
					}
				})
			}
			if n := p.Stats().Calls["dynamodb"]; n < 20 {
				t.Errorf("%d calls of dynamodb were seen: %+v", n, p.Stats())
			}
		})
	}
}

func TestProxy_slow_and_silent(t *testing.T) {
	db := database(t)
	p := start(t, faultproxy.Options{Upstream: db.URL()})
	c := client(p.URL(), nil)
	const delay = 60 * time.Millisecond
	if err := p.Injector().Set(fault.Slow("dynamodb", delay, 0)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := get(t.Context(), c); err != nil || time.Since(began) < delay {
		t.Errorf("%v after %v; want an answer, not before %v", err, time.Since(began), delay)
	}
	if err := p.Injector().Set(fault.Network("dynamodb", fault.BlackHole)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), delay)
	defer cancel()
	if err := get(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("in a black hole: %v", err)
	}
	// A halt lets go of what is held: the call ends, though it has no deadline.
	done := make(chan error, 1)
	go func() { done <- get(context.WithoutCancel(t.Context()), c) }()
	for p.Injector().Stats().Rules[0].Hits < 2 {
		runtime.Gosched()
	}
	p.Halt()
	if err := <-done; err == nil || code(err) != "" {
		t.Errorf("a held call after a halt: %v; want a broken connection", err)
	}
	if err := get(t.Context(), c); err != nil {
		t.Errorf("after the halt: %v", err)
	}
}

func TestProxy_other_names_are_not_opened(t *testing.T) {
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") }))
	defer other.Close()
	p := start(t, faultproxy.Options{})
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	tr := other.Client().Transport.(*http.Transport).Clone() // trusts the server alone
	tr.Proxy = http.ProxyURL(u)
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: 20 * time.Second}
	read := func() error {
		resp, err := c.Get(other.URL)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && string(text) != "secret" {
			err = fmt.Errorf("%q", text)
		}
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	if err := p.Injector().Set(fault.Network("127.0.0.1", fault.Reset)); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil {
		t.Error("a live connection was not reset")
	}
	if err := p.Injector().Set(fault.Network("127.0.0.1", fault.NXDomain)); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
		t.Errorf("a name that is gone: %v", err)
	}
	if err := p.Injector().Set(fault.Network("127.0.0.1", fault.TLS)); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil || !strings.Contains(err.Error(), "tls: expired certificate") {
		t.Errorf("a certificate that has run out: %v", err)
	}
	if s := p.Stats(); s.Tunnels < 1 || s.Faulted < 2 {
		t.Errorf("%+v", s)
	}
}

func TestProxy_authority_is_constrained(t *testing.T) {
	p := start(t, faultproxy.Options{Map: map[string]string{"prices.example.net": "http://127.0.0.1:1"}})
	text, err := os.ReadFile(p.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("PRIVATE KEY")) {
		t.Fatal("the key is on disk")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	secure := func(name string) error {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", awsHost, awsHost)
		head := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
		if _, err := io.ReadFull(conn, head); err != nil || !bytes.Contains(head, []byte(" 200 ")) {
			t.Fatalf("%q %v", head, err)
		}
		return tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: name}).HandshakeContext(t.Context())
	}
	if err := secure(awsHost); err != nil {
		t.Errorf("the name that was asked for: %v", err)
	}
	if err := secure("bank.example.com"); err == nil {
		t.Error("it vouches for another name")
	}
	block, _ := pem.Decode(text)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.PermittedDNSDomainsCritical || !slices.Contains(ca.PermittedDNSDomains, "prices.example.net") || slices.Contains(ca.PermittedDNSDomains, "") ||
		len(ca.ExcludedIPRanges) != 2 || !ca.MaxPathLenZero || time.Until(ca.NotAfter) > 25*time.Hour {
		t.Errorf("the authority is not constrained: %+v", ca)
	}
}

func TestProxy_tunnel(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	p := start(t, faultproxy.Options{Tunnels: []faultproxy.Tunnel{{Listen: "127.0.0.1:0", To: echo.Addr().String(), Name: "redis"}}})
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.TunnelAddr(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	say := func(c net.Conn, text string) (string, error) {
		if _, err := io.WriteString(c, text); err != nil {
			return "", err
		}
		buf := make([]byte, len(text))
		n, err := io.ReadFull(c, buf)
		return string(buf[:n]), err
	}
	live := dial()
	if got, err := say(live, "hello"); err != nil || got != "hello" {
		t.Fatal(got, err)
	}
	set := func(r fault.Rule) {
		t.Helper()
		if err := p.Injector().Set(r); err != nil {
			t.Fatal(err)
		}
	}
	set(fault.Rule{Service: "redis", Latency: &fault.Latency{Base: 30 * time.Millisecond}})
	began := time.Now()
	if got, err := say(live, "hello"); err != nil || got != "hello" || time.Since(began) < 30*time.Millisecond {
		t.Error("delayed:", got, err, time.Since(began))
	}
	set(fault.Rule{Service: "redis", Bandwidth: 1000})
	began = time.Now()
	if got, err := say(live, strings.Repeat("x", 200)); err != nil || len(got) != 200 || time.Since(began) < 100*time.Millisecond {
		t.Error("slowed down:", len(got), err, time.Since(began))
	}
	set(fault.Rule{Service: "redis", Net: fault.Truncate, Bytes: 3})
	if got, err := say(live, "hello"); err == nil || got != "hel" {
		t.Error("cut:", got, err)
	}
	set(fault.Network("redis", fault.Reset))
	if got, err := say(dial(), "hello"); !errors.Is(err, syscall.ECONNRESET) {
		t.Error("reset:", got, err)
	}
	set(fault.Network("redis", fault.Refuse))
	if c, err := net.Dial("tcp", p.TunnelAddr(0)); err == nil { // the reset may come before or after it is connected
		if got, err := say(c, "hello"); err == nil {
			t.Error("refused:", got)
		}
		c.Close()
	}
	set(fault.Network("redis", fault.BlackHole))
	silent := dial()
	if _, err := io.WriteString(silent, "hello"); err != nil {
		t.Fatal(err)
	}
	for p.Injector().Stats().Rules[0].Hits == 0 {
		runtime.Gosched()
	}
	p.Halt()
	if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a black hole after a halt:", err)
	}
	set(fault.Denied("redis")) // it cannot be had here
	if got, err := say(dial(), "hello"); err != nil || got != "hello" || p.Injector().Unhit() == nil {
		t.Error("a refusal of an API on a tunnel:", got, err)
	}
}

func TestProxy_xml_services_refuse_in_XML(t *testing.T) {
	p := start(t, faultproxy.Options{Map: map[string]string{"sts.eu-central-1.amazonaws.com": "http://127.0.0.1:1"}})
	if err := p.Injector().Set(fault.Rule{Service: "sts", Operation: "AssumeRole", Error: &fault.APIError{StatusCode: 403, Code: "AccessDenied", Message: "no <b>"}}); err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: through(t, p), Timeout: 20 * time.Second}
	req, err := http.NewRequest("POST", "https://sts.eu-central-1.amazonaws.com/", strings.NewReader("Action=AssumeRole&Version=2011-06-15"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20261125/eu-central-1/sts/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 403 || !strings.Contains(string(text), "<Code>AccessDenied</Code><Message>no &lt;b&gt;</Message>") {
		t.Errorf("%d %s %v", resp.StatusCode, text, err)
	}
}

func TestProxy_upstream_is_down(t *testing.T) {
	p := start(t, faultproxy.Options{Upstream: "http://127.0.0.1:1"})
	resp, err := http.Get(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 502 || !strings.Contains(string(text), "refused") || p.Stats().UpstreamErrors != 1 {
		t.Errorf("%d %s %+v", resp.StatusCode, text, p.Stats())
	}
}

func TestProxy_itself_is_no_upstream(t *testing.T) {
	p := start(t, faultproxy.Options{})
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{p.URL(), p.ControlURL(), "http://localhost:" + u.Port()} {
		tr := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return u, nil }}
		resp, err := (&http.Client{Transport: tr}).Get(to + "/faults")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tr.CloseIdleConnections()
		if resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: status %d", to, resp.StatusCode)
		}
	}
}

func TestProxy_connections_are_bounded(t *testing.T) {
	p := start(t, faultproxy.Options{MaxConns: 2, Upstream: "http://127.0.0.1:1"})
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	for p.Stats().Open < 2 {
		runtime.Gosched()
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection was served")
	}
	if s := p.Stats(); s.TurnedAway != 1 {
		t.Errorf("%+v", s)
	}
	open[0].Close()
	for p.Stats().Open > 1 {
		runtime.Gosched()
	}
	resp, err := http.Get(p.URL())
	if err != nil {
		t.Fatalf("there is room again: %v", err)
	}
	resp.Body.Close()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestStart_says_what_is_wrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]faultproxy.Options{
		"Listen":             {Listen: "0.0.0.0:0"},
		"Control":            {Control: "192.0.2.1:80"},
		"address already":    {Listen: taken.Addr().String()},
		"Upstream":           {Upstream: "ftp://x"},
		"Open":               {Open: []string{"com"}},
		"Map":                {Map: map[string]string{"a b": "http://127.0.0.1:1"}},
		`Map["a.b"]`:         {Map: map[string]string{"a.b": "127.0.0.1:1"}},
		"Tunnels[0].To":      {Tunnels: []faultproxy.Tunnel{{To: "x"}}},
		"Tunnels[0].Listen":  {Tunnels: []faultproxy.Tunnel{{Listen: ":80", To: "x:1"}}},
		"MaxConns":           {MaxConns: -1},
		"Hold":               {Hold: -1},
		"CALife":             {CALife: 48 * time.Hour},
		"not a directory":    {Dir: file},
		"want the name of a": {Open: []string{"../x.y"}},
	} {
		p, err := faultproxy.Start(o)
		if err == nil {
			p.Close()
			t.Errorf("%+v: no error", o)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "faultproxy: ") {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
}

func TestProxy_close_leaves_nothing(t *testing.T) {
	db := database(t)
	dir := t.TempDir()
	p, err := faultproxy.Start(faultproxy.Options{Upstream: db.URL(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{p.TokenFile(): 0o600, p.CAFile(): 0o644} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if err := p.Injector().Set(fault.Network("", fault.BlackHole)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- get(context.WithoutCancel(t.Context()), client(p.URL(), nil)) }()
	for p.Stats().Faulted == 0 {
		runtime.Gosched()
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a held call was answered")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	stacks := make([]byte, 1<<20)
	for began := time.Now(); ; runtime.Gosched() { // net/http's own goroutines end a moment later
		text := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(text, "faultproxy.(*") {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("goroutines are left:\n%s", text)
		}
	}
}

func TestProxy_panics_are_contained(t *testing.T) {
	p, err := faultproxy.Start(faultproxy.Options{Upstream: "http://127.0.0.1:1", Log: func(string) { panic("the log's own fault") }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 2 {
		resp, err := http.Get(p.URL())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadGateway {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if n := p.Stats().Panics; n != 2 {
		t.Errorf("%d panics were counted", n)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestProxy_a_folder_that_another_one_has_taken(t *testing.T) {
	dir := t.TempDir()
	first := start(t, faultproxy.Options{Dir: dir})
	second := start(t, faultproxy.Options{Dir: dir})
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if status, text := request(t, second, "GET", "/faults", "", nil); status != 200 {
		t.Errorf("%d %s", status, text)
	}
}

// An address that cannot be is refused before it is said to be connected.
func TestProxy_connect_to_no_port(t *testing.T) {
	p := start(t, faultproxy.Options{})
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"db.internal:99999", "db.internal:0", "db.internal:http", "db.internal:-1"} {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", to)
		answer, _ := io.ReadAll(c) // ends with the connection
		c.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Errorf("CONNECT %s: %q", to, answer)
		}
	}
}

// What a client has chosen does not draw in the terminal, and is bounded.
func TestProxy_hostile_names(t *testing.T) {
	var lines []string
	var mu sync.Mutex
	p := start(t, faultproxy.Options{Log: func(s string) { mu.Lock(); lines = append(lines, s); mu.Unlock() }})
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"-.\xff\xfe\xc2\x9b31m.invalid", strings.Repeat("a.", 2000) + "invalid"} {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "CONNECT %s:1 HTTP/1.1\r\nHost: x\r\n\r\n", name)
		io.Copy(io.Discard, c)
		c.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	for _, line := range lines {
		if len(line) > 300 || strings.ContainsRune(line, 0x9b) || !utf8.ValidString(line) {
			t.Errorf("%q", line)
		}
	}
	for name := range p.Stats().Calls {
		if len(name) > 300 || !utf8.ValidString(name) {
			t.Errorf("%q", name)
		}
	}
}

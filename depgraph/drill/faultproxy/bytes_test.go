package faultproxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// piped is a tunnel in memory: what a client and an upstream see of it.
type piped struct {
	s                *stream
	client, upstream net.Conn // the far ends
	over             chan struct{}
}

// pipe begins a tunnel on pipes, as tunnel does on sockets.
func pipe(p *Proxy) *piped {
	client, near := net.Pipe()
	far, upstream := net.Pipe()
	t := &piped{s: &stream{p: p, client: near, upstream: far, call: fault.Call{Service: "db", Operation: "data"}}, client: client, upstream: upstream, over: make(chan struct{})}
	t.s.limit.Store(-1)
	go func() {
		defer close(t.over)
		down := make(chan struct{})
		go func() { defer close(down); t.s.down() }()
		t.s.up()
		<-down
	}()
	return t
}

// end closes both far ends and waits for the tunnel.
func (t *piped) end() {
	_ = t.client.Close()
	_ = t.upstream.Close()
	<-t.over
}

// ask sends a question and reads what the upstream has got of it.
func (t *piped) ask(text string) string {
	go func() { _, _ = io.WriteString(t.client, text) }()
	buf := make([]byte, 100)
	n, err := t.upstream.Read(buf)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(buf[:n])
}

// answer sends one back and says what came of it, and how long it took.
func (t *piped) answer(text string) (got string, took time.Duration) {
	began := time.Now()
	go func() { _, _ = io.WriteString(t.upstream, text) }()
	buf := make([]byte, len(text))
	n, err := io.ReadFull(t.client, buf)
	if err != nil && err != io.ErrUnexpectedEOF {
		return "error: " + err.Error(), time.Since(began)
	}
	return string(buf[:n]), time.Since(began)
}

// bubble runs f with a proxy that does not listen, in virtual time.
func bubble(t *testing.T, o Options, f func(*testing.T, *Proxy)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, err := newProxy(o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		f(t, p)
	})
}

// Bytes go both ways, whatever they are, and an end is passed on.
func TestStream_passes_on(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, p *Proxy) {
		tunnel := pipe(p)
		if got := tunnel.ask("\x00PING"); got != "\x00PING" {
			t.Errorf("%q", got)
		}
		if got, took := tunnel.answer("PONG"); got != "PONG" || took != 0 {
			t.Errorf("%q after %v", got, took)
		}
		_ = tunnel.client.Close()
		if _, err := tunnel.upstream.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%v; want the client's end", err)
		}
		tunnel.end()
	})
}

// Each fault of a tunnel, as its client sees it, and when.
func TestStream_faults(t *testing.T) {
	for name, c := range map[string]struct {
		rule fault.Rule
		want string // what the client reads
		took time.Duration
	}{
		"none":                  {fault.Rule{Service: "mail", Net: fault.Reset}, "12345678", 0},
		"of another layer":      {fault.Rule{Service: "db", Net: fault.Corrupt}, "12345678", 0},
		"an error":              {fault.Rule{Service: "db", Error: &fault.APIError{Code: "No"}}, "12345678", 0},
		"slow":                  {fault.Rule{Service: "db", Latency: &fault.Latency{Base: 3 * time.Second}}, "12345678", 3 * time.Second},
		"slower than Hold":      {fault.Rule{Service: "db", Latency: &fault.Latency{Base: time.Hour}}, "12345678", time.Minute},
		"little bandwidth":      {fault.Rule{Service: "db", Bandwidth: 4}, "12345678", 2 * time.Second},
		"cut":                   {fault.Rule{Service: "db", Net: fault.Truncate, Bytes: 5}, "12345", 0},
		"cut at once":           {fault.Rule{Service: "db", Net: fault.Truncate}, "error: EOF", 0},
		"reset":                 {fault.Rule{Service: "db", Net: fault.Reset}, "error: EOF", 0},
		"reset later":           {fault.Rule{Service: "db", Net: fault.Reset, Latency: &fault.Latency{Base: time.Second}}, "error: EOF", time.Second},
		"an end":                {fault.Rule{Service: "db", Net: fault.EOF}, "error: EOF", 0},
		"never":                 {fault.Rule{Service: "db", Net: fault.BlackHole}, "error: EOF", time.Minute},
		"a timeout":             {fault.Rule{Service: "db", Net: fault.Timeout}, "error: EOF", time.Second},
		"a timeout that is set": {fault.Rule{Service: "db", Net: fault.Timeout, Latency: &fault.Latency{Base: 5 * time.Second}}, "error: EOF", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{Hold: time.Minute}, func(t *testing.T, p *Proxy) {
				if err := p.injector.Set(c.rule); err != nil {
					t.Fatal(err)
				}
				tunnel, began := pipe(p), time.Now()
				go func() { _, _ = io.WriteString(tunnel.client, "ask") }()
				go func() {
					if _, err := tunnel.upstream.Read(make([]byte, 3)); err == nil {
						_, _ = io.WriteString(tunnel.upstream, "12345678")
					}
				}()
				buf := make([]byte, 8)
				n, err := io.ReadFull(tunnel.client, buf)
				got := string(buf[:n])
				if n == 0 && err != nil {
					got = "error: " + err.Error()
				}
				if took := time.Since(began); got != c.want || took != c.took {
					t.Errorf("%q after %v; want %q after %v", got, took, c.want, c.took)
				}
				if hit := p.count.faulted.Load(); (hit == 1) == (name == "none" || name == "of another layer" || name == "an error") {
					t.Errorf("%d faulted", hit)
				}
				tunnel.end()
			})
		})
	}
}

// An answer as long as the limit is the last one: the end comes with it.
func TestStream_cut_at_the_last_byte(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, p *Proxy) {
		if err := p.injector.Set(fault.Rule{Service: "db", Net: fault.Truncate, Bytes: 8}); err != nil {
			t.Fatal(err)
		}
		tunnel := pipe(p)
		tunnel.ask("ask")
		if got, _ := tunnel.answer("12345678"); got != "12345678" {
			t.Errorf("%q", got)
		}
		began := time.Now()
		if _, err := tunnel.client.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != 0 {
			t.Errorf("%v after %v; want the end, at once", err, time.Since(began))
		}
		tunnel.end()
	})
}

// A black hole ends when it is let go, and when the client gives up: the proxy
// notices both at once.
func TestStream_hold_is_let_go(t *testing.T) {
	for name, end := range map[string]func(*Proxy, *piped){
		"Halt":       func(p *Proxy, _ *piped) { p.Halt() },
		"Close":      func(p *Proxy, _ *piped) { p.stop() },
		"the client": func(_ *Proxy, t *piped) { _ = t.client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, p *Proxy) {
				if err := p.injector.Set(fault.Network("db", fault.BlackHole)); err != nil {
					t.Fatal(err)
				}
				tunnel := pipe(p)
				if _, err := io.WriteString(tunnel.client, "ask"); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(tunnel.client, "and what nobody reads any more"); err != nil {
					t.Fatal(err)
				}
				timer, began := time.NewTimer(5*time.Second), time.Now()
				<-timer.C
				end(p, tunnel)
				<-tunnel.over
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("it was held for %v; want 5s", took)
				}
				tunnel.end()
			})
		})
	}
}

// A limit on bandwidth ends with its rule, at the client's next word.
func TestStream_bandwidth_ends(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, p *Proxy) {
		if err := p.injector.Set(fault.Rule{Service: "db", Bandwidth: 10}); err != nil {
			t.Fatal(err)
		}
		tunnel := pipe(p)
		tunnel.ask("one")
		// The first read was begun before the limit: it is as long as it was, and waits as long as it must.
		if got, took := tunnel.answer(strings.Repeat("x", 30)); len(got) != 30 || took != 3*time.Second {
			t.Errorf("%d bytes after %v; want 30 after 3s", len(got), took)
		}
		p.injector.Clear()
		tunnel.ask("two")
		if got, took := tunnel.answer(strings.Repeat("x", 30)); len(got) != 30 || took > 100*time.Millisecond {
			t.Errorf("%d bytes after %v; want no limit any more", len(got), took)
		}
		tunnel.end()
	})
}

// A side may be silent as long as the other one is not.
func TestStream_idle(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, p *Proxy) {
		tunnel, began := pipe(p), time.Now()
		for range 5 { // a client that only listens
			timer := time.NewTimer(tunnelIdle - time.Minute)
			<-timer.C
			if got, _ := tunnel.answer("news"); got != "news" {
				t.Fatalf("%q after %v", got, time.Since(began))
			}
		}
		last := time.Now()
		go func() { _, _ = io.Copy(io.Discard, tunnel.upstream) }()
		if _, err := tunnel.client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%v; want the end", err)
		}
		if took := time.Since(last); took < tunnelIdle || took > 2*tunnelIdle {
			t.Errorf("it ended %v after the last byte; want %v to twice that", took, tunnelIdle)
		}
		tunnel.end()
	})
}

// writer is a response that can be taken over, or not.
type writer struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (w writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.conn == nil {
		return nil, nil, errors.New("no")
	}
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// A connection that cannot be taken over is broken off by the server.
func TestBreakOff(t *testing.T) {
	near, far := net.Pipe()
	breakOff(writer{httptest.NewRecorder(), near})
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v; want the end", err)
	}
	for name, f := range map[string]func(){
		"breakOff":      func() { breakOff(httptest.NewRecorder()) },
		"failHandshake": func() { failHandshake(httptest.NewRecorder()) },
	} {
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // it is that value
					t.Errorf("%s: %v; want http.ErrAbortHandler", name, v)
				}
			}()
			f()
		}()
	}
}

// A client of TLS is told that the certificate has run out; one of anything else
// is only closed.
func TestFailHandshake(t *testing.T) {
	for hello, want := range map[string]string{"\x16\x03\x01hello": "\x15\x03\x03\x00\x02\x02\x2d", "GET / HTTP/1.1": ""} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			done := make(chan struct{})
			go func() { defer close(done); failHandshake(writer{httptest.NewRecorder(), near}) }()
			line := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\n"))
			if _, err := io.ReadFull(far, line); err != nil || !strings.HasPrefix(string(line), "HTTP/1.1 200 ") {
				t.Fatalf("%q, %v", line, err)
			}
			go func() { _, _ = io.WriteString(far, hello) }()
			got, err := io.ReadAll(far)
			if string(got) != want || err != nil {
				t.Errorf("%q: %q, %v; want %q", hello, got, err, want)
			}
			<-done
		})
	}
}

// An end is told to the half of a connection that can be closed, through whatever
// it is wrapped in; one without halves is closed.
func TestCloseWrite(t *testing.T) {
	half := &halves{}
	closeWrite(&buffered{Conn: &tracked{Conn: half}, r: nil})
	if half.did != "CloseWrite" {
		t.Errorf("%q", half.did)
	}
	near, far := net.Pipe()
	closeWrite(&buffered{Conn: near})
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v; want the end", err)
	}
}

type halves struct {
	net.Conn
	did string
}

func (h *halves) CloseWrite() error { h.did += "CloseWrite"; return nil }

// What Close takes away is what was written, unless somebody has replaced it.
func TestFiles_remove(t *testing.T) {
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	var own files
	if err := own.open(""); err != nil {
		t.Fatal(err)
	}
	if err := own.write(map[string]file{"token": {0o600, []byte("x")}, "ca.pem": {0o644, []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"token": 0o600, "ca.pem": 0o644} {
		if info, err := os.Stat(own.name(name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
	for range 2 {
		if err := own.remove(); err != nil || exists(own.dir) {
			t.Errorf("%v; want the folder gone", err)
		}
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	var theirs files
	if err := theirs.open(dir); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.WriteFile(outside, []byte("keep"), 0o600), os.Symlink(outside, theirs.name("token"))); err != nil {
		t.Fatal(err)
	}
	if err := theirs.write(map[string]file{"token": {0o600, []byte("x")}, "ca.pem": {0o644, []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "keep" {
		t.Errorf("%s, %v; want a link not to be followed", text, err)
	}
	if err := errors.Join(os.WriteFile(theirs.name("ca.pem"), []byte("another's"), 0o600), os.WriteFile(theirs.name("notes"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := theirs.remove(); err != nil || exists(theirs.name("token")) || !exists(theirs.name("ca.pem")) || !exists(theirs.name("notes")) {
		t.Errorf("%v; want what is another's to stay", err)
	}
	if err := theirs.write(map[string]file{"no/folder": {0o600, nil}}); err == nil {
		t.Error("a file in a folder that is not there was written")
	}
	if err := os.Mkdir(theirs.name("bundle.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := theirs.write(map[string]file{"bundle.pem": {0o644, nil}}); err == nil || !strings.HasPrefix(err.Error(), theirs.name("bundle.pem")+": rename ") {
		t.Errorf("%v; want the file's name", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("%v, %v; want no half of a file", left, err)
	}
}

// Toxics as their own documentation has them, and what is refused of one.
func TestToxic(t *testing.T) {
	for text, want := range map[string]fault.Rule{
		`{"type":"latency","attributes":{"latency":1000,"jitter":100}}`: {Latency: &fault.Latency{Base: 900 * time.Millisecond, Jitter: 200 * time.Millisecond}},
		`{"type":"latency","attributes":{"latency":50,"jitter":100}}`:   {Latency: &fault.Latency{Base: 0, Jitter: 150 * time.Millisecond}},
		`{"type":"bandwidth","attributes":{"rate":3},"service":"db"}`:   {Service: "db", Bandwidth: 3000},
		`{"type":"timeout"}`: {Net: fault.BlackHole},
		`{"type":"timeout","attributes":{"timeout":20},"stream":"upstream"}`: {Net: fault.Timeout, Latency: &fault.Latency{Base: 20 * time.Millisecond}},
		`{"type":"reset_peer"}`: {Net: fault.Reset},
		`{"type":"reset_peer","attributes":{"timeout":20},"toxicity":0.25}`:          {Net: fault.Reset, Latency: &fault.Latency{Base: 20 * time.Millisecond}, Probability: 0.25},
		`{"type":"limit_data","attributes":{"bytes":7},"name":"x","toxicity":0}`:     {Net: fault.Truncate, Bytes: 7, Off: true},
		`{"type":"timeout","service":"d","region":"r","operation":"o","table":"tt"}`: {Service: "d", Region: "r", Operation: "o", Table: "tt", Net: fault.BlackHole},
	} {
		got, err := toxic([]byte(text))
		if a, b := rulesJSON(t, got), rulesJSON(t, want); err != nil || a != b {
			t.Errorf("%s: %s, %v; want %s", text, a, err, b)
		}
	}
	for text, want := range map[string]string{
		`{"type":"slicer"}`:                               `type: the toxic "slicer" has no counterpart here: it changes nothing that a client is told`,
		`{"type":"latncy"}`:                               `type: unknown toxic "latncy"; want latency, bandwidth, timeout, reset_peer or limit_data`,
		`{"type":"timeout","stream":"sideways"}`:          `stream is "sideways"; want upstream or downstream`,
		`{"type":"bandwidth","stream":"upstream"}`:        `stream: bandwidth acts on answers only, so want downstream`,
		`{"type":"timeout","attributes":{"latency":1}}`:   `attributes: latency is 1; want of [timeout], and none negative`,
		`{"type":"timeout","attributes":{"timeout":-1}}`:  `attributes: timeout is -1; want of [timeout], and none negative`,
		`{"type":"latency","attributes":{"jitter":1e13}}`: `json: cannot unmarshal number 1e13 into Go struct field toxicJSON.attributes of type int64`,
		`{"type":"timeout","toxic":1}`:                    `json: unknown field "toxic"`,
	} {
		if r, err := toxic([]byte(text)); err == nil || !strings.HasPrefix(text, `{"type":"latency"`) && err.Error() != want {
			t.Errorf("%s: %+v, %v; want %s", text, r, err, want)
		}
	}
	if _, err := ParseRules(bytes.Repeat([]byte("x"), 3)); err == nil {
		t.Error("no JSON is no rules")
	}
	many := "[" + strings.Repeat(`{"net":"reset"},`, maxRules) + `{"net":"reset"}]`
	if _, err := ParseRules([]byte(many)); err == nil || err.Error() != "there are 1001 rules; at most 1000" {
		t.Errorf("%v", err)
	}
	if _, err := ParseRules([]byte(`[{"net":"reset"},{"type":"slicer"}]`)); err == nil || !strings.HasPrefix(err.Error(), "rule 2: type: the toxic") {
		t.Errorf("%v; want which rule it is", err)
	}
}

func rulesJSON(t *testing.T, r fault.Rule) string {
	t.Helper()
	b, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

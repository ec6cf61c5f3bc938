package observe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/failopen/failopen/depgraph/observe"
)

func recorder(t testing.TB, names map[string]string) *observe.Recorder {
	t.Helper()
	r, err := observe.New(observe.Options{Service: "web", Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines are "to calls/errors p a u f o".
func lines(r *observe.Recorder) string {
	var parts []string
	for _, e := range r.Edges() {
		parts = append(parts, fmt.Sprintf("%s %d/%d %d %d %d %d %d", e.To, e.Calls, e.Errors, e.Propagated, e.Absorbed, e.Unclear, e.Fine, e.Otherwise))
	}
	return strings.Join(parts, "; ")
}

func TestRecorder_what_became_of_the_request(t *testing.T) {
	for name, c := range map[string]struct {
		calls  string // "db- db+": in this order, failed or not
		failed bool
		want   string
	}{
		"worked":                {"db+", false, "db 1/0 0 0 0 1 0"},
		"failed otherwise":      {"db+", true, "db 1/0 0 0 0 0 1"},
		"goes through":          {"db-", true, "db 1/1 1 0 0 0 0"},
		"is absorbed":           {"db-", false, "db 1/1 0 1 0 0 0"},
		"a retry worked":        {"db- db+", true, "db 2/1 0 0 0 0 1"},
		"the retry failed":      {"db- db-", true, "db 2/2 1 0 0 0 0"},
		"worked before":         {"db+ db-", true, "db 2/1 1 0 0 0 0"},
		"two failed":            {"db- ads-", true, "ads 1/1 0 0 1 0 0; db 1/1 0 0 1 0 0"},
		"one of two":            {"db- ads+", true, "ads 1/0 0 0 0 0 1; db 1/1 1 0 0 0 0"},
		"itself does not count": {"db- web-", true, "db 1/1 1 0 0 0 0"},
		"more than fit":         {"a+ b+ c+ d+ e+ f+ g+ h+ i+ j- i+", true, "a 1/0 0 0 0 0 1; b 1/0 0 0 0 0 1; c 1/0 0 0 0 0 1; d 1/0 0 0 0 0 1; e 1/0 0 0 0 0 1; f 1/0 0 0 0 0 1; g 1/0 0 0 0 0 1; h 1/0 0 0 0 0 1; i 2/0 0 0 0 0 1; j 1/1 1 0 0 0 0"},
	} {
		r := recorder(t, nil)
		ctx, end := r.Begin(t.Context())
		for _, call := range strings.Fields(c.calls) {
			r.Start(ctx, call[:len(call)-1]).Done(call[len(call)-1] == '-')
		}
		end(c.failed)
		end(!c.failed) // the second one is not counted
		if got := lines(r); got != c.want || r.Requests() != 1 {
			t.Errorf("%s: %q, %d requests, want %q", name, got, r.Requests(), c.want)
		}
	}
}

func TestRecorder_calls_side_by_side(t *testing.T) {
	r := recorder(t, nil)
	ctx, end := r.Begin(t.Context())
	first, second := r.Start(ctx, "db"), r.Start(ctx, "db")
	first.Done(true)
	second.Done(false) // it had begun before: no retry, and perhaps a hedge
	end(true)
	if got := lines(r); got != "db 2/1 0 0 1 0 0" {
		t.Error(got)
	}
	late := r.Start(ctx, "db")
	late.Done(true)
	r.Start(t.Context(), "db").Done(true) // without a request
	if got := lines(r); got != "db 4/3 0 0 3 0 0" {
		t.Error(got)
	}
	r.Start(ctx, "mq").Err(fmt.Errorf("left: %w", context.Canceled))
	r.Start(ctx, "mq").Err(context.DeadlineExceeded)
	r.Start(ctx, "mq").Err(nil)
	if got := lines(r); got != "db 4/3 0 0 3 0 0; mq 3/1 0 0 1 0 0" {
		t.Error(got)
	}
}

// TestRecorder_hedges has a call that fails beside one that works, in each
// order of their beginnings and ends: nobody can say what the request lacked.
func TestRecorder_hedges(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(start func() observe.Start)
		want string
	}{
		"the second wins": {func(start func() observe.Start) {
			slow, hedge := start(), start()
			hedge.Done(false)
			slow.Done(true)
		}, "db 2/1 0 0 1 0 0"},
		"the first wins": {func(start func() observe.Start) {
			slow, hedge := start(), start()
			slow.Done(false)
			hedge.Done(true)
		}, "db 2/1 0 0 1 0 0"},
		"the loser is first": {func(start func() observe.Start) {
			slow, hedge := start(), start()
			slow.Done(true)
			hedge.Done(false)
		}, "db 2/1 0 0 1 0 0"},
		"one after the other": {func(start func() observe.Start) {
			start().Done(false)
			start().Done(true)
		}, "db 2/1 1 0 0 0 0"},
		"a retry after a hedge": {func(start func() observe.Start) {
			slow, hedge := start(), start()
			slow.Done(true)
			hedge.Done(false)
			start().Done(false)
		}, "db 3/1 0 0 0 0 1"},
		"both fail": {func(start func() observe.Start) {
			slow, hedge := start(), start()
			slow.Done(true)
			hedge.Done(true)
		}, "db 2/2 1 0 0 0 0"},
	} {
		r := recorder(t, nil)
		ctx, end := r.Begin(t.Context())
		c.run(func() observe.Start { return r.Start(ctx, "db") })
		end(true)
		if got := lines(r); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestRecorder_flood has a stranger choose host names: what Names maps is
// counted all the same, whenever it comes.
func TestRecorder_flood(t *testing.T) {
	r, err := observe.New(observe.Options{Service: "proxy", MaxNames: 3, Names: map[string]string{"ledger:80": "ledger", "*.pay.internal": "pay"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(r); got != "" {
		t.Errorf("nothing was called: %q", got)
	}
	for i := range 100 {
		r.Start(t.Context(), fmt.Sprintf("evil-%d", i)).Done(false)
	}
	r.Start(t.Context(), "ledger:80").Done(false)
	for i := range 50 {
		r.Start(t.Context(), fmt.Sprintf("%d.pay.internal:443", i)).Done(false)
	}
	if got := lines(r); got != "evil-0 1/0 0 0 0 0 0; evil-1 1/0 0 0 0 0 0; evil-2 1/0 0 0 0 0 0; ledger 1/0 0 0 0 0 0; pay 50/0 0 0 0 0 0" || r.NotCounted() != 97 {
		t.Errorf("%s; %d not counted", got, r.NotCounted())
	}
}

func TestRoundTripper_panics(t *testing.T) {
	r := recorder(t, nil)
	req := httptest.NewRequest(http.MethodGet, "http://db/", nil)
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v; the panic goes on", p)
			}
		}()
		_, _ = r.RoundTripper(tripper(func(*http.Request) (*http.Response, error) { panic("boom") })).RoundTrip(req)
	}()
	if got := lines(r); got != "db 1/1 0 0 1 0 0" {
		t.Error(got)
	}
}

func TestRecorder_names(t *testing.T) {
	r := recorder(t, map[string]string{"ledger:8443": "ledger", "ads.internal": "ads", "*.amazonaws.com": "aws", "s3.*.amazonaws.com": "s3", "localhost": "-"})
	for _, host := range []string{"ledger:8443", "ledger:9000", "ads.internal:80", "sqs.eu.amazonaws.com:443", "s3.eu.amazonaws.com", "localhost:1", "[::1]:80", "web:80"} {
		r.Start(t.Context(), host).Done(false)
	}
	var names []string
	for _, e := range r.Edges() {
		names = append(names, e.To)
	}
	if got := strings.Join(names, " "); got != "[::1]:80 ads aws ledger ledger:9000 s3" && got != "[::1]:80 ads aws ledger s3" {
		t.Error(got)
	}
}

func TestRecorder_many_addresses_are_bounded(t *testing.T) {
	r, err := observe.New(observe.Options{Service: "crawler", MaxNames: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		r.Start(t.Context(), fmt.Sprintf("host-%d", i)).Done(true)
	}
	r.Start(t.Context(), "").Done(false)
	if len(r.Edges()) != 10 || r.NotCounted() != 991 {
		t.Errorf("%d edges, %d not counted", len(r.Edges()), r.NotCounted())
	}
}

func TestNew_refuses(t *testing.T) {
	for want, o := range map[string]observe.Options{
		"Options.Service is empty":     {},
		"Options.MaxNames is -1":       {Service: "a", MaxNames: -1},
		`Options.Names maps "b" to ""`: {Service: "a", Names: map[string]string{"b": ""}},
	} {
		if _, err := observe.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestHTTP sends requests through a service that calls another one.
func TestHTTP(t *testing.T) {
	ledger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/bad":
			w.WriteHeader(http.StatusBadGateway)
		case "/busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer ledger.Close()
	r := recorder(t, map[string]string{strings.TrimPrefix(ledger.URL, "http://"): "ledger"})
	client := &http.Client{Transport: r.RoundTripper(nil)}
	defer client.CloseIdleConnections()
	service := httptest.NewServer(r.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		out, err := http.NewRequestWithContext(req.Context(), http.MethodGet, ledger.URL+req.URL.Path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(out)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		switch req.URL.Query().Get("then") {
		case "fail":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "panic":
			panic(http.ErrAbortHandler)
		case "flush":
			w.(http.Flusher).Flush()
			http.NewResponseController(w).Flush()
			io.WriteString(w, "x")
		}
	})))
	defer service.Close()
	// On a connection that was used before, the client would try again after the
	// handler that panics.
	service.Client().Transport.(*http.Transport).DisableKeepAlives = true
	for _, path := range []string{"/ok", "/ok?then=flush", "/bad?then=fail", "/bad", "/busy", "/missing", "/ok?then=fail", "/bad?then=panic"} {
		resp, err := service.Client().Get(service.URL + path)
		if err == nil {
			resp.Body.Close()
		}
	}
	service.Close() // all handlers have ended
	if got, want := lines(r), "ledger 8/4 2 2 0 3 1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := `{
 "failopen_observed": 1,
 "services": {
  "web": 8
 },
 "edges": [
  {
   "from": "web",
   "to": "ledger",
   "calls": 8,
   "errors": 4,
   "propagated": 2,
   "absorbed": 2,
   "unclear": 0,
   "fine": 3,
   "otherwise": 1
  }
 ]
}
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, nil)
	if w.Body.String() != want {
		t.Errorf("%s", w.Body)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestRoundTripper_errors(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, c := range map[string]struct {
		ctx  context.Context
		resp *http.Response
		err  error
		want string
	}{
		"an error":           {t.Context(), nil, errors.New("refused"), "db 1/1 0 0 1 0 0"},
		"the caller gave up": {gone, nil, context.Canceled, "db 1/0 0 0 0 0 0"},
		"the other side did": {t.Context(), nil, context.Canceled, "db 1/1 0 0 1 0 0"},
		"neither":            {t.Context(), nil, nil, "db 1/1 0 0 1 0 0"},
		"an answer":          {t.Context(), &http.Response{StatusCode: 200}, nil, "db 1/0 0 0 0 0 0"},
	} {
		r := recorder(t, nil)
		req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, "http://db/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := r.RoundTripper(tripper(func(*http.Request) (*http.Response, error) { return c.resp, c.err })).RoundTrip(req)
		if resp != c.resp || err != c.err {
			t.Errorf("%s: the answer was changed", name)
		}
		if got := lines(r); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRecorder_does_not_allocate(t *testing.T) {
	r := recorder(t, nil)
	ctx, end := r.Begin(t.Context())
	defer end(false)
	resp := &http.Response{StatusCode: 200}
	rt := r.RoundTripper(tripper(func(*http.Request) (*http.Response, error) { return resp, nil }))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://db:5432/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"RoundTrip":   func() { rt.RoundTrip(req) },
		"Start, Done": func() { r.Start(ctx, "db").Done(false) },
		"a failure":   func() { r.Start(ctx, "db").Done(true) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestRecorder_concurrent(t *testing.T) {
	r := recorder(t, nil)
	var wg sync.WaitGroup
	const workers, each = 8, 200
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				ctx, end := r.Begin(context.Background())
				var calls sync.WaitGroup
				for c := range 3 {
					calls.Go(func() { r.Start(ctx, fmt.Sprintf("d%d", (w+i+c)%20)).Done(c == 0) })
				}
				calls.Wait()
				end(i%2 == 0)
				if i%50 == 0 {
					r.Edges()
				}
			}
		})
	}
	wg.Wait()
	var calls, errs, judged int64
	for _, e := range r.Edges() {
		calls, errs = calls+e.Calls, errs+e.Errors
		judged += e.Propagated + e.Absorbed + e.Unclear + e.Fine + e.Otherwise
	}
	if n := int64(workers * each); calls != 3*n || errs != n || judged != 3*n || r.Requests() != n {
		t.Errorf("%d calls, %d errors, %d judged, %d requests", calls, errs, judged, r.Requests())
	}
}

func BenchmarkRecorder(b *testing.B) {
	r := recorder(b, nil)
	ctx, end := r.Begin(context.Background())
	defer end(false)
	b.Run("call-in-a-request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Start(ctx, "db:5432").Done(false)
		}
	})
	b.Run("call-alone", func(b *testing.B) {
		b.ReportAllocs()
		bg := context.Background()
		for b.Loop() {
			r.Start(bg, "db:5432").Done(false)
		}
	})
}

// TestHandler_lets_through does what handlers do to a writer: take over the
// connection, and copy a file.
func TestHandler_lets_through(t *testing.T) {
	r := recorder(t, nil)
	handler := r.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/copy" {
			io.Copy(w, strings.NewReader("copied"))
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		conn.Close()
	}))
	ended := make(chan struct{}, 2) // a server does not wait for connections that were taken over
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		handler.ServeHTTP(w, req)
		ended <- struct{}{}
	}))
	defer service.Close()
	for path, want := range map[string]string{"/copy": "copied", "/hijack": "hi"} {
		resp, err := service.Client().Get(service.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
	<-ended
	<-ended
	if r.Requests() != 2 {
		t.Errorf("%d requests", r.Requests())
	}
}

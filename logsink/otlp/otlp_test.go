package otlp

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/batchtest"
)

// collector takes OTLP over HTTP, strictly, and fails on demand.
type collector struct {
	t      *testing.T
	mu     sync.Mutex
	texts  []string
	last   map[string]any // the last record, as it came
	answer func(w http.ResponseWriter, texts []string) bool
	hang   chan struct{}
	gzip   int
}

func newCollector(t *testing.T) (*collector, string) {
	c := &collector{t: t}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	return c, srv.URL + "/v1/logs"
}

func (c *collector) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	c.mu.Lock()
	hang := c.hang
	c.mu.Unlock()
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return // the client gave up
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return
	}
	var in struct {
		ResourceLogs []struct {
			Resource  map[string]any
			ScopeLogs []struct {
				LogRecords []map[string]any
			}
		}
	}
	if err := json.Unmarshal(b, &in); err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/json" {
		c.t.Errorf("not a request of OTLP: %v %v: %v", r.Method, r.URL, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Header.Get("Content-Encoding") == "gzip" {
		c.gzip++
	}
	var texts []string
	for _, rl := range in.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			for _, rec := range sl.LogRecords {
				texts = append(texts, rec["body"].(map[string]any)["stringValue"].(string))
				c.last = rec
			}
		}
	}
	if c.answer != nil && c.answer(w, texts) {
		return
	}
	c.texts = append(c.texts, texts...)
	io.WriteString(w, "{}")
}

func (c *collector) got() (all []string) {
	c.set(func() { all = slices.Clone(c.texts) })
	return all
}

func mustNew(t *testing.T, o Options) *Dest {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fails(status int) func(http.ResponseWriter, []string) bool {
	return func(w http.ResponseWriter, _ []string) bool { w.WriteHeader(status); return true }
}

func TestDest_conforms(t *testing.T) {
	for _, zip := range []bool{false, true} {
		t.Run(fmt.Sprintf("gzip=%v", zip), func(t *testing.T) {
			batchtest.TestBatchDest(t, func(t *testing.T) batchtest.Subject {
				c, url := newCollector(t)
				up := make(chan struct{})
				return batchtest.Subject{
					Dest:    mustNew(t, Options{URL: url, Gzip: zip}),
					Longest: 1 << 20,
					Arrived: c.got,
					Down:    func() { c.set(func() { c.answer = fails(503) }) },
					Up: func() {
						c.set(func() {
							if c.answer = nil; c.hang != nil {
								close(up)
								c.hang = nil
							}
						})
					},
					Hang: func() { c.set(func() { c.hang = up }) },
				}
			})
		})
	}
}

// Whatever may end is retried, and nothing is lost.
func TestDest_retries(t *testing.T) {
	for _, status := range []int{301, 401, 403, 404, 408, 429, 500, 502, 503, 504} {
		c, url := newCollector(t)
		c.answer = fails(status)
		d := mustNew(t, Options{URL: url})
		recs := []logsink.Record{{Data: []byte("kept\n"), Time: time.Now()}}
		if res, err := d.WriteBatch(t.Context(), recs); err == nil || res.Done != 0 || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %+v, %v", status, res, err)
		}
		c.set(func() { c.answer = nil })
		if res, err := d.WriteBatch(t.Context(), recs); err != nil || res.Done != 1 || len(c.got()) != 1 {
			t.Errorf("after %d: %+v, %v", status, res, err)
		}
	}
	c, url := newCollector(t)
	c.answer = func(w http.ResponseWriter, _ []string) bool {
		w.Header().Set("Retry-After", "17")
		return fails(429)(w, nil)
	}
	_, err := mustNew(t, Options{URL: url}).WriteBatch(t.Context(), []logsink.Record{{Data: []byte("x")}})
	var after logsink.RetryAfter
	if !errors.As(err, &after) || after.RetryAfter() != 17*time.Second {
		t.Errorf("%v", err)
	}
	c.set(func() {
		c.answer = func(w http.ResponseWriter, _ []string) bool {
			io.WriteString(w, "<html>please log in</html>")
			return true
		}
	})
	if res, err := mustNew(t, Options{URL: url}).WriteBatch(t.Context(), []logsink.Record{{Data: []byte("x")}}); err == nil || res.Done != 0 {
		t.Errorf("a portal's page is taken for success: %+v", res)
	}
}

// One record that makes its request invalid is found and rejected alone.
func TestDest_finds_the_invalid_record(t *testing.T) {
	c, url := newCollector(t)
	c.answer = func(w http.ResponseWriter, texts []string) bool {
		return slices.Contains(texts, "poison") && fails(400)(w, nil)
	}
	d := mustNew(t, Options{URL: url})
	s, err := logsink.New(logsink.Options{Batch: d, Linger: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if i == 333 || i == 777 {
			fmt.Fprintln(s, "poison")
		}
		fmt.Fprintln(s, i)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Delivered != 1000 || st.Dropped.Rejected != 2 || len(c.got()) != 1000 || d.Stats().Rejected != 2 || !strings.Contains(st.LastError, "answers 400") {
		t.Errorf("%d arrived: %+v", len(c.got()), st)
	}
}

func TestDest_partial_success(t *testing.T) {
	c, url := newCollector(t)
	c.answer = func(w http.ResponseWriter, _ []string) bool {
		io.WriteString(w, `{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"quota"}}`)
		return true
	}
	recs := []logsink.Record{{Data: []byte("a")}, {}, {Data: []byte("b")}, {Data: []byte("c")}}
	res, err := mustNew(t, Options{URL: url}).WriteBatch(t.Context(), recs)
	if err != nil || res.Done != 4 || !slices.Equal(res.Rejected, []int{2, 3}) || !strings.Contains(res.Why.Error(), "refused 2 records: quota") {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestDest_format(t *testing.T) {
	c, url := newCollector(t)
	secret := http.Header{"Authorization": {"Bearer secret"}}
	d := mustNew(t, Options{URL: url, Header: secret, Resource: map[string]string{"service.name": "orders"}, Gzip: true})
	at := time.UnixMilli(1_700_000_000_123)
	if _, err := d.WriteBatch(t.Context(), []logsink.Record{{Time: at, Priority: logsink.High, Data: []byte("bad \xff\n")}}); err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(c.last)
	if want := `{"body":{"stringValue":"bad ` + "\uFFFD" + `"},"observedTimeUnixNano":"1700000000123000000","severityNumber":13,"severityText":"WARN","timeUnixNano":"1700000000123000000"}`; string(b) != want || c.gzip != 1 {
		t.Errorf("%s\nwant %s", b, want)
	}
	c.answer = fails(500)
	if _, err := d.WriteBatch(t.Context(), []logsink.Record{{Data: []byte("x")}}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestNew_refuses_contradictions(t *testing.T) {
	for want, o := range map[string]Options{
		"Options.URL must be":          {URL: "localhost:4318"},
		"Options.MaxBytes is -1":       {URL: "http://x/", MaxBytes: -1},
		"Timeout -1ns; none":           {URL: "http://x/", Timeout: -1},
		"Options.URL must be an addre": {URL: "ftp://x/"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

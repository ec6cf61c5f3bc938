package inmemory

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// send makes one request to h, and reads its answer to the end.
func send(t *testing.T, ctx context.Context, h http.HandlerFunc, body io.Reader) (status int, text string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://db.invalid/a?b=c", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := RoundTrip(req, h)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	if closed := resp.Body.Close(); closed != nil {
		t.Error(closed)
	}
	if resp.Request != req || resp.Proto != "HTTP/1.1" || resp.Status != http.StatusText(resp.StatusCode) && !strings.HasSuffix(resp.Status, " "+http.StatusText(resp.StatusCode)) {
		t.Errorf("%+v", resp)
	}
	return resp.StatusCode, string(b), err
}

func TestRoundTrip_is_what_a_server_sees(t *testing.T) {
	status, text, err := send(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != "hello" || r.ContentLength != 5 || r.Host != "db.invalid" || r.URL.Path != "/a" || r.URL.RawQuery != "b=c" {
			t.Errorf("%q, %v, %+v", b, err, r)
		}
		w.Header().Set("X-A", "b")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and ")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "stout")
	}, strings.NewReader("hello"))
	if status != http.StatusTeapot || text != "short and stout" || err != nil {
		t.Errorf("%d %q, %v", status, text, err)
	}
	// What says nothing has answered 200, with nothing; and a request may be empty.
	if status, text, err := send(t, t.Context(), func(http.ResponseWriter, *http.Request) {}, nil); status != http.StatusOK || text != "" || err != nil {
		t.Errorf("%d %q, %v", status, text, err)
	}
}

var errGone = errors.New("gone")

// broken is a body that ends in the middle.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errGone }

func TestRoundTrip_when_the_connection_breaks(t *testing.T) {
	for _, c := range []struct {
		name   string
		h      http.HandlerFunc
		body   io.Reader
		status int
		text   string
	}{
		{"before the answer", func(w http.ResponseWriter, _ *http.Request) { w.(*Recorder).Break(errGone) }, nil, 0, ""},
		{"within it", func(w http.ResponseWriter, _ *http.Request) { w.(*Recorder).Cut(errGone, 503, []byte("half")) }, nil, 503, "half"},
		{"within the request", func(http.ResponseWriter, *http.Request) { t.Error("it arrived") }, broken{}, 0, ""},
	} {
		if status, text, err := send(t, t.Context(), c.h, c.body); !errors.Is(err, errGone) || status != c.status || text != c.text {
			t.Errorf("%s: %d %q, %v; want %d %q, %v", c.name, status, text, err, c.status, c.text, errGone)
		}
	}
}

// A caller whose context ends while the handler is at work gets its error, and no
// answer.
func TestRoundTrip_ends_with_the_context(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, _, err := send(t, ctx, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			_, _ = io.WriteString(w, "too late")
		}, nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

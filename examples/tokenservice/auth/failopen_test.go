package auth

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/failopen/failopen/cache/cachetest"
	"github.com/failopen/failopen/examples/tokenservice/record"
	"github.com/failopen/failopen/health"
)

// TestFailOpen_pauses_the_watch asks from a worker with a watch while the system
// of record takes longer than the watch's limit.
func TestFailOpen_pauses_the_watch(t *testing.T) {
	var p health.Process
	watch, err := p.Watch("worker", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	f, err := NewFailOpen(&record.Client{URL: server.URL, HTTP: server.Client()}, new(cachetest.Store), []byte("a secret of thirty-two bytes, or so"), 10, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(context.Background())
	ctx := health.NewContext(t.Context(), watch)
	r := httptest.NewRequest(http.MethodGet, "/me", nil).WithContext(ctx)
	r.Header.Set("Authorization", "Bearer x")
	done := make(chan struct{})
	watch.Beat()
	go func() {
		defer close(done)
		f.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-asked
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
		if !p.Live() {
			t.Fatal("a worker that waits for its dependency is taken for dead")
		}
	}
	close(release)
	<-done
}

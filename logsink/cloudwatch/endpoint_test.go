package cloudwatch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// endpoint is a CloudWatch Logs that enforces the limits of PutLogEvents, and
// fails on demand.
type endpoint struct {
	t  testing.TB
	mu sync.Mutex

	groups, streams map[string]bool
	messages        []string
	puts            []int // events of each accepted request
	calls           map[string]int

	fault  func(op string, w http.ResponseWriter) bool // true: answered
	poison string                                      // a message with this makes its request invalid
	reject func(events []event) map[string]int
	hang   chan struct{} // until closed, requests are not answered
}

type event struct {
	Message   string `json:"message"`
	Timestamp int64  `json:"timestamp"`
}

func newEndpoint(t testing.TB) (*endpoint, *cloudwatchlogs.Client) {
	e := &endpoint{t: t, groups: map[string]bool{"g": true}, streams: map[string]bool{"g/s": true}, calls: map[string]int{}}
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	return e, clientOf(srv.URL, srv.Client())
}

func clientOf(url string, c *http.Client) *cloudwatchlogs.Client {
	return NewClient(aws.Config{
		Region:       "eu-central-1",
		Credentials:  credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
		BaseEndpoint: &url,
		HTTPClient:   c,
	})
}

func (e *endpoint) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func fail(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q,"message":"injected"}`, code)
	return true
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client gave up
	}
	e.mu.Lock()
	hang := e.hang
	e.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328.")
	e.calls[op]++
	var in struct {
		LogGroupName  string  `json:"logGroupName"`
		LogStreamName string  `json:"logStreamName"`
		LogEvents     []event `json:"logEvents"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		fail(w, 400, "SerializationException")
		return
	}
	if e.fault != nil && e.fault(op, w) {
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch op {
	case "CreateLogGroup":
		e.groups[in.LogGroupName] = true
	case "CreateLogStream":
		if !e.groups[in.LogGroupName] {
			fail(w, 400, "ResourceNotFoundException")
			return
		}
		e.streams[in.LogGroupName+"/"+in.LogStreamName] = true
	case "PutLogEvents":
		e.put(w, in.LogGroupName+"/"+in.LogStreamName, in.LogEvents)
		return
	default:
		fail(w, 400, "UnknownOperationException")
		return
	}
	io.WriteString(w, "{}")
}

func (e *endpoint) put(w http.ResponseWriter, stream string, events []event) {
	if !e.streams[stream] {
		fail(w, 400, "ResourceNotFoundException")
		return
	}
	if why := violation(events); why != "" {
		e.t.Errorf("a request broke a limit: %s", why)
		fail(w, 400, "InvalidParameterException")
		return
	}
	var info map[string]int
	if e.reject != nil {
		info = e.reject(events)
	}
	for _, ev := range events {
		if e.poison != "" && strings.Contains(ev.Message, e.poison) {
			fail(w, 400, "InvalidParameterException")
			return
		}
	}
	for _, ev := range events {
		e.messages = append(e.messages, ev.Message)
	}
	e.puts = append(e.puts, len(events))
	json.NewEncoder(w).Encode(map[string]any{"rejectedLogEventsInfo": info})
}

// violation says which rule of PutLogEvents a request breaks, or "". It shares
// nothing with the code under test.
func violation(events []event) string {
	size := 0
	for i, ev := range events {
		switch {
		case ev.Message == "":
			return fmt.Sprintf("event %d is empty", i)
		case !utf8.ValidString(ev.Message):
			return fmt.Sprintf("event %d is not UTF-8", i)
		case i > 0 && ev.Timestamp < events[i-1].Timestamp:
			return fmt.Sprintf("event %d is older than the one before", i)
		case ev.Timestamp-events[0].Timestamp > (24 * time.Hour).Milliseconds():
			return fmt.Sprintf("event %d is more than 24 hours after the first", i)
		}
		size += len(ev.Message) + 26
	}
	switch {
	case len(events) == 0:
		return "no events"
	case len(events) > 10000:
		return fmt.Sprintf("%d events", len(events))
	case size > 1048576:
		return fmt.Sprintf("%d bytes", size)
	}
	return ""
}

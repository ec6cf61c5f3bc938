package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
	"github.com/failopen/failopen/examples/tokenservice/record"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// directory is a system of record that says what it is told to say: a session for
// "good", one that is over for "old", an error for "down", and none for others.
func directory(t *testing.T) *record.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := record.Session{User: "u-1", Scopes: []string{"read"}, Expires: time.Now().Add(time.Hour)}
		switch record.Bearer(r) {
		case "good":
		case "old":
			s.Expires = time.Now().Add(-time.Second)
		case "down":
			http.Error(w, "", http.StatusInternalServerError)
			return
		default:
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(s)
	}))
	t.Cleanup(server.Close)
	return &record.Client{URL: server.URL, HTTP: server.Client()}
}

// ask sends one request to the whole service.
func ask(a Authenticator, method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	Service(a).ServeHTTP(w, r)
	return w
}

// said is what a client sees of an answer.
func said(w *httptest.ResponseRecorder) string {
	body := strings.TrimSpace(w.Body.String())
	if strings.HasPrefix(body, "{") {
		body = "a session"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", w.Code, w.Header().Get(SourceHeader), body))
}

// broken is a store of which every call fails.
type broken struct{}

var errBroken = errors.New("the table is gone")

func (*broken) Get(context.Context, string) (cache.Item, error) { return cache.Item{}, errBroken }
func (*broken) Set(context.Context, string, cache.Item) error   { return errBroken }

// What a client is told, whatever the shared tier does: the same.
func TestFailOpen_answers(t *testing.T) {
	for name, store := range map[string]cache.Store{"a store that works": new(cachetest.Store), "a store that is broken": new(broken)} {
		var log bytes.Buffer
		f, err := NewFailOpen(directory(t), store, []byte("a secret of thirty-two bytes, or so"), 10, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ token, want string }{
			{"good", "200 origin a session"},
			{"good", "200 local a session"},
			{"old", "401 origin please log in"},
			{"nobody", "401 origin please log in"},
			{"", "401 origin please log in"},
			{"down", "503 unknown please try again"},
		} {
			if got := said(ask(f, http.MethodGet, "/me", c.token)); got != c.want {
				t.Errorf("%s: %q: %s, want %s", name, c.token, got, c.want)
			}
		}
		if got := said(ask(f, http.MethodPost, "/logout", "good")); got != "204" {
			t.Errorf("%s: a log-out: %s", name, got)
		}
		if got := said(ask(f, http.MethodPost, "/logout", "down")); got != "502  log-out is incomplete, please try again" {
			t.Errorf("%s: a log-out that nobody heard: %s", name, got)
		}
		if got := said(ask(f, http.MethodGet, "/logout", "good")); !strings.HasPrefix(got, "405") {
			t.Errorf("%s: a log-out by GET: %s", name, got)
		}
		if err := f.Close(t.Context()); err != nil && name == "a store that works" {
			t.Error(err)
		}
		if warned := strings.Contains(log.String(), "log-out did not reach the shared cache"); warned != (name != "a store that works") {
			t.Errorf("%s: the log says %q", name, log.String())
		}
	}
}

// table is DynamoDB in so far as the naive service uses it. It keeps what is put
// into it, until it is told to fail.
type table struct {
	mu    sync.Mutex
	items map[string]json.RawMessage
	fail  string // the error that every call gets
}

func (d *table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var in struct {
		Key, Item map[string]json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || d.fail != "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"__type":"com.amazon.coral.service#%s","message":"no"}`, d.fail)
		return
	}
	key := string(in.Key["key"]) + string(in.Item["key"])
	out := map[string]any{}
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "GetItem":
		if item, ok := d.items[key]; ok {
			out["Item"] = map[string]any{"session": item}
		}
	case "PutItem":
		d.items[key] = in.Item["session"]
	case "DeleteItem":
		delete(d.items, key)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// naive is the naive service over such a table.
func naive(t *testing.T, limit int) (*Naive, *table) {
	t.Helper()
	d := &table{items: map[string]json.RawMessage{}}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), Retryer: aws.NopRetryer{}, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "k", SecretAccessKey: "s"}, nil
		}),
	})
	return NewNaive(directory(t), client, "sessions", limit, quiet), d
}

// The naive service is right while all is well, and turns good users away with the
// table: the difference that the example is about.
func TestNaive_answers(t *testing.T) {
	n, d := naive(t, 10)
	for _, c := range []struct{ token, want string }{
		{"good", "200 origin a session"},
		{"good", "200 local a session"},
		{"old", "401 origin please log in"},
		{"nobody", "401 origin please log in"},
		{"down", "500 origin internal error"},
	} {
		if got := said(ask(n, http.MethodGet, "/me", c.token)); got != c.want {
			t.Errorf("%q: %s, want %s", c.token, got, c.want)
		}
	}
	clear(n.local)
	if got := said(ask(n, http.MethodGet, "/me", "good")); got != "200 remote a session" {
		t.Errorf("from the table: %s", got)
	}
	for _, code := range []string{"AccessDeniedException", "ProvisionedThroughputExceededException", "ResourceNotFoundException", "InternalServerError"} {
		d.fail = code
		clear(n.local)
		if got := said(ask(n, http.MethodGet, "/me", "good")); got != "500 unknown internal error" {
			t.Errorf("%s: %s; this is the outage", code, got)
		}
		if got := said(ask(n, http.MethodPost, "/logout", "good")); got != "502  log-out is incomplete, please try again" {
			t.Errorf("%s: a log-out: %s", code, got)
		}
	}
	d.fail = ""
	d.items[`{"S":"good"}`] = json.RawMessage(`{"B":"` + base64.StdEncoding.EncodeToString([]byte("garbage")) + `"}`)
	if got := said(ask(n, http.MethodGet, "/me", "good")); got != "500 unknown internal error" {
		t.Errorf("garbage in the table: %s", got)
	}
	d.items[`{"S":"good"}`] = json.RawMessage(`{"S":"another type"}`)
	if got := said(ask(n, http.MethodGet, "/me", "good")); got != "200 origin a session" {
		t.Errorf("an item without a session: %s", got)
	}
	if got := said(ask(n, http.MethodPost, "/logout", "good")); got != "204" || len(n.local) != 0 || len(d.items) != 1 { // that of "old" stays
		t.Errorf("a log-out: %s; %d in memory, %d in the table", got, len(n.local), len(d.items))
	}
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Memory has a bound, and an entry a time.
func TestNaive_memory(t *testing.T) {
	n, _ := naive(t, 3)
	for i := range 10 {
		n.keep(fmt.Sprint(i), record.Session{User: fmt.Sprint(i)})
		if len(n.local) > 3 {
			t.Fatalf("%d sessions in memory", len(n.local))
		}
		if s, ok := n.fromLocal(fmt.Sprint(i)); !ok || s.User != fmt.Sprint(i) {
			t.Errorf("the newest is not there: %+v", s)
		}
	}
	n.local["late"] = localSession{record.Session{}, time.Now().Add(-time.Nanosecond)}
	if _, ok := n.fromLocal("late"); ok {
		t.Error("a session beyond its time is served")
	}
}

// A handler below the middleware has the session, and one elsewhere has none.
func TestSessionFrom(t *testing.T) {
	if s, ok := SessionFrom(t.Context()); ok || s.User != "" {
		t.Errorf("%+v", s)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	pass(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if s, ok := SessionFrom(r.Context()); !ok || s.User != "u-1" {
			t.Errorf("%+v, %v", s, ok)
		}
	}), httptest.NewRecorder(), r, record.Session{User: "u-1"})
}

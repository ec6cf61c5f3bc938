package stack

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// started is a stack, closed at the end of the test within a deadline.
func started(t *testing.T) *Stack {
	t.Helper()
	s, err := Start(t.Context(), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get asks a service, with a token if there is one.
func get(t *testing.T, url, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// While the table is denied, the service that is to be copied is alive and ready
// to serve, and its twin is taken for dead: this is the whole point of the example.
func TestStack_probes(t *testing.T) {
	s := started(t)
	probes := func() [2]int {
		ours, _ := get(t, s.FailOpen.URL+"/livez", "")
		naive, _ := get(t, s.Naive.URL+"/livez", "")
		return [2]int{ours, naive}
	}
	if got := probes(); got != [2]int{200, 200} {
		t.Errorf("nothing is cut: %v", got)
	}
	for _, f := range s.Faults() {
		if f.Name != "iam-revoked" && f.Name != "corrupt-items" {
			continue // the others take the naive probe's time-out
		}
		if err := f.Begin(); err != nil {
			t.Fatal(err)
		}
		if got, want := probes(), map[string][2]int{"iam-revoked": {200, 503}, "corrupt-items": {200, 200}}[f.Name]; got != want {
			t.Errorf("%s: %v, want %v", f.Name, got, want)
		}
		if err := s.Restore(); err != nil {
			t.Fatal(err)
		}
	}
	if got := probes(); got != [2]int{200, 200} {
		t.Errorf("repaired: %v", got)
	}
	if status, report := get(t, s.FailOpen.URL+"/healthz", ""); status != 200 || !strings.Contains(report, `"sessions:responseTime"`) || !strings.Contains(report, `"soft": true`) {
		t.Errorf("the report: %d, %s", status, report)
	}
}

// The faults are told apart by their names, and each cuts one of the dependencies
// that the manifest declares.
func TestStack_faults(t *testing.T) {
	s := started(t)
	var names []string
	for _, f := range s.Faults() {
		names = append(names, f.Name)
		if f.Dependency != Sessions && f.Dependency != LogDriver || f.About == "" || f.Begin == nil {
			t.Errorf("%+v", f)
		}
	}
	if got := strings.Join(names, " "); got != "iam-revoked black-hole throttled corrupt-items dns-gone logs-blocked" {
		t.Errorf("%s: examples/gameday plays them in this order", got)
	}
	if last := s.Faults()[len(names)-1]; last.NoRest {
		t.Error("after the last one there is nothing that could follow at once")
	}
}

// Each user may use the table that was made for it, and no other.
func TestStack_tables_are_apart(t *testing.T) {
	s := started(t)
	if s.FailOpen.Record == s.Naive.Record {
		t.Fatal("the services share a record")
	}
	cfg, err := s.config(t.Context(), "visitor", "sessions-visitor")
	if err != nil {
		t.Fatal(err)
	}
	client := dynamodb.NewFromConfig(cfg)
	for table, denied := range map[string]bool{"sessions-visitor": false, "sessions": true, "sessions-naive": true} {
		_, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "x"}}})
		if (err != nil) != denied || denied && !strings.Contains(err.Error(), "AccessDeniedException") {
			t.Errorf("%s: %v; want denied %v", table, err, denied)
		}
	}
}

// A blocked driver holds those who write, counts them, and lets all go.
func TestLogDriver(t *testing.T) {
	d := newLogDriver()
	write := func() chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if n, err := d.Write([]byte("line\n")); n != 5 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}()
		return done
	}
	<-write()
	for range 2 {
		d.set(true)
		d.set(true) // twice is once
		before := d.held.Load()
		one, two := write(), write()
		for d.held.Load() != before+2 {
			select {
			case <-one:
				t.Fatal("a line went through")
			default:
			}
		}
		d.set(false)
		d.set(false)
		<-one
		<-two
		<-write()
	}
	if n := d.held.Load(); n != 4 {
		t.Errorf("%d lines were held, want 4", n)
	}
}

// The name server's two answers, as Go's own resolver understands them.
func TestNameServer(t *testing.T) {
	n, err := startNameServer()
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if got, err := n.resolver().LookupHost(t.Context(), host); err != nil || len(got) != 1 || got[0] != "127.0.0.1" {
		t.Errorf("%v, %v", got, err)
	}
	n.empty.Store(true)
	_, err = n.resolver().LookupHost(t.Context(), host)
	if e, ok := err.(*net.DNSError); !ok || !e.IsNotFound {
		t.Errorf("gone: %v", err)
	}
	n.empty.Store(false)
	query := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1}
	want := append(append([]byte{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, query[12:]...), 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	if got := n.answer(query); !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
	aaaa := bytes.Clone(query)
	aaaa[16] = 28
	if got := n.answer(aaaa); len(got) != len(query) || got[7] != 0 || got[3]&15 != 0 {
		t.Errorf("an IPv6 address: %x; want no record, and no error", got)
	}
	for name, q := range map[string][]byte{"nothing": nil, "a header": query[:12], "cut off": query[:18], "two questions": append([]byte{0, 0, 0, 0, 0, 2}, query[6:]...), "a label without end": append(bytes.Clone(query[:12]), 200, 'a')} {
		if got := n.answer(q); got != nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}

package fault_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// TestCorrupt changes what a reader of the answer would use, whatever else is
// longer, and counts a hit only if it changed something.
func TestCorrupt(t *testing.T) {
	long := strings.Repeat("k", 500)
	for name, c := range map[string]struct {
		body    string
		changed []string // what must be gone; nil: nothing may change
		kept    []string
	}{
		"binary beside a longer key":  {`{"Item":{"key":{"S":"` + long + `"},"v":{"B":"aGVsbG8="},"n":{"N":"17"}}}`, []string{"aGVsbG8="}, []string{long, `"N":"17"`}},
		"every item of a batch":       {`{"Responses":{"sessions":[{"v":{"B":"Zmlyc3Q="}},{"v":{"B":"c2Vjb25k"}}]}}`, []string{"Zmlyc3Q=", "c2Vjb25k"}, []string{"sessions"}},
		"a set of binary values":      {`{"v":{"BS":["YWFh","YmJi"]}}`, []string{"YWFh", "YmJi"}, nil},
		"base64 without letters":      {`{"v":{"B":"++//"}}`, []string{"++//"}, nil},
		"no binary: strings, numbers": {`{"Item":{"role":{"S":"admin"}}}`, []string{"admin"}, []string{"role", "Item"}},
		"plain JSON":                  {`{"user":"alice","id":7}`, []string{"alice"}, []string{"user"}},
		"numbers alone":               {`{"id":7,"rate":-0.5,"big":120}`, []string{":7,", "-0.5", "120"}, []string{"rate"}},
		"escapes":                     {`"\u0061\"b"`, []string{`"b`}, []string{`\u0061\"`}},
		"text":                        {"role=admin", []string{"admin"}, []string{"="}},
		"a page":                      {"<b class=x>admin</b>&amp;", []string{"admin"}, []string{"<b class=x>", "</b>", "&amp;"}},
		"bytes":                       {"\x00\xff\x01", []string{"\x00\xff\x01"}, nil},
		"empty":                       {"", nil, nil},
		"empty object":                {"{}", nil, nil},
		"empty list":                  {"[]", nil, nil},
		"only constants":              {`{"ok":true,"next":null}`, nil, nil},
		"empty binary":                {`{"v":{"B":""}}`, nil, nil},
	} {
		i := injector(t, fault.Options{}, fault.Network("origin", fault.Corrupt))
		origin := transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
		})
		_, got, err := get(t.Context(), t, &http.Client{Transport: i.RoundTripper("origin", origin)})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(c.body) || json.Valid([]byte(c.body)) != json.Valid([]byte(got)) || utf8.ValidString(c.body) && !utf8.ValidString(got) {
			t.Errorf("%s: %q has another form than %q", name, got, c.body)
		}
		for _, s := range c.changed {
			if strings.Contains(got, s) {
				t.Errorf("%s: %q is still in %q", name, s, got)
			}
		}
		for _, s := range c.kept {
			if !strings.Contains(got, s) {
				t.Errorf("%s: %q is no longer in %q", name, s, got)
			}
		}
		hits := i.Stats().Rules[0].Hits
		if want := len(c.changed) > 0; (got != c.body) != want || (hits == 1) != want || (i.Unhit() == nil) != want {
			t.Errorf("%s: %q became %q with %d hits", name, c.body, got, hits)
		}
	}
}

func FuzzCorrupt(f *testing.F) {
	for _, s := range []string{`{"v":{"B":"aGk="}}`, `[1,-2.5e7,"\\\"x"]`, "<a>b</a>", "\xff", `{"a":{"BS":["",null]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		resp := &http.Response{Body: io.NopCloser(bytes.NewReader(bytes.Clone(body)))}
		if err := (&fault.Fault{Kind: fault.Corrupt}).Spoil(resp); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || len(got) != len(body) || json.Valid(body) && !json.Valid(got) {
			t.Errorf("%q became %q, %v", body, got, err)
		}
	})
}

func TestSpoil_bandwidth_and_bytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := &http.Response{Body: io.NopCloser(strings.NewReader(strings.Repeat("x", 1000)))}
		began := time.Now()
		if err := (&fault.Fault{Bandwidth: 100}).Spoil(resp); err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 1000 || time.Since(began) != 10*time.Second {
			t.Errorf("%d bytes, %v, in %v; want 1000 in 10s", len(body), err, time.Since(began))
		}
	})
	resp := &http.Response{Body: io.NopCloser(strings.NewReader("0123456789"))}
	if err := (&fault.Fault{Kind: fault.Truncate, Bytes: 3}).Spoil(resp); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "012" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q %v", body, err)
	}
	for _, r := range []fault.Rule{{Bytes: 3, Net: fault.Reset}, {Bandwidth: -1}, {Bandwidth: 1, Net: fault.Reset}, {Bandwidth: 1, Error: &fault.APIError{Code: "X"}}} {
		if r.Validate() == nil {
			t.Errorf("%+v is valid", r)
		}
	}
}

package hook

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnswer_Wrong(t *testing.T) {
	const wantCode = "; want a word such as AccessDenied"
	for _, c := range []struct {
		name string
		in   Answer
		want string
	}{
		{"nothing", Answer{}, ""},
		{"late", Answer{Delay: time.Hour}, ""},
		{"a code", Answer{Code: "Throttling"}, ""},
		{"a code with its name space", Answer{Code: "com.amazonaws#X-1_y"}, ""},
		{"all of it", Answer{time.Second, "Throttling", "slow <down>", 503}, ""},
		{"the least status", Answer{Code: "A", Status: 400}, ""},
		{"the greatest status", Answer{Code: "A", Status: 599}, ""},
		{"a message alone", Answer{Message: "m"}, `there is no Code to Status 0 and Message "m"`},
		{"a status alone", Answer{Status: 503}, `there is no Code to Status 503 and Message ""`},
		{"a space", Answer{Code: "a b"}, `Code is "a b"` + wantCode},
		{"the end of a line", Answer{Code: "a\n"}, `Code is "a\n"` + wantCode},
		{"an element", Answer{Code: "<a"}, `Code is "<a"` + wantCode},
		{"the end of one", Answer{Code: "a>"}, `Code is "a>"` + wantCode},
		{"an entity", Answer{Code: "&"}, `Code is "&"` + wantCode},
		{"a quote", Answer{Code: `a"`}, `Code is "a\""` + wantCode},
		{"an apostrophe", Answer{Code: "a'"}, `Code is "a'"` + wantCode},
		{"not ASCII", Answer{Code: "ü"}, `Code is "ü"` + wantCode},
		{"a DEL", Answer{Code: "\x7f"}, `Code is "\x7f"` + wantCode},
		{"much of it", Answer{Code: " " + strings.Repeat("x", 200)}, `Code is " ` + strings.Repeat("x", 99) + `"` + wantCode},
		{"a success", Answer{Code: "A", Status: 200}, "Status is 200; want an error of HTTP, 400 to 599"},
		{"just below", Answer{Code: "A", Status: 399}, "Status is 399; want an error of HTTP, 400 to 599"},
		{"just above", Answer{Code: "A", Status: 600}, "Status is 600; want an error of HTTP, 400 to 599"},
		{"negative", Answer{Code: "A", Status: -1}, "Status is -1; want an error of HTTP, 400 to 599"},
		{"before its time", Answer{Code: "A", Delay: -time.Second}, "Delay is -1s"},
	} {
		if got := c.in.Wrong("AccessDenied"); got != c.want {
			t.Errorf("%s: %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestSleep_ends_with_the_client(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name   string
			sleep  time.Duration
			client time.Duration
			slept  bool
			after  time.Duration
		}{
			{"a client that waits", time.Second, time.Minute, true, time.Second},
			{"one that does not", time.Minute, time.Second, false, time.Second},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), c.client)
			began := time.Now()
			slept := Sleep((&http.Request{}).WithContext(ctx), c.sleep)
			cancel()
			if after := time.Since(began); slept != c.slept || after != c.after {
				t.Errorf("%s: %t after %v; want %t after %v", c.name, slept, after, c.slept, c.after)
			}
		}
	})
}

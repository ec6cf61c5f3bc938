package drift

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

func TestSpellings_the_surest_first(t *testing.T) {
	for _, c := range []struct{ s, want string }{
		{"db", "[db]"},
		{"db:5432", "[db:5432 db]"},
		{"db:http", "[db:http]"},
		{"db:70000", "[db:70000]"}, // no port
		{"db.shop.svc", "[db.shop.svc db]"},
		{"db.shop.svc.cluster.local", "[db.shop.svc.cluster.local db]"},
		{"db.shop.svc:5432", "[db.shop.svc:5432 db.shop.svc db]"},
		{"db.shop.pod.cluster.local", "[db.shop.pod.cluster.local]"},
		{"db.svc", "[db.svc]"},
		{"db.example.com", "[db.example.com]"},
		{"[::1]:80", "[[::1]:80]"},
		{"::1", "[::1]"},
		{"", "[]"},
		{":80", "[:80 ]"},
	} {
		if got := fmt.Sprint(spellings(c.s)); got != c.want {
			t.Errorf("%q: %s, want %s", c.s, got, c.want)
		}
	}
}

func TestResolver_finds_the_declared_name(t *testing.T) {
	n := &Names{}
	for _, pair := range [][2]string{{"checkout-v2", "checkout"}, {"pay-*", "payments"}, {"pay-eu-*", "never"}, {"pay-eu-1", "exact"}, {"*.test", Drop}, {" spaced ", " db "}} {
		if err := n.Set(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	r := newResolver(n, []string{"checkout", "payments", "db", "Mail", "cache", "Cache", "queue.shop.svc"})
	for _, c := range []struct{ observed, want string }{
		{"checkout", "checkout"},
		{"checkout-v2", "checkout"},
		{"pay-us-1", "payments"}, // by a pattern
		{"pay-eu-2", "payments"}, // the first one
		{"pay-eu-1", "exact"},    // an exact name goes before patterns
		{"web.test", Drop},
		{"spaced", "db"},
		{"DB", "db"}, // in any case
		{"mail:25", "Mail"},
		{"db.shop.svc.cluster.local:5432", "db"},
		{"cache", "cache"},
		{"CACHE", "CACHE"}, // two fit
		{"queue.shop.svc", "queue.shop.svc"},
		{"queue.audit.svc", "queue.audit.svc"},
		{"unknown", "unknown"},
		{"unknown:80", "unknown:80"},
	} {
		for range 2 { // the second answer is remembered
			if got := r.of(c.observed); got != c.want {
				t.Errorf("%q: %q, want %q", c.observed, got, c.want)
			}
		}
	}
	if got := newResolver(nil, []string{"db"}).of("db:1"); got != "db" {
		t.Errorf("without names: %q", got)
	}
}

func TestResolver_mixed_names_of_several_namespaces(t *testing.T) {
	r := newResolver(nil, []string{"db", "web", "cache"})
	for _, observed := range []string{"db.b.svc", "web.a.svc", "db.a.svc:80", "web.a.svc.cluster.local", "db", "DB.c.svc", "cache.x.svc", "cache.y.svc", "web.a.svc:80"} {
		r.of(observed)
	}
	if got := fmt.Sprint(r.mixed()); got != "[cache (cache.x.svc, cache.y.svc) db (DB.c.svc, db.a.svc:80, db.b.svc)]" {
		t.Error(got)
	}
}

func TestWord_in_quotes_and_without(t *testing.T) {
	for _, c := range []struct {
		s                string
		end              byte
		text, rest, fail string
	}{
		{"a: b", ':', "a", " b", ""},
		{"a b : c", ':', "a b", " c", ""},
		{"a:", ':', "a", "", ""},
		{"a", ':', "", "", `expected "observed: declared"`},
		{"a", '#', "a", "", ""},
		{"a # why", '#', "a", " why", ""},
		{`"a: b": c`, ':', "a: b", " c", ""},
		{`"a \"b\" \u00fc"  : c`, ':', `a "b" ü`, " c", ""},
		{`"a"`, '#', "a", "", ""},
		{`"a" # why`, '#', "a", " why", ""},
		{`"a"`, ':', "", "", `expected "observed: declared"`},
		{`"a" b: c`, ':', "", "", `expected "observed: declared"`},
		{`"a`, ':', "", "", "a quoted name does not end"},
		{`"\z": a`, ':', "", "", "a quoted name does not end"},
	} {
		text, rest, err := word(c.s, c.end)
		if text != c.text || rest != c.rest || fmt.Sprint(err) != "<nil>" && err.Error() != c.fail || err == nil && c.fail != "" {
			t.Errorf("%s up to %c: %q, %q, %v", c.s, c.end, text, rest, err)
		}
	}
}

func TestNames_Read_errors_in_full(t *testing.T) {
	const form = `expected "observed: declared"`
	const empty = `a name is empty; write "observed: declared", or "observed: -" to leave it out`
	for text, want := range map[string]string{
		"web\n":                       "n.txt:1: " + form,
		"# one\n\n: b":                "n.txt:3: " + empty,
		"a:":                          "n.txt:1: " + empty,
		"a: # only a comment":         "n.txt:1: " + empty,
		`"": b`:                       "n.txt:1: " + empty,
		"\"a: b":                      "n.txt:1: a quoted name does not end",
		"a: \"b":                      "n.txt:1: a quoted name does not end",
		"\"a\" b: c":                  "n.txt:1: " + form,
		"a: b\n---\na: c":             `n.txt:3: "a" is mapped to "b" and to "c"`,
		"a: b\nx: y\n\"a\": \"b c\"#": `n.txt:3: "a" is mapped to "b" and to "b c"`,
	} {
		if err := (&Names{}).Read("n.txt", strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%q:\n%v, want\n%s", text, err, want)
		}
	}
	for _, text := range []string{"", "\n\n", "# nothing", "---\n", "a: b\na: b\n"} {
		if err := (&Names{}).Read("n.txt", strings.NewReader(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	gone := errors.New("the disk is gone")
	if err := (&Names{}).Read("n.txt", iotest.ErrReader(gone)); !errors.Is(err, gone) || err.Error() != "n.txt: the disk is gone" {
		t.Error(err)
	}
}

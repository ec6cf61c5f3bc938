package main

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// full takes n bytes, and then no more.
type full struct{ n int }

var errFull = errors.New("no space left on device")

func (w *full) Write(b []byte) (int, error) {
	if w.n -= len(b); w.n < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var twice = []finding{
	{"a b.go", 3, 2, `calls "x" <&>`},
	{"a b.go", 9, 2, `calls "x" <&>`},
}

func TestWriteText(t *testing.T) {
	var out strings.Builder
	if err := writeText(&out, twice); err != nil {
		t.Fatal(err)
	}
	if want := "a b.go:3:2: calls \"x\" <&>\na b.go:9:2: calls \"x\" <&>\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	if err := writeText(&full{30}, twice); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
	if err := writeSARIF(&full{30}, twice); !errors.Is(err, errFull) {
		t.Errorf("a full disk, SARIF: %v", err)
	}
}

// The same message twice in a file is two findings, and none at all is an empty
// list: consumers refuse null.
func TestWriteSARIF(t *testing.T) {
	const head = `{
  "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
  "version": "2.1.0",
  "runs": [
    {
      "tool": {
        "driver": {
          "name": "livelint",
          "informationUri": "https://github.com/failopen/failopen/blob/main/docs/guide/livelint.md",
          "rules": [
            {
              "id": "liveness-asks",
              "shortDescription": {
                "text": "a liveness check reaches the network"
              },
              "helpUri": "https://github.com/failopen/failopen/blob/main/docs/guide/livelint.md"
            }
          ]
        }
      },
      "results": [`
	const result = `
        {
          "ruleId": "liveness-asks",
          "level": "error",
          "message": {
            "text": "calls \"x\" \u003c\u0026\u003e"
          },
          "locations": [
            {
              "physicalLocation": {
                "artifactLocation": {
                  "uri": "a%20b.go"
                },
                "region": {
                  "startLine": 3,
                  "startColumn": 2
                }
              }
            }
          ],
          "partialFingerprints": {
            "livelint/v1": "FIRST"
          }
        }`
	const tail = "]\n    }\n  ]\n}\n"
	var none, one, two strings.Builder
	if err := errors.Join(writeSARIF(&none, nil), writeSARIF(&one, twice[:1]), writeSARIF(&two, twice)); err != nil {
		t.Fatal(err)
	}
	if want := head + tail; none.String() != want {
		t.Errorf("%s\nwant\n%s", &none, want)
	}
	_, rest, _ := strings.Cut(one.String(), `"livelint/v1": "`)
	first, _, _ := strings.Cut(rest, `"`)
	if want := head + strings.Replace(result, "FIRST", first, 1) + "\n      " + tail; one.String() != want || len(first) != 32 {
		t.Errorf("%s\nwant\n%s", &one, want)
	}
	if strings.Count(two.String(), first) != 1 || strings.Count(two.String(), `"livelint/v1"`) != 2 {
		t.Errorf("two findings with one fingerprint\n%s", &two)
	}
}

func TestURI(t *testing.T) {
	for file, want := range map[string]string{
		"main.go": "main.go", "a b/x.go": "a%20b/x.go", "a#b?.go": "a%23b%3F.go", "a:b.go": "./a:b.go", "/src/x.go": "file:///src/x.go", "../x.go": "../x.go",
	} {
		if got := uri(file); got != want {
			t.Errorf("%q: %q, want %q", file, got, want)
		}
	}
}

func TestCalledByVet(t *testing.T) {
	for args, want := range map[string]bool{
		"-flags": true, "-V=full": true, "-V": true, "-json /tmp/vet.cfg": true, "./...": false, "-sarif ./...": false, "": false, "-whole ./cfg": false,
	} {
		if got := calledByVet(strings.Fields(args)); got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
}

// Two probers of one path are both named; a slash at the end, a method or a host
// makes no other path.
func TestAsking(t *testing.T) {
	all := []prober{{who: "a", path: "/up"}, {who: "b", path: "/up/"}, {who: "c", path: "/"}}
	for route, want := range map[string]string{
		"/up": "ab", "/up/": "ab", "GET /up": "ab", "example.com/up": "ab", "/": "c", "/upper": "", "/x/up": "",
	} {
		got := ""
		for _, p := range asking(all, route) {
			got += p.who
		}
		if got != want {
			t.Errorf("%q is asked for by %q, want %q", route, got, want)
		}
	}
}

// A path is a literal in the expression, and none is no path at all.
func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{[]string{"/a.b"}, `^(/a\.b)/?$`}, {[]string{"/a", "/a/", "/b"}, `^(/a|/b)/?$`}, {[]string{"/a(b"}, `^(/a\(b)/?$`}, {nil, `^()/?$`},
	} {
		var all []prober
		for _, path := range c.paths {
			all = append(all, prober{path: path})
		}
		if got := patterns(all); got != c.want {
			t.Errorf("%q: %s, want %s", c.paths, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for s, want := range map[string]int{"5": 5, `"5"`: 5, "0": 3, "-1": 3, "5.5": 3, "null": 3, "[5]": 3, "99999999999999999999": 3} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte("n: "+s), &doc); err != nil {
			t.Fatal(err)
		}
		if got := number(get(&doc, "N"), 3); got != want {
			t.Errorf("%s: %d, want %d", s, got, want)
		}
	}
	if got := number(nil, 3); got != 3 {
		t.Errorf("nothing: %d", got)
	}
}

func TestGet(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte("a: {B: {c: x}}\nd: [1]\n"), &doc); err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[string]string{"A b C": "x", "a b": "", "a x c": "", "d a": "", "x": "", "": ""} {
		if got := text(get(&doc, strings.Fields(keys)...)); got != want {
			t.Errorf("%q: %q, want %q", keys, got, want)
		}
	}
	if get(nil, "a") != nil {
		t.Error("of nothing there is something")
	}
}

// A file that is longer than what is read is refused, and not cut off.
func TestReadManifest_large(t *testing.T) {
	write(t, map[string]string{"deploy/large.yaml": strings.Repeat("#", mostManifest) + "\n"})
	_, err := probers("deploy", kubernetes)
	if want := "deploy/large.yaml: is larger than 16 MB"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
